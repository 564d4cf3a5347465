package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// chain is one stream of records: each names the CRC of the one before, each
// counts on from it in our own sequence. JetStream's message numbers are only
// where a record lies; they are found again by searching (locate), never
// promised to anyone.
//
// Invariants: one append at a time; a sequence is given out once, whatever the
// disk says later (mark); a record is acknowledged after its message is synced
// and its place is the expected one.
type chain struct {
	j *Journal
	// attached is called, if set, after each attach but the first.
	attached func(context.Context, *engine) error

	stream  string
	subject string
	kind    recordKind
	mark    *mark

	// writing serialises appends. It is held while the disk works.
	writing sync.Mutex

	mu     sync.Mutex
	next   uint64 // sequence of the next entry
	acked  uint64 // sequence of the last entry there is
	crc    uint32 // what the next record names as the one before it
	last   uint64 // message number of the last record
	bytes  uint64 // size of the stream, about
	blocks blocksStamp
}

// blocksStamp changes when JetStream begins a new block file. The file's data
// is synced by JetStream, its name in the directory is not.
type blocksStamp struct {
	mtime time.Time
	size  int64
}

// Loss is a range of sequences that were given out and cannot be read back.
type Loss struct {
	Stream string `json:"stream"`
	From   uint64 `json:"from"` // our sequences, inclusive
	To     uint64 `json:"to"`
	Reason string `json:"reason"`

	old bool // a break in the chain with nothing damaged beside it
}

func (l Loss) String() string {
	return fmt.Sprintf("%s: entries %d to %d (%s)", l.Stream, l.From, l.To, l.Reason)
}

// openChain opens the stream in the running engine and finds its end. Losses
// are what is known to have been acknowledged and is not there any more.
func openChain(ctx context.Context, j *Journal, stream string, kind recordKind) (*chain, []Loss, error) {
	c := &chain{j: j, stream: stream, subject: "vonglau." + stream, kind: kind}
	m, known, err := openMark(j.o.Dir, stream)
	if err != nil {
		return nil, nil, err
	}
	c.mark = m
	eng, release, err := j.engine()
	if err != nil {
		return nil, nil, errors.Join(err, m.close())
	}
	defer release()
	losses, err := c.attach(ctx, eng, known)
	if err != nil {
		return nil, nil, errors.Join(err, m.close())
	}
	return c, losses, nil
}

