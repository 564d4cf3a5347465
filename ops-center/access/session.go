package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// sessionsFile holds the sessions over a restart, by the hash of their secret.
const sessionsFile = "sessions.json"

// How sure a log-in was, kept with its session. One by the provider is "oidc"
// and, when the provider says it, ":" and its acr.
const (
	ByToken      = "token"
	ByPassword   = "password"
	PasswordTOTP = "password+totp"
	ByOIDC       = "oidc"
)

// session is a log-in that has not ended. It is of an account, of a token of the
// configuration or of an API token, and who it is, is looked up each time it is
// used: a role that changes counts at once. Access.mu guards all but key and id.
type session struct {
	key       Hash
	id        string // shown; tells nothing of the key
	token     Hash   // of the configuration, or zero
	program   string // id of an API token, or empty
	account   string // id of an account, or empty
	epoch     int    // of the account when it was opened
	assurance string
	begun     time.Time
	used      time.Time
	from      string
	agent     string
	pending   []byte        // secret of a second factor that is being set up
	provider  *providerPart // of a log-in by the provider
}

// storedSession is a line of the sessions file.
type storedSession struct {
	Key       string    `json:"key"`
	Token     string    `json:"token,omitempty"`
	Program   string    `json:"program,omitempty"`
	Account   string    `json:"account,omitempty"`
	Epoch     int       `json:"epoch,omitempty"`
	Assurance string    `json:"assurance,omitempty"`
	Begun     time.Time `json:"begun"`
	From      string    `json:"from,omitempty"`
	Agent     string    `json:"agent,omitempty"`
}

// Session is one as its person sees it.
type Session struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Assurance string    `json:"assurance"`
	Begun     time.Time `json:"begun"`
	Used      time.Time `json:"used"`
	From      string    `json:"from,omitempty"`
	Agent     string    `json:"agent,omitempty"`
	Current   bool      `json:"current,omitempty"`
}

func newSession(r *http.Request, assurance string) (s *session, secret string) {
	secret, now := NewToken(), time.Now()
	s = &session{key: HashToken(secret), assurance: assurance, begun: now, used: now, from: r.RemoteAddr, agent: cut(r.UserAgent(), 200)}
	s.id = sessionID(s.key)
	return s, secret
}

