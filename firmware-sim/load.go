package firmwaresim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"vonglau/devices"
)

// LoadOptions say how much a load run sends and where its history goes.
type LoadOptions struct {
	Devices  int           // 100 when zero
	Rate     float64       // readings a second over all devices; 1000 when zero
	Values   int           // values in each reading, 1 to 8; 1 when zero
	Protocol string        // mqtt, mqtt5, coap or http; mqtt when empty
	Format   string        // json, cbor, senml+json, senml+cbor; json when empty
	Duration time.Duration // until the context ends when zero
	Window   int           // unanswered reports a device may have; 64 when zero
	Prefix   string        // of the device ids; "load-" when empty
	Addr     string        // of MQTT or CoAP
	URL      string        // of HTTP
	// History is a file that gets one line for each acknowledged value,
	// "device,quantity,ts,value" with ts in milliseconds. A line is written
	// after the acknowledgement and never before, so what is in the file and not
	// in the server's store was lost by the server.
	History string
	// Memory is how many readings a device keeps while the server is away;
	// 100,000 when zero. A device with a full memory stops measuring, it drops
	// nothing.
	Memory int
}

func (o *LoadOptions) validate() error {
	if o.Devices == 0 {
		o.Devices = 100
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Values == 0 {
		o.Values = 1
	}
	if o.Protocol == "" {
		o.Protocol = "mqtt"
	}
	if o.Format == "" {
		o.Format = string(devices.FormatJSON)
	}
	if o.Window == 0 {
		o.Window = 64
	}
	if o.Prefix == "" {
		o.Prefix = "load-"
	}
	if o.Memory == 0 {
		o.Memory = 100000
	}
	switch {
	case o.Devices < 1 || o.Devices > 100000:
		return fmt.Errorf("devices: %d, need 1 to 100000", o.Devices)
	case !(o.Rate > 0 && o.Rate <= 1e6):
		return fmt.Errorf("rate: %v readings a second, need more than 0 and at most a million", o.Rate)
	case o.Rate/float64(o.Devices) > 900:
		// Times have milliseconds, and two readings of one device in the same
		// one are the same reading.
		return fmt.Errorf("rate: %v readings a second are %.0f for each of %d devices, at most 900: use more devices", o.Rate, o.Rate/float64(o.Devices), o.Devices)
	case o.Values < 1 || o.Values > len(loadValues):
		return fmt.Errorf("values: %d, need 1 to %d", o.Values, len(loadValues))
	case o.Window < 1 || o.Window > 4096:
		return fmt.Errorf("window: %d, need 1 to 4096", o.Window)
	case !slices.Contains([]string{"mqtt", "mqtt5", "coap", "http"}, o.Protocol):
		return fmt.Errorf("protocol %q: use mqtt, mqtt5, coap or http", o.Protocol)
	case !slices.Contains([]string{"json", "cbor", "senml+json", "senml+cbor"}, o.Format):
		return fmt.Errorf("format %q: use json, cbor, senml+json or senml+cbor", o.Format)
	case o.Protocol == "mqtt" && (o.Format == "cbor" || o.Format == "senml+cbor"):
		return fmt.Errorf("format %s over MQTT 3.1.1: the protocol carries no content type; use mqtt5", o.Format)
	case o.Protocol == "http" && o.URL == "", o.Protocol != "http" && o.Addr == "":
		return fmt.Errorf("no address for %s", o.Protocol)
	}
	return nil
}

// loadValues are the quantities of a load reading. A value counts up in steps
// the quantity's digits keep and stays plausible, so that a reader of the
// history can tell neighbours apart.
var loadValues = []struct {
	quantity  devices.Quantity
	from, by  float64
	span      uint64
	precision int
}{
	{"temperature", 10, 0.001, 30000, 3},
	{"humidity", 10, 0.001, 80000, 3},
	{"pressure", 950, 0.001, 90000, 3},
	{"noise", 40, 0.001, 50000, 3},
	{"voltage", 200, 0.001, 60000, 3},
	{"current", 1, 0.001, 90000, 3},
	{"power", 100, 0.01, 100000, 2},
	{"illuminance", 100, 0.01, 100000, 2},
}

// LoadRegistrations lists the devices a load run needs.
func LoadRegistrations(o LoadOptions) ([]Registration, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	out := make([]Registration, o.Devices)
	for i := range out {
		// In rows beside the city's centre: a load has to be somewhere.
		at := [2]float64{round(106.168+0.0005*float64(i%100-50), 6), round(20.434+0.0005*float64(i/100%100-50), 6)}
		out[i] = Registration{ID: loadID(o.Prefix, i), Name: fmt.Sprintf("Tải %d", i+1), Profile: "generic", At: &at, Simulated: true}
		if _, err := devices.ParseID(string(out[i].ID)); err != nil {
			return nil, fmt.Errorf("load: prefix: %w", err)
		}
	}
	return out, nil
}

func loadID(prefix string, i int) devices.ID {
	return devices.ID(fmt.Sprintf("%s%05d", prefix, i+1))
}

// LoadReport is what a load run came to.
type LoadReport struct {
	Protocol   string  `json:"protocol"`
	Devices    int     `json:"devices"`
	Seconds    float64 `json:"seconds"`
	Measured   uint64  `json:"measured"` // readings made
	Acked      uint64  `json:"acked"`    // readings acknowledged
	Refused    uint64  `json:"refused"`
	Repeated   uint64  `json:"repeated"`
	Unanswered uint64  `json:"unanswered"` // readings without an answer at the end
	Lost       uint64  `json:"linksLost"`
	DialErrors uint64  `json:"dialErrors"`
	PerSecond  float64 `json:"ackedPerSecond"`
	// Latency from measuring to acknowledgement, milliseconds.
	P50       float64 `json:"p50ms"`
	P99       float64 `json:"p99ms"`
	Max       float64 `json:"maxms"`
	LastError string  `json:"lastError,omitempty"`
}

// Load runs devices that do nothing but report, at a steady rate, and waits for
// every answer. After the duration they stop measuring and get a minute to hand
// in what they still keep. stats may be watched meanwhile.
func Load(ctx context.Context, o LoadOptions, c *Credentials, stats *Stats) (rep LoadReport, err error) {
	if err := o.validate(); err != nil {
		return rep, fmt.Errorf("load: %w", err)
	}
	h, err := openHistory(o.History)
	if err != nil {
		return rep, fmt.Errorf("load: %w", err)
	}
	defer func() { err = errors.Join(err, h.close()) }()
	life, end := context.WithCancel(context.Background())
	defer end()
	shared := newCoAPShared()
	defer shared.close()
	var client *http.Client
	if o.Protocol == "http" {
		client = newHTTPClient(min(o.Devices*o.Window, 256))
		defer client.CloseIdleConnections()
	}
	var wg sync.WaitGroup
	began := time.Now()
	generators := make([]*generator, o.Devices)
	for i := range generators {
		id := loadID(o.Prefix, i)
		token := c.Token(id)
		if token == "" {
			end()
			wg.Wait()
			return rep, fmt.Errorf("load %s: no token, provision it first", id)
		}
		w := &wire{ctx: life, id: id, token: token, addr: o.Addr, format: devices.Format(o.Format), keepAlive: 30 * time.Second, depth: o.Window, note: stats.note}
		w.answers = make(chan answer, 2*o.Window+8)
		g := &generator{
			firmware: firmware{id: id, format: w.format}, wire: w, stats: stats, history: h,
			values: o.Values, memory: o.Memory,
			every: time.Duration(float64(time.Second) * float64(o.Devices) / o.Rate),
			// Devices take turns.
			next: began.Add(time.Duration(float64(i) / o.Rate * float64(time.Second))),
		}
		switch o.Protocol {
		case "mqtt":
			g.link = newMQTT3(w)
		case "mqtt5":
			g.link = newMQTT5(w)
		case "coap":
			g.link = newCoAP(w, shared)
		case "http":
			g.link = newHTTP(w, client, o.URL)
		}
		generators[i] = g
		wg.Add(1)
		go g.run(life, &wg)
	}
	stop := make(<-chan time.Time)
	if o.Duration > 0 {
		t := time.NewTimer(o.Duration)
		defer t.Stop()
		stop = t.C
	}
	select {
	case <-ctx.Done():
	case <-stop:
	}
	for _, g := range generators {
		g.halt.Store(true)
	}
	measuring := time.Since(began)
	drain(ctx, o.Duration > 0, generators)
	end()
	wg.Wait()
	return summarise(o, generators, stats, measuring), nil
}

// drain waits until every generator is done, for a minute; after an interrupt
// it does not wait.
func drain(ctx context.Context, planned bool, gs []*generator) {
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	if !planned {
		return
	}
	for slices.ContainsFunc(gs, func(g *generator) bool { return g.waiting.Load() > 0 }) {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-poll.C:
		}
	}
}

