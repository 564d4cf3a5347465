package main

import (
	"os"
	"testing"
	"time"
)

// TestWebMap is a person's look at the map of a made-up city: every overlay, its
// tools, a lost graphics context, a print, and the pixels of each single sensor.
// It needs the wall that is built, and no server. What it looks for is in
// ops-center/web/test/e2e/map.mjs.
func TestWebMap(t *testing.T) {
	demo(t, "map.mjs")
}

// TestWebSizes is the wall at the sizes walls have, and a look that misses no
// sensor: ops-center/web/test/e2e/sizes.mjs.
func TestWebSizes(t *testing.T) {
	demo(t, "sizes.mjs")
}

// demo runs a browser's look at the built wall on recorded frames.
func demo(t *testing.T, script string) {
	t.Helper()
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	for _, needed := range []string{"dist/index.html", "node_modules/playwright-core"} {
		if _, err := os.Stat("../../ops-center/web/" + needed); err == nil {
			continue
		}
		if os.Getenv("VONGLAU_REQUIRE_TOOLS") != "" {
			t.Fatalf("the wall has no %s; `make build` makes it", needed)
		}
		t.Skipf("the wall has no %s; `make build` makes it", needed)
	}
	args := []string{"--chromium", chromium}
	if shots := os.Getenv("VONGLAU_SHOTS"); shots != "" {
		args = append(args, "--shots", shots)
	}
	look(t, 10*time.Minute, script, args...)
}
