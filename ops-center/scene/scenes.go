package scene

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Record is an append-only log. *journal.Log is one.
type Record interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, f func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Options of Scenes; Acts and Shown are needed.
type Options struct {
	// Acts is what people did, Shown what screens showed.
	Acts  Record
	Shown Record
	// Frames are the origins that camera and web panels may show.
	Frames []string
	// Home is where a map looks when nothing else says so; the screens of a
	// spanned wall need one view of all.
	Home *View
	// Past is what the time machine has for displays.
	Past PastOptions
	// Calendar is the city's, for schedules; UTC when nil.
	Calendar *time.Location
	// Changed is called with the id of a display whose scene is another now, and
	// with "" when the default is. It must not block.
	Changed func(display string)
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

const (
	maxScenes   = 500
	maxDisplays = 500
	maxPushes   = 16 // on one display
	// tick is how often the clock is looked at: playlists, returns, the dead.
	tick = 200 * time.Millisecond
)

// Actor is who acts. Rank orders people: a push that locks is lifted by nobody
// of a lower one.
type Actor struct {
	Name string
	Rank int
}

// Scenes are all there are, with the displays. Make them with Open.
type Scenes struct {
	opt     Options
	metrics *metrics

	acting sync.Mutex // one act at a time, to the disk and into memory

	mu       sync.Mutex
	scenes   map[string]*library
	displays map[string]*screen
	kick     chan struct{} // one slot: look now
	toRecord []shownAct    // what screens said, not yet on disk
	lost     int           // of those, given up because the disk would not take them
}

// library is a scene with its versions, oldest first.
type library struct {
	versions []Scene
	deleted  []gone // a later version brings it back
}

// gone is that a scene was taken away when it had so many versions.
type gone struct {
	versions int
	at       time.Time
}

func (l *library) newest() *Scene {
	if len(l.versions) == 0 {
		return nil
	}
	if n := len(l.deleted); n > 0 && l.deleted[n-1].versions == len(l.versions) {
		return nil
	}
	return &l.versions[len(l.versions)-1]
}

// screen is a display with what is known of it.
type screen struct {
	Display
	gone   bool
	pushes []Push
	alarm  *takenOver

	decided  Decision
	version  int // of the scene that was decided on
	changed  int // of the display's own settings, for the message
	seq      int64
	at       time.Time // of the decision
	health   health
	shown    *shownAct
	history  []shownAct // the newest of the record
	earlier  bool       // the record goes further back than history
	thumb    []byte
	thumbAt  time.Time
	thumbFor string // media type
}

// The acts, as they are in the record.
const (
	actScene       = "scene"
	actSceneGone   = "scene_deleted"
	actDisplay     = "display"
	actDisplayGone = "display_deleted"
	actPush        = "push"
	actUndo        = "undo"
	actReturn      = "return"
)

type act struct {
	Act     string    `json:"act"`
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"`
	ID      string    `json:"id,omitempty"`
	Scene   *Scene    `json:"scene,omitempty"`
	Display *Display  `json:"display,omitempty"`
	Push    *Push     `json:"push,omitempty"`
}

// Open reads what the records say.
func Open(ctx context.Context, o Options) (*Scenes, error) {
	if o.Acts == nil || o.Shown == nil {
		return nil, errors.New("scene: Options.Acts and Options.Shown are needed")
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Scenes{opt: o, scenes: map[string]*library{}, displays: map[string]*screen{}, kick: make(chan struct{}, 1)}
	s.scenes[DefaultScene] = &library{versions: []Scene{builtin()}}
	err := o.Acts.Read(ctx, 1, func(seq uint64, _ time.Time, subject string, data []byte) error {
		var a act
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("act %d on %s: %w", seq, subject, err)
		}
		s.apply(a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading scenes and displays: %w", err)
	}
	if err := s.readShown(ctx); err != nil {
		return nil, fmt.Errorf("reading what was shown: %w", err)
	}
	if s.metrics, err = newMetrics(o.Metrics, s); err != nil {
		return nil, fmt.Errorf("scene: register metrics: %w", err)
	}
	s.decide(o.Now())
	return s, nil
}

// apply folds one act into the state. Acts were checked before they were
// recorded; one that finds nothing to act on changes nothing.
func (s *Scenes) apply(a act) {
	switch a.Act {
	case actScene:
		l := s.scenes[a.Scene.ID]
		if l == nil {
			l = &library{}
			s.scenes[a.Scene.ID] = l
		}
		l.versions = append(l.versions, *a.Scene)
	case actSceneGone:
		if l := s.scenes[a.ID]; l != nil {
			l.deleted = append(l.deleted, gone{len(l.versions), a.At})
		}
	case actDisplay:
		d := s.displays[a.Display.ID]
		if d == nil {
			d = &screen{}
			s.displays[a.Display.ID] = d
		}
		d.Display, d.gone = *a.Display, false
		d.changed++
	case actDisplayGone:
		if d := s.displays[a.ID]; d != nil {
			d.gone, d.pushes, d.alarm, d.thumb = true, nil, nil, nil
		}
	case actPush:
		for _, id := range a.Push.Displays {
			if d := s.displays[id]; d != nil && !d.gone {
				d.pushes = append(slices.DeleteFunc(d.pushes, func(p Push) bool {
					return !p.Until.IsZero() && !a.At.Before(p.Until)
				}), *a.Push)
				if over := len(d.pushes) - maxPushes; over > 0 {
					d.pushes = slices.Delete(d.pushes, 0, over)
				}
			}
		}
	case actUndo:
		for _, d := range s.displays {
			d.pushes = slices.DeleteFunc(d.pushes, func(p Push) bool { return p.ID == a.ID })
		}
	case actReturn:
		if d := s.displays[a.ID]; d != nil {
			d.pushes, d.alarm = nil, nil
		}
	}
}

// record writes an act and then applies it. acting is held.
func (s *Scenes) record(ctx context.Context, subject string, a act) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if _, err := s.opt.Acts.Append(ctx, subject, raw); err != nil {
		return fmt.Errorf("the act is not on record and was not done: %w", err)
	}
	s.mu.Lock()
	s.apply(a)
	s.mu.Unlock()
	s.decide(s.opt.Now())
	return nil
}

// decide looks at every display anew and tells of those that show something
// else now.
func (s *Scenes) decide(now time.Time) {
	var changed []string
	s.mu.Lock()
	for id, d := range s.displays {
		if d.gone {
			continue
		}
		if d.alarm != nil && !now.Before(d.alarm.until(d.TakeOver)) {
			d.alarm = nil
		}
		next := resolve(&d.Display, d.pushes, d.alarm, now, s.opt.Calendar)
		sc := s.find(next.Scene, next.Version)
		if sc == nil { // its scene was taken away meanwhile
			next = Decision{Scene: DefaultScene, Reason: Fallback, Until: next.Until}
			sc = s.find(DefaultScene, 0)
		}
		same := d.seq != 0 && d.decided.Scene == next.Scene && d.version == sc.Version && d.decided.Push == next.Push &&
			d.decided.Reason == next.Reason && sameFocus(d.decided.Focus, next.Focus) && d.changed == 0
		d.decided = next
		if same {
			continue
		}
		d.version, d.changed = sc.Version, 0
		d.seq, d.at = max(d.seq+1, now.UnixMilli()), now
		changed = append(changed, id)
	}
	s.mu.Unlock()
	for _, id := range changed {
		s.opt.Changed(id)
	}
}

func sameFocus(a, b *Focus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Alarm == b.Alarm && a.Device == b.Device && (a.View == b.View || a.View != nil && b.View != nil && *a.View == *b.View)
}

// find gives a version of a scene, the newest for 0. mu is held.
func (s *Scenes) find(id string, version int) *Scene {
	l := s.scenes[id]
	if l == nil {
		return nil
	}
	if version == 0 {
		return l.newest()
	}
	for i := range l.versions {
		if l.versions[i].Version == version {
			return &l.versions[i]
		}
	}
	return nil
}

func (s *Scenes) has(id string) bool { return s.find(id, 0) != nil }

// Run looks at the clock until ctx ends: playlists move on, pushes and
// take-overs end, screens fall silent; and what screens showed is recorded.
func (s *Scenes) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-s.kick:
		}
		now := s.opt.Now()
		s.decide(now)
		s.sweep(now)
		s.writeShown(ctx)
	}
}

