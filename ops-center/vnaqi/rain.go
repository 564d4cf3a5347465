package vnaqi

import (
	"math"
	"time"

	"vonglau/devices"
)

// RainClass is a class of what fell in 24 hours, as forecasters name it.
type RainClass struct {
	Key  string            `json:"key"`
	Name map[string]string `json:"name"`
}

// rainClasses are by their upper end over 24 and over 12 hours, in mm. The
// published bands leave gaps (15 to 16, 50 to 51): what lies between belongs to
// the lower.
var rainClasses = []struct {
	day, half float64
	class     RainClass
}{
	{6, 3, RainClass{"light", map[string]string{"vi": "Mưa nhỏ", "en": "Light rain"}}},
	{16, 8, RainClass{"rain", map[string]string{"vi": "Mưa", "en": "Rain"}}},
	{51, 26, RainClass{"moderate", map[string]string{"vi": "Mưa vừa", "en": "Moderate rain"}}},
	{100, 50, RainClass{"heavy", map[string]string{"vi": "Mưa to", "en": "Heavy rain"}}},
	{math.Inf(1), math.Inf(1), RainClass{"very_heavy", map[string]string{"vi": "Mưa rất to", "en": "Very heavy rain"}}},
}

// Rain names what fell in 24 hours, or in 12. ok is false for no rain at all.
func Rain(mm float64, half bool) (RainClass, bool) {
	if !(mm > 0) {
		return RainClass{}, false
	}
	for _, c := range rainClasses {
		end := c.day
		if half {
			end = c.half
		}
		// The class of heavy rain holds its end, the others stop short of it.
		if mm < end || mm == end && c.class.Key == "heavy" {
			return c.class, true
		}
	}
	return RainClass{}, false
}

// rainTolerance is how much of a window may lie between two readings of the
// counter, and before the first: a tenth. Beyond that nobody knows what fell.
const rainTolerance = 0.1

// RainSum is what a counter counted in the window that ends at end. Points are
// its readings, oldest first, from the one before the window on. It is NaN when
// they do not cover the window, never 0 for want of readings. wraps is the count
// at which it starts anew, 0 when it never does: a count that falls is then a
// restart, and counts what it shows.
func RainSum(points []devices.Point, end time.Time, window time.Duration, wraps float64) float64 {
	start := end.Add(-window)
	most := time.Duration(float64(window) * rainTolerance)
	sum := 0.0
	var last *devices.Point
	first := true
	for i := range points {
		p := &points[i]
		if p.Time.After(end) {
			break
		}
		if !p.Time.After(start) {
			last = p
			continue
		}
		if last == nil {
			if p.Time.Sub(start) > most {
				return math.NaN()
			}
			last, first = p, false
			continue
		}
		from := last.Time
		if first && from.Before(start) {
			from = start
		}
		first = false
		if p.Time.Sub(from) > most {
			return math.NaN()
		}
		step := p.Number - last.Number
		switch {
		case step >= 0:
		case wraps > 0 && step+wraps < wraps/2:
			step += wraps
		default:
			step = p.Number
		}
		sum += step
		last = p
	}
	if last == nil || end.Sub(last.Time) > most {
		return math.NaN()
	}
	return sum
}
