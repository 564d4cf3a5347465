package series

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	influx "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"vonglau/devices"
)

// InfluxOptions configures the store in an InfluxDB server.
type InfluxOptions struct {
	// URL of the server, "http://[2001:db8::5]:8086".
	URL string
	// Org is the organisation of a 2.x server; 1.8 ignores it.
	Org string
	// Bucket is the bucket, for 1.8 "database/retention-policy". It must exist,
	// and is ours alone.
	Bucket string
	// Token of a 2.x server, for 1.8 "user:password", empty without
	// authentication. It must be able to write, read and delete.
	Token string
	// Retention is that of the bucket: what is older is neither sent nor asked
	// for. 0 is for ever.
	Retention time.Duration
	// MaxAhead is how far ahead of the clock a value may be, 24 hours by
	// default: each day far in the future is a shard of its own to the server.
	MaxAhead time.Duration
	// Parallel is how many requests write at once, 4 by default, and Lines how
	// many values one request carries at most, 5,000 by default.
	Parallel, Lines int
	// Timeout bounds one request, 30 s by default.
	Timeout time.Duration
	// Transport carries the requests; nil for one of our own.
	Transport http.RoundTripper
	// Rejected is called for each value that can never be stored, again when it
	// is written again. It must not call the store.
	Rejected func(Rejection)
	Now      func() time.Time // time.Now by default
	Log      *slog.Logger
}

func (o *InfluxOptions) validate() error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("series: influx url %q: want http://host:port", o.URL)
	}
	if o.Bucket == "" {
		return errors.New("series: influx needs a bucket; for 1.8 it is database/retention-policy")
	}
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{{&o.MaxAhead, 24 * time.Hour}, {&o.Timeout, 30 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.value
		}
	}
	if o.Parallel == 0 {
		o.Parallel = 4
	}
	if o.Lines == 0 {
		o.Lines = 5000
	}
	if o.Retention < 0 || o.MaxAhead < 0 || o.Timeout < 0 || o.Parallel < 0 || o.Lines < 0 {
		return errors.New("series: negative bound")
	}
	if o.Rejected == nil {
		o.Rejected = func(Rejection) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Influx keeps series in an InfluxDB 1.8 or 2.x server, by the v2 API that both
// have: line protocol in, Flux out.
//
// # What is stored
//
//	pm25,device=air-1,z_ward=06001@2025-07-01 value=12.5,received=1795000000000i,flags=64i 1794999999000
//	position,device=bus-1 lon=106.17,lat=20.42,received=1795000000000i 1794999999000
//
// One point per value: the measurement is the quantity, a tag per layer names
// the zones, timestamps and received are in milliseconds, flags is absent when
// there are none, device_time is there when the device's clock was not believed.
//
// The server replaces a point with the same measurement, tags and time, which
// is the overwrite we want, and keeps both when the zones differ, which is not:
// then the old point is deleted first. A crash between the two loses nothing,
// because the journal's cursor has not moved.
//
// # What a refusal means
//
// A request is refused as a whole or in part, and the answer does not say which
// lines: it is divided until the bad line is alone. Sending the good ones again
// changes nothing. Only a refusal that is about the data, in the server's own
// words, rejects a value; any other (no such bucket, wrong token, a proxy's
// error page) leaves everything where it is until the operator has seen to it.
// The client library's asynchronous API takes "partial write" for success and
// drops on overflow; the blocking one returns what the server said, and is the
// one used here.
type Influx struct {
	opts   InfluxOptions
	client influx.Client
	writer api.WriteAPIBlocking
	doer   *doer
	places placements

	write  sync.Mutex // held for a whole Write
	ledger ledger
	v1     bool // deletes by InfluxQL, found out at the first delete

	mu     sync.Mutex
	closed bool
}

var _ Store = (*Influx)(nil)

const (
	tagDevice      = "device"
	fieldValue     = "value"
	fieldReceived  = "received"
	fieldFlags     = "flags"
	fieldClock     = "device_time"
	fieldLon       = "lon"
	fieldLat       = "lat"
	positionSeries = "position"
)

// OpenInflux makes the store. The server need not be there yet.
func OpenInflux(opts InfluxOptions) (*Influx, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	d := &doer{}
	if opts.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = opts.Parallel + 2
		opts.Transport, d.own = own, own
	}
	d.client = http.Client{Transport: opts.Transport, Timeout: opts.Timeout}
	o := influx.DefaultOptions().SetPrecision(time.Millisecond).SetApplicationName("vonglau")
	o.HTTPOptions().SetHTTPDoer(d)
	client := influx.NewClientWithOptions(opts.URL, opts.Token, o)
	s := &Influx{opts: opts, client: client, doer: d,
		writer: client.WriteAPIBlocking(opts.Org, opts.Bucket)}
	s.ledger = ledger{shelf: (*influxShelf)(s), places: &s.places}
	return s, nil
}

// doer sends the client library's requests. It takes only 204 for a write that
// succeeded: the library takes any 2xx, such as the log-in page of a proxy.
type doer struct {
	client http.Client
	own    *http.Transport
}

