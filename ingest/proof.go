package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"

	"vonglau/devices"
)

// Trust is what devices and server prove themselves by beyond a token;
// *trust.Authority is one.
type Trust interface {
	// Verify checks a chain whose key the client has proven to have.
	Verify(chain []*x509.Certificate, now time.Time) (*devices.Certificate, error)
	// Key is the pre-shared key of a credential; of none, one that nobody has.
	Key(identity string, c *devices.Credential) ([]byte, error)
	ServerCertificate() *tls.Certificate
}

// session is a connection that was proven once, at its beginning.
type session struct {
	device devices.ID
	proof  devices.Proof
	chain  []*x509.Certificate // when it was proven by one
	end    func(why string)    // must not block
}

// sessions are the open ones. The zero value is ready.
//
// A session is entered before its proof is looked at for the last time, and a
// change of the register looks through the sessions after it has taken effect:
// whichever is later sees the other.
type sessions struct {
	mu   sync.Mutex
	open map[devices.ID]map[*session]bool
}

func (s *sessions) add(one *session) (others int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[devices.ID]map[*session]bool{}
	}
	of := s.open[one.device]
	if of == nil {
		of = map[*session]bool{}
		s.open[one.device] = of
	}
	of[one] = true
	return len(of) - 1
}

func (s *sessions) remove(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.open[one.device]
	delete(of, one)
	if len(of) == 0 {
		delete(s.open, one.device)
	}
}

func (s *sessions) of(id devices.ID) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*session
	for one := range s.open[id] {
		list = append(list, one)
	}
	return list
}

func (s *sessions) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*session
	for _, of := range s.open {
		for one := range of {
			list = append(list, one)
		}
	}
	return list
}

// opened enters a session that was just proven, and ends it if its proof was
// taken away meanwhile.
func (g *Gate) opened(one *session) {
	g.sessions.add(one)
	if d, ok := g.opt.Register.Get(one.device); !ok || !d.Holds(one.proof, g.opt.Now()) {
		one.end(whyRevoked)
	}
}

func (g *Gate) closed(one *session) { g.sessions.remove(one) }

const (
	whyRevoked = "its credential does not count any more"
	whyCA      = "its certificate does not count any more"
)

// changed ends the sessions a change of the register leaves without proof. It
// runs inside the change, so it is effective when the change is answered.
func (g *Gate) changed(d *devices.Device) {
	now := g.opt.Now()
	for _, one := range g.sessions.of(d.ID) {
		if !d.Holds(one.proof, now) {
			one.end(whyRevoked)
		}
	}
}

// WatchProofs ends sessions whose credential expires, until ctx ends.
func (g *Gate) WatchProofs(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.endExpired()
		case <-ctx.Done():
			return nil
		}
	}
}

func (g *Gate) endExpired() {
	now := g.opt.Now()
	for _, one := range g.sessions.all() {
		if d, ok := g.opt.Register.Get(one.device); !ok || !d.Holds(one.proof, now) {
			one.end(whyRevoked)
		}
	}
}

// TrustChanged looks at the certificates of the open sessions again.
func (g *Gate) TrustChanged() {
	now := g.opt.Now()
	for _, one := range g.sessions.all() {
		if len(one.chain) == 0 {
			continue
		}
		if _, err := g.opt.Trust.Verify(one.chain, now); err != nil {
			one.end(whyCA)
		}
	}
}

// proveCertificate finds the device a certificate chain proves.
func (g *Gate) proveCertificate(chain []*x509.Certificate) (*devices.Device, devices.Proof, error) {
	if g.opt.Trust == nil {
		return nil, devices.Proof{}, devices.Refuse(devices.ReasonBadCredential, "certificates are not served")
	}
	certificate, err := g.opt.Trust.Verify(chain, g.opt.Now())
	if err != nil {
		return nil, devices.Proof{}, err
	}
	return g.opt.Register.ProveCertificate(certificate)
}
