package cap12

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // the standard's digest, not a protection
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Context is what is known beside the message. The zero value checks what the
// message alone can show.
type Context struct {
	// Now is the clock; a message from later than a few minutes ahead is wrong.
	Now time.Time
	// Service is where places must be; the zero value is the world. A place that
	// would be in it were latitude and longitude swapped is told as such.
	Service Box
	// Known finds a message that was referred to. Nil skips what needs it.
	Known func(Reference) (sent time.Time, ok bool)
	// Used reports whether a message of this sender and identifier was sent
	// before.
	Used func(sender, identifier string) bool
	// Replaces are the messages in force that an Update or a Cancel has to name.
	Replaces []Reference
	// Ours holds the message to what we promise beyond the standard: Vietnamese
	// first, English second, with the same facts; an end; words for people.
	Ours bool
}

// Box is a part of the world.
type Box struct{ West, South, East, North float64 }

func (b Box) empty() bool { return b == Box{} }

func (b Box) has(p Point) bool {
	return p.Lon >= b.West && p.Lon <= b.East && p.Lat >= b.South && p.Lat <= b.North
}

// skew is how far a clock may be ahead.
const skew = 5 * time.Minute

// Lengths in characters. The standard says a headline should fit a message of
// 160; the others are ours, against a message nobody can show.
const (
	maxHeadline = 160
	maxText     = 10_000
	maxShort    = 500
)

// Check tells what is wrong with a message, in the message's order.
func Check(a *Alert, c Context) []Problem {
	k := checker{c: c}
	k.alert(a)
	for i := range a.Infos {
		k.info(a, i)
	}
	k.languages(a)
	return k.problems
}

type checker struct {
	c        Context
	problems []Problem
}

func (k *checker) add(level Level, rule, path, format string, args ...any) {
	if len(k.problems) < 200 {
		k.problems = append(k.problems, Problem{level, rule, path, fmt.Sprintf(format, args...)})
	}
}

func (k *checker) err(rule, path, format string, args ...any) {
	k.add(Error, rule, path, format, args...)
}
func (k *checker) warn(rule, path, format string, args ...any) {
	k.add(Warning, rule, path, format, args...)
}

func (k *checker) word(path, s string, words []string) {
	if !slices.Contains(words, s) {
		k.err("word", path, "%.40q is none of %s", s, strings.Join(words, ", "))
	}
}

func (k *checker) text(path, s string, most int) {
	if c, at := forbidden(s); at >= 0 {
		k.err("character", path, "character U+%04X cannot be in XML", c)
	}
	if n := len([]rune(s)); n > most {
		level := Warning
		if k.c.Ours {
			level = Error
		}
		k.add(level, "length", path, "%d characters, at most %d", n, most)
	}
}

func (k *checker) alert(a *Alert) {
	for _, s := range []struct{ path, text string }{{"identifier", a.Identifier}, {"sender", a.Sender}} {
		if !valid(s.text) {
			k.err("identifier", s.path, "%.80q: at most 256 bytes and no space, comma, < or &", s.text)
		}
	}
	switch {
	case a.Sent.IsZero():
		k.err("missing", "sent", "sent is required")
	case !k.c.Now.IsZero() && a.Sent.After(k.c.Now.Add(skew)):
		k.err("future", "sent", "sent at %s, which is still to come", FormatTime(a.Sent))
	}
	k.word("status", a.Status, Statuses)
	k.word("msgType", a.MsgType, MsgTypes)
	k.word("scope", a.Scope, Scopes)
	for _, s := range []struct{ path, text string }{{"source", a.Source}, {"restriction", a.Restriction}, {"note", a.Note}} {
		k.text(s.path, s.text, maxText)
	}
	// CAP-v1.2-os section 3.2.1: what each of these is for.
	switch {
	case a.Scope == "Restricted" && a.Restriction == "":
		k.err("restriction", "restriction", "scope Restricted says for whom it is")
	case a.Scope != "Restricted" && a.Restriction != "":
		k.warn("restriction", "restriction", "a restriction means something with scope Restricted only")
	}
	if a.Scope == "Private" && len(a.Addresses) == 0 {
		k.err("addresses", "addresses", "scope Private names those it is for")
	}
	if a.Note == "" && (a.Status == "Exercise" || a.MsgType == "Error") {
		k.err("note", "note", "an exercise or an error says in a note what it is about")
	}
	if k.c.Used != nil && k.c.Used(a.Sender, a.Identifier) {
		k.err("identifier", "identifier", "%.80q was used by this sender before", a.Identifier)
	}
	if len(a.Infos) == 0 && (a.MsgType == "Alert" || a.MsgType == "Update") {
		k.err("info", "info", "an %s without info says nothing", a.MsgType)
	}
	k.references(a)
}

