package firmwaresim

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

func contain(s, part string) bool { return strings.Contains(s, part) }

var noon = time.Date(2026, 6, 1, 5, 0, 0, 123e6, time.UTC) // 1780290000123

// The bytes are written by hand from FORMAT.md, RFC 8259, RFC 8949 and RFC 8428,
// not taken from the encoder.
func TestPayloadBytes(t *testing.T) {
	dust := reading{taken: noon, values: []devices.Value{{Quantity: "pm25", Number: 12.5}, {Quantity: "humidity", Number: 70}}}
	bus := reading{taken: noon, values: []devices.Value{{Quantity: "speed", Number: 31}}, at: orb.Point{106.168, 20.5}, hasAt: true}
	level := reading{taken: noon, values: []devices.Value{{Quantity: "water_level", Number: 2.5}}}
	later := level
	later.taken = noon.Add(10 * time.Second)
	for _, c := range []struct {
		name string
		f    firmware
		rs   []reading
		want string // text, or hex after "x "
	}{
		{"JSON", firmware{format: devices.FormatJSON}, []reading{dust}, `{"ts":1780290000123,"pm25":12.5,"humidity":70}`},
		{"JSON with a place", firmware{format: devices.FormatJSON}, []reading{bus}, `{"ts":1780290000123,"speed":31,"lat":20.500000,"lon":106.168000}`},
		{"JSON with RFC 3339 and two readings", firmware{format: devices.FormatJSON, rfc3339: true}, []reading{level, later},
			`[{"ts":"2026-06-01T05:00:00.123Z","water_level":2.5},{"ts":"2026-06-01T05:00:10.123Z","water_level":2.5}]`},
		{"SenML JSON", firmware{id: "air-001", format: devices.FormatSenMLJSON}, []reading{dust},
			`[{"bn":"vl:air-001:","bver":26,"bt":1780290000.123,"n":"pm25","u":"ug/m3","v":12.5},{"n":"humidity","u":"%RH","v":70}]`},
		{"SenML JSON that forgets bver", firmware{id: "air-001", format: devices.FormatSenMLJSON, noBver: true}, []reading{dust},
			`[{"bn":"vl:air-001:","bt":1780290000.123,"n":"pm25","u":"ug/m3","v":12.5},{"n":"humidity","u":"%RH","v":70}]`},
		{"SenML JSON of base units", firmware{id: "river-01", format: devices.FormatSenMLJSON}, []reading{level, later},
			`[{"bn":"vl:river-01:","bt":1780290000.123,"n":"water_level","u":"m","v":2.5},{"bt":1780290010.123,"n":"water_level","u":"m","v":2.5}]`},
		// A map of two: "ts" and a 64-bit integer, "water_level" and a single.
		{"CBOR", firmware{format: devices.FormatCBOR}, []reading{level}, "x a2" + "627473" + "1b" + "0000019e818d94fb" + "6b" + hex.EncodeToString([]byte("water_level")) + "fa40200000"},
		{"SenML CBOR", firmware{id: "r1", format: devices.FormatSenMLCBOR}, []reading{{taken: time.Unix(1780290000, 0), values: level.values}},
			"x 81" + "a5" + "21" + "66" + hex.EncodeToString([]byte("vl:r1:")) + "22" + "1a6a1d11d0" + "00" + "6b" + hex.EncodeToString([]byte("water_level")) + "01" + "616d" + "02" + "fa40200000"},
	} {
		got := c.f.encode(nil, c.rs)
		want := []byte(c.want)
		if h, ok := strings.CutPrefix(c.want, "x "); ok {
			b, err := hex.DecodeString(h)
			if err != nil {
				t.Fatal(err)
			}
			want = b
		}
		if string(got) != string(want) {
			t.Errorf("%s:\n got %s\n  %x\nwant %s\n  %x", c.name, got, got, want, want)
		}
	}
}

