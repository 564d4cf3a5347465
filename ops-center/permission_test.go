package opscenter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/ops-center/access"
	"vonglau/ops-center/live"
)

var update = flag.Bool("update", false, "write testdata/permissions.txt anew")

// shelf is an access.Store with what was put in before.
type shelf map[string][]byte

func (s shelf) Load(_ context.Context, each func(string, []byte) error) error {
	for k, v := range s {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}
func (s shelf) Put(_ context.Context, key string, value []byte) error { s[key] = value; return nil }
func (s shelf) Delete(_ context.Context, key string) error            { delete(s, key); return nil }

// caller of the walk: a column of the table.
type column struct {
	name, token string
	role        access.Role // empty for somebody who is nobody
	scope       []access.Permission
}

// may is what the table of permissions says of a column.
func (c *column) may(p access.Permission) bool {
	return c.role.May(p) && (c.scope == nil || slices.Contains(c.scope, p))
}

// walkers is everybody who may knock: each role by a token of the configuration,
// and those who hold something that does not, or no longer, or not for this,
// count. The administrator's rights are behind each of the latter.
func walkers(t *testing.T) (columns []column, tokens []access.Token, accounts, programs shelf) {
	t.Helper()
	for _, r := range access.Roles() {
		if r == access.DeviceRole {
			continue // access.Open refuses a person of that role; its permissions are none
		}
		token := strings.Repeat("w", 30) + string(r)
		one := access.Token{Name: "the " + string(r), Role: r, Hash: access.HashToken(token)}
		if r == access.Officer {
			one.Department = "Sở Xây dựng"
		}
		tokens = append(tokens, one)
		columns = append(columns, column{name: string(r), token: token, role: r})
	}
	accounts, programs = shelf{}, shelf{}
	put := func(into shelf, id string, v map[string]any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		into[id] = raw
	}
	put(accounts, "gone", map[string]any{"id": "gone", "name": "Gone", "role": "admin", "disabled": true, "origin": "local", "epoch": 2})
	put(accounts, "here", map[string]any{"id": "here", "name": "Here", "role": "operator", "origin": "local", "epoch": 1})
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	program := func(id string, more map[string]any) string {
		secret := access.TokenPrefix + id + "_" + strings.Repeat("s", 43)
		sum := access.HashToken(secret)
		v := map[string]any{
			"id": id, "kind": "program", "name": id, "purpose": "test", "role": "admin", "perMinute": 100000, "perDay": 1000000,
			"created": past, "expires": soon, "hash": base64.RawStdEncoding.EncodeToString(sum[:]),
		}
		for k, m := range more {
			v[k] = m
		}
		put(programs, id, v)
		return secret
	}
	columns = append(columns,
		column{name: "own", token: program("own", map[string]any{"kind": "person", "owner": "here", "role": ""}), role: access.Operator},
		column{name: "scoped", token: program("scoped", map[string]any{"scope": []access.Permission{access.View}}), role: access.Admin, scope: []access.Permission{access.View}},
		column{name: "anonymous"},
		column{name: "unknown", token: strings.Repeat("u", 43)},
		column{name: "expired", token: program("expired", map[string]any{"expires": past})},
		column{name: "revoked", token: program("revoked", map[string]any{"revoked": past})},
		column{name: "disabled", token: program("disabled", map[string]any{"kind": "person", "owner": "gone", "role": ""})},
		column{name: "elsewhere", token: program("elsewhere", map[string]any{"networks": []string{"2001:db8:7::/48"}})},
	)
	return columns, tokens, accounts, programs
}

// walkCity is a city that all of them know the address of.
func walkCity(t *testing.T) (*city, []column) {
	columns, tokens, accounts, programs := walkers(t)
	c := start(t, func(o *Options) {
		acc, err := access.Open(t.Context(), access.Options{Dir: t.TempDir(), Tokens: tokens, Accounts: accounts, APITokens: programs})
		if err != nil {
			t.Fatal(err)
		}
		o.Access = acc
	})
	c.admin = columns[slices.IndexFunc(columns, func(k column) bool { return k.role == access.Admin })].token
	c.add(`{"id":"a-1","profile":"air-quality"}`)
	return c, columns
}

// walk asks for a route as everybody, and gives the line of the table. What
// differs from the table of permissions is an error.
func walk(t *testing.T, c *city, columns []column, pattern string, p access.Permission) string {
	t.Helper()
	method, path := concrete(pattern)
	line := fmt.Sprintf("%-66s %-16s", pattern, p)
	for _, who := range columns {
		if p == access.Self {
			line += fmt.Sprintf(" %-*s", len(who.name), "*")
			continue
		}
		status, header, body := c.call(who.token, method, path, "")
		refused := status == http.StatusForbidden && strings.Contains(body, "may not: ")
		mark, want := "x", "x"
		switch {
		case status == http.StatusUnauthorized || status == http.StatusTooManyRequests:
			mark = "."
		case refused:
			mark = "-"
		case status == http.StatusForbidden:
			mark = "o" // let in, and bounded by the handler
		}
		switch {
		case p == access.Public:
		case who.role == "":
			want = "."
		case !who.may(p):
			want = "-"
		}
		if mark != want && !(mark == "o" && want == "x") {
			t.Errorf("%s as %s (needs %s): %d %.200s", pattern, who.name, p, status, body)
		}
		if status >= 400 && header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s as %s: an error of type %q: %.200s", pattern, who.name, header.Get("Content-Type"), body)
		}
		if status == http.StatusInternalServerError {
			t.Errorf("%s as %s: %.200s", pattern, who.name, body)
		}
		if status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", pattern)
		}
		line += fmt.Sprintf(" %-*s", len(who.name), mark)
	}
	return strings.TrimRight(line, " ")
}

