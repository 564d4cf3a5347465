package ingest

import (
	"fmt"
	"net/netip"
	"time"

	"vonglau/devices"
)

// One credential used from two places at once is a copy of it. What gives a copy
// away is that the identity goes back: a device that roams or is renumbered
// leaves an address for another, a device and its copy alternate between the
// two. The one that was there stays; the other is held off, so that the two do
// not push each other out for ever while both look half alive.

// originKey tells apart what may come from different addresses of one honest
// device: sessions from requests, and IPv4 from IPv6, because a dual-stack host
// uses whichever answers first.
type originKey struct {
	kind origin
	v4   bool
}

type origin uint8

const (
	originSession origin = iota // a session begins, from an address of any family
	originPublish               // a message in a session, from a site
	originRequest               // a message by itself, from a site
)

// origins is where an identity was lately.
type origins struct {
	here    netip.Prefix
	seen    time.Time // it spoke from here
	left    []departure
	returns []time.Time
	held    time.Time // others are held off until
}

type departure struct {
	from netip.Prefix
	at   time.Time
}

const (
	// clonedReturns is how often an identity may come back to an address it has
	// just left. A moving device crosses the border between two cells more often.
	clonedReturns       = 2
	clonedReturnsMoving = 6
	// cloneWindow is how long "just" is, for a device that reports often.
	cloneWindow = time.Minute
	// holdOff is how long a copy is refused after it was last seen.
	holdOff = 5 * time.Minute
	// maxDepartures bounds what is remembered of a device that roams.
	maxDepartures = 8
)

// meet judges that the identity speaks from somewhere, most being how often it
// may come back within window, and patience how long it may be silent where it
// is. It gives how long this place is held off, zero when it is not.
func (o *origins) meet(from netip.Prefix, now time.Time, window, patience time.Duration, most int) time.Duration {
	if o.here == from || !o.here.IsValid() {
		o.here, o.seen = from, now
		return 0
	}
	alive := now.Sub(o.seen) <= patience
	if now.Before(o.held) && alive {
		o.held = now.Add(holdOff)
		return holdOff
	}
	recent := o.returns[:0]
	for _, t := range o.returns {
		if now.Sub(t) <= window {
			recent = append(recent, t)
		}
	}
	o.returns = recent
	back := false
	keep := o.left[:0]
	for _, d := range o.left {
		if now.Sub(d.at) <= window {
			back = back || d.from == from
			if d.from != from {
				keep = append(keep, d)
			}
		}
	}
	o.left = keep
	if back {
		o.returns = append(o.returns, now)
		if len(o.returns) >= most && alive {
			o.returns, o.left, o.held = nil, nil, now.Add(holdOff)
			return holdOff
		}
	}
	if len(o.left) == maxDepartures {
		o.left = append(o.left[:0], o.left[1:]...)
	}
	o.left = append(o.left, departure{o.here, now})
	o.here, o.seen = from, now
	return 0
}

// meet books where a device speaks from, and refuses a copy of its credential.
func (l *ledger) meet(d *devices.Device, p *devices.Profile, from netip.Addr, kind origin, now time.Time) *devices.Refusal {
	if !from.IsValid() {
		return nil // behind a bridge
	}
	key, place := originKey{kind: kind}, devices.SitePrefix(from)
	if kind == originSession {
		place = netip.PrefixFrom(from, from.BitLen())
	} else {
		key.v4 = from.Is4()
	}
	window, patience, most := cloneWindow, cloneWindow, clonedReturns
	if p != nil {
		patience = max(patience, p.SilentAfter())
		if kind != originSession {
			window = patience
		}
		if p.Moving {
			most = clonedReturnsMoving
		}
	}
	a := l.account(d.ID)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.origins == nil {
		a.origins = map[originKey]*origins{}
	}
	o := a.origins[key]
	if o == nil {
		o = &origins{}
		a.origins[key] = o
	}
	wait := o.meet(place, now, window, patience, most)
	if wait == 0 {
		return nil
	}
	return &devices.Refusal{
		Reason: devices.ReasonCloned, Wait: wait,
		Detail: fmt.Sprintf("this identity alternates between %s and %s; held off for %s", o.here, place, wait),
	}
}

// alive notes that the session of an address goes on, so that a copy is held off
// as long as the device is there. Called with mu held.
func (a *account) alive(from netip.Addr, now time.Time) {
	if o := a.origins[originKey{kind: originSession}]; o != nil && o.here.Addr() == from {
		o.seen = now
	}
}
