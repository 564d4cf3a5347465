package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Batch is a run of entries as they were stored together. It is shared by all
// readers: nobody may change what it points to.
type Batch struct {
	// Seq is the sequence of the first entry, Seq+1 of the second.
	Seq     uint64
	At      time.Time // of the commit, by the server's clock
	Entries []Entry
	// Gap is set when entries before Seq that this reader had not seen are not
	// to be had any more.
	Gap *Gap

	place     uint64 // message number
	crc, prev uint32
	size      int
}

// Last is the sequence of the last entry.
func (b *Batch) Last() uint64 { return b.Seq + uint64(len(b.Entries)) - 1 }

// Gap is a run of sequences a reader does not get.
type Gap struct {
	From, To uint64 // inclusive
	Reason   GapReason
}

// GapReason says why entries are not to be had.
type GapReason string

const (
	// GapRetention: dropped by age or size before this reader came to them.
	GapRetention GapReason = "retention"
	// GapDamage: the bytes on disk are not what was written, or are not there.
	GapDamage GapReason = "damage"
)

// recent keeps the last batches in memory, so that readers that keep up share
// them with each other and with the committer and touch no disk.
type recent struct {
	maxBytes int

	mu      sync.Mutex
	batches []*Batch // message numbers rise by one
	bytes   int
	grown   chan struct{} // closed at the next add
}

func newRecent(maxBytes int) *recent {
	return &recent{maxBytes: maxBytes, grown: make(chan struct{})}
}

func (c *recent) add(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.batches); n > 0 && c.batches[n-1].place+1 != b.place {
		c.batches, c.bytes = nil, 0
	}
	c.batches = append(c.batches, b)
	c.bytes += b.size
	drop := 0
	for c.bytes > c.maxBytes && drop < len(c.batches)-1 {
		c.bytes -= c.batches[drop].size
		drop++
	}
	if drop > 0 {
		rest := copy(c.batches, c.batches[drop:])
		clear(c.batches[rest:])
		c.batches = c.batches[:rest]
	}
	close(c.grown)
	c.grown = make(chan struct{})
}

// get returns the batch at place if it is here, and a channel that is closed
// when there is more.
func (c *recent) get(place uint64) (*Batch, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.batches) > 0 {
		if first := c.batches[0].place; place >= first && place-first < uint64(len(c.batches)) {
			return c.batches[place-first], c.grown
		}
	}
	return nil, c.grown
}

// find returns the message number of the batch that holds the entry seq or, when
// seq was never given out, follows it, and the CRC of the batch before it where
// that matters; 0 when the batch is not here.
func (c *recent) find(seq uint64) (place uint64, before uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.batches) == 0 || c.batches[0].Seq > seq {
		return 0, 0
	}
	i, _ := slices.BinarySearchFunc(c.batches, seq, func(b *Batch, seq uint64) int { return cmp.Compare(b.Last(), seq) })
	if i > 0 {
		before = c.batches[i-1].crc
	}
	return c.batches[0].place + uint64(i), before
}

// poke wakes the readers that wait, for them to look at the engine again.
func (c *recent) poke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.grown)
	c.grown = make(chan struct{})
}

// Start says where a reader without a cursor begins. One with a cursor goes on
// there.
type Start struct {
	seq  uint64
	anew bool
}

// FromBeginning starts at the oldest entry there is.
func FromBeginning() Start { return Start{seq: 1} }

// FromEnd starts after the newest entry.
func FromEnd() Start { return Start{} }

// FromSeq starts at the given entry.
func FromSeq(seq uint64) Start { return Start{seq: max(seq, 1)} }

// Anew is s for a reader that keeps its place elsewhere, or none: it starts
// there even when there is a cursor under its name.
func (s Start) Anew() Start {
	s.anew = true
	return s
}

// cursor is how far a reader has come: what is kept under its name.
type cursor struct {
	Next uint64 `json:"next"` // the first entry it has not done
	CRC  uint32 `json:"crc"`  // of the record before Next
}

