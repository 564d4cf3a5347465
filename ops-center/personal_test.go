package opscenter

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

const somebody = "Trần Thị Bưởi"

// touched is an alarm that people have handled in every way there is.
func touched() alert.Alarm {
	al := alert.Alarm{
		ID: "flood.f-1.abc", Rule: "flood", Device: "f-1", Priority: 1, State: alert.Acknowledged, Raised: noon,
		Acknowledged: &alert.Acknowledgement{By: somebody, ByID: somebody, At: noon, Note: somebody + " saw it"},
	}
	remark := alert.Remark{By: somebody, At: noon, Text: "call " + somebody}
	al.Shelved = &alert.Shelf{By: somebody, At: noon, Until: noon, Reason: "pump"}
	al.Service, al.False, al.Comments = &remark, &remark, []alert.Remark{remark}
	al.Claimed = &alert.Claim{By: somebody, ByID: somebody, At: noon, Until: noon}
	al.Assigned = &alert.Assignment{Department: "Sở Xây dựng", Person: somebody, By: somebody, Note: somebody, AnsweredBy: somebody, Reason: somebody}
	al.Last = &alert.Touch{By: somebody, At: noon}
	return al
}

// A wall screen, and a token narrowed to what is measured, are not told who
// people are: not over the API and not over the live socket. Who handles alarms
// is.
func TestScreensAreNotToldNames(t *testing.T) {
	departments, err := devices.OpenDepartments(t.Context(), store{&memory{data: map[string][]byte{}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := departments.Set(t.Context(), devices.Department{Name: "Sở Xây dựng", Head: somebody, Contact: "+84 90 " + somebody}); err != nil {
		t.Fatal(err)
	}
	c := start(t, func(o *Options) { o.Departments = departments })
	c.alarms.list = []alert.Alarm{touched()}
	c.alarms.rules = nil
	c.add(`{"id":"f-1","profile":"air-quality","owner":"Sở Xây dựng"}`)
	for _, path := range []string{"/v1/alarms", "/v1/departments", "/v1/devices/f-1"} {
		if _, _, body := c.call(operatorToken, "GET", path, ""); !strings.Contains(body, somebody) {
			t.Errorf("%s does not tell an operator: %s", path, body)
		}
		status, _, body := c.call(displayToken, "GET", path, "")
		if status != 200 || strings.Contains(body, somebody) || strings.Contains(body, "[personal]") {
			t.Errorf("%s as a display: %d %s", path, status, body)
		}
		if path == "/v1/alarms" && (!strings.Contains(body, `"state":"acknowledged"`) || !strings.Contains(body, "pump")) {
			t.Errorf("a display is told too little: %s", body)
		}
	}
	raw, err := json.Marshal(touched())
	if err != nil {
		t.Fatal(err)
	}
	c.hub.ApplyAlarm(live.Alarm{ID: "flood.f-1.abc", Priority: 1, Open: true, Raised: noon, JSON: raw})
	// list reads what a screen is sent first, until the list of alarms, and then
	// one change.
	list := func(token string) (text string) {
		ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/v1/live", http.Header{"Authorization": {"Bearer " + token}})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		for seen := 0; seen < 2; {
			kind, body, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if kind == websocket.TextMessage && strings.Contains(string(body), "flood.f-1.abc") {
				text += string(body)
				if seen++; seen == 1 {
					c.hub.ApplyAlarm(live.Alarm{ID: "flood.f-1.abc", Priority: 1, Open: true, Raised: noon, JSON: raw})
				}
			}
		}
		return text
	}
	if got := list(operatorToken); strings.Count(got, somebody) < 10 {
		t.Errorf("an operator's screen is not told: %s", got)
	}
	if got := list(displayToken); strings.Contains(got, somebody) || !strings.Contains(got, "acknowledged") {
		t.Errorf("a display's screen: %s", got)
	}
}

// A field that names somebody is declared, in whatever an answer of the API may
// hold: a new one that is not fails here.
func TestNamesAreDeclared(t *testing.T) {
	suspicious := map[string]bool{
		"by": true, "byId": true, "endedBy": true, "answeredBy": true, "createdBy": true, "changedBy": true, "approvedBy": true, "person": true,
		"head": true, "contact": true, "phone": true, "email": true,
	}
	// These are no names of people.
	fine := map[string]bool{
		"alert.Suppression.by": true, // plan or rule
		"alert.Group.by":       true, // what a group is grouped by
	}
	seen := map[reflect.Type]bool{}
	var look func(ty reflect.Type)
	look = func(ty reflect.Type) {
		for ty.Kind() == reflect.Pointer || ty.Kind() == reflect.Slice || ty.Kind() == reflect.Array || ty.Kind() == reflect.Map {
			ty = ty.Elem()
		}
		if ty.Kind() != reflect.Struct || seen[ty] {
			return
		}
		seen[ty] = true
		for f := range ty.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if _, declared := f.Tag.Lookup("personal"); !declared && f.Type.Kind() == reflect.String && suspicious[name] && !fine[ty.String()+"."+name] {
				t.Errorf("%s.%s holds somebody's name and is not declared personal", ty, name)
			}
			look(f.Type)
		}
	}
	for _, v := range []any{
		alarmsOutput{}, alarmDetailOutput{}, transitionsOutput{}, plansOutput{}, alarmHistoryOutput{}, groupsOutput{}, versionsOutput{}, commandsOutput{}, stateOutput{},
		campaignsOutput{}, drillsOutput{}, scenesOutput{}, displaysOutput{}, pushOutput{}, shownOutput{}, departmentsOutput{}, deviceOutput{}, entriesOutput{},
	} {
		look(reflect.TypeOf(v))
	}
	if len(seen) < 40 {
		t.Errorf("only %d types were looked at", len(seen))
	}
	if who := (access.Principal{Role: access.Display}); mayKnow(who) {
		t.Error("a display may know who is who")
	}
}
