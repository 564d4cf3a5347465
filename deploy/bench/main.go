// Command bench measures Vonglau beside Mosquitto + Telegraf, both into the
// same InfluxDB 1.8 on the same machine, in turn: it publishes N messages at
// QoS 1 and waits until InfluxDB itself counts every value. It prints values a
// second and the CPU seconds per million values of each process, from the
// kernel's accounting. Publishers are gateways: several connections, a window
// each.
//
// What is not the same on both sides: Vonglau's acknowledgement means on disk,
// authenticated, checked and placed in zones; Mosquitto's means in memory.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	vonglau, telegraf, influxd, mosquitto string
	messages, connections, window, rounds int
	json                                  bool
}

// result is one run of one side.
type result struct {
	Side       string             `json:"side"`
	Values     int                `json:"valuesPerMessage"`
	Round      int                `json:"round"`
	Messages   int                `json:"messages"`
	AckSeconds float64            `json:"ackSeconds"` // until the last PUBACK
	Seconds    float64            `json:"seconds"`    // until InfluxDB has all
	PerSecond  float64            `json:"valuesPerSecond"`
	CPU        map[string]float64 `json:"cpuSecondsPerMillionValues"` // by process
	RSS        map[string]float64 `json:"peakMiB"`
}

func main() {
	var o options
	flag.StringVar(&o.vonglau, "vonglau", "bin/vonglau", "the server")
	flag.StringVar(&o.telegraf, "telegraf", "", "Telegraf")
	flag.StringVar(&o.influxd, "influxd", "influxd", "InfluxDB 1.8")
	flag.StringVar(&o.mosquitto, "mosquitto", "mosquitto", "Mosquitto")
	flag.IntVar(&o.messages, "messages", 200_000, "messages a run")
	flag.IntVar(&o.connections, "connections", 20, "publishing connections")
	flag.IntVar(&o.window, "window", 200, "unacknowledged messages a connection")
	flag.IntVar(&o.rounds, "rounds", 2, "runs of each side")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if p, err := exec.LookPath(o.mosquitto); err == nil {
		o.mosquitto = p
	} else if _, err := os.Stat("/usr/sbin/mosquitto"); err == nil {
		o.mosquitto = "/usr/sbin/mosquitto"
	}
	var all []result
	for _, values := range []int{1, 4} {
		for round := range o.rounds {
			for _, side := range []string{"vonglau", "mosquitto+telegraf"} {
				fmt.Fprintf(os.Stderr, "%s, %d values a message, round %d\n", side, values, round+1)
				r, err := measure(o, side, values)
				if err != nil {
					return fmt.Errorf("%s: %w", side, err)
				}
				r.Round = round + 1
				all = append(all, r)
			}
		}
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "side\tvalues/message\tvalues/s\tacked after\tCPU s per million values\tpeak MiB")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.2f s of %.2f s\t%s\t%s\n", r.Side, r.Values, r.PerSecond, r.AckSeconds, r.Seconds, parts(r.CPU, 2), parts(r.RSS, 0))
	}
	return t.Flush()
}

func parts(m map[string]float64, digits int) string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		out = append(out, name+" "+strconv.FormatFloat(m[name], 'f', digits, 64))
	}
	return strings.Join(out, ", ")
}

// child is a process of the measured side.
type child struct {
	name string
	cmd  *exec.Cmd
}

// stage is one run's processes and folder.
type stage struct {
	dir      string
	children []*child
}

func (s *stage) start(name, binary string, args ...string) error {
	cmd := exec.Command(binary, args...)
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	s.children = append(s.children, &child{name, cmd})
	return nil
}

func (s *stage) stop() {
	for _, c := range slices.Backward(s.children) {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}

// cpu is utime + stime of a running process in seconds, from /proc/PID/stat
// (proc(5), fields 14 and 15).
func (c *child) cpu() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	const ticksPerSecond = 100 // USER_HZ
	return (user + system) / ticksPerSecond
}

// peak is VmHWM in MiB.
func (c *child) peak() float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

