package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
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
	"testing"
	"time"

	"vonglau/ops-center/notify"
)

// TestProgramContract runs testdata/contract.sh: the command line, curl and
// openssl, as somebody does who has never seen the code.
func TestProgramContract(t *testing.T) {
	curl, openssl := tool(t, "curl"), tool(t, "openssl")
	tool(t, "python3")
	if curl == "" || openssl == "" {
		return
	}
	const leader = "leader-token-of-this-test-0123456789"
	dir, inbox := t.TempDir(), t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	text := fmt.Sprintf("outbound:\n  allow: [\"::1/128\"]\npeople:\n  - { name: An, role: shift_leader, token_sha256: %x }\n", sha256.Sum256([]byte(leader)))
	rules := filepath.Join(dir, "rules.yaml")
	for file, content := range map[string]string{config: text, rules: strings.NewReplacer("street-flood", "smog", "priority: 1", "priority: 1\n    category: Env").Replace(floodRule)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startProcess(t, dir, "--config", config)
	importTestWards(t, p)
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	hook := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		n++
		var header bytes.Buffer
		_ = r.Header.Write(&header)
		// The headers first: the script waits for the body.
		if err := os.WriteFile(filepath.Join(inbox, fmt.Sprintf("%d.headers", n)), bytes.ReplaceAll(header.Bytes(), []byte("\r"), nil), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(inbox, fmt.Sprintf("%d.body", n)), body, 0o600); err != nil {
			t.Error(err)
		}
	})}}
	hook.Start()
	t.Cleanup(hook.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "testdata/contract.sh")
	cmd.Env = append(os.Environ(), "VONGLAU="+program, "VONGLAU_SERVER=http://"+p.addr.HTTP, "VONGLAU_TOKEN="+p.token, "LEADER_TOKEN="+leader,
		"INBOX="+inbox, "HOOK="+hook.URL+"/hook", "RULES="+rules)
	if xsd, _ := filepath.Glob("../../../shared/data/cap/*.xsd"); len(xsd) > 0 {
		cmd.Env = append(cmd.Env, "XSD="+xsd[0])
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "contract: kept") {
		t.Fatalf("%v\n%s", err, out)
	}
}

var (
	deliverySubs  = flag.Int("delivery-subs", 40, "subscriptions of TestProgramDeadReceivers")
	deliveryRate  = flag.Float64("delivery-rate", 50, "alarms a second")
	deliveryCount = flag.Int("delivery-count", 150, "alarms in each part")
)

// TestProgramDeadReceivers measures from the reading to the webhooks of many
// departments, first with all of them well, then with one in forty refusing,
// hanging or away. It asserts that the others get all of it in order; how much
// slower they are it tells.
func TestProgramDeadReceivers(t *testing.T) {
	devices, subs, dead := *deliveryCount, *deliverySubs, max(1, *deliverySubs/40)
	p, tokens := subscribed(t, devices)
	const secret = "S3cret-of-the-department"
	type arrival struct {
		sub  string
		body []byte
		at   time.Time
	}
	var mu sync.Mutex
	var got []arrival
	hang := make(chan struct{})
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	// What was received is read afterwards: receivers are other people's machines,
	// and here they share the server's.
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		body, _ := io.ReadAll(r.Body)
		name := r.URL.Path
		mu.Lock()
		bad := broken[name]
		if !bad {
			got = append(got, arrival{name, body, at})
		}
		mu.Unlock()
		switch {
		case !bad:
		case strings.HasSuffix(name, "0"):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
	})}}
	server.Start()
	t.Cleanup(func() { close(hang); server.Close() })
	for i := range subs {
		body, _ := json.Marshal(map[string]any{"department": fmt.Sprintf("Đơn vị %d", i), "kind": "webhook", "url": fmt.Sprintf("%s/%d", server.URL, i), "secret": secret, "filter": map[string]any{}})
		if code := p.api(http.MethodPost, "/v1/subscriptions", nil, string(body), nil); code/100 != 2 {
			t.Fatalf("subscribing: %d", code)
		}
	}
	round := func(value float64, kind string, well int) (took []time.Duration) {
		t.Helper()
		mu.Lock()
		got = make([]arrival, 0, devices*well)
		mu.Unlock()
		sent := map[string]time.Time{}
		var sending sync.WaitGroup
		var sentMu sync.Mutex
		for i := range devices {
			sending.Go(func() {
				at := p.report(t, i, tokens[i], value)
				sentMu.Lock()
				sent[fmt.Sprintf("water-%03d", i)] = at
				sentMu.Unlock()
			})
			time.Sleep(time.Duration(float64(time.Second) / *deliveryRate))
		}
		sending.Wait()
		eventually(t, time.Minute, func() (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == devices*well, fmt.Sprintf("%d of %d deliveries", len(got), devices*well)
		})
		mu.Lock()
		defer mu.Unlock()
		order := map[string][]string{}
		for _, a := range got {
			var m notify.Message
			if err := json.Unmarshal(a.body, &m); err != nil || m.Event == nil {
				t.Fatalf("a delivery: %v %s", err, a.body)
			}
			device := string(m.Event.Alarm.Device)
			if m.Event.Kind != kind {
				t.Fatalf("%s got %s of %s", a.sub, m.Event.Kind, device)
			}
			took = append(took, a.at.Sub(sent[device]))
			order[a.sub] = append(order[a.sub], device)
		}
		var first []string
		for sub, list := range order {
			if first == nil {
				first = list
			}
			if !slices.Equal(list, first) {
				t.Errorf("%s was told in another order than others", sub)
			}
		}
		return took
	}
	// Each part raises and clears every alarm, so that both have the same work.
	part := func(well int) (p50, p99 time.Duration) {
		t.Helper()
		took := append(round(200, notify.AlarmRaised, well), round(10, notify.AlarmCleared, well)...)
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*99/100]
	}
	well50, well99 := part(subs)
	mu.Lock()
	for i := range dead {
		broken[fmt.Sprintf("/%d", i)] = true
	}
	mu.Unlock()
	dead50, dead99 := part(subs - dead)
	t.Logf("%d subscriptions, %g alarms/s: all well p50 %s, p99 %s; %d dead p50 %s, p99 %s: p99 × %.2f", subs, *deliveryRate,
		well50.Round(100*time.Microsecond), well99.Round(100*time.Microsecond), dead, dead50.Round(100*time.Microsecond), dead99.Round(100*time.Microsecond), float64(dead99)/float64(well99))
}
