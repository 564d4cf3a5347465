package journal

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// sweepNow runs retention without waiting for its turn.
func sweepNow(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRetentionByAgeWaitsForReaders(t *testing.T) {
	var leap atomic.Int64
	j := openTest(t, Options{MaxAge: time.Hour, Now: func() time.Time {
		return time.Now().Add(time.Duration(leap.Load()))
	}})
	r := openReader(t, j, "series", FromBeginning())
	_, last := appendN(t, j, 0, 20)
	// The clock leaps by a year. Nothing was read: nothing goes.
	leap.Store(int64(365 * 24 * time.Hour))
	sweepNow(t, j)
	if s := j.State(); s.First != 1 {
		t.Fatalf("first sequence %d after a leap of the clock, want 1: unread entries dropped by age", s.First)
	}
	for b := (*Batch)(nil); b == nil || b.Last() < 10; {
		var err error
		if b, err = r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Done(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	sweepNow(t, j)
	if s := j.State(); s.First != 11 {
		t.Errorf("first sequence %d after ten were done, want 11", s.First)
	}
	if entries, bytes := r.Lag(); entries != 10 || bytes == 0 {
		t.Errorf("lag %d entries, %d bytes, want 10 and some", entries, bytes)
	}
	got, gaps := drain(t, r, last)
	if len(got) != 10 || len(gaps) != 0 {
		t.Errorf("read %d entries, gaps %v, want the 10 that were kept", len(got), gaps)
	}
	if entries, bytes := r.Lag(); entries != 0 || bytes != 0 {
		t.Errorf("lag %d entries, %d bytes at the end", entries, bytes)
	}
}

func TestRetentionBySizeTellsWhoMissedIt(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := Options{Dir: t.TempDir(), MaxBytes: 32 << 10, RecentBytes: 1, Metrics: reg}
	j := openTest(t, o)
	slow := openReader(t, j, "slow", FromBeginning())
	appendN(t, j, 0, 200)
	appendN(t, j, 200, 200)
	sweepNow(t, j)
	s := j.State()
	if s.First == 1 || s.First >= 400 || s.Bytes > 32<<10 {
		t.Fatalf("first sequence %d, %d bytes after retention by size", s.First, s.Bytes)
	}
	got, gaps := drain(t, slow, 400)
	want := []Gap{{1, s.First - 1, GapRetention}}
	if !reflect.DeepEqual(gaps, want) || len(got) != int(400-s.First+1) {
		t.Errorf("slow reader got %d entries, gaps %v, want %d and %v", len(got), gaps, 400-s.First+1, want)
	}
	metrics, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range metrics {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"vonglau_journal_entries_total":                400,
		"vonglau_journal_dropped_unread_entries_total": float64(s.First - 1),
		"vonglau_journal_missed_entries_total":         float64(s.First - 1),
		"vonglau_journal_sequence":                     400,
	} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	closeTest(t, j)
	// What is left is found again, and the sequence goes on.
	j = openTest(t, o)
	if again := j.State(); again.First != s.First || again.Level != LevelOK {
		t.Errorf("after a restart first is %d, level %s (%s), want %d, ok", again.First, again.Level, again.Reason, s.First)
	}
	if first, _ := appendN(t, j, 0, 1); first != 401 {
		t.Errorf("sequence %d after a restart, want 401", first)
	}
}

func TestRetentionKeepsTheEnd(t *testing.T) {
	o := Options{Dir: t.TempDir(), MaxAge: time.Nanosecond}
	for run := range uint64(3) {
		j := openTest(t, o)
		if first, _ := appendN(t, j, 0, 3); first != 3*run+1 {
			t.Fatalf("run %d starts at %d, want %d", run, first, 3*run+1)
		}
		time.Sleep(2 * time.Millisecond) // the record's age is in milliseconds
		sweepNow(t, j)
		if s := j.State(); s.First != 3*run+3 || s.Last != 3*run+3 {
			t.Errorf("run %d keeps %d to %d, want the last entry", run, s.First, s.Last)
		}
		closeTest(t, j)
	}
}

// TestReaderThatStops: one reader that never reads holds up neither the others
// nor the senders.
func TestReaderThatStops(t *testing.T) {
	j := openTest(t, Options{RecentBytes: 4 << 10})
	openReader(t, j, "stuck", FromBeginning())
	live := openReader(t, j, "live", FromEnd())
	for i := range 300 {
		seq, err := j.AppendWait(t.Context(), reading("aq-1", i))
		if err != nil {
			t.Fatal(err)
		}
		if got, gaps := drain(t, live, seq); len(got) != 1 || len(gaps) != 0 {
			t.Fatalf("live reader got %d entries, gaps %v", len(got), gaps)
		}
	}
	// The far end of the backlog comes from disk, the near one from memory.
	r := openReader(t, j, "late", FromBeginning())
	if got, gaps := drain(t, r, 300); len(got) != 300 || len(gaps) != 0 {
		t.Errorf("late reader got %d entries, gaps %v", len(got), gaps)
	}
	if _, err := j.Reader(t.Context(), "late", FromBeginning()); err == nil {
		t.Error("a second reader of one name was opened")
	}
	if err := j.Forget(t.Context(), "late"); err == nil {
		t.Error("the cursor of an open reader was forgotten")
	}
	for _, name := range []string{"", "A", "a b", "../x", strings.Repeat("x", 49)} {
		if _, err := j.Reader(t.Context(), name, FromEnd()); err == nil {
			t.Errorf("reader %q was opened", name)
		}
	}
}

func TestNextEnds(t *testing.T) {
	j := openTest(t, Options{})
	r := openReader(t, j, "r", FromEnd())
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	next := func(ctx context.Context) { _, err := r.Next(ctx); result <- err }
	go next(ctx)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Next of an ended context: %v", err)
	}
	go next(t.Context())
	closeTest(t, j)
	if err := <-result; !errors.Is(err, &devices.Refusal{Reason: devices.ReasonShutting}) {
		t.Errorf("Next of a closed journal: %v, want shutting_down", err)
	}
	if _, err := j.AppendWait(t.Context(), reading("aq-1", 0)); !errors.Is(err, &devices.Refusal{Reason: devices.ReasonShutting}) {
		t.Errorf("append to a closed journal: %v, want shutting_down", err)
	}
}

// TestQueueFull: while the disk works on one batch and the next is full, the
// queue fills up to its bounds and then says so; everything that was let in is
// stored.
func TestQueueFull(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"by entries", Options{QueueEntries: 100, MaxBatch: 10}},
		{"by bytes", Options{QueueBytes: 20 << 10, MaxBatch: 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := openTest(t, c.o)
			j.field.writing.Lock() // the disk is busy
			var stored atomic.Int64
			settled := make(chan error, 10_000)
			busy := 0
			for i := range 5000 {
				j.Append(reading("aq-1", i), func(_ uint64, err error) {
					if err == nil {
						stored.Add(1)
					}
					settled <- err
				})
				// A refusal at the door comes before Append returns.
				select {
				case err := <-settled:
					if !errors.Is(err, &devices.Refusal{Reason: devices.ReasonBusy}) {
						t.Fatalf("append %d: %v, want busy", i, err)
					}
					busy++
				default:
				}
			}
			j.field.writing.Unlock()
			for range 5000 - busy {
				if err := <-settled; err != nil {
					t.Errorf("entry that was let in: %v", err)
				}
			}
			if busy == 0 || stored.Load() != int64(5000-busy) || stored.Load() > 300 {
				t.Errorf("%d busy, %d stored of 5000", busy, stored.Load())
			}
		})
	}
}

