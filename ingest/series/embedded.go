package series

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"vonglau/devices"
)

// EmbeddedOptions configures the store in this process.
type EmbeddedOptions struct {
	// Dir holds the database; it is made when missing. One process at a time.
	Dir string
	// Retention is how far back values are taken and shown, 400 days by
	// default. Blocks of data older than it are deleted.
	Retention time.Duration
	// MaxBytes bounds the blocks on disk, the oldest go first; 0 is no bound.
	MaxBytes int64
	// MaxAhead is how far ahead of the clock a value may be, 24 hours by
	// default. It is a fence for the database, which measures the age of late
	// values from the newest one; the gate's own window is narrower.
	MaxAhead time.Duration
	// Rejected is called for each value that can never be stored, again when it
	// is written again. It must not call the store.
	Rejected func(Rejection)
	Now      func() time.Time // time.Now by default
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil for none
}

func (o *EmbeddedOptions) validate() error {
	if o.Dir == "" {
		return errors.New("series: the embedded store needs a directory")
	}
	if o.Retention == 0 {
		o.Retention = 400 * 24 * time.Hour
	}
	if o.Retention < time.Hour {
		return fmt.Errorf("series: retention %s: keep an hour at least", o.Retention)
	}
	if o.MaxAhead == 0 {
		o.MaxAhead = 24 * time.Hour
	}
	if o.MaxAhead < 0 || o.MaxBytes < 0 {
		return errors.New("series: negative bound")
	}
	if o.Rejected == nil {
		o.Rejected = func(Rejection) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Embedded keeps series in a Prometheus tsdb.
//
// # What is stored
//
// A sample's timestamp is in ticks: the event time in milliseconds times 16,
// plus the revision, so that an overwrite is a sample of its own, a tick after
// the one it replaces, and no two samples of a series ever share a timestamp.
// Of the ticks of a millisecond the highest is valid. The 16 revisions are the
// price: a value overwritten more often is rejected, which takes a device whose
// clock stands still.
//
//	__name__  other labels              number
//	value     d, q, z_<layer>…          the value of quantity q of device d
//	lon, lat  d                         its position
//	delay     d, s="pm10,pm25"          Received minus event time in ms, of the
//	                                    observation that brought these quantities
//	flags     d, s                      its Flags, where there are any
//
// Arrival and flags belong to an observation, so they cost one sample for all
// its quantities instead of one for each. A device that combines its quantities
// in more than maxSets ways gets one such series per quantity.
//
// # Durability
//
// tsdb writes its log on commit without syncing it, so Sync does. It also has
// ways of going on after a failed log write that lose data later: out-of-order
// samples that miss their log are reported as stored, and a series whose
// first record failed stays in memory with nothing on disk to name it. So after
// any failed write the database is closed and opened again, which rebuilds the
// memory from the disk and repairs the log's tail, before the next write.
type Embedded struct {
	opts   EmbeddedOptions
	places placements

	write   sync.Mutex // held for a whole Write, Sync or Close
	ledger  ledger
	senders map[devices.ID]*sender
	synced  map[string]int // last synced segment by log directory

	mu       sync.RWMutex // held for reading during queries
	db       *tsdb.DB     // nil when it could not be opened again
	own      *registry
	broken   error // why the database must be opened again before a write
	sticky   error // a failed sync
	closed   bool
	repaired bool
}

// sender caches what appending for one device needs.
type sender struct {
	refs map[seriesKey]*ref
	sets map[string]bool
}

type seriesKey struct{ name, set, zones string }

type ref struct {
	id     storage.SeriesRef
	labels labels.Labels
}

const (
	revisionBits = 4
	maxRevision  = 1<<revisionBits - 1
	maxSets      = 16
	maxRefs      = 1024 // per device; past it the cache is dropped

	nameValue = "value"
	nameLon   = "lon"
	nameLat   = "lat"
	nameDelay = "delay"
	nameFlags = "flags"

	labelDevice   = "d"
	labelQuantity = "q"
	labelSet      = "s"
)

func tick(ms int64, revision int) int64 { return ms<<revisionBits | int64(revision) }

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens or makes the store.
func OpenEmbedded(opts EmbeddedOptions) (*Embedded, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	e := &Embedded{opts: opts}
	e.ledger = ledger{shelf: (*embeddedShelf)(e), places: &e.places}
	if err := e.open(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Embedded) open() error {
	day := int64(24 * time.Hour / time.Millisecond)
	retention := e.opts.Retention.Milliseconds()
	ahead := e.opts.MaxAhead.Milliseconds()
	o := tsdb.DefaultOptions()
	// Every length of time is in ticks; tsdb only asks that they agree.
	o.MinBlockDuration = tick(tsdb.DefaultBlockDuration, 0)
	o.MaxBlockDuration = max(o.MinBlockDuration, tick(min(31*day, retention/10), 0))
	o.RetentionDuration = tick(retention+ahead, 0)
	o.OutOfOrderTimeWindow = tick(retention+ahead, 0)
	o.MaxBytes = e.opts.MaxBytes
	o.WALCompression = compression.Snappy

	db, own, err := e.openWhole(o)
	if err != nil {
		return err
	}
	if e.opts.Metrics != nil {
		if err := e.opts.Metrics.Register(own); err != nil {
			return errors.Join(fmt.Errorf("register the metrics of the series: %w", err), db.Close())
		}
	}
	e.db, e.own, e.broken = db, own, nil
	e.senders = make(map[devices.ID]*sender)
	e.synced = make(map[string]int)
	e.ledger.forget()
	return nil
}

// openWhole opens the database until nothing had to be repaired. One that
// repairs a log on opening has not read what comes after it: with a torn log,
// the whole log of late values stays unread until the next time.
func (e *Embedded) openWhole(o *tsdb.Options) (*tsdb.DB, *registry, error) {
	const logs = 2
	for repairs := 0; ; repairs++ {
		own := newRegistry()
		db, err := tsdb.Open(e.opts.Dir, e.opts.Log, own, o, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("open the series in %s: %w", e.opts.Dir, err)
		}
		for _, name := range [...]string{lateLogFailures, logCorruptions} {
			if _, ok := own.value(name); !ok {
				return nil, nil, errors.Join(fmt.Errorf("series: this tsdb has no counter %s, so what it loses would be lost unseen", name), db.Close())
			}
		}
		n, _ := own.value(logCorruptions)
		if n == 0 {
			return db, own, nil
		}
		e.repaired = true
		e.opts.Log.Error("the log of the series was damaged and has been cut at the damage; if this was no power cut, "+
			"let the series reader start again from the oldest entry of the journal, repetitions are harmless",
			"dir", e.opts.Dir)
		if err := db.Close(); err != nil {
			return nil, nil, fmt.Errorf("close the repaired series in %s: %w", e.opts.Dir, err)
		}
		if repairs == logs {
			return nil, nil, fmt.Errorf("series: the logs in %s are damaged again after each repair; move the directory away, "+
				"and the journal fills a new one", e.opts.Dir)
		}
	}
}

// Repaired reports whether opening the store found its log damaged and cut it.
// After a power cut that takes away what was not synced, which the journal's
// cursor has not passed either; after damage to older data more is missing, and
// reading the whole journal again puts it back.
func (e *Embedded) Repaired() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.repaired
}

// reopen is for after a failed write.
func (e *Embedded) reopen() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db != nil {
		if err := e.release(); err != nil {
			e.opts.Log.Warn("closing the series after a failed write", "err", err)
		}
	}
	return e.open()
}

// release closes the database. The metrics go first: a registry is known by
// what is in it, and closing takes some of it out.
func (e *Embedded) release() error {
	if e.opts.Metrics != nil {
		e.opts.Metrics.Unregister(e.own)
	}
	db := e.db
	e.db, e.own = nil, nil
	return db.Close()
}

func (e *Embedded) oldest() int64 {
	return e.opts.Now().Add(-e.opts.Retention).UnixMilli()
}

// Write implements Store.
func (e *Embedded) Write(ctx context.Context, messages []*devices.Message) (Written, error) {
	e.write.Lock()
	defer e.write.Unlock()
	if err := e.ready(); err != nil {
		return Written{}, err
	}
	furthest := e.opts.Now().Add(e.opts.MaxAhead).UnixMilli()
	v, err := e.ledger.judge(ctx, messages, e.oldest(), furthest, maxRevision)
	if err != nil {
		return Written{}, &Unavailable{Err: err}
	}
	if err := ctx.Err(); err != nil {
		return Written{}, &Unavailable{Err: err}
	}
	if err := e.store(ctx, v); err != nil {
		e.mu.Lock()
		e.broken = err
		e.mu.Unlock()
		return Written{}, &Unavailable{Err: err}
	}
	e.ledger.commit(v.rows)
	for _, r := range v.rejected {
		e.opts.Rejected(r)
	}
	return v.written, nil
}

// ready opens the database again when it has to.
func (e *Embedded) ready() error {
	e.mu.RLock()
	closed, broken, sticky := e.closed, e.broken, e.sticky
	e.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case sticky != nil:
		return &Unavailable{Err: sticky}
	case broken != nil:
		if err := e.reopen(); err != nil {
			return &Unavailable{Err: fmt.Errorf("after %w: %w", broken, err)}
		}
	}
	return nil
}

