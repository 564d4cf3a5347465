package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vonglau/devices"
)

// Version is a file as it was put in force: the rules, or the thresholds.
type Version struct {
	N    int       `json:"n"`
	At   time.Time `json:"at"`
	By   string    `json:"by" personal:"name"`
	Role string    `json:"role,omitempty"`
	Note string    `json:"note,omitempty"`
	// Entries is how many rules or limits are in it.
	Entries int    `json:"entries"`
	Source  string `json:"source,omitempty"`
}

// The keys of the register of thresholds and of the versions of both files.
const (
	keyThresholds     = "thresholds"
	versionPrefix     = "version."
	rulesKind         = "rules"
	thresholdsKind    = "thresholds"
	keptVersions      = 200
	maxNote           = 1000
	rulesSkeleton     = "version: 1\nrules: []\n"
	errNothingChanged = "nothing changed"
)

// ErrNoRule is wrapped when no rule, or no version, has the name.
var ErrNoRule = errors.New("there is none of this name")

// Invalid is the error of a file that cannot be put in force as it is.
type Invalid struct{ Err error }

func (e *Invalid) Error() string { return e.Err.Error() }
func (e *Invalid) Unwrap() error { return e.Err }

// versions are the files that were in force, oldest first.
type versions struct{ rules, thresholds []Version }

func (v *versions) of(kind string) *[]Version {
	if kind == thresholdsKind {
		return &v.thresholds
	}
	return &v.rules
}

func versionKey(kind string, n int) string {
	return fmt.Sprintf("%s%s.%06d", versionPrefix, kind, n)
}

// loadMore takes what load does not know.
func (s *Alarms) loadMore(k string, value []byte) error {
	switch {
	case k == keyThresholds:
		t, err := ParseThresholds(value, s.opt.Register.Catalogue())
		if err != nil {
			s.opt.Log.Error("the register of thresholds no longer fits; rules that use it judge nothing until it is put in force again", "error", err)
			return nil
		}
		s.engine.limits, s.limitSource = t, slices.Clone(value)
	case strings.HasPrefix(k, versionPrefix):
		var v Version
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(k, versionPrefix), ".")
		list := s.versions.of(kind)
		*list = append(*list, v)
	}
	return nil
}

// loaded puts in order what load found.
func (s *Alarms) loaded() {
	for _, kind := range []string{rulesKind, thresholdsKind} {
		slices.SortFunc(*s.versions.of(kind), func(a, b Version) int { return a.N - b.N })
	}
	s.engine.index = indexRules(s.engine.rules)
	for _, w := range s.engine.fleet {
		s.engine.frontier = max(s.engine.frontier, w.newest)
	}
	s.engine.recheck(s.engine.frontier)
}

// keep writes a file and its version down; the caller holds mu.
func (s *Alarms) keep(ctx context.Context, kind, key string, source []byte, entries int, who Actor, note string) error {
	list := s.versions.of(kind)
	v := Version{N: 1, At: s.opt.Now().UTC().Truncate(time.Millisecond), By: who.Name, Role: who.Role, Note: note, Entries: entries, Source: string(source)}
	if n := len(*list); n > 0 {
		v.N = (*list)[n-1].N + 1
	}
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keeping the %s: %w", kind, err)
	}
	if err := s.opt.Store.PutAll(ctx, map[string][]byte{key: source, versionKey(kind, v.N): value}); err != nil {
		return fmt.Errorf("keeping the %s: %w", kind, err)
	}
	*list = append(*list, v)
	for len(*list) > keptVersions {
		if err := s.opt.Store.Delete(ctx, versionKey(kind, (*list)[0].N)); err != nil {
			s.opt.Log.Warn("an old version was not let go", "kind", kind, "version", (*list)[0].N, "error", err)
			break
		}
		*list = slices.Delete(*list, 0, 1)
	}
	return nil
}

// ApplyAs puts a rule file in force, all of it or, on an error, nothing, and
// notes who did it.
func (s *Alarms) ApplyAs(ctx context.Context, source []byte, who Actor, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applyLocked(ctx, source, who, note)
}

