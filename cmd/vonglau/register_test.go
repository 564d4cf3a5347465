package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProgramRegisterCommands leads devices through their life from the command
// line: a table judged, imported and exported, approval, a report, retirement.
func TestProgramRegisterCommands(t *testing.T) {
	p := startProcess(t, t.TempDir())
	table := filepath.Join(t.TempDir(), "devices.csv")
	var b strings.Builder
	b.WriteString("id,name,profile,lat,lon,state,owner\n")
	for i := range 200 {
		fmt.Fprintf(&b, "aq-%03d,Trạm số %d,air-quality,20.4%02d,106.1%02d,quarantined,Sở Tài nguyên\n", i, i, i%100, i%100)
	}
	b.WriteString("aq 200,,air-quality,,,,\naq-001,,noise,,,,\n")
	if err := os.WriteFile(table, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	stdout, stderr, code := p.run("device", "import", table, "--dry-run")
	for _, want := range []string{"line 202", "line 203", "line 3 already", "202 lines: 200 good, 2 refused, 0 enrolled"} {
		if code != 1 || !strings.Contains(stdout, want) {
			t.Errorf("the dry run ends with code %d and does not say %q:\n%s%s", code, want, stdout, stderr)
		}
	}
	if stdout, _, code = p.run("device", "import", table); code != 1 || !strings.Contains(stdout, " 0 enrolled") {
		t.Errorf("an import with bad lines ends with code %d:\n%s", code, stdout)
	}
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if stdout, stderr, code = p.run("device", "import", table, "--skip-bad", "--tokens", tokens); code != 0 || !strings.Contains(stdout, "200 enrolled") {
		t.Fatalf("code %d:\n%s%s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(tokens)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	if err != nil || len(rows) != 201 || rows[1][0] != "aq-000" {
		t.Fatalf("%d lines of tokens, %v", len(rows), err)
	}
	if info, err := os.Stat(tokens); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the tokens: %v, %v", info.Mode(), err)
	}

	// A quarantined device is refused; approved, it is heard.
	report := func() int {
		req, err := http.NewRequest(http.MethodPost, "http://"+p.addr.HTTP+"/v1/devices/aq-000/telemetry", strings.NewReader(`{"pm25": 12}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+rows[1][1])
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if status := report(); status/100 != 4 {
		t.Errorf("a quarantined device was answered %d", status)
	}
	if stdout, stderr, code = p.run("device", "approve", "aq-000", "aq-001"); code != 0 || !strings.Contains(stdout, "aq-001\tactive") {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	if status := report(); status != http.StatusNoContent {
		t.Errorf("an approved device was answered %d", status)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		d := p.must("device", "show", "aq-000")
		network, _ := d["network"].(map[string]any)
		addresses, _ := network["addresses"].([]any)
		presence, _ := d["presence"].(map[string]any)
		total, _ := network["total"].(map[string]any)
		return len(addresses) == 1 && presence["state"] == "online" && d["state"] == "active" && total["messages"] == 1.0, fmt.Sprint(d)
	})

	if _, stderr, code = p.run("device", "maintenance", "aq-002"); code != 1 || !strings.Contains(stderr, "active, retired") {
		t.Errorf("from quarantine to maintenance: code %d: %s", code, stderr)
	}
	p.must("department", "set", "Sở Tài nguyên", "--head", "Trần Thị Bình")
	p.must("device", "set", "aq-000", "--site", "Nóc nhà A", "--owner", "")
	if stdout, _, _ = p.run("report", "conformity"); !strings.Contains(stdout, "1 of 200 devices deviate") || !strings.Contains(stdout, "no department") {
		t.Errorf("conformity:\n%s", stdout)
	}
	p.must("device", "retire", "aq-000")
	if status := report(); status/100 != 4 {
		t.Errorf("a retired device was answered %d", status)
	}
	stdout, _, code = p.run("device", "export", "--state", "active")
	if rows, err = csv.NewReader(strings.NewReader(strings.TrimPrefix(stdout, "\ufeff"))).ReadAll(); err != nil || code != 0 || len(rows) != 2 || rows[1][0] != "aq-001" {
		t.Errorf("exported %q, %v", rows, err)
	}
	// All of it is there after a restart.
	p.stop()
	p.start()
	if d := p.must("device", "show", "aq-000"); d["state"] != "retired" || d["site"] != "Nóc nhà A" {
		t.Errorf("after a restart: %v", d)
	}
	if d := p.must("device", "show", "aq-001"); d["head"] != "Trần Thị Bình" {
		t.Errorf("after a restart: %v", d)
	}
}

// TestProgramRegister is an administrator's morning in a register of 100,000
// devices, with a real browser. What it does is in
// ops-center/web/test/e2e/devices.mjs.
func TestProgramRegister(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	p := startProcess(t, t.TempDir())
	requireWall(t, p)
	sim := buildSimulator(t)
	city := filepath.Join(t.TempDir(), "city")
	if out, err := exec.Command(sim, "city", "--seed", "7", "--out", city).CombinedOutput(); err != nil {
		t.Fatalf("drawing the city: %v\n%s", err, out)
	}
	for _, layer := range []string{"wards", "river", "water", "streets", "parks"} {
		args := []string{"layer", "import", layer, filepath.Join(city, layer+".geojson"), "--code", "code", "--name", "name", "--valid-from", "2025-07-01"}
		if layer == "wards" {
			args = append(args, "--join")
		}
		p.must(args...)
	}
	const many = 100_000
	table := func(name, prefix, state string, n int, extra map[int]string) string {
		var b strings.Builder
		b.WriteString("id,name,profile,lat,lon,state,owner,site\n")
		for i := range n {
			b.WriteString(extra[i])
			fmt.Fprintf(&b, "%s-%06d,Đèn đường số %d,street-light,20.4%03d,106.1%03d,%s,Sở Xây dựng,Đường Trần Hưng Đạo\n", prefix, i, i, i%1000, i/100%1000, state)
		}
		b.WriteString(extra[n])
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	started := time.Now()
	if _, stderr, code := p.run("device", "import", table("many.csv", "lamp", "active", many, nil), "--tokens", filepath.Join(t.TempDir(), "tokens.csv")); code != 0 {
		t.Fatalf("importing %d devices: code %d: %s", many, code, stderr)
	}
	t.Logf("%d devices imported in %v", many, time.Since(started).Round(time.Millisecond))
	for _, query := range []string{"", "q=den+duong+99999", "ward=1", "presence=never&state=active", "owner=S%E1%BB%9F+X%C3%A2y+d%E1%BB%B1ng"} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		values.Set("limit", "100")
		started := time.Now()
		var page struct{ Total int }
		if code := p.api(http.MethodGet, "/v1/devices", values, "", &page); code != http.StatusOK {
			t.Fatalf("%s: %d", query, code)
		}
		t.Logf("%q: %d of %d devices in %v", query, page.Total, many, time.Since(started).Round(time.Millisecond))
	}

	shots := os.Getenv("VONGLAU_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	bad := map[int]string{499: "lamp-000001,,street-light,,,,,\n", 1000: "không hợp lệ,,street-light,,,,,\n"}
	browser := exec.Command("node", "test/e2e/devices.mjs", "--url", "http://"+p.addr.HTTP, "--token", p.token, "--devices", fmt.Sprint(many),
		"--table", table("some.csv", "imp", "quarantined", 1000, bad), "--shots", shots, "--chromium", chromium)
	browser.Dir = "../../ops-center/web"
	done := time.AfterFunc(6*time.Minute, func() { _ = browser.Process.Kill() })
	out, err := browser.CombinedOutput()
	done.Stop()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
