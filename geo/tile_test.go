package geo

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/encoding/mvt"
	"github.com/paulmach/orb/geojson"
	"github.com/paulmach/orb/maptile"
	"github.com/paulmach/orb/planar"

	"vonglau/devices"
)

// drawn decodes a tile's layer, in the tile's own coordinates.
func drawn(t testing.TB, l *Layers, name, layer string, z, x, y uint32) []*geojson.Feature {
	t.Helper()
	b, err := l.Tile(t.Context(), name, z, x, y, "")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := mvt.Unmarshal(b)
	if err != nil {
		t.Fatalf("tile %d/%d/%d: %v", z, x, y, err)
	}
	for _, ml := range layers {
		if ml.Version != 2 || ml.Extent != 4096 {
			t.Errorf("layer %s has version %d, extent %d", ml.Name, ml.Version, ml.Extent)
		}
		if ml.Name == layer {
			return ml.Features
		}
	}
	return nil
}

func tileAt(p orb.Point, z uint32) maptile.Tile { return maptile.At(p, maptile.Zoom(z)) }

// Simplified wards neither gap nor overlap: their areas add up to the area of
// the whole, in whole tile units, at every zoom that leaves corners out.
func TestTilesKeepSharedBordersTogether(t *testing.T) {
	_, text := tessellation(4, 64, rand.New(rand.NewPCG(9, 9)), 0.3)
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", text, ImportOptions{Join: true})
	v := l.version("ward", "")
	corners := map[uint32]int{}
	for z := uint32(2); z <= 9; z++ {
		// One tile that would hold everything, were tiles that large.
		d := &drawing{v: v, scale: float64(uint64(1)<<z) * extent, limit: float32(dropTriangle / (float64(uint64(1)<<z) * pixelsPerTile))}
		whole := orb.Bound{Min: d.round(d.project(orb.Point{106, 24})), Max: d.round(d.project(orb.Point{110, 20}))}
		sum := 0.0
		for i := range v.zones {
			r := d.compact(d.coarse(v.zones[i].lines[0]))
			corners[z] += len(r)
			sum += math.Abs(ringArea(r)) / 2
		}
		if want := (whole.Max[0] - whole.Min[0]) * (whole.Max[1] - whole.Min[1]); sum != want {
			t.Errorf("zoom %d: wards cover %g of %g units", z, sum, want)
		}
	}
	if corners[2] >= corners[9] || corners[2] > len(v.pts)/4 {
		t.Errorf("corners drawn by zoom: %v of %d; coarse zooms must leave many out", corners, len(v.pts))
	}
}

