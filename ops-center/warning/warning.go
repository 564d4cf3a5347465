// Package warning is the city's public messages: the chain from a draft over the
// approval of a second person to a CAP message in force, its updates, and its
// end.
//
// # Chain
//
// A warning begins as a draft. Whoever drafted, edited or submitted it cannot
// approve it. The approval sends: the message is composed, held to every rule of
// cap12, written once and kept, and what was written is what everybody gets from
// then on, byte for byte. An update and a cancellation are drafts of the same
// warning and go the same way; each refers to all messages of the warning that
// are still in force. Time alone ends a message: nothing has to run for that.
//
// # Record
//
// All of it is the fold of a log (Log), one record an act, on disk before anybody
// is told. Records are numbered from 1 without a gap and each names the SHA-256
// of the one before, so that one taken out or changed shows. At gives the
// warnings as they stood at any time. A record is JSON:
//
//	{"n": 7, "prev": "…", "at": "…", "act": "sent", "by": {…}, "id": "2026-0003",
//	 "draft": {…} or null after the act, "message": {…}, "xml": "…"}
//
// # Two at once
//
// An act names the version of the warning it was decided on. When somebody else
// was first it is refused with a *Conflict that shows what there is now.
//
// # Exercise
//
// A warning of a drill is one from its first draft to its end. Its messages have
// status Exercise, a note, and DIỄN TẬP on whatever people read, put there by
// Compose and not by whoever writes the text; they are in a feed of their own.
//
// # Official and technical
//
// A level of disaster risk is announced by the hydromet authority. It is in a
// message only with the bulletin it came from, and nothing here computes one.
package warning

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vonglau/ops-center/cap12"
)

// Text is said in both languages.
type Text struct {
	VI string `json:"vi" yaml:"vi"`
	EN string `json:"en" yaml:"en"`
}

// Person is who acts.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// Zone names a zone of a layer.
type Zone struct {
	Layer string `json:"layer"`
	Code  string `json:"code"`
}

// Bulletin is the official one that a level of risk was announced by.
type Bulletin struct {
	Level  int       `json:"level"` // 1 to 5
	Number string    `json:"number"`
	Issuer string    `json:"issuer"`
	Time   time.Time `json:"time"`
	Area   string    `json:"area"`
}

// Content is what people decide of a message; Compose adds the rest.
type Content struct {
	Template      string     `json:"template,omitempty"`
	Categories    []string   `json:"categories"`
	ResponseTypes []string   `json:"responseTypes"`
	Urgency       string     `json:"urgency"`
	Severity      string     `json:"severity"`
	Certainty     string     `json:"certainty"`
	Event         Text       `json:"event"`
	Headline      Text       `json:"headline"`
	Description   Text       `json:"description"`
	Instruction   Text       `json:"instruction"`
	AreaName      Text       `json:"areaName"`
	Onset         *time.Time `json:"onset,omitempty"`
	Expires       time.Time  `json:"expires"`
	// The area is these zones and what was drawn.
	Zones    []Zone          `json:"zones"`
	Polygons [][]cap12.Point `json:"polygons"`
	Bulletin *Bulletin       `json:"bulletin,omitempty"`
	// Note is for those who handle the message; of an exercise it says which.
	Note string `json:"note,omitempty"`
	// Alarms are the ids of those the message is about.
	Alarms []string `json:"alarms"`
}

// Bounds of a draft.
const (
	maxZones    = 200
	maxDrawn    = 50
	maxAlarms   = 200
	maxLifetime = 7 * 24 * time.Hour
)

// validate holds a draft to what can be kept at all. Whether it can be sent is
// for cap12 to say, when it is looked at and when it is sent.
func (c *Content) validate() error {
	switch {
	case len(c.Zones) > maxZones:
		return fmt.Errorf("%w: %d zones, at most %d", ErrContent, len(c.Zones), maxZones)
	case len(c.Polygons) > maxDrawn:
		return fmt.Errorf("%w: %d polygons, at most %d", ErrContent, len(c.Polygons), maxDrawn)
	case len(c.Alarms) > maxAlarms:
		return fmt.Errorf("%w: %d alarms, at most %d", ErrContent, len(c.Alarms), maxAlarms)
	}
	for _, t := range []Text{c.Event, c.Headline, c.Description, c.Instruction, c.AreaName, {c.Note, ""}} {
		if len(t.VI) > 40_000 || len(t.EN) > 40_000 {
			return fmt.Errorf("%w: a text of more than 40,000 bytes", ErrContent)
		}
	}
	for _, p := range c.Polygons {
		if len(p) > maxRing {
			return fmt.Errorf("%w: a polygon of %d points, at most %d", ErrContent, len(p), maxRing)
		}
	}
	if b := c.Bulletin; b != nil {
		if b.Level < 1 || b.Level > 5 {
			return fmt.Errorf("%w: level %d: disaster risk has levels 1 to 5", ErrContent, b.Level)
		}
		if strings.TrimSpace(b.Number) == "" || strings.TrimSpace(b.Issuer) == "" || b.Time.IsZero() || strings.TrimSpace(b.Area) == "" {
			return fmt.Errorf("%w: a level of risk comes with its bulletin: number, issuer, time and area", ErrContent)
		}
	}
	return nil
}

