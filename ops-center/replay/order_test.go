package replay

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

// shelf is a store in memory.
type shelf struct{ samples []Sample }

func (s *shelf) At(_ context.Context, t time.Time, each func(Sample) error) error {
	newest := map[string]Sample{}
	for _, one := range s.samples {
		k := string(one.Device) + "/" + string(one.Quantity)
		if old, ok := newest[k]; !one.Received.After(t) && (!ok || one.Time.After(old.Time)) {
			newest[k] = one
		}
	}
	for _, one := range newest {
		if err := each(one); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Between(_ context.Context, from, to time.Time, each func(Sample) error) error {
	for _, one := range s.samples {
		if !one.Time.Before(from) && one.Time.Before(to) {
			if err := each(one); err != nil {
				return err
			}
		}
	}
	return nil
}

type quiet struct{}

func (quiet) At(context.Context, time.Time) ([]alert.Alarm, error) { return nil, nil }
func (quiet) Transitions(context.Context, time.Time, time.Time, func(*alert.Transition) error) error {
	return nil
}

type bucket map[string][]byte

func (b bucket) Put(_ context.Context, k string, v []byte) error { b[k] = v; return nil }
func (b bucket) PutAll(ctx context.Context, all map[string][]byte) error {
	for k, v := range all {
		b[k] = v
	}
	return nil
}
func (b bucket) Delete(_ context.Context, k string) error { delete(b, k); return nil }
func (b bucket) Load(_ context.Context, f func(string, []byte) error) error {
	for k, v := range b {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

// TestOrderAtFullSpeed plays an hour in six seconds. Three thousand devices say
// one thing each, so that none may be missed however much a screen is told at
// once; one gauge speaks each second and must only ever go on; a tenth of all
// comes late, and is shown when it came.
func TestOrderAtFullSpeed(t *testing.T) {
	register, err := devices.OpenRegister(t.Context(), bucket{}, devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	end := begin.Add(time.Hour)
	const crowd = 3000
	past := &shelf{}
	say := func(id devices.ID, at, received time.Time, v float64) {
		past.samples = append(past.samples, Sample{Device: id, Quantity: "water_level", Point: devices.Point{Time: at, Received: received, Number: v}})
	}
	came := map[devices.ID]time.Time{}
	for i := range crowd {
		id := devices.ID(fmt.Sprintf("r-%04d", i))
		at := begin.Add(time.Duration(i+1) * (time.Hour - time.Minute) / (crowd + 1))
		received := at
		if i%10 == 3 {
			received = at.Add(time.Duration(i%7) * time.Minute) // within the hour, or not shown
		}
		if !received.After(end.Add(-30 * time.Second)) {
			came[id] = received
		}
		say(id, at, received, float64(i))
	}
	for i := range 3600 {
		at := begin.Add(time.Duration(i) * time.Second)
		say("gauge", at, at, float64(i))
	}
	for _, id := range append([]devices.ID{"gauge"}, slices.Collect(func(yield func(devices.ID) bool) {
		for i := range crowd {
			if !yield(devices.ID(fmt.Sprintf("r-%04d", i))) {
				return
			}
		}
	})...) {
		if _, err := register.Add(t.Context(), devices.Device{ID: id, Profile: "river-level", Added: begin.Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	// The register notes when a device was added; in the replay all were there.
	now := time.Now()
	shift := now.Add(24 * time.Hour).Sub(begin)
	for i := range past.samples {
		past.samples[i].Time, past.samples[i].Received = past.samples[i].Time.Add(shift), past.samples[i].Received.Add(shift)
	}
	for id, at := range came {
		came[id] = at.Add(shift)
	}
	begin, end = begin.Add(shift), end.Add(shift)

	machine, err := New(Options{
		Register: register, Past: past, Alarms: quiet{}, Retention: 240 * time.Hour, Tick: 50 * time.Millisecond,
		Show: func(alert.Alarm) (live.Alarm, error) { return live.Alarm{}, nil },
		Now:  func() time.Time { return end.Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(*http.Request) (live.Viewer, func() bool, bool, error) {
		return live.Viewer{Name: "test"}, func() bool { return true }, true, nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/replay", machine.Handler(admit, nil))
	mux.HandleFunc("GET /v1/replay/{hub}/dictionary", func(w http.ResponseWriter, r *http.Request) {
		machine.Dictionary(w, r, r.PathValue("hub"))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer func() {
		if err := machine.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	d := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	started := time.Now()
	c, _, err := d.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/v1/replay?speed=600&at="+fmt.Sprint(begin.UnixMilli()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	var dictionary string
	var names []string
	seen := map[string]float64{}
	last, steps := -1.0, 0
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	for clock := begin; clock.Before(end); {
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("at %s, with %d devices heard: %v", clock, len(seen), err)
		}
		if kind == websocket.TextMessage {
			var m struct {
				Type   string
				Now    int64
				Replay *live.ReplayState
			}
			if err := json.Unmarshal(b, &m); err != nil {
				t.Fatal(err)
			}
			if m.Replay != nil {
				dictionary = m.Replay.Dictionary
				clock = time.UnixMilli(m.Replay.At)
			}
			continue
		}
		if b[5] == 3 {
			continue
		}
		if names == nil {
			names = channelNames(t, srv.URL+dictionary)
		}
		n := int(binary.LittleEndian.Uint32(b[8:]))
		for i := range n {
			ch := binary.LittleEndian.Uint32(b[32+4*i:])
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[32+4*n+4*i:])))
			if math.IsNaN(v) {
				continue
			}
			if names[ch] != "gauge" {
				seen[names[ch]] = v
				continue
			}
			if v < last {
				t.Errorf("the gauge goes back from %v to %v", last, v)
			}
			last = v
			steps++
		}
	}
	took := time.Since(started)
	missing := 0
	for id := range came {
		if _, ok := seen[string(id)]; !ok {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d devices were never shown", missing, len(came))
	}
	if last < 3500 || steps < 20 {
		t.Errorf("the gauge came to %v in %d steps", last, steps)
	}
	if took > 12*time.Second {
		t.Errorf("an hour at 600 times took %s", took)
	}
	t.Logf("%d devices and a gauge in %d steps, an hour in %s", len(seen), steps, took)
}

func channelNames(t *testing.T, address string) []string {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var dict struct {
		Devices  struct{ ID []string }
		Channels struct{ Device []int }
	}
	if err := json.NewDecoder(r.Body).Decode(&dict); err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(dict.Channels.Device))
	for i, d := range dict.Channels.Device {
		names[i] = dict.Devices.ID[d]
	}
	return names
}