func sessionID(key Hash) string {
	sum := sha256.Sum256(key[:])
	return hex.EncodeToString(sum[:8])
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

func (a *Access) ended(s *session, now time.Time) bool {
	return now.Sub(s.used) > a.opt.IdleTime || now.Sub(s.begun) > a.opt.MaxTime
}

// holder finds who a session is; false when that has ended.
func (a *Access) holder(s *session) (caller, bool) {
	switch {
	case s.account != "":
		a.mu.Lock()
		epoch := s.epoch
		a.mu.Unlock()
		p := a.people.get(s.account)
		if p == nil || p.Disabled || p.Epoch != epoch {
			return caller{}, false
		}
		return caller{Principal: p.principal(), account: p.ID, session: s, mustChange: p.MustChange}, true
	case s.program != "":
		c, err := a.programs.caller(a, s.program, time.Now())
		c.session = s
		return c, err == nil
	}
	t := a.find(s.token)
	if t == nil {
		return caller{}, false
	}
	if p := a.people.get(t.Name); p != nil && p.Disabled {
		return caller{}, false
	}
	return caller{Principal: t.principal(), session: s}, true
}

// use finds a session that has not ended and who it is, and notes that it was
// used.
func (a *Access) use(key Hash, now time.Time) (caller, bool) {
	a.mu.Lock()
	s := a.sessions[key]
	if s != nil && a.ended(s, now) {
		delete(a.sessions, key)
		s = nil
	}
	if s != nil {
		s.used = now
	}
	a.mu.Unlock()
	if s == nil {
		return caller{}, false
	}
	c, ok := a.holder(s)
	if !ok {
		a.mu.Lock()
		delete(a.sessions, key)
		a.mu.Unlock()
	}
	return c, ok
}

// start puts a session among the others and sets its cookie. The error is of
// the disk.
func (a *Access) start(w http.ResponseWriter, r *http.Request, s *session, secret string) error {
	a.mu.Lock()
	a.makeRoom(s.begun)
	a.sessions[s.key] = s
	err := a.saveSessions()
	if err != nil {
		delete(a.sessions, s.key)
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(r, secret, int(a.opt.MaxTime.Seconds())))
	return nil
}

// LogIn opens a session for a token and sets its cookie. The error is a
// *Refusal or of the disk.
func (a *Access) LogIn(w http.ResponseWriter, r *http.Request, token string) (Principal, error) {
	if err := a.ownPage(r, "a log-in"); err != nil {
		return Principal{}, err
	}
	c, err := a.byToken(r, token)
	if err != nil {
		return Principal{}, err
	}
	s, secret := newSession(r, ByToken)
	switch {
	case c.program != "":
		s.program = c.program
	default:
		s.token = HashToken(token)
	}
	if err := a.start(w, r, s, secret); err != nil {
		return Principal{}, err
	}
	if c.ID == adminID {
		a.breakGlass(r, "a session was opened", true)
	}
	a.notice(LoggedIn, r, c.ID, ByToken)
	return c.Principal, nil
}

// wrongLogIn is the one answer to a wrong name, password or code.
func (a *Access) wrongLogIn() error {
	a.refused.WithLabelValues("bad_login").Inc()
	return &Refusal{Status: http.StatusUnauthorized, Reason: "bad_login", Detail: "name, password or code is wrong"}
}

// LogInPerson opens a session by a name and a password, and a code where the
// account takes one: of the app, or a recovery code. Without the code that it
// needs the Refusal has Reason code_needed. The error is a *Refusal or of the
// disk.
func (a *Access) LogInPerson(w http.ResponseWriter, r *http.Request, name, password, code string) (Principal, error) {
	if err := a.ownPage(r, "a log-in"); err != nil {
		return Principal{}, err
	}
	id := strings.ToLower(strings.TrimSpace(norm.NFKC.String(name)))
	if !accountID.MatchString(id) || len(password) > 4*maxPassword {
		id = "" // there is none; it is treated like one
	}
	keys := []string{"account " + id, sourceKey + source(r).String()}
	device := a.knownDevice(r, id)
	if device != "" {
		keys = []string{"device " + device}
	}
	wait, locked := a.guard.begin(time.Now(), keys...)
	if locked {
		a.notice(LockedOut, r, id, "too many failed log-ins; the next has to wait")
	}
	if wait > 0 {
		a.refused.WithLabelValues("too_many").Inc()
		return Principal{}, &Refusal{Status: http.StatusTooManyRequests, Reason: "too_many", Detail: fmt.Sprintf("too many failed log-ins: the next in %d s", int(wait.Seconds())+1), Retry: wait}
	}
	phc := ""
	p := a.people.get(id)
	if p != nil && !p.Disabled && (p.OneTime.IsZero() || time.Now().Before(p.OneTime)) {
		phc = p.Password
	}
	ok, err := a.hasher.verify(phc, password)
	if errors.Is(err, errBusy) {
		a.guard.forgive(keys...)
		return Principal{}, &Refusal{Status: http.StatusServiceUnavailable, Reason: "busy", Detail: "many are logging in at this moment: try again", Retry: time.Second}
	}
	if err != nil {
		return Principal{}, err
	}
	if !ok {
		a.notice(LogInFailed, r, cut(id, 64), "name or password")
		return Principal{}, a.wrongLogIn()
	}
	assurance := ByPassword
	var second func(*person) error
	if p.TOTP {
		if strings.TrimSpace(code) == "" {
			a.refused.WithLabelValues("code_needed").Inc()
			return Principal{}, &Refusal{Status: http.StatusUnauthorized, Reason: "code_needed", Detail: "the account takes a code besides the password"}
		}
		assurance = PasswordTOTP
		if second, err = a.secondFactor(r, p, code); err != nil {
			return Principal{}, err
		}
	}
	now := time.Now().UTC()
	_, after, err := a.people.update(r.Context(), id, func(n *person) error {
		if n.Password != p.Password || n.Disabled {
			return ErrWrongPassword // changed while it was checked
		}
		if second != nil {
			if err := second(n); err != nil {
				return err
			}
		}
		n.LastLogin = &now
		return nil
	})
	switch {
	case errors.Is(err, ErrWrongCode), errors.Is(err, ErrWrongPassword), errors.Is(err, ErrNoAccount):
		a.notice(CodeReplayed, r, id, "the same code twice at once")
		return Principal{}, a.wrongLogIn()
	case err != nil:
		return Principal{}, err
	}
	a.guard.forgive(keys...)
	s, secret := newSession(r, assurance)
	s.account, s.epoch = id, after.Epoch
	if err := a.start(w, r, s, secret); err != nil {
		return Principal{}, err
	}
	if device == "" {
		a.rememberDevice(w, r, id)
	}
	a.notice(LoggedIn, r, id, assurance)
	return after.principal(), nil
}

// secondFactor checks a code. What it gives uses the code up, together with the
// log-in, so that of two at once one succeeds.
func (a *Access) secondFactor(r *http.Request, p *person, code string) (func(*person) error, error) {
	secret, err := a.unseal(p.ID, p.Secret)
	if err != nil {
		return nil, err
	}
	if step, ok := checkTOTP(secret, code, time.Now(), 0); ok {
		if step <= p.Step {
			a.notice(CodeReplayed, r, p.ID, "a code that was used before")
			return nil, a.wrongLogIn()
		}
		return func(n *person) error {
			if step <= n.Step {
				return ErrWrongCode
			}
			n.Step = step
			return nil
		}, nil
	}
	h := recoveryHash(code)
	if !slices.Contains(p.Recovery, h) {
		a.notice(LogInFailed, r, p.ID, "the password was right, the code was not")
		return nil, a.wrongLogIn()
	}
	a.notice(RecoveryUsed, r, p.ID, fmt.Sprintf("%d codes are left", len(p.Recovery)-1))
	return func(n *person) error {
		i := slices.Index(n.Recovery, h)
		if i < 0 {
			return ErrWrongCode
		}
		n.Recovery = slices.Delete(n.Recovery, i, i+1)
		return nil
	}, nil
}

// deviceCookie is the cookie of a browser that has logged in to an account. It
// opens nothing: it tells the owner's browser from those that guess (OWASP,
// Slow Down Online Guessing Attacks with Device Cookies).
const deviceCookie = "vonglau_device"

const deviceLasts = 180 * 24 * time.Hour

func (a *Access) deviceMark(id, nonce string) string {
	mac := hmac.New(sha256.New, a.derive("device"))
	fmt.Fprintf(mac, "%d %s %s", len(id), id, nonce)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (a *Access) rememberDevice(w http.ResponseWriter, r *http.Request, id string) {
	nonce := NewToken()[:22]
	c := a.cookie(r, nonce+"."+a.deviceMark(id, nonce), int(deviceLasts.Seconds()))
	c.Name, c.Path = deviceCookie, "/v1/session"
	http.SetCookie(w, c)
}

// knownDevice gives the nonce of a browser that has logged in to the account.
func (a *Access) knownDevice(r *http.Request, id string) string {
	c, err := r.Cookie(deviceCookie)
	if err != nil || id == "" {
		return ""
	}
	nonce, mark, _ := strings.Cut(c.Value, ".")
	if !hmac.Equal([]byte(mark), []byte(a.deviceMark(id, nonce))) {
		return ""
	}
	return nonce
}

// ownPage refuses what a page of another host makes a browser do.
func (a *Access) ownPage(r *http.Request, what string) error {
	if !foreign(r) {
		return nil
	}
	a.refused.WithLabelValues("cross_origin").Inc()
	a.notice(CrossOrigin, r, "", what)
	return &Refusal{Status: http.StatusForbidden, Reason: "cross_origin", Detail: what + " must come from a page of this host"}
}

// foreign tells whether a browser says that a page of another host made the
// request. Programs say nothing.
func foreign(r *http.Request) bool {
	return (r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "") && !sameOrigin(r)
}

// LogOut ends the session of a request, if it has one, and its cookie. Its
// screens are closed by the next check. next is where the browser ends its
// session at the provider, empty for a log-in that was not by one. The error is
// a *Refusal or of the disk.
func (a *Access) LogOut(w http.ResponseWriter, r *http.Request) (who Principal, next string, err error) {
	if err := a.ownPage(r, "a log-out"); err != nil {
		return who, "", err
	}
	c, err := r.Cookie(a.cookieName(r))
	if err != nil {
		return who, "", nil
	}
	http.SetCookie(w, a.cookie(r, "", -1))
	key := HashToken(c.Value)
	if holder, ok := a.use(key, time.Now()); ok {
		who = holder.Principal
	}
	a.mu.Lock()
	s := a.sessions[key]
	delete(a.sessions, key)
	err = a.saveSessions()
	a.mu.Unlock()
	if s != nil {
		a.notice(LoggedOut, r, s.who(), "")
		if s.provider != nil {
			next = a.oidc.logoutURL(r, s.provider)
		}
	}
	return who, next, err
}

func (s *session) who() string { return cmp.Or(s.account, s.program, ByToken) }

// EndSessions ends all sessions of an account or token and tells how many there
// were.
func (a *Access) EndSessions(id string) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for key, s := range a.sessions {
		named := s.account == id || s.program == id
		if !named && s.account == "" && s.program == "" {
			t := a.find(s.token)
			named = t != nil && t.Name == id
		}
		if named {
			delete(a.sessions, key)
			n++
		}
	}
	return n, a.saveSessions()
}

// endSessionsOf ends the sessions of an account, or the one of them with an id.
// Those of an account that was disabled have ended by that already, so an error
// of the disk is for the log.
func (a *Access) endSessionsOf(account, id string) (ended int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, s := range a.sessions {
		if s.account == account && (id == "" || s.id == id) {
			delete(a.sessions, key)
			ended++
		}
	}
	if ended > 0 {
		if err := a.saveSessions(); err != nil {
			a.opt.Log.Error("sessions ended, but not on disk", "account", account, "err", err)
		}
	}
	return ended
}

// keepSession takes a session over a change that ends the others of its account.
func (a *Access) keepSession(s *session, epoch int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, other := range a.sessions {
		if other != s && other.account == s.account {
			delete(a.sessions, key)
		}
	}
	s.epoch = epoch
	return a.saveSessions()
}

// Sessions lists those of the person of a context, the newest first.
func (a *Access) Sessions(ctx context.Context) ([]Session, error) {
	c, p, err := a.self(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list, now := []Session{}, time.Now()
	for _, s := range a.sessions {
		if s.account == p.ID && s.epoch == p.Epoch && !a.ended(s, now) {
			list = append(list, Session{s.id, s.account, s.assurance, s.begun.UTC(), s.used.UTC(), s.from, s.agent, s == c.session})
		}
	}
	slices.SortFunc(list, func(x, y Session) int { return y.Begun.Compare(x.Begun) })
	return list, nil
}

// EndOwnSession ends a session of the person of a context; false when there is
// none of that id.
func (a *Access) EndOwnSession(ctx context.Context, id string) (bool, error) {
	_, p, err := a.self(ctx)
	if err != nil {
		return false, err
	}
	return id != "" && a.endSessionsOf(p.ID, id) > 0, nil
}

// Assurance tells how sure the log-in of a context was.
func Assurance(ctx context.Context) string {
	c, _ := ctx.Value(contextKey{}).(caller)
	if c.session == nil {
		return ByToken
	}
	return c.session.assurance
}

// secure tells a request that came over TLS, to us or to what stands before us.
func (a *Access) secure(r *http.Request) bool { return a.opt.Secure || r.TLS != nil }

func (a *Access) cookieName(r *http.Request) string {
	if a.secure(r) {
		return HostCookie
	}
	return CookieName
}

func (a *Access) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: a.cookieName(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: a.secure(r), SameSite: http.SameSiteStrictMode,
	}
}

// makeRoom drops the sessions that have ended, and the one unused for longest
// when there are still too many.
func (a *Access) makeRoom(now time.Time) {
	if len(a.sessions) < a.opt.MaxSessions {
		return
	}
	var oldest *session
	for key, s := range a.sessions {
		if a.ended(s, now) {
			delete(a.sessions, key)
		} else if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
	}
	if len(a.sessions) >= a.opt.MaxSessions && oldest != nil {
		delete(a.sessions, oldest.key)
	}
}

// saveSessions runs under mu. Sessions are opened and closed by people, so
// writing them all each time is cheap. Those by the provider are not kept: what
// asks the provider whether they still hold is a secret that does not belong on
// a disk, and the provider logs a browser in again without a question.
func (a *Access) saveSessions() error {
	list := make([]storedSession, 0, len(a.sessions))
	for _, s := range a.sessions {
		if s.provider != nil {
			continue
		}
		e := storedSession{
			Key: hex.EncodeToString(s.key[:]), Program: s.program, Account: s.account, Epoch: s.epoch,
			Assurance: s.assurance, Begun: s.begun, From: s.from, Agent: s.agent,
		}
		if s.account == "" && s.program == "" {
			e.Token = hex.EncodeToString(s.token[:])
		}
		list = append(list, e)
	}
	b, err := json.Marshal(list)
	if err == nil {
		err = writeFile(filepath.Join(a.opt.Dir, sessionsFile), b)
	}
	if err != nil {
		return fmt.Errorf("access: keep the sessions: %w", err)
	}
	return nil
}

// loadSessions takes up the sessions whose account or token is still good. When
// each was last used is not kept: their idle time begins anew.
func (a *Access) loadSessions() error {
	path := filepath.Join(a.opt.Dir, sessionsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("access: read the sessions: %w", err)
	}
	var list []storedSession
	if err := json.Unmarshal(b, &list); err != nil {
		// They are a convenience: everybody logs in again.
		a.opt.Log.Warn("the sessions file is damaged; all sessions have ended", "file", path, "err", err)
		return nil
	}
	now := time.Now()
	for _, e := range list {
		s := &session{begun: e.Begun, used: now, program: e.Program, account: e.Account, epoch: e.Epoch, assurance: cmp.Or(e.Assurance, ByToken), from: e.From, agent: e.Agent}
		k, err := hex.DecodeString(e.Key)
		if err != nil || len(k) != len(s.key) {
			continue
		}
		copy(s.key[:], k)
		s.id = sessionID(s.key)
		if s.account == "" && s.program == "" {
			t, err := hex.DecodeString(e.Token)
			if err != nil || len(t) != len(s.token) {
				continue
			}
			copy(s.token[:], t)
		}
		if _, good := a.holder(s); !good || a.ended(s, now) || len(a.sessions) >= a.opt.MaxSessions {
			continue
		}
		a.sessions[s.key] = s
	}
	return nil
}
