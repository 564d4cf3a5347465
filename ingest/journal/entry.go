package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"vonglau/devices"
)

// Entry is one thing the gate has to say: exactly one field is set.
type Entry struct {
	Message *devices.Message
	Refusal *devices.Refusal
	Status  *devices.Status
}

// The kinds of an entry. The numbers are stored.
const (
	entryMessage = 1
	entryRefusal = 2
	entryStatus  = 3
	entrySized   = 4 // a message that says how large it was
)

// What an observation carries. The bits are stored.
const (
	hasTime = 1 << iota
	hasDeviceTime
	hasPosition
)

// check refuses what could not be read back.
func (e Entry) check() error {
	set := 0
	if e.Message != nil {
		set++
	}
	if e.Refusal != nil {
		set++
	}
	if e.Status != nil {
		set++
	}
	if set != 1 {
		return fmt.Errorf("journal entry has %d of message, refusal and status set, want one", set)
	}
	return nil
}

// size estimates the entry's share of a record from above, short of long
// strings that repeat.
func (e Entry) size() int {
	switch {
	case e.Message != nil:
		n := 64 + len(e.Message.Device)
		for i := range e.Message.Observations {
			o := &e.Message.Observations[i]
			n += 48
			for j := range o.Zones {
				n += 8 + len(o.Zones[j].Layer) + len(o.Zones[j].Code) + len(o.Zones[j].ValidFrom)
			}
			for j := range o.Values {
				n += 12 + len(o.Values[j].Quantity) + len(o.Values[j].Unit)
			}
		}
		return n
	case e.Refusal != nil:
		r := e.Refusal
		return 64 + len(r.Reason) + len(r.Device) + len(r.Detail) + len(r.Payload)
	case e.Status != nil:
		return 64 + len(e.Status.Device) + len(e.Status.Reason)
	}
	return 0
}

// batchEncoder writes the body of a kindBatch record. Strings that repeat from
// entry to entry (quantities, units, zones) are written once, at their first
// use, and named by number after that, so one pass suffices on both sides.
type batchEncoder struct {
	buf     []byte
	base    int64 // ms; times are stored relative to it
	strings map[string]uint64
	zones   map[devices.ZoneRef]uint64
	count   uint32
}

func newBatchEncoder() *batchEncoder {
	return &batchEncoder{strings: make(map[string]uint64), zones: make(map[devices.ZoneRef]uint64)}
}

// reset starts a record whose header will carry at.
func (b *batchEncoder) reset(at time.Time) {
	b.buf = beginRecord(b.buf)
	b.base = at.UnixMilli()
	clear(b.strings)
	clear(b.zones)
	b.count = 0
}

func (b *batchEncoder) uvarint(v uint64) { b.buf = binary.AppendUvarint(b.buf, v) }
func (b *batchEncoder) byte(v byte)      { b.buf = append(b.buf, v) }
func (b *batchEncoder) float(v float64) {
	b.buf = binary.LittleEndian.AppendUint64(b.buf, math.Float64bits(v))
}
func (b *batchEncoder) text(s string)    { b.uvarint(uint64(len(s))); b.buf = append(b.buf, s...) }
func (b *batchEncoder) time(t time.Time) { b.buf = binary.AppendVarint(b.buf, t.UnixMilli()-b.base) }
func (b *batchEncoder) maybe(t time.Time) { // a time that may be zero
	if t.IsZero() {
		b.byte(0)
		return
	}
	b.byte(1)
	b.time(t)
}

// word writes an interned string: 0 and the string at its first use, then 1 for
// the first distinct string of the record, 2 for the second, and so on.
func (b *batchEncoder) word(s string) {
	if n, ok := b.strings[s]; ok {
		b.uvarint(n)
		return
	}
	b.strings[s] = uint64(len(b.strings)) + 1
	b.uvarint(0)
	b.text(s)
}

// zone is word for zone versions.
func (b *batchEncoder) zone(z devices.ZoneRef) {
	if n, ok := b.zones[z]; ok {
		b.uvarint(n)
		return
	}
	b.zones[z] = uint64(len(b.zones)) + 1
	b.uvarint(0)
	b.word(z.Layer)
	b.word(z.Code)
	b.word(string(z.ValidFrom))
}

