package alert

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The past is read from the log of transitions. So that a moment is found without
// reading all of it, the open alarms are written down every few thousand records
// as a checkpoint:
//
//	name     SEQUENCE-TIME, the sequence of the last record it counts in twenty
//	         digits, and when that was recorded in milliseconds since 1970
//	content  gzip of JSON {"seq": …, "alarms": [alarm, …]}
//
// Checkpoints can be thrown away: the log has everything.

// Checkpoints keeps them. *journal.Objects is one.
type Checkpoints interface {
	Put(ctx context.Context, name string, r io.Reader) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	List(ctx context.Context) ([]string, error)
}

// markEvery is the least number of records between two checkpoints. There are
// more between them when many alarms are open, so that what is written for
// checkpoints stays below what is written for the log.
const markEvery = 4000

type mark struct {
	seq  uint64
	at   int64
	name string
}

// index finds the checkpoint before a time.
type index struct {
	mu     sync.Mutex
	marks  []mark
	since  int   // records since the last
	newest int64 // time of the newest record
	// cached is the checkpoint read last: a replay asks for the same again and
	// again.
	cached     uint64
	cachedList []Alarm
}

func parseMark(name string) (mark, error) {
	seq, at, _ := strings.Cut(name, "-")
	m := mark{name: name}
	var err1, err2 error
	m.seq, err1 = strconv.ParseUint(seq, 10, 64)
	m.at, err2 = strconv.ParseInt(at, 10, 64)
	return m, errors.Join(err1, err2)
}

func (s *Alarms) loadMarks(ctx context.Context) error {
	if s.opt.Checkpoints == nil {
		return nil
	}
	names, err := s.opt.Checkpoints.List(ctx)
	if err != nil {
		return fmt.Errorf("listing the checkpoints of the alarm log: %w", err)
	}
	for _, name := range names {
		if m, err := parseMark(name); err == nil {
			s.index.marks = append(s.index.marks, m)
		}
	}
	slices.SortFunc(s.index.marks, func(a, b mark) int { return int(a.seq) - int(b.seq) })
	return nil
}

// follow keeps up what is derived from transitions. The lock is held.
func (s *Alarms) follow(t *Transition) {
	at := t.Recorded.UnixMilli()
	s.index.mu.Lock()
	s.index.since++
	s.index.newest = max(s.index.newest, at)
	s.index.mu.Unlock()
	if t.To == Normal {
		s.closed.put(t.Alarm)
	}
	if t.annunciates() {
		s.flood.add(max(at, last(s.flood.times)))
	}
}

func last(list []int64) int64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1]
}

