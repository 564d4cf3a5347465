package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	readLimit = 64 << 10
	// slowLine is the line a screen is expected to have at least, in bytes a
	// second: 56 kbit/s. underway is what may be on it, or in the kernel, after
	// a write has returned; a pong has to wait for that.
	slowLine = 6 << 10
	underway = 64 << 10
	// A screen may speak this often, and this much at once.
	requestsPerSecond = 10
	requestBurst      = 40
)

// Admit decides who a request for a socket comes from. The function it returns
// tells, while the socket lives, whether that still holds; it is asked every few
// seconds (a third of Options.PongTimeout). bearer is true when the request
// carried a token, which a page of another origin cannot make a browser send.
type Admit func(r *http.Request) (who Viewer, valid func() bool, bearer bool, err error)

// Viewer is whom a screen shows the city to.
type Viewer struct {
	ID, Name, Role string
	// Screen is the display that a screen's token is for.
	Screen string
	// Sees tells whether an alarm is the viewer's business, by the department
	// that answers for it and the wards it is in; nil when every alarm is.
	// Viewers of one Bound see the same.
	Sees  func(department string, wards []string) bool
	Bound string
	// Shown gives an alarm or a scene message as the viewer may see it; nil for a
	// viewer who may see all of it. All that are not nil do the same.
	Shown func(kind string, raw []byte) []byte
}

// Kinds of what Viewer.Shown is given.
const (
	AlarmMessage = "alarm"
	SceneMessage = "scene"
)

// bounded narrows a subscription to what the viewer sees.
func (v *Viewer) bounded(s Subscription) Subscription {
	if v.Sees != nil {
		s.sees = v.Sees
		s.key += "|" + v.Bound
	}
	if v.Shown != nil {
		s.shown = v.Shown
		s.key += "|shown"
	}
	return s
}

// screen is one connection. The handler's goroutine reads; write is the other
// goroutine and the only one that sends data messages.
type screen struct {
	hub   *Hub
	conn  *websocket.Conn
	who   Viewer
	valid func() bool
	log   *slog.Logger

	wake chan struct{} // one slot: there is something new
	gone chan struct{} // closed by the reader when it has ended

	next  atomic.Pointer[Subscription] // asked for, not yet served
	say   chan []byte                  // answers of the reader, bounded; a full one ends the screen
	bye   sync.Once
	heard atomic.Int64 // when the screen last said anything, Unix ns

	display string      // whose scenes it is sent
	own     bool        // it is that display's own screen, and speaks for it
	scenes  bool        // it is sent scenes
	due     atomic.Bool // the scene is another now
	again   atomic.Bool // all that was sent is void: a snapshot comes

	// Of the writer alone:
	sub     Subscription
	cursor  uint64
	heed    uint64 // of the standing messages
	beat    *heartbeat
	patient time.Time // what was sent last is on the line until about then
}

// Handler serves the sockets.
func (h *Hub) Handler(admit Admit) http.Handler {
	up := &websocket.Upgrader{
		HandshakeTimeout: 5 * time.Second,
		ReadBufferSize:   1 << 10,
		WriteBufferSize:  4 << 10,
		Subprotocols:     []string{Protocol},
		// Origin is checked below, where the credential is known.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "this address speaks WebSocket, subprotocol "+Protocol, http.StatusUpgradeRequired)
			return
		}
		who, valid, bearer, err := admit(r)
		if originErr := h.checkOrigin(r, bearer); originErr != nil {
			h.met.closed.WithLabelValues("origin").Inc()
			http.Error(w, originErr.Error(), http.StatusForbidden)
			return
		}
		sub, since, resume, badQuery := h.parseQuery(r)
		conn, upErr := up.Upgrade(pacing{w, h.opt.WriteTimeout}, r, nil)
		if upErr != nil {
			return // Upgrade has answered
		}
		s := &screen{
			hub: h, conn: conn, who: who, valid: valid, sub: who.bounded(sub),
			log:  h.opt.Log.With("peer", r.RemoteAddr),
			wake: make(chan struct{}, 1),
			gone: make(chan struct{}),
			say:  make(chan []byte, 16),
		}
		// A browser shows a page the close code of a socket but not the status
		// of a refused upgrade, so these refusals come after it.
		switch {
		case err != nil:
			s.end(NotAuthorised, "not authorised: "+err.Error())
		case badQuery != nil:
			s.end(BadMessage, badQuery.Error())
		default:
			s.identify(r.URL.Query()["display"])
			if code, reason := h.enter(s); code != 0 {
				s.end(code, reason)
				return
			}
			s.serve(since, resume)
			h.leave(s)
		}
	})
}

