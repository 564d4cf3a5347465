package alert

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vonglau/devices"
)

// Alarm is one continuous condition of one rule and one device, as it is shown:
// in the API, on the wall, in the log. It is a value; a change makes a new one.
type Alarm struct {
	ID       string            `json:"id"`
	Rule     string            `json:"rule"`
	RuleName map[string]string `json:"ruleName"`
	// Entity is what the alarm is about; Device the device that told, empty for
	// an alarm that many told together.
	Entity   string      `json:"entity"`
	Device   devices.ID  `json:"device"`
	At       *[2]float64 `json:"at"` // longitude, latitude
	Zones    []Zone      `json:"zones"`
	Priority int         `json:"priority"`
	State    State       `json:"state"`
	// Active is whether the condition holds, whatever the state.
	Active bool `json:"active"`
	// Raised and Cleared are event times.
	Raised       time.Time         `json:"raised"`
	Cleared      *time.Time        `json:"cleared,omitempty"`
	Acknowledged *Acknowledgement  `json:"acknowledged,omitempty"`
	Quantity     devices.Quantity  `json:"quantity,omitempty"`
	Value        *float64          `json:"value"`
	Unit         string            `json:"unit"`
	Threshold    *float64          `json:"threshold"`
	Message      map[string]string `json:"message"`
	Response     map[string]string `json:"response"`
	Owner        string            `json:"owner"`
	Simulated    bool              `json:"simulated"`
	// Because is the silent node that a suppressed silence is explained by, and
	// Unreachable how many devices are explained by this alarm's own silence. The
	// latter is of the moment and not in the log.
	Because     devices.ID `json:"because,omitempty"`
	Unreachable int        `json:"unreachable,omitempty"`
	Life
	// Changes counts the transitions of this alarm.
	Changes int `json:"changes"`
}

// silence tells the alarms of silence: they have a limit and measure nothing.
func (a *Alarm) silence() bool { return a.Quantity == "" && a.Threshold != nil }

// Zone is a zone the place of the alarm fell into.
type Zone struct {
	Layer     string       `json:"layer"`
	Code      string       `json:"code"`
	Name      string       `json:"name"`
	ValidFrom devices.Date `json:"validFrom"`
}

// Acknowledgement says who has seen an alarm.
type Acknowledgement struct {
	By   string    `json:"by" personal:"name"`
	ByID string    `json:"byId,omitempty" personal:"account"`
	At   time.Time `json:"at"`
	Note string    `json:"note,omitempty" personal:"text"`
}

// Actor is who made a transition.
type Actor struct {
	Name string `json:"name" personal:"name"`
	Role string `json:"role"`
	// ID names the account, Department where it belongs.
	ID         string `json:"id,omitempty" personal:"account"`
	Department string `json:"department,omitempty"`
	// For is on whose behalf, when it was not the actor's own idea.
	For string `json:"for,omitempty" personal:"name"`
}

// engineActor is the actor of what the rules do.
var engineActor = Actor{Name: "rules", Role: "machine"}

// Transition is one record of the log. Records are numbered from 1 without a
// gap, and each names the hash of the one before, so that a record taken out or
// changed later shows.
type Transition struct {
	N     uint64 `json:"n"`
	Event Event  `json:"event"`
	From  State  `json:"from"`
	To    State  `json:"to"`
	// At is when it happened: event time for what the rules do. Recorded is the
	// server's clock.
	At       time.Time `json:"at"`
	Recorded time.Time `json:"recorded"`
	Who      Actor     `json:"who"`
	Why      string    `json:"why,omitempty" personal:"text"`
	// Prev is the SHA-256 of the record before this one, in hexadecimal.
	Prev string `json:"prev,omitempty"`
	// Alarm is the alarm after the transition.
	Alarm Alarm `json:"alarm"`
}

// ErrNoAlarm is wrapped when no open alarm has the id.
var ErrNoAlarm = errors.New("no open alarm has this id")

// Conflict is the error of an act on an alarm that somebody else has moved
// first. It shows the alarm as it is now.
type Conflict struct {
	Event Event
	Alarm Alarm
}

func (c *Conflict) Error() string {
	a := &c.Alarm
	switch {
	case a.Claimed != nil && (a.Last == nil || a.Last.Event == Hold || a.Last.By != a.Claimed.By):
		return fmt.Sprintf("alarm %s is claimed by %s until %s", a.ID, a.Claimed.By, a.Claimed.Until.Format(time.RFC3339))
	case a.Acknowledged != nil && c.Event == Ack:
		return fmt.Sprintf("alarm %s was acknowledged by %s at %s", a.ID, a.Acknowledged.By, a.Acknowledged.At.Format(time.RFC3339))
	case a.Last != nil:
		return fmt.Sprintf("alarm %s is %s: the last act was %s by %s at %s", a.ID, a.State, a.Last.Event, a.Last.By, a.Last.At.Format(time.RFC3339))
	}
	return fmt.Sprintf("alarm %s is %s after %d changes: %s does not fit there", a.ID, a.State, a.Changes, c.Event)
}

// key names an alarm's condition: there is at most one alarm of each. device is
// the entity: a device, or what a rule over many devices is about, in the form of
// an ID that no device can have, "zone:wards/w-1" or "cluster:ngap-3".
type key struct {
	rule   string
	device devices.ID
}

// many reports whether the entity is no device.
func (k key) many() bool { return strings.Contains(string(k.device), ":") }

func (a *Alarm) key() key { return key{a.Rule, devices.ID(a.Entity)} }

// alarmID is the same however often the same readings are judged.
func alarmID(k key, raised int64) string {
	return k.rule + "." + strings.ReplaceAll(string(k.device), "/", ".") + "." + strconv.FormatInt(raised, 36)
}
