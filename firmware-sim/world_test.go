package firmwaresim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/firmware-sim/city"
)

// day is a scenario of one steady weather.
func steady(f Forcing) *Scenario {
	return &Scenario{Name: "steady", Weather: []Forcing{f}}
}

var fair = Forcing{Temperature: 26, Swing: 4, Humidity: 70, Pressure: 1012, Wind: 3, WindFrom: 120, Cloud: 0.2, Traffic: 1}

// monday is a working day, before sunrise.
var monday = time.Date(2026, 6, 1, 4, 0, 0, 0, Local)

func at(hour int) time.Time { return monday.Add(time.Duration(hour-4) * time.Hour) }

func digest(m *Moment) string {
	h := sha256.New()
	put := func(xs ...float64) {
		for _, x := range xs {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], math.Float64bits(x))
			h.Write(b[:])
		}
	}
	put(m.Weather.Temperature, m.Weather.Humidity, m.Weather.Pressure, m.Weather.Wind, m.Weather.WindFrom, m.Weather.Sun, m.Traffic)
	put(m.Depth...)
	put(m.levels...)
	for _, c := range m.cells {
		put(c.at[0], c.at[1], c.radius, c.strength)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fleetDigest is the world together with what every device says of it.
func fleetDigest(t *testing.T, seed uint64, stride time.Duration) string {
	t.Helper()
	s, err := LoadScenario("typhoon")
	if err != nil {
		t.Fatal(err)
	}
	start := s.Start(monday)
	w := NewWorld(town(), s, seed, start)
	places, err := settle(w, 60)
	if err != nil {
		t.Fatal(err)
	}
	models := make([]model, len(places))
	for i, p := range places {
		models[i] = p.kind.model(p)
	}
	out := ""
	for d := stride; d <= 10*time.Minute; d += stride {
		m := w.Step(start.Add(d))
		if d%(5*time.Minute) != 0 {
			continue
		}
		out += digest(m)
		for i, p := range places {
			out += fmt.Sprint(p.id, p.at, models[i].read(m))
		}
	}
	sum := sha256.Sum256([]byte(out))
	return hex.EncodeToString(sum[:])
}

func TestWorldFollowsFromTheSeed(t *testing.T) {
	a := fleetDigest(t, 7, time.Second)
	if b := fleetDigest(t, 7, time.Second); a != b {
		t.Errorf("the same seed gave %s and %s", a, b)
	}
	if b := fleetDigest(t, 7, 30*time.Second); a != b {
		t.Errorf("strides of 30 s gave %s, of 1 s %s", b, a)
	}
	if b := fleetDigest(t, 8, time.Second); a == b {
		t.Error("another seed gave the same world")
	}
}

func TestRainRaisesTheRiverLater(t *testing.T) {
	s := &Scenario{Name: "cloudburst", Weather: []Forcing{fair, fair, fair}}
	s.Weather[1].At, s.Weather[1].Drizzle = Span(10*time.Minute), 0
	s.Weather[2].At, s.Weather[2].Drizzle = Span(11*time.Minute), 80
	w := NewWorld(town(), s, 1, at(8))
	dry := NewWorld(town(), steady(fair), 1, at(8)) // the same tide without the rain
	rise := func(elapsed time.Duration, chainage float64) float64 {
		return w.Step(at(8).Add(elapsed)).RiverLevel(chainage) - dry.Step(at(8).Add(elapsed)).RiverLevel(chainage)
	}
	if got := rise(10*time.Minute, 0); math.Abs(got) > 1e-9 {
		t.Fatalf("the river rose %.3f m before it rained", got)
	}
	soon, later := rise(16*time.Minute, 0), rise(70*time.Minute, 0)
	if soon > 0.2*later {
		t.Errorf("5 min into the rain the river had risen %.2f m of %.2f m: it answers too soon", soon, later)
	}
	if later < 1 {
		t.Errorf("an hour of 80 mm/h raised the river by %.2f m, want a metre at least", later)
	}
	up, down := rise(75*time.Minute, 0), w.Now().RiverLevel(10000)-dry.Now().RiverLevel(10000)
	if down >= up {
		t.Errorf("while rising, 10 km downstream is at +%.2f m, upstream at +%.2f m: the wave has no way to travel", down, up)
	}
}

func TestRainFloodsLowGroundAndClosesTheRoad(t *testing.T) {
	storm := fair
	storm.Drizzle = 90
	w := NewWorld(town(), steady(storm), 1, at(8))
	places, err := settle(w, 120)
	if err != nil {
		t.Fatal(err)
	}
	counter := pick(t, places, "traffic-counter", func(p *place) bool { return true })
	counter.basin, counter.kerb = 0, 0
	car := counter.kind.model(counter)
	sensor := pick(t, places, "flooded-road", func(p *place) bool { return p.basin == 0 })
	low := sensor.kind.model(sensor)
	before := number(t, car.read(w.Now()), "vehicle_speed")
	if before < 15 {
		t.Fatalf("on a dry road traffic runs at %.1f km/h", before)
	}
	m := w.Step(at(10))
	if d := number(t, low.read(m), "water_depth"); d < 0.3 {
		t.Errorf("after two hours of 90 mm/h the low road stands under %.2f m, want 0.3 m at least", d)
	}
	if v := number(t, car.read(m), "vehicle_speed"); v > before/2 {
		t.Errorf("through %.2f m of water traffic runs at %.1f km/h, was %.1f", m.Depth[0], v, before)
	}
	// What the drains carry away does not stand.
	calm := fair
	calm.Drizzle = 20
	if d := NewWorld(town(), steady(calm), 1, at(8)).Step(at(12)).Depth[0]; d != 0 {
		t.Errorf("20 mm/h into drains for 30 stand %.2f m deep", d)
	}
}

func TestRainFallsFromCellsThatDrift(t *testing.T) {
	wet := fair
	wet.Rain, wet.Wind = 100, 12
	w := NewWorld(town(), steady(wet), 3, at(8))
	c := town()
	var least, most float64 = math.Inf(1), 0
	for _, ward := range c.Wards {
		for m := range 20 {
			r := w.Step(at(8).Add(time.Duration(m) * time.Minute)).Rain(ward.Centre)
			least, most = math.Min(least, r), math.Max(most, r)
		}
	}
	if most < 10 || least > most/2 {
		t.Errorf("over four wards and 20 min rain was %.1f to %.1f mm/h: no cells", least, most)
	}
	a, b := w.Now().cells, w.Step(at(8).Add(20*time.Minute)).cells
	moved := 0
	for i := range a {
		if d := math.Hypot(a[i].at[0]-b[i].at[0], a[i].at[1]-b[i].at[1]); d > 100 {
			moved++
		}
	}
	if moved < len(a)/2 {
		t.Errorf("%d of %d cells moved in a minute of 12 m/s", moved, len(a))
	}
}

func TestDevicesAgreeWithTheWorld(t *testing.T) {
	rain := fair
	rain.Drizzle = 30
	hot := fair
	hot.Temperature = 36
	tripped := steady(fair)
	tripped.Incidents = []Event{{At: 0, For: Span(24 * time.Hour), Kind: FeederTrip, Index: 0}}
	burst := steady(fair)
	burst.Incidents = []Event{{At: 0, For: Span(24 * time.Hour), Kind: PipeBurst, Index: 0}}
	cooling := steady(fair)
	cooling.Incidents = []Event{{At: Span(time.Minute), For: Span(24 * time.Hour), Kind: CoolingFailed, Index: 0}}
	// A case compares one device in two worlds.
	for _, c := range []struct {
		name     string
		profile  string
		quantity devices.Quantity
		a, b     *Scenario
		ta, tb   time.Time
		less     bool // a's value is the smaller
	}{
		{"dust at rush hour and at noon of a fair day", "air-quality", "pm25", steady(fair), steady(fair), at(12), at(17), true},
		{"rain washes dust out", "air-quality", "pm25", steady(rain), steady(fair), at(17), at(17), true},
		{"ozone needs the sun", "air-quality", "o3", steady(fair), steady(fair), at(5), at(12), true},
		{"noise at night and in traffic", "noise", "noise", steady(fair), steady(fair), at(27), at(17), true},
		{"lamps burn at night", "street-light", "lamp", steady(fair), steady(fair), at(12), at(22), true},
		{"heat loads transformers", "transformer", "load", steady(fair), steady(hot), at(14), at(14), true},
		{"load heats the oil", "transformer", "oil_temperature", steady(fair), steady(hot), at(14), at(14), true},
		{"a tripped feeder carries nothing", "transformer", "voltage", tripped, steady(fair), at(14), at(14), true},
		{"without cooling the oil heats", "transformer", "oil_temperature", steady(fair), cooling, at(19), at(19), true},
		{"a burst pipe has no pressure", "water-pressure", "water_pressure", burst, steady(fair), at(14), at(14), true},
		{"people draw water in the morning", "water-pressure", "water_pressure", steady(fair), steady(fair), at(6), at(27), true},
		{"car parks fill by day", "parking", "occupancy", steady(fair), steady(fair), at(5), at(11), true},
		{"rain fills the gauge", "rain-gauge", "rain_rate", steady(fair), steady(rain), at(12), at(12), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := func(s *Scenario, when time.Time) float64 {
				w := NewWorld(town(), s, 1, when.Add(-30*time.Minute))
				places, err := settle(w, 200)
				if err != nil {
					t.Fatal(err)
				}
				sum, n := 0.0, 0
				for _, p := range places {
					if p.kind.profile != c.profile || c.profile == "transformer" && p.feeder != 0 ||
						c.profile == "water-pressure" && w.plane.distance(p.at, w.burstAt(burst.Incidents[0])) > 1500 {
						continue
					}
					x := p.kind.model(p)
					x.read(w.Now())
					sum += number(t, x.read(w.Step(when)), c.quantity)
					n++
				}
				if n == 0 {
					t.Fatal("no device of the town is concerned")
				}
				return sum / float64(n)
			}
			if a, b := look(c.a, c.ta), look(c.b, c.tb); (a < b) != c.less {
				t.Errorf("means are %.2f and %.2f", a, b)
			}
		})
	}
}

