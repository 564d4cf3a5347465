package alert

import (
	"fmt"
	"strings"
	"time"

	"vonglau/devices"
)

// The acts of a story, each at a time:
//
//	ack RULE ID by NAME [as ROLE] [blind] [seen N]   blind: without a note; seen N: of the alarm after N changes
//	claim | release | unshelve | restore RULE ID by NAME
//	comment | return | false | remove-service RULE ID by NAME [blind]
//	shelve RULE ID by NAME for DURATION [blind]
//	assign RULE ID by NAME to DEPARTMENT
//	accept RULE ID by NAME [of DEPARTMENT as officer]
//	plan NAME until MM:SS [from MM:SS] [device=ID] [zone=LAYER/CODE] [rule=RULE]
//	unplan NAME                                      the last plan is called off
//	flood N operators                                so many are on shift from here on
//
// ID may be "closed:ID", for the alarm of that device that was open last.
//
// The open alarms of a "=" line also tell of what was done to them:
//
//	shelved-by NAME, claimed-by NAME, for DEPARTMENT[!accepted|!returned],
//	covered-by plan|RULE group KEY, said N, false, chattering
func (s *story) act(verb string, words []string) {
	switch verb {
	case "plan":
		s.makePlan(words)
		return
	case "unplan":
		_, err := s.alarms.EndPlan(s.t.Context(), s.plan, Actor{Name: words[0], Role: "shift_leader"})
		s.answer(err)
		return
	case "flood":
		if _, err := fmt.Sscan(words[0], &s.operators); err != nil {
			s.fail("%v", err)
		}
		return
	case "note":
		got := "calm"
		if f := s.alarms.Flood(); f.On {
			got = "flood"
		}
		if got != words[0] {
			s.fail("it is %s (%+v), want %s", got, s.alarms.Flood(), words[0])
		}
		return
	}
	events := map[string]Event{"remove-service": Remove, "restore": Restore, "false": MarkFalse}
	act := Act{Event: events[verb], Note: verb + " because of the story"}
	if act.Event == "" {
		act.Event = Event(verb)
	}
	if verb == "ack" {
		act.Event, act.Note = Ack, "seen"
	}
	who := Actor{Role: "operator"}
	for i := 2; i < len(words); i++ {
		if words[i] == "blind" {
			act.Note = ""
			continue
		}
		if i+1 == len(words) {
			s.fail("%q says nothing", words[i])
		}
		value := words[i+1]
		var err error
		switch words[i] {
		case "by":
			who.Name = value
		case "as":
			who.Role = value
		case "of":
			who.Department = value
		case "for":
			act.For, err = time.ParseDuration(value)
		case "to":
			act.Department = value
		case "seen":
			_, err = fmt.Sscan(value, &act.Changes)
		default:
			s.fail("%q is no part of an act", words[i])
		}
		if err != nil {
			s.fail("%v", err)
		}
		i++
	}
	id := "gone.gone.1"
	device, closed := strings.CutPrefix(words[1], "closed:")
	for _, record := range s.log.records {
		if text := string(record); closed && strings.Contains(text, `"alarm":{"id":"`+words[0]+"."+device+".") {
			_, after, _ := strings.Cut(text, `"alarm":{"id":"`)
			id, _, _ = strings.Cut(after, `"`)
		}
	}
	for _, a := range s.alarms.List() {
		if a.Rule == words[0] && a.Entity == words[1] {
			id = a.ID
		}
	}
	_, err := s.alarms.Act(s.t.Context(), id, who, act)
	s.answer(err)
}

func (s *story) makePlan(words []string) {
	p := Plan{Reason: "works"}
	for i := 1; i < len(words); i++ {
		name, value, assigns := strings.Cut(words[i], "=")
		switch {
		case assigns && name == "device":
			p.Device = devices.ID(value)
		case assigns && name == "zone":
			p.Zone = value
		case assigns && name == "rule":
			p.Rule = value
		case words[i] == "until":
			p.To, _ = clock(words[i+1])
		case words[i] == "from":
			p.From, _ = clock(words[i+1])
		}
	}
	made, err := s.alarms.Suppress(s.t.Context(), p, Actor{Name: words[0], Role: "shift_leader"})
	s.plan = made.ID
	s.answer(err)
}

// firstBy is who stands in the way of an act.
func firstBy(a *Alarm) string {
	switch {
	case a.Claimed != nil:
		return a.Claimed.By
	case a.Acknowledged != nil:
		return a.Acknowledged.By
	case a.Last != nil:
		return a.Last.By
	}
	return "nobody"
}

func lifeOf(a *Alarm) string {
	var b strings.Builder
	if a.Shelved != nil {
		b.WriteString(" shelved-by " + a.Shelved.By)
	}
	if a.Claimed != nil {
		b.WriteString(" claimed-by " + a.Claimed.By)
	}
	if a.Assigned != nil {
		b.WriteString(" for " + a.Assigned.Department)
		if a.Assigned.Answer != "" {
			b.WriteString("!" + a.Assigned.Answer)
		}
	}
	if c := a.Suppression; c != nil {
		by := c.By
		if c.Alarm != "" {
			by, _, _ = strings.Cut(c.Alarm, ".")
		}
		b.WriteString(" covered-by " + by)
		if c.By == "rule" {
			b.WriteString(" group " + a.Group)
		}
	}
	if n := len(a.Comments); n > 0 {
		fmt.Fprintf(&b, " said %d", n)
	}
	if a.False != nil {
		b.WriteString(" false")
	}
	if a.Chattering {
		b.WriteString(" chattering")
	}
	return b.String()
}
