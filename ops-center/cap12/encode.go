package cap12

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeLayout is CAP's: an offset, never Z, no fraction (CAP-v1.2-os section
// 3.2.1, sent).
const timeLayout = "2006-01-02T15:04:05-07:00"

// FormatTime writes a time as CAP wants it.
func FormatTime(t time.Time) string {
	s := t.Format(timeLayout)
	if _, offset := t.Zone(); offset == 0 {
		return s[:len(s)-6] + "-00:00" // +00:00 is not a place, says the standard
	}
	return s
}

// String is how a message refers to another: sender,identifier,sent.
func (r Reference) String() string { return r.Sender + "," + r.Identifier + "," + FormatTime(r.Sent) }

// Encode writes a message. It refuses one with a character XML cannot carry and
// leaves all else to Check.
func Encode(a *Alert) ([]byte, error) {
	w := writer{}
	w.b.WriteString(xml.Header)
	w.b.WriteString(`<alert xmlns="` + Namespace + `">` + "\n")
	w.depth = 1
	w.must("identifier", a.Identifier)
	w.must("sender", a.Sender)
	w.time("sent", a.Sent)
	w.must("status", a.Status)
	w.must("msgType", a.MsgType)
	w.text("source", a.Source)
	w.must("scope", a.Scope)
	w.text("restriction", a.Restriction)
	w.text("addresses", joinGroups(a.Addresses))
	w.each("code", a.Codes)
	w.text("note", a.Note)
	refs := make([]string, len(a.References))
	for i, r := range a.References {
		refs[i] = r.String()
	}
	w.text("references", strings.Join(refs, " "))
	w.text("incidents", joinGroups(a.Incidents))
	for i := range a.Infos {
		w.info(&a.Infos[i])
	}
	w.b.WriteString("</alert>\n")
	if w.err != nil {
		return nil, w.err
	}
	if w.b.Len() > MaxBytes {
		return nil, fmt.Errorf("encoding %.80q: %d bytes, at most %d", a.Identifier, w.b.Len(), MaxBytes)
	}
	return w.b.Bytes(), nil
}

type writer struct {
	b     bytes.Buffer
	depth int
	err   error
}

func (w *writer) indent() {
	for range w.depth {
		w.b.WriteString("  ")
	}
}

func (w *writer) must(name, text string) {
	if c, at := forbidden(text); at >= 0 && w.err == nil {
		w.err = fmt.Errorf("encoding %s: character U+%04X at byte %d cannot be in XML", name, c, at)
	}
	w.indent()
	w.b.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.b, []byte(text)) // a bytes.Buffer takes all
	w.b.WriteString("</" + name + ">\n")
}

func (w *writer) text(name, text string) {
	if text != "" {
		w.must(name, text)
	}
}

func (w *writer) each(name string, list []string) {
	for _, s := range list {
		w.must(name, s)
	}
}

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.must(name, FormatTime(t))
	}
}

func (w *writer) pairs(name string, list []Pair) {
	for _, p := range list {
		w.within(name, func() {
			w.must("valueName", p.Name)
			w.must("value", p.Value)
		})
	}
}

func (w *writer) within(name string, f func()) {
	w.indent()
	w.b.WriteString("<" + name + ">\n")
	w.depth++
	f()
	w.depth--
	w.indent()
	w.b.WriteString("</" + name + ">\n")
}

func (w *writer) info(i *Info) {
	w.within("info", func() {
		w.text("language", i.Language)
		w.each("category", i.Categories)
		w.must("event", i.Event)
		w.each("responseType", i.ResponseTypes)
		w.must("urgency", i.Urgency)
		w.must("severity", i.Severity)
		w.must("certainty", i.Certainty)
		w.text("audience", i.Audience)
		w.pairs("eventCode", i.EventCodes)
		w.time("effective", i.Effective)
		w.time("onset", i.Onset)
		w.time("expires", i.Expires)
		w.text("senderName", i.SenderName)
		w.text("headline", i.Headline)
		w.text("description", i.Description)
		w.text("instruction", i.Instruction)
		w.text("web", i.Web)
		w.text("contact", i.Contact)
		w.pairs("parameter", i.Parameters)
		for _, r := range i.Resources {
			w.within("resource", func() {
				w.must("resourceDesc", r.Description)
				w.must("mimeType", r.MIMEType)
				if r.Size != nil {
					w.must("size", strconv.FormatInt(*r.Size, 10))
				}
				w.text("uri", r.URI)
				w.text("derefUri", r.DerefURI)
				w.text("digest", r.Digest)
			})
		}
		for _, a := range i.Areas {
			w.within("area", func() {
				w.must("areaDesc", a.Description)
				for _, p := range a.Polygons {
					w.must("polygon", formatRing(p))
				}
				for _, c := range a.Circles {
					w.must("circle", formatPoint(c.Point)+" "+number(c.Radius))
				}
				w.pairs("geocode", a.Geocodes)
				if a.Altitude != nil {
					w.must("altitude", number(*a.Altitude))
				}
				if a.Ceiling != nil {
					w.must("ceiling", number(*a.Ceiling))
				}
			})
		}
	})
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func formatPoint(p Point) string { return number(p.Lat) + "," + number(p.Lon) }

func formatRing(ring []Point) string {
	var b strings.Builder
	for i, p := range ring {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(formatPoint(p))
	}
	return b.String()
}

// joinGroups writes a list whose members may have spaces: those are quoted
// (CAP-v1.2-os section 3.2.1, addresses and incidents).
func joinGroups(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		if strings.ContainsAny(s, " \t\n") {
			s = `"` + s + `"`
		}
		out[i] = s
	}
	return strings.Join(out, " ")
}

// forbidden finds the first character that XML 1.0 section 2.2 leaves out; -1 for
// none.
func forbidden(s string) (c rune, at int) {
	for i, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r < 0xFFFD || r >= 0x10000:
		case r == 0xFFFD && strings.HasPrefix(s[i:], "\uFFFD"): // written so, not invalid UTF-8
		default:
			return r, i
		}
	}
	return 0, -1
}
