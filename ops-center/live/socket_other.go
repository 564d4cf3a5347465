//go:build !linux

package live

import "net"

// keepLittleUnsent has no means here: a slow screen's values may be as old as
// the kernel's send buffer is deep.
func keepLittleUnsent(net.Conn) {}
