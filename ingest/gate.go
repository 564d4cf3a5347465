package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// Journal is what the gate needs of the log. done is called exactly once and
// must not block.
type Journal interface {
	Append(e journal.Entry, done func(seq uint64, err error))
}

// Placer finds the zone versions of a place; *geo.Layers is one.
type Placer interface {
	Place(lon, lat float64, at devices.Date, dst []devices.ZoneRef) []devices.ZoneRef
}

// Options of a Gate. Journal, Register, Catalogue and Places are needed.
type Options struct {
	Journal   Journal
	Register  *devices.Register
	Catalogue *devices.Catalogue
	Places    Placer
	// Window is the device time the gate believes.
	Window devices.Window
	// Limits of one payload.
	Limits devices.Limits
	// Bounds of what is taken in. Prefixes say where devices may speak from; nil
	// is anywhere.
	Bounds   Bounds
	Prefixes *devices.Prefixes
	// Trust proves devices by certificate and pre-shared key; nil does by token
	// only.
	Trust Trust
	// Calendar is the city's civil time: zone versions change at its midnights.
	Calendar *time.Location
	// EvidencePerMinute bounds the refusals stored for one sender; the ones
	// over it are counted only. EvidenceTotal bounds all of them.
	EvidencePerMinute, EvidenceTotal int
	Log                              *slog.Logger
	Metrics                          prometheus.Registerer
	// Now is the server's clock.
	Now func() time.Time
}

