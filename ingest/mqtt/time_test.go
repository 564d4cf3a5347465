package mqtt

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What depends on time runs in a bubble of its own clock, over net.Pipe.

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6loopback} }

func (l *pipeListener) dial(t testing.TB) *wire {
	a, b := net.Pipe()
	l.conns <- b
	t.Cleanup(func() { a.Close() })
	return &wire{t, a}
}

// servePipe starts a server on l, stopped at the end of the test.
func servePipe(t testing.TB, h Handler, o Options, l *pipeListener) *Server {
	t.Helper()
	s, err := New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// brokenOnce is a memory whose next Source breaks at its first Next.
type brokenOnce struct {
	*memory
	breakNext atomic.Bool
}

func (b *brokenOnce) Connect(ctx context.Context, c *Connect) (Peer, error) {
	p, err := b.memory.Connect(ctx, c)
	return &brokenPeer{p, b}, err
}

type brokenPeer struct {
	Peer
	b *brokenOnce
}

func (p *brokenPeer) Subscribe(ctx context.Context, s Subscription) (Source, error) {
	src, err := p.Peer.Subscribe(ctx, s)
	if err == nil && p.b.breakNext.Swap(false) {
		return &brokenSource{src}, nil
	}
	return src, err
}

type brokenSource struct{ Source }

func (*brokenSource) Next(context.Context) (*Message, error) { return nil, errors.New("broken") }

// ends waits for the end of the connection and says after how long it came and
// what was sent before.
func (w *wire) ends() (time.Duration, []byte) {
	w.t.Helper()
	start := time.Now()
	var all bytes.Buffer
	b := make([]byte, 256)
	for {
		w.conn.SetReadDeadline(time.Now().Add(time.Hour * 1000))
		n, err := w.conn.Read(b)
		all.Write(b[:n])
		if err != nil {
			return time.Since(start), all.Bytes()
		}
	}
}

func TestSilentClientsAreEnded(t *testing.T) {
	for _, tc := range []struct {
		name string
		send string
	}{
		{"silent", ""},
		{"half a CONNECT", "10 0f 00 04 'MQ'"},
		{"a CONNECT that is claimed to be long", "10 ff fb 03"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipeListener()
				servePipe(t, newMemory(), Options{}, l)
				w := l.dial(t)
				w.send(tc.send)
				if d, b := w.ends(); d != 10*time.Second || len(b) > 0 {
					t.Errorf("ended after %v with % x, want 10 s and nothing", d, b)
				}
			})
		})
	}
	t.Run("a byte a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			servePipe(t, newMemory(), Options{}, l)
			w := l.dial(t)
			start := time.Now()
			for _, b := range bytesOf(t, "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'") {
				if _, err := w.conn.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(time.Second)
			}
			if d := time.Since(start); d > 11*time.Second {
				t.Errorf("open for %v, want 10 s", d)
			}
		})
	})
	t.Run("a handler that does not answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			servePipe(t, slowHandler{newMemory()}, Options{}, l)
			w := l.dial(t)
			w.connect311("d1", true)
			if d, b := w.ends(); d != 10*time.Second || !bytes.Equal(b, bytesOf(t, "20 02 00 03")) {
				t.Errorf("ended after %v with % x, want 10 s and CONNACK 3", d, b)
			}
		})
	})
}

type slowHandler struct{ *memory }

func (slowHandler) Connect(ctx context.Context, c *Connect) (Peer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestKeepAlive(t *testing.T) {
	for _, tc := range []struct {
		name, connect, connack string
		after                  time.Duration
		want                   string // first bytes of the end, empty for none
	}{
		{"3.1.1", "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", "20 02 00 00", 90 * time.Second, ""},
		{"5", "10 10 00 04 'MQTT' 05 02 00 0a 00 00 03 'abc'", "", 15 * time.Second, "8d"},
		{"5 server keep-alive", "10 10 00 04 'MQTT' 05 02 00 00 00 00 03 'abc'", "", 30 * time.Minute, "8d"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMemory()
				l := newPipeListener()
				servePipe(t, h, Options{}, l)
				w := l.dial(t)
				w.send(tc.connect)
				w.wantPacket(0x20)
				for range 3 { // anything whole puts it off
					time.Sleep(tc.after - time.Second)
					w.send("c0 00")
					w.want("d0 00")
				}
				go w.dribble(tc.after)
				d, b := w.ends()
				if d != tc.after {
					t.Errorf("ended after %v, want %v", d, tc.after)
				}
				if tc.want == "" && len(b) > 0 || tc.want != "" && (len(b) < 3 || b[2] != 0x8d) {
					t.Errorf("ended with % x", b)
				}
				h.waitEvent(t, "offline abc keep_alive")
			})
		})
	}
	t.Run("3.1.1 without", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			servePipe(t, newMemory(), Options{}, l)
			w := l.dial(t)
			w.send("10 0f 00 04 'MQTT' 04 02 00 00 00 03 'abc'")
			w.want("20 02 00 00")
			time.Sleep(100 * time.Hour)
			w.wantSilence()
		})
	})
}

