package opscenter

import (
	"context"
	"strings"
	"sync"
	"testing"

	"vonglau/ops-center/audit"
)

// lines is an audit.Log that forgets at the end.
type lines struct {
	mu  sync.Mutex
	all [][]byte
}

func (l *lines) AppendAll(_ context.Context, list [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, list...)
	return nil
}

func (l *lines) End() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.all))
}

func (l *lines) Read(_ context.Context, from uint64, each func(uint64, []byte) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := int(max(from, 1)) - 1; i < len(l.all); i++ {
		if err := each(uint64(i)+1, l.all[i]); err != nil {
			return err
		}
	}
	return nil
}

// A role, a state or a second factor that changes is a security event; another
// name is none.
func TestAccountChangesAreTold(t *testing.T) {
	log := &lines{}
	security, err := audit.OpenSecurity(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, func(o *Options) { o.Security = security })
	do := func(method, path, body string, want int) {
		t.Helper()
		if status, _, answer := c.call(c.admin, method, path, body); status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	for _, id := range []string{"role", "state", "factor", "name"} {
		do("POST", "/v1/people", `{"id":"`+id+`","name":"Somebody","role":"operator"}`, 201)
	}
	do("PATCH", "/v1/people/role", `{"role":"shift_leader"}`, 200)
	do("PATCH", "/v1/people/state", `{"disabled":true}`, 200)
	do("POST", "/v1/people/factor/password", `{"removeTOTP":true}`, 200)
	do("PATCH", "/v1/people/name", `{"name":"Other"}`, 200)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it takes what waits, and ends
	if err := security.Run(ctx); err != nil {
		t.Fatal(err)
	}
	events, _, err := security.Find(t.Context(), audit.SecurityQuery{Kind: audit.AccountChanged})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range events {
		got[e.Key] = e.Detail
	}
	if len(got) != 3 || !strings.Contains(got["role"], "operator to shift_leader") || got["state"] != "disabled" || !strings.Contains(got["factor"], "second factor") {
		t.Errorf("told: %v", got)
	}
}
