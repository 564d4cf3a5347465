package alert

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// Checked is one rule as it was read, before it is put in force.
type Checked struct {
	Rule Rule `json:"rule"`
	// Comments tells that the source has some: a form that writes the rule anew
	// would lose them.
	Comments bool `json:"comments" doc:"The source has comments"`
	// Trial is a file for a dry run: the rule, and those in force that it names.
	Trial []byte `json:"-"`
}

// CheckRule reads one rule, in YAML, as SetRule would put it among those in
// force, and changes nothing. Errors that are an *Invalid are the rule's.
func (s *Alarms) CheckRule(id string, source []byte) (*Checked, error) {
	rule, err := s.oneRule(id, source)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	doc, list, err := s.document()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := &Checked{Comments: commented(rule)}
	if i := position(list, id); i >= 0 {
		list.Content[i] = rule
	} else {
		list.Content = append(list.Content, rule)
	}
	all, err := encodeNode(&doc)
	if err != nil {
		return nil, err
	}
	rules, err := parseRules(all, s.opt.Register.Catalogue(), false)
	if err != nil {
		return nil, &Invalid{err}
	}
	byID := make(map[string]*Rule, len(rules))
	for i := range rules {
		byID[rules[i].ID] = &rules[i]
	}
	out.Rule = *byID[id]
	wanted, next := map[string]bool{id: true}, []string{id}
	for len(next) > 0 {
		r := byID[next[0]]
		next = next[1:]
		var named []string
		if r.When.Composite != nil {
			named = append(named, r.When.Composite.rules()...)
		}
		if r.Inhibits != nil {
			named = append(named, r.Inhibits.Rules...)
		}
		for _, other := range named {
			if !wanted[other] {
				wanted[other] = true
				next = append(next, other)
			}
		}
	}
	list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool {
		f := field(n, "id")
		return f == nil || !wanted[f.Value]
	})
	if out.Trial, err = encodeNode(&doc); err != nil {
		return nil, err
	}
	return out, nil
}

// oneRule reads the source of one rule and checks it by itself, so that an error
// names a line of what was sent. What it says of other rules is not checked.
func (s *Alarms) oneRule(id string, source []byte) (*yaml.Node, error) {
	var rule yaml.Node
	if err := yaml.Unmarshal(source, &rule); err != nil {
		return nil, &Invalid{fmt.Errorf("rules: %w", err)}
	}
	if len(rule.Content) != 1 || rule.Content[0].Kind != yaml.MappingNode {
		return nil, &Invalid{errors.New("rules: line 1: one rule is expected, a mapping with id, name and so on")}
	}
	if f := field(rule.Content[0], "id"); f == nil || f.Value != id {
		return nil, &Invalid{fmt.Errorf("rules: the rule's id is not %q", id)}
	}
	if err := checkOne(source, s.opt.Register.Catalogue()); err != nil {
		return nil, &Invalid{err}
	}
	return rule.Content[0], nil
}

func commented(n *yaml.Node) bool {
	return n.HeadComment != "" || n.LineComment != "" || n.FootComment != "" || slices.ContainsFunc(n.Content, commented)
}

func encodeNode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("writing the rules: %w", err)
	}
	return b.Bytes(), nil
}
