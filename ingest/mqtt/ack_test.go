package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
)

// held is a Handler that keeps every publish undecided until the test says so.
type held struct {
	*memory
	mu       sync.Mutex
	acks     []Ack
	payloads []string
}

func newHeld() *held {
	h := &held{memory: newMemory()}
	h.memory.publish = func(m *Message, a Ack) {
		h.mu.Lock()
		h.acks = append(h.acks, a)
		h.payloads = append(h.payloads, string(m.Payload))
		n := len(h.acks)
		h.mu.Unlock()
		h.note("held %d", n)
	}
	return h
}

func (h *held) waitHeld(t testing.TB, n int) { t.Helper(); h.waitEvent(t, fmt.Sprintf("held %d", n)) }

func (h *held) ack(i int) Ack {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acks[i]
}

func (h *held) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acks)
}

func TestAckIsHeldAndComesInOrder(t *testing.T) {
	for _, version := range []byte{version311, version5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := newHeld()
			_, addr := serveMemory(t, h, Options{})
			w := connectAs(t, addr, version, "d1", true, "")
			const n = 100
			for i := range n {
				w.publish(version, 1, uint16(i+1), "x")
			}
			h.waitHeld(t, n)
			w.wantSilence() // a hundred in flight, nothing committed, no ack; keep-alive is served
			for i := n - 1; i >= 1; i-- {
				h.ack(i).Done(nil)
			}
			w.wantSilence() // all but the first: it holds the others back [MQTT-4.6.0-2]
			h.ack(0).Done(nil)
			for i := range n {
				w.want(fmt.Sprintf("40 02 00 %02x", i+1))
			}
			h.ack(3).Done(errors.New("done twice")) // changes nothing
			w.wantSilence()
		})
	}
}

func connectAs(t testing.TB, addr string, version byte, id string, clean bool, properties string) *wire {
	t.Helper()
	if version == version5 {
		return connect5(t, addr, id, clean, properties)
	}
	return connect311(t, addr, id, clean)
}

// TestRefusals is the table of outcomes and answers.
func TestRefusals(t *testing.T) {
	kept := devices.Refuse(devices.ReasonOutOfRange, "pm25 is 1e9")
	kept.Kept = true
	for _, tc := range []struct {
		name            string
		err             error
		qos1, qos2      string // MQTT 5
		end             byte   // MQTT 5: ended with this code instead
		acknowledged311 bool
	}{
		{"stored", nil, "40 02 00 07", "50 02 00 07", 0, true},
		{"stored in part", kept, "40 02 00 07", "50 02 00 07", 0, true},
		{"malformed", devices.Refuse(devices.ReasonMalformed, "bad"), "40 15 00 07 99 11 1f 00 0e 'malformed: bad'", "50 15 00 07 99 11 1f 00 0e 'malformed: bad'", 0, true},
		{"foreign", &devices.Refusal{Reason: devices.ReasonForeignDevice}, "40 15 00 07 87 11 1f 00 0e 'foreign_device'", "50 15 00 07 87 11 1f 00 0e 'foreign_device'", 0, true},
		{"out of range", &devices.Refusal{Reason: devices.ReasonOutOfRange}, "40 13 00 07 83 0f 1f 00 0c 'out_of_range'", "50 13 00 07 83 0f 1f 00 0c 'out_of_range'", 0, true},
		{"disk full", errDisk, "40 1d 00 07 97 19 1f 00 16 'unavailable: disk full'", "50 1d 00 07 97 19 1f 00 16 'unavailable: disk full'", 0, false},
		{"disk full, wrapped", fmt.Errorf("append: %w", errDisk), "40 1d 00 07 97 19 1f 00 16 'unavailable: disk full'", "50 1d 00 07 97 19 1f 00 16 'unavailable: disk full'", 0, false},
		{"a fault", errors.New("a fault"), "", "", 0x83, false},
	} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("5 %s qos %d", tc.name, qos), func(t *testing.T) {
				h := newHeld()
				_, addr := serveMemory(t, h, Options{})
				w := connect5(t, addr, "d1", true, "")
				w.publish(version5, qos, 7, "x")
				h.waitHeld(t, 1)
				h.ack(0).Done(tc.err)
				if tc.end != 0 {
					if p := w.wantPacket(0xe0); p[2] != tc.end {
						t.Errorf("DISCONNECT % x, want code %02x", p, tc.end)
					}
					w.wantClosed()
					h.waitEvent(t, "offline d1 refused")
					return
				}
				want := tc.qos1
				if qos == 2 {
					want = tc.qos2
				}
				w.want(want)
				w.wantSilence()
			})
			t.Run(fmt.Sprintf("3.1.1 %s qos %d", tc.name, qos), func(t *testing.T) {
				h := newHeld()
				_, addr := serveMemory(t, h, Options{})
				w := connect311(t, addr, "d1", true)
				w.publish(version311, qos, 7, "x")
				h.waitHeld(t, 1)
				h.ack(0).Done(tc.err)
				if !tc.acknowledged311 {
					w.wantClosed() // and no acknowledgement before
					h.waitEvent(t, "offline d1 refused")
					return
				}
				w.want(fmt.Sprintf("%02x 02 00 07", 0x30+qos<<4))
				w.wantSilence()
			})
		}
		t.Run("qos 0 "+tc.name, func(t *testing.T) {
			h := newHeld()
			_, addr := serveMemory(t, h, Options{})
			w := connect311(t, addr, "d1", true)
			w.publish(version311, 0, 0, "x")
			h.waitHeld(t, 1)
			h.ack(0).Done(tc.err)
			w.wantSilence()
		})
	}
}

