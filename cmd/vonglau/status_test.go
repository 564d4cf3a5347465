package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"vonglau/devices"
)

// TestStatusLeavesDrillsOut: the city has as many devices in a drill as without.
func TestStatusLeavesDrillsOut(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = ListenConfig{HTTP: "[::1]:0"}
	s, err := newServer(t.Context(), cfg, slog.New(slog.DiscardHandler), machineClock())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	for _, d := range []devices.Device{{ID: "real", Profile: "noise"}, {ID: "drilled", Profile: "noise", Exercise: "flood-1"}} {
		if _, err := s.register.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(s.status())
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Devices int }
	if err := json.Unmarshal(raw, &got); err != nil || got.Devices != 1 {
		t.Errorf("the city has %d devices, want 1 (%v)", got.Devices, err)
	}
}
