package alert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vonglau/devices"
)

// Rule says what is an alarm. An enabled rule has an owner, a head and a
// response: an alarm that nobody answers for, or that says nothing of what to
// do, only teaches people to look away.
type Rule struct {
	ID string `yaml:"id" json:"id"`
	// Name, Message and Response are by language tag.
	Name map[string]string `yaml:"name" json:"name"`
	// Disabled rules are checked and kept, and judge nothing.
	Disabled bool `yaml:"disabled" json:"disabled,omitempty"`
	// Priority is 1 (worst) to 4.
	Priority int `yaml:"priority" json:"priority"`
	// Owner is the department, Head the person or post answerable.
	Owner string `yaml:"owner" json:"owner"`
	Head  string `yaml:"head" json:"head" personal:"name"`
	// Basis is what the threshold rests on: a decision, a standard, a guess.
	Basis string `yaml:"basis" json:"basis,omitempty"`
	// Message may hold {device}, {name}, {value}, {unit}, {threshold}, {zone}, and
	// {count}, how many devices or alarms are in it.
	Message  map[string]string `yaml:"message" json:"message"`
	Response map[string]string `yaml:"response" json:"response"`
	// Inhibits names rules whose alarms are expected while this one's are open.
	Inhibits *Inhibits `yaml:"inhibits" json:"inhibits,omitempty"`
	// Simulated marks a rule made for simulated devices.
	Simulated bool `yaml:"simulated" json:"simulated,omitempty"`
	// Flow is the product's flow the rule belongs to: flood, air, network,
	// power, or a word of the city's.
	Flow string `yaml:"flow" json:"flow,omitempty"`
	// Category is that of a public message about it (CAP 1.2): Geo, Met, Safety,
	// Security, Rescue, Fire, Health, Env, Transport, Infra, CBRNE, Other.
	Category string `yaml:"category" json:"category,omitempty"`
	// Procedure is what is done, step by step, by language tag.
	Procedure map[string][]string `yaml:"procedure" json:"procedure,omitempty"`
	// Schedule is when the rule judges at all; outside it nothing holds.
	Schedule *Schedule `yaml:"schedule" json:"schedule,omitempty"`
	// Priorities are others than Priority, for a time of the day or the year:
	// the first that holds when the alarm is raised counts.
	Priorities []Shift `yaml:"priorities" json:"priorities,omitempty"`
	// Valid bounds the days the rule is in force, as a schedule's dates.
	Valid string `yaml:"valid" json:"valid,omitempty"`
	Scope Scope  `yaml:"scope" json:"scope"`
	When  When   `yaml:"when" json:"when"`
}

var categories = []string{"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"}

// Scope says whose readings a rule judges; an empty part leaves nobody out.
type Scope struct {
	Profiles []string     `yaml:"profiles" json:"profiles,omitempty"`
	Devices  []devices.ID `yaml:"devices" json:"devices,omitempty"`
	Zones    []ZoneSet    `yaml:"zones" json:"zones,omitempty"`
}

// Inhibits suppresses alarms of Rules that share a zone of Layer with an open
// alarm of this rule; without a layer, those of the same entity.
type Inhibits struct {
	Rules []string `yaml:"rules" json:"rules"`
	Layer string   `yaml:"layer" json:"layer,omitempty"`
}

// ZoneSet is zones of one layer, all of them when no code is given.
type ZoneSet struct {
	Layer string   `yaml:"layer" json:"layer"`
	Codes []string `yaml:"codes" json:"codes,omitempty"`
}

func (z *ZoneSet) has(ref devices.ZoneRef) bool {
	return ref.Layer == z.Layer && (len(z.Codes) == 0 || slices.Contains(z.Codes, ref.Code))
}

