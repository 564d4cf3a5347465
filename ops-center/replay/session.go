package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

const (
	// step is how often what has arrived by now is shown.
	step = 100 * time.Millisecond
	// lateBound is how far before its beginning a replay looks for values that
	// arrived after it.
	lateBound = 15 * time.Minute
	// Ahead of the clock lies what the next seconds need, in a span of city time
	// that is halved when it holds more than maxFetch values.
	leastSpan = 30 * time.Second
	mostSpan  = time.Hour
	maxFetch  = 400_000
	// maxPending bounds what waits to be shown; beyond it what arrived last is
	// left out.
	maxPending = 1_200_000
	// patience is how long a screen waits for its first moment before it is shown
	// an empty city that says it is loading.
	patience = 3 * time.Second
	// retryAfter is the pause after a failed look into the past.
	retryAfter = 2 * time.Second
	// retiredFor is how long a device that has left the register since is shown
	// after it last spoke.
	retiredFor = 24 * time.Hour
)

// session is one replay: a hub, a clock and one goroutine that plays.
type session struct {
	r        *Replays
	hub      *live.Hub
	clusters *live.Clusters
	person   string
	own      bool // a display's own screen
	asked    Asked
	ctx      context.Context
	cancel   context.CancelFunc
	wishes   chan live.Steering
	loaded   chan struct{} // closed after the first moment was found
	ended    chan struct{}
	started  bool
	scene    atomic.Pointer[[]byte]

	mu      sync.Mutex
	base    time.Time // of the city, at since
	since   time.Time // of this machine
	limit   time.Time // what is known reaches to here
	speed   float64
	playing bool
	loading bool
	failed  bool

	// Of the player alone:
	pending  []Sample // not shown yet, by arrival
	moves    []*alert.Transition
	reached  time.Time // all that arrived by then is shown
	known    time.Time // all whose event is before is fetched
	span     time.Duration
	fetching chan fetched
	stop     context.CancelFunc // ends the fetch
	joining  []*devices.Device  // added later than the moment, by when
	digest   string             // of the warnings told
	seconds  time.Time          // of the last look at scenes and warnings
}

type fetched struct {
	to      time.Time
	span    time.Duration
	samples []Sample
	moves   []*alert.Transition
	err     error
}

func newSession(r *Replays, who live.Viewer, asked Asked) (*session, error) {
	s := &session{
		r: r, person: person(who), own: who.Screen != "", asked: asked, wishes: make(chan live.Steering, 16),
		loaded: make(chan struct{}), ended: make(chan struct{}),
		base: asked.At, limit: asked.At, since: time.Now(), speed: asked.Speed, playing: !asked.Paused, loading: true,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	c := r.opt.Register.Catalogue()
	var displays live.Displays
	if r.opt.Scenes != nil {
		displays = sceneOf{s}
	}
	var err error
	s.hub, err = live.New(live.Options{
		Quantities: c.Quantities(), Profiles: c.Profiles(), Tick: r.opt.Tick, MaxScreens: 1, Ring: 64, RingBytes: 16 << 20,
		Health:   func() live.Health { return live.Health{Journal: "ok", SeriesOK: !s.state().Failed} },
		Displays: displays, Build: r.opt.Build, Now: s.now,
		Replay: &live.Replay{State: s.state, Steer: s.steer}, Log: r.opt.Log,
	})
	if err == nil {
		s.clusters = live.NewClusters(s.hub)
	}
	return s, err
}

// begin starts the player and waits, not for long, for the first moment.
func (s *session) begin() {
	s.hub.Start()
	s.started = true
	go s.play()
	select {
	case <-s.loaded:
	case <-time.After(patience):
	case <-s.ctx.Done():
	}
}

// end stops the player and the hub and waits for both.
func (s *session) end() {
	s.cancel()
	if !s.started {
		return
	}
	<-s.ended
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.hub.Stop(ctx); err != nil {
		s.r.opt.Log.Warn("the hub of a replay did not stop", "error", err)
	}
}

// now is the clock of the replay. It waits for what is not known yet.
func (s *session) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nowLocked()
}

func (s *session) nowLocked() time.Time {
	t := s.base
	if s.playing && !s.loading {
		t = t.Add(time.Duration(float64(time.Since(s.since)) * s.speed))
	}
	if t.After(s.limit) {
		t = s.limit
	}
	return t
}

