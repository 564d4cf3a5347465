package alert

import (
	"slices"
	"time"

	"vonglau/devices"
)

// track is what is remembered of one rule and one device. Times are
// milliseconds since 1970, 0 for none.
type track struct {
	// Last is the event time of the newest reading judged.
	Last int64 `json:"l"`
	// Ahead is the newest event time as sent by a clock that ran ahead: the same
	// reading sent again would otherwise be a new one, at its new arrival.
	Ahead int64 `json:"a,omitempty"`
	// On is the condition after hysteresis and delays.
	On bool `json:"o,omitempty"`
	// Since is when the reading began to say the opposite of On.
	Since int64 `json:"s,omitempty"`
	// Count is what a counter counted since it is watched, Raw its last value,
	// Samples the count at times that cover the window.
	Count   float64  `json:"c,omitempty"`
	Raw     *float64 `json:"r,omitempty"`
	Samples []sample `json:"w,omitempty"`

	// Min and Max are the span of a value since it was last seen to move, From
	// when that was.
	Min  float64 `json:"mi,omitempty"`
	Max  float64 `json:"ma,omitempty"`
	From int64   `json:"f,omitempty"`
	// At is where a moving device was at Last, for its speed.
	At *[2]float64 `json:"p,omitempty"`
	// Lasts and Windows are what an expression asks for.
	Lasts   map[devices.Quantity]sample `json:"v,omitempty"`
	Windows map[string]slots            `json:"e,omitempty"`
	// Members are the devices of a zone or a city, for a rule over many; Clusters
	// the clusters of a city, by entity, with the devices in them.
	Members  map[devices.ID]*member      `json:"m,omitempty"`
	Clusters map[devices.ID][]devices.ID `json:"k,omitempty"`

	// decided is the event time of the newest transition in the log. While
	// readings are judged again after a restart, nothing up to it is repeated.
	decided int64
}

type sample struct {
	At    int64   `json:"t"`
	Count float64 `json:"c"`
}

// idle reports whether nothing is lost when the track is forgotten but for Last,
// which the device's newest reading stands in for.
func (tr *track) idle() bool {
	return !tr.On && tr.Since == 0 && len(tr.Samples) == 0 && tr.From == 0 && tr.At == nil && len(tr.Lasts) == 0 && len(tr.Members) == 0
}

// step judges a reading at time at, later than Last, that says the condition
// holds or not. A change must last for on or off; a gap longer than most starts
// the wait again.
func (tr *track) step(at int64, holds bool, on, off, most time.Duration) {
	if tr.Last > 0 && most > 0 && at-tr.Last > most.Milliseconds() {
		tr.Since = 0
	}
	tr.Last = at
	if holds == tr.On {
		tr.Since = 0
		return
	}
	delay := on
	if tr.On {
		delay = off
	}
	if tr.Since == 0 {
		tr.Since = at
	}
	if at-tr.Since >= delay.Milliseconds() {
		tr.On, tr.Since = holds, 0
	}
}

// count takes in a counter's reading at time at and gives what was counted per
// hour over the window, if the readings cover it: the oldest one used must be a
// window old, give or take a tenth.
func (tr *track) count(at int64, value float64, window time.Duration, wraps float64) (rate float64, ok bool) {
	if tr.Raw != nil {
		step := value - *tr.Raw
		if step < 0 && wraps > 0 && step+wraps < wraps/2 {
			step += wraps
		}
		tr.Count += max(0, step)
	}
	tr.Raw = &value
	w := window.Milliseconds()
	// The newest sample that is a whole window old; the ones before it have
	// served.
	for len(tr.Samples) > 1 && at-tr.Samples[1].At >= w {
		tr.Samples = slices.Delete(tr.Samples, 0, 1)
	}
	// Sixty samples are enough for a window, however often a device reports.
	if n := len(tr.Samples); n == 0 || at-tr.Samples[n-1].At >= w/60 {
		tr.Samples = append(tr.Samples, sample{at, tr.Count})
	}
	first := tr.Samples[0]
	age := at - first.At
	if age*10 < w*9 || age*10 > w*11 {
		return 0, false
	}
	return (tr.Count - first.Count) * float64(time.Hour.Milliseconds()) / float64(age), true
}

// change takes in a value at time at and gives by how much it changed per hour
// over the window, if the readings cover it.
func (tr *track) change(at int64, value float64, window time.Duration) (rate float64, ok bool) {
	w := window.Milliseconds()
	for len(tr.Samples) > 1 && at-tr.Samples[1].At >= w {
		tr.Samples = slices.Delete(tr.Samples, 0, 1)
	}
	if n := len(tr.Samples); n == 0 || at-tr.Samples[n-1].At >= w/60 {
		tr.Samples = append(tr.Samples, sample{at, value})
	}
	first := tr.Samples[0]
	age := at - first.At
	if age*10 < w*9 || age*10 > w*11 {
		return 0, false
	}
	return (value - first.Count) * float64(time.Hour.Milliseconds()) / float64(age), true
}

// flat reports whether the value has not moved for long enough. A gap longer
// than most starts the wait again.
func (tr *track) flat(at int64, value float64, f *Flat, most time.Duration) bool {
	low, high := min(tr.Min, value), max(tr.Max, value)
	if tr.From == 0 || high-low > f.Within || at-tr.Last > most.Milliseconds() {
		tr.From, tr.Min, tr.Max = at, value, value
		return false
	}
	tr.Min, tr.Max = low, high
	return at-tr.From >= f.For.Milliseconds()
}

// speed is a moving device's in km/h: as it says, else from where it was.
func (tr *track) speed(o *devices.Observation, at int64) (v float64, ok bool) {
	here := [2]float64{o.At.Lon, o.At.Lat}
	before := tr.At
	tr.At = &here
	if i := slices.IndexFunc(o.Values, func(v devices.Value) bool { return v.Quantity == "speed" }); i >= 0 {
		return o.Values[i].Number, true
	}
	if before == nil || at-tr.Last > time.Minute.Milliseconds() {
		return 0, false
	}
	return metres(*before, here) / 1000 / (float64(at-tr.Last) / float64(time.Hour.Milliseconds())), true
}
