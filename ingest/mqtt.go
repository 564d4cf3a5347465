package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"vonglau/devices"
	"vonglau/ingest/mqtt"
)

// The topics of a device, under "devices/{id}/". A device may use its own and
// nothing else, in a will as well.
const (
	topicPrefix    = "devices/"
	topicTelemetry = "/telemetry"
	topicStatus    = "/status"
	topicCommands  = "/commands"
	topicAnswer    = "/ack" // under commands
	topicState     = "/state"
	topicDesired   = "/desired"  // under state
	topicReported  = "/reported" // under state
)

// MQTT is the door behind ingest/mqtt: it proves devices by their token and
// hands their messages to the gate.
type MQTT struct {
	gate       *Gate
	commands   *Commands
	states     *States
	disconnect func(principal, why string) int
	// departments may come in by this door too; nil for none.
	departments Departments
}

// NewMQTT makes the door; it is the Handler of an mqtt.Server.
func NewMQTT(g *Gate, c *Commands, states *States) *MQTT {
	return &MQTT{gate: g, commands: c, states: states}
}

// Connect proves a device: by its certificate when it shows one, else user name
// is its id, password its token. The client
// identifier may be anything; sessions belong to the device.
func (m *MQTT) Connect(_ context.Context, c *mqtt.Connect) (mqtt.Peer, error) {
	if id, ok := departmentUser(c.Username); ok {
		return m.connectDepartment(id, c)
	}
	device, proof, err := m.prove(c)
	if err != nil {
		refusal := asRefusal(err)
		refusal.Via, refusal.From = devices.ViaMQTT, c.From
		m.gate.Refused(refusal, nil)
		return nil, refusal
	}
	if refusal := m.gate.welcome(device, devices.ViaMQTT, c.From); refusal != nil {
		m.gate.Refused(refusal, nil)
		return nil, refusal
	}
	base := topicPrefix + string(device.ID)
	peer := &mqttPeer{
		gate: m.gate, all: m.commands, states: m.states, id: device.ID, from: c.From,
		telemetry: base + topicTelemetry, status: base + topicStatus, commands: base + topicCommands, state: base + topicState,
	}
	peer.session = &session{device: device.ID, proof: proof, end: func(why string) {
		if m.disconnect != nil {
			m.disconnect(string(device.ID), why)
		}
	}}
	if c.TLS != nil {
		peer.session.chain = c.TLS.PeerCertificates
	}
	return peer, nil
}

// Forget deletes a session's place in its device's commands.
func (m *MQTT) Forget(s mqtt.SessionKey, _ string) {
	if stream, ok := departmentUser(s.Principal); ok {
		m.forgetDepartment(stream, s)
		return
	}
	m.commands.forget(s)
}

// EndWith names what ends the connections of a device whose credential does not
// count any more: mqtt.Server.Disconnect. Call it before the server starts.
func (m *MQTT) EndWith(disconnect func(principal, why string) int) { m.disconnect = disconnect }

func (m *MQTT) prove(c *mqtt.Connect) (*devices.Device, devices.Proof, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return m.gate.opt.Register.ProveToken(devices.ID(c.Username), c.Password)
	}
	device, proof, err := m.gate.proveCertificate(c.TLS.PeerCertificates)
	if err == nil && c.Username != "" && c.Username != string(device.ID) {
		err = &devices.Refusal{Reason: devices.ReasonForeignDevice, Device: device.ID, Detail: "the certificate is not of the device in the user name"}
	}
	return device, proof, err
}

// mqttPeer is one connection of one device.
type mqttPeer struct {
	session                            *session
	gate                               *Gate
	all                                *Commands
	states                             *States
	id                                 devices.ID
	from                               netip.AddrPort
	telemetry, status, commands, state string

	wait time.Duration // until more is read; the connection's reader only
}

func (p *mqttPeer) Principal() string { return string(p.id) }

func (p *mqttPeer) Online(context.Context) {
	p.gate.opened(p.session)
	p.gate.Status(devices.Status{Device: p.id, Via: devices.ViaMQTT, From: p.from, State: devices.LinkOnline}, nil)
}

func (p *mqttPeer) Offline(e mqtt.End) {
	p.gate.closed(p.session)
	if e.Refusal != nil {
		r := *e.Refusal
		r.Device, r.Via, r.From = p.id, devices.ViaMQTT, p.from
		p.gate.Refused(&r, nil)
	}
	p.gate.Status(devices.Status{
		Device: p.id, Via: devices.ViaMQTT, From: p.from, State: devices.LinkOffline, Reason: e.String(),
	}, nil)
}