// rebase makes the present moment the one that time is counted from.
func (s *session) rebaseLocked() { s.base, s.since = s.nowLocked(), time.Now() }

func (s *session) state() live.ReplayState {
	from, to := s.r.bounds()
	s.mu.Lock()
	defer s.mu.Unlock()
	return live.ReplayState{
		At: s.nowLocked().UnixMilli(), Speed: s.speed, Playing: s.playing, Loading: s.loading, Failed: s.failed,
		From: from.UnixMilli(), To: to.UnixMilli(), Dictionary: "/v1/replay/" + s.hub.ID() + "/dictionary",
	}
}

// steer takes a wish; the player carries it out.
func (s *session) steer(w live.Steering) error {
	switch w.Do {
	case "seek":
		if from, _ := s.r.bounds(); w.At.Before(from) {
			return fmt.Errorf("%s is before all that is kept, which begins %s", w.At.Format(time.RFC3339), from.UTC().Format(time.RFC3339))
		}
	case "speed":
		if !(w.Speed >= Slowest && w.Speed <= Fastest) {
			return fmt.Errorf("%v: want %d to %d", w.Speed, Slowest, Fastest)
		}
	}
	select {
	case s.wishes <- w:
		return nil
	default:
		return errors.New("too many at once; the ones before are still under way")
	}
}

// play is the one goroutine that changes what is shown.
func (s *session) play() {
	defer close(s.ended)
	defer s.drop()
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	s.seek(s.asked.At)
	close(s.loaded)
	for {
		select {
		case <-s.ctx.Done():
			return
		case w := <-s.wishes:
			s.heed(w)
		case f := <-s.fetching:
			s.take(f)
		case <-ticker.C:
			s.advance()
		}
	}
}

// heed carries out wishes, all that wait at once: of several seeks only the last
// is looked for.
func (s *session) heed(w live.Steering) {
	var target *time.Time
	for more := true; more; {
		s.mu.Lock()
		s.rebaseLocked()
		switch w.Do {
		case "play":
			s.playing = true
		case "pause":
			s.playing = false
		case "speed":
			s.speed = w.Speed
		case "seek":
			at := w.At
			target = &at
		}
		s.mu.Unlock()
		select {
		case w = <-s.wishes:
		default:
			more = false
		}
	}
	if target != nil {
		if _, to := s.r.bounds(); target.After(to) {
			*target = to
		}
		s.seek(*target)
		return
	}
	s.tell()
}

// tell tells the screen where the replay is.
func (s *session) tell() {
	body, err := json.Marshal(struct {
		Type string `json:"type"` // replay
		live.ReplayState
	}{"replay", s.state()})
	if err == nil {
		s.hub.Tell("replay", body)
	}
}

// drop forgets what was fetched ahead.
func (s *session) drop() {
	if s.stop != nil {
		s.stop()
		<-s.fetching
		s.stop, s.fetching = nil, nil
	}
	s.pending, s.moves = nil, nil
}

