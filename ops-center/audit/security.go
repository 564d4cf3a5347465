package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// SignalKind is what somebody saw that may be an attack.
type SignalKind string

// The kinds. The strings are on disk: never rename one.
const (
	FailedLogin      SignalKind = "failed_login"
	Lockout          SignalKind = "lockout"
	BreakGlass       SignalKind = "break_glass"
	TokenRefused     SignalKind = "token_refused"
	CrossOrigin      SignalKind = "cross_origin"
	PermissionDenied SignalKind = "permission_denied"
	ForeignHost      SignalKind = "foreign_host"
	IdentityClone    SignalKind = "identity_clone"
	ForeignPrefix    SignalKind = "foreign_prefix"
	DeviceRefused    SignalKind = "device_refused" // a wrong credential, or none known
	TopicViolation   SignalKind = "topic_violation"
	Flood            SignalKind = "flood"
	MalformedBurst   SignalKind = "malformed_burst"
	ClockJump        SignalKind = "clock_jump"
	Certificate      SignalKind = "certificate"
	ChainBroken      SignalKind = "audit_chain"
	JournalTrouble   SignalKind = "journal"
	AccountChanged   SignalKind = "account" // second factor, role, or state of an account
)

// Signal is one observation. Key is whom it is counted by: a device, an account,
// a source's /64.
type Signal struct {
	Kind   SignalKind
	Key    string
	From   string // an address
	Detail string
	At     time.Time
}

// Severity of a security event.
type Severity string

const (
	Notice  Severity = "notice"
	Warning Severity = "warning"
	Alert   Severity = "alert"
)

