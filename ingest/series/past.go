package series

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"vonglau/devices"
)

// clockAhead is how far a device's clock may be ahead of what At looks at. The
// gate lets in no more than minutes.
const clockAhead = 10 * time.Minute

// lookBack are the spans that At searches one after the other, each before the
// one before it and only for what was not found yet: nearly all is in the first.
var lookBack = []time.Duration{3 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 360 * 24 * time.Hour}

// whoAtOnce bounds the pattern that names devices.
const whoAtOnce = 500

// spot finds what At looks for: a quantity of a device, or where it was.
type spot struct {
	device   devices.ID
	quantity devices.Quantity // empty for a position
}

// At implements Store. What is found is exact: of several arrivals for one
// moment it is the one that had come by then, even when a later one replaced it.
func (e *Embedded) At(ctx context.Context, t time.Time, each func(Sample) error) error {
	at := ceilMillis(t)
	oldest := e.oldest()
	if at < oldest {
		return nil
	}
	missing, err := e.exist(ctx, oldest, at)
	if err != nil {
		return fmt.Errorf("series there were at %s: %w", t.UTC().Format(time.RFC3339), err)
	}
	hi := at + clockAhead.Milliseconds()
	var who []*labels.Matcher // nil is everybody
	for i := 0; len(missing) > 0 && hi >= oldest; i++ {
		lo := oldest
		if i < len(lookBack) {
			lo = max(oldest, at-lookBack[i].Milliseconds())
		}
		if who == nil {
			who = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, labelDevice, ".+")}
		} else if who, err = theirs(missing); err != nil {
			return err
		}
		for _, some := range who {
			if err := e.past(ctx, lo, hi, at, some, missing, each); err != nil {
				return fmt.Errorf("values at %s: %w", t.UTC().Format(time.RFC3339), err)
			}
		}
		hi = lo - 1
	}
	return nil
}

// theirs matches the devices of what is missing.
func theirs(missing map[spot]bool) ([]*labels.Matcher, error) {
	ids := make([]string, 0, len(missing))
	for s := range missing {
		ids = append(ids, string(s.device))
	}
	slices.Sort(ids)
	var out []*labels.Matcher
	for some := range slices.Chunk(slices.Compact(ids), whoAtOnce) {
		// The alphabet of an ID has nothing that means anything in a pattern.
		m, err := labels.NewMatcher(labels.MatchRegexp, labelDevice, strings.Join(some, "|"))
		if err != nil {
			return nil, fmt.Errorf("match %d devices: %w", len(some), err)
		}
		out = append(out, m)
	}
	return out, nil
}

