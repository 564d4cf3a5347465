package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// Log keeps the transitions, in order and for good. Append returns when the
// record is on disk.
type Log interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, each func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Options are what Open needs and may be told.
type Options struct {
	Register *devices.Register
	// Store keeps the rules and what the engine remembers.
	Store devices.Store
	// Transitions is the log of what happened to alarms.
	Transitions Log
	// ZoneName names a zone in messages; its code stands in without one.
	ZoneName func(devices.ZoneRef) string
	// Place finds the zones of a fixed device that is silent, and so tells none
	// itself. Nil leaves them out.
	Place func(at devices.Position, when time.Time) []devices.ZoneRef
	// Behind gives how many entries of the journal are still to be handled.
	// Silence is not judged while there are any: what looks like a silent city
	// may be a slow reader. Nil counts as none.
	Behind func() int64
	// Limits bound what people may do to alarms; DefaultLimits when zero.
	Limits Limits
	// Checkpoints keep the open alarms at times, so that a time in the past is
	// found without reading the whole log. Nil reads it.
	Checkpoints Checkpoints
	// Operators gives how many work a shift at a time; nil counts as one. A
	// number below one counts as one.
	Operators func(at time.Time) int
	// Calendar is the city's, for the hours and days that rules name; UTC when nil.
	Calendar *time.Location
	// SaveEvery bounds how much of the journal is read again after a crash; 10 s.
	SaveEvery time.Duration
	// Now is the server's clock, time.Now when nil.
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Register == nil || o.Store == nil || o.Transitions == nil {
		return errors.New("alert: Register, Store and Transitions are needed")
	}
	if o.ZoneName == nil {
		o.ZoneName = func(z devices.ZoneRef) string { return z.Code }
	}
	if o.Behind == nil {
		o.Behind = func() int64 { return 0 }
	}
	if err := o.Limits.validate(); err != nil {
		return err
	}
	if o.Operators == nil {
		o.Operators = func(time.Time) int { return 1 }
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.SaveEvery <= 0 {
		o.SaveEvery = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Alarms is the rules, the open alarms and the engine that leads from one to
// the other. It starts no goroutine. What it shows is what the log has, and is
// read without waiting for a write.
type Alarms struct {
	opt     Options
	metrics metrics
	start   time.Time
	board   board

	mu          sync.Mutex
	engine      *engine
	source      []byte // of the rules
	limitSource []byte // of the thresholds
	versions    versions
	subscribers []func(Alarm)
	seq         uint64 // of the newest journal entry handled
	// The end of the log as far as it was seen: the sequence and the number of
	// the last record and its hash.
	logSeq, n uint64
	chain     string
	// pending is the first of the outbox as it was, perhaps, appended already.
	pending []byte
	unsure  bool      // an append failed, and may have been done all the same
	dirty   [256]bool // shards that changed since they were saved
	plans   []Plan
	// inhibited is by rule, of the version inhibitedAt of the rules.
	inhibited   map[string][]inhibition
	inhibitedAt int
	chatter     chatter
	closed      closedAlarms
	flood       floodMeter
	// floodWatchers are told when a flood begins and ends.
	floodWatchers []func(Flood)
	index         index
	saved         time.Time
	round         *saving // under way, nil for none
}

type metrics struct {
	transitions *prometheus.CounterVec
	late        prometheus.Counter
	breaks      prometheus.Counter
	failures    prometheus.Counter
	lateSeen    uint64
}

// Open loads the rules and the alarms. Next tells where to read the journal
// from.
func Open(ctx context.Context, o Options) (*Alarms, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Alarms{opt: o, start: o.Now(), saved: o.Now()}
	s.board.init()
	s.chatter = chatter{}
	s.engine = newEngine(o.Register, o.ZoneName, o.Place)
	s.engine.calendar = o.Calendar
	s.engine.mark = func(id devices.ID) { s.dirty[shard(id)] = true }
	s.engine.dress = s.dress
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("loading the alarms: %w", err)
	}
	s.loaded()
	s.register(o.Metrics)
	if err := s.loadMarks(ctx); err != nil {
		return nil, err
	}
	if err := s.recent(ctx); err != nil {
		return nil, err
	}
	if err := s.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("reading the log of alarms: %w", err)
	}
	return s, nil
}

func (s *Alarms) register(r prometheus.Registerer) {
	s.metrics = metrics{
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vonglau_alarm_transitions_total", Help: "Transitions of alarms, by event."}, []string{"event"}),
		late:        prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_alarm_late_readings_total", Help: "Readings a rule did not judge because it had judged a newer one."}),
		breaks:      prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_alarm_chain_breaks_total", Help: "Records of the alarm log that do not follow the one before."}),
		failures:    prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_alarm_write_failures_total", Help: "Failed writes of transitions or of the engine's memory."}),
	}
	if r == nil {
		return
	}
	r.MustRegister(s.metrics.transitions, s.metrics.late, s.metrics.breaks, s.metrics.failures)
	s.engine.meter(r)
	for p := 1; p <= 4; p++ {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "vonglau_alarms_open", Help: "Open alarms, by priority.", ConstLabels: prometheus.Labels{"priority": strconv.Itoa(p)},
		}, func() float64 { return s.open(p) }))
	}
}

