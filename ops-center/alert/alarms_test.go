package alert

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"vonglau/devices"
)

func counterValue(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// Every state answers every event, or refuses it, as ISA-18.2 has it.
func TestStateMoves(t *testing.T) {
	states := []State{Normal, Unacknowledged, Acknowledged, Returned, Shelved, Suppressed, OutOfService}
	events := []Event{Raise, Clear, Ack, Shelve, Unshelve, Suppress, Unsuppress, Remove, Restore}
	// One row a state, one column an event: n u a r s p o, '-' for refused, and
	// "u/n" for what depends on whether the condition holds.
	table := `
		u - - s - p - o -
		- r a s - p - o -
		- n - s - p - o -
		u - n s - p - o -
		s s - - u/n p - o -
		p p - s - p u/n o -
		o o - - - - - - u/n`
	short := map[string]State{"n": Normal, "u": Unacknowledged, "a": Acknowledged, "r": Returned, "s": Shelved, "p": Suppressed, "o": OutOfService}
	rows := strings.Split(strings.TrimSpace(table), "\n")
	for i, from := range states {
		cells := strings.Fields(rows[i])
		for j, event := range events {
			alarmed, calm, split := strings.Cut(cells[j], "/")
			if !split {
				calm = alarmed
			}
			for active, want := range map[bool]string{true: alarmed, false: calm} {
				got, ok := from.Move(event, active)
				if want == "-" {
					if ok || got != from {
						t.Errorf("%s + %s gives %s, want a refusal", from, event, got)
					}
					continue
				}
				if !ok || got != short[want] {
					t.Errorf("%s + %s (active %v) gives %s %v, want %s", from, event, active, got, ok, short[want])
				}
			}
		}
	}
}

func TestParseRules(t *testing.T) {
	const texts = "name: {vi: a, en: a}, message: {vi: a, en: a}, "
	const whole = "priority: 1, owner: o, head: h, response: {vi: a, en: a}, procedure: {vi: [a], en: [a]}, " + texts
	const when = "when: {threshold: {quantity: noise, above: 80}}"
	for _, c := range []struct{ name, in, want string }{
		{"good", "version: 1\nrules: [{id: a, " + whole + when + "}]", ""},
		{"none", "version: 1\n", ""},
		{"disabled without owner", "version: 1\nrules: [{id: a, disabled: true, priority: 1, " + texts + when + "}]", ""},
		{"no version", "rules: []", "version"},
		{"unknown key", "version: 1\nrules:\n- {id: a, colour: red}", "line 3: field colour"},
		{"unknown key deep down", "version: 1\nrules:\n- {id: a, " + whole + "when: {threshold: {quantity: noise, over: 80}}}", "line 3: field over"},
		{"no id", "version: 1\nrules: [{" + whole + when + "}]", "line 2"},
		{"twice", "version: 1\nrules:\n- {id: a, " + whole + when + "}\n- {id: a, " + whole + when + "}", "line 4"},
		{"priority", "version: 1\nrules: [{id: a, priority: 5, " + when + "}]", "priority 5"},
		{"no owner", "version: 1\nrules: [{id: a, priority: 1, head: h, response: {vi: a, en: a}, " + texts + when + "}]", "owner is missing"},
		{"no head", "version: 1\nrules: [{id: a, priority: 1, owner: o, response: {vi: a, en: a}, " + texts + when + "}]", "head is missing"},
		{"no response", "version: 1\nrules: [{id: a, priority: 1, owner: o, head: h, " + texts + when + "}]", "response is missing"},
		{"one language", "version: 1\nrules: [{id: a, disabled: true, priority: 1, name: {vi: a}, message: {vi: a, en: a}, " + when + "}]", "name.en"},
		{"third language", "version: 1\nrules: [{id: a, disabled: true, priority: 1, name: {vi: a, en: a, fr: a}, message: {vi: a, en: a}, " + when + "}]", `"fr"`},
		{"bad placeholder", "version: 1\nrules: [{id: a, disabled: true, priority: 1, name: {vi: a, en: a}, message: {vi: a, en: 'x {valu} y'}, " + when + "}]", "{valu"},
		{"no condition", "version: 1\nrules: [{id: a, " + whole + "}]", "exactly one"},
		{"two conditions", "version: 1\nrules: [{id: a, " + whole + "when: {silence: {after: 1m}, enter: {layer: x}}}]", "exactly one"},
		{"unknown quantity", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: x, above: 1}}}]", `"x"`},
		{"above and below", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: noise, above: 1, below: 1}}}]", "one of above and below"},
		{"never well", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: noise, above: 1, clear: 2}}}]", "never be well"},
		{"rate of a level", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: noise, above: 1, rate: 1h}}}]", "no counter"},
		{"level of a counter", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: rain_total, above: 1}}}]", "give rate"},
		{"negative delay", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: noise, above: 1, for: -1s}}}]", "not negative"},
		{"level that is no number", "version: 1\nrules: [{id: a, " + whole + "when: {threshold: {quantity: noise, above: .nan}}}]", "finite"},
		{"silence without a time", "version: 1\nrules: [{id: a, " + whole + "when: {silence: {}}}]", "one of after and intervals"},
		{"enter nowhere", "version: 1\nrules: [{id: a, " + whole + "when: {enter: {}}}]", "layer"},
		{"unknown profile", "version: 1\nrules: [{id: a, scope: {profiles: [toaster]}, " + whole + when + "}]", "toaster"},
		{"not YAML", "{", "rules:"},
	} {
		_, err := ParseRules([]byte(c.in), devices.DefaultCatalogue())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want something with %q", c.name, err, c.want)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte("version: 1\nrules: [{id: a, priority: 1, when: {threshold: {quantity: noise, above: .nan}}}]"))
	f.Add([]byte("version: 1\nrules: &a [*a]"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rules, err := ParseRules(in, devices.DefaultCatalogue())
		if err != nil && len(rules) > 0 {
			t.Fatal("rules beside an error")
		}
	})
}

