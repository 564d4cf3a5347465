package ingest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// What a collector sent and was refused lies beside the reason.
func TestLineRefusalsKeepWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		lines  string
		status int
		reason devices.Reason
	}{
		"not line protocol":          {"air pm25=", http.StatusBadRequest, devices.ReasonMalformed},
		"another's device":           {"air,device=aq-1 pm25=1", http.StatusForbidden, devices.ReasonForeignDevice},
		"nothing the device reports": {"air pm99=1", http.StatusUnprocessableEntity, devices.ReasonUnknownQuantity},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGate(t)
			stored := &promptJournal{taken: make(chan journal.Entry, 8)}
			g.opt.Journal = stored
			token, err := g.opt.Register.Add(t.Context(), devices.Device{ID: "gw-1", Profile: "air-quality", State: devices.Active})
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			for pattern, h := range NewHTTP(g.Gate, nil).Routes() {
				mux.Handle(pattern, h)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v2/write", strings.NewReader(c.lines))
			r.Header.Set("Authorization", "Token gw-1:"+token)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("answer %d %s, want %d", w.Code, w.Body, c.status)
			}
			e := <-stored.taken
			if e.Refusal == nil || e.Refusal.Reason != c.reason || e.Refusal.Device != "gw-1" || string(e.Refusal.Payload) != c.lines {
				t.Errorf("stored %+v, want %s with %q", e.Refusal, c.reason, c.lines)
			}
		})
	}
}
