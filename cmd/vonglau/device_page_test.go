package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestProgramDevicePage is a look at one device, at enrolment, firmware and key
// figures, with a real browser; see ops-center/web/test/e2e/device.mjs.
func TestProgramDevicePage(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	// The second person of a dangerous command is an account of its own.
	const second = "token-of-the-second-person-1234567890"
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	people := fmt.Sprintf("people:\n  - { name: binh, role: operator, token_sha256: %x }\n", sha256.Sum256([]byte(second)))
	if err := os.WriteFile(config, []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	requireWall(t, p)
	token := p.enrol("air-1", "air-quality", "106.168,20.434")
	p.enrol("siren-1", "siren", "106.17,20.44")
	p.must("device", "add", "guest-1", "--profile", "air-quality", "--state", "quarantined")
	now := time.Now().UTC().Truncate(time.Second)
	report := func(body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.addr.HTTP+"/v1/devices/air-1/telemetry", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Fatalf("%s was answered %d, want %d", body, res.StatusCode, want)
		}
	}
	value := func(ago time.Duration, v float64) {
		t.Helper()
		report(fmt.Sprintf(`{"ts":%d,"pm25":%v}`, now.Add(-ago).UnixMilli(), v), http.StatusNoContent)
	}
	value(3*time.Hour, 30) // late, and a gap follows
	for i := range 10 {
		value(time.Duration(10-i)*time.Minute, 20+float64(i))
	}
	// A correction is of what is stored: two of one batch are one statement.
	waitFor(t, 20*time.Second, "the history", func() bool {
		var list struct{ Points []struct{ Value float64 } }
		code := p.api(http.MethodGet, "/v1/devices/air-1/readings", url.Values{"quantity": {"pm25"}}, "", &list)
		return code == http.StatusOK && len(list.Points) == 11
	})
	value(5*time.Minute, 99)
	report(`{"pm25":"a lot"}`, http.StatusUnprocessableEntity)

	args := []string{"test/e2e/device.mjs", "--url", "http://" + p.addr.HTTP, "--token", p.token, "--second", second, "--chromium", chromium}
	if shots := os.Getenv("VONGLAU_SHOTS"); shots != "" {
		args = append(args, "--shots", shots)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	browser := exec.CommandContext(ctx, "node", args...)
	browser.Dir = "../../ops-center/web"
	browser.WaitDelay = 10 * time.Second
	out, err := browser.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the browser: %v", err)
	}
}
