package series

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/query"

	"vonglau/devices"
)

// cell names one stored point.
type cell struct {
	device   devices.ID
	quantity devices.Quantity // empty for a position
	zones    *placement
	ms       int64
}

// gathered is a point whose fields come in one by one.
type gathered struct {
	number, lat float64
	received    int64
	flags       devices.Flags
	fields      int // of number and lat, how many were there
}

// flux sends a query and calls visit for each record.
func (s *Influx) flux(ctx context.Context, text string, visit func(*query.FluxRecord) error) error {
	if err := s.open(); err != nil {
		return err
	}
	// One for each query: it fills in its URL without a lock.
	result, err := s.client.QueryAPI(s.opts.Org).Query(ctx, text)
	if err != nil {
		return unavailable(fmt.Errorf("query %s: %w", s.opts.URL, err))
	}
	for result.Next() {
		if err := visit(result.Record()); err != nil {
			return errors.Join(err, result.Close())
		}
	}
	if err := errors.Join(result.Err(), result.Close()); err != nil {
		return unavailable(fmt.Errorf("read the answer of %s: %w", s.opts.URL, err))
	}
	return nil
}

// from begins a query over the milliseconds lo to hi, hi excluded. The stop of a
// range is excluded by 2.x and included by 1.8, so it lies between two
// milliseconds.
func (s *Influx) from(lo, hi int64) string {
	return fmt.Sprintf("from(bucket: %s)\n|> range(start: %s, stop: %s)\n", fluxString(s.opts.Bucket),
		fluxTime(time.UnixMilli(lo)), fluxTime(time.UnixMilli(hi).Add(-1)))
}

func fluxTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// fluxString quotes text of the operator's; "${" would begin an expression.
func fluxString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`, "\n", `\n`).Replace(s) + `"`
}

// only filters for one quantity and device; both are safe to quote as they are,
// the one by escape and the other because it has been parsed.
func only(q devices.Quantity, id devices.ID) string {
	return fmt.Sprintf("|> filter(fn: (r) => r._measurement == \"%s\" and r.%s == \"%s\")\n", escaped(string(q)), tagDevice, id)
}

func fields(names ...string) string {
	return filter("_field", names)
}

func filter(column string, values []string) string {
	var b strings.Builder
	b.WriteString("|> filter(fn: (r) => ")
	for i, v := range values {
		if i > 0 {
			b.WriteString(" or ")
		}
		fmt.Fprintf(&b, "r.%s == \"%s\"", column, v)
	}
	b.WriteString(")\n")
	return b.String()
}

// gather reads a query whose records are fields of points.
func (s *Influx) gather(ctx context.Context, text string) (map[cell]gathered, error) {
	points := make(map[cell]gathered)
	// The tags repeat from record to record of a table; so do their placements.
	table, zones := -1, &placement{}
	err := s.flux(ctx, text, func(r *query.FluxRecord) error {
		values := r.Values()
		if r.Table() != table {
			table, zones = r.Table(), s.zonesOf(values)
		}
		device, _ := values[tagDevice].(string)
		c := cell{devices.ID(device), devices.Quantity(unescape(r.Measurement())), zones, r.Time().UnixMilli()}
		field := r.Field()
		if field == fieldLon || field == fieldLat {
			c.quantity = ""
		} else if c.quantity == positionSeries && field == fieldReceived {
			return nil
		}
		p := points[c]
		switch v := r.Value().(type) {
		case float64:
			switch field {
			case fieldValue, fieldLon:
				p.number = v
				p.fields++
			case fieldLat:
				p.lat = v
				p.fields++
			}
		case int64:
			switch field {
			case fieldReceived:
				p.received = v
			case fieldFlags:
				p.flags = devices.Flags(v)
			}
		}
		points[c] = p
		return nil
	})
	return points, err
}

func (s *Influx) zonesOf(values map[string]any) *placement {
	var labels []zoneLabel
	for name, v := range values {
		if value, ok := v.(string); ok && strings.HasPrefix(name, zonePrefix) && value != "" {
			labels = append(labels, zoneLabel{name, value})
		}
	}
	return s.places.fromLabels(labels)
}

// whole reports whether all of a point came in.
func (c cell) whole(g gathered) bool {
	if c.quantity == "" {
		return g.fields == 2
	}
	return g.fields == 1
}

func (c cell) stored(g gathered) stored {
	return stored{number: g.number, lat: g.lat, received: g.received, zones: c.zones, flags: g.flags}
}

