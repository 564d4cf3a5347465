package opscenter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

// actRecords are a log in memory.
type actRecords struct {
	subjects []string
	data     [][]byte
}

func (l *actRecords) Append(_ context.Context, subject string, data []byte) (uint64, error) {
	l.subjects, l.data = append(l.subjects, subject), append(l.data, data)
	return uint64(len(l.data)), nil
}

func (l *actRecords) Read(_ context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for i := max(from, 1); i <= uint64(len(l.data)); i++ {
		if err := each(i, noon, l.subjects[i-1], l.data[i-1]); err != nil {
			return err
		}
	}
	return nil
}

const depthRules = `
version: 1
rules:
  - id: flood
    name: {vi: Ngập đường, en: Flooded road}
    priority: 1
    category: Met
    owner: Thoát nước
    head: Trực ban
    message: {vi: "{name} ngập {value} {unit}", en: "{name} under {value} {unit}"}
    response: {vi: Chặn đường, en: Close the road}
    procedure: {vi: [Chặn đường], en: [Close the road]}
    when: {threshold: {quantity: water_depth, above: 0.3}}
`

// live alarms of n roads under water, over the API.
func flooded(t *testing.T, n int) (*city, *alert.Alarms, []string) {
	var life *alert.Alarms
	c := start(t, func(o *Options) {
		var err error
		if life, err = alert.Open(t.Context(), alert.Options{Register: o.Register, Store: store{&memory{data: map[string][]byte{}}}, Transitions: &actRecords{}}); err != nil {
			t.Fatal(err)
		}
		log, err := alert.OpenShift(t.Context(), &actRecords{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		o.Alarms, o.Life, o.Shift = life, life, log
	})
	if err := life.Apply(t.Context(), []byte(depthRules)); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	for i := range n {
		id := devices.ID(fmt.Sprintf("road-%d", i))
		at := devices.Position{Lon: 106.17 + float64(i)/1000, Lat: 20.42}
		if _, err := c.register.Add(t.Context(), devices.Device{ID: id, Name: fmt.Sprintf("Đường số %d", i), Profile: "flooded-road", At: at, Site: "Cầu Đò Quan"}); err != nil {
			t.Fatal(err)
		}
		m := &devices.Message{Device: id, Received: now, Observations: []devices.Observation{{
			Time: now.Add(time.Duration(i-n) * time.Second), At: at, Zones: []devices.ZoneRef{{Layer: "wards", Code: "w-1", ValidFrom: "2025-07-01"}},
			Values: []devices.Value{{Quantity: "water_depth", Number: 0.5}},
		}}}
		if err := life.Handle(t.Context(), []*devices.Message{m}, nil, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, al := range life.List() {
		ids = append(ids, al.ID)
	}
	if len(ids) != n {
		t.Fatalf("%d alarms, want %d", len(ids), n)
	}
	return c, life, ids
}

// What an operator does in a night, one act after the other, each refused when it
// should be.
func TestAlarmActs(t *testing.T) {
	c, _, ids := flooded(t, 3)
	a := "/v1/alarms/" + url.PathEscape(ids[0])
	for i, step := range []struct {
		token, path, body string
		status            int
		want              string
	}{
		{operatorToken, a + "/acknowledge", `{}`, 422, "note_missing"},
		{operatorToken, a + "/claim", ``, 200, `"claimed":{"by":"Ca trực"`},
		{operatorToken, a + "/comment", `{"note":"đã gọi"}`, 200, `"comments":[{"by":"Ca trực"`},
		{operatorToken, a + "/acknowledge", `{"note":"thấy rồi","changes":1}`, 409, `"alarm":{`},
		{operatorToken, a + "/acknowledge", `{"note":"thấy rồi","changes":3,"onBehalfOf":"anh Tư"}`, 200, `"state":"acknowledged"`},
		{operatorToken, a + "/acknowledge", `{}`, 200, `"state":"acknowledged"`},
		{c.admin, a + "/acknowledge", `{"note":"x"}`, 409, "acknowledged by Ca trực"},
		{operatorToken, a + "/shelve", `{"reason":"đang sửa","for":"31m"}`, 422, "shelf_too_long"},
		{operatorToken, a + "/shelve", `{"reason":"đang sửa","for":"bao lâu"}`, 422, "body.for"},
		{operatorToken, a + "/shelve", `{"reason":"đang sửa","for":"30m"}`, 200, `"state":"shelved"`},
		{operatorToken, a + "/out-of-service", `{"reason":"x"}`, 403, "service_alarms"},
		{c.admin, a + "/out-of-service", `{"reason":"thay cảm biến"}`, 200, `"outOfService":{`},
		{c.admin, a + "/return-to-service", ``, 200, `"state":"unacknowledged"`},
		{operatorToken, a + "/assign", `{"department":"Thoát nước","due":"2020-01-01T00:00:00Z"}`, 422, "due_past"},
		{operatorToken, a + "/assign", `{"department":"Thoát nước","note":"đến ngay"}`, 200, `"department":"Thoát nước"`},
		{operatorToken, a + "/return", `{}`, 422, "reason_missing"},
		{operatorToken, a + "/false", `{"reason":"cảm biến bẩn"}`, 200, `"falseAlarm":{`},
		{displayToken, a + "/comment", `{"note":"x"}`, 403, "handle_alarms"},
		{operatorToken, "/v1/alarms/flood.none.1/claim", ``, 404, "no open alarm"},
		{operatorToken, a + "/comment", `{"note":"` + strings.Repeat("x", 2001) + `"}`, 422, "note"},
	} {
		if status, _, body := c.call(step.token, "POST", step.path, step.body); status != step.status || !strings.Contains(body, step.want) {
			t.Fatalf("step %d, %s %s: %d %s, want %d with %s", i, step.path, step.body, status, body, step.status, step.want)
		}
	}
	status, _, body := c.call(operatorToken, "POST", a+"/unshelve", "", "If-Match", `"1"`)
	if status != 409 {
		t.Errorf("If-Match of an old state: %d %s", status, body)
	}
	// All of it is told, in order, with who and on whose behalf.
	var page struct {
		Alarm       alert.Alarm
		Rule        struct{ Head string }
		Transitions []alert.Transition
		Neighbours  []struct {
			Metres float64
			Alarm  struct{ ID string }
		}
		NeedsNote        bool
		MaxShelveSeconds float64
	}
	c.get("/v1/alarms/"+url.PathEscape(ids[0]), &page)
	var events []string
	for _, tr := range page.Transitions {
		events = append(events, string(tr.Event))
	}
	if want := []string{"raise", "claim", "comment", "acknowledge", "shelve", "remove_from_service", "return_to_service", "assign", "mark_false"}; !slices.Equal(events, want) {
		t.Errorf("transitions %v, want %v", events, want)
	}
	if who := page.Transitions[3].Who; who.Name != "Ca trực" || who.Role != "operator" || who.For != "anh Tư" {
		t.Errorf("acknowledged by %+v", who)
	}
	if page.Rule.Head != "Trực ban" || !page.NeedsNote || page.MaxShelveSeconds != 1800 || len(page.Neighbours) != 2 || page.Neighbours[0].Metres < 90 || page.Neighbours[0].Metres > 120 {
		t.Errorf("page: %+v", page)
	}
}

func TestAlarmsInBulkAndByPages(t *testing.T) {
	c, _, ids := flooded(t, 25)
	raw, _ := json.Marshal(append([]string{"flood.none.1"}, ids[:10]...))
	status, _, body := c.call(operatorToken, "POST", "/v1/alarms/acts", `{"act":"acknowledge","note":"một lượt","ids":`+string(raw)+`}`)
	if status != 200 || !strings.Contains(body, `"done":10,"refused":1`) {
		t.Fatalf("bulk: %d %s", status, body)
	}
	if status, _, body := c.call(operatorToken, "POST", "/v1/alarms/acts", `{"act":"out-of-service","reason":"x","ids":["a"]}`); status != 403 {
		t.Errorf("what the role may not: %d %s", status, body)
	}
	for query, want := range map[string]int{
		"": 25, "?state=acknowledged": 10, "?state=shown": 25, "?state=unacknowledged,acknowledged": 25, "?q=duong+so+13": 1, "?q=ngap": 25, "?category=met": 25, "?category=Fire": 0,
		"?zone=wards/w-1": 25, "?zone=w-2": 0, "?department=thoat+nuoc": 25, "?rule=flood": 25, "?group=" + url.QueryEscape("rule:flood@wards/w-1"): 25, "?exercise=only": 0, "?at=-1h": 0,
	} {
		var list struct {
			Alarms []alert.Alarm
			Total  int
		}
		if c.get("/v1/alarms"+query, &list); list.Total != want || len(list.Alarms) != want {
			t.Errorf("%q: %d of %d, want %d", query, len(list.Alarms), list.Total, want)
		}
	}
	if status, _, _ := c.call(operatorToken, "GET", "/v1/alarms?state=strange", ""); status != 422 {
		t.Errorf("an unknown state: %d", status)
	}
	var got []string
	cursor := ""
	for range 10 {
		var page struct {
			Alarms []alert.Alarm
			Total  int
			Next   string
		}
		c.get("/v1/alarms?limit=7&cursor="+cursor, &page)
		for _, al := range page.Alarms {
			got = append(got, al.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("by pages %v, want %v", got, ids)
	}
	var groups struct{ Groups []alert.Group }
	if c.get("/v1/alarms/groups?by=site", &groups); len(groups.Groups) != 1 || groups.Groups[0].Count != 25 || groups.Groups[0].Title["vi"] != "Cầu Đò Quan" {
		t.Errorf("groups: %+v", groups)
	}
}

func TestFiguresPlansAndShift(t *testing.T) {
	c, _, ids := flooded(t, 4)
	if status, _, body := c.call(operatorToken, "POST", "/v1/alarms/"+url.PathEscape(ids[0])+"/acknowledge", `{"note":"giả","falseAlarm":true}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	time.Sleep(5 * time.Millisecond) // a period ends before its last moment
	var f struct {
		Value    float64
		N        int
		Counting map[string]float64
	}
	period := fmt.Sprintf("?from=%d&to=%d", time.Now().Add(-time.Hour).UnixMilli(), time.Now().Add(time.Minute).UnixMilli())
	if c.get("/v1/figures/false_alarms"+period+"&recompute=1", &f); f.Value != 0.25 || f.N != 4 || f.Counting["false"] != 1 || f.Counting["records"] != 5 {
		t.Errorf("false alarms: %+v", f)
	}
	var all struct{ Figures []struct{ Name string } }
	if c.get("/v1/figures", &all); len(all.Figures) != len(figureKinds) {
		t.Errorf("%+v", all)
	}
	if status, _, _ := c.call(operatorToken, "GET", "/v1/figures/nothing", ""); status != 404 {
		t.Errorf("an unknown figure: %d", status)
	}
	var perf alert.Performance
	if c.get("/v1/alarms/performance"+period, &perf); len(perf.BadActors) == 0 {
		t.Fatal("nobody raises alarms")
	}
	for _, actor := range perf.BadActors {
		if actor.RuleName["vi"] == "" || actor.Name == "" || actor.Device != devices.ID(actor.Entity) {
			t.Errorf("who raises alarms is called %+v", actor)
		}
	}
	if status, _, _ := c.call(operatorToken, "GET", "/v1/alarms/performance?from=2020-01-01", ""); status != 422 {
		t.Errorf("a period of years: %d", status)
	}
	plan := fmt.Sprintf(`{"device":"road-1","to":%q,"reason":"nạo vét"}`, time.Now().Add(time.Hour).Format(time.RFC3339))
	if status, _, _ := c.call(operatorToken, "POST", "/v1/alarms/plans", plan); status != 403 {
		t.Errorf("a plan of an operator: %d", status)
	}
	status, _, body := c.call(c.admin, "POST", "/v1/alarms/plans", plan)
	var made alert.Plan
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != 201 || made.ID == "" {
		t.Fatalf("plan: %d %s", status, body)
	}
	if status, _, body := c.call(c.admin, "DELETE", "/v1/alarms/plans/"+made.ID, ""); status != 200 || !strings.Contains(body, `"endedBy"`) {
		t.Errorf("end of a plan: %d %s", status, body)
	}
	if status, _, _ := c.call(c.admin, "DELETE", "/v1/alarms/plans/"+made.ID, ""); status != 404 {
		t.Errorf("twice: %d", status)
	}
	for i, step := range []struct {
		path, body string
		status     int
	}{{"/v1/shift/begin", "", 200}, {"/v1/shift/begin", "", 409}, {"/v1/log", `{"text":"mưa to"}`, 201}, {"/v1/log", `{"text":""}`, 422}, {"/v1/log", `{"text":"mưa vừa","corrects":2}`, 201}, {"/v1/log", `{"text":"x","corrects":77}`, 404}, {"/v1/shift/end", `{"text":"bàn giao"}`, 200}} {
		if status, _, body := c.call(operatorToken, "POST", step.path, step.body); status != step.status {
			t.Errorf("step %d: %d %s, want %d", i, status, body, step.status)
		}
	}
	var log struct{ Entries []alert.LogEntry }
	if c.get("/v1/log", &log); len(log.Entries) != 4 || log.Entries[2].CorrectedBy != 3 || log.Entries[0].Text != "bàn giao" {
		t.Errorf("log: %+v", log.Entries)
	}
}

const drainToken = "an-officer-of-the-drains-has-this"

// The shift log is the operators', and what a device was told its department's:
// an officer reads of both what is the officer's business.
func TestOfficersReadTheirOwn(t *testing.T) {
	c, _, ids := flooded(t, 2)
	write := func(token, body string, want int) {
		t.Helper()
		if status, _, text := c.call(token, "POST", "/v1/log", body); status != want {
			t.Fatalf("%s: %d %s, want %d", body, status, text, want)
		}
	}
	about := func(text string) string { return fmt.Sprintf(`{"text":%q,"alarm":%q}`, text, ids[0]) }
	write(operatorToken, `{"text":"trực ban"}`, 201)
	write(operatorToken, about("đã gọi"), 201)
	write(drainToken, `{"text":"đội 2 đi"}`, 201)
	write(drainToken, about("đang bơm"), 201)
	write(healthToken, about("không phải việc của tôi"), 404)
	for token, want := range map[string][]string{
		operatorToken: {"đang bơm", "đội 2 đi", "đã gọi", "trực ban"}, drainToken: {"đang bơm", "đội 2 đi", "đã gọi"}, healthToken: nil,
	} {
		status, _, text := c.call(token, "GET", "/v1/log", "")
		var log struct{ Entries []alert.LogEntry }
		if err := json.Unmarshal([]byte(text), &log); err != nil || status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		var got []string
		for _, e := range log.Entries {
			got = append(got, e.Text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", token, got, want)
		}
	}
	if _, err := c.register.Add(t.Context(), devices.Device{ID: "pump-1", Profile: "flooded-road", At: devices.Position{Lon: 106.1, Lat: 20.4}, Owner: "thoát  nước"}); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]bool{operatorToken: true, drainToken: true, healthToken: false} {
		// This city has no commands: whoever may ask is told so.
		status, _, text := c.call(token, "GET", "/v1/devices/pump-1/commands", "")
		if (status != 403) != want {
			t.Errorf("%s: %d %s", token, status, text)
		}
	}
}
