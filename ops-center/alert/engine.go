package alert

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// engine judges readings by rules. It has no clock, no lock and writes nothing:
// the same readings in the same order give the same transitions, which wait in
// outbox until the log has them.
type engine struct {
	register *devices.Register
	zoneName func(devices.ZoneRef) string
	place    func(devices.Position, time.Time) []devices.ZoneRef // nil for none
	// dress completes a draft and may turn its event into another; nil for none.
	dress func(event Event, from State, a *Alarm, at time.Time) Event

	calendar *time.Location
	limits   *Thresholds // nil for none
	// mark is told of every entity whose memory changed; nil for nobody.
	mark func(devices.ID)

	rules   map[string]*Rule
	index   ruleIndex
	version int // of rules
	fleet   map[devices.ID]*watched
	alarms  map[key]*Alarm // the open ones
	byID    map[string]key
	byRule  map[string]map[devices.ID]*Alarm
	outbox  []*Transition

	late uint64 // readings not newer than the newest judged
	// faults counts expressions that could not be evaluated, crowded readings
	// left out because a zone or a city had its fill of devices.
	faults, crowded atomic.Uint64

	pending map[key]*moment // what is judged when its moment is over
	// frontier is the newest event time of a reading, clock when the newest message
	// arrived.
	frontier, clock int64
	grid            grid
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
	rules   map[devices.Quantity][]*Rule // "" for those about places
	silence []*Rule
	exprs   []*Rule

	// recent is the newest values of quantities that are compared with
	// neighbours, newest first.
	recent map[devices.Quantity][]sample
	near   map[float64][]devices.ID // by distance
	nearAt uint64                   // the grid's build

	// freed is, by rule, when a suppressed silence was first seen without its
	// cause. It is not kept: after a restart the wait begins again.
	freed map[string]int64
}

func newEngine(r *devices.Register, zoneName func(devices.ZoneRef) string, place func(devices.Position, time.Time) []devices.ZoneRef) *engine {
	return &engine{
		register: r, zoneName: zoneName, place: place,
		calendar: time.UTC, pending: map[key]*moment{},
		rules: map[string]*Rule{}, version: 1,
		fleet: map[devices.ID]*watched{}, alarms: map[key]*Alarm{}, byID: map[string]key{}, byRule: map[string]map[devices.ID]*Alarm{},
	}
}

// meter shows what the engine left out.
func (e *engine) meter(r prometheus.Registerer) {
	for name, c := range map[string]struct {
		help string
		n    *atomic.Uint64
	}{
		"vonglau_alarm_expression_faults_total": {"Expressions of rules that could not be evaluated.", &e.faults},
		"vonglau_alarm_crowded_readings_total":  {"Readings that a rule over many devices left out because it holds as many devices as it can.", &e.crowded},
	} {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: c.help}, func() float64 { return float64(c.n.Load()) }))
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
	w.rules, w.silence, w.exprs, w.near = map[devices.Quantity][]*Rule{}, nil, nil, nil
	for _, r := range e.index.of(d, p) {
		switch {
		case !r.covers(d, p), r.When.Composite != nil:
		case r.When.Silence != nil:
			w.silence = append(w.silence, r)
		case r.When.Expr != nil:
			w.exprs = append(w.exprs, r)
		default:
			q := r.When.quantity()
			w.rules[q] = append(w.rules[q], r)
		}
	}
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
	e.clock = max(e.clock, m.Received.UnixMilli())
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
		at := o.Time.UnixMilli() - ahead
		e.reach(at)
		e.remember(w, o, at)
		for _, r := range e.concerned(w, o) {
			e.observation(r, w, o, ahead)
		}
		w.newest = max(w.newest, at)
	}
}

// ruleIndex finds the rules that may be about a device or a place without going
// through all of them.
type ruleIndex struct {
	byDevice  map[devices.ID][]*Rule
	byProfile map[string][]*Rule
	rest      []*Rule
	byZone    map[devices.ZoneRef][]*Rule // of those with a scope of named zones only
	parts     map[string][]string         // the composites that a rule is part of
	watched   map[devices.Quantity]bool   // quantities compared with neighbours
}

