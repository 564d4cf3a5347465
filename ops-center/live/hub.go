package live

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// Options says how a Hub works. The zero value of a field is its default.
type Options struct {
	// Quantities and Profiles are the catalogue; they do not change in a hub's
	// life.
	Quantities []devices.QuantityInfo
	Profiles   []*devices.Profile
	// Tick is the least time between two ticks; 250 ms. A change after a pause
	// waits for Settle only, so that a quiet city is shown without delay.
	Tick time.Duration
	// Settle is how long the first change waits for company; 20 ms, at most Tick.
	Settle time.Duration
	// AlarmTick is the least time between two ticks when an alarm waits; 100 ms,
	// at most Tick. Values may be a quarter of a second old, an alarm may not.
	AlarmTick time.Duration
	// Ring bounds how far behind a screen may be and still be served, in ticks
	// (480, two minutes at the default tick) and in bytes (64 MiB).
	Ring      int
	RingBytes int
	// MaxScreens bounds the open connections; 1000. One more is told TooMany.
	MaxScreens int
	// MaxAlarms bounds the list a screen is sent at first, worst first; 2000.
	MaxAlarms int
	// WriteTimeout is what a screen has to take 16 KiB; 5 s. PongTimeout is how
	// long it may be mute; 7 s, and what a 56 kbit/s line needs for what is on
	// it.
	WriteTimeout time.Duration
	PongTimeout  time.Duration
	// Origins lists further values of Origin that may open a socket, such as
	// "https://wall.city.example" where a proxy changes Host. The same host is
	// always allowed.
	Origins []string
	// Health tells the screens how the rest of the house is, once a second. It
	// must not block. Nil says that all is well.
	Health func() Health
	// Displays decides what named screens show; nil for a house without.
	Displays Displays
	// Now is the clock by which devices fall silent and screens count ages;
	// time.Now when nil.
	Now func() time.Time
	// Replay makes this a hub that shows the past.
	Replay *Replay
	// Build names the wall's files that this server has: a screen that was loaded
	// from others starts anew.
	Build string

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Health is what a heartbeat carries besides the hub's own figures.
type Health struct {
	// Lag is how many journal entries the hub's reader is behind.
	Lag int64 `json:"lag"`
	// Journal is "ok", "degraded" or "refusing", with the reason for people.
	Journal       string `json:"-"`
	JournalReason string `json:"-"`
	// SeriesOK is false while history cannot be written; Backlog is how many
	// entries wait.
	SeriesOK bool  `json:"-"`
	Backlog  int64 `json:"-"`
	// Flood is how many alarms there are for those who work on them; nil for not
	// known.
	Flood *Flood `json:"-"`
}

// Flood tells whether more alarms come than people can take in.
type Flood struct {
	On        bool       `json:"on"`
	Since     *time.Time `json:"since,omitempty"`
	Alarms    int        `json:"alarms"`
	Operators int        `json:"operators"`
	Total     int        `json:"total,omitempty"`
}

func (o Options) withDefaults() (Options, error) {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&o.Tick, 250*time.Millisecond)
	def(&o.Settle, min(20*time.Millisecond, o.Tick))
	def(&o.AlarmTick, min(100*time.Millisecond, o.Tick))
	def(&o.WriteTimeout, 5*time.Second)
	def(&o.PongTimeout, 7*time.Second)
	num(&o.Ring, 480)
	num(&o.RingBytes, 64<<20)
	num(&o.MaxScreens, 1000)
	num(&o.MaxAlarms, 2000)
	if o.Health == nil {
		o.Health = func() Health { return Health{Journal: "ok", SeriesOK: true} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Tick < 10*time.Millisecond || o.Tick > 10*time.Second:
		return o, fmt.Errorf("live: tick of %v: use 10ms to 10s", o.Tick)
	case o.Settle < 0 || o.Settle > o.Tick:
		return o, fmt.Errorf("live: settle time of %v: use 0 to the tick of %v", o.Settle, o.Tick)
	case o.AlarmTick < 0 || o.AlarmTick > o.Tick:
		return o, fmt.Errorf("live: alarm tick of %v: use 0 to the tick of %v", o.AlarmTick, o.Tick)
	case o.Ring < 1 || o.RingBytes < 1<<16:
		return o, fmt.Errorf("live: a ring of %d ticks and %d bytes cannot serve a resume: use at least 1 and 65536", o.Ring, o.RingBytes)
	case o.MaxScreens < 1 || o.MaxAlarms < 1:
		return o, fmt.Errorf("live: room for %d screens and %d alarms: use at least 1", o.MaxScreens, o.MaxAlarms)
	case o.WriteTimeout < 0 || o.PongTimeout < 0:
		return o, errors.New("live: negative timeout")
	case len(o.Quantities) == 0 || len(o.Quantities) > math.MaxUint16:
		return o, fmt.Errorf("live: %d quantities: the catalogue has 1 to 65535", len(o.Quantities))
	}
	return o, nil
}

// Alarm is an alarm as the hub keeps it: what it must know to sort, filter and
// colour, and the text that it only passes on.
type Alarm struct {
	ID       string
	Device   devices.ID // empty for an alarm of something else, such as a zone
	Priority uint8      // 1 (worst) to 4
	// Severity is what the alarm adds to its device on the map: its priority
	// while it is open and neither shelved nor suppressed, else 0.
	Severity uint8
	// Open alarms are in the list a screen is sent after a snapshot.
	Open bool
	// Raised orders the list within a priority, newest first.
	Raised time.Time
	// Department answers for the alarm and Wards are where it is, for viewers
	// who see but their own; both may be empty.
	Department string
	Wards      []string
	// JSON is the alarm as PROTOCOL.md describes it.
	JSON []byte
}

// Hub keeps the present state and serves the screens. Make one with New.
//
// Lock order: there is one lock. Ticks and snapshots are immutable once made,
// so the screens' goroutines read them without it.
type Hub struct {
	opt  Options
	id   string // names this run of the hub; sequences of another run mean nothing here
	met  *metrics
	wake chan struct{} // one slot: something changed, arm the timer
	quit chan struct{}
	done sync.WaitGroup // run and the screens' handlers

	applied atomic.Uint64 // values, for the rate in the heartbeat
	beat    atomic.Pointer[heartbeat]

	mu       sync.RWMutex
	state    state
	seq      uint64   // the last sequence number given out
	floor    uint64   // every message after floor is in ring
	ring     []*tick  // oldest first
	ringSize int      // bytes
	pending  []*Alarm // changes that wait for their tick
	armed    bool     // wake was sent and the flush has not come
	snap     *tick
	screens  map[*screen]struct{}
	told     map[string]*told // standing messages, by kind
	tellings uint64
	started  bool
	stopped  bool
}

// heartbeat is the message of this second, for all.
type heartbeat struct {
	seq uint64
	msg *websocket.PreparedMessage
}

// New makes a hub that nobody is connected to. Start makes it tick.
func New(opt Options) (*Hub, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:])
	h := &Hub{
		opt:     opt,
		id:      hex.EncodeToString(id[:]),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		screens: make(map[*screen]struct{}),
	}
	h.state.init(opt)
	if h.met, err = newMetrics(opt.Metrics, h); err != nil {
		return nil, fmt.Errorf("live: register metrics: %w", err)
	}
	return h, nil
}

