package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// campaignAnswer is what the API says of a campaign.
type campaignAnswer struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	Ring   int    `json:"ring"`
	Counts []map[string]int
	// Devices by ring, as the server believes them to be.
	Devices []struct {
		ID      string `json:"id"`
		Ring    int    `json:"ring"`
		State   string `json:"state"`
		Version string `json:"version"`
		Cause   string `json:"cause"`
	} `json:"devices"`
}

// TestProgramFirmwareCampaign brings an image to 200 devices of which one in
// twenty loses its power in the middle, and in whose second ring it does not
// come up on a part of the hardware: the campaign stops by its own rule, and
// what it says of every device is what that device really runs.
func TestProgramFirmwareCampaign(t *testing.T) {
	const fleet, revB, good, ring1, ring2 = 200, 12, "1.0.9", 20, 80
	p := startProcess(t, t.TempDir())
	sim := buildSimulator(t)
	dir := t.TempDir()
	tokenFile := filepath.Join(p.dir, "admin.token")

	simulator := exec.Command(sim, "boards", "--devices", fmt.Sprint(fleet), "--rev-b", fmt.Sprint(revB), "--prefix", "w-", "--json",
		"--power-cuts", "0.05", "--off", "300ms", "--seed", "11", "--version", good,
		"--server", "http://"+p.addr.HTTP, "--mqtt", p.addr.MQTT, "--coap", p.addr.CoAP, "--token-file", tokenFile)
	var out, errs strings.Builder
	simulator.Stdout, simulator.Stderr = &out, &errs
	simulator.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := simulator.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = simulator.Process.Kill()
			_ = simulator.Wait()
		}
	})

	image := filepath.Join(dir, "image.bin")
	if raw, err := exec.Command(sim, "image", "--version", "1.1.0", "--size", "30000", "--fails-on", "b", "--out", image).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	eventually(t, 30*time.Second, func() (bool, string) {
		var list struct{ Total int }
		p.api(http.MethodGet, "/v1/devices?limit=1", nil, "", &list)
		return list.Total == fleet, fmt.Sprintf("%d devices", list.Total)
	})
	if m := p.must("firmware", "add", image, "--profile", "weather", "--version", "1.1.0"); m["name"] != "weather-1.1.0" {
		t.Fatalf("firmware add: %v", m)
	}
	// The first ring has none of the hardware the image fails on, the second all
	// of it: 12 of 60, and 10 % may fail.
	name := func(i int) string { return fmt.Sprintf("w-%05d", i) }
	ring := func(from, to int) (list []string) {
		for i := from; i <= to; i++ {
			list = append(list, name(i))
		}
		return list
	}
	first, second := ring(revB+1, revB+ring1), append(ring(1, revB), ring(revB+ring1+1, ring2)...)
	started := p.must("firmware", "campaign", "start", "weather-1.1.0", "--ring", strings.Join(first, ","), "--ring", strings.Join(second, ","),
		"--ring", "100%", "--max-failures", "10", "--soak", "1s", "--patience", "60s", "--parallel", "20")
	id, _ := started["id"].(string)
	read := func() (c campaignAnswer) {
		if code := p.api(http.MethodGet, "/v1/campaigns/"+id, nil, "", &c); code != http.StatusOK {
			t.Fatalf("campaign %q: status %d", id, code)
		}
		return c
	}
	eventually(t, 90*time.Second, func() (bool, string) {
		c := read()
		return c.State != "running", fmt.Sprintf("%s, ring %d, %v", c.State, c.Ring, c.Counts)
	})
	if c := read(); c.State != "stopped" || c.Ring != 2 || !strings.Contains(c.Reason, "of 60 devices of ring 2 failed") {
		t.Fatalf("%s in ring %d: %s", c.State, c.Ring, c.Reason)
	}
	// Those that were at it finish, and the server is told, though it restarts.
	p.kill()
	p.args = []string{"--http", p.addr.HTTP, "--mqtt", p.addr.MQTT, "--coap", p.addr.CoAP}
	p.start()
	eventually(t, 90*time.Second, func() (bool, string) {
		c := read()
		busy := 0
		for _, n := range c.Counts {
			busy += n["told"] + n["downloading"] + n["installing"] + n["unreachable"]
		}
		return c.State == "stopped" && busy == 0, fmt.Sprintf("%s, %v", c.State, c.Counts)
	})
	final := read()

	if err := simulator.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended = true
	if err := simulator.Wait(); err != nil {
		t.Fatalf("simulator: %v\n%s", err, errs.String())
	}
	var truth struct {
		PowerCuts, Resumed, Installed, RolledBack, Late, Refused int
		Boards                                                   []struct {
			ID, Version, Hardware string
			Busy                  bool
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &truth); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %v; %d power cuts, %d transfers resumed, %d installed, %d rolled back", final.Reason, final.Counts,
		truth.PowerCuts, truth.Resumed, truth.Installed, truth.RolledBack)
	if truth.PowerCuts == 0 || truth.Resumed == 0 || truth.RolledBack < 7 || truth.Late != 0 || truth.Refused != 0 {
		t.Errorf("simulator: %+v", truth)
	}
	runs := map[string]string{}
	for _, b := range truth.Boards {
		runs[b.ID] = b.Version
		if b.Busy {
			t.Errorf("%s is still at it", b.ID)
		}
	}
	if len(final.Devices) != fleet {
		t.Fatalf("%d devices in the campaign", len(final.Devices))
	}
	for _, d := range final.Devices {
		want := map[string]string{"installed": "1.1.0", "rolled_back": good, "pending": good}[d.State]
		if want == "" || runs[d.ID] != want || d.State != "pending" && d.Version != want || d.State == "rolled_back" && d.Cause != "self_test" {
			t.Errorf("%s in ring %d: the server says %s %s %s, it runs %s", d.ID, d.Ring+1, d.State, d.Version, d.Cause, runs[d.ID])
		}
		if d.Ring == 0 && d.State != "installed" || d.Ring == 2 && d.State != "pending" {
			t.Errorf("%s in ring %d: %s %s", d.ID, d.Ring+1, d.State, d.Cause)
		}
	}
	if final.Counts[1]["pending"] == 0 {
		t.Error("the rule stopped nothing: every device of the second ring was told")
	}
	if installed := p.must("device", "show", name(revB+1)); installed["firmware"] != "1.1.0" {
		t.Errorf("the register says %v", installed["firmware"])
	}
}