// Range implements Store.
func (s *Influx) Range(ctx context.Context, q Query) ([]devices.Point, error) {
	lo, hi, ok, err := s.window(q.Device, q.From, q.To)
	if err != nil || !ok {
		return nil, err
	}
	points, err := s.gather(ctx, s.from(lo, hi)+only(q.Quantity, q.Device)+
		fields(fieldValue, fieldReceived, fieldFlags)+fmt.Sprintf("|> limit(n: %d)", limit(q.Limit)))
	if err != nil {
		return nil, fmt.Errorf("range of %s of %s: %w", q.Quantity, q.Device, err)
	}
	// Two zones at one time are an overwrite whose delete was not carried out.
	byTime := make(map[int64]point, len(points))
	for c, g := range points {
		if old, ok := byTime[c.ms]; c.whole(g) && (!ok || g.received > old.received) {
			byTime[c.ms] = point{c.ms, c.stored(g)}
		}
	}
	answer := make([]devices.Point, 0, len(byTime))
	for _, p := range byTime {
		answer = append(answer, p.public())
	}
	slices.SortFunc(answer, func(a, b devices.Point) int { return a.Time.Compare(b.Time) })
	return answer[:min(len(answer), limit(q.Limit))], nil
}

// window checks a query as the package's window does. An ID that is none has no
// data, and must not get into the text of a query.
func (s *Influx) window(id devices.ID, from, to time.Time) (lo, hi int64, ok bool, err error) {
	lo, hi, ok, err = window(from, to, s.oldest())
	if err == nil {
		err = s.open()
	}
	if _, bad := devices.ParseID(string(id)); bad != nil {
		ok = false
	}
	return lo, hi, ok, err
}

// The four numbers of a bucket, each of which the server computes beside its
// data.
var aggregates = [...]string{"min", "max", "sum", "count"}

// tallies asks for the buckets of every series that a selection gives, or of all
// series with the same tag by, and calls visit with one number of one bucket.
func (s *Influx) tallies(ctx context.Context, lo, hi int64, g grid, selection, by string, visit func(values map[string]any, start int64, name string, n float64)) error {
	var b strings.Builder
	fmt.Fprintf(&b, "data = %s%s%s", s.from(lo, hi), selection, fields(fieldValue))
	if by != "" {
		// Before the windows, or there would be a table for each window of each
		// series.
		fmt.Fprintf(&b, "|> group(columns: [\"_start\", \"_measurement\", \"%s\"])\n", by)
	}
	if g.step > 0 {
		fmt.Fprintf(&b, "|> window(every: %dms, offset: %dms, createEmpty: false)\n", g.step, g.offset)
	}
	for _, name := range aggregates {
		fmt.Fprintf(&b, "data |> %s() |> yield(name: \"%s\")\n", name, name)
	}
	return s.flux(ctx, b.String(), func(r *query.FluxRecord) error {
		var n float64
		switch v := r.Value().(type) {
		case float64:
			n = v
		case int64:
			n = float64(v)
		default:
			return fmt.Errorf("%s of %s is %T", r.Result(), r.Measurement(), v)
		}
		// The first window may begin before the query or be cut at it.
		visit(r.Values(), g.start(max(r.Start().UnixMilli(), lo)), r.Result(), n)
		return nil
	})
}

// set puts one of the aggregates into place.
func (t *tally) set(name string, n float64) {
	switch name {
	case "min":
		t.min = n
	case "max":
		t.max = n
	case "sum":
		t.sum = n
	case "count":
		t.count = int(n)
	}
}

// Buckets implements Store.
func (s *Influx) Buckets(ctx context.Context, q BucketQuery) ([]devices.Bucket, error) {
	lo, hi, ok, err := s.window(q.Device, q.From, q.To)
	if err != nil || !ok {
		return nil, err
	}
	g, err := q.grid(lo, hi)
	if err != nil {
		return nil, err
	}
	// A device that moves has a series for each of its zones.
	series := make(map[string]fold)
	err = s.tallies(ctx, lo, hi, g, only(q.Quantity, q.Device), "", func(values map[string]any, start int64, name string, n float64) {
		key := s.zonesOf(values).key
		if series[key] == nil {
			series[key] = make(fold)
		}
		series[key].at(start).set(name, n)
	})
	if err != nil {
		return nil, fmt.Errorf("buckets of %s of %s: %w", q.Quantity, q.Device, err)
	}
	all := make(fold)
	for _, f := range series {
		for start, t := range f {
			all.at(start).merge(*t)
		}
	}
	return all.buckets(), nil
}

// ByZone implements Store.
func (s *Influx) ByZone(ctx context.Context, q ZoneQuery) ([]devices.ZoneSeries, error) {
	lo, hi, ok, err := window(q.From, q.To, s.oldest())
	if err != nil || !ok {
		return nil, errors.Join(err, s.open())
	}
	g, err := q.grid(lo, hi)
	if err != nil {
		return nil, err
	}
	label := layerLabel(q.Layer)
	series := make(map[string]fold)
	selection := fmt.Sprintf("|> filter(fn: (r) => r._measurement == \"%s\" and exists r[\"%s\"])\n", escaped(string(q.Quantity)), label)
	err = s.tallies(ctx, lo, hi, g, selection, label, func(values map[string]any, start int64, name string, n float64) {
		value, _ := values[label].(string)
		if series[value] == nil {
			series[value] = make(fold)
		}
		series[value].at(start).set(name, n)
	})
	if err != nil {
		return nil, fmt.Errorf("%s by %s: %w", q.Quantity, q.Layer, err)
	}
	zones := make(zoneFold)
	for value, f := range series {
		for _, into := range zones.at(zoneLabel{label, value}) {
			for start, t := range f {
				into.at(start).merge(*t)
			}
		}
	}
	return zones.series(), nil
}

