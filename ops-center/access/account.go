package access

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Store keeps accounts or tokens, each under its id. A change is on disk when
// the call returns nil.
type Store interface {
	Load(ctx context.Context, each func(key string, value []byte) error) error
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// Account is a person as others see them.
type Account struct {
	ID         string   `json:"id"` // what they log in with
	Name       string   `json:"name" personal:"name"`
	Role       Role     `json:"role"`
	Department string   `json:"department,omitempty"`
	Wards      []string `json:"wards,omitempty"`
	Language   string   `json:"language,omitempty"` // vi or en
	Disabled   bool     `json:"disabled,omitempty"`
	// Origin is local or oidc. An account of the provider has no password here,
	// and its role and department are the provider's.
	Origin    string     `json:"origin"`
	Created   time.Time  `json:"created"`
	LastLogin *time.Time `json:"lastLogin,omitempty"`
	// TOTP tells whether log-in takes a code, MustChange whether the password
	// is a one-time one.
	TOTP       bool `json:"totp"`
	MustChange bool `json:"mustChange,omitempty"`
}

// Origins of accounts.
const (
	LocalOrigin = "local"
	OIDCOrigin  = "oidc"
)

// person is an account as it is kept. It is not changed once it is in the map:
// a change makes another.
type person struct {
	Account
	Password string `json:"password,omitempty"` // PHC string
	// OneTime is until when a one-time password counts.
	OneTime  time.Time `json:"oneTime,omitzero"`
	Secret   string    `json:"secret,omitempty"`   // of TOTP, sealed
	Step     uint64    `json:"step,omitempty"`     // of the newest code used
	Recovery []string  `json:"recovery,omitempty"` // hashes of codes not used
	Subject  string    `json:"subject,omitempty"`  // issuer and sub at the provider
	// Epoch rises whenever what was opened before must end.
	Epoch int `json:"epoch"`
}

func (p *person) principal() Principal {
	return Principal{ID: p.ID, Name: p.Name, Role: p.Role, Department: p.Department, Wards: p.Wards}
}

func (p *person) copy() *person {
	c := *p
	c.Wards, c.Recovery = slices.Clone(p.Wards), slices.Clone(p.Recovery)
	return &c
}

// Errors of accounts and tokens.
var (
	ErrNoAccount     = errors.New("no such account")
	ErrAccountExists = errors.New("the account exists already")
	ErrNoToken       = errors.New("no such token")
	ErrWrongPassword = errors.New("the password is wrong")
	ErrWrongCode     = errors.New("the code is wrong, or was used already")
	ErrOfProvider    = errors.New("the account is the identity provider's: change it there")
	ErrNoPerson      = errors.New("only a person who has logged in can do that; this is a token")
)

// Invalid is an error of what was asked for, in words for whoever asked.
type Invalid struct{ Detail string }

func (e *Invalid) Error() string { return e.Detail }

func invalid(format string, args ...any) error { return &Invalid{fmt.Sprintf(format, args...)} }

const (
	maxAccounts = 10000
	maxNameText = 200
	maxWards    = 500
	// oneTimeLasts is how long a one-time password counts.
	oneTimeLasts = 72 * time.Hour
	storeTime    = 10 * time.Second
)

// accountID: what can be in an address without a second look.
var accountID = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,63}$`)

// people are the accounts.
type people struct {
	store Store

	change    sync.Mutex // one change at a time: the order in memory is that on disk
	mu        sync.RWMutex
	byID      map[string]*person
	bySubject map[string]string
}

func openPeople(ctx context.Context, store Store) (*people, error) {
	p := &people{store: store, byID: map[string]*person{}, bySubject: map[string]string{}}
	err := store.Load(ctx, func(key string, value []byte) error {
		var one person
		if err := json.Unmarshal(value, &one); err != nil {
			return fmt.Errorf("account %q: %w", key, err)
		}
		p.put(&one)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("access: load the accounts: %w", err)
	}
	return p, nil
}

// put runs under mu, or before anybody else knows p.
func (p *people) put(one *person) {
	p.byID[one.ID] = one
	if one.Subject != "" {
		p.bySubject[one.Subject] = one.ID
	}
}

func (p *people) get(id string) *person {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[id]
}

// update changes an account by f, on disk before in memory. f gets a copy.
func (p *people) update(ctx context.Context, id string, f func(*person) error) (before, after *person, err error) {
	p.change.Lock()
	defer p.change.Unlock()
	if before = p.get(id); before == nil {
		return nil, nil, ErrNoAccount
	}
	after = before.copy()
	if err := f(after); err != nil {
		return nil, nil, err
	}
	if reflect.DeepEqual(before, after) {
		return before, before, nil // nothing to write
	}
	return before, after, p.save(ctx, after)
}

// add adds an account.
func (p *people) add(ctx context.Context, one *person) error {
	p.change.Lock()
	defer p.change.Unlock()
	p.mu.RLock()
	_, taken := p.byID[one.ID]
	n := len(p.byID)
	p.mu.RUnlock()
	switch {
	case taken:
		return ErrAccountExists
	case n >= maxAccounts:
		return invalid("there are %d accounts already", n)
	}
	return p.save(ctx, one)
}

// save runs under change.
func (p *people) save(ctx context.Context, one *person) error {
	raw, err := json.Marshal(one)
	if err != nil {
		return err
	}
	// A request that is gone must not leave memory and disk apart.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := p.store.Put(ctx, one.ID, raw); err != nil {
		return fmt.Errorf("access: keep account %s: %w", one.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(one)
	return nil
}

// check says what is wrong with an account.
func (acc *Account) check() error {
	acc.Name = strings.Join(strings.Fields(norm.NFC.String(acc.Name)), " ")
	acc.Department = strings.Join(strings.Fields(norm.NFC.String(acc.Department)), " ")
	switch {
	case !accountID.MatchString(acc.ID):
		return invalid("id %q: 1 to 64 of a-z, 0-9 and . _ @ + -, a letter or digit first", acc.ID)
	case acc.ID == adminID:
		return invalid("id %q is the administrator's token: give everybody a name of their own", acc.ID)
	case acc.Name == "" || len(acc.Name) > maxNameText || !utf8.ValidString(acc.Name):
		return invalid("a person has a name of at most %d bytes", maxNameText)
	case len(acc.Department) > maxNameText:
		return invalid("a department's name has at most %d bytes", maxNameText)
	case !acc.Role.Known() || acc.Role == Display || acc.Role == DeviceRole:
		return invalid("role %q: a person is one of %s", acc.Role, roleNames(Display, DeviceRole))
	case acc.Role == Officer && acc.Department == "" && len(acc.Wards) == 0:
		return invalid("an officer needs a department or wards: without them nothing is to be seen")
	case acc.Language != "" && acc.Language != "vi" && acc.Language != "en":
		return invalid("language %q: vi or en", acc.Language)
	case len(acc.Wards) > maxWards:
		return invalid("%d wards: at most %d", len(acc.Wards), maxWards)
	}
	for _, w := range acc.Wards {
		if w == "" || len(w) > 64 {
			return invalid("ward %.80q: write the code of a zone", w)
		}
	}
	return nil
}

func roleNames(but ...Role) string {
	var names []string
	for _, r := range Roles() {
		if !slices.Contains(but, r) {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, ", ")
}

// Accounts lists everybody, by id.
func (a *Access) Accounts() []Account {
	a.people.mu.RLock()
	defer a.people.mu.RUnlock()
	list := make([]Account, 0, len(a.people.byID))
	for _, p := range a.people.byID {
		list = append(list, p.Account)
	}
	slices.SortFunc(list, func(x, y Account) int { return cmp.Compare(x.ID, y.ID) })
	return list
}

// Account gives one.
func (a *Access) Account(id string) (Account, bool) {
	p := a.people.get(id)
	if p == nil {
		return Account{}, false
	}
	return p.Account, true
}

// AddAccount adds a local account. The password it gives is one-time: whoever
// logs in with it must set another.
func (a *Access) AddAccount(ctx context.Context, acc Account) (Account, string, error) {
	acc.Origin, acc.Created, acc.LastLogin, acc.TOTP, acc.Disabled = LocalOrigin, time.Now().UTC(), nil, false, false
	acc.MustChange = true
	if err := acc.check(); err != nil {
		return acc, "", err
	}
	for i := range a.tokens {
		if a.tokens[i].Name == acc.ID {
			return acc, "", invalid("id %q is that of a token in the configuration", acc.ID)
		}
	}
	password := oneTimePassword()
	phc, err := a.hasher.hash(password)
	if err != nil {
		return acc, "", err
	}
	one := &person{Account: acc, Password: phc, OneTime: acc.Created.Add(oneTimeLasts), Epoch: 1}
	return acc, password, a.people.add(ctx, one)
}

// Change is what can be changed of an account by others; nil leaves as it is.
type Change struct {
	Name       *string
	Role       *Role
	Department *string
	Wards      *[]string
	Language   *string
	Disabled   *bool
}

// ChangeAccount changes an account. Role and bounds count from the next request
// on; disabling ends sessions, tokens and sockets.
func (a *Access) ChangeAccount(ctx context.Context, id string, c Change) (before, after Account, err error) {
	b, n, err := a.people.update(ctx, id, func(p *person) error {
		if p.Origin == OIDCOrigin && (c.Role != nil && *c.Role != p.Role || c.Department != nil && *c.Department != p.Department || c.Name != nil && *c.Name != p.Name) {
			return ErrOfProvider
		}
		set(&p.Name, c.Name)
		set(&p.Role, c.Role)
		set(&p.Department, c.Department)
		set(&p.Wards, c.Wards)
		set(&p.Language, c.Language)
		if c.Disabled != nil && *c.Disabled != p.Disabled {
			p.Disabled = *c.Disabled
			p.Epoch++
		}
		return p.check()
	})
	if err != nil {
		return before, after, err
	}
	if n.Disabled {
		a.endSessionsOf(id, "")
	}
	return b.Account, n.Account, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// DeleteAccount removes an account and what it opened. Its id can be given
// again, so whoever is on record is better disabled.
func (a *Access) DeleteAccount(ctx context.Context, id string) (Account, error) {
	p := a.people
	p.change.Lock()
	defer p.change.Unlock()
	one := p.get(id)
	if one == nil {
		return Account{}, ErrNoAccount
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	// Its tokens go first: they must not pass to a later account of that id.
	if err := a.programs.deleteOf(ctx, id); err != nil {
		return Account{}, err
	}
	if err := p.store.Delete(ctx, id); err != nil {
		return Account{}, fmt.Errorf("access: remove account %s: %w", id, err)
	}
	p.mu.Lock()
	delete(p.byID, id)
	delete(p.bySubject, one.Subject)
	p.mu.Unlock()
	a.endSessionsOf(id, "")
	return one.Account, nil
}

// ResetPassword gives a local account a one-time password, ends its sessions
// and forgets failed attempts; totp also takes its second factor off, for a
// telephone that was lost.
func (a *Access) ResetPassword(ctx context.Context, id string, totp bool) (string, error) {
	password := oneTimePassword()
	phc, err := a.hasher.hash(password)
	if err != nil {
		return "", err
	}
	_, _, err = a.people.update(ctx, id, func(p *person) error {
		if p.Origin != LocalOrigin {
			return ErrOfProvider
		}
		p.Password, p.MustChange, p.OneTime = phc, true, time.Now().Add(oneTimeLasts)
		if totp {
			p.Secret, p.Recovery, p.TOTP, p.Step = "", nil, false, 0
		}
		p.Epoch++
		return nil
	})
	if err != nil {
		return "", err
	}
	a.guard.forgive("account " + id)
	a.endSessionsOf(id, "")
	return password, nil
}

// SetPassword lets the person of a context set another password. Every other
// session of theirs ends.
func (a *Access) SetPassword(ctx context.Context, old, password string) error {
	c, p, err := a.self(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(c, p, old); err != nil {
		return err
	}
	if err := CheckPassword(password, p.ID, p.Name); err != nil {
		return &Invalid{err.Error()}
	}
	if string(canonical(old)) == string(canonical(password)) {
		return invalid("the new password is the old one")
	}
	phc, err := a.hasher.hash(password)
	if err != nil {
		return err
	}
	_, after, err := a.people.update(ctx, p.ID, func(n *person) error {
		if n.Password != p.Password {
			return ErrWrongPassword // somebody reset it meanwhile
		}
		n.Password, n.MustChange, n.OneTime = phc, false, time.Time{}
		n.Epoch++
		return nil
	})
	if err != nil {
		return err
	}
	return a.keepSession(c.session, after.Epoch)
}

// self gives the person of a context: one with an account and a session, not a
// token that acts for somebody.
func (a *Access) self(ctx context.Context) (caller, *person, error) {
	c, _ := ctx.Value(contextKey{}).(caller)
	if c.session == nil || c.account == "" {
		return c, nil, ErrNoPerson
	}
	p := a.people.get(c.account)
	if p == nil {
		return c, nil, ErrNoAccount
	}
	return c, p, nil
}

// confirm checks a person's password again before what matters (ASVS 7.5.1).
func (a *Access) confirm(c caller, p *person, password string) error {
	if p.Origin != LocalOrigin {
		return ErrOfProvider
	}
	key := "session " + c.session.id
	if wait, _ := a.guard.begin(time.Now(), key); wait > 0 {
		return &Refusal{Status: 429, Reason: "too_many", Detail: "too many wrong passwords", Retry: wait}
	}
	ok, err := a.hasher.verify(p.Password, password)
	if err != nil {
		return err
	}
	if !ok {
		return ErrWrongPassword
	}
	a.guard.forgive(key)
	return nil
}

// BeginTOTP gives the person of a context a secret for their app. It counts
// once ConfirmTOTP has seen a code of it.
func (a *Access) BeginTOTP(ctx context.Context, password string) (secret, link string, err error) {
	c, p, err := a.self(ctx)
	if err != nil {
		return "", "", err
	}
	if err := a.confirm(c, p, password); err != nil {
		return "", "", err
	}
	var b [totpSecret]byte
	rand.Read(b[:])
	a.mu.Lock()
	c.session.pending = b[:]
	a.mu.Unlock()
	secret = base32Secret.EncodeToString(b[:])
	return secret, otpauth("Vonglau", p.ID, secret), nil
}

// ConfirmTOTP switches the second factor on and gives the recovery codes.
func (a *Access) ConfirmTOTP(ctx context.Context, code string) ([]string, error) {
	c, p, err := a.self(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	secret := c.session.pending
	a.mu.Unlock()
	if secret == nil {
		return nil, invalid("begin with a new secret")
	}
	step, ok := checkTOTP(secret, code, time.Now(), 0)
	if !ok {
		return nil, ErrWrongCode
	}
	sealed, err := a.seal(p.ID, secret)
	if err != nil {
		return nil, err
	}
	codes, kept := newRecovery()
	_, after, err := a.people.update(ctx, p.ID, func(n *person) error {
		n.Secret, n.Step, n.Recovery, n.TOTP = sealed, step, kept, true
		n.Epoch++ // what was opened by the password alone ends
		return nil
	})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	c.session.pending = nil
	c.session.assurance = PasswordTOTP
	a.mu.Unlock()
	return codes, a.keepSession(c.session, after.Epoch)
}

// RemoveTOTP switches the second factor off.
func (a *Access) RemoveTOTP(ctx context.Context, password string) error {
	c, p, err := a.self(ctx)
	if err != nil {
		return err
	}
	if err := a.confirm(c, p, password); err != nil {
		return err
	}
	_, _, err = a.people.update(ctx, p.ID, func(n *person) error {
		n.Secret, n.Step, n.Recovery, n.TOTP = "", 0, nil, false
		return nil
	})
	return err
}

// SetLanguage keeps the language of the person of a context.
func (a *Access) SetLanguage(ctx context.Context, language string) error {
	_, p, err := a.self(ctx)
	if err != nil {
		return err
	}
	_, _, err = a.people.update(ctx, p.ID, func(n *person) error {
		n.Language = language
		return n.check()
	})
	return err
}

// keyFile holds the key that seals what must be read again, TOTP secrets, and
// signs cookies. It is apart from the accounts, so that neither a copy of the
// journal nor this file alone gives a second factor away.
const keyFile = "access.key"

func (a *Access) loadKey() error {
	path := filepath.Join(a.opt.Dir, keyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(NewToken())
		err = writeFile(path, b)
	}
	if err != nil {
		return fmt.Errorf("access: the key of second factors and cookies: %w", err)
	}
	if len(b) < minTokenLength {
		return fmt.Errorf("access: %s holds %d bytes, too few for a key; restore it, or delete it and have second factors set anew", path, len(b))
	}
	a.key = b
	return nil
}

// derive gives a key for one purpose.
func (a *Access) derive(purpose string) []byte {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

func (a *Access) sealer() (cipher.AEAD, error) {
	block, err := aes.NewCipher(a.derive("totp"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (a *Access) seal(id string, secret []byte) (string, error) {
	s, err := a.sealer()
	if err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(s.Seal(nil, nil, secret, []byte(id))), nil
}

func (a *Access) unseal(id, sealed string) ([]byte, error) {
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	s, err := a.sealer()
	if err != nil {
		return nil, err
	}
	secret, err := s.Open(nil, nil, raw, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("access: the second factor of %s was sealed by another %s: restore that file, or reset the account: %w", id, keyFile, err)
	}
	return secret, nil
}

// memory is the Store of an Access without one: accounts end with it.
type memory struct{}

func (memory) Load(context.Context, func(string, []byte) error) error { return nil }
func (memory) Put(context.Context, string, []byte) error              { return nil }
func (memory) Delete(context.Context, string) error                   { return nil }
