package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Log is where the lines are: append-only, durable when AppendAll returns.
// Sequences rise, and may skip.
type Log interface {
	// AppendAll writes lines in order, all or none.
	AppendAll(ctx context.Context, lines [][]byte) error
	// End is the sequence of the newest line, 0 when there is none.
	End() uint64
	// Read calls f with every line from a sequence on that is there now.
	Read(ctx context.Context, from uint64, f func(seq uint64, line []byte) error) error
}

// Options are what a Record needs. Lines and Marks are needed.
type Options struct {
	// Lines holds the chain, Marks the checkpoints over it.
	Lines Log
	Marks Log
	// Key signs checkpoints; nil makes none.
	Key ed25519.PrivateKey
	// Names knows who is behind a pseudonym; nil leaves them out.
	Names *Names
	// Retention is after what time Lines lets go of old lines, 0 for never. The
	// record does not drop them itself, but needs to know what may be missing.
	Retention time.Duration
	// CheckpointEvery is how often a checkpoint is made when there is something
	// new; an hour.
	CheckpointEvery time.Duration

	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

const (
	queueLength = 4096 // records waiting for the disk
	batchLength = 512  // records written at once
	batchBytes  = 1 << 20
	owedLength  = 10_000 // records of changes that are done and not on disk
	writeWait   = 10 * time.Second
	retryEvery  = time.Second
)

// Errors of a Record.
var (
	ErrUnavailable = errors.New("the audit record cannot be written")
	ErrClosed      = errors.New("the audit record is closed")
)

// Record is the chain. It is safe for concurrent use. Open starts its writer,
// Close stops it after what waits is written.
type Record struct {
	opt      Options
	queue    chan *waiting
	stop     chan struct{}
	done     chan struct{}
	crowd    *crowd
	written  *prometheus.CounterVec
	lost     prometheus.Counter
	syncTime prometheus.Histogram

	mu       sync.Mutex
	n        uint64 // of the newest line
	head     string // its hash
	at       time.Time
	trouble  error // of the last write; nil when it went well
	owed     []Entry
	missed   uint64 // records that there was no room to owe
	marked   uint64 // the line of the newest checkpoint
	markedAt time.Time
	closed   bool
	grown    chan struct{} // closed when a line is written
}

type waiting struct {
	entries []Entry
	owed    bool // keep it when the disk does not take it
	done    chan error
}

// Open finds the end of the chain and starts the writer.
func Open(ctx context.Context, opt Options) (*Record, error) {
	if opt.Lines == nil || opt.Marks == nil {
		return nil, errors.New("audit: Options.Lines and Options.Marks are needed")
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.CheckpointEvery == 0 {
		opt.CheckpointEvery = time.Hour
	}
	r := &Record{
		opt: opt, queue: make(chan *waiting, queueLength), stop: make(chan struct{}), done: make(chan struct{}),
		crowd: newCrowd(), grown: make(chan struct{}),
		written:  prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "audit", Name: "records_total", Help: "Records written, by outcome."}, []string{"outcome"}),
		lost:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vonglau", Subsystem: "audit", Name: "lost_total", Help: "Records that could not be written and not be kept."}),
		syncTime: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "vonglau", Subsystem: "audit", Name: "write_seconds", Help: "Time to have a batch of records on disk.", Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10}}),
	}
	if opt.Metrics != nil {
		for _, c := range []prometheus.Collector{r.written, r.lost, r.syncTime} {
			if err := opt.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("audit: register metrics: %w", err)
			}
		}
	}
	if err := r.findEnd(ctx); err != nil {
		return nil, err
	}
	if err := r.findMark(ctx); err != nil {
		return nil, err
	}
	go r.write()
	return r, nil
}

