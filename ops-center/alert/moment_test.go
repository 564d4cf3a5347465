package alert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

const orderRules = `
  - id: wet
    when: {threshold: {quantity: water_depth, above: 0.1}}
    scope: {profiles: [flooded-road]}
  - id: basin
    when: {aggregate: {of: count, quantity: water_depth, layer: basins, window: 2m, where: {above: 0.1, clear: 0.07}, above: 3, clear: 2}}
    scope: {profiles: [flooded-road]}
  - id: deep
    when: {aggregate: {of: mean, quantity: water_depth, layer: basins, window: 2m, coverage: 0, above: 0.1, clear: 0.09}}
    scope: {profiles: [flooded-road]}
  - id: near
    when: {cluster: {quantity: water_depth, count: 3, within: 500, window: 2m, where: {above: 0.1, clear: 0.07}}}
    scope: {profiles: [flooded-road]}
  - id: odd
    when: {neighbours: {quantity: water_depth, metres: 2000, window: 5m, min: 3, off: 0.08}}
    scope: {profiles: [flooded-road]}
  - id: both
    when: {composite: {at_least: 5, of: [basin, deep, near, wet, odd], layer: basins}}
`

// saidBy lets eight gauges of two basins report twice a minute, the readings of
// each step in an order of its own, and gives what the rules said at which time.
// With crash the program ends without good-bye in the middle of a step and reads
// the journal again.
func saidBy(t *testing.T, seed uint64, crash bool) []string {
	t.Helper()
	s := &story{t: t, store: newMemStore(), log: &memLog{}, now: midnight}
	var err error
	if s.register, err = devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue()); err != nil {
		t.Fatal(err)
	}
	s.open()
	var ids []string
	for i := range 8 {
		ids = append(ids, fmt.Sprintf("g%d", i))
		s.addDevice([]string{ids[i], "flooded-road", fmt.Sprintf("place=106.1%d,20.42", 70+i)})
	}
	if err := s.alarms.Apply(t.Context(), fullRules(orderRules)); err != nil {
		t.Fatal(err)
	}
	values := rand.New(rand.NewPCG(7, 7)) // the same weather in every order
	order := rand.New(rand.NewPCG(seed, 1))
	for step := range 120 {
		s.now = midnight.Add(time.Duration(step) * 30 * time.Second)
		depth := map[string]float64{}
		for i := range len(ids) {
			depth[fmt.Sprintf("g%d", i)] = values.Float64() * 0.2
		}
		order.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for i, id := range ids {
			if crash && step%17 == 5 && i == len(ids)/2 {
				s.open()
				if err := s.handle(); err != nil {
					t.Fatal(err)
				}
			}
			s.reading([]string{id, fmt.Sprintf("water_depth=%.3f", depth[id]), "in", fmt.Sprintf("basins/b-%d", id[1]%2)})
		}
		if step%9 == 0 { // nothing newer comes for a while
			s.settle()
		}
	}
	s.settle()
	var out []string
	if err := s.alarms.Transitions(t.Context(), time.Time{}, midnight.Add(24*time.Hour), func(tr *Transition) error {
		value := ""
		if tr.Alarm.Value != nil {
			value = fmt.Sprintf("%.6f", *tr.Alarm.Value)
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %s", tr.At.Format(time.TimeOnly), tr.Event, tr.Alarm.Rule, tr.Alarm.Entity, value))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// The order in which the readings of one moment arrive changes no alarm, nor does
// an end of the program between them.
func TestOrderWithinAMoment(t *testing.T) {
	want := saidBy(t, 1, false)
	for _, rule := range []string{"basin", "deep", "near", "odd", "both"} {
		for _, event := range []string{"raise", "clear"} {
			if n := strings.Count(strings.Join(want, "\n"), " "+event+" "+rule+" "); n < 3 {
				t.Errorf("%d times %s of %s: the weather says nothing of it", n, event, rule)
			}
		}
	}
	for seed := range uint64(5) {
		for _, crash := range []bool{false, true} {
			got := saidBy(t, seed, crash)
			if slices.Equal(got, want) {
				continue
			}
			for _, line := range got {
				if !slices.Contains(want, line) {
					t.Errorf("order %d, crash %v: more: %s", seed, crash, line)
				}
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("order %d, crash %v: missing: %s", seed, crash, line)
				}
			}
			t.FailNow()
		}
	}
}
