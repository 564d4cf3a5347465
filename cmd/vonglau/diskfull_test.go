package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"golang.org/x/sys/unix"
)

// TestProgramDiskFull fills the disk under a running server: no protocol
// acknowledges, each says so in its own words, what is there can still be read,
// and when there is room again the server goes on by itself with nothing lost.
func TestProgramDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=192m"); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte("journal: {min_free: 48MiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	t.Cleanup(func() { p.kill() }) // before the disk goes
	const id = "full-1"
	token := p.enrol(id, "air-quality", "106.168,20.434")
	n := 0
	payload := func() []byte { n++; return fmt.Appendf(nil, `{"pm25":%d}`, n) }

	post := func() *http.Response {
		req, _ := http.NewRequest(http.MethodPost, "http://"+p.addr.HTTP+"/v1/devices/"+id+"/telemetry", bytes.NewReader(payload()))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	if res := post(); res.StatusCode != http.StatusNoContent {
		t.Fatalf("with room: %s", res.Status)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		v, _, ok := p.latest(id, "pm25")
		return ok && v == 1, fmt.Sprintf("latest: %v", v)
	})
	eventually(t, 20*time.Second, func() (bool, string) {
		stored, _ := p.stored(id, "pm25", time.Now().Add(-time.Hour), time.Now().Add(time.Minute))
		return len(stored) == 1, fmt.Sprintf("history before: %v", stored)
	})

	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	free := int64(fs.Bavail) * fs.Bsize
	if err := os.WriteFile(filler, make([]byte, free-24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		res := post()
		return res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "", "HTTP: " + res.Status + " Retry-After " + res.Header.Get("Retry-After")
	})
	last := n

	conn, err := udp.Dial(p.addr.CoAP, options.WithErrors(func(error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer, err := conn.Post(ctx, "/devices/"+id+"/telemetry", message.AppJSON, bytes.NewReader(payload()), message.Option{ID: message.URIQuery, Value: []byte("k=" + token)})
	if err != nil {
		t.Fatal(err)
	}
	age, noAge := answer.Options().GetUint32(message.MaxAge)
	if answer.Code().String() != "ServiceUnavailable" || noAge != nil || age == 0 {
		t.Errorf("CoAP: got %s, Max-Age %d (%v), want 5.03 with a Max-Age", answer.Code(), age, noAge)
	}

	tcp, err := net.Dial("tcp", p.addr.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	five := paho.NewClient(paho.ClientConfig{Conn: tcp})
	if ack, err := five.Connect(ctx, &paho.Connect{ClientID: id, KeepAlive: 60, CleanStart: true, Username: id, UsernameFlag: true, Password: []byte(token), PasswordFlag: true}); err != nil {
		t.Fatalf("a device can connect while the disk is full: %v %+v", err, ack)
	}
	res, _ := five.Publish(ctx, &paho.Publish{Topic: "devices/" + id + "/telemetry", QoS: 1, Payload: payload()})
	if res == nil || res.ReasonCode != 0x97 {
		t.Errorf("MQTT 5: got %+v, want PUBACK 0x97", res)
	}
	_ = five.Disconnect(&paho.Disconnect{})

	host, port, _ := net.SplitHostPort(p.addr.MQTT)
	out, err := exec.Command("timeout", "5", tool(t, "mosquitto_pub"), "-h", host, "-p", port, "-q", "1", "-i", "three", "-u", id, "-P", token,
		"-t", "devices/"+id+"/telemetry", "-m", string(payload())).CombinedOutput()
	if err == nil {
		t.Errorf("MQTT 3.1.1: mosquitto_pub was acknowledged: %s", out)
	}

	if code := p.api(http.MethodGet, "/readyz", nil, "", nil); code != http.StatusServiceUnavailable {
		t.Errorf("readyz while the disk is full: %d, want 503", code)
	}
	if code := p.api(http.MethodGet, "/healthz", nil, "", nil); code != http.StatusOK {
		t.Errorf("healthz while the disk is full: %d, want 200", code)
	}
	var status struct {
		Journal struct{ Level, Reason, Hint string }
	}
	p.api(http.MethodGet, "/v1/status", nil, "", &status)
	if status.Journal.Level != "refusing" || status.Journal.Hint == "" || !strings.Contains(status.Journal.Hint, "free") {
		t.Errorf("status tells the operator: %+v", status.Journal)
	}
	if v, _, ok := p.latest(id, "pm25"); !ok || int(v) > last {
		t.Errorf("reads go on while the disk is full: %v %v", v, ok)
	}
	if stored, _ := p.stored(id, "pm25", time.Now().Add(-time.Hour), time.Now().Add(time.Minute)); len(stored) == 0 {
		t.Errorf("history is not shown while the disk is full:\n%s", p.tail())
	}

	// What people change goes on from what is kept free, and is on record: it is
	// what mends this.
	if code := p.api(http.MethodPost, "/v1/people", nil, `{"id":"late","name":"Late","role":"operator"}`, nil); code != http.StatusCreated {
		t.Errorf("a change while readings are refused: %d", code)
	}
	if list := p.records("act=person.add"); len(list) != 1 || list[0].Object != "late" {
		t.Errorf("on record: %+v", list)
	}

	// Not one byte left: what cannot be kept, or be on record, is not done.
	rest, err := os.Create(filepath.Join(dir, "rest"))
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 1<<16); len(piece) > 0; {
		if _, err := rest.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
	_ = rest.Close()
	refused := ""
	for i := 0; refused == "" && i < 20_000; i++ {
		name := fmt.Sprintf("later-%d", i)
		code, _, raw := p.as(p.token, http.MethodPost, "/v1/people", fmt.Sprintf(`{"id":%q,"name":"Later","role":"operator"}`, name))
		switch {
		case code == http.StatusCreated: // what the log had reserved
		case code == http.StatusServiceUnavailable && (strings.Contains(string(raw), "not recorded, not done") || strings.Contains(string(raw), "could not be kept")):
			refused = name
		default:
			t.Fatalf("a change with a full disk: %d %s", code, raw)
		}
	}
	if refused == "" {
		t.Error("20,000 changes with a full disk, and none was refused")
	}
	if err := os.Remove(rest.Name()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, _, raw := p.as(p.token, http.MethodGet, "/v1/people", ""); !strings.Contains(string(raw), `"late"`) || strings.Contains(string(raw), `"`+refused+`"`) {
		t.Errorf("%s was refused; the people: %.2000s", refused, raw)
	}
	eventually(t, 15*time.Second, func() (bool, string) {
		code := p.api(http.MethodPost, "/v1/people", nil, `{"id":"again","name":"Again","role":"operator"}`, nil)
		return code == http.StatusCreated, fmt.Sprintf("a change after there is room again: %d", code)
	})
	eventually(t, 15*time.Second, func() (bool, string) {
		res := post()
		return res.StatusCode == http.StatusNoContent, "after there is room again: " + res.Status
	})
	eventually(t, 10*time.Second, func() (bool, string) {
		v, _, _ := p.latest(id, "pm25")
		return int(v) == n, fmt.Sprintf("latest: got %v, want %d", v, n)
	})
	p.stop()
}
