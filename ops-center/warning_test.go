package opscenter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/drill"
	"vonglau/ops-center/warning"
)

// warned is a city with public messages and one running drill, and an alarm of
// either.
func warned(t *testing.T) (c *city, ofCity, ofDrill, drillID string) {
	t.Helper()
	var drills *drill.Drills
	c = start(t, func(o *Options) {
		var err error
		o.Warnings, err = warning.Open(t.Context(), warning.Options{
			Log: &actRecords{}, Calendar: o.Calendar, Identity: warning.Identity{Sender: "ops@warnings.example", Name: warning.Text{VI: "Trung tâm", EN: "Center"}},
			Zone: func(warning.Zone) (string, orb.Geometry, bool) {
				return "Phường Một", orb.Polygon{{{106.15, 20.42}, {106.19, 20.42}, {106.19, 20.45}, {106.15, 20.45}, {106.15, 20.42}}}, true
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		drills, err = drill.Open(t.Context(), drill.Options{
			Log: &actRecords{}, Register: o.Register, Summarise: func(context.Context, drill.Drill) (drill.Summary, error) { return drill.Summary{}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Drills = drills
	})
	d, _, err := drills.Start(t.Context(), drill.Spec{
		Name: "Lũ", Ends: time.Now().Add(time.Hour), Devices: []drill.Device{{Profile: "flooded-road", At: devices.Position{Lon: 106.17, Lat: 20.43}}},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	practised := alert.Alarm{ID: "flood." + string(d.Devices[0]) + ".x", Rule: "flood", Device: d.Devices[0], Priority: 1, State: alert.Unacknowledged, Raised: noon}
	practised.Exercise = d.ID
	c.alarms.list = append(c.alarms.list, practised)
	return c, c.alarms.list[0].ID, practised.ID, d.ID
}

type warningSeen struct {
	ID       string
	Version  int
	Exercise bool
	Drill    string
	Draft    struct{ Content json.RawMessage }
}

func (c *city) warning(token, method, path, body string, want int) (w warningSeen) {
	c.t.Helper()
	status, _, answer := c.call(token, method, "/v1/warnings"+path, body)
	if status != want {
		c.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, status, answer, want)
	}
	if want < 300 {
		if err := json.Unmarshal([]byte(answer), &w); err != nil {
			c.t.Fatal(err)
		}
	}
	return w
}

// about is a draft's content with other alarms.
func about(t *testing.T, w warningSeen, alarms ...string) string {
	t.Helper()
	var content map[string]any
	if err := json.Unmarshal(w.Draft.Content, &content); err != nil {
		t.Fatal(err)
	}
	content["alarms"], content["areaName"] = alarms, map[string]string{"vi": "Phường Một", "en": "Ward One"}
	raw, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestTwoWorlds: a message about alarms of a drill is an exercise, however it is
// told which alarms these are, and is never about alarms of the city as well.
func TestTwoWorlds(t *testing.T) {
	c, ofCity, ofDrill, drillID := warned(t)
	first := c.warning(operatorToken, "POST", "", fmt.Sprintf(`{"alarms":[%q],"zones":[{"layer":"wards","code":"w-1"}]}`, ofCity), 201)
	c.warning(operatorToken, "POST", "", fmt.Sprintf(`{"alarms":[%q,%q]}`, ofCity, ofDrill), 422)
	c.warning(operatorToken, "POST", "", `{"content":`+about(t, first, ofCity, ofDrill)+`}`, 422)
	if w := c.warning(operatorToken, "POST", "", `{"content":`+about(t, first, ofDrill)+`}`, 201); !w.Exercise || w.Drill != drillID {
		t.Errorf("written about an alarm of a drill: %+v", w)
	}
	edit := func(w warningSeen, want int, alarms ...string) {
		t.Helper()
		c.warning(operatorToken, "PATCH", "/"+w.ID, fmt.Sprintf(`{"version":%d,"content":%s}`, w.Version, about(t, w, alarms...)), want)
	}
	edit(first, 422, ofDrill)
	edit(first, 422, ofCity, ofDrill)
	edit(first, 200, ofCity, "flood.closed-long-ago.x")
	practised := c.warning(operatorToken, "POST", "", fmt.Sprintf(`{"alarms":[%q],"zones":[{"layer":"wards","code":"w-1"}]}`, ofDrill), 201)
	edit(practised, 422, ofCity)
	edit(practised, 200, ofDrill)
	c.warning(operatorToken, "PATCH", "/2020-0001", `{"version":1,"content":`+about(t, first, ofDrill)+`}`, 404)
}

// TestTwoPeople: a program may write a draft; who asks for approval and who gives
// it are people, and two.
func TestTwoPeople(t *testing.T) {
	c, ofCity, _, _ := warned(t)
	status, _, answer := c.call(c.admin, "POST", "/v1/tokens", `{"kind":"program","role":"shift_leader","name":"máy","purpose":"test"}`)
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || status/100 != 2 || made.Secret == "" {
		t.Fatalf("%d %s", status, answer)
	}
	program := made.Secret
	w := c.warning(program, "POST", "", fmt.Sprintf(`{"template":"flood","alarms":[%q],"zones":[{"layer":"wards","code":"w-1"}]}`, ofCity), 201)
	w = c.warning(program, "PATCH", "/"+w.ID, fmt.Sprintf(`{"version":%d,"content":%s}`, w.Version, about(t, w, ofCity)), 200)
	body := func(w warningSeen) string { return fmt.Sprintf(`{"version":%d,"confirm":%q}`, w.Version, w.ID) }
	if status, _, answer := c.call(program, "POST", "/v1/warnings/"+w.ID+"/submit", body(w)); status != 403 || !strings.Contains(answer, "program") {
		t.Errorf("a program submits: %d %s", status, answer)
	}
	w = c.warning(operatorToken, "POST", "/"+w.ID+"/submit", body(w), 200)
	c.warning(program, "POST", "/"+w.ID+"/approve", body(w), 403)
	c.warning(c.admin, "POST", "/"+w.ID+"/approve", body(w), 200)
}
