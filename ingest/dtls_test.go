package ingest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
	"golang.org/x/sys/unix"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// openTrust keeps keys unsealed, and has a certificate of nobody.
type openTrust struct{ certificate tls.Certificate }

func newOpenTrust(t *testing.T) *openTrust {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &openTrust{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

func (o *openTrust) Verify([]*x509.Certificate, time.Time) (*devices.Certificate, error) {
	return nil, devices.Refuse(devices.ReasonBadCredential, "no authority")
}

func (o *openTrust) Key(_ string, c *devices.Credential) ([]byte, error) {
	if c == nil {
		return []byte("nobody has this key, nobody, not one"), nil
	}
	return c.Secret, nil
}

func (o *openTrust) ServerCertificate() *tls.Certificate { return &o.certificate }

// instantDisk is a disk without latency.
type instantDisk struct{}

func (instantDisk) Append(_ journal.Entry, done func(uint64, error)) { done(1, nil) }

var deviceKey = []byte("an honest key of an honest device")

// openCoAP serves both doors of CoAP to one device, "aq-1".
func openCoAP(t *testing.T, plain, secure string) *CoAP {
	t.Helper()
	catalogue := devices.DefaultCatalogue()
	register, err := devices.OpenRegister(t.Context(), memoryStore{}, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := register.Add(t.Context(), devices.Device{
		ID: "aq-1", Profile: "air-quality", At: devices.Position{Lon: 106.168, Lat: 20.434},
		Credentials: []devices.Credential{{ID: "1", Kind: devices.CredentialPSK, Identity: "aq-1", Secret: deviceKey}},
	}); err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(Options{
		Journal: instantDisk{}, Register: register, Catalogue: catalogue, Places: dayPlacer{}, Trust: newOpenTrust(t),
		Window: devices.Window{Past: time.Hour, Future: time.Minute, Late: time.Minute},
		Limits: devices.Limits{Bytes: 64 << 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCoAP(gate, plain, CoAPOptions{Secure: secure})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(c.Stop)
	return c
}

// movingSocket is the device's end: a socket that can be changed for another, as
// a NAT or a renumbering does.
type movingSocket struct {
	to *net.UDPAddr

	mu     sync.Mutex
	socket *net.UDPConn
}

func (m *movingSocket) move(t *testing.T, from *net.UDPAddr) {
	t.Helper()
	// Connected: what does not come from the address that was asked is not seen.
	socket, err := net.DialUDP("udp", from, m.to)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	old := m.socket
	m.socket = socket
	m.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	t.Cleanup(func() { _ = socket.Close() })
}

func (m *movingSocket) current() *net.UDPConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.socket
}

func (m *movingSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		socket := m.current()
		n, err := socket.Read(b)
		if err != nil && socket != m.current() {
			continue
		}
		return n, m.to, err
	}
}
func (m *movingSocket) WriteTo(b []byte, _ net.Addr) (int, error) { return m.current().Write(b) }
func (m *movingSocket) Close() error                              { return m.current().Close() }
func (m *movingSocket) LocalAddr() net.Addr                       { return m.current().LocalAddr() }
func (m *movingSocket) SetDeadline(t time.Time) error             { return m.current().SetDeadline(t) }
func (m *movingSocket) SetReadDeadline(t time.Time) error         { return m.current().SetReadDeadline(t) }
func (m *movingSocket) SetWriteDeadline(t time.Time) error        { return m.current().SetWriteDeadline(t) }

func shake(t *testing.T, socket *movingSocket, options ...dtls.ClientOption) (*dtls.Conn, error) {
	t.Helper()
	all := append([]dtls.ClientOption{
		dtls.WithPSK(func([]byte) ([]byte, error) { return deviceKey, nil }), dtls.WithPSKIdentityHint([]byte("aq-1")),
		dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256), dtls.WithLoggerFactory(silent),
	}, options...)
	c, err := dtls.ClientWithOptions(socket, socket.to, all...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c, c.HandshakeContext(ctx)
}

// request is a CoAP message as bytes.
func request(t *testing.T, id int32, code codes.Code, path, body string) []byte {
	t.Helper()
	m := pool.New(0, 0).AcquireMessage(t.Context())
	m.SetType(message.Confirmable)
	m.SetMessageID(id)
	m.SetToken(message.Token{byte(id)})
	m.SetCode(code)
	if err := m.SetPath(path); err != nil {
		t.Fatal(err)
	}
	if body != "" {
		m.SetContentFormat(message.AppJSON)
	}
	raw, err := m.MarshalWithEncoder(coder.DefaultCoder)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		raw = append(append(raw, 0xff), body...)
	}
	return raw
}

// ask posts a reading and gives the answer's code.
func ask(t *testing.T, c net.Conn, id int32, patience time.Duration) (codes.Code, error) {
	t.Helper()
	if _, err := c.Write(request(t, id, codes.POST, "/t", `{"pm25":12}`)); err != nil {
		return 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		return 0, err
	}
	if n < 2 {
		return 0, fmt.Errorf("%d bytes are no answer", n)
	}
	return codes.Code(b[1]), nil
}

// A device whose address changes goes on when it has a connection ID, and is not
// heard without one (RFC 9146).
func TestConnectionIDOutlivesAnAddress(t *testing.T) {
	c := openCoAP(t, "", "[::1]:0")
	for _, with := range []bool{true, false} {
		t.Run(fmt.Sprint(with), func(t *testing.T) {
			socket := &movingSocket{to: c.SecureAddr().(*net.UDPAddr)}
			socket.move(t, nil)
			var options []dtls.ClientOption
			if with {
				options = append(options, dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
			}
			conn, err := shake(t, socket, options...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if code, err := ask(t, conn, 1, 5*time.Second); err != nil || code != codes.Changed {
				t.Fatalf("before: %v, %v", code, err)
			}
			socket.move(t, nil)
			patience := 5 * time.Second
			if !with {
				patience = 300 * time.Millisecond
			}
			code, err := ask(t, conn, 2, patience)
			if got := err == nil && code == codes.Changed; got != with {
				t.Errorf("after the address has changed: %v, %v", code, err)
			}
		})
	}
}

// A credential that is taken away ends the association it has proven, with a
// good-bye (RFC 5246 section 7.2.1), and no other of the same device.
func TestWithdrawnKeyEndsItsAssociation(t *testing.T) {
	c := openCoAP(t, "", "[::1]:0")
	register := c.secure.gate.opt.Register
	const second = "aq-1:second"
	keys := map[string][]byte{"aq-1": deviceKey, second: []byte("another key of an honest device")}
	err := register.Update(t.Context(), "aq-1", func(d *devices.Device) error {
		return d.Grant(devices.Credential{ID: "2", Kind: devices.CredentialPSK, Identity: second, Secret: keys[second]}, -1, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	open := func(identity string) (*dtls.Conn, error) {
		socket := &movingSocket{to: c.SecureAddr().(*net.UDPAddr)}
		socket.move(t, nil)
		conn, err := shake(t, socket, dtls.WithPSKIdentityHint([]byte(identity)), dtls.WithPSK(func([]byte) ([]byte, error) { return keys[identity], nil }))
		t.Cleanup(func() { _ = conn.Close() })
		return conn, err
	}
	conns := map[string]*dtls.Conn{}
	for identity := range keys {
		conn, err := open(identity)
		if err != nil {
			t.Fatalf("%s: %v", identity, err)
		}
		if code, err := ask(t, conn, 1, 5*time.Second); err != nil || code != codes.Changed {
			t.Fatalf("%s, before: %v, %v", identity, code, err)
		}
		conns[identity] = conn
	}

	began := time.Now()
	if err := register.Update(t.Context(), "aq-1", func(d *devices.Device) error { return d.Withdraw("1", began) }); err != nil {
		t.Fatal(err)
	}
	if err := conns["aq-1"].SetReadDeadline(began.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// Nothing was asked: what ends the wait is the server's own word.
	if n, err := conns["aq-1"].Read(make([]byte, 2048)); !errors.Is(err, io.EOF) {
		t.Fatalf("after its key was withdrawn the device reads %d bytes, %v; want the end", n, err)
	}
	t.Logf("the association has ended %s after the key was withdrawn", time.Since(began).Round(time.Microsecond))
	if code, err := ask(t, conns["aq-1"], 2, 5*time.Second); err == nil {
		t.Errorf("the ended association is answered %v", code)
	}
	if _, err := open("aq-1"); err == nil {
		t.Error("the withdrawn key opens a new association")
	}
	if code, err := ask(t, conns[second], 2, 5*time.Second); err != nil || code != codes.Changed {
		t.Errorf("the device's other key: %v, %v", code, err)
	}
}

// A device that loses its power comes back with the same port, because it has
// only one, and without a word of good-bye (RFC 6347 section 4.2.8).
func TestRestartFromTheSamePort(t *testing.T) {
	c := openCoAP(t, "", "[::1]:0")
	to := c.SecureAddr().(*net.UDPAddr)
	first := &movingSocket{to: to}
	first.move(t, nil)
	conn, err := shake(t, first)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := ask(t, conn, 1, 5*time.Second); err != nil || code != codes.Changed {
		t.Fatalf("before: %v, %v", code, err)
	}
	port := first.LocalAddr().(*net.UDPAddr)
	_ = first.Close() // the library's good-bye has no way out any more
	again := &movingSocket{to: to}
	again.move(t, port)
	conn2, err := shake(t, again)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn2.Close() }()
	if code, err := ask(t, conn2, 1, 5*time.Second); err != nil || code != codes.Changed {
		t.Errorf("after: %v, %v", code, err)
	}
	c.secure.datagrams.mu.Lock()
	defer c.secure.datagrams.mu.Unlock()
	for _, list := range c.secure.datagrams.paths {
		if len(list) != 1 {
			t.Errorf("%d associations on one path", len(list))
		}
	}
}

// Whoever only knocks takes a bounded room, and none of it for long.
func TestHandshakesAreBounded(t *testing.T) {
	c := openCoAP(t, "", "[::1]:0")
	before := runtime.NumGoroutine()
	hello := clientHello(t)
	for range 4 * maxHandshakesPerSite {
		knock, err := net.DialUDP("udp", nil, c.SecureAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := knock.Write(hello); err != nil {
			t.Fatal(err)
		}
		_ = knock.Close()
	}
	waiting := func() int {
		c.secure.mu.Lock()
		defer c.secure.mu.Unlock()
		return len(c.secure.pending)
	}
	deadline := time.Now().Add(5 * time.Second)
	for waiting() < maxHandshakesPerSite && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := waiting(); n != maxHandshakesPerSite {
		t.Errorf("%d handshakes of one site are under way, want %d", n, maxHandshakesPerSite)
	}
	t.Logf("%d goroutines for %d lone ClientHellos", runtime.NumGoroutine()-before, 4*maxHandshakesPerSite)
	c.Stop()
	if n := waiting(); n != 0 {
		t.Errorf("%d handshakes outlive the door", n)
	}
}

// clientHello is the first datagram of a device.
func clientHello(t *testing.T) []byte {
	t.Helper()
	l, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	socket := &movingSocket{to: l.LocalAddr().(*net.UDPAddr)}
	socket.move(t, nil)
	conn, err := dtls.ClientWithOptions(socket, socket.to, dtls.WithPSK(func([]byte) ([]byte, error) { return deviceKey, nil }),
		dtls.WithPSKIdentityHint([]byte("aq-1")), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256), dtls.WithLoggerFactory(silent))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	var handshake sync.WaitGroup
	handshake.Go(func() { _ = conn.HandshakeContext(ctx) })
	b := make([]byte, 2048)
	n, _, err := l.ReadFrom(b)
	cancel()
	handshake.Wait()
	_ = conn.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// A host with two addresses answers from the one that was asked, at both doors;
// left alone, the kernel would choose the one nearest to the device.
func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network namespace with two prefixes")
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("needs the program ip")
	}
	// The thread is not given back: it ends with this goroutine and takes the
	// namespace with it. The sockets opened here stay in it.
	var refused error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			refused = err
			return
		}
		for _, args := range [][]string{
			{"link", "set", "lo", "up"},
			{"addr", "add", "2001:db8:1::1/128", "dev", "lo", "nodad"},
			{"addr", "add", "2001:db8:2::1/128", "dev", "lo", "nodad"},
		} {
			if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
				t.Errorf("ip %v: %v\n%s", args, err, out)
				return
			}
		}
		c := openCoAP(t, "[::]:0", "[::]:0")
		for _, way := range [][2]string{{"2001:db8:1::1", "2001:db8:2::1"}, {"2001:db8:2::1", "2001:db8:1::1"}} {
			from, asked := &net.UDPAddr{IP: net.ParseIP(way[0])}, net.ParseIP(way[1])
			socket := &movingSocket{to: &net.UDPAddr{IP: asked, Port: c.SecureAddr().(*net.UDPAddr).Port}}
			socket.move(t, from)
			conn, err := shake(t, socket)
			if err != nil {
				t.Errorf("DTLS from %s to %s: %v", way[0], way[1], err)
				continue
			}
			if code, err := ask(t, conn, 1, 5*time.Second); err != nil || code != codes.Changed {
				t.Errorf("DTLS from %s to %s: %v, %v", way[0], way[1], code, err)
			}
			_ = conn.Close()
			plain, err := net.DialUDP("udp", from, &net.UDPAddr{IP: asked, Port: c.Addr().(*net.UDPAddr).Port})
			if err != nil {
				t.Error(err)
				return
			}
			// /t is nobody's at the plain door; any answer will do.
			if code, err := ask(t, plain, 1, 5*time.Second); err != nil || code != codes.NotFound {
				t.Errorf("plain from %s to %s: %v, %v", way[0], way[1], code, err)
			}
			_ = plain.Close()
		}
	}()
	<-done
	if refused != nil {
		t.Skipf("no network namespace here: %v", refused)
	}
}
