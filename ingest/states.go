package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ingest/mqtt"
)

// States keeps how devices should be and how they say they are. A device that
// subscribes to devices/{id}/state/desired is given the newest at once and then
// every change, or the last of several; it reports with merge patches to
// devices/{id}/state/reported. A change is on disk before anybody hears of it.
type States struct {
	bucket   *journal.Bucket
	register *devices.Register
	now      func() time.Time

	writing sync.Mutex // one change at a time, to the disk and into memory

	mu       sync.Mutex
	byDevice map[devices.ID]devices.DeviceState
	changed  map[devices.ID]chan struct{}
}

// OpenStates reads the states there are.
func OpenStates(ctx context.Context, bucket *journal.Bucket, r *devices.Register, now func() time.Time) (*States, error) {
	s := &States{bucket: bucket, register: r, now: now, byDevice: map[devices.ID]devices.DeviceState{}, changed: map[devices.ID]chan struct{}{}}
	err := bucket.Load(ctx, func(key string, value []byte) error {
		var st devices.DeviceState
		if err := json.Unmarshal(value, &st); err != nil {
			return fmt.Errorf("state of %q: %w", key, err)
		}
		s.byDevice[devices.ID(key)] = st
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the states: %w", err)
	}
	return s, nil
}

// Get is a device's state; zero when nobody has said anything.
func (s *States) Get(device devices.ID) devices.DeviceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byDevice[device]
}

// Desire changes how a device should be. What has dangerous commands is told by
// commands only: a state would be a way round the second person.
func (s *States) Desire(ctx context.Context, device devices.ID, patch json.RawMessage, by string) (devices.DeviceState, error) {
	d, ok := s.register.Get(device)
	if !ok {
		return devices.DeviceState{}, fmt.Errorf("state of %.64q: %w", device, devices.ErrNoDevice)
	}
	p, ok := s.register.Catalogue().Profile(d.Profile)
	if !ok || slices.ContainsFunc(p.Commands, func(k devices.CommandKind) bool { return k.Dangerous }) {
		return devices.DeviceState{}, fmt.Errorf("%w: a %s is told by commands, which can need a second person", devices.ErrBadState, d.Profile)
	}
	return s.change(ctx, device, func(st *devices.DeviceState, now time.Time) (err error) {
		if st.Desired, err = devices.MergeState(st.Desired, patch); err == nil {
			st.DesiredVersion, st.DesiredAt, st.By = st.DesiredVersion+1, now, by
		}
		return err
	})
}

// Report takes in what a device says of itself.
func (s *States) Report(ctx context.Context, device devices.ID, patch json.RawMessage) error {
	_, err := s.change(ctx, device, func(st *devices.DeviceState, now time.Time) (err error) {
		if st.Reported, err = devices.MergeState(st.Reported, patch); err == nil {
			st.ReportedVersion, st.ReportedAt = st.ReportedVersion+1, now
		}
		return err
	})
	if errors.Is(err, devices.ErrBadState) {
		return devices.Refuse(devices.ReasonMalformed, "%v", err)
	}
	return err
}

func (s *States) change(ctx context.Context, device devices.ID, f func(*devices.DeviceState, time.Time) error) (devices.DeviceState, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	st := s.Get(device)
	if err := f(&st, s.now().UTC().Truncate(time.Millisecond)); err != nil {
		return st, err
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return st, err
	}
	if err := s.bucket.Put(ctx, string(device), raw); err != nil {
		return st, fmt.Errorf("keeping the state of %s: %w", device, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byDevice[device] = st
	if ch := s.changed[device]; ch != nil {
		close(ch)
		delete(s.changed, device)
	}
	return st, nil
}

// desired is what a device gets to read.
func desired(st devices.DeviceState) []byte {
	if st.Desired == nil {
		st.Desired = json.RawMessage("{}")
	}
	raw, _ := json.Marshal(struct {
		Version uint64          `json:"version"`
		State   json.RawMessage `json:"state"`
	}{st.DesiredVersion, st.Desired}) // it was JSON when it was kept
	return raw
}

// subscribe opens a stream that begins with the newest desired state.
func (s *States) subscribe(device devices.ID, topic string) mqtt.Source {
	return &stateSource{s: s, device: device, topic: topic}
}

type stateSource struct {
	s      *States
	device devices.ID
	topic  string
	at     uint64 // version given out last
}

func (o *stateSource) Next(ctx context.Context) (*mqtt.Message, error) {
	for {
		o.s.mu.Lock()
		st := o.s.byDevice[o.device]
		ch := o.s.changed[o.device]
		if ch == nil {
			ch = make(chan struct{})
			o.s.changed[o.device] = ch
		}
		o.s.mu.Unlock()
		if st.DesiredVersion > o.at {
			o.at = st.DesiredVersion
			return &mqtt.Message{Topic: o.topic, Payload: desired(st), QoS: 1, Seq: st.DesiredVersion, ContentType: "application/json"}, nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Ack has nothing to keep: whoever subscribes is given the newest.
func (o *stateSource) Ack(uint64) {}

func (o *stateSource) Close() {}

// desiredState answers GET /devices/{id}/state/desired.
func (c *CoAP) desiredState(w *coapWriter, r *pool.Message, device *devices.Device) {
	body := desired(c.opt.States.Get(device.ID))
	want, asked, err := blockOf(r, message.Block2)
	if err != nil {
		c.refuse(w, err)
		return
	}
	if !asked {
		want = block{szx: blockSZX}
	}
	part, got, ok := slice(body, want)
	if !ok {
		c.respond(w, codes.BadRequest, message.TextPlain, "no such block")
		return
	}
	opts := []message.Option{etag(body), maxAge(0)}
	if asked || got.more {
		opts = append(opts, got.option(message.Block2))
	}
	c.respond(w, codes.Content, message.AppJSON, string(part), opts...)
}

// reportedState takes POST /devices/{id}/state/reported.
func (c *CoAP) reportedState(w *coapWriter, r *pool.Message, device *devices.Device) {
	c.take(w, r, device, c.opt.States.Report)
}