func summarise(o LoadOptions, gs []*generator, stats *Stats, measuring time.Duration) LoadReport {
	r := LoadReport{
		Protocol: o.Protocol, Devices: o.Devices, Seconds: round(measuring.Seconds(), 2),
		Measured: stats.Measured.Load(), Acked: stats.Acked.Load(), Refused: stats.Refused.Load(),
		Repeated: stats.Repeated.Load(), Lost: stats.Lost.Load(), DialErrors: stats.DialErrors.Load(),
		LastError: stats.LastError(),
	}
	r.Unanswered = r.Measured - r.Acked - r.Refused
	r.PerSecond = round(float64(r.Acked)/max(measuring.Seconds(), 1e-3), 1)
	var all latencies
	for _, g := range gs {
		all.add(&g.latency)
	}
	ms := func(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 2) }
	r.P50, r.P99, r.Max = ms(all.quantile(0.5)), ms(all.quantile(0.99)), ms(all.max)
	return r
}

// generator is one device of a load run. It sends each reading by itself and
// keeps it until it is answered.
type generator struct {
	firmware
	link    link
	wire    *wire
	stats   *Stats
	history *history
	values  int
	memory  int
	every   time.Duration

	halt    atomic.Bool
	waiting atomic.Int64 // readings kept or in flight

	next     time.Time
	lastMs   int64
	count    uint64
	kept     []reading
	inflight map[*report]struct{}
	latency  latencies
}

