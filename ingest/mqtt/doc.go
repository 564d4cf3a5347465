// Package mqtt is the MQTT 3.1.1 and 5.0 server for field devices.
//
// It is a device server, not a broker: nothing is routed from client to client
// here. A PUBLISH is a call of a Peer, a subscription is a Source, and what is
// behind both is the Handler's business. References such as [MQTT-3.3.1-1] name
// the conformance statements of MQTT 5.0; where 3.1.1 differs it is said.
//
// # Publishing
//
// Peer.Publish gets the message in place, out of the connection's read buffer,
// together with an Ack. The acknowledgement leaves when, and only when, the Ack
// is done without an error: PUBACK for QoS 1, PUBREC for QoS 2. Many messages
// of one connection are in flight at once; their acknowledgements leave in the
// order the messages came (MQTT 5 section 4.6), many in one write, by the
// connection's own writer. Ack.Done only marks and wakes, so whoever commits
// for all connections is never held up by one of them.
//
// An Ack done with an error is a refusal, answered by one table (reason.go):
//
//   - A *devices.Refusal with Kept set is a success: what the message said is
//     stored.
//   - One that is worth a retry: MQTT 5 gets reason code 0x97; 3.1.1 has no way
//     to be told, so the connection is closed without the acknowledgement, and
//     the client, which still has the message, sends it again.
//   - One that is final: MQTT 5 gets the reason code and, unless it asked not
//     to, the detail as reason string; 3.1.1 is acknowledged, because sending
//     the same bytes again would never help. The handler keeps the evidence.
//   - Any other error is a fault of ours: never an acknowledgement, the
//     connection is closed, the client sends again.
//
// What is in flight is bounded by Options.Window. MQTT 5 is told it as Receive
// Maximum and disconnected with 0x93 beyond it; 3.1.1 is not read from until
// there is room, and its keep-alive does not run meanwhile. Room is given back
// before the acknowledgement is written.
//
// QoS 2 keeps the packet identifiers between PUBLISH and PUBREL with the
// session. A repeated PUBLISH of such an identifier is not submitted again, not
// even while the first is being committed under a connection that is gone; it
// waits for the same outcome. They are not kept on disk: after a restart a
// PUBREL that nobody remembers is completed (0x92 in MQTT 5), and a PUBLISH
// repeated is submitted again. DUP is never taken as proof of storage.
//
// # Subscriptions
//
// A subscription is granted QoS 1 at most. Its messages come from a Source the
// Peer opens, one goroutine each, no further ahead of the client than its
// Receive Maximum and Options.OutWindow, so a client that is slow or away
// leaves its messages where they are: in the Handler's log. Source.Ack follows
// the client's PUBACKs in order, and is the only cursor; a Source opened again
// goes on behind the last Ack. The session remembers no payloads, only which
// sequence numbers went out under which packet identifier, so that they come
// again with the same identifier and DUP set ([MQTT-4.4.0-1]). Shared
// subscriptions are refused with 0x9E.
//
// # Sessions
//
// A session belongs to a principal and a client identifier: two principals
// cannot take over or read each other's sessions whatever identifier they use.
// Connecting again takes over: the older connection is ended (0x8E), its
// Sources are closed and Peer.Offline has returned before the newer one's
// Peer.Online is called, and no acknowledgement of the older connection
// reaches the newer.
//
// With Options.Sessions the existence of a session and its subscriptions
// survive a restart, so a client finds "session present" and repeats what it
// had in flight instead of dropping it ([MQTT-3.2.2-5]). A session whose
// subscriptions the Peer does not take up again is reported as not present. Expiry
// counts from the end of the connection, or from the restart.
//
// A will is an ordinary publish of its Peer, marked Will. It is published when
// a connection ends without DISCONNECT 0x00, after its delay, at a take-over as
// the standard says, and for every connection ended by Stop. A killed process
// publishes none.
//
// # Who may hold up whom
//
// Each connection has one reading and one writing goroutine. Everything queued
// for a client is bounded: beyond the bound its reader waits, and its write
// deadline ends it. Nobody waits for a client but its own goroutines. Until a
// client has proven who it is, it gets Options.ConnectTimeout, 64 KiB, ten user
// properties, and a place in a bounded waiting room where the longest waiting,
// first of the same /64, gives way. A panic ends one connection and is counted.
package mqtt
