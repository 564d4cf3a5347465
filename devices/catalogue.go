package devices

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// Catalogue is what can be measured and by what kinds of device. It does not
// change once made, so it is shared without locks.
type Catalogue struct {
	quantities map[Quantity]QuantityInfo
	profiles   map[string]*Profile // by profileKey
	// any is the index of a profile without fields.
	any map[string]*rule
}

// rule is what a field's name in a payload comes down to.
type rule struct {
	quantity Quantity
	kind     Kind
	unit     string // canonical
	bare     string // what a number without a unit means
	min, max float64
}

//go:embed catalogue.yaml
var builtinCatalogue []byte

// DefaultCatalogue is the built-in one, catalogue.yaml.
var DefaultCatalogue = sync.OnceValue(func() *Catalogue {
	c, err := LoadCatalogue(nil, bytes.NewReader(builtinCatalogue))
	if err != nil {
		panic("the built-in catalogue: " + err.Error()) // a test loads it
	}
	return c
})

// LoadCatalogue reads YAML in the form of catalogue.yaml over base, which stays
// as it is: an entry with a known name replaces the one of base, others are
// added. Unknown keys are errors, and so is anything a device could later trip
// over: an unknown unit, an empty range, an alias used twice. A nil base is an
// empty one.
func LoadCatalogue(base *Catalogue, r io.Reader) (*Catalogue, error) {
	var file struct {
		Quantities []QuantityInfo `yaml:"quantities"`
		Profiles   []*Profile     `yaml:"profiles"`
	}
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	c := &Catalogue{quantities: map[Quantity]QuantityInfo{}, profiles: map[string]*Profile{}, any: map[string]*rule{}}
	if base != nil {
		maps.Copy(c.quantities, base.quantities)
		for k, p := range base.profiles {
			own := *p // indexed again, because a quantity may have changed
			c.profiles[k] = &own
		}
	}
	seen := map[string]bool{}
	for _, q := range file.Quantities {
		if seen[string(q.Name)] {
			return nil, fmt.Errorf("catalogue: quantity %q comes twice", q.Name)
		}
		seen[string(q.Name)] = true
		if err := q.validate(); err != nil {
			return nil, fmt.Errorf("catalogue: quantity %q: %w", q.Name, err)
		}
		c.quantities[q.Name] = q
	}
	for name, q := range c.quantities {
		c.any[string(name)] = &rule{quantity: name, kind: q.Kind, unit: q.Unit, bare: q.Unit, min: q.Min, max: q.Max}
	}
	clear(seen)
	for _, p := range file.Profiles {
		key := profileKey(p.Name)
		if seen[key] {
			return nil, fmt.Errorf("catalogue: profile %q comes twice", p.Name)
		}
		seen[key] = true
		c.profiles[key] = p
	}
	for _, p := range c.profiles {
		if err := p.validate(); err != nil {
			return nil, fmt.Errorf("catalogue: profile %q: %w", p.Name, err)
		}
		index, err := c.index(p)
		if err != nil {
			return nil, fmt.Errorf("catalogue: profile %q: %w", p.Name, err)
		}
		if _, ok := index[string(p.Main)]; !ok && p.Main != "" {
			return nil, fmt.Errorf("catalogue: profile %q: main %q is not one of its fields", p.Name, p.Main)
		}
		p.index = index
	}
	return c, nil
}

func (q *QuantityInfo) validate() error {
	if q.Name == "" || strings.Trim(string(q.Name), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return errors.New("a name has lower-case letters, digits and '_'")
	}
	switch q.Name {
	case "ts", "lat", "lon", "value":
		return errors.New("the name has another meaning in a payload")
	}
	if q.Kind != Gauge && q.Kind != Counter && q.Kind != State {
		return fmt.Errorf("kind %q: use gauge, counter or state", q.Kind)
	}
	if u, ok := units[q.Unit]; !ok || u.same != "" {
		return fmt.Errorf("unit %q is not a SenML unit known here", q.Unit)
	}
	if !(q.Min < q.Max) {
		return fmt.Errorf("min %g is not below max %g", q.Min, q.Max)
	}
	return nil
}

func (p *Profile) validate() error {
	if _, err := ParseID(p.Name); err != nil {
		return errors.New("a name has letters, digits, '-' and '_'")
	}
	if p.Class == "" {
		return errors.New("class is missing")
	}
	if p.Interval <= 0 {
		return errors.New("interval is missing: how long between two reports?")
	}
	if err := p.validateCommands(); err != nil {
		return err
	}
	if err := p.Norm.validate(); err != nil {
		return err
	}
	switch p.Format {
	case FormatAuto, FormatJSON, FormatCBOR, FormatSenMLJSON, FormatSenMLCBOR, FormatLine:
		return nil
	}
	return fmt.Errorf("format %q is not served", p.Format)
}

// index maps every name a device of the profile may use. A profile without
// fields takes every quantity.
func (c *Catalogue) index(p *Profile) (map[string]*rule, error) {
	if len(p.Fields) == 0 {
		return c.any, nil
	}
	index := make(map[string]*rule, len(p.Fields))
	for _, f := range p.Fields {
		q, ok := c.quantities[f.Quantity]
		if !ok {
			return nil, fmt.Errorf("quantity %q is not in the catalogue", f.Quantity)
		}
		r := &rule{quantity: q.Name, kind: q.Kind, unit: q.Unit, bare: q.Unit, min: q.Min, max: q.Max}
		if f.Unit != "" {
			if _, ok := Convert(0, f.Unit, q.Unit); !ok {
				return nil, fmt.Errorf("%s: %q cannot be converted to %q", f.Quantity, f.Unit, q.Unit)
			}
			r.bare = f.Unit
		}
		if f.Min != nil {
			r.min = max(r.min, *f.Min)
		}
		if f.Max != nil {
			r.max = min(r.max, *f.Max)
		}
		if !(r.min < r.max) {
			return nil, fmt.Errorf("%s: min %g is not below max %g", f.Quantity, r.min, r.max)
		}
		for _, name := range append([]string{string(f.Quantity)}, f.Aliases...) {
			if index[name] != nil {
				return nil, fmt.Errorf("%s: the name %q is used twice", f.Quantity, name)
			}
			index[name] = r
		}
	}
	return index, nil
}

func profileKey(name string) string { return strings.ReplaceAll(name, "_", "-") }

// Quantity gives what is known of q.
func (c *Catalogue) Quantity(q Quantity) (QuantityInfo, bool) {
	info, ok := c.quantities[q]
	return info, ok
}

// Quantities lists all of them by name.
func (c *Catalogue) Quantities() []QuantityInfo {
	return slices.SortedFunc(maps.Values(c.quantities), func(a, b QuantityInfo) int {
		return strings.Compare(string(a.Name), string(b.Name))
	})
}

// Profile finds a profile; '-' and '_' are the same in its name.
func (c *Catalogue) Profile(name string) (*Profile, bool) {
	p, ok := c.profiles[profileKey(name)]
	return p, ok
}

// Profiles lists all of them by name.
func (c *Catalogue) Profiles() []*Profile {
	return slices.SortedFunc(maps.Values(c.profiles), func(a, b *Profile) int {
		return strings.Compare(a.Name, b.Name)
	})
}
