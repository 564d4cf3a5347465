package geo

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/paulmach/orb"
)

// Problem is one thing an import found wrong with one feature.
type Problem struct {
	Feature int    `json:"feature"` // its place in the file, from 1
	Code    string `json:"code,omitempty"`
	Kind    string `json:"kind"`
	Detail  string `json:"detail"`
	Action  Action `json:"action"`
}

// Action is what was done about a problem.
type Action string

// The actions.
const (
	Refused Action = "refused" // the feature is not in the layer
	Mended  Action = "mended"  // the feature is in, changed as the detail says
	Kept    Action = "kept"    // the feature is in as it was; someone should look
)

// The kinds of problems; the strings are part of the API.
const (
	problemUnreadable  = "unreadable"
	problemNoGeometry  = "no_geometry"
	problemOtherKind   = "other_kind"
	problemBounds      = "out_of_bounds"
	problemSwapped     = "swapped_coordinates"
	problemOutside     = "outside_area"
	problemOpenRing    = "open_ring"
	problemShortRing   = "short_ring"
	problemEmptyHole   = "empty_hole"
	problemRepeated    = "repeated_positions"
	problemOrientation = "orientation"
	problemCrossing    = "self_intersection"
	problemOverlap     = "overlap"
	problemNoCode      = "no_code"
	problemDuplicate   = "duplicate_code"
	problemLongText    = "long_text"
)

// checker judges the geometry of one feature and mends what can be mended
// without guessing.
type checker struct {
	area    orb.Bound // the service area; zero when not given
	report  func(kind string, action Action, format string, args ...any)
	trusted bool // our own blob, checked when it was imported
	refused bool
}

func (c *checker) refuse(kind, format string, args ...any) {
	c.refused = true
	c.report(kind, Refused, format, args...)
}

// geometry gives the geometry to keep, nil when the feature is refused.
func (c *checker) geometry(g orb.Geometry) (orb.Geometry, Kind) {
	if g == nil {
		c.refuse(problemNoGeometry, "the geometry is null")
		return nil, ""
	}
	var kind Kind
	switch t := g.(type) {
	case orb.Point:
		kind = Point
		c.positions(orb.MultiPoint{t})
	case orb.MultiPoint:
		kind = Point
		c.positions(t)
		if len(t) == 0 {
			c.refuse(problemNoGeometry, "no position")
		}
	case orb.LineString:
		kind = Line
		g = c.line(t)
	case orb.MultiLineString:
		kind = Line
		for i := range t {
			t[i] = c.line(t[i])
		}
		if len(t) == 0 {
			c.refuse(problemNoGeometry, "no line")
		}
	case orb.Polygon:
		kind = Polygon
		g = c.polygon(t)
	case orb.MultiPolygon:
		kind = Polygon
		for i := range t {
			t[i] = c.polygon(t[i])
		}
		if len(t) == 0 {
			c.refuse(problemNoGeometry, "no polygon")
		}
	}
	if c.refused {
		return nil, kind
	}
	if c.trusted {
		return g, kind
	}
	if !c.area.IsZero() && !g.Bound().Intersects(c.area) {
		c.report(problemOutside, Kept, "lies outside the service area")
	}
	if kind == Polygon {
		c.crossings(g)
	}
	return g, kind
}

// positions refuses what is no place on earth, or a place with its numbers
// swapped. Only the first bad one is told.
func (c *checker) positions(pts []orb.Point) {
	for _, p := range pts {
		if c.refused {
			return
		}
		lon, lat := math.Abs(p[0]), math.Abs(p[1])
		swapped := orb.Point{p[1], p[0]}
		switch {
		case lon <= 90 && lat > 90 && lat <= 180:
			c.refuse(problemSwapped, "[%g, %g] is latitude first; GeoJSON has longitude first (RFC 7946 section 3.1.1)", p[0], p[1])
		case lon > 1000 || lat > 1000:
			c.refuse(problemBounds, "[%g, %g] is in metres of some projection (VN-2000?); convert to WGS 84 degrees first", p[0], p[1])
		case lon > 180 || lat > 90:
			c.refuse(problemBounds, "[%g, %g] is no place: longitude is within 180 and latitude within 90 degrees", p[0], p[1])
		case !c.area.IsZero() && !c.area.Contains(p) && c.area.Contains(swapped):
			c.refuse(problemSwapped, "[%g, %g] lies outside the service area and [%g, %g] inside: latitude first?", p[0], p[1], p[1], p[0])
		}
	}
}

func (c *checker) line(l orb.LineString) orb.LineString {
	c.positions(l)
	l = orb.LineString(c.distinct(l))
	if !c.refused && len(l) < 2 {
		c.refuse(problemShortRing, "a line has %d distinct positions, needs 2", len(l))
	}
	return l
}

// distinct drops positions equal to the one before.
func (c *checker) distinct(pts []orb.Point) []orb.Point {
	kept := slices.Compact(pts)
	if n := len(pts) - len(kept); n > 0 && !c.trusted {
		c.report(problemRepeated, Mended, "%d repeated positions dropped", n)
	}
	return kept
}

