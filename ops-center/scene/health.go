package scene

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// DeadAfter is how long a screen may say nothing; it reports every 1.5 s.
	DeadAfter = 3500 * time.Millisecond
	// StalledAfter is how old the last frame may be that a screen has drawn.
	StalledAfter = 5 * time.Second
	// MaxThumbnail bounds the small picture a screen sends of itself.
	MaxThumbnail = 64 << 10
	// kept bounds what is in memory of what one display showed; older is read from
	// the record.
	kept = 2000
	// maxUnwritten bounds what waits for the record.
	maxUnwritten = 5000
)

// Health is what a screen says of itself.
type Health struct {
	// Seq is the number of the scene message it shows, 0 for none.
	Seq int64 `json:"n"`
	// FrameAge is how long ago it drew, in ms; FPS how often lately.
	FrameAge int64   `json:"frameAge"`
	FPS      float64 `json:"fps"`
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Ratio    float64 `json:"ratio"`
	Build    string  `json:"build"`
	// Link is the state of its page: live, stale, connecting, replay.
	Link string `json:"link"`
	// Errors counts what went wrong on the page since it was loaded.
	Errors    int    `json:"errors"`
	LastError string `json:"lastError,omitempty"`
	HeapMB    int    `json:"heapMB,omitempty"`
	Hidden    bool   `json:"hidden,omitempty"`
}

type health struct {
	Health
	heard, since time.Time
	from         string
	alive        bool
}

// Condition is how a display is.
type Condition string

// The conditions.
const (
	Never   Condition = "never" // not heard since the server started
	Alive   Condition = "alive"
	Stalled Condition = "stalled" // it speaks and draws nothing
	Dead    Condition = "dead"
)

func (h *health) condition(now time.Time) Condition {
	switch {
	case h.heard.IsZero():
		return Never
	case now.Sub(h.heard) > DeadAfter:
		return Dead
	case time.Duration(h.FrameAge)*time.Millisecond > StalledAfter:
		return Stalled
	}
	return Alive
}

// Report takes in what a display's own screen says.
func (s *Scenes) Report(display, from string, raw []byte) error {
	var h Health
	if err := json.Unmarshal(raw, &h); err != nil {
		return invalid("health: %v", err)
	}
	if h.Seq < 0 || h.FrameAge < 0 || h.Width < 0 || h.Width > 1<<17 || h.Height < 0 || h.Height > 1<<17 || h.Errors < 0 {
		return invalid("health: a number is out of bounds")
	}
	h.Build, h.Link, h.LastError = cut(h.Build, 64), cut(h.Link, 16), cut(h.LastError, 300)
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.displays[display]
	if d == nil || d.gone {
		return fmt.Errorf("%w: display %.80q", ErrNone, display)
	}
	if !d.health.alive {
		d.health.since = now
	}
	d.health.Health, d.health.heard, d.health.from, d.health.alive = h, now, from, true
	if past := h.Link == "replay"; h.Seq != d.seq || past != (d.decided.Replay != nil) {
		return nil // it has not got there yet, or shows what was before
	}
	a := shownAct{
		Display: display, At: now.UTC(), Scene: d.decided.Scene, Version: d.version, Reason: d.decided.Reason,
		Push: d.decided.Push, By: d.decided.By,
	}
	if f := d.decided.Focus; f != nil {
		a.Alarm, a.Device = f.Alarm, f.Device
	}
	if r := d.decided.Replay; r != nil {
		a.Replay = *r
	}
	if d.shown != nil && d.shown.same(&a) {
		return nil
	}
	s.metrics.delay.Observe(now.Sub(d.at).Seconds())
	s.noteLocked(d, a)
	s.wake()
	return nil
}

func cut(s string, most int) string {
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// sweep notes the screens that fell silent.
func (s *Scenes) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.displays {
		if d.health.alive && (d.gone || now.Sub(d.health.heard) > DeadAfter) {
			d.health.alive = false
			s.noteLocked(d, shownAct{Display: d.ID, At: d.health.heard.UTC(), Dark: true})
			s.opt.Log.Warn("a display fell silent", "display", d.ID, "heard", d.health.heard.Format(time.RFC3339))
		}
	}
}

