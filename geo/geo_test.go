package geo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
)

// memory is a Blobs in memory that fails when told to.
type memory struct {
	mu    sync.Mutex
	blobs map[string][]byte
	fail  func(op, name string) error
}

func newMemory() *memory { return &memory{blobs: map[string][]byte{}} }

func (m *memory) check(op, name string) error {
	if m.fail != nil {
		return m.fail(op, name)
	}
	return nil
}

func (m *memory) Put(_ context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("put", name); err != nil {
		return err
	}
	m.blobs[name] = b
	return nil
}

func (m *memory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[name]
	if !ok {
		return nil, fmt.Errorf("no blob %s", name)
	}
	return io.NopCloser(bytes.NewReader(b)), m.check("get", name)
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.blobs)), m.check("list", "")
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("delete", name); err != nil {
		return err
	}
	delete(m.blobs, name)
	return nil
}

func open(t testing.TB, b Blobs, o Options) *Layers {
	t.Helper()
	l, err := Open(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func load(t testing.TB, l *Layers, name, geojson string, o ImportOptions) Report {
	t.Helper()
	rep, err := l.Import(t.Context(), name, strings.NewReader(geojson), o)
	if err != nil {
		t.Fatalf("import %s: %v (%+v)", name, err, rep.Problems)
	}
	return rep
}

// featuresOf wraps features given as `CODE geometry` lines.
func featuresOf(lines ...string) string {
	var b strings.Builder
	b.WriteString(`{"type":"FeatureCollection","features":[`)
	for i, l := range lines {
		code, geometry, _ := strings.Cut(l, " ")
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"Feature","properties":{"code":%q,"name":"zone %s"},"geometry":%s}`, code, code, geometry)
	}
	b.WriteString(`]}`)
	return b.String()
}

func box(w, s, e, n float64) string {
	return fmt.Sprintf(`{"type":"Polygon","coordinates":[[[%g,%g],[%g,%g],[%g,%g],[%g,%g],[%g,%g]]]}`, w, s, e, s, e, n, w, n, w, s)
}

func codes(refs []devices.ZoneRef) string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Layer+":"+r.Code+"@"+string(r.ValidFrom))
	}
	return strings.Join(out, " ")
}

// The border rule, on the smallest map that has every case: four squares that
// meet in one corner.
func TestBorderRule(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", featuresOf(
		"SW "+box(106, 20, 107, 21), "SE "+box(107, 20, 108, 21),
		"NW "+box(106, 21, 107, 22), "NE "+box(107, 21, 108, 22),
	), ImportOptions{Join: true})
	for _, tt := range []struct {
		name     string
		lon, lat float64
		want     string
		tie      bool
	}{
		{"inside", 106.5, 20.5, "SW", false},
		{"north-south border goes east", 107, 20.5, "SE", true},
		{"east-west border goes north", 106.5, 21, "NW", true},
		{"the corner goes north-east", 107, 21, "NE", true},
		{"west edge of the layer is in", 106, 20.5, "SW", true},
		{"south edge of the layer is in", 106.5, 20, "SW", true},
		{"east edge of the layer is out", 108, 20.5, "", true},
		{"north edge of the layer is out", 106.5, 22, "", true},
		{"a hair west of the border", math.Nextafter(107, 0), 20.5, "SW", false},
		{"outside", 105, 20.5, "", false},
		{"not a number", math.NaN(), 20.5, "", false},
		{"infinite", math.Inf(1), 20.5, "", false},
		{"no latitude", 106.5, math.NaN(), "", false},
	} {
		before := l.Ties()
		got := l.Place(tt.lon, tt.lat, "", nil)
		want := ""
		if tt.want != "" {
			want = "ward:" + tt.want + "@"
		}
		if codes(got) != want {
			t.Errorf("%s: Place(%v, %v) = %q, want %q", tt.name, tt.lon, tt.lat, codes(got), want)
		}
		if tie := l.Ties() != before; tie != tt.tie {
			t.Errorf("%s: counted as border %v, want %v", tt.name, tie, tt.tie)
		}
	}
}

// tessellation cuts a square into wards with crooked shared borders. The corners
// lie on a coarse lattice, so that random lattice points hit borders often.
func tessellation(n, steps int, rng *rand.Rand, bend float64) ([]orb.Polygon, string) {
	corner := make([][]orb.Point, n+1)
	for i := range corner {
		corner[i] = make([]orb.Point, n+1)
		for j := range corner[i] {
			p := orb.Point{106 + float64(i), 20 + float64(j)}
			if i > 0 && i < n && j > 0 && j < n {
				p[0] += math.Round(rng.Float64()*8-4) / 16
				p[1] += math.Round(rng.Float64()*8-4) / 16
			}
			corner[i][j] = p
		}
	}
	// A shared side is bent once, and both neighbours read it.
	sides := map[[2]orb.Point][]orb.Point{}
	side := func(a, b orb.Point, outer bool) []orb.Point {
		if s, ok := sides[[2]orb.Point{b, a}]; ok {
			s = slices.Clone(s)
			slices.Reverse(s)
			return s
		}
		var s []orb.Point
		bow := (rng.Float64() - 0.5) * bend
		for k := 1; k < steps && !outer; k++ {
			f := float64(k) / float64(steps)
			m := bow * math.Sin(math.Pi*f)
			shake := func() float64 { return (rng.Float64() - 0.5) * 0.5 / float64(steps) }
			lattice := func(v float64) float64 { return math.Round(v*1024) / 1024 }
			s = append(s, orb.Point{
				lattice(a[0] + (b[0]-a[0])*f - (b[1]-a[1])*m + shake()),
				lattice(a[1] + (b[1]-a[1])*f + (b[0]-a[0])*m + shake()),
			})
		}
		sides[[2]orb.Point{a, b}] = s
		return s
	}
	var all []orb.Polygon
	var lines []string
	for i := range n {
		for j := range n {
			cs := []orb.Point{corner[i][j], corner[i+1][j], corner[i+1][j+1], corner[i][j+1]}
			var r orb.Ring
			for k, a := range cs {
				b := cs[(k+1)%4]
				outer := k == 0 && j == 0 || k == 1 && i == n-1 || k == 2 && j == n-1 || k == 3 && i == 0
				r = append(append(r, a), side(a, b, outer)...)
			}
			r = append(r, r[0])
			all = append(all, orb.Polygon{r})
			lines = append(lines, fmt.Sprintf("%d-%d ", i, j)+string(appendGeometry(r)))
		}
	}
	return all, featuresOf(lines...)
}

func appendGeometry(r orb.Ring) []byte {
	b := append([]byte(nil), `{"type":"Polygon","coordinates":`...)
	return append(appendPolygon(b, orb.Polygon{r}), '}')
}

// Every place is in exactly one ward, on a border, on a corner, or anywhere.
func TestPlaceIsInExactlyOneWard(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 6
	all, geojson := tessellation(n, 16, rng, 0.2)
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", geojson, ImportOptions{Join: true})
	check := func(lon, lat float64) {
		if got := l.Place(lon, lat, "", nil); len(got) != 1 {
			t.Errorf("Place(%v, %v) = %q, want one ward", lon, lat, codes(got))
		}
	}
	for range 200000 {
		check(106+rng.Float64()*n, 20+rng.Float64()*n)
		// On the lattice that the corners lie on: borders, often.
		check(106+float64(rng.IntN(n*64))/64, 20+float64(rng.IntN(n*64))/64)
	}
	for _, p := range all { // corners, the middles of edges, and their neighbours
		for k := 1; k < len(p[0]); k++ {
			a, b := p[0][k-1], p[0][k]
			m := orb.Point{(a[0] + b[0]) / 2, (a[1] + b[1]) / 2}
			for _, q := range []orb.Point{a, m} {
				for _, x := range []float64{math.Nextafter(q[0], 0), q[0], math.Nextafter(q[0], 200)} {
					for _, y := range []float64{math.Nextafter(q[1], 0), q[1], math.Nextafter(q[1], 200)} {
						if x >= 106 && x < 106+n && y >= 20 && y < 20+n {
							check(x, y)
						}
					}
				}
			}
		}
	}
	if l.Ties() == 0 {
		t.Error("no place was on a border: the test misses its point")
	}
}

// onBorder reports whether p lies on the border of g, exactly.
func onBorder(g orb.Geometry, p orb.Point) bool {
	on := false
	eachRing(g, func(r orb.Ring) {
		for i := 1; i < len(r); i++ {
			a, b := r[i-1], r[i]
			if p[0] >= min(a[0], b[0]) && p[0] <= max(a[0], b[0]) && p[1] >= min(a[1], b[1]) &&
				p[1] <= max(a[1], b[1]) && orient(a, b, p) == 0 {
				on = true
			}
		}
	})
	return on
}

func eachRing(g orb.Geometry, do func(orb.Ring)) {
	switch g := g.(type) {
	case orb.Polygon:
		for _, r := range g {
			do(r)
		}
	case orb.MultiPolygon:
		for _, p := range g {
			eachRing(p, do)
		}
	}
}

func containedBy(g orb.Geometry, p orb.Point) bool {
	switch g := g.(type) {
	case orb.Polygon:
		return planar.PolygonContains(g, p)
	case orb.MultiPolygon:
		return planar.MultiPolygonContains(g, p)
	}
	return false
}

// equalToOrb compares n random places of the layer with orb's own containment.
// They may differ where a place is on a border, and within rounding of one:
// orb divides where we compare exactly.
func equalToOrb(t *testing.T, l *Layers, layer string, at devices.Date, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	v := l.version(layer, at)
	w, h := v.bound.Max[0]-v.bound.Min[0], v.bound.Max[1]-v.bound.Min[1]
	differ, inside := 0, 0
	for range n {
		p := orb.Point{v.bound.Min[0] + (rng.Float64()*1.02-0.01)*w, v.bound.Min[1] + (rng.Float64()*1.02-0.01)*h}
		var want []string
		for i := range v.zones {
			z := &v.zones[i]
			if z.bound.Contains(p) && containedBy(z.geom, p) {
				want = append(want, z.ref.Code)
			}
		}
		var got []string
		refs, _ := v.place(p, nil)
		for _, r := range refs {
			got = append(got, r.Code)
		}
		inside += len(got)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) && !slices.ContainsFunc(v.zones, func(z zone) bool { return onBorder(z.geom, p) }) {
			if differ++; differ < 5 {
				t.Errorf("%s: at %v got %v, orb says %v", layer, p, got, want)
			}
		}
	}
	if inside == 0 {
		t.Errorf("%s: no place of %d is inside anything", layer, n)
	}
	t.Logf("%s: %d places, %d answers, %d differ from orb", layer, n, inside, differ)
}

func TestEqualToOrbOnGenerated(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, bend := range []float64{0.05, 0.3} {
		_, geojson := tessellation(5, 16, rng, bend)
		l := open(t, newMemory(), Options{})
		load(t, l, "ward", geojson, ImportOptions{Join: true})
		equalToOrb(t, l, "ward", "", 20000)
	}
	// Holes, islands in holes, and several parts.
	l := open(t, newMemory(), Options{})
	load(t, l, "basin", featuresOf(
		`A {"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[2,2],[2,7],[7,7],[7,2],[2,2]]],[[[3,3],[6,3],[4.5,6],[3,3]]],[[[20,1],[24,2],[21,8],[20,1]]]]}`,
		`B {"type":"Polygon","coordinates":[[[2,2],[7,2],[7,7],[2,7],[2,2]],[[3,3],[4.5,6],[6,3],[3,3]]]}`,
		`C {"type":"Polygon","coordinates":[[[8,8],[22,3],[15,14],[8,8]]]}`, // overlaps A
	), ImportOptions{Join: true})
	equalToOrb(t, l, "basin", "", 50000)
}

