// Package campaign brings firmware to a fleet in rings: a few devices first,
// more when they have done well, and no more at all when too many have not.
//
// A campaign's state, and that of each device in it, is a fold of a record of
// acts; what is not recorded has not happened. What a device says of itself
// counts more than what the campaign expected of it: a device that was given up
// as silent and reports success later is installed, and one that a stopped
// campaign had told is followed until it has answered.
//
// Devices are told through commands, at least once: a device that hears twice of
// an image it has, or is taking already, answers and does not begin again.
package campaign

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"vonglau/devices"
)

// Errors of campaigns.
var (
	ErrNone  = errors.New("no such campaign")
	ErrSpec  = errors.New("bad campaign")
	ErrState = errors.New("the campaign has moved on")
)

// Ring is one wave of devices: those it names, or as many as bring the share of
// all devices in the campaign so far up to Percent.
type Ring struct {
	Percent float64      `json:"percent,omitempty"`
	Devices []devices.ID `json:"devices,omitempty"`
}

// Spec is what somebody asks for.
type Spec struct {
	// Image is the firmware's name; all active devices of its profile are in the
	// campaign, unless every ring names its devices.
	Image string `json:"image"`
	Rings []Ring `json:"rings"`
	// MaxFailures is the share of a ring, in percent, that may fail, roll back or
	// fall silent. One device more stops the campaign.
	MaxFailures float64 `json:"maxFailures"`
	// Soak is how long a ring that has settled is watched before the next begins.
	Soak time.Duration `json:"soak"`
	// Patience is how long a device may take from being told to its result, and
	// how long a command for it may wait.
	Patience time.Duration `json:"patience"`
	// Parallel bounds the devices that are told and have not answered.
	Parallel int `json:"parallel"`
}

// State is where a campaign is.
type State string

const (
	Draft     State = "draft"
	Running   State = "running"
	Paused    State = "paused"    // by a person; goes on when told to
	Stopped   State = "stopped"   // by its rule, for good
	Aborted   State = "aborted"   // by a person, for good
	Completed State = "completed" // every ring has settled and soaked
)

// Progress is where a device is in a campaign.
type Progress string

const (
	Pending     Progress = "pending" // not told
	Told        Progress = "told"
	Downloading Progress = "downloading"
	Installing  Progress = "installing"
	Installed   Progress = "installed"
	RolledBack  Progress = "rolled_back" // it runs what it ran before
	Failed      Progress = "failed"      // it never left what it ran before
	Unreachable Progress = "unreachable" // nothing was heard in time
)

// Settled reports whether the ring waits for the device no more.
func (p Progress) Settled() bool {
	return p == Installed || p == RolledBack || p == Failed || p == Unreachable
}

func (p Progress) failure() bool { return p.Settled() && p != Installed }

// followed reports whether the device may still say something new.
func (p Progress) followed() bool {
	return p == Told || p == Downloading || p == Installing || p == Unreachable
}

