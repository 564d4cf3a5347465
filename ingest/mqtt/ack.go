package mqtt

// Ack is the acknowledgement a PUBLISH waits for. It may be done by any
// goroutine and after the connection is gone; doing it never blocks, and doing
// it again changes nothing. The zero Ack is nobody's.
type Ack struct {
	c   *conn
	seq uint64
	x   *exchange // QoS 2 only
	w   *will     // a will only
}

// Done decides the message: nil when it is on disk. See the package comment
// for what an error does.
func (a Ack) Done(err error) {
	switch {
	case a.w != nil:
		a.w.done(err)
	case a.x != nil:
		a.x.finish(a.c, err)
	case a.c != nil:
		if v := judge(a.c.version, err); a.c.complete(a.seq, v) {
			a.c.srv.metrics.outcome(v.label)
		}
	}
}

// ackRing holds the messages of one connection that are not answered yet, in
// the order they came, which is the order of the answers [MQTT-4.6.0-2],
// [MQTT-4.6.0-3]. It is guarded by conn.mu.
type ackRing struct {
	slots      []ackSlot // power of two
	head, tail uint64    // sequence numbers; the slot of n is n modulo len
	quiet      int       // QoS 0 among them
}

type ackSlot struct {
	id      uint16
	qos     byte
	decided bool
	v       verdict
}

func (r *ackRing) len() int { return int(r.tail - r.head) }

func (r *ackRing) at(seq uint64) *ackSlot { return &r.slots[seq&uint64(len(r.slots)-1)] }

func (r *ackRing) push(s ackSlot) uint64 {
	if r.len() == len(r.slots) {
		grown := make([]ackSlot, max(8, 2*len(r.slots)))
		for n := r.head; n < r.tail; n++ {
			grown[n&uint64(len(grown)-1)] = *r.at(n)
		}
		r.slots = grown
	}
	if s.qos == 0 {
		r.quiet++
	}
	*r.at(r.tail) = s
	r.tail++
	return r.tail - 1
}

// pop removes the oldest message when it is decided.
func (r *ackRing) pop() (ackSlot, bool) {
	if r.head == r.tail || !r.at(r.head).decided {
		return ackSlot{}, false
	}
	s := *r.at(r.head)
	*r.at(r.head) = ackSlot{}
	r.head++
	if s.qos == 0 {
		r.quiet--
	}
	return s, true
}

// popQuiet removes decided messages that want no answer, and reports whether one
// that does is due.
func (r *ackRing) popQuiet() (due bool) {
	for r.head != r.tail && r.at(r.head).decided {
		if r.at(r.head).qos > 0 {
			return true
		}
		r.pop()
	}
	return false
}

// complete decides one message of the connection. It reports whether it was
// undecided.
func (c *conn) complete(seq uint64, v verdict) bool {
	c.mu.Lock()
	if seq < c.acks.head || seq >= c.acks.tail || c.acks.at(seq).decided {
		c.mu.Unlock()
		return false
	}
	s := c.acks.at(seq)
	s.decided, s.v = true, v
	first := seq == c.acks.head
	if first && s.qos == 0 {
		first = c.acks.popQuiet()
		if c.waiting > 0 {
			c.cond.Broadcast()
		}
	}
	c.mu.Unlock()
	if first {
		c.wakeWriter()
	}
	return true
}

// writeAcks appends the answers that are due to b. It returns the end of the
// connection when an answer is one. Called with mu held.
func (c *conn) writeAcks(b []byte) ([]byte, *End) {
	for {
		s, ok := c.acks.pop()
		if !ok {
			return b, nil
		}
		if s.qos == 0 {
			continue // nothing to say, whatever became of it
		}
		if s.v.close {
			e := End{Cause: CauseRefused, code: codeBusy, Detail: "a message could not be taken: " + s.v.reason}
			if s.v.label == labelFault {
				e.code, e.Detail = codeImplementation, "a message could not be taken"
			}
			return b, &e
		}
		kind := byte(typePuback)
		if s.qos == 2 {
			kind = typePubrec
		}
		// The room comes back first: the client may use it as soon as it reads
		// the answer. In MQTT 5 a QoS 2 message that was not refused holds it
		// until its PUBREL (section 4.9).
		if s.qos == 1 || c.version != version5 || s.v.code >= 0x80 {
			c.unacked--
			delete(c.open, s.id)
		}
		reason := s.v.reason
		if c.quiet {
			reason = "" // [MQTT-3.1.2-29]
		}
		b = appendAck(b, kind, s.id, s.v.code, reason, c.maxOut)
		c.srv.metrics.sent[kind].Inc()
	}
}

// exchange is one QoS 2 packet identifier of a session between its PUBLISH and
// its PUBREL. It is guarded by session.mu and outlives connections: a PUBLISH
// repeated on the next one joins the waiters instead of being submitted again
// [MQTT-4.3.3-10].
//
// The standard goes by the identifier alone. A device that lost its memory but
// kept its session would then have a new reading acknowledged as an old one, so
// what was said is compared too.
type exchange struct {
	s       *session
	id      uint16
	said    uint64 // hash of topic and payload
	decided bool   // and taken: PUBREC may be said again
	waiters []Ack
}

// begin finds or makes the exchange of id and lets a wait for it. submit is
// true for the one who is to call Publish; ok is false when there are too many.
func (s *session) begin(id uint16, said uint64, a Ack, most int) (x *exchange, submit, ok bool) {
	s.mu.Lock()
	x = s.exchanges[id]
	if x == nil || x.said != said {
		if x == nil && len(s.exchanges) >= most {
			s.mu.Unlock()
			return nil, false, false
		}
		x = &exchange{s: s, id: id, said: said}
		if s.exchanges == nil {
			s.exchanges = map[uint16]*exchange{}
		}
		s.exchanges[id] = x
		submit = true
	}
	decided := x.decided
	if !decided {
		x.waiters = append(x.waiters, a)
	}
	s.mu.Unlock()
	if decided {
		a.c.complete(a.seq, verdict{})
	}
	return x, submit, true
}

// finish decides the exchange for all who wait. A message that was not taken
// frees its identifier (MQTT 5 section 4.3.3).
func (x *exchange) finish(c *conn, err error) {
	v := judge(c.version, err)
	x.s.mu.Lock()
	if x.decided {
		x.s.mu.Unlock()
		return
	}
	x.decided = true
	waiters := x.waiters
	x.waiters = nil
	if (v.code >= 0x80 || v.close) && x.s.exchanges[x.id] == x {
		delete(x.s.exchanges, x.id)
	}
	x.s.mu.Unlock()
	for _, w := range waiters {
		w.c.complete(w.seq, judge(w.c.version, err))
	}
	c.srv.metrics.outcome(v.label)
}

// release ends the exchange of id at its PUBREL. known is false when nobody
// remembers it; early is true while it is not decided.
func (s *session) release(id uint16) (known, early bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exchanges[id]
	if x == nil {
		return false, false
	}
	if !x.decided {
		return true, true
	}
	delete(s.exchanges, id)
	return true, false
}
