package series

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// registry holds the metrics of one opening of tsdb, which can take back only
// some of what it registers, and is put into the process's registry as a whole.
// It also keeps at hand the counters by which tsdb tells of failures that it
// does not return.
type registry struct {
	*prometheus.Registry

	mu      sync.Mutex
	watched map[string]prometheus.Collector
}

// The counters watched.
const (
	lateLogFailures = "prometheus_tsdb_out_of_order_wbl_writes_failed_total"
	logCorruptions  = "prometheus_tsdb_wal_corruptions_total"
)

func newRegistry() *registry {
	return &registry{Registry: prometheus.NewRegistry(), watched: make(map[string]prometheus.Collector)}
}

// Register implements prometheus.Registerer.
func (r *registry) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 1)
	go describe(c, descs)
	for d := range descs {
		for _, name := range [...]string{lateLogFailures, logCorruptions} {
			if strings.Contains(d.String(), `fqName: "`+name+`"`) {
				r.mu.Lock()
				r.watched[name] = c
				r.mu.Unlock()
			}
		}
	}
	return r.Registry.Register(c)
}

func describe(c prometheus.Collector, descs chan<- *prometheus.Desc) {
	defer close(descs)
	c.Describe(descs)
}

// MustRegister implements prometheus.Registerer.
func (r *registry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err) // as prometheus.Registerer demands; the registry is ours alone
		}
	}
}

// value reads a watched counter; ok is false when tsdb has none of that name.
func (r *registry) value(name string) (v float64, ok bool) {
	r.mu.Lock()
	c := r.watched[name]
	r.mu.Unlock()
	if c == nil {
		return 0, false
	}
	metrics := make(chan prometheus.Metric, 1)
	c.Collect(metrics)
	var m dto.Metric
	if err := (<-metrics).Write(&m); err != nil {
		return 0, false
	}
	return m.GetCounter().GetValue(), true
}
