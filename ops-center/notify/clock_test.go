package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/outbound"
)

// pipes is a network without sockets, so that the clock of a synctest bubble can
// go on while a request waits.
type pipes struct {
	mu    sync.Mutex
	conns chan net.Conn
	down  bool
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6loopback, Port: 80} }

func (p *pipes) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// inTime runs a test whose hours pass in no time, with one receiver.
func inTime(t *testing.T, change func(*Options), test func(h *house, p *pipes, r *receiver)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn)}
		r := &receiver{url: "http://[::1]/hook"}
		server := &http.Server{Handler: r}
		go func() { _ = server.Serve(p) }()
		client, err := outbound.New(outbound.Options{Allow: loopback, Timeout: 2 * time.Second, Secrets: []string{HeaderSignature}, Dial: p.dial})
		if err != nil {
			t.Fatal(err)
		}
		h := &house{t: t, store: memoryStore{values: map[string][]byte{}}}
		h.opt = Options{Sealer: openly{}, Outbound: client, Calendar: time.FixedZone("+07", 7*3600)}
		if change != nil {
			change(&h.opt)
		}
		h.open()
		test(h, p, r)
		if err := h.n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		client.Close()
		close(p.conns)
		_ = server.Close()
	})
}

// TestHourDown: a receiver that is down for an hour gets everything afterwards,
// once and in order, soon after it is back, and was not hammered.
func TestHourDown(t *testing.T) {
	for _, refused := range []bool{true, false} { // connections refused, or 502
		inTime(t, nil, func(h *house, p *pipes, r *receiver) {
			s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
			want := []string{h.alarm(AlarmRaised, nil)}
			time.Sleep(time.Second)
			if got := len(r.got()); got != 1 {
				t.Fatalf("%d before", got)
			}
			p.set(refused)
			r.down.Store(!refused)
			h.opt.Outbound.Close() // no connection is left open
			for range 360 {        // one alarm in ten seconds
				want = append(want, h.alarm(AlarmRaised, nil))
				time.Sleep(10 * time.Second)
			}
			list, _, err := h.n.Deliveries(s.ID)
			if err != nil || list[0].State != Retrying || list[0].Next == nil || h.n.Waiting(s.ID) != 359 && h.n.Waiting(s.ID) != 360 {
				t.Errorf("%d wait, %+v %v", h.n.Waiting(s.ID), list[0], err)
			}
			// 1, 2, 4 … 256 s, then every five minutes, each up to a quarter less.
			if n := list[0].Attempts; n < 18 || n > 26 {
				t.Errorf("%d attempts in an hour", n)
			}
			back := time.Now()
			p.set(false)
			r.down.Store(false)
			for len(r.alarms()) < len(want) && time.Since(back) < time.Hour {
				time.Sleep(time.Second)
			}
			if took := time.Since(back); took > 5*time.Minute+2*time.Second {
				t.Errorf("all was there %s after the receiver", took)
			}
			time.Sleep(time.Hour)
			if got := r.alarms(); !slices.Equal(got, want) {
				t.Errorf("%d arrived, want %d, once and in order", len(got), len(want))
			}
		})
	}
}

// TestDayDown: the back-off doubles from a second to five minutes, and after 24
// hours a delivery is a dead letter; those that were due meanwhile are given up
// at their own time without being asked for each.
func TestDayDown(t *testing.T) {
	inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
		s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
		r.down.Store(true)
		started := time.Now()
		first := h.alarm(AlarmRaised, nil)
		var times []time.Duration
		tries := func() int { r.mu.Lock(); defer r.mu.Unlock(); return r.tries }
		for time.Since(started) < 23*time.Hour {
			before := tries()
			time.Sleep(50 * time.Millisecond)
			if tries() != before {
				times = append(times, time.Since(started))
			}
			if len(times) >= 14 {
				break
			}
		}
		for i, d := 1, time.Second; i < len(times); i++ {
			gap, most := times[i]-times[i-1], min(d, 5*time.Minute)
			if gap < most*3/4-100*time.Millisecond || gap > most+100*time.Millisecond {
				t.Errorf("%s between attempts %d and %d, want %s less up to a quarter", gap, i, i+1, most)
			}
			d *= 2
		}
		time.Sleep(time.Until(started.Add(12 * time.Hour)))
		second := h.alarm(AlarmRaised, nil)
		dead := func() []Receipt { _, dead, _ := h.n.Deliveries(s.ID); return dead }
		time.Sleep(time.Until(started.Add(24*time.Hour - time.Second)))
		if d := dead(); len(d) != 0 {
			t.Errorf("given up early: %+v", d)
		}
		time.Sleep(2 * time.Second)
		d := dead()
		if len(d) != 1 || d[0].At.Sub(started).Round(time.Second) != 24*time.Hour || d[0].Attempts < 280 || d[0].Attempts > 400 {
			t.Fatalf("after 24 h: %+v", d)
		}
		// The next has its own 24 h, at the pace of the receiver, not from 1 s again.
		before := tries()
		time.Sleep(time.Hour)
		if n := tries() - before; n < 12 || n > 17 {
			t.Errorf("%d attempts in the hour after", n)
		}
		time.Sleep(time.Until(started.Add(36*time.Hour + time.Second)))
		if d := dead(); len(d) != 2 || d[1].At.Sub(started).Round(time.Second) != 36*time.Hour {
			t.Errorf("after 36 h: %d dead letters", len(d))
		}
		r.down.Store(false)
		if n, err := h.n.Resend(context.Background(), s.ID, ""); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		time.Sleep(time.Second)
		if got := r.alarms(); !slices.Equal(got, []string{first, second}) || len(dead()) != 0 {
			t.Errorf("sent again: %v", got)
		}
	})
}

