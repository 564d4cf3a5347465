package alert

import (
	"testing"
	"time"

	"vonglau/devices"
)

// TestShownSince: a record of the log says by itself since when its alarm is in
// sight and, once it is acknowledged, when that was told: the moments of the
// records that told of them.
func TestShownSince(t *testing.T) {
	s := newTestAlarms(t)
	now := midnight
	s.opt.Now = func() time.Time { return now }
	if _, err := s.opt.Register.Add(t.Context(), devices.Device{ID: "a", Profile: "noise"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []byte("version: 1\nrules:\n  - id: loud\n    name: {vi: Ồn, en: Loud}\n    priority: 3\n    owner: o\n    head: h\n    message: {vi: x, en: x}\n    response: {vi: x, en: x}\n    procedure: {vi: [x], en: [x]}\n    when: {threshold: {quantity: noise, above: 80}}\n")); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	hear := func(noise float64) {
		t.Helper()
		seq++
		m := &devices.Message{Device: "a", Received: now, Observations: []devices.Observation{{Time: now, Values: []devices.Value{{Quantity: "noise", Number: noise}}}}}
		if err := s.Handle(t.Context(), []*devices.Message{m}, nil, seq); err != nil {
			t.Fatal(err)
		}
	}
	act := func(event Event, long time.Duration) {
		t.Helper()
		now = now.Add(time.Minute)
		if _, err := s.Act(t.Context(), s.List()[0].ID, Actor{Name: "Lan", Role: "shift_leader"}, Act{Event: event, Note: "x", For: long}); err != nil {
			t.Fatal(err)
		}
	}
	hear(85)
	act(Ack, 0)
	act(Shelve, time.Hour)
	act(Unshelve, 0)
	act(Ack, 0)
	now = now.Add(time.Minute)
	story, err := s.Story(t.Context(), s.List()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var shown, acked time.Time
	for i := range story {
		tr := &story[i]
		if tr.To.Shown() && !tr.From.Shown() {
			shown = tr.At
		}
		if tr.Event == Ack {
			acked = tr.At
		}
		since := tr.Alarm.Raised
		if tr.Alarm.ShownSince != nil {
			since = *tr.Alarm.ShownSince
		}
		if !since.Equal(shown) || i == 0 && tr.Alarm.ShownSince != nil {
			t.Errorf("%d %s: shown since %v (%v), want %v", i, tr.Event, since, tr.Alarm.ShownSince, shown)
		}
		if a := tr.Alarm.Acknowledged; !acked.IsZero() && (a == nil || !a.At.Equal(acked)) {
			t.Errorf("%d %s: acknowledged %+v, want %v", i, tr.Event, a, acked)
		}
	}
	if len(story) != 5 || story[4].Alarm.ShownSince == nil {
		t.Errorf("%d records", len(story))
	}
}
