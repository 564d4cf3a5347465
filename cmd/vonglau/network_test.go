package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"vonglau/devices"
)

// Environment of this file's tests where they run themselves again inside a
// network namespace.
const (
	envNamespace = "VONGLAU_TEST_NAMESPACE" // the name the namespaces begin with
	envFleet     = "VONGLAU_TEST_FLEET"     // the fleet to run
)

// fleet is devices as the process in their namespace gets them, and what it
// says of them when it is done.
type fleet struct {
	MQTT, HTTP string
	Interface  string
	Readings   int
	Pause      time.Duration
	Devices    []*fleetDevice
}

type fleetDevice struct {
	ID, Token   string
	Over        string // mqtt or http
	Before, Now netip.Addr
	// Acked and Sent count messages; a message that was not acknowledged is sent
	// again. AckedBytes and SentBytes are of their payloads.
	Acked, Sent           int
	AckedBytes, SentBytes int
	Times                 map[int64]int // acknowledged readings: time to number
}

const (
	cityPrefix   = "2001:db8:5::/48"
	siteBefore   = "2001:db8:5:1::/64"
	siteNow      = "2001:db8:5:2::/64"
	siteForeign  = "2001:db8:6::/64"
	serverHost   = "2001:db8:5::1"
	foreignHost  = "2001:db8:6::1"
	siteRouter   = "2001:db8:5::2"
	fleetReports = 60
)

var siteDevices = flag.Int("site-devices", 200, "devices of the site that is renumbered")

// fleetPause is between two readings of a device, so that the fleet sends 2,000
// a second at most, half of them over a connection made for it.
func fleetPause() time.Duration {
	return max(100*time.Millisecond, time.Duration(*siteDevices)*time.Second/2000)
}

