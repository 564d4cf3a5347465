package mqtt

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"vonglau/devices"
)

// Handler is what stands behind the server.
type Handler interface {
	// Connect proves who is calling. A *devices.Refusal is answered with its
	// code, any other error as "server unavailable". It may take until ctx ends,
	// and is asked again when Disconnect was called meanwhile; a Peer that never
	// hears Online is not used.
	Connect(ctx context.Context, c *Connect) (Peer, error)
	// Forget says that a subscription is over for good, by UNSUBSCRIBE or with
	// its session, so its cursor may be deleted. Its Source is closed.
	Forget(s SessionKey, filter string)
}

// Peer is one authenticated connection as the handler knows it.
//
// Calls come from goroutines of that connection: Online first, Offline last,
// Publish one after the other, Subscribe beside it when a broken Source is
// opened again. The one thing that may follow Offline is the publish of the
// will.
type Peer interface {
	// Principal is the proven identity sessions belong to.
	Principal() string
	// Online is called before the client hears that it is connected.
	Online(ctx context.Context)
	// Publish takes one message over and must not block: the connection reads
	// nothing meanwhile. m and the slices in it are valid until Publish returns;
	// its strings may be kept. ack is done exactly once, from any goroutine,
	// possibly before Publish returns, and for QoS 0 too. m.Topic is a valid
	// topic name that does not begin with '$'; whether the client may use it is
	// for the Peer to say, of wills as well.
	Publish(m *Message, ack Ack)
	// Subscribe opens the stream of a subscription. A *devices.Refusal is
	// answered with its code. The server closes the Source.
	Subscribe(ctx context.Context, s Subscription) (Source, error)
	// Offline is called once, when all Sources are closed.
	Offline(e End)
}

// Pacer is a Peer that holds up its client: after each Publish the connection is
// not read from for that long, a second at most, which makes the client wait as
// the standard has it wait for a slow network. An honest answer does not exist:
// 3.1.1 cannot refuse a message, and at QoS 0 neither can 5.
type Pacer interface{ Pace() time.Duration }

// Source is the ordered stream of one subscription.
type Source interface {
	// Next waits for the next message. The server does not change it. An error
	// other than ctx's makes the server close the Source and ask for another.
	Next(ctx context.Context) (*Message, error)
	// Ack says that the message of that number arrived, once for each message
	// in the order Next gave them: at QoS 0 when it was handed to the
	// connection, at QoS 1 when the client acknowledged it. It must not block
	// for long and may be called while Next waits. A number may belong to a
	// message an earlier Source of the same session and filter gave.
	Ack(seq uint64)
	// Close ends the Source; Next is not waiting any more.
	Close()
}

// SessionKey names a session.
type SessionKey struct {
	Principal string
	ClientID  string
}

// Message is an application message, in either direction.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool // as published
	Dup     bool // in: the client says it may have sent this before. No proof of anything.
	Will    bool // in: published by the server for a client that went away

	// The rest is MQTT 5 only.

	ContentType   string
	ResponseTopic string
	Correlation   []byte
	UTF8          bool      // payload format indicator
	Expires       time.Time // zero for never
	User          []UserProperty

	// The rest is used outward only.

	// Seq identifies the message within its subscription, growing and never
	// reused. A retained copy is apart from the message it is a copy of and may
	// have the same number.
	Seq uint64
	// Stored marks a retained copy, delivered because of a new subscription.
	Stored bool
	// Publisher is the client that published it, for "no local".
	Publisher SessionKey
}

// UserProperty is a name and value of MQTT 5; names may repeat.
type UserProperty struct{ Name, Value string }

// Subscription is one topic filter of a session.
type Subscription struct {
	Session SessionKey
	Filter  string
	// QoS is what is granted, 0 or 1.
	QoS byte
	// Resume asks to go on behind the last message acknowledged; otherwise the
	// stream begins now.
	Resume bool
	// Retained asks for the retained messages first, marked Stored. With Resume
	// it may come without the client having asked: then those that were not
	// acknowledged are sent again and the others left out.
	Retained bool
}

// Connect is what a client says of itself.
type Connect struct {
	ClientID string
	Assigned bool // ClientID was made up by the server
	Username string
	Password string
	From     netip.AddrPort       // canonical
	TLS      *tls.ConnectionState // nil without TLS
	Version  byte                 // 4 is MQTT 3.1.1, 5 is 5.0
	// Clean asks to begin without the earlier session.
	Clean bool
	// SessionExpiry is how long the session outlives the connection, as granted.
	SessionExpiry time.Duration
	KeepAlive     time.Duration
	Will          *Message // nil for none
	WillDelay     time.Duration
	User          []UserProperty

	sessionExpiry  uint32 // as asked for
	receiveMaximum uint16
	maximumPacket  uint32
	quiet          bool // request problem information was 0
	authMethod     bool
	willExpiry     time.Duration
	willExpires    bool
}

// Cause says why a connection ended. It is a metric label.
type Cause string

const (
	CauseDisconnect Cause = "disconnect" // the client said so
	CauseClosed     Cause = "closed"     // the client went away without a word
	CauseKeepAlive  Cause = "keep_alive" // nothing heard for one and a half keep-alives
	CauseTakenOver  Cause = "taken_over" // the same session connected again
	CauseProtocol   Cause = "protocol"   // it broke the standard, or a limit it was told
	CauseRefused    Cause = "refused"    // a message could not be taken, the client is to send it again
	CauseRevoked    Cause = "revoked"    // ended by Disconnect
	CauseSlow       Cause = "slow"       // it does not read what it is sent
	CauseStalled    Cause = "stalled"    // its messages were not decided in time
	CauseStopping   Cause = "stopping"   // the server stops
	CauseFault      Cause = "fault"      // a panic, recovered
)

// End is the end of a connection.
type End struct {
	Cause  Cause
	Detail string         // for people
	By     netip.AddrPort // who took over
	// Refusal is set when the end concerns what the client sent, such as a
	// packet that is too large.
	Refusal *devices.Refusal

	code byte // MQTT 5 reason code of the DISCONNECT; 0 sends none
	wait bool // what is in flight is still acknowledged
}

func (e End) String() string {
	if e.Cause == CauseTakenOver {
		return "taken over from " + e.By.String()
	}
	if e.Detail == "" {
		return string(e.Cause)
	}
	return e.Detail
}