// Every route against everybody: what happens is what the table of permissions
// says, and what testdata/permissions.txt shows to whoever reviews a change.
//
//	go test ./ops-center -run TestPermissionWalk -update
func TestPermissionWalk(t *testing.T) {
	c, columns := walkCity(t)
	patterns := make([]string, 0, len(c.api.routes))
	for pattern, p := range c.api.routes {
		// Pages and files of the wall are many, hold no data and need nothing.
		if p != access.Public || strings.Contains(pattern, " /v1/") {
			patterns = append(patterns, pattern)
		}
	}
	slices.SortFunc(patterns, func(x, y string) int {
		_, px, _ := strings.Cut(x, " ")
		_, py, _ := strings.Cut(y, " ")
		return strings.Compare(px+" "+x, py+" "+y)
	})
	var out strings.Builder
	out.WriteString("# Every route as everybody. Made by: go test ./ops-center -run TestPermissionWalk -update\n" +
		"# x let in   o let in, bounded by the handler   - not permitted (403)   . not known (401)   * checks its caller itself\n" +
		"# own: an API token that acts for an operator. scoped: an administrator's token for view only. Those right of it hold\n" +
		"# administrators' tokens that have expired, were revoked, are of a disabled account, or are for another network.\n")
	fmt.Fprintf(&out, "%-66s %-16s", "route", "needs")
	for _, who := range columns {
		out.WriteString(" " + who.name)
	}
	out.WriteString("\n")
	for _, pattern := range patterns {
		out.WriteString(walk(t, c, columns, pattern, c.api.routes[pattern]) + "\n")
	}
	file := filepath.Join("testdata", "permissions.txt")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		got, kept := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
		for _, line := range got {
			if !slices.Contains(kept, line) {
				t.Errorf("not in %s: %s", file, line)
			}
		}
		for _, line := range kept {
			if !slices.Contains(got, line) {
				t.Errorf("only in %s: %s", file, line)
			}
		}
	}
}

// The walk finds a route that is let in against its permission, and a route
// without a permission does not get as far as a server.
func TestPermissionWalkFinds(t *testing.T) {
	c, columns := walkCity(t)
	c.api.mux.Handle("GET /v1/left-open", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "all of it") }))
	probe := &testing.T{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		walk(probe, c, columns, "GET /v1/left-open", access.ViewAudit)
	}()
	<-done
	if !probe.Failed() {
		t.Error("an open route went through the walk")
	}
	a := &api{Options: c.api.Options, mux: http.NewServeMux(), routes: map[string]access.Permission{}}
	ruledMux{a}.HandleFunc("POST /v1/new", func(http.ResponseWriter, *http.Request) {})
	if len(a.unruled) != 1 {
		t.Error("a route without a permission was taken")
	}
}

