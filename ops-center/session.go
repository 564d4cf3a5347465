package opscenter

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
)

// sessionRoutes exchange a token for a cookie, so that a page need not keep it.
func (a *api) sessionRoutes() {
	ok := map[string]*huma.Response{"200": {Description: "Who you are; the cookie is set"}}
	a.raw(access.Self, huma.Operation{
		OperationID: "open-session", Method: http.MethodPost, Path: "/v1/session", Tags: []string{"session"},
		Summary: "Exchange a token for a session cookie", Responses: ok,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
			Type: "object", Required: []string{"token"}, Properties: map[string]*huma.Schema{"token": {Type: "string"}},
		}}}},
	}, http.HandlerFunc(a.openSession))
	a.raw(access.Self, huma.Operation{
		OperationID: "close-session", Method: http.MethodDelete, Path: "/v1/session", Tags: []string{"session"},
		Summary: "End the session of the cookie", Responses: map[string]*huma.Response{"204": {Description: "Ended"}},
	}, http.HandlerFunc(a.closeSession))
	a.raw(access.View, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: "/v1/session", Tags: []string{"session"},
		Summary: "Who you are", Responses: map[string]*huma.Response{"200": {Description: "Name, role and what it may do"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := access.From(r.Context())
		answer(w, http.StatusOK, struct {
			access.Principal
			Permissions []access.Permission `json:"permissions"`
		}{who, who.Role.Permissions()})
	}))
}

func (a *api) openSession(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); errors.Is(err, os.ErrDeadlineExceeded) {
		problem(w, http.StatusRequestTimeout, "", "the request did not arrive in time")
		return
	} else if err != nil {
		problem(w, http.StatusBadRequest, "", `want {"token": "…"}`)
		return
	}
	who, err := a.Access.LogIn(w, r, body.Token)
	var refusal *access.Refusal
	switch {
	case errors.As(err, &refusal):
		a.deny(w, r, refusal)
	case err != nil:
		a.Log.Error("session not opened", "err", err)
		problem(w, http.StatusServiceUnavailable, "session not opened", "the server could not keep the session; its log has the cause")
	default:
		answer(w, http.StatusOK, who)
	}
}

func (a *api) closeSession(w http.ResponseWriter, r *http.Request) {
	if err := a.Access.LogOut(w, r); err != nil {
		var refusal *access.Refusal
		if errors.As(err, &refusal) {
			a.deny(w, r, refusal)
			return
		}
		a.Log.Error("session not ended on disk", "err", err)
		problem(w, http.StatusServiceUnavailable, "session ended until the next start only", "the server could not keep that the session has ended; its log has the cause")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