// TestLongOutage: of what waits behind a receiver that is dead for days each is
// given up at its own time, and none is lost.
func TestLongOutage(t *testing.T) {
	inTime(t, nil, func(h *house, p *pipes, r *receiver) {
		s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
		p.set(true)
		const n = 200
		for range n {
			h.alarm(AlarmRaised, nil)
			time.Sleep(time.Minute)
		}
		time.Sleep(30 * time.Hour)
		_, dead, _ := h.n.Deliveries(s.ID)
		if len(dead) != n {
			t.Fatalf("%d dead letters of %d", len(dead), n)
		}
		for i, d := range dead {
			if age := d.At.Sub(d.Due); age < 24*time.Hour || age > 24*time.Hour+10*time.Minute || i > 0 && d.First <= dead[i-1].First {
				t.Errorf("number %d was given up after %s", i, age)
			}
		}
	})
}

// TestRetryAfter: a receiver that asks for time gets it, up to an hour.
func TestRetryAfter(t *testing.T) {
	for asked, want := range map[string]time.Duration{"600": 10 * time.Minute, "86400": time.Hour} {
		inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
			r.retryAfter = asked
			s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
			r.down.Store(true)
			h.alarm(AlarmRaised, nil)
			time.Sleep(time.Second)
			list, _, _ := h.n.Deliveries(s.ID)
			if wait := list[0].Next.Sub(list[0].At); wait != want {
				t.Errorf("Retry-After %s: %s, want %s", asked, wait, want)
			}
		})
	}
}

// TestResendOverRestart: what somebody sends again is sent although the server
// goes down before its turn.
func TestResendOverRestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		inTime(t, func(o *Options) { o.GiveUp = 10 * time.Second }, func(h *house, _ *pipes, r *receiver) {
			s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
			r.down.Store(true)
			want := []string{h.alarm(AlarmRaised, nil), h.alarm(AlarmRaised, nil), h.alarm(AlarmRaised, nil)}
			time.Sleep(time.Minute)
			state := func() (list []State) {
				_, dead, _ := h.n.Deliveries(s.ID)
				for _, d := range dead {
					list = append(list, d.State)
				}
				return list
			}
			if got := state(); !slices.Equal(got, []State{Dead, Dead, Dead}) {
				t.Fatal(got)
			}
			h.alarm(AlarmRaised, nil) // keeps it busy until it is given up
			time.Sleep(100 * time.Millisecond)
			if n, err := h.n.Resend(context.Background(), s.ID, ""); err != nil || n != 3 {
				t.Fatal(n, err)
			}
			if n, err := h.n.Resend(context.Background(), s.ID, ""); err != nil || n != 0 {
				t.Errorf("asked twice: %d %v", n, err)
			}
			if got := state(); !slices.Equal(got, []State{Resending, Resending, Resending}) {
				t.Errorf("before the restart %v", got)
			}
			r.down.Store(false)
			h.restart(crash)
			time.Sleep(time.Minute)
			if got := r.alarms(); len(got) != 4 || !slices.Equal(got[:3], want) || len(state()) != 0 {
				t.Errorf("got %v, want %v first; %v are left", got, want, state())
			}
		})
	}
}

