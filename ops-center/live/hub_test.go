package live

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vonglau/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quantities = []devices.QuantityInfo{
		{Name: "temperature", Unit: "Cel"}, {Name: "pm25", Unit: "ug/m3"}, {Name: "speed", Unit: "km/h"}, {Name: "battery", Unit: "%EL"},
	}
	profiles = []*devices.Profile{
		{Name: "air", Main: "pm25", Interval: 10 * time.Second, Fields: []devices.Field{{Quantity: "temperature"}, {Quantity: "pm25"}}},
		{Name: "bus", Main: "speed", Interval: 5 * time.Second, Moving: true, Fields: []devices.Field{{Quantity: "speed"}}},
	}
	noon = time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
)

func newHub(t testing.TB, change func(*Options)) *Hub {
	t.Helper()
	o := Options{Quantities: quantities, Profiles: profiles}
	if change != nil {
		change(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// city registers n air stations on a line of longitudes, 0.01 degrees apart.
func city(h *Hub, n int) {
	list := make([]*devices.Device, n)
	for i := range list {
		list[i] = &devices.Device{
			ID: devices.ID(fmt.Sprintf("air-%d", i)), Name: fmt.Sprint("Trạm ", i), Profile: "air", State: devices.Active,
			At: devices.Position{Lon: 106 + float64(i)*0.01, Lat: 20.4},
		}
	}
	h.ApplyDevice(list...)
}

func message(id string, received, at time.Time, values ...any) *devices.Message {
	o := devices.Observation{Time: at}
	for i := 0; i < len(values); i += 2 {
		o.Values = append(o.Values, devices.Value{Quantity: devices.Quantity(values[i].(string)), Number: values[i+1].(float64)})
	}
	return &devices.Message{Device: devices.ID(id), Received: received, Observations: []devices.Observation{o}}
}

func latest(t *testing.T, h *Hub, id devices.ID, q devices.Quantity) (Latest, bool) {
	t.Helper()
	all, _ := h.LatestOf(id)
	for _, l := range all {
		if l.Quantity == q {
			return l, true
		}
	}
	return Latest{}, false
}

func TestLatestWins(t *testing.T) {
	type arrival struct {
		received, time time.Duration // after noon
		value          float64
	}
	for _, c := range []struct {
		name     string
		arrivals []arrival
		want     float64
	}{
		{"in order", []arrival{{1, 0, 1}, {11, 10, 2}}, 2},
		{"late one does not move it back", []arrival{{11, 10, 2}, {12, 0, 1}}, 2},
		{"equal time, later arrival", []arrival{{11, 10, 2}, {12, 10, 3}}, 3},
		{"equal time, replayed from the past", []arrival{{12, 10, 3}, {11, 10, 2}}, 3},
		{"clock ahead, then set right", []arrival{{0, 300, 1}, {10, 9, 2}}, 2},
		{"clock ahead, its own duplicate", []arrival{{0, 300, 1}, {10, 310, 2}, {11, 300, 1}}, 2},
		{"clock ahead, then an old one from a buffer", []arrival{{0, 300, 1}, {10, -3600, 2}}, 1},
	} {
		h := newHub(t, nil)
		city(h, 1)
		for range 2 { // the second time is a replay and changes nothing
			for _, a := range c.arrivals {
				h.Apply([]*devices.Message{message("air-0", noon.Add(a.received*time.Second), noon.Add(a.time*time.Second), "pm25", a.value)})
			}
			if got, ok := latest(t, h, "air-0", "pm25"); !ok || got.Number != c.want {
				t.Errorf("%s: got %v, want %v", c.name, got.Number, c.want)
			}
		}
	}
}

func TestLatestCarriesWhatTheAPITells(t *testing.T) {
	h := newHub(t, nil)
	city(h, 1)
	m := message("air-0", noon.Add(2*time.Second), noon, "pm25", 12.5)
	m.Observations[0].Zones = []devices.ZoneRef{{Layer: "wards", Code: "VL-01", ValidFrom: "2025-07-01"}}
	m.Observations[0].Flags = devices.Late
	h.Apply([]*devices.Message{m})
	got, ok := latest(t, h, "air-0", "pm25")
	if !ok || got.Unit != "ug/m3" || !got.Time.Equal(noon) || !got.Received.Equal(noon.Add(2*time.Second)) ||
		len(got.Zones) != 1 || got.Zones[0].Code != "VL-01" || got.Flags != devices.Late {
		t.Errorf("got %+v", got)
	}
	if _, ok := h.LatestOf("nobody"); ok {
		t.Error("an unknown device has a latest value")
	}
	if p, ok := h.PresenceOf("air-0"); !ok || !p.Seen.Equal(noon.Add(2*time.Second)) || p.Link != nil {
		t.Errorf("presence: got %+v", p)
	}
	for i, state := range []devices.LinkState{devices.LinkOffline, devices.LinkOnline} { // the second is older
		h.ApplyStatus([]*devices.Status{{Device: "air-0", At: noon.Add(-time.Duration(i) * time.Second), State: state}})
	}
	if p, _ := h.PresenceOf("air-0"); p.Link == nil || p.Link.State != devices.LinkOffline {
		t.Errorf("link: got %+v", p.Link)
	}
}

func TestOnlyRegisteredAndApprovedAreShown(t *testing.T) {
	h := newHub(t, nil)
	h.ApplyDevice(&devices.Device{ID: "new", Profile: "air", State: devices.Quarantine},
		&devices.Device{ID: "old", Profile: "air", State: devices.Retired})
	h.Apply([]*devices.Message{message("new", noon, noon, "pm25", 1.0), message("old", noon, noon, "pm25", 1.0), message("stranger", noon, noon, "pm25", 1.0)})
	for _, id := range []devices.ID{"new", "old", "stranger"} {
		if _, ok := h.LatestOf(id); ok {
			t.Errorf("%s is shown", id)
		}
	}
	if got := h.state.ignored; got != 3 {
		t.Errorf("ignored %d values, want 3", got)
	}
}

// flushed makes a tick now and gives what everyone is sent of it.
func flushed(t *testing.T, h *Hub) (updates []FrameUpdate, positions []FramePosition) {
	t.Helper()
	cursor := h.seq
	h.flush(time.Now())
	ticks, ok := h.since(cursor)
	if !ok || len(ticks) > 1 {
		t.Fatalf("since(%d): %d ticks, %v", cursor, len(ticks), ok)
	}
	for _, tk := range ticks {
		f, err := ParseFrame(encodeUpdates(tk.kind, tk.dict, tk.last, tk.updates))
		if err != nil {
			t.Fatal(err)
		}
		updates = f.Updates
		if f, err = ParseFrame(encodeMoves(tk.dict, tk.last, tk.moves)); err != nil {
			t.Fatal(err)
		}
		positions = f.Positions
	}
	return updates, positions
}

func TestTickCoalesces(t *testing.T) {
	h := newHub(t, nil)
	city(h, 3)
	flushed(t, h)
	for i := range 10 {
		at := noon.Add(time.Duration(i) * time.Second)
		h.Apply([]*devices.Message{message("air-1", at, at, "pm25", float64(i))})
	}
	us, _ := flushed(t, h)
	if len(us) != 1 || us[0].Value != 9 {
		t.Errorf("got %+v, want one update of 9", us)
	}
	at := noon.Add(9 * time.Second)
	h.Apply([]*devices.Message{message("air-1", at.Add(time.Second), at, "pm25", 9.0)})
	if us, _ := flushed(t, h); len(us) != 0 {
		t.Errorf("a duplicate was sent: %+v", us)
	}
}

func TestSeverityFollowsWorstAlarm(t *testing.T) {
	h := newHub(t, nil)
	city(h, 2)
	h.Start()
	defer h.Stop(context.Background())
	alarm := func(id string, severity uint8, open bool) Alarm {
		return Alarm{ID: id, Device: "air-1", Priority: 2, Severity: severity, Open: open, JSON: []byte(`{}`)}
	}
	for i, step := range []struct {
		a    Alarm
		want uint8
	}{
		{alarm("a", 3, true), 3},
		{alarm("b", 1, true), 1},
		{alarm("b", 0, true), 3}, // shelved: open, but not on the map
		{alarm("b", 1, true), 1},
		{alarm("b", 0, false), 3},
		{alarm("a", 0, false), 0},
	} {
		h.ApplyAlarm(step.a)
		if p, _ := h.PresenceOf("air-1"); p.Severity != step.want {
			t.Errorf("step %d: severity %d, want %d", i, p.Severity, step.want)
		}
	}
	if len(h.state.alarms) != 0 || len(h.state.colours) != 0 {
		t.Errorf("left over: %v %v", h.state.alarms, h.state.colours)
	}
}

func TestAlarmBeforeItsDevice(t *testing.T) {
	h := newHub(t, nil)
	h.ApplyAlarm(Alarm{ID: "a", Device: "air-0", Priority: 2, Severity: 2, Open: true, JSON: []byte(`{}`)})
	city(h, 1)
	if p, _ := h.PresenceOf("air-0"); p.Severity != 2 {
		t.Errorf("severity %d, want 2", p.Severity)
	}
}

func TestSilence(t *testing.T) {
	h := newHub(t, nil)
	city(h, 1)
	h.Apply([]*devices.Message{message("air-0", noon, noon, "pm25", 1.0)})
	flushed(t, h)
	if h.state.sweep(noon.Add(40 * time.Second)) {
		t.Error("silent after exactly four intervals")
	}
	if !h.state.sweep(noon.Add(40*time.Second + time.Millisecond)) {
		t.Fatal("not silent after four intervals")
	}
	us, _ := flushed(t, h)
	if len(us) != 2 || us[0].Quality&QualitySilent == 0 || us[1].Quality&QualitySilent == 0 {
		t.Errorf("got %+v, want both channels silent", us)
	}
	// A buffered report proves that the device lives, though its value is old.
	h.Apply([]*devices.Message{message("air-0", noon.Add(time.Minute), noon.Add(-time.Hour), "pm25", 2.0)})
	us, _ = flushed(t, h)
	if len(us) != 2 || us[0].Quality&QualitySilent != 0 || us[0].Value != 1 {
		t.Errorf("got %+v, want no longer silent, still 1", us)
	}
}

func TestMoving(t *testing.T) {
	h := newHub(t, nil)
	h.ApplyDevice(&devices.Device{ID: "bus-1", Profile: "bus", State: devices.Active})
	flushed(t, h)
	at := func(sec int, lon float64) {
		m := message("bus-1", noon.Add(time.Duration(sec)*time.Second), noon.Add(time.Duration(sec)*time.Second), "speed", 30.0)
		m.Observations[0].At = devices.Position{Lon: lon, Lat: 20.4}
		h.Apply([]*devices.Message{m})
	}
	at(0, 106.1)
	at(5, 106.2)
	at(3, 106.15) // late
	if _, ps := flushed(t, h); len(ps) != 1 || ps[0].Lon != 106.2 {
		t.Errorf("got %+v, want 106.2", ps)
	}
	at(10, 106.2) // it stands
	if _, ps := flushed(t, h); len(ps) != 0 {
		t.Errorf("a standing bus moved: %+v", ps)
	}
	// It leaves a view: the screen is told where it went, once.
	view := newSubscription(&[4]float64{106.19, 20, 106.21, 21}, nil, 4)
	at(15, 106.3)
	h.flush(time.Now())
	if ms := view.filterMoves(h.ring[len(h.ring)-1].moves); len(ms) != 1 {
		t.Errorf("leaving: got %d moves, want 1", len(ms))
	}
	at(20, 106.4)
	h.flush(time.Now())
	if ms := view.filterMoves(h.ring[len(h.ring)-1].moves); len(ms) != 0 {
		t.Errorf("outside: got %d moves, want 0", len(ms))
	}
}

func TestDictionaryIsStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, nil)
		city(h, 2)
		h.flush(time.Now())
		read := func() (d struct {
			Dict    uint32
			Devices struct {
				ID     []string
				Lon    []*float64
				Hidden []bool
			}
			Channels struct{ Device, Quantity []int }
		}) {
			_, body, err := h.Dictionary()
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(body, &d); err != nil {
				t.Fatal(err)
			}
			return d
		}
		first := read()
		if first.Dict != 1 || len(first.Devices.ID) != 2 || len(first.Channels.Device) != 4 || first.Channels.Quantity[0] != 1 {
			t.Fatalf("got %+v", first)
		}
		// A quantity outside the profile makes a channel that is sent only when
		// a dictionary has it.
		h.Apply([]*devices.Message{message("air-0", noon, noon, "battery", 50.0)})
		h.RemoveDevice("air-1")
		us, _ := flushed(t, h)
		for _, u := range us {
			if u.Channel >= 4 {
				t.Errorf("channel %d was sent before its dictionary", u.Channel)
			}
		}
		time.Sleep(time.Second)
		us, _ = flushed(t, h)
		if len(us) != 1 || us[0].Channel != 4 || us[0].Value != 50 {
			t.Errorf("got %+v, want channel 4", us)
		}
		second := read()
		if second.Dict != 2 || len(second.Channels.Device) != 5 || second.Devices.ID[1] != "air-1" ||
			!second.Devices.Hidden[1] || second.Devices.Lon[1] != nil {
			t.Errorf("got %+v", second)
		}
		h.Apply([]*devices.Message{message("air-1", noon, noon, "pm25", 1.0)})
		if _, ok := h.LatestOf("air-1"); ok {
			t.Error("a removed device is shown")
		}
	})
}

