package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Signals in, events out, at times.
func TestDetector(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration
		kind  SignalKind
		key   string
		times int
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"one wrong password is nobody's business", []step{{0, FailedLogin, "binh", 2}}, ""},
		{"three are", []step{{0, FailedLogin, "binh", 2}, {time.Minute, FailedLogin, "binh", 1}}, "failed_login binh 3"},
		{"over a long time they are not", []step{{0, FailedLogin, "binh", 2}, {6 * time.Minute, FailedLogin, "binh", 2}}, ""},
		{"of two accounts they are not", []step{{0, FailedLogin, "binh", 2}, {0, FailedLogin, "an", 2}}, ""},
		{"a clone is at once, and told once", []step{{0, IdentityClone, "aq-1", 50}}, "identity_clone aq-1 1; more identity_clone aq-1 49"},
		{"and again when it goes on", []step{{0, IdentityClone, "aq-1", 1}, {11 * time.Minute, IdentityClone, "aq-1", 1}}, "identity_clone aq-1 1; identity_clone aq-1 1"},
		{"malformed by rate", []step{{0, MalformedBurst, "aq-1", 19}, {61 * time.Second, MalformedBurst, "aq-1", 19}}, ""},
		{"malformed by rate, more", []step{{0, MalformedBurst, "aq-1", 19}, {time.Second, MalformedBurst, "aq-1", 2}}, "malformed_burst aq-1 20; more malformed_burst aq-1 1"},
		{"unknown kinds are nothing", []step{{0, "weather", "x", 100}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, at := NewDetector(), noon
			var got []string
			tell := func(e SecurityEvent) {
				more := ""
				if e.More {
					more = "more "
				}
				got = append(got, fmt.Sprintf("%s%s %s %d", more, e.Kind, e.Key, e.Count))
			}
			for _, s := range c.steps {
				at = at.Add(s.after)
				for range s.times {
					if e, ok := d.Step(Signal{Kind: s.kind, Key: s.key, At: at}); ok {
						tell(e)
					}
				}
			}
			for _, e := range d.Ripe(at.Add(hold)) {
				tell(e)
			}
			if got := strings.Join(got, "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(d.keys) != 0 {
				t.Errorf("%d keys are remembered when all is over", len(d.keys))
			}
		})
	}
}

// Whoever makes keys up fills neither memory nor disk, and hides nobody's alert.
func TestDetectorBounds(t *testing.T) {
	d, at := NewDetector(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	events := 0
	for i := range 100_000 {
		if _, ok := d.Step(Signal{Kind: TopicViolation, Key: fmt.Sprint("made-up-", i), At: at}); ok {
			events++
		}
	}
	if events > eventsBurst || len(d.keys) > maxWatched+len(bounds) {
		t.Errorf("%d events, %d keys", events, len(d.keys))
	}
	if _, ok := d.Step(Signal{Kind: BreakGlass, Key: "admin", At: at}); !ok {
		t.Error("the noise hid an alert")
	}
	muted := false
	for _, e := range d.Ripe(at.Add(time.Hour)) {
		muted = muted || e.Kind == Flood && e.Severity == Alert && e.Count > 90_000
	}
	if !muted {
		t.Error("nobody is told how much was only counted")
	}
}

func TestSecurity(t *testing.T) {
	log := &memory{}
	s, err := OpenSecurity(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	events, stop, ok := s.Listen()
	if !ok {
		t.Fatal("no room for one listener")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.Signal(Signal{Kind: BreakGlass, Key: "admin", From: "2001:db8::1"})
	select {
	case e := <-events:
		if e.Kind != BreakGlass || e.Severity != Alert || e.N != 1 {
			t.Errorf("got %+v", e)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
	stop()
	s.Signal(Signal{Kind: Lockout, Key: "binh"})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	again, err := OpenSecurity(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Take(t.Context(), Signal{Kind: CrossOrigin, Key: "2001:db8::/64", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	list, below, err := again.Find(t.Context(), SecurityQuery{Limit: 2})
	if err != nil || len(list) != 2 || list[0].N != 3 || list[1].Kind != Lockout || below != 2 {
		t.Errorf("%v %+v %d", err, list, below)
	}
	if list, _, err := again.Find(t.Context(), SecurityQuery{Kind: BreakGlass}); err != nil || len(list) != 1 {
		t.Errorf("%v %+v", err, list)
	}
}
