package series

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
)

// row is one thing to store: a value of a device, or its position when quantity
// is empty.
type row struct {
	device   devices.ID
	quantity devices.Quantity
	ms       int64 // event time
	received int64 // ms
	device0  int64 // what a suspect clock said, ms; 0 otherwise
	number   float64
	lat      float64 // of a position; number is its longitude
	zones    *placement
	flags    devices.Flags
	// observation numbers the rows that share one; it rises within a Write.
	observation int
	// revision counts what was stored under the same device, quantity and time
	// before, and old is the last of those.
	revision int
	old      *stored
	dropped  bool // overwritten by a later row of the same Write
}

func (r *row) rejection(c Cause, format string, args ...any) Rejection {
	return Rejection{Device: r.device, Quantity: r.quantity, Time: time.UnixMilli(r.ms).UTC(),
		Received: time.UnixMilli(r.received).UTC(), Number: r.number,
		Cause: c, Detail: fmt.Sprintf(format, args...)}
}

// stored is what a store holds under one device, quantity and time. Of several,
// the highest revision is the valid one.
type stored struct {
	number, lat float64
	received    int64
	zones       *placement
	flags       devices.Flags
	revision    int
}

func (s *stored) same(r *row) bool {
	return s.number == r.number && s.lat == r.lat && (r.quantity == "" || s.zones.key == r.zones.key)
}

// point is a stored value with its time.
type point struct {
	ms int64
	stored
}

func (p point) public() devices.Point {
	return devices.Point{Time: time.UnixMilli(p.ms).UTC(), Received: time.UnixMilli(p.received).UTC(),
		Number: p.number, Zones: p.zones.refs, Flags: p.flags, Corrected: p.revision > 0}
}

// span is a stretch of one device's time, both ends included, ms.
type span struct {
	device   devices.ID
	from, to int64
}

// key finds a stored value of one device; quantity is empty for a position.
type key struct {
	quantity devices.Quantity
	ms       int64
}

// shelf is what the ledger asks of a database.
type shelf interface {
	// newest gives the newest point of every quantity of each device, and of
	// its position under the empty quantity.
	newest(ctx context.Context, ids []devices.ID) (map[devices.ID]map[devices.Quantity]point, error)
	// within calls found for everything stored in the spans.
	within(ctx context.Context, spans []span, found func(devices.ID, key, stored)) error
}

// ledger judges what a Write brings against what is stored, by the rule of the
// package comment, and remembers the newest point of each quantity. What it
// remembers is bounded by the register of devices; it is filled on a device's
// first Write, so a restart needs no scan.
//
// Writes use it one at a time. latest may be called at any time.
type ledger struct {
	shelf  shelf
	places *placements

	mu    sync.Mutex
	known map[devices.ID]*history
}

// history is what the ledger knows of one device.
type history struct {
	newest map[devices.Quantity]point
	// roams is set once a second position was seen.
	roams bool
}

// maxGap splits the times to look up: spans further apart than this are asked
// for separately.
const maxGap = int64(time.Hour / time.Millisecond)

// verdict is the outcome of judging one Write.
type verdict struct {
	rows     []*row // to store, in arrival order
	written  Written
	rejected []Rejection
}