func TestServeDictionary(t *testing.T) {
	h := newHub(t, nil)
	city(h, 200)
	h.flush(time.Now())
	get := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/live/dictionary", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeDictionary(w, r)
		return w
	}
	plain := get()
	tag := plain.Header().Get("ETag")
	if plain.Code != 200 || tag == "" || !json.Valid(plain.Body.Bytes()) {
		t.Fatalf("got %d, tag %q", plain.Code, tag)
	}
	for accept, packed := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "br": false, "": false} {
		w := get("Accept-Encoding", accept)
		body := io.Reader(w.Body)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("%q: packed %v, want %v", accept, got, packed)
			continue
		}
		if packed {
			zr, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = zr
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != plain.Body.String() {
			t.Errorf("%q: another dictionary, %v", accept, err)
		}
	}
	if w := get("If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("same: %d", w.Code)
	}
	h.RemoveDevice("air-0")
	h.flush(time.Now().Add(time.Second))
	if w := get("If-None-Match", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("changed: %d, tag %q", w.Code, w.Header().Get("ETag"))
	}
}

func TestRingIsBounded(t *testing.T) {
	h := newHub(t, func(o *Options) { o.Ring = 10 })
	city(h, 1)
	h.flush(time.Now())
	for i := range 50 {
		at := noon.Add(time.Duration(i) * time.Second)
		h.Apply([]*devices.Message{message("air-0", at, at, "pm25", float64(i))})
		h.flush(at)
	}
	if len(h.ring) != 10 {
		t.Errorf("%d ticks are kept, want 10", len(h.ring))
	}
	size := 0
	for _, tk := range h.ring {
		size += tk.size()
	}
	if size != h.ringSize {
		t.Errorf("counted %d bytes, have %d", h.ringSize, size)
	}
	for _, c := range []struct {
		cursor uint64
		ok     bool
	}{{h.seq, true}, {h.floor, true}, {h.floor - 1, false}, {h.seq + 1, false}} {
		if _, ok := h.since(c.cursor); ok != c.ok {
			t.Errorf("since(%d): %v, want %v", c.cursor, ok, c.ok)
		}
	}
}

