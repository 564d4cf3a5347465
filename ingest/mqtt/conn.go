package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"vonglau/devices"
)

const (
	smallBuffer = 2 << 10  // of an idle connection
	busyBuffer  = 16 << 10 // of one that fills the small one
	largeBuffer = 64 << 10 // above, it is given back
	maxQueued   = 64 << 10 // bytes waiting to be written before the reader waits too
	maxNames    = 32       // strings a connection remembers, so that a repeated topic costs nothing
	maxName     = 256      // bytes of one of them
)

// past is a deadline that is over, and what a blocked Read wakes up from.
var past = time.Unix(1, 0)

// conn is one connection. Its reader (serve) decodes and calls the Peer, its
// writer (write) is the only one that writes once CONNECT is accepted, its
// feeds carry the subscriptions. What they share is guarded by mu, which is
// never held during I/O or a call of the Handler.
//
// A connection ends once: the first call of end decides how. The reader then
// sees its deadline, the writer says what is left to say, the feeds see ctx and
// cond, and serve waits for both before the session is let go.
type conn struct {
	srv  *Server
	nc   net.Conn
	from netip.AddrPort
	log  *slog.Logger

	since  time.Time // it was accepted
	ctx    context.Context
	cancel context.CancelFunc
	feeds  sync.WaitGroup

	// Set by connect, then constant.
	version   byte
	quiet     bool // wants no reason strings outside CONNACK and DISCONNECT
	maxOut    int  // largest packet the client takes
	outWindow int  // QoS 1 messages in flight towards it
	keepAlive time.Duration
	peer      Peer
	sess      *session

	// The reader's.
	buf     []byte
	r, w    int // unread bytes
	used    int // bytes of the packet being handled, at r
	fresh   bool
	names   map[string]string
	aliases []string
	props   properties
	msg     Message
	will    *will // nil for none, or when the client took it back
	left    bool  // the session was let go

	wake    chan struct{} // capacity 1
	written chan struct{} // closed when the writer is done
	ending  atomic.Bool   // ended is set

	mu      sync.Mutex
	cond    sync.Cond // on mu: something was written, decided or ended
	waiting int       // on cond
	ended   *End
	out     []byte // for the writer
	spare   []byte
	acks    ackRing
	unacked int             // messages of the client holding room in the window
	open    map[uint16]bool // MQTT 5: the QoS 2 identifiers among them
	flights int             // QoS 1 messages towards the client
}

func (s *Server) newConn(nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, from: devices.PeerOf(nc.RemoteAddr()), wake: make(chan struct{}, 1),
		written: make(chan struct{}), maxOut: 1 << 28, since: time.Now(), buf: make([]byte, smallBuffer)}
	c.cond.L = &c.mu
	c.log = s.opts.Log.With("from", c.from)
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// end ends the connection; the first call decides how, and a later one that
// does not wait cuts short one that does.
func (c *conn) end(e End) {
	c.mu.Lock()
	wait := e.wait
	// Writing to a client that does not wait for its acknowledgements may fail
	// before its DISCONNECT is handled, which is what it meant to say.
	if c.ended == nil || c.ended.Cause == CauseClosed && e.Cause == CauseDisconnect {
		c.ended = &e
	}
	wait = wait && c.ended.wait
	c.ended.wait = wait
	c.ending.Store(true)
	c.cond.Broadcast()
	c.mu.Unlock()
	c.cancel() // whatever the Handler is asked just now
	c.nc.SetReadDeadline(past)
	if !wait {
		c.nc.SetWriteDeadline(time.Now().Add(c.srv.opts.CloseTimeout))
	}
	c.wakeWriter()
}