// said is every message a screen may send over the live socket, with what it is
// answered to whoever may open one: empty for taken, else the code of the error.
var said = map[string]struct {
	body string
	code int
}{
	"subscribe": {`{"type":"subscribe","alarms":{"maxPriority":2}}`, 0},
	"ping":      {`{"type":"ping","id":7}`, 0},
	// Only a display's own screen speaks for it.
	"health": {`{"type":"health"}`, 403},
	// These steer a replay, which the live socket is not.
	"play":  {`{"type":"play"}`, 400},
	"pause": {`{"type":"pause"}`, 400},
	"seek":  {`{"type":"seek","at":1}`, 400},
	"speed": {`{"type":"speed","speed":2}`, 400},
}

// messageTypes reads which messages the socket knows from its source.
func messageTypes(t *testing.T, source any) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "live/screen.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(f, func(n ast.Node) bool {
		sw, ok := n.(*ast.SwitchStmt)
		if !ok {
			return true
		}
		if tag, ok := sw.Tag.(*ast.SelectorExpr); !ok || tag.Sel.Name != "Type" {
			return true
		}
		for _, clause := range sw.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				if lit, ok := e.(*ast.BasicLit); ok {
					list = append(list, strings.Trim(lit.Value, `"`))
				}
			}
		}
		return true
	})
	return list
}

// Every message of the live socket as everybody: who may not view is told 4001
// and nothing else, and a message is answered as said says.
func TestSocketWalk(t *testing.T) {
	types := messageTypes(t, nil)
	if !slices.Contains(types, "subscribe") {
		t.Fatalf("the messages of the socket were not found: %v", types)
	}
	for _, kind := range types {
		if _, ok := said[kind]; !ok {
			t.Errorf("message %q has no rule: say in this test who may send it", kind)
		}
	}
	if got := messageTypes(t, `package live; func f(r request) { switch r.Type { case "subscribe": case "erase": } }`); !slices.Equal(got, []string{"subscribe", "erase"}) {
		t.Errorf("a new message would not be noticed: %v", got)
	}
	c, columns := walkCity(t)
	address := "ws" + strings.TrimPrefix(c.url, "http") + "/v1/live"
	for _, who := range columns {
		header := http.Header{"Origin": {c.url}}
		if who.token != "" {
			header.Set("Authorization", "Bearer "+who.token)
		}
		dialer := websocket.Dialer{Subprotocols: []string{live.Protocol}}
		ws, res, err := dialer.Dial(address, header)
		if err != nil {
			t.Errorf("%s: %v %v", who.name, err, res)
			continue
		}
		_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		if !who.may(access.View) {
			_, first, err := ws.ReadMessage()
			var bye *websocket.CloseError
			if !errors.As(err, &bye) || bye.Code != live.NotAuthorised {
				t.Errorf("%s: got %s, %v instead of a close", who.name, first, err)
			}
			ws.Close()
			continue
		}
		for _, kind := range types {
			if err := errors.Join(ws.WriteMessage(websocket.TextMessage, []byte(said[kind].body)), ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping","id":"after"}`))); err != nil {
				t.Fatalf("%s: %s: %v", who.name, kind, err)
			}
			code := 0
			for {
				frame, body, err := ws.ReadMessage()
				if err != nil {
					t.Fatalf("%s: after %s: %v", who.name, kind, err)
				}
				var m struct {
					Type string
					ID   any
					Code int
				}
				if frame == websocket.TextMessage && json.Unmarshal(body, &m) != nil {
					t.Fatalf("%s: %s", who.name, body)
				}
				if m.Type == "error" {
					code = m.Code
				}
				if m.Type == "pong" && m.ID == "after" {
					break
				}
			}
			if code != said[kind].code {
				t.Errorf("%s: %s was answered with %d, want %d", who.name, kind, code, said[kind].code)
			}
		}
		ws.Close()
	}
	// A page of another site, with everybody's cookie or token.
	for _, who := range columns {
		_, res, err := websocket.DefaultDialer.Dial(address, http.Header{"Origin": {"https://evil.example"}, "Authorization": {"Bearer " + who.token}})
		if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("%s from another origin: %v %v", who.name, res, err)
		}
	}
}
