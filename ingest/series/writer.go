package series

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// Batch is what a Source gives at a time.
type Batch struct {
	Messages []*devices.Message
	// Mark is the source's own, handed back to Done.
	Mark any
}

// weight is what a batch counts against MaxValues. One without values still
// weighs something, so that a store that is down cannot fill memory with them.
func (b Batch) weight() int {
	n := 1 + len(b.Messages)
	for _, m := range b.Messages {
		for i := range m.Observations {
			n += len(m.Observations[i].Values)
		}
	}
	return n
}

// Source is the journal as the Writer sees it: batches in order, and a cursor
// that outlives the process.
type Source interface {
	// Next blocks until there is a batch. It is called from one goroutine.
	Next(ctx context.Context) (Batch, error)
	// Done moves the cursor behind b. It is called for the last batch of a run:
	// all before it are done too.
	Done(ctx context.Context, b Batch) error
}

// WriterOptions configures a Writer.
type WriterOptions struct {
	Store  Store
	Source Source
	// MaxValues is how many values make a full write, 20,000 by default; a
	// message and a batch count as one more each. Twice as many bound what is
	// held in memory, whatever the store does; a batch of the source is never
	// divided.
	MaxValues int
	// Linger is how long a write waits to become full, 250 ms by default.
	Linger time.Duration
	// SyncEvery is how long values may be written and not synced, 1 s by
	// default. What the cursor has not passed is written again after a crash.
	SyncEvery time.Duration
	// Backoff and MaxBackoff bound the pause after a failure, 500 ms and 30 s
	// by default. It doubles with each failure and is drawn at random from its
	// upper half, so that many servers do not come back as one.
	Backoff, MaxBackoff time.Duration
	// Timeout bounds one write or sync, 60 s by default.
	Timeout time.Duration
	// Behind tells how many entries of the source are waiting; nil for not
	// known.
	Behind  func() int64
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *WriterOptions) validate() error {
	if o.Store == nil || o.Source == nil {
		return errors.New("series: a writer needs a store and a source")
	}
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&o.Linger, 250 * time.Millisecond}, {&o.SyncEvery, time.Second},
		{&o.Backoff, 500 * time.Millisecond}, {&o.MaxBackoff, 30 * time.Second}, {&o.Timeout, time.Minute},
	} {
		if *d.v == 0 {
			*d.v = d.value
		}
		if *d.v < 0 {
			return fmt.Errorf("series: negative duration %s", *d.v)
		}
	}
	if o.MaxValues == 0 {
		o.MaxValues = 20_000
	}
	if o.MaxValues < 0 || o.MaxBackoff < o.Backoff {
		return errors.New("series: MaxValues is negative or MaxBackoff below Backoff")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Writer drains a source into a store. The source is the queue: when the store
// is down, the writer stops reading, holds what it has and tries again until it
// is taken, and the cursor stays where it is. The order is the source's, also
// across retries.
//
// The cursor moves after Store.Sync. A failure between two syncs writes all
// again since the last one, because the store may have lost the rest with it;
// the store knows repetitions.
type Writer struct {
	opts    WriterOptions
	metrics *writerMetrics

	batches chan Batch // from pull; unbuffered, so one batch at most waits there
	held    []Batch    // read and not Done
	values  int        // the weight of held
	written int        // how many of held the store has taken since it last failed
	since   time.Time  // when the first of held came in

	mu    sync.Mutex
	state State
}

// State tells whether history is up to date, for the operator.
type State struct {
	OK        bool      `json:"ok"`
	Since     time.Time `json:"since"` // of OK
	LastError string    `json:"lastError,omitempty"`
	Failures  int       `json:"failures"` // in a row
	Held      int       `json:"held"`     // values and messages read and not yet past the cursor
	Backlog   int64     `json:"backlog"`  // entries behind the end of the source
}

// NewWriter checks opts. Run does the work.
func NewWriter(opts WriterOptions) (*Writer, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	w := &Writer{opts: opts, batches: make(chan Batch), state: State{OK: true, Since: time.Now().UTC()}}
	m, err := newWriterMetrics(opts.Metrics, w)
	if err != nil {
		return nil, err
	}
	w.metrics = m
	return w, nil
}

// State may be called at any time.
func (w *Writer) State() State {
	w.mu.Lock()
	s := w.state
	w.mu.Unlock()
	if w.opts.Behind != nil {
		s.Backlog = w.opts.Behind()
	}
	return s
}

// Run drains the source until ctx ends, then syncs what is written. It returns
// nil then, and an error only when the source fails for good. Call it once.
func (w *Writer) Run(ctx context.Context) error {
	pulling, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { failed <- w.pull(pulling) })
	defer wg.Wait()
	defer stop()

	failures := 0
	for {
		if err := w.gather(ctx, failed); err != nil {
			w.finish()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		err := w.step(ctx)
		if err == nil {
			failures = 0
			w.report(nil, 0)
			continue
		}
		if ctx.Err() != nil {
			w.finish()
			return nil
		}
		failures++
		w.written = 0
		w.report(err, failures)
		w.pause(ctx, err, failures)
	}
}

// pull reads the source ahead of the writer by one batch.
func (w *Writer) pull(ctx context.Context) error {
	for {
		b, err := w.opts.Source.Next(ctx)
		if err != nil {
			return fmt.Errorf("series: read the source: %w", err)
		}
		select {
		case w.batches <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather returns when there is something to do: a full write, one that lingered
// long enough, or a sync that is due.
func (w *Writer) gather(ctx context.Context, failed <-chan error) error {
	fresh := w.values
	if w.written > 0 {
		fresh = 0
		for _, b := range w.held[w.written:] {
			fresh += b.weight()
		}
	}
	var linger, due <-chan time.Time
	if w.written > 0 {
		t := time.NewTimer(time.Until(w.since.Add(w.opts.SyncEvery)))
		defer t.Stop()
		due = t.C
	}
	arm := func() {
		t := time.NewTimer(w.opts.Linger)
		linger = t.C
	}
	if w.written < len(w.held) {
		arm()
	}
	for fresh < w.opts.MaxValues && w.values < 2*w.opts.MaxValues {
		select {
		case b := <-w.batches:
			if len(w.held) == 0 {
				w.since = time.Now()
			}
			w.held = append(w.held, b)
			n := b.weight()
			w.values += n
			fresh += n
			if linger == nil {
				arm()
			}
		case <-linger:
			return nil
		case <-due:
			return nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// step writes what is not written and syncs when it is time.
func (w *Writer) step(ctx context.Context) error {
	if w.written < len(w.held) {
		var messages []*devices.Message
		for _, b := range w.held[w.written:] {
			messages = append(messages, b.Messages...)
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
		written, err := w.opts.Store.Write(ctx, messages)
		cancel()
		w.metrics.observe(written, time.Since(begun), err)
		if err != nil {
			return fmt.Errorf("write %d messages: %w", len(messages), err)
		}
		w.written = len(w.held)
	}
	if w.values >= w.opts.MaxValues || time.Since(w.since) >= w.opts.SyncEvery {
		return w.sync(ctx)
	}
	return nil
}

// sync makes what is written durable and moves the cursor behind it.
func (w *Writer) sync(ctx context.Context) error {
	if w.written == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	if err := w.opts.Store.Sync(ctx); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := w.opts.Source.Done(ctx, w.held[w.written-1]); err != nil {
		return fmt.Errorf("move the series' cursor: %w", err)
	}
	rest := w.held[w.written:]
	w.held, w.written, w.values, w.since = append([]Batch(nil), rest...), 0, 0, time.Now()
	for _, b := range rest {
		w.values += b.weight()
	}
	return nil
}

// finish is a last sync, so that a clean stop repeats nothing.
func (w *Writer) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.sync(ctx); err != nil {
		w.opts.Log.Warn("series: stopping without a last sync; the journal repeats what it would have covered", "err", err)
	}
}

// pause waits out a failure.
func (w *Writer) pause(ctx context.Context, err error, failures int) {
	wait := w.opts.MaxBackoff
	if shift := failures - 1; shift < 16 {
		wait = min(w.opts.Backoff<<shift, w.opts.MaxBackoff)
	}
	wait = wait/2 + rand.N(wait/2+1)
	var u *Unavailable
	if errors.As(err, &u) {
		wait = max(wait, min(u.RetryAfter, 10*time.Minute))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// report keeps the state and says once what changed.
func (w *Writer) report(err error, failures int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.state
	was := s.OK
	s.Held, s.Failures = w.values, failures
	if s.OK = err == nil; s.OK {
		s.LastError = ""
	} else {
		s.LastError = err.Error()
	}
	if s.OK == was {
		return
	}
	s.Since = time.Now().UTC()
	if s.OK {
		w.opts.Log.Info("series: the store takes values again")
	} else {
		w.opts.Log.Error("series: the store does not take values; they wait in the journal", "err", err)
	}
}

type writerMetrics struct {
	values  *prometheus.CounterVec
	seconds prometheus.Histogram
	errors  prometheus.Counter
}

func newWriterMetrics(reg prometheus.Registerer, w *Writer) (*writerMetrics, error) {
	m := &writerMetrics{
		values: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vonglau_series_values_total",
			Help: "Values handed to the series store, by what became of them. An overwrite is also written."}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vonglau_series_write_seconds",
			Help: "Duration of one write to the series store.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_series_write_errors_total",
			Help: "Writes to the series store that failed and were tried again."}),
	}
	if reg == nil {
		return m, nil
	}
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vonglau_series_up",
		Help: "1 when the last write to the series store succeeded."}, func() float64 {
		if w.State().OK {
			return 1
		}
		return 0
	})
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vonglau_series_held_values",
		Help: "Values and messages read from the journal that its cursor has not passed."}, func() float64 { return float64(w.State().Held) })
	for _, c := range []prometheus.Collector{m.values, m.seconds, m.errors, up, held} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the series writer's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *writerMetrics) observe(w Written, took time.Duration, err error) {
	m.seconds.Observe(took.Seconds())
	if err != nil {
		m.errors.Inc()
		return
	}
	for outcome, n := range map[string]int{"written": w.Values, "duplicate": w.Duplicates,
		"overwrite": w.Overwrites, "rejected": w.Rejected} {
		m.values.WithLabelValues(outcome).Add(float64(n))
	}
}
