package live

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	applied prometheus.Counter
	ticks   prometheus.Counter
	updates prometheus.Counter
	merged  prometheus.Counter
	bytes   prometheus.Counter
	flush   prometheus.Histogram
	closed  *prometheus.CounterVec
	greeted *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, h *Hub) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "live", Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "live", Name: name, Help: help}, []string{label})
	}
	fromState := func(name, help string, read func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "live", Name: name, Help: help}, func() float64 {
			h.mu.RLock()
			defer h.mu.RUnlock()
			return float64(read())
		})
	}
	m := &metrics{
		applied: counter("values_applied_total", "Values the hub was given."),
		ticks:   counter("ticks_total", "Ticks made."),
		updates: counter("updates_total", "Channel changes put into ticks."),
		merged:  counter("ticks_merged_total", "Ticks that reached a slow screen as part of another."),
		bytes:   counter("sent_bytes_total", "Bytes of messages handed to the screens' connections."),
		flush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "vonglau", Subsystem: "live", Name: "flush_seconds", Help: "Time to make a tick.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 4, 8),
		}),
		closed:  vec("screens_closed_total", "Screens closed by the server, by close code or reason.", "code"),
		greeted: vec("screens_greeted_total", "Screens connected, by how they were brought to the present.", "how"),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.applied, m.ticks, m.updates, m.merged, m.bytes, m.flush, m.closed, m.greeted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "vonglau", Subsystem: "live", Name: "screens", Help: "Screens connected."},
			func() float64 { return float64(h.Screens()) }),
		fromState("values_ignored_total", "Values of devices or quantities that are not shown.", func() uint64 { return h.state.ignored }),
		fromState("values_outdated_total", "Values older than the latest of their channel.", func() uint64 { return h.state.outdated }),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