// A screen that falls behind must end up with what one that kept up has.
func TestMergeEqualsSequence(t *testing.T) {
	h := newHub(t, nil)
	city(h, 5)
	h.ApplyDevice(&devices.Device{ID: "bus-1", Profile: "bus", State: devices.Active})
	h.started = true // alarms are news
	h.flush(time.Now())
	start := h.seq
	for i := range 20 {
		at := noon.Add(time.Duration(i) * time.Second)
		m := message("bus-1", at, at, "speed", float64(i))
		m.Observations[0].At = devices.Position{Lon: 106 + float64(i)/100, Lat: 20.4}
		h.Apply([]*devices.Message{m, message(fmt.Sprint("air-", i%5), at, at, "pm25", float64(i))})
		h.ApplyAlarm(Alarm{ID: fmt.Sprint(i % 3), Priority: 1, Open: true, JSON: fmt.Appendf(nil, `{"n":%d}`, i)})
		h.flush(at)
	}
	ticks, ok := h.since(start)
	if !ok || len(ticks) != 20 {
		t.Fatalf("%d ticks, %v", len(ticks), ok)
	}
	values, places, alarms := map[uint32]float32{}, map[uint32]devices.Position{}, []string{}
	for _, tk := range ticks {
		for _, u := range tk.updates {
			values[u.channel] = u.value
		}
		for _, m := range tk.moves {
			places[m.device] = m.at
		}
		for _, a := range tk.alarms {
			alarms = append(alarms, string(a.alarm.JSON))
		}
	}
	m := merge(ticks, start)
	if len(m.updates) != len(values) || len(m.moves) != len(places) || len(m.alarms) != 20 || m.last != h.seq {
		t.Fatalf("merged %d values, %d moves, %d alarms, last %d", len(m.updates), len(m.moves), len(m.alarms), m.last)
	}
	for _, u := range m.updates {
		if u.value != values[u.channel] {
			t.Errorf("channel %d: %v, want %v", u.channel, u.value, values[u.channel])
		}
	}
	for _, v := range m.moves {
		if v.at != places[v.device] {
			t.Errorf("device %d: %v, want %v", v.device, v.at, places[v.device])
		}
	}
	for i, a := range m.alarms {
		if string(a.alarm.JSON) != alarms[i] {
			t.Errorf("alarm %d: %s, want %s", i, a.alarm.JSON, alarms[i])
		}
	}
}

func TestFlushWaitsForTheTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, func(o *Options) { o.Tick, o.Settle = 250*time.Millisecond, 20*time.Millisecond })
		city(h, 1)
		h.Start()
		defer h.Stop(context.Background())
		time.Sleep(5 * time.Second)
		begin, ticks := time.Now(), h.ticks()
		apply := func(v float64) {
			h.Apply([]*devices.Message{message("air-0", time.Now(), time.Now(), "pm25", v)})
		}
		apply(1)
		time.Sleep(21 * time.Millisecond)
		synctest.Wait()
		if got := h.ticks() - ticks; got != 1 {
			t.Fatalf("%v after the first change: %d ticks, want 1", time.Since(begin), got)
		}
		for i := range 100 { // 1 s of changes
			apply(float64(i))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if got := h.ticks() - ticks; got < 4 || got > 6 {
			t.Errorf("%d ticks in the second, want about 4", got-1)
		}
	})
}

func (h *Hub) ticks() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.ring)
}

func TestSubscriptionFilter(t *testing.T) {
	nan := float32(math.NaN())
	us := []update{
		{channel: 0, quantity: 0, lon: 106, lat: 20.4},
		{channel: 1, quantity: 1, lon: 106, lat: 20.4},
		{channel: 2, quantity: 1, lon: 107, lat: 20.4},
		{channel: 3, quantity: 1, lon: nan, lat: nan},
		{channel: 4, quantity: 1, lon: -179.5, lat: 0},
	}
	for _, c := range []struct {
		name string
		view *[4]float64
		qs   []uint16
		want []uint32
	}{
		{"everything", nil, nil, []uint32{0, 1, 2, 3, 4}},
		{"quantity", nil, []uint16{1, 1}, []uint32{1, 2, 3, 4}},
		{"no quantity", nil, []uint16{}, nil},
		{"view", &[4]float64{105.5, 20, 106.5, 21}, nil, []uint32{0, 1}},
		{"both", &[4]float64{105.5, 20, 107, 21}, []uint16{1}, []uint32{1, 2}},
		{"antimeridian", &[4]float64{179, -1, -179, 1}, nil, []uint32{4}},
	} {
		s := newSubscription(c.view, c.qs, 4)
		var got []uint32
		for _, u := range s.filter(us) {
			got = append(got, u.channel)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no quantities": {},
		"tick":          {Quantities: quantities, Tick: time.Millisecond},
		"settle":        {Quantities: quantities, Settle: time.Second},
		"ring":          {Quantities: quantities, Ring: -1},
		"screens":       {Quantities: quantities, MaxScreens: -1},
		"timeout":       {Quantities: quantities, WriteTimeout: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// In a city that never pauses the values wait for their tick, an alarm for a
// tenth of a second at most, and a flood of alarms makes no flood of ticks.
func TestAlarmDoesNotWaitForValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, nil)
		city(h, 1)
		h.Start()
		defer h.Stop(context.Background())
		for step := range 300 { // 3 s of values, an alarm each 130 ms
			h.Apply([]*devices.Message{message("air-0", time.Now(), time.Now(), "pm25", float64(step))})
			if step%13 == 0 {
				h.ApplyAlarm(alarm(step, "unacknowledged"))
				raised := time.Now()
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				h.mu.RLock()
				waits := len(h.pending)
				h.mu.RUnlock()
				if waits != 0 {
					t.Fatalf("alarm %d waits for longer than %v", step, time.Since(raised))
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		before := h.ticks()
		for n := range 1000 { // 1 s
			h.ApplyAlarm(alarm(n, "acknowledged"))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if got := h.ticks() - before; got < 8 || got > 11 {
			t.Errorf("%d ticks in a second of alarms, want about 10", got)
		}
	})
}
