package notify

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

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
