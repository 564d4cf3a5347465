package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// tokenMaker gives tokens only.
type tokenMaker struct{ now func() time.Time }

func (m tokenMaker) Issue(_ *devices.Device, kind devices.CredentialKind, _ time.Duration) (devices.Credential, devices.Secret, error) {
	if kind != devices.CredentialToken {
		return devices.Credential{}, devices.Secret{}, fmt.Errorf("a %s is not made here", kind)
	}
	c, token := devices.NewTokenCredential(m.now())
	return c, devices.Secret{Token: token}, nil
}

func (tokenMaker) Sign(*devices.Device, []byte) (devices.Credential, devices.Secret, error) {
	return devices.Credential{}, devices.Secret{}, fmt.Errorf("the request is not one")
}

type enrolDoor struct {
	*testGate
	t *testing.T
	*devices.Enrolment
	handler http.Handler
	senders int
}

func newEnrolDoor(t *testing.T) *enrolDoor {
	t.Helper()
	g := newTestGate(t)
	clock := func() time.Time { return g.now }
	e, err := devices.OpenEnrolment(t.Context(), memoryStore{}, g.opt.Register, tokenMaker{clock}, clock)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range NewEnrol(g.Gate, e).Routes() {
		mux.Handle(pattern, h)
	}
	return &enrolDoor{testGate: g, t: t, Enrolment: e, handler: mux}
}

func (e *enrolDoor) announce(id devices.ID, ttl time.Duration) (code string) {
	e.t.Helper()
	code, entry, err := devices.NewClaim(e.now, ttl)
	if err == nil {
		_, err = e.opt.Register.Add(e.t.Context(), devices.Device{ID: id, Profile: "air-quality", State: devices.Announced, Entry: entry})
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return code
}

func (e *enrolDoor) group(g devices.Group) (secret string) {
	e.t.Helper()
	g.Profile = "street-light"
	_, secret, err := e.AddGroup(e.t.Context(), g, "")
	if err != nil {
		e.t.Fatal(err)
	}
	return secret
}

// post sends a body from an address, from a network of its own when that is
// empty.
func (e *enrolDoor) post(from, body string) *httptest.ResponseRecorder {
	e.t.Helper()
	if from == "" {
		e.senders++
		from = fmt.Sprintf("[2001:db8:0:%x::1]:4711", e.senders)
	}
	r := httptest.NewRequestWithContext(e.t.Context(), http.MethodPost, "/v1/enrol", strings.NewReader(body))
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, r)
	return w
}

func (e *enrolDoor) enters(body string) (a enrolled) {
	e.t.Helper()
	w := e.post("", body)
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusCreated || a.Token == "" || w.Header().Get("Cache-Control") != "no-store" {
		e.t.Fatalf("%s: %d %v %s; want 201 with a token", body, w.Code, w.Header(), w.Body)
	}
	return a
}

