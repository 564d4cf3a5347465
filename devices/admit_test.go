package devices

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// showAdmitted writes what was kept and what was refused.
func showAdmitted(obs []Observation, refusals []*Refusal) string {
	var b strings.Builder
	for _, o := range obs {
		b.WriteString(o.Time.Format("15:04:05.999"))
		if !o.DeviceTime.IsZero() {
			b.WriteString(" said " + o.DeviceTime.Format("2006-01-02T15:04:05"))
		}
		if o.At.Known() {
			fmt.Fprintf(&b, " @%g,%g", o.At.Lon, o.At.Lat)
		}
		for i, name := range []string{"suspect", "notime", "late", "relative", "range", "nobver", "simulated"} {
			if o.Flags&(1<<i) != 0 {
				b.WriteString(" " + name)
			}
		}
		for _, v := range o.Values {
			fmt.Fprintf(&b, " %s=%g", v.Quantity, v.Number)
			if v.Unit != "" {
				fmt.Fprintf(&b, "[%s]", v.Unit)
			}
		}
		b.WriteByte('\n')
	}
	for _, r := range refusals {
		kept := ""
		if r.Kept {
			kept = " (kept the rest)"
		}
		fmt.Fprintf(&b, "%s: %s%s\n", r.Reason, r.Detail, kept)
	}
	return b.String()
}

