// Package drill is the register of exercises: what is practised on, from when to
// when, and what came of it.
//
// A drill makes devices of its own. They report through the same doors as all
// others, so that rules, alarms, walls and people do what they would do, and what
// they report carries the exercise flag, by which figures, zones, open data and
// subscribers leave it out. At its end, by a person or by time, the devices are
// retired and the drill's summary is written down once.
//
// The register is the fold of a log. A drill that was started has its devices or
// is ended again at the next look: between the two lies at most one crash.
package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
)

// Log keeps the acts. *journal.Log is one.
type Log interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, each func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Device is one that a drill asks for.
type Device struct {
	Profile string           `json:"profile"`
	Name    string           `json:"name"`
	At      devices.Position `json:"at"`
	Owner   string           `json:"owner"`
}

// Spec is what somebody asks for.
type Spec struct {
	Name     string    `json:"name"`
	Scenario string    `json:"scenario"`
	Ends     time.Time `json:"ends"`
	// Devices are described, or copied from those that Like names: profile,
	// place and department.
	Devices []Device     `json:"devices"`
	Like    []devices.ID `json:"like"`
}

// Summary is what came of a drill.
type Summary struct {
	Alarms       int `json:"alarms"`
	Acknowledged int `json:"acknowledged"`
	// ToAcknowledge is the mean time from an alarm to its acknowledgement.
	ToAcknowledge float64 `json:"toAcknowledge"` // s
	Messages      int     `json:"messages"`
}

// Drill is one as it stands.
type Drill struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Scenario string       `json:"scenario,omitempty"`
	Started  time.Time    `json:"started"`
	By       string       `json:"by" personal:"name"`
	Ends     time.Time    `json:"ends" doc:"When it ends by itself"`
	Ended    time.Time    `json:"ended,omitzero"`
	EndedBy  string       `json:"endedBy,omitempty" personal:"name"`
	Devices  []devices.ID `json:"devices"`
	Summary  *Summary     `json:"summary,omitempty"`
}

// Running reports whether it goes on.
func (d *Drill) Running() bool { return d.Ended.IsZero() }

// Errors of acts.
var (
	ErrNone  = errors.New("there is no such drill")
	ErrSpec  = errors.New("bad drill")
	ErrState = errors.New("the drill has ended")
)

// Bounds.
const (
	maxDevices = 200
	maxLength  = 7 * 24 * time.Hour
	maxRunning = 5
	clockwork  = "clock" // who ends a drill whose time is over
)

// Options are what Open needs and may be told.
type Options struct {
	Log      Log
	Register *devices.Register
	// Summarise tells what came of a drill, once its devices are retired.
	Summarise func(ctx context.Context, d Drill) (Summary, error)
	Calendar  *time.Location
	Now       func() time.Time
	// Tick is how often the ends are looked at; a second.
	Tick   time.Duration
	Errors *slog.Logger
}

// Drills are all there are.
type Drills struct {
	opt    Options
	acting sync.Mutex
	unsure bool
	seq    uint64

	mu    sync.RWMutex
	acts  []act
	byID  map[string]Drill
	order []string
}

// act is a record of the log.
type act struct {
	Act     string       `json:"act"` // started or ended
	At      time.Time    `json:"at"`
	By      string       `json:"by" personal:"name"`
	ID      string       `json:"id"`
	Spec    *Spec        `json:"spec,omitempty"`
	Devices []devices.ID `json:"devices,omitempty"`
	Summary *Summary     `json:"summary,omitempty"`
}

const subject = "drill"

func (a *act) fold(d Drill) Drill {
	switch a.Act {
	case "started":
		return Drill{ID: a.ID, Name: a.Spec.Name, Scenario: a.Spec.Scenario, Started: a.At, By: a.By, Ends: a.Spec.Ends, Devices: a.Devices}
	case "ended":
		d.Ended, d.EndedBy, d.Summary = a.At, a.By, a.Summary
	}
	return d
}

