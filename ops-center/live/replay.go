package live

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
)

// Replay is what a hub that shows the past has besides.
type Replay struct {
	// State tells where it is; it must not block.
	State func() ReplayState
	// Steer takes what a screen wants; it must not block. The error is told to
	// the screen.
	Steer func(Steering) error
}

// ReplayState is where a replay is, in hello, heartbeat and its own message.
type ReplayState struct {
	At      int64   `json:"at"` // ms, of the city
	Speed   float64 `json:"speed"`
	Playing bool    `json:"playing"`
	// Loading is set while the values of a moment are looked for.
	Loading bool `json:"loading"`
	// Failed is set while the store of what was cannot be read.
	Failed bool `json:"failed"`
	// From and To are how far one can go, ms.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Dictionary is the address of what this hub's indices mean.
	Dictionary string `json:"dictionary"`
}

// Steering is one wish of a screen: Do is play, pause, seek or speed.
type Steering struct {
	Do    string
	At    time.Time
	Speed float64
}

func (h *Hub) replayState() *ReplayState {
	if h.opt.Replay == nil {
		return nil
	}
	s := h.opt.Replay.State()
	return &s
}

func (s *screen) steer(req *request) {
	r := s.hub.opt.Replay
	err := errors.New("this is the present: only a replay can be steered")
	if r != nil {
		err = r.Steer(Steering{Do: req.Type, At: time.UnixMilli(req.At).UTC(), Speed: req.Speed})
	}
	if err != nil {
		s.answer(errorMessage{Type: "error", Code: 400, Message: req.Type + ": " + err.Error()})
	}
}

// told is a message that holds until the next of its kind.
type told struct {
	n    uint64
	body []byte
}

// Tell has a message sent to every screen, also to those that come later. The
// next of the same kind replaces it; a screen that is slow gets the last only.
func (h *Hub) Tell(kind string, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told == nil {
		h.told = make(map[string]*told)
	}
	h.tellings++
	h.told[kind] = &told{h.tellings, body}
	for s := range h.screens {
		s.nudge()
	}
}

// listen sends what the screen was not told yet.
func (s *screen) listen() error {
	s.hub.mu.RLock()
	var list []*told
	for _, t := range s.hub.told {
		if t.n > s.heed {
			list = append(list, t)
		}
	}
	s.hub.mu.RUnlock()
	slices.SortFunc(list, func(a, b *told) int { return cmp.Compare(a.n, b.n) })
	for _, t := range list {
		if err := s.sendText(t.body); err != nil {
			return err
		}
		s.heed = t.n
	}
	return nil
}

// Rewind makes the hub show another moment: nothing of before is left but the
// indices. Every screen is sent a snapshot. Devices that are not in the list are
// hidden.
func (h *Hub) Rewind(list []*devices.Device, messages []*devices.Message, alarms []Alarm) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.state
	clear(s.alarms)
	clear(s.colours)
	for i := range s.devices {
		s.devices[i].empty(s)
		s.devices[i].hidden = true
	}
	for _, d := range list {
		s.applyDevice(d)
	}
	for _, m := range messages {
		s.apply(m)
	}
	for i := range alarms {
		s.applyAlarm(alarms[i])
	}
	s.sweep(h.opt.Now())
	// What changed is in the snapshot.
	for _, c := range s.dirty {
		s.channels[c].dirty = false
	}
	for _, d := range s.moved {
		s.devices[d].moved = false
	}
	s.dirty, s.moved, h.pending = nil, nil, nil
	s.dictAt, s.dictDirty = time.Time{}, true // at once
	s.publish(time.Now())
	h.seq++
	h.ring, h.ringSize, h.floor, h.snap = nil, 0, h.seq, nil
	for screen := range h.screens {
		screen.again.Store(true)
		screen.nudge()
	}
}

// empty takes from a device all that it said.
func (e *device) empty(s *state) {
	e.silent, e.severity, e.at, e.prev = false, 0, devices.Position{}, devices.Position{}
	e.atTime, e.atRecv, e.seen, e.link, e.from = 0, 0, 0, nil, netip.AddrPort{}
	for _, c := range e.channels {
		ch := &s.channels[c]
		*ch = channel{device: ch.device, quantity: ch.quantity, dirty: ch.dirty}
	}
}

// Refuse answers a request for a socket with a close code, which is what a
// browser shows its page.
func Refuse(w http.ResponseWriter, r *http.Request, code int, reason string) {
	up := &websocket.Upgrader{
		HandshakeTimeout: 5 * time.Second, Subprotocols: []string{Protocol},
		CheckOrigin: func(*http.Request) bool { return true }, // nothing is told to anybody
	}
	conn, err := up.Upgrade(pacing{w, 5 * time.Second}, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	deadline := time.Now().Add(time.Second)
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	_ = conn.NetConn().SetReadDeadline(deadline)
	_, _, _ = conn.ReadMessage() // its goodbye, or nothing
	_ = conn.Close()
}

// Foreign tells why a request comes from a page of another site; nil when it
// does not.
func (h *Hub) Foreign(r *http.Request, bearer bool) error { return h.checkOrigin(r, bearer) }
