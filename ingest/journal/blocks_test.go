package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"vonglau/devices"
)

// fillBlocks appends bulky entries until the field stream has that many blocks
// and returns the last sequence.
func fillBlocks(t testing.TB, j *Journal, blocks int) uint64 {
	t.Helper()
	var mu sync.Mutex
	var last uint64
	for n := 0; ; n++ {
		var wg sync.WaitGroup
		for range 64 {
			wg.Add(1)
			j.Append(Entry{Refusal: &devices.Refusal{
				Reason: devices.ReasonMalformed, Device: "x", At: goldenAt,
				Payload: bytes.Repeat([]byte{byte(n), 1, 2, 3}, devices.MaxRefusalPayload/4),
			}}, func(seq uint64, err error) {
				defer wg.Done()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				last = max(last, seq)
			})
		}
		wg.Wait()
		if files, err := blockFiles(j.o.Dir, streamField); err != nil || t.Failed() {
			t.Fatal(err)
		} else if len(files) >= blocks {
			return last
		}
	}
}

// TestManyBlocks: damage in one block of several costs nothing of the others,
// Verify names it while the journal works and VerifyDir when it does not.
func TestManyBlocks(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir})
	last := fillBlocks(t, j, 4)
	rep, err := j.Verify(t.Context(), nil)
	if err != nil || len(rep.Damage) != 0 || len(rep.Losses) != 0 || rep.Entries < last {
		t.Fatalf("verify of a sound journal: %+v, %v", rep, err)
	}
	left := t.TempDir()
	copyDir(t, left, dir)
	closeTest(t, j)

	path := blockPath(left, streamField, 2)
	buf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	buf[len(buf)/2] ^= 1
	rewrite(t, path, buf)
	calls := 0
	rep, err = VerifyDir(t.Context(), left, func(Report) { calls++ })
	if err != nil || len(rep.Damage) != 1 || len(rep.Losses) != 1 || rep.Damage[0].Block != 2 || calls < 4 {
		t.Fatalf("verify of a damaged journal: %+v, %v, %d calls", rep, err, calls)
	}
	want := rep.Losses[0]

	j = openTest(t, Options{Dir: left})
	s := j.State()
	if len(s.Lost) != 1 || s.Lost[0].From != want.From || s.Lost[0].To != want.To {
		t.Errorf("lost %v, want %v", s.Lost, want)
	}
	got, gaps := drain(t, openReader(t, j, "r", FromBeginning()), last)
	if wantGaps := []Gap{{want.From, want.To, GapDamage}}; !reflect.DeepEqual(gaps, wantGaps) {
		t.Errorf("gaps %v, want %v", gaps, wantGaps)
	}
	if missing := last - uint64(len(got)); missing != want.To-want.From+1 || missing > 64 {
		t.Errorf("%d entries missing, %d named", missing, want.To-want.From+1)
	}
	if kept, err := filepath.Glob(filepath.Join(left, "damaged", "*-field-2.blk")); err != nil || len(kept) != 1 {
		t.Errorf("copies of the damaged block: %v, %v, want one", kept, err)
	}
	if rep, err := j.Verify(t.Context(), nil); err != nil || len(rep.Damage) != 0 {
		t.Errorf("verify after the repair: %+v, %v", rep, err)
	}
	// Resume acknowledges it, for this run and the next.
	if err := j.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := j.State(); s.Level != LevelOK {
		t.Errorf("after Resume: %+v", s)
	}

	// A bit flips while the journal works. Verify finds it, Resume cuts it out,
	// and no more is lost than the record.
	path = blockPath(left, streamField, 1)
	if buf, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	buf[len(buf)/2] ^= 1
	rewrite(t, path, buf)
	if rep, err := j.Verify(t.Context(), nil); err != nil || len(rep.Damage) != 1 || len(rep.Losses) != 2 {
		t.Fatalf("verify: %+v, %v, want one damage, two losses", rep, err)
	}
	if s := j.State(); s.Level != LevelDegraded || len(s.Lost) != 1 {
		t.Fatalf("state %+v, want degraded by the new loss", s)
	}
	if err := j.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, gaps = drain(t, openReader(t, j, "again", FromBeginning()), last)
	if missing := last - uint64(len(got)); len(gaps) != 2 || missing > 128 {
		t.Errorf("%d entries missing, gaps %v", missing, gaps)
	}
	appendN(t, j, 0, 1)
}

