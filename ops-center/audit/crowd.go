package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what strangers can have written.
const (
	crowdWindow  = time.Minute
	crowdBurst   = 5    // of one source and act, each minute
	crowdTotal   = 200  // of all, each minute
	crowdSources = 4096 // told apart
	crowdSums    = 64   // sources that have a sum of their own, each minute
)

// crowd bounds the records of refusals, failures and reads. Within a minute a
// source has crowdBurst records of each act (a read: one); what comes on top is
// counted, and the counts become records when the minute is over: one for each
// of the busiest sources, one for all the rest together.
type crowd struct {
	mu     sync.Mutex
	since  time.Time
	admits int
	seen   map[crowdKey]*crowdCount
	rest   crowdCount // sources beyond crowdSources
}

type crowdKey struct {
	from    string
	who     Who
	act     string
	outcome Outcome
	reason  string
}

type crowdCount struct {
	admitted int
	count    uint64
	first    time.Time
	last     time.Time
	example  Entry
}

func newCrowd() *crowd { return &crowd{seen: make(map[crowdKey]*crowdCount)} }

// Site is the unit in which sources are counted: the /64 of an IPv6 address,
// because one host can speak from 2^64 of them.
func Site(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}

// admit tells whether e has a record of its own.
func (c *crowd) admit(e *Entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		c.since = e.At
	}
	key := crowdKey{Site(e.From), e.Who, e.Act, e.Outcome, e.Reason}
	s := c.seen[key]
	if s == nil {
		if len(c.seen) >= crowdSources {
			s = &c.rest
		} else {
			s = &crowdCount{}
			c.seen[key] = s
		}
	}
	burst := crowdBurst
	if e.Outcome == Done {
		burst = 1
	}
	if s != &c.rest && s.admitted < burst && c.admits < crowdTotal {
		s.admitted++
		c.admits++
		return true
	}
	if s.count == 0 {
		s.first, s.example = e.At, *e
	}
	s.count++
	s.last = e.At
	return false
}

// ripe gives the sums of a minute that is over.
func (c *crowd) ripe(now time.Time) []Entry {
	c.mu.Lock()
	over := !c.since.IsZero() && now.Sub(c.since) >= crowdWindow
	c.mu.Unlock()
	if !over {
		return nil
	}
	return c.all()
}

// all gives the sums and begins a new minute.
func (c *crowd) all() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*crowdCount, 0, len(c.seen))
	for _, s := range c.seen {
		if s.count > 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *crowdCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), a.first.Compare(b.first))
	})
	var out []Entry
	rest := c.rest
	for i, s := range list {
		if i < crowdSums {
			e := s.example
			e.From, e.Request, e.Before, e.After = Site(e.From), "", nil, nil
			e.At, e.Until, e.Count = s.first, s.last, s.count
			out = append(out, e)
			continue
		}
		if rest.count == 0 || s.first.Before(rest.first) {
			rest.first = s.first
		}
		if s.last.After(rest.last) {
			rest.last = s.last
		}
		rest.count += s.count
	}
	if rest.count > 0 {
		out = append(out, Entry{
			At: rest.first, Until: rest.last, Count: rest.count, Who: Who{Kind: Stranger}, Act: "many", Outcome: Refused,
			Reason: "from more sources than are told apart",
		})
	}
	c.seen, c.rest, c.admits, c.since = make(map[crowdKey]*crowdCount), crowdCount{}, 0, time.Time{}
	return out
}
