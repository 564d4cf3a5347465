package alert

import (
	"encoding/json"
	"math"
	"slices"

	"vonglau/devices"
)

// slotsPerWindow is how finely a window is kept: its edge is a thirtieth of its
// length, however many readings fall into it.
const slotsPerWindow = 30

// slot sums up the readings of one thirtieth of a window. Readings in any order
// give the same slots.
type slot struct {
	T             int64 // which one since 1970
	N             int
	Sum, Min, Max float64
}

// MarshalJSON writes a slot as [t, n, sum, min, max]: there are many of them.
func (s slot) MarshalJSON() ([]byte, error) {
	return json.Marshal([5]float64{float64(s.T), float64(s.N), s.Sum, s.Min, s.Max})
}

// UnmarshalJSON reads that form.
func (s *slot) UnmarshalJSON(b []byte) error {
	var a [5]float64
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	*s = slot{int64(a[0]), int(a[1]), a[2], a[3], a[4]}
	return nil
}

// slots are the readings of a window, oldest first.
type slots []slot

func slotOf(at, window int64) int64 {
	width := max(1, window/slotsPerWindow)
	return int64(math.Floor(float64(at) / float64(width)))
}

// add takes in a reading and lets go of what is older than the window.
func (s *slots) add(at, window int64, v float64) {
	t := slotOf(at, window)
	s.trim(at, window)
	i, found := slices.BinarySearchFunc(*s, t, func(x slot, t int64) int { return int(max(-1, min(1, x.T-t))) })
	if found {
		x := &(*s)[i]
		x.N, x.Sum, x.Min, x.Max = x.N+1, x.Sum+v, min(x.Min, v), max(x.Max, v)
		return
	}
	*s = slices.Insert(*s, i, slot{t, 1, v, v, v})
}

// trim forgets what is outside the window that ends at at.
func (s *slots) trim(at, window int64) {
	first := slotOf(at, window) - slotsPerWindow
	n := 0
	for n < len(*s) && (*s)[n].T <= first {
		n++
	}
	*s = slices.Delete(*s, 0, n)
}

// sum is the window as one slot; N is 0 when nothing is in it.
func (s slots) sum(at, window int64) (out slot) {
	first, last := slotOf(at, window)-slotsPerWindow, slotOf(at, window)
	for _, x := range s {
		if x.T <= first || x.T > last {
			continue
		}
		if out.N == 0 {
			out = x
			continue
		}
		out.N, out.Sum, out.Min, out.Max = out.N+x.N, out.Sum+x.Sum, min(out.Min, x.Min), max(out.Max, x.Max)
	}
	return out
}

// covers reports whether the slots reach back over that part of the window.
func (s slots) covers(at, window int64, part float64) bool {
	if part <= 0 {
		return len(s) > 0
	}
	return len(s) > 0 && float64(slotOf(at, window)-s[0].T) >= part*slotsPerWindow-1
}

// member is what one device told a rule over many.
type member struct {
	Last  int64      `json:"l"`
	Ahead int64      `json:"a,omitempty"`
	At    [2]float64 `json:"p"` // longitude, latitude
	Value float64    `json:"v"`
	Slots slots      `json:"w,omitempty"`
	Held  bool       `json:"h,omitempty"` // the condition of a count or a cluster
	Sim   bool       `json:"s,omitempty"` // the device is simulated
	Drill string     `json:"x,omitempty"` // or one of a drill
	// Within is the zone of a cluster's member in each layer, for the map.
	Zones []devices.ZoneRef `json:"z,omitempty"`
}

// maxMembers bounds what a rule over many remembers of one entity.
const maxMembers = 2000

func median(list []float64) float64 {
	slices.Sort(list)
	n := len(list)
	if n%2 == 1 {
		return list[n/2]
	}
	return (list[n/2-1] + list[n/2]) / 2
}

// metres is the distance of two places (longitude, latitude) on a sphere; good to
// half a percent, which is finer than any rule.
func metres(a, b [2]float64) float64 {
	const rad = math.Pi / 180
	dlat, dlon := (b[1]-a[1])*rad, (b[0]-a[0])*rad
	h := math.Pow(math.Sin(dlat/2), 2) + math.Cos(a[1]*rad)*math.Cos(b[1]*rad)*math.Pow(math.Sin(dlon/2), 2)
	return 2 * 6371008.8 * math.Asin(math.Min(1, math.Sqrt(h)))
}
