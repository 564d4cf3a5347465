package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// record is one frame of the journal, the unit that is stored, checked and lost
// as a whole. FORMAT.md describes the bytes.
type record struct {
	kind  recordKind
	first uint64 // sequence of the first entry
	count uint32 // entries
	prev  uint32 // CRC of the record before, 0 when that one is not known
	at    time.Time
	body  []byte
	crc   uint32 // of this record
}

// last is the sequence of the record's last entry.
func (r *record) last() uint64 { return r.first + uint64(r.count) - 1 }

// recordKind says how a record's body is to be read. The numbers are stored.
type recordKind uint8

const (
	kindBatch  recordKind = 1 // entries of the field: messages, refusals, statuses
	kindBucket recordKind = 2 // keys set and deleted
	kindActs   recordKind = 3 // acts of a Log
)

const (
	recordMagic   = "VGLJ"
	recordVersion = 1
	recordHeader  = 40

	// maxRecord bounds a record on disk. It stays well below the engine's
	// limit for one message.
	maxRecord = 7 << 20
	// softRecord is the size at which a batch is closed. Above it one more
	// byte costs as much as it would in a record of its own.
	softRecord = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is wrapped by every error that means "these bytes are not what was
// written".
var errDamaged = errors.New("damaged record")

// beginRecord reserves the header at the start of buf; the body is appended
// after it and sealRecord fills the header in.
func beginRecord(buf []byte) []byte {
	return append(buf[:0], make([]byte, recordHeader)...)
}

// sealRecord writes the header of r over the first bytes of buf, whose rest is
// the body, and returns the record's CRC.
func sealRecord(buf []byte, r record) uint32 {
	le := binary.LittleEndian
	copy(buf, recordMagic)
	buf[4] = recordVersion
	buf[5] = byte(r.kind)
	le.PutUint16(buf[6:], 0)
	le.PutUint32(buf[8:], uint32(len(buf)-recordHeader))
	le.PutUint64(buf[16:], r.first)
	le.PutUint32(buf[24:], r.count)
	le.PutUint32(buf[28:], r.prev)
	le.PutUint64(buf[32:], uint64(r.at.UnixMilli()))
	crc := recordCRC(buf)
	le.PutUint32(buf[12:], crc)
	return crc
}

// recordCRC covers all of the record but the four bytes that hold it.
func recordCRC(buf []byte) uint32 {
	crc := crc32.Update(0, castagnoli, buf[:12])
	return crc32.Update(crc, castagnoli, buf[16:])
}

// openRecord checks buf and returns its parts; body aliases buf.
func openRecord(buf []byte) (record, error) {
	le := binary.LittleEndian
	if len(buf) < recordHeader {
		return record{}, fmt.Errorf("%w: %d bytes, a header has %d", errDamaged, len(buf), recordHeader)
	}
	if string(buf[:4]) != recordMagic {
		return record{}, fmt.Errorf("%w: starts with %x", errDamaged, buf[:4])
	}
	if n := le.Uint32(buf[8:]); uint64(n) != uint64(len(buf)-recordHeader) {
		return record{}, fmt.Errorf("%w: body of %d bytes, header says %d", errDamaged, len(buf)-recordHeader, n)
	}
	r := record{
		kind:  recordKind(buf[5]),
		first: le.Uint64(buf[16:]),
		count: le.Uint32(buf[24:]),
		prev:  le.Uint32(buf[28:]),
		at:    time.UnixMilli(int64(le.Uint64(buf[32:]))).UTC(),
		crc:   le.Uint32(buf[12:]),
		body:  buf[recordHeader:],
	}
	if got := recordCRC(buf); got != r.crc {
		return record{}, fmt.Errorf("%w: CRC %08x, header says %08x", errDamaged, got, r.crc)
	}
	// What follows was written like this: a version or shape we do not know,
	// not damage.
	if buf[4] != recordVersion {
		return record{}, fmt.Errorf("record version %d: this program reads version %d; was the data written by a newer one?", buf[4], recordVersion)
	}
	if r.first == 0 || r.count == 0 || r.first+uint64(r.count) < r.first {
		return record{}, fmt.Errorf("%w: entries %d+%d", errDamaged, r.first, r.count)
	}
	return r, nil
}