// When is the condition: exactly one of its parts. See kinds.go for those that
// are not here.
type When struct {
	Threshold  *Threshold  `yaml:"threshold" json:"threshold,omitempty"`
	Silence    *Silence    `yaml:"silence" json:"silence,omitempty"`
	Enter      *ZoneSet    `yaml:"enter" json:"enter,omitempty"` // inside one of the zones
	Leave      *ZoneSet    `yaml:"leave" json:"leave,omitempty"` // at a known place, outside all of them
	Change     *Change     `yaml:"change" json:"change,omitempty"`
	Flat       *Flat       `yaml:"flat" json:"flat,omitempty"`
	Neighbours *Neighbours `yaml:"neighbours" json:"neighbours,omitempty"`
	Aggregate  *Aggregate  `yaml:"aggregate" json:"aggregate,omitempty"`
	Cluster    *Cluster    `yaml:"cluster" json:"cluster,omitempty"`
	Dwell      *Dwell      `yaml:"dwell" json:"dwell,omitempty"`
	Speed      *Speed      `yaml:"speed" json:"speed,omitempty"`
	Composite  *Composite  `yaml:"composite" json:"composite,omitempty"`
	Expr       *Expr       `yaml:"expr" json:"expr,omitempty"`
}

// Threshold holds from the first reading at or beyond Above (or Below) that For
// later still holds, until one beyond Clear that ClearFor later still is. Times
// are those of the readings. A gap longer than the one after which the device
// counts as silent starts the wait again: nobody knows what happened in it.
type Threshold struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Level    `yaml:",inline"`
	// Ref and Step take the limit from the register of thresholds, in place of
	// Above: that of the device, its station, zone or profile, valid at the time
	// of the reading. Without a value there the device is not judged. ClearBy is
	// how far below it the value must be to be well again.
	Ref     string  `yaml:"ref" json:"ref,omitempty"`
	Step    string  `yaml:"level" json:"level,omitempty"`
	ClearBy float64 `yaml:"clear_by" json:"clearBy,omitempty"`
	Delay   `yaml:",inline"`
	// Rate judges what a counter counted per hour over this window, in place of
	// its value. There is no rate while the readings do not cover the window.
	Rate time.Duration `yaml:"rate" json:"rate,omitempty"`
	// Wraps is the count at which the counter starts again from zero. Without
	// it, a count that falls is a restart and counts nothing.
	Wraps float64 `yaml:"wraps" json:"wraps,omitempty"`
}

// Silence holds when nothing arrived for After, or for Intervals times the
// interval of the device's profile.
type Silence struct {
	After     time.Duration `yaml:"after" json:"after,omitempty"`
	Intervals float64       `yaml:"intervals" json:"intervals,omitempty"`
}

func (s *Silence) after(p *devices.Profile) time.Duration {
	if s.After > 0 {
		return s.After
	}
	return time.Duration(s.Intervals * float64(p.Interval))
}

// maxRules bounds a rule file.
const maxRules = 10_000

// ParseRules reads a rule file. Unknown keys are errors, and every error names
// its line.
func ParseRules(source []byte, c *devices.Catalogue) ([]Rule, error) {
	return parseRules(source, c, true)
}

// parseRules reads a rule file. One that is in force already is not held to what
// is asked of new ones since: to stop judging would be worse.
func parseRules(source []byte, c *devices.Catalogue, anew bool) ([]Rule, error) {
	var file struct {
		Version int    `yaml:"version"`
		Rules   []Rule `yaml:"rules"`
	}
	d := yaml.NewDecoder(bytes.NewReader(source))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if file.Version != 1 {
		return nil, fmt.Errorf("rules: version %d; this server reads version: 1", file.Version)
	}
	if len(file.Rules) > maxRules {
		return nil, fmt.Errorf("rules: %d of them, at most %d are taken", len(file.Rules), maxRules)
	}
	lines := linesOf(source, "rules")
	seen := map[string]bool{}
	for i := range file.Rules {
		r := &file.Rules[i]
		err := r.validate(c, anew)
		if err == nil && seen[r.ID] {
			err = errors.New("the id is used twice")
		}
		if err != nil {
			where := ""
			if i < len(lines) {
				where = fmt.Sprintf("line %d: ", lines[i])
			}
			return nil, fmt.Errorf("rules: %srule %q: %w", where, r.ID, err)
		}
		seen[r.ID] = true
	}
	for i := range file.Rules {
		r := &file.Rules[i]
		if r.Inhibits == nil {
			continue
		}
		for _, id := range r.Inhibits.Rules {
			if !seen[id] || id == r.ID {
				return nil, fmt.Errorf("rules: rule %q inhibits %.64q, which is no other rule of this file", r.ID, id)
			}
		}
	}
	if err := related(file.Rules); err != nil {
		return nil, err
	}
	return file.Rules, nil
}

