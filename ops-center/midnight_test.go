package opscenter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
	"vonglau/ops-center/replay"
)

// lastNight is a store of readings, as the time machine asks it.
type lastNight []replay.Sample

func (n lastNight) At(_ context.Context, t time.Time, each func(replay.Sample) error) error {
	newest := map[devices.ID]replay.Sample{}
	for _, s := range n {
		if !s.Received.After(t) && !s.Time.Before(newest[s.Device].Time) {
			newest[s.Device] = s
		}
	}
	for _, s := range newest {
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

func (n lastNight) Between(_ context.Context, from, to time.Time, each func(replay.Sample) error) error {
	for _, s := range n {
		if !s.Time.Before(from) && s.Time.Before(to) {
			if err := each(s); err != nil {
				return err
			}
		}
	}
	return nil
}

type noAlarms struct{}

func (noAlarms) At(context.Context, time.Time) ([]alert.Alarm, error) { return nil, nil }
func (noAlarms) Transitions(context.Context, time.Time, time.Time, func(*alert.Transition) error) error {
	return nil
}

// TestBoundariesChangeAtMidnight replays the minutes around a midnight at which
// two wards became one: the zones, what they are coloured by, what a place lies
// in, the search and the tiles are those of the moment, and the readings are
// counted where they were taken. The links of the network are heard as they were.
func TestBoundariesChangeAtMidnight(t *testing.T) {
	calendar := time.FixedZone("+07", 7*3600)
	day := noon.In(calendar)
	midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, calendar)
	today, before := midnight.Format(time.DateOnly), midnight.AddDate(0, 0, -1).Format(time.DateOnly)

	var c *city
	night := lastNight{}
	c = start(t, func(o *Options) {
		machine, err := replay.New(replay.Options{
			Register: o.Register, Past: &night, Alarms: noAlarms{}, Retention: 400 * 24 * time.Hour, Tick: 20 * time.Millisecond,
			Show: func(alert.Alarm) (live.Alarm, error) { return live.Alarm{}, nil },
			Now:  func() time.Time { return noon },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Replays = machine
		t.Cleanup(func() {
			if err := machine.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	})
	c.layer("wards", "code=code&name=name&join=true&valid_to="+before, twoWards)
	one := `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"N-1","name":"Phường Nam Định"},"geometry":
		{"type":"Polygon","coordinates":[[[106.10,20.40],[106.30,20.40],[106.30,20.50],[106.10,20.50],[106.10,20.40]]]}}]}`
	c.layer("wards", "code=code&name=name&join=true&valid_from="+today, one)
	for _, d := range []devices.Device{
		{ID: "gw", Profile: "gateway", At: devices.Position{Lon: 106.15, Lat: 20.45}},
		{ID: "a-w", Profile: "air-quality", At: devices.Position{Lon: 106.15, Lat: 20.45}, Upstream: "gw"},
		{ID: "a-e", Profile: "air-quality", At: devices.Position{Lon: 106.25, Lat: 20.45}, Upstream: "gw"},
	} {
		d.Added = midnight.Add(-24 * time.Hour)
		if _, err := c.register.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	add := func(id devices.ID, lon float64, at time.Time, q devices.Quantity, v float64) {
		zones := c.api.Layers.Place(lon, 20.45, geo.Day(at, calendar), nil)
		night = append(night, replay.Sample{Device: id, Quantity: q, At: devices.Position{Lon: lon, Lat: 20.45},
			Point: devices.Point{Time: at, Received: at, Number: v, Zones: zones}})
	}
	for m := -5; m <= 5; m++ {
		at := midnight.Add(time.Duration(m) * time.Minute)
		add("a-w", 106.15, at, "pm25", 20)
		add("a-e", 106.25, at, "pm25", 60)
	}
	dialer := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	socket, _, err := dialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/v1/replay?paused=1&at="+
		fmt.Sprint(midnight.Add(-time.Minute).UnixMilli()), http.Header{"Authorization": {"Bearer " + c.admin}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	var hub string
	reach := func(at time.Time) {
		t.Helper()
		_ = socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		for {
			kind, body, err := socket.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			var m struct {
				Type, Hub string
				Replay    *live.ReplayState
				live.ReplayState
			}
			if kind != websocket.TextMessage || json.Unmarshal(body, &m) != nil {
				continue
			}
			if m.Type == "hello" {
				hub = m.Hub
			}
			where := m.ReplayState
			if m.Replay != nil {
				where = *m.Replay
			}
			if where.At == at.UnixMilli() && !where.Loading {
				return
			}
		}
	}
	check := func(at time.Time, want map[string]float64, name string) {
		t.Helper()
		reach(at)
		var got zonesAnswer
		c.get("/v1/zones/aggregate?layer=wards&quantity=pm25&replay="+hub, &got)
		have := map[string]float64{}
		for _, z := range got.Zones {
			if z.Value != nil {
				have[z.Code] = *z.Value
			}
		}
		if fmt.Sprint(have) != fmt.Sprint(want) || len(got.Zones) != len(want) {
			t.Errorf("at %s zones have %v of %d, want %v", at, have, len(got.Zones), want)
		}
		then := url.QueryEscape(at.Format(time.RFC3339))
		var place struct{ Zones []struct{ Name string } }
		c.get("/v1/place?lon=106.15&lat=20.45&at="+then, &place)
		if len(place.Zones) != 1 || place.Zones[0].Name != name {
			t.Errorf("at %s the place lies in %v, want %s", at, place.Zones, name)
		}
		var found struct{ Places []struct{ Name string } }
		c.get("/v1/places?q=phuong&at="+then, &found)
		if !slices.ContainsFunc(found.Places, func(p struct{ Name string }) bool { return p.Name == name }) || len(found.Places) != len(want) {
			t.Errorf("at %s the search finds %v", at, found.Places)
		}
	}
	tile := func(at time.Time) string {
		t.Helper()
		status, _, body := c.call(c.admin, "GET", "/v1/layers/wards/tiles/9/407/226.mvt?at="+at.Format(time.DateOnly), "")
		if status != 200 {
			t.Fatalf("the tile: %d", status)
		}
		return body
	}
	check(midnight.Add(-time.Minute), map[string]float64{"W-1": 20, "W-2": 60}, "Phường Đông Thành")
	if err := socket.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"seek","at":%d}`, midnight.Add(time.Minute).UnixMilli())); err != nil {
		t.Fatal(err)
	}
	check(midnight.Add(time.Minute), map[string]float64{"N-1": 40}, "Phường Nam Định")
	if old, fresh := tile(midnight.Add(-time.Minute)), tile(midnight.Add(time.Minute)); !strings.Contains(old, "W-1") || strings.Contains(old, "N-1") || !strings.Contains(fresh, "N-1") {
		t.Error("the tiles of the two days are not those of their boundaries")
	}
	var links linksAnswer
	c.get("/v1/network/links?replay="+hub, &links)
	if len(links.Device) != 2 || len(links.Nodes) != 1 || links.Nodes[0].Presence != devices.Never || links.Nodes[0].Behind != 2 {
		t.Errorf("the links of then are %+v", links)
	}
	var now linksAnswer
	c.heard("gw", noon, "rssi", -60, 0)
	c.get("/v1/network/links", &now)
	if len(now.Nodes) != 1 || now.Nodes[0].Presence != devices.Online {
		t.Errorf("the links of now are %+v", now)
	}
	c.get("/v1/network/links?replay="+hub, &links)
	if links.Nodes[0].Presence != devices.Never {
		t.Errorf("what was heard now is in the links of then: %+v", links)
	}
}

type linksAnswer struct {
	Nodes []struct {
		ID       devices.ID
		Presence devices.Presence
		Behind   int
	}
	Device []devices.ID
}
