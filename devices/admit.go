package devices

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Window is what the gate believes of times and places. Zero durations take
// their defaults.
type Window struct {
	// Past and Future bound a believable device time around the arrival; 30 days
	// and 5 minutes. Past is at most what the store keeps: a value under a time
	// beyond it would be gone at once.
	Past, Future time.Duration
	// Late is the age from which an observation is marked Late; 10 minutes.
	Late time.Duration
	// Area is the service area, everywhere when empty.
	Area Box
}

func (w Window) withDefaults() Window {
	if w.Past <= 0 {
		w.Past = 30 * 24 * time.Hour
	}
	if w.Future <= 0 {
		w.Future = 5 * time.Minute
	}
	if w.Late <= 0 {
		w.Late = 10 * time.Minute
	}
	return w
}

// Box is a rectangle in degrees, borders included.
type Box struct {
	West  float64 `json:"west" yaml:"west"`
	South float64 `json:"south" yaml:"south"`
	East  float64 `json:"east" yaml:"east"`
	North float64 `json:"north" yaml:"north"`
}

// Contains reports whether p lies in b; an empty b contains every place.
func (b Box) Contains(p Position) bool {
	return b == Box{} || p.Lon >= b.West && p.Lon <= b.East && p.Lat >= b.South && p.Lat <= b.North
}

// Admit judges what Decode read from device d of profile p, received at the
// server's time received. It gives the observations to keep and at most one
// refusal per reason, whose Detail names the first few values concerned.
// When no observation is left the message is refused as a whole, by the first
// refusal; else every refusal has Kept set.
//
//   - A time outside the window, in either direction, is replaced by the time of
//     arrival, kept in DeviceTime, and reported as clock_suspect. Several such
//     times in one message keep their distances to the newest of them, which is
//     the one that becomes the arrival: otherwise a message of a device whose
//     clock restarted in 1970 would fold into a single value.
//   - A value that is no number, has a unit of another dimension, is no quantity
//     of the profile or lies outside its range is refused; the values beside it
//     are kept and marked OutOfRange in the last case.
//   - A position out of range or outside the area is refused and the values are
//     kept: at the registered place of a fixed device, nowhere for a moving one.
//     0,0 is a receiver without a fix: no position, and nothing to report.
//     Coordinates that would fit the other way round are said to be swapped, and
//     are not corrected.
//   - An observation that claims another device (see ClaimedID) is refused.
//
// A moving device may send a position alone; from a fixed one that says nothing.
func (c *Catalogue) Admit(d *Device, p *Profile, raw []RawObservation, received time.Time, w Window) ([]Observation, []*Refusal) {
	w = w.withDefaults()
	received = received.UTC().Truncate(time.Millisecond)
	index := p.index
	if index == nil { // a profile that came from no catalogue
		index, _ = c.index(p)
	}
	clock := judgeClocks(raw, received, w)

	n := 0
	for i := range raw {
		n += len(raw[i].Fields)
	}
	out := make([]Observation, 0, len(raw))
	values := make([]Value, 0, n)
	var bad verdicts
	for i := range raw {
		r := &raw[i]
		if id, ok := ClaimedID(r.Name); ok && id != d.ID {
			bad.add(ReasonForeignDevice, "%.80q names another device", r.Name)
			continue
		}
		o := clock.observation(r, &bad)
		if d.Simulated {
			o.Flags |= Simulated
		}
		if d.Exercise != "" {
			o.Flags |= Exercise
		}
		if r.NoBver {
			o.Flags |= NoBver
		}
		placed := w.place(r, &o, &bad)
		if !placed || !o.At.Known() {
			o.At = d.At
			placed = false
		}
		from := len(values)
		for j := range r.Fields {
			values = judge(index, &r.Fields[j], values, from, &bad)
		}
		o.Values = values[from:len(values):len(values)]
		if len(o.Values) > 0 || placed && p.Moving {
			out = append(out, o)
		}
	}
	if bad.has(ReasonOutOfRange) {
		for i := range out {
			out[i].Flags |= OutOfRange
		}
	}
	if len(out) == 0 && len(bad.list) == 0 {
		bad.add(ReasonEmpty, "no values in the message")
	}
	return out, bad.refusals(len(out) > 0)
}

// clocks replaces the times of one message that cannot be believed.
type clocks struct {
	received time.Time
	w        Window
	newest   int64 // ms, of the times outside the window
}

func judgeClocks(raw []RawObservation, received time.Time, w Window) clocks {
	c := clocks{received: received, w: w, newest: math.MinInt64}
	for i := range raw {
		if raw[i].HasTime && !c.believable(raw[i].Time) {
			c.newest = max(c.newest, raw[i].Time.UnixMilli())
		}
	}
	return c
}

func (c *clocks) believable(t time.Time) bool {
	return !t.Before(c.received.Add(-c.w.Past)) && !t.After(c.received.Add(c.w.Future))
}

