package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const displayToken = "a-display-token-of-enough-length"

func openIn(t *testing.T, dir string) (*Access, string) {
	t.Helper()
	a, err := Open(t.Context(), Options{Dir: dir, Tokens: []Token{
		{Name: "wall-1", Role: Display, Hash: HashToken(displayToken)},
		{Name: "ca trực", Role: Operator, Hash: HashToken("an-operator-token-of-enough-length")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, AdminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return a, strings.TrimSpace(string(b))
}

func TestAdminTokenFile(t *testing.T) {
	dir := t.TempDir()
	_, first := openIn(t, dir)
	path := filepath.Join(dir, AdminTokenFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if len(first) != 43 { // 32 bytes in base64
		t.Errorf("token of %d characters", len(first))
	}
	if _, second := openIn(t, dir); second != first {
		t.Error("the second start made another token")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("left readable: %v", info.Mode())
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil {
		t.Error("a short token was taken")
	}
	if _, err := Open(t.Context(), Options{Dir: t.TempDir(), Tokens: []Token{{Name: "x", Role: "king"}}}); err == nil {
		t.Error("an unknown role was taken")
	}
}

// request makes one as the server sees it.
func request(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://city.example"+path, nil)
	r.RemoteAddr = "[2001:db8::1]:4711"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// logIn opens a session and gives its cookie.
func logIn(t *testing.T, a *Access, token string) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if _, err := a.LogIn(w, request("POST", "/v1/session"), token); err != nil {
		t.Fatal(err)
	}
	cs := w.Result().Cookies()
	if len(cs) != 1 || cs[0].Name != CookieName || !cs[0].HttpOnly || cs[0].SameSite != http.SameSiteStrictMode || cs[0].Path != "/" {
		t.Fatalf("cookies %v", cs)
	}
	return cs[0]
}

func status(err error) int {
	if err == nil {
		return 200
	}
	var r *Refusal
	if errors.As(err, &r) {
		return r.Status
	}
	return 500
}

func TestCheck(t *testing.T) {
	a, admin := openIn(t, t.TempDir())
	cookie := logIn(t, a, admin).String()
	cookie, _, _ = strings.Cut(cookie, ";")
	for _, c := range []struct {
		name   string
		method string
		header []string
		need   Permission
		want   int
	}{
		{"nobody", "GET", nil, View, 401},
		{"bearer", "GET", []string{"Authorization", "Bearer " + admin}, View, 200},
		{"bearer, other case", "GET", []string{"Authorization", "bearer " + admin}, View, 200},
		{"bearer changes without origin", "POST", []string{"Authorization", "Bearer " + admin}, ManageDevices, 200},
		{"wrong token", "GET", []string{"Authorization", "Bearer " + admin[1:]}, View, 401},
		{"empty token", "GET", []string{"Authorization", "Bearer "}, View, 401},
		{"basic", "GET", []string{"Authorization", "Basic " + admin}, View, 401},
		{"wrong token beside a good cookie", "GET", []string{"Authorization", "Bearer x", "Cookie", cookie}, View, 401},
		{"socket's subprotocol", "GET", []string{"Sec-WebSocket-Protocol", "vonglau.wall.v1, bearer." + admin}, View, 200},
		{"cookie reads", "GET", []string{"Cookie", cookie}, View, 200},
		{"unknown cookie", "GET", []string{"Cookie", CookieName + "=AAAA"}, View, 401},
		{"cookie changes, no origin", "POST", []string{"Cookie", cookie}, HandleAlarms, 403},
		{"cookie changes, same origin", "POST", []string{"Cookie", cookie, "Origin", "https://city.example"}, HandleAlarms, 200},
		{"cookie changes, foreign origin", "POST", []string{"Cookie", cookie, "Origin", "https://evil.example"}, HandleAlarms, 403},
		{"cookie changes, null origin", "POST", []string{"Cookie", cookie, "Origin", "null"}, HandleAlarms, 403},
		{"cookie changes, fetch metadata", "DELETE", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, HandleAlarms, 200},
		{"cookie changes, sibling site", "PUT", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-site", "Origin", "https://city.example"}, HandleAlarms, 403},
		{"cookie changes, cross site", "POST", []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, HandleAlarms, 403},
		{"display looks", "GET", []string{"Authorization", "Bearer " + displayToken}, View, 200},
		{"display acts", "POST", []string{"Authorization", "Bearer " + displayToken}, HandleAlarms, 403},
		{"display pries", "GET", []string{"Authorization", "Bearer " + displayToken}, ViewEvidence, 403},
		{"unknown permission", "GET", []string{"Authorization", "Bearer " + admin}, "launch", 403},
	} {
		_, err := a.Check(request(c.method, "/v1/x", c.header...), c.need)
		if got := status(err); got != c.want {
			t.Errorf("%s: got %d (%v), want %d", c.name, got, err, c.want)
		}
	}
}

func TestRequirePassesThePrincipal(t *testing.T) {
	a, admin := openIn(t, t.TempDir())
	var got Principal
	h := a.Require(View, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = From(r.Context())
	}), func(w http.ResponseWriter, _ *http.Request, r *Refusal) { w.WriteHeader(r.Status) })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", "/"))
	if w.Code != 401 || got.Name != "" {
		t.Errorf("nobody: %d, %v", w.Code, got)
	}
	h.ServeHTTP(httptest.NewRecorder(), request("GET", "/", "Authorization", "Bearer "+admin))
	if !reflect.DeepEqual(got, Principal{ID: "admin", Name: "admin", Role: Admin}) {
		t.Errorf("got %v", got)
	}
}

func TestLogInRefuses(t *testing.T) {
	a, admin := openIn(t, t.TempDir())
	for name, c := range map[string]struct {
		token  string
		header []string
		want   int
	}{
		"wrong":          {"nonsense", nil, 401},
		"empty":          {"", nil, 401},
		"foreign page":   {admin, []string{"Origin", "https://evil.example"}, 403},
		"foreign fetch":  {admin, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a program":      {admin, nil, 200},
		"our page":       {admin, []string{"Origin", "http://city.example"}, 200},
		"display's link": {displayToken, []string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		w := httptest.NewRecorder()
		_, err := a.LogIn(w, request("POST", "/v1/session", c.header...), c.token)
		if got := status(err); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		if got := len(w.Result().Cookies()) == 1; got != (c.want == 200) {
			t.Errorf("%s: cookie set: %v", name, got)
		}
	}
}

func TestSessionsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	a, admin := openIn(t, dir)
	keep, drop, wall := logIn(t, a, admin), logIn(t, a, admin), logIn(t, a, displayToken)
	r := request("DELETE", "/v1/session")
	r.AddCookie(drop)
	if _, _, err := a.LogOut(httptest.NewRecorder(), r); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, sessionsFile))
	if err != nil || strings.Contains(string(b), keep.Value) {
		t.Fatalf("the file holds a secret, or %v", err)
	}
	check := func(a *Access, c *http.Cookie) int {
		r := request("GET", "/")
		r.AddCookie(c)
		_, err := a.Check(r, View)
		return status(err)
	}
	a, _ = openIn(t, dir)
	if k, d, w := check(a, keep), check(a, drop), check(a, wall); k != 200 || d != 401 || w != 200 {
		t.Errorf("kept %d, logged out %d, wall %d", k, d, w)
	}
	if n, err := a.EndSessions("wall-1"); n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if got := check(a, wall); got != 401 {
		t.Errorf("ended wall: %d", got)
	}
	// Without its token a session is nothing.
	if err := os.WriteFile(filepath.Join(dir, AdminTokenFile), []byte(NewToken()), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ = openIn(t, dir)
	if got := check(a, keep); got != 401 {
		t.Errorf("session of a replaced token: %d", got)
	}
	if err := os.WriteFile(filepath.Join(dir, sessionsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir) // a damaged file ends sessions, not the start
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := Open(t.Context(), Options{Dir: t.TempDir(), IdleTime: time.Hour, MaxTime: 3 * time.Hour,
			Tokens: []Token{{Name: "w", Role: Display, Hash: HashToken(displayToken)}}})
		if err != nil {
			t.Fatal(err)
		}
		r := request("GET", "/v1/live")
		r.AddCookie(logIn(t, a, displayToken))
		_, valid, bearer, err := a.Admit(r)
		if err != nil || bearer {
			t.Fatal(bearer, err)
		}
		for range 5 { // watched: in use
			time.Sleep(30 * time.Minute)
			if !valid() {
				t.Fatal("ended while it was used")
			}
		}
		time.Sleep(31 * time.Minute)
		if valid() {
			t.Error("lives longer than at most")
		}
		r = request("GET", "/v1/live")
		r.AddCookie(logIn(t, a, displayToken))
		time.Sleep(61 * time.Minute)
		if _, _, _, err := a.Admit(r); err == nil {
			t.Error("an idle session lives")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	a, err := Open(t.Context(), Options{Dir: t.TempDir(), MaxSessions: 3, Tokens: []Token{{Name: "w", Role: Display, Hash: HashToken(displayToken)}}})
	if err != nil {
		t.Fatal(err)
	}
	var last *http.Cookie
	for range 10 {
		last = logIn(t, a, displayToken)
	}
	if len(a.sessions) != 3 {
		t.Errorf("%d sessions", len(a.sessions))
	}
	if _, ok := a.use(HashToken(last.Value), time.Now()); !ok {
		t.Error("the newest was dropped")
	}
}

func TestFailuresAreLimitedPerNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, admin := openIn(t, t.TempDir())
		try := func(from, token string) int {
			r := request("GET", "/", "Authorization", "Bearer "+token)
			r.RemoteAddr = from
			_, err := a.Check(r, View)
			return status(err)
		}
		for i := range 10 {
			if got := try(fmt.Sprintf("[2001:db8::%x]:1", i), "wrong"); got != 401 {
				t.Fatalf("failure %d: %d", i, got)
			}
		}
		for name, c := range map[string]struct {
			from, token string
			want        int
		}{
			"same /64":              {"[2001:db8::ffff]:1", "wrong", 429},
			"same /64, right token": {"[2001:db8::ffff]:1", admin, 200},
			"other /64":             {"[2001:db8:0:1::1]:1", "wrong", 401},
			"v4":                    {"192.0.2.1:1", "wrong", 401},
		} {
			if got := try(c.from, c.token); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
		time.Sleep(failureRefill)
		if got := try("[2001:db8::1]:1", "wrong"); got != 401 {
			t.Errorf("after a while: %d", got)
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	l, now := newLimiter(), time.Now()
	for i := range maxSources + 100 {
		p, err := netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::", i>>16, i&0xffff)).Prefix(64)
		if err != nil {
			t.Fatal(err)
		}
		l.fail(p, now)
	}
	if len(l.sources) != maxSources {
		t.Errorf("%d sources", len(l.sources))
	}
	l.fail(netip.MustParsePrefix("2001:db9::/64"), now.Add(time.Hour)) // all have recovered
	if len(l.sources) != 1 {
		t.Errorf("%d sources after an hour", len(l.sources))
	}
}

func TestPermissionTable(t *testing.T) {
	for role := range granted {
		for _, p := range permissions {
			// The record of the administrator's own acts and people's data are
			// for others to watch over.
			if kept := p == ViewSecurity || p == ViewPersonal || p == ErasePersonal; Admin.May(p) == kept {
				t.Errorf("the administrator may %s: %v", p, Admin.May(p))
			}
			if role == Display && p != View && role.May(p) {
				t.Errorf("a display may %s", p)
			}
		}
	}
	for _, p := range []Permission{Operate, ManageDevices, ManageLayers, ManageRules} {
		if Operator.May(p) {
			t.Errorf("an operator may %s", p)
		}
	}
	if Role("king").May(View) || Role("").Known() {
		t.Error("an unknown role has rights")
	}
}

func TestOfficersSeeTheirOwn(t *testing.T) {
	for _, c := range []struct {
		name       string
		role       Role
		department string
		wards      []string
		of         string
		in         []string
		want       bool
	}{
		{"operator", Operator, "Drainage", nil, "Lighting", nil, true},
		{"own department", Officer, "Thoát  nước", nil, "thoát nước", nil, true},
		{"other department", Officer, "Thoát nước", nil, "Thoat nuoc", nil, false},
		{"nobody's", Officer, "Thoát nước", nil, "", []string{"1"}, false},
		{"own ward", Officer, "D", []string{"1", "2"}, "D", []string{"9", "2"}, true},
		{"other ward", Officer, "D", []string{"1", "2"}, "D", []string{"9"}, false},
		{"no ward known", Officer, "D", []string{"1"}, "D", nil, false},
		{"a ward's officer", Officer, "", []string{"1"}, "D", []string{"1"}, true},
		{"of nothing", Officer, "", nil, "", nil, false},
	} {
		p := Principal{Role: c.role, Department: c.department, Wards: c.wards}
		if got := p.Sees(c.of, c.in); got != c.want {
			t.Errorf("%s: sees %v, want %v", c.name, got, c.want)
		}
	}
}

func adminOf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, AdminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// Over TLS a session is known by the cookie that no neighbour can set, and by no
// other; without TLS browsers would refuse it.
func TestHostCookie(t *testing.T) {
	a, admin := openIn(t, t.TempDir())
	over := func(name, value string) *http.Request {
		r := request("GET", "/v1/devices", "Cookie", name+"="+value)
		r.TLS = &tls.ConnectionState{}
		return r
	}
	r := request("POST", "/v1/session")
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	if _, err := a.LogIn(w, r, admin); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	if c.Name != HostCookie || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Fatalf("over TLS: %s", c)
	}
	if _, err := a.Check(over(HostCookie, c.Value), View); err != nil {
		t.Errorf("the session over TLS: %v", err)
	}
	if _, err := a.Check(over(CookieName, c.Value), View); status(err) != http.StatusUnauthorized {
		t.Errorf("a cookie that anybody may set, over TLS: %v", err)
	}
	plain := logIn(t, a, admin)
	if _, err := a.Check(over(CookieName, plain.Value), View); status(err) != http.StatusUnauthorized {
		t.Errorf("a session of the plain door, over TLS: %v", err)
	}
}
