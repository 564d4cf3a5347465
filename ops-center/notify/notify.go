package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/outbound"
)

// Sealer keeps secrets that must be read again. *trust.Authority is one.
type Sealer interface {
	Seal(plain []byte, purpose, id string) []byte
	Unseal(sealed []byte, purpose, id string) ([]byte, error)
}

// Options are what Open needs and may be told.
type Options struct {
	// Store keeps the subscriptions, their secrets, places and dead letters.
	Store devices.Store
	// Feed is the log of events, Receipts that of deliveries.
	Feed, Receipts Log
	// Sources are what there is to tell.
	Sources []Source
	// Answers tells which department an alarm is the business of; the rule's
	// when nil.
	Answers func(*alert.Alarm) string
	Sealer  Sealer
	// Outbound reaches webhooks.
	Outbound *outbound.Client
	// Mail sends mail; nil for a server without.
	Mail *Mailer
	// Calendar is the city's; UTC when nil.
	Calendar *time.Location
	// Base is the address of this server for those outside: mails, webhooks and
	// CAP lead to its pages.
	Base string
	// Sender is the sender of messages in CAP; vonglau-alarms.
	Sender string
	// Backoff is the time after the first failure, which doubles up to
	// MaxBackoff; 1 s and 5 min. GiveUp ends it; 24 h.
	Backoff, MaxBackoff, GiveUp time.Duration
	// Linger is how long receipts wait for others before they are written; 20 ms.
	Linger time.Duration

	Now func() time.Time
	// After is the clock's alarm, time.After when nil: what waits for a moment of
	// Now waits by it.
	After   func(time.Duration) <-chan time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Store == nil || o.Feed == nil || o.Receipts == nil || o.Sealer == nil || o.Outbound == nil {
		return errors.New("notify: Store, Feed, Receipts, Sealer and Outbound are needed")
	}
	if o.Sender == "" {
		o.Sender = "vonglau-alarms"
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 5 * time.Minute
	}
	if o.GiveUp <= 0 {
		o.GiveUp = 24 * time.Hour
	}
	if o.Linger <= 0 {
		o.Linger = 20 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// secrets are what a subscription's receiver proves itself or us by.
type secrets struct {
	// Current and Previous sign webhooks; Previous until Until.
	Current  []byte    `json:"current,omitempty"`
	Previous []byte    `json:"previous,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	// Token opens a stream or a feed: its SHA-256.
	Token []byte `json:"token,omitempty"`
}

// place is how far a subscription is in the feed. Up to Cursor all is decided,
// up to Ahead all that is not held.
type place struct {
	Cursor uint64 `json:"cursor"`
	Ahead  uint64 `json:"ahead"`
}

// kept is a subscription as it is stored: the secrets sealed.
type kept struct {
	Subscription
	Secrets []byte `json:"secrets,omitempty"`
	// Start is the feed's end when it was made: it is told what came after.
	Start uint64 `json:"start"`
}

// Notify is the subscriptions and what is on its way to them.
type Notify struct {
	opt     Options
	feed    *feed
	metrics metrics

	// changing serialises changes of subscriptions.
	changing sync.Mutex

	mu      sync.RWMutex
	workers map[string]*worker
	running bool

	receipts chan recorded
	closing  sync.RWMutex // held to read by who sends to receipts
	closed   bool         // receipts is
	streams  streams
	ended    func(id string)
	escalate *escalator
	end      context.CancelFunc
	wg       sync.WaitGroup // feeders and the escalator
	writing  sync.WaitGroup // the writer of receipts
	ctx      context.Context
}

type recorded struct {
	r    Receipt
	done chan struct{} // closed when it is on disk; nil when nobody waits
}

type metrics struct {
	deliveries *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	latency    prometheus.Histogram
	broken     prometheus.Counter
	dropped    prometheus.Counter
	failures   prometheus.Counter
	unwatched  prometheus.Counter
}

// The keys of the store.
const (
	keySub    = "sub."
	keyMark   = "mark"
	keyPlaces = "places"
	keyDead   = "dead."
	keyStream = "stream."
)

// mark is where the feed was when the places were written.
type mark struct {
	Feed feedMark `json:"feed"`
	// Escalated is the place behind which escalations look again, nil before
	// there was one.
	Escalated *uint64 `json:"escalated,omitempty"`
}

// Open loads the subscriptions and where they are. Nothing is sent before Start.
func Open(ctx context.Context, o Options) (*Notify, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := &Notify{opt: o, workers: map[string]*worker{}, receipts: make(chan recorded, 4096)}
	n.streams.open = map[string]map[*Tail]bool{}
	n.streams.places = map[string]uint64{}
	var m mark
	places := map[string]place{}
	dead := map[string][]*Receipt{}
	err := o.Store.Load(ctx, func(key string, value []byte) error {
		var err error
		switch {
		case key == keyMark:
			err = json.Unmarshal(value, &m)
		case key == keyPlaces:
			err = json.Unmarshal(value, &places)
		case strings.HasPrefix(key, keySub):
			var k kept
			if err = json.Unmarshal(value, &k); err != nil {
				break
			}
			w := newWorker(n, k.Subscription)
			w.place = place{k.Start, k.Start}
			w.start = k.Start
			if len(k.Secrets) > 0 {
				var plain []byte
				if plain, err = o.Sealer.Unseal(k.Secrets, "subscription", k.ID); err == nil {
					err = json.Unmarshal(plain, &w.secrets)
				}
			}
			n.workers[k.ID] = w
		case strings.HasPrefix(key, keyDead):
			var r Receipt
			if err = json.Unmarshal(value, &r); err == nil {
				dead[r.Subscription] = append(dead[r.Subscription], &r)
			}
		case strings.HasPrefix(key, keyStream):
			var seq uint64
			if err = json.Unmarshal(value, &seq); err == nil {
				n.streams.places[strings.TrimPrefix(key, keyStream)] = seq
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the subscriptions: %w", err)
	}
	for id, w := range n.workers {
		if p, ok := places[id]; ok {
			w.place = p
		}
		for _, r := range dead[id] {
			w.dead[r.ID] = r
		}
		w.resend = w.deadInOrder(func(r *Receipt) bool { return r.State == Resending })
	}
	if err := n.recall(ctx); err != nil {
		return nil, err
	}
	if n.feed, err = openFeed(ctx, o.Feed, o.Now, m.Feed); err != nil {
		return nil, err
	}
	n.register(o.Metrics)
	n.metrics.broken.Add(float64(n.feed.broken))
	n.escalate = newEscalator(n)
	switch end := n.feed.end(); {
	case m.Escalated != nil:
		n.escalate.at = min(*m.Escalated, end)
	case end > recent:
		n.escalate.at = end - recent
	}
	return n, nil
}

// recall folds the receipts: places, and the history of each subscription.
func (n *Notify) recall(ctx context.Context) error {
	err := n.opt.Receipts.Read(ctx, 1, func(_ uint64, _ time.Time, _ string, data []byte) error {
		var list []Receipt
		if err := json.Unmarshal(data, &list); err != nil {
			n.opt.Log.Error("receipts cannot be read and were left out", "error", err)
			return nil
		}
		for i := range list {
			r := &list[i]
			w := n.workers[r.Subscription]
			if w == nil {
				continue
			}
			if w.fold(r); r.Session != "" {
				n.streams.move(r.Subscription, r.Session, r.Last)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the receipts: %w", err)
	}
	return nil
}

func (n *Notify) register(r prometheus.Registerer) {
	n.metrics = metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vonglau_deliveries_total", Help: "Deliveries to departments that were decided, by kind of subscription and outcome."}, []string{"kind", "state"}),
		attempts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vonglau_delivery_failures_total", Help: "Attempts to deliver that failed, by kind of subscription."}, []string{"kind"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vonglau_delivery_seconds", Help: "From the moment a delivery was due to its receipt.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600, 3600},
		}),
		broken:    prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_notify_unreadable_total", Help: "Records of alarms, messages or the feed that could not be read."}),
		dropped:   prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_dead_letters_dropped_total", Help: "Dead letters dropped because their subscription had too many."}),
		unwatched: prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_escalations_dropped_total", Help: "Receipts that nobody waits for, and that are not passed on, because too many are waited for."}),
		failures:  prometheus.NewCounter(prometheus.CounterOpts{Name: "vonglau_notify_write_failures_total", Help: "Failed writes of events and receipts."}),
	}
	if r == nil {
		return
	}
	r.MustRegister(n.metrics.deliveries, n.metrics.attempts, n.metrics.latency, n.metrics.broken, n.metrics.dropped, n.metrics.failures, n.metrics.unwatched)
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vonglau_dead_letters", Help: "Deliveries that were given up and wait for somebody."}, func() float64 {
		total := 0
		for _, w := range n.all() {
			total += w.deadCount()
		}
		return float64(total)
	}))
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vonglau_receivers_failing", Help: "Subscriptions whose last attempt failed."}, func() (failing float64) {
		for _, w := range n.all() {
			if w.failing() {
				failing++
			}
		}
		return failing
	}))
}

// Start puts feeders and deliveries to work.
func (n *Notify) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	n.ctx, n.end = ctx, cancel
	for _, s := range n.opt.Sources {
		n.wg.Go(func() { n.read(ctx, s) })
	}
	n.wg.Go(func() { n.escalate.run(ctx) })
	n.writing.Go(n.write)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = true
	for _, w := range n.workers {
		w.begin(ctx)
	}
}

// Stop ends what Start began. What was delivered is written down.
func (n *Notify) Stop(context.Context) error {
	n.mu.Lock()
	if !n.running {
		n.mu.Unlock()
		return nil
	}
	n.running = false
	n.mu.Unlock()
	n.end()
	n.wg.Wait()
	for _, w := range n.all() {
		w.finish()
	}
	n.streams.close()
	n.closing.Lock()
	n.closed = true
	close(n.receipts)
	n.closing.Unlock()
	n.writing.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.save(ctx)
}

// read feeds the records of a source into the feed, for as long as it runs.
func (n *Notify) read(ctx context.Context, s Source) {
	for wait := n.opt.Backoff; ; wait = min(2*wait, time.Minute) {
		err := s.Log.Follow(ctx, n.feed.place(s.Name)+1, func(seq uint64, at time.Time, subject string, data []byte) error {
			e, err := s.Event(at, subject, data)
			if err == nil && e != nil && e.Alarm != nil && n.opt.Answers != nil {
				department := n.opt.Answers(e.Alarm)
				e.Answers = &department
			}
			if err != nil {
				n.metrics.broken.Inc()
				n.opt.Log.Error("a record cannot be read and nobody is told of it", "source", s.Name, "sequence", seq, "error", err)
			}
			if e == nil {
				n.feed.pass(s.Name, seq)
				return nil
			}
			e.Source, e.SourceSeq, e.Link = s.Name, seq, linkOf(n.opt.Base, e)
			if err := n.feed.append(ctx, e); err != nil {
				return err
			}
			wait = n.opt.Backoff
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		n.metrics.failures.Inc()
		n.opt.Log.Error("departments are not told at the moment", "source", s.Name, "error", err)
		if !sleep(ctx, wait) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause waits by the clock that deliveries are due by.
func (n *Notify) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-n.opt.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Place tells how far a source has been read into the feed.
func (n *Notify) Place(source string) uint64 { return n.feed.place(source) }

// write puts receipts on disk, those that come close together in one record, and
// from time to time where everything is.
func (n *Notify) write() {
	ctx := context.Background()
	saved := n.opt.Now()
	for first := range n.receipts {
		batch := []recorded{first}
		linger := time.NewTimer(n.opt.Linger)
	gather:
		for len(batch) < 1000 {
			select {
			case r, ok := <-n.receipts:
				if !ok {
					break gather
				}
				batch = append(batch, r)
			case <-linger.C:
				break gather
			}
		}
		linger.Stop()
		list := make([]Receipt, len(batch))
		for i := range batch {
			list[i] = batch[i].r
		}
		data, err := json.Marshal(list)
		if err == nil {
			for wait := n.opt.Backoff; ; wait = min(2*wait, time.Minute) {
				if _, err = n.opt.Receipts.Append(ctx, "receipts", data); err == nil || n.ctx.Err() != nil {
					break
				}
				n.metrics.failures.Inc()
				n.opt.Log.Error("receipts are not written down at the moment", "receipts", len(list), "error", err)
				sleep(n.ctx, wait)
			}
		}
		if err != nil {
			n.opt.Log.Error("receipts were not written down; their deliveries may come again", "receipts", len(list), "error", err)
		}
		for i := range batch {
			if batch[i].done != nil {
				close(batch[i].done)
			}
		}
		if now := n.opt.Now(); now.Sub(saved) >= 10*time.Second {
			saved = now
			if err := n.save(ctx); err != nil {
				n.opt.Log.Warn("the places of the subscriptions were not saved; more is read after a restart", "error", err)
			}
		}
	}
}

// record hands a receipt over to be written. A receiver may still give one when
// all has ended: that is not taken, and what it is for comes again.
func (n *Notify) record(r Receipt) {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.closed {
		n.metrics.failures.Inc()
		n.opt.Log.Warn("a receipt came after the end and is not written down; its delivery may come again", "subscription", r.Subscription, "delivery", r.ID)
		return
	}
	n.receipts <- recorded{r: r}
}

// save writes where everything is. Places are of what was handed to the writer
// of receipts before, which is harmless: they are written by it, after those.
func (n *Notify) save(ctx context.Context) error {
	places := map[string]place{}
	for id, w := range n.snapshot() {
		places[id] = w.where()
	}
	escalated := n.escalate.place()
	values, err := n.streams.values()
	if err != nil {
		return err
	}
	if values[keyPlaces], err = json.Marshal(places); err != nil {
		return err
	}
	if values[keyMark], err = json.Marshal(mark{Feed: n.feed.mark(), Escalated: &escalated}); err != nil {
		return err
	}
	return n.opt.Store.PutAll(ctx, values)
}

func (n *Notify) snapshot() map[string]*worker {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make(map[string]*worker, len(n.workers))
	for id, w := range n.workers {
		out[id] = w
	}
	return out
}

func (n *Notify) all() []*worker {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make([]*worker, 0, len(n.workers))
	for _, w := range n.workers {
		out = append(out, w)
	}
	return out
}

func (n *Notify) worker(id string) (*worker, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	w := n.workers[id]
	if w == nil {
		return nil, fmt.Errorf("subscription %.60q: %w", id, ErrNone)
	}
	return w, nil
}

// List gives the subscriptions, by department and name.
func (n *Notify) List() []Subscription {
	var out []Subscription
	for _, w := range n.all() {
		out = append(out, w.subscription())
	}
	slices.SortFunc(out, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(a.Department, b.Department), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Get finds a subscription.
func (n *Notify) Get(id string) (Subscription, error) {
	w, err := n.worker(id)
	if err != nil {
		return Subscription{}, err
	}
	return w.subscription(), nil
}

// Credentials are what a new subscription's receiver needs; they are told once.
type Credentials struct {
	// Secret signs the deliveries of a webhook.
	Secret string `json:"secret,omitempty" doc:"Of the signature; shown this once"`
	// Token opens a stream or a feed.
	Token string `json:"token,omitempty" doc:"Of the stream or the feed; shown this once"`
}

// minSecret is what a secret has at least, in bytes: how good it is, is for those
// to say who share it.
const minSecret = 16

// Add makes a subscription. It is told what happens from now on. secret signs a
// webhook's deliveries, one is made when it is empty.
func (n *Notify) Add(ctx context.Context, s Subscription, secret, by string) (Subscription, Credentials, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	now := n.opt.Now().UTC().Truncate(time.Millisecond)
	s.ID = strings.ToLower(rand.Text()[:12])
	s.Created, s.CreatedBy, s.Changed, s.ChangedBy = now, by, now, by
	if err := n.check(&s); err != nil {
		return s, Credentials{}, err
	}
	if len(n.all()) >= maxSubscriptions {
		return s, Credentials{}, invalid("subscription", "there are %d already", maxSubscriptions)
	}
	cred, sec, err := credentials(s.Kind, secret)
	if err != nil {
		return s, cred, err
	}
	w := newWorker(n, s)
	w.secrets = sec
	w.start = n.feed.end()
	w.place = place{w.start, w.start}
	if err := n.keep(ctx, w); err != nil {
		return s, Credentials{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.workers[s.ID] = w
	if n.running {
		w.begin(n.ctx)
	}
	return s, cred, nil
}

func credentials(kind Kind, secret string) (Credentials, secrets, error) {
	switch {
	case kind == Webhook:
		if secret == "" {
			secret = newSecret()
		}
		if len(secret) < minSecret || len(secret) > 512 {
			return Credentials{}, secrets{}, invalid("secret", "%d to 512 bytes", minSecret)
		}
		return Credentials{Secret: secret}, secrets{Current: []byte(secret)}, nil
	case secret != "":
		return Credentials{}, secrets{}, invalid("secret", "only a webhook is signed")
	case kind.pulled():
		token := newSecret()
		sum := sha256.Sum256([]byte(token))
		return Credentials{Token: token}, secrets{Token: sum[:]}, nil
	}
	return Credentials{}, secrets{}, nil
}

func newSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// check finds what is wrong with a subscription, and fills in what is the
// default.
func (n *Notify) check(s *Subscription) error {
	s.Department = strings.Join(strings.Fields(s.Department), " ")
	s.Name = strings.Join(strings.Fields(s.Name), " ")
	if s.Name == "" {
		s.Name = string(s.Kind)
	}
	if s.Kind == Webhook && s.Format == "" {
		s.Format = "json"
	}
	if s.Language == "" {
		s.Language = "vi"
	}
	if s.Escalation != nil && s.Escalation.Until == "" {
		e := *s.Escalation
		e.Until = "receipt"
		s.Escalation = &e
	}
	if err := s.validate(); err != nil {
		return err
	}
	if s.Kind == Webhook {
		if err := n.opt.Outbound.CheckURL(s.URL); err != nil {
			return invalid("url", "%v", err)
		}
		if s.Format == "cap" && (s.Quiet != nil || s.Digest != "") {
			return invalid("format", "CAP has one message for one event: nothing can be held back and told together")
		}
	}
	if s.Kind == Email && n.opt.Mail == nil {
		return invalid("kind", "this server sends no mail: mail.server is not configured")
	}
	// The chain of escalations ends.
	for next, depth := s.Escalation, 1; next != nil; depth++ {
		to, err := n.Get(next.To)
		switch {
		case err != nil:
			return invalid("escalation.to", "%v", err)
		case to.ID == s.ID:
			return invalid("escalation.to", "the escalation comes back to where it began")
		case to.Kind == Atom:
			return invalid("escalation.to", "%s is a feed, which reaches nobody by itself", to.Name)
		case depth > maxChain:
			return invalid("escalation.to", "more than %d escalations in a row", maxChain)
		}
		next = to.Escalation
	}
	return nil
}

func (n *Notify) keep(ctx context.Context, w *worker) error {
	plain, err := json.Marshal(w.secrets)
	if err != nil {
		return err
	}
	value, err := json.Marshal(kept{w.sub, n.opt.Sealer.Seal(plain, "subscription", w.sub.ID), w.start})
	if err != nil {
		return err
	}
	if err := n.opt.Store.Put(ctx, keySub+w.sub.ID, value); err != nil {
		return fmt.Errorf("keeping subscription %s: %w", w.sub.ID, err)
	}
	return nil
}

// Change replaces what people may change of a subscription: all but its kind,
// department and credentials. What is under way is begun again.
func (n *Notify) Change(ctx context.Context, id string, change func(*Subscription) error, by string) (before, after Subscription, err error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	w, err := n.worker(id)
	if err != nil {
		return before, after, err
	}
	before = w.subscription()
	after = before
	if err := change(&after); err != nil {
		return before, after, err
	}
	after.ID, after.Kind, after.Department, after.Created, after.CreatedBy = before.ID, before.Kind, before.Department, before.Created, before.CreatedBy
	after.Changed, after.ChangedBy = n.opt.Now().UTC().Truncate(time.Millisecond), by
	if err := n.check(&after); err != nil {
		return before, after, err
	}
	if err := n.replace(ctx, w, func(w *worker) { w.sub = after }); err != nil {
		return before, after, err
	}
	if after.Paused {
		n.endStream(id)
	} else {
		n.streams.end(id) // and are opened again, with the new filter
	}
	return before, after, nil
}

// OnEnd names what ends the connections of a stream whose credential does not
// count any more. Call it before Start.
func (n *Notify) OnEnd(f func(id string)) { n.ended = f }

func (n *Notify) endStream(id string) {
	n.streams.end(id)
	if n.ended != nil {
		n.ended(id)
	}
}

// replace changes a worker while it is at rest, and keeps it.
func (n *Notify) replace(ctx context.Context, w *worker, change func(*worker)) error {
	w.finish()
	w.mu.Lock()
	sub, sec := w.sub, w.secrets
	change(w)
	w.mu.Unlock()
	err := n.keep(ctx, w)
	if err != nil {
		w.mu.Lock()
		w.sub, w.secrets = sub, sec
		w.mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		w.begin(n.ctx)
	}
	return err
}

// overlap is how long a webhook is signed with the old secret as well.
const overlap = 24 * time.Hour

// Rotate gives a subscription new credentials. A webhook's deliveries are signed
// with both secrets for a day; an old token ends at once.
func (n *Notify) Rotate(ctx context.Context, id, secret string) (Credentials, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	w, err := n.worker(id)
	if err != nil {
		return Credentials{}, err
	}
	cred, sec, err := credentials(w.subscription().Kind, secret)
	if err != nil {
		return cred, err
	}
	if len(sec.Current) == 0 && len(sec.Token) == 0 {
		return cred, invalid("kind", "mail has no credentials of ours")
	}
	err = n.replace(ctx, w, func(w *worker) {
		if len(sec.Current) > 0 {
			sec.Previous, sec.Until = w.secrets.Current, n.opt.Now().Add(overlap).UTC()
		}
		w.secrets = sec
	})
	n.endStream(id)
	return cred, err
}

// Remove ends a subscription for good, with its dead letters.
func (n *Notify) Remove(ctx context.Context, id string) (Subscription, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	w, err := n.worker(id)
	if err != nil {
		return Subscription{}, err
	}
	sub := w.subscription()
	for _, other := range n.List() {
		if other.Escalation != nil && other.Escalation.To == id {
			return sub, invalid("escalation.to", "%s (%s) escalates to it: change that first", other.Name, other.ID)
		}
	}
	if err := n.opt.Store.Delete(ctx, keySub+id); err != nil {
		return sub, fmt.Errorf("removing subscription %s: %w", id, err)
	}
	w.finish()
	n.mu.Lock()
	delete(n.workers, id)
	n.mu.Unlock()
	n.endStream(id)
	for _, dead := range w.deadLetters() {
		if err := n.opt.Store.Delete(ctx, deadKey(dead.ID)); err != nil {
			n.opt.Log.Warn("a dead letter of a subscription that ended was not removed", "delivery", dead.ID, "error", err)
		}
	}
	for session := range n.streams.of(id) {
		if err := n.opt.Store.Delete(ctx, keyStream+session); err != nil {
			n.opt.Log.Warn("a stream's place was not removed", "error", err)
		}
	}
	return sub, nil
}

func deadKey(id string) string { return keyDead + id }

// Prove finds the subscription a token opens.
func (n *Notify) Prove(id, token string) (Subscription, bool) {
	w, err := n.worker(id)
	sum := sha256.Sum256([]byte(token))
	if err != nil {
		return Subscription{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := len(w.secrets.Token) == len(sum) && subtle.ConstantTimeCompare(w.secrets.Token, sum[:]) == 1
	return w.sub, ok && !w.sub.Paused
}

// ProveDepartment finds the stream of a department that a token opens: the
// department is named by its id (see DepartmentID).
func (n *Notify) ProveDepartment(department, token string) (Subscription, bool) {
	for _, w := range n.all() {
		s := w.subscription()
		if s.Kind != Stream || DepartmentID(s.Department) != department {
			continue
		}
		if found, ok := n.Prove(s.ID, token); ok {
			return found, true
		}
	}
	return Subscription{}, false
}

// digestOf is how an answer is remembered.
func digestOf(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
