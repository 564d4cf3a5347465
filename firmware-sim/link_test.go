package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	v3 "github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	coapNet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"

	"vonglau/devices"
)

// arrival is one PUBLISH as it came over the wire.
type arrival struct {
	topic   string
	payload string
	id      uint16
	dup     bool
	retain  bool
	kind    string // its content type, MQTT 5 only
}

// acceptor is a small MQTT server that answers as a test tells it to.
type acceptor struct {
	t       *testing.T
	l       net.Listener
	version byte // 4 or 5
	// answer says what to do with the n-th PUBLISH of a device's telemetry:
	// "ack", "hold" (say nothing), "cut" (end the connection) or, for MQTT 5, a
	// reason code as "0x97".
	answer func(n int, a arrival) string

	mu       sync.Mutex
	arrivals []arrival
	statuses []arrival
	wills    []string
	conns    []net.Conn
	sessions map[string]bool
	wg       sync.WaitGroup
}

func accept(t *testing.T, version byte, answer func(int, arrival) string) *acceptor {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &acceptor{t: t, l: l, version: version, answer: answer, sessions: make(map[string]bool)}
	a.wg.Add(1)
	go a.serve()
	t.Cleanup(func() {
		l.Close()
		a.mu.Lock()
		for _, c := range a.conns {
			c.Close()
		}
		a.mu.Unlock()
		a.wg.Wait()
	})
	return a
}

func (a *acceptor) addr() string { return a.l.Addr().String() }

func (a *acceptor) serve() {
	defer a.wg.Done()
	for {
		c, err := a.l.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		a.conns = append(a.conns, c)
		a.mu.Unlock()
		a.wg.Add(1)
		go a.talk(c)
	}
}

func (a *acceptor) talk(c net.Conn) {
	defer a.wg.Done()
	defer c.Close()
	if a.version == 5 {
		a.talk5(c)
	} else {
		a.talk3(c)
	}
}

// decide records an arrival and gives the answer to it.
func (a *acceptor) decide(x arrival) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(x.topic, "/status") {
		a.statuses = append(a.statuses, x)
		return "ack"
	}
	a.arrivals = append(a.arrivals, x)
	if a.answer == nil {
		return "ack"
	}
	return a.answer(len(a.arrivals)-1, x)
}

// session notes a client and says whether it was here before.
func (a *acceptor) session(id, will string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	had := a.sessions[id]
	a.sessions[id] = true
	a.wills = append(a.wills, will)
	return had
}

func (a *acceptor) talk3(c net.Conn) {
	for {
		p, err := v3.ReadPacket(c)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *v3.ConnectPacket:
			if p.Username != p.ClientIdentifier || p.CleanSession || p.ProtocolVersion != 4 {
				a.t.Errorf("CONNECT: user %q, client %q, clean %v, version %d", p.Username, p.ClientIdentifier, p.CleanSession, p.ProtocolVersion)
			}
			r := v3.NewControlPacket(v3.Connack).(*v3.ConnackPacket)
			r.SessionPresent = a.session(p.ClientIdentifier, fmt.Sprintf("%s %s %v", p.WillTopic, p.WillMessage, p.WillRetain))
			if string(p.Password) == "wrong" {
				r.ReturnCode = v3.ErrRefusedBadUsernameOrPassword
				r.SessionPresent = false
			}
			if r.Write(c) != nil {
				return
			}
		case *v3.PublishPacket:
			switch a.decide(arrival{p.TopicName, string(p.Payload), p.MessageID, p.Dup, p.Retain, ""}) {
			case "ack":
				r := v3.NewControlPacket(v3.Puback).(*v3.PubackPacket)
				r.MessageID = p.MessageID
				if r.Write(c) != nil {
					return
				}
			case "cut":
				return
			}
		case *v3.PingreqPacket:
			if v3.NewControlPacket(v3.Pingresp).Write(c) != nil {
				return
			}
		case *v3.DisconnectPacket:
			return
		}
	}
}

