package geo

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/paulmach/orb"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// Blobs is where layers are stored. Put replaces a blob whole or not at all.
type Blobs interface {
	Put(ctx context.Context, name string, r io.Reader) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	List(ctx context.Context) ([]string, error)
	Delete(ctx context.Context, name string) error
}

// Options of Open; the zero value serves.
type Options struct {
	// Area is the service area. With it, swapped coordinates are told from true
	// ones, and features outside are reported. Empty means anywhere.
	Area orb.Bound
	// MaxImport bounds an imported file in bytes, 1 GiB when zero.
	MaxImport int64
	// TileCache bounds the kept tiles in bytes, 64 MiB when zero.
	TileCache int
	// MaxTileFeatures bounds one tile, 50,000 when zero; the largest stay.
	MaxTileFeatures int

	Log     *slog.Logger          // discards when nil
	Metrics prometheus.Registerer // none when nil
	Now     func() time.Time      // time.Now when nil
}

func (o *Options) validate() error {
	if !o.Area.IsZero() && (o.Area.IsEmpty() || o.Area.Min[0] < -180 || o.Area.Max[0] > 180 || o.Area.Min[1] < -90 || o.Area.Max[1] > 90) {
		return fmt.Errorf("geo: service area %v is no box of longitude and latitude", o.Area)
	}
	if o.MaxImport < 0 || o.TileCache < 0 || o.MaxTileFeatures < 0 {
		return errors.New("geo: a bound is negative")
	}
	if o.MaxImport == 0 {
		o.MaxImport = 1 << 30
	}
	if o.TileCache == 0 {
		o.TileCache = 64 << 20
	}
	if o.MaxTileFeatures == 0 {
		o.MaxTileFeatures = 50000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Layers holds all layers with their versions. It is safe for concurrent use;
// the package comment says who waits for whom.
type Layers struct {
	opts  Options
	blobs Blobs
	tiles *tileCache

	state atomic.Pointer[state]
	epoch atomic.Uint64

	mu        sync.Mutex // one change at a time
	lastStamp int64

	ties     *prometheus.CounterVec
	zones    *prometheus.GaugeVec
	tieCount atomic.Uint64
}

// state is everything readers see, replaced as a whole.
type state struct {
	layers []*layer // by name
	joins  []*layer
}

type layer struct {
	name     string
	versions []*version // newest valid-from first
	ties     prometheus.Counter
}

// Open reads the layers that blobs holds.
func Open(ctx context.Context, blobs Blobs, o Options) (*Layers, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Layers{opts: o, blobs: blobs}
	tiles := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vonglau_geo_tiles_total", Help: "Tiles asked for, by whether the cache had them.",
	}, []string{"cache"})
	l.ties = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vonglau_geo_border_ties_total", Help: "Places exactly on a border, decided by the border rule.",
	}, []string{"layer"})
	l.zones = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vonglau_geo_zones", Help: "Zones of each version of each layer; 0 for one that could not be read.",
	}, []string{"layer", "valid_from"})
	if o.Metrics != nil {
		for _, c := range []prometheus.Collector{tiles, l.ties, l.zones} {
			if err := o.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("geo: register metrics: %w", err)
			}
		}
	}
	l.tiles = &tileCache{
		max:    o.TileCache,
		hits:   tiles.WithLabelValues("hit"),
		misses: tiles.WithLabelValues("miss"),
		tiles:  make(map[tileKey]*list.Element),
		order:  list.New(),
	}
	versions, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	l.swap(versions)
	return l, nil
}

// The blobs: one with the description of each version, under a name made of the
// version's key, and one with its features, under a name of its own. Writing the
// description last is what makes an import atomic.
const (
	metaSuffix = ".meta.json"
	dataSuffix = ".geojson"
)

func metaName(layer string, from devices.Date) string {
	return layer + "@" + string(from) + metaSuffix
}

func dataName(layer string, from devices.Date, stamp int64) string {
	return layer + "@" + string(from) + "." + strconv.FormatInt(stamp, 36) + dataSuffix
}

// load reads every version and clears away features that no description names:
// an import ended between the two writes, or after them before its clearing up.
func (l *Layers) load(ctx context.Context) ([]*version, error) {
	names, err := l.blobs.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("geo: list the stored layers: %w", err)
	}
	var versions []*version
	named := make(map[string]bool)
	whole := true
	for _, name := range names {
		if !strings.HasSuffix(name, metaSuffix) {
			continue
		}
		v, err := l.loadVersion(ctx, name)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("geo: read layer %s: %w", name, context.Cause(ctx))
		}
		if err != nil {
			l.opts.Log.Error("a layer could not be read and takes no part; import it again", "blob", name, "err", err)
			if v == nil {
				whole = false
				continue
			}
			v.broken = err.Error()
		}
		named[v.Data] = true
		l.lastStamp = max(l.lastStamp, v.Imported)
		versions = append(versions, v)
	}
	for _, name := range names {
		if whole && strings.HasSuffix(name, dataSuffix) && !named[name] {
			if err := l.blobs.Delete(ctx, name); err != nil {
				l.opts.Log.Warn("a replaced layer's blob could not be deleted", "blob", name, "err", err)
			}
		}
	}
	return versions, nil
}

