package warning

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/paulmach/orb"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/ops-center/cap12"
)

// Log keeps the acts, in order and for good. Append returns when the record is
// on disk. *journal.Log is one.
type Log interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, each func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Options are what Open needs and may be told.
type Options struct {
	Log      Log
	Identity Identity
	// Lifetime is how long a message is in force that says nothing else; 6 h.
	Lifetime time.Duration
	// Service is where we speak for; the zero value is anywhere.
	Service cap12.Box
	// Zone finds a zone as it is now: its name and its geometry.
	Zone func(z Zone) (name string, g orb.Geometry, ok bool)
	// Calendar is the city's: times are written in it and years begin in it.
	Calendar *time.Location
	Now      func() time.Time
	Errors   *slog.Logger
	Metrics  prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Log == nil || o.Zone == nil || o.Identity.Sender == "" {
		return errors.New("warning: Log, Zone and Identity.Sender are needed")
	}
	if o.Lifetime == 0 {
		o.Lifetime = 6 * time.Hour
	}
	if o.Lifetime < time.Minute || o.Lifetime > maxLifetime {
		return fmt.Errorf("warning: a lifetime of %s: want a minute to %s", o.Lifetime, maxLifetime)
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Errors == nil {
		o.Errors = slog.New(slog.DiscardHandler)
	}
	return nil
}

// The acts as they are in the record. The strings are stored: never rename one.
const (
	actDrafted   = "drafted" // the first draft, or one of an update or a cancellation
	actEdited    = "edited"
	actSubmitted = "submitted"
	actReturned  = "returned"
	actSent      = "sent"
	actDiscarded = "discarded"
	actLapse     = "lapse"
)

// subject is what all records are filed under.
const subject = "warning"

// record is one act.
type record struct {
	N        uint64    `json:"n"`
	Prev     string    `json:"prev,omitempty"`
	At       time.Time `json:"at"`
	Act      string    `json:"act"`
	By       Person    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	ID       string    `json:"id"`
	Exercise bool      `json:"exercise,omitempty"`
	Drill    string    `json:"drill,omitempty"`
	// Draft is the one there is after the act.
	Draft   *Draft   `json:"draft"`
	Message *Message `json:"message,omitempty"`
	XML     string   `json:"xml,omitempty"`
}

// fold is the warning after the act.
func (r *record) fold(w Warning) Warning {
	stamp := Stamp{By: r.By, At: r.At, Reason: r.Reason}
	if w.ID == "" {
		w = Warning{ID: r.ID, Exercise: r.Exercise, Drill: r.Drill, Created: stamp, Messages: []Message{}}
	}
	w.Version++
	w.Changed, w.Draft = r.At, r.Draft
	switch r.Act {
	case actSent:
		w.Messages = append(slices.Clip(w.Messages), *r.Message)
		w.Lapse = nil
	case actDiscarded:
		if len(w.Messages) == 0 {
			w.Discarded = &stamp
		}
	case actLapse:
		w.Lapse = &stamp
	}
	return w
}

// sent is a message as it went out.
type sent struct {
	warning  string
	exercise bool
	message  Message
	xml      []byte
}

// Chain is all warnings there are. Acts are one after the other; what is read is
// what the log has, without waiting for a write. It starts no goroutine.
type Chain struct {
	opt    Options
	acts   *prometheus.CounterVec
	breaks prometheus.Counter

	acting sync.Mutex // one act at a time, to the disk and into memory
	unsure bool       // an append failed, and may have been done all the same
	seq    uint64     // of the log, as far as it was seen
	n      uint64
	prev   string

	mu       sync.RWMutex
	byID     map[string]Warning
	order    []string // oldest first
	records  []record // without the messages' bytes
	messages map[string]*sent
	watchers []func(Event)
}

// Open reads what the log says.
func Open(ctx context.Context, o Options) (*Chain, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Chain{
		opt: o, byID: map[string]Warning{}, messages: map[string]*sent{},
		acts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vonglau_warning_acts_total", Help: "Acts on public warnings, by act."}, []string{"act"}),
		breaks: prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_warning_chain_breaks_total", Help: "Records of the log of warnings that do not follow the one before."}),
	}
	if o.Metrics != nil {
		for _, m := range []prometheus.Collector{c.acts, c.breaks} {
			if err := o.Metrics.Register(m); err != nil {
				return nil, fmt.Errorf("warning: register metrics: %w", err)
			}
		}
	}
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// catchUp folds what the log has and was not seen.
func (c *Chain) catchUp(ctx context.Context) error {
	err := c.opt.Log.Read(ctx, c.seq+1, func(seq uint64, _ time.Time, of string, data []byte) error {
		c.seq = seq
		if of != subject {
			return nil
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			c.breaks.Inc()
			c.opt.Errors.Error("a record of the log of warnings cannot be read and was left out", "sequence", seq, "error", err)
			return nil
		}
		if r.N != c.n+1 || r.Prev != c.prev {
			c.breaks.Inc()
			c.opt.Errors.Error("a record of the log of warnings does not follow the one before it", "sequence", seq, "number", r.N, "warning", r.ID)
		}
		c.n, c.prev = r.N, digest(data)
		c.take(&r, seq)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the log of warnings: %w", err)
	}
	c.unsure = false
	return nil
}

func digest(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// take folds a record that is in the log and tells those who want to know.
func (c *Chain) take(r *record, seq uint64) {
	c.acts.WithLabelValues(r.Act).Inc()
	c.mu.Lock()
	w, known := c.byID[r.ID]
	if !known {
		c.order = append(c.order, r.ID)
	}
	w = r.fold(w)
	c.byID[r.ID] = w
	if r.Act == actSent {
		c.messages[r.Message.Identifier] = &sent{r.ID, w.Exercise, *r.Message, []byte(r.XML)}
	}
	kept := *r
	kept.XML = ""
	c.records = append(c.records, kept)
	watchers := c.watchers
	c.mu.Unlock()
	if e, ok := event(r, seq); ok {
		for _, f := range watchers {
			f(e)
		}
	}
}

// record writes an act down and folds it.
func (c *Chain) record(ctx context.Context, r record) (Warning, error) {
	r.N, r.Prev = c.n+1, c.prev
	data, err := json.Marshal(&r)
	if err != nil {
		return Warning{}, fmt.Errorf("encoding an act on warning %s: %w", r.ID, err)
	}
	seq, err := c.opt.Log.Append(ctx, subject, data)
	if err != nil {
		c.unsure = true
		return Warning{}, fmt.Errorf("writing %s of warning %s to the log: %w", r.Act, r.ID, err)
	}
	c.seq, c.n, c.prev = seq, r.N, digest(data)
	c.take(&r, seq)
	return c.Get(r.ID)
}

// begin takes the turn to act; the caller gives it back by unlocking acting.
func (c *Chain) begin(ctx context.Context) error {
	c.acting.Lock()
	if c.unsure {
		if err := c.catchUp(ctx); err != nil {
			c.acting.Unlock()
			return err
		}
	}
	return nil
}

// now is the time acts are written down by.
func (c *Chain) now() time.Time { return c.opt.Now().In(c.opt.Calendar).Truncate(time.Millisecond) }

// Draft begins a warning. A drill's is an exercise whatever else is said.
func (c *Chain) Draft(ctx context.Context, by Person, s Seed, exercise bool, drill string) (Warning, error) {
	if s.Expires.IsZero() {
		s.Expires = c.now().Add(c.opt.Lifetime).Truncate(time.Minute)
	}
	return c.DraftContent(ctx, by, Begin(s), exercise, drill)
}

// DraftContent begins a warning with what somebody has written already.
func (c *Chain) DraftContent(ctx context.Context, by Person, content Content, exercise bool, drill string) (Warning, error) {
	d, err := c.draft("Alert", content, []Person{by})
	if err != nil {
		return Warning{}, err
	}
	if err := c.begin(ctx); err != nil {
		return Warning{}, err
	}
	defer c.acting.Unlock()
	now := c.now()
	return c.record(ctx, record{Act: actDrafted, At: now, By: by, ID: c.nextID(now), Exercise: exercise || drill != "", Drill: drill, Draft: d})
}

// nextID numbers the warnings of a year.
func (c *Chain) nextID(now time.Time) string {
	prefix := now.Format("2006-")
	n := 1
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, id := range c.order {
		if strings.HasPrefix(id, prefix) {
			n++
		}
	}
	return fmt.Sprintf("%s%04d", prefix, n)
}

// draft makes a draft with its area.
func (c *Chain) draft(msgType string, content Content, authors []Person) (*Draft, error) {
	if err := content.validate(); err != nil {
		return nil, err
	}
	// A list is a list in JSON, also when it is empty.
	for _, list := range []*[]string{&content.Categories, &content.ResponseTypes, &content.Alarms} {
		if *list == nil {
			*list = []string{}
		}
	}
	if content.Zones == nil {
		content.Zones = []Zone{}
	}
	if content.Polygons == nil {
		content.Polygons = [][]cap12.Point{}
	}
	d := &Draft{MsgType: msgType, Content: content, Area: [][]cap12.Point{}, Authors: authors}
	for _, z := range content.Zones {
		_, g, ok := c.opt.Zone(z)
		if !ok {
			return nil, fmt.Errorf("%w: there is no zone %.60q in layer %.60q", ErrContent, z.Code, z.Layer)
		}
		parts, err := outline(g)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Code, err)
		}
		d.Area = append(d.Area, parts...)
	}
	d.Area = append(d.Area, content.Polygons...)
	total := 0
	for _, p := range d.Area {
		total += len(p)
	}
	if total > cap12.MaxPoints {
		return nil, fmt.Errorf("%w: the area has %d points, at most %d; choose larger zones", ErrContent, total, cap12.MaxPoints)
	}
	return d, nil
}

// change lets one act through: on the version it was decided on, with the turn.
func (c *Chain) change(ctx context.Context, id string, version int, act func(w Warning, now time.Time) (record, error)) (Warning, error) {
	if err := c.begin(ctx); err != nil {
		return Warning{}, err
	}
	defer c.acting.Unlock()
	w, err := c.Get(id)
	if err != nil {
		return w, err
	}
	if version != w.Version {
		return w, &Conflict{w}
	}
	now := c.now()
	r, err := act(w, now)
	if err != nil {
		return w, err
	}
	r.ID, r.At, r.Exercise, r.Drill = w.ID, now, w.Exercise, w.Drill
	return c.record(ctx, r)
}

// Edit replaces what a draft says. One that waits for approval comes back by it:
// nobody approves what he has not seen.
func (c *Chain) Edit(ctx context.Context, id string, version int, by Person, content Content) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, _ time.Time) (record, error) {
		if w.Draft == nil {
			return record{}, fmt.Errorf("%w: it has no draft", ErrState)
		}
		d, err := c.draft(w.Draft.MsgType, content, authors(w.Draft, by))
		if err != nil {
			return record{}, err
		}
		d.Returned = w.Draft.Returned
		return record{Act: actEdited, By: by, Draft: d}, nil
	})
}

