package series

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"vonglau/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openEmbedded(t testing.TB, o EmbeddedOptions) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEmbedded(t *testing.T) {
	testSuite(t, subject{
		open: func(t *testing.T, now func() time.Time, rejected func(Rejection)) Store {
			return openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: suiteRetention, Now: now, Rejected: rejected,
				Metrics: prometheus.NewRegistry()})
		},
		reopen: func(t *testing.T, s Store) Store {
			e := s.(*Embedded)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return openEmbedded(t, e.opts)
		},
		revisions: maxRevision,
	})
}

// An overwrite is a sample of its own, so it must survive what tsdb does with
// samples: the head, the out-of-order head, blocks and their merging.
func TestEmbeddedCompaction(t *testing.T) {
	clock := time.Now().UTC().Truncate(24 * time.Hour)
	e := openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: 20 * 24 * time.Hour, Now: func() time.Time { return clock }})
	base := clock.Add(-10 * 24 * time.Hour)
	write := func(want Written, messages ...*devices.Message) {
		t.Helper()
		if got, err := e.Write(t.Context(), messages); err != nil || got != want {
			t.Fatalf("Write counted %+v, %v, want %+v", got, err, want)
		}
	}
	compact := func() {
		t.Helper()
		if err := e.db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.db.CompactOOOHead(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var live, fixed []*devices.Message
	for i := range 24 * 4 {
		at := base.Add(time.Duration(i) * 15 * time.Minute)
		live = append(live, say("x", at, at, []devices.ZoneRef{wardA}, "noise", i))
		if i%3 == 0 {
			fixed = append(fixed, say("x", at, at.Add(24*time.Hour), []devices.ZoneRef{wardB}, "noise", -i))
		}
	}
	write(Written{Values: 96}, live...)
	compact()
	if len(e.db.Blocks()) == 0 {
		t.Fatal("nothing was compacted; the test shows nothing")
	}
	write(Written{Values: 32, Overwrites: 32}, fixed...)
	compact()
	check := func(what string) {
		t.Helper()
		got, err := e.Range(t.Context(), Query{Device: "x", Quantity: "noise", From: base, To: clock})
		if err != nil {
			t.Fatal(err)
		}
		var want []devices.Point
		for i := range 96 {
			m := live[i]
			if i%3 == 0 {
				m = fixed[i/3]
			}
			o := m.Observations[0]
			want = append(want, devices.Point{Time: o.Time, Received: m.Received, Number: o.Values[0].Number, Zones: o.Zones})
		}
		samePoints(t, what, got, want)
	}
	check("after compaction")
	write(Written{Duplicates: 128}, slices.Concat(live, fixed)...)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEmbedded(t, e.opts)
	write(Written{Duplicates: 128}, slices.Concat(live, fixed)...)
	check("after a restart")

	// Time goes by: the blocks are deleted, not only hidden.
	clock = clock.Add(15 * 24 * time.Hour)
	for i := range 24 * 12 {
		at := clock.Add(time.Duration(i)*15*time.Minute - 72*time.Hour)
		write(Written{Values: 1}, say("y", at, at, nil, "noise", i))
	}
	compact()
	for _, b := range e.db.Blocks() {
		if b.MaxTime() < tick(base.Add(36*time.Hour).UnixMilli(), 0) {
			t.Errorf("block %s of before the retention is still there", b)
		}
	}
}

// A power cut takes away what was written and not synced, at any byte. What was
// synced is there, and writing all again makes it whole.
func TestEmbeddedPowerCut(t *testing.T) {
	dir := t.TempDir()
	e := openEmbedded(t, EmbeddedOptions{Dir: dir, Retention: suiteRetention})
	base := time.Now().UTC().Truncate(time.Hour).Add(-24 * time.Hour)
	batch := func(from, n int) (out []*devices.Message) {
		for i := from; i < from+n; i++ {
			// Every third is late, so that the log of late values has its part.
			at := base.Add(time.Duration(i) * time.Minute)
			if i%3 == 0 {
				at = base.Add(-time.Duration(i) * time.Minute)
			}
			out = append(out, say(devices.ID(fmt.Sprintf("dev-%d", i%7)), at, at, []devices.ZoneRef{wardA}, "noise", i))
		}
		return out
	}
	first, second := batch(0, 60), batch(60, 60)
	write := func(e *Embedded, messages []*devices.Message) Written {
		t.Helper()
		w, err := e.Write(t.Context(), messages)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	write(e, first)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	synced := logSizes(t, dir)
	write(e, second)
	written := logSizes(t, dir)

	random := rand.New(rand.NewPCG(1, 2))
	torn := 0
	for range 25 {
		after := t.TempDir()
		for path, size := range written {
			keep := synced[path]
			if size > keep {
				keep += random.Int64N(size - keep + 1)
			}
			copyStart(t, filepath.Join(dir, path), filepath.Join(after, path), keep)
		}
		e2, err := OpenEmbedded(EmbeddedOptions{Dir: after, Retention: suiteRetention})
		if err != nil {
			t.Fatal(err)
		}
		if e2.Repaired() {
			torn++
		}
		if w := write(e2, first); w != (Written{Duplicates: len(first)}) {
			t.Errorf("what was synced is not all there: written again, it counts %+v", w)
		}
		if w := write(e2, second); w.Values+w.Duplicates != len(second) || w.Overwrites != 0 {
			t.Errorf("what was not synced counts %+v when written again", w)
		}
		zones, err := e2.ByZone(t.Context(), ZoneQuery{Layer: "ward", Quantity: "noise", From: base.Add(-24 * time.Hour), To: base.Add(24 * time.Hour)})
		if err != nil || len(zones) != 1 || zones[0].Buckets[0].Count != 120 {
			t.Errorf("in the end: %+v, %v, want 120 values", zones, err)
		}
		if err := e2.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if torn == 0 {
		t.Error("no log was ever torn; the test shows nothing")
	}
}

func logSizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	sizes := make(map[string]int64)
	for _, log := range []string{"wal", "wbl"} {
		entries, err := os.ReadDir(filepath.Join(dir, log))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				t.Fatal(err)
			}
			sizes[filepath.Join(log, entry.Name())] = info.Size()
		}
	}
	return sizes
}

