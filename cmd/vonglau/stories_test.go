package main

import "testing"

// TestWebStories looks at every panel, page and dialog in each of its states:
// ops-center/web/stories/README.md and ops-center/web/test/e2e/stories.mjs.
func TestWebStories(t *testing.T) {
	demo(t, "stories.mjs")
}

// TestWebUpgrade is a wall and a desk whose server is upgraded under them:
// ops-center/web/test/e2e/upgrade.mjs.
func TestWebUpgrade(t *testing.T) {
	demo(t, "upgrade.mjs")
}
