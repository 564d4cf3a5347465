package alert

import (
	"fmt"
	"testing"

	"vonglau/devices"
)

// BenchmarkCovered looks for what covers each of 5,000 alarms among 5,000 of the
// rule that inhibits theirs, as every tick does.
func BenchmarkCovered(b *testing.B) {
	e := &engine{rules: map[string]*Rule{"deep": {ID: "deep"}}, byRule: map[string]map[devices.ID]*Alarm{"deep": {}}}
	wet := make([]*Alarm, 5000)
	for i := range wet {
		id := devices.ID(fmt.Sprintf("road-%04d", i))
		e.byRule["deep"][id] = &Alarm{ID: "deep." + string(id), Rule: "deep", Entity: string(id), Device: id, State: Unacknowledged, Active: true}
		wet[i] = &Alarm{ID: "wet." + string(id), Rule: "wet", Entity: string(id), Device: id, State: Suppressed, Active: true}
	}
	for b.Loop() {
		for _, a := range wet {
			if e.inhibiting(inhibition{rule: "deep"}, a) == nil {
				b.Fatal("nothing covers", a.ID)
			}
		}
	}
}
