package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"vonglau/ops-center/access"
	"vonglau/ops-center/live"
)

// person makes a local account, logs it in and gives it a password of its own.
func (p *process) person(t *testing.T, id string, args ...string) (s *surfer, password string) {
	t.Helper()
	made := p.must(append([]string{"person", "add", id}, args...)...)
	once, _ := made["password"].(string)
	s = newSurfer(t, "http://"+p.addr.HTTP)
	password = "a sentence only " + id + " knows"
	if code, raw := s.json("POST", "/v1/session", fmt.Sprintf(`{"name":%q,"password":%q}`, id, once)); code != 200 {
		t.Fatalf("%s logs in: %d %s", id, code, raw)
	}
	if code, raw := s.json("POST", "/v1/me/password", fmt.Sprintf(`{"old":%q,"new":%q}`, once, password)); code/100 != 2 {
		t.Fatalf("%s sets a password: %d %s", id, code, raw)
	}
	if w := s.who(); w.ID != id {
		t.Fatalf("%s is %+v", id, w)
	}
	return s, password
}

// dial opens a socket of the server by the session's cookie, or a token.
func (s *surfer) dial(path, token string) *websocket.Conn {
	s.t.Helper()
	d, h := websocket.Dialer{Subprotocols: []string{live.Protocol}}, http.Header{"Origin": {s.home}}
	if token == "" {
		d.Jar = s.Jar
	} else {
		h.Set("Authorization", "Bearer "+token)
	}
	c, res, err := d.Dial("ws"+strings.TrimPrefix(s.home, "http")+path, h)
	if err != nil {
		s.t.Fatalf("%s: %v %v", path, err, res)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// untilEnd reads something until it ends and sends the moment.
func untilEnd(read func() error) <-chan time.Time {
	ended := make(chan time.Time, 1)
	go func() {
		for read() == nil {
		}
		ended <- time.Now()
	}()
	return ended
}

// A person who is disabled is out of everything that was open, within the 60
// seconds that are promised, and gets in nowhere again. A credential of a
// department ends what it opened when it is rotated.
func TestProgramOut(t *testing.T) {
	p := startProcess(t, t.TempDir())
	mai, password := p.person(t, "mai", "--role", "soc_analyst", "--name", "Nguyễn Thị Mai")
	var made struct{ Secret string }
	if code, raw := mai.json("POST", "/v1/me/tokens", `{"name":"báo cáo","purpose":"test"}`); code != 201 || json.Unmarshal([]byte(raw), &made) != nil {
		t.Fatalf("a token: %d %s", code, raw)
	}
	bearer := func() int {
		r, _ := http.NewRequest("GET", mai.home+"/v1/devices", nil)
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
	past := "/v1/replay?paused=1&at=" + url.QueryEscape(time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	open := map[string]<-chan time.Time{}
	codes := map[string]*websocket.CloseError{}
	for name, c := range map[string]*websocket.Conn{
		"live socket": mai.dial("/v1/live", ""), "live socket of a token": mai.dial("/v1/live", made.Secret), "replay": mai.dial(past, ""),
	} {
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		bye := &websocket.CloseError{}
		codes[name] = bye
		open[name] = untilEnd(func() error {
			_, _, err := c.ReadMessage()
			if e, ok := err.(*websocket.CloseError); ok {
				*bye = *e
			}
			return err
		})
	}
	r, _ := http.NewRequest("GET", mai.home+"/v1/security/stream", nil)
	events := http.Client{Jar: mai.Jar}
	res, err := events.Do(r)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("the security stream: %v %v", res, err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	open["security stream"] = untilEnd(func() error { _, err := lines.ReadString('\n'); return err })
	time.Sleep(500 * time.Millisecond)
	for name, ended := range open {
		select {
		case <-ended:
			t.Fatalf("%s ended before anything was done", name)
		default:
		}
	}

	began := time.Now()
	p.must("person", "disable", "mai")
	if mai.who().ID != "" || bearer() != 401 {
		t.Errorf("at once: session %+v, token %d", mai.who(), bearer())
	}
	t.Logf("session, pages and token ended with the answer, %v after", time.Since(began).Round(time.Millisecond))
	for name, ended := range open {
		select {
		case at := <-ended:
			t.Logf("%s ended %v after", name, at.Sub(began).Round(time.Millisecond))
			if bye := codes[name]; bye != nil && bye.Code != live.NotAuthorised {
				t.Errorf("%s ended by %v", name, bye)
			}
		case <-time.After(time.Until(began.Add(60 * time.Second))):
			t.Errorf("%s goes on after a minute", name)
		}
	}
	again := newSurfer(t, mai.home)
	if code, raw := again.json("POST", "/v1/session", fmt.Sprintf(`{"name":"mai","password":%q}`, password)); code != 401 {
		t.Errorf("the password of a disabled account: %d %s", code, raw)
	}
	for _, how := range []string{"", made.Secret} {
		c := mai.dial("/v1/live", how)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, live.NotAuthorised) {
			t.Errorf("a new socket of a disabled person: %v", err)
		}
	}
	// A refusal is answered before it is written.
	eventually(t, 10*time.Second, func() (bool, string) {
		list := p.records("act=live&outcome=refused")
		return len(list) > 0 && list[0].Status != 0 && list[0].From != "", fmt.Sprintf("refused sockets on record: %+v", list)
	})

	stream := p.must("subscription", "add", "--department", "Sở Xây dựng", "--stream")
	id, _ := stream["id"].(string)
	token, _ := stream["token"].(string)
	desk := mai.dial("/v1/departments/so-xay-dung/stream", token)
	_ = desk.SetReadDeadline(time.Now().Add(60 * time.Second))
	tcp, err := net.Dial("tcp", p.addr.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan time.Time, 2)
	over := func() { gone <- time.Now() }
	client := paho.NewClient(paho.ClientConfig{Conn: tcp, OnClientError: func(error) { over() }, OnServerDisconnect: func(*paho.Disconnect) { over() }})
	connect := func(c *paho.Client, secret string) (*paho.Connack, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return c.Connect(ctx, &paho.Connect{ClientID: "desk", KeepAlive: 60, CleanStart: true, Username: "departments/so-xay-dung", UsernameFlag: true, Password: []byte(secret), PasswordFlag: true})
	}
	if ack, err := connect(client, token); err != nil {
		t.Fatalf("the department by MQTT: %v %+v", err, ack)
	}
	deskEnd := untilEnd(func() error { _, _, err := desk.ReadMessage(); return err })
	began = time.Now()
	p.must("subscription", "rotate", id)
	for name, ended := range map[string]<-chan time.Time{"department stream": deskEnd, "department by MQTT": gone} {
		select {
		case at := <-ended:
			t.Logf("%s ended %v after its token was rotated", name, at.Sub(began).Round(time.Millisecond))
		case <-time.After(time.Until(began.Add(60 * time.Second))):
			t.Errorf("%s goes on a minute after its token was rotated", name)
		}
	}
	if tcp, err = net.Dial("tcp", p.addr.MQTT); err != nil {
		t.Fatal(err)
	}
	if ack, err := connect(paho.NewClient(paho.ClientConfig{Conn: tcp}), token); err == nil {
		t.Errorf("an old token by MQTT: %+v", ack)
	}
}

// What people may do to accounts, their own and others', and what is refused;
// what is left of somebody who was erased.
func TestProgramPeople(t *testing.T) {
	steward := access.NewToken()
	config := filepath.Join(t.TempDir(), "vonglau.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "people:\n  - {name: steward, role: data_steward, token_sha256: %s}\n", hexHash(steward)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, t.TempDir(), "--config", config)
	lead, _ := p.person(t, "lead", "--role", "admin", "--name", "Đỗ Quản Trị")
	binh, secret := p.person(t, "binh", "--role", "operator", "--name", "Trần Thị Bình")
	expect := func(who *surfer, want int, method, path, body string) string {
		t.Helper()
		code, raw := who.json(method, path, body)
		if code != want {
			t.Errorf("%s %s %s: %d, want %d: %.300s", method, path, body, code, want, raw)
		}
		return raw
	}
	// What must not be.
	expect(lead, 409, "PATCH", "/v1/people/lead", `{"role":"operator"}`)
	expect(lead, 409, "PATCH", "/v1/people/lead", `{"disabled":true}`)
	expect(lead, 409, "DELETE", "/v1/people/lead", "")
	expect(binh, 403, "PATCH", "/v1/people/binh", `{"role":"admin"}`)
	expect(binh, 403, "POST", "/v1/people/lead/password", `{}`)
	expect(binh, 422, "PATCH", "/v1/me", `{"language":"vi","role":"admin"}`)
	expect(binh, 422, "PATCH", "/v1/me", `{"language":"fr"}`)
	expect(binh, 403, "POST", "/v1/me/password", `{"old":"wrong","new":"another sentence of hers"}`)
	expect(binh, 422, "POST", "/v1/me/password", fmt.Sprintf(`{"old":%q,"new":"short"}`, secret))
	expect(binh, 403, "POST", "/v1/me/totp", `{"password":"wrong"}`)
	expect(binh, 422, "POST", "/v1/me/tokens", `{"name":"x","purpose":"test","scope":["manage_people"]}`)
	expect(binh, 422, "POST", "/v1/me/tokens", `{"name":"x","purpose":"test","days":4000}`)
	expect(binh, 404, "DELETE", "/v1/me/tokens/not-mine", "")
	expect(binh, 404, "DELETE", "/v1/me/sessions/not-mine", "")
	expect(lead, 409, "POST", "/v1/people", `{"id":"binh","name":"Another","role":"operator"}`)
	expect(lead, 422, "POST", "/v1/people", `{"id":"x","name":"X","role":"emperor"}`)
	expect(lead, 422, "POST", "/v1/people", `{"id":"x","name":"X","role":"officer"}`)
	expect(lead, 422, "POST", "/v1/people", `{"id":"../x","name":"X","role":"operator"}`)
	expect(lead, 404, "PATCH", "/v1/people/nobody", `{"name":"N"}`)
	expect(lead, 404, "DELETE", "/v1/people/nobody", "")
	expect(lead, 403, "POST", "/v1/personal/binh/erase", "")
	if binh.who().Role != "operator" || lead.who().Role != "admin" {
		t.Fatalf("something was changed: %+v %+v", binh.who(), lead.who())
	}
	// What may be.
	expect(binh, 204, "PATCH", "/v1/me", `{"language":"en"}`)
	raw := expect(binh, 200, "GET", "/v1/me", "")
	if !strings.Contains(raw, `"language":"en"`) || strings.Contains(raw, "argon2") || strings.Contains(raw, secret) {
		t.Errorf("GET /v1/me: %s", raw)
	}
	if raw := expect(lead, 200, "GET", "/v1/people", ""); strings.Contains(raw, "argon2") || !strings.Contains(raw, "Trần Thị Bình") {
		t.Errorf("GET /v1/people: %s", raw)
	}
	expect(lead, 200, "PATCH", "/v1/people/binh", `{"role":"shift_leader"}`)
	if got := binh.who().Role; got != "shift_leader" {
		t.Errorf("the new role is in force at once: %s", got)
	}
	// A log-out has its actor.
	other := newSurfer(t, binh.home)
	expect(other, 200, "POST", "/v1/session", fmt.Sprintf(`{"name":"binh","password":%q}`, secret))
	expect(other, 204, "DELETE", "/v1/session", "")
	if list := p.records("act=close-session"); len(list) != 1 || list[0].Who.ID == "" || list[0].Who.Role != "shift_leader" {
		t.Errorf("the log-out on record: %+v", list)
	}

	// Erased: the pseudonym stays, nothing says whose it was.
	if out, stderr, code := p.run("person", "erase", "binh"); code == 0 {
		t.Errorf("an administrator erases: %s %s", out, stderr)
	}
	admin := p.token
	p.token = steward
	gone := p.must("person", "erase", "binh")
	if _, _, code := p.run("person", "erase", "nobody-here"); code == 0 {
		t.Error("erasing nobody worked")
	}
	p.token = admin
	pseudonym, _ := gone["pseudonym"].(string)
	if pseudonym == "" || gone["account"] != true {
		t.Errorf("erasing gives %v", gone)
	}
	if binh.who().ID != "" {
		t.Error("the session of somebody who was erased goes on")
	}
	for _, args := range [][]string{{"audit", "export"}, {"audit", "list", "--json", "--limit", "1000"}, {"person", "list", "--json"}} {
		out, stderr, code := p.run(args...)
		if code != 0 {
			t.Fatalf("%v: %s", args, stderr)
		}
		if strings.Contains(out, "Bình") {
			t.Errorf("%v still names who was erased: %.600s", args, out)
		}
		if args[0] == "audit" && !strings.Contains(out, pseudonym) {
			t.Errorf("%v lost the pseudonym", args)
		}
		if strings.Contains(out, secret) || strings.Contains(out, steward) {
			t.Errorf("%v holds a secret", args)
		}
	}
	if report := p.must("audit", "verify"); report["ok"] != true {
		t.Errorf("the chain after erasing: %v", report)
	}
}
