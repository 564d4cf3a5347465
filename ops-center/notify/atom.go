package notify

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"time"
)

const (
	atomEntries = 100
	// atomReach is how far back in the feed entries are looked for.
	atomReach = 10_000
	// previewReach is the same for previews.
	previewReach = 50_000
)

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Link    *atomLink   `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID       string       `xml:"id"`
	Title    string       `xml:"title"`
	Updated  string       `xml:"updated"`
	Category atomCategory `xml:"category"`
	Content  atomContent  `xml:"content"`
}

type atomCategory struct {
	Term string `xml:"term,attr"`
}

type atomContent struct {
	Type string `xml:"type,attr"`
	Text string `xml:",chardata"`
}

// Feed writes the newest events of a subscription as Atom (RFC 4287), the newest
// first. self is the address it was asked for, without its token.
func (n *Notify) Feed(ctx context.Context, id, self string) ([]byte, error) {
	s, err := n.Get(id)
	if err != nil {
		return nil, err
	}
	if s.Kind != Atom {
		return nil, invalid("kind", "%s is no feed", s.Name)
	}
	events, err := n.matching(ctx, &s, atomReach)
	if err != nil {
		return nil, err
	}
	slices.Reverse(events)
	f := atomFeed{
		Lang: s.Language, ID: "urn:vonglau:subscription:" + s.ID, Title: s.Department + " – " + s.Name, Author: atomAuthor{"Vọng lâu"},
		Updated: s.Changed.UTC().Format(time.RFC3339),
	}
	if self != "" {
		f.Link = &atomLink{"self", self}
	}
	if len(events) > 0 {
		f.Updated = events[0].Recorded.UTC().Format(time.RFC3339)
	}
	for _, e := range events[:min(len(events), atomEntries)] {
		m := s.message([]*Event{e}, false)
		title, text := render(&s, m, n.opt.Base, n.opt.Calendar)
		f.Entries = append(f.Entries, atomEntry{
			ID: "urn:vonglau:delivery:" + m.ID, Title: title, Updated: e.Recorded.UTC().Format(time.RFC3339),
			Category: atomCategory{e.Kind}, Content: atomContent{"text", text},
		})
	}
	out, err := xml.MarshalIndent(&f, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the feed of %s: %w", id, err)
	}
	return append([]byte(xml.Header), append(out, '\n')...), nil
}

// matching gives the events a subscription wants among the newest of the feed.
func (n *Notify) matching(ctx context.Context, s *Subscription, reach uint64) ([]*Event, error) {
	var out []*Event
	at := uint64(0)
	if end := n.feed.end(); end > reach {
		at = end - reach
	}
	for {
		list, err := n.feed.after(ctx, at)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return out, nil
		}
		for _, e := range list {
			if at = e.Seq; s.wants(e) {
				out = append(out, e)
			}
		}
	}
}

// Preview is what a filter would have told.
type Preview struct {
	Count int       `json:"count"`
	From  time.Time `json:"from" doc:"How far back was looked"`
	// ByDay has the days of the city's calendar, the newest last.
	ByDay  []DayCount `json:"byDay"`
	Newest []*Event   `json:"newest" doc:"The newest of them, at most five"`
}

// DayCount is how many on a day.
type DayCount struct {
	Day   string `json:"day"`
	Count int    `json:"count"`
}

// Preview tells what a filter would have told since a time.
func (n *Notify) Preview(ctx context.Context, f Filter, since time.Time) (Preview, error) {
	p := Preview{From: since.UTC(), ByDay: []DayCount{}, Newest: []*Event{}}
	if err := f.validate(); err != nil {
		return p, err
	}
	if reach := n.feed.end(); reach > previewReach {
		if e, err := n.feed.after(ctx, reach-previewReach); err == nil && len(e) > 0 && e[0].Recorded.After(since) {
			p.From = e[0].Recorded.UTC()
		}
	}
	events, err := n.matching(ctx, &Subscription{Filter: f}, previewReach)
	if err != nil {
		return p, err
	}
	counts := map[string]int{}
	for _, e := range events {
		if e.Recorded.Before(p.From) {
			continue
		}
		p.Count++
		counts[e.Recorded.In(n.opt.Calendar).Format(time.DateOnly)]++
		p.Newest = append(p.Newest, e)
		if len(p.Newest) > 5 {
			p.Newest = p.Newest[1:]
		}
	}
	slices.Reverse(p.Newest)
	last := n.opt.Now().In(n.opt.Calendar)
	for day := p.From.In(n.opt.Calendar); day.Format(time.DateOnly) <= last.Format(time.DateOnly) && len(p.ByDay) < 62; day = day.AddDate(0, 0, 1) {
		key := day.Format(time.DateOnly)
		p.ByDay = append(p.ByDay, DayCount{key, counts[key]})
	}
	return p, nil
}
