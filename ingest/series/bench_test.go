package series

import (
	"fmt"
	"testing"
	"time"

	"vonglau/devices"
)

// benchmarkWrite writes rounds of one reading of every device, as live data comes in:
// four quantities a message, a second apart.
func benchmarkWrite(b *testing.B, s Store) {
	const senders, perWrite = 2000, 5
	quantities := []string{"pm25", "no2", "temperature", "humidity"}
	from := time.Now().UTC().Truncate(time.Minute).Add(-25 * 24 * time.Hour)
	values, round := 0, 0
	for b.Loop() {
		var batch []*devices.Message
		for range perWrite {
			at := from.Add(time.Duration(round) * time.Second)
			round++
			for d := range senders / perWrite * 2 {
				var v []any
				for i, q := range quantities {
					v = append(v, q, 20+float64((d+round*i)%97)/8)
				}
				m := say(devices.ID(fmt.Sprintf("dev-%d", d)), at.Add(time.Duration(d)*time.Millisecond), at.Add(time.Second), []devices.ZoneRef{wardA}, v...)
				m.Observations[0].At = devices.Position{Lon: 106 + float64(d)/1e4, Lat: 20.4}
				batch = append(batch, m)
			}
		}
		w, err := s.Write(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		values += w.Values
		if err := s.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(values)/b.Elapsed().Seconds(), "values/s")
}

// benchmarkQueries asks for a day of one device among 500 that report each
// minute.
func benchmarkQueries(b *testing.B, s Store) {
	base := time.Now().UTC().Truncate(24 * time.Hour).Add(-48 * time.Hour)
	for minute := range 24 * 60 {
		var batch []*devices.Message
		for d := range 500 {
			if d >= 20 && minute%12 != 0 {
				continue // enough of the others to be in the way
			}
			at := base.Add(time.Duration(minute) * time.Minute)
			zone := devices.ZoneRef{Layer: "ward", Code: fmt.Sprintf("%05d", d%57), ValidFrom: "2025-07-01"}
			batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", d)), at, at, []devices.ZoneRef{zone}, "pm25", minute%100))
		}
		if _, err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	to := base.Add(24 * time.Hour)
	b.Run("range of 24 h", func(b *testing.B) {
		for b.Loop() {
			got, err := s.Range(b.Context(), Query{Device: "dev-7", Quantity: "pm25", From: base, To: to})
			if err != nil || len(got) != 1440 {
				b.Fatalf("%d points, %v", len(got), err)
			}
		}
	})
	b.Run("24 h by 5 min", func(b *testing.B) {
		for b.Loop() {
			got, err := s.Buckets(b.Context(), BucketQuery{Device: "dev-7", Quantity: "pm25", From: base, To: to, Steps: Steps{Step: 5 * time.Minute}})
			if err != nil || len(got) != 288 {
				b.Fatalf("%d buckets, %v", len(got), err)
			}
		}
	})
	b.Run("24 h by ward and hour", func(b *testing.B) {
		for b.Loop() {
			got, err := s.ByZone(b.Context(), ZoneQuery{Layer: "ward", Quantity: "pm25", From: base, To: to, Steps: Steps{Step: time.Hour}})
			if err != nil || len(got) != 57 {
				b.Fatalf("%d zones, %v", len(got), err)
			}
		}
	})
}

// benchmarkReplay writes a batch the store has.
func benchmarkReplay(b *testing.B, s Store) {
	base := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	var batch []*devices.Message
	for i := range 5000 {
		at := base.Add(time.Duration(i) * time.Second / 50)
		batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", i%500)), at, at, nil, "pm25", i))
	}
	if _, err := s.Write(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	values := 0
	for b.Loop() {
		w, err := s.Write(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		values += w.Duplicates
	}
	b.ReportMetric(float64(values)/b.Elapsed().Seconds(), "values/s")
}

func BenchmarkStore(b *testing.B) {
	open := map[string]func(b *testing.B) Store{
		"embedded": func(b *testing.B) Store {
			return openEmbedded(b, EmbeddedOptions{Dir: b.TempDir(), Retention: suiteRetention})
		},
		"influx-1.8": func(b *testing.B) Store { return openInflux(b, newInfluxd(b, false).bucket(b)) },
		"influx-2":   func(b *testing.B) Store { return openInflux(b, newInfluxd(b, true).bucket(b)) },
	}
	for _, name := range []string{"embedded", "influx-1.8", "influx-2"} {
		b.Run(name, func(b *testing.B) {
			b.Run("write", func(b *testing.B) { benchmarkWrite(b, open[name](b)) })
			b.Run("replay", func(b *testing.B) { benchmarkReplay(b, open[name](b)) })
			b.Run("query", func(b *testing.B) { benchmarkQueries(b, open[name](b)) })
		})
	}
}

// BenchmarkPast finds what the wall of 10,000 devices showed at a time, and a
// minute of what came after: what the time machine asks.
func BenchmarkPast(b *testing.B) {
	s := openEmbedded(b, EmbeddedOptions{Dir: b.TempDir(), Retention: suiteRetention})
	base := time.Now().UTC().Truncate(time.Hour).Add(-6 * time.Hour)
	for minute := range 60 {
		batch := make([]*devices.Message, 0, 10_000)
		for d := range 10_000 {
			at := base.Add(time.Duration(minute)*time.Minute + time.Duration(d)*time.Millisecond)
			batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", d)), at, at.Add(time.Second), []devices.ZoneRef{wardA}, "pm25", minute, "pm10", 2*minute, "battery", 90))
		}
		if _, err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	count := func(n *int) func(Sample) error { return func(Sample) error { *n++; return nil } }
	b.Run("at", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.At(b.Context(), base.Add(30*time.Minute), count(&n)); err != nil || n != 30_000 {
				b.Fatalf("%d values, %v", n, err)
			}
		}
	})
	b.Run("a minute", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Between(b.Context(), base.Add(30*time.Minute), base.Add(31*time.Minute), count(&n)); err != nil || n != 30_000 {
				b.Fatalf("%d values, %v", n, err)
			}
		}
	})
}