func TestOrientIsExact(t *testing.T) {
	// The differences round; only exact arithmetic tells these from a line.
	a, b := orb.Point{12, 12}, orb.Point{24, 24}
	for i := range 64 {
		for j := range 64 {
			c := orb.Point{0.5 + float64(i)*0x1p-53, 0.5 + float64(j)*0x1p-53}
			got, want := orient(a, b, c), float64(j-i)
			if (got > 0) != (want > 0) || (got < 0) != (want < 0) {
				t.Fatalf("orient(%v, %v, %v) = %g, want the sign of %g", a, b, c, got, want)
			}
		}
	}
}

func TestVersionsByDay(t *testing.T) {
	m := newMemory()
	l := open(t, m, Options{})
	// Codes are given out again under other names and other shapes.
	load(t, l, "unit", featuresOf("13669 "+box(106, 20, 107, 21), "13670 "+box(107, 20, 108, 21)),
		ImportOptions{Join: true, ValidTo: "2025-06-30"})
	load(t, l, "unit", featuresOf("13669 "+box(106, 20, 108, 21)), ImportOptions{Join: true, ValidFrom: "2025-07-01"})
	load(t, l, "unit", featuresOf("T "+box(106, 20, 108, 21)), ImportOptions{Join: true, ValidFrom: "2025-09-01", ValidTo: "2025-09-30"})
	load(t, l, "map", featuresOf("M "+box(106, 20, 108, 21)), ImportOptions{})

	for name, l := range map[string]*Layers{"imported": l, "read again": open(t, m, Options{})} {
		for at, want := range map[devices.Date]string{
			"1999-12-31": "unit:13670@",
			"2025-06-30": "unit:13670@",
			"2025-07-01": "unit:13669@2025-07-01",
			"2025-09-15": "unit:T@2025-09-01", // began last
			"2025-10-01": "unit:13669@2025-07-01",
			"":           "unit:T@2025-09-01", // the newest
		} {
			if got := codes(l.Place(107.5, 20.5, at, nil)); got != want {
				t.Errorf("%s: on %q got %q, want %q", name, at, got, want)
			}
		}
		z, ok := l.Zone(devices.ZoneRef{Layer: "unit", Code: "13669"})
		if !ok || z.ValidTo != "2025-06-30" || z.Geometry.Bound().Max[0] != 107 {
			t.Errorf("%s: Zone of the old version = %+v, %v", name, z, ok)
		}
		if got := len(l.Zones("unit", "2025-06-30")); got != 2 {
			t.Errorf("%s: %d zones on 2025-06-30, want 2", name, got)
		}
		info := l.List()
		if len(info) != 2 || info[1].Name != "unit" || len(info[1].Versions) != 3 || !info[1].Join || info[0].Join {
			t.Errorf("%s: List = %+v", name, info)
		}
	}

	// Importing a version again replaces it, and nothing else.
	rep := load(t, l, "unit", featuresOf("13669 "+box(106, 20, 107, 21)), ImportOptions{Join: true, ValidFrom: "2025-07-01"})
	if !rep.Replaced {
		t.Error("the second import of a version does not say it replaced one")
	}
	if got := codes(l.Place(107.5, 20.5, "2025-07-01", nil)); got != "" {
		t.Errorf("after replacing: %q, want nothing", got)
	}
	if got := codes(l.Place(107.5, 20.5, "2025-06-30", nil)); got != "unit:13670@" {
		t.Errorf("after replacing, the older version: %q", got)
	}
	if n := len(m.blobs); n != 8 {
		t.Errorf("%d blobs are left, want 8: two a version", n)
	}
	if err := l.Remove(t.Context(), "unit", "2025-07-01"); err != nil {
		t.Fatal(err)
	}
	if got := codes(l.Place(106.5, 20.5, "2025-07-01", nil)); got != "" {
		t.Errorf("after removing: %q, want nothing", got)
	}
	if err := l.Remove(t.Context(), "unit", "2025-07-01"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing again: %v, want ErrNotFound", err)
	}
}

