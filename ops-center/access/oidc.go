package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/text/unicode/norm"
)

// OIDC is an identity provider that people log in by: OpenID Connect Core,
// authorization code with PKCE (RFC 7636). The zero value of a field is its
// default.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string // empty for a public client
	// Redirect is our callback as the provider has it on file,
	// https://wall.example/v1/oidc/callback.
	Redirect string
	// Scopes besides openid; profile, email and offline_access when nil.
	Scopes []string
	// The claims that hold the groups, the department and the name to log in
	// by: groups, department and preferred_username.
	Groups, Department, User string
	// Map gives the role of the first group that a person is in. Somebody in
	// none is not let in.
	Map []GroupRole
	// Recheck is how often the provider is asked whether a session in use still
	// holds; 30 s. Grace is how long one lives on while the provider does not
	// answer; an hour.
	Recheck, Grace time.Duration
	// Client speaks to the provider, with the CAs it is believed by.
	Client *http.Client
}

// GroupRole gives the members of a group a role and, where the provider names
// none, a department.
type GroupRole struct {
	Group      string
	Role       Role
	Department string
	Wards      []string
}

// Check says what cannot work.
func (o *OIDC) Check() error {
	for name, v := range map[string]string{"issuer": o.Issuer, "redirect": o.Redirect} {
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("oidc.%s: %q: write an address, https://login.example", name, v)
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("oidc.%s: %q: passwords and tokens pass here; only a loopback address goes without https", name, v)
		}
	}
	if !strings.HasSuffix(o.Redirect, CallbackPath) {
		return fmt.Errorf("oidc.redirect: %q: the callback is at %s", o.Redirect, CallbackPath)
	}
	if o.ClientID == "" {
		return errors.New("oidc.client_id: the provider knows us by one")
	}
	if len(o.Map) == 0 {
		return errors.New("oidc.roles: map a group to a role, or nobody is let in")
	}
	for _, m := range o.Map {
		if m.Group == "" || !m.Role.Known() || m.Role == Display || m.Role == DeviceRole {
			return fmt.Errorf("oidc.roles: group %q has role %q: a person is one of %s", m.Group, m.Role, roleNames(Display, DeviceRole))
		}
	}
	if o.Recheck < 0 || o.Recheck > 0 && o.Recheck < time.Second || o.Grace < 0 {
		return fmt.Errorf("oidc.recheck %v and oidc.grace %v: a second or more", o.Recheck, o.Grace)
	}
	return nil
}

// Addresses of the log-in by the provider.
const (
	LoginPath    = "/v1/oidc/login"
	CallbackPath = "/v1/oidc/callback"
	flowCookie   = "vonglau_oidc"
	flowLasts    = 10 * time.Minute
	discoverWait = 10 * time.Second // after a failed discovery
)

// provider is the identity provider. It is discovered when it is first needed:
// while it is down local accounts go on, and it is found when it is back.
type provider struct {
	opt OIDC

	mu       sync.Mutex
	found    *discovered
	failed   error
	failedAt time.Time
	used     map[string]time.Time // jti of log-out tokens, until they expire
}

// discovered is what the provider says of itself.
type discovered struct {
	*oidc.Provider
	config oauth2.Config
	more   struct {
		EndSession string `json:"end_session_endpoint"`
		IssParam   bool   `json:"authorization_response_iss_parameter_supported"`
		UserInfo   string `json:"userinfo_endpoint"`
	}
}

// providerPart is what a session by the provider keeps. Access.mu guards it.
type providerPart struct {
	subject string
	sid     string
	idToken string
	access  string
	refresh string
	asked   time.Time // when the provider was asked last, or tried to be
	good    time.Time // when it last said yes
}

func newProvider(o OIDC) (*provider, error) {
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email", oidc.ScopeOfflineAccess}
	}
	for field, name := range map[*string]string{&o.Groups: "groups", &o.Department: "department", &o.User: "preferred_username"} {
		if *field == "" {
			*field = name
		}
	}
	if o.Recheck == 0 {
		o.Recheck = 30 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = time.Hour
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return &provider{opt: o, used: map[string]time.Time{}}, nil
}

// context carries the client that go-oidc and oauth2 speak by.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.opt.Client)
}

