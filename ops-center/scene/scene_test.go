package scene

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// log is a record in memory that can refuse, as a full disk does.
type log struct {
	acts []entry
	now  func() time.Time
	fail error
}

type entry struct {
	at      time.Time
	subject string
	data    []byte
}

func (l *log) Append(_ context.Context, subject string, data []byte) (uint64, error) {
	if l.fail != nil {
		return 0, l.fail
	}
	l.acts = append(l.acts, entry{l.now(), subject, data})
	return uint64(len(l.acts)), nil
}

func (l *log) Read(_ context.Context, from uint64, f func(uint64, time.Time, string, []byte) error) error {
	for i := int(from) - 1; i < len(l.acts); i++ {
		if err := f(uint64(i+1), l.acts[i].at, l.acts[i].subject, l.acts[i].data); err != nil {
			return err
		}
	}
	return nil
}

// house is a set of scenes on a clock of its own, over records that outlive it.
type house struct {
	*Scenes
	t           *testing.T
	now         time.Time
	acts, shown *log
	told        []string
}

var (
	leader   = Actor{Name: "trưởng ca", Rank: 2}
	operator = Actor{Name: "trực ban", Rank: 1}
)

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	h.acts, h.shown = &log{now: clock}, &log{now: clock}
	h.open()
	for _, id := range []string{"flood", "traffic", "alarm"} {
		h.scene(id, 0)
	}
	return h
}