func authors(d *Draft, by Person) []Person {
	if d.wrote(by.ID) {
		return d.Authors
	}
	return append(slices.Clip(d.Authors), by)
}

// Submit asks for approval. What is against the rules is told now.
func (c *Chain) Submit(ctx context.Context, id string, version int, by Person) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, now time.Time) (record, error) {
		if w.Draft == nil || w.Draft.Submitted != nil {
			return record{}, fmt.Errorf("%w: there is no draft to submit", ErrState)
		}
		if problems := c.problems(&w, now); cap12.Bad(problems) {
			return record{}, &Unfit{problems}
		}
		d := *w.Draft
		d.Authors, d.Submitted, d.Returned = authors(&d, by), &Stamp{By: by, At: now}, nil
		return record{Act: actSubmitted, By: by, Draft: &d}, nil
	})
}

// Return gives a submitted draft back to those who wrote it.
func (c *Chain) Return(ctx context.Context, id string, version int, by Person, reason string) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, now time.Time) (record, error) {
		if w.Draft == nil || w.Draft.Submitted == nil {
			return record{}, fmt.Errorf("%w: nothing waits for approval", ErrState)
		}
		d := *w.Draft
		d.Submitted, d.Returned = nil, &Stamp{By: by, At: now, Reason: reason}
		return record{Act: actReturned, By: by, Reason: reason, Draft: &d}, nil
	})
}

