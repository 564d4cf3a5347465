package devices

import "time"

// RawObservation is what a payload says of one moment, decoded but not judged:
// names, units and times as the device sent them. Decode makes it, Admit turns
// it into an Observation. Every number in it is finite.
type RawObservation struct {
	// Time is the device's own, valid when HasTime is set. It can be any year.
	Time    time.Time
	HasTime bool
	// Relative: Time was sent as an offset to now (RFC 8428 section 4.5.3) and
	// counted from the time of arrival.
	Relative bool
	// NoBver: a secondary unit was used without announcing it (RFC 9100).
	NoBver bool
	// At is valid when HasAt is set. It may be out of every range.
	At    Position
	HasAt bool
	// Name is the device part of a SenML name or the device tag of a line,
	// empty when the payload names no device. See ClaimedID.
	Name   string
	Fields []RawField
}

// RawField is one named value of a payload.
type RawField struct {
	Name   string
	Unit   string // as sent, empty when none was
	Number float64
	Text   string // of RawText, and the bytes of RawData
	Kind   RawKind
}

// RawKind is the type a value had on the wire.
type RawKind uint8

// The kinds. A number that is not finite arrives as RawText with its spelling,
// so that the values beside it survive.
const (
	RawNumber RawKind = iota
	RawBool           // Number is 0 or 1
	RawText
	RawData
)

// Limits bound what one payload may cost. Zero fields take their defaults.
type Limits struct {
	Bytes        int // of the payload; 256 KiB
	Observations int // objects of an array, distinct times of a pack, lines; 4096
	Fields       int // values of one observation; 64
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 256 << 10
	}
	if l.Observations <= 0 {
		l.Observations = 4096
	}
	if l.Fields <= 0 {
		l.Fields = 64
	}
	return l
}

// maxDepth bounds the nesting of values that are skipped, under labels SenML
// says to ignore.
const maxDepth = 16
