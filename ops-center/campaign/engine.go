package campaign

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
)

// Record keeps the acts. *journal.Log is one.
type Record interface {
	Append(ctx context.Context, subject string, data []byte) (seq uint64, err error)
	Read(ctx context.Context, from uint64, f func(seq uint64, at time.Time, subject string, data []byte) error) error
}

// Commands is how devices are told. *ingest.Commands is one.
type Commands interface {
	Send(ctx context.Context, r devices.CommandRequest) (devices.Command, error)
	Get(device devices.ID, id string) (devices.Command, error)
	Withdraw(ctx context.Context, device devices.ID, id, by string) (devices.Command, error)
}

// Options of Campaigns; Record, Commands, Register and Image are needed.
type Options struct {
	Record   Record
	Commands Commands
	Register *devices.Register
	// Image finds a firmware by its name.
	Image func(name string) (devices.Firmware, bool)
	Now   func() time.Time
	// Tick is how often the campaigns are looked at; a second.
	Tick time.Duration
	Log  *slog.Logger
}

const (
	// maxAttempts is how often a device is told that never heard.
	maxAttempts = 3
	// afterwards is how long a campaign that has ended follows its devices.
	afterwards = 30 * 24 * time.Hour
)

// Campaigns are all there are. Acts are one after the other.
type Campaigns struct {
	opt Options

	acting sync.Mutex // one act at a time, to the disk and into memory

	mu   sync.RWMutex
	byID map[string]*Campaign
	list []*Campaign // oldest first
}

// The acts, as they are in the record.
const (
	actCreated = "created"
	actState   = "state"
	actRing    = "ring"
	actSettled = "settled"
	actDevice  = "device"
)

