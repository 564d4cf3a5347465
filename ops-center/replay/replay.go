// Package replay is the time machine: the whole wall as it was at a moment, and
// from there on at one to 600 times the speed of life.
//
// # One mechanism
//
// A replay is a live.Hub of its own, with a clock of its own. It is filled with
// what the series store had by a moment (Past.At) and what the log of alarms had
// (Alarms.At), and then with what arrived later, in the order it arrived
// (Past.Between, Alarms.Transitions). Everything a screen is sent is made by the
// same code that makes it for the present, so a screen needs to know of the past
// only what hello says.
//
// What counts is when something arrived, not when it happened: a reading that
// came thirty minutes late was on no wall before it came.
//
// # What it cannot know
//
// The register keeps no history; nor does it of who hangs on whom in the network.
// A device is shown where it stands today and under today's name; it is shown
// from the day it was added, and one that was retired since is shown while it had
// said something within a day. A value that was measured more than lateBound
// before the moment asked for and arrived after it is missed, unless a seek comes
// after it. How devices were connected is not kept. InfluxDB keeps only the last
// of several arrivals for one moment.
//
// # Displays
//
// A display that is told to show the past has a replay of its own, which follows
// what the display is told (Asked.Follow). Where it is at is counted by
// scene.Replay, so that it outlives the screen and the server.
//
// # It sends nothing
//
// A replay reads; it is given nothing that writes. No act can be done on it:
// its socket takes play, pause, seek, speed and what any screen may say.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
	"vonglau/ops-center/warning"
)

// Sample is a value of some device or, without a quantity, where it was.
type Sample struct {
	Device   devices.ID
	Quantity devices.Quantity
	At       devices.Position
	devices.Point
}

// Past is the series store.
type Past interface {
	// At calls each with the newest value of every quantity and the place of
	// every device as they had arrived by t.
	At(ctx context.Context, t time.Time, each func(Sample) error) error
	// Between calls each with all values and places whose event is in [from, to).
	Between(ctx context.Context, from, to time.Time, each func(Sample) error) error
}

// Alarms is the log of alarms; *alert.Alarms is one.
type Alarms interface {
	At(ctx context.Context, t time.Time) ([]alert.Alarm, error)
	Transitions(ctx context.Context, from, to time.Time, each func(*alert.Transition) error) error
}

// Scenes is the record of what displays showed, and what they are to show now;
// *scene.Scenes is one.
type Scenes interface {
	Message(display string) []byte
	MessageAt(ctx context.Context, display string, t time.Time) ([]byte, error)
}

// Warnings is the record of public messages; *warning.Chain is one.
type Warnings interface {
	At(t time.Time) []warning.Warning
}

// Options are what New needs and may be told.
type Options struct {
	Register *devices.Register
	Past     Past
	Alarms   Alarms
	// Scenes and Warnings may be nil.
	Scenes   Scenes
	Warnings Warnings
	// Show is an alarm as the hub keeps it.
	Show func(alert.Alarm) (live.Alarm, error)
	// Retention is how far back one can go.
	Retention time.Duration
	// Max bounds the replays that people have open at once, and as many again are
	// those of displays that were told to show the past; PerPerson those of one
	// person; 8 and 2.
	Max, PerPerson int
	// Tick is the least time between two ticks of a replay; 250 ms.
	Tick  time.Duration
	Build string
	// Report takes what a display's own screen says of itself, nil to ignore it.
	Report func(display, from string, health []byte) error
	// Now is the server's clock, time.Now when nil.
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Speeds are the bounds of how fast a replay goes.
const (
	Slowest = 1
	Fastest = 600
)

// Edge is how far behind the present a replay ends: what arrived by then is in
// the store.
const Edge = 10 * time.Second

// Replays are the replays under way.
type Replays struct {
	opt     Options
	metrics metrics
	// turn lets one replay look into the past at a time: the present goes first.
	turn chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	running map[*session]struct{}
	stopped bool
}

type metrics struct {
	opened  prometheus.Counter
	refused *prometheus.CounterVec
	seeks   prometheus.Histogram
	failed  prometheus.Counter
}

// New makes the time machine.
func New(o Options) (*Replays, error) {
	switch {
	case o.Register == nil || o.Past == nil || o.Alarms == nil || o.Show == nil:
		return nil, errors.New("replay: Register, Past, Alarms and Show are needed")
	case o.Retention <= 0:
		return nil, errors.New("replay: Retention is needed")
	case o.Max < 0 || o.PerPerson < 0:
		return nil, errors.New("replay: a negative number of replays")
	}
	if o.Max == 0 {
		o.Max = 8
	}
	if o.PerPerson == 0 {
		o.PerPerson = 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Replays{opt: o, turn: make(chan struct{}, 1), running: make(map[*session]struct{})}
	return r, r.register(o.Metrics)
}

func (r *Replays) register(reg prometheus.Registerer) error {
	r.metrics = metrics{
		opened:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "replay", Name: "opened_total", Help: "Replays begun."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "replay", Name: "refused_total", Help: "Replays not begun, by reason."}, []string{"reason"}),
		seeks: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "vonglau", Subsystem: "replay", Name: "seek_seconds",
			Help: "Time to find what a moment was like.", Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 15}}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "replay", Name: "failures_total", Help: "Failed looks into the past."}),
	}
	if reg == nil {
		return nil
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "vonglau", Subsystem: "replay", Name: "running", Help: "Replays under way."},
		func() float64 { return float64(r.Running()) })
	var errs []error
	for _, c := range []prometheus.Collector{r.metrics.opened, r.metrics.refused, r.metrics.seeks, r.metrics.failed, running} {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

// Running says how many replays there are.
func (r *Replays) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.running)
}

