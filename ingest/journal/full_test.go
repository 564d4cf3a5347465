package journal

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vonglau/devices"
)

// smallDisk mounts a filesystem of that many bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small filesystem")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// eat fills the disk until left bytes are free.
func eat(t *testing.T, dir string, left int64) (file string) {
	t.Helper()
	file = filepath.Join(dir, "eaten")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		free, _, err := space(dir)
		if err != nil {
			t.Fatal(err)
		}
		if free <= left {
			return file
		}
		if _, err := f.Write(make([]byte, min(free-left, 1<<20))); errors.Is(err, unix.ENOSPC) {
			return file
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// until polls for something another goroutine brings about; the test's own
// limit is the only one.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal(what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestDiskFull fills the disk under a journal that keeps a reserve and under
// one that keeps next to none, so that the write itself fails. Either way
// nothing is acknowledged after it, what was is there, reading goes on, and
// space that returns is enough to go on without a restart.
func TestDiskFull(t *testing.T) {
	for _, c := range []struct {
		name    string
		minFree int64
		leave   int64
		code    Code
	}{
		{"reserve kept", 8 << 20, 6 << 20, CodeLowSpace},
		{"write finds no space", 0, 0, CodeDiskFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := smallDisk(t, "size=64m")
			j := openTest(t, Options{Dir: filepath.Join(disk, "journal"), MinFree: c.minFree})
			told := make(map[Code]bool)
			var mu sync.Mutex
			j.OnState(func(s State) {
				mu.Lock()
				defer mu.Unlock()
				told[s.Code] = true
			})
			r := openReader(t, j, "r", FromBeginning())
			_, acked := appendN(t, j, 0, 50)

			if c.minFree == 0 { // write as if nobody looked at the space
				j.minFree.Store(-1 << 40)
			}
			file := eat(t, disk, c.leave)
			var err error
			for i := 50; err == nil; i++ { // what is left of the last page still holds some
				var seq uint64
				if seq, err = j.AppendWait(t.Context(), reading("aq-1", i)); err == nil {
					acked = seq
				}
			}
			if !errors.Is(err, &devices.Refusal{Reason: devices.ReasonUnavailable}) {
				t.Fatalf("append to a full disk: %v, want unavailable", err)
			}
			until(t, "watchers told", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return told[c.code]
			})
			if c.minFree == 0 { // the keeper may have gone on and failed again some times
				j.minFree.Store(8 << 20)
			}
			for range 3 {
				_, err := j.AppendWait(t.Context(), reading("aq-1", 0))
				if !errors.Is(err, &devices.Refusal{Reason: devices.ReasonUnavailable}) {
					t.Fatalf("append while refusing: %v", err)
				}
			}
			if s := j.State(); s.Level != LevelRefusing || s.Hint == "" {
				t.Fatalf("state %+v, want refusing", s)
			}
			if got, gaps := drain(t, r, acked); len(gaps) != 0 || got[0].Message == nil {
				t.Fatalf("reading from a full disk: %d entries, gaps %v", len(got), gaps)
			}

			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			until(t, "accepting again", func() bool { return j.State().Level == LevelOK })
			t.Logf("accepting again after %v", time.Since(started))
			first, last := appendN(t, j, 1000, 10)
			if first <= acked {
				t.Errorf("sequence %d used again after %d", first, acked)
			}
			// A reader from the start sees all that was acknowledged, in
			// order, and no gap: nothing was lost.
			got, gaps := drain(t, openReader(t, j, "all", FromBeginning()), last)
			if len(gaps) != 0 {
				t.Errorf("gaps %v", gaps)
			}
			if len(got) < int(acked)+10 {
				t.Errorf("read %d entries, %d were acknowledged", len(got), int(acked)+10)
			}
			for i := range acked {
				if want := reading("aq-1", int(i)); !reflect.DeepEqual(got[i], want) {
					t.Fatalf("entry %d is not what was acknowledged", i+1)
				}
			}
		})
	}
}

// TestOpenOnFullDisk: a journal opens on a disk without a free byte, can be
// read, says what it suffers from, and goes on when there is space.
func TestOpenOnFullDisk(t *testing.T) {
	disk := smallDisk(t, "size=64m")
	o := Options{Dir: filepath.Join(disk, "journal"), MinFree: 8 << 20}
	j := openTest(t, o)
	_, last := appendN(t, j, 0, 50)
	drain(t, openReader(t, j, "series", FromBeginning()), 20)
	left := filepath.Join(disk, "left")
	copyDir(t, left, o.Dir) // as after kill -9
	closeTest(t, j)

	for _, dir := range []string{o.Dir, left} {
		file := eat(t, disk, 0)
		o.Dir = dir
		j = openTest(t, o)
		until(t, "low space told", func() bool { return j.State().Code == CodeLowSpace })
		if got, gaps := drain(t, openReader(t, j, "all", FromBeginning()), last); len(got) != 50 || len(gaps) != 0 {
			t.Errorf("read %d entries, gaps %v, want 50", len(got), gaps)
		}
		if got, _ := drain(t, openReader(t, j, "series", FromSeq(41).Anew()), last); len(got) != 10 {
			t.Errorf("reader that starts anew at 41 read %d entries, want 10", len(got))
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		until(t, "accepting again", func() bool { return j.State().Level == LevelOK })
		if first, _ := appendN(t, j, 0, 1); first <= last {
			t.Errorf("sequence %d was used before", first)
		}
		closeTest(t, j)
	}
}
