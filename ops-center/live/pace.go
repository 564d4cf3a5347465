package live

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"time"
)

// chunk is how much of a message a screen has to take within the write timeout.
// One deadline for a whole message would either cut a thin line in the middle
// of a snapshot or wait minutes for a screen that is frozen.
const chunk = 16 << 10

// pacing is a ResponseWriter whose connection is paced once it is hijacked.
type pacing struct {
	http.ResponseWriter
	timeout time.Duration
}

func (p pacing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	return &pacedConn{Conn: c, timeout: p.timeout}, rw, nil
}

// pacedConn asks for progress: each chunk has its own deadline. A deadline that
// is set applies as well. Only one goroutine writes at a time; the WebSocket
// connection above sees to that.
type pacedConn struct {
	net.Conn
	timeout time.Duration
	limit   time.Time
}

// NetConn gives the connection beneath, as tls.Conn does.
func (c *pacedConn) NetConn() net.Conn { return c.Conn }

func (c *pacedConn) SetWriteDeadline(t time.Time) error {
	c.limit = t
	return nil
}

func (c *pacedConn) SetDeadline(t time.Time) error {
	c.limit = t
	return c.Conn.SetDeadline(t)
}

func (c *pacedConn) Write(b []byte) (int, error) {
	done := 0
	for {
		deadline := time.Now().Add(c.timeout)
		if !c.limit.IsZero() && c.limit.Before(deadline) {
			deadline = c.limit
		}
		if err := c.Conn.SetWriteDeadline(deadline); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(b[done:min(done+chunk, len(b))])
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
	}
}

// CloseWrite ends the sending half, where the transport has one.
func (c *pacedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