func TestReasonStringOnlyWhereWanted(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	quiet := connect5(t, addr, "d1", true, "17 00")          // no problem information
	small := connect5(t, addr, "d2", true, "27 00 00 00 20") // packets of 32 bytes
	for i, w := range []*wire{quiet, small} {
		w.publish(version5, 1, 1, "x")
		h.waitHeld(t, i+1)
		h.ack(i).Done(devices.Refuse(devices.ReasonMalformed, "%s", strings.Repeat("long ", 200)))
	}
	quiet.want("40 03 00 01 99")
	small.want("40 04 00 01 99 00")
}

func TestFailedCommitIsSentAgainOnTheNextConnection(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	w := connect311(t, addr, "d1", false)
	w.publish(version311, 1, 1, "a")
	w.publish(version311, 1, 2, "b")
	w.publish(version311, 1, 3, "c")
	h.waitHeld(t, 3)
	h.ack(2).Done(nil)
	h.ack(1).Done(errDisk)
	h.ack(0).Done(nil)
	w.want("40 02 00 01") // and nothing for the one behind the failure
	w.wantClosed()
	w = connect311(t, addr, "d1", false)
	w.send("3a 06 00 01 't' 00 02 'b'") // DUP
	w.send("3a 06 00 01 't' 00 03 'c'")
	h.waitHeld(t, 5)
	h.ack(3).Done(nil)
	h.ack(4).Done(nil)
	w.want("40 02 00 02 40 02 00 03")
}