// An import that cannot be stored changes nothing, in memory or after a restart.
func TestImportIsAtomic(t *testing.T) {
	for _, failing := range []string{dataSuffix, metaSuffix} {
		m := newMemory()
		l := open(t, m, Options{})
		load(t, l, "unit", featuresOf("OLD "+box(106, 20, 107, 21)), ImportOptions{Join: true})
		epoch := l.Epoch()
		m.fail = func(op, name string) error {
			if op == "put" && strings.HasSuffix(name, failing) {
				return errors.New("disk full")
			}
			return nil
		}
		_, err := l.Import(t.Context(), "unit", strings.NewReader(featuresOf("NEW "+box(106, 20, 107, 21))), ImportOptions{Join: true})
		if err == nil || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("failing %s: error %v, want the disk's", failing, err)
		}
		if l.Epoch() != epoch {
			t.Errorf("failing %s: the epoch changed", failing)
		}
		m.fail = nil
		again := open(t, m, Options{})
		for name, l := range map[string]*Layers{"in memory": l, "read again": again} {
			if got := codes(l.Place(106.5, 20.5, "", nil)); got != "unit:OLD@" {
				t.Errorf("failing %s, %s: %q, want the old zone", failing, name, got)
			}
		}
		if len(m.blobs) != 2 {
			t.Errorf("failing %s: %d blobs after opening again, want 2", failing, len(m.blobs))
		}
	}
}

