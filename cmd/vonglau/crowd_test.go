package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	crowdIdle  = flag.Int("crowd-idle", 1000, "idle MQTT connections to hold")
	crowdStorm = flag.Int("crowd-storm", 1000, "devices that reconnect at once after a kill -9")
)

// crowdDevice is one MQTT 3.1.1 device with as little of its own as can be, so
// that tens of thousands fit beside the server.
type crowdDevice struct {
	id, token string
	conn      net.Conn
}

func (d *crowdDevice) connect(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var body []byte
	text := func(s string) { body = append(append(body, byte(len(s)>>8), byte(len(s))), s...) }
	text("MQTT")
	body = append(body, 4, 0xC2, 0x04, 0xB0) // user name, password, clean session; keep-alive 20 min
	text(d.id)
	text(d.id)
	text(d.token)
	packet := append([]byte{0x10, byte(len(body))}, body...)
	if len(body) > 127 {
		packet = append([]byte{0x10, byte(len(body)%128) | 0x80, byte(len(body) / 128)}, body...)
	}
	answer := make([]byte, 4)
	if _, err = conn.Write(packet); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && (answer[0] != 0x20 || answer[3] != 0) {
		err = fmt.Errorf("CONNACK %x", answer)
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	d.conn = conn
	return nil
}

// report publishes one reading and waits for its PUBACK.
func (d *crowdDevice) report(ts int64, value int) error {
	_ = d.conn.SetDeadline(time.Now().Add(20 * time.Second))
	topic := "devices/" + d.id + "/telemetry"
	payload := `{"ts":` + strconv.FormatInt(ts, 10) + `,"pm25":` + strconv.Itoa(value) + `}`
	body := append([]byte{0, byte(len(topic))}, topic...)
	body = append(append(body, 0, 1), payload...)
	if _, err := d.conn.Write(append([]byte{0x32, byte(len(body))}, body...)); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(d.conn, answer); err != nil {
		return err
	}
	if answer[0] != 0x40 {
		return fmt.Errorf("got %x instead of a PUBACK", answer)
	}
	return nil
}

// enrolCrowd registers n devices in one request.
func enrolCrowd(t *testing.T, p *process, n int) []*crowdDevice {
	t.Helper()
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = map[string]any{"id": fmt.Sprintf("crowd-%05d", i), "profile": "air-quality", "at": []float64{106.168, 20.434}}
	}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var added struct{ Devices []struct{ ID, Token string } }
	if code := p.api(http.MethodPost, "/v1/devices", nil, string(body), &added); code/100 != 2 || len(added.Devices) != n {
		t.Fatalf("enrolling %d devices: status %d, %d came back", n, code, len(added.Devices))
	}
	crowd := make([]*crowdDevice, n)
	for i, d := range added.Devices {
		crowd[i] = &crowdDevice{id: d.ID, token: d.Token}
	}
	return crowd
}

// each runs f for every device, many at a time.
func each(crowd []*crowdDevice, parallel int, f func(i int, d *crowdDevice)) {
	work := make(chan int)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for i := range work {
				f(i, crowd[i])
			}
		})
	}
	for i := range crowd {
		work <- i
	}
	close(work)
	wg.Wait()
}

// rss is the resident memory of the server in bytes.
func (p *process) rss() int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// TestProgramIdleCrowd holds many idle connections in one server and shows that
// a device among them is served. -crowd-idle 50000 needs as many free ports and
// files; `make idle` makes room.
func TestProgramIdleCrowd(t *testing.T) {
	p := startProcess(t, t.TempDir())
	crowd := enrolCrowd(t, p, *crowdIdle)
	time.Sleep(2 * time.Second)
	before := p.rss()
	start := time.Now()
	var failed atomic.Int64
	var first atomic.Value
	each(crowd, 128, func(_ int, d *crowdDevice) {
		if err := d.connect(p.addr.MQTT); err != nil {
			failed.Add(1)
			first.CompareAndSwap(nil, err)
		}
	})
	defer each(crowd, 128, func(_ int, d *crowdDevice) {
		if d.conn != nil {
			_ = d.conn.Close()
		}
	})
	if n := failed.Load(); n > 0 {
		t.Fatalf("%d of %d could not connect, the first: %v", n, *crowdIdle, first.Load())
	}
	took := time.Since(start)
	time.Sleep(3 * time.Second)
	if err := crowd[len(crowd)/2].report(time.Now().UnixMilli(), 7); err != nil {
		t.Errorf("a device in the crowd is not served: %v", err)
	}
	t.Logf("%d idle connections after %s: %.1f KiB of resident memory each (%d MiB in all)",
		*crowdIdle, took.Round(100*time.Millisecond), float64(p.rss()-before)/1024/float64(*crowdIdle), p.rss()>>20)
}

// TestProgramReconnectStorm kills the server under a crowd of connected devices
// that have each an acknowledged reading, and lets all of them come back at
// once, as they do after a power cut: with the same reading again if it was not
// acknowledged, and the next.
func TestProgramReconnectStorm(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	mqtt := l.Addr().String() // devices know one address
	_ = l.Close()
	p := startProcess(t, t.TempDir(), "--mqtt", mqtt)
	crowd := enrolCrowd(t, p, *crowdStorm)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	var acked, failed atomic.Int64
	each(crowd, 128, func(i int, d *crowdDevice) {
		err := d.connect(mqtt)
		if err == nil {
			err = d.report(base.UnixMilli(), i%900)
		}
		if err != nil {
			failed.Add(1)
			return
		}
		acked.Add(1)
	})
	if failed.Load() > 0 {
		t.Fatalf("%d of %d devices did not get their first reading in", failed.Load(), *crowdStorm)
	}
	p.kill()
	each(crowd, 128, func(_ int, d *crowdDevice) { _ = d.conn.Close() })
	p.start()

	start := time.Now()
	var back sync.WaitGroup
	for i, d := range crowd {
		back.Add(1)
		go func() {
			defer back.Done()
			// Every device at once, again after a pause that grows.
			for pause := 50 * time.Millisecond; time.Since(start) < 2*time.Minute; pause = min(2*pause, 2*time.Second) {
				err := d.connect(mqtt)
				if err == nil {
					err = d.report(base.UnixMilli()+1000, (i+1)%900)
				}
				if err == nil {
					return
				}
				if d.conn != nil {
					_ = d.conn.Close()
				}
				time.Sleep(pause)
			}
			failed.Add(1)
		}()
	}
	back.Wait()
	took := time.Since(start)
	if failed.Load() > 0 {
		t.Fatalf("%d of %d devices are not back after two minutes", failed.Load(), *crowdStorm)
	}
	looked := 0
	for i := 0; i < len(crowd); i += max(1, len(crowd)/500) {
		d := crowd[i]
		looked++
		eventually(t, time.Minute, func() (bool, string) {
			stored, _ := p.stored(d.id, "pm25", base, base.Add(time.Minute))
			ok := stored[base.UnixMilli()] == float64(i%900) && stored[base.UnixMilli()+1000] == float64((i+1)%900) && len(stored) == 2
			return ok, fmt.Sprintf("%s: %v", d.id, stored)
		})
	}
	t.Logf("%d devices at once after kill -9: all back with an acknowledged reading after %s; both readings of each of %d looked at are there", *crowdStorm, took.Round(100*time.Millisecond), looked)
	each(crowd, 128, func(_ int, d *crowdDevice) { _ = d.conn.Close() })
	p.stop()
}
