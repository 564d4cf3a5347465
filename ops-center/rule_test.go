package opscenter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

// records is a log of alarms in memory.
type records struct {
	list [][]byte
	err  error
}

func (r *records) Append(_ context.Context, _ string, data []byte) (uint64, error) {
	r.list = append(r.list, data)
	return uint64(len(r.list)), r.err
}

func (r *records) Read(_ context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for i := max(from, 1); i <= uint64(len(r.list)); i++ {
		if err := each(i, noon, "alarm", r.list[i-1]); err != nil {
			return err
		}
	}
	return nil
}

// past is a history of one road's depth: a wave every hour, and none of the rest.
type past struct{ history }

func (*past) Range(_ context.Context, id devices.ID, q devices.Quantity, from, to time.Time, _ int) ([]devices.Point, error) {
	var out []devices.Point
	for t := from.Truncate(time.Minute); q == "water_depth" && id == "f-1" && t.Before(to); t = t.Add(time.Minute) {
		if t.Before(from) {
			continue
		}
		v := 0.0
		if t.Minute() < 20 {
			v = 0.5
		}
		out = append(out, devices.Point{Time: t, Received: t, Number: v, Zones: []devices.ZoneRef{{Layer: "wards", Code: "W-1"}}})
	}
	return out, nil
}

// dust gives hourly means of fine dust and none of anything else.
type dust struct{ history }

func (*dust) Buckets(_ context.Context, _ devices.ID, q devices.Quantity, from, to time.Time, step, _ time.Duration) (out []devices.Bucket, err error) {
	for t := from; q == "pm25" && t.Before(to); t = t.Add(step) {
		if t.Hour() != 2 { // one hour is missing
			out = append(out, devices.Bucket{Start: t, Mean: 55.7, Count: 60})
		}
	}
	return out, nil
}

const roadRule = `id: road
name: {vi: Ngập, en: Flood}
priority: 1
owner: Thoát nước
head: Trưởng ca
category: Safety
flow: flood
message: {vi: "{name} {value}", en: "{name} {value}"}
response: {vi: Rào, en: Close}
procedure: {vi: [Rào], en: [Close]}
scope: {profiles: [flooded-road]}
when: {threshold: {quantity: water_depth, above: 0.3}}
`

func ruleFile(rules ...string) string {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for _, r := range rules {
		b.WriteString("  - " + strings.ReplaceAll(strings.TrimSpace(r), "\n", "\n    ") + "\n")
	}
	return b.String()
}