// checkpoint writes one when it is due. A failure costs time later, not truth.
func (s *Alarms) checkpoint(ctx context.Context) {
	if s.opt.Checkpoints == nil {
		return
	}
	open := s.List()
	s.index.mu.Lock()
	due, at := s.index.since >= max(markEvery, 2*len(open)), s.index.newest
	s.index.mu.Unlock()
	if !due {
		return
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	err := json.NewEncoder(z).Encode(struct {
		Seq    uint64  `json:"seq"`
		Alarms []Alarm `json:"alarms"`
	}{s.logSeq, open})
	if err == nil {
		err = z.Close()
	}
	m := mark{s.logSeq, at, fmt.Sprintf("%020d-%d", s.logSeq, at)}
	if err == nil {
		err = s.opt.Checkpoints.Put(ctx, m.name, &b)
	}
	if err != nil {
		s.metrics.failures.Inc()
		s.opt.Log.Warn("a checkpoint of the alarm log was not written; the past is found more slowly", "error", err)
		return
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.index.marks, s.index.since = append(s.index.marks, m), 0
}

// before gives the newest checkpoint that counts nothing recorded after a time.
func (s *Alarms) before(at int64) mark {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for i := len(s.index.marks) - 1; i >= 0; i-- {
		if s.index.marks[i].at <= at {
			return s.index.marks[i]
		}
	}
	return mark{}
}

func (s *Alarms) readMark(ctx context.Context, m mark) ([]Alarm, error) {
	if m.name == "" {
		return nil, nil
	}
	s.index.mu.Lock()
	if s.index.cached == m.seq {
		defer s.index.mu.Unlock()
		return s.index.cachedList, nil
	}
	s.index.mu.Unlock()
	r, err := s.opt.Checkpoints.Get(ctx, m.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var content struct {
		Alarms []Alarm `json:"alarms"`
	}
	if err := json.NewDecoder(z).Decode(&content); err != nil {
		return nil, err
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.index.cached, s.index.cachedList = m.seq, content.Alarms
	return content.Alarms, nil
}

// At gives the alarms that were open at a time, as the walls showed them then:
// what was recorded up to it, the time included.
func (s *Alarms) At(ctx context.Context, t time.Time) ([]Alarm, error) {
	base := s.before(t.UnixMilli())
	list, err := s.readMark(ctx, base)
	if err != nil { // the log has it all the same
		s.opt.Log.Warn("a checkpoint of the alarm log cannot be read", "name", base.name, "error", err)
		base, list = mark{}, nil
	}
	open := make(map[string]Alarm, len(list))
	for _, a := range list {
		a.Unreachable = 0
		open[a.ID] = a
	}
	err = s.read(ctx, base.seq+1, func(_ uint64, tr *Transition) error {
		if tr.Recorded.After(t) {
			return errStop
		}
		if tr.To == Normal {
			delete(open, tr.Alarm.ID)
		} else {
			open[tr.Alarm.ID] = tr.Alarm
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var b board
	b.init()
	for _, a := range open {
		b.set(a)
	}
	out := make([]Alarm, len(b.order))
	for i, a := range b.order {
		out[i] = b.shown(a)
	}
	return out, nil
}

// Transitions calls each with what was recorded in [from, to), in order.
func (s *Alarms) Transitions(ctx context.Context, from, to time.Time, each func(*Transition) error) error {
	return s.read(ctx, s.before(from.UnixMilli()-1).seq+1, func(_ uint64, t *Transition) error {
		switch {
		case t.Recorded.Before(from):
			return nil
		case !t.Recorded.Before(to):
			return errStop
		}
		return each(t)
	})
}

// read calls each with the records of the log; errStop from it ends the reading.
func (s *Alarms) read(ctx context.Context, from uint64, each func(uint64, *Transition) error) error {
	err := s.opt.Transitions.Read(ctx, from, func(seq uint64, _ time.Time, subj string, data []byte) error {
		if subj != subject {
			return nil
		}
		var t Transition
		if json.Unmarshal(data, &t) != nil {
			return nil // counted and told of when it was first seen
		}
		return each(seq, &t)
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("reading the log of alarms: %w", err)
	}
	return nil
}

// afterlife is how many records after its end are looked through for what was
// said of an alarm later.
const afterlife = 200_000

// Story gives all that happened to one alarm, oldest first; empty when there is
// no such alarm. Its id tells when it was raised, which is where the reading
// begins.
func (s *Alarms) Story(ctx context.Context, id string) ([]Transition, error) {
	dot := strings.LastIndexByte(id, '.')
	raised, err := strconv.ParseInt(id[dot+1:], 36, 64)
	if dot < 0 || err != nil {
		return nil, nil
	}
	needle, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	needle = append([]byte(`"id":`), needle...)
	var out []Transition
	over := 0
	err = s.opt.Transitions.Read(ctx, s.before(raised-1).seq+1, func(_ uint64, _ time.Time, subj string, data []byte) error {
		if over > 0 {
			if over++; over > afterlife {
				return errStop
			}
		}
		if subj != subject || !bytes.Contains(data, needle) {
			return nil
		}
		var t Transition
		if json.Unmarshal(data, &t) != nil || t.Alarm.ID != id {
			return nil
		}
		out = append(out, t)
		if t.To == Normal && over == 0 {
			over = 1
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, fmt.Errorf("reading the log of alarms: %w", err)
	}
	return out, nil
}

// History gives the alarms that were closed in [from, to) with what was said of
// them since, the newest first, at most limit; more tells that there are others.
func (s *Alarms) History(ctx context.Context, from, to time.Time, limit int, keep func(*Alarm) bool) (out []Alarm, more bool, err error) {
	at := map[string]int{}
	err = s.read(ctx, s.before(from.UnixMilli()-1).seq+1, func(_ uint64, t *Transition) error {
		if !t.Recorded.Before(to) {
			return errStop
		}
		if t.To != Normal || t.Recorded.Before(from) {
			return nil
		}
		if i, known := at[t.Alarm.ID]; known {
			out[i] = t.Alarm
			return nil
		}
		if t.From == Normal || !keep(&t.Alarm) {
			return nil
		}
		at[t.Alarm.ID] = len(out)
		out = append(out, t.Alarm)
		return nil
	})
	slices.Reverse(out)
	if len(out) > limit {
		out, more = out[:limit], true
	}
	return out, more, err
}

// recent reads what the last minutes left in the meter of floods and in the list
// of closed alarms, up to where catchUp goes on.
func (s *Alarms) recent(ctx context.Context) error {
	now := s.opt.Now()
	from := now.Add(-floodWindow)
	start := s.before(from.UnixMilli()-1).seq + 1
	if s.logSeq > afterlife {
		start = max(start, s.logSeq-afterlife)
	}
	return s.read(ctx, start, func(seq uint64, t *Transition) error {
		if seq > s.logSeq {
			return errStop
		}
		s.index.since++
		s.index.newest = max(s.index.newest, t.Recorded.UnixMilli())
		if t.To == Normal {
			s.closed.put(t.Alarm)
		}
		if t.annunciates() && t.Recorded.After(from) {
			s.flood.add(max(t.Recorded.UnixMilli(), last(s.flood.times)))
		}
		return nil
	})
}
