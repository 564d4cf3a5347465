package scene

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// messageOf is the scene message of a display, as its screen reads it.
func (h *house) messageOf(display string) (m message) {
	h.t.Helper()
	if err := json.Unmarshal(h.Message(display), &m); err != nil {
		h.t.Fatal(err)
	}
	return m
}

// says has the screen of a display report that it shows what it was told.
func (h *house) says(display, link string) {
	h.t.Helper()
	raw, err := json.Marshal(Health{Seq: h.messageOf(display).Seq, Link: link})
	if err == nil {
		err = h.Report(display, "[::1]:1", raw)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestPushedReplay puts a night on one of two displays: it goes on by itself,
// over a restart too, gives way to an urgent alarm and comes back to where it
// would be by then, and ends by its time or by undo. The record has it.
func TestPushedReplay(t *testing.T) {
	h := newHouse(t)
	h.past()
	h.display(Display{ID: "a", TakeOver: TakeOver{Priority: 1, Linger: 20}})
	h.display(Display{ID: "b"})
	h.says("a", "live")
	night := h.now.Add(-6 * time.Hour)
	p := h.push(Order{Scene: "flood", Displays: []string{"a"}, Replay: &Replay{At: night, Speed: 60}, Until: h.now.Add(10 * time.Minute)}, operator)
	if !p.Replay.Since.Equal(h.now) {
		t.Errorf("it begins at %s, want %s", p.Replay.Since, h.now)
	}
	at := func(want time.Time) {
		t.Helper()
		h.decide(h.now)
		m := h.messageOf("a")
		if m.Replay == nil || m.Replay.Push != p.ID || m.Replay.Speed != 60 || !m.Replay.At.Equal(want) || m.Scene.ID != "flood" {
			t.Errorf("the display is told %+v of %s, want the moment %s", m.Replay, m.Scene.ID, want)
		}
		if m := h.messageOf("b"); m.Replay != nil {
			t.Errorf("the other display is told %+v", m.Replay)
		}
	}
	live := func() {
		t.Helper()
		h.decide(h.now)
		if m := h.messageOf("a"); m.Replay != nil {
			t.Errorf("the display shows the past: %+v", m.Replay)
		}
	}
	at(night)

	// What counts as shown is the past, not the page on the way to it.
	h.says("a", "live")
	if s := h.state("a").Showing; s.Replay != (Replay{}) || s.Push != "" {
		t.Errorf("on record before it was shown: %+v", s)
	}
	h.says("a", "replay")
	if s := h.state("a").Showing; !s.Replay.At.Equal(night) || s.Replay.Speed != 60 || s.Push != p.ID {
		t.Errorf("on record is %+v", s)
	}

	h.now = h.now.Add(time.Minute)
	at(night.Add(time.Hour))
	h.writeShown(t.Context())
	h.open()
	h.past()
	at(night.Add(time.Hour))

	urgent := Alarm{ID: "x", Priority: 1, Waiting: true}
	h.ApplyAlarm(urgent)
	live()
	h.says("a", "replay") // the page is still on its way
	if s := h.state("a").Showing; s.Alarm != "" {
		t.Errorf("the alarm is said to be shown by a page of the past: %+v", s)
	}
	h.says("a", "live")
	urgent.Waiting = false
	h.ApplyAlarm(urgent)
	h.now = h.now.Add(time.Minute)
	at(night.Add(2 * time.Hour))

	h.now = p.Until
	live()
	shown, err := h.ShownBetween(t.Context(), "a", night, h.now, 100)
	if err != nil {
		t.Fatal(err)
	}
	past := 0
	for _, s := range shown {
		if !s.Replay.At.IsZero() {
			past++
		}
	}
	if past != 1 || len(shown) != 3 {
		t.Errorf("%d of %d entries are of a replay, want 1 of 3: %+v", past, len(shown), shown)
	}

	p = h.push(Order{Scene: "flood", All: true, Replay: &Replay{At: night}}, operator)
	if m := h.messageOf("b"); m.Replay == nil || m.Replay.Speed != 1 {
		t.Errorf("without a speed it is told %+v", m.Replay)
	}
	// It comes no nearer to the present than what is in the store.
	h.now = h.now.Add(48 * time.Hour)
	if m := h.messageOf("b"); !m.Replay.At.Before(h.now.Add(-9 * time.Second)) {
		t.Errorf("at %s it shows %s", h.now, m.Replay.At)
	}
	if _, err := h.Undo(t.Context(), p.ID, operator); err != nil {
		t.Fatal(err)
	}
	live()
}

func TestPushedReplayIsChecked(t *testing.T) {
	h := newHouse(t)
	h.past()
	for _, id := range []string{"a", "b", "c"} {
		h.display(Display{ID: id})
	}
	ago := func(d time.Duration) *Replay { return &Replay{At: h.now.Add(-d)} }
	for name, o := range map[string]Order{
		"of what is not over":  {Displays: []string{"a"}, Replay: ago(5 * time.Second)},
		"of the future":        {Displays: []string{"a"}, Replay: ago(-time.Hour)},
		"of what is not kept":  {Displays: []string{"a"}, Replay: ago(366 * 24 * time.Hour)},
		"of no time":           {Displays: []string{"a"}, Replay: &Replay{}},
		"too fast":             {Displays: []string{"a"}, Replay: &Replay{At: h.now.Add(-time.Hour), Speed: 601}},
		"too slow":             {Displays: []string{"a"}, Replay: &Replay{At: h.now.Add(-time.Hour), Speed: -1}},
		"on too many displays": {All: true, Replay: ago(time.Hour)},
	} {
		if _, err := h.Push(t.Context(), o, operator); !errors.Is(err, ErrInvalid) {
			t.Errorf("a replay %s: %v", name, err)
		}
	}
	first := h.push(Order{Displays: []string{"a", "b"}, Replay: ago(time.Hour)}, operator)
	if _, err := h.Push(t.Context(), Order{Displays: []string{"c"}, Replay: ago(time.Hour)}, operator); !errors.Is(err, ErrInvalid) {
		t.Errorf("a third display is let into the past: %v", err)
	}
	h.push(Order{Displays: []string{"b"}, Replay: ago(2 * time.Hour)}, operator) // instead of the one there
	if _, err := h.Undo(t.Context(), first.ID, operator); err != nil {
		t.Fatal(err)
	}
	h.push(Order{Displays: []string{"c"}, Replay: ago(time.Hour)}, operator)

	bare := newHouse(t)
	bare.display(Display{ID: "a"})
	if _, err := bare.Push(t.Context(), Order{All: true, Replay: ago(time.Hour)}, operator); !errors.Is(err, ErrInvalid) {
		t.Errorf("a replay without a time machine: %v", err)
	}
}

// past gives the house a time machine for two displays.
func (h *house) past() {
	h.opt.Past = PastOptions{Retention: 365 * 24 * time.Hour, Edge: 10 * time.Second, Displays: 2}
}

func (h *house) state(display string) State {
	h.t.Helper()
	st, err := h.Display(display)
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}
