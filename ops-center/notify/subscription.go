package notify

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

// Kind is how a subscription is served.
type Kind string

// The kinds. The strings are stored: never rename one.
const (
	Webhook Kind = "webhook"
	Email   Kind = "email"
	Stream  Kind = "stream" // MQTT and WebSocket: the receiver comes and fetches
	Atom    Kind = "atom"
)

// pulled kinds are fetched by their receiver, so nothing is pushed or held.
func (k Kind) pulled() bool { return k == Stream || k == Atom }

// Subscription is what one department wants to be told and how. It is a value; a
// change makes a new one. Secrets are not in it.
type Subscription struct {
	ID         string `json:"id"`
	Department string `json:"department" doc:"Its name in the register of departments"`
	Name       string `json:"name" doc:"What people call it"`
	Filter     Filter `json:"filter"`
	Kind       Kind   `json:"kind" enum:"webhook,email,stream,atom"`
	// URL and Format are a webhook's.
	URL    string `json:"url,omitempty"`
	Format string `json:"format,omitempty" enum:"json,cap" doc:"What a webhook is sent: application/json or application/cap+xml"`
	// To is who gets mail.
	To []string `json:"to,omitempty"`
	// Language is the one that comes first in mails.
	Language string `json:"language,omitempty" enum:"vi,en"`
	Paused   bool   `json:"paused"`
	Quiet    *Quiet `json:"quiet,omitempty"`
	// Digest gathers what is held.
	Digest     string      `json:"digest,omitempty" enum:"hour,day" doc:"Deliver together once an hour or a day; priority 1 comes at once"`
	Escalation *Escalation `json:"escalation,omitempty"`
	Created    time.Time   `json:"created"`
	CreatedBy  string      `json:"createdBy"`
	Changed    time.Time   `json:"changed"`
	ChangedBy  string      `json:"changedBy"`
}

// Filter says what a subscription is about. An empty part leaves nothing out.
type Filter struct {
	// Events are kinds such as alarm.raised.
	Events     []string           `json:"events,omitempty" maxItems:"20"`
	Categories []string           `json:"categories,omitempty" maxItems:"20" doc:"CAP categories, such as Met or Env"`
	Priorities []int              `json:"priorities,omitempty" maxItems:"4"`
	Zones      []ZoneFilter       `json:"zones,omitempty" maxItems:"500"`
	Quantities []devices.Quantity `json:"quantities,omitempty" maxItems:"100"`
	Rules      []string           `json:"rules,omitempty" maxItems:"500"`
	Owners     []string           `json:"owners,omitempty" maxItems:"100" doc:"Departments that answer for the rule"`
	Incidents  []string           `json:"incidents,omitempty" maxItems:"100" doc:"Kinds of incidents"`
	// Exercises are told as well, marked as such. Without it a drill is never
	// heard of.
	Exercises bool `json:"exercises,omitempty" doc:"Tell of drills as well"`
	// Within bounds all of the above to what an officer may see. Public messages
	// are for everybody.
	Within *Within `json:"within,omitempty" doc:"Alarms of this department, in these wards, only. An officer's own bounds are set by the server; left out in a change, it stays; {} lifts it, for who manages people"`
}

// Within is what an officer who subscribed may see.
type Within struct {
	Department string   `json:"department,omitempty" maxLength:"200"`
	Wards      []string `json:"wards,omitempty" maxItems:"500"`
}

// has reports whether an event is in the bounds.
func (w *Within) has(e *Event) bool {
	if w == nil || e.Alarm == nil {
		return true
	}
	answers := e.Owner
	if e.Answers != nil {
		answers = *e.Answers
	}
	return (w.Department == "" || SameDepartment(w.Department, answers)) &&
		(len(w.Wards) == 0 || slices.ContainsFunc(e.Zones, func(z alert.Zone) bool { return slices.Contains(w.Wards, z.Code) }))
}

// ZoneFilter is one zone, or all of a layer when it has no code.
type ZoneFilter struct {
	Layer string `json:"layer" minLength:"1" maxLength:"64"`
	Code  string `json:"code,omitempty" maxLength:"64"`
}

// Quiet is a part of the day, in the city's calendar. It may pass midnight.
type Quiet struct {
	From string `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"22:00"`
	To   string `json:"to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"06:00"`
}