// judge decides about every value of messages. oldest and furthest bound the
// times that can be stored; maxRevision is how often one value can be
// overwritten, 0 for any number of times.
func (l *ledger) judge(ctx context.Context, messages []*devices.Message, oldest, furthest int64, maxRevision int) (*verdict, error) {
	v := &verdict{}
	rows, err := l.unpack(ctx, messages, oldest, furthest, v)
	if err != nil {
		return nil, err
	}
	found, err := l.lookUp(ctx, rows)
	if err != nil {
		return nil, err
	}

	type place struct {
		device devices.ID
		key
	}
	taken := make(map[place]*row, len(rows))
	for _, r := range rows {
		counts := r.quantity != "" // a position is not a value
		at := place{r.device, key{r.quantity, r.ms}}
		prev, inBatch := taken[at]
		switch past := found[at.device][at.key]; {
		case inBatch:
			before := stored{number: prev.number, lat: prev.lat, zones: prev.zones}
			if before.same(r) || r.received < prev.received {
				v.count(counts, Written{Duplicates: 1})
				continue
			}
			prev.dropped = true
			r.old, r.revision = prev.old, prev.revision
			v.count(counts, Written{Values: 1, Overwrites: 1})
		case len(past) > 0:
			best := &past[0]
			repeated := false
			for i := range past {
				if past[i].revision > best.revision {
					best = &past[i]
				}
				repeated = repeated || past[i].received == r.received && past[i].same(r)
			}
			if repeated || best.same(r) || r.received < best.received {
				v.count(counts, Written{Duplicates: 1})
				continue
			}
			if maxRevision > 0 && best.revision >= maxRevision {
				if counts {
					v.rejected = append(v.rejected, r.rejection(CauseRevisions,
						"overwritten %d times already; is the device's clock standing still?", maxRevision))
				}
				v.count(counts, Written{Rejected: 1})
				continue
			}
			r.old, r.revision = best, best.revision+1
			v.count(counts, Written{Values: 1, Overwrites: 1})
		default:
			v.count(counts, Written{Values: 1})
		}
		taken[at] = r
		v.rows = append(v.rows, r)
	}
	v.rows = slices.DeleteFunc(v.rows, func(r *row) bool { return r.dropped })
	return v, nil
}

func (v *verdict) count(counts bool, w Written) {
	if counts {
		v.written.add(w)
	}
}