// What strangers present gets one answer, leaves the register as it was, and is
// kept as evidence without what would open a door.
func TestEnrolRefuses(t *testing.T) {
	e := newEnrolDoor(t)
	used, fresh := e.announce("used", time.Hour), e.announce("fresh", time.Hour)
	expired := e.announce("expired", time.Minute)
	full, over := e.group(devices.Group{Name: "full", Max: 1}), e.group(devices.Group{Name: "over", Until: e.now.Add(time.Minute)})
	open, revoked := e.group(devices.Group{Name: "open"}), e.group(devices.Group{Name: "revoked"})
	if _, err := e.RevokeGroup(t.Context(), "revoked"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.opt.Register.Add(t.Context(), devices.Device{ID: "open-7", Profile: "street-light"}); err != nil {
		t.Fatal(err)
	}
	if a := e.enters(fmt.Sprintf(`{"id":"used","claim":%q,"nonce":"n1"}`, used)); a.State != devices.Active {
		t.Errorf("a claimed device is %s", a.State)
	}
	if a := e.enters(fmt.Sprintf(`{"id":"full-1","group":"full","secret":%q}`, full)); a.State != devices.Quarantine {
		t.Errorf("a device of a group is %s", a.State)
	}
	e.now = e.now.Add(time.Minute)

	claim := func(id, code, more string) string { return fmt.Sprintf(`{"id":%q,"claim":%q%s}`, id, code, more) }
	member := func(id, group, secret string) string {
		return fmt.Sprintf(`{"id":%q,"group":%q,"secret":%q}`, id, group, secret)
	}
	answer := ""
	for _, c := range []struct {
		name, body string
		status     int
		reason     devices.Reason
		detail     string
	}{
		{"a wrong code", claim("fresh", "00000-00000-00000-00000", ""), 401, devices.ReasonBadCredential, "not this device's"},
		{"another's code", claim("used", fresh, ""), 401, devices.ReasonBadCredential, "not this device's"},
		{"a foreign id", claim("aq-1", fresh, ""), 401, devices.ReasonBadCredential, "not this device's"},
		{"an unknown id", claim("nobody", fresh, ""), 401, devices.ReasonBadCredential, "not this device's"},
		{"an expired code", claim("expired", expired, ""), 401, devices.ReasonBadCredential, "expired"},
		{"a used code", claim("used", used, ""), 401, devices.ReasonBadCredential, "used already"},
		{"a used code, another nonce", claim("used", used, `,"nonce":"n2"`), 401, devices.ReasonBadCredential, "used already"},
		{"a wrong secret", member("open-1", "open", full), 401, devices.ReasonBadCredential, "do not match"},
		{"an unknown group", member("open-1", "opera", open), 401, devices.ReasonBadCredential, "do not match"},
		{"a full group", member("full-2", "full", full), 401, devices.ReasonBadCredential, "is full"},
		{"a group that is over", member("over-1", "over", over), 401, devices.ReasonBadCredential, "ended"},
		{"a revoked group", member("revoked-1", "revoked", revoked), 401, devices.ReasonBadCredential, "was revoked"},
		{"an id that is taken", member("open-7", "open", open), 401, devices.ReasonBadCredential, "taken"},
		{"an id of another form", member("lamp-1", "open", open), 401, devices.ReasonBadCredential, "begins with open-"},
		{"not JSON", "id=fresh&claim=" + fresh, 400, devices.ReasonMalformed, "JSON"},
		{"two objects", claim("fresh", fresh, "") + claim("fresh", fresh, ""), 400, devices.ReasonMalformed, "JSON"},
		{"an unknown member", claim("fresh", fresh, `,"state":"active"`), 400, devices.ReasonMalformed, "JSON"},
		{"nothing presented", `{"id":"fresh"}`, 400, devices.ReasonMalformed, "present claim"},
		{"no id", claim("", fresh, ""), 400, devices.ReasonMalformed, "device id"},
		{"an id that is a path", claim("../fresh", fresh, ""), 400, devices.ReasonMalformed, "device id"},
		{"a bad request for a certificate", claim("fresh", fresh, `,"csr":"rubbish"`), 400, devices.ReasonMalformed, "not one"},
		{"too large", claim("fresh", fresh, `,"csr":"`+strings.Repeat("x", maxEnrolment)+`"`), 413, devices.ReasonTooLarge, "over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.now = e.now.Add(time.Minute) // a budget of evidence each
			e.journal.take()
			epoch := e.opt.Register.Epoch()
			w := e.post("", c.body)
			if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s, want %d and a problem", w.Code, w.Body, c.status)
			}
			if c.status == http.StatusUnauthorized {
				if answer == "" {
					answer = w.Body.String()
				}
				if w.Body.String() != answer || w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("answer %s %v, want the same as the others: %s", w.Body, w.Header(), answer)
				}
			}
			if e.opt.Register.Epoch() != epoch {
				t.Error("the register has changed")
			}
			kept := e.journal.take()
			if len(kept) != 1 || kept[0].Refusal == nil {
				t.Fatalf("kept %+v, want one refusal", kept)
			}
			r := kept[0].Refusal
			if r.Reason != c.reason || !strings.Contains(r.Detail, c.detail) || !r.From.IsValid() || r.Via != devices.ViaHTTP {
				t.Errorf("kept %+v, want %s with %q", r, c.reason, c.detail)
			}
			for _, secret := range []string{used, fresh, expired, full, over, open, revoked} {
				if strings.Contains(string(r.Payload)+r.Detail, secret) {
					t.Errorf("the evidence has a secret in it: %s %s", r.Payload, r.Detail)
				}
			}
		})
	}
	// After all of it the code still counts, once.
	e.enters(claim("fresh", fresh, ""))
}