// loadVersion reads one version. With an error, the version is nil when not even
// its description could be read.
func (l *Layers) loadVersion(ctx context.Context, name string) (*version, error) {
	raw, err := l.read(ctx, name, 1<<20)
	if err != nil {
		return nil, err
	}
	v := &version{}
	if err := json.Unmarshal(raw, &v.meta); err != nil {
		return nil, fmt.Errorf("description %s: %w", name, err)
	}
	if metaName(v.Layer, v.ValidFrom) != name {
		return nil, fmt.Errorf("description %s is that of layer %q from %q", name, v.Layer, v.ValidFrom)
	}
	data, err := l.blobs.Get(ctx, v.Data)
	if err != nil {
		return v, fmt.Errorf("features %s: %w", v.Data, err)
	}
	defer data.Close()
	sum := sha256.New()
	in := &intake{
		r:       io.TeeReader(data, sum),
		ctx:     ctx,
		opts:    ImportOptions{Code: codeProperty, Name: nameProperty, ValidFrom: v.ValidFrom, ValidTo: v.ValidTo, Join: v.Join},
		layer:   v.Layer,
		max:     l.opts.MaxImport * 2, // written out, numbers may be longer than they came
		trusted: true,
	}
	zones, err := in.run()
	if err != nil {
		return v, fmt.Errorf("features %s: %w", v.Data, err)
	}
	if _, err := io.Copy(io.Discard, in.r); err != nil {
		return v, fmt.Errorf("features %s: %w", v.Data, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != v.SHA256 {
		return v, fmt.Errorf("features %s are damaged: their SHA-256 is %s, was %s when imported", v.Data, got, v.SHA256)
	}
	v.zones, v.kind = zones, in.kind
	v.build()
	return v, nil
}

func (l *Layers) read(ctx context.Context, name string, most int64) ([]byte, error) {
	r, err := l.blobs.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return raw, nil
}

// store writes v: its features first, then the description that names them.
func (l *Layers) store(ctx context.Context, v *version) error {
	sum := sha256.New()
	if err := l.blobs.Put(ctx, v.Data, io.TeeReader(&featureWriter{v: v}, sum)); err != nil {
		return fmt.Errorf("store layer %q: %w", v.Layer, err)
	}
	v.SHA256 = hex.EncodeToString(sum.Sum(nil))
	raw, err := json.Marshal(v.meta)
	if err != nil {
		return fmt.Errorf("store layer %q: %w", v.Layer, err)
	}
	if err := l.blobs.Put(ctx, metaName(v.Layer, v.ValidFrom), bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("store layer %q: %w", v.Layer, err)
	}
	return nil
}

// swap makes versions what readers see.
func (l *Layers) swap(versions []*version) {
	s := &state{}
	byName := make(map[string]*layer)
	l.zones.Reset()
	for _, v := range versions {
		y := byName[v.Layer]
		if y == nil {
			y = &layer{name: v.Layer, ties: l.ties.WithLabelValues(v.Layer)}
			byName[v.Layer] = y
			s.layers = append(s.layers, y)
		}
		y.versions = append(y.versions, v)
		l.zones.WithLabelValues(v.Layer, string(v.ValidFrom)).Set(float64(len(v.zones)))
	}
	slices.SortFunc(s.layers, func(a, b *layer) int { return strings.Compare(a.name, b.name) })
	for _, y := range s.layers {
		slices.SortFunc(y.versions, func(a, b *version) int {
			return strings.Compare(string(b.ValidFrom), string(a.ValidFrom))
		})
		if slices.ContainsFunc(y.versions, func(v *version) bool { return v.Join && v.broken == "" }) {
			s.joins = append(s.joins, y)
		}
	}
	l.state.Store(s)
	l.epoch.Add(1)
}

// at gives the version in force on day d: of several whose validity holds d the
// one that began last. An empty day asks for the newest.
func (y *layer) at(d devices.Date) *version {
	for _, v := range y.versions {
		if d == "" && v.broken == "" || d != "" && v.covers(d) {
			return v
		}
	}
	return nil
}

func (s *state) layer(name string) *layer {
	i, ok := slices.BinarySearchFunc(s.layers, name, func(y *layer, n string) int { return strings.Compare(y.name, n) })
	if !ok {
		return nil
	}
	return s.layers[i]
}

func (l *Layers) version(name string, at devices.Date) *version {
	if y := l.state.Load().layer(name); y != nil {
		return y.at(at)
	}
	return nil
}

// Place appends to dst the zones that a place falls into on day at, of every
// layer marked for joining, layers by name. An empty day asks the newest
// versions. A place that is no place falls into none.
func (l *Layers) Place(lon, lat float64, at devices.Date, dst []devices.ZoneRef) []devices.ZoneRef {
	p := orb.Point{lon, lat}
	for _, y := range l.state.Load().joins {
		v := y.at(at)
		if v == nil {
			continue
		}
		var onBorder bool
		if dst, onBorder = v.place(p, dst); onBorder {
			y.ties.Inc()
			l.tieCount.Add(1)
			l.opts.Log.Debug("a place lies exactly on a border", "layer", y.name, "lon", lon, "lat", lat)
		}
	}
	return dst
}

// Ties is how many places so far lay exactly on a border.
func (l *Layers) Ties() uint64 { return l.tieCount.Load() }

// Epoch changes with every import and removal.
func (l *Layers) Epoch() uint64 { return l.epoch.Load() }

// List describes the layers, by name.
func (l *Layers) List() []LayerInfo {
	s := l.state.Load()
	all := make([]LayerInfo, 0, len(s.layers))
	for _, y := range s.layers {
		info := LayerInfo{Name: y.name, Versions: make([]VersionInfo, 0, len(y.versions))}
		for _, v := range y.versions {
			info.Versions = append(info.Versions, v.info())
		}
		if v := y.at(""); v != nil {
			info.Kind, info.Count = v.kind, len(v.zones)
			info.Bounds = [4]float64{v.bound.Min[0], v.bound.Min[1], v.bound.Max[0], v.bound.Max[1]}
			info.Join, info.Within, info.MinZoom = v.Join, v.Within, v.MinZoom
			info.Attribution, info.Simulated = v.Attribution, v.Simulated
		}
		all = append(all, info)
	}
	return all
}

func (v *version) info() VersionInfo {
	return VersionInfo{
		ValidFrom: v.ValidFrom,
		ValidTo:   v.ValidTo,
		Count:     v.Count,
		Vertices:  len(v.pts),
		Imported:  time.Unix(0, v.Imported).UTC().Truncate(time.Millisecond),
		Stamp:     strconv.FormatInt(v.Imported, 36),
		Error:     v.broken,
	}
}

// Version describes the version of a layer in force on day at, the newest when
// at is empty.
func (l *Layers) Version(name string, at devices.Date) (VersionInfo, bool) {
	v := l.version(name, at)
	if v == nil {
		return VersionInfo{}, false
	}
	return v.info(), true
}

// Zone gives one zone by its key.
func (l *Layers) Zone(ref devices.ZoneRef) (Zone, bool) {
	y := l.state.Load().layer(ref.Layer)
	if y == nil {
		return Zone{}, false
	}
	for _, v := range y.versions {
		if v.ValidFrom != ref.ValidFrom || v.broken != "" {
			continue
		}
		if i, ok := v.byCode[ref.Code]; ok {
			return v.public(i), true
		}
	}
	return Zone{}, false
}

// Zones gives all zones of a layer in force on day at, in the order they were
// imported in.
func (l *Layers) Zones(layer string, at devices.Date) []Zone {
	v := l.version(layer, at)
	if v == nil {
		return nil
	}
	all := make([]Zone, len(v.zones))
	for i := range all {
		all[i] = v.public(i)
	}
	return all
}

// Remove deletes one version of a layer, and the layer with its last.
func (l *Layers) Remove(ctx context.Context, name string, from devices.Date) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all()
	i := slices.IndexFunc(all, func(v *version) bool { return v.Layer == name && v.ValidFrom == from })
	if i < 0 {
		return fmt.Errorf("remove layer %q from %q: %w", name, from, ErrNotFound)
	}
	if err := l.blobs.Delete(ctx, metaName(name, from)); err != nil {
		return fmt.Errorf("remove layer %q from %q: %w", name, from, err)
	}
	l.discard(ctx, all[i])
	l.swap(slices.Delete(all, i, i+1))
	return nil
}

// all gives the versions of the present state, in a slice of the caller's own.
func (l *Layers) all() []*version {
	var all []*version
	for _, y := range l.state.Load().layers {
		all = append(all, y.versions...)
	}
	return all
}

// discard deletes the features of a version nobody names any more. If that
// fails, the next Open does it.
func (l *Layers) discard(ctx context.Context, v *version) {
	if err := l.blobs.Delete(ctx, v.Data); err != nil {
		l.opts.Log.Warn("a replaced layer's blob could not be deleted", "blob", v.Data, "err", err)
	}
}
