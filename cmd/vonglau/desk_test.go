package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestProgramDesk puts two operators and an officer before one server's alarms,
// with keyboards only and with answers that are lost on the way. What is looked
// for is in ops-center/web/test/e2e/desk.mjs.
func TestProgramDesk(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	tokens := map[string]string{"An": "operator-an-of-this-test-0123456789", "Bình": "operator-binh-of-this-test-012345678", "Chi": "officer-chi-of-this-test-0123456789a"}
	text := "people:\n"
	for _, who := range []struct{ name, more string }{
		{"An", "role: operator"}, {"Bình", "role: operator"}, {"Chi", "role: officer, department: Sở Môi trường"},
	} {
		text += fmt.Sprintf("  - { name: %s, %s, token_sha256: %x }\n", who.name, who.more, sha256.Sum256([]byte(tokens[who.name])))
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	requireWall(t, p)
	rules := filepath.Join(dir, "rules.yaml")
	text = "version: 1\nrules:\n"
	for _, r := range []struct {
		id, devices string
		priority    int
	}{{"smog", "aq-1", 1}, {"haze", "aq-2, aq-3, aq-4, aq-5, aq-6, aq-7, aq-8, aq-9, aq-late", 2}} {
		text += fmt.Sprintf(`  - id: %s
    name: { vi: "Bụi mịn cao", en: "High fine dust" }
    priority: %d
    owner: Phòng thử
    head: Lê Văn Cường
    basis: QCVN của bài thử
    category: Env
    message: { vi: "Bụi mịn {value} tại {name}", en: "Fine dust {value} at {name}" }
    response: { vi: "Cảnh báo người dân", en: "Warn people" }
    procedure: { vi: ["Kiểm tra trạm", "Báo đơn vị"], en: ["Check the station", "Tell the department"] }
    scope: { devices: [%s] }
    when: { threshold: { quantity: pm25, above: 100, clear: 90 } }
`, r.id, r.priority, r.devices)
	}
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("department", "set", "Sở Môi trường", "--head", "Lê Văn Cường")
	p.display("hall-1", "--name", "Sảnh 1")
	enrolled := map[string]string{}
	for i := 1; i <= 10; i++ {
		id := fmt.Sprintf("aq-%d", i)
		if i == 10 {
			id = "aq-late"
		}
		enrolled[id] = p.enrol(id, "air-quality", fmt.Sprintf("106.1%d,20.43%d", i%10, i%7))
	}
	p.must("rule", "apply", rules)
	for id, token := range enrolled {
		value := 150
		if id == "aq-late" {
			value = 20
		}
		if code, _, raw := p.as(token, http.MethodPost, "/v1/devices/"+id+"/telemetry", fmt.Sprintf(`{"pm25":%d}`, value)); code/100 != 2 {
			t.Fatalf("%s reports: %d %s", id, code, raw)
		}
	}
	browser := exec.Command("node", "test/e2e/desk.mjs", "--url", "http://"+p.addr.HTTP, "--an", tokens["An"], "--binh", tokens["Bình"],
		"--officer", tokens["Chi"], "--admin", p.token, "--late", enrolled["aq-late"], "--shots", os.Getenv("VONGLAU_SHOTS"), "--chromium", chromium)
	browser.Dir = "../../ops-center/web"
	var out []byte
	var err error
	done := make(chan struct{})
	go func() { out, err = browser.CombinedOutput(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		_ = browser.Process.Kill()
		<-done
	}
	if err != nil {
		t.Fatalf("the browser: %v\n%s\nthe server: %s", err, out, p.tail())
	}
	t.Logf("%s", out)
}