func (a *acceptor) talk5(c net.Conn) {
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		switch x := p.Content.(type) {
		case *packets.Connect:
			r := packets.NewControlPacket(packets.CONNACK)
			r.Content.(*packets.Connack).SessionPresent = a.session(x.ClientID, fmt.Sprintf("%s %s %v", x.WillTopic, x.WillMessage, x.WillRetain))
			if _, err := r.WriteTo(c); err != nil {
				return
			}
		case *packets.Publish:
			verb := a.decide(arrival{x.Topic, string(x.Payload), x.PacketID, x.Duplicate, x.Retain, x.Properties.ContentType})
			var code byte
			switch verb {
			case "hold":
				continue
			case "cut":
				return
			case "ack":
			default:
				if _, err := fmt.Sscanf(verb, "0x%x", &code); err != nil {
					a.t.Errorf("answer %q", verb)
				}
			}
			r := packets.NewControlPacket(packets.PUBACK)
			r.Content.(*packets.Puback).PacketID = x.PacketID
			r.Content.(*packets.Puback).ReasonCode = code
			if _, err := r.WriteTo(c); err != nil {
				return
			}
		case *packets.Pingreq:
			if _, err := packets.NewControlPacket(packets.PINGRESP).WriteTo(c); err != nil {
				return
			}
		case *packets.Disconnect:
			return
		}
	}
}

func (a *acceptor) seen() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.arrivals)
}

// list is a source with a fixed number of readings, one at each asking.
type list struct {
	mu   sync.Mutex
	left int
	n    int
	away bool // not reachable
	dark bool
}

func (l *list) measure(now time.Time, c *clock) (reading, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return reading{}, false
	}
	l.left--
	l.n++
	return reading{taken: noon.Add(time.Duration(l.n) * time.Second), values: []devices.Value{{Quantity: "temperature", Number: float64(l.n)}}}, true
}

func (l *list) powered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dark
}

func (l *list) reachable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.away
}

// bench is one device on a test's bench.
type bench struct {
	*device
	src   *list
	stats *Stats
	mu    sync.Mutex
	got   []float64 // values acknowledged, in order
	stop  context.CancelFunc
	done  chan struct{}
}

func (b *bench) acknowledged() []float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// start puts a device on the bench that measures n readings, one every few
// milliseconds, over the link.
func start(t *testing.T, n int, every time.Duration, mk func(*wire) link, change func(*device)) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &wire{ctx: ctx, id: "dev-1", token: "secret", format: devices.FormatJSON, keepAlive: 30 * time.Second, depth: 4}
	w.answers = make(chan answer, 2*w.depth+8)
	b := &bench{src: &list{left: n}, stats: new(Stats), stop: cancel, done: make(chan struct{})}
	b.device = &device{
		firmware: firmware{id: w.id, format: w.format}, source: b.src, link: mk(w), wire: w,
		rng: newRand(1), every: every, stats: b.stats, capacity: 100,
		backoff: backoff{first: 5 * time.Millisecond, most: 50 * time.Millisecond},
		acked: func(_ devices.ID, r reading) {
			b.mu.Lock()
			b.got = append(b.got, r.values[0].Number)
			b.mu.Unlock()
		},
	}
	if change != nil {
		change(b.device)
	}
	go func() {
		defer close(b.done)
		b.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-b.done
	})
	return b
}

func (b *bench) end() {
	b.stop()
	<-b.done
}

// eventually waits for something that sockets do in their own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("in ten seconds not: %s", what)
}

func body(n int) string {
	return fmt.Sprintf(`{"ts":%d,"temperature":%d}`, noon.Add(time.Duration(n)*time.Second).UnixMilli(), n)
}

