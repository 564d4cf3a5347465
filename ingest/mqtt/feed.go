package mqtt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// subscription is one filter of a session, with what is in flight for it.
type subscription struct {
	filter            string
	qos               byte // granted
	noLocal           bool
	retainAsPublished bool
	id                uint32

	feed *feed // nil while the client is away

	// acking is held from taking the numbers that are through off flights to
	// telling the Source, so that it hears them in order. Then comes conn.mu,
	// which guards the flights.
	acking  sync.Mutex
	flights []flight
}

// flight is a message that was given by a Source and not yet acked to it. The
// list keeps the order of the Source, so a message at QoS 0 or one that was
// skipped stands in it too while an older one is unacknowledged.
type flight struct {
	seq    uint64
	stored bool   // a retained copy
	id     uint16 // packet identifier, 0 when none was used
	on     *conn  // the connection it was sent on, nil since that ended
	done   bool
}

func (fl *flight) is(m *Message) bool { return fl.seq == m.Seq && fl.stored == m.Stored }

// detach forgets the connection. Called with its conn.mu held.
func (sub *subscription) detach() {
	sub.feed = nil
	for i := range sub.flights {
		sub.flights[i].on = nil
	}
}

// feed carries one subscription over one connection.
type feed struct {
	c      *conn
	sub    *subscription
	src    Source // guarded by sub.acking; only the feed changes it. nil while it is being opened again
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	runs   bool // the reader's: run was started
	replay bool // retained copies were asked for again only for those still in flight
}

// maxBehind bounds how far a feed goes past the oldest unacknowledged message,
// in windows.
const maxBehind = 4

// openFeed asks the Peer for the stream of sub. The feed is not running yet.
func (c *conn) openFeed(ctx context.Context, sub *subscription, resume, retained bool) error {
	replay := !retained && slices.ContainsFunc(sub.flights, func(fl flight) bool { return fl.stored && !fl.done })
	src, err := c.peer.Subscribe(ctx, Subscription{Session: c.sess.key, Filter: sub.filter, QoS: sub.qos, Resume: resume, Retained: retained || replay})
	if err != nil {
		return err
	}
	f := &feed{c: c, sub: sub, src: src, done: make(chan struct{}), replay: replay}
	f.ctx, f.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	sub.feed = f
	c.mu.Unlock()
	return nil
}

func (f *feed) start() {
	f.runs = true
	f.c.feeds.Add(1)
	go f.run()
}

// stop ends the feed and waits for it.
func (f *feed) stop() {
	f.cancel()
	if !f.runs {
		f.closeSource()
		return
	}
	f.c.mu.Lock()
	f.c.cond.Broadcast()
	f.c.mu.Unlock()
	<-f.done
}

func (f *feed) run() {
	defer f.c.feeds.Done()
	defer close(f.done)
	defer f.c.recovered()
	defer f.closeSource()
	for pause := time.Duration(0); ; {
		m, err := f.src.Next(f.ctx)
		switch {
		case f.ctx.Err() != nil:
			return
		case err != nil || m == nil:
			if pause = min(max(2*pause, time.Second), 30*time.Second); !f.reopen(err, pause) {
				return
			}
			continue
		}
		pause = 0
		if !f.deliver(m) {
			return
		}
	}
}

