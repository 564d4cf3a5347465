package journal

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

var killRounds = flag.Int("kill.rounds", 8, "rounds of TestKill")

// child is the test binary in its second role: it opens the journal in a
// directory, appends from many goroutines, and says on its standard output what
// was acknowledged, a line each, until somebody kills it.
func child(dir string) {
	if err := produce(dir, os.Getenv("JOURNAL_TEST_RUN"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func produce(dir, run string, out io.Writer) error {
	j, err := Open(context.Background(), Options{Dir: dir, MinFree: 1})
	if err != nil {
		return err
	}
	if s := j.State(); s.Level != LevelOK {
		return fmt.Errorf("opened as %s: %s", s.Level, s.Reason)
	}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	for p := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("r%s-p%d-%d", run, p, i)
				seq, err := j.AppendWait(context.Background(), reading(id, i))
				if err == nil {
					// One write each: what is in the pipe is the history.
					_, err = fmt.Fprintf(out, "%d %s\n", seq, id)
				}
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return <-failed
}

// history is what a child was told is on disk.
type history struct {
	mu  sync.Mutex
	ids map[uint64]string
	n   int
}

func (h *history) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var seq uint64
		var id string
		if _, err := fmt.Sscanf(lines.Text(), "%d %s", &seq, &id); err != nil {
			continue // the line the kill cut
		}
		h.mu.Lock()
		if old, ok := h.ids[seq]; ok {
			h.mu.Unlock()
			return fmt.Errorf("sequence %d was given to %s and to %s", seq, old, id)
		}
		h.ids[seq] = id
		h.n++
		h.mu.Unlock()
	}
	return nil
}

func (h *history) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// runChild lets a child work on dir until it acknowledged some more and a
// moment has passed, then calls end and waits for it.
func runChild(t *testing.T, dir string, run int, h *history, end func(*os.Process)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_CHILD="+dir, fmt.Sprintf("JOURNAL_TEST_RUN=%d", run))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { read <- h.read(out) }()
	had := h.len()
	for h.len() < had+50 && len(read) == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	end(cmd.Process)
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, or cut off from its disk
	if h.len() == had {
		t.Fatalf("child acknowledged nothing: %s", stderr.String())
	}
}

// checkHistory reads the whole journal and looks for everything in h.
func checkHistory(t *testing.T, dir string, h *history) {
	t.Helper()
	started := time.Now()
	j := openTest(t, Options{Dir: dir})
	took := time.Since(started)
	if s := j.State(); s.Level != LevelOK {
		t.Errorf("state %s: %s", s.Level, s.Reason)
	}
	_, last := appendN(t, j, 0, 1)
	h.ids[last] = "aq-1"
	got, gaps := make(map[uint64]string), 0
	r, err := j.Reader(t.Context(), "check", FromBeginning())
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Gap != nil {
			gaps++
		}
		for i := range b.Entries {
			got[b.Seq+uint64(i)] = string(b.Entries[i].Message.Device)
		}
		if b.Last() >= last {
			break
		}
	}
	missing := 0
	for seq, id := range h.ids {
		if got[seq] != id {
			missing++
			t.Logf("sequence %d acknowledged to %s, holds %q", seq, id, got[seq])
		}
	}
	if missing > 0 || gaps > 0 {
		t.Fatalf("%d of %d acknowledged entries missing, %d gaps", missing, len(h.ids), gaps)
	}
	r.Close()
	if err := j.Forget(t.Context(), "check"); err != nil {
		t.Error(err)
	}
	closeTest(t, j)
	t.Logf("%d acknowledged, none missing; opened in %v", len(h.ids), took)
}

// TestKill kills a process that appends, again and again over one directory.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	h := &history{ids: make(map[uint64]string)}
	for round := range *killRounds {
		runChild(t, dir, round, h, func(p *os.Process) {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
		// Every other round the next child meets the directory as it was left.
		if round%2 == 1 || round == *killRounds-1 {
			checkHistory(t, dir, h)
		}
	}
}
