package main

import (
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

// TestProgramForeignClients lets programs that are not ours deliver one reading
// each, and looks for it where a person would.
func TestProgramForeignClients(t *testing.T) {
	p := startProcess(t, t.TempDir())
	importTestWards(t, p)
	mqttHost, mqttPort, _ := net.SplitHostPort(p.addr.MQTT)

	mosquitto := func(version, qos string) func(t *testing.T, id, token, payload string) (string, error) {
		return func(t *testing.T, id, token, payload string) (string, error) {
			out, err := exec.Command(tool(t, "mosquitto_pub"), "-h", mqttHost, "-p", mqttPort, "-V", version, "-q", qos,
				"-i", id, "-u", id, "-P", token, "-t", "devices/"+id+"/telemetry", "-m", payload).CombinedOutput()
			return string(out), err
		}
	}
	coap := func(extra ...string) func(t *testing.T, id, token, payload string) (string, error) {
		return func(t *testing.T, id, token, payload string) (string, error) {
			args := append([]string{"-v", "6", "-B", "10", "-m", "post", "-t", "50", "-e", payload}, extra...)
			args = append(args, "coap://"+p.addr.CoAP+"/devices/"+id+"/telemetry?k="+token)
			out, err := exec.Command(tool(t, "coap-client-notls", "coap-client"), args...).CombinedOutput()
			if err == nil && !strings.Contains(string(out), "2.04") {
				err = fmt.Errorf("no 2.04 in its output")
			}
			return string(out), err
		}
	}
	clients := []struct {
		name string
		send func(t *testing.T, id, token, payload string) (string, error)
	}{
		{"mosquitto_pub 3.1.1 QoS 0", mosquitto("mqttv311", "0")},
		{"mosquitto_pub 3.1.1 QoS 1", mosquitto("mqttv311", "1")},
		{"mosquitto_pub 3.1.1 QoS 2", mosquitto("mqttv311", "2")},
		{"mosquitto_pub 5 QoS 0", mosquitto("mqttv5", "0")},
		{"mosquitto_pub 5 QoS 1", mosquitto("mqttv5", "1")},
		{"mosquitto_pub 5 QoS 2", mosquitto("mqttv5", "2")},
		{"coap-client CON", coap()},
		{"coap-client NON", coap("-N")},
		{"coap-client block-wise", coap("-b", "64")},
		{"curl", func(t *testing.T, id, token, payload string) (string, error) {
			out, err := exec.Command(tool(t, "curl"), "-sS", "--fail-with-body", "-g", "-H", "Authorization: Bearer "+token,
				"--data", payload, "http://"+p.addr.HTTP+"/v1/devices/"+id+"/telemetry").CombinedOutput()
			return string(out), err
		}},
		{"curl line protocol, gzip", func(t *testing.T, id, token, _ string) (string, error) {
			script := `printf 'air,device=%s pm25=33.25,temperature=28.5\n' "$1" | gzip -c | curl -sS --fail-with-body -g ` +
				`-H "Authorization: Token $1:$2" -H 'Content-Encoding: gzip' --data-binary @- "http://$3/api/v2/write?org=o&bucket=b&precision=ns"`
			tool(t, "curl")
			out, err := exec.Command("sh", "-c", script, "sh", id, token, p.addr.HTTP).CombinedOutput()
			return string(out), err
		}},
	}
	for i, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			id := fmt.Sprintf("foreign-%02d", i)
			token := p.enrol(id, "air-quality", "106.2,20.434")
			// Long enough to need several blocks of 64 bytes.
			payload := fmt.Sprintf(`{"ts":%d,%s"pm25":33.25,"temperature":28.5}`, time.Now().UnixMilli(), strings.Repeat(" ", 300))
			if out, err := c.send(t, id, token, payload); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			eventually(t, 10*time.Second, func() (bool, string) {
				value, zones, ok := p.latest(id, "pm25")
				zone, _ := zones["wards"].(map[string]any)
				return ok && value == 33.25 && zone["code"] == "W-2", fmt.Sprintf("latest pm25: %v %v %v", value, zones, ok)
			})
			eventually(t, 20*time.Second, func() (bool, string) {
				stored, _ := p.stored(id, "temperature", time.Now().Add(-time.Hour), time.Now().Add(time.Minute))
				return len(stored) == 1, fmt.Sprintf("history: %v", stored)
			})
		})
	}

	t.Run("2,000 lines pipelined by mosquitto_pub", func(t *testing.T) {
		id := "foreign-lines"
		token := p.enrol(id, "air-quality", "106.2,20.434")
		var lines strings.Builder
		start := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
		for n := range 2000 {
			fmt.Fprintf(&lines, "{\"ts\":%d,\"pm25\":%d}\n", start.UnixMilli()+int64(n), n%500)
		}
		file := filepath.Join(t.TempDir(), "lines")
		if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", `exec "$1" -h "$2" -p "$3" -q 1 -i "$4" -u "$4" -P "$5" -t "devices/$4/telemetry" -l <"$6"`,
			"sh", tool(t, "mosquitto_pub"), mqttHost, mqttPort, id, token, file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		eventually(t, 30*time.Second, func() (bool, string) {
			stored, twice := p.stored(id, "pm25", start, start.Add(3*time.Second))
			return len(stored) == 2000 && twice == 0, fmt.Sprintf("%d stored, %d twice", len(stored), twice)
		})
	})

	t.Run("strangers", func(t *testing.T) {
		id := "foreign-victim"
		token := p.enrol(id, "air-quality", "106.2,20.434")
		other := p.enrol("foreign-other", "air-quality", "106.2,20.434")
		pub := tool(t, "mosquitto_pub")
		for name, c := range map[string]struct {
			args []string
			want string // in what mosquitto_pub says
		}{
			"unknown device":     {[]string{"-u", "nobody", "-P", token}, "not authori"},
			"wrong token":        {[]string{"-u", id, "-P", "x" + token}, "not authori"},
			"no credential":      {nil, "not authori"},
			"another's topic":    {[]string{"-V", "mqttv5", "-u", "foreign-other", "-P", other}, "not authori"},
			"another's wildcard": {[]string{"-u", id, "-P", token, "-t", "devices/+/telemetry"}, ""},
		} {
			t.Run(name, func(t *testing.T) {
				args := append([]string{"-h", mqttHost, "-p", mqttPort, "-q", "1", "-t", "devices/" + id + "/telemetry", "-m", `{"pm25":1}`}, c.args...)
				out, err := exec.Command(pub, args...).CombinedOutput()
				said := strings.ToLower(string(out))
				if err == nil && !strings.Contains(said, c.want) || c.want != "" && !strings.Contains(said, c.want) && !strings.Contains(said, "bad user") {
					t.Errorf("mosquitto_pub: %v %q, want %q", err, out, c.want)
				}
			})
		}
		out, _ := exec.Command(tool(t, "coap-client-notls", "coap-client"), "-v", "6", "-B", "5", "-m", "post", "-t", "50", "-e", `{"pm25":1}`,
			"coap://"+p.addr.CoAP+"/devices/"+id+"/telemetry?k="+other).CombinedOutput()
		if !strings.Contains(string(out), "4.01") {
			t.Errorf("coap-client with another's token: no 4.01 in %s", out)
		}
		if _, _, ok := p.latest(id, "pm25"); ok {
			t.Error("a stranger's reading arrived")
		}
		var refusals struct{ Refusals []struct{ Reason string } }
		p.api(http.MethodGet, "/v1/refusals", url.Values{"device": {id}}, "", &refusals)
		if len(refusals.Refusals) == 0 {
			t.Error("the attempts left no record")
		}
	})

	t.Run("mosquitto_sub on a device's own commands", func(t *testing.T) {
		id := "foreign-sub"
		token := p.enrol(id, "air-quality", "106.2,20.434")
		// It stays subscribed until its time is up, which is exit code 27.
		out, err := exec.Command(tool(t, "mosquitto_sub"), "-h", mqttHost, "-p", mqttPort, "-V", "mqttv5", "-q", "1",
			"-i", id, "-u", id, "-P", token, "-t", "devices/"+id+"/commands", "-W", "2", "-d").CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 27 || !strings.Contains(string(out), "Subscribed") {
			t.Errorf("own commands: %v\n%s", err, out)
		}
		out, _ = exec.Command(tool(t, "mosquitto_sub"), "-h", mqttHost, "-p", mqttPort, "-V", "mqttv5",
			"-i", id, "-u", id, "-P", token, "-t", "devices/+/telemetry", "-W", "2", "-d").CombinedOutput()
		if strings.Contains(string(out), "(QoS: 0)\n") && !strings.Contains(string(out), "denied") && !strings.Contains(strings.ToLower(string(out)), "not authori") {
			t.Errorf("everybody's telemetry was granted:\n%s", out)
		}
	})
}