func (k *checker) references(a *Alert) {
	refers := a.MsgType == "Update" || a.MsgType == "Cancel" || a.MsgType == "Ack" || a.MsgType == "Error"
	if refers && len(a.References) == 0 {
		k.err("references", "references", "%s names the messages it is about", a.MsgType)
	}
	if a.MsgType == "Alert" && len(a.References) > 0 {
		k.warn("references", "references", "an Alert begins anew; an Update refers")
	}
	var seen []Reference
	for i, r := range a.References {
		path := fmt.Sprintf("references[%d]", i+1)
		if slices.ContainsFunc(seen, r.Same) {
			k.err("references", path, "%.80q is named twice", r.Identifier)
		}
		seen = append(seen, r)
		switch {
		case r.Same(a.Reference()):
			k.err("circular", path, "the message refers to itself")
			continue
		case !a.Sent.IsZero() && r.Sent.After(a.Sent):
			k.err("future", path, "%.80q was sent after this message", r.Identifier)
		}
		if k.c.Known == nil {
			continue
		}
		sent, ok := k.c.Known(r)
		switch {
		case !ok:
			k.err("references", path, "there is no message %.80q of %.80q", r.Identifier, r.Sender)
		case !sent.Equal(r.Sent):
			k.err("references", path, "%.80q was sent at %s", r.Identifier, FormatTime(sent))
		}
	}
	if a.MsgType == "Update" || a.MsgType == "Cancel" {
		for _, r := range k.c.Replaces {
			if !slices.ContainsFunc(seen, r.Same) {
				k.err("references", "references", "%.80q is still in force and not named", r.Identifier)
			}
		}
	}
}

// language is a tag as the schema's xs:language has it.
var language = regexp.MustCompile(`^[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*$`)

