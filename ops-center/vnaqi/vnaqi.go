// Package vnaqi computes the Vietnamese air quality index, VN_AQI, as Decision
// 1459/QĐ-TCMT of 12 November 2019 defines it: from hourly means to an hourly and
// a daily index, its band and the band's colour. Concentrations are in µg/m³, CO
// too.
//
// # Deviation
//
// The decision writes Nowcast for w = ½ as Σ ½^i·ci, which is a mean only when
// all twelve hours are there: with the newest hour missing it halves the result,
// and shows the wrong colour. Here the sum is divided by its weights in that case
// as in the other, so a missing hour has no weight. With twelve hours the two are
// the same to within 0.03 %. An answer that shows an index says so (Method).
//
// The index of a low-cost sensor is for reference ("tham khảo"), not the index
// of a station.
package vnaqi

import "math"

// Method is what is to be told with an index, by language tag.
var Method = map[string]string{
	"vi": "VN_AQI theo Quyết định 1459/QĐ-TCMT; Nowcast chia cho tổng trọng số khi thiếu giờ",
	"en": "VN_AQI by Decision 1459/QĐ-TCMT; Nowcast divided by the sum of its weights when hours are missing",
}

// Pollutant is a column of the decision's table.
type Pollutant string

// The pollutants. O3 has a column for the hour and one for eight.
const (
	PM25 Pollutant = "pm25"
	PM10 Pollutant = "pm10"
	SO2  Pollutant = "so2"
	NO2  Pollutant = "no2"
	CO   Pollutant = "co"
	O3   Pollutant = "o3_1h"
	O3x8 Pollutant = "o3_8h"
)

// index is the first column; breaks the others. O3 over eight hours has no index
// beyond 300.
var (
	index  = []float64{0, 50, 100, 150, 200, 300, 400, 500}
	breaks = map[Pollutant][]float64{
		O3:   {0, 160, 200, 300, 400, 800, 1000, 1200},
		O3x8: {0, 100, 120, 170, 210, 400},
		CO:   {0, 10_000, 30_000, 45_000, 60_000, 90_000, 120_000, 150_000},
		SO2:  {0, 125, 350, 550, 800, 1600, 2100, 2630},
		NO2:  {0, 100, 200, 700, 1200, 2350, 3100, 3850},
		PM10: {0, 50, 150, 250, 350, 420, 500, 600},
		PM25: {0, 25, 50, 80, 150, 250, 350, 500},
	}
)

// Sub gives the index of one pollutant, unrounded. ok is false for a pollutant
// that is none, a concentration that is none, and O3 over eight hours beyond its
// column.
func Sub(p Pollutant, c float64) (i float64, ok bool) {
	bp := breaks[p]
	if bp == nil || !(c >= 0) || math.IsInf(c, 0) {
		return 0, false
	}
	for n := 1; n < len(bp); n++ {
		if c <= bp[n] {
			return (index[n]-index[n-1])/(bp[n]-bp[n-1])*(c-bp[n-1]) + index[n-1], true
		}
	}
	if p == O3x8 {
		return 0, false
	}
	return 500, true
}

// Nowcast weighs the hourly means of up to twelve hours, the newest first; NaN is
// an hour without one. ok is false when fewer than two of the newest three are
// there.
func Nowcast(c []float64) (v float64, ok bool) {
	c = c[:min(len(c), 12)]
	newest := 0
	low, high := math.Inf(1), math.Inf(-1)
	for i, x := range c {
		if !(x >= 0) || math.IsInf(x, 0) {
			continue
		}
		if i < 3 {
			newest++
		}
		low, high = min(low, x), max(high, x)
	}
	if newest < 2 {
		return 0, false
	}
	if high == 0 {
		return 0, true
	}
	w := max(low/high, 0.5)
	sum, weights, weight := 0.0, 0.0, 1.0
	for _, x := range c {
		if x >= 0 && !math.IsInf(x, 0) {
			sum, weights = sum+weight*x, weights+weight
		}
		weight *= w
	}
	return sum / weights, true
}

// Band is a class of the index.
type Band struct {
	Key  string            `json:"key"` // aqi1 (best) to aqi6
	From int               `json:"from"`
	To   int               `json:"to"`
	Name map[string]string `json:"name"`
	RGB  [3]int            `json:"rgb"`
}

