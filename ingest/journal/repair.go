package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// repair makes the block files such that JetStream keeps all that is intact.
//
// Left alone, JetStream cuts a block off at the first frame that does not check
// and forgets everything behind it: one flipped bit costs up to a whole block,
// acknowledged or not, for one warning in the log. Here the damaged bytes are
// cut out instead and the frames behind them stay; to JetStream their messages
// look deleted. The block as it was found is kept under "damaged", the ranges
// that are missing are reported (lost), readers meet a Gap there.
//
// After an orderly stop only the newest blocks are read, after any other end
// all of them; JetStream then reads them all too, and finds them in the page
// cache. suspect is set after a failed sync: then the newest block of every
// stream is also written anew, because pages that the kernel could not write
// may be marked clean all the same.
//
// No engine runs while repair does.
func (j *Journal) repair(ctx context.Context, suspect bool) error {
	all, err := streams(j.o.Dir)
	if err != nil {
		return err
	}
	clean, err := stoppedCleanly(j.o.Dir)
	if err != nil {
		return err
	}
	for _, stream := range all {
		if err := j.repairStream(ctx, stream, clean && !suspect, suspect); err != nil {
			return fmt.Errorf("repair stream %s: %w", stream, err)
		}
	}
	return nil
}

// newestOnly is how much of a stream is read after an orderly stop.
const newestOnly = 256 << 20

// stoppedCleanly reports whether the store was closed in order.
func stoppedCleanly(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, "marks", streamField)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	m, known, err := openMark(dir, streamField)
	if err != nil {
		return false, err
	}
	return known && m.state.clean, m.close()
}

func (j *Journal) repairStream(ctx context.Context, stream string, newest, rewrite bool) error {
	blocks, err := blockFiles(j.o.Dir, stream)
	if err != nil {
		return err
	}
	first := 0
	if newest {
		size := int64(0)
		for first = len(blocks); first > 0 && size < newestOnly; first-- {
			if fi, err := os.Stat(blockPath(j.o.Dir, stream, blocks[first-1])); err == nil {
				size += fi.Size()
			}
		}
	}
	var rep Report
	s := scan{dir: j.o.Dir, rep: &rep}
	changed := false
	for i := first; i < len(blocks); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := i == len(blocks)-1
		buf, kept, damage, err := s.block(stream, blocks[i], last)
		if err != nil {
			return err
		}
		if len(damage) == 0 && !(rewrite && last) {
			continue
		}
		if len(damage) > 0 {
			changed = true
			if err := j.keepEvidence(stream, blocks[i], buf); err != nil {
				j.o.Log.Error("damaged block is repaired without keeping a copy of it", "error", err)
			}
		}
		for _, d := range damage {
			if d.Tail {
				j.o.Log.Warn("journal ends with an incomplete record, cut off", "where", d.String(),
					"hint", "a crash during a write leaves one; whether anything acknowledged was in it is told separately")
				continue
			}
			j.o.Log.Error("journal is damaged, cut out", "where", d.String())
		}
		intact := make([]byte, 0, len(buf))
		for _, f := range kept {
			intact = append(intact, buf[f.start:f.end]...)
		}
		if err := writeWhole(blockPath(j.o.Dir, stream, blocks[i]), intact); err != nil {
			return err
		}
	}
	if changed {
		// JetStream's index speaks of the blocks as they were.
		index := filepath.Join(blocksDir(j.o.Dir, stream), "index.db")
		if err := os.Remove(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syncDir(blocksDir(j.o.Dir, stream)); err != nil {
			return err
		}
	}
	j.lost(s.losses...)
	return nil
}

// evidenceKept bounds the copies of damaged blocks; the oldest go first.
const evidenceKept = 16

// keepEvidence stores a damaged block as it was found.
func (j *Journal) keepEvidence(stream string, block int, buf []byte) error {
	free, _, err := space(j.o.Dir)
	if err == nil && free < int64(len(buf))+j.minFree.Load() {
		err = errors.New("not enough free space")
	}
	dir := filepath.Join(j.o.Dir, "damaged")
	if err == nil {
		err = makeDir(dir)
	}
	if err != nil {
		return fmt.Errorf("keep damaged block %d of %s: %w", block, stream, err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	if err != nil {
		return err
	}
	slices.Sort(old) // by time, which the names begin with
	for len(old) >= evidenceKept {
		if err := os.Remove(old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	name := j.now().Format("20060102T150405.000Z") + "-" + stream + "-" + strconv.Itoa(block) + ".blk"
	return writeWhole(filepath.Join(dir, name), buf)
}

// writeWhole replaces a file so that after a crash the old or the new one is
// there.
func writeWhole(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

// lossNote is a Loss as it is remembered from run to run.
type lossNote struct {
	Loss
	Found time.Time
	Noted bool // acknowledged by an operator
}

func (j *Journal) lossFile() string { return filepath.Join(j.o.Dir, "losses.json") }

// loadLosses brings back what earlier runs found, so that a restart does not
// take for news what is known, nor for well what nobody has acknowledged.
func (j *Journal) loadLosses() {
	raw, err := os.ReadFile(j.lossFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var notes []lossNote
	if err == nil {
		err = json.Unmarshal(raw, &notes)
	}
	if err != nil {
		j.o.Log.Error("list of known losses cannot be read, they may be reported again", "error", err)
		return
	}
	j.health.mu.Lock()
	defer j.health.mu.Unlock()
	j.health.losses = notes
	j.health.changed = true
}

// saveLosses writes the list; health.mu is held.
func (j *Journal) saveLosses() {
	raw, err := json.MarshalIndent(j.health.losses, "", "\t")
	if err == nil {
		err = writeWhole(j.lossFile(), raw)
	}
	if err != nil {
		j.o.Log.Error("list of known losses not saved, they will be reported again", "error", err)
	}
}