func plain(profile string) string { return strings.ReplaceAll(profile, "_", "-") }

// zoned reports whether a rule is only asked about where a reading is: its scope
// names zones and its profile and device are open or few.
func (r *Rule) zoned() bool {
	if len(r.Scope.Zones) == 0 || len(r.Scope.Devices) > 0 || r.When.Silence != nil {
		return false
	}
	return !slices.ContainsFunc(r.Scope.Zones, func(z ZoneSet) bool { return len(z.Codes) == 0 })
}

func indexRules(rules map[string]*Rule) (x ruleIndex) {
	x.byDevice, x.byProfile, x.byZone = map[devices.ID][]*Rule{}, map[string][]*Rule{}, map[devices.ZoneRef][]*Rule{}
	x.parts, x.watched = map[string][]string{}, map[devices.Quantity]bool{}
	for _, r := range rules {
		if n := r.When.Neighbours; n != nil && !r.Disabled {
			x.watched[n.Quantity] = true
		}
		if c := r.When.Composite; c != nil && !r.Disabled {
			for _, id := range c.rules() {
				x.parts[id] = append(x.parts[id], r.ID)
			}
		}
		switch {
		case r.Disabled || r.When.Composite != nil:
		case r.zoned():
			for _, set := range r.Scope.Zones {
				for _, code := range set.Codes {
					ref := devices.ZoneRef{Layer: set.Layer, Code: code}
					x.byZone[ref] = append(x.byZone[ref], r)
				}
			}
		case len(r.Scope.Devices) > 0:
			for _, id := range r.Scope.Devices {
				x.byDevice[id] = append(x.byDevice[id], r)
			}
		case len(r.Scope.Profiles) > 0:
			for _, name := range r.Scope.Profiles {
				x.byProfile[plain(name)] = append(x.byProfile[plain(name)], r)
			}
		default:
			x.rest = append(x.rest, r)
		}
	}
	return x
}

// of gives the rules that may be about a device, each once and in a fixed order.
func (x *ruleIndex) of(d *devices.Device, p *devices.Profile) []*Rule {
	return sortRules(slices.Concat(x.byDevice[d.ID], x.byProfile[plain(p.Name)], x.rest))
}

