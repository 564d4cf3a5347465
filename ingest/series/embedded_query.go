package series

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"vonglau/devices"
)

// view is an open look at [lo, hi] in ticks. It holds the database open.
type view struct {
	storage.Querier
	e *Embedded
}

// look opens a view of the milliseconds lo to hi, both included.
func (e *Embedded) look(lo, hi int64) (*view, error) {
	e.mu.RLock()
	if err := e.readable(); err != nil {
		e.mu.RUnlock()
		return nil, err
	}
	q, err := e.db.Querier(tick(lo, 0), tick(hi, maxRevision))
	if err != nil {
		e.mu.RUnlock()
		return nil, fmt.Errorf("read the series in %s: %w", e.opts.Dir, err)
	}
	return &view{q, e}, nil
}

// readable is called with mu held.
func (e *Embedded) readable() error {
	if e.closed {
		return ErrClosed
	}
	if e.db == nil {
		return &Unavailable{Err: e.broken}
	}
	return nil
}

func (v *view) close() {
	if err := v.Querier.Close(); err != nil {
		v.e.opts.Log.Warn("closing a look at the series", "err", err)
	}
	v.e.mu.RUnlock()
}

// run reads the samples of one series.
type run struct {
	labels labels.Labels
	it     chunkenc.Iterator
}

// each calls visit for every series that matches, sorted by their labels.
func (v *view) each(ctx context.Context, visit func(run) error, matchers ...*labels.Matcher) error {
	set := v.Select(ctx, true, nil, matchers...)
	for set.Next() {
		s := set.At()
		r := run{s.Labels(), s.Iterator(nil)}
		if err := visit(r); err != nil {
			return err
		}
		if err := r.it.Err(); err != nil {
			return fmt.Errorf("read %s: %w", r.labels, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("select series: %w", err)
	}
	return nil
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// sample is one number of a series, with the placement its labels tell.
type sample struct {
	tick   int64
	number float64
	zones  *placement
}

func (s sample) ms() int64 { return s.tick >> revisionBits }

// values gives the valid samples of one device and quantity in order of time.
func (v *view) values(ctx context.Context, device devices.ID, q devices.Quantity) ([]sample, error) {
	var all []sample
	n := 0
	err := v.each(ctx, func(r run) error {
		n++
		all = v.e.appendSamples(all, r)
		return nil
	}, equal(model.MetricNameLabel, nameValue), equal(labelDevice, string(device)), equal(labelQuantity, string(q)))
	if err != nil {
		return nil, err
	}
	return valid(all, n > 1), nil
}

func (e *Embedded) appendSamples(dst []sample, r run) []sample {
	zones := e.places.fromLabels(zoneLabels(r.labels))
	for r.it.Next() == chunkenc.ValFloat {
		t, n := r.it.At()
		dst = append(dst, sample{t, n, zones})
	}
	return dst
}

func zoneLabels(l labels.Labels) []zoneLabel {
	var out []zoneLabel
	l.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, zonePrefix) {
			out = append(out, zoneLabel{l.Name, l.Value})
		}
	})
	return out
}

// valid keeps the highest revision of each millisecond.
func valid(all []sample, mixed bool) []sample {
	if mixed {
		slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.tick, b.tick) })
	}
	kept := all[:0]
	for i, s := range all {
		if i+1 == len(all) || all[i+1].ms() != s.ms() {
			kept = append(kept, s)
		}
	}
	return kept
}

// arrival is what the observation series tell of one tick.
type arrival struct {
	delay int64
	flags devices.Flags
}

// arrivals gives the arrival of every tick of quantity q of a device, or of all
// quantities when q is empty. visit is called in no particular order.
func (v *view) arrivals(ctx context.Context, device devices.ID, q devices.Quantity, visit func(q devices.Quantity, tick int64, delay bool, n float64)) error {
	for _, name := range [...]string{nameDelay, nameFlags} {
		err := v.each(ctx, func(r run) error {
			set := strings.Split(r.labels.Get(labelSet), ",")
			if q != "" {
				if !slices.Contains(set, string(q)) {
					return nil
				}
				set = []string{string(q)}
			}
			for r.it.Next() == chunkenc.ValFloat {
				t, n := r.it.At()
				for _, q := range set {
					visit(devices.Quantity(q), t, name == nameDelay, n)
				}
			}
			return nil
		}, equal(model.MetricNameLabel, name), equal(labelDevice, string(device)))
		if err != nil {
			return err
		}
	}
	return nil
}