// SecurityEvent is what the stream holds: something that happened, or a burst of
// it.
type SecurityEvent struct {
	N        uint64     `json:"n"`
	At       time.Time  `json:"at"` // of the first signal
	Until    time.Time  `json:"until"`
	Kind     SignalKind `json:"kind"`
	Severity Severity   `json:"severity"`
	Key      string     `json:"key,omitempty"`
	From     string     `json:"from,omitempty"`
	Count    uint64     `json:"count"`
	// More is true for an event that only counts what came after the one before.
	More   bool   `json:"more,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// bound says from how many signals of one key within a time on there is an
// event. One that goes on is told again after hold, with how many more there
// were.
type bound struct {
	many     int
	within   time.Duration
	severity Severity
}

var bounds = map[SignalKind]bound{
	FailedLogin:      {3, 5 * time.Minute, Warning},
	Lockout:          {1, time.Minute, Alert},
	BreakGlass:       {1, time.Minute, Alert},
	TokenRefused:     {3, 5 * time.Minute, Warning},
	CrossOrigin:      {1, time.Minute, Warning},
	PermissionDenied: {10, 5 * time.Minute, Notice},
	ForeignHost:      {1, time.Minute, Notice},
	IdentityClone:    {1, time.Minute, Alert},
	ForeignPrefix:    {1, time.Minute, Warning},
	DeviceRefused:    {5, 5 * time.Minute, Warning},
	TopicViolation:   {1, time.Minute, Warning},
	Flood:            {100, time.Minute, Warning},
	MalformedBurst:   {20, time.Minute, Warning},
	ClockJump:        {5, time.Minute, Notice},
	Certificate:      {1, time.Minute, Warning},
	ChainBroken:      {1, time.Minute, Alert},
	JournalTrouble:   {1, time.Minute, Alert},
	AccountChanged:   {1, time.Minute, Notice},
}

// Known tells whether there is such a kind.
func (k SignalKind) Known() bool { _, ok := bounds[k]; return ok }

const (
	hold        = 10 * time.Minute
	maxWatched  = 20_000 // keys
	eventsBurst = 300    // alerts an hour, and as many other events
)

// Detector makes events of signals: a pure step over what it remembers and the
// time of the signal, so that signals that are read again late count when they
// happened. What it remembers is bounded: keys there is no room for share one
// for each kind.
type Detector struct {
	keys   map[detectKey]*seen
	hour   time.Time
	given  int // events of this hour that are no alerts
	alerts int
	muted  uint64    // signals whose events were one too many
	swept  time.Time // when room was last made
}

type detectKey struct {
	kind SignalKind
	key  string
}

type seen struct {
	times  []time.Time // within the bound, the oldest first
	first  time.Time
	last   time.Time
	told   time.Time // of the event, zero while there was none
	more   uint64    // since
	from   string
	detail string
}

// NewDetector gives one that has seen nothing.
func NewDetector() *Detector { return &Detector{keys: make(map[detectKey]*seen)} }

// Step takes a signal and gives the event it completes, if any.
func (d *Detector) Step(s Signal) (SecurityEvent, bool) {
	b, ok := bounds[s.Kind]
	if !ok {
		return SecurityEvent{}, false
	}
	k := detectKey{s.Kind, clip(s.Key)}
	w := d.keys[k]
	if w == nil {
		if len(d.keys) >= maxWatched && s.At.Sub(d.swept) >= time.Second {
			d.swept = s.At
			d.forget(s.At)
		}
		if len(d.keys) >= maxWatched {
			k.key = "others"
			w = d.keys[k]
		}
		if w == nil {
			w = &seen{}
			d.keys[k] = w
		}
	}
	if s.At.After(w.last) {
		w.last = s.At
	}
	w.from, w.detail = s.From, clip(s.Detail)
	if !w.told.IsZero() && s.At.Sub(w.told) < hold {
		if w.more == 0 {
			w.first = s.At
		}
		w.more++
		return SecurityEvent{}, false
	}
	w.told = time.Time{}
	w.times = slices.DeleteFunc(w.times, func(t time.Time) bool { return s.At.Sub(t) >= b.within })
	w.times = append(w.times, s.At)
	if len(w.times) < b.many {
		return SecurityEvent{}, false
	}
	e := SecurityEvent{
		At: w.times[0], Until: s.At, Kind: s.Kind, Severity: b.severity, Key: k.key, From: s.From, Count: uint64(len(w.times)) + w.more, Detail: w.detail,
	}
	w.told, w.more, w.times = s.At, 0, nil
	return e, d.may(&e)
}

// may bounds the events of an hour.
func (d *Detector) may(e *SecurityEvent) bool {
	if e.Until.Sub(d.hour) >= time.Hour {
		d.hour, d.given, d.alerts = e.Until, 0, 0
	}
	given := &d.given
	if e.Severity == Alert {
		given = &d.alerts
	}
	if *given >= eventsBurst {
		d.muted += e.Count
		return false
	}
	*given++
	return true
}

// Ripe gives the counts of what went on after it was told, once it is held no
// longer, and forgets what is over.
func (d *Detector) Ripe(now time.Time) []SecurityEvent {
	var out []SecurityEvent
	for k, w := range d.keys {
		if w.told.IsZero() || now.Sub(w.told) < hold {
			continue
		}
		if w.more > 0 {
			e := SecurityEvent{
				At: w.first, Until: w.last, Kind: k.kind, Severity: bounds[k.kind].severity, Key: k.key, From: w.from, Count: w.more, More: true, Detail: w.detail,
			}
			if d.may(&e) {
				out = append(out, e)
			}
		}
		delete(d.keys, k)
	}
	if d.muted > 0 && now.Sub(d.hour) >= time.Hour {
		out = append(out, SecurityEvent{At: d.hour, Until: now, Kind: Flood, Severity: Alert, Count: d.muted, More: true, Detail: "security events that were counted only: there were too many"})
		d.muted = 0
	}
	d.forget(now)
	slices.SortFunc(out, func(a, b SecurityEvent) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key)) })
	return out
}

func (d *Detector) forget(now time.Time) {
	for k, w := range d.keys {
		if w.told.IsZero() && now.Sub(w.last) >= bounds[k.kind].within {
			delete(d.keys, k)
		}
	}
}

// Security is the stream of security events: append-only, on a Log. It is safe
// for concurrent use; Run makes events of what nobody waits for.
type Security struct {
	log     Log
	now     func() time.Time
	signals chan Signal

	mu       sync.Mutex
	detector *Detector
	n        uint64
	listen   map[chan SecurityEvent]bool
	lost     uint64
}

const (
	signalQueue  = 8192
	listenQueue  = 64
	maxListeners = 100
)

// OpenSecurity finds the end of the stream.
func OpenSecurity(ctx context.Context, log Log, now func() time.Time) (*Security, error) {
	if now == nil {
		now = time.Now
	}
	s := &Security{log: log, now: now, signals: make(chan Signal, signalQueue), detector: NewDetector(), listen: map[chan SecurityEvent]bool{}}
	end := log.End()
	err := log.Read(ctx, end-min(end, 1000), func(_ uint64, line []byte) error {
		var e SecurityEvent
		if json.Unmarshal(line, &e) == nil {
			s.n = max(s.n, e.N)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("security events: %w", err)
	}
	s.n = max(s.n, end)
	return s, nil
}

// Signal takes an observation; it never waits. What there is no room for is
// counted and told as a flood.
func (s *Security) Signal(o Signal) {
	if o.At.IsZero() {
		o.At = s.now()
	}
	select {
	case s.signals <- o:
	default:
		s.mu.Lock()
		s.lost++
		s.mu.Unlock()
	}
}

// Take is Signal for a reader that keeps its place: it returns after the events
// are on disk.
func (s *Security) Take(ctx context.Context, list ...Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []SecurityEvent
	for _, o := range list {
		if e, ok := s.detector.Step(o); ok {
			events = append(events, e)
		}
	}
	return s.keep(ctx, events)
}

// keep runs under mu.
func (s *Security) keep(ctx context.Context, events []SecurityEvent) error {
	if len(events) == 0 {
		return nil
	}
	lines := make([][]byte, len(events))
	for i := range events {
		e := &events[i]
		e.N = s.n + uint64(i) + 1
		e.At, e.Until = e.At.UTC().Truncate(time.Millisecond), e.Until.UTC().Truncate(time.Millisecond)
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("security event: %w", err)
		}
		lines[i] = b
	}
	if err := s.log.AppendAll(ctx, lines); err != nil {
		return fmt.Errorf("keep security events: %w", err)
	}
	s.n += uint64(len(events))
	for ch := range s.listen {
		for _, e := range events {
			select {
			case ch <- e:
			default: // it asks again from its last
			}
		}
	}
	return nil
}

// Run makes events of signals until ctx ends, and of those that are left then.
func (s *Security) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var owed []Signal
	take := func(o ...Signal) {
		owed = append(owed, o...)
		w, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWait)
		defer cancel()
		if err := s.Take(w, owed...); err == nil || len(owed) > signalQueue {
			owed = owed[:0]
		}
	}
	for {
		select {
		case o := <-s.signals:
			take(o)
		case <-tick.C:
			s.mu.Lock()
			events := s.detector.Ripe(s.now())
			if s.lost > 0 {
				events = append(events, SecurityEvent{At: s.now(), Until: s.now(), Kind: Flood, Severity: Alert, Count: s.lost, Detail: "signals that there was no room for"})
			}
			if err := s.keep(ctx, events); err == nil {
				s.lost = 0
			}
			s.mu.Unlock()
		case <-ctx.Done():
			for {
				select {
				case o := <-s.signals:
					take(o)
					continue
				default:
				}
				return nil
			}
		}
	}
}

// SecurityQuery is what somebody looks for. Empty fields match all.
type SecurityQuery struct {
	Kind     SignalKind
	Severity Severity
	Key      string
	After    time.Time
	Below    uint64
	Limit    int
}

// Find looks through the stream from its end backwards. below is where the next
// page begins, 0 when there is none.
func (s *Security) Find(ctx context.Context, q SecurityQuery) (list []SecurityEvent, below uint64, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	for end, sought := s.log.End(), 0; end > 0; {
		from := uint64(1)
		if end > window {
			from = end - window + 1
		}
		var page []SecurityEvent
		err := s.log.Read(ctx, from, func(seq uint64, line []byte) error {
			var e SecurityEvent
			if seq > end {
				return errEnough
			}
			sought++
			if err := json.Unmarshal(line, &e); err != nil {
				return nil
			}
			if (q.Kind == "" || e.Kind == q.Kind) && (q.Severity == "" || e.Severity == q.Severity) && (q.Key == "" || e.Key == q.Key) &&
				(q.After.IsZero() || !e.Until.Before(q.After)) && (q.Below == 0 || e.N < q.Below) {
				page = append(page, e)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, 0, fmt.Errorf("search security events: %w", err)
		}
		slices.Reverse(page)
		for _, e := range page {
			if len(list) == limit {
				return list, list[limit-1].N, nil
			}
			list = append(list, e)
		}
		if from == 1 || sought >= maxSought {
			break
		}
		end = from - 1
	}
	return list, 0, nil
}

// Listen gives events as they come. A listener that does not keep up misses
// some, and sees that by their numbers; ok is false when there are too many.
func (s *Security) Listen() (events <-chan SecurityEvent, stop func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listen) >= maxListeners {
		return nil, nil, false
	}
	ch := make(chan SecurityEvent, listenQueue)
	s.listen[ch] = true
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listen, ch)
	}, true
}