func TestLostAckBringsTheSameReportAgain(t *testing.T) {
	for version, mk := range map[byte]func(*wire) link{4: newMQTT3, 5: newMQTT5} {
		t.Run(fmt.Sprintf("MQTT %d", version), func(t *testing.T) {
			// The second report is taken and the connection cut before its ack.
			a := accept(t, version, func(n int, _ arrival) string {
				if n == 1 {
					return "cut"
				}
				return "ack"
			})
			b := start(t, 3, 5*time.Millisecond, func(w *wire) link { w.addr = a.addr(); w.depth = 1; return mk(w) }, func(d *device) { d.single = true })
			eventually(t, "three readings acknowledged", func() bool { return b.stats.Acked.Load() == 3 })
			b.end()
			got := a.seen()
			if len(got) != 4 {
				t.Fatalf("%d reports arrived, want 4: %+v", len(got), got)
			}
			if got[0].dup || got[1].dup || !got[2].dup || got[3].dup {
				t.Errorf("DUP is %v %v %v %v, want only the third", got[0].dup, got[1].dup, got[2].dup, got[3].dup)
			}
			if got[2].payload != got[1].payload || got[2].id != got[1].id {
				t.Errorf("again came %d %s, first was %d %s", got[2].id, got[2].payload, got[1].id, got[1].payload)
			}
			for i, want := range []string{body(1), body(2), body(2), body(3)} {
				if got[i].payload != want || got[i].topic != "devices/dev-1/telemetry" {
					t.Errorf("report %d is %s %s, want %s", i, got[i].topic, got[i].payload, want)
				}
			}
			if want := []float64{1, 2, 3}; !slices.Equal(b.acknowledged(), want) {
				t.Errorf("acknowledged %v, want %v", b.acknowledged(), want)
			}
			if version == 5 && got[0].kind != "application/json" {
				t.Errorf("content type %q", got[0].kind)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if want := "devices/dev-1/status offline true"; a.wills[0] != want {
				t.Errorf("will %q, want %q", a.wills[0], want)
			}
			last := a.statuses[len(a.statuses)-1]
			if a.statuses[0].payload != "online" || last.payload != "offline" || !last.retain {
				t.Errorf("statuses %+v, want online first and offline last, retained", a.statuses)
			}
		})
	}
}

func TestDeafLinkLosesTheAckAndNotTheReading(t *testing.T) {
	for version, mk := range map[byte]func(*wire) link{4: newMQTT3, 5: newMQTT5} {
		t.Run(fmt.Sprintf("MQTT %d", version), func(t *testing.T) {
			a := accept(t, version, nil)
			b := start(t, 20, 5*time.Millisecond, func(w *wire) link { w.addr = a.addr(); return mk(w) }, func(d *device) { d.faults.LostAcks = 0.4 })
			eventually(t, "twenty readings acknowledged", func() bool { return b.stats.Acked.Load() == 20 })
			b.end()
			dups := 0
			for _, x := range a.seen() {
				if x.dup {
					dups++
				}
			}
			if dups == 0 || b.stats.Lost.Load() == 0 {
				t.Errorf("%d duplicates after %d lost links, want some", dups, b.stats.Lost.Load())
			}
			got := b.acknowledged()
			slices.Sort(got)
			if len(slices.Compact(got)) != 20 {
				t.Errorf("acknowledged %v, want each of 20 once", got)
			}
		})
	}
}

func TestWithheldAcksKeepTheReadings(t *testing.T) {
	for version, mk := range map[byte]func(*wire) link{4: newMQTT3, 5: newMQTT5} {
		t.Run(fmt.Sprintf("MQTT %d", version), func(t *testing.T) {
			var mu sync.Mutex
			verb := "hold"
			a := accept(t, version, func(int, arrival) string {
				mu.Lock()
				defer mu.Unlock()
				return verb
			})
			b := start(t, 10, 2*time.Millisecond, func(w *wire) link { w.addr = a.addr(); return mk(w) }, func(d *device) { d.single = true })
			eventually(t, "ten readings made and the window full", func() bool {
				return b.stats.Measured.Load() == 10 && len(a.seen()) == 4
			})
			if n := b.stats.Acked.Load(); n != 0 {
				t.Fatalf("%d readings count as acknowledged without an ack", n)
			}
			// The server comes back without the session: MQTT 5 knows and sends
			// the reports as new ones.
			a.mu.Lock()
			clear(a.sessions)
			for _, c := range a.conns {
				c.Close()
			}
			a.mu.Unlock()
			mu.Lock()
			verb = "ack"
			mu.Unlock()
			eventually(t, "ten readings acknowledged", func() bool { return b.stats.Acked.Load() == 10 })
			if d := b.stats.Dropped.Load(); d != 0 {
				t.Errorf("%d readings were dropped", d)
			}
		})
	}
}

func TestPoisonIsGivenUp(t *testing.T) {
	// A server that cannot stand reading 2 and cuts the line each time.
	a := accept(t, 4, func(_ int, x arrival) string {
		if x.payload == body(2) {
			return "cut"
		}
		return "ack"
	})
	b := start(t, 3, 2*time.Millisecond, func(w *wire) link { w.addr = a.addr(); w.depth = 1; return newMQTT3(w) }, func(d *device) { d.single = true })
	eventually(t, "readings 1 and 3 acknowledged and 2 given up", func() bool {
		return b.stats.Acked.Load() == 2 && b.stats.Refused.Load() == 1
	})
	if want := []float64{1, 3}; !slices.Equal(b.acknowledged(), want) {
		t.Errorf("acknowledged %v, want %v", b.acknowledged(), want)
	}
}

func TestMQTT5ReasonCodes(t *testing.T) {
	a := accept(t, 5, func(n int, x arrival) string {
		switch n {
		case 0:
			return "0x97" // quota exceeded: come back
		case 1:
			return "ack"
		case 2:
			return "0x99" // payload format invalid: never
		}
		return "ack"
	})
	b := start(t, 3, 5*time.Millisecond, func(w *wire) link { w.addr = a.addr(); w.depth = 1; return newMQTT5(w) }, func(d *device) { d.single = true })
	eventually(t, "two acknowledged, one refused", func() bool { return b.stats.Acked.Load() == 2 && b.stats.Refused.Load() == 1 })
	if got := b.stats.Repeated.Load(); got != 1 {
		t.Errorf("%d readings were sent again, want the one the server had no room for", got)
	}
	if want := []float64{1, 3}; !slices.Equal(b.acknowledged(), want) {
		t.Errorf("acknowledged %v, want %v", b.acknowledged(), want)
	}
}

func TestRebootForgetsTheSessionAndKeepsTheReadings(t *testing.T) {
	a := accept(t, 4, func(n int, _ arrival) string {
		if n < 4 {
			return "hold"
		}
		return "ack"
	})
	b := start(t, 4, time.Millisecond, func(w *wire) link { w.addr = a.addr(); return newMQTT3(w) }, func(d *device) { d.single = true })
	eventually(t, "four reports out", func() bool { return len(a.seen()) == 4 })
	b.src.mu.Lock()
	b.src.dark = true
	b.src.mu.Unlock()
	eventually(t, "the device dark", func() bool { return b.stats.Connected.Load() == 0 })
	b.src.mu.Lock()
	b.src.dark = false
	b.src.mu.Unlock()
	eventually(t, "four acknowledged", func() bool { return b.stats.Acked.Load() == 4 })
	for i, x := range a.seen()[4:] {
		if x.dup {
			t.Errorf("report %d after the reboot has DUP: the session survived", i)
		}
	}
}

func TestWrongTokenIsNotAReasonToHurry(t *testing.T) {
	a := accept(t, 4, nil)
	b := start(t, 1, time.Millisecond, func(w *wire) link { w.addr = a.addr(); w.token = "wrong"; return newMQTT3(w) }, nil)
	eventually(t, "three refused connections", func() bool { return b.stats.DialErrors.Load() >= 3 })
	if n := b.stats.Connected.Load(); n != 0 {
		t.Errorf("%d devices are connected with a wrong token", n)
	}
	if e := b.stats.LastError(); !contain(e, "dev-1") {
		t.Errorf("the error %q does not name the device", e)
	}
}

// coapServer answers POSTs as a test tells it to.
func coapServer(t *testing.T, answer func(n int, payload string, q []string, format message.MediaType) (codes.Code, uint32)) string {
	t.Helper()
	return coapServerAt(t, func(path string) {
		if path != "/devices/dev-1/telemetry" {
			t.Errorf("path %q", path)
		}
	}, answer)
}

// coapServerAt shows the paths it is asked for as well.
func coapServerAt(t *testing.T, path func(string), answer func(n int, payload string, q []string, format message.MediaType) (codes.Code, uint32)) string {
	t.Helper()
	l, err := coapNet.NewListenUDP("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	r := mux.NewRouter()
	r.DefaultHandleFunc(func(w mux.ResponseWriter, m *mux.Message) {
		body, _ := m.ReadBody()
		q, _ := m.Options().Queries()
		f, _ := m.Options().ContentFormat()
		if p, err := m.Options().Path(); err == nil && path != nil {
			path(p)
		}
		mu.Lock()
		code, age := answer(n, string(body), q, f)
		n++
		mu.Unlock()
		var opts []message.Option
		if age > 0 {
			b := make([]byte, 4)
			k, _ := message.EncodeUint32(b, age)
			opts = append(opts, message.Option{ID: message.MaxAge, Value: b[:k]})
		}
		if err := w.SetResponse(code, message.TextPlain, nil, opts...); err != nil {
			t.Error(err)
		}
	})
	timers := newCoAPShared() // go-coap's own outlive the server
	s := udp.NewServer(options.WithMux(r), options.WithErrors(func(error) {}), options.WithPeriodicRunner(timers.runner))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		l.Close()
		<-done
		timers.close()
	})
	return l.LocalAddr().String()
}

