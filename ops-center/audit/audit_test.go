package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Log that can be made to fail.
type memory struct {
	mu    sync.Mutex
	lines [][]byte
	slow  time.Duration // of a write
	fail  error
	half  bool // write, and then say that it failed
	calls int
}

func (m *memory) AppendAll(_ context.Context, lines [][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	time.Sleep(m.slow)
	if m.fail != nil && !m.half {
		return m.fail
	}
	for _, l := range lines {
		m.lines = append(m.lines, bytes.Clone(l))
	}
	return m.fail
}

func (m *memory) End() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.lines))
}

func (m *memory) Read(ctx context.Context, from uint64, f func(uint64, []byte) error) error {
	m.mu.Lock()
	lines := slices.Clone(m.lines)
	m.mu.Unlock()
	for i, l := range lines {
		if seq := uint64(i + 1); seq >= from {
			if err := f(seq, bytes.Clone(l)); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (m *memory) set(err error, half bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.half = err, half
}

// kept is a Store and a cursor in memory.
type kept struct {
	mu sync.Mutex
	m  map[string][]byte
}

func newKept() *kept { return &kept{m: map[string][]byte{}} }

func (k *kept) Load(_ context.Context, each func(string, []byte) error) error {
	for key, v := range k.m {
		if err := each(key, v); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) Put(_ context.Context, key string, v []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m[key] = bytes.Clone(v)
	return nil
}

func (k *kept) Delete(_ context.Context, key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, key)
	return nil
}

func (k *kept) Get(key string) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.m[key]
	return v, ok
}

func openTest(t testing.TB, lines, marks *memory, change func(*Options)) *Record {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Lines: lines, Marks: marks, Key: key}
	if change != nil {
		change(&o)
	}
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func act(i int) Entry {
	return Entry{
		Who: Who{ID: fmt.Sprintf("p-%d", i%7), Role: "operator", Kind: Person}, From: "2001:db8::7", Act: "alarm.acknowledge",
		Object: fmt.Sprintf("alarm-%d", i), Outcome: Done, Status: 200, After: Keep(map[string]any{"state": "acknowledged", "n": i}),
	}
}

// A hundred thousand records by many hands at once make one chain, which a
// later start goes on with.
func TestChain(t *testing.T) {
	const records, hands = 100_000, 64
	lines, marks := &memory{slow: time.Millisecond}, &memory{}
	r := openTest(t, lines, marks, nil)
	began := time.Now()
	var wg sync.WaitGroup
	for h := range hands {
		wg.Go(func() {
			for i := h; i < records; i += hands {
				if err := r.Add(t.Context(), act(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d records in %v, %d writes", records, time.Since(began).Round(time.Millisecond), lines.calls)
	if lines.calls > records/10 {
		t.Errorf("%d records took %d writes: they do not wait for each other", records, lines.calls)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(t.Context(), act(0)); err == nil {
		t.Error("a closed record takes more")
	}
	again := openTest(t, lines, marks, nil)
	if err := again.Add(t.Context(), act(records)); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	report, err := again.Verify(t.Context())
	if err != nil || !report.OK || report.Records != records+1 || report.First != 1 || report.Last != records+1 {
		t.Errorf("%v, %+v", err, report)
	}
	t.Logf("verified in %v", time.Since(began).Round(time.Millisecond))
}

// chainOf makes a chain and gives its lines.
func chainOf(t testing.TB, n int) (*memory, *memory, ed25519.PrivateKey) {
	lines, marks := &memory{}, &memory{}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := openTest(t, lines, marks, func(o *Options) { o.Key = key })
	batch := make([]Entry, 0, 500)
	for i := range n {
		if batch = append(batch, act(i)); len(batch) == cap(batch) || i == n-1 {
			if err := r.Add(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if _, err := r.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return lines, marks, key
}

// rechain is what somebody does who may write the disk: everything after a
// change computed anew.
func rechain(t *testing.T, lines [][]byte, from int) {
	t.Helper()
	for i := from; i < len(lines); i++ {
		var e Entry
		if err := json.Unmarshal(lines[i], &e); err != nil {
			t.Fatal(err)
		}
		e.N, e.Prev = uint64(i+1), genesis
		if i > 0 {
			e.Prev = HashLine(lines[i-1])
		}
		b, err := e.line()
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = b
	}
}

// What somebody does to one among a hundred thousand records is found, and the
// place is named.
func TestVerifyFinds(t *testing.T) {
	const records = 100_000
	stored, marks, key := chainOf(t, records)
	public := key.Public().(ed25519.PublicKey)
	var mark Checkpoint
	if err := json.Unmarshal(marks.lines[len(marks.lines)-1], &mark); err != nil {
		t.Fatal(err)
	}
	alter := func(line []byte) []byte {
		return bytes.Replace(line, []byte(`"operator"`), []byte(`"auditors"`), 1)
	}
	for _, c := range []struct {
		name string
		do   func(lines [][]byte) [][]byte
		kind FaultKind
		from uint64
		to   uint64
	}{
		{"one altered", func(l [][]byte) [][]byte { l[41_776] = alter(l[41_776]); return l }, Altered, 41_777, 0},
		{"the first altered", func(l [][]byte) [][]byte { l[0] = alter(l[0]); return l }, Altered, 1, 0},
		{"one removed", func(l [][]byte) [][]byte { return slices.Delete(l, 70_000, 70_001) }, Removed, 70_001, 70_001},
		{"many removed", func(l [][]byte) [][]byte { return slices.Delete(l, 10, 900) }, Removed, 11, 900},
		{"the first removed", func(l [][]byte) [][]byte { return slices.Delete(l, 0, 1) }, Removed, 1, 1},
		{"the end removed", func(l [][]byte) [][]byte { return l[:records-3] }, Removed, records - 2, records},
		{"one inserted", func(l [][]byte) [][]byte { return slices.Insert(l, 500, alter(l[499])) }, Inserted, 500, 0},
		{"two swapped", func(l [][]byte) [][]byte { l[7], l[8] = l[8], l[7]; return l }, Reordered, 8, 9},
		{"not JSON", func(l [][]byte) [][]byte { l[99] = []byte("x"); return l }, Altered, 100, 0},
		{"chain field altered", func(l [][]byte) [][]byte {
			var e Entry
			_ = json.Unmarshal(l[300], &e)
			l[300] = bytes.Replace(l[300], []byte(e.Prev), []byte(strings.Repeat("a", 64)), 1)
			return l
		}, Altered, 301, 0},
		{"all after it computed anew", func(l [][]byte) [][]byte { l[90_000] = alter(l[90_000]); rechain(t, l, 90_001); return l }, Forged, 1, records},
		{"one removed and all after it computed anew", func(l [][]byte) [][]byte {
			l = slices.Delete(l, 99_000, 99_001)
			rechain(t, l, 99_000)
			return l
		}, Removed, records, records},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := c.do(slices.Clone(stored.lines))
			forged := &memory{lines: lines}
			report, err := Verify(t.Context(), func(ctx context.Context, each func([]byte) error) error {
				return forged.Read(ctx, 1, func(_ uint64, line []byte) error { return each(line) })
			}, VerifyOptions{Checkpoints: []Checkpoint{mark}, Key: public, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if report.OK || len(report.Faults) == 0 {
				t.Fatalf("nothing was found: %+v", report)
			}
			if f := report.Faults[0]; f.Kind != c.kind || f.From != c.from || f.To != c.to {
				t.Errorf("got %+v, want %s %d to %d", report.Faults, c.kind, c.from, c.to)
			}
		})
	}
	t.Run("untouched", func(t *testing.T) {
		report, err := Verify(t.Context(), func(ctx context.Context, each func([]byte) error) error {
			return stored.Read(ctx, 1, func(_ uint64, line []byte) error { return each(line) })
		}, VerifyOptions{Checkpoints: []Checkpoint{mark}, Key: public})
		if err != nil || !report.OK || report.Checkpoints != 1 || report.Signed != records {
			t.Errorf("%v %+v", err, report)
		}
	})
	t.Run("a checkpoint by another key", func(t *testing.T) {
		other := mark
		other.N = 5
		report, err := Verify(t.Context(), Lines(bytes.NewReader(stored.lines[0])), VerifyOptions{Checkpoints: []Checkpoint{other}, Key: public})
		if err != nil || report.OK || report.Faults[0].Kind != BadMark {
			t.Errorf("%v %+v", err, report)
		}
	})
}

// Records may leave the front by age, and only by age.
func TestRetention(t *testing.T) {
	stored, _, key := chainOf(t, 100)
	public := key.Public().(ed25519.PublicKey)
	rest := &memory{lines: stored.lines[50:]}
	verify := func(now time.Time, retention time.Duration) Report {
		r, err := Verify(t.Context(), func(ctx context.Context, each func([]byte) error) error {
			return rest.Read(ctx, 1, func(_ uint64, line []byte) error { return each(line) })
		}, VerifyOptions{Key: public, Retention: retention, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(time.Now(), time.Hour); r.OK {
		t.Errorf("fifty fresh records are missing and all is well: %+v", r)
	}
	if r := verify(time.Now().Add(2*time.Hour), time.Hour); !r.OK {
		t.Errorf("records went by age: %+v", r.Faults)
	}
	if r := verify(time.Now().Add(2*time.Hour), 0); r.OK {
		t.Error("records may not go at all, and all is well")
	}
}

// An export is the chain itself, and goes on where it was cut.
func TestExport(t *testing.T) {
	lines, marks, key := chainOf(t, 1000)
	r := openTest(t, lines, marks, func(o *Options) { o.Key = key })
	var whole, first, rest bytes.Buffer
	if err := r.Export(t.Context(), &whole, 0, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	cut := &shortWriter{w: &first, left: whole.Len() / 3}
	if err := r.Export(t.Context(), cut, 0, time.Time{}, time.Time{}); err == nil {
		t.Fatal("a reader that went away was not noticed")
	}
	got := first.Bytes()[:bytes.LastIndexByte(first.Bytes(), '\n')+1]
	var last Entry
	if err := json.Unmarshal(got[bytes.LastIndexByte(got[:len(got)-1], '\n')+1:], &last); err != nil {
		t.Fatal(err)
	}
	if err := r.Export(t.Context(), &rest, last.N+1, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(slices.Clone(got), rest.Bytes()...), whole.Bytes()) {
		t.Error("the two parts are not the whole")
	}
	imported, err := Verify(t.Context(), Lines(&whole), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := r.Verify(t.Context())
	if err != nil || !own.OK || !imported.OK || own.Head != imported.Head || imported.Records != 1000 {
		t.Errorf("%v: kept %+v, imported %+v", err, own, imported)
	}
}

type shortWriter struct {
	w    io.Writer
	left int
}

func (s *shortWriter) Write(b []byte) (int, error) {
	if len(b) > s.left {
		n, _ := s.w.Write(b[:s.left])
		s.left = 0
		return n, io.ErrClosedPipe
	}
	s.left -= len(b)
	return s.w.Write(b)
}

// While the disk takes nothing nobody is told that something is on record, and
// what was done is written later, once, with word of the interruption.
func TestInterrupted(t *testing.T) {
	for _, half := range []bool{false, true} {
		t.Run(fmt.Sprintf("half=%v", half), func(t *testing.T) {
			lines, marks := &memory{}, &memory{}
			r := openTest(t, lines, marks, nil)
			if err := r.Add(t.Context(), act(1)); err != nil {
				t.Fatal(err)
			}
			lines.set(errors.New("no space left"), half)
			if err := r.Add(t.Context(), act(2)); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			if err := r.Ready(); !errors.Is(err, ErrUnavailable) {
				t.Errorf("ready: %v", err)
			}
			if err := r.Try(t.Context(), act(3)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			lines.set(nil, false)
			deadline := time.Now().Add(10 * time.Second)
			for r.Ready() != nil && time.Now().Before(deadline) {
				time.Sleep(20 * time.Millisecond)
			}
			if err := r.Add(t.Context(), act(4)); err != nil {
				t.Fatal(err)
			}
			report, err := r.Verify(t.Context())
			if err != nil || !report.OK {
				t.Fatalf("%v %+v", err, report)
			}
			var objects []string
			for _, l := range lines.lines {
				var e Entry
				_ = json.Unmarshal(l, &e)
				objects = append(objects, e.Act+" "+e.Object)
			}
			text := strings.Join(objects, ", ")
			if strings.Count(text, "alarm-2") < 1 || !strings.Contains(text, "audit.interrupted") || !strings.Contains(text, "alarm-4") {
				t.Errorf("on record: %s", text)
			}
			if !half && strings.Contains(text, "alarm-3") {
				t.Errorf("what did not happen is on record: %s", text)
			}
		})
	}
}

// A stranger who is refused a hundred thousand times costs a handful of records,
// which say how many there were.
func TestCrowd(t *testing.T) {
	lines, marks := &memory{}, &memory{}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	r := openTest(t, lines, marks, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	})
	const tries = 100_000
	for i := range tries {
		r.Note(Entry{Who: Who{Kind: Stranger}, From: fmt.Sprintf("2001:db8::%x", i%65536), Act: "session.open", Outcome: Refused, Status: 401, Reason: "bad_token"})
	}
	for i := range 10_000 {
		r.Note(Entry{Who: Who{Kind: Stranger}, From: fmt.Sprintf("2001:db8:%x:%x::1", i/5000, i), Act: "session.open", Outcome: Refused, Reason: "bad_token"})
	}
	mu.Lock()
	at = at.Add(crowdWindow)
	mu.Unlock()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var total uint64
	for _, l := range lines.lines {
		var e Entry
		if err := json.Unmarshal(l, &e); err != nil {
			t.Fatal(err)
		}
		total += max(e.Count, 1)
	}
	if total != tries+10_000 {
		t.Errorf("%d refusals are on record, want %d", total, tries+10_000)
	}
	if n := len(lines.lines); n > crowdTotal+crowdSums+1 {
		t.Errorf("%d records, want %d at most", n, crowdTotal+crowdSums+1)
	}
}

func TestKeep(t *testing.T) {
	type person struct {
		ID    string `json:"id"`
		Name  string `json:"name" personal:"name"`
		Phone string `json:"phone,omitempty" personal:"contact"`
	}
	type department struct {
		Code   string            `json:"departmentName"`
		Head   person            `json:"head"`
		People []*person         `json:"people"`
		By     map[string]person `json:"by"`
	}
	token := "V1m2N3b4C5x6Z7l8K9j0H1g2F3d4S5a6P7o8I9u0Y1t"
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, ``},
		{department{Code: "x", Head: person{"a", "Nguyễn Văn A", "0912"}, People: []*person{{ID: "b", Name: "B"}}, By: map[string]person{"k": {ID: "c", Name: "C"}}},
			`{"by":{"k":{"id":"c","name":"[personal]"}},"departmentName":"x","head":{"id":"a","name":"[personal]","phone":"[personal]"},"people":[{"id":"b","name":"[personal]"}]}`},
		{map[string]any{"token": "x", "api_token": "y", "apiToken": "z", "tokens": 3, "password": "p", "psk": "00ff", "note": "hello"},
			`{"apiToken":"[secret]","api_token":"[secret]","note":"hello","password":"[secret]","psk":"[secret]","token":"[secret]","tokens":3}`},
		{map[string]any{"a": []any{map[string]any{"clientSecret": "s", "totp": map[string]any{"seed": "x"}}}},
			`{"a":[{"clientSecret":"[secret]","totp":"[secret]"}]}`},
		{map[string]any{"note": "my token is " + token + "."}, `{"note":"[secret]"}`},
		{map[string]any{"sha256": strings.Repeat("ab12", 16)}, `{"sha256":"` + strings.Repeat("ab12", 16) + `"}`},
		{map[string]any{"totp": false, "secret": ""}, `{"secret":"","totp":false}`},
		{"-----BEGIN PRIVATE KEY-----\nx", `"[secret]"`},
		{3.25, `3.25`},
		{func() {}, `{"_error":"json: unsupported type: func()"}`},
	} {
		if got := string(Keep(c.in)); got != c.want {
			t.Errorf("Keep(%v)\n got %s\nwant %s", c.in, got, c.want)
		}
	}
	if got := Keep(strings.Repeat("x y ", 20_000)); !strings.Contains(string(got), `"_bytes":80002`) {
		t.Errorf("a long one is kept as %.200s", got)
	}
	shown, err := Shown(department{Head: person{Name: "A"}})
	if raw, _ := json.Marshal(shown); err != nil || !strings.Contains(string(raw), `"name":""`) {
		t.Errorf("%v %s", err, raw)
	}
}

func TestNames(t *testing.T) {
	store := newKept()
	names, err := OpenNames(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	id, err := names.Pseudonym(t.Context(), "binh", "Trần Bình")
	if err != nil || strings.Contains(id, "binh") {
		t.Fatalf("%q, %v", id, err)
	}
	lines, marks := &memory{}, &memory{}
	r := openTest(t, lines, marks, func(o *Options) { o.Names = names })
	e := act(1)
	e.Who.ID = id
	if err := r.Add(t.Context(), e, act(2)); err != nil {
		t.Fatal(err)
	}
	if again, _ := names.Pseudonym(t.Context(), "binh", "Trần Thị Bình"); again != id || r.Name(e.Who) != "Trần Thị Bình" {
		t.Errorf("renamed: %q is %q, want %q", again, r.Name(e.Who), id)
	}
	for _, who := range []string{"binh", "Trần Thị Bình", id} {
		if f, err := r.Find(t.Context(), Query{Who: who}); err != nil || len(f.Entries) != 1 || f.Entries[0].N != 1 {
			t.Errorf("by %s: %v %+v", who, err, f)
		}
	}
	if got, err := names.Erase(t.Context(), "binh"); got != id || err != nil {
		t.Errorf("erased %q, %v", got, err)
	}
	if r.Name(e.Who) != "" {
		t.Error("the name is still known")
	}
	reopened, err := OpenNames(t.Context(), store)
	if err != nil || reopened.Name(id) != "" || len(store.m) != 0 {
		t.Errorf("the store still has %v, %v", store.m, err)
	}
	if report, err := r.Verify(t.Context()); err != nil || !report.OK {
		t.Errorf("the chain broke: %v %+v", err, report)
	}
	if fresh, _ := names.Pseudonym(t.Context(), "binh", "Bình"); fresh == id {
		t.Error("a name that was erased came back")
	}
}

func TestFind(t *testing.T) {
	lines, marks, _ := chainOf(t, 5000)
	r := openTest(t, lines, marks, nil)
	if err := r.Add(t.Context(), Entry{Who: Who{Kind: Stranger}, From: "2001:db8:5::1", Act: "rule.apply", Object: "rules", Outcome: Refused}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    Query
		want []uint64
	}{
		{Query{Limit: 3}, []uint64{5001, 5000, 4999}},
		{Query{Limit: 2, Below: 4000}, []uint64{3999, 3998}},
		{Query{Outcome: Refused}, []uint64{5001}},
		{Query{Act: "rule."}, []uint64{5001}},
		{Query{Act: "rule"}, nil},
		{Query{Object: "alarm-17", Limit: 2, Below: 100}, []uint64{18}},
		{Query{From: "2001:db8:5:"}, []uint64{5001}},
		{Query{Who: "p-3", Limit: 1, Below: 12}, []uint64{11}},
		{Query{After: time.Now().Add(time.Hour)}, nil},
		{Query{Until: time.Now().Add(-time.Hour)}, nil},
	} {
		f, err := r.Find(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, e := range f.Entries {
			got = append(got, e.N)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.q, got, c.want)
		}
	}
	pages, seen, below := 0, 0, uint64(0)
	for {
		f, err := r.Find(t.Context(), Query{Act: "alarm.acknowledge", Limit: 700, Below: below})
		if err != nil {
			t.Fatal(err)
		}
		seen += len(f.Entries)
		if below = f.Below; below == 0 {
			break
		}
		if pages++; pages > 20 {
			t.Fatal("the pages do not end")
		}
	}
	if seen != 5000 {
		t.Errorf("the pages have %d records, want 5000", seen)
	}
}

// receiver is a TLS syslog receiver that wants a client certificate.
type receiver struct {
	l    net.Listener
	mu   sync.Mutex
	got  []string
	conn net.Conn
}

func (s *receiver) serve(t *testing.T, addr string, conf *tls.Config) string {
	l, err := tls.Listen("tcp", addr, conf)
	if err != nil {
		t.Error(err)
		return ""
	}
	s.l = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conn = c
			s.mu.Unlock()
			s.read(c)
		}
	}()
	return l.Addr().String()
}

// read takes frames by octet counting (RFC 5425 section 4.3).
func (s *receiver) read(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "%d", &n); err != nil {
			return
		}
		if b, err := r.ReadByte(); err != nil || b != ' ' {
			return
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(r, msg); err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, string(msg))
		s.mu.Unlock()
	}
}

func (s *receiver) lines() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		if _, line, ok := strings.Cut(m, "\xEF\xBB\xBF"); ok {
			list = append(list, line)
		}
	}
	return list
}

func testCertificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv6loopback}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// The record goes to a receiver over TLS, over an outage of the receiver and a
// restart of ours, and what arrived is the chain.
func TestSyslog(t *testing.T) {
	cert := testCertificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	rcv := &receiver{}
	addr := rcv.serve(t, "[::1]:0", conf)
	lines, marks := &memory{}, &memory{}
	r := openTest(t, lines, marks, nil)
	cursor := newKept()
	send := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- r.Syslog(ctx, SyslogOptions{
				Address: addr, TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}, Cursor: cursor, Host: "op's center",
			}, nil)
		}()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	add := func(n int) {
		for i := range n {
			e := act(i)
			e.Act = `odd "act" \ ]`
			if err := r.Add(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	wait := func(want uint64) {
		t.Helper()
		deadline := time.Now().Add(15 * time.Second)
		for {
			got := rcv.lines()
			if len(got) > 0 {
				var e Entry
				_ = json.Unmarshal([]byte(got[len(got)-1]), &e)
				if e.N >= want {
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d messages, want record %d", len(got), want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	add(50)
	stop := send()
	wait(50)
	stop()
	add(10)
	stop = send()
	wait(60)
	if n := len(rcv.lines()); n != 60 {
		t.Errorf("%d messages after a clean stop, want 60: some came twice or not at all", n)
	}
	// The receiver goes and comes back.
	_ = rcv.l.Close()
	rcv.mu.Lock()
	_ = rcv.conn.Close()
	rcv.mu.Unlock()
	add(40)
	rcv.serve(t, addr, conf)
	wait(100)
	stop()
	_ = rcv.l.Close()
	byN := map[uint64]string{}
	for _, line := range rcv.lines() {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if old, ok := byN[e.N]; ok && old != line {
			t.Errorf("record %d came in two forms", e.N)
		}
		byN[e.N] = line
	}
	var all bytes.Buffer
	for n := uint64(1); n <= 100; n++ {
		all.WriteString(byN[n] + "\n")
	}
	report, err := Verify(t.Context(), Lines(&all), VerifyOptions{})
	if _, head, _ := r.Head(); err != nil || !report.OK || report.Records != 100 || report.Head != head {
		t.Errorf("what arrived: %v %+v", err, report)
	}
	want := `<109>1 `
	if m := rcv.got[0]; !strings.HasPrefix(m, want) || !strings.Contains(m, ` op'scenter vonglau `) || !strings.Contains(m, `act="odd \"act\" \\ \]"`) {
		t.Errorf("the message is %q", m)
	}
}

func TestOpenKey(t *testing.T) {
	dir := t.TempDir()
	key, err := OpenKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKey(dir)
	if err != nil || !key.Equal(again) {
		t.Errorf("the key changed: %v", err)
	}
	public, err := ReadPublicKey(dir + "/" + PublicKeyFile)
	if err != nil || !public.Equal(key.Public()) {
		t.Errorf("the public key is another: %v", err)
	}
}

// A byte that is changed anywhere in a chain that is signed is found.
func FuzzVerify(f *testing.F) {
	stored, marks, key := chainOf(f, 20)
	var mark Checkpoint
	if err := json.Unmarshal(marks.lines[0], &mark); err != nil {
		f.Fatal(err)
	}
	whole := append(bytes.Join(stored.lines, []byte("\n")), '\n')
	f.Add(0, byte('x'))
	f.Add(len(stored.lines[0]), byte(' '))
	f.Add(len(whole)-2, byte('\n'))
	f.Add(len(whole)/2, byte('"'))
	f.Fuzz(func(t *testing.T, at int, to byte) {
		if at < 0 || at >= len(whole)-1 || whole[at] == to {
			return
		}
		changed := slices.Clone(whole)
		changed[at] = to
		r, err := Verify(context.Background(), Lines(bytes.NewReader(changed)), VerifyOptions{Checkpoints: []Checkpoint{mark}, Key: key.Public().(ed25519.PublicKey)})
		if err == nil && r.OK {
			t.Fatalf("byte %d was %q and is %q: %+v", at, whole[at], to, r)
		}
	})
}
