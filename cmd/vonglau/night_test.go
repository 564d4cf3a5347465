package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestProgramNight is an operator's night over a simulated city, in which the
// server is killed. What is looked for is in ops-center/web/test/e2e/night.mjs.
func TestProgramNight(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	dir := t.TempDir()
	tokens := map[string]string{"An": "operator-an-of-this-test-0123456789", "Bình": "operator-binh-of-this-test-012345678"}
	text := "people:\n"
	for _, name := range []string{"An", "Bình"} {
		text += fmt.Sprintf("  - { name: %s, role: operator, token_sha256: %x }\n", name, sha256.Sum256([]byte(tokens[name])))
	}
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The same addresses after the kill: screens and devices find it where it was.
	args := []string{"--config", config}
	for _, door := range []string{"--http", "--mqtt", "--coap"} {
		args = append(args, door, "[::1]:"+freePort(t))
	}
	p := startProcess(t, dir, args...)
	requireWall(t, p)
	sim := buildSimulator(t)
	p.must("department", "set", "so-xd", "--head", "Lê Văn Cường")
	p.display("hall-1", "--name", "Sảnh 1")
	p.must("rule", "apply", "../../deploy/demo/rules.yaml")

	log, err := os.Create(filepath.Join(t.TempDir(), "city.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	fleet := exec.Command(sim, "run", "--server", "http://"+p.addr.HTTP, "--token-file", filepath.Join(p.dir, "admin.token"),
		"--mqtt", p.addr.MQTT, "--coap", p.addr.CoAP, "--scenario", "typhoon", "--devices", "120", "--seed", "7",
		"--state", filepath.Join(t.TempDir(), "fleet.json"))
	fleet.Stdout, fleet.Stderr = log, log
	fleet.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := fleet.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = fleet.Process.Signal(syscall.SIGINT)
		_ = fleet.Wait()
	})

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	browser := exec.CommandContext(ctx, "node", "test/e2e/night.mjs", "--url", "http://"+p.addr.HTTP, "--an", tokens["An"],
		"--binh", tokens["Bình"], "--admin", p.token, "--shots", os.Getenv("VONGLAU_SHOTS"), "--chromium", chromium)
	browser.Dir = "../../ops-center/web"
	browser.WaitDelay = 10 * time.Second
	browser.Stderr = os.Stderr
	out, err := browser.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for said := bufio.NewScanner(out); said.Scan(); {
		t.Log(said.Text())
		if said.Text() == "kill the server" {
			p.kill()
			time.Sleep(3 * time.Second)
			p.start()
			killed = true
		}
	}
	if err := browser.Wait(); err != nil {
		t.Errorf("the browser: %v\nthe server: %s", err, p.tail())
	}
	if !killed {
		t.Error("the server was not killed")
	}
}
