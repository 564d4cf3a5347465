package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"vonglau/devices"
)

const maxConnect = 64 << 10 // bytes of a CONNECT packet

// connect takes a connection from accept to CONNACK and starts its writer and
// its feeds. It reports whether there is a session to serve.
func (c *conn) connect() bool {
	ctx, cancel := context.WithTimeout(c.ctx, c.srv.opts.ConnectTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	c.nc.SetDeadline(deadline)

	q, wire := c.readConnect()
	if q == nil {
		return false // nobody there, or nothing that can be answered
	}
	c.version = q.Version
	if wire != nil {
		c.refuse(wire.code, return311Version, wire.detail)
		return false
	}
	if wire := c.agree(q); wire != nil {
		c.refuse(wire.code, return311ClientID, wire.detail)
		return false
	}
	for ok, stale := false, true; stale; {
		revoked := c.srv.revocations()
		peer, err := c.srv.handler.Connect(ctx, q)
		if err != nil {
			c.refuseErr(err)
			return false
		}
		c.peer = peer
		if ok, stale = c.srv.admit(c, revoked); !ok && !stale {
			c.refuse(codeQuota, return311Unavailable, "too many clients are connected")
			return false
		}
	}
	c.log = c.log.With("principal", c.peer.Principal(), "client", q.ClientID)
	return c.openSession(ctx, q)
}

// readConnect reads the first packet; next refuses it by its first byte when it
// is no CONNECT and by its fixed header when it is too large.
func (c *conn) readConnect() (*Connect, *wireError) {
	_, body, err := c.next(maxConnect)
	if err != nil {
		c.srv.metrics.connects.WithLabelValues("", "none").Inc()
		return nil, nil
	}
	c.srv.metrics.received[typeConnect].Inc()
	q, wire := decodeConnect(body)
	if q == nil || wire != nil && q.Version == version311 && wire.code != codeVersion && wire.code != codeClientID {
		c.srv.metrics.connects.WithLabelValues("", "malformed").Inc()
		return nil, nil // 3.1.1 has no code for a malformed packet
	}
	q.From = c.from
	if t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		s := t.ConnectionState()
		q.TLS = &s
	}
	return q, wire
}

// agree settles what the client asked for against the limits.
func (c *conn) agree(q *Connect) *wireError {
	o := &c.srv.opts
	c.quiet = q.quiet
	if q.authMethod {
		return &wireError{codeAuthMethod, "no authentication method is served"} // [MQTT-4.12.0-1]
	}
	if q.ClientID == "" {
		if q.Version == version311 && !q.Clean {
			return &wireError{codeClientID, "client identifier is empty"} // 3.1.1 [MQTT-3.1.3-8]
		}
		q.ClientID, q.Assigned = "vonglau-"+rand.Text(), true // [MQTT-3.1.3-6]
	}
	switch {
	case q.Version == version5:
		q.SessionExpiry = c.srv.grantExpiry(q.sessionExpiry)
	case !q.Clean:
		q.SessionExpiry = o.MaxSessionExpiry
	}
	c.keepAlive = q.KeepAlive
	if q.Version == version5 && (c.keepAlive == 0 || c.keepAlive > o.MaxKeepAlive) {
		c.keepAlive = o.MaxKeepAlive.Truncate(time.Second) // told as Server Keep Alive [MQTT-3.1.2-21]
	}
	if q.maximumPacket != 0 {
		c.maxOut = int(min(q.maximumPacket, 1<<28))
	}
	c.outWindow = o.OutWindow
	if q.receiveMaximum != 0 {
		c.outWindow = min(c.outWindow, int(q.receiveMaximum))
	}
	if n := len(c.appendConnack(nil, q, true)); n > c.maxOut {
		return &wireError{codeTooLarge, "the maximum packet size has no room for a CONNACK"}
	}
	return nil
}

func (s *Server) grantExpiry(seconds uint32) time.Duration {
	if seconds == neverExpires {
		return s.opts.MaxSessionExpiry
	}
	return min(time.Duration(seconds)*time.Second, s.opts.MaxSessionExpiry)
}

