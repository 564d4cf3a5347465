package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// mark is a small file beside a stream that remembers how far the stream got,
// so that a stream that comes back shorter is noticed and no sequence is given
// out twice.
//
// It is written after every record without a sync: the page cache survives the
// death of the process, so after kill -9 it is exact. After a loss of power it
// may be older than the stream; then only its ceiling counts, which is synced
// before the first sequence below it is used, lease sequences at a time.
//
// Two slots are written in turn, so a torn write leaves the other one.
type mark struct {
	f     *os.File
	turn  uint64
	state markState
}

type markState struct {
	ceiling uint64 // every sequence given out is below it
	next    uint64 // the next sequence to give out
	last    uint64 // last sequence acknowledged and not yet reported lost
	crc     uint32 // what the next record names as the one before it
	clean   bool   // written by an orderly stop
	boot    [16]byte
}

const (
	markMagic  = "VGLM"
	markSize   = 64
	markStride = 512 // the slots lie in different sectors
	lease      = 1 << 16
)

// openMark reads or creates the mark of a stream. known is false when there was
// none, or none that can be read.
func openMark(dir, stream string) (m *mark, known bool, err error) {
	dir = filepath.Join(dir, "marks")
	if err := makeDir(dir); err != nil {
		return nil, false, fmt.Errorf("make directory of marks: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, stream), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, false, fmt.Errorf("open mark of %s: %w", stream, err)
	}
	if err := syncDir(dir); err != nil {
		return nil, false, errors.Join(fmt.Errorf("sync directory of marks: %w", err), f.Close())
	}
	m = &mark{f: f}
	buf := make([]byte, markSize)
	for slot := range int64(2) {
		if _, err := f.ReadAt(buf, slot*markStride); err != nil {
			continue // short: that slot was never written
		}
		if s, turn, ok := parseMark(buf); ok && turn >= m.turn {
			m.state, m.turn, known = s, turn, true
		}
	}
	return m, known, nil
}

func parseMark(buf []byte) (s markState, turn uint64, ok bool) {
	le := binary.LittleEndian
	if string(buf[:4]) != markMagic || buf[4] != 1 ||
		crc32.Checksum(buf[:markSize-4], castagnoli) != le.Uint32(buf[markSize-4:]) {
		return s, 0, false
	}
	s.clean = buf[5] == 1
	turn = le.Uint64(buf[8:])
	s.ceiling = le.Uint64(buf[16:])
	s.next = le.Uint64(buf[24:])
	s.last = le.Uint64(buf[32:])
	s.crc = le.Uint32(buf[40:])
	copy(s.boot[:], buf[44:60])
	return s, turn, true
}

// write stores s in the older slot.
func (m *mark) write(s markState, sync bool) error {
	le := binary.LittleEndian
	var buf [markSize]byte
	m.turn++
	copy(buf[:], markMagic)
	buf[4] = 1
	if s.clean {
		buf[5] = 1
	}
	le.PutUint64(buf[8:], m.turn)
	le.PutUint64(buf[16:], s.ceiling)
	le.PutUint64(buf[24:], s.next)
	le.PutUint64(buf[32:], s.last)
	le.PutUint32(buf[40:], s.crc)
	copy(buf[44:60], s.boot[:])
	le.PutUint32(buf[markSize-4:], crc32.Checksum(buf[:markSize-4], castagnoli))
	if _, err := m.f.WriteAt(buf[:], int64(m.turn%2)*markStride); err != nil {
		return fmt.Errorf("write mark %s: %w", m.f.Name(), err)
	}
	if sync {
		if err := m.f.Sync(); err != nil {
			return fmt.Errorf("sync mark %s: %w", m.f.Name(), err)
		}
	}
	m.state = s
	return nil
}

func (m *mark) close() error { return m.f.Close() }

// bootID names this run of the kernel; zero where the kernel does not say, and
// then every start counts as one after a loss of power.
func bootID() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	sum := crc32.Checksum(b, castagnoli)
	copy(id[:], bytes.ReplaceAll(bytes.TrimSpace(b), []byte("-"), nil))
	binary.LittleEndian.PutUint32(id[12:], sum)
	return id
}