// reopen asks for the stream again after it broke, going on behind what was
// acknowledged; what is in flight is not sent twice.
func (f *feed) reopen(cause error, pause time.Duration) bool {
	c := f.c
	c.log.Warn("mqtt: the stream of a subscription broke, it is opened again", "principal", c.sess.key.Principal,
		"filter", f.sub.filter, "after", pause, "error", cause)
	f.closeSource()
	for {
		t := time.NewTimer(pause)
		select {
		case <-f.ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
		src, err := c.peer.Subscribe(f.ctx, Subscription{Session: c.sess.key, Filter: f.sub.filter, QoS: f.sub.qos, Resume: true})
		if err == nil {
			f.sub.acking.Lock()
			f.src = src
			f.sub.acking.Unlock()
			f.settle()
			return true
		}
		var r *devices.Refusal
		if errors.As(err, &r) && !r.Reason.Retry() {
			c.end(End{Cause: CauseRevoked, code: codeNotAuthorized, Detail: fmt.Sprintf("subscription %q is not allowed any more: %s", f.sub.filter, r)})
			return false
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// closeSource makes sure that the Source hears nothing after its Close. What is
// acknowledged from then on is told to the next one.
func (f *feed) closeSource() {
	f.sub.acking.Lock()
	src := f.src
	f.src = nil
	f.sub.acking.Unlock()
	if src != nil {
		src.Close()
	}
}

// deliver queues one message for the client, waiting until there is room for
// it. It reports whether the feed goes on.
func (f *feed) deliver(m *Message) bool {
	c, sub := f.c, f.sub
	o := outgoing{m: m, qos: min(m.QoS, sub.qos), retain: m.Stored || sub.retainAsPublished && m.Retain, subID: sub.id}
	skip := f.skip(m)
	if c.version == version311 {
		o.retain = m.Stored // 3.1.1 [MQTT-3.3.1-9]
	}
	c.mu.Lock()
	again, known := f.again(m)
	if m.Stored && f.replay && !known {
		skip = "known" // it arrived, or came later and will be given as it was published
	}
	if known && (again.done || again.on == c) {
		c.mu.Unlock()
		f.settle() // acknowledged meanwhile, or on its way over this very connection
		return true
	}
	ok := c.await(func() bool {
		return f.ctx.Err() != nil || len(c.out) < maxQueued &&
			(known || len(sub.flights) < maxBehind*c.srv.opts.OutWindow) &&
			(o.qos == 0 || skip != "" || c.flights < c.outWindow)
	})
	if !ok || f.ctx.Err() != nil {
		c.mu.Unlock()
		return false
	}
	if known {
		again, known = f.again(m) // the list may have moved while this waited
		if known && again.done {
			c.mu.Unlock()
			f.settle()
			return true
		}
	}
	switch {
	case skip != "":
	case o.qos == 1 && known:
		o.id, o.dup = again.id, true // [MQTT-4.4.0-1], [MQTT-3.3.1-1]
	case o.qos == 1:
		o.id = c.sess.newID()
	}
	if skip == "" {
		before := len(c.out)
		c.out = appendPublish(c.out, c.version, o, time.Now())
		if len(c.out)-before > c.maxOut {
			c.out = c.out[:before] // [MQTT-3.1.2-24], and it counts as delivered [MQTT-3.1.2-25]
			skip = "too_large"
		}
	}
	if skip != "" {
		o.id = 0
		c.srv.metrics.skipped.WithLabelValues(skip).Inc()
	} else {
		c.srv.metrics.sent[typePublish].Inc()
	}
	if known {
		if o.id == 0 {
			delete(c.sess.out, again.id)
			again.done = true
		} else {
			again.on = c
			c.flights++
		}
	} else {
		fl := flight{seq: m.Seq, stored: m.Stored, id: o.id, on: c, done: o.id == 0}
		if o.id != 0 {
			if c.sess.out == nil {
				c.sess.out = map[uint16]*subscription{}
			}
			c.sess.out[o.id] = sub
			c.flights++
		}
		sub.flights = append(sub.flights, fl)
	}
	c.mu.Unlock()
	c.wakeWriter()
	f.settle()
	return true
}

// skip says why m is not sent at all, empty when it is.
func (f *feed) skip(m *Message) string {
	switch {
	case f.sub.noLocal && m.Publisher == f.c.sess.key: // [MQTT-3.8.3-3]
		return "no_local"
	case !m.Expires.IsZero() && !m.Expires.After(time.Now()): // [MQTT-3.3.2-5]
		return "expired"
	case m.Topic == "" || len(m.Topic) > 0xffff || len(m.Payload) > f.c.maxOut:
		return "too_large"
	}
	return ""
}

// again finds m among what was in flight when the Source was opened. A Source
// goes in order, so what stands before m and was not sent on this connection
// is in the log no more. Called with conn.mu held.
func (f *feed) again(m *Message) (*flight, bool) {
	sub := f.sub
	old := func(fl flight) bool { return fl.on != f.c }
	same := func(fl flight) bool { return fl.is(m) }
	i := slices.IndexFunc(sub.flights, same)
	if i < 0 {
		if !m.Stored && slices.ContainsFunc(sub.flights, old) {
			f.drop(old)
		}
		return nil, false
	}
	if slices.ContainsFunc(sub.flights[:i], old) {
		before := true
		f.drop(func(fl flight) bool {
			before = before && !same(fl)
			return before && old(fl)
		})
		i = slices.IndexFunc(sub.flights, same)
	}
	return &sub.flights[i], true
}

func (f *feed) drop(which func(flight) bool) {
	f.sub.flights = slices.DeleteFunc(f.sub.flights, func(fl flight) bool {
		if !which(fl) {
			return false
		}
		delete(f.c.sess.out, fl.id)
		return true
	})
}

// settle tells the Source what is through.
func (f *feed) settle() {
	sub := f.sub
	sub.acking.Lock()
	defer sub.acking.Unlock()
	f.c.mu.Lock()
	n := 0
	for n < len(sub.flights) && sub.flights[n].done {
		n++
	}
	if f.src == nil {
		n = 0
	}
	var few [8]uint64
	through := few[:0]
	for _, fl := range sub.flights[:n] {
		through = append(through, fl.seq)
	}
	sub.flights = slices.Delete(sub.flights, 0, n)
	if n > 0 && f.c.waiting > 0 {
		f.c.cond.Broadcast()
	}
	f.c.mu.Unlock()
	for _, seq := range through {
		f.src.Ack(seq)
	}
}

// newID gives a packet identifier not in use. There are 65,535 and the windows
// of all subscriptions together use far fewer. Called with conn.mu held.
func (s *session) newID() uint16 {
	for {
		s.nextID++
		if s.nextID != 0 && s.out[s.nextID] == nil {
			return s.nextID
		}
	}
}

// inFlight reports whether id is a message on its way to the client.
func (c *conn) inFlight(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sess.out[id] != nil
}

// delivered handles a PUBACK. Whatever its reason code, the message is not sent
// again (MQTT 5 section 4.3.2).
func (c *conn) delivered(id uint16) {
	c.mu.Lock()
	sub := c.sess.out[id]
	if sub == nil {
		c.mu.Unlock()
		return
	}
	delete(c.sess.out, id)
	for i := range sub.flights {
		fl := &sub.flights[i]
		if fl.id == id && !fl.done {
			fl.done = true
			if fl.on == c {
				c.flights--
			}
			break
		}
	}
	if c.waiting > 0 {
		c.cond.Broadcast()
	}
	f := sub.feed
	c.mu.Unlock()
	if f != nil {
		f.settle()
	}
}

// subscribe answers a SUBSCRIBE, filter by filter.
func (c *conn) subscribe(k subscribePacket) error {
	codes := make([]byte, len(k.filters))
	var opened []*feed
	for i, req := range k.filters {
		f, code := c.addSubscription(k.subID, req)
		codes[i] = code
		if f != nil {
			opened = append(opened, f)
		}
	}
	c.srv.sessions.save(c.ctx, c.sess)
	c.queue(typeSuback, func(b []byte) []byte { return appendSuback(b, c.version, typeSuback, k.id, codes) })
	for _, f := range opened {
		if f.ctx.Err() == nil || c.ctx.Err() != nil { // not replaced by the same filter further on
			f.start()
		}
	}
	return nil
}

func (c *conn) addSubscription(subID uint32, req filterRequest) (*feed, byte) {
	refuse := func(code byte) (*feed, byte) {
		if c.version == version311 {
			code = suback311Failure
		}
		return nil, code
	}
	if shared(req.filter) {
		return refuse(codeShared)
	}
	if len(req.filter) > maxTopic {
		return refuse(codeFilter)
	}
	old := c.sess.subs[req.filter]
	if old == nil && len(c.sess.subs) >= c.srv.opts.MaxSubscriptions {
		return refuse(codeQuota)
	}
	sub := &subscription{filter: req.filter, qos: min(req.qos, 1), noLocal: req.noLocal, retainAsPublished: req.retainAsPublished, id: subID}
	retained := req.retainHandling == 0 || req.retainHandling == 1 && old == nil // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]
	if old != nil {
		// The new one replaces it and loses nothing [MQTT-3.8.4-3]: it goes on
		// where the old one was acknowledged, and what is on its way stays so.
		c.stopFeed(old)
		c.mu.Lock()
		sub.flights, old.flights = old.flights, nil
		for id, s := range c.sess.out {
			if s == old {
				c.sess.out[id] = sub
			}
		}
		c.mu.Unlock()
	}
	err := c.openFeed(c.ctx, sub, old != nil, retained)
	c.mu.Lock()
	if err == nil {
		c.sess.subscribe(sub)
	} else if old != nil {
		delete(c.sess.subs, sub.filter)
	}
	c.mu.Unlock()
	if err == nil {
		return sub.feed, sub.qos
	}
	if old != nil {
		c.srv.handler.Forget(c.sess.key, sub.filter)
	}
	var r *devices.Refusal
	if errors.As(err, &r) {
		return refuse(codesOf(r.Reason).subscribe)
	}
	c.log.Warn("mqtt: opening a subscription failed", "principal", c.sess.key.Principal, "filter", req.filter, "error", err)
	return refuse(codeUnspecified)
}

func (c *conn) stopFeed(sub *subscription) {
	c.mu.Lock()
	f := sub.feed
	sub.feed = nil
	c.mu.Unlock()
	if f != nil {
		f.stop()
	}
}

func (c *conn) unsubscribe(k unsubscribePacket) error {
	codes := make([]byte, len(k.filters))
	for i, filter := range k.filters {
		sub := c.sess.subs[filter]
		if sub == nil {
			codes[i] = codeNoSubscription
			continue
		}
		// What is on its way is still acknowledged [MQTT-3.10.4-3]; its Source
		// does not hear of it.
		c.stopFeed(sub)
		c.mu.Lock()
		delete(c.sess.subs, filter)
		c.mu.Unlock()
		c.srv.handler.Forget(c.sess.key, filter)
	}
	c.srv.sessions.save(c.ctx, c.sess)
	c.queue(typeUnsuback, func(b []byte) []byte { return appendSuback(b, c.version, typeUnsuback, k.id, codes) })
	return nil
}
