package series

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"vonglau/devices"
)

// Store keeps series. All methods are safe for concurrent use; Writes are
// carried out one after the other. Queries cover [From, To) and never reach
// behind the retention.
type Store interface {
	// Write stores the values of messages, in their order. Values that can never
	// be stored are handed to Options.Rejected and counted; they are no error.
	// Any error means: not stored for certain, write the same again later. An
	// *Unavailable says how much later.
	Write(ctx context.Context, messages []*devices.Message) (Written, error)
	// Sync returns nil when all that Write has returned nil for is on disk.
	Sync(ctx context.Context) error

	// Range gives raw points, oldest first, at most Limit of them. Go on from
	// one millisecond after the last point until an answer is empty.
	Range(ctx context.Context, q Query) ([]devices.Point, error)
	// Buckets summarises points. A step without points is absent.
	Buckets(ctx context.Context, q BucketQuery) ([]devices.Bucket, error)
	// Latest gives the newest point of each quantity, by event time.
	Latest(ctx context.Context, device devices.ID) (map[devices.Quantity]devices.Point, error)
	// ByZone gives the buckets of each zone version of a layer over all values
	// placed in it, sorted by code and validity.
	ByZone(ctx context.Context, q ZoneQuery) ([]devices.ZoneSeries, error)
	// Track gives the positions a device was observed at. A position holds
	// until the next one: repetitions are not stored.
	Track(ctx context.Context, q TrackQuery) ([]devices.TrackPoint, error)

	// At calls each with the newest value of every quantity of every device, and
	// with where each was, as they had arrived by a time: what a screen showed
	// then. In no particular order.
	At(ctx context.Context, t time.Time, each func(Sample) error) error
	// Between calls each with every value and position of all devices whose event
	// is in [from, to), in no particular order. A store that keeps what was
	// overwritten gives that too, as it arrived.
	Between(ctx context.Context, from, to time.Time, each func(Sample) error) error

	// Health returns nil when a Write now would be taken.
	Health(ctx context.Context) error
	Close() error
}

// Sample is a stored value of some device or, without a quantity, where it was.
type Sample struct {
	Device   devices.ID
	Quantity devices.Quantity
	At       devices.Position // of a position
	devices.Point
}

// Written counts what became of the values of one Write:
// Values + Duplicates + Rejected is their number.
type Written struct {
	Values     int // stored
	Duplicates int // changed nothing: stored already, or superseded by a later arrival
	Overwrites int // among Values: those that replaced another number or other zones
	Rejected   int // can never be stored
}

func (w *Written) add(o Written) {
	w.Values += o.Values
	w.Duplicates += o.Duplicates
	w.Overwrites += o.Overwrites
	w.Rejected += o.Rejected
}

// Query asks for the raw points of one quantity of one device.
type Query struct {
	Device   devices.ID
	Quantity devices.Quantity
	From, To time.Time
	// Limit bounds the answer; zero is MaxPoints, and so is more.
	Limit int
}

// MaxPoints bounds the answer to one Range or Track.
const MaxPoints = 100_000

// MaxBuckets bounds how many steps one Buckets or ByZone may ask for.
const MaxBuckets = 20_000

// Steps cuts time into buckets that start at whole multiples of Step since
// 1970-01-01 00:00 UTC, moved by Offset. Days of a city at +07:00 are
// {24 * time.Hour, -7 * time.Hour}. A zero Step is one bucket over the whole
// query, starting at From.
type Steps struct{ Step, Offset time.Duration }

// BucketQuery asks for the buckets of one quantity of one device.
type BucketQuery struct {
	Device   devices.ID
	Quantity devices.Quantity
	From, To time.Time
	Steps
}

// ZoneQuery asks for the buckets of one quantity by zone of a layer.
type ZoneQuery struct {
	Layer    string
	Quantity devices.Quantity
	From, To time.Time
	Steps
}

// TrackQuery asks where a device was.
type TrackQuery struct {
	Device   devices.ID
	From, To time.Time
	Limit    int // as in Query
}

// ErrBadQuery is wrapped by the error of a query that no store could answer.
var ErrBadQuery = errors.New("bad query")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("series: the store is closed")

// Unavailable is the error of a store that may take the same call later.
type Unavailable struct {
	Err error
	// RetryAfter is what the store asked for, zero when it did not.
	RetryAfter time.Duration
}

func (u *Unavailable) Error() string { return "series: not available: " + u.Err.Error() }
func (u *Unavailable) Unwrap() error { return u.Err }

// Rejection is a value that can never be stored, for the dead-letter record.
type Rejection struct {
	Device   devices.ID
	Quantity devices.Quantity
	Time     time.Time
	Received time.Time
	Number   float64
	Cause    Cause
	Detail   string // the store's own words
}

// Cause names why a value was rejected; it is a metric label.
type Cause string

const (
	CauseNotANumber Cause = "not_a_number"
	CauseTooOld     Cause = "too_old"   // before the retention
	CauseTooNew     Cause = "too_new"   // further ahead of the clock than MaxAhead
	CauseRevisions  Cause = "revisions" // overwritten more often than the store keeps apart
	CauseRefused    Cause = "refused"   // the server took the rest of the batch but not this
)

// window clamps a query to what is retained and checks it. ok is false when
// nothing is left of it.
func window(from, to time.Time, oldest int64) (lo, hi int64, ok bool, err error) {
	if !from.Before(to) {
		return 0, 0, false, fmt.Errorf("%w: from %s is not before to %s", ErrBadQuery,
			from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	lo, hi = ceilMillis(from), ceilMillis(to)
	lo = max(lo, oldest)
	return lo, hi, lo < hi, nil
}

// ceilMillis is the first whole millisecond not before t, within what a store
// can hold.
func ceilMillis(t time.Time) int64 {
	const furthest = math.MaxInt64 / 1_000_000 // a time in ns (InfluxDB) or ticks (tsdb) fits
	if t.Year() > 2200 {
		return furthest
	}
	if t.Year() < 1800 {
		return -furthest
	}
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func limit(n int) int {
	if n <= 0 || n > MaxPoints {
		return MaxPoints
	}
	return n
}

// grid is Steps in milliseconds over one clamped query.
type grid struct{ step, offset, from int64 }

func (s Steps) grid(lo, hi int64) (grid, error) {
	g := grid{step: s.Step.Milliseconds(), offset: s.Offset.Milliseconds(), from: lo}
	switch {
	case s.Step < 0 || s.Step > 0 && g.step == 0:
		return g, fmt.Errorf("%w: step %s is shorter than a millisecond", ErrBadQuery, s.Step)
	case s.Step == 0:
		return g, nil
	case (hi-lo)/g.step > MaxBuckets:
		return g, fmt.Errorf("%w: %d buckets of %s; ask for %d at most or take a longer step",
			ErrBadQuery, (hi-lo)/g.step, s.Step, MaxBuckets)
	}
	// 0 <= offset < step, so that floor division below is on one side only.
	g.offset = (g.offset%g.step + g.step) % g.step
	return g, nil
}

// start gives the beginning of the bucket that ms falls into.
func (g grid) start(ms int64) int64 {
	if g.step == 0 {
		return g.from
	}
	d := (ms - g.offset) % g.step
	if d < 0 {
		d += g.step
	}
	return ms - d
}