// Start begins to tick.
func (h *Hub) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started || h.stopped {
		return
	}
	h.started = true
	h.done.Add(1)
	go h.run()
}

// Stop closes every screen with ShuttingDown and waits until all goroutines of
// the hub have ended; a screen that does not take its goodbye is cut. Harmless
// twice.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	if !h.stopped {
		h.stopped = true
		close(h.quit)
	}
	h.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		h.done.Wait()
		close(ended)
	}()
	patience, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case <-ended:
		return nil
	case <-patience.Done():
	}
	h.mu.RLock()
	for s := range h.screens {
		s.conn.NetConn().Close() // ends the write that hangs, and the read
	}
	h.mu.RUnlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("live: stop: screens still being served: %w", ctx.Err())
	}
}

// run is the one goroutine that makes ticks and heartbeats.
func (h *Hub) run() {
	defer h.done.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	flush := time.NewTimer(time.Hour)
	defer flush.Stop()
	flush.Stop()
	var last time.Time // of the last tick
	var before uint64  // values applied up to the last heartbeat
	lastBeat := time.Now()
	for {
		select {
		case <-h.quit:
			return
		case <-h.wake:
			tick := h.opt.Tick
			h.mu.RLock()
			if len(h.pending) > 0 {
				tick = h.opt.AlarmTick
			}
			h.mu.RUnlock()
			flush.Reset(max(h.opt.Settle, tick-time.Since(last)))
		case <-flush.C:
			last = time.Now()
			h.flush(last)
		case now := <-second.C:
			h.mu.Lock()
			changed := h.state.sweep(h.opt.Now())
			h.armLocked(changed || h.state.dictDirty)
			h.mu.Unlock()
			total := h.applied.Load()
			rate := float64(total-before) / max(now.Sub(lastBeat).Seconds(), 0.001)
			before, lastBeat = total, now
			h.heartbeat(rate)
		}
	}
}

// armLocked sees to it that a flush comes when something changed.
func (h *Hub) armLocked(changed bool) {
	if !changed || h.armed {
		return
	}
	h.armed = true
	h.wakeLocked()
}

func (h *Hub) wakeLocked() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Apply takes in readings as the journal's reader delivers them. Applying the
// same message again changes nothing.
func (h *Hub) Apply(messages []*devices.Message) {
	var n uint64
	h.mu.Lock()
	changed := false
	for _, m := range messages {
		for i := range m.Observations {
			n += uint64(len(m.Observations[i].Values))
		}
		if h.state.apply(m) {
			changed = true
		}
	}
	h.armLocked(changed)
	h.mu.Unlock()
	h.applied.Add(n)
	h.met.applied.Add(float64(n))
}

