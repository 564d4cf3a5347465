package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapnet "github.com/plgd-dev/go-coap/v3/net"

	"vonglau/devices"
)

// Commands over CoAP. The resource /devices/{id}/commands is the list of what
// its device has still to hear, as a JSON array, oldest first: whoever answers a
// command makes it leave the list, and so does its expiry. A device observes it
// (RFC 7641), so it hears of a change within a round trip, at least once, and a
// state it has missed does not matter. What it says of a command it posts to
// /devices/{id}/commands/ack.

const (
	// listBytes is how much of the list is shown at once, so that a
	// notification fits one datagram on every path (RFC 8200 section 5); the
	// oldest command is shown however long it is, in blocks.
	listBytes = 1 << (blockSZX + 4)
	// observersPerDevice bounds the observations of one device; the oldest gives
	// way. A device behind a NAT comes from a new port each time.
	observersPerDevice = 4
	// maxTransmitWait is MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2: a
	// notification nobody has acknowledged after it ends the observation (RFC
	// 7641 section 4.5).
	maxTransmitWait = 93 * time.Second
	// observePulse is how long an observation may be silent. It keeps the peer
	// from being forgotten, and a device that has heard nothing for freshness
	// knows that it is observing no more (RFC 7641 section 3.3.1).
	observePulse = 120 * time.Second
	freshness    = observePulse + maxTransmitWait
	// replyPatience is how long a device may take to act on the list it got as
	// the answer to its request, which it does not acknowledge, before the list
	// is sent again.
	replyPatience = 2 * time.Second
)

// worklist is the list of one device as it is now.
type worklist struct {
	body []byte
	seqs []uint64  // of the commands in it that nobody has acknowledged
	ends time.Time // when the first of them expires; zero when it is empty
	more <-chan struct{}
}

// worklist makes the list. more is closed when something is added to it.
func (c *Commands) worklist(device devices.ID) worklist {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	t := worklist{body: []byte{'['}, more: c.more(device)}
	var list []*command
	for _, cmd := range c.lists[device] {
		if cmd.pending(now) {
			list = append(list, cmd)
		}
	}
	slices.SortFunc(list, func(a, b *command) int { return int(int64(a.seq - b.seq)) })
	for i, cmd := range list {
		if i > 0 {
			if len(t.body)+len(cmd.payload)+2 > listBytes {
				break
			}
			t.body = append(t.body, ',')
		}
		t.body = append(t.body, cmd.payload...)
		if cmd.State == devices.CommandWaiting {
			t.seqs = append(t.seqs, cmd.seq)
		}
		if t.ends.IsZero() || cmd.Expires.Before(t.ends) {
			t.ends = cmd.Expires
		}
	}
	t.body = append(t.body, ']')
	return t
}

// etag names a representation (RFC 7252 section 5.10.6).
func etag(body []byte) message.Option {
	sum := sha256.Sum256(body)
	return message.Option{ID: message.ETag, Value: sum[:8]}
}

// commandList answers GET /devices/{id}/commands and begins or ends an
// observation when asked to.
func (c *CoAP) commandList(w *coapWriter, r *pool.Message, device *devices.Device) {
	want, asked, err := blockOf(r, message.Block2)
	if err != nil {
		c.refuse(w, err)
		return
	}
	observe, noObserve := r.Observe()
	now := c.opt.Commands.worklist(device.ID)
	if !asked {
		want = block{szx: blockSZX}
	}
	part, got, ok := slice(now.body, want)
	if !ok {
		// The list has changed since the first block; the device begins again.
		c.respond(w, codes.BadRequest, message.TextPlain, "no such block")
		return
	}
	opts := []message.Option{etag(now.body), maxAge(freshness)}
	if asked || got.more {
		opts = append(opts, got.option(message.Block2))
	}
	if noObserve == nil && want.num == 0 {
		key := observerKey{device: device.ID, from: devices.PeerOf(w.Conn().RemoteAddr()).String(), token: string(r.Token())}
		switch observe {
		case 0: // RFC 7641 section 2: register
			if o := c.observers.add(c, key, w.Conn(), r.Token(), want.szx, now); o != nil {
				seq := make([]byte, 4)
				n, _ := message.EncodeUint32(seq, o.first)
				opts = append(opts, message.Option{ID: message.Observe, Value: seq[:n]})
			}
		case 1: // deregister
			c.observers.end(key)
		}
	}
	// The library wants options in any order and sorts them.
	c.respond(w, codes.Content, message.AppJSON, string(part), opts...)
}

