package ingest

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"vonglau/devices"
)

const (
	// handshakeWait bounds a handshake. A device on a slow link retransmits after
	// one, two and four seconds (RFC 6347 section 4.2.4.1).
	handshakeWait = 10 * time.Second
	// maxHandshakes and maxHandshakesPerSite bound those under way, in all and
	// per /64. When all are taken, one that has not answered our cookie for
	// handshakeGrace gives way: it may be nobody.
	maxHandshakes, maxHandshakesPerSite = 1024, 128
	handshakeGrace                      = 500 * time.Millisecond
	// maxSecureSessions bounds the associations of one device; the oldest goes.
	maxSecureSessions = 4
	// secureIdle is how long an association is kept for a device that sleeps.
	secureIdle = 6 * time.Hour
)

// suites of RFC 7252 section 9 and RFC 7925 section 4.2, the strongest first.
// The client's order decides; CCM_8 is for those that have nothing else.
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, dtls.TLS_PSK_WITH_AES_128_CCM,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_128_CCM_8,
}

// secureDoor listens for DTLS 1.2 (RFC 6347) and hands out connections that are
// proven, so that nothing behind it sees one that is not. A device proves itself
// by pre-shared key or certificate, and may ask for a connection ID (RFC 9146),
// which lets it sleep behind a NAT or get another address.
type secureDoor struct {
	gate      *Gate
	datagrams *datagrams
	running   sync.WaitGroup // the reader and the handshakes
	accepted  chan *secureConn
	done      chan struct{}
	stop      sync.Once
	number    atomic.Uint64

	mu      sync.Mutex // guards what follows
	pending []*association
	sites   map[netip.Prefix]int
	open    map[devices.ID][]*secureConn // the oldest first

	handshakes *prometheus.CounterVec
}

func newSecureDoor(g *Gate, addr string, metrics prometheus.Registerer) (*secureDoor, error) {
	if g.opt.Trust == nil {
		return nil, errors.New("coaps: the gate has no Trust")
	}
	s := &secureDoor{
		gate: g, accepted: make(chan *secureConn), done: make(chan struct{}),
		sites: map[netip.Prefix]int{}, open: map[devices.ID][]*secureConn{},
	}
	var err error
	if s.datagrams, err = listenDatagrams(addr, s.welcome); err != nil {
		return nil, fmt.Errorf("coaps: listen on %s: %w", addr, err)
	}
	s.handshakes = promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "vonglau_dtls_handshakes_total", Help: "DTLS handshakes by how they ended.",
	}, []string{"result"})
	promauto.With(metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vonglau_dtls_sessions", Help: "DTLS associations that are proven.",
	}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for _, list := range s.open {
			n += len(list)
		}
		return float64(n)
	})
	return s, nil
}

func (s *secureDoor) start() {
	s.running.Add(1)
	go s.read()
}

func (s *secureDoor) read() {
	defer s.running.Done()
	if err := s.datagrams.read(); err != nil {
		s.gate.opt.Log.Error("coaps: the listener ended", "error", err)
	}
}

// Close ends the socket and every association, and waits for the handshakes.
func (s *secureDoor) Close() error {
	var err error
	s.stop.Do(func() {
		close(s.done)
		s.mu.Lock()
		var all []*secureConn
		for _, list := range s.open {
			all = append(all, list...)
		}
		s.mu.Unlock()
		for _, c := range all {
			_ = c.Close() // says good-bye
		}
		err = s.datagrams.close()
	})
	s.running.Wait()
	return err
}

