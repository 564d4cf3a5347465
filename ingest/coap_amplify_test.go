package ingest

import (
	"bytes"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// datagram sends raw bytes to the door and gives the answer's, nil for none.
func datagram(t *testing.T, to net.Addr, raw []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		return nil
	}
	return b[:n]
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Nobody who has proven nothing is answered with more than three times the bytes
// it sent, whatever it sends.
func TestCoAPAmplifiesNothing(t *testing.T) {
	g := newTestGate(t)
	c, err := NewCoAP(g.Gate, "[::1]:0", CoAPOptions{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(c.Stop)
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	core := "bb" + text(".well-known") + "04" + text("core")
	device := "b7" + text("devices") + "04" + text("aq-1") + "09" + text("telemetry")
	for name, request := range map[string]string{
		"ping of nothing":             "40 00 0001",
		"GET of nothing":              "50 01 0002",
		"GET of the root, confirmed":  "40 01 0003",
		"unknown resource":            "50 01 0004 b1 61",
		"POST to it":                  "50 02 0005 b1 61",
		"unknown method":              "50 1f 0006 b1 61",
		"unknown critical option":     "50 01 0007 b1 61 e0 0000",
		"discovery":                   "50 01 0008 " + core,
		"discovery, confirmed":        "40 01 0009 " + core,
		"discovery with a token":      "58 01 000a 0102030405060708 " + core,
		"discovery, blocks of 1024":   "50 01 000b " + core + "c1 06",
		"discovery, block 3 of 64":    "50 01 000c " + core + "c1 32",
		"discovery, block out of it":  "50 01 000d " + core + "c2 fff6",
		"discovery, block malformed":  "50 01 000e " + core + "c3 ffffff",
		"discovery by POST":           "50 02 000f " + core,
		"telemetry without a token":   "50 02 0010 " + device + " ff 7b7d",
		"telemetry with a wrong one":  "50 02 0011 " + device + "43 6b3d78 ff 7b7d",
		"telemetry by DELETE":         "50 04 0012 " + device,
		"commands without a token":    "50 01 0013 b7 " + text("devices") + "04" + text("aq-1") + "08" + text("commands"),
		"a block of an upload":        "50 02 0014 " + device + "d1 03 0e ff 7b7d",
		"reserved code class":         "50 ff 0015",
		"answer nobody asked for":     "60 45 0016",
		"truncated option":            "50 01 0017 bb 2e",
		"an observer without a token": "50 01 0018 60 51 61",
	} {
		raw := bytesOf(t, request)
		answer := datagram(t, c.Addr(), raw)
		if len(answer) > amplification*len(raw) {
			t.Errorf("%s: %d bytes are answered with %d: %x", name, len(raw), len(answer), answer)
		}
		if strings.HasPrefix(name, "discovery") && answer == nil {
			t.Errorf("%s: no answer", name)
		}
	}

	// All blocks together are still the whole.
	var links []byte
	for num := byte(0); ; num++ {
		raw := append(bytesOf(t, "40 01 01"), num)
		raw = append(append(raw, bytesOf(t, core)...), 0xc1, num<<4|1)
		answer := datagram(t, c.Addr(), raw)
		_, body, ok := bytes.Cut(answer, []byte{0xff})
		if !ok || len(answer) > amplification*len(raw) {
			t.Fatalf("block %d: %d bytes are answered with %x", num, len(raw), answer)
		}
		links = append(links, body...)
		if len(body) < 32 {
			break
		}
	}
	if string(links) != coreLinks {
		t.Errorf("the blocks are %q, want %q", links, coreLinks)
	}
}
