package devices

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Entry is how a device comes into the city by itself: by a claim code that an
// administrator made for it, or by the secret of a group. It counts once.
type Entry struct {
	// Group is the one it came by, empty for a claim code.
	Group string `json:"group,omitempty"`
	// Code is the hash of what it presents. A claim code has 100 random bits and
	// counts once, so a slow hash would protect nothing.
	Code    []byte    `json:"code"`
	Expires time.Time `json:"expires,omitzero"`
	// Used is when it was presented, Nonce the hash of what the device called
	// that attempt, Credential the one it was given.
	Used       time.Time `json:"used,omitzero"`
	Nonce      []byte    `json:"nonce,omitempty"`
	Credential string    `json:"credential,omitempty"`
}

// Open reports whether the device is still to come.
func (e *Entry) Open(now time.Time) bool {
	return e != nil && e.Used.IsZero() && now.Before(e.Expires)
}

const (
	// DefaultClaimTTL is how long a claim code counts: from the order of a
	// device to its place on a pole.
	DefaultClaimTTL = 30 * 24 * time.Hour
	maxClaimTTL     = 366 * 24 * time.Hour
	// answerLost is how long a device whose answer got lost may ask again.
	answerLost = 10 * time.Minute
)

// crockford is an alphabet without letters that people take for digits.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewClaim makes a claim code, which is kept as its hash; a ttl of zero is the
// default.
func NewClaim(now time.Time, ttl time.Duration) (code string, e *Entry, err error) {
	if ttl == 0 {
		ttl = DefaultClaimTTL
	}
	if ttl < time.Second || ttl > maxClaimTTL {
		return "", nil, fmt.Errorf("a claim code counts for 1s to %v, not %v", maxClaimTTL, ttl)
	}
	var b [13]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	text := crockford.EncodeToString(b[:])[:20]
	code = text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:]
	return code, &Entry{Code: hashClaim(code), Expires: now.UTC().Truncate(time.Millisecond).Add(ttl)}, nil
}

// hashClaim takes a code as people type it: case, hyphens and spaces do not
// matter, nor the letters that the alphabet leaves out for the digits they look
// like.
func hashClaim(code string) []byte {
	code = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	h := sha256.Sum256([]byte("claim\x00" + code))
	return h[:]
}

func hashGroup(secret string) []byte {
	h := sha256.Sum256([]byte("group\x00" + secret))
	return h[:]
}

// Group lets devices in that are not registered one by one: those that know its
// secret, up to a number and a time, into quarantine.
type Group struct {
	Name    string `json:"name"`
	Profile string `json:"profile"`
	// Prefix is what the ids its devices choose begin with.
	Prefix string `json:"prefix"`
	Site   string `json:"site,omitempty"`
	Owner  string `json:"owner,omitempty"`
	// SecretHash never leaves the register.
	SecretHash []byte `json:"secretHash,omitempty"`
	// Max bounds the devices it lets in, ever; Enrolled counts them.
	Max      int       `json:"max"`
	Enrolled int       `json:"enrolled"`
	Until    time.Time `json:"until"`
	Added    time.Time `json:"added"`
	Revoked  time.Time `json:"revoked,omitzero"`
}

// Public is the group without what its secret is compared with.
func (g Group) Public() Group {
	g.SecretHash = nil
	return g
}

// Bounds of groups. The defaults suit one delivery.
const (
	maxGroups         = 10_000
	DefaultGroupMax   = 100
	maxGroupMax       = 100_000
	DefaultGroupTime  = 30 * 24 * time.Hour
	maxGroupTime      = 366 * 24 * time.Hour
	minGroupSecret    = 16
	maxPresented      = 256
	maxEnrolmentNonce = 64
)

// Errors of the groups.
var (
	ErrNoGroup     = errors.New("no such enrolment group")
	ErrGroupExists = errors.New("the enrolment group exists already")
)

// Maker makes what a device proves itself by; *trust.Authority is one.
type Maker interface {
	Issue(d *Device, kind CredentialKind, lifetime time.Duration) (Credential, Secret, error)
	// Sign makes a certificate for the key of a request in PEM.
	Sign(d *Device, request []byte) (Credential, Secret, error)
}