// dribble sends the beginning of a packet, byte by byte, which does not keep a
// connection alive.
func (w *wire) dribble(d time.Duration) {
	for _, b := range []byte{0x30, 0x7f, 0, 1} {
		time.Sleep(d / 5)
		w.conn.Write([]byte{b})
	}
}

func TestUnansweredPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMemory()
		l := newPipeListener()
		servePipe(t, h, Options{}, l)
		w := l.dial(t)
		w.connect311("d1", true)
		start := time.Now()
		h.waitEvent(t, "offline d1 slow") // it never reads its CONNACK
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("ended after %v, want the write timeout of 10 s", d)
		}
	})
}

func TestWills(t *testing.T) {
	const (
		will311   = "10 17 00 04 'MQTT' 04 06 00 3c 00 02 'w1' 00 01 't' 00 04 'gone'"
		will5     = "10 19 00 04 'MQTT' 05 06 00 3c 00 00 02 'w1' 00 00 01 't' 00 04 'gone'"
		delayed   = "10 23 00 04 'MQTT' 05 04 00 3c 05 11 00 00 00 64 00 02 'w1' 05 18 00 00 00 0a 00 01 't' 00 04 'gone'"
		delayedBy = 10 * time.Second
		outlived  = "10 23 00 04 'MQTT' 05 04 00 3c 05 11 00 00 00 03 00 02 'w1' 05 18 00 00 00 0a 00 01 't' 00 04 'gone'"
	)
	lost := func(w *wire, _ *pipeListener) { w.conn.Close() }
	for _, tc := range []struct {
		name, connect string
		then          func(*wire, *pipeListener)
		after         time.Duration // -1 for never
	}{
		{"3.1.1 lost", will311, lost, 0},
		{"3.1.1 disconnected", will311, func(w *wire, _ *pipeListener) { w.send("e0 00") }, -1},
		{"3.1.1 broke the standard", will311, func(w *wire, _ *pipeListener) { w.send("00 00") }, 0},
		{"5 lost", will5, lost, 0},
		{"5 disconnected", will5, func(w *wire, _ *pipeListener) { w.send("e0 00") }, -1},
		{"5 disconnected with will", will5, func(w *wire, _ *pipeListener) { w.send("e0 01 04") }, 0},
		{"5 disconnected with an error", will5, func(w *wire, _ *pipeListener) { w.send("e0 01 80") }, 0},
		{"5 keep-alive", will5, func(w *wire, _ *pipeListener) { w.ends() }, 90 * time.Second},
		{"5 delayed", delayed, lost, delayedBy},
		{"5 delayed, session ends first", outlived, lost, 3 * time.Second},
		{"5 delayed, back in time", delayed, func(w *wire, l *pipeListener) {
			w.conn.Close()
			time.Sleep(5 * time.Second)
			v := l.dial(w.t)
			v.send("10 14 00 04 'MQTT' 05 00 00 00 05 11 00 00 00 64 00 02 'w1'")
			v.wantPacket(0x20)
		}, -1},
		{"5 delayed, back with a clean start", delayed, func(w *wire, l *pipeListener) {
			w.conn.Close()
			time.Sleep(5 * time.Second)
			v := l.dial(w.t)
			v.send("10 0f 00 04 'MQTT' 05 02 00 00 00 00 02 'w1'")
			v.wantPacket(0x20)
		}, 5 * time.Second},
		{"5 taken over", will5, func(w *wire, l *pipeListener) {
			v := l.dial(w.t)
			v.send("10 0f 00 04 'MQTT' 05 02 00 00 00 00 02 'w1'")
			w.wantPacket(0xe0)
			v.wantPacket(0x20)
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newMemory()
				start := time.Now()
				var at []time.Duration
				h.publish = func(m *Message, a Ack) {
					if m.Topic != "t" || string(m.Payload) != "gone" || !m.Will {
						t.Errorf("published %+v", m)
					}
					h.mu.Lock()
					at = append(at, time.Since(start))
					h.mu.Unlock()
					a.Done(nil)
				}
				l := newPipeListener()
				servePipe(t, h, Options{}, l)
				w := l.dial(t)
				w.send(tc.connect)
				w.wantPacket(0x20)
				tc.then(w, l)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				h.mu.Lock()
				defer h.mu.Unlock()
				if tc.after < 0 && len(at) > 0 || tc.after >= 0 && (len(at) != 1 || at[0] < tc.after || at[0] > tc.after+2*tick) {
					t.Errorf("published at %v, want %v", at, tc.after)
				}
			})
		})
	}
}

