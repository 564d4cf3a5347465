package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Log is an append-only log. Append returns when the record is on disk.
type Log interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, each func(seq uint64, at time.Time, subject string, data []byte) error) error
	End() uint64
}

const (
	// recent is how many events are kept decoded: whoever is further behind
	// reads the log.
	recent = 4096
	// page is how many events one read of the log gives.
	page = 256
)

// feed is the log of events and the newest of them in memory.
type feed struct {
	log Log
	now func() time.Time

	// appending serialises appends: the order in the log is that of the ring.
	appending sync.Mutex
	unsure    bool // an append failed, and may have been done all the same

	mu    sync.Mutex
	ring  []*Event // by Seq
	last  uint64   // of the newest event known
	known uint64   // every event after this one is in the ring
	// places are how far each source has been read.
	places map[string]uint64
	grown  chan struct{}
	broken uint64 // records that could not be read
}

// feedMark is a place in the feed with the places of the sources at it.
type feedMark struct {
	Seq    uint64            `json:"seq"`
	Places map[string]uint64 `json:"places"`
}

func openFeed(ctx context.Context, log Log, now func() time.Time, mark feedMark) (*feed, error) {
	f := &feed{log: log, now: now, places: maps.Clone(mark.Places), grown: make(chan struct{})}
	if f.places == nil {
		f.places = map[string]uint64{}
	}
	from := mark.Seq
	if end := log.End(); end > recent && end-recent < from {
		from = end - recent
	} else if end <= recent {
		from = 0
	}
	f.last, f.known = from, from
	if err := f.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	return f, nil
}

// catchUp takes in what the log has beyond what is known.
func (f *feed) catchUp(ctx context.Context) error {
	return f.log.Read(ctx, f.last+1, func(seq uint64, _ time.Time, _ string, data []byte) error {
		e, err := decode(seq, data)
		if err != nil {
			f.mu.Lock()
			f.broken++
			f.last = seq
			f.mu.Unlock()
			return nil
		}
		f.adopt(e)
		return nil
	})
}

func decode(seq uint64, data []byte) (*Event, error) {
	e := &Event{}
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, err)
	}
	e.Seq = seq
	return e, nil
}

// adopt puts an event that is in the log into the ring.
func (f *feed) adopt(e *Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring = append(f.ring, e)
	if len(f.ring) > 2*recent {
		cut := len(f.ring) - recent
		f.known = f.ring[cut-1].Seq
		f.ring = slices.Clone(f.ring[cut:])
	}
	f.last = e.Seq
	if e.SourceSeq > f.places[e.Source] {
		f.places[e.Source] = e.SourceSeq
	}
	close(f.grown)
	f.grown = make(chan struct{})
}

// append writes an event down, once for each record of a source.
func (f *feed) append(ctx context.Context, e *Event) error {
	_, err := f.appended(ctx, e)
	return err
}

// appended is append that tells the number; 0 for what was there before.
func (f *feed) appended(ctx context.Context, e *Event) (uint64, error) {
	f.appending.Lock()
	defer f.appending.Unlock()
	if f.unsure {
		before := f.end()
		if err := f.catchUp(ctx); err != nil {
			return 0, fmt.Errorf("reading the feed: %w", err)
		}
		f.unsure = false
		if seq := f.passedOn(before, e); seq > 0 {
			return seq, nil
		}
	}
	if e.SourceSeq != 0 && e.SourceSeq <= f.place(e.Source) {
		return 0, nil
	}
	e.Fed = f.now().UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("encoding an event: %w", err)
	}
	seq, err := f.log.Append(ctx, "event", data)
	if err != nil {
		f.unsure = true
		return 0, fmt.Errorf("writing an event to the feed: %w", err)
	}
	// The event in memory is the one on disk, in form as well.
	if e, err = decode(seq, data); err != nil {
		return 0, err
	}
	f.adopt(e)
	return seq, nil
}

// passedOn finds an escalation that is in the feed behind a number already; it is
// of no source whose place would tell.
func (f *feed) passedOn(behind uint64, e *Event) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range slices.Backward(f.ring) {
		if old.Seq <= behind {
			break
		}
		if e.Of != 0 && old.Of == e.Of && old.From == e.From && old.Target == e.Target {
			return old.Seq
		}
	}
	return 0
}

// pass notes that a source was read up to seq without an event.
func (f *feed) pass(source string, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places[source] = max(f.places[source], seq)
}

func (f *feed) place(source string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.places[source]
}

func (f *feed) mark() feedMark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return feedMark{f.last, maps.Clone(f.places)}
}

func (f *feed) end() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// more is closed when there is an event after seq.
func (f *feed) more(seq uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last > seq {
		done := make(chan struct{})
		close(done)
		return done
	}
	return f.grown
}

var errEnough = errors.New("enough")

// after gives events after seq, oldest first, at most a page; none means that
// there are none yet.
func (f *feed) after(ctx context.Context, seq uint64) ([]*Event, error) {
	f.mu.Lock()
	if f.last <= seq {
		f.mu.Unlock()
		return nil, nil
	}
	if seq >= f.known {
		i, _ := slices.BinarySearchFunc(f.ring, seq+1, func(e *Event, s uint64) int {
			if e.Seq < s {
				return -1
			} else if e.Seq > s {
				return 1
			}
			return 0
		})
		out := f.ring[i:min(i+page, len(f.ring))]
		f.mu.Unlock()
		return slices.Clone(out), nil
	}
	f.mu.Unlock()
	var out []*Event
	err := f.log.Read(ctx, seq+1, func(seq uint64, _ time.Time, _ string, data []byte) error {
		e, err := decode(seq, data)
		if err != nil {
			return nil // counted when it was first met
		}
		if out = append(out, e); len(out) == page {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	return out, nil
}

// get finds one event.
func (f *feed) get(ctx context.Context, seq uint64) (*Event, error) {
	list, err := f.after(ctx, seq-1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Seq != seq {
		return nil, fmt.Errorf("event %d is no longer kept: %w", seq, ErrNone)
	}
	return list[0], nil
}
