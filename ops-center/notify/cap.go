package notify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"vonglau/ops-center/cap12"
)

var severities = map[int]string{1: "Extreme", 2: "Severe", 3: "Moderate", 4: "Minor"}

// capOf is a message as CAP 1.2: a public message as it was issued, an alarm as
// a message of restricted scope.
func (n *Notify) capOf(s *Subscription, m *Message) ([]byte, error) {
	if e := m.Event; e != nil && e.CAP != "" {
		return []byte(e.CAP), nil
	}
	a, err := n.alertOf(s, m)
	if err != nil {
		return nil, err
	}
	return cap12.Encode(a)
}

func (n *Notify) alertOf(s *Subscription, m *Message) (*cap12.Alert, error) {
	a := &cap12.Alert{Sender: n.opt.Sender, Status: "Actual", MsgType: "Alert", Scope: "Restricted", Restriction: s.Department}
	if m.Type == typeTest {
		now := n.opt.Now()
		a.Identifier, a.Status, a.Sent = m.ID, "Test", now
		for _, lang := range []string{"vi", "en"} {
			a.Infos = append(a.Infos, cap12.Info{
				Language: tag(lang), Categories: []string{"Other"}, Event: word("test", lang), Urgency: "Unknown", Severity: "Minor", Certainty: "Unlikely",
				Expires: now.Add(time.Hour), Headline: word("testText", lang), Description: word("testText", lang),
				Areas: []cap12.Area{{Description: s.Department}},
			})
		}
		return a, nil
	}
	e := m.Event
	if e == nil || e.Alarm == nil {
		return nil, fmt.Errorf("%s has no form in CAP", m.Type)
	}
	a.Sent, a.Identifier = e.At, capIdentifier(e.Alarm.ID, e.Kind, e.At)
	// What came before of this alarm and was not cancelled: since it was last
	// hidden, or over, the chain is a new one.
	if e.Kind != AlarmRaised {
		since := e.Alarm.Raised
		if e.Alarm.ShownSince != nil {
			since = *e.Alarm.ShownSince
		}
		refer := func(kind string, at time.Time) {
			a.References = append(a.References, cap12.Reference{Sender: a.Sender, Identifier: capIdentifier(e.Alarm.ID, kind, at), Sent: at})
		}
		a.MsgType = "Update"
		refer(AlarmRaised, since)
		if seen := e.Alarm.Acknowledged; seen != nil && e.Kind != AlarmAcknowledged && !seen.At.Before(since) {
			refer(AlarmAcknowledged, seen.At)
		}
	}
	urgency := "Expected"
	if e.Priority <= 2 {
		urgency = "Immediate"
	}
	if e.Kind == AlarmCleared || e.Kind == AlarmWithdrawn {
		a.MsgType, urgency = "Cancel", "Past"
		a.Note = in(words[e.Kind], "vi")
	}
	if e.Exercise != "" {
		a.Status, a.Note = "Exercise", word("exercise", "vi")+" / "+word("exercise", "en")
	}
	category := e.Category
	if category == "" {
		category = "Other"
	}
	for _, lang := range []string{"vi", "en"} {
		info := cap12.Info{
			Language: tag(lang), Categories: []string{category}, Event: in(e.Title, lang), Urgency: urgency, Severity: severities[e.Priority], Certainty: "Observed",
			Onset: e.Alarm.Raised, Expires: e.At.Add(24 * time.Hour), SenderName: e.Owner, Headline: cut(headline(e, lang), 160),
			Description: in(e.Text, lang), Instruction: in(e.Response, lang), Web: cmp.Or(e.Link, n.opt.Base),
		}
		var names []string
		area := cap12.Area{}
		for _, z := range e.Zones {
			if z.Name != "" {
				names = append(names, z.Name)
			}
			area.Geocodes = append(area.Geocodes, cap12.Pair{Name: z.Layer, Value: z.Code})
		}
		if area.Description = strings.Join(names, ", "); area.Description == "" {
			area.Description = e.Alarm.Entity
		}
		if at := e.Alarm.At; at != nil {
			area.Circles = []cap12.Circle{{Point: cap12.Point{Lon: at[0], Lat: at[1]}, Radius: 0.05}}
		}
		info.Areas = []cap12.Area{area}
		a.Infos = append(a.Infos, info)
	}
	return a, nil
}

func tag(lang string) string { return map[string]string{"vi": "vi-VN", "en": "en-US"}[lang] }

// capIdentifier names a message without what CAP forbids in names.
func capIdentifier(alarm, kind string, at time.Time) string {
	_, what, _ := strings.Cut(kind, ".")
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ,<&", r) {
			return '-'
		}
		return r
	}, fmt.Sprintf("%s.%s.%d", alarm, what, at.Unix()))
}

func cut(text string, most int) string {
	r := []rune(text)
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}
