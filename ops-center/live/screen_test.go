package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
)

// served starts the hub behind a real listener on [::1].
func served(t testing.TB, h *Hub, admit Admit) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	if admit == nil {
		admit = func(*http.Request) (Viewer, func() bool, bool, error) {
			return Viewer{}, func() bool { return true }, true, nil
		}
	}
	srv := httptest.NewUnstartedServer(h.Handler(admit))
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	h.Start()
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return "ws://" + l.Addr().String()
}

// wall is a screen as a test plays it: it folds what it is sent.
type wall struct {
	*websocket.Conn
	t       testing.TB
	hub     string
	seq     uint64
	resumed bool
	gap     bool
	snaps   int
	values  map[uint32]float32
	places  map[uint32]FramePosition
	alarms  map[string]string // id to state
	heard   []string          // alarm messages, "id state"
	beats   int
	errors  []string
	pongs   int
}

func open(t testing.TB, url string, header http.Header) *wall {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Protocol}, HandshakeTimeout: 10 * time.Second}
	c, resp, err := d.Dial(url, header)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		t.Fatalf("dial %s: %v (status %d)", url, err, status)
	}
	if c.Subprotocol() != Protocol {
		t.Fatalf("subprotocol %q", c.Subprotocol())
	}
	w := &wall{Conn: c, t: t, values: map[uint32]float32{}, places: map[uint32]FramePosition{}, alarms: map[string]string{}}
	t.Cleanup(func() { c.Close() })
	return w
}

// step takes one message.
func (w *wall) step() error {
	w.SetReadDeadline(time.Now().Add(20 * time.Second))
	kind, b, err := w.ReadMessage()
	if err != nil {
		return err
	}
	if kind == websocket.BinaryMessage {
		f, err := ParseFrame(b)
		if err != nil {
			w.t.Fatal(err)
		}
		if f.Snapshot() {
			w.snaps++
			clear(w.values)
		}
		if f.Seq < w.seq {
			w.t.Errorf("seq went back from %d to %d", w.seq, f.Seq)
		}
		w.seq = f.Seq
		for _, u := range f.Updates {
			w.values[u.Channel] = u.Value
		}
		for _, p := range f.Positions {
			w.places[p.Device] = p
		}
		return nil
	}
	var m struct {
		Type    string
		Hub     string
		Seq     uint64
		Resumed bool
		Message string
		Total   int
		Alarm   struct{ ID, State string }
		Alarms  []struct{ ID, State string }
		Reset   bool
		Changed []struct{ ID, State string }
	}
	if err := json.Unmarshal(b, &m); err != nil {
		w.t.Fatalf("%s: %v", b, err)
	}
	switch m.Type {
	case "hello":
		w.hub, w.resumed = m.Hub, m.Resumed
	case "gap":
		w.gap = true
	case "alarms":
		if m.Reset {
			clear(w.alarms)
		} else if len(m.Changed) < 2 {
			w.t.Errorf("a batch of %d: %s", len(m.Changed), b)
		}
		for _, a := range m.Changed {
			w.alarms[a.ID] = a.State
			w.heard = append(w.heard, a.ID+" "+a.State)
		}
		for _, a := range m.Alarms {
			w.alarms[a.ID] = a.State
		}
	case "alarm":
		w.alarms[m.Alarm.ID] = m.Alarm.State
		w.heard = append(w.heard, m.Alarm.ID+" "+m.Alarm.State)
	case "heartbeat":
		w.beats++
	case "error":
		w.errors = append(w.errors, m.Message)
	case "pong":
		w.pongs++
	case "dictionary":
	default:
		w.t.Errorf("unknown message %s", b)
	}
	w.seq = max(w.seq, m.Seq)
	return nil
}

