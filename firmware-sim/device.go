package firmwaresim

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

// source is what a device measures with.
type source interface {
	// measure gives a reading at the real time now, stamped by clock; ok is
	// false when there is nothing to report.
	measure(now time.Time, clock *clock) (r reading, ok bool)
	// powered and reachable say whether the device has current and a way to
	// the network just now.
	powered() bool
	reachable() bool
}

// scheduled is a source that knows itself when it has something to say.
type scheduled interface {
	due() (at time.Time, ok bool)
}

// device is the firmware of one device. One goroutine runs it, with one timer:
// it measures, keeps, sends, and does again what nobody confirmed.
type device struct {
	firmware
	source source
	link   link
	wire   *wire
	clock  clock
	rng    *rand.Rand
	every  time.Duration
	faults Faults
	stats  *Stats
	// acked hears of every reading the server has acknowledged; may be nil.
	acked func(devices.ID, reading)
	// memory bounds what is kept while the server is away.
	capacity int
	// single forbids packing several readings into one payload.
	single bool

	kept     []reading // not yet sent, oldest first
	inflight map[*report]time.Time
	stored   int // readings inside inflight

	connected bool
	dark      bool // without current
	dialed    chan error
	dialing   bool
	dials     sync.WaitGroup
	backoff   backoff
	nextRead  time.Time
	nextDial  time.Time
	paused    time.Time // nothing is sent before
}

const (
	// packAbove is the backlog from which a device packs readings together, and
	// packSize how many.
	packAbove = 4
	packSize  = 16
	// ackPatience is when a device takes a silent server for a dead link.
	ackPatience = 60 * time.Second
)

// run is the device's life. It returns when its wire's context ends, with no
// goroutine of the device left.
func (d *device) run(ctx context.Context) {
	d.inflight = make(map[*report]time.Time)
	d.dialed = make(chan error, 1)
	now := time.Now()
	// Devices were switched on at different moments of their interval.
	d.nextRead = now.Add(time.Duration(d.rng.Int64N(int64(d.every) + 1)))
	d.nextDial = now.Add(time.Duration(d.rng.Int64N(int64(min(d.every, 3*time.Second)) + 1)))
	if _, ok := d.source.(scheduled); ok {
		d.schedule(now)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var down <-chan struct{}
		if d.connected {
			down = d.link.down()
		}
		select {
		case <-ctx.Done():
			d.dials.Wait()
			select {
			case err := <-d.dialed:
				d.connect(err, time.Now())
			default:
			}
			if d.connected {
				d.disconnect(true)
			}
			d.link.forget()
			return
		case <-timer.C:
		case a := <-d.wire.answers:
			d.conclude(a, time.Now())
		case err := <-d.dialed:
			d.connect(err, time.Now())
		case <-down:
			d.disconnect(false)
			d.stats.Lost.Add(1)
			d.nextDial = time.Now().Add(d.backoff.next(d.rng))
		}
		now = time.Now()
		d.act(ctx, now)
		timer.Reset(d.nextAct(now).Sub(now))
	}
}

// act does what is due.
func (d *device) act(ctx context.Context, now time.Time) {
	if power := d.source.powered(); power == d.dark {
		d.dark = !power
		if d.dark {
			d.lose()
		} else {
			d.restart(now)
		}
	}
	if d.dark {
		d.nextRead = now.Add(d.every)
		return
	}
	if !now.Before(d.nextRead) {
		d.read(now)
		d.mishap(now)
	}
	if d.connected && !d.source.reachable() {
		d.disconnect(false)
		d.nextDial = now.Add(d.backoff.next(d.rng))
	}
	if d.connected && d.overdue(now) {
		d.disconnect(false)
		d.stats.Lost.Add(1)
		d.nextDial = now
	}
	if !d.connected && !d.dialing && !now.Before(d.nextDial) {
		if !d.source.reachable() {
			d.nextDial = now.Add(d.backoff.next(d.rng))
			return
		}
		d.dialing = true
		d.dials.Add(1)
		go d.dial(ctx)
	}
	d.pump(now)
}

