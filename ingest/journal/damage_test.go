package journal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damageBase makes a journal of n records of one entry each and returns two
// copies of it: as it lies on disk while the process runs, which is what
// kill -9 leaves, and after an orderly stop.
func damageBase(t *testing.T, n int) (crashed, stopped string) {
	t.Helper()
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir})
	if _, last := appendN(t, j, 0, n); last != uint64(n) {
		t.Fatalf("last sequence %d, want %d", last, n)
	}
	crashed, stopped = t.TempDir(), t.TempDir()
	copyDir(t, crashed, dir)
	closeTest(t, j)
	copyDir(t, stopped, dir)
	return crashed, stopped
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// fieldFrames returns the field stream's first block and where its frames lie.
func fieldFrames(t *testing.T, dir string) (path string, buf []byte, frames []frame) {
	t.Helper()
	path = blockPath(dir, streamField, 1)
	buf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := blockHash(streamField, 1)
	if err != nil {
		t.Fatal(err)
	}
	scanBlock(buf, h, intactIn(streamField), func(f frame) { frames = append(frames, f) }, func(from, to int) {
		t.Fatalf("fresh block is damaged from %d to %d: is JetStream's block format another one now?", from, to)
	})
	return path, buf, frames
}

func rewrite(t *testing.T, path string, buf []byte) {
	t.Helper()
	if err := os.WriteFile(path, buf, 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestDamage breaks the field stream in many ways. Whatever it is, the journal
// opens, names what is gone, keeps all the rest, never uses a sequence twice,
// and does not report the same loss again.
func TestDamage(t *testing.T) {
	const n = 120
	crashed, stopped := damageBase(t, n)
	type loss struct{ from, to uint64 }
	cases := []struct {
		name   string
		after  string // the state the damage meets
		breaks func(t *testing.T, dir string)
		// want are the entries lost.
		want []loss
	}{
		{"nothing after a crash", crashed, func(*testing.T, string) {}, nil},
		{"nothing after a stop", stopped, func(*testing.T, string) {}, nil},
		{"bit in a message", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			buf[f[59].end-20] ^= 4
			rewrite(t, path, buf)
		}, []loss{{60, 60}}},
		{"bit in a message after a stop", stopped, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			buf[f[59].end-20] ^= 4
			rewrite(t, path, buf)
		}, []loss{{60, 60}}},
		{"bit in a length", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			buf[f[59].start+1] ^= 1
			rewrite(t, path, buf)
		}, []loss{{60, 60}}},
		{"bit in a sequence, after a stop", stopped, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			buf[f[59].start+4] ^= 1
			rewrite(t, path, buf)
		}, []loss{{60, 60}}},
		{"first record", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			buf[f[0].start+30] ^= 1
			rewrite(t, path, buf)
		}, []loss{{1, 1}}},
		{"zeroed page", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			from := f[40].start + 10
			clear(buf[from : f[55].start+10])
			rewrite(t, path, buf)
		}, []loss{{41, 56}}},
		{"three places", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			for _, k := range []int{9, 50, 99} {
				buf[f[k].start+40] ^= 0x80
			}
			rewrite(t, path, buf)
		}, []loss{{10, 10}, {51, 51}, {100, 100}}},
		{"a record twice", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			twice := append([]byte{}, buf[:f[30].end]...)
			twice = append(twice, buf[f[30].start:]...)
			rewrite(t, path, twice)
		}, nil},
		{"index gone", stopped, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(blocksDir(dir, streamField), "index.db")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"index garbage", stopped, func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(blocksDir(dir, streamField), "index.db"), []byte(strings.Repeat("x", 200)))
		}, nil},
		{"stream description gone", stopped, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(streamsDir(dir), streamField, "meta.inf")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"stream description empty", crashed, func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(streamsDir(dir), streamField, "meta.inf"), nil)
		}, nil},
		{"mark gone", crashed, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "marks", streamField)); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"tail of a block cut after a stop", stopped, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			rewrite(t, path, buf[:f[100].start])
		}, []loss{{101, n}}},
		{"older copy of the block", crashed, func(t *testing.T, dir string) {
			path, buf, f := fieldFrames(t, dir)
			rewrite(t, path, buf[:f[80].end])
		}, []loss{{82, n}}},
		{"block gone", stopped, func(t *testing.T, dir string) {
			if err := os.Remove(blockPath(dir, streamField, 1)); err != nil {
				t.Fatal(err)
			}
		}, []loss{{1, n}}},
		{"block empty", crashed, func(t *testing.T, dir string) {
			rewrite(t, blockPath(dir, streamField, 1), nil)
		}, []loss{{1, n}}},
		{"block garbage", crashed, func(t *testing.T, dir string) {
			rewrite(t, blockPath(dir, streamField, 1), []byte(strings.Repeat("no frame at all ", 1000)))
		}, []loss{{1, n}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyDir(t, dir, c.after)
			c.breaks(t, dir)
			gone := make(map[uint64]bool)
			for _, l := range c.want {
				for s := l.from; s <= l.to; s++ {
					gone[s] = true
				}
			}
			check(t, dir, n, gone)
		})
	}

	// The tail cut at many places of the last record: it is gone and that is
	// said, whether the process had been killed or stopped.
	path, buf, f := fieldFrames(t, crashed)
	rel, err := filepath.Rel(crashed, path)
	if err != nil {
		t.Fatal(err)
	}
	last := f[len(f)-1]
	for cut := last.start; cut < last.end; cut += 17 {
		for _, base := range []string{crashed, stopped} {
			dir := t.TempDir()
			copyDir(t, dir, base)
			rewrite(t, filepath.Join(dir, rel), buf[:cut])
			if check(t, dir, n, map[uint64]bool{n: true}); t.Failed() {
				t.Fatalf("cut at %d of %d to %d", cut, last.start, last.end)
			}
		}
	}
}