// until steps until ok.
func (w *wall) until(what string, ok func() bool) {
	w.t.Helper()
	for !ok() {
		if err := w.step(); err != nil {
			w.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// closed steps until the server closes, and gives the code.
func (w *wall) closed() int {
	w.t.Helper()
	for {
		if err := w.step(); err != nil {
			var ce *websocket.CloseError
			if !errors.As(err, &ce) {
				w.t.Fatalf("ended without a close code: %v", err)
			}
			return ce.Code
		}
	}
}

func alarm(n int, state string) Alarm {
	id := fmt.Sprint("alarm-", n)
	return Alarm{
		ID: id, Priority: uint8(n%4 + 1), Open: state != "normal", Raised: noon.Add(time.Duration(n)),
		JSON: fmt.Appendf(nil, `{"id":%q,"state":%q}`, id, state),
	}
}

func TestSnapshotThenDeltas(t *testing.T) {
	h := newHub(t, func(o *Options) { o.Tick = 20 * time.Millisecond })
	city(h, 3)
	now := time.Now()
	h.Apply([]*devices.Message{message("air-0", now, now, "pm25", 1.0), message("air-1", now, now, "temperature", 30.0)})
	h.ApplyAlarm(alarm(1, "unacknowledged"))
	w := open(t, served(t, h, nil), nil)
	w.until("the list", func() bool { return len(w.alarms) == 1 })
	// Two values, and the main channel of each of the two that are silent there.
	if w.resumed || w.gap || w.snaps != 1 || len(w.values) != 4 || w.values[0] != 1 || w.values[3] != 30 {
		t.Errorf("after the greeting: %+v", w)
	}
	h.Apply([]*devices.Message{message("air-2", now, now, "pm25", 7.0)})
	w.until("the delta", func() bool { return w.values[4] == 7 })
	h.ApplyAlarm(alarm(1, "normal"))
	w.until("the alarm", func() bool { return w.alarms["alarm-1"] == "normal" })
	w.until("a heartbeat", func() bool { return w.beats > 0 })
	if w.snaps != 1 {
		t.Errorf("%d snapshots", w.snaps)
	}
}

func TestResume(t *testing.T) {
	h := newHub(t, func(o *Options) { o.Tick, o.Settle = 10*time.Millisecond, time.Millisecond })
	city(h, 10)
	url := served(t, h, nil)
	w := open(t, url, nil)
	now := time.Now()
	send := func(from, to int) {
		for i := from; i < to; i++ {
			at := now.Add(time.Duration(i) * time.Millisecond)
			h.Apply([]*devices.Message{message(fmt.Sprint("air-", i%10), at, at, "pm25", float64(i))})
			h.ApplyAlarm(alarm(i, "unacknowledged"))
			time.Sleep(time.Millisecond)
		}
	}
	go send(0, 100)
	w.until("half of the alarms", func() bool { return len(w.heard)+len(w.alarms) > 50 })
	heard, hub, seq := w.heard, w.hub, w.seq
	before := w.alarms
	w.Close()
	time.Sleep(200 * time.Millisecond) // the rest happens while nobody looks
	send(100, 120)

	w = open(t, fmt.Sprintf("%s?since=%d&epoch=%s", url, seq, hub), nil)
	w.alarms = before
	w.until("all alarms", func() bool { return len(w.alarms) == 120 })
	if !w.resumed || w.snaps != 0 || w.gap {
		t.Errorf("resumed %v, %d snapshots, gap %v", w.resumed, w.snaps, w.gap)
	}
	seen := map[string]int{}
	for _, a := range append(heard, w.heard...) {
		seen[a]++
	}
	for a, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", a, n)
		}
	}
	w.until("the last values", func() bool { return w.values[2*9] == 119 && w.values[2*8] == 118 })
}

func TestResumeImpossible(t *testing.T) {
	for name, query := range map[string]func(h *Hub) string{
		"another run": func(*Hub) string { return "?since=3&epoch=0000" },
		"no run":      func(*Hub) string { return "?since=3" },
		"the future":  func(h *Hub) string { return "?since=99999999&epoch=" + h.ID() },
		"too old":     func(h *Hub) string { return "?since=1&epoch=" + h.ID() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, func(o *Options) { o.Ring = 2 })
			city(h, 1)
			for i := range 10 {
				at := time.Now().Add(time.Duration(i) * time.Second)
				h.Apply([]*devices.Message{message("air-0", at, at, "pm25", float64(i))})
				h.flush(at)
			}
			w := open(t, served(t, h, nil)+query(h), nil)
			w.until("a snapshot", func() bool { return w.snaps == 1 })
			if w.resumed || !w.gap || w.values[0] != 9 {
				t.Errorf("resumed %v, gap %v, values %v", w.resumed, w.gap, w.values)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	h := newHub(t, func(o *Options) { o.Tick = 10 * time.Millisecond })
	city(h, 10) // 106.00 to 106.09
	now := time.Now()
	for i := range 10 {
		h.Apply([]*devices.Message{message(fmt.Sprint("air-", i), now, now, "pm25", 1.0, "temperature", 2.0)})
	}
	h.ApplyAlarm(alarm(0, "unacknowledged")) // priority 1
	h.ApplyAlarm(alarm(3, "unacknowledged")) // priority 4
	url := served(t, h, nil)

	w := open(t, url, nil)
	w.until("everything", func() bool { return len(w.values) == 20 && len(w.alarms) == 2 })
	say := func(text string) {
		if err := w.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"type":"subscribe","view":[106.015,20,106.045,21],"quantities":["pm25"],"alarms":{"maxPriority":2}}`)
	w.until("the view", func() bool { return w.snaps == 2 && len(w.alarms) == 1 })
	if len(w.values) != 3 {
		t.Errorf("the view has %d values, want 3: %v", len(w.values), w.values)
	}
	later := now.Add(time.Second)
	for i := range 10 {
		h.Apply([]*devices.Message{message(fmt.Sprint("air-", i), later, later, "pm25", 5.0, "temperature", 6.0)})
	}
	h.ApplyAlarm(alarm(3, "normal"))
	h.ApplyAlarm(alarm(1, "unacknowledged")) // priority 2
	w.until("what is in view", func() bool { return w.values[2*2] == 5 && w.values[2*3] == 5 && w.values[2*4] == 5 && len(w.heard) > 0 })
	if len(w.values) != 3 || len(w.heard) != 1 || w.heard[0] != "alarm-1 unacknowledged" {
		t.Errorf("values %v, alarms %v", w.values, w.heard)
	}

	say(`{"type":"subscribe","quantities":["nonsense"]}`)
	say(`{"type":"subscribe","view":[0,50,1,40]}`)
	say(`{"type":"subscribe","alarms":{"maxPriority":9}}`)
	say(`{"type":"dance"}`)
	w.until("four errors", func() bool { return len(w.errors) == 4 })
	say(`{"type":"ping","id":7}`)
	w.until("a pong", func() bool { return w.pongs == 1 })
	if w.snaps != 2 {
		t.Errorf("%d snapshots: a refused request had an effect", w.snaps)
	}

	// The same in the address, so that a reconnect is not sent the whole city.
	w = open(t, url+"?view=106.015,20,106.045,21&quantities=pm25&alarms=0", nil)
	w.until("the view", func() bool { return w.snaps == 1 && w.beats == 1 })
	if len(w.values) != 3 || len(w.alarms) != 0 {
		t.Errorf("by address: %v %v", w.values, w.alarms)
	}
}

func TestBadScreens(t *testing.T) {
	h := newHub(t, nil)
	city(h, 1)
	url := served(t, h, nil)
	for name, act := range map[string]func(w *wall){
		"binary":    func(w *wall) { w.WriteMessage(websocket.BinaryMessage, []byte("x")) },
		"not JSON":  func(w *wall) { w.WriteMessage(websocket.TextMessage, []byte("{")) },
		"too large": func(w *wall) { w.WriteMessage(websocket.TextMessage, make([]byte, 1<<20)) },
		"flood": func(w *wall) {
			for range 200 {
				w.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
			}
		},
	} {
		w := open(t, url, nil)
		go act(w)
		// gorilla answers a message over its limit itself, with 1009.
		if code := w.closed(); code != BadMessage && !(name == "too large" && code == websocket.CloseMessageTooBig) {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	w := open(t, url+"?view=1,2,3", nil)
	if code := w.closed(); code != BadMessage {
		t.Errorf("bad query: closed with %d", code)
	}
}

func TestWhoMayConnect(t *testing.T) {
	var valid atomic.Bool
	valid.Store(true)
	h := newHub(t, func(o *Options) {
		o.PongTimeout = 300 * time.Millisecond
		o.Origins = []string{"https://wall.city.example"}
	})
	city(h, 1)
	url := served(t, h, func(r *http.Request) (Viewer, func() bool, bool, error) {
		bearer := strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer && r.Header.Get("Cookie") == "" {
			return Viewer{}, nil, false, errors.New("who are you?")
		}
		return Viewer{}, valid.Load, bearer, nil
	})
	host := strings.TrimPrefix(url, "ws://")
	for _, c := range []struct {
		name   string
		header http.Header
		status int // of a refused upgrade
		code   int // of a close
	}{
		{"bearer", http.Header{"Authorization": {"Bearer x"}}, 0, 0},
		{"cookie, same host", http.Header{"Cookie": {"a=b"}, "Origin": {"http://" + host}}, 0, 0},
		{"cookie, listed origin", http.Header{"Cookie": {"a=b"}, "Origin": {"https://wall.city.example"}}, 0, 0},
		{"cookie, no origin", http.Header{"Cookie": {"a=b"}}, 403, 0},
		{"cookie, foreign origin", http.Header{"Cookie": {"a=b"}, "Origin": {"https://evil.example"}}, 403, 0},
		{"cookie, same name other port", http.Header{"Cookie": {"a=b"}, "Origin": {"http://[::1]:1"}}, 403, 0},
		{"cookie, null origin", http.Header{"Cookie": {"a=b"}, "Origin": {"null"}}, 403, 0},
		{"bearer, foreign origin", http.Header{"Authorization": {"Bearer x"}, "Origin": {"https://evil.example"}}, 403, 0},
		{"nobody, same host", http.Header{"Origin": {"http://" + host}}, 0, NotAuthorised},
	} {
		d := websocket.Dialer{Subprotocols: []string{Protocol}}
		conn, resp, err := d.Dial(url, c.header)
		if c.status != 0 {
			if err == nil || resp == nil || resp.StatusCode != c.status {
				t.Errorf("%s: got %v, want status %d", c.name, err, c.status)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		w := &wall{Conn: conn, t: t, values: map[uint32]float32{}, alarms: map[string]string{}}
		if c.code != 0 {
			if got := w.closed(); got != c.code {
				t.Errorf("%s: closed with %d, want %d", c.name, got, c.code)
			}
		} else {
			w.until(c.name, func() bool { return w.snaps == 1 })
		}
		conn.Close()
	}
	// A session that ends takes its screens with it.
	w := open(t, url, http.Header{"Authorization": {"Bearer x"}})
	w.until("a snapshot", func() bool { return w.snaps == 1 })
	valid.Store(false)
	if got := w.closed(); got != NotAuthorised {
		t.Errorf("revoked: closed with %d", got)
	}
}

func TestTooManyAndShutDown(t *testing.T) {
	h := newHub(t, func(o *Options) { o.MaxScreens = 1 })
	city(h, 1)
	url := served(t, h, nil)
	first := open(t, url, nil)
	first.until("a snapshot", func() bool { return first.snaps == 1 })
	if code := open(t, url, nil).closed(); code != TooMany {
		t.Errorf("second screen: closed with %d", code)
	}
	stopped := make(chan error)
	go func() { stopped <- h.Stop(context.Background()) }()
	if code := first.closed(); code != ShuttingDown {
		t.Errorf("at the end: closed with %d", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if code := open(t, url, nil).closed(); code != ShuttingDown {
		t.Errorf("after the end: closed with %d", code)
	}
}

// One screen is frozen, as a stopped browser is: its sockets stay open and
// nothing is read. It is closed while the others are served.
func TestFrozenScreen(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int // devices that report each time
		pongs bool
	}{
		{"few values: it is mute", 10, false},
		{"many values: it takes nothing", 20000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, func(o *Options) {
				o.Tick, o.PongTimeout, o.WriteTimeout = 20*time.Millisecond, 600*time.Millisecond, 500*time.Millisecond
				if c.pongs {
					o.PongTimeout = time.Hour // only the write can tell
				}
			})
			city(h, c.n)
			url := served(t, h, nil)
			frozen := open(t, url, nil)
			good := open(t, url, nil)
			good.until("a snapshot", func() bool { return good.snaps == 1 })
			if got := h.Screens(); got != 2 {
				t.Fatalf("%d screens", got)
			}
			quit := make(chan struct{})
			ms := readings(c.n, time.Now(), 0)
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 1; ; i++ {
					select {
					case <-quit:
						return
					case <-time.After(10 * time.Millisecond):
					}
					h.Apply(again(ms, time.Now(), float64(i)))
				}
			}()
			good.until("the frozen one's end", func() bool { return h.Screens() == 1 })
			last := good.values[0]
			good.until("more values", func() bool { return good.values[0] > last })
			close(quit)
			wg.Wait()
			_ = frozen
		})
	}
}

// A screen on a thin line gets less often what the others get, but every alarm.
func TestSlowScreenIsMerged(t *testing.T) {
	h := newHub(t, func(o *Options) {
		o.Tick, o.Ring, o.PongTimeout, o.WriteTimeout = 10*time.Second, 10000, time.Hour, time.Hour
	})
	city(h, 20000)
	url := served(t, h, nil)
	slow := open(t, url, nil)
	slow.until("a snapshot", func() bool { return slow.snaps == 1 })
	const rounds = 80
	ms := readings(20000, time.Now(), 0)
	for i := 1; i <= rounds; i++ {
		at := time.Now()
		h.Apply(again(ms, at, float64(i)))
		h.ApplyAlarm(alarm(i, "unacknowledged"))
		h.flush(at)
	}
	frames := 0
	for len(slow.heard) < rounds || slow.values[0] != rounds {
		before := slow.seq
		if err := slow.step(); err != nil {
			t.Fatal(err)
		}
		if slow.seq != before {
			frames++
		}
	}
	for i, a := range slow.heard {
		if want := fmt.Sprintf("alarm-%d unacknowledged", i+1); a != want {
			t.Fatalf("alarm %d: got %q, want %q", i, a, want)
		}
	}
	if slow.snaps != 1 {
		t.Errorf("%d snapshots", slow.snaps)
	}
	t.Logf("%d rounds reached the slow screen in %d frames and alarms", rounds, frames)
}

func TestRingOverrunCloses(t *testing.T) {
	h := newHub(t, func(o *Options) {
		o.Tick, o.Ring, o.PongTimeout, o.WriteTimeout = 10*time.Second, 2, time.Hour, time.Hour
	})
	city(h, 20000)
	url := served(t, h, nil)
	w := open(t, url, nil)
	w.until("a snapshot", func() bool { return w.snaps == 1 })
	ms := readings(20000, time.Now(), 0)
	for i := range 60 { // more than the sockets hold while the test reads nothing
		at := time.Now()
		h.Apply(again(ms, at, float64(i)))
		h.flush(at)
	}
	if code := w.closed(); code != TooSlow {
		t.Errorf("closed with %d, want %d", code, TooSlow)
	}
}

func TestReloadStorm(t *testing.T) {
	h := newHub(t, func(o *Options) { o.Tick = 50 * time.Millisecond })
	city(h, 500)
	url := served(t, h, nil)
	now := time.Now()
	for i := range 500 {
		h.Apply([]*devices.Message{message(fmt.Sprint("air-", i), now, now, "pm25", float64(i))})
	}
	const n = 100
	var wg sync.WaitGroup
	var snaps atomic.Int64
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, _, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for {
				kind, b, err := c.ReadMessage()
				if err != nil {
					t.Error(err)
					return
				}
				if kind == websocket.BinaryMessage {
					if f, err := ParseFrame(b); err == nil && f.Snapshot() && len(f.Updates) == 500 {
						snaps.Add(1)
					}
					return
				}
			}
		}()
	}
	wg.Wait()
	if got := snaps.Load(); got != n {
		t.Errorf("%d of %d screens got the city", got, n)
	}
}

func FuzzRequest(f *testing.F) {
	h := newHub(f, nil)
	for _, s := range []string{
		`{"type":"subscribe","view":[106,20,107,21],"quantities":["pm25"],"alarms":{"maxPriority":2}}`,
		`{"type":"subscribe","view":null,"quantities":null}`,
		`{"type":"subscribe","view":[179,-1,-179,1]}`,
		`{"type":"subscribe","view":[1e400,0,0,0]}`,
		`{"type":"subscribe","alarms":{"maxPriority":-1}}`,
		`{"type":"ping","id":{"a":[1,2]}}`, `[]`, `null`, `"`,
	} {
		f.Add([]byte(s), "view=106,20,107,21&quantities=pm25&since=5&epoch=x")
	}
	f.Add([]byte(`{}`), "view=NaN,Inf,-Inf,1&since=-1&alarms=9")
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		check := func(s Subscription, err error) {
			if err != nil {
				return
			}
			if s.maxPriority > 4 || s.key == "" || s.hasView && validView(&s.view) != nil {
				t.Fatalf("taken: %+v", s)
			}
			s.filter([]update{{lon: 106.5, lat: 20.5, quantity: 1}})
		}
		var r request
		if json.Unmarshal(body, &r) == nil {
			check(h.subscription(&r))
		}
		s, _, _, err := h.parseQuery(&http.Request{URL: &neturl.URL{RawQuery: query}})
		check(s, err)
	})
}
