package firmwaresim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// newTestBoard is one board over a server that gives out image, and the manifest
// of it.
func newTestBoard(t *testing.T, image []byte) (*board, devices.Firmware, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image))
	}))
	t.Cleanup(server.Close)
	b, err := NewBoards(BoardOptions{
		API: &Server{URL: server.URL}, MQTT: "[::1]:1", Key: public, Version: "1.0",
		Boards: []Registration{{ID: "b-1", Profile: "weather", Token: "t"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.coap.close(); b.http.CloseIdleConnections() })
	x := b.boards[0]
	x.cutAfter = -1
	sum := sha256.Sum256(image)
	f := devices.Firmware{Name: "weather-1.1", Version: "1.1", Profile: "weather", Size: int64(len(image)), SHA256: hex.EncodeToString(sum[:])}
	f.Signature = ed25519.Sign(private, f.Signed())
	return x, f, private
}

func command(t *testing.T, id string, f devices.Firmware) given {
	t.Helper()
	args, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return given{ID: id, Name: devices.CommandFirmware, Args: args, Expires: time.Now().Add(time.Hour)}
}

// answered is the newest answer to a command.
func answered(t *testing.T, b *board, id string) (a devices.CommandAnswer, r devices.FirmwareReport) {
	t.Helper()
	for _, s := range b.flash.said {
		if s.id == id {
			if err := json.Unmarshal(s.payload, &a); err != nil {
				t.Fatal(err)
			}
			_ = json.Unmarshal(a.Result, &r)
		}
	}
	return a, r
}

// until works until the board has nothing to do or ends a life.
func until(t *testing.T, b *board) error {
	t.Helper()
	for range 20 {
		worked, err := b.work(t.Context())
		if err != nil || !worked {
			return err
		}
	}
	t.Fatal("the board never rests")
	return nil
}

func TestBoardTakesOnlyWhatTheCitySigned(t *testing.T) {
	image, err := MakeImage("1.1", 4000)
	if err != nil {
		t.Fatal(err)
	}
	b, good, key := newTestBoard(t, image)
	sign := func(change func(*devices.Firmware)) devices.Firmware {
		f := good
		change(&f)
		f.Signature = ed25519.Sign(key, f.Signed())
		return f
	}
	forged := good
	forged.Signature = bytes.Repeat([]byte{1}, ed25519.SignatureSize)
	for cause, f := range map[string]devices.Firmware{
		"signature":     forged,
		"wrong_profile": sign(func(f *devices.Firmware) { f.Profile, f.Name = "siren", "siren-1.1" }),
		"manifest":      sign(func(f *devices.Firmware) { f.Version = "../1.1" }),
		"hash":          sign(func(f *devices.Firmware) { f.SHA256 = strings.Repeat("0", 64) }),
	} {
		b.flash.take(command(t, cause, f))
		if err := until(t, b); err != nil {
			t.Errorf("%s: %v", cause, err)
		}
		a, r := answered(t, b, cause)
		if a.State != devices.CommandFailed || r.Cause != cause || r.Version != "1.0" || r.RolledBack || b.busy() {
			t.Errorf("%s: %+v %+v", cause, a, r)
		}
	}
	late := command(t, "late", good)
	late.Expires = time.Now().Add(-time.Second)
	b.flash.take(late)
	if err := until(t, b); err != nil || b.flash.version() != "1.0" || b.flash.job != nil {
		t.Errorf("a late command: %v, runs %s", err, b.flash.version())
	}
	if a, _ := answered(t, b, "late"); a.State != devices.CommandFailed {
		t.Errorf("a late command: %+v", a)
	}
}

func TestBoardSurvivesPowerCuts(t *testing.T) {
	image, err := MakeImage("1.1", 5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, 1023, 1024, 4999, 5000} {
		b, f, _ := newTestBoard(t, image)
		b.flash.take(command(t, "c1", f))
		if _, err := b.work(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.cutAfter = cut
		if err := until(t, b); !errors.Is(err, errPower) || len(b.flash.job.part) != cut {
			t.Fatalf("cut at %d: %v with %d bytes", cut, err, len(b.flash.job.part))
		}
		if rolledBack, _ := b.flash.boot("a"); rolledBack {
			t.Errorf("cut at %d: rolled back", cut)
		}
		if b.flash.job != nil { // it had not all arrived
			if err := until(t, b); !errors.Is(err, errReboot) {
				t.Errorf("cut at %d: %v", cut, err)
			}
			b.flash.boot("a")
		}
		if a, r := answered(t, b, "c1"); a.State != devices.CommandDone || r.Version != "1.1" || b.flash.version() != "1.1" || b.busy() {
			t.Errorf("cut at %d: %+v %+v, runs %s", cut, a, r, b.flash.version())
		}
		// The same command once more is answered and not done again.
		for _, s := range b.flash.said {
			b.flash.heard(s)
		}
		b.flash.take(command(t, "c1", f))
		if _, ok := b.flash.unheard(); !ok || b.busy() {
			t.Errorf("cut at %d: a repetition is not answered, or done again", cut)
		}
		b.flash.take(command(t, "c2", f))
		if err := until(t, b); err != nil {
			t.Errorf("the image it runs: %v", err)
		}
		if a, _ := answered(t, b, "c2"); a.State != devices.CommandDone {
			t.Errorf("the image it runs: %+v", a)
		}
	}
}

func TestBoardRollsBack(t *testing.T) {
	image, err := MakeImage("1.1", 3000, "b")
	if err != nil {
		t.Fatal(err)
	}
	b, f, _ := newTestBoard(t, image)
	b.hardware = "b"
	b.flash.take(command(t, "c1", f))
	if err := until(t, b); !errors.Is(err, errReboot) {
		t.Fatal(err)
	}
	if rolledBack, installed := b.flash.boot(b.hardware); !rolledBack || installed {
		t.Error("a bad image stays")
	}
	if a, r := answered(t, b, "c1"); a.State != devices.CommandFailed || !r.RolledBack || r.Cause != "self_test" || r.Version != "1.0" || b.flash.version() != "1.0" {
		t.Errorf("%+v %+v, runs %s", a, r, b.flash.version())
	}
}
