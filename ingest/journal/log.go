package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"vonglau/devices"
)

// Log is an append-only record of acts: what an alarm went through, what an
// operator did. Each act has a sequence of the log's own, a time, a subject and
// bytes. It is on disk when Append returns, and nothing in it is ever changed.
type Log struct {
	name string
	o    LogOptions
	c    *chain

	mu    sync.Mutex
	grown chan struct{} // closed at the next append
}

// LogOptions bound a Log. The zero value keeps everything.
type LogOptions struct {
	// MaxAge drops acts older than this.
	MaxAge time.Duration
	// MaxBytes drops the oldest acts above this size.
	MaxBytes int64
}

// Act is one entry of a Log.
type Act struct {
	Subject string
	Data    []byte
}

// Log opens the log of that name, creating it when it is not there. Every call
// with one name gives the same Log, with the options of the first.
func (j *Journal) Log(ctx context.Context, name string, o LogOptions) (*Log, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if o.MaxAge < 0 || o.MaxBytes < 0 {
		return nil, fmt.Errorf("open log %s: an option is negative", name)
	}
	j.opening.Lock()
	defer j.opening.Unlock()
	if l, ok := j.logs[name]; ok {
		return l, nil
	}
	c, err := j.chain(ctx, prefixLog+name, kindActs)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", name, err)
	}
	l := &Log{name: name, o: o, c: c, grown: make(chan struct{})}
	j.mu.Lock()
	j.logs[name] = l
	j.mu.Unlock()
	return l, nil
}

// Append writes one act and returns its sequence.
func (l *Log) Append(ctx context.Context, subject string, data []byte) (seq uint64, err error) {
	return l.AppendAll(ctx, []Act{{subject, data}})
}

// AppendAll writes acts as one record, all or nothing, and returns the sequence
// of the first.
func (l *Log) AppendAll(ctx context.Context, acts []Act) (first uint64, err error) {
	if len(acts) == 0 {
		return 0, fmt.Errorf("log %s: nothing to append", l.name)
	}
	buf := beginRecord(nil)
	for _, a := range acts {
		buf = binary.AppendUvarint(buf, uint64(len(a.Subject)))
		buf = append(buf, a.Subject...)
		buf = binary.AppendUvarint(buf, uint64(len(a.Data)))
		buf = append(buf, a.Data...)
	}
	if len(buf) > maxRecord {
		return 0, devices.Refuse(devices.ReasonTooLarge, "%d bytes for log %s at once, %d are the most", len(buf), l.name, maxRecord)
	}
	r, err := l.c.append(ctx, buf, uint32(len(acts)), l.c.j.now())
	if err != nil {
		return 0, fmt.Errorf("log %s: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return r.first, nil
}

// End returns the sequence of the newest act, 0 when there is none.
func (l *Log) End() uint64 {
	seq, _ := l.c.end()
	return seq
}

// Read calls f with every act from the sequence from on that is there now, in
// order. Sequences that are missing were dropped, lost or never given out.
func (l *Log) Read(ctx context.Context, from uint64, f func(seq uint64, at time.Time, subject string, data []byte) error) error {
	_, err := l.read(ctx, from, f)
	return err
}

// Follow is Read that goes on with what is appended, until ctx ends or f
// returns an error.
func (l *Log) Follow(ctx context.Context, from uint64, f func(seq uint64, at time.Time, subject string, data []byte) error) error {
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		next, err := l.read(ctx, from, f)
		if err != nil && !errors.Is(err, errEngine) {
			return err
		}
		from = next
		select {
		case <-grown:
		case <-time.After(5 * time.Second): // an engine that comes back wakes nobody
		case <-ctx.Done():
			return ctx.Err()
		case <-l.c.j.gone:
			return refuseStopping
		}
	}
}

// read returns the sequence to go on with.
func (l *Log) read(ctx context.Context, from uint64, f func(uint64, time.Time, string, []byte) error) (uint64, error) {
	from = max(from, 1)
	if end, _ := l.c.end(); from > end {
		return from, nil
	}
	place, err := l.c.locate(ctx, from)
	if err != nil {
		return from, fmt.Errorf("read log %s: %w", l.name, err)
	}
	for {
		at, r, err := l.c.read(ctx, max(place, 1))
		if errors.Is(err, errNoMessage) {
			return from, nil
		}
		if err != nil {
			return from, fmt.Errorf("read log %s: %w", l.name, err)
		}
		acts, err := decodeActs(r.body, r.count)
		if err != nil {
			return from, fmt.Errorf("log %s, acts %d to %d: %w", l.name, r.first, r.last(), err)
		}
		for i, a := range acts {
			seq := r.first + uint64(i)
			if seq < from {
				continue
			}
			if err := ctx.Err(); err != nil {
				return from, err
			}
			if err := f(seq, r.at, a.Subject, a.Data); err != nil {
				return from, err
			}
			from = seq + 1
		}
		place = at + 1
	}
}

func decodeActs(body []byte, count uint32) ([]Act, error) {
	if uint64(count) > uint64(len(body)/2) {
		return nil, fmt.Errorf("%w: %d acts in %d bytes", errDamaged, count, len(body))
	}
	acts := make([]Act, count)
	for i := range acts {
		var parts [2][]byte
		for p := range parts {
			n, w := binary.Uvarint(body)
			if w <= 0 || n > uint64(len(body)-w) {
				return nil, fmt.Errorf("%w: act %d of %d", errDamaged, i+1, count)
			}
			parts[p] = body[w : w+int(n)]
			body = body[w+int(n):]
		}
		acts[i] = Act{string(parts[0]), parts[1]}
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last act", errDamaged, len(body))
	}
	return acts, nil
}