// Approve sends a submitted draft. confirm is the warning's number, typed by
// whoever approves.
func (c *Chain) Approve(ctx context.Context, id string, version int, by Person, confirm string) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, now time.Time) (record, error) {
		switch {
		case w.Draft == nil || w.Draft.Submitted == nil:
			return record{}, fmt.Errorf("%w: nothing waits for approval", ErrState)
		case by.ID == "" || w.Draft.wrote(by.ID):
			return record{}, ErrSamePerson
		case confirm != w.ID:
			return record{}, ErrConfirm
		}
		a, problems := c.compose(&w, now)
		if cap12.Bad(problems) {
			return record{}, &Unfit{problems}
		}
		raw, err := cap12.Encode(a)
		if err != nil {
			return record{}, fmt.Errorf("%w: %w", ErrContent, err)
		}
		return record{Act: actSent, By: by, XML: string(raw), Message: &Message{
			Identifier: a.Identifier, MsgType: a.MsgType, Sent: a.Sent, Expires: a.Expires(), References: a.References,
			Content: w.Draft.Content, Area: w.Draft.Area, Authors: w.Draft.Authors, ApprovedBy: by, Digest: digest(raw),
		}}, nil
	})
}

// Update begins the draft of an update: what was said last, to be changed.
func (c *Chain) Update(ctx context.Context, id string, version int, by Person) (Warning, error) {
	return c.follow(ctx, id, version, by, "Update", func(content *Content, now time.Time) {
		if least := now.Add(c.opt.Lifetime).Truncate(time.Minute); content.Expires.Before(least) {
			content.Expires = least
		}
	})
}

