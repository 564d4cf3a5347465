// Package devices is the vocabulary of the field: who reports (Device, Profile,
// Register), what is reported (Message, Observation, Value, Quantity), in what
// bytes (Decode, FORMAT.md), and why a report was not taken (Refusal).
//
// It imports nothing of ours, and every other package speaks in its types.
//
// Times are UTC at millisecond resolution everywhere inward of Decode: two
// values of one device and quantity within the same millisecond are one value,
// and the later arrival wins. Positions are WGS 84 degrees, longitude first.
// Addresses are netip values in the one form Canon gives them.
package devices
