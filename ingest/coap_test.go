package ingest

import (
	"bytes"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"vonglau/devices"
)

// A request that the disk has still to answer when the server is told to stop
// gets its answer; one that comes later gets none, and the device keeps it.
func TestCoAPStopOwesNoAnswer(t *testing.T) {
	g := newTestGate(t)
	token, err := g.opt.Register.Add(t.Context(), devices.Device{ID: "aq-2", Profile: "air-quality", State: devices.Active})
	if err != nil {
		t.Fatal(err)
	}
	g.opt.Limits.Bytes = 4096
	door, err := NewCoAP(g.Gate, "[::1]:0", CoAPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	door.Start()
	device, err := net.Dial("udp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	if len(token) != 43 {
		t.Fatalf("the token %q has %d bytes; the option below says 43", token, len(token))
	}
	// POST /devices/aq-2/telemetry?k=…, confirmable, application/json.
	post := slices.Concat(
		[]byte{0x40, 0x02, 0x12, 0x34, 0xb7}, []byte("devices"), []byte{0x04}, []byte("aq-2"), []byte{0x09}, []byte("telemetry"),
		[]byte{0x11, 50, 0x3d, 45 - 13}, []byte("k="+token), []byte{0xff}, []byte(`{"pm25": 12.5}`),
	)
	if _, err := device.Write(post); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { g.journal.mu.Lock(); defer g.journal.mu.Unlock(); return len(g.journal.waiting) == 1 })

	stopped := make(chan struct{})
	go func() { door.Stop(); close(stopped) }()
	waitFor(t, func() bool { door.mu.Lock(); defer door.mu.Unlock(); return door.stopped })
	g.journal.sync(-1, nil)

	answer := make([]byte, 64)
	_ = device.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := device.Read(answer)
	if want := []byte{0x60, 0x44, 0x12, 0x34}; err != nil || !bytes.Equal(answer[:n], want) {
		t.Errorf("answer % x, %v; want % x, an acknowledgement with 2.04", answer[:n], err, want)
	}
	<-stopped
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for !ready() {
		if t.Context().Err() != nil {
			t.FailNow()
		}
		runtime.Gosched()
	}
}