func (a arrival) with(delay bool, n float64) arrival {
	if delay {
		a.delay = int64(n)
	} else {
		a.flags = devices.Flags(n)
	}
	return a
}

func (s sample) stored(a arrival) stored {
	return stored{number: s.number, received: s.ms() + a.delay, zones: s.zones, flags: a.flags,
		revision: int(s.tick & maxRevision)}
}

// Range implements Store.
func (e *Embedded) Range(ctx context.Context, q Query) ([]devices.Point, error) {
	lo, hi, ok, err := window(q.From, q.To, e.oldest())
	if err != nil || !ok {
		return nil, err
	}
	v, err := e.look(lo, hi-1)
	if err != nil {
		return nil, err
	}
	defer v.close()
	samples, err := v.values(ctx, q.Device, q.Quantity)
	if err != nil {
		return nil, fmt.Errorf("range of %s of %s: %w", q.Quantity, q.Device, err)
	}
	if n := limit(q.Limit); len(samples) > n {
		samples = samples[:n]
	}
	arrived := make([]arrival, len(samples))
	err = v.arrivals(ctx, q.Device, q.Quantity, func(_ devices.Quantity, tick int64, delay bool, n float64) {
		i, ok := slices.BinarySearchFunc(samples, tick, func(s sample, t int64) int { return cmp.Compare(s.tick, t) })
		if ok {
			arrived[i] = arrived[i].with(delay, n)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("arrivals of %s of %s: %w", q.Quantity, q.Device, err)
	}
	points := make([]devices.Point, len(samples))
	for i, s := range samples {
		points[i] = point{s.ms(), s.stored(arrived[i])}.public()
	}
	return points, nil
}

// Buckets implements Store.
func (e *Embedded) Buckets(ctx context.Context, q BucketQuery) ([]devices.Bucket, error) {
	lo, hi, ok, err := window(q.From, q.To, e.oldest())
	if err != nil || !ok {
		return nil, err
	}
	g, err := q.grid(lo, hi)
	if err != nil {
		return nil, err
	}
	v, err := e.look(lo, hi-1)
	if err != nil {
		return nil, err
	}
	defer v.close()
	samples, err := v.values(ctx, q.Device, q.Quantity)
	if err != nil {
		return nil, fmt.Errorf("buckets of %s of %s: %w", q.Quantity, q.Device, err)
	}
	f := make(fold)
	for _, s := range samples {
		f.at(g.start(s.ms())).add(s.number)
	}
	return f.buckets(), nil
}

// ByZone implements Store.
func (e *Embedded) ByZone(ctx context.Context, q ZoneQuery) ([]devices.ZoneSeries, error) {
	lo, hi, ok, err := window(q.From, q.To, e.oldest())
	if err != nil || !ok {
		return nil, err
	}
	g, err := q.grid(lo, hi)
	if err != nil {
		return nil, err
	}
	v, err := e.look(lo, hi-1)
	if err != nil {
		return nil, err
	}
	defer v.close()

	label := layerLabel(q.Layer)
	zones := make(zoneFold)
	// Series come sorted by device, so one device's are judged together: an
	// overwrite may have moved a value to another zone, or out of the layer.
	device, n := "", 0
	var all []sample
	flush := func() {
		for _, s := range valid(all, n > 1) {
			for _, l := range s.zones.labels {
				if l.name != label {
					continue
				}
				for _, f := range zones.at(l) {
					f.at(g.start(s.ms())).add(s.number)
				}
			}
		}
		all, n = all[:0], 0
	}
	err = v.each(ctx, func(r run) error {
		if d := r.labels.Get(labelDevice); d != device {
			flush()
			device = d
		}
		n++
		all = e.appendSamples(all, r)
		return nil
	}, equal(model.MetricNameLabel, nameValue), equal(labelQuantity, string(q.Quantity)))
	if err != nil {
		return nil, fmt.Errorf("%s by %s: %w", q.Quantity, q.Layer, err)
	}
	flush()
	return zones.series(), nil
}

// Track implements Store.
func (e *Embedded) Track(ctx context.Context, q TrackQuery) ([]devices.TrackPoint, error) {
	lo, hi, ok, err := window(q.From, q.To, e.oldest())
	if err != nil || !ok {
		return nil, err
	}
	v, err := e.look(lo, hi-1)
	if err != nil {
		return nil, err
	}
	defer v.close()
	track, err := v.track(ctx, q.Device)
	if err != nil {
		return nil, fmt.Errorf("track of %s: %w", q.Device, err)
	}
	points := make([]devices.TrackPoint, 0, len(track))
	for i, p := range track {
		if i+1 < len(track) && track[i+1].tick>>revisionBits == p.tick>>revisionBits {
			continue
		}
		if len(points) == limit(q.Limit) {
			break
		}
		points = append(points, devices.TrackPoint{Time: time.UnixMilli(p.tick >> revisionBits).UTC(),
			At: devices.Position{Lon: p.lon, Lat: p.lat}})
	}
	return points, nil
}

type fix struct {
	tick     int64
	lon, lat float64
}

// track gives all positions of a device, every revision of them.
func (v *view) track(ctx context.Context, device devices.ID) ([]fix, error) {
	var fixes []fix
	for _, name := range [...]string{nameLon, nameLat} {
		err := v.each(ctx, func(r run) error {
			for i := 0; r.it.Next() == chunkenc.ValFloat; {
				t, n := r.it.At()
				if name == nameLon {
					fixes = append(fixes, fix{tick: t, lon: n, lat: math.NaN()})
					continue
				}
				// Both are appended in one transaction, so they have the same
				// ticks.
				for i < len(fixes) && fixes[i].tick < t {
					i++
				}
				if i < len(fixes) && fixes[i].tick == t {
					fixes[i].lat = n
				}
			}
			return nil
		}, equal(model.MetricNameLabel, name), equal(labelDevice, string(device)))
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(fixes, func(f fix) bool { return math.IsNaN(f.lat) }), nil
}

// Latest implements Store.
func (e *Embedded) Latest(ctx context.Context, device devices.ID) (map[devices.Quantity]devices.Point, error) {
	e.mu.RLock()
	err := e.readable()
	e.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return e.ledger.latest(ctx, device, e.oldest())
}

// embeddedShelf is what the ledger sees of the store.
type embeddedShelf Embedded

// within implements shelf.
func (s *embeddedShelf) within(ctx context.Context, spans []span, found func(devices.ID, key, stored)) error {
	for _, sp := range spans {
		if err := s.span(ctx, sp, found); err != nil {
			return err
		}
	}
	return nil
}

func (s *embeddedShelf) span(ctx context.Context, sp span, found func(devices.ID, key, stored)) error {
	e := (*Embedded)(s)
	v, err := e.look(sp.from, sp.to)
	if err != nil {
		return err
	}
	defer v.close()
	type at struct {
		q    devices.Quantity
		tick int64
	}
	arrived := make(map[at]arrival)
	err = v.arrivals(ctx, sp.device, "", func(q devices.Quantity, tick int64, delay bool, n float64) {
		arrived[at{q, tick}] = arrived[at{q, tick}].with(delay, n)
	})
	if err != nil {
		return err
	}
	err = v.each(ctx, func(r run) error {
		q := devices.Quantity(r.labels.Get(labelQuantity))
		for _, s := range e.appendSamples(nil, r) {
			found(sp.device, key{q, s.ms()}, s.stored(arrived[at{q, s.tick}]))
		}
		return nil
	}, equal(model.MetricNameLabel, nameValue), equal(labelDevice, string(sp.device)))
	if err != nil {
		return err
	}
	fixes, err := v.track(ctx, sp.device)
	if err != nil {
		return err
	}
	for _, f := range fixes {
		// The arrival of a position is not kept apart: a later delivery always
		// wins, which is the rule as long as the journal is read in order.
		found(sp.device, key{"", f.tick >> revisionBits},
			stored{number: f.lon, lat: f.lat, received: math.MinInt64, revision: int(f.tick & maxRevision)})
	}
	return nil
}

// newest implements shelf. It decodes the last chunk of each series only.
func (s *embeddedShelf) newest(ctx context.Context, ids []devices.ID) (map[devices.ID]map[devices.Quantity]point, error) {
	e := (*Embedded)(s)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	// The alphabet of an ID has nothing that means anything in a pattern.
	who, err := labels.NewMatcher(labels.MatchRegexp, labelDevice, strings.Join(names, "|"))
	if err != nil {
		return nil, fmt.Errorf("match %d devices: %w", len(ids), err)
	}
	answer := make(map[devices.ID]map[devices.Quantity]point, len(ids))
	keep := func(l labels.Labels, q devices.Quantity, last sample, put func(*point)) {
		id := devices.ID(l.Get(labelDevice))
		if answer[id] == nil {
			answer[id] = make(map[devices.Quantity]point)
		}
		p, ok := answer[id][q]
		if ok && tick(p.ms, p.revision) > last.tick {
			return
		}
		if !ok || tick(p.ms, p.revision) < last.tick {
			p = point{ms: last.ms(), stored: stored{zones: &placement{}, revision: int(last.tick & maxRevision)}}
		}
		put(&p)
		answer[id][q] = p
	}
	err = e.lastSamples(ctx, nameValue, who, func(l labels.Labels, last sample) {
		keep(l, devices.Quantity(l.Get(labelQuantity)), last, func(p *point) {
			p.number, p.zones = last.number, e.places.fromLabels(zoneLabels(l))
		})
	})
	if err != nil {
		return nil, err
	}
	err = e.lastSamples(ctx, nameLon, who, func(l labels.Labels, last sample) {
		keep(l, "", last, func(p *point) { p.number = last.number })
	})
	if err != nil {
		return nil, err
	}
	err = e.lastSamples(ctx, nameLat, who, func(l labels.Labels, last sample) {
		keep(l, "", last, func(p *point) { p.lat = last.number })
	})
	if err != nil {
		return nil, err
	}
	for id, points := range answer {
		if err := s.annotate(ctx, id, points); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// annotate fills in arrival and flags of one device's newest points. Most share
// a moment, so moments are looked at, not points.
func (s *embeddedShelf) annotate(ctx context.Context, id devices.ID, points map[devices.Quantity]point) error {
	e := (*Embedded)(s)
	moments := make(map[int64]bool)
	for q, p := range points {
		if q != "" {
			moments[p.ms] = true
		}
	}
	for ms := range moments {
		v, err := e.look(ms, ms)
		if err != nil {
			return err
		}
		err = v.arrivals(ctx, id, "", func(q devices.Quantity, at int64, delay bool, n float64) {
			p, ok := points[q]
			if !ok || at != tick(p.ms, p.revision) {
				return
			}
			if delay {
				p.received = p.ms + int64(n)
			} else {
				p.flags = devices.Flags(n)
			}
			points[q] = p
		})
		v.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// lastSamples calls visit with the last sample of every series of a name.
func (e *Embedded) lastSamples(ctx context.Context, name string, who *labels.Matcher, visit func(labels.Labels, sample)) (err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.readable(); err != nil {
		return err
	}
	q, err := e.db.ChunkQuerier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("read the series in %s: %w", e.opts.Dir, err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	set := q.Select(ctx, false, nil, equal(model.MetricNameLabel, name), who)
	var metas []chunks.Meta
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		metas = metas[:0]
		chunk := s.Iterator(nil)
		for chunk.Next() {
			metas = append(metas, chunk.At())
		}
		if err := chunk.Err(); err != nil {
			return fmt.Errorf("read %s: %w", s.Labels(), err)
		}
		slices.SortFunc(metas, func(a, b chunks.Meta) int { return cmp.Compare(b.MaxTime, a.MaxTime) })
		last, any := sample{tick: math.MinInt64}, false
		for _, m := range metas {
			if any && m.MaxTime <= last.tick {
				break
			}
			it = m.Chunk.Iterator(it)
			for it.Next() == chunkenc.ValFloat {
				if t, n := it.At(); !any || t >= last.tick {
					last, any = sample{tick: t, number: n}, true
				}
			}
			if err := it.Err(); err != nil {
				return fmt.Errorf("read %s: %w", s.Labels(), err)
			}
		}
		if any {
			visit(s.Labels(), last)
		}
	}
	return set.Err()
}