func TestAdmit(t *testing.T) {
	c := DefaultCatalogue()
	fixed := &Device{ID: "d-1", At: Position{106.17, 20.42}}
	bus := &Device{ID: "bus-1", Simulated: true}
	city := Box{West: 105.9, South: 19.8, East: 106.6, North: 20.6}
	for _, tc := range []struct {
		name, profile, in, want string
		device                  *Device
	}{
		{name: "plain", profile: "air-quality", in: `{"ts":"2026-07-01T11:59:59.5Z","pm25":12.5}`, want: "11:59:59.5 @106.17,20.42 pm25=12.5\n"},
		{name: "no time", profile: "air-quality", in: `{"pm25":12.5}`, want: "12:00:00 @106.17,20.42 notime pm25=12.5\n"},
		{name: "alias", profile: "air_quality", in: `{"PM2,5":12.5}`, want: "12:00:00 @106.17,20.42 notime pm25=12.5\n"},
		{name: "generic takes any quantity", profile: "generic", in: `{"pm25":1,"water_level":2}`, want: "12:00:00 @106.17,20.42 notime pm25=1 water_level=2\n"},
		{name: "late", profile: "air-quality", in: `{"ts":"2026-07-01T11:00:00Z","pm25":1}`, want: "11:00:00 @106.17,20.42 late pm25=1\n"},
		{name: "relative", profile: "air-quality", in: `[{"n":"pm25","t":-1,"v":1}]`, want: "11:59:59 @106.17,20.42 relative pm25=1\n"},

		{name: "1970", profile: "air-quality", in: `{"ts":0,"pm25":1}`,
			want: "12:00:00 said 1970-01-01T00:00:00 @106.17,20.42 suspect pm25=1\nclock_suspect: device time 1970-01-01T00:00:00Z at 2026-07-01T12:00:00Z (kept the rest)\n"},
		{name: "next year", profile: "air-quality", in: `{"ts":"2027-07-01T00:00:00Z","pm25":1}`,
			want: "12:00:00 said 2027-07-01T00:00:00 @106.17,20.42 suspect pm25=1\nclock_suspect: device time 2027-07-01T00:00:00Z at 2026-07-01T12:00:00Z (kept the rest)\n"},
		{name: "microseconds", profile: "air-quality", in: `{"ts":1782907200123000,"pm25":1}`,
			want: "12:00:00 said 9999-12-31T23:59:59 @106.17,20.42 suspect pm25=1\nclock_suspect: device time 9999-12-31T23:59:59Z at 2026-07-01T12:00:00Z (kept the rest)\n"},
		{name: "a backlog under a dead clock stays apart", profile: "air-quality", in: `[{"ts":1000,"pm25":1},{"ts":61000,"pm25":2}]`,
			want: "11:59:00 said 1970-01-01T00:00:01 @106.17,20.42 suspect pm25=1\n12:00:00 said 1970-01-01T00:01:01 @106.17,20.42 suspect pm25=2\n" +
				"clock_suspect: device time 1970-01-01T00:00:01Z at 2026-07-01T12:00:00Z; device time 1970-01-01T00:01:01Z at 2026-07-01T12:00:00Z (kept the rest)\n"},
		{name: "times that make no sense together", profile: "air-quality", in: `[{"ts":0,"pm25":1},{"ts":9e300,"pm10":2}]`,
			want: "12:00:00 said 1970-01-01T00:00:00 @106.17,20.42 suspect pm25=1\n12:00:00 said 9999-12-31T23:59:59 @106.17,20.42 suspect pm10=2\n" +
				"clock_suspect: device time 1970-01-01T00:00:00Z at 2026-07-01T12:00:00Z; device time 9999-12-31T23:59:59Z at 2026-07-01T12:00:00Z (kept the rest)\n"},
		{name: "the last believable times", profile: "air-quality", in: `[{"ts":"2026-07-01T12:05:00Z","pm25":1},{"ts":"2026-06-01T12:00:00Z","pm25":2}]`,
			want: "12:05:00 @106.17,20.42 pm25=1\n12:00:00 @106.17,20.42 late pm25=2\n"},

		{name: "out of range", profile: "air-quality", in: `{"pm25":1000000000,"pm10":-1,"temperature":31}`,
			want: "12:00:00 @106.17,20.42 notime range temperature=31\nout_of_range: pm25: 1e+09 ug/m3 is above 1000; pm10: -1 ug/m3 is below 0 (kept the rest)\n"},
		{name: "range of the profile", profile: "flooded-road", in: `{"depth":5.5}`, want: "out_of_range: water_depth: 5.5 m is above 5\n"},
		{name: "unknown quantity", profile: "air-quality", in: `{"pm25":1,"ph":7}`,
			want: "12:00:00 @106.17,20.42 notime pm25=1\nunknown_quantity: \"ph\" is no quantity of this profile (kept the rest)\n"},
		{name: "known elsewhere", profile: "noise", in: `{"pm25":1}`, want: "unknown_quantity: \"pm25\" is no quantity of this profile\n"},
		{name: "text", profile: "air-quality", in: `{"pm25":"12","pm10":1}`,
			want: "12:00:00 @106.17,20.42 notime pm10=1\nnot_a_number: pm25: \"12\" is not a finite number (kept the rest)\n"},
		{name: "overflow", profile: "air-quality", in: `{"pm25":1e999}`, want: "not_a_number: pm25: \"1e999\" is not a finite number\n"},
		{name: "boolean for a level", profile: "air-quality", in: `{"pm25":true}`, want: "not_a_number: pm25: need a number\n"},
		{name: "boolean for a state", profile: "street-light", in: `{"lamp":true}`, want: "12:00:00 @106.17,20.42 notime lamp=1\n"},
		{name: "many unknown", profile: "noise", in: `{"a":1,"b":1,"c":1,"d":1,"e":1}`,
			want: "unknown_quantity: \"a\" is no quantity of this profile; \"b\" is no quantity of this profile; \"c\" is no quantity of this profile; and 2 more\n"},
		{name: "name and alias", profile: "air-quality", in: `{"temp":1,"temperature":2}`, want: "12:00:00 @106.17,20.42 notime temperature=2\n"},

		{name: "unit converted", profile: "air-quality", in: `[{"n":"pm25","u":"kg/m3","v":0.000000012},{"n":"pressure","u":"Pa","v":101325}]`,
			want: "12:00:00 @106.17,20.42 notime pm25=12[kg/m3] pressure=1013.25[Pa]\n"},
		{name: "canonical unit", profile: "air-quality", in: `[{"bver":26,"n":"pm25","u":"ug/m3","v":12}]`, want: "12:00:00 @106.17,20.42 notime pm25=12\n"},
		{name: "unit of another dimension", profile: "air-quality", in: `[{"n":"pm25","u":"Cel","v":12}]`, want: "bad_unit: pm25: unit \"Cel\", need ug/m3\n"},
		{name: "unit from nowhere", profile: "air-quality", in: `[{"n":"temperature","u":"F","v":88}]`, want: "bad_unit: temperature: unit \"F\", need Cel\n"},

		{name: "own name", profile: "air-quality", in: `[{"bn":"vl:d-1:","n":"pm25","v":1}]`, want: "12:00:00 @106.17,20.42 notime pm25=1\n"},
		{name: "another's name", profile: "air-quality", in: `[{"bn":"vl:d-2:","n":"pm25","v":1}]`, want: "foreign_device: \"vl:d-2\" names another device\n"},

		{name: "position", device: bus, profile: "bus", in: `{"lat":20.4,"lon":106.1,"speed":31}`, want: "12:00:00 @106.1,20.4 notime simulated speed=31\n"},
		{name: "position alone", device: bus, profile: "bus", in: `{"lat":20.4,"lon":106.1}`, want: "12:00:00 @106.1,20.4 notime simulated\n"},
		{name: "position alone of a fixed device", profile: "noise", in: `{"lat":20.4,"lon":106.1}`, want: "empty: no values in the message\n"},
		{name: "no fix", device: bus, profile: "bus", in: `{"lat":0,"lon":0,"speed":31}`, want: "12:00:00 notime simulated speed=31\n"},
		{name: "swapped", device: bus, profile: "bus", in: `{"lat":106.1,"lon":20.4,"speed":31}`,
			want: "12:00:00 notime simulated speed=31\nswapped_position: lat 106.1, lon 20.4 is not on earth; lat and lon seem to be swapped (kept the rest)\n"},
		{name: "out of the area", device: bus, profile: "bus", in: `{"lat":48.1,"lon":11.5}`, want: "bad_position: lat 48.1, lon 11.5 is outside the service area\n"},
		{name: "out of this world", device: bus, profile: "bus", in: `{"lat":900,"lon":11.5}`, want: "bad_position: lat 900, lon 11.5 is not on earth\n"},
		{name: "wrong place of a fixed device", profile: "noise", in: `{"lat":48.1,"lon":11.5,"noise":60}`,
			want: "12:00:00 @106.17,20.42 notime noise=60\nbad_position: lat 48.1, lon 11.5 is outside the service area (kept the rest)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := tc.device
			if d == nil {
				d = fixed
			}
			p, ok := c.Profile(tc.profile)
			if !ok {
				t.Fatalf("no profile %q", tc.profile)
			}
			raw, err := Decode(FormatAuto, []byte(tc.in), arrival, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			obs, refusals := c.Admit(d, p, raw, arrival, Window{Area: city})
			if got := showAdmitted(obs, refusals); got != tc.want {
				t.Fatalf("got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

// A swapped position inside the range of both axes is told by the area alone.
func TestSwappedWithinRange(t *testing.T) {
	c := DefaultCatalogue()
	p, _ := c.Profile("bus")
	raw := []RawObservation{{At: Position{Lon: 48.1, Lat: 11.5}, HasAt: true}}
	_, refusals := c.Admit(&Device{ID: "b"}, p, raw, arrival, Window{Area: Box{West: 11, South: 47, East: 12, North: 49}})
	if len(refusals) != 1 || refusals[0].Reason != ReasonSwappedPosition {
		t.Fatalf("got %v", refusals)
	}
}

func TestAdmitProfileFromNoCatalogue(t *testing.T) {
	p := &Profile{Name: "own", Interval: time.Minute, Fields: []Field{{Quantity: "pm25"}}}
	obs, refusals := DefaultCatalogue().Admit(&Device{ID: "d"}, p, []RawObservation{{Fields: []RawField{{Name: "pm25", Number: 3}}}}, arrival, Window{})
	if len(obs) != 1 || obs[0].Values[0].Number != 3 || refusals != nil {
		t.Fatalf("got %v %v", obs, refusals)
	}
}

func TestConvert(t *testing.T) {
	for _, c := range []struct {
		in       float64
		from, to string
		want     float64
		ok       bool
	}{
		{1013.25, "hPa", "Pa", 101325, true},
		{12e-9, "kg/m3", "ug/m3", 12, true},
		{36, "km/h", "m/s", 10, true},
		{10, "m/s", "km/h", 36, true},
		{300, "K", "Cel", 26.85, true},
		{26.85, "Cel", "K", 300, true},
		{-60, "dBW", "dBm", -30, true},
		{0.5, "/", "/100", 50, true},
		{50, "%", "%RH", 50, true},
		{1.5, "l/s", "m3/s", 0.0015, true},
		{90, "min", "h", 1.5, true},
		{1, "µg/m³", "ug/m3", 1, true},
		{1, "°C", "Cel", 1, true},
		{1, "ppb", "ug/m3", 0, false},
		{1, "F", "Cel", 0, false},
		{1, "", "Cel", 0, false},
		{1, "mm", "mm/h", 0, false},
	} {
		got, ok := Convert(c.in, c.from, c.to)
		if ok != c.ok || math.Abs(got-c.want) > 1e-12*math.Abs(c.want) {
			t.Errorf("Convert(%g, %s, %s) = %g, %v; want %g, %v", c.in, c.from, c.to, got, ok, c.want, c.ok)
		}
	}
}

func TestFormatNames(t *testing.T) {
	for in, want := range map[string]Format{
		"": FormatAuto, "application/json": FormatJSON, "Application/JSON; charset=utf-8": FormatJSON, "application/cbor": FormatCBOR,
		"application/senml+json": FormatSenMLJSON, "application/senml+cbor": FormatSenMLCBOR,
	} {
		if got, err := FormatOfMIME(in); err != nil || got != want {
			t.Errorf("FormatOfMIME(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"text/plain", "application/xml", "application/sensml+json", ";"} {
		if _, err := FormatOfMIME(in); err == nil || reasonOf(t, err) != ReasonBadFormat {
			t.Errorf("FormatOfMIME(%q): %v", in, err)
		}
	}
	for in, want := range map[uint32]Format{50: FormatJSON, 60: FormatCBOR, 110: FormatSenMLJSON, 112: FormatSenMLCBOR} {
		if got, err := FormatOfCoAP(in, true); err != nil || got != want {
			t.Errorf("FormatOfCoAP(%d) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []uint32{0, 42, 111, 113, 11542} {
		if _, err := FormatOfCoAP(in, true); err == nil || reasonOf(t, err) != ReasonBadFormat {
			t.Errorf("FormatOfCoAP(%d): %v", in, err)
		}
	}
	if _, err := FormatOfCoAP(50, false); err == nil || reasonOf(t, err) != ReasonBadFormat {
		t.Errorf("no content format: %v", err)
	}
	if _, err := Decode("xml", []byte("<a/>"), arrival, Limits{}); err == nil || reasonOf(t, err) != ReasonBadFormat {
		t.Errorf("format xml: %v", err)
	}
}