// nextAct is when something is due at the latest.
func (d *device) nextAct(now time.Time) time.Time {
	t := d.nextRead
	if d.dark {
		return t
	}
	if !d.connected && !d.dialing && d.nextDial.Before(t) {
		t = d.nextDial
	}
	if d.connected && len(d.kept) > 0 && d.paused.After(now) && d.paused.Before(t) {
		t = d.paused
	}
	return t
}

// read measures and keeps. When the memory is full the oldest reading goes: new
// ones say more about the city.
func (d *device) read(now time.Time) {
	r, ok := d.source.measure(now, &d.clock)
	d.schedule(now)
	if !ok {
		return
	}
	d.stats.Measured.Add(1)
	d.kept = append(d.kept, r)
	d.trim()
}

// schedule sets the time of the next reading.
func (d *device) schedule(now time.Time) {
	if s, ok := d.source.(scheduled); ok {
		at, more := s.due()
		if !more {
			at = now.Add(d.every)
		}
		d.nextRead = at
		return
	}
	d.nextRead = d.nextRead.Add(d.every)
	if !d.nextRead.After(now) { // the process was stopped for a while
		d.nextRead = now.Add(d.every)
	}
}

func (d *device) trim() {
	if over := len(d.kept) + d.stored - d.capacity; over > 0 {
		over = min(over, len(d.kept))
		clear(d.kept[:over])
		d.kept = d.kept[over:]
		d.stats.Dropped.Add(uint64(over))
	}
}

// mishap lets go wrong what goes wrong in the field.
func (d *device) mishap(now time.Time) {
	share := d.every.Hours()
	switch p := d.rng.Float64(); {
	case p < d.faults.Reboots*share:
		d.stats.Reboots.Add(1)
		d.lose()
		d.restart(now)
	case p < (d.faults.Reboots+d.faults.LinkLoss)*share:
		if d.connected {
			d.disconnect(false)
			d.stats.Lost.Add(1)
			d.nextDial = now.Add(d.backoff.next(d.rng))
		}
	}
}

// lose is the loss of power: the link is cut without a word and what was in RAM
// is gone, which is the session. Readings are in flash and survive.
func (d *device) lose() {
	if d.connected {
		d.disconnect(false)
	}
	d.link.forget()
	for len(d.wire.answers) > 0 {
		d.conclude(<-d.wire.answers, time.Now())
	}
	for r := range d.inflight {
		d.takeBack(r)
	}
}

// restart is power coming back: the clock may have forgotten the time, the
// radio needs some seconds.
func (d *device) restart(now time.Time) {
	d.clock.reboot(now, d.rng)
	d.backoff.reset()
	d.nextDial = now.Add(2*time.Second + time.Duration(d.rng.Int64N(int64(6*time.Second))))
}

// dial opens the link; connecting takes longer than a reading may wait.
func (d *device) dial(ctx context.Context) {
	defer d.dials.Done()
	d.dialed <- d.link.open(ctx)
}

func (d *device) connect(err error, now time.Time) {
	d.dialing = false
	if err != nil {
		d.stats.DialErrors.Add(1)
		d.stats.note(err)
		d.nextDial = now.Add(d.backoff.next(d.rng))
		return
	}
	d.connected = true
	d.stats.Connected.Add(1)
	// The session sends again what it still holds; its time starts anew.
	for r := range d.inflight {
		d.inflight[r] = now
	}
}

func (d *device) disconnect(politely bool) {
	d.link.close(politely)
	d.connected = false
	d.stats.Connected.Add(-1)
}

// overdue reports whether the oldest report in flight has waited too long.
func (d *device) overdue(now time.Time) bool {
	for _, since := range d.inflight {
		if now.Sub(since) > ackPatience {
			return true
		}
	}
	return false
}

// pump sends what the window admits.
func (d *device) pump(now time.Time) {
	for d.connected && !now.Before(d.paused) && len(d.kept) > 0 && len(d.inflight) < d.link.window() {
		n := 1
		if len(d.kept) > packAbove && !d.single {
			n = min(packSize, len(d.kept))
		}
		rs := append([]reading(nil), d.kept[:n]...)
		clear(d.kept[:n])
		if d.kept = d.kept[n:]; len(d.kept) == 0 {
			d.kept = nil // let the memory of a drained backlog go
		}
		r := &report{payload: d.encode(nil, rs), readings: rs}
		r.loseAck = d.rng.Float64() < d.faults.LostAcks
		d.launch(r, now)
		if d.rng.Float64() < d.faults.Malformed && len(d.inflight) < d.link.window() {
			d.stats.Malformed.Add(1)
			d.launch(&report{payload: malformed(r.payload, d.format, d.rng), junk: true}, now)
		}
	}
}

