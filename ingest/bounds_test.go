package ingest

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"vonglau/devices"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func boundsOf(t *testing.T, b Bounds) *ledger {
	t.Helper()
	if err := b.defaults(); err != nil {
		t.Fatal(err)
	}
	return newLedger(b)
}

var minutely = &devices.Profile{Interval: time.Minute}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestDeviceBound(t *testing.T) {
	l := boundsOf(t, Bounds{Messages: 10, Factor: 60, Bytes: 1000, Burst: time.Second})
	d := &devices.Device{ID: "a"}
	taken := 0
	for range 100 {
		if l.charge(d, minutely, addr("2001:db8::1"), 10, noon, false) == 0 {
			taken++
		}
	}
	if taken != 10 {
		t.Errorf("%d of 100 messages at once were taken, want 10", taken)
	}
	wait := l.charge(d, minutely, addr("2001:db8::1"), 10, noon, false)
	if wait != 100*time.Millisecond {
		t.Errorf("told to wait %v, want 100ms", wait)
	}
	if w := l.charge(d, minutely, addr("2001:db8::1"), 10, noon.Add(wait), false); w != 0 {
		t.Errorf("after the wait it is told to wait %v", w)
	}
	if got := l.account("a").over.Load(); got != 91 {
		t.Errorf("%d over the bound, want 91", got)
	}
	// Bytes are a bound of their own, and a message larger than a burst is taken
	// when the bucket is full.
	if w := l.charge(d, minutely, addr("2001:db8::1"), 5000, noon.Add(time.Hour), false); w != 0 {
		t.Errorf("a large message waits %v of a full bucket", w)
	}
	if w := l.charge(d, minutely, addr("2001:db8::1"), 500, noon.Add(time.Hour), false); w != 1500*time.Millisecond {
		t.Errorf("after it, 500 bytes wait %v, want 1.5s: a burst of debt and half of one", w)
	}
	// A frequent profile may send more than the floor.
	quick := &devices.Profile{Interval: time.Second}
	b := &devices.Device{ID: "b"}
	taken = 0
	for range 100 {
		if l.charge(b, quick, addr("2001:db8::2"), 1, noon, false) == 0 {
			taken++
		}
	}
	if taken != 60 {
		t.Errorf("a device of 1 s was given %d, want 60", taken)
	}
}

// A sender that cannot be refused pays by waiting: over any stretch of time no
// more comes than the bound lets through.
func TestDebtIsPaid(t *testing.T) {
	l := boundsOf(t, Bounds{Messages: 10, Factor: 1, Burst: time.Second})
	d := &devices.Device{ID: "a"}
	now, sent := noon, 0
	for now.Before(noon.Add(time.Minute)) {
		now = now.Add(min(l.charge(d, minutely, addr("2001:db8::1"), 1, now, true), time.Second))
		sent++
	}
	if sent < 600 || sent > 640 {
		t.Errorf("sent %d in a minute at 10 a second, want 600 and a burst", sent)
	}
}

// One site floods; the devices that keep to their profile never wait, neither at
// that site nor elsewhere.
func TestFloodHoldsUpOnlyItself(t *testing.T) {
	l := boundsOf(t, Bounds{Messages: 1e6, Bytes: -1, SiteMessages: 100, TotalMessages: 200, Burst: time.Second})
	flood := &devices.Device{ID: "flood"}
	refused := 0
	for tick := range 600 { // a tenth of a second each
		now := noon.Add(time.Duration(tick) * 100 * time.Millisecond)
		for range 500 {
			if l.charge(flood, minutely, addr("2001:db8:bad::1"), 100, now, false) > 0 {
				refused++
			}
		}
		if tick%10 == 0 {
			for i := range 20 { // each reports once a minute, a third of them twice
				d := &devices.Device{ID: devices.ID(fmt.Sprintf("good-%d", (tick/10*20+i)%900))}
				site := "2001:db8:bad::2"
				if i%2 == 0 {
					site = "2001:db8:900d::2"
				}
				if w := l.charge(d, minutely, addr(site), 100, now, false); w > 0 {
					t.Fatalf("%s at %s has to wait %v", d.ID, site, w)
				}
			}
		}
	}
	if got := 600*500 - refused; got < 5000 || got > 6500 {
		t.Errorf("the flood got %d messages through in a minute, want about 100 a second", got)
	}
}

