package alert

import (
	"slices"
	"time"
)

// A flood is more alarms than a person can take in. As ANSI/ISA-18.2 (16.5.3,
// after EEMUA 191) has it, one begins when more than ten alarms are annunciated
// in ten minutes per operator and ends when fewer than five are. Annunciated is
// an alarm that comes to be unacknowledged; those of a drill are not counted.
const (
	floodWindow = 10 * time.Minute
	floodBegins = 10 // more than these
	floodEnds   = 5  // fewer than these
)

// Flood is whether there is one now.
type Flood struct {
	On    bool       `json:"on"`
	Since *time.Time `json:"since,omitempty"` // when it began, or the last one ended
	// Alarms were annunciated in the last ten minutes, for Operators on shift.
	Alarms    int `json:"alarms"`
	Operators int `json:"operators"`
	// Total are annunciated since the flood began.
	Total int `json:"total,omitempty"`
}

// annunciates reports whether a transition calls an operator.
func (t *Transition) annunciates() bool {
	return t.To == Unacknowledged && t.From != Unacknowledged && t.Alarm.Exercise == ""
}

// floodMeter follows the rate of alarms. Times are milliseconds and do not fall.
type floodMeter struct {
	times []int64
	on    bool
	since int64
	total int
	ops   int
}

func (f *floodMeter) add(at int64) {
	f.times = append(f.times, at)
	if f.on {
		f.total++
	}
}

// advance judges the moment now and reports whether a flood began or ended.
func (f *floodMeter) advance(now int64, operators int) bool {
	i := 0
	for i < len(f.times) && f.times[i] <= now-floodWindow.Milliseconds() {
		i++
	}
	f.times = slices.Delete(f.times, 0, i)
	f.ops = max(operators, 1)
	n := len(f.times)
	switch {
	case !f.on && n > floodBegins*f.ops:
		f.on, f.since, f.total = true, now, n
	case f.on && n < floodEnds*f.ops:
		f.on, f.since, f.total = false, now, 0
	default:
		return false
	}
	return true
}

// watchFlood judges the rate now. The lock is held.
func (s *Alarms) watchFlood(now time.Time) {
	if !s.flood.advance(now.UnixMilli(), s.opt.Operators(now)) {
		return
	}
	if s.flood.on {
		s.opt.Log.Warn("an alarm flood began", "alarms", len(s.flood.times), "operators", s.flood.ops)
	} else {
		s.opt.Log.Info("the alarm flood is over")
	}
	f := s.floodNow()
	for _, tell := range s.floodWatchers {
		tell(f)
	}
}

func (s *Alarms) floodNow() Flood {
	f := Flood{On: s.flood.on, Alarms: len(s.flood.times), Operators: max(s.flood.ops, 1), Total: s.flood.total}
	if s.flood.since > 0 {
		t := time.UnixMilli(s.flood.since).UTC()
		f.Since = &t
	}
	return f
}

// Flood tells whether there is a flood now, as of the last Tick.
func (s *Alarms) Flood() Flood {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floodNow()
}

// OnFlood calls f when a flood begins and when it ends. f must not block.
func (s *Alarms) OnFlood(f func(Flood)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floodWatchers = append(s.floodWatchers, f)
}

// Span is from a time until before another.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// floods gives the floods in [from, to) given when alarms were annunciated, in
// order, from ten minutes before on, and when the number of operators may have
// changed. Between those times, and the times alarms leave the window, nothing
// changes, so that judging at each is exact.
func floods(annunciated, shifts []int64, from, to int64, operators func(int64) int) []Span {
	moments := slices.Clone(shifts)
	for _, t := range annunciated {
		moments = append(moments, t, t+floodWindow.Milliseconds())
	}
	slices.Sort(moments)
	var (
		out  []Span
		m    floodMeter
		next int
	)
	span := func(a, b int64) {
		if a, b = max(a, from), min(b, to); b > a {
			out = append(out, Span{time.UnixMilli(a).UTC(), time.UnixMilli(b).UTC()})
		}
	}
	for _, now := range slices.Compact(moments) {
		if now >= to {
			break
		}
		for next < len(annunciated) && annunciated[next] <= now {
			m.add(annunciated[next])
			next++
		}
		was := m.since
		if m.advance(now, operators(now)) && !m.on {
			span(was, now)
		}
	}
	if m.on {
		span(m.since, to)
	}
	return out
}
