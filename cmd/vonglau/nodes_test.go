package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

var (
	nodeCount    = flag.Int("nodes", 60, "network nodes that report, a tenth of them with nine others behind each")
	nodeInterval = flag.Duration("node-interval", 4*time.Second, "the interval of the profile gateway; 30s is the one of the built-in catalogue")
)

// testNode reports over one MQTT connection until it is stopped. What it counts
// is read after that.
type testNode struct {
	crowdDevice
	upstream string
	halt     chan struct{}
	ended    chan struct{}
	last     time.Time // the last acknowledgement
	err      error
	messages uint64
	bytes    uint64
}

// start connects the node and has it report, the first time after wait.
func (n *testNode) start(addr string, wait, interval time.Duration) {
	n.halt, n.ended, n.err = make(chan struct{}), make(chan struct{}), nil
	go n.run(addr, wait, interval)
}

func (n *testNode) run(addr string, wait, interval time.Duration) {
	defer close(n.ended)
	if n.err = n.connect(addr); n.err != nil {
		return
	}
	defer func() { _ = n.conn.Close() }() // as when the power goes: no DISCONNECT
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for value := 0; ; value++ {
		select {
		case <-n.halt:
			return
		case <-timer.C:
			timer.Reset(interval)
		}
		payload := fmt.Appendf(nil, `{"ts":%d,"uplink_rtt":%d,"clients":%d}`, time.Now().UnixMilli(), value%40+1, value%9)
		if n.err = n.publish(payload); n.err != nil {
			return
		}
		n.messages, n.bytes = n.messages+1, n.bytes+uint64(len(payload))
		n.last = time.Now()
	}
}

// publish sends one message and waits for its PUBACK.
func (n *testNode) publish(payload []byte) error {
	_ = n.conn.SetDeadline(time.Now().Add(20 * time.Second))
	topic := "devices/" + n.id + "/telemetry"
	body := append([]byte{0, byte(len(topic))}, topic...)
	body = append(append(body, 0, 1), payload...)
	if len(body) > 127 {
		return fmt.Errorf("%d bytes need a longer header", len(body))
	}
	answer := make([]byte, 4)
	_, err := n.conn.Write(append([]byte{0x32, byte(len(body))}, body...))
	if err == nil {
		_, err = io.ReadFull(n.conn, answer)
	}
	if err == nil && answer[0] != 0x40 {
		err = fmt.Errorf("got %x instead of a PUBACK", answer)
	}
	return err
}

func (n *testNode) stop(t *testing.T) {
	t.Helper()
	close(n.halt)
	<-n.ended
	if n.err != nil {
		t.Errorf("%s: %v", n.id, n.err)
	}
}

// silences are the alarms of silence that hold, by device.
func (p *process) silences() (shown, suppressed map[string]alert.Alarm) {
	p.t.Helper()
	var answer struct{ Alarms []alert.Alarm }
	if code := p.api(http.MethodGet, "/v1/alarms", url.Values{}, "", &answer); code != http.StatusOK {
		p.t.Fatalf("the alarms: status %d", code)
	}
	shown, suppressed = map[string]alert.Alarm{}, map[string]alert.Alarm{}
	for _, a := range answer.Alarms {
		switch {
		case !a.Active:
		case a.State == alert.Suppressed:
			suppressed[string(a.Device)] = a
		default:
			shown[string(a.Device)] = a
		}
	}
	return shown, suppressed
}

