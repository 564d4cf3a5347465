package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

// doorCase is one payload that every door must treat alike.
type doorCase struct {
	name    string
	profile string // air-quality when empty
	mime    string // application/json when empty
	payload string
	hex     string // the payload of a binary format, spaces ignored
	// values are what the API must show afterwards, by quantity.
	values map[string]float64
	// refused is the reason of the answer; empty is success.
	refused string
	// recorded is the reason of a record in quarantine beside a success.
	recorded string
	// now marks values whose event time must be the time of arrival.
	now bool
	// zones are the codes of the wards layer that pm25 must carry.
	ward string
}

// doorCases is the one table. Times are written @-10s and the like and filled
// in when the case is sent.
var doorCases = []doorCase{
	{name: "object", payload: `{"ts":@-10s,"pm25":12.5,"temperature":31.25}`, values: map[string]float64{"pm25": 12.5, "temperature": 31.25}, ward: "W-1"},
	{name: "object with RFC 3339 time", payload: `{"ts":"@rfc-10s","pm25":13.5}`, values: map[string]float64{"pm25": 13.5}},
	{name: "object without time", payload: `{"pm25":14.5}`, values: map[string]float64{"pm25": 14.5}, now: true},
	{name: "array", payload: `[{"ts":@-20s,"pm25":1},{"ts":@-10s,"pm25":2}]`, values: map[string]float64{"pm25": 2}},
	{name: "array out of order", payload: `[{"ts":@-10s,"pm25":2},{"ts":@-20s,"pm25":1}]`, values: map[string]float64{"pm25": 2}},
	{name: "SenML JSON", mime: "application/senml+json", payload: `[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":@s-10s,"bver":26,"n":"pm25","u":"ug/m3","v":15.5},{"n":"temperature","u":"Cel","v":30}]`, values: map[string]float64{"pm25": 15.5, "temperature": 30}},
	{name: "SenML JSON recognised", payload: `[{"n":"pm25","u":"ug/m3","v":16.5}]`, values: map[string]float64{"pm25": 16.5}, now: true},
	{name: "SenML secondary unit converted", mime: "application/senml+json", payload: `[{"bver":26,"n":"pressure","u":"Pa","v":100500}]`, profile: "weather", values: map[string]float64{"pressure": 1005}, now: true},
	// [{0: "pm25", 1: "ug/m3", 2: 17.5}] with half-precision float 0xF94C60.
	{name: "SenML CBOR", mime: "application/senml+cbor", hex: "81 a3 00 64 706d3235 01 65 75672f6d33 02 f94c60", values: map[string]float64{"pm25": 17.5}, now: true},
	// {"pm25": 4([-1, 185])}, a decimal fraction: 18.5.
	{name: "CBOR decimal fraction", mime: "application/cbor", hex: "a1 64 706d3235 c4 82 20 18b9", values: map[string]float64{"pm25": 18.5}, now: true},
	{name: "integer where a float is usual", payload: `{"pm25":19}`, values: map[string]float64{"pm25": 19}, now: true},

	{name: "time in 1970", payload: `{"ts":12345,"pm25":20.5}`, values: map[string]float64{"pm25": 20.5}, recorded: "clock_suspect", now: true},
	{name: "time next year", payload: `{"ts":@+8760h,"pm25":21.5}`, values: map[string]float64{"pm25": 21.5}, recorded: "clock_suspect", now: true},
	{name: "unknown quantity beside a good one", payload: `{"pm25":22.5,"pm99":1}`, values: map[string]float64{"pm25": 22.5}, recorded: "unknown_quantity", now: true},
	{name: "text beside a number", payload: `{"pm25":23.5,"temperature":"hot"}`, values: map[string]float64{"pm25": 23.5}, recorded: "not_a_number", now: true},
	{name: "position swapped", payload: `{"pm25":24.5,"lat":106.168,"lon":20.434}`, values: map[string]float64{"pm25": 24.5}, recorded: "swapped_position", now: true},
	{name: "position of a moving device", profile: "bus", payload: `{"speed":31,"lat":20.434,"lon":106.168}`, values: map[string]float64{"speed": 31}, now: true},

	{name: "unknown quantity", payload: `{"pm99":1}`, refused: "unknown_quantity"},
	{name: "quantity of another profile", payload: `{"water_level":1}`, refused: "unknown_quantity"},
	{name: "text for a number", payload: `{"pm25":"high"}`, refused: "not_a_number"},
	{name: "overflow", payload: `{"pm25":1e999}`, refused: "not_a_number"},
	{name: "NaN in CBOR", mime: "application/cbor", hex: "a1 64 706d3235 f97e00", refused: "not_a_number"},
	{name: "infinity in CBOR", mime: "application/cbor", hex: "a1 64 706d3235 f97c00", refused: "not_a_number"},
	{name: "NaN spelled in JSON", payload: `{"pm25":NaN}`, refused: "not_a_number"},
	{name: "out of range", payload: `{"pm25":1e9}`, refused: "out_of_range"},
	{name: "bad unit", mime: "application/senml+json", payload: `[{"n":"pm25","u":"Cel","v":1}]`, refused: "bad_unit"},
	{name: "truncated JSON", payload: `{"pm25":1`, refused: "malformed"},
	{name: "truncated CBOR", mime: "application/cbor", hex: "a1 64 706d", refused: "malformed"},
	{name: "CBOR that claims 2^32 entries", mime: "application/cbor", hex: "ba ffffffff", refused: "malformed"},
	{name: "nested object", payload: `{"pm25":{"value":1}}`, refused: "malformed"},
	{name: "bytes of nothing", payload: "\x00\xff\x00\xff", refused: "malformed"},
	{name: "empty object", payload: `{}`, refused: "empty"},
	{name: "SenML mandatory label", mime: "application/senml+json", payload: `[{"n":"pm25","v":1,"calibration_":7}]`, refused: "mandatory_label"},
	{name: "SenML version 11", mime: "application/senml+json", payload: `[{"bver":11,"n":"pm25","v":1}]`, refused: "bad_version"},
	{name: "another device in a SenML name", mime: "application/senml+json", payload: `[{"bn":"urn:dev:vonglau:other-device:","n":"pm25","v":1}]`, refused: "foreign_device"},
	{name: "1 MiB", payload: `{"pm25":1` + strings.Repeat(" ", 1<<20) + `}`, refused: "too_large"},
}

