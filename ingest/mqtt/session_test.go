package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

const lasting = "11 00 00 0e 10" // session expiry of an hour

func (w *wire) subscribe(version byte, id uint16, filter string, options byte) {
	w.t.Helper()
	b := []byte{byte(id >> 8), byte(id)}
	if version == version5 {
		b = append(b, 0)
	}
	b = append(appendText(b, filter), options)
	w.write(appendPacket(nil, 0x82, b))
}

func (h *memory) send(payload string, qos byte) {
	h.append(SessionKey{}, &Message{Topic: "c", Payload: []byte(payload), QoS: qos})
}

func present(t testing.TB, connack []byte, want bool) {
	t.Helper()
	if got := connack[2] == 1; got != want {
		t.Fatalf("session present is %v, want %v; % x", got, want, connack)
	}
}

func TestRedelivery(t *testing.T) {
	for _, version := range []byte{version311, version5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := newMemory()
			_, addr := serveMemory(t, h, Options{})
			w := connectAs(t, addr, version, "d1", false, lasting)
			w.subscribe(version, 1, "c", 1)
			w.wantPacket(0x90)
			zero := ""
			if version == version5 {
				zero = "00"
			}
			publish := func(first string, id int, payload string) string {
				n := 6
				if version == version5 {
					n = 7
				}
				return fmt.Sprintf("%s %02x 00 01 'c' 00 %02x %s '%s'", first, n, id, zero, payload)
			}
			for _, p := range []string{"a", "b", "c", "d"} {
				h.send(p, 1)
			}
			w.want(publish("32", 1, "a"))
			w.want(publish("32", 2, "b"))
			w.want(publish("32", 3, "c"))
			w.want(publish("32", 4, "d"))
			w.send("40 02 00 01")
			w.send("40 02 00 03") // ahead of its turn
			w.wantSilence()
			w.conn.Close()
			h.waitEvent(t, "offline d1 closed")
			h.send("e", 1)

			// b and d come again under their identifiers with DUP, c does not, then
			// what came meanwhile under an identifier that is not in use.
			w = dial(t, addr)
			if version == version5 {
				w.connect5("d1", false, lasting)
			} else {
				w.connect311("d1", false)
			}
			present(t, w.wantPacket(0x20), true)
			w.want(publish("3a", 2, "b"))
			w.want(publish("3a", 4, "d"))
			w.want(publish("32", 5, "e"))
			w.send("40 02 00 02 40 02 00 04 40 02 00 05")
			w.wantSilence()
			h.wait(t, "the cursor at the end", func() bool {
				for _, at := range h.cursors {
					return at == 5
				}
				return false
			})

			// A clean start forgets all of it.
			w.conn.Close()
			w = dial(t, addr)
			if version == version5 {
				w.connect5("d1", true, lasting)
			} else {
				w.connect311("d1", true)
			}
			present(t, w.wantPacket(0x20), false)
			h.waitEvent(t, "forget d1 c")
			h.send("f", 1)
			w.wantSilence()
			noBadEvents(t, h)
		})
	}
}

func noBadEvents(t testing.TB, h *memory) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if strings.HasPrefix(e, "ack") || e == "closed twice" {
			t.Errorf("a source was told %q", e)
		}
	}
}

// TestQueueStaysInOrder leaves a thousand messages for an absent subscriber with
// a small window.
func TestQueueStaysInOrder(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", false, lasting)
	w.subscribe(version5, 1, "c", 1)
	w.wantPacket(0x90)
	w.conn.Close()
	h.waitEvent(t, "offline d1 closed")
	const n = 1000
	for i := range n {
		h.send(fmt.Sprintf("%04d", i), byte(1+i%2))
	}
	w = connect5(t, addr, "d1", false, lasting+"21 00 03") // receive maximum 3
	var unacked []uint16
	for i := range n {
		p := w.wantPacket(0x32)
		if got := string(p[len(p)-4:]); got != fmt.Sprintf("%04d", i) {
			t.Fatalf("message %d is %s", i, got)
		}
		id := uint16(p[5])<<8 | uint16(p[6])
		unacked = append(unacked, id)
		if len(unacked) == 3 {
			w.publish(version5, 1, id, "up") // under an identifier in flight the other way
			w.wantPacket(0x40)
			for _, id := range unacked {
				w.write(appendAck(nil, typePuback, id, 0, "", 0))
			}
			unacked = nil
		}
	}
	noBadEvents(t, h)
}

