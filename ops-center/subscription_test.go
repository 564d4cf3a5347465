package opscenter

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/notify"
	"vonglau/ops-center/outbound"
)

// tape is a log in memory that can be followed.
type tape struct {
	mu      sync.Mutex
	list    [][]byte
	subject string
	grown   chan struct{}
}

func (l *tape) Append(_ context.Context, subject string, data []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.subject = append(l.list, data), subject
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return uint64(len(l.list)), nil
}

func (l *tape) End() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.list))
}

func (l *tape) Read(_ context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	l.mu.Lock()
	list, subject := slices.Clone(l.list), l.subject
	l.mu.Unlock()
	for i := max(from, 1); i <= uint64(len(list)); i++ {
		if err := each(i, noon, subject, list[i-1]); err != nil {
			return err
		}
	}
	return nil
}

func (l *tape) Follow(ctx context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for {
		if err := l.Read(ctx, from, func(seq uint64, at time.Time, s string, d []byte) error { from = seq + 1; return each(seq, at, s, d) }); err != nil {
			return err
		}
		l.mu.Lock()
		if uint64(len(l.list)) >= from {
			l.mu.Unlock()
			continue
		}
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type unsealed struct{}

func (unsealed) Seal(plain []byte, _, _ string) []byte             { return plain }
func (unsealed) Unseal(sealed []byte, _, _ string) ([]byte, error) { return sealed, nil }

// subscribers is a city with departments that subscribe, and a receiver of all
// their webhooks.
type subscribers struct {
	*city
	notify           *notify.Notify
	alarms, warnings *tape
	hook             string
	n                int

	mu   sync.Mutex
	got  [][]byte
	down bool
}

const (
	roadsToken  = "an-officer-of-the-roads-has-this"
	healthToken = "an-officer-of-health-has-this-one"
)

func startSubscribers(t *testing.T) *subscribers {
	t.Helper()
	s := &subscribers{alarms: &tape{}, warnings: &tape{}}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.got = append(s.got, body)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	s.hook = server.URL
	client, err := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("::1/128")}, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.notify, err = notify.Open(t.Context(), notify.Options{
		Store: store{&memory{data: map[string][]byte{}}}, Feed: &tape{}, Receipts: &tape{}, Sealer: unsealed{}, Outbound: client,
		Sources: []notify.Source{notify.Alarms(s.alarms), notify.Warnings(s.warnings, nil)},
		Answers: func(al *alert.Alarm) string { department, _ := AlarmBounds(s.register, al); return department },
		Backoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond, GiveUp: 100 * time.Millisecond, Linger: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.notify.Start()
	t.Cleanup(func() { _ = s.notify.Stop(context.Background()) })
	acc, err := access.Open(t.Context(), access.Options{Dir: t.TempDir(), Tokens: []access.Token{
		{Name: "roads", Role: access.Officer, Department: "Sở Xây dựng", Hash: access.HashToken(roadsToken)},
		{Name: "health", Role: access.Officer, Department: "Sở Y tế", Hash: access.HashToken(healthToken)},
		{Name: "Ca trực", Role: access.Operator, Hash: access.HashToken(operatorToken)},
		{Name: "wall-1", Role: access.Display, Hash: access.HashToken(displayToken)},
		{Name: "boss", Role: access.Admin, Hash: access.HashToken("an-administrator-of-this-test-has")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.city = start(t, func(o *Options) { o.Notify, o.Access = s.notify, acc })
	s.admin = "an-administrator-of-this-test-has"
	return s
}

// raise appends a transition, with an alarm that has all there is in one.
func (s *subscribers) raise(change func(*alert.Transition)) string {
	s.t.Helper()
	s.n++
	tr := alert.Transition{Event: alert.Raise, From: alert.Normal, To: alert.Unacknowledged, At: noon, Recorded: time.Now().UTC(), Who: alert.Actor{Name: "rules"}}
	tr.Alarm = alert.Alarm{ID: fmt.Sprintf("flood.f-%d.abc", s.n), Rule: "flood", RuleName: map[string]string{"vi": "Ngập", "en": "Flood"}, Device: "f-1", Entity: "f-1", Priority: 2, State: tr.To, Raised: noon, Owner: "Sở Xây dựng",
		Message: map[string]string{"vi": "Nước 35 cm"}, Response: map[string]string{"vi": "Đóng đường"}}
	if change != nil {
		change(&tr)
	}
	data, err := json.Marshal(tr)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.alarms.Append(s.t.Context(), "alarm", data); err != nil {
		s.t.Fatal(err)
	}
	return tr.Alarm.ID
}

func (s *subscribers) bodies() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *subscribers) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// subscribe adds a subscription as somebody; the answer has its credentials.
func (s *subscribers) subscribe(as, body string) (out struct{ ID, Department, Secret, Token, CreatedBy string }) {
	s.t.Helper()
	status, _, text := s.call(as, "POST", "/v1/subscriptions", body)
	if status != http.StatusCreated {
		s.t.Fatalf("subscribing: %d %s", status, text)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestSubscriptionsOfOnesOwn: who serves a department sees and changes its
// subscriptions; those of another are not there for him, whatever he does.
func TestSubscriptionsOfOnesOwn(t *testing.T) {
	s := startSubscribers(t)
	hook := func(more string) string { return fmt.Sprintf(`{"kind":"webhook","url":%q%s}`, s.hook, more) }
	roads := s.subscribe(roadsToken, hook(""))
	health := s.subscribe(healthToken, hook(`,"department":"sở  Y TẾ","name":"theirs"`))
	if roads.Department != "Sở Xây dựng" || roads.CreatedBy != "roads" || len(roads.Secret) < 40 {
		t.Errorf("an officer's own: %+v", roads)
	}
	if status, _, text := s.call(roadsToken, "POST", "/v1/subscriptions", hook(`,"department":"Sở Y tế"`)); status != 403 {
		t.Errorf("for another department: %d %s", status, text)
	}
	byAdmin := s.subscribe(s.admin, hook(`,"department":"Sở Y tế","name":"given"`))

	// A dead letter of each, to be asked for.
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	s.raise(nil)
	s.raise(func(tr *alert.Transition) { tr.Alarm.Owner = "Sở Y tế" })
	dead := func(id string) string {
		var answer struct{ Dead []notify.Receipt }
		s.get("/v1/subscriptions/"+id+"/deliveries", &answer)
		if len(answer.Dead) == 0 {
			return ""
		}
		return answer.Dead[0].ID
	}
	s.until("dead letters", func() bool { return dead(roads.ID) != "" && dead(health.ID) != "" && dead(byAdmin.ID) != "" })

	list := func(token string) (ids []string) {
		_, _, text := s.call(token, "GET", "/v1/subscriptions", "")
		var answer struct{ Subscriptions []struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for _, x := range answer.Subscriptions {
			ids = append(ids, x.ID)
		}
		slices.Sort(ids)
		return ids
	}
	sorted := func(ids ...string) []string { slices.Sort(ids); return ids }
	for token, want := range map[string][]string{roadsToken: {roads.ID}, healthToken: sorted(health.ID, byAdmin.ID), s.admin: sorted(roads.ID, health.ID, byAdmin.ID)} {
		if got := list(token); !slices.Equal(got, want) {
			t.Errorf("%s sees %v, want %v", token, got, want)
		}
	}
	routes := []struct{ method, path, body string }{
		{"GET", "", ""},
		{"PUT", "", fmt.Sprintf(`{"name":"mine now","url":%q}`, s.hook)},
		{"POST", "/test", ""},
		{"POST", "/rotate", "{}"},
		{"GET", "/deliveries", ""},
		{"POST", "/resend", ""},
		{"POST", "/deliveries/" + dead(health.ID) + "/resend", ""},
		{"DELETE", "/deliveries/" + dead(health.ID), ""},
		{"DELETE", "", ""},
	}
	before, err := s.notify.Get(health.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		path := "/v1/subscriptions/" + health.ID + r.path
		if status, _, text := s.call(roadsToken, r.method, path, r.body); status != 404 || strings.Contains(text, "theirs") {
			t.Errorf("%s %s of another department: %d %s", r.method, r.path, status, text)
		}
		for _, token := range []string{operatorToken, displayToken} {
			if status, _, _ := s.call(token, r.method, path, r.body); status != 403 {
				t.Errorf("%s %s by who may not subscribe: %d", r.method, r.path, status)
			}
		}
		if status, _, _ := s.call("", r.method, path, r.body); status != 401 {
			t.Errorf("%s %s by nobody: %d", r.method, r.path, status)
		}
		if status, _, text := s.call(healthToken, r.method, "/v1/subscriptions/nothing"+r.path, r.body); status != 404 {
			t.Errorf("%s %s of none: %d %s", r.method, r.path, status, text)
		}
	}
	if after, err := s.notify.Get(health.ID); err != nil || !reflect.DeepEqual(before, after) || dead(health.ID) == "" {
		t.Errorf("it was changed: %+v, was %+v", after, before)
	}
	s.mu.Lock()
	s.down = false
	s.mu.Unlock()
	for _, r := range routes { // its own may
		if status, _, text := s.call(healthToken, r.method, "/v1/subscriptions/"+health.ID+r.path, r.body); status/100 != 2 && !strings.HasPrefix(r.path, "/deliveries/") {
			t.Errorf("%s %s of one's own: %d %s", r.method, r.path, status, text)
		}
	}
	// What is asked for and cannot be.
	for body, field := range map[string]string{
		`{"kind":"webhook","url":"http://[fd00::1]/"}`:                      "body.url",
		`{"kind":"webhook","url":"file:///etc/passwd"}`:                     "body.url",
		`{"kind":"email","to":["a@b.example"]}`:                             "body.kind",
		hook(`,"secret":"short"`):                                           "body.secret",
		hook(`,"filter":{"priorities":[5]}`):                                "body.filter.priorities",
		hook(`,"filter":{"events":["alarm.exploded"]}`):                     "body.filter.events",
		hook(`,"quiet":{"from":"22:00","to":"22:00"}`):                      "body.quiet",
		hook(`,"escalation":{"after":"5m","to":"nothing"}`):                 "body.escalation.to",
		hook(fmt.Sprintf(`,"escalation":{"after":"5s","to":%q}`, roads.ID)): "body.escalation.after",
		hook(`,"format":"cap","digest":"hour"`):                             "body.format",
		`{"kind":"stream","digest":"day"}`:                                  "body.digest",
		`{"kind":"pigeon"}`:                                                 "body.kind",
	} {
		if status, _, text := s.call(roadsToken, "POST", "/v1/subscriptions", body); status != 422 || !strings.Contains(text, field) {
			t.Errorf("%s: %d %s, want %s", body, status, text, field)
		}
	}
}

// wsMessage reads the next message of a stream.
func wsMessage(t *testing.T, c *websocket.Conn) (m notify.Message) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, raw, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return m
}

// TestDepartmentStream: a stream over WebSocket is resumed behind what somebody
// has, an acknowledgement is the receipt, and it is for its department alone.
func TestDepartmentStream(t *testing.T) {
	s := startSubscribers(t)
	roads := s.subscribe(roadsToken, `{"kind":"stream","name":"duty"}`)
	health := s.subscribe(healthToken, `{"kind":"stream"}`)
	atom := s.subscribe(roadsToken, `{"kind":"atom"}`)
	path := func(department, query string) string {
		return "ws" + strings.TrimPrefix(s.url, "http") + "/v1/departments/" + department + "/stream" + query
	}
	dial := func(token, department, query string) (*websocket.Conn, int) {
		t.Helper()
		c, res, err := websocket.DefaultDialer.Dial(path(department, query), http.Header{"Authorization": {"Bearer " + token}})
		if err != nil {
			if res == nil {
				t.Fatal(err)
			}
			return nil, res.StatusCode
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, res.StatusCode
	}
	for _, c := range []struct {
		name, token, department, query string
		want                           int
	}{
		{"another department's token", health.Token, "so-xay-dung", "", 401},
		{"one's own token at another department", roads.Token, "so-y-te", "", 401},
		{"a feed's token", atom.Token, "so-xay-dung", "", 401},
		{"an administrator's token", s.admin, "so-xay-dung", "", 401},
		{"no token", "", "so-xay-dung", "", 401},
		{"a department that is not", roads.Token, "so-tien", "", 401},
		{"a place that is none", roads.Token, "so-xay-dung", "?since=yesterday", 422},
	} {
		if conn, status := dial(c.token, c.department, c.query); conn != nil || status != c.want {
			t.Errorf("%s: %d, want %d", c.name, status, c.want)
		}
	}
	if status, _, _ := s.call(roads.Token, "GET", "/v1/departments/so-xay-dung/stream", ""); status != http.StatusUpgradeRequired {
		t.Errorf("without WebSocket: %d", status)
	}
	// A foreign page has no token: its visitor's session is of no use here.
	conn, _ := dial(roads.Token, "so-xay-dung", "")
	first := s.raise(nil)
	m := wsMessage(t, conn)
	if m.Event.Alarm.ID != first || m.Department != "Sở Xây dựng" || m.Type != "event" {
		t.Errorf("got %+v", m)
	}
	newest := func() notify.Receipt {
		list, _, err := s.notify.Deliveries(roads.ID)
		if err != nil || len(list) == 0 {
			return notify.Receipt{}
		}
		return list[0]
	}
	if r := newest(); r.State == notify.Delivered {
		t.Errorf("a receipt before the receiver's: %+v", r)
	}
	if err := conn.WriteJSON(map[string]uint64{"ack": m.Event.Seq}); err != nil {
		t.Fatal(err)
	}
	s.until("the receipt", func() bool { r := newest(); return r.ID == m.ID && r.State == notify.Delivered })
	_ = conn.Close()

	var want []string
	for range 5 {
		want = append(want, s.raise(nil))
	}
	s.until("five more", func() bool { return s.notify.End() == 6 })
	conn, _ = dial(roads.Token, "so-xay-dung", fmt.Sprintf("?since=%d", m.Event.Seq))
	var got []string
	var third notify.Message
	for i := range 5 {
		x := wsMessage(t, conn)
		if got = append(got, x.Event.Alarm.ID); i == 2 {
			third = x
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("behind the first came %v, want %v", got, want)
	}
	again, _ := dial(roads.Token, "so-xay-dung", fmt.Sprintf("?since=%d", third.Event.Seq-1))
	if x := wsMessage(t, again); x.ID != third.ID || !reflect.DeepEqual(x, third) {
		t.Errorf("the same comes again as %+v, was %+v", x, third)
	}
	// A test has its turn in the stream, and is received when it is read.
	tested := make(chan string, 1)
	go func() {
		_, _, text := s.call(roadsToken, "POST", "/v1/subscriptions/"+roads.ID+"/test", "")
		tested <- text
	}()
	if x := wsMessage(t, conn); x.Type != "test" || x.Text == "" {
		t.Errorf("a test came as %+v", x)
	}
	if text := <-tested; !strings.Contains(text, `"state":"delivered"`) {
		t.Errorf("the test answered %s", text)
	}
	// What was not agreed ends it, and so does a new token.
	if err := again.WriteMessage(websocket.TextMessage, []byte(`{"ack":"all of it"}`)); err != nil {
		t.Fatal(err)
	}
	ended := func(c *websocket.Conn) error {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return err
			}
		}
	}
	var late net.Error
	if err := ended(again); errors.As(err, &late) && late.Timeout() {
		t.Error("nonsense is listened to")
	}
	if status, _, text := s.call(roadsToken, "POST", "/v1/subscriptions/"+roads.ID+"/rotate", "{}"); status != 200 {
		t.Fatal(status, text)
	}
	if err := ended(conn); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("after a new token: %v", err)
	}
	if c, status := dial(roads.Token, "so-xay-dung", ""); c != nil || status != 401 {
		t.Errorf("the old token: %d", status)
	}

	// The feed is for its token.
	feed := "/v1/subscriptions/" + atom.ID + "/feed.atom"
	for token, want := range map[string]int{atom.Token: 200, health.Token: 401, "": 401, s.admin: 401} {
		status, header, text := s.call("", "GET", feed+"?token="+token, "")
		if status != want {
			t.Errorf("the feed with %.8q: %d, want %d", token, status, want)
		}
		var f struct {
			Entries []struct{} `xml:"entry"`
		}
		if status == 200 && (xml.Unmarshal([]byte(text), &f) != nil || len(f.Entries) != 6 || !strings.HasPrefix(header.Get("Content-Type"), "application/atom+xml")) {
			t.Errorf("the feed is %s", text)
		}
	}
}

// fill sets every field there is, so that a schema is held to all of them.
func fill(v reflect.Value, depth int) {
	if depth > 8 || !v.CanSet() {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon))
		return
	case alert.State:
		v.SetString(string(alert.Acknowledged))
		return
	case devices.Quantity:
		v.SetString("water_level")
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(2)
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(2)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}

// schema is a JSON Schema, as far as ours go. What it does not know it refuses.
type schema struct {
	t    *testing.T
	root map[string]any
}

func (s *schema) problems(at string, rule, v any) (list []string) {
	r, ok := rule.(map[string]any)
	if !ok {
		s.t.Fatalf("%s: %v is no schema", at, rule)
	}
	bad := func(format string, args ...any) { list = append(list, at+": "+fmt.Sprintf(format, args...)) }
	kind := func(v any) string {
		switch v := v.(type) {
		case nil:
			return "null"
		case bool:
			return "boolean"
		case string:
			return "string"
		case float64:
			if v == float64(int64(v)) {
				return "integer"
			}
			return "number"
		case []any:
			return "array"
		}
		return "object"
	}
	for key, want := range r {
		switch key {
		case "$ref":
			var to any = s.root
			for part := range strings.SplitSeq(strings.TrimPrefix(want.(string), "#/"), "/") {
				if to = to.(map[string]any)[part]; to == nil {
					s.t.Fatalf("%s: %v leads nowhere", at, want)
				}
			}
			list = append(list, s.problems(at, to, v)...)
		case "type":
			types, ok := want.([]any)
			if !ok {
				types = []any{want}
			}
			if k := kind(v); !slices.Contains(types, any(k)) && (k != "integer" || !slices.Contains(types, any("number"))) {
				bad("is %s, not %v", k, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad("%v is none of %v", v, want)
			}
		case "required":
			if o, ok := v.(map[string]any); ok {
				for _, name := range want.([]any) {
					if _, there := o[name.(string)]; !there {
						bad("%v is missing", name)
					}
				}
			}
		case "properties":
			if o, ok := v.(map[string]any); ok {
				for name, inner := range want.(map[string]any) {
					if value, there := o[name]; there {
						list = append(list, s.problems(at+"."+name, inner, value)...)
					}
				}
			}
		case "additionalProperties":
			known, _ := r["properties"].(map[string]any)
			o, _ := v.(map[string]any)
			for name, value := range o {
				if _, there := known[name]; there {
					continue
				}
				if want == false {
					bad("%s is not known", name)
				} else if inner, ok := want.(map[string]any); ok {
					list = append(list, s.problems(at+"."+name, inner, value)...)
				}
			}
		case "items":
			l, _ := v.([]any)
			for i, value := range l {
				list = append(list, s.problems(fmt.Sprintf("%s[%d]", at, i), want, value)...)
			}
		case "minItems":
			if l, ok := v.([]any); ok && len(l) < int(want.(float64)) {
				bad("%d items", len(l))
			}
		case "maxItems":
			if l, ok := v.([]any); ok && len(l) > int(want.(float64)) {
				bad("%d items", len(l))
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				bad("%v is less than %v", n, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad("%q does not match %v", text, want)
			}
		case "format":
			if text, ok := v.(string); ok && want == "date-time" {
				if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
					bad("%v", err)
				}
			}
		case "description", "title", "examples", "contentEncoding":
		default:
			s.t.Fatalf("%s: the test knows no %s", at, key)
		}
	}
	return list
}

// TestAsyncAPI: every kind of message that departments are really sent is what
// the document says, with all the fields an alarm can have; what is not said in
// it is not sent.
func TestAsyncAPI(t *testing.T) {
	s := startSubscribers(t)
	_, header, text := s.call("", "GET", "/v1/asyncapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc["asyncapi"] != "3.0.0" || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
		t.Fatalf("%v: %.200s", err, text)
	}
	known := &schema{t, doc}
	payload := func(message string) any {
		m, _ := doc["components"].(map[string]any)["messages"].(map[string]any)[message].(map[string]any)
		return m["payload"]
	}
	// Every reference of the document leads somewhere.
	for _, ref := range regexp.MustCompile(`"\$ref":"#/([^"]+)"`).FindAllStringSubmatch(text, -1) {
		var to any = doc
		for part := range strings.SplitSeq(ref[1], "/") {
			o, _ := to.(map[string]any)
			to = o[part]
		}
		if to == nil {
			t.Errorf("#/%s leads nowhere", ref[1])
		}
	}

	hook := s.subscribe(s.admin, fmt.Sprintf(`{"kind":"webhook","department":"Sở Xây dựng","url":%q,"filter":{"exercises":true}}`, s.hook))
	digest := s.subscribe(s.admin, fmt.Sprintf(`{"kind":"webhook","department":"Sở Xây dựng","url":%q,"digest":"day","filter":{"rules":["held"]}}`, s.hook))
	full := func(event alert.Event, from, to alert.State, exercise string) {
		s.raise(func(tr *alert.Transition) {
			at, priority := tr.Recorded, 3
			id := tr.Alarm.ID
			fill(reflect.ValueOf(tr).Elem(), 0)
			tr.Event, tr.From, tr.To, tr.Recorded = event, from, to, at
			tr.Alarm.ID, tr.Alarm.Priority, tr.Alarm.Rule, tr.Alarm.Exercise, tr.Alarm.Category = id, priority, "held", exercise, "Met"
		})
	}
	full(alert.Raise, alert.Normal, alert.Unacknowledged, "")
	full(alert.Ack, alert.Unacknowledged, alert.Acknowledged, "")
	full(alert.Clear, alert.Acknowledged, alert.Normal, "")
	full(alert.Shelve, alert.Unacknowledged, alert.Shelved, "")
	full(alert.Raise, alert.Normal, alert.Unacknowledged, "drill-1")
	s.raise(nil) // one with as little as there can be
	for _, msgType := range []string{"Alert", "Update", "Cancel"} {
		reference := ""
		if msgType != "Alert" {
			reference = "<references>a@b,c,2026-11-21T11:00:00+07:00</references>"
		}
		record, err := json.Marshal(map[string]any{"at": time.Now(), "act": "sent", "id": "2026-0001", "by": map[string]string{"name": "An"}, "xml": `<?xml version="1.0"?><alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>c` + msgType + `</identifier><sender>a@b</sender><sent>2026-11-21T12:00:00+07:00</sent><status>Actual</status><msgType>` + msgType + `</msgType><scope>Public</scope>` + reference + `<info><language>vi-VN</language><category>Met</category><category>Safety</category><event>Mưa</event><urgency>Expected</urgency><severity>Severe</severity><certainty>Likely</certainty><expires>2026-11-21T18:00:00+07:00</expires><senderName>TT</senderName><headline>Mưa</headline><description>x</description><instruction>y</instruction><area><areaDesc>Nam Định</areaDesc><geocode><valueName>wards</valueName><value>1</value></geocode></area></info></alert>`})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.warnings.Append(t.Context(), "warning", record); err != nil {
			t.Fatal(err)
		}
	}
	s.until("nine messages", func() bool { return len(s.bodies()) >= 9 })
	if status, _, text := s.call(roadsToken, "POST", "/v1/subscriptions/"+hook.ID+"/test", ""); status != 200 || !strings.Contains(text, "delivered") {
		t.Errorf("a test: %d %s", status, text)
	}
	// No longer held: what was is told together.
	if status, _, text := s.call(roadsToken, "PUT", "/v1/subscriptions/"+digest.ID, fmt.Sprintf(`{"url":%q,"filter":{"rules":["held"]}}`, s.hook)); status != 200 {
		t.Fatal(status, text)
	}
	s.until("the digest", func() bool { return len(s.bodies()) >= 11 })
	kinds := map[string]bool{}
	for _, body := range s.bodies() {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		for _, p := range known.problems("body", payload("webhook"), v) {
			t.Errorf("%s in\n%s", p, body)
		}
		var m notify.Message
		_ = json.Unmarshal(body, &m)
		kinds[m.Type] = true
		if m.Event != nil {
			kinds[m.Event.Kind] = true
		}
	}
	want := []string{"alarm.acknowledged", "alarm.cleared", "alarm.raised", "alarm.withdrawn", "digest", "event", "test", "warning.cancelled", "warning.issued", "warning.updated"}
	var got []string
	for k := range kinds {
		got = append(got, k)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
	if p := known.problems("receipt", payload("receipt"), map[string]any{"ack": 3.0}); len(p) > 0 {
		t.Errorf("a receipt: %v", p)
	}
	// The document does refuse: a schema that takes everything says nothing.
	for _, body := range []string{`{}`, `{"version":1,"id":"x","subscription":"x","department":"x","type":"pigeon"}`, `{"version":1,"id":"x","subscription":"x","department":"x","type":"test","more":1}`} {
		var v any
		_ = json.Unmarshal([]byte(body), &v)
		if len(known.problems("body", payload("webhook"), v)) == 0 {
			t.Errorf("%s is taken", body)
		}
	}
}

// An officer hears of no alarm that the officer may not see, whatever the filter
// asks for; what who manages people gave the department stays.
func TestOfficersHearOfTheirOwn(t *testing.T) {
	s := startSubscribers(t)
	for range 2 {
		s.raise(nil)
	}
	s.raise(func(tr *alert.Transition) { tr.Alarm.Owner = "Sở Y tế" })
	s.raise(func(tr *alert.Transition) {
		tr.Alarm.Assigned = &alert.Assignment{Department: "Sở Y tế"} // the roads' rule, handed over
	})
	preview := func(token, filter string) int {
		t.Helper()
		status, _, text := s.call(token, "POST", "/v1/subscriptions/preview", `{"filter":`+filter+`}`)
		var answer notify.Preview
		if status != 200 || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("%d %s", status, text)
		}
		return answer.Count
	}
	s.until("four events", func() bool { return preview(s.admin, `{}`) == 4 })
	for _, c := range []struct {
		token, filter string
		want          int
	}{
		{roadsToken, `{}`, 2}, {healthToken, `{}`, 2}, {roadsToken, `{"owners":["Sở Y tế"]}`, 0},
		{roadsToken, `{"within":{"department":"Sở Y tế"}}`, 2}, {roadsToken, `{"within":{}}`, 2},
		{s.admin, `{"within":{"department":"Sở Y tế"}}`, 2}, {s.admin, `{"within":{"wards":["13669"]}}`, 0},
	} {
		if got := preview(c.token, c.filter); got != c.want {
			t.Errorf("%s with %s: %d events, want %d", c.token, c.filter, got, c.want)
		}
	}
	within := func(token, method, path, body string) *notify.Within {
		t.Helper()
		status, _, text := s.call(token, method, path, body)
		var answer struct{ Filter notify.Filter }
		if status/100 != 2 || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return answer.Filter.Within
	}
	own := s.subscribe(roadsToken, `{"kind":"stream","filter":{"within":{"department":"Sở Y tế"}}}`)
	given := s.subscribe(s.admin, `{"kind":"atom","department":"Sở Xây dựng","filter":{"priorities":[2]}}`)
	roads := "Sở Xây dựng"
	for i, c := range []struct{ token, id, filter, want string }{
		{roadsToken, own.ID, `{}`, roads}, {roadsToken, own.ID, `{"within":{},"priorities":[1]}`, roads},
		{s.admin, own.ID, `{"priorities":[2]}`, roads}, // the administrator's form knows nothing of it
		{roadsToken, given.ID, `{"priorities":[2]}`, ""}, {roadsToken, given.ID, `{"priorities":[1,2]}`, roads},
		{s.admin, given.ID, `{"within":{}}`, ""},
	} {
		got := ""
		if w := within(c.token, "PUT", "/v1/subscriptions/"+c.id, `{"filter":`+c.filter+`}`); w != nil {
			got = w.Department
		}
		if got != c.want {
			t.Errorf("%d: %s: within %q, want %q", i, c.filter, got, c.want)
		}
	}
}
