package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// identityProvider starts a real provider, npm oidc-provider, and gives its
// address.
func identityProvider(t *testing.T, redirect string) string {
	t.Helper()
	node := tool(t, "node")
	const dir = "testdata/oidc-provider"
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err != nil {
		cmd := exec.Command(tool(t, "npm"), "ci", "--no-audit", "--no-fund")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			if os.Getenv("VONGLAU_REQUIRE_TOOLS") != "" {
				t.Fatalf("installing the identity provider: %v\n%s", err, out)
			}
			t.Skipf("the identity provider cannot be installed (npm ci in cmd/vonglau/%s): %v", dir, err)
		}
	}
	port := freePort(t)
	cmd := exec.Command(node, "server.mjs", port, redirect)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "ready") {
		t.Fatalf("the identity provider says %q, %v\n%s", line, err, said.String())
	}
	return "http://[::1]:" + port
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// surfer is a browser without a screen: it keeps cookies and follows.
type surfer struct {
	t    *testing.T
	home string
	http.Client
}

func newSurfer(t *testing.T, home string) *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &surfer{t: t, home: home, Client: http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

func (s *surfer) do(method, target string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(target, s.home) {
		r.Header.Set("Origin", s.home)
	}
	res, err := s.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(raw)
}

var formAction = regexp.MustCompile(`action="([^"]+)"`)

// logIn goes to the provider, fills in its form and comes back; it gives where
// the browser ended.
func (s *surfer) logIn(user string) *url.URL {
	s.t.Helper()
	res, page := s.do("GET", s.home+"/v1/oidc/login?page=/people", nil)
	if res.Request.URL.Host == strings.TrimPrefix(s.home, "http://") {
		return res.Request.URL // the provider knew the browser
	}
	m := formAction.FindStringSubmatch(page)
	if m == nil {
		s.t.Fatalf("no form at %s: %.400s", res.Request.URL, page)
	}
	to, err := res.Request.URL.Parse(m[1])
	if err != nil {
		s.t.Fatal(err)
	}
	res, _ = s.do("POST", to.String(), url.Values{"prompt": {"login"}, "login": {user}, "password": {"any"}})
	return res.Request.URL
}

// who gives the session; empty when there is none.
func (s *surfer) who() (w struct{ ID, Name, Role, Department, Assurance string }) {
	s.t.Helper()
	res, raw := s.do("GET", s.home+"/v1/session", nil)
	if res.StatusCode == 200 {
		if err := json.Unmarshal([]byte(raw), &w); err != nil {
			s.t.Fatalf("%s: %v", raw, err)
		}
	}
	return w
}

// socket opens the live socket by the session's cookie.
func (s *surfer) socket() *websocket.Conn {
	s.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"vonglau.wall.v1"}, Jar: s.Jar}
	c, _, err := d.Dial("ws"+strings.TrimPrefix(s.home, "http")+"/v1/live", http.Header{"Origin": {s.home}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// endOf waits until the server ends a socket and gives how long that took.
func endOf(t *testing.T, c *websocket.Conn, most time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(most))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, 4001) {
				t.Fatalf("the socket ended with %v after %v", err, time.Since(began))
			}
			return time.Since(began)
		}
	}
}

