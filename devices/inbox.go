package devices

import (
	"slices"
	"sync"
)

// Inbox keeps the newest messages of each device as they were admitted, for
// whoever asks what a device said last. Like Evidence it is memory only: it is
// rebuilt from the journal's tail at start, and history has the values for good.
//
// A device loses its own oldest message to its newest, never another's: one that
// floods does not push out what a quiet one said. How many a device has follows
// from how many devices there are, so that all of them stay near the total; one
// message of each is always kept, so the register bounds the rest.
type Inbox struct {
	each, total int

	mu   sync.Mutex
	kept map[ID][]*Message // oldest first
	n    int
}

// NewInbox keeps up to each messages of a device, and fewer when all together
// would be more than total.
func NewInbox(each, total int) *Inbox {
	return &Inbox{each: max(each, 1), total: total, kept: map[ID][]*Message{}}
}

// Add takes in messages in the order of the journal.
func (b *Inbox) Add(list ...*Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range list {
		old := b.kept[m.Device]
		room := min(b.each, max(b.total/max(len(b.kept), 1), 1))
		if drop := len(old) + 1 - room; drop > 0 {
			b.n -= drop
			rest := copy(old, old[drop:])
			clear(old[rest:])
			old = old[:rest]
		}
		b.kept[m.Device] = append(old, alone(m))
		b.n++
	}
}

// alone copies a message out of the batch it was read with, which is then not
// held in memory by it.
func alone(m *Message) *Message {
	c := *m
	c.Observations = slices.Clone(m.Observations)
	for i := range c.Observations {
		o := &c.Observations[i]
		o.Values, o.Zones = slices.Clone(o.Values), slices.Clone(o.Zones)
	}
	return &c
}

// Newest gives at most limit messages of a device, the newest first.
func (b *Inbox) Newest(device ID, limit int) []*Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.kept[device]
	out := make([]*Message, 0, min(limit, len(list)))
	for i := len(list) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, list[i])
	}
	return out
}

// Forget lets go of what a device said.
func (b *Inbox) Forget(device ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n -= len(b.kept[device])
	delete(b.kept, device)
}

// Len is how many messages are kept of all devices.
func (b *Inbox) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}