// findEnd reads the newest line. Sequences may be missing at the end, after a
// loss of power, so it looks further back until it finds one.
func (r *Record) findEnd(ctx context.Context) error {
	end := r.opt.Lines.End()
	n, head, at := uint64(0), genesis, time.Time{}
	for back := uint64(1); end > 0; back *= 64 {
		from := uint64(1)
		if end > back {
			from = end - back + 1
		}
		var last []byte
		err := r.opt.Lines.Read(ctx, from, func(_ uint64, line []byte) error {
			last = append(last[:0], line...)
			return nil
		})
		if err != nil {
			return fmt.Errorf("audit: find the end of the record: %w", err)
		}
		if last != nil {
			var e Entry
			if err := json.Unmarshal(last, &e); err != nil {
				return fmt.Errorf("audit: the last record cannot be read, so none can follow it: %w", err)
			}
			n, head, at = e.N, HashLine(last), e.Recorded
			break
		}
		if from == 1 {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n, r.head, r.at = n, head, at
	return nil
}

// Head tells the number of the newest record, its hash and when it was written.
func (r *Record) Head() (n uint64, hash string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.head, r.at
}

// Ready is nil while records can be written: what changes something must not
// begin without.
func (r *Record) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return ErrClosed
	case r.trouble != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, r.trouble)
	}
	return nil
}

// Add writes records of what was done and returns when they are on disk. On an
// error they are owed: written as soon as that is possible.
func (r *Record) Add(ctx context.Context, entries ...Entry) error {
	return r.put(ctx, true, entries)
}

// Try is Add for what has not happened yet: on an error the records are dropped.
func (r *Record) Try(ctx context.Context, entries ...Entry) error {
	return r.put(ctx, false, entries)
}

