package main

import (
	"flag"
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

var floodProbes = flag.Int("flood-probes", 150, "readings of the well-behaved device in each phase of the flood")

// flood is a gateway that sends as fast as it can, over one connection.
type flood struct {
	crowdDevice
	sent  atomic.Int64
	ended chan struct{}
}

func startFlood(t *testing.T, p *process, id string) *flood {
	t.Helper()
	f := &flood{crowdDevice: crowdDevice{id: id, token: p.enrol(id, "gateway", "")}, ended: make(chan struct{})}
	if err := f.connect(p.addr.MQTT); err != nil {
		t.Fatal(err)
	}
	topic := "devices/" + id + "/telemetry"
	body := append([]byte{0, byte(len(topic))}, topic+`{"load":1}`...)
	go f.run(append([]byte{0x30, byte(len(body))}, body...)) // QoS 0: nothing can be answered
	return f
}

func (f *flood) run(packet []byte) {
	defer close(f.ended)
	for {
		if _, err := f.conn.Write(packet); err != nil {
			return
		}
		f.sent.Add(1)
	}
}

// stop takes its credential away. A connection that is only closed would be read
// for a good while yet, for all that waits in it.
func (f *flood) stop(t *testing.T, p *process) {
	t.Helper()
	p.must("device", "revoke", f.id)
	select {
	case <-f.ended:
	case <-time.After(20 * time.Second):
		t.Errorf("%s goes on without a credential", f.id)
	}
	_ = f.conn.Close()
	<-f.ended
}

// TestProgramFloodBesideNeighbour measures how long a well-behaved device waits
// for its acknowledgements, alone and beside a gateway that sends as fast as it
// can, by turns in one run, so that a machine that becomes slower slows both. It
// asserts that the flood is held to its bound and that the neighbour gets every
// answer; the times are for the reader.
func TestProgramFloodBesideNeighbour(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte("bounds: {device_messages: 200, device_factor: 1, burst: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	neighbour := connectMQTT(t, p, "neighbour", p.enrol("neighbour", "gateway", ""))
	defer neighbour.Disconnect(100)
	measure := func(what string) (took []time.Duration) {
		t.Helper()
		for i := range *floodProbes {
			began := time.Now()
			token := neighbour.Publish("devices/neighbour/telemetry", 1, false, fmt.Sprintf(`{"load":%d}`, i%100))
			if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
				t.Fatalf("%s: reading %d was not acknowledged: %v", what, i, token.Error())
			}
			took = append(took, time.Since(began))
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("%s: p50 %v p99 %v", what, quantile(took, .5), quantile(took, .99))
		return took
	}

	var alone, beside []time.Duration
	for turn := range 2 {
		alone = append(alone, measure("alone")...)
		held, began := p.counter("vonglau_ingest_held_up_total"), time.Now()
		f := startFlood(t, p, fmt.Sprintf("flood-%d", turn))
		eventually(t, 10*time.Second, func() (bool, string) {
			return p.counter("vonglau_ingest_held_up_total") > held, "the flood is not held up"
		})
		beside = append(beside, measure("beside the flood")...)
		f.stop(t, p)
		lasted := time.Since(began)

		var node struct {
			OverBounds uint64
			devices.Node
		}
		if code := p.api(http.MethodGet, "/v1/devices/"+f.id+"/network", nil, "", &node); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		if most := 200*(lasted.Seconds()+3) + 20; float64(node.Total.Messages) > most || node.Total.Messages == 0 {
			t.Errorf("%d messages of the flood were taken in %s, want at most %.0f", node.Total.Messages, lasted, most)
		}
		if node.OverBounds == 0 {
			t.Error("the flood was never over its bound")
		}
		t.Logf("the flood wrote %d messages in %s, %d were read, %d of them over the bound",
			f.sent.Load(), lasted.Round(100*time.Millisecond), node.Total.Messages, node.OverBounds)
	}
	slices.Sort(alone)
	slices.Sort(beside)
	ratio := func(q float64) float64 {
		i := int(q * float64(len(alone)))
		return float64(beside[i]) / float64(alone[i])
	}
	t.Logf("acknowledgement alone: p50 %v p99 %v; beside the flood: p50 %v p99 %v; beside to alone: p50 %.2f p99 %.2f",
		quantile(alone, .5), quantile(alone, .99), quantile(beside, .5), quantile(beside, .99), ratio(.5), ratio(.99))
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