func TestLoopbackIsNoSite(t *testing.T) {
	l := boundsOf(t, Bounds{Messages: -1, SiteMessages: 1, Burst: time.Second})
	d := &devices.Device{ID: "a"}
	for range 1000 {
		if w := l.charge(d, minutely, addr("::1"), 1, noon, false); w > 0 {
			t.Fatalf("has to wait %v", w)
		}
	}
}

func TestMeteredSitesAreBounded(t *testing.T) {
	l := boundsOf(t, Bounds{})
	d := &devices.Device{ID: "a"}
	for i := range maxMeteredSites + 5000 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(i >> 16), byte(i >> 8), byte(i), 1})
		l.charge(d, minutely, a, 1, noon.Add(time.Duration(i)*time.Second), false)
	}
	if n := len(l.sites); n > maxMeteredSites {
		t.Errorf("%d sites are metered, at most %d", n, maxMeteredSites)
	}
}

func TestClones(t *testing.T) {
	type step struct {
		at   time.Duration
		from string
		held bool
	}
	s := func(seconds int, from string, held bool) step {
		return step{time.Duration(seconds) * time.Second, from, held}
	}
	const a, b, c = "2001:db8:a::1", "2001:db8:b::1", "2001:db8:c::1"
	moving := &devices.Profile{Interval: 10 * time.Second, Moving: true}
	for name, test := range map[string]struct {
		kind    origin
		profile *devices.Profile
		steps   []step
	}{
		"reconnects from one address": {originSession, minutely, []step{s(0, a, false), s(1, a, false), s(2, a, false), s(3, a, false)}},
		"renumbered":                  {originSession, minutely, []step{s(0, a, false), s(30, b, false), s(31, b, false), s(90, b, false)}},
		"roams":                       {originSession, minutely, []step{s(0, a, false), s(5, b, false), s(10, c, false), s(15, "2001:db8:d::1", false)}},
		"roams and comes back once":   {originSession, minutely, []step{s(0, a, false), s(5, b, false), s(10, a, false), s(300, b, false)}},
		"taken over back and forth":   {originSession, minutely, []step{s(0, a, false), s(5, b, false), s(6, a, false), s(11, b, true), s(12, a, false), s(20, b, true)}},
		"the copy stays away":         {originSession, minutely, []step{s(0, a, false), s(1, b, false), s(2, a, false), s(3, b, true), s(200, a, false), s(310, b, false)}},
		"the device is gone":          {originSession, minutely, []step{s(0, a, false), s(1, b, false), s(2, a, false), s(3, b, true), s(120, b, true), s(300, b, false)}},
		"slow alternation":            {originSession, minutely, []step{s(0, a, false), s(70, b, false), s(140, a, false), s(210, b, false), s(280, a, false)}},
		"two addresses of one site":   {originRequest, minutely, []step{s(0, a, false), s(1, "2001:db8:a::2", false), s(2, a, false), s(3, "2001:db8:a::2", false), s(4, a, false)}},
		"requests interleave":         {originRequest, minutely, []step{s(0, a, false), s(30, b, false), s(60, a, false), s(90, b, true), s(120, a, false), s(150, b, true)}},
		"dual stack":                  {originRequest, minutely, []step{s(0, a, false), s(10, "192.0.2.1", false), s(20, a, false), s(30, "192.0.2.1", false), s(40, a, false)}},
		"a bus between two cells":     {originRequest, moving, []step{s(0, a, false), s(10, b, false), s(20, a, false), s(30, b, false), s(40, b, false)}},
		"behind a bridge":             {originRequest, minutely, []step{s(0, "", false), s(1, a, false), s(2, "", false), s(3, a, false)}},
	} {
		t.Run(name, func(t *testing.T) {
			l := boundsOf(t, Bounds{})
			d := &devices.Device{ID: "gw-1"}
			for i, step := range test.steps {
				var from netip.Addr
				if step.from != "" {
					from = addr(step.from)
				}
				r := l.meet(d, test.profile, from, test.kind, noon.Add(step.at))
				if (r != nil) != step.held {
					t.Fatalf("step %d, %s at %v: got %v, want held %v", i, step.from, step.at, r, step.held)
				}
				if r != nil && (r.Reason != devices.ReasonCloned || r.Wait != holdOff) {
					t.Errorf("held off with %+v", r)
				}
			}
		})
	}
}