func TestStopPublishesWills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMemory()
		l := newPipeListener()
		s := servePipe(t, h, Options{}, l)
		online, away := l.dial(t), l.dial(t)
		for i, w := range []*wire{online, away} {
			w.send("10 23 00 04 'MQTT' 05 04 00 3c 05 11 00 00 00 64 00 02 'w" + string(rune('1'+i)) + "' 05 18 00 00 00 0a 00 01 't' 00 04 'gone'")
			w.wantPacket(0x20)
		}
		away.conn.Close()
		h.waitEvent(t, "offline w2 closed")
		go online.ends()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(h.payloads()); n != 2 {
			t.Errorf("%d wills were published, want 2", n)
		}
	})
}

func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMemory()
		store := newMemoryStore()
		l := newPipeListener()
		servePipe(t, h, Options{Sessions: store}, l)
		for i, rest := range []time.Duration{99 * time.Second, 101 * time.Second} {
			w := l.dial(t)
			w.connect5("d1", false, "11 00 00 00 64") // a hundred seconds
			present(t, w.wantPacket(0x20), false)
			w.subscribe(version5, 1, "c", 1)
			w.wantPacket(0x90)
			w.send("e0 00")
			w.wantClosed()
			time.Sleep(rest)
			w = l.dial(t)
			w.connect5("d1", false, "")
			present(t, w.wantPacket(0x20), i == 0)
			w.conn.Close()
			time.Sleep(time.Second)
			if len(store.all) != 0 {
				t.Errorf("%d sessions are kept, want none", len(store.all))
			}
		}
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		l := newPipeListener()
		s, err := New(h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Serve(l)
		w := l.dial(t)
		w.connect311("d1", true)
		w.wantPacket(0x20)
		w.publish(version311, 1, 1, "x")
		h.waitHeld(t, 1)
		silent := l.dial(t) // proves nothing, is not waited for
		defer silent.conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v, want the deadline", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3 s", d)
		}
		w.wantClosed() // without an acknowledgement
		h.ack(0).Done(nil)
	})
}

// TestImpatientClient says good-bye and leaves without its acknowledgements,
// which fail to be written before or after its DISCONNECT is handled.
func TestImpatientClient(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			h := newMemory()
			l := newPipeListener()
			servePipe(t, h, Options{}, l)
			w := l.dial(t)
			w.send("10 17 00 04 'MQTT' 04 06 00 3c 00 02 'w1' 00 01 't' 00 04 'gone'")
			w.wantPacket(0x20)
			w.send("32 06 00 01 't' 00 01 'x' 32 06 00 01 't' 00 02 'y' e0 00")
			w.conn.Close()
			h.waitEvent(t, "offline w1 disconnect")
			synctest.Wait()
			if got := h.payloads(); len(got) == 0 || got[len(got)-1] == "gone" {
				t.Errorf("published %q, want no will", got)
			}
		})
	}
}

// pacing holds up every connection by wait after each message.
type pacing struct {
	*memory
	wait time.Duration
}

func (h *pacing) Connect(ctx context.Context, c *Connect) (Peer, error) {
	p, err := h.memory.Connect(ctx, c)
	return &pacingPeer{p, h.wait}, err
}

type pacingPeer struct {
	Peer
	wait time.Duration
}

func (p *pacingPeer) Pace() time.Duration { return p.wait }

// A client that is held up is read from again after the time its Peer said, a
// second at most, keeps its acknowledgements, and does not hold up the end.
func TestPacedConnection(t *testing.T) {
	for name, c := range map[string]struct{ wait, each time.Duration }{
		"a little":    {100 * time.Millisecond, 100 * time.Millisecond},
		"a long time": {time.Hour, time.Second},
		"not at all":  {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipeListener()
				servePipe(t, &pacing{newMemory(), c.wait}, Options{}, l)
				w := l.dial(t)
				w.connect311("paced", true)
				w.want("20 02 00 00")
				began := time.Now()
				const messages = 5
				for i := range messages {
					w.send("32 08 00 03 'a/b' 00 0" + string(rune('1'+i)) + " 78")
					w.want("40 02 00 0" + string(rune('1'+i)))
				}
				// The last message is acknowledged before the pause after it.
				if got, want := time.Since(began), (messages-1)*c.each; got != want {
					t.Errorf("%d messages took %v, want %v", messages, got, want)
				}
			})
		})
	}
}
