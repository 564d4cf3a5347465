package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// as makes a request with a token, or with none; it gives status, headers and
// body.
func (p *process) as(token, method, path, body string, header ...string) (int, http.Header, []byte) {
	p.t.Helper()
	req, err := http.NewRequest(method, "http://"+p.addr.HTTP+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header, raw
}

// TestProgramDrill runs a drill in a city at work and looks for it wherever it
// must not be: zones, figures by zone, the export, the network report, the
// public feed and the public addresses. The chain of messages goes from a real
// alarm over two people to a cancellation, with a kill -9 in the middle.
func TestProgramDrill(t *testing.T) {
	const leader = "leader-token-of-this-test-0123456789"
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	text := fmt.Sprintf("people:\n  - { name: An, role: shift_leader, token_sha256: %x }\n", sha256.Sum256([]byte(leader)))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	importTestWards(t, p)
	rules := filepath.Join(dir, "rules.yaml")
	text = `version: 1
rules:
  - id: smog
    name: { vi: "Bụi mịn cao", en: "High fine dust" }
    priority: 1
    owner: env
    head: Lê Văn Cường
    basis: a test
    category: Env
    message: { vi: "Bụi mịn {value}", en: "Fine dust {value}" }
    response: { vi: "Cảnh báo người dân", en: "Warn people" }
    procedure: { vi: ["Kiểm tra trạm"], en: ["Check the station"] }
    scope: { profiles: [air-quality] }
    when: { threshold: { quantity: pm25, above: 100, clear: 90 } }
`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("department", "set", "env", "--head", "Lê Văn Cường")
	p.must("rule", "apply", rules)
	ofCity := p.enrol("aq-real", "air-quality", "106.12,20.434")

	started := p.must("drill", "start", "Bụi mịn 9/2026", "--for", "1h", "--like", "aq-real")
	drillID, _ := started["id"].(string)
	exercise := fmt.Sprint(started["devices"].([]any)[0])
	token, _ := started["tokens"].(map[string]any)[exercise].(string)
	report := func(id, token string, pm25 int) {
		t.Helper()
		if code, _, raw := p.as(token, http.MethodPost, "/v1/devices/"+id+"/telemetry", fmt.Sprintf(`{"pm25":%d}`, pm25)); code/100 != 2 {
			t.Fatalf("%s reports: %d %s", id, code, raw)
		}
	}
	report("aq-real", ofCity, 120)
	report(exercise, token, 900)

	type alarm struct {
		ID, Exercise string
		Device       string
		State        string
		Zones        []struct{ Code string }
	}
	alarms := func() map[string]alarm {
		var answer struct{ Alarms []alarm }
		p.api(http.MethodGet, "/v1/alarms", nil, "", &answer)
		byDevice := map[string]alarm{}
		for _, a := range answer.Alarms {
			byDevice[a.Device] = a
		}
		return byDevice
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		a := alarms()
		return a[exercise].Exercise == drillID && a["aq-real"].ID != "" && a["aq-real"].Exercise == "", fmt.Sprintf("alarms %+v", a)
	})
	if a := alarms()[exercise]; len(a.Zones) != 1 || a.Zones[0].Code != "W-1" {
		t.Errorf("the exercise alarm is in no ward: %+v", a)
	}

	t.Run("leaks", func(t *testing.T) {
		var zones struct {
			Zones []struct {
				Buckets []struct {
					Count int
					Max   float64
				}
			}
		}
		eventually(t, 10*time.Second, func() (bool, string) {
			p.api(http.MethodGet, "/v1/zones/wards/readings", url.Values{"quantity": {"pm25"}, "from": {"-1h"}, "step": {"1h"}}, "", &zones)
			return len(zones.Zones) == 1, fmt.Sprintf("zones %+v", zones)
		})
		count, most := 0, 0.0
		for _, b := range zones.Zones[0].Buckets {
			count, most = count+b.Count, max(most, b.Max)
		}
		if count != 1 || most != 120 {
			t.Errorf("the ward's history has %d readings up to %v", count, most)
		}
		for _, format := range []string{"csv", "json"} {
			if _, _, raw := p.as(p.token, http.MethodGet, "/v1/export/devices?format="+format, ""); strings.Contains(string(raw), exercise) || !strings.Contains(string(raw), "aq-real") {
				t.Errorf("the export as %s: %s", format, raw)
			}
		}
		for _, path := range []string{"/v1/reports/ipv6", "/v1/zones/aggregate?layer=wards&quantity=pm25&stat=max&window=1h"} {
			if code, _, raw := p.as(p.token, http.MethodGet, path, ""); code != 200 || strings.Contains(string(raw), exercise) || strings.Contains(string(raw), "900") {
				t.Errorf("%s: %d %s", path, code, raw)
			}
		}
		// Its own history is there, and says what it is.
		eventually(t, 10*time.Second, func() (bool, string) {
			_, _, raw := p.as(p.token, http.MethodGet, "/v1/devices/"+exercise+"/readings?quantity=pm25&from=-1h", "")
			return strings.Contains(string(raw), `"exercise"`) && strings.Contains(string(raw), "900"), string(raw)
		})
		_, _, raw := p.as(p.token, http.MethodGet, "/v1/live/dictionary", "")
		var dictionary struct {
			Devices struct {
				ID       []string
				Exercise []bool
			}
		}
		if err := json.Unmarshal(raw, &dictionary); err != nil {
			t.Fatal(err)
		}
		for i, id := range dictionary.Devices.ID {
			if dictionary.Devices.Exercise[i] != (id == exercise) {
				t.Errorf("on the wall %s is exercise=%v", id, dictionary.Devices.Exercise[i])
			}
		}
	})

	type warningJSON struct {
		ID       string
		Version  int
		State    string
		Exercise bool
		Messages []struct{ Identifier string }
		Draft    *struct{ Content json.RawMessage }
	}
	act := func(token, id, name, body string, want int) (w warningJSON) {
		t.Helper()
		path := "/v1/warnings"
		if id != "" {
			path += "/" + id + "/" + name
		}
		code, _, raw := p.as(token, http.MethodPost, path, body)
		if code != want {
			t.Fatalf("%s %s: %d %s", name, id, code, raw)
		}
		_ = json.Unmarshal(raw, &w)
		return w
	}
	send := func(w warningJSON) warningJSON {
		t.Helper()
		w = act(p.token, w.ID, "submit", fmt.Sprintf(`{"version":%d}`, w.Version), 200)
		approve := fmt.Sprintf(`{"version":%d,"confirm":%q}`, w.Version, w.ID)
		act(p.token, w.ID, "approve", approve, 403)
		act(leader, w.ID, "approve", fmt.Sprintf(`{"version":%d,"confirm":"x"}`, w.Version), 422)
		sent := act(leader, w.ID, "approve", approve, 200)
		act(leader, w.ID, "approve", approve, 409)
		return sent
	}
	a := alarms()
	act(p.token, "", "draft", fmt.Sprintf(`{"alarms":[%q,%q]}`, a["aq-real"].ID, a[exercise].ID), 422)
	real1 := send(act(p.token, "", "draft", fmt.Sprintf(`{"alarms":[%q]}`, a["aq-real"].ID), 201))
	practised := send(act(p.token, "", "draft", fmt.Sprintf(`{"alarms":[%q]}`, a[exercise].ID), 201))
	if real1.Exercise || !practised.Exercise || practised.State != "in_force" {
		t.Fatalf("real %+v, practised %+v", real1, practised)
	}

	message := "/v1/cap/" + real1.Messages[0].Identifier + ".xml"
	code, header, first := p.as("", http.MethodGet, message, "")
	if code != 200 || !strings.HasPrefix(header.Get("Content-Type"), "application/cap+xml") || !strings.Contains(header.Get("Cache-Control"), "public") || !strings.Contains(string(first), "<severity>Severe</severity>") {
		t.Errorf("%d %v %s", code, header, first)
	}
	if code, _, _ := p.as("", http.MethodGet, "/v1/cap/"+practised.Messages[0].Identifier+".xml", ""); code != 404 {
		t.Errorf("the exercise at a public address: %d", code)
	}
	code, header, feed := p.as("", http.MethodGet, "/v1/cap/feed.atom", "")
	if code != 200 || !strings.Contains(string(feed), real1.Messages[0].Identifier) || strings.Contains(string(feed), practised.Messages[0].Identifier) || strings.Contains(string(feed), "DIỄN TẬP") {
		t.Errorf("the public feed: %d %s", code, feed)
	}
	if code, _, _ := p.as("", http.MethodGet, "/v1/cap/feed.atom", "", "If-None-Match", header.Get("ETag")); code != 304 {
		t.Errorf("asked again: %d", code)
	}
	if code, _, _ := p.as("", http.MethodGet, "/v1/cap/exercise.atom", ""); code != 401 {
		t.Errorf("the exercise feed for anybody: %d", code)
	}
	if code, _, raw := p.as(leader, http.MethodGet, "/v1/cap/exercise/"+practised.Messages[0].Identifier+".xml", ""); code != 200 || !strings.Contains(string(raw), "<status>Exercise</status>") || !strings.Contains(string(raw), "DIỄN TẬP") {
		t.Errorf("the exercise for those who may: %d %s", code, raw)
	}

	p.kill()
	p.start()
	if _, _, again := p.as("", http.MethodGet, message, ""); string(again) != string(first) {
		t.Errorf("after kill -9 the message is\n%s\nit was\n%s", again, first)
	}
	file := filepath.Join(dir, "message.xml")
	if err := os.WriteFile(file, first, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := p.run("cap", "check", file); code != 0 || !strings.Contains(out, "good: CAP 1.2, Actual Alert") {
		t.Errorf("vonglau cap check: %d %s %s", code, out, errs)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(first), "<scope>Public</scope>", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := p.run("cap", "check", file); code != 1 || !strings.Contains(out, "missing at scope") {
		t.Errorf("a bad one: %d %s", code, out)
	}
	cancelled := send(act(p.token, real1.ID, "cancel", fmt.Sprintf(`{"version":%d,"text":{"vi":"Hết","en":"Over"}}`, real1.Version), 200))
	if cancelled.State != "cancelled" || len(cancelled.Messages) != 2 {
		t.Errorf("cancelled %+v", cancelled)
	}

	ended := p.must("drill", "end", drillID)
	sum, _ := ended["summary"].(map[string]any)
	if fmt.Sprint(sum["alarms"], sum["messages"]) != "1 1" {
		t.Errorf("the summary %v", sum)
	}
	if state := p.must("device", "show", exercise)["state"]; state != "retired" {
		t.Errorf("its device is %v", state)
	}
	if code, _, _ := p.as(token, http.MethodPost, "/v1/devices/"+exercise+"/telemetry", `{"pm25":1}`); code/100 == 2 {
		t.Error("a retired device reports")
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		a := alarms()
		_, there := a[exercise]
		return !there && a["aq-real"].ID != "", fmt.Sprintf("alarms %+v", a)
	})
	if out, _, code := p.run("warning", "list"); code != 0 || !strings.Contains(out, real1.ID) {
		t.Errorf("vonglau warning list: %s", out)
	}
}