// seek shows another moment. It tries until it can, or until somebody wants
// something else.
func (s *session) seek(at time.Time) {
	s.drop()
	s.mu.Lock()
	s.loading, s.base, s.limit, s.since = true, at, at, time.Now()
	s.mu.Unlock()
	s.tell()
	for {
		err := s.show(at)
		if err == nil || s.ctx.Err() != nil {
			break
		}
		s.r.metrics.failed.Inc()
		s.r.opt.Log.Warn("the past cannot be read; trying again", "at", at, "error", err)
		s.mu.Lock()
		s.failed = true
		s.mu.Unlock()
		s.tell()
		select {
		case <-time.After(retryAfter):
		case <-s.ctx.Done():
			return
		case w := <-s.wishes:
			if w.Do == "seek" {
				at = w.At
				s.mu.Lock()
				s.base, s.limit = at, at
				s.mu.Unlock()
				continue
			}
			s.mu.Lock()
			switch w.Do {
			case "play", "pause":
				s.playing = w.Do == "play"
			case "speed":
				s.speed = w.Speed
			}
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	s.loading, s.failed, s.since = false, false, time.Now()
	s.mu.Unlock()
	s.tell()
	s.prefetch()
}

// show finds what a moment was like and shows it.
func (s *session) show(at time.Time) error {
	select {
	case s.r.turn <- struct{}{}:
		defer func() { <-s.r.turn }()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	started := time.Now()
	var messages []*devices.Message
	spoke := map[devices.ID]time.Time{}
	err := s.r.opt.Past.At(s.ctx, at, func(one Sample) error {
		messages = append(messages, one.message())
		if one.Received.After(spoke[one.Device]) {
			spoke[one.Device] = one.Received
		}
		return nil
	})
	if err != nil {
		return err
	}
	open, err := s.r.opt.Alarms.At(s.ctx, at)
	if err != nil {
		return err
	}
	alarms := make([]live.Alarm, 0, len(open))
	for _, a := range open {
		shown, err := s.r.opt.Show(a)
		if err != nil {
			return err
		}
		alarms = append(alarms, shown)
	}
	var list []*devices.Device
	s.joining = s.joining[:0]
	for _, d := range s.r.opt.Register.List() {
		if !d.State.Reports() {
			if last, ok := spoke[d.ID]; !ok || at.Sub(last) > retiredFor {
				continue
			}
			then := *d
			then.State = devices.Active
			d = &then
		}
		if d.Added.After(at) {
			if d.State.Reports() {
				s.joining = append(s.joining, d)
			}
			continue
		}
		list = append(list, d)
	}
	slices.SortFunc(s.joining, func(a, b *devices.Device) int { return a.Added.Compare(b.Added) })
	s.reached, s.known = at, at.Add(-lateBound)
	s.hub.Rewind(list, messages, alarms)
	s.digest, s.seconds = "", time.Time{}
	s.around(at)
	s.r.metrics.seeks.Observe(time.Since(started).Seconds())
	return nil
}

// message is a sample as the hub takes it in.
func (s *Sample) message() *devices.Message {
	o := devices.Observation{Time: s.Time, At: s.At, Zones: s.Zones, Flags: s.Flags}
	if s.Quantity != "" {
		o.Values = []devices.Value{{Quantity: s.Quantity, Number: s.Number}}
	}
	return &devices.Message{Device: s.Device, Received: s.Received, Observations: []devices.Observation{o}}
}

// advance shows all that has arrived by now.
func (s *session) advance() {
	t := s.now()
	if t.After(s.reached) {
		s.deliver(t)
	}
	if time.Since(s.seconds) >= time.Second {
		s.around(t)
	}
	_, edge := s.r.bounds()
	s.mu.Lock()
	over := s.playing && !s.loading && !t.Before(edge) && s.speed > 1
	if over {
		// The present does not come faster than it comes.
		s.rebaseLocked()
		s.speed = 1
	}
	s.mu.Unlock()
	if over {
		s.tell()
	}
	s.prefetch()
}

func (s *session) deliver(t time.Time) {
	for len(s.joining) > 0 && !s.joining[0].Added.After(t) {
		s.hub.ApplyDevice(s.joining[0])
		s.joining = s.joining[1:]
	}
	n, _ := slices.BinarySearchFunc(s.pending, t, func(one Sample, t time.Time) int {
		if one.Received.After(t) {
			return 1
		}
		return -1
	})
	if n > 0 {
		messages := make([]*devices.Message, n)
		for i := range n {
			messages[i] = s.pending[i].message()
		}
		s.hub.Apply(messages)
		s.pending = s.pending[n:]
	}
	for len(s.moves) > 0 && !s.moves[0].Recorded.After(t) {
		a := s.moves[0].Alarm
		s.moves = s.moves[1:]
		shown, err := s.r.opt.Show(a)
		if err != nil {
			s.r.opt.Log.Error("an alarm of then cannot be shown", "alarm", a.ID, "error", err)
			continue
		}
		s.hub.ApplyAlarm(shown)
	}
	s.reached = t
}

// around shows what is not readings and alarms: the scene of then and the
// warnings in force.
func (s *session) around(t time.Time) {
	s.seconds = time.Now()
	if body, digest := s.r.warningsAt(t); digest != "" && digest != s.digest {
		s.digest = digest
		s.hub.Tell("warnings", body)
	}
	if s.r.opt.Scenes == nil || s.asked.Follow {
		return // what the display is to show is told when it changes
	}
	body, err := s.r.opt.Scenes.MessageAt(s.ctx, s.asked.Display, t)
	if err != nil {
		if s.ctx.Err() == nil {
			s.r.opt.Log.Warn("what a display showed then cannot be read", "display", s.asked.Display, "error", err)
		}
		return
	}
	if old := s.scene.Load(); old == nil || string(*old) != string(body) {
		s.scene.Store(&body)
		s.hub.Show(s.asked.Display)
	}
}

// prefetch looks ahead, when less than half a span lies ahead.
func (s *session) prefetch() {
	s.mu.Lock()
	playing, speed, loading := s.playing, s.speed, s.loading
	s.mu.Unlock()
	_, edge := s.r.bounds()
	span := min(max(leastSpan, time.Duration(speed*float64(6*time.Second))), mostSpan)
	if s.span > 0 {
		span = min(span, s.span)
	}
	if s.fetching != nil || loading || !playing || s.known.Sub(s.reached) > span/2 || !s.known.Before(edge) {
		return
	}
	from, to := s.known, later(s.known, s.reached).Add(span)
	if to.After(edge) {
		to = edge
		if to.Sub(from) < 2*time.Second {
			return // at the edge: not a look for every step
		}
	}
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan fetched, 1)
	s.stop, s.fetching = stop, done
	go s.fetch(ctx, from, to, span, s.reached, done)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var errFull = errors.New("more than fits")

// fetch reads [from, to) of what arrived after shown.
func (s *session) fetch(ctx context.Context, from, to time.Time, span time.Duration, shown time.Time, done chan<- fetched) {
	f := fetched{to: to, span: span}
	defer func() { done <- f }()
	select {
	case s.r.turn <- struct{}{}:
		defer func() { <-s.r.turn }()
	case <-ctx.Done():
		f.err = ctx.Err()
		return
	}
	for {
		f.samples = nil
		f.err = s.r.opt.Past.Between(ctx, from, f.to, func(one Sample) error {
			if !one.Received.After(shown) {
				return nil
			}
			if len(f.samples) >= maxFetch && f.to.Sub(later(from, shown)) > time.Second {
				return errFull
			}
			f.samples = append(f.samples, one)
			return nil
		})
		if !errors.Is(f.err, errFull) {
			break
		}
		begin := later(from, shown)
		f.span = f.to.Sub(begin) / 2
		f.to = begin.Add(f.span)
	}
	if f.err != nil {
		return
	}
	// Alarms are told by when they were recorded.
	begin := later(from, shown.Add(time.Millisecond))
	if begin.Before(f.to) {
		f.err = s.r.opt.Alarms.Transitions(ctx, begin, f.to, func(t *alert.Transition) error {
			f.moves = append(f.moves, t)
			return nil
		})
	}
}

// take puts what was fetched in line.
func (s *session) take(f fetched) {
	s.stop()
	s.stop, s.fetching = nil, nil
	s.mu.Lock()
	was := s.failed
	s.failed = f.err != nil
	s.mu.Unlock()
	if f.err != nil {
		if s.ctx.Err() == nil {
			s.r.metrics.failed.Inc()
			s.r.opt.Log.Warn("the past cannot be read; trying again", "error", f.err)
			s.tell()
			// The next step tries again; the clock waits at its limit.
			select {
			case <-time.After(retryAfter):
			case <-s.ctx.Done():
			}
		}
		return
	}
	s.span = 0
	if f.span < mostSpan && len(f.samples) > maxFetch/2 {
		s.span = max(f.span, time.Second)
	}
	s.pending = append(slices.Clip(s.pending), f.samples...)
	slices.SortStableFunc(s.pending, func(a, b Sample) int {
		return cmp.Or(a.Received.Compare(b.Received), a.Time.Compare(b.Time))
	})
	if len(s.pending) > maxPending {
		s.r.opt.Log.Warn("a replay leaves values out", "values", len(s.pending)-maxPending)
		s.pending = s.pending[:maxPending]
	}
	s.moves = append(s.moves, f.moves...)
	s.known = f.to
	s.mu.Lock()
	s.rebaseLocked()
	s.limit = later(s.limit, f.to)
	s.mu.Unlock()
	if was {
		s.tell()
	}
	s.prefetch()
}

// sceneOf is what live asks for the scene of then.
type sceneOf struct{ s *session }

func (d sceneOf) Message(display string) []byte {
	if d.s.asked.Follow {
		return d.s.r.opt.Scenes.Message(display)
	}
	if body := d.s.scene.Load(); body != nil {
		return *body
	}
	return nil
}

func (d sceneOf) Report(display, from string, health []byte) error {
	if d.s.r.opt.Report == nil {
		return nil
	}
	return d.s.r.opt.Report(display, from, health)
}