// Enrolment lets devices in and gives them their first credential. It is safe
// for concurrent use. Whatever is wrong with what a stranger presents, the
// Refusal's reason is the same; its detail is for the record.
type Enrolment struct {
	register *Register
	store    Store
	maker    Maker
	now      func() time.Time

	mu     sync.Mutex
	groups map[string]*Group
}

// OpenEnrolment loads the groups from their store.
func OpenEnrolment(ctx context.Context, store Store, r *Register, m Maker, now func() time.Time) (*Enrolment, error) {
	e := &Enrolment{register: r, store: store, maker: m, now: now, groups: map[string]*Group{}}
	err := store.Load(ctx, func(key string, value []byte) error {
		g := new(Group)
		if err := json.Unmarshal(value, g); err != nil {
			return fmt.Errorf("enrolment group %q: %w", key, err)
		}
		e.groups[key] = g
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the enrolment groups: %w", err)
	}
	return e, nil
}

// clock is the time as the register keeps it.
func (e *Enrolment) clock() time.Time { return e.now().UTC().Truncate(time.Millisecond) }

// NewClaim gives a registered device a claim code; one it had ends.
func (e *Enrolment) NewClaim(ctx context.Context, id ID, ttl time.Duration) (code string, expires time.Time, err error) {
	err = e.register.Update(ctx, id, func(d *Device) (err error) {
		if d.State == Retired {
			return errors.New("the device is retired")
		}
		if code, d.Entry, err = NewClaim(e.clock(), ttl); err == nil {
			expires = d.Entry.Expires
		}
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return code, expires, nil
}

// AddGroup adds a group. Its secret, made when it is empty, is kept as a hash
// and never shown again.
func (e *Enrolment) AddGroup(ctx context.Context, g Group, secret string) (Group, string, error) {
	now := e.clock()
	if err := e.complete(&g, now); err != nil {
		return Group{}, "", fmt.Errorf("enrolment group %.80q: %w", g.Name, err)
	}
	if secret == "" {
		secret, _ = newToken()
	}
	if len(secret) < minGroupSecret || len(secret) > maxPresented {
		return Group{}, "", fmt.Errorf("enrolment group %q: a secret has %d to %d characters", g.Name, minGroupSecret, maxPresented)
	}
	g.SecretHash, g.Enrolled, g.Added, g.Revoked = hashGroup(secret), 0, now, time.Time{}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.groups[g.Name]; ok {
		return Group{}, "", fmt.Errorf("%w: %q", ErrGroupExists, g.Name)
	}
	if len(e.groups) >= maxGroups {
		return Group{}, "", fmt.Errorf("enrolment group %q: there are %d already", g.Name, len(e.groups))
	}
	if err := e.put(ctx, &g); err != nil {
		return Group{}, "", err
	}
	return g.Public(), secret, nil
}

// complete fills in what was left out and checks the rest.
func (e *Enrolment) complete(g *Group, now time.Time) error {
	if _, err := ParseID(g.Name); err != nil {
		return errors.New("a name has letters, digits, '-' and '_', a letter or digit first, at most 64")
	}
	if g.Prefix == "" {
		g.Prefix = g.Name + "-"
	}
	// Room for the device's own part.
	if _, err := ParseID(g.Prefix); err != nil || len(g.Prefix) > MaxIDLength-4 {
		return fmt.Errorf("prefix %.80q: need at most %d characters of a device id", g.Prefix, MaxIDLength-4)
	}
	p, ok := e.register.Catalogue().Profile(g.Profile)
	if !ok {
		return fmt.Errorf("profile %q is not in the catalogue", g.Profile)
	}
	g.Profile = p.Name
	for _, text := range []string{g.Site, g.Owner} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("site and owner are UTF-8 of at most %d bytes", maxText)
		}
	}
	if g.Max == 0 {
		g.Max = DefaultGroupMax
	}
	if g.Max < 1 || g.Max > maxGroupMax {
		return fmt.Errorf("it lets in 1 to %d devices, not %d", maxGroupMax, g.Max)
	}
	if g.Until.IsZero() {
		g.Until = now.Add(DefaultGroupTime)
	}
	if g.Until = g.Until.UTC().Truncate(time.Millisecond); !g.Until.After(now) || g.Until.Sub(now) > maxGroupTime {
		return fmt.Errorf("it ends within %v from now, not at %s", maxGroupTime, g.Until.Format(time.RFC3339))
	}
	return nil
}

// put keeps a group; it runs under mu.
func (e *Enrolment) put(ctx context.Context, g *Group) error {
	value, err := json.Marshal(g)
	if err == nil {
		err = e.store.Put(ctx, g.Name, value)
	}
	if err != nil {
		return fmt.Errorf("keeping enrolment group %q: %w", g.Name, err)
	}
	e.groups[g.Name] = g
	return nil
}

// RevokeGroup ends a group: nobody comes in by it any more. Those it let in
// stay as they are.
func (e *Enrolment) RevokeGroup(ctx context.Context, name string) (Group, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old, ok := e.groups[name]
	if !ok {
		return Group{}, fmt.Errorf("%w: %.80q", ErrNoGroup, name)
	}
	if !old.Revoked.IsZero() {
		return old.Public(), nil
	}
	g := *old
	g.Revoked = e.clock()
	if err := e.put(ctx, &g); err != nil {
		return Group{}, err
	}
	return g.Public(), nil
}

// Groups lists all groups by name, those revoked among them.
func (e *Enrolment) Groups() []Group {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Group, 0, len(e.groups))
	for _, g := range e.groups {
		list = append(list, g.Public())
	}
	slices.SortFunc(list, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Presented is what a device shows to be let in: a claim code, or a group and
// its secret.
type Presented struct {
	ID     ID     `json:"id"`
	Claim  string `json:"claim,omitempty"`
	Group  string `json:"group,omitempty"`
	Secret string `json:"secret,omitempty"`
	// Nonce names this attempt, so that the same device can ask again when the
	// answer got lost.
	Nonce    string `json:"nonce,omitempty"`
	Model    string `json:"model,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	// Credential is what it asks for: a token or a PSK. With CSR, a request in
	// PEM, it is given a certificate.
	Credential CredentialKind `json:"credential,omitempty"`
	CSR        string         `json:"csr,omitempty"`
}

// Evidence is what is kept of it: nothing that opens a door.
func (p *Presented) Evidence() []byte {
	shown := *p
	shown.Claim, shown.Secret, shown.Nonce, shown.CSR = "", "", "", ""
	raw, err := json.Marshal(shown)
	if err != nil {
		return nil
	}
	return raw[:min(len(raw), MaxRefusalPayload)]
}

func (p *Presented) check() error {
	bad := func(format string, args ...any) error { return Refuse(ReasonMalformed, format, args...) }
	if _, err := ParseID(string(p.ID)); err != nil {
		return bad("%v", err)
	}
	if (p.Claim == "") == (p.Group == "" && p.Secret == "") {
		return bad("present claim, or group and secret")
	}
	if p.Claim == "" && (p.Group == "" || p.Secret == "") {
		return bad("group and secret go together")
	}
	for _, text := range []string{p.Claim, p.Group, p.Secret} {
		if len(text) > maxPresented {
			return bad("claim, group and secret have at most %d characters", maxPresented)
		}
	}
	if len(p.Nonce) > maxEnrolmentNonce {
		return bad("a nonce has at most %d characters", maxEnrolmentNonce)
	}
	for _, text := range []string{p.Model, p.Firmware} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return bad("model and firmware are UTF-8 of at most %d bytes", maxText)
		}
	}
	switch {
	case p.CSR != "" && p.Credential != "" && p.Credential != CredentialX509:
		return bad("a csr asks for a certificate, not for a %.20s", p.Credential)
	case p.CSR == "" && p.Credential == CredentialX509:
		return bad("a certificate needs a csr")
	case p.Credential != "" && !p.Credential.Known():
		return bad("credential %.20q: use token or psk, or send a csr", p.Credential)
	}
	return nil
}

func (p *Presented) nonce() []byte {
	if p.Nonce == "" {
		return nil
	}
	h := sha256.Sum256([]byte(p.Nonce))
	return h[:]
}

// noEntry refuses what was presented. Whoever presented it learns nothing from
// the detail.
func noEntry(id ID, format string, args ...any) *Refusal {
	r := Refuse(ReasonBadCredential, "enrolment: "+format, args...)
	r.Device = id
	return r
}

// Enrol lets a device in, and gives it the credential it proves itself by from
// now on. The device is then active, or in quarantine when it came by a group or
// is not what its profile's norm asks for. Errors are Refusals, but for those of
// the store.
func (e *Enrolment) Enrol(ctx context.Context, p *Presented) (*Device, Secret, error) {
	if err := p.check(); err != nil {
		return nil, Secret{}, err
	}
	if p.Group != "" {
		return e.join(ctx, p)
	}
	return e.claim(ctx, p)
}

// claim lets in the device that a claim code was made for.
func (e *Enrolment) claim(ctx context.Context, p *Presented) (*Device, Secret, error) {
	code, now := hashClaim(p.Claim), e.clock()
	d, ok := e.register.Get(p.ID)
	if !ok {
		d = &Device{ID: p.ID} // has no entry
	}
	// Before Update, which strangers would otherwise queue up for.
	if _, err := d.mayEnter(code, "", p, now); err != nil {
		return nil, Secret{}, err
	}
	return e.admit(ctx, code, "", p, now)
}

// mayEnter tells whether what was presented lets the device in, for the first
// time or again.
func (d *Device) mayEnter(code []byte, group string, p *Presented, now time.Time) (again bool, err error) {
	var entry Entry
	if d.Entry != nil {
		entry = *d.Entry
	}
	known := entry.Code
	if len(known) != sha256.Size {
		known = make([]byte, sha256.Size)
	}
	match := subtle.ConstantTimeCompare(code, known) == 1
	switch {
	case !match || entry.Group != group:
		return false, noEntry(d.ID, "what was presented is not this device's")
	case d.State == Retired:
		return false, noEntry(d.ID, "the device is retired")
	case entry.Used.IsZero() && !now.Before(entry.Expires):
		return false, noEntry(d.ID, "the claim code expired at %s", entry.Expires.Format(time.RFC3339))
	case entry.Used.IsZero():
		return false, nil
	}
	used := entry.Used.Format(time.RFC3339)
	if nonce := p.nonce(); nonce == nil || subtle.ConstantTimeCompare(nonce, entry.Nonce) != 1 {
		return false, noEntry(d.ID, "used already at %s", used)
	}
	if now.Sub(entry.Used) >= answerLost || now.Before(entry.Used) {
		return false, noEntry(d.ID, "used at %s, which is too long ago to ask again", used)
	}
	if !slices.ContainsFunc(d.Credentials, func(c Credential) bool { return c.ID == entry.Credential }) {
		return false, noEntry(d.ID, "used at %s, and what it gave was taken away", used)
	}
	return true, nil
}

// admit is the change of the register that lets a device in: its credential, its
// state and the end of the code are one write.
func (e *Enrolment) admit(ctx context.Context, code []byte, group string, p *Presented, now time.Time) (*Device, Secret, error) {
	var secret Secret
	err := e.register.Update(ctx, p.ID, func(d *Device) error {
		again, err := d.mayEnter(code, group, p, now)
		if err != nil {
			return err
		}
		entry := *d.Entry
		if again {
			if err := d.Withdraw(entry.Credential, now); err != nil {
				return err
			}
		} else {
			entry.Used, entry.Nonce = now, p.nonce()
			if d.takeReport(p, e.register.Catalogue()) {
				d.State = Quarantine
			} else if d.State == Announced {
				d.State = Active
			}
		}
		if secret, err = e.give(d, &entry, p, now); err != nil {
			return err
		}
		d.Entry = &entry
		return nil
	})
	if errors.Is(err, ErrNoDevice) {
		err = noEntry(p.ID, "the device is gone")
	}
	if err != nil {
		return nil, Secret{}, err
	}
	d, ok := e.register.Get(p.ID)
	if !ok {
		return nil, Secret{}, noEntry(p.ID, "the device is gone")
	}
	return d, secret, nil
}

// takeReport keeps what a device says it is, and reports whether somebody has to
// look at it: it is not what was registered, or not what its norm admits.
func (d *Device) takeReport(p *Presented, c *Catalogue) (differs bool) {
	if p.Model != "" {
		differs = d.Model != "" && !strings.EqualFold(d.Model, p.Model)
		d.Model = p.Model
	}
	if p.Firmware != "" {
		d.Firmware = p.Firmware
	}
	profile, ok := c.Profile(d.Profile)
	return differs || !ok || len(profile.admits(d)) > 0
}

// give makes the device's credential and enters it.
func (e *Enrolment) give(d *Device, entry *Entry, p *Presented, now time.Time) (Secret, error) {
	kind := p.Credential
	if p.CSR != "" {
		kind = CredentialX509
	}
	if profile, ok := e.register.Catalogue().Profile(d.Profile); ok && len(profile.Norm.Credentials) > 0 {
		allowed := profile.Norm.Credentials
		if kind == "" {
			kind = allowed[0]
		}
		if !slices.Contains(allowed, kind) || kind == CredentialX509 && p.CSR == "" {
			return Secret{}, Refuse(ReasonMalformed, "profile %s is given %s; ask for that (a certificate by a csr)", profile.Name, kinds(allowed))
		}
	}
	if kind == "" {
		kind = CredentialToken
	}
	var c Credential
	var secret Secret
	var err error
	if kind == CredentialX509 {
		if c, secret, err = e.maker.Sign(d, []byte(p.CSR)); err != nil {
			return Secret{}, Refuse(ReasonMalformed, "%v", err)
		}
	} else if c, secret, err = e.maker.Issue(d, kind, 0); err != nil {
		return Secret{}, err
	}
	entry.Credential = c.ID
	return secret, d.Grant(c, -1, now)
}

// join lets a device in by a group's secret. The number is taken before the
// device is registered: a crash between the two costs a place, never a bound.
func (e *Enrolment) join(ctx context.Context, p *Presented) (*Device, Secret, error) {
	code, now := hashGroup(p.Secret), e.clock()
	e.mu.Lock()
	defer e.mu.Unlock()
	g, known := e.groups[p.Group]
	hash := make([]byte, sha256.Size)
	if known {
		hash = g.SecretHash
	}
	match := subtle.ConstantTimeCompare(code, hash) == 1
	switch {
	case !known || !match:
		return nil, Secret{}, noEntry(p.ID, "group and secret do not match")
	case !g.Revoked.IsZero():
		return nil, Secret{}, noEntry(p.ID, "group %s was revoked at %s", g.Name, g.Revoked.Format(time.RFC3339))
	case !now.Before(g.Until):
		return nil, Secret{}, noEntry(p.ID, "group %s ended at %s", g.Name, g.Until.Format(time.RFC3339))
	case !strings.HasPrefix(string(p.ID), g.Prefix) || len(p.ID) == len(g.Prefix):
		return nil, Secret{}, noEntry(p.ID, "an id of group %s begins with %s", g.Name, g.Prefix)
	}
	if d, ok := e.register.Get(p.ID); ok {
		if d.Entry == nil || d.Entry.Group != g.Name || !bytes.Equal(d.Entry.Code, code) {
			return nil, Secret{}, noEntry(p.ID, "the id is taken")
		}
		if _, err := d.mayEnter(code, g.Name, p, now); err != nil {
			return nil, Secret{}, err
		}
		return e.admit(ctx, code, g.Name, p, now)
	}
	if g.Enrolled >= g.Max {
		return nil, Secret{}, noEntry(p.ID, "group %s has let in %d devices and is full", g.Name, g.Enrolled)
	}
	entry := &Entry{Group: g.Name, Code: code, Used: now, Nonce: p.nonce()}
	d := Device{ID: p.ID, Profile: g.Profile, Site: g.Site, Owner: g.Owner, Model: p.Model, Firmware: p.Firmware, State: Quarantine, Added: now, Entry: entry}
	secret, err := e.give(&d, entry, p, now)
	if err != nil {
		return nil, Secret{}, err
	}
	next := *g
	next.Enrolled++
	if err := e.put(ctx, &next); err != nil {
		return nil, Secret{}, err
	}
	if _, err := e.register.Add(ctx, d); err != nil {
		if errors.Is(err, ErrDeviceExists) {
			err = noEntry(p.ID, "the id is taken")
		}
		// A place is lost when this fails too; the error above is the one that
		// matters.
		_ = e.put(context.WithoutCancel(ctx), g)
		return nil, Secret{}, err
	}
	return &d, secret, nil
}