func (c *checker) polygon(p orb.Polygon) orb.Polygon {
	if len(p) == 0 {
		c.refuse(problemNoGeometry, "a polygon has no ring")
		return nil
	}
	kept := p[:0]
	for i, r := range p {
		if r = c.ring(r, i); r != nil {
			kept = append(kept, r)
		}
		if c.refused {
			return nil
		}
	}
	return kept
}

// ring closes, cleans and turns ring number n of a polygon, the outer one
// counter-clockwise and holes clockwise (RFC 7946 section 3.1.6).
func (c *checker) ring(r orb.Ring, n int) orb.Ring {
	c.positions(r)
	if c.refused {
		return nil
	}
	if len(r) > 0 && r[0] != r[len(r)-1] {
		r = append(r, r[0])
		c.report(problemOpenRing, Mended, "ring %d did not end where it began and was closed", n+1)
	}
	r = orb.Ring(c.distinct(r))
	area := ringArea(r)
	if len(r) < 4 || area == 0 {
		if n > 0 {
			c.report(problemEmptyHole, Mended, "hole %d has no area and was dropped", n)
			return nil
		}
		c.refuse(problemShortRing, "the outer ring has %d positions and encloses nothing; it needs 4 that do", len(r))
		return nil
	}
	if (area > 0) != (n == 0) {
		r.Reverse()
		if !c.trusted {
			c.report(problemOrientation, Mended, "ring %d was turned round", n+1)
		}
	}
	return r
}

// pairsPerEdge bounds the work of crossings: a boundary has few edges abreast
// of any one, and a file made to have many must not hold an import up.
const pairsPerEdge = 2000

// crossings reports where edges of a polygon properly cross or lie on each
// other. Rings that only touch in a point are left alone. Edges are swept from
// west to east.
func (c *checker) crossings(g orb.Geometry) {
	var edges []sweepEdge
	add := func(p orb.Polygon) {
		for _, r := range p {
			for i := 1; i < len(r); i++ {
				edges = append(edges, newSweepEdge(r[i-1], r[i]))
			}
		}
	}
	switch g := g.(type) {
	case orb.Polygon:
		add(g)
	case orb.MultiPolygon:
		for _, p := range g {
			add(p)
		}
	}
	slices.SortFunc(edges, func(a, b sweepEdge) int { return cmp.Compare(a.west, b.west) })
	found, left := 0, pairsPerEdge*len(edges)
	var first orb.Point
	var active []int
	for i := range edges {
		e := &edges[i]
		kept := active[:0]
		for _, k := range active {
			o := &edges[k]
			if o.east < e.west {
				continue
			}
			kept = append(kept, k)
			if o.north < e.south || o.south > e.north {
				continue
			}
			if at, ok := e.crosses(o); ok {
				if found == 0 {
					first = at
				}
				found++
			}
		}
		if left -= len(active); left < 0 {
			c.report(problemCrossing, Kept, "too tangled to look for every self-intersection")
			break
		}
		active = append(kept, i)
	}
	if found > 0 {
		c.report(problemCrossing, Kept, "edges cross %d times, first near [%.6f, %.6f]; inside is where a ray crosses an odd number of edges",
			found, first[0], first[1])
	}
}

type sweepEdge struct {
	a, b                     orb.Point
	west, east, south, north float64
}

func newSweepEdge(a, b orb.Point) sweepEdge {
	return sweepEdge{a, b, min(a[0], b[0]), max(a[0], b[0]), min(a[1], b[1]), max(a[1], b[1])}
}

func (e *sweepEdge) crosses(o *sweepEdge) (at orb.Point, ok bool) {
	o1, o2 := orient(e.a, e.b, o.a), orient(e.a, e.b, o.b)
	if o1 == 0 && o2 == 0 {
		// On one line: they overlap when they share more than a point.
		west, east := max(e.west, o.west), min(e.east, o.east)
		south, north := max(e.south, o.south), min(e.north, o.north)
		return orb.Point{west, south}, west < east || south < north
	}
	if o1 == 0 || o2 == 0 || (o1 > 0) == (o2 > 0) {
		return at, false
	}
	o3, o4 := orient(o.a, o.b, e.a), orient(o.a, o.b, e.b)
	if o3 == 0 || o4 == 0 || (o3 > 0) == (o4 > 0) {
		return at, false
	}
	t := o3 / (o3 - o4)
	return orb.Point{e.a[0] + t*(e.b[0]-e.a[0]), e.a[1] + t*(e.b[1]-e.a[1])}, true
}

// codeOf gives a feature's code: the named property, else one called "code",
// else the feature's id.
func codeOf(f *feature, property string) string {
	if property != "" {
		return text(f.props[property])
	}
	if s := text(f.props[codeProperty]); s != "" {
		return s
	}
	return idText(f.id)
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%.17g", v)
	}
	return fmt.Sprint(v)
}
