package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/ops-center/notify"
)

// inbox keeps what a webhook is sent, once for each delivery.
type inbox struct {
	url string
	mu  sync.Mutex
	ids map[string]bool
	raw []string
}

func newInbox(t *testing.T, secret, contentType string) *inbox {
	t.Helper()
	b := &inbox{ids: map[string]bool{}}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := notify.Verify(r.Header.Get(notify.HeaderSignature), body, []byte(secret), time.Now(), time.Minute); err != nil {
			t.Errorf("a delivery: %v", err)
		}
		if got := r.Header.Get("Content-Type"); got != contentType {
			t.Errorf("a delivery of type %s, want %s", got, contentType)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if id := r.Header.Get(notify.HeaderDelivery); !b.ids[id] {
			b.ids[id] = true
			b.raw = append(b.raw, string(body))
		}
	})}}
	s.Start()
	t.Cleanup(s.Close)
	b.url = s.URL
	return b
}

func (b *inbox) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.raw)
}

// kinds are what JSON messages tell, as kind, exercise and warning.
func (b *inbox) kinds() (list []string) {
	for _, raw := range b.got() {
		var m notify.Message
		if err := json.Unmarshal([]byte(raw), &m); err != nil || m.Event == nil {
			return []string{raw}
		}
		list = append(list, strings.TrimSpace(m.Event.Kind+" "+m.Event.Exercise))
	}
	return list
}

