package geo

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/clip"
	"github.com/paulmach/orb/encoding/mvt"
	"github.com/paulmach/orb/geojson"

	"vonglau/devices"
)

// MaxZoom is the deepest zoom a tile is made for.
const MaxZoom = 22

const (
	extent        = mvt.DefaultExtent
	pixelsPerTile = 512
	// unitsPerPixel of a tile's own coordinates.
	unitsPerPixel = extent / pixelsPerTile
	// buffer is how far a tile reaches beyond its edge, so that outlines drawn
	// along the cut stay out of sight.
	buffer = 16 * unitsPerPixel
	// dropTriangle is the side in pixels of the square below which a corner's
	// triangle is left out.
	dropTriangle = 0.5
	// labelPixels is how long a polygon must be to be labelled.
	labelPixels = 24
)

// LabelSuffix ends the name of the MVT layer with a polygon layer's labels.
const LabelSuffix = "_label"

var tileBox = orb.Bound{Min: orb.Point{-buffer, -buffer}, Max: orb.Point{extent + buffer, extent + buffer}}

// Tile gives the Mapbox Vector Tile (version 2.1) of the layer's version in
// force on day at, the newest when at is empty. An empty result is an empty
// tile. It holds a layer under the layer's name, its features numbered from 1
// in the version's order, with the properties code, name, valid_from and the
// feature's own; and for polygons with names a layer name_label of points, each
// in one tile only. The bytes are shared: read only.
func (l *Layers) Tile(ctx context.Context, name string, z, x, y uint32, at devices.Date) ([]byte, error) {
	if z > MaxZoom || x >= 1<<z || y >= 1<<z {
		return nil, fmt.Errorf("%w: tile %d/%d/%d: zoom is 0 to %d, x and y below 2^zoom", ErrInvalid, z, x, y, MaxZoom)
	}
	v := l.version(name, at)
	if v == nil {
		return nil, fmt.Errorf("tile of layer %q on %q: %w", name, at, ErrNotFound)
	}
	return l.tiles.get(ctx, tileKey{name, v.Imported, z, x, y}, func() ([]byte, error) {
		return v.tile(z, x, y, l.opts.MaxTileFeatures)
	})
}

// drawing turns a version's geometry into one tile's coordinates.
type drawing struct {
	v      *version
	scale  float64 // tile units per world
	origin orb.Point
	limit  float32 // weight below which a position is left out
	tiny   float64 // degrees of longitude that make a pixel
}

func (v *version) tile(z, x, y uint32, most int) ([]byte, error) {
	n := float64(uint64(1) << z)
	d := &drawing{
		v:      v,
		scale:  n * extent,
		origin: orb.Point{float64(x) * extent, float64(y) * extent},
		limit:  float32(dropTriangle / (n * pixelsPerTile)),
		tiny:   360 / (n * pixelsPerTile),
	}
	var hits []uint32
	b := d.bound(x, y, n)
	v.tree.Search(b.Min, b.Max, func(_, _ [2]float64, i uint32) bool {
		if v.kind != Polygon || v.zones[i].size() >= d.tiny {
			hits = append(hits, i)
		}
		return true
	})
	if len(hits) > most {
		// The largest are what can be seen.
		slices.SortFunc(hits, func(a, b uint32) int {
			return cmp.Or(cmp.Compare(v.zones[b].size(), v.zones[a].size()), cmp.Compare(a, b))
		})
		hits = hits[:most]
	}
	slices.Sort(hits)

	shapes := &mvt.Layer{Name: v.Layer, Version: 2, Extent: extent}
	labels := &mvt.Layer{Name: v.Layer + LabelSuffix, Version: 2, Extent: extent}
	for _, i := range hits {
		zn := &v.zones[i]
		if g := d.draw(zn); g != nil {
			shapes.Features = append(shapes.Features, d.feature(i, g))
		}
		if v.kind == Polygon && zn.named && zn.size() >= labelPixels*d.tiny {
			if p := d.round(d.project(zn.label)); p[0] >= 0 && p[0] < extent && p[1] >= 0 && p[1] < extent {
				labels.Features = append(labels.Features, d.feature(i, p))
			}
		}
	}
	var layers mvt.Layers
	for _, l := range []*mvt.Layer{shapes, labels} {
		if len(l.Features) > 0 {
			layers = append(layers, l)
		}
	}
	if layers == nil {
		return nil, nil
	}
	b2, err := mvt.Marshal(layers)
	if err != nil {
		return nil, fmt.Errorf("encode tile %d/%d/%d of layer %q: %w", z, x, y, v.Layer, err)
	}
	return b2, nil
}

