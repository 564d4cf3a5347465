package live

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// TestViewersSeeTheirOwn: an officer's screen is told the alarms of the
// officer's department, in the list, in the changes, merged, and after a
// subscription of its own, while another's screen beside it is told all.
func TestViewersSeeTheirOwn(t *testing.T) {
	h := newHub(t, nil)
	city(h, 1)
	mine, other := alarm(0, "unacknowledged"), alarm(1, "unacknowledged")
	mine.Department, other.Department = "drainage", "lighting"
	h.ApplyAlarm(mine)
	h.ApplyAlarm(other)
	url := served(t, h, func(r *http.Request) (Viewer, func() bool, bool, error) {
		v := Viewer{}
		if r.Header.Get("Authorization") == "Bearer officer" {
			v.Sees, v.Bound = func(d string, _ []string) bool { return d == "drainage" }, "drainage"
		}
		return v, func() bool { return true }, true, nil
	})
	officer := open(t, url, http.Header{"Authorization": {"Bearer officer"}})
	all := open(t, url, http.Header{"Authorization": {"Bearer operator"}})
	all.until("both alarms", func() bool { return len(all.alarms) == 2 })
	officer.until("a list", func() bool { return len(officer.alarms) > 0 })
	if _, ok := officer.alarms[other.ID]; ok {
		t.Error("the list holds another department's alarm")
	}
	say := func(m map[string]any) {
		t.Helper()
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := officer.WriteMessage(1, b); err != nil {
			t.Fatal(err)
		}
	}
	say(map[string]any{"type": "subscribe", "alarms": map[string]any{"maxPriority": 4}})
	say(map[string]any{"type": "ping", "id": 1})
	officer.until("the answer", func() bool { return officer.pongs == 1 })
	for range 20 { // some of these are merged
		h.ApplyAlarm(other)
		time.Sleep(2 * time.Millisecond)
	}
	mine.JSON = alarm(0, "normal").JSON
	h.ApplyAlarm(mine)
	officer.until("its own change", func() bool { return officer.alarms[mine.ID] == "normal" })
	if _, ok := officer.alarms[other.ID]; ok {
		t.Error("a change of another department's alarm was sent")
	}
	all.until("everything", func() bool { return all.alarms[mine.ID] == "normal" })
}