// TestProgramWarningsDelivered: a public message is drawn, approved by a second
// person and reaches departments as the octets that are public; a practised one
// reaches who asked for drills; over a kill -9.
func TestProgramWarningsDelivered(t *testing.T) {
	const leader, secret = "leader-token-of-this-test-0123456789", "a-secret-of-the-department"
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	text := fmt.Sprintf("outbound:\n  allow: [\"::1/128\"]\npeople:\n  - { name: An, role: shift_leader, token_sha256: %x }\n", sha256.Sum256([]byte(leader)))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	importTestWards(t, p)
	subscribe := func(contentType string, args ...string) *inbox {
		b := newInbox(t, secret, contentType)
		p.must(append([]string{"subscription", "add", "--department", "Sở Y tế", "--webhook", b.url, "--secret", secret}, args...)...)
		return b
	}
	all := subscribe("application/json")
	capped := subscribe("application/cap+xml", "--format", "cap")
	ward2 := subscribe("application/json", "--zone", "wards:W-2")
	ward1 := subscribe("application/json", "--zone", "wards:W-1")
	health := subscribe("application/json", "--category", "Health")
	other := subscribe("application/json", "--category", "Fire")
	drills := subscribe("application/json", "--exercises")

	type warningJSON struct {
		ID       string
		Version  int
		State    string
		Exercise bool
		Messages []struct{ Identifier string }
	}
	act := func(token, path, body string) (w warningJSON) {
		t.Helper()
		code, _, raw := p.as(token, http.MethodPost, "/v1/warnings"+path, body)
		if code/100 != 2 {
			t.Fatalf("%s: %d %s", path, code, raw)
		}
		if err := json.Unmarshal(raw, &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	send := func(w warningJSON) warningJSON {
		t.Helper()
		w = act(p.token, "/"+w.ID+"/submit", fmt.Sprintf(`{"version":%d}`, w.Version))
		return act(leader, "/"+w.ID+"/approve", fmt.Sprintf(`{"version":%d,"confirm":%q}`, w.Version, w.ID))
	}
	draft := func(exercise bool) warningJSON {
		t.Helper()
		both := func(vi, en string) map[string]string { return map[string]string{"vi": vi, "en": en} }
		body, err := json.Marshal(map[string]any{"exercise": exercise, "content": map[string]any{
			"categories": []string{"Met", "Health"}, "responseTypes": []string{"Shelter"}, "urgency": "Expected", "severity": "Severe", "certainty": "Likely",
			"event": both("Nắng nóng", "Heat"), "headline": both("Nắng nóng gay gắt", "Extreme heat"), "description": both("40 °C lúc 14 giờ", "40 °C at 2 pm"),
			"instruction": both("Ở nơi mát", "Stay in the cool"), "areaName": both("Phía đông", "The east"), "expires": time.Now().Add(3 * time.Hour).UTC().Truncate(time.Second),
			"zones": []any{}, "alarms": []any{},
			// Inside of ward W-2, with none of its corners: only the drawing says which ward it is.
			"polygons": [][]map[string]float64{{{"lat": 20.42, "lon": 106.20}, {"lat": 20.42, "lon": 106.22}, {"lat": 20.44, "lon": 106.21}, {"lat": 20.42, "lon": 106.20}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return act(p.token, "", string(body))
	}
	first := send(draft(false))
	practised := send(draft(true))
	if first.Exercise || !practised.Exercise {
		t.Fatalf("first %+v, practised %+v", first, practised)
	}
	both := func() bool { return len(drills.got()) == 2 && len(capped.got()) == 1 }
	eventually(t, 10*time.Second, func() (bool, string) { return both(), fmt.Sprint(drills.kinds(), len(capped.got())) })
	p.kill()
	p.start()
	cancelled := send(act(p.token, "/"+first.ID+"/cancel", fmt.Sprintf(`{"version":%d,"text":{"vi":"Đã hết nắng nóng","en":"The heat is over"}}`, first.Version)))
	eventually(t, 10*time.Second, func() (bool, string) {
		return len(drills.got()) == 3 && len(all.got()) == 2 && len(capped.got()) == 2 && len(ward2.got()) == 2 && len(health.got()) == 2, fmt.Sprint(drills.kinds())
	})
	normal := []string{"warning.issued", "warning.cancelled"}
	for name, b := range map[string]*inbox{"all": all, "ward W-2": ward2, "health": health} {
		if got := b.kinds(); !slices.Equal(got, normal) {
			t.Errorf("%s got %q, want %q", name, got, normal)
		}
	}
	if got := drills.kinds(); !slices.Equal(got, []string{normal[0], normal[0] + " " + practised.ID, normal[1]}) {
		t.Errorf("who asked for drills got %q", got)
	}
	for name, b := range map[string]*inbox{"ward W-1": ward1, "fire": other} {
		if got := b.got(); len(got) != 0 {
			t.Errorf("%s got %q", name, got)
		}
	}
	for i, raw := range capped.got() {
		id := cancelled.Messages[i].Identifier
		if _, _, public := p.as("", http.MethodGet, "/v1/cap/"+id+".xml", ""); string(public) != raw {
			t.Errorf("%s is public as\n%s\nand came as\n%s", id, public, raw)
		}
		file := filepath.Join(dir, id+".xml")
		if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errs, code := p.run("cap", "check", file); code != 0 {
			t.Errorf("vonglau cap check: %d %s %s", code, out, errs)
		}
		schema := "../../../shared/data/cap/CAP-v1.2.xsd"
		if _, err := os.Stat(schema); err != nil {
			continue
		}
		if out, err := exec.Command(tool(t, "xmllint"), "--nonet", "--noout", "--schema", schema, file).CombinedOutput(); err != nil {
			t.Errorf("xmllint: %v\n%s", err, out)
		}
	}
}

// TestProgramDepartmentsPage is a browser's look at /departments; see
// ops-center/web/test/e2e/departments.mjs.
func TestProgramDepartmentsPage(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	p, tokens := subscribed(t, 4)
	requireWall(t, p)
	importTestWards(t, p)
	var devices []string
	for i, token := range tokens[1:] { // the first is on the border of its ward
		devices = append(devices, fmt.Sprintf("water-%03d=%s", i+1, token))
	}
	args := []string{"test/e2e/departments.mjs", "--url", "http://" + p.addr.HTTP, "--token", p.token, "--chromium", chromium, "--devices", strings.Join(devices, ",")}
	if shots := os.Getenv("VONGLAU_SHOTS"); shots != "" {
		args = append(args, "--shots", shots)
	}
	browser := exec.Command("node", args...)
	browser.Dir = "../../ops-center/web"
	out, err := browser.CombinedOutput()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
