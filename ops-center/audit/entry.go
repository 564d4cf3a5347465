package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Outcome is how an act ended.
type Outcome string

const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // not let in, or not permitted
	Failed  Outcome = "failed"  // permitted, and not done
)

// Kind says what sort of actor somebody is.
type Kind string

const (
	Person   Kind = "person"
	Program  Kind = "program"  // with an API token
	Machine  Kind = "machine"  // this server by itself
	Stranger Kind = "stranger" // has not proved who it is
)

// Who is an actor as the chain knows it: ID is a pseudonym.
type Who struct {
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
	Kind Kind   `json:"kind"`
}

// Entry is one record. The order of the fields is that on disk: never change
// it, add at the end before Prev.
type Entry struct {
	N        uint64    `json:"n"`
	At       time.Time `json:"at"`       // when it happened
	Recorded time.Time `json:"recorded"` // when it was written
	Who      Who       `json:"who"`
	// Assurance is how strongly the actor proved itself, where that is known.
	Assurance string `json:"assurance,omitempty"`
	// From is the address, or the /64 where several were put together.
	From    string  `json:"from,omitempty"`
	Request string  `json:"request,omitempty"` // the X-Request-Id of the answer
	Act     string  `json:"act"`               // such as rule.apply
	Object  string  `json:"object,omitempty"`  // what it was done to
	Outcome Outcome `json:"outcome"`
	Status  int     `json:"status,omitempty"` // of HTTP
	Reason  string  `json:"reason,omitempty"`
	// Count is how many more like the one before this record stands for, between
	// At and Until.
	Count  uint64          `json:"count,omitempty"`
	Until  time.Time       `json:"until,omitzero"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	Prev   string          `json:"prev"`
}

// genesis is the prev of the first line.
var genesis = strings.Repeat("0", 2*sha256.Size)

// HashLine is what the next line says of this one.
func HashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// maxText bounds each text of a record; what a stranger sends ends up in some.
const maxText = 300

func clip(s string) string {
	if len(s) <= maxText {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// line encodes e as it is kept. Times are cut to milliseconds, so that a line
// that is read and written again is the same.
func (e *Entry) line() ([]byte, error) {
	e.At, e.Recorded = e.At.UTC().Truncate(time.Millisecond), e.Recorded.UTC().Truncate(time.Millisecond)
	if !e.Until.IsZero() {
		e.Until = e.Until.UTC().Truncate(time.Millisecond)
	}
	for _, s := range []*string{&e.Assurance, &e.From, &e.Request, &e.Act, &e.Object, &e.Reason, &e.Who.ID, &e.Who.Role} {
		*s = clip(*s)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("audit: encode record %d: %w", e.N, err)
	}
	return b, nil
}

var errNoAct = errors.New("audit: a record needs an act, an outcome and a kind of actor")

func (e *Entry) check() error {
	if e.Act == "" || e.Outcome == "" || e.Who.Kind == "" {
		return errNoAct
	}
	return nil
}