func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.failed != nil && time.Since(p.failedAt) < discoverWait {
		return nil, p.failed
	}
	// The keys are fetched later with this context, so it must outlive the call.
	found, err := oidc.NewProvider(p.context(context.WithoutCancel(ctx)), p.opt.Issuer)
	if err != nil {
		p.failed, p.failedAt = fmt.Errorf("access: the identity provider %s: %w", p.opt.Issuer, err), time.Now()
		return nil, p.failed
	}
	d := &discovered{Provider: found}
	if err := found.Claims(&d.more); err != nil {
		return nil, fmt.Errorf("access: what the identity provider says of itself: %w", err)
	}
	d.config = oauth2.Config{
		ClientID: p.opt.ClientID, ClientSecret: p.opt.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.opt.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.opt.Scopes...),
	}
	p.found, p.failed = d, nil
	return d, nil
}

// HasOIDC tells whether people can log in by an identity provider.
func (a *Access) HasOIDC() bool { return a.oidc != nil }

// flow is a log-in on its way, in a cookie of the browser that began it: nothing
// is kept here, so nobody fills a memory by beginning many.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Page     string `json:"p"`
	Until    int64  `json:"u"`
}

func (a *Access) flowMark(raw string) []byte {
	mac := hmac.New(sha256.New, a.derive("oidc"))
	mac.Write([]byte(raw))
	return mac.Sum(nil)
}

func (a *Access) flowOf(r *http.Request) (flow, bool) {
	var f flow
	c, err := r.Cookie(flowCookie)
	if err != nil {
		return f, false
	}
	body, mark, _ := strings.Cut(c.Value, ".")
	got, err1 := base64.RawURLEncoding.DecodeString(mark)
	raw, err2 := base64.RawURLEncoding.DecodeString(body)
	if err1 != nil || err2 != nil || !hmac.Equal(got, a.flowMark(body)) || json.Unmarshal(raw, &f) != nil {
		return f, false
	}
	return f, time.Now().Unix() < f.Until
}

func (a *Access) flowCookie(r *http.Request, value string, age time.Duration) *http.Cookie {
	c := a.cookie(r, value, int(age.Seconds()))
	// Lax: the provider sends the browser back, and Strict would leave it out.
	c.Name, c.Path, c.SameSite = flowCookie, "/v1/oidc", http.SameSiteLaxMode
	return c
}

// BeginOIDC sends a browser to the provider. page is where it goes afterwards.
func (a *Access) BeginOIDC(w http.ResponseWriter, r *http.Request, page string) error {
	if a.oidc == nil {
		return &Refusal{Status: http.StatusNotFound, Reason: "no_oidc", Detail: "this server has no identity provider"}
	}
	d, err := a.oidc.discover(r.Context())
	if err != nil {
		a.opt.Log.Error("no log-in by the identity provider", "err", err)
		return &Refusal{Status: http.StatusBadGateway, Reason: "provider_down", Detail: "the identity provider does not answer; local accounts go on"}
	}
	f := flow{State: NewToken(), Nonce: NewToken(), Verifier: oauth2.GenerateVerifier(), Page: ownPath(page), Until: time.Now().Add(flowLasts).Unix()}
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	body := base64.RawURLEncoding.EncodeToString(raw)
	http.SetCookie(w, a.flowCookie(r, body+"."+base64.RawURLEncoding.EncodeToString(a.flowMark(body)), flowLasts))
	http.Redirect(w, r, d.config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusFound)
	return nil
}

// ownPath is a path of this host, or its root: a browser reads //evil.example
// and /\evil.example as another host.
func ownPath(page string) string {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(page, "/") || strings.HasPrefix(page, "//") || strings.ContainsAny(page, "\\\r\n\t") || len(page) > 500 {
		return "/"
	}
	return page
}