func (k *checker) info(a *Alert, n int) {
	i, at := &a.Infos[n], fmt.Sprintf("info[%d]", n+1)
	if i.Language != "" && !language.MatchString(i.Language) {
		k.err("language", at+".language", "%.40q is no language tag", i.Language)
	}
	if len(i.Categories) == 0 {
		k.err("missing", at+".category", "category is required")
	}
	for j, c := range i.Categories {
		k.word(fmt.Sprintf("%s.category[%d]", at, j+1), c, Categories)
	}
	if strings.TrimSpace(i.Event) == "" {
		k.err("missing", at+".event", "event is required")
	}
	for j, c := range i.ResponseTypes {
		k.word(fmt.Sprintf("%s.responseType[%d]", at, j+1), c, ResponseTypes)
	}
	k.word(at+".urgency", i.Urgency, Urgencies)
	k.word(at+".severity", i.Severity, Severities)
	k.word(at+".certainty", i.Certainty, Certainties)
	for _, t := range []struct {
		name, text string
		most       int
	}{
		{"event", i.Event, maxShort}, {"audience", i.Audience, maxShort}, {"senderName", i.SenderName, maxShort},
		{"headline", i.Headline, maxHeadline}, {"description", i.Description, maxText}, {"instruction", i.Instruction, maxText},
		{"contact", i.Contact, maxShort},
	} {
		k.text(at+"."+t.name, t.text, t.most)
	}
	k.times(a, i, at)
	k.uri(at+".web", i.Web)
	k.pairs(at+".eventCode", i.EventCodes)
	k.pairs(at+".parameter", i.Parameters)
	for j := range i.Resources {
		k.resource(&i.Resources[j], fmt.Sprintf("%s.resource[%d]", at, j+1))
	}
	for j := range i.Areas {
		k.area(&i.Areas[j], fmt.Sprintf("%s.area[%d]", at, j+1))
	}
	if !k.c.Ours {
		return
	}
	for _, t := range []struct{ name, text string }{
		{"senderName", i.SenderName}, {"headline", i.Headline}, {"description", i.Description}, {"instruction", i.Instruction},
	} {
		if strings.TrimSpace(t.text) == "" && (t.name != "instruction" || a.MsgType != "Cancel") {
			k.err("missing", at+"."+t.name, "a message to the public has %s", t.name)
		}
	}
	if len(i.Areas) == 0 {
		k.err("missing", at+".area", "a message to the public says where")
	}
}

// times holds effective ≤ onset ≤ expires; without effective, sent is it.
func (k *checker) times(a *Alert, i *Info, at string) {
	effective := i.Effective
	if effective.IsZero() {
		effective = a.Sent
	}
	if !i.Onset.IsZero() && i.Onset.Before(effective) && !i.Effective.IsZero() {
		k.err("times", at+".onset", "onset is before effective")
	}
	if i.Expires.IsZero() {
		level := Warning
		if k.c.Ours {
			level = Error
		}
		k.add(level, "expires", at+".expires", "a message without an end stays for ever with those who missed its cancellation")
		return
	}
	switch {
	case !i.Expires.After(effective):
		k.err("times", at+".expires", "it ends before it takes effect")
	case !i.Onset.IsZero() && i.Expires.Before(i.Onset):
		k.err("times", at+".expires", "it ends before its onset")
	case k.c.Ours && !k.c.Now.IsZero() && !i.Expires.After(k.c.Now):
		k.err("times", at+".expires", "it has ended already")
	}
}

func (k *checker) uri(path, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" {
		k.err("uri", path, "%.80q is no absolute address", s)
	}
}

func (k *checker) pairs(path string, list []Pair) {
	for j, p := range list {
		at := fmt.Sprintf("%s[%d]", path, j+1)
		if strings.TrimSpace(p.Name) == "" {
			k.err("missing", at+".valueName", "a value without a name")
		}
		k.text(at, p.Name+p.Value, maxText)
	}
}

func (k *checker) resource(r *Resource, at string) {
	if strings.TrimSpace(r.Description) == "" {
		k.err("missing", at+".resourceDesc", "resourceDesc is required")
	}
	if kind, sub, ok := strings.Cut(r.MIMEType, "/"); r.MIMEType != "" && (!ok || kind == "" || sub == "") {
		k.err("mime", at+".mimeType", "%.60q is no media type", r.MIMEType)
	}
	if r.URI == "" && r.DerefURI == "" {
		k.warn("resource", at, "neither an address nor the file itself")
	}
	digest := strings.ToLower(r.Digest)
	if raw, err := hex.DecodeString(digest); digest != "" && (err != nil || len(raw) != sha1.Size) {
		k.err("digest", at+".digest", "%.60q is no SHA-1 in hexadecimal", r.Digest)
	}
	if r.DerefURI == "" {
		return
	}
	file, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(r.DerefURI), ""))
	if err != nil {
		k.err("base64", at+".derefUri", "not base64")
		return
	}
	if r.Size != nil && *r.Size != int64(len(file)) {
		k.err("size", at+".size", "the file has %d bytes, not %d", len(file), *r.Size)
	}
	if sum := sha1.Sum(file); digest != "" && digest != hex.EncodeToString(sum[:]) { //nolint:gosec // see the import
		k.err("digest", at+".digest", "the file has another digest: %x", sum)
	}
}

