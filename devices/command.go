package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Command is an instruction to one device, and what became of it. It is valid
// until Expires and is never delivered after that, however long the device was
// away. A command is delivered at least once; its id tells a repetition.
type Command struct {
	ID     string          `json:"id"`
	Device ID              `json:"device"`
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args,omitempty"`
	// TTL is how long it may wait for its device once it is let go.
	TTL time.Duration `json:"ttl,omitempty"`
	// By asked for it. Dangerous commands need a second person, Approved.
	By        string    `json:"by,omitempty" personal:"name"`
	ByID      string    `json:"byId,omitempty" personal:"account"` // the account
	Dangerous bool      `json:"dangerous,omitempty"`
	Approved  string    `json:"approved,omitempty" personal:"name"`
	Asked     time.Time `json:"asked"`
	// Issued is when it was let go, zero while it waits for a second person.
	Issued time.Time `json:"issued,omitzero"`
	// Expires ends the wait: for the device or, before it is issued, for the
	// second person.
	Expires time.Time    `json:"expires"`
	State   CommandState `json:"state"`
	Changed time.Time    `json:"changed"`
	// Result is what the device said of it last.
	Result json.RawMessage `json:"result,omitempty"`
}

// CommandRequest asks for a command.
type CommandRequest struct {
	Device ID
	Name   string
	Args   json.RawMessage
	TTL    time.Duration
	By     string
	ByID   string // the account; a name can be another's, or change
	// System marks what the server itself has to tell, whatever the profile
	// lists: a person cannot ask for it.
	System bool
}

// Person is who lets a command go: the account, and the name that is shown.
type Person struct{ ID, Name string }

// CommandFirmware is the name of the command that tells a device to take an
// image. Campaigns alone send it.
const CommandFirmware = "firmware"

// CommandState is how far a command has come. What the device says counts more
// than what the server thinks: an answer to a command that was taken for expired
// is believed, because the command had left in time.
type CommandState string

const (
	CommandProposed     CommandState = "proposed"     // waits for a second person
	CommandWaiting      CommandState = "waiting"      // for its device
	CommandDelivered    CommandState = "delivered"    // the device's protocol has it
	CommandAcknowledged CommandState = "acknowledged" // the device has begun
	CommandDone         CommandState = "done"
	CommandFailed       CommandState = "failed"
	CommandExpired      CommandState = "expired"   // not known to be delivered in time
	CommandWithdrawn    CommandState = "withdrawn" // taken back before it was delivered
)

// Final reports whether nothing more is expected.
func (s CommandState) Final() bool {
	switch s {
	case CommandDone, CommandFailed, CommandExpired, CommandWithdrawn:
		return true
	}
	return false
}

// CommandAnswer is what a device says of a command it was given.
type CommandAnswer struct {
	ID     string          `json:"id"`
	State  CommandState    `json:"state"` // acknowledged, done or failed
	Result json.RawMessage `json:"result,omitempty"`
}

// Errors of commands.
var (
	ErrBadCommand   = errors.New("bad command")
	ErrNoCommand    = errors.New("no such command")
	ErrSamePerson   = errors.New("the second person must be another than the first")
	ErrCommandState = errors.New("the command has moved on")
)

// ParseCommandAnswer reads a device's answer.
func ParseCommandAnswer(payload []byte) (CommandAnswer, error) {
	var a CommandAnswer
	if err := json.Unmarshal(payload, &a); err != nil {
		return a, Refuse(ReasonMalformed, "an answer is JSON with id and state: %v", err)
	}
	switch a.State {
	case CommandAcknowledged, CommandDone, CommandFailed:
	default:
		return a, Refuse(ReasonMalformed, "state %.40q: use acknowledged, done or failed", a.State)
	}
	if a.ID == "" || len(a.ID) > 64 {
		return a, Refuse(ReasonMalformed, "an answer names its command by id")
	}
	return a, nil
}

// CommandKind is a command that devices of a profile know.
type CommandKind struct {
	Name  string            `json:"name" yaml:"name"`
	Label map[string]string `json:"label,omitempty" yaml:"label,omitempty"`
	// Dangerous commands move something or alarm people: one person asks, a
	// second one lets go.
	Dangerous bool `json:"dangerous,omitempty" yaml:"dangerous,omitempty"`
}

// commonCommands are those every device knows, whatever its profile lists.
var commonCommands = []string{"reboot", "report", "identify"}

// Command looks up what a profile says of a command. A profile that lists none
// takes every name; one that lists some takes those and what all devices know.
func (p *Profile) Command(name string) (CommandKind, error) {
	if i := slices.IndexFunc(p.Commands, func(k CommandKind) bool { return k.Name == name }); i >= 0 {
		return p.Commands[i], nil
	}
	if len(p.Commands) == 0 || slices.Contains(commonCommands, name) {
		return CommandKind{Name: name}, nil
	}
	return CommandKind{}, fmt.Errorf("%w: a %s has no command %.80q", ErrBadCommand, p.Name, name)
}

func (p *Profile) validateCommands() error {
	seen := map[string]bool{}
	for _, k := range p.Commands {
		if k.Name == "" || len(k.Name) > 64 || seen[k.Name] {
			return fmt.Errorf("command %q: 1 to 64 characters, each name once", k.Name)
		}
		seen[k.Name] = true
	}
	return nil
}
