package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// Options of a Server. The zero value of a field means its default.
type Options struct {
	// Addrs are the addresses Start listens on, "[::]:1883" or "[::1]:0". More
	// listeners, such as TLS ones, go to Serve.
	Addrs []string

	// Window bounds what one connection has in flight towards the handler, at
	// QoS 1 and 2 together and at QoS 0 again: 256. It is the Receive Maximum of
	// MQTT 5.
	Window int
	// OutWindow bounds what is in flight towards a client that allows more: 32.
	OutWindow int
	// MaxPacket is the Maximum Packet Size in bytes, both ways: 256 KiB.
	MaxPacket int
	// TopicAliases is how many a connection may define: 16.
	TopicAliases int

	// MaxConnections bounds the connected clients: 50,000. Above, a client hears
	// that the server is unavailable.
	MaxConnections int
	// MaxPending bounds the connections that have not proven who they are:
	// 1,024. MaxPendingPerSite is the share of a /64 or an IPv4 address in it,
	// 256, beyond which a site's own longest waiting gives way first.
	MaxPending, MaxPendingPerSite int
	// MaxSessions bounds the sessions of one principal: 16. The one longest
	// away gives way.
	MaxSessions int
	// MaxSubscriptions bounds the subscriptions of one session: 64.
	MaxSubscriptions int

	// ConnectTimeout bounds the time from accept to CONNACK: 10 s.
	ConnectTimeout time.Duration
	// MaxKeepAlive is the longest keep-alive: 20 minutes. MQTT 5 clients that
	// ask for more, or for none, are told so.
	MaxKeepAlive time.Duration
	// WriteTimeout bounds one write to a client: 10 s.
	WriteTimeout time.Duration
	// CloseTimeout bounds saying good-bye to a client: 1 s.
	CloseTimeout time.Duration
	// StallTimeout bounds how long a connection waits for its own messages to be
	// decided before it is ended: 30 s.
	StallTimeout time.Duration
	// MaxSessionExpiry bounds how long a session outlives its connection, and is
	// what a 3.1.1 session without clean session gets: 7 days.
	MaxSessionExpiry time.Duration

	// Sessions keeps sessions over a restart; without it they end with the
	// process.
	Sessions SessionStore

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil for none
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o *Options) setDefaults() {
	orDefault(&o.Window, 256)
	orDefault(&o.OutWindow, 32)
	orDefault(&o.MaxPacket, 256<<10)
	orDefault(&o.TopicAliases, 16)
	orDefault(&o.MaxConnections, 50_000)
	orDefault(&o.MaxPending, 1024)
	orDefault(&o.MaxPendingPerSite, 256)
	orDefault(&o.MaxSessions, 16)
	orDefault(&o.MaxSubscriptions, 64)
	orDefault(&o.ConnectTimeout, 10*time.Second)
	orDefault(&o.MaxKeepAlive, 20*time.Minute)
	orDefault(&o.WriteTimeout, 10*time.Second)
	orDefault(&o.CloseTimeout, time.Second)
	orDefault(&o.StallTimeout, 30*time.Second)
	orDefault(&o.MaxSessionExpiry, 7*24*time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func (o *Options) validate() error {
	var errs []error
	for _, a := range o.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("mqtt: listen address %q: %w; write [host]:port, as in [::]:1883", a, err))
		}
	}
	within := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("mqtt: %s is %d, must be %d to %d", name, v, low, high))
		}
	}
	within("Window", o.Window, 1, 32767)
	within("OutWindow", o.OutWindow, 1, 1024)
	within("MaxPacket", o.MaxPacket, 1024, 268435455)
	within("TopicAliases", o.TopicAliases, 0, 1024)
	for name, v := range map[string]int{"MaxConnections": o.MaxConnections, "MaxPending": o.MaxPending,
		"MaxPendingPerSite": o.MaxPendingPerSite, "MaxSessions": o.MaxSessions, "MaxSubscriptions": o.MaxSubscriptions} {
		within(name, v, 1, 1<<30)
	}
	for name, v := range map[string]time.Duration{"ConnectTimeout": o.ConnectTimeout, "WriteTimeout": o.WriteTimeout,
		"CloseTimeout": o.CloseTimeout, "StallTimeout": o.StallTimeout} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("mqtt: %s is %v, must be positive", name, v))
		}
	}
	if o.MaxKeepAlive < time.Second || o.MaxKeepAlive > 65535*time.Second {
		errs = append(errs, fmt.Errorf("mqtt: MaxKeepAlive is %v, must be 1 to 65535 seconds", o.MaxKeepAlive))
	}
	if o.MaxSessionExpiry < time.Second || o.MaxSessionExpiry >= 0xffffffff*time.Second {
		errs = append(errs, fmt.Errorf("mqtt: MaxSessionExpiry is %v, must be a second or more and end", o.MaxSessionExpiry))
	}
	return errors.Join(errs...)
}

// metrics of one server.
type metrics struct {
	received, sent [16]prometheus.Counter // by packet type
	accepted       prometheus.Counter
	refused        *prometheus.CounterVec // by reason
	connects       *prometheus.CounterVec // by version and result
	ends           *prometheus.CounterVec // by cause
	connections    prometheus.Gauge
	pending        prometheus.Gauge
	evicted        prometheus.Counter
	sessions       prometheus.Gauge
	panics         prometheus.Counter
	acceptErrors   prometheus.Counter
	skipped        *prometheus.CounterVec // outgoing messages not sent, by why
	storeErrors    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "mqtt", Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "mqtt", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "vonglau", Subsystem: "mqtt", Name: name, Help: help})
	}
	packets := vec("packets_total", "Packets by direction and type.", "direction", "type")
	m := &metrics{
		accepted:     counter("publishes_accepted_total", "Messages of clients that the handler took."),
		refused:      vec("publishes_refused_total", "Messages of clients that the handler refused, by reason.", "reason"),
		connects:     vec("connects_total", "CONNECT packets by protocol version and the code they were answered with.", "version", "code"),
		ends:         vec("connections_ended_total", "Ends of connections by cause.", "cause"),
		connections:  gauge("connections", "Connected clients."),
		pending:      gauge("connections_pending", "Connections that have not proven who they are."),
		evicted:      counter("connections_evicted_total", "Unproven connections closed to make room for others."),
		sessions:     gauge("sessions", "Sessions, with and without a connection."),
		panics:       counter("panics_total", "Panics recovered, each ended one connection."),
		acceptErrors: counter("accept_errors_total", "Errors of accept, waited out."),
		skipped:      vec("deliveries_skipped_total", "Messages for a subscriber that were not sent, by why.", "why"),
		storeErrors:  counter("session_store_errors_total", "Sessions that could not be kept over a restart."),
	}
	for i, name := range typeNames {
		m.received[i] = packets.WithLabelValues("in", name)
		m.sent[i] = packets.WithLabelValues("out", name)
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{packets, m.accepted, m.refused, m.connects, m.ends, m.connections, m.pending,
		m.evicted, m.sessions, m.panics, m.acceptErrors, m.skipped, m.storeErrors} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("mqtt: registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) outcome(label devices.Reason) {
	if label == "" {
		m.accepted.Inc()
		return
	}
	m.refused.WithLabelValues(string(label)).Inc()
}
