package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
	"vonglau/ops-center/outbound"
)

// memoryLog is a log that outlives the Notify over it, and can be made to fail.
type memoryLog struct {
	mu      sync.Mutex
	records [][]byte
	subject string // of all of them
	grown   chan struct{}
	// fail makes the next appends fail; lie makes them fail after having been
	// done.
	fail, lie int
}

func (l *memoryLog) Append(_ context.Context, subject string, data []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return 0, errors.New("the disk is full")
	}
	l.subject = subject
	l.records = append(l.records, bytes.Clone(data))
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	if l.lie > 0 {
		l.lie--
		return 0, errors.New("the engine went away")
	}
	return uint64(len(l.records)), nil
}

func (l *memoryLog) End() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.records))
}

func (l *memoryLog) Read(ctx context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for i := max(from, 1); ; i++ {
		l.mu.Lock()
		if i > uint64(len(l.records)) {
			l.mu.Unlock()
			return nil
		}
		data, subject := l.records[i-1], l.subject
		l.mu.Unlock()
		if err := each(i, time.Time{}, subject, data); err != nil {
			return err
		}
	}
}

func (l *memoryLog) Follow(ctx context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for {
		next := from
		if err := l.Read(ctx, from, func(seq uint64, at time.Time, s string, d []byte) error { next = seq + 1; return each(seq, at, s, d) }); err != nil {
			return err
		}
		from = next
		l.mu.Lock()
		if uint64(len(l.records)) >= from {
			l.mu.Unlock()
			continue
		}
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type memoryStore struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *memoryStore) Load(_ context.Context, each func(string, []byte) error) error {
	s.mu.Lock()
	values := maps.Clone(s.values)
	s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if err := each(k, values[k]); err != nil {
			return err
		}
	}
	return nil
}

func (s *memoryStore) Put(ctx context.Context, k string, v []byte) error {
	return s.PutAll(ctx, map[string][]byte{k: v})
}

func (s *memoryStore) PutAll(_ context.Context, entries map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range entries {
		s.values[k] = bytes.Clone(v)
	}
	return nil
}

func (s *memoryStore) Delete(_ context.Context, k string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, k)
	return nil
}

// openly is a sealer that shows whether id and purpose come back.
type openly struct{}

func (openly) Seal(plain []byte, purpose, id string) []byte {
	return append([]byte("sealed "+purpose+id+"\x00"), plain...)
}

func (openly) Unseal(sealed []byte, purpose, id string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte("sealed "+purpose+id+"\x00"))
	if !ok {
		return nil, errors.New("of another")
	}
	return plain, nil
}

// house is the logs and stores, and a Notify over them that can be killed.
type house struct {
	t                      testing.TB
	alarms, feed, receipts memoryLog
	warnings               memoryLog
	covered                Covered
	store                  memoryStore
	opt                    Options
	n                      *Notify
	count                  int
}

var loopback = []netip.Prefix{netip.MustParsePrefix("::1/128")}