// ApplyStatus takes in changes of the devices' connections.
func (h *Hub) ApplyStatus(statuses []*devices.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range statuses {
		h.state.applyStatus(s)
	}
}

// ApplyDevice takes in a device of the register, new or changed. Only devices
// in state Active or Maintenance are shown.
func (h *Hub) ApplyDevice(list ...*devices.Device) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range list {
		h.state.applyDevice(d)
	}
	h.armLocked(h.state.dictDirty)
}

// RemoveDevice takes a device off the wall.
func (h *Hub) RemoveDevice(id devices.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.hide(id)
	h.armLocked(h.state.dictDirty)
}

// ApplyAlarm takes in a change of an alarm. Every change reaches every screen
// whose subscription has its priority. Before Start an alarm is not news: it
// joins the list that screens are sent at first.
func (h *Hub) ApplyAlarm(a Alarm) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.applyAlarm(a)
	h.snap = nil
	if !h.started || h.stopped {
		return // nobody is listening, and nothing would empty pending
	}
	h.pending = append(h.pending, &a)
	h.armed = true
	if len(h.pending) == 1 {
		h.wakeLocked() // the flush that values wait for is late for an alarm
	}
}

// flush turns what has changed into a tick and wakes the screens.
func (h *Hub) flush(now time.Time) {
	started := time.Now()
	h.mu.Lock()
	h.armed = false
	t := &tick{kind: kindDelta, first: h.seq + 1}
	t.dictChanged = h.state.publish(now)
	t.dict = h.state.dict
	t.updates = h.state.takeUpdates()
	t.moves = h.state.takeMoves()
	for _, a := range h.pending {
		h.seq++
		t.alarms = append(t.alarms, alarmMessage{seq: h.seq, alarm: a})
	}
	h.pending = nil
	if len(t.updates) == 0 && len(t.moves) == 0 && len(t.alarms) == 0 && !t.dictChanged {
		h.mu.Unlock()
		return
	}
	// Positions, then values: a value is drawn where the device is by then.
	h.seq += 2
	t.last = h.seq
	h.ring = append(h.ring, t)
	h.ringSize += t.size()
	drop := 0
	for len(h.ring)-drop > 1 && (len(h.ring)-drop > h.opt.Ring || h.ringSize > h.opt.RingBytes) {
		h.floor = h.ring[drop].last
		h.ringSize -= h.ring[drop].size()
		drop++
	}
	h.ring = slices.Delete(h.ring, 0, drop)
	if n := len(h.ring); n > 2 {
		h.ring[n-3].forget()
	}
	h.snap = nil
	for s := range h.screens {
		s.nudge()
	}
	h.mu.Unlock()
	h.met.ticks.Inc()
	h.met.updates.Add(float64(len(t.updates)))
	h.met.flush.Observe(time.Since(started).Seconds())
}

// since gives the ticks after cursor, or false when some of them are gone (or
// never were).
func (h *Hub) since(cursor uint64) ([]*tick, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if cursor < h.floor || cursor > h.seq {
		return nil, false
	}
	i := len(h.ring)
	for i > 0 && h.ring[i-1].last > cursor {
		i--
	}
	return slices.Clone(h.ring[i:]), true
}

// snapshot gives everything that is known now as one tick. Screens that come
// between two ticks share it.
func (h *Hub) snapshot() *tick {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snap == nil {
		if h.state.dict == 0 {
			h.state.publish(time.Now()) // nobody has an older one to be told of
		}
		h.snap = &tick{
			kind:    kindSnapshot,
			first:   h.seq,
			last:    h.seq,
			dict:    h.state.dict,
			updates: h.state.allUpdates(),
			moves:   h.state.allMoves(),
			list:    h.state.openAlarms(),
		}
	}
	return h.snap
}

// heartbeat makes the message of this second and has it sent.
func (h *Hub) heartbeat(rate float64) {
	health := h.opt.Health()
	h.mu.RLock()
	seq := h.seq
	h.mu.RUnlock()
	body := marshal(heartbeatMessage{
		Type: "heartbeat", Seq: seq, Now: h.opt.Now().UnixMilli(), Lag: health.Lag,
		Ingest:  ingestHealth{PerSecond: math.Round(rate*10) / 10},
		Journal: journalHealth{Level: health.Journal, Reason: health.JournalReason},
		Series:  seriesHealth{OK: health.SeriesOK, Backlog: health.Backlog},
		Flood:   health.Flood,
		Replay:  h.replayState(),
	})
	msg, err := websocket.NewPreparedMessage(websocket.TextMessage, body)
	if err != nil {
		h.opt.Log.Error("heartbeat not prepared", "err", err)
		return
	}
	h.beat.Store(&heartbeat{seq: seq, msg: msg})
	h.mu.RLock()
	defer h.mu.RUnlock()
	for s := range h.screens {
		s.nudge()
	}
}

// ID names this run of the hub.
func (h *Hub) ID() string { return h.id }

// Screens says how many are connected.
func (h *Hub) Screens() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.screens)
}
