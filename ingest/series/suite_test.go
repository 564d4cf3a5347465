package series

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
)

// subject is one implementation under test, with what differs between them.
type subject struct {
	// open makes an empty store with the given clock, retention of 30 days.
	open func(t *testing.T, now func() time.Time, rejected func(Rejection)) Store
	// reopen closes a store and opens the same data again.
	reopen func(t *testing.T, s Store) Store
	// revisions is how often one value can be overwritten, 0 for any number.
	revisions int
}

const suiteRetention = 30 * 24 * time.Hour

// fixture is one open store with a clock and the values it rejected.
type fixture struct {
	t     *testing.T
	store Store
	base  time.Time // a whole UTC day, a few days back

	mu       sync.Mutex
	ahead    time.Duration
	rejected []Rejection
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.ahead)
}

func (s subject) fixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, base: time.Now().UTC().Truncate(24 * time.Hour).Add(-72 * time.Hour)}
	f.store = s.open(t, f.now, func(r Rejection) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rejected = append(f.rejected, r)
	})
	return f
}

// at is the fixture's base plus d.
func (f *fixture) at(d time.Duration) time.Time { return f.base.Add(d) }

var (
	wardA    = devices.ZoneRef{Layer: "ward", Code: "06001", ValidFrom: "2025-07-01"}
	wardB    = devices.ZoneRef{Layer: "ward", Code: "06002", ValidFrom: "2025-07-01"}
	wardAOld = devices.ZoneRef{Layer: "ward", Code: "06001"}
	odd      = devices.ZoneRef{Layer: "flood plain, ü", Code: `a=b, c\d|e@f "g" %41`, ValidFrom: "2024-02-29"}
)

// say makes a message of one observation: quantity, number, quantity, number...
func say(id devices.ID, at, received time.Time, zones []devices.ZoneRef, values ...any) *devices.Message {
	o := devices.Observation{Time: at, Zones: zones}
	for i := 0; i < len(values); i += 2 {
		var n float64
		switch v := values[i+1].(type) {
		case int:
			n = float64(v)
		case float64:
			n = v
		}
		o.Values = append(o.Values, devices.Value{Quantity: devices.Quantity(values[i].(string)), Number: n})
	}
	return &devices.Message{Device: id, Via: devices.ViaMQTT, Received: received, Observations: []devices.Observation{o}}
}

func (f *fixture) write(want Written, messages ...*devices.Message) {
	f.t.Helper()
	got, err := f.store.Write(f.t.Context(), messages)
	if err != nil {
		f.t.Fatalf("Write: %v", err)
	}
	if got != want {
		f.t.Errorf("Write counted %+v, want %+v", got, want)
	}
}

func (f *fixture) points(id devices.ID, q devices.Quantity, from, to time.Time) []devices.Point {
	f.t.Helper()
	got, err := f.store.Range(f.t.Context(), Query{Device: id, Quantity: q, From: from, To: to})
	if err != nil {
		f.t.Fatalf("Range: %v", err)
	}
	return got
}

func samePoints(t *testing.T, what string, got, want []devices.Point) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d points, want %d\ngot  %v\nwant %v", what, len(got), len(want), got, want)
	}
	for i := range got {
		if !samePoint(got[i], want[i]) {
			t.Errorf("%s, point %d:\ngot  %+v\nwant %+v", what, i, got[i], want[i])
		}
	}
}

func samePoint(a, b devices.Point) bool {
	return a.Time.Equal(b.Time) && a.Received.Equal(b.Received) && a.Number == b.Number &&
		a.Flags == b.Flags && slices.Equal(a.Zones, b.Zones)
}

func sameBuckets(t *testing.T, what string, got, want []devices.Bucket) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d buckets, want %d\ngot  %v\nwant %v", what, len(got), len(want), got, want)
	}
	for i, g := range got {
		w := want[i]
		if !g.Start.Equal(w.Start) || g.Min != w.Min || g.Max != w.Max || g.Count != w.Count ||
			math.Abs(g.Mean-w.Mean) > 1e-9*math.Max(1, math.Abs(w.Mean)) {
			t.Errorf("%s, bucket %d:\ngot  %+v\nwant %+v", what, i, g, w)
		}
	}
}