func TestCoAP(t *testing.T) {
	var mu sync.Mutex
	var got []string
	addr := coapServer(t, func(n int, p string, q []string, f message.MediaType) (codes.Code, uint32) {
		mu.Lock()
		got = append(got, p)
		mu.Unlock()
		if !slices.Equal(q, []string{"k=secret"}) || f != message.AppJSON {
			t.Errorf("query %v, format %v", q, f)
		}
		switch n {
		case 1:
			return codes.ServiceUnavailable, 1
		case 3:
			return codes.BadRequest, 0
		}
		return codes.Changed, 0
	})
	shared := newCoAPShared()
	defer shared.close()
	began := time.Now()
	b := start(t, 4, 2*time.Millisecond, func(w *wire) link { w.addr = addr; return newCoAP(w, shared) }, func(d *device) { d.single = true })
	eventually(t, "three acknowledged, one refused", func() bool { return b.stats.Acked.Load() == 3 && b.stats.Refused.Load() == 1 })
	b.end()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{body(1), body(2), body(2), body(3), body(4)}; !slices.Equal(got, want) {
		t.Errorf("arrived\n %v, want\n %v", got, want)
	}
	if d := time.Since(began); d < time.Second {
		t.Errorf("all was over after %v: Max-Age 1 was not honoured", d)
	}
}

