package live

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"vonglau/devices"
)

// readings makes one report of each device at a moment.
func readings(n int, at time.Time, value float64) []*devices.Message {
	ms := make([]*devices.Message, n)
	for d := range ms {
		ms[d] = message(fmt.Sprint("air-", d), at, at, "pm25", value)
	}
	return ms
}

// again makes the same reports of a later moment; the hub keeps no message.
func again(ms []*devices.Message, at time.Time, value float64) []*devices.Message {
	for _, m := range ms {
		m.Received, m.Observations[0].Time, m.Observations[0].Values[0].Number = at, at, value
	}
	return ms
}

// BenchmarkApply is what the journal's reader pays for one reading.
func BenchmarkApply(b *testing.B) {
	h := newHub(b, nil)
	const n = 5000
	city(h, n)
	h.flush(time.Now())
	ms := readings(n, noon, 1)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		at := noon.Add(time.Duration(i) * time.Millisecond)
		h.Apply(again(ms, at, float64(i)))
		h.flush(at)
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i)/n, "ns/reading")
}

// BenchmarkFanOut sends ticks of 5,000 changes (20,000 readings a second at
// four ticks) to 50 screens over [::1] and counts the CPU of the whole process:
// hub, kernel and the reading side.
func BenchmarkFanOut(b *testing.B) {
	const n, screens = 5000, 50
	h := newHub(b, func(o *Options) { o.Tick = 10 * time.Second }) // the benchmark makes the ticks
	city(h, n)
	h.Apply(readings(n, noon, 0))
	url := served(b, h, nil)
	var taken atomic.Int64
	for range screens {
		w := open(b, url, nil)
		w.until("a snapshot", func() bool { return w.snaps == 1 })
		go func() {
			for {
				_, r, err := w.NextReader()
				if err != nil {
					return
				}
				k, err := io.Copy(io.Discard, r)
				if err != nil {
					return
				}
				if k > 1000 { // a frame, not a heartbeat
					taken.Add(k)
				}
			}
		}()
	}
	const frame = headerSize + 12*n
	ms := readings(n, noon, 0)
	before, begin := cpu(b), taken.Load()
	i := 0
	for b.Loop() {
		i++
		at := noon.Add(time.Duration(i) * time.Second)
		h.Apply(again(ms, at, float64(i)))
		h.flush(at)
		for taken.Load()-begin < int64(i)*screens*frame {
			time.Sleep(200 * time.Microsecond)
		}
	}
	used := cpu(b) - before
	b.ReportMetric(float64(used.Microseconds())/float64(i)/n, "cpu-µs/reading")
	b.ReportMetric(float64(used.Microseconds())/float64(i)/screens, "cpu-µs/frame")
	b.ReportMetric(frame*4, "B/s/screen@4Hz")
	b.ReportMetric(100*used.Seconds()/float64(i)*4, "%core@4Hz")
}

func cpu(b *testing.B) time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkLatency is the time from Apply to a screen's having read the frame,
// at a steady rate of readings over 5,000 devices.
func BenchmarkLatency(b *testing.B) {
	for _, rate := range []int{1, 500, 20000} {
		b.Run(fmt.Sprint(rate, "per-s"), func(b *testing.B) {
			const n = 5000
			h := newHub(b, nil)
			city(h, n)
			w := open(b, served(b, h, nil), nil)
			w.until("a snapshot", func() bool { return w.snaps == 1 })
			ms := readings(n, time.Now(), 0)
			for b.Loop() {
				var sent sync.Map // the batch's number, which is its value, to when it was applied
				var took []time.Duration
				const seconds = 4
				every := max(10*time.Millisecond, time.Second/time.Duration(rate))
				batches, size := int(seconds*time.Second/every), max(1, rate*int(every)/int(time.Second))
				go func() {
					for i := 1; i <= batches; i++ {
						time.Sleep(every)
						from := i * size % (n - size)
						sent.Store(float32(i), time.Now())
						h.Apply(again(ms[from:from+size], time.Now(), float64(i)))
					}
				}()
				for last := float32(0); last < float32(batches); {
					kind, body, err := w.ReadMessage()
					if err != nil {
						b.Fatal(err)
					}
					if kind != websocket.BinaryMessage {
						continue
					}
					now := time.Now()
					f, err := ParseFrame(body)
					if err != nil {
						b.Fatal(err)
					}
					for _, u := range f.Updates {
						if at, ok := sent.Load(u.Value); ok {
							took = append(took, now.Sub(at.(time.Time)))
							last = max(last, u.Value)
						}
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			}
		})
	}
}
