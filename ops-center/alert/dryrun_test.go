package alert

import (
	"context"
	"maps"
	"testing"
	"time"

	"vonglau/devices"
)

// TestTrialExplains: a trial tells what would have been shown and what another
// alarm explains. Of three wet gauges of one basin the first two ring before the
// basin does, the third is expected; the gauge of another basin rings; a third
// that is wet when the basin is dry again rings once its cover goes.
func TestTrialExplains(t *testing.T) {
	s := &story{t: t, store: newMemStore(), log: &memLog{}, now: midnight}
	var err error
	if s.register, err = devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue()); err != nil {
		t.Fatal(err)
	}
	s.open()
	for _, id := range []string{"a", "b", "c", "d"} {
		s.addDevice([]string{id, "flooded-road"})
	}
	rules := fullRules(`
  - id: wet
    when: {threshold: {quantity: water_depth, above: 0.1}}
    scope: {profiles: [flooded-road]}
  - id: basin
    when: {aggregate: {of: count, quantity: water_depth, layer: basins, window: 10m, where: {above: 0.1}, above: 2}}
    scope: {profiles: [flooded-road]}
    inhibits: {rules: [wet], layer: basins}
`)
	at := func(minute int) time.Time { return midnight.Add(time.Duration(minute) * time.Minute) }
	reading := func(id string, minute int, depth float64) *devices.Message {
		zone := "b-1"
		if id == "d" {
			zone = "b-2"
		}
		return &devices.Message{Device: devices.ID(id), Received: at(minute), Observations: []devices.Observation{{
			Time: at(minute), At: devices.Position{Lon: 106.17, Lat: 20.42}, Zones: []devices.ZoneRef{{Layer: "basins", Code: zone}},
			Values: []devices.Value{{Quantity: "water_depth", Number: depth}},
		}}}
	}
	told := []*devices.Message{
		reading("a", 1, 0.2), reading("b", 2, 0.2), // both ring, and with them the basin
		reading("c", 4, 0.2), reading("d", 4, 0.2), // c is expected, d is of another basin
		reading("c", 6, 0.0), reading("c", 8, 0.2), // and c again
		reading("a", 9, 0.0), reading("b", 10, 0.0), // the basin is over, c is not
		reading("c", 13, 0.0), reading("d", 13, 0.0),
	}
	try := func(only string) *TrialResult {
		t.Helper()
		out, err := s.alarms.Try(t.Context(), Trial{
			Source: rules, From: at(0), To: at(20), Only: only,
			Feed: func(_ context.Context, _ []*devices.Device, _ []devices.Quantity, _, _ time.Time, each func(*devices.Message) error) error {
				for _, m := range told {
					if err := each(m); err != nil {
						return err
					}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := try("")
	if out.Total != 6 || out.Shown != 5 || out.Explained != 1 {
		t.Errorf("%d alarms, %d shown, %d explained; want 6, 5 and 1", out.Total, out.Shown, out.Explained)
	}
	for _, r := range out.Rules {
		want := map[string]RuleTrial{"basin": {Count: 1, Shown: 1}, "wet": {Count: 5, Shown: 4, Explained: map[string]int{"basin": 1}}}[r.Rule]
		if r.Count != want.Count || r.Shown != want.Shown || !maps.Equal(r.Explained, want.Explained) {
			t.Errorf("%s: %d alarms, %d shown, explained %v; want %+v", r.Rule, r.Count, r.Shown, r.Explained, want)
		}
	}
	for i, a := range out.Alarms {
		if by := a.Explained; by != "" != (a.Entity == "c" && a.Raised.Equal(at(4))) || by != "" && by != "basin" {
			t.Errorf("alarm %d of %s at %s is explained by %q", i, a.Entity, a.Raised.Format(time.TimeOnly), by)
		}
	}
	if busy := try("wet"); busy.Total != 5 || busy.Shown != 4 || busy.Explained != 1 {
		t.Errorf("of one rule: %d alarms, %d shown, %d explained; want 5, 4 and 1", busy.Total, busy.Shown, busy.Explained)
	}
	if open := s.alarms.List(); len(open) > 0 {
		t.Errorf("a trial left alarms: %v", open)
	}
}
