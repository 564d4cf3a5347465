package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// TokenPrefix begins every API token, so that scanners of repositories and
// mail find one that got out.
const TokenPrefix = "vgl_"

// ProgramID begins Principal.ID of an API token that acts for nobody's account.
const ProgramID = "token:"

// Kinds of API tokens.
const (
	OwnToken     = "person"  // acts for an account, with no more than its role
	ProgramToken = "program" // of a department or a program, with a role of its own
	DisplayToken = "display" // of one wall screen
)

// Bounds and defaults of API tokens.
const (
	TokenLasts     = 90 * 24 * time.Hour
	TokenMost      = 366 * 24 * time.Hour
	TokenPerMinute = 600
	TokenPerDay    = 200_000
	maxTokens      = 10000
	maxNetworks    = 16
	// usedEvery is how coarse last use is: it is written once in this time.
	usedEvery = time.Minute
)

// APIToken is a token as it is shown. What is kept of it cannot be used as one.
type APIToken struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // person, program, display
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	// Owner is the account it acts for, whose role and bounds it has.
	Owner      string   `json:"owner,omitempty"`
	Role       Role     `json:"role,omitempty"`
	Department string   `json:"department,omitempty"`
	Wards      []string `json:"wards,omitempty"`
	// Scope is what it may do of what its role may; empty for all of it.
	Scope []Permission `json:"scope,omitempty"`
	// Screen is the display it opens.
	Screen string `json:"screen,omitempty"`
	// Networks are the only ones it is taken from; empty for any.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// PerMinute and PerDay are how many requests it may make.
	PerMinute int        `json:"perMinute"`
	PerDay    int        `json:"perDay"`
	Created   time.Time  `json:"created"`
	CreatedBy string     `json:"createdBy"`
	Expires   time.Time  `json:"expires"`
	LastUsed  *time.Time `json:"lastUsed,omitempty"` // to the minute
	Revoked   *time.Time `json:"revoked,omitempty"`
}

// program is a token as it is kept, with its counts.
type program struct {
	APIToken
	Hash string `json:"hash"` // of the whole token, base64
	// Day and Count are the day's requests as last written.
	Day   string `json:"day,omitempty"`
	Count int    `json:"count,omitempty"`

	hash   Hash
	minute int64 // since 1970, that inMinute counts
	inMin  int
	wrote  time.Time
}

// programs are the API tokens.
type programs struct {
	store Store

	change sync.Mutex // one write at a time, of what mu guards at that moment; taken before mu
	mu     sync.Mutex
	byID   map[string]*program
}

