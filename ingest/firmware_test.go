package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

func openTestImages(t *testing.T, b *commandBench, dir string) *Images {
	t.Helper()
	objects, err := b.journal.Objects(t.Context(), "firmware")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := b.journal.Bucket(t.Context(), "firmware")
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenImages(t.Context(), ImagesOptions{Objects: objects, Manifests: manifests, Dir: dir, Profiles: b.register.Catalogue(), Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testImage(n int) []byte {
	image := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range image {
		image[i] = byte(rng.Uint32())
	}
	return image
}

func TestImagesAreSignedAndKept(t *testing.T) {
	b, dir := newCommandBench(t), t.TempDir()
	m := openTestImages(t, b, dir)
	image := testImage(5000)
	f, err := m.Add(t.Context(), "air_quality", "1.2.0", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(image)
	if f.Name != "air-quality-1.2.0" || f.Profile != "air-quality" || f.Size != 5000 || f.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("got %+v", f)
	}
	if err := f.Verify(m.PublicKey()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*devices.Firmware){
		"version": func(f *devices.Firmware) { f.Version = "1.2.1" }, "size": func(f *devices.Firmware) { f.Size++ },
		"hash":    func(f *devices.Firmware) { f.SHA256 = strings.Repeat("0", 64) },
		"profile": func(f *devices.Firmware) { f.Profile = "siren" }, "signature": func(f *devices.Firmware) { f.Signature = bytes.Clone(f.Signature); f.Signature[3] ^= 1 },
	} {
		forged := f
		change(&forged)
		if err := forged.Verify(m.PublicKey()); !errors.Is(err, devices.ErrBadSignature) {
			t.Errorf("a changed %s passes: %v", name, err)
		}
	}
	if again, err := m.Add(t.Context(), "air-quality", "1.2.0", bytes.NewReader(image)); err != nil || again.Added != f.Added {
		t.Errorf("the same once more: %+v, %v", again, err)
	}
	if _, err := m.Add(t.Context(), "air-quality", "1.2.0", strings.NewReader("other")); !errors.Is(err, devices.ErrHasFirmware) {
		t.Errorf("another under the same version: %v", err)
	}
	for _, c := range [][3]string{{"nothing", "1", "x"}, {"siren", "../1", "x"}, {"siren", "", "x"}, {"siren", "..", "x"}, {"siren", "1", ""}} {
		if _, err := m.Add(t.Context(), c[0], c[1], strings.NewReader(c[2])); !errors.Is(err, devices.ErrBadFirmware) {
			t.Errorf("profile %q version %q: %v", c[0], c[1], err)
		}
	}

	// The key and the manifests outlive a restart; a lost copy is made again and
	// a damaged one of the store would be noticed by the device.
	b.restart()
	m2 := openTestImages(t, b, dir)
	if !m2.PublicKey().Equal(m.PublicKey()) || len(m2.List()) != 1 {
		t.Fatalf("after a restart: %d images", len(m2.List()))
	}
	if info, err := os.Stat(filepath.Join(dir, "firmware.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("firmware.key: %v %v", info.Mode(), err)
	}
	device, _ := b.register.Get("aq-1")
	for range 2 {
		file, _, err := m2.open(t.Context(), device, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(file)
		_ = file.Close()
		if err != nil || !bytes.Equal(got, image) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if err := os.Remove(filepath.Join(dir, "firmware", f.SHA256)); err != nil {
			t.Fatal(err)
		}
	}
	siren, _ := b.register.Get("siren-1")
	if _, _, err := m2.open(t.Context(), siren, f.Name); asRefusal(err).Reason != devices.ReasonBadTopic {
		t.Errorf("an image of another profile: %v", err)
	}
}

func TestFirmwareByBlocksAndRanges(t *testing.T) {
	b := newCommandBench(t)
	images := openTestImages(t, b, t.TempDir())
	image := testImage(3000)
	f, err := images.Add(t.Context(), "air-quality", "2.0", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.register.RenewToken(t.Context(), "aq-1")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(Options{
		Journal: &heldJournal{}, Register: b.register, Catalogue: b.register.Catalogue(), Places: dayPlacer{}, Now: b.now,
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	door, err := NewCoAP(gate, "[::1]:0", CoAPOptions{Commands: b.Commands, Images: images})
	if err != nil {
		t.Fatal(err)
	}
	door.Start()
	defer door.Stop()
	cc, err := udp.Dial(door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close(); <-cc.Done() }()
	key := message.Option{ID: message.URIQuery, Value: []byte("k=" + token)}
	res, err := cc.Get(t.Context(), "/devices/aq-1/firmware/"+f.Name, key)
	if err != nil || res.Code() != codes.Content {
		t.Fatalf("%v, %v", res, err)
	}
	got, err := res.ReadBody()
	if tag, _ := res.ETag(); err != nil || !bytes.Equal(got, image) || hex.EncodeToString(tag) != f.SHA256[:16] {
		t.Errorf("by blocks: %d bytes of %d, ETag %x, %v", len(got), len(image), tag, err)
	}
	for path, want := range map[string]codes.Code{
		"/devices/aq-1/firmware/air-quality-3.0": codes.NotFound, "/devices/siren-1/firmware/" + f.Name: codes.Unauthorized,
	} {
		if res, err := cc.Get(t.Context(), path, key); err != nil || res.Code() != want {
			t.Errorf("%s: %v, %v; want %s", path, res, err, want)
		}
	}

	mux := http.NewServeMux()
	for pattern, h := range NewHTTP(gate, images).Routes() {
		mux.Handle(pattern, h)
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		device, token, span string
		status              int
		want                []byte
	}{
		{"aq-1", token, "", 200, image}, {"aq-1", token, "bytes=1000-1999", 206, image[1000:2000]}, {"aq-1", token, "bytes=2900-", 206, image[2900:]},
		{"aq-1", token, "bytes=3000-", 416, nil}, {"aq-1", "wrong", "", 401, nil}, {"siren-1", token, "", 401, nil},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/devices/"+c.device+"/firmware/"+f.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		if c.span != "" {
			req.Header.Set("Range", c.span)
			req.Header.Set("If-Range", `"`+f.SHA256+`"`)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || c.want != nil && !bytes.Equal(got, c.want) {
			t.Errorf("%s %q: %d with %d bytes, %v; want %d with %d", c.device, c.span, res.StatusCode, len(got), err, c.status, len(c.want))
		}
	}
}
