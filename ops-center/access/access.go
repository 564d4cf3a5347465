// Package access decides who calls and what they may do.
//
// A caller proves itself by a token (Authorization: Bearer, or beside the
// subprotocol of a WebSocket) or by the cookie of a session that a token, a name
// and password, or an identity provider (OpenID Connect) has opened. Tokens have
// 256 random bits and are kept as SHA-256 hashes, so a slow hash would protect
// nothing and guessing is hopeless; what is bounded is the noise of trying, for
// each /64. Passwords are people's: they are kept as argon2id hashes, and
// guessing them is slowed down for each account, /64 and browser (guard).
//
// Tokens are the administrator's in a file (break-glass: each use is reported),
// those of the configuration, and API tokens, which people make: with a purpose,
// a scope, an end, a quota and a last use, for themselves, for a program or for
// a wall screen.
//
// A session lives on the server, ends after a time without use, can be ended,
// and ends with the account or token that opened it. Who somebody is, is looked
// up with each request and, for a socket, every few seconds: a role that
// changes, an account that is disabled, a token that is revoked counts at once.
// Sessions outlive a restart, because a wall must come back without a person,
// but for those by the identity provider. Only hashes are on disk.
//
// A browser sends a cookie with any request to this host, whoever made the page
// do it. A request that changes something and is known by its cookie alone must
// therefore prove that it comes from a page of this host (OWASP ASVS 5, V3.5).
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CookieName is the session's cookie, HostCookie that of a session over TLS:
// browsers take the latter from this very host only and over TLS only, so
// neither a neighbour under the same domain nor who answers for us on the plain
// door can lay a session of theirs under somebody (RFC 6265bis, 4.1.3.2).
const (
	CookieName = "vonglau_session"
	HostCookie = "__Host-vonglau_session"
)

// AdminTokenFile is where the administrator's token is, in Options.Dir.
const AdminTokenFile = "admin.token"

// minTokenLength is what a token has at least: 128 bits in base64.
const minTokenLength = 22

// Hash is the SHA-256 of a token or of a session's secret.
type Hash [sha256.Size]byte

// HashToken is how a token is kept.
func HashToken(token string) Hash { return sha256.Sum256([]byte(token)) }

// Token is a credential of a person, program or screen.
type Token struct {
	Name string
	Role Role
	Hash Hash
	// Department and Wards are an officer's, Screen is a display's.
	Department string
	Wards      []string
	Screen     string
}

func (t *Token) principal() Principal {
	return Principal{ID: t.Name, Name: t.Name, Role: t.Role, Department: t.Department, Wards: t.Wards, Screen: t.Screen}
}

// Principal is who a request comes from.
type Principal struct {
	// ID names the account; Name is what is shown.
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Department and Wards bound what an officer sees and does; empty for no
	// bound.
	Department string   `json:"department,omitempty"`
	Wards      []string `json:"wards,omitempty"`
	// Screen is the display that a screen's token is for.
	Screen string `json:"screen,omitempty"`
	// Scope narrows what an API token may do; nil is all that the role may.
	// Token is the token's id.
	Scope []Permission `json:"scope,omitempty"`
	Token string       `json:"token,omitempty"`
}

// May reports whether the principal has a permission: by its role and within
// its scope.
func (p Principal) May(what Permission) bool {
	return p.Role.May(what) && (len(p.Scope) == 0 || slices.Contains(p.Scope, what))
}

// Permissions lists what the principal may do.
func (p Principal) Permissions() []Permission {
	return slices.DeleteFunc(p.Role.Permissions(), func(what Permission) bool { return !p.May(what) })
}

// Sees tells whether what a department answers for, in these wards, is the
// principal's business. Everybody sees everything but an officer, who sees what
// is of the officer's department and, if wards are named, in one of them. An
// officer of nothing sees nothing.
func (p Principal) Sees(department string, wards []string) bool {
	if p.Role != Officer {
		return true
	}
	if p.Department == "" && len(p.Wards) == 0 {
		return false
	}
	if p.Department != "" && !sameDepartment(p.Department, department) {
		return false
	}
	return len(p.Wards) == 0 || slices.ContainsFunc(wards, func(w string) bool { return slices.Contains(p.Wards, w) })
}