// The rules of the demonstration city are in force on its devices.
func TestDemoRules(t *testing.T) {
	source, err := os.ReadFile("../../deploy/demo/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ParseRules(source, devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.Disabled && r.Basis == "" {
			t.Errorf("%s is disabled and does not say why", r.ID)
		}
		if !r.Disabled && !r.Simulated {
			t.Errorf("%s is not marked as made for simulated devices", r.ID)
		}
	}
}

// An alarm's JSON is a contract with the wall.
func TestAlarmJSON(t *testing.T) {
	s := newTestAlarms(t)
	if _, err := s.opt.Register.Add(t.Context(), devices.Device{ID: "road-1", Name: "Đường Trần Phú", Profile: "flooded-road", At: devices.Position{Lon: 106.17, Lat: 20.42}, Simulated: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []byte(`
version: 1
rules:
  - id: flood
    name: {vi: Ngập đường, en: Flooded road}
    priority: 2
    owner: Drainage
    head: Duty engineer
    message: {vi: "{name} ngập {value} {unit} tại {zone}", en: "{name} under {value} {unit} of water in {zone}, limit {threshold}"}
    response: {vi: Chặn đường, en: Close the road}
    procedure: {vi: [Chặn], en: [Close]}
    when: {threshold: {quantity: water_depth, above: 0.3}}
`)); err != nil {
		t.Fatal(err)
	}
	at := midnight.Add(90 * time.Minute)
	m := &devices.Message{Device: "road-1", Received: at, Observations: []devices.Observation{{
		Time: at, At: devices.Position{Lon: 106.17, Lat: 20.42},
		Zones:  []devices.ZoneRef{{Layer: "wards", Code: "w-1", ValidFrom: "2025-07-01"}},
		Values: []devices.Value{{Quantity: "water_depth", Number: 0.425}},
	}}}
	if err := s.Handle(t.Context(), []*devices.Message{m}, nil, 1); err != nil {
		t.Fatal(err)
	}
	list := s.List()
	if len(list) != 1 {
		t.Fatalf("got %d alarms, want 1", len(list))
	}
	got, err := json.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"flood.road-1.mr1eepc0","rule":"flood","ruleName":{"en":"Flooded road","vi":"Ngập đường"},"entity":"road-1","device":"road-1",` +
		`"at":[106.17,20.42],"zones":[{"layer":"wards","code":"w-1","name":"Phường Một","validFrom":"2025-07-01"}],"priority":2,"state":"unacknowledged","active":true,` +
		`"raised":"2026-07-01T01:30:00Z","quantity":"water_depth","value":0.425,"unit":"m","threshold":0.3,` +
		`"message":{"en":"Đường Trần Phú under 0.42 m of water in Phường Một, limit 0.30","vi":"Đường Trần Phú ngập 0,42 m tại Phường Một"},` +
		`"response":{"en":"Close the road","vi":"Chặn đường"},"owner":"Drainage","simulated":true,"group":"rule:flood@wards/w-1","changes":1}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p := s.Worst("road-1"); p != 2 {
		t.Errorf("worst priority %d, want 2", p)
	}
	if a, ok := s.Get(list[0].ID); !ok || a.ID != list[0].ID {
		t.Errorf("Get(%q) = %v %v", list[0].ID, a, ok)
	}
}

