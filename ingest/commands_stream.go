package ingest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"vonglau/devices"
	"vonglau/ingest/mqtt"
)

// next gives the command with the lowest act after seq that is to be streamed,
// or a channel that is closed when there may be one. Acts up to old are of a
// time before the stream: of those only what nobody has had.
func (c *Commands) next(device devices.ID, seq, old uint64) (*command, <-chan struct{}) {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var first *command
	for _, cmd := range c.lists[device] {
		if cmd.seq > seq && cmd.pending(now) && (cmd.seq > old || cmd.State == devices.CommandWaiting) &&
			(first == nil || cmd.seq < first.seq) {
			first = cmd
		}
	}
	if first != nil {
		given := *first
		return &given, nil
	}
	return nil, c.more(device)
}

// more is closed when the device is given something; with mu held.
func (c *Commands) more(device devices.ID) <-chan struct{} {
	if c.grown[device] == nil {
		c.grown[device] = make(chan struct{})
	}
	return c.grown[device]
}

// subscribe opens the stream of one subscription. A session that resumes goes
// on behind its last acknowledgement. A new one is given what no session had
// and is still in time: how long a command makes sense is for its time to live
// to say, not for the kind of session a device can afford.
func (c *Commands) subscribe(s mqtt.Subscription, device devices.ID, topic string) mqtt.Source {
	source := &commandSource{
		c: c, device: device, topic: topic, key: cursorKey(s.Session), gone: make(chan struct{}),
	}
	if s.Resume {
		if raw, ok := c.opt.Cursors.Get(source.key); ok {
			source.at, _ = strconv.ParseUint(string(raw), 10, 64)
		}
	} else {
		c.mu.Lock()
		source.old = c.last
		c.mu.Unlock()
	}
	return source
}

// forget deletes a session's cursor.
func (c *Commands) forget(s mqtt.SessionKey) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, ok := c.opt.Cursors.Get(cursorKey(s)); !ok {
		return
	}
	if err := c.opt.Cursors.Delete(ctx, cursorKey(s)); err != nil {
		c.opt.Errs.Warn("a session's cursor was not deleted", "session", s.ClientID, "error", err)
	}
}

func cursorKey(s mqtt.SessionKey) string { return s.Principal + "\x00" + s.ClientID }

// commandSource is the stream of one subscription.
type commandSource struct {
	c          *Commands
	device     devices.ID
	topic, key string
	at         uint64 // of the last one given out; of Next's goroutine alone
	old        uint64
	gone       chan struct{}
	once       sync.Once
}

func (s *commandSource) Next(ctx context.Context) (*mqtt.Message, error) {
	for {
		cmd, grown := s.c.next(s.device, s.at, s.old)
		if grown == nil {
			s.at = cmd.seq
			return &mqtt.Message{Topic: s.topic, Payload: cmd.payload, QoS: 1, Expires: cmd.Expires, Seq: cmd.seq, ContentType: "application/json"}, nil
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

// Ack keeps how far the device has come. What is not written in time means a
// command delivered twice, which its id tells.
func (s *commandSource) Ack(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.c.opt.Cursors.Put(ctx, s.key, []byte(strconv.FormatUint(seq, 10)))
	if err = errors.Join(err, s.c.delivered(ctx, s.device, seq)); err != nil {
		s.c.opt.Errs.Warn("a device's place in its commands was not kept; it may see one twice", "device", s.device, "error", err)
	}
}

func (s *commandSource) Close() { s.once.Do(func() { close(s.gone) }) }
