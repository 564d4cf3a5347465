package mqtt

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	version311 = 4
	version5   = 5
)

// Packet types (MQTT 5 table 2-1).
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
	typeAuth        = 15
)

var typeNames = [16]string{"reserved", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp",
	"subscribe", "suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth"}

const (
	maxClientID       = 256
	maxTopic          = 1024 // bytes of a topic name or filter
	maxUserProperties = 64   // in one packet of an authenticated client
	maxUserUnproven   = 10   // in a CONNECT
)

// fixedHeader splits the fixed header off b. size is that of the whole packet
// and 0 when b does not hold the header yet.
func fixedHeader(b []byte) (first byte, head, size int, err *wireError) {
	if len(b) < 2 {
		return 0, 0, 0, nil
	}
	n, k := varint(b[1:])
	switch {
	case k < 0:
		return 0, 0, 0, malformed("remaining length has more than four bytes or is not in its shortest form") // [MQTT-1.5.5-1]
	case k == 0:
		return 0, 0, 0, nil
	}
	return b[0], 1 + k, 1 + k + n, nil
}

// varint reads a variable byte integer (MQTT 5 section 1.5.5): its value and
// length, 0 when b ends early and -1 when it is malformed.
func varint(b []byte) (value, length int) {
	for i := range min(len(b), 4) {
		value |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if i > 0 && b[i] == 0 {
				return 0, -1
			}
			return value, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

// decoder reads the fields of one packet in place. The first error sticks, and
// what is read after it is zero.
type decoder struct {
	b   []byte
	err *wireError
}

func (d *decoder) fail(e *wireError) {
	if d.err == nil {
		d.err = e
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail(malformed("packet ends within a field"))
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if v := d.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if v := d.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) varint() int {
	v, n := varint(d.b)
	if n <= 0 {
		d.fail(malformed("variable byte integer is malformed"))
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) binary() []byte { return d.take(int(d.uint16())) }

// text reads a UTF-8 string: well-formed [MQTT-1.5.4-1], without U+0000
// [MQTT-1.5.4-2].
func (d *decoder) text() []byte {
	v := d.binary()
	if !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
		d.fail(malformed("string is not UTF-8 or contains U+0000"))
		return nil
	}
	return v
}

// packetID reads a packet identifier, never zero [MQTT-2.2.1-3].
func (d *decoder) packetID() uint16 {
	id := d.uint16()
	if id == 0 && d.err == nil {
		d.fail(protocol("packet identifier is zero"))
	}
	return id
}

func (d *decoder) end() *wireError {
	if d.err == nil && len(d.b) > 0 {
		d.fail(malformed("packet is longer than its fields"))
	}
	return d.err
}

// validTopic checks a topic name [MQTT-3.3.2-2].
func validTopic(t []byte) *wireError {
	switch {
	case len(t) == 0:
		return protocol("topic name is empty") // [MQTT-4.7.3-1]
	case bytes.ContainsAny(t, "+#"):
		return malformed("topic name contains a wildcard")
	}
	return nil
}

// validFilter checks the place of the wildcards (MQTT 5 section 4.7.1).
func validFilter(f string) *wireError {
	if f == "" {
		return malformed("topic filter is empty") // [MQTT-4.7.3-1]
	}
	for rest, last := f, false; !last; {
		var level string
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			level, rest = rest[:i], rest[i+1:]
		} else {
			level, last = rest, true
		}
		if strings.Contains(level, "#") && (level != "#" || !last) {
			return malformed("# is not alone on the last level") // [MQTT-4.7.1-1]
		}
		if strings.Contains(level, "+") && level != "+" {
			return malformed("+ is not alone on its level") // [MQTT-4.7.1-2]
		}
	}
	return nil
}

// decodeConnect reads the body of a CONNECT. With an error the Connect is
// still there when the version is known, so that it can be answered.
func decodeConnect(body []byte) (*Connect, *wireError) {
	d := &decoder{b: body}
	name := string(d.text())
	version := d.byte()
	if d.err != nil {
		return nil, d.err
	}
	// [MQTT-3.1.2-1], [MQTT-3.1.2-2]. A client beyond 5 understands the CONNACK
	// of 5, one before 3.1.1 that of 3.1.1.
	if name != "MQTT" || version != version311 && version != version5 {
		answer := byte(version311)
		if version >= version5 {
			answer = version5
		}
		return &Connect{Version: answer}, &wireError{codeVersion, "protocol is not MQTT 3.1.1 or 5.0"}
	}
	c := &Connect{Version: version}
	flags := d.byte()
	c.KeepAlive = time.Duration(d.uint16()) * time.Second
	c.Clean = flags&0x02 != 0
	will, willQoS, willRetain := flags&0x04 != 0, flags>>3&3, flags&0x20 != 0
	hasPassword, hasUser := flags&0x40 != 0, flags&0x80 != 0
	switch {
	case d.err != nil:
	case flags&0x01 != 0:
		d.fail(malformed("reserved connect flag is set")) // [MQTT-3.1.2-3]
	case willQoS == 3, !will && (willQoS != 0 || willRetain):
		d.fail(malformed("will flags contradict each other")) // [MQTT-3.1.2-11] to [MQTT-3.1.2-14]
	case version == version311 && hasPassword && !hasUser:
		d.fail(malformed("password without user name")) // 3.1.1 [MQTT-3.1.2-22]
	}
	var p properties
	users := 0
	if version == version5 {
		d.properties(&p, connectProperties, maxUserUnproven)
		users = len(p.user)
		c.sessionExpiry = p.sessionExpiry
		c.User = p.users()
		c.receiveMaximum = p.receiveMaximum
		c.maximumPacket = p.maximumPacket
		c.quiet = p.has(propRequestProblem) && p.requestProblem == 0
		c.authMethod = p.has(propAuthMethod)
		switch {
		case p.has(propReceiveMaximum) && p.receiveMaximum == 0, p.has(propMaximumPacket) && p.maximumPacket == 0,
			p.requestProblem > 1, p.requestResponse > 1, p.has(propAuthData) && !c.authMethod:
			d.fail(protocol("a property of CONNECT has a value it must not have"))
		}
	}
	clientID := d.text()
	if len(clientID) > maxClientID {
		d.fail(&wireError{codeClientID, "client identifier is too long"})
	}
	c.ClientID = string(clientID)
	if will {
		c.Will = &Message{QoS: willQoS, Retain: willRetain, Will: true}
		if version == version5 {
			p.reset()
			d.properties(&p, willProperties, maxUserUnproven-users)
			c.WillDelay = time.Duration(p.willDelay) * time.Second
			p.describe(c.Will, func(b []byte) string { return string(b) })
			c.Will.Correlation = bytes.Clone(c.Will.Correlation)
			c.Will.Expires = time.Time{} // it counts from the publication
			c.willExpiry, c.willExpires = time.Duration(p.messageExpiry)*time.Second, p.has(propMessageExpiry)
		}
		topic := d.text()
		payload := d.binary()
		if d.err == nil {
			if err := validTopic(topic); err != nil {
				d.fail(err)
			} else if topic[0] == '$' || len(topic) > maxTopic {
				d.fail(&wireError{codeTopicName, "topic of the will is not served"})
			}
		}
		c.Will.Topic, c.Will.Payload = string(topic), bytes.Clone(payload)
	}
	if hasUser {
		c.Username = string(d.text())
	}
	if hasPassword {
		c.Password = string(d.binary())
	}
	return c, d.end()
}

// publishPacket is a PUBLISH in place.
type publishPacket struct {
	qos         byte
	retain, dup bool
	id          uint16
	topic       []byte // empty when the alias stands for it
	alias       uint16
	hasAlias    bool
	hasProps    bool
	payload     []byte
}

// decodePublish reads a PUBLISH; p is filled in when hasProps is set.
func decodePublish(version, flags byte, body []byte, p *properties) (publishPacket, *wireError) {
	k := publishPacket{qos: flags >> 1 & 3, retain: flags&1 != 0, dup: flags&8 != 0}
	if k.qos == 3 {
		return k, malformed("QoS 3") // [MQTT-3.3.1-4]
	}
	if k.dup && k.qos == 0 {
		return k, malformed("DUP at QoS 0") // [MQTT-3.3.1-2]
	}
	d := decoder{b: body}
	k.topic = d.text()
	if k.qos > 0 {
		k.id = d.packetID()
	}
	if version == version5 && d.err == nil {
		if len(d.b) > 0 && d.b[0] == 0 {
			d.b = d.b[1:] // no properties, the usual case
		} else {
			p.reset()
			d.properties(p, publishProperties, maxUserProperties)
			k.hasProps = true
			k.hasAlias = p.has(propTopicAlias)
			k.alias = p.topicAlias
			if bytes.ContainsAny(p.responseTopic, "+#") {
				d.fail(protocol("response topic contains a wildcard")) // [MQTT-3.3.2-14]
			}
			if p.payloadFormat > 1 {
				d.fail(protocol("payload format indicator is neither 0 nor 1"))
			}
		}
	}
	if d.err == nil && (len(k.topic) > 0 || !k.hasAlias) {
		if err := validTopic(k.topic); err != nil {
			d.fail(err)
		}
	}
	k.payload = d.b
	return k, d.err
}

// ackPacket is a PUBACK, PUBREC, PUBREL or PUBCOMP of a client.
type ackPacket struct {
	id   uint16
	code byte
}

func decodeAck(version, kind, flags byte, body []byte) (ackPacket, *wireError) {
	want := byte(0)
	if kind == typePubrel {
		want = 2 // [MQTT-3.6.1-1]
	}
	if flags != want {
		return ackPacket{}, malformed("reserved flags are wrong")
	}
	d := decoder{b: body}
	k := ackPacket{id: d.packetID()}
	if version == version5 && len(d.b) > 0 {
		k.code = d.byte()
		if len(d.b) > 0 {
			var p properties
			d.properties(&p, ackProperties, maxUserProperties)
		}
		known := false
		switch k.code {
		case codeSuccess:
			known = true
		case 0x10, codeUnspecified, codeImplementation, codeNotAuthorized, codeTopicName, codeIDInUse, codeQuota, codePayloadFormat:
			known = kind == typePuback || kind == typePubrec
		case codeIDNotFound:
			known = kind == typePubrel || kind == typePubcomp
		}
		if !known {
			d.fail(protocol("reason code does not belong in this packet"))
		}
	}
	return k, d.end()
}

// filterRequest is one entry of a SUBSCRIBE.
type filterRequest struct {
	filter            string
	qos               byte
	noLocal           bool
	retainAsPublished bool
	retainHandling    byte
}

type subscribePacket struct {
	id      uint16
	subID   uint32 // subscription identifier, 0 for none
	filters []filterRequest
}

func decodeSubscribe(version, flags byte, body []byte) (subscribePacket, *wireError) {
	var k subscribePacket
	if flags != 2 {
		return k, malformed("reserved flags are wrong") // [MQTT-3.8.1-1]
	}
	d := decoder{b: body}
	k.id = d.packetID()
	if version == version5 {
		var p properties
		d.properties(&p, subscribeProperties, maxUserProperties)
		if p.has(propSubscriptionID) && p.subscriptionID == 0 {
			d.fail(protocol("subscription identifier is zero"))
		}
		k.subID = p.subscriptionID
	}
	for d.err == nil && len(d.b) > 0 {
		f := filterRequest{filter: string(d.text())}
		o := d.byte()
		f.qos = o & 3
		reserved := byte(0xfc)
		if version == version5 {
			f.noLocal, f.retainAsPublished, f.retainHandling = o&4 != 0, o&8 != 0, o>>4&3
			reserved = 0xc0
		}
		switch {
		case d.err != nil:
		case o&reserved != 0, f.qos == 3:
			d.fail(malformed("subscription options have reserved values")) // [MQTT-3.8.3-5]
		case f.retainHandling == 3:
			d.fail(protocol("retain handling is 3"))
		case f.noLocal && shared(f.filter):
			d.fail(protocol("no local on a shared subscription")) // [MQTT-3.8.3-4]
		default:
			if err := validFilter(f.filter); err != nil {
				d.fail(err)
			}
		}
		k.filters = append(k.filters, f)
	}
	if d.err == nil && len(k.filters) == 0 {
		d.fail(protocol("SUBSCRIBE without a filter")) // [MQTT-3.8.3-2]
	}
	return k, d.end()
}

func shared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

type unsubscribePacket struct {
	id      uint16
	filters []string
}

func decodeUnsubscribe(version, flags byte, body []byte) (unsubscribePacket, *wireError) {
	var k unsubscribePacket
	if flags != 2 {
		return k, malformed("reserved flags are wrong") // [MQTT-3.10.1-1]
	}
	d := decoder{b: body}
	k.id = d.packetID()
	if version == version5 {
		var p properties
		d.properties(&p, unsubscribeProperties, maxUserProperties)
	}
	for d.err == nil && len(d.b) > 0 {
		f := string(d.text())
		if d.err == nil {
			if err := validFilter(f); err != nil {
				d.fail(err)
			}
		}
		k.filters = append(k.filters, f)
	}
	if d.err == nil && len(k.filters) == 0 {
		d.fail(protocol("UNSUBSCRIBE without a filter")) // [MQTT-3.10.3-2]
	}
	return k, d.end()
}

type disconnectPacket struct {
	code      byte
	reason    string
	expiry    uint32
	hasExpiry bool
}

func decodeDisconnect(version, flags byte, body []byte) (disconnectPacket, *wireError) {
	var k disconnectPacket
	if flags != 0 {
		return k, malformed("reserved flags are wrong") // [MQTT-3.14.1-1]
	}
	d := decoder{b: body}
	if version == version5 && len(d.b) > 0 {
		k.code = d.byte()
		if len(d.b) > 0 {
			var p properties
			d.properties(&p, disconnectProperties, maxUserProperties)
			k.expiry, k.hasExpiry = p.sessionExpiry, p.has(propSessionExpiry)
			k.reason = string(p.reason)
		}
		switch k.code { // table 3-13, the client's column
		case codeSuccess, codeDisconnectWithWill, codeUnspecified, codeMalformed, codeProtocol, codeImplementation,
			codeTopicName, codeReceiveMaximum, codeTopicAlias, codeTooLarge, 0x96, codeQuota, codeAdministrative, codePayloadFormat:
		default:
			d.fail(protocol("reason code does not belong in a DISCONNECT"))
		}
	}
	return k, d.end()
}
