package series

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"vonglau/devices"
)

// placement is a set of zone versions as a store keeps it: one label per layer,
// whose text names all the zones of that layer the place fell into. Equal sets
// have equal keys. It is immutable and shared between points.
type placement struct {
	refs   []devices.ZoneRef // sorted, without repetitions
	labels []zoneLabel       // sorted by name
	key    string
}

// zoneLabel is one layer: name "z_ward", value "06001@2025-07-01|06002@".
type zoneLabel struct{ name, value string }

// zonePrefix begins the label of a layer.
const zonePrefix = "z_"

// placements makes one placement of each set of zones. It is bounded by the
// zone combinations that occur; when there are more than maxPlacements it
// starts afresh, which costs sharing and nothing else.
type placements struct {
	mu    sync.Mutex
	byKey map[string]*placement
}

const maxPlacements = 100_000

func (c *placements) of(refs []devices.ZoneRef) *placement {
	if !slices.IsSortedFunc(refs, compareRefs) {
		refs = slices.Clone(refs)
		slices.SortFunc(refs, compareRefs)
	}
	var buf [128]byte
	key := buf[:0]
	for _, r := range refs {
		// Lengths rather than separators: codes are the city's, any byte may be
		// in them.
		for _, s := range [...]string{r.Layer, r.Code, string(r.ValidFrom)} {
			key = append(key, byte(len(s)), byte(len(s)>>8))
			key = append(key, s...)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.byKey[string(key)]; ok {
		return p
	}
	if c.byKey == nil || len(c.byKey) >= maxPlacements {
		c.byKey = make(map[string]*placement)
	}
	p := newPlacement(slices.Compact(slices.Clone(refs)))
	c.byKey[string(key)] = p
	return p
}

// fromLabels is of for what a store gave back.
func (c *placements) fromLabels(labels []zoneLabel) *placement {
	var refs []devices.ZoneRef
	for _, l := range labels {
		refs = appendZones(refs, l)
	}
	return c.of(refs)
}

func newPlacement(refs []devices.ZoneRef) *placement {
	p := &placement{refs: refs}
	for i := 0; i < len(refs); {
		layer := refs[i].Layer
		var v strings.Builder
		for ; i < len(refs) && refs[i].Layer == layer; i++ {
			if v.Len() > 0 {
				v.WriteByte('|')
			}
			escape(&v, refs[i].Code)
			v.WriteByte('@')
			escape(&v, string(refs[i].ValidFrom))
		}
		p.labels = append(p.labels, zoneLabel{layerLabel(layer), v.String()})
	}
	slices.SortFunc(p.labels, func(a, b zoneLabel) int { return cmp.Compare(a.name, b.name) })
	var k strings.Builder
	for _, l := range p.labels {
		k.WriteString(l.name)
		k.WriteByte('=')
		k.WriteString(l.value)
		k.WriteByte(',')
	}
	p.key = k.String()
	return p
}

// layerLabel is the label name of a layer.
func layerLabel(layer string) string {
	var b strings.Builder
	b.WriteString(zonePrefix)
	escape(&b, layer)
	return b.String()
}

// appendZones reads one label back.
func appendZones(dst []devices.ZoneRef, l zoneLabel) []devices.ZoneRef {
	layer, ok := strings.CutPrefix(l.name, zonePrefix)
	if !ok || l.value == "" {
		return dst
	}
	layer = unescape(layer)
	for zone := range strings.SplitSeq(l.value, "|") {
		code, from, _ := strings.Cut(zone, "@")
		dst = append(dst, devices.ZoneRef{Layer: layer, Code: unescape(code), ValidFrom: devices.Date(unescape(from))})
	}
	return dst
}

func compareRefs(a, b devices.ZoneRef) int {
	return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Code, b.Code), cmp.Compare(a.ValidFrom, b.ValidFrom))
}

const hexDigits = "0123456789ABCDEF"

// escape writes s with every byte that means something to line protocol, to
// Flux or to the text of a label as %XX, so that none of them needs quoting
// rules of its own. Letters of any script are kept.
func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '/', c == ':':
			b.WriteByte(c)
		case c >= 0x80 && utf8.ValidString(s):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

// unescape undoes escape and leaves what escape never writes as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