// Stamp says who did something, when and why.
type Stamp struct {
	By     Person    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Draft is a message in the making.
type Draft struct {
	MsgType string  `json:"msgType"` // Alert, Update or Cancel
	Content Content `json:"content"`
	// Area is what the zones and the drawing come to: what will be sent.
	Area [][]cap12.Point `json:"area"`
	// Authors are all who had a hand in it, the one who began it first.
	Authors   []Person `json:"authors"`
	Submitted *Stamp   `json:"submitted,omitempty"`
	// Returned is why it came back, until it is submitted again.
	Returned *Stamp `json:"returned,omitempty"`
}

func (d *Draft) wrote(id string) bool {
	return slices.ContainsFunc(d.Authors, func(p Person) bool { return p.ID == id })
}

// Message is one that was sent.
type Message struct {
	Identifier string            `json:"identifier"`
	MsgType    string            `json:"msgType"`
	Sent       time.Time         `json:"sent"`
	Expires    time.Time         `json:"expires"`
	References []cap12.Reference `json:"references,omitempty"`
	Content    Content           `json:"content"`
	Area       [][]cap12.Point   `json:"area"`
	Authors    []Person          `json:"authors"`
	ApprovedBy Person            `json:"approvedBy"`
	// Digest is the SHA-256 of the message as it was sent, in hexadecimal.
	Digest string `json:"digest"`
}

// State is where a warning is.
type State string

// The states. Those of drafts are of a warning that has sent nothing yet; one in
// force may have a draft all the same.
const (
	Drafted   State = "draft"
	Waiting   State = "waiting"   // for a second person
	InForce   State = "in_force"  //
	Cancelled State = "cancelled" // by a Cancel
	Expired   State = "expired"   // by time
	Discarded State = "discarded" // never sent
)

// Warning is one chain as it stands. It is a value; a change makes a new one.
type Warning struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	// Exercise marks one that is practised; Drill is the drill it is of.
	Exercise bool      `json:"exercise"`
	Drill    string    `json:"drill,omitempty"`
	Created  Stamp     `json:"created"`
	Changed  time.Time `json:"changed"`
	Draft    *Draft    `json:"draft,omitempty"`
	// Messages were sent, oldest first.
	Messages []Message `json:"messages"`
	// Lapse is the decision to let the newest message expire.
	Lapse     *Stamp `json:"lapse,omitempty"`
	Discarded *Stamp `json:"discarded,omitempty"`
}

// State tells where the warning is at a time.
func (w *Warning) State(now time.Time) State {
	if n := len(w.Messages); n > 0 {
		switch last := &w.Messages[n-1]; {
		case last.MsgType == "Cancel":
			return Cancelled
		case !last.Expires.After(now):
			return Expired
		}
		return InForce
	}
	switch {
	case w.Draft == nil:
		return Discarded
	case w.Draft.Submitted != nil:
		return Waiting
	}
	return Drafted
}

// last is the newest message, nil before the first.
func (w *Warning) last() *Message {
	if len(w.Messages) == 0 {
		return nil
	}
	return &w.Messages[len(w.Messages)-1]
}

// open are the messages a further one has to refer to: none after the end.
func (w *Warning) open(sender string, now time.Time) []cap12.Reference {
	var list []cap12.Reference
	if w.State(now) != InForce {
		return nil
	}
	for i := range w.Messages {
		if m := &w.Messages[i]; m.Expires.After(now) {
			list = append(list, cap12.Reference{Sender: sender, Identifier: m.Identifier, Sent: m.Sent})
		}
	}
	return list
}

// Errors of acts.
var (
	ErrNone       = errors.New("there is no such warning")
	ErrContent    = errors.New("the draft cannot be kept")
	ErrState      = errors.New("the warning has moved on")
	ErrSamePerson = errors.New("whoever wrote a message cannot approve it; ask a second person")
	ErrConfirm    = errors.New("the approval is confirmed by typing the number of the warning")
)

// Conflict is the error of an act decided on what is not so any more.
type Conflict struct{ Warning Warning }

func (c *Conflict) Error() string {
	return fmt.Sprintf("warning %s was changed at %s by somebody else", c.Warning.ID, c.Warning.Changed.Format(time.RFC3339))
}

// Unfit is the error of sending what is against the rules.
type Unfit struct{ Problems []cap12.Problem }

func (u *Unfit) Error() string {
	for _, p := range u.Problems {
		if p.Level == cap12.Error {
			return "the message cannot be sent: " + p.Error()
		}
	}
	return "the message cannot be sent"
}

// newestFirst orders warnings.
func newestFirst(a, b Warning) int {
	return cmp.Or(b.Created.At.Compare(a.Created.At), cmp.Compare(b.ID, a.ID))
}