// Cancel begins the draft of a cancellation, with its reason in both languages.
func (c *Chain) Cancel(ctx context.Context, id string, version int, by Person, reason Text) (Warning, error) {
	return c.follow(ctx, id, version, by, "Cancel", func(content *Content, _ time.Time) {
		content.Urgency, content.ResponseTypes = "Past", []string{"AllClear"}
		content.Headline = Text{"Hủy: " + content.Headline.VI, "Cancelled: " + content.Headline.EN}
		content.Description, content.Instruction, content.Onset = reason, Text{}, nil
	})
}

func (c *Chain) follow(ctx context.Context, id string, version int, by Person, msgType string, change func(*Content, time.Time)) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, now time.Time) (record, error) {
		if w.Draft != nil {
			return record{}, fmt.Errorf("%w: it has a draft already", ErrState)
		}
		if w.State(now) != InForce {
			return record{}, fmt.Errorf("%w: it is not in force; begin a new warning", ErrState)
		}
		content := w.last().Content
		change(&content, now)
		d, err := c.draft(msgType, content, []Person{by})
		if err != nil {
			return record{}, err
		}
		return record{Act: actDrafted, By: by, Draft: d}, nil
	})
}

// Discard drops a draft. What was sent stays sent.
func (c *Chain) Discard(ctx context.Context, id string, version int, by Person, reason string) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, _ time.Time) (record, error) {
		if w.Draft == nil {
			return record{}, fmt.Errorf("%w: it has no draft", ErrState)
		}
		return record{Act: actDiscarded, By: by, Reason: reason}, nil
	})
}

// Lapse is the decision to let a message expire.
func (c *Chain) Lapse(ctx context.Context, id string, version int, by Person, reason string) (Warning, error) {
	return c.change(ctx, id, version, func(w Warning, now time.Time) (record, error) {
		if w.State(now) != InForce {
			return record{}, fmt.Errorf("%w: it is not in force", ErrState)
		}
		return record{Act: actLapse, By: by, Reason: reason, Draft: w.Draft}, nil
	})
}

// compose makes the message that approving the draft now would send, and what is
// wrong with it.
func (c *Chain) compose(w *Warning, now time.Time) (*cap12.Alert, []cap12.Problem) {
	identifier := fmt.Sprintf("vonglau-%s-%d-%s", w.ID, len(w.Messages)+1, strings.ToLower(rand.Text()[:8]))
	a := Compose(c.opt.Identity, w, w.Draft, identifier, now.Truncate(time.Second))
	problems := cap12.Check(a, cap12.Context{
		Now: now, Service: c.opt.Service, Ours: true, Replaces: w.open(c.opt.Identity.Sender, now),
		Known: func(r cap12.Reference) (time.Time, bool) {
			m, ok := c.find(r.Identifier)
			if !ok || r.Sender != c.opt.Identity.Sender {
				return time.Time{}, false
			}
			return m.message.Sent, true
		},
		Used: func(_, id string) bool { _, ok := c.find(id); return ok },
	})
	if limit := now.Add(maxLifetime); w.Draft.Content.Expires.After(limit) {
		problems = append(problems, cap12.Problem{Level: cap12.Error, Rule: "times", Path: "info[1].expires", Detail: "a message is in force for " + maxLifetime.String() + " at most"})
	}
	return a, problems
}

