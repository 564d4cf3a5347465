package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/live"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	c := DefaultConfig()
	c.Data = t.TempDir()
	c.Listen.HTTP, c.Listen.MQTT, c.Listen.CoAP = "[::1]:0", "[::1]:0", "[::1]:0"
	return c
}

// A start that fails names its cause and gives the data folder back.
func TestNewGivesBackWhatItOpened(t *testing.T) {
	cfg := testConfig(t)
	broken := cfg
	broken.City.Catalogue = filepath.Join(cfg.Data, "absent.yaml")
	_, err := New(t.Context(), broken, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "city.catalogue") {
		t.Fatalf("got %v, want an error that names city.catalogue", err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("the folder was not given back: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// A second server over a folder in use says so and leaves the first one's
// address where it is.
func TestNewOverAFolderInUse(t *testing.T) {
	cfg := testConfig(t)
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if raw, err := json.Marshal(s.status()); err != nil || strings.Contains(string(raw), "0001-01-01") {
		t.Errorf("a status with times that never were: %s, %v", raw, err)
	}
	if second, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil {
		_ = second.Stop(context.Background())
		t.Error("two servers opened one data folder")
	}
	if _, err := os.Stat(s.addressesFile()); err != nil {
		t.Errorf("the running server's addresses are gone: %v", err)
	}
}

// addresses.json says that all doors are open. The one that a killed server
// left says nothing about the next.
func TestNewForgetsTheAddressesOfAKilledServer(t *testing.T) {
	cfg := testConfig(t)
	file := filepath.Join(cfg.Data, "addresses.json")
	if err := os.WriteFile(file, []byte(`{"http":"[::1]:1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the doors are open there are addresses: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// After a restart the wall knows of a bus what it knew before: where its last
// reading was taken and by which door it came, which history does not keep.
func TestTheWallIsRebuiltFromTheJournal(t *testing.T) {
	cfg := testConfig(t)
	serve := func() *Server {
		t.Helper()
		s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
		return s
	}
	s := serve()
	token, err := s.register.Add(t.Context(), devices.Device{ID: "bus-1", Profile: "bus", State: devices.Active})
	if err != nil {
		t.Fatal(err)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().HTTP+"/v1/devices/bus-1/telemetry",
		strings.NewReader(`{"speed": 31, "lon": 106.168, "lat": 20.434}`))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Fatalf("telemetry: %s", answer.Status)
	}
	eventually(t, time.Minute, func() (bool, string) {
		points, err := s.store.Latest(t.Context(), "bus-1")
		return err == nil && len(points) == 1, fmt.Sprintf("history has %v, %v", points, err)
	})
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}

	s = serve()
	var latest []live.Latest
	eventually(t, time.Minute, func() (bool, string) {
		latest, _ = s.hub.LatestOf("bus-1")
		return len(latest) == 1, fmt.Sprintf("the wall has %v", latest)
	})
	if got, want := latest[0].At, (devices.Position{Lon: 106.168, Lat: 20.434}); got != want {
		t.Errorf("the last speed was taken at %v, want %v", got, want)
	}
}
