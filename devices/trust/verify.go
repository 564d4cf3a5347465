package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"vonglau/devices"
)

// makers are the device CAs and what they revoked.
type makers struct {
	pool    *x509.CertPool
	revoked map[string]bool // by issuer and serial number
}

// renewMakers reads the device CA and its revocation lists when they changed. A
// list that is past its next update is still used: what it revokes stays so.
func (a *Authority) renewMakers() (bool, error) {
	if a.opt.DeviceCA == "" {
		return false, nil
	}
	stamps, changed, err := a.touched(a.opt.DeviceCA, a.opt.DeviceCRL)
	if err != nil {
		return false, fmt.Errorf("trust: the device CA: %w", err)
	}
	if !changed {
		return false, nil
	}
	raw, err := os.ReadFile(a.opt.DeviceCA)
	if err != nil {
		return false, fmt.Errorf("trust: the device CA: %w", err)
	}
	m := &makers{pool: x509.NewCertPool(), revoked: map[string]bool{}}
	var authorities []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return false, fmt.Errorf("trust: the device CA %s: %w", a.opt.DeviceCA, err)
		}
		authorities = append(authorities, c)
		m.pool.AddCert(c)
	}
	if len(authorities) == 0 {
		return false, fmt.Errorf("trust: the device CA %s has no certificate in PEM", a.opt.DeviceCA)
	}
	if a.opt.DeviceCRL != "" {
		if err := m.readLists(a.opt.DeviceCRL, authorities); err != nil {
			return false, fmt.Errorf("trust: the revocation list %s: %w", a.opt.DeviceCRL, err)
		}
	}
	a.makers.Store(m)
	a.remember(stamps)
	return true, nil
}

func (m *makers) readLists(file string, authorities []*x509.Certificate) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var lists [][]byte
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if len(lists) == 0 {
		lists = [][]byte{raw} // DER
	}
	for _, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		signed := errors.New("none of the device CAs signed it")
		for _, ca := range authorities {
			if bytes.Equal(ca.RawSubject, list.RawIssuer) {
				if signed = list.CheckSignatureFrom(ca); signed == nil {
					break
				}
			}
		}
		if signed != nil {
			return signed
		}
		for _, e := range list.RevokedCertificateEntries {
			m.revoked[string(list.RawIssuer)+e.SerialNumber.String()] = true
		}
	}
	return nil
}

// Verify checks a chain a client has shown, the leaf first, whose key it has
// proven to have. It says which device the leaf names, not whether the register
// still wants it: that is ProveCertificate. Its error is a refusal.
func (a *Authority) Verify(chain []*x509.Certificate, now time.Time) (*devices.Certificate, error) {
	if len(chain) == 0 {
		return nil, devices.Refuse(devices.ReasonBadCredential, "no certificate")
	}
	leaf := chain[0]
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return nil, devices.Refuse(devices.ReasonBadCredential, "the certificate is valid from %s to %s",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	options := x509.VerifyOptions{
		Roots: a.ca.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Intermediates: x509.NewCertPool(),
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(options)
	own := err == nil
	if m := a.makers.Load(); !own && m != nil {
		options.Roots = m.pool
		var paths [][]*x509.Certificate
		if paths, err = leaf.Verify(options); err == nil && m.revokes(paths) {
			return nil, devices.Refuse(devices.ReasonBadCredential, "the certificate is on its CA's revocation list")
		}
	}
	if err != nil {
		return nil, devices.Refuse(devices.ReasonBadCredential, "the certificate is not by the city CA or a device CA: %v", err)
	}
	c := &devices.Certificate{Own: own, Fingerprint: sha256.Sum256(leaf.Raw), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	for _, u := range leaf.URIs {
		id, err := devices.ParseURN(u.String())
		if err != nil {
			continue // a maker's own name for it
		}
		if c.Device != "" {
			return nil, devices.Refuse(devices.ReasonBadCredential, "the certificate names two devices")
		}
		c.Device = id
	}
	if c.Device == "" {
		return nil, devices.Refuse(devices.ReasonBadCredential, "the certificate names no device as SAN URI %s", devices.ID("<id>").URN())
	}
	return c, nil
}

// revokes reports whether every path has a revoked certificate in it.
func (m *makers) revokes(paths [][]*x509.Certificate) bool {
	for _, path := range paths {
		revoked := false
		for _, c := range path {
			revoked = revoked || m.revoked[string(c.RawIssuer)+c.SerialNumber.String()]
		}
		if !revoked {
			return false
		}
	}
	return true
}
