package firmwaresim

import (
	"math/rand/v2"
	"time"
)

// clock is a device's idea of the time: a constant error and a drift on top of
// the real one. A device without a battery behind its clock wakes in 1970 and
// counts from there until the network has told it the time.
type clock struct {
	set    time.Time     // when the clock was last right up to offset
	offset time.Duration // error at set
	ppm    float64       // drift since
	// forgets: a reboot takes the clock back to 1970 for a while.
	forgets bool
	woke    time.Time // real time of the last reboot, zero before the first
	synced  time.Time // real time the network's answer arrives after it
}

// read gives what the clock shows at the real time now.
func (c *clock) read(now time.Time) time.Time {
	if c.forgets && now.Before(c.synced) {
		return time.Unix(0, 0).UTC().Add(now.Sub(c.woke))
	}
	age := now.Sub(c.set)
	return now.Add(c.offset + time.Duration(float64(age)*c.ppm/1e6))
}

// reboot is what a loss of power does to the clock.
func (c *clock) reboot(now time.Time, rng *rand.Rand) {
	if !c.forgets {
		return
	}
	c.woke = now
	c.synced = now.Add(20*time.Second + time.Duration(rng.Int64N(int64(40*time.Second))))
	// What network time gives is right but for the way it took.
	c.set, c.offset = c.synced, time.Duration(rng.Int64N(int64(80*time.Millisecond)))
}

// newClock draws a clock as the scenario's faults allow.
func newClock(f Faults, now time.Time, rng *rand.Rand) clock {
	c := clock{set: now, ppm: f.DriftPPM * (2*rng.Float64() - 1), forgets: rng.Float64() < f.BadClocks}
	// Most clocks are set by the network and off by a little.
	e := 2*rng.Float64() - 1
	c.offset = time.Duration(e * e * e * float64(time.Duration(f.OffsetMax)))
	return c
}