// While the device is connected and reports, its copy stays held off, however
// long ago the device connected.
func TestCopyIsHeldOffWhileTheSessionLives(t *testing.T) {
	l := boundsOf(t, Bounds{})
	d := &devices.Device{ID: "gw-1"}
	a, b := addr("2001:db8:a::1"), addr("2001:db8:b::1")
	for i, from := range []netip.Addr{a, b, a, b} {
		l.meet(d, minutely, from, originSession, noon.Add(time.Duration(i)*time.Second))
	}
	for minute := 1; minute < 30; minute++ {
		now := noon.Add(time.Duration(minute) * time.Minute)
		l.charge(d, minutely, a, 100, now, true)
		if r := l.meet(d, minutely, b, originSession, now); r == nil {
			t.Fatalf("the copy is let in after %d minutes", minute)
		}
	}
}

func TestGateRefusesOverBounds(t *testing.T) {
	g := newTestGate(t)
	g.ledger = boundsOf(t, Bounds{Messages: 1, Factor: 1, Burst: time.Second})
	send := func(via devices.Via) error {
		var answer error
		g.Submit(Delivery{Device: g.device, Via: via, From: netip.MustParseAddrPort("[2001:db8::1]:9"), Payload: []byte(`{"pm25":1}`)}, func(err error) { answer = err })
		g.journal.sync(-1, nil)
		return answer
	}
	if err := send(devices.ViaHTTP); err != nil {
		t.Fatal(err)
	}
	err := send(devices.ViaCoAP)
	var r *devices.Refusal
	if !errors.As(err, &r) || r.Reason != devices.ReasonBusy || waitOf(r) != time.Second {
		t.Errorf("got %v, want busy and a wait of 1 s", err)
	}
	for _, e := range g.journal.take() {
		if e.Refusal != nil {
			t.Errorf("a flood is written to the journal: %+v", e.Refusal)
		}
	}
	if n := g.OverBounds("aq-1"); n != 1 {
		t.Errorf("%d over bounds, want 1", n)
	}
	if err := send(devices.ViaMQTT); err != nil {
		t.Errorf("an MQTT message, held up on its connection, is refused as well: %v", err)
	}
	if wait := g.pace("aq-1", netip.MustParseAddrPort("[2001:db8::1]:9"), 10); wait <= 0 {
		t.Error("an MQTT connection over its bound is not held up")
	}
	g.now = g.now.Add(time.Minute)
	if err := send(devices.ViaHTTP); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestGateRefusesForeignPrefixes(t *testing.T) {
	g := newTestGate(t)
	var err error
	if g.opt.Prefixes, err = devices.OpenPrefixes(t.Context(), memoryStore{}); err != nil {
		t.Fatal(err)
	}
	if err := g.opt.Prefixes.Set(t.Context(), []devices.Prefix{{
		Prefix: netip.MustParsePrefix("2001:db8::/48"), Kind: devices.PrefixCity, Name: "city", Policy: devices.SourceRefuse,
	}}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]devices.Reason{
		"[2001:db8::1]:9": "", "[2001:db9::1]:9": devices.ReasonForeignPrefix, "192.0.2.1:9": devices.ReasonForeignPrefix,
	} {
		var answer error
		g.Submit(Delivery{Device: g.device, Via: devices.ViaHTTP, From: netip.MustParseAddrPort(from), Payload: []byte(`{"pm25":1}`)}, func(err error) { answer = err })
		g.journal.sync(-1, nil)
		if want == "" && answer != nil || want != "" && !errors.Is(answer, &devices.Refusal{Reason: want}) {
			t.Errorf("from %s: got %v, want %q", from, answer, want)
		}
		if r := g.welcome(g.device, devices.ViaMQTT, netip.MustParseAddrPort(from)); (r != nil) != (want != "") {
			t.Errorf("a session from %s: got %v", from, r)
		}
	}
}

func BenchmarkCharge(b *testing.B) {
	bounds := Bounds{}
	if err := bounds.defaults(); err != nil {
		b.Fatal(err)
	}
	l := newLedger(bounds)
	b.RunParallel(func(pb *testing.PB) {
		d := &devices.Device{ID: devices.ID(fmt.Sprint(time.Now().UnixNano()))}
		from, now := addr("2001:db8::1"), noon
		for pb.Next() {
			now = now.Add(time.Millisecond)
			l.charge(d, minutely, from, 100, now, true)
		}
	})
}
