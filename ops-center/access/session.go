package access

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// sessionsFile holds the sessions over a restart, by the hash of their secret.
const sessionsFile = "sessions.json"

// session is a log-in that has not ended. Access.mu guards used.
type session struct {
	Principal
	key   Hash
	token Hash // that opened it
	begun time.Time
	used  time.Time
}

// storedSession is a line of the sessions file.
type storedSession struct {
	Key   string    `json:"key"`
	Token string    `json:"token"`
	Begun time.Time `json:"begun"`
}

func (a *Access) ended(s *session, now time.Time) bool {
	return now.Sub(s.used) > a.opt.IdleTime || now.Sub(s.begun) > a.opt.MaxTime
}

// use finds a session that has not ended, and notes that it was used.
func (a *Access) use(key Hash, now time.Time) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[key]
	if s == nil {
		return nil
	}
	if a.ended(s, now) {
		delete(a.sessions, key)
		return nil
	}
	s.used = now
	return s
}

// LogIn opens a session for a token and sets its cookie. The error is a
// *Refusal or of the disk.
func (a *Access) LogIn(w http.ResponseWriter, r *http.Request, token string) (Principal, error) {
	// Else a foreign page could log a visitor in as somebody else.
	if foreign(r) {
		a.refused.WithLabelValues("cross_origin").Inc()
		return Principal{}, &Refusal{Status: http.StatusForbidden, Reason: "cross_origin", Detail: "a log-in must come from a page of this host"}
	}
	t := a.find(HashToken(token))
	if t == nil {
		return Principal{}, a.failed(r, "bad_token", "the token is not valid")
	}
	secret, now := NewToken(), time.Now()
	s := &session{Principal: t.principal(), key: HashToken(secret), token: t.Hash, begun: now, used: now}
	a.mu.Lock()
	a.makeRoom(now)
	a.sessions[s.key] = s
	err := a.saveSessions()
	if err != nil {
		delete(a.sessions, s.key)
	}
	a.mu.Unlock()
	if err != nil {
		return Principal{}, err
	}
	http.SetCookie(w, a.cookie(r, secret, int(a.opt.MaxTime.Seconds())))
	return s.Principal, nil
}

// foreign tells whether a browser says that a page of another host made the
// request. Programs say nothing.
func foreign(r *http.Request) bool {
	return (r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "") && !sameOrigin(r)
}

// LogOut ends the session of a request, if it has one, and its cookie. Its
// screens are closed by the next check. The error is a *Refusal or of the disk.
func (a *Access) LogOut(w http.ResponseWriter, r *http.Request) error {
	if foreign(r) {
		a.refused.WithLabelValues("cross_origin").Inc()
		return &Refusal{Status: http.StatusForbidden, Reason: "cross_origin", Detail: "a log-out must come from a page of this host"}
	}
	c, err := r.Cookie(CookieName)
	if err != nil {
		return nil
	}
	http.SetCookie(w, a.cookie(r, "", -1))
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, HashToken(c.Value))
	return a.saveSessions()
}

// EndSessions ends all sessions of a name and tells how many there were.
func (a *Access) EndSessions(name string) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for key, s := range a.sessions {
		if s.Name == name {
			delete(a.sessions, key)
			n++
		}
	}
	return n, a.saveSessions()
}

func (a *Access) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: a.opt.Secure || r.TLS != nil, SameSite: http.SameSiteStrictMode,
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
// writing them all each time is cheap.
func (a *Access) saveSessions() error {
	list := make([]storedSession, 0, len(a.sessions))
	for _, s := range a.sessions {
		list = append(list, storedSession{hex.EncodeToString(s.key[:]), hex.EncodeToString(s.token[:]), s.begun})
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

// loadSessions takes up the sessions whose token is still good. When each was
// last used is not kept: their idle time begins anew.
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
		s := &session{begun: e.Begun, used: now}
		k, err1 := hex.DecodeString(e.Key)
		t, err2 := hex.DecodeString(e.Token)
		if err1 != nil || err2 != nil || len(k) != len(s.key) || len(t) != len(s.token) {
			continue
		}
		copy(s.key[:], k)
		copy(s.token[:], t)
		token := a.find(s.token)
		if token == nil || a.ended(s, now) || len(a.sessions) >= a.opt.MaxSessions {
			continue
		}
		s.Principal = token.principal()
		a.sessions[s.key] = s
	}
	return nil
}
