package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Query is what somebody looks for. Empty fields match all.
type Query struct {
	Who     string // account, name or pseudonym
	Act     string // or the beginning of one that ends in ".", as rule.
	Object  string // a part of it
	From    string // address, or the beginning of one
	Outcome Outcome
	After   time.Time // at this time or later
	Until   time.Time // before this time
	Below   uint64    // records with smaller numbers, for the next page
	Limit   int
}

// Found is a page of the record, the newest first.
type Found struct {
	Entries []Entry
	// Below is where the next page begins, 0 when there is none. A page may be
	// short or empty and have a next one: a search looks at maxSought records.
	Below uint64
}

const (
	window    = 2048    // records read at once, going backwards
	maxSought = 200_000 // records looked at for one page
)

var errEnough = errors.New("enough")

// Find looks through the record from its end backwards.
func (r *Record) Find(ctx context.Context, q Query) (Found, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	var who []string
	if q.Who != "" {
		who = append(who, q.Who)
		if r.opt.Names != nil {
			who = append(who, r.opt.Names.Find(q.Who)...)
		}
	}
	var found Found
	// The sequence of a record is its number or more.
	end := r.opt.Lines.End()
	top := uint64(0)
	for sought := 0; end > 0 && sought < maxSought; {
		from := uint64(1)
		if end > window {
			from = end - window + 1
		}
		var page []Entry
		var first uint64
		oldest := time.Time{}
		err := r.opt.Lines.Read(ctx, from, func(seq uint64, line []byte) error {
			if seq > end {
				return errEnough
			}
			sought++
			if !q.mayMatch(line, who) {
				if first == 0 {
					var l link
					if json.Unmarshal(line, &l) == nil {
						first, oldest = l.N, l.Recorded
					}
				}
				return nil
			}
			var e Entry
			if err := json.Unmarshal(line, &e); err != nil {
				return nil // Verify names it
			}
			if first == 0 {
				first, oldest = e.N, e.Recorded
			}
			if q.matches(&e, who) {
				page = append(page, e)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return found, fmt.Errorf("audit: search the record: %w", err)
		}
		slices.Reverse(page)
		for _, e := range page {
			if len(found.Entries) == limit {
				found.Below = found.Entries[limit-1].N
				return found, nil
			}
			found.Entries = append(found.Entries, e)
		}
		if first != 0 {
			top = first
		}
		if from == 1 || !q.After.IsZero() && !oldest.IsZero() && oldest.Before(q.After.Add(-crowdWindow*2)) {
			return found, nil
		}
		end = from - 1
	}
	found.Below = top
	return found, nil
}

// mayMatch looks at the bytes, which is quicker than at the record.
func (q *Query) mayMatch(line []byte, who []string) bool {
	if q.Outcome != "" && !bytes.Contains(line, []byte(`"outcome":"`+string(q.Outcome)+`"`)) {
		return false
	}
	if q.Act != "" && !bytes.Contains(line, []byte(`"act":"`+q.Act)) {
		return false
	}
	if len(who) > 0 && !slices.ContainsFunc(who, func(w string) bool { return bytes.Contains(line, []byte(w)) }) {
		return false
	}
	return true
}

func (q *Query) matches(e *Entry, who []string) bool {
	switch {
	case q.Below != 0 && e.N >= q.Below,
		len(who) > 0 && !slices.Contains(who, e.Who.ID),
		q.Act != "" && e.Act != q.Act && !(strings.HasSuffix(q.Act, ".") && strings.HasPrefix(e.Act, q.Act)),
		q.Object != "" && !strings.Contains(e.Object, q.Object),
		q.From != "" && !strings.HasPrefix(e.From, q.From),
		q.Outcome != "" && e.Outcome != q.Outcome,
		!q.After.IsZero() && e.At.Before(q.After),
		!q.Until.IsZero() && !e.At.Before(q.Until):
		return false
	}
	return true
}

// Name is who a record's actor is, where that is known and not erased.
func (r *Record) Name(w Who) string {
	if r.opt.Names == nil || w.ID == "" {
		return ""
	}
	return r.opt.Names.Name(w.ID)
}

// Export writes lines as they are kept, each with a line feed: from the record
// of a number on, those written in [after, until) where these are given. A
// reader that was cut off goes on with the number behind the last it has whole.
func (r *Record) Export(ctx context.Context, w io.Writer, from uint64, after, until time.Time) error {
	n, _, _ := r.Head()
	err := r.opt.Lines.Read(ctx, max(from, 1), func(_ uint64, line []byte) error {
		var l link
		if err := json.Unmarshal(line, &l); err == nil {
			switch {
			case l.N < from || !after.IsZero() && l.Recorded.Before(after):
				return nil
			case l.N > n || !until.IsZero() && !l.Recorded.Before(until):
				return errEnough
			}
		}
		_, err := w.Write(append(line[:len(line):len(line)], '\n'))
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return nil
}