func sortRules(list []*Rule) []*Rule {
	slices.SortFunc(list, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	return slices.Compact(list)
}

// concerned gives the rules that have something to say of an observation, in a
// fixed order.
func (e *engine) concerned(w *watched, o *devices.Observation) []*Rule {
	var list []*Rule
	parts := 0
	add := func(rules []*Rule) {
		switch {
		case len(rules) == 0:
		case parts == 0:
			list, parts = rules, 1
		case parts == 1:
			list, parts = slices.Concat(list, rules), 2
		default:
			list = append(list, rules...)
		}
	}
	add(w.rules[""])
	for i := range o.Values {
		add(w.rules[o.Values[i].Quantity])
	}
	for _, r := range w.exprs {
		if slices.ContainsFunc(o.Values, func(v devices.Value) bool { return slices.Contains(r.When.Expr.quantities, v.Quantity) }) {
			add([]*Rule{r})
		}
	}
	if len(e.index.byZone) > 0 {
		here := func(r *Rule) bool { return r.covers(w.device, w.profile) && r.about(o) }
		for i := range o.Zones {
			for _, r := range e.index.byZone[devices.ZoneRef{Layer: o.Zones[i].Layer, Code: o.Zones[i].Code}] {
				if here(r) {
					add([]*Rule{r})
				}
			}
		}
		for id := range w.tracks { // those it was in before
			if r := e.rules[id]; r != nil && r.zoned() && !r.inZones(o.Zones) && here(r) {
				add([]*Rule{r})
			}
		}
		for id := range w.alarms {
			if r := e.rules[id]; r != nil && r.zoned() && !r.inZones(o.Zones) && here(r) {
				add([]*Rule{r})
			}
		}
	}
	if parts < 2 {
		return list
	}
	return sortRules(list)
}

// about reports whether an observation has what the rule judges.
func (r *Rule) about(o *devices.Observation) bool {
	has := func(q devices.Quantity) bool {
		return slices.ContainsFunc(o.Values, func(v devices.Value) bool { return v.Quantity == q })
	}
	if r.When.Expr != nil {
		return slices.ContainsFunc(r.When.Expr.quantities, has)
	}
	q := r.When.quantity()
	return q == "" || has(q)
}

// finding is a reading as a rule sees it.
type finding struct {
	at    int64
	obs   *devices.Observation // nil for silence
	value *float64
	zone  *devices.ZoneRef // the one entered
	limit *float64         // the one passed
	count int              // devices or alarms in it
	why   string
	fill  func(*Alarm) // describes it; nil for an alarm of the device that reported
	// because is the node that explains a silence.
	because devices.ID
}

// observation judges one observation by one rule, ahead being the milliseconds
// the device's clock is known to run ahead.
func (e *engine) observation(r *Rule, w *watched, o *devices.Observation, ahead int64) {
	sent := o.Time.UnixMilli()
	f := finding{at: sent - ahead, obs: o}
	c := &r.When
	if q := c.quantity(); q != "" {
		i := slices.IndexFunc(o.Values, func(v devices.Value) bool { return v.Quantity == q })
		if i < 0 {
			return
		}
		f.value = &o.Values[i].Number
	} else if c.Expr == nil && !o.At.Known() {
		return // nowhere is neither inside nor outside
	}
	switch {
	case c.Aggregate != nil:
		e.aggregate(r, w, o, f, sent, ahead)
		return
	case c.Cluster != nil:
		e.cluster(r, w, o, f, sent, ahead)
		return
	}
	tr := w.track(r)
	k := key{r.ID, w.id}
	waits := e.pending[k] // only of one that is compared with its neighbours
	if f.at <= tr.Last || waits != nil && f.at <= waits.At || ahead > 0 && sent <= tr.Ahead {
		e.late++
		return
	}
	if ahead > 0 {
		tr.Ahead = sent
	}
	if c.Neighbours == nil {
		e.single(r, w, tr, o, f)
		return
	}
	if waits != nil {
		e.judge(k, waits)
	}
	e.pend(k, f.at).Obs = o
}

// single judges an observation, newer than all before, by a rule about one device.
func (e *engine) single(r *Rule, w *watched, tr *track, o *devices.Observation, f finding) {
	holds, delay, ok := e.condition(r, w, tr, o, &f)
	if !ok {
		tr.Last = f.at
		return
	}
	if !r.inZones(o.Zones) || !r.judges(f.at, e.calendar) {
		holds = false
	}
	tr.step(f.at, holds, delay.For, delay.ClearFor, w.profile.SilentAfter())
	e.settle(r, w, tr, f)
}

// condition asks what a rule about one device says of an observation newer than
// all before. ok is false where nothing can be said.
func (e *engine) condition(r *Rule, w *watched, tr *track, o *devices.Observation, f *finding) (holds bool, delay Delay, ok bool) {
	c := &r.When
	switch {
	case c.Threshold != nil:
		t := c.Threshold
		level := t.Level
		if t.Ref != "" {
			limit := e.limits.find(t.Ref, t.Step, w.device, o.Zones, t.Quantity, f.at, e.calendar)
			if limit == nil || limit.Value == nil {
				return false, delay, false
			}
			level = limit.level(t.ClearBy)
		}
		if t.Rate > 0 {
			rate, covered := tr.count(f.at, *f.value, t.Rate, t.Wraps)
			if !covered {
				return false, delay, false
			}
			f.value = &rate
		}
		limit := level.limit()
		f.limit = &limit
		return level.beyond(tr.On, *f.value), t.Delay, true
	case c.Enter != nil:
		holds = f.in(c.Enter, o)
		return holds, delay, true
	case c.Leave != nil:
		return !slices.ContainsFunc(o.Zones, c.Leave.has), delay, true
	case c.Dwell != nil:
		holds = f.in(&c.Dwell.ZoneSet, o)
		return holds, c.Dwell.Delay, true
	case c.Speed != nil:
		speed, known := tr.speed(o, f.at)
		limit := c.Speed.limit()
		f.value, f.limit = &speed, &limit
		if !f.in(&c.Speed.ZoneSet, o) {
			return false, c.Speed.Delay, true
		}
		return known && c.Speed.beyond(tr.On, speed), c.Speed.Delay, known
	case c.Change != nil:
		rate, covered := tr.change(f.at, *f.value, c.Change.Window)
		limit := c.Change.limit()
		f.value, f.limit = &rate, &limit
		return covered && c.Change.beyond(tr.On, rate), c.Change.Delay, covered
	case c.Flat != nil:
		f.limit = &c.Flat.Within
		return tr.flat(f.at, *f.value, c.Flat, w.profile.SilentAfter()), delay, true
	case c.Neighbours != nil:
		n := c.Neighbours
		mid, count := e.around(w, o, n, f.at)
		if count < n.Min {
			return false, delay, false
		}
		off := math.Abs(*f.value - mid)
		limit := n.Off
		f.limit, f.count = &mid, count
		if tr.On && n.Clear > 0 {
			limit = n.Clear
		}
		return off >= limit, n.Delay, true
	case c.Expr != nil:
		holds, f.value, ok = e.expression(c.Expr, w, tr, o, f.at)
		return holds, c.Expr.Delay, ok
	}
	return false, delay, false
}

// in reports whether an observation is in one of the zones, and notes which.
func (f *finding) in(set *ZoneSet, o *devices.Observation) bool {
	i := slices.IndexFunc(o.Zones, set.has)
	if i < 0 {
		return false
	}
	f.zone = &o.Zones[i]
	return true
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
		e.move(k, event, time.UnixMilli(f.at).UTC(), engineActor, f.why, func(a *Alarm) {
			if f.fill != nil {
				f.fill(a)
				return
			}
			e.describe(a, r, w, f)
		})
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

// describe fills in an alarm of one device that is raised.
func (e *engine) describe(a *Alarm, r *Rule, w *watched, f finding) {
	e.begin(a, r, w.id, f)
	a.Device, a.Simulated, a.Because = w.device.ID, r.Simulated || w.device.Simulated, f.because
	place := w.device.At
	var zones []devices.ZoneRef
	switch {
	case f.obs != nil:
		place, zones = f.obs.At, f.obs.Zones
	case e.place != nil && place.Known():
		zones = e.place(place, a.Raised) // a silent device tells none itself
	}
	e.located(a, zones, f.zone)
	if place.Known() {
		a.At = &[2]float64{place.Lon, place.Lat}
	}
	name := w.device.Name
	if name == "" {
		name = string(w.device.ID)
	}
	if s := r.When.Silence; s != nil {
		limit := s.after(w.profile).Seconds()
		a.Threshold, a.Unit = &limit, "s"
		shown := *a
		a.Message = fill(r.Message, &shown, name, 0, 0)
		return
	}
	e.measured(a, r, name, f)
}

// begin is what every alarm has. The life of an alarm whose condition came back
// before anyone had seen it go goes on.
func (e *engine) begin(a *Alarm, r *Rule, entity devices.ID, f finding) {
	id, changes, state, life := a.ID, a.Changes, a.State, a.Life
	if id == "" {
		id = alarmID(key{r.ID, entity}, f.at)
	}
	*a = Alarm{
		ID: id, Rule: r.ID, RuleName: r.Name, Entity: string(entity), Zones: []Zone{},
		Priority: r.priority(f.at, e.calendar), State: state, Active: true, Raised: time.UnixMilli(f.at).UTC(),
		Response: r.Response, Owner: r.Owner, Simulated: r.Simulated, Changes: changes, Life: life,
	}
	a.Category = r.Category
}

// located gives an alarm its zones, the one that matters first.
func (e *engine) located(a *Alarm, zones []devices.ZoneRef, first *devices.ZoneRef) {
	for _, z := range zones {
		zone := Zone{Layer: z.Layer, Code: z.Code, Name: e.zoneName(z), ValidFrom: z.ValidFrom}
		if first != nil && *first == z {
			a.Zones = slices.Insert(a.Zones, 0, zone)
		} else {
			a.Zones = append(a.Zones, zone)
		}
	}
}

// measured gives an alarm its value and its message.
func (e *engine) measured(a *Alarm, r *Rule, name string, f finding) {
	digits, display := 0, ""
	quantity := r.When.quantity()
	switch c := &r.When; {
	case c.Speed != nil:
		quantity = "speed"
	case c.Expr != nil:
		quantity = c.Expr.quantities[0]
	}
	if quantity != "" && f.value != nil {
		q, _ := e.register.Catalogue().Quantity(quantity)
		value := *f.value
		a.Quantity, a.Value, a.Unit = quantity, &value, q.Unit
		digits, display = q.Digits, q.Display
		if f.limit != nil {
			limit := *f.limit
			a.Threshold = &limit
		}
	}
	switch c := &r.When; {
	case c.Threshold != nil && c.Threshold.Rate > 0, c.Change != nil:
		a.Unit, display = a.Unit+"/h", display+"/h"
	case c.Aggregate != nil && c.Aggregate.Of == "count":
		a.Unit, display, digits = "", "", 0
	}
	shown := *a
	shown.Unit = display
	a.Message = fill(r.Message, &shown, name, digits, f.count)
}

// move makes a transition of the alarm k, if the event means something in its
// state.
func (e *engine) move(k key, event Event, at time.Time, who Actor, why string, change func(*Alarm)) {
	if t := e.draft(k, event, at, who, why, change); t != nil {
		e.put(k, t.Alarm, at.UnixMilli())
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
	if e.dress != nil {
		event = e.dress(event, from, &next, at)
	}
	to, ok := from.Move(event, next.Active)
	if !ok {
		return nil
	}
	next.State = to
	if to.Shown() && (event == Raise || !from.Shown()) {
		next.ShownSince = nil
		if !at.Equal(next.Raised) {
			since := at.UTC()
			next.ShownSince = &since
		}
	}
	next.enter(to)
	next.Group = e.group(&next)
	next.Changes++
	return &Transition{Event: event, From: from, To: to, At: at, Who: who, Why: why, Alarm: next}
}

// put makes a the alarm of k, since a time; a normal one is no longer open.
func (e *engine) put(k key, a Alarm, at int64) {
	w := e.entry(k.device)
	if old := e.alarms[k]; old != nil {
		delete(e.byID, old.ID)
	}
	for _, id := range e.index.parts[k.rule] {
		e.touch(id, at)
	}
	if a.State == Normal {
		delete(e.alarms, k)
		delete(w.alarms, k.rule)
		if delete(e.byRule[k.rule], k.device); len(e.byRule[k.rule]) == 0 {
			delete(e.byRule, k.rule)
		}
		return
	}
	e.alarms[k], w.alarms[k.rule], e.byID[a.ID] = &a, &a, k
	if e.byRule[k.rule] == nil {
		e.byRule[k.rule] = map[devices.ID]*Alarm{}
	}
	e.byRule[k.rule][k.device] = &a
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
	e.index = indexRules(e.rules)
	e.version++
	e.recheck(now)
	for k := range e.pending {
		if r := e.rules[k.rule]; r == nil || r.Disabled || r.When.Composite == nil && (old[k.rule] == nil || !r.sameCondition(old[k.rule])) {
			delete(e.pending, k)
		}
	}
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