// EndOIDC takes the browser back from the provider, opens its session and tells
// which page it wanted. A *Refusal has the Reason that the page shows.
func (a *Access) EndOIDC(w http.ResponseWriter, r *http.Request) (page string, err error) {
	if a.oidc == nil {
		return "/", &Refusal{Status: http.StatusNotFound, Reason: "no_oidc", Detail: "this server has no identity provider"}
	}
	f, ok := a.flowOf(r)
	http.SetCookie(w, a.flowCookie(r, "", -time.Second))
	page = ownPath(f.Page)
	refuse := func(reason, who, detail string) error {
		a.refused.WithLabelValues(reason).Inc()
		a.notice(OIDCFailed, r, cut(who, 64), cut(detail, 300))
		a.opt.Log.Warn("a log-in by the identity provider did not hold", "reason", reason, "from", r.RemoteAddr, "detail", detail)
		return &Refusal{Status: http.StatusUnauthorized, Reason: reason, Detail: detail}
	}
	q := r.URL.Query()
	if !ok || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		return page, refuse("oidc_state", "", "this log-in was not begun by this browser, or too long ago")
	}
	if e := q.Get("error"); e != "" {
		return page, refuse("oidc_refused", "", e+" "+q.Get("error_description"))
	}
	d, err := a.oidc.discover(r.Context())
	if err != nil {
		return page, refuse("provider_down", "", err.Error())
	}
	// RFC 9207: the answer of another provider is not taken.
	if iss := q.Get("iss"); iss != "" && iss != a.oidc.opt.Issuer || iss == "" && d.more.IssParam {
		return page, refuse("oidc_state", "", fmt.Sprintf("the answer is of issuer %q", iss))
	}
	ctx := a.oidc.context(r.Context())
	token, err := d.config.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return page, refuse("oidc_refused", "", err.Error())
	}
	claims, err := a.oidc.claims(ctx, d, token, f.Nonce)
	if err != nil {
		return page, refuse("oidc_refused", "", err.Error())
	}
	p, err := a.admitClaims(r.Context(), claims, true)
	if err != nil {
		var no *Refusal
		if errors.As(err, &no) {
			return page, refuse(no.Reason, claims.user, no.Detail)
		}
		return page, err
	}
	s, secret := newSession(r, ByOIDC)
	if claims.acr != "" {
		s.assurance += ":" + cut(claims.acr, 100)
	}
	now := time.Now()
	s.account, s.epoch = p.ID, p.Epoch
	s.provider = &providerPart{subject: p.Subject, sid: claims.sid, idToken: claims.raw, access: token.AccessToken, refresh: token.RefreshToken, asked: now, good: now}
	if err := a.start(w, r, s, secret); err != nil {
		return page, err
	}
	a.notice(LoggedIn, r, p.ID, s.assurance)
	return page, nil
}

// claims is what the provider says of a person.
type claims struct {
	raw        string // the ID token
	subject    string // at its issuer
	user, name string
	email      string
	department string
	groups     []string
	acr, sid   string
}

// claims checks the ID token: signature, issuer, audience, expiry, nonce. What
// is not in it is asked of the userinfo endpoint.
func (p *provider) claims(ctx context.Context, d *discovered, token *oauth2.Token, nonce string) (claims, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return claims{}, errors.New("the provider sent no ID token")
	}
	id, err := d.Verifier(&oidc.Config{ClientID: p.opt.ClientID}).Verify(ctx, raw)
	if err != nil {
		return claims{}, err
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return claims{}, errors.New("the ID token is of another log-in")
	}
	all := map[string]any{}
	if err := id.Claims(&all); err != nil {
		return claims{}, err
	}
	// OpenID Connect Core, 3.1.3.7: of several audiences we are the one it was
	// made for.
	if azp, _ := all["azp"].(string); len(id.Audience) > 1 && azp != p.opt.ClientID || azp != "" && azp != p.opt.ClientID {
		return claims{}, fmt.Errorf("the ID token was made for %q", azp)
	}
	if _, ok := all[p.opt.Groups]; !ok && d.more.UserInfo != "" {
		info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return claims{}, err
		}
		if info.Subject != id.Subject { // Core, 5.3.2
			return claims{}, errors.New("the userinfo is of somebody else")
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return claims{}, err
		}
		for k, v := range more {
			if _, ok := all[k]; !ok {
				all[k] = v
			}
		}
	}
	c := p.read(id.Subject, all)
	c.raw = raw
	return c, nil
}

// read takes what we use of the provider's claims.
func (p *provider) read(subject string, all map[string]any) claims {
	text := func(key string) string { s, _ := all[key].(string); return norm.NFC.String(s) }
	c := claims{
		subject: p.opt.Issuer + " " + subject, user: text(p.opt.User), name: text("name"), email: text("email"),
		department: text(p.opt.Department), acr: text("acr"), sid: text("sid"),
	}
	switch g := all[p.opt.Groups].(type) {
	case string:
		c.groups = []string{g}
	case []any:
		for _, v := range g {
			if s, ok := v.(string); ok {
				c.groups = append(c.groups, s)
			}
		}
	}
	return c
}

