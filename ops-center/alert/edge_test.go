package alert

import (
	"math"
	"os"
	"testing"
	"time"

	"vonglau/devices"
)

// TestEdges: at each edge of a class, just below and just beyond it, the register
// that ships names the class that the decision does.
func TestEdges(t *testing.T) {
	source, err := os.ReadFile("../../deploy/thresholds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	register, err := ParseThresholds(source, devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	class := func(set string, q devices.Quantity, v float64) (name string) {
		highest := math.Inf(-1)
		for _, l := range register.For(nil, nil, q, noon, time.UTC) {
			if l.Set != set || l.Value == nil || *l.Value < highest {
				continue
			}
			if level := l.level(0); level.beyond(false, v) {
				highest, name = *l.Value, l.Name["vi"]
				if !level.beyond(true, v) {
					t.Errorf("%s %s: %g raises and does not hold", set, q, v)
				}
			} else if l.Over && level.beyond(true, v) {
				t.Errorf("%s %s: %g is not in %s and keeps it", set, q, v, l.Name["vi"])
			}
		}
		return name
	}
	const least = 0.01
	for _, c := range []struct {
		set      string
		quantity devices.Quantity
		// edges have the name below, at and beyond them.
		edges map[float64][3]string
	}{
		{"rain-24h", "rain_total", map[float64][3]string{
			6: {"Mưa nhỏ", "Mưa", "Mưa"}, 16: {"Mưa", "Mưa vừa", "Mưa vừa"}, 51: {"Mưa vừa", "Mưa to", "Mưa to"}, 100: {"Mưa to", "Mưa to", "Mưa rất to"},
		}},
		{"rain-12h", "rain_total", map[float64][3]string{
			3: {"Mưa nhỏ", "Mưa", "Mưa"}, 8: {"Mưa", "Mưa vừa", "Mưa vừa"}, 26: {"Mưa vừa", "Mưa to", "Mưa to"}, 50: {"Mưa to", "Mưa to", "Mưa rất to"},
		}},
		{"vn-aqi", "pm25", aqiEdges(25, 50, 80, 150, 250)},
		{"vn-aqi", "pm10", aqiEdges(50, 150, 250, 350, 420)},
		{"vn-aqi", "o3", aqiEdges(160, 200, 300, 400, 800)},
		{"vn-aqi", "no2", aqiEdges(100, 200, 700, 1200, 2350)},
		{"vn-aqi", "so2", aqiEdges(125, 350, 550, 800, 1600)},
		{"vn-aqi", "co", aqiEdges(10_000, 30_000, 45_000, 60_000, 90_000)},
	} {
		for at, want := range c.edges {
			for i, v := range []float64{at - least, at, at + least} {
				if got := class(c.set, c.quantity, v); got != want[i] {
					t.Errorf("%s: %s %g is %q, want %q", c.set, c.quantity, v, got, want[i])
				}
			}
		}
	}
	// The greatest value that is allowed is allowed; a river is at its level.
	for _, l := range register.Limits {
		if l.Value == nil || l.Set != "qcvn-air" && l.Set != "qcvn-noise" && l.Set != "river-bd" {
			continue
		}
		level := l.level(0)
		if at := level.beyond(false, *l.Value); at != (l.Set == "river-bd") || !level.beyond(false, *l.Value+least) {
			t.Errorf("%s %s of %s: at the value itself %v", l.Set, l.Level, l.Quantity, at)
		}
	}
}

func aqiEdges(ends ...float64) map[float64][3]string {
	names := []string{"Tốt", "Trung bình", "Kém", "Xấu", "Rất xấu", "Nguy hại"}
	edges := map[float64][3]string{}
	for i, end := range ends {
		edges[end] = [3]string{names[i], names[i], names[i+1]}
	}
	return edges
}