// A damaged blob costs its own version only, is told, and importing mends it.
func TestDamagedBlob(t *testing.T) {
	m := newMemory()
	l := open(t, m, Options{})
	load(t, l, "good", featuresOf("G "+box(106, 20, 107, 21)), ImportOptions{Join: true})
	load(t, l, "bad", featuresOf("B "+box(106, 20, 107, 21)), ImportOptions{Join: true})
	for name, b := range m.blobs {
		if strings.HasPrefix(name, "bad@") && strings.HasSuffix(name, dataSuffix) {
			m.blobs[name] = bytes.Replace(b, []byte("107"), []byte("109"), 1)
		}
	}
	l = open(t, m, Options{})
	if got := codes(l.Place(106.5, 20.5, "", nil)); got != "good:G@" {
		t.Errorf("Place = %q, want the good layer's zone only", got)
	}
	info := l.List()
	if len(info) != 2 || info[0].Name != "bad" || !strings.Contains(info[0].Versions[0].Error, "damaged") {
		t.Errorf("List = %+v, want the damage told", info)
	}
	if _, err := l.Tile(t.Context(), "bad", 0, 0, 0, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("Tile of the damaged layer: %v", err)
	}
	load(t, l, "bad", featuresOf("B "+box(106, 20, 107, 21)), ImportOptions{Join: true})
	if got := codes(l.Place(106.5, 20.5, "", nil)); got != "bad:B@ good:G@" {
		t.Errorf("after importing again: %q", got)
	}
}

