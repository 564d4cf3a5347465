package mqtt

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// packetSeeds are packets by hand, of every type a client sends.
var packetSeeds = []string{
	"10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'",
	"10 1d 00 04 'MQTT' 04 c6 00 3c 00 02 'd1' 00 01 't' 00 01 'x' 00 02 'd1' 00 01 'p'",
	"10 10 00 04 'MQTT' 05 02 00 3c 00 00 03 'abc'",
	"10 23 00 04 'MQTT' 05 04 00 3c 05 11 00 00 00 64 00 02 'w1' 05 18 00 00 00 0a 00 01 't' 00 04 'gone'",
	"10 22 00 04 'MQTT' 05 02 00 3c 12 21 00 0a 27 00 00 10 00 17 00 26 00 01 'k' 00 01 'v' 00 03 'abc'",
	"30 06 00 01 't' 00 'xyz'",
	"32 07 00 01 't' 00 01 00 'x'",
	"3c 07 00 01 't' 00 01 00 'x'",
	"32 0a 00 01 'a' 00 01 03 23 00 01 '1'",
	"30 08 00 01 'c' 02 01 01 '2' '3'",
	"40 02 00 01", "40 04 00 01 00 00", "50 02 00 01", "62 02 00 01", "62 03 00 01 92", "70 02 00 01",
	"82 07 00 01 00 00 01 't' 00", "82 06 00 01 00 01 't' 01", "82 09 00 01 02 0b 05 00 01 'c' 05", "82 0e 00 01 00 00 08 '$share/g' 00",
	"82 0c 00 01 00 00 01 't' 00 00 05 'abc'",
	"a2 06 00 01 00 00 01 't'", "a2 05 00 01 00 01 't'",
	"c0 00", "e0 00", "e0 01 04", "e0 07 00 05 11 00 00 00 01", "f0 00", "00 00", "30 ff ff ff 7f", "ff ff ff ff ff ff",
}

// FuzzPacket decodes whatever comes as the packet it says it is. Decoding must
// come back, hold no more than it was given, and read again what it writes.
func FuzzPacket(f *testing.F) {
	for _, s := range packetSeeds {
		f.Add(byte(version5), bytesOf(f, s))
		f.Add(byte(version311), bytesOf(f, s))
	}
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		version = version311 + version&1
		first, head, size, err := fixedHeader(b)
		if err != nil || size == 0 || size > len(b) {
			return
		}
		flags, body := first&0x0f, b[head:size]
		var p properties
		switch first >> 4 {
		case typeConnect:
			c, err := decodeConnect(body)
			if err == nil && (c == nil || c.Will != nil && validTopic([]byte(c.Will.Topic)) != nil) {
				t.Errorf("accepted %+v", c)
			}
		case typePublish:
			k, err := decodePublish(version, flags, body, &p)
			if err != nil {
				return
			}
			m := &Message{Topic: string(k.topic), Payload: k.payload}
			if k.hasProps {
				p.describe(m, func(b []byte) string { return string(b) })
			}
			again := appendPublish(nil, version, outgoing{m: m, qos: k.qos, retain: k.retain, dup: k.dup, id: k.id}, time.Now())
			f2, h2, s2, err := fixedHeader(again)
			if err != nil || s2 != len(again) {
				t.Fatalf("wrote % x", again)
			}
			var p2 properties
			k2, err := decodePublish(version, f2&0x0f, again[h2:], &p2)
			if k.hasAlias && len(k.topic) == 0 {
				return // an alias is not written again
			}
			if err != nil || !bytes.Equal(k2.topic, k.topic) || !bytes.Equal(k2.payload, k.payload) || k2.id != k.id || k2.qos != k.qos ||
				k2.retain != k.retain || k2.dup != k.dup || !bytes.Equal(p2.contentType, p.contentType) || len(p2.user) != len(p.user) {
				t.Fatalf("wrote % x (%v), from % x", again, err, b[:size])
			}
		case typePuback, typePubrec, typePubrel, typePubcomp:
			if k, err := decodeAck(version, first>>4, flags, body); err == nil && k.id == 0 {
				t.Error("packet identifier zero")
			}
		case typeSubscribe:
			k, err := decodeSubscribe(version, flags, body)
			if err == nil && (len(k.filters) == 0 || k.id == 0) {
				t.Errorf("accepted %+v", k)
			}
		case typeUnsubscribe:
			k, err := decodeUnsubscribe(version, flags, body)
			if err == nil && (len(k.filters) == 0 || k.id == 0) {
				t.Errorf("accepted %+v", k)
			}
		case typeDisconnect:
			decodeDisconnect(version, flags, body)
		}
	})
}

// FuzzConnection sends whatever comes to a server, after a CONNECT or instead
// of it. The connection ends without a panic, and the next one is served.
func FuzzConnection(f *testing.F) {
	for _, s := range packetSeeds {
		for _, before := range []byte{0, version311, version5} {
			f.Add(before, bytesOf(f, s))
		}
	}
	h := newMemory()
	h.publish = func(m *Message, a Ack) { a.Done(nil) }
	s, _ := serveMemory(f, h, Options{CloseTimeout: 50 * time.Millisecond})
	f.Fuzz(func(t *testing.T, before byte, b []byte) {
		for _, probe := range []bool{false, true} {
			ours, theirs := net.Pipe()
			w := &wire{t, ours}
			s.welcome(theirs)
			drained := make(chan int64, 1)
			if probe {
				w.connect5("fuzz", true, "")
				w.wantPacket(0x20)
				w.wantSilence()
				ours.Close()
				continue
			}
			go drain(ours, drained)
			switch before % 6 {
			case version311:
				w.conn.Write(bytesOf(t, "10 10 00 04 'MQTT' 04 02 00 3c 00 04 'fuzz'"))
			case version5:
				w.conn.Write(bytesOf(t, "10 11 00 04 'MQTT' 05 02 00 3c 00 00 04 'fuzz'"))
			}
			ours.Write(b)
			ours.Close()
			<-drained
		}
		if n := testutil.ToFloat64(s.metrics.panics); n != 0 {
			t.Fatalf("%v panics", n)
		}
	})
}

func drain(c net.Conn, done chan<- int64) {
	n, _ := io.Copy(io.Discard, c)
	done <- n
}