// tick is the step of a generator: what is due within it goes out together, so
// that ten thousand of them do not keep as many timers of microseconds.
const tick = 5 * time.Millisecond

func (g *generator) run(ctx context.Context, wg *sync.WaitGroup) {
	defer wg.Done()
	g.inflight = make(map[*report]struct{})
	back := backoff{first: 100 * time.Millisecond, most: 2 * time.Second}
	rng := newRand(salt(1, string(g.id)))
	timer := time.NewTimer(0)
	defer timer.Stop()
	connected := false
	var paused time.Time
	for {
		if !connected {
			if err := g.link.open(ctx); err != nil {
				if ctx.Err() == nil {
					g.stats.DialErrors.Add(1)
					g.stats.note(err)
				}
				g.measure(time.Now())
				if !sleep(ctx, back.next(rng)) {
					g.link.forget()
					return
				}
				continue
			}
			connected = true
			g.stats.Connected.Add(1)
		}
		select {
		case <-ctx.Done():
			g.link.close(true)
			g.link.forget()
			g.stats.Connected.Add(-1)
			return
		case <-g.link.down():
			g.link.close(false)
			connected = false
			g.stats.Connected.Add(-1)
			g.stats.Lost.Add(1)
			if !sleep(ctx, back.next(rng)) {
				g.link.forget()
				return
			}
			continue
		case a := <-g.wire.answers:
			if wait := g.conclude(a); wait >= 0 {
				paused = time.Now().Add(max(wait, back.next(rng)))
			} else {
				back.reset()
			}
		case <-timer.C:
		}
		now := time.Now()
		g.measure(now)
		if !now.Before(paused) {
			g.pump()
		}
		timer.Reset(g.pause(now, paused))
	}
}

