package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// history is how many receipts of a subscription are remembered for people;
	// the log has more.
	history = 200
	// maxDead bounds the dead letters of one subscription. The oldest goes first.
	maxDead = 1000
)

// worker delivers to one subscription, in one goroutine.
type worker struct {
	n     *Notify
	start uint64

	running sync.Mutex // begin and finish
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	sub     Subscription
	secrets secrets
	place   place
	current *Receipt // on its way, or tried in vain
	past    []Receipt
	acked   uint64 // the newest event of a stream that was acknowledged
	dead    map[string]*Receipt
	resend  []string // dead letters to be tried again, in turn
	nudge   chan struct{}

	// Of the goroutine alone.
	queue  []*Event // read of the feed and not yet looked at
	held   []*Event // looked at and held, in order
	failed time.Time
	streak int
}

func newWorker(n *Notify, s Subscription) *worker {
	return &worker{n: n, sub: s, dead: map[string]*Receipt{}, nudge: make(chan struct{}, 1)}
}

func (w *worker) subscription() Subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sub
}

func (w *worker) where() place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.place
}

func (w *worker) failing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current != nil && w.current.State == Retrying
}

func (w *worker) deadCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dead)
}

// deadLetters gives them, the oldest first.
func (w *worker) deadLetters() []Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Receipt
	for _, r := range w.dead {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Receipt) int { return cmp.Compare(a.First, b.First) })
	return out
}

// fold takes in a receipt of the log, at the start.
func (w *worker) fold(r *Receipt) {
	w.place.Cursor, w.place.Ahead = max(w.place.Cursor, r.Cursor), max(w.place.Ahead, r.Ahead)
	w.remember(*r)
}

// remember keeps a receipt for people; with mu held, or before others know w.
func (w *worker) remember(r Receipt) {
	w.past = append(w.past, r)
	if r.State == Delivered {
		w.acked = max(w.acked, r.Last)
	}
	if len(w.past) > 2*history {
		w.past = slices.Clone(w.past[len(w.past)-history:])
	}
}

func (w *worker) begin(ctx context.Context) {
	w.running.Lock()
	defer w.running.Unlock()
	if w.cancel != nil {
		return
	}
	ctx, w.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	w.done = done
	w.queue, w.held, w.failed, w.streak = nil, nil, time.Time{}, 0
	go func() {
		defer close(done)
		w.run(ctx)
	}()
}

func (w *worker) finish() {
	w.running.Lock()
	defer w.running.Unlock()
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
	w.cancel, w.done = nil, nil
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil && w.current.State != Held {
		w.current = nil
	}
}

// run goes through the feed. A stream's receiver fetches for itself (see Tail)
// and a feed is read; here they only keep their place.
func (w *worker) run(ctx context.Context) {
	if w.sub.Paused || w.sub.Kind.pulled() {
		return
	}
	if !w.regain(ctx) {
		return
	}
	for ctx.Err() == nil {
		if w.resendNext(ctx) {
			continue
		}
		if w.complete(ctx) {
			w.deliverHeld(ctx)
			continue
		}
		e := w.next(ctx)
		if e == nil {
			w.wait(ctx)
			continue
		}
		w.take(ctx, e)
	}
}

// regain finds what was held before a restart.
func (w *worker) regain(ctx context.Context) bool {
	p := w.where()
	for at := p.Cursor; at < p.Ahead; {
		list, err := w.n.feed.after(ctx, at)
		if err != nil {
			w.n.opt.Log.Error("a subscription cannot read the feed", "subscription", w.sub.ID, "error", err)
			if !sleep(ctx, w.n.opt.Backoff) {
				return false
			}
			continue
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if at = e.Seq; at > p.Ahead {
				break
			}
			// Priority 1 has gone ahead; all else that it wants was held.
			if !ahead(e) && w.sub.wants(e) {
				w.held = append(w.held, e)
			}
		}
	}
	w.settle()
	return true
}

func (w *worker) releaseOf(e *Event) time.Time { return w.sub.release(e, w.n.opt.Calendar) }

// complete reports whether what is held is due, and whether nothing of the feed
// that is still to be looked at goes with it. After a kill what was held is read
// again, and the same has to come together as before.
func (w *worker) complete(ctx context.Context) bool {
	if len(w.held) == 0 {
		return false
	}
	release := w.releaseOf(w.held[0])
	if release.After(w.n.opt.Now()) {
		return false
	}
	if release.IsZero() { // no longer held: somebody changed the subscription
		return true
	}
	if len(w.held) >= maxDigest && w.releaseOf(w.held[maxDigest-1]).Equal(release) {
		return true
	}
	e := w.peek(ctx)
	return e == nil || !e.Fed.IsZero() && !e.Fed.Before(release)
}

