package ingest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// newCommandDoor is a CoAP door over a bench, and the token of aq-1.
func newCommandDoor(t *testing.T) (*commandBench, *CoAP, string) {
	t.Helper()
	b := newCommandBench(t)
	token, err := b.register.RenewToken(t.Context(), "aq-1")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(Options{
		Journal: &heldJournal{}, Register: b.register, Catalogue: b.register.Catalogue(), Places: dayPlacer{}, Now: b.now,
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	door, err := NewCoAP(gate, "[::1]:0", CoAPOptions{Commands: b.Commands})
	if err != nil {
		t.Fatal(err)
	}
	door.Start()
	t.Cleanup(door.Stop)
	return b, door, token
}

func commandsIn(t *testing.T, m *pool.Message) (ids []string) {
	t.Helper()
	body, err := m.ReadBody()
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestCoAPObserveCommands(t *testing.T) {
	b, door, token := newCommandDoor(t)
	before := b.send("aq-1", "report", time.Hour)
	cc, err := udp.Dial(door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close(); <-cc.Done() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lists, last := make(chan []string, 16), uint32(0)
	key := message.Option{ID: message.URIQuery, Value: []byte("k=" + token)}
	o, err := cc.Observe(ctx, "/devices/aq-1/commands", func(m *pool.Message) {
		n, err := m.Observe()
		if err != nil || n <= last || m.Code() != codes.Content {
			t.Errorf("notification %d after %d, %v, %s", n, last, err, m.Code())
		}
		last = n
		lists <- commandsIn(t, m)
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	heard := func(want ...string) {
		t.Helper()
		for {
			select {
			case got := <-lists:
				if slices.Equal(got, want) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("never heard of %v", want)
			}
		}
	}
	heard(before.ID)
	after := b.send("aq-1", "identify", time.Minute)
	heard(before.ID, after.ID)
	for b.List("aq-1")[0].State == devices.CommandWaiting && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	b.state("aq-1", after.ID, devices.CommandDelivered)

	answer := func(payload string, want codes.Code) {
		t.Helper()
		res, err := cc.Post(ctx, "/devices/aq-1/commands/ack", message.AppJSON, strings.NewReader(payload), key)
		if err != nil || res.Code() != want {
			t.Fatalf("answer %s: %v, %v; want %s", payload, res, err, want)
		}
	}
	answer(`{"id":"`+before.ID+`","state":"done","result":{"pm25":3}}`, codes.Changed)
	answer(`{"id":"nope","state":"done"}`, codes.BadRequest)
	b.state("aq-1", before.ID, devices.CommandDone)
	b.pass(time.Minute) // the other one has expired
	third := b.send("aq-1", "reboot", time.Minute)
	heard(third.ID)

	if err := o.Cancel(ctx, key); err != nil {
		t.Errorf("cancel: %v", err)
	}
	for door.observers.count() > 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	if n := door.observers.count(); n != 0 {
		t.Errorf("%d observations after the device ended its own", n)
	}
	res, err := cc.Get(ctx, "/devices/siren-1/commands", key)
	if err != nil || res.Code() != codes.Unauthorized {
		t.Errorf("another's commands: %v, %v", res, err)
	}
}

// A device that has restarted knows nothing of its observation and answers a
// notification with a Reset: bytes by hand, RFC 7252 section 3.
func TestCoAPResetEndsObservation(t *testing.T) {
	b, door, token := newCommandDoor(t)
	conn, err := net.Dial("udp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := []byte{0x42, 0x01, 0x12, 0x34, 0xca, 0xfe, 0x60} // CON GET, token cafe, Observe 0
	request = append(request, 0x57)                             // Uri-Path, delta 5
	request = append(request, "devices"...)
	request = append(request, 0x04)
	request = append(request, "aq-1"...)
	request = append(request, 0x08)
	request = append(request, "commands"...)
	request = append(request, 0x4d, byte(len(token)+2-13)) // Uri-Query, delta 4
	request = append(request, "k="+token...)
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	read := func() []byte {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return buf[:n]
	}
	if m := read(); m[0] != 0x62 || m[1] != 0x45 || string(m[4:6]) != "\xca\xfe" {
		t.Fatalf("registration answered % x", m)
	}
	c := b.send("aq-1", "report", time.Hour)
	m := read()
	if m[0] != 0x42 || m[1] != 0x45 || string(m[4:6]) != "\xca\xfe" || !strings.Contains(string(m), c.ID) {
		t.Fatalf("notification % x", m)
	}
	if _, err := conn.Write(binary.BigEndian.AppendUint16([]byte{0x70, 0}, binary.BigEndian.Uint16(m[2:]))); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if door.observers.count() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if door.observers.count() != 0 {
		t.Error("the observation goes on")
	}
	b.state("aq-1", c.ID, devices.CommandWaiting) // a Reset delivers nothing
}

func TestCommandListFitsADatagram(t *testing.T) {
	b := newCommandBench(t)
	args := json.RawMessage(`"` + strings.Repeat("x", 150) + `"`)
	for range 5 {
		if _, err := b.Send(t.Context(), devices.CommandRequest{Device: "aq-1", Name: "report", Args: args, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	list := b.worklist("aq-1")
	if len(list.body) > listBytes || len(list.seqs) == 0 || !json.Valid(list.body) {
		t.Errorf("%d bytes with %d commands: %s", len(list.body), len(list.seqs), list.body)
	}
	big := json.RawMessage(`"` + strings.Repeat("y", 2000) + `"`)
	if _, err := b.Send(t.Context(), devices.CommandRequest{Device: "siren-1", Name: "silence", Args: big, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if list := b.worklist("siren-1"); len(list.seqs) != 1 || len(list.body) < 2000 {
		t.Errorf("a large command: %d bytes with %d commands", len(list.body), len(list.seqs))
	}
}
