package main

import (
	"context"
	"net/netip"

	"vonglau/ops-center/access"
	"vonglau/ops-center/audit"
)

// accessSignals are what access tells of. A log-in that went well is no sign of
// anything, and is in the record.
var accessSignals = map[access.Kind]audit.SignalKind{
	access.LogInFailed: audit.FailedLogin, access.LockedOut: audit.Lockout, access.TokenRefused: audit.TokenRefused,
	access.BreakGlass: audit.BreakGlass, access.CodeReplayed: audit.FailedLogin, access.RecoveryUsed: audit.AccountChanged,
	access.CrossOrigin: audit.CrossOrigin, access.OIDCFailed: audit.FailedLogin,
}

// noticed is told by access what it saw; it does not wait.
func (s *Server) noticed(e access.Event) {
	kind, ok := accessSignals[e.Kind]
	if !ok || !s.audit.open.Load() {
		return
	}
	from := ""
	if ap, err := netip.ParseAddrPort(e.From); err == nil {
		from = ap.Addr().Unmap().WithZone("").String()
	}
	// A guesser tries many accounts, and many may guess at one: tokens count by
	// source, accounts by name.
	key := audit.Site(from)
	if e.Who != "" && kind != audit.TokenRefused && kind != audit.CrossOrigin {
		key = e.Who
	}
	s.audit.security.Signal(audit.Signal{Kind: kind, Key: key, From: from, At: e.At, Detail: string(e.Kind) + " " + e.Detail})
}

// erase closes an account and forgets who it was.
func (s *Server) erase(ctx context.Context, account string) (bool, error) {
	acc, ok := s.access.Account(account)
	if !ok {
		return false, nil
	}
	if _, err := s.access.DeleteAccount(ctx, acc.ID); err != nil {
		return false, err
	}
	return true, nil
}
