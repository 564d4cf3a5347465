package devices

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Norm is what a city buys of one kind, so that it can keep it alike: the models
// it has agreed to and the firmware they may run. The zero Norm asks nothing.
type Norm struct {
	// Models are those allowed; none allows any.
	Models []string `json:"models,omitempty" yaml:"models,omitempty"`
	// OldestFirmware and NewestFirmware bound the version, both included.
	OldestFirmware string `json:"oldestFirmware,omitempty" yaml:"oldest_firmware,omitempty"`
	NewestFirmware string `json:"newestFirmware,omitempty" yaml:"newest_firmware,omitempty"`
	// Credentials are the kinds by which a device may prove itself; none allows
	// any.
	Credentials []CredentialKind `json:"credentials,omitempty" yaml:"credentials,omitempty"`
}

func (n *Norm) validate() error {
	if n.OldestFirmware != "" && n.NewestFirmware != "" && CompareVersions(n.OldestFirmware, n.NewestFirmware) > 0 {
		return fmt.Errorf("norm: firmware %q is newer than %q", n.OldestFirmware, n.NewestFirmware)
	}
	for _, k := range n.Credentials {
		if !k.Known() {
			return fmt.Errorf("norm: credential %q: use token, psk or x509", k)
		}
	}
	return nil
}

// forbids gives a kind of credential that the device has and the norm does not
// allow.
func (n *Norm) forbids(d *Device) (CredentialKind, bool) {
	if len(n.Credentials) == 0 {
		return "", false
	}
	for _, c := range d.Held() {
		if !slices.Contains(n.Credentials, c.Kind) {
			return c.Kind, true
		}
	}
	return "", false
}

