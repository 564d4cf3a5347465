package ingest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// MaxFirmware bounds an image in bytes.
const MaxFirmware = 256 << 20

// ImagesOptions of Images; all are needed but Now.
type ImagesOptions struct {
	Objects   *journal.Objects // the images
	Manifests *journal.Bucket
	// Dir holds firmware.key, made at the first start, and copies of the images
	// that devices read blocks of. A copy that is lost or damaged is made again.
	Dir      string
	Profiles *devices.Catalogue
	Now      func() time.Time
}

// Images is the firmware there is for the city's devices, each image signed by
// the city's own key when it is added. A device takes only the images of its
// profile, and reads them by blocks or ranges in its own time:
//
//	GET coap://host/devices/{id}/firmware/{name}?k=TOKEN   Block2, ETag, Size2
//	GET http://host/v1/devices/{id}/firmware/{name}        Range, ETag
type Images struct {
	opt ImagesOptions
	key ed25519.PrivateKey
	dir string

	mu     sync.Mutex // guards byName, and the making of copies
	byName map[string]devices.Firmware
}

// OpenImages reads the manifests and the key, or makes one.
func OpenImages(ctx context.Context, o ImagesOptions) (*Images, error) {
	if o.Objects == nil || o.Manifests == nil || o.Dir == "" || o.Profiles == nil {
		return nil, errors.New("firmware: Objects, Manifests, Dir and Profiles are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Images{opt: o, dir: filepath.Join(o.Dir, "firmware"), byName: map[string]devices.Firmware{}}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("firmware: %w", err)
	}
	var err error
	if m.key, err = signingKey(filepath.Join(o.Dir, "firmware.key")); err != nil {
		return nil, fmt.Errorf("firmware key: %w", err)
	}
	err = o.Manifests.Load(ctx, func(key string, value []byte) error {
		var f devices.Firmware
		if err := json.Unmarshal(value, &f); err != nil {
			return fmt.Errorf("firmware %q: %w", key, err)
		}
		m.byName[f.Name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the firmware manifests: %w", err)
	}
	return m, nil
}

// signingKey reads a PKCS #8 key in PEM, or makes one that is on disk before
// anything is signed by it.
func signingKey(file string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, writeWhole(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", file)
	}
	return key, nil
}

// writeWhole writes a secret so that it is there whole or not at all.
func writeWhole(file string, raw []byte) error {
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// PublicKey is what devices know the city's images by.
func (m *Images) PublicKey() ed25519.PublicKey { return m.key.Public().(ed25519.PublicKey) }

// Add signs and keeps an image. The same image once more is no error.
func (m *Images) Add(ctx context.Context, profile, version string, r io.Reader) (devices.Firmware, error) {
	p, ok := m.opt.Profiles.Profile(profile)
	if !ok {
		return devices.Firmware{}, fmt.Errorf("%w: profile %.64q is not in the catalogue", devices.ErrBadFirmware, profile)
	}
	f := devices.Firmware{Name: devices.FirmwareName(p.Name, version), Version: version, Profile: p.Name}
	temporary, err := os.CreateTemp(m.dir, ".new-*")
	if err != nil {
		return f, fmt.Errorf("keeping firmware %.64q: %w", f.Name, err)
	}
	defer func() { _ = os.Remove(temporary.Name()); _ = temporary.Close() }()
	sum := sha256.New()
	if f.Size, err = io.Copy(io.MultiWriter(temporary, sum), io.LimitReader(r, MaxFirmware+1)); err != nil {
		return f, fmt.Errorf("keeping firmware %.64q: %w", f.Name, err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if f.Size > MaxFirmware {
		return f, fmt.Errorf("%w: it has more than %d bytes", devices.ErrBadFirmware, MaxFirmware)
	}
	if err := f.Check(); err != nil {
		return f, fmt.Errorf("%w: %w", devices.ErrBadFirmware, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.byName[f.Name]; ok {
		if old.SHA256 == f.SHA256 {
			return old, nil
		}
		return old, fmt.Errorf("%w: %s", devices.ErrHasFirmware, f.Name)
	}
	if _, err := temporary.Seek(0, io.SeekStart); err != nil {
		return f, err
	}
	if err := m.opt.Objects.Put(ctx, f.SHA256, temporary); err != nil {
		return f, fmt.Errorf("keeping firmware %s: %w", f.Name, err)
	}
	f.Added = m.opt.Now().UTC().Truncate(time.Millisecond)
	f.Signature = ed25519.Sign(m.key, f.Signed())
	manifest, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	// The image before its manifest: a manifest is a promise.
	if err := m.opt.Manifests.Put(ctx, f.Name, manifest); err != nil {
		return f, fmt.Errorf("keeping the manifest of %s: %w", f.Name, err)
	}
	m.byName[f.Name] = f
	return f, nil
}

// List gives all manifests by name.
func (m *Images) List() []devices.Firmware {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]devices.Firmware, 0, len(m.byName))
	for _, f := range m.byName {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b devices.Firmware) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Get finds a manifest.
func (m *Images) Get(name string) (devices.Firmware, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.byName[name]
	return f, ok
}

// open gives an image that a device may have.
func (m *Images) open(ctx context.Context, d *devices.Device, name string) (*os.File, devices.Firmware, error) {
	f, ok := m.Get(name)
	p, known := m.opt.Profiles.Profile(d.Profile)
	if !ok || !known || f.Profile != p.Name {
		return nil, f, devices.Refuse(devices.ReasonBadTopic, "no such firmware for this device")
	}
	copied := filepath.Join(m.dir, f.SHA256)
	file, err := os.Open(copied)
	if errors.Is(err, fs.ErrNotExist) {
		if err = m.copyOut(ctx, f, copied); err == nil {
			file, err = os.Open(copied)
		}
	}
	if err != nil {
		return nil, f, devices.Refuse(devices.ReasonUnavailable, "firmware %s: %v", name, err)
	}
	return file, f, nil
}

// copyOut takes an image out of the store, which cannot be read from the middle.
func (m *Images) copyOut(ctx context.Context, f devices.Firmware, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	r, err := m.opt.Objects.Get(ctx, f.SHA256)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	temporary, err := os.CreateTemp(m.dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(temporary, sum), r)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("the stored image has SHA-256 %s, its manifest says %s", got, f.SHA256)
	}
	return os.Rename(temporary.Name(), to)
}

// firmware serves one device its image by ranges (RFC 9110 section 14).
func (h *HTTP) firmware(w http.ResponseWriter, r *http.Request) {
	from := peer(r)
	device, refusal := h.authenticate(r.PathValue("id"), bearer(r), from, devices.ViaHTTP)
	if refusal != nil {
		h.refuse(w, refusal)
		return
	}
	file, f, err := h.images.open(r.Context(), device, r.PathValue("name"))
	if err != nil {
		h.refuse(w, err)
		return
	}
	defer func() { _ = file.Close() }()
	w.Header().Set("ETag", `"`+f.SHA256+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", f.Added, file)
}

// firmware serves one device its image by blocks. The device asks for the size
// it can hold; it may begin anywhere, so it goes on where it was cut off, and
// the ETag tells it that the image is still the same (RFC 7959 section 2.4).
func (c *CoAP) firmware(name string) func(*coapWriter, *pool.Message, *devices.Device) {
	return func(w *coapWriter, r *pool.Message, device *devices.Device) {
		want, asked, err := blockOf(r, message.Block2)
		if err != nil {
			c.refuse(w, err)
			return
		}
		if !asked {
			want = block{szx: blockSZX}
		}
		file, f, err := c.opt.Images.open(r.Context(), device, name)
		if err != nil {
			c.refuse(w, err)
			return
		}
		defer func() { _ = file.Close() }()
		offset := int64(want.num) * int64(want.size())
		if offset >= f.Size {
			c.respond(w, codes.BadRequest, message.TextPlain, "no such block")
			return
		}
		part := make([]byte, min(int64(want.size()), f.Size-offset))
		if _, err := file.ReadAt(part, offset); err != nil {
			c.refuse(w, devices.Refuse(devices.ReasonUnavailable, "reading %s: %v", f.Name, err))
			return
		}
		want.more = offset+int64(len(part)) < f.Size
		tag, _ := hex.DecodeString(f.SHA256[:16])
		size := make([]byte, 4)
		n, _ := message.EncodeUint32(size, uint32(f.Size))
		c.respond(w, codes.Content, message.AppOctets, string(part),
			message.Option{ID: message.ETag, Value: tag}, want.option(message.Block2), message.Option{ID: message.Size2, Value: size[:n]},
			maxAge(24*time.Hour))
	}
}