func (d *doer) Do(r *http.Request) (*http.Response, error) {
	resp, err := d.client.Do(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/api/v2/write") &&
		resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusNoContent {
		return nil, errors.Join(fmt.Errorf("%s answered a write with %s, not 204: is it an InfluxDB?", r.URL.Host, resp.Status), resp.Body.Close())
	}
	return resp, err
}

func (s *Influx) oldest() int64 {
	if s.opts.Retention == 0 {
		return 0
	}
	return s.opts.Now().Add(-s.opts.Retention).UnixMilli()
}

func (s *Influx) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Write implements Store.
func (s *Influx) Write(ctx context.Context, messages []*devices.Message) (Written, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.open(); err != nil {
		return Written{}, err
	}
	v, err := s.ledger.judge(ctx, messages, s.oldest(), s.opts.Now().Add(s.opts.MaxAhead).UnixMilli(), 0)
	if err != nil {
		return Written{}, unavailable(err)
	}
	for _, r := range v.rows {
		if r.old != nil && r.quantity != "" && r.old.zones.key != r.zones.key {
			if err := s.delete(ctx, r); err != nil {
				return Written{}, unavailable(fmt.Errorf("delete %s of %s before it moves to other zones: %w", r.quantity, r.device, err))
			}
		}
	}
	bad, err := s.send(ctx, v.rows)
	if err != nil {
		return Written{}, unavailable(err)
	}
	if len(bad) > 0 {
		v.rows = slices.DeleteFunc(v.rows, func(r *row) bool {
			reason, ok := bad[r]
			if !ok {
				return false
			}
			if r.quantity == "" {
				s.opts.Log.Warn("series: the server refused a position", "device", r.device, "reason", reason)
				return true
			}
			v.rejected = append(v.rejected, r.rejection(CauseRefused, "%s", reason))
			v.written.add(Written{Values: -1, Rejected: 1})
			if r.old != nil {
				v.written.Overwrites--
			}
			return true
		})
	}
	s.ledger.commit(v.rows)
	for _, r := range v.rejected {
		s.opts.Rejected(r)
	}
	return v.written, nil
}

// send writes rows in parallel; those of one device go one after the other. It
// returns the rows the server will never take, with its words.
func (s *Influx) send(ctx context.Context, rows []*row) (map[*row]string, error) {
	shards := make([][]*row, s.opts.Parallel)
	for _, r := range rows {
		h := fnv.New32a()
		h.Write([]byte(r.device))
		i := int(h.Sum32() % uint32(len(shards)))
		shards[i] = append(shards[i], r)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	bad := make([]map[*row]string, len(shards))
	var wg sync.WaitGroup
	for i, shard := range shards {
		if len(shard) == 0 {
			continue
		}
		bad[i] = make(map[*row]string)
		wg.Go(func() {
			for part := range slices.Chunk(shard, s.opts.Lines) {
				if err := s.sendPart(ctx, part, bad[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	all := make(map[*row]string)
	for _, b := range bad {
		for r, reason := range b {
			all[r] = reason
		}
	}
	return all, nil
}

// sendPart writes rows in one request, and in halves when that is refused.
func (s *Influx) sendPart(ctx context.Context, rows []*row, bad map[*row]string) error {
	var body strings.Builder
	body.Grow(160 * len(rows))
	for _, r := range rows {
		writeLine(&body, r)
	}
	err := s.writer.WriteRecord(ctx, body.String())
	if err == nil {
		return nil
	}
	if !refusesData(err) {
		return fmt.Errorf("write %d values to %s: %w", len(rows), s.opts.URL, err)
	}
	if len(rows) == 1 {
		bad[rows[0]] = err.Error()
		return nil
	}
	half := len(rows) / 2
	if err := s.sendPart(ctx, rows[:half], bad); err != nil {
		return err
	}
	return s.sendPart(ctx, rows[half:], bad)
}

// refusesData tells a refusal of what was sent from any other failure.
func refusesData(err error) bool {
	var e *influxhttp.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return true
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		return false
	}
	for _, words := range [...]string{"partial write", "unable to parse", "field type conflict",
		"beyond retention", "outside retention"} {
		if strings.Contains(e.Message, words) {
			return true
		}
	}
	return false
}

// unavailable makes an error of a server that can be tried again.
func unavailable(err error) error {
	var u *Unavailable
	if errors.As(err, &u) || errors.Is(err, ErrClosed) || errors.Is(err, ErrBadQuery) {
		return err
	}
	u = &Unavailable{Err: err}
	var e *influxhttp.Error
	if !errors.As(err, &e) {
		return u
	}
	u.RetryAfter = time.Duration(e.RetryAfter) * time.Second
	if at, err := http.ParseTime(e.Header.Get("Retry-After")); err == nil {
		u.RetryAfter = max(0, time.Until(at)) // RFC 9110 section 10.2.3: a date or seconds
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		u.Err = fmt.Errorf("%w; check series.influx.token: it must read, write and delete in the bucket", err)
	}
	if e.StatusCode == http.StatusNotFound || strings.Contains(e.Message, "no database") || strings.Contains(e.Message, "could not find bucket") {
		u.Err = fmt.Errorf("%w; check series.influx.org and bucket: the bucket must exist, for 1.8 as database/retention-policy", err)
	}
	return u
}

// delete removes a value in whatever zones it is stored. A server of 1.8 has no
// /api/v2/delete, but its own language has DELETE.
func (s *Influx) delete(ctx context.Context, r *row) error {
	measurement, device := escaped(string(r.quantity)), escaped(string(r.device))
	at := time.UnixMilli(r.ms).UTC()
	if !s.v1 {
		target := s.service().ServerAPIURL() + "delete?" + url.Values{"org": {s.opts.Org}, "bucket": {s.opts.Bucket}}.Encode()
		body, err := json.Marshal(map[string]string{
			"start": at.Format(time.RFC3339Nano), "stop": at.Format(time.RFC3339Nano), // both included
			"predicate": fmt.Sprintf(`_measurement="%s" AND %s="%s"`, measurement, tagDevice, device)})
		if err != nil {
			return err
		}
		refused := s.post(ctx, target, "application/json", string(body), func(r *http.Response) error { return r.Body.Close() })
		if refused == nil || refused.StatusCode != http.StatusNotFound && refused.StatusCode != http.StatusMethodNotAllowed {
			return asError(refused)
		}
	}
	db, policy, _ := strings.Cut(s.opts.Bucket, "/")
	form := url.Values{"db": {db}, "rp": {policy}, "q": {fmt.Sprintf(`DELETE FROM "%s" WHERE "%s" = '%s' AND time = %d`,
		measurement, tagDevice, device, at.UnixNano())}}
	refused := s.post(ctx, strings.TrimSuffix(s.service().ServerURL(), "/")+"/query", "application/x-www-form-urlencoded",
		form.Encode(), func(r *http.Response) error { return statementError(r.Body) })
	s.v1 = s.v1 || refused == nil
	return asError(refused)
}

func (s *Influx) service() influxhttp.Service { return s.client.HTTPService() }

func (s *Influx) post(ctx context.Context, target, contentType, body string, answered func(*http.Response) error) *influxhttp.Error {
	return s.service().DoPostRequest(ctx, target, strings.NewReader(body),
		func(r *http.Request) { r.Header.Set("Content-Type", contentType) }, answered)
}

// asError keeps a nil *influxhttp.Error from becoming an error that is not nil.
func asError(e *influxhttp.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// Sync implements Store: 204 says that the server has the values in its log,
// which it syncs before it answers (wal-fsync-delay and
// storage-wal-fsync-delay are 0 by default).
func (s *Influx) Sync(context.Context) error { return s.open() }

// Health implements Store.
func (s *Influx) Health(ctx context.Context) error {
	if err := s.open(); err != nil {
		return err
	}
	if ok, err := s.client.Ping(ctx); err != nil || !ok {
		return unavailable(fmt.Errorf("ping %s: %w", s.opts.URL, cmp.Or(err, errors.New("no answer of an InfluxDB"))))
	}
	return nil
}

// Close implements Store.
func (s *Influx) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.client.Close()
	if s.doer.own != nil {
		s.doer.own.CloseIdleConnections()
	}
	return nil
}

// writeLine appends one row in line protocol. Nothing in it needs the
// protocol's quoting: names and tags went through escape, and an ID has an
// alphabet of its own.
func writeLine(b *strings.Builder, r *row) {
	var buf [32]byte
	number := func(name string, v float64) {
		b.WriteString(name)
		b.WriteByte('=')
		b.Write(strconv.AppendFloat(buf[:0], v, 'g', -1, 64))
		b.WriteByte(',')
	}
	if r.quantity == "" {
		b.WriteString(positionSeries)
	} else {
		escape(b, string(r.quantity))
	}
	b.WriteString("," + tagDevice + "=")
	escape(b, string(r.device))
	if r.quantity != "" {
		for _, l := range r.zones.labels {
			b.WriteByte(',')
			b.WriteString(l.name)
			b.WriteByte('=')
			b.WriteString(l.value)
		}
	}
	b.WriteByte(' ')
	if r.quantity == "" {
		number(fieldLon, r.number)
		number(fieldLat, r.lat)
	} else {
		number(fieldValue, r.number)
		// Fields are replaced one by one, so an overwrite must say that there
		// are no flags now.
		if r.flags != 0 || r.old != nil && r.old.flags != 0 {
			b.WriteString(fieldFlags + "=")
			b.Write(strconv.AppendInt(buf[:0], int64(r.flags), 10))
			b.WriteString("i,")
		}
		if r.device0 != 0 {
			b.WriteString(fieldClock + "=")
			b.Write(strconv.AppendInt(buf[:0], r.device0, 10))
			b.WriteString("i,")
		}
	}
	b.WriteString(fieldReceived + "=")
	b.Write(strconv.AppendInt(buf[:0], r.received, 10))
	b.WriteString("i ")
	b.Write(strconv.AppendInt(buf[:0], r.ms, 10))
	b.WriteByte('\n')
}

func escaped(s string) string {
	var b strings.Builder
	escape(&b, s)
	return b.String()
}
