package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vonglau/ops-center/alert"
)

// TestProgramActsSurvive: what an operator did and was told is done, is done after
// a kill -9 that follows at once. The register of thresholds and a trial over the
// history that went through the journal are asked by command line.
func TestProgramActsSurvive(t *testing.T) {
	p, tokens := subscribed(t, 4)
	for i, token := range tokens {
		p.report(t, i, token, 200)
	}
	alarms := func() map[string]alert.Alarm {
		var out struct {
			Alarms []alert.Alarm `json:"alarms"`
		}
		p.api(http.MethodGet, "/v1/alarms", nil, "", &out)
		by := map[string]alert.Alarm{}
		for _, a := range out.Alarms {
			by[a.Entity] = a
		}
		return by
	}
	eventually(t, 10*time.Second, func() (bool, string) { return len(alarms()) == 4, "" })
	open := alarms()
	p.must("threshold", "apply", "../../deploy/thresholds.yaml")
	p.must("alarm", "ack", open["water-000"].ID, "--note", "đã xem camera")
	p.must("alarm", "shelve", open["water-001"].ID, "--for", "20m", "--reason", "đang sửa")
	p.must("alarm", "assign", open["water-002"].ID, "--department", "Sở Xây dựng")
	p.kill()
	p.start()
	after := alarms()
	if a := after["water-000"]; a.State != alert.Acknowledged || a.Acknowledged == nil {
		t.Errorf("the acknowledged one is %s", a.State)
	}
	if a := after["water-001"]; a.State != alert.Shelved || a.Shelved == nil || a.Shelved.Reason != "đang sửa" {
		t.Errorf("the shelved one is %s, %+v", a.State, a.Shelved)
	}
	if a := after["water-002"]; a.Assigned == nil || a.Assigned.Department != "Sở Xây dựng" {
		t.Errorf("the assigned one is of %+v", a.Assigned)
	}
	if a := after["water-003"]; len(after) != 4 || a.State != alert.Unacknowledged {
		t.Errorf("%d alarms, the one nobody touched is %s", len(after), a.State)
	}

	limits, _ := p.must("threshold", "list", "--quantity", "tsp")["limits"].([]any)
	var values []float64
	for _, l := range limits {
		v, _ := l.(map[string]any)["value"].(float64)
		values = append(values, v)
	}
	if slices.Sort(values); !slices.Equal(values, []float64{100, 200, 300}) {
		t.Errorf("the limits of total dust are %v", values)
	}

	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(floodRule), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() (bool, string) { // the history is written behind the journal
		trial := p.must("rule", "test", rules, "--from", "-1h")
		raised := map[string]bool{}
		list, _ := trial["alarms"].([]any)
		for _, a := range list {
			entity, _ := a.(map[string]any)["entity"].(string)
			raised[entity] = true
		}
		return len(list) == 4 && len(raised) == 4 && raised["water-003"], fmt.Sprint(trial)
	})
}
