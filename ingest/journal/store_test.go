package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"testing"
	"time"
)

func TestObjects(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j := openTest(t, o)
	objects, err := j.Objects(t.Context(), "layers")
	if err != nil {
		t.Fatal(err)
	}
	if names, err := objects.List(t.Context()); err != nil || len(names) != 0 {
		t.Fatalf("empty store lists %v, %v", names, err)
	}
	old, big := []byte("first"), bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	for _, content := range [][]byte{old, big} {
		if err := objects.Put(t.Context(), "wards/2025.geojson", bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := objects.Put(t.Context(), "roads", bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"roads", "roads", "never-there"} {
		if err := objects.Delete(t.Context(), name); err != nil {
			t.Fatalf("delete %s: %v", name, err)
		}
	}
	// A source that fails leaves the object as it was.
	cut := io.MultiReader(bytes.NewReader(old), failingReader{})
	if err := objects.Put(t.Context(), "wards/2025.geojson", cut); err == nil {
		t.Error("put from a failing source: no error")
	}
	closeTest(t, j)

	j = openTest(t, o)
	if objects, err = j.Objects(t.Context(), "layers"); err != nil {
		t.Fatal(err)
	}
	if names, err := objects.List(t.Context()); err != nil || !reflect.DeepEqual(names, []string{"wards/2025.geojson"}) {
		t.Fatalf("lists %v, %v", names, err)
	}
	r, err := objects.Get(t.Context(), "wards/2025.geojson")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if cerr := r.Close(); err != nil || cerr != nil || !bytes.Equal(got, big) {
		t.Errorf("read %d bytes, %v, %v, want %d", len(got), err, cerr, len(big))
	}
	if _, err := objects.Get(t.Context(), "roads"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get deleted: %v, want fs.ErrNotExist", err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("source failed") }

func TestLog(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j := openTest(t, o)
	l, err := j.Log(t.Context(), "alarms", LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	type act struct {
		seq     uint64
		subject string
		data    string
	}
	read := func(from uint64) (got []act) {
		t.Helper()
		err := l.Read(t.Context(), from, func(seq uint64, at time.Time, subject string, data []byte) error {
			got = append(got, act{seq, subject, string(data)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(0); got != nil {
		t.Fatalf("empty log has %v", got)
	}
	if seq, err := l.Append(t.Context(), "a.raised", []byte("one")); err != nil || seq != 1 {
		t.Fatalf("append: %d, %v", seq, err)
	}
	if seq, err := l.AppendAll(t.Context(), []Act{{"b.raised", []byte("two")}, {"a.cleared", nil}}); err != nil || seq != 2 {
		t.Fatalf("append two: %d, %v", seq, err)
	}
	want := []act{{1, "a.raised", "one"}, {2, "b.raised", "two"}, {3, "a.cleared", ""}}
	if got := read(0); !reflect.DeepEqual(got, want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	closeTest(t, j)

	j = openTest(t, o)
	if l, err = j.Log(t.Context(), "alarms", LogOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := read(3); !reflect.DeepEqual(got, want[2:]) {
		t.Fatalf("read from 3 after restart %v, want %v", got, want[2:])
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan act)
	followed := make(chan error)
	go func() {
		followed <- l.Follow(ctx, 3, func(seq uint64, _ time.Time, subject string, data []byte) error {
			seen <- act{seq, subject, string(data)}
			return nil
		})
	}()
	if got := <-seen; got != want[2] {
		t.Errorf("followed %v, want %v", got, want[2])
	}
	if _, err := l.Append(t.Context(), "c", []byte("four")); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != (act{4, "c", "four"}) {
		t.Errorf("followed %v, want act 4", got)
	}
	cancel()
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Errorf("follow ended with %v", err)
	}
}

func TestLogRetention(t *testing.T) {
	j := openTest(t, Options{})
	l, err := j.Log(t.Context(), "audit", LogOptions{MaxBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := l.Append(t.Context(), "login", make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	sweepNow(t, j)
	var seqs []uint64
	err = l.Read(t.Context(), 1, func(seq uint64, _ time.Time, _ string, _ []byte) error {
		seqs = append(seqs, seq)
		return nil
	})
	if err != nil || len(seqs) < 10 || len(seqs) > 150 || seqs[len(seqs)-1] != 300 || l.End() != 300 {
		t.Errorf("%d acts left, the last %v, %v; want the newest that fit", len(seqs), seqs[max(len(seqs)-1, 0):], err)
	}
	if s := j.State(); s.Level != LevelOK {
		t.Errorf("state %+v", s)
	}
}
