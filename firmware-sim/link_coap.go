package firmwaresim

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/pkg/runner/periodic"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"vonglau/devices"
)

// coap is confirmable CoAP over UDP by go-coap, one exchange at a time (NSTART
// of RFC 7252 section 4.7). There is no connection: open makes a socket, and a
// server that is away shows as exchanges without an answer.
type coap struct {
	*wire
	shared *coapShared
	conn   *client.Conn
	done   chan struct{} // of the exchange under way
}

// coapShared is what all CoAP devices of a process use together: one goroutine
// that looks after retransmissions, where go-coap alone would start one for
// each socket, and one pool of messages.
type coapShared struct {
	runner periodic.Func
	pool   *pool.Pool
	stop   chan struct{}
}

func newCoAPShared() *coapShared {
	s := &coapShared{stop: make(chan struct{}), pool: pool.New(4096, 2048)}
	s.runner = periodic.New(s.stop, 500*time.Millisecond)
	return s
}

func (s *coapShared) close() { close(s.stop) }

func newCoAP(w *wire, s *coapShared) link { return &coap{wire: w, shared: s, done: closedChannel()} }

const (
	// ackTimeout and maxRetransmit are those of RFC 7252 section 4.8. go-coap
	// repeats at even steps where the RFC doubles them, and does not spread
	// them, so each device gets a time of its own.
	ackTimeout    = 2 * time.Second
	maxRetransmit = 4
	// exchangeTime is when the device stops waiting for an answer.
	exchangeTime = 20 * time.Second
)

func (l *coap) open(context.Context) error {
	// ACK_RANDOM_FACTOR 1.5 of RFC 7252 section 4.8, fixed for the device.
	timeout := ackTimeout + time.Duration(unit(salt(0, string(l.id)))*float64(ackTimeout/2))
	c, err := udp.Dial(l.addr,
		options.WithContext(l.ctx),
		options.WithErrors(func(error) {}), // its default prints to standard output
		options.WithPeriodicRunner(l.shared.runner),
		options.WithMessagePool(l.shared.pool),
		options.WithTransmission(1, timeout, maxRetransmit),
	)
	if err != nil {
		return fmt.Errorf("open socket of %s to %s: %w", l.id, l.addr, err)
	}
	l.conn = c
	return nil
}

func (l *coap) send(r *report) {
	r.tries++
	l.done = make(chan struct{})
	go l.exchange(l.conn, r, l.done)
}

// exchange sends one report and waits for the response.
func (l *coap) exchange(c *client.Conn, r *report, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(l.ctx, exchangeTime)
	defer cancel()
	res, err := c.Post(ctx, "/devices/"+string(l.id)+"/telemetry", coapFormat(l.format), bytes.NewReader(r.payload),
		message.Option{ID: message.URIQuery, Value: []byte("k=" + l.token)})
	if err != nil {
		l.answer(answer{report: r, verdict: lost, err: err})
		return
	}
	defer c.ReleaseMessage(res)
	if r.loseAck {
		r.loseAck = false
		l.answer(answer{report: r, verdict: lost, err: fmt.Errorf("the response got lost")})
		return
	}
	a := answer{report: r}
	switch code := res.Code(); {
	case code>>5 == 2:
		a.verdict = accepted
	case code == codes.ServiceUnavailable || code == codes.TooManyRequests:
		// Max-Age says when to come back (RFC 7252 section 5.9.3.4, RFC 8516);
		// without it, a minute (section 5.10.5).
		a.verdict, a.wait = later, time.Minute
		if age, err := res.Options().GetUint32(message.MaxAge); err == nil {
			a.wait = time.Duration(age) * time.Second
		}
		a.err = fmt.Errorf("server answered %v", code)
	case code>>5 == 5:
		a.verdict, a.err = later, fmt.Errorf("server answered %v", code)
	default:
		a.verdict, a.err = refused, fmt.Errorf("server answered %v", code)
	}
	l.answer(a)
}

// coapFormat is the Content-Format number of a format.
func coapFormat(f devices.Format) message.MediaType {
	switch f {
	case devices.FormatCBOR:
		return message.AppCBOR
	case devices.FormatSenMLJSON:
		return message.AppSenmlJSON
	case devices.FormatSenMLCBOR:
		return message.AppSenmlCbor
	}
	return message.AppJSON
}

func (l *coap) down() <-chan struct{} {
	if l.conn == nil {
		return closedChannel()
	}
	return l.conn.Done()
}

func (l *coap) close(bool) {
	if l.conn == nil {
		return
	}
	_ = l.conn.Close()
	<-l.conn.Done()
	<-l.done
	l.conn = nil
}

func (l *coap) forget()     { <-l.done }
func (l *coap) window() int { return 1 }
