package opscenter

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// Two wards side by side, the second without a device, and a street in pieces.
const (
	twoWards = `{"type":"FeatureCollection","features":[
		{"type":"Feature","properties":{"code":"W-1","name":"Phường Đông Thành"},"geometry":{"type":"Polygon","coordinates":[[[106.10,20.40],[106.20,20.40],[106.20,20.50],[106.10,20.50],[106.10,20.40]]]}},
		{"type":"Feature","properties":{"code":"W-2","name":"Phường Nguyễn Ố"},"geometry":{"type":"Polygon","coordinates":[[[106.20,20.40],[106.30,20.40],[106.30,20.50],[106.20,20.50],[106.20,20.40]]]}}]}`
	twoPieces = `{"type":"FeatureCollection","features":[
		{"type":"Feature","properties":{"code":"S-1","name":"Đường Đông A"},"geometry":{"type":"LineString","coordinates":[[106.11,20.41],[106.12,20.41]]}},
		{"type":"Feature","properties":{"code":"S-2","name":"Đường Đông A"},"geometry":{"type":"LineString","coordinates":[[106.12,20.41],[106.13,20.41]]}}]}`
)

func (c *city) layer(name, query, body string) {
	c.t.Helper()
	if status, _, answer := c.call(c.admin, "POST", "/v1/layers/"+name+"?"+query, body); status != 200 {
		c.t.Fatalf("layer %s: %d %s", name, status, answer)
	}
}

// heard lets a device report as the doors would have it.
func (c *city) heard(id string, at time.Time, q devices.Quantity, v float64, flags devices.Flags) {
	c.hub.Apply([]*devices.Message{{Device: devices.ID(id), Received: at, Observations: []devices.Observation{{
		Time: at, Flags: flags, Values: []devices.Value{{Quantity: q, Number: v}},
	}}}})
}

type zonesAnswer struct {
	Zones []struct {
		Code, Name string
		Value      *float64
		N, Left    int
	}
}

func TestZoneAggregateCountsWhatIsNow(t *testing.T) {
	c := start(t, nil)
	c.layer("wards", "code=code&name=name&join=true", twoWards)
	for i := range 7 {
		c.add(fmt.Sprintf(`{"id":"a-%d","profile":"air-quality","at":[%g,20.45]}`, i, 106.11+float64(i)*0.01))
	}
	c.heard("a-0", noon, "pm25", 20, 0)
	c.heard("a-1", noon, "pm25", 60, 0)
	c.heard("a-2", noon.Add(-time.Hour), "pm25", 900, 0)    // silent
	c.heard("a-3", noon, "pm25", 5000, devices.OutOfRange)  // broken
	c.heard("a-4", noon, "pm25", 400, devices.ClockSuspect) // of who knows when
	c.heard("a-6", noon, "pm25", 800, devices.Exercise)     // of a drill
	for stat, want := range map[string]float64{"mean": 40, "min": 20, "max": 60} {
		var got zonesAnswer
		c.get("/v1/zones/aggregate?layer=wards&quantity=pm25&stat="+stat, &got)
		if len(got.Zones) != 2 || got.Zones[0].Code != "W-1" || got.Zones[0].Name != "Phường Đông Thành" {
			t.Fatalf("zones: %+v", got.Zones)
		}
		z := got.Zones[0]
		if z.Value == nil || math.Abs(*z.Value-want) > 1e-9 || z.N != 2 || z.Left != 3 {
			t.Errorf("%s: %+v; want %g of 2, 3 left out", stat, z, want)
		}
		if empty := got.Zones[1]; empty.Value != nil || empty.N != 0 {
			t.Errorf("a ward without devices has %+v", empty)
		}
	}
}

func TestZoneAggregateOverAWindow(t *testing.T) {
	c := start(t, nil)
	c.layer("wards", "code=code&name=name&join=true&valid_from=2025-07-01", twoWards)
	var got zonesAnswer
	c.get("/v1/zones/aggregate?quantity=pm25&window=1h", &got)
	if z := got.Zones[0]; z.Value == nil || *z.Value != 2 || z.N != 1 {
		t.Errorf("%+v; want what the history holds", z)
	}
	h := c.history
	if h.step != time.Hour || !h.to.Equal(noon) || !h.from.Equal(noon.Add(-time.Hour)) {
		t.Errorf("asked for %v to %v in steps of %v", h.from, h.to, h.step)
	}
	h.err = fmt.Errorf("down")
	if status, _, _ := c.call(c.admin, "GET", "/v1/zones/aggregate?quantity=pm25&window=1h", ""); status != 503 {
		t.Errorf("%d while history is down; want 503", status)
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/zones/aggregate?quantity=pm25", ""); status != 200 {
		t.Errorf("%d of what is now while history is down; want 200", status)
	}
	for query, want := range map[string]int{
		"quantity=no_such": 422, "quantity=rain_total": 422, "quantity=pm25&layer=no_such": 404, "quantity=pm25&window=1s": 422,
		"quantity=pm25&window=90d": 422, "quantity=pm25&window=soon": 422, "quantity=pm25&stat=median": 422, "": 422,
	} {
		if status, _, body := c.call(c.admin, "GET", "/v1/zones/aggregate?"+query, ""); status != want {
			t.Errorf("%s: %d %s; want %d", query, status, body, want)
		}
	}
}