// Publish takes a device's telemetry and status.
func (p *mqttPeer) Publish(m *mqtt.Message, ack mqtt.Ack) {
	// Whatever it is about: a flood of statuses is a flood.
	p.wait = p.gate.pace(p.id, p.from, len(m.Payload))
	switch m.Topic {
	case p.telemetry:
		p.publishTelemetry(m, ack)
	case p.status:
		p.publishStatus(m, ack)
	case p.commands + topicAnswer:
		p.hand(m, ack, p.all.Answer)
	case p.state + topicReported:
		p.hand(m, ack, p.states.Report)
	default:
		reason := devices.ReasonBadTopic
		if id, _, ok := cutTopic(m.Topic); ok && id != string(p.id) {
			reason = devices.ReasonForeignDevice
		}
		p.turnAway(m, ack, devices.Refuse(reason, "topic %.120q; use %s", m.Topic, p.telemetry))
	}
}

// Pace holds up a device that is over its bounds.
func (p *mqttPeer) Pace() time.Duration { return p.wait }

func (p *mqttPeer) publishTelemetry(m *mqtt.Message, ack mqtt.Ack) {
	// The register is asked each time: an administrator may have changed or
	// retired the device while it is connected.
	device, ok := p.gate.opt.Register.Get(p.id)
	if !ok {
		p.turnAway(m, ack, devices.Refuse(devices.ReasonUnknownDevice, "no longer in the register"))
		return
	}
	format, err := devices.FormatOfMIME(m.ContentType)
	if err != nil {
		p.turnAway(m, ack, asRefusal(err))
		return
	}
	p.gate.Submit(Delivery{
		Device: device, Via: devices.ViaMQTT, From: p.from, Format: format, Payload: m.Payload,
	}, ack.Done)
}

// publishStatus takes "online" and "offline", the device's own word for its
// state and, as its will, the server's word for it.
func (p *mqttPeer) publishStatus(m *mqtt.Message, ack mqtt.Ack) {
	s := devices.Status{Device: p.id, Via: devices.ViaMQTT, From: p.from}
	switch string(m.Payload) {
	case "online":
		s.State = devices.LinkOnline
	case "offline":
		s.State = devices.LinkOffline
		if m.Will {
			s.Reason = "last will"
		}
	case "": // clears a retained message; the last state stays the state
		ack.Done(nil)
		return
	default:
		p.turnAway(m, ack, devices.Refuse(devices.ReasonMalformed, "status is \"online\" or \"offline\""))
		return
	}
	p.gate.Status(s, ack.Done)
}

// hand gives what the device says to f: an answer to a command, or its state.
func (p *mqttPeer) hand(m *mqtt.Message, ack mqtt.Ack, f func(context.Context, devices.ID, json.RawMessage) error) {
	if len(m.Payload) > maxCommand {
		p.turnAway(m, ack, devices.Refuse(devices.ReasonTooLarge, "at most %d bytes", maxCommand))
		return
	}
	own := &mqtt.Message{Topic: m.Topic, Payload: append([]byte(nil), m.Payload...)}
	// These are few; the connection must go on reading meanwhile.
	go p.handed(own, ack, f)
}

func (p *mqttPeer) handed(m *mqtt.Message, ack mqtt.Ack, f func(context.Context, devices.ID, json.RawMessage) error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitWait)
	defer cancel()
	err := f(ctx, p.id, m.Payload)
	var r *devices.Refusal
	if errors.As(err, &r) && !r.Reason.Retry() {
		p.turnAway(m, ack, r)
		return
	}
	ack.Done(err)
}

func (p *mqttPeer) turnAway(m *mqtt.Message, ack mqtt.Ack, r *devices.Refusal) {
	r.Device, r.Via, r.From = p.id, devices.ViaMQTT, p.from
	r.Payload = evidenceOf(m.Payload)
	p.gate.Refused(r, func(err error) {
		if err == nil {
			err = r
		}
		ack.Done(err)
	})
}

// Subscribe gives a device its commands, its desired state and nothing else.
func (p *mqttPeer) Subscribe(_ context.Context, s mqtt.Subscription) (mqtt.Source, error) {
	if s.Filter == p.commands {
		return p.all.subscribe(s, p.id, p.commands), nil
	}
	if s.Filter == p.state+topicDesired {
		return p.states.subscribe(p.id, s.Filter), nil
	}
	r := devices.Refuse(devices.ReasonBadTopic, "filter %.120q; a device may subscribe to %s and %s", s.Filter, p.commands, p.state+topicDesired)
	if id, _, ok := cutTopic(s.Filter); ok && id != string(p.id) {
		r.Reason = devices.ReasonForeignDevice
	}
	r.Device, r.Via, r.From = p.id, devices.ViaMQTT, p.from
	p.gate.Refused(r, nil)
	return nil, r
}

// cutTopic splits "devices/{id}/rest".
func cutTopic(topic string) (id, rest string, ok bool) {
	topic, ok = strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(topic, "/")
}
