package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// present is what a device does with curl; it gives status and answer.
func (p *process) present(t *testing.T, target string, body map[string]any, args ...string) (status string, answer map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-sS", "-g", "-w", "\n%{http_code}", "-H", "Content-Type: application/json", "--data", string(raw)}, args...)
	out, err := exec.Command(tool(t, "curl"), append(all, target+"/v1/enrol")...).Output()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	text, status, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	for strings.Contains(status, "\n") { // the answer's own line feeds
		_, status, _ = strings.Cut(status, "\n")
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("an answer that is not JSON: %v\n%s", err, out)
	}
	return status, answer
}

// TestProgramEnrolment lets devices in with curl, one by its claim code and one
// by its group, and has them report with mosquitto_pub.
func TestProgramEnrolment(t *testing.T) {
	p := startProcess(t, t.TempDir())
	importTestWards(t, p)
	plain, secure := "http://"+p.addr.HTTP, "https://"+p.addr.HTTPS
	ca := []string{"--cacert", filepath.Join(p.dir, "ca.pem")}
	host, port, _ := net.SplitHostPort(p.addr.MQTT)
	publish := func(id, token string, pm25 int) (string, error) {
		out, err := exec.Command(tool(t, "mosquitto_pub"), "-h", host, "-p", port, "-V", "mqttv5", "-q", "1", "-d", "-i", id, "-u", id, "-P", token,
			"-t", "devices/"+id+"/telemetry", "-m", fmt.Sprintf(`{"pm25":%d}`, pm25)).CombinedOutput()
		if err == nil && !strings.Contains(string(out), "PUBACK (Mid: 1, RC:0)") {
			err = fmt.Errorf("no PUBACK with success")
		}
		return string(out), err
	}
	shown := func(id string, pm25 float64) {
		t.Helper()
		eventually(t, 10*time.Second, func() (bool, string) {
			value, _, ok := p.latest(id, "pm25")
			return ok && value == pm25, fmt.Sprintf("latest pm25 of %s: %v %v", id, value, ok)
		})
	}
	state := func(id string) string { return fmt.Sprint(p.must("device", "show", id)["state"]) }
	refusals := func(id, reason, detail string) {
		t.Helper()
		eventually(t, 10*time.Second, func() (bool, string) {
			var answer struct {
				Refusals []struct{ Device, Reason, Detail string }
			}
			p.api(http.MethodGet, "/v1/refusals", url.Values{"device": {id}}, "", &answer)
			for _, r := range answer.Refusals {
				if r.Reason == reason && strings.Contains(r.Detail, detail) {
					return true, ""
				}
			}
			return false, fmt.Sprintf("refusals of %s, looking for %s with %q: %+v", id, reason, detail, answer.Refusals)
		})
	}

	t.Run("claim", func(t *testing.T) {
		added := p.must("device", "add", "claimed-1", "--profile", "air-quality", "--at", "106.2,20.434", "--claim", "--claim-ttl", "24h")
		code, _ := added["claim"].(string)
		if code == "" || added["token"] != nil || added["state"] != "announced" {
			t.Fatalf("device add --claim printed %v", added)
		}
		if out, _, _ := p.run("device", "show", "claimed-1", "--json"); strings.Contains(out, code) {
			t.Error("the code is shown again")
		}
		wrong, answer := p.present(t, secure, map[string]any{"id": "claimed-1", "claim": "00000-00000-00000-00000"}, ca...)
		status, entered := p.present(t, secure, map[string]any{"id": "claimed-1", "claim": code, "nonce": "b1"}, ca...)
		first, _ := entered["token"].(string)
		if status != "201" || first == "" || entered["state"] != "active" {
			t.Fatalf("the claim: %s %v", status, entered)
		}
		used, second := p.present(t, secure, map[string]any{"id": "claimed-1", "claim": code}, ca...)
		if wrong != "401" || used != "401" || fmt.Sprint(answer) != fmt.Sprint(second) {
			t.Errorf("a wrong code: %s %v; a used one: %s %v; want one answer", wrong, answer, used, second)
		}
		refusals("claimed-1", "bad_credential", "not this device's")
		refusals("claimed-1", "bad_credential", "used already")
		if out, err := publish("claimed-1", first, 31); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		shown("claimed-1", 31)
		// The answer got lost, says the device.
		status, entered = p.present(t, plain, map[string]any{"id": "claimed-1", "claim": code, "nonce": "b1"})
		again, _ := entered["token"].(string)
		if status != "201" || again == "" || again == first {
			t.Fatalf("the same claim with its nonce: %s %v", status, entered)
		}
		if out, err := publish("claimed-1", first, 32); err == nil {
			t.Errorf("the first token still counts:\n%s", out)
		}
		if out, err := publish("claimed-1", again, 33); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		shown("claimed-1", 33)
	})

	t.Run("claim with a key of its own", func(t *testing.T) {
		code := fmt.Sprint(p.must("device", "add", "claimed-2", "--profile", "air-quality", "--at", "106.2,20.434", "--claim")["claim"])
		dir := t.TempDir()
		key, csr, cert := filepath.Join(dir, "key"), filepath.Join(dir, "csr"), filepath.Join(dir, "cert")
		if out, err := exec.Command(tool(t, "openssl"), "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			"-keyout", key, "-out", csr, "-subj", "/CN=whatever").CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
		request, err := os.ReadFile(csr)
		if err != nil {
			t.Fatal(err)
		}
		status, entered := p.present(t, secure, map[string]any{"id": "claimed-2", "claim": code, "csr": string(request)}, ca...)
		made, _ := entered["x509"].(map[string]any)
		if status != "201" || made["certificate"] == nil || made["key"] != nil {
			t.Fatalf("the claim: %s %v", status, entered)
		}
		if err := os.WriteFile(cert, []byte(fmt.Sprint(made["certificate"])), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := p.mosquittoTLS("claimed-2", 41, "--cert", cert, "--key", key); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		shown("claimed-2", 41)
	})

	t.Run("group", func(t *testing.T) {
		g := p.must("group", "add", "air", "--profile", "air-quality", "--owner", "environment", "--max", "1", "--until", time.Now().Add(time.Hour).Format(time.RFC3339))
		secret, _ := g["secret"].(string)
		if secret == "" || g["state"] != "open" {
			t.Fatalf("group add printed %v", g)
		}
		status, entered := p.present(t, secure, map[string]any{"group": "air", "secret": secret, "id": "air-0001", "model": "AQ-7", "firmware": "1.4"}, ca...)
		token, _ := entered["token"].(string)
		if status != "201" || token == "" || entered["state"] != "quarantined" {
			t.Fatalf("the group's device: %s %v", status, entered)
		}
		if out, err := publish("air-0001", token, 51); err == nil {
			t.Errorf("a device in quarantine was taken:\n%s", out)
		}
		refusals("air-0001", "quarantined", "approval")
		waiting := p.must("device", "list", "--state", "quarantined")
		if text := fmt.Sprint(waiting["devices"]); !strings.Contains(text, "air-0001") || !strings.Contains(text, "group:air") {
			t.Errorf("those in quarantine: %s", text)
		}
		if status, _ := p.present(t, secure, map[string]any{"group": "air", "secret": secret, "id": "air-0002"}, ca...); status != "401" {
			t.Errorf("a device of a full group: %s", status)
		}
		if list, _, code := p.run("group", "list"); code != 0 || !strings.Contains(list, "full") || strings.Contains(list, secret) {
			t.Errorf("group list: %d\n%s", code, list)
		}
		if _, stderr, code := p.run("device", "approve", "air-0001"); code != 0 {
			t.Fatalf("device approve: %d %s", code, stderr)
		}
		if got := state("air-0001"); got != "active" {
			t.Errorf("approved it is %s", got)
		}
		if out, err := publish("air-0001", token, 52); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		shown("air-0001", 52)
		if g := p.must("group", "revoke", "air"); g["state"] != "revoked" {
			t.Errorf("group revoke printed %v", g)
		}
	})

	t.Run("after a restart", func(t *testing.T) {
		code := fmt.Sprint(p.must("device", "add", "claimed-3", "--profile", "air-quality", "--claim")["claim"])
		p.stop()
		p.start()
		status, entered := p.present(t, "http://"+p.addr.HTTP, map[string]any{"id": "claimed-3", "claim": code, "credential": "psk"})
		psk, _ := entered["psk"].(map[string]any)
		if status != "201" || psk["identity"] != "claimed-3" || len(fmt.Sprint(psk["key"])) != 64 {
			t.Errorf("the claim: %s %v", status, entered)
		}
		if list, _, _ := p.run("group", "list"); !strings.Contains(list, "revoked") {
			t.Errorf("group list:\n%s", list)
		}
	})
}
