package alert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// TestFlows reads the files that ship, each by itself and all as one: their ids
// do not meet, the levels they take from the register are there, and they are
// not all urgent.
func TestFlows(t *testing.T) {
	c := devices.DefaultCatalogue()
	source, err := os.ReadFile("../../deploy/thresholds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ParseThresholds(source, c)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../deploy/rules/*.yaml")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	all := "version: 1\nrules:\n"
	flows := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := ParseRules(raw, c)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for i := range rules {
			r := &rules[i]
			flows[r.Flow] = true
			if r.Disabled || r.Category == "" || r.Simulated {
				t.Errorf("%s: %s is disabled, simulated or of no category", file, r.ID)
			}
			if th := r.When.Threshold; th != nil && th.Ref != "" {
				if why := limits.unknown(th.Ref, th.Step, midnight, time.UTC); why != "" {
					t.Errorf("%s: %s", r.ID, why)
				}
			}
		}
		_, list, _ := strings.Cut(string(raw), "\nrules:\n")
		all += list + "\n"
	}
	rules, err := ParseRules([]byte(all), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != 4 || len(rules) < 20 {
		t.Errorf("%d rules of %v", len(rules), flows)
	}
	var counts [4]int
	for i := range rules {
		counts[rules[i].Priority-1]++
	}
	if m := MixOf(counts); counts[0] > counts[1] || counts[1] > counts[2]+counts[3] {
		t.Errorf("too much is urgent: %+v", m)
	}
}

// BenchmarkRules judges readings of a thousand devices by so many rules, each
// for a few devices or one ward as a city's are.
func BenchmarkRules(b *testing.B) {
	register, err := devices.OpenRegister(b.Context(), newMemStore(), devices.DefaultCatalogue())
	if err != nil {
		b.Fatal(err)
	}
	const fleet = 1000
	for i := range fleet {
		d := devices.Device{ID: devices.ID(fmt.Sprintf("n-%d", i)), Profile: "noise", Added: midnight, At: devices.Position{Lon: 106 + float64(i%40)/400, Lat: 20 + float64(i/40)/400}}
		if _, err := register.Add(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, 100, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var s strings.Builder
			for i := range n {
				switch {
				case i == 0:
					fmt.Fprintf(&s, "  - id: r-%d\n    when: {threshold: {quantity: noise, above: 90, clear: 85, for: 1m}}\n", i)
				case i%2 == 0:
					fmt.Fprintf(&s, "  - id: r-%d\n    scope: {zones: [{layer: wards, codes: [w-%d]}]}\n    when: {threshold: {quantity: noise, above: 90, for: 1m}}\n", i, i)
				default:
					fmt.Fprintf(&s, "  - id: r-%d\n    scope: {devices: [n-%d]}\n    when: {threshold: {quantity: noise, above: 90, for: 1m}}\n", i, i%fleet)
				}
			}
			rules, err := ParseRules(fullRules(s.String()), register.Catalogue())
			if err != nil {
				b.Fatal(err)
			}
			e := newEngine(register, func(z devices.ZoneRef) string { return z.Code }, nil)
			e.adopt(rules, midnight.UnixMilli())
			m := devices.Message{Observations: []devices.Observation{{
				At: devices.Position{Lon: 106, Lat: 20}, Values: []devices.Value{{Quantity: "noise"}},
			}}}
			at := midnight
			ids := make([]devices.ID, fleet)
			zones := make([][]devices.ZoneRef, fleet)
			for i := range fleet {
				ids[i] = devices.ID(fmt.Sprintf("n-%d", i))
				zones[i] = []devices.ZoneRef{{Layer: "wards", Code: fmt.Sprintf("w-%d", i*2)}}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%fleet == 0 {
					at = at.Add(10 * time.Second)
				}
				m.Device, m.Received = ids[i%fleet], at
				o := &m.Observations[0]
				o.Time, o.Zones, o.Values[0].Number = at, zones[i%fleet], 50+float64(i%37)
				e.message(&m)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}
