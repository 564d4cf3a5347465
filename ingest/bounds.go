package ingest

import (
	"errors"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"vonglau/devices"
)

// Bounds are how much is taken in. A zero field means its default, a negative
// one no bound.
//
// Every device has what its profile lets expect of it, times Fair, for itself:
// that is never held up by what others send. What it sends beyond that it shares
// with its site and with everybody, up to its own bound; so whoever floods is
// held up and its neighbours are not.
type Bounds struct {
	// Fair is the part of a device that nobody can take from it, in reports per
	// reporting interval: 4.
	Fair float64
	// Factor is what a device may send at most, in reports per reporting
	// interval: 1000. It is never less than Messages a second: 1000. A device
	// with a backlog sends as fast as it can.
	Factor, Messages float64
	// Bytes is what a device may send a second: 1 MiB.
	Bytes float64
	// SiteMessages and SiteBytes bound a /64 a second, or an IPv4 address:
	// 20,000 and 16 MiB. The host's own loopback is no site.
	SiteMessages, SiteBytes float64
	// TotalMessages and TotalBytes bound all together a second: 200,000 and
	// 256 MiB.
	TotalMessages, TotalBytes float64
	// Burst is how much of each may come at once, in seconds of it: 2 s.
	Burst time.Duration
}

func (b *Bounds) defaults() error {
	for _, f := range []struct {
		v *float64
		d float64
	}{
		{&b.Fair, 4}, {&b.Factor, 1000}, {&b.Messages, 1000}, {&b.Bytes, 1 << 20},
		{&b.SiteMessages, 20_000}, {&b.SiteBytes, 16 << 20}, {&b.TotalMessages, 200_000}, {&b.TotalBytes, 256 << 20},
	} {
		switch {
		case math.IsNaN(*f.v):
			return errors.New("ingest: a bound is not a number")
		case *f.v == 0:
			*f.v = f.d
		case *f.v < 0:
			*f.v = math.Inf(1)
		}
	}
	if b.Burst <= 0 {
		b.Burst = 2 * time.Second
	}
	return nil
}

// bucket is a token bucket. It may go into debt, which is how a sender that
// cannot be told to come back later pays: by not being read from.
type bucket struct {
	level float64
	at    time.Time
}

// fill brings the bucket to now. A new one is full.
func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.at.IsZero() {
		b.level, b.at = burst, now
		return
	}
	if d := now.Sub(b.at); d > 0 {
		b.level, b.at = math.Min(burst, b.level+d.Seconds()*rate), now
	}
}

// lacks is how long it takes until n is there; more than the bucket holds is
// there when it is full.
func (b *bucket) lacks(n, rate, burst float64) time.Duration {
	if math.IsInf(rate, 1) {
		return 0
	}
	need := math.Min(n, burst) - b.level
	if need <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(need / rate * float64(time.Second)))
}

// take takes n, into a debt of at most one burst.
func (b *bucket) take(n, burst float64) { b.level = math.Max(b.level-n, -burst) }

// meter is a bound of messages and one of bytes.
type meter struct{ messages, bytes bucket }

func (m *meter) fill(now time.Time, messages, bytes float64, burst float64) {
	m.messages.fill(now, messages, atLeastOne(messages*burst))
	m.bytes.fill(now, bytes, atLeastOne(bytes*burst))
}

func (m *meter) lacks(size float64, messages, bytes float64, burst float64) time.Duration {
	return max(
		m.messages.lacks(1, messages, atLeastOne(messages*burst)),
		m.bytes.lacks(size, bytes, atLeastOne(bytes*burst)),
	)
}

func (m *meter) take(size float64, messages, bytes float64, burst float64) {
	m.messages.take(1, atLeastOne(messages*burst))
	m.bytes.take(size, atLeastOne(bytes*burst))
}

func atLeastOne(burst float64) float64 { return math.Max(burst, 1) }

// account is what a device has sent lately, and from where.
type account struct {
	mu   sync.Mutex
	fair bucket
	own  meter
	over atomic.Uint64 // messages over a bound

	origins map[originKey]*origins // clone.go
}

// fairBurst is how many reports a device may save up of its fair part: a device
// that was cut off for a moment sends a few at once.
const fairBurst = 20

// maxMeteredSites bounds the sites metered at once; the ones that were silent
// for a minute make room.
const maxMeteredSites = 65_536

// ledger keeps the accounts. A device's account is its own lock, so that devices
// do not wait for each other; sites and the total have one each, held for a few
// additions.
type ledger struct {
	opt      Bounds
	accounts sync.Map // devices.ID → *account

	mu    sync.Mutex // guards sites, total
	sites map[netip.Prefix]*meter
	total meter
}

func newLedger(b Bounds) *ledger { return &ledger{opt: b, sites: map[netip.Prefix]*meter{}} }

func (l *ledger) account(id devices.ID) *account {
	if a, ok := l.accounts.Load(id); ok {
		return a.(*account)
	}
	a, _ := l.accounts.LoadOrStore(id, &account{})
	return a.(*account)
}

// charge books one message of size bytes and gives zero, or says how long the
// device is to wait. One that has to wait is booked only when it is taken all
// the same (owe), as debt.
func (l *ledger) charge(d *devices.Device, p *devices.Profile, from netip.Addr, size int, now time.Time, owe bool) time.Duration {
	o, n, burst := &l.opt, float64(size), l.opt.Burst.Seconds()
	interval := 60.0
	if p != nil && p.Interval > 0 {
		interval = p.Interval.Seconds()
	}
	rate := math.Max(o.Messages, o.Factor/interval)
	a := l.account(d.ID)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alive(from, now)
	a.fair.fill(now, o.Fair/interval, fairBurst)
	a.own.fill(now, rate, o.Bytes, burst)
	wait := a.own.lacks(n, rate, o.Bytes, burst)
	fair := wait == 0 && a.fair.level >= 1
	if fair {
		a.fair.take(1, fairBurst)
	}
	wait = max(wait, l.share(from, n, burst, now, fair, owe, wait == 0))
	if wait == 0 || owe {
		a.own.take(n, rate, o.Bytes, burst)
	}
	if wait > 0 {
		a.over.Add(1)
	}
	return wait
}