// What each protocol says for a reason, written down here by hand: the tables
// in the code are under test.
var doorAnswers = map[string]struct {
	http int
	coap string
	mqtt byte // PUBACK of MQTT 5; 0 when the connection ends instead
}{
	"":                 {204, "Changed", 0x00},
	"unknown_quantity": {422, "Code(150)", 0x83},
	"not_a_number":     {422, "Code(150)", 0x83},
	"out_of_range":     {422, "Code(150)", 0x83},
	"bad_unit":         {422, "Code(150)", 0x83},
	"malformed":        {400, "BadRequest", 0x99},
	"empty":            {400, "BadRequest", 0x99},
	"mandatory_label":  {400, "BadRequest", 0x99},
	"bad_version":      {400, "BadRequest", 0x99},
	"foreign_device":   {403, "Forbidden", 0x87},
	"too_large":        {413, "RequestEntityTooLarge", 0},
}

// bytes fills in the times of a case.
func (c doorCase) bytes(t *testing.T) []byte {
	if c.hex != "" {
		raw, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		return raw
	}
	now := time.Now()
	return []byte(strings.NewReplacer(
		"@-10s", fmt.Sprint(now.Add(-10*time.Second).UnixMilli()),
		"@-20s", fmt.Sprint(now.Add(-20*time.Second).UnixMilli()),
		"@+8760h", fmt.Sprint(now.Add(8760*time.Hour).UnixMilli()),
		"@rfc-10s", now.Add(-10*time.Second).UTC().Format(time.RFC3339),
		"@s-10s", fmt.Sprint(now.Add(-10*time.Second).Unix()),
	).Replace(c.payload))
}

func (c doorCase) contentType() string {
	if c.mime == "" {
		return "application/json"
	}
	return c.mime
}

