package firmwaresim

import (
	"math"
	"time"
)

// river turns the city's mean rain and the water from upstream into levels. The
// rain passes a cascade of three linear reservoirs (Nash), so the river answers
// it late and smoothly; a change at the upper end travels down as a wave.
type river struct {
	length   float64
	reaches  [3]float64 // mm/h running in each reservoir
	upstream []float64  // level at the upper end, one a minute, newest last
	last     int64      // the minute of the newest
}

const (
	levelSpacing = 250.0 // m between the levels of a Moment
	waveSpeed    = 7.0   // m/s
	lag          = 7 * time.Minute
	ordinary     = 1.5 // m above datum at the upper end
	fall         = 0.00002
	perRain      = 0.032 // m of level for each mm/h that runs off
	tideRange    = 0.25  // m; the gulf has one tide a day
)

func newRiver(length, surge float64) river {
	r := river{length: length}
	n := int(length/waveSpeed/60) + 2
	for range n {
		r.upstream = append(r.upstream, ordinary+surge)
	}
	return r
}

// flow takes in one step of rain and surge.
func (r *river) flow(t time.Time, rain, surge float64) {
	in := rain
	for i := range r.reaches {
		r.reaches[i] += (in - r.reaches[i]) * step.Seconds() / lag.Seconds()
		in = r.reaches[i]
	}
	level := ordinary + surge + perRain*r.reaches[len(r.reaches)-1]
	if minute := t.Unix() / 60; minute != r.last {
		copy(r.upstream, r.upstream[1:])
		r.last = minute
	}
	r.upstream[len(r.upstream)-1] = level
}

// levels gives the surface every levelSpacing metres down the river.
func (r *river) levels(t time.Time) []float64 {
	out := make([]float64, int(r.length/levelSpacing)+2)
	tide := tideRange * math.Sin(2*math.Pi*float64(t.Unix())/(24.84*3600))
	for i := range out {
		s := math.Min(float64(i)*levelSpacing, r.length)
		minutes := s / waveSpeed / 60
		k := clamp(float64(len(r.upstream)-1)-minutes, 0, float64(len(r.upstream)-1))
		j := int(k)
		level := r.upstream[j]
		if j+1 < len(r.upstream) {
			level += (r.upstream[j+1] - level) * (k - float64(j))
		}
		// The tide comes from the sea and is felt less the further up.
		share := 0.4
		if r.length > 0 {
			share += 0.6 * s / r.length
		}
		out[i] = level - fall*s + tide*share
	}
	return out
}
