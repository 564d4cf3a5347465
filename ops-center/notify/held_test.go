package notify

import (
	"context"
	"encoding/xml"
	"slices"
	"testing"
	"time"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// TestRelease: when an event of some moment may go out, in the city's calendar.
func TestRelease(t *testing.T) {
	city := time.FixedZone("+07", 7*3600)
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, city)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	night := &Quiet{"22:00", "06:00"}
	for _, c := range []struct {
		name     string
		s        Subscription
		priority int
		at, want string // "" is at once
	}{
		{"no bounds", Subscription{}, 2, "2026-09-01 23:00", ""},
		{"evening", Subscription{Quiet: night}, 2, "2026-09-01 21:59", ""},
		{"night", Subscription{Quiet: night}, 2, "2026-09-01 22:00", "2026-09-02 06:00"},
		{"after midnight", Subscription{Quiet: night}, 2, "2026-09-02 05:59", "2026-09-02 06:00"},
		{"morning", Subscription{Quiet: night}, 2, "2026-09-02 06:00", ""},
		{"priority 1 at night", Subscription{Quiet: night}, 1, "2026-09-02 01:00", ""},
		{"noon", Subscription{Quiet: &Quiet{"12:00", "13:00"}}, 3, "2026-09-02 12:30", "2026-09-02 13:00"},
		{"hour", Subscription{Digest: "hour"}, 3, "2026-09-02 12:30", "2026-09-02 13:00"},
		{"day", Subscription{Digest: "day"}, 3, "2026-09-02 12:30", "2026-09-03 00:00"},
		{"day that ends at night", Subscription{Digest: "day", Quiet: night}, 3, "2026-09-02 12:30", "2026-09-03 06:00"},
	} {
		got := c.s.release(&Event{Priority: c.priority, Recorded: at(c.at)}, city)
		if c.want == "" != got.IsZero() || c.want != "" && !got.Equal(at(c.want)) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestDigest: what is held comes together, once; priority 1 does not wait, and a
// kill in between loses and repeats nothing.
func TestDigest(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	s := h.add(Subscription{Kind: Webhook, URL: r.url, Digest: "day"}, "")
	first, second := h.alarm(AlarmRaised, nil), h.alarm(AlarmRaised, nil)
	urgent := h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
	third := h.alarm(AlarmRaised, nil)
	eventually(t, "the urgent one", func() bool { return len(r.got()) == 1 })
	eventually(t, "three held", func() bool {
		list, _, _ := h.n.Deliveries(s.ID)
		return len(list) > 0 && list[0].State == Held && list[0].Events == 3
	})
	h.restart(true)
	eventually(t, "three held after a kill", func() bool {
		list, _, _ := h.n.Deliveries(s.ID)
		return len(list) > 0 && list[0].State == Held && list[0].Events == 3
	})
	// What is no longer held is due.
	if _, _, err := h.n.Change(context.Background(), s.ID, func(s *Subscription) error { s.Digest = ""; return nil }, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the digest", func() bool { return len(r.got()) == 2 })
	m := r.got()[1]
	if want := []string{urgent, first, second, third}; m.Type != typeDigest || len(m.Events) != 3 || !slices.Equal(r.alarms(), want) {
		t.Errorf("got %s of %v, want %v", m.Type, r.alarms(), want)
	}
}

// TestEscalation: without a receipt in time the next is told, once, over a kill.
func TestEscalation(t *testing.T) {
	var ahead time.Duration
	h := newHouse(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	down, next := newReceiver(t), newReceiver(t)
	down.down.Store(true)
	chief := h.add(Subscription{Kind: Webhook, URL: next.url, Filter: Filter{Rules: []string{"nothing"}}}, "")
	s := h.add(Subscription{Kind: Webhook, URL: down.url, Escalation: &Escalation{After: "5m", To: chief.ID}}, "")
	id := h.alarm(AlarmRaised, nil)
	eventually(t, "attempts in vain", func() bool { return h.n.workers[s.ID].failing() })
	if got := next.got(); len(got) != 0 {
		t.Fatalf("told too early: %v", got)
	}
	if err := h.n.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	ahead = 6 * time.Minute
	h.open()
	eventually(t, "the next is told", func() bool { return len(next.got()) == 1 })
	if m := next.got()[0]; m.Event.Alarm.ID != id || m.Event.From != s.ID || m.Event.Depth != 1 {
		t.Errorf("got %+v", m.Event)
	}
	h.restart(true)
	time.Sleep(100 * time.Millisecond)
	for _, m := range next.got() { // what was under way may come again, as itself
		if first := next.got()[0]; m.ID != first.ID {
			t.Errorf("told again, as %s after %s", m.ID, first.ID)
		}
	}
	if got := h.n.End(); got != 2 {
		t.Errorf("%d events in the feed, want the alarm and what was passed on", got)
	}
}

// TestStream: a session goes on behind what it acknowledged, over a kill.
func TestStream(t *testing.T) {
	h := newHouse(t, nil)
	s := h.add(Subscription{Kind: Stream}, "")
	read := func(n int) (ids []string) {
		t.Helper()
		tail, err := h.n.Session(s.ID, "duty", true)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for range n {
			seq, _, err := tail.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			e, err := h.n.feed.get(ctx, seq)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.Alarm.ID)
			tail.Ack(seq)
		}
		return ids
	}
	tail, err := h.n.Session(s.ID, "duty", false)
	if err != nil {
		t.Fatal(err)
	}
	tail.Close()
	var want []string
	for range 10 {
		want = append(want, h.alarm(AlarmRaised, nil))
	}
	h.restart(true) // before the first receipt, and after
	got := read(4)
	h.restart(true)
	if got = append(got, read(6)...); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestCAP: what a webhook of that format gets is CAP that our own reader takes.
func TestCAP(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	h.add(Subscription{Kind: Webhook, URL: r.url, Format: "cap"}, "")
	h.alarm(AlarmRaised, nil)
	h.alarm(AlarmCleared, nil)
	eventually(t, "both", func() bool { return len(r.got()) == 2 })
	for i, want := range []string{"Alert", "Cancel"} {
		a, err := cap12.Decode(r.raw[i], cap12.Context{})
		if err != nil {
			t.Errorf("%s: %v\n%s", want, err, r.raw[i])
			continue
		}
		if a.MsgType != want || a.Scope != "Restricted" || len(a.Infos) != 2 || r.header[i].Get("Content-Type") != "application/cap+xml" {
			t.Errorf("%s: got %+v", want, a)
		}
	}
}

// TestAtom: the feed is well-formed and has the newest first.
func TestAtom(t *testing.T) {
	h := newHouse(t, nil)
	s := h.add(Subscription{Kind: Atom}, "")
	for range 3 {
		h.alarm(AlarmRaised, nil)
	}
	eventually(t, "three in the feed", func() bool { return h.n.End() == 3 })
	raw, err := h.n.Feed(context.Background(), s.ID, "/feed")
	if err != nil {
		t.Fatal(err)
	}
	var f atomFeed
	if err := xml.Unmarshal(raw, &f); err != nil || len(f.Entries) != 3 || f.Entries[0].ID == f.Entries[1].ID {
		t.Errorf("%v: %d entries\n%s", err, len(f.Entries), raw)
	}
}
