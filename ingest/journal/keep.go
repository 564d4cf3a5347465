package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
)

// Level is the short form of a State.
type Level string

const (
	LevelOK       Level = "ok"
	LevelDegraded Level = "degraded" // accepting, but something was lost
	LevelRefusing Level = "refusing" // nothing of the field is accepted
)

// Code says what the journal suffers from.
type Code string

const (
	CodeOK          Code = "ok"
	CodeDamaged     Code = "damaged"      // records were lost; Resume acknowledges it
	CodeStalled     Code = "stalled"      // the disk does not answer; ends by itself
	CodeLowSpace    Code = "low_space"    // free space is under the reserve; ends by itself
	CodeDiskFull    Code = "disk_full"    // a write found no space; ends by itself
	CodeWriteFailed Code = "write_failed" // a write or sync failed; ends by Resume
	CodeClosed      Code = "closed"
)

// State is what an operator has to know of the journal.
type State struct {
	Level  Level
	Code   Code
	Reason string // what happened
	Hint   string // what to do
	Since  time.Time
	// Lost is what was found missing and nobody has acknowledged yet.
	Lost []Loss
	// First and Last bound the sequences to be had.
	First, Last uint64
	Bytes       uint64 // of the field stream
	Free        int64  // on its filesystem
	Queued      int    // entries waiting for the disk
}

// health is the part of a State that has a memory.
type health struct {
	mu       sync.Mutex
	code     Code // of the trouble, empty when there is none
	reason   string
	since    time.Time
	mute     bool       // the engine has failed and was not opened again yet
	losses   []lossNote // the oldest first, those of earlier runs too
	watchers []func(State)
	changed  bool // since the watchers were called
}

// maxLosses bounds the losses remembered; the oldest are forgotten first.
const maxLosses = 1000

var hints = map[Code]string{
	CodeDamaged:     "look at the ranges named; when they are accounted for, acknowledge with `resume`. Check the disk (smartctl, dmesg).",
	CodeStalled:     "the disk does not answer: look at dmesg and at the load of the machine. It goes on by itself when it answers.",
	CodeLowSpace:    "free space on the journal's filesystem or make it larger. It goes on by itself.",
	CodeDiskFull:    "free space on the journal's filesystem or make it larger. It goes on by itself.",
	CodeWriteFailed: "the disk or its filesystem failed: look at dmesg, repair it, then `resume`. Devices keep what is not acknowledged.",
}

// State tells how the journal is.
func (j *Journal) State() State {
	h := &j.health
	h.mu.Lock()
	s := State{Level: LevelOK, Code: CodeOK, Since: h.since}
	for _, n := range h.losses {
		if n.Noted {
			continue
		}
		if s.Level == LevelOK {
			s.Level, s.Code, s.Since = LevelDegraded, CodeDamaged, n.Found
		}
		s.Lost = append(s.Lost, n.Loss)
		s.Reason = n.Loss.String()
	}
	if len(s.Lost) > 1 {
		s.Reason = fmt.Sprintf("%d ranges of entries lost; the last: %s", len(s.Lost), s.Reason)
	}
	if h.code != "" {
		s.Level, s.Code, s.Reason, s.Since = LevelRefusing, h.code, h.reason, h.since
	}
	h.mu.Unlock()
	s.Hint = hints[s.Code]
	s.First = j.oldest()
	s.Last, _ = j.field.end()
	j.field.mu.Lock()
	s.Bytes = j.field.bytes
	j.field.mu.Unlock()
	s.Free, _, _ = space(j.o.Dir) // 0 when it cannot be told
	s.Queued, _ = j.queue.len()
	return s
}

// OnState calls f after each change, from one goroutine; f must not block.
func (j *Journal) OnState(f func(State)) {
	j.health.mu.Lock()
	defer j.health.mu.Unlock()
	j.health.watchers = append(j.health.watchers, f)
}

// broken reports whether the engine is not to be trusted.
func (h *health) broken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.code == CodeDiskFull || h.code == CodeWriteFailed
}

// severity orders the troubles: a worse one is not covered by a lesser one.
func severity(c Code) int {
	switch c {
	case CodeLowSpace:
		return 1
	case CodeStalled:
		return 2
	case CodeDiskFull:
		return 3
	case CodeWriteFailed:
		return 4
	case CodeClosed:
		return 5
	}
	return 0
}