// admitClaims gives the account of a person the provider vouches for, made at
// the first log-in, with the role that the groups give.
//
// A check of a session that goes on is no log-in: it writes nothing while the
// provider says what it said before.
func (a *Access) admitClaims(ctx context.Context, c claims, login bool) (*person, error) {
	i := slices.IndexFunc(a.oidc.opt.Map, func(m GroupRole) bool { return slices.Contains(c.groups, m.Group) })
	if i < 0 {
		return nil, &Refusal{Status: http.StatusForbidden, Reason: "oidc_no_role", Detail: "none of the person's groups has a role here"}
	}
	m, now := a.oidc.opt.Map[i], time.Now().UTC()
	fill := func(p *person) error {
		if p.Disabled {
			return &Refusal{Status: http.StatusForbidden, Reason: "disabled", Detail: "the account is disabled"}
		}
		p.Role, p.Department = m.Role, c.department
		if login {
			p.LastLogin = &now
		}
		if p.Department == "" {
			p.Department = m.Department
		}
		if len(m.Wards) > 0 {
			p.Wards = slices.Clone(m.Wards)
		}
		if p.Name = cut(c.name, maxNameText); strings.TrimSpace(p.Name) == "" {
			p.Name = p.ID
		}
		if err := p.check(); err != nil {
			return &Refusal{Status: http.StatusForbidden, Reason: "oidc_no_role", Detail: err.Error()}
		}
		return nil
	}
	a.people.mu.RLock()
	id := a.people.bySubject[c.subject]
	a.people.mu.RUnlock()
	if id != "" {
		_, p, err := a.people.update(ctx, id, fill)
		return p, err
	}
	sum := sha256.Sum256([]byte(c.subject))
	short := hex.EncodeToString(sum[:4])
	id = strings.ToLower(norm.NFKC.String(c.user))
	if id == "" {
		id = strings.ToLower(c.email)
	}
	if !accountID.MatchString(id) || id == adminID {
		id = "oidc-" + short
	}
	// An account of that name that is somebody else's is never taken over.
	for _, id := range []string{id, cut(id, 50) + "-" + short} {
		p := &person{Account: Account{ID: id, Origin: OIDCOrigin, Created: now}, Subject: c.subject, Epoch: 1}
		if err := fill(p); err != nil {
			return nil, err
		}
		err := ErrAccountExists
		if !slices.ContainsFunc(a.tokens, func(t Token) bool { return t.Name == id }) {
			err = a.people.add(ctx, p)
		}
		if !errors.Is(err, ErrAccountExists) {
			return p, err
		}
	}
	return nil, ErrAccountExists
}

// logoutURL is where the browser ends its session at the provider
// (RP-Initiated Logout 1.0), empty when the provider has no such thing.
func (p *provider) logoutURL(r *http.Request, s *providerPart) string {
	d, err := p.discover(r.Context())
	if err != nil || d.more.EndSession == "" {
		return ""
	}
	u, err := url.Parse(d.more.EndSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("id_token_hint", s.idToken)
	q.Set("client_id", p.opt.ClientID)
	q.Set("post_logout_redirect_uri", strings.TrimSuffix(p.opt.Redirect, CallbackPath)+"/")
	u.RawQuery = q.Encode()
	return u.String()
}

// Run asks the provider, every OIDC.Recheck, whether the sessions in use still
// hold: somebody who was disabled there is out here. It ends with ctx.
func (a *Access) Run(ctx context.Context) error {
	if a.oidc == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(max(a.oidc.opt.Recheck/3, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			a.recheck(ctx, now)
		}
	}
}

// recheck asks for the sessions that are due, a few at once.
func (a *Access) recheck(ctx context.Context, now time.Time) {
	var due []*session
	a.mu.Lock()
	for _, s := range a.sessions {
		if s.provider != nil && now.Sub(s.provider.asked) >= a.oidc.opt.Recheck*2/3 {
			s.provider.asked = now
			due = append(due, s)
		}
	}
	a.mu.Unlock()
	slots := make(chan struct{}, 8)
	var wait sync.WaitGroup
	for _, s := range due {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			a.recheckOne(ctx, s)
		})
	}
	wait.Wait()
}

func (a *Access) recheckOne(ctx context.Context, s *session) {
	a.mu.Lock()
	part := *s.provider
	a.mu.Unlock()
	fresh, err := a.oidc.ask(ctx, part)
	if err == nil && fresh.subject != part.subject {
		err = &over{"the provider answers for somebody else"}
	}
	if err == nil {
		_, err = a.admitClaims(ctx, fresh.claims, false)
		var no *Refusal
		if errors.As(err, &no) {
			err = &over{no.Detail}
		}
	}
	var gone *over
	switch now := time.Now(); {
	case err == nil:
		a.mu.Lock()
		s.provider.good = now
		if fresh.token != nil {
			s.provider.access = fresh.token.AccessToken
			if fresh.token.RefreshToken != "" {
				s.provider.refresh = fresh.token.RefreshToken
			}
		}
		a.mu.Unlock()
		return
	case ctx.Err() != nil:
		return
	case errors.As(err, &gone), now.Sub(part.good) > a.oidc.opt.Grace:
		a.endSessionsOf(s.account, s.id)
		a.notice(ProviderRefused, nil, s.account, err.Error())
		a.opt.Log.Info("a session has ended with the identity provider's", "account", s.account, "cause", err)
	default:
		a.opt.Log.Warn("the identity provider does not tell whether a session holds", "account", s.account, "err", err)
	}
}

