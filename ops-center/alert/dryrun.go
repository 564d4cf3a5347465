package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// Trial is a dry run: rules judged over readings of the past, by the engine that
// judges those of now. Nothing of it is kept or shown to anybody else.
type Trial struct {
	Source   []byte
	From, To time.Time
	// Feed gives the readings of devices of [from, to) in the order of time, in
	// as many messages as it likes, and stops when told. It is asked for the
	// quantities that the rules need and for no others.
	Feed func(ctx context.Context, devices []*devices.Device, quantities []devices.Quantity, from, to time.Time, each func(*devices.Message) error) error
	// Only is the rule that is tried, when the others of the file are there for it
	// to refer to: it judges though it may be disabled, and its alarms alone are told.
	Only string
	// Progress, when given, is told from time to time how far it is, 0 to 1.
	Progress func(done float64, readings int)
}

// The bounds of a trial. One that goes over them tells so and gives what it has.
const (
	maxTrialDays     = 92
	maxTrialAlarms   = 5000
	maxTrialReadings = 20_000_000
)

// TrialAlarm is an alarm that would have been.
type TrialAlarm struct {
	Rule     string            `json:"rule"`
	Entity   string            `json:"entity"`
	Device   devices.ID        `json:"device,omitempty"`
	Priority int               `json:"priority"`
	Raised   time.Time         `json:"raised"`
	Cleared  *time.Time        `json:"cleared,omitempty"`
	Value    *float64          `json:"value,omitempty"`
	Unit     string            `json:"unit,omitempty"`
	Message  map[string]string `json:"message"`
	// Explained is what it was expected for all the time, so that nobody would
	// have seen it: a rule that inhibits its own, or the device its own hangs on.
	Explained string `json:"explained,omitempty" doc:"The rule, or the node that is down, for which it would never have been shown"`
}

// RuleTrial is what one rule would have done.
type RuleTrial struct {
	Rule  string `json:"rule"`
	Count int    `json:"count"`
	// Shown are those that would have asked for somebody. The others were
	// expected as long as they held.
	Shown     int            `json:"shown" doc:"Of count, those that would have been shown"`
	Explained map[string]int `json:"explained,omitempty" doc:"Of count, those that would never have been shown, by the rule or node that explains them"`
	// Days counts by day, in the city's calendar.
	Days map[string]int `json:"days,omitempty"`
	// Seconds is how long its alarms held together.
	Seconds float64 `json:"seconds"`
}

// Busy is an entity with many alarms.
type Busy struct {
	Entity string `json:"entity"`
	Count  int    `json:"count"`
}

