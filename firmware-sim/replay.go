package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

// ReplayOptions say how a recording lives again.
type ReplayOptions struct {
	Speed float64 // recorded seconds in one of ours; 1 when zero
	// Original keeps the recorded times. Otherwise a reading is stamped when it
	// is sent, so that an old recording is news.
	Original bool
	// MoveTo shifts all places so that the first of the recording lies here; the
	// zero Point leaves them.
	MoveTo orb.Point
	// Limit stops after so many readings; none when zero.
	Limit int
	// MQTT or CoAP is the address; MQTT is taken when both are there.
	MQTT, CoAP string
}

// Replay is a recording ready to be sent.
type Replay struct {
	Stats Stats

	options ReplayOptions
	devices []*recorded
	from    time.Time
	// Skipped counts rows that could not be read, Why is the first reason.
	Skipped int
	Why     error
	total   int
}

// NewReplay reads a recording.
func NewReplay(m *Mapping, r io.Reader, o ReplayOptions) (*Replay, error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if !(o.Speed > 0 && o.Speed <= 1e6) {
		return nil, fmt.Errorf("replay: speed %v, need more than 0 and at most a million", o.Speed)
	}
	if o.MQTT == "" && o.CoAP == "" {
		return nil, errors.New("replay: no address: give one for MQTT or CoAP")
	}
	rec, err := m.Read(r)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	p := &Replay{options: o, Skipped: rec.skipped, Why: rec.why}
	for _, d := range rec.devices {
		p.devices = append(p.devices, d)
	}
	slices.SortFunc(p.devices, func(a, b *recorded) int {
		if c := a.rows[0].taken.Compare(b.rows[0].taken); c != 0 {
			return c
		}
		if a.id < b.id {
			return -1
		}
		return 1
	})
	p.from = p.devices[0].rows[0].taken
	p.move()
	p.cut()
	return p, nil
}

// move shifts the places.
func (p *Replay) move() {
	if p.options.MoveTo == (orb.Point{}) {
		return
	}
	first := p.devices[0].at
	dx, dy := p.options.MoveTo[0]-first[0], p.options.MoveTo[1]-first[1]
	for _, d := range p.devices {
		d.at = orb.Point{d.at[0] + dx, d.at[1] + dy}
		for i := range d.rows {
			d.rows[i].at = orb.Point{d.rows[i].at[0] + dx, d.rows[i].at[1] + dy}
		}
	}
}

// cut keeps the first readings over all devices when there is a limit.
func (p *Replay) cut() {
	for _, d := range p.devices {
		p.total += len(d.rows)
	}
	if p.options.Limit <= 0 || p.total <= p.options.Limit {
		return
	}
	times := make([]time.Time, 0, p.total)
	for _, d := range p.devices {
		for _, r := range d.rows {
			times = append(times, r.taken)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	end := times[p.options.Limit-1]
	p.total = 0
	kept := p.devices[:0]
	for _, d := range p.devices {
		n := 0
		for n < len(d.rows) && !d.rows[n].taken.After(end) && p.total < p.options.Limit {
			n++
			p.total++
		}
		if d.rows = d.rows[:n]; n > 0 {
			kept = append(kept, d)
		}
	}
	p.devices = kept
}

// Total is how many readings will be sent.
func (p *Replay) Total() int { return p.total }

// Registrations lists the devices for the register.
func (p *Replay) Registrations() []Registration {
	out := make([]Registration, 0, len(p.devices))
	for _, d := range p.devices {
		r := Registration{ID: d.id, Name: d.name, Profile: d.profile, Simulated: true}
		if !d.moving && d.hasAt {
			r.At = &[2]float64{round(d.at.Lon(), 6), round(d.at.Lat(), 6)}
		}
		out = append(out, r)
	}
	return out
}

// Run sends the recording and returns when every reading was answered, or ctx
// ended.
func (p *Replay) Run(ctx context.Context, c *Credentials) error {
	for _, d := range p.devices {
		if c.Token(d.id) == "" {
			return fmt.Errorf("replay %s: no token, provision it first", d.id)
		}
	}
	shared := newCoAPShared()
	defer shared.close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	var wg sync.WaitGroup
	began := time.Now()
	for _, d := range p.devices {
		w := &wire{ctx: ctx, id: d.id, token: c.Token(d.id), format: devices.FormatJSON, keepAlive: 30 * time.Second, depth: 16, note: p.Stats.note}
		w.answers = make(chan answer, 2*w.depth+8)
		dev := &device{
			firmware: firmware{id: d.id, format: w.format}, wire: w,
			source: &tape{rows: d.rows, from: p.from, began: began, speed: p.options.Speed, original: p.options.Original},
			rng:    newRand(salt(2, string(d.id))), every: time.Second, stats: &p.Stats,
			capacity: max(10000, len(d.rows)), backoff: backoff{first: time.Second, most: 30 * time.Second},
		}
		if p.options.MQTT != "" {
			w.addr = p.options.MQTT
			dev.link = newMQTT3(w)
		} else {
			w.addr = p.options.CoAP
			dev.link = newCoAP(w, shared)
		}
		wg.Add(1)
		go p.live(ctx, dev, &wg)
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		if done := p.Stats.Acked.Load() + p.Stats.Refused.Load() + p.Stats.Dropped.Load(); done >= uint64(p.total) {
			break
		}
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-poll.C:
		}
	}
	end()
	wg.Wait()
	return nil
}

// live is one device's goroutine.
func (p *Replay) live(ctx context.Context, d *device, wg *sync.WaitGroup) {
	defer wg.Done()
	d.run(ctx)
}

// tape is a source that reads a recording at its own pace.
type tape struct {
	rows     []reading
	from     time.Time // the recording's beginning
	began    time.Time // ours
	speed    float64
	original bool
	last     time.Time
}

// due is when the next reading is to be sent; ok is false at the end.
func (t *tape) due() (at time.Time, ok bool) {
	if len(t.rows) == 0 {
		return time.Time{}, false
	}
	return t.began.Add(time.Duration(float64(t.rows[0].taken.Sub(t.from)) / t.speed)), true
}

func (t *tape) measure(now time.Time, _ *clock) (reading, bool) {
	at, ok := t.due()
	if !ok || at.After(now) {
		return reading{}, false
	}
	r := t.rows[0]
	t.rows = t.rows[1:]
	if !t.original {
		// Two readings of one device never get the same millisecond, whatever
		// the speed.
		r.taken = at.Truncate(time.Millisecond)
		if !r.taken.After(t.last) {
			r.taken = t.last.Add(time.Millisecond)
		}
		t.last = r.taken
	}
	return r, true
}

func (t *tape) powered() bool   { return true }
func (t *tape) reachable() bool { return true }
