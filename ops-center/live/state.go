package live

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// Bits of the quality byte. They are on the wire: append, never renumber.
const (
	QualityClockSuspect = 1 << 0
	QualityLate         = 1 << 1
	QualityOutOfRange   = 1 << 2
	QualitySimulated    = 1 << 3
	QualityExercise     = 1 << 4
	QualitySilent       = 1 << 7
)

// silentAfter is how many reporting intervals a device may miss before what it
// last said is no longer drawn as current.
const silentAfter = 4

// defaultInterval serves a profile that names none.
const defaultInterval = time.Minute

// dictionaryPause is the least time between two epochs of the dictionary, so
// that a bulk registration does not have every screen fetch it over and over. A
// little less than the second after which it is tried again.
const dictionaryPause = 900 * time.Millisecond

// channel is one quantity of one device. Its index never changes.
type channel struct {
	device   uint32
	quantity uint16
	has      bool // a value has come
	dirty    bool // in state.dirty
	flags    devices.Flags
	number   float64
	time     int64 // of the event, ms
	received int64 // ms
	zones    []devices.ZoneRef
	at       devices.Position
}

// device is one entry of the dictionary. Its index never changes; a device that
// is gone stays as a hidden entry.
type device struct {
	id        devices.ID
	name      string
	profile   int // index in profiles, -1 when unknown
	moving    bool
	simulated bool
	exercise  bool
	hidden    bool
	silent    bool
	moved     bool // in state.moved
	severity  uint8
	interval  time.Duration
	at        devices.Position
	prev      devices.Position // where the last tick showed it
	atTime    int64            // of at, for a moving device
	atRecv    int64
	seen      int64       // arrival of the newest message, ms
	via       devices.Via // of the newest message
	from      netip.AddrPort
	link      *devices.Status // the newest
	channels  []uint32
}

// state is the hub's memory. The hub's lock guards it.
type state struct {
	quantities []devices.QuantityInfo
	quantity   map[devices.Quantity]uint16
	profiles   []*devices.Profile
	profile    map[string]int
	devices    []device
	device     map[devices.ID]uint32
	channels   []channel
	alarms     map[string]*Alarm       // open ones
	colours    map[devices.ID][]*Alarm // those of them with a severity, by device
	dirty      []uint32                // channels
	moved      []uint32                // devices
	dict       uint32                  // epoch; 0 before the first
	dictDirty  bool
	dictAt     time.Time
	published  int // channels that the current epoch has
	pubDevices int
	ignored    uint64          // values of devices or quantities that are not shown
	outdated   uint64          // values older than the latest
	dictionary *dictionaryText // of epoch dict, when it was asked for
}

func (s *state) init(o Options) {
	s.quantities = o.Quantities
	s.profiles = o.Profiles
	s.quantity = make(map[devices.Quantity]uint16, len(o.Quantities))
	for i, q := range o.Quantities {
		s.quantity[q.Name] = uint16(i)
	}
	s.profile = make(map[string]int, len(o.Profiles))
	for i, p := range o.Profiles {
		s.profile[profileKey(p.Name)] = i
	}
	s.device = make(map[devices.ID]uint32)
	s.alarms = make(map[string]*Alarm)
	s.colours = make(map[devices.ID][]*Alarm)
}

// profileKey makes the two spellings of a profile's name one.
func profileKey(name string) string { return strings.ReplaceAll(name, "_", "-") }

