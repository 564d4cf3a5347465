package opscenter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/audit"
)

// signal tells the security stream, where there is one.
func (a *api) signal(s audit.Signal) {
	if a.Security != nil {
		a.Security.Signal(s)
	}
}

// refused notes what access did not let in. Wrong credentials and foreign pages
// access tells of by itself.
func (a *api) refused(r *http.Request, refusal *access.Refusal) {
	if t := trailOf(r.Context()); t != nil {
		t.mu.Lock()
		t.refusal = refusal
		t.mu.Unlock()
	}
	if refusal.Who.Name != "" {
		a.actor(r.Context(), refusal.Who) // known, although it may not do this
	}
	if refusal.Reason == "forbidden" {
		from := clientAddress(r)
		a.signal(audit.Signal{Kind: audit.PermissionDenied, Key: audit.Site(from), From: from, Detail: r.Method + " " + r.URL.Path})
	}
}

type securityInput struct {
	Kind     string `query:"kind" maxLength:"64"`
	Severity string `query:"severity" enum:"notice,warning,alert"`
	Key      string `query:"key" maxLength:"200" doc:"The device, account or /64 it is counted by"`
	From     string `query:"from" maxLength:"64" doc:"What went on at this time or later"`
	Below    uint64 `query:"below" doc:"Events with smaller numbers: the next page"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type securityOutput struct {
	Body struct {
		Events []audit.SecurityEvent `json:"events" doc:"The newest first"`
		Below  uint64                `json:"below,omitempty"`
	}
}

func (a *api) securityRoutes() {
	route(a, access.ViewSecurity, huma.Operation{
		OperationID: "list-security-events", Method: http.MethodGet, Path: "/v1/security/events", Tags: []string{"security"},
		Summary: "What may be an attack, the newest first",
	}, a.listSecurity)
	a.raw(access.ViewSecurity, huma.Operation{
		OperationID: "follow-security-events", Method: http.MethodGet, Path: "/v1/security/stream", Tags: []string{"security"},
		Summary:     "The same as it happens, as server-sent events",
		Description: "The id of each is its number; a client that comes back with Last-Event-ID gets what it missed, up to 1,000.",
		Responses:   map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {}}}},
	}, http.HandlerFunc(a.followSecurity))
}

func (a *api) listSecurity(ctx context.Context, in *securityInput) (*securityOutput, error) {
	if a.Security == nil {
		return nil, absent("the security stream")
	}
	q := audit.SecurityQuery{Kind: audit.SignalKind(in.Kind), Severity: audit.Severity(in.Severity), Key: in.Key, Below: in.Below, Limit: in.Limit}
	if in.From != "" {
		at, err := parseTime(in.From, a.now(), a.Calendar)
		if err != nil {
			return nil, badParameter("from", in.From, err)
		}
		q.After = at
	}
	if in.Kind != "" && !q.Kind.Known() {
		return nil, badParameter("kind", in.Kind, fmt.Errorf("there is no such kind of event"))
	}
	list, below, err := a.Security.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &securityOutput{}
	if out.Body.Events = list; list == nil {
		out.Body.Events = []audit.SecurityEvent{}
	}
	out.Body.Below = below
	return out, nil
}

// streamLife ends a stream, so that whoever may see it no more is out: the
// client comes back by itself and is asked again who it is.
const (
	streamLife = 30 * time.Second
	streamBeat = 10 * time.Second
)

func (a *api) followSecurity(w http.ResponseWriter, r *http.Request) {
	if a.Security == nil {
		problem(w, http.StatusNotImplemented, "", "the security stream is not part of this server")
		return
	}
	events, stop, ok := a.Security.Listen()
	if !ok {
		w.Header().Set("Retry-After", "60")
		problem(w, http.StatusServiceUnavailable, "", "too many listen to the security stream")
		return
	}
	defer stop()
	// The stream ends with what opened it, not at its next opening only.
	_, valid, _, err := a.Access.Admit(r)
	if err != nil {
		problem(w, http.StatusUnauthorized, "", "the log-in has ended")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(streamLife + streamBeat))
	last, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	send := func(e audit.SecurityEvent) bool {
		if e.N <= last {
			return true
		}
		last = e.N
		raw, err := json.Marshal(e)
		if err != nil {
			return false
		}
		_, err = fmt.Fprintf(w, "id: %d\nevent: security\ndata: %s\n\n", e.N, raw)
		return err == nil && control.Flush() == nil
	}
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil || control.Flush() != nil {
		return
	}
	if last > 0 {
		missed, _, err := a.Security.Find(r.Context(), audit.SecurityQuery{Limit: 1000})
		if err != nil {
			return
		}
		for i := len(missed) - 1; i >= 0; i-- {
			if !send(missed[i]) {
				return
			}
		}
	}
	beat, end := time.NewTicker(streamBeat), time.NewTimer(streamLife)
	defer beat.Stop()
	defer end.Stop()
	for {
		select {
		case e := <-events:
			if !send(e) {
				return
			}
		case <-beat.C:
			if !valid() {
				return
			}
			if _, err := fmt.Fprint(w, ":\n\n"); err != nil || control.Flush() != nil {
				return
			}
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
