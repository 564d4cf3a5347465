package notify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"vonglau/ops-center/alert"
)

// TestDigestAfterAKill: a digest that the receiver has, and whose receipt a kill
// took, comes again as itself, wherever the places on disk were and whatever
// came into the feed meanwhile.
func TestDigestAfterAKill(t *testing.T) {
	for saved := range 6 { // how many events the places on disk know to be held
		t.Run(fmt.Sprint(saved), func(t *testing.T) {
			inTime(t, nil, func(h *house, _ *pipes, r *receiver) {
				h.add(Subscription{Kind: Webhook, URL: r.url, Digest: "hour"}, "")
				var disk map[string][]byte
				for i := range 6 {
					if i == saved {
						if err := h.n.save(context.Background()); err != nil {
							t.Fatal(err)
						}
						disk = maps.Clone(h.store.values)
					}
					if i < 5 {
						h.alarm(AlarmRaised, nil)
						time.Sleep(time.Second)
					}
				}
				early := time.Now().UTC()
				time.Sleep(time.Until(early.Truncate(time.Hour).Add(time.Hour + time.Minute)))
				first := r.got()
				if len(first) != 1 || len(first[0].Events) != 5 {
					t.Fatalf("got %d deliveries, want one of 5 events", len(first))
				}
				if err := h.n.Stop(context.Background()); err != nil {
					t.Fatal(err)
				}
				h.store.values, h.receipts.records = disk, nil
				// One that was recorded in time and had not been read.
				late := h.alarm(AlarmRaised, func(t *alert.Transition) { t.At, t.Recorded = early, early })
				h.open()
				time.Sleep(time.Minute)
				alone := 0
				for _, m := range r.got()[1:] {
					switch {
					case m.Type == typeEvent && m.Event.Alarm.ID == late:
						alone++
					case m.ID != first[0].ID || len(m.Events) != 5:
						t.Errorf("again as %s %s of %d events, want %s of 5", m.Type, m.ID, len(m.events()), first[0].ID)
					}
				}
				if got := len(r.got()); alone != 1 || got != 3 {
					t.Errorf("%d deliveries, and the late event %d times; want the digest twice and the event once", got, alone)
				}
			})
		})
	}
}

// TestReceiptAfterTheEnd: a connection that outlives Stop may still acknowledge.
func TestReceiptAfterTheEnd(t *testing.T) {
	h := newHouse(t, nil)
	s := h.add(Subscription{Kind: Stream}, "")
	tail, err := h.n.Session(s.ID, "desk", true)
	if err != nil {
		t.Fatal(err)
	}
	h.alarm(AlarmRaised, nil)
	eventually(t, "the event", func() bool { return h.n.End() == 1 })
	var group sync.WaitGroup
	begun := make(chan struct{})
	group.Go(func() { // while it stops, and after
		for i := range 200 {
			tail.Ack(1)
			if i == 20 {
				close(begun)
			}
		}
	})
	<-begun
	if err := h.n.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	before := testutil.ToFloat64(h.n.metrics.failures)
	tail.Ack(1)
	if got := testutil.ToFloat64(h.n.metrics.failures); got != before+1 {
		t.Errorf("%g receipts not taken, want %g", got, before+1)
	}
}

// TestTooMuchToWatch: what cannot be watched for a receipt is counted, and said
// once.
func TestTooMuchToWatch(t *testing.T) {
	var said bytes.Buffer
	h := newHouse(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	duty := newReceiver(t)
	duty.down.Store(true)
	up := h.add(Subscription{Kind: Webhook, URL: duty.url, Filter: Filter{Rules: []string{"nothing"}}}, "")
	h.add(Subscription{Kind: Webhook, URL: duty.url, Escalation: &Escalation{After: "1h", To: up.ID}}, "")
	x := h.n.escalate
	x.mu.Lock()
	x.most = 2
	x.mu.Unlock()
	for range 5 {
		h.alarm(AlarmRaised, nil)
	}
	eventually(t, "the feed", func() bool { return h.n.End() == 5 })
	h.watched()
	if got := testutil.ToFloat64(h.n.metrics.unwatched); got != 3 {
		t.Errorf("%g counted, want 3", got)
	}
	if err := h.n.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(said.String(), "too many receipts are waited for"); n != 1 {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
}