func TestReceiveMaximumOfTheClient(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "21 00 02")
	w.subscribe(version5, 1, "c", 1)
	w.want("90 04 00 01 00 01")
	for _, p := range []string{"a", "b", "c"} {
		h.send(p, 1)
	}
	w.want("32 07 00 01 'c' 00 01 00 'a' 32 07 00 01 'c' 00 02 00 'b'")
	w.wantSilence()
	w.send("40 02 00 02")
	w.want("32 07 00 01 'c' 00 03 00 'c'")
}

func TestSubscribeOptions(t *testing.T) {
	h := newMemory()
	h.subscribe = func(s Subscription) error {
		switch s.Filter {
		case "no":
			return devices.Refuse(devices.ReasonForeignDevice, "")
		case "busy":
			return devices.Refuse(devices.ReasonBusy, "")
		case "topic":
			return devices.Refuse(devices.ReasonBadTopic, "")
		case "broken":
			return errors.New("broken")
		}
		return nil
	}
	_, addr := serveMemory(t, h, Options{MaxSubscriptions: 3})
	w := connect5(t, addr, "d1", true, "")
	w3 := connect311(t, addr, "d3", true)
	for i, tc := range []struct {
		filter     string
		options    byte
		code, c311 string
	}{
		{"a", 0, "00", "00"},
		{"a", 1, "01", "01"},
		{"a/+/#", 2, "01", "01"}, // QoS 2 is granted as 1
		{"no", 1, "87", "80"},
		{"busy", 1, "97", "80"},
		{"topic", 1, "8f", "80"},
		{"broken", 1, "80", "80"},
		{"$share/g/a", 1, "9e", "80"},
		{strings.Repeat("x", maxTopic+1), 1, "8f", "80"},
		{"b", 1, "01", "01"},
		{"one too many", 1, "97", "80"},
	} {
		w.subscribe(version5, uint16(i+1), tc.filter, tc.options)
		w.want(fmt.Sprintf("90 04 00 %02x 00 %s", i+1, tc.code))
		w3.subscribe(version311, uint16(i+1), tc.filter, tc.options)
		w3.want(fmt.Sprintf("90 03 00 %02x %s", i+1, tc.c311))
	}
	w.send("a2 0a 00 63 00 00 01 'a' 00 02 'zz'")
	w.want("b0 05 00 63 00 00 11")
	w3.send("a2 09 00 63 00 01 'a' 00 02 'zz'")
	w3.want("b0 02 00 63")
	h.append(SessionKey{}, &Message{Topic: "a", Payload: []byte("x"), QoS: 1})
	w3.wantSilence()
	h.waitEvent(t, "forget d1 a")
	// The same filter twice in one packet is one subscription.
	w.send("82 0b 00 64 00 00 01 'b' 00 00 01 'b' 01")
	w.want("90 05 00 64 00 00 01")
	h.append(SessionKey{}, &Message{Topic: "b", Payload: []byte("x"), QoS: 1})
	w.want("32 07 00 01 'b' 00 01 00 'x'")
	w.wantSilence()
	noBadEvents(t, h)
}

