package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"vonglau/devices"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		os.Exit(runChild(child)) // see child_test.go
	}
	goleak.VerifyTestMain(m)
}

// memory is a Handler with its log in memory: what is published is appended,
// subscriptions are cursors on it. Tests decide when and how a publish is
// acknowledged.
type memory struct {
	mu       sync.Mutex
	log      []*Message // index+1 is the sequence number
	retained map[string]*Message
	cursors  map[string]uint64 // last acknowledged, by session and filter
	events   []string
	changed  chan struct{} // closed and replaced on each change

	// Hooks, set before use. publish takes a message over; nil appends it and
	// acknowledges at once.
	connect   func(*Connect) error
	publish   func(m *Message, a Ack)
	subscribe func(Subscription) error
	principal func(*Connect) string
}

func newMemory() *memory {
	return &memory{retained: map[string]*Message{}, cursors: map[string]uint64{}, changed: make(chan struct{})}
}

func (h *memory) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, fmt.Sprintf(format, args...))
	h.touch()
}

func (h *memory) touch() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// wait waits until ok holds of the handler, called with its lock.
func (h *memory) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		h.mu.Lock()
		done, changed := ok(), h.changed
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("waited in vain: %s; events %q, log %d", what, h.events, len(h.log))
		}
	}
}

func (h *memory) waitEvent(t testing.TB, event string) {
	t.Helper()
	h.wait(t, event, func() bool {
		for _, e := range h.events {
			if e == event {
				return true
			}
		}
		return false
	})
}

func (h *memory) Connect(ctx context.Context, c *Connect) (Peer, error) {
	if h.connect != nil {
		if err := h.connect(c); err != nil {
			return nil, err
		}
	}
	p := &memoryPeer{h: h, key: SessionKey{c.Username, c.ClientID}}
	if h.principal != nil {
		p.key.Principal = h.principal(c)
	}
	return p, nil
}

func (h *memory) Forget(s SessionKey, filter string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cursors, s.Principal+"\x00"+s.ClientID+"\x00"+filter)
	h.events = append(h.events, "forget "+s.ClientID+" "+filter)
	h.touch()
}

// append adds a message as published by whoever key is.
func (h *memory) append(key SessionKey, m *Message) {
	d := *m
	d.Payload, d.Correlation, d.Publisher = bytes.Clone(m.Payload), bytes.Clone(m.Correlation), key
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, &d)
	d.Seq = uint64(len(h.log))
	if d.Retain {
		if len(d.Payload) == 0 {
			delete(h.retained, d.Topic)
		} else {
			h.retained[d.Topic] = &d
		}
	}
	h.touch()
}

func (h *memory) payloads() (p []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.log {
		p = append(p, string(m.Payload))
	}
	return p
}

type memoryPeer struct {
	h   *memory
	key SessionKey
}

func (p *memoryPeer) Principal() string          { return p.key.Principal }
func (p *memoryPeer) Online(ctx context.Context) { p.h.note("online %s", p.key.ClientID) }
func (p *memoryPeer) Offline(e End)              { p.h.note("offline %s %s", p.key.ClientID, e.Cause) }

func (p *memoryPeer) Publish(m *Message, a Ack) {
	if p.h.publish != nil {
		p.h.publish(m, a)
		return
	}
	p.h.append(p.key, m)
	a.Done(nil)
}

func (p *memoryPeer) Subscribe(ctx context.Context, s Subscription) (Source, error) {
	h := p.h
	if h.subscribe != nil {
		if err := h.subscribe(s); err != nil {
			return nil, err
		}
	}
	src := &memorySource{h: h, filter: s.Filter, cursor: s.Session.Principal + "\x00" + s.Session.ClientID + "\x00" + s.Filter, stored: map[uint64]bool{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.cursors[src.cursor]
	if !s.Resume || !ok {
		at = uint64(len(h.log))
		h.cursors[src.cursor] = at
		h.touch()
	}
	src.next = at
	if s.Retained {
		for topic, m := range h.retained {
			if match(s.Filter, topic) {
				d := *m
				d.Stored = true
				src.first = append(src.first, &d)
				src.stored[d.Seq] = true
			}
		}
	}
	return src, nil
}

type memorySource struct {
	h      *memory
	filter string
	cursor string
	next   uint64
	first  []*Message
	stored map[uint64]bool // retained copies, which do not move the cursor
	closed bool
}

func (s *memorySource) Next(ctx context.Context) (*Message, error) {
	for {
		s.h.mu.Lock()
		if len(s.first) > 0 {
			m := s.first[0]
			s.first = s.first[1:]
			s.h.mu.Unlock()
			return m, nil
		}
		for s.next < uint64(len(s.h.log)) {
			m := s.h.log[s.next]
			s.next++
			if match(s.filter, m.Topic) {
				s.h.mu.Unlock()
				return m, nil
			}
		}
		changed := s.h.changed
		s.h.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (s *memorySource) Ack(seq uint64) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.closed {
		s.h.events = append(s.h.events, "ack after close")
	}
	if s.stored[seq] {
		delete(s.stored, seq)
		return
	}
	if last, ok := s.h.cursors[s.cursor]; ok {
		if seq <= last {
			s.h.events = append(s.h.events, fmt.Sprintf("ack %d after %d", seq, last))
		}
		s.h.cursors[s.cursor] = seq
	}
	s.h.touch()
}

func (s *memorySource) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.closed {
		s.h.events = append(s.h.events, "closed twice")
	}
	s.closed = true
}

// match reports whether a topic name fits a filter; a wildcard in front does
// not fit '$' (MQTT 5 section 4.7.2).
func match(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") != strings.HasPrefix(filter, "$") {
		return false
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

// memoryStore is a SessionStore that can be told to fail.
type memoryStore struct {
	mu   sync.Mutex
	all  map[string][]byte
	puts int
	err  error
}

func newMemoryStore() *memoryStore { return &memoryStore{all: map[string][]byte{}} }

func (m *memoryStore) Load(ctx context.Context, each func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.all {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryStore) Put(ctx context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.puts++
	m.all[key] = bytes.Clone(value)
	return nil
}

func (m *memoryStore) Delete(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, key)
	return m.err
}

// serveMemory starts a server on [::1] in front of h and stops it with the test.
func serveMemory(t testing.TB, h Handler, o Options) (*Server, string) {
	t.Helper()
	o.Addrs = []string{"[::1]:0"}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	s, err := New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	return s, s.Addrs()[0].String()
}

// wire is a client made of bytes.
type wire struct {
	t    testing.TB
	conn net.Conn
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c}
}

// bytesOf reads hexadecimal with spaces, and 'text' in quotes.
func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " \n\t") {
		if s[0] == '\'' {
			end := strings.IndexByte(s[1:], '\'')
			if end < 0 {
				t.Fatalf("no closing quote in %q", s)
			}
			b = append(b, s[1:1+end]...)
			s = s[2+end:]
			continue
		}
		var v byte
		if _, err := fmt.Sscanf(s[:2], "%02x", &v); err != nil {
			t.Fatalf("%q is not hexadecimal: %v", s, err)
		}
		b = append(b, v)
		s = s[2:]
	}
	return b
}

