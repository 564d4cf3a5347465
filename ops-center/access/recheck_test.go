package access

import (
	"context"
	"testing"
)

// countingStore counts what is written.
type countingStore struct{ puts int }

func (*countingStore) Load(context.Context, func(string, []byte) error) error { return nil }
func (s *countingStore) Put(context.Context, string, []byte) error            { s.puts++; return nil }
func (*countingStore) Delete(context.Context, string) error                   { return nil }

// The provider is asked every half minute whether a session holds. That writes
// the account when the provider says something new of it, and not else.
func TestACheckWritesOnlyWhatChanged(t *testing.T) {
	store := &countingStore{}
	a, err := Open(t.Context(), Options{Dir: t.TempDir(), Accounts: store, OIDC: &OIDC{
		Issuer: "http://[::1]:1", ClientID: "wall", Redirect: "http://[::1]:2" + CallbackPath,
		Map: []GroupRole{{Group: "ops", Role: Operator}, {Group: "lead", Role: ShiftLeader}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := claims{subject: "http://[::1]:1 7", user: "an", name: "An", groups: []string{"ops"}}
	first, err := a.admitClaims(t.Context(), c, true)
	if err != nil || store.puts != 1 || first.LastLogin == nil {
		t.Fatalf("log-in: %+v, %v, %d writes", first, err, store.puts)
	}
	for range 5 {
		if _, err := a.admitClaims(t.Context(), c, false); err != nil {
			t.Fatal(err)
		}
	}
	if store.puts != 1 {
		t.Errorf("five checks that told nothing new wrote %d times", store.puts-1)
	}
	c.groups = []string{"lead"}
	if p, err := a.admitClaims(t.Context(), c, false); err != nil || p.Role != ShiftLeader || store.puts != 2 {
		t.Errorf("another group: %+v, %v, %d writes", p, err, store.puts)
	}
	if p, ok := a.Account("an"); !ok || p.Role != ShiftLeader || !p.LastLogin.Equal(*first.LastLogin) {
		t.Errorf("kept as %+v", p)
	}
}
