package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"
)

// memStore is a Store in memory that can be told to fail.
type memStore struct {
	mu      sync.Mutex
	entries map[string][]byte
	fail    error
}

func newMemStore() *memStore { return &memStore{entries: map[string][]byte{}} }

func (s *memStore) Load(_ context.Context, each func(string, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.entries {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return s.fail
}

func (s *memStore) Put(_ context.Context, key string, value []byte) error {
	return s.PutAll(context.Background(), map[string][]byte{key: value})
}

func (s *memStore) PutAll(_ context.Context, entries map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		maps.Copy(s.entries, entries)
	}
	return s.fail
}

func (s *memStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		delete(s.entries, key)
	}
	return s.fail
}

func openRegister(t testing.TB, s Store) *Register {
	t.Helper()
	r, err := OpenRegister(t.Context(), s, DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegisterSurvivesRestart(t *testing.T) {
	ctx := t.Context()
	store := newMemStore()
	r := openRegister(t, store)
	token, err := r.Add(ctx, Device{ID: "air-1", Profile: "air-quality", At: Position{106.1, 20.4}})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := r.AddAll(ctx, []Device{{ID: "b-2", Profile: "bus"}, {ID: "b-1", Profile: "bus"}})
	if err != nil || len(tokens) != 2 || tokens[0] == tokens[1] {
		t.Fatalf("AddAll: %v %v", tokens, err)
	}
	if err := r.Update(ctx, "b-1", func(d *Device) error { d.Name = "Tuyến 1"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(ctx, "b-2"); err != nil {
		t.Fatal(err)
	}

	r = openRegister(t, store)
	var ids []string
	for _, d := range r.List() {
		ids = append(ids, string(d.ID))
	}
	if got := strings.Join(ids, " "); got != "air-1 b-1" {
		t.Fatalf("after a restart: %s", got)
	}
	if d, _ := r.Get("b-1"); d.Name != "Tuyến 1" || d.State != Active || d.Added.IsZero() {
		t.Fatalf("after a restart: %+v", d)
	}
	if _, err := r.Authenticate("air-1", token); err != nil {
		t.Fatal(err)
	}
	for _, v := range store.entries {
		if strings.Contains(string(v), token) {
			t.Fatal("the token itself was stored")
		}
	}
	if d, _ := r.Get("air-1"); d.Public().TokenHash != nil || d.TokenHash == nil {
		t.Fatal("Public must leave the hash out, and out of the copy only")
	}
}

func TestAuthenticate(t *testing.T) {
	ctx := t.Context()
	r := openRegister(t, newMemStore())
	token, err := r.Add(ctx, Device{ID: "a", Profile: "noise"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(ctx, Device{ID: "q", Profile: "noise", State: Quarantine}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, id, token string
		want            Reason
	}{
		{"right", "a", token, ""},
		{"wrong token", "a", token[1:], ReasonBadCredential},
		{"no token", "a", "", ReasonBadCredential},
		{"another's token", "q", token, ReasonBadCredential},
		{"unknown device", "b", token, ReasonUnknownDevice},
		{"no device", "", "", ReasonUnknownDevice},
		{"no id at all", strings.Repeat("é", 1000), "", ReasonUnknownDevice},
	} {
		d, err := r.Authenticate(ID(c.id), c.token)
		if c.want == "" {
			if err != nil || d.ID != ID(c.id) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Reason != c.want || d != nil {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
			continue
		}
		if refusal.Detail != "device and token do not match" || len(refusal.Device) > MaxIDLength {
			t.Errorf("%s: the answer tells more: %+v", c.name, refusal)
		}
	}
	fresh, err := r.RenewToken(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate("a", token); err == nil {
		t.Error("the old token still works")
	}
	if _, err := r.Authenticate("a", fresh); err != nil {
		t.Error(err)
	}
	if err := r.Update(ctx, "a", func(d *Device) error { d.State = Retired; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate("a", fresh); !errors.Is(err, &Refusal{Reason: ReasonUnknownDevice}) {
		t.Errorf("a retired device: %v", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	ctx := t.Context()
	store := newMemStore()
	r := openRegister(t, store)
	if _, err := r.Add(ctx, Device{ID: "a", Profile: "noise"}); err != nil {
		t.Fatal(err)
	}
	epoch := r.Epoch()
	for name, d := range map[string]Device{
		"bad id":          {ID: "a/b", Profile: "noise"},
		"no profile":      {ID: "b"},
		"unknown profile": {ID: "b", Profile: "toaster"},
		"bad place":       {ID: "b", Profile: "noise", At: Position{Lon: 20.4, Lat: 106.1}},
		"bad state":       {ID: "b", Profile: "noise", State: "sleepy"},
		"bad hash":        {ID: "b", Profile: "noise", TokenHash: []byte("x")},
		"own upstream":    {ID: "b", Profile: "noise", Upstream: "b"},
		"exists":          {ID: "a", Profile: "noise"},
	} {
		// With a good one before it: all or nothing.
		if _, err := r.AddAll(ctx, []Device{{ID: "good", Profile: "noise"}, d}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := r.AddAll(ctx, []Device{{ID: "c", Profile: "noise"}, {ID: "c", Profile: "noise"}}); !errors.Is(err, ErrDeviceExists) {
		t.Errorf("one id twice: %v", err)
	}
	if err := r.Update(ctx, "a", func(d *Device) error { d.ID = "z"; return nil }); err == nil {
		t.Error("an id was changed")
	}
	if err := r.Update(ctx, "nobody", func(*Device) error { return nil }); !errors.Is(err, ErrNoDevice) {
		t.Errorf("update of nobody: %v", err)
	}
	if err := r.Remove(ctx, "nobody"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("remove of nobody: %v", err)
	}
	store.fail = errors.New("disk full")
	if _, err := r.Add(ctx, Device{ID: "d", Profile: "noise"}); !errors.Is(err, store.fail) {
		t.Errorf("add to a full disk: %v", err)
	}
	if err := r.Update(ctx, "a", func(d *Device) error { d.Name = "x"; return nil }); !errors.Is(err, store.fail) {
		t.Errorf("update on a full disk: %v", err)
	}
	if err := r.Remove(ctx, "a"); !errors.Is(err, store.fail) {
		t.Errorf("remove on a full disk: %v", err)
	}
	// What the store did not take did not happen.
	if d, ok := r.Get("a"); !ok || d.Name != "" || len(r.List()) != 1 || r.Epoch() != epoch {
		t.Errorf("after failures: %v %v, epoch %d, want %d", d, r.List(), r.Epoch(), epoch)
	}
}

func TestOpenRegisterRefusesCorruptEntries(t *testing.T) {
	for name, value := range map[string]string{"not JSON": "{", "another id": `{"id":"b","profile":"noise"}`} {
		store := newMemStore()
		store.entries["a"] = []byte(value)
		if _, err := OpenRegister(t.Context(), store, DefaultCatalogue()); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRegisterWatchers(t *testing.T) {
	ctx := t.Context()
	r := openRegister(t, newMemStore())
	var seen []string
	r.OnChange(func(d *Device) { seen = append(seen, fmt.Sprintf("%s %s", d.ID, d.State)) })
	if _, err := r.AddAll(ctx, []Device{{ID: "a", Profile: "noise"}, {ID: "b", Profile: "noise"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(ctx, "a", func(d *Device) error { d.State = Maintenance; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(seen, ", "), "a active, b active, a maintenance, b retired"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// Readers see whole devices and never an older list after a newer one.
func TestRegisterConcurrent(t *testing.T) {
	ctx := t.Context()
	r := openRegister(t, newMemStore())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := r.Add(ctx, Device{ID: ID(fmt.Sprintf("d-%d-%d", w, i)), Profile: "noise"}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			last := 0
			for range 200 {
				n := len(r.List())
				if n < last {
					t.Errorf("the list shrank from %d to %d", last, n)
				}
				last = n
			}
		})
	}
	wg.Wait()
	if n := len(r.List()); n != 200 {
		t.Fatalf("got %d devices, want 200", n)
	}
}

func TestPresence(t *testing.T) {
	p := &Profile{Interval: time.Minute}
	for _, c := range []struct {
		ago  time.Duration
		want Presence
	}{
		{0, Online}, {-time.Second, Online}, {2 * time.Minute, Online}, {2*time.Minute + 1, Overdue}, {4 * time.Minute, Overdue}, {4*time.Minute + 1, Silent},
	} {
		if got := p.Presence(arrival.Add(-c.ago), arrival); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.ago, got, c.want)
		}
	}
	if got := p.Presence(time.Time{}, arrival); got != Never {
		t.Errorf("without a report: got %s", got)
	}
}

func BenchmarkOpenRegister100k(b *testing.B) {
	store := newMemStore()
	for i := range 100_000 {
		d := Device{ID: ID(fmt.Sprintf("dev-%06d", i)), Name: "Trạm", Profile: "air-quality", At: Position{106.1, 20.4}, State: Active, TokenHash: make([]byte, 32), Added: arrival}
		store.entries[string(d.ID)], _ = json.Marshal(d)
	}
	for b.Loop() {
		if r := openRegister(b, store); len(r.List()) != 100_000 {
			b.Fatal(len(r.List()))
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	r := openRegister(b, newMemStore())
	token, err := r.Add(b.Context(), Device{ID: "a", Profile: "noise"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Authenticate("a", token); err != nil {
			b.Fatal(err)
		}
	}
}
