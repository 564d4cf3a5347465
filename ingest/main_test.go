package ingest

import (
	"testing"

	"go.uber.org/goleak"
)

// Whoever starts a goroutine stops it: a test that leaves one behind fails. The
// CoAP library's expiry timers end by themselves, up to four seconds after
// their socket.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/plgd-dev/go-coap/v3/udp/client.init.init.func1.NewCommon[...].func6.1"),
		goleak.IgnoreAnyFunction("github.com/plgd-dev/go-coap/v3/udp/server.init.init.func1.NewCommon[...].func7.1"),
	)
}
