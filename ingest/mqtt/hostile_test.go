package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWaitingRoom(t *testing.T) {
	h := newMemory()
	s, addr := serveMemory(t, h, Options{MaxPending: 3})
	var idle []*wire
	for range 3 {
		idle = append(idle, dial(t, addr))
	}
	for i := range 20 { // one after the other gets through
		connect311(t, addr, fmt.Sprint("d", i), true)
	}
	idle[0].wantClosed() // the longest waiting gave way, once: the honest ones leave the room
	for _, w := range idle[1:] {
		w.connect311("late", true)
		w.wantPacket(0x20)
	}
	if got := testutil.ToFloat64(s.metrics.evicted); got != 1 {
		t.Errorf("%v connections were evicted, want 1", got)
	}
}

func TestWaitingRoomOrder(t *testing.T) {
	start := time.Now()
	from := func(addr string, after time.Duration) *conn {
		return &conn{from: netip.MustParseAddrPort(addr), since: start.Add(after)}
	}
	room := newWaitingRoom(4, 2)
	a1, a2, a3 := from("[2001:db8:a::1]:1", 0), from("[2001:db8:a::2]:1", 1), from("[2001:db8:a:0:ffff::3]:1", 2)
	b1, b2, b3 := from("192.0.2.1:1", 3), from("192.0.2.2:1", 4), from("192.0.2.3:1", 5)
	for i, tc := range []struct {
		c      *conn
		now    time.Duration
		victim *conn
		ok     bool
	}{
		{a1, 0, nil, true},
		{a2, 0, nil, true},
		{a3, 0, nil, true}, // more than its share, but nobody's grace is over
		{b1, 0, nil, true},
		{b2, 0, nil, false}, // full
		{b2, grace - 1, nil, false},
		{b2, grace, a1, true}, // the longest waiting of all
		{b3, grace + 2, a2, true},
		{a1, grace + 2, a3, true},
		{a2, grace + 3, b1, true},
		{a3, grace + 3, nil, false}, // a1 has just come
	} {
		victim, ok := room.enter(tc.c, start.Add(tc.now))
		if victim != tc.victim || ok != tc.ok {
			t.Fatalf("step %d: victim %v, in %v; want %v, %v", i, victim, ok, tc.victim, tc.ok)
		}
		if victim != nil {
			victim.since = start.Add(tc.now) // it will come again
		}
	}
	for _, c := range room.all() {
		if !room.leave(c) || room.leave(c) {
			t.Error("leaving")
		}
	}
	if room.oldest() != nil || len(room.bySite) != 0 {
		t.Errorf("left over: %+v", room)
	}
	// A site with its share loses its own, though others wait longer.
	room = newWaitingRoom(10, 1)
	room.enter(b1, start)
	a1.since = start.Add(10)
	room.enter(a1, start)
	if victim, _ := room.enter(a2, start.Add(time.Hour)); victim != a1 {
		t.Errorf("victim %v, want the one of the same site", victim)
	}
}

func TestTooManyConnections(t *testing.T) {
	_, addr := serveMemory(t, newMemory(), Options{MaxConnections: 1})
	first := connect311(t, addr, "d1", true)
	w := dial(t, addr)
	w.connect311("d2", true)
	w.want("20 02 00 03")
	w.wantClosed()
	w = dial(t, addr)
	w.connect5("d2", true, "")
	if p := w.wantPacket(0x20); p[3] != 0x97 {
		t.Errorf("CONNACK % x, want 0x97", p)
	}
	first.wantSilence()
}

// TestUnprovenCostLittle opens a thousand connections that claim the largest
// CONNECT there is and send none of it.
func TestUnprovenCostLittle(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{MaxPendingPerSite: 2000, MaxPending: 2000})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 1000 {
		w := dial(t, addr)
		w.send([]string{"", "10 fc ff 03", "10 fc ff 03 00 04 'MQ'", "10"}[i%4])
	}
	w := connect311(t, addr, "d1", true) // and an honest client is served beside them
	w.publish(version311, 1, 1, "x")
	w.want("40 02 00 01")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > 64<<20 {
		t.Errorf("a thousand cost %d MiB, want 64 at most", grown>>20)
	}
}