func (c *clocks) observation(r *RawObservation, bad *verdicts) Observation {
	o := Observation{Time: c.received}
	switch {
	case !r.HasTime:
		o.Flags = NoDeviceTime
		return o
	case c.believable(r.Time):
		o.Time = time.UnixMilli(r.Time.UnixMilli()).UTC()
	default:
		o.Flags = ClockSuspect
		o.DeviceTime = clampTime(r.Time.UTC()).Truncate(time.Millisecond)
		bad.add(ReasonClockSuspect, "device time %s at %s", o.DeviceTime.Format(time.RFC3339), c.received.Format(time.RFC3339))
		if behind := c.newest - r.Time.UnixMilli(); behind >= 0 && behind <= c.w.Past.Milliseconds() {
			o.Time = c.received.Add(-time.Duration(behind) * time.Millisecond)
		}
	}
	if r.Relative {
		o.Flags |= RelativeTime
	}
	if o.Time.Before(c.received.Add(-c.w.Late)) {
		o.Flags |= Late
	}
	return o
}

// place takes over the position r sent, if it is one, and reports whether.
func (w *Window) place(r *RawObservation, o *Observation, bad *verdicts) bool {
	if !r.HasAt || !r.At.Known() {
		return false
	}
	onEarth := func(p Position) bool { return math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180 }
	if onEarth(r.At) && w.Area.Contains(r.At) {
		o.At = r.At
		return true
	}
	why := "is outside the service area"
	if !onEarth(r.At) {
		why = "is not on earth"
	}
	if swapped := (Position{Lon: r.At.Lat, Lat: r.At.Lon}); onEarth(swapped) && w.Area.Contains(swapped) {
		bad.add(ReasonSwappedPosition, "lat %g, lon %g %s; lat and lon seem to be swapped", r.At.Lat, r.At.Lon, why)
	} else {
		bad.add(ReasonBadPosition, "lat %g, lon %g %s", r.At.Lat, r.At.Lon, why)
	}
	return false
}

// judge appends the value of f to values, of which those from on are the
// observation's, or says why not.
func judge(index map[string]*rule, f *RawField, values []Value, from int, bad *verdicts) []Value {
	rule := index[f.Name]
	if rule == nil {
		bad.add(ReasonUnknownQuantity, "%.64q is no quantity of this profile", f.Name)
		return values
	}
	switch {
	case f.Kind == RawNumber, f.Kind == RawBool && rule.kind == State:
	case f.Kind == RawText:
		bad.add(ReasonNotANumber, "%s: %.40q is not a finite number", rule.quantity, f.Text)
		return values
	default:
		bad.add(ReasonNotANumber, "%s: need a number", rule.quantity)
		return values
	}
	unit := f.Unit
	if unit == "" {
		unit = rule.bare
	}
	number, ok := Convert(f.Number, unit, rule.unit)
	if !ok {
		bad.add(ReasonBadUnit, "%s: unit %.20q, need %s", rule.quantity, unit, rule.unit)
		return values
	}
	switch {
	case number < rule.min:
		bad.add(ReasonOutOfRange, "%s: %g %s is below %g", rule.quantity, number, rule.unit, rule.min)
		return values
	case !(number <= rule.max): // a conversion may overflow
		bad.add(ReasonOutOfRange, "%s: %g %s is above %g", rule.quantity, number, rule.unit, rule.max)
		return values
	}
	v := Value{Quantity: rule.quantity, Number: number}
	if f.Unit != "" && f.Unit != rule.unit {
		v.Unit = strings.Clone(f.Unit) // not to hold the payload
	}
	for i := from; i < len(values); i++ { // an alias beside the name
		if values[i].Quantity == rule.quantity {
			values[i] = v
			return values
		}
	}
	return append(values, v)
}

// verdicts gathers what was refused in one message, one entry per reason.
type verdicts struct {
	list []*Refusal
	more []int // values of the same reason whose detail was left out
	said []int
}

const verdictDetails = 3

func (v *verdicts) has(reason Reason) bool {
	for _, r := range v.list {
		if r.Reason == reason {
			return true
		}
	}
	return false
}

func (v *verdicts) add(reason Reason, format string, args ...any) {
	for i, r := range v.list {
		if r.Reason != reason {
			continue
		}
		if v.said[i] == verdictDetails {
			v.more[i]++
			return
		}
		v.said[i]++
		r.Detail += "; " + fmt.Sprintf(format, args...)
		return
	}
	v.list = append(v.list, Refuse(reason, format, args...))
	v.more, v.said = append(v.more, 0), append(v.said, 1)
}

func (v *verdicts) refusals(kept bool) []*Refusal {
	for i, r := range v.list {
		r.Kept = kept
		if v.more[i] > 0 {
			r.Detail += fmt.Sprintf("; and %d more", v.more[i])
		}
	}
	return v.list
}