// attach finds the chain's end in the engine that runs now. It is called at
// open and each time the engine was opened again; no append is under way.
func (c *chain) attach(ctx context.Context, e *engine, markKnown bool) ([]Loss, error) {
	if err := e.ensure(ctx, c.stream, c.subject); err != nil {
		return nil, err
	}
	if err := syncNames(c.j.o.Dir, blocksDir(c.j.o.Dir, c.stream)); err != nil {
		return nil, err
	}
	first, last, size, err := e.bounds(ctx, c.stream)
	if err != nil {
		return nil, err
	}
	// The last record that can be read. Those behind it that cannot are lost
	// and their sequences stay used.
	var tail record
	for n := last; n >= first && n > 0; n-- {
		got, data, err := e.get(ctx, c.stream, c.subject, n)
		if errors.Is(err, errNoMessage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r, err := openRecord(data)
		if err == nil && got == n {
			tail = r
			break
		}
		if err != nil && !errors.Is(err, errDamaged) {
			return nil, fmt.Errorf("stream %s message %d: %w", c.stream, n, err)
		}
	}
	var end uint64 // our last sequence that can be read
	if tail.count > 0 {
		end = tail.last()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.mark.state
	reached := max(end, was.last, was.next-min(was.next, 1), c.next-min(c.next, 1))
	crc := tail.crc
	var losses []Loss
	switch {
	case was.last > end:
		losses = append(losses, Loss{Stream: c.stream, From: end + 1, To: was.last, Reason: "the end of the log is missing"})
		crc = was.crc // so that whoever reads past the place sees the break
	case was.last == end:
		crc = was.crc
	}
	switch {
	case !markKnown && end > 0:
		reached += lease // nothing tells how far it once got
	case markKnown && !was.clean && was.boot != c.j.boot:
		// The mark may be older than the stream and the stream's end may have
		// gone with the power: stay above everything ever given out.
		reached = max(reached, was.ceiling)
	}
	c.next, c.acked, c.crc, c.last, c.bytes = reached+1, end, crc, last, size
	c.blocks = blocksStamp{}
	return losses, c.advance(end, crc, c.next, 0)
}

// advance writes the mark: entries up to last were acknowledged, next comes
// next, room more are wanted. It syncs only when the ceiling has to rise or the
// mark on disk still says that the stop was orderly.
func (c *chain) advance(last uint64, crc uint32, next, room uint64) error {
	s := markState{ceiling: c.mark.state.ceiling, next: next, last: last, crc: crc, boot: c.j.boot}
	rise := next+room > s.ceiling
	if rise {
		s.ceiling = next + room + lease
	}
	return c.mark.write(s, rise || c.mark.state.clean)
}

// append stores buf, a record whose header space is reserved (beginRecord), as
// the next one of the chain and returns its header once it is on disk. An error
// means that it is not known whether the record was stored; the chain accepts
// nothing before it was attached again, and then counts on above it.
func (c *chain) append(ctx context.Context, buf []byte, count uint32, at time.Time) (record, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	// Once begun, a write is waited for: whether it succeeded has to be known,
	// and a caller that gives up is no fault of the disk.
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	ctx = c.j.ctx
	eng, release, err := c.j.engine()
	if err != nil {
		return record{}, err
	}
	defer release()
	if err := c.j.admit(c, len(buf)); err != nil {
		return record{}, err
	}

	c.mu.Lock()
	r := record{kind: c.kind, first: c.next, count: count, prev: c.crc, at: at}
	place := c.last
	c.mu.Unlock()
	r.crc = sealRecord(buf, r)
	r.body = buf[recordHeader:]

	err = c.store(ctx, eng, buf, r, place)
	c.mu.Lock()
	c.next = r.last() + 1 // used, whatever happened
	if err == nil {
		c.acked, c.crc, c.last = r.last(), r.crc, place+1
		c.bytes += uint64(len(buf))
	}
	c.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("write entries %d to %d of %s: %w", r.first, r.last(), c.stream, err)
		c.j.failed(err)
		return record{}, err
	}
	c.j.relief(CodeStalled)
	return r, nil
}

func (c *chain) store(ctx context.Context, eng *engine, buf []byte, r record, place uint64) error {
	if was := c.mark.state; r.last() >= was.ceiling {
		if err := c.advance(was.last, was.crc, r.first, uint64(r.count)); err != nil {
			return fmt.Errorf("%w: %w", errEngine, err)
		}
	}
	if err := eng.publish(ctx, c.stream, c.subject, buf, place, c.j.patience, c.j.stalled); err != nil {
		return err
	}
	if err := c.syncBlockNames(); err != nil {
		return fmt.Errorf("%w: %w", errEngine, err)
	}
	if err := c.advance(r.last(), r.crc, r.last()+1, 0); err != nil {
		return fmt.Errorf("%w: %w", errEngine, err)
	}
	return nil
}

// syncBlockNames syncs the directory of blocks when a name came into it since
// the last time: JetStream syncs what it writes into a new block file, not the
// entry that leads to it (nats-server filestore.go newMsgBlockForWrite).
func (c *chain) syncBlockNames() error {
	dir := blocksDir(c.j.o.Dir, c.stream)
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	now := blocksStamp{fi.ModTime(), fi.Size()}
	if now == c.blocks {
		return nil
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	c.blocks = now
	return nil
}

// end returns the sequence of the last entry there is and the message number of
// the last record.
func (c *chain) end() (seq, place uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acked, c.last
}

// read returns the first intact record at or after the message number place,
// and its own. Messages that are damaged are passed over: the caller sees the
// hole in the sequence. errNoMessage means that there is none up to now.
func (c *chain) read(ctx context.Context, place uint64) (uint64, record, error) {
	eng, release, err := c.j.engine()
	if err != nil {
		return 0, record{}, err
	}
	defer release()
	return c.readFrom(ctx, eng, place)
}

func (c *chain) readFrom(ctx context.Context, eng *engine, place uint64) (uint64, record, error) {
	_, last := c.end()
	for {
		at, data, err := eng.get(ctx, c.stream, c.subject, place)
		switch {
		case errors.Is(err, errNoMessage) && place < last:
			// JetStream gives the same answer for "past the end" and for a
			// message it finds damaged.
			place++
			continue
		case err != nil:
			return 0, record{}, err
		}
		r, err := openRecord(data)
		if err == nil && r.kind != c.kind {
			err = fmt.Errorf("record of kind %d in a stream of kind %d", r.kind, c.kind)
		}
		switch {
		case errors.Is(err, errDamaged) && at < last:
			place = at + 1
		case errors.Is(err, errDamaged):
			return 0, record{}, errNoMessage
		case err != nil:
			return 0, record{}, fmt.Errorf("stream %s message %d: %w", c.stream, at, err)
		default:
			return at, r, nil
		}
	}
}

// locate finds the message number of the first record that ends at or after
// seq, by bisection: sequences rise with message numbers. It returns the number
// after the last message when every record ends before seq.
func (c *chain) locate(ctx context.Context, seq uint64) (uint64, error) {
	eng, release, err := c.j.engine()
	if err != nil {
		return 0, err
	}
	defer release()
	first, last, _, err := eng.bounds(ctx, c.stream)
	if err != nil {
		return 0, err
	}
	return c.search(ctx, eng, first, last+1, func(r record) bool { return r.last() >= seq })
}

// sweep drops the records above maxBytes, and those older than maxAge that end
// before done; 0 bounds nothing. It returns whether it dropped any.
func (c *chain) sweep(ctx context.Context, maxBytes int64, maxAge time.Duration, done uint64) (bool, error) {
	eng, release, err := c.j.engine()
	if err != nil {
		return false, err
	}
	defer release()
	first, last, size, err := eng.bounds(ctx, c.stream)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	c.bytes = size
	c.mu.Unlock()

	keep := first // message number of the first record to keep
	if over := int64(size) - maxBytes; maxBytes > 0 && over > 0 && last > first {
		// To 95 %, so that it is not done for every batch.
		part := float64(over+maxBytes/20) / float64(size)
		keep = first + uint64(part*float64(last-first)) + 1
	}
	if maxAge > 0 {
		hi, err := c.search(ctx, eng, first, last+1, func(r record) bool { return r.last() >= done })
		if err != nil {
			return false, err
		}
		// Times rise with message numbers as far as the clock does; where it
		// was set back, records stay a little longer.
		limit := c.j.now().Add(-maxAge)
		aged, err := c.search(ctx, eng, first, hi, func(r record) bool { return !r.at.Before(limit) })
		if err != nil {
			return false, err
		}
		keep = max(keep, aged)
	}
	keep = min(keep, last) // the newest record says where the chain ends
	if keep <= first {
		return false, nil
	}
	if err := eng.purge(ctx, c.stream, keep); err != nil {
		return false, err
	}
	if _, _, size, err = eng.bounds(ctx, c.stream); err != nil {
		return false, err
	}
	c.mu.Lock()
	c.bytes = size
	c.mu.Unlock()
	return true, nil
}

// search returns the first message number in [lo, hi) from which on ok holds,
// hi when it holds nowhere. ok must be false before and true after some record.
func (c *chain) search(ctx context.Context, eng *engine, lo, hi uint64, ok func(record) bool) (uint64, error) {
	for lo < hi {
		mid := lo + (hi-lo)/2
		at, r, err := c.readFrom(ctx, eng, mid)
		switch {
		case errors.Is(err, errNoMessage):
			hi = mid
		case err != nil:
			return 0, err
		case ok(r):
			hi = mid
		default:
			lo = at + 1
		}
	}
	return min(lo, hi), nil
}

// close writes the mark of the end. It is clean, meaning exact even if the
// power fails after it, unless the engine was broken.
func (c *chain) close(broken bool) error {
	s := c.mark.state
	s.clean = !broken
	return errors.Join(c.mark.write(s, true), c.mark.close())
}
