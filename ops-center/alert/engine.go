package alert

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// engine judges readings by rules. It has no clock, no lock and writes nothing:
// the same readings in the same order give the same transitions, which wait in
// outbox until the log has them.
type engine struct {
	register *devices.Register
	zoneName func(devices.ZoneRef) string
	place    func(devices.Position, time.Time) []devices.ZoneRef // nil for none

	rules   map[string]*Rule
	version int // of rules
	fleet   map[devices.ID]*watched
	alarms  map[key]*Alarm // the open ones
	byID    map[string]key
	outbox  []*Transition

	late uint64 // readings not newer than the newest judged
}

// watched is what is remembered of one device.
type watched struct {
	id     devices.ID
	newest int64 // event time of its newest reading
	heard  int64 // when it was last heard, by the server's clock
	floor  int64 // readings up to here were judged before the tracks were there
	tracks map[string]*track
	alarms map[string]*Alarm // the open ones, by rule

	// What applies to it, looked up again when the device or the rules change.
	device  *devices.Device
	profile *devices.Profile
	version int
	rules   []*Rule
	silence []*Rule

	// freed is, by rule, when a suppressed silence was first seen without its
	// cause. It is not kept: after a restart the wait begins again.
	freed map[string]int64
}

func newEngine(r *devices.Register, zoneName func(devices.ZoneRef) string, place func(devices.Position, time.Time) []devices.ZoneRef) *engine {
	return &engine{
		register: r, zoneName: zoneName, place: place,
		rules: map[string]*Rule{}, version: 1,
		fleet: map[devices.ID]*watched{}, alarms: map[key]*Alarm{}, byID: map[string]key{},
	}
}

func (e *engine) entry(id devices.ID) *watched {
	w := e.fleet[id]
	if w == nil {
		w = &watched{id: id, tracks: map[string]*track{}, alarms: map[string]*Alarm{}}
		e.fleet[id] = w
	}
	return w
}

// watch gives a device's entry with the rules that apply to it, or nil for a
// device that is not in the register or of no known profile.
func (e *engine) watch(id devices.ID) *watched {
	d, ok := e.register.Get(id)
	if !ok {
		return nil
	}
	w := e.entry(id)
	if w.device == d && w.version == e.version {
		return w
	}
	p, ok := e.register.Catalogue().Profile(d.Profile)
	if !ok {
		return nil
	}
	w.device, w.profile, w.version = d, p, e.version
	w.rules, w.silence = nil, nil
	for _, r := range e.rules {
		switch {
		case !r.covers(d, p):
		case r.When.Silence != nil:
			w.silence = append(w.silence, r)
		default:
			w.rules = append(w.rules, r)
		}
	}
	byID := func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(w.rules, byID)
	slices.SortFunc(w.silence, byID)
	return w
}

// remembers reports whether anything is lost when the entity is forgotten.
func (w *watched) remembers() bool {
	for _, tr := range w.tracks {
		if w.device == nil && strings.Contains(string(w.id), ":") && !tr.idle() {
			return true
		}
	}
	return false
}

// track finds what is remembered of r; a new one starts from the alarm there is.
func (w *watched) track(r *Rule) *track {
	tr := w.tracks[r.ID]
	if tr == nil {
		a := w.alarms[r.ID]
		tr = &track{Last: w.floor, On: a != nil && a.Active}
		w.tracks[r.ID] = tr
	}
	return tr
}

// message judges one message.
func (e *engine) message(m *devices.Message) {
	w := e.watch(m.Device)
	if w == nil {
		return
	}
	w.heard = max(w.heard, m.Received.UnixMilli())
	// Devices under maintenance, and those not approved, raise nothing.
	if w.device.State != devices.Active {
		return
	}
	for _, r := range w.silence {
		if a := w.alarms[r.ID]; a != nil && a.Active && m.Received.After(a.Raised) {
			tr := w.track(r)
			tr.On = false
			e.settle(r, w, tr, finding{at: m.Received.UnixMilli()})
		}
	}
	observations := m.Observations
	byTime := func(a, b devices.Observation) int { return a.Time.Compare(b.Time) }
	if !slices.IsSortedFunc(observations, byTime) {
		observations = slices.Clone(observations)
		slices.SortStableFunc(observations, byTime)
	}
	// A clock that runs ahead is taken back to the arrival. Left as it is, it
	// would make every reading late once the clock is put right.
	var ahead int64
	if n := len(observations); n > 0 {
		ahead = max(0, observations[n-1].Time.UnixMilli()-m.Received.UnixMilli())
	}
	for i := range observations {
		o := &observations[i]
		for _, r := range w.rules {
			e.observation(r, w, o, ahead)
		}
		w.newest = max(w.newest, o.Time.UnixMilli()-ahead)
	}
}

