package journal

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
)

func reading(device string, n int) Entry {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return Entry{Message: &devices.Message{
		Device: devices.ID(device), Via: devices.ViaMQTT, Received: at,
		Observations: []devices.Observation{{
			Time: at, At: devices.Position{Lon: 106.168, Lat: 20.42},
			Zones:  []devices.ZoneRef{{Layer: "wards", Code: "13693", ValidFrom: "2025-07-01"}},
			Values: []devices.Value{{Quantity: "pm25", Number: float64(n)}},
		}},
	}}
}

func appendN(t testing.TB, j *Journal, from, n int) (first, last uint64) {
	t.Helper()
	for i := range n {
		seq, err := j.AppendWait(t.Context(), reading("aq-1", from+i))
		if err != nil {
			t.Fatalf("append %d: %v", from+i, err)
		}
		if i == 0 {
			first = seq
		}
		last = seq
	}
	return first, last
}

// drain reads up to and with the entry last.
func drain(t testing.TB, r *Reader, last uint64) (entries []Entry, gaps []Gap) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		b, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("read after %d entries: %v", len(entries), err)
		}
		if b.Gap != nil {
			gaps = append(gaps, *b.Gap)
		}
		entries = append(entries, b.Entries...)
		if err := r.Done(ctx, b); err != nil {
			t.Fatal(err)
		}
		if b.Last() >= last {
			return entries, gaps
		}
	}
}

func openReader(t testing.TB, j *Journal, name string, s Start) *Reader {
	t.Helper()
	r, err := j.Reader(t.Context(), name, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadWhatWasAppended(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j := openTest(t, o)
	first, last := appendN(t, j, 0, 20)
	if first != 1 || last != 20 {
		t.Fatalf("sequences %d to %d, want 1 to 20", first, last)
	}
	r := openReader(t, j, "series", FromBeginning())
	got, gaps := drain(t, r, last)
	if len(got) != 20 || len(gaps) != 0 {
		t.Fatalf("read %d entries, gaps %v, want 20 and none", len(got), gaps)
	}
	for i := range got {
		if want := reading("aq-1", i); !reflect.DeepEqual(got[i], want) {
			t.Fatalf("entry %d: got %+v, want %+v", i, got[i].Message, want.Message)
		}
	}
	closeTest(t, j)

	// Another run: the sequence goes on, the reader where it left off, and one
	// that is new reads all of it from disk.
	j = openTest(t, o)
	if s := j.State(); s.Level != LevelOK || s.Last != 20 || s.First != 1 {
		t.Fatalf("state after restart %+v", s)
	}
	if first, _ = appendN(t, j, 20, 5); first != 21 {
		t.Fatalf("first sequence after restart %d, want 21", first)
	}
	got, gaps = drain(t, openReader(t, j, "series", FromBeginning()), 25)
	if len(got) != 5 || len(gaps) != 0 || got[0].Message.Observations[0].Values[0].Number != 20 {
		t.Fatalf("after restart read %d entries, gaps %v, want the 5 new ones", len(got), gaps)
	}
	got, gaps = drain(t, openReader(t, j, "alert", FromBeginning()), 25)
	if len(got) != 25 || len(gaps) != 0 {
		t.Fatalf("new reader read %d entries, gaps %v, want 25 and none", len(got), gaps)
	}
	got, gaps = drain(t, openReader(t, j, "live", FromSeq(23)), 25)
	if len(got) != 3 || len(gaps) != 0 {
		t.Fatalf("reader from 23 read %d entries, gaps %v, want 3 and none", len(got), gaps)
	}
}

func TestGroupCommit(t *testing.T) {
	j := openTest(t, Options{})
	const producers, each = 200, 20
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				if _, err := j.AppendWait(t.Context(), reading(fmt.Sprintf("d-%d", p), i)); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	_, records := j.field.end()
	t.Logf("%d entries in %d records", producers*each, records)
	if records > producers*each/20 {
		t.Errorf("%d entries of %d producers took %d records, want them in groups", producers*each, producers, records)
	}
	got, gaps := drain(t, openReader(t, j, "r", FromBeginning()), producers*each)
	if len(got) != producers*each || len(gaps) != 0 {
		t.Fatalf("read %d entries, gaps %v", len(got), gaps)
	}
	// What one producer waited for is in its order.
	seen := make(map[devices.ID]int)
	for _, e := range got {
		n := int(e.Message.Observations[0].Values[0].Number)
		if n != seen[e.Message.Device] {
			t.Fatalf("device %s: entry %d where %d was next", e.Message.Device, n, seen[e.Message.Device])
		}
		seen[e.Message.Device]++
	}
}

func TestBucket(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j := openTest(t, o)
	b, err := j.Bucket(t.Context(), "devices")
	if err != nil {
		t.Fatal(err)
	}
	many := make(map[string][]byte)
	for i := range 100_000 {
		many[fmt.Sprintf("dev-%06d", i)] = fmt.Appendf(nil, `{"id":"dev-%06d","profile":"air-quality","at":{"Lon":106.1,"Lat":20.4}}`, i)
	}
	started := time.Now()
	if err := b.PutAll(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	t.Logf("100,000 keys in %v", time.Since(started))
	if err := b.Put(t.Context(), "dev-000001", []byte("changed")); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "dev-000002"); err != nil {
		t.Fatal(err)
	}
	many["dev-000001"] = []byte("changed")
	delete(many, "dev-000002")
	closeTest(t, j)

	j = openTest(t, o)
	started = time.Now()
	b, err = j.Bucket(t.Context(), "devices")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]byte)
	if err := b.Load(t.Context(), func(key string, value []byte) error {
		got[key] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("loaded in %v", time.Since(started))
	if !reflect.DeepEqual(got, many) {
		t.Fatalf("loaded %d keys, want %d, or their values differ", len(got), len(many))
	}
}