type act struct {
	Act      string            `json:"act"`
	At       time.Time         `json:"at"`
	By       string            `json:"by,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	State    State             `json:"state,omitempty"`
	Ring     int               `json:"ring,omitempty"`
	Spec     *Spec             `json:"spec,omitempty"`
	Firmware *devices.Firmware `json:"firmware,omitempty"`
	Devices  []*Device         `json:"devices,omitempty"`
	Device   *Device           `json:"device,omitempty"`
}

// Open reads what the record says of every campaign.
func Open(ctx context.Context, o Options) (*Campaigns, error) {
	if o.Record == nil || o.Commands == nil || o.Register == nil || o.Image == nil {
		return nil, errors.New("campaigns: Record, Commands, Register and Image are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == 0 {
		o.Tick = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Campaigns{opt: o, byID: map[string]*Campaign{}}
	err := o.Record.Read(ctx, 1, func(seq uint64, _ time.Time, subject string, data []byte) error {
		var a act
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("campaign %s, act %d: %w", subject, seq, err)
		}
		if err := c.apply(subject, a); err != nil {
			return fmt.Errorf("campaign %s, act %d: %w", subject, seq, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the campaigns: %w", err)
	}
	return c, nil
}

// Create makes a campaign that waits to be started.
func (c *Campaigns) Create(ctx context.Context, s Spec, by string) (Campaign, error) {
	f, ok := c.opt.Image(s.Image)
	if !ok {
		return Campaign{}, fmt.Errorf("%w: there is no firmware %.100q", ErrSpec, s.Image)
	}
	s.defaults()
	if err := s.validate(); err != nil {
		return Campaign{}, err
	}
	id := "k" + strings.ToLower(rand.Text()[:11])
	list, err := rings(id, s, f, c.opt.Register.List())
	if err != nil {
		return Campaign{}, err
	}
	c.acting.Lock()
	defer c.acting.Unlock()
	if err := c.record(ctx, id, act{Act: actCreated, By: by, State: Draft, Spec: &s, Firmware: &f, Devices: list}); err != nil {
		return Campaign{}, err
	}
	return c.Get(id)
}

// Start begins a draft or goes on with one that was paused.
func (c *Campaigns) Start(ctx context.Context, id, by string) (Campaign, error) {
	return c.change(ctx, id, by, Running, "", Draft, Paused)
}

// Pause tells no further device until Start.
func (c *Campaigns) Pause(ctx context.Context, id, by string) (Campaign, error) {
	return c.change(ctx, id, by, Paused, "", Running)
}

// Abort ends a campaign. Devices that were told and have not heard are not told
// any more; those that are at it finish.
func (c *Campaigns) Abort(ctx context.Context, id, by, reason string) (Campaign, error) {
	return c.change(ctx, id, by, Aborted, reason, Draft, Running, Paused)
}

func (c *Campaigns) change(ctx context.Context, id, by string, to State, reason string, from ...State) (Campaign, error) {
	c.acting.Lock()
	defer c.acting.Unlock()
	k, err := c.Get(id)
	if err != nil {
		return k, err
	}
	if !slices.Contains(from, k.State) {
		return k, fmt.Errorf("%w: it is %s", ErrState, k.State)
	}
	if to == Running {
		for _, other := range c.List() {
			if other.ID != id && other.Firmware.Profile == k.Firmware.Profile && (other.State == Running || other.State == Paused) {
				return k, fmt.Errorf("%w: campaign %s is at the same devices", ErrState, other.ID)
			}
		}
	}
	if err := c.record(ctx, id, act{Act: actState, By: by, State: to, Reason: reason}); err != nil {
		return k, err
	}
	return c.Get(id)
}

// Get is a campaign as it stands.
func (c *Campaigns) Get(id string) (Campaign, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k := c.byID[id]; k != nil {
		return k.clone(), nil
	}
	return Campaign{}, fmt.Errorf("%w: %.64q", ErrNone, id)
}

// List gives all campaigns, the newest first.
func (c *Campaigns) List() []Campaign {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]Campaign, 0, len(c.list))
	for _, k := range slices.Backward(c.list) {
		list = append(list, k.clone())
	}
	return list
}

// Run moves the campaigns on until ctx ends.
func (c *Campaigns) Run(ctx context.Context) error {
	tick := time.NewTicker(c.opt.Tick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := c.Step(ctx); err != nil && ctx.Err() == nil {
			c.opt.Log.Error("firmware campaigns stand still", "error", err)
		}
	}
}

// Step looks once at every campaign that is not over.
func (c *Campaigns) Step(ctx context.Context) error {
	c.mu.RLock()
	var ids []string
	for _, k := range c.list {
		if k.State == Running || k.State == Paused || c.opt.Now().Sub(k.Changed) < afterwards && k.State != Draft {
			ids = append(ids, k.ID)
		}
	}
	c.mu.RUnlock()
	var errs []error
	for _, id := range ids {
		if err := c.step(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("campaign %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Campaigns) step(ctx context.Context, id string) error {
	c.acting.Lock()
	defer c.acting.Unlock()
	k, err := c.Get(id)
	if err != nil {
		return err
	}
	for _, d := range k.Devices {
		if !d.State.followed() {
			continue
		}
		if err := c.follow(ctx, &k, d); err != nil {
			return err
		}
	}
	if k, err = c.Get(id); err != nil {
		return err
	}
	switch k.State {
	case Running:
		return c.advance(ctx, &k)
	case Stopped, Aborted:
		return c.takeBack(ctx, &k)
	}
	return nil
}

// follow records what became of a device.
func (c *Campaigns) follow(ctx context.Context, k *Campaign, d *Device) error {
	cmd, err := c.opt.Commands.Get(d.ID, d.Command)
	if err != nil {
		cmd = devices.Command{State: devices.CommandExpired} // forgotten by now
	}
	next := progress(*d, cmd, k, c.opt.Now())
	if next == *d {
		return nil
	}
	if err := c.record(ctx, k.ID, act{Act: actDevice, Device: &next}); err != nil {
		return err
	}
	if next.Version == "" || next.Version == d.Version {
		return nil
	}
	err = c.opt.Register.Update(ctx, d.ID, func(of *devices.Device) error { of.Firmware = next.Version; return nil })
	if err != nil {
		c.opt.Log.Warn("the register does not say what a device runs", "device", d.ID, "version", next.Version, "error", err)
	}
	return nil
}

// progress is where a device is, from what became of its command.
func progress(d Device, cmd devices.Command, k *Campaign, now time.Time) Device {
	var report devices.FirmwareReport
	_ = json.Unmarshal(cmd.Result, &report) // a device need not say more than its state
	if report.Version != "" {
		d.Version = report.Version
	}
	switch cmd.State {
	case devices.CommandDone:
		d.State, d.Cause = Installed, ""
		if report.Version != k.Firmware.Version {
			d.State, d.Cause = Failed, fmt.Sprintf("it says it is done and runs %.40q", report.Version)
		}
		return d
	case devices.CommandFailed:
		d.State, d.Cause = Failed, report.Cause
		if report.RolledBack {
			d.State = RolledBack
		}
		return d
	}
	if d.State == Unreachable {
		return d // until it has a result
	}
	switch cmd.State {
	case devices.CommandAcknowledged:
		d.State = Downloading
		if report.Phase == "install" {
			d.State = Installing
		}
	case devices.CommandWithdrawn:
		d.State, d.Attempts = Pending, d.Attempts-1
		return d
	case devices.CommandExpired:
		if d.State, d.Cause = Pending, ""; d.Attempts >= maxAttempts {
			d.State, d.Cause = Unreachable, fmt.Sprintf("never heard of it in %d attempts", d.Attempts)
		}
		return d
	}
	if now.Sub(d.Told) > k.Patience {
		d.State, d.Cause = Unreachable, "no result in "+k.Patience.String()
	}
	return d
}

// advance moves a running campaign on.
func (c *Campaigns) advance(ctx context.Context, k *Campaign) error {
	if reason, yes := k.tooMany(); yes {
		c.opt.Log.Error("firmware campaign stopped by its rule", "campaign", k.ID, "reason", reason)
		return c.record(ctx, k.ID, act{Act: actState, State: Stopped, Reason: reason})
	}
	atWork, settled := 0, true
	var pending []*Device
	for _, d := range k.Devices {
		if d.State.followed() && d.State != Unreachable {
			atWork++
		}
		if d.Ring == k.Ring {
			settled = settled && d.State.Settled()
			if d.State == Pending {
				pending = append(pending, d)
			}
		}
	}
	now := c.opt.Now()
	switch {
	case !settled:
		for _, d := range pending[:min(len(pending), max(0, k.Parallel-atWork))] {
			if err := c.tell(ctx, k, d); err != nil {
				return err
			}
		}
		return nil
	case k.Settled.IsZero():
		return c.record(ctx, k.ID, act{Act: actSettled})
	case now.Sub(k.Settled) < k.Soak:
		return nil
	case k.Ring+1 < len(k.Rings):
		return c.record(ctx, k.ID, act{Act: actRing, Ring: k.Ring + 1})
	}
	return c.record(ctx, k.ID, act{Act: actState, State: Completed})
}

// tell sends one device its command. If the process ends between the two
// records, the device is told twice, which it knows by the image.
func (c *Campaigns) tell(ctx context.Context, k *Campaign, d *Device) error {
	args, err := json.Marshal(k.Firmware)
	if err != nil {
		return err
	}
	cmd, err := c.opt.Commands.Send(ctx, devices.CommandRequest{
		Device: d.ID, Name: devices.CommandFirmware, Args: args, TTL: k.Patience, By: "campaign " + k.ID, System: true,
	})
	next := *d
	next.Attempts++
	switch {
	case err == nil:
		next.State, next.Command, next.Told, next.Cause = Told, cmd.ID, c.opt.Now().UTC(), ""
	case errors.Is(err, devices.ErrBadCommand), errors.Is(err, devices.ErrNoDevice):
		next.State, next.Cause = Failed, err.Error()
	default:
		return err
	}
	return c.record(ctx, k.ID, act{Act: actDevice, Device: &next})
}

// takeBack withdraws what nobody has heard of a campaign that is over.
func (c *Campaigns) takeBack(ctx context.Context, k *Campaign) error {
	for _, d := range k.Devices {
		if d.State != Told {
			continue
		}
		_, err := c.opt.Commands.Withdraw(ctx, d.ID, d.Command, "campaign "+k.ID)
		if err != nil && !errors.Is(err, devices.ErrCommandState) && !errors.Is(err, devices.ErrNoCommand) {
			return err
		}
	}
	return nil
}

// record puts an act on disk and folds it in; with acting held.
func (c *Campaigns) record(ctx context.Context, id string, a act) error {
	a.At = c.opt.Now().UTC().Truncate(time.Millisecond)
	if a.Device != nil {
		a.Device.Changed = a.At
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if _, err := c.opt.Record.Append(ctx, id, data); err != nil {
		return fmt.Errorf("recording campaign %s: %w", id, err)
	}
	return c.apply(id, a)
}

// apply folds one act in.
func (c *Campaigns) apply(id string, a act) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.Act == actCreated {
		if a.Spec == nil || a.Firmware == nil {
			return errors.New("a campaign without its specification")
		}
		k := &Campaign{ID: id, Spec: *a.Spec, Firmware: *a.Firmware, State: Draft, By: a.By, Created: a.At, Changed: a.At, byID: map[devices.ID]*Device{}}
		for _, d := range a.Devices {
			if d.Ring < 0 || d.Ring >= len(k.Rings) {
				return fmt.Errorf("device %s in ring %d", d.ID, d.Ring)
			}
			of := *d
			of.Changed = a.At
			k.Devices = append(k.Devices, &of)
			k.byID[d.ID] = &of
		}
		c.byID[id] = k
		c.list = append(c.list, k)
		return nil
	}
	k := c.byID[id]
	if k == nil {
		return ErrNone
	}
	switch a.Act {
	case actState:
		k.State, k.Reason, k.Changed = a.State, a.Reason, a.At
		if a.By != "" {
			k.By = a.By
		}
	case actRing:
		k.Ring, k.Settled, k.Changed = a.Ring, time.Time{}, a.At
	case actSettled:
		k.Settled, k.Changed = a.At, a.At
	case actDevice:
		d := k.byID[a.Device.ID]
		if d == nil {
			return fmt.Errorf("device %s is not in it", a.Device.ID)
		}
		*d = *a.Device
	default:
		return fmt.Errorf("act %.40q", a.Act)
	}
	return nil
}