func testSuite(t *testing.T, s subject) {
	t.Run("write and range", func(t *testing.T) {
		f := s.fixture(t)
		want := []devices.Point{}
		for i := range 10 {
			at := f.at(time.Duration(i)*time.Minute + 123*time.Millisecond)
			m := say("air-1", at, at.Add(time.Duration(i)*time.Second), []devices.ZoneRef{wardA, odd}, "pm25", 10+i, "no2", -0.25)
			m.Observations[0].Flags = devices.Simulated
			if i == 4 {
				m.Observations[0].Flags |= devices.Late | devices.OutOfRange
			}
			f.write(Written{Values: 2}, m)
			want = append(want, devices.Point{Time: at, Received: m.Received, Number: float64(10 + i),
				Zones: []devices.ZoneRef{odd, wardA}, Flags: m.Observations[0].Flags})
		}
		samePoints(t, "all", f.points("air-1", "pm25", f.base, f.at(time.Hour)), want)
		samePoints(t, "from included, to excluded", f.points("air-1", "pm25", want[2].Time, want[5].Time), want[2:5])
		samePoints(t, "no such device", f.points("air-2", "pm25", f.base, f.at(time.Hour)), nil)
		samePoints(t, "no such quantity", f.points("air-1", "so2", f.base, f.at(time.Hour)), nil)
		page, err := f.store.Range(t.Context(), Query{Device: "air-1", Quantity: "pm25", From: f.base, To: f.at(time.Hour), Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		samePoints(t, "a page", page, want[:3])
		if _, err := f.store.Range(t.Context(), Query{Device: "air-1", Quantity: "pm25", From: f.at(1), To: f.at(1)}); !errors.Is(err, ErrBadQuery) {
			t.Errorf("an empty range: %v, want ErrBadQuery", err)
		}
	})

	t.Run("one batch, many senders", func(t *testing.T) {
		f := s.fixture(t)
		var batch []*devices.Message
		for d := range 120 {
			for i := range 5 {
				at := f.at(time.Duration(i) * time.Minute)
				batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", d)), at, at, nil, "temperature", d*10+i))
			}
		}
		f.write(Written{Values: 600}, batch...)
		f.write(Written{Duplicates: 600}, batch...)
		for _, d := range []int{0, 57, 119} {
			got := f.points(devices.ID(fmt.Sprintf("dev-%d", d)), "temperature", f.base, f.at(time.Hour))
			if len(got) != 5 || got[4].Number != float64(d*10+4) {
				t.Errorf("dev-%d: %v", d, got)
			}
		}
	})

	t.Run("late data", func(t *testing.T) {
		f := s.fixture(t)
		// An hour live, then the two days before that from the device's memory,
		// backwards, then between the live ones.
		for i := range 60 {
			at := f.at(48*time.Hour + time.Duration(i)*time.Minute)
			f.write(Written{Values: 1}, say("river-1", at, at, nil, "water_level", i))
		}
		for i := 47; i >= 0; i-- {
			at := f.at(time.Duration(i) * time.Hour)
			m := say("river-1", at, f.at(49*time.Hour), nil, "water_level", -i)
			m.Observations[0].Flags = devices.Late
			f.write(Written{Values: 1}, m)
		}
		f.write(Written{Values: 1}, say("river-1", f.at(48*time.Hour+30*time.Second), f.at(50*time.Hour), nil, "water_level", 0.5))
		got := f.points("river-1", "water_level", f.base, f.at(72*time.Hour))
		if len(got) != 60+48+1 {
			t.Fatalf("%d points, want %d", len(got), 60+48+1)
		}
		if !slices.IsSortedFunc(got, func(a, b devices.Point) int { return a.Time.Compare(b.Time) }) {
			t.Error("not in order of time")
		}
		if p := got[3]; p.Number != -3 || p.Flags != devices.Late || !p.Received.Equal(f.at(49*time.Hour)) {
			t.Errorf("a late point came back as %+v", p)
		}
		if p := got[49]; p.Number != 0.5 {
			t.Errorf("the point between is %+v", p)
		}
	})

	t.Run("the later arrival wins", func(t *testing.T) {
		f := s.fixture(t)
		at := f.at(time.Hour)
		first := say("g", at, at.Add(time.Second), []devices.ZoneRef{wardA}, "noise", 50, "power", 1)
		first.Observations[0].Flags = devices.Late
		second := say("g", at, at.Add(2*time.Second), []devices.ZoneRef{wardA}, "noise", 60)
		third := say("g", at, at.Add(3*time.Second), []devices.ZoneRef{wardB}, "noise", 60, "power", 1)
		f.write(Written{Values: 2}, first)
		f.write(Written{Duplicates: 2}, first)
		f.write(Written{Values: 1, Overwrites: 1}, second)
		want := devices.Point{Time: at, Received: second.Received, Number: 60, Zones: []devices.ZoneRef{wardA}}
		samePoints(t, "after the second", f.points("g", "noise", f.base, f.at(2*time.Hour)), []devices.Point{want})
		samePoints(t, "what the second did not say", f.points("g", "power", f.base, f.at(2*time.Hour)),
			[]devices.Point{{Time: at, Received: first.Received, Number: 1, Zones: []devices.ZoneRef{wardA}, Flags: devices.Late}})
		// Newer values make all of this the past.
		f.write(Written{Values: 1}, say("g", f.at(90*time.Minute), f.at(90*time.Minute), nil, "noise", 1))
		f.write(Written{Duplicates: 2}, first)
		f.write(Written{Duplicates: 1}, second)
		// The same numbers in another ward are another statement.
		f.write(Written{Values: 2, Overwrites: 2}, third)
		want = devices.Point{Time: at, Received: third.Received, Number: 60, Zones: []devices.ZoneRef{wardB}}
		samePoints(t, "after the third", f.points("g", "noise", f.base, f.at(80*time.Minute)), []devices.Point{want})
		f.write(Written{Duplicates: 3}, first, second)
		f.write(Written{Duplicates: 2}, third)
		samePoints(t, "after repetitions", f.points("g", "noise", f.base, f.at(80*time.Minute)), []devices.Point{want})
		// A store with revisions remembers that the value is not the first.
		again := f.points("g", "noise", f.base, f.at(2*time.Hour))
		if len(again) != 2 || again[0].Corrected != (s.revisions > 0) || again[1].Corrected {
			t.Errorf("which of them were corrected: %+v", again)
		}
		// One that arrived earlier and was not seen before is superseded.
		f.write(Written{Duplicates: 1}, say("g", at, at, nil, "noise", 55))

		s2 := s.reopen(t, f.store)
		f.store = s2
		f.write(Written{Duplicates: 5}, first, second, third)
		samePoints(t, "after a restart", f.points("g", "noise", f.base, f.at(80*time.Minute)), []devices.Point{want})
		zones, err := f.store.ByZone(t.Context(), ZoneQuery{Layer: "ward", Quantity: "noise", From: f.base, To: f.at(80 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if len(zones) != 1 || zones[0].Zone != wardB || zones[0].Buckets[0].Count != 1 {
			t.Errorf("by ward after the move: %+v", zones)
		}
	})

	t.Run("overwrites within one batch", func(t *testing.T) {
		f := s.fixture(t)
		at := f.at(time.Hour)
		var batch []*devices.Message
		for i := range 100 {
			batch = append(batch, say("x", at, at.Add(time.Duration(i)*time.Millisecond), nil, "noise", i))
		}
		f.write(Written{Values: 100, Overwrites: 99}, batch...)
		f.write(Written{Duplicates: 100}, slices.Concat(batch[99:], batch[:99])...)
		got := f.points("x", "noise", f.base, f.at(2*time.Hour))
		samePoints(t, "the last", got, []devices.Point{{Time: at, Received: batch[99].Received, Number: 99}})
	})

	t.Run("two messages of one moment", func(t *testing.T) {
		f := s.fixture(t)
		at := f.at(time.Hour)
		f.write(Written{Values: 2}, say("x", at, at.Add(time.Second), nil, "noise", 1), say("x", at, at.Add(time.Minute), nil, "power", 2))
		samePoints(t, "noise", f.points("x", "noise", f.base, f.at(2*time.Hour)), []devices.Point{{Time: at, Received: at.Add(time.Second), Number: 1}})
		samePoints(t, "power", f.points("x", "power", f.base, f.at(2*time.Hour)), []devices.Point{{Time: at, Received: at.Add(time.Minute), Number: 2}})
	})

	t.Run("a clock that stands still", func(t *testing.T) {
		if s.revisions == 0 {
			t.Skip("this store overwrites without end")
		}
		f := s.fixture(t)
		at := f.at(time.Hour)
		for i := range s.revisions + 1 {
			want := Written{Values: 1, Overwrites: min(i, 1)}
			f.write(want, say("stuck", at, at.Add(time.Duration(i)*time.Second), nil, "noise", i))
		}
		f.write(Written{Rejected: 1}, say("stuck", at, at.Add(time.Hour), nil, "noise", -1))
		if len(f.rejected) != 1 || f.rejected[0].Cause != CauseRevisions || f.rejected[0].Device != "stuck" {
			t.Errorf("rejected: %+v", f.rejected)
		}
		f.write(Written{Values: 1}, say("stuck", at.Add(time.Millisecond), at, nil, "noise", -2))
	})

	t.Run("what cannot be stored", func(t *testing.T) {
		f := s.fixture(t)
		old, next := f.now().Add(-suiteRetention-time.Minute), f.now().Add(25*time.Hour)
		f.write(Written{Values: 1, Rejected: 5},
			say("x", f.at(0), f.at(0), nil, "noise", math.NaN(), "power", math.Inf(1), "voltage", 5),
			say("x", old, f.at(0), nil, "noise", 1),
			say("x", next, f.at(0), nil, "noise", 1),
			say("x", f.at(0), f.at(0), nil, "", 1))
		causes := make(map[Cause]int)
		for _, r := range f.rejected {
			causes[r.Cause]++
			if r.Device != "x" || r.Detail == "" {
				t.Errorf("rejection without sender or reason: %+v", r)
			}
		}
		want := map[Cause]int{CauseNotANumber: 3, CauseTooOld: 1, CauseTooNew: 1}
		if !reflect.DeepEqual(causes, want) {
			t.Errorf("rejected for %v, want %v", causes, want)
		}
	})

	t.Run("buckets", func(t *testing.T) {
		f := s.fixture(t)
		var batch []*devices.Message
		for _, v := range []struct {
			at time.Duration
			n  float64
		}{{0, 1}, {30 * time.Second, 3}, {5*time.Minute - time.Millisecond, 8}, {5 * time.Minute, 10},
			// nothing for half an hour
			{37 * time.Minute, -4}, {38 * time.Minute, -6}, {60 * time.Minute, 7}} {
			batch = append(batch, say("x", f.at(v.at), f.at(v.at), []devices.ZoneRef{wardA}, "flow", v.n))
		}
		f.write(Written{Values: 7}, batch...)
		ask := func(from, to, step, offset time.Duration) []devices.Bucket {
			t.Helper()
			got, err := f.store.Buckets(t.Context(), BucketQuery{Device: "x", Quantity: "flow", From: f.at(from), To: f.at(to), Steps: Steps{step, offset}})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		sameBuckets(t, "five minutes", ask(0, time.Hour, 5*time.Minute, 0), []devices.Bucket{
			{Start: f.at(0), Min: 1, Mean: 4, Max: 8, Count: 3},
			{Start: f.at(5 * time.Minute), Min: 10, Mean: 10, Max: 10, Count: 1},
			{Start: f.at(35 * time.Minute), Min: -6, Mean: -5, Max: -4, Count: 2}})
		sameBuckets(t, "cut by the query", ask(time.Second, 5*time.Minute, 5*time.Minute, 0), []devices.Bucket{
			{Start: f.at(0), Min: 3, Mean: 5.5, Max: 8, Count: 2}})
		sameBuckets(t, "all in one", ask(time.Second, 2*time.Hour, 0, 0), []devices.Bucket{
			{Start: f.at(time.Second), Min: -6, Mean: 3, Max: 10, Count: 6}})
		sameBuckets(t, "moved", ask(0, time.Hour, time.Hour, 30*time.Second), []devices.Bucket{
			{Start: f.at(30*time.Second - time.Hour), Min: 1, Mean: 1, Max: 1, Count: 1},
			{Start: f.at(30 * time.Second), Min: -6, Mean: 2.2, Max: 10, Count: 5}})
		if _, err := f.store.Buckets(t.Context(), BucketQuery{Device: "x", Quantity: "flow", From: f.base, To: f.at(24 * time.Hour), Steps: Steps{Step: time.Millisecond}}); !errors.Is(err, ErrBadQuery) {
			t.Errorf("86 million buckets: %v, want ErrBadQuery", err)
		}
		// Late data corrects what was asked before.
		f.write(Written{Values: 1}, say("x", f.at(time.Minute), f.at(2*time.Hour), []devices.ZoneRef{wardB}, "flow", 100))
		sameBuckets(t, "after late data", ask(0, 5*time.Minute, 5*time.Minute, 0), []devices.Bucket{
			{Start: f.at(0), Min: 1, Mean: 28, Max: 100, Count: 4}})
	})

	t.Run("days of the city", func(t *testing.T) {
		f := s.fixture(t)
		var batch []*devices.Message
		for h := range 48 {
			batch = append(batch, say("x", f.at(time.Duration(h)*time.Hour), f.at(0), nil, "flow", 1))
		}
		f.write(Written{Values: 48}, batch...)
		got, err := f.store.Buckets(t.Context(), BucketQuery{Device: "x", Quantity: "flow", From: f.base, To: f.at(48 * time.Hour),
			Steps: Steps{24 * time.Hour, -7 * time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		sameBuckets(t, "midnight at +07:00 is 17:00 UTC", got, []devices.Bucket{
			{Start: f.at(-7 * time.Hour), Min: 1, Mean: 1, Max: 1, Count: 17},
			{Start: f.at(17 * time.Hour), Min: 1, Mean: 1, Max: 1, Count: 24},
			{Start: f.at(41 * time.Hour), Min: 1, Mean: 1, Max: 1, Count: 7}})
	})

	t.Run("latest", func(t *testing.T) {
		f := s.fixture(t)
		f.write(Written{Values: 2}, say("x", f.at(time.Hour), f.at(61*time.Minute), []devices.ZoneRef{wardA}, "noise", 1, "power", 2))
		m := say("x", f.at(2*time.Hour), f.at(3*time.Hour), []devices.ZoneRef{wardB}, "noise", 3)
		m.Observations[0].Flags = devices.NoDeviceTime
		f.write(Written{Values: 1}, m)
		f.write(Written{Values: 1}, say("x", f.at(90*time.Minute), f.at(4*time.Hour), nil, "noise", 9)) // late
		check := func(what string) {
			t.Helper()
			got, err := f.store.Latest(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			want := map[devices.Quantity]devices.Point{
				"noise": {Time: f.at(2 * time.Hour), Received: f.at(3 * time.Hour), Number: 3, Zones: []devices.ZoneRef{wardB}, Flags: devices.NoDeviceTime},
				"power": {Time: f.at(time.Hour), Received: f.at(61 * time.Minute), Number: 2, Zones: []devices.ZoneRef{wardA}}}
			if len(got) != len(want) {
				t.Errorf("%s: %v", what, got)
			}
			for q, w := range want {
				if !samePoint(got[q], w) {
					t.Errorf("%s, %s:\ngot  %+v\nwant %+v", what, q, got[q], w)
				}
			}
		}
		check("live")
		f.store = s.reopen(t, f.store)
		check("after a restart")
		if got, err := f.store.Latest(t.Context(), "never-seen"); err != nil || len(got) != 0 {
			t.Errorf("a device that never reported: %v, %v", got, err)
		}
	})

	t.Run("by zone", func(t *testing.T) {
		f := s.fixture(t)
		f.write(Written{Values: 6},
			say("a", f.at(0), f.at(0), []devices.ZoneRef{wardA}, "pm25", 10),
			say("b", f.at(time.Minute), f.at(0), []devices.ZoneRef{wardA, odd}, "pm25", 20),
			say("c", f.at(2*time.Minute), f.at(0), []devices.ZoneRef{wardAOld}, "pm25", 5),
			say("d", f.at(time.Hour), f.at(0), []devices.ZoneRef{wardA, wardB}, "pm25", 30), // on the border of two
			say("e", f.at(0), f.at(0), nil, "pm25", 1000),
			say("a", f.at(0), f.at(0), []devices.ZoneRef{wardA}, "pm10", 1000))
		ask := func(layer string, step time.Duration) []devices.ZoneSeries {
			t.Helper()
			got, err := f.store.ByZone(t.Context(), ZoneQuery{Layer: layer, Quantity: "pm25", From: f.base, To: f.at(2 * time.Hour), Steps: Steps{Step: step}})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		got := ask("ward", time.Hour)
		want := []devices.ZoneSeries{
			{Zone: wardAOld, Buckets: []devices.Bucket{{Start: f.at(0), Min: 5, Mean: 5, Max: 5, Count: 1}}},
			{Zone: wardA, Buckets: []devices.Bucket{{Start: f.at(0), Min: 10, Mean: 15, Max: 20, Count: 2}, {Start: f.at(time.Hour), Min: 30, Mean: 30, Max: 30, Count: 1}}},
			{Zone: wardB, Buckets: []devices.Bucket{{Start: f.at(time.Hour), Min: 30, Mean: 30, Max: 30, Count: 1}}}}
		if len(got) != len(want) {
			t.Fatalf("by ward: %+v\nwant %+v", got, want)
		}
		for i := range want {
			if got[i].Zone != want[i].Zone {
				t.Errorf("zone %d is %+v, want %+v", i, got[i].Zone, want[i].Zone)
			}
			sameBuckets(t, want[i].Zone.Code+"@"+string(want[i].Zone.ValidFrom), got[i].Buckets, want[i].Buckets)
		}
		if got := ask(odd.Layer, 0); len(got) != 1 || got[0].Zone != odd || got[0].Buckets[0].Mean != 20 {
			t.Errorf("a layer with odd names: %+v", got)
		}
		if got := ask("street", 0); len(got) != 0 {
			t.Errorf("a layer nobody is in: %+v", got)
		}
	})

	t.Run("track", func(t *testing.T) {
		f := s.fixture(t)
		move := func(at time.Duration, lon float64) *devices.Message {
			zones := []devices.ZoneRef{wardA}
			if lon > 106.5 {
				zones = []devices.ZoneRef{wardB}
			}
			m := say("bus-1", f.at(at), f.at(at), zones, "vehicle_speed", 30)
			m.Observations[0].At = devices.Position{Lon: lon, Lat: 20.25}
			return m
		}
		f.write(Written{Values: 3}, move(0, 106.1), move(time.Minute, 106.2), move(2*time.Minute, 106.6))
		f.write(Written{Values: 1}, move(90*time.Second, 106.4)) // late
		f.write(Written{Duplicates: 3}, move(0, 106.1), move(time.Minute, 106.2), move(2*time.Minute, 106.6))
		got, err := f.store.Track(t.Context(), TrackQuery{Device: "bus-1", From: f.base, To: f.at(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		want := []devices.TrackPoint{
			{Time: f.at(0), At: devices.Position{Lon: 106.1, Lat: 20.25}},
			{Time: f.at(time.Minute), At: devices.Position{Lon: 106.2, Lat: 20.25}},
			{Time: f.at(90 * time.Second), At: devices.Position{Lon: 106.4, Lat: 20.25}},
			{Time: f.at(2 * time.Minute), At: devices.Position{Lon: 106.6, Lat: 20.25}},
		}
		if !slices.EqualFunc(got, want, func(a, b devices.TrackPoint) bool { return a.Time.Equal(b.Time) && a.At == b.At }) {
			t.Errorf("track:\ngot  %v\nwant %v", got, want)
		}
		zones, err := f.store.ByZone(t.Context(), ZoneQuery{Layer: "ward", Quantity: "vehicle_speed", From: f.base, To: f.at(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if len(zones) != 2 || zones[0].Buckets[0].Count != 3 || zones[1].Buckets[0].Count != 1 {
			t.Errorf("a bus in two wards: %+v", zones)
		}

		// One that stays is stored once, its values all the same.
		for i := range 5 {
			m := say("post", f.at(time.Duration(i)*time.Minute), f.at(0), nil, "noise", i)
			m.Observations[0].At = devices.Position{Lon: 106.1, Lat: 20.25}
			f.write(Written{Values: 1}, m)
		}
		got, err = f.store.Track(t.Context(), TrackQuery{Device: "post", From: f.base, To: f.at(time.Hour)})
		if err != nil || len(got) != 1 {
			t.Errorf("a fixed device has the track %v, %v", got, err)
		}
	})

	t.Run("the past", func(t *testing.T) {
		f := s.fixture(t)
		minute := func(n int) time.Time { return f.at(12*time.Hour + time.Duration(n)*time.Minute) }
		bus := func(n int, lon, lat float64) *devices.Message {
			m := say("bus-1", minute(n), minute(n), nil, "speed", n)
			m.Observations[0].At = devices.Position{Lon: lon, Lat: lat}
			return m
		}
		flagged := say("river-1", minute(1), minute(1).Add(2*time.Second), []devices.ZoneRef{wardA}, "water_level", 1.5)
		flagged.Observations[0].Flags = devices.Late
		f.write(Written{Values: 10},
			say("old-1", minute(-20*60), minute(-20*60), nil, "noise", 40),
			say("river-1", minute(0), minute(0), []devices.ZoneRef{wardA}, "water_level", 1.0, "battery", 90), flagged,
			say("river-1", minute(2), minute(30), []devices.ZoneRef{wardA}, "water_level", 2.0), // thirty minutes late
			say("river-1", minute(3), minute(3), []devices.ZoneRef{wardB}, "water_level", 3.0),
			say("river-1", minute(40), minute(40), []devices.ZoneRef{wardA}, "water_level", 4.0),
			bus(0, 106.1, 20.1), bus(1, 106.2, 20.2), bus(40, 106.3, 20.3))
		past := func(at time.Time) map[string]Sample {
			t.Helper()
			found := map[string]Sample{}
			if err := f.store.At(t.Context(), at, func(s Sample) error {
				k := string(s.Device) + "/" + string(s.Quantity)
				if _, twice := found[k]; twice {
					t.Errorf("%s is told twice", k)
				}
				found[k] = s
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return found
		}
		expect := func(at time.Time, want map[string]float64) map[string]Sample {
			t.Helper()
			got := past(at)
			if len(got) != len(want) {
				t.Errorf("at %s: %d values, want %d: %v", at.Format(time.TimeOnly), len(got), len(want), got)
			}
			for k, n := range want {
				number := got[k].Number
				if strings.HasSuffix(k, "/") {
					number = got[k].At.Lon
				}
				if math.Abs(number-n) > 1e-6 {
					t.Errorf("at %s: %s is %v, want %v", at.Format(time.TimeOnly), k, number, n)
				}
			}
			return got
		}
		got := expect(minute(1).Add(3*time.Second), map[string]float64{
			"old-1/noise": 40, "river-1/water_level": 1.5, "river-1/battery": 90, "bus-1/speed": 1, "bus-1/": 106.2,
		})
		if r := got["river-1/water_level"]; !r.Received.Equal(minute(1).Add(2*time.Second)) || r.Flags != devices.Late || !slices.Equal(r.Zones, []devices.ZoneRef{wardA}) {
			t.Errorf("the arrival of a value: %+v", r)
		}
		// A second before it came, the value of minute 1 was not on any wall.
		expect(minute(1).Add(time.Second), map[string]float64{
			"old-1/noise": 40, "river-1/water_level": 1.0, "river-1/battery": 90, "bus-1/speed": 1, "bus-1/": 106.2,
		})
		// Late data does not move the wall back.
		expect(minute(31), map[string]float64{
			"old-1/noise": 40, "river-1/water_level": 3.0, "river-1/battery": 90, "bus-1/speed": 1, "bus-1/": 106.2,
		})
		expect(minute(-60), map[string]float64{"old-1/noise": 40})
		expect(minute(-25*60), map[string]float64{})

		// Forward: all there is, each once.
		var told []string
		if err := f.store.Between(t.Context(), minute(1), minute(40), func(s Sample) error {
			told = append(told, fmt.Sprintf("%s/%s %v %v %v %d", s.Device, s.Quantity, s.Time.Sub(minute(0)), s.Received.Sub(s.Time), s.Number, len(s.Zones)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(told)
		want := []string{
			"bus-1/ 1m0s 0s 0 0", "bus-1/speed 1m0s 0s 1 0", "river-1/water_level 1m0s 2s 1.5 1",
			"river-1/water_level 2m0s 28m0s 2 1", "river-1/water_level 3m0s 0s 3 1",
		}
		if !slices.Equal(told, want) {
			t.Errorf("between: %q\nwant %q", told, want)
		}
		if s.revisions > 0 {
			// What was corrected later is shown as it was believed then.
			f.write(Written{Values: 1, Overwrites: 1}, say("river-1", minute(40), minute(50), []devices.ZoneRef{wardA}, "water_level", 4.5))
			if n := past(minute(45))["river-1/water_level"].Number; n != 4 {
				t.Errorf("before its correction the value was %v", n)
			}
			if n := past(minute(51))["river-1/water_level"].Number; n != 4.5 {
				t.Errorf("after its correction the value was %v", n)
			}
		}
	})
	t.Run("retention", func(t *testing.T) {
		f := s.fixture(t)
		edge := f.now().Add(-suiteRetention + time.Hour).Truncate(time.Millisecond)
		f.write(Written{Values: 2}, say("x", edge, f.at(0), []devices.ZoneRef{wardA}, "noise", 1), say("x", f.at(0), f.at(0), nil, "noise", 2))
		far := edge.Add(-365 * 24 * time.Hour)
		if got := f.points("x", "noise", far, f.now()); len(got) != 2 {
			t.Fatalf("within the retention: %v", got)
		}
		f.mu.Lock()
		f.ahead = 2 * time.Hour
		f.mu.Unlock()
		samePoints(t, "past it", f.points("x", "noise", far, f.now()), []devices.Point{{Time: f.at(0), Received: f.at(0), Number: 2}})
		f.write(Written{Rejected: 1}, say("x", edge, f.at(0), nil, "noise", 3))
		zones, err := f.store.ByZone(t.Context(), ZoneQuery{Layer: "ward", Quantity: "noise", From: far, To: f.now()})
		if err != nil || len(zones) != 0 {
			t.Errorf("by zone past the retention: %v, %v", zones, err)
		}
		f.mu.Lock()
		f.ahead = suiteRetention
		f.mu.Unlock()
		if got, err := f.store.Latest(t.Context(), "x"); err != nil || len(got) != 0 {
			t.Errorf("latest, all past the retention: %v, %v", got, err)
		}
	})

	t.Run("side by side", func(t *testing.T) {
		f := s.fixture(t)
		var wg sync.WaitGroup
		for d := range 4 {
			id := devices.ID(fmt.Sprintf("dev-%d", d))
			wg.Go(func() {
				for i := range 20 {
					at := f.at(time.Duration(i) * time.Second)
					if _, err := f.store.Write(t.Context(), []*devices.Message{say(id, at, at, nil, "noise", i)}); err != nil {
						t.Errorf("Write: %v", err)
					}
				}
			})
			wg.Go(func() {
				for range 20 {
					if _, err := f.store.Range(t.Context(), Query{Device: id, Quantity: "noise", From: f.base, To: f.at(time.Hour)}); err != nil {
						t.Errorf("Range: %v", err)
					}
					if _, err := f.store.Latest(t.Context(), id); err != nil {
						t.Errorf("Latest: %v", err)
					}
				}
			})
		}
		wg.Wait()
		for d := range 4 {
			if got := f.points(devices.ID(fmt.Sprintf("dev-%d", d)), "noise", f.base, f.at(time.Hour)); len(got) != 20 {
				t.Errorf("dev-%d has %d points, want 20", d, len(got))
			}
		}
	})

	t.Run("closed", func(t *testing.T) {
		f := s.fixture(t)
		if err := f.store.Health(t.Context()); err != nil {
			t.Errorf("Health: %v", err)
		}
		if err := f.store.Sync(t.Context()); err != nil {
			t.Errorf("Sync: %v", err)
		}
		for range 2 {
			if err := f.store.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		_, err := f.store.Write(context.Background(), []*devices.Message{say("x", f.at(0), f.at(0), nil, "noise", 1)})
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Write after Close: %v, want ErrClosed", err)
		}
		if _, err := f.store.Range(context.Background(), Query{Device: "x", Quantity: "noise", From: f.base, To: f.at(1e9)}); !errors.Is(err, ErrClosed) {
			t.Errorf("Range after Close: %v, want ErrClosed", err)
		}
	})
}