func (r *Record) put(ctx context.Context, owed bool, entries []Entry) error {
	now := r.opt.Now()
	for i := range entries {
		if entries[i].At.IsZero() {
			entries[i].At = now
		}
		if err := entries[i].check(); err != nil {
			return err
		}
	}
	w := &waiting{entries: entries, owed: owed, done: make(chan error, 1)}
	if !r.enqueue(ctx, w) {
		if owed {
			r.mu.Lock()
			r.owe(entries)
			r.mu.Unlock()
		}
		return ErrUnavailable
	}
	select {
	case err := <-w.done:
		return err
	case <-r.done:
		select {
		case err := <-w.done:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		return ctx.Err() // the writer has it all the same
	}
}

func (r *Record) enqueue(ctx context.Context, w *waiting) bool {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return false
	}
	select {
	case r.queue <- w:
		return true
	case <-r.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

// Note takes a refusal, a failed attempt or a read. It returns at once; what a
// source does too often is counted instead (see crowd).
func (r *Record) Note(e Entry) {
	if e.At.IsZero() {
		e.At = r.opt.Now()
	}
	if e.check() != nil || !r.crowd.admit(&e) {
		return
	}
	r.offer(e)
}

func (r *Record) offer(entries ...Entry) {
	select {
	case r.queue <- &waiting{entries: entries, done: make(chan error, 1)}:
	default:
		r.lost.Add(float64(len(entries)))
	}
}

// owe runs under mu.
func (r *Record) owe(entries []Entry) {
	room := owedLength - len(r.owed)
	if room < len(entries) {
		r.missed += uint64(len(entries) - max(room, 0))
		r.lost.Add(float64(len(entries) - max(room, 0)))
		entries = entries[:max(room, 0)]
	}
	r.owed = append(r.owed, entries...)
}

// write is the writer: one goroutine, so that the chain has one end.
func (r *Record) write() {
	defer close(r.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	mark := time.NewTicker(max(r.opt.CheckpointEvery/4, time.Millisecond))
	defer mark.Stop()
	for {
		select {
		case w := <-r.queue:
			r.writeBatch(r.collect(w))
		case <-retry.C:
			if r.indebted() {
				r.writeBatch(nil)
			}
			if sums := r.crowd.ripe(r.opt.Now()); len(sums) > 0 {
				r.writeBatch([]*waiting{{entries: sums, done: make(chan error, 1)}})
			}
		case <-mark.C:
			r.markWhenDue()
		case <-r.stop:
			for {
				select {
				case w := <-r.queue:
					r.writeBatch(r.collect(w))
					continue
				default:
				}
				break
			}
			if sums := r.crowd.all(); len(sums) > 0 {
				r.writeBatch([]*waiting{{entries: sums, done: make(chan error, 1)}})
			} else if r.indebted() {
				r.writeBatch(nil)
			}
			return
		}
	}
}

func (r *Record) indebted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.owed) > 0 || r.trouble != nil
}

func (r *Record) collect(first *waiting) []*waiting {
	list, n := []*waiting{first}, len(first.entries)
	for n < batchLength {
		select {
		case w := <-r.queue:
			list = append(list, w)
			n += len(w.entries)
		default:
			return list
		}
	}
	return list
}

// writeBatch writes what is owed and what waits.
func (r *Record) writeBatch(list []*waiting) {
	r.mu.Lock()
	entries := append([]Entry(nil), r.owed...)
	if r.trouble != nil {
		reason := r.trouble.Error()
		entries = append(entries, Entry{
			At: r.opt.Now(), Who: Who{Kind: Machine}, Act: "audit.interrupted", Outcome: Failed, Reason: reason, Count: r.missed,
		})
	}
	owed := len(r.owed)
	r.mu.Unlock()
	for _, w := range list {
		entries = append(entries, w.entries...)
	}
	// In pieces that the log takes; a piece that fails ends it, and those before
	// it are on disk.
	var err error
	written := 0
	for written < len(entries) && err == nil {
		var k int
		if k, err = r.append(entries[written:]); err == nil {
			written += k
		}
	}
	r.mu.Lock()
	if err == nil {
		r.owed, r.trouble, r.missed = nil, nil, 0
	} else {
		if r.trouble == nil {
			r.opt.Log.Error("the audit record cannot be written; changes are refused until it can", "error", err)
		}
		r.trouble = err
		r.owed = append([]Entry(nil), r.owed[min(written, owed):]...)
	}
	r.mu.Unlock()
	at := written - (len(entries) - waitingEntries(list))
	for _, w := range list {
		at -= len(w.entries)
		if at >= 0 {
			w.done <- nil
			continue
		}
		if w.owed {
			r.mu.Lock()
			r.owe(w.entries[max(0, at+len(w.entries)):])
			r.mu.Unlock()
		} else {
			r.lost.Add(float64(len(w.entries)))
		}
		w.done <- fmt.Errorf("%w: %w", ErrUnavailable, err)
		at = min(at, 0)
	}
}

func waitingEntries(list []*waiting) (n int) {
	for _, w := range list {
		n += len(w.entries)
	}
	return n
}

// append chains and writes as many entries as fit one write, and tells how many.
func (r *Record) append(entries []Entry) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeWait)
	defer cancel()
	r.mu.Lock()
	n, head, trouble := r.n, r.head, r.trouble
	r.mu.Unlock()
	if trouble != nil {
		// What became of the write that failed is not known: look.
		if err := r.findEnd(ctx); err != nil {
			return 0, err
		}
		n, head, _ = r.Head()
	}
	now := r.opt.Now()
	var lines [][]byte
	size := 0
	for i := range entries {
		e := entries[i]
		n++
		e.N, e.Recorded, e.Prev = n, now, head
		line, err := e.line()
		if err != nil {
			return 0, err
		}
		if size += len(line); size > batchBytes && len(lines) > 0 {
			n--
			break
		}
		head = HashLine(line)
		lines = append(lines, line)
	}
	started := time.Now()
	if err := r.opt.Lines.AppendAll(ctx, lines); err != nil {
		return 0, err
	}
	r.syncTime.Observe(time.Since(started).Seconds())
	for i := range lines {
		r.written.WithLabelValues(string(entries[i].Outcome)).Inc()
	}
	r.mu.Lock()
	r.n, r.head, r.at = n, head, now
	close(r.grown)
	r.grown = make(chan struct{})
	r.mu.Unlock()
	return len(lines), nil
}

// Grown gives a channel that is closed when there is more.
func (r *Record) Grown() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grown
}

// Close writes what waits and stops the writer. Harmless twice.
func (r *Record) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		<-r.done
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	close(r.stop)
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.owed); n > 0 {
		return fmt.Errorf("audit: %d records were never written: %w", n, r.trouble)
	}
	return nil
}
