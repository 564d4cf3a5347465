package alert

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"vonglau/devices"
)

// slowStore takes its time, and tells how much was written at once.
type slowStore struct {
	*memStore
	most int // values in one write
}

func (s *slowStore) PutAll(ctx context.Context, entries map[string][]byte) error {
	s.most = max(s.most, len(entries))
	time.Sleep(saveSlice / 2)
	return s.memStore.PutAll(ctx, entries)
}

// TestSaveInParts: what the rules remember is written a part at a time, with
// readings and acts between; a kill at any of them gives the same alarms.
func TestSaveInParts(t *testing.T) {
	store := &slowStore{memStore: newMemStore()}
	register, err := devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	const count = 400
	for i := range count {
		if _, err := register.Add(t.Context(), devices.Device{ID: devices.ID(fmt.Sprint("n-", i)), Profile: "noise", At: devices.Position{Lon: 106, Lat: 20}, Added: midnight}); err != nil {
			t.Fatal(err)
		}
	}
	now, log := midnight, &memLog{}
	open := func(store devices.Store, log Log) *Alarms {
		t.Helper()
		s, err := Open(t.Context(), Options{Register: register, Store: store, Transitions: log, Now: func() time.Time { return now }, SaveEvery: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(store, log)
	if err := s.Apply(t.Context(), fullRules("\n  - id: loud\n    when: {threshold: {quantity: noise, above: 80, for: 30s}}\n")); err != nil {
		t.Fatal(err)
	}
	var journal []*devices.Message
	handle := func(s *Alarms) {
		t.Helper()
		for next := s.Next(); next <= uint64(len(journal)); next = s.Next() {
			if err := s.Handle(t.Context(), journal[next-1:next], nil, next); err != nil {
				t.Fatal(err)
			}
		}
	}
	parts := 0
	for minute := range 4 {
		for i := range count {
			now = midnight.Add(time.Duration(minute)*time.Minute + time.Duration(i)*50*time.Millisecond)
			noise := 70.0
			if (i+minute)%3 > 0 {
				noise = 90
			}
			journal = append(journal, &devices.Message{Device: devices.ID(fmt.Sprint("n-", i)), Received: now, Observations: []devices.Observation{{
				Time: now, At: devices.Position{Lon: 106, Lat: 20}, Values: []devices.Value{{Quantity: "noise", Number: noise}},
			}}})
			handle(s)
			if s.round == nil {
				continue
			}
			if parts++; parts%3 > 0 {
				continue
			}
			// What a kill leaves here, read again.
			again := open(&memStore{entries: maps.Clone(store.entries)}, &memLog{records: log.records[:len(log.records):len(log.records)]})
			handle(again)
			if got, want := summary(again.List()), summary(s.List()); got != want {
				t.Fatalf("killed in the middle of a save at %s:\n%s\nwant\n%s", now.Format(time.TimeOnly), got, want)
			}
			if got, want := again.n, s.n; got != want {
				t.Fatalf("killed in the middle of a save: %d records, want %d", got, want)
			}
		}
	}
	if parts < 6 {
		t.Errorf("saves had %d pauses: it was written in one go", parts)
	}
	if store.most > shardsAtOnce {
		t.Errorf("%d shards were written at once, want %d at most", store.most, shardsAtOnce)
	}
	if len(s.List()) == 0 {
		t.Error("nothing was raised")
	}
}
