package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"
)

// DepartmentID is a department's name as it stands in topics and addresses:
// without marks, in small letters, with hyphens. "Sở Xây dựng" is so-xay-dung.
func DepartmentID(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFD.String(strings.ToLower(name)) {
		switch {
		case r == 'đ':
			r = 'd'
		case r >= 0x300 && r <= 0x36f:
			continue
		}
		if r < '0' || r > '9' && r < 'a' || r > 'z' {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// streams are the places of the sessions that fetch, and who is fetching.
type streams struct {
	mu     sync.Mutex
	open   map[string]map[*Tail]bool // by subscription
	places map[string]uint64         // by subscription and session, NUL between
	closed bool
}

// Tail is one receiver's reading of a stream. Next is for one goroutine.
type Tail struct {
	n       *Notify
	sub     Subscription
	session string // "" when the receiver keeps its own place
	at      uint64
	queue   []*Event
	gone    chan struct{}
	once    sync.Once
}

// ErrEnded is the error of a stream whose subscription or credentials ended.
var ErrEnded = errors.New("the stream has ended: ask again")

// Tail opens a subscription's stream behind an event of the feed.
func (n *Notify) Tail(id string, since uint64) (*Tail, error) { return n.tail(id, "", since) }

// Session opens the stream for a session that this server keeps the place of:
// behind what it has acknowledged with resume, else from now on.
func (n *Notify) Session(id, session string, resume bool) (*Tail, error) {
	at := n.feed.end()
	n.streams.mu.Lock()
	if place, ok := n.streams.places[id+"\x00"+session]; ok && resume {
		at = place
	}
	n.streams.mu.Unlock()
	t, err := n.tail(id, session, at)
	if err != nil || resume {
		return t, err
	}
	// Where a session began is kept at once: what comes while it is away is its
	// own, whatever becomes of us meanwhile.
	n.streams.begin(id, session, t.at)
	raw, err := json.Marshal(t.at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.opt.Store.Put(ctx, keyStream+id+"\x00"+session, raw); err != nil {
		t.Close()
		return nil, fmt.Errorf("keeping where a session begins: %w", err)
	}
	return t, nil
}

func (n *Notify) tail(id, session string, at uint64) (*Tail, error) {
	w, err := n.worker(id)
	if err != nil {
		return nil, err
	}
	sub := w.subscription()
	if sub.Kind != Stream {
		return nil, invalid("kind", "%s is no stream", sub.Name)
	}
	if sub.Paused {
		return nil, ErrEnded
	}
	t := &Tail{n: n, sub: sub, session: session, at: max(at, w.start), gone: make(chan struct{})}
	n.streams.mu.Lock()
	defer n.streams.mu.Unlock()
	if n.streams.closed {
		return nil, ErrEnded
	}
	if n.streams.open[id] == nil {
		n.streams.open[id] = map[*Tail]bool{}
	}
	n.streams.open[id][t] = true
	return t, nil
}

// Forget drops a session's place.
func (n *Notify) Forget(ctx context.Context, id, session string) error {
	n.streams.mu.Lock()
	_, ok := n.streams.places[id+"\x00"+session]
	delete(n.streams.places, id+"\x00"+session)
	n.streams.mu.Unlock()
	if !ok {
		return nil
	}
	return n.opt.Store.Delete(ctx, keyStream+id+"\x00"+session)
}

// Next waits for the next message. seq grows and is what Ack takes.
func (t *Tail) Next(ctx context.Context) (seq uint64, body []byte, err error) {
	for {
		for len(t.queue) > 0 {
			e := t.queue[0]
			t.queue = t.queue[1:]
			t.at = e.Seq
			if !t.sub.wants(e) {
				continue
			}
			body, err := t.sub.message([]*Event{e}, false).body()
			return e.Seq, body, err
		}
		more := t.n.feed.more(t.at)
		if t.queue, err = t.n.feed.after(ctx, t.at); err != nil {
			return 0, nil, err
		}
		if len(t.queue) > 0 {
			continue
		}
		select {
		case <-more:
		case <-t.gone:
			return 0, nil, ErrEnded
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
		select {
		case <-t.gone:
			return 0, nil, ErrEnded
		default:
		}
	}
}

// Ack says that the receiver has a message: that is the receipt.
func (t *Tail) Ack(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := t.n.opt.Now().UTC()
	e, err := t.n.feed.get(ctx, seq)
	if err != nil || !t.sub.wants(e) {
		return // acknowledged in vain
	}
	if t.session != "" {
		t.n.streams.move(t.sub.ID, t.session, seq)
	}
	w, err := t.n.worker(t.sub.ID)
	if err != nil {
		return
	}
	r := t.sub.message([]*Event{e}, false).receipt(e.Recorded)
	r.State, r.At, r.Attempts, r.Session = Delivered, now, 1, t.session
	r.Latency = max(0, ms(now.Sub(e.Recorded)))
	w.mu.Lock()
	w.remember(r)
	w.mu.Unlock()
	t.n.metrics.deliveries.WithLabelValues(string(Stream), string(Delivered)).Inc()
	t.n.metrics.latency.Observe(r.Latency / 1000)
	t.n.escalate.received(t.sub.ID, seq, seq)
	t.n.record(r)
}

// Close ends the reading.
func (t *Tail) Close() {
	t.once.Do(func() { close(t.gone) })
	t.n.streams.mu.Lock()
	defer t.n.streams.mu.Unlock()
	delete(t.n.streams.open[t.sub.ID], t)
}

// begin puts a session where it begins, which may be behind where one of that
// name had been.
func (s *streams) begin(id, session string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[id+"\x00"+session] = seq
}

func (s *streams) move(id, session string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[id+"\x00"+session] = max(s.places[id+"\x00"+session], seq)
}

// of gives the places of a subscription's sessions, by their key.
func (s *streams) of(id string) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]uint64{}
	for key, seq := range s.places {
		if id == "" || strings.HasPrefix(key, id+"\x00") {
			out[key] = seq
		}
	}
	return out
}

// end closes the readings of a subscription, to be asked for again.
func (s *streams) end(id string) {
	s.mu.Lock()
	var list []*Tail
	for t := range s.open[id] {
		list = append(list, t)
	}
	s.mu.Unlock()
	for _, t := range list {
		t.Close()
	}
}

func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	ids := make([]string, 0, len(s.open))
	for id := range s.open {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.end(id)
	}
}

func (s *streams) readers(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open[id])
}

// testStream puts a test into the stream, where it has its turn as all else, and
// waits for a receipt.
func (n *Notify) testStream(ctx context.Context, s Subscription) (Receipt, error) {
	now := n.opt.Now().UTC()
	e := &Event{Source: "test", Kind: typeTest, At: now, Recorded: now, Target: s.ID, Title: words["test"], Text: words["testText"]}
	seq, err := n.feed.appended(ctx, e)
	if err != nil {
		return Receipt{}, err
	}
	e.Seq = seq
	r := s.message([]*Event{e}, false).receipt(now)
	r.State, r.At, r.Attempts = Dead, now, 1
	if n.streams.readers(s.ID) == 0 {
		r.Error = "nobody is connected to the stream; the test waits in it"
		return r, nil
	}
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) && sleep(ctx, 20*time.Millisecond) {
		list, _, err := n.Deliveries(s.ID)
		if err != nil {
			return r, err
		}
		for _, got := range list {
			if got.ID == r.ID && got.State == Delivered {
				return got, nil
			}
		}
	}
	r.Error = "no receipt within 5 s"
	return r, nil
}

// values are the places of sessions as they are kept.
func (s *streams) values() (map[string][]byte, error) {
	out := map[string][]byte{}
	for key, seq := range s.of("") {
		raw, err := json.Marshal(seq)
		if err != nil {
			return nil, err
		}
		out[keyStream+key] = raw
	}
	return out, nil
}

// Sent says that a message was handed to the connection. It is no receipt, but
// all that a test over WebSocket can know of a receiver that gives none.
func (t *Tail) Sent(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if e, err := t.n.feed.get(ctx, seq); err == nil && e.Kind == typeTest {
		t.Ack(seq)
	}
}

// End is the number of the newest event.
func (n *Notify) End() uint64 { return n.feed.end() }

// Mails reports whether mail can be sent.
func (n *Notify) Mails() bool { return n.opt.Mail != nil }