func (c *Chain) problems(w *Warning, now time.Time) []cap12.Problem {
	_, problems := c.compose(w, now)
	return problems
}

// Preview is the message a draft would be if it were sent now, as its bytes, and
// what is wrong with it. Its identifier is another when it is sent.
func (c *Chain) Preview(id string) (*cap12.Alert, []byte, []cap12.Problem, error) {
	w, err := c.Get(id)
	if err != nil {
		return nil, nil, nil, err
	}
	if w.Draft == nil {
		return nil, nil, nil, fmt.Errorf("%w: it has no draft", ErrState)
	}
	a, problems := c.compose(&w, c.now())
	raw, err := cap12.Encode(a)
	if err != nil {
		problems = append(problems, cap12.Problem{Level: cap12.Error, Rule: "character", Detail: err.Error()})
		raw = nil
	}
	return a, raw, problems, nil
}

// Get is a warning as it stands.
func (c *Chain) Get(id string) (Warning, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if w, ok := c.byID[id]; ok {
		return w, nil
	}
	return Warning{}, fmt.Errorf("%w: %.64q", ErrNone, id)
}

// List gives all warnings, the newest first.
func (c *Chain) List() []Warning {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]Warning, 0, len(c.order))
	for _, id := range slices.Backward(c.order) {
		list = append(list, c.byID[id])
	}
	return list
}

// At gives the warnings as they stood at a time.
func (c *Chain) At(at time.Time) []Warning {
	c.mu.RLock()
	defer c.mu.RUnlock()
	byID := map[string]Warning{}
	for i := range c.records {
		if r := &c.records[i]; !r.At.After(at) {
			byID[r.ID] = r.fold(byID[r.ID])
		}
	}
	list := make([]Warning, 0, len(byID))
	for _, w := range byID {
		list = append(list, w)
	}
	slices.SortFunc(list, newestFirst)
	return list
}

// Expiring are the warnings in force whose newest message ends within a span and
// about which nobody has decided anything: neither a message that goes further
// nor that it may lapse. A draft is no decision.
func (c *Chain) Expiring(within time.Duration) []Warning {
	now := c.now()
	var list []Warning
	for _, w := range c.List() {
		if w.State(now) == InForce && w.Lapse == nil && !w.last().Expires.After(now.Add(within)) {
			list = append(list, w)
		}
	}
	slices.SortStableFunc(list, func(a, b Warning) int { return a.last().Expires.Compare(b.last().Expires) })
	return list
}

func (c *Chain) find(identifier string) (*sent, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	m, ok := c.messages[identifier]
	return m, ok
}

// Sent is a message as it went out, byte for byte.
func (c *Chain) Sent(identifier string) (raw []byte, m Message, exercise, ok bool) {
	s, ok := c.find(identifier)
	if !ok {
		return nil, Message{}, false, false
	}
	return s.xml, s.message, s.exercise, true
}

// Event tells of a message that was sent.
type Event struct {
	// Seq is the record's in the log: where Read goes on from is Seq + 1.
	Seq      uint64
	Warning  string
	Exercise bool
	Drill    string
	Message  Message
	// XML is the message as it went out.
	XML []byte
}

func event(r *record, seq uint64) (Event, bool) {
	if r.Act != actSent || r.Message == nil {
		return Event{}, false
	}
	return Event{Seq: seq, Warning: r.ID, Exercise: r.Exercise, Drill: r.Drill, Message: *r.Message, XML: []byte(r.XML)}, true
}

// OnSent calls f with each message after it is on disk. f must not block, nor
// act on warnings. Whoever must not miss one reads the log with Read.
func (c *Chain) OnSent(f func(Event)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = append(c.watchers, f)
}

// Read gives the messages sent since a sequence of the log, oldest first, and
// returns the sequence to go on from.
func (c *Chain) Read(ctx context.Context, from uint64, each func(Event) error) (next uint64, err error) {
	next = max(from, 1)
	err = c.opt.Log.Read(ctx, next, func(seq uint64, _ time.Time, of string, data []byte) error {
		var r record
		if of != subject || json.Unmarshal(data, &r) != nil { // catchUp told of it
			next = seq + 1
			return nil
		}
		if e, ok := event(&r, seq); ok {
			if err := each(e); err != nil {
				return err
			}
		}
		next = seq + 1
		return nil
	})
	return next, err
}