// TestBucketDamage: what a damaged record of a register said is lost, the keys
// of the others are not, and it is said.
func TestBucketDamage(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir})
	b, err := j.Bucket(t.Context(), "rules")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := b.Put(t.Context(), fmt.Sprintf("k%02d", i), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	closeTest(t, j)
	path := blockPath(dir, prefixBucket+"rules", 1)
	buf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	buf[bytes.Index(buf, []byte("value 7"))] ^= 1
	rewrite(t, path, buf)

	j = openTest(t, Options{Dir: dir})
	if s := j.State(); s.Level != LevelDegraded || len(s.Lost) != 1 || s.Lost[0].From != 8 || s.Lost[0].To != 8 {
		t.Errorf("state %+v, want degraded, entry 8 of the bucket lost", s)
	}
	if b, err = j.Bucket(t.Context(), "rules"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		v, ok := b.Get(fmt.Sprintf("k%02d", i))
		if ok != (i != 7) || ok && string(v) != fmt.Sprintf("value %d", i) {
			t.Errorf("key %d: %q, %v", i, v, ok)
		}
	}
}

// TestBucketCompaction: a register that is changed all the time stays as small
// as what it says, whenever the process is killed.
func TestBucketCompaction(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Options{Dir: dir})
	b, err := j.Bucket(t.Context(), "devices")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]byte)
	value := bytes.Repeat([]byte("v"), 100<<10)
	shrunk := 0
	for i := range 120 {
		key := fmt.Sprintf("k%d", i%7)
		value[0] = byte(i)
		if err := b.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
		want[key] = bytes.Clone(value)
		if i%50 == 10 {
			if err := b.Delete(t.Context(), "k3"); err != nil {
				t.Fatal(err)
			}
			delete(want, "k3")
		}
		b.mu.RLock()
		if b.stored < b.live*2 {
			shrunk++
		}
		b.mu.RUnlock()
	}
	if _, _, size, err := j.eng.bounds(t.Context(), prefixBucket+"devices"); err != nil || size > 2*compactAbove || shrunk == 0 {
		t.Errorf("%d bytes on disk, %v", size, err)
	}
	left := t.TempDir()
	copyDir(t, left, dir)
	j2 := openTest(t, Options{Dir: left})
	if b, err = j2.Bucket(t.Context(), "devices"); err != nil {
		t.Fatal(err)
	}
	if s := j2.State(); s.Level != LevelOK {
		t.Errorf("state %+v", s)
	}
	for k, v := range want {
		if got, _ := b.Get(k); !bytes.Equal(got, v) {
			t.Errorf("key %s: %d bytes, want %d", k, len(got), len(v))
		}
	}
	if n := len(b.keys()); n != len(want) {
		t.Errorf("%d keys, want %d", n, len(want))
	}
}

// BenchmarkOpenAfterCrash: the whole log is read twice, by us and by JetStream.
func BenchmarkOpenAfterCrash(b *testing.B) {
	dir := b.TempDir()
	j := openTest(b, Options{Dir: dir})
	fillBlocks(b, j, 32)
	left := filepath.Join(b.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	closeTest(b, j)
	rep, err := VerifyDir(b.Context(), left, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(rep.Bytes)
	for b.Loop() {
		// The mark of the stop is taken away again, as if it were a crash.
		if err := os.RemoveAll(filepath.Join(left, "marks")); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(filepath.Join(blocksDir(left, streamField), "index.db")); err != nil && !os.IsNotExist(err) {
			b.Fatal(err)
		}
		closeTest(b, openTest(b, Options{Dir: left}))
	}
}
