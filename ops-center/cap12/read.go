package cap12

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Decode reads a message and checks it; the first problem that is an Error comes
// back as an error.
func Decode(raw []byte, c Context) (*Alert, error) {
	a, problems := Read(raw)
	if a != nil {
		problems = append(problems, Check(a, c)...)
	}
	for _, p := range problems {
		if p.Level == Error {
			return nil, p
		}
	}
	return a, nil
}

// Read reads a message and says what of its form is against the schema. The
// message is nil when it is no CAP or not to be read to its end. What a field
// that cannot be read would have held is left empty.
func Read(raw []byte) (*Alert, []Problem) {
	if len(raw) > MaxBytes {
		return nil, []Problem{{Error, "size", "", fmt.Sprintf("%d bytes, at most %d", len(raw), MaxBytes)}}
	}
	r := reader{dec: xml.NewDecoder(bytes.NewReader(raw)), alert: &Alert{}}
	r.dec.Strict = true
	// No CharsetReader: what is not UTF-8 is refused. No Entity map: nothing is
	// expanded but the five of XML.
	if err := r.document(); err != nil {
		var p Problem
		if !errors.As(err, &p) {
			p = Problem{Error, "xml", "", err.Error()}
		}
		return nil, append(r.problems, p)
	}
	return r.alert, r.problems
}

type reader struct {
	dec      *xml.Decoder
	ns       string
	alert    *Alert
	problems []Problem
	elements int
	points   int
}

// element is what the schema has to say of one child.
type element struct {
	name     string
	required bool
	many     bool
	// text takes the content of a simple one; child reads a complex one.
	text  func(path, s string)
	child func(path string) error
}

func (r *reader) add(rule, path, format string, args ...any) {
	if len(r.problems) < 200 { // a person reads no more
		r.problems = append(r.problems, Problem{Error, rule, path, fmt.Sprintf(format, args...)})
	}
}

func (r *reader) token() (xml.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t.(type) {
	case xml.Directive:
		return nil, Problem{Error, "doctype", "", "a document type may hide entities; CAP has none"}
	case xml.StartElement:
		if r.elements++; r.elements > maxElements {
			return nil, Problem{Error, "elements", "", fmt.Sprintf("more than %d elements", maxElements)}
		}
	}
	return t, nil
}

func (r *reader) document() error {
	for {
		t, err := r.token()
		if err == io.EOF {
			return Problem{Error, "xml", "", "there is no element"}
		}
		if err != nil {
			return err
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			if c, ok := t.(xml.CharData); ok && len(bytes.TrimSpace(c)) > 0 {
				return Problem{Error, "xml", "", "text before the first element"}
			}
			continue
		}
		switch {
		case start.Name.Local != "alert" || start.Name.Space != Namespace && start.Name.Space != namespace11:
			return Problem{Error, "namespace", "", fmt.Sprintf("the root is {%.100s}%.40s, not alert of %s", start.Name.Space, start.Name.Local, Namespace)}
		case start.Name.Space == Namespace:
			r.alert.Version = "1.2"
		default:
			r.alert.Version = "1.1"
		}
		r.ns = start.Name.Space
		break
	}
	if err := r.sequence("", r.alertElements()); err != nil {
		return err
	}
	for { // nothing but white space and comments may follow
		t, err := r.token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return Problem{Error, "xml", "", "a second root element: " + t.Name.Local}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return Problem{Error, "xml", "", "text after the message"}
			}
		}
	}
}

// sequence reads the children of an element up to its end and holds them to the
// schema's order.
func (r *reader) sequence(path string, want []element) error {
	counts := make([]int, len(want))
	at := 0
	for {
		t, err := r.token()
		if err != nil {
			return ended(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			for i, e := range want {
				if e.required && counts[i] == 0 {
					r.add("missing", join(path, e.name), "%s is required", e.name)
				}
			}
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				r.add("text", path, "text between elements: %.40q", bytes.TrimSpace(t))
			}
		case xml.StartElement:
			name := t.Name.Local
			i := slices.IndexFunc(want, func(e element) bool { return e.name == name })
			if t.Name.Space != r.ns || i < 0 {
				if t.Name.Space != signature || path != "" {
					r.add("unknown", join(path, name), "the schema has no element {%.100s}%.40s here", t.Name.Space, name)
				}
				if err := r.skip(1); err != nil {
					return err
				}
				continue
			}
			if i < at {
				r.add("order", join(path, name), "%s comes before %s", name, want[at].name)
			}
			at = max(at, i)
			counts[i]++
			here := join(path, name)
			if want[i].many {
				here += "[" + strconv.Itoa(counts[i]) + "]"
			} else if counts[i] > 1 {
				r.add("repeated", here, "%s may be there once", name)
			}
			if want[i].child != nil {
				if err := want[i].child(here); err != nil {
					return err
				}
				continue
			}
			s, err := r.simple(here)
			if err != nil {
				return err
			}
			if counts[i] == 1 || want[i].many {
				want[i].text(here, s)
			}
		}
	}
}