func (c *conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// await waits on cond until ok or the end. Called with mu held; it reports
// whether ok.
func (c *conn) await(ok func() bool) bool {
	for !ok() {
		if c.ended != nil {
			return false
		}
		c.waiting++
		c.cond.Wait()
		c.waiting--
	}
	return c.ended == nil
}

// recovered turns a panic into the end of the connection.
func (c *conn) recovered() {
	if p := recover(); p != nil {
		c.srv.metrics.panics.Inc()
		c.log.Error("mqtt: panic on a connection, it is ended", "panic", p, "stack", string(debug.Stack()))
		c.end(End{Cause: CauseFault, Detail: "internal error", code: codeImplementation})
	}
}

// serve is the life of a connection that was accepted.
func (c *conn) serve() {
	defer c.srv.drop(c)
	defer c.nc.Close()
	defer c.cancel()
	if !c.connected() {
		return
	}
	c.read()
	<-c.written
	c.cancel()
	c.closeIdle()
	c.feeds.Wait()
	c.mu.Lock()
	e := *c.ended
	c.mu.Unlock()
	c.srv.metrics.ends.WithLabelValues(string(e.Cause)).Inc()
	c.log.Debug("mqtt: connection ended", "cause", e.Cause, "detail", e.String())
	c.leave(e)
	if e.code != 0 {
		c.linger()
	}
}

// connected is connect, of which a panic leaves nothing behind.
func (c *conn) connected() (ok bool) {
	defer func() {
		if !ok && c.sess != nil && !c.left {
			c.closeIdle()
			c.leave(End{Cause: CauseFault, Detail: "internal error"})
		}
	}()
	defer c.recovered()
	return c.connect()
}

// leave lets go of the session and tells the Peer, once.
func (c *conn) leave(e End) {
	if c.left {
		return
	}
	c.left = true
	defer c.recovered()
	c.srv.sessions.leave(c, e)
}

// linger waits a moment for the client to close after it was sent a DISCONNECT:
// closing with unread bytes resets the connection, and the client might never
// see why.
func (c *conn) linger() {
	w, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(c.srv.opts.CloseTimeout))
	io.CopyN(io.Discard, c.nc, 4<<20)
}

// read handles packets until the connection ends.
func (c *conn) read() {
	defer c.recovered()
	for {
		first, body, err := c.next(c.srv.opts.MaxPacket)
		ending := c.ending.Load()
		switch {
		case ending && err != nil:
			return
		case ending && first>>4 != typeDisconnect:
			continue // it comes again
		case err == nil:
			c.srv.metrics.received[first>>4].Inc()
			c.fresh = true
			err = c.handle(first, body)
		}
		var asked *errEnd
		if err != nil && (errors.As(err, &asked) || !c.ending.Load()) {
			c.end(c.endOf(err))
		}
	}
}

// errEnd is an end a packet asks for.
type errEnd struct{ End }

func (e *errEnd) Error() string { return e.String() }