// commandAnswer takes what a device says of a command.
func (c *CoAP) commandAnswer(w *coapWriter, r *pool.Message, device *devices.Device) {
	c.take(w, r, device, c.opt.Commands.Answer)
}

// take hands over what a device says, and answers when it is on disk.
func (c *CoAP) take(w *coapWriter, r *pool.Message, device *devices.Device, f func(context.Context, devices.ID, json.RawMessage) error) {
	payload, err := r.ReadBody()
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), piggyback)
		defer cancel()
		err = f(ctx, device.ID, payload)
	}
	var refusal *devices.Refusal
	switch {
	case err == nil:
		c.respond(w, codes.Changed, message.TextPlain, "")
		return
	case errors.As(err, &refusal):
	default:
		refusal = devices.Refuse(devices.ReasonUnavailable, "the disk is slow")
	}
	refusal.Device, refusal.Via, refusal.From = device.ID, devices.ViaCoAP, devices.PeerOf(w.Conn().RemoteAddr())
	c.gate.Refused(refusal, nil)
	c.refuse(w, refusal)
}

// observerKey names an observation (RFC 7641 section 4.1: endpoint and token).
type observerKey struct {
	device devices.ID
	from   string
	token  string
}

// observers are the observations there are. Each has a goroutine that ends with
// it; stop ends all and waits.
type observers struct {
	mu       sync.Mutex
	byDevice map[devices.ID][]*observer // oldest first
	byConn   map[*coapConn][]*observer
	stopped  bool
	running  sync.WaitGroup
}

func newObservers() *observers {
	return &observers{byDevice: map[devices.ID][]*observer{}, byConn: map[*coapConn][]*observer{}}
}

// observer is one observation.
type observer struct {
	key   observerKey
	door  *CoAP
	conn  *coapConn
	token message.Token
	szx   uint32
	first uint32 // Observe value of the first answer
	ctx   context.Context
	end   context.CancelFunc

	mu    sync.Mutex
	mid   int32 // of the notification that is not acknowledged, -1 for none
	reset bool
}

// add begins an observation; one of the same key is replaced (RFC 7641 section
// 4.1). It is nil when the door is closing.
func (all *observers) add(door *CoAP, key observerKey, conn *coapConn, token message.Token, szx uint32, sent worklist) *observer {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.stopped {
		return nil
	}
	// The clock makes the values of a new observation greater than those of one
	// before it (RFC 7641 section 4.4).
	o := &observer{key: key, door: door, conn: conn, token: slices.Clone(token), szx: szx, first: uint32(time.Now().UnixMilli()>>8) & 0x7fffff, mid: -1}
	o.ctx, o.end = context.WithCancel(conn.Context())
	list := all.byDevice[key.device]
	if i := slices.IndexFunc(list, func(o *observer) bool { return o.key == key }); i >= 0 {
		list[i].end()
	} else if len(list) >= observersPerDevice {
		list[0].end()
	}
	all.byDevice[key.device] = append(list, o)
	all.byConn[conn] = append(all.byConn[conn], o)
	all.running.Add(1)
	go o.run(all, sent)
	return o
}

// end ends an observation that its device does not want any more.
func (all *observers) end(key observerKey) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, o := range all.byDevice[key.device] {
		if o.key == key {
			o.end()
		}
	}
}

func (all *observers) remove(o *observer) {
	all.mu.Lock()
	defer all.mu.Unlock()
	same := func(x *observer) bool { return x == o }
	if all.byDevice[o.key.device] = slices.DeleteFunc(all.byDevice[o.key.device], same); len(all.byDevice[o.key.device]) == 0 {
		delete(all.byDevice, o.key.device)
	}
	if all.byConn[o.conn] = slices.DeleteFunc(all.byConn[o.conn], same); len(all.byConn[o.conn]) == 0 {
		delete(all.byConn, o.conn)
	}
}

// count is for the metric.
func (all *observers) count() (n int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, list := range all.byDevice {
		n += len(list)
	}
	return n
}

func (all *observers) stop() {
	all.mu.Lock()
	all.stopped = true
	for _, list := range all.byDevice {
		for _, o := range list {
			o.end()
		}
	}
	all.mu.Unlock()
	all.running.Wait()
}

