package series

import (
	"context"
	"sync"
	"testing"
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
