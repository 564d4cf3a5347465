package live

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// One change among 10,000 open alarms is on 200 screens, each change before the
// next is made. How soon is logged and not judged: the screens are all in this
// process and share its cores with whatever else the machine does.
func TestAlarmReachesEveryScreen(t *testing.T) {
	const open, screens, changes = 10_000, 200, 20
	h := newHub(t, func(o *Options) { o.Tick, o.MaxAlarms = 100*time.Millisecond, 100 })
	for i := range open {
		h.ApplyAlarm(alarm(i, "unacknowledged"))
	}
	url := served(t, h, nil)
	arrived := make(chan time.Time, screens)
	var wanted sync.Map
	var ready sync.WaitGroup
	ready.Add(screens)
	for range screens {
		c, _, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			listed := false
			for {
				_, b, err := c.ReadMessage()
				if err != nil {
					return
				}
				text := string(b)
				if !listed && strings.Contains(text, `"reset":true`) {
					listed = true
					ready.Done()
				}
				if mark, ok := wanted.Load("mark"); ok && listed && strings.Contains(text, mark.(string)) {
					arrived <- time.Now()
				}
			}
		}()
	}
	ready.Wait()
	var times []time.Duration
	for n := range changes {
		time.Sleep(120 * time.Millisecond)
		mark := fmt.Sprintf(`"alarm-%d","state":"acknowledged"`, n)
		wanted.Store("mark", mark)
		started := time.Now()
		h.ApplyAlarm(alarm(n, "acknowledged"))
		for range screens {
			select {
			case at := <-arrived:
				times = append(times, at.Sub(started))
			case <-time.After(10 * time.Second):
				t.Fatalf("change %d did not reach every screen", n)
			}
		}
	}
	slices.Sort(times)
	p50, p99 := times[len(times)/2], times[len(times)*99/100]
	t.Logf("%d changes to %d screens: p50 %v, p99 %v, worst %v", changes, screens, p50, p99, times[len(times)-1])
}