func openPrograms(ctx context.Context, store Store) (*programs, error) {
	p := &programs{store: store, byID: map[string]*program{}}
	err := store.Load(ctx, func(key string, value []byte) error {
		one := &program{}
		if err := json.Unmarshal(value, one); err != nil {
			return fmt.Errorf("token %q: %w", key, err)
		}
		raw, err := base64.RawStdEncoding.DecodeString(one.Hash)
		if err != nil || len(raw) != len(one.hash) {
			return fmt.Errorf("token %q: its hash is damaged", key)
		}
		copy(one.hash[:], raw)
		p.byID[key] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("access: load the API tokens: %w", err)
	}
	return p, nil
}

func (p *programs) save(ctx context.Context, one *program) error {
	raw, err := json.Marshal(one)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := p.store.Put(ctx, one.ID, raw); err != nil {
		return fmt.Errorf("access: keep token %s: %w", one.ID, err)
	}
	return nil
}

// AddToken makes a token and gives it, this once. Whose it is and what it may
// do is checked here; who may ask for it is the caller's to know.
func (a *Access) AddToken(ctx context.Context, t APIToken, lasts time.Duration) (APIToken, string, error) {
	who, _ := From(ctx)
	now := time.Now().UTC().Truncate(time.Second)
	t.ID, t.Created, t.CreatedBy = tokenID(), now, cmp.Or(t.CreatedBy, who.ID)
	t.LastUsed, t.Revoked = nil, nil
	if lasts == 0 {
		lasts = TokenLasts
	}
	t.Expires = now.Add(lasts)
	t.PerMinute, t.PerDay = cmp.Or(t.PerMinute, TokenPerMinute), cmp.Or(t.PerDay, TokenPerDay)
	if err := a.checkToken(&t, lasts); err != nil {
		return t, "", err
	}
	secret := TokenPrefix + t.ID + "_" + NewToken()
	one := &program{APIToken: t, hash: HashToken(secret)}
	one.Hash = base64.RawStdEncoding.EncodeToString(one.hash[:])
	p := a.programs
	p.change.Lock()
	defer p.change.Unlock()
	p.mu.Lock()
	n := len(p.byID)
	p.mu.Unlock()
	if n >= maxTokens {
		return t, "", invalid("there are %d tokens already: remove those that have ended", n)
	}
	if err := p.save(ctx, one); err != nil {
		return t, "", err
	}
	p.mu.Lock()
	p.byID[t.ID] = one
	p.mu.Unlock()
	return t, secret, nil
}

func (a *Access) checkToken(t *APIToken, lasts time.Duration) error {
	t.Name, t.Purpose = strings.Join(strings.Fields(t.Name), " "), strings.TrimSpace(t.Purpose)
	role := t.Role
	switch t.Kind {
	case OwnToken:
		p := a.people.get(t.Owner)
		if p == nil {
			return ErrNoAccount
		}
		if t.Role != "" || t.Department != "" || len(t.Wards) > 0 || t.Screen != "" {
			return invalid("a token of a person has the role and bounds of its owner")
		}
		role = p.Role
	case ProgramToken:
		if t.Owner != "" || t.Screen != "" {
			return invalid("a token of a program has no owner and no screen")
		}
		acc := Account{ID: "x", Name: "x", Role: t.Role, Department: t.Department, Wards: t.Wards}
		if err := acc.check(); err != nil {
			return err
		}
		t.Department = acc.Department
	case DisplayToken:
		if t.Role != "" && t.Role != Display || t.Owner != "" || t.Department != "" || len(t.Wards) > 0 || len(t.Scope) > 0 {
			return invalid("a token of a display has that role, a screen and nothing else")
		}
		t.Role, role = Display, Display
		if t.Screen == "" || len(t.Screen) > 64 {
			return invalid("a token of a display names its screen, in at most 64 bytes")
		}
	default:
		return invalid("kind %q: person, program or display", t.Kind)
	}
	switch {
	case t.Name == "" || len(t.Name) > maxNameText || !utf8.ValidString(t.Name):
		return invalid("a token has a name of at most %d bytes", maxNameText)
	case t.Purpose == "" || len(t.Purpose) > 1000 || !utf8.ValidString(t.Purpose):
		return invalid("say what the token is for, in at most 1000 bytes")
	case lasts < time.Minute || lasts > TokenMost:
		return invalid("a token lasts a minute to %d days", int(TokenMost.Hours()/24))
	case t.PerMinute < 1 || t.PerMinute > 100_000 || t.PerDay < 1 || t.PerDay > 100_000_000:
		return invalid("a token makes 1 to 100,000 requests a minute and 1 to 100,000,000 a day")
	case len(t.Networks) > maxNetworks:
		return invalid("%d networks: at most %d", len(t.Networks), maxNetworks)
	}
	for i, n := range t.Networks {
		if !n.IsValid() {
			return invalid("network %d is none: write 2001:db8:7::/48", i+1)
		}
		t.Networks[i] = n.Masked()
	}
	for _, s := range t.Scope {
		if !slices.Contains(permissions, s) {
			return invalid("scope %q: no such permission", s)
		}
		if !role.May(s) {
			return invalid("scope %q: role %s may not do that", s, role)
		}
	}
	return nil
}

func tokenID() string {
	var b [5]byte
	rand.Read(b[:])
	return strings.ToLower(base32Secret.EncodeToString(b[:]))
}

// caller gives who acts by a token that has not ended.
func (p *programs) caller(a *Access, id string, now time.Time) (caller, error) {
	p.mu.Lock()
	one := p.byID[id]
	var t APIToken
	if one != nil {
		t = one.APIToken
	}
	p.mu.Unlock()
	switch {
	case one == nil:
		return caller{}, fmt.Errorf("the token is not valid")
	case t.Revoked != nil:
		return caller{}, fmt.Errorf("the token was revoked")
	case !now.Before(t.Expires):
		return caller{}, fmt.Errorf("the token has expired")
	}
	c := caller{program: id, networks: t.Networks}
	if t.Kind == OwnToken {
		owner := a.people.get(t.Owner)
		if owner == nil || owner.Disabled {
			return caller{}, fmt.Errorf("the token's owner has no account any more")
		}
		c.Principal = owner.principal()
	} else {
		c.Principal = Principal{ID: ProgramID + id, Name: t.Name, Role: t.Role, Department: t.Department, Wards: t.Wards, Screen: t.Screen}
	}
	c.Scope, c.Token = t.Scope, id
	return c, nil
}

// byProgram finds who a request with an API token comes from. What is wrong
// with a token is told only to whoever holds it.
func (a *Access) byProgram(r *http.Request, token string) (caller, error) {
	id, _, _ := strings.Cut(strings.TrimPrefix(token, TokenPrefix), "_")
	p, h := a.programs, HashToken(token)
	p.mu.Lock()
	one := p.byID[id]
	right := one != nil && subtle.ConstantTimeCompare(one.hash[:], h[:]) == 1
	p.mu.Unlock()
	if !right {
		a.notice(TokenRefused, r, cut(id, 16), "unknown")
		return caller{}, a.failed(r, "bad_token", "the token is not valid")
	}
	c, err := p.caller(a, id, time.Now())
	if err != nil {
		a.notice(TokenRefused, r, id, err.Error())
		return caller{}, a.failed(r, "bad_token", err.Error())
	}
	if !c.from(r) {
		a.notice(TokenRefused, r, id, "from a network it is not for")
		return caller{}, a.failed(r, "foreign_network", "the token is not for your network")
	}
	return c, nil
}

// from tells whether the request comes from where the token is for.
func (c *caller) from(r *http.Request) bool {
	if len(c.networks) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	addr := ap.Addr().Unmap().WithZone("")
	return err == nil && slices.ContainsFunc(c.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// spend counts a request of a token, or tells how long to wait for the next.
// write is true when it is time to note the use.
func (p *programs) spend(id string, now time.Time) (wait time.Duration, write bool) {
	now = now.UTC()
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byID[id]
	if one == nil {
		return 0, false // ended between two looks; the next request is refused
	}
	minute, day := now.Unix()/60, now.Format(time.DateOnly)
	if one.minute != minute {
		one.minute, one.inMin = minute, 0
	}
	if one.Day != day {
		one.Day, one.Count = day, 0
	}
	switch {
	case one.Count >= one.PerDay:
		return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now), false
	case one.inMin >= one.PerMinute:
		return now.Truncate(time.Minute).Add(time.Minute).Sub(now), false
	}
	one.inMin++
	one.Count++
	if now.Sub(one.wrote) < usedEvery {
		return 0, false
	}
	used := now.Truncate(time.Minute)
	one.LastUsed, one.wrote = &used, now
	return 0, true
}

// note writes when a token was used last. While another token is written it is
// left for the next time: it is not worth a wait.
func (p *programs) note(ctx context.Context, id string) error {
	if !p.change.TryLock() {
		return nil
	}
	defer p.change.Unlock()
	p.mu.Lock()
	one := p.byID[id]
	var now program
	if one != nil {
		now = *one
	}
	p.mu.Unlock()
	if one == nil {
		return nil
	}
	return p.save(ctx, &now)
}

// Tokens lists API tokens, newest first: those of an owner, or all for "".
func (a *Access) Tokens(owner string) []APIToken {
	p := a.programs
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []APIToken{}
	for _, t := range p.byID {
		if owner == "" || t.Owner == owner {
			list = append(list, t.APIToken)
		}
	}
	slices.SortFunc(list, func(x, y APIToken) int {
		return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(x.ID, y.ID))
	})
	return list
}

// RevokeToken ends a token, with its sessions and sockets: one of an owner, or
// any for "". It stays listed, for the record, until a year after its end.
func (a *Access) RevokeToken(ctx context.Context, id, owner string) (APIToken, error) {
	p, now := a.programs, time.Now().UTC().Truncate(time.Second)
	p.change.Lock()
	defer p.change.Unlock()
	p.mu.Lock()
	one := p.byID[id]
	var ended program
	if one != nil {
		ended = *one
	}
	p.mu.Unlock()
	if one == nil || owner != "" && ended.Owner != owner {
		return APIToken{}, ErrNoToken
	}
	if ended.Revoked != nil {
		return ended.APIToken, nil
	}
	ended.Revoked = &now
	if err := p.save(ctx, &ended); err != nil {
		return APIToken{}, err
	}
	p.mu.Lock()
	one.Revoked = &now
	p.mu.Unlock()
	return ended.APIToken, nil
}

// deleteOf removes the tokens of an owner.
func (p *programs) deleteOf(ctx context.Context, owner string) error {
	return p.drop(ctx, func(t *program) bool { return t.Owner == owner })
}

// forget removes tokens that ended a year ago.
func (p *programs) forget(ctx context.Context, now time.Time) error {
	return p.drop(ctx, func(t *program) bool {
		end := t.Expires
		if t.Revoked != nil && t.Revoked.Before(end) {
			end = *t.Revoked
		}
		return now.Sub(end) > TokenMost
	})
}

func (p *programs) drop(ctx context.Context, which func(*program) bool) error {
	p.change.Lock()
	defer p.change.Unlock()
	var ids []string
	p.mu.Lock()
	for id, t := range p.byID {
		if which(t) {
			ids = append(ids, id)
		}
	}
	p.mu.Unlock()
	for _, id := range ids {
		if err := p.store.Delete(ctx, id); err != nil {
			return fmt.Errorf("access: remove token %s: %w", id, err)
		}
		p.mu.Lock()
		delete(p.byID, id)
		p.mu.Unlock()
	}
	return nil
}

// AddOwnToken makes a token that acts for the person of a context. A token
// cannot make another, or one that got out would outlive its end.
func (a *Access) AddOwnToken(ctx context.Context, t APIToken, lasts time.Duration) (APIToken, string, error) {
	_, p, err := a.self(ctx)
	if err != nil {
		return t, "", err
	}
	t.Kind, t.Owner = OwnToken, p.ID
	return a.AddToken(ctx, t, lasts)
}