// trouble shuts the door to the field for a reason.
func (j *Journal) trouble(code Code, reason string) {
	h := &j.health
	h.mu.Lock()
	if severity(code) <= severity(h.code) {
		h.mu.Unlock()
		return
	}
	h.code, h.reason, h.since, h.changed = code, reason, j.now(), true
	h.mute = h.mute || code == CodeDiskFull || code == CodeWriteFailed
	h.mu.Unlock()
	j.queue.refuse(devices.Refuse(devices.ReasonUnavailable, "the journal takes nothing: %s", code))
	j.o.Log.Error("journal refuses entries", "code", string(code), "reason", reason, "hint", hints[code])
	j.wakeKeeper()
}

// relief opens the door again if it was shut for one of the codes.
func (j *Journal) relief(codes ...Code) {
	h := &j.health
	h.mu.Lock()
	found := false
	for _, c := range codes {
		found = found || h.code == c
	}
	if !found {
		h.mu.Unlock()
		return
	}
	was := h.code
	h.code, h.reason, h.since, h.changed = "", "", j.now(), true
	h.mu.Unlock()
	select {
	case <-j.stopping:
	default:
		j.queue.refuse(nil)
	}
	j.o.Log.Info("journal accepts entries again", "after", string(was))
	j.wakeKeeper()
}

// stalled is called while a sync takes too long.
func (j *Journal) stalled() {
	j.trouble(CodeStalled, fmt.Sprintf("a sync takes longer than %v", j.patience))
}

// failed is called with the error of a write that the engine did not survive.
func (j *Journal) failed(err error) {
	if _, ok := errors.AsType[*devices.Refusal](err); ok {
		return // our own refusal, not the engine's failure
	}
	if j.ctx.Err() != nil {
		return // Close has lost its patience and says so itself
	}
	text := strings.ToLower(err.Error())
	if strings.Contains(text, "no space left") || strings.Contains(text, "quota exceeded") {
		j.trouble(CodeDiskFull, err.Error())
		return
	}
	if free, _, serr := space(j.o.Dir); serr == nil && free < j.minFree.Load()/4 {
		// JetStream switches itself off without saying why.
		j.trouble(CodeDiskFull, fmt.Sprintf("%v; %d bytes free", err, free))
		return
	}
	j.trouble(CodeWriteFailed, err.Error())
}

// admit decides whether a chain may write n bytes now. The reserve under
// MinFree is there for what the program itself has to write: cursors, acts,
// registers.
func (j *Journal) admit(c *chain, n int) error {
	h := &j.health
	h.mu.Lock()
	code := h.code
	h.mu.Unlock()
	if code == CodeDiskFull || code == CodeWriteFailed {
		return devices.Refuse(devices.ReasonUnavailable, "the journal takes nothing: %s", code)
	}
	free, _, err := space(j.o.Dir)
	if err != nil {
		return nil // the write itself will tell
	}
	floor := j.minFree.Load()
	if c != j.field {
		floor /= 4
	}
	if free-int64(n) >= floor {
		return nil
	}
	if c == j.field {
		j.trouble(CodeLowSpace, lowSpace(free, floor))
	}
	return devices.Refuse(devices.ReasonUnavailable, "the journal takes nothing: %s", CodeLowSpace)
}

func lowSpace(free, reserve int64) string {
	return fmt.Sprintf("%d MiB free, %d MiB are kept in reserve", free>>20, reserve>>20)
}

// lost records and reports what is missing, once each.
func (j *Journal) lost(losses ...Loss) {
	h := &j.health
	h.mu.Lock()
	defer h.mu.Unlock()
	news := false
	for _, l := range losses {
		if slices.ContainsFunc(h.losses, func(n lossNote) bool {
			if n.Stream != l.Stream {
				return false
			}
			// A break that was there before shows again at each full look,
			// and wider than it was when the count went on at a distance.
			return n.From <= l.From && l.To <= n.To || l.old && n.From <= l.To && l.From <= n.To+1
		}) {
			continue
		}
		news = true
		h.losses = append(h.losses, lossNote{Loss: l, Found: j.now()})
		j.met.lost.Add(float64(l.To - l.From + 1))
		j.o.Log.Error("journal entries lost", "stream", l.Stream, "from", l.From, "to", l.To, "reason", l.Reason, "hint", hints[CodeDamaged])
	}
	if !news {
		return
	}
	if n := len(h.losses); n > maxLosses {
		h.losses = slices.Clone(h.losses[n-maxLosses:])
	}
	h.changed = true
	j.saveLosses()
	j.wakeKeeper()
}

