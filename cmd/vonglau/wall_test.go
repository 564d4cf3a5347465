package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProgramWall is a newcomer's first minute: a simulated city reports to the
// server, and a real browser looks at the wall. What it looks for is in
// ops-center/web/test/e2e/wall.mjs.
func TestProgramWall(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	p := startProcess(t, t.TempDir())
	requireWall(t, p)
	sim := buildSimulator(t)

	city := filepath.Join(t.TempDir(), "city")
	if out, err := exec.Command(sim, "city", "--seed", "7", "--out", city).CombinedOutput(); err != nil {
		t.Fatalf("drawing the city: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(city, "*.geojson"))
	if err != nil || len(files) < 8 {
		t.Fatalf("the city has %d layers: %v", len(files), err)
	}
	for _, file := range files {
		layer := strings.TrimSuffix(filepath.Base(file), ".geojson")
		args := []string{"layer", "import", layer, file, "--code", "code", "--name", "name", "--valid-from", "2025-07-01"}
		switch layer {
		case "wards", "flood_basins", "feeders":
			args = append(args, "--join")
		}
		p.must(args...)
	}
	p.must("rule", "apply", "../../deploy/demo/rules.yaml")

	log, err := os.Create(filepath.Join(t.TempDir(), "city.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	fleet := exec.Command(sim, "run", "--server", "http://"+p.addr.HTTP, "--token-file", filepath.Join(p.dir, "admin.token"),
		"--mqtt", p.addr.MQTT, "--coap", p.addr.CoAP, "--scenario", "typhoon", "--devices", "500", "--seed", "7",
		"--state", filepath.Join(p.dir, "fleet.json"))
	fleet.Stdout, fleet.Stderr = log, log
	fleet.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := fleet.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = fleet.Process.Signal(syscall.SIGINT)
		_ = fleet.Wait()
	})

	browse(t, p, 8*time.Minute, "wall.mjs", "--token", p.token, "--devices", "400", "--alarms", "1", "--within", "90", "--chromium", chromium)
	// By now there is a past to look at.
	browse(t, p, 5*time.Minute, "replay.mjs", "--token", p.token, "--back", "30", "--chromium", chromium)
	browse(t, p, 5*time.Minute, "replay-push.mjs", "--token", p.token, "--display", p.display("hall-1"), "--other", p.display("hall-2"), "--back", "60", "--chromium", chromium)
	if t.Failed() {
		city, _ := os.ReadFile(log.Name())
		t.Logf("the city: %s", city[max(0, len(city)-500):])
	}
}

// browse runs a browser's look at a running server, which is a script of
// ops-center/web/test/e2e. VONGLAU_SHOTS keeps its pictures.
func browse(t *testing.T, p *process, patience time.Duration, script string, args ...string) {
	t.Helper()
	shots := os.Getenv("VONGLAU_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	look(t, patience, script, append([]string{"--url", "http://" + p.addr.HTTP, "--shots", shots}, args...)...)
}

// look runs a browser script of ops-center/web/test/e2e.
func look(t *testing.T, patience time.Duration, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args = append([]string{"test/e2e/" + script}, args...)
	browser := exec.CommandContext(ctx, "node", args...)
	browser.Dir = "../../ops-center/web"
	browser.WaitDelay = 10 * time.Second
	out, err := browser.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the browser: %v", err)
	}
}

// TestProgramDisplayLife is a display's life: an alarm takes it over and gives it
// back, a camera's page is shut in its frame, night dims it.
func TestProgramDisplayLife(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	dir := t.TempDir()
	frames := freePort(t)
	config := filepath.Join(dir, "vonglau.yaml")
	text := fmt.Sprintf("wall:\n  frames: [\"http://localhost:%s\"]\n", frames)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	requireWall(t, p)
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
	station := p.enrol("aq-hall", "air-quality", "106.168,20.434")
	browse(t, p, 3*time.Minute, "screens.mjs", "--token", p.token, "--chromium", chromium,
		"--display", p.display("hall-1"), "--device", "aq-hall", "--device-token", station, "--frame", frames)
}

// requireWall skips when the wall is not built into the program; under `make
// test` it has to be.
func requireWall(t *testing.T, p *process) {
	t.Helper()
	if _, err := os.Stat("../../ops-center/web/node_modules/playwright-core"); err == nil {
		if code := p.api("GET", "/", nil, "", nil); code == 200 {
			return
		}
	}
	if os.Getenv("VONGLAU_REQUIRE_TOOLS") != "" {
		t.Fatal("the wall is not in the program; `make build` builds it")
	}
	t.Skip("the wall is not in the program; `make build` builds it")
}

// buildSimulator builds firmware-sim, or takes the one `make test` has built.
func buildSimulator(t *testing.T) string {
	t.Helper()
	if sim := os.Getenv("VONGLAU_SIM"); sim != "" {
		return sim
	}
	sim := filepath.Join(t.TempDir(), "firmware-sim")
	if out, err := exec.Command("go", "build", "-o", sim, "../firmware-sim").CombinedOutput(); err != nil {
		t.Fatalf("building the simulator: %v\n%s", err, out)
	}
	return sim
}
