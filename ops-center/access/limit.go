package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	failureBurst  = 10              // failures a source has at once
	failureRefill = 6 * time.Second // until it has one more
	maxSources    = 10000
)

// limiter counts failures by source, in token buckets. It is bounded: when it
// holds too many sources that are short of allowance, those it does not know
// share one bucket.
type limiter struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*bucket
	rest    bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter() *limiter {
	return &limiter{sources: make(map[netip.Prefix]*bucket), rest: bucket{left: failureBurst}}
}

func (b *bucket) fill(now time.Time) {
	b.left = min(failureBurst, b.left+max(0, now.Sub(b.at).Seconds())/failureRefill.Seconds())
	b.at = now
}

// fail takes one failure of a source and tells how long it has to wait, 0 while
// it is within bounds.
func (l *limiter) fail(from netip.Prefix, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.sources[from]
	if b == nil {
		b = l.add(from, now)
	}
	b.fill(now)
	if b.left < 1 {
		return time.Duration((1 - b.left) * float64(failureRefill))
	}
	b.left--
	return 0
}

func (l *limiter) add(from netip.Prefix, now time.Time) *bucket {
	if len(l.sources) >= maxSources {
		for p, b := range l.sources {
			if b.fill(now); b.left >= failureBurst {
				delete(l.sources, p)
			}
		}
		if len(l.sources) >= maxSources {
			return &l.rest
		}
	}
	b := &bucket{left: failureBurst, at: now}
	l.sources[from] = b
	return b
}