// What a tile shows is where it is on the ground: points drawn back from tiles
// lie in the zone they say, with a pixel's tolerance.
func TestTilesShowZonesWhereTheyAre(t *testing.T) {
	_, text := tessellation(4, 16, rand.New(rand.NewPCG(8, 8)), 0.3)
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", text, ImportOptions{Join: true})
	rng := rand.New(rand.NewPCG(1, 1))
	seen := 0
	for range 400 {
		p := orb.Point{106.05 + rng.Float64()*3.9, 20.05 + rng.Float64()*3.9}
		want := l.Place(p[0], p[1], "", nil)[0].Code
		for _, z := range []uint32{3, 7, 10, 14, 18, 22} {
			tile := tileAt(p, z)
			x, y := mercator(p)[0], mercator(p)[1]
			n := float64(uint64(1) << z)
			q := orb.Point{(x*n - float64(tile.X)) * extent, (y*n - float64(tile.Y)) * extent}
			var in []string
			near := false
			for _, f := range drawn(t, l, "ward", "ward", z, tile.X, tile.Y) {
				eachRing(f.Geometry, func(r orb.Ring) {
					near = near || planar.DistanceFrom(orb.LineString(r), q) < 2*unitsPerPixel
				})
				if containedBy(f.Geometry, q) {
					in = append(in, f.Properties["code"].(string))
				}
			}
			if near {
				continue
			}
			seen++
			if len(in) != 1 || in[0] != want {
				t.Fatalf("zoom %d: %v is drawn in %v, lies in %s", z, p, in, want)
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d places were judged", seen)
	}
}

func TestTileWindingAndProperties(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "basin", `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"A","name":"Ao Sen","depth":1.5,"n":3,"simulated":true},
		"geometry":{"type":"Polygon","coordinates":[[[106,20],[107,20],[107,21],[106,21],[106,20]],[[106.2,20.2],[106.8,20.2],[106.8,20.8],[106.2,20.8],[106.2,20.2]]]}}]}`,
		ImportOptions{ValidFrom: "2025-07-01"})
	tile := tileAt(orb.Point{106.5, 20.5}, 7)
	fs := drawn(t, l, "basin", "basin", 7, tile.X, tile.Y)
	if len(fs) != 1 {
		t.Fatalf("%d features", len(fs))
	}
	p := fs[0].Geometry.(orb.Polygon)
	// MVT 2.1 section 4.3.4.4: y is downwards, so positive means clockwise to the eye.
	if len(p) != 2 || ringArea(p[0]) <= 0 || ringArea(p[1]) >= 0 {
		t.Errorf("rings are wound %v", p)
	}
	if got := fmt.Sprint(fs[0].Properties); got != "map[code:A depth:1.5 n:3 name:Ao Sen simulated:true valid_from:2025-07-01]" {
		t.Errorf("properties %s", got)
	}
	if fs[0].ID != 1.0 {
		t.Errorf("id %v, want 1", fs[0].ID)
	}
	if !l.List()[0].Simulated {
		t.Error("the layer does not say it is simulated")
	}
}

// Each name is on the map once, however many tiles its zone reaches into, and
// inside its zone.
func TestLabelsOnceAndInside(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", featuresOf(
		// A horseshoe: its centre is not in it.
		`U {"type":"Polygon","coordinates":[[[106,20],[107,20],[107,21],[106.8,21],[106.8,20.2],[106.2,20.2],[106.2,21],[106,21],[106,20]]]}`,
		"B "+box(106.3, 20.3, 106.7, 20.9),
		// A ring.
		`R {"type":"Polygon","coordinates":[[[105,20],[106,20],[106,21],[105,21],[105,20]],[[105.1,20.1],[105.9,20.1],[105.9,20.9],[105.1,20.9],[105.1,20.1]]]}`,
	), ImportOptions{})
	for _, z := range l.Zones("ward", "") {
		if !planar.PolygonContains(z.Geometry.(orb.Polygon), z.Label) {
			t.Errorf("%s: the label %v is outside", z.Name, z.Label)
		}
	}
	for _, z := range []uint32{6, 9, 11} {
		seen := map[string]int{}
		a, b := tileAt(orb.Point{104.9, 21.1}, z), tileAt(orb.Point{107.1, 19.9}, z)
		for x := a.X; x <= b.X; x++ {
			for y := a.Y; y <= b.Y; y++ {
				for _, f := range drawn(t, l, "ward", "ward"+LabelSuffix, z, x, y) {
					seen[f.Properties["name"].(string)]++
				}
			}
		}
		if fmt.Sprint(seen) != "map[zone B:1 zone R:1 zone U:1]" {
			t.Errorf("zoom %d: labels %v, want each once", z, seen)
		}
	}
}

func TestTileAnswers(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", featuresOf("A "+box(106, 20, 107, 21)), ImportOptions{ValidFrom: "2025-07-01"})
	for _, tt := range []struct {
		name    string
		z, x, y uint32
		at      string
		want    error
	}{
		{"ward", 23, 0, 0, "", ErrInvalid},
		{"ward", 3, 8, 0, "", ErrInvalid},
		{"ward", 3, 0, math.MaxUint32, "", ErrInvalid},
		{"none", 3, 0, 0, "", ErrNotFound},
		{"ward", 3, 0, 0, "2025-06-30", ErrNotFound},
	} {
		if _, err := l.Tile(t.Context(), tt.name, tt.z, tt.x, tt.y, devices.Date(tt.at)); !errors.Is(err, tt.want) {
			t.Errorf("Tile(%s %d/%d/%d on %q): %v, want %v", tt.name, tt.z, tt.x, tt.y, tt.at, err, tt.want)
		}
	}
	if b, err := l.Tile(t.Context(), "ward", 10, 0, 0, ""); err != nil || len(b) != 0 {
		t.Errorf("an empty tile: %d bytes, %v", len(b), err)
	}
	// A tile changes with its version.
	tile := tileAt(orb.Point{106.5, 20.5}, 5)
	before, _ := l.Version("ward", "")
	if n := len(drawn(t, l, "ward", "ward", 5, tile.X, tile.Y)); n != 1 {
		t.Fatalf("%d features, want 1", n)
	}
	load(t, l, "ward", featuresOf("A "+box(106, 20, 107, 21), "B "+box(105, 20, 106, 21)), ImportOptions{ValidFrom: "2025-07-01"})
	after, _ := l.Version("ward", "")
	if n := len(drawn(t, l, "ward", "ward", 5, tile.X, tile.Y)); n != 2 || before.Stamp == after.Stamp {
		t.Errorf("after replacing: %d features, stamps %s and %s", n, before.Stamp, after.Stamp)
	}
}

