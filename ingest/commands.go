package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ingest/mqtt"
)

// Command is an instruction to one device. It is valid until Expires and is
// never delivered after that, however long the device was away.
type Command struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args,omitempty"`
	Issued  time.Time       `json:"issued"`
	Expires time.Time       `json:"expires"`
}

// ErrBadCommand is wrapped by the error of a command that cannot be sent.
var ErrBadCommand = errors.New("bad command")

const (
	// maxCommand bounds a command's arguments.
	maxCommand = 16 << 10
	// maxWaiting bounds the commands that wait for one device.
	maxWaiting = 256
	// maxTTL bounds how long a command may wait.
	maxTTL = 30 * 24 * time.Hour
)

// Commands is what devices are told to do: a record on disk, and a stream for
// each device that subscribes to devices/{id}/commands.
type Commands struct {
	log     *journal.Log
	cursors *journal.Bucket
	now     func() time.Time
	errs    *slog.Logger

	mu      sync.Mutex
	waiting map[devices.ID][]queued // oldest first
	grown   map[devices.ID]chan struct{}
	last    uint64
}

type queued struct {
	seq     uint64
	expires time.Time
	payload []byte
}

// OpenCommands reads the commands that still wait.
func OpenCommands(ctx context.Context, log *journal.Log, cursors *journal.Bucket, now func() time.Time, errs *slog.Logger) (*Commands, error) {
	c := &Commands{
		log: log, cursors: cursors, now: now, errs: errs,
		waiting: map[devices.ID][]queued{}, grown: map[devices.ID]chan struct{}{},
	}
	err := log.Read(ctx, 1, func(seq uint64, _ time.Time, subject string, data []byte) error {
		c.last = max(c.last, seq)
		id, ok := strings.CutPrefix(subject, subjectCommand)
		if !ok {
			return nil // an answer
		}
		var cmd Command
		if err := json.Unmarshal(data, &cmd); err != nil {
			return fmt.Errorf("command %d for %s: %w", seq, id, err)
		}
		c.queue(devices.ID(id), queued{seq, cmd.Expires, append([]byte(nil), data...)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the commands: %w", err)
	}
	return c, nil
}

const (
	subjectCommand = "command/"
	subjectAnswer  = "answer/"
)

// Send records a command and lets the device have it. It returns when the
// command is on disk.
func (c *Commands) Send(ctx context.Context, device devices.ID, name string, args json.RawMessage, ttl time.Duration) (Command, error) {
	switch {
	case name == "" || len(name) > 64:
		return Command{}, fmt.Errorf("%w: name %.80q: 1 to 64 characters", ErrBadCommand, name)
	case ttl <= 0 || ttl > maxTTL:
		return Command{}, fmt.Errorf("%w: time to live %s: more than 0 and at most %s", ErrBadCommand, ttl, maxTTL)
	case len(args) > maxCommand:
		return Command{}, fmt.Errorf("%w: %d bytes of arguments, at most %d", ErrBadCommand, len(args), maxCommand)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UTC().Truncate(time.Millisecond)
	if c.prune(device, now); len(c.waiting[device]) >= maxWaiting {
		return Command{}, fmt.Errorf("%w: %d commands wait for %s already", ErrBadCommand, maxWaiting, device)
	}
	cmd := Command{
		ID: "c" + strconv.FormatUint(c.last+1, 10), Name: name, Args: args, Issued: now, Expires: now.Add(ttl),
	}
	payload, err := json.Marshal(cmd)
	if err != nil {
		return Command{}, fmt.Errorf("%w: arguments are not JSON: %w", ErrBadCommand, err)
	}
	seq, err := c.log.Append(ctx, subjectCommand+string(device), payload)
	if err != nil {
		return Command{}, fmt.Errorf("recording the command: %w", err)
	}
	c.last = seq
	c.queue(device, queued{seq, cmd.Expires, payload})
	return cmd, nil
}

// Answer records what a device said of a command.
func (c *Commands) Answer(ctx context.Context, device devices.ID, payload []byte) error {
	seq, err := c.log.Append(ctx, subjectAnswer+string(device), payload)
	c.mu.Lock()
	c.last = max(c.last, seq)
	c.mu.Unlock()
	return err
}

// queue is called with mu held, or before anybody else knows c.
func (c *Commands) queue(device devices.ID, q queued) {
	if !q.expires.After(c.now()) {
		return
	}
	c.waiting[device] = append(c.waiting[device], q)
	if grown := c.grown[device]; grown != nil {
		close(grown)
		delete(c.grown, device)
	}
}

// prune forgets what has expired; with mu held.
func (c *Commands) prune(device devices.ID, now time.Time) {
	list := c.waiting[device]
	kept := list[:0]
	for _, q := range list {
		if q.expires.After(now) {
			kept = append(kept, q)
		}
	}
	if len(kept) == 0 {
		delete(c.waiting, device)
		return
	}
	c.waiting[device] = kept
}

// next gives the oldest valid command after seq, or a channel that is closed
// when there may be one.
func (c *Commands) next(device devices.ID, seq uint64) (queued, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune(device, c.now())
	for _, q := range c.waiting[device] {
		if q.seq > seq {
			return q, nil
		}
	}
	if c.grown[device] == nil {
		c.grown[device] = make(chan struct{})
	}
	return queued{}, c.grown[device]
}

// subscribe opens the stream of one subscription. A session that resumes goes
// on behind its last acknowledgement; a new one begins now, because whoever
// asks for a clean start asks not to be told what was before.
func (c *Commands) subscribe(s mqtt.Subscription, device devices.ID, topic string) mqtt.Source {
	source := &commandSource{
		c: c, device: device, topic: topic, key: cursorKey(s.Session), gone: make(chan struct{}),
	}
	if s.Resume {
		if raw, ok := c.cursors.Get(source.key); ok {
			source.at, _ = strconv.ParseUint(string(raw), 10, 64)
		}
	} else {
		c.mu.Lock()
		source.at = c.last
		c.mu.Unlock()
	}
	return source
}

// forget deletes a session's cursor.
func (c *Commands) forget(s mqtt.SessionKey) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, ok := c.cursors.Get(cursorKey(s)); !ok {
		return
	}
	if err := c.cursors.Delete(ctx, cursorKey(s)); err != nil {
		c.errs.Warn("a session's cursor was not deleted", "session", s.ClientID, "error", err)
	}
}

func cursorKey(s mqtt.SessionKey) string { return s.Principal + "\x00" + s.ClientID }

// commandSource is the stream of one subscription.
type commandSource struct {
	c          *Commands
	device     devices.ID
	topic, key string
	at         uint64 // of the last one given out; of Next's goroutine alone
	gone       chan struct{}
	once       sync.Once
}

func (s *commandSource) Next(ctx context.Context) (*mqtt.Message, error) {
	for {
		q, grown := s.c.next(s.device, s.at)
		if grown == nil {
			s.at = q.seq
			return &mqtt.Message{Topic: s.topic, Payload: q.payload, QoS: 1, Expires: q.expires, Seq: q.seq, ContentType: "application/json"}, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.gone:
			return nil, errors.New("the stream is closed")
		}
	}
}

// Ack keeps how far the device has come. A cursor that is not written in time
// means a command delivered twice, which its id tells.
func (s *commandSource) Ack(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.c.cursors.Put(ctx, s.key, []byte(strconv.FormatUint(seq, 10))); err != nil {
		s.c.errs.Warn("a device's place in its commands was not kept; it may see one twice", "device", s.device, "error", err)
	}
}

func (s *commandSource) Close() { s.once.Do(func() { close(s.gone) }) }