// checkOrigin keeps a page of another site from using a visitor's cookie.
// gorilla's own check lets a missing Origin pass; here only a bearer token
// makes up for it, because no browser sends one unasked.
func (h *Hub) checkOrigin(r *http.Request, bearer bool) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		if bearer {
			return nil
		}
		return errors.New("no Origin: a program identifies itself by a bearer token, not by a cookie")
	}
	if slices.Contains(h.opt.Origins, origin) {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
		return fmt.Errorf("origin %.200q is not this host", origin)
	}
	return nil
}

// parseQuery reads where a screen wants to go on and, so that it need not be
// sent what it does not show, its subscription.
func (h *Hub) parseQuery(r *http.Request) (sub Subscription, since uint64, resume bool, err error) {
	q := r.URL.Query()
	sub = everything
	if v := q.Get("since"); v != "" {
		if since, err = strconv.ParseUint(v, 10, 64); err != nil {
			return sub, 0, false, fmt.Errorf("since=%.40q: want a sequence number", v)
		}
		resume = q.Get("epoch") == h.id
	}
	var req request
	if v := q.Get("view"); v != "" {
		parts := strings.Split(v, ",")
		if len(parts) != 4 {
			return sub, 0, false, fmt.Errorf("view=%.80q: want west,south,east,north", v)
		}
		req.View = new([4]float64)
		for i, p := range parts {
			if req.View[i], err = strconv.ParseFloat(p, 64); err != nil {
				return sub, 0, false, fmt.Errorf("view=%.80q: %.20q is not a number", v, p)
			}
		}
	}
	if v := q.Get("quantities"); v != "" {
		req.Quantities = strings.Split(v, ",")
	}
	if v := q.Get("alarms"); v != "" {
		n, err := strconv.ParseUint(v, 10, 8)
		if err != nil {
			return sub, 0, false, fmt.Errorf("alarms=%.20q: want the lowest priority to be sent, 0 to 4", v)
		}
		req.Alarms = &alarmFilter{MaxPriority: uint8(n)}
	}
	if req.View != nil || req.Quantities != nil || req.Alarms != nil {
		if sub, err = h.subscription(&req); err != nil {
			return everything, 0, false, err
		}
	}
	return sub, since, resume, nil
}

// enter counts a screen in, or says why not.
func (h *Hub) enter(s *screen) (code int, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return ShuttingDown, "shutting down"
	case len(h.screens) >= h.opt.MaxScreens:
		return TooMany, fmt.Sprintf("%d screens are connected and there is room for no more", len(h.screens))
	}
	h.screens[s] = struct{}{}
	h.done.Add(1)
	return 0, ""
}

func (h *Hub) leave(s *screen) {
	h.mu.Lock()
	delete(h.screens, s)
	h.mu.Unlock()
	h.done.Done()
}

// nudge wakes the writer without waiting for it.
func (s *screen) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// goodbye sends a numbered reason, once, and stops sending, so that the peer
// sees the code and not a reset. Whoever reads the connection has a second for
// what was on its way.
func (s *screen) goodbye(code int, reason string) {
	s.bye.Do(func() {
		s.hub.met.closed.WithLabelValues(strconv.Itoa(code)).Inc()
		if len(reason) > 120 { // RFC 6455 section 5.5: 125 bytes with the code
			reason = strings.ToValidUTF8(reason[:120], "")
		}
		deadline := time.Now().Add(time.Second)
		_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
		nc := s.conn.NetConn()
		if c, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		_ = nc.SetReadDeadline(deadline)
	})
}

// end says goodbye where nobody reads the connection any more, and closes it.
func (s *screen) end(code int, reason string) {
	s.goodbye(code, reason)
	var sink [512]byte
	for range 256 { // at most 128 KiB of what was on its way
		if _, err := s.conn.NetConn().Read(sink[:]); err != nil {
			break
		}
	}
	s.conn.Close()
}

