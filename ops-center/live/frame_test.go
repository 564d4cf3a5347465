package live

import (
	"encoding/hex"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// documented reads a frame that PROTOCOL.md spells out.
func documented(t testing.TB, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(doc), "```hex "+name+"\n")
	if !ok {
		t.Fatalf("PROTOCOL.md has no frame %q", name)
	}
	block, _, _ = strings.Cut(block, "```")
	var b []byte
	for line := range strings.Lines(block) {
		digits := regexp.MustCompile(`^(?:[0-9a-f]{2} {0,2})+`).FindString(line)
		raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimRight(digits, " "), " ", ""))
		if err != nil {
			t.Fatalf("PROTOCOL.md, %q: %v", line, err)
		}
		b = append(b, raw...)
	}
	return b
}

func TestDocumentedDelta(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	b := documented(t, "delta")
	f, err := ParseFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != kindDelta || f.Dict != 3 || f.Seq != 297 || len(f.Updates) != 2 {
		t.Fatalf("got %+v", f)
	}
	if got, want := f.Updates[0], (FrameUpdate{7, 12.5, at.Add(300 * time.Millisecond), 0, QualitySimulated}); got != want {
		t.Errorf("row 0: got %+v, want %+v", got, want)
	}
	u := f.Updates[1]
	if u.Channel != 260 || !math.IsNaN(float64(u.Value)) || !u.Time.IsZero() || u.Severity != 2 || u.Quality != QualitySimulated|QualitySilent {
		t.Errorf("row 1: got %+v", u)
	}
	// The encoder takes the oldest event as t0, so row 0 is its t0.
	got := encodeUpdates(kindDelta, 3, 297, []update{
		{channel: 7, value: 12.5, time: at.UnixMilli(), quality: QualitySimulated},
		{channel: 260, value: float32(math.NaN()), severity: 2, quality: QualitySimulated | QualitySilent},
	})
	copy(b[32+16:], []byte{0, 0}) // dt of row 0
	if string(got) != string(b) {
		t.Errorf("encoder:\n got %x\nwant %x", got, b)
	}
}

func TestDocumentedPositions(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	b := documented(t, "positions")
	f, err := ParseFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Positions) != 1 {
		t.Fatalf("got %+v", f)
	}
	if got, want := f.Positions[0], (FramePosition{5, 106.168, 20.434, at.Add(500 * time.Millisecond)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got := encodeMoves(3, 296, []move{{device: 5, at: devices.Position{Lon: 106.168, Lat: 20.434}, time: at.UnixMilli()}})
	copy(b[32+12:], []byte{0, 0})
	if string(got) != string(b) {
		t.Errorf("encoder:\n got %x\nwant %x", got, b)
	}
}

func TestFrameTimes(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	ages := []time.Duration{0, 99 * time.Millisecond, time.Minute, 6553 * time.Second, 6554 * time.Second, 24 * time.Hour}
	us := make([]update, len(ages))
	for i, a := range ages {
		us[i] = update{channel: uint32(i), time: now.Add(-a).UnixMilli()}
	}
	f, err := ParseFrame(encodeUpdates(kindSnapshot, 1, 1, us))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range ages {
		got := f.Updates[i].Time
		if a > 6553*time.Second {
			if !got.IsZero() {
				t.Errorf("age %v: got %v, want before t0", a, got)
			}
			continue
		}
		if d := now.Add(-a).Sub(got); d < 0 || d >= 100*time.Millisecond {
			t.Errorf("age %v: got %v, off by %v", a, got, d)
		}
	}
}

func TestParseFrameRefuses(t *testing.T) {
	good := documented(t, "delta")
	for name, change := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"short":     func(b []byte) []byte { return b[:31] },
		"magic":     func(b []byte) []byte { b[0] = 'X'; return b },
		"version":   func(b []byte) []byte { b[4] = 2; return b },
		"kind":      func(b []byte) []byte { b[5] = 9; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"too long":  func(b []byte) []byte { return append(b, 0) },
		"count":     func(b []byte) []byte { b[11] = 0xff; return b },
	} {
		if f, err := ParseFrame(change(append([]byte(nil), good...))); err == nil {
			t.Errorf("%s: taken as %+v", name, f)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(documented(f, "delta"))
	f.Add(documented(f, "positions"))
	f.Add([]byte("VGL1\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("VGL1\x01\x02\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := ParseFrame(b)
		if err != nil {
			return
		}
		if n := len(fr.Updates) + len(fr.Positions); n > len(b) {
			t.Fatalf("%d rows out of %d bytes", n, len(b))
		}
	})
}