func TestClustersOverHTTP(t *testing.T) {
	c := start(t, nil)
	for i := range 3 {
		c.add(fmt.Sprintf(`{"id":"a-%d","profile":"air-quality","at":[106.17,20.43]}`, i))
	}
	c.add(`{"id":"g-1","profile":"gateway","at":[106.17,20.43]}`)
	type answer struct {
		Cells []struct {
			At     [2]float64
			N      int
			Worst  int
			By     []int
			Device string
		}
	}
	var got answer
	c.get("/v1/live/clusters?view=106,20,107,21&zoom=9", &got)
	if len(got.Cells) != 1 || got.Cells[0].N != 4 || len(got.Cells[0].By) != 5 || math.Abs(got.Cells[0].At[0]-106.17) > 1e-6 {
		t.Errorf("%+v; want one cell of four", got.Cells)
	}
	profile, _ := c.api.Catalogue.Profile("air-quality")
	c.get("/v1/live/clusters?view=106,20,107,21&zoom=9&hide="+url.QueryEscape(profile.Class), &got)
	if len(got.Cells) != 1 || got.Cells[0].Device != "g-1" {
		t.Errorf("%+v; want the gateway alone", got.Cells)
	}
	for _, bad := range []string{"view=1,2,3&zoom=3", "view=a,b,c,d&zoom=3", "view=NaN,0,1,1&zoom=3", "view=0,0,1,1&zoom=40", "view=0,5,1,1&zoom=4", "zoom=3"} {
		if status, _, body := c.call(c.admin, "GET", "/v1/live/clusters?"+bad, ""); status != 422 {
			t.Errorf("%s: %d %s; want 422", bad, status, body)
		}
	}
}

func TestLinksFollowTheNodes(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"core","profile":"gateway","at":[106.16,20.43]}`)
	c.add(`{"id":"gw-1","profile":"gateway","at":[106.17,20.43],"upstream":"core"}`)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.18,20.43],"upstream":"gw-1"}`)
	c.add(`{"id":"a-2","profile":"air-quality","at":[106.18,20.44],"upstream":"gw-1"}`)
	c.add(`{"id":"alone","profile":"air-quality","at":[106.18,20.45]}`)
	c.heard("core", noon.Add(-time.Hour), "load", 10, 0)
	c.heard("gw-1", noon.Add(-time.Hour), "load", 10, 0)
	var got struct {
		Nodes []struct {
			ID               string
			Presence         string
			Children, Behind int
			Because          string
		}
		Device []string
		Node   []int
	}
	c.get("/v1/network/links", &got)
	if len(got.Nodes) != 2 || got.Nodes[0].ID != "core" || got.Nodes[0].Children != 1 || got.Nodes[0].Behind != 3 ||
		got.Nodes[1].Behind != 2 || got.Nodes[1].Presence != "silent" || got.Nodes[1].Because != "core" || got.Nodes[0].Because != "" {
		t.Errorf("nodes: %+v", got.Nodes)
	}
	links := ""
	for i, d := range got.Device {
		links += d + ">" + got.Nodes[got.Node[i]].ID + " "
	}
	if links != "a-1>gw-1 a-2>gw-1 gw-1>core " {
		t.Errorf("links: %s", links)
	}
}

func TestPlacesAreFoundWithoutDiacritics(t *testing.T) {
	c := start(t, nil)
	c.layer("wards", "code=code&name=name&join=true", twoWards)
	c.layer("streets", "code=code&name=name", twoPieces)
	find := func(q string) string {
		var got struct {
			Places []struct {
				Layer, Name string
				At          [2]float64
				Box         [4]float64
			}
		}
		c.get("/v1/places?q="+url.QueryEscape(q), &got)
		var names []string
		for _, p := range got.Places {
			if p.At[0] < p.Box[0] || p.At[0] > p.Box[2] || p.Box[0] == 0 {
				t.Errorf("%s lies at %v in %v", p.Name, p.At, p.Box)
			}
			names = append(names, p.Layer+"/"+p.Name)
		}
		return strings.Join(names, " ")
	}
	both := "wards/Phường Đông Thành streets/Đường Đông A"
	for q, want := range map[string]string{
		"dong": both, "ĐÔNG": both, "đông": both, "nguyen o": "wards/Phường Nguyễn Ố",
		"W-2": "wards/Phường Nguyễn Ố", "no such place": "",
	} {
		if got := find(q); got != want {
			t.Errorf("%q finds %q; want %q", q, got, want)
		}
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/places?q=%20", ""); status != 422 {
		t.Errorf("a blank question: %d; want 422", status)
	}
}
