package series

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vonglau/devices"
)

// source is a journal in memory: batches of one message, and a cursor.
type source struct {
	mu      sync.Mutex
	changed chan struct{} // closed and renewed on every put
	all     []*devices.Message
	read    int
	done    int
	dones   int
}

func newSource(t testing.TB) *source {
	t.Helper()
	return &source{changed: make(chan struct{})}
}

func (s *source) put(m *devices.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, m)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *source) Next(ctx context.Context) (Batch, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		if s.read < len(s.all) {
			m := s.all[s.read]
			s.read++
			b := Batch{Messages: []*devices.Message{m}, Mark: s.read}
			s.mu.Unlock()
			return b, nil
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

func (s *source) Done(_ context.Context, b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = b.Mark.(int)
	s.dones++
	return nil
}

func (s *source) cursor() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

func (s *source) waitDone(t *testing.T, n int) {
	t.Helper()
	waitFor(t, "the cursor", func() bool { return s.cursor() == n })
}

// waitFor polls for what another process or goroutine brings about. It has no
// bound of its own: the test's is enough.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for !reached() {
		select {
		case <-t.Context().Done():
			t.Fatalf("waiting for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// memory is a store that knows what would survive a power cut, and fails when
// told to.
type memory struct {
	Store // nil: the writer uses only what is below

	mu        sync.Mutex
	durable   map[string]bool
	written   map[string]bool
	order     []string // as first written
	failWrite func(attempt int) error
	failSync  func(attempt int) error
	writes    int
	syncs     int
	largest   int
}

func label(m *devices.Message) string {
	return fmt.Sprintf("%s@%d", m.Device, m.Observations[0].Time.UnixMilli())
}

func (s *memory) Write(_ context.Context, messages []*devices.Message) (Written, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.largest = max(s.largest, len(messages))
	if s.failWrite != nil {
		if err := s.failWrite(s.writes); err != nil {
			s.written = make(map[string]bool) // it may lose all that was not synced
			return Written{}, err
		}
	}
	var w Written
	for _, m := range messages {
		k := label(m)
		if s.written[k] || s.durable[k] {
			w.Duplicates++
			continue
		}
		s.written[k] = true
		s.order = append(s.order, k)
		w.Values++
	}
	return w, nil
}

func (s *memory) Sync(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	if s.failSync != nil {
		if err := s.failSync(s.syncs); err != nil {
			s.written = make(map[string]bool)
			return err
		}
	}
	for k := range s.written {
		s.durable[k] = true
	}
	return nil
}

func newMemory() *memory {
	return &memory{durable: make(map[string]bool), written: make(map[string]bool)}
}

// check is called by the source when the cursor moves: everything before it
// must be durable.
func (s *memory) check(t *testing.T, messages []*devices.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range messages {
		if !s.durable[label(m)] {
			t.Errorf("the cursor passed message %d, which is not durable", i)
			return
		}
	}
}

type checkedSource struct {
	*source
	t     *testing.T
	store *memory
}

func (s checkedSource) Done(ctx context.Context, b Batch) error {
	if err := s.source.Done(ctx, b); err != nil {
		return err
	}
	s.source.mu.Lock()
	passed := s.all[:s.done]
	s.source.mu.Unlock()
	s.store.check(s.t, passed)
	return nil
}

func message(i int) *devices.Message {
	at := time.UnixMilli(int64(i))
	return say("x", at, at, nil, "noise", i)
}

// runWriter runs a writer in a bubble with n messages waiting; during is called
// with it at work.
func runWriter(t *testing.T, store *memory, n int, o WriterOptions, during func(*Writer, checkedSource)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := checkedSource{newSource(t), t, store}
		for i := range n {
			src.put(message(i))
		}
		o.Store, o.Source = store, src
		w, err := NewWriter(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		during(w, src)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestWriterMovesTheCursorBehindASync(t *testing.T) {
	store := newMemory()
	runWriter(t, store, 1000, WriterOptions{MaxValues: 100}, func(w *Writer, src checkedSource) {
		time.Sleep(5 * time.Second)
		if got := src.cursor(); got != 1000 {
			t.Errorf("the cursor is at %d, want 1000", got)
		}
		if s := w.State(); !s.OK || s.Held != 0 {
			t.Errorf("state %+v, want ok and nothing held", s)
		}
	})
	if len(store.durable) != 1000 || store.largest > 100 {
		t.Errorf("%d durable in writes of up to %d, want 1000 in writes of up to 100", len(store.durable), store.largest)
	}
}

func TestWriterRepeatsAfterAnyFailure(t *testing.T) {
	down := errors.New("down")
	for name, store := range map[string]*memory{
		"write": {failWrite: func(n int) error {
			if n%3 != 0 {
				return down
			}
			return nil
		}},
		"sync": {failSync: func(n int) error {
			if n%2 == 1 {
				return down
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			store.durable, store.written = make(map[string]bool), make(map[string]bool)
			runWriter(t, store, 500, WriterOptions{MaxValues: 50}, func(w *Writer, src checkedSource) {
				time.Sleep(time.Hour)
				if got := src.cursor(); got != 500 {
					t.Errorf("the cursor is at %d, want 500", got)
				}
				if s := w.State(); !s.OK || s.LastError != "" || s.Failures != 0 {
					t.Errorf("state %+v, want ok", s)
				}
			})
			var first []string
			seen := make(map[string]bool)
			for _, k := range store.order {
				if !seen[k] {
					first = append(first, k)
				}
				seen[k] = true
			}
			for i, k := range first {
				if want := label(message(i)); k != want {
					t.Fatalf("in place %d came %s, want %s", i, k, want)
				}
			}
		})
	}
}

func TestWriterHoldsLittleWhileTheStoreIsDown(t *testing.T) {
	store := newMemory()
	up := false
	store.failWrite = func(int) error {
		if up {
			return nil
		}
		return &Unavailable{Err: errors.New("down"), RetryAfter: 2 * time.Minute}
	}
	runWriter(t, store, 10_000, WriterOptions{MaxValues: 100}, func(w *Writer, src checkedSource) {
		time.Sleep(time.Hour)
		s := w.State()
		if s.OK || s.LastError == "" || s.Held > 2*100+3 {
			t.Errorf("down: %+v", s)
		}
		if src.cursor() != 0 {
			t.Errorf("the cursor moved to %d", src.cursor())
		}
		store.mu.Lock()
		if store.writes > 31 {
			t.Errorf("%d attempts in an hour, although the store asked for two minutes' patience", store.writes)
		}
		up = true
		store.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if got := src.cursor(); got != 10_000 {
			t.Errorf("after the store's return the cursor is at %d, want 10000", got)
		}
	})
}

func TestWriterSyncsOnceMoreAtTheEnd(t *testing.T) {
	store := newMemory()
	var src checkedSource
	runWriter(t, store, 10, WriterOptions{SyncEvery: time.Hour, Linger: time.Second}, func(_ *Writer, s checkedSource) {
		src = s
		time.Sleep(time.Minute)
		if got := s.cursor(); got != 0 {
			t.Errorf("the cursor is at %d before any sync", got)
		}
	})
	if got := src.cursor(); got != 10 {
		t.Errorf("after a clean stop the cursor is at %d, want 10", got)
	}
}

func TestWriterEndsWithItsSource(t *testing.T) {
	broken := errors.New("journal closed")
	w, err := NewWriter(WriterOptions{Store: newMemory(), Source: brokenSource{broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run: %v, want %v", err, broken)
	}
}

type brokenSource struct{ err error }

func (s brokenSource) Next(context.Context) (Batch, error) { return Batch{}, s.err }
func (s brokenSource) Done(context.Context, Batch) error   { return nil }
