package live

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Magic begins every binary frame: "VGL1" read as a little-endian number.
const Magic = 0x314C4756

const (
	frameVersion = 1
	headerSize   = 32
	// maxFrame bounds what ParseFrame believes: more updates than any hub has
	// channels.
	maxFrame = 1 << 26
)

// Kind says what the columns of a binary frame are.
type Kind uint8

const (
	kindSnapshot  Kind = 1
	kindDelta     Kind = 2
	kindPositions Kind = 3
)

// A value's time is tenths of a second after the frame's t0, in 16 bits.
const (
	tick100   = 100 // ms
	beforeT0  = math.MaxUint16
	longestDT = beforeT0 - 1
)

// update is one row of a snapshot or delta. Position and quantity are there
// for the filter and do not go on the wire.
type update struct {
	time     int64 // ms
	channel  uint32
	value    float32
	lon, lat float32 // NaN when not known
	quantity uint16
	severity uint8
	quality  uint8
}

// baseTime finds t0: before every event, but no further before the newest than
// dt reaches.
func baseTime(n int, at func(int) int64) int64 {
	if n == 0 {
		return 0
	}
	oldest, newest := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range n {
		if t := at(i); t != 0 { // 0: no value yet
			oldest, newest = min(oldest, t), max(newest, t)
		}
	}
	if newest == math.MinInt64 {
		return 0
	}
	return max(oldest, newest-longestDT*tick100)
}

func deltaTime(t, t0 int64) uint16 {
	if t == 0 || t < t0 { // 0: no value yet
		return beforeT0
	}
	return uint16(min((t-t0)/tick100, longestDT))
}

func appendHeader(b []byte, kind Kind, count int, dict uint32, seq uint64, t0 int64) []byte {
	b = binary.LittleEndian.AppendUint32(b, Magic)
	b = append(b, frameVersion, byte(kind), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(count))
	b = binary.LittleEndian.AppendUint32(b, dict)
	b = binary.LittleEndian.AppendUint64(b, seq)
	return binary.LittleEndian.AppendUint64(b, uint64(t0))
}

// encodeUpdates makes a snapshot or delta frame.
func encodeUpdates(kind Kind, dict uint32, seq uint64, us []update) []byte {
	n := len(us)
	t0 := baseTime(n, func(i int) int64 { return us[i].time })
	b := make([]byte, headerSize+12*n)
	appendHeader(b[:0], kind, n, dict, seq, t0)
	channels, values := b[headerSize:], b[headerSize+4*n:]
	times, severities, qualities := b[headerSize+8*n:], b[headerSize+10*n:], b[headerSize+11*n:]
	for i := range us {
		u := &us[i]
		binary.LittleEndian.PutUint32(channels[4*i:], u.channel)
		binary.LittleEndian.PutUint32(values[4*i:], math.Float32bits(u.value))
		binary.LittleEndian.PutUint16(times[2*i:], deltaTime(u.time, t0))
		severities[i], qualities[i] = u.severity, u.quality
	}
	return b
}

// encodeMoves makes a positions frame.
func encodeMoves(dict uint32, seq uint64, ms []move) []byte {
	n := len(ms)
	t0 := baseTime(n, func(i int) int64 { return ms[i].time })
	b := appendHeader(make([]byte, 0, headerSize+14*n), kindPositions, n, dict, seq, t0)
	for i := range ms {
		b = binary.LittleEndian.AppendUint32(b, ms[i].device)
	}
	for i := range ms {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(math.Round(ms[i].at.Lon*1e7))))
	}
	for i := range ms {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(math.Round(ms[i].at.Lat*1e7))))
	}
	for i := range ms {
		b = binary.LittleEndian.AppendUint16(b, deltaTime(ms[i].time, t0))
	}
	return b
}

// Frame is a binary frame as a Go client reads it: probes, tests, recorders.
type Frame struct {
	Kind      Kind
	Dict      uint32
	Seq       uint64
	Updates   []FrameUpdate   // of a snapshot or delta
	Positions []FramePosition // of a positions frame
}

// FrameUpdate is one value. Time is zero when it lies before what the frame can
// tell.
type FrameUpdate struct {
	Channel  uint32
	Value    float32
	Time     time.Time
	Severity uint8
	Quality  uint8
}

// FramePosition is where one moving device is.
type FramePosition struct {
	Device   uint32
	Lon, Lat float64
	Time     time.Time
}

// Snapshot reports whether the frame replaces all that went before.
func (f *Frame) Snapshot() bool { return f.Kind == kindSnapshot }

// ParseFrame reads a binary frame.
func ParseFrame(b []byte) (*Frame, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("live frame: %d bytes: the header alone has %d", len(b), headerSize)
	}
	if m := binary.LittleEndian.Uint32(b); m != Magic {
		return nil, fmt.Errorf("live frame: begins with %#x, not %#x", m, Magic)
	}
	if b[4] != frameVersion {
		return nil, fmt.Errorf("live frame: version %d: this reads %d", b[4], frameVersion)
	}
	f := &Frame{Kind: Kind(b[5]), Dict: binary.LittleEndian.Uint32(b[12:]), Seq: binary.LittleEndian.Uint64(b[16:])}
	count := binary.LittleEndian.Uint32(b[8:])
	t0 := int64(binary.LittleEndian.Uint64(b[24:]))
	row := 12
	if f.Kind == kindPositions {
		row = 14
	} else if f.Kind != kindSnapshot && f.Kind != kindDelta {
		return nil, fmt.Errorf("live frame: unknown kind %d", f.Kind)
	}
	if count > maxFrame || len(b) != headerSize+row*int(count) {
		return nil, fmt.Errorf("live frame: %d bytes for %d rows of kind %d", len(b), count, f.Kind)
	}
	n, body := int(count), b[headerSize:]
	when := func(i int, column []byte) time.Time {
		dt := binary.LittleEndian.Uint16(column[2*i:])
		if dt == beforeT0 {
			return time.Time{}
		}
		return time.UnixMilli(t0 + int64(dt)*tick100).UTC()
	}
	if f.Kind == kindPositions {
		f.Positions = make([]FramePosition, n)
		for i := range f.Positions {
			f.Positions[i] = FramePosition{
				Device: binary.LittleEndian.Uint32(body[4*i:]),
				Lon:    float64(int32(binary.LittleEndian.Uint32(body[4*n+4*i:]))) / 1e7,
				Lat:    float64(int32(binary.LittleEndian.Uint32(body[8*n+4*i:]))) / 1e7,
				Time:   when(i, body[12*n:]),
			}
		}
		return f, nil
	}
	f.Updates = make([]FrameUpdate, n)
	for i := range f.Updates {
		f.Updates[i] = FrameUpdate{
			Channel:  binary.LittleEndian.Uint32(body[4*i:]),
			Value:    math.Float32frombits(binary.LittleEndian.Uint32(body[4*n+4*i:])),
			Time:     when(i, body[8*n:]),
			Severity: body[10*n+i],
			Quality:  body[11*n+i],
		}
	}
	return f, nil
}