// linesOf gives the line on which each entry of a list starts.
func linesOf(source []byte, list string) []int {
	var root yaml.Node
	if yaml.Unmarshal(source, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	var lines []int
	top := root.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value == list {
			for _, item := range top[i+1].Content {
				lines = append(lines, item.Line)
			}
		}
	}
	return lines
}

func (r *Rule) validate(c *devices.Catalogue, anew bool) error {
	if r.ID == "" || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(r.ID) > 64 {
		return errors.New("an id has lower-case letters, digits and '-', 64 at most")
	}
	if slices.Contains([]string{"source", "versions", "test", "check"}, r.ID) {
		return errors.New("the id is an address of the API; choose another")
	}
	if r.Priority < 1 || r.Priority > 4 {
		return fmt.Errorf("priority %d: use 1 (worst) to 4", r.Priority)
	}
	if !r.Disabled {
		for _, part := range []struct {
			name  string
			empty bool
		}{{"owner", r.Owner == ""}, {"head", r.Head == ""}, {"response", len(r.Response) == 0}, {"procedure", anew && len(r.Procedure) == 0}} {
			if part.empty {
				return fmt.Errorf("%s is missing; give one, or set disabled: true", part.name)
			}
		}
	}
	for name, texts := range map[string]map[string]string{"name": r.Name, "message": r.Message, "response": r.Response} {
		for _, lang := range []string{"vi", "en"} {
			if len(texts) > 0 && texts[lang] == "" || len(texts) == 0 && name != "response" {
				return fmt.Errorf("%s.%s is missing", name, lang)
			}
		}
		for lang := range texts {
			if lang != "vi" && lang != "en" {
				return fmt.Errorf("%s: language %q; use vi and en", name, lang)
			}
		}
	}
	if err := r.checkMore(); err != nil {
		return err
	}
	for lang, text := range r.Message {
		if err := checkTemplate(text); err != nil {
			return fmt.Errorf("message.%s: %w", lang, err)
		}
	}
	for _, name := range r.Scope.Profiles {
		if _, ok := c.Profile(name); !ok {
			return fmt.Errorf("scope: profile %q is not in the catalogue", name)
		}
	}
	for _, id := range r.Scope.Devices {
		if _, err := devices.ParseID(string(id)); err != nil {
			return fmt.Errorf("scope: %w", err)
		}
	}
	for i := range r.Scope.Zones {
		if r.Scope.Zones[i].Layer == "" {
			return errors.New("scope: a zone set without a layer")
		}
	}
	return r.When.validate(c)
}