// Deviation is one thing in which a device differs from what it should be.
type Deviation struct {
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

// The rules of a register. The strings are in reports: never rename one.
const (
	RuleProfile  = "profile"  // its profile has left the catalogue
	RuleModel    = "model"    // not a model its profile allows
	RuleFirmware = "firmware" // outside of its profile's range
	RulePlace    = "place"    // fixed, and nobody said where
	RuleOwner    = "owner"    // no department answers for it
	RuleHead     = "head"     // the department has no named head
	RuleSecurity = "security" // proves itself by a kind of credential its profile does not allow
	RuleUpstream = "upstream" // hangs on a node that is unknown or retired
)

// admits gives the deviations that keep a device from being enrolled. A version
// that is not known yet keeps nobody out: the device reports it later.
func (p *Profile) admits(d *Device) (deviations []Deviation) {
	n := &p.Norm
	if len(n.Models) > 0 && !slices.ContainsFunc(n.Models, func(m string) bool { return strings.EqualFold(m, d.Model) }) {
		detail := fmt.Sprintf("model %q is not one of profile %s: %s", d.Model, p.Name, strings.Join(n.Models, ", "))
		if d.Model == "" {
			detail = fmt.Sprintf("no model is given; profile %s allows %s", p.Name, strings.Join(n.Models, ", "))
		}
		deviations = append(deviations, Deviation{RuleModel, detail})
	}
	if v := d.Firmware; v != "" {
		if n.OldestFirmware != "" && CompareVersions(v, n.OldestFirmware) < 0 {
			deviations = append(deviations, Deviation{RuleFirmware, fmt.Sprintf("firmware %s is older than %s", v, n.OldestFirmware)})
		}
		if n.NewestFirmware != "" && CompareVersions(v, n.NewestFirmware) > 0 {
			deviations = append(deviations, Deviation{RuleFirmware, fmt.Sprintf("firmware %s is newer than %s", v, n.NewestFirmware)})
		}
	}
	return deviations
}

// Deviations lists all in which a registered device differs from its norm. A
// retired device has none. Departments may be nil.
func (r *Register) Deviations(d *Device, departments *Departments) []Deviation {
	if d.State == Retired {
		return nil
	}
	p, ok := r.catalogue.Profile(d.Profile)
	if !ok {
		return []Deviation{{RuleProfile, fmt.Sprintf("profile %q is not in the catalogue", d.Profile)}}
	}
	found := p.admits(d)
	if kind, bad := p.Norm.forbids(d); bad {
		found = append(found, Deviation{RuleSecurity, fmt.Sprintf("it has a %s; profile %s allows %s", kind, p.Name, kinds(p.Norm.Credentials))})
	}
	if !p.Moving && !d.At.Known() {
		found = append(found, Deviation{RulePlace, "a fixed device without a place is not on the map"})
	}
	if d.Owner == "" {
		found = append(found, Deviation{RuleOwner, "no department answers for it"})
	} else if departments != nil && departments.Head(d.Owner) == "" {
		found = append(found, Deviation{RuleHead, fmt.Sprintf("department %q has no named head", d.Owner)})
	}
	if d.Upstream != "" {
		switch node, ok := r.Get(d.Upstream); {
		case !ok:
			found = append(found, Deviation{RuleUpstream, fmt.Sprintf("node %s is not registered", d.Upstream)})
		case node.State == Retired:
			found = append(found, Deviation{RuleUpstream, fmt.Sprintf("node %s is retired", d.Upstream)})
		}
	}
	return found
}

// checkNorm refuses a device that comes in, or is changed, against its norm.
// What deviated before the norm was set stays changeable: the report names it.
func (p *Profile) checkNorm(old, d *Device) error {
	kind, bad := p.Norm.forbids(d)
	if old == nil && len(d.Held()) == 0 && d.Entry == nil && len(p.Norm.Credentials) > 0 && !slices.Contains(p.Norm.Credentials, CredentialToken) {
		kind, bad = CredentialToken, true // what a device without any is given
	}
	if bad {
		had := false
		if old != nil {
			_, had = p.Norm.forbids(old)
		}
		// To take a bad one away, or to change something else, is no harm.
		if old == nil || !had {
			return fmt.Errorf("profile %s does not allow a %s: give it %s", p.Name, kind, kinds(p.Norm.Credentials))
		}
	}
	if old != nil && old.Profile == d.Profile && old.Model == d.Model && old.Firmware == d.Firmware {
		return nil
	}
	if d.State == Quarantine && d.Entry != nil && !d.Entry.Used.IsZero() {
		return nil // what it said of itself as it came in waits for a person
	}
	deviations := p.admits(d)
	if old != nil && old.Profile == d.Profile && old.Model == d.Model {
		// Only the firmware changed: what runs on the device is a fact, and a
		// register that refuses to hear of it would be wrong as well.
		return nil
	}
	if len(deviations) > 0 {
		return errors.New(deviations[0].Detail)
	}
	return nil
}

func kinds(list []CredentialKind) string {
	names := make([]string, len(list))
	for i, k := range list {
		names[i] = string(k)
	}
	return strings.Join(names, " or ")
}

// CompareVersions orders versions as people number them: runs of digits by
// their number, what is between them as text, so that 1.10 is newer than 1.9. A
// version is newer than its own beginning, but a pre-release (1.2-rc1) is older
// than what it leads to.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		if a == "" || b == "" {
			rest, sign := a, 1
			if a == "" {
				rest, sign = b, -1
			}
			if rest[0] == '-' {
				return -sign
			}
			return sign
		}
		if isDigit(a[0]) && isDigit(b[0]) {
			var x, y string
			x, a = run(a)
			y, b = run(b)
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return sign(len(x) - len(y))
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		if a[0] != b[0] {
			// 1.2-rc1 against 1.2.1
			if a[0] == '-' || b[0] == '-' {
				if a[0] == '-' {
					return -1
				}
				return 1
			}
			return sign(int(a[0]) - int(b[0]))
		}
		a, b = a[1:], b[1:]
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// run takes the digits s begins with.
func run(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
