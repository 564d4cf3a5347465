package devices

import (
	"net/netip"
	"time"
)

// Message is one delivery of one device as the gate admitted it: what the
// journal stores and every reader of the journal sees. It is immutable once
// appended.
type Message struct {
	Device       ID
	Via          Via
	From         netip.AddrPort // canonical; the zero value behind a bridge
	Received     time.Time      // the server's clock, UTC, ms
	Size         int            // bytes of payload as they came; 0 when nobody counted
	Observations []Observation
}

// Observation is what a device said of one moment at one place: the values that
// share a time and a position.
type Observation struct {
	// Time is the event time all readers use: the device's own when it is
	// plausible, else the time of arrival (see Flags).
	Time time.Time
	// DeviceTime keeps what the device's clock said when Flags has
	// ClockSuspect; zero otherwise.
	DeviceTime time.Time
	// At is where it was observed: sent with the observation, or the place of a
	// fixed device.
	At Position
	// Zones are the zone versions At fell into at Time, one layer after the
	// other, filled in by the gate.
	Zones  []ZoneRef
	Flags  Flags
	Values []Value
}

// Value is one number of one quantity, in the quantity's canonical unit.
// NaN and infinities never get here.
type Value struct {
	Quantity Quantity
	Number   float64
	// Unit is the unit as the device sent it, empty when it sent none or sent
	// the canonical one. Number is already converted.
	Unit string
}

// Position is a WGS 84 place in degrees. The zero Position is "not known":
// 0,0 lies in the Gulf of Guinea and is what a receiver without a fix reports.
type Position struct{ Lon, Lat float64 }

// Known reports whether p is a place at all.
func (p Position) Known() bool { return p != Position{} }

// ZoneRef names one version of one zone. A code alone does not: 57 of 57 ward
// codes of the former Nam Định were reused under other names in 2025.
type ZoneRef struct {
	Layer     string
	Code      string
	ValidFrom Date
}

// Date is a calendar day, "2025-07-01", in the city's civil calendar; empty is
// "since ever" or "for ever". Days compare as strings.
type Date string

// Via is the door a message came in by.
type Via uint8

// The doors of the gate. The numbers are stored: append, never renumber.
const (
	ViaUnknown Via = iota
	ViaMQTT
	ViaCoAP
	ViaHTTP
	ViaBridge
	ViaLine // InfluxDB line protocol over HTTP
)

var viaNames = [...]string{"unknown", "mqtt", "coap", "http", "bridge", "line"}

func (v Via) String() string {
	if int(v) < len(viaNames) {
		return viaNames[v]
	}
	return "unknown"
}

// Flags say what a reader should know about an observation before trusting it.
type Flags uint16

// The bits are stored: append, never renumber.
const (
	// ClockSuspect: the device's time was outside the window the gate accepts;
	// Time is the time of arrival and DeviceTime what was sent.
	ClockSuspect Flags = 1 << iota
	// NoDeviceTime: the device sent no time; Time is the time of arrival.
	NoDeviceTime
	// Late: the event is older than the gate's lateness bound at arrival.
	Late
	// RelativeTime: SenML time relative to now (RFC 8428 section 4.5.3), so
	// any transport delay is part of the error.
	RelativeTime
	// OutOfRange: at least one value of the message lay outside its profile's
	// plausible range and went to quarantine; these did not.
	OutOfRange
	// NoBver: SenML used a secondary unit without announcing it by bver
	// (RFC 9100 section 3).
	NoBver
	// Simulated: the device is registered as simulated.
	Simulated
	// Exercise: the device belongs to a drill. The observation is about no real
	// place: whatever adds up what was observed leaves it out.
	Exercise
)

// Status is a change of a device's connection, kept in the journal beside its
// messages.
type Status struct {
	Device ID
	Via    Via
	From   netip.AddrPort
	At     time.Time // UTC, ms
	State  LinkState
	Reason string // for people: "keep-alive timeout", "taken over from [2001:db8::7]:4711"
}

// LinkState is the state of a device's session.
type LinkState uint8

// The numbers are stored: append, never renumber.
const (
	LinkUnknown LinkState = iota
	LinkOnline
	LinkOffline
)

func (s LinkState) String() string {
	switch s {
	case LinkOnline:
		return "online"
	case LinkOffline:
		return "offline"
	}
	return "unknown"
}