// applyDevice adds or changes an entry. The channels its profile promises are
// made at once, so that the dictionary is complete before the first reading.
func (s *state) applyDevice(d *devices.Device) {
	if !d.State.Reports() {
		s.hide(d.ID)
		return
	}
	i, ok := s.device[d.ID]
	if !ok {
		i = uint32(len(s.devices))
		s.device[d.ID] = i
		s.devices = append(s.devices, device{id: d.ID, profile: -1, severity: worst(s.colours[d.ID])})
		s.dictDirty = true
	}
	e := &s.devices[i]
	was := *e
	e.name, e.simulated, e.exercise, e.hidden = d.Name, d.Simulated, d.Exercise != "", false
	e.profile, e.moving, e.interval = -1, false, defaultInterval
	if p, ok := s.profile[profileKey(d.Profile)]; ok {
		e.profile, e.moving = p, s.profiles[p].Moving
		if s.profiles[p].Interval > 0 {
			e.interval = s.profiles[p].Interval
		}
		// The main quantity first: its channel stands for the device.
		if q, ok := s.quantity[s.profiles[p].Main]; ok {
			s.channel(i, q)
		}
		for _, f := range s.profiles[p].Fields {
			if q, ok := s.quantity[f.Quantity]; ok {
				s.channel(i, q)
			}
		}
	}
	e = &s.devices[i]
	if !e.moving && (d.At.Known() || e.atTime == 0) {
		e.at, e.prev = d.At, d.At
	}
	if e.name != was.name || e.profile != was.profile || e.simulated != was.simulated || e.exercise != was.exercise ||
		e.hidden != was.hidden || e.at != was.at {
		s.dictDirty = true
		s.touch(e)
	}
}

// hide empties an entry: its values go, its index stays.
func (s *state) hide(id devices.ID) {
	i, ok := s.device[id]
	if !ok || s.devices[i].hidden {
		return
	}
	e := &s.devices[i]
	e.hidden, e.silent, e.at, e.prev = true, false, devices.Position{}, devices.Position{}
	e.atTime, e.atRecv, e.seen, e.link, e.from = 0, 0, 0, nil, netip.AddrPort{}
	for _, c := range e.channels {
		ch := &s.channels[c]
		*ch = channel{device: ch.device, quantity: ch.quantity, dirty: ch.dirty}
	}
	s.touch(e)
	s.dictDirty = true
}

// channel finds or makes the channel of a quantity of a device.
func (s *state) channel(dev uint32, q uint16) uint32 {
	e := &s.devices[dev]
	for _, c := range e.channels {
		if s.channels[c].quantity == q {
			return c
		}
	}
	c := uint32(len(s.channels))
	s.channels = append(s.channels, channel{device: dev, quantity: q})
	e.channels = append(e.channels, c)
	s.dictDirty = true
	return c
}

