package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/ops-center/live"
)

// display names a display and makes a token for its screen.
func (p *process) display(id string, args ...string) (token string) {
	p.t.Helper()
	p.must(append([]string{"display", "add", id}, args...)...)
	token, _ = p.must("token", "new", id, "--purpose", "test", "--screen", id)["secret"].(string)
	if token == "" {
		p.t.Fatalf("no token for display %s", id)
	}
	return token
}

// displayScreen is the socket of a display's browser.
type displayScreen struct {
	t testing.TB
	*websocket.Conn
}

func (p *process) openDisplay(token string) *displayScreen {
	p.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	c, _, err := d.Dial("ws://"+p.addr.HTTP+"/v1/live?alarms=0", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return &displayScreen{p.t, c}
}

type sceneTold struct {
	Type   string
	N      int64
	Reason string
	Scene  struct {
		ID      string
		Version int
	}
}

// scene waits for the next scene message.
func (s *displayScreen) scene() sceneTold {
	s.t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		kind, body, err := s.ReadMessage()
		if err != nil {
			s.t.Fatalf("waiting for a scene: %v", err)
		}
		var m sceneTold
		if kind == websocket.TextMessage && json.Unmarshal(body, &m) == nil && m.Type == "scene" {
			return m
		}
	}
}

func (s *displayScreen) say(n int64) {
	s.t.Helper()
	if err := s.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"health","n":%d,"frameAge":16,"fps":60,"width":1920,"height":1080}`, n)); err != nil {
		s.t.Fatal(err)
	}
}

type displayState struct {
	Condition string
	Told      struct{ Scene, Reason string }
	Showing   *struct{ Scene string }
}

func (p *process) displayState(id string) (d displayState) {
	p.t.Helper()
	if code := p.api("GET", "/v1/displays/"+id, nil, "", &d); code != 200 {
		p.t.Fatalf("display %s: status %d", id, code)
	}
	return d
}

// TestProgramDisplays: a push reaches a display's screen, a killed screen is
// known, and what was put on it outlives a killed server.
func TestProgramDisplays(t *testing.T) {
	p := startProcess(t, t.TempDir())
	token := p.display("hall-1", "--group", "hall")
	for _, id := range []string{"flood", "traffic"} {
		scene := fmt.Sprintf(`{"base":0,"name":{"vi":%q},"panels":[{"id":"clock","kind":"clock","x":0,"y":0,"w":4,"h":2}]}`, id)
		if code := p.api("PUT", "/v1/scenes/"+id, nil, scene, nil); code != 200 {
			t.Fatalf("scene %s: status %d", id, code)
		}
	}
	s := p.openDisplay(token)
	if m := s.scene(); m.Scene.ID != "default" || m.Reason != "default" {
		t.Fatalf("at first it is told %+v", m)
	}
	var took []time.Duration
	for i := range 20 {
		id := []string{"flood", "traffic"}[i%2]
		begun := time.Now()
		body := fmt.Sprintf(`{"scene":%q,"group":"hall"}`, id)
		if code := p.api("POST", "/v1/pushes", nil, body, nil); code != 200 {
			t.Fatalf("push: status %d", code)
		}
		m := s.scene()
		took = append(took, time.Since(begun))
		if m.Scene.ID != id || m.Reason != "pushed" {
			t.Fatalf("push of %s: it is told %+v", id, m)
		}
		s.say(m.N)
	}
	slices.Sort(took)
	t.Logf("from the request to the screen: median %v, worst of %d %v", took[len(took)/2].Round(time.Microsecond), len(took), took[len(took)-1].Round(time.Microsecond))
	if took[len(took)-1] > time.Second {
		t.Errorf("a push took %v to reach its screen", took[len(took)-1])
	}
	waitFor(t, 3*time.Second, "the screen's word that it shows it", func() bool {
		d := p.displayState("hall-1")
		return d.Condition == "alive" && d.Showing != nil && d.Showing.Scene == "traffic"
	})

	// Another's screen says nothing for it, and a display may push nothing.
	admin := p.openDisplay(p.token)
	admin.say(1)
	request, _ := http.NewRequest("POST", "http://"+p.addr.HTTP+"/v1/pushes", strings.NewReader(`{"scene":"flood","all":true}`))
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	if res, err := http.DefaultClient.Do(request); err != nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a display pushes a scene: %v, %v", res.Status, err)
	} else {
		_ = res.Body.Close()
	}

	// kill -9: the scene is there again, for a screen that knows nothing.
	p.kill()
	p.start()
	s = p.openDisplay(token)
	m := s.scene()
	if m.Scene.ID != "traffic" || m.Reason != "pushed" {
		t.Fatalf("after kill -9 it is told %+v", m)
	}
	s.say(m.N)
	waitFor(t, 3*time.Second, "the display to be alive again", func() bool { return p.displayState("hall-1").Condition == "alive" })
	gone := time.Now()
	_ = s.Close()
	waitFor(t, 5*time.Second, "the server to know that the screen is dead", func() bool { return p.displayState("hall-1").Condition == "dead" })
	t.Logf("a dead screen was known after %v", time.Since(gone).Round(10*time.Millisecond))

	var record struct {
		Shown []struct {
			Dark  bool
			Scene string
		}
	}
	waitFor(t, 3*time.Second, "the record of what it showed", func() bool {
		record.Shown = nil
		p.api("GET", "/v1/displays/hall-1/shown", nil, "", &record)
		n := len(record.Shown)
		return n > 0 && record.Shown[n-1].Dark
	})
}

func waitFor(t testing.TB, patience time.Duration, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// TestProgramScenes is a browser's look at displays, the editor and a spanned
// wall; see ops-center/web/test/e2e/scenes.mjs.
func TestProgramScenes(t *testing.T) {
	tool(t, "node")
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	p := startProcess(t, t.TempDir())
	requireWall(t, p)
	hall := p.display("hall-1", "--name", "Sảnh, màn 1", "--group", "hall")
	left, right := p.display("left", "--span", "2x1:0,0"), p.display("right", "--span", "2x1:1,0")
	args := []string{"test/e2e/scenes.mjs", "--url", "http://" + p.addr.HTTP, "--token", p.token, "--chromium", chromium,
		"--display", hall, "--left", left, "--right", right}
	if shots := os.Getenv("VONGLAU_SHOTS"); shots != "" {
		args = append(args, "--shots", shots)
	}
	browser := exec.Command("node", args...)
	browser.Dir = "../../ops-center/web"
	out, err := browser.CombinedOutput()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