func TestNearest(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "street", featuresOf(
		`A {"type":"LineString","coordinates":[[106.1,20.4],[106.2,20.4]]}`,
		`B {"type":"MultiLineString","coordinates":[[[106.1,20.401],[106.2,20.401]],[[106.3,20.4],[106.3,20.5]]]}`,
	), ImportOptions{Join: true, Within: 40})
	load(t, l, "stop", featuresOf(
		`S {"type":"Point","coordinates":[106.15,20.4]}`,
		`T {"type":"MultiPoint","coordinates":[[106.1504,20.4],[106.5,20.5]]}`,
	), ImportOptions{Join: true, Within: 50})
	// A degree of latitude is 110,7 km here, so 0.0001 degree is 11.07 m.
	for _, tt := range []struct {
		lon, lat float64
		want     string
	}{
		{106.12, 20.4002, "street:A@"},
		{106.12, 20.4008, "street:B@"},
		{106.12, 20.39964, "street:A@"}, // 39.9 m
		{106.12, 20.39963, ""},          // 41 m
		{106.30037, 20.45, "street:B@"}, // 38.6 m by the length of a degree of longitude
		{106.30039, 20.45, ""},          // 40.7 m
		{106.15019, 20.4, "stop:S@ street:A@"},
		{106.15021, 20.4, "stop:T@ street:A@"},
		{106.5, 20.5, "stop:T@"},
		{math.NaN(), 20.4, ""},
		{106.12, math.Inf(-1), ""},
	} {
		if got := codes(l.Place(tt.lon, tt.lat, "", nil)); got != tt.want {
			t.Errorf("Place(%v, %v) = %q, want %q", tt.lon, tt.lat, got, tt.want)
		}
	}
	_, err := l.Import(t.Context(), "far", strings.NewReader(featuresOf(`A {"type":"Point","coordinates":[106,20]}`)), ImportOptions{Join: true})
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("a joined point layer without distance: %v, want ErrInvalid", err)
	}
}