func TestRetained(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	h.append(SessionKey{}, &Message{Topic: "c", Payload: []byte("on"), QoS: 1, Retain: true})
	const stored, live, asPublished = "33 08 00 01 'c' 00 %02x 00 'on'", "32 08 00 01 'c' 00 %02x 00 'on'", "33 08 00 01 'c' 00 %02x 00 'on'"
	again := func() {
		h.append(SessionKey{}, &Message{Topic: "c", Payload: []byte("on"), QoS: 1, Retain: true})
	}
	for _, tc := range []struct {
		name    string
		options byte
		first   bool   // retained copy with the first subscription
		second  bool   // and when subscribing again
		live    string // a retained message published meanwhile
	}{
		{"handling 0", 0x01, true, true, live},
		{"handling 1", 0x11, true, false, live},
		{"handling 2", 0x21, false, false, live},
		{"as published", 0x29, false, false, asPublished},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := connect5(t, addr, "d1", true, "")
			id := 0
			next := func(form string) {
				t.Helper()
				id++
				w.want(fmt.Sprintf(form, id))
				w.send(fmt.Sprintf("40 02 00 %02x", id))
			}
			w.subscribe(version5, 1, "c", tc.options)
			w.want("90 04 00 01 00 01")
			if tc.first {
				next(stored)
			}
			w.wantSilence()
			again()
			next(tc.live)
			w.wantSilence()
			w.subscribe(version5, 2, "c", tc.options)
			w.want("90 04 00 02 00 01")
			if tc.second {
				next(stored)
			}
			w.wantSilence()
		})
	}
	t.Run("3.1.1", func(t *testing.T) {
		w := connect311(t, addr, "d1", true)
		w.subscribe(version311, 1, "c", 0)
		w.want("90 03 00 01 00 31 05 00 01 'c' 'on'")
		again()
		w.want("30 05 00 01 'c' 'on'")
	})
	noBadEvents(t, h)
}

// TestRetainedIsSentAgain loses the connection before a retained copy is
// acknowledged, with another that was and a change meanwhile.
func TestRetainedIsSentAgain(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	publish := func(topic, payload string) {
		h.append(SessionKey{}, &Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true})
	}
	publish("c/1", "a")
	w := connect5(t, addr, "d1", false, lasting)
	w.subscribe(version5, 1, "c/+", 1)
	w.want("90 04 00 01 00 01 33 09 00 03 'c/1' 00 01 00 'a'")
	w.conn.Close()
	h.waitEvent(t, "offline d1 closed")
	publish("c/2", "b")
	w = connect5(t, addr, "d1", false, lasting)
	w.want("3b 09 00 03 'c/1' 00 01 00 'a' 32 09 00 03 'c/2' 00 02 00 'b'")
	w.send("40 02 00 01 40 02 00 02")
	w.wantSilence()
	w.conn.Close()
	w = connect5(t, addr, "d1", false, lasting)
	w.wantSilence()
	noBadEvents(t, h)
}

func TestDeliveryDetails(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "27 00 00 00 40") // packets of 64 bytes
	w.send("82 09 00 01 02 0b 05 00 01 'c' 05")          // identifier 5, no local
	w.want("90 04 00 01 00 01")
	me := SessionKey{"d1", "d1"}
	h.append(me, &Message{Topic: "c", Payload: []byte("mine"), QoS: 1})
	h.append(SessionKey{"d1", "other"}, &Message{Topic: "c", Payload: []byte("1"), QoS: 1})
	h.append(SessionKey{}, &Message{Topic: "c", Payload: make([]byte, 64), QoS: 1})
	h.append(SessionKey{}, &Message{Topic: "c", Payload: []byte("late"), QoS: 1, Expires: time.Now().Add(-time.Second)})
	h.append(SessionKey{}, &Message{Topic: "c", Payload: []byte("2"), QoS: 0, ContentType: "j", ResponseTopic: "r", Correlation: []byte{1},
		UTF8: true, Expires: time.Now().Add(time.Hour), User: []UserProperty{{"k", "v"}}})
	w.want("32 09 00 01 'c' 00 01 02 0b 05 '1'")
	w.want("30 21 00 01 'c' 1c 01 01 02 00 00 0e 10 03 00 01 'j' 08 00 01 'r' 09 00 01 01 0b 05 26 00 01 'k' 00 01 'v' '2'")
	w.wantSilence()
	w.send("40 02 00 01")
	h.wait(t, "the cursor at the end", func() bool {
		for _, at := range h.cursors {
			return at == 5
		}
		return false
	})
	// PUBREC for what is no QoS 2, and for nothing at all.
	w.send("50 02 00 63")
	w.want("62 03 00 63 92")
	h.send("3", 1)
	w.want("32 09 00 01 'c' 00 03 02 0b 05 '3'")
	w.send("50 02 00 03")
	if p := w.wantPacket(0xe0); p[2] != 0x82 {
		t.Errorf("DISCONNECT % x, want 0x82", p)
	}
}

func TestBrokenSourceIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &brokenOnce{memory: newMemory()}
		h.breakNext.Store(true)
		l := newPipeListener()
		servePipe(t, h, Options{}, l)
		w := l.dial(t)
		w.connect5("d1", true, "")
		w.wantPacket(0x20)
		w.subscribe(version5, 1, "c", 1)
		w.want("90 04 00 01 00 01")
		h.send("a", 1)
		w.want("32 07 00 01 'c' 00 01 00 'a'")
		w.conn.Close()
		h.waitEvent(t, "offline d1 closed")
		if h.breakNext.Load() {
			t.Error("no source broke")
		}
		noBadEvents(t, h.memory)
	})
}

func TestAliases(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	w.send("32 0a 00 01 'a' 00 01 03 23 00 01 '1'")
	w.send("32 09 00 00 00 02 03 23 00 01 '2'")
	w.send("32 0a 00 01 'b' 00 03 03 23 00 01 '3'") // defined anew
	w.send("32 09 00 00 00 04 03 23 00 01 '4'")
	w.send("32 0a 00 01 'c' 00 05 03 23 00 10 '5'")
	w.want("40 02 00 01 40 02 00 02 40 02 00 03 40 02 00 04 40 02 00 05")
	var got []string
	for _, m := range h.log {
		got = append(got, m.Topic+string(m.Payload))
	}
	if want := []string{"a1", "a2", "b3", "b4", "c5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDollarTopics(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "17 00")
	w.send("32 09 00 04 '$SYS' 00 01 00")
	w.want("40 03 00 01 90")
	w.send("34 09 00 04 '$SYS' 00 02 00")
	w.want("50 03 00 02 90")
	w.wantSilence()
	w = connect311(t, addr, "d1", true)
	w.send("32 08 00 04 '$SYS' 00 01")
	w.wantClosed()
	if len(h.payloads()) > 0 {
		t.Error("it was taken")
	}
}

func TestSessionsSurviveARestart(t *testing.T) {
	h := newMemory()
	store := newMemoryStore()
	s, addr := serveMemory(t, h, Options{Sessions: store})
	w := connect5(t, addr, "d1", false, lasting)
	w.subscribe(version5, 1, "c", 9)
	w.want("90 04 00 01 00 01")
	other := connect5(t, addr, "d2", true, "") // ends with its connection, is not kept
	other.subscribe(version5, 1, "c", 1)
	other.wantPacket(0x90)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.send("meanwhile", 1)
	if len(store.all) != 1 {
		t.Errorf("%d sessions are kept, want 1", len(store.all))
	}
	puts := store.puts
	store.all["broken"] = []byte("{")
	_, addr = serveMemory(t, h, Options{Sessions: store})
	w = dial(t, addr)
	w.connect5("d1", false, lasting)
	present(t, w.wantPacket(0x20), true)
	w.want("32 0f 00 01 'c' 00 01 00 'meanwhile'")
	if store.puts != puts {
		t.Errorf("an unchanged session was written %d times", store.puts-puts)
	}
	// A new session for the other, and the first one ended by its client.
	w.send("40 02 00 01 e0 07 00 05 11 00 00 00 00")
	w.wantClosed()
	h.waitEvent(t, "forget d1 c")
	w = dial(t, addr)
	w.connect5("d1", false, lasting)
	present(t, w.wantPacket(0x20), false)
}

func TestStoreFailureCostsNoConnection(t *testing.T) {
	h := newMemory()
	store := newMemoryStore()
	store.err = errDisk
	_, addr := serveMemory(t, h, Options{Sessions: store})
	w := connect5(t, addr, "d1", false, lasting)
	w.subscribe(version5, 1, "c", 1)
	w.want("90 04 00 01 00 01")
	w.wantSilence()
}

func TestResumeRefused(t *testing.T) {
	h := newMemory()
	var refusal error
	h.subscribe = func(s Subscription) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.Resume && s.Filter == "d" {
			return refusal
		}
		return nil
	}
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", false, lasting)
	for i, f := range []string{"c", "d"} {
		w.subscribe(version5, uint16(i+1), f, 1)
		w.wantPacket(0x90)
	}
	w.conn.Close()
	for _, tc := range []struct {
		err     error
		connack byte
		present bool
	}{
		{errDisk, 0x88, false}, // come back; nothing is lost
		{errors.New("broken"), 0x88, false},
		{nil, 0, true},
		{devices.Refuse(devices.ReasonForeignDevice, "not any more"), 0, false},
		{nil, 0, true}, // the session made anew
	} {
		h.mu.Lock()
		refusal = tc.err
		h.mu.Unlock()
		w := dial(t, addr)
		w.connect5("d1", false, lasting)
		p := w.wantPacket(0x20)
		if p[3] != tc.connack {
			t.Fatalf("CONNACK % x, want code %02x", p, tc.connack)
		}
		present(t, p, tc.present)
		w.conn.Close()
	}
	noBadEvents(t, h)
}