func (o *Options) defaults() error {
	if o.Journal == nil || o.Register == nil || o.Catalogue == nil || o.Places == nil {
		return errors.New("ingest: the gate needs a journal, a register, a catalogue and places")
	}
	if err := o.Bounds.defaults(); err != nil {
		return err
	}
	if o.Calendar == nil {
		o.Calendar = time.UTC
	}
	if o.EvidencePerMinute == 0 {
		o.EvidencePerMinute = 20
	}
	if o.EvidenceTotal == 0 {
		o.EvidenceTotal = 3000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Gate judges what devices send and appends it to the journal. It is safe for
// concurrent use and holds no lock while it works on a delivery.
type Gate struct {
	opt      Options
	days     calendar
	evidence *budget
	ledger   *ledger
	metrics  *metrics
	sessions sessions
	tally    [len(viaLabels)]atomic.Int64
}

// NewGate makes a gate.
func NewGate(o Options) (*Gate, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	g := &Gate{
		opt:      o,
		days:     calendar{zone: o.Calendar},
		evidence: newBudget(o.EvidencePerMinute, o.EvidenceTotal),
		ledger:   newLedger(o.Bounds),
		metrics:  newMetrics(o.Metrics),
	}
	o.Register.OnChange(g.ledger.forget)
	o.Register.OnChange(g.changed)
	return g, nil
}

// Delivery is one payload of a device whose identity a door has proven.
type Delivery struct {
	Device  *devices.Device
	Via     devices.Via
	From    netip.AddrPort
	Format  devices.Format
	Payload []byte // read during Submit only
	// Size is how many bytes of what came are this device's, all of Payload
	// when zero.
	Size int
}

// Submit decodes, judges, places and appends one delivery. done is called
// exactly once, possibly before Submit returns, and must not block:
//
//   - nil: every reading of the delivery is on disk, or is on disk as evidence
//     of why it was not taken as sent while others of the same delivery were;
//   - a *devices.Refusal that does not Retry: nothing of it was taken, and the
//     evidence is on disk as far as the sender's budget goes;
//   - a *devices.Refusal that does Retry: nothing is on disk; keep it.
func (g *Gate) Submit(d Delivery, done func(error)) {
	now := g.opt.Now().UTC().Truncate(time.Millisecond)
	profile, refusal := g.profileOf(d.Device)
	if refusal != nil {
		g.refuse(d, now, []*devices.Refusal{refusal}, done)
		return
	}
	if refusal := g.enter(d, profile, now); refusal != nil {
		g.refuse(d, now, []*devices.Refusal{refusal}, done)
		return
	}
	// Where neither the protocol nor the profile says otherwise the bytes tell
	// JSON from CBOR, and a SenML pack from plain readings.
	format := d.Format
	if format == devices.FormatAuto && profile.Format != devices.FormatJSON {
		format = profile.Format
	}
	raw, err := devices.Decode(format, d.Payload, now, g.opt.Limits)
	if err != nil {
		g.refuse(d, now, []*devices.Refusal{asRefusal(err)}, done)
		return
	}
	g.admit(d, profile, raw, now, done)
}

// SubmitDecoded is Submit for a door that had to decode by itself to find out
// whose readings they are. d.Payload is the evidence.
func (g *Gate) SubmitDecoded(d Delivery, raw []devices.RawObservation, done func(error)) {
	now := g.opt.Now().UTC().Truncate(time.Millisecond)
	profile, refusal := g.profileOf(d.Device)
	if refusal != nil {
		g.refuse(d, now, []*devices.Refusal{refusal}, done)
		return
	}
	if refusal := g.enter(d, profile, now); refusal != nil {
		g.refuse(d, now, []*devices.Refusal{refusal}, done)
		return
	}
	g.admit(d, profile, raw, now, done)
}

func (g *Gate) admit(d Delivery, profile *devices.Profile, raw []devices.RawObservation, now time.Time, done func(error)) {
	message, refusals := g.judge(d, profile, raw, now)
	if message == nil {
		g.refuse(d, now, refusals, done)
		return
	}
	g.metrics.received[d.Via].Inc()
	g.tally[d.Via].Add(int64(countValues(message)))

	if len(refusals) == 0 {
		g.opt.Journal.Append(journal.Entry{Message: message}, func(_ uint64, err error) {
			g.settled(d.Via, err)
			done(err)
		})
		return
	}
	// The readings and the evidence are one answer: it leaves when the last of
	// them is on disk.
	all := newJoin(func(err error) {
		g.settled(d.Via, err)
		done(err)
	})
	all.add()
	g.opt.Journal.Append(journal.Entry{Message: message}, all.done)
	for _, r := range refusals {
		r.Kept = true
		g.stamp(r, d, now)
		g.keep(r, all)
	}
	all.close()
}

// profileOf says what a device may report, or why it may not.
func (g *Gate) profileOf(d *devices.Device) (*devices.Profile, *devices.Refusal) {
	switch d.State {
	case devices.Retired:
		return nil, devices.Refuse(devices.ReasonUnknownDevice, "device is retired")
	case devices.Quarantine:
		return nil, devices.Refuse(devices.ReasonQuarantined, "waiting for an administrator's approval")
	case devices.Announced:
		return nil, devices.Refuse(devices.ReasonQuarantined, "announced, but not taken into service yet")
	}
	profile, ok := g.opt.Catalogue.Profile(d.Profile)
	if !ok {
		return nil, devices.Refuse(devices.ReasonQuarantined, "profile %q is not in the catalogue", d.Profile)
	}
	return profile, nil
}

// judge turns what was decoded into a message of what can be taken, and says
// why of the rest.
func (g *Gate) judge(d Delivery, profile *devices.Profile, raw []devices.RawObservation, now time.Time) (*devices.Message, []*devices.Refusal) {
	observations, refusals := g.opt.Catalogue.Admit(d.Device, profile, raw, now, g.opt.Window)
	if len(observations) == 0 {
		if len(refusals) == 0 {
			refusals = []*devices.Refusal{devices.Refuse(devices.ReasonEmpty, "no reading in it")}
		}
		return nil, refusals
	}
	for i := range observations {
		o := &observations[i]
		if o.At.Known() {
			o.Zones = g.opt.Places.Place(o.At.Lon, o.At.Lat, g.days.date(o.Time), nil)
		}
	}
	size := d.Size
	if size == 0 {
		size = len(d.Payload)
	}
	return &devices.Message{
		Device: d.Device.ID, Via: d.Via, From: d.From, Received: now, Size: size, Observations: observations,
	}, refusals
}

// refuse answers a delivery of which nothing was taken.
func (g *Gate) refuse(d Delivery, now time.Time, refusals []*devices.Refusal, done func(error)) {
	first := refusals[0]
	all := newJoin(func(err error) {
		if err != nil {
			done(err)
			return
		}
		done(first)
	})
	for _, r := range refusals {
		g.stamp(r, d, now)
		g.keep(r, all)
	}
	all.close()
}

// Refused counts and keeps a refusal that a door itself had to speak: a wrong
// credential, a foreign topic. done, if not nil, is called as Submit's is, with
// nil once the evidence is on disk or over the budget.
func (g *Gate) Refused(r *devices.Refusal, done func(error)) {
	if r.At.IsZero() {
		r.At = g.opt.Now().UTC().Truncate(time.Millisecond)
	}
	if done == nil {
		done = func(error) {}
	}
	all := newJoin(done)
	g.keep(r, all)
	all.close()
}

// Status records a change of a device's session. done, if not nil, is called
// once it is on disk or refused; one that is lost is corrected by the next.
func (g *Gate) Status(s devices.Status, done func(error)) {
	if s.At.IsZero() {
		s.At = g.opt.Now().UTC().Truncate(time.Millisecond)
	}
	g.opt.Journal.Append(journal.Entry{Status: &s}, func(_ uint64, err error) {
		if err != nil {
			g.opt.Log.Debug("session change not stored", "device", s.Device, "state", s.State.String(), "error", err)
		}
		if done != nil {
			done(err)
		}
	})
}

// Authenticate proves a device's token. Its error is the same for an unknown
// device and a wrong token.
func (g *Gate) Authenticate(id devices.ID, token string) (*devices.Device, error) {
	return g.opt.Register.Authenticate(id, token)
}

// Accepted is how many values were taken in by all doors since the start,
// acknowledged or still on their way to the disk.
func (g *Gate) Accepted() int64 {
	var n int64
	for i := range g.tally {
		n += g.tally[i].Load()
	}
	return n
}

func (g *Gate) stamp(r *devices.Refusal, d Delivery, now time.Time) {
	r.Device, r.Via, r.From, r.At = d.Device.ID, d.Via, d.From, now
	r.Payload = evidenceOf(d.Payload)
}

// keep counts a refusal and, within the sender's budget, adds its evidence to
// what all waits for.
func (g *Gate) keep(r *devices.Refusal, all *join) {
	g.metrics.refused(r.Via, r.Reason)
	// Our own troubles are no evidence against the sender, and the journal
	// that caused them cannot take it.
	if r.Reason.Retry() {
		return
	}
	if !g.evidence.allow(r) {
		g.metrics.overBudget.Inc()
		return
	}
	all.add()
	g.opt.Journal.Append(journal.Entry{Refusal: r}, all.done)
}

func (g *Gate) settled(via devices.Via, err error) {
	if err == nil {
		g.metrics.acked[via].Inc()
		return
	}
	g.metrics.refused(via, asRefusal(err).Reason)
}

// asRefusal names the reason in err. An error without one is ours, and ours are
// worth a retry.
func asRefusal(err error) *devices.Refusal {
	var r *devices.Refusal
	if errors.As(err, &r) {
		return r
	}
	return devices.Refuse(devices.ReasonUnavailable, "%v", err)
}

func countValues(m *devices.Message) (n int) {
	for i := range m.Observations {
		n += len(m.Observations[i].Values)
	}
	return n
}

// join calls then once, when close was called and every add was answered: with
// the first error that is worth a retry, else with the first. A sender of many
// parts that is told not to come back must have lost none to our own troubles.
type join struct {
	mu   sync.Mutex
	open int
	err  error
	then func(error)
}

func newJoin(then func(error)) *join { return &join{open: 1, then: then} }

func (j *join) add() {
	j.mu.Lock()
	j.open++
	j.mu.Unlock()
}

func (j *join) close() { j.done(0, nil) }

func (j *join) done(_ uint64, err error) {
	j.mu.Lock()
	if err != nil && (j.err == nil || asRefusal(err).Reason.Retry() && !asRefusal(j.err).Reason.Retry()) {
		j.err = err
	}
	j.open--
	last := j.open == 0
	j.mu.Unlock()
	if last {
		j.then(j.err)
	}
}

// calendar turns instants into civil days, remembering the last one: nearly
// all observations are of today.
type calendar struct {
	zone *time.Location
	last atomic.Pointer[day]
}

type day struct {
	from, to time.Time
	date     devices.Date
}

func (c *calendar) date(t time.Time) devices.Date {
	if d := c.last.Load(); d != nil && !t.Before(d.from) && t.Before(d.to) {
		return d.date
	}
	local := t.In(c.zone)
	y, m, n := local.Date()
	d := &day{
		from: time.Date(y, m, n, 0, 0, 0, 0, c.zone),
		to:   time.Date(y, m, n+1, 0, 0, 0, 0, c.zone),
		date: devices.Date(fmt.Sprintf("%04d-%02d-%02d", y, m, n)),
	}
	if since := c.last.Load(); since == nil || t.After(since.from) {
		c.last.Store(d)
	}
	return d.date
}