func TestTippingBucketWraps(t *testing.T) {
	b := &bucket{tips: 65534}
	for _, c := range []struct {
		mm   float64
		want float64
	}{
		{0.1, 65534 * 0.2}, // half a bucket is no tip
		{0.1, 65535 * 0.2}, // the other half
		{0.2, 0},           // the register wraps
		{0.5, 2 * 0.2},
		{0.1, 3 * 0.2}, // with what was left
	} {
		b.collect(c.mm)
		if got := float64(b.tips) * Tip; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("after %.1f mm more the gauge says %.1f mm, want %.1f", c.mm, got, c.want)
		}
	}
	if b.collect(65536 * Tip); b.tips != 3 {
		t.Errorf("a whole turn left %d tips, want 3", b.tips)
	}
}

func TestBusStaysOnItsRouteAndStops(t *testing.T) {
	w := NewWorld(town(), steady(fair), 1, at(9))
	places, err := settle(w, 120)
	if err != nil {
		t.Fatal(err)
	}
	b := newBus(pick(t, places, "bus", func(*place) bool { return true })).(*bus)
	var far, stood float64
	last := b.where(at(9))
	b.read(w.Now())
	for i := 1; i <= 1800; i++ {
		m := w.Step(at(9).Add(time.Duration(i) * time.Second))
		v := b.read(m)
		here := b.where(m.Time)
		step := w.plane.distance(last, here)
		if step > 25 {
			t.Fatalf("in one second the bus went %.0f m", step)
		}
		far += step
		last = here
		if number(t, v, "speed") == 0 {
			stood++
		}
		if off := math.Abs(w.plane.metres(here)[1] - w.plane.metres(b.track.line[0])[1]); off > 10 {
			t.Fatalf("the bus is %.0f m off its street", off)
		}
	}
	if far < 4000 || stood < 60 {
		t.Errorf("in half an hour the bus went %.0f m and stood %.0f s", far, stood)
	}
}

