package devices

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CredentialKind is how a device proves its identity.
type CredentialKind string

// The kinds. The strings are stored: never rename one.
const (
	CredentialToken CredentialKind = "token" // a password; kept as its hash
	CredentialPSK   CredentialKind = "psk"   // a key DTLS shares with the device; kept sealed
	CredentialX509  CredentialKind = "x509"  // a certificate of the city's own CA; kept as its fingerprint
)

// Known reports whether k is one of the kinds.
func (k CredentialKind) Known() bool {
	return k == CredentialToken || k == CredentialPSK || k == CredentialX509
}

// Credential is one of the things a device may prove itself by. It may have
// several at once, also of one kind: that is how one is replaced without a
// moment in which none is valid.
type Credential struct {
	// ID names the credential among its device's, for people and for revoking.
	ID   string         `json:"id"`
	Kind CredentialKind `json:"kind"`
	// Identity is what a PSK client announces. A first PSK's is the device's id.
	// DTLS asks for one key by identity and cannot try two, so a second key's
	// is "<device>:<credential>".
	Identity string `json:"identity,omitempty"`
	// Secret is what the claim is compared with: the SHA-256 of a token or of a
	// certificate, or the sealed key of a PSK. It never leaves the register.
	Secret []byte    `json:"secret,omitempty"`
	Added  time.Time `json:"added"`
	// Expires is when it ends; zero is never.
	Expires time.Time `json:"expires,omitzero"`
}

// Valid reports whether the credential counts at a moment.
func (c *Credential) Valid(now time.Time) bool {
	return c.Expires.IsZero() || now.Before(c.Expires)
}

// Public is the credential without what it is compared with.
func (c Credential) Public() Credential {
	c.Secret = nil
	return c
}

// Secret is a new credential as its device needs it. It is shown once.
type Secret struct {
	Token string `json:"token,omitempty"`
	PSK   *PSK   `json:"psk,omitempty"`
	X509  *X509  `json:"x509,omitempty"`
}

// PSK is a pre-shared key of DTLS.
type PSK struct {
	Identity string `json:"identity"`
	Key      string `json:"key" doc:"In hex"`
}

// X509 is a certificate with its key, in PEM.
type X509 struct {
	Certificate string `json:"certificate"`
	// Key is empty when the device has made it itself.
	Key string `json:"key,omitempty"`
	// CA is what the device knows the server by.
	CA string `json:"ca"`
}

const (
	// maxCredentials bounds what one device may hold.
	maxCredentials = 16
	// remembered is how long an ended credential is still listed.
	remembered = 30 * 24 * time.Hour
)

// NewCredentialID makes a name for a credential.
func NewCredentialID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}

// NewTokenCredential makes a token that is kept as its hash.
func NewTokenCredential(now time.Time) (c Credential, token string) {
	token, hash := newToken()
	return Credential{ID: NewCredentialID(), Kind: CredentialToken, Secret: hash, Added: now}, token
}

// PSKIdentity is what a new pre-shared key of the device is announced by.
func (d *Device) PSKIdentity(credential string) string {
	for i := range d.Credentials {
		if d.Credentials[i].Identity == string(d.ID) {
			return string(d.ID) + ":" + credential
		}
	}
	return string(d.ID)
}

// tokenName is the credential id of the token a device was registered with.
const tokenName = "token"

// Held lists what the device may prove itself by, valid or not, without what is
// compared.
func (d *Device) Held() []Credential {
	var held []Credential
	if len(d.TokenHash) > 0 {
		held = append(held, Credential{ID: tokenName, Kind: CredentialToken, Added: d.Added})
	}
	for _, c := range d.Credentials {
		held = append(held, c.Public())
	}
	return held
}

