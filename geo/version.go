package geo

import (
	"math"
	"slices"

	"github.com/paulmach/orb"
	"github.com/tidwall/rtree"

	"vonglau/devices"
)

// Properties every stored feature and every tile feature carries.
const (
	codeProperty      = "code"
	nameProperty      = "name"
	validFromProperty = "valid_from"
	simulatedProperty = "simulated"
)

// meta is what is stored beside a version's features. The fields are on disk:
// add, never rename.
type meta struct {
	Layer       string       `json:"layer"`
	ValidFrom   devices.Date `json:"validFrom"`
	ValidTo     devices.Date `json:"validTo"`
	Join        bool         `json:"join"`
	Within      float64      `json:"within"`
	MinZoom     int          `json:"minZoom"`
	Attribution string       `json:"attribution"`
	Simulated   bool         `json:"simulated"`
	Imported    int64        `json:"imported"` // Unix nanoseconds; also the stamp
	Count       int          `json:"count"`
	Data        string       `json:"data"`   // name of the blob with the features
	SHA256      string       `json:"sha256"` // of that blob
}

// version is one version of a layer, immutable once built.
type version struct {
	meta
	kind   Kind
	bound  orb.Bound
	zones  []zone
	byCode map[string]int // the first zone of each code
	refs   []devices.ZoneRef

	// pts holds every position of every zone; geometries are slices of it.
	pts []orb.Point
	// weight of each position of a line or polygon: see weigh.
	weight []float32

	polygons *index // joined polygon versions
	nearest  *near  // joined line and point versions
	tree     rtree.RTreeG[uint32]
	overlaps []overlap

	broken string // why it takes no part
}

type zone struct {
	ref   devices.ZoneRef
	name  string
	named bool // the file gave it a name; otherwise name is the code
	props map[string]any
	geom  orb.Geometry
	bound orb.Bound
	label orb.Point
	lines []run // rings of a polygon, lines of a line
	parts []int // where in lines each polygon starts
}

type overlap struct{ a, b uint32 }

// covers reports whether the version is in force on day at.
func (v *version) covers(at devices.Date) bool {
	return v.broken == "" && v.ValidFrom <= at && (v.ValidTo == "" || at <= v.ValidTo)
}

func (v *version) public(i int) Zone {
	z := &v.zones[i]
	return Zone{Ref: z.ref, Name: z.name, ValidTo: v.ValidTo, Label: z.label, Properties: z.props, Geometry: z.geom}
}

// build lays the positions of all zones into one array and makes the indices.
func (v *version) build() {
	n := 0
	for i := range v.zones {
		n += count(v.zones[i].geom)
	}
	v.pts = make([]orb.Point, 0, n)
	v.bound = orb.Bound{Min: orb.Point{math.Inf(1), math.Inf(1)}, Max: orb.Point{math.Inf(-1), math.Inf(-1)}}
	v.byCode = make(map[string]int, len(v.zones))
	v.refs = make([]devices.ZoneRef, len(v.zones))
	v.Simulated = len(v.zones) > 0
	for i := range v.zones {
		z := &v.zones[i]
		v.lay(z)
		z.bound = z.geom.Bound()
		v.bound = v.bound.Union(z.bound)
		v.refs[i] = z.ref
		if _, ok := v.byCode[z.ref.Code]; !ok {
			v.byCode[z.ref.Code] = i
		}
		sim, _ := z.props[simulatedProperty].(bool)
		v.Simulated = v.Simulated && sim
		v.tree.Insert(z.bound.Min, z.bound.Max, uint32(i))
	}
	if v.kind != Point {
		v.weight = weigh(v.pts, v.allLines(), v.kind == Polygon)
	}
	for i := range v.zones {
		v.zones[i].label = v.labelOf(&v.zones[i])
	}
	if v.Join && len(v.zones) > 0 {
		v.join()
	}
}

// lay moves z's positions to the end of v.pts.
func (v *version) lay(z *zone) {
	put := func(pts []orb.Point) []orb.Point {
		first := len(v.pts)
		v.pts = append(v.pts, pts...)
		return v.pts[first:len(v.pts):len(v.pts)]
	}
	line := func(pts []orb.Point) []orb.Point {
		z.lines = append(z.lines, run{uint32(len(v.pts)), uint32(len(v.pts) + len(pts) - 1)})
		return put(pts)
	}
	polygon := func(p orb.Polygon) {
		z.parts = append(z.parts, len(z.lines))
		for i := range p {
			p[i] = line(p[i])
		}
	}
	switch g := z.geom.(type) {
	case orb.Point:
		put([]orb.Point{g})
	case orb.MultiPoint:
		z.geom = orb.MultiPoint(put(g))
	case orb.LineString:
		z.geom = orb.LineString(line(g))
	case orb.MultiLineString:
		for i := range g {
			g[i] = line(g[i])
		}
	case orb.Polygon:
		polygon(g)
	case orb.MultiPolygon:
		for _, p := range g {
			polygon(p)
		}
	}
}

