package access

import (
	"net/http"
	"time"
)

// Event is something that whoever watches over the system's security wants to
// know of.
type Event struct {
	Kind   Kind      `json:"kind"`
	At     time.Time `json:"at"`
	From   string    `json:"from,omitempty"` // address of the peer
	Who    string    `json:"who,omitempty"`  // id of an account or token, as claimed or known
	Detail string    `json:"detail,omitempty"`
}

// Kind is what happened. The strings are in the stream of security events:
// never rename one.
type Kind string

const (
	LoggedIn        Kind = "login"            // a person, Detail says how
	LogInFailed     Kind = "login_failed"     // wrong name, password or code
	LockedOut       Kind = "locked_out"       // so often that the next has to wait
	LoggedOut       Kind = "logout"           // by themselves or by the provider
	TokenRefused    Kind = "token_refused"    // unknown, expired, revoked, from elsewhere
	QuotaExceeded   Kind = "quota_exceeded"   // of a token
	BreakGlass      Kind = "break_glass"      // the administrator's token was used
	CodeReplayed    Kind = "code_replayed"    // a one-time code came a second time
	RecoveryUsed    Kind = "recovery_used"    // a recovery code instead of the app's
	CrossOrigin     Kind = "cross_origin"     // a page of another host tried to act
	ProviderRefused Kind = "provider_refused" // the identity provider ended a session
	OIDCFailed      Kind = "oidc_failed"      // a log-in by the provider did not hold
)

func (a *Access) notice(kind Kind, r *http.Request, who, detail string) {
	if a.opt.Notice == nil {
		return
	}
	e := Event{Kind: kind, At: time.Now(), Who: who, Detail: detail}
	if r != nil {
		e.From = r.RemoteAddr
	}
	a.opt.Notice(e)
}

// breakGlass reports the use of the administrator's token: each log-in by it,
// and by requests once a minute for each source, because a script makes many.
func (a *Access) breakGlass(r *http.Request, detail string, each bool) {
	from, now := source(r), time.Now()
	a.mu.Lock()
	last, ok := a.glass[from]
	quiet := !each && ok && now.Sub(last) < time.Minute
	if !quiet {
		if len(a.glass) >= 1000 {
			clear(a.glass)
		}
		a.glass[from] = now
	}
	a.mu.Unlock()
	if !quiet {
		a.notice(BreakGlass, r, adminID, detail)
	}
}