// TestProgramCommands sends commands to programs that are not ours.
func TestProgramCommands(t *testing.T) {
	dir := t.TempDir()
	buildProgram(t)
	// A second person, whom the configuration lets in.
	raw, err := exec.Command(program, "person", "new", "bình", "--role", "operator", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var second struct {
		PersonConfig
		Token string
	}
	if err := json.Unmarshal(raw, &second); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "vonglau.yaml")
	people := fmt.Sprintf("people: [{name: %q, role: %s, token_sha256: %s}]\n", second.Name, second.Role, second.TokenSHA256)
	if err := os.WriteFile(config, []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	mqttHost, mqttPort, _ := net.SplitHostPort(p.addr.MQTT)
	state := func(id string) func() (bool, string) {
		return func() (bool, string) {
			var list struct {
				Commands []struct{ State string } `json:"commands"`
			}
			p.api(http.MethodGet, "/v1/devices/"+id+"/commands", nil, "", &list)
			return len(list.Commands) > 0 && list.Commands[0].State != "waiting", fmt.Sprint(list.Commands)
		}
	}
	t.Run("mosquitto_sub", func(t *testing.T) {
		token := p.enrol("cmd-mqtt", "air-quality", "106.2,20.434")
		// It waits for a device that is not there yet.
		sent := p.must("command", "send", "cmd-mqtt", "report", `{"quantity":"pm25"}`, "--ttl", "60s")
		if sent["state"] != "waiting" || sent["by"] != "admin" {
			t.Fatalf("sent: %v", sent)
		}
		raw, err := exec.Command(tool(t, "mosquitto_sub"), "-h", mqttHost, "-p", mqttPort, "-V", "mqttv5", "-q", "1", "-C", "1", "-W", "20",
			"-i", "cmd", "-u", "cmd-mqtt", "-P", token, "-t", "devices/cmd-mqtt/commands").CombinedOutput()
		if err != nil || !strings.Contains(string(raw), sent["id"].(string)) || !strings.Contains(string(raw), `{"quantity":"pm25"}`) {
			t.Fatalf("%v: %s", err, raw)
		}
		eventually(t, 10*time.Second, state("cmd-mqtt"))
		raw, err = exec.Command(tool(t, "mosquitto_pub"), "-h", mqttHost, "-p", mqttPort, "-q", "1", "-i", "cmd", "-u", "cmd-mqtt", "-P", token,
			"-t", "devices/cmd-mqtt/commands/ack", "-m", fmt.Sprintf(`{"id":%q,"state":"done","result":{"pm25":31}}`, sent["id"])).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		list, _ := p.must("command", "list", "cmd-mqtt")["commands"].([]any)
		if got, _ := list[0].(map[string]any); got["state"] != "done" || fmt.Sprint(got["result"]) != "map[pm25:31]" {
			t.Errorf("after its answer: %v", list)
		}
	})
	t.Run("coap-client observes", func(t *testing.T) {
		client := tool(t, "coap-client-notls", "coap-client")
		token := p.enrol("cmd-coap", "street-light", "106.2,20.434")
		file := filepath.Join(t.TempDir(), "heard")
		heard := exec.Command(client, "-v", "6", "-s", "10", "-o", file, "-m", "get", "coap://"+p.addr.CoAP+"/devices/cmd-coap/commands?k="+token)
		if err := heard.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = heard.Process.Kill(); _ = heard.Wait() }()
		eventually(t, 10*time.Second, func() (bool, string) {
			raw, err := os.ReadFile(file)
			return strings.Contains(string(raw), "[]"), fmt.Sprint(string(raw), err)
		})
		sent := p.must("command", "send", "cmd-coap", "dim", `{"percent":40}`, "--ttl", "60s")
		eventually(t, 10*time.Second, func() (bool, string) {
			raw, err := os.ReadFile(file)
			return strings.Contains(string(raw), sent["id"].(string)), fmt.Sprint(string(raw), err)
		})
		eventually(t, 10*time.Second, state("cmd-coap"))
		raw, err := exec.Command(client, "-v", "6", "-B", "10", "-m", "post", "-t", "50", "-e", fmt.Sprintf(`{"id":%q,"state":"done"}`, sent["id"]),
			"coap://"+p.addr.CoAP+"/devices/cmd-coap/commands/ack?k="+token).CombinedOutput()
		if err != nil || !strings.Contains(string(raw), "2.04") {
			t.Fatalf("%v: %s", err, raw)
		}
		list, _ := p.must("command", "list", "cmd-coap")["commands"].([]any)
		if got, _ := list[0].(map[string]any); got["state"] != "done" {
			t.Errorf("after its answer: %v", list)
		}
	})
	t.Run("desired and reported state", func(t *testing.T) {
		token := p.enrol("cmd-lamp", "street-light", "106.2,20.434")
		p.must("command", "state", "cmd-lamp", `{"level":100,"colour":{"k":3000}}`)
		if set := p.must("command", "state", "cmd-lamp", `{"level":40,"colour":null}`); set["desiredVersion"] != 2.0 || set["by"] != "admin" {
			t.Errorf("set twice: %v", set)
		}
		// Whoever subscribes is given the newest at once.
		raw, err := exec.Command(tool(t, "mosquitto_sub"), "-h", mqttHost, "-p", mqttPort, "-q", "1", "-C", "1", "-W", "20",
			"-i", "lamp", "-u", "cmd-lamp", "-P", token, "-t", "devices/cmd-lamp/state/desired").CombinedOutput()
		if err != nil || strings.TrimSpace(string(raw)) != `{"version":2,"state":{"level":40}}` {
			t.Errorf("%v: %s", err, raw)
		}
		raw, err = exec.Command(tool(t, "mosquitto_pub"), "-h", mqttHost, "-p", mqttPort, "-V", "mqttv5", "-q", "1", "-i", "lamp", "-u", "cmd-lamp", "-P", token,
			"-t", "devices/cmd-lamp/state/reported", "-m", `{"level":40,"hours":12}`).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, raw)
		}
		client := tool(t, "coap-client-notls", "coap-client")
		base := "coap://" + p.addr.CoAP + "/devices/cmd-lamp/state/"
		if raw, err := exec.Command(client, "-v", "6", "-B", "10", "-m", "post", "-t", "50", "-e", `{"hours":13}`, base+"reported?k="+token).CombinedOutput(); err != nil || !strings.Contains(string(raw), "2.04") {
			t.Errorf("%v: %s", err, raw)
		}
		if raw, err := exec.Command(client, "-v", "6", "-B", "10", "-m", "get", base+"desired?k="+token).CombinedOutput(); err != nil || !strings.Contains(string(raw), `{"version":2,"state":{"level":40}}`) {
			t.Errorf("%v: %s", err, raw)
		}
		if raw, _ := exec.Command(client, "-v", "6", "-B", "10", "-m", "post", "-t", "50", "-e", `[1]`, base+"reported?k="+token).CombinedOutput(); !strings.Contains(string(raw), "4.00") {
			t.Errorf("not an object: %s", raw)
		}
		p.kill()
		p.start()
		if got := p.must("command", "state", "cmd-lamp"); fmt.Sprint(got["desired"], got["reported"]) != "map[level:40] map[hours:13 level:40]" || got["reportedVersion"] != 2.0 {
			t.Errorf("after a restart: %v", got)
		}
	})
	t.Run("two persons, and refused", func(t *testing.T) {
		p.enrol("cmd-siren", "siren", "106.2,20.434")
		sound := p.must("command", "send", "cmd-siren", "sound")
		if sound["state"] != "proposed" {
			t.Errorf("a siren: %v", sound)
		}
		first := p.token
		p.token = second.Token
		quiet := p.must("command", "send", "cmd-siren", "sound", "--ttl", "30s")
		p.token = first
		if let := p.must("command", "approve", "cmd-siren", quiet["id"].(string)); let["state"] != "waiting" || let["approved"] != "admin" || let["by"] != "bình" {
			t.Errorf("let go by the second person: %v", let)
		}
		for _, args := range [][]string{
			{"command", "approve", "cmd-siren", sound["id"].(string)}, // by the same person
			{"command", "send", "cmd-siren", "explode"}, {"command", "send", "cmd-siren", "silence", "--ttl", "0s"},
			{"command", "send", "nobody", "reboot"}, {"command", "send", "cmd-siren", "firmware"},
			{"command", "state", "cmd-siren", `{"sound":true}`}, // no way round the second person
		} {
			if stdout, _, code := p.run(args...); code != 1 {
				t.Errorf("%v: exit code %d, %s", args, code, stdout)
			}
		}
	})
}