// exist gives the quantities and positions that have any series, without
// reading one.
func (e *Embedded) exist(ctx context.Context, lo, hi int64) (map[spot]bool, error) {
	v, err := e.look(lo, hi+clockAhead.Milliseconds())
	if err != nil {
		return nil, err
	}
	defer v.close()
	found := make(map[spot]bool)
	for _, name := range []string{nameValue, nameLon} {
		set := v.Select(ctx, false, &storage.SelectHints{Start: tick(lo, 0), End: tick(hi+clockAhead.Milliseconds(), maxRevision), Func: "series"}, equal(model.MetricNameLabel, name))
		for set.Next() {
			l := set.At().Labels()
			found[spot{devices.ID(l.Get(labelDevice)), devices.Quantity(l.Get(labelQuantity))}] = true
		}
		if err := set.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// last is the newest arrival that had come by a time.
type last struct {
	tick int64
	arrival
}

// past looks for what is missing in the milliseconds lo to hi, as it had arrived
// by at, and takes what it finds off the list.
func (e *Embedded) past(ctx context.Context, lo, hi, at int64, who *labels.Matcher, missing map[spot]bool, each func(Sample) error) error {
	v, err := e.look(lo, hi)
	if err != nil {
		return err
	}
	defer v.close()
	newest := make(map[spot]*last)
	present := make(map[devices.ID]int64) // the newest tick of anything of a device
	err = v.each(ctx, func(r run) error {
		id := devices.ID(r.labels.Get(labelDevice))
		best := last{tick: math.MinInt64}
		for r.it.Next() == chunkenc.ValFloat {
			t, n := r.it.At()
			if t > best.tick && t>>revisionBits+int64(n) <= at {
				best = last{t, arrival{delay: int64(n)}}
			}
		}
		if best.tick == math.MinInt64 {
			return nil
		}
		if was, ok := present[id]; !ok || best.tick > was {
			present[id] = best.tick
		}
		for q := range strings.SplitSeq(r.labels.Get(labelSet), ",") {
			s := spot{id, devices.Quantity(q)}
			if was := newest[s]; missing[s] && (was == nil || was.tick < best.tick) {
				one := best
				newest[s] = &one
			}
		}
		return nil
	}, equal(model.MetricNameLabel, nameDelay), who)
	if err != nil {
		return err
	}
	err = v.each(ctx, func(r run) error {
		id := devices.ID(r.labels.Get(labelDevice))
		var mine []*last
		for q := range strings.SplitSeq(r.labels.Get(labelSet), ",") {
			if l := newest[spot{id, devices.Quantity(q)}]; l != nil {
				mine = append(mine, l)
			}
		}
		for len(mine) > 0 && r.it.Next() == chunkenc.ValFloat {
			t, n := r.it.At()
			for _, l := range mine {
				if l.tick == t {
					l.flags = devices.Flags(n)
				}
			}
		}
		return nil
	}, equal(model.MetricNameLabel, nameFlags), who)
	if err != nil {
		return err
	}
	err = v.each(ctx, func(r run) error {
		s := spot{devices.ID(r.labels.Get(labelDevice)), devices.Quantity(r.labels.Get(labelQuantity))}
		l := newest[s]
		if l == nil || r.it.Seek(l.tick) != chunkenc.ValFloat {
			return nil
		}
		t, n := r.it.At()
		if t != l.tick { // under other zones
			return nil
		}
		delete(missing, s)
		one := sample{t, n, e.places.fromLabels(zoneLabels(r.labels))}
		return each(Sample{Device: s.device, Quantity: s.quantity, Point: point{one.ms(), one.stored(l.arrival)}.public()})
	}, equal(model.MetricNameLabel, nameValue), who)
	if err != nil {
		return err
	}
	fixes := make(map[devices.ID]fix)
	for _, name := range [...]string{nameLon, nameLat} {
		err := v.each(ctx, func(r run) error {
			id := devices.ID(r.labels.Get(labelDevice))
			until, ok := present[id]
			if !missing[spot{device: id}] || !ok && hi > at {
				return nil // has said nothing since, so it is nowhere else either
			}
			if !ok {
				until = tick(at, maxRevision)
			}
			for r.it.Next() == chunkenc.ValFloat {
				t, n := r.it.At()
				if t > until {
					break
				}
				if name == nameLon {
					fixes[id] = fix{tick: t, lon: n, lat: math.NaN()}
				} else if f := fixes[id]; f.tick == t {
					f.lat = n
					fixes[id] = f
				}
			}
			return nil
		}, equal(model.MetricNameLabel, name), who)
		if err != nil {
			return err
		}
	}
	for id, f := range fixes {
		if math.IsNaN(f.lat) {
			continue
		}
		delete(missing, spot{device: id})
		ms := f.tick >> revisionBits
		if err := each(place(id, ms, min(at, ms), f.lon, f.lat)); err != nil {
			return err
		}
	}
	return nil
}

func place(id devices.ID, ms, received int64, lon, lat float64) Sample {
	return Sample{Device: id, At: devices.Position{Lon: lon, Lat: lat},
		Point: devices.Point{Time: time.UnixMilli(ms).UTC(), Received: time.UnixMilli(received).UTC()}}
}

// Between implements Store.
func (e *Embedded) Between(ctx context.Context, from, to time.Time, each func(Sample) error) error {
	lo, hi, ok, err := window(from, to, e.oldest())
	if err != nil || !ok {
		return err
	}
	v, err := e.look(lo, hi-1)
	if err != nil {
		return err
	}
	defer v.close()
	type moment struct {
		set  string
		tick int64
	}
	type told struct {
		moments map[moment]arrival
		sets    []string
	}
	// One device's moments are found by its quantities; nearly all devices say
	// the same few sets over and over.
	heard := make(map[devices.ID]*told)
	for _, name := range [...]string{nameDelay, nameFlags} {
		err := v.each(ctx, func(r run) error {
			id, set := devices.ID(r.labels.Get(labelDevice)), r.labels.Get(labelSet)
			d := heard[id]
			if d == nil {
				d = &told{moments: make(map[moment]arrival)}
				heard[id] = d
			}
			if !slices.Contains(d.sets, set) {
				d.sets = append(d.sets, set)
			}
			for r.it.Next() == chunkenc.ValFloat {
				t, n := r.it.At()
				m := moment{set, t}
				d.moments[m] = d.moments[m].with(name == nameDelay, n)
			}
			return nil
		}, equal(model.MetricNameLabel, name))
		if err != nil {
			return fmt.Errorf("arrivals from %s: %w", from.UTC().Format(time.RFC3339), err)
		}
	}
	var sets []string
	err = v.each(ctx, func(r run) error {
		id, q := devices.ID(r.labels.Get(labelDevice)), r.labels.Get(labelQuantity)
		zones := e.places.fromLabels(zoneLabels(r.labels))
		d := heard[id]
		sets = sets[:0]
		if d != nil {
			for _, s := range d.sets {
				if s == q || slices.Contains(strings.Split(s, ","), q) {
					sets = append(sets, s)
				}
			}
		}
		for r.it.Next() == chunkenc.ValFloat {
			t, n := r.it.At()
			one := sample{t, n, zones}
			var a arrival
			for _, s := range sets {
				if found, ok := d.moments[moment{s, t}]; ok {
					a = found
					break
				}
			}
			if err := each(Sample{Device: id, Quantity: devices.Quantity(q), Point: point{one.ms(), one.stored(a)}.public()}); err != nil {
				return err
			}
		}
		return nil
	}, equal(model.MetricNameLabel, nameValue))
	if err != nil {
		return fmt.Errorf("values from %s: %w", from.UTC().Format(time.RFC3339), err)
	}
	fixes := make(map[devices.ID][]fix)
	for _, name := range [...]string{nameLon, nameLat} {
		err := v.each(ctx, func(r run) error {
			id := devices.ID(r.labels.Get(labelDevice))
			for i := 0; r.it.Next() == chunkenc.ValFloat; {
				t, n := r.it.At()
				if name == nameLon {
					fixes[id] = append(fixes[id], fix{tick: t, lon: n, lat: math.NaN()})
					continue
				}
				list := fixes[id]
				for i < len(list) && list[i].tick < t {
					i++
				}
				if i < len(list) && list[i].tick == t {
					list[i].lat = n
				}
			}
			return nil
		}, equal(model.MetricNameLabel, name))
		if err != nil {
			return fmt.Errorf("positions from %s: %w", from.UTC().Format(time.RFC3339), err)
		}
	}
	for id, list := range fixes {
		for _, f := range list {
			if math.IsNaN(f.lat) {
				continue
			}
			ms, received := f.tick>>revisionBits, f.tick>>revisionBits
			if d := heard[id]; d != nil {
				for _, s := range d.sets {
					if a, ok := d.moments[moment{s, f.tick}]; ok {
						received = ms + a.delay
						break
					}
				}
			}
			if err := each(place(id, ms, received, f.lon, f.lat)); err != nil {
				return err
			}
		}
	}
	return nil
}

// At implements Store. What was overwritten since is found as it is now. A value
// that its device's clock dated ahead of the time asked for is not found.
func (s *Influx) At(ctx context.Context, t time.Time, each func(Sample) error) error {
	if err := s.open(); err != nil {
		return err
	}
	at, oldest := ceilMillis(t), s.oldest()
	if at < oldest {
		return nil
	}
	all := fields(fieldValue, fieldReceived, fieldFlags, fieldLon, fieldLat)
	points, err := s.gather(ctx, s.from(oldest, at+1)+all+"|> last()")
	if err != nil {
		return fmt.Errorf("values at %s: %w", t.UTC().Format(time.RFC3339), err)
	}
	best := make(map[spot]point)
	keep := func(points map[cell]gathered) (late []devices.ID) {
		for c, g := range points {
			if !c.whole(g) {
				continue // flags that are older than the last value
			}
			st := c.stored(g)
			if st.received > at && c.quantity != "" {
				late = append(late, c.device)
				continue
			}
			k := spot{c.device, c.quantity}
			if old, ok := best[k]; !ok || c.ms > old.ms || c.ms == old.ms && st.received > old.received {
				best[k] = point{c.ms, st}
			}
		}
		return late
	}
	// What came late hides what was there before it.
	late := keep(points)
	slices.Sort(late)
	for some := range slices.Chunk(slices.Compact(late), devicesAtOnce) {
		points, err := s.gather(ctx, s.from(max(oldest, at-lookBack[0].Milliseconds()), at+1)+filter(tagDevice, idStrings(some))+all)
		if err != nil {
			return fmt.Errorf("values at %s: %w", t.UTC().Format(time.RFC3339), err)
		}
		keep(points)
	}
	for k, p := range best {
		if err := each(k.sample(p)); err != nil {
			return err
		}
	}
	return nil
}

func (k spot) sample(p point) Sample {
	if k.quantity == "" {
		return place(k.device, p.ms, max(p.ms, p.received), p.number, p.lat)
	}
	return Sample{Device: k.device, Quantity: k.quantity, Point: p.public()}
}

// Between implements Store.
func (s *Influx) Between(ctx context.Context, from, to time.Time, each func(Sample) error) error {
	lo, hi, ok, err := window(from, to, s.oldest())
	if err == nil {
		err = s.open()
	}
	if err != nil || !ok {
		return err
	}
	points, err := s.gather(ctx, s.from(lo, hi)+fields(fieldValue, fieldReceived, fieldFlags, fieldLon, fieldLat))
	if err != nil {
		return fmt.Errorf("values from %s: %w", from.UTC().Format(time.RFC3339), err)
	}
	cells := make([]cell, 0, len(points))
	for c, g := range points {
		if c.whole(g) {
			cells = append(cells, c)
		}
	}
	slices.SortFunc(cells, func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.ms, b.ms), cmp.Compare(a.quantity, b.quantity))
	})
	for _, c := range cells {
		if err := each(spot{c.device, c.quantity}.sample(point{c.ms, c.stored(points[c])})); err != nil {
			return err
		}
	}
	return nil
}
