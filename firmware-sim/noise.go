package firmwaresim

import (
	"math"
	"time"
)

// mix is the finaliser of SplitMix64: every bit of the result depends on every
// bit of both arguments, so hashes of neighbours have nothing in common.
func mix(a, b uint64) uint64 {
	x := a ^ (b+0x9e3779b97f4a7c15)*0xbf58476d1ce4e5b9
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// salt gives the number that stands for a name in all hashes of one seed.
func salt(seed uint64, name string) uint64 {
	h := mix(seed, uint64(len(name)))
	for i := range len(name) {
		h = mix(h, uint64(name[i]))
	}
	return h
}

// unit maps a hash to [0,1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// jitter is white noise in [-1,1]: one value per salt and second.
func jitter(s uint64, t time.Time) float64 {
	return 2*unit(mix(s, uint64(t.Unix()))) - 1
}

// wander is smooth noise in [-1,1] that changes its mind about once a period.
// It depends on salt and time alone, so it does not matter how often, or by
// whom, it is asked.
func wander(s uint64, t time.Time, period time.Duration) float64 {
	x := float64(t.UnixMilli()) / float64(period.Milliseconds())
	i := math.Floor(x)
	f := x - i
	f = f * f * (3 - 2*f)
	a := 2*unit(mix(s, uint64(int64(i)))) - 1
	b := 2*unit(mix(s, uint64(int64(i)+1))) - 1
	return a + (b-a)*f
}

func clamp(x, lo, hi float64) float64 { return math.Min(math.Max(x, lo), hi) }