func (b *batchEncoder) from(a netip.AddrPort) {
	if !a.IsValid() {
		b.byte(0)
		return
	}
	ip := a.Addr().WithZone("").AsSlice()
	b.byte(byte(len(ip)))
	b.buf = append(b.buf, ip...)
	b.uvarint(uint64(a.Port()))
}

// add appends one entry that passed check.
func (b *batchEncoder) add(e Entry) {
	b.count++
	switch {
	case e.Message != nil:
		m := e.Message
		if m.Size > 0 {
			b.byte(entrySized)
			b.uvarint(uint64(m.Size))
		} else {
			b.byte(entryMessage)
		}
		b.text(string(m.Device))
		b.byte(byte(m.Via))
		b.from(m.From)
		b.maybe(m.Received)
		b.uvarint(uint64(len(m.Observations)))
		for i := range m.Observations {
			b.observation(&m.Observations[i])
		}
	case e.Refusal != nil:
		r := e.Refusal
		b.byte(entryRefusal)
		b.word(string(r.Reason))
		b.text(string(r.Device))
		b.byte(byte(r.Via))
		b.from(r.From)
		b.maybe(r.At)
		b.text(r.Detail)
		b.text(string(r.Payload))
		if r.Kept {
			b.byte(1)
		} else {
			b.byte(0)
		}
	case e.Status != nil:
		s := e.Status
		b.byte(entryStatus)
		b.text(string(s.Device))
		b.byte(byte(s.Via))
		b.from(s.From)
		b.maybe(s.At)
		b.byte(byte(s.State))
		b.text(s.Reason)
	}
}

func (b *batchEncoder) observation(o *devices.Observation) {
	var has byte
	if !o.Time.IsZero() {
		has |= hasTime
	}
	if !o.DeviceTime.IsZero() {
		has |= hasDeviceTime
	}
	if o.At.Known() {
		has |= hasPosition
	}
	b.byte(has)
	if has&hasTime != 0 {
		b.time(o.Time)
	}
	if has&hasDeviceTime != 0 {
		b.time(o.DeviceTime)
	}
	if has&hasPosition != 0 {
		b.float(o.At.Lon)
		b.float(o.At.Lat)
	}
	b.uvarint(uint64(o.Flags))
	b.uvarint(uint64(len(o.Zones)))
	for _, z := range o.Zones {
		b.zone(z)
	}
	b.uvarint(uint64(len(o.Values)))
	for _, v := range o.Values {
		b.word(string(v.Quantity))
		b.float(v.Number)
		b.word(v.Unit)
	}
}

// batchDecoder reads what batchEncoder wrote. It never panics and allocates in
// proportion to the bytes it was given: a count that the remaining bytes could
// not hold is an error before anything is made for it.
type batchDecoder struct {
	buf   []byte
	base  int64
	words []string
	zones []devices.ZoneRef
	err   error
}

// decodeBatch reads the entries of a kindBatch record. Nothing it returns
// aliases r.body.
func decodeBatch(r record) ([]Entry, error) {
	if r.kind != kindBatch {
		return nil, fmt.Errorf("record kind %d where a batch (%d) belongs", r.kind, kindBatch)
	}
	d := batchDecoder{buf: r.body, base: r.at.UnixMilli()}
	entries := make([]Entry, d.fits(uint64(r.count), 5))
	for i := range entries {
		entries[i] = d.entry()
		if d.err != nil {
			return nil, fmt.Errorf("entry %d of %d: %w", i+1, len(entries), d.err)
		}
	}
	if d.err == nil && len(d.buf) != 0 {
		d.fail("%d bytes after the last entry", len(d.buf))
	}
	if d.err != nil {
		return nil, d.err
	}
	return entries, nil
}

func (d *batchDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
	}
	d.buf = nil
}

// fits returns n when n items of at least min bytes fit into what is left.
func (d *batchDecoder) fits(n uint64, min int) int {
	if n > uint64(len(d.buf)/min) {
		d.fail("%d items of %d bytes or more in %d bytes", n, min, len(d.buf))
		return 0
	}
	return int(n)
}