// next takes the next event of the feed, nil when there is none yet.
func (w *worker) next(ctx context.Context) *Event {
	e := w.peek(ctx)
	if e != nil {
		w.queue = w.queue[1:]
	}
	return e
}

// peek is next that leaves the event where it is.
func (w *worker) peek(ctx context.Context) *Event {
	if len(w.queue) == 0 {
		list, err := w.n.feed.after(ctx, w.where().Ahead)
		if err != nil && ctx.Err() == nil {
			w.n.opt.Log.Error("a subscription cannot read the feed", "subscription", w.sub.ID, "error", err)
			sleep(ctx, w.n.opt.Backoff)
		}
		w.queue = list
	}
	if len(w.queue) == 0 {
		return nil
	}
	return w.queue[0]
}

// wait until there is more, what is held is due, or somebody sends again.
func (w *worker) wait(ctx context.Context) {
	var due <-chan time.Time
	if len(w.held) > 0 {
		due = w.n.opt.After(max(w.releaseOf(w.held[0]).Sub(w.n.opt.Now()), time.Millisecond))
	}
	select {
	case <-w.n.feed.more(w.where().Ahead):
	case <-due:
	case <-w.nudge:
	case <-ctx.Done():
	}
}

// take decides on one event.
func (w *worker) take(ctx context.Context, e *Event) {
	if !w.sub.wants(e) {
		w.pass(e.Seq)
		return
	}
	if !w.releaseOf(e).IsZero() { // also when that is past: it goes with the others
		w.held = append(w.held, e)
		w.mu.Lock()
		w.place.Ahead = e.Seq
		w.mu.Unlock()
		w.show()
		return
	}
	w.deliver(ctx, w.sub.message([]*Event{e}, false), e.Recorded, func() place {
		p := place{Ahead: e.Seq, Cursor: e.Seq}
		if len(w.held) > 0 {
			p.Cursor = w.where().Cursor
		}
		return p
	})
}

// pass moves on behind an event that is none of its business.
func (w *worker) pass(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.place.Ahead = seq
	if len(w.held) == 0 {
		w.place.Cursor = seq
	}
}

// show lets people see what is held.
func (w *worker) show() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = nil
	if len(w.held) == 0 {
		return
	}
	first := w.held[0]
	release := w.sub.release(first, w.n.opt.Calendar)
	m := w.sub.message(w.held[:1], true)
	r := m.receipt(release)
	r.State, r.Events, r.Last, r.Next = Held, len(w.held), w.held[len(w.held)-1].Seq, &release
	w.current = &r
}

// settle moves the cursor up to what is held still.
func (w *worker) settle() {
	w.mu.Lock()
	if len(w.held) == 0 {
		w.place.Cursor = w.place.Ahead
	} else {
		w.place.Cursor = max(w.place.Cursor, w.held[0].Seq-1)
	}
	w.mu.Unlock()
	w.show()
}

// deliverHeld delivers together what was held until the same moment. Which they
// are depends on the events alone, so that a digest tried again is the same.
func (w *worker) deliverHeld(ctx context.Context) {
	release := w.releaseOf(w.held[0])
	n := 0
	for n < len(w.held) && n < maxDigest && w.releaseOf(w.held[n]).Equal(release) {
		n++
	}
	due := release
	if due.IsZero() { // no longer held: somebody changed the subscription
		due = w.n.opt.Now()
	}
	w.deliver(ctx, w.sub.message(slices.Clone(w.held[:n]), true), due, func() place {
		w.held = w.held[n:]
		p := w.where()
		p.Cursor = p.Ahead
		if len(w.held) > 0 {
			p.Cursor = w.held[0].Seq - 1
		}
		return p
	})
}