func (w *When) validate(c *devices.Catalogue) error {
	n := 0
	if w.Threshold != nil {
		n++
		if err := w.Threshold.validate(c); err != nil {
			return fmt.Errorf("threshold: %w", err)
		}
	}
	if w.Silence != nil {
		n++
		if s := w.Silence; (s.After > 0) == (s.Intervals > 0) || s.After < 0 || !(s.Intervals >= 0 && s.Intervals <= 1e6) {
			return errors.New("silence: give one of after and intervals")
		}
	}
	part := func(name string, given bool, check func() error) (err error) {
		if !given {
			return nil
		}
		n++
		if err = check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	err := errors.Join(
		part("enter", w.Enter != nil, func() error { return w.Enter.validate() }),
		part("leave", w.Leave != nil, func() error { return w.Leave.validate() }),
		part("change", w.Change != nil, func() error { return w.Change.validate(c) }),
		part("flat", w.Flat != nil, func() error { return w.Flat.validate(c) }),
		part("neighbours", w.Neighbours != nil, func() error { return w.Neighbours.validate(c) }),
		part("aggregate", w.Aggregate != nil, func() error { return w.Aggregate.validate(c) }),
		part("cluster", w.Cluster != nil, func() error { return w.Cluster.validate(c) }),
		part("dwell", w.Dwell != nil, func() error { return errors.Join(w.Dwell.ZoneSet.validate(), w.Dwell.Delay.validate()) }),
		part("speed", w.Speed != nil, func() error {
			return errors.Join(w.Speed.ZoneSet.validate(), w.Speed.Level.validate(), w.Speed.Delay.validate())
		}),
		part("composite", w.Composite != nil, func() error { return w.Composite.validate() }),
		part("expr", w.Expr != nil, func() error { return w.Expr.compile(c) }),
	)
	if err != nil {
		return err
	}
	if n != 1 {
		return errors.New("when: give exactly one condition: threshold, silence, enter, leave, change, flat, neighbours, aggregate, cluster, dwell, speed, composite or expr")
	}
	return nil
}

// checkMore checks what a rule may say besides.
func (r *Rule) checkMore() error {
	if r.Category != "" && !slices.Contains(categories, r.Category) {
		return fmt.Errorf("category %q: use one of %s", r.Category, strings.Join(categories, ", "))
	}
	for _, lang := range []string{"vi", "en"} {
		if len(r.Procedure) > 0 && len(r.Procedure[lang]) == 0 {
			return fmt.Errorf("procedure.%s is missing", lang)
		}
	}
	for lang, steps := range r.Procedure {
		if lang != "vi" && lang != "en" {
			return fmt.Errorf("procedure: language %q; use vi and en", lang)
		}
		if len(steps) > 50 || slices.Contains(steps, "") {
			return fmt.Errorf("procedure.%s: fifty steps at most, and none of them empty", lang)
		}
	}
	if r.Schedule != nil {
		if err := r.Schedule.validate(); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
	}
	for i := range r.Priorities {
		p := &r.Priorities[i]
		if p.Priority < 1 || p.Priority > 4 {
			return fmt.Errorf("priorities: priority %d: use 1 (worst) to 4", p.Priority)
		}
		if err := p.While.validate(); err != nil {
			return fmt.Errorf("priorities: while: %w", err)
		}
	}
	if r.Valid != "" {
		if err := (&Schedule{Dates: []string{r.Valid}}).validate(); err != nil {
			return fmt.Errorf("valid: %w", err)
		}
	}
	return nil
}

// judges tells whether the rule is about that time.
func (r *Rule) judges(at int64, calendar *time.Location) bool {
	if r.Valid != "" && !(&Schedule{Dates: []string{r.Valid}}).holds(at, calendar) {
		return false
	}
	return r.Schedule.holds(at, calendar)
}

// priority is that of an alarm raised at a time.
func (r *Rule) priority(at int64, calendar *time.Location) int {
	for i := range r.Priorities {
		if r.Priorities[i].While.holds(at, calendar) {
			return r.Priorities[i].Priority
		}
	}
	return r.Priority
}

// quantity is the one that a reading must have for the rule to look at it.
func (w *When) quantity() devices.Quantity {
	switch {
	case w.Threshold != nil:
		return w.Threshold.Quantity
	case w.Change != nil:
		return w.Change.Quantity
	case w.Flat != nil:
		return w.Flat.Quantity
	case w.Neighbours != nil:
		return w.Neighbours.Quantity
	case w.Aggregate != nil:
		return w.Aggregate.Quantity
	case w.Cluster != nil:
		return w.Cluster.Quantity
	}
	return ""
}

func (t *Threshold) validate(c *devices.Catalogue) error {
	q, ok := c.Quantity(t.Quantity)
	if !ok {
		return fmt.Errorf("quantity %q is not in the catalogue", t.Quantity)
	}
	if t.Ref != "" {
		if t.Above != nil || t.Below != nil || t.Clear != nil || t.Step == "" || !(t.ClearBy >= 0) || math.IsInf(t.ClearBy, 0) {
			return errors.New("ref takes the place of above, below and clear: give level, and clear_by if you like")
		}
	} else if t.Step != "" || t.ClearBy != 0 {
		return errors.New("level and clear_by belong to ref")
	} else if err := t.Level.validate(); err != nil {
		return err
	}
	if math.IsNaN(t.Wraps) || math.IsInf(t.Wraps, 0) {
		return errors.New("wraps is a finite number")
	}
	if t.For < 0 || t.ClearFor < 0 || t.Rate < 0 || t.Wraps < 0 {
		return errors.New("for, clear_for, rate and wraps are not negative")
	}
	if t.Rate > 0 && q.Kind != devices.Counter {
		return fmt.Errorf("rate: %s is no counter", t.Quantity)
	}
	if t.Rate == 0 && (q.Kind == devices.Counter || t.Wraps > 0) {
		return fmt.Errorf("%s is a counter: its value says nothing, give rate", t.Quantity)
	}
	return nil
}

// covers reports whether the rule is about a device of the profile at all;
// zones are asked with each reading.
func (r *Rule) covers(d *devices.Device, p *devices.Profile) bool {
	if r.Disabled {
		return false
	}
	if len(r.Scope.Devices) > 0 && !slices.Contains(r.Scope.Devices, d.ID) {
		return false
	}
	if len(r.Scope.Profiles) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Scope.Profiles, func(name string) bool {
		return strings.ReplaceAll(name, "_", "-") == strings.ReplaceAll(p.Name, "_", "-")
	})
}

