// Package cap12 is the Common Alerting Protocol 1.2 (OASIS, CAP-v1.2-os): what a
// message says, how it is written, how one is read, and everything that is wrong
// with it, the XML Schema's rules and those the schema cannot express.
//
// Read never trusts its input: no document type, no entity, bounds on bytes,
// depth, points and elements, before anything is kept. It goes on after a fault
// where it can, so that a person is shown all of them. It also reads CAP 1.1,
// which agencies still publish; Encode writes 1.2 only.
//
// Encode writes elements in the schema's order and times as CAP wants them, with
// an offset, without a fraction, UTC as -00:00. The same message always gives
// the same bytes.
package cap12

import "time"

// Namespace is that of CAP 1.2, namespace11 the one before.
const (
	Namespace   = "urn:oasis:names:tc:emergency:cap:1.2"
	namespace11 = "urn:oasis:names:tc:emergency:cap:1.1"
	signature   = "http://www.w3.org/2000/09/xmldsig#"
)

// MediaType is the one of a message (CAP-v1.2-os section 3.3.1.3 leaves it to the
// feed; application/cap+xml is what feeds use).
const MediaType = "application/cap+xml"

// Bounds of what is read.
const (
	// MaxBytes bounds a message.
	MaxBytes = 1 << 20
	// maxDepth is more than the schema needs; a signature is what goes deep.
	maxDepth = 24
	// maxElements bounds the elements of a message.
	maxElements = 20_000
	// MaxPoints bounds the points of all its polygons, maxRing those of one.
	MaxPoints = 20_000
	maxRing   = 5_000
)

// The words of the standard, in its order.
var (
	Statuses      = []string{"Actual", "Exercise", "System", "Test", "Draft"}
	MsgTypes      = []string{"Alert", "Update", "Cancel", "Ack", "Error"}
	Scopes        = []string{"Public", "Restricted", "Private"}
	Categories    = []string{"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"}
	ResponseTypes = []string{"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"}
	Urgencies     = []string{"Immediate", "Expected", "Future", "Past", "Unknown"}
	Severities    = []string{"Extreme", "Severe", "Moderate", "Minor", "Unknown"}
	Certainties   = []string{"Observed", "Likely", "Possible", "Unlikely", "Unknown"}
)

// Alert is one message.
type Alert struct {
	// Version is of what was read, "1.2" or "1.1".
	Version    string `json:"version,omitempty"`
	Identifier string `json:"identifier"`
	// Sender names who sends it, for the whole world and for good.
	Sender      string      `json:"sender"`
	Sent        time.Time   `json:"sent,omitzero"`
	Status      string      `json:"status"`
	MsgType     string      `json:"msgType"`
	Source      string      `json:"source,omitempty"`
	Scope       string      `json:"scope"`
	Restriction string      `json:"restriction,omitempty"`
	Addresses   []string    `json:"addresses,omitempty"`
	Codes       []string    `json:"codes,omitempty"`
	Note        string      `json:"note,omitempty"`
	References  []Reference `json:"references,omitempty"`
	Incidents   []string    `json:"incidents,omitempty"`
	Infos       []Info      `json:"infos,omitempty"`
}

// Reference names a message.
type Reference struct {
	Sender     string    `json:"sender"`
	Identifier string    `json:"identifier"`
	Sent       time.Time `json:"sent"`
}

// Same reports whether two references name one message.
func (r Reference) Same(o Reference) bool {
	return r.Sender == o.Sender && r.Identifier == o.Identifier
}

// Reference is how others refer to the message.
func (a *Alert) Reference() Reference { return Reference{a.Sender, a.Identifier, a.Sent} }

// Expires is when the last of its blocks ends, zero when one never does.
func (a *Alert) Expires() time.Time {
	var last time.Time
	for i := range a.Infos {
		e := a.Infos[i].Expires
		if e.IsZero() {
			return time.Time{}
		}
		if e.After(last) {
			last = e
		}
	}
	return last
}

// Info is what a message says in one language.
type Info struct {
	// Language is a tag of RFC 3066; empty means en-US.
	Language      string     `json:"language,omitempty"`
	Categories    []string   `json:"categories"`
	Event         string     `json:"event"`
	ResponseTypes []string   `json:"responseTypes,omitempty"`
	Urgency       string     `json:"urgency"`
	Severity      string     `json:"severity"`
	Certainty     string     `json:"certainty"`
	Audience      string     `json:"audience,omitempty"`
	EventCodes    []Pair     `json:"eventCodes,omitempty"`
	Effective     time.Time  `json:"effective,omitzero"`
	Onset         time.Time  `json:"onset,omitzero"`
	Expires       time.Time  `json:"expires,omitzero"`
	SenderName    string     `json:"senderName,omitempty"`
	Headline      string     `json:"headline,omitempty"`
	Description   string     `json:"description,omitempty"`
	Instruction   string     `json:"instruction,omitempty"`
	Web           string     `json:"web,omitempty"`
	Contact       string     `json:"contact,omitempty"`
	Parameters    []Pair     `json:"parameters,omitempty"`
	Resources     []Resource `json:"resources,omitempty"`
	Areas         []Area     `json:"areas,omitempty"`
}

// Pair is a value of a vocabulary that valueName names.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Resource is a file that belongs to a message.
type Resource struct {
	Description string `json:"description"`
	MIMEType    string `json:"mimeType"`
	Size        *int64 `json:"size,omitempty"`
	URI         string `json:"uri,omitempty"`
	// DerefURI is the file itself, in base64.
	DerefURI string `json:"derefUri,omitempty"`
	// Digest is its SHA-1 in hexadecimal.
	Digest string `json:"digest,omitempty"`
}

// Area is a part of the world.
type Area struct {
	Description string    `json:"description"`
	Polygons    [][]Point `json:"polygons,omitempty"`
	Circles     []Circle  `json:"circles,omitempty"`
	Geocodes    []Pair    `json:"geocodes,omitempty"`
	// Altitude and Ceiling are in feet above mean sea level.
	Altitude *float64 `json:"altitude,omitempty"`
	Ceiling  *float64 `json:"ceiling,omitempty"`
}

// Point is a place in WGS 84.
type Point struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Circle has its radius in kilometres.
type Circle struct {
	Point
	Radius float64 `json:"radius"`
}

// Level says how bad a problem is.
type Level string

// The levels: a message with an Error is not sent, and one that comes from others
// is not taken; a Warning is for a person to judge.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Problem is one thing wrong with a message.
type Problem struct {
	Level Level `json:"level"`
	// Rule names what was broken, for programs and translations.
	Rule string `json:"rule"`
	// Path is where, as in info[2].area[1].polygon[1]; counted from 1.
	Path string `json:"path,omitempty"`
	// Detail is for people, in English.
	Detail string `json:"detail"`
}

func (p Problem) Error() string {
	if p.Path == "" {
		return p.Rule + ": " + p.Detail
	}
	return p.Rule + " at " + p.Path + ": " + p.Detail
}

// Bad reports whether one of the problems is an Error.
func Bad(list []Problem) bool {
	for _, p := range list {
		if p.Level == Error {
			return true
		}
	}
	return false
}
