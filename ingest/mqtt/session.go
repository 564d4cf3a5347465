package mqtt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"vonglau/devices"
)

// SessionStore keeps sessions over a restart; a journal bucket is one.
type SessionStore interface {
	Load(ctx context.Context, each func(key string, value []byte) error) error
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// neverExpires is the Session Expiry Interval without end (MQTT 5 section
// 3.1.2.11.2).
const neverExpires = 0xffffffff

// session is what outlives connections: that it exists, its subscriptions, the
// packet identifiers in flight both ways, a will that waits.
//
// It has one holder at a time: a connection, or the janitor that ends it.
// Fields without a lock are the holder's; taking and letting go synchronise on
// sessions.mu. subs is also read by the connection's feeds, under conn.mu.
type session struct {
	key    sessionID
	expiry time.Duration // after the connection, 0 ends with it
	subs   map[string]*subscription
	saved  []byte // as in the store
	nextID uint16
	out    map[uint16]*subscription // packet identifiers in flight to the client

	mu        sync.Mutex
	exchanges map[uint16]*exchange

	// Guarded by sessions.mu.
	owner *conn         // nil while away
	held  chan struct{} // closed when the holder lets go, nil without one
	due   time.Time     // when an absent session ends
	will  *will         // waiting for its delay
	away  time.Time     // since when
}

type sessionID = SessionKey

// sessions is the register of them, with the janitor that ends those whose
// time has come.
type sessions struct {
	srv *Server

	mu    sync.Mutex
	all   map[sessionID]*session
	owned map[string]map[*session]bool // by principal
	next  time.Time                    // when the janitor looks again
	wake  chan struct{}                // capacity 1: something is due earlier
}

// storedSession is a session in the store, as JSON. The key is the SHA-256 of
// principal, a zero byte and client identifier, in hexadecimal.
type storedSession struct {
	Principal string               `json:"principal"`
	ClientID  string               `json:"clientID"`
	Expiry    int64                `json:"expirySeconds"`
	Subs      []storedSubscription `json:"subscriptions,omitempty"`
}

type storedSubscription struct {
	Filter            string `json:"filter"`
	QoS               byte   `json:"qos,omitempty"`
	NoLocal           bool   `json:"noLocal,omitempty"`
	RetainAsPublished bool   `json:"retainAsPublished,omitempty"`
	ID                uint32 `json:"id,omitempty"`
}

func newSessions(s *Server) *sessions {
	return &sessions{srv: s, all: map[sessionID]*session{}, owned: map[string]map[*session]bool{}, wake: make(chan struct{}, 1)}
}

func storeKey(k sessionID) string {
	h := sha256.Sum256([]byte(k.Principal + "\x00" + k.ClientID))
	return hex.EncodeToString(h[:])
}

// load takes up the sessions of an earlier run. Their time runs from now.
func (r *sessions) load(ctx context.Context) error {
	if r.srv.opts.Sessions == nil {
		return nil
	}
	err := r.srv.opts.Sessions.Load(ctx, func(key string, value []byte) error {
		var v storedSession
		if err := json.Unmarshal(value, &v); err != nil {
			// One bad record costs one session, which its client makes anew.
			r.srv.opts.Log.Warn("mqtt: a stored session cannot be read, it is forgotten", "key", key, "error", err)
			return nil
		}
		s := &session{key: sessionID{v.Principal, v.ClientID}, expiry: time.Duration(v.Expiry) * time.Second, saved: value}
		for _, f := range v.Subs {
			s.subscribe(&subscription{filter: f.Filter, qos: f.QoS, noLocal: f.NoLocal, retainAsPublished: f.RetainAsPublished, id: f.ID})
		}
		s.away = time.Now()
		s.due = s.away.Add(s.expiry)
		r.add(s)
		return nil
	})
	if err != nil {
		return fmt.Errorf("mqtt: loading sessions: %w", err)
	}
	return nil
}

func (s *session) subscribe(sub *subscription) {
	if s.subs == nil {
		s.subs = map[string]*subscription{}
	}
	s.subs[sub.filter] = sub
}

// save keeps the session over a restart, when it changed. Failing costs what a
// restart costs without a store, and is made up for at the next change.
func (r *sessions) save(ctx context.Context, s *session) {
	store := r.srv.opts.Sessions
	if store == nil {
		return
	}
	if s.expiry == 0 {
		r.unsave(ctx, s)
		return
	}
	v := storedSession{Principal: s.key.Principal, ClientID: s.key.ClientID, Expiry: int64(s.expiry / time.Second)}
	for _, filter := range sortedKeys(s.subs) {
		sub := s.subs[filter]
		v.Subs = append(v.Subs, storedSubscription{sub.filter, sub.qos, sub.noLocal, sub.retainAsPublished, sub.id})
	}
	b, err := json.Marshal(v)
	if err == nil && string(b) == string(s.saved) {
		return
	}
	if err == nil {
		err = store.Put(ctx, storeKey(s.key), b)
	}
	if err != nil {
		r.storeFailed("keeping", s, err)
		return
	}
	s.saved = b
}

func (r *sessions) unsave(ctx context.Context, s *session) {
	if s.saved == nil {
		return
	}
	if err := r.srv.opts.Sessions.Delete(ctx, storeKey(s.key)); err != nil {
		r.storeFailed("deleting", s, err)
		return
	}
	s.saved = nil
}

func (r *sessions) storeFailed(doing string, s *session, err error) {
	r.srv.metrics.storeErrors.Inc()
	r.srv.opts.Log.Warn("mqtt: "+doing+" a stored session failed, a restart will not know its latest state",
		"principal", s.key.Principal, "client", s.key.ClientID, "error", err)
}

// add and remove keep the maps in step. Called with mu held, or before Start.
func (r *sessions) add(s *session) {
	r.all[s.key] = s
	if r.owned[s.key.Principal] == nil {
		r.owned[s.key.Principal] = map[*session]bool{}
	}
	r.owned[s.key.Principal][s] = true
	r.srv.metrics.sessions.Inc()
}

func (r *sessions) remove(s *session) {
	delete(r.all, s.key)
	delete(r.owned[s.key.Principal], s)
	if len(r.owned[s.key.Principal]) == 0 {
		delete(r.owned, s.key.Principal)
	}
	r.srv.metrics.sessions.Dec()
}

// hold and release are the two ends of holding. Called with mu held.
func (s *session) hold(c *conn) { s.owner, s.held = c, make(chan struct{}) }

func (s *session) letGo() {
	s.owner = nil
	close(s.held)
	s.held = nil
}

// take makes c the holder of the session it asks for, ending whoever holds it.
// present says that it is an earlier one.
func (r *sessions) take(ctx context.Context, c *conn, key sessionID, clean bool) (s *session, present bool, err error) {
	for {
		r.mu.Lock()
		s = r.all[key]
		if s == nil {
			victim, full := r.crowded(key.Principal)
			if full {
				r.mu.Unlock()
				return nil, false, devices.Refuse(devices.ReasonBusy, "%d sessions are connected already", r.srv.opts.MaxSessions)
			}
			s = &session{key: key}
			s.hold(c)
			c.sess = s
			r.add(s)
			r.mu.Unlock()
			if victim != nil {
				r.discard(ctx, victim)
			}
			return s, false, nil
		}
		if s.held == nil {
			s.hold(c)
			c.sess = s // whatever happens now, serve lets go of it
			w := s.will
			s.will = nil
			clean = clean || !s.due.After(time.Now())
			r.mu.Unlock()
			if !clean {
				return s, true, nil // and its waiting will is not sent [MQTT-3.1.3-9]
			}
			r.publish(w) // the old session ends here
			r.strip(ctx, s)
			return s, false, nil
		}
		owner, held := s.owner, s.held
		r.mu.Unlock()
		if owner != nil {
			owner.end(End{Cause: CauseTakenOver, By: c.from, code: codeTakenOver}) // [MQTT-3.1.4-3]
		}
		select {
		case <-held:
		case <-ctx.Done():
			return nil, false, devices.Refuse(devices.ReasonBusy, "the earlier connection of this session does not end")
		}
	}
}

// crowded says whether a principal has all the sessions it may have. The one
// longest away is given for the new one, held. Called with mu held.
func (r *sessions) crowded(principal string) (victim *session, full bool) {
	if len(r.owned[principal]) < r.srv.opts.MaxSessions {
		return nil, false
	}
	for s := range r.owned[principal] {
		if s.held == nil && (victim == nil || s.away.Before(victim.away)) {
			victim = s
		}
	}
	if victim != nil {
		victim.hold(nil)
	}
	return victim, victim == nil
}

// strip ends everything a session has.
func (r *sessions) strip(ctx context.Context, s *session) {
	for _, filter := range sortedKeys(s.subs) {
		r.srv.handler.Forget(s.key, filter)
	}
	r.unsave(ctx, s)
	s.subs, s.out = nil, nil
	s.mu.Lock()
	s.exchanges = nil
	s.mu.Unlock()
}

// discard ends a session that is held by the caller and has no connection. A
// panic of the Handler does not leave it held.
func (r *sessions) discard(ctx context.Context, s *session) {
	defer func() {
		if p := recover(); p != nil {
			r.srv.metrics.panics.Inc()
			r.srv.opts.Log.Error("mqtt: panic while ending a session", "principal", s.key.Principal, "client", s.key.ClientID, "panic", p)
		}
		r.mu.Lock()
		r.remove(s)
		s.letGo()
		r.mu.Unlock()
	}()
	r.mu.Lock()
	w := s.will
	s.will = nil
	r.mu.Unlock()
	r.publish(w) // its delay ends with the session [MQTT-3.1.3-9]
	r.strip(ctx, s)
}

// leave ends c's hold on its session.
func (r *sessions) leave(c *conn, e End) {
	s := c.sess
	ctx, cancel := r.srv.cleanup()
	defer cancel()
	c.mu.Lock()
	for _, sub := range s.subs {
		sub.detach()
	}
	for id, sub := range s.out {
		if s.subs[sub.filter] != sub {
			delete(s.out, id) // unsubscribed since
		}
	}
	c.mu.Unlock()
	defer func() {
		// Whatever a Handler did, the session does not stay held.
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.expiry == 0 {
			r.remove(s)
		} else {
			s.away = time.Now()
			s.due = s.away.Add(s.expiry)
			r.expect(s)
		}
		s.letGo()
	}()
	c.peer.Offline(e)
	if w := c.will; w != nil {
		w.due = time.Now().Add(min(w.delay, s.expiry))
		if w.delay == 0 || s.expiry == 0 || e.Cause == CauseStopping {
			r.publish(w)
		} else {
			r.mu.Lock()
			s.will = w
			r.mu.Unlock()
		}
	}
	if s.expiry == 0 {
		r.strip(ctx, s)
	} else {
		r.save(ctx, s)
	}
}

// expect wakes the janitor when something of s is due before it looks again.
// Called with mu held.
func (r *sessions) expect(s *session) {
	if !s.due.Before(r.next) && (s.will == nil || !s.will.due.Before(r.next)) {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// tick rounds what is due up, so that a thousand clients lost at once cost a
// few looks at the register and not a thousand.
const tick = 100 * time.Millisecond

// janitor publishes wills and ends sessions when they are due, until ctx ends.
func (r *sessions) janitor(ctx context.Context) {
	defer r.srv.tasks.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wills, over, next := r.dueBy(time.Now())
		for _, w := range wills {
			r.publish(w)
		}
		for _, s := range over {
			cctx, cancel := r.srv.cleanup()
			r.discard(cctx, s)
			cancel()
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		// What became due within a tick is done together.
		select {
		case <-ctx.Done():
			return
		case <-time.After(tick):
		}
	}
}

// dueBy collects what is due, the sessions held, and how long nothing else is.
func (r *sessions) dueBy(t time.Time) (wills []*will, over []*session, next time.Duration) {
	next = time.Hour
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.next = t.Add(next) }()
	for _, s := range r.all {
		if s.held != nil {
			continue
		}
		if !s.due.After(t) {
			s.hold(nil)
			over = append(over, s)
			continue
		}
		next = min(next, s.due.Sub(t))
		if w := s.will; w != nil {
			if !w.due.After(t) {
				wills = append(wills, w)
				s.will = nil
			} else {
				next = min(next, w.due.Sub(t))
			}
		}
	}
	return wills, over, next
}

// flush publishes every will that waits, when the server stops.
func (r *sessions) flush() {
	r.mu.Lock()
	var wills []*will
	for _, s := range r.all {
		if s.will != nil {
			wills = append(wills, s.will)
			s.will = nil
		}
	}
	r.mu.Unlock()
	for _, w := range wills {
		r.publish(w)
	}
}

// will is a will message of a connection.
type will struct {
	srv     *Server
	peer    Peer
	key     sessionID
	m       *Message
	delay   time.Duration
	due     time.Time
	expiry  time.Duration
	expires bool
}

// publish hands a will to its Peer; nil is none.
func (r *sessions) publish(w *will) {
	if w == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.srv.metrics.panics.Inc()
			r.srv.opts.Log.Error("mqtt: panic while publishing a will", "principal", w.key.Principal, "client", w.key.ClientID, "panic", p)
		}
	}()
	if w.expires {
		w.m.Expires = time.Now().Add(w.expiry)
	}
	w.peer.Publish(w.m, Ack{w: w})
}

func (w *will) done(err error) {
	v := judge(version5, err)
	w.srv.metrics.outcome(v.label)
	if v.label != "" {
		w.srv.opts.Log.Warn("mqtt: a will was not taken", "principal", w.key.Principal, "client", w.key.ClientID,
			"topic", w.m.Topic, "error", err)
	}
}
