package journal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
)

// A stream's messages lie in block files 1.blk, 2.blk, … as frames one after
// the other (nats-server v2.15.2 filestore.go, writeMsgRecordLocked), little
// endian:
//
//	length   u32   of the frame; the top bit says that there are headers
//	sequence u64   of the message; the top bits mark erased ones and tombstones
//	time     i64   ns
//	subject  u16 length, later the bytes
//	headers  u32 length and bytes, only when there are any
//	message  bytes
//	checksum u64   HighwayHash-64 of sequence, time, subject, headers, message
//
// The key of the checksum is the SHA-256 of "STREAM-BLOCK". It does not cover
// the lengths of subject and headers, so a bit flipped there passes JetStream's
// check with the message beginning elsewhere; the CRC of our records finds it.
//
// This file reads frames and nothing else; what is done with damaged ones is in
// repair.go. A test damages real blocks, so a server that writes them otherwise
// is noticed.
const (
	frameHeader   = 22
	frameChecksum = 8
	frameHeaders  = 1 << 31 // in length
	frameFlags    = 3 << 62 // in sequence
	maxFrame      = 32 << 20
	maxBlock      = 256 << 20 // nats-server maxBlockSize
)

// frame is one intact frame of a block.
type frame struct {
	start, end int
	seq        uint64 // of the message, without its flags
	gone       bool   // erased or a tombstone: no message
	data       []byte
}

// blockHash makes the checksum of a block's frames.
func blockHash(stream string, block int) (hash.Hash64, error) {
	key := sha256.Sum256([]byte(stream + "-" + strconv.Itoa(block)))
	return highwayhash.New64(key[:])
}

// frameAt reads the frame that starts at buf[i], if one does.
func frameAt(buf []byte, i int, h hash.Hash64) (frame, bool) {
	le := binary.LittleEndian
	if len(buf)-i < frameHeader+frameChecksum {
		return frame{}, false
	}
	length := le.Uint32(buf[i:])
	n, subject := int(length&^frameHeaders), int(le.Uint16(buf[i+20:]))
	if n < frameHeader+frameChecksum+subject || n > maxFrame || n > len(buf)-i {
		return frame{}, false
	}
	rest := buf[i+frameHeader : i+n-frameChecksum]
	payload := rest[subject:]
	h.Reset()
	h.Write(buf[i+4 : i+20]) //nolint:errcheck // a hash never fails
	h.Write(rest[:subject])  //nolint:errcheck
	if length&frameHeaders != 0 {
		if len(payload) < 4 {
			return frame{}, false
		}
		headers := int(le.Uint32(payload))
		payload = payload[4:]
		h.Write(payload) //nolint:errcheck
		if headers > len(payload) {
			return frame{}, false
		}
		payload = payload[headers:]
	} else {
		h.Write(payload) //nolint:errcheck
	}
	if h.Sum64() != le.Uint64(buf[i+n-frameChecksum:]) {
		return frame{}, false
	}
	seq := le.Uint64(buf[i+4:])
	return frame{i, i + n, seq &^ frameFlags, seq&frameFlags != 0, payload}, true
}

// scanBlock calls good for each intact frame of buf in order and bad for each
// stretch of bytes between that is none. After damage it looks for the next
// frame at every offset: the checksum decides, and intact, which looks at what
// the frame holds.
func scanBlock(buf []byte, h hash.Hash64, intact func(frame) bool, good func(frame), bad func(from, to int)) {
	at := func(i int) (frame, bool) {
		f, ok := frameAt(buf, i, h)
		return f, ok && intact(f)
	}
	for i := 0; i < len(buf); {
		if f, ok := at(i); ok {
			good(f)
			i = f.end
			continue
		}
		next := len(buf)
		for k := i + 1; k <= len(buf)-frameHeader-frameChecksum; k++ {
			// Zeros are what damage often is, and no frame starts with four.
			if buf[k]|buf[k+1]|buf[k+2]|buf[k+3] == 0 {
				continue
			}
			if _, ok := at(k); ok {
				next = k
				break
			}
		}
		bad(i, next)
		i = next
	}
}

// intactIn returns the check of what the frames of a stream hold: records of
// ours, but for the files of Objects, which carry a digest of their own.
func intactIn(stream string) func(frame) bool {
	if strings.HasPrefix(stream, objectsPrefix) {
		return func(frame) bool { return true }
	}
	return func(f frame) bool {
		if f.gone {
			return true
		}
		_, err := openRecord(f.data)
		return !errors.Is(err, errDamaged)
	}
}

// blockFiles lists the numbers of a stream's block files, ascending.
func blockFiles(dir, stream string) ([]int, error) {
	names, err := os.ReadDir(blocksDir(dir, stream))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list blocks of %s: %w", stream, err)
	}
	var blocks []int
	for _, n := range names {
		if num, ok := strings.CutSuffix(n.Name(), ".blk"); ok {
			if b, err := strconv.Atoi(num); err == nil && b > 0 {
				blocks = append(blocks, b)
			}
		}
	}
	slices.Sort(blocks)
	return blocks, nil
}

func blockPath(dir, stream string, block int) string {
	return filepath.Join(blocksDir(dir, stream), strconv.Itoa(block)+".blk")
}