// serve runs a screen to its end.
func (s *screen) serve(since uint64, resume bool) {
	keepLittleUnsent(s.conn.NetConn())
	s.heard.Store(time.Now().UnixNano())
	ended := make(chan struct{})
	go s.write(since, resume, ended)
	code, reason := s.read()
	close(s.gone)
	<-ended
	if code != 0 {
		s.end(code, reason)
	}
	s.conn.Close()
}

// read takes what the screen says until the connection ends, and tells with
// which code to end it when the screen broke the protocol.
func (s *screen) read() (code int, reason string) {
	s.conn.SetReadLimit(readLimit)
	s.conn.SetPongHandler(func(string) error {
		s.heard.Store(time.Now().UnixNano())
		return nil
	})
	allowance, last := float64(requestBurst), time.Now()
	for {
		kind, body, err := s.conn.ReadMessage()
		if err != nil {
			if errors.Is(err, websocket.ErrReadLimit) {
				return BadMessage, "message too large"
			}
			return 0, ""
		}
		now := time.Now()
		s.heard.Store(now.UnixNano())
		allowance = min(requestBurst, allowance+now.Sub(last).Seconds()*requestsPerSecond) - 1
		last = now
		if allowance < 0 {
			return BadMessage, "too many messages"
		}
		var req request
		if kind != websocket.TextMessage || json.Unmarshal(body, &req) != nil {
			return BadMessage, "want a JSON object in a text message"
		}
		switch req.Type {
		case "subscribe":
			sub, err := s.hub.subscription(&req)
			if err != nil {
				s.answer(errorMessage{Type: "error", Code: 400, Message: "subscribe: " + err.Error()})
				continue
			}
			sub = s.who.bounded(sub)
			s.next.Store(&sub)
			s.nudge()
		case "health":
			s.report(body)
		case "play", "pause", "seek", "speed":
			s.steer(&req)
		case "ping":
			s.answer(pongMessage{Type: "pong", ID: req.ID, Now: s.hub.opt.Now().UnixMilli()})
		default:
			s.answer(errorMessage{Type: "error", Code: 400, Message: fmt.Sprintf("unknown type %.40q", req.Type)})
		}
	}
}

// answer hands the writer an answer. A screen that asks without reading loses
// answers, not the connection: the hub's own messages decide that.
func (s *screen) answer(m any) {
	select {
	case s.say <- marshal(m):
		s.nudge()
	default:
	}
}

// errSlow ends a screen whose cursor left the ring.
var errSlow = errors.New("screen too slow")

// write is the goroutine that sends.
func (s *screen) write(since uint64, resume bool, ended chan<- struct{}) {
	defer close(ended)
	h := s.hub
	ping := time.NewTicker(h.opt.PongTimeout / 3)
	defer ping.Stop()
	if err := s.greet(since, resume); err != nil {
		s.lost(err)
		return
	}
	for {
		if err := s.drain(); err != nil {
			s.lost(err)
			return
		}
		select {
		case <-s.gone:
			return
		case <-h.quit:
			s.goodbye(ShuttingDown, "shutting down, come back soon")
			return
		case <-s.wake:
		case now := <-ping.C:
			if !s.valid() {
				s.goodbye(NotAuthorised, "the session has ended")
				return
			}
			mute := now.Sub(time.Unix(0, s.heard.Load()))
			if mute > h.opt.PongTimeout && now.After(s.patient) {
				s.goodbye(TooSlow, "no answer for "+mute.Round(time.Second).String())
				return
			}
			if err := s.conn.WriteControl(websocket.PingMessage, nil, now.Add(h.opt.WriteTimeout)); err != nil {
				s.lost(err)
				return
			}
		}
	}
}

// lost ends a screen that could not be written to.
func (s *screen) lost(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errSlow):
		s.goodbye(TooSlow, "too slow: come back to a snapshot")
	case errors.As(err, &timeout) && timeout.Timeout():
		s.goodbye(TooSlow, "too slow: a message was not taken in time")
	default:
		s.hub.met.closed.WithLabelValues("lost").Inc()
		s.conn.Close() // the reader waits in the kernel: this wakes it
	}
	s.log.Debug("screen ended", "err", err)
}

