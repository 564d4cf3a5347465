package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Life is what people and the clock made of an alarm, beside its state. It is
// part of the alarm's JSON and of every record of the log.
type Life struct {
	// Category is that of the rule, in the terms of CAP 1.2.
	Category string `json:"category,omitempty"`
	// Exercise names the drill of the device. Such an alarm counts in no figure.
	Exercise string `json:"exercise,omitempty"`
	// Group is shared by the alarms that one cause, or one rule in one ward,
	// explains; see GroupKey.
	Group string `json:"group,omitempty"`
	// Chattering says that the condition came and went too fast to be worked on
	// when the alarm was last raised; see chatter.
	Chattering bool `json:"chattering,omitempty"`
	// ShownSince is when the alarm last came into sight, where that was not when it
	// was raised: it had been hidden, or its condition was over.
	ShownSince *time.Time `json:"shownSince,omitempty"`
	// Shelved, Suppression and Service say why and until when the alarm is in
	// the state of that name, and are absent in any other.
	Shelved     *Shelf       `json:"shelved,omitempty"`
	Suppression *Suppression `json:"suppressed,omitempty"`
	Service     *Remark      `json:"outOfService,omitempty"`
	Claimed     *Claim       `json:"claimed,omitempty"`
	Assigned    *Assignment  `json:"assigned,omitempty"`
	// False is set when somebody found that there was nothing.
	False    *Remark  `json:"falseAlarm,omitempty"`
	Comments []Remark `json:"comments,omitempty"` // the newest, see maxComments
	// Last is the newest act of a person.
	Last *Touch `json:"last,omitempty"`
}

// Remark is what somebody said, and when.
type Remark struct {
	By   string    `json:"by" personal:"name"`
	At   time.Time `json:"at"`
	Text string    `json:"text" personal:"text"`
}

