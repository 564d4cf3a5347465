package warning

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // RFC 9562 section 5.5 names by it
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"time"

	"vonglau/ops-center/cap12"
)

// A feed tells of the messages in force and of what was sent lately, so that who
// asks once a day misses no cancellation.
const (
	feedBack    = 7 * 24 * time.Hour
	feedEntries = 200
)

// Feed is an Atom feed (RFC 4287) of the messages, those of exercises or the
// others, never both. The same state gives the same bytes. Addresses in it are
// relative to its own.
func (c *Chain) Feed(exercise bool) (body []byte, updated time.Time) {
	now := c.now()
	var lines []*sent
	c.mu.RLock()
	for _, id := range c.order {
		w := c.byID[id]
		if w.Exercise != exercise {
			continue
		}
		for i := range w.Messages {
			m := &w.Messages[i]
			if m.Sent.After(updated) {
				updated = m.Sent
			}
			inForce := i == len(w.Messages)-1 && w.State(now) == InForce
			if inForce || now.Sub(m.Sent) < feedBack {
				lines = append(lines, c.messages[m.Identifier])
			}
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(lines, func(a, b *sent) int {
		return cmp.Or(b.message.Sent.Compare(a.message.Sent), cmp.Compare(b.message.Identifier, a.message.Identifier))
	})
	lines = lines[:min(len(lines), feedEntries)]
	if updated.IsZero() {
		updated = time.Unix(0, 0).UTC()
	}

	who := c.opt.Identity
	name, title := "feed", Text{"Cảnh báo công cộng", "Public warnings"}
	if exercise {
		name, title = "exercise", Text{mark.VI + " – Cảnh báo", mark.EN + " – Warnings"}
	}
	w := atom{}
	w.b.WriteString(xml.Header)
	w.b.WriteString(`<feed xmlns="http://www.w3.org/2005/Atom" xmlns:cap="` + cap12.Namespace + `" xml:lang="vi">` + "\n")
	w.text("id", uuid(who.Sender+"/"+name))
	w.text("title", title.VI+" / "+title.EN+" – "+who.Name.VI)
	w.text("updated", updated.Format(time.RFC3339))
	w.b.WriteString("<author>")
	w.text("name", who.Name.VI)
	w.b.WriteString("</author>\n")
	w.b.WriteString(`<link rel="self" type="application/atom+xml" href="` + name + `.atom"/>` + "\n")
	for _, l := range lines {
		m := &l.message
		a, _ := cap12.Read(l.xml)
		if a == nil || len(a.Infos) == 0 {
			continue // never: it was read and checked before it was sent
		}
		i := &a.Infos[0]
		href := url.PathEscape(m.Identifier) + ".xml"
		if exercise {
			href = "exercise/" + href
		}
		w.b.WriteString("<entry>\n")
		w.text("id", uuid(who.Sender+","+m.Identifier))
		w.text("title", i.Headline)
		w.text("updated", m.Sent.Format(time.RFC3339))
		w.text("published", m.Sent.Format(time.RFC3339))
		w.text("summary", i.Description)
		for _, category := range i.Categories {
			w.b.WriteString(`<category term="` + category + `"/>` + "\n")
		}
		w.b.WriteString(`<link rel="alternate" type="` + cap12.MediaType + `" href="` + href + `"/>` + "\n")
		w.text("cap:status", a.Status)
		w.text("cap:msgType", a.MsgType)
		w.text("cap:event", i.Event)
		w.text("cap:urgency", i.Urgency)
		w.text("cap:severity", i.Severity)
		w.text("cap:certainty", i.Certainty)
		w.text("cap:expires", cap12.FormatTime(i.Expires))
		for _, area := range i.Areas {
			w.text("cap:areaDesc", area.Description)
		}
		w.b.WriteString("</entry>\n")
	}
	w.b.WriteString("</feed>\n")
	return w.b.Bytes(), updated
}

type atom struct{ b bytes.Buffer }

func (w *atom) text(name, text string) {
	w.b.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.b, []byte(text)) // a bytes.Buffer takes all
	w.b.WriteString("</" + name + ">\n")
}

// uuid names a thing the same for ever (RFC 9562 section 5.5, in the space of
// addresses).
func uuid(name string) string {
	space := [16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	h := sha1.Sum(append(space[:], name...)) //nolint:gosec // see the import
	h[6], h[8] = h[6]&0x0f|0x50, h[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
