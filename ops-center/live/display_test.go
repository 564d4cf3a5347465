package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// stage decides for the displays of a test.
type stage struct {
	mu       sync.Mutex
	n        int
	reported []string
}

func (s *stage) Message(display string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Appendf(nil, `{"type":"scene","n":%d,"for":%q}`, s.n, display)
}

func (s *stage) Report(display, _ string, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reported = append(s.reported, display+" "+string(raw))
	return nil
}

// TestDisplays: a token's display decides what its screen is sent and speaks
// for; others are sent what they ask for, and nothing when they ask for nothing.
func TestDisplays(t *testing.T) {
	st := &stage{}
	h := newHub(t, func(o *Options) { o.Displays, o.Build = st, "b1" })
	url := served(t, h, func(r *http.Request) (Viewer, func() bool, bool, error) {
		return Viewer{Screen: r.Header.Get("X-Screen")}, func() bool { return true }, true, nil
	})
	// next reads up to a message of one of these types.
	next := func(c *websocket.Conn, types ...string) map[string]any {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		for {
			kind, body, err := c.ReadMessage()
			if err != nil {
				t.Fatalf("waiting for %v: %v", types, err)
			}
			var m map[string]any
			if kind != websocket.TextMessage || json.Unmarshal(body, &m) != nil {
				continue
			}
			for _, typ := range types {
				if m["type"] == typ {
					return m
				}
			}
		}
	}
	dial := func(screen, query string) *websocket.Conn {
		t.Helper()
		d := websocket.Dialer{Subprotocols: []string{Protocol}}
		c, _, err := d.Dial(url+query, http.Header{"X-Screen": {screen}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	own, guest, plain := dial("w1", "/?display=w2"), dial("", "/?display=w1"), dial("", "/")
	hello := next(own, "hello")
	if hello["build"] != "b1" || hello["screen"] != "w1" {
		t.Errorf("hello says %v", hello)
	}
	for name, c := range map[string]*websocket.Conn{"its own screen": own, "a guest": guest} {
		if m := next(c, "scene"); m["for"] != "w1" || m["n"] != 0.0 {
			t.Errorf("%s is sent %v", name, m)
		}
	}
	st.mu.Lock()
	st.n = 7
	st.mu.Unlock()
	pushed := time.Now()
	h.Show("w1")
	h.Show("w9")
	for name, c := range map[string]*websocket.Conn{"its own screen": own, "a guest": guest} {
		if m := next(c, "scene"); m["n"] != 7.0 {
			t.Errorf("%s is sent %v", name, m)
		}
	}
	t.Logf("two screens were told after %v", time.Since(pushed).Round(time.Microsecond))

	for c, want := range map[*websocket.Conn]string{own: "pong", guest: "error", plain: "error"} {
		for _, m := range []string{`{"type":"health","n":7}`, `{"type":"ping","id":1}`} {
			if err := c.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		if m := next(c, "scene", "error", "pong"); m["type"] != want {
			t.Errorf("after a health report it is sent %v, want %s", m, want)
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.reported) != 1 || st.reported[0] != `w1 {"type":"health","n":7}` {
		t.Errorf("reported: %q", st.reported)
	}
}
