package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"vonglau/devices"
)

// Issue makes a credential for a device, which the caller grants it, and what
// the device needs. A token or key lasts until it is replaced unless a lifetime
// is given, a certificate as long as the options say.
func (a *Authority) Issue(d *devices.Device, kind devices.CredentialKind, lifetime time.Duration) (devices.Credential, devices.Secret, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if lifetime < 0 {
		return devices.Credential{}, devices.Secret{}, fmt.Errorf("a credential cannot last %v", lifetime)
	}
	var end time.Time
	if lifetime > 0 {
		end = now.Add(lifetime)
	}
	switch kind {
	case devices.CredentialToken:
		c, token := devices.NewTokenCredential(now)
		c.Expires = end
		return c, devices.Secret{Token: token}, nil
	case devices.CredentialPSK:
		c := devices.Credential{ID: devices.NewCredentialID(), Kind: kind, Added: now, Expires: end}
		c.Identity = d.PSKIdentity(c.ID)
		key := newKey()
		c.Secret = a.seal.close(key, c.Identity)
		return c, devices.Secret{PSK: &devices.PSK{Identity: c.Identity, Key: hex.EncodeToString(key)}}, nil
	case devices.CredentialX509:
		if lifetime == 0 {
			lifetime = a.opt.DeviceLifetime
		}
		der, key, err := a.ca.device(d.ID, lifetime)
		if err != nil {
			return devices.Credential{}, devices.Secret{}, fmt.Errorf("making a certificate for %s: %w", d.ID, err)
		}
		keyPEM, err := encodeKey(key)
		if err != nil {
			return devices.Credential{}, devices.Secret{}, fmt.Errorf("making a certificate for %s: %w", d.ID, err)
		}
		end := now.Add(lifetime)
		if end.After(a.ca.certificate.NotAfter) {
			end = a.ca.certificate.NotAfter
		}
		print := sha256.Sum256(der)
		c := devices.Credential{ID: devices.NewCredentialID(), Kind: kind, Added: now, Expires: end, Secret: print[:]}
		return c, devices.Secret{X509: &devices.X509{
			Certificate: string(encodeCertificate(der)), Key: string(keyPEM), CA: string(a.ca.pem),
		}}, nil
	}
	return devices.Credential{}, devices.Secret{}, fmt.Errorf("credential kind %.20q: use token, psk or x509", kind)
}

// newKey makes 32 random octets, none of them zero: a quarter of a bit in 256
// for clients that take their key as a string of C.
func newKey() []byte {
	key := make([]byte, 0, 32)
	var b [1]byte
	for len(key) < cap(key) {
		if rand.Read(b[:]); b[0] != 0 {
			key = append(key, b[0])
		}
	}
	return key
}

// Key is the pre-shared key of a credential. Without a credential, or when it
// cannot be unsealed, it is a key nobody has, always the same for one identity:
// who asks cannot tell an unknown device from a wrong key.
func (a *Authority) Key(identity string, c *devices.Credential) ([]byte, error) {
	decoy := a.seal.decoy(identity)
	if c == nil {
		return decoy, nil
	}
	key, err := a.seal.open(c.Secret, c.Identity)
	if err != nil {
		return decoy, fmt.Errorf("the key of %s cannot be unsealed; is secret.key the one it was sealed with? %w", c.Identity, err)
	}
	return key, nil
}

// sealer encrypts what the register must be able to read again: a version
// octet, a nonce, and AES-256-GCM over the key, bound to its identity.
type sealer struct {
	aead  cipher.AEAD
	decoy func(identity string) []byte
}

const sealVersion = 1

func openSealer(file string) (*sealer, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw = make([]byte, 32)
		rand.Read(raw)
		err = keep(file, raw, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("trust: the key that seals pre-shared keys: %w", err)
	}
	if len(raw) != 32 {
		return nil, fmt.Errorf("trust: %s has %d bytes, not 32; restore it from a backup", file, len(raw))
	}
	block, err := aes.NewCipher(derive(raw, "seal"))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	decoys := derive(raw, "decoy")
	return &sealer{aead, func(identity string) []byte { return derive(decoys, identity) }}, nil
}

func derive(key []byte, purpose string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(purpose))
	return m.Sum(nil)
}

func (s *sealer) close(plain []byte, identity string) []byte {
	out := make([]byte, 1+s.aead.NonceSize())
	out[0] = sealVersion
	rand.Read(out[1:])
	return s.aead.Seal(out, out[1:], plain, []byte(identity))
}

func (s *sealer) open(sealed []byte, identity string) ([]byte, error) {
	n := 1 + s.aead.NonceSize()
	if len(sealed) < n || sealed[0] != sealVersion {
		return nil, errors.New("not a sealed key")
	}
	return s.aead.Open(nil, sealed[1:n], sealed[n:], []byte(identity))
}
