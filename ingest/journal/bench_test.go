package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkAppend: producers that each wait for their entry to be on disk
// before they send the next. An operation is one entry acknowledged, all work
// counted: encoding, framing, JetStream, fsync, the call of done.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 50, 1000} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			j := openTest(b, Options{})
			e := reading("aq-1", 1)
			benchProducers(b, producers, func() error {
				_, err := j.AppendWait(b.Context(), e)
				return err
			})
			_, records := j.field.end()
			b.ReportMetric(float64(b.N)/float64(records), "entries/sync")
		})
	}
}

// BenchmarkRawFile is what the disk itself gives in the same run: the same
// producers, their bytes gathered and appended to a plain file with one
// fdatasync, no framing, no index, no reader.
func BenchmarkRawFile(b *testing.B) {
	for _, producers := range []int{1, 50, 1000} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			entry := encodeBatch(goldenAt, 1, 0, []Entry{reading("aq-1", 1)})[recordHeader:]
			type put struct{ done chan error }
			puts := make(chan put, producers)
			var writing sync.WaitGroup
			writing.Go(func() {
				var buf []byte
				var waiting []put
				for p := range puts {
					buf, waiting = append(buf[:0], entry...), append(waiting[:0], p)
					for more := true; more; {
						select {
						case p, ok := <-puts:
							if more = ok; ok {
								buf, waiting = append(buf, entry...), append(waiting, p)
							}
						default:
							more = false
						}
					}
					_, err := f.Write(buf)
					if err == nil {
						err = unix.Fdatasync(int(f.Fd()))
					}
					for _, p := range waiting {
						p.done <- err
					}
				}
			})
			benchProducers(b, producers, func() error {
				p := put{make(chan error, 1)}
				puts <- p
				return <-p.done
			})
			close(puts)
			writing.Wait()
		})
	}
}

// benchProducers runs b.N calls of one on that many goroutines and reports the
// rate and the slow end of the waiting.
func benchProducers(b *testing.B, producers int, one func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	waits := make([][]time.Duration, producers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range producers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				started := time.Now()
				if err := one(); err != nil {
					b.Error(err)
					return
				}
				waits[p] = append(waits[p], time.Since(started))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(waits...)
	slices.Sort(all)
	if n := len(all); n > 0 {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		b.ReportMetric(float64(all[n*99/100].Microseconds()), "p99-µs")
	}
}

// BenchmarkRead: one reader over a backlog on disk.
func BenchmarkRead(b *testing.B) {
	j := openTest(b, Options{RecentBytes: 1})
	var wg sync.WaitGroup
	const n = 200_000
	for i := range n {
		wg.Add(1)
		j.Append(reading("aq-1", i), func(_ uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			wg.Done()
		})
		if i%10_000 == 9_999 {
			wg.Wait()
		}
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		r := openReader(b, j, fmt.Sprintf("r%d", i), FromBeginning())
		if got, _ := drain(b, r, n); len(got) != n {
			b.Fatalf("read %d of %d", len(got), n)
		}
		r.Close()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
