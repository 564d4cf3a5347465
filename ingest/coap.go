package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/dtls"
	dtlsserver "github.com/plgd-dev/go-coap/v3/dtls/server"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/responsewriter"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/options/config"
	"github.com/plgd-dev/go-coap/v3/pkg/runner/periodic"
	"github.com/plgd-dev/go-coap/v3/udp"
	udpclient "github.com/plgd-dev/go-coap/v3/udp/client"
	udpserver "github.com/plgd-dev/go-coap/v3/udp/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"vonglau/devices"
)

const (
	// exchangeLifetime is EXCHANGE_LIFETIME of RFC 7252 section 4.8.2: how long
	// a message id must be recognised. The library forgets a peer's ids with the
	// peer, so a peer must be kept at least as long.
	exchangeLifetime = 247 * time.Second
	// piggyback is how long a confirmable request may wait for the disk. The
	// device retransmits after ACK_TIMEOUT, 2 s (section 4.8); by then it has
	// its answer or is told to come back.
	piggyback = 1500 * time.Millisecond
	// blockSZX is blocks of 512 bytes: with all headers such a one passes the
	// smallest IPv6 MTU, 1280 (RFC 8200 section 5), behind a router that drops
	// Packet Too Big.
	blockSZX = 5
)

// CoAPOptions of the CoAP door.
type CoAPOptions struct {
	// Secure is the address of the door over DTLS (dtls.go); empty keeps it shut.
	Secure string
	// Peers and PeersPerSite bound the addresses remembered at once, in all and
	// per /64: one host can speak from 2^64 of them.
	Peers, PeersPerSite int
	// Workers bounds the requests in work at once. When all are busy a request
	// is dropped and the device retransmits it.
	Workers int
	// Commands are what devices can ask for and observe; nil serves none.
	Commands *Commands
	// Images are what devices can fetch; nil serves none.
	Images *Images
	// States are what devices read and report; nil serves none.
	States *States

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *CoAPOptions) defaults() {
	if o.Peers == 0 {
		o.Peers = 50_000
	}
	if o.PeersPerSite == 0 {
		o.PeersPerSite = 4096
	}
	if o.Workers == 0 {
		o.Workers = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// CoAP is the door for devices that speak CoAP over UDP (RFC 7252), with
// block-wise transfer (RFC 7959, coap_block.go), and the same over DTLS, where the
// handshake has proven the device: no token is asked for, and /t is short for its
// own /devices/{id}/telemetry.
//
//	POST coap://host/devices/{id}/telemetry?k=TOKEN   2.04
//	GET  coap://host/devices/{id}/commands?k=TOKEN     2.05, Observe (coap_commands.go)
//	POST coap://host/devices/{id}/commands/ack?k=TOKEN 2.04
//	GET  coap://host/devices/{id}/firmware/{name}?k=TOKEN 2.05, Block2 (firmware.go)
//	GET  coap://host/.well-known/core                 2.05
//
// The answer to a confirmable request rides on its acknowledgement and leaves
// after the journal's sync, never before: an empty acknowledgement would stop
// the device's retransmission while the reading is still in memory.
type CoAP struct {
	opt    CoAPOptions
	gate   *Gate
	conn   *coapnet.UDPConn // nil when the plain door is shut
	server *udpserver.Server
	secure *secureDoor // nil when the door over DTLS is shut
	sealed *dtlsserver.Server
	work   chan struct{} // one token per worker
	parts  *transfers

	observers *observers

	mu      sync.Mutex // guards peers, sites, stopped
	peers   int
	sites   map[netip.Prefix]int
	stopped bool // no request is begun any more

	running sync.WaitGroup // the listener
	working sync.WaitGroup // requests
	stop    sync.Once

	dropped, malformed, panics prometheus.Counter
}

type (
	coapConn    = udpclient.Conn
	coapWriter  = responsewriter.ResponseWriter[*coapConn]
	coapHandler = config.HandlerFunc[*coapConn]
)

// NewCoAP opens the sockets; Start serves them. An empty addr keeps the plain
// door shut.
func NewCoAP(g *Gate, addr string, o CoAPOptions) (*CoAP, error) {
	o.defaults()
	var conn *coapnet.UDPConn
	if addr != "" {
		var err error
		if conn, err = coapnet.NewListenUDP("udp", addr, coapnet.WithErrors(func(error) {})); err != nil {
			return nil, fmt.Errorf("coap: listen on %s: %w", addr, err)
		}
	}
	make_ := promauto.With(o.Metrics)
	c := &CoAP{
		opt: o, gate: g, conn: conn,
		work:  make(chan struct{}, o.Workers),
		parts: newTransfers(g.opt.Limits.Bytes, g.opt.Now), observers: newObservers(),
		sites: map[netip.Prefix]int{},
		dropped: make_.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_coap_dropped_total",
			Help: "Datagrams dropped because all workers were busy or the sender's prefix had too many peers.",
		}),
		malformed: make_.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_coap_malformed_total",
			Help: "Datagrams that are no CoAP message, and transport errors.",
		}),
		panics: make_.NewCounter(prometheus.CounterOpts{
			Name: "vonglau_coap_panics_total",
			Help: "Requests that ended in a recovered panic: each is a defect.",
		}),
	}
	promauto.With(o.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vonglau_coap_peers", Help: "Addresses remembered for duplicate detection.",
	}, func() float64 { c.mu.Lock(); defer c.mu.Unlock(); return float64(c.peers) })

	promauto.With(o.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vonglau_coap_observations", Help: "Observations of commands.",
	}, func() float64 { return float64(c.observers.count()) })

	c.server = udp.NewServer(
		options.WithHandlerFunc(udpserver.HandlerFunc(c.serve)),
		options.WithErrors(c.transportError),
		options.WithMaxMessageSize(uint32(g.opt.Limits.Bytes+1024)),
		options.WithBlockwise(false, 0, 0),
		options.WithInactivityMonitor(exchangeLifetime, func(cc *coapConn) { _ = cc.Close() }),
		options.WithOnNewConn(c.admit),
		options.WithRequestMonitor(udpclient.RequestMonitorFunc(c.monitor)),
		options.WithProcessReceivedMessageFunc(config.ProcessReceivedMessageFunc[*coapConn](c.dispatch)),
	)
	if o.Secure == "" {
		return c, nil
	}
	var err error
	if c.secure, err = newSecureDoor(g, o.Secure, o.Metrics); err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	c.sealed = dtls.NewServer(
		options.WithHandlerFunc(dtlsserver.HandlerFunc(c.serve)),
		options.WithErrors(c.transportError),
		options.WithMaxMessageSize(uint32(g.opt.Limits.Bytes+1024)),
		options.WithBlockwise(false, 0, 0),
		options.WithInactivityMonitor(secureIdle, func(cc *coapConn) { _ = cc.Close() }),
		options.WithPeriodicRunner(periodic.New(c.secure.done, 4*time.Second)),
		options.WithOnNewConn(dtlsserver.OnNewConnFunc(c.admit)),
		options.WithRequestMonitor(udpclient.RequestMonitorFunc(c.monitor)),
		options.WithProcessReceivedMessageFunc(config.ProcessReceivedMessageFunc[*coapConn](c.dispatch)),
	)
	return c, nil
}

