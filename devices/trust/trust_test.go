package trust

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vonglau/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *Authority {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What was made at the first start is there at the next one.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	second := open(t, Options{Dir: dir})
	if !bytes.Equal(first.CA(), second.CA()) {
		t.Error("another city CA")
	}
	if !bytes.Equal(first.ServerCertificate().Certificate[0], second.ServerCertificate().Certificate[0]) {
		t.Error("another server certificate without need")
	}
	d := &devices.Device{ID: "a"}
	c, secret, err := first.Issue(d, devices.CredentialPSK, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, err := second.Key("a", &c)
	if err != nil || hex.EncodeToString(key) != secret.PSK.Key {
		t.Errorf("the key is %x, %v; want %s", key, err, secret.PSK.Key)
	}
	if bytes.Contains(c.Secret, key) {
		t.Error("the key is kept as it is")
	}
	named := open(t, Options{Dir: dir, Names: []string{"Wall.Example.", "2001:db8::7"}})
	leaf := named.ServerCertificate().Leaf
	for _, name := range []string{"wall.example", "2001:db8::7", "localhost", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, spoil := range map[string]struct {
		do   func(dir string) error
		want string
	}{
		"CA without its key": {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, "not whole"},
		"key without its CA": {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.pem")) }, "not whole"},
		"cut seal key":       {func(dir string) error { return os.Truncate(filepath.Join(dir, "secret.key"), 5) }, "secret.key"},
		"spoilt CA":          {func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("x"), 0o600) }, "city CA"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, Options{Dir: dir})
			if err := spoil.do(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), spoil.want) {
				t.Errorf("got %v, want an error that says %q", err, spoil.want)
			}
		})
	}
}

// A sealed key is bound to its identity, and no changed byte of it opens.
func TestSeal(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	c, _, err := a.Issue(&devices.Device{ID: "a"}, devices.CredentialPSK, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if c.Expires.Sub(c.Added) != time.Hour {
		t.Errorf("it lasts from %v to %v, want an hour", c.Added, c.Expires)
	}
	for i := range c.Secret {
		spoilt := c
		spoilt.Secret = bytes.Clone(c.Secret)
		spoilt.Secret[i] ^= 1
		if _, err := a.Key("a", &spoilt); err == nil {
			t.Errorf("with octet %d changed it opens", i)
		}
	}
	moved := c
	moved.Identity = "b"
	if _, err := a.Key("b", &moved); err == nil {
		t.Error("it opens under another identity")
	}
	one, _ := a.Key("nobody", nil)
	two, _ := a.Key("nobody", nil)
	other, _ := a.Key("somebody", nil)
	if len(one) != 32 || !bytes.Equal(one, two) || bytes.Equal(one, other) {
		t.Errorf("keys that nobody has: %x, %x, %x", one, two, other)
	}
}

func certificates(t *testing.T, s devices.Secret) []*x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(s.X509.Certificate))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

func TestVerify(t *testing.T) {
	ours, theirs := open(t, Options{Dir: t.TempDir()}), open(t, Options{Dir: t.TempDir()})
	makerDir := t.TempDir()
	maker := open(t, Options{Dir: makerDir})
	believing := open(t, Options{Dir: t.TempDir(), DeviceCA: filepath.Join(makerDir, "ca.pem")})
	issue := func(a *Authority) []*x509.Certificate {
		_, secret, err := a.Issue(&devices.Device{ID: "a-1"}, devices.CredentialX509, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return certificates(t, secret)
	}
	now := time.Now()
	for _, c := range []struct {
		name  string
		a     *Authority
		chain []*x509.Certificate
		at    time.Time
		own   bool
		want  string // in the refusal
	}{
		{"own", ours, issue(ours), now, true, ""},
		{"own, over", ours, issue(ours), now.Add(2 * time.Hour), false, "valid from"},
		{"own, from tomorrow's point of view of yesterday", ours, issue(ours), now.Add(-48 * time.Hour), false, "valid from"},
		{"another city's", ours, issue(theirs), now, false, "not by the city CA"},
		{"of a device CA", believing, issue(maker), now, false, ""},
		{"the server's own", ours, []*x509.Certificate{ours.ServerCertificate().Leaf}, now, false, "not by the city CA"},
		{"nothing", ours, nil, now, false, "no certificate"},
	} {
		got, err := c.a.Verify(c.chain, c.at)
		switch {
		case c.want == "" && (err != nil || got.Device != "a-1" || got.Own != c.own):
			t.Errorf("%s: %+v, %v", c.name, got, err)
		case c.want != "" && (!errors.Is(err, &devices.Refusal{Reason: devices.ReasonBadCredential}) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want a refusal that says %q", c.name, err, c.want)
		}
	}
}

// A certificate from files is taken up when it changes, by those who connect
// from then on, and a spoilt one changes nothing.
func TestCertificateFilesAreReadAgain(t *testing.T) {
	one, two := open(t, Options{Dir: t.TempDir()}), open(t, Options{Dir: t.TempDir()})
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "c.key")
	stamp := time.Now().Add(-time.Hour)
	put := func(from *Authority) {
		t.Helper()
		stamp = stamp.Add(time.Minute)
		for name, file := range map[string]string{"server.pem": cert, "server.key": key} {
			raw, err := os.ReadFile(filepath.Join(from.opt.Dir, name))
			if err == nil {
				err = os.WriteFile(file, raw, 0o600)
			}
			if err == nil {
				err = os.Chtimes(file, stamp, stamp)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put(one)
	a := open(t, Options{Dir: t.TempDir(), Certificate: cert, Key: key})
	shown := func() []byte {
		t.Helper()
		near, far := net.Pipe()
		server := tls.Server(far, a.ServerConfig(false))
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go func() { done <- server.HandshakeContext(ctx) }()
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true}) // what is shown is compared below
		if err := errors.Join(client.HandshakeContext(ctx), <-done); err != nil {
			t.Fatal(err)
		}
		_ = near.Close()
		_ = far.Close()
		return client.ConnectionState().PeerCertificates[0].Raw
	}
	changed := func() { t.Error("the device CA changed") }
	if !bytes.Equal(shown(), one.ServerCertificate().Certificate[0]) {
		t.Error("not the first certificate")
	}
	put(two)
	a.look(time.Now(), changed)
	if !bytes.Equal(shown(), two.ServerCertificate().Certificate[0]) {
		t.Error("not the second certificate after the files changed")
	}
	if err := os.WriteFile(cert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.look(time.Now(), changed)
	if !bytes.Equal(shown(), two.ServerCertificate().Certificate[0]) {
		t.Error("a spoilt file took the certificate away")
	}
}

// The own certificate is made again before it ends.
func TestOwnCertificateIsRenewed(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	before := a.ServerCertificate().Leaf
	a.look(time.Now().Add(serverLifetime-renewBefore-time.Hour), func() {})
	if a.ServerCertificate().Leaf.SerialNumber.Cmp(before.SerialNumber) != 0 {
		t.Error("renewed without need")
	}
	a.look(time.Now().Add(serverLifetime-renewBefore+time.Hour), func() {})
	if a.ServerCertificate().Leaf.SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Error("not renewed")
	}
}
