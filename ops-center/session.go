package opscenter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
)

// sessionView is who the caller is.
type sessionView struct {
	access.Principal
	Permissions []access.Permission `json:"permissions"`
	Assurance   string              `json:"assurance"`
	MustChange  bool                `json:"mustChange,omitempty"`
	Language    string              `json:"language,omitempty"`
}

// sessionRoutes exchange a token, or a name and password, for a cookie, so that
// a page need not keep them.
func (a *api) sessionRoutes() {
	ok := map[string]*huma.Response{
		"200": {Description: "Who you are; the cookie is set"},
		"401": {Description: "Wrong; reason is bad_login, bad_token, or code_needed when the account takes a code too"},
		"429": {Description: "Too many failures; Retry-After tells when to try again"},
	}
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	a.raw(access.Self, huma.Operation{
		OperationID: "open-session", Method: http.MethodPost, Path: "/v1/session", Tags: []string{"session"},
		Summary:     "Exchange a token, or a name and password, for a session cookie",
		Description: `Either {"token"} or {"name", "password", "code"}; the code is of an app or a recovery code, for accounts that take one.`,
		Responses:   ok,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
			Type: "object", Properties: map[string]*huma.Schema{
				"token": text("A token of the configuration, or an API token"), "name": text("Id of an account"), "password": text("Its password"), "code": text("Its one-time code"),
			},
		}}}},
	}, http.HandlerFunc(a.openSession))
	a.raw(access.Self, huma.Operation{
		OperationID: "close-session", Method: http.MethodDelete, Path: "/v1/session", Tags: []string{"session"},
		Summary: "End the session of the cookie",
		Responses: map[string]*huma.Response{
			"200": {Description: "Ended here; next is where the browser ends it at the identity provider"}, "204": {Description: "Ended"},
		},
	}, http.HandlerFunc(a.closeSession))
	a.raw(access.View, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: "/v1/session", Tags: []string{"session"},
		Summary: "Who you are", Responses: map[string]*huma.Response{"200": {Description: "Name, role and what it may do"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, a.sessionView(r)) }))
	a.raw(access.Public, huma.Operation{
		OperationID: "login-ways", Method: http.MethodGet, Path: "/v1/session/ways", Tags: []string{"session"},
		Summary: "By what one can log in here", Responses: map[string]*huma.Response{"200": {Description: "oidc: there is an identity provider"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, struct {
			OIDC bool `json:"oidc"`
		}{a.Access.HasOIDC()})
	}))
	a.raw(access.Self, huma.Operation{
		OperationID: "oidc-login", Method: http.MethodGet, Path: access.LoginPath, Tags: []string{"session"},
		Summary:    "Log in by the identity provider",
		Parameters: []*huma.Param{{Name: "page", In: "query", Description: "Where to go afterwards, a path of this host", Schema: text("")}},
		Responses:  map[string]*huma.Response{"302": {Description: "To the provider, or back to the page with #login=REASON"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		if err := a.Access.BeginOIDC(w, r, page); err != nil {
			a.backToLogin(w, r, "/", err)
		}
	}))
	a.raw(access.Self, huma.Operation{
		OperationID: "oidc-callback", Method: http.MethodGet, Path: access.CallbackPath, Tags: []string{"session"},
		Summary:   "Where the identity provider sends the browser back to",
		Responses: map[string]*huma.Response{"302": {Description: "To the page that was asked for; with #login=REASON when the log-in did not hold"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := a.Access.EndOIDC(w, r)
		if err != nil {
			a.backToLogin(w, r, page, err)
			return
		}
		http.Redirect(w, r, page, http.StatusFound)
	}))
	a.raw(access.Self, huma.Operation{
		OperationID: "oidc-backchannel", Method: http.MethodPost, Path: "/v1/oidc/backchannel", Tags: []string{"session"},
		Summary:   "Where the identity provider ends sessions (Back-Channel Logout 1.0)",
		Responses: map[string]*huma.Response{"200": {Description: "Ended"}, "400": {Description: "Not a log-out token of the provider"}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: &huma.Schema{
			Type: "object", Required: []string{"logout_token"}, Properties: map[string]*huma.Schema{"logout_token": text("A signed log-out token")},
		}}}},
	}, http.HandlerFunc(a.backChannel))
}

