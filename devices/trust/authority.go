package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// Lifetimes. A server certificate lasts no longer than browsers take one of a
// private authority for granted.
const (
	caLifetime     = 20 * 365 * 24 * time.Hour
	serverLifetime = 397 * 24 * time.Hour
	renewBefore    = 30 * 24 * time.Hour
	// backdate is for devices whose clock is behind.
	backdate = 24 * time.Hour
)

// authority is the city CA.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
	pool        *x509.CertPool
}

// openAuthority reads the city CA or makes it. Half of one is an error: another
// CA would lock out every device that knows the first.
func openAuthority(dir string) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	_, errCert := os.Stat(certFile)
	_, errKey := os.Stat(keyFile)
	if errors.Is(errCert, fs.ErrNotExist) && errors.Is(errKey, fs.ErrNotExist) {
		if err := makeAuthority(certFile, keyFile); err != nil {
			return nil, fmt.Errorf("trust: making the city CA: %w", err)
		}
	} else if err := errors.Join(errCert, errKey); err != nil {
		return nil, fmt.Errorf("trust: the city CA is not whole, restore both files from a backup: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("trust: the city CA %s with key %s: %w", certFile, keyFile, err)
	}
	a := &authority{pool: x509.NewCertPool()}
	if a.certificate, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return nil, fmt.Errorf("trust: the city CA %s: %w", certFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !a.certificate.IsCA {
		return nil, fmt.Errorf("trust: %s is no CA certificate with an ECDSA key", certFile)
	}
	a.key = key
	a.pem = encodeCertificate(a.certificate.Raw)
	a.pool.AddCert(a.certificate)
	return a, nil
}

func makeAuthority(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber: serial,
		// Two cities on one screen must be told apart.
		Subject:               pkix.Name{CommonName: "Vonglau city CA " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	// The key first: a crash between the two leaves half a CA, which is said.
	if err := keep(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return keep(certFile, encodeCertificate(der), 0o644)
}

// issue makes a certificate with a key of its own.
func (a *authority) issue(template *x509.Certificate, lifetime time.Duration) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template.SerialNumber = newSerial()
	template.NotBefore = time.Now().Add(-backdate)
	template.NotAfter = time.Now().Add(lifetime)
	if template.NotAfter.After(a.certificate.NotAfter) {
		template.NotAfter = a.certificate.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err = x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	return der, key, err
}

// device makes a device's certificate.
func (a *authority) device(id devices.ID, lifetime time.Duration) (der []byte, key *ecdsa.PrivateKey, err error) {
	name, err := url.Parse(id.URN())
	if err != nil {
		return nil, nil, err
	}
	return a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: string(id)}, URIs: []*url.URL{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, lifetime)
}

// renewOwn keeps a server certificate of the city CA that has every name and
// is not near its end.
func (a *Authority) renewOwn(now time.Time) (bool, error) {
	certFile, keyFile := filepath.Join(a.opt.Dir, "server.pem"), filepath.Join(a.opt.Dir, "server.key")
	hosts, addrs := serverNames(a.opt.Names)
	current := a.server.Load()
	fresh := current == nil
	if fresh {
		if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil {
			if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err == nil {
				current = &pair
			}
		}
	}
	if current != nil && a.suits(current.Leaf, hosts, addrs, now) {
		if fresh {
			a.server.Store(current)
		}
		return fresh, nil
	}
	der, key, err := a.ca.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Vonglau"}, DNSNames: hosts, IPAddresses: addrs,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, serverLifetime)
	if err != nil {
		return false, fmt.Errorf("trust: making the server's certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return false, err
	}
	if err := errors.Join(keep(keyFile, keyPEM, 0o600), keep(certFile, encodeCertificate(der), 0o644)); err != nil {
		return false, fmt.Errorf("trust: keeping the server's certificate: %w", err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if pair.Leaf, err = x509.ParseCertificate(der); err != nil {
		return false, err
	}
	a.server.Store(pair)
	return true, nil
}

// suits reports whether a server certificate of ours can go on. A name it has
// and the host has no more does no harm.
func (a *Authority) suits(leaf *x509.Certificate, hosts []string, addrs []net.IP, now time.Time) bool {
	if leaf.CheckSignatureFrom(a.ca.certificate) != nil || leaf.NotAfter.Sub(now) < renewBefore {
		return false
	}
	for _, h := range hosts {
		if !slices.Contains(leaf.DNSNames, h) {
			return false
		}
	}
	for _, ip := range addrs {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// maxAddresses bounds the host's own addresses in the certificate: a host with
// privacy addresses or containers may have hundreds.
const maxAddresses = 64

// serverNames is what the server may be reached by: what the configuration
// says, the host's name and its addresses. A link-local address means something
// with a zone only, which a certificate cannot carry.
func serverNames(configured []string) (hosts []string, addrs []net.IP) {
	add := func(name string) {
		if ip, err := netip.ParseAddr(name); err == nil {
			if b := net.IP(devices.Canon(ip).AsSlice()); !slices.ContainsFunc(addrs, b.Equal) {
				addrs = append(addrs, b)
			}
			return
		}
		if name = strings.ToLower(strings.TrimSuffix(name, ".")); name != "" && !slices.Contains(hosts, name) {
			hosts = append(hosts, name)
		}
	}
	for _, n := range configured {
		add(n)
	}
	add("localhost")
	if name, err := os.Hostname(); err == nil {
		add(name)
	}
	add("::1")
	add("127.0.0.1")
	list, err := net.InterfaceAddrs()
	if err != nil {
		return hosts, addrs // the names above are there all the same
	}
	for _, l := range list {
		if n, ok := l.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(addrs) < maxAddresses {
			add(n.IP.String())
		}
	}
	return hosts, addrs
}

func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7f | 0x40 // positive, and always of this length (RFC 5280 section 4.1.2.2)
	return new(big.Int).SetBytes(b[:])
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	// SEC 1 rather than PKCS #8: the small TLS stacks of devices read it.
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