func newHouse(t testing.TB, change func(*Options)) *house {
	t.Helper()
	h := &house{t: t, store: memoryStore{values: map[string][]byte{}}}
	client, err := outbound.New(outbound.Options{Allow: loopback, Timeout: 2 * time.Second, Secrets: []string{HeaderSignature}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	h.opt = Options{
		Sealer: openly{}, Outbound: client, Linger: time.Millisecond, Backoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		Calendar: time.FixedZone("+07", 7*3600),
	}
	if change != nil {
		change(&h.opt)
	}
	h.open()
	t.Cleanup(func() { _ = h.n.Stop(context.Background()) })
	return h
}

func (h *house) open() {
	h.t.Helper()
	o := h.opt
	o.Store, o.Feed, o.Receipts, o.Sources = &h.store, &h.feed, &h.receipts, []Source{
		Alarms(&h.alarms), Warnings(&h.warnings, func(named []alert.Zone, drawn [][]cap12.Point) []alert.Zone {
			if h.covered == nil {
				return named
			}
			return h.covered(named, drawn)
		}),
	}
	n, err := Open(context.Background(), o)
	if err != nil {
		h.t.Fatal(err)
	}
	n.Start()
	h.n = n
}

// restart is a stop, or with crash what a kill -9 leaves: whatever the store had
// before the stop.
func (h *house) restart(crash bool) {
	h.t.Helper()
	h.store.mu.Lock()
	before := maps.Clone(h.store.values)
	h.store.mu.Unlock()
	if err := h.n.Stop(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	if crash {
		h.store.mu.Lock()
		h.store.values = before
		h.store.mu.Unlock()
	}
	h.open()
}

// alarm appends a transition to the log of alarms; its number is in its name.
func (h *house) alarm(kind string, change func(*alert.Transition)) string {
	h.t.Helper()
	h.count++
	now := time.Now().UTC()
	t := alert.Transition{Event: alert.Raise, From: alert.Normal, To: alert.Unacknowledged, At: now, Recorded: now, Who: alert.Actor{Name: "rules"}}
	id := fmt.Sprintf("flood.d%d.x", h.count)
	t.Alarm = alert.Alarm{
		ID: id, Rule: "flood", RuleName: map[string]string{"vi": "Ngập đường", "en": "Flood"}, Device: "d1", Entity: "d1", Priority: 2, Raised: now,
		Quantity: "water_level", Message: map[string]string{"vi": "Nước 35 cm", "en": "Water 35 cm"}, Response: map[string]string{"vi": "Đóng đường", "en": "Close the road"},
		Zones: []alert.Zone{{Layer: "wards", Code: "13669", Name: "Nam Định"}}, Owner: "Sở Xây dựng", At: &[2]float64{106.17, 20.43},
	}
	switch kind {
	case AlarmCleared:
		t.Event, t.From, t.To = alert.Clear, alert.Unacknowledged, alert.Returned
	case AlarmAcknowledged:
		t.Event, t.From, t.To = alert.Ack, alert.Unacknowledged, alert.Acknowledged
	}
	if change != nil {
		change(&t)
	}
	data, err := json.Marshal(t)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.alarms.Append(context.Background(), "alarm", data); err != nil {
		h.t.Fatal(err)
	}
	return t.Alarm.ID
}

func (h *house) add(s Subscription, secret string) Subscription {
	h.t.Helper()
	s.Department = cmp.Or(s.Department, "Sở Xây dựng")
	out, _, err := h.n.Add(context.Background(), s, secret, "test")
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// receiver is a webhook's other end.
type receiver struct {
	url    string
	down   atomic.Bool
	mu     sync.Mutex
	bodies []Message
	raw    [][]byte
	header []http.Header
	tries  int
	// retryAfter is said with each 502.
	retryAfter string
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
	s.Start()
	t.Cleanup(s.Close)
	r.url = s.URL + "/hook?key=k"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.down.Load() {
		if r.retryAfter != "" {
			w.Header().Set("Retry-After", r.retryAfter)
		}
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("out of order"))
		return
	}
	var m Message
	_ = json.Unmarshal(body, &m)
	r.bodies, r.raw, r.header = append(r.bodies, m), append(r.raw, body), append(r.header, req.Header.Clone())
}

func (r *receiver) got() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

func (r *receiver) alarms() (ids []string) {
	for _, m := range r.got() {
		for _, e := range m.events() {
			if e.Alarm != nil {
				ids = append(ids, e.Alarm.ID)
			}
		}
	}
	return ids
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestWebhook: what a receiver gets is signed over its octets, has the id of the
// delivery, and comes with both signatures while a secret is replaced.
func TestWebhook(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	secret := []byte("first secret of ours")
	s := h.add(Subscription{Kind: Webhook, URL: r.url}, string(secret))
	id := h.alarm(AlarmRaised, nil)
	eventually(t, "the delivery", func() bool { return len(r.got()) == 1 })
	m := r.got()[0]
	if m.Event == nil || m.Event.Alarm.ID != id || m.Event.Kind != AlarmRaised || m.Department != "Sở Xây dựng" || m.Subscription != s.ID {
		t.Errorf("got %+v", m)
	}
	head, body := r.header[0], r.raw[0]
	if head.Get(HeaderDelivery) != m.ID || m.ID == "" || head.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", head)
	}
	sig := head.Get(HeaderSignature)
	if err := Verify(sig, body, secret, time.Now(), time.Minute); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"a changed octet": Verify(sig, append([]byte{' '}, body...), secret, time.Now(), time.Minute),
		"another secret":  Verify(sig, body, []byte("x"), time.Now(), time.Minute),
		"an old time":     Verify(sig, body, secret, time.Now().Add(10*time.Minute), 5*time.Minute),
		"no header":       Verify("", body, secret, time.Now(), time.Minute),
	} {
		if err == nil {
			t.Errorf("%s is believed", name)
		}
	}
	cred, err := h.n.Rotate(context.Background(), s.ID, "")
	if err != nil || cred.Secret == "" {
		t.Fatal(cred, err)
	}
	h.restart(false)
	h.alarm(AlarmRaised, nil)
	eventually(t, "the delivery after the rotation", func() bool { return len(r.got()) == 2 })
	for _, key := range []string{string(secret), cred.Secret} {
		if err := Verify(r.header[1].Get(HeaderSignature), r.raw[1], []byte(key), time.Now(), time.Minute); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
	}
	list, _, err := h.n.Deliveries(s.ID)
	if err != nil || len(list) != 2 || list[0].State != Delivered || list[0].Answer != "200" || list[0].Attempts != 1 || list[1].Latency <= 0 {
		t.Errorf("receipts %+v %v", list, err)
	}
	for key, value := range h.store.values {
		if bytes.Contains(value, secret) && !bytes.Contains(value, []byte("sealed")) {
			t.Errorf("%s keeps the secret in the clear", key)
		}
	}
}

// TestSignatureByHand pins the bytes that scripts rely on.
func TestSignatureByHand(t *testing.T) {
	// printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
	const want = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
	if got := Sign(time.Unix(1700000000, 0), []byte("{}"), []byte("secret")); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestOutage: a receiver that is down gets all of it afterwards, once and in
// order, whether the server is stopped or killed meanwhile.
func TestOutage(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", crash), func(t *testing.T) {
			h, r, other := newHouse(t, nil), newReceiver(t), newReceiver(t)
			s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
			h.add(Subscription{Kind: Webhook, URL: other.url}, "")
			var want []string
			for range 5 {
				want = append(want, h.alarm(AlarmRaised, nil))
			}
			eventually(t, "the first five", func() bool { return len(r.got()) == 5 })
			r.down.Store(true)
			for range 300 {
				want = append(want, h.alarm(AlarmRaised, nil))
			}
			eventually(t, "the others go on", func() bool { return len(other.got()) == len(want) })
			eventually(t, "attempts in vain", func() bool { return h.n.workers[s.ID].failing() })
			if w := h.n.Waiting(s.ID); w < 299 {
				t.Errorf("%d wait, want 299 at least", w)
			}
			h.restart(crash)
			for range 10 {
				want = append(want, h.alarm(AlarmRaised, nil))
			}
			time.Sleep(50 * time.Millisecond)
			r.down.Store(false)
			eventually(t, "all of it", func() bool { return len(r.alarms()) >= len(want) })
			time.Sleep(50 * time.Millisecond)
			got := r.got()
			ids := map[string]bool{}
			var order []string
			for _, m := range got { // at least once, told by the id
				if !ids[m.ID] {
					ids[m.ID] = true
					order = append(order, m.Event.Alarm.ID)
				}
			}
			if !slices.Equal(order, want) {
				t.Errorf("%d events, want %d in order", len(order), len(want))
			}
			if !crash && len(got) != len(want) {
				t.Errorf("%d deliveries of %d events over a stop", len(got), len(want))
			}
			if again := len(got) - len(want); again > 5 {
				t.Errorf("%d deliveries came again after a kill", again)
			}
			if _, dead, _ := h.n.Deliveries(s.ID); len(dead) > 0 {
				t.Errorf("%d dead letters", len(dead))
			}
		})
	}
}

