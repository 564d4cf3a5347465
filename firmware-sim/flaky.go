package firmwaresim

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// flakyConn is a link that can lose an answer: once told to, it takes in what
// the server sends next and ends the connection instead of passing it on. The
// server has then answered, and the device does not know.
//
// It is a Locker, because Paho's MQTT 5 client writes a packet in pieces and
// from several goroutines: a bare connection takes the pieces in one call, a
// wrapped one does not, and Paho holds the lock of one that has it. Without it
// two packets run into each other and the server answers 0x81.
type flakyConn struct {
	net.Conn
	sync.Mutex
	deaf    atomic.Bool
	severed atomic.Bool
}

func dialFlaky(ctx context.Context, addr string) (*flakyConn, error) {
	d := net.Dialer{Timeout: connectTimeout}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &flakyConn{Conn: c}, nil
}

func (c *flakyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.deaf.Load() {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	if err != nil && c.severed.Load() {
		// Paho takes the error of a socket closed on this side for its own
		// doing and goes on waiting; the end of the stream it believes.
		err = io.EOF
	}
	return n, err
}

// sever cuts the link without a word to either side.
func (c *flakyConn) sever() {
	c.severed.Store(true)
	_ = c.Conn.Close()
}