func (s *Alarms) open(priority int) float64 { return float64(s.board.count(priority)) }

// Next is the journal sequence to go on from after Open: everything before it
// is in what was loaded.
func (s *Alarms) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq + 1
}

// Handle judges messages of the journal, seq being the sequence of the last
// entry they came from. Changes of connections raise nothing: a device is silent
// when its reports stop, not when its link does. After an error the same
// messages are to be handled again; nothing is repeated by that.
func (s *Alarms) Handle(ctx context.Context, messages []*devices.Message, _ []*devices.Status, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return err
	}
	for _, m := range messages {
		s.engine.message(m)
		s.dirty[shard(m.Device)] = true
	}
	if late := s.engine.late; late != s.metrics.lateSeen {
		s.metrics.late.Add(float64(late - s.metrics.lateSeen))
		s.metrics.lateSeen = late
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.seq = max(s.seq, seq)
	s.saveIfDue(ctx)
	return nil
}

// Tick looks for silent devices. Call it every few seconds.
func (s *Alarms) Tick(ctx context.Context, now time.Time) error {
	behind := s.opt.Behind() > 0
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return err
	}
	if !behind {
		s.engine.tick(now.UnixMilli(), s.start.UnixMilli())
	}
	s.expire(now)
	if !behind {
		s.engine.settleWaiting(now.UnixMilli(), s.start.UnixMilli())
	}
	s.chatter.sweep(now.UnixMilli())
	s.watchFlood(now)
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.saveIfDue(ctx)
	return nil
}

// Apply puts a rule file in force, all of it or, on an error, nothing.
func (s *Alarms) Apply(ctx context.Context, source []byte) error {
	return s.ApplyAs(ctx, source, Actor{}, "")
}

// Source is the rule file in force, empty before the first.
func (s *Alarms) Source() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.source)
}

// Rules are the rules in force, by id.
func (s *Alarms) Rules() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Rule, 0, len(s.engine.rules))
	for _, r := range s.engine.rules {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Subscribe calls f with an alarm after each of its transitions. f must not
// block, nor act on alarms.
func (s *Alarms) Subscribe(f func(Alarm)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, f)
}

// Settle judges what many devices said together where nothing newer has come to
// end its moment; Tick does so too. See moment.go.
func (s *Alarms) Settle(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.engine.settleWaiting(now.UnixMilli(), s.start.UnixMilli())
	return s.flush(ctx)
}

// Close writes down what the engine remembers.
func (s *Alarms) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.save(ctx)
}

// subject is what all records of the log are filed under.
const subject = "alarm"

// flush appends what waits in the outbox and tells the subscribers.
func (s *Alarms) flush(ctx context.Context) error {
	if s.unsure {
		if err := s.catchUp(ctx); err != nil {
			return fmt.Errorf("reading the log of alarms: %w", err)
		}
	}
	for len(s.engine.outbox) > 0 {
		t := s.engine.outbox[0]
		if s.pending == nil {
			data, err := s.encode(t)
			if err != nil {
				return err
			}
			s.pending = data
		}
		if err := s.append(ctx, t, s.pending); err != nil {
			return err
		}
		s.sent()
	}
	return nil
}

// sent takes the first transition off the outbox; it is in the log.
func (s *Alarms) sent() {
	t := s.engine.outbox[0]
	s.engine.outbox[0] = nil
	s.engine.outbox = s.engine.outbox[1:]
	s.pending = nil
	s.publish(t)
}

func (s *Alarms) publish(t *Transition) {
	s.metrics.transitions.WithLabelValues(string(t.Event)).Inc()
	s.dirty[shard(t.Alarm.key().device)] = true
	s.board.set(t.Alarm)
	s.follow(t)
	for _, f := range s.subscribers {
		f(t.Alarm)
	}
}

// fold applies a transition that is in the log.
func (s *Alarms) fold(t *Transition) {
	if t.From == Normal && t.To == Normal { // of an alarm that is over; there may be another
		s.publish(t)
		return
	}
	s.engine.put(t.Alarm.key(), t.Alarm, t.At.UnixMilli())
	s.publish(t)
}