// The nearest of many, against looking at all of them.
func TestNearestEqualsBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var lines []string
	var all []orb.LineString
	for i := range 400 {
		var ls orb.LineString
		p := orb.Point{106 + rng.Float64()*0.2, 20 + rng.Float64()*0.2}
		for range 2 + rng.IntN(6) {
			ls = append(ls, p)
			p = orb.Point{p[0] + rng.Float64()*0.01 - 0.005, p[1] + rng.Float64()*0.01 - 0.005}
		}
		all = append(all, ls)
		lines = append(lines, fmt.Sprintf("%d ", i)+`{"type":"LineString","coordinates":`+string(appendLine(nil, ls))+`}`)
	}
	l := open(t, newMemory(), Options{})
	load(t, l, "street", featuresOf(lines...), ImportOptions{Join: true, Within: 300})
	near := 0
	for range 20000 {
		p := orb.Point{105.99 + rng.Float64()*0.22, 19.99 + rng.Float64()*0.22}
		kx, ky := metresPerDegree(p[1])
		best, want := 300.0*300, ""
		for i, ls := range all {
			for k := 1; k < len(ls); k++ {
				if d := distance2(ls[k-1], ls[k], p, kx, ky); d < best {
					best, want = d, fmt.Sprintf("street:%d@", i)
				}
			}
		}
		if want != "" {
			near++
		}
		if got := codes(l.Place(p[0], p[1], "", nil)); got != want {
			t.Fatalf("Place(%v) = %q, want %q", p, got, want)
		}
	}
	if near < 1000 {
		t.Errorf("only %d places were near anything", near)
	}
}

// Distances on the plane against the geodesic (Vincenty's inverse formula).
func TestMetresPerDegree(t *testing.T) {
	for _, tt := range []struct{ lat, kx, ky float64 }{
		// Lengths of a degree on WGS 84, from the tables of the National
		// Geospatial-Intelligence Agency.
		{0, 111319.49, 110574.28},
		{15, 107550.39, 110648.72},
		{30, 96486.28, 110852.46},
		{60, 55800.06, 111412.24},
	} {
		kx, ky := metresPerDegree(tt.lat)
		if math.Abs(kx-tt.kx) > 30 || math.Abs(ky-tt.ky) > 30 {
			t.Errorf("at %g: %.2f and %.2f m, want %.2f and %.2f", tt.lat, kx, ky, tt.kx, tt.ky)
		}
	}
}