// openSession takes the session, tells the Peer, then the client, and starts.
func (c *conn) openSession(ctx context.Context, q *Connect) bool {
	r := c.srv.sessions
	s, present, err := r.take(ctx, c, sessionID{c.peer.Principal(), q.ClientID}, q.Clean)
	if err != nil {
		c.refuseErr(err)
		return false
	}
	s.expiry = q.SessionExpiry
	c.peer.Online(ctx)
	if present {
		if present, err = c.resume(ctx); err != nil {
			c.leave(End{Cause: CauseRefused, Detail: "its subscriptions could not be taken up again: " + err.Error()})
			c.refuseErr(err)
			return false
		}
	}
	r.save(ctx, s)
	if q.Will != nil {
		c.will = &will{srv: c.srv, peer: c.peer, key: s.key, m: q.Will, delay: q.WillDelay, expiry: q.willExpiry, expires: q.willExpires}
	}
	c.out = c.appendConnack(c.out, q, present)
	c.srv.metrics.sent[typeConnack].Inc()
	c.countConnect(codeSuccess)
	c.nc.SetDeadline(time.Time{})
	if c.ending.Load() { // end came first, and its deadlines went with ours
		c.nc.SetReadDeadline(past)
		c.nc.SetWriteDeadline(time.Now().Add(c.srv.opts.CloseTimeout))
	}
	c.fresh = true
	go c.write()
	c.wakeWriter()
	for _, filter := range sortedKeys(s.subs) {
		s.subs[filter].feed.start()
	}
	return true
}

// resume opens the subscriptions of an earlier session again. When one is
// refused for good the session is made anew, because the client would take it
// for standing; any other error is the caller's to answer.
func (c *conn) resume(ctx context.Context) (present bool, err error) {
	s := c.sess
	for _, filter := range sortedKeys(s.subs) {
		if err = c.openFeed(ctx, s.subs[filter], true, false); err != nil {
			break
		}
	}
	if err == nil {
		return true, nil
	}
	c.closeIdle()
	var r *devices.Refusal
	if !errors.As(err, &r) || r.Reason.Retry() {
		return false, err
	}
	c.log.Info("mqtt: a session is not resumed, one of its subscriptions is not allowed any more", "error", err)
	c.srv.sessions.strip(ctx, s)
	return false, nil
}

// closeIdle closes the feeds that never ran.
func (c *conn) closeIdle() {
	for _, sub := range c.sess.subs {
		if f := sub.feed; f != nil && !f.runs {
			f.stop()
			sub.feed = nil
		}
	}
}

// refuseErr answers a CONNECT with what the handler had against it.
func (c *conn) refuseErr(err error) {
	var r *devices.Refusal
	if !errors.As(err, &r) {
		c.log.Warn("mqtt: a client could not be connected", "error", err)
		c.refuse(codeUnavailable, return311Unavailable, "")
		return
	}
	k := codesOf(r.Reason)
	c.refuse(k.connect, k.connect311, r.Detail)
}

// refuse writes a CONNACK that ends the connection.
func (c *conn) refuse(code, code311 byte, detail string) {
	var b []byte
	if c.version == version5 {
		b = appendPacket(nil, typeConnack<<4, appendReason([]byte{0, code}, detail, c.maxOut))
	} else {
		code = code311
		b = []byte{typeConnack << 4, 2, 0, code311}
	}
	c.countConnect(code)
	c.srv.metrics.sent[typeConnack].Inc()
	c.nc.SetWriteDeadline(time.Now().Add(c.srv.opts.CloseTimeout))
	if _, err := c.nc.Write(b); err == nil {
		c.linger()
	}
}

func (c *conn) countConnect(code byte) {
	version := "3.1.1"
	if c.version == version5 {
		version = "5"
	}
	c.srv.metrics.connects.WithLabelValues(version, strconv.Itoa(int(code))).Inc()
}

// appendConnack accepts a connection.
func (c *conn) appendConnack(b []byte, q *Connect, present bool) []byte {
	flags := byte(0)
	if present {
		flags = 1
	}
	body := []byte{flags, 0}
	if c.version == version5 {
		o := &c.srv.opts
		var p []byte
		if q.SessionExpiry != time.Duration(q.sessionExpiry)*time.Second {
			p = binary.BigEndian.AppendUint32(append(p, propSessionExpiry), uint32(q.SessionExpiry/time.Second))
		}
		p = binary.BigEndian.AppendUint16(append(p, propReceiveMaximum), uint16(o.Window))
		p = binary.BigEndian.AppendUint32(append(p, propMaximumPacket), uint32(o.MaxPacket))
		if q.Assigned {
			p = appendText(append(p, propAssignedID), q.ClientID)
		}
		p = binary.BigEndian.AppendUint16(append(p, propTopicAliasMax), uint16(o.TopicAliases))
		p = append(p, propSharedAvailable, 0)
		if c.keepAlive != q.KeepAlive {
			p = binary.BigEndian.AppendUint16(append(p, propServerKeepAlive), uint16(c.keepAlive/time.Second))
		}
		body = appendVarint(body, len(p))
		body = append(body, p...)
	}
	return appendPacket(b, typeConnack<<4, body)
}
