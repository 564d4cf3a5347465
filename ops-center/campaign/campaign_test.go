package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// bench is a fleet whose devices do what the test says, on a clock of its own.
type bench struct {
	*Campaigns
	t        *testing.T
	now      time.Time
	acts     [][2]string
	register *devices.Register
	commands map[string]*devices.Command
	sent     []devices.ID
	fail     error // of Send
}

type noStore struct{}

func (noStore) Load(context.Context, func(string, []byte) error) error { return nil }
func (noStore) Put(context.Context, string, []byte) error              { return nil }
func (noStore) PutAll(context.Context, map[string][]byte) error        { return nil }
func (noStore) Delete(context.Context, string) error                   { return nil }

func newBench(t *testing.T, n int) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), commands: map[string]*devices.Command{}}
	var err error
	if b.register, err = devices.OpenRegister(t.Context(), noStore{}, devices.DefaultCatalogue()); err != nil {
		t.Fatal(err)
	}
	list := []devices.Device{{ID: "other", Profile: "noise"}, {ID: "old", Profile: "weather", State: devices.Maintenance}}
	for i := range n {
		list = append(list, devices.Device{ID: devices.ID(fmt.Sprintf("w-%03d", i)), Profile: "weather", Firmware: "1.0"})
	}
	if _, err := b.register.AddAll(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	b.open()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	b.Campaigns, err = Open(context.Background(), Options{
		Record: b, Commands: b, Register: b.register, Now: func() time.Time { return b.now },
		Image: func(name string) (devices.Firmware, bool) {
			return devices.Firmware{Name: name, Version: "1.1", Profile: "weather"}, name == "weather-1.1"
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) Append(_ context.Context, subject string, data []byte) (uint64, error) {
	b.acts = append(b.acts, [2]string{subject, string(data)})
	return uint64(len(b.acts)), nil
}

func (b *bench) Read(_ context.Context, from uint64, f func(uint64, time.Time, string, []byte) error) error {
	for i, a := range b.acts {
		if err := f(from+uint64(i), b.now, a[0], []byte(a[1])); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) Send(_ context.Context, r devices.CommandRequest) (devices.Command, error) {
	if b.fail != nil {
		return devices.Command{}, b.fail
	}
	c := &devices.Command{
		ID: fmt.Sprintf("c%d", len(b.commands)), Device: r.Device, Name: r.Name, State: devices.CommandWaiting, Expires: b.now.Add(r.TTL),
	}
	b.commands[c.ID] = c
	b.sent = append(b.sent, r.Device)
	return *c, nil
}

func (b *bench) Get(device devices.ID, id string) (devices.Command, error) {
	c := b.commands[id]
	if c == nil || c.Device != device {
		return devices.Command{}, devices.ErrNoCommand
	}
	own := *c
	if own.State == devices.CommandWaiting && !own.Expires.After(b.now) {
		own.State = devices.CommandExpired
	}
	return own, nil
}

func (b *bench) Withdraw(_ context.Context, device devices.ID, id, _ string) (devices.Command, error) {
	c, err := b.Get(device, id)
	if err != nil || c.State != devices.CommandWaiting {
		return c, errors.Join(err, devices.ErrCommandState)
	}
	b.commands[id].State = devices.CommandWithdrawn
	return *b.commands[id], nil
}

// say lets a device answer its newest command.
func (b *bench) say(id devices.ID, state devices.CommandState, report devices.FirmwareReport) {
	b.t.Helper()
	d := b.device(id)
	c := b.commands[d.Command]
	if c == nil {
		b.t.Fatalf("%s has no command", id)
	}
	c.State = state
	c.Result, _ = json.Marshal(report)
}

func (b *bench) device(id devices.ID) *Device {
	b.t.Helper()
	for _, d := range b.only().Devices {
		if d.ID == id {
			return d
		}
	}
	b.t.Fatalf("%s is in no ring", id)
	return nil
}

func (b *bench) only() Campaign { l := b.List(); return l[len(l)-1] } // the oldest

func (b *bench) step(n int) {
	b.t.Helper()
	for range n {
		if err := b.Step(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) start(s Spec) string {
	b.t.Helper()
	s.Image = "weather-1.1"
	c, err := b.Create(b.t.Context(), s, "an")
	if err == nil {
		c, err = b.Start(b.t.Context(), c.ID, "an")
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return c.ID
}

// all lets every device of the ring at work install the image.
func (b *bench) all(but ...devices.ID) {
	b.t.Helper()
	for _, d := range b.only().Devices {
		if d.State == Told && !strings.Contains(fmt.Sprint(but), string(d.ID)) {
			b.say(d.ID, devices.CommandDone, devices.FirmwareReport{Version: "1.1"})
		}
	}
}

func TestCampaignGoesByRings(t *testing.T) {
	b := newBench(t, 40)
	b.start(Spec{Rings: []Ring{{Devices: []devices.ID{"w-007"}}, {Percent: 25}, {Percent: 100}}, Soak: time.Hour, Patience: time.Minute, Parallel: 6})
	sizes := map[int]int{}
	for _, d := range b.only().Devices {
		sizes[d.Ring]++
	}
	if sizes[0] != 1 || sizes[1] != 10 || sizes[2] != 29 {
		t.Fatalf("rings of %v devices, want 1, 10 and 29", sizes)
	}
	b.step(3)
	if fmt.Sprint(b.sent) != "[w-007]" {
		t.Fatalf("told %v", b.sent)
	}
	b.all()
	b.step(2)
	b.now = b.now.Add(time.Hour - time.Millisecond)
	b.step(3)
	if len(b.sent) != 1 {
		t.Errorf("%d told before the first ring has soaked", len(b.sent))
	}
	b.now = b.now.Add(time.Millisecond)
	b.step(3)
	if len(b.sent) != 1+6 {
		t.Errorf("%d told, want 6 at once", len(b.sent)-1)
	}
	b.open() // a restart loses nothing and tells nobody twice
	b.step(3)
	if len(b.sent) != 1+6 {
		t.Errorf("%d told after a restart", len(b.sent)-1)
	}
	for range 30 {
		b.all()
		b.step(2)
		b.now = b.now.Add(30 * time.Minute)
	}
	k := b.only()
	if k.State != Completed || len(b.sent) != 40 || k.Counts()[2][Installed] != 29 {
		t.Errorf("%s, %d told, %v", k.State, len(b.sent), k.Counts())
	}
	if d, _ := b.register.Get("w-007"); d.Firmware != "1.1" {
		t.Errorf("the register says %q", d.Firmware)
	}
}

func TestCampaignStopsByItsRule(t *testing.T) {
	b := newBench(t, 20)
	b.start(Spec{Rings: []Ring{{Percent: 50}, {Percent: 100}}, MaxFailures: 10, Patience: time.Minute, Parallel: 10})
	b.step(1)
	b.say(b.sent[0], devices.CommandFailed, devices.FirmwareReport{Version: "1.0", Cause: "self_test", RolledBack: true})
	b.say(b.sent[1], devices.CommandAcknowledged, devices.FirmwareReport{Version: "1.0", Phase: "download"})
	b.step(1)
	if k := b.only(); k.State != Running || b.device(b.sent[0]).State != RolledBack || b.device(b.sent[1]).State != Downloading {
		t.Fatalf("at the limit: %s, %+v", k.State, k.Counts())
	}
	b.say(b.sent[2], devices.CommandDone, devices.FirmwareReport{Version: "1.0"}) // done, it says, and is not
	b.step(1)
	if k := b.only(); k.State != Stopped || !strings.Contains(k.Reason, "2 of 10") {
		t.Fatalf("above it: %s %q", k.State, k.Reason)
	}
	b.step(2)
	// What had not heard is not told any more; what was at it finishes.
	b.say(b.sent[1], devices.CommandDone, devices.FirmwareReport{Version: "1.1"})
	b.step(1)
	k := b.only()
	if got := k.Counts()[0]; got[Pending] != 7 || got[Installed] != 1 || got[RolledBack] != 1 || got[Failed] != 1 {
		t.Errorf("first ring %v", got)
	}
	if got := k.Counts()[1]; got[Pending] != 10 || len(b.sent) != 10 {
		t.Errorf("second ring %v, %d told", got, len(b.sent))
	}
	if _, err := b.Start(t.Context(), k.ID, "an"); !errors.Is(err, ErrState) {
		t.Errorf("a stopped campaign started again: %v", err)
	}
}

func TestCampaignSilenceAndTruth(t *testing.T) {
	b := newBench(t, 2)
	b.start(Spec{Rings: []Ring{{Percent: 100}}, MaxFailures: 100, Patience: time.Minute})
	b.step(1)
	first, second := b.sent[0], b.sent[1]
	b.say(first, devices.CommandAcknowledged, devices.FirmwareReport{Version: "1.0", Phase: "download"})
	// One is silent in the middle; the other never hears and is told again.
	for range maxAttempts {
		b.now = b.now.Add(time.Minute + time.Second)
		b.step(3)
	}
	if d := b.device(first); d.State != Unreachable || len(b.commands) != 1+maxAttempts {
		t.Errorf("%+v, %d commands", d, len(b.commands))
	}
	if d := b.device(second); d.State != Unreachable || d.Attempts != maxAttempts {
		t.Errorf("%+v", d)
	}
	b.step(3)
	if k := b.only(); k.State != Completed {
		t.Fatalf("%s", k.State)
	}
	// It comes back after the campaign has ended, and its word counts.
	b.say(first, devices.CommandDone, devices.FirmwareReport{Version: "1.1"})
	b.step(1)
	if d := b.device(first); d.State != Installed || d.Version != "1.1" {
		t.Errorf("%+v", d)
	}
}

func TestCampaignByHand(t *testing.T) {
	b := newBench(t, 10)
	id := b.start(Spec{Rings: []Ring{{Percent: 100}}, Patience: time.Minute, Parallel: 2})
	b.step(2)
	if _, err := b.Pause(t.Context(), id, "bình"); err != nil {
		t.Fatal(err)
	}
	b.all()
	b.step(2)
	if k := b.only(); len(b.sent) != 2 || k.Counts()[0][Installed] != 2 {
		t.Errorf("paused: %d told, %v", len(b.sent), k.Counts())
	}
	if c, err := b.Create(t.Context(), Spec{Image: "weather-1.1"}, "an"); err != nil {
		t.Error(err)
	} else if _, err := b.Start(t.Context(), c.ID, "an"); !errors.Is(err, ErrState) {
		t.Errorf("two at the same devices: %v", err)
	}
	if _, err := b.Start(t.Context(), id, "an"); err != nil {
		t.Fatal(err)
	}
	b.fail = errors.New("the disk is full")
	if err := b.Step(t.Context()); !errors.Is(err, b.fail) {
		t.Errorf("got %v", err)
	}
	b.fail = fmt.Errorf("%w: retired", devices.ErrBadCommand)
	b.step(1)
	b.fail = nil
	if k, err := b.Abort(t.Context(), id, "bình", "wrong image"); err != nil || k.State != Aborted || k.Reason != "wrong image" || k.By != "bình" {
		t.Errorf("%+v, %v", k.State, err)
	}
	for name, s := range map[string]Spec{
		"no image": {Image: "x"}, "falling": {Rings: []Ring{{Percent: 50}, {Percent: 10}}}, "over": {Rings: []Ring{{Percent: 101}}},
		"both": {Rings: []Ring{{Percent: 1, Devices: []devices.ID{"w-001"}}}}, "neither": {Rings: []Ring{{}}},
		"foreign": {Rings: []Ring{{Devices: []devices.ID{"other"}}}}, "in repair": {Rings: []Ring{{Devices: []devices.ID{"old"}}}},
		"twice":     {Rings: []Ring{{Devices: []devices.ID{"w-001"}}, {Devices: []devices.ID{"w-001"}}}},
		"impatient": {Patience: time.Millisecond}, "failures": {MaxFailures: -1}, "soak": {Soak: -1}, "parallel": {Parallel: -1},
	} {
		if s.Image == "" {
			s.Image = "weather-1.1"
		}
		if _, err := b.Create(t.Context(), s, "an"); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