func copyStart(t *testing.T, from, to string, n int64) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b[:n], 0o644); err != nil {
		t.Fatal(err)
	}
}

// tsdb tells of late values it could not log by a counter only.
func TestEmbeddedUnloggedLateValues(t *testing.T) {
	e := openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: suiteRetention, Metrics: prometheus.NewRegistry()})
	now := time.Now().UTC().Truncate(time.Millisecond)
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: lateLogFailures})
	real := e.own.watched[lateLogFailures]
	e.own.watched[lateLogFailures] = collectorFunc(func(ch chan<- prometheus.Metric) {
		failures.Inc() // one more each time it is looked at
		failures.Collect(ch)
	})
	m := []*devices.Message{say("x", now, now, nil, "noise", 1)}
	if _, err := e.Write(t.Context(), m); !isUnavailable(err) {
		t.Fatalf("Write: %v, want Unavailable", err)
	}
	if err := e.Health(t.Context()); !isUnavailable(err) {
		t.Errorf("Health: %v, want Unavailable", err)
	}
	if err := e.Sync(t.Context()); !isUnavailable(err) {
		t.Errorf("Sync after a failed write: %v, want Unavailable", err)
	}
	// The next write opens the database again; what its log kept is known.
	if w, err := e.Write(t.Context(), m); err != nil || w.Values+w.Duplicates != 1 {
		t.Errorf("Write after that: %+v, %v", w, err)
	}
	if e.own.watched[lateLogFailures] == real {
		t.Error("the database was not opened again")
	}
	if err := e.Health(t.Context()); err != nil {
		t.Errorf("Health after that: %v", err)
	}
	got, err := e.Range(t.Context(), Query{Device: "x", Quantity: "noise", From: now.Add(-time.Hour), To: now.Add(time.Hour)})
	if err != nil || len(got) != 1 {
		t.Errorf("Range: %v, %v", got, err)
	}
}

type collectorFunc func(chan<- prometheus.Metric)

func (f collectorFunc) Collect(ch chan<- prometheus.Metric) { f(ch) }
func (f collectorFunc) Describe(chan<- *prometheus.Desc)    {}

func TestEmbeddedFailedSyncIsSticky(t *testing.T) {
	dir := t.TempDir()
	e := openEmbedded(t, EmbeddedOptions{Dir: dir, Retention: suiteRetention})
	now := time.Now()
	m := []*devices.Message{say("x", now, now, nil, "noise", 1)}
	if _, err := e.Write(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	log, aside := filepath.Join(dir, "wal"), filepath.Join(dir, "aside")
	if err := os.Rename(log, aside); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(t.Context()); !isUnavailable(err) {
		t.Fatalf("Sync without a log: %v, want Unavailable", err)
	}
	if err := os.Rename(aside, log); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(t.Context()); !isUnavailable(err) {
		t.Errorf("Sync after a failed one: %v, want Unavailable", err)
	}
	if _, err := e.Write(t.Context(), m); !isUnavailable(err) {
		t.Errorf("Write after a failed Sync: %v, want Unavailable", err)
	}
	if got, err := e.Latest(t.Context(), "x"); err != nil || len(got) != 1 {
		t.Errorf("history must go on: %v, %v", got, err)
	}
}

// A device that combines its quantities in ever new ways must not make ever
// more series.
func TestEmbeddedManyCombinations(t *testing.T) {
	e := openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: suiteRetention})
	base := time.Now().UTC().Truncate(time.Hour)
	names := []string{"pm25", "pm10", "no2", "so2", "o3", "co", "noise", "power"}
	var batch []*devices.Message
	for set := 1; set < 256; set++ {
		at := base.Add(time.Duration(set) * time.Millisecond)
		var values []any
		for i, name := range names {
			if set>>i&1 == 1 {
				values = append(values, name, set)
			}
		}
		batch = append(batch, say("x", at, at.Add(time.Duration(set)*time.Second), nil, values...))
	}
	if _, err := e.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if n := e.db.Head().NumSeries(); n > uint64(2*len(names)+maxSets) {
		t.Errorf("%d series", n)
	}
	for i, name := range names {
		points, err := e.Range(t.Context(), Query{Device: "x", Quantity: devices.Quantity(name), From: base, To: base.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if len(points) != 128 {
			t.Errorf("%s has %d points, want 128", name, len(points))
		}
		for _, p := range points {
			set := int(p.Number)
			if set>>i&1 != 1 || !p.Received.Equal(base.Add(time.Duration(set)*time.Millisecond+time.Duration(set)*time.Second)) {
				t.Fatalf("%s: %+v", name, p)
			}
		}
	}
}