// deliver tries until it is delivered or given up. after gives the places behind
// it; it is not called when ctx ends before.
func (w *worker) deliver(ctx context.Context, m *Message, due time.Time, after func() place) {
	r := m.attempt(due)
	for {
		now := w.n.opt.Now()
		if r.Attempts == 0 && w.expired(due, now) {
			// The receiver could not be reached all the time this one had: there
			// is no sense in asking for each of thousands.
			r.At, r.Error = now, "the receiver has failed since "+w.failed.UTC().Format(time.RFC3339)
			w.bury(ctx, &r, after())
			return
		}
		w.attempt(ctx, m, &r)
		if ctx.Err() != nil && r.State != Delivered {
			return
		}
		if r.State == Delivered {
			w.failed, w.streak = time.Time{}, 0
			p := after()
			r.Cursor, r.Ahead = p.Cursor, p.Ahead
			r.Latency = max(0, ms(r.At.Sub(due)))
			w.decided(r, p)
			return
		}
		if w.failed.IsZero() {
			w.failed = r.At
		}
		if !r.At.Before(due.Add(w.n.opt.GiveUp)) {
			w.bury(ctx, &r, after())
			return
		}
		wait := w.backoff()
		if hint := r.retryAfter; hint > wait {
			wait = min(hint, time.Hour)
		}
		if left := due.Add(w.n.opt.GiveUp).Sub(r.At); wait > left {
			wait = left // the last attempt
		}
		next := r.At.Add(wait)
		r.State, r.Next = Retrying, &next
		w.shown(&r.Receipt)
		if !w.n.pause(ctx, wait) {
			return
		}
	}
}

// expired reports whether the receiver has been failing for all of a delivery's
// time.
func (w *worker) expired(due, now time.Time) bool {
	return !w.failed.IsZero() && !w.failed.After(due) && !now.Before(due.Add(w.n.opt.GiveUp))
}

// backoff doubles with each failure in a row of this receiver.
func (w *worker) backoff() time.Duration {
	d := w.n.opt.MaxBackoff
	if w.streak < 30 {
		d = min(d, w.n.opt.Backoff<<w.streak)
	}
	w.streak++
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// attempt tries once and writes into r what came of it.
func (w *worker) attempt(ctx context.Context, m *Message, r *attempt) {
	r.Attempts++
	w.shown(&r.Receipt)
	started := time.Now()
	res, err := w.send(ctx, m)
	r.Took = ms(time.Since(started))
	r.At = w.n.opt.Now().UTC()
	r.Answer, r.Digest, r.retryAfter, r.Error, r.Next = res.answer, digestOf(res.body), res.retryAfter, "", nil
	if err == nil {
		r.State, r.Error = Delivered, short(res.note)
		return
	}
	r.State, r.Error = Retrying, short(err.Error())
	if ctx.Err() == nil {
		w.n.metrics.attempts.WithLabelValues(string(w.sub.Kind)).Inc()
	}
}

// short cuts what others said to what fits a list.
func short(text string) string {
	if len(text) > 500 {
		text = text[:500]
	}
	return string([]rune(text))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// shown lets people see what is on its way.
func (w *worker) shown(r *Receipt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := *r
	w.current = &c
}

// decided moves on and has the receipt written.
func (w *worker) decided(r attempt, p place) {
	w.mu.Lock()
	w.place = p
	w.current = nil
	w.remember(r.Receipt)
	w.mu.Unlock()
	w.n.metrics.deliveries.WithLabelValues(string(w.sub.Kind), string(r.State)).Inc()
	if r.State == Delivered {
		w.n.metrics.latency.Observe(r.Latency / 1000)
		w.n.escalate.received(w.sub.ID, r.First, r.Last)
	}
	w.n.record(r.Receipt)
	w.show()
}

// bury makes a dead letter of a delivery.
func (w *worker) bury(ctx context.Context, r *attempt, p place) {
	r.State, r.Next = Dead, nil
	r.Cursor, r.Ahead = p.Cursor, p.Ahead
	kept := r.Receipt
	if err := w.n.keepDead(ctx, &kept); err != nil {
		w.n.opt.Log.Error("a dead letter is remembered until the next restart only", "subscription", w.sub.ID, "delivery", r.ID, "error", err)
	}
	w.mu.Lock()
	w.dead[r.ID] = &kept
	var oldest *Receipt
	if len(w.dead) > maxDead {
		for _, d := range w.dead {
			if oldest == nil || d.First < oldest.First {
				oldest = d
			}
		}
		delete(w.dead, oldest.ID)
	}
	w.mu.Unlock()
	if oldest != nil {
		w.n.metrics.dropped.Inc()
		if err := w.n.opt.Store.Delete(ctx, deadKey(oldest.ID)); err != nil {
			w.n.opt.Log.Warn("a dead letter too many was not removed", "delivery", oldest.ID, "error", err)
		}
	}
	w.n.opt.Log.Error("a delivery was given up", "subscription", w.sub.ID, "department", w.sub.Department, "delivery", r.ID, "attempts", r.Attempts, "error", r.Error)
	w.decided(*r, p)
}

// attempt's receipt with what the next try needs to know.
type attempt struct {
	Receipt
	retryAfter time.Duration
}

func (m *Message) attempt(due time.Time) attempt { return attempt{Receipt: m.receipt(due)} }

// Deliveries gives what is known of a subscription's deliveries, the newest
// first: what is on its way, then receipts, with the dead letters apart.
func (n *Notify) Deliveries(id string) (list, dead []Receipt, err error) {
	w, err := n.worker(id)
	if err != nil {
		return nil, nil, err
	}
	dead = w.deadLetters()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		list = append(list, *w.current)
	}
	for i, r := range slices.Backward(w.past) {
		if len(w.past)-i > history {
			break
		}
		list = append(list, r)
	}
	return list, dead, nil
}

// Waiting tells how many events of the feed a subscription has still to look at.
func (n *Notify) Waiting(id string) uint64 {
	w, err := n.worker(id)
	if err != nil {
		return 0
	}
	return n.feed.end() - min(n.feed.end(), w.where().Ahead)
}

// Resend has dead letters tried again, once each, before what is new. An empty
// delivery means all of the subscription, in their order. What is asked for is
// kept: a restart before its turn does not lose it.
func (n *Notify) Resend(ctx context.Context, id, delivery string) (int, error) {
	w, err := n.worker(id)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	if w.sub.Paused {
		w.mu.Unlock()
		return 0, invalid("paused", "it is paused: nothing is sent until it goes on")
	}
	list := []string{delivery}
	if delivery == "" {
		list = w.deadInOrder(func(*Receipt) bool { return true })
	} else if w.dead[delivery] == nil {
		w.mu.Unlock()
		return 0, fmt.Errorf("dead letter %.60q: %w", delivery, ErrNone)
	}
	var asked []Receipt
	for _, d := range list {
		if !slices.Contains(w.resend, d) {
			r := *w.dead[d]
			r.State = Resending
			asked = append(asked, r)
		}
	}
	w.mu.Unlock()
	values := map[string][]byte{}
	for i := range asked {
		if values[deadKey(asked[i].ID)], err = json.Marshal(&asked[i]); err != nil {
			return 0, err
		}
	}
	if len(values) > 0 {
		if err := n.opt.Store.PutAll(ctx, values); err != nil {
			return 0, fmt.Errorf("keeping what is to be sent again: %w", err)
		}
	}
	count := 0
	w.mu.Lock()
	for i := range asked {
		r := &asked[i]
		if w.dead[r.ID] == nil || slices.Contains(w.resend, r.ID) {
			continue // somebody else was quicker
		}
		w.dead[r.ID] = r
		w.resend = append(w.resend, r.ID)
		count++
	}
	w.mu.Unlock()
	select {
	case w.nudge <- struct{}{}:
	default:
	}
	return count, nil
}

// deadInOrder gives the ids of dead letters, the oldest first; with mu held.
func (w *worker) deadInOrder(which func(*Receipt) bool) []string {
	var list []string
	for id, r := range w.dead {
		if which(r) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(w.dead[a].First, w.dead[b].First) })
	return list
}

