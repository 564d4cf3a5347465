package opscenter

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

const floodLimits = `version: 1
stations: []
limits:
  - set: flood
    subject: "*"
    unit: m
    quantity: water_depth
    level: cao
    name: {vi: Cao, en: High}
    value: 0.3
    basis: QD 1
    authority: UBND
    valid_from: "2024-01-01"
`

// TestWhatBoundThen changes rules and limits twice and asks for the time
// between: a screen of the past gets what was in force then, and nothing of now
// where nothing of then is kept.
func TestWhatBoundThen(t *testing.T) {
	at := noon.Add(-2 * time.Hour)
	var book *alert.Alarms
	c := start(t, func(o *Options) {
		if _, err := o.Register.Add(t.Context(), devices.Device{ID: "f-1", Profile: "flooded-road", At: devices.Position{Lon: 106.17, Lat: 20.43}}); err != nil {
			t.Fatal(err)
		}
		var err error
		book, err = alert.Open(t.Context(), alert.Options{
			Register: o.Register, Store: store{&memory{data: map[string][]byte{}}}, Transitions: &records{}, Calendar: o.Calendar,
			Now: func() time.Time { return at },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.RuleBook = book
	})
	put := func(path, body string) {
		t.Helper()
		if status, _, answer := c.call(c.admin, "PUT", path, body, "Content-Type", yamlType); status != 200 {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	put("/v1/rules", ruleFile(roadRule))
	put("/v1/thresholds", floodLimits)
	at = noon.Add(-time.Hour)
	put("/v1/rules", ruleFile(strings.Replace(roadRule, "above: 0.3", "above: 0.9", 1)))
	put("/v1/thresholds", strings.Replace(floodLimits, "value: 0.3", "value: 0.9", 1))

	ask := func(before time.Duration) (rule, limit []float64) {
		t.Helper()
		when := ""
		if before >= 0 {
			when = url.QueryEscape(noon.Add(-before).Format(time.RFC3339))
		}
		var rules struct {
			Rules   []alert.Rule
			Version int
		}
		var limits struct{ Limits []alert.Limit }
		if when == "" {
			c.get("/v1/rules", &rules)
			c.get("/v1/thresholds?device=f-1", &limits)
		} else {
			c.get("/v1/rules?at="+when, &rules)
			c.get("/v1/thresholds?device=f-1&at="+when+"&known="+when, &limits)
		}
		if (rules.Version == 0) != (len(rules.Rules) == 0) {
			t.Errorf("version %d has %d rules", rules.Version, len(rules.Rules))
		}
		for _, r := range rules.Rules {
			rule = append(rule, *r.When.Threshold.Above)
		}
		for _, l := range limits.Limits {
			limit = append(limit, *l.Value)
		}
		return rule, limit
	}
	for _, one := range []struct {
		before time.Duration
		want   []float64
	}{{-1, []float64{.9}}, {30 * time.Minute, []float64{.9}}, {90 * time.Minute, []float64{.3}}, {3 * time.Hour, nil}} {
		rule, limit := ask(one.before)
		if !slices.Equal(rule, one.want) || !slices.Equal(limit, one.want) {
			t.Errorf("%s before: the rule says %v and the register %v, want %v", one.before, rule, limit, one.want)
		}
	}
	for _, path := range []string{"/v1/rules?at=", "/v1/thresholds?known="} {
		for _, bad := range []string{"yesterday-ish", url.QueryEscape(noon.Add(time.Hour).Format(time.RFC3339))} {
			if status, _, answer := c.call(c.admin, "GET", path+bad, ""); status != 422 {
				t.Errorf("%s%s: %d %s", path, bad, status, answer)
			}
		}
	}
	// A replay that is over is no reason to show the present.
	for _, path := range []string{"/v1/network/links?", "/v1/live/clusters?view=106,20,107,21&zoom=9&", "/v1/zones/aggregate?quantity=pm25&"} {
		if status, _, answer := c.call(c.admin, "GET", path+"replay=gone", ""); status != 404 {
			t.Errorf("%s of a replay that is over: %d %s", path, status, answer)
		}
	}
}