// The device that came in and did not hear of it asks again.
func TestEnrolAnswerLost(t *testing.T) {
	e := newEnrolDoor(t)
	body := fmt.Sprintf(`{"id":"aq-2","claim":%q,"nonce":"9f2c"}`, e.announce("aq-2", time.Hour))
	first := e.enters(body)
	e.now = e.now.Add(9 * time.Minute)
	second := e.enters(body)
	if _, err := e.Authenticate("aq-2", first.Token); err == nil {
		t.Error("the first token still counts")
	}
	if _, err := e.Authenticate("aq-2", second.Token); err != nil {
		t.Errorf("the second token: %v", err)
	}
	e.now = e.now.Add(time.Minute)
	if w := e.post("", body); w.Code != http.StatusUnauthorized {
		t.Errorf("ten minutes later: %d %s", w.Code, w.Body)
	}
}

// Failures are bounded by network; what succeeds costs nothing, and a neighbour
// feels nothing.
func TestEnrolRate(t *testing.T) {
	e := newEnrolDoor(t)
	secret := e.group(devices.Group{Name: "open", Max: 100})
	join := func(n int) string { return fmt.Sprintf(`{"id":"open-%d","group":"open","secret":%q}`, n, secret) }
	const neighbour = "[2001:db8:ffff:2::1]:1"
	from := func(n int) string { return fmt.Sprintf("[2001:db8:ffff:1::%x]:1", n) } // one /64
	for n := range 40 {
		if w := e.post(from(n), join(n)); w.Code != http.StatusCreated {
			t.Fatalf("device %d of a good group: %d %s", n, w.Code, w.Body)
		}
	}
	wrong := `{"id":"aq-1","claim":"00000-00000-00000-00000"}`
	for n := range attemptBurst {
		if w := e.post(from(n), wrong); w.Code != http.StatusUnauthorized {
			t.Fatalf("failure %d: %d %s", n, w.Code, w.Body)
		}
	}
	for _, body := range []string{wrong, join(50)} {
		if w := e.post(from(99), body); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "6" {
			t.Errorf("over the bound: %d %v %s, want 429 and to wait 6 s", w.Code, w.Header(), w.Body)
		}
	}
	if w := e.post(neighbour, join(51)); w.Code != http.StatusCreated {
		t.Errorf("a neighbour: %d %s", w.Code, w.Body)
	}
	e.now = e.now.Add(attemptRefill)
	if w := e.post(from(1), join(50)); w.Code != http.StatusCreated {
		t.Errorf("after the wait: %d %s", w.Code, w.Body)
	}
}

// The memory that strangers can make it use is bounded.
func TestAttemptsAreBounded(t *testing.T) {
	e := NewEnrol(newTestGate(t).Gate, nil)
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	source := func(n int) netip.Prefix {
		return devices.SitePrefix(netip.AddrFrom16([16]byte{0: 0x20, 5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n)}))
	}
	for n := range maxAttempters + 500 {
		e.attempts.take(source(n), now)
	}
	if n := len(e.attempts.sources); n > maxAttempters {
		t.Errorf("%d sources are kept, want at most %d", n, maxAttempters)
	}
	if wait := e.attempts.take(source(maxAttempters+501), now); wait == 0 {
		t.Error("those beyond the bound do not share an allowance")
	}
	now = now.Add(attemptBurst * attemptRefill)
	if wait := e.attempts.take(source(maxAttempters+502), now); wait != 0 {
		t.Errorf("after a minute of rest a new one waits %v", wait)
	}
}
