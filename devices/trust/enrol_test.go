package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// request asks for a certificate that says more than it may.
func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "another"}, DNSNames: []string{"vonglau.example"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSign(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"P-256": ecKey(t, elliptic.P256()), "Ed25519": edwards} {
		d := &devices.Device{ID: "gate-7"}
		c, secret, err := a.Sign(d, request(t, key))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if secret.X509.Key != "" || secret.X509.CA != string(a.CA()) || c.Kind != devices.CredentialX509 {
			t.Errorf("%s: gave %+v and %+v", name, c, secret.X509)
		}
		chain := certificates(t, secret)
		if leaf := chain[0]; leaf.Subject.CommonName != "gate-7" || len(leaf.DNSNames) != 0 || leaf.IsCA || len(leaf.ExtKeyUsage) != 1 {
			t.Errorf("%s: the certificate says what the request did: %v %v", name, leaf.Subject, leaf.DNSNames)
		}
		got, err := a.Verify(chain, time.Now())
		if err != nil || got.Device != "gate-7" || !got.Own || string(got.Fingerprint[:]) != string(c.Secret) {
			t.Errorf("%s: verified as %+v, %v", name, got, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatalf("a small RSA key to be refused: %v", err)
	}
	good := request(t, ecKey(t, elliptic.P256()))
	block, _ := pem.Decode(good)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, raw := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("rubbish"), "another PEM": []byte(strings.ReplaceAll(string(good), "CERTIFICATE REQUEST", "CERTIFICATE")),
		"a torn one":                 pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: block.Bytes[:40]}),
		"a signature of another key": pem.EncodeToMemory(block), "a small RSA key": request(t, small), "P-224": request(t, ecKey(t, elliptic.P224())),
	} {
		if _, _, err := a.Sign(&devices.Device{ID: "gate-7"}, raw); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
}