// greet says hello and brings the screen to the present: from where it was,
// when that is still in the ring, else by a snapshot.
func (s *screen) greet(since uint64, resume bool) error {
	h := s.hub
	asked := since > 0
	if resume {
		_, resume = h.since(since)
	}
	h.mu.RLock()
	seq, dict := h.seq, h.state.dict
	h.mu.RUnlock()
	hello := helloMessage{
		Type: "hello", Hub: h.id, Seq: seq, Dict: dict, Now: h.opt.Now().UnixMilli(),
		HeartbeatMs: 1000, TickMs: h.opt.Tick.Milliseconds(), Resumed: resume, Build: h.opt.Build, Screen: s.who.Screen,
		Replay: h.replayState(),
	}
	if resume {
		hello.Seq = since
	}
	if err := s.sendText(marshal(hello)); err != nil {
		return err
	}
	if err := s.scene(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if resume {
		h.met.greeted.WithLabelValues("resumed").Inc()
		s.cursor = since
		return nil
	}
	if asked {
		reason := "those sequence numbers are no longer kept"
		if since > seq {
			reason = "those sequence numbers are of another run"
		}
		if err := s.sendText(marshal(gapMessage{Type: "gap", From: since, To: seq, Reason: reason})); err != nil {
			return err
		}
	}
	h.met.greeted.WithLabelValues("snapshot").Inc()
	return s.snapshot()
}

func (s *screen) snapshot() error {
	t := s.hub.snapshot()
	content := t.messages(&s.sub, s.hub.opt.MaxAlarms)
	if err := s.sendAll(content); err != nil {
		return err
	}
	s.cursor = t.last
	return nil
}

// drain sends all there is: a new subscription, ticks, answers, the heartbeat
// last, because its sequence number promises all before it.
func (s *screen) drain() error {
	h := s.hub
	for {
		if sub := s.next.Swap(nil); sub != nil && sub.key != s.sub.key {
			s.sub = *sub
			if err := s.snapshot(); err != nil {
				return err
			}
		}
		if s.again.Swap(false) {
			if err := s.snapshot(); err != nil {
				return err
			}
		}
		ticks, ok := h.since(s.cursor)
		if !ok && s.again.Load() {
			continue
		}
		if !ok {
			return errSlow
		}
		if len(ticks) == 0 {
			break
		}
		t := ticks[0]
		if len(ticks) > 1 {
			h.met.merged.Add(float64(len(ticks) - 1))
			t = merge(ticks, s.cursor)
		}
		var content []outgoing
		if t.first > s.cursor && len(ticks) == 1 {
			content = t.messages(&s.sub, h.opt.MaxAlarms)
		} else {
			content = t.encode(&s.sub, h.opt.MaxAlarms, s.cursor)
		}
		if err := s.sendAll(content); err != nil {
			return err
		}
		s.cursor = t.last
	}
	if err := s.scene(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	for {
		select {
		case body := <-s.say:
			if err := s.sendText(body); err != nil {
				return err
			}
			continue
		default:
		}
		break
	}
	if b := h.beat.Load(); b != nil && b != s.beat && b.seq <= s.cursor {
		s.beat = b
		return s.send(outgoing{msg: b.msg})
	}
	return nil
}

func (s *screen) sendAll(content []outgoing) error {
	for _, m := range content {
		if err := s.send(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *screen) send(m outgoing) error {
	s.hub.met.bytes.Add(float64(m.size))
	if err := s.conn.WritePreparedMessage(m.msg); err != nil {
		return fmt.Errorf("send %d bytes: %w", m.size, err)
	}
	if line := time.Duration(min(m.size, underway)) * time.Second / slowLine; line > time.Second {
		s.patient = time.Now().Add(line)
	}
	return nil
}

func (s *screen) sendText(body []byte) error {
	s.hub.met.bytes.Add(float64(len(body)))
	if err := s.conn.WriteMessage(websocket.TextMessage, body); err != nil {
		return fmt.Errorf("send %d bytes of text: %w", len(body), err)
	}
	return nil
}