// finding is a reading as a rule sees it.
type finding struct {
	at    int64
	obs   *devices.Observation // nil for silence
	value *float64
	zone  *devices.ZoneRef // the one entered
	why   string
	// because is the node that explains a silence.
	because devices.ID
}

// observation judges one observation by one rule, ahead being the milliseconds
// the device's clock is known to run ahead.
func (e *engine) observation(r *Rule, w *watched, o *devices.Observation, ahead int64) {
	sent := o.Time.UnixMilli()
	f := finding{at: sent - ahead, obs: o}
	var holds bool
	var on, off time.Duration
	t := r.When.Threshold
	switch {
	case t != nil:
		i := slices.IndexFunc(o.Values, func(v devices.Value) bool { return v.Quantity == t.Quantity })
		if i < 0 {
			return
		}
		f.value = &o.Values[i].Number
		on, off = t.For, t.ClearFor
	case r.When.Enter != nil:
		i := slices.IndexFunc(o.Zones, r.When.Enter.has)
		if holds = i >= 0; holds {
			f.zone = &o.Zones[i]
		}
	case r.When.Leave != nil:
		holds = !slices.ContainsFunc(o.Zones, r.When.Leave.has)
	}
	if t == nil && !o.At.Known() {
		return // nowhere is neither inside nor outside
	}
	tr := w.track(r)
	if f.at <= tr.Last || ahead > 0 && sent <= tr.Ahead {
		e.late++
		return
	}
	if ahead > 0 {
		tr.Ahead = sent
	}
	if t != nil && t.Rate > 0 {
		rate, ok := tr.count(f.at, *f.value, t.Rate, t.Wraps)
		if !ok {
			tr.Last = f.at
			return
		}
		f.value = &rate
	}
	if t != nil {
		holds = t.beyond(tr.On, *f.value)
	}
	if !r.inZones(o.Zones) {
		holds = false
	}
	tr.step(f.at, holds, on, off, w.profile.SilentAfter())
	e.settle(r, w, tr, f)
}

// settle makes the alarm follow the track. It compares what is with what should
// be rather than watching for edges, so that nothing is missed or repeated when
// readings are judged again after a restart.
func (e *engine) settle(r *Rule, w *watched, tr *track, f finding) {
	if f.at <= tr.decided {
		return
	}
	a := w.alarms[r.ID]
	active := a != nil && a.Active
	if tr.On == active {
		return
	}
	tr.decided = f.at
	k := key{r.ID, w.id}
	if tr.On {
		event := Raise
		if f.because != "" && (a == nil || a.State != Suppressed) {
			event = Suppress
		}
		e.move(k, event, time.UnixMilli(f.at).UTC(), engineActor, f.why, func(a *Alarm) { e.describe(a, r, w, f) })
		return
	}
	e.clear(k, f.at, f.why)
}

func (e *engine) clear(k key, at int64, why string) {
	t := time.UnixMilli(at).UTC()
	e.move(k, Clear, t, engineActor, why, func(a *Alarm) {
		a.Active, a.Cleared = false, &t
	})
}