// Discard puts a dead letter away.
func (n *Notify) Discard(ctx context.Context, id, delivery string) error {
	w, err := n.worker(id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	r := w.dead[delivery]
	if r == nil {
		w.mu.Unlock()
		return fmt.Errorf("dead letter %.60q: %w", delivery, ErrNone)
	}
	w.mu.Unlock()
	if err := n.opt.Store.Delete(ctx, deadKey(delivery)); err != nil {
		return fmt.Errorf("putting away delivery %s: %w", delivery, err)
	}
	w.mu.Lock()
	delete(w.dead, delivery)
	w.resend = slices.DeleteFunc(w.resend, func(d string) bool { return d == delivery })
	away := *r
	away.State, away.Cursor, away.Ahead, away.At = PutAway, 0, 0, n.opt.Now().UTC()
	w.remember(away)
	w.mu.Unlock()
	n.record(away)
	return nil
}

// resendNext tries the next dead letter that somebody wants sent again.
func (w *worker) resendNext(ctx context.Context) bool {
	w.mu.Lock()
	var old *Receipt
	for len(w.resend) > 0 && old == nil {
		old = w.dead[w.resend[0]]
		w.resend = w.resend[1:]
	}
	w.mu.Unlock()
	if old == nil {
		return false
	}
	m, err := w.rebuild(ctx, old)
	if ctx.Err() != nil {
		w.again(old.ID)
		return true
	}
	a := m.attempt(old.Due)
	a.Attempts = old.Attempts
	if err == nil {
		w.attempt(ctx, m, &a)
	} else {
		a.Receipt = *old
		a.State, a.Error, a.At = Retrying, err.Error(), w.n.opt.Now().UTC()
	}
	a.Resent = true
	if a.State != Delivered {
		if ctx.Err() != nil {
			w.again(old.ID)
			return true
		}
		a.State = Dead
		kept := a.Receipt
		if err := w.n.keepDead(ctx, &kept); err != nil {
			w.n.opt.Log.Warn("a dead letter is sent again after the next restart", "delivery", old.ID, "error", err)
		}
		w.mu.Lock()
		w.dead[old.ID] = &kept
		w.current = nil
		w.remember(a.Receipt)
		w.mu.Unlock()
		w.n.record(a.Receipt)
		return true
	}
	a.Latency = max(0, ms(a.At.Sub(a.Due)))
	w.mu.Lock()
	delete(w.dead, old.ID)
	w.mu.Unlock()
	if err := w.n.opt.Store.Delete(context.WithoutCancel(ctx), deadKey(old.ID)); err != nil {
		w.n.opt.Log.Warn("a dead letter that was delivered is still kept", "delivery", old.ID, "error", err)
	}
	w.decided(a, w.where())
	return true
}

func (w *worker) again(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resend = append([]string{id}, w.resend...)
}

// rebuild makes the message of a dead letter again, out of the feed.
func (w *worker) rebuild(ctx context.Context, r *Receipt) (*Message, error) {
	empty := &Message{Version: 1, ID: r.ID, Subscription: w.sub.ID, Department: w.sub.Department, Type: r.Type}
	if r.Type != typeDigest {
		e, err := w.n.feed.get(ctx, r.First)
		if err != nil {
			return empty, err
		}
		m := w.sub.message([]*Event{e}, false)
		return m, nil
	}
	var events []*Event
	for at := r.First - 1; at < r.Last; {
		list, err := w.n.feed.after(ctx, at)
		if err != nil {
			return empty, err
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if at = e.Seq; at <= r.Last && !ahead(e) && w.sub.wants(e) {
				events = append(events, e)
			}
		}
	}
	if len(events) == 0 || events[0].Seq != r.First {
		return empty, fmt.Errorf("the events of the digest are no longer kept, or no longer subscribed to: %w", ErrNone)
	}
	return w.sub.message(events[:min(len(events), maxDigest)], true), nil
}

// Test sends a message marked as a test, once and at once, and tells what came
// of it.
func (n *Notify) Test(ctx context.Context, id string) (Receipt, error) {
	w, err := n.worker(id)
	if err != nil {
		return Receipt{}, err
	}
	w.mu.Lock()
	sub := w.sub
	w.mu.Unlock()
	if sub.Kind == Atom {
		return Receipt{}, invalid("kind", "a feed is fetched: open its address to test it")
	}
	if sub.Kind == Stream {
		return n.testStream(ctx, sub)
	}
	now := n.opt.Now().UTC()
	m := &Message{
		Version: 1, ID: deliveryID(id, typeTest, uint64(now.UnixNano())), Subscription: id, Department: sub.Department, Type: typeTest,
		Text: "Tin thử của Vọng lâu, không có gì xảy ra. / A test of Vọng lâu; nothing has happened.",
	}
	a := m.attempt(now)
	a.Attempts = 1
	started := time.Now()
	res, err := w.send(ctx, m)
	a.Took, a.At, a.Answer, a.Digest = ms(time.Since(started)), n.opt.Now().UTC(), res.answer, digestOf(res.body)
	a.State, a.Error = Delivered, short(res.note)
	a.Latency = a.Took
	if err != nil {
		a.State, a.Error, a.Latency = Dead, short(err.Error()), 0
	}
	w.mu.Lock()
	w.remember(a.Receipt)
	w.mu.Unlock()
	n.record(a.Receipt)
	return a.Receipt, nil
}

// result is what a receiver answered.
type result struct {
	answer     string
	note       string // what is to be known of a delivery all the same
	body       []byte
	retryAfter time.Duration
}

var errPulled = errors.New("its receiver fetches for itself")

// send makes one attempt on the subscription's channel.
func (w *worker) send(ctx context.Context, m *Message) (result, error) {
	w.mu.Lock()
	sub, sec := w.sub, w.secrets
	w.mu.Unlock()
	switch sub.Kind {
	case Webhook:
		return w.n.post(ctx, &sub, &sec, m)
	case Email:
		return w.n.mail(ctx, &sub, m)
	}
	return result{}, errPulled
}

func (n *Notify) keepDead(ctx context.Context, r *Receipt) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return n.opt.Store.Put(ctx, deadKey(r.ID), value)
}
