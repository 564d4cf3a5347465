package live

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"vonglau/devices"
)

// batch is how many changes of alarms go into one message: a flood is not sent
// one by one, nor as a message that keeps a slow line busy for seconds.
const batch = 200

// move is where a moving device went, and where the tick before showed it: a
// screen whose view it leaves must see it go.
type move struct {
	device   uint32
	at, prev devices.Position
	time     int64
}

// alarmMessage is one change of an alarm with its place in the sequence.
type alarmMessage struct {
	seq   uint64
	alarm *Alarm
}

// tick is what changed between two moments, or a snapshot of all there is. It
// is immutable but for the cache of what was encoded from it.
//
// Sequence numbers in it: each alarm has its own from first on, then the
// positions have last-1 and the values last. So whatever message a screen saw
// last, it has seen everything before it.
type tick struct {
	kind        Kind
	first, last uint64
	dict        uint32
	dictChanged bool
	alarms      []alarmMessage
	moves       []move
	updates     []update
	list        []*Alarm // of a snapshot

	mu      sync.Mutex
	encoded map[string]*encoded
}

// encoded is a tick as one subscription is sent it.
type encoded struct {
	once    sync.Once
	content []outgoing
}

// outgoing is one message on its way.
type outgoing struct {
	msg  *websocket.PreparedMessage
	size int
}

// forget drops the encodings. Only screens that keep up share them; kept for
// as long as the tick is, they would hold a copy for each subscription.
func (t *tick) forget() {
	t.mu.Lock()
	t.encoded = nil
	t.mu.Unlock()
}

// size estimates what the tick holds in memory once its encodings are dropped.
func (t *tick) size() int {
	n := 256 + 32*len(t.updates) + 48*len(t.moves)
	for _, a := range t.alarms {
		n += 64 + len(a.alarm.JSON)
	}
	return n
}

// Subscription is what a screen shows.
type Subscription struct {
	view        [4]float64 // west, south, east, north
	hasView     bool
	quantities  []uint16 // sorted; nil is all
	maxPriority uint8
	sees        func(department string, wards []string) bool // nil is all; of the viewer
	shown       func(kind string, raw []byte) []byte         // nil is as it is; of the viewer
	key         string                                       // equal for equal subscriptions
}

// everything is the subscription of a screen that has not said.
var everything = newSubscription(nil, nil, 4)

func newSubscription(view *[4]float64, quantities []uint16, maxPriority uint8) Subscription {
	s := Subscription{quantities: quantities, maxPriority: maxPriority}
	var key strings.Builder
	if view != nil {
		s.view, s.hasView = *view, true
		fmt.Fprint(&key, s.view)
	}
	key.WriteByte('|')
	if quantities != nil {
		slices.Sort(quantities)
		s.quantities = slices.Compact(quantities)
		fmt.Fprint(&key, s.quantities)
	}
	key.WriteByte('|')
	key.WriteString(strconv.Itoa(int(maxPriority)))
	s.key = key.String()
	return s
}

// contains tells whether a place is in the view. Without a view everything is;
// with one, a device without a place is nowhere. A view whose west is east of
// its east spans the antimeridian (RFC 7946 section 5.2).
func (s *Subscription) contains(lon, lat float64) bool {
	if !s.hasView {
		return true
	}
	w, south, e, n := s.view[0], s.view[1], s.view[2], s.view[3]
	if !(lat >= south && lat <= n) {
		return false
	}
	if w <= e {
		return lon >= w && lon <= e
	}
	return lon >= w || lon <= e
}

func (s *Subscription) wants(q uint16) bool {
	if s.quantities == nil {
		return true
	}
	_, ok := slices.BinarySearch(s.quantities, q)
	return ok
}

func (s *Subscription) all() bool { return !s.hasView && s.quantities == nil }

func (s *Subscription) filter(us []update) []update {
	if s.all() {
		return us
	}
	out := make([]update, 0, len(us))
	for i := range us {
		if s.wants(us[i].quantity) && s.contains(float64(us[i].lon), float64(us[i].lat)) {
			out = append(out, us[i])
		}
	}
	return out
}

func (s *Subscription) filterMoves(ms []move) []move {
	if !s.hasView {
		return ms
	}
	var out []move
	for _, m := range ms {
		if s.contains(m.at.Lon, m.at.Lat) || m.prev.Known() && s.contains(m.prev.Lon, m.prev.Lat) {
			out = append(out, m)
		}
	}
	return out
}

func (s *Subscription) wantsAlarm(a *Alarm) bool {
	return a.Priority <= s.maxPriority && (s.sees == nil || s.sees(a.Department, a.Wards))
}

// alarm is an alarm as the viewer may see it.
func (s *Subscription) alarm(a *Alarm) json.RawMessage {
	if s.shown == nil {
		return a.JSON
	}
	return s.shown(AlarmMessage, a.JSON)
}