// endOf says how the connection ends because of an error while reading.
func (c *conn) endOf(err error) End {
	var wire *wireError
	var asked *errEnd
	switch {
	case errors.As(err, &asked):
		return asked.End
	case errors.As(err, &wire):
		e := End{Cause: CauseProtocol, Detail: wire.detail, code: wire.code}
		if wire.code == codeTooLarge {
			e.Refusal = &devices.Refusal{Reason: devices.ReasonTooLarge, Via: devices.ViaMQTT, From: c.from, At: now(), Detail: wire.detail}
		}
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		return End{Cause: CauseKeepAlive, code: codeKeepAlive, // [MQTT-3.1.2-22]
			Detail: fmt.Sprintf("nothing heard for one and a half times %v", c.keepAlive)}
	}
	return End{Cause: CauseClosed, Detail: "connection lost"}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// next gives the next packet, which stays valid until next is called again.
func (c *conn) next(limit int) (first byte, body []byte, err error) {
	c.r += c.used
	c.used = 0
	for {
		have := c.buf[c.r:c.w]
		first, head, size, wire := fixedHeader(have)
		switch {
		case c.peer == nil && len(have) > 0 && have[0] != typeConnect<<4:
			return 0, nil, protocol("the first packet is no CONNECT") // [MQTT-3.1.0-1]
		case wire != nil:
			return 0, nil, wire
		case size > limit:
			return 0, nil, &wireError{codeTooLarge, fmt.Sprintf("%s packet of %d bytes, at most %d are taken", typeNames[first>>4], size, limit)}
		case size > 0 && len(have) >= size:
			c.used = size
			return first, have[head:size:size], nil
		case size == 0:
			size = len(have) + 1
		}
		if err := c.fill(size); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads once, towards a packet of need bytes. The buffer grows no faster
// than bytes arrive: a length that is only claimed costs nothing.
func (c *conn) fill(need int) error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
		if len(c.buf) > largeBuffer {
			c.buf = make([]byte, busyBuffer)
		}
	case c.r+need > len(c.buf):
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.grow(min(need, 2*len(c.buf)))
	}
	if c.fresh && c.keepAlive > 0 {
		// From the last whole packet on, not from the last byte [MQTT-3.1.2-22].
		c.nc.SetReadDeadline(time.Now().Add(c.keepAlive * 3 / 2))
		c.fresh = false
	}
	if c.ending.Load() {
		return net.ErrClosed // end may have set its deadline before ours
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if c.w == len(c.buf) && len(c.buf) < busyBuffer {
		c.grow(busyBuffer)
	}
	if n > 0 {
		return nil
	}
	return err
}

func (c *conn) grow(size int) {
	b := make([]byte, size)
	copy(b, c.buf[:c.w])
	c.buf = b
}

// write is the writer.
func (c *conn) write() {
	defer close(c.written)
	defer c.recovered()
	for {
		b, last := c.collect()
		if len(b) > 0 {
			d := c.srv.opts.WriteTimeout
			c.nc.SetWriteDeadline(time.Now().Add(d))
			if c.ending.Load() {
				c.nc.SetWriteDeadline(time.Now().Add(min(d, c.srv.opts.CloseTimeout)))
			}
			if _, err := c.nc.Write(b); err != nil {
				e := End{Cause: CauseClosed, Detail: "connection lost"}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					e = End{Cause: CauseSlow, Detail: "it does not read what it is sent"}
				}
				c.end(e)
				return
			}
		}
		if last {
			return
		}
		c.mu.Lock()
		if c.spare == nil && cap(b) <= busyBuffer {
			c.spare = b[:0]
		}
		c.mu.Unlock()
		<-c.wake
	}
}

// collect takes what is to be written; last is true when nothing follows.
func (c *conn) collect() (b []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, c.out, c.spare = c.out, c.spare, nil
	b, e := c.writeAcks(b)
	if e != nil && c.ended == nil {
		c.ended = e
		c.ending.Store(true)
		c.cancel()
		c.nc.SetReadDeadline(past)
	}
	if c.ended != nil && (e != nil || !c.ended.wait || c.acks.len() == 0) {
		last = true
		if c.version == version5 && c.ended.code != 0 {
			b = appendDisconnect(b, c.ended.code, c.ended.String(), c.maxOut)
			c.srv.metrics.sent[typeDisconnect].Inc()
		}
	}
	if c.waiting > 0 {
		c.cond.Broadcast()
	}
	return b, last
}

// queue hands a packet to the writer. The reader waits while too much is
// waiting already.
func (c *conn) queue(kind byte, encode func(b []byte) []byte) {
	c.mu.Lock()
	if c.await(func() bool { return len(c.out) < maxQueued }) {
		before := len(c.out)
		c.out = encode(c.out)
		if len(c.out)-before > c.maxOut {
			c.out = c.out[:before] // [MQTT-3.1.2-24]
		} else {
			c.srv.metrics.sent[kind].Inc()
		}
	}
	c.mu.Unlock()
	c.wakeWriter()
}

// intern gives b as a string, the same one for the same bytes while it can.
func (c *conn) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxName && len(c.names) < maxNames {
		if c.names == nil {
			c.names = map[string]string{}
		}
		c.names[s] = s
	}
	return s
}