// Shelf is why an alarm was put aside, and until when.
type Shelf struct {
	By     string    `json:"by" personal:"name"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// Claim is who works on an alarm. While it lasts nobody else acknowledges,
// shelves or assigns it, but for those who lead the shift.
type Claim struct {
	By    string    `json:"by" personal:"name"`
	ByID  string    `json:"byId,omitempty" personal:"account"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Assignment gives an alarm to a department or a person of it.
type Assignment struct {
	Department string     `json:"department"`
	Person     string     `json:"person,omitempty" personal:"name"`
	Due        *time.Time `json:"due,omitempty"`
	By         string     `json:"by" personal:"name"`
	At         time.Time  `json:"at"`
	Note       string     `json:"note,omitempty" personal:"text"`
	// Answer is "accepted" or "returned" once they said; AnsweredBy who did.
	Answer     string     `json:"answer,omitempty"`
	AnsweredBy string     `json:"answeredBy,omitempty" personal:"name"`
	AnsweredAt *time.Time `json:"answeredAt,omitempty"`
	Reason     string     `json:"reason,omitempty" personal:"text"` // of a return
}

// Touch is one act of a person, in short.
type Touch struct {
	Event Event     `json:"event"`
	By    string    `json:"by" personal:"name"`
	At    time.Time `json:"at"`
}

// enter drops what belongs to a state that was left.
func (l *Life) enter(s State) {
	if s != Shelved {
		l.Shelved = nil
	}
	if s != Suppressed {
		l.Suppression = nil
	}
	if s != OutOfService {
		l.Service = nil
	}
	if s == Normal {
		l.Claimed = nil
	}
}

// Bounds of what people write. Comments beyond the newest are in the log only:
// an alarm is sent to every wall at each change.
const (
	maxComments = 20
	maxText     = 2000
)

// clockActor is the actor of what happens because a time is over. It is not the
// rules: what they do is judged again after a restart, this is not.
var clockActor = Actor{Name: "clock", Role: "machine"}

// Act is what a person does to an alarm. Note is the reason, the comment or what
// was seen.
type Act struct {
	Event Event
	Note  string
	// For is how long an alarm is shelved.
	For time.Duration
	// Department, Person and Due are of an assignment.
	Department, Person string
	Due                time.Time
	// False says, with an acknowledgement, that there was nothing.
	False bool
	// Changes, when not 0, is the alarm's count of changes that the person saw:
	// the act is refused when something happened since.
	Changes int
}

// BadAct is the error of an act that can never be done as it is. Code is for
// programs, Field the part of the act that is wrong.
type BadAct struct {
	Code, Field, Detail string
	// Forbidden says that somebody else might.
	Forbidden bool
}

func (b *BadAct) Error() string { return b.Detail }

// Limits bound what people may do to alarms.
type Limits struct {
	// MaxShelve is the longest an alarm may be put aside, by priority.
	MaxShelve map[int]time.Duration
	// NotePriority is the lowest priority that is not acknowledged without a
	// note; 0 for none.
	NotePriority int
	// Claim is how long a claim lasts unless it is renewed.
	Claim time.Duration
}

// DefaultLimits are those of an operations center that has not chosen its own.
func DefaultLimits() Limits {
	return Limits{
		MaxShelve:    map[int]time.Duration{1: 30 * time.Minute, 2: 2 * time.Hour, 3: 8 * time.Hour, 4: 24 * time.Hour},
		NotePriority: 1,
		Claim:        2 * time.Minute,
	}
}

func (l *Limits) validate() error {
	if l.MaxShelve == nil && l.NotePriority == 0 && l.Claim == 0 {
		*l = DefaultLimits()
	}
	if l.Claim <= 0 || l.Claim > time.Hour {
		return fmt.Errorf("alert: a claim of %v: use more than 0 and at most 1h", l.Claim)
	}
	if l.NotePriority < 0 || l.NotePriority > 4 {
		return fmt.Errorf("alert: notes from priority %d: use 0 (none) to 4", l.NotePriority)
	}
	for p := 1; p <= 4; p++ {
		if d := l.MaxShelve[p]; d < 0 || d > 7*24*time.Hour {
			return fmt.Errorf("alert: shelving priority %d for %v: use 0 (never) to a week", p, d)
		}
	}
	return nil
}

// Limits are those in force.
func (s *Alarms) Limits() Limits { return s.opt.Limits }

// Act does something to an alarm on a person's behalf. It is in the log when Act
// returns. The second of two gets a *Conflict that shows what the first did; an
// act that is done already by the same person changes nothing. Comments and
// false alarms may be noted after an alarm is closed.
func (s *Alarms) Act(ctx context.Context, id string, who Actor, act Act) (Alarm, error) {
	act.Note = strings.TrimSpace(act.Note)
	if !act.Event.ofPeople() {
		return Alarm{}, &BadAct{Code: "unknown_act", Field: "act", Detail: fmt.Sprintf("%.40q is nothing a person does to an alarm", string(act.Event))}
	}
	if len(act.Note) > 4*maxText {
		return Alarm{}, &BadAct{Code: "too_long", Field: "note", Detail: fmt.Sprintf("the text has %d bytes, %d are the most", len(act.Note), 4*maxText)}
	}
	if err := s.recallClosed(ctx, id, act.Event); err != nil {
		return Alarm{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return Alarm{}, err
	}
	now := s.opt.Now().UTC().Truncate(time.Millisecond)
	k, ok := s.engine.byID[id]
	if !ok {
		return s.actOnClosed(ctx, id, who, act, now)
	}
	a := *s.engine.alarms[k]
	done, err := s.allowed(&a, who, &act, now)
	if done || err != nil {
		return a, err
	}
	t := s.engine.draft(k, act.Event, now, who, act.Note, func(a *Alarm) { s.apply(a, who, &act, now) })
	if t == nil {
		return a, &Conflict{Event: act.Event, Alarm: a}
	}
	return s.record(ctx, t)
}

// record puts a person's act into the log and then into effect: unlike what the
// rules find, an act that failed did not happen.
func (s *Alarms) record(ctx context.Context, t *Transition) (Alarm, error) {
	data, err := s.encode(t)
	if err != nil {
		return Alarm{}, err
	}
	if err := s.append(ctx, t, data); err != nil {
		return Alarm{}, err
	}
	s.fold(t)
	// Composites follow at once. What of that cannot be written now waits in the
	// outbox, and the act is done all the same.
	for _, id := range s.engine.index.parts[t.Alarm.Rule] {
		if k := (key{rule: id}); s.engine.pending[k] != nil {
			s.engine.judge(k, s.engine.pending[k])
		}
	}
	s.coverAgain(t)
	_ = s.flush(ctx)
	return t.Alarm, nil
}

// coverAgain looks at what an alarm makes expected, when somebody took it out of
// service or put it back: what it hid shows with the act, and not at the next tick.
func (s *Alarms) coverAgain(t *Transition) {
	r := s.engine.rules[t.Alarm.Rule]
	if (t.From == OutOfService) == (t.To == OutOfService) || r == nil || r.Disabled || r.Inhibits == nil {
		return
	}
	var keys []key
	for _, rule := range r.Inhibits.Rules {
		for id := range s.engine.byRule[rule] {
			keys = append(keys, key{rule, id})
		}
	}
	s.review(keys, t.At)
}

// Acknowledge records that who has seen the alarm.
func (s *Alarms) Acknowledge(ctx context.Context, id string, who Actor, note string) (Alarm, error) {
	return s.Act(ctx, id, who, Act{Event: Ack, Note: note})
}

// same tells whether two acts are of one person. Names are shown and may be
// shared; ids are not.
func same(id, name string, who Actor) bool {
	if id != "" || who.ID != "" {
		return id == who.ID
	}
	return name == who.Name
}

// leads tells who may act in spite of a claim.
func (a Actor) leads() bool { return a.Role == "shift_leader" || a.Role == "admin" }

// allowed refuses an act that cannot be, and tells when it is done already.
func (s *Alarms) allowed(a *Alarm, who Actor, act *Act, now time.Time) (done bool, err error) {
	lim := s.opt.Limits
	conflict := &Conflict{Event: act.Event, Alarm: *a}
	switch act.Event {
	case Ack:
		if a.State == Acknowledged && a.Acknowledged != nil && same(a.Acknowledged.ByID, a.Acknowledged.By, who) {
			return true, nil
		}
	case LetGo:
		if a.Claimed == nil {
			return true, nil
		}
	}
	if act.Changes > 0 && act.Changes != a.Changes {
		return false, conflict
	}
	if c := a.Claimed; c != nil && now.Before(c.Until) && !same(c.ByID, c.By, who) && !who.leads() {
		switch act.Event {
		case Say, Accept, Decline:
		default:
			return false, conflict
		}
	}
	missing := func(what string) error {
		return &BadAct{Code: "reason_missing", Field: "note", Detail: what}
	}
	switch act.Event {
	case Ack:
		if a.Priority <= lim.NotePriority && act.Note == "" && a.State.Shown() && a.State != Acknowledged {
			return false, &BadAct{Code: "note_missing", Field: "note", Detail: fmt.Sprintf("an alarm of priority %d is acknowledged with a note that says what was seen", a.Priority)}
		}
	case Say:
		if act.Note == "" {
			return false, missing("an empty comment says nothing")
		}
	case MarkFalse:
		if act.Note == "" {
			return false, missing("say how it shows that the alarm was false")
		}
		if a.False != nil {
			return false, conflict
		}
	case Remove:
		if act.Note == "" {
			return false, missing("say why the alarm is taken out of service")
		}
	case Shelve:
		most := lim.MaxShelve[a.Priority]
		switch {
		case act.Note == "":
			return false, missing("say why the alarm is put aside")
		case most == 0:
			return false, &BadAct{Code: "never_shelved", Field: "for", Detail: fmt.Sprintf("alarms of priority %d are not shelved here", a.Priority)}
		case act.For <= 0 || act.For > most:
			return false, &BadAct{Code: "shelf_too_long", Field: "for", Detail: fmt.Sprintf("shelving for %v: an alarm of priority %d can be put aside for more than 0 and at most %v", act.For, a.Priority, most)}
		}
	case Assign:
		if act.Department == "" {
			return false, &BadAct{Code: "department_missing", Field: "department", Detail: "name the department that is to act"}
		}
		if !act.Due.IsZero() && act.Due.Before(now) {
			return false, &BadAct{Code: "due_past", Field: "due", Detail: "the time it is due is over"}
		}
	case Accept, Decline:
		switch {
		case a.Assigned == nil || a.Assigned.Answer == "returned":
			return false, conflict
		case who.Role == "officer" && !strings.EqualFold(who.Department, a.Assigned.Department):
			return false, &BadAct{Code: "not_yours", Detail: "the alarm is assigned to " + a.Assigned.Department, Forbidden: true}
		case act.Event == Accept && a.Assigned.Answer == "accepted":
			if a.Assigned.AnsweredBy == who.Name {
				return true, nil
			}
			return false, conflict
		case act.Event == Decline && act.Note == "":
			return false, missing("say why the alarm is returned")
		}
	}
	return false, nil
}

// apply writes an act down on the alarm. What the alarm points to is shared with
// those who read it, so that it is replaced and never changed.
func (s *Alarms) apply(a *Alarm, who Actor, act *Act, now time.Time) {
	a.Last = &Touch{act.Event, who.Name, now}
	switch act.Event {
	case Ack:
		a.Acknowledged = &Acknowledgement{By: who.Name, ByID: who.ID, At: now, Note: act.Note}
		if act.False {
			a.False = &Remark{who.Name, now, act.Note}
		}
	case Hold:
		a.Claimed = &Claim{who.Name, who.ID, now, now.Add(s.opt.Limits.Claim)}
	case LetGo:
		a.Claimed = nil
	case Say:
		list := slices.Clone(a.Comments)
		if len(list) >= maxComments {
			list = list[len(list)-maxComments+1:]
		}
		a.Comments = append(list, Remark{who.Name, now, act.Note})
	case Assign:
		a.Assigned = &Assignment{Department: act.Department, Person: act.Person, By: who.Name, At: now, Note: act.Note}
		if !act.Due.IsZero() {
			due := act.Due.UTC()
			a.Assigned.Due = &due
		}
	case Accept, Decline:
		given := *a.Assigned
		given.Answer, given.AnsweredBy, given.AnsweredAt, given.Reason = "accepted", who.Name, &now, act.Note
		if act.Event == Decline {
			given.Answer = "returned"
		}
		a.Assigned = &given
	case MarkFalse:
		a.False = &Remark{who.Name, now, act.Note}
	case Shelve:
		a.Shelved = &Shelf{who.Name, now, now.Add(act.For), act.Note}
	case Remove:
		a.Service = &Remark{who.Name, now, act.Note}
	}
}

// recallClosed reads an alarm that is over for an act that may come late, before
// the lock is taken: it is in the log only when it closed long ago.
func (s *Alarms) recallClosed(ctx context.Context, id string, event Event) error {
	if event != Say && event != MarkFalse {
		return nil
	}
	s.mu.Lock()
	_, open := s.engine.byID[id]
	_, known := s.closed.get(id)
	s.mu.Unlock()
	if open || known {
		return nil
	}
	story, err := s.Story(ctx, id)
	if err != nil || len(story) == 0 || story[len(story)-1].To != Normal {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.closed.get(id); !known {
		s.closed.put(story[len(story)-1].Alarm)
	}
	return nil
}

// actOnClosed notes something about an alarm that is over. The lock is held.
func (s *Alarms) actOnClosed(ctx context.Context, id string, who Actor, act Act, now time.Time) (Alarm, error) {
	gone := fmt.Errorf("%s of %.120q: %w", act.Event, id, ErrNoAlarm)
	if act.Event != Say && act.Event != MarkFalse {
		return Alarm{}, gone
	}
	a, ok := s.closed.get(id)
	if !ok {
		return Alarm{}, gone
	}
	done, err := s.allowed(&a, who, &act, now)
	if done || err != nil {
		return a, err
	}
	s.apply(&a, who, &act, now)
	a.Changes++
	return s.record(ctx, &Transition{Event: act.Event, From: Normal, To: Normal, At: now, Who: who, Why: act.Note, Alarm: a})
}

// closedAlarms remembers the alarms that closed last, for notes that come after.
type closedAlarms struct {
	byID  map[string]Alarm
	order []string
}

// maxClosed bounds what is remembered: a false alarm is found out in the same
// shift or by a report, not months later.
const maxClosed = 2000

func (c *closedAlarms) put(a Alarm) {
	if c.byID == nil {
		c.byID = map[string]Alarm{}
	}
	if _, known := c.byID[a.ID]; !known {
		c.order = append(c.order, a.ID)
	}
	c.byID[a.ID] = a
	if len(c.order) > maxClosed {
		delete(c.byID, c.order[0])
		c.order = slices.Delete(c.order, 0, 1)
	}
}

func (c *closedAlarms) get(id string) (Alarm, bool) {
	a, ok := c.byID[id]
	return a, ok
}

// expire lets go what has had its time: shelves, claims, suppression whose reason
// is over. It also suppresses what a plan or an inhibiting alarm came to cover.
func (s *Alarms) expire(now time.Time) {
	keys := make([]key, 0, len(s.engine.alarms))
	for k := range s.engine.alarms {
		keys = append(keys, k)
	}
	s.review(keys, now.UTC().Truncate(time.Millisecond))
}

// review does what is due to some of the open alarms.
func (s *Alarms) review(keys []key, now time.Time) {
	var due []key
	for _, k := range keys {
		if s.overdue(s.engine.alarms[k], now) {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, compareKeys)
	for _, k := range due {
		a := s.engine.alarms[k]
		if a.Claimed != nil && !now.Before(a.Claimed.Until) {
			s.engine.move(k, LetGo, now, clockActor, "the claim was not renewed", func(a *Alarm) { a.Claimed = nil })
			a = s.engine.alarms[k]
		}
		switch {
		case a.State == Shelved && (a.Shelved == nil || !now.Before(a.Shelved.Until)):
			s.engine.move(k, Unshelve, now, clockActor, "the time is over", func(*Alarm) {})
		case a.State == Suppressed && a.Suppression != nil:
			if why := s.released(a, now); why != "" {
				s.engine.move(k, Unsuppress, now, clockActor, why, func(*Alarm) {})
			} else if cover := s.covered(a, now); s.moved(a, cover) {
				s.engine.move(k, Suppress, now, clockActor, cover.Reason, func(a *Alarm) { a.Suppression = cover })
			}
		case a.State.Shown():
			if cover := s.covered(a, now); cover != nil {
				s.engine.move(k, Suppress, now, clockActor, cover.Reason, func(a *Alarm) { a.Suppression = cover })
			}
		}
	}
}

// moved reports whether a suppressed alarm has another cover by now, or its cover
// is of another group.
func (s *Alarms) moved(a *Alarm, cover *Suppression) bool {
	return cover != nil && (!cover.same(a.Suppression) || a.Group != s.engine.group(a))
}

func (s *Alarms) overdue(a *Alarm, now time.Time) bool {
	switch {
	case a.Claimed != nil && !now.Before(a.Claimed.Until):
		return true
	case a.State == Shelved:
		return a.Shelved == nil || !now.Before(a.Shelved.Until)
	case a.State == Suppressed:
		return a.Suppression != nil && (s.released(a, now) != "" || s.moved(a, s.covered(a, now)))
	default:
		return a.State.Shown() && s.covered(a, now) != nil
	}
}

var errStop = errors.New("enough was read")