// TestProgramNodes has nodes report in a tree, under the rules of the demo. One
// is stopped, and named; a gateway is stopped with all that is behind it, and is
// one alarm. What the server has counted is what was sent. `make nodes` does it
// with 500 nodes and the interval of the built-in catalogue.
func TestProgramNodes(t *testing.T) {
	dir, interval := t.TempDir(), *nodeInterval
	catalogue, config := filepath.Join(dir, "catalogue.yaml"), filepath.Join(dir, "vonglau.yaml")
	for file, text := range map[string]string{
		catalogue: fmt.Sprintf(`profiles:
  - name: gateway
    label: {vi: Nút mạng, en: Network gateway}
    class: network
    interval: %s
    format: json
    main: uplink_rtt
    fields: [{quantity: uplink_rtt}, {quantity: clients}]
`, interval),
		config: fmt.Sprintf("city: {catalogue: %q}\n", catalogue),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startProcess(t, dir, "--config", config)
	p.must("rule", "apply", "../../deploy/demo/rules.yaml")

	const behind = 9
	gateways := max(2, *nodeCount/(behind+1))
	var list []map[string]any
	for g := range gateways {
		id := fmt.Sprintf("gw-%03d", g)
		list = append(list, map[string]any{"id": id, "profile": "gateway", "at": []float64{106.168, 20.434}})
		for c := range behind {
			list = append(list, map[string]any{"id": fmt.Sprintf("%s-%d", id, c), "profile": "gateway", "at": []float64{106.168, 20.434}, "upstream": id})
		}
	}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var added struct{ Devices []struct{ ID, Token string } }
	if code := p.api(http.MethodPost, "/v1/devices", nil, string(body), &added); code != http.StatusCreated || len(added.Devices) != len(list) {
		t.Fatalf("enrolling the nodes: status %d, %d came back", code, len(added.Devices))
	}
	nodes := make([]*testNode, len(list))
	for i, d := range added.Devices {
		upstream, _ := list[i]["upstream"].(string)
		nodes[i] = &testNode{crowdDevice: crowdDevice{id: d.ID, token: d.Token}, upstream: upstream}
		nodes[i].start(p.addr.MQTT, interval*time.Duration(i)/time.Duration(len(list)), interval)
	}
	stop := func(list []*testNode) (last time.Time) {
		t.Helper()
		var all sync.WaitGroup
		for _, n := range list {
			all.Go(func() { n.stop(t) })
		}
		all.Wait()
		for _, n := range list {
			if n.last.After(last) {
				last = n.last
			}
		}
		return last
	}
	// Whatever is named besides what was stopped is wrong at any time.
	only := func(want ...string) map[string]alert.Alarm {
		t.Helper()
		shown, _ := p.silences()
		allowed := map[string]bool{}
		for _, id := range want {
			allowed[id] = true
		}
		for id, a := range shown {
			if !allowed[id] {
				t.Fatalf("%s is named as silent since %s; only %v was stopped", id, a.Raised, want)
			}
		}
		return shown
	}
	within := 20*interval + 30*time.Second

	// All have reported, and none is named.
	time.Sleep(3 * interval)
	only()

	leaf := nodes[behind] // the last one behind the first gateway
	last := stop([]*testNode{leaf})
	eventually(t, within, func() (bool, string) {
		a, named := only(leaf.id)[leaf.id]
		return named && a.Because == "" && a.State == alert.Unacknowledged, fmt.Sprintf("%s is not named: %+v", leaf.id, a)
	})
	t.Logf("one node of %d stopped: named %s after its last report, at an interval of %s", len(nodes), time.Since(last).Round(100*time.Millisecond), interval)

	dead := nodes[behind+1 : 2*(behind+1)] // the second gateway, and what hangs on it
	gateway := dead[0].id
	last = stop(dead)
	eventually(t, within, func() (bool, string) {
		a, named := only(leaf.id, gateway)[gateway]
		_, suppressed := p.silences()
		for _, n := range dead[1:] {
			if s, ok := suppressed[n.id]; !ok || string(s.Because) != gateway {
				return false, fmt.Sprintf("%s is not suppressed because of %s: %+v", n.id, gateway, s)
			}
		}
		return named && a.Unreachable == behind && len(suppressed) == behind, fmt.Sprintf("%+v, and %d suppressed", a, len(suppressed))
	})
	t.Logf("a gateway and the %d behind it stopped: one alarm, the others suppressed because of it, %s after the last report", behind, time.Since(last).Round(100*time.Millisecond))

	// They come back, and that is all.
	for i, n := range dead {
		n.start(p.addr.MQTT, interval*time.Duration(i)/time.Duration(2*len(dead)), interval)
	}
	eventually(t, within, func() (bool, string) {
		shown, suppressed := p.silences()
		_, there := shown[leaf.id]
		return there && len(shown) == 1 && len(suppressed) == 0, fmt.Sprintf("%d silent and %d suppressed after all but one are back", len(shown), len(suppressed))
	})

	var running []*testNode
	for _, n := range nodes {
		if n != leaf {
			running = append(running, n)
		}
	}
	stop(running)
	var sent, counted devices.Traffic
	for _, n := range nodes {
		var view struct{ devices.Node }
		eventually(t, 20*time.Second, func() (bool, string) {
			view.Node = devices.Node{}
			code := p.api(http.MethodGet, "/v1/devices/"+n.id+"/network", nil, "", &view)
			return code == http.StatusOK && agree(n.messages, view.Total.Messages) && agree(n.bytes, view.Total.Bytes),
				fmt.Sprintf("%s sent %d messages and %d bytes, the server counts %+v", n.id, n.messages, n.bytes, view.Total)
		})
		sent.Messages, sent.Bytes = sent.Messages+n.messages, sent.Bytes+n.bytes
		counted.Messages, counted.Bytes = counted.Messages+view.Total.Messages, counted.Bytes+view.Total.Bytes
	}
	t.Logf("%d nodes sent %d messages of %d bytes; %d of %d are counted", len(nodes), sent.Messages, sent.Bytes, counted.Messages, counted.Bytes)
}

// agree reports whether what was counted is within 1 % of what was sent.
func agree(sent, counted uint64) bool {
	return sent > 0 && (max(sent, counted)-min(sent, counted))*100 <= sent
}