// Device is one device of a campaign.
type Device struct {
	ID       devices.ID `json:"id"`
	Ring     int        `json:"ring"`
	State    Progress   `json:"state"`
	Command  string     `json:"command,omitempty"`
	Attempts int        `json:"attempts,omitempty"`
	Told     time.Time  `json:"told,omitzero"`
	// From is what it ran before, Version what it says it runs now.
	From    string    `json:"from,omitempty"`
	Version string    `json:"version,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	Changed time.Time `json:"changed"`
}

// Campaign is one as it stands.
type Campaign struct {
	ID string `json:"id"`
	Spec
	Firmware devices.Firmware `json:"firmware"`
	State    State            `json:"state"`
	// Reason says why it is in this state, By who put it there.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by" personal:"name"`
	// Ring is the one at work, from 0. Settled is when its last device settled,
	// zero while some have not.
	Ring    int       `json:"ring"`
	Settled time.Time `json:"settled,omitzero"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	// Devices are in the order they are told.
	Devices []*Device `json:"devices"`

	byID map[devices.ID]*Device
}

// Counts counts the devices of each ring by state.
func (c *Campaign) Counts() []map[Progress]int {
	counts := make([]map[Progress]int, len(c.Rings))
	for i := range counts {
		counts[i] = map[Progress]int{}
	}
	for _, d := range c.Devices {
		counts[d.Ring][d.State]++
	}
	return counts
}

func (c *Campaign) clone() Campaign {
	own := *c
	own.byID = nil
	own.Devices = make([]*Device, len(c.Devices))
	for i, d := range c.Devices {
		of := *d
		own.Devices[i] = &of
	}
	return own
}

func (s *Spec) defaults() {
	if s.Patience == 0 {
		s.Patience = 24 * time.Hour
	}
	if s.Parallel == 0 {
		s.Parallel = 100
	}
	if len(s.Rings) == 0 {
		s.Rings = []Ring{{Percent: 1}, {Percent: 10}, {Percent: 100}}
	}
}

func (s *Spec) validate() error {
	switch {
	case s.MaxFailures < 0 || s.MaxFailures > 100:
		return fmt.Errorf("%w: %g %% failures: want 0 to 100", ErrSpec, s.MaxFailures)
	case s.Soak < 0 || s.Soak > 90*24*time.Hour:
		return fmt.Errorf("%w: soak %s: want 0 to 90 days", ErrSpec, s.Soak)
	case s.Patience < time.Second || s.Patience > 30*24*time.Hour:
		return fmt.Errorf("%w: patience %s: want 1s to 30 days", ErrSpec, s.Patience)
	case s.Parallel < 1 || s.Parallel > 10_000:
		return fmt.Errorf("%w: %d devices at once: want 1 to 10,000", ErrSpec, s.Parallel)
	case len(s.Rings) > 100:
		return fmt.Errorf("%w: %d rings: want at most 100", ErrSpec, len(s.Rings))
	}
	last := 0.0
	for i, r := range s.Rings {
		switch {
		case (r.Percent != 0) == (len(r.Devices) > 0):
			return fmt.Errorf("%w: ring %d has a percentage or a list of devices", ErrSpec, i+1)
		case len(r.Devices) > 0:
		case !(r.Percent > last && r.Percent <= 100):
			return fmt.Errorf("%w: ring %d goes up to %g %%: want more than %g and at most 100", ErrSpec, i+1, r.Percent, last)
		default:
			last = r.Percent
		}
	}
	return nil
}

// rings sorts the devices of an image's profile into rings. Which ones come
// first is by chance, another one in each campaign, and the same whenever it is
// asked: no district is always the one that tries things out.
func rings(id string, s Spec, f devices.Firmware, all []*devices.Device) ([]*Device, error) {
	eligible := map[devices.ID]*devices.Device{}
	for _, d := range all {
		if d.Profile == f.Profile && d.State == devices.Active && d.Exercise == "" {
			eligible[d.ID] = d
		}
	}
	placed := map[devices.ID]bool{}
	list := make([]*Device, 0, len(eligible))
	place := func(ring int, d *devices.Device) {
		placed[d.ID] = true
		list = append(list, &Device{ID: d.ID, Ring: ring, State: Pending, From: d.Firmware})
	}
	for i, r := range s.Rings {
		for _, id := range r.Devices {
			d := eligible[id]
			switch {
			case d == nil:
				return nil, fmt.Errorf("%w: ring %d: %.64q is no active %s", ErrSpec, i+1, id, f.Profile)
			case placed[id]:
				return nil, fmt.Errorf("%w: ring %d: %s is in a ring already", ErrSpec, i+1, id)
			}
			place(i, d)
		}
	}
	var rest []*devices.Device
	for _, d := range eligible {
		if !placed[d.ID] {
			rest = append(rest, d)
		}
	}
	chance := func(d *devices.Device) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(id + "/" + string(d.ID)))
		return h.Sum64()
	}
	slices.SortFunc(rest, func(a, b *devices.Device) int {
		if x, y := chance(a), chance(b); x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return 0
	})
	n := len(rest)
	for i, r := range s.Rings {
		if r.Percent == 0 {
			continue
		}
		for n-len(rest) < int(r.Percent*float64(n)/100+0.999999) && len(rest) > 0 {
			place(i, rest[0])
			rest = rest[1:]
		}
	}
	slices.SortStableFunc(list, func(a, b *Device) int { return a.Ring - b.Ring })
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: there is no active %s", ErrSpec, f.Profile)
	}
	return list, nil
}

// tooMany tells whether a ring has more failures than the rule allows.
func (c *Campaign) tooMany() (reason string, yes bool) {
	size, failures := 0, 0
	for _, d := range c.Devices {
		if d.Ring == c.Ring {
			size++
			if d.State.failure() {
				failures++
			}
		}
	}
	if float64(failures)*100 <= c.MaxFailures*float64(size) {
		return "", false
	}
	return fmt.Sprintf("%d of %d devices of ring %d failed, %g %% may", failures, size, c.Ring+1, c.MaxFailures), true
}