func join(path, name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func ended(err error) error {
	if err == io.EOF {
		return Problem{Error, "xml", "", "the message ends before its end"}
	}
	return err
}

// skip reads past an element nobody knows.
func (r *reader) skip(depth int) error {
	for depth > 0 {
		t, err := r.token()
		if err != nil {
			return ended(err)
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return Problem{Error, "depth", "", fmt.Sprintf("elements are more than %d deep", maxDepth)}
			}
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// simple reads the text of an element that has no children.
func (r *reader) simple(path string) (string, error) {
	var b strings.Builder
	for {
		t, err := r.token()
		if err != nil {
			return "", ended(err)
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			r.add("unknown", join(path, t.Name.Local), "%.80s holds text, not elements", path)
			if err := r.skip(1); err != nil {
				return "", err
			}
		case xml.EndElement:
			return strings.TrimSpace(b.String()), nil
		}
	}
}

func (r *reader) alertElements() []element {
	a := r.alert
	return []element{
		{name: "identifier", required: true, text: set(&a.Identifier)},
		{name: "sender", required: true, text: set(&a.Sender)},
		{name: "sent", required: true, text: r.time(&a.Sent)},
		{name: "status", required: true, text: r.word(&a.Status, Statuses)},
		{name: "msgType", required: true, text: r.word(&a.MsgType, MsgTypes)},
		{name: "source", text: set(&a.Source)},
		{name: "scope", required: true, text: r.word(&a.Scope, Scopes)},
		{name: "restriction", text: set(&a.Restriction)},
		{name: "addresses", text: r.groups(&a.Addresses)},
		{name: "code", many: true, text: appendTo(&a.Codes)},
		{name: "note", text: set(&a.Note)},
		{name: "references", text: r.references},
		{name: "incidents", text: r.groups(&a.Incidents)},
		{name: "info", many: true, child: r.info},
	}
}

func (r *reader) info(path string) error {
	var i Info
	err := r.sequence(path, []element{
		{name: "language", text: set(&i.Language)},
		{name: "category", required: true, many: true, text: r.words(&i.Categories, Categories)},
		{name: "event", required: true, text: set(&i.Event)},
		{name: "responseType", many: true, text: r.words(&i.ResponseTypes, ResponseTypes)},
		{name: "urgency", required: true, text: r.word(&i.Urgency, Urgencies)},
		{name: "severity", required: true, text: r.word(&i.Severity, Severities)},
		{name: "certainty", required: true, text: r.word(&i.Certainty, Certainties)},
		{name: "audience", text: set(&i.Audience)},
		{name: "eventCode", many: true, child: r.pair(&i.EventCodes)},
		{name: "effective", text: r.time(&i.Effective)},
		{name: "onset", text: r.time(&i.Onset)},
		{name: "expires", text: r.time(&i.Expires)},
		{name: "senderName", text: set(&i.SenderName)},
		{name: "headline", text: set(&i.Headline)},
		{name: "description", text: set(&i.Description)},
		{name: "instruction", text: set(&i.Instruction)},
		{name: "web", text: set(&i.Web)},
		{name: "contact", text: set(&i.Contact)},
		{name: "parameter", many: true, child: r.pair(&i.Parameters)},
		{name: "resource", many: true, child: r.resource(&i)},
		{name: "area", many: true, child: r.area(&i)},
	})
	r.alert.Infos = append(r.alert.Infos, i)
	return err
}

func (r *reader) pair(into *[]Pair) func(string) error {
	return func(path string) error {
		var p Pair
		err := r.sequence(path, []element{
			{name: "valueName", required: true, text: set(&p.Name)},
			{name: "value", required: true, text: set(&p.Value)},
		})
		*into = append(*into, p)
		return err
	}
}

func (r *reader) resource(i *Info) func(string) error {
	return func(path string) error {
		var s Resource
		err := r.sequence(path, []element{
			{name: "resourceDesc", required: true, text: set(&s.Description)},
			// 1.1 did not require it.
			{name: "mimeType", required: r.ns == Namespace, text: set(&s.MIMEType)},
			{name: "size", text: func(path, text string) {
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil || n < 0 {
					r.add("number", path, "%.40q is no number of bytes", text)
					return
				}
				s.Size = &n
			}},
			{name: "uri", text: set(&s.URI)},
			{name: "derefUri", text: set(&s.DerefURI)},
			{name: "digest", text: set(&s.Digest)},
		})
		i.Resources = append(i.Resources, s)
		return err
	}
}

func (r *reader) area(i *Info) func(string) error {
	return func(path string) error {
		var a Area
		err := r.sequence(path, []element{
			{name: "areaDesc", required: true, text: set(&a.Description)},
			{name: "polygon", many: true, text: func(path, s string) {
				if ring, ok := r.ring(path, s); ok {
					a.Polygons = append(a.Polygons, ring)
				}
			}},
			{name: "circle", many: true, text: func(path, s string) {
				if c, ok := r.circle(path, s); ok {
					a.Circles = append(a.Circles, c)
				}
			}},
			{name: "geocode", many: true, child: r.pair(&a.Geocodes)},
			{name: "altitude", text: r.decimal(&a.Altitude)},
			{name: "ceiling", text: r.decimal(&a.Ceiling)},
		})
		i.Areas = append(i.Areas, a)
		return err
	}
}

func set(into *string) func(string, string) { return func(_, s string) { *into = s } }

func appendTo(into *[]string) func(string, string) {
	return func(_, s string) { *into = append(*into, s) }
}

func (r *reader) word(into *string, words []string) func(string, string) {
	return func(path, s string) {
		if *into = s; !slices.Contains(words, s) {
			r.add("word", path, "%.40q is none of %s", s, strings.Join(words, ", "))
		}
	}
}

func (r *reader) words(into *[]string, words []string) func(string, string) {
	return func(path, s string) {
		var one string
		r.word(&one, words)(path, s)
		*into = append(*into, one)
	}
}

// timePattern is the schema's, less the comma it lets stand for a sign.
var timePattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}[-+]\d{2}:\d{2}$`)

func parseTime(s string) (time.Time, error) {
	if !timePattern.MatchString(s) {
		return time.Time{}, fmt.Errorf("%.40q is not like 2026-11-22T08:30:00+07:00: an offset, no Z, no fraction", s)
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time there is", s)
	}
	return t, nil
}

func (r *reader) time(into *time.Time) func(string, string) {
	return func(path, s string) {
		t, err := parseTime(s)
		if err != nil {
			r.add("time", path, "%s", err)
			return
		}
		*into = t
	}
}

func (r *reader) references(path, s string) {
	for _, one := range strings.Fields(s) {
		parts := strings.Split(one, ",")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
			r.add("reference", path, "%.120q is not sender,identifier,sent", one)
			continue
		}
		sent, err := parseTime(parts[2])
		if err != nil {
			r.add("reference", path, "%s", err)
			continue
		}
		r.alert.References = append(r.alert.References, Reference{parts[0], parts[1], sent})
	}
}

// groups reads a list whose members with spaces are quoted.
func (r *reader) groups(into *[]string) func(string, string) {
	return func(path, s string) {
		for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
			if s[0] == '"' {
				one, rest, ok := strings.Cut(s[1:], `"`)
				if !ok {
					r.add("quote", path, "a quotation mark is not closed")
					return
				}
				*into, s = append(*into, one), rest
				continue
			}
			n := strings.IndexAny(s, " \t\r\n")
			if n < 0 {
				n = len(s)
			}
			*into, s = append(*into, s[:n]), s[n:]
		}
	}
}