func (h *house) open() {
	h.t.Helper()
	s, err := Open(h.t.Context(), Options{
		Acts: h.acts, Shown: h.shown, Now: func() time.Time { return h.now }, Frames: []string{"https://cam.example"},
		Changed: func(id string) { h.told = append(h.told, id) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Scenes = s
}

func (h *house) scene(id string, base int, panels ...Panel) Scene {
	h.t.Helper()
	if panels == nil {
		panels = []Panel{{ID: "map", Kind: Map, W: 24, H: 12}}
	}
	sc, err := h.Put(h.t.Context(), Scene{ID: id, Name: Text{"vi": id}, Panels: panels}, base, leader)
	if err != nil {
		h.t.Fatal(err)
	}
	return sc
}

func (h *house) display(d Display) {
	h.t.Helper()
	d.Name = Text{"vi": "Màn hình " + d.ID}
	if _, err := h.PutDisplay(h.t.Context(), d, leader); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) push(o Order, who Actor) Push {
	h.t.Helper()
	p, err := h.Push(h.t.Context(), o, who)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// shows is what a display has to show, as "scene@version reason".
func (h *house) shows(id string) string {
	h.t.Helper()
	h.decide(h.now)
	d, err := h.Display(id)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s@%d %s", d.Told.Scene, d.Told.Version, d.Told.Reason)
}

func (h *house) want(id, want string) {
	h.t.Helper()
	if got := h.shows(id); got != want {
		h.t.Errorf("%s at %s shows %q, want %q", id, h.now.Format("15:04:05"), got, want)
	}
}

// TestPrecedence walks one display down the table: everything at once, and what
// is on top taken away again and again.
func TestPrecedence(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1"})
	h.want("w1", "default@0 default")
	list := []Item{{Scene: "traffic", Seconds: 60, From: "08:00", To: "09:00"}}
	h.display(Display{ID: "w1", Scene: "flood", Playlist: list, TakeOver: TakeOver{Priority: 1, Scene: "alarm", Hold: 600}})
	h.want("w1", "traffic@1 playlist")
	low := h.push(Order{Scene: "flood", Displays: []string{"w1"}}, operator)
	h.want("w1", "flood@1 pushed")
	h.push(Order{Scene: "default", Displays: []string{"w1"}, Until: h.now.Add(time.Minute)}, operator)
	h.want("w1", "default@0 pushed")
	h.ApplyAlarm(Alarm{ID: "a2", Priority: 2, Waiting: true})
	h.want("w1", "default@0 pushed") // priority 2 does not take over here
	h.ApplyAlarm(Alarm{ID: "a1", Device: "river-1", Priority: 1, Waiting: true})
	h.want("w1", "alarm@1 take_over")
	lock := h.push(Order{Scene: "traffic", All: true, Lock: true}, leader)
	h.want("w1", "traffic@1 locked")

	// Who has a lower rank can do nothing about it; who has the same can.
	if _, err := h.Push(t.Context(), Order{Scene: "flood", All: true}, operator); !errors.Is(err, ErrLocked) {
		t.Errorf("an operator pushes over the shift leader's lock: %v", err)
	}
	if _, err := h.Undo(t.Context(), lock.ID, operator); !errors.Is(err, ErrLocked) {
		t.Errorf("an operator lifts the shift leader's lock: %v", err)
	}
	if err := h.Return(t.Context(), "w1", operator); !errors.Is(err, ErrLocked) {
		t.Errorf("an operator clears the shift leader's lock: %v", err)
	}
	if _, err := h.Undo(t.Context(), lock.ID, leader); err != nil {
		t.Fatal(err)
	}
	h.want("w1", "alarm@1 take_over")
	h.ApplyAlarm(Alarm{ID: "a1", Priority: 1}) // acknowledged
	h.want("w1", "alarm@1 take_over")          // it lingers
	h.now = h.now.Add(defaultLinger * time.Second)
	h.want("w1", "default@0 pushed")
	h.now = h.now.Add(time.Minute) // the second push is over
	h.want("w1", "flood@1 pushed")
	if _, err := h.Undo(t.Context(), low.ID, operator); err != nil {
		t.Fatal(err)
	}
	h.want("w1", "traffic@1 playlist")
	h.now = h.now.Add(time.Hour)
	h.want("w1", "flood@1 base")
	if _, err := h.Undo(t.Context(), low.ID, operator); !errors.Is(err, ErrNone) {
		t.Errorf("undone twice: %v", err)
	}
}

func TestTakeOver(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1", TakeOver: TakeOver{Priority: 2, Scene: "alarm", Hold: 100, Linger: 10}})
	h.display(Display{ID: "w2"})
	at := func() string {
		d, _ := h.Display("w1")
		if d.Told.Focus == nil {
			return ""
		}
		return d.Told.Focus.Alarm
	}
	h.ApplyAlarm(Alarm{ID: "p2", Priority: 2, Waiting: true})
	h.want("w1", "alarm@1 take_over")
	h.want("w2", "default@0 default")
	h.ApplyAlarm(Alarm{ID: "p1", Priority: 1, Waiting: true})
	h.decide(h.now)
	if at() != "p1" {
		t.Errorf("the worse alarm does not take over: %q", at())
	}
	h.ApplyAlarm(Alarm{ID: "p2-again", Priority: 2, Waiting: true})
	h.decide(h.now)
	if at() != "p1" {
		t.Errorf("a lesser alarm pushed a worse one away: %q", at())
	}
	h.now = h.now.Add(99 * time.Second)
	h.want("w1", "alarm@1 take_over")
	h.now = h.now.Add(time.Second) // nobody acknowledged, and its time is up
	h.want("w1", "default@0 default")
	h.ApplyAlarm(Alarm{ID: "p1", Priority: 1})
	h.want("w1", "default@0 default")

	// Who pushes while nobody has acknowledged is told that the alarm keeps the
	// display; who pushes afterwards has it at once.
	h.ApplyAlarm(Alarm{ID: "p1c", Priority: 1, Waiting: true})
	if p := h.push(Order{Scene: "flood", All: true}, operator); !slices.Equal(p.Waiting, []string{"w1"}) {
		t.Errorf("the push waits on %v", p.Waiting)
	}
	h.want("w1", "alarm@1 take_over")
	h.want("w2", "flood@1 pushed")
	h.now = h.now.Add(time.Second)
	h.ApplyAlarm(Alarm{ID: "p1c", Priority: 1})
	h.want("w1", "alarm@1 take_over") // it lingers
	h.now = h.now.Add(time.Second)
	p := h.push(Order{Scene: "flood", All: true}, operator)
	if len(p.Waiting) > 0 {
		t.Errorf("a push after the acknowledgement waits on %v", p.Waiting)
	}
	h.want("w1", "flood@1 pushed")
	h.now = h.now.Add(time.Minute)
	for range 2 {
		for _, d := range []string{"w1", "w2"} {
			if err := h.Return(t.Context(), d, operator); err != nil {
				t.Fatal(err)
			}
		}
	}

	// A person sends it away at once.
	h.ApplyAlarm(Alarm{ID: "p1b", Priority: 1, Waiting: true})
	h.want("w1", "alarm@1 take_over")
	if err := h.Return(t.Context(), "w1", operator); err != nil {
		t.Fatal(err)
	}
	h.want("w1", "default@0 default")
}

// An exercise is for those who train: it leaves the city's screens alone, and a
// real alarm goes before it wherever it is shown.
func TestTakeOverByADrill(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "city", TakeOver: TakeOver{Priority: 2, Scene: "alarm"}})
	h.display(Display{ID: "class", TakeOver: TakeOver{Priority: 2, Scene: "alarm", Exercise: true}})
	at := func(display string) string {
		h.decide(h.now)
		d, _ := h.Display(display)
		if d.Told.Focus == nil {
			return ""
		}
		return d.Told.Focus.Alarm
	}
	for _, step := range []struct {
		alarm       Alarm
		city, class string
	}{
		{Alarm{ID: "drill-1", Priority: 1, Waiting: true, Exercise: true}, "", "drill-1"},
		{Alarm{ID: "real-2", Priority: 2, Waiting: true}, "real-2", "real-2"},
		{Alarm{ID: "drill-2", Priority: 1, Waiting: true, Exercise: true}, "real-2", "real-2"},
		{Alarm{ID: "real-1", Priority: 1, Waiting: true}, "real-1", "real-1"},
	} {
		h.ApplyAlarm(step.alarm)
		if city, class := at("city"), at("class"); city != step.city || class != step.class {
			t.Errorf("after %s: the city's screen shows %q, want %q; the class's %q, want %q", step.alarm.ID, city, step.city, class, step.class)
		}
	}
}

func TestPlaylist(t *testing.T) {
	hanoi, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	list := []Item{
		{Scene: "day", Seconds: 30, From: "06:00", To: "18:00"},
		{Scene: "always", Seconds: 90},
		{Scene: "night", Seconds: 60, From: "22:00", To: "05:00", Days: []int{6}}, // the night from Saturday
	}
	for _, c := range []struct {
		at   string // in the city
		want string
		in   time.Duration // until the next
	}{
		{"2026-11-21 08:00:00", "day", 30 * time.Second},
		{"2026-11-21 08:00:29", "day", time.Second},
		{"2026-11-21 08:00:30", "always", 90 * time.Second},
		{"2026-11-21 08:02:00", "day", 30 * time.Second},
		{"2026-11-21 18:00:00", "always", 0}, // alone: nothing to wait for
		{"2026-11-21 23:00:00", "always", 90 * time.Second},
		{"2026-11-21 23:01:30", "night", 60 * time.Second},
		{"2026-11-22 04:01:30", "night", 60 * time.Second}, // Sunday morning, still Saturday's night
		{"2026-11-22 23:01:30", "always", 0},
	} {
		now, err := time.ParseInLocation(time.DateTime, c.at, hanoi)
		if err != nil {
			t.Fatal(err)
		}
		got, until, ok := playing(list, now, hanoi)
		in := time.Duration(0)
		if !until.IsZero() {
			in = until.Sub(now)
		}
		if !ok || got != c.want || in != c.in {
			t.Errorf("at %s: %q for %v, want %q for %v", c.at, got, in, c.want, c.in)
		}
	}
	if _, _, ok := playing([]Item{{Scene: "x", Seconds: 9, From: "06:00", To: "07:00"}}, time.Date(2026, 11, 21, 12, 0, 0, 0, hanoi), hanoi); ok {
		t.Error("an item plays outside of its time")
	}
}

// TestRestart opens the same records again: everything people did is there, and
// screens are told the same.
func TestRestart(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1", Scene: "flood"})
	h.display(Display{ID: "w2"})
	p := h.push(Order{Scene: "traffic", Version: 1, All: true, Focus: &Focus{Device: "cam-3"}}, operator)
	h.scene("traffic", 1)
	before := string(h.Message("w1"))
	h.now = h.now.Add(time.Hour)
	h.open()
	h.want("w1", "traffic@1 pushed") // the version that was pushed, not the newest
	strip := func(m string) string {
		var v map[string]any
		if err := json.Unmarshal([]byte(m), &v); err != nil {
			t.Fatal(err)
		}
		delete(v, "n")
		raw, _ := json.Marshal(v)
		return string(raw)
	}
	if after := string(h.Message("w1")); strip(after) != strip(before) {
		t.Errorf("after a restart\n%s\nbefore\n%s", after, before)
	}
	if _, err := h.Undo(t.Context(), p.ID, operator); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.want("w1", "flood@1 base")
	h.want("w2", "default@0 default")
}

func TestVersions(t *testing.T) {
	h := newHouse(t)
	v1 := h.now
	h.now = h.now.Add(time.Minute)
	clock := Panel{ID: "clock", Kind: Clock, W: 4, H: 2}
	h.scene("flood", 1, clock)
	if _, err := h.Put(t.Context(), Scene{ID: "flood", Name: Text{"vi": "x"}, Panels: []Panel{clock}}, 1, operator); !errors.Is(err, ErrConflict) {
		t.Errorf("two people save from version 1, and the second is not told: %v", err)
	}
	h.now = h.now.Add(time.Minute)
	third, err := h.Restore(t.Context(), "flood", 1, leader)
	if err != nil || third.Version != 3 || third.Panels[0].Kind != Map {
		t.Fatalf("undo: version %d of %v, %v", third.Version, third.Panels, err)
	}
	kind := func(at time.Time) string {
		for _, sc := range h.At(at) {
			if sc.ID == "flood" {
				return string(sc.Panels[0].Kind)
			}
		}
		return "none"
	}
	h.now = h.now.Add(time.Minute)
	if err := h.Delete(t.Context(), "flood", leader); err != nil {
		t.Fatal(err)
	}
	h.open()
	for i, want := range []string{"none", "map", "clock", "map", "none"} {
		at := v1.Add(time.Duration(i-1)*time.Minute + time.Second)
		if got := kind(at); got != want {
			t.Errorf("at %s the scene has %s, want %s", at.Format(time.TimeOnly), got, want)
		}
	}
	if sc, err := h.Get("flood", 2); err != nil || sc.Panels[0].Kind != Clock {
		t.Errorf("version 2 of a deleted scene is gone: %v", err)
	}
	if again := h.scene("flood", 0); again.Version != 4 {
		t.Errorf("a scene that comes back has version %d, want 4", again.Version)
	}
	// What somebody uses is not taken away.
	h.display(Display{ID: "w1", Playlist: []Item{{Scene: "flood", Seconds: 10}}})
	if err := h.Delete(t.Context(), "flood", leader); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "w1") {
		t.Errorf("deleting a scene of a playlist: %v", err)
	}
	if err := h.Delete(t.Context(), DefaultScene, leader); !errors.Is(err, ErrConflict) {
		t.Errorf("deleting the default: %v", err)
	}
}

func TestShown(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1"})
	report := func() {
		t.Helper()
		d, _ := h.Display("w1")
		if err := h.Report("w1", "[::1]:9", fmt.Appendf(nil, `{"n":%d,"frameAge":10,"fps":30,"width":1920,"height":1080}`, d.Told.Seq)); err != nil {
			t.Fatal(err)
		}
		h.sweep(h.now)
		h.writeShown(t.Context())
	}
	start := h.now
	step := func(d time.Duration) { h.now = start.Add(d); h.decide(h.now) }
	report()
	step(10 * time.Second)
	h.push(Order{Scene: "flood", All: true}, operator)
	if d, _ := h.Display("w1"); d.Showing.Scene != "default" {
		t.Errorf("told is taken for shown: %+v", d.Showing)
	}
	step(11 * time.Second)
	report()
	step(12 * time.Second)
	report() // again: nothing new
	if n := len(h.shown.acts); n != 2 {
		t.Errorf("%d entries on record, want 2", n)
	}
	if d, _ := h.Display("w1"); d.Condition != Alive {
		t.Errorf("it is %s", d.Condition)
	}
	step(12*time.Second + DeadAfter + time.Millisecond)
	h.sweep(h.now)
	h.shown.fail = errors.New("disk full")
	h.writeShown(t.Context())
	h.shown.fail = nil
	h.writeShown(t.Context())
	if d, _ := h.Display("w1"); d.Condition != Dead {
		t.Errorf("it is %s", d.Condition)
	}
	step(60 * time.Second)
	report()
	h.open() // and all of it is on disk
	for _, c := range []struct {
		at   time.Duration
		want string
	}{{-time.Second, "none"}, {5 * time.Second, "default"}, {10500 * time.Millisecond, "default"}, {11 * time.Second, "flood"}, {30 * time.Second, "dark"}, {61 * time.Second, "flood"}} {
		got := "none"
		a, err := h.ShownAt(t.Context(), "w1", start.Add(c.at))
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			t.Fatal(err)
		case a.Dark:
			got = "dark"
		default:
			got = a.Scene
		}
		if got != c.want {
			t.Errorf("%v after the start it showed %s, want %s", c.at, got, c.want)
		}
	}
}

