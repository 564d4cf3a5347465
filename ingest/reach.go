package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"vonglau/devices"
)

// ReachOptions of a Reach.
type ReachOptions struct {
	// Heard calls each with the nodes to measure: the address a device spoke from
	// last, and when.
	Heard func(each func(devices.ID, netip.Addr, time.Time))
	// Every is the time between two requests to one node: 1 minute.
	Every time.Duration
	// PerSecond bounds the requests in all: 100. A large fleet is measured less
	// often than Every then.
	PerSecond int
	// Within leaves out nodes that were not heard for so long: 1 hour.
	Within  time.Duration
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *ReachOptions) defaults() {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.PerSecond <= 0 {
		o.PerSecond = 100
	}
	if o.Within <= 0 {
		o.Within = time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// lostAfter is when an ICMPv6 request counts as not answered.
const lostAfter = 5 * time.Second

// Reach measures the round trip to nodes by ICMPv6 echo (RFC 4443 section 4). A
// node that does not answer is not silent for that: a firewall on the way is
// enough. It needs a ping socket, which the host may not grant; then it says why.
type Reach struct {
	opt    ReachOptions
	socket *icmp.PacketConn
	raw    bool // replies to others arrive as well
	why    string
	id     uint16
	cookie uint64 // in every request: what does not have it is not ours

	mu      sync.Mutex
	seq     uint16
	pending map[uint16]echoRequest
	nodes   map[devices.ID]*devices.RoundTrip

	seconds prometheus.Histogram
}

type echoRequest struct {
	device devices.ID
	to     netip.Addr
	sent   time.Time
}

// NewReach opens the socket. It is no error when the host grants none.
func NewReach(o ReachOptions) *Reach {
	o.defaults()
	now := time.Now().UnixNano()
	r := &Reach{
		opt: o, id: uint16(now), cookie: uint64(now),
		pending: map[uint16]echoRequest{}, nodes: map[devices.ID]*devices.RoundTrip{},
		seconds: promauto.With(o.Metrics).NewHistogram(prometheus.HistogramOpts{
			Name: "vonglau_node_round_trip_seconds", Help: "Round trips to nodes by ICMPv6 echo.",
			Buckets: []float64{.001, .005, .02, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	var err error
	if r.socket, err = icmp.ListenPacket("udp6", "::"); err == nil {
		return r
	}
	var err2 error
	if r.socket, err2 = icmp.ListenPacket("ip6:ipv6-icmp", "::"); err2 == nil {
		r.raw = true
		return r
	}
	r.why = fmt.Sprintf("round trips are not measured: no ping socket (%v; %v); allow the server's group in net.ipv4.ping_group_range", err, err2)
	return r
}

// Why says why nothing is measured, empty when it is.
func (r *Reach) Why() string { return r.why }

// RoundTrip gives what was measured to a device.
func (r *Reach) RoundTrip(id devices.ID) (devices.RoundTrip, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.nodes[id]; t != nil {
		return *t, true
	}
	return devices.RoundTrip{}, false
}

// Run measures until ctx ends, and closes the socket.
func (r *Reach) Run(ctx context.Context) error {
	if r.socket == nil {
		r.opt.Log.Info(r.why)
		return nil
	}
	var reading sync.WaitGroup
	reading.Go(r.listen)
	defer reading.Wait()
	defer func() { _ = r.socket.Close() }()
	for {
		began := time.Now()
		if !r.round(ctx) {
			return nil
		}
		select {
		case <-time.After(max(time.Second, r.opt.Every-time.Since(began))):
		case <-ctx.Done():
			return nil
		}
	}
}

// round asks every node once, at the pace allowed.
func (r *Reach) round(ctx context.Context) bool {
	var list []echoRequest
	now := time.Now()
	known := map[devices.ID]bool{}
	r.opt.Heard(func(id devices.ID, a netip.Addr, last time.Time) {
		if a.Is6() && now.Sub(last) <= r.opt.Within {
			list = append(list, echoRequest{device: id, to: a})
			known[id] = true
		}
	})
	r.mu.Lock()
	for id := range r.nodes {
		if !known[id] {
			delete(r.nodes, id)
		}
	}
	r.mu.Unlock()
	pace := time.NewTicker(time.Second / time.Duration(r.opt.PerSecond))
	defer pace.Stop()
	for _, q := range list {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return false
		}
		r.ask(q)
	}
	return ctx.Err() == nil
}

func (r *Reach) ask(q echoRequest) {
	q.sent = time.Now()
	r.mu.Lock()
	r.expire(q.sent)
	r.seq++
	seq := r.seq
	r.pending[seq] = q
	t := r.nodes[q.device]
	if t == nil {
		t = &devices.RoundTrip{Method: "icmpv6"}
		r.nodes[q.device] = t
	}
	t.Sent++
	r.mu.Unlock()
	body := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{
		ID: int(r.id), Seq: int(seq), Data: binary.BigEndian.AppendUint64(nil, r.cookie),
	}}
	raw, err := body.Marshal(nil) // the kernel has the checksum
	if err != nil {
		return
	}
	var to net.Addr = &net.UDPAddr{IP: q.to.AsSlice()}
	if r.raw {
		to = &net.IPAddr{IP: q.to.AsSlice()}
	}
	if _, err := r.socket.WriteTo(raw, to); err != nil {
		r.opt.Log.Debug("an echo request was not sent", "to", q.to, "error", err)
	}
}

// expire counts the requests that are not answered any more. Called with mu held.
func (r *Reach) expire(now time.Time) {
	for seq, q := range r.pending {
		if now.Sub(q.sent) > lostAfter {
			delete(r.pending, seq)
			if t := r.nodes[q.device]; t != nil {
				t.Lost++
			}
		}
	}
}

// listen takes answers until the socket is closed.
func (r *Reach) listen() {
	buf := make([]byte, 1500)
	for {
		n, from, err := r.socket.ReadFrom(buf)
		now := time.Now()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // such as an unreachable node, told on the socket
			continue
		}
		m, err := icmp.ParseMessage(58, buf[:n]) // 58 is ICMPv6
		if err != nil || m.Type != ipv6.ICMPTypeEchoReply {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		if !ok || len(echo.Data) != 8 || binary.BigEndian.Uint64(echo.Data) != r.cookie {
			continue
		}
		r.answered(uint16(echo.Seq), addressOf(from), now)
	}
}

func (r *Reach) answered(seq uint16, from netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q, ok := r.pending[seq]
	if !ok || q.to != from {
		return
	}
	delete(r.pending, seq)
	t := r.nodes[q.device]
	if t == nil {
		return
	}
	t.At, t.Last = now.UTC().Truncate(time.Millisecond), now.Sub(q.sent)
	r.seconds.Observe(t.Last.Seconds())
	if t.Mean == 0 {
		t.Mean = t.Last
		return
	}
	t.Mean += (t.Last - t.Mean) / 8 // as TCP smooths it, RFC 6298 section 2
}

func addressOf(a net.Addr) netip.Addr {
	var ip net.IP
	switch a := a.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return devices.Canon(addr)
}