// inZones reports whether an observation's zones are in the scope.
func (r *Rule) inZones(zones []devices.ZoneRef) bool {
	if len(r.Scope.Zones) == 0 {
		return true
	}
	for i := range r.Scope.Zones {
		if slices.ContainsFunc(zones, r.Scope.Zones[i].has) {
			return true
		}
	}
	return false
}

// sameCondition reports whether what is remembered for old goes on to mean
// something for r.
func (r *Rule) sameCondition(old *Rule) bool {
	a, b := r.When, old.When
	if a.Expr != nil && b.Expr != nil { // what they compile to are pointers
		a.Expr, b.Expr = &Expr{Source: a.Expr.Source, Delay: a.Expr.Delay}, &Expr{Source: b.Expr.Source, Delay: b.Expr.Delay}
	}
	return reflect.DeepEqual(a, b)
}

var placeholders = []string{"device", "name", "value", "unit", "threshold", "zone", "count"}

func checkTemplate(text string) error {
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return nil
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok || !slices.Contains(placeholders, name) {
			return fmt.Errorf("{%.20s is none of {%s}", name, strings.Join(placeholders, "}, {"))
		}
		rest = after
	}
}

// fill writes a message in every language of the template. Numbers have the
// digits of their quantity, and a comma in Vietnamese.
func fill(template map[string]string, a *Alarm, name string, digits, count int) map[string]string {
	out := make(map[string]string, len(template))
	zone := ""
	if len(a.Zones) > 0 {
		if zone = a.Zones[0].Name; zone == "" {
			zone = a.Zones[0].Code
		}
	}
	for lang, text := range template {
		number := func(x *float64) string {
			if x == nil {
				return "–"
			}
			s := strconv.FormatFloat(*x, 'f', digits, 64)
			if lang == "vi" {
				s = strings.Replace(s, ".", ",", 1)
			}
			return s
		}
		out[lang] = strings.NewReplacer(
			"{device}", string(a.Device), "{name}", name, "{value}", number(a.Value),
			"{unit}", a.Unit, "{threshold}", number(a.Threshold), "{zone}", zone, "{count}", strconv.Itoa(count),
		).Replace(text)
	}
	return out
}