// Addr is where the plain door listens, SecureAddr the one over DTLS; nil when
// it is shut.
func (c *CoAP) Addr() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.LocalAddr()
}

// SecureAddr is where the door over DTLS listens.
func (c *CoAP) SecureAddr() net.Addr {
	if c.secure == nil {
		return nil
	}
	return c.secure.datagrams.socket.LocalAddr()
}

// Start serves until Stop.
func (c *CoAP) Start() {
	if c.conn != nil {
		c.running.Add(1)
		go c.run()
	}
	if c.secure != nil {
		c.secure.start()
		c.running.Add(1)
		go c.runSecure()
	}
}

func (c *CoAP) runSecure() {
	defer c.running.Done()
	if err := c.sealed.Serve(c.secure); err != nil {
		c.opt.Log.Error("coaps: the listener ended", "error", err)
	}
}

func (c *CoAP) run() {
	defer c.running.Done()
	if err := c.server.Serve(c.conn); err != nil {
		c.opt.Log.Error("coap: the listener ended", "error", err)
	}
}

// Stop begins no further request, lets the answers of those in work leave, and
// closes the socket.
func (c *CoAP) Stop() {
	c.stop.Do(func() {
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
		c.working.Wait()
		c.observers.stop()
		c.server.Stop()
		if c.conn != nil {
			_ = c.conn.Close()
		}
		if c.secure != nil {
			_ = c.secure.Close()
			c.sealed.Stop()
		}
	})
	c.running.Wait()
}