func (d *batchDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *batchDecoder) varint() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *batchDecoder) bytes(n int) []byte {
	if len(d.buf) < n {
		d.fail("%d bytes where %d belong", len(d.buf), n)
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *batchDecoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *batchDecoder) float() float64 {
	if b := d.bytes(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (d *batchDecoder) text() string    { return string(d.bytes(d.fits(d.uvarint(), 1))) }
func (d *batchDecoder) time() time.Time { return time.UnixMilli(d.base + d.varint()).UTC() }

func (d *batchDecoder) maybe() time.Time {
	if d.byte() == 0 || d.err != nil {
		return time.Time{}
	}
	return d.time()
}

func (d *batchDecoder) word() string {
	n := d.uvarint()
	switch {
	case d.err != nil:
		return ""
	case n == 0:
		s := d.text()
		d.words = append(d.words, s)
		return s
	case n > uint64(len(d.words)):
		d.fail("string %d of %d", n, len(d.words))
		return ""
	}
	return d.words[n-1]
}

func (d *batchDecoder) zone() devices.ZoneRef {
	n := d.uvarint()
	switch {
	case d.err != nil:
		return devices.ZoneRef{}
	case n == 0:
		z := devices.ZoneRef{Layer: d.word(), Code: d.word(), ValidFrom: devices.Date(d.word())}
		d.zones = append(d.zones, z)
		return z
	case n > uint64(len(d.zones)):
		d.fail("zone %d of %d", n, len(d.zones))
		return devices.ZoneRef{}
	}
	return d.zones[n-1]
}

func (d *batchDecoder) from() netip.AddrPort {
	n := d.byte()
	if n == 0 {
		return netip.AddrPort{}
	}
	if n != 4 && n != 16 {
		d.fail("address of %d bytes", n)
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(d.bytes(int(n)))
	port := d.uvarint()
	if port > math.MaxUint16 {
		d.fail("port %d", port)
	}
	if d.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

func (d *batchDecoder) entry() Entry {
	switch kind := d.byte(); kind {
	case entryMessage, entrySized:
		var size uint64
		if kind == entrySized {
			if size = d.uvarint(); size > math.MaxInt32 {
				d.fail("message of %d bytes", size)
			}
		}
		m := &devices.Message{
			Size:     int(size),
			Device:   devices.ID(d.text()),
			Via:      devices.Via(d.byte()),
			From:     d.from(),
			Received: d.maybe(),
		}
		if n := d.fits(d.uvarint(), 4); n > 0 {
			m.Observations = make([]devices.Observation, n)
		}
		for i := range m.Observations {
			d.observation(&m.Observations[i])
			if d.err != nil {
				return Entry{}
			}
		}
		return Entry{Message: m}
	case entryRefusal:
		r := &devices.Refusal{
			Reason: devices.Reason(d.word()),
			Device: devices.ID(d.text()),
			Via:    devices.Via(d.byte()),
			From:   d.from(),
			At:     d.maybe(),
			Detail: d.text(),
		}
		if p := d.text(); p != "" {
			r.Payload = []byte(p)
		}
		r.Kept = d.byte() != 0
		return Entry{Refusal: r}
	case entryStatus:
		return Entry{Status: &devices.Status{
			Device: devices.ID(d.text()),
			Via:    devices.Via(d.byte()),
			From:   d.from(),
			At:     d.maybe(),
			State:  devices.LinkState(d.byte()),
			Reason: d.text(),
		}}
	default:
		d.fail("entry kind %d", kind)
		return Entry{}
	}
}

func (d *batchDecoder) observation(o *devices.Observation) {
	has := d.byte()
	if has&hasTime != 0 {
		o.Time = d.time()
	}
	if has&hasDeviceTime != 0 {
		o.DeviceTime = d.time()
	}
	if has&hasPosition != 0 {
		o.At = devices.Position{Lon: d.float(), Lat: d.float()}
	}
	flags := d.uvarint()
	if flags > math.MaxUint16 {
		d.fail("flags %x", flags)
	}
	o.Flags = devices.Flags(flags)
	if n := d.fits(d.uvarint(), 1); n > 0 {
		// A zone by number takes one byte and 48 in memory, so what is made
		// at once is bounded; append grows it as far as the bytes really go.
		o.Zones = make([]devices.ZoneRef, 0, min(n, 16))
		for range n {
			o.Zones = append(o.Zones, d.zone())
			if d.err != nil {
				return
			}
		}
	}
	if n := d.fits(d.uvarint(), 10); n > 0 {
		o.Values = make([]devices.Value, n)
	}
	for i := range o.Values {
		o.Values[i] = devices.Value{Quantity: devices.Quantity(d.word()), Number: d.float(), Unit: d.word()}
		if d.err != nil {
			return
		}
	}
}