// mark puts a channel on the list of the next tick.
func (s *state) mark(c uint32) {
	if ch := &s.channels[c]; !ch.dirty {
		ch.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// touch marks all channels of a device, after a change that each carries.
func (s *state) touch(e *device) {
	for _, c := range e.channels {
		s.mark(c)
	}
}

// newer decides whether an event replaces the one that is kept. Late data never
// moves the latest value back. Of two arrivals for one moment the later wins.
// A device whose clock ran ahead and was then set right would otherwise be
// stuck until real time has caught up: an event that happened after the kept
// one had arrived is newer, whatever clock the kept one was stamped by.
func newer(time, received, keptTime, keptReceived int64) bool {
	switch {
	case time > keptTime:
		return true
	case time == keptTime:
		return received >= keptReceived
	default:
		return keptReceived < time && time <= received
	}
}

// apply takes in one message and tells whether a screen has to hear of it.
func (s *state) apply(m *devices.Message) bool {
	i, ok := s.device[m.Device]
	if !ok || s.devices[i].hidden {
		for _, o := range m.Observations {
			s.ignored += uint64(len(o.Values))
		}
		return false
	}
	changed := false
	received := m.Received.UnixMilli()
	if e := &s.devices[i]; received > e.seen {
		e.seen, e.via, e.from = received, m.Via, m.From
		if e.silent && e.isSilent(received) != e.silent {
			e.silent = false
			s.touch(e)
			changed = true
		}
	}
	for n := range m.Observations {
		o := &m.Observations[n]
		at := o.Time.UnixMilli()
		e := &s.devices[i]
		if o.At.Known() && (e.moving || !e.at.Known()) && newer(at, received, e.atTime, e.atRecv) {
			if o.At != e.at && !e.moved {
				e.moved = true
				s.moved = append(s.moved, i)
				changed = true
			}
			e.at, e.atTime, e.atRecv = o.At, at, received
		}
		for _, v := range o.Values {
			q, ok := s.quantity[v.Quantity]
			if !ok {
				s.ignored++
				continue
			}
			c := s.channel(i, q)
			ch := &s.channels[c]
			if ch.has && !newer(at, received, ch.time, ch.received) {
				s.outdated++
				continue
			}
			if ch.has && ch.time == at && ch.number == v.Number && ch.flags == o.Flags {
				ch.received = received // a duplicate: nothing to show
				continue
			}
			ch.has, ch.number, ch.time, ch.received = true, v.Number, at, received
			ch.flags, ch.zones, ch.at = o.Flags, o.Zones, o.At
			s.mark(c)
			changed = true
		}
	}
	return changed
}

func (s *state) applyStatus(st *devices.Status) {
	i, ok := s.device[st.Device]
	if !ok {
		return
	}
	if e := &s.devices[i]; !e.hidden && (e.link == nil || !st.At.Before(e.link.At)) {
		e.link = st
	}
}

// applyAlarm keeps the open alarms and the worst of each device.
func (s *state) applyAlarm(a Alarm) {
	old := s.alarms[a.ID]
	if a.Open {
		s.alarms[a.ID] = &a
	} else {
		delete(s.alarms, a.ID)
	}
	if old != nil && old.Severity != 0 {
		list := slices.DeleteFunc(s.colours[old.Device], func(x *Alarm) bool { return x.ID == a.ID })
		s.colour(old.Device, list)
	}
	if a.Open && a.Severity != 0 {
		s.colour(a.Device, append(s.colours[a.Device], &a))
	}
}

// colour sets the alarms that lie on a device and its severity with them.
func (s *state) colour(id devices.ID, list []*Alarm) {
	if len(list) == 0 {
		delete(s.colours, id)
	} else {
		s.colours[id] = list
	}
	i, ok := s.device[id]
	if !ok {
		return
	}
	if e := &s.devices[i]; e.severity != worst(list) {
		e.severity = worst(list)
		s.touch(e)
	}
}

// worst gives the severity of a device with these alarms.
func worst(list []*Alarm) uint8 {
	w := uint8(0)
	for _, a := range list {
		if w == 0 || a.Severity < w {
			w = a.Severity
		}
	}
	return w
}

func (e *device) isSilent(now int64) bool {
	return now-e.seen > int64(silentAfter*e.interval/time.Millisecond)
}

// sweep finds the devices that have fallen silent. Silence is judged by the
// server's clock alone: a device's own may be wrong.
func (s *state) sweep(now time.Time) (changed bool) {
	ms := now.UnixMilli()
	for i := range s.devices {
		e := &s.devices[i]
		if e.hidden || e.silent || !e.isSilent(ms) {
			continue
		}
		e.silent = true
		s.touch(e)
		changed = true
	}
	return changed
}

// publish begins a new epoch of the dictionary when there is news and the last
// is old enough. Channels that no epoch has yet are not sent.
func (s *state) publish(now time.Time) bool {
	if s.dict != 0 && (!s.dictDirty || now.Sub(s.dictAt) < dictionaryPause) {
		return false
	}
	s.dict++
	s.dictDirty, s.dictAt = false, now
	s.published, s.pubDevices = len(s.channels), len(s.devices)
	return true
}

func (s *state) update(c uint32) update {
	ch := &s.channels[c]
	e := &s.devices[ch.device]
	u := update{
		time: ch.time, channel: c, value: float32(ch.number), quantity: ch.quantity,
		lon: float32(math.NaN()), lat: float32(math.NaN()), severity: e.severity,
	}
	if e.at.Known() {
		u.lon, u.lat = float32(e.at.Lon), float32(e.at.Lat)
	}
	if !ch.has {
		u.value = float32(math.NaN())
	}
	if ch.flags&devices.ClockSuspect != 0 {
		u.quality |= QualityClockSuspect
	}
	if ch.flags&devices.Late != 0 {
		u.quality |= QualityLate
	}
	if ch.flags&devices.OutOfRange != 0 {
		u.quality |= QualityOutOfRange
	}
	if e.simulated {
		u.quality |= QualitySimulated
	}
	if e.exercise {
		u.quality |= QualityExercise
	}
	if e.silent {
		u.quality |= QualitySilent
	}
	return u
}

// takeUpdates empties the list of changed channels.
func (s *state) takeUpdates() []update {
	if len(s.dirty) == 0 {
		return nil
	}
	out := make([]update, 0, len(s.dirty))
	rest := s.dirty[:0]
	for _, c := range s.dirty {
		if int(c) >= s.published {
			rest = append(rest, c)
			continue
		}
		s.channels[c].dirty = false
		out = append(out, s.update(c))
	}
	s.dirty = rest
	return out
}

// allUpdates gives every channel that has a value, and the first of each
// device, which carries its severity and silence even when it never spoke.
func (s *state) allUpdates() []update {
	out := make([]update, 0, s.published)
	for c := range s.channels[:s.published] {
		ch := &s.channels[c]
		e := &s.devices[ch.device]
		if !e.hidden && (ch.has || e.channels[0] == uint32(c)) {
			out = append(out, s.update(uint32(c)))
		}
	}
	return out
}

func (s *state) takeMoves() []move {
	if len(s.moved) == 0 {
		return nil
	}
	out := make([]move, 0, len(s.moved))
	rest := s.moved[:0]
	for _, d := range s.moved {
		e := &s.devices[d]
		if int(d) >= s.pubDevices {
			rest = append(rest, d)
			continue
		}
		e.moved = false
		if e.hidden {
			continue
		}
		out = append(out, move{device: d, at: e.at, prev: e.prev, time: e.atTime})
		e.prev = e.at
	}
	s.moved = rest
	return out
}

func (s *state) allMoves() []move {
	var out []move
	for d := range s.devices[:s.pubDevices] {
		if e := &s.devices[d]; e.atTime != 0 && e.at.Known() && !e.hidden {
			out = append(out, move{device: uint32(d), at: e.at, prev: e.at, time: e.atTime})
		}
	}
	return out
}

// openAlarms gives the open alarms, worst and newest first.
func (s *state) openAlarms() []*Alarm {
	out := make([]*Alarm, 0, len(s.alarms))
	for _, a := range s.alarms {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Alarm) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), b.Raised.Compare(a.Raised), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Latest is the newest value of one quantity of a device.
type Latest struct {
	Quantity devices.Quantity
	Time     time.Time
	Received time.Time
	Number   float64
	Unit     string
	At       devices.Position
	Zones    []devices.ZoneRef
	Flags    devices.Flags
}

// Presence is what the hub knows of a device besides its values.
type Presence struct {
	Seen     time.Time   // arrival of its newest message; zero when there was none
	Via      devices.Via // the door and the address it came by
	From     netip.AddrPort
	Link     *devices.Status // the newest change of its connection, nil when there was none
	Silent   bool
	Severity uint8
	At       devices.Position
}

// LatestOf gives the newest value of each quantity of a device, in the order of
// its profile; false when the hub does not show it.
func (h *Hub) LatestOf(id devices.ID) ([]Latest, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := &h.state
	i, ok := s.device[id]
	if !ok || s.devices[i].hidden {
		return nil, false
	}
	var out []Latest
	for _, c := range s.devices[i].channels {
		ch := &s.channels[c]
		if !ch.has {
			continue
		}
		q := s.quantities[ch.quantity]
		out = append(out, Latest{
			Quantity: q.Name, Unit: q.Unit, Number: ch.number,
			Time: time.UnixMilli(ch.time).UTC(), Received: time.UnixMilli(ch.received).UTC(),
			At: ch.at, Zones: ch.zones, Flags: ch.flags,
		})
	}
	return out, true
}

// PresenceOf tells whether and how a device is heard.
func (h *Hub) PresenceOf(id devices.ID) (Presence, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	i, ok := h.state.device[id]
	if !ok || h.state.devices[i].hidden {
		return Presence{}, false
	}
	e := &h.state.devices[i]
	p := Presence{Silent: e.silent, Severity: e.severity, Link: e.link, At: e.at, Via: e.via, From: e.from}
	if e.seen != 0 {
		p.Seen = time.UnixMilli(e.seen).UTC()
	}
	return p, true
}