// TestTooLargeIsTold has a client still sending a MiB when it is told.
func TestTooLargeIsTold(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "d1", true, "")
	big := appendPublish(nil, version5, outgoing{m: &Message{Topic: "t", Payload: make([]byte, 1<<20)}, qos: 1, id: 1}, time.Time{})
	w.write(big)
	if p := w.wantPacket(0xe0); p[2] != 0x95 {
		t.Errorf("DISCONNECT % x, want 0x95", p)
	}
	w.wantClosed()
	// One that just fits is taken, over many reads.
	w = connect5(t, addr, "d1", true, "")
	fits := appendPublish(nil, version5, outgoing{m: &Message{Topic: "t", Payload: make([]byte, 256<<10-12)}, qos: 1, id: 1}, time.Time{})
	w.write(fits[:7])
	w.write(fits[7:100_000])
	w.write(fits[100_000:])
	w.want("40 02 00 01")
	w.publish(version5, 1, 2, "small")
	w.want("40 02 00 02")
	if got := h.payloads(); len(got) != 2 || len(got[0]) != 256<<10-12 || got[1] != "small" {
		t.Errorf("got %d messages", len(got))
	}
}

// TestByteByByte cuts a conversation at every byte.
func TestByteByByte(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := dial(t, addr)
	w.conn.(*net.TCPConn).SetNoDelay(true)
	for _, turn := range [][2]string{
		{"10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc' 32 06 00 01 't' 00 01 'x' 34 06 00 01 't' 00 02 'y'", "20 02 00 00 40 02 00 01 50 02 00 02"},
		{"62 02 00 02 c0 00", "70 02 00 02 d0 00"},
	} {
		for _, b := range bytesOf(t, turn[0]) {
			w.write([]byte{b})
		}
		w.want(turn[1])
	}
}

// panicking panics wherever it is told to.
type panicking struct {
	*memory
	where atomic.Value
}

func (p *panicking) at(where string) {
	if p.where.Load() == where {
		panic("asked for: " + where)
	}
}

func (p *panicking) Connect(ctx context.Context, c *Connect) (Peer, error) {
	peer, err := p.memory.Connect(ctx, c)
	if c.ClientID == "neighbour" {
		return peer, err
	}
	p.at("connect")
	return &panickingPeer{peer, p}, err
}

type panickingPeer struct {
	Peer
	p *panicking
}

func (q *panickingPeer) Online(ctx context.Context) { q.p.at("online"); q.Peer.Online(ctx) }
func (q *panickingPeer) Offline(e End)              { q.p.at("offline"); q.Peer.Offline(e) }
func (q *panickingPeer) Publish(m *Message, a Ack)  { q.p.at("publish"); q.Peer.Publish(m, a) }
func (q *panickingPeer) Subscribe(ctx context.Context, s Subscription) (Source, error) {
	q.p.at("subscribe")
	src, err := q.Peer.Subscribe(ctx, s)
	return &panickingSource{src, q.p}, err
}

type panickingSource struct {
	Source
	p *panicking
}

func (s *panickingSource) Next(ctx context.Context) (*Message, error) {
	s.p.at("next")
	return s.Source.Next(ctx)
}

func (s *panickingSource) Ack(seq uint64) { s.p.at("ack"); s.Source.Ack(seq) }

func TestPanicsEndOneConnection(t *testing.T) {
	for _, where := range []string{"connect", "online", "publish", "subscribe", "next", "ack", "offline"} {
		t.Run(where, func(t *testing.T) {
			h := &panicking{memory: newMemory()}
			h.where.Store(where)
			s, addr := serveMemory(t, h, Options{})
			neighbour := connect311(t, addr, "neighbour", true)
			// Everything at once; what comes after the panic may find nobody.
			w := dial(t, addr)
			w.conn.Write(bytesOf(t, "10 12 00 04 'MQTT' 04 80 00 3c 00 02 'd1' 00 02 'd1' 82 06 00 01 00 01 'c' 00"))
			if where == "ack" {
				h.wait(t, "a subscription", func() bool { return len(h.cursors) == 1 })
				h.send("command", 0)
			} else {
				w.conn.Write(bytesOf(t, "32 06 00 01 't' 00 01 'x' e0 00"))
			}
			w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, w.conn); isTimeout(err) {
				t.Error("the connection is still open")
			}
			// The session is free for the next one, and nobody else noticed.
			h.where.Store("")
			v := connect311(t, addr, "d1", true)
			v.wantSilence()
			neighbour.wantSilence()
			if got := testutil.ToFloat64(s.metrics.panics); got < 1 {
				t.Errorf("%v panics were counted", got)
			}
		})
	}
}

// flakyListener fails to accept a few times first.
type flakyListener struct {
	*pipeListener
	fails int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.pipeListener.Accept()
}

