package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"vonglau/devices"
)

// report is one payload on its way. The readings in it stay with it until it is
// answered, so that they can go back into the device's memory.
type report struct {
	payload  []byte
	readings []reading
	tries    int  // times it was handed to the wire
	loseAck  bool // the answer is to get lost on the way back
	junk     bool // malformed on purpose
}

// maxTries is when a device gives a report up: a server that breaks the
// connection over it every time will not take it the ninth time either, and the
// reports behind it must get their turn.
const maxTries = 8

// verdict is what became of a report.
type verdict uint8

const (
	accepted verdict = iota // the server has it
	refused                 // the server will never take it
	later                   // the server cannot take it now
	lost                    // nobody knows: send it again
)

// answer is the end of one report's way. Each report that was sent gets at most
// one; none when the link was told to forget it.
type answer struct {
	report  *report
	verdict verdict
	wait    time.Duration // with later: what the server asked for
	err     error
}

// link is a device's way to the server over one protocol. A link belongs to one
// device; its methods are called by that device's goroutines, one at a time.
type link interface {
	// open connects, or says why not. What was sent before and not answered is
	// sent again by protocols that have sessions.
	open(ctx context.Context) error
	// send hands over a report; the answer comes on the channel of the
	// wire. It waits for the socket at most, never for the server.
	send(r *report)
	// down is closed when the connection of the last open is gone.
	down() <-chan struct{}
	// close ends the connection: politely, or as a device does that lost its
	// power. It returns when no goroutine of the connection is left.
	close(politely bool)
	// forget drops what was sent and not answered, as a reboot does.
	forget()
	// window is how many reports may wait for their answers.
	window() int
}

// wire is what every link needs to know.
type wire struct {
	ctx       context.Context // of the device's life
	id        devices.ID
	token     string
	format    devices.Format
	addr      string // host:port, an IPv6 host in brackets
	keepAlive time.Duration
	answers   chan answer
	depth     int         // window of protocols that can have one
	note      func(error) // hears why links are lost; may be nil
}

func (w *wire) lost(err error) {
	// A socket closed on this side is the consequence of a cause told before.
	if w.note != nil && err != nil && !errors.Is(err, net.ErrClosed) {
		w.note(fmt.Errorf("link of %s to %s: %w", w.id, w.addr, err))
	}
}

// answer passes an end on. The channel holds every report the window admits, so
// this waits only for a device that is itself ending.
func (w *wire) answer(a answer) {
	select {
	case w.answers <- a:
	case <-w.ctx.Done():
	}
}

var errGivenUp = errors.New("given up after too many attempts")

// contentType is the MIME type of a format.
func contentType(f devices.Format) string {
	switch f {
	case devices.FormatCBOR:
		return "application/cbor"
	case devices.FormatSenMLJSON:
		return "application/senml+json"
	case devices.FormatSenMLCBOR:
		return "application/senml+cbor"
	}
	return "application/json"
}

// Topics and states of the MQTT wire.
func telemetryTopic(id devices.ID) string { return "devices/" + string(id) + "/telemetry" }
func statusTopic(id devices.ID) string    { return "devices/" + string(id) + "/status" }

const (
	stateOnline  = "online"
	stateOffline = "offline"
)

const (
	connectTimeout = 10 * time.Second
	// writeTimeout is short because a window of reports always fits the
	// socket's buffer: a write that waits has met a dead link, and Paho's
	// Publish waits as long for a link that died in the same moment.
	writeTimeout = 3 * time.Second
	goodbye      = time.Second // for the last status
)
