package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

// Event is one thing to tell, as it is in the feed. It has the fields filters
// ask for on top, and what it is about whole.
type Event struct {
	// Seq is its number in the feed; Source and SourceSeq where it came from.
	Seq       uint64 `json:"seq"`
	Source    string `json:"source"`
	SourceSeq uint64 `json:"sourceSeq"`
	Kind      string `json:"kind"`
	// At is when it happened, Recorded when it was written down.
	At       time.Time `json:"at"`
	Recorded time.Time `json:"recorded"`
	// Fed is when it was put into the feed, by the clock of the server. Events of
	// an older feed have none.
	Fed      time.Time `json:"fed,omitzero" doc:"When it was put in line for all subscribers"`
	Priority int       `json:"priority,omitempty"`
	Category string    `json:"category,omitempty" doc:"CAP category"`
	// Categories are all of a message that has several.
	Categories []string `json:"categories,omitempty" doc:"All CAP categories, when there are several"`
	Exercise   string   `json:"exercise,omitempty" doc:"The drill it belongs to, or the warning that is practised; nothing of it is real"`
	Rule       string   `json:"rule,omitempty"`
	Owner      string   `json:"owner,omitempty" doc:"The department answerable"`
	// Answers is the department that saw to it when it happened: whom it is
	// assigned to, else the device's, else the rule's. nil where nobody said.
	Answers  *string           `json:"answers,omitempty" doc:"The department that it is assigned to, else that of the device, else that of the rule"`
	Quantity devices.Quantity  `json:"quantity,omitempty"`
	Incident string            `json:"incident,omitempty"`
	Zones    []alert.Zone      `json:"zones,omitempty"`
	Title    map[string]string `json:"title" doc:"By language tag"`
	Text     map[string]string `json:"text,omitempty" doc:"By language tag"`
	Response map[string]string `json:"response,omitempty" doc:"What is to be done, by language tag"`
	Who      string            `json:"who,omitempty" doc:"Who did it; rules for what the rules found"`
	Why      string            `json:"why,omitempty"`
	// Alarm is the alarm after the event; Warning the identifier of a public
	// message, CAP the message itself.
	Alarm   *alert.Alarm `json:"alarm,omitempty"`
	Warning string       `json:"warning,omitempty"`
	CAP     string       `json:"cap,omitempty" doc:"A public message as CAP 1.2, as it was issued"`
	// Area is what the message calls its area, Expires when it ends by itself.
	Area    map[string]string `json:"area,omitempty" doc:"By language tag"`
	Expires *time.Time        `json:"expires,omitempty" doc:"When a public message ends by itself"`
	// Link is the page of this server that shows it, as the address of the server
	// was when it was written down: a delivery tried again is the same octets.
	Link string `json:"link,omitempty" doc:"The page that shows it, for whoever may log in"`
	// Target addresses an event to one subscription; Of is the event it repeats,
	// From the subscription that gave no receipt, Depth how often it went on.
	Target string `json:"target,omitempty"`
	Of     uint64 `json:"of,omitempty"`
	From   string `json:"from,omitempty"`
	Depth  int    `json:"depth,omitempty"`
}

// The kinds of events. The strings are stored and part of the format.
const (
	AlarmRaised       = "alarm.raised"
	AlarmCleared      = "alarm.cleared"
	AlarmAcknowledged = "alarm.acknowledged"
	AlarmWithdrawn    = "alarm.withdrawn" // shelved, suppressed or out of service
	WarningIssued     = "warning.issued"
	WarningUpdated    = "warning.updated"
	WarningCancelled  = "warning.cancelled"
	IncidentChanged   = "incident.changed"
)

var eventKinds = []string{AlarmRaised, AlarmCleared, AlarmAcknowledged, AlarmWithdrawn, WarningIssued, WarningUpdated, WarningCancelled, IncidentChanged}

// Follower is an append-only log that can be followed. *journal.Log is one.
type Follower interface {
	Follow(ctx context.Context, from uint64, f func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Source is a log whose records are told.
type Source struct {
	Name string
	Log  Follower
	// Event makes an event of a record, nil of one that is nobody's business.
	// An error leaves the record out, and is counted.
	Event func(at time.Time, subject string, data []byte) (*Event, error)
}

// Alarms is the source of what happens to alarms.
func Alarms(log Follower) Source { return Source{Name: "alarms", Log: log, Event: alarmEvent} }

// alarmMore are fields that alarms have in the log and that are filtered by.
type alarmMore struct {
	Alarm struct {
		Category string `json:"category"`
		Exercise string `json:"exercise"`
	} `json:"alarm"`
}

func alarmEvent(_ time.Time, subject string, data []byte) (*Event, error) {
	if subject != "alarm" {
		return nil, nil
	}
	var t alert.Transition
	var more alarmMore
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("a transition: %w", err)
	}
	if err := json.Unmarshal(data, &more); err != nil {
		return nil, fmt.Errorf("a transition: %w", err)
	}
	kind := alarmKind(&t)
	if kind == "" {
		return nil, nil
	}
	a := &t.Alarm
	e := &Event{
		Kind: kind, At: t.At, Recorded: t.Recorded, Priority: a.Priority, Category: more.Alarm.Category, Exercise: more.Alarm.Exercise,
		Rule: a.Rule, Owner: a.Owner, Quantity: a.Quantity, Zones: a.Zones, Title: a.RuleName, Text: a.Message, Response: a.Response,
		Who: t.Who.Name, Why: t.Why, Alarm: a,
	}
	return e, nil
}

// alarmKind says what a transition is to those outside: only what they see of
// an alarm counts.
func alarmKind(t *alert.Transition) string {
	was, is := t.From.Shown(), t.To.Shown()
	switch {
	case !was && is, t.Event == alert.Raise && is:
		return AlarmRaised
	case t.Event == alert.Clear && was:
		return AlarmCleared
	case t.Event == alert.Ack && was:
		return AlarmAcknowledged
	case was && !is:
		return AlarmWithdrawn
	}
	return ""
}