// Resume is the operator's word that a failed disk was seen to, or that a loss
// was noted. The engine is stopped, every block on disk is checked and what is
// damaged cut out, after a failed write the newest are written anew (the kernel
// may take pages for clean that never reached the disk), and the engine is
// started again. Only then are entries accepted. It returns an error while the
// journal has another reason to refuse.
func (j *Journal) Resume(ctx context.Context) error {
	s := j.State()
	if j.health.broken() || len(s.Lost) > 0 {
		if err := j.reopen(ctx, j.health.broken()); err != nil {
			return fmt.Errorf("resume journal: %w", err)
		}
	}
	h := &j.health
	h.mu.Lock()
	if len(h.losses) > 0 {
		for i := range h.losses {
			h.losses[i].Noted = true
		}
		h.changed = true
		j.saveLosses()
	}
	h.mu.Unlock()
	j.relief(CodeWriteFailed, CodeDiskFull)
	j.wakeKeeper()
	if s := j.State(); s.Level == LevelRefusing {
		return fmt.Errorf("resume journal: it still refuses: %s: %s; %s", s.Code, s.Reason, s.Hint)
	}
	return nil
}

// reopen exchanges the engine for a new one over the same directory.
func (j *Journal) reopen(ctx context.Context, suspect bool) error {
	j.gate.Lock()
	defer j.gate.Unlock()
	if j.eng == nil {
		return refuseStopping
	}
	j.eng.stop()
	if err := j.repair(ctx, suspect); err != nil {
		return err
	}
	eng, err := startEngine(j.o.Dir, j.o.Log, j.suspectEngine)
	if err != nil {
		return err // j.eng stays stopped; its errors are errEngine
	}
	j.eng = eng
	j.mu.Lock()
	chains := slices.Clone(j.chains)
	j.mu.Unlock()
	for _, c := range chains {
		losses, err := c.attach(ctx, eng, true)
		if err != nil {
			return err
		}
		j.lost(losses...)
		if c.attached != nil {
			if err := c.attached(ctx, eng); err != nil {
				return err
			}
		}
	}
	j.health.mu.Lock()
	j.health.mute = false
	j.health.mu.Unlock()
	j.recent.poke()
	return nil
}

// suspectEngine makes keep look at the engine's health: what failed may be a
// write that no chain waits for, such as a file's.
func (j *Journal) suspectEngine() {
	j.unsure.Store(true)
	j.wakeKeeper()
}

// examine looks at every stream's health once the engine logged an error.
func (j *Journal) examine() {
	if !j.unsure.Swap(false) || j.health.broken() {
		return
	}
	eng, release, err := j.engine()
	if err != nil {
		return
	}
	defer release()
	all, err := streams(j.o.Dir)
	if err != nil {
		j.o.Log.Error("health of the storage engine", "error", err)
		return
	}
	for _, stream := range all {
		if err := eng.health(stream); err != nil {
			j.failed(fmt.Errorf("stream %s: %w", stream, err))
			return
		}
	}
}

func (j *Journal) wakeKeeper() {
	select {
	case j.poke <- struct{}{}:
	default:
	}
}

// keep is the journal's housekeeper: space, recovery, cursors, retention, and
// the calls to those who watch the state.
func (j *Journal) keep() {
	defer j.keeping.Done()
	tick := time.NewTicker(min(time.Second, j.o.CursorInterval))
	defer tick.Stop()
	var saved, swept time.Time
	for {
		select {
		case <-tick.C:
		case <-j.poke:
		case <-j.gone:
			j.tellWatchers()
			return
		}
		j.examine()
		j.tellWatchers()
		j.recover()
		j.tellWatchers()
		if j.health.broken() {
			continue
		}
		if time.Since(saved) >= j.o.CursorInterval {
			saved = time.Now()
			if err := j.saveCursors(j.ctx); err != nil {
				j.o.Log.Warn("cursors stay as they were on disk", "error", err)
			}
		}
		if time.Since(swept) >= sweepInterval {
			swept = time.Now()
			if err := j.sweep(j.ctx); err != nil {
				j.o.Log.Warn("retention", "error", err)
			}
		}
	}
}