func TestAppendRefusesWhatCannotBeStored(t *testing.T) {
	j := openTest(t, Options{})
	m := reading("aq-1", 0)
	m.Status = &devices.Status{Device: "aq-1"}
	for name, e := range map[string]Entry{"nothing": {}, "two things": m} {
		if _, err := j.AppendWait(t.Context(), e); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	huge := Entry{Refusal: &devices.Refusal{Payload: make([]byte, softRecord)}}
	if _, err := j.AppendWait(t.Context(), huge); !errors.Is(err, &devices.Refusal{Reason: devices.ReasonTooLarge}) {
		t.Errorf("an entry above the limit: %v, want too_large", err)
	}
}

func TestCursorSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir, CursorInterval: time.Millisecond})
	r := openReader(t, j, "series", FromBeginning())
	_, last := appendN(t, j, 0, 30)
	drain(t, r, last)
	until(t, "cursor saved", func() bool {
		raw, ok := j.cursors.Get("series")
		return ok && strings.Contains(string(raw), `"next":31`)
	})
	left := t.TempDir()
	copyDir(t, left, dir) // what kill -9 leaves

	j2 := openTest(t, Options{Dir: left})
	appendN(t, j2, 30, 1)
	got, gaps := drain(t, openReader(t, j2, "series", FromBeginning()), 31)
	if len(got) != 1 || len(gaps) != 0 {
		t.Errorf("after kill -9 read %d entries, gaps %v, want the new one", len(got), gaps)
	}
}

// TestCursorAhead: a reader has done what the log does not hold any more, as
// after a loss of power on a disk that lied. That is loss, said aloud, and the
// sequence goes on above it.
func TestCursorAhead(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir})
	r := openReader(t, j, "series", FromBeginning())
	appendN(t, j, 0, 30)
	drain(t, r, 30)
	closeTest(t, j)

	path, buf, f := fieldFrames(t, dir)
	rewrite(t, path, buf[:f[20].start])
	for _, gone := range []string{dir + "/marks/field", blocksDir(dir, streamField) + "/index.db"} {
		rewrite(t, gone, nil)
	}
	j = openTest(t, Options{Dir: dir})
	s := j.State()
	lost := 0
	for _, l := range s.Lost {
		lost += int(l.To - l.From + 1)
	}
	if s.Level != LevelDegraded || lost == 0 {
		t.Errorf("state %+v, want degraded with the loss named", s)
	}
	first, last := appendN(t, j, 0, 1)
	if first <= 30 {
		t.Errorf("sequence %d was used before", first)
	}
	if got, _ := drain(t, openReader(t, j, "series", FromBeginning()), last); len(got) != 1 {
		t.Errorf("the reader got %d entries, want the new one", len(got))
	}
	// Acknowledged by an operator, it does not come back.
	if err := j.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeTest(t, j)
	if s := openTest(t, Options{Dir: dir}).State(); s.Level != LevelOK {
		t.Errorf("after Resume and a restart: %+v", s)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	j := openTest(t, Options{})
	if _, err := Open(t.Context(), Options{Dir: j.o.Dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
}

// TestNoDoor: the engine listens nowhere.
func TestNoDoor(t *testing.T) {
	j := openTest(t, Options{})
	if a := j.eng.srv.Addr(); a != nil {
		t.Errorf("client listener on %v", a)
	}
	if a := j.eng.srv.MonitorAddr(); a != nil {
		t.Errorf("monitoring on %v", a)
	}
	if a := j.eng.srv.ClusterAddr(); a != nil {
		t.Errorf("cluster listener on %v", a)
	}
}
