package ingest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

const (
	// maxCommand bounds a command's arguments.
	maxCommand = 16 << 10
	// maxWaiting bounds the commands of one device that are not finished.
	maxWaiting = 256
	// maxTTL bounds how long a command may wait.
	maxTTL = 30 * 24 * time.Hour
	// keptFinished is how many finished commands of a device are remembered; the
	// log has the older ones.
	keptFinished = 64
	// secondPerson is how long a dangerous command waits for one.
	secondPerson = 15 * time.Minute
)

// CommandsOptions of Commands; all but Now and Errs are needed.
type CommandsOptions struct {
	Log      *journal.Log
	Cursors  *journal.Bucket
	Register *devices.Register
	Now      func() time.Time
	Errs     *slog.Logger
}

// Commands is what devices are told to do: a record on disk, folded into the
// state of each command, and a stream for each device that listens.
//
// The record holds, under a subject of the form verb/device:
//
//	command    the command as it was asked for
//	approved   a second person let it go
//	withdrawn  somebody took it back
//	delivered  the device's protocol acknowledged it
//	answer     what the device said, byte for byte
//
// A command is streamed in the order of the act that let it go. The fold does
// not depend on the order of answers, because those of one device may be
// recorded side by side: a command never goes back, and of two equals the later
// in the record counts. Expiry is no act; it is looked at when it matters.
type Commands struct {
	opt   CommandsOptions
	order [64]sync.Mutex // by device: acts that let go are in memory in the order of the record
	seed  maphash.Seed

	mu    sync.Mutex
	lists map[devices.ID][]*command // in the order asked for
	grown map[devices.ID]chan struct{}
	last  uint64
}

// command is one with what the streams need.
type command struct {
	devices.Command
	seq     uint64 // of the act that let it go, 0 before
	said    uint64 // sequence of the answer in Result
	payload []byte // as the device gets it
}

// The acts.
const (
	actCommand   = "command"
	actApproved  = "approved"
	actWithdrawn = "withdrawn"
	actDelivered = "delivered"
	actAnswer    = "answer"
)

// act is the body of all but command and answer.
type act struct {
	ID string    `json:"id"`
	By string    `json:"by,omitempty"`
	At time.Time `json:"at,omitzero"`
}