// startWithProvider starts a provider and a server that believes it.
func startWithProvider(t *testing.T) (p *process, home, issuer string) {
	t.Helper()
	port := freePort(t)
	home = "http://[::1]:" + port
	issuer = identityProvider(t, home+"/v1/oidc/callback")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"secret": "a-secret-of-the-test-of-enough-length\n",
		"config.yaml": fmt.Sprintf(`oidc:
  issuer: %q
  client_id: vonglau
  client_secret_file: %q
  redirect: %q
  roles:
    - {group: ioc-lead, role: shift_leader}
    - {group: drainage, role: officer}
  recheck: 3s
`, issuer, filepath.Join(dir, "secret"), home+"/v1/oidc/callback"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p = startProcess(t, dir, "--config", filepath.Join(dir, "config.yaml"), "--http", "[::1]:"+port)
	return p, home, issuer
}

// TestProgramIdentityProvider logs people in by a real provider: a role by the
// group, nobody without one, forged answers refused; whoever is disabled there
// or here is out everywhere, and one log-out is both.
func TestProgramIdentityProvider(t *testing.T) {
	p, home, issuer := startWithProvider(t)
	binh := newSurfer(t, home)
	if at := binh.logIn("binh"); at.Path != "/people" || at.Fragment != "" {
		t.Fatalf("ended at %s", at)
	}
	if w := binh.who(); w.ID != "binh" || w.Name != "Trần Thị Bình" || w.Role != "shift_leader" || !strings.HasPrefix(w.Assurance, "oidc") {
		t.Fatalf("binh is %+v", w)
	}
	lan := newSurfer(t, home)
	lan.logIn("lan")
	if w := lan.who(); w.Role != "officer" || w.Department != "Thoát nước" {
		t.Fatalf("lan is %+v", w)
	}
	khach := newSurfer(t, home)
	if at := khach.logIn("khach"); at.Fragment != "login=oidc_no_role" || khach.who().ID != "" {
		t.Errorf("somebody without a role ended at %s as %+v", at, khach.who())
	}

	t.Run("forged answers", func(t *testing.T) {
		forger := newSurfer(t, home)
		forger.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for name, query := range map[string]string{
			"no flow":       "?code=x&state=y",
			"empty state":   "?code=x&state=",
			"begun, forged": "?code=x&state=forged&iss=" + url.QueryEscape(issuer),
		} {
			if name == "begun, forged" {
				forger.do("GET", home+"/v1/oidc/login", nil)
			}
			res, _ := forger.do("GET", home+"/v1/oidc/callback"+query, nil)
			if at := res.Header.Get("Location"); at != "/#login=oidc_state" {
				t.Errorf("%s: sent to %q", name, at)
			}
		}
		// A code of a stranger with the right state does not exchange.
		res, _ := forger.do("GET", home+"/v1/oidc/login?page=//evil.example", nil)
		to, err := res.Location()
		if err != nil {
			t.Fatal(err)
		}
		if q := to.Query(); q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("response_type") != "code" {
			t.Errorf("sent to %s", to)
		}
		res, _ = forger.do("GET", home+"/v1/oidc/callback?code=stolen&state="+to.Query().Get("state")+"&iss="+url.QueryEscape(issuer), nil)
		if at := res.Header.Get("Location"); at != "/#login=oidc_refused" {
			t.Errorf("a stolen code: sent to %q", at)
		}
		for _, token := range []string{"", "x.y.z", "eyJhbGciOiJub25lIn0.e30."} {
			if res, _ := forger.do("POST", home+"/v1/oidc/backchannel", url.Values{"logout_token": {token}}); res.StatusCode != 400 {
				t.Errorf("log-out token %q: %d", token, res.StatusCode)
			}
		}
		if binh.who().ID == "" {
			t.Error("a forged log-out token ended a session")
		}
	})

	t.Run("disabled at the provider", func(t *testing.T) {
		live := lan.socket()
		lan.do("POST", issuer+"/control/disable?user=lan", url.Values{})
		took := endOf(t, live, 60*time.Second)
		if lan.who().ID != "" {
			t.Error("the session lives on")
		}
		t.Logf("out after %v, asking every 3 s", took.Round(100*time.Millisecond))
	})

	t.Run("disabled here", func(t *testing.T) {
		var made struct{ Secret string }
		res, raw := binh.json("POST", "/v1/me/tokens", `{"name":"báo cáo","purpose":"test"}`)
		if res != 201 || json.Unmarshal([]byte(raw), &made) != nil || !strings.HasPrefix(made.Secret, "vgl_") {
			t.Fatalf("%d %s", res, raw)
		}
		bearer := func() int {
			r, _ := http.NewRequest("GET", home+"/v1/session", nil)
			r.Header.Set("Authorization", "Bearer "+made.Secret)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			return res.StatusCode
		}
		if got := bearer(); got != 200 {
			t.Fatalf("the token: %d", got)
		}
		live := binh.socket()
		p.must("person", "disable", "binh")
		took := endOf(t, live, 60*time.Second)
		if binh.who().ID != "" || bearer() != 401 {
			t.Errorf("session %+v, token %d", binh.who(), bearer())
		}
		if at := binh.logIn("binh"); at.Fragment != "login=disabled" {
			t.Errorf("a disabled person ended at %s", at)
		}
		p.must("person", "enable", "binh")
		if binh.who().ID != "" {
			t.Error("enabling brought an ended session back")
		}
		t.Logf("the socket ended after %v, session and token at once", took.Round(100*time.Millisecond))
	})

	t.Run("one log-out is both", func(t *testing.T) {
		one, other := newSurfer(t, home), newSurfer(t, home)
		one.logIn("binh")
		other.Jar = one.Jar // a second browser window, its own session here
		first := one.who()
		if first.ID != "binh" {
			t.Fatalf("not logged in: %+v", first)
		}
		code, raw := one.json("DELETE", "/v1/session", "")
		var next struct{ Next string }
		if code != 200 || json.Unmarshal([]byte(raw), &next) != nil || !strings.HasPrefix(next.Next, issuer) {
			t.Fatalf("log-out: %d %s", code, raw)
		}
		res, page := one.do("GET", next.Next, nil)
		if m := formAction.FindStringSubmatch(page); m != nil { // the provider asks whether
			xsrf := regexp.MustCompile(`name="xsrf" value="([^"]+)"`).FindStringSubmatch(page)
			if xsrf == nil {
				t.Fatalf("the provider's log-out page: %.600s", page)
			}
			res, _ = one.do("POST", m[1], url.Values{"xsrf": {xsrf[1]}, "logout": {"yes"}})
		}
		if !strings.HasPrefix(res.Request.URL.String(), home) {
			t.Errorf("after log-out at %s", res.Request.URL)
		}
		// Logged out at the provider too: its form is back.
		one.CheckRedirect = nil
		if res, page := one.do("GET", home+"/v1/oidc/login", nil); !strings.HasPrefix(res.Request.URL.String(), issuer) || !strings.Contains(page, `name="login"`) {
			t.Errorf("the provider still knows the browser: %s", res.Request.URL)
		}
	})
}

// TestProgramIdentityProviderBrowser is the same in a real browser; what it
// looks for is in ops-center/web/test/e2e/oidc.mjs.
func TestProgramIdentityProviderBrowser(t *testing.T) {
	node, chromium := tool(t, "node"), tool(t, "chromium", "chromium-browser", "google-chrome")
	p, home, issuer := startWithProvider(t)
	requireWall(t, p)
	shots := os.Getenv("VONGLAU_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "test/e2e/oidc.mjs", "--url", home, "--issuer", issuer, "--chromium", chromium, "--shots", shots)
	cmd.Dir = "../../ops-center/web"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// json makes a request with a JSON body by the session.
func (s *surfer) json(method, path, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.home+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Origin", s.home)
	r.Header.Set("Content-Type", "application/json")
	res, err := s.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}
