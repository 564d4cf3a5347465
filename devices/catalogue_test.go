package devices

import (
	"strings"
	"testing"
	"time"
)

// The names are a contract with devices, rules, stores and walls.
func TestDefaultCatalogue(t *testing.T) {
	c := DefaultCatalogue()
	const quantities = `pm25:ug/m3 pm10:ug/m3 tsp:ug/m3 no2:ug/m3 so2:ug/m3 o3:ug/m3 co:ug/m3 temperature:Cel humidity:%RH pressure:hPa
		wind_speed:m/s wind_direction:deg water_level:m discharge:m3/s rain_total:mm rain_rate:mm/h water_depth:m vehicle_count:count
		vehicle_speed:km/h occupancy:/100 noise:dB illuminance:lx lamp:/ power:W voltage:V current:A load:/100 oil_temperature:Cel
		water_pressure:Pa flow:m3/s speed:km/h heading:deg battery:%EL rssi:dBm uplink_rtt:ms clients:count`
	want := strings.Fields(quantities)
	for _, w := range want {
		name, unit, _ := strings.Cut(w, ":")
		q, ok := c.Quantity(Quantity(name))
		if !ok || q.Unit != unit {
			t.Errorf("%s: got %+v, want unit %s", name, q, unit)
		}
		if q.Label["vi"] == "" || q.Label["en"] == "" {
			t.Errorf("%s: has no label in both languages", name)
		}
	}
	if got := len(c.Quantities()); got != len(want) {
		t.Errorf("got %d quantities, want %d", got, len(want))
	}
	profiles := strings.Fields("air-quality river-level rain-gauge flooded-road traffic-counter noise weather parking street-light water-pressure transformer bus gateway siren pump sign generic")
	for _, name := range profiles {
		p, ok := c.Profile(strings.ReplaceAll(name, "-", "_"))
		if !ok || p.Name != name || p.Label["vi"] == "" || p.Label["en"] == "" || p.Class == "" {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	if got := len(c.Profiles()); got != len(profiles) {
		t.Errorf("got %d profiles, want %d", got, len(profiles))
	}
}

func TestLoadCatalogueMerges(t *testing.T) {
	c, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
quantities:
  - {name: ph, kind: gauge, unit: pH, min: 0, max: 14, digits: 2, label: {vi: pH, en: pH}, display: pH}
  - {name: noise, kind: gauge, unit: dB, min: 0, max: 99, digits: 1, label: {vi: Ồn, en: Noise}, display: dB(A)}
profiles:
  - {name: canal, label: {vi: Kênh, en: Canal}, class: water, interval: 5m, main: ph, fields: [{quantity: ph}, {quantity: water_pressure, unit: kPa, max: 900000}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	canal, ok := c.Profile("canal")
	if !ok || canal.Interval != 5*time.Minute {
		t.Fatalf("got %+v", canal)
	}
	raw := []RawObservation{{Fields: []RawField{{Name: "water_pressure", Number: 250}}}}
	obs, _ := c.Admit(&Device{ID: "k"}, canal, raw, arrival, Window{})
	if len(obs) != 1 || obs[0].Values[0].Number != 250000 {
		t.Errorf("a bare number in the unit of the profile: got %v", obs)
	}
	// A narrower quantity acts through the profiles that were there before.
	raw = []RawObservation{{Fields: []RawField{{Name: "noise", Number: 120}}}}
	noise, _ := c.Profile("noise")
	if obs, bad := c.Admit(&Device{ID: "n"}, noise, raw, arrival, Window{}); len(obs) != 0 || len(bad) != 1 {
		t.Errorf("got %v %v, want a refusal", obs, bad)
	}
	noise, _ = DefaultCatalogue().Profile("noise")
	if obs, _ := DefaultCatalogue().Admit(&Device{ID: "n"}, noise, raw, arrival, Window{}); len(obs) != 1 {
		t.Error("loading changed the catalogue it started from")
	}
}

func TestLoadCatalogueRefuses(t *testing.T) {
	const q = "quantities: [{name: x, kind: gauge, unit: m, min: 0, max: 1}]\n"
	for _, c := range []struct{ name, in, want string }{
		{"unknown key", "quantities: [{name: x, colour: red}]", "colour"},
		{"unknown section", "sensors: []", "sensors"},
		{"bad name", "quantities: [{name: X, kind: gauge, unit: m, min: 0, max: 1}]", "lower-case"},
		{"reserved name", "quantities: [{name: lat, kind: gauge, unit: m, min: 0, max: 1}]", "another meaning"},
		{"bad kind", "quantities: [{name: x, kind: level, unit: m, min: 0, max: 1}]", "kind"},
		{"bad unit", "quantities: [{name: x, kind: gauge, unit: furlong, min: 0, max: 1}]", "furlong"},
		{"alias of a unit", "quantities: [{name: x, kind: gauge, unit: °C, min: 0, max: 1}]", "°C"},
		{"empty range", "quantities: [{name: x, kind: gauge, unit: m, min: 1, max: 1}]", "not below"},
		{"range of NaN", "quantities: [{name: x, kind: gauge, unit: m, min: .nan, max: 1}]", "not below"},
		{"twice", "quantities: [{name: x, kind: gauge, unit: m, min: 0, max: 1}, {name: x, kind: gauge, unit: m, min: 0, max: 1}]", "twice"},
		{"profile without interval", q + "profiles: [{name: p, class: water}]", "interval"},
		{"profile without class", q + "profiles: [{name: p, interval: 1s}]", "class"},
		{"profile with unknown quantity", q + "profiles: [{name: p, class: water, interval: 1s, fields: [{quantity: y}]}]", "not in the catalogue"},
		{"profile with unknown main", q + "profiles: [{name: p, class: water, interval: 1s, main: y, fields: [{quantity: x}]}]", "main"},
		{"profile with unknown format", q + "profiles: [{name: p, class: water, interval: 1s, format: xml}]", "xml"},
		{"profile with bad unit", q + "profiles: [{name: p, class: water, interval: 1s, fields: [{quantity: x, unit: V}]}]", "converted"},
		{"alias twice", q + "profiles: [{name: p, class: water, interval: 1s, fields: [{quantity: x, aliases: [x]}]}]", "twice"},
		{"empty range of a field", q + "profiles: [{name: p, class: water, interval: 1s, fields: [{quantity: x, min: 2}]}]", "not below"},
		{"profile twice", q + "profiles: [{name: a-b, class: water, interval: 1s}, {name: a_b, class: water, interval: 1s}]", "twice"},
		{"not YAML", "{", "reading the catalogue"},
	} {
		if _, err := LoadCatalogue(nil, strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something with %q", c.name, err, c.want)
		}
	}
}
