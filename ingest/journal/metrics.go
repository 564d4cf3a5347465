package journal

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reg  prometheus.Registerer
	mine []prometheus.Collector

	entries, bytes, lost prometheus.Counter
	refused              *prometheus.CounterVec
	missed               *prometheus.CounterVec
	unread               *prometheus.CounterVec
	commit, batch        prometheus.Histogram
}

func newMetrics(j *Journal) (*metrics, error) {
	const ns, sub = "vonglau", "journal"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	m := &metrics{
		reg:     j.o.Metrics,
		entries: counter("entries_total", "Entries on disk."),
		bytes:   counter("bytes_total", "Bytes of records on disk."),
		lost:    counter("lost_entries_total", "Entries that were on disk and cannot be read any more."),
		refused: vec("refused_total", "Entries refused, by reason.", "reason"),
		missed:  vec("missed_entries_total", "Entries a reader did not get, by reader and reason.", "reader", "reason"),
		unread:  vec("dropped_unread_entries_total", "Entries dropped by retention before the reader had read them.", "reader"),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "commit_seconds",
			Help: "Time to write and sync one batch.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "batch_entries",
			Help: "Entries of one batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
	}
	m.mine = []prometheus.Collector{m.entries, m.bytes, m.lost, m.refused, m.missed, m.unread, m.commit, m.batch, &gauges{j}}
	if m.reg == nil {
		m.mine = nil
		return m, nil
	}
	for i, c := range m.mine {
		if err := m.reg.Register(c); err != nil {
			m.mine = m.mine[:i]
			m.unregister()
			return nil, fmt.Errorf("register the journal's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	for _, c := range m.mine {
		m.reg.Unregister(c)
	}
}

// gauges reads the state of a journal at the moment of the scrape.
type gauges struct{ j *Journal }

var (
	descState = prometheus.NewDesc("vonglau_journal_state", "1 for the code the journal is in.", []string{"level", "code"}, nil)
	descFree  = prometheus.NewDesc("vonglau_journal_free_bytes", "Free space on the journal's filesystem.", nil, nil)
	descSize  = prometheus.NewDesc("vonglau_journal_size_bytes", "Size of the field stream.", nil, nil)
	descQueue = prometheus.NewDesc("vonglau_journal_queued_entries", "Entries waiting for the disk.", nil, nil)
	descSeq   = prometheus.NewDesc("vonglau_journal_sequence", "Sequence of the newest entry.", nil, nil)
	descLag   = prometheus.NewDesc("vonglau_journal_reader_lag_entries", "Entries a reader is behind.", []string{"reader"}, nil)
)

func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descState, descFree, descSize, descQueue, descSeq, descLag} {
		out <- d
	}
}

func (g *gauges) Collect(out chan<- prometheus.Metric) {
	j := g.j
	j.mu.Lock()
	ready := j.cursors != nil && !j.closed
	j.mu.Unlock()
	if !ready {
		return
	}
	s := j.State()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descState, 1, string(s.Level), string(s.Code))
	gauge(descFree, float64(s.Free))
	gauge(descSize, float64(s.Bytes))
	gauge(descQueue, float64(s.Queued))
	gauge(descSeq, float64(s.Last))
	j.eachCursor(func(name string, next uint64) {
		entries, _ := j.lag(next)
		gauge(descLag, float64(entries), name)
	})
}
