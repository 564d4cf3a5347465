package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vonglau/ops-center/notify"
)

// hook is a department's receiver: it checks the signature of all it gets.
type hook struct {
	t      testing.TB
	secret string
	server *httptest.Server
	down   atomic.Bool

	mu  sync.Mutex
	got []hooked
}

type hooked struct {
	at  time.Time
	id  string
	msg notify.Message
}

func newHook(t testing.TB, secret string) *hook {
	t.Helper()
	h := &hook{t: t, secret: secret}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	h.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, _ := io.ReadAll(r.Body)
	if err := notify.Verify(r.Header.Get("Vonglau-Signature"), body, []byte(h.secret), now, time.Minute); err != nil {
		h.t.Errorf("a delivery: %v", err)
	}
	if h.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var m notify.Message
	if err := json.Unmarshal(body, &m); err != nil {
		h.t.Errorf("a delivery: %v in %s", err, body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, hooked{now, r.Header.Get("Vonglau-Delivery"), m})
}

// events are those received, each once, as device and kind in order.
func (h *hook) events() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	for _, g := range h.got {
		if !seen[g.id] && g.msg.Event != nil && g.msg.Event.Alarm != nil {
			seen[g.id] = true
			list = append(list, string(g.msg.Event.Alarm.Device)+" "+g.msg.Event.Kind)
		}
	}
	return list
}

const floodRule = `version: 1
rules:
  - id: street-flood
    name: {vi: Ngập đường, en: Street flood}
    priority: 1
    owner: Sở Xây dựng
    head: Trưởng phòng Hạ tầng
    message: {vi: "Nước {value} {unit}", en: "Water {value} {unit}"}
    response: {vi: Đóng đường, en: Close the road}
    procedure: {vi: [Đặt rào chắn], en: [Put up barriers]}
    when: {threshold: {quantity: pm25, above: 150, clear: 100}}
`