func (c *CoAP) transportError(err error) {
	c.malformed.Inc()
	c.opt.Log.Debug("coap: datagram not served", "error", err)
}

// admit keeps the peers within bounds. A peer over them is closed at once,
// which makes the library drop its datagram.
func (c *CoAP) admit(cc *coapConn) {
	site := devices.SitePrefix(devices.PeerOf(cc.RemoteAddr()).Addr())
	c.mu.Lock()
	ok := c.peers < c.opt.Peers && c.sites[site] < c.opt.PeersPerSite
	if ok {
		c.peers++
		c.sites[site]++
	}
	c.mu.Unlock()
	if !ok {
		c.dropped.Inc()
		_ = cc.Close()
		return
	}
	cc.AddOnClose(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.peers--
		if c.sites[site]--; c.sites[site] == 0 {
			delete(c.sites, site)
		}
	})
}

// dispatch runs a request in a worker of its own. The library calls it from one
// goroutine per peer, and from its only reader when that one's queue is full:
// it must not wait, or one slow peer stalls all.
func (c *CoAP) dispatch(req *pool.Message, cc *coapConn, handler coapHandler) {
	if !c.begin() {
		c.dropped.Inc()
		cc.ReleaseMessage(req)
		return
	}
	go c.process(req, cc, handler)
}

// begin takes a worker, unless all are busy or Stop was called.
func (c *CoAP) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	select {
	case c.work <- struct{}{}:
		c.working.Add(1)
		return true
	default:
		return false
	}
}