func (s *Alarms) applyLocked(ctx context.Context, source []byte, who Actor, note string) error {
	rules, err := ParseRules(source, s.opt.Register.Catalogue())
	if err == nil && len(note) > maxNote {
		err = fmt.Errorf("a note has %d bytes at most", maxNote)
	}
	if err != nil {
		return &Invalid{err}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if err := s.keep(ctx, rulesKind, keyRules, source, len(rules), who, note); err != nil {
		return err
	}
	s.source = slices.Clone(source)
	s.engine.adopt(rules, s.opt.Now().UnixMilli())
	s.allDirty()
	return s.flush(ctx)
}

func (s *Alarms) allDirty() {
	for id := range s.engine.fleet {
		s.dirty[shard(id)] = true
	}
}

// Versions lists the files that were in force, the newest first, without their
// text. kind is rules or thresholds.
func (s *Alarms) Versions(kind string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(*s.versions.of(kind))
	for i := range out {
		out[i].Source = ""
	}
	slices.Reverse(out)
	return out
}

// Version gives one with its text.
func (s *Alarms) Version(kind string, n int) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range *s.versions.of(kind) {
		if v.N == n {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("version %d of the %s: %w", n, kind, ErrNoRule)
}

// RulesAt gives the rules that were in force at a time, as far back as versions
// are kept.
func (s *Alarms) RulesAt(t time.Time) (Version, bool) { return s.versionAt(rulesKind, t) }

// ThresholdsAt gives the register of thresholds as it stood at a time, as far
// back as versions are kept. It is not what was valid then: the register of then
// says that of every day.
func (s *Alarms) ThresholdsAt(t time.Time) (Version, bool) { return s.versionAt(thresholdsKind, t) }

func (s *Alarms) versionAt(kind string, t time.Time) (Version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := *s.versions.of(kind)
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].At.After(t) {
			return list[i], true
		}
	}
	return Version{}, false
}

// document reads the rule file in force as YAML nodes, so that what is not
// touched keeps its form and comments.
func (s *Alarms) document() (doc yaml.Node, list *yaml.Node, err error) {
	source := s.source
	if len(bytes.TrimSpace(source)) == 0 {
		source = []byte(rulesSkeleton)
	}
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return doc, nil, fmt.Errorf("the rules in force: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return doc, nil, errors.New("the rules in force are no mapping")
	}
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == "rules" {
			if list = top.Content[i+1]; list.Kind != yaml.SequenceNode {
				*list = yaml.Node{Kind: yaml.SequenceNode}
			}
			list.Style = 0
			return doc, list, nil
		}
	}
	list = &yaml.Node{Kind: yaml.SequenceNode}
	top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "rules"}, list)
	return doc, list, nil
}

func field(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func position(list *yaml.Node, id string) int {
	return slices.IndexFunc(list.Content, func(n *yaml.Node) bool {
		f := field(n, "id")
		return f != nil && f.Value == id
	})
}

func (s *Alarms) writeDocument(ctx context.Context, doc *yaml.Node, who Actor, note string) error {
	b, err := encodeNode(doc)
	if err != nil {
		return err
	}
	return s.applyLocked(ctx, b, who, note)
}

// SetRule puts one rule, in YAML, in the place of the one with its id, or after
// the others.
func (s *Alarms) SetRule(ctx context.Context, id string, source []byte, who Actor, note string) error {
	rule, err := s.oneRule(id, source)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, list, err := s.document()
	if err != nil {
		return err
	}
	if i := position(list, id); i >= 0 {
		list.Content[i] = rule
	} else {
		list.Content = append(list.Content, rule)
	}
	return s.writeDocument(ctx, &doc, who, note)
}

func checkOne(source []byte, c *devices.Catalogue) error {
	d := yaml.NewDecoder(bytes.NewReader(source))
	d.KnownFields(true)
	var r Rule
	if err := d.Decode(&r); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if err := r.validate(c, true); err != nil {
		return fmt.Errorf("rules: line %d: rule %q: %w", lineOf(source, err), r.ID, err)
	}
	return nil
}

// lineOf finds the line of a rule that an error is about, by the names in it; 1
// when it names none that is there.
func lineOf(source []byte, problem error) int {
	text := problem.Error()
	name, _, _ := strings.Cut(text, ":")
	name, _, _ = strings.Cut(name, " ")
	name, _, _ = strings.Cut(name, ".")
	if name == "" {
		return 1
	}
	for i, line := range strings.Split(string(source), "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, name+":") || strings.Contains(trimmed, "{"+name+":") {
			return i + 1
		}
	}
	return 1
}

// RemoveRule takes one rule out of force. Its alarms are cleared.
func (s *Alarms) RemoveRule(ctx context.Context, id string, who Actor, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, list, err := s.document()
	if err != nil {
		return err
	}
	i := position(list, id)
	if i < 0 {
		return fmt.Errorf("rule %q: %w", id, ErrNoRule)
	}
	list.Content = slices.Delete(list.Content, i, i+1)
	return s.writeDocument(ctx, &doc, who, note)
}

// EnableRule lets a rule judge, or no longer.
func (s *Alarms) EnableRule(ctx context.Context, id string, enabled bool, who Actor, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, list, err := s.document()
	if err != nil {
		return err
	}
	i := position(list, id)
	if i < 0 {
		return fmt.Errorf("rule %q: %w", id, ErrNoRule)
	}
	rule := list.Content[i]
	f := field(rule, "disabled")
	switch {
	case f == nil && enabled:
		return &Invalid{errors.New(errNothingChanged)}
	case f == nil:
		rule.Content = append(rule.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "disabled"}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	default:
		*f = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(!enabled)}
	}
	return s.writeDocument(ctx, &doc, who, note)
}