// describe fills in an alarm that is raised.
func (e *engine) describe(a *Alarm, r *Rule, w *watched, f finding) {
	at := time.UnixMilli(f.at).UTC()
	id, changes, state := a.ID, a.Changes, a.State
	if id == "" { // else the condition came back before anyone had seen it go
		id = alarmID(key{r.ID, w.device.ID}, f.at)
	}
	*a = Alarm{
		ID: id, Rule: r.ID, RuleName: r.Name, Entity: string(w.device.ID), Device: w.device.ID,
		Zones: []Zone{}, Priority: r.Priority, State: state, Active: true, Raised: at,
		Response: r.Response, Owner: r.Owner, Simulated: r.Simulated || w.device.Simulated, Changes: changes,
		Because: f.because,
	}
	place := w.device.At
	var zones []devices.ZoneRef
	switch {
	case f.obs != nil:
		place, zones = f.obs.At, f.obs.Zones
	case e.place != nil && place.Known():
		zones = e.place(place, at) // a silent device tells none itself
	}
	for _, z := range zones {
		zone := Zone{Layer: z.Layer, Code: z.Code, Name: e.zoneName(z), ValidFrom: z.ValidFrom}
		if f.zone != nil && *f.zone == z {
			a.Zones = slices.Insert(a.Zones, 0, zone) // the one that matters first
		} else {
			a.Zones = append(a.Zones, zone)
		}
	}
	if place.Known() {
		a.At = &[2]float64{place.Lon, place.Lat}
	}
	digits, display := 0, ""
	switch {
	case r.When.Threshold != nil:
		t := r.When.Threshold
		q, _ := e.register.Catalogue().Quantity(t.Quantity)
		value, limit := *f.value, t.limit()
		a.Quantity, a.Value, a.Threshold, a.Unit = t.Quantity, &value, &limit, q.Unit
		digits, display = q.Digits, q.Display
		if t.Rate > 0 {
			a.Unit, display = a.Unit+"/h", display+"/h"
		}
	case r.When.Silence != nil:
		limit := r.When.Silence.after(w.profile).Seconds()
		a.Threshold, a.Unit, display = &limit, "s", "s"
	}
	shown := *a
	shown.Unit = display
	name := w.device.Name
	if name == "" {
		name = string(w.device.ID)
	}
	a.Message = fill(r.Message, &shown, name, digits)
}

// move makes a transition of the alarm k, if the event means something in its
// state.
func (e *engine) move(k key, event Event, at time.Time, who Actor, why string, change func(*Alarm)) {
	if t := e.draft(k, event, at, who, why, change); t != nil {
		e.put(k, t.Alarm)
		e.outbox = append(e.outbox, t)
	}
}

// draft is move without its effect.
func (e *engine) draft(k key, event Event, at time.Time, who Actor, why string, change func(*Alarm)) *Transition {
	next := Alarm{State: Normal}
	if a := e.alarms[k]; a != nil {
		next = *a
	}
	from := next.State
	change(&next)
	to, ok := from.Move(event, next.Active)
	if !ok {
		return nil
	}
	next.State = to
	next.Changes++
	return &Transition{Event: event, From: from, To: to, At: at, Who: who, Why: why, Alarm: next}
}

// put makes a the alarm of k; a normal one is no longer open.
func (e *engine) put(k key, a Alarm) {
	w := e.entry(k.device)
	if old := e.alarms[k]; old != nil {
		delete(e.byID, old.ID)
	}
	if a.State == Normal {
		delete(e.alarms, k)
		delete(w.alarms, k.rule)
		return
	}
	e.alarms[k], w.alarms[k.rule], e.byID[a.ID] = &a, &a, k
}

// tick raises silence. start is when the engine began to listen: a device
// cannot have been silent longer than that.
func (e *engine) tick(now, start int64) {
	due := e.due(now, start)
	for _, q := range due {
		f := finding{at: q.at, because: e.cause(q.w.device, now, due)}
		if f.because == "" && e.doubtful(q.w.device, now, start) {
			continue // until the node above has reported or is found silent itself
		}
		if f.because != "" {
			f.why = unreachable(f.because)
		}
		tr := q.w.track(q.rule)
		tr.On, tr.Last = true, q.at
		e.settle(q.rule, q.w, tr, f)
	}
	e.explain(now)
	// A device that left the register, or was retired, will never report that it
	// is well again.
	for _, k := range e.active() {
		if k.many() {
			continue
		}
		if d, ok := e.register.Get(k.device); !ok || d.State == devices.Retired {
			e.clear(k, now, "the device was retired")
			delete(e.fleet[k.device].tracks, k.rule)
		}
	}
}

// active lists the alarms whose condition holds, in a fixed order.
func (e *engine) active() []key {
	var out []key
	for k, a := range e.alarms {
		if a.Active {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.device, b.device))
	})
	return out
}

// adopt puts rules in force. Alarms of rules that went are cleared; what was
// remembered for a condition that changed is forgotten.
func (e *engine) adopt(rules []Rule, now int64) {
	old := e.rules
	e.rules = make(map[string]*Rule, len(rules))
	for i := range rules {
		e.rules[rules[i].ID] = &rules[i]
	}
	e.version++
	for _, w := range e.fleet {
		w.floor = w.newest
		for id := range w.tracks {
			if r := e.rules[id]; r == nil || r.Disabled || old[id] == nil || !r.sameCondition(old[id]) {
				delete(w.tracks, id)
			}
		}
	}
	for _, k := range e.active() {
		if r := e.rules[k.rule]; r == nil || r.Disabled {
			e.clear(k, now, "the rule was withdrawn")
		}
	}
}