// sameDepartment: case and white space do not matter in a department's name,
// marks do.
func sameDepartment(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// Options says how Access works. The zero value of a field is its default.
type Options struct {
	// Dir holds admin.token and the sessions, both mode 0600. The token is made
	// at the first start.
	Dir string
	// Tokens are credentials besides the administrator's.
	Tokens []Token
	// Accounts and APITokens keep what people make here; without one that lasts
	// as long as the process.
	Accounts  Store
	APITokens Store
	// OIDC is the identity provider that people log in by; nil for none.
	OIDC *OIDC
	// Notice is told of every security event. It must not block.
	Notice func(Event)
	// IdleTime ends a session that is not used; 24 h. MaxTime ends any; 30 days.
	IdleTime time.Duration
	MaxTime  time.Duration
	// MaxSessions bounds them; 10,000. The one unused for longest goes first.
	MaxSessions int
	// Secure marks the cookie for TLS only although this server does not speak
	// it, because a proxy before it does.
	Secure bool

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// adminID is the principal of the administrator's token.
const adminID = "admin"

// Access knows the tokens, the accounts and the sessions. It is safe for
// concurrent use and has no goroutine but that of Run.
type Access struct {
	opt      Options
	tokens   []Token
	people   *people
	programs *programs
	oidc     *provider // nil without one
	hasher   *hasher
	guard    *guard
	key      []byte
	failures *limiter
	refused  *prometheus.CounterVec

	mu       sync.Mutex
	sessions map[Hash]*session
	glass    map[netip.Prefix]time.Time // when break-glass was reported last
}

// Open reads the tokens and sessions in Options.Dir, or makes them.
func Open(ctx context.Context, opt Options) (*Access, error) {
	if opt.Dir == "" {
		return nil, errors.New("access: no directory for the token and the sessions")
	}
	if opt.IdleTime == 0 {
		opt.IdleTime = 24 * time.Hour
	}
	if opt.MaxTime == 0 {
		opt.MaxTime = 30 * 24 * time.Hour
	}
	if opt.MaxSessions == 0 {
		opt.MaxSessions = 10000
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.IdleTime < 0 || opt.MaxTime < opt.IdleTime || opt.MaxSessions < 1 {
		return nil, fmt.Errorf("access: sessions of %v idle, %v at most, %d in all: want positive, and idle no longer than at most", opt.IdleTime, opt.MaxTime, opt.MaxSessions)
	}
	if opt.Accounts == nil {
		opt.Accounts = memory{}
	}
	if opt.APITokens == nil {
		opt.APITokens = memory{}
	}
	a := &Access{
		opt: opt, failures: newLimiter(), hasher: newHasher(), guard: newGuard(),
		sessions: make(map[Hash]*session), glass: make(map[netip.Prefix]time.Time),
	}
	for _, t := range opt.Tokens {
		if t.Name == "" || !t.Role.Known() || t.Role == DeviceRole {
			return nil, fmt.Errorf("access: token %q has role %q: want a name and one of %s", t.Name, t.Role, roleNames(DeviceRole))
		}
	}
	token, err := a.adminToken()
	if err != nil {
		return nil, err
	}
	a.tokens = append([]Token{{Name: adminID, Role: Admin, Hash: HashToken(token)}}, opt.Tokens...)
	if err := a.loadKey(); err != nil {
		return nil, err
	}
	if a.people, err = openPeople(ctx, opt.Accounts); err != nil {
		return nil, err
	}
	if a.programs, err = openPrograms(ctx, opt.APITokens); err != nil {
		return nil, err
	}
	if err := a.programs.forget(ctx, time.Now()); err != nil {
		opt.Log.Warn("old tokens not forgotten", "err", err) // the next start tries again
	}
	if opt.OIDC != nil {
		if a.oidc, err = newProvider(*opt.OIDC); err != nil {
			return nil, err
		}
	}
	if err := a.loadSessions(); err != nil {
		return nil, err
	}
	if err := a.register(); err != nil {
		return nil, fmt.Errorf("access: register metrics: %w", err)
	}
	return a, nil
}

func (a *Access) register() error {
	a.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "vonglau", Subsystem: "access", Name: "refused_total", Help: "Requests refused, by reason.",
	}, []string{"reason"})
	if a.opt.Metrics == nil {
		return nil
	}
	return errors.Join(a.opt.Metrics.Register(a.refused), a.opt.Metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "vonglau", Subsystem: "access", Name: "sessions", Help: "Sessions that have not ended.",
	}, func() float64 {
		a.mu.Lock()
		defer a.mu.Unlock()
		return float64(len(a.sessions))
	})))
}