// TestShownLongAgo asks for what is no longer in memory.
func TestShownLongAgo(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1"})
	start := h.now
	for i := range kept + 10 {
		h.now = start.Add(time.Duration(i) * time.Minute)
		h.mu.Lock()
		h.noteLocked(h.displays["w1"], shownAct{Display: "w1", At: h.now, Scene: fmt.Sprint("s", i)})
		h.mu.Unlock()
		h.writeShown(t.Context())
	}
	h.open()
	if n := len(h.displays["w1"].history); n >= kept {
		t.Fatalf("%d entries in memory", n)
	}
	for _, i := range []int{0, 7, 150, 1000, kept + 9} {
		a, err := h.ShownAt(t.Context(), "w1", start.Add(time.Duration(i)*time.Minute+time.Second))
		if want := fmt.Sprint("s", i); err != nil || a.Scene != want {
			t.Errorf("minute %d: %q, %v, want %q", i, a.Scene, err, want)
		}
	}
}

// TestNotRecorded: an act that is not on disk has not happened.
func TestNotRecorded(t *testing.T) {
	h := newHouse(t)
	h.display(Display{ID: "w1"})
	h.acts.fail = errors.New("disk full")
	if _, err := h.Push(t.Context(), Order{Scene: "flood", All: true}, leader); err == nil {
		t.Error("a push that is not on record was accepted")
	}
	h.want("w1", "default@0 default")
}