// TrialResult is what a trial found.
type TrialResult struct {
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`
	Readings int          `json:"readings"`
	Devices  int          `json:"devices"`
	Alarms   []TrialAlarm `json:"alarms"`
	Total    int          `json:"total"`
	// Shown of them would have asked for somebody, Explained would not.
	Shown     int         `json:"shown" doc:"Of total, the alarms that would have been shown"`
	Explained int         `json:"explained" doc:"Of total, those that would not, being expected for another alarm"`
	Rules     []RuleTrial `json:"rules"`
	Busiest   []Busy      `json:"busiest"`
	Mix       Mix         `json:"mix"`
	// Notes say what a trial cannot know, or left out.
	Notes []string `json:"notes"`
}

var errTrialFull = errors.New("the trial has as many readings as it takes")

// Try runs a trial. It takes no lock of the running engine but to read the
// thresholds, and ends when the context does.
func (s *Alarms) Try(ctx context.Context, t Trial) (*TrialResult, error) {
	rules, err := ParseRules(t.Source, s.opt.Register.Catalogue())
	if err != nil {
		return nil, &Invalid{err}
	}
	if !t.From.Before(t.To) || t.To.Sub(t.From) > maxTrialDays*24*time.Hour {
		return nil, &Invalid{fmt.Errorf("a trial is of a time that ends after it begins, %d days at most", maxTrialDays)}
	}
	s.mu.Lock()
	limits := s.engine.limits
	s.mu.Unlock()

	for i := range rules {
		if rules[i].ID == t.Only {
			rules[i].Disabled = false
		}
	}
	e := newEngine(s.opt.Register, s.opt.ZoneName, s.opt.Place)
	e.calendar, e.limits = s.opt.Calendar, limits
	// What inhibits does so in a trial as well, by the rules that are tried. Plans
	// and what people put aside are of another time.
	aside := &Alarms{opt: s.opt, engine: e, chatter: chatter{}}
	e.dress = aside.dress
	e.adopt(rules, t.From.UnixMilli())
	list, quantities, silence := covered(e, s.opt.Register)
	out := &TrialResult{From: t.From, To: t.To, Devices: len(list), Alarms: []TrialAlarm{}, Notes: []string{}}
	if silence {
		out.Notes = append(out.Notes, "silence is judged by what the store has: readings kept by a device and sent late count as in time")
	}
	c := &collector{out: out, only: t.Only, open: map[key]*trialled{}, ruleOf: map[string]string{}, rules: map[string]*RuleTrial{}, busy: map[string]int{}, calendar: s.opt.Calendar}
	for i := range rules {
		if t.Only == "" || rules[i].ID == t.Only {
			c.rules[rules[i].ID] = &RuleTrial{Rule: rules[i].ID, Days: map[string]int{}}
		}
	}
	covers := slices.ContainsFunc(rules, func(r Rule) bool { return !r.Disabled && r.Inhibits != nil })
	tick, told := t.From, time.Now()
	take := func(now time.Time) {
		if covers && len(e.outbox) > 0 {
			aside.expire(now)
		}
		c.take(e)
	}
	pass := func(to time.Time) {
		for ; !tick.After(to); tick = tick.Add(time.Minute) {
			if silence {
				e.tick(tick.UnixMilli(), t.From.UnixMilli())
			}
			e.settleWaiting(tick.UnixMilli(), t.From.UnixMilli())
			if covers { // what was judged late is a minute late at most
				aside.expire(tick)
			}
			aside.chatter.sweep(tick.UnixMilli())
			take(tick)
		}
	}
	err = t.Feed(ctx, list, quantities, t.From, t.To, func(m *devices.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		pass(m.Received)
		e.message(m)
		take(m.Received)
		if out.Readings++; out.Readings >= maxTrialReadings {
			return errTrialFull
		}
		if t.Progress != nil && out.Readings%1000 == 0 && time.Since(told) > time.Second {
			told = time.Now()
			t.Progress(m.Received.Sub(t.From).Seconds()/t.To.Sub(t.From).Seconds(), out.Readings)
		}
		return nil
	})
	switch {
	case errors.Is(err, errTrialFull):
		out.Notes = append(out.Notes, fmt.Sprintf("it ended after %d readings; try a shorter time or fewer devices", maxTrialReadings))
	case err != nil:
		return nil, err
	default:
		pass(t.To)
	}
	e.settleMoments(func(*moment) bool { return true })
	take(t.To)
	c.finish()
	return out, ctx.Err()
}

// covered gives the devices that the rules judge, and the quantities.
func covered(e *engine, r *devices.Register) (list []*devices.Device, quantities []devices.Quantity, silence bool) {
	add := func(q devices.Quantity) {
		if q != "" && !slices.Contains(quantities, q) {
			quantities = append(quantities, q)
		}
	}
	places := false
	for _, rule := range e.rules {
		if rule.Disabled {
			continue
		}
		c := &rule.When
		add(c.quantity())
		if c.Expr != nil {
			for _, q := range c.Expr.quantities {
				add(q)
			}
		}
		if c.Speed != nil {
			add("speed")
		}
		silence = silence || c.Silence != nil
		places = places || c.Enter != nil || c.Leave != nil || c.Dwell != nil || c.Silence != nil
	}
	for _, d := range r.List() {
		p, ok := r.Catalogue().Profile(d.Profile)
		if !ok || d.State != devices.Active {
			continue
		}
		judged := slices.ContainsFunc(e.index.of(d, p), func(rule *Rule) bool { return rule.covers(d, p) })
		for _, rules := range e.index.byZone {
			judged = judged || slices.ContainsFunc(rules, func(rule *Rule) bool { return rule.covers(d, p) })
		}
		if !judged {
			continue
		}
		list = append(list, d)
		if places {
			add(p.Main) // any reading tells that a device is there, and where
		}
	}
	slices.SortFunc(list, func(a, b *devices.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.Sort(quantities)
	return list, quantities, silence
}

// collector makes alarms of transitions.
type collector struct {
	out      *TrialResult
	open     map[key]*trialled
	ruleOf   map[string]string // by alarm
	rules    map[string]*RuleTrial
	busy     map[string]int
	calendar *time.Location
	counts   [4]int
	// only is the rule whose alarms are told; empty for all.
	only string
}

// trialled is an alarm whose condition holds.
type trialled struct {
	at    int // in out.Alarms; -1 for one beyond the bound
	began time.Time
	shown bool
	cause string // for which it is expected
	who   Alarm
}

// cause is what an alarm that is suppressed is expected for.
func (c *collector) cause(a *Alarm) string {
	if a.Suppression != nil && a.Because == "" {
		return c.ruleOf[a.Suppression.Alarm]
	}
	return string(a.Because)
}

// over counts an alarm whose condition ended, or the trial did.
func (c *collector) over(k key, at time.Time) {
	o := c.open[k]
	delete(c.open, k)
	r := c.rules[k.rule]
	r.Seconds += at.Sub(o.began).Seconds()
	if o.shown {
		c.out.Shown++
		r.Shown++
		c.counts[max(1, min(4, o.who.Priority))-1]++
		c.busy[o.who.Entity]++
		return
	}
	c.out.Explained++
	if r.Explained == nil {
		r.Explained = map[string]int{}
	}
	r.Explained[o.cause]++
	if o.at >= 0 {
		c.out.Alarms[o.at].Explained = o.cause
	}
}

func (c *collector) take(e *engine) {
	for _, t := range e.outbox {
		a := &t.Alarm
		k := a.key()
		c.ruleOf[a.ID] = a.Rule
		o := c.open[k]
		switch {
		case c.only != "" && a.Rule != c.only:
		case a.Active && o == nil:
			c.out.Total++
			r := c.rules[a.Rule]
			r.Count++
			r.Days[t.At.In(c.calendar).Format(time.DateOnly)]++
			c.open[k] = &trialled{at: -1, began: t.At, shown: a.State.Shown(), cause: c.cause(a), who: *a}
			if len(c.out.Alarms) < maxTrialAlarms {
				c.open[k].at = len(c.out.Alarms)
				c.out.Alarms = append(c.out.Alarms, TrialAlarm{
					Rule: a.Rule, Entity: a.Entity, Device: a.Device, Priority: a.Priority, Raised: t.At,
					Value: a.Value, Unit: a.Unit, Message: a.Message,
				})
			}
		case a.Active:
			o.shown = o.shown || a.State.Shown()
			if cause := c.cause(a); cause != "" {
				o.cause = cause
			}
		case o != nil:
			at := t.At
			if o.at >= 0 {
				c.out.Alarms[o.at].Cleared = &at
			}
			c.over(k, at)
		}
		// Nobody acknowledges in a trial: an alarm that is over is done with.
		if a.State == Returned {
			over := *a
			over.State = Normal
			e.put(k, over, t.At.UnixMilli())
		}
	}
	e.outbox = e.outbox[:0]
}

func (c *collector) finish() {
	for k := range c.open {
		c.over(k, c.out.To)
	}
	for _, r := range c.rules {
		c.out.Rules = append(c.out.Rules, *r)
	}
	slices.SortFunc(c.out.Rules, func(a, b RuleTrial) int { return strings.Compare(a.Rule, b.Rule) })
	for id, n := range c.busy {
		c.out.Busiest = append(c.out.Busiest, Busy{id, n})
	}
	slices.SortFunc(c.out.Busiest, func(a, b Busy) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Entity, b.Entity)
	})
	c.out.Busiest = c.out.Busiest[:min(len(c.out.Busiest), 20)]
	c.out.Mix = MixOf(c.counts)
	if c.out.Total > len(c.out.Alarms) {
		c.out.Notes = append(c.out.Notes, fmt.Sprintf("only the first %d of %d alarms are listed; the counts are of all", len(c.out.Alarms), c.out.Total))
	}
}
