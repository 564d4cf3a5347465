package warning

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
	"github.com/paulmach/orb/simplify"

	"vonglau/ops-center/cap12"
)

// A message goes over telephones and radio: an area is drawn with few points.
const (
	// maxRing bounds the points of a polygon of a message, maxParts the polygons
	// that one zone becomes.
	maxRing  = 100
	maxParts = 20
)

// outline is a zone as CAP can say it: polygons without holes, few, of few
// points, closed, that do not cross themselves.
//
// A hole is filled, since CAP has none and warning too many is the smaller
// fault; so are the parts beyond maxParts, which go into one hull.
func outline(g orb.Geometry) ([][]cap12.Point, error) {
	var rings []orb.Ring
	switch g := g.(type) {
	case orb.Polygon:
		rings = outer(rings, g)
	case orb.MultiPolygon:
		for _, p := range g {
			rings = outer(rings, p)
		}
	default:
		return nil, fmt.Errorf("%w: a zone of kind %s has no area; draw one", ErrContent, g.GeoJSONType())
	}
	slices.SortStableFunc(rings, func(a, b orb.Ring) int {
		return cmp.Compare(math.Abs(planar.Area(b)), math.Abs(planar.Area(a)))
	})
	if len(rings) > maxParts {
		var rest []orb.Point
		for _, r := range rings[maxParts-1:] {
			rest = append(rest, r...)
		}
		rings = append(rings[:maxParts-1:maxParts-1], hull(rest))
	}
	var out [][]cap12.Point
	for _, r := range rings {
		if r = few(r); len(r) >= 4 {
			out = append(out, points(r))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the zone is too small to be drawn", ErrContent)
	}
	return out, nil
}

func outer(rings []orb.Ring, p orb.Polygon) []orb.Ring {
	if len(p) > 0 && len(p[0]) >= 4 {
		return append(rings, p[0])
	}
	return rings
}

// few takes points out of a ring until it has maxRing at most and is still a
// ring. What cannot be had that way is had as a hull.
func few(r orb.Ring) orb.Ring {
	r = tidy(r)
	if len(r) < 4 {
		return nil
	}
	if len(r) <= maxRing && !crosses(r) {
		return r
	}
	// From about a metre to beyond any city.
	for tolerance := 1e-5; tolerance < 10; tolerance *= 1.5 {
		s := tidy(simplify.DouglasPeucker(tolerance).Ring(slices.Clone(r)))
		if len(s) < 4 {
			break
		}
		if len(s) <= maxRing && !crosses(s) {
			return s
		}
	}
	h := tidy(hull(r))
	for tolerance := 1e-5; len(h) > maxRing; tolerance *= 2 {
		h = tidy(simplify.DouglasPeucker(tolerance).Ring(h))
	}
	if len(h) < 4 || crosses(h) {
		return nil
	}
	return h
}

// tidy rounds to about a metre and takes out what is there twice in a row.
func tidy(r orb.Ring) orb.Ring {
	out := make(orb.Ring, 0, len(r))
	for _, p := range r {
		p = orb.Point{round(p[0]), round(p[1])}
		if len(out) == 0 || out[len(out)-1] != p {
			out = append(out, p)
		}
	}
	if len(out) > 0 && out[len(out)-1] != out[0] {
		out = append(out, out[0])
	}
	return out
}

func round(v float64) float64 { return math.Round(v*1e5) / 1e5 }

func crosses(r orb.Ring) bool {
	_, yes := cap12.Crossing(points(r))
	return yes
}

func points(r orb.Ring) []cap12.Point {
	out := make([]cap12.Point, len(r))
	for i, p := range r {
		out[i] = cap12.Point{Lat: p[1], Lon: p[0]}
	}
	return out
}

// hull is the convex hull (Andrew's monotone chain), closed.
func hull(pts []orb.Point) orb.Ring {
	pts = slices.Clone(pts)
	slices.SortFunc(pts, func(a, b orb.Point) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	pts = slices.Compact(pts)
	if len(pts) < 3 {
		return nil
	}
	cross := func(o, a, b orb.Point) float64 { return (a[0]-o[0])*(b[1]-o[1]) - (a[1]-o[1])*(b[0]-o[0]) }
	half := func(each func(func(orb.Point) bool)) orb.Ring {
		var h orb.Ring
		each(func(p orb.Point) bool {
			for len(h) >= 2 && cross(h[len(h)-2], h[len(h)-1], p) <= 0 {
				h = h[:len(h)-1]
			}
			h = append(h, p)
			return true
		})
		return h[:len(h)-1]
	}
	lower := half(slices.Values(pts))
	upper := half(func(yield func(orb.Point) bool) {
		for _, p := range slices.Backward(pts) {
			if !yield(p) {
				return
			}
		}
	})
	ring := append(lower, upper...)
	return append(ring, ring[0])
}