func startRules(t *testing.T, h History) (*city, *alert.Alarms) {
	var book *alert.Alarms
	c := start(t, func(o *Options) {
		for _, d := range []devices.Device{
			{ID: "f-1", Profile: "flooded-road", Name: "Trần Phú", At: devices.Position{Lon: 106.17, Lat: 20.43}},
			{ID: "r-1", Profile: "river-level", Name: "Sông Đào", At: devices.Position{Lon: 106.18, Lat: 20.43}},
			{ID: "a-1", Profile: "air-quality", Name: "Không khí", At: devices.Position{Lon: 106.18, Lat: 20.43}},
		} {
			if _, err := o.Register.Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		book, err = alert.Open(t.Context(), alert.Options{
			Register: o.Register, Store: store{&memory{data: map[string][]byte{}}}, Transitions: &records{}, Calendar: o.Calendar,
			Now: func() time.Time { return noon },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.RuleBook = book
		if h != nil {
			o.History = h
		}
	})
	return c, book
}

const yamlType = "application/yaml"

func TestRuleRoutes(t *testing.T) {
	c, book := startRules(t, nil)
	do := func(method, path, body string, want int) string {
		t.Helper()
		kind := yamlType
		if body == "" {
			kind = "application/json"
		}
		status, _, answer := c.call(c.admin, method, path, body, "Content-Type", kind)
		if status != want {
			t.Errorf("%s %s: %d, want %d: %s", method, path, status, want, answer)
		}
		return answer
	}
	if out := do("PUT", "/v1/rules", "version: 1\nrules:\n  - id: x\n    nonsense: 1\n", 422); !strings.Contains(out, `"line 4"`) {
		t.Errorf("the line is not named: %s", out)
	}
	do("PUT", "/v1/rules?note=first", ruleFile(roadRule), 200)
	// A rule that says too little cannot be enabled.
	half := strings.Replace(strings.Replace(roadRule, "id: road", "id: half", 1), "procedure: {vi: [Rào], en: [Close]}\n", "", 1)
	if out := do("PUT", "/v1/rules/half", half, 422); !strings.Contains(out, "procedure is missing") {
		t.Error(out)
	}
	do("PUT", "/v1/rules/half", half+"disabled: true\n", 200)
	if out := do("POST", "/v1/rules/half/enable", "", 422); !strings.Contains(out, "procedure is missing") {
		t.Error(out)
	}
	do("POST", "/v1/rules/road/disable", "", 200)
	do("POST", "/v1/rules/road/enable", "", 200)
	do("POST", "/v1/rules/nobody/disable", "", 404)
	do("PUT", "/v1/rules/other", roadRule, 422) // another id
	do("DELETE", "/v1/rules/half", "", 204)
	do("DELETE", "/v1/rules/half", "", 404)
	do("POST", "/v1/rules/check", ruleFile(roadRule, roadRule), 422)
	do("POST", "/v1/rules/check", ruleFile(roadRule), 204)

	var list struct {
		Rules     []alert.Rule
		Standings []alert.Standing
		Version   int
	}
	c.get("/v1/rules", &list)
	if len(list.Rules) != 1 || len(list.Standings) != 1 || list.Standings[0].Devices != 1 || list.Version != 5 {
		t.Errorf("%+v", list)
	}
	var versions struct{ Versions []alert.Version }
	c.get("/v1/rules/versions", &versions)
	if len(versions.Versions) != 5 || versions.Versions[4].Note != "first" || versions.Versions[4].By != "admin" {
		t.Errorf("%+v", versions.Versions)
	}
	do("POST", "/v1/rules/versions/2/restore", "", 200)
	do("POST", "/v1/rules/versions/99/restore", "", 404)
	if rules := book.Rules(); len(rules) != 2 {
		t.Errorf("%d rules after going back", len(rules))
	}
	if out := do("GET", "/v1/rules/source", "", 200); !strings.Contains(out, "id: half") {
		t.Error(out)
	}
	if status, _, _ := c.call(operatorToken, "PUT", "/v1/rules", ruleFile(roadRule), "Content-Type", yamlType); status != 403 {
		t.Errorf("an operator put rules in force: %d", status)
	}
}

func TestThresholdRoutes(t *testing.T) {
	c, book := startRules(t, nil)
	register, err := os.ReadFile("../deploy/thresholds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(register), `Nam Định (Đào river)"}, devices: []`, `Nam Định (Đào river)"}, devices: [r-1]`, 1)
	if status, _, body := c.call(c.admin, "PUT", "/v1/thresholds", own, "Content-Type", yamlType); status != 200 {
		t.Fatal(status, body)
	}
	var out struct {
		Station string
		Limits  []alert.Limit
	}
	c.get("/v1/thresholds?device=r-1&quantity=water_level", &out)
	if out.Station != "nam-dinh" || len(out.Limits) != 3 || *out.Limits[0].Value != 3.2 || *out.Limits[2].Value != 4.3 {
		t.Errorf("%+v", out)
	}
	limit := func(set, level, subject, at, average string) (v string) {
		c.get("/v1/thresholds?at="+at, &out)
		v = "none"
		for _, l := range out.Limits {
			if l.Set == set && l.Level == level && l.Subject == subject && (average == "" || l.Average == average && l.Quantity == "pm25") {
				if v = "null"; l.Value != nil {
					v = fmt.Sprint(*l.Value)
				}
			}
		}
		return v
	}
	for _, tt := range []struct{ set, level, subject, at, average, want string }{
		{"river-bd", "1", "station:phu-le", "2026-11-01", "", "null"},
		{"river-bd", "2", "station:phu-le", "2026-11-01", "", "2.2"},
		{"river-bd", "3", "station:tien-duc", "2026-11-01", "", "6.3"},
		{"qcvn-air", "24h", "*", "2025-12-31", "24h", "50"},
		{"qcvn-air", "24h", "*", "2026-01-01", "24h", "45"},
		{"qcvn-noise", "special-day", "*", "2025-11-01T05:00:00Z", "", "55"},
		{"qcvn-noise", "special-night", "*", "2025-11-01T16:00:00Z", "", "45"},
		{"qcvn-noise", "special-day", "*", "2026-11-01T05:00:00Z", "", "null"},
		{"rain-24h", "very-heavy", "*", "2026-11-01", "", "100"},
	} {
		if got := limit(tt.set, tt.level, tt.subject, tt.at, tt.average); got != tt.want {
			t.Errorf("%s %s of %s at %s: %s, want %s", tt.set, tt.level, tt.subject, tt.at, got, tt.want)
		}
	}
	// A rule that needs what nobody has told says so.
	noise := strings.Replace(strings.Replace(roadRule, "when: {threshold: {quantity: water_depth, above: 0.3}}", "when: {threshold: {quantity: noise, ref: qcvn-noise, level: special-day}}", 1), "flooded-road", "noise", 1)
	if err := book.ApplyAs(t.Context(), []byte(ruleFile(noise)), alert.Actor{Name: "x"}, ""); err != nil {
		t.Fatal(err)
	}
	if idle := book.Standings()[0].Idle; !strings.Contains(idle, "nobody has told") {
		t.Errorf("idle: %q", idle)
	}
	if status, _, body := c.call(c.admin, "PUT", "/v1/thresholds", strings.Replace(own, "value: 3.2,", "value: high,", 1), "Content-Type", yamlType); status != 422 || !strings.Contains(body, "line ") {
		t.Error(status, body)
	}
}

// The alarms of a past day, as the dry run tells of them.
func TestTryRules(t *testing.T) {
	c, book := startRules(t, &past{})
	status, header, body := c.call(c.admin, "POST", "/v1/rules/test?from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z", ruleFile(roadRule), "Content-Type", yamlType)
	if status != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatal(status, body)
	}
	var last struct{ Result *alert.TrialResult }
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatal(err)
		}
	}
	r := last.Result
	if r == nil || r.Total != 24 || r.Readings != 24*60 || r.Devices != 1 || r.Rules[0].Seconds != 24*20*60 || !r.Mix.Warn {
		t.Fatalf("%s", body)
	}
	// Nam Định is seven hours ahead: the day there begins at 17:00.
	if r.Rules[0].Days["2026-11-20"] != 17 || r.Rules[0].Days["2026-11-21"] != 7 {
		t.Errorf("%v", r.Rules[0].Days)
	}
	if a := r.Alarms[0]; !a.Raised.Equal(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)) || a.Cleared.Sub(a.Raised) != 20*time.Minute || a.Message["vi"] != "Trần Phú 0,50" {
		t.Errorf("%+v", a)
	}
	if n := len(book.List()); n != 0 {
		t.Errorf("the dry run left %d alarms", n)
	}
	for _, tt := range []struct {
		query, body string
		want        int
	}{
		{"?from=2026-11-21&to=2026-11-20", ruleFile(roadRule), 422},
		{"?from=yesterdayish", ruleFile(roadRule), 422},
		{"", "version: 1\nrules: [{id: x}]", 422},
	} {
		if status, _, body := c.call(c.admin, "POST", "/v1/rules/test"+tt.query, tt.body, "Content-Type", yamlType); status != tt.want {
			t.Errorf("%s: %d %s", tt.query, status, body)
		}
	}
	c.api.trials.Store(maxTrials)
	if status, _, _ := c.call(c.admin, "POST", "/v1/rules/test", ruleFile(roadRule), "Content-Type", yamlType); status != 429 {
		t.Errorf("a third dry run: %d", status)
	}
	c.api.trials.Store(0)
	if _, err := book.Try(t.Context(), alert.Trial{Source: []byte(ruleFile(roadRule)), From: noon.AddDate(-1, 0, 0), To: noon}); err == nil {
		t.Error("a dry run of a year")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := book.Try(gone, alert.Trial{Source: []byte(ruleFile(roadRule)), From: noon.Add(-time.Hour), To: noon, Feed: c.api.feed}); !errors.Is(err, context.Canceled) {
		t.Errorf("a dry run nobody waits for: %v", err)
	}
}

