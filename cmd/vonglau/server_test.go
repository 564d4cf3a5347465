package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
