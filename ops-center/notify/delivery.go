package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Message is what a receiver gets: the body of a webhook, a message of the
// stream. It is the same, octet for octet, however often it is tried.
type Message struct {
	Version int `json:"version" enum:"1"`
	// ID is that of the delivery: the same means the same.
	ID           string `json:"id"`
	Subscription string `json:"subscription"`
	Department   string `json:"department"`
	Type         string `json:"type" enum:"event,digest,test"`
	Exercise     bool   `json:"exercise,omitempty" doc:"All of it belongs to a drill: DIỄN TẬP"`
	// Event is set for an event, Events for a digest.
	Event  *Event   `json:"event,omitempty"`
	Events []*Event `json:"events,omitempty"`
	Text   string   `json:"text,omitempty" doc:"Of a test"`

	// mailed are those who have it by mail, between attempts.
	mailed map[string]bool
}

// The types of messages.
const (
	typeEvent  = "event"
	typeDigest = "digest"
	typeTest   = "test"
)

// maxDigest bounds the events of one digest; more make the next.
const maxDigest = 200

// deliveryID is the same for the same events of the same subscription.
func deliveryID(sub, what string, seq uint64) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", sub, what, seq))
	return hex.EncodeToString(h[:16])
}

// message makes the delivery of events: one as itself, a digest of what was held.
func (s *Subscription) message(events []*Event, digest bool) *Message {
	m := &Message{Version: 1, Subscription: s.ID, Department: s.Department}
	switch {
	case digest:
		m.Type, m.Events = typeDigest, events
	case events[0].Kind == typeTest:
		m.Type, m.Event, m.Text = typeTest, events[0], in(events[0].Text, s.Language)
	default:
		m.Type, m.Event = typeEvent, events[0]
	}
	m.ID = deliveryID(s.ID, m.Type, events[0].Seq)
	m.Exercise = true
	for _, e := range events {
		m.Exercise = m.Exercise && e.Exercise != ""
	}
	return m
}

func (m *Message) events() []*Event {
	if m.Event != nil {
		return []*Event{m.Event}
	}
	return m.Events
}

// body is the message as it travels.
func (m *Message) body() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding delivery %s: %w", m.ID, err)
	}
	return b, nil
}

// State is what became of a delivery.
type State string

// The states. The strings are stored: never rename one.
const (
	Delivered State = "delivered"
	Retrying  State = "retrying"  // tried in vain, and tried again
	Dead      State = "dead"      // not tried any more
	Held      State = "held"      // by quiet hours or for a digest
	PutAway   State = "put_away"  // a dead letter somebody does not want any more
	Resending State = "resending" // a dead letter on its way again
)

// Receipt is what is known of a delivery.
type Receipt struct {
	ID           string `json:"id"`
	Subscription string `json:"subscription"`
	State        State  `json:"state" enum:"delivered,retrying,dead,held,put_away,resending"`
	Type         string `json:"type" enum:"event,digest,test"`
	// First and Last are the events in it, Events how many.
	First  uint64 `json:"first,omitempty"`
	Last   uint64 `json:"last,omitempty"`
	Events int    `json:"events"`
	// Kind, Priority and Title are of its first event, for lists.
	Kind     string            `json:"kind,omitempty"`
	Priority int               `json:"priority,omitempty"`
	Title    map[string]string `json:"title,omitempty"`
	Exercise bool              `json:"exercise,omitempty"`
	// Due is when it could go out first, At when it was last tried, Next when it
	// will be.
	Due      time.Time  `json:"due"`
	At       time.Time  `json:"at"`
	Next     *time.Time `json:"next,omitempty"`
	Attempts int        `json:"attempts"`
	// Took is how long the last attempt took, Latency how long after it was due
	// it arrived, in milliseconds.
	Took    float64 `json:"took" doc:"Milliseconds of the last attempt"`
	Latency float64 `json:"latency,omitempty" doc:"Milliseconds from due to receipt"`
	// Answer is the receiver's status, Digest the SHA-256 of the beginning of
	// what it said.
	Answer string `json:"answer,omitempty"`
	Digest string `json:"digest,omitempty"`
	Error  string `json:"error,omitempty"`
	Resent bool   `json:"resent,omitempty" doc:"It had been a dead letter"`

	// Session is who acknowledged it on a stream.
	Session string `json:"session,omitempty"`

	// Cursor and Ahead are the subscription's places after it.
	Cursor uint64 `json:"cursor,omitempty"`
	Ahead  uint64 `json:"ahead,omitempty"`
}

// receipt begins the record of a message.
func (m *Message) receipt(due time.Time) Receipt {
	r := Receipt{ID: m.ID, Subscription: m.Subscription, Type: m.Type, Exercise: m.Exercise, Due: due}
	if events := m.events(); len(events) > 0 {
		first := events[0]
		r.First, r.Last, r.Events = first.Seq, events[len(events)-1].Seq, len(events)
		r.Kind, r.Priority, r.Title = first.Kind, first.Priority, first.Title
	}
	return r
}
