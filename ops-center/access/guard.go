package access

import (
	"strings"
	"sync"
	"time"
)

// guard slows down those who guess passwords. Every attempt counts when it
// begins and is forgiven when it succeeds, so that many at once gain nothing.
//
// Counted are: the account, as tried from browsers that do not know it; the
// source's /64; and each browser that has logged in to the account before, by
// the cookie it was given then. So whoever guesses at an account makes strangers
// to it wait, but not its owner at the usual desk, whatever the network they
// share; and nobody waits longer than maxWait, even where guessing goes on.
type guard struct {
	mu   sync.Mutex
	keys map[string]*attempts
	rest attempts // shared by those there is no room for
	// swept is when the keys that were left alone were dropped last.
	swept time.Time
}

// attempts are those of one key since the last success.
type attempts struct {
	n     int
	until time.Time // none is taken before
	last  time.Time
}

const (
	freeAttempts = 5
	// freeFromSource is for a /64, where a whole office sits.
	freeFromSource = 20
	sourceKey      = "source "
	// After the free ones each attempt doubles the wait, from firstWait.
	firstWait = 2 * time.Second
	maxWait   = 5 * time.Minute
	// forgetAfter: a key that was left alone begins anew.
	forgetAfter = 15 * time.Minute
	maxGuarded  = 20000
)

func newGuard() *guard { return &guard{keys: make(map[string]*attempts)} }

// begin counts an attempt against all keys, or tells how long to wait. locked
// is true for the attempt that makes a key wait for the first time.
func (g *guard) begin(now time.Time, keys ...string) (wait time.Duration, locked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*attempts, len(keys))
	for i, key := range keys {
		list[i] = g.get(key, now)
		wait = max(wait, list[i].until.Sub(now))
	}
	if wait > 0 {
		return wait, false
	}
	for i, a := range list {
		a.n++
		a.last = now
		free := freeAttempts
		if strings.HasPrefix(keys[i], sourceKey) {
			free = freeFromSource
		}
		if over := a.n - free; over >= 0 {
			a.until = now.Add(min(maxWait, firstWait<<min(over, 20)))
			locked = locked || over == 0
		}
	}
	return 0, locked
}

func (g *guard) get(key string, now time.Time) *attempts {
	a := g.keys[key]
	if a != nil && now.Sub(a.last) > forgetAfter {
		*a = attempts{}
	}
	if a != nil {
		return a
	}
	// Looking through all of them at each attempt would be a flood's reward.
	if len(g.keys) >= maxGuarded && now.Sub(g.swept) > time.Minute {
		g.swept = now
		for k, old := range g.keys {
			if now.Sub(old.last) > forgetAfter {
				delete(g.keys, k)
			}
		}
	}
	if len(g.keys) >= maxGuarded {
		return &g.rest
	}
	a = &attempts{last: now}
	g.keys[key] = a
	return a
}

// forgive forgets what was counted against the keys of an account. A source gets
// back the one attempt only: else whoever has an account could go on guessing at
// others by logging in now and then.
func (g *guard) forgive(keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range keys {
		if !strings.HasPrefix(key, sourceKey) {
			delete(g.keys, key)
		} else if a := g.keys[key]; a != nil && a.n > 0 {
			a.n--
			a.until = time.Time{}
		}
	}
}
