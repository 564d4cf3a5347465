package alert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
)

// LogEntry is one line of the shift log: what somebody wrote, or that he came or
// went. Nothing is ever changed; a correction is an entry that names the one it
// corrects.
type LogEntry struct {
	N    uint64    `json:"n"`
	Kind EntryKind `json:"kind"`
	At   time.Time `json:"at"`
	By   Actor     `json:"by"`
	Text string    `json:"text,omitempty"`
	// Alarm and Device are what it is about.
	Alarm  string     `json:"alarm,omitempty"`
	Device devices.ID `json:"device,omitempty"`
	// Corrects is the number of the entry that this one puts right; CorrectedBy
	// is the other way round, and not in the log.
	Corrects    uint64 `json:"corrects,omitempty"`
	CorrectedBy uint64 `json:"correctedBy,omitempty"`
	// Exercise names the drill it belongs to.
	Exercise string `json:"exercise,omitempty"`
}

// EntryKind is what an entry is. The strings are stored.
type EntryKind string

// The kinds.
const (
	Note       EntryKind = "note"
	Correction EntryKind = "correction"
	ShiftBegin EntryKind = "shift_begin"
	ShiftEnd   EntryKind = "shift_end"
)

// Duty is who is on shift.
type Duty struct {
	Actor
	Since time.Time `json:"since"`
}

// maxShift ends a shift that somebody forgot to end, for the roster and for all
// figures per operator.
const maxShift = 16 * time.Hour

// maxEntries bounds what is kept at hand; older ones are read from the log.
const maxEntries = 20_000

// ShiftLog is the shift log and the roster that follows from it. It is safe to use
// at once.
type ShiftLog struct {
	log Log
	now func() time.Time

	mu      sync.Mutex
	entries []LogEntry        // the newest
	fixed   map[uint64]uint64 // corrections, by what they correct
	n       uint64
	turns   []turn // in order of from
}

// turn is one person's time on shift; to is 0 while it lasts.
type turn struct {
	who      Actor
	from, to int64
}

func (t *turn) end() int64 {
	latest := t.from + maxShift.Milliseconds()
	if t.to == 0 || t.to > latest {
		return latest
	}
	return t.to
}

// shiftSubject is what the entries are filed under.
const shiftSubject = "shift"