// subscribed starts a server whose rule raises an alarm for each of n devices,
// and gives their tokens.
func subscribed(t *testing.T, n int, args ...string) (p *process, tokens []string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(t.TempDir(), "vonglau.yaml")
	if err := os.WriteFile(config, []byte("outbound:\n  allow: [\"::1/128\"]\nbounds:\n  connections: 2000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, dir, append([]string{"--config", config}, args...)...)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(floodRule), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("rule", "apply", rules)
	var list []map[string]any
	for i := range n {
		list = append(list, map[string]any{"id": fmt.Sprintf("water-%03d", i), "profile": "air-quality", "at": []float64{106.1 + float64(i)*0.001, 20.43}})
	}
	body, _ := json.Marshal(list)
	var added struct {
		Devices []struct{ Token string } `json:"devices"`
	}
	if code := p.api(http.MethodPost, "/v1/devices", nil, string(body), &added); code/100 != 2 || len(added.Devices) != n {
		t.Fatalf("enrolling: status %d, %d devices", code, len(added.Devices))
	}
	for _, d := range added.Devices {
		tokens = append(tokens, d.Token)
	}
	return p, tokens
}

// report posts one reading of a device and gives when it was sent.
func (p *process) report(t testing.TB, device int, token string, value float64) time.Time {
	t.Helper()
	req, _ := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/v1/devices/water-%03d/telemetry", p.addr.HTTP, device), strings.NewReader(fmt.Sprintf(`{"pm25":%g}`, value)))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	sent := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("a reading: status %d", res.StatusCode)
	}
	return sent
}

// TestProgramSubscriptions follows readings to the receivers of departments: a
// webhook that is down while the server is killed, and an MQTT client that is
// away for a while. Each has everything, in order.
func TestProgramSubscriptions(t *testing.T) {
	const n = 12
	p, tokens := subscribed(t, n)
	h := newHook(t, "S3cret-of-the-department")
	sub := p.must("subscription", "add", "--department", "Sở Xây dựng", "--priority", "1,2", "--webhook", h.server.URL+"/hook", "--secret", h.secret)
	id, _ := sub["id"].(string)
	if id == "" || sub["secret"] != h.secret {
		t.Fatalf("subscribing answered %v", sub)
	}
	if _, stderr, code := p.run("subscription", "add", "--department", "Sở Xây dựng", "--webhook", "http://[fd00::1]/hook"); code == 0 || !strings.Contains(stderr, "private") {
		t.Errorf("an address that is not admitted: exit code %d: %s", code, stderr)
	}
	test := p.must("subscription", "test", id)
	if test["state"] != "delivered" || test["answer"] != "200" {
		t.Errorf("a test answered %v", test)
	}
	stream := p.must("subscription", "add", "--department", "Sở Xây dựng", "--stream")
	token, _ := stream["token"].(string)
	host, port, _ := net.SplitHostPort(p.addr.MQTT)
	alerts := func(count int, wait string) []string {
		t.Helper()
		out, err := exec.Command(tool(t, "mosquitto_sub"), "-h", host, "-p", port, "-V", "mqttv5", "-q", "1", "-c", "-x", "3600", "-i", "truc-ban",
			"-u", "departments/so-xay-dung", "-P", token, "-t", "departments/so-xay-dung/alerts", "-C", fmt.Sprint(count), "-W", wait).CombinedOutput()
		if err != nil && count > 0 && !strings.Contains(err.Error(), "27") { // 27 is the end of the wait
			t.Fatalf("mosquitto_sub: %v\n%s", err, out)
		}
		var list []string
		for line := range strings.Lines(string(out)) {
			var m notify.Message
			if json.Unmarshal([]byte(line), &m) == nil && m.Event != nil && m.Event.Alarm != nil {
				list = append(list, string(m.Event.Alarm.Device)+" "+m.Event.Kind)
			}
		}
		return list
	}
	alerts(1, "1") // the session begins
	var want []string
	for i := range n {
		if i == n/3 {
			eventually(t, 10*time.Second, func() (bool, string) { got := h.events(); return len(got) == i, fmt.Sprint(got) })
			h.down.Store(true)
		}
		if i == 2*n/3 {
			p.kill()
			p.start()
			host, port, _ = net.SplitHostPort(p.addr.MQTT)
		}
		p.report(t, i, tokens[i], 200)
		want = append(want, fmt.Sprintf("water-%03d alarm.raised", i))
		eventually(t, 10*time.Second, func() (bool, string) {
			var answer struct{ Alarms []struct{ Device string } }
			p.api(http.MethodGet, "/v1/alarms", nil, "", &answer)
			return len(answer.Alarms) == i+1, fmt.Sprintf("%d alarms", len(answer.Alarms))
		})
	}
	h.down.Store(false)
	eventually(t, 20*time.Second, func() (bool, string) { got := h.events(); return len(got) >= n, fmt.Sprint(got) })
	if got := h.events(); !slices.Equal(got, want) {
		t.Errorf("the webhook got %v\nwant %v", got, want)
	}
	h.mu.Lock()
	if again := len(h.got) - 1 - n; again > 3 {
		t.Errorf("%d deliveries came again after the kill", again)
	}
	h.mu.Unlock()
	// At least once: what the client had not acknowledged when it went comes again.
	first := alerts(5, "10")
	rest := alerts(2*n, "5")
	var given []string
	for _, one := range append(slices.Clone(first), rest...) {
		if !slices.Contains(given, one) {
			given = append(given, one)
		}
	}
	if !slices.Equal(given, want) || len(rest) > 2*n-1 {
		t.Errorf("the stream gave %v and then %v\nwant %v", first, rest, want)
	}
	var answer struct {
		Deliveries []notify.Receipt `json:"deliveries"`
		Dead       []notify.Receipt `json:"dead"`
	}
	p.api(http.MethodGet, "/v1/subscriptions/"+id+"/deliveries", nil, "", &answer)
	if len(answer.Dead) != 0 || len(answer.Deliveries) < n {
		t.Errorf("%d deliveries, %d dead", len(answer.Deliveries), len(answer.Dead))
	}
	if _, stderr, code := p.run("subscription", "remove", id); code != 0 {
		t.Errorf("removing: %s", stderr)
	}
	if code := p.api(http.MethodGet, "/v1/subscriptions/"+id, nil, "", nil); code != http.StatusNotFound {
		t.Errorf("a subscription that was removed: status %d", code)
	}
}

// TestProgramReadingToWebhook measures from the moment a reading is sent to the
// arrival of the webhook it causes. It asserts that all arrive, not how fast.
func TestProgramReadingToWebhook(t *testing.T) {
	const n = 200
	p, tokens := subscribed(t, n)
	h := newHook(t, "S3cret-of-the-department")
	p.must("subscription", "add", "--department", "Sở Xây dựng", "--webhook", h.server.URL, "--secret", h.secret)
	sent := map[string]time.Time{}
	for i := range n {
		sent[fmt.Sprintf("water-%03d", i)] = p.report(t, i, tokens[i], 200)
		time.Sleep(10 * time.Millisecond)
	}
	eventually(t, 20*time.Second, func() (bool, string) { got := h.events(); return len(got) == n, fmt.Sprint(len(got)) })
	var took []time.Duration
	for _, g := range h.got {
		took = append(took, g.at.Sub(sent[string(g.msg.Event.Alarm.Device)]))
	}
	slices.Sort(took)
	t.Logf("reading to webhook: p50 %s, p99 %s, worst %s of %d", took[n/2].Round(100*time.Microsecond), took[n*99/100].Round(100*time.Microsecond), took[n-1].Round(100*time.Microsecond), n)
}