// monitor sees every message before the library does. A Reset means that the
// device does not know the notification's token any more (RFC 7641 section 3.6);
// the library would take it for an acknowledgement.
func (c *CoAP) monitor(cc *coapConn, r *pool.Message) (drop bool, err error) {
	if r.IsPing(false) {
		return true, c.pong(cc, r)
	}
	if r.Type() != message.Reset {
		return false, nil
	}
	c.observers.mu.Lock()
	defer c.observers.mu.Unlock()
	for _, o := range c.observers.byConn[cc] {
		o.mu.Lock()
		if o.mid == r.MessageID() {
			o.reset = true
		}
		o.mu.Unlock()
	}
	return false, nil
}

// pong answers a ping, an empty confirmable message, with a Reset (RFC 7252
// section 4.3); the library would acknowledge it.
func (c *CoAP) pong(cc *coapConn, ping *pool.Message) error {
	answer := cc.AcquireMessage(cc.Context())
	defer cc.ReleaseMessage(answer)
	answer.SetCode(codes.Empty)
	answer.SetType(message.Reset)
	answer.SetMessageID(ping.MessageID())
	if from := ping.ControlMessage(); from != nil && len(from.Dst) > 0 && !from.Dst.IsMulticast() {
		answer.UpsertControlMessage(&coapnet.ControlMessage{IfIndex: from.GetIfIndex(), Src: from.Dst})
	}
	return cc.Session().WriteMessage(answer)
}

// run tells the device of every change of its list until it is gone, has
// answered with a Reset, or has acknowledged nothing for too long.
func (o *observer) run(all *observers, sent worklist) {
	defer all.running.Done()
	defer all.remove(o)
	defer o.end()
	defer func() {
		if v := recover(); v != nil {
			o.door.panics.Inc()
			o.door.opt.Log.Error("coap: observation panicked", "device", o.key.device, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	commands, number := o.door.opt.Commands, o.first
	// What went out with the answer is not acknowledged, so it counts as sent
	// and not as delivered.
	wait := observePulse
	if len(sent.seqs) > 0 {
		wait = replyPatience
	}
	heard := time.Now()
	for {
		now := commands.worklist(o.key.device)
		pulse := time.NewTimer(wait)
		if bytes.Equal(now.body, sent.body) {
			select {
			case <-o.ctx.Done():
				pulse.Stop()
				return
			case <-now.more:
				pulse.Stop()
				continue
			case <-pulse.C:
				now = commands.worklist(o.key.device)
			}
		}
		pulse.Stop()
		number = (number + 1) & 0xffffff
		err := o.notify(now, number)
		switch {
		case o.ctx.Err() != nil:
			return
		case err == nil:
			heard, wait = time.Now(), observePulse
			for _, seq := range now.seqs {
				if err := commands.delivered(o.ctx, o.key.device, seq); err != nil {
					o.door.opt.Log.Warn("a delivered command was not recorded; its device may see it twice", "device", o.key.device, "error", err)
					wait = retryAfter
				}
			}
			sent = now
		case errors.Is(err, context.DeadlineExceeded) && time.Since(heard) < maxTransmitWait:
			sent = worklist{} // a command in it expired; what is left is sent anew
		default:
			return
		}
	}
}

var errReset = errors.New("the device does not observe any more")

// notify sends the list and waits for its acknowledgement, but never longer than
// what is in it may be sent again.
func (o *observer) notify(list worklist, number uint32) error {
	patience := maxTransmitWait
	if !list.ends.IsZero() {
		patience = min(patience, list.ends.Sub(o.door.opt.Commands.opt.Now()))
	}
	if patience <= 0 {
		return context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(o.ctx, patience)
	defer cancel()
	m := o.conn.AcquireMessage(ctx)
	defer o.conn.ReleaseMessage(m)
	part, got, _ := slice(list.body, block{szx: o.szx})
	m.SetCode(codes.Content)
	m.SetType(message.Confirmable)
	m.SetToken(o.token)
	mid := o.conn.GetMessageID()
	m.SetMessageID(mid)
	m.SetObserve(number)
	m.SetContentFormat(message.AppJSON)
	for _, opt := range []message.Option{etag(list.body), maxAge(freshness)} {
		m.SetOptionBytes(opt.ID, opt.Value)
	}
	if got.more {
		m.SetOptionUint32(message.Block2, got.value())
	}
	m.SetBody(bytes.NewReader(part))
	o.mu.Lock()
	o.mid = mid
	o.mu.Unlock()
	err := o.conn.WriteMessage(m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mid = -1
	if o.reset {
		return errReset
	}
	return err
}