// What a device of any kind sends in any format is what the server's own
// decoder and judge take without a refusal.
func TestServerTakesWhatDevicesSend(t *testing.T) {
	catalogue := devices.DefaultCatalogue()
	s, err := LoadScenario("typhoon")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld(town(), s, 7, s.Start(noon))
	places, err := settle(w, 200)
	if err != nil {
		t.Fatal(err)
	}
	formats := []devices.Format{devices.FormatJSON, devices.FormatCBOR, devices.FormatSenMLJSON, devices.FormatSenMLCBOR}
	kindsSeen := make(map[string]int)
	for i, p := range places {
		profile, ok := catalogue.Profile(p.kind.profile)
		if !ok {
			t.Fatalf("the catalogue has no profile %s", p.kind.profile)
		}
		st := &station{place: p, model: p.kind.model(p), now: w.Now, charge: 80, drain: 0.1}
		clock := &clock{set: noon}
		for n, format := range formats {
			f := firmware{id: p.id, format: format, noBver: i%2 == 0, rfc3339: n%2 == 0}
			r, ok := st.measure(noon, clock)
			if !ok {
				t.Fatalf("%s has nothing to say", p.id)
			}
			payload := f.encode(nil, []reading{r})
			raw, err := devices.Decode(format, payload, noon, devices.Limits{})
			if err != nil {
				t.Fatalf("%s in %s: %v\n%s", p.id, format, err, payload)
			}
			dev := &devices.Device{ID: p.id, Profile: p.kind.profile, State: devices.Active, At: devices.Position{Lon: p.at.Lon(), Lat: p.at.Lat()}}
			obs, refusals := catalogue.Admit(dev, profile, raw, noon, devices.Window{Past: time.Hour, Future: time.Hour, Late: time.Minute})
			for _, x := range refusals {
				t.Errorf("%s in %s: %v\n%s", p.id, format, x, payload)
			}
			if len(obs) != 1 || len(obs[0].Values) != len(r.values) {
				t.Fatalf("%s in %s: %d values became %+v", p.id, format, len(r.values), obs)
			}
			if !obs[0].Time.Equal(r.taken) {
				t.Errorf("%s in %s: time %v became %v", p.id, format, r.taken, obs[0].Time)
			}
			for _, v := range obs[0].Values {
				if want := number(t, r.values, v.Quantity); math.Abs(v.Number-want) > 1e-9*math.Max(1, math.Abs(want)) {
					t.Errorf("%s in %s: %s %v became %v", p.id, format, v.Quantity, want, v.Number)
				}
			}
			if p.kind.moving && (math.Abs(obs[0].At.Lon-r.at.Lon()) > 1e-6 || math.Abs(obs[0].At.Lat-r.at.Lat()) > 1e-6) {
				t.Errorf("%s in %s: place %v became %v", p.id, format, r.at, obs[0].At)
			}
		}
		kindsSeen[p.kind.profile]++
	}
	if len(kindsSeen) != len(kinds) {
		t.Errorf("only %d of %d kinds were tried", len(kindsSeen), len(kinds))
	}
}

func TestMalformedPayloadsAreMalformed(t *testing.T) {
	f := firmware{id: "w1", format: devices.FormatJSON}
	good := f.encode(nil, []reading{{taken: noon, values: []devices.Value{{Quantity: "temperature", Number: 25.5}, {Quantity: "humidity", Number: 71}}}})
	catalogue := devices.DefaultCatalogue()
	profile, _ := catalogue.Profile("weather")
	dev := &devices.Device{ID: "w1", Profile: "weather", State: devices.Active}
	rng := newRand(1)
	bad, n := 0, 400
	for range n {
		p := malformed(good, f.format, rng)
		raw, err := devices.Decode(f.format, p, noon, devices.Limits{})
		if err == nil {
			_, refusals := catalogue.Admit(dev, profile, raw, noon, devices.Window{Past: time.Hour, Future: time.Hour, Late: time.Minute})
			if len(refusals) == 0 {
				continue
			}
		}
		bad++
	}
	// A flipped bit in a digit is still a number.
	if bad < n*8/10 {
		t.Errorf("%d of %d malformed payloads were refused", bad, n)
	}
	if malformed([]byte("{}"), f.format, rng) == nil {
		t.Error("a short payload became nil")
	}
}

func TestClock(t *testing.T) {
	c := clock{set: noon, offset: 2 * time.Second, ppm: 100}
	if got, want := c.read(noon.Add(10000*time.Second)), noon.Add(10003*time.Second); !got.Equal(want) {
		t.Errorf("after 10,000 s at 100 ppm the clock shows %v, want %v", got, want)
	}
	c = clock{set: noon, forgets: true}
	c.reboot(noon.Add(time.Hour), newRand(1))
	if got := c.read(noon.Add(time.Hour + 5*time.Second)); !got.Equal(time.Unix(5, 0)) {
		t.Errorf("5 s after a reboot the clock shows %v, want five seconds into 1970", got)
	}
	if late := noon.Add(time.Hour + 61*time.Second); c.read(late).Sub(late).Abs() > 100*time.Millisecond {
		t.Errorf("with network time the clock shows %v at %v", c.read(late), late)
	}
	c = clock{set: noon, offset: time.Second}
	c.reboot(noon.Add(time.Hour), newRand(1))
	if got := c.read(noon.Add(time.Hour)); !got.Equal(noon.Add(time.Hour + time.Second)) {
		t.Errorf("a clock with a battery shows %v after a reboot", got)
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{first: time.Second, most: 30 * time.Second}
	rng := newRand(5)
	for i, most := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		most *= time.Second
		if got := b.next(rng); got < most/2 || got > most {
			t.Errorf("attempt %d waits %v, want %v to %v", i+1, got, most/2, most)
		}
	}
	for range 100 {
		b.next(rng) // never overflows
	}
	if got := b.next(rng); got < 15*time.Second || got > 30*time.Second {
		t.Errorf("attempt 109 waits %v", got)
	}
	b.reset()
	waits := make(map[time.Duration]bool)
	for range 50 {
		waits[b.next(rng)] = true
		b.reset()
	}
	if len(waits) < 45 {
		t.Errorf("50 devices have %d different waits: they all come back at once", len(waits))
	}
}
