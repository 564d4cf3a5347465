package alert

import (
	"cmp"
	"slices"

	"vonglau/devices"
)

// What many devices say together is judged when the moment is over, not while it
// is being told: ten gauges that report on the whole minute arrive one after the
// other, and half of them are no mean. So a reading that a rule over many, a
// comparison with neighbours or a composite is about only notes that there is a
// moment to judge. The moment is judged once, with all that was told of it, at
// the newest time in it, when it is over:
//
//	a reading of any device has come that is two whole seconds newer, or
//	momentWait passed since the last reading of it arrived, at most momentMost
//	since the first (Settle, for places where little is reported).
//
// A moment that was behind the newest reading when it began (an hour that a
// device had kept, told at once) is over when the same place tells a newer one.
//
// The first two depend on the journal alone, so that the order in which the
// readings of one moment arrive changes nothing, and neither does a restart.
const (
	momentWait = 3_000
	momentMost = 10_000
)

// moment waits to be judged, for a rule and an entity.
type moment struct {
	First int64 `json:"f"` // the oldest event time in it
	At    int64 `json:"t"` // the newest
	// Came and Last are when the first and the last reading of it arrived.
	Came   int64 `json:"c"`
	Last   int64 `json:"l"`
	Behind bool  `json:"b,omitempty"` // older than the newest reading when it began

	Zone *devices.ZoneRef     `json:"z,omitempty"` // of an aggregate
	Obs  *devices.Observation `json:"o,omitempty"` // of a comparison with neighbours
	// Changed tells that a device of a cluster says something else than before.
	Changed bool `json:"d,omitempty"`
}

// over is the event time from which on a moment that began at first is over.
func over(first int64) int64 { return (first/1000 + 2) * 1000 }

// pend notes that a rule has something to judge of an entity at a time.
func (e *engine) pend(k key, at int64) *moment {
	m := e.pending[k]
	if m == nil {
		m = &moment{First: at, At: at, Came: e.clock, Behind: over(at) <= e.frontier}
		e.pending[k] = m
	}
	m.At, m.Last = max(m.At, at), e.clock
	if m.Behind || over(at) > e.frontier { // else it came late, and what it joined goes on
		m.First = min(m.First, at)
	}
	return m
}

// ripe judges the moment of an entity that is behind, if it is over for a reading
// at a time.
func (e *engine) ripe(k key, at int64) {
	if m := e.pending[k]; m != nil && m.Behind && over(m.First) <= at {
		e.judge(k, m)
	}
}

// touch notes that an alarm a composite depends on changed at a time.
func (e *engine) touch(rule string, at int64) {
	e.pend(key{rule: rule}, at).Behind = false
}

// reach is told of the time of every reading before it is judged.
func (e *engine) reach(at int64) {
	if at <= e.frontier {
		return
	}
	turned := at/1000 != e.frontier/1000
	e.frontier = at
	if turned {
		e.settleMoments(func(m *moment) bool { return !m.Behind && over(m.First) <= at })
	}
}

// settleWaiting judges what has waited long enough. start is when the engine
// began to listen: what arrived before may not have been all.
func (e *engine) settleWaiting(now, start int64) {
	e.settleMoments(func(m *moment) bool {
		return now-max(m.Last, start) >= momentWait || now-max(m.Came, start) >= momentMost
	})
}

// settleMoments judges the moments that are done: in the order of time, and
// composites after what they are made of.
func (e *engine) settleMoments(done func(*moment) bool) {
	for _, composites := range []bool{false, true} {
		var due []key
		for k, m := range e.pending {
			if (k.device == "") == composites && done(m) {
				due = append(due, k)
			}
		}
		slices.SortFunc(due, func(a, b key) int {
			return cmp.Or(cmp.Compare(e.pending[a].At, e.pending[b].At), compareKeys(a, b))
		})
		for _, k := range due {
			e.judge(k, e.pending[k])
		}
	}
}

// judge judges a moment; it is over with that.
func (e *engine) judge(k key, m *moment) {
	delete(e.pending, k)
	r := e.rules[k.rule]
	if r == nil || r.Disabled {
		return
	}
	switch c := &r.When; {
	case c.Composite != nil:
		e.composite(r, m.At)
	case c.Aggregate != nil && m.Zone != nil:
		e.judgeZone(r, k.device, m)
	case c.Cluster != nil:
		e.judgeClusters(r, k.device, m)
	case c.Neighbours != nil && m.Obs != nil:
		e.judgeAmong(r, k.device, m)
	}
}

// judgeAmong compares a device with its neighbours.
func (e *engine) judgeAmong(r *Rule, id devices.ID, m *moment) {
	w := e.watch(id)
	if w == nil || w.device.State != devices.Active {
		return
	}
	i := slices.IndexFunc(m.Obs.Values, func(v devices.Value) bool { return v.Quantity == r.When.Neighbours.Quantity })
	if i < 0 {
		return
	}
	e.changed(id)
	e.single(r, w, w.track(r), m.Obs, finding{at: m.At, obs: m.Obs, value: &m.Obs.Values[i].Number})
}

// recheck has every composite compared with the alarms, after a start and after
// other rules.
func (e *engine) recheck(at int64) {
	for id, r := range e.rules {
		if r.When.Composite != nil && !r.Disabled {
			e.touch(id, at)
		}
	}
}
