package devices

import "time"

// Point is one stored value.
type Point struct {
	Time     time.Time
	Received time.Time
	Number   float64
	Zones    []ZoneRef
	Flags    Flags
	// Corrected: the value took the place of another that was stored for the same
	// moment. False where the store does not remember.
	Corrected bool
}

// Bucket summarises the points of [Start, Start+step). A bucket without points
// is absent from an answer: a gap stays a gap.
type Bucket struct {
	Start          time.Time
	Min, Mean, Max float64
	Count          int
}

// ZoneSeries is the history of one zone version: the buckets over all values of
// the devices placed in it.
type ZoneSeries struct {
	Zone    ZoneRef
	Buckets []Bucket
}

// TrackPoint is where a device was observed at a time.
type TrackPoint struct {
	Time time.Time
	At   Position
}
