package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/gorilla/websocket"

	"vonglau/ops-center/live"
)

var (
	latencyRates    = flag.String("latency-rates", "500", "readings a second beside the probe, one run each, separated by commas")
	latencyDuration = flag.Duration("latency-duration", 4*time.Second, "how long each run of the latency test takes")
)

// TestProgramSensorToScreen measures the time from a device's publish to the
// WebSocket frame that a wall gets, and from publish to acknowledgement, beside
// a steady load. It asserts that every probe arrives, not how fast.
func TestProgramSensorToScreen(t *testing.T) {
	for text := range strings.SplitSeq(*latencyRates, ",") {
		var rate int
		if _, err := fmt.Sscan(text, &rate); err != nil {
			t.Fatalf("-latency-rates: %v", err)
		}
		t.Run(fmt.Sprintf("%d readings a second", rate), func(t *testing.T) { measureLatency(t, rate) })
	}
}

func measureLatency(t *testing.T, rate int) {
	p := startProcess(t, t.TempDir())
	probe := p.enrol("probe", "air-quality", "106.168,20.434")

	// Four values a message, 50 connections.
	const senders, values = 50, 4
	var list []map[string]any
	for i := range senders {
		list = append(list, map[string]any{"id": fmt.Sprintf("load-%02d", i), "profile": "air-quality", "at": []float64{106.1 + float64(i)*0.001, 20.43}})
	}
	body, _ := json.Marshal(list)
	var added struct {
		Devices []struct {
			ID    string `json:"id"`
			Token string `json:"token"`
		} `json:"devices"`
	}
	if code := p.api(http.MethodPost, "/v1/devices", nil, string(body), &added); code/100 != 2 || len(added.Devices) != senders {
		t.Fatalf("enrolling the load: status %d, %d devices", code, len(added.Devices))
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var loaded atomic.Int64
	start := time.Now()
	for _, d := range added.Devices {
		client := connectMQTT(t, p, d.ID, d.Token)
		defer client.Disconnect(0)
		wg.Add(1)
		go func() {
			defer wg.Done()
			every := time.Duration(float64(time.Second) * senders * values / float64(rate))
			next := time.Now()
			for ctx.Err() == nil {
				now := time.Now()
				if now.Before(next) {
					time.Sleep(next.Sub(now))
				}
				next = next.Add(every)
				payload := fmt.Sprintf(`{"ts":%d,"pm25":%d,"pm10":%d,"temperature":25.5,"humidity":70}`, time.Now().UnixMilli(), loaded.Load()%400, loaded.Load()%300)
				client.Publish("devices/"+d.ID+"/telemetry", 1, false, payload)
				loaded.Add(values)
			}
		}()
	}

	channel := p.channelOf(t, "probe", "pm25")
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+p.addr.HTTP+"/v1/live", http.Header{
		"Authorization": {"Bearer " + p.token}, "Sec-WebSocket-Protocol": {live.Protocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	seen := make(chan int, 1024)
	go func() {
		defer close(seen)
		for {
			kind, raw, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if kind != websocket.BinaryMessage {
				continue
			}
			f, err := live.ParseFrame(raw)
			if err != nil {
				t.Errorf("frame: %v", err)
				return
			}
			for _, u := range f.Updates {
				if u.Channel == channel {
					select {
					case seen <- int(u.Value):
					default:
					}
				}
			}
		}
	}()

	client := connectMQTT(t, p, "probe", probe)
	defer client.Disconnect(0)
	var toAck, toScreen []time.Duration
	for n := 1; time.Since(start) < *latencyDuration; n++ {
		sent := time.Now()
		tok := client.Publish("devices/probe/telemetry", 1, false, fmt.Sprintf(`{"ts":%d,"pm25":%d}`, sent.UnixMilli(), n%500+1))
		if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatalf("probe %d was not acknowledged: %v", n, tok.Error())
		}
		toAck = append(toAck, time.Since(sent))
		deadline := time.After(10 * time.Second)
		for arrived := false; !arrived; {
			select {
			case v, ok := <-seen:
				if !ok {
					t.Fatal("the socket ended")
				}
				arrived = v == n%500+1
			case <-deadline:
				t.Fatalf("probe %d did not reach the screen", n)
			}
		}
		toScreen = append(toScreen, time.Since(sent))
		// Off the beat of the hub's ticks.
		time.Sleep(time.Duration(7+n%13) * 9 * time.Millisecond)
	}
	elapsed := time.Since(start)
	cancel()
	wg.Wait()
	t.Logf("load %.0f readings/s, %d probes: publish to PUBACK p50 %s p99 %s; publish to WebSocket frame p50 %s p99 %s",
		float64(loaded.Load())/elapsed.Seconds(), len(toScreen), quantile(toAck, 0.5), quantile(toAck, 0.99), quantile(toScreen, 0.5), quantile(toScreen, 0.99))
}

func connectMQTT(t testing.TB, p *process, id, token string) paho.Client {
	t.Helper()
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + p.addr.MQTT).
		SetClientID(id).SetUsername(id).SetPassword(token).SetOrderMatters(false))
	if tok := client.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatalf("connecting %s: %v", id, tok.Error())
	}
	return client
}

// channelOf finds a channel's index in the dictionary.
func (p *process) channelOf(t *testing.T, device, quantity string) uint32 {
	t.Helper()
	var dict struct {
		Quantities []struct {
			Name string `json:"name"`
		} `json:"quantities"`
		Devices struct {
			ID []string `json:"id"`
		} `json:"devices"`
		Channels struct {
			Device   []int `json:"device"`
			Quantity []int `json:"quantity"`
		} `json:"channels"`
	}
	if code := p.api(http.MethodGet, "/v1/live/dictionary", nil, "", &dict); code != http.StatusOK {
		t.Fatalf("dictionary: status %d", code)
	}
	for i := range dict.Channels.Device {
		if dict.Devices.ID[dict.Channels.Device[i]] == device && dict.Quantities[dict.Channels.Quantity[i]].Name == quantity {
			return uint32(i)
		}
	}
	t.Fatalf("the dictionary has no channel for %s of %s", quantity, device)
	return 0
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))].Round(100 * time.Microsecond)
}
