package firmwaresim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
)

// flash is what a board keeps when its power goes: two slots for firmware, what
// of a new image has arrived, the commands it has been given and what it has
// not yet managed to say of them. Everything else a board knows is in RAM.
//
// The boot loader runs the active slot. A slot that was just written is on
// trial: when it does not prove itself, the next boot is from the other one.
type flash struct {
	mu     sync.Mutex
	slots  [2][]byte
	active int
	trial  bool // the active slot has not proven itself
	job    *job // the firmware command at work
	inbox  []given
	said   []said // newest last
}

// given is a command as it comes.
type given struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args"`
	Issued  time.Time       `json:"issued"`
	Expires time.Time       `json:"expires"`
}

// job is the taking in of one image.
type job struct {
	command  string
	manifest devices.Firmware
	part     []byte // what has arrived
	spoiled  int    // how often the whole did not have the hash it should
}

// said is the newest answer to a command. It stays after it was heard, because
// the command may come again.
type said struct {
	id      string
	payload []byte
	heard   bool
}

// remembered bounds the answers a board keeps.
const remembered = 16

// imageHeader is the first line of an image for boards; the code follows.
type imageHeader struct {
	Version string `json:"version"`
	// Fails are the hardware revisions this image does not come up on.
	Fails []string `json:"fails,omitempty"`
}

// MakeImage builds an image for boards of size bytes.
func MakeImage(version string, size int, fails ...string) ([]byte, error) {
	head, err := json.Marshal(imageHeader{version, fails})
	if err != nil {
		return nil, err
	}
	head = append(head, '\n')
	if size < len(head) {
		return nil, fmt.Errorf("an image has at least %d bytes", len(head))
	}
	rng := newRand(salt(uint64(size), version))
	for len(head) < size {
		head = append(head, byte(rng.Uint32()))
	}
	return head, nil
}

func headerOf(image []byte) (imageHeader, error) {
	line, _, ok := bytes.Cut(image[:min(len(image), 4096)], []byte{'\n'})
	var h imageHeader
	if !ok {
		return h, errors.New("no header")
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, err
	}
	return h, nil
}

// version is what runs.
func (f *flash) version() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, _ := headerOf(f.slots[f.active]) // the factory wrote the first one
	return h.Version
}

// take stores a command, before it is acknowledged. One that is here already is
// answered again and not done again.
func (f *flash) take(g given) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.said {
		if f.said[i].id == g.ID {
			f.said[i].heard = false
			return
		}
	}
	if f.job != nil && f.job.command == g.ID || slices.ContainsFunc(f.inbox, func(x given) bool { return x.ID == g.ID }) {
		return
	}
	f.inbox = append(f.inbox, g)
}

// say stores an answer until it was heard.
func (f *flash) say(id string, state devices.CommandState, result any) {
	raw, err := json.Marshal(result)
	if err != nil {
		raw = nil
	}
	payload, err := json.Marshal(devices.CommandAnswer{ID: id, State: state, Result: raw})
	if err != nil {
		return // a result of ours is JSON
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = slices.DeleteFunc(f.said, func(s said) bool { return s.id == id })
	f.said = append(f.said, said{id: id, payload: payload})
	if len(f.said) > remembered {
		f.said = f.said[1:]
	}
}

// unheard is the oldest answer nobody has heard.
func (f *flash) unheard() (said, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.said, func(s said) bool { return !s.heard })
	if i < 0 {
		return said{}, false
	}
	return f.said[i], true
}

// heard marks an answer, unless another has taken its place meanwhile.
func (f *flash) heard(s said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.said {
		if f.said[i].id == s.id && bytes.Equal(f.said[i].payload, s.payload) {
			f.said[i].heard = true
		}
	}
}

// boot is what the boot loader and the first seconds of the firmware do: an
// image on trial proves itself here, or the other slot runs again. It tells
// whether a trial has failed.
func (f *flash) boot(hardware string) (rolledBack, installed bool) {
	f.mu.Lock()
	if !f.trial {
		f.mu.Unlock()
		return false, false
	}
	j := f.job
	h, err := headerOf(f.slots[f.active])
	well := err == nil && h.Version == j.manifest.Version && !slices.Contains(h.Fails, hardware)
	if !well {
		f.active = 1 - f.active
	}
	f.trial, f.job = false, nil
	f.mu.Unlock()
	// The answer says what runs now, whichever it is.
	if well {
		f.say(j.command, devices.CommandDone, devices.FirmwareReport{Version: f.version()})
		return false, true
	}
	f.say(j.command, devices.CommandFailed, devices.FirmwareReport{Version: f.version(), Cause: "self_test", RolledBack: true})
	return true, false
}
