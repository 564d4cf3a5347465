package live

import (
	"net"

	"golang.org/x/sys/unix"
)

// keepLittleUnsent bounds what the kernel holds of a slow screen's messages
// before they are on the line. Else megabytes of old values would queue there,
// where the hub can no longer merge them (tcp(7), TCP_NOTSENT_LOWAT).
func keepLittleUnsent(c net.Conn) {
	for {
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = t.NetConn() // beneath pacing and TLS
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// A refusal costs freshness on slow lines only.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 32<<10)
	})
}
