package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/ops-center/access"
)

// intrusion is what somebody tries at the people's door, in the bytes that go
// out, and the statuses it may get; none where it is not answered.
type intrusion struct {
	name    string
	request string
	want    []int
}

// breakIn is what the attempts have to work with.
type breakIn struct {
	*process
	host                              string
	cookie                            string // of the administrator's session
	ended                             string // of a session that was logged out
	revoked, operator, display, audit string // tokens
}

// send writes bytes to the plain door and gives the statuses of the answers.
func (b *breakIn) send(request string, pause time.Duration) (statuses []int) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.addr.HTTP)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for i, part := range strings.Split(request, "\x00PAUSE") {
		if i > 0 {
			time.Sleep(pause)
		}
		if _, err := io.WriteString(conn, part); err != nil {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	in := bufio.NewReader(conn)
	for len(statuses) < 5 {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
		if res.StatusCode == http.StatusSwitchingProtocols {
			return statuses
		}
		if _, err := io.Copy(io.Discard, res.Body); errors.Is(err, io.ErrUnexpectedEOF) {
			return statuses
		}
		if res.Close {
			return statuses
		}
	}
	return statuses
}

// state is a digest of what people can change here.
func (b *breakIn) state() string {
	b.t.Helper()
	sum := sha256.New()
	for _, path := range []string{"/v1/devices", "/v1/rules", "/v1/people", "/v1/layers", "/v1/departments", "/v1/campaigns", "/v1/scenes", "/v1/displays", "/v1/alarms"} {
		req, err := http.NewRequest(http.MethodGet, "http://"+b.addr.HTTP+path, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(raw, &tree); err != nil {
			b.t.Fatalf("%s: %v", path, err)
		}
		if m, ok := tree.(map[string]any); ok {
			delete(m, "now")
		}
		if raw, err = json.Marshal(tree); err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s %d %s\n", path, res.StatusCode, raw)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// begin opens a session by a token and gives its cookie.
func (b *breakIn) begin(token string) string {
	b.t.Helper()
	body, _ := json.Marshal(map[string]string{"token": token})
	res, err := http.Post("http://"+b.addr.HTTP+"/v1/session", "application/json", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	for _, c := range res.Cookies() {
		if strings.Contains(c.Name, access.CookieName) {
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
				b.t.Errorf("the session's cookie is %s", c)
			}
			return c.Name + "=" + c.Value
		}
	}
	b.t.Fatalf("logging in: %s", res.Status)
	return ""
}

// request writes an HTTP/1.1 request whose connection ends with it.
func (b *breakIn) request(method, path, body string, headers ...string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nConnection: close\r\n", method, path)
	host := false
	for _, h := range headers {
		host = host || strings.HasPrefix(h, "Host:")
		out.WriteString(h + "\r\n")
	}
	if !host {
		out.WriteString("Host: " + b.host + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&out, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return out.String() + "\r\n" + body
}

func (b *breakIn) socket(headers ...string) string {
	return b.request("GET", "/v1/live", "", append([]string{
		"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...)...)
}

const intruder = `{"id":"intruder","profile":"air-quality","at":[106.168,20.434]}`

func (b *breakIn) intrusions() []intrusion {
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	cookie := "Cookie: " + b.cookie
	own := "Origin: http://" + b.host
	forged := b.token[:len(b.token)-1] + string(b.token[len(b.token)-1]^1)
	add := func(headers ...string) string { return b.request("POST", "/v1/devices", intruder, headers...) }
	u, f := []int{401}, []int{403}
	// Wrong credentials are answered 429 after a while: who they come from has
	// tried too often.
	wrong := []int{401, 429}
	return []intrusion{
		{"nobody", add(), u},
		{"an empty token", add("Authorization: Bearer "), wrong},
		{"a forged token", add(bearer(forged)), wrong},
		{"a revoked token", add(bearer(b.revoked)), wrong},
		{"a token of a device's kind", add(bearer("dev:aq-1")), wrong},
		{"the hash of a token", add(bearer(hexHash(b.token))), wrong},
		{"a token in the address", b.request("POST", "/v1/devices?token="+b.token, intruder), u},
		{"a token as a password", add("Authorization: Basic OnBhc3N3b3Jk"), u},
		{"a scheme that is none", add("Authorization: Negotiate " + b.token), u},
		{"a session that was ended", add("Cookie: "+b.ended, own), wrong},
		{"a made-up session", add("Cookie: vonglau_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", own), wrong},
		{"a session from a foreign page", add(cookie, "Origin: https://evil.example"), f},
		{"a session from nowhere", add(cookie), f},
		{"a session from an opaque page", add(cookie, "Origin: null"), f},
		{"a session from another port", add(cookie, "Origin: http://[::1]:1"), f},
		{"a session from a sister name", add(cookie, "Origin: http://"+b.host, "Sec-Fetch-Site: same-site"), f},
		{"a session from a foreign form", b.request("POST", "/v1/devices", "", cookie, "Origin: https://evil.example", "Content-Type: text/plain", "Content-Length: 0"), f},
		{"a log-out by a foreign page", b.request("DELETE", "/v1/session", "", cookie, "Origin: https://evil.example"), f},
		{"a log-in by a foreign page", b.request("POST", "/v1/session", `{"token":"`+b.operator+`"}`, "Origin: https://evil.example"), f},
		{"an operator enrols a device", add(bearer(b.operator)), f},
		{"an operator makes a person", b.request("POST", "/v1/people", `{"id":"x","name":"x","role":"admin"}`, bearer(b.operator)), f},
		{"an operator changes rules", b.request("PUT", "/v1/rules", "rules: []", bearer(b.operator)), f},
		{"a wall changes something", b.request("POST", "/v1/alarms/x/acknowledge", `{}`, bearer(b.display)), f},
		{"a wall reads who is who", b.request("GET", "/v1/people", "", bearer(b.display)), f},
		{"an auditor changes something", add(bearer(b.audit)), f},
		{"an operator reads the record", b.request("GET", "/v1/audit", "", bearer(b.operator)), f},
		{"an administrator reads security events", b.request("GET", "/v1/security/events", "", bearer(b.token)), f},
		{"an operator erases a person", b.request("POST", "/v1/personal/binh/erase", "", bearer(b.operator)), f},
		{"the method in a header", b.request("GET", "/v1/devices", "", bearer(b.display), "X-HTTP-Method-Override: DELETE"), []int{200}},
		{"another address in a header", b.request("GET", "/v1/people", "", bearer(b.display), "X-Original-URL: /v1/session", "X-Rewrite-URL: /v1/session"), f},
		{"a role in a header", add(bearer(b.operator), "X-Role: admin", "X-Forwarded-User: admin", "X-Remote-User: admin"), f},
		{"up in the path", b.request("PUT", "/v1/session/../rules", "rules: []", bearer(b.operator)), []int{301, 307, 403, 404, 405}},
		{"up in the path, encoded", b.request("GET", "/assets/%2e%2e/%2e%2e/admin.token", ""), []int{301, 307, 400, 404}},
		{"the token's file", b.request("GET", "/admin.token", ""), []int{404}},
		{"the journal", b.request("GET", "/journal/", ""), []int{404}},
		{"profiles of the program", b.request("GET", "/debug/pprof/heap", "", bearer(b.token)), []int{404}},
		{"two lengths", "POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ", []int{400}},
		{"length and chunks", "POST /v1/session HTTP/1.1\r\nHost: " + b.host + "\r\n" + cookie + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			"GET /v1/people HTTP/1.1\r\nHost: " + b.host + "\r\nConnection: close\r\n\r\n", []int{400, 401}}, // chunks count (RFC 9112 section 6.3); what is behind is nobody's
		{"chunks by an odd name", "POST /v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []int{400, 501}},
		{"a space before the colon", "POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n{}   ", []int{400}},
		{"no host", "GET /v1/devices HTTP/1.1\r\n\r\n", []int{400}},
		{"two hosts", "GET /v1/devices HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400}},
		{"a line feed in a header", "GET /v1/devices HTTP/1.1\r\nHost: x\r\nX-A: b\nX-C\r\n\r\n", []int{400}},
		{"a proxy's request", "CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\nConnection: close\r\n\r\n", []int{400, 404, 405}},
		{"a whole address", "GET http://evil.example/v1/people HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", []int{401, 421}},
		{"a foreign host", b.request("GET", "/v1/devices", "", bearer(b.token), "Host: evil.example"), []int{421}},
		{"a foreign host that begins like ours", b.request("GET", "/v1/devices", "", bearer(b.token), "Host: ops.city.example.evil.example"), []int{421}},
		{"a large log-in", b.request("POST", "/v1/session", `{"token":"`+strings.Repeat("a", 100_000)+`"}`), []int{400, 413}},
		{"a large header", b.request("GET", "/v1/devices", "", bearer(b.token), "X-Large: "+strings.Repeat("a", 200_000)), []int{431}},
		{"a large body", b.request("POST", "/v1/devices", `{"id":"`+strings.Repeat("a", 3<<20)+`"}`, bearer(b.token)), []int{413, 422}},
		{"a deep body", b.request("POST", "/v1/devices", strings.Repeat(`[`, 100_000), bearer(b.token)), []int{400, 422}},
		{"a body that is no JSON", b.request("POST", "/v1/devices", "\x00\x01\x02", bearer(b.token)), []int{400, 422}},
		{"fields that are none", b.request("POST", "/v1/devices", `{"id":"x","profile":"air-quality","role":"admin"}`, bearer(b.token)), []int{422}},
		{"a body that never comes", "POST /v1/session HTTP/1.1\r\nHost: " + b.host + "\r\nContent-Length: 50\r\n\r\n{", nil},
		{"a head that never ends", "GET /v1/devices HTTP/1.1\r\nHost: x\r\nX-Slow: ", nil},
		{"bytes that are no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", nil},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 421, 505}},
		{"a socket by nobody", b.socket(own), []int{101, 401}},
		{"a socket by a foreign page", b.socket(cookie, "Origin: https://evil.example"), []int{101, 403}},
		{"a socket by a cookie from nowhere", b.socket(cookie), []int{101, 403}},
		{"a socket with a forged token", b.socket("Sec-WebSocket-Protocol: vonglau.wall.v1, bearer." + forged), []int{101, 401, 403, 429}},
		{"a socket with a revoked token", b.socket("Sec-WebSocket-Protocol: vonglau.wall.v1, bearer." + b.revoked), []int{101, 401, 403, 429}},
		{"a socket of an old version", strings.Replace(b.socket(bearer(b.token)), "Version: 13", "Version: 8", 1), []int{400, 426}},
		{"a socket without a key", strings.Replace(b.socket(bearer(b.token)), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), []int{400, 426}},
		{"a socket by POST", strings.Replace(b.socket(bearer(b.token)), "GET /v1/live", "POST /v1/live", 1), []int{405}},
	}
}

func hexHash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// Strangers, people who overreach, foreign pages and broken clients at the
// people's door: each gets its answer, and nothing is changed.
func TestProgramHostilePeople(t *testing.T) {
	operator, display, auditor := access.NewToken(), access.NewToken(), access.NewToken()
	config := filepath.Join(t.TempDir(), "vonglau.yaml")
	text := "tls: {names: [ops.city.example]}\npeople:\n"
	for _, p := range []struct{ name, role, token string }{{"op", "operator", operator}, {"wall", "display", display}, {"aud", "auditor", auditor}} {
		text += fmt.Sprintf("  - {name: %s, role: %s, token_sha256: %s}\n", p.name, p.role, hexHash(p.token))
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &breakIn{process: startProcess(t, t.TempDir(), "--config", config), operator: operator, display: display, audit: auditor}
	b.host = b.addr.HTTP
	b.enrol("aq-1", "air-quality", "106.168,20.434")
	b.cookie, b.ended = b.begin(b.token), b.begin(b.token)
	if got := b.send(b.request("DELETE", "/v1/session", "", "Cookie: "+b.ended, "Origin: http://"+b.host), 0); len(got) != 1 || got[0] >= 300 {
		t.Fatalf("logging out: %v", got)
	}
	var made struct {
		Secret string `json:"secret"`
		Token  struct {
			ID string `json:"id"`
		} `json:"token"`
	}
	if code := b.api(http.MethodPost, "/v1/tokens", nil, `{"kind":"program","name":"x","purpose":"test","role":"operator"}`, &made); code/100 != 2 || made.Secret == "" {
		t.Fatalf("making a token: %d", code)
	}
	b.revoked = made.Secret
	if code := b.api(http.MethodDelete, "/v1/tokens/"+made.Token.ID, nil, "", nil); code/100 != 2 {
		t.Fatalf("revoking a token: %d", code)
	}
	// Whoever may, can: the refusals below are not those of a closed door.
	if got := b.send(b.request("GET", "/v1/devices", "", "Authorization: Bearer "+b.token, "Host: ops.city.example:8080"), 0); len(got) != 1 || got[0] != 200 {
		t.Fatalf("an honest request is answered %v", got)
	}
	before := b.state()
	list := b.intrusions()
	for _, c := range list {
		got := b.send(c.request, 0)
		ok := len(got) > 0 || len(c.want) == 0
		for _, status := range got {
			ok = ok && slices.Contains(c.want, status)
		}
		if !ok {
			t.Errorf("%s: got %v, want one of %v", c.name, got, c.want)
		}
		if len(got) == 1 && got[0] == http.StatusSwitchingProtocols {
			b.refusedSocket(c)
		}
	}
	if len(list) < 40 {
		t.Errorf("%d cases", len(list))
	}
	if after := b.state(); after != before {
		t.Error("something was changed")
	}
	t.Logf("%d cases", len(list))
}

// refusedSocket: a browser is told by a close code why, so the socket opens and
// closes before anything is sent.
func (b *breakIn) refusedSocket(c intrusion) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.addr.HTTP)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, c.request); err != nil {
		b.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(conn)
	if _, err := http.ReadResponse(in, nil); err != nil {
		b.t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err != nil {
		b.t.Errorf("%s: no frame: %v", c.name, err)
		return
	}
	if head[0]&0x0f != 8 {
		b.t.Errorf("%s: the first frame is of kind %d, want a close", c.name, head[0]&0x0f)
		return
	}
	if code := int(head[2])<<8 | int(head[3]); code < 4000 && code != 1008 {
		b.t.Errorf("%s: close code %d", c.name, code)
	}
}
