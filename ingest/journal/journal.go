// Package journal is the durable log everything else stands on: what the gate
// admitted goes in, and series, alert and live read it out, each at its own
// pace.
//
// # Promises
//
// Durability: done(seq, nil) is called after the entry's record was written and
// synced (fsync of the block file, and of its directory when the file is new),
// and after the storage engine said it lies where it was expected. Nothing else
// is a promise: an entry that was refused may still turn up, when the disk
// failed after it was written.
//
// Order: sequences rise by one from entry to entry, in the order of Append.
// They start at 1, are never used twice, and jump where an append failed or the
// power was lost. Readers get entries in that order.
//
// Group commit: the entries of many senders go to disk as one record with one
// sync. One record is in flight at a time while the next one collects.
//
// Bounds: the queue of Append is bounded by entries and bytes and refuses as
// busy when full. Readers pull; one that stops holds up nobody, and what is
// dropped before it came to it is a Gap it is told of, not a silence.
//
// Trouble: a write or sync that failed is sticky, nothing is accepted after it
// until an operator calls Resume. Only two troubles end by themselves: a full
// disk, when space returns (the journal stops well before the disk is full, see
// Options.MinFree), and a disk that does not answer, when it answers. What was
// damaged on disk is cut out at start (repair.go), named, counted, reported by
// State as degraded until Resume, and costs the damaged records only. Damage
// never keeps the journal from opening.
//
// # Storage
//
// The log is a JetStream stream inside this process, reachable by nobody else;
// JetStream syncs each message and has no group commit, so a batch is one
// message of ours. FORMAT.md describes the bytes. Registers (Bucket), files
// (Objects) and records of what people did (Log) lie in the same store.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"vonglau/devices"
)