// AcceptWithContext gives the next proven connection.
func (s *secureDoor) AcceptWithContext(ctx context.Context) (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.done:
		return nil, coapnet.ErrListenerIsClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// welcome begins a handshake if there is room.
func (s *secureDoor) welcome(a *association) bool {
	site := devices.SitePrefix(a.first.remote.Addr())
	s.mu.Lock()
	select {
	case <-s.done:
		s.mu.Unlock()
		return false
	default:
	}
	var victim *association
	if len(s.pending) >= maxHandshakes {
		for _, o := range s.pending {
			if time.Since(o.since) < handshakeGrace {
				break // the later ones are younger still
			}
			if !o.reachable() {
				victim = o
				break
			}
		}
	}
	if s.sites[site] >= maxHandshakesPerSite || len(s.pending) >= maxHandshakes && victim == nil {
		s.mu.Unlock()
		s.handshakes.WithLabelValues("no_room").Inc()
		return false
	}
	s.pending = append(s.pending, a)
	s.sites[site]++
	s.running.Add(1)
	s.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	go s.handshake(a, site)
	return true
}

// handshake proves one association and hands it over.
func (s *secureDoor) handshake(a *association, site netip.Prefix) {
	defer s.running.Done()
	c, result := s.prove(a)
	s.mu.Lock()
	for i, o := range s.pending {
		if o == a {
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			break
		}
	}
	if s.sites[site]--; s.sites[site] == 0 {
		delete(s.sites, site)
	}
	s.mu.Unlock()
	s.handshakes.WithLabelValues(result).Inc()
	if c == nil {
		_ = a.Close()
		return
	}
	a.settle()
	s.enter(c)
	select {
	case s.accepted <- c:
	case <-s.done:
		_ = c.Close()
	}
}

// prover collects what a handshake says of the device.
type prover struct {
	gate     *Gate
	from     netip.AddrPort
	identity string // announced
	known    bool   // the identity is one of ours
	device   *devices.Device
	proof    devices.Proof
	chain    []*x509.Certificate
	refusal  *devices.Refusal
}

// key answers the client's identity. For an unknown one it is a key that nobody
// has, so that the handshake fails as with a wrong key: there is no list of
// devices to be had here.
func (p *prover) key(identity []byte) ([]byte, error) {
	p.identity = string(identity)
	d, c, ok := p.gate.opt.Register.FindPSK(p.identity)
	key, err := p.gate.opt.Trust.Key(p.identity, c)
	if err != nil {
		p.gate.opt.Log.Error("coaps: a device cannot connect", "device", d.ID, "error", err)
	}
	if ok && err == nil {
		p.known, p.device, p.proof = true, d, devices.Proof{Kind: devices.CredentialPSK, Secret: c.Secret, Expires: c.Expires}
	}
	return key, nil
}

// verify runs when the handshake's cryptography is done: whoever is here has the
// key it claims.
func (p *prover) verify(state *dtls.State) error {
	if len(state.IdentityHint) > 0 {
		if !p.known || p.identity != string(state.IdentityHint) {
			p.refusal = devices.Refuse(devices.ReasonUnknownDevice, "no such key")
			return p.refusal
		}
		return nil
	}
	p.device = nil
	for _, raw := range state.PeerCertificates {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			p.refusal = devices.Refuse(devices.ReasonBadCredential, "the certificate cannot be read: %v", err)
			return p.refusal
		}
		p.chain = append(p.chain, c)
	}
	var err error
	if len(p.chain) == 0 {
		err = devices.Refuse(devices.ReasonBadCredential, "no certificate and no key")
	} else {
		p.device, p.proof, err = p.gate.proveCertificate(p.chain)
	}
	if err != nil {
		p.refusal = asRefusal(err)
	}
	return err
}

// failed is the refusal of a handshake that did not end well, nil when nobody
// claimed anything.
func (p *prover) failed() *devices.Refusal {
	if p.refusal == nil && p.identity != "" {
		p.refusal = devices.Refuse(devices.ReasonBadCredential, "identity %.80q and key do not match", p.identity)
		if p.known {
			p.refusal.Device = p.device.ID
		} else {
			p.refusal.Reason = devices.ReasonUnknownDevice
		}
	}
	return p.refusal
}

// silent is for the library, whose words are said by us.
var silent = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}