func TestTakeOver(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	first := connect5(t, addr, "d1", true, "")
	first.publish(version5, 1, 1, "old")
	h.waitHeld(t, 1)
	second := connect5(t, addr, "d1", true, "")
	if p := first.wantPacket(0xe0); p[2] != 0x8e {
		t.Errorf("DISCONNECT % x, want 0x8e", p)
	}
	first.wantClosed()
	second.publish(version5, 1, 1, "new") // the same identifier
	h.waitHeld(t, 2)
	h.ack(0).Done(nil)
	second.wantSilence() // the old connection's acknowledgement is not the new one's
	h.ack(1).Done(nil)
	second.want("40 02 00 01")
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	var got []string
	for _, e := range h.events {
		if !strings.HasPrefix(e, "held") {
			got = append(got, e)
		}
	}
	if want := "online d1, offline d1 taken_over, online d1"; strings.Join(got, ", ") != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestTakeOverOfABusyConnection takes over while the Handler is asked for a
// stream and does not answer.
func TestTakeOverOfABusyConnection(t *testing.T) {
	h := stuck{newMemory()}
	_, addr := serveMemory(t, h, Options{})
	w := connect311(t, addr, "d1", true)
	w.subscribe(version311, 1, "c", 1)
	h.waitEvent(t, "asked")
	connect311(t, addr, "d1", true).wantSilence()
	w.wantClosed()
}

// stuck gives no Source before it is told to stop trying.
type stuck struct{ *memory }

func (h stuck) Connect(ctx context.Context, c *Connect) (Peer, error) {
	p, err := h.memory.Connect(ctx, c)
	return stuckPeer{p, h}, err
}

type stuckPeer struct {
	Peer
	h stuck
}

func (p stuckPeer) Subscribe(ctx context.Context, s Subscription) (Source, error) {
	p.h.note("asked")
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestPrincipalsDoNotTakeEachOtherOver(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	victim := connect5(t, addr, "d1", true, "")
	other := dial(t, addr)
	other.send("10 15 00 04 'MQTT' 05 82 00 3c 00 00 02 'd1' 00 04 'evil'")
	other.wantPacket(0x20)
	victim.wantSilence()
}

func TestReceiveMaximum(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{Window: 4})
	w := connect5(t, addr, "d1", true, "")
	for i := range 4 {
		w.publish(version5, byte(1+i%2), uint16(i+1), "x")
	}
	h.waitHeld(t, 4)
	w.publish(version5, 0, 0, "x") // QoS 0 does not count
	h.waitHeld(t, 5)
	for i := range 4 {
		h.ack(i).Done(nil)
	}
	w.want("40 02 00 01 50 02 00 02 40 02 00 03 50 02 00 04")
	// The two PUBRECs gave nothing back: only two more fit (section 4.9).
	w.publish(version5, 1, 5, "x")
	w.publish(version5, 1, 6, "x")
	h.waitHeld(t, 7)
	w.send("62 02 00 02")
	w.want("70 02 00 02")
	w.publish(version5, 1, 7, "x") // its PUBREL gave one back
	h.waitHeld(t, 8)
	w.publish(version5, 1, 8, "x")
	if p := w.wantPacket(0xe0); p[2] != 0x93 {
		t.Errorf("DISCONNECT % x, want 0x93", p)
	}
	w.wantClosed()
	if n := h.count(); n != 8 {
		t.Errorf("%d messages were submitted, want 8", n)
	}
}

// TestWindowIsGivenBackBeforeTheAck has a client that uses the room the moment
// it reads an answer.
func TestWindowIsGivenBackBeforeTheAck(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{Window: 1})
	w := connect5(t, addr, "d1", true, "")
	for i := range 2000 {
		id := uint16(i + 1)
		if i%2 == 0 {
			w.publish(version5, 1, id, "x")
			w.want(fmt.Sprintf("40 02 %02x %02x", id>>8, id&0xff))
			continue
		}
		w.publish(version5, 2, id, "x")
		w.want(fmt.Sprintf("50 02 %02x %02x", id>>8, id&0xff))
		w.send(fmt.Sprintf("62 02 %02x %02x", id>>8, id&0xff))
		w.want(fmt.Sprintf("70 02 %02x %02x", id>>8, id&0xff))
	}
}

// TestFullWindow311 has a 3.1.1 client, which was told no limit, run into it: it
// is not read from, and loses nothing.
func TestFullWindow311(t *testing.T) {
	for _, qos := range []byte{0, 1, 2} {
		t.Run(fmt.Sprint(qos), func(t *testing.T) {
			h := newHeld()
			_, addr := serveMemory(t, h, Options{Window: 4})
			w := connect311(t, addr, "d1", true)
			const n = 40
			for i := range n {
				id := uint16(i + 1)
				if qos == 0 {
					id = 0
				}
				w.publish(version311, qos, id, "x")
			}
			for i := range n {
				h.waitHeld(t, i+1)
				if got := h.count(); got > i+4 {
					t.Fatalf("%d messages in flight, want 4 at most", got-i)
				}
				h.ack(i).Done(nil)
			}
			for i := range n {
				if qos > 0 {
					w.want(fmt.Sprintf("%02x 02 00 %02x", 0x30+qos<<4, i+1))
				}
			}
			w.wantSilence()
		})
	}
}

func TestStalledHandlerEndsTheConnection(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{Window: 1, StallTimeout: 50 * time.Millisecond})
	w := connect311(t, addr, "d1", true)
	w.publish(version311, 1, 1, "x")
	w.publish(version311, 1, 2, "x")
	w.wantClosed()
	h.waitEvent(t, "offline d1 stalled")
	h.ack(0).Done(nil) // too late, and harmless
}

