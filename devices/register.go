package devices

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Store keeps the register's entries over restarts. PutAll keeps all or reports
// an error; a register bulk import goes through it in one call.
type Store interface {
	Load(ctx context.Context, each func(key string, value []byte) error) error
	Put(ctx context.Context, key string, value []byte) error
	PutAll(ctx context.Context, entries map[string][]byte) error
	Delete(ctx context.Context, key string) error
}

// Errors of the register.
var (
	ErrNoDevice     = errors.New("no such device")
	ErrDeviceExists = errors.New("the device exists already")
	ErrLifeCycle    = errors.New("the device's life does not go that way")
)

// Register is all devices there are, in memory. A *Device it gives out is
// shared and must not be changed; Update makes a new one. Reads take no lock
// and see a change as soon as the store has taken it. Writes are one after the
// other.
type Register struct {
	catalogue *Catalogue
	store     Store
	byID      sync.Map // ID → *Device
	epoch     atomic.Uint64
	list      atomic.Pointer[registerList]

	mu       sync.Mutex
	watchers []func(*Device)
}

type registerList struct {
	epoch   uint64
	devices []*Device
}

// OpenRegister loads the register from its store. An entry that does not parse
// is an error: to go on would mean to refuse a device that is registered. An
// entry whose profile has left the catalogue is loaded; Catalogue.Profile tells
// the gate.
func OpenRegister(ctx context.Context, store Store, c *Catalogue) (*Register, error) {
	r := &Register{catalogue: c, store: store}
	err := store.Load(ctx, func(key string, value []byte) error {
		d := new(Device)
		if err := json.Unmarshal(value, d); err != nil {
			return fmt.Errorf("device %q: %w", key, err)
		}
		if string(d.ID) != key {
			return fmt.Errorf("device %q: the entry says it is %q", key, d.ID)
		}
		r.byID.Store(d.ID, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the device register: %w", err)
	}
	r.epoch.Store(1)
	return r, nil
}

// Catalogue is the one the register was opened with.
func (r *Register) Catalogue() *Catalogue { return r.catalogue }

// Add registers a device and gives its token, which is kept as a hash only and
// never shown again. A device that brings a TokenHash, other credentials or an
// Entry keeps them, and the token is empty then.
func (r *Register) Add(ctx context.Context, d Device) (token string, err error) {
	tokens, err := r.AddAll(ctx, []Device{d})
	if err != nil {
		return "", err
	}
	return tokens[0], nil
}

// AddAll registers all of list or, on an error, none.
func (r *Register) AddAll(ctx context.Context, list []Device) (tokens []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tokens = make([]string, len(list))
	added := make([]*Device, len(list))
	entries := make(map[string][]byte, len(list))
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range list {
		d := list[i]
		if d.State == "" {
			d.State = Active
		}
		if d.Added.IsZero() {
			d.Added = now
		}
		if err := r.validate(nil, &d); err != nil {
			return nil, fmt.Errorf("adding device %q: %w", d.ID, err)
		}
		if _, ok := r.byID.Load(d.ID); ok || entries[string(d.ID)] != nil {
			return nil, fmt.Errorf("adding device %q: %w", d.ID, ErrDeviceExists)
		}
		if len(d.TokenHash) == 0 && len(d.Credentials) == 0 && d.Entry == nil {
			tokens[i], d.TokenHash = newToken()
		}
		if entries[string(d.ID)], err = json.Marshal(&d); err != nil {
			return nil, fmt.Errorf("adding device %q: %w", d.ID, err)
		}
		added[i] = &d
	}
	if len(added) == 1 {
		id := string(added[0].ID)
		err = r.store.Put(ctx, id, entries[id])
	} else if len(added) > 1 {
		err = r.store.PutAll(ctx, entries)
	}
	if err != nil {
		return nil, fmt.Errorf("adding %d devices: %w", len(added), err)
	}
	for _, d := range added {
		r.byID.Store(d.ID, d)
	}
	r.changed(added...)
	return tokens, nil
}

// Get finds a device.
func (r *Register) Get(id ID) (*Device, bool) {
	d, ok := r.byID.Load(id)
	if !ok {
		return nil, false
	}
	return d.(*Device), true
}

// List gives all devices by id. The slice is shared: do not change it.
func (r *Register) List() []*Device {
	epoch := r.epoch.Load()
	if l := r.list.Load(); l != nil && l.epoch == epoch {
		return l.devices
	}
	var devices []*Device
	r.byID.Range(func(_, d any) bool {
		devices = append(devices, d.(*Device))
		return true
	})
	slices.SortFunc(devices, func(a, b *Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	// A change during the walk raises the epoch, so a list that may have missed
	// it is never taken for current.
	r.list.Store(&registerList{epoch, devices})
	return devices
}

// Update changes a device: change works on a copy that replaces it unless it
// returns an error. The id cannot change.
func (r *Register) Update(ctx context.Context, id ID, change func(*Device) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.Get(id)
	if !ok {
		return fmt.Errorf("changing device %q: %w", id, ErrNoDevice)
	}
	d := *old
	d.TokenHash, d.Credentials = slices.Clone(old.TokenHash), slices.Clone(old.Credentials)
	if err := change(&d); err != nil {
		return fmt.Errorf("changing device %q: %w", id, err)
	}
	if d.ID != id {
		return fmt.Errorf("changing device %q: an id is for life; add %q as a device of its own", id, d.ID)
	}
	if err := r.validate(old, &d); err != nil {
		return fmt.Errorf("changing device %q: %w", id, err)
	}
	value, err := json.Marshal(&d)
	if err != nil {
		return fmt.Errorf("changing device %q: %w", id, err)
	}
	if err := r.store.Put(ctx, string(id), value); err != nil {
		return fmt.Errorf("changing device %q: %w", id, err)
	}
	r.byID.Store(id, &d)
	r.changed(&d)
	return nil
}

// RenewToken gives a device a new token; the old one ends at once.
func (r *Register) RenewToken(ctx context.Context, id ID) (token string, err error) {
	err = r.Update(ctx, id, func(d *Device) error {
		token, d.TokenHash = newToken()
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// Remove forgets a device. To keep its name from being used again, retire it
// instead. Watchers see it once more, retired.
func (r *Register) Remove(ctx context.Context, id ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.Get(id)
	if !ok {
		return fmt.Errorf("removing device %q: %w", id, ErrNoDevice)
	}
	if err := r.store.Delete(ctx, string(id)); err != nil {
		return fmt.Errorf("removing device %q: %w", id, err)
	}
	r.byID.Delete(id)
	gone := *old
	gone.State = Retired
	r.changed(&gone)
	return nil
}

// changed runs under mu, after byID has the change.
func (r *Register) changed(devices ...*Device) {
	r.epoch.Add(1)
	for _, d := range devices {
		for _, w := range r.watchers {
			w(d)
		}
	}
}

// Epoch changes with each change of the register.
func (r *Register) Epoch() uint64 { return r.epoch.Load() }

// OnChange calls watch with each device after it was added, changed or removed,
// in that order. It must not block, nor write to the register.
func (r *Register) OnChange(watch func(*Device)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.watchers, watch)
}

// Check tells whether Add would take the device, as things are now.
func (r *Register) Check(d *Device) error {
	c := *d
	if c.State == "" {
		c.State = Active
	}
	if _, ok := r.byID.Load(c.ID); ok {
		return ErrDeviceExists
	}
	return r.validate(nil, &c)
}

// maxText bounds a name or another text of an entry, in bytes.
const maxText = 200

// maxNodes bounds the chain of nodes a device hangs on.
const maxNodes = 16

// validate checks d, which is new or takes the place of old.
func (r *Register) validate(old, d *Device) error {
	if _, err := ParseID(string(d.ID)); err != nil {
		return err
	}
	profile, ok := r.catalogue.Profile(d.Profile)
	if !ok && (old == nil || old.Profile != d.Profile) {
		return fmt.Errorf("profile %q is not in the catalogue", d.Profile)
	}
	if ok {
		if err := profile.checkNorm(old, d); err != nil {
			return err
		}
	}
	for _, text := range []string{d.Name, d.Owner, d.Site, d.Model, d.Firmware} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("%.40q: name, owner, site, model and firmware are UTF-8 of at most %d bytes", text, maxText)
		}
	}
	if !(d.At.Lat >= -90 && d.At.Lat <= 90 && d.At.Lon >= -180 && d.At.Lon <= 180) {
		return fmt.Errorf("lat %g, lon %g is not on earth; are they swapped?", d.At.Lat, d.At.Lon)
	}
	if !d.State.Known() {
		return fmt.Errorf("state %q: use announced, quarantined, active, maintenance or retired", d.State)
	}
	if old != nil && old.State != d.State && !old.State.May(d.State) {
		return fmt.Errorf("%w: from %s it may become %s", ErrLifeCycle, old.State, join(old.State.Next()))
	}
	if old != nil && old.Exercise != d.Exercise {
		return errors.New("exercise: a device is of a drill or of the city for life")
	}
	if len(d.Exercise) > MaxIDLength {
		return fmt.Errorf("exercise: the name of a drill has at most %d bytes", MaxIDLength)
	}
	if len(d.TokenHash) != 0 && len(d.TokenHash) != sha256.Size {
		return fmt.Errorf("a token hash has %d bytes, not %d", sha256.Size, len(d.TokenHash))
	}
	if err := validCredentials(d); err != nil {
		return err
	}
	if d.Upstream != "" {
		if _, err := ParseID(string(d.Upstream)); err != nil {
			return fmt.Errorf("upstream: %w", err)
		}
		if err := r.checkUpstream(d); err != nil {
			return err
		}
	}
	return nil
}

// checkUpstream refuses a device that would hang on itself, over however many
// nodes. A node that is not registered yet is not an error: a list of devices
// has no order.
func (r *Register) checkUpstream(d *Device) error {
	if d.Upstream == d.ID {
		return errors.New("upstream is the device itself")
	}
	node := d.Upstream
	for range maxNodes {
		n, ok := r.Get(node)
		if !ok || n.Upstream == "" {
			return nil
		}
		if node = n.Upstream; node == d.ID {
			return fmt.Errorf("upstream: %s hangs on %s already", d.Upstream, d.ID)
		}
	}
	return fmt.Errorf("upstream: %s is more than %d nodes deep", d.Upstream, maxNodes)
}

func join(states []LifeState) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// Authenticate checks a device's token. An unknown device, a retired one and a
// wrong token cost the same time, and the Refusals differ in nothing but the
// reason, which is for the record and not for the answer.
func (r *Register) Authenticate(id ID, token string) (*Device, error) {
	d, _, err := r.ProveToken(id, token)
	return d, err
}

// ProveToken is Authenticate for a session, which keeps the proof.
func (r *Register) ProveToken(id ID, token string) (*Device, Proof, error) {
	d, ok := r.Get(id)
	claimed := d
	if !ok {
		claimed = &Device{TokenHash: make([]byte, sha256.Size)}
	}
	proof, match := claimed.token(sha256.Sum256([]byte(token)), time.Now())
	const detail = "device and token do not match"
	if _, err := ParseID(string(id)); err != nil {
		id = "" // not to carry a stranger's text into the record as an id
	}
	switch {
	case !ok || d.State == Retired:
		return nil, Proof{}, &Refusal{Reason: ReasonUnknownDevice, Device: id, Detail: detail}
	case !match:
		return nil, Proof{}, &Refusal{Reason: ReasonBadCredential, Device: id, Detail: detail}
	}
	return d, proof, nil
}

func newToken() (token string, hash []byte) {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	token = base64.RawURLEncoding.EncodeToString(b[:])
	h := sha256.Sum256([]byte(token))
	return token, h[:]
}