// TestProgramSiteRenumbered has 200 devices (-site-devices), each with an address
// of its own from a site's /64, report from a namespace without IPv4 while the
// site's prefix is replaced by another.
func TestProgramSiteRenumbered(t *testing.T) {
	name := os.Getenv(envNamespace)
	if name == "" {
		inNamespace(t)
		return
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte("network: {ping: 2s, ping_rate: 1000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config, "--http", "["+serverHost+"]:0", "--mqtt", "["+serverHost+"]:0", "--coap", "["+serverHost+"]:0")

	prefixes := filepath.Join(t.TempDir(), "prefixes.json")
	register := fmt.Sprintf(`[{"prefix":%q,"kind":"city","name":"city","policy":"refuse"},
		{"prefix":%q,"kind":"site","name":"Trạm A","carrier":"Nhà mạng A"},
		{"prefix":%q,"kind":"site","name":"Trạm A","carrier":"Nhà mạng B"}]`, cityPrefix, siteBefore, siteNow)
	if err := os.WriteFile(prefixes, []byte(register), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("prefix", "set", prefixes)

	run := fleet{MQTT: p.addr.MQTT, HTTP: p.addr.HTTP, Interface: "dev0", Readings: fleetReports, Pause: fleetPause()}
	var list []map[string]any
	for i := range *siteDevices {
		list = append(list, map[string]any{"id": fmt.Sprintf("gw-%04d", i), "profile": "gateway"})
	}
	body, _ := json.Marshal(list)
	var added struct {
		Devices []struct{ ID, Token string } `json:"devices"`
	}
	if code := p.api(http.MethodPost, "/v1/devices", nil, string(body), &added); code != http.StatusCreated {
		t.Fatalf("enrolling the fleet: status %d", code)
	}
	for i, d := range added.Devices {
		over := "mqtt"
		if i%2 == 1 {
			over = "http"
		}
		run.Devices = append(run.Devices, &fleetDevice{
			ID: d.ID, Token: d.Token, Over: over, Before: hostOf(siteBefore, i), Now: hostOf(siteNow, i),
		})
	}
	began := time.Now().Add(-time.Second)
	run = runFleet(t, name, run)
	checkNoIPv4(t, p)

	var node struct {
		Presence, Family, Site, Carrier string
		devices.Node
	}
	var acked, sent, counted devices.Traffic
	for _, d := range run.Devices {
		if d.Acked != fleetReports {
			t.Errorf("%s: %d of %d readings were acknowledged", d.ID, d.Acked, fleetReports)
		}
		node.Node = devices.Node{}
		eventually(t, 20*time.Second, func() (bool, string) {
			code := p.api(http.MethodGet, "/v1/devices/"+d.ID+"/network", nil, "", &node)
			return code == http.StatusOK && node.Total.Messages >= uint64(d.Acked), fmt.Sprintf("%s: status %d, %+v", d.ID, code, node.Total)
		})
		if node.Total.Messages > uint64(d.Sent) || node.Total.Bytes < uint64(d.AckedBytes) || node.Total.Bytes > uint64(d.SentBytes) {
			t.Errorf("%s: the server counted %d messages and %d bytes; %d and %d were acknowledged, %d and %d sent",
				d.ID, node.Total.Messages, node.Total.Bytes, d.Acked, d.AckedBytes, d.Sent, d.SentBytes)
		}
		acked.Messages, acked.Bytes = acked.Messages+uint64(d.Acked), acked.Bytes+uint64(d.AckedBytes)
		sent.Messages, sent.Bytes = sent.Messages+uint64(d.Sent), sent.Bytes+uint64(d.SentBytes)
		counted.Messages, counted.Bytes = counted.Messages+node.Total.Messages, counted.Bytes+node.Total.Bytes

		if len(node.Addresses) != 2 || node.Addresses[0].Address != d.Now || node.Addresses[1].Address != d.Before {
			t.Fatalf("%s: addresses %+v, want %s and before it %s", d.ID, node.Addresses, d.Now, d.Before)
		}
		if sum := node.Addresses[0].Messages + node.Addresses[1].Messages; sum != node.Total.Messages || !node.Addresses[1].Last.Before(node.Addresses[0].Last) {
			t.Errorf("%s: its addresses have %d messages of %d: %+v", d.ID, sum, node.Total.Messages, node.Addresses)
		}
		if node.Family != "v6-only" || node.Site != "Trạm A" || node.Carrier != "Nhà mạng B" || node.Presence != "online" || !node.Cloned.IsZero() {
			t.Errorf("%s: family %s, site %s of %s, presence %s, cloned %s", d.ID, node.Family, node.Site, node.Carrier, node.Presence, node.Cloned)
		}
	}
	if diff := max(sent.Messages, counted.Messages) - min(sent.Messages, counted.Messages); diff*100 > sent.Messages {
		t.Errorf("%d messages were sent and %d counted: more than 1 %% apart", sent.Messages, counted.Messages)
	}
	t.Logf("%d devices: %d messages acknowledged, %d sent, %d counted; %d bytes acknowledged, %d counted",
		*siteDevices, acked.Messages, sent.Messages, counted.Messages, acked.Bytes, counted.Bytes)

	// What was acknowledged is in the history, each reading once.
	for _, d := range run.Devices[:20] {
		eventually(t, 20*time.Second, func() (bool, string) {
			values, twice := p.stored(d.ID, "load", began, time.Now().Add(time.Minute))
			for at, n := range d.Times {
				if got, ok := values[at]; !ok || got != float64(n) {
					return false, fmt.Sprintf("%s: reading %d at %d is stored as %v %v", d.ID, n, at, got, ok)
				}
			}
			return twice == 0, fmt.Sprintf("%s: %d readings are stored twice", d.ID, twice)
		})
	}

	var report devices.Transition
	if code := p.api(http.MethodGet, "/v1/reports/ipv6", nil, "", &report); code != http.StatusOK {
		t.Fatalf("the report: status %d", code)
	}
	if report.Nodes[devices.V6Only] != *siteDevices || report.Nodes[devices.V4Only]+report.Nodes[devices.Dual]+report.Nodes[devices.Unheard] != 0 ||
		report.Share6 != 1 || report.V4.Messages != 0 || report.V6.Messages != counted.Messages {
		t.Errorf("the transition report says %+v, share %v, v6 %+v, v4 %+v", report.Nodes, report.Share6, report.V6, report.V4)
	}
	use := p.prefixUse()
	if use[cityPrefix].Messages != counted.Messages || use[siteBefore].Messages+use[siteNow].Messages != counted.Messages || use[siteNow].Bytes == 0 {
		t.Errorf("prefixes counted %+v, want %d messages in the city", use, counted.Messages)
	}

	// Their host answers ICMPv6 at the new addresses.
	eventually(t, 30*time.Second, func() (bool, string) {
		var node struct{ RoundTrip *struct{ LastMs float64 } }
		d := run.Devices[len(run.Devices)-1]
		p.api(http.MethodGet, "/v1/devices/"+d.ID+"/network", nil, "", &node)
		return node.RoundTrip != nil && node.RoundTrip.LastMs > 0, fmt.Sprintf("no round trip to %s is measured: %v", d.Now, p.must("status")["roundTrips"])
	})
	foreignSource(t, p)

	// The counts outlive the program.
	eventually(t, 10*time.Second, func() (bool, string) {
		use = p.prefixUse()
		return use[cityPrefix].Messages == counted.Messages+1, "the message from inside is not counted"
	})
	p.stop()
	p.start()
	if again := p.prefixUse(); again[cityPrefix].Traffic != use[cityPrefix].Traffic {
		t.Errorf("after a restart the city has %+v, before it %+v", again[cityPrefix].Traffic, use[cityPrefix].Traffic)
	}
	p.kill()
	p.start()
	eventually(t, 20*time.Second, func() (bool, string) {
		again := p.prefixUse()
		return again[cityPrefix].Traffic == use[cityPrefix].Traffic, fmt.Sprintf("after a crash the city has %+v", again[cityPrefix].Traffic)
	})
}

// foreignSource speaks from an address of the host that is in no prefix of the
// register.
func foreignSource(t *testing.T, p *process) {
	t.Helper()
	token := p.enrol("stray", "gateway", "")
	code, answer, err := postFrom(netip.MustParseAddr(foreignHost), p.addr.HTTP, "stray", token, []byte(`{"load":1}`))
	if err != nil || code != http.StatusForbidden || !strings.Contains(answer, "foreign_prefix") {
		t.Errorf("from %s: status %d %s, %v; want 403 and foreign_prefix", foreignHost, code, answer, err)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		var node devices.Node
		p.api(http.MethodGet, "/v1/devices/stray/network", nil, "", &node)
		return node.Refusals[devices.ReasonForeignPrefix] == 1 && node.ElsewhereCount == 1 && len(node.Addresses) == 0, fmt.Sprintf("%+v", node)
	})
	if code, _, err := postFrom(netip.MustParseAddr(serverHost), p.addr.HTTP, "stray", token, []byte(`{"load":1}`)); err != nil || code != http.StatusNoContent {
		t.Errorf("from %s: status %d, %v; want 204", serverHost, code, err)
	}
}

func (p *process) prefixUse() map[string]devices.PrefixUse {
	p.t.Helper()
	var answer struct{ Prefixes []devices.PrefixUse }
	if code := p.api(http.MethodGet, "/v1/prefixes", nil, "", &answer); code != http.StatusOK {
		p.t.Fatalf("the prefixes: status %d", code)
	}
	out := map[string]devices.PrefixUse{}
	for _, u := range answer.Prefixes {
		out[u.Prefix.Prefix.String()] = u
	}
	return out
}

func hostOf(prefix string, i int) netip.Addr {
	a := netip.MustParsePrefix(prefix).Addr().As16()
	a[14], a[15] = byte((i+16)>>8), byte(i+16)
	return netip.AddrFrom16(a)
}

// inNamespace runs the calling test again in a namespace of the server, with one
// for devices beside it. There is no IPv4 in either, not even on the loopback.
func inNamespace(t *testing.T) {
	t.Helper()
	buildProgram(t)
	ip := tool(t, "ip")
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	name := fmt.Sprintf("vlt%d", os.Getpid())
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	for _, side := range []string{"s", "d"} {
		ns := name + side
		if out, err := exec.Command(ip, "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces here: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command(ip, "netns", "del", ns).Run() })
		must("-n", ns, "link", "set", "lo", "up")
		must("-n", ns, "addr", "del", "127.0.0.1/8", "dev", "lo")
	}
	must("-n", name+"s", "link", "add", "srv0", "type", "veth", "peer", "name", "dev0", "netns", name+"d")
	must("-n", name+"s", "addr", "add", serverHost+"/64", "dev", "srv0", "nodad")
	must("-n", name+"s", "addr", "add", foreignHost+"/64", "dev", "srv0", "nodad")
	must("-n", name+"s", "link", "set", "srv0", "up")
	must("-n", name+"d", "addr", "add", siteRouter+"/64", "dev", "dev0", "nodad")
	must("-n", name+"d", "link", "set", "dev0", "up")
	// By way of a router, as a site is reached, whose devices are no neighbours: the
	// kernel knows 1,024 of those.
	for _, prefix := range []string{siteBefore, siteNow} {
		must("-n", name+"s", "route", "add", prefix, "via", siteRouter, "dev", "srv0")
	}
	cmd := exec.Command(ip, "netns", "exec", name+"s", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v",
		fmt.Sprintf("-site-devices=%d", *siteDevices))
	cmd.Env = append(os.Environ(), envNamespace+"="+name, "VONGLAU_BIN="+program)
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("the test in the namespace: %v", err)
	}
}

// checkNoIPv4 fails when the server has a socket of the IPv4 family, by comparing
// its descriptors with the kernel's tables.
func checkNoIPv4(t *testing.T, p *process) {
	t.Helper()
	own := map[string]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	find := func(table string) (lines []string) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.cmd.Process.Pid, table))
		if err != nil {
			return nil
		}
		for line := range strings.Lines(string(raw)) {
			if f := strings.Fields(line); len(f) > 9 && own[f[9]] {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if six := len(find("tcp6")) + len(find("udp6")); six < 3 {
		t.Fatalf("found %d IPv6 sockets of the server, want its doors at least", six)
	}
	for _, table := range []string{"tcp", "udp", "udplite", "raw", "icmp"} {
		if lines := find(table); len(lines) > 0 {
			t.Errorf("the server has IPv4 sockets in %s: %q", table, lines)
		}
	}
}

// runFleet runs devices in their namespace until each has reported, renumbering
// them half-way.
func runFleet(t *testing.T, name string, f fleet) fleet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fleet.json")
	raw, _ := json.Marshal(f)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+2*time.Duration(f.Readings)*f.Pause)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", name+"d", os.Args[0], "-test.run", "^TestFleet$", "-test.v")
	cmd.Env = append(os.Environ(), envFleet+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the fleet: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var done fleet
	if err := json.Unmarshal(raw, &done); err != nil {
		t.Fatal(err)
	}
	return done
}

// TestFleet is the devices' side of TestProgramSiteRenumbered.
func TestFleet(t *testing.T) {
	file := os.Getenv(envFleet)
	if file == "" {
		t.Skip("runs inside TestProgramSiteRenumbered")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f fleet
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	f.addresses(t, "add", func(d *fleetDevice) netip.Addr { return d.Before })
	renumbered := make(chan struct{})
	half := make(chan struct{}, len(f.Devices))
	var wg sync.WaitGroup
	for _, d := range f.Devices {
		wg.Go(func() { d.run(&f, half, renumbered) })
	}
	for range f.Devices {
		<-half
	}
	f.addresses(t, "add", func(d *fleetDevice) netip.Addr { return d.Now })
	close(renumbered)
	// The old prefix goes while many are still in the middle of a message.
	f.addresses(t, "del", func(d *fleetDevice) netip.Addr { return d.Before })
	wg.Wait()
	raw, _ = json.Marshal(f)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// addresses adds or deletes an address of every device at once.
func (f *fleet) addresses(t *testing.T, verb string, of func(*fleetDevice) netip.Addr) {
	t.Helper()
	var batch strings.Builder
	for _, d := range f.Devices {
		fmt.Fprintf(&batch, "addr %s %s/64 dev %s", verb, of(d), f.Interface)
		if verb == "add" {
			batch.WriteString(" nodad")
		}
		batch.WriteByte('\n')
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip addr %s: %v: %s", verb, err, out)
	}
}

// run reports until every reading is acknowledged. It learns that it has another
// address as a device does: by its connection going dead, or at its next one.
func (d *fleetDevice) run(f *fleet, half chan<- struct{}, renumbered <-chan struct{}) {
	d.Times = map[int64]int{}
	var client paho.Client
	for n := 0; n < f.Readings; n++ {
		if n == f.Readings/2 {
			half <- struct{}{}
		}
		at := time.Now().UnixMilli()
		payload := fmt.Appendf(nil, `{"ts":%d,"load":%d,"clients":3}`, at, n)
		for acked := false; !acked; {
			from := d.Before
			select {
			case <-renumbered:
				from = d.Now
			default:
			}
			d.Sent++
			d.SentBytes += len(payload)
			if d.Over == "http" {
				code, _, err := postFrom(from, f.HTTP, d.ID, d.Token, payload)
				acked = err == nil && code == http.StatusNoContent
			} else {
				acked = d.publish(&client, f.MQTT, from, payload)
			}
			if !acked {
				time.Sleep(50 * time.Millisecond)
			}
		}
		d.Acked++
		d.AckedBytes += len(payload)
		d.Times[at] = n
		time.Sleep(f.Pause)
	}
	if client != nil {
		client.Disconnect(100)
	}
}

// publish sends one message at QoS 1 over a connection that is made when there is
// none.
func (d *fleetDevice) publish(client *paho.Client, addr string, from netip.Addr, payload []byte) bool {
	if *client == nil {
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(d.ID).SetUsername(d.ID).SetPassword(d.Token).
			SetAutoReconnect(false).SetConnectTimeout(3 * time.Second).
			SetDialer(&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 3 * time.Second}))
		if token := c.Connect(); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
			return false
		}
		*client = c
	}
	token := (*client).Publish("devices/"+d.ID+"/telemetry", 1, false, payload)
	if token.WaitTimeout(2*time.Second) && token.Error() == nil {
		return true
	}
	(*client).Disconnect(0)
	*client = nil
	return false
}

// postFrom posts one payload from an address of this host.
func postFrom(from netip.Addr, server, id, token string, payload []byte) (code int, answer string, err error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 3 * time.Second}).DialContext,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, "http://"+server+"/v1/devices/"+id+"/telemetry", bytes.NewReader(payload))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, string(raw), err
}