// Grant gives the device a credential. With an overlap that is not negative
// those of the same kind it held before end after it.
func (d *Device) Grant(c Credential, overlap time.Duration, now time.Time) error {
	if overlap >= 0 {
		end := now.Add(overlap)
		if c.Kind == CredentialToken && len(d.TokenHash) > 0 {
			d.Credentials = append(d.Credentials, Credential{ID: tokenName, Kind: CredentialToken, Secret: d.TokenHash, Added: d.Added})
			d.TokenHash = nil
		}
		for i := range d.Credentials {
			if old := &d.Credentials[i]; old.Kind == c.Kind && (old.Expires.IsZero() || old.Expires.After(end)) {
				old.Expires = end
			}
		}
	}
	d.Credentials = slices.DeleteFunc(d.Credentials, func(c Credential) bool {
		return !c.Expires.IsZero() && now.Sub(c.Expires) > remembered
	})
	if len(d.Credentials) >= maxCredentials {
		return fmt.Errorf("the device holds %d credentials already; revoke one first", len(d.Credentials))
	}
	d.Credentials = append(d.Credentials, c)
	return nil
}

// ErrNoCredential is the error of Withdraw for a credential the device has not.
var ErrNoCredential = errors.New("no such credential")

// Withdraw takes one credential away or, when id is empty, all of them and with
// them every certificate of a device CA that was issued until now.
func (d *Device) Withdraw(id string, now time.Time) error {
	if id == "" {
		d.TokenHash, d.Credentials, d.Revoked = nil, nil, now
		if d.Entry != nil && d.Entry.Used.IsZero() {
			d.Entry = nil // a claim code is one that is still to come
		}
		return nil
	}
	if id == tokenName && len(d.TokenHash) > 0 {
		d.TokenHash = nil
		return nil
	}
	before := len(d.Credentials)
	d.Credentials = slices.DeleteFunc(d.Credentials, func(c Credential) bool { return c.ID == id })
	if len(d.Credentials) == before {
		return fmt.Errorf("%w %.40q", ErrNoCredential, id)
	}
	return nil
}

// Proof is how a device has proven itself at the beginning of a session, so that
// the session can be ended when it would not any more.
type Proof struct {
	Kind CredentialKind
	// Secret is what the credential was compared with; empty for a certificate
	// of a device CA, of which Issued and Expires tell.
	Secret          []byte
	Issued, Expires time.Time
}

// Holds reports whether the device could still prove itself in this way.
func (d *Device) Holds(p Proof, now time.Time) bool {
	switch {
	case d.State == Retired:
		return false
	case len(p.Secret) == 0:
		return p.Kind == CredentialX509 && now.Before(p.Expires) && !p.Issued.Before(d.Revoked)
	case p.Kind == CredentialToken && bytes.Equal(p.Secret, d.TokenHash):
		return true
	}
	for i := range d.Credentials {
		if c := &d.Credentials[i]; c.Kind == p.Kind && bytes.Equal(c.Secret, p.Secret) {
			return c.Valid(now)
		}
	}
	return false
}

// token finds the credential a token matches, at the same cost whether there is
// one or not.
func (d *Device) token(hash [sha256.Size]byte, now time.Time) (p Proof, ok bool) {
	if len(d.TokenHash) == sha256.Size && subtle.ConstantTimeCompare(hash[:], d.TokenHash) == 1 {
		return Proof{Kind: CredentialToken, Secret: d.TokenHash}, true
	}
	for i := range d.Credentials {
		c := &d.Credentials[i]
		if c.Kind == CredentialToken && subtle.ConstantTimeCompare(hash[:], c.Secret) == 1 && c.Valid(now) {
			p, ok = Proof{Kind: CredentialToken, Secret: c.Secret, Expires: c.Expires}, true
		}
	}
	return p, ok
}

// FindPSK finds the device and the valid pre-shared key announced by identity.
func (r *Register) FindPSK(identity string) (*Device, *Credential, bool) {
	id, _, _ := strings.Cut(identity, ":")
	d, ok := r.Get(ID(id))
	if !ok || d.State == Retired {
		return nil, nil, false
	}
	now := time.Now()
	for i := range d.Credentials {
		if c := &d.Credentials[i]; c.Kind == CredentialPSK && c.Identity == identity && c.Valid(now) {
			return d, c, true
		}
	}
	return nil, nil, false
}