func (c *CoAP) process(req *pool.Message, cc *coapConn, handler coapHandler) {
	defer c.working.Done()
	defer func() { <-c.work }()
	defer func() {
		if v := recover(); v != nil {
			c.panics.Inc()
			c.opt.Log.Error("coap: request panicked", "from", cc.RemoteAddr(), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	cc.ProcessReceivedMessageWithHandler(req, handler)
}

const coreLinks = `</devices>;rt="vonglau.telemetry";ct="50 60 110 112";title="POST /devices/{id}/telemetry?k=TOKEN",` +
	`</devices>;rt="vonglau.commands";ct=50;obs;title="GET /devices/{id}/commands?k=TOKEN"`

func (c *CoAP) serve(w *coapWriter, r *pool.Message) {
	defer modest(w, r)
	path, err := r.Path()
	if err != nil {
		path = ""
	}
	path = strings.Trim(path, "/")
	if sc, ok := w.Conn().NetConn().(*secureConn); ok && path == "t" {
		path = "devices/" + string(sc.device) + "/telemetry"
	}
	switch {
	case path == ".well-known/core" && r.Code() == codes.GET:
		c.discover(w, r)
	case path == ".well-known/core":
		c.respond(w, codes.MethodNotAllowed, message.TextPlain, "")
	default:
		c.serveDevice(w, r, path)
	}
}

// serveDevice serves what is under /devices/{id}/.
func (c *CoAP) serveDevice(w *coapWriter, r *pool.Message, path string) {
	rest, ok := strings.CutPrefix(path, "devices/")
	id, resource, ok2 := strings.Cut(rest, "/")
	read, write := r.Code() == codes.GET, r.Code() == codes.POST || r.Code() == codes.PUT
	var serve func(*coapWriter, *pool.Message, *devices.Device)
	allowed := write
	switch {
	case !ok || !ok2:
	case resource == "telemetry":
		serve = c.telemetry
	case resource == "commands" && c.opt.Commands != nil:
		serve, allowed = c.commandList, read
	case resource == "commands/ack" && c.opt.Commands != nil:
		serve = c.commandAnswer
	case resource == "state/desired" && c.opt.States != nil:
		serve, allowed = c.desiredState, read
	case resource == "state/reported" && c.opt.States != nil:
		serve = c.reportedState
	case strings.HasPrefix(resource, "firmware/") && c.opt.Images != nil:
		serve, allowed = c.firmware(strings.TrimPrefix(resource, "firmware/")), read
	}
	switch {
	case serve == nil:
		c.refuse(w, devices.Refuse(devices.ReasonBadTopic, "no such resource; POST /devices/{id}/telemetry"))
	case !allowed:
		c.respond(w, codes.MethodNotAllowed, message.TextPlain, "")
	default:
		if device, ok := c.identify(w, r, id); ok {
			serve(w, r, device)
		}
	}
}

// prove looks at what the handshake has proven, and else at the token.
func (c *CoAP) prove(w *coapWriter, r *pool.Message, id devices.ID) (*devices.Device, error) {
	sc, ok := w.Conn().NetConn().(*secureConn)
	if !ok {
		return c.gate.Authenticate(id, tokenOf(r))
	}
	device, ok := c.gate.opt.Register.Get(sc.device)
	switch {
	case !ok || !device.Holds(sc.session.proof, c.gate.opt.Now()):
		return nil, &devices.Refusal{Reason: devices.ReasonBadCredential, Device: sc.device, Detail: whyRevoked}
	case id != sc.device:
		return nil, &devices.Refusal{Reason: devices.ReasonForeignDevice, Device: sc.device, Detail: "the handshake has proven another device"}
	}
	return device, nil
}

// identify finds the device a request proves to come from, or refuses it.
func (c *CoAP) identify(w *coapWriter, r *pool.Message, id string) (*devices.Device, bool) {
	device, err := c.prove(w, r, devices.ID(id))
	if err != nil {
		refusal := asRefusal(err)
		refusal.Via, refusal.From = devices.ViaCoAP, devices.PeerOf(w.Conn().RemoteAddr())
		c.gate.Refused(refusal, nil)
		c.refuse(w, refusal)
		return nil, false
	}
	return device, true
}

// discover answers RFC 6690 discovery, in blocks when the client wants smaller
// ones.
func (c *CoAP) discover(w *coapWriter, r *pool.Message) {
	want, asked, err := blockOf(r, message.Block2)
	if err != nil {
		c.refuse(w, err)
		return
	}
	if !asked {
		want = block{szx: blockSZX}
	}
	part, got, ok := slice([]byte(coreLinks), modestBlock(want, r))
	switch {
	case !ok:
		c.respond(w, codes.BadRequest, message.TextPlain, "no such block")
	case asked || got.more:
		c.respond(w, codes.Content, message.AppLinkFormat, string(part), got.option(message.Block2))
	default:
		c.respond(w, codes.Content, message.AppLinkFormat, coreLinks)
	}
}

func (c *CoAP) telemetry(w *coapWriter, r *pool.Message, device *devices.Device) {
	from := devices.PeerOf(w.Conn().RemoteAddr())
	turnAway := func(err error, opts ...message.Option) {
		refusal := asRefusal(err)
		refusal.Device, refusal.Via, refusal.From = device.ID, devices.ViaCoAP, from
		c.gate.Refused(refusal, nil)
		c.refuse(w, refusal, opts...)
	}
	payload, format, err := c.payload(r)
	if err != nil {
		turnAway(err)
		return
	}
	var echo []message.Option // the last block's option goes with the answer
	b, blocked, err := blockOf(r, message.Block1)
	if err != nil {
		turnAway(err)
		return
	}
	if blocked {
		echo = []message.Option{b.option(message.Block1)}
		whole, verdict := c.parts.add(device.ID, requestTag(r), b, payload)
		switch verdict {
		case blockMore:
			c.respond(w, codes.Continue, message.TextPlain, "", echo...)
			return
		case blockIncomplete:
			c.respond(w, codes.RequestEntityIncomplete, message.TextPlain, "", echo...)
			return
		case blockTooLarge:
			turnAway(devices.Refuse(devices.ReasonTooLarge, "payload over %d bytes", c.gate.opt.Limits.Bytes), echo...)
			return
		case blockBusy:
			c.refuse(w, devices.Refuse(devices.ReasonBusy, "too many transfers are open"), echo...)
			return
		}
		payload = whole
	}
	result := make(chan error, 1)
	c.gate.Submit(Delivery{
		Device: device, Via: devices.ViaCoAP, From: from, Format: format, Payload: payload,
	}, func(err error) { result <- err })

	ctx, cancel := context.WithTimeout(r.Context(), piggyback)
	defer cancel()
	select {
	case err := <-result:
		if err != nil {
			c.refuse(w, err, echo...)
			return
		}
		c.respond(w, codes.Changed, message.TextPlain, "", echo...)
	case <-ctx.Done():
		c.refuse(w, devices.Refuse(devices.ReasonUnavailable, "the disk is slow"), echo...)
	}
}

// payload reads the body of one request, which may be one block of several, and
// its format. There is no sniffing: a request without a Content-Format means
// nothing defined (RFC 7252 section 5.5.1).
func (c *CoAP) payload(r *pool.Message) ([]byte, devices.Format, error) {
	number, absent := r.ContentFormat()
	format, err := devices.FormatOfCoAP(uint32(number), absent == nil)
	if err != nil {
		return nil, "", err
	}
	size, err := r.BodySize()
	if err != nil {
		return nil, "", devices.Refuse(devices.ReasonMalformed, "reading the payload: %v", err)
	}
	if limit := int64(c.gate.opt.Limits.Bytes); size > limit {
		return nil, "", devices.Refuse(devices.ReasonTooLarge, "payload over %d bytes", limit)
	}
	// From the start: putting blocks together leaves the body read to its end.
	payload, err := r.ReadBody()
	if err != nil {
		return nil, "", devices.Refuse(devices.ReasonMalformed, "reading the payload: %v", err)
	}
	return payload, format, nil
}

func tokenOf(r *pool.Message) string {
	queries, err := r.Queries()
	if err != nil {
		return ""
	}
	for _, q := range queries {
		if token, ok := strings.CutPrefix(q, "k="); ok {
			return token
		}
	}
	return ""
}

// maxDiagnostic bounds the diagnostic payload (RFC 7252 section 5.5.2): to a
// sender that has proven nothing the answer is never much larger than the
// request.
const maxDiagnostic = 96

func (c *CoAP) refuse(w *coapWriter, err error, opts ...message.Option) {
	refusal, a := answerFor(err)
	text := string(refusal.Reason)
	if a.coap == codes.Unauthorized {
		text = ""
	} else if refusal.Detail != "" {
		text += ": " + refusal.Detail
	}
	if len(text) > maxDiagnostic {
		text = strings.ToValidUTF8(text[:maxDiagnostic], "")
	}
	if refusal.Reason.Retry() {
		// 5.03 and 4.29 carry the wait as Max-Age (RFC 7252 section 5.9.3.4, RFC 8516).
		opts = append(opts, maxAge(waitOf(refusal)))
	}
	c.respond(w, a.coap, message.TextPlain, text, opts...)
}

func maxAge(d time.Duration) message.Option {
	buf := make([]byte, 4)
	n, _ := message.EncodeUint32(buf, uint32(d/time.Second))
	return message.Option{ID: message.MaxAge, Value: buf[:n]}
}

func (c *CoAP) respond(w *coapWriter, code codes.Code, format message.MediaType, text string, opts ...message.Option) {
	var body io.ReadSeeker
	if text != "" {
		body = bytes.NewReader([]byte(text))
	}
	if err := w.SetResponse(code, format, body, opts...); err != nil && !errors.Is(err, context.Canceled) {
		c.opt.Log.Debug("coap: answer not built", "error", err)
	}
}