// shownAct is one line of the record of what screens showed.
type shownAct struct {
	Display string    `json:"display"`
	At      time.Time `json:"at"`
	// Dark is a screen that was not heard from that moment on.
	Dark    bool   `json:"dark,omitempty"`
	Scene   string `json:"scene,omitempty"`
	Version int    `json:"version,omitempty"`
	Reason  Reason `json:"reason,omitempty"`
	Push    string `json:"push,omitempty"`
	By      string `json:"by,omitempty" personal:"name"`
	Alarm   string `json:"alarm,omitempty"`
	Device  string `json:"device,omitempty"`
	// Replay is set where the display showed the past.
	Replay Replay `json:"replay,omitzero"`
}

// Shown is what a display showed from a time on.
type Shown = shownAct

func (a *shownAct) same(b *shownAct) bool {
	x, y := *a, *b
	x.At, y.At = time.Time{}, time.Time{}
	return x == y
}

func (s *Scenes) noteLocked(d *screen, a shownAct) {
	d.remember(a)
	if len(s.toRecord) >= maxUnwritten {
		s.lost++
		return
	}
	s.toRecord = append(s.toRecord, a)
}

func (d *screen) remember(a shownAct) {
	d.shown = &a
	if len(d.history) >= kept {
		d.history, d.earlier = slices.Delete(d.history, 0, kept/10), true
	}
	d.history = append(d.history, a)
}

// writeShown brings to the record what waits for it. What a disk that is full
// does not take is tried again, up to a bound.
func (s *Scenes) writeShown(ctx context.Context) {
	s.mu.Lock()
	waiting, lost := s.toRecord, s.lost
	s.toRecord, s.lost = nil, 0
	s.mu.Unlock()
	if lost > 0 {
		s.opt.Log.Error("what displays showed is missing from the record", "entries", lost)
		s.metrics.unrecorded.Add(float64(lost))
	}
	for i, a := range waiting {
		raw, err := json.Marshal(a)
		if err == nil {
			_, err = s.opt.Shown.Append(ctx, a.Display, raw)
		}
		if err != nil {
			s.mu.Lock()
			s.toRecord = append(slices.Clone(waiting[i:]), s.toRecord...)
			s.mu.Unlock()
			return
		}
	}
}

func (s *Scenes) readShown(ctx context.Context) error {
	return s.opt.Shown.Read(ctx, 1, func(seq uint64, _ time.Time, subject string, data []byte) error {
		var a shownAct
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("entry %d on %s: %w", seq, subject, err)
		}
		if d := s.displays[a.Display]; d != nil {
			d.remember(a)
		}
		return nil
	})
}

// errFound ends a reading of the record.
var errFound = errors.New("found")

// ShownAt gives what a display showed at a time; ErrNone when the record does
// not go back that far.
func (s *Scenes) ShownAt(ctx context.Context, display string, t time.Time) (Shown, error) {
	list, err := s.ShownBetween(ctx, display, t, t, 1)
	if err != nil {
		return Shown{}, err
	}
	if len(list) == 0 {
		return Shown{}, fmt.Errorf("%w: display %s showed nothing that is on record before %s", ErrNone, display, t.UTC().Format(time.RFC3339))
	}
	return list[0], nil
}

