package firmwaresim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// mqtt5 is MQTT 5 by Eclipse Paho. The session outlives its connections: a
// publish that waits for its PUBACK goes on waiting through a lost link, and
// the session sends it again with DUP set when the server still knows it.
type mqtt5 struct {
	*wire
	session *state.State

	client  *paho.Client
	conn    *flakyConn
	waiting sync.WaitGroup
	stop    context.CancelFunc // ends the waiting
	life    context.Context
}

func newMQTT5(w *wire) link {
	l := &mqtt5{wire: w, session: state.NewInMemory()}
	l.life, l.stop = context.WithCancel(w.ctx)
	return l
}

const (
	// patience is how long a publish waits for its answer through lost links.
	patience = 5 * time.Minute
	// sessionExpiry is how long the server is asked to remember.
	sessionExpiry = 24 * 60 * 60
)

func (l *mqtt5) open(ctx context.Context) error {
	conn, err := dialFlaky(ctx, l.addr)
	if err != nil {
		return fmt.Errorf("connect %s to %s: %w", l.id, l.addr, err)
	}
	c := paho.NewClient(paho.ClientConfig{
		ClientID: string(l.id), Conn: conn, Session: l.session, PacketTimeout: patience,
		OnClientError: l.lost,
		OnServerDisconnect: func(d *paho.Disconnect) {
			l.lost(fmt.Errorf("the server disconnected with reason code 0x%02x", d.ReasonCode))
		},
	})
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	expiry, receive := uint32(sessionExpiry), uint16(16) // Paho allocates a slot for each it may receive
	ack, err := c.Connect(ctx, &paho.Connect{
		ClientID: string(l.id), KeepAlive: uint16(l.keepAlive / time.Second), CleanStart: false,
		UsernameFlag: true, Username: string(l.id), PasswordFlag: true, Password: []byte(l.token),
		Properties:  &paho.ConnectProperties{SessionExpiryInterval: &expiry, ReceiveMaximum: &receive},
		WillMessage: &paho.WillMessage{Topic: statusTopic(l.id), Payload: []byte(stateOffline), QoS: 1, Retain: true},
	})
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("connect %s to %s: %w", l.id, l.addr, err)
	}
	if !ack.SessionPresent {
		// The server has forgotten the session, and so has Paho, but it tells
		// none of the publishes that still wait: they are told here, and their
		// reports go out as new ones.
		l.stop()
		l.life, l.stop = context.WithCancel(l.ctx)
	}
	l.client, l.conn = c, conn
	l.waiting.Add(1)
	go l.announce(l.life, c, stateOnline)
	return nil
}

// announce tells the server the device's state and waits for the answer.
func (l *mqtt5) announce(ctx context.Context, c *paho.Client, s string) {
	defer l.waiting.Done()
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	// A status that gets lost is replaced by the next one or by the will.
	_, _ = c.Publish(ctx, &paho.Publish{Topic: statusTopic(l.id), QoS: 1, Retain: true, Payload: []byte(s)})
}

func (l *mqtt5) send(r *report) {
	if r.loseAck {
		r.loseAck = false
		l.conn.deaf.Store(true)
	}
	r.tries++
	l.waiting.Add(1)
	go l.publish(l.client, r)
}

// publish sends one report and waits for what becomes of it.
func (l *mqtt5) publish(c *paho.Client, r *report) {
	defer l.waiting.Done()
	res, err := c.Publish(l.life, &paho.Publish{
		Topic: telemetryTopic(l.id), QoS: 1, Payload: r.payload,
		Properties: &paho.PublishProperties{ContentType: contentType(l.format)},
	})
	switch {
	case err == nil:
		l.answer(answer{report: r, verdict: accepted})
	case res == nil:
		l.answer(answer{report: r, verdict: lost, err: err})
	case retryable(res.ReasonCode):
		l.answer(answer{report: r, verdict: later, err: err})
	default:
		l.answer(answer{report: r, verdict: refused, err: err})
	}
}

// retryable sorts the reason codes of a PUBACK (MQTT 5 section 3.4.2.1) by
// whether the same bytes can be taken later.
func retryable(code byte) bool {
	switch code {
	case 0x80, 0x83, 0x97: // unspecified, implementation specific, quota exceeded
		return true
	}
	return false
}

func (l *mqtt5) down() <-chan struct{} {
	if l.client == nil {
		return closedChannel()
	}
	return l.client.Done()
}

func (l *mqtt5) close(politely bool) {
	if l.client == nil {
		return
	}
	if politely {
		l.waiting.Add(1)
		// The device's life may have ended; its good-bye is still said.
		l.announce(context.WithoutCancel(l.ctx), l.client, stateOffline)
		_ = l.client.Disconnect(&paho.Disconnect{ReasonCode: 0})
	}
	l.conn.sever()
	<-l.client.Done()
	l.client = nil
	if l.ctx.Err() != nil {
		l.forget()
	}
}

func (l *mqtt5) forget() {
	l.stop()
	_ = l.session.Close() // answers those that still wait
	l.waiting.Wait()
	l.session = state.NewInMemory()
	l.life, l.stop = context.WithCancel(l.ctx)
}

func (l *mqtt5) window() int { return l.depth }
