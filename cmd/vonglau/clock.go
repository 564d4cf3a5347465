package main

import "time"

// clock is what the parts that judge, decide and wait take the time from. The
// program has the machine's; the stories have one that they turn themselves.
type clock struct {
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	// every gives a time again and again until stop is called.
	every func(time.Duration) (times <-chan time.Time, stop func())
}

func machineClock() clock {
	return clock{now: time.Now, after: time.After, every: func(d time.Duration) (<-chan time.Time, func()) {
		t := time.NewTicker(d)
		return t.C, t.Stop
	}}
}