// List gives the newest version of every scene, by id.
func (s *Scenes) List() []Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Scene
	for _, l := range s.scenes {
		if sc := l.newest(); sc != nil {
			list = append(list, *sc)
		}
	}
	slices.SortFunc(list, func(a, b Scene) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// At gives the scenes as they were at a time.
func (s *Scenes) At(t time.Time) []Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Scene
	for _, l := range s.scenes {
		if sc := l.at(t); sc != nil {
			list = append(list, *sc)
		}
	}
	slices.SortFunc(list, func(a, b Scene) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (l *library) at(t time.Time) *Scene {
	n := 0
	for n < len(l.versions) && !l.versions[n].At.After(t) {
		n++
	}
	for _, g := range l.deleted {
		if g.versions == n && !g.at.After(t) {
			return nil
		}
	}
	if n == 0 {
		return nil
	}
	return &l.versions[n-1]
}

// Get gives a version of a scene, the newest for 0. Versions of a scene that was
// deleted can still be had: a record names them.
func (s *Scenes) Get(id string, version int) (Scene, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.find(id, version)
	if sc == nil {
		return Scene{}, fmt.Errorf("%w: scene %.80q, version %d", ErrNone, id, version)
	}
	return *sc, nil
}

// Versions gives all of a scene, newest first.
func (s *Scenes) Versions(id string) ([]Scene, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.scenes[id]
	if l == nil {
		return nil, fmt.Errorf("%w: scene %.80q", ErrNone, id)
	}
	list := slices.Clone(l.versions)
	slices.Reverse(list)
	return list, nil
}

// Put makes the next version of a scene. base is the version it was made from, 0
// for a new scene or the built-in default; another one in between is a conflict.
func (s *Scenes) Put(ctx context.Context, sc Scene, base int, who Actor) (Scene, error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	if err := sc.check(s.opt.Frames); err != nil {
		return Scene{}, err
	}
	s.mu.Lock()
	l, n := s.scenes[sc.ID], len(s.scenes)
	newest, last := 0, 0
	if l != nil {
		last = l.versions[len(l.versions)-1].Version
		if v := l.newest(); v != nil {
			newest = v.Version
		}
	}
	s.mu.Unlock()
	switch {
	case l == nil && n >= maxScenes:
		return Scene{}, fmt.Errorf("%w: there are %d scenes, and no room for more", ErrConflict, n)
	case newest != base:
		return Scene{}, fmt.Errorf("%w: scene %s is at version %d by now, and this was made from %d", ErrConflict, sc.ID, newest, base)
	}
	sc.Version, sc.At, sc.By = last+1, s.opt.Now().UTC(), who.Name
	if err := s.record(ctx, "scene/"+sc.ID, act{Act: actScene, At: sc.At, By: who.Name, Scene: &sc}); err != nil {
		return Scene{}, err
	}
	s.opt.Changed("")
	return sc, nil
}

// Restore makes an old version the newest again, as the next one.
func (s *Scenes) Restore(ctx context.Context, id string, version int, who Actor) (Scene, error) {
	old, err := s.Get(id, version)
	if err != nil {
		return Scene{}, err
	}
	s.mu.Lock()
	base := 0
	if v := s.scenes[id].newest(); v != nil {
		base = v.Version
	}
	s.mu.Unlock()
	return s.Put(ctx, old, base, who)
}

// Delete takes a scene away that no display uses by itself. Its versions stay.
func (s *Scenes) Delete(ctx context.Context, id string, who Actor) error {
	s.acting.Lock()
	defer s.acting.Unlock()
	if id == DefaultScene {
		return fmt.Errorf("%w: the default scene is what a screen shows that has no other", ErrConflict)
	}
	s.mu.Lock()
	there := s.has(id)
	var users []string
	for _, d := range s.displays {
		if !d.gone && (d.Scene == id || d.Display.TakeOver.Scene == id ||
			slices.ContainsFunc(d.Playlist, func(it Item) bool { return it.Scene == id })) {
			users = append(users, d.ID)
		}
	}
	s.mu.Unlock()
	if !there {
		return fmt.Errorf("%w: scene %.80q", ErrNone, id)
	}
	if len(users) > 0 {
		slices.Sort(users)
		return fmt.Errorf("%w: scene %s is used by display %s", ErrConflict, id, strings.Join(users, ", "))
	}
	return s.record(ctx, "scene/"+id, act{Act: actSceneGone, At: s.opt.Now().UTC(), By: who.Name, ID: id})
}

// PutDisplay adds a display or changes one.
func (s *Scenes) PutDisplay(ctx context.Context, d Display, who Actor) (Display, error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	s.mu.Lock()
	err := d.check(s.has)
	_, known := s.displays[d.ID]
	n := len(s.displays)
	s.mu.Unlock()
	if err != nil {
		return Display{}, err
	}
	if !known && n >= maxDisplays {
		return Display{}, fmt.Errorf("%w: there are %d displays, and no room for more", ErrConflict, n)
	}
	d.At, d.By = s.opt.Now().UTC(), who.Name
	if err := s.record(ctx, "display/"+d.ID, act{Act: actDisplay, At: d.At, By: who.Name, Display: &d}); err != nil {
		return Display{}, err
	}
	return d, nil
}

// DeleteDisplay takes a display away. What it showed stays on record.
func (s *Scenes) DeleteDisplay(ctx context.Context, id string, who Actor) error {
	s.acting.Lock()
	defer s.acting.Unlock()
	if _, err := s.Display(id); err != nil {
		return err
	}
	if err := s.record(ctx, "display/"+id, act{Act: actDisplayGone, At: s.opt.Now().UTC(), By: who.Name, ID: id}); err != nil {
		return err
	}
	s.opt.Changed(id)
	return nil
}

// Order is what somebody asks to be pushed.
type Order struct {
	Scene string `json:"scene" maxLength:"64"`
	// Version 0 follows the newest.
	Version int `json:"version,omitempty" minimum:"0"`
	// Displays by id, those of a group, or all.
	Displays []string  `json:"displays,omitempty" maxItems:"500"`
	Group    string    `json:"group,omitempty" maxLength:"64"`
	All      bool      `json:"all,omitempty"`
	Focus    *Focus    `json:"focus,omitempty"`
	Replay   *Replay   `json:"replay,omitempty" doc:"Show the past from a moment on; the present when left out"`
	Until    time.Time `json:"until,omitzero"`
	Lock     bool      `json:"lock,omitempty"`
}

// Push puts a scene on displays, on all of them or on none.
func (s *Scenes) Push(ctx context.Context, o Order, who Actor) (Push, error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	now := s.opt.Now().UTC()
	if o.Scene == "" {
		o.Scene = DefaultScene
	}
	p := Push{
		ID: "p" + strings.ToLower(rand.Text()[:11]), Scene: o.Scene, Version: o.Version, Focus: o.Focus, Until: o.Until.UTC(),
		Lock: o.Lock, Rank: who.Rank, By: who.Name, At: now,
	}
	if !o.Until.IsZero() && !o.Until.After(now) {
		return Push{}, invalid("until %s has passed", o.Until.Format(time.RFC3339))
	}
	var err error
	if p.Replay, err = s.opt.Past.replayAt(o.Replay, now); err != nil {
		return Push{}, err
	}
	s.mu.Lock()
	err = func() error {
		if s.find(o.Scene, o.Version) == nil {
			return fmt.Errorf("%w: scene %.80q, version %d", ErrNone, o.Scene, o.Version)
		}
		chosen := map[string]bool{}
		for _, id := range o.Displays {
			if d := s.displays[id]; d == nil || d.gone {
				return fmt.Errorf("%w: display %.80q", ErrNone, id)
			}
			chosen[id] = true
		}
		for id, d := range s.displays {
			if !d.gone && (o.All || o.Group != "" && d.Group == o.Group) {
				chosen[id] = true
			}
		}
		if len(chosen) == 0 {
			return invalid("no display is named by this")
		}
		if p.Replay != nil {
			if err := s.room(chosen, now); err != nil {
				return err
			}
		}
		p.Displays = slices.Sorted(maps.Keys(chosen))
		for _, id := range p.Displays {
			if l := s.displays[id].locked(now); l != nil && l.Rank > who.Rank {
				return fmt.Errorf("%w: display %s is held by %s since %s", ErrLocked, id, l.By, l.At.Format(time.RFC3339))
			}
		}
		return nil
	}()
	s.mu.Unlock()
	if err != nil {
		return Push{}, err
	}
	recorded := p
	if err := s.record(ctx, "push/"+p.ID, act{Act: actPush, At: now, By: who.Name, Push: &recorded}); err != nil {
		return Push{}, err
	}
	s.mu.Lock()
	for _, id := range p.Displays {
		if s.displays[id].decided.Push != p.ID {
			p.Waiting = append(p.Waiting, id)
		}
	}
	s.mu.Unlock()
	return p, nil
}

// locked gives the push that holds the display. mu is held.
func (d *screen) locked(now time.Time) *Push {
	for i := len(d.pushes) - 1; i >= 0; i-- {
		if p := &d.pushes[i]; p.Lock && (p.Until.IsZero() || now.Before(p.Until)) {
			return p
		}
	}
	return nil
}

// Undo takes a push away from all its displays, which return to what lies under
// it. It tells what was taken away.
func (s *Scenes) Undo(ctx context.Context, push string, who Actor) (Push, error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	var found *Push
	s.mu.Lock()
	for _, d := range s.displays {
		for i := range d.pushes {
			if d.pushes[i].ID == push {
				p := d.pushes[i]
				found = &p
			}
		}
	}
	s.mu.Unlock()
	if found == nil {
		return Push{}, fmt.Errorf("%w: push %.40q; it has ended or was undone", ErrNone, push)
	}
	if found.Lock && found.Rank > who.Rank {
		return Push{}, fmt.Errorf("%w: %s holds these displays", ErrLocked, found.By)
	}
	return *found, s.record(ctx, "push/"+push, act{Act: actUndo, At: s.opt.Now().UTC(), By: who.Name, ID: push})
}

// Return takes everything off a display that was put on it: pushes, and the
// alarm that took it over.
func (s *Scenes) Return(ctx context.Context, display string, who Actor) error {
	s.acting.Lock()
	defer s.acting.Unlock()
	now := s.opt.Now().UTC()
	s.mu.Lock()
	d := s.displays[display]
	var err error
	if d == nil || d.gone {
		err = fmt.Errorf("%w: display %.80q", ErrNone, display)
	} else if l := d.locked(now); l != nil && l.Rank > who.Rank {
		err = fmt.Errorf("%w: display %s is held by %s", ErrLocked, display, l.By)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.record(ctx, "display/"+display, act{Act: actReturn, At: now, By: who.Name, ID: display})
}

// Alarm is what a take-over needs to know of one.
type Alarm struct {
	ID       string
	Device   string
	Priority int
	View     *View
	// Waiting is whether nobody has acknowledged it and it is neither over nor put
	// aside.
	Waiting bool
	// Exercise is whether a drill raised it.
	Exercise bool
}

// ApplyAlarm lets an alarm take displays over, or lets go of them. The worst
// wins, and among equals the newest. A drill's has only the displays that say so,
// and never one that shows a real alarm.
func (s *Scenes) ApplyAlarm(a Alarm) {
	now := s.opt.Now()
	changed := false
	s.mu.Lock()
	for _, d := range s.displays {
		switch held := d.alarm; {
		case held != nil && held.Alarm == a.ID:
			if over := !a.Waiting; over && held.Over.IsZero() {
				held.Over, changed = now, true
			} else if !over && !held.Over.IsZero() {
				held.Over, changed = time.Time{}, true
			}
		case !a.Waiting || d.gone || a.Priority < 1 || a.Priority > d.TakeOver.Priority:
		case a.Exercise && !d.TakeOver.Exercise:
		case a.Exercise && held != nil && held.Over.IsZero() && !held.Exercise:
		case held != nil && held.Over.IsZero() && held.Priority < a.Priority && held.Exercise == a.Exercise:
		default:
			d.alarm, changed = &takenOver{Alarm: a.ID, Device: a.Device, View: a.View, Priority: a.Priority, Exercise: a.Exercise, At: now}, true
		}
	}
	s.mu.Unlock()
	if changed {
		s.wake()
	}
}

func (s *Scenes) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