func TestAirQuality(t *testing.T) {
	c, _ := startRules(t, &dust{})
	var out struct {
		Hours []struct {
			End   time.Time
			Index *struct {
				Value int
				Main  string
				Band  struct{ Key string }
			}
		}
		Daily     *struct{ Index *struct{ Value int } }
		Reference bool
	}
	c.get("/v1/air-quality?device=a-1&hours=6", &out)
	if len(out.Hours) != 6 || !out.Reference || out.Daily == nil || out.Daily.Index == nil || out.Daily.Index.Value != 110 {
		t.Fatalf("%+v", out)
	}
	for _, h := range out.Hours {
		if h.Index == nil || h.Index.Value != 110 || h.Index.Main != "pm25" || h.Index.Band.Key != "aqi3" {
			t.Errorf("%+v", h)
		}
	}
	if !out.Hours[5].End.Equal(noon) {
		t.Errorf("it ends at %s", out.Hours[5].End)
	}
	for path, want := range map[string]int{"/v1/air-quality": 422, "/v1/air-quality?device=no": 404, "/v1/air-quality?layer=wards": 422, "/v1/rain?device=no": 404} {
		if status, _, body := c.call(c.admin, "GET", path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	var rain struct {
		Sums []struct {
			Hours int
			MM    *float64
		}
	}
	c.get("/v1/rain?device=a-1", &rain) // one reading covers no window
	if len(rain.Sums) != 5 || rain.Sums[4].MM != nil {
		t.Errorf("%+v", rain)
	}
}

// One rule is read as it would be put in force, with the others there, and tried
// with those it names though it does not judge yet; nothing of it changes.
func TestCheckRule(t *testing.T) {
	c, book := startRules(t, &past{})
	if err := book.ApplyAs(t.Context(), []byte(ruleFile(roadRule)), alert.Actor{Name: "x"}, ""); err != nil {
		t.Fatal(err)
	}
	deep := strings.NewReplacer("id: road", "id: deep", "above: 0.3", "above: 0.4, clear: 0.2, for: 5m").Replace(roadRule) + "inhibits: {rules: [road]}\ndisabled: true # until the head has agreed\n"
	var checked alert.Checked
	status, _, body := c.call(c.admin, "POST", "/v1/rules/deep/check", deep, "Content-Type", yamlType)
	if err := json.Unmarshal([]byte(body), &checked); status != 200 || err != nil {
		t.Fatal(status, body, err)
	}
	if w := checked.Rule.When.Threshold; !checked.Comments || !checked.Rule.Disabled || w == nil || *w.Above != 0.4 || *w.Clear != 0.2 || w.For != 5*time.Minute {
		t.Errorf("%s", body)
	}
	for id, source := range map[string]string{
		"deep":  strings.Replace(deep, "[road]", "[nobody]", 1),
		"other": deep,
		"road":  strings.Replace(roadRule, "above: 0.3", "above: 0.3, clear: 0.4", 1),
		"list":  "- id: list\n",
	} {
		if status, _, body := c.call(c.admin, "POST", "/v1/rules/"+id+"/check", source, "Content-Type", yamlType); status != 422 {
			t.Errorf("%s: %d %s", id, status, body)
		}
	}
	if status, _, _ := c.call(operatorToken, "POST", "/v1/rules/deep/check", deep, "Content-Type", yamlType); status != 403 {
		t.Errorf("an operator: %d", status)
	}
	day := "/v1/rules/test?from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z&rule="
	status, _, body = c.call(c.admin, "POST", day+"deep", deep, "Content-Type", yamlType)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var last struct{ Result *alert.TrialResult }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Result == nil {
		t.Fatal(status, body, err)
	}
	if r := last.Result; r.Total != 24 || len(r.Alarms) != 24 || len(r.Rules) != 1 || r.Rules[0].Rule != "deep" || r.Alarms[0].Rule != "deep" {
		t.Errorf("%s", body)
	}
	if status, _, body := c.call(c.admin, "POST", day+"road", deep, "Content-Type", yamlType); status != 422 {
		t.Errorf("a rule of another id: %d %s", status, body)
	}
	if list := book.Rules(); len(list) != 1 || len(book.List()) != 0 {
		t.Errorf("%d rules and %d alarms afterwards", len(list), len(book.List()))
	}
}
