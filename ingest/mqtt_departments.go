package ingest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
	"vonglau/ingest/mqtt"
)

// The topics of a department, under "departments/{id}/".
const (
	topicDepartments = "departments/"
	topicAlerts      = "/alerts"
)

// Departments are the streams that departments have subscribed to.
type Departments interface {
	// Prove finds the stream that a department's token opens.
	Prove(department, token string) (stream string, ok bool)
	// Open reads the stream for a session: behind what it acknowledged, or from
	// now on.
	Open(stream, session string, resume bool) (Alerts, error)
	// Forget drops a session's place.
	Forget(ctx context.Context, stream, session string) error
}

// Alerts is one reading of a department's stream. Its place is kept by whoever
// gives it.
type Alerts interface {
	Next(ctx context.Context) (seq uint64, body []byte, err error)
	Ack(seq uint64)
	Close()
}

// Departments lets departments in by this door: user name departments/{id}, the
// token of a stream as password. Call it before the server starts.
func (m *MQTT) Departments(d Departments) { m.departments = d }

// departmentUser tells whether a user name is a department's.
func departmentUser(name string) (id string, ok bool) {
	return strings.CutPrefix(name, topicDepartments)
}

// connectDepartment proves a department.
func (m *MQTT) connectDepartment(id string, c *mqtt.Connect) (mqtt.Peer, error) {
	stream, ok := "", false
	if m.departments != nil {
		stream, ok = m.departments.Prove(id, c.Password)
	}
	if !ok {
		r := devices.Refuse(devices.ReasonBadCredential, "no stream of department %.60q has this token", id)
		r.Via, r.From = devices.ViaMQTT, c.From
		m.gate.Refused(r, nil)
		return nil, r
	}
	return &departmentPeer{door: m, stream: stream, topic: topicDepartments + id + topicAlerts}, nil
}

// DepartmentPrincipal is whose sessions a stream's are. A device's id cannot have
// its form.
func DepartmentPrincipal(stream string) string { return topicDepartments + stream }

// departmentPeer is one connection of a department. It reads and says nothing.
type departmentPeer struct {
	door   *MQTT
	stream string
	topic  string
}

func (p *departmentPeer) Principal() string      { return DepartmentPrincipal(p.stream) }
func (p *departmentPeer) Online(context.Context) {}
func (p *departmentPeer) Offline(mqtt.End)       {}

func (p *departmentPeer) Publish(m *mqtt.Message, ack mqtt.Ack) {
	ack.Done(devices.Refuse(devices.ReasonBadTopic, "topic %.120q; a department publishes nothing here", m.Topic))
}

func (p *departmentPeer) Subscribe(_ context.Context, s mqtt.Subscription) (mqtt.Source, error) {
	if s.Filter != p.topic {
		return nil, devices.Refuse(devices.ReasonBadTopic, "filter %.120q; a department subscribes to %s", s.Filter, p.topic)
	}
	alerts, err := p.door.departments.Open(p.stream, s.Session.ClientID, s.Resume)
	if err != nil {
		return nil, err
	}
	return &alertSource{alerts: alerts, topic: p.topic, gone: make(chan struct{})}, nil
}

// alertSource is the stream of one subscription.
type alertSource struct {
	alerts Alerts
	topic  string
	gone   chan struct{}
	once   sync.Once
}

func (s *alertSource) Next(ctx context.Context) (*mqtt.Message, error) {
	seq, body, err := s.alerts.Next(ctx)
	if err != nil {
		select {
		case <-s.gone:
			err = errors.Join(err, errors.New("the stream is closed"))
		default:
		}
		return nil, err
	}
	return &mqtt.Message{Topic: s.topic, Payload: body, QoS: 1, Seq: seq, ContentType: "application/json", UTF8: true}, nil
}

func (s *alertSource) Ack(seq uint64) { s.alerts.Ack(seq) }

func (s *alertSource) Close() {
	s.once.Do(func() { close(s.gone) })
	s.alerts.Close()
}

// forgetDepartment deletes a session's place in its stream.
func (m *MQTT) forgetDepartment(stream string, s mqtt.SessionKey) {
	if m.departments == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := m.departments.Forget(ctx, stream, s.ClientID); err != nil {
		m.commands.opt.Errs.Warn("a department's place in its stream was not deleted", "session", s.ClientID, "error", err)
	}
}