// ProveCertificate finds the device a verified certificate names. A certificate
// of the city's own CA counts when the register has it; one of another device
// CA when it was issued after the device's credentials were last revoked.
func (r *Register) ProveCertificate(c *Certificate) (*Device, Proof, error) {
	const detail = "no device holds this certificate"
	d, ok := r.Get(c.Device)
	if !ok || d.State == Retired {
		return nil, Proof{}, &Refusal{Reason: ReasonUnknownDevice, Device: c.Device, Detail: detail}
	}
	p := Proof{Kind: CredentialX509, Issued: c.NotBefore, Expires: c.NotAfter}
	if c.Own {
		p.Secret = c.Fingerprint[:]
	}
	if !d.Holds(p, time.Now()) {
		return nil, Proof{}, &Refusal{Reason: ReasonBadCredential, Device: c.Device, Detail: detail}
	}
	return d, p, nil
}

// Certificate is a device's certificate whose chain has been verified.
type Certificate struct {
	Device              ID // of its SAN URI
	Own                 bool
	Fingerprint         [sha256.Size]byte
	NotBefore, NotAfter time.Time
}

// URN is the SAN URI of a device's certificate.
func (id ID) URN() string { return urnPrefix + string(id) }

// ParseURN reads the SAN URI of a device's certificate.
func ParseURN(urn string) (ID, error) {
	id, ok := strings.CutPrefix(urn, urnPrefix)
	if !ok {
		return "", fmt.Errorf("%.120q does not begin with %s", urn, urnPrefix)
	}
	return ParseID(id)
}

const urnPrefix = "urn:dev:vonglau:"

// Expiring lists the valid credentials that end within a time and that no later
// one of their device replaces, the soonest first.
func (r *Register) Expiring(now time.Time, within time.Duration) []Expiry {
	var list []Expiry
	for _, d := range r.List() {
		if d.State == Retired {
			continue
		}
		for i := range d.Credentials {
			c := &d.Credentials[i]
			if c.Expires.IsZero() || !c.Valid(now) || c.Expires.Sub(now) > within || d.outlived(c) {
				continue
			}
			list = append(list, Expiry{d.ID, c.Public()})
		}
	}
	slices.SortStableFunc(list, func(a, b Expiry) int { return a.Credential.Expires.Compare(b.Credential.Expires) })
	return list
}

// Expiry is a credential that ends soon.
type Expiry struct {
	Device     ID         `json:"device"`
	Credential Credential `json:"credential"`
}

func (d *Device) outlived(c *Credential) bool {
	if c.Kind == CredentialToken && len(d.TokenHash) > 0 {
		return true
	}
	return slices.ContainsFunc(d.Credentials, func(o Credential) bool {
		return o.Kind == c.Kind && (o.Expires.IsZero() || o.Expires.After(c.Expires))
	})
}

func validCredentials(d *Device) error {
	seen := map[string]bool{}
	for i := range d.Credentials {
		c := &d.Credentials[i]
		switch {
		case c.ID == "" || seen[c.ID]:
			return fmt.Errorf("credential %q: needs an id of its own", c.ID)
		case !c.Kind.Known():
			return fmt.Errorf("credential %s: kind %q: use token, psk or x509", c.ID, c.Kind)
		case c.Kind == CredentialPSK && (len(c.Secret) == 0 || c.Identity == "" || seen["psk "+c.Identity]):
			return fmt.Errorf("credential %s: a key needs an identity of its own", c.ID)
		case c.Kind != CredentialPSK && len(c.Secret) != sha256.Size:
			return fmt.Errorf("credential %s: its hash has %d bytes, not %d", c.ID, len(c.Secret), sha256.Size)
		}
		if id, _, _ := strings.Cut(c.Identity, ":"); c.Kind == CredentialPSK && id != string(d.ID) {
			return fmt.Errorf("credential %s: identity %q is not of this device", c.ID, c.Identity)
		}
		seen[c.ID], seen["psk "+c.Identity] = true, true
	}
	return nil
}
