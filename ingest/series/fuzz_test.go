package series

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	protocol "github.com/influxdata/line-protocol"

	"vonglau/devices"
)

// What we write must be read back as it was by a parser that is not ours.
func FuzzLine(f *testing.F) {
	f.Add("air-1", "pm25", "ward", "06001", "2025-07-01", 12.5, int64(1795000000000), uint16(0))
	f.Add("x", "#comment", "a=b, c", `\`, "", math.Copysign(0, -1), int64(-1), uint16(1))
	f.Add("x", "no\nnewline 1", "phường", "Trần Hưng Đạo|@", "%41", 1e300, int64(0), uint16(65535))
	f.Add("x", `"`, "\xff", "\x00", "a\\", 5e-324, int64(1), uint16(64))
	f.Fuzz(func(t *testing.T, device, quantity, layer, code, from string, number float64, ms int64, flags uint16) {
		if math.IsNaN(number) || math.IsInf(number, 0) || quantity == "" || device == "" {
			t.Skip("never gets there")
		}
		ms %= math.MaxInt64 / 1_000_000
		refs := []devices.ZoneRef{{Layer: layer, Code: code, ValidFrom: devices.Date(from)}}
		r := &row{device: devices.ID(device), quantity: devices.Quantity(quantity), ms: ms, received: ms + 7, device0: ms / 3,
			number: number, zones: newPlacement(refs), flags: devices.Flags(flags)}
		var b strings.Builder
		writeLine(&b, r)
		handler := protocol.NewMetricHandler()
		handler.SetTimePrecision(time.Millisecond)
		metrics, err := protocol.NewParser(handler).Parse([]byte(b.String()))
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if len(metrics) != 1 {
			t.Fatalf("%q is %d lines", b.String(), len(metrics))
		}
		m := metrics[0]
		if got := unescape(m.Name()); got != quantity {
			t.Errorf("quantity %q, want %q", got, quantity)
		}
		if got := m.Time().UnixMilli(); got != ms {
			t.Errorf("time %d, want %d", got, ms)
		}
		for _, tag := range m.TagList() {
			switch {
			case tag.Key == tagDevice:
				if got := unescape(tag.Value); got != device {
					t.Errorf("device %q, want %q", got, device)
				}
			default:
				if got := appendZones(nil, zoneLabel{tag.Key, tag.Value}); !slices.Equal(got, refs) {
					t.Errorf("zones %q, want %q", got, refs)
				}
			}
		}
		for _, field := range m.FieldList() {
			want := any(number)
			switch field.Key {
			case fieldReceived:
				want = ms + 7
			case fieldFlags:
				want = int64(flags)
			case fieldClock:
				want = ms / 3
			}
			if field.Value != want {
				t.Errorf("%s is %v, want %v", field.Key, field.Value, want)
			}
		}
	})
}

// Whatever a store gives back as a label is read without a panic, and what we
// wrote is read as it was.
func FuzzLabels(f *testing.F) {
	f.Add("ward", "06001", "z_ward", "06001@2025-07-01|06002@")
	f.Add("", "", "z_", "|@|%|%4|%zz")
	f.Add("\xff", "a|b@c%", "z_%FF", "@")
	f.Fuzz(func(t *testing.T, layer, code, name, value string) {
		appendZones(nil, zoneLabel{name, value})
		refs := []devices.ZoneRef{{Layer: layer, Code: code}, {Layer: layer, Code: code + "x", ValidFrom: "2025-07-01"}}
		slices.SortFunc(refs, compareRefs)
		p := newPlacement(refs)
		if len(p.labels) != 1 {
			t.Fatalf("%q makes %d labels", refs, len(p.labels))
		}
		if !utf8.ValidString(p.key) {
			t.Errorf("%q is not UTF-8", p.key)
		}
		var c placements
		if got := c.fromLabels(p.labels); !slices.Equal(got.refs, refs) || got.key != p.key {
			t.Errorf("%q came back as %q", refs, got.refs)
		}
	})
}

func FuzzFluxString(f *testing.F) {
	f.Add(`db/rp" |> drop() //`)
	f.Add("${1+1}\\")
	f.Fuzz(func(t *testing.T, s string) {
		q := fluxString(s)
		// The text ends at its closing quote and nowhere before.
		inside, escaped := q[1:len(q)-1], false
		for i := range len(inside) {
			switch c := inside[i]; {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"' || c == '$' && strings.HasPrefix(inside[i:], "${"):
				t.Fatalf("%q leaves its quotes as %s", s, q)
			}
		}
		if escaped {
			t.Fatalf("%q leaves its quotes as %s", s, q)
		}
	})
}

// The rule of the package comment as a map: the last arrival of each device,
// quantity and time. Random messages in random order and repetition must leave
// the store with the same.
func TestEmbeddedAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	base := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	e := openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: suiteRetention})
	type place struct {
		device   devices.ID
		quantity devices.Quantity
		ms       int64
	}
	model := make(map[place]devices.Point)
	ids := []devices.ID{"a", "b", "c"}
	quantities := []string{"pm25", "no2", "noise"}
	wards := [][]devices.ZoneRef{nil, {wardA}, {wardB}}
	received := base
	var past []*devices.Message
	var got Written
	for range 400 {
		var batch []*devices.Message
		for range 1 + random.IntN(5) {
			if len(past) > 0 && random.IntN(4) == 0 {
				batch = append(batch, past[random.IntN(len(past))])
				continue
			}
			received = received.Add(time.Millisecond)
			// The numbers grow with the arrivals, so that no overwrite happens to
			// restore what was there before.
			at := base.Add(time.Duration(random.IntN(150)) * time.Minute)
			m := say(ids[random.IntN(3)], at, received, wards[random.IntN(3)])
			for _, q := range quantities[:1+random.IntN(3)] {
				m.Observations[0].Values = append(m.Observations[0].Values,
					devices.Value{Quantity: devices.Quantity(q), Number: float64(received.UnixMilli())})
			}
			m.Observations[0].Flags = devices.Flags(random.IntN(8))
			batch = append(batch, m)
			past = append(past, m)
		}
		for _, m := range batch {
			o := m.Observations[0]
			for _, v := range o.Values {
				k := place{m.Device, v.Quantity, o.Time.UnixMilli()}
				if old, ok := model[k]; !ok || m.Received.After(old.Received) {
					model[k] = devices.Point{Time: o.Time, Received: m.Received, Number: v.Number, Zones: o.Zones, Flags: o.Flags}
				}
			}
		}
		w, err := e.Write(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		got.add(w)
	}
	if got.Overwrites == 0 || got.Duplicates == 0 || got.Rejected != 0 {
		t.Errorf("the run counted %+v and shows too little", got)
	}
	for _, id := range ids {
		for _, q := range quantities {
			var want []devices.Point
			for k, p := range model {
				if k.device == id && k.quantity == devices.Quantity(q) {
					want = append(want, p)
				}
			}
			slices.SortFunc(want, func(a, b devices.Point) int { return a.Time.Compare(b.Time) })
			points, err := e.Range(t.Context(), Query{Device: id, Quantity: devices.Quantity(q), From: base, To: base.Add(24 * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			samePoints(t, string(id)+" "+q, points, want)
		}
	}
}