// Many small zones: what is under a pixel is left out, one tile is bounded, and
// the cache keeps to its bound.
func TestManyZones(t *testing.T) {
	var lines []string
	const n = 100
	for i := range n {
		for j := range n { // houses of 10 m, 20 m apart
			w, s := 106+float64(i)*0.0002, 20+float64(j)*0.0002
			lines = append(lines, fmt.Sprintf("%d-%d ", i, j)+box(w, s, w+0.0001, s+0.0001))
		}
	}
	l := open(t, newMemory(), Options{TileCache: 200 << 10, MaxTileFeatures: 500})
	load(t, l, "building", featuresOf(lines...), ImportOptions{})
	if got := l.List()[0].MinZoom; got != 14 {
		t.Errorf("MinZoom %d, want 14, where 10 m are two pixels", got)
	}
	at := orb.Point{106.005, 20.005}
	for z, most := range map[uint32]int{10: 0, 12: 0, 15: 500, 17: 500} {
		tile := tileAt(at, z)
		got := len(drawn(t, l, "building", "building", z, tile.X, tile.Y))
		if got > most || most > 0 && got == 0 {
			t.Errorf("zoom %d: %d houses drawn, want up to %d", z, got, most)
		}
	}
	for x := range uint32(40) {
		for y := range uint32(40) {
			tile := tileAt(at, 18)
			if _, err := l.Tile(t.Context(), "building", 18, tile.X-20+x, tile.Y-20+y, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.tiles.mu.Lock()
	defer l.tiles.mu.Unlock()
	sum := 0
	for _, e := range l.tiles.tiles {
		sum += e.Value.(*cachedTile).size
	}
	if sum != l.tiles.bytes || sum > 200<<10 || len(l.tiles.tiles) != l.tiles.order.Len() || len(l.tiles.tiles) < 10 {
		t.Errorf("the cache counts %d bytes, holds %d in %d tiles", l.tiles.bytes, sum, len(l.tiles.tiles))
	}
}

func TestRealTiles(t *testing.T) {
	l := open(t, newMemory(), Options{})
	load(t, l, "ward", string(shared(t, "boundaries/namdinh_wards_2025.geojson")), ImportOptions{Join: true})
	for z := uint32(8); z <= 16; z += 2 {
		tile := tileAt(orb.Point{106.168, 20.434}, z)
		b, err := l.Tile(t.Context(), "ward", z, tile.X, tile.Y, "")
		if err != nil || len(b) == 0 || len(b) > 200<<10 {
			t.Errorf("zoom %d: %d bytes, %v", z, len(b), err)
		}
		var names []string
		for _, f := range drawn(t, l, "ward", "ward"+LabelSuffix, z, tile.X, tile.Y) {
			names = append(names, f.Properties["name"].(string))
		}
		t.Logf("zoom %d: %d bytes, labels %s", z, len(b), strings.Join(names, ", "))
	}
}

func BenchmarkTile(b *testing.B) {
	l := open(b, newMemory(), Options{})
	load(b, l, "ward", string(shared(b, "boundaries/namdinh_wards_2025.geojson")), ImportOptions{Join: true})
	v := l.version("ward", "")
	for _, z := range []uint32{8, 12, 16} {
		tile := tileAt(orb.Point{106.168, 20.434}, z)
		b.Run(fmt.Sprint("zoom ", z), func(b *testing.B) {
			for b.Loop() {
				if _, err := v.tile(z, tile.X, tile.Y, 50000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