// Escalation names who is told next.
type Escalation struct {
	After string `json:"after" doc:"A duration of 1m to 24h" example:"5m"`
	To    string `json:"to" doc:"Another subscription"`
	// Until is what there has to be in time.
	Until string `json:"until,omitempty" enum:"receipt,acknowledged" doc:"What stops it: the receiver's receipt (default), or that somebody has acknowledged the alarm"`
}

const (
	maxSubscriptions = 2000
	maxText          = 200
	maxEscalation    = 24 * time.Hour
	maxChain         = 8
)

// categories are those of CAP 1.2.
var categories = []string{"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"}

// Categories lists what a filter may name.
func Categories() []string { return slices.Clone(categories) }

// EventKinds lists what a filter may name.
func EventKinds() []string { return slices.Clone(eventKinds) }

// Invalid is the error of a subscription that cannot be: Field says where.
type Invalid struct{ Field, Why string }

func (e *Invalid) Error() string { return e.Field + ": " + e.Why }

func invalid(field, format string, args ...any) error {
	return &Invalid{field, fmt.Sprintf(format, args...)}
}

// validate finds what is wrong with a subscription by itself.
func (s *Subscription) validate() error {
	for field, text := range map[string]string{"name": s.Name, "department": s.Department} {
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			return invalid(field, "at most %d bytes of UTF-8 in one line", maxText)
		}
	}
	if strings.TrimSpace(s.Department) == "" {
		return invalid("department", "name the department that subscribes")
	}
	if err := s.Filter.validate(); err != nil {
		return err
	}
	switch s.Kind {
	case Webhook:
		if s.URL == "" {
			return invalid("url", "a webhook has an address")
		}
		if s.Format != "json" && s.Format != "cap" {
			return invalid("format", "json or cap")
		}
	case Email:
		if len(s.To) == 0 || len(s.To) > 50 {
			return invalid("to", "1 to 50 mail addresses")
		}
		for _, to := range s.To {
			a, err := mail.ParseAddress(to)
			if err != nil || a.Address != to || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return invalid("to", "%.100q is no mail address as name@host", to)
			}
		}
	case Stream, Atom:
	default:
		return invalid("kind", "webhook, email, stream or atom")
	}
	switch {
	case s.Kind != Webhook && (s.URL != "" || s.Format != ""):
		return invalid("url", "only a webhook has an address and a format")
	case s.Kind != Email && len(s.To) > 0:
		return invalid("to", "only mail has addresses of mail")
	case s.Kind.pulled() && (s.Quiet != nil || s.Digest != ""):
		return invalid("digest", "nothing is held back of what the receiver fetches itself")
	case s.Kind == Atom && s.Escalation != nil:
		return invalid("escalation", "who reads a feed gives no receipt")
	case s.Language != "vi" && s.Language != "en":
		return invalid("language", "vi or en")
	case s.Digest != "" && s.Digest != "hour" && s.Digest != "day":
		return invalid("digest", "hour or day")
	}
	if q := s.Quiet; q != nil {
		from, ok1 := minutes(q.From)
		to, ok2 := minutes(q.To)
		if !ok1 || !ok2 || from == to {
			return invalid("quiet", "%q to %q: write two different times such as 22:00 and 06:00", q.From, q.To)
		}
	}
	if e := s.Escalation; e != nil {
		d, err := time.ParseDuration(e.After)
		if err != nil || d < time.Minute || d > maxEscalation {
			return invalid("escalation.after", "%q: a duration of 1m to 24h", e.After)
		}
		if e.To == "" || e.To == s.ID {
			return invalid("escalation.to", "name another subscription")
		}
		if e.Until != "receipt" && e.Until != "acknowledged" {
			return invalid("escalation.until", "receipt or acknowledged")
		}
	}
	return nil
}

func (f *Filter) validate() error {
	if w := f.Within; w != nil && (len(w.Wards) > 500 || len(w.Department) > maxText) {
		return invalid("filter.within", "it is too long")
	}
	if len(f.Events) > 20 || len(f.Categories) > 20 || len(f.Priorities) > 4 || len(f.Zones) > 500 || len(f.Quantities) > 100 ||
		len(f.Rules) > 500 || len(f.Owners) > 100 || len(f.Incidents) > 100 {
		return invalid("filter", "a list is too long")
	}
	for _, e := range f.Events {
		if !slices.Contains(eventKinds, e) {
			return invalid("filter.events", "%.60q is not one of %s", e, strings.Join(eventKinds, ", "))
		}
	}
	for _, c := range f.Categories {
		if !slices.Contains(categories, c) {
			return invalid("filter.categories", "%.60q is not one of %s", c, strings.Join(categories, ", "))
		}
	}
	for _, p := range f.Priorities {
		if p < 1 || p > 4 {
			return invalid("filter.priorities", "%d: priorities are 1 to 4", p)
		}
	}
	for _, z := range f.Zones {
		if z.Layer == "" {
			return invalid("filter.zones", "a zone is of a layer")
		}
	}
	return nil
}