// handle answers one packet. body is valid until it returns.
func (c *conn) handle(first byte, body []byte) error {
	kind, flags := first>>4, first&0x0f
	switch kind {
	case typePublish:
		return c.publish(flags, body)
	case typePuback, typePubrec, typePubrel, typePubcomp:
		k, err := decodeAck(c.version, kind, flags, body)
		if err != nil {
			return err
		}
		return c.acknowledged(kind, k)
	case typeSubscribe:
		k, err := decodeSubscribe(c.version, flags, body)
		if err != nil {
			return err
		}
		return c.subscribe(k)
	case typeUnsubscribe:
		k, err := decodeUnsubscribe(c.version, flags, body)
		if err != nil {
			return err
		}
		return c.unsubscribe(k)
	case typePingreq:
		if flags != 0 || len(body) != 0 {
			return malformed("PINGREQ with flags or a body")
		}
		c.queue(typePingresp, func(b []byte) []byte { return append(b, typePingresp<<4, 0) })
		return nil
	case typeDisconnect:
		k, err := decodeDisconnect(c.version, flags, body)
		if err != nil {
			return err
		}
		return c.disconnected(k)
	case 0:
		return malformed("packet type 0")
	}
	// A second CONNECT [MQTT-3.1.0-2], AUTH without an authentication method,
	// and what only a server sends.
	return protocol(typeNames[kind] + " packet out of place")
}

func (c *conn) publish(flags byte, body []byte) error {
	k, wire := decodePublish(c.version, flags, body, &c.props)
	if wire != nil {
		return wire
	}
	topic, wire := c.topicOf(&k)
	if wire != nil {
		return wire
	}
	m := &c.msg
	*m = Message{Topic: topic, Payload: k.payload, QoS: k.qos, Retain: k.retain, Dup: k.dup}
	if k.hasProps {
		c.props.describe(m, c.intern)
	}
	var refusal error
	if topic[0] == '$' || len(topic) > maxTopic {
		// 3.1.1 could only be told by an acknowledgement that looks like success.
		if c.version == version311 {
			return &wireError{codeTopicName, "topic is not served"}
		}
		refusal = devices.Refuse(devices.ReasonBadTopic, "topics beginning with $ or longer than %d bytes are not served", maxTopic)
	}
	seq, err := c.reserve(&k)
	if err != nil {
		return err
	}
	a := Ack{c: c, seq: seq}
	if k.qos == 2 {
		x, submit, ok := c.sess.begin(k.id, c.srv.hash(topic, k.payload), a, 4*max(c.srv.opts.Window, 256))
		if !ok {
			return &wireError{codeQuota, "too many QoS 2 messages without PUBREL"}
		}
		if !submit {
			return nil
		}
		a.x = x
	}
	if refusal != nil {
		a.Done(refusal)
		return nil
	}
	c.peer.Publish(m, a)
	if p, ok := c.peer.(Pacer); ok {
		c.pause(p.Pace())
	}
	return nil
}

// maxPause is the longest a connection is not read from at a stretch: it has to
// answer PINGREQ.
const maxPause = time.Second

// pause stops reading for a while, or until the connection ends.
func (c *conn) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(min(d, maxPause))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// topicOf resolves the topic alias (MQTT 5 section 3.3.2.3.4).
func (c *conn) topicOf(k *publishPacket) (string, *wireError) {
	if !k.hasAlias {
		return c.intern(k.topic), nil
	}
	n := int(k.alias)
	if n == 0 || n > c.srv.opts.TopicAliases {
		return "", &wireError{codeTopicAlias, "topic alias is zero or above the maximum"} // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
	}
	if len(k.topic) == 0 {
		if n > len(c.aliases) || c.aliases[n-1] == "" {
			return "", protocol("topic alias is not defined")
		}
		return c.aliases[n-1], nil
	}
	if n > len(c.aliases) {
		c.aliases = append(c.aliases, make([]string, n-len(c.aliases))...)
	}
	if c.aliases[n-1] != string(k.topic) {
		c.aliases[n-1] = c.intern(k.topic)
	}
	return c.aliases[n-1], nil
}

