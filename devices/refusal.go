package devices

import (
	"fmt"
	"net/netip"
	"time"
)

// Reason names why something a device sent was not taken as sent. Every reason
// is a label on /metrics and a word in both languages on the wall; each
// protocol maps it in one table (see Reason.Retry).
type Reason string

// The reasons. The strings are stored and are metric labels: never rename one.
const (
	// About the sender. The answer does not say which of the two it was.
	ReasonUnknownDevice Reason = "unknown_device" // no such device, or it is retired
	ReasonBadCredential Reason = "bad_credential"
	ReasonQuarantined   Reason = "quarantined" // known, not yet approved
	ReasonForeignDevice Reason = "foreign_device"
	ReasonBadTopic      Reason = "bad_topic"
	ReasonCloned        Reason = "cloned"         // one identity, two addresses, alternating
	ReasonForeignPrefix Reason = "foreign_prefix" // not from where the device belongs

	// About the bytes.
	ReasonTooLarge       Reason = "too_large"
	ReasonBadFormat      Reason = "bad_format"      // content format not served
	ReasonMalformed      Reason = "malformed"       // does not parse
	ReasonBadVersion     Reason = "bad_version"     // SenML bver (RFC 8428 4.4, RFC 9100)
	ReasonMandatoryLabel Reason = "mandatory_label" // SenML unknown label ending in '_'
	ReasonEmpty          Reason = "empty"           // parses, says nothing

	// About the values.
	ReasonUnknownQuantity Reason = "unknown_quantity"
	ReasonBadUnit         Reason = "bad_unit"
	ReasonNotANumber      Reason = "not_a_number" // text, NaN, Inf or overflow where a number belongs
	ReasonOutOfRange      Reason = "out_of_range"
	ReasonBadPosition     Reason = "bad_position" // out of range, or outside the service area
	ReasonSwappedPosition Reason = "swapped_position"
	ReasonClockSuspect    Reason = "clock_suspect" // kept, under the time of arrival

	// About us. The only ones worth a retry.
	ReasonBusy        Reason = "busy"        // over the rate bound
	ReasonUnavailable Reason = "unavailable" // the journal does not take it: disk full, failed sync
	ReasonShutting    Reason = "shutting_down"
)

// Retry reports whether the same bytes may be taken later. It decides between
// "keep it and come back" and "drop it" in every protocol.
func (r Reason) Retry() bool {
	return r == ReasonBusy || r == ReasonUnavailable || r == ReasonShutting
}

// Refusal is the error of the gate and, when it concerns a sender we can name
// or an address, a record in the journal that an operator can look at.
type Refusal struct {
	Reason Reason
	Device ID // as claimed; empty when none was
	Via    Via
	From   netip.AddrPort
	At     time.Time
	// Detail is for people: what was wrong where, such as
	// `pm25: 1e9 µg/m³ is above 1000`.
	Detail string
	// Payload holds the first MaxRefusalPayload bytes of what was sent.
	Payload []byte
	// Kept is true when the rest of the message, or the value under another
	// time, was stored all the same.
	Kept bool
	// Wait is how long the sender is asked to keep away, zero for the usual
	// time. It is part of the answer and not of the record.
	Wait time.Duration
}

// MaxRefusalPayload bounds the evidence a refusal keeps.
const MaxRefusalPayload = 1024

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return fmt.Sprintf("%s: %s", r.Reason, r.Detail)
}

// Refuse makes a Refusal without evidence; the gate adds sender, time and
// payload.
func Refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Is makes errors.Is(err, &Refusal{Reason: x}) compare by reason.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Reason == r.Reason
}
