package live

import (
	"encoding/json"
	"fmt"

	"vonglau/devices"
)

// Protocol is the WebSocket subprotocol a screen offers. A screen that cannot
// set headers offers BearerPrefix with its token beside it.
const (
	Protocol     = "vonglau.wall.v1"
	BearerPrefix = "bearer."
)

// Close codes (RFC 6455 section 7.4.2 leaves 4000 to 4999 to the application).
const (
	ShuttingDown     = 4000 // come back soon
	NotAuthorised    = 4001 // no session, or it has ended
	BadMessage       = 4002 // a message that is not of the protocol
	TooSlow          = 4003 // come back to a snapshot
	TooMany          = 4004 // no room for another screen
	ResumeImpossible = 4005 // kept for a screen that would rather end than be sent a snapshot
)

type helloMessage struct {
	Type        string       `json:"type"`
	Hub         string       `json:"hub"`
	Seq         uint64       `json:"seq"`
	Dict        uint32       `json:"dict"`
	Now         int64        `json:"now"` // ms
	HeartbeatMs int          `json:"heartbeatMs"`
	TickMs      int64        `json:"tickMs"`
	Resumed     bool         `json:"resumed"`
	Build       string       `json:"build,omitempty"`
	Screen      string       `json:"screen,omitempty"`
	Replay      *ReplayState `json:"replay,omitempty"`
}

type heartbeatMessage struct {
	Type    string        `json:"type"`
	Seq     uint64        `json:"seq"`
	Now     int64         `json:"now"`
	Lag     int64         `json:"lag"`
	Ingest  ingestHealth  `json:"ingest"`
	Journal journalHealth `json:"journal"`
	Series  seriesHealth  `json:"series"`
	Flood   *Flood        `json:"flood,omitempty"`
	Replay  *ReplayState  `json:"replay,omitempty"`
}

type ingestHealth struct {
	PerSecond float64 `json:"perSecond"`
}

type journalHealth struct {
	Level  string `json:"level"`
	Reason string `json:"reason"`
}

type seriesHealth struct {
	OK      bool  `json:"ok"`
	Backlog int64 `json:"backlog"`
}

type alarmsMessage struct {
	Type   string            `json:"type"`
	Seq    uint64            `json:"seq"`
	Reset  bool              `json:"reset"`
	Total  int               `json:"total"` // more than listed when the list is cut
	Alarms []json.RawMessage `json:"alarms"`
}

// changedAlarms is more than one change of a tick, in order. One alarm may be in
// it several times; the last counts.
type changedAlarms struct {
	Type    string            `json:"type"`
	Seq     uint64            `json:"seq"` // of the last of them
	Changed []json.RawMessage `json:"changed"`
}

type alarmText struct {
	Type  string          `json:"type"`
	Seq   uint64          `json:"seq"`
	Alarm json.RawMessage `json:"alarm"`
}

type dictionaryMessage struct {
	Type string `json:"type"`
	Dict uint32 `json:"dict"`
}

type gapMessage struct {
	Type   string `json:"type"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Reason string `json:"reason"`
}

type pongMessage struct {
	Type string          `json:"type"`
	ID   json.RawMessage `json:"id,omitempty"`
	Now  int64           `json:"now"`
}

type errorMessage struct {
	Type    string `json:"type"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// request is anything a screen may say.
type request struct {
	Type       string          `json:"type"`
	ID         json.RawMessage `json:"id"`
	View       *[4]float64     `json:"view"`
	Quantities []string        `json:"quantities"`
	Alarms     *alarmFilter    `json:"alarms"`
	At         int64           `json:"at"`    // of a seek, ms
	Speed      float64         `json:"speed"` // of a speed
}

type alarmFilter struct {
	MaxPriority uint8 `json:"maxPriority"`
}

// marshal encodes one of the messages above; they hold nothing that can fail
// but an alarm's own text, which then is left out rather than the message.
func marshal(m any) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		b, _ = json.Marshal(errorMessage{Type: "error", Code: 500, Message: "message not encoded: " + err.Error()})
	}
	return b
}

// maxQuantities bounds what one subscription may name.
const maxQuantities = 256

// subscription reads a subscribe request. Quantities that the catalogue does
// not have are an error: silence would look like a quiet city.
func (h *Hub) subscription(r *request) (Subscription, error) {
	maxPriority := uint8(4)
	if r.Alarms != nil {
		if maxPriority = r.Alarms.MaxPriority; maxPriority > 4 {
			return Subscription{}, fmt.Errorf("alarms.maxPriority %d: want 0 (none) to 4 (all)", maxPriority)
		}
	}
	if r.View != nil {
		if err := validView(r.View); err != nil {
			return Subscription{}, err
		}
	}
	var qs []uint16
	if r.Quantities != nil {
		if len(r.Quantities) > maxQuantities {
			return Subscription{}, fmt.Errorf("%d quantities: at most %d", len(r.Quantities), maxQuantities)
		}
		qs = make([]uint16, 0, len(r.Quantities))
		for _, name := range r.Quantities {
			q, ok := h.state.quantity[devices.Quantity(name)]
			if !ok {
				return Subscription{}, fmt.Errorf("unknown quantity %.64q", name)
			}
			qs = append(qs, q)
		}
	}
	return newSubscription(r.View, qs, maxPriority), nil
}