func (d *device) launch(r *report, now time.Time) {
	d.inflight[r] = now
	d.stored += len(r.readings)
	d.stats.Sent.Add(1)
	d.link.send(r)
}

// conclude acts on what became of a report.
func (d *device) conclude(a answer, now time.Time) {
	r := a.report
	if _, ok := d.inflight[r]; !ok {
		return // of a life before the last reboot
	}
	if a.err != nil {
		d.stats.note(a.err)
	}
	switch {
	case a.verdict == accepted:
		delete(d.inflight, r)
		d.stored -= len(r.readings)
		d.backoff.reset()
		d.stats.Acked.Add(uint64(len(r.readings)))
		if d.acked != nil {
			for _, x := range r.readings {
				d.acked(d.id, x)
			}
		}
	case a.verdict == refused || r.junk:
		delete(d.inflight, r)
		d.stored -= len(r.readings)
		d.backoff.reset()
		if !r.junk {
			d.stats.Refused.Add(uint64(len(r.readings)))
		}
	default:
		// The same readings go out again, and the server may have had them.
		d.takeBack(r)
		d.stats.Repeated.Add(uint64(len(r.readings)))
		d.paused = now.Add(max(a.wait, d.backoff.next(d.rng)))
	}
}

// takeBack returns the readings of a report to the front of the memory.
func (d *device) takeBack(r *report) {
	delete(d.inflight, r)
	d.stored -= len(r.readings)
	if len(r.readings) > 0 {
		d.kept = append(append(make([]reading, 0, len(r.readings)+len(d.kept)), r.readings...), d.kept...)
	}
	d.trim()
}

// Stats counts what a fleet does. All numbers but Connected only grow.
type Stats struct {
	Connected  atomic.Int64  // devices with an open link
	Measured   atomic.Uint64 // readings taken
	Sent       atomic.Uint64 // reports handed to a link
	Acked      atomic.Uint64 // readings the server has acknowledged
	Refused    atomic.Uint64 // readings the server will never take
	Repeated   atomic.Uint64 // readings sent again because no answer came
	Dropped    atomic.Uint64 // readings lost to a full memory
	Malformed  atomic.Uint64 // malformed reports sent on purpose
	Lost       atomic.Uint64 // links lost
	Reboots    atomic.Uint64
	DialErrors atomic.Uint64

	lastError atomic.Pointer[string]
}

func (s *Stats) note(err error) {
	if err != nil {
		t := err.Error()
		s.lastError.Store(&t)
	}
}

// LastError is the newest error of any device, for the line people watch.
func (s *Stats) LastError() string {
	if t := s.lastError.Load(); t != nil {
		return *t
	}
	return ""
}

// station is a source that measures the simulated world.
type station struct {
	*place
	model model
	// battery level at the start, and what an hour costs, percent.
	charge, drain float64
	now           func() *Moment
}

// positioned is a model that moves.
type positioned interface {
	where(t time.Time) orb.Point
}

func (s *station) measure(now time.Time, c *clock) (reading, bool) {
	m := s.now()
	r := reading{taken: c.read(now).Truncate(time.Millisecond), values: s.model.read(m)}
	if s.kind.battery {
		left := s.charge - s.drain*m.Elapsed.Hours()
		r.values = append(r.values[:len(r.values):len(r.values)], value("battery", clamp(left, 0, 100), 0))
	}
	if p, ok := s.model.(positioned); ok {
		r.at, r.hasAt = p.where(m.Time), true
	}
	return r, len(r.values) > 0
}

func (s *station) powered() bool {
	m := s.now()
	if s.kind.battery && s.charge-s.drain*m.Elapsed.Hours() <= 0 {
		return false
	}
	if s.kind.spot == onMast && m.Under(GatewayDown, s.index, s.count) {
		return false
	}
	return !s.kind.mains || s.live(m)
}

func (s *station) reachable() bool {
	if s.upstream < 0 {
		return true
	}
	return !s.now().Under(GatewayDown, s.upstream, s.gateways)
}