// check opens the journal in dir, of whose entries 1 to n those in gone are
// damaged, and looks at all it promises.
func check(t *testing.T, dir string, n int, gone map[uint64]bool) {
	t.Helper()
	lostOf := func(s State) map[uint64]bool {
		m := make(map[uint64]bool)
		for _, l := range s.Lost {
			for q := l.From; q <= l.To; q++ {
				m[q] = true
			}
		}
		return m
	}
	var seq uint64
	for run := 1; run <= 2; run++ {
		j := openTest(t, Options{Dir: dir})
		s := j.State()
		if want := map[bool]Level{true: LevelOK, false: LevelDegraded}[len(gone) == 0]; s.Level != want {
			t.Errorf("run %d: level %s (%s), want %s", run, s.Level, s.Reason, want)
		}
		// A loss before the first record is only known to readers.
		for q := range gone {
			if !lostOf(s)[q] && q >= s.First {
				t.Errorf("run %d: entry %d is gone and not named in %v", run, q, s.Lost)
			}
		}
		for q := range lostOf(s) {
			if !gone[q] {
				t.Errorf("run %d: entry %d is named lost and is not", run, q)
			}
		}
		first, _ := appendN(t, j, 1000+run, 1)
		if first <= uint64(n) || first <= seq {
			t.Errorf("run %d: sequence %d used again", run, first)
		}
		seq = first
		got := make(map[uint64]bool)
		ctx := t.Context()
		r := openReader(t, j, []string{"", "a", "b"}[run], FromBeginning())
		for {
			b, err := r.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Entries {
				q := b.Seq + uint64(i)
				if gone[q] || got[q] {
					t.Errorf("run %d: read entry %d, which is gone or was read", run, q)
				}
				if want := float64(q - 1); q <= uint64(n) && b.Entries[i].Message.Observations[0].Values[0].Number != want {
					t.Errorf("run %d: entry %d says %v", run, q, b.Entries[i].Message.Observations[0].Values[0].Number)
				}
				got[q] = true
			}
			if b.Gap != nil {
				for q := b.Gap.From; q <= b.Gap.To; q++ {
					if q <= uint64(n) && !gone[q] {
						t.Errorf("run %d: gap names entry %d, which is there", run, q)
					}
					got[q] = true
				}
			}
			if b.Last() >= seq {
				break
			}
		}
		for q := uint64(1); q <= uint64(n); q++ {
			if !got[q] {
				t.Errorf("run %d: entry %d neither read nor in a gap", run, q)
			}
		}
		closeTest(t, j)
	}
}

func TestScanBlockFindsFramesAgain(t *testing.T) {
	h, err := blockHash("s", 1)
	if err != nil {
		t.Fatal(err)
	}
	var buf []byte
	for i := range 50 {
		buf = appendFrame(t, buf, "s", 1, uint64(i+1), "subj", []byte(strings.Repeat("payload", i)))
	}
	// Every byte damaged in turn costs its frame and no other.
	for at := range buf {
		buf[at] ^= 0x55
		good, bad := 0, 0
		intact := func(f frame) bool { return string(f.data) == strings.Repeat("payload", int(f.seq)-1) }
		scanBlock(buf, h, intact, func(frame) { good++ }, func(from, to int) {
			bad++
			if at < from || at >= to {
				t.Fatalf("byte %d damaged, %d to %d reported", at, from, to)
			}
		})
		if good != 49 || bad != 1 {
			t.Fatalf("byte %d damaged: %d frames and %d stretches, want 49 and 1", at, good, bad)
		}
		buf[at] ^= 0x55
	}
}

// appendFrame writes a frame as FORMAT.md describes it.
func appendFrame(t *testing.T, buf []byte, stream string, block int, seq uint64, subject string, data []byte) []byte {
	t.Helper()
	h, err := blockHash(stream, block)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	f := le.AppendUint32(nil, uint32(frameHeader+len(subject)+len(data)+frameChecksum))
	f = le.AppendUint64(f, seq)
	f = le.AppendUint64(f, 12345)
	h.Write(f[4:])
	f = le.AppendUint16(f, uint16(len(subject)))
	f = append(f, subject...)
	f = append(f, data...)
	h.Write([]byte(subject))
	h.Write(data)
	return append(buf, le.AppendUint64(f, h.Sum64())...)
}

func FuzzScanBlock(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Add([]byte("\x1e\x00\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		h, err := blockHash("s", 1)
		if err != nil {
			t.Fatal(err)
		}
		end := 0
		step := func(from, to int) {
			if from != end || to <= from || to > len(buf) {
				t.Fatalf("stretch %d to %d after %d of %d", from, to, end, len(buf))
			}
			end = to
		}
		scanBlock(buf, h, intactIn(streamField), func(f frame) { step(f.start, f.end) }, step)
		if end != len(buf) {
			t.Fatalf("scan ends at %d of %d", end, len(buf))
		}
	})
}