// Reader reads the journal in order under a name, and remembers under that name
// how far it has come. Delivery is at least once: Done writes the cursor within
// CursorInterval, so after a crash the last batches come again.
//
// A Reader belongs to one goroutine; one that stops reading holds up nobody.
type Reader struct {
	j    *Journal
	name string

	place uint64 // message number to read next, 0 when it has to be found
	next  uint64 // our sequence to read next
	crc   uint32 // of the record before, 0 when not known

	mu   sync.Mutex
	done cursor // what Done was last called for
}

// Reader opens the reader of that name, where it left off or, the first time,
// at start. A name has one reader at a time.
func (j *Journal) Reader(_ context.Context, name string, start Start) (*Reader, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, refuseStopping
	}
	if _, taken := j.readers[name]; taken {
		return nil, fmt.Errorf("open reader %q: it is open already", name)
	}
	r := &Reader{j: j, name: name}
	if at, ok := j.cursor(name); ok && !start.anew {
		r.next, r.crc = at.Next, at.CRC
	} else if start.seq == 0 {
		j.field.mu.Lock()
		r.next, r.crc = j.field.acked+1, j.field.crc
		j.field.mu.Unlock()
	} else {
		r.next = start.seq
	}
	r.done = cursor{r.next, r.crc}
	j.readers[name] = r
	return r, nil
}

// Forget removes the cursor of a reader that is not open, so that what it has
// not read is no longer kept for it.
func (j *Journal) Forget(ctx context.Context, name string) error {
	j.mu.Lock()
	_, open := j.readers[name]
	if !open {
		delete(j.pending, name)
	}
	j.mu.Unlock()
	if open {
		return fmt.Errorf("forget reader %q: it is open", name)
	}
	return j.cursors.Delete(ctx, name)
}

// Next waits for the next batch. It ends with ctx's error, or with a
// *devices.Refusal (shutting_down) when the journal is closed. While the
// storage engine is being opened again Next waits.
func (r *Reader) Next(ctx context.Context) (*Batch, error) {
	for {
		if r.place == 0 {
			place, before := r.j.recent.find(r.next)
			if r.place = place; r.crc == 0 {
				r.crc = before
			}
		}
		b, grown := r.j.recent.get(r.place)
		if b == nil {
			var err error
			b, err = r.fromDisk(ctx)
			switch {
			case err == nil:
			case errors.Is(err, errNoMessage) || errors.Is(err, errEngine):
				select {
				case <-grown:
				case <-time.After(time.Second): // an engine that comes back wakes nobody else
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-r.j.gone:
					return nil, refuseStopping
				}
				continue
			default:
				return nil, fmt.Errorf("reader %q: %w", r.name, err)
			}
		}
		if out := r.take(b); out != nil {
			return out, nil
		}
	}
}

// fromDisk reads the batch at r.place, or finds it.
func (r *Reader) fromDisk(ctx context.Context) (*Batch, error) {
	if r.place == 0 {
		place, err := r.j.field.locate(ctx, r.next)
		if err != nil {
			return nil, err
		}
		if r.crc == 0 && place > 1 {
			// A reader without a past takes that of the record before.
			at, before, err := r.j.field.read(ctx, place-1)
			if err == nil && at < place {
				r.crc = before.crc
			} else if err != nil && !errors.Is(err, errNoMessage) {
				return nil, err
			}
		}
		r.place = max(place, 1)
	}
	if _, last := r.j.field.end(); r.place > last {
		return nil, errNoMessage
	}
	place, rec, err := r.j.field.read(ctx, r.place)
	if err != nil {
		return nil, err
	}
	entries, err := decodeBatch(rec)
	if err != nil {
		// The CRC holds, so these are the bytes that were written: a defect of
		// the program that wrote them, not of the disk. The rest is readable.
		r.j.o.Log.Error("journal record cannot be decoded", "reader", r.name, "from", rec.first, "to", rec.last(), "error", err)
		r.place = place + 1
		return r.fromDisk(ctx)
	}
	return &Batch{Seq: rec.first, At: rec.at, Entries: entries, place: place, crc: rec.crc, prev: rec.prev, size: len(rec.body) + recordHeader}, nil
}

