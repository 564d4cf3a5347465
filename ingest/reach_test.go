package ingest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"vonglau/devices"
)

func TestReach(t *testing.T) {
	r := NewReach(ReachOptions{
		Every: time.Second, PerSecond: 1000,
		Heard: func(each func(devices.ID, netip.Addr, time.Time)) {
			each("near", netip.MustParseAddr("::1"), time.Now())
			each("old", netip.MustParseAddr("::1"), time.Now().Add(-2*time.Hour))
			each("v4", netip.MustParseAddr("192.0.2.1"), time.Now())
			each("nowhere", netip.MustParseAddr("100::1"), time.Now()) // discard-only, RFC 6666
		},
	})
	if why := r.Why(); why != "" {
		t.Skipf("no round trips can be measured here (ICMPv6 needs a raw or a ping socket): %s", why)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if trip, ok := r.RoundTrip("near"); ok && !trip.At.IsZero() {
			if trip.Last <= 0 || trip.Mean <= 0 || trip.Sent == 0 {
				t.Errorf("got %+v", trip)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the loopback does not answer")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if trip, _ := r.RoundTrip("nowhere"); !trip.At.IsZero() {
		t.Errorf("an address nobody has answered: %+v", trip)
	}
	for _, id := range []devices.ID{"old", "v4"} {
		if _, ok := r.RoundTrip(id); ok {
			t.Errorf("%s was asked", id)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An answer counts for the node that was asked, once, and not from elsewhere.
func TestReachTakesOnlyItsAnswers(t *testing.T) {
	r := NewReach(ReachOptions{})
	if r.socket != nil {
		defer func() { _ = r.socket.Close() }()
	}
	now := time.Now()
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	r.nodes["a"] = &devices.RoundTrip{Sent: 2}
	r.pending[7] = echoRequest{"a", a, now.Add(-20 * time.Millisecond)}
	r.pending[8] = echoRequest{"a", a, now.Add(-time.Minute)}
	r.answered(7, b, now)
	if trip, _ := r.RoundTrip("a"); trip.Last != 0 {
		t.Errorf("an answer of somebody else counts: %+v", trip)
	}
	r.answered(7, a, now)
	r.answered(7, a, now.Add(time.Second))
	r.mu.Lock()
	r.expire(now)
	r.mu.Unlock()
	trip, _ := r.RoundTrip("a")
	if trip.Last != 20*time.Millisecond || trip.Lost != 1 || len(r.pending) != 0 {
		t.Errorf("got %+v, %d pending", trip, len(r.pending))
	}
}
