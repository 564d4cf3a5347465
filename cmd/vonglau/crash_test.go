package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

var crashCycles = flag.Int("cycles", 6, "kill -9 and restart this many times")

// ackHistory is what the devices of the test know: which of their readings were
// acknowledged. The check afterwards is set algebra over it.
type ackHistory struct {
	mu    sync.Mutex
	acked map[string][]int // device to the numbers of its acknowledged readings
}

func (h *ackHistory) ack(device string, n int) {
	h.mu.Lock()
	h.acked[device] = append(h.acked[device], n)
	h.mu.Unlock()
}

func (h *ackHistory) total() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.acked {
		n += len(a)
	}
	return n
}

// crashDevice sends readings numbered 0, 1, 2, … and keeps each until it is
// acknowledged, over whatever server is there.
type crashDevice struct {
	id, token string
	base      time.Time // reading n is of base + n ms
	next      int
	pending   []int // not acknowledged, oldest first
	h         *ackHistory
}

func (d *crashDevice) payload(n int) []byte {
	return []byte(`{"ts":` + strconv.FormatInt(d.base.UnixMilli()+int64(n), 10) + `,"pm25":` + strconv.Itoa(n%900) + `}`)
}

// take gives the next reading to send: first what was not acknowledged.
func (d *crashDevice) window(size int) []int {
	for len(d.pending) < size {
		d.pending = append(d.pending, d.next)
		d.next++
	}
	return d.pending[:size]
}

func (d *crashDevice) acked(n int) {
	if i := slices.Index(d.pending, n); i >= 0 {
		d.pending = slices.Delete(d.pending, i, i+1)
	}
	d.h.ack(d.id, n)
}

// run sends through one protocol until ctx ends, which is when the server is
// killed.
func (d *crashDevice) runMQTT(ctx context.Context, addr string) {
	client := paho.NewClient(paho.NewClientOptions().
		AddBroker("tcp://" + addr).SetClientID(d.id).SetUsername(d.id).SetPassword(d.token).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectTimeout(3 * time.Second).SetOrderMatters(false))
	if t := client.Connect(); !t.WaitTimeout(3*time.Second) || t.Error() != nil {
		return
	}
	defer client.Disconnect(0)
	for ctx.Err() == nil {
		batch := slices.Clone(d.window(50))
		tokens := make([]paho.Token, len(batch))
		for i, n := range batch {
			tokens[i] = client.Publish("devices/"+d.id+"/telemetry", 1, false, d.payload(n))
		}
		for i, t := range tokens {
			select {
			case <-t.Done():
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Second):
				return
			}
			if t.Error() != nil {
				return
			}
			d.acked(batch[i])
		}
	}
}

func (d *crashDevice) runCoAP(ctx context.Context, addr string) {
	conn, err := udp.Dial(addr, options.WithErrors(func(error) {}))
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for ctx.Err() == nil {
		n := d.window(1)[0]
		request, cancel := context.WithTimeout(ctx, 4*time.Second)
		query := message.Option{ID: message.URIQuery, Value: []byte("k=" + d.token)}
		answer, err := conn.Post(request, "/devices/"+d.id+"/telemetry", message.AppJSON, bytes.NewReader(d.payload(n)), query)
		cancel()
		if err != nil {
			return
		}
		if answer.Code() == codes.Changed {
			d.acked(n)
		}
	}
}

func (d *crashDevice) runHTTP(ctx context.Context, addr string) {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		n := d.window(1)[0]
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/devices/"+d.id+"/telemetry", bytes.NewReader(d.payload(n)))
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+d.token)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusNoContent {
			d.acked(n)
		}
	}
}

