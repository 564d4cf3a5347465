package notify

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxPending bounds what is watched for a receipt.
const maxPending = 100_000

// escalator watches for receipts that do not come, and passes on.
type escalator struct {
	n *Notify

	mu      sync.Mutex
	pending map[string]pending // by subscription and event
	most    int                // of pending
	full    bool               // there was no place for one, and that was told
	at      uint64             // the newest event looked at
	looked  atomic.Uint64      // how often what is due was looked at
}

type pending struct {
	sub   string
	event *Event
	due   time.Time
}

func newEscalator(n *Notify) *escalator {
	return &escalator{n: n, most: maxPending, pending: map[string]pending{}}
}

func pendingKey(sub string, seq uint64) string { return fmt.Sprintf("%s.%d", sub, seq) }

// escalates are the kinds somebody has to hear of.
func escalates(e *Event) bool { return e.Kind == AlarmRaised || e.Kind == WarningIssued }

// received ends the waiting for receipts of a subscription.
func (x *escalator) received(sub string, first, last uint64) {
	s, err := x.n.Get(sub)
	if err != nil || s.Escalation == nil || s.Escalation.Until == "acknowledged" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if first == last {
		delete(x.pending, pendingKey(sub, first))
		return
	}
	for key, p := range x.pending {
		if p.sub == sub && p.event.Seq >= first && p.event.Seq <= last {
			delete(x.pending, key)
		}
	}
}

// place is the event behind which everything has to be looked at again after a
// restart: what is waited for may be long ago in a feed in which much is told.
func (x *escalator) place() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := x.at
	for _, p := range x.pending {
		at = min(at, p.event.Seq-1)
	}
	return at
}

// run follows the feed from where all was decided, so that a restart forgets
// nobody.
func (x *escalator) run(ctx context.Context) {
	at := x.place()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for {
			list, err := x.n.feed.after(ctx, at)
			if err != nil && ctx.Err() == nil {
				x.n.opt.Log.Error("escalations cannot read the feed", "error", err)
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				x.see(e)
				at = e.Seq
			}
		}
		x.passOn(ctx)
		x.looked.Add(1)
		select {
		case <-x.n.feed.more(at):
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// see takes an event of the feed in.
func (x *escalator) see(e *Event) {
	subs := x.n.List()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at = max(x.at, e.Seq)
	if e.Of != 0 {
		delete(x.pending, pendingKey(e.From, e.Of)) // passed on already
	}
	if e.Kind == AlarmAcknowledged || e.Kind == AlarmWithdrawn {
		for key, p := range x.pending {
			if p.event.Alarm != nil && e.Alarm != nil && p.event.Alarm.ID == e.Alarm.ID {
				delete(x.pending, key)
			}
		}
	}
	if !escalates(e) || x.n.opt.Now().Sub(e.Recorded) > 2*maxEscalation {
		return
	}
	for i := range subs {
		s := &subs[i]
		if s.Escalation == nil || s.Paused || !s.wants(e) || e.Seq <= x.n.startOf(s.ID) {
			continue
		}
		if s.Escalation.Until == "receipt" && x.n.has(s.ID, e) {
			continue
		}
		after, err := time.ParseDuration(s.Escalation.After)
		if err != nil {
			continue
		}
		if key := pendingKey(s.ID, e.Seq); len(x.pending) >= x.most {
			if _, again := x.pending[key]; !again {
				x.miss(s, e)
				continue
			}
		}
		from := e.Recorded
		if release := s.holdsUntil(e, x.n.opt.Calendar); !release.IsZero() {
			from = release
		}
		x.pending[pendingKey(s.ID, e.Seq)] = pending{s.ID, e, from.Add(after)}
	}
}

// miss counts an event that no receipt is waited for, and says so once until
// there is place again; with mu held.
func (x *escalator) miss(s *Subscription, e *Event) {
	x.n.metrics.unwatched.Inc()
	if !x.full {
		x.full = true
		x.n.opt.Log.Error("too many receipts are waited for: what comes now is not passed on when it gets none", "waiting", len(x.pending), "subscription", s.ID, "event", e.Seq)
	}
}

// passOn appends what is overdue, addressed to who is next.
func (x *escalator) passOn(ctx context.Context) {
	now := x.n.opt.Now()
	x.mu.Lock()
	if x.full && len(x.pending) <= x.most*9/10 {
		x.full = false
	}
	var due []pending
	for _, p := range x.pending {
		if !p.due.After(now) {
			due = append(due, p)
		}
	}
	x.mu.Unlock()
	for _, p := range due {
		s, err := x.n.Get(p.sub)
		if err != nil || s.Escalation == nil || s.Paused || p.event.Depth >= maxChain {
			x.drop(p)
			continue
		}
		if s.Escalation.Until == "receipt" && x.n.has(s.ID, p.event) {
			x.drop(p)
			continue
		}
		e := *p.event
		e.Seq, e.Source, e.SourceSeq = 0, "escalation", 0
		e.Target, e.Of, e.From, e.Depth = s.Escalation.To, p.event.Seq, s.ID, p.event.Depth+1
		e.Recorded = now.UTC()
		if _, err := x.n.feed.appended(ctx, &e); err != nil {
			x.n.metrics.failures.Inc()
			x.n.opt.Log.Error("an escalation was not written down and is tried again", "subscription", s.ID, "error", err)
			return
		}
		x.n.opt.Log.Warn("no receipt in time: passed on", "subscription", s.ID, "to", e.Target, "event", e.Of)
		x.drop(p)
	}
}

func (x *escalator) drop(p pending) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.pending, pendingKey(p.sub, p.event.Seq))
}

// has reports whether a subscription has its receipt of an event.
func (n *Notify) has(id string, e *Event) bool {
	w, err := n.worker(id)
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seq := e.Seq
	if w.sub.Kind != Stream {
		// What is told at once goes ahead of what is held.
		return seq <= w.place.Cursor || ahead(e) && seq <= w.place.Ahead
	}
	// A receiver acknowledges in order. Only what is remembered singly can be
	// known to have been left out.
	if len(w.past) > 0 && seq < w.past[0].First && seq <= w.acked {
		return true
	}
	for i := range w.past {
		if r := &w.past[i]; r.State == Delivered && r.First <= seq && seq <= r.Last && r.Type == typeEvent {
			return true
		}
	}
	return false
}

func (n *Notify) startOf(id string) uint64 {
	w, err := n.worker(id)
	if err != nil {
		return 0
	}
	return w.start
}
