package access

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// signer is an identity provider as far as keys and addresses go.
type signer struct {
	issuer string
	key    *rsa.PrivateKey
}

// startSigner serves what a provider says of itself, and its key.
func startSigner(t *testing.T) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &signer{issuer: "http://" + l.Addr().String(), key: key}
	mux := http.NewServeMux()
	say := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	say("/.well-known/openid-configuration", map[string]any{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/auth", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "authorization_response_iss_parameter_supported": true,
	})
	say("/keys", map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}})
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// token signs claims by a key.
func (p *signer) token(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(map[string]any{"alg": "RS256", "kid": "1", "typ": "logout+jwt"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (p *signer) access(t *testing.T) *Access {
	t.Helper()
	a, err := Open(t.Context(), Options{Dir: t.TempDir(), OIDC: &OIDC{
		Issuer: p.issuer, ClientID: "wall", Redirect: "http://[::1]:2" + CallbackPath, Client: http.DefaultClient, User: "preferred_username", Groups: "groups",
		Map: []GroupRole{{Group: "ops", Role: Operator}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A log-out token that holds ends the sessions it names and no others, once; one
// that does not hold ends none.
func TestBackChannelLogout(t *testing.T) {
	p := startSigner(t)
	a := p.access(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	open := func(account, sid string) Hash {
		s, _ := newSession(httptest.NewRequest("GET", "/", nil), ByOIDC)
		s.account, s.provider = account, &providerPart{subject: p.issuer + " " + account, sid: sid, asked: time.Now(), good: time.Now()}
		a.mu.Lock()
		a.sessions[s.key] = s
		a.mu.Unlock()
		return s.key
	}
	there := func(key Hash) bool { a.mu.Lock(); defer a.mu.Unlock(); return a.sessions[key] != nil }
	one, two, lan := open("binh", "s1"), open("binh", "s2"), open("lan", "s3")

	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	good := map[string]any{"iss": p.issuer, "aud": "wall", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": "a", "sub": "binh", "sid": "s1", "events": event}
	with := func(change map[string]any) map[string]any {
		m := maps.Clone(good)
		for k, v := range change {
			if m[k] = v; v == nil {
				delete(m, k)
			}
		}
		return m
	}
	for name, raw := range map[string]string{
		"another's key":        p.token(t, other, good),
		"for somebody else":    p.token(t, p.key, with(map[string]any{"aud": "other"})),
		"of another issuer":    p.token(t, p.key, with(map[string]any{"iss": "https://evil.example"})),
		"an ID token":          p.token(t, p.key, with(map[string]any{"events": nil})),
		"with a nonce":         p.token(t, p.key, with(map[string]any{"nonce": "n"})),
		"without an id":        p.token(t, p.key, with(map[string]any{"jti": nil})),
		"of nobody":            p.token(t, p.key, with(map[string]any{"sub": nil, "sid": nil})),
		"that has expired":     p.token(t, p.key, with(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})),
		"that is old":          p.token(t, p.key, with(map[string]any{"iat": time.Now().Add(-time.Hour).Unix()})),
		"not signed":           "eyJhbGciOiJub25lIn0.e30.",
		"that is no token":     "x",
		"that is not there":    "",
		"signed, then changed": p.token(t, p.key, good) + "A",
	} {
		var refusal *Refusal
		if err := a.BackChannelLogout(t.Context(), raw); !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	if !there(one) || !there(two) || !there(lan) {
		t.Fatal("a token that does not hold ended a session")
	}

	raw := p.token(t, p.key, good)
	if err := a.BackChannelLogout(t.Context(), raw); err != nil || there(one) || !there(two) || !there(lan) {
		t.Errorf("one session: %v; %v %v %v are there", err, there(one), there(two), there(lan))
	}
	again := open("binh", "s1")
	if err := a.BackChannelLogout(t.Context(), raw); err == nil || !there(again) {
		t.Errorf("the same token again: %v", err)
	}
	if err := a.BackChannelLogout(t.Context(), p.token(t, p.key, with(map[string]any{"sid": nil, "jti": "b"}))); err != nil || there(two) || there(again) || !there(lan) {
		t.Errorf("all of one person: %v; %v %v %v are there", err, there(two), there(again), there(lan))
	}
}

// RFC 9207: where a provider says that it names itself in its answers, one that
// names nobody, or another, is not taken.
func TestAnswerOfAnotherIssuer(t *testing.T) {
	p := startSigner(t)
	a := p.access(t)
	for iss, want := range map[string]string{"": "oidc_state", "https://evil.example": "oidc_state", p.issuer + "/": "oidc_state", p.issuer: "oidc_refused"} {
		w := httptest.NewRecorder()
		if err := a.BeginOIDC(w, httptest.NewRequest("GET", "http://[::1]:2"+LoginPath, nil), "/"); err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(w.Result().Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "http://[::1]:2"+CallbackPath+"?"+url.Values{"code": {"stolen"}, "state": {to.Query().Get("state")}, "iss": {iss}}.Encode(), nil)
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		// The right issuer gets as far as the exchange, which this code fails.
		_, err = a.EndOIDC(httptest.NewRecorder(), r)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Reason != want {
			t.Errorf("iss=%q: %v, want %s", iss, err, want)
		}
	}
}