// store appends rows in one transaction.
func (e *Embedded) store(ctx context.Context, v *verdict) error {
	if len(v.rows) == 0 {
		return nil
	}
	unlogged, _ := e.own.value(lateLogFailures)
	app := e.db.Appender(ctx)
	err := func() error {
		for i := 0; i < len(v.rows); {
			j := i
			for j < len(v.rows) && v.rows[j].observation == v.rows[i].observation {
				j++
			}
			if err := e.storeObservation(app, v.rows[i:j]); err != nil {
				return err
			}
			i = j
		}
		return nil
	}()
	if err != nil {
		return errors.Join(err, app.Rollback())
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("commit %d values to the series in %s: %w", len(v.rows), e.opts.Dir, err)
	}
	if n, _ := e.own.value(lateLogFailures); n != unlogged {
		return fmt.Errorf("log late values to the series in %s: is the disk full?", e.opts.Dir)
	}
	return nil
}

func (e *Embedded) storeObservation(app storage.Appender, rows []*row) error {
	first := rows[0]
	s := e.senders[first.device]
	if s == nil || len(s.refs) > maxRefs {
		s = &sender{refs: make(map[seriesKey]*ref), sets: make(map[string]bool)}
		e.senders[first.device] = s
	}
	// All values of an observation take the highest revision any of them needs,
	// so that one arrival speaks for all.
	revision := 0
	quantities := make([]string, 0, len(rows))
	for _, r := range rows {
		revision = max(revision, r.revision)
		if r.quantity != "" {
			quantities = append(quantities, string(r.quantity))
		}
	}
	at := tick(first.ms, revision)
	for _, r := range rows {
		if r.quantity == "" {
			if err := s.append(app, first.device, seriesKey{name: nameLon}, nil, at, r.number); err != nil {
				return err
			}
			if err := s.append(app, first.device, seriesKey{name: nameLat}, nil, at, r.lat); err != nil {
				return err
			}
			continue
		}
		k := seriesKey{nameValue, string(r.quantity), r.zones.key}
		if err := s.append(app, first.device, k, r.zones.labels, at, r.number); err != nil {
			return err
		}
	}
	if len(quantities) == 0 {
		return nil
	}
	slices.Sort(quantities)
	sets := []string{strings.Join(quantities, ",")}
	if !s.sets[sets[0]] {
		if len(s.sets) < maxSets {
			s.sets[sets[0]] = true
		} else {
			sets = quantities
		}
	}
	for _, set := range sets {
		if err := s.append(app, first.device, seriesKey{name: nameDelay, set: set}, nil, at, float64(first.received-first.ms)); err != nil {
			return err
		}
		if first.flags == 0 {
			continue
		}
		if err := s.append(app, first.device, seriesKey{name: nameFlags, set: set}, nil, at, float64(first.flags)); err != nil {
			return err
		}
	}
	return nil
}