// streams lists the streams of a store.
func streams(dir string) ([]string, error) {
	names, err := os.ReadDir(streamsDir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	var all []string
	for _, n := range names {
		if n.IsDir() && !strings.HasPrefix(n.Name(), ".") {
			all = append(all, n.Name())
		}
	}
	return all, nil
}

// Damage is a stretch of a block file that is not what was written.
type Damage struct {
	Stream string `json:"stream"`
	Block  int    `json:"block"`
	From   int64  `json:"from"` // bytes of the file, To exclusive
	To     int64  `json:"to"`
	// Tail is true at the end of the newest block, where a write that was cut
	// short by a crash looks the same as damage. Whether anything acknowledged
	// was in it is told by Losses.
	Tail bool `json:"tail"`
}

func (d Damage) String() string {
	return fmt.Sprintf("stream %s, block %d, bytes %d to %d", d.Stream, d.Block, d.From, d.To-1)
}

// Report is what a look at the whole store found.
type Report struct {
	Blocks  int      `json:"blocks"`
	Records int      `json:"records"`
	Entries uint64   `json:"entries"`
	Bytes   int64    `json:"bytes"`
	Damage  []Damage `json:"damage"`
	// Losses are the breaks in the chains of records, old ones too.
	Losses []Loss `json:"losses"`
}

// scan reads the blocks of one stream in order and adds to a report.
type scan struct {
	dir    string
	rep    *Report
	losses []Loss // of this stream

	next   uint64 // our sequence after the record before, 0 when not known
	crc    uint32
	broken bool // there was damage since then
}

// block reads one block file and returns its contents and its damage.
func (s *scan) block(stream string, block int, newest bool) (buf []byte, kept []frame, damage []Damage, err error) {
	path := blockPath(s.dir, stream, block)
	if fi, err := os.Stat(path); err == nil && fi.Size() > maxBlock {
		return nil, nil, nil, fmt.Errorf("block %s has %d bytes, %d are the most", path, fi.Size(), maxBlock)
	}
	if buf, err = os.ReadFile(path); err != nil {
		return nil, nil, nil, fmt.Errorf("read block: %w", err)
	}
	h, err := blockHash(stream, block)
	if err != nil {
		return nil, nil, nil, err
	}
	scanBlock(buf, h, intactIn(stream), func(f frame) {
		kept = append(kept, f)
		s.frame(stream, block, f)
	}, func(from, to int) {
		s.broken = true
		damage = append(damage, Damage{stream, block, int64(from), int64(to), newest && to == len(buf)})
	})
	s.rep.Blocks++
	s.rep.Bytes += int64(len(buf))
	s.rep.Damage = append(s.rep.Damage, damage...)
	return buf, kept, damage, nil
}

// frame follows the chain of our records.
func (s *scan) frame(stream string, block int, f frame) {
	if f.gone {
		return
	}
	r, err := openRecord(f.data)
	if err != nil {
		return // a file's part, or a record of a newer version
	}
	s.rep.Records++
	s.rep.Entries += uint64(r.count)
	l := Loss{Stream: stream, From: s.next, To: r.first - 1, Reason: "damaged on disk", old: !s.broken}
	switch {
	case s.next == 0 && s.broken && r.first > 1:
		// Nothing before it tells where the missing ones begin, unless this is
		// the very first block.
		if l.From = r.first - 1; block == 1 {
			l.From = 1
		}
	case s.next == 0 || r.first == s.next || r.prev == s.crc:
		l.From = 0
	}
	if l.From != 0 && l.From <= l.To {
		s.losses = append(s.losses, l)
		s.rep.Losses = append(s.rep.Losses, l)
	}
	s.next, s.crc, s.broken = r.last()+1, r.crc, false
}

// VerifyDir reads every block of a journal that nobody has open and reports
// what is damaged. It changes nothing. progress, when set, is called as it goes.
func VerifyDir(ctx context.Context, dir string, progress func(Report)) (Report, error) {
	return verify(ctx, dir, progress)
}

// Verify is VerifyDir for a journal at work; what it finds missing is in State
// too, and Resume cuts the damage out. Run it now and then: after an orderly
// stop old blocks are not read at start, and JetStream, when it comes upon
// damage while it works, may forget the rest of the block. A record that is
// being written while its block is read may show as damage at the tail.
func (j *Journal) Verify(ctx context.Context, progress func(Report)) (Report, error) {
	rep, err := verify(ctx, j.o.Dir, progress)
	if err == nil {
		j.lost(rep.Losses...)
	}
	return rep, err
}

func verify(ctx context.Context, dir string, progress func(Report)) (Report, error) {
	var rep Report
	all, err := streams(dir)
	if err != nil {
		return rep, fmt.Errorf("verify journal %s: %w", dir, err)
	}
	for _, stream := range all {
		blocks, err := blockFiles(dir, stream)
		if err != nil {
			return rep, fmt.Errorf("verify journal %s: %w", dir, err)
		}
		s := scan{dir: dir, rep: &rep}
		for i, block := range blocks {
			if err := ctx.Err(); err != nil {
				return rep, err
			}
			_, _, _, err := s.block(stream, block, i == len(blocks)-1)
			if errors.Is(err, fs.ErrNotExist) {
				continue // dropped by retention meanwhile
			}
			if err != nil {
				return rep, fmt.Errorf("verify journal %s: %w", dir, err)
			}
			if progress != nil {
				progress(rep)
			}
		}
	}
	return rep, nil
}