func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	var got []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(p))
		if r.URL.Path != "/v1/devices/dev-1/telemetry" || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		switch len(got) {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	s.Start()
	defer s.Close()
	client := newHTTPClient(4)
	defer client.CloseIdleConnections()
	b := start(t, 3, 2*time.Millisecond, func(w *wire) link { w.depth = 1; return newHTTP(w, client, s.URL) }, func(d *device) { d.single = true })
	eventually(t, "two acknowledged, one refused", func() bool { return b.stats.Acked.Load() == 2 && b.stats.Refused.Load() == 1 })
	b.end()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{body(1), body(1), body(2), body(3)}; !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v", got, want)
	}
}

// paper is a link without a network, for tests in which time is false.
type paper struct {
	*wire
	openings []time.Time
	opens    func(n int) error
	sent     []*report
	gone     chan struct{}
}

func (p *paper) open(context.Context) error {
	p.openings = append(p.openings, time.Now())
	if err := p.opens(len(p.openings)); err != nil {
		return err
	}
	p.gone = make(chan struct{})
	return nil
}
func (p *paper) send(r *report)        { p.sent = append(p.sent, r) }
func (p *paper) down() <-chan struct{} { return p.gone }
func (p *paper) close(bool)            {}
func (p *paper) forget()               {}
func (p *paper) window() int           { return p.depth }

func TestReconnectsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *paper
		b := start(t, 0, time.Second, func(w *wire) link {
			l = &paper{wire: w, opens: func(n int) error {
				if n <= 10 {
					return errors.New("connection refused")
				}
				return nil
			}}
			return l
		}, func(d *device) { d.backoff = backoff{first: time.Second, most: 30 * time.Second} })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		b.end()
		if len(l.openings) != 11 {
			t.Fatalf("in ten minutes %d attempts, want 11", len(l.openings))
		}
		for i := 1; i < 11; i++ {
			most := min(time.Second<<(i-1), 30*time.Second)
			if d := l.openings[i].Sub(l.openings[i-1]); d < most/2 || d > most+time.Second {
				t.Errorf("attempt %d came %v after the one before, want %v to %v", i+1, d, most/2, most)
			}
		}
	})
}

func TestFullMemoryDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *paper
		var up atomic.Bool
		b := start(t, 1000, time.Second, func(w *wire) link {
			l = &paper{wire: w, opens: func(int) error {
				if !up.Load() {
					return errors.New("no route")
				}
				return nil
			}}
			return l
		}, func(d *device) { d.backoff = backoff{first: time.Second, most: 30 * time.Second} })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		measured, dropped := b.stats.Measured.Load(), b.stats.Dropped.Load()
		if want := measured - 100; dropped != want {
			t.Errorf("of %d readings %d were dropped, want %d: the memory holds 100", measured, dropped, want)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.end()
		if len(l.sent) == 0 || len(l.sent[0].readings) != packSize {
			t.Fatalf("after the outage came %d reports, the first with %d readings; want packs of %d", len(l.sent), len(l.sent[0].readings), packSize)
		}
		if !bytes.HasPrefix(l.sent[0].payload, []byte(`[{"ts":`)) {
			t.Errorf("a pack is %.40s", l.sent[0].payload)
		}
	})
}

func TestSilentServerIsTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *paper
		b := start(t, 1, time.Second, func(w *wire) link {
			l = &paper{wire: w, opens: func(int) error { return nil }}
			return l
		}, nil)
		time.Sleep(ackPatience + 10*time.Second)
		synctest.Wait()
		b.end()
		if len(l.openings) < 2 {
			t.Errorf("after %v without an answer the device opened %d links, want a second one", ackPatience, len(l.openings))
		}
	})
}

// A device that cannot do anything waits: a loop that spun would keep the false
// time from moving, and the test from ending.
func TestIdleDevicesWait(t *testing.T) {
	for name, idle := range map[string]func(*list){
		"without current":   func(l *list) { l.dark = true },
		"without a network": func(l *list) { l.away = true },
		"with no readings":  func(*list) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l *paper
				b := start(t, 0, time.Second, func(w *wire) link {
					l = &paper{wire: w, opens: func(int) error { return nil }}
					return l
				}, nil)
				time.Sleep(time.Minute)
				b.src.mu.Lock()
				idle(b.src)
				b.src.mu.Unlock()
				time.Sleep(time.Hour)
				b.src.mu.Lock()
				b.src.dark, b.src.away, b.src.left = false, false, 1
				b.src.mu.Unlock()
				time.Sleep(time.Minute)
				synctest.Wait()
				b.end()
				if len(l.sent) != 1 {
					t.Errorf("after an hour of waiting %d reports were sent, want one", len(l.sent))
				}
			})
		})
	}
}