func count(g orb.Geometry) int {
	n := 0
	switch g := g.(type) {
	case orb.Point:
		n = 1
	case orb.MultiPoint:
		n = len(g)
	case orb.LineString:
		n = len(g)
	case orb.MultiLineString:
		for _, l := range g {
			n += len(l)
		}
	case orb.Polygon:
		for _, r := range g {
			n += len(r)
		}
	case orb.MultiPolygon:
		for _, p := range g {
			n += count(p)
		}
	}
	return n
}

func (v *version) allLines() []run {
	var all []run
	for i := range v.zones {
		all = append(all, v.zones[i].lines...)
	}
	return all
}

// polygonsOf gives the polygons of z, each as its rings.
func (z *zone) polygonsOf() [][]run {
	out := make([][]run, len(z.parts))
	for k, first := range z.parts {
		last := len(z.lines)
		if k+1 < len(z.parts) {
			last = z.parts[k+1]
		}
		out[k] = z.lines[first:last]
	}
	return out
}

// join makes the index that place asks.
func (v *version) join() {
	if v.kind == Polygon {
		var parts []part
		for i := range v.zones {
			for _, rings := range v.zones[i].polygonsOf() {
				parts = append(parts, part{uint32(i), rings})
			}
		}
		v.polygons = newIndex(v.pts, v.bound, parts)
		v.overlaps = v.polygons.overlaps()
		return
	}
	var items []item
	at := uint32(0)
	for i := range v.zones {
		z := &v.zones[i]
		for _, l := range z.lines {
			for k := l.first; k < l.last; k++ {
				items = append(items, item{k, k + 1, uint32(i)})
			}
		}
		n := uint32(count(z.geom))
		if v.kind == Point {
			for k := at; k < at+n; k++ {
				items = append(items, item{k, k, uint32(i)})
			}
		}
		at += n
	}
	v.nearest = newNear(v.pts, v.bound, items, v.Within)
}

// place appends the zones p falls into to dst.
func (v *version) place(p orb.Point, dst []devices.ZoneRef) (_ []devices.ZoneRef, onBorder bool) {
	switch {
	case v.polygons != nil:
		var buf [16]uint32
		hits, on := v.polygons.find(p, buf[:0])
		for _, i := range hits {
			dst = append(dst, v.refs[i])
		}
		return dst, on
	case v.nearest != nil:
		if i, ok := v.nearest.find(p); ok {
			dst = append(dst, v.refs[i])
		}
	}
	return dst, false
}

// maxOverlaps bounds how many pairs of overlapping zones are told.
const maxOverlaps = 100

// overlaps lists pairs of zones that share a whole cell of the grid.
func (ix *index) overlaps() []overlap {
	var found []overlap
	var in []uint32
	for c := 0; c+1 < len(ix.spans); c++ {
		in = in[:0]
		for _, e := range ix.entries[ix.spans[c]:ix.spans[c+1]] {
			if e.inside && e.lo == e.hi {
				in = append(in, e.zone)
			}
		}
		for i := range in {
			for _, b := range in[i+1:] {
				o := overlap{in[i], b}
				if in[i] != b && !slices.Contains(found, o) {
					found = append(found, o)
				}
				if len(found) == maxOverlaps {
					return found
				}
			}
		}
	}
	return found
}

// autoMinZoom is the lowest zoom at which at least half of the polygons are two
// pixels long, with tiles of 512 pixels.
func (v *version) autoMinZoom() int {
	if v.kind != Polygon || len(v.zones) == 0 {
		if v.kind == Point && len(v.zones) > 1000 {
			return 12
		}
		return 0
	}
	sizes := make([]float64, len(v.zones))
	for i := range v.zones {
		b := v.zones[i].bound
		sizes[i] = max(b.Max[0]-b.Min[0], b.Max[1]-b.Min[1])
	}
	slices.Sort(sizes)
	median := sizes[len(sizes)/2]
	for z := 0; z < MaxZoom; z++ {
		if median/360*pixelsPerTile*float64(uint(1)<<z) >= 2 {
			return z
		}
	}
	return MaxZoom
}