func TestScenarios(t *testing.T) {
	all := Scenarios()
	if len(all) != 3 {
		t.Fatalf("%d scenarios are built in, want calm-day, typhoon and typhoon-passes", len(all))
	}
	s, err := LoadScenario("typhoon")
	if err != nil {
		t.Fatal(err)
	}
	end := time.Duration(s.Weather[len(s.Weather)-1].At)
	from := time.Duration(s.CycleFrom)
	if got, want := s.place(end+time.Minute), from+time.Minute; got != want {
		t.Errorf("a minute after its end the story is at %v, want %v", got, want)
	}
	if got := s.place(10 * time.Minute); got != 10*time.Minute {
		t.Errorf("in its middle the story is at %v", got)
	}
	f := s.forcing(90 * time.Second)
	if want := (s.Weather[3].Rain + s.Weather[4].Rain) / 2; f.Rain != want {
		t.Errorf("half way between two frames rain is %v, want %v", f.Rain, want)
	}
}

func TestScenarioErrors(t *testing.T) {
	for text, want := range map[string]string{
		"name: x":                                "weather needs",
		"name: x\nwether: []":                    "wether",
		"name: x\nweather: [{at: 1h}, {at: 0s}]": "does not come after",
		"name: x\nweather: [{at: soon}]":         "not a duration",
		"name: x\nweather: [{at: 0s}]\nincidents: [{kind: flood, for: 1s}]": "unknown kind",
		"name: x\nweather: [{at: 0s}]\nfaults: {malformed: 2}":              "share",
		"name: x\nweather: [{at: 0s, rain: .nan}]":                          "not a number",
		"name: x\nweather: [{at: 0s}]\nreport_every: {bus: 1ms}":            "shorter",
		"name: x\nweather: [{at: 0s}]\nstart_at: noon":                      "start_at",
		"name: x\nweather: [{at: 0s}]\nincidents: [{kind: feeder_trip}]":    "longer than nothing",
		"name: x\nweather: [{at: 0s}, {at: 1h}]\ncycle_from: 2h":            "cycle_from",
	} {
		_, err := ParseScenario([]byte(text))
		if err == nil || !contain(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", text, err, want)
		}
	}
}