func (s *Alarms) encode(t *Transition) ([]byte, error) {
	t.N, t.Prev = s.n+1, s.chain
	t.Recorded = s.opt.Now().UTC().Truncate(time.Millisecond)
	data, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding a transition of alarm %s: %w", t.Alarm.ID, err)
	}
	return data, nil
}

func (s *Alarms) append(ctx context.Context, t *Transition, data []byte) error {
	seq, err := s.opt.Transitions.Append(ctx, subject, data)
	if err != nil {
		s.unsure = true
		s.metrics.failures.Inc()
		return fmt.Errorf("writing %s of alarm %s to the log: %w", t.Event, t.Alarm.ID, err)
	}
	s.logSeq, s.n, s.chain = seq, t.N, digest(data)
	return nil
}

func digest(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// catchUp folds the records of the log that were not seen yet: at the start, and
// after a failed append, which may have been done all the same.
func (s *Alarms) catchUp(ctx context.Context) error {
	err := s.opt.Transitions.Read(ctx, s.logSeq+1, func(seq uint64, _ time.Time, subj string, data []byte) error {
		s.logSeq = seq
		if subj != subject {
			return nil
		}
		var t Transition
		if err := json.Unmarshal(data, &t); err != nil {
			s.metrics.breaks.Inc()
			s.opt.Log.Error("a record of the alarm log cannot be read and was left out", "sequence", seq, "error", err)
			return nil
		}
		if t.N != s.n+1 || t.Prev != s.chain {
			s.metrics.breaks.Inc()
			s.opt.Log.Error("a record of the alarm log does not follow the one before it", "sequence", seq, "number", t.N, "alarm", t.Alarm.ID)
		}
		s.n, s.chain = t.N, digest(data)
		if s.pending != nil && bytes.Equal(data, s.pending) {
			s.sent()
			return nil
		}
		s.fold(&t)
		if t.Who == engineActor {
			s.recall(&t)
		}
		return nil
	})
	if err == nil {
		s.unsure = false
	}
	return err
}

// recall makes the engine stand by a transition it is reminded of: readings up
// to it may come again and must not repeat it.
func (s *Alarms) recall(t *Transition) {
	w := s.engine.entry(t.Alarm.key().device)
	tr := w.tracks[t.Alarm.Rule]
	if tr == nil {
		tr = &track{Last: w.floor}
		w.tracks[t.Alarm.Rule] = tr
	}
	tr.On = t.Alarm.Active
	tr.decided = max(tr.decided, t.At.UnixMilli())
}

// The keys of the store: the rules, the place in journal and log, and what is
// remembered of devices in shards.
const (
	keyRules    = "rules"
	keyHead     = "head"
	shardPrefix = "devices."
)

// shard is FNV-1a, folded into a byte: it must be the same in every run.
func shard(id devices.ID) byte {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return byte(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// head is the place in the journal and in the log that the shards stand for. It
// is written after them, so shards may be newer, which is harmless: readings and
// transitions they know already change nothing.
type head struct {
	Seq    uint64 `json:"seq"`
	LogSeq uint64 `json:"logSeq"`
	N      uint64 `json:"n"`
	Chain  string `json:"chain"`
}

// memory is what is kept of one device.
type memory struct {
	Newest int64                         `json:"n"`
	Heard  int64                         `json:"h"`
	Tracks map[string]*track             `json:"t,omitempty"`
	Alarms map[string]*Alarm             `json:"a,omitempty"`
	Recent map[devices.Quantity][]sample `json:"r,omitempty"`
	// Moments wait to be judged, by rule.
	Moments map[string]*moment `json:"m,omitempty"`
}

func (s *Alarms) load(ctx context.Context) error {
	return s.opt.Store.Load(ctx, func(k string, value []byte) error {
		switch {
		case k == keyRules:
			s.source = slices.Clone(value)
			rules, err := parseRules(value, s.opt.Register.Catalogue(), false)
			if err != nil { // the catalogue changed; readings must go on all the same
				s.opt.Log.Error("the rules that were in force no longer fit and judge nothing until they are applied again", "error", err)
				return nil
			}
			for i := range rules {
				s.engine.rules[rules[i].ID] = &rules[i]
			}
		case k == keyPlans:
			if err := json.Unmarshal(value, &s.plans); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		case k == keyHead:
			var h head
			if err := json.Unmarshal(value, &h); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
			s.seq, s.logSeq, s.n, s.chain = h.Seq, h.LogSeq, h.N, h.Chain
		case strings.HasPrefix(k, shardPrefix):
			var entries map[devices.ID]memory
			if err := json.Unmarshal(value, &entries); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
			for id, m := range entries {
				w := s.engine.entry(id)
				w.newest, w.heard, w.floor, w.recent = m.Newest, m.Heard, m.Newest, m.Recent
				for rule, tr := range m.Tracks {
					if tr != nil {
						w.tracks[rule] = tr
					}
				}
				for rule, waits := range m.Moments {
					if waits != nil {
						s.engine.pending[key{rule, id}] = waits
					}
				}
				for rule, a := range m.Alarms {
					if a != nil {
						s.engine.put(key{rule, id}, *a, a.Raised.UnixMilli())
						s.board.set(*a)
					}
				}
			}
		default:
			return s.loadMore(k, value)
		}
		return nil
	})
}

// saveSlice is how long at a time the memory is written, with all else waiting: an
// acknowledgement must not wait for a hundred thousand devices.
const saveSlice = 20 * time.Millisecond

// shardsAtOnce are written together.
const shardsAtOnce = 16

// saving is a save under way: what is to be written, and the place that all of it
// stands for once it is. Shards written later know more than that, which is
// harmless, as head says.
type saving struct {
	head head
	todo []byte
}

// saveIfDue writes the engine's memory from time to time, a part of it at a time.
// A failure is told and made good by the next: the log and the journal have
// everything.
func (s *Alarms) saveIfDue(ctx context.Context) {
	if s.round == nil {
		if s.opt.Now().Sub(s.saved) < s.opt.SaveEvery {
			return
		}
		s.saved = s.opt.Now()
		s.checkpoint(ctx)
		s.beginSave()
	}
	if err := s.goOnSaving(ctx, saveSlice); err != nil {
		s.round = nil
		s.metrics.failures.Inc()
		s.opt.Log.Warn("what the alarm rules remember was not saved; after a restart more of the journal is read again", "error", err)
	}
}

// save writes all of it.
func (s *Alarms) save(ctx context.Context) error {
	s.beginSave()
	return s.goOnSaving(ctx, math.MaxInt64)
}

func (s *Alarms) beginSave() {
	s.round = &saving{head: head{s.seq, s.logSeq, s.n, s.chain}}
	for i, dirty := range s.dirty {
		if dirty {
			s.round.todo = append(s.round.todo, byte(i))
		}
	}
}

func (s *Alarms) goOnSaving(ctx context.Context, most time.Duration) error {
	for started := time.Now(); len(s.round.todo) > 0; {
		n := min(shardsAtOnce, len(s.round.todo))
		if err := s.saveShards(ctx, s.round.todo[:n]); err != nil {
			return err
		}
		if s.round.todo = s.round.todo[n:]; time.Since(started) > most {
			return nil
		}
	}
	value, err := json.Marshal(s.round.head)
	if err != nil {
		return fmt.Errorf("saving the place in the journal: %w", err)
	}
	if err := s.opt.Store.Put(ctx, keyHead, value); err != nil {
		return fmt.Errorf("saving the place in the journal: %w", err)
	}
	s.round = nil
	return nil
}

// saveShards writes some shards as they are now.
func (s *Alarms) saveShards(ctx context.Context, list []byte) error {
	var shards [256]map[devices.ID]memory
	for _, i := range list {
		shards[i] = map[devices.ID]memory{}
	}
	moments := map[devices.ID]map[string]*moment{}
	for k, m := range s.engine.pending {
		if k.device == "" || shards[shard(k.device)] == nil {
			continue // composites are looked at after a start in any case
		}
		if moments[k.device] == nil {
			moments[k.device] = map[string]*moment{}
		}
		moments[k.device][k.rule] = m
	}
	for id, w := range s.engine.fleet {
		entries := shards[shard(id)]
		if entries == nil {
			continue
		}
		if _, known := s.opt.Register.Get(id); !known && len(w.alarms) == 0 && !w.remembers() {
			delete(s.engine.fleet, id)
			continue
		}
		m := memory{Newest: w.newest, Heard: w.heard, Alarms: w.alarms, Recent: w.recent, Moments: moments[id]}
		for rule, tr := range w.tracks {
			if tr.idle() {
				continue
			}
			if m.Tracks == nil {
				m.Tracks = map[string]*track{}
			}
			m.Tracks[rule] = tr
		}
		entries[id] = m
	}
	values := map[string][]byte{}
	for _, i := range list {
		name := fmt.Sprintf("%s%02x", shardPrefix, i)
		value, err := json.Marshal(shards[i])
		if err != nil {
			return fmt.Errorf("saving %s: %w", name, err)
		}
		values[name] = value
	}
	if err := s.opt.Store.PutAll(ctx, values); err != nil {
		return fmt.Errorf("saving what the rules remember: %w", err)
	}
	for _, i := range list {
		s.dirty[i] = false
	}
	return nil
}
