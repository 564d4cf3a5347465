package opscenter

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/audit"
	"vonglau/ops-center/live"
)

// admit tells the hub who watches.
func (a *api) admit(r *http.Request) (live.Viewer, func() bool, bool, error) {
	who, valid, bearer, err := a.Access.Admit(r)
	if err != nil {
		a.notAdmitted(r, err)
	}
	v := live.Viewer{ID: who.ID, Name: who.Name, Role: string(who.Role), Screen: who.Screen}
	if who.Role == access.Officer {
		v.Sees, v.Bound = who.Sees, who.Department+"|"+strings.Join(who.Wards, ",")
	}
	if !mayKnow(who) {
		v.Shown = discreetLive
	}
	return v, valid, bearer, err
}

// notAdmitted puts on record that somebody was refused a socket. It is written at
// once: the request is answered by an upgrade, because a browser shows a page
// the close code and not the status.
func (a *api) notAdmitted(r *http.Request, err error) {
	if a.Record == nil {
		return
	}
	e := audit.Entry{
		Who: audit.Who{Kind: audit.Stranger}, From: clientAddress(r), Act: a.operations[r.Pattern], Object: r.URL.Path,
		Outcome: audit.Refused, Status: http.StatusForbidden, Reason: "not_authorised",
	}
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		e.Status, e.Reason = refusal.Status, refusal.Reason
	}
	a.Record.Note(e)
}

// liveRoutes are the socket and what its indices mean. The socket decides for
// itself who may open it, because a browser is told by a close code, not by a
// status.
func (a *api) liveRoutes() {
	a.raw(access.Self, huma.Operation{
		OperationID: "live", Method: http.MethodGet, Path: "/v1/live", Tags: []string{"live"},
		Summary:     "The live socket",
		Description: "WebSocket, subprotocol vonglau.wall.v1. Needs a token or a session and permission to view.",
		Responses:   map[string]*huma.Response{"101": {Description: "Switching protocols"}, "403": {Description: "Foreign origin"}, "426": {Description: "Not a WebSocket"}},
	}, a.Hub.Handler(a.admit))
	a.raw(access.View, huma.Operation{
		OperationID: "live-dictionary", Method: http.MethodGet, Path: "/v1/live/dictionary", Tags: []string{"live"},
		Summary:   "What the indices in live frames mean",
		Responses: map[string]*huma.Response{"200": {Description: "The dictionary, in columns"}, "304": {Description: "As before"}},
	}, http.HandlerFunc(a.Hub.ServeDictionary))
}