// TestProgramDoors runs the table through all four doors of a running server,
// with real sockets and, for the bridge, a real Mosquitto.
func TestProgramDoors(t *testing.T) {
	mosquitto := startMosquitto(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	if err := os.WriteFile(config, []byte("bridge: {url: 'tcp://"+mosquitto+"'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	importTestWards(t, p)

	doors := map[string]func(t *testing.T, c doorCase, id, token string, payload []byte) (refused string){
		"http": func(t *testing.T, c doorCase, id, token string, payload []byte) string {
			req, err := http.NewRequest(http.MethodPost, "http://"+p.addr.HTTP+"/v1/devices/"+id+"/telemetry", bytes.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", c.contentType())
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, _ := io.ReadAll(res.Body)
			if want := doorAnswers[c.refused].http; res.StatusCode != want {
				t.Errorf("answer: got %d %s, want %d", res.StatusCode, body, want)
			}
			if c.refused != "" && !strings.Contains(string(body), `"reason":"`+c.refused+`"`) {
				t.Errorf("answer does not name the reason %s: %s", c.refused, body)
			}
			return c.refused
		},
		"coap": func(t *testing.T, c doorCase, id, token string, payload []byte) string {
			conn, err := udp.Dial(p.addr.CoAP, options.WithErrors(func(error) {}))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			formats := map[string]message.MediaType{
				"application/json": 50, "application/cbor": 60, "application/senml+json": 110, "application/senml+cbor": 112,
			}
			answer, err := conn.Post(ctx, "/devices/"+id+"/telemetry", formats[c.contentType()], bytes.NewReader(payload),
				message.Option{ID: message.URIQuery, Value: []byte("k=" + token)})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := answer.Code().String(), doorAnswers[c.refused].coap; got != want {
				body, _ := answer.ReadBody()
				t.Errorf("answer: got %s %q, want %s", got, body, want)
			}
			return c.refused
		},
		"mqtt": func(t *testing.T, c doorCase, id, token string, payload []byte) string {
			conn, err := net.Dial("tcp", p.addr.MQTT)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan *paho.Disconnect, 1)
			client := paho.NewClient(paho.ClientConfig{Conn: conn, OnServerDisconnect: func(d *paho.Disconnect) { ended <- d }})
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			ack, err := client.Connect(ctx, &paho.Connect{
				ClientID: id, KeepAlive: 60, CleanStart: true,
				Username: id, UsernameFlag: true, Password: []byte(token), PasswordFlag: true,
			})
			if err != nil {
				t.Fatalf("connect: %v, %+v", err, ack)
			}
			want := doorAnswers[c.refused].mqtt
			if c.refused == "too_large" {
				// The client would refuse to send more than the server told it:
				// it is sent by hand.
				if _, err := conn.Write(publishPacket("devices/"+id+"/telemetry", payload)); err != nil {
					t.Logf("writing a packet the server does not want: %v", err)
				}
				select {
				case d := <-ended:
					if d.ReasonCode != 0x95 {
						t.Errorf("disconnect: got 0x%02x, want 0x95 (packet too large)", d.ReasonCode)
					}
				case <-ctx.Done():
					t.Error("the connection did not end")
				}
				return c.refused
			}
			res, err := client.Publish(ctx, &paho.Publish{
				Topic: "devices/" + id + "/telemetry", QoS: 1, Payload: payload,
				Properties: &paho.PublishProperties{ContentType: c.contentType()},
			})
			if res == nil {
				t.Fatalf("publish: %v", err)
			}
			if res.ReasonCode != want {
				t.Errorf("PUBACK: got 0x%02x, want 0x%02x (%v)", res.ReasonCode, want, err)
			}
			_ = client.Disconnect(&paho.Disconnect{ReasonCode: 0})
			return c.refused
		},
		"bridge": func(t *testing.T, c doorCase, id, _ string, payload []byte) string {
			// 3.1.1 and Mosquitto carry no content type here: the device's profile
			// and the bytes decide.
			file := filepath.Join(t.TempDir(), "payload")
			if err := os.WriteFile(file, payload, 0o600); err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(mosquitto)
			out, err := exec.Command(tool(t, "mosquitto_pub"), "-h", host, "-p", port, "-q", "1",
				"-t", "devices/"+id+"/telemetry", "-f", file).CombinedOutput()
			if err != nil {
				t.Fatalf("mosquitto_pub: %v: %s", err, out)
			}
			return c.refused
		},
	}
	for door, send := range doors {
		t.Run(door, func(t *testing.T) {
			for i, c := range doorCases {
				t.Run(c.name, func(t *testing.T) {
					id := fmt.Sprintf("%s-%02d", door, i)
					profile, at := c.profile, "106.168,20.434"
					if profile == "" {
						profile = "air-quality"
					}
					if profile == "bus" {
						at = ""
					}
					token := p.enrol(id, profile, at)
					before := time.Now().Add(-time.Second)
					reason := send(t, c, id, token, c.bytes(t))
					p.check(t, c, id, reason, before)
				})
			}
		})
	}
	// Whatever was sent, the server is well.
	if code := p.api(http.MethodGet, "/readyz", nil, "", nil); code != http.StatusOK {
		t.Errorf("readyz after all of it: %d", code)
	}
}

// check compares what the API shows with what a case must leave behind.
func (p *process) check(t *testing.T, c doorCase, id, refused string, before time.Time) {
	t.Helper()
	recorded := c.recorded
	if refused != "" {
		recorded = refused
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		var latest struct {
			Quantities map[string]struct {
				Time  time.Time `json:"time"`
				Value float64   `json:"value"`
				Zones map[string]struct {
					Code      string `json:"code"`
					ValidFrom string `json:"validFrom"`
				} `json:"zones"`
			} `json:"quantities"`
		}
		if code := p.api(http.MethodGet, "/v1/devices/"+id+"/latest", nil, "", &latest); code != http.StatusOK {
			return false, fmt.Sprintf("latest: status %d", code)
		}
		if len(latest.Quantities) != len(c.values) {
			return false, fmt.Sprintf("latest has %d quantities, want %d: %v", len(latest.Quantities), len(c.values), latest)
		}
		for quantity, want := range c.values {
			got, ok := latest.Quantities[quantity]
			if !ok || math.Abs(got.Value-want) > 1e-9*math.Abs(want) {
				return false, fmt.Sprintf("%s: got %v, want %v", quantity, got, want)
			}
			if c.now && (got.Time.Before(before) || got.Time.After(time.Now().Add(time.Second))) {
				return false, fmt.Sprintf("%s: event time %s is not the time of arrival", quantity, got.Time)
			}
			if c.ward != "" && (got.Zones["wards"].Code != c.ward || got.Zones["wards"].ValidFrom != "2025-07-01") {
				return false, fmt.Sprintf("%s: zones %v, want ward %s", quantity, got.Zones, c.ward)
			}
		}
		var refusals struct {
			Refusals []struct {
				Reason string `json:"reason"`
				Detail string `json:"detail"`
				Kept   bool   `json:"kept"`
			} `json:"refusals"`
		}
		p.api(http.MethodGet, "/v1/refusals", url.Values{"device": {id}}, "", &refusals)
		if recorded == "" {
			return len(refusals.Refusals) == 0, fmt.Sprintf("unexpected refusals: %v", refusals.Refusals)
		}
		for _, r := range refusals.Refusals {
			if r.Reason == recorded {
				return true, ""
			}
		}
		return false, fmt.Sprintf("no record of %s: %v", recorded, refusals.Refusals)
	})
}

// publishPacket is a QoS 1 PUBLISH of MQTT 5 by hand.
func publishPacket(topic string, payload []byte) []byte {
	var body []byte
	body = append(body, byte(len(topic)>>8), byte(len(topic)))
	body = append(body, topic...)
	body = append(body, 0, 1) // packet identifier
	body = append(body, 0)    // no properties
	body = append(body, payload...)
	packet := []byte{0x32}
	for n := len(body); ; {
		b := byte(n % 128)
		if n /= 128; n > 0 {
			packet = append(packet, b|0x80)
			continue
		}
		packet = append(packet, b)
		break
	}
	return append(packet, body...)
}

// importTestWards gives the server two wards side by side at the test's place.
func importTestWards(t *testing.T, p *process) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wards.geojson")
	square := func(code string, west, east float64) string {
		return fmt.Sprintf(`{"type":"Feature","properties":{"code":%q,"name":"Phường %s"},"geometry":{"type":"Polygon","coordinates":[[[%v,20.40],[%v,20.40],[%v,20.47],[%v,20.47],[%v,20.40]]]}}`,
			code, code, west, east, east, west, west)
	}
	geojson := `{"type":"FeatureCollection","features":[` + square("W-1", 106.10, 106.18) + "," + square("W-2", 106.18, 106.26) + `]}`
	if err := os.WriteFile(file, []byte(geojson), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("layer", "import", "wards", file, "--code", "code", "--name", "name", "--valid-from", "2025-07-01", "--join")
}

// startMosquitto starts a broker on [::1] and gives its address.
func startMosquitto(t *testing.T) string {
	t.Helper()
	binary := tool(t, "mosquitto", "/usr/sbin/mosquitto")
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(addr)
	config := "listener " + port + " ::1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\nmessage_size_limit 0\n"
	if err := os.WriteFile(filepath.Join(dir, "mosquitto.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-c", filepath.Join(dir, "mosquitto.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, 10*time.Second, func() (bool, string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, err.Error()
		}
		_ = conn.Close()
		return true, ""
	})
	return addr
}
