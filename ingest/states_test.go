package ingest

import (
	"context"
	"errors"
	"testing"

	"vonglau/devices"
	"vonglau/ingest/mqtt"
)

func openTestStates(t *testing.T, b *commandBench) *States {
	t.Helper()
	bucket, err := b.journal.Bucket(t.Context(), "device-states")
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStates(t.Context(), bucket, b.register, b.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateStreamGivesTheNewest(t *testing.T) {
	b := newCommandBench(t)
	s := openTestStates(t, b)
	for _, patch := range []string{`{"level":1}`, `{"level":2,"mode":"night"}`} {
		if _, err := s.Desire(t.Context(), "lamp-1", []byte(patch), "an"); err != nil {
			t.Fatal(err)
		}
	}
	source := s.subscribe("lamp-1", "devices/lamp-1/state/desired")
	m, err := source.Next(t.Context())
	if err != nil || m.Seq != 2 || string(m.Payload) != `{"version":2,"state":{"level":2,"mode":"night"}}` {
		t.Fatalf("at once: %+v, %v", m, err)
	}
	next := make(chan *mqtt.Message, 1)
	go func() {
		m, err := source.Next(context.Background())
		if err != nil {
			t.Error(err)
		}
		next <- m
	}()
	if err := s.Report(t.Context(), "lamp-1", []byte(`{"level":2}`)); err != nil {
		t.Fatal(err) // what is reported is no change of what is desired
	}
	if _, err := s.Desire(t.Context(), "lamp-1", []byte(`{"mode":null}`), "an"); err != nil {
		t.Fatal(err)
	}
	if m := <-next; m.Seq != 3 || string(m.Payload) != `{"version":3,"state":{"level":2}}` {
		t.Errorf("after a change: %d %s", m.Seq, m.Payload)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := source.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing has changed: %v, %v", m, err)
	}

	before := s.Get("lamp-1")
	b.restart()
	after := openTestStates(t, b).Get("lamp-1")
	if string(after.Desired) != string(before.Desired) || after.DesiredVersion != 3 || after.ReportedVersion != 1 || after.By != "an" || !after.DesiredAt.Equal(before.DesiredAt) {
		t.Errorf("read from disk: %+v, was %+v", after, before)
	}
}

func TestStateRefused(t *testing.T) {
	b := newCommandBench(t)
	s := openTestStates(t, b)
	if _, err := s.Desire(t.Context(), "siren-1", []byte(`{"sound":true}`), "an"); !errors.Is(err, devices.ErrBadState) {
		t.Errorf("a siren by state: %v", err)
	}
	if _, err := s.Desire(t.Context(), "nobody", []byte(`{}`), "an"); !errors.Is(err, devices.ErrNoDevice) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := s.Desire(t.Context(), "lamp-1", []byte(`[]`), "an"); !errors.Is(err, devices.ErrBadState) {
		t.Errorf("an array: %v", err)
	}
	var r *devices.Refusal
	if err := s.Report(t.Context(), "lamp-1", []byte(`1`)); !errors.As(err, &r) || r.Reason != devices.ReasonMalformed {
		t.Errorf("a number: %v", err)
	}
	if st := s.Get("lamp-1"); st.DesiredVersion != 0 || st.ReportedVersion != 0 {
		t.Errorf("what was refused left %+v", st)
	}
}