func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flakyListener{newPipeListener(), 12}
		s, err := New(newMemory(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Serve(l)
		start := time.Now()
		w := l.dial(t)
		w.connect311("d1", true)
		w.wantPacket(0x20)
		if d := time.Since(start); d < time.Second || d > 20*time.Second {
			t.Errorf("served after %v", d)
		}
		if got := testutil.ToFloat64(s.metrics.acceptErrors); got != 12 {
			t.Errorf("%v accept errors were counted, want 12", got)
		}
		w.conn.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestReconnects has one session come and go ten thousand times over several
// connections at once, each taking over.
func TestReconnects(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	h := newMemory()
	s, addr := serveMemory(t, h, Options{MaxPending: 100000, MaxPendingPerSite: 100000})
	errs := make(chan error, 8)
	for i := range 8 {
		go reconnect(addr, fmt.Sprint("d", i/2), n/8, errs)
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	w := connect311(t, addr, "last", true)
	w.publish(version311, 1, 1, "x")
	w.want("40 02 00 01")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	online := map[string]int{}
	for _, e := range h.events {
		var what, id string
		fmt.Sscanf(e, "%s %s", &what, &id)
		switch what {
		case "online":
			online[id]++
		case "offline":
			online[id]--
		}
		if online[id] < 0 || online[id] > 1 {
			t.Fatalf("%s is online %d times at once", id, online[id])
		}
	}
}

func reconnect(addr, id string, n int, errs chan<- error) {
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			errs <- err
			return
		}
		c.(*net.TCPConn).SetLinger(0) // so that ten thousand leave no port waiting
		b := []byte{0, 4, 'M', 'Q', 'T', 'T', 4, 0x80, 0, 60}
		b = appendText(appendText(b, id), id)
		c.Write(append(appendPacket(nil, 0x10, b), 0x32, 6, 0, 1, 't', 0, 1, 'x'))
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer := make([]byte, 8)
		_, err = ioReadFull(c, answer)
		c.Close()
		// Taken over by its twin meanwhile: closed, or with less than a PUBACK.
		if isTimeout(err) || err == nil && !bytes.Equal(answer[4:], []byte{0x40, 2, 0, 1}) {
			errs <- fmt.Errorf("got % x: %w", answer, errors.Join(err, errors.New("no acknowledgement")))
			return
		}
	}
	errs <- nil
}

// TestStormFromOneSite has a whole site come back at once, as after a power cut,
// beyond what the waiting room holds. Nobody honest may be thrown out for it.
func TestStormFromOneSite(t *testing.T) {
	h := newMemory()
	s, addr := serveMemory(t, h, Options{})
	const n = 2000
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		id := fmt.Sprint("storm", i)
		b := []byte{0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 60}
		c.Write(appendPacket(nil, 0x10, appendText(appendText(b, id), id)))
		conns[i] = c
	}
	bad := 0
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 4)
		if _, err := ioReadFull(c, b); err != nil || b[3] != 0 {
			bad++
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d were turned away, %v evicted", bad, n, testutil.ToFloat64(s.metrics.evicted))
	}
}

// TestManyPublishersOneSubscriber has one slow subscriber get everything eight
// busy publishers say, in the order of the log, which is where another server
// locked itself up.
func TestManyPublishersOneSubscriber(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	w := connect5(t, addr, "s", true, "21 00 05") // receive maximum 5
	w.subscribe(version5, 1, "devices/#", 1)
	w.wantPacket(0x90)
	const publishers, each = 8, 3000
	errs := make(chan error, publishers)
	for i := range publishers {
		go func() { errs <- loadOne(addr, i, 100, each) }()
	}
	for i := range publishers * each {
		p := w.wantPacket(0x32)
		topic := string(p[4 : 4+int(p[3])])
		h.mu.Lock()
		want := h.log[i].Topic
		h.mu.Unlock()
		if topic != want {
			t.Fatalf("message %d is of %s, want %s", i, topic, want)
		}
		w.write([]byte{0x40, 2, p[4+len(topic)], p[5+len(topic)]})
	}
	for range publishers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestSubscriptionRevoked has a stream break and its device not be allowed to
// have it again.
func TestSubscriptionRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &brokenOnce{memory: newMemory()}
		h.breakNext.Store(true)
		var asked atomic.Int32
		h.subscribe = func(s Subscription) error {
			switch asked.Add(1) {
			case 2:
				return errDisk // tried again
			case 3:
				return errUnknown
			}
			return nil
		}
		l := newPipeListener()
		servePipe(t, h, Options{}, l)
		w := l.dial(t)
		w.connect5("d1", true, "")
		w.wantPacket(0x20)
		w.subscribe(version5, 1, "c", 1)
		w.want("90 04 00 01 00 01")
		d, b := w.ends()
		if len(b) < 3 || b[0] != 0xe0 || b[2] != 0x87 || d < 3*time.Second {
			t.Errorf("ended after %v with % x, want 0x87 after two pauses", d, b)
		}
		h.waitEvent(t, "offline d1 revoked")
		noBadEvents(t, h.memory)
	})
}