// reserve takes room for a message. MQTT 5 was told how much there is; 3.1.1
// and QoS 0 wait for it, which holds up nobody but this client.
func (c *conn) reserve(k *publishPacket) (uint64, error) {
	window := c.srv.opts.Window
	c.mu.Lock()
	defer c.mu.Unlock()
	var room bool
	switch {
	case k.qos == 0:
		room = c.acks.quiet < window
	case c.version == version5:
		if k.qos == 2 && c.open[k.id] {
			return 0, protocol("a message was sent again on the same connection") // [MQTT-4.4.0-1]
		}
		if c.unacked >= window {
			return 0, &wireError{codeReceiveMaximum, "more messages in flight than the receive maximum"} // [MQTT-3.3.4-9]
		}
		room = true
	default:
		room = c.unacked < window
	}
	if !room && !c.awaitRoom(k.qos == 0, window) {
		return 0, net.ErrClosed
	}
	if k.qos > 0 {
		c.unacked++
		if k.qos == 2 && c.version == version5 {
			if c.open == nil {
				c.open = map[uint16]bool{}
			}
			c.open[k.id] = true
		}
	}
	return c.acks.push(ackSlot{id: k.id, qos: k.qos}), nil
}

// awaitRoom waits for room, but not for ever: a client is better off asking
// again than behind a connection that stands still.
func (c *conn) awaitRoom(quiet bool, window int) bool {
	t := time.AfterFunc(c.srv.opts.StallTimeout, c.stalled)
	defer t.Stop()
	return c.await(func() bool {
		if quiet {
			return c.acks.quiet < window
		}
		return c.unacked < window
	})
}

func (c *conn) stalled() {
	c.end(End{Cause: CauseStalled, code: codeBusy, Detail: "its messages could not be stored in time"})
}

// acknowledged handles what answers a PUBLISH in either direction.
func (c *conn) acknowledged(kind byte, k ackPacket) error {
	switch kind {
	case typePuback:
		c.delivered(k.id)
	case typePubrec:
		// Nothing is sent at QoS 2 from here.
		if c.inFlight(k.id) {
			return protocol("PUBREC for a QoS 1 message")
		}
		if k.code >= 0x80 {
			return nil
		}
		c.queue(typePubrel, func(b []byte) []byte { return appendAck(b, typePubrel, k.id, c.if5(codeIDNotFound), "", c.maxOut) })
	case typePubrel:
		known, early := c.sess.release(k.id)
		if early {
			return protocol("PUBREL before PUBREC")
		}
		c.mu.Lock()
		if c.open[k.id] {
			delete(c.open, k.id)
			c.unacked--
		}
		c.mu.Unlock()
		code := byte(codeSuccess)
		if !known {
			code = c.if5(codeIDNotFound) // it may have been a restart of ours
		}
		c.queue(typePubcomp, func(b []byte) []byte { return appendAck(b, typePubcomp, k.id, code, "", c.maxOut) })
	}
	return nil
}

// if5 is code for MQTT 5 and no code for 3.1.1.
func (c *conn) if5(code byte) byte {
	if c.version == version5 {
		return code
	}
	return codeSuccess
}

func (c *conn) disconnected(k disconnectPacket) error {
	if k.hasExpiry {
		if c.sess.expiry == 0 && k.expiry != 0 {
			return protocol("session expiry set at DISCONNECT, having been zero") // section 3.14.2.2.2
		}
		c.sess.expiry = c.srv.grantExpiry(k.expiry)
	}
	if k.code == codeSuccess {
		c.will = nil // any other code keeps it [MQTT-3.14.4-3]
	}
	e := End{Cause: CauseDisconnect, Detail: "disconnected"}
	if k.code != codeSuccess {
		e.Detail = fmt.Sprintf("disconnected, reason code %#02x", k.code)
	}
	if k.reason != "" {
		e.Detail += ": " + k.reason
	}
	return &errEnd{e}
}