// adminToken reads the administrator's token, or makes it at the first start.
func (a *Access) adminToken() (string, error) {
	path := filepath.Join(a.opt.Dir, AdminTokenFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := NewToken()
		if err := writeFile(path, []byte(token+"\n")); err != nil {
			return "", fmt.Errorf("access: make the administrator's token: %w", err)
		}
		a.opt.Log.Info("made the administrator's token", "file", path)
		return token, nil
	}
	if err != nil {
		return "", fmt.Errorf("access: read the administrator's token: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		a.opt.Log.Warn("others could read the administrator's token; its mode is 0600 now. Delete the file and start again for a new one", "file", path, "mode", info.Mode().Perm().String())
		if err := os.Chmod(path, 0o600); err != nil {
			return "", fmt.Errorf("access: take the administrator's token out of others' reach: %w", err)
		}
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minTokenLength {
		return "", fmt.Errorf("access: %s holds %d characters, too few for a token: delete it and start again to have one made", path, len(token))
	}
	return token, nil
}

// NewToken makes a token of 256 random bits.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// writeFile replaces a file whole or not at all, mode 0600.
func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Refusal says why a request was not let in.
type Refusal struct {
	Status int // of HTTP
	Reason string
	Detail string
	Retry  time.Duration // for Retry-After; 0 for none
	Who    Principal     // as far as it is known
}

func (r *Refusal) Error() string { return r.Detail }

// caller is what a request proved.
type caller struct {
	Principal
	bearer     bool
	session    *session // of a cookie
	account    string   // id of an account
	program    string   // id of an API token
	networks   []netip.Prefix
	mustChange bool // the password is a one-time one
}

// identify finds who a request comes from.
func (a *Access) identify(r *http.Request) (caller, error) {
	if token, ok := bearer(r); ok {
		c, err := a.byToken(r, token)
		if err != nil {
			return caller{}, err
		}
		if c.ID == adminID {
			a.breakGlass(r, r.Method+" "+cut(r.URL.Path, 200), false)
		}
		c.bearer = true
		return c, a.spend(r, c.program)
	}
	cookie, err := r.Cookie(a.cookieName(r))
	if err != nil || cookie.Value == "" {
		a.refused.WithLabelValues("anonymous").Inc()
		return caller{}, &Refusal{Status: http.StatusUnauthorized, Reason: "anonymous", Detail: "this needs a token or a session"}
	}
	c, ok := a.use(HashToken(cookie.Value), time.Now())
	if !ok {
		return caller{}, a.failed(r, "no_session", "the session has ended")
	}
	if !c.from(r) {
		a.notice(TokenRefused, r, c.program, "a session from a network its token is not for")
		return caller{}, a.failed(r, "foreign_network", "the token is not for your network")
	}
	return c, nil
}

// byToken finds who a token is.
func (a *Access) byToken(r *http.Request, token string) (caller, error) {
	if strings.HasPrefix(token, TokenPrefix) {
		return a.byProgram(r, token)
	}
	t := a.find(HashToken(token))
	if t == nil {
		a.notice(TokenRefused, r, "", "unknown")
		return caller{}, a.failed(r, "bad_token", "the token is not valid")
	}
	if p := a.people.get(t.Name); p != nil && p.Disabled {
		// The configuration still has a token of somebody who was disabled.
		a.notice(TokenRefused, r, t.Name, "the account is disabled")
		return caller{}, a.failed(r, "bad_token", "the token is not valid")
	}
	return caller{Principal: t.principal()}, nil
}

// spend counts a request of an API token against its quota.
func (a *Access) spend(r *http.Request, program string) error {
	if program == "" {
		return nil
	}
	wait, write := a.programs.spend(program, time.Now())
	if write {
		if err := a.programs.note(r.Context(), program); err != nil {
			a.opt.Log.Warn("the last use of a token is not on disk", "token", program, "err", err)
		}
	}
	if wait == 0 {
		return nil
	}
	a.refused.WithLabelValues("quota").Inc()
	a.notice(QuotaExceeded, r, program, "")
	return &Refusal{Status: http.StatusTooManyRequests, Reason: "quota", Detail: "the token has made as many requests as it may for now", Retry: wait}
}

// failed counts a wrong credential against its source. A right one is never
// held up by others' failures from the same place: there is nothing to guess.
func (a *Access) failed(r *http.Request, reason, detail string) error {
	if wait := a.failures.fail(source(r), time.Now()); wait > 0 {
		a.refused.WithLabelValues("too_many").Inc()
		return &Refusal{Status: http.StatusTooManyRequests, Reason: "too_many", Detail: "too many failed attempts from your network", Retry: wait}
	}
	a.refused.WithLabelValues(reason).Inc()
	a.opt.Log.Warn("credential refused", "reason", reason, "from", r.RemoteAddr, "path", r.URL.Path)
	return &Refusal{Status: http.StatusUnauthorized, Reason: reason, Detail: detail}
}

// find compares with every token, so that the time tells nothing.
func (a *Access) find(h Hash) *Token {
	var found *Token
	for i := range a.tokens {
		if subtle.ConstantTimeCompare(a.tokens[i].Hash[:], h[:]) == 1 {
			found = &a.tokens[i]
		}
	}
	return found
}

// bearer gives the token a request carries in its header (RFC 6750 section 2.1)
// or beside the subprotocol of a WebSocket.
func bearer(r *http.Request) (string, bool) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(p), "bearer."); ok {
				return token, true
			}
		}
	}
	return "", false
}