// Open reads what the log says.
func Open(ctx context.Context, o Options) (*Drills, error) {
	if o.Log == nil || o.Register == nil || o.Summarise == nil {
		return nil, errors.New("drill: Log, Register and Summarise are needed")
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == 0 {
		o.Tick = time.Second
	}
	if o.Errors == nil {
		o.Errors = slog.New(slog.DiscardHandler)
	}
	s := &Drills{opt: o, byID: map[string]Drill{}}
	return s, s.catchUp(ctx)
}

func (s *Drills) catchUp(ctx context.Context) error {
	err := s.opt.Log.Read(ctx, s.seq+1, func(seq uint64, _ time.Time, of string, data []byte) error {
		s.seq = seq
		var a act
		if of != subject {
			return nil
		}
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("act %d cannot be read: %w", seq, err)
		}
		if a.Act == "started" && a.Spec == nil {
			return fmt.Errorf("act %d starts a drill of nothing", seq)
		}
		s.take(a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the log of drills: %w", err)
	}
	s.unsure = false
	return nil
}

func (s *Drills) take(a act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byID[a.ID]; !known {
		s.order = append(s.order, a.ID)
	}
	s.byID[a.ID] = a.fold(s.byID[a.ID])
	s.acts = append(s.acts, a)
}

func (s *Drills) record(ctx context.Context, a act) error {
	data, err := json.Marshal(&a)
	if err != nil {
		return fmt.Errorf("encoding an act of drill %s: %w", a.ID, err)
	}
	seq, err := s.opt.Log.Append(ctx, subject, data)
	if err != nil {
		s.unsure = true
		return fmt.Errorf("writing %s of drill %s to the log: %w", a.Act, a.ID, err)
	}
	s.seq = seq
	s.take(a)
	return nil
}

func (s *Drills) begin(ctx context.Context) error {
	s.acting.Lock()
	if !s.unsure {
		return nil
	}
	err := s.catchUp(ctx)
	if err != nil {
		s.acting.Unlock()
	}
	return err
}

// Start begins a drill and gives the tokens of its devices, which are shown this
// once.
func (s *Drills) Start(ctx context.Context, spec Spec, by string) (Drill, map[devices.ID]string, error) {
	if err := s.begin(ctx); err != nil {
		return Drill{}, nil, err
	}
	defer s.acting.Unlock()
	now := s.opt.Now().UTC().Truncate(time.Millisecond)
	list, err := s.check(&spec, now)
	if err != nil {
		return Drill{}, nil, err
	}
	id := s.nextID(now)
	ids := make([]devices.ID, len(list))
	for i := range list {
		list[i].ID = devices.ID(fmt.Sprintf("%s-%02d", id, i+1))
		list[i].Exercise, ids[i] = id, list[i].ID
		if err := s.opt.Register.Check(&list[i]); err != nil {
			return Drill{}, nil, fmt.Errorf("%w: device %d: %w", ErrSpec, i+1, err)
		}
	}
	// The log before the devices: a device of a drill nobody knows would be there
	// for ever.
	if err := s.record(ctx, act{Act: "started", At: now, By: by, ID: id, Spec: &spec, Devices: ids}); err != nil {
		return Drill{}, nil, err
	}
	given, err := s.opt.Register.AddAll(ctx, list)
	if err != nil {
		return Drill{}, nil, errors.Join(fmt.Errorf("making the devices of drill %s: %w", id, err), s.end(ctx, id, by, now))
	}
	tokens := make(map[devices.ID]string, len(ids))
	for i, d := range ids {
		tokens[d] = given[i]
	}
	d, err := s.Get(id)
	return d, tokens, err
}

func (s *Drills) check(spec *Spec, now time.Time) ([]devices.Device, error) {
	spec.Name = strings.TrimSpace(spec.Name)
	running := 0
	for _, d := range s.List() {
		if d.Running() {
			running++
		}
	}
	switch {
	case spec.Name == "" || len(spec.Name) > 200 || len(spec.Scenario) > 4000:
		return nil, fmt.Errorf("%w: a name of 1 to 200 bytes and a scenario of at most 4,000", ErrSpec)
	case !spec.Ends.After(now) || spec.Ends.After(now.Add(maxLength)):
		return nil, fmt.Errorf("%w: it ends within %s from now", ErrSpec, maxLength)
	case len(spec.Devices)+len(spec.Like) == 0 || len(spec.Devices)+len(spec.Like) > maxDevices:
		return nil, fmt.Errorf("%w: 1 to %d devices", ErrSpec, maxDevices)
	case running >= maxRunning:
		return nil, fmt.Errorf("%w: %d drills are running already", ErrSpec, running)
	}
	var list []devices.Device
	for _, id := range spec.Like {
		d, ok := s.opt.Register.Get(id)
		if !ok || d.Exercise != "" {
			return nil, fmt.Errorf("%w: %.64q is no device of the city", ErrSpec, id)
		}
		list = append(list, devices.Device{Profile: d.Profile, At: d.At, Name: d.Name, Owner: d.Owner, Site: d.Site})
	}
	for _, d := range spec.Devices {
		list = append(list, devices.Device{Profile: d.Profile, At: d.At, Name: d.Name, Owner: d.Owner})
	}
	for i := range list {
		// Whoever reads only the name must see it.
		name := []rune(strings.TrimSpace("[DIỄN TẬP] " + list[i].Name))
		list[i].Name = string(name[:min(len(name), 100)])
		list[i].State = devices.Active
	}
	return list, nil
}

func (s *Drills) nextID(now time.Time) string {
	prefix := now.In(s.opt.Calendar).Format("dt-2006-")
	n := 1
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, id := range s.order {
		if strings.HasPrefix(id, prefix) {
			n++
		}
	}
	return fmt.Sprintf("%s%03d", prefix, n)
}

// End ends a drill.
func (s *Drills) End(ctx context.Context, id, by string) (Drill, error) {
	if err := s.begin(ctx); err != nil {
		return Drill{}, err
	}
	defer s.acting.Unlock()
	d, err := s.Get(id)
	if err != nil {
		return d, err
	}
	if !d.Running() {
		return d, fmt.Errorf("%w: at %s by %s", ErrState, d.Ended.Format(time.RFC3339), d.EndedBy)
	}
	if err := s.end(ctx, id, by, s.opt.Now().UTC().Truncate(time.Millisecond)); err != nil {
		return d, err
	}
	return s.Get(id)
}

// end retires the devices first: what fails is done again, and a retired device
// is retired still.
func (s *Drills) end(ctx context.Context, id, by string, now time.Time) error {
	d, err := s.Get(id)
	if err != nil {
		return err
	}
	for _, dev := range d.Devices {
		err := s.opt.Register.Update(ctx, dev, func(d *devices.Device) error {
			d.State = devices.Retired
			return nil
		})
		if err != nil && !errors.Is(err, devices.ErrNoDevice) {
			return fmt.Errorf("ending drill %s: %w", id, err)
		}
	}
	d.Ended = now
	sum, err := s.opt.Summarise(ctx, d)
	if err != nil {
		return fmt.Errorf("summing up drill %s: %w", id, err)
	}
	return s.record(ctx, act{Act: "ended", At: now, By: by, ID: id, Summary: &sum})
}

// Run ends the drills whose time is over until ctx ends.
func (s *Drills) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opt.Tick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := s.opt.Now()
			for _, d := range s.List() {
				if !d.Running() || d.Ends.After(now) {
					continue
				}
				if _, err := s.End(ctx, d.ID, clockwork); err != nil && ctx.Err() == nil && !errors.Is(err, ErrState) {
					s.opt.Errors.Error("a drill whose time is over was not ended; trying again", "drill", d.ID, "error", err)
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Get is a drill as it stands.
func (s *Drills) Get(id string) (Drill, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.byID[id]; ok {
		return d, nil
	}
	return Drill{}, fmt.Errorf("%w: %.64q", ErrNone, id)
}

// List gives all drills, the newest first.
func (s *Drills) List() []Drill {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Drill, 0, len(s.order))
	for _, id := range slices.Backward(s.order) {
		list = append(list, s.byID[id])
	}
	return list
}

// At gives the drills as they stood at a time, the newest first.
func (s *Drills) At(at time.Time) []Drill {
	s.mu.RLock()
	defer s.mu.RUnlock()
	byID := map[string]Drill{}
	for i := range s.acts {
		if a := &s.acts[i]; !a.At.After(at) {
			byID[a.ID] = a.fold(byID[a.ID])
		}
	}
	var list []Drill
	for _, id := range slices.Backward(s.order) {
		if d, ok := byID[id]; ok {
			list = append(list, d)
		}
	}
	return list
}