func (k *checker) area(a *Area, at string) {
	if strings.TrimSpace(a.Description) == "" {
		k.err("missing", at+".areaDesc", "areaDesc is required")
	}
	k.text(at+".areaDesc", a.Description, maxText)
	k.pairs(at+".geocode", a.Geocodes)
	if k.c.Ours && len(a.Polygons)+len(a.Circles) == 0 {
		k.err("missing", at+".polygon", "an area of ours is drawn")
	}
	for j, ring := range a.Polygons {
		k.ring(ring, fmt.Sprintf("%s.polygon[%d]", at, j+1))
	}
	for j, c := range a.Circles {
		path := fmt.Sprintf("%s.circle[%d]", at, j+1)
		k.place(c.Point, path)
		switch {
		case c.Radius < 0 || c.Radius > 20_040:
			k.err("circle", path, "a radius of %g km", c.Radius)
		case c.Radius == 0:
			k.warn("circle", path, "a radius of 0 is a point")
		}
	}
	switch {
	case a.Ceiling != nil && a.Altitude == nil:
		k.err("ceiling", at+".ceiling", "a ceiling goes with an altitude")
	case a.Ceiling != nil && *a.Ceiling < *a.Altitude:
		k.err("ceiling", at+".ceiling", "the ceiling is below the altitude")
	}
}

// place reports whether p is on earth and where we serve.
func (k *checker) place(p Point, path string) bool {
	swapped := Point{Lat: p.Lon, Lon: p.Lat}
	switch {
	case !(p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180):
		k.err("place", path, "%s is not on earth; are latitude and longitude swapped?", formatPoint(p))
	case k.c.Service.empty() || k.c.Service.has(p):
		return true
	case k.c.Service.has(swapped):
		k.err("swapped", path, "%s has latitude and longitude swapped", formatPoint(p))
	default:
		k.err("outside", path, "%s is outside the area served", formatPoint(p))
	}
	return false
}

func (k *checker) ring(ring []Point, path string) {
	if len(ring) < 4 {
		k.err("ring", path, "%d points; a polygon has at least four, the last as the first", len(ring))
		return
	}
	if ring[0] != ring[len(ring)-1] {
		k.err("open", path, "the last point is not the first")
		return
	}
	for _, p := range ring {
		if !k.place(p, path) {
			return // one of a kind is enough
		}
	}
	switch at, bad := Crossing(ring); {
	case bad:
		k.err("crossing", path, "the line crosses or touches itself near %s", formatPoint(at))
	case area(ring) == 0:
		k.err("ring", path, "it has no area")
	}
}

// area is twice that of the ring, in square degrees.
func area(ring []Point) (sum float64) {
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		sum += (a.Lon-ring[0].Lon)*(b.Lat-ring[0].Lat) - (b.Lon-ring[0].Lon)*(a.Lat-ring[0].Lat)
	}
	return max(sum, -sum)
}

