package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"vonglau/devices"
)

// BridgeOptions of a bridge to somebody else's MQTT broker.
type BridgeOptions struct {
	// URL of the broker, tcp://[2001:db8::7]:1883 or ssl://….
	URL, Username, Password string
	// ClientID names the persistent session at the broker. Two servers that
	// share a subscription need two names.
	ClientID string
	// Group is the shared subscription's, so that several servers share the
	// load; empty subscribes alone.
	Group string
	// Topic filter; one level must be '+', which is the device's id. Default
	// devices/+/telemetry.
	Topic   string
	TLS     *tls.Config
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *BridgeOptions) defaults() error {
	if o.Topic == "" {
		o.Topic = "devices/+/telemetry"
	}
	if strings.Count(o.Topic, "+") != 1 || strings.Contains(o.Topic, "#") {
		return fmt.Errorf("bridge: topic %q: one level must be '+', the device's id, and none '#'", o.Topic)
	}
	if o.ClientID == "" {
		o.ClientID = "vonglau-bridge"
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("bridge: %q is no broker address; write tcp://[2001:db8::7]:1883", o.URL)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Bridge reads an external broker's messages through the gate. The session is
// persistent and every message is acknowledged by hand, after the journal's
// sync and inside its handler: this client panics on an acknowledgement after
// its connection ended, and acknowledges by itself when a handler returns too
// early.
//
// The broker vouches for the identity in the topic; that is its part of the
// promise, and so is what it does between its own PUBACK to the device and
// ours to it.
type Bridge struct {
	opt    BridgeOptions
	gate   *Gate
	client paho.Client
	ctx    context.Context
	cancel context.CancelFunc
	// patience is how long a refused subscription waits for the next try.
	patience time.Duration

	mu      sync.Mutex
	stopped bool
	working sync.WaitGroup

	connected prometheus.Gauge
	retries   prometheus.Counter
}

// NewBridge makes a bridge; Start connects it.
func NewBridge(g *Gate, o BridgeOptions) (*Bridge, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	b := &Bridge{opt: o, gate: g, patience: time.Second}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.connected = promauto.With(o.Metrics).NewGauge(prometheus.GaugeOpts{
		Name: "vonglau_bridge_connected", Help: "1 while the external broker is connected and subscribed.",
	})
	b.retries = promauto.With(o.Metrics).NewCounter(prometheus.CounterOpts{
		Name: "vonglau_bridge_retries_total", Help: "Times a message waited because the journal did not take it.",
	})

	c := paho.NewClientOptions().
		AddBroker(o.URL).
		SetClientID(o.ClientID).
		SetUsername(o.Username).
		SetPassword(o.Password).
		SetCleanSession(false).
		SetAutoAckDisabled(true).
		// With ordering on, one handler would hold up all others and a
		// broker's whole window would cost one sync a message.
		SetOrderMatters(false).
		SetAutoReconnect(true).
		SetConnectRetry(true).
		SetConnectRetryInterval(2 * time.Second).
		SetMaxReconnectInterval(30 * time.Second).
		SetResumeSubs(true).
		SetConnectionLostHandler(b.lost).
		SetOnConnectHandler(b.subscribe).
		SetDefaultPublishHandler(b.receive)
	if o.TLS != nil {
		c.SetTLSConfig(o.TLS)
	}
	b.client = paho.NewClient(c)
	return b, nil
}

// Start connects and keeps connecting in the background until Stop.
func (b *Bridge) Start() { b.client.Connect() }

// Stop ends the connection and waits for the handlers in work. What they had
// not acknowledged the broker keeps in the session.
func (b *Bridge) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	b.working.Wait()
	b.client.Disconnect(250)
	b.connected.Set(0)
}

// Connected reports whether the broker is reached, for the status page.
func (b *Bridge) Connected() bool { return b.client.IsConnectionOpen() }

func (b *Bridge) filter() string {
	if b.opt.Group == "" {
		return b.opt.Topic
	}
	return "$share/" + b.opt.Group + "/" + b.opt.Topic
}

// subscribe asks until the broker grants it: a connection without its
// subscription looks alive and brings nothing.
func (b *Bridge) subscribe(c paho.Client) {
	if !b.begin() {
		return
	}
	defer b.working.Done()
	for pause := b.patience; ; pause = min(2*pause, 30*time.Second) {
		err := b.trySubscribe(c)
		if err == nil {
			b.connected.Set(1)
			b.opt.Log.Info("bridge: subscribed", "broker", b.opt.URL, "filter", b.filter())
			return
		}
		b.opt.Log.Error("bridge: subscribing failed; trying again", "broker", b.opt.URL, "filter", b.filter(), "error", err)
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
			return
		}
		if !c.IsConnectionOpen() {
			return // the next connection asks by itself
		}
	}
}

