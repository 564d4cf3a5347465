package series

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"vonglau/devices"
)

// tally is a bucket in the making. Sums are added in the order of the points,
// so the same points give the same mean.
type tally struct {
	min, max, sum float64
	count         int
}

func (t *tally) add(v float64) { t.merge(tally{v, v, v, 1}) }

func (t *tally) merge(o tally) {
	if o.count == 0 {
		return
	}
	if t.count == 0 {
		*t = o
		return
	}
	t.min, t.max = min(t.min, o.min), max(t.max, o.max)
	t.sum += o.sum
	t.count += o.count
}

// fold gathers tallies by the start of their bucket.
type fold map[int64]*tally

func (f fold) at(start int64) *tally {
	t := f[start]
	if t == nil {
		t = &tally{}
		f[start] = t
	}
	return t
}

func (f fold) buckets() []devices.Bucket {
	out := make([]devices.Bucket, 0, len(f))
	for _, start := range slices.Sorted(maps.Keys(f)) {
		if t := f[start]; t.count > 0 {
			out = append(out, devices.Bucket{Start: time.UnixMilli(start).UTC(),
				Min: t.min, Mean: t.sum / float64(t.count), Max: t.max, Count: t.count})
		}
	}
	return out
}

// zoneFold gathers folds by zone version.
type zoneFold map[devices.ZoneRef]fold

// at gives the fold of every zone that a label names.
func (z zoneFold) at(l zoneLabel) []fold {
	var out []fold
	for _, ref := range appendZones(nil, l) {
		f := z[ref]
		if f == nil {
			f = make(fold)
			z[ref] = f
		}
		out = append(out, f)
	}
	return out
}

func (z zoneFold) series() []devices.ZoneSeries {
	out := make([]devices.ZoneSeries, 0, len(z))
	for ref, f := range z {
		if b := f.buckets(); len(b) > 0 {
			out = append(out, devices.ZoneSeries{Zone: ref, Buckets: b})
		}
	}
	slices.SortFunc(out, func(a, b devices.ZoneSeries) int {
		return cmp.Or(cmp.Compare(a.Zone.Code, b.Zone.Code), cmp.Compare(a.Zone.ValidFrom, b.Zone.ValidFrom))
	})
	return out
}