// unpack turns messages into rows, without those no store could keep.
func (l *ledger) unpack(ctx context.Context, messages []*devices.Message, oldest, furthest int64, v *verdict) ([]*row, error) {
	if err := l.learn(ctx, messages); err != nil {
		return nil, err
	}
	n := 0
	for _, m := range messages {
		for i := range m.Observations {
			n += len(m.Observations[i].Values) + 1
		}
	}
	rows := make([]*row, 0, n)
	slab := make([]row, n)
	observation := 0
	seen := make(map[devices.ID]whereabouts)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		for i := range m.Observations {
			o := &m.Observations[i]
			observation++
			zones := o.Zones
			if o.Flags&devices.Exercise != 0 {
				zones = nil // a drill's readings are in no zone's history
			}
			base := row{device: m.Device, ms: o.Time.UnixMilli(), received: m.Received.UnixMilli(),
				zones: l.places.of(zones), flags: o.Flags, observation: observation}
			if !o.DeviceTime.IsZero() {
				base.device0 = o.DeviceTime.UnixMilli()
			}
			storable := true
			for _, val := range o.Values {
				r := &slab[0]
				slab = slab[1:]
				*r = base
				r.quantity, r.number = val.Quantity, val.Number
				cause, detail := Cause(""), ""
				switch {
				case math.IsNaN(r.number) || math.IsInf(r.number, 0) || r.quantity == "":
					cause, detail = CauseNotANumber, fmt.Sprintf("%q: %v", r.quantity, r.number)
				case r.ms < oldest:
					cause, detail = CauseTooOld, fmt.Sprintf("older than what is kept, which begins at %s",
						time.UnixMilli(oldest).UTC().Format(time.RFC3339))
				case r.ms > furthest:
					cause, detail = CauseTooNew, fmt.Sprintf("after %s",
						time.UnixMilli(furthest).UTC().Format(time.RFC3339))
				default:
					rows = append(rows, r)
					continue
				}
				storable = storable && cause == CauseNotANumber
				v.rejected = append(v.rejected, r.rejection(cause, "%s", detail))
				v.written.Rejected++
			}
			if o.At.Known() && storable && base.ms >= oldest && base.ms <= furthest && l.moved(m.Device, o.At, seen) {
				r := &slab[0]
				slab = slab[1:]
				*r = base
				r.number, r.lat = o.At.Lon, o.At.Lat
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// whereabouts is what decides whether a position is worth a row.
type whereabouts struct {
	at    devices.Position
	roams bool
}

// moved reports whether the position of o is to be stored: the first one, and
// all of a device that was seen at more than one place. seen holds what this
// Write has brought so far, because the ledger learns of it only once it is
// stored.
func (l *ledger) moved(id devices.ID, at devices.Position, seen map[devices.ID]whereabouts) bool {
	w, ok := seen[id]
	if !ok {
		h := l.known[id]
		if p, ok := h.newest[""]; ok {
			w = whereabouts{devices.Position{Lon: p.number, Lat: p.lat}, h.roams}
		}
	}
	switch {
	case w.at == at && !w.roams:
		return false
	case w.at.Known() && w.at != at:
		w.roams = true
	}
	w.at = at
	seen[id] = w
	return true
}

// learn makes sure that every sender has a history.
func (l *ledger) learn(ctx context.Context, messages []*devices.Message) error {
	var unknown []devices.ID
	l.mu.Lock()
	for _, m := range messages {
		if l.known[m.Device] == nil {
			unknown = append(unknown, m.Device)
		}
	}
	l.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	unknown = slices.Compact(unknown)
	newest, err := l.shelf.newest(ctx, unknown)
	if err != nil {
		return fmt.Errorf("look up the newest values of %d devices: %w", len(unknown), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = make(map[devices.ID]*history)
	}
	for _, id := range unknown {
		h := &history{newest: newest[id]}
		if h.newest == nil {
			h.newest = make(map[devices.Quantity]point)
		}
		l.known[id] = h
	}
	return nil
}

// lookUp fetches what is stored at the times of those rows that are not newer
// than everything their device sent of that quantity.
func (l *ledger) lookUp(ctx context.Context, rows []*row) (map[devices.ID]map[key][]stored, error) {
	times := make(map[devices.ID][]int64)
	wanted := make(map[devices.ID]map[key][]stored)
	l.mu.Lock()
	for _, r := range rows {
		last, ok := l.known[r.device].newest[r.quantity]
		if !ok || r.ms > last.ms {
			continue
		}
		if wanted[r.device] == nil {
			wanted[r.device] = make(map[key][]stored)
		}
		wanted[r.device][key{r.quantity, r.ms}] = nil
		times[r.device] = append(times[r.device], r.ms)
	}
	l.mu.Unlock()
	if len(times) == 0 {
		return nil, nil
	}
	var spans []span
	for id, ts := range times {
		slices.Sort(ts)
		from := ts[0]
		for i, t := range ts {
			if i+1 == len(ts) || ts[i+1]-t > maxGap {
				spans = append(spans, span{id, from, t})
				if i+1 < len(ts) {
					from = ts[i+1]
				}
			}
		}
	}
	// Neighbours in time beside each other: a database may answer several spans
	// with one query.
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.device, b.device))
	})
	err := l.shelf.within(ctx, spans, func(id devices.ID, k key, s stored) {
		if past, ok := wanted[id][k]; ok {
			wanted[id][k] = append(past, s)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compare %d late or repeated times with what is stored: %w", len(spans), err)
	}
	return wanted, nil
}

// commit remembers rows that have been stored.
func (l *ledger) commit(rows []*row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		h := l.known[r.device]
		if h == nil {
			continue
		}
		last, ok := h.newest[r.quantity]
		if ok && r.quantity == "" && (last.number != r.number || last.lat != r.lat) {
			h.roams = true
		}
		if ok && last.ms > r.ms {
			continue
		}
		h.newest[r.quantity] = point{r.ms, stored{number: r.number, lat: r.lat, received: r.received,
			zones: r.zones, flags: r.flags, revision: r.revision}}
	}
}

// forget drops what is remembered, for when it may not be what is stored.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = nil
}

// latest gives the newest points of a device not older than oldest.
func (l *ledger) latest(ctx context.Context, id devices.ID, oldest int64) (map[devices.Quantity]devices.Point, error) {
	answer := make(map[devices.Quantity]devices.Point)
	pick := func(points map[devices.Quantity]point) {
		for q, p := range points {
			if q != "" && p.ms >= oldest {
				answer[q] = p.public()
			}
		}
	}
	l.mu.Lock()
	h := l.known[id]
	if h != nil {
		pick(h.newest)
	}
	l.mu.Unlock()
	if h != nil {
		return answer, nil
	}
	newest, err := l.shelf.newest(ctx, []devices.ID{id})
	if err != nil {
		return nil, fmt.Errorf("latest values of %s: %w", id, err)
	}
	pick(newest[id])
	return answer, nil
}
