package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/ops-center/audit"
	"vonglau/ops-center/live"
	"vonglau/ops-center/replay"
)

// wallShown is what a screen has on it.
type wallShown struct {
	Hello struct {
		Hub    string
		Now    int64
		Replay *live.ReplayState
	}
	Values map[string]shownValue // by device and quantity
	Alarms map[string]string     // by id: state
}

// shownValue is one channel; its time is told in tenths of a second that are
// counted from another moment in each frame.
type shownValue struct {
	value             float32
	at                int64
	severity, quality uint8
}

func (v shownValue) same(o shownValue) bool {
	return math.Float32bits(v.value) == math.Float32bits(o.value) && max(v.at-o.at, o.at-v.at) <= 100 && v.severity == o.severity && v.quality == o.quality
}

// screenAt opens a socket and gives the first that it shows.
func (p *process) screenAt(t *testing.T, path string) (*websocket.Conn, *wallShown) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	c, _, err := d.Dial("ws://"+p.addr.HTTP+path, http.Header{"Authorization": {"Bearer " + p.token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w := &wallShown{}
	w.read(t, p, c, func() bool { return w.Values != nil && w.Alarms != nil })
	return c, w
}

// read takes messages until what is shown is enough.
func (w *wallShown) read(t *testing.T, p *process, c *websocket.Conn, enough func() bool) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(25 * time.Second))
	for !enough() {
		kind, body, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("the socket: %v; shown %+v", err, w)
		}
		if kind == websocket.BinaryMessage {
			if body[5] == 1 {
				w.Values = map[string]shownValue{}
			}
			if body[5] != 3 {
				w.frame(t, p, body)
			}
			continue
		}
		var m struct {
			Type   string
			Alarms []struct{ ID, State string }
			Change []struct{ ID, State string } `json:"changed"`
			Alarm  *struct{ ID, State string }
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Type == "hello":
			if err := json.Unmarshal(body, &w.Hello); err != nil {
				t.Fatal(err)
			}
		case m.Type == "alarms" && m.Change == nil:
			w.Alarms = map[string]string{}
			m.Change = m.Alarms
		case m.Alarm != nil:
			m.Change = append(m.Change, *m.Alarm)
		}
		for _, a := range m.Change {
			if a.State == "normal" {
				delete(w.Alarms, a.ID)
			} else {
				w.Alarms[a.ID] = a.State
			}
		}
	}
}

// frame reads one frame of values by the words of PROTOCOL.md.
func (w *wallShown) frame(t *testing.T, p *process, b []byte) {
	t.Helper()
	path := "/v1/live/dictionary"
	if w.Hello.Replay != nil {
		path = w.Hello.Replay.Dictionary
	}
	var dict struct {
		Quantities []struct{ Name string }
		Devices    struct{ ID []string }
		Channels   struct{ Device, Quantity []int }
	}
	if code := p.api(http.MethodGet, path, nil, "", &dict); code != http.StatusOK {
		t.Fatalf("%s: status %d", path, code)
	}
	n := int(binary.LittleEndian.Uint32(b[8:]))
	t0 := int64(binary.LittleEndian.Uint64(b[24:]))
	for i := range n {
		c := binary.LittleEndian.Uint32(b[32+4*i:])
		v := math.Float32frombits(binary.LittleEndian.Uint32(b[32+4*n+4*i:]))
		dt := binary.LittleEndian.Uint16(b[32+8*n+2*i:])
		severity, quality := b[32+10*n+i], b[32+11*n+i]
		at := int64(0)
		if dt != 65535 {
			at = t0 + int64(dt)*100
		}
		name := dict.Devices.ID[dict.Channels.Device[c]] + "/" + dict.Quantities[dict.Channels.Quantity[c]].Name
		w.Values[name] = shownValue{v, at, severity, quality}
	}
}