// ShownBetween gives what a display showed in a span of time, oldest first,
// beginning with what it showed when the span began; at most limit entries.
func (s *Scenes) ShownBetween(ctx context.Context, display string, from, to time.Time, limit int) ([]Shown, error) {
	s.mu.Lock()
	d := s.displays[display]
	if d == nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("%w: display %.80q", ErrNone, display)
	}
	history, earlier := slices.Clone(d.history), d.earlier
	s.mu.Unlock()
	if earlier && len(history) > 0 && history[0].At.After(from) {
		// Further back than memory: the record has it.
		var older []shownAct
		first := history[0].At
		err := s.opt.Shown.Read(ctx, 1, func(_ uint64, at time.Time, subject string, data []byte) error {
			if at.After(first.Add(time.Minute)) {
				return errFound
			}
			var a shownAct
			if subject != display || json.Unmarshal(data, &a) != nil || !a.At.Before(first) {
				return nil
			}
			if !a.At.After(from) {
				older = older[:0]
			}
			older = append(older, a)
			return nil
		})
		if err != nil && !errors.Is(err, errFound) {
			return nil, err
		}
		history = append(older, history...)
	}
	begin := 0
	for i, a := range history {
		if !a.At.After(from) {
			begin = i
		}
	}
	list := []Shown{}
	for _, a := range history[min(begin, len(history)):] {
		if a.At.After(to) || len(list) >= limit {
			break
		}
		list = append(list, a)
	}
	return list, nil
}

// State is a display as it is now.
type State struct {
	Display
	Scale     float64   `json:"scale"`
	Condition Condition `json:"condition"`
	Health    *Health   `json:"health,omitempty"`
	Heard     time.Time `json:"heard,omitzero"`
	Since     time.Time `json:"since,omitzero"`
	From      string    `json:"from,omitempty"`
	// Told is what it has to show, Showing what it said it shows.
	Told struct {
		Seq     int64     `json:"seq"`
		Scene   string    `json:"scene"`
		Version int       `json:"version"`
		Reason  Reason    `json:"reason"`
		Push    string    `json:"push,omitempty"`
		By      string    `json:"by,omitempty" personal:"name"`
		Focus   *Focus    `json:"focus,omitempty"`
		Replay  *Replay   `json:"replay,omitempty"`
		Until   time.Time `json:"until,omitzero"`
		At      time.Time `json:"at"`
	} `json:"told"`
	Showing   *Shown    `json:"showing,omitempty"`
	Pushes    []Push    `json:"pushes"`
	Thumbnail time.Time `json:"thumbnail,omitzero"`
}

func (s *Scenes) stateLocked(d *screen, now time.Time) State {
	st := State{Display: d.Display, Scale: d.Seat.Scale(), Condition: d.health.condition(now), Pushes: []Push{}, Thumbnail: d.thumbAt}
	if !d.health.heard.IsZero() {
		h := d.health.Health
		st.Health, st.Heard, st.Since, st.From = &h, d.health.heard, d.health.since, d.health.from
	}
	t := &st.Told
	t.Seq, t.Scene, t.Version, t.Reason, t.Push, t.By = d.seq, d.decided.Scene, d.version, d.decided.Reason, d.decided.Push, d.decided.By
	t.Focus, t.Replay, t.Until, t.At = d.decided.Focus, d.decided.Replay, d.decided.Until, d.at
	if d.shown != nil {
		shown := *d.shown
		st.Showing = &shown
	}
	for _, p := range d.pushes {
		if p.Until.IsZero() || now.Before(p.Until) {
			st.Pushes = append(st.Pushes, p)
		}
	}
	return st
}