// append adds one sample to the series k of device.
func (s *sender) append(app storage.Appender, device devices.ID, k seriesKey, zones []zoneLabel, at int64, v float64) error {
	r := s.refs[k]
	if r == nil {
		b := labels.NewScratchBuilder(3 + len(zones))
		b.Add(model.MetricNameLabel, k.name)
		b.Add(labelDevice, string(device))
		switch k.name {
		case nameValue:
			b.Add(labelQuantity, k.set)
		case nameDelay, nameFlags:
			b.Add(labelSet, k.set)
		}
		for _, z := range zones {
			b.Add(z.name, z.value)
		}
		b.Sort()
		r = &ref{labels: b.Labels()}
		s.refs[k] = r
	}
	id, err := app.Append(r.id, r.labels, at, v)
	if errors.Is(err, storage.ErrTooOldSample) {
		// Not a matter of this value: something in the database is years ahead.
		return fmt.Errorf("append to %s at %d: %w; was this machine's clock ahead once? Remove the blocks of that time", r.labels, at, err)
	}
	if err != nil {
		return fmt.Errorf("append to %s at %d: %w", r.labels, at, err)
	}
	r.id = id
	return nil
}

// Sync implements Store. A sync that failed leaves the system's cache marked as
// written although it is not, so nothing after it can be believed: the store
// refuses all writes until the process is started anew.
func (e *Embedded) Sync(context.Context) error {
	e.write.Lock()
	defer e.write.Unlock()
	e.mu.RLock()
	closed, broken, sticky := e.closed, e.broken, e.sticky
	e.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case sticky != nil:
		return &Unavailable{Err: sticky}
	case broken != nil:
		return &Unavailable{Err: broken}
	}
	for _, dir := range []string{"wal", "wbl"} {
		if err := e.syncLog(filepath.Join(e.opts.Dir, dir)); err != nil {
			err = fmt.Errorf("sync the series' log: %w; see to the disk, then start again", err)
			e.mu.Lock()
			e.sticky = err
			e.mu.Unlock()
			return &Unavailable{Err: err}
		}
	}
	return nil
}