// Options configure Open. Only Dir has no default.
type Options struct {
	// Dir holds everything of the journal and belongs to it alone.
	Dir string
	// MaxAge drops entries this old once every reader has done them; 0 keeps
	// them until MaxBytes. A reader's unread entries are never dropped by age:
	// a clock that leaps would take the backlog with it.
	MaxAge time.Duration
	// MaxBytes bounds the field stream. The oldest entries go first, read or
	// not; what a reader had not read is counted, logged and told to it.
	// Default 16 GiB.
	MaxBytes int64
	// Linger is how long a batch may wait for the senders whose entries were
	// in the batch before. Default 2 ms.
	Linger time.Duration
	// MaxBatch bounds a batch in entries. Default 8192.
	MaxBatch int
	// QueueEntries and QueueBytes bound what waits for the disk. Default
	// 65,536 and 64 MiB.
	QueueEntries int
	QueueBytes   int
	// MinFree is the free space of Dir's filesystem below which no entry of
	// the field is accepted. Below a quarter of it nothing is. Default 512 MiB
	// or a tenth of the filesystem, whichever is less.
	MinFree int64
	// CursorInterval is how often the cursors of readers go to disk. Default
	// 1 s.
	CursorInterval time.Duration
	// RecentBytes bounds the batches kept in memory for readers that keep up,
	// by their size on disk; in memory they take several times that. Default
	// 8 MiB.
	RecentBytes int

	Log     *slog.Logger          // default: discard
	Metrics prometheus.Registerer // default: none
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	if o.Dir == "" {
		return errors.New("journal: Dir is not set")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("journal: directory %q: %w", o.Dir, err)
	}
	o.Dir = dir
	if o.MaxAge < 0 || o.MaxBytes < 0 || o.Linger < 0 || o.MaxBatch < 0 || o.QueueEntries < 0 ||
		o.QueueBytes < 0 || o.MinFree < 0 || o.CursorInterval < 0 || o.RecentBytes < 0 {
		return errors.New("journal: an option is negative")
	}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.MaxBatch, 8192)
	def(&o.QueueEntries, 1<<16)
	def(&o.QueueBytes, 64<<20)
	def(&o.RecentBytes, 8<<20)
	if o.MaxBytes == 0 {
		o.MaxBytes = 16 << 30
	}
	if o.Linger == 0 {
		o.Linger = 2 * time.Millisecond
	}
	if o.CursorInterval == 0 {
		o.CursorInterval = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// names of streams. A file name on disk: never change one.
const (
	streamField   = "field"
	prefixBucket  = "bucket_"
	prefixLog     = "log_"
	objectsPrefix = "OBJ_" // nats.go's, for object stores
	bucketCursors = "cursors"
)

// Journal is the log. It is safe for concurrent use.
type Journal struct {
	o    Options
	met  *metrics
	boot [16]byte
	lock *os.File // keeps a second process out
	// patience is how long a sync may take before new entries are refused.
	patience time.Duration

	// gate is held for reading while the engine is used and for writing while
	// it is exchanged.
	gate sync.RWMutex
	eng  *engine // nil after Close

	field   *chain
	cursors *Bucket
	recent  *recent
	first   atomic.Uint64 // oldest sequence of the field stream
	minFree atomic.Int64  // Options.MinFree or its default

	queue   queue
	batches chan *batch // collect to commit: one batch ahead
	settled chan *batch // commit to notify
	spares  chan *batch

	ctx      context.Context // ends when Close has waited long enough
	cancel   context.CancelCauseFunc
	stopping chan struct{} // closed: nothing new comes in
	gone     chan struct{} // closed: readers end
	running  sync.WaitGroup
	keeping  sync.WaitGroup
	poke     chan struct{} // wakes keep

	health health
	tried  time.Time   // when keep last tried to open the engine again
	unsure atomic.Bool // the engine logged an error since keep last looked

	// opening is held while a Bucket or Log is opened.
	opening sync.Mutex
	buckets map[string]*Bucket

	mu      sync.Mutex
	closed  bool
	readers map[string]*Reader
	pending map[string]cursor // of readers closed since the last save
	chains  []*chain
	logs    map[string]*Log
}

// Open opens the journal in o.Dir, creating it when it is not there. It repairs
// and reports damage rather than failing on it; the errors it returns are those
// of a directory that cannot be used at all.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := makeDir(o.Dir); err != nil {
		return nil, fmt.Errorf("make journal directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{
		o: o, lock: lock, boot: bootID(), patience: stallPatience,
		recent:   newRecent(o.RecentBytes),
		queue:    queue{wake: make(chan struct{}, 1)},
		batches:  make(chan *batch),
		settled:  make(chan *batch, 4),
		spares:   make(chan *batch, 8),
		stopping: make(chan struct{}),
		gone:     make(chan struct{}),
		poke:     make(chan struct{}, 1),
		readers:  make(map[string]*Reader),
		pending:  make(map[string]cursor),
		buckets:  make(map[string]*Bucket),
		logs:     make(map[string]*Log),
	}
	_, total, err := space(o.Dir)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if j.minFree.Store(o.MinFree); o.MinFree == 0 {
		j.minFree.Store(min(512<<20, total/10))
	}
	if j.met, err = newMetrics(j); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	// Not derived from ctx: that one bounds the opening, this one ends the
	// running.
	j.ctx, j.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := j.start(ctx); err != nil {
		j.cancel(err)
		if j.eng != nil {
			j.eng.stop()
		}
		j.met.unregister()
		return nil, errors.Join(fmt.Errorf("open journal in %s: %w", o.Dir, err), lock.Close())
	}
	j.running.Add(3)
	go j.collect()
	go j.commit()
	go j.notify()
	j.keeping.Add(1)
	go j.keep()
	return j, nil
}

// start repairs the store, opens the engine and finds the end of every chain.
func (j *Journal) start(ctx context.Context) error {
	j.loadLosses()
	if err := j.repair(ctx, false); err != nil {
		return err
	}
	eng, err := startEngine(j.o.Dir, j.o.Log, j.suspectEngine)
	if err != nil {
		return err
	}
	j.eng = eng
	field, err := j.chain(ctx, streamField, kindBatch)
	if err != nil {
		return err
	}
	j.field = field
	if j.cursors, err = j.Bucket(ctx, bucketCursors); err != nil {
		return err
	}
	if err := j.checkCursors(ctx); err != nil {
		return err
	}
	return j.findFirst(ctx)
}

