package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"vonglau/devices"
)

// Sign makes a certificate of the city CA for the key of a certificate request
// (PKCS #10) in PEM, so that the device's key never leaves it. Only the key is
// taken from the request: the names are the register's.
func (a *Authority) Sign(d *devices.Device, request []byte) (devices.Credential, devices.Secret, error) {
	fail := func(err error) (devices.Credential, devices.Secret, error) {
		return devices.Credential{}, devices.Secret{}, fmt.Errorf("the certificate request: %w", err)
	}
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return fail(errors.New("no CERTIFICATE REQUEST in PEM"))
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return fail(err)
	}
	switch key := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < 256 {
			return fail(fmt.Errorf("curve %s is too small; use P-256", key.Curve.Params().Name))
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return fail(fmt.Errorf("an RSA key has 2048 to 4096 bits, not %d", bits))
		}
	case ed25519.PublicKey:
	default:
		return fail(errors.New("use a key of P-256, Ed25519 or RSA"))
	}
	// It proves that the device has the key.
	if err := csr.CheckSignature(); err != nil {
		return fail(err)
	}
	name, err := url.Parse(d.ID.URN())
	if err != nil {
		return fail(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	end := now.Add(a.opt.DeviceLifetime)
	if end.After(a.ca.certificate.NotAfter) {
		end = a.ca.certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: string(d.ID)}, URIs: []*url.URL{name},
		NotBefore: now.Add(-backdate), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, a.ca.certificate, csr.PublicKey, a.ca.key)
	if err != nil {
		return fail(err)
	}
	print := sha256.Sum256(der)
	c := devices.Credential{ID: devices.NewCredentialID(), Kind: devices.CredentialX509, Added: now, Expires: end, Secret: print[:]}
	return c, devices.Secret{X509: &devices.X509{Certificate: string(encodeCertificate(der)), CA: string(a.ca.pem)}}, nil
}