// Stop ends all replays and waits for them.
func (r *Replays) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stopped = true
	for s := range r.running {
		s.cancel()
	}
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() { r.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("replay: stop: %w", ctx.Err())
	}
}

// Asked is where a screen wants to begin.
type Asked struct {
	At      time.Time
	Speed   float64
	Paused  bool
	Display string
	// Follow is a screen that shows the past because its display is told to: it is
	// sent the display's scenes of now, which say when that ends.
	Follow bool
}

// parse reads the query of the socket.
func (r *Replays) parse(req *http.Request) (Asked, error) {
	q := req.URL.Query()
	a := Asked{Speed: 1, Paused: q.Get("paused") == "1", Display: q.Get("display"), Follow: q.Get("follow") == "1"}
	text := q.Get("at")
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		a.At = time.UnixMilli(ms).UTC()
	} else if a.At, err = time.Parse(time.RFC3339, text); err != nil {
		return a, fmt.Errorf("at=%.40q: want a time in RFC 3339 or ms since 1970", text)
	}
	if v := q.Get("speed"); v != "" {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || !(n >= Slowest && n <= Fastest) {
			return a, fmt.Errorf("speed=%.20q: want %d to %d", v, Slowest, Fastest)
		}
		a.Speed = n
	}
	from, to := r.bounds()
	if a.At.Before(from) {
		return a, fmt.Errorf("at: %s is before all that is kept, which begins %s", a.At.UTC().Format(time.RFC3339), from.UTC().Format(time.RFC3339))
	}
	if a.At.After(to) {
		a.At = to
	}
	return a, nil
}

// bounds is how far one can go.
func (r *Replays) bounds() (from, to time.Time) {
	now := r.opt.Now()
	return now.Add(-r.opt.Retention).Add(time.Minute).Truncate(time.Millisecond), now.Add(-Edge).Truncate(time.Millisecond)
}

// Handler serves GET /v1/replay. opened is told of each replay before its screen
// is.
func (r *Replays) Handler(admit live.Admit, opened func(req *http.Request, who live.Viewer, a Asked)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") == "" {
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "this address speaks WebSocket, subprotocol "+live.Protocol, http.StatusUpgradeRequired)
			return
		}
		refuse := func(code int, why, reason string) {
			r.metrics.refused.WithLabelValues(why).Inc()
			if len(reason) > 120 { // RFC 6455 section 5.5: 125 bytes with the code
				reason = reason[:120]
			}
			live.Refuse(w, req, code, reason)
		}
		who, _, bearer, err := admit(req)
		if err != nil {
			refuse(live.NotAuthorised, "not_authorised", "not authorised: "+err.Error())
			return
		}
		asked, err := r.parse(req)
		if err != nil {
			refuse(live.BadMessage, "bad_request", err.Error())
			return
		}
		if who.Screen != "" {
			// A display's own screen never goes into the past by itself.
			asked.Display, asked.Follow = who.Screen, true
		}
		s, err := newSession(r, who, asked)
		if err != nil {
			r.opt.Log.Error("a replay cannot be made", "error", err)
			refuse(live.ShuttingDown, "failed", "the replay cannot be made")
			return
		}
		if err := s.hub.Foreign(req, bearer); err != nil {
			s.cancel()
			r.metrics.refused.WithLabelValues("origin").Inc()
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if code, why, reason := r.enter(s); code != 0 {
			s.cancel()
			refuse(code, why, reason)
			return
		}
		defer r.leave(s)
		if opened != nil {
			opened(req, who, asked)
		}
		r.metrics.opened.Inc()
		s.begin()
		s.hub.Handler(admit).ServeHTTP(w, req)
	})
}