// Bands are the decision's, best first.
var Bands = []Band{
	{"aqi1", 0, 50, map[string]string{"vi": "Tốt", "en": "Good"}, [3]int{0, 228, 0}},
	{"aqi2", 51, 100, map[string]string{"vi": "Trung bình", "en": "Moderate"}, [3]int{255, 255, 0}},
	{"aqi3", 101, 150, map[string]string{"vi": "Kém", "en": "Poor"}, [3]int{255, 126, 0}},
	{"aqi4", 151, 200, map[string]string{"vi": "Xấu", "en": "Bad"}, [3]int{255, 0, 0}},
	{"aqi5", 201, 300, map[string]string{"vi": "Rất xấu", "en": "Very bad"}, [3]int{143, 63, 151}},
	{"aqi6", 301, 500, map[string]string{"vi": "Nguy hại", "en": "Hazardous"}, [3]int{126, 0, 35}},
}

// BandOf gives the band of a rounded index.
func BandOf(index int) Band {
	for _, b := range Bands {
		if index <= b.To {
			return b
		}
	}
	return Bands[len(Bands)-1]
}

// Index is an air quality index with what it is made of.
type Index struct {
	Value int `json:"value"`
	// Main is the pollutant that makes it, Parts the index of each that has one.
	Main  Pollutant         `json:"main"`
	Parts map[Pollutant]int `json:"parts"`
	Band  Band              `json:"band"`
}

// round is to the nearest, half up.
func round(x float64) int { return int(math.Floor(x + 0.5)) }

var order = []Pollutant{PM25, PM10, O3, O3x8, NO2, SO2, CO}

// combine is the worst of the parts. There is no index without fine or coarse
// dust.
func combine(parts map[Pollutant]float64) (out Index, ok bool) {
	_, fine := parts[PM25]
	_, coarse := parts[PM10]
	if !fine && !coarse {
		return out, false
	}
	out.Parts = map[Pollutant]int{}
	out.Value = -1
	for _, p := range order {
		i, there := parts[p]
		if !there {
			continue
		}
		out.Parts[p] = round(i)
		if out.Parts[p] > out.Value {
			out.Value, out.Main = out.Parts[p], p
		}
	}
	out.Band = BandOf(out.Value)
	return out, true
}

// Hours are hourly means, the oldest first; NaN is an hour without one. Keys are
// PM25, PM10, SO2, NO2, CO and O3.
type Hours map[Pollutant][]float64

// Hourly gives the index of the last hour.
func Hourly(h Hours) (Index, bool) {
	parts := map[Pollutant]float64{}
	for p, list := range h {
		if len(list) == 0 {
			continue
		}
		v := list[len(list)-1]
		if p == PM25 || p == PM10 {
			newest := make([]float64, 0, 12)
			for i := len(list) - 1; i >= 0 && len(newest) < 12; i-- {
				newest = append(newest, list[i])
			}
			var ok bool
			if v, ok = Nowcast(newest); !ok {
				continue
			}
		}
		if i, ok := Sub(p, v); ok {
			parts[p] = i
		}
	}
	return combine(parts)
}

// dailyHours is how many of a day's 24 hours a mean needs, eightHours how many of
// eight: three quarters, as is usual for means of hours.
const (
	dailyHours = 18
	eightHours = 6
)

// Daily gives the index of a day of 24 hours.
func Daily(h Hours) (Index, bool) {
	parts := map[Pollutant]float64{}
	put := func(p Pollutant, v float64, ok bool) {
		if !ok {
			return
		}
		if i, ok := Sub(p, v); ok {
			parts[p] = i
		}
	}
	for p, list := range h {
		list = list[max(0, len(list)-24):]
		switch p {
		case PM25, PM10:
			v, n := mean(list)
			put(p, v, n >= dailyHours)
		case O3:
			v, ok := highest(list)
			put(O3, v, ok)
			best := math.Inf(-1)
			for i := 8; i <= len(list); i++ {
				if v, n := mean(list[i-8 : i]); n >= eightHours {
					best = max(best, v)
				}
			}
			put(O3x8, best, !math.IsInf(best, -1))
		default:
			v, ok := highest(list)
			put(p, v, ok)
		}
	}
	return combine(parts)
}

func mean(list []float64) (v float64, n int) {
	for _, x := range list {
		if !math.IsNaN(x) {
			v, n = v+x, n+1
		}
	}
	return v / float64(max(n, 1)), n
}

func highest(list []float64) (v float64, ok bool) {
	v = math.Inf(-1)
	for _, x := range list {
		if !math.IsNaN(x) {
			v, ok = max(v, x), true
		}
	}
	return v, ok
}