func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := w.conn.Write(bytesOf(w.t, s)); err != nil {
		w.t.Fatal(err)
	}
}

// want reads exactly these bytes.
func (w *wire) want(s string) {
	w.t.Helper()
	want := bytesOf(w.t, s)
	got := make([]byte, len(want))
	w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := ioReadFull(w.conn, got)
	if err != nil || !bytes.Equal(got, want) {
		w.t.Fatalf("got % x (%v), want % x", got[:n], err, want)
	}
}

// wantPacket reads one packet and returns it whole.
func (w *wire) wantPacket(first byte) []byte {
	w.t.Helper()
	p, err := w.packet()
	if err != nil {
		w.t.Fatalf("waiting for a packet %02x: %v", first, err)
	}
	if p[0] != first {
		w.t.Fatalf("got packet % x, want one beginning with %02x", p, first)
	}
	return p
}

func (w *wire) packet() ([]byte, error) {
	w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 2, 64)
	if _, err := ioReadFull(w.conn, b); err != nil {
		return b, err
	}
	for {
		_, head, size, werr := fixedHeader(b)
		if werr != nil {
			return b, werr
		}
		need := size
		if size == 0 {
			need = len(b) + 1
		} else if len(b) >= size {
			return b, nil
		}
		_ = head
		more := make([]byte, need-len(b))
		if _, err := ioReadFull(w.conn, more); err != nil {
			return b, err
		}
		b = append(b, more...)
	}
}

// wantClosed reads to the end of the connection and wants nothing before it.
func (w *wire) wantClosed() {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 256)
	n, err := w.conn.Read(b)
	if n > 0 || isTimeout(err) {
		w.t.Fatalf("got % x (%v), want the connection closed", b[:n], err)
	}
}

// wantSilence proves that nothing came: a PINGREQ is answered by nothing but
// its PINGRESP.
func (w *wire) wantSilence() {
	w.t.Helper()
	w.send("c0 00")
	w.want("d0 00")
}

func ioReadFull(c net.Conn, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = c.Read(b[n:])
		n += k
	}
	if n == len(b) {
		err = nil
	}
	return n, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// connect311 and connect5 connect as a device: user name and client identifier
// are id.
func connect311(t testing.TB, addr, id string, clean bool) *wire {
	t.Helper()
	w := dial(t, addr)
	w.connect311(id, clean)
	w.wantPacket(0x20)
	return w
}

func (w *wire) connect311(id string, clean bool) {
	flags := byte(0x80)
	if clean {
		flags |= 2
	}
	b := []byte{0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 60}
	b = appendText(appendText(b, id), id)
	w.write(appendPacket(nil, 0x10, b))
}

// connect5 asks with these properties, in hexadecimal.
func (w *wire) connect5(id string, clean bool, properties string) {
	flags := byte(0x80)
	if clean {
		flags |= 2
	}
	p := bytesOf(w.t, properties)
	b := []byte{0, 4, 'M', 'Q', 'T', 'T', 5, flags, 0, 60}
	b = append(appendVarint(b, len(p)), p...)
	b = appendText(appendText(b, id), id)
	w.write(appendPacket(nil, 0x10, b))
}

func connect5(t testing.TB, addr, id string, clean bool, properties string) *wire {
	t.Helper()
	w := dial(t, addr)
	w.connect5(id, clean, properties)
	w.wantPacket(0x20)
	return w
}

func (w *wire) write(b []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// publish writes a PUBLISH of topic 't'.
func (w *wire) publish(version, qos byte, id uint16, payload string) {
	w.t.Helper()
	w.write(appendPublish(nil, version, outgoing{m: &Message{Topic: "t", Payload: []byte(payload)}, qos: qos, id: id}, time.Now()))
}

var (
	errDisk    = devices.Refuse(devices.ReasonUnavailable, "disk full")
	errUnknown = devices.Refuse(devices.ReasonUnknownDevice, "")
)
