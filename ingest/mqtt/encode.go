package mqtt

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

func appendVarint(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func varintLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// appendText writes a string field, cut at a character to what a field holds.
func appendText(b []byte, s string) []byte {
	if len(s) > 0xffff {
		n := 0xffff
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendBinary(b, v []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}

// appendPacket writes a whole packet around body.
func appendPacket(b []byte, first byte, body []byte) []byte {
	b = append(b, first)
	b = appendVarint(b, len(body))
	return append(b, body...)
}

// appendReason writes a property list with no more than a reason string, which
// goes before the packet would outgrow room ([MQTT-3.4.2-2] and its like).
func appendReason(b []byte, reason string, room int) []byte {
	const most = 512
	if len(reason) > most {
		n := most
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	if reason == "" || !utf8.ValidString(reason) || len(reason)+16 > room {
		return append(b, 0)
	}
	b = appendVarint(b, 1+2+len(reason))
	b = append(b, propReasonString)
	return appendText(b, reason)
}

// appendAck writes a PUBACK, PUBREC, PUBREL or PUBCOMP. A code is for MQTT 5
// only, where success leaves it out (MQTT 5 section 3.4.2.1).
func appendAck(b []byte, kind byte, id uint16, code byte, reason string, room int) []byte {
	first := kind << 4
	if kind == typePubrel {
		first |= 2
	}
	if code == codeSuccess {
		return append(b, first, 2, byte(id>>8), byte(id))
	}
	if reason == "" {
		return append(b, first, 3, byte(id>>8), byte(id), code)
	}
	body := make([]byte, 0, 64)
	body = append(body, byte(id>>8), byte(id), code)
	return appendPacket(b, first, appendReason(body, reason, room))
}

func appendDisconnect(b []byte, code byte, reason string, room int) []byte {
	body := append(make([]byte, 0, 64), code)
	return appendPacket(b, typeDisconnect<<4, appendReason(body, reason, room))
}

// appendSuback writes a SUBACK or UNSUBACK.
func appendSuback(b []byte, version, kind byte, id uint16, codes []byte) []byte {
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 3+len(codes)), id)
	if version == version5 {
		body = append(body, 0)
	}
	if version == version5 || kind == typeSuback {
		body = append(body, codes...) // a 3.1.1 UNSUBACK has no payload
	}
	return appendPacket(b, kind<<4, body)
}

// outgoing is a PUBLISH to a client.
type outgoing struct {
	m           *Message
	qos         byte
	retain, dup bool
	id          uint16
	subID       uint32
}

// appendPublish writes a PUBLISH for a client of that version, into b in one go
// and without another copy of the payload.
func appendPublish(b []byte, version byte, o outgoing, now time.Time) []byte {
	m := o.m
	var props []byte
	if version == version5 {
		props = appendPublishProperties(props, o, now)
	}
	n := 2 + len(m.Topic) + len(m.Payload)
	if o.qos > 0 {
		n += 2
	}
	if version == version5 {
		n += varintLen(len(props)) + len(props)
	}
	first := byte(typePublish<<4) | o.qos<<1
	if o.retain {
		first |= 1
	}
	if o.dup {
		first |= 8
	}
	b = append(b, first)
	b = appendVarint(b, n)
	b = appendText(b, m.Topic)
	if o.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, o.id)
	}
	if version == version5 {
		b = appendVarint(b, len(props))
		b = append(b, props...)
	}
	return append(b, m.Payload...)
}

func appendPublishProperties(b []byte, o outgoing, now time.Time) []byte {
	m := o.m
	if m.UTF8 {
		b = append(b, propPayloadFormat, 1)
	}
	if !m.Expires.IsZero() {
		// What is left of it, rounded up [MQTT-3.3.2-6].
		left := (m.Expires.Sub(now) + time.Second - 1) / time.Second
		b = append(b, propMessageExpiry)
		b = binary.BigEndian.AppendUint32(b, uint32(min(max(left, 0), 1<<32-1)))
	}
	if m.ContentType != "" {
		b = appendText(append(b, propContentType), m.ContentType)
	}
	if m.ResponseTopic != "" {
		b = appendText(append(b, propResponseTopic), m.ResponseTopic)
	}
	if m.Correlation != nil && len(m.Correlation) <= 0xffff {
		b = appendBinary(append(b, propCorrelation), m.Correlation)
	}
	if o.subID != 0 {
		b = appendVarint(append(b, propSubscriptionID), int(o.subID))
	}
	for _, u := range m.User {
		b = appendText(append(b, propUser), u.Name)
		b = appendText(b, u.Value)
	}
	return b
}
