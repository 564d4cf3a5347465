package devices

import "sync"

// Evidence keeps the newest refusals for whoever asks what was refused and why.
// It is rebuilt from the journal at start.
type Evidence struct {
	mu   sync.Mutex
	ring []*Refusal
	next int // where the next one goes
	by   map[ID]int
}

// NewEvidence keeps the newest n refusals.
func NewEvidence(n int) *Evidence {
	return &Evidence{ring: make([]*Refusal, 0, n), by: map[ID]int{}}
}

// Add takes in refusals, the oldest first.
func (e *Evidence) Add(list ...*Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range list {
		e.by[r.Device]++
		if len(e.ring) < cap(e.ring) {
			e.ring = append(e.ring, r)
			continue
		}
		old := e.ring[e.next]
		if e.by[old.Device]--; e.by[old.Device] == 0 {
			delete(e.by, old.Device)
		}
		e.ring[e.next] = r
		e.next = (e.next + 1) % len(e.ring)
	}
}

// Newest gives at most limit refusals, the newest first: of one device and one
// reason where those are not empty.
func (e *Evidence) Newest(device ID, reason Reason, limit int) []*Refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*Refusal
	if device != "" && e.by[device] == 0 {
		return nil
	}
	for i := range e.ring {
		if len(out) >= limit {
			break
		}
		r := e.ring[(e.next+len(e.ring)-1-i)%len(e.ring)]
		if (device == "" || r.Device == device) && (reason == "" || r.Reason == reason) {
			out = append(out, r)
		}
	}
	return out
}

// Count is how many of the refusals kept are of a device.
func (e *Evidence) Count(device ID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.by[device]
}