// TestFeedOnce: whatever fails when, an event is in the feed once.
func TestFeedOnce(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	h.add(Subscription{Kind: Webhook, URL: r.url}, "")
	var want []string
	for i := range 40 {
		h.feed.mu.Lock()
		switch i % 4 {
		case 1:
			h.feed.fail = 2
		case 2:
			h.feed.lie = 1
		}
		h.feed.mu.Unlock()
		want = append(want, h.alarm(AlarmRaised, nil))
		if i%10 == 9 {
			h.restart(i%20 == 9)
		}
	}
	eventually(t, "all of them", func() bool { return len(r.alarms()) >= len(want) })
	time.Sleep(50 * time.Millisecond)
	if got := h.feed.End(); got != uint64(len(want)) {
		t.Errorf("%d events in the feed, want %d", got, len(want))
	}
	if got := slices.Compact(r.alarms()); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestDeadLetters: what was tried for its time is given up and kept; sent again
// it arrives with the id it had.
func TestDeadLetters(t *testing.T) {
	h, r := newHouse(t, func(o *Options) { o.GiveUp = 80 * time.Millisecond }), newReceiver(t)
	s := h.add(Subscription{Kind: Webhook, URL: r.url}, "")
	r.down.Store(true)
	want := []string{h.alarm(AlarmRaised, nil), h.alarm(AlarmRaised, nil), h.alarm(AlarmRaised, nil)}
	dead := func() []Receipt { _, dead, _ := h.n.Deliveries(s.ID); return dead }
	eventually(t, "three dead letters", func() bool { return len(dead()) == 3 })
	first := dead()[0]
	if first.Attempts < 2 || first.Error == "" || first.Answer != "502" || first.Digest == "" {
		t.Errorf("a dead letter %+v", first)
	}
	h.restart(true)
	if len(dead()) != 3 {
		t.Fatalf("%d dead letters after a kill", len(dead()))
	}
	if _, err := h.n.Resend(context.Background(), s.ID, "nothing"); !errors.Is(err, ErrNone) {
		t.Errorf("a dead letter that is not: %v", err)
	}
	if n, err := h.n.Resend(context.Background(), s.ID, first.ID); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	eventually(t, "dead again", func() bool { d := dead(); return len(d) == 3 && d[0].Attempts > first.Attempts && d[0].State == Dead })
	r.down.Store(false)
	if n, err := h.n.Resend(context.Background(), s.ID, ""); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	eventually(t, "delivered", func() bool { return len(dead()) == 0 })
	if got := r.alarms(); !slices.Equal(got, want) || r.got()[0].ID != first.ID {
		t.Errorf("got %v, want %v; first id %s, want %s", got, want, r.got()[0].ID, first.ID)
	}
	later := h.alarm(AlarmRaised, nil)
	eventually(t, "what is new", func() bool { return slices.Contains(r.alarms(), later) })
	r.down.Store(true)
	h.alarm(AlarmRaised, nil)
	eventually(t, "one more", func() bool { return len(dead()) == 1 })
	if err := h.n.Discard(context.Background(), s.ID, dead()[0].ID); err != nil || len(dead()) != 0 {
		t.Errorf("put away: %v, %d left", err, len(dead()))
	}
}

// TestFilters: which of five alarms reach whom.
func TestFilters(t *testing.T) {
	h := newHouse(t, nil)
	names := map[string]string{}
	add := func(name string, f Filter) *receiver {
		r := newReceiver(t)
		h.add(Subscription{Kind: Webhook, URL: r.url, Filter: f}, "")
		return r
	}
	cases := []struct {
		name string
		f    Filter
		want string
	}{
		{"all", Filter{}, "abcdf"},
		{"priority", Filter{Priorities: []int{1}}, "b"},
		{"zone", Filter{Zones: []ZoneFilter{{Layer: "wards", Code: "13670"}}}, "c"},
		{"layer", Filter{Zones: []ZoneFilter{{Layer: "wards"}}}, "abcdf"},
		{"quantity", Filter{Quantities: []devices.Quantity{"pm25"}}, "d"},
		{"rule", Filter{Rules: []string{"air"}}, "d"},
		{"owner", Filter{Owners: []string{"sở  y tế"}}, "d"},
		{"event", Filter{Events: []string{AlarmCleared}}, "f"},
		{"exercise", Filter{Exercises: true, Priorities: []int{2}}, "acdef"},
		{"category", Filter{Categories: []string{"Met"}}, ""},
	}
	var list []*receiver
	for _, c := range cases {
		list = append(list, add(c.name, c.f))
	}
	raise := func(name, kind string, change func(*alert.Transition)) { names[h.alarm(kind, change)] = name }
	raise("a", AlarmRaised, nil)
	raise("b", AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
	raise("c", AlarmRaised, func(t *alert.Transition) { t.Alarm.Zones[0].Code = "13670" })
	raise("d", AlarmRaised, func(t *alert.Transition) {
		t.Alarm.Quantity, t.Alarm.Rule, t.Alarm.Owner = "pm25", "air", "Sở Y tế"
	})
	names["drill"] = "e"
	if err := h.n.feed.append(context.Background(), &Event{Source: "alarms2", SourceSeq: 1, Kind: AlarmRaised, Priority: 2, Exercise: "drill-1", Recorded: time.Now(), Alarm: &alert.Alarm{ID: "drill"}}); err != nil {
		t.Fatal(err)
	}
	raise("f", AlarmCleared, nil)
	for i, c := range cases {
		got := func() string {
			var b []byte
			for _, id := range list[i].alarms() {
				b = append(b, names[id]...)
			}
			slices.Sort(b)
			return string(b)
		}
		eventually(t, c.name+": "+c.want, func() bool { return got() == c.want || len(got()) > len(c.want) })
		if got() != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got(), c.want)
		}
	}
}