// size is the longer side of z in degrees.
func (z *zone) size() float64 {
	return max(z.bound.Max[0]-z.bound.Min[0], z.bound.Max[1]-z.bound.Min[1])
}

func (d *drawing) feature(i uint32, g orb.Geometry) *geojson.Feature {
	z := &d.v.zones[i]
	f := geojson.NewFeature(g)
	f.ID = uint64(i) + 1
	for k, v := range z.props {
		f.Properties[k] = v
	}
	f.Properties[codeProperty] = z.ref.Code
	f.Properties[nameProperty] = z.name
	f.Properties[validFromProperty] = string(z.ref.ValidFrom)
	return f
}

// bound is the tile with its buffer, in degrees.
func (d *drawing) bound(x, y uint32, n float64) orb.Bound {
	const m = float64(buffer) / extent
	lon := func(x float64) float64 { return (x/n - 0.5) * 360 }
	lat := func(y float64) float64 { return math.Atan(math.Sinh(math.Pi*(1-2*y/n))) * 180 / math.Pi }
	b := orb.Bound{
		Min: orb.Point{lon(float64(x) - m), lat(float64(y) + 1 + m)},
		Max: orb.Point{lon(float64(x) + 1 + m), lat(float64(y) - m)},
	}
	// mercator draws what lies beyond its square on the square's edge.
	if y == 0 {
		b.Max[1] = 90
	}
	if float64(y) == n-1 {
		b.Min[1] = -90
	}
	return b
}

func (d *drawing) project(p orb.Point) orb.Point {
	m := mercator(p)
	return orb.Point{m[0]*d.scale - d.origin[0], m[1]*d.scale - d.origin[1]}
}

func (d *drawing) round(p orb.Point) orb.Point { return orb.Point{math.Floor(p[0]), math.Floor(p[1])} }

// draw gives z in whole tile coordinates, cut to the tile, nil when nothing of
// it is left.
func (d *drawing) draw(z *zone) orb.Geometry {
	switch d.v.kind {
	case Point:
		return d.points(z)
	case Line:
		var out orb.MultiLineString
		for _, l := range z.lines {
			for _, piece := range clip.LineString(tileBox, d.coarse(l)) {
				if p := d.compact(piece); len(p) >= 2 {
					out = append(out, p)
				}
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	var out orb.MultiPolygon
	for _, rings := range z.polygonsOf() {
		var p orb.Polygon
		for n, r := range rings {
			ring := d.ring(r, n == 0)
			if ring == nil && n == 0 {
				break
			}
			if ring != nil {
				p = append(p, ring)
			}
		}
		if p != nil {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (d *drawing) points(z *zone) orb.Geometry {
	all, ok := z.geom.(orb.MultiPoint)
	if !ok {
		all = orb.MultiPoint{z.geom.(orb.Point)}
	}
	var out orb.MultiPoint
	for _, p := range all {
		if q := d.round(d.project(p)); tileBox.Contains(q) {
			out = append(out, q)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// coarse projects the positions of l that are heavy enough for this zoom.
func (d *drawing) coarse(l run) orb.LineString {
	out := make(orb.LineString, 0, 16)
	for i := l.first; i <= l.last; i++ {
		if d.v.weight[i] >= d.limit {
			out = append(out, d.project(d.v.pts[i]))
		}
	}
	return out
}

// compact rounds in place and drops repetitions.
func (d *drawing) compact(pts []orb.Point) []orb.Point {
	for i := range pts {
		pts[i] = d.round(pts[i])
	}
	return slices.Compact(pts)
}

// ring gives a ring wound as tiles want it: outer rings have a positive area in
// the tile's coordinates, with y downwards, holes a negative one (MVT 2.1
// section 4.3.4.4). Ours are counter-clockwise on the ground, so both are turned.
func (d *drawing) ring(r run, outer bool) orb.Ring {
	line := orb.Ring(d.coarse(r))
	if len(line) == 0 {
		return nil
	}
	if line[0] != line[len(line)-1] { // the ring's first position was light
		line = append(line, line[0])
	}
	if b := line.Bound(); !tileBox.Contains(b.Min) || !tileBox.Contains(b.Max) {
		if !tileBox.Intersects(b) {
			return nil
		}
		line = clip.Ring(tileBox, line)
	}
	line = d.compact(line)
	if len(line) < 4 {
		return nil
	}
	area := ringArea(line)
	// Below half a pixel nothing is seen, and what simplifying turned inside
	// out is that small.
	if math.Abs(area) < unitsPerPixel*unitsPerPixel {
		return nil
	}
	if (area > 0) != outer {
		line.Reverse()
	}
	return line
}