// OpenShift reads the log.
func OpenShift(ctx context.Context, log Log, now func() time.Time) (*ShiftLog, error) {
	s := &ShiftLog{log: log, now: now, fixed: map[uint64]uint64{}}
	err := log.Read(ctx, 1, func(_ uint64, _ time.Time, subj string, data []byte) error {
		var e LogEntry
		if subj != shiftSubject {
			return nil
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("entry after %d: %w", s.n, err)
		}
		s.take(e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the shift log: %w", err)
	}
	return s, nil
}

func (s *ShiftLog) take(e LogEntry) {
	s.n = max(s.n, e.N)
	s.entries = append(s.entries, e)
	if len(s.entries) > maxEntries {
		s.entries = slices.Delete(s.entries, 0, len(s.entries)-maxEntries)
	}
	at := e.At.UnixMilli()
	switch e.Kind {
	case Correction:
		s.fixed[e.Corrects] = e.N
	case ShiftBegin:
		s.turns = append(s.turns, turn{who: e.By, from: at})
	case ShiftEnd:
		if t := s.turn(e.By, at); t != nil {
			t.to = at
		}
	}
}

// turn finds a person's turn that lasts at a time.
func (s *ShiftLog) turn(who Actor, at int64) *turn {
	for i := len(s.turns) - 1; i >= 0; i-- {
		if t := &s.turns[i]; same(t.who.ID, t.who.Name, who) && t.from <= at && at < t.end() && t.to == 0 {
			return t
		}
	}
	return nil
}

// ErrOnShift and ErrOffShift are wrapped by Begin and End.
var (
	ErrOnShift  = errors.New("already on shift")
	ErrOffShift = errors.New("not on shift")
	ErrNoEntry  = errors.New("the shift log has no such entry")
)

// Add writes an entry: a note, or with Corrects the correction of one.
func (s *ShiftLog) Add(ctx context.Context, e LogEntry, who Actor) (LogEntry, error) {
	e.Text = strings.TrimSpace(e.Text)
	switch {
	case e.Text == "":
		return LogEntry{}, &BadAct{Code: "text_missing", Field: "text", Detail: "an empty entry says nothing"}
	case len(e.Text) > 4*maxText:
		return LogEntry{}, &BadAct{Code: "too_long", Field: "text", Detail: fmt.Sprintf("the text has %d bytes, %d are the most", len(e.Text), 4*maxText)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Kind = Note
	if e.Corrects != 0 {
		e.Kind = Correction
		i, ok := slices.BinarySearchFunc(s.entries, e.Corrects, func(x LogEntry, n uint64) int { return cmp.Compare(x.N, n) })
		if !ok || s.entries[i].Kind != Note && s.entries[i].Kind != Correction {
			return LogEntry{}, fmt.Errorf("correcting entry %d: %w", e.Corrects, ErrNoEntry)
		}
		if by := s.fixed[e.Corrects]; by != 0 {
			return LogEntry{}, &BadAct{Code: "corrected", Field: "corrects", Detail: fmt.Sprintf("entry %d was corrected by entry %d; correct that one", e.Corrects, by)}
		}
	}
	return s.write(ctx, e, who)
}

func (s *ShiftLog) write(ctx context.Context, e LogEntry, who Actor) (LogEntry, error) {
	e.N, e.At, e.By, e.CorrectedBy = s.n+1, s.now().UTC().Truncate(time.Millisecond), who, 0
	data, err := json.Marshal(e)
	if err != nil {
		return LogEntry{}, fmt.Errorf("encoding an entry of the shift log: %w", err)
	}
	if _, err := s.log.Append(ctx, shiftSubject, data); err != nil {
		// It may be there all the same: the next must not have its number.
		s.n++
		return LogEntry{}, fmt.Errorf("writing to the shift log: %w", err)
	}
	s.take(e)
	return e, nil
}

// Begin puts a person on shift.
func (s *ShiftLog) Begin(ctx context.Context, who Actor, text string) (LogEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn(who, s.now().UnixMilli()) != nil {
		return LogEntry{}, fmt.Errorf("beginning the shift of %s: %w", who.Name, ErrOnShift)
	}
	return s.write(ctx, LogEntry{Kind: ShiftBegin, Text: strings.TrimSpace(text)}, who)
}

// End takes a person off shift.
func (s *ShiftLog) End(ctx context.Context, who Actor, text string) (LogEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn(who, s.now().UnixMilli()) == nil {
		return LogEntry{}, fmt.Errorf("ending the shift of %s: %w", who.Name, ErrOffShift)
	}
	return s.write(ctx, LogEntry{Kind: ShiftEnd, Text: strings.TrimSpace(text)}, who)
}

// On gives who is on shift at a time, the longest first.
func (s *ShiftLog) On(at time.Time) []Duty {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Duty{}
	for i := range s.turns {
		if t := &s.turns[i]; t.from <= at.UnixMilli() && at.UnixMilli() < t.end() {
			out = append(out, Duty{t.who, time.UnixMilli(t.from).UTC()})
		}
	}
	return out
}

// Operators counts who works on alarms at a time: those on shift, one at least.
func (s *ShiftLog) Operators(at time.Time) int { return max(1, len(s.On(at))) }

// Moments gives when the roster changed within [from, to), in milliseconds.
func (s *ShiftLog) Moments(from, to time.Time) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int64
	for i := range s.turns {
		for _, at := range []int64{s.turns[i].from, s.turns[i].end()} {
			if at >= from.UnixMilli() && at < to.UnixMilli() {
				out = append(out, at)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Entries gives those with a number below before (0: from the end) that keep
// says yes to, the newest first, at most limit.
func (s *ShiftLog) Entries(ctx context.Context, before uint64, limit int, keep func(*LogEntry) bool) (out []LogEntry, err error) {
	s.mu.Lock()
	entries, first := slices.Clone(s.entries), uint64(0)
	fixed := make(map[uint64]uint64, len(s.fixed))
	for k, v := range s.fixed {
		fixed[k] = v
	}
	s.mu.Unlock()
	if len(entries) > 0 {
		first = entries[0].N
	}
	gather := func(list []LogEntry) {
		for i := len(list) - 1; i >= 0 && len(out) < limit; i-- {
			e := list[i]
			e.CorrectedBy = fixed[e.N]
			if (before == 0 || e.N < before) && keep(&e) {
				out = append(out, e)
			}
		}
	}
	gather(entries)
	if len(out) >= limit || first <= 1 {
		return out, nil
	}
	var older []LogEntry
	err = s.log.Read(ctx, 1, func(_ uint64, _ time.Time, subj string, data []byte) error {
		var e LogEntry
		if subj != shiftSubject || json.Unmarshal(data, &e) != nil {
			return nil
		}
		if e.N >= first || before != 0 && e.N >= before {
			return errStop
		}
		if older = append(older, e); len(older) > 4*maxEntries {
			older = slices.Delete(older, 0, len(older)-2*maxEntries)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return out, fmt.Errorf("reading the shift log: %w", err)
	}
	gather(older)
	return out, nil
}
