package firmwaresim

import (
	"math/rand/v2"
	"time"
)

// backoff spaces attempts to reach a server that does not answer: twice as long
// after each failure, up to a bound, and never the same for two devices, so
// that ten thousand of them do not come back in the same second.
type backoff struct {
	first, most time.Duration
	failures    int
}

// next gives the wait before the next attempt: between half of the current
// bound and all of it.
func (b *backoff) next(rng *rand.Rand) time.Duration {
	d := b.most
	if b.failures < 30 && b.first<<b.failures < b.most {
		d = b.first << b.failures
	}
	b.failures++
	return d/2 + time.Duration(rng.Int64N(int64(d/2)+1))
}

func (b *backoff) reset() { b.failures = 0 }