func freePort() string {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		panic(err) // no loopback: nothing can be measured
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func measure(o options, side string, values int) (r result, err error) {
	dir, err := os.MkdirTemp("", "vonglau-bench-")
	if err != nil {
		return r, err
	}
	s := &stage{dir: dir}
	defer s.stop()
	influx := freePort()
	if err := startInflux(s, o, influx); err != nil {
		return r, err
	}
	var senders []*sender
	count := []string{`SELECT COUNT(value) FROM "pm25"`}
	if side == "vonglau" {
		if values == 4 {
			count = append(count, `SELECT COUNT(value) FROM "pm10"`, `SELECT COUNT(value) FROM "temperature"`, `SELECT COUNT(value) FROM "humidity"`)
		}
		senders, err = startVonglau(s, o, influx)
	} else {
		count = []string{`SELECT COUNT(pm25) FROM "readings"`}
		if values == 4 {
			count = append(count, `SELECT COUNT(pm10) FROM "readings"`, `SELECT COUNT(temperature) FROM "readings"`, `SELECT COUNT(humidity) FROM "readings"`)
		}
		senders, err = startPeers(s, o, influx)
	}
	if err != nil {
		return r, err
	}
	base := time.Now().Add(-time.Hour).UnixMilli()
	before := map[string]float64{}
	for _, c := range s.children {
		before[c.name] = c.cpu()
	}
	each := o.messages / len(senders)
	want := each * len(senders) * values
	start := time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, len(senders))
	for _, p := range senders {
		p.values, p.base = values, base
		wg.Go(func() {
			if err := p.publish(each, o.window); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return r, err
	default:
	}
	acked := time.Since(start)
	stored := 0
	for stored < want {
		if time.Since(start) > 5*time.Minute {
			return r, fmt.Errorf("InfluxDB has %d of %d acknowledged values after five minutes: lost or stuck", stored, want)
		}
		time.Sleep(100 * time.Millisecond)
		stored = 0
		for _, q := range count {
			n, err := queryCount(influx, q)
			if err != nil {
				return r, err
			}
			stored += n
		}
	}
	elapsed := time.Since(start)
	r = result{
		Side: side, Values: values, Messages: each * len(senders), AckSeconds: acked.Seconds(), Seconds: elapsed.Seconds(),
		PerSecond: float64(want) / elapsed.Seconds(), CPU: map[string]float64{}, RSS: map[string]float64{},
	}
	for _, c := range s.children {
		r.CPU[c.name] = (c.cpu() - before[c.name]) / float64(want) * 1e6
		r.RSS[c.name] = c.peak()
	}
	return r, nil
}

func startInflux(s *stage, o options, addr string) error {
	config := fmt.Sprintf(`reporting-disabled = true
bind-address = "[::1]:0"
[meta]
  dir = "%[1]s/meta"
[data]
  dir = "%[1]s/data"
  wal-dir = "%[1]s/wal"
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "%[2]s"
  flux-enabled = true
  log-enabled = false
[monitor]
  store-enabled = false
[logging]
  level = "warn"
`, s.dir, addr)
	file := filepath.Join(s.dir, "influxdb.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	if err := s.start("influxd", o.influxd, "-config", file); err != nil {
		return err
	}
	if err := until(30*time.Second, "InfluxDB", func() bool { return status("http://"+addr+"/ping") == http.StatusNoContent }); err != nil {
		return err
	}
	_, err := query(addr, "CREATE DATABASE bench")
	return err
}

func startVonglau(s *stage, o options, influx string) ([]*sender, error) {
	config := filepath.Join(s.dir, "vonglau.yaml")
	text := "series: {influx: {url: 'http://" + influx + "', bucket: bench/autogen, token: ''}}\nlog: {level: warn}\n" +
		// Each connection stands for a gateway with hundreds of devices behind it.
		"bounds: {device_messages: 0, device_bytes: 0, site_messages: 0, site_bytes: 0, total_messages: 0, total_bytes: 0}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	if err := s.start("vonglau", o.vonglau, "serve", "--config", config, "--data", data, "--http", "[::1]:0", "--mqtt", "[::1]:0", "--coap", "[::1]:0",
		"--https=", "--mqtts=", "--coaps="); err != nil {
		return nil, err
	}
	var addr struct{ HTTP, MQTT string }
	err := until(30*time.Second, "Vonglau", func() bool {
		raw, err := os.ReadFile(filepath.Join(data, "addresses.json"))
		return err == nil && json.Unmarshal(raw, &addr) == nil
	})
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, err
	}
	var list []map[string]any
	for i := range o.connections {
		list = append(list, map[string]any{"id": fmt.Sprintf("bench-%03d", i), "profile": "air-quality", "at": []float64{106.168, 20.434}})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+addr.HTTP+"/v1/devices", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var added struct {
		Devices []struct{ ID, Token string } `json:"devices"`
	}
	if err := json.NewDecoder(res.Body).Decode(&added); err != nil || len(added.Devices) != o.connections {
		return nil, fmt.Errorf("enrolling %d devices: %s, %w", o.connections, res.Status, err)
	}
	var out []*sender
	for _, d := range added.Devices {
		p, err := dial(addr.MQTT, d.ID, d.ID, d.Token, "devices/"+d.ID+"/telemetry")
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// startPeers is the tuned set-up: nothing dropped by the broker's queues, a
// persistent session at QoS 1, large batches.
func startPeers(s *stage, o options, influx string) ([]*sender, error) {
	broker := freePort()
	_, port, _ := net.SplitHostPort(broker)
	file := filepath.Join(s.dir, "mosquitto.conf")
	text := "listener " + port + " ::1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := s.start("mosquitto", o.mosquitto, "-c", file); err != nil {
		return nil, err
	}
	listening := func() bool {
		conn, err := net.Dial("tcp", broker)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	if err := until(10*time.Second, "Mosquitto", listening); err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "telegraf.conf")
	text = fmt.Sprintf(`[agent]
  flush_interval = "1s"
  metric_batch_size = 5000
  metric_buffer_limit = 200000
  omit_hostname = true
[[outputs.influxdb]]
  urls = ["http://%s"]
  database = "bench"
  skip_database_creation = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://%s"]
  topics = ["devices/+/telemetry"]
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  max_undelivered_messages = 50000
  topic_tag = "topic"
  name_override = "readings"
  data_format = "json"
  json_time_key = "ts"
  json_time_format = "unix_ms"
`, influx, broker)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := s.start("telegraf", o.telegraf, "--config", config); err != nil {
		return nil, err
	}
	logged := func() bool {
		raw, _ := os.ReadFile(filepath.Join(s.dir, "telegraf.log"))
		return bytes.Contains(raw, []byte("Connected"))
	}
	if err := until(20*time.Second, "Telegraf", logged); err != nil {
		raw, _ := os.ReadFile(filepath.Join(s.dir, "telegraf.log"))
		return nil, fmt.Errorf("%w\n%s", err, raw)
	}
	time.Sleep(500 * time.Millisecond) // its subscription follows the connection
	var out []*sender
	for i := range o.connections {
		id := fmt.Sprintf("bench-%03d", i)
		p, err := dial(broker, id, "", "", "devices/"+id+"/telemetry")
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func until(within time.Duration, what string, ok func() bool) error {
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come up in %s", what, within)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func status(address string) int {
	res, err := http.Get(address)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func query(addr, q string) ([]byte, error) {
	res, err := http.PostForm("http://"+addr+"/query", url.Values{"q": {q}, "db": {"bench"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("influx: %s: %s", res.Status, raw)
	}
	return raw, err
}

func queryCount(addr, q string) (int, error) {
	raw, err := query(addr, q)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return 0, err
	}
	for _, r := range answer.Results {
		for _, s := range r.Series {
			if len(s.Values) == 1 && len(s.Values[0]) == 2 {
				n, _ := s.Values[0][1].(float64)
				return int(n), nil
			}
		}
	}
	return 0, nil
}