func TestReadersDuringImports(t *testing.T) {
	l := open(t, newMemory(), Options{Metrics: prometheus.NewRegistry()})
	load(t, l, "unit", featuresOf("A "+box(106, 20, 107, 21)), ImportOptions{Join: true})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if got := l.Place(106.5, 20.5, "", nil); len(got) != 1 {
					t.Errorf("Place = %v while importing", got)
					return
				}
				if b, err := l.Tile(ctx, "unit", 10, 814, 453, ""); ctx.Err() == nil && (err != nil || len(b) == 0) {
					t.Errorf("Tile = %d bytes, %v while importing", len(b), err)
					return
				}
				l.List()
			}
		})
	}
	for i := range 50 {
		load(t, l, "unit", featuresOf(fmt.Sprintf("A%d ", i)+box(106, 20, 107, 21)), ImportOptions{Join: true})
	}
	cancel()
	wg.Wait()
}

func TestOpenRefusesBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Area: orb.Bound{Min: orb.Point{107, 20}, Max: orb.Point{106, 21}}},
		{Area: orb.Bound{Min: orb.Point{20, 106}, Max: orb.Point{21, 107}}},
		{MaxImport: -1},
	} {
		if _, err := Open(t.Context(), newMemory(), o); err == nil {
			t.Errorf("Open(%+v) took it", o)
		}
	}
	m := newMemory()
	m.fail = func(string, string) error { return errors.New("store down") }
	if _, err := Open(t.Context(), m, Options{}); err == nil {
		t.Error("Open took a store that is down for one that is empty")
	}
}

func TestDay(t *testing.T) {
	ict := time.FixedZone("ICT", 7*3600)
	at := time.Date(2025, 6, 30, 17, 0, 0, 0, time.UTC)
	if got := Day(at, ict); got != "2025-07-01" {
		t.Errorf("Day = %s, want 2025-07-01: the law is in force from local midnight", got)
	}
}

// shared opens a data file that is not part of the repository.
func shared(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("VONGLAU_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Skipf("needs data that is not part of the repository (VONGLAU_SHARED_DATA): %v", err)
	}
	return b
}

// The real boundaries of a city whose districts went and whose ward codes were
// given out again.
func TestRealBoundaries(t *testing.T) {
	m := newMemory()
	l := open(t, m, Options{Area: orb.Bound{Min: orb.Point{105, 19.5}, Max: orb.Point{107, 21}}})
	for _, f := range []struct {
		layer, file string
		opts        ImportOptions
		zones       int
	}{
		{"ward", "boundaries/namdinh_wards_2025.geojson", ImportOptions{Join: true, ValidFrom: "2025-07-01"}, 57},
		{"unit", "boundaries/wards-2025_37_ninh_binh.geojson", ImportOptions{Join: true, ValidFrom: "2025-07-01"}, 129},
		{"district", "boundaries/namdinh_districts_2024_cc0.geojson", ImportOptions{Code: "wof:id", Join: true, ValidTo: "2025-06-30"}, 10},
	} {
		rep := load(t, l, f.layer, string(shared(t, f.file)), f.opts)
		if rep.Imported != f.zones || rep.Refused != 0 {
			t.Errorf("%s: imported %d, refused %d of %d", f.file, rep.Imported, rep.Refused, f.zones)
		}
		t.Logf("%s: %d zones, %d vertices, problems %v", f.layer, rep.Imported, rep.Vertices, rep.Counts)
	}
	equalToOrb(t, l, "ward", "2025-07-01", 100000)
	equalToOrb(t, l, "unit", "2025-07-01", 100000)
	equalToOrb(t, l, "district", "2025-06-30", 100000)

	for name, l := range map[string]*Layers{"imported": l, "read again": open(t, m, Options{})} {
		before := codes(l.Place(106.1683, 20.4200, "2025-06-30", nil))
		after := codes(l.Place(106.1683, 20.4200, "2025-07-01", nil))
		if !strings.HasPrefix(before, "district:") || strings.Contains(before, " ") {
			t.Errorf("%s: on the last day of the districts: %q", name, before)
		}
		if after != "unit:13669@2025-07-01 ward:13669@2025-07-01" {
			t.Errorf("%s: on the first day of the wards: %q", name, after)
		}
	}
}