func TestSettling(t *testing.T) {
	w := NewWorld(town(), steady(fair), 7, at(8))
	for _, n := range []int{1, 13, 100, 500, 2000} {
		places, err := settle(w, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(places) != n {
			t.Errorf("%d devices were settled, want %d", len(places), n)
		}
		seen := make(map[devices.ID]bool)
		for _, p := range places {
			if seen[p.id] {
				t.Fatalf("two devices are called %s", p.id)
			}
			seen[p.id] = true
			if _, err := devices.ParseID(string(p.id)); err != nil {
				t.Error(err)
			}
			if !p.kind.moving && !w.city.Bound.Pad(0.001).Contains(p.at) {
				t.Errorf("%s stands at %v, outside the city", p.id, p.at)
			}
			if p.kind.spot == inBasin && !contains(w.city.Basins[p.basin].Shape, p.at) {
				t.Errorf("%s watches basin %d and stands outside it", p.id, p.basin)
			}
		}
	}
	few, _ := settle(w, 100)
	many, _ := settle(w, 500)
	where := make(map[devices.ID]string)
	for _, p := range many {
		where[p.id] = fmt.Sprint(p.at)
	}
	for _, p := range few {
		// A river station's place depends on how many there are.
		if p.kind.spot != onRiver && where[p.id] != fmt.Sprint(p.at) {
			t.Errorf("%s moves from %v to %v when the fleet grows", p.id, p.at, where[p.id])
		}
	}
	if _, err := settle(NewWorld(&city.City{}, steady(fair), 1, at(8)), 10); err == nil {
		t.Error("devices were settled in a city without streets")
	}
}

func TestSunElevation(t *testing.T) {
	lon, lat := 106.168, 20.434
	for _, c := range []struct {
		t        time.Time
		from, to float64
	}{
		{time.Date(2026, 6, 21, 11, 57, 0, 0, Local), 86, 88}, // declination 23.4, three degrees from the zenith
		{time.Date(2026, 12, 21, 11, 53, 0, 0, Local), 45.5, 46.8},
		{time.Date(2026, 3, 20, 0, 0, 0, 0, Local), -70.5, -69},
		{time.Date(2026, 6, 21, 18, 40, 0, 0, Local), -2, 1}, // sunset
	} {
		if got := sunElevation(c.t, lon, lat); got < c.from || got > c.to {
			t.Errorf("%v: the sun stands at %.1f°, want %.1f to %.1f", c.t, got, c.from, c.to)
		}
	}
}

func pick(t *testing.T, places []*place, profile string, ok func(*place) bool) *place {
	t.Helper()
	for _, p := range places {
		if p.kind.profile == profile && ok(p) {
			return p
		}
	}
	t.Fatalf("there is no %s", profile)
	return nil
}

func number(t *testing.T, vs []devices.Value, q devices.Quantity) float64 {
	t.Helper()
	for _, v := range vs {
		if v.Quantity == q {
			return v.Number
		}
	}
	t.Fatalf("there is no %s in %v", q, vs)
	return 0
}
