package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Source gives the lines of a chain, in the order they are kept.
type Source func(ctx context.Context, each func(line []byte) error) error

// Lines is a Source that reads an export.
func Lines(r io.Reader) Source {
	return func(ctx context.Context, each func([]byte) error) error {
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 64<<10), 4<<20)
		for s.Scan() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if line := bytes.TrimSuffix(s.Bytes(), []byte("\r")); len(line) > 0 {
				if err := each(line); err != nil {
					return err
				}
			}
		}
		return s.Err()
	}
}

// FaultKind says what was done to a chain.
type FaultKind string

const (
	Altered   FaultKind = "altered"
	Removed   FaultKind = "removed"
	Inserted  FaultKind = "inserted"
	Reordered FaultKind = "reordered"
	// Forged: the chain is whole and is not the one that was signed.
	Forged FaultKind = "forged"
	// BadMark: a checkpoint that the key did not sign.
	BadMark FaultKind = "bad_checkpoint"
)

// Fault is one place where a chain is not what it was.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// From and To are the numbers of the records.
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"`
	// Detail is for people.
	Detail string `json:"detail"`
}

// maxFaults bounds a report: behind the first, the rest is mostly its echo.
const maxFaults = 20

// Report is what a verification found.
type Report struct {
	OK      bool   `json:"ok"`
	Records uint64 `json:"records"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	// Head is the hash of the last line.
	Head string `json:"head"`
	// From and To are when the first and the last were written.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Checkpoints is how many agreed with the chain, Signed the number of the
	// last record that one vouches for: what is behind it is held by the chain
	// alone.
	Checkpoints int     `json:"checkpoints"`
	Signed      uint64  `json:"signed"`
	Faults      []Fault `json:"faults,omitempty"`
}

func (r *Report) fault(kind FaultKind, from, to uint64, format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, Fault{kind, from, to, fmt.Sprintf(format, args...)})
	}
}

// link is what verification needs of a line.
type link struct {
	N        uint64    `json:"n"`
	Recorded time.Time `json:"recorded"`
	Prev     string    `json:"prev"`

	hash string
	bad  bool // cannot be read
}

// VerifyOptions say what else is known of a chain.
type VerifyOptions struct {
	// Checkpoints that the chain must agree with; those whose signature is bad
	// are faults.
	Checkpoints []Checkpoint
	// Key checks them.
	Key []byte
	// Start is the number of the first record to expect, 1 when 0. An excerpt
	// says its own; its first link is then taken on trust.
	Start uint64
	// Retention accepts that records older than this are gone from the front.
	Retention time.Duration
	Now       time.Time
}

// Verify reads a chain and says what is wrong with it.
func Verify(ctx context.Context, source Source, opt VerifyOptions) (Report, error) {
	r := Report{Head: genesis}
	marks := map[uint64][]Checkpoint{}
	latest := uint64(0)
	for _, c := range opt.Checkpoints {
		if err := c.Check(opt.Key); err != nil {
			r.fault(BadMark, c.N, 0, "the checkpoint of record %d at %s: %v", c.N, c.At.Format(time.RFC3339), err)
			continue
		}
		marks[c.N] = append(marks[c.N], c)
		latest = max(latest, c.N)
	}
	start := max(opt.Start, 1)
	// Three lines at a time: whether a line or its neighbour was changed shows
	// in the one behind.
	var before, here *link
	var signed uint64
	seen := map[uint64]bool{} // numbers that jumped ahead and may turn up again
	take := func(next *link) {
		if here != nil {
			r.judge(before, here, next, start, seen, opt)
			for _, c := range marks[here.N] {
				if c.Hash == here.hash {
					r.Checkpoints++
					signed = max(signed, here.N)
				} else if !here.bad {
					r.fault(Forged, signed+1, here.N, "record %d is not the one signed on %s: between %d and %d the chain was written anew",
						here.N, c.At.Format(time.RFC3339), signed+1, here.N)
				}
			}
			delete(marks, here.N)
			r.Records++
			r.Last, r.Head, r.To = max(r.Last, here.N), here.hash, here.Recorded
			before = here
		}
		here = next
	}
	err := source(ctx, func(line []byte) error {
		l := &link{hash: HashLine(line)}
		if err := json.Unmarshal(line, l); err != nil {
			l.bad = true
		}
		if r.First == 0 && here == nil {
			r.First, r.From = l.N, l.Recorded
		}
		take(l)
		return nil
	})
	if err != nil {
		return r, err
	}
	take(nil)
	if latest > r.Last {
		r.fault(Removed, r.Last+1, latest, "a checkpoint has signed record %d, and the record ends with %d: the end is missing", latest, r.Last)
	}
	if r.First > start {
		r.front(start, opt)
	}
	r.Signed = signed
	r.OK = len(r.Faults) == 0
	return r, nil
}

// slack is how much later than its last record a checkpoint may be signed.
const slack = 24 * time.Hour

// front judges that records are missing before the first.
func (r *Report) front(start uint64, opt VerifyOptions) {
	if opt.Retention > 0 {
		limit := opt.Now.Add(-opt.Retention)
		if r.From.Before(limit) {
			return
		}
		for _, c := range opt.Checkpoints {
			// What it vouches for was written before it was signed.
			if c.N >= r.First-1 && c.At.Before(limit.Add(slack)) && c.Check(opt.Key) == nil {
				return
			}
		}
	}
	r.fault(Removed, start, r.First-1, "the record begins with %d; %d to %d are missing and nothing shows that they were old enough to go", r.First, start, r.First-1)
}

// judge looks at one line between its neighbours.
func (r *Report) judge(before, here, next *link, start uint64, seen map[uint64]bool, opt VerifyOptions) {
	if here.bad {
		n := start
		if before != nil {
			n = before.N + 1
			here.N = n
		}
		r.fault(Altered, n, 0, "record %d cannot be read", n)
		return
	}
	if before == nil {
		if here.N == 1 && here.Prev != genesis {
			r.fault(Altered, 1, 0, "record 1 names a line before itself")
		}
		return
	}
	if before.bad {
		return // said already; its hash cannot fit
	}
	switch {
	case here.N == before.N+1:
		if here.Prev == before.hash {
			return
		}
		switch {
		case next != nil && !next.bad && next.Prev == here.hash:
			r.fault(Altered, before.N, 0, "record %d is not the one that record %d was chained to", before.N, here.N)
		case next != nil:
			r.fault(Altered, here.N, 0, "record %d is chained neither to %d nor to %d", here.N, before.N, next.N)
		default:
			r.fault(Altered, before.N, here.N, "record %d or %d, the last, was changed: they are not chained", before.N, here.N)
		}
	case here.N > before.N+1:
		if next != nil && next.N < here.N && next.N > before.N {
			seen[next.N] = true
			r.fault(Reordered, next.N, here.N, "record %d stands before record %d", here.N, next.N)
			return
		}
		if seen[before.N] {
			return // the echo of a reordering
		}
		r.fault(Removed, before.N+1, here.N-1, "after record %d comes %d", before.N, here.N)
	case here.N == before.N:
		r.fault(Inserted, here.N, 0, "there are two records %d", here.N)
	default:
		if !seen[here.N] {
			r.fault(Reordered, here.N, before.N, "record %d stands behind record %d", here.N, before.N)
		}
	}
}

// Verify checks the chain as it is kept, with the checkpoints beside it and
// those that somebody brings.
func (r *Record) Verify(ctx context.Context, brought ...Checkpoint) (Report, error) {
	// Checkpoints first: none can then be newer than the lines.
	marks, err := r.Checkpoints(ctx)
	if err != nil {
		return Report{}, err
	}
	return Verify(ctx, r.stored, VerifyOptions{
		Checkpoints: append(marks, brought...), Key: r.PublicKey(), Retention: r.opt.Retention, Now: r.opt.Now(),
	})
}

// stored is the Source of what is kept.
func (r *Record) stored(ctx context.Context, each func(line []byte) error) error {
	return r.opt.Lines.Read(ctx, 1, func(_ uint64, line []byte) error { return each(line) })
}
