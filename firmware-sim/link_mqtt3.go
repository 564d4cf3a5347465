package firmwaresim

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// mqtt3 is MQTT 3.1.1 by Eclipse Paho. Each connection has a client of its own,
// because Paho's cannot be connected again safely after Disconnect; what
// outlives a connection is the ledger, which Paho takes for its store: a new
// client finds the unanswered reports in it and sends them again with DUP set,
// under their old packet identifiers, as [MQTT-4.4.0-1] asks.
type mqtt3 struct {
	*wire
	ledger *ledger

	client mqtt.Client
	conn   *flakyConn
	gone   chan struct{}
}

func newMQTT3(w *wire) link { return &mqtt3{wire: w, ledger: newLedger(w), gone: closedChannel()} }

func (l *mqtt3) open(ctx context.Context) error {
	gone := make(chan struct{})
	var conn *flakyConn
	o := mqtt.NewClientOptions().
		AddBroker("tcp://"+l.addr).
		SetClientID(string(l.id)).SetUsername(string(l.id)).SetPassword(l.token).
		SetProtocolVersion(4).
		SetCleanSession(false). // with a clean one, QoS 1 is at most once
		SetAutoReconnect(false).SetConnectRetry(false).
		SetOrderMatters(false). // else a publish from a handler deadlocks
		SetStore(l.ledger).
		SetKeepAlive(l.keepAlive).SetPingTimeout(10*time.Second).
		SetConnectTimeout(connectTimeout).SetWriteTimeout(writeTimeout).
		SetWill(statusTopic(l.id), stateOffline, 1, true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			l.lost(err)
			close(gone)
		}).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			var err error
			if conn, err = dialFlaky(ctx, l.addr); err != nil {
				return nil, err
			}
			return conn, nil
		})
	c := mqtt.NewClient(o)
	t := c.Connect()
	select {
	case <-t.Done():
	case <-ctx.Done():
		// Paho cannot be told to stop connecting; the deadline on the
		// handshake bounds this.
		<-t.Done()
	}
	if err := t.Error(); err != nil {
		return fmt.Errorf("connect %s to %s: %w", l.id, l.addr, err)
	}
	l.client, l.conn, l.gone = c, conn, gone
	if ctx.Err() != nil {
		l.close(false)
		return ctx.Err()
	}
	l.ledger.pending = nil
	c.Publish(statusTopic(l.id), 1, true, stateOnline)
	return nil
}

func (l *mqtt3) send(r *report) {
	if r.loseAck {
		r.loseAck = false
		l.conn.deaf.Store(true)
	}
	l.ledger.pending = r
	t := l.client.Publish(telemetryTopic(l.id), 1, false, r.payload)
	switch {
	case l.ledger.pending != nil: // it never reached the store
		l.ledger.pending = nil
		l.answer(answer{report: r, verdict: lost, err: t.Error()})
	case t.Error() != nil:
		// It is in the store and Paho gave up writing it: it would lie there
		// until the next connection. This is it.
		l.conn.sever()
	}
}

func (l *mqtt3) down() <-chan struct{} { return l.gone }

func (l *mqtt3) close(politely bool) {
	if l.client == nil {
		return
	}
	if politely {
		l.client.Publish(statusTopic(l.id), 1, true, stateOffline).WaitTimeout(goodbye)
		l.client.Disconnect(250)
	}
	l.conn.sever()
	if !politely {
		select {
		case <-l.gone:
		case <-time.After(connectTimeout):
		}
	}
	l.client = nil
}

func (l *mqtt3) forget()     { l.ledger.forget() }
func (l *mqtt3) window() int { return l.depth }

// ledger is a device's session state in the shape Paho wants its store in. It
// knows which report each stored packet carries: when Paho deletes a packet its
// PUBACK has come.
type ledger struct {
	wire    *wire
	pending *report // the report the next Put carries; send is not concurrent

	mu    sync.Mutex
	order []string
	held  map[string]held
}

type held struct {
	packet packets.ControlPacket
	report *report // nil for a status
}

func newLedger(w *wire) *ledger { return &ledger{wire: w, held: make(map[string]held)} }

func (s *ledger) Open()  {}
func (s *ledger) Close() {}

func (s *ledger) Put(key string, p packets.ControlPacket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := held{packet: p}
	if pub, ok := p.(*packets.PublishPacket); ok && strings.HasPrefix(key, "o.") {
		if s.pending != nil && pub.TopicName == telemetryTopic(s.wire.id) {
			h.report, s.pending = s.pending, nil
			h.report.tries++
		}
	}
	if _, ok := s.held[key]; !ok {
		s.order = append(s.order, key)
	}
	s.held[key] = h
}

func (s *ledger) Get(key string) packets.ControlPacket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key].packet
}

// All lists what a new connection has to send again, in the order it was first
// sent. Paho asks once for each connection, which is where attempts are counted.
func (s *ledger) All() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var given []*report
	for _, key := range append([]string(nil), s.order...) {
		r := s.held[key].report
		if r == nil {
			continue
		}
		if r.tries++; r.tries > maxTries || r.junk && r.tries > 2 {
			s.drop(key)
			given = append(given, r)
		}
	}
	for _, r := range given {
		s.wire.answer(answer{report: r, verdict: refused, err: errGivenUp})
	}
	return append([]string(nil), s.order...)
}

func (s *ledger) Del(key string) {
	s.mu.Lock()
	r := s.held[key].report
	s.drop(key)
	s.mu.Unlock()
	if r != nil {
		s.wire.answer(answer{report: r, verdict: accepted})
	}
}

func (s *ledger) drop(key string) {
	delete(s.held, key)
	for i, k := range s.order {
		if k == key {
			s.order = append(s.order[:i], s.order[i+1:]...)
			return
		}
	}
}

func (s *ledger) Reset() { s.forget() }

func (s *ledger) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
	s.order = nil
	s.pending = nil
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
