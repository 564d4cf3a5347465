package ingest

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// grudging is a broker that refuses the first subscriptions and then publishes
// one message; mu guards what it has heard.
type grudging struct {
	listener net.Listener
	refuse   int
	publish  *packets.PublishPacket

	mu       sync.Mutex
	asked    int
	granted  chan struct{}
	acked    chan uint16
	finished sync.WaitGroup
}

func newGrudging(t *testing.T, refuse int, publish *packets.PublishPacket) *grudging {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &grudging{listener: l, refuse: refuse, publish: publish, granted: make(chan struct{}), acked: make(chan uint16, 8)}
	g.finished.Go(g.serve)
	t.Cleanup(func() { _ = l.Close(); g.finished.Wait() })
	return g
}

func (g *grudging) serve() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.finished.Go(func() { g.talk(conn) })
	}
}

func (g *grudging) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			_ = packets.NewControlPacket(packets.Connack).Write(conn)
		case *packets.SubscribePacket:
			g.mu.Lock()
			g.asked++
			refused := g.asked <= g.refuse
			g.mu.Unlock()
			answer := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			answer.MessageID, answer.ReturnCodes = p.MessageID, []byte{1}
			if refused {
				answer.ReturnCodes[0] = 0x80
			}
			_ = answer.Write(conn)
			if !refused {
				_ = g.publish.Write(conn)
				close(g.granted)
			}
		case *packets.PubackPacket:
			g.acked <- p.MessageID
		case *packets.PingreqPacket:
			_ = packets.NewControlPacket(packets.Pingresp).Write(conn)
		}
	}
}

// A subscription that the broker refuses is asked for again, and what comes
// then is acknowledged when it is on disk.
func TestBridgeInsistsOnItsSubscription(t *testing.T) {
	g := newTestGate(t)
	reading := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	reading.TopicName, reading.Payload = "devices/aq-1/telemetry", []byte(`{"pm25": 12.5}`)
	reading.Qos, reading.MessageID = 1, 7
	broker := newGrudging(t, 2, reading)
	stored := &promptJournal{taken: make(chan journal.Entry, 8)}
	g.opt.Journal = stored
	b, err := NewBridge(g.Gate, BridgeOptions{URL: "tcp://" + broker.listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	b.patience = 1 // a nanosecond; the test counts tries, not time
	b.Start()
	defer b.Stop()
	<-broker.granted
	entry := <-stored.taken
	if m := entry.Message; m == nil || m.Device != "aq-1" || m.Via != devices.ViaBridge {
		t.Errorf("stored %+v, want the reading of aq-1", entry)
	}
	if id := <-broker.acked; id != 7 {
		t.Errorf("acknowledged %d, want 7", id)
	}
	if broker.asked != 3 {
		t.Errorf("asked %d times, want 3", broker.asked)
	}
}

// promptJournal takes what it is asked to, as often as it is told to refuse.
type promptJournal struct {
	mu     sync.Mutex
	refuse int
	asked  int
	taken  chan journal.Entry
}

func (p *promptJournal) Append(e journal.Entry, done func(uint64, error)) {
	p.mu.Lock()
	p.asked++
	refused := p.asked <= p.refuse
	p.mu.Unlock()
	if refused {
		done(0, fmt.Errorf("append: %w", devices.Refuse(devices.ReasonUnavailable, "disk full")))
		return
	}
	p.taken <- e
	done(1, nil)
}

// While the disk takes nothing a message with a promise waits; one without
// goes, because nothing bounds how many of those a broker sends.
func TestBridgeWhileTheDiskIsFull(t *testing.T) {
	for _, c := range []struct {
		qos    byte
		stored int
	}{{0, 0}, {1, 1}} {
		t.Run(fmt.Sprintf("QoS %d", c.qos), func(t *testing.T) {
			g := newTestGate(t)
			disk := &promptJournal{refuse: 2, taken: make(chan journal.Entry, 8)}
			g.opt.Journal = disk
			b, err := NewBridge(g.Gate, BridgeOptions{URL: "tcp://[::1]:1883"})
			if err != nil {
				t.Fatal(err)
			}
			m := &delivered{qos: c.qos, acked: make(chan struct{}, 1)}
			b.receive(nil, m)
			<-m.acked
			if got := len(disk.taken); got != c.stored {
				t.Errorf("stored %d, want %d", got, c.stored)
			}
		})
	}
}

// delivered is a message as the client hands it over.
type delivered struct {
	qos   byte
	acked chan struct{}
}

func (*delivered) Duplicate() bool   { return false }
func (d *delivered) Qos() byte       { return d.qos }
func (*delivered) Retained() bool    { return false }
func (*delivered) Topic() string     { return "devices/aq-1/telemetry" }
func (*delivered) MessageID() uint16 { return 7 }
func (*delivered) Payload() []byte   { return []byte(`{"pm25": 12.5}`) }
func (d *delivered) Ack()            { d.acked <- struct{}{} }