// Health implements Store.
func (e *Embedded) Health(context.Context) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.sticky != nil:
		return &Unavailable{Err: e.sticky}
	case e.broken != nil:
		return &Unavailable{Err: e.broken}
	}
	return nil
}

// Close implements Store. It waits for queries to end.
func (e *Embedded) Close() error {
	e.write.Lock()
	defer e.write.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if e.db == nil {
		return nil
	}
	if err := e.release(); err != nil {
		return fmt.Errorf("close the series in %s: %w", e.opts.Dir, err)
	}
	return nil
}

// syncLog syncs the segments of a log that may have changed since the last
// time, and the directory when there are new ones. The segments are tsdb's; a
// sync through another descriptor covers the same file. tsdb flushes its page
// buffer to the file on every commit.
func (e *Embedded) syncLog(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	last, known := e.synced[dir]
	newest := last
	for _, entry := range entries {
		n, ok := segmentNumber(entry.Name())
		if !ok || known && n < last {
			continue
		}
		if err := syncPath(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			// A segment that has gone was truncated away: its data is in a block.
			return err
		}
		newest = max(newest, n)
	}
	if !known || newest != last {
		if err := syncPath(dir); err != nil {
			return err
		}
	}
	e.synced[dir] = newest
	return nil
}

// segmentNumber reads "00000042"; checkpoints are directories with other names.
func segmentNumber(name string) (int, bool) {
	n := 0
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' || n > 1<<40 {
			return 0, false
		}
		n = n*10 + int(name[i]-'0')
	}
	return n, name != ""
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