// sameOrigin tells whether a browser says that a page of this host made the
// request. Sec-Fetch-Site is not sent to plain-text hosts, so Origin serves as
// well; a browser sends it with every request that may change something.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

type contextKey struct{}

// From gives who a request comes from, behind Require.
func From(ctx context.Context) (Principal, bool) {
	c, ok := ctx.Value(contextKey{}).(caller)
	return c.Principal, ok
}

// Check decides whether a request may do what needs p. The error is a *Refusal.
func (a *Access) Check(r *http.Request, p Permission) (Principal, error) {
	c, err := a.check(r, p)
	return c.Principal, err
}

func (a *Access) check(r *http.Request, p Permission) (caller, error) {
	c, err := a.identify(r)
	if err != nil {
		return caller{}, err
	}
	if changes(r.Method) && !c.bearer && !sameOrigin(r) {
		a.refused.WithLabelValues("cross_origin").Inc()
		a.notice(CrossOrigin, r, c.ID, r.Method+" "+cut(r.URL.Path, 200))
		return caller{}, &Refusal{Status: http.StatusForbidden, Reason: "cross_origin", Detail: "a change by cookie must come from a page of this host", Who: c.Principal}
	}
	if !c.May(p) {
		a.refused.WithLabelValues("forbidden").Inc()
		what := "role " + string(c.Role)
		if c.Role.May(p) {
			what = "the token"
		}
		return c, &Refusal{Status: http.StatusForbidden, Reason: "forbidden", Detail: fmt.Sprintf("%s may not: %s", what, p), Who: c.Principal}
	}
	if c.mustChange && r.URL.Path != "/v1/me" && r.URL.Path != "/v1/me/password" && r.URL.Path != "/v1/session" {
		a.refused.WithLabelValues("must_change").Inc()
		return c, &Refusal{Status: http.StatusForbidden, Reason: "must_change", Detail: "the password counts once: set one of your own first", Who: c.Principal}
	}
	return c, nil
}

// Require lets requests through that have permission p. What it refuses goes to
// deny, which must answer it.
func (a *Access) Require(p Permission, next http.Handler, deny func(http.ResponseWriter, *http.Request, *Refusal)) http.Handler {
	if p == Public || p == Self {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.check(r, p)
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				refusal = &Refusal{Status: http.StatusForbidden, Reason: "forbidden", Detail: err.Error()}
			}
			deny(w, r, refusal)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, who)))
	})
}

// Admit serves a socket: it tells who may open one, whether by a token (which
// no browser sends unasked), and, by the function it gives, whether that still
// holds. Using the function counts as using the session: a wall that is watched
// is not logged out.
func (a *Access) Admit(r *http.Request) (who Principal, valid func() bool, bearer bool, err error) {
	c, err := a.identify(r)
	if err != nil {
		return who, nil, false, err
	}
	if !c.May(View) {
		return who, nil, false, fmt.Errorf("role %s may not: %s", c.Role, View)
	}
	if c.mustChange {
		return who, nil, false, errors.New("the password counts once: set one of your own first")
	}
	// What the screen is shown follows from who watches: another role or other
	// bounds end it too, and it comes back with them.
	same := func(now caller, ok bool) bool { return ok && reflect.DeepEqual(now.Principal, c.Principal) }
	switch {
	case c.session != nil:
		return c.Principal, func() bool { return same(a.use(c.session.key, time.Now())) }, false, nil
	case c.program != "":
		return c.Principal, func() bool {
			now, err := a.programs.caller(a, c.program, time.Now())
			return same(now, err == nil)
		}, true, nil
	}
	return c.Principal, func() bool {
		p := a.people.get(c.ID)
		return p == nil || !p.Disabled
	}, true, nil
}

// source is the unit in which failures are counted: the /64 of an IPv6 address,
// because one host can speak from 2^64 of them.
func source(r *http.Request) netip.Prefix {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits)
	return p
}
