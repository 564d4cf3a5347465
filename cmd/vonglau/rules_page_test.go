package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestProgramRules makes a rule by the form of /rules with the keyboard alone,
// tries and enables it, and follows the link of its alarm to the desk; see
// ops-center/web/test/e2e/rules.mjs.
func TestProgramRules(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	config := filepath.Join(t.TempDir(), "vonglau.yaml")
	if err := os.WriteFile(config, []byte("outbound:\n  allow: [\"::1/128\"]\nmail:\n  link: https://ioc.city.example/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, t.TempDir(), "--config", config)
	requireWall(t, p)
	browse(t, p, 2*time.Minute, "rules.mjs", "--token", p.token, "--chromium", chromium)
}
