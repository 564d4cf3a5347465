package firmwaresim

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// latencies is a histogram of durations: eight buckets for each power of two of
// microseconds, so a quantile is right to a tenth. It belongs to one goroutine.
type latencies struct {
	buckets [40 * 8]uint64
	count   uint64
	max     time.Duration
}

func (l *latencies) observe(d time.Duration) {
	l.max = max(l.max, d)
	l.count++
	us := uint64(max(d.Microseconds(), 1))
	power := bits.Len64(us) - 1
	fraction := us << 3 >> power & 7
	l.buckets[min(power*8+int(fraction), len(l.buckets)-1)]++
}

func (l *latencies) add(o *latencies) {
	for i, n := range o.buckets {
		l.buckets[i] += n
	}
	l.count += o.count
	l.max = max(l.max, o.max)
}

// quantile gives the upper edge of the bucket the q-th duration lies in.
func (l *latencies) quantile(q float64) time.Duration {
	want := uint64(math.Ceil(q * float64(l.count)))
	var seen uint64
	for i, n := range l.buckets {
		if seen += n; n > 0 && seen >= want {
			power, fraction := i/8, i%8
			us := math.Pow(2, float64(power)) * (1 + float64(fraction+1)/8)
			return min(time.Duration(us*1000), l.max)
		}
	}
	return l.max
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, mix(seed, 1))) }
