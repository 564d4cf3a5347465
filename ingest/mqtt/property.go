package mqtt

import "time"

// Property identifiers (MQTT 5 table 2-4).
const (
	propPayloadFormat   = 1
	propMessageExpiry   = 2
	propContentType     = 3
	propResponseTopic   = 8
	propCorrelation     = 9
	propSubscriptionID  = 11
	propSessionExpiry   = 17
	propAssignedID      = 18
	propServerKeepAlive = 19
	propAuthMethod      = 21
	propAuthData        = 22
	propRequestProblem  = 23
	propWillDelay       = 24
	propRequestResponse = 25
	propReasonString    = 31
	propReceiveMaximum  = 33
	propTopicAliasMax   = 34
	propTopicAlias      = 35
	propUser            = 38
	propMaximumPacket   = 39
	propSharedAvailable = 42
)

func propSet(ids ...int) (s uint64) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

// What a client may send in which packet.
var (
	connectProperties = propSet(propSessionExpiry, propReceiveMaximum, propMaximumPacket, propTopicAliasMax,
		propRequestResponse, propRequestProblem, propUser, propAuthMethod, propAuthData)
	willProperties = propSet(propWillDelay, propPayloadFormat, propMessageExpiry, propContentType,
		propResponseTopic, propCorrelation, propUser)
	publishProperties = propSet(propPayloadFormat, propMessageExpiry, propTopicAlias, propResponseTopic,
		propCorrelation, propUser, propContentType) // a subscription identifier only comes from a server [MQTT-3.3.4-6]
	ackProperties         = propSet(propReasonString, propUser)
	subscribeProperties   = propSet(propSubscriptionID, propUser)
	unsubscribeProperties = propSet(propUser)
	disconnectProperties  = propSet(propSessionExpiry, propReasonString, propUser)
)

// properties holds the properties of one packet, pointing into it.
type properties struct {
	present uint64 // bit per identifier

	payloadFormat, requestProblem, requestResponse byte
	receiveMaximum, topicAlias                     uint16
	messageExpiry, sessionExpiry, willDelay        uint32
	subscriptionID, maximumPacket                  uint32
	contentType, responseTopic, correlation        []byte
	reason                                         []byte
	user                                           [][2][]byte
}

func (p *properties) has(id int) bool { return p.present&(1<<id) != 0 }

func (p *properties) reset() { *p = properties{user: p.user[:0]} }

func (p *properties) users() []UserProperty {
	if len(p.user) == 0 {
		return nil
	}
	u := make([]UserProperty, len(p.user))
	for i, kv := range p.user {
		u[i] = UserProperty{string(kv[0]), string(kv[1])}
	}
	return u
}

// describe fills in what a PUBLISH or a will says of its payload.
func (p *properties) describe(m *Message, intern func([]byte) string) {
	m.ContentType = intern(p.contentType)
	m.ResponseTopic = intern(p.responseTopic)
	if p.has(propCorrelation) {
		m.Correlation = p.correlation
	}
	m.UTF8 = p.payloadFormat == 1
	m.User = p.users()
	if p.has(propMessageExpiry) {
		m.Expires = time.Now().Add(time.Duration(p.messageExpiry) * time.Second)
	}
}

// properties reads a property list, of which only allowed may occur, none but
// the user property twice, and that at most maxUser times.
func (d *decoder) properties(p *properties, allowed uint64, maxUser int) {
	n := d.varint()
	l := decoder{b: d.take(n), err: d.err}
	for l.err == nil && len(l.b) > 0 {
		id := l.varint()
		if l.err != nil {
			break
		}
		if id > 63 || allowed&(1<<id) == 0 {
			l.fail(protocol("a property does not belong in this packet or does not exist")) // section 2.2.2.2
			break
		}
		if p.has(id) && id != propUser {
			l.fail(protocol("a property occurs twice"))
			break
		}
		p.present |= 1 << id
		switch id {
		case propPayloadFormat:
			p.payloadFormat = l.byte()
		case propMessageExpiry:
			p.messageExpiry = l.uint32()
		case propContentType:
			p.contentType = l.text()
		case propResponseTopic:
			p.responseTopic = l.text()
		case propCorrelation:
			p.correlation = l.binary()
		case propSubscriptionID:
			p.subscriptionID = uint32(l.varint())
		case propSessionExpiry:
			p.sessionExpiry = l.uint32()
		case propAuthMethod:
			l.text()
		case propAuthData:
			l.binary()
		case propRequestProblem:
			p.requestProblem = l.byte()
		case propWillDelay:
			p.willDelay = l.uint32()
		case propRequestResponse:
			p.requestResponse = l.byte()
		case propReasonString:
			p.reason = l.text()
		case propReceiveMaximum:
			p.receiveMaximum = l.uint16()
		case propTopicAliasMax:
			l.uint16() // this server sends no alias
		case propTopicAlias:
			p.topicAlias = l.uint16()
		case propMaximumPacket:
			p.maximumPacket = l.uint32()
		case propUser:
			name, value := l.text(), l.text()
			if len(p.user) >= maxUser {
				l.fail(&wireError{codeQuota, "too many user properties"})
				break
			}
			p.user = append(p.user, [2][]byte{name, value})
		}
	}
	if l.err != nil {
		d.fail(l.err)
	}
}
