package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"vonglau/devices"
)

func TestParsePlace(t *testing.T) {
	for _, c := range []struct {
		text string
		want devices.Position
		err  string
	}{
		{"106.168,20.434", devices.Position{Lon: 106.168, Lat: 20.434}, ""},
		{" 106.168 , 20.434 ", devices.Position{Lon: 106.168, Lat: 20.434}, ""},
		{"-180,-90", devices.Position{Lon: -180, Lat: -90}, ""},
		{"20.434,106.168", devices.Position{}, "longitude comes first"},
		{"181,0", devices.Position{}, "longitude"},
		{"106.168", devices.Position{}, "no place"},
		{"106.168;20.434", devices.Position{}, "no place"},
		{"NaN,NaN", devices.Position{}, "latitude"},
		{"Inf,0", devices.Position{}, "longitude"},
		{"NaN,0", devices.Position{}, "longitude"},
	} {
		got, err := parsePlace(c.text)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q: got %v, %v", c.text, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: got %v, want an error that says %q", c.text, err, c.err)
		}
	}
}

// Two servers that are told free ports for three doors do not meet at the
// others, and one that is told a loopback address opens nothing to the network.
func TestTwin(t *testing.T) {
	for _, c := range []struct{ plain, secure, want string }{
		{"[::1]:0", "[::]:8443", "[::1]:0"},
		{"[::1]:8080", "[::]:8443", "[::1]:8443"},
		{"[2001:db8::7]:1883", "[::]:8883", "[2001:db8::7]:8883"},
		{":0", "[::]:8443", ":0"},
		{"", "[::]:8443", "[::]:8443"},
		{"8080", "[::]:8443", "[::]:8443"},
		{"[::1]:0", "", ""},
	} {
		if got := twin(c.plain, c.secure); got != c.want {
			t.Errorf("beside %q: %q, want %q", c.plain, got, c.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Setenv("VONGLAU_SERVER", "http://[::1]:1")
	t.Setenv("VONGLAU_TOKEN", "x")
	nothing := filepath.Join(t.TempDir(), "nothing")
	for _, c := range []struct {
		args string
		want int
	}{
		{"--help", exitOK},
		{"serve --check", exitOK},
		{"bogus", exitUsage},
		{"device add", exitUsage},
		{"device add x --profile bus --at here", exitUsage},
		{"place 20.434,106.168", exitUsage},
		{"serve --check --http 8080", exitUsage},
		{"serve --check --config " + nothing, exitUsage},
		{"verify --data " + nothing, exitFailed},
		{"rule apply " + nothing, exitFailed},
		{"status", exitUnreachable},
		// West of Greenwich, and no flag.
		{"place -2.92,53.44 --at 2024-12-31", exitUnreachable},
	} {
		if got := run(context.Background(), strings.Fields(c.args)); got != c.want {
			t.Errorf("vonglau %s: exit code %d, want %d", c.args, got, c.want)
		}
	}
}