func (a *api) sessionView(r *http.Request) sessionView {
	who, _ := access.From(r.Context())
	v := sessionView{Principal: who, Permissions: who.Permissions(), Assurance: access.Assurance(r.Context())}
	if acc, ok := a.Access.Account(who.ID); ok {
		v.MustChange, v.Language = acc.MustChange, acc.Language
	}
	return v
}

// loginProblem is a refusal to log in, with what a page has to know.
type loginProblem struct {
	huma.ErrorModel
	Reason string `json:"reason"`
	Retry  int    `json:"retryAfter,omitempty"`
}

func (a *api) openSession(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token    string  `json:"token"`
		Name     *string `json:"name"`
		Password string  `json:"password"`
		Code     string  `json:"code"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); errors.Is(err, os.ErrDeadlineExceeded) {
		problem(w, http.StatusRequestTimeout, "", "the request did not arrive in time")
		return
	} else if err != nil || body.Name != nil && body.Token != "" {
		problem(w, http.StatusBadRequest, "", `want {"token": "…"} or {"name": "…", "password": "…"}`)
		return
	}
	var who access.Principal
	var err error
	if body.Name != nil {
		who, err = a.Access.LogInPerson(w, r, *body.Name, body.Password, body.Code)
	} else {
		who, err = a.Access.LogIn(w, r, body.Token)
	}
	var refusal *access.Refusal
	switch {
	case errors.As(err, &refusal):
		p := loginProblem{huma.ErrorModel{Title: http.StatusText(refusal.Status), Status: refusal.Status, Detail: refusal.Detail}, refusal.Reason, 0}
		if refusal.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="vonglau"`)
		}
		if refusal.Retry > 0 {
			p.Retry = int(refusal.Retry.Seconds()) + 1
			w.Header().Set("Retry-After", fmt.Sprint(p.Retry))
		}
		answer(w, refusal.Status, p)
	case err != nil:
		a.Log.Error("session not opened", "err", err)
		problem(w, http.StatusServiceUnavailable, "session not opened", "the server could not keep the session; its log has the cause")
	default:
		a.actor(r.Context(), who)
		v := sessionView{Principal: who, Permissions: who.Permissions()}
		if acc, ok := a.Access.Account(who.ID); ok {
			v.MustChange, v.Language = acc.MustChange, acc.Language
		}
		answer(w, http.StatusOK, v)
	}
}

func (a *api) closeSession(w http.ResponseWriter, r *http.Request) {
	who, next, err := a.Access.LogOut(w, r)
	if who.Role != "" {
		a.actor(r.Context(), who)
	}
	if err != nil {
		var refusal *access.Refusal
		if errors.As(err, &refusal) {
			a.deny(w, r, refusal)
			return
		}
		a.Log.Error("session not ended on disk", "err", err)
		problem(w, http.StatusServiceUnavailable, "session ended until the next start only", "the server could not keep that the session has ended; its log has the cause")
		return
	}
	if next != "" {
		answer(w, http.StatusOK, struct {
			Next string `json:"next"`
		}{next})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// backToLogin sends a browser to the page that logs in, with what went wrong in
// the fragment, which the page takes out of the address.
func (a *api) backToLogin(w http.ResponseWriter, r *http.Request, page string, err error) {
	reason := "failed"
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		reason = refusal.Reason
	} else {
		a.Log.Error("no log-in by the identity provider", "err", err)
	}
	page, _, _ = strings.Cut(page, "#")
	http.Redirect(w, r, page+"#login="+url.QueryEscape(reason), http.StatusFound)
}

func (a *api) backChannel(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 32<<10)
	if err := r.ParseForm(); err != nil {
		problem(w, http.StatusBadRequest, "", "the form cannot be read")
		return
	}
	err := a.Access.BackChannelLogout(r.Context(), r.PostForm.Get("logout_token"))
	var refusal *access.Refusal
	switch {
	case errors.As(err, &refusal):
		a.deny(w, r, refusal)
	case err != nil:
		problem(w, http.StatusInternalServerError, "", "the server's log has the cause")
	default:
		w.WriteHeader(http.StatusOK)
	}
}
