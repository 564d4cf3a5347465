package firmwaresim

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"vonglau/devices"
)

// What the history holds is what the server acknowledged, no more and no less,
// however often the link breaks.
func TestHistoryHoldsWhatWasAcknowledged(t *testing.T) {
	var mu sync.Mutex
	acked := make(map[string]bool)
	n := 0
	answer := func(_ int, x arrival) string {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%50 == 0 {
			return "cut"
		}
		acked[lineOf(t, x)] = true
		return "ack"
	}
	for version, proto := range map[byte]string{4: "mqtt", 5: "mqtt5"} {
		t.Run(proto, func(t *testing.T) {
			clear(acked)
			a := accept(t, version, answer)
			path := filepath.Join(t.TempDir(), "acked.csv")
			o := LoadOptions{Devices: 4, Rate: 400, Protocol: proto, Duration: 800 * time.Millisecond, Addr: a.addr(), History: path, Window: 8}
			rep := load(t, o)
			if rep.Unanswered != 0 || rep.Acked != rep.Measured || rep.Acked < 100 {
				t.Errorf("report %+v, want all of some hundred readings acknowledged", rep)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(data)), "\n")
			if uint64(len(lines)) != rep.Acked {
				t.Errorf("%d lines for %d acknowledged readings", len(lines), rep.Acked)
			}
			mu.Lock()
			defer mu.Unlock()
			seen := make(map[string]bool)
			for _, l := range lines {
				if !acked[l] {
					t.Errorf("the history holds %s, which no ack was sent for", l)
				}
				if seen[l] {
					t.Errorf("the history holds %s twice", l)
				}
				seen[l] = true
			}
			if rep.P50 <= 0 || rep.P99 < rep.P50 || rep.Max < rep.P99 {
				t.Errorf("latencies p50 %v, p99 %v, most %v", rep.P50, rep.P99, rep.Max)
			}
		})
	}
}

// lineOf is the history line of a report as it arrived.
func lineOf(t *testing.T, x arrival) string {
	var p struct {
		TS          int64   `json:"ts"`
		Temperature float64 `json:"temperature"`
	}
	if err := json.Unmarshal([]byte(x.payload), &p); err != nil {
		t.Errorf("%s: %v", x.payload, err)
	}
	return fmt.Sprintf("%s,temperature,%d,%v", strings.Split(x.topic, "/")[1], p.TS, p.Temperature)
}

func load(t *testing.T, o LoadOptions) LoadReport {
	t.Helper()
	regs, err := LoadRegistrations(o)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := OpenCredentials("")
	for _, r := range regs {
		c.tokens[r.ID] = "secret"
	}
	rep, err := Load(context.Background(), o, c, new(Stats))
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestLoadOverCoAPAndHTTP(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	s.Start()
	defer s.Close()
	rep := load(t, LoadOptions{Devices: 2, Rate: 200, Values: 3, Protocol: "http", URL: s.URL, Duration: 300 * time.Millisecond, Window: 4})
	if rep.Acked == 0 || rep.Acked != rep.Measured {
		t.Errorf("HTTP: %+v", rep)
	}
	addr := coapServerAny(t)
	rep = load(t, LoadOptions{Devices: 2, Rate: 100, Protocol: "coap", Format: "senml+cbor", Addr: addr, Duration: 300 * time.Millisecond})
	if rep.Acked == 0 || rep.Acked != rep.Measured {
		t.Errorf("CoAP: %+v", rep)
	}
}

// coapServerAny takes any device's readings.
func coapServerAny(t *testing.T) string {
	return coapServerAt(t, nil, func(int, string, []string, message.MediaType) (codes.Code, uint32) { return codes.Changed, 0 })
}

func TestLoadOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]LoadOptions{
		"no address": {Protocol: "mqtt"},
		"protocol":   {Protocol: "amqp", Addr: "x"},
		"format":     {Format: "xml", Addr: "x"},
		"carries no": {Format: "cbor", Addr: "x"},
		"values":     {Values: 9, Addr: "x"},
		"at most":    {Devices: 1, Rate: 2000, Addr: "x"},
		"window":     {Window: -1, Addr: "x"},
		"prefix":     {Prefix: "a b", Addr: "x"},
	} {
		if _, err := LoadRegistrations(o); err == nil || !contain(err.Error(), want) {
			t.Errorf("%+v: error %v, want one that says %q", o, err, want)
		}
	}
}