func TestRefused(t *testing.T) {
	h := newHouse(t)
	panel := func(p Panel) Scene {
		if p.ID == "" {
			p.ID = "p"
		}
		if p.W == 0 {
			p.W, p.H = 2, 2
		}
		return Scene{ID: "x", Name: Text{"vi": "x"}, Panels: []Panel{p}}
	}
	two := panel(Panel{Kind: Clock})
	two.Panels = append(two.Panels, Panel{ID: "q", Kind: Clock, X: 1, Y: 1, W: 2, H: 2})
	maps := panel(Panel{Kind: Map})
	maps.Panels = append(maps.Panels, Panel{ID: "q", Kind: Map, X: 5, W: 2, H: 2})
	for name, sc := range map[string]Scene{
		"no panel":              {ID: "x", Name: Text{"vi": "x"}},
		"no name":               {ID: "x", Name: Text{"vi": " "}, Panels: two.Panels[:1]},
		"a language of its own": {ID: "x", Name: Text{"fr": "x"}, Panels: two.Panels[:1]},
		"a path for an id":      {ID: "../x", Name: Text{"vi": "x"}, Panels: two.Panels[:1]},
		"outside of the grid":   panel(Panel{Kind: Clock, X: 23, W: 2, H: 1}),
		"on each other":         two,
		"two maps":              maps,
		"no such kind":          panel(Panel{Kind: "video"}),
		"no such chart":         panel(Panel{Kind: Chart, Settings: Settings{Of: "gold"}}),
		"chart of nothing":      panel(Panel{Kind: Chart, Settings: Settings{Of: "channels"}}),
		"two quantities":        panel(Panel{Kind: Chart, Settings: Settings{Of: "channels", Channels: []Channel{{"a", "pm25"}, {"b", "noise"}}}}),
		"text of nothing":       panel(Panel{Kind: Words}),
		"a page not listed":     panel(Panel{Kind: Web, Settings: Settings{URL: "https://evil.example/"}}),
		"a listed name as user": panel(Panel{Kind: Web, Settings: Settings{URL: "https://cam.example@evil.example/"}}),
		"script for a page":     panel(Panel{Kind: Camera, Settings: Settings{URL: "javascript:alert(1)"}}),
		"another scheme":        panel(Panel{Kind: Camera, Settings: Settings{URL: "http://cam.example/"}}),
	} {
		if _, err := h.Put(t.Context(), sc, 0, leader); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Put(t.Context(), panel(Panel{Kind: Camera, Settings: Settings{URL: "https://cam.example/1"}}), 0, leader); err != nil {
		t.Error(err)
	}
	for name, d := range map[string]Display{
		"no scene":         {ID: "d", Scene: "none"},
		"hour 25":          {ID: "d", Calm: Calm{DimFrom: "25:00"}},
		"outside the wall": {ID: "d", Span: &Span{Columns: 2, Rows: 1, Column: 2}},
		"a seat in orbit":  {ID: "d", Seat: &Seat{Distance: 4e5, Pitch: 1}},
		"eighth day":       {ID: "d", Playlist: []Item{{Scene: "flood", Seconds: 9, Days: []int{7}}}},
	} {
		d.Name = Text{"vi": "x"}
		if _, err := h.PutDisplay(t.Context(), d, leader); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.display(Display{ID: "w1"})
	for name, o := range map[string]Order{
		"nowhere":       {Scene: "flood"},
		"in the past":   {Scene: "flood", All: true, Until: h.now},
		"empty group":   {Scene: "flood", Group: "none"},
		"no display":    {Scene: "flood", Displays: []string{"w1", "w9"}},
		"no such scene": {Scene: "none", All: true},
		"no version":    {Scene: "flood", Version: 9, All: true},
	} {
		if _, err := h.Push(t.Context(), o, leader); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNone) {
			t.Errorf("push %s: %v", name, err)
		}
	}
	for name, raw := range map[string]string{"no JSON": `[`, "negative": `{"n":-1}`, "huge": `{"width":1e9}`} {
		if err := h.Report("w1", "", []byte(raw)); !errors.Is(err, ErrInvalid) {
			t.Errorf("health %s: %v", name, err)
		}
	}
	if err := h.SetThumbnail("w1", "image/png", []byte("<svg onload=alert(1)>")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a picture that is none: %v", err)
	}
	if err := h.SetThumbnail("w1", "image/jpeg", append([]byte{0xff, 0xd8, 0xff}, make([]byte, MaxThumbnail)...)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a large picture: %v", err)
	}
}

// TestScale has the figures of the displays a control room buys: the size a
// smallest letter must have, as wall.go computes it, over the twelve pixels it
// is drawn with.
func TestScale(t *testing.T) {
	for _, c := range []struct {
		name            string
		distance, pitch float64
		font            float64 // px, 16 arc minutes
	}{
		{"55 inch 4K at 5 m", 5, 0.315, 106},
		{"55 inch FHD at 5 m", 5, 0.63, 53},
		{"1.5 mm LED at 5 m", 5, 1.5, 22},
	} {
		got := (&Seat{c.distance, c.pitch}).Scale() * smallestText
		if want := min(c.font, 8*smallestText); got < want-1 || got > want+1 {
			t.Errorf("%s: the smallest text has %.1f px, want %.0f", c.name, got, want)
		}
	}
	if got := (*Seat)(nil).Scale(); got != 1 {
		t.Errorf("without a seat the scale is %v", got)
	}
}

// TestRun is the loop that nobody has to wake: a playlist moves on and a silent
// screen is dead within five seconds.
func TestRun(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	h.opt.Now = time.Now
	h.display(Display{ID: "w1"})
	if err := h.Report("w1", "", []byte(`{"n":0}`)); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	go func() { ended <- h.Run(ctx) }()
	for {
		if d, _ := h.Display("w1"); d.Condition == Dead {
			break
		}
		if time.Since(started) > 5*time.Second {
			t.Fatal("a silent screen is not known to be dead after 5 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("dead %v after its last word", time.Since(started).Round(10*time.Millisecond))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
