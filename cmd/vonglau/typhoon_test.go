package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
	firmwaresim "vonglau/firmware-sim"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/notify"
)

// typhoonRun is what came of one typhoon.
type typhoonRun struct {
	judged   []string // what the rules said, by the time of the readings, shown or not
	alarms   []string // what departments were told of alarms, by the time of the readings
	messages []string // what they were told of public messages, in order
	priority [4]int   // alarms raised
	most     [4]int   // open at once
	groups   int      // at once
	again    int      // deliveries that came more than once
	took     time.Duration
	left     int // open at the end, all of them seen
}

var typhoonDevices = flag.Int("typhoon-devices", 80, "devices of the city the typhoon passes over")

const typhoonLeader = "leader-of-the-typhoon-0123456789"

// typhoon lets the typhoon pass over a city of its own: every reading is sent to
// the program with its own time, the public is warned, the warning is updated and
// called off. With kill the server is killed where readings are under way.
func typhoon(t *testing.T, city string, kill bool) typhoonRun {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	text := fmt.Sprintf("outbound:\n  allow: [\"::1/128\"]\npeople:\n  - { name: An, role: shift_leader, token_sha256: %x }\n", sha256.Sum256([]byte(typhoonLeader)))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	scenario, err := firmwaresim.LoadScenario("typhoon-passes")
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := firmwaresim.New(firmwaresim.Options{Scenario: scenario, Devices: *typhoonDevices, MQTT: p.addr.MQTT})
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []string{"wards", "flood_basins", "feeders"} {
		p.must("layer", "import", layer, filepath.Join(city, layer+".geojson"), "--code", "code", "--name", "name", "--valid-from", "2025-07-01", "--join")
	}
	p.must("rule", "apply", "../../deploy/demo/rules.yaml")
	credentials, err := firmwaresim.OpenCredentials("")
	if err != nil {
		t.Fatal(err)
	}
	if err := firmwaresim.Provision(t.Context(), &firmwaresim.Server{URL: "http://" + p.addr.HTTP, Token: p.token}, credentials, fleet.Registrations()); err != nil {
		t.Fatal(err)
	}
	h := newHook(t, "S3cret-of-the-department")
	p.must("subscription", "add", "--department", "Ban chỉ huy phòng thủ dân sự", "--webhook", h.server.URL, "--secret", h.secret)

	expected := map[string]bool{} // rules that others inhibit
	source, err := os.ReadFile("../../deploy/demo/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := alert.ParseRules(source, devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	for i := range rules {
		if r := rules[i].Inhibits; r != nil {
			for _, id := range r.Rules {
				expected[id] = true
			}
		}
	}

	run := typhoonRun{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var alive sync.RWMutex // held for writing while the server is down
	send := func(s firmwaresim.Sample) error {
		for try := 0; ; try++ {
			alive.RLock()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.addr.HTTP+"/v1/devices/"+url.PathEscape(string(s.Device))+"/telemetry", bytes.NewReader(s.Payload))
			alive.RUnlock()
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+credentials.Token(s.Device))
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err == nil {
				raw, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode/100 == 2 {
					return nil
				}
				if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusTooManyRequests {
					return fmt.Errorf("%s: %d %s: %s", s.Device, res.StatusCode, raw, s.Payload)
				}
			}
			if try > 600 {
				return fmt.Errorf("%s: not acknowledged: %w", s.Device, err)
			}
			time.Sleep(50 * time.Millisecond) // what was not acknowledged is sent again
		}
	}
	type open struct {
		Alarms []alert.Alarm `json:"alarms"`
	}
	list := func() (o open) {
		p.api(http.MethodGet, "/v1/alarms", nil, "", &o)
		return o
	}
	var warningID string
	act := func(token, name string, extra map[string]any) {
		t.Helper()
		var w struct {
			ID      string
			Version int
		}
		body := map[string]any{}
		path := "/v1/warnings"
		if warningID != "" {
			path += "/" + warningID
			if code := p.api(http.MethodGet, path, nil, "", &w); code != http.StatusOK {
				t.Fatalf("the warning: %d", code)
			}
			path += "/" + name
			body["version"] = w.Version
			if name == "approve" {
				body["confirm"] = w.ID
			}
		}
		for k, v := range extra {
			body[k] = v
		}
		raw, _ := json.Marshal(body)
		code, _, answer := p.as(token, http.MethodPost, path, string(raw))
		if code/100 != 2 {
			t.Fatalf("%s: %d %s", name, code, answer)
		}
		if warningID == "" {
			_ = json.Unmarshal(answer, &w)
			warningID = w.ID
		}
	}
	judged := func() {
		t.Helper()
		eventually(t, 20*time.Second, func() (bool, string) {
			_, _, raw := p.as(p.token, http.MethodGet, "/v1/status", "")
			var s struct {
				Readers map[string]struct{ Entries uint64 } `json:"readers"`
			}
			_ = json.Unmarshal(raw, &s)
			return s.Readers[readerAlert].Entries == 0 && len(s.Readers) > 0, string(raw)
		})
	}
	minute := func(m int) time.Duration { return time.Duration(m) * time.Minute }
	// Whole seconds: what is compared are moments of the story.
	began := time.Now().Add(-5 * time.Hour).Truncate(time.Second)
	started := time.Now()
	err = fleet.Tell(began, minute(240), func(at time.Duration) time.Duration {
		if at < minute(75) {
			return 30 * time.Second
		}
		return time.Minute
	}, func(at time.Duration, samples []firmwaresim.Sample) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		work := make(chan firmwaresim.Sample)
		errs := make(chan error, 16)
		for range 16 {
			wg.Go(func() {
				for s := range work {
					if err := send(s); err != nil {
						errs <- err
						cancel()
						return
					}
				}
			})
		}
		for i, s := range samples {
			if kill && at == minute(33) && i == len(samples)/2 {
				alive.Lock()
				p.kill()
				p.start()
				alive.Unlock()
			}
			select {
			case work <- s:
			case <-ctx.Done():
			}
		}
		close(work)
		wg.Wait()
		select {
		case err := <-errs:
			return err
		default:
		}
		switch at {
		case minute(32): // the first P1 is there: the public is warned, by two people
			judged()
			var ids []string
			for _, a := range list().Alarms {
				if a.Priority == 1 && len(a.Zones) > 0 {
					ids = append(ids, a.ID)
				}
			}
			if len(ids) == 0 {
				return fmt.Errorf("after %s there is no alarm of priority 1 to warn of", at)
			}
			act(p.token, "draft", map[string]any{"alarms": ids[:min(3, len(ids))]})
			act(p.token, "submit", nil)
		case minute(34): // after the kill
			act(typhoonLeader, "approve", nil)
		case minute(48):
			act(p.token, "update", nil)
			act(p.token, "submit", nil)
			act(typhoonLeader, "approve", nil)
		case minute(240):
			judged()
			act(p.token, "cancel", map[string]any{"text": map[string]string{"vi": "Nước đã rút", "en": "The water has gone"}})
			act(p.token, "submit", nil)
			act(typhoonLeader, "approve", nil)
		}
		if at%minute(2) == 0 && at <= minute(75) {
			var now [4]int
			for _, a := range list().Alarms {
				now[a.Priority-1]++
			}
			for i := range now {
				run.most[i] = max(run.most[i], now[i])
			}
			var g struct{ Groups []json.RawMessage }
			p.api(http.MethodGet, "/v1/alarms/groups", nil, "", &g)
			run.groups = max(run.groups, len(g.Groups))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// What departments must have been told is in the log; wait for all of it.
	var status struct {
		Subscriptions []struct{ Waiting int }
	}
	eventually(t, 30*time.Second, func() (bool, string) {
		_, _, raw := p.as(p.token, http.MethodGet, "/v1/subscriptions", "")
		_ = json.Unmarshal(raw, &status)
		messages := 0
		h.mu.Lock()
		for _, g := range h.got {
			if g.msg.Event != nil && g.msg.Event.Kind == notify.WarningCancelled {
				messages++
			}
		}
		h.mu.Unlock()
		return len(status.Subscriptions) == 1 && status.Subscriptions[0].Waiting == 0 && messages > 0, string(raw)
	})
	run.took = time.Since(started)
	known := list().Alarms
	var closed open
	p.api(http.MethodGet, "/v1/alarms/history?limit=5000", nil, "", &closed)
	for _, a := range slices.Concat(known, closed.Alarms) {
		if strings.HasSuffix(a.Rule, "-silent") { // judged by our clock
			continue
		}
		var log struct{ Transitions []alert.Transition }
		if code := p.api(http.MethodGet, "/v1/alarms/"+url.PathEscape(a.ID)+"/transitions", nil, "", &log); code != http.StatusOK {
			t.Fatalf("what happened to %s: %d", a.ID, code)
		}
		for _, tr := range log.Transitions {
			if tr.Event == alert.Raise || tr.Event == alert.Clear {
				run.judged = append(run.judged, fmt.Sprintf("%7s %s %s %s", tr.At.Sub(began), tr.Event, a.Rule, a.Entity))
			}
		}
	}
	slices.Sort(run.judged)
	for _, a := range known {
		if a.Active {
			run.left++
			t.Logf("still open: %s %s %s", a.Rule, a.Entity, a.State)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	for _, g := range h.got {
		if seen[g.id] {
			run.again++
			continue
		}
		seen[g.id] = true
		switch e := g.msg.Event; {
		case e == nil:
		case e.CAP != "":
			run.messages = append(run.messages, e.Kind)
		case e.Alarm != nil && !strings.HasSuffix(e.Rule, "-silent"): // silence is judged by our clock
			if e.Kind == notify.AlarmRaised {
				run.priority[e.Priority-1]++
			}
			// Which of two devices is heard first in a step is nobody's choice, and
			// with it whether a part rings before the whole that explains it.
			if expected[e.Rule] {
				continue
			}
			run.alarms = append(run.alarms, fmt.Sprintf("%7s %s %s %s", e.At.Sub(began), strings.TrimPrefix(e.Kind, "alarm."), e.Rule, e.Alarm.Entity))
		}
	}
	slices.Sort(run.alarms)
	return run
}

// TestProgramTyphoon lets the typhoon pass twice, from the first rain to the
// all-clear: once undisturbed, once with a kill -9 while readings come in. Every
// alarm, message and delivery is the same.
func TestProgramTyphoon(t *testing.T) {
	buildProgram(t)
	city := filepath.Join(t.TempDir(), "city")
	if err := firmwaresim.WriteCity(7, city); err != nil {
		t.Fatal(err)
	}
	calm := typhoon(t, city, false)
	killed := typhoon(t, city, true)
	for name, r := range map[string]typhoonRun{"undisturbed": calm, "killed": killed} {
		t.Logf("%s: the rules said %d things, %d of them told, raised by priority %v, most open at once %v in %d groups, %d delivered again, %s",
			name, len(r.judged), len(r.alarms), r.priority, r.most, r.groups, r.again, r.took.Round(time.Millisecond))
		if want := []string{notify.WarningIssued, notify.WarningUpdated, notify.WarningCancelled}; !slices.Equal(r.messages, want) {
			t.Errorf("%s: the messages %v", name, r.messages)
		}
		if dup := len(r.alarms) - len(slices.Compact(slices.Clone(r.alarms))); dup > 0 {
			t.Errorf("%s: %d things were told twice", name, dup)
		}
		if r.left > 0 {
			t.Errorf("%s: %d alarms do not end with the typhoon", name, r.left)
		}
	}
	expected := []string{"road-closed", "transformer-hot"}
	if *typhoonDevices >= 400 { // a few points do not lie near each other
		expected = append(expected, "feeder-out", "basin-flooding", "river-high", "roads-flooded", "rain-heavy")
	}
	for _, rule := range expected {
		if !slices.ContainsFunc(calm.judged, func(a string) bool { return strings.Contains(a, " raise "+rule+" ") }) {
			t.Errorf("a typhoon without %s", rule)
		}
	}
	if calm.again > 0 {
		t.Errorf("%d deliveries came twice without a reason", calm.again)
	}
	for what, lists := range map[string][2][]string{"said": {calm.judged, killed.judged}, "told": {calm.alarms, killed.alarms}} {
		if len(lists[0]) == 0 {
			t.Errorf("nothing was %s", what)
		}
		for _, a := range lists[0] {
			if !slices.Contains(lists[1], a) {
				t.Errorf("%s only undisturbed: %s", what, a)
			}
		}
		for _, a := range lists[1] {
			if !slices.Contains(lists[0], a) {
				t.Errorf("%s only with the kill: %s", what, a)
			}
		}
	}
}