func TestLoadValuesArePlausible(t *testing.T) {
	catalogue := devices.DefaultCatalogue()
	for _, v := range loadValues {
		q, ok := catalogue.Quantity(v.quantity)
		if !ok {
			t.Errorf("the catalogue does not know %s", v.quantity)
			continue
		}
		if most := v.from + v.by*float64(v.span); v.from < q.Min || most > q.Max {
			t.Errorf("%s runs from %v to %v, plausible is %v to %v", v.quantity, v.from, most, q.Min, q.Max)
		}
	}
}

func TestLatencies(t *testing.T) {
	var l, m latencies
	for i := 1; i <= 1000; i++ {
		d := time.Duration(i) * time.Millisecond
		if i%2 == 0 {
			l.observe(d)
		} else {
			m.observe(d)
		}
	}
	l.add(&m)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := l.quantile(q); got < want*95/100 || got > want*113/100 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if got := new(latencies).quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

// register is the server's register as a fleet sees it.
type register struct {
	mu     sync.Mutex
	tokens map[devices.ID]string
	posts  int
	crash  bool // register, then fail to say so
}

func (r *register) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Header.Get("Authorization") != "Bearer admin" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"title":"not authorised","detail":"no such token"}`)
		return
	}
	if q.Method == http.MethodGet {
		// Pages of three.
		var ids []string
		for id := range r.tokens {
			ids = append(ids, string(id))
		}
		slices.Sort(ids)
		i, _ := slices.BinarySearch(ids, q.URL.Query().Get("cursor"))
		page := map[string]any{}
		var list []map[string]string
		for ; i < len(ids) && len(list) < 3; i++ {
			list = append(list, map[string]string{"id": ids[i]})
		}
		page["devices"] = list
		if i < len(ids) {
			page["next"] = ids[i]
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	r.posts++
	var in []Registration
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, x := range in {
		if r.tokens[x.ID] != "" || len(x.Token) < 16 || x.Upstream != "" && r.tokens[x.Upstream] == "" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		r.tokens[x.ID] = x.Token
	}
	if r.crash {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func TestProvisioning(t *testing.T) {
	reg := &register{tokens: make(map[devices.ID]string)}
	s := httptest.NewServer(reg)
	defer s.Close()
	server := &Server{URL: s.URL, Token: "admin", Client: s.Client()}
	f, err := New(Options{City: town(), Devices: 20, MQTT: "[::1]:1", Prefix: "a-"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fleet.json")
	open := func() *Credentials {
		c, err := OpenCredentials(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx := context.Background()
	if err := Provision(ctx, server, open(), f.Registrations()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file has mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, r := range f.Registrations() {
		if got, want := open().Token(r.ID), reg.tokens[r.ID]; got != want {
			t.Errorf("our token of %s is %q, the server's %q", r.ID, got, want)
		}
		if !strings.HasPrefix(string(r.ID), "a-") {
			t.Errorf("%s lacks its prefix", r.ID)
		}
		if r.Upstream != "" && reg.tokens[r.Upstream] == "" {
			t.Errorf("%s hangs on %s, which is not registered", r.ID, r.Upstream)
		}
	}
	// A restart asks for nothing.
	posts := reg.posts
	if err := Provision(ctx, server, open(), f.Registrations()); err != nil || reg.posts != posts {
		t.Errorf("a restart registered again: %d requests, %v", reg.posts-posts, err)
	}
	// A device the server forgot comes back under its token.
	id := f.Registrations()[3].ID
	delete(reg.tokens, id)
	if err := Provision(ctx, server, open(), f.Registrations()); err != nil || reg.posts != posts+1 || reg.tokens[id] == "" || open().Token(id) != reg.tokens[id] {
		t.Errorf("a forgotten device: %d requests, %v", reg.posts-posts, err)
	}
	// An answer that got lost leaves no device whose token nobody knows.
	clear(reg.tokens)
	reg.crash = true
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := Provision(ctx, server, open(), f.Registrations()); err == nil {
		t.Error("a failed registration was no error")
	}
	reg.crash = false
	if err := Provision(ctx, server, open(), f.Registrations()); err != nil || open().Token(id) != reg.tokens[id] {
		t.Errorf("after a lost answer: %v", err)
	}
	// One it knows and we do not is an error with a hint.
	empty, _ := OpenCredentials("")
	if err := Provision(ctx, server, empty, f.Registrations()); err == nil || !contain(err.Error(), "state file") {
		t.Errorf("without the state file: %v", err)
	}
	server.Token = "wrong"
	if err := Provision(ctx, server, empty, f.Registrations()); err == nil || !contain(err.Error(), "--token-file") || !contain(err.Error(), "no such token") {
		t.Errorf("with a wrong token: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCredentials(path); err == nil {
		t.Error("a cut state file was read")
	}
}

func TestFleetOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"no address": {City: town()},
		"brackets":   {City: town(), MQTT: "::1:1883"},
		"speed":      {City: town(), MQTT: "[::1]:1883", Speed: -1},
		"devices":    {City: town(), MQTT: "[::1]:1883", Devices: -1},
		"prefix":     {City: town(), MQTT: "[::1]:1883", Prefix: "ü"},
	} {
		if _, err := New(o); err == nil || !contain(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// A whole fleet over both protocols: every kind reports, half of it over each.
func TestFleet(t *testing.T) {
	three := accept(t, 4, nil)
	var mu sync.Mutex
	overCoAP := make(map[string]bool)
	coap := coapServerAt(t, func(path string) {
		mu.Lock()
		overCoAP[strings.Split(path, "/")[2]] = true
		mu.Unlock()
	}, func(int, string, []string, message.MediaType) (codes.Code, uint32) { return codes.Changed, 0 })
	s, err := LoadScenario("calm-day")
	if err != nil {
		t.Fatal(err)
	}
	s.Faults = Faults{}
	s.Incidents = nil
	for p := range s.ReportEvery {
		s.ReportEvery[p] = Span(200 * time.Millisecond)
	}
	f, err := New(Options{City: town(), Scenario: s, Devices: 40, MQTT: three.addr(), CoAP: coap, Speed: 10})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := OpenCredentials("")
	want := make(map[string]bool)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := f.Run(ctx, c); err == nil {
		t.Error("a fleet runs without credentials")
	}
	for i, p := range f.places {
		c.tokens[p.id] = "x"
		if proto, _ := choose(p.salt, i, true, true); proto != protoMQTT5 { // the acceptor speaks 3.1.1
			want[string(p.id)] = true
		}
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, c) }()
	heard := func() map[string]bool {
		out := make(map[string]bool)
		for _, x := range three.seen() {
			out[strings.Split(x.topic, "/")[1]] = true
		}
		mu.Lock()
		defer mu.Unlock()
		for id := range overCoAP {
			out[id] = true
		}
		return out
	}
	eventually(t, "every device of MQTT 3.1.1 and CoAP heard", func() bool {
		h := heard()
		for id := range want {
			if !h[id] {
				return false
			}
		}
		return true
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := f.Stats.Connected.Load(); n != 0 {
		t.Errorf("%d devices are still connected after the end", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(overCoAP) != 20 {
		t.Errorf("%d of 40 devices speak CoAP, want half", len(overCoAP))
	}
}

// Publishes of one MQTT 5 device go out from several goroutines and must not
// run into each other on the wire.
func TestPacketsStayWhole(t *testing.T) {
	a := accept(t, 5, nil)
	rep := load(t, LoadOptions{Devices: 2, Rate: 1700, Protocol: "mqtt5", Duration: time.Second, Addr: a.addr(), Window: 256})
	if rep.Lost != 0 || rep.Repeated != 0 || rep.Acked != rep.Measured || rep.Acked < 500 {
		t.Errorf("report %+v, want all acknowledged over links that hold", rep)
	}
	for _, x := range a.seen() {
		if _, err := devices.Decode(devices.FormatJSON, []byte(x.payload), time.Now(), devices.Limits{}); err != nil || !strings.HasPrefix(x.topic, "devices/load-") {
			t.Fatalf("%s %q: %v", x.topic, x.payload, err)
		}
	}
}
