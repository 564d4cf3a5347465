package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vonglau/devices"
)

// waiting is one entry on its way to the disk.
type waiting struct {
	entry Entry
	size  int
	done  func(seq uint64, err error)
}

// queue holds what was appended and not yet taken into a batch. It is bounded
// by entries and by bytes; when it is full, the entry is refused as busy and
// the device keeps it.
type queue struct {
	wake chan struct{} // poked when something was put in

	mu      sync.Mutex
	items   []waiting
	bytes   int
	refusal *devices.Refusal // set while nothing is accepted
}

// put appends w or says why not.
func (q *queue) put(w waiting, maxItems, maxBytes int) *devices.Refusal {
	q.mu.Lock()
	if r := q.refusal; r != nil {
		q.mu.Unlock()
		return r
	}
	if len(q.items) >= maxItems || q.bytes+w.size > maxBytes && len(q.items) > 0 {
		q.mu.Unlock()
		return refuseBusy
	}
	q.items = append(q.items, w)
	q.bytes += w.size
	first := len(q.items) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// take removes what is queued, up to maxItems and about maxBytes, appending it
// to dst.
func (q *queue) take(dst []waiting, maxItems, maxBytes int) []waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < len(q.items) && n < maxItems && (n == 0 || bytes+q.items[n].size <= maxBytes) {
		bytes += q.items[n].size
		n++
	}
	dst = append(dst, q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:]) // the entries belong to the batch now
	q.items = q.items[:rest]
	q.bytes -= bytes
	return dst
}

func (q *queue) len() (items, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes
}

// refuse makes every later put fail with r; nil lets them in again. What is
// queued already meets the same answer at the committer.
func (q *queue) refuse(r *devices.Refusal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refusal = r
}

var (
	refuseBusy     = devices.Refuse(devices.ReasonBusy, "the journal's queue is full")
	refuseStopping = devices.Refuse(devices.ReasonShutting, "the journal is closing")
)

// batch is a record in the making: the collector fills it, the committer stores
// it, the notifier tells its senders.
type batch struct {
	enc   *batchEncoder
	at    time.Time
	items []waiting
	bytes int

	seq uint64 // of the first entry, once stored
	err error
}

// Append hands e to the journal and returns at once. done is called exactly
// once, from one goroutine for all entries and in their order; it must not
// block. After done(seq, nil) the entry is on disk. An error is or wraps a
// *devices.Refusal whose reason is unavailable, busy or shutting_down (all
// worth a retry) or too_large, and then e may or may not turn up in the
// journal.
//
// A refusal at the door (queue full, journal refusing or closed) calls done
// before Append returns, from the caller's goroutine.
func (j *Journal) Append(e Entry, done func(seq uint64, err error)) {
	if err := e.check(); err != nil {
		done(0, err)
		return
	}
	size := e.size()
	if size > softRecord {
		j.met.refused.WithLabelValues(string(devices.ReasonTooLarge)).Inc()
		done(0, devices.Refuse(devices.ReasonTooLarge, "about %d bytes in one journal entry, %d are the most", size, softRecord))
		return
	}
	if r := j.queue.put(waiting{e, size, done}, j.o.QueueEntries, j.o.QueueBytes); r != nil {
		j.met.refused.WithLabelValues(string(r.Reason)).Inc()
		done(0, r)
	}
}

// AppendWait appends e and waits until it is on disk or refused. When ctx ends
// first, whether e is stored is not known.
func (j *Journal) AppendWait(ctx context.Context, e Entry) (seq uint64, err error) {
	type result struct {
		seq uint64
		err error
	}
	c := make(chan result, 1)
	j.Append(e, func(seq uint64, err error) { c <- result{seq, err} })
	select {
	case r := <-c:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the journal: %w", ctx.Err())
	}
}