// OpenCommands reads what the record says of every command.
func OpenCommands(ctx context.Context, o CommandsOptions) (*Commands, error) {
	if o.Log == nil || o.Cursors == nil || o.Register == nil {
		return nil, errors.New("commands: Log, Cursors and Register are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Errs == nil {
		o.Errs = slog.New(slog.DiscardHandler)
	}
	c := &Commands{
		opt: o, seed: maphash.MakeSeed(), lists: map[devices.ID][]*command{}, grown: map[devices.ID]chan struct{}{},
	}
	err := o.Log.Read(ctx, 1, func(seq uint64, at time.Time, subject string, data []byte) error {
		verb, device, ok := strings.Cut(subject, "/")
		if !ok {
			return fmt.Errorf("command log, act %d: subject %q", seq, subject)
		}
		if _, err := c.apply(seq, at.UTC(), verb, devices.ID(device), slices.Clone(data)); err != nil && !errors.Is(err, devices.ErrNoCommand) {
			return fmt.Errorf("command log, act %d for %s: %w", seq, device, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the commands: %w", err)
	}
	return c, nil
}

// Send records a command and, unless it needs a second person, lets the device
// have it. It returns when the command is on disk.
func (c *Commands) Send(ctx context.Context, r devices.CommandRequest) (devices.Command, error) {
	kind, err := c.kind(r)
	switch {
	case err != nil:
		return devices.Command{}, err
	case r.TTL <= 0 || r.TTL > maxTTL:
		return devices.Command{}, fmt.Errorf("%w: time to live %s: more than 0 and at most %s", devices.ErrBadCommand, r.TTL, maxTTL)
	case len(r.Args) > maxCommand:
		return devices.Command{}, fmt.Errorf("%w: %d bytes of arguments, at most %d", devices.ErrBadCommand, len(r.Args), maxCommand)
	case len(r.Args) > 0 && !json.Valid(r.Args):
		return devices.Command{}, fmt.Errorf("%w: the arguments are not JSON", devices.ErrBadCommand)
	}
	defer c.inOrder(r.Device)()
	now := c.opt.Now().UTC().Truncate(time.Millisecond)
	if c.open(r.Device, now) >= maxWaiting {
		return devices.Command{}, fmt.Errorf("%w: %d commands wait for %s already", devices.ErrBadCommand, maxWaiting, r.Device)
	}
	cmd := devices.Command{
		ID: "c" + strings.ToLower(rand.Text()[:15]), Device: r.Device, Name: r.Name, Args: r.Args, TTL: r.TTL, By: r.By, ByID: r.ByID,
		Dangerous: kind.Dangerous, Asked: now, Issued: now, Expires: now.Add(r.TTL), State: devices.CommandWaiting, Changed: now,
	}
	if kind.Dangerous {
		cmd.State, cmd.Issued, cmd.Expires = devices.CommandProposed, time.Time{}, now.Add(secondPerson)
	}
	return c.record(ctx, actCommand, r.Device, cmd)
}

// kind checks that the device exists and knows the command.
func (c *Commands) kind(r devices.CommandRequest) (devices.CommandKind, error) {
	none := devices.CommandKind{}
	d, ok := c.opt.Register.Get(r.Device)
	if !ok {
		return none, fmt.Errorf("command %.64q for %.64q: %w", r.Name, r.Device, devices.ErrNoDevice)
	}
	p, known := c.opt.Register.Catalogue().Profile(d.Profile)
	switch {
	case r.Name == "" || len(r.Name) > 64:
		return none, fmt.Errorf("%w: name %.80q: 1 to 64 characters", devices.ErrBadCommand, r.Name)
	case d.State == devices.Retired:
		return none, fmt.Errorf("%w: %s is retired", devices.ErrBadCommand, d.ID)
	case r.System:
		return none, nil
	case r.Name == devices.CommandFirmware:
		return none, fmt.Errorf("%w: firmware is sent by campaigns", devices.ErrBadCommand)
	case !known:
		return none, fmt.Errorf("%w: the profile %q of %s is not in the catalogue", devices.ErrBadCommand, d.Profile, d.ID)
	}
	return p.Command(r.Name)
}

// Approve lets a dangerous command go. Its time to live begins.
func (c *Commands) Approve(ctx context.Context, device devices.ID, id string, by devices.Person) (devices.Command, error) {
	defer c.inOrder(device)()
	now := c.opt.Now().UTC().Truncate(time.Millisecond)
	cmd, err := c.Get(device, id)
	switch {
	case err != nil:
		return cmd, err
	case cmd.State != devices.CommandProposed:
		return cmd, fmt.Errorf("approving %s: %w: it is %s", id, devices.ErrCommandState, cmd.State)
	case by.Name == "" || same(by, cmd):
		return cmd, fmt.Errorf("approving %s: %w", id, devices.ErrSamePerson)
	}
	return c.record(ctx, actApproved, device, act{ID: id, By: by.Name, At: now})
}

// same tells whether a person is the one who asked. A record of before accounts
// were kept with it has the name only.
func same(by devices.Person, cmd devices.Command) bool {
	if by.ID == "" || cmd.ByID == "" {
		return by.Name == cmd.By
	}
	return by.ID == cmd.ByID
}

// Withdraw takes back a command that has not been delivered.
func (c *Commands) Withdraw(ctx context.Context, device devices.ID, id, by string) (devices.Command, error) {
	defer c.inOrder(device)()
	cmd, err := c.Get(device, id)
	switch {
	case err != nil:
		return cmd, err
	case cmd.State != devices.CommandProposed && cmd.State != devices.CommandWaiting:
		return cmd, fmt.Errorf("withdrawing %s: %w: it is %s", id, devices.ErrCommandState, cmd.State)
	}
	return c.record(ctx, actWithdrawn, device, act{ID: id, By: by})
}

// Answer records what a device said of a command. The error of an answer that
// makes no sense is a *devices.Refusal.
func (c *Commands) Answer(ctx context.Context, device devices.ID, payload json.RawMessage) error {
	if len(payload) > maxCommand {
		return devices.Refuse(devices.ReasonTooLarge, "an answer has at most %d bytes", maxCommand)
	}
	a, err := devices.ParseCommandAnswer(payload)
	if err != nil {
		return err
	}
	if _, err := c.Get(device, a.ID); err != nil {
		return devices.Refuse(devices.ReasonMalformed, "no command %.64q was given to %s", a.ID, device)
	}
	_, err = c.record(ctx, actAnswer, device, payload)
	return err
}

// delivered records that a device's protocol has the command let go by act seq.
func (c *Commands) delivered(ctx context.Context, device devices.ID, seq uint64) error {
	id := ""
	c.mu.Lock()
	for _, cmd := range c.lists[device] {
		if cmd.seq == seq && cmd.State == devices.CommandWaiting {
			id = cmd.ID
		}
	}
	c.mu.Unlock()
	if id == "" {
		return nil
	}
	_, err := c.record(ctx, actDelivered, device, act{ID: id})
	return err
}

// Get is a command as it stands.
func (c *Commands) Get(device devices.ID, id string) (devices.Command, error) {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd := c.find(device, id); cmd != nil {
		return cmd.at(now), nil
	}
	return devices.Command{}, fmt.Errorf("%w: %.64q for %s", devices.ErrNoCommand, id, device)
}

// List gives a device's commands, the newest first.
func (c *Commands) List(device devices.ID) []devices.Command {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]devices.Command, 0, len(c.lists[device]))
	for _, cmd := range slices.Backward(c.lists[device]) {
		list = append(list, cmd.at(now))
	}
	return list
}

func (c *Commands) inOrder(device devices.ID) (unlock func()) {
	m := &c.order[maphash.String(c.seed, string(device))%uint64(len(c.order))]
	m.Lock()
	return m.Unlock
}

// record puts an act on disk and folds it in.
func (c *Commands) record(ctx context.Context, verb string, device devices.ID, body any) (devices.Command, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return devices.Command{}, fmt.Errorf("%w: %w", devices.ErrBadCommand, err)
	}
	seq, err := c.opt.Log.Append(ctx, verb+"/"+string(device), data)
	if err != nil {
		return devices.Command{}, fmt.Errorf("recording a command of %s: %w", device, err)
	}
	return c.apply(seq, c.opt.Now().UTC().Truncate(time.Millisecond), verb, device, data)
}

// apply folds one act in and gives the command as it is then.
func (c *Commands) apply(seq uint64, at time.Time, verb string, device devices.ID, data []byte) (devices.Command, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, seq)
	if verb == actCommand {
		cmd := &command{}
		if err := json.Unmarshal(data, &cmd.Command); err != nil {
			return devices.Command{}, err
		}
		c.lists[device] = append(c.lists[device], cmd)
		if cmd.State == devices.CommandWaiting {
			c.letGo(cmd, seq)
		}
		c.forgetFinished(device)
		return cmd.Command, nil
	}
	var a struct {
		ID     string               `json:"id"`
		By     string               `json:"by"`
		At     time.Time            `json:"at"`
		State  devices.CommandState `json:"state"`
		Result json.RawMessage      `json:"result"`
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return devices.Command{}, err
	}
	cmd := c.find(device, a.ID)
	if cmd == nil {
		return devices.Command{}, fmt.Errorf("%w: %.64q for %s", devices.ErrNoCommand, a.ID, device)
	}
	switch verb {
	case actApproved:
		cmd.Approved, cmd.Issued, cmd.Expires, cmd.State = a.By, a.At, a.At.Add(cmd.TTL), devices.CommandWaiting
		c.letGo(cmd, seq)
	case actWithdrawn:
		if rank(cmd.State) < rank(devices.CommandDelivered) {
			cmd.State = devices.CommandWithdrawn
		}
	case actDelivered:
		if cmd.State == devices.CommandWaiting {
			cmd.State = devices.CommandDelivered
		}
	case actAnswer:
		if r, was := rank(a.State), rank(cmd.State); r > was || r == was && seq > cmd.said {
			cmd.State, cmd.Result, cmd.said = a.State, a.Result, seq
		}
	}
	cmd.Changed = at
	return cmd.Command, nil
}