// take moves the reader past b and returns what it has not seen of it.
func (r *Reader) take(b *Batch) *Batch {
	r.place = b.place + 1
	if b.Last() < r.next {
		return nil // found again after a restart, done already
	}
	out := *b
	switch {
	case b.Seq < r.next:
		out.Entries = b.Entries[r.next-b.Seq:]
		out.Seq = r.next
	case b.Seq > r.next && (r.crc == 0 || b.prev != r.crc) && (b.place > 1 || b.prev != 0):
		// Sequences that were never given out leave the chain of CRCs whole;
		// entries that were there break it. Before the first record of all
		// there was nothing.
		out.Gap = r.gap(b)
	}
	r.next, r.crc = b.Last()+1, b.crc
	return &out
}

// gap names what lies between r.next and b.
func (r *Reader) gap(b *Batch) *Gap {
	g := &Gap{From: r.next, To: b.Seq - 1, Reason: GapDamage}
	if r.next < r.j.oldest() {
		g.Reason = GapRetention
	}
	r.j.o.Log.Error("reader misses entries", "reader", r.name, "from", g.From, "to", g.To, "reason", string(g.Reason))
	r.j.met.missed.WithLabelValues(r.name, string(g.Reason)).Add(float64(g.To - g.From + 1))
	if g.Reason == GapDamage {
		r.j.lost(Loss{Stream: streamField, From: g.From, To: g.To, Reason: "cannot be read", old: true})
	}
	return g
}

// Done says that b and everything before it need not come again. The cursor
// follows on disk within CursorInterval and at Close.
func (r *Reader) Done(_ context.Context, b *Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next := b.Last() + 1; next > r.done.Next {
		r.done = cursor{next, b.crc}
	}
	return nil
}

// Lag is how far the reader's Done is behind the end of the journal. After a
// loss of power entries may be counted that were never given out.
func (r *Reader) Lag() (entries, bytes uint64) {
	r.mu.Lock()
	next := r.done.Next
	r.mu.Unlock()
	return r.j.lag(next)
}

// Close frees the name; the cursor stays. A Next under way must have returned.
func (r *Reader) Close() {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	if r.j.readers[r.name] == r {
		r.j.pending[r.name] = r.at()
		delete(r.j.readers, r.name)
	}
}

func (r *Reader) at() cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// cursor returns what is remembered under name; j.mu is held.
func (j *Journal) cursor(name string) (cursor, bool) {
	if c, ok := j.pending[name]; ok {
		return c, true
	}
	raw, ok := j.cursors.Get(name)
	if !ok {
		return cursor{}, false
	}
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil || c.Next == 0 {
		j.o.Log.Error("cursor cannot be read, its reader starts anew", "reader", name, "value", string(raw), "error", err)
		return cursor{}, false
	}
	return c, true
}

// saveCursors writes the cursors that moved, all in one record.
func (j *Journal) saveCursors(ctx context.Context) error {
	j.mu.Lock()
	moved := make(map[string][]byte)
	for name, c := range j.pending {
		moved[name], _ = json.Marshal(c) // two numbers always marshal
	}
	for name, r := range j.readers {
		moved[name], _ = json.Marshal(r.at())
	}
	for name, raw := range moved {
		if old, ok := j.cursors.Get(name); ok && string(old) == string(raw) {
			delete(moved, name)
		}
	}
	j.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	if err := j.cursors.PutAll(ctx, moved); err != nil {
		return fmt.Errorf("save cursors: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := range moved {
		if c, ok := j.pending[name]; ok {
			if raw, _ := json.Marshal(c); string(raw) == string(moved[name]) {
				delete(j.pending, name)
			}
		}
	}
	return nil
}