// share books a message with its site and the total, when they and the device's
// own account (room) have room for it or it owes. A fair one finds room whatever
// they say.
func (l *ledger) share(from netip.Addr, n, burst float64, now time.Time, fair, owe, room bool) (wait time.Duration) {
	o := &l.opt
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.fill(now, o.TotalMessages, o.TotalBytes, burst)
	var site *meter
	if from.IsValid() && !from.IsLoopback() {
		site = l.site(devices.SitePrefix(from), now)
		site.fill(now, o.SiteMessages, o.SiteBytes, burst)
	}
	if !fair {
		wait = l.total.lacks(n, o.TotalMessages, o.TotalBytes, burst)
		if site != nil {
			wait = max(wait, site.lacks(n, o.SiteMessages, o.SiteBytes, burst))
		}
	}
	if !owe && (wait > 0 || !room) {
		return wait
	}
	l.total.take(n, o.TotalMessages, o.TotalBytes, burst)
	if site != nil {
		site.take(n, o.SiteMessages, o.SiteBytes, burst)
	}
	return wait
}

// site finds a site's meter, making room for a new one. Called with mu held.
func (l *ledger) site(p netip.Prefix, now time.Time) *meter {
	if m := l.sites[p]; m != nil {
		return m
	}
	if len(l.sites) >= maxMeteredSites {
		for k, m := range l.sites {
			if now.Sub(m.messages.at) > time.Minute {
				delete(l.sites, k)
			}
		}
		for k := range l.sites {
			if len(l.sites) < maxMeteredSites {
				break
			}
			delete(l.sites, k) // any: it begins with a full bucket again
		}
	}
	m := &meter{}
	l.sites[p] = m
	return m
}

// forget drops the account of a device that is gone.
func (l *ledger) forget(d *devices.Device) {
	if d.State == devices.Retired {
		l.accounts.Delete(d.ID)
	}
}

// enter books a delivery and says why it is not taken: it comes from where the
// device does not belong, its credential is in use elsewhere, or it is over a
// bound. An MQTT connection was held up for its bounds already, and a bridge
// holds up itself.
func (g *Gate) enter(d Delivery, p *devices.Profile, now time.Time) *devices.Refusal {
	from := d.From.Addr()
	if r := g.belongs(d.Device, from); r != nil {
		return r
	}
	switch d.Via {
	case devices.ViaBridge:
		return nil
	case devices.ViaMQTT:
		return g.copied(g.ledger.meet(d.Device, p, from, originPublish, now))
	case devices.ViaLine: // a gateway writes for its children
	default:
		if r := g.copied(g.ledger.meet(d.Device, p, from, originRequest, now)); r != nil {
			return r
		}
	}
	size := d.Size
	if size == 0 {
		size = len(d.Payload)
	}
	if wait := g.ledger.charge(d.Device, p, from, size, now, false); wait > 0 {
		r := devices.Refuse(devices.ReasonBusy, "over the rate this device, its site or the server takes")
		r.Wait = wait
		return r
	}
	return nil
}

// welcome says why a session may not begin.
func (g *Gate) welcome(d *devices.Device, via devices.Via, from netip.AddrPort) *devices.Refusal {
	r := g.belongs(d, from.Addr())
	if r == nil {
		p, _ := g.opt.Catalogue.Profile(d.Profile)
		r = g.copied(g.ledger.meet(d, p, from.Addr(), originSession, g.opt.Now()))
	}
	if r != nil {
		r.Device, r.Via, r.From = d.ID, via, from
	}
	return r
}

// pace books a message of a session and gives how long its connection is not to
// be read from.
func (g *Gate) pace(id devices.ID, from netip.AddrPort, size int) time.Duration {
	d, ok := g.opt.Register.Get(id)
	if !ok {
		return 0 // refused by whoever looks at it
	}
	p, _ := g.opt.Catalogue.Profile(d.Profile)
	wait := g.ledger.charge(d, p, from.Addr(), size, g.opt.Now(), true)
	if wait > 0 {
		g.metrics.heldUp.Inc()
	}
	return wait
}

func (g *Gate) belongs(d *devices.Device, from netip.Addr) *devices.Refusal {
	if g.opt.Prefixes == nil {
		return nil
	}
	if policy, why := g.opt.Prefixes.Judge(d, from); policy == devices.SourceRefuse {
		return devices.Refuse(devices.ReasonForeignPrefix, "%s", why)
	}
	return nil
}

func (g *Gate) copied(r *devices.Refusal) *devices.Refusal {
	if r != nil {
		g.metrics.cloned.Inc()
	}
	return r
}

// OverBounds counts the messages of a device that were over a bound since the
// start, held up or turned away.
func (g *Gate) OverBounds(id devices.ID) uint64 {
	a, ok := g.ledger.accounts.Load(id)
	if !ok {
		return 0
	}
	return a.(*account).over.Load()
}

// waitOf is how long a refused sender is told to keep away, in whole seconds.
func waitOf(r *devices.Refusal) time.Duration {
	if r.Wait <= 0 {
		return retryAfter
	}
	return (r.Wait + time.Second - 1).Truncate(time.Second)
}