// matches reports whether an event is what the filter is about. What an event
// does not have at all is no match for a filter that asks for it.
func (f *Filter) matches(e *Event) bool {
	if e.Exercise != "" && !f.Exercises || !f.Within.has(e) {
		return false
	}
	has := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	if !has(f.Events, e.Kind) || !has(f.Categories, e.Category) && !slices.ContainsFunc(e.Categories, func(c string) bool { return slices.Contains(f.Categories, c) }) || !has(f.Rules, e.Rule) || !has(f.Incidents, e.Incident) {
		return false
	}
	if len(f.Owners) > 0 && !slices.ContainsFunc(f.Owners, func(o string) bool { return SameDepartment(o, e.Owner) }) {
		return false
	}
	if len(f.Priorities) > 0 && !slices.Contains(f.Priorities, e.Priority) {
		return false
	}
	if len(f.Quantities) > 0 && !slices.Contains(f.Quantities, e.Quantity) {
		return false
	}
	return len(f.Zones) == 0 || slices.ContainsFunc(f.Zones, func(z ZoneFilter) bool {
		return slices.ContainsFunc(e.Zones, func(in alert.Zone) bool { return in.Layer == z.Layer && (z.Code == "" || in.Code == z.Code) })
	})
}

// wants reports whether the event is to be delivered to the subscription: what
// is addressed is for its addressee alone.
func (s *Subscription) wants(e *Event) bool {
	if e.Target != "" {
		return e.Target == s.ID
	}
	return s.Filter.matches(e)
}

// minutes reads "22:30" as minutes of the day.
func minutes(text string) (int, bool) {
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == 5
}

// ahead reports whether an event waits for nothing: the most urgent ones, and what
// is addressed to one receiver.
func ahead(e *Event) bool { return e.Priority == 1 || e.Target != "" }

// release is when an event may be delivered: at once, which is the zero time, or
// when what holds it is over. What came into the feed after that is too late for
// it and goes at once, so that the feed alone says what goes together.
func (s *Subscription) release(e *Event, calendar *time.Location) time.Time {
	at := s.holdsUntil(e, calendar)
	if !e.Fed.IsZero() && !e.Fed.Before(at) {
		return time.Time{}
	}
	return at
}

// holdsUntil is the end of what holds an event, the zero time when nothing does.
func (s *Subscription) holdsUntil(e *Event, calendar *time.Location) time.Time {
	if ahead(e) || s.Quiet == nil && s.Digest == "" {
		return time.Time{}
	}
	at := e.Recorded.In(calendar)
	day := func(d int) time.Time { return time.Date(at.Year(), at.Month(), at.Day()+d, 0, 0, 0, 0, calendar) }
	out := time.Time{}
	switch s.Digest {
	case "hour":
		out = time.Date(at.Year(), at.Month(), at.Day(), at.Hour()+1, 0, 0, 0, calendar)
	case "day":
		out = day(1)
	}
	// What becomes due in quiet hours is due at their end.
	due := at
	if !out.IsZero() {
		due = out
	}
	if end, quiet := s.quietUntil(due.In(calendar)); quiet {
		out = end
	}
	return out
}

// quietUntil gives the end of the quiet hours that at lies in.
func (s *Subscription) quietUntil(at time.Time) (time.Time, bool) {
	if s.Quiet == nil {
		return time.Time{}, false
	}
	from, _ := minutes(s.Quiet.From)
	to, _ := minutes(s.Quiet.To)
	m := at.Hour()*60 + at.Minute()
	on := func(d int) time.Time {
		return time.Date(at.Year(), at.Month(), at.Day()+d, to/60, to%60, 0, 0, at.Location())
	}
	switch {
	case from < to && from <= m && m < to:
		return on(0), true
	case from > to && m >= from:
		return on(1), true
	case from > to && m < to:
		return on(0), true
	}
	return time.Time{}, false
}

// SameDepartment compares names as people do: case and white space do not
// matter.
func SameDepartment(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// address of a webhook as it may be shown and logged: a query may hold a key.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}

// ErrNone is wrapped when there is no such subscription or delivery.
var ErrNone = errors.New("there is none with this id")