// sweepInterval is how often retention looks.
const sweepInterval = 10 * time.Second

func (j *Journal) tellWatchers() {
	h := &j.health
	h.mu.Lock()
	changed, watchers := h.changed, slices.Clone(h.watchers)
	h.changed = false
	h.mu.Unlock()
	if !changed {
		return
	}
	s := j.State()
	for _, f := range watchers {
		f(s)
	}
}

// recover ends the troubles that end by themselves. After one that does not it
// opens the engine again all the same, for reading: JetStream gives out nothing
// of a block it could not write to.
func (j *Journal) recover() {
	h := &j.health
	h.mu.Lock()
	code, mute := h.code, h.mute
	h.mu.Unlock()
	free, _, err := space(j.o.Dir)
	// A little more than the reserve, so that the door does not flap.
	roomy := err == nil && free >= j.minFree.Load()/8*9
	switch {
	case code == "" && err == nil && free < j.minFree.Load():
		// Told before the first entry meets it.
		j.trouble(CodeLowSpace, lowSpace(free, j.minFree.Load()))
	case code == CodeLowSpace && roomy:
		j.relief(CodeLowSpace)
	case code == CodeDiskFull && roomy, code == CodeWriteFailed && mute:
		pause := time.Second
		if code == CodeWriteFailed {
			pause = 10 * time.Second
		}
		if time.Since(j.tried) < pause {
			return
		}
		j.tried = time.Now()
		if err := j.reopen(j.ctx, false); err != nil {
			j.o.Log.Error("storage engine cannot be opened again, next try follows", "error", err)
			return
		}
		j.relief(CodeDiskFull)
	}
}

// findFirst notes the oldest sequence of the field stream.
func (j *Journal) findFirst(ctx context.Context) error {
	_, r, err := j.field.read(ctx, 1)
	switch {
	case err == nil:
		j.first.Store(r.first)
	case errors.Is(err, errNoMessage):
		end, _ := j.field.end()
		j.first.Store(end + 1)
	default:
		return err
	}
	return nil
}

// sweep keeps the bounds of the field stream and the logs.
func (j *Journal) sweep(ctx context.Context) error {
	j.mu.Lock()
	logs := slices.Collect(maps.Values(j.logs))
	j.mu.Unlock()
	for _, l := range logs {
		if _, err := l.c.sweep(ctx, l.o.MaxBytes, l.o.MaxAge, math.MaxUint64); err != nil {
			return fmt.Errorf("log %s: %w", l.name, err)
		}
	}
	dropped, err := j.field.sweep(ctx, j.o.MaxBytes, j.o.MaxAge, j.slowest())
	if err != nil || !dropped {
		return err
	}
	was := j.oldest()
	if err := j.findFirst(ctx); err != nil {
		return err
	}
	now := j.oldest()
	j.o.Log.Info("journal dropped old entries", "from", was, "to", now-1)
	j.tellUnread(was, now)
	return nil
}

// eachCursor calls f for every reader there is a cursor of, open or not.
func (j *Journal) eachCursor(f func(name string, next uint64)) {
	all := make(map[string]uint64)
	names := j.cursors.keys()
	j.mu.Lock()
	for _, name := range names {
		if c, ok := j.cursor(name); ok {
			all[name] = c.Next
		}
	}
	for name, r := range j.readers {
		all[name] = r.at().Next
	}
	j.mu.Unlock()
	for name, next := range all {
		f(name, next)
	}
}

// slowest is the first sequence some reader has not done.
func (j *Journal) slowest() uint64 {
	end, _ := j.field.end()
	least := end + 1
	j.eachCursor(func(_ string, next uint64) { least = min(least, next) })
	return least
}

// tellUnread names the readers from which entries [was, now) were taken.
func (j *Journal) tellUnread(was, now uint64) {
	j.eachCursor(func(name string, next uint64) {
		if from := max(next, was); from < now {
			j.met.unread.WithLabelValues(name).Add(float64(now - from))
			j.o.Log.Error("journal dropped entries a reader had not read", "reader", name, "from", from, "to", now-1,
				"hint", "the reader is too slow or gone; raise max_bytes, or forget the reader")
		}
	})
}