// rank orders the states: a command never goes back.
func rank(s devices.CommandState) int {
	switch s {
	case devices.CommandProposed:
		return 0
	case devices.CommandWaiting, devices.CommandWithdrawn:
		return 1
	case devices.CommandDelivered:
		return 2
	case devices.CommandAcknowledged:
		return 3
	}
	return 4
}

// letGo makes a command ready for its device; with mu held.
func (c *Commands) letGo(cmd *command, seq uint64) {
	cmd.seq = seq
	cmd.payload, _ = json.Marshal(struct {
		ID      string          `json:"id"`
		Name    string          `json:"name"`
		Args    json.RawMessage `json:"args,omitempty"`
		Issued  time.Time       `json:"issued"`
		Expires time.Time       `json:"expires"`
	}{cmd.ID, cmd.Name, cmd.Args, cmd.Issued, cmd.Expires}) // it was JSON when it came
	if grown := c.grown[cmd.Device]; grown != nil {
		close(grown)
		delete(c.grown, cmd.Device)
	}
}

// find is called with mu held.
func (c *Commands) find(device devices.ID, id string) *command {
	for _, cmd := range slices.Backward(c.lists[device]) {
		if cmd.ID == id {
			return cmd
		}
	}
	return nil
}

// at is the command as it stands now.
func (c *command) at(now time.Time) devices.Command {
	cmd := c.Command
	if (cmd.State == devices.CommandProposed || cmd.State == devices.CommandWaiting) && !cmd.Expires.After(now) {
		cmd.State, cmd.Changed = devices.CommandExpired, cmd.Expires
	}
	return cmd
}

// open counts the commands of a device that are not finished.
func (c *Commands) open(device devices.ID, now time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.lists[device] {
		// One that was delivered and never answered is over when it expires.
		if !cmd.at(now).State.Final() && cmd.Expires.After(now) {
			n++
		}
	}
	return n
}

// forgetFinished is called with mu held.
func (c *Commands) forgetFinished(device devices.ID) {
	over := -keptFinished
	now := c.opt.Now()
	finished := func(cmd *command) bool { return cmd.at(now).State.Final() || !cmd.Expires.After(now) }
	for _, cmd := range c.lists[device] {
		if finished(cmd) {
			over++
		}
	}
	if over <= 0 {
		return
	}
	c.lists[device] = slices.DeleteFunc(c.lists[device], func(cmd *command) bool {
		if over > 0 && finished(cmd) {
			over--
			return true
		}
		return false
	})
}

// pending reports whether a device is to be given the command: it is in time
// and the device has said nothing of it.
func (c *command) pending(now time.Time) bool {
	return (c.State == devices.CommandWaiting || c.State == devices.CommandDelivered) && c.seq > 0 && c.Expires.After(now)
}
