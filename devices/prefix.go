package devices

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Prefix is one entry of the prefix register: a part of the address space whose
// place in the city is known. Addresses locate, they never identify.
type Prefix struct {
	// Prefix is an IPv6 prefix of at most 64 bits, or an IPv4 one.
	Prefix netip.Prefix `json:"prefix"`
	Kind   PrefixKind   `json:"kind"`
	// Name is for people. Of a site it is the site of its devices: a site that
	// is being renumbered has two entries of one name for a while.
	Name string `json:"name"`
	// Carrier is who runs the uplink, empty when it is the city itself.
	Carrier string `json:"carrier,omitempty"`
	// Policy is what becomes of a device that belongs here and speaks from
	// elsewhere.
	Policy SourcePolicy `json:"policy,omitempty"`
}

// PrefixKind says what a prefix stands for.
type PrefixKind string

// The kinds. The strings are stored.
const (
	PrefixCity    PrefixKind = "city"    // all of the city's own, a /48 as a rule
	PrefixSite    PrefixKind = "site"    // one site, a /64 as a rule
	PrefixCarrier PrefixKind = "carrier" // a provider's, such as of SIM cards
)

// SourcePolicy is what becomes of a message from outside.
type SourcePolicy string

// The policies, from the mildest on. The strings are stored.
const (
	SourceAny    SourcePolicy = ""       // it may come from anywhere
	SourceFlag   SourcePolicy = "flag"   // taken, and counted against the device
	SourceRefuse SourcePolicy = "refuse" // not taken
)

func (p SourcePolicy) rank() int { return slices.Index(policies, p) }

var policies = []SourcePolicy{SourceAny, SourceFlag, SourceRefuse}

// Validate brings the entry to its canonical form or says what is wrong.
func (p *Prefix) Validate() error {
	if !p.Prefix.IsValid() {
		return errors.New("prefix: write an address and a length, such as 2001:db8:12:7::/64")
	}
	canon, err := Canon(p.Prefix.Addr()).Prefix(p.Prefix.Bits())
	switch {
	case err != nil || p.Prefix.Addr().Is4In6():
		return fmt.Errorf("prefix %s: a mapped address has no length of its own; write it as IPv4", p.Prefix)
	case canon.Addr() != Canon(p.Prefix.Addr()):
		return fmt.Errorf("prefix %s has bits behind its length; write %s", p.Prefix, canon)
	case canon.Addr().Is6() && canon.Bits() > 64:
		return fmt.Errorf("prefix %s: a site has a /64 at least, one host can speak from all of it", p.Prefix)
	}
	p.Prefix = canon
	p.Name, p.Carrier = strings.TrimSpace(p.Name), strings.TrimSpace(p.Carrier)
	switch p.Kind {
	case PrefixCity, PrefixSite, PrefixCarrier:
	default:
		return fmt.Errorf("prefix %s: kind %q: use city, site or carrier", p.Prefix, p.Kind)
	}
	if p.Name == "" || len(p.Name) > 200 || len(p.Carrier) > 200 {
		return fmt.Errorf("prefix %s: a name and a carrier have at most 200 bytes, and a name is needed", p.Prefix)
	}
	if p.Policy.rank() < 0 {
		return fmt.Errorf("prefix %s: policy %q: use flag or refuse, or leave it out", p.Prefix, p.Policy)
	}
	return nil
}

// maxPrefixes bounds the register: one entry for every site of a large city.
const maxPrefixes = 65_536

// Prefixes is the prefix register. Reads take no lock and see a change once the
// store has taken it.
type Prefixes struct {
	store Store
	now   atomic.Pointer[prefixTable]
	mu    sync.Mutex // of writes
}

type prefixTable struct {
	list  []Prefix // by prefix
	table bart.Table[*Prefix]
	sites map[string][]*Prefix
	city  SourcePolicy // the strictest of the city's own prefixes
}

const keyPrefixes = "prefixes"

// OpenPrefixes loads the register.
func OpenPrefixes(ctx context.Context, store Store) (*Prefixes, error) {
	p := &Prefixes{store: store}
	p.now.Store(newPrefixTable(nil))
	err := store.Load(ctx, func(key string, value []byte) error {
		if key != keyPrefixes {
			return nil
		}
		var list []Prefix
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		p.now.Store(newPrefixTable(list))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the prefix register: %w", err)
	}
	return p, nil
}

func newPrefixTable(list []Prefix) *prefixTable {
	t := &prefixTable{list: list, sites: map[string][]*Prefix{}}
	for i := range list {
		p := &list[i]
		t.table.Insert(p.Prefix, p)
		switch p.Kind {
		case PrefixSite:
			t.sites[p.Name] = append(t.sites[p.Name], p)
		case PrefixCity:
			if p.Policy.rank() > t.city.rank() {
				t.city = p.Policy
			}
		}
	}
	return t
}

// List gives the entries by prefix. The slice is shared: do not change it.
func (p *Prefixes) List() []Prefix { return p.now.Load().list }

// Set replaces the register, by all of list or, on an error, not at all.
func (p *Prefixes) Set(ctx context.Context, list []Prefix) error {
	if len(list) > maxPrefixes {
		return fmt.Errorf("%d prefixes, at most %d are taken", len(list), maxPrefixes)
	}
	list = slices.Clone(list)
	for i := range list {
		if err := list[i].Validate(); err != nil {
			return err
		}
	}
	slices.SortFunc(list, func(a, b Prefix) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	for i := 1; i < len(list); i++ {
		if list[i].Prefix == list[i-1].Prefix {
			return fmt.Errorf("prefix %s is there twice", list[i].Prefix)
		}
	}
	value, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("keeping the prefix register: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store.Put(ctx, keyPrefixes, value); err != nil {
		return fmt.Errorf("keeping the prefix register: %w", err)
	}
	p.now.Store(newPrefixTable(list))
	return nil
}

// Find gives the narrowest prefix an address is in.
func (p *Prefixes) Find(a netip.Addr) (Prefix, bool) {
	if e, ok := p.now.Load().table.Lookup(Canon(a)); ok {
		return *e, true
	}
	return Prefix{}, false
}

// Judge says what becomes of what a device sends from an address, SourceAny
// when it may speak from there. A device whose site has prefixes may speak from
// those; any other from all of the register, where the city's own prefixes have
// a policy. An address nobody knows, as behind a bridge, is not judged.
func (p *Prefixes) Judge(d *Device, from netip.Addr) (SourcePolicy, string) {
	t := p.now.Load()
	if len(t.list) == 0 || !from.IsValid() {
		return SourceAny, ""
	}
	from = Canon(from)
	own := t.sites[d.Site]
	if d.Site == "" || len(own) == 0 {
		if t.city == SourceAny {
			return SourceAny, ""
		}
		if _, ok := t.table.Lookup(from); ok {
			return SourceAny, ""
		}
		return t.city, fmt.Sprintf("%s is in none of the city's prefixes", from)
	}
	worst := SourceAny
	for _, e := range own {
		if e.Prefix.Contains(from) {
			return SourceAny, ""
		}
		if e.Policy.rank() > worst.rank() {
			worst = e.Policy
		}
	}
	if worst == SourceAny {
		return SourceAny, ""
	}
	return worst, fmt.Sprintf("%s is outside the prefixes of site %q", from, d.Site)
}
