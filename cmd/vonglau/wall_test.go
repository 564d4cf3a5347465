package main

import (
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

	shots := os.Getenv("VONGLAU_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	browser := exec.Command("node", "test/e2e/wall.mjs", "--url", "http://"+p.addr.HTTP, "--token", p.token,
		"--devices", "400", "--alarms", "1", "--within", "90", "--shots", shots, "--chromium", chromium)
	browser.Dir = "../../ops-center/web"
	done := make(chan struct{})
	var out []byte
	go func() { out, err = browser.CombinedOutput(); close(done) }()
	select {
	case <-done:
	case <-time.After(8 * time.Minute):
		_ = browser.Process.Kill()
		<-done
	}
	if err != nil {
		city, _ := os.ReadFile(log.Name())
		t.Fatalf("the browser: %v\n%s\nthe city: %s", err, out, city[max(0, len(city)-500):])
	}
	t.Logf("%s", out)
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
