package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// Suppression by design (ISA-18.2): an alarm that is expected asks nobody. Three
// things expect one: the silence of a parent (upstream.go), a plan for work, and
// an alarm of a rule that inhibits this one's. The condition is judged and
// recorded all the same; the alarm shows when its cover goes and it still holds.

// Suppression says what covers an alarm.
type Suppression struct {
	// By is "plan" or "rule"; the silence of a parent is in Because.
	By string `json:"by"`
	// Plan and Alarm name it.
	Plan   string     `json:"plan,omitempty"`
	Alarm  string     `json:"alarm,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason"`
}

// same reports whether two are one cover.
func (s *Suppression) same(other *Suppression) bool {
	return s != nil && other != nil && s.By == other.By && s.Plan == other.Plan && s.Alarm == other.Alarm
}

// Plan is work that is known beforehand: alarms it covers are suppressed while
// it lasts. A part that is empty covers all; one of them is needed.
type Plan struct {
	ID     string     `json:"id"`
	Device devices.ID `json:"device,omitempty"`
	// Zone is "layer/code".
	Zone   string    `json:"zone,omitempty"`
	Rule   string    `json:"rule,omitempty"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
	By     string    `json:"by" personal:"name"`
	At     time.Time `json:"at"`
	// Ended and EndedBy are of a plan that was called off.
	Ended   *time.Time `json:"ended,omitempty"`
	EndedBy string     `json:"endedBy,omitempty" personal:"name"`
}

// On tells whether the plan covers what it covers at a moment.
func (p *Plan) On(now time.Time) bool {
	return !now.Before(p.From) && now.Before(p.To) && (p.Ended == nil || now.Before(*p.Ended))
}

func (p *Plan) covers(a *Alarm) bool {
	return (p.Device == "" || p.Device == a.Device) && (p.Rule == "" || p.Rule == a.Rule) && (p.Zone == "" || slices.ContainsFunc(a.Zones, func(z Zone) bool {
		return z.Layer+"/"+z.Code == p.Zone
	}))
}

// maxPlans bounds those that are kept; maxPlan how long one may last.
const (
	maxPlans = 2000
	maxPlan  = 92 * 24 * time.Hour
	keepPlan = 90 * 24 * time.Hour // after its end
	keyPlans = "plans"
)

// ErrNoPlan is wrapped when no plan has the id or it is over.
var ErrNoPlan = errors.New("no plan that lasts has this id")

// Suppress plans a suppression and gives the plan with its id.
func (s *Alarms) Suppress(ctx context.Context, p Plan, who Actor) (Plan, error) {
	now := s.opt.Now().UTC().Truncate(time.Millisecond)
	if p.From.IsZero() {
		p.From = now
	}
	bad := func(field, format string, args ...any) error {
		return &BadAct{Code: "bad_plan", Field: field, Detail: fmt.Sprintf(format, args...)}
	}
	p.Reason = strings.TrimSpace(p.Reason)
	switch layer, code, ok := strings.Cut(p.Zone, "/"); {
	case p.Device == "" && p.Zone == "" && p.Rule == "":
		return p, bad("device", "name a device, a zone or a rule: a plan that covers everything would hide the city")
	case p.Zone != "" && (!ok || layer == "" || code == ""):
		return p, bad("zone", "%.80q is no zone; write layer/code", p.Zone)
	case p.Reason == "":
		return p, bad("reason", "say what is done there")
	case len(p.Reason) > 4*maxText:
		return p, bad("reason", "the text has %d bytes, %d are the most", len(p.Reason), 4*maxText)
	case !p.To.After(p.From) || !p.To.After(now):
		return p, bad("to", "the plan ends before it begins, or is over")
	case p.To.Sub(p.From) > maxPlan:
		return p, bad("to", "a plan lasts at most %d days", int(maxPlan/(24*time.Hour)))
	}
	var id [6]byte
	rand.Read(id[:])
	p.ID, p.By, p.At, p.Ended, p.EndedBy = fmt.Sprintf("%x", id), who.Name, now, nil, ""
	p.From, p.To = p.From.UTC(), p.To.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(s.plans), func(p Plan) bool { return now.Sub(p.To) > keepPlan })
	if len(kept) >= maxPlans {
		return p, bad("", "there are %d plans, which is all that are kept; call some off", len(kept))
	}
	return p, s.keepPlans(ctx, append(kept, p))
}

// EndPlan calls a plan off: what it covers shows again within a second or two.
func (s *Alarms) EndPlan(ctx context.Context, id string, who Actor) (Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opt.Now().UTC().Truncate(time.Millisecond)
	plans := slices.Clone(s.plans)
	i := slices.IndexFunc(plans, func(p Plan) bool { return p.ID == id && p.Ended == nil && now.Before(p.To) })
	if i < 0 {
		return Plan{}, fmt.Errorf("ending plan %.40q: %w", id, ErrNoPlan)
	}
	plans[i].Ended, plans[i].EndedBy = &now, who.Name
	return plans[i], s.keepPlans(ctx, plans)
}

func (s *Alarms) keepPlans(ctx context.Context, plans []Plan) error {
	slices.SortFunc(plans, func(a, b Plan) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	value, err := json.Marshal(plans)
	if err != nil {
		return fmt.Errorf("encoding the plans: %w", err)
	}
	if err := s.opt.Store.Put(ctx, keyPlans, value); err != nil {
		return fmt.Errorf("keeping the plans: %w", err)
	}
	s.plans = plans
	return nil
}

// Plans gives the plans that last, are to come or ended in the last 90 days, by
// when they begin.
func (s *Alarms) Plans() []Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.plans)
}

// covered finds what makes an alarm expected, nil when nothing does.
func (s *Alarms) covered(a *Alarm, now time.Time) *Suppression {
	for i := range s.plans {
		if p := &s.plans[i]; p.On(now) && p.covers(a) {
			to := p.To
			return &Suppression{By: "plan", Plan: p.ID, Until: &to, Reason: p.Reason}
		}
	}
	var found *Alarm
	for _, by := range s.inhibitors()[a.Rule] {
		if other := s.engine.inhibiting(by, a); other != nil && (found == nil || hidden(other) < hidden(found)) {
			found = other
		}
	}
	if found == nil {
		return nil
	}
	return &Suppression{By: "rule", Alarm: found.ID, Reason: "expected while " + found.ID + " is open"}
}

// released says why an alarm is covered no longer, "" while it is. One that its
// device says is over, and that only waits to be, is no news after its cover.
func (s *Alarms) released(a *Alarm, now time.Time) string {
	switch cover := s.covered(a, now); {
	case !a.Active:
		return "it is over"
	case cover == nil && a.Suppression.By == "plan":
		return "the plan is over"
	case cover == nil && !s.engine.ending(a):
		return a.Suppression.Alarm + " is open no longer"
	default:
		return ""
	}
}

// inhibition is one rule that makes another's alarms expected.
type inhibition struct {
	rule, layer string
}

// inhibitors gives, by rule, the rules that inhibit it. It is made again when
// the rules have changed.
func (s *Alarms) inhibitors() map[string][]inhibition {
	if s.inhibitedAt == s.engine.version {
		return s.inhibited
	}
	s.inhibited, s.inhibitedAt = map[string][]inhibition{}, s.engine.version
	for _, r := range s.engine.rules {
		if r.Disabled || r.Inhibits == nil {
			continue
		}
		for _, target := range r.Inhibits.Rules {
			s.inhibited[target] = append(s.inhibited[target], inhibition{r.ID, r.Inhibits.Layer})
		}
	}
	for _, list := range s.inhibited {
		slices.SortFunc(list, func(a, b inhibition) int { return cmp.Compare(a.rule, b.rule) })
	}
	return s.inhibited
}

// inhibiting finds an open alarm that makes a expected: of the rule, its
// condition holding, of the same drill or of none, in the same zone of the layer.
// Without a layer it is of the same entity, or of a cluster that a's device is in.
// One that is shown comes before one that is expected itself.
func (e *engine) inhibiting(by inhibition, a *Alarm) (found *Alarm) {
	open := e.byRule[by.rule]
	better := func(other *Alarm) {
		if other == nil || !other.Active || other.State == OutOfService || other.Exercise != a.Exercise {
			return
		}
		if found == nil || cmp.Or(cmp.Compare(hidden(other), hidden(found)), cmp.Compare(other.ID, found.ID)) < 0 {
			found = other
		}
	}
	r := e.rules[by.rule]
	if by.layer == "" && (r == nil || r.When.Cluster == nil) {
		// Thousands of points may be covered by as many alarms of another rule,
		// and each is asked for at every tick: there is only one to ask.
		better(open[a.key().device])
		return found
	}
	for entity, other := range open {
		if by.layer != "" && shareZone(a, other, by.layer) || by.layer == "" && (entity == a.key().device || e.clustered(by.rule, entity, a)) {
			better(other)
		}
	}
	return found
}

// ending reports whether the readings say that an alarm's condition is over, and
// only its delay makes it last.
func (e *engine) ending(a *Alarm) bool {
	w := e.fleet[a.key().device]
	if w == nil || w.tracks[a.Rule] == nil {
		return false
	}
	tr := w.tracks[a.Rule]
	return tr.On && tr.Since != 0
}

// clustered reports whether the device of an alarm is in a cluster of a rule.
func (e *engine) clustered(rule string, cluster devices.ID, a *Alarm) bool {
	r := e.rules[rule]
	if r == nil || r.When.Cluster == nil || a.Device == "" {
		return false
	}
	city := e.fleet[entityOf("city:"+rule, a.Exercise)]
	return city != nil && city.tracks[rule] != nil && slices.Contains(city.tracks[rule].Clusters[cluster], a.Device)
}

func shareZone(a, b *Alarm, layer string) bool {
	return slices.ContainsFunc(a.Zones, func(z Zone) bool {
		return z.Layer == layer && slices.ContainsFunc(b.Zones, func(y Zone) bool { return y.Layer == z.Layer && y.Code == z.Code })
	})
}

// dress completes a draft of the engine before its state is known: a raise that
// is expected becomes a suppression.
func (s *Alarms) dress(event Event, from State, a *Alarm, at time.Time) Event {
	if event == Raise || event == Clear {
		a.Chattering = s.chatter.note(a.key(), at.UnixMilli()) || event == Clear && a.Chattering
	}
	if event == Raise || event == Suppress {
		if r := s.engine.rules[a.Rule]; r != nil {
			a.Category = r.Category
		}
		if d, ok := s.opt.Register.Get(a.Device); ok {
			a.Exercise = d.Exercise
		}
	}
	if event == Raise && (from == Normal || from == Returned) {
		if cover := s.covered(a, s.opt.Now()); cover != nil {
			a.Suppression = cover
			return Suppress
		}
	}
	return event
}

// chatter finds conditions that come and go: three or more raises and clears of
// one rule and entity within a minute of event time. ISA-18.2 names such alarms
// for redesign; they are marked, and nothing is shelved by itself.
type chatter map[key][]int64

const (
	chatterCount  = 3
	chatterWindow = time.Minute
)

func (c chatter) note(k key, at int64) bool {
	old := at - chatterWindow.Milliseconds()
	list := slices.DeleteFunc(c[k], func(t int64) bool { return t <= old })
	list = append(list, at)
	if len(list) > 2*chatterCount {
		list = slices.Delete(list, 0, len(list)-chatterCount)
	}
	c[k] = list
	return len(list) >= chatterCount
}

// sweep forgets conditions that are quiet.
func (c chatter) sweep(now int64) {
	for k, list := range c {
		if list[len(list)-1] < now-2*chatterWindow.Milliseconds() {
			delete(c, k)
		}
	}
}