// messages gives what a subscription is sent of the tick, made once for all
// who have the same.
func (t *tick) messages(sub *Subscription, maxAlarms int) []outgoing {
	t.mu.Lock()
	if t.encoded == nil {
		t.encoded = make(map[string]*encoded, 1)
	}
	e := t.encoded[sub.key]
	if e == nil {
		e = new(encoded)
		t.encoded[sub.key] = e
	}
	t.mu.Unlock()
	e.once.Do(func() { e.content = t.encode(sub, maxAlarms, 0) })
	return e.content
}

// encode makes the messages of the tick that come after cursor, in the order of
// their sequence.
func (t *tick) encode(sub *Subscription, maxAlarms int, cursor uint64) []outgoing {
	var out []outgoing
	add := func(messageType int, body []byte) {
		// Preparing fails only where writing to memory does.
		if msg, err := websocket.NewPreparedMessage(messageType, body); err == nil {
			out = append(out, outgoing{msg, len(body)})
		}
	}
	if t.dictChanged {
		add(websocket.TextMessage, marshal(dictionaryMessage{Type: "dictionary", Dict: t.dict}))
	}
	var changed []alarmMessage
	for _, a := range t.alarms {
		if a.seq > cursor && sub.wantsAlarm(a.alarm) {
			changed = append(changed, a)
		}
	}
	for part := range slices.Chunk(changed, batch) {
		last := part[len(part)-1]
		if len(part) == 1 {
			add(websocket.TextMessage, marshal(alarmText{Type: "alarm", Seq: last.seq, Alarm: sub.alarm(last.alarm)}))
			continue
		}
		m := changedAlarms{Type: "alarms", Seq: last.seq, Changed: make([]json.RawMessage, len(part))}
		for i := range part {
			m.Changed[i] = sub.alarm(part[i].alarm)
		}
		add(websocket.TextMessage, marshal(m))
	}
	if t.kind == kindSnapshot {
		// Values first: a screen empties itself at a snapshot.
		add(websocket.BinaryMessage, encodeUpdates(kindSnapshot, t.dict, t.last, sub.filter(t.updates)))
		if ms := sub.filterMoves(t.moves); len(ms) > 0 {
			add(websocket.BinaryMessage, encodeMoves(t.dict, t.last, ms))
		}
		add(websocket.TextMessage, marshal(listAlarms(t.list, t.last, sub, maxAlarms)))
		return out
	}
	if ms := sub.filterMoves(t.moves); len(ms) > 0 && t.last-1 > cursor {
		add(websocket.BinaryMessage, encodeMoves(t.dict, t.last-1, ms))
	}
	if us := sub.filter(t.updates); len(us) > 0 {
		add(websocket.BinaryMessage, encodeUpdates(kindDelta, t.dict, t.last, us))
	}
	return out
}

// merge makes one tick of several for a screen that fell behind: the last value
// of a channel and the last place of a device win, every alarm stays.
func merge(ticks []*tick, cursor uint64) *tick {
	newest := ticks[len(ticks)-1]
	m := &tick{kind: kindDelta, first: cursor + 1, last: newest.last, dict: newest.dict}
	seen := make(map[uint32]struct{})
	for i := len(ticks) - 1; i >= 0; i-- {
		m.dictChanged = m.dictChanged || ticks[i].dictChanged
		for _, u := range ticks[i].updates {
			if _, ok := seen[u.channel]; !ok {
				seen[u.channel] = struct{}{}
				m.updates = append(m.updates, u)
			}
		}
	}
	at := make(map[uint32]int)
	for _, t := range ticks {
		for _, a := range t.alarms {
			if a.seq > cursor {
				m.alarms = append(m.alarms, a)
			}
		}
		for _, v := range t.moves {
			if j, ok := at[v.device]; ok {
				m.moves[j].at, m.moves[j].time = v.at, v.time
				continue
			}
			at[v.device] = len(m.moves)
			m.moves = append(m.moves, v)
		}
	}
	return m
}

// listAlarms is the whole list, as much of it as a screen can use.
func listAlarms(open []*Alarm, seq uint64, sub *Subscription, limit int) alarmsMessage {
	m := alarmsMessage{Type: "alarms", Seq: seq, Reset: true, Alarms: []json.RawMessage{}}
	for _, a := range open {
		if !sub.wantsAlarm(a) {
			continue
		}
		m.Total++
		if len(m.Alarms) < limit {
			m.Alarms = append(m.Alarms, sub.alarm(a))
		}
	}
	return m
}

func validView(v *[4]float64) error {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("view %v: not a number", *v)
		}
	}
	if v[1] > v[3] || v[1] < -90 || v[3] > 90 || v[0] < -180 || v[0] > 180 || v[2] < -180 || v[2] > 180 {
		return fmt.Errorf("view %v: want west, south, east, north in degrees", *v)
	}
	return nil
}