func TestTooManySessions(t *testing.T) {
	h := newMemory()
	h.principal = func(*Connect) string { return "one" }
	_, addr := serveMemory(t, h, Options{MaxSessions: 2})
	a := connect5(t, addr, "a", false, lasting)
	a.subscribe(version5, 1, "c", 1)
	a.wantPacket(0x90)
	a.conn.Close()
	h.waitEvent(t, "offline a closed")
	connect5(t, addr, "b", false, lasting)
	connect5(t, addr, "c", false, lasting) // a, being away, gives way
	h.waitEvent(t, "forget a c")
	d := dial(t, addr)
	d.connect5("d", false, lasting)
	if p := d.wantPacket(0x20); p[3] != 0x89 {
		t.Errorf("CONNACK % x, want 0x89", p)
	}
}

func TestDisconnectPrincipal(t *testing.T) {
	h := newMemory()
	s, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	if n := s.Disconnect("d1", "retired"); n != 1 {
		t.Errorf("ended %d connections, want 1", n)
	}
	w.want("e0 0c 87 0a 1f 00 07 'retired'")
	w.wantClosed()
	h.waitEvent(t, "offline d1 revoked")
	if n := s.Disconnect("d1", "retired"); n != 0 {
		t.Errorf("ended %d connections, want none", n)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Addrs: []string{"::1:1883"}}, {Addrs: []string{"1883"}}, {Window: -1}, {Window: 70000}, {MaxPacket: 10},
		{MaxKeepAlive: time.Millisecond}, {MaxSessionExpiry: 1 << 62}, {WriteTimeout: -1}, {MaxSessions: -1}} {
		if _, err := New(newMemory(), o); err == nil {
			t.Errorf("New took %+v", o)
		}
	}
	r := prometheus.NewRegistry()
	if _, err := New(newMemory(), Options{Metrics: r}); err != nil {
		t.Error(err)
	}
	if _, err := New(newMemory(), Options{Metrics: r}); err == nil {
		t.Error("the same metrics were registered twice")
	}
	s, err := New(newMemory(), Options{Addrs: []string{"[::1]:0", "[2001:db8::1]:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err == nil || !strings.Contains(err.Error(), "[2001:db8::1]:1") {
		t.Errorf("Start on an address that is not ours: %v", err)
	}
	s.Stop(context.Background())
}
