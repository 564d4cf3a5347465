package main

import (
	"testing"
	"time"
)

// TestProgramFirstUse opens every page of a center that has nothing, and goes
// from there to a first alarm on a first screen.
func TestProgramFirstUse(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	p := startProcess(t, t.TempDir())
	requireWall(t, p)
	browse(t, p, 6*time.Minute, "first.mjs", "--token", p.token, "--chromium", chromium)
}