func TestQoS2(t *testing.T) {
	for _, version := range []byte{version311, version5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := newHeld()
			_, addr := serveMemory(t, h, Options{})
			keep := "11 00 00 0e 10"
			w := connectAs(t, addr, version, "d1", false, keep)
			w.publish(version, 2, 9, "x")
			h.waitHeld(t, 1)
			w.wantSilence() // no PUBREC before the commit

			// The connection breaks while it commits; the message comes again.
			w.conn.Close()
			h.waitEvent(t, "offline d1 closed")
			w = connectAs(t, addr, version, "d1", false, keep)
			again := "3c 06 00 01 't' 00 09 'x'"
			if version == version5 {
				again = "3c 07 00 01 't' 00 09 00 'x'"
			}
			w.send(again)
			w.wantSilence()
			if n := h.count(); n != 1 {
				t.Fatalf("submitted %d times, want once", n)
			}
			h.ack(0).Done(nil)
			w.want("50 02 00 09")

			// The PUBREC is lost; it comes again, and is not submitted again.
			w.conn.Close()
			w = connectAs(t, addr, version, "d1", false, keep)
			w.send(again)
			w.want("50 02 00 09")
			w.send("62 02 00 09")
			w.want("70 02 00 09")
			if n := h.count(); n != 1 {
				t.Fatalf("submitted %d times, want once", n)
			}

			// A PUBREL nobody remembers, as after a restart.
			w.send("62 02 00 0a")
			if version == version5 {
				w.want("70 03 00 0a 92")
			} else {
				w.want("70 02 00 0a")
			}

			// The identifier is free again, and DUP proves nothing.
			w.send(again)
			h.waitHeld(t, 2)
			h.ack(1).Done(nil)
			w.want("50 02 00 09")

			// A device that lost its memory says something else under an
			// identifier the session still has: nothing is lost.
			w.conn.Close()
			w = connectAs(t, addr, version, "d1", false, keep)
			w.publish(version, 2, 9, "other")
			h.waitHeld(t, 3)
			w.wantSilence()
			h.ack(2).Done(nil)
			w.want("50 02 00 09")
		})
	}
}

func TestQoS2RefusedFreesTheIdentifier(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	w.publish(version5, 2, 9, "x")
	h.waitHeld(t, 1)
	h.ack(0).Done(&devices.Refusal{Reason: devices.ReasonBusy})
	w.want("50 0b 00 09 97 07 1f 00 04 'busy'")
	w.publish(version5, 2, 9, "x")
	h.waitHeld(t, 2)
	h.ack(1).Done(nil)
	w.want("50 02 00 09")
}

func TestPubrelBeforePubrec(t *testing.T) {
	h := newHeld()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	w.publish(version5, 2, 9, "x")
	w.send("62 02 00 09")
	if p := w.wantPacket(0xe0); p[2] != 0x82 {
		t.Errorf("DISCONNECT % x, want 0x82", p)
	}
}

// TestDeafClientHoldsUpNobody has a client that never reads what it is sent,
// acknowledgements and a stream larger than any socket buffer, beside one that
// does.
func TestDeafClientHoldsUpNobody(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{WriteTimeout: 300 * time.Millisecond})
	deaf := connect311(t, addr, "deaf", true)
	deaf.subscribe(version311, 1, "c", 0)
	deaf.wantPacket(0x90)
	for range 400 {
		h.append(SessionKey{}, &Message{Topic: "c", Payload: make([]byte, 64<<10)})
	}
	w := connect311(t, addr, "d1", true)
	for i := range 2000 {
		id := uint16(i + 1)
		if i < 100 {
			deaf.publish(version311, 1, id, "x")
		}
		w.publish(version311, 1, id, "x")
		w.want(fmt.Sprintf("40 02 %02x %02x", id>>8, id&0xff))
	}
	h.waitEvent(t, "offline deaf slow")
}

func TestStopAcknowledgesWhatIsInFlight(t *testing.T) {
	h := newHeld()
	s, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	w.publish(version5, 1, 1, "x")
	w.publish(version5, 1, 2, "x")
	h.waitHeld(t, 2)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break // it does not listen any more
		}
		c.Close()
	}
	h.ack(0).Done(nil)
	h.ack(1).Done(nil)
	w.want("40 02 00 01 40 02 00 02")
	if p := w.wantPacket(0xe0); p[2] != 0x8b {
		t.Errorf("DISCONNECT % x, want 0x8b", p)
	}
	w.wantClosed()
	w.conn.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
}