// pause is how long there is nothing to do unless an answer comes.
func (g *generator) pause(now, paused time.Time) time.Duration {
	const most = 250 * time.Millisecond // an end is noticed within
	due := most
	if !g.halt.Load() {
		due = min(due, g.next.Sub(now))
	}
	if len(g.kept) > 0 && len(g.inflight) < g.link.window() {
		due = min(due, paused.Sub(now))
	}
	return max(tick, due)
}

// measure makes the readings that are due.
func (g *generator) measure(now time.Time) {
	for !g.next.After(now) && !g.halt.Load() {
		if len(g.kept)+len(g.inflight) >= g.memory {
			g.next = now.Add(g.every)
			return
		}
		g.next = g.next.Add(g.every)
		ms := max(now.UnixMilli(), g.lastMs+1)
		g.lastMs = ms
		r := reading{taken: time.UnixMilli(ms), made: now, values: make([]devices.Value, g.values)}
		for i := range r.values {
			q := loadValues[i]
			r.values[i] = value(q.quantity, q.from+q.by*float64(g.count%q.span), q.precision)
		}
		g.count++
		g.kept = append(g.kept, r)
		g.stats.Measured.Add(1)
		g.waiting.Add(1)
	}
}

func (g *generator) pump() {
	for len(g.kept) > 0 && len(g.inflight) < g.link.window() {
		r := &report{payload: g.encode(nil, g.kept[:1]), readings: g.kept[:1:1]}
		if g.kept = g.kept[1:]; len(g.kept) == 0 {
			g.kept = nil
		}
		g.inflight[r] = struct{}{}
		g.stats.Sent.Add(1)
		g.link.send(r)
	}
}

// conclude acts on an answer. It gives the wait the server asked for, or a
// negative one when the next report may go at once.
func (g *generator) conclude(a answer) time.Duration {
	r := a.report
	delete(g.inflight, r)
	if a.err != nil {
		g.stats.note(a.err)
	}
	switch a.verdict {
	case accepted:
		g.latency.observe(time.Since(r.readings[0].made))
		g.stats.Acked.Add(1)
		g.history.acked(g.id, r.readings[0])
	case refused:
		g.stats.Refused.Add(1)
	default:
		g.stats.Repeated.Add(1)
		g.kept = append(r.readings, g.kept...)
		return a.wait
	}
	g.waiting.Add(-1)
	return -1
}

// sleep waits, or gives up when ctx ends.
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

// history is the file of what was acknowledged.
type history struct {
	mu   sync.Mutex
	file *os.File
	buf  *bufio.Writer
	line []byte
	err  error
	stop chan struct{}
	done chan struct{}
}

// openHistory starts a history; without a path it records nothing.
func openHistory(path string) (*history, error) {
	h := &history{stop: make(chan struct{}), done: make(chan struct{})}
	if path == "" {
		close(h.done)
		return h, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	h.file, h.buf = f, bufio.NewWriterSize(f, 256<<10)
	go h.flush()
	return h, nil
}

// flush writes to the file twice a second, so that a harness can follow it.
func (h *history) flush() {
	defer close(h.done)
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-t.C:
			h.mu.Lock()
			if err := h.buf.Flush(); err != nil && h.err == nil {
				h.err = err
			}
			h.mu.Unlock()
		}
	}
}

// acked records a reading the server has acknowledged.
func (h *history) acked(id devices.ID, r reading) {
	if h.file == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range r.values {
		b := append(h.line[:0], id...)
		b = append(b, ',')
		b = append(b, v.Quantity...)
		b = append(b, ',')
		b = strconv.AppendInt(b, r.taken.UnixMilli(), 10)
		b = append(b, ',')
		b = appendNumber(b, v.Number)
		b = append(b, '\n')
		h.line = b
		if _, err := h.buf.Write(b); err != nil && h.err == nil {
			h.err = err
		}
	}
}

func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	close(h.stop)
	<-h.done
	err := errors.Join(h.err, h.buf.Flush(), h.file.Close())
	h.file = nil
	if err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}
