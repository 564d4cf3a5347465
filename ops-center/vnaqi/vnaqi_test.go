package vnaqi

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"vonglau/devices"
)

// The vectors were computed by an implementation of its own, with the decision's
// worked example among them.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Nowcast []struct {
			Name       string     `json:"name"`
			C          []*float64 `json:"c_newest_first"`
			Normalised *float64   `json:"normalised"`
			Index      *float64   `json:"index_pm25"`
		} `json:"nowcast"`
		Sub []struct {
			P     string   `json:"p"`
			C     float64  `json:"c"`
			Index *float64 `json:"index"`
		} `json:"sub"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Nowcast) < 7 || len(file.Sub) < 40 {
		t.Fatalf("%d and %d vectors", len(file.Nowcast), len(file.Sub))
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9*math.Max(1, math.Abs(b)) }
	for _, v := range file.Nowcast {
		var c []float64
		for _, x := range v.C {
			if x == nil {
				c = append(c, math.NaN())
			} else {
				c = append(c, *x)
			}
		}
		got, ok := Nowcast(c)
		if ok != (v.Normalised != nil) || ok && !near(got, *v.Normalised) {
			t.Errorf("%s: %v %v", v.Name, got, ok)
			continue
		}
		if i, _ := Sub(PM25, got); ok && !near(i, *v.Index) {
			t.Errorf("%s: index %v, want %v", v.Name, i, *v.Index)
		}
	}
	for _, v := range file.Sub {
		got, ok := Sub(Pollutant(v.P), v.C)
		if ok != (v.Index != nil) || ok && !near(got, *v.Index) {
			t.Errorf("%s %g: %v %v, want %v", v.P, v.C, got, ok, v.Index)
		}
	}
}

// The examples printed in the decision, rounded half up.
func TestDecisionExamples(t *testing.T) {
	for _, tt := range []struct {
		p    Pollutant
		c    float64
		want int
	}{{O3, 136.1, 43}, {O3, 114.6, 36}, {O3x8, 89.3, 45}, {NO2, 130.8, 65}, {PM25, 55.7, 110}, {NO2, 118.7, 59}} {
		i, _ := Sub(tt.p, tt.c)
		if round(i) != tt.want {
			t.Errorf("%s %g: %g, want %d", tt.p, tt.c, i, tt.want)
		}
	}
	h, ok := Hourly(Hours{PM25: {26.9, 24.7, 20.5, 23.5, 19.5, 16.5, 19.0, 16.5, 20.3, 22.4, 19.6, 20.6}, NO2: {130.8}})
	if !ok || h.Value != 65 || h.Main != NO2 || h.Parts[PM25] != 41 || h.Band.Key != "aqi2" {
		t.Errorf("%+v", h)
	}
	if _, ok := Hourly(Hours{NO2: {130.8}}); ok {
		t.Error("an index without dust")
	}
	if _, ok := Sub(O3x8, 400.1); ok {
		t.Error("O3 over eight hours has no index beyond 400")
	}
}

func TestBands(t *testing.T) {
	next := 0
	for _, b := range Bands {
		if b.From != next || b.Name["vi"] == "" || b.Name["en"] == "" || BandOf(b.From).Key != b.Key || BandOf(b.To).Key != b.Key {
			t.Errorf("%+v", b)
		}
		next = b.To + 1
	}
	if next != 501 || BandOf(900).Key != "aqi6" {
		t.Error("the bands end at", next)
	}
}

func TestDaily(t *testing.T) {
	day := func(v float64, n int) []float64 {
		out := make([]float64, 24)
		for i := range out {
			if out[i] = v; i >= n {
				out[i] = math.NaN()
			}
		}
		return out
	}
	if d, ok := Daily(Hours{PM25: day(55.7, 24)}); !ok || d.Value != 110 {
		t.Errorf("%+v", d)
	}
	if _, ok := Daily(Hours{PM25: day(55.7, 17)}); ok {
		t.Error("a daily mean of 17 hours")
	}
	o3 := day(50, 24)
	for i := range 8 {
		o3[i] = 180 // over eight hours worse than over one
	}
	d, _ := Daily(Hours{PM25: day(5, 24), O3: o3})
	if d.Main != O3x8 || d.Parts[O3] != 75 || d.Parts[O3x8] != 163 {
		t.Errorf("%+v", d)
	}
}

func TestRain(t *testing.T) {
	for _, tt := range []struct {
		mm   float64
		half bool
		want string
	}{{0, false, ""}, {5.9, false, "light"}, {6, false, "rain"}, {15.5, false, "rain"}, {16, false, "moderate"}, {50.5, false, "moderate"}, {51, false, "heavy"}, {100, false, "heavy"}, {100.1, false, "very_heavy"}, {50, true, "heavy"}, {50.1, true, "very_heavy"}, {math.NaN(), false, ""}} {
		if got, _ := Rain(tt.mm, tt.half); got.Key != tt.want {
			t.Errorf("%g %v: %q, want %q", tt.mm, tt.half, got.Key, tt.want)
		}
	}
}

func TestRainSum(t *testing.T) {
	zero := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	at := func(minute int, mm float64) devices.Point {
		return devices.Point{Time: zero.Add(time.Duration(minute) * time.Minute), Number: mm}
	}
	for _, tt := range []struct {
		name   string
		points []devices.Point
		wraps  float64
		want   float64
	}{
		{"none", nil, 0, math.NaN()},
		{"whole", []devices.Point{at(0, 5), at(5, 6), at(10, 8), at(15, 8), at(20, 9), at(25, 9), at(30, 9), at(35, 9), at(40, 9), at(45, 9), at(50, 9), at(55, 9), at(60, 15)}, 0, 10},
		{"a gap", []devices.Point{at(0, 5), at(5, 6), at(40, 9), at(45, 9), at(50, 9), at(55, 9), at(60, 15)}, 0, math.NaN()},
		{"not to the end", []devices.Point{at(0, 5), at(6, 6), at(12, 6)}, 0, math.NaN()},
		{"begins late", []devices.Point{at(30, 5), at(36, 6), at(42, 6), at(48, 6), at(54, 6), at(60, 6)}, 0, math.NaN()},
		{"restart", []devices.Point{at(0, 5), at(6, 6), at(12, 1), at(18, 1), at(24, 1), at(30, 1), at(36, 1), at(42, 1), at(48, 1), at(54, 1), at(60, 1)}, 0, 2},
		{"wraps", []devices.Point{at(0, 98), at(6, 99), at(12, 1), at(18, 1), at(24, 1), at(30, 1), at(36, 1), at(42, 1), at(48, 1), at(54, 1), at(60, 1)}, 100, 3},
	} {
		got := RainSum(tt.points, zero.Add(time.Hour), time.Hour, tt.wraps)
		if got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}