// over: the provider says that a session is.
type over struct{ why string }

func (e *over) Error() string { return e.why }

// answerOf is what the provider says when it is asked again.
type answerOf struct {
	claims
	token *oauth2.Token
}

// ask asks the provider for a person again: by the refresh token, or, where
// there is none, by userinfo.
func (p *provider) ask(ctx context.Context, part providerPart) (answerOf, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return answerOf{}, err
	}
	ctx = p.context(ctx)
	token := &oauth2.Token{AccessToken: part.access, TokenType: "Bearer"}
	if part.refresh != "" {
		token, err = d.config.TokenSource(ctx, &oauth2.Token{RefreshToken: part.refresh}).Token()
		var no *oauth2.RetrieveError
		if errors.As(err, &no) && no.Response != nil && no.Response.StatusCode/100 == 4 && no.ErrorCode != "" {
			return answerOf{}, &over{"the provider refuses to renew: " + no.ErrorCode}
		}
		if err != nil {
			return answerOf{}, err
		}
		if _, has := token.Extra("id_token").(string); has {
			c, err := p.claims(ctx, d, token, "")
			return answerOf{c, token}, err
		}
	}
	info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		if strings.HasPrefix(err.Error(), "401") || strings.HasPrefix(err.Error(), "403") {
			return answerOf{}, &over{"the provider does not know the session any more"}
		}
		return answerOf{}, err
	}
	all := map[string]any{}
	if err := info.Claims(&all); err != nil {
		return answerOf{}, err
	}
	return answerOf{p.read(info.Subject, all), token}, nil
}

// BackChannelLogout ends the sessions that a log-out token of the provider names
// (OpenID Connect Back-Channel Logout 1.0).
func (a *Access) BackChannelLogout(ctx context.Context, raw string) error {
	refuse := func(format string, args ...any) error {
		return &Refusal{Status: http.StatusBadRequest, Reason: "bad_logout_token", Detail: fmt.Sprintf(format, args...)}
	}
	if a.oidc == nil {
		return refuse("this server has no identity provider")
	}
	d, err := a.oidc.discover(ctx)
	if err != nil {
		return &Refusal{Status: http.StatusServiceUnavailable, Reason: "provider_down", Detail: "the provider's keys cannot be had now", Retry: discoverWait}
	}
	token, err := d.Verifier(&oidc.Config{ClientID: a.oidc.opt.ClientID}).Verify(a.oidc.context(ctx), raw)
	if err != nil {
		return refuse("the token does not hold: %v", err)
	}
	var c struct {
		Events map[string]json.RawMessage `json:"events"`
		SID    string                     `json:"sid"`
		JTI    string                     `json:"jti"`
		Nonce  *string                    `json:"nonce"`
	}
	if err := token.Claims(&c); err != nil {
		return refuse("the token cannot be read")
	}
	// Section 2.6: it is a log-out token and not an ID token in its place.
	if _, ok := c.Events["http://schemas.openid.net/event/backchannel-logout"]; !ok || c.Nonce != nil || c.JTI == "" || c.SID == "" && token.Subject == "" {
		return refuse("this is no log-out token")
	}
	now := time.Now()
	if now.Sub(token.IssuedAt) > 10*time.Minute {
		return refuse("the token is old")
	}
	a.oidc.mu.Lock()
	for jti, until := range a.oidc.used {
		if now.After(until) {
			delete(a.oidc.used, jti)
		}
	}
	_, again := a.oidc.used[c.JTI]
	a.oidc.used[c.JTI] = now.Add(15 * time.Minute)
	a.oidc.mu.Unlock()
	if again {
		return refuse("the token came before")
	}
	subject := token.Issuer + " " + token.Subject
	var gone []string
	a.mu.Lock()
	for key, s := range a.sessions {
		if s.provider != nil && (c.SID != "" && s.provider.sid == c.SID || c.SID == "" && s.provider.subject == subject) {
			delete(a.sessions, key)
			gone = append(gone, s.account)
		}
	}
	a.mu.Unlock()
	for _, account := range gone {
		a.notice(LoggedOut, nil, account, "by the identity provider")
	}
	return nil
}