// Departments are told by zone, and a device that is silent tells no zone.
func TestSilenceHasThePlaceOfTheDevice(t *testing.T) {
	s := newTestAlarms(t)
	ward := devices.ZoneRef{Layer: "wards", Code: "W-1", ValidFrom: "2025-07-01"}
	s.engine.place = func(at devices.Position, _ time.Time) []devices.ZoneRef {
		if at != (devices.Position{Lon: 106.17, Lat: 20.42}) {
			t.Errorf("asked for %v", at)
		}
		return []devices.ZoneRef{ward}
	}
	if _, err := s.opt.Register.Add(t.Context(), devices.Device{ID: "a", Profile: "noise", State: devices.Active, Added: midnight, At: devices.Position{Lon: 106.17, Lat: 20.42}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), fullRules("  - id: mute\n    when: {silence: {after: 10s}}\n")); err != nil {
		t.Fatal(err)
	}
	if err := s.Handle(t.Context(), []*devices.Message{reading("a", 1, "noise", 50)}, nil, 1); err != nil {
		t.Fatal(err)
	}
	for _, second := range []int{20, 40} {
		if err := s.Tick(t.Context(), midnight.Add(time.Duration(second)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	list := s.List()
	if len(list) != 1 || len(list[0].Zones) != 1 || list[0].Zones[0].Code != ward.Code || list[0].Zones[0].Name != "Phường Một" || list[0].At == nil {
		t.Errorf("got %+v", list)
	}
}

func newTestAlarms(t testing.TB) *Alarms {
	t.Helper()
	register, err := devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{
		Register: register, Store: newMemStore(), Transitions: &memLog{}, Metrics: prometheus.NewRegistry(),
		ZoneName: func(devices.ZoneRef) string { return "Phường Một" },
		Now:      func() time.Time { return midnight },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A record that was changed afterwards, or taken out, shows.
func TestChainShowsTampering(t *testing.T) {
	for name, tamper := range map[string]func([][]byte) [][]byte{
		"changed":    func(r [][]byte) [][]byte { r[1] = []byte(strings.Replace(string(r[1]), "85", "81", 1)); return r },
		"taken out":  func(r [][]byte) [][]byte { return append(r[:1:1], r[2:]...) },
		"unreadable": func(r [][]byte) [][]byte { r[1] = r[1][:10]; return r },
	} {
		s := newTestAlarms(t)
		if _, err := s.opt.Register.Add(t.Context(), devices.Device{ID: "a", Profile: "noise"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), fullRules("  - id: loud\n    when: {threshold: {quantity: noise, above: 80}}\n")); err != nil {
			t.Fatal(err)
		}
		for i, v := range []float64{85, 50, 85, 50} {
			if err := s.Handle(t.Context(), []*devices.Message{reading("a", i, "noise", v)}, nil, uint64(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		log := s.opt.Transitions.(*memLog)
		if len(log.records) != 4 {
			t.Fatalf("got %d records, want 4", len(log.records))
		}
		log.records = tamper(log.records)
		again, err := Open(t.Context(), Options{Register: s.opt.Register, Store: newMemStore(), Transitions: log})
		if err != nil {
			t.Fatal(err)
		}
		if counterValue(t, again.metrics.breaks) == 0 {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

func reading(id devices.ID, second int, q devices.Quantity, v float64) *devices.Message {
	at := midnight.Add(time.Duration(second) * time.Second)
	return &devices.Message{Device: id, Received: at, Observations: []devices.Observation{{
		Time: at, At: devices.Position{Lon: 106.17, Lat: 20.42}, Values: []devices.Value{{Quantity: q, Number: v}},
	}}}
}

func BenchmarkHandle(b *testing.B) {
	s := newTestAlarms(b)
	if _, err := s.opt.Register.Add(b.Context(), devices.Device{ID: "a", Profile: "noise"}); err != nil {
		b.Fatal(err)
	}
	source, err := os.ReadFile("../../deploy/demo/rules.yaml")
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Apply(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if err := s.Handle(b.Context(), []*devices.Message{reading("a", i, "noise", 60)}, nil, uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
}