// TestUntilAcknowledged: who has had its receipt is not who has acknowledged the
// alarm. It goes on to the next, and to the one after, until somebody has.
func TestUntilAcknowledged(t *testing.T) {
	for _, acked := range []time.Duration{3 * time.Minute, 7 * time.Minute, 30 * time.Minute} {
		inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
			none := Filter{Rules: []string{"nothing"}}
			head := h.add(Subscription{Kind: Webhook, URL: r.url, Name: "head", Filter: none}, "")
			leader := h.add(Subscription{Kind: Webhook, URL: r.url, Name: "leader", Filter: none, Escalation: &Escalation{After: "10m", To: head.ID, Until: "acknowledged"}}, "")
			duty := h.add(Subscription{Kind: Webhook, URL: r.url, Name: "duty", Filter: Filter{Events: []string{AlarmRaised}}, Escalation: &Escalation{After: "5m", To: leader.ID, Until: "acknowledged"}}, "")
			started := time.Now()
			id := h.alarm(AlarmRaised, nil)
			time.Sleep(acked)
			h.alarm(AlarmAcknowledged, func(t *alert.Transition) { t.Alarm.ID = id })
			time.Sleep(2 * time.Hour)
			want := []string{duty.ID + " 0s"}
			if acked > 5*time.Minute {
				want = append(want, leader.ID+" 5m0s")
			}
			if acked > 15*time.Minute {
				want = append(want, head.ID+" 15m0s")
			}
			var got []string
			for _, m := range r.got() {
				got = append(got, fmt.Sprintf("%s %s", m.Subscription, m.Event.Recorded.Sub(started).Round(2*time.Second)))
			}
			if !slices.Equal(got, want) {
				t.Errorf("acknowledged after %s: got %q, want %q", acked, got, want)
			}
		})
	}
}

// TestQuietNight: what comes at night is held until the morning of the city's
// calendar and then told together; priority 1 is told at once.
func TestQuietNight(t *testing.T) {
	inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
		city := h.opt.Calendar
		now := time.Now().In(city)
		night := time.Date(now.Year(), now.Month(), now.Day()+1, 23, 0, 0, 0, city)
		h.add(Subscription{Kind: Webhook, URL: r.url, Quiet: &Quiet{"22:00", "06:00"}}, "")
		time.Sleep(time.Until(night))
		h.alarm(AlarmRaised, nil)
		time.Sleep(time.Hour)
		urgent := h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
		h.alarm(AlarmCleared, nil)
		time.Sleep(time.Until(night.Add(7*time.Hour - time.Second)))
		if got := r.alarms(); !slices.Equal(got, []string{urgent}) {
			t.Errorf("at night: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := r.got(); len(got) != 2 || got[1].Type != typeDigest || len(got[1].Events) != 2 {
			t.Errorf("in the morning: %+v", got)
		}
	})
}

// TestNoEvents: what happens to an alarm and leaves it as it is told to nobody;
// nor is what is behind the scenes.
func TestNoEvents(t *testing.T) {
	inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
		h.add(Subscription{Kind: Webhook, URL: r.url}, "")
		for _, event := range []alert.Event{alert.Hold, alert.LetGo, alert.Say, alert.Assign, alert.Accept, alert.Decline, alert.MarkFalse} {
			for _, state := range []alert.State{alert.Unacknowledged, alert.Acknowledged, alert.Returned, alert.Shelved, alert.Suppressed, alert.OutOfService} {
				h.alarm(AlarmRaised, func(t *alert.Transition) { t.Event, t.From, t.To = event, state, state })
			}
		}
		time.Sleep(time.Second)
		if got := r.alarms(); len(got) != 0 {
			t.Errorf("told of %v", got)
		}
		cases := []struct {
			event    alert.Event
			from, to alert.State
			want     string
		}{
			{alert.Raise, alert.Normal, alert.Unacknowledged, AlarmRaised},
			{alert.Raise, alert.Returned, alert.Unacknowledged, AlarmRaised},
			{alert.Raise, alert.Normal, alert.Suppressed, ""},
			{alert.Clear, alert.Suppressed, alert.Normal, ""},
			{alert.Unsuppress, alert.Suppressed, alert.Unacknowledged, AlarmRaised},
			{alert.Shelve, alert.Unacknowledged, alert.Shelved, AlarmWithdrawn},
			{alert.Unshelve, alert.Shelved, alert.Unacknowledged, AlarmRaised},
			{alert.Ack, alert.Unacknowledged, alert.Acknowledged, AlarmAcknowledged},
			{alert.Ack, alert.Returned, alert.Normal, AlarmAcknowledged},
			{alert.Clear, alert.Acknowledged, alert.Normal, AlarmCleared},
			{alert.Clear, alert.Shelved, alert.Normal, ""},
			{alert.Remove, alert.Unacknowledged, alert.OutOfService, AlarmWithdrawn},
		}
		var want []string
		for _, c := range cases {
			id := h.alarm(AlarmRaised, func(t *alert.Transition) { t.Event, t.From, t.To = c.event, c.from, c.to })
			if c.want != "" {
				want = append(want, id+" "+c.want)
			}
		}
		time.Sleep(time.Second)
		var got []string
		for _, m := range r.got() {
			got = append(got, m.Event.Alarm.ID+" "+m.Event.Kind)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}