// chain opens a chain and reports what it lost.
func (j *Journal) chain(ctx context.Context, stream string, kind recordKind) (*chain, error) {
	c, losses, err := openChain(ctx, j, stream, kind)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.chains = append(j.chains, c)
	j.mu.Unlock()
	j.lost(losses...)
	return c, nil
}

// checkCursors looks for a reader that has done entries the stream does not
// have: the surest sign that the end of the log went missing.
func (j *Journal) checkCursors(ctx context.Context) error {
	var ahead uint64
	err := j.cursors.Load(ctx, func(name string, _ []byte) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		if c, ok := j.cursor(name); ok {
			ahead = max(ahead, c.Next)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read cursors: %w", err)
	}
	c := j.field
	c.mu.Lock()
	defer c.mu.Unlock()
	if ahead <= c.acked+1 {
		return nil
	}
	j.lost(Loss{Stream: streamField, From: c.acked + 1, To: ahead - 1, Reason: "a reader has done them and they are not in the log"})
	c.next, c.crc = max(c.next, ahead), 0
	return c.advance(c.acked, 0, c.next, 0)
}

// engine returns the engine for use until release is called.
func (j *Journal) engine() (e *engine, release func(), err error) {
	j.gate.RLock()
	if j.eng == nil {
		j.gate.RUnlock()
		return nil, nil, refuseStopping
	}
	return j.eng, j.gate.RUnlock, nil
}

func (j *Journal) now() time.Time { return j.o.Now().UTC().Truncate(time.Millisecond) }

// lag counts from the sequence next to the end of the field stream.
func (j *Journal) lag(next uint64) (entries, bytes uint64) {
	c := j.field
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.acked + 1
	if next >= end {
		return 0, 0
	}
	entries = end - max(next, min(j.oldest(), end))
	all := max(end-min(j.oldest(), end), 1)
	return entries, uint64(float64(c.bytes) * float64(entries) / float64(all))
}

func (j *Journal) oldest() uint64 { return max(j.first.Load(), 1) }

// Close takes what was appended to disk, tells its senders, writes the cursors
// and closes the store. Append refuses from its first moment, Next returns when
// all is written. When the disk does not answer for closePatience, what waits
// for it is refused.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()

	j.queue.refuse(refuseStopping)
	close(j.stopping)
	impatience := time.AfterFunc(closePatience, func() {
		j.cancel(errors.New("the journal is closing and the disk does not answer"))
	})
	j.running.Wait()
	close(j.gone)
	j.keeping.Wait()

	err := j.saveCursors(j.ctx)
	impatience.Stop()
	j.cancel(nil)
	j.gate.Lock()
	defer j.gate.Unlock()
	// The engine goes first: a mark may say "clean" only of blocks that are
	// closed.
	j.eng.stop()
	j.eng = nil
	for _, c := range j.chains {
		err = errors.Join(err, c.close(j.health.broken()))
	}
	j.met.unregister()
	return errors.Join(err, j.lock.Close())
}

const (
	stallPatience = 5 * time.Second
	closePatience = 20 * time.Second
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,47}$`)

// checkName keeps names to what a file, a NATS subject and a metric label carry
// unescaped.
func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("name %q: use 1 to 48 of a-z, 0-9, '-' and '_', a letter or digit first", name)
	}
	return nil
}

// lockDir takes the directory for this process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process has it open")
		}
		return nil, errors.Join(fmt.Errorf("lock journal %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// space returns the free bytes for us and the size of dir's filesystem. Without
// free inodes nothing is free: a new block could not be begun.
func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for free space of %s: %w", dir, err)
	}
	if st.Files > 0 && st.Ffree < 16 {
		return 0, int64(st.Blocks) * int64(st.Bsize), nil
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

var _ devices.Store = (*Bucket)(nil)
