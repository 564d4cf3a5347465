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
	Head  string `yaml:"head" json:"head"`
	// Basis is what the threshold rests on: a decision, a standard, a guess.
	Basis string `yaml:"basis" json:"basis,omitempty"`
	// Message may hold {device}, {name}, {value}, {unit}, {threshold}, {zone}.
	Message  map[string]string `yaml:"message" json:"message"`
	Response map[string]string `yaml:"response" json:"response"`
	// Simulated marks a rule made for simulated devices.
	Simulated bool  `yaml:"simulated" json:"simulated,omitempty"`
	Scope     Scope `yaml:"scope" json:"scope"`
	When      When  `yaml:"when" json:"when"`
}

// Scope says whose readings a rule judges; an empty part leaves nobody out.
type Scope struct {
	Profiles []string     `yaml:"profiles" json:"profiles,omitempty"`
	Devices  []devices.ID `yaml:"devices" json:"devices,omitempty"`
	Zones    []ZoneSet    `yaml:"zones" json:"zones,omitempty"`
}

// ZoneSet is zones of one layer, all of them when no code is given.
type ZoneSet struct {
	Layer string   `yaml:"layer" json:"layer"`
	Codes []string `yaml:"codes" json:"codes,omitempty"`
}

func (z *ZoneSet) has(ref devices.ZoneRef) bool {
	return ref.Layer == z.Layer && (len(z.Codes) == 0 || slices.Contains(z.Codes, ref.Code))
}

// When is the condition: exactly one of its parts.
type When struct {
	Threshold *Threshold `yaml:"threshold" json:"threshold,omitempty"`
	Silence   *Silence   `yaml:"silence" json:"silence,omitempty"`
	Enter     *ZoneSet   `yaml:"enter" json:"enter,omitempty"` // inside one of the zones
	Leave     *ZoneSet   `yaml:"leave" json:"leave,omitempty"` // at a known place, outside all of them
}

// Threshold holds from the first reading at or beyond Above (or Below) that For
// later still holds, until one beyond Clear that ClearFor later still is. Times
// are those of the readings. A gap longer than the one after which the device
// counts as silent starts the wait again: nobody knows what happened in it.
type Threshold struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Above    *float64         `yaml:"above" json:"above,omitempty"`
	Below    *float64         `yaml:"below" json:"below,omitempty"`
	// Clear is the level the value must pass to be well again; Above or Below
	// themselves when absent. A value at Clear is not yet well.
	Clear    *float64      `yaml:"clear" json:"clear,omitempty"`
	For      time.Duration `yaml:"for" json:"for,omitempty"`
	ClearFor time.Duration `yaml:"clear_for" json:"clearFor,omitempty"`
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

// maxRules bounds a rule file, because every reading is held against every rule
// of its device.
const maxRules = 1000

// ParseRules reads a rule file. Unknown keys are errors, and every error names
// its line.
func ParseRules(source []byte, c *devices.Catalogue) ([]Rule, error) {
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
	lines := ruleLines(source)
	seen := map[string]bool{}
	for i := range file.Rules {
		r := &file.Rules[i]
		err := r.validate(c)
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
	return file.Rules, nil
}

// ruleLines gives the line each rule starts on.
func ruleLines(source []byte) []int {
	var root yaml.Node
	if yaml.Unmarshal(source, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	var lines []int
	top := root.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value == "rules" {
			for _, item := range top[i+1].Content {
				lines = append(lines, item.Line)
			}
		}
	}
	return lines
}

func (r *Rule) validate(c *devices.Catalogue) error {
	if r.ID == "" || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(r.ID) > 64 {
		return errors.New("an id has lower-case letters, digits and '-', 64 at most")
	}
	if r.Priority < 1 || r.Priority > 4 {
		return fmt.Errorf("priority %d: use 1 (worst) to 4", r.Priority)
	}
	if !r.Disabled {
		for _, part := range []struct {
			name  string
			empty bool
		}{{"owner", r.Owner == ""}, {"head", r.Head == ""}, {"response", len(r.Response) == 0}} {
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
	for _, z := range []*ZoneSet{w.Enter, w.Leave} {
		if z != nil {
			n++
			if z.Layer == "" {
				return errors.New("enter and leave need a layer")
			}
		}
	}
	if n != 1 {
		return errors.New("when: give exactly one of threshold, silence, enter and leave")
	}
	return nil
}

func (t *Threshold) validate(c *devices.Catalogue) error {
	q, ok := c.Quantity(t.Quantity)
	if !ok {
		return fmt.Errorf("quantity %q is not in the catalogue", t.Quantity)
	}
	if (t.Above == nil) == (t.Below == nil) {
		return errors.New("give one of above and below")
	}
	for _, level := range []*float64{t.Above, t.Below, t.Clear, &t.Wraps} {
		if level != nil && (math.IsNaN(*level) || math.IsInf(*level, 0)) {
			return errors.New("a level is a finite number")
		}
	}
	if t.Clear != nil && t.Above != nil && *t.Clear > *t.Above {
		return fmt.Errorf("clear %g is above %g: it would never be well", *t.Clear, *t.Above)
	}
	if t.Clear != nil && t.Below != nil && *t.Clear < *t.Below {
		return fmt.Errorf("clear %g is below %g: it would never be well", *t.Clear, *t.Below)
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

func (t *Threshold) limit() float64 {
	if t.Above != nil {
		return *t.Above
	}
	return *t.Below
}

// beyond reports whether v is an alarm for a condition that is on or not.
func (t *Threshold) beyond(on bool, v float64) bool {
	limit := t.limit()
	if on && t.Clear != nil {
		limit = *t.Clear
	}
	if t.Above != nil {
		return v >= limit
	}
	return v <= limit
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
func (r *Rule) sameCondition(old *Rule) bool { return reflect.DeepEqual(r.When, old.When) }

var placeholders = []string{"device", "name", "value", "unit", "threshold", "zone"}

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
func fill(template map[string]string, a *Alarm, name string, digits int) map[string]string {
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
			"{unit}", a.Unit, "{threshold}", number(a.Threshold), "{zone}", zone,
		).Replace(text)
	}
	return out
}