func (r *reader) point(path, s string) (Point, bool) {
	lat, lon, ok := strings.Cut(s, ",")
	if ok {
		y, err1 := parseNumber(lat)
		x, err2 := parseNumber(lon)
		if err1 == nil && err2 == nil {
			return Point{y, x}, true
		}
	}
	r.add("point", path, "%.60q is not latitude,longitude", s)
	return Point{}, false
}

var errNumber = errors.New("no decimal number")

// parseNumber takes what xs:decimal takes: no exponent, no infinity.
func parseNumber(s string) (float64, error) {
	if s == "" || len(s) > 40 || strings.Trim(s, "0123456789.+-") != "" {
		return 0, errNumber
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, errNumber
	}
	return v, nil
}

func (r *reader) ring(path, s string) ([]Point, bool) {
	fields := strings.Fields(s)
	if r.points += len(fields); r.points > MaxPoints || len(fields) > maxRing {
		r.add("points", path, "more than %d points in a polygon or %d in all", maxRing, MaxPoints)
		return nil, false
	}
	ring := make([]Point, 0, len(fields))
	for _, f := range fields {
		p, ok := r.point(path, f)
		if !ok {
			return nil, false
		}
		ring = append(ring, p)
	}
	return ring, true
}

func (r *reader) circle(path, s string) (Circle, bool) {
	fields := strings.Fields(s)
	if len(fields) != 2 {
		r.add("circle", path, "%.60q is not latitude,longitude radius", s)
		return Circle{}, false
	}
	p, ok := r.point(path, fields[0])
	if !ok {
		return Circle{}, false
	}
	radius, err := parseNumber(fields[1])
	if err != nil {
		r.add("circle", path, "%.40q is no radius in kilometres", fields[1])
		return Circle{}, false
	}
	return Circle{p, radius}, true
}

func (r *reader) decimal(into **float64) func(string, string) {
	return func(path, s string) {
		v, err := parseNumber(s)
		if err != nil {
			r.add("number", path, "%.40q is no decimal number", s)
			return
		}
		*into = &v
	}
}

// valid reports whether s can be an identifier or a sender: something, and none
// of the characters that references are parted by (CAP-v1.2-os section 3.2.1).
func valid(s string) bool {
	return s != "" && len(s) <= 256 && utf8.ValidString(s) && !strings.ContainsAny(s, " ,<&\t\r\n")
}