func (b *Bridge) trySubscribe(c paho.Client) error {
	token := c.Subscribe(b.filter(), 1, b.receive)
	select {
	case <-token.Done():
	case <-time.After(10 * time.Second):
		return errors.New("the broker did not answer in 10 s")
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	if err := token.Error(); err != nil {
		return err
	}
	// This client takes a refusal, 0x80 (MQTT 3.1.1 section 3.9.3), for an answer
	// like any other.
	for _, granted := range token.(*paho.SubscribeToken).Result() {
		if granted > 2 {
			return fmt.Errorf("the broker refused it (%#x); may this user read the topic?", granted)
		}
	}
	return nil
}

// begin counts a callback of the client's as work that Stop waits for, unless
// Stop was called.
func (b *Bridge) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.working.Add(1)
	return true
}

func (b *Bridge) lost(_ paho.Client, err error) {
	b.connected.Set(0)
	b.opt.Log.Warn("bridge: connection to the broker lost; reconnecting", "broker", b.opt.URL, "error", err)
}

// receive handles one message on a goroutine of the client's, of which there
// are never more than the broker's in-flight window.
func (b *Bridge) receive(_ paho.Client, m paho.Message) {
	if !b.begin() {
		return
	}
	defer b.working.Done()

	device, err := b.device(m.Topic())
	if err != nil {
		refusal := asRefusal(err)
		refusal.Via = devices.ViaBridge
		refusal.Payload = evidenceOf(m.Payload())
		b.gate.Refused(refusal, nil)
		m.Ack() // asking the broker again would bring the same
		return
	}
	pause := 100 * time.Millisecond
	for {
		result := make(chan error, 1)
		b.gate.Submit(Delivery{
			Device: device, Via: devices.ViaBridge, Format: devices.FormatAuto, Payload: m.Payload(),
		}, func(err error) { result <- err })
		select {
		case err = <-result:
		case <-b.ctx.Done():
			return
		}
		// QoS 0 promises nothing, and no window bounds how many of them wait.
		if err == nil || m.Qos() == 0 || !asRefusal(err).Reason.Retry() {
			m.Ack()
			return
		}
		// The journal does not take it: keep it, and with it the broker's
		// window, until it does.
		b.retries.Inc()
		select {
		case <-time.After(pause):
			pause = min(2*pause, 5*time.Second)
		case <-b.ctx.Done():
			return
		}
	}
}

// device finds the sender by the '+' level of the topic.
func (b *Bridge) device(topic string) (*devices.Device, error) {
	pattern, levels := strings.Split(b.opt.Topic, "/"), strings.Split(topic, "/")
	if len(pattern) != len(levels) {
		return nil, devices.Refuse(devices.ReasonBadTopic, "topic %q does not match %q", topic, b.opt.Topic)
	}
	for i, p := range pattern {
		if p != "+" {
			continue
		}
		id, err := devices.ParseID(levels[i])
		if err != nil {
			return nil, devices.Refuse(devices.ReasonBadTopic, "%v", err)
		}
		device, ok := b.gate.opt.Register.Get(id)
		if !ok {
			r := devices.Refuse(devices.ReasonUnknownDevice, "not in the register")
			r.Device = id
			return nil, r
		}
		return device, nil
	}
	return nil, errors.New("bridge: no '+' in the topic filter")
}