// enter counts a replay in, or says why not.
func (r *Replays) enter(s *session) (code int, why, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same, all := 0, 0
	for other := range r.running {
		if other.person == s.person {
			same++
		}
		if other.own == s.own {
			all++
		}
	}
	switch {
	case r.stopped:
		return live.ShuttingDown, "stopping", "shutting down"
	case all >= r.opt.Max:
		return live.TooMany, "too_many", fmt.Sprintf("%d replays are under way and there is room for no more", all)
	case same >= r.opt.PerPerson:
		return live.TooMany, "too_many_of_one", fmt.Sprintf("you have %d replays open; close one", same)
	}
	r.running[s] = struct{}{}
	r.done.Add(1)
	return 0, "", ""
}

// Show has those screens of a display that follow it sent its scene message.
func (r *Replays) Show(display string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.running {
		if s.asked.Follow && s.asked.Display == display {
			s.hub.Show(display)
		}
	}
}

func person(v live.Viewer) string {
	if v.ID != "" {
		return v.ID
	}
	return v.Name + "|" + v.Screen
}

func (r *Replays) leave(s *session) {
	s.end()
	r.mu.Lock()
	delete(r.running, s)
	r.mu.Unlock()
	r.done.Done()
}

// Moment is where a replay is, for those who count what it shows.
type Moment struct {
	Hub      *live.Hub
	Clusters *live.Clusters
	Now      time.Time
}

// Moment finds a replay by the id of its hub.
func (r *Replays) Moment(hub string) (Moment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.running {
		if s.hub.ID() == hub {
			return Moment{s.hub, s.clusters, s.now()}, true
		}
	}
	return Moment{}, false
}

// Dictionary serves what the indices of a replay mean, by the id of its hub.
func (r *Replays) Dictionary(w http.ResponseWriter, req *http.Request, hub string) bool {
	m, ok := r.Moment(hub)
	if ok {
		m.Hub.ServeDictionary(w, req)
	}
	return ok
}

// Density is how many alarms were raised, for drawing under a line of time.
type Density struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Buckets are equal parts of the span; in each, how many alarms of priority
	// 1, 2, 3 and 4 were raised.
	Buckets [][4]int `json:"buckets"`
	// Urgent are the alarms of priority 1, oldest first; More that there were
	// others.
	Urgent []Urgent `json:"urgent"`
	More   bool     `json:"more,omitempty"`
}

// Urgent is a moment to go to.
type Urgent struct {
	At     time.Time         `json:"at"`
	Alarm  string            `json:"alarm"`
	Device devices.ID        `json:"device,omitempty"`
	Name   map[string]string `json:"name"`
}

// maxUrgent bounds the moments of one answer.
const maxUrgent = 1000

// Density counts the alarms raised in [from, to) that keep lets through.
func (r *Replays) Density(ctx context.Context, from, to time.Time, buckets int, keep func(*alert.Alarm) bool) (Density, error) {
	d := Density{From: from, To: to, Buckets: make([][4]int, buckets), Urgent: []Urgent{}}
	err := r.opt.Alarms.Transitions(ctx, from, to, func(t *alert.Transition) error {
		a := &t.Alarm
		if t.Event != alert.Raise || !t.To.Shown() || a.Priority < 1 || a.Priority > 4 || !keep(a) {
			return nil
		}
		i := int(float64(t.Recorded.Sub(from)) / float64(to.Sub(from)) * float64(buckets))
		d.Buckets[min(i, buckets-1)][a.Priority-1]++
		if a.Priority == 1 {
			if len(d.Urgent) < maxUrgent {
				d.Urgent = append(d.Urgent, Urgent{t.Recorded, a.ID, a.Device, a.RuleName})
			} else {
				d.More = true
			}
		}
		return nil
	})
	return d, err
}

// inForce is a public message as walls are told it.
type inForce struct {
	ID       string           `json:"id"`
	Exercise bool             `json:"exercise"`
	Message  *warning.Message `json:"message"`
}

// warningsAt gives the message of those in force, and a digest to tell whether
// it is another than before.
func (r *Replays) warningsAt(t time.Time) (body []byte, digest string) {
	m := struct {
		Type     string    `json:"type"` // warnings
		Warnings []inForce `json:"warnings"`
	}{"warnings", []inForce{}}
	if r.opt.Warnings != nil {
		for _, w := range r.opt.Warnings.At(t) {
			if w.State(t) == warning.InForce {
				m.Warnings = append(m.Warnings, inForce{w.ID, w.Exercise, &w.Messages[len(w.Messages)-1]})
			}
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		r.opt.Log.Error("the warnings of then cannot be told", "error", err)
		return nil, ""
	}
	sum := sha256.Sum256(body)
	return body, hex.EncodeToString(sum[:8])
}