func (s *secureDoor) prove(a *association) (*secureConn, string) {
	p := &prover{gate: s.gate, from: devices.CanonAddrPort(a.first.remote)}
	conn, err := dtls.ServerWithOptions(a, &a.first,
		dtls.WithCertificates(*s.gate.opt.Trust.ServerCertificate()),
		dtls.WithCipherSuites(suites...),
		dtls.WithClientAuth(dtls.RequestClientCert), // verify has the last word
		dtls.WithPSK(p.key),
		dtls.WithVerifyConnection(p.verify),
		dtls.WithLoggerFactory(silent),
		dtls.WithConnectionIDGenerator(func() []byte {
			cid := make([]byte, cidSize)
			rand.Read(cid)
			a.identify(cid)
			return cid
		}),
	)
	if err != nil {
		s.gate.opt.Log.Error("coaps: a handshake could not begin", "error", err)
		return nil, "fault"
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWait)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		r := p.failed()
		if r == nil {
			s.gate.opt.Log.Debug("coaps: handshake not finished", "from", p.from, "error", err)
			return nil, "unfinished"
		}
		r.Via, r.From = devices.ViaCoAP, p.from
		s.gate.Refused(r, nil)
		return nil, "refused"
	}
	c := &secureConn{
		door: s, conn: conn, association: a, device: p.device.ID,
		name: fmt.Sprintf("%s#%d", p.from, s.number.Add(1)),
	}
	c.session = &session{device: c.device, proof: p.proof, chain: p.chain, end: c.revoke}
	return c, "proven"
}

func (s *secureDoor) enter(c *secureConn) {
	s.mu.Lock()
	list := append(s.open[c.device], c)
	s.open[c.device] = list
	var oldest *secureConn
	if len(list) > maxSecureSessions {
		oldest = list[0]
	}
	s.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	s.gate.opened(c.session)
}

func (s *secureDoor) leave(c *secureConn) {
	s.gate.closed(c.session)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.open[c.device]
	for i, o := range list {
		if o == c {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) > 0 {
		s.open[c.device] = list
	} else {
		delete(s.open, c.device)
	}
}

// secureConn is a proven association, as the CoAP library sees it.
type secureConn struct {
	door        *secureDoor
	conn        *dtls.Conn
	association *association
	session     *session
	device      devices.ID
	name        string
	once        sync.Once
}

// Read gives the payload of one record. One that is longer than b is dropped.
func (c *secureConn) Read(b []byte) (int, error) {
	for {
		n, err := c.conn.Read(b)
		var passing *dtls.TemporaryError
		if errors.As(err, &passing) {
			continue
		}
		return n, err
	}
}

func (c *secureConn) Write(b []byte) (int, error) { return c.conn.Write(b) }

// Close says good-bye and ends the association.
func (c *secureConn) Close() (err error) {
	c.once.Do(func() {
		c.door.leave(c)
		err = c.conn.Close()
		_ = c.association.Close()
	})
	return err
}

// revoke is Close without waiting for it.
func (c *secureConn) revoke(why string) {
	c.door.gate.opt.Log.Info("coaps: an association is ended", "device", c.device, "why", why)
	go c.Close()
}

func (c *secureConn) LocalAddr() net.Addr                { return c.conn.LocalAddr() }
func (c *secureConn) RemoteAddr() net.Addr               { return secureAddr{c} }
func (c *secureConn) SetDeadline(t time.Time) error      { return c.conn.SetDeadline(t) }
func (c *secureConn) SetReadDeadline(t time.Time) error  { return c.conn.SetReadDeadline(t) }
func (c *secureConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// secureAddr is the remote end of an association. Its text is a name that stays
// when the address changes, because the library files connections and answers
// under it; its AddrPort is where the device is now.
type secureAddr struct{ c *secureConn }

func (a secureAddr) Network() string { return "udp" }
func (a secureAddr) String() string  { return a.c.name }
func (a secureAddr) AddrPort() netip.AddrPort {
	if p, ok := a.c.conn.RemoteAddr().(*path); ok {
		return p.remote
	}
	return a.c.association.first.remote
}