// Crossing finds where a closed ring meets itself. Edges are taken from west to
// east and compared with those they overlap.
func Crossing(ring []Point) (at Point, yes bool) {
	type edge struct {
		a, b       Point
		n          int
		west, east float64
	}
	edges := make([]edge, 0, len(ring))
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		if a == b {
			return a, true
		}
		edges = append(edges, edge{a, b, i - 1, min(a.Lon, b.Lon), max(a.Lon, b.Lon)})
	}
	count := len(edges)
	slices.SortFunc(edges, func(x, y edge) int { return cmp.Or(cmp.Compare(x.west, y.west), cmp.Compare(x.n, y.n)) })
	for i := range edges {
		e := &edges[i]
		for j := i + 1; j < len(edges) && edges[j].west <= e.east; j++ {
			o := &edges[j]
			gap := max(e.n, o.n) - min(e.n, o.n)
			if gap == 1 || gap == count-1 {
				first, second := e, o // as they follow each other
				if (e.n > o.n) == (gap == 1) {
					first, second = o, e
				}
				// They share a point; they may not run back over each other.
				if turn(first.a, first.b, second.b) == 0 && (second.b.Lon-first.b.Lon)*(first.a.Lon-first.b.Lon)+(second.b.Lat-first.b.Lat)*(first.a.Lat-first.b.Lat) > 0 {
					return first.b, true
				}
				continue
			}
			if meet(e.a, e.b, o.a, o.b) {
				return e.a, true
			}
		}
	}
	return Point{}, false
}

func turn(a, b, c Point) int {
	v := (b.Lon-a.Lon)*(c.Lat-a.Lat) - (b.Lat-a.Lat)*(c.Lon-a.Lon)
	return cmp.Compare(v, 0)
}

func meet(a, b, c, d Point) bool {
	w, x, y, z := turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
	if w*x < 0 && y*z < 0 {
		return true
	}
	return w == 0 && between(a, b, c) || x == 0 && between(a, b, d) || y == 0 && between(c, d, a) || z == 0 && between(c, d, b)
}

func between(a, b, p Point) bool {
	return p.Lon >= min(a.Lon, b.Lon) && p.Lon <= max(a.Lon, b.Lon) && p.Lat >= min(a.Lat, b.Lat) && p.Lat <= max(a.Lat, b.Lat)
}

// languages holds the blocks of a message to each other: what they say of one
// event differs in words only.
func (k *checker) languages(a *Alert) {
	if k.c.Ours {
		if len(a.Infos) > 0 && a.Infos[0].Language != "vi-VN" {
			k.err("language", "info[1].language", "the first block is in Vietnamese, vi-VN")
		}
		if len(a.Infos) < 2 || a.Infos[1].Language != "en-US" {
			k.err("language", "info[2].language", "the second block is in English, en-US")
		}
	}
	seen := map[string]int{}
	for n := range a.Infos {
		i := &a.Infos[n]
		tag := strings.ToLower(cmp.Or(i.Language, "en-US"))
		if first, again := seen[tag]; again && k.c.Ours {
			k.err("language", fmt.Sprintf("info[%d].language", n+1), "info[%d] is in %s too", first, tag)
		} else if !again {
			seen[tag] = n + 1
		}
		if n == 0 || len(seen) == 1 {
			continue // several blocks of one language may be about several hazards
		}
		first, at := &a.Infos[0], fmt.Sprintf("info[%d]", n+1)
		level := Warning
		if k.c.Ours {
			level = Error
		}
		differ := func(name string, same bool) {
			if !same {
				k.add(level, "languages", at+"."+name, "%s differs from that of info[1]", name)
			}
		}
		// Categories must be equal whoever sends it: the blocks are of one event.
		if !sameSet(first.Categories, i.Categories) {
			k.err("languages", at+".category", "the categories differ from those of info[1]")
		}
		differ("responseType", sameSet(first.ResponseTypes, i.ResponseTypes))
		differ("urgency", first.Urgency == i.Urgency)
		differ("severity", first.Severity == i.Severity)
		differ("certainty", first.Certainty == i.Certainty)
		differ("effective", first.Effective.Equal(i.Effective))
		differ("onset", first.Onset.Equal(i.Onset))
		differ("expires", first.Expires.Equal(i.Expires))
		differ("area", slices.EqualFunc(first.Areas, i.Areas, func(x, y Area) bool {
			return slices.EqualFunc(x.Polygons, y.Polygons, func(p, q []Point) bool { return slices.Equal(p, q) }) && slices.Equal(x.Circles, y.Circles)
		}))
	}
}

func sameSet(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}