// Track implements Store.
func (s *Influx) Track(ctx context.Context, q TrackQuery) ([]devices.TrackPoint, error) {
	lo, hi, ok, err := s.window(q.Device, q.From, q.To)
	if err != nil || !ok {
		return nil, err
	}
	points, err := s.gather(ctx, s.from(lo, hi)+only(positionSeries, q.Device)+
		fields(fieldLon, fieldLat)+fmt.Sprintf("|> limit(n: %d)", limit(q.Limit)))
	if err != nil {
		return nil, fmt.Errorf("track of %s: %w", q.Device, err)
	}
	track := make([]devices.TrackPoint, 0, len(points))
	for c, g := range points {
		if c.whole(g) {
			track = append(track, devices.TrackPoint{Time: time.UnixMilli(c.ms).UTC(), At: devices.Position{Lon: g.number, Lat: g.lat}})
		}
	}
	slices.SortFunc(track, func(a, b devices.TrackPoint) int { return a.Time.Compare(b.Time) })
	return track, nil
}

// Latest implements Store.
func (s *Influx) Latest(ctx context.Context, device devices.ID) (map[devices.Quantity]devices.Point, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, err := devices.ParseID(string(device)); err != nil {
		return nil, nil
	}
	return s.ledger.latest(ctx, device, s.oldest())
}

// influxShelf is what the ledger sees of the store.
type influxShelf Influx

// devicesAtOnce bounds the length of a query.
const devicesAtOnce = 100

// newest implements shelf.
func (s *influxShelf) newest(ctx context.Context, ids []devices.ID) (map[devices.ID]map[devices.Quantity]point, error) {
	in := (*Influx)(s)
	answer := make(map[devices.ID]map[devices.Quantity]point, len(ids))
	furthest := in.opts.Now().Add(in.opts.MaxAhead).UnixMilli() + 1
	for some := range slices.Chunk(ids, devicesAtOnce) {
		points, err := in.gather(ctx, in.from(in.oldest(), furthest)+filter(tagDevice, idStrings(some))+
			fields(fieldValue, fieldReceived, fieldFlags, fieldLon, fieldLat)+"|> last()")
		if err != nil {
			return nil, err
		}
		for c, g := range points {
			if !c.whole(g) {
				continue // flags that are older than the last value
			}
			if answer[c.device] == nil {
				answer[c.device] = make(map[devices.Quantity]point)
			}
			old, ok := answer[c.device][c.quantity]
			if !ok || c.ms > old.ms || c.ms == old.ms && g.received > old.received {
				answer[c.device][c.quantity] = point{c.ms, c.stored(g)}
			}
		}
	}
	return answer, nil
}

// within implements shelf. Spans come sorted by their beginning; those that lie
// close together are asked for at once.
func (s *influxShelf) within(ctx context.Context, spans []span, found func(devices.ID, key, stored)) error {
	in := (*Influx)(s)
	for i := 0; i < len(spans); {
		j, lo, hi := i, spans[i].from, spans[i].to
		var ids []devices.ID
		for ; j < len(spans) && j-i < devicesAtOnce && (j == i || max(hi, spans[j].to)-lo <= maxGap); j++ {
			hi = max(hi, spans[j].to)
			ids = append(ids, spans[j].device)
		}
		slices.Sort(ids)
		points, err := in.gather(ctx, in.from(lo, hi+1)+filter(tagDevice, idStrings(slices.Compact(ids)))+
			fields(fieldValue, fieldReceived, fieldFlags, fieldLon, fieldLat))
		if err != nil {
			return err
		}
		for c, g := range points {
			if !c.whole(g) {
				continue
			}
			st := c.stored(g)
			if c.quantity == "" {
				st.received = math.MinInt64 // as in the embedded store: a later delivery wins
			}
			found(c.device, key{c.quantity, c.ms}, st)
		}
		i = j
	}
	return nil
}

func idStrings(ids []devices.ID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = escaped(string(id))
	}
	return out
}

// statementError reads the answer to an InfluxQL statement, which says 200 to a
// statement that failed.
func statementError(body io.ReadCloser) error {
	var answer struct {
		Error   string
		Results []struct{ Error string }
	}
	err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&answer)
	if err := errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	for _, r := range answer.Results {
		if r.Error != "" {
			answer.Error = r.Error
		}
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}
