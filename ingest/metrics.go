package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"vonglau/devices"
)

// viaLabels are the doors, by the number of devices.Via.
var viaLabels = [...]devices.Via{
	devices.ViaUnknown, devices.ViaMQTT, devices.ViaCoAP, devices.ViaHTTP, devices.ViaBridge, devices.ViaLine,
}

type metrics struct {
	received   [len(viaLabels)]prometheus.Counter
	acked      [len(viaLabels)]prometheus.Counter
	refusals   *prometheus.CounterVec
	overBudget prometheus.Counter
	heldUp     prometheus.Counter
	cloned     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	make := promauto.With(reg)
	received := make.NewCounterVec(prometheus.CounterOpts{
		Name: "vonglau_ingest_messages_received_total",
		Help: "Messages taken in by the gate, by door.",
	}, []string{"via"})
	acked := make.NewCounterVec(prometheus.CounterOpts{
		Name: "vonglau_ingest_messages_stored_total",
		Help: "Messages on disk and acknowledged, by door.",
	}, []string{"via"})
	m := &metrics{
		refusals: make.NewCounterVec(prometheus.CounterOpts{
			Name: "vonglau_ingest_refusals_total",
			Help: "What was not taken as sent, by door and reason.",
		}, []string{"via", "reason"}),
		overBudget: make.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_ingest_refusals_unstored_total",
			Help: "Refusals counted but not kept as evidence, because the sender's budget was spent.",
		}),
		heldUp: make.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_ingest_held_up_total",
			Help: "Messages over a bound after which their connection was not read from for a while.",
		}),
		cloned: make.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_security_cloned_total",
			Help: "Messages and sessions refused because their identity is in use at another address.",
		}),
	}
	for i, via := range viaLabels {
		m.received[i] = received.WithLabelValues(via.String())
		m.acked[i] = acked.WithLabelValues(via.String())
	}
	return m
}

func (m *metrics) refused(via devices.Via, reason devices.Reason) {
	m.refusals.WithLabelValues(via.String(), string(reason)).Inc()
}