// Displays gives every display as it is now, by group and id.
func (s *Scenes) Displays() []State {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []State{}
	for _, d := range s.displays {
		if !d.gone {
			list = append(list, s.stateLocked(d, now))
		}
	}
	slices.SortFunc(list, func(a, b State) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Display gives one as it is now.
func (s *Scenes) Display(id string) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.displays[id]
	if d == nil || d.gone {
		return State{}, fmt.Errorf("%w: display %.80q", ErrNone, id)
	}
	return s.stateLocked(d, s.opt.Now()), nil
}

// SetThumbnail keeps the small picture a display sends of itself, in memory.
func (s *Scenes) SetThumbnail(display, kind string, picture []byte) error {
	if len(picture) == 0 || len(picture) > MaxThumbnail {
		return invalid("a picture of %d bytes: 1 to %d", len(picture), MaxThumbnail)
	}
	if kind != "image/jpeg" && kind != "image/png" || !looksLike(kind, picture) {
		return invalid("no JPEG and no PNG")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.displays[display]
	if d == nil || d.gone {
		return fmt.Errorf("%w: display %.80q", ErrNone, display)
	}
	d.thumb, d.thumbFor, d.thumbAt = slices.Clone(picture), kind, s.opt.Now().UTC()
	return nil
}

func looksLike(kind string, b []byte) bool {
	if kind == "image/png" {
		return len(b) > 8 && string(b[:8]) == "\x89PNG\r\n\x1a\n"
	}
	return len(b) > 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff
}

// Thumbnail gives the newest picture of a display.
func (s *Scenes) Thumbnail(display string) (picture []byte, kind string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.displays[display]
	if d == nil || d.gone || d.thumb == nil {
		return nil, "", time.Time{}, fmt.Errorf("%w: no picture of display %.80q yet", ErrNone, display)
	}
	return d.thumb, d.thumbFor, d.thumbAt, nil
}

// message is what a screen is sent.
type message struct {
	Type string `json:"type"` // scene
	// Seq is not the stream's: a screen must not resume from it.
	Seq     int64     `json:"n"`
	Display *onScreen `json:"display"` // null for a screen that is none of ours
	Scene   Scene     `json:"scene"`
	Reason  Reason    `json:"reason"`
	By      string    `json:"by,omitempty" personal:"name"`
	Focus   *Focus    `json:"focus,omitempty"`
	Home    *View     `json:"home,omitempty"`
	Replay  *onReplay `json:"replay,omitempty"` // the past is to be shown
	Until   time.Time `json:"until,omitzero"`
}

// onScreen is what a display's browser needs to know of the display.
type onScreen struct {
	ID       string  `json:"id"`
	Name     Text    `json:"name"`
	Scale    float64 `json:"scale"`
	Span     *Span   `json:"span,omitempty"`
	Calm     Calm    `json:"calm"`
	Language string  `json:"language,omitempty"`
}

// Message is the scene message for the screens of a display; for those of none,
// or of one that is not there, it has the default scene.
func (s *Scenes) Message(display string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := message{Type: "scene", Reason: Fallback, Home: s.opt.Home}
	sc := s.find(DefaultScene, 0)
	if d := s.displays[display]; d != nil && !d.gone {
		m.Seq, m.Reason, m.By, m.Focus, m.Until = d.seq, d.decided.Reason, d.decided.By, d.decided.Focus, d.decided.Until
		m.Display = &onScreen{ID: d.ID, Name: d.Name, Scale: d.Seat.Scale(), Span: d.Span, Calm: d.Calm, Language: d.Language}
		if r := d.decided.Replay; r != nil {
			m.Replay = &onReplay{d.decided.Push, r.Moment(s.opt.Now(), s.opt.Past.Edge).UTC().Truncate(time.Millisecond), r.Speed}
		}
		if found := s.find(d.decided.Scene, d.version); found != nil {
			sc = found
		}
	}
	m.Scene = *sc
	raw, err := json.Marshal(m)
	if err != nil {
		s.opt.Log.Error("a scene cannot be sent", "display", display, "error", err)
		return nil
	}
	return raw
}

type metrics struct {
	delay      prometheus.Histogram
	unrecorded prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Scenes) (*metrics, error) {
	m := &metrics{
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "vonglau", Subsystem: "scene", Name: "shown_seconds", Help: "Time from a decision to the screen's word that it shows it.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 30},
		}),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "vonglau", Subsystem: "scene", Name: "unrecorded_total", Help: "What displays showed and the record does not have.",
		}),
	}
	if r == nil {
		return m, nil
	}
	alive := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "vonglau", Subsystem: "scene", Name: "displays_alive", Help: "Displays that speak and draw.",
	}, func() float64 {
		n := 0
		for _, d := range s.Displays() {
			if d.Condition == Alive {
				n++
			}
		}
		return float64(n)
	})
	return m, errors.Join(r.Register(m.delay), r.Register(m.unrecorded), r.Register(alive))
}