// collect takes what is queued into batches and hands them to commit. While a
// batch is being synced the next one goes on collecting, so the size of a batch
// follows the load. When senders wait for their answers, the first of them to
// come back would be synced alone and the others would wait for two syncs:
// after a batch of several it therefore lingers until about as many are there
// again, Linger at most. One sender alone never waits.
func (j *Journal) collect() {
	defer j.running.Done()
	defer close(j.batches)
	var timer = time.NewTimer(time.Hour)
	defer timer.Stop()
	lately := 1 // entries of the last batch
	for {
		select {
		case <-j.queue.wake:
		case <-j.stopping:
			// What was queued before the door closed still goes to disk.
			if n, _ := j.queue.len(); n == 0 {
				return
			}
		}
		b := j.newBatch()
		j.fill(b)
		if len(b.items) == 0 {
			j.spare(b)
			continue
		}
		timer.Reset(j.o.Linger)
		lingering := lately > 1
	handover:
		for {
			if lingering && len(b.items) < lately && !j.full(b) {
				select {
				case <-j.queue.wake:
					j.fill(b)
					continue
				case <-timer.C:
					lingering = false
				case <-j.stopping:
					lingering = false
				}
			}
			if j.full(b) {
				j.batches <- b
				break handover
			}
			select {
			case j.batches <- b:
				break handover
			case <-j.queue.wake:
				j.fill(b)
			}
		}
		lately = len(b.items)
		// A batch that was full has left something behind.
		if n, _ := j.queue.len(); n > 0 {
			select {
			case j.queue.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (j *Journal) full(b *batch) bool {
	return len(b.items) >= j.o.MaxBatch || b.bytes >= softRecord
}

// fill takes what is queued into b and encodes it.
func (j *Journal) fill(b *batch) {
	had := len(b.items)
	b.items = j.queue.take(b.items, j.o.MaxBatch-had, softRecord-b.bytes)
	for i := had; i < len(b.items); i++ {
		b.bytes += b.items[i].size
		b.enc.add(b.items[i].entry)
	}
}

func (j *Journal) newBatch() *batch {
	var b *batch
	select {
	case b = <-j.spares:
	default:
		b = &batch{enc: newBatchEncoder()}
	}
	b.at = j.now()
	b.enc.reset(b.at)
	b.items, b.bytes, b.seq, b.err = b.items[:0], 0, 0, nil
	return b
}

func (j *Journal) spare(b *batch) {
	clear(b.items[:cap(b.items)]) // let go of the entries
	if cap(b.enc.buf) > 4*softRecord {
		b.enc.buf = nil
	}
	select {
	case j.spares <- b:
	default:
	}
}

// commit stores one batch after the other, each as one record with one sync.
func (j *Journal) commit() {
	defer j.running.Done()
	defer close(j.settled)
	for b := range j.batches {
		started := time.Now()
		r, err := j.field.append(j.ctx, b.enc.buf, b.enc.count, b.at)
		if err != nil {
			b.err = j.refusal(err)
			j.settled <- b
			continue
		}
		b.seq = r.first
		j.met.commit.Observe(time.Since(started).Seconds())
		j.met.batch.Observe(float64(len(b.items)))
		j.met.entries.Add(float64(len(b.items)))
		j.met.bytes.Add(float64(len(b.enc.buf)))
		entries := make([]Entry, len(b.items))
		for i := range b.items {
			entries[i] = b.items[i].entry
		}
		_, place := j.field.end()
		j.recent.add(&Batch{Seq: r.first, At: r.at, Entries: entries, place: place, crc: r.crc, prev: r.prev, size: len(b.enc.buf)})
		j.settled <- b
	}
}

// notify calls done for every entry of a batch, in the order of the batches.
func (j *Journal) notify() {
	defer j.running.Done()
	for b := range j.settled {
		for i := range b.items {
			if b.err != nil {
				b.items[i].done(0, b.err)
			} else {
				b.items[i].done(b.seq+uint64(i), nil)
			}
		}
		if b.err != nil {
			j.met.refused.WithLabelValues(string(devices.ReasonUnavailable)).Add(float64(len(b.items)))
		}
		j.spare(b)
	}
}

// refusal makes the error of a failed write into what a device is told.
func (j *Journal) refusal(err error) error {
	if r, ok := errors.AsType[*devices.Refusal](err); ok {
		return r
	}
	return &refusedBy{devices.Refuse(devices.ReasonUnavailable, "the journal could not be written"), err}
}

// refusedBy is a refusal with the cause behind it, which the device is not
// told.
type refusedBy struct {
	refusal *devices.Refusal
	cause   error
}

func (r *refusedBy) Error() string   { return r.refusal.Error() + ": " + r.cause.Error() }
func (r *refusedBy) Unwrap() []error { return []error{r.refusal, r.cause} }