// TestProgramKilledLosesNothingAcknowledged kills the server at random moments
// under load over three protocols and starts it again, then asks the API for
// every reading that was acknowledged. -cycles makes it longer.
func TestProgramKilledLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir)
	h := &ackHistory{acked: map[string][]int{}}
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	var fleet []*crashDevice
	for i := range 12 {
		id := fmt.Sprintf("crash-%02d", i)
		fleet = append(fleet, &crashDevice{id: id, token: p.enrol(id, "air-quality", "106.168,20.434"), base: base, h: h})
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)

	for cycle := range *crashCycles {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i, d := range fleet {
			wg.Add(1)
			go func() {
				defer wg.Done()
				switch i % 3 {
				case 0:
					d.runMQTT(ctx, p.addr.MQTT)
				case 1:
					d.runCoAP(ctx, p.addr.CoAP)
				default:
					d.runHTTP(ctx, p.addr.HTTP)
				}
			}()
		}
		time.Sleep(time.Duration(50+random.IntN(1200)) * time.Millisecond)
		p.kill()
		cancel()
		wg.Wait()
		if cycle%20 == 19 {
			t.Logf("%d cycles, %d readings acknowledged", cycle+1, h.total())
		}
		p.start()
	}
	if n := h.total(); n < 100**crashCycles {
		t.Fatalf("only %d readings were acknowledged in %d cycles: the test did not load the server", n, *crashCycles)
	}
	missing, doubled := 0, 0
	byProtocol := map[int]int{}
	for i, d := range fleet {
		want := h.acked[d.id]
		if len(want) == 0 {
			t.Errorf("%s: nothing was acknowledged", d.id)
			continue
		}
		byProtocol[i%3] += len(want)
		// The series writer may still be at work on what the last start found.
		var lost []int
		eventually(t, 60*time.Second, func() (bool, string) {
			stored, twice := p.stored(d.id, "pm25", base, base.Add(time.Duration(d.next)*time.Millisecond))
			doubled = max(doubled, twice)
			lost = lost[:0]
			for _, n := range want {
				if v, ok := stored[base.UnixMilli()+int64(n)]; !ok || v != float64(n%900) {
					lost = append(lost, n)
				}
			}
			return len(lost) == 0, fmt.Sprintf("%s: %d of %d acknowledged readings are missing, the first %v", d.id, len(lost), len(want), lost[:min(5, len(lost))])
		})
		missing += len(lost)
	}
	if doubled > 0 {
		t.Errorf("%d readings are stored twice", doubled)
	}
	t.Logf("%d kill -9: acknowledged %d (MQTT %d, CoAP %d, HTTP %d), missing %d, stored twice %d",
		*crashCycles, h.total(), byProtocol[0], byProtocol[1], byProtocol[2], missing, doubled)
	p.stop()
}

// stored reads a device's history from the API: the value by Unix millisecond,
// and how many times came more than once.
func (p *process) stored(id, quantity string, from, to time.Time) (values map[int64]float64, twice int) {
	p.t.Helper()
	values = map[int64]float64{}
	for from.Before(to) {
		var answer struct {
			Points []struct {
				Time  time.Time `json:"time"`
				Value float64   `json:"value"`
			} `json:"points"`
		}
		query := url.Values{
			"quantity": {quantity},
			"from":     {from.UTC().Format(time.RFC3339Nano)},
			"to":       {to.UTC().Format(time.RFC3339Nano)},
			"limit":    {"10000"},
		}
		if code := p.api(http.MethodGet, "/v1/devices/"+id+"/readings", query, "", &answer); code != http.StatusOK {
			p.t.Fatalf("readings of %s: status %d", id, code)
		}
		if len(answer.Points) == 0 {
			break
		}
		for _, point := range answer.Points {
			if _, known := values[point.Time.UnixMilli()]; known {
				twice++
			}
			values[point.Time.UnixMilli()] = point.Value
		}
		from = answer.Points[len(answer.Points)-1].Time.Add(time.Millisecond)
	}
	return values, twice
}

// The acknowledgements of the test itself are only worth something if a device
// that is refused is not counted.
func TestHistoryCountsOnlyAcknowledged(t *testing.T) {
	h := &ackHistory{acked: map[string][]int{}}
	d := &crashDevice{id: "a", h: h}
	if got := d.window(3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("window: got %v", got)
	}
	d.acked(1)
	if got := d.window(3); !slices.Equal(got, []int{0, 2, 3}) {
		t.Errorf("an unacknowledged reading is sent again: got %v", got)
	}
	if got := h.acked["a"]; !slices.Equal(got, []int{1}) {
		t.Errorf("history: got %v", got)
	}
	var parsed map[string]any
	if err := json.Unmarshal(d.payload(901), &parsed); err != nil || parsed["pm25"] != 1.0 {
		t.Errorf("payload: %s, %v", d.payload(901), err)
	}
	if !strings.Contains(string(d.payload(0)), strconv.FormatInt(d.base.UnixMilli(), 10)) {
		t.Errorf("payload 0 is not of the base time: %s", d.payload(0))
	}
}
