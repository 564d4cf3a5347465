package notify

import (
	"context"
	"fmt"
	"testing"
	"time"

	"vonglau/ops-center/alert"
)

// later stops a house and opens it again as if so much time had passed.
func (h *house) later(ahead *time.Duration, by time.Duration) {
	h.t.Helper()
	if err := h.n.Stop(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	*ahead += by
	h.open()
}

// watched waits until escalations have seen the whole feed and looked at what is
// due.
func (h *house) watched() {
	h.t.Helper()
	x := h.n.escalate
	seen := func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.at >= h.n.End()
	}
	eventually(h.t, "the whole feed seen", seen)
	looked := x.looked.Load()
	eventually(h.t, "a look at what is due", func() bool { return x.looked.Load() > looked || looked > 0 })
}

// TestReceiptsOverRestart: what was received is not passed on after a restart,
// whether it went ahead of what is held or was acknowledged long ago.
func TestReceiptsOverRestart(t *testing.T) {
	var ahead time.Duration
	h := newHouse(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	chief, duty := newReceiver(t), newReceiver(t)
	up := h.add(Subscription{Kind: Webhook, URL: chief.url, Filter: Filter{Rules: []string{"nothing"}}}, "")
	now := time.Now().In(h.opt.Calendar)
	quiet := &Quiet{now.Add(-2 * time.Hour).Format("15:04"), now.Add(2 * time.Hour).Format("15:04")}
	s := h.add(Subscription{Kind: Webhook, URL: duty.url, Quiet: quiet, Escalation: &Escalation{After: "5m", To: up.ID}}, "")
	stream := h.add(Subscription{Kind: Stream, Escalation: &Escalation{After: "5m", To: up.ID}}, "")
	h.alarm(AlarmRaised, nil) // held
	eventually(t, "one held", func() bool {
		list, _, _ := h.n.Deliveries(s.ID)
		return len(list) > 0 && list[0].State == Held
	})
	for range 2*history + 50 {
		h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
	}
	eventually(t, "the urgent ones", func() bool { return len(duty.got()) == 2*history+50 })
	tail, err := h.n.Session(stream.ID, "desk", false)
	if err != nil {
		t.Fatal(err)
	}
	tail.Close()
	for seq := uint64(1); seq <= 2*history+51; seq++ {
		tail.Ack(seq)
	}
	h.later(&ahead, 6*time.Minute)
	h.watched()
	if got := chief.got(); len(got) > 0 {
		t.Errorf("%d that were received are passed on, such as event %d of %s", len(got), got[0].Event.Of, got[0].Event.From)
	}
}

// TestEscalationOfALongFeed: a restart forgets nobody, however much was told
// since.
func TestEscalationOfALongFeed(t *testing.T) {
	var ahead time.Duration
	h := newHouse(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	chief, duty := newReceiver(t), newReceiver(t)
	duty.down.Store(true)
	up := h.add(Subscription{Kind: Webhook, URL: chief.url, Filter: Filter{Rules: []string{"nothing"}}}, "")
	h.add(Subscription{Kind: Webhook, URL: duty.url, Filter: Filter{Priorities: []int{1}}, Escalation: &Escalation{After: "5m", To: up.ID}}, "")
	id := h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
	for range recent + 100 {
		h.alarm(AlarmRaised, nil)
	}
	eventually(t, "all in the feed", func() bool { return h.n.End() >= recent+101 })
	for range 2 { // a second restart goes on where the first did
		h.watched()
		h.later(&ahead, time.Minute)
	}
	h.watched()
	if got := chief.got(); len(got) > 0 {
		t.Fatalf("told too early: %v", got)
	}
	h.later(&ahead, 4*time.Minute)
	eventually(t, "the next is told", func() bool { return len(chief.got()) > 0 })
	h.later(&ahead, time.Minute)
	h.watched()
	said := map[string]bool{}
	for _, m := range chief.got() {
		said[fmt.Sprint(m.ID, m.Event.Alarm.ID == id)] = true
	}
	if len(said) != 1 {
		t.Errorf("told %v, want one delivery of %s", said, id)
	}
}

// TestEscalationWrittenTwice: an escalation whose append failed, and was done all
// the same, is not written again.
func TestEscalationWrittenTwice(t *testing.T) {
	h := newHouse(t, nil)
	chief, duty := newReceiver(t), newReceiver(t)
	duty.down.Store(true)
	up := h.add(Subscription{Kind: Webhook, URL: chief.url, Filter: Filter{Rules: []string{"nothing"}}}, "")
	h.add(Subscription{Kind: Webhook, URL: duty.url, Filter: Filter{Events: []string{AlarmRaised}}, Escalation: &Escalation{After: "1m", To: up.ID}}, "")
	var e *Event
	h.alarm(AlarmRaised, nil)
	eventually(t, "the event", func() bool { e, _ = h.n.feed.get(context.Background(), 1); return e != nil })
	passed := *e
	passed.Seq, passed.Source, passed.SourceSeq, passed.Target, passed.Of, passed.From = 0, "escalation", 0, up.ID, 1, "duty"
	h.feed.mu.Lock()
	h.feed.lie = 1
	h.feed.mu.Unlock()
	if _, err := h.n.feed.appended(context.Background(), &passed); err == nil {
		t.Fatal("the append was to fail")
	}
	if _, err := h.n.feed.appended(context.Background(), &passed); err != nil {
		t.Fatal(err)
	}
	if got := h.feed.End(); got != 2 {
		t.Errorf("%d events in the feed, want the alarm and what was passed on", got)
	}
}
