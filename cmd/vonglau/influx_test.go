package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

var (
	influxDown = flag.Duration("influx-down", 5*time.Second, "how long InfluxDB is gone in the outage test")
	influxRate = flag.Int("influx-rate", 2000, "readings a second during the outage test")
)

// influx is a real InfluxDB 1.8 on [::1].
type influx struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
}

const influxDatabase = "vonglau"

func startInflux(t *testing.T) *influx {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &influx{t: t, dir: t.TempDir(), addr: l.Addr().String()}
	_ = l.Close()
	i.start()
	t.Cleanup(i.kill)
	i.query("CREATE DATABASE " + influxDatabase)
	return i
}

func influxBinary(t *testing.T) string {
	if path := os.Getenv("VONGLAU_INFLUXD"); path != "" {
		return path
	}
	local, _ := filepath.Abs("../../.cache/influxd/influxd")
	return tool(t, local, "influxd")
}

func (i *influx) start() {
	i.t.Helper()
	config := fmt.Sprintf(`reporting-disabled = true
bind-address = "[::1]:0"
[meta]
  dir = %[1]q
[data]
  dir = %[2]q
  wal-dir = %[3]q
  query-log-enabled = false
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = %[4]q
  flux-enabled = true
  log-enabled = false
  max-row-limit = 0
[monitor]
  store-enabled = false
[logging]
  level = "warn"
`, filepath.Join(i.dir, "meta"), filepath.Join(i.dir, "data"), filepath.Join(i.dir, "wal"), i.addr)
	file := filepath.Join(i.dir, "influxdb.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.cmd = exec.Command(influxBinary(i.t), "-config", file)
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	eventually(i.t, 30*time.Second, func() (bool, string) {
		res, err := http.Get("http://" + i.addr + "/ping")
		if err != nil {
			return false, err.Error()
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusNoContent, res.Status
	})
}

func (i *influx) kill() {
	if i.cmd == nil {
		return
	}
	_ = i.cmd.Process.Kill()
	_ = i.cmd.Wait()
	i.cmd = nil
}

// query runs InfluxQL, which is not how the server asks, and gives the rows.
func (i *influx) query(q string) [][]string {
	i.t.Helper()
	req, _ := http.NewRequest(http.MethodPost, "http://"+i.addr+"/query?"+url.Values{"q": {q}, "db": {influxDatabase}}.Encode(), nil)
	req.Header.Set("Accept", "application/csv")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		i.t.Fatalf("influx: %s: %s %s", q, res.Status, raw)
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		i.t.Fatal(err)
	}
	return rows
}

// count is how many values of a quantity InfluxDB itself says it has.
func (i *influx) count(quantity string) (n int) {
	rows := i.query(`SELECT COUNT(value) FROM "` + quantity + `"`)
	if len(rows) == 2 {
		n, _ = strconv.Atoi(rows[1][len(rows[1])-1])
	}
	return n
}

// TestProgramInfluxGone stops InfluxDB under load: devices are acknowledged and
// the wall goes on, history says it is not available, and when InfluxDB is back
// nothing is missing. -influx-down makes it longer.
func TestProgramInfluxGone(t *testing.T) {
	db := startInflux(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "vonglau.yaml")
	text := "series: {influx: {url: 'http://" + db.addr + "', bucket: '" + influxDatabase + "/autogen', token: 'any:any'}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)

	const fleet = 10
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	var acked, refused atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	ids := make([]string, fleet)
	sent := make([]int, fleet)
	for n := range fleet {
		ids[n] = fmt.Sprintf("influx-%02d", n)
		token := p.enrol(ids[n], "air-quality", "106.168,20.434")
		client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + p.addr.MQTT).
			SetClientID(ids[n]).SetUsername(ids[n]).SetPassword(token).SetOrderMatters(false))
		if tok := client.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatalf("connect: %v", tok.Error())
		}
		defer client.Disconnect(0)
		wg.Add(1)
		go func() {
			defer wg.Done()
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				tokens := make([]paho.Token, 0, *influxRate/10/fleet)
				for range cap(tokens) {
					payload := `{"ts":` + strconv.FormatInt(base.UnixMilli()+int64(sent[n]), 10) + `,"pm25":` + strconv.Itoa(sent[n]%900) + `}`
					tokens = append(tokens, client.Publish("devices/"+ids[n]+"/telemetry", 1, false, payload))
					sent[n]++
				}
				for _, tok := range tokens {
					if tok.WaitTimeout(10*time.Second) && tok.Error() == nil {
						acked.Add(1)
					} else {
						refused.Add(1)
					}
				}
				<-tick.C
			}
		}()
	}
	time.Sleep(2 * time.Second)
	before := acked.Load()
	if before == 0 {
		t.Fatal("nothing was acknowledged before the outage")
	}
	db.kill()
	down := time.Now()
	eventually(t, 20*time.Second, func() (bool, string) {
		code := p.api(http.MethodGet, "/v1/devices/"+ids[0]+"/readings", url.Values{"quantity": {"pm25"}, "from": {"-2h"}}, "", nil)
		return code == http.StatusServiceUnavailable, fmt.Sprintf("history while InfluxDB is gone: status %d, want 503", code)
	})
	// The wall goes on: the newest value moves while the store is away.
	first, _, ok := p.latest(ids[0], "pm25")
	eventually(t, 10*time.Second, func() (bool, string) {
		now, _, ok2 := p.latest(ids[0], "pm25")
		return ok && ok2 && now != first, fmt.Sprintf("latest stays at %v", now)
	})
	time.Sleep(*influxDown - time.Since(down))
	during := acked.Load() - before
	db.start()
	back := time.Now()
	time.Sleep(time.Second)
	cancel()
	wg.Wait()
	if during == 0 || refused.Load() > 0 {
		t.Errorf("during the outage %d were acknowledged, in all %d were not", during, refused.Load())
	}
	total := 0
	for _, n := range sent {
		total += n
	}
	eventually(t, 120*time.Second, func() (bool, string) {
		stored := db.count("pm25")
		return stored == total, fmt.Sprintf("InfluxDB has %d of %d acknowledged readings", stored, total)
	})
	t.Logf("InfluxDB gone %s at %d readings/s: acknowledged %d (%d of them meanwhile), lost 0; drained %s after its return",
		down.Sub(back).Abs().Round(time.Second), *influxRate, total, during, time.Since(back).Round(100*time.Millisecond))
	for n, id := range ids {
		stored, twice := p.stored(id, "pm25", base, base.Add(time.Duration(sent[n])*time.Millisecond))
		if len(stored) != sent[n] || twice > 0 {
			t.Errorf("%s: the API shows %d of %d, %d twice", id, len(stored), sent[n], twice)
		}
	}
	p.stop()
}
