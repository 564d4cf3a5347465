package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"vonglau/devices"
)

// TestProgramFloodBesideNeighbour measures how long a well-behaved device waits
// for its acknowledgements, alone and beside a gateway that sends as fast as it
// can, in one run. It asserts that the flood is held to its bound and that the
// neighbour gets every answer; the times are for the reader.
func TestProgramFloodBesideNeighbour(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte("bounds: {device_messages: 200, device_factor: 1, burst: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	neighbour := connectMQTT(t, p, "neighbour", p.enrol("neighbour", "gateway", ""))
	defer neighbour.Disconnect(100)
	const probes = 150
	measure := func(what string) []time.Duration {
		t.Helper()
		var took []time.Duration
		for i := range probes {
			began := time.Now()
			token := neighbour.Publish("devices/neighbour/telemetry", 1, false, fmt.Sprintf(`{"load":%d}`, i%100))
			if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
				t.Fatalf("%s: reading %d was not acknowledged: %v", what, i, token.Error())
			}
			took = append(took, time.Since(began))
			time.Sleep(10 * time.Millisecond)
		}
		slices.Sort(took)
		return took
	}
	alone := measure("alone")

	token := p.enrol("flood", "gateway", "")
	conn, err := net.Dial("tcp", p.addr.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	began, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		connect := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 60, 0, 1, 'f', 0, 5}, "flood"...)
		connect = append(append(connect, 0, byte(len(token))), token...)
		_, _ = conn.Write(append([]byte{0x10, byte(len(connect))}, connect...))
		body := append([]byte{0, 23}, "devices/flood/telemetry"+`{"load":1}`...)
		packet := append([]byte{0x30, byte(len(body))}, body...) // QoS 0: nothing can be answered
		for {
			if _, err := conn.Write(packet); err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	eventually(t, 10*time.Second, func() (bool, string) {
		return p.counter("vonglau_ingest_held_up_total") > 0, "the flood is not held up"
	})
	beside := measure("beside the flood")
	_ = conn.Close()
	<-ended
	lasted := time.Since(began).Seconds()

	var node struct {
		OverBounds uint64
		devices.Node
	}
	if code := p.api(http.MethodGet, "/v1/devices/flood/network", nil, "", &node); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	if most := 200*(lasted+3) + 20; float64(node.Total.Messages) > most || node.Total.Messages == 0 {
		t.Errorf("%d messages of the flood were taken in %.1f s, want at most %.0f", node.Total.Messages, lasted, most)
	}
	if node.OverBounds == 0 {
		t.Error("the flood was never over its bound")
	}
	t.Logf("the flood wrote %d messages in %.1f s, %d were read, %d of them over the bound", sent.Load(), lasted, node.Total.Messages, node.OverBounds)
	t.Logf("acknowledgement alone: p50 %v p99 %v; beside the flood: p50 %v p99 %v",
		quantile(alone, .5), quantile(alone, .99), quantile(beside, .5), quantile(beside, .99))
}

// TestProgramClonedCredential has two clients of one identity take the session
// over from each other. The first is left alone from the third time on, the
// other is refused; on the device it shows.
func TestProgramClonedCredential(t *testing.T) {
	name := os.Getenv(envNamespace)
	if name == "" {
		inNamespace(t)
		return
	}
	p := startProcess(t, t.TempDir(), "--mqtt", "["+serverHost+"]:0")
	token := p.enrol("gw-1", "gateway", "")
	connect := func(from string) (paho.Client, error) {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(from, "0"))
		if err != nil {
			t.Fatal(err)
		}
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + p.addr.MQTT).SetClientID("gw-1").SetUsername("gw-1").SetPassword(token).
			SetProtocolVersion(4).SetAutoReconnect(false).
			SetDialer(&net.Dialer{LocalAddr: local, Timeout: 3 * time.Second}))
		t.Cleanup(func() { c.Disconnect(0) })
		connected := c.Connect()
		if !connected.WaitTimeout(5 * time.Second) {
			t.Fatalf("connecting from %s takes for ever", from)
		}
		return c, connected.Error()
	}
	var device paho.Client
	for i, from := range []string{serverHost, foreignHost, serverHost} {
		var err error
		if device, err = connect(from); err != nil {
			t.Fatalf("connection %d, from %s: %v", i, from, err)
		}
	}
	for range 3 {
		if _, err := connect(foreignHost); err == nil || !strings.Contains(strings.ToLower(err.Error()), "not authorized") {
			t.Fatalf("the copy is answered with %v, want not authorized", err)
		}
		sent := device.Publish("devices/gw-1/telemetry", 1, false, `{"load":1}`)
		if !sent.WaitTimeout(5*time.Second) || sent.Error() != nil || !device.IsConnectionOpen() {
			t.Fatalf("the device is disturbed by its copy: %v", sent.Error())
		}
	}
	if v := p.counter("vonglau_security_cloned_total"); v != 3 {
		t.Errorf("the security counter says %v, want 3", v)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		var node struct {
			IsCloned bool
			devices.Node
		}
		p.api(http.MethodGet, "/v1/devices/gw-1/network", nil, "", &node)
		return node.IsCloned && node.Refusals[devices.ReasonCloned] == 3 && node.Total.Messages == 3, fmt.Sprintf("%+v", node)
	})
}

// counter reads one sample of /metrics.
func (p *process) counter(name string) (v float64) {
	p.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://"+p.addr.HTTP+"/metrics", nil)
	req.Header.Set("Authorization", "Bearer "+p.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, _ := io.ReadAll(res.Body)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				p.t.Fatalf("%s: %v", line, err)
			}
		}
	}
	return v
}