// TestProgramReplay records what the wall shows, lets the city go on and the
// server be killed, and then asks the time machine for that moment: every
// channel and every alarm is as it was. Played on, it comes to what the wall
// shows now. Nothing is written by it but that it was opened.
func TestProgramReplay(t *testing.T) {
	p := startProcess(t, t.TempDir())
	tokens := make([]string, 4)
	for i := range tokens {
		tokens[i] = p.enrol(fmt.Sprintf("water-%03d", i), "air-quality", fmt.Sprintf("106.1%d,20.43", i))
	}
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(`version: 1
rules:
  - id: dust
    name: {vi: Bụi, en: Dust}
    priority: 1
    owner: Sở Xây dựng
    head: Giám đốc Sở
    scope: {profiles: [air-quality]}
    when: {threshold: {quantity: pm25, above: 100}}
    message: {vi: Bụi cao, en: Dust is high}
    response: {vi: Kiểm tra, en: Look at it}
    procedure: {vi: [Kiểm tra], en: [Look at it]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("rule", "apply", rules)
	open := func(state string, n int) {
		t.Helper()
		eventually(t, 10*time.Second, func() (bool, string) {
			var list struct{ Alarms []struct{ ID, State string } }
			p.api(http.MethodGet, "/v1/alarms", nil, "", &list)
			found := 0
			for _, a := range list.Alarms {
				if a.State == state {
					found++
				}
			}
			return found == n, fmt.Sprint(list)
		})
	}
	for round := range 3 {
		for i, token := range tokens[:3] {
			p.report(t, i, token, float64(10*round+i))
		}
		time.Sleep(300 * time.Millisecond)
	}
	p.report(t, 1, tokens[1], 150.5)
	open("unacknowledged", 1)
	time.Sleep(1200 * time.Millisecond)
	_, then := p.screenAt(t, "/v1/live")
	moment := time.UnixMilli(then.Hello.Now)
	time.Sleep(1200 * time.Millisecond)

	// The city goes on.
	for id := range then.Alarms {
		if code := p.api(http.MethodPost, "/v1/alarms/"+url.PathEscape(id)+"/acknowledge", nil, `{"note":"seen"}`, nil); code/100 != 2 {
			t.Fatalf("acknowledging: status %d", code)
		}
	}
	p.report(t, 0, tokens[0], 170)
	p.report(t, 2, tokens[2], 33)
	p.report(t, 3, tokens[3], 44)
	open("unacknowledged", 1)
	open("acknowledged", 1)
	p.kill()
	p.start()
	open("acknowledged", 1)
	before := len(p.records("act=replay.open"))
	entries := len(p.records(""))

	// A replay ends a little before the present.
	time.Sleep(time.Until(moment.Add(replay.Edge + time.Second)))

	at := "&at=" + url.QueryEscape(moment.UTC().Format(time.RFC3339Nano))
	c, past := p.screenAt(t, "/v1/replay?paused=1"+at)
	if past.Hello.Replay == nil || past.Hello.Now != moment.UnixMilli() {
		t.Fatalf("hello of a replay of %d: %+v", moment.UnixMilli(), past.Hello)
	}
	if !maps.EqualFunc(past.Values, then.Values, shownValue.same) || len(then.Values) < 4 {
		t.Errorf("the wall of then:\n%v\nis replayed as\n%v", then.Values, past.Values)
	}
	if !maps.Equal(past.Alarms, then.Alarms) || len(then.Alarms) != 1 {
		t.Errorf("the alarms of then, %v, are replayed as %v", then.Alarms, past.Alarms)
	}

	// Two of one person, and no third.
	p.screenAt(t, "/v1/replay?paused=1"+at)
	d := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	third, _, err := d.Dial("ws://"+p.addr.HTTP+"/v1/replay?x=1"+at, http.Header{"Authorization": {"Bearer " + p.token}})
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, _, err = third.ReadMessage(); !websocket.IsCloseError(err, live.TooMany) {
		t.Errorf("a third replay ended with %v", err)
	}

	// An act is no message of it, and a bad wish is told and has no effect.
	for wish, want := range map[string]string{
		`{"type":"acknowledge","id":"x"}`: "unknown type", `{"type":"speed","speed":601}`: "want 1 to 600", `{"type":"seek","at":1}`: "before all that is kept",
	} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(wish)); err != nil {
			t.Fatal(err)
		}
		for {
			_, body, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(body), `"type":"error"`) {
				if !strings.Contains(string(body), want) {
					t.Errorf("%s is answered by %s", wish, body)
				}
				break
			}
		}
	}

	// On to the present, faster than it was.
	for _, wish := range []string{`{"type":"speed","speed":30}`, `{"type":"play"}`} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(wish)); err != nil {
			t.Fatal(err)
		}
	}
	past.read(t, p, c, func() bool {
		return len(past.Alarms) == 2 && past.Values["water-003/pm25"].value == 44
	})
	_, now := p.screenAt(t, "/v1/live")
	if !maps.Equal(past.Alarms, now.Alarms) {
		t.Errorf("played on to %v, the wall has %v", past.Alarms, now.Alarms)
	}
	for name, value := range now.Values {
		reached := past.Values[name]
		reached.quality, value.quality = 0, 0 // silence depends on when one looks
		if !reached.same(value) {
			t.Errorf("%s: played on to %v, the wall has %v", name, reached, value)
		}
	}

	// Back again in the same socket.
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"pause"}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"seek","at":%d}`, moment.UnixMilli())); err != nil {
		t.Fatal(err)
	}
	past.read(t, p, c, func() bool {
		return maps.EqualFunc(past.Values, then.Values, shownValue.same) && maps.Equal(past.Alarms, then.Alarms)
	})

	if n := len(p.records("act=replay.open")) - before; n != 2 {
		t.Errorf("%d openings are on record, want 2", n)
	}
	after := p.records("")
	for _, e := range after[:len(after)-entries] {
		if e.Act != "replay.open" && e.Act != "list-audit" && e.Outcome == audit.Done {
			t.Errorf("during a replay somebody did %+v", e)
		}
	}
}
