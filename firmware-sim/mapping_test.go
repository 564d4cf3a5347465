package firmwaresim

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

func mapping(t *testing.T, name string) *Mapping {
	t.Helper()
	m, err := LoadMapping(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// text writes a recording as lines people can read.
func text(rec *recording) string {
	var lines []string
	for id, d := range rec.devices {
		for _, r := range d.rows {
			l := fmt.Sprintf("%s %s %s", id, d.profile, r.taken.Format("2006-01-02T15:04:05Z"))
			if r.hasAt {
				l += fmt.Sprintf(" %.6f,%.6f", r.at.Lon(), r.at.Lat())
			}
			for _, v := range r.values {
				l += fmt.Sprintf(" %s=%v", v.Quantity, v.Number)
			}
			lines = append(lines, l)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestMappings(t *testing.T) {
	for _, c := range []struct {
		mapping, file, want string
		skipped             int
	}{
		{"liverpool-bus", "testdata/bus.csv", `
liverpool-bus-4716 bus 2026-07-26T14:57:24Z -2.923543,53.445026 heading=53
liverpool-bus-48-6 bus 2026-07-26T14:57:40Z -2.980100,53.400100 heading=181`, 3},
		{"usgs-gauge", "testdata/gauge.json", `
usgs-01491000 river-level 2019-02-14T05:00:00Z discharge=28.317 water_level=3.048
usgs-01491000 river-level 2019-02-14T05:30:00Z water_level=3.2`, 0},
	} {
		t.Run(c.mapping, func(t *testing.T) {
			m := mapping(t, c.mapping)
			if c.mapping == "liverpool-bus" {
				m.Missing = append(m.Missing, "-999")
			}
			f, err := os.Open(c.file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rec, err := m.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := text(rec), strings.TrimSpace(c.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if rec.skipped != c.skipped {
				t.Errorf("%d rows were skipped (%v), want %d", rec.skipped, rec.why, c.skipped)
			}
		})
	}
}

func TestLondonUnits(t *testing.T) {
	rec, err := mapping(t, "london-air").Read(strings.NewReader(`"date","ws","wd","nox","no2","o3","pm10","so2","co","pm25"
"1998-01-01T00:00:00Z",0.6,280,285,39,1,29,4.7225,3.3725,
"1998-01-01T01:00:00Z",,,,,,,,,
`))
	if err != nil {
		t.Fatal(err)
	}
	want := `london-marylebone air-quality 1998-01-01T00:00:00Z no2=74.6 o3=2 so2=12.6 co=3926 pm10=29
london-marylebone-wind weather 1998-01-01T00:00:00Z wind_speed=0.6 wind_direction=280`
	if got := text(rec); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMappingReadsGzip(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, "vehicle_id,timestamp,latitude,longitude,bearing\n7,2026-01-01 00:00:00,53,-3,10\n")
	z.Close()
	rec, err := mapping(t, "liverpool-bus").Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(rec), "liverpool-bus-7 bus 2026-01-01T00:00:00Z -3.000000,53.000000 heading=10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMappingErrors(t *testing.T) {
	for text, want := range map[string]string{
		"format: xml":                     "csv or json",
		"format: csv\ntimezone: x":        "timezone",
		"format: csv":                     "time.column",
		"format: csv\ntime: {column: t}":  "streams",
		"format: json\ntime: {column: t}": "points",
		"format: csv\ntime: {column: t, zone: Mars/Olympus}\nstreams: [{}]":                                                          "zone",
		"format: csv\ntime: {column: t}\nstreams: [{profile: bus, fields: [{column: a, quantity: speed}]}]":                          "device.id",
		"format: csv\ntime: {column: t}\nstreams: [{device: {id: a}, profile: bus, fields: [{column: a}]}]":                          "quantity",
		"format: csv\ntime: {column: t}\ncomma: abc\nstreams: [{device: {id: a}, profile: bus, fields: [{column: a, quantity: b}]}]": "comma",
	} {
		if _, err := ParseMapping([]byte(text)); err == nil || !contain(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", text, err, want)
		}
	}
	for file, want := range map[string]string{
		"":           "heading",
		"a,b\n1,2\n": "no column",
		"vehicle_id,timestamp,latitude,longitude,bearing\n":                "nothing in it",
		"vehicle_id,timestamp,latitude,longitude,bearing\n1,never,1,1,1\n": "could be used",
	} {
		if _, err := mapping(t, "liverpool-bus").Read(strings.NewReader(file)); err == nil || !contain(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", file, err, want)
		}
	}
	if _, err := mapping(t, "usgs-gauge").Read(strings.NewReader(`{"value":`)); err == nil {
		t.Error("cut JSON was read")
	}
}

// FuzzMapping feeds recordings of strangers to the reader.
func FuzzMapping(f *testing.F) {
	f.Add([]byte("vehicle_id,timestamp,latitude,longitude,bearing\n7,2026-01-01 00:00:00,53,-3,10\n"), true)
	f.Add([]byte("vehicle_id,timestamp,latitude,longitude,bearing\n7,2026-01-01 00:00:00,NaN,1e999,\"\n"), true)
	f.Add([]byte(`{"value":{"timeSeries":[{"sourceInfo":{"siteCode":[{"value":"1"}]},"variable":{"variableCode":[{"value":"00065"}]},"values":[{"value":[{"value":"1","dateTime":"2019-02-14T00:00:00Z"}]}]}]}}`), false)
	f.Add([]byte{0x1f, 0x8b, 8, 0}, true)
	bus, err := LoadMapping("liverpool-bus")
	if err != nil {
		f.Fatal(err)
	}
	gauge, err := LoadMapping("usgs-gauge")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, csv bool) {
		m := gauge
		if csv {
			m = bus
		}
		rec, err := m.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for id, d := range rec.devices {
			if _, err := devices.ParseID(string(id)); err != nil {
				t.Error(err)
			}
			for i, r := range d.rows {
				if len(r.values) == 0 || i > 0 && r.taken.Before(d.rows[i-1].taken) {
					t.Errorf("%s row %d: %+v", id, i, r)
				}
				for _, v := range r.values {
					if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
						t.Errorf("%s: %v", id, v)
					}
				}
			}
		}
	})
}

// shared finds the recordings that do not belong to the repository.
func shared(t *testing.T, name string) *os.File {
	t.Helper()
	dir := os.Getenv("VONGLAU_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("this recording is not here (VONGLAU_SHARED_DATA names its directory): %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRealRecordings(t *testing.T) {
	for _, c := range []struct {
		mapping, file  string
		devices        int
		rows           int // over all devices
		from, to       string
		quantity       devices.Quantity
		least, most    float64
		withinDistance orb.Bound
	}{
		{mapping: "liverpool-bus", file: "trajectories/liverpool_bus_route14.csv", devices: 8, rows: 1533 - 399,
			from: "2026-01-26T15:55:12Z", to: "", quantity: "heading", least: 0, most: 360,
			withinDistance: orb.Bound{Min: orb.Point{-3.1, 53.3}, Max: orb.Point{-2.8, 53.5}}},
		{mapping: "usgs-gauge", file: "sensors/usgs/waterservices_iv.txt", devices: 2, rows: 10,
			from: "2019-02-14T05:00:00Z", to: "2019-02-14T06:00:00Z", quantity: "water_level", least: 0.95, most: 1.98},
		{mapping: "london-air", file: "sensors/london_marylebone_hourly_1998-2005.csv.gz", devices: 2, rows: -1,
			from: "1998-01-01T00:00:00Z", to: "", quantity: "no2", least: 0, most: 500},
	} {
		t.Run(c.mapping, func(t *testing.T) {
			rec, err := mapping(t, c.mapping).Read(shared(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.devices) != c.devices {
				t.Errorf("%d devices, want %d", len(rec.devices), c.devices)
			}
			rows, seen := 0, 0
			var first, last time.Time
			for _, d := range rec.devices {
				rows += len(d.rows)
				for _, r := range d.rows {
					if first.IsZero() || r.taken.Before(first) {
						first = r.taken
					}
					if r.taken.After(last) {
						last = r.taken
					}
					if r.hasAt && !c.withinDistance.Contains(r.at) {
						t.Fatalf("a fix at %v", r.at)
					}
					for _, v := range r.values {
						if v.Quantity != c.quantity {
							continue
						}
						seen++
						if v.Number < c.least || v.Number > c.most {
							t.Errorf("%s %v, want %v to %v", v.Quantity, v.Number, c.least, c.most)
						}
					}
				}
			}
			if c.rows >= 0 && rows != c.rows {
				t.Errorf("%d readings, want %d (%d rows were skipped: %v)", rows, c.rows, rec.skipped, rec.why)
			}
			if seen == 0 || rec.skipped > 0 && c.mapping != "liverpool-bus" {
				t.Errorf("%d values of %s; %d rows were skipped: %v", seen, c.quantity, rec.skipped, rec.why)
			}
			if got := first.Format(time.RFC3339); got != c.from {
				t.Errorf("it begins at %s, want %s", got, c.from)
			}
			if got := last.Format(time.RFC3339); c.to != "" && got != c.to {
				t.Errorf("it ends at %s, want %s", got, c.to)
			}
			t.Logf("%d readings of %d devices from %v to %v", rows, len(rec.devices), first, last)
		})
	}
}

func TestReplayOverMQTT(t *testing.T) {
	a := accept(t, 4, nil)
	f, err := os.Open("testdata/bus.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := NewReplay(mapping(t, "liverpool-bus"), f, ReplayOptions{Speed: 1000, MoveTo: orb.Point{106, 20}, MQTT: a.addr()})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := OpenCredentials("")
	regs := p.Registrations()
	for _, r := range regs {
		if !r.Simulated || r.Profile != "bus" || r.At != nil {
			t.Errorf("registration %+v", r)
		}
	}
	if err := p.Run(context.Background(), c); err == nil {
		t.Error("it runs without credentials")
	}
	for _, r := range regs {
		if err := c.Add(map[devices.ID]string{r.ID: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now()
	if err := p.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	got := a.seen()
	if len(got) != p.Total() || p.Stats.Acked.Load() != uint64(p.Total()) {
		t.Fatalf("%d of %d readings arrived, %d acknowledged", len(got), p.Total(), p.Stats.Acked.Load())
	}
	all := ""
	for _, x := range got {
		all += x.payload + "\n"
		raw, err := devices.Decode(devices.FormatJSON, []byte(x.payload), time.Now(), devices.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if d := raw[0].Time.Sub(before); d < -time.Second || d > 30*time.Second {
			t.Errorf("a reading is stamped %v, want about now", raw[0].Time)
		}
	}
	if !contain(all, `"lat":20.000000,"lon":106.000000`) {
		t.Errorf("no fix was moved to the given place:\n%s", all)
	}
}

func TestReplayLimitAndOriginalTime(t *testing.T) {
	a := accept(t, 4, nil)
	f, err := os.Open("testdata/gauge.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := NewReplay(mapping(t, "usgs-gauge"), f, ReplayOptions{Speed: 1e6, Original: true, Limit: 1, MQTT: a.addr()})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := OpenCredentials("")
	c.tokens["usgs-01491000"] = "x"
	if err := p.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	got := a.seen()
	if want := `{"ts":1550120400000,"discharge":28.317,"water_level":3.048}`; len(got) != 1 || got[0].payload != want {
		t.Errorf("arrived %+v, want %s", got, want)
	}
	if at := p.Registrations()[0].At; at == nil || *at != [2]float64{-75.786, 38.997} {
		t.Errorf("the gauge is registered at %v", at)
	}
}