// RuleSource is one rule of the file in force, in YAML.
func (s *Alarms) RuleSource(id string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, list, err := s.document()
	if err != nil {
		return nil, err
	}
	i := position(list, id)
	if i < 0 {
		return nil, fmt.Errorf("rule %q: %w", id, ErrNoRule)
	}
	b, err := encodeNode(list.Content[i])
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", id, err)
	}
	return b, nil
}

// SetThresholds puts a register of thresholds in force.
func (s *Alarms) SetThresholds(ctx context.Context, source []byte, who Actor, note string) error {
	t, err := ParseThresholds(source, s.opt.Register.Catalogue())
	if err == nil && len(note) > maxNote {
		err = fmt.Errorf("a note has %d bytes at most", maxNote)
	}
	if err != nil {
		return &Invalid{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.keep(ctx, thresholdsKind, keyThresholds, source, len(t.Limits), who, note); err != nil {
		return err
	}
	s.engine.limits, s.limitSource = t, slices.Clone(source)
	return nil
}

// Thresholds is the register of thresholds in force, nil for none, and its file.
func (s *Alarms) Thresholds() (*Thresholds, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.limits, slices.Clone(s.limitSource)
}

// Standing is how a rule in force is doing.
type Standing struct {
	Rule string `json:"rule"`
	// Idle is why it judges nothing now, empty when it does.
	Idle string `json:"idle,omitempty"`
	// Devices is how many devices of the register it covers.
	Devices int `json:"devices"`
	// Open is how many of its alarms are open.
	Open int `json:"open"`
}

// Standings tells of every rule in force, by id.
func (s *Alarms) Standings() []Standing {
	list := s.opt.Register.List()
	c := s.opt.Register.Catalogue()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.opt.Now()
	byRule := map[string]*Standing{}
	for id, r := range s.engine.rules {
		st := &Standing{Rule: id}
		byRule[id] = st
		switch {
		case r.Disabled:
			st.Idle = "disabled"
		case r.Valid != "" && !(&Schedule{Dates: []string{r.Valid}}).holds(at.UnixMilli(), s.engine.calendar):
			st.Idle = "not valid today"
		case r.When.Threshold != nil && r.When.Threshold.Ref != "":
			st.Idle = s.engine.limits.unknown(r.When.Threshold.Ref, r.When.Threshold.Step, at, s.engine.calendar)
		}
	}
	for _, d := range list {
		p, ok := c.Profile(d.Profile)
		if !ok || d.State != devices.Active {
			continue
		}
		for _, r := range s.engine.index.of(d, p) {
			if r.covers(d, p) {
				byRule[r.ID].Devices++
			}
		}
	}
	for k := range s.engine.alarms {
		if st := byRule[k.rule]; st != nil {
			st.Open++
		}
	}
	out := make([]Standing, 0, len(byRule))
	for _, st := range byRule {
		out = append(out, *st)
	}
	slices.SortFunc(out, func(a, b Standing) int { return strings.Compare(a.Rule, b.Rule) })
	return out
}

// Mix is how alarms or rules are spread over the priorities, against what
// operators can live with: one in twenty of the first, three in twenty of the
// second, the rest below (IEC 62682, EEMUA 191).
type Mix struct {
	Counts [4]int     `json:"counts"`
	Share  [3]float64 `json:"share"`  // of priorities 1, 2, and 3 with 4
	Target [3]float64 `json:"target"` // 0.05, 0.15, 0.80
	// Drift is the largest part by which a share is over its target, of the
	// first two; Warn is set when so much is urgent that nothing is.
	Drift float64 `json:"drift"`
	Warn  bool    `json:"warn"`
}

// mixDrift is how far over its target an urgent share may be. mixLeast is how
// many there must be for shares to mean anything.
const (
	mixDrift = 0.10
	mixLeast = 20
)

// MixOf spreads counts by priority.
func MixOf(counts [4]int) Mix {
	m := Mix{Counts: counts, Target: [3]float64{0.05, 0.15, 0.80}}
	total := counts[0] + counts[1] + counts[2] + counts[3]
	if total == 0 {
		return m
	}
	m.Share = [3]float64{float64(counts[0]) / float64(total), float64(counts[1]) / float64(total), float64(counts[2]+counts[3]) / float64(total)}
	m.Drift = max(0, m.Share[0]-m.Target[0], m.Share[1]-m.Target[1])
	m.Warn = total >= mixLeast && m.Drift > mixDrift
	return m
}
