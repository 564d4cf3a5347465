package geo

import (
	"container/heap"
	"math"
	"slices"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
)

// labelOf is where the name of z is written: the middle of a line, a point's
// place, and inside a polygon the place farthest from its border.
func (v *version) labelOf(z *zone) orb.Point {
	switch v.kind {
	case Point:
		if p, ok := z.geom.(orb.Point); ok {
			return p
		}
		return z.geom.(orb.MultiPoint)[0]
	case Line:
		longest := z.lines[0]
		for _, l := range z.lines {
			if l.last-l.first > longest.last-longest.first {
				longest = l
			}
		}
		return v.pts[(longest.first+longest.last)/2]
	}
	largest, area := orb.Polygon(nil), 0.0
	for _, rings := range z.polygonsOf() {
		var p orb.Polygon
		for _, r := range rings {
			p = append(p, v.pts[r.first:r.last+1])
		}
		if a := ringArea(p[0]); a > area || largest == nil {
			largest, area = p, a
		}
	}
	if !z.named {
		return cheapInside(largest)
	}
	return innermost(v.coarse(z, largest), largest)
}

// coarse leaves out the positions of p that would not move a label visibly.
func (v *version) coarse(z *zone, p orb.Polygon) orb.Polygon {
	size := max(z.bound.Max[0]-z.bound.Min[0], z.bound.Max[1]-z.bound.Min[1]) / 360
	limit := float32(size / 400)
	var out orb.Polygon
	for _, r := range z.lines {
		line := v.pts[r.first : r.last+1]
		if !p.Bound().Contains(line[0]) {
			continue
		}
		var c orb.Ring
		for i, q := range line {
			if v.weight[int(r.first)+i] >= limit {
				c = append(c, q)
			}
		}
		if len(c) > 0 && c[0] != c[len(c)-1] {
			c = append(c, c[0])
		}
		if len(c) >= 4 {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return p
	}
	return out
}

// cheapInside is a point inside p: its centroid where that is inside, else the
// middle of the widest stretch at the middle height.
func cheapInside(p orb.Polygon) orb.Point {
	c, _ := planar.CentroidArea(p)
	if planar.PolygonContains(p, c) {
		return c
	}
	return innermost(p, p)
}

// innermost finds the pole of inaccessibility of rough, the point farthest from
// its border, by dividing squares and following the most promising (the method
// of mapbox/polylabel); longitude is shortened to its length on the ground.
// What comes out lies in exact.
func innermost(rough, exact orb.Polygon) orb.Point {
	b := rough.Bound()
	k := math.Cos((b.Min[1] + b.Max[1]) / 2 * math.Pi / 180)
	flat := make(orb.Polygon, len(rough))
	for i, r := range rough {
		flat[i] = make(orb.Ring, len(r))
		for j, q := range r {
			flat[i][j] = orb.Point{q[0] * k, q[1]}
		}
	}
	fb := flat.Bound()
	w, h := fb.Max[0]-fb.Min[0], fb.Max[1]-fb.Min[1]
	precision := max(w, h) / 200
	half := min(w, h) / 2
	best := square{at: fb.Center()}
	best.depth = depth(flat, best.at)
	var queue squares
	add := func(at orb.Point, half float64) {
		s := square{at: at, half: half, depth: depth(flat, at)}
		s.bound = s.depth + half*math.Sqrt2
		if s.depth > best.depth {
			best = s
		}
		if s.bound > best.depth+precision {
			heap.Push(&queue, s)
		}
	}
	if c, _ := planar.CentroidArea(flat); !math.IsNaN(c[0]) {
		add(c, 0)
	}
	// A strip a thousand times as long as wide is halved along its length first.
	half = max(half, max(w, h)/64)
	for x := fb.Min[0] + half; x < fb.Max[0]+half; x += 2 * half {
		for y := fb.Min[1] + half; y < fb.Max[1]+half; y += 2 * half {
			add(orb.Point{x, y}, half)
		}
	}
	for n := 0; len(queue) > 0 && n < 2000; n++ {
		s := heap.Pop(&queue).(square)
		if s.bound <= best.depth+precision {
			break
		}
		q := s.half / 2
		for _, d := range [4][2]float64{{-q, -q}, {q, -q}, {-q, q}, {q, q}} {
			add(orb.Point{s.at[0] + d[0], s.at[1] + d[1]}, q)
		}
	}
	at := orb.Point{best.at[0] / k, best.at[1]}
	if planar.PolygonContains(exact, at) {
		return at
	}
	return inStretch(exact)
}

// inStretch is the middle of the widest stretch of p at its middle height.
func inStretch(p orb.Polygon) orb.Point {
	b := p.Bound()
	best, width := p[0][0], 0.0
	for _, f := range [...]float64{0.5, 0.37, 0.63, 0.21, 0.79} {
		y := b.Min[1] + f*(b.Max[1]-b.Min[1])
		var xs []float64
		for _, r := range p {
			for i := 1; i < len(r); i++ {
				s, e := r[i-1], r[i]
				if (s[1] <= y) != (e[1] <= y) {
					xs = append(xs, s[0]+(e[0]-s[0])*(y-s[1])/(e[1]-s[1]))
				}
			}
		}
		slices.Sort(xs)
		for i := 1; i < len(xs); i += 2 {
			if w := xs[i] - xs[i-1]; w > width {
				best, width = orb.Point{(xs[i] + xs[i-1]) / 2, y}, w
			}
		}
		if width > 0 {
			break
		}
	}
	return best
}

// depth is the distance from at to the border of p, negative outside.
func depth(p orb.Polygon, at orb.Point) float64 {
	in, d2 := false, math.Inf(1)
	for _, r := range p {
		for i := 1; i < len(r); i++ {
			a, b := r[i-1], r[i]
			if (a[1] <= at[1]) != (b[1] <= at[1]) &&
				at[0] < a[0]+(b[0]-a[0])*(at[1]-a[1])/(b[1]-a[1]) {
				in = !in
			}
			d2 = min(d2, distance2(a, b, at, 1, 1))
		}
	}
	if in {
		return math.Sqrt(d2)
	}
	return -math.Sqrt(d2)
}

type square struct {
	at                 orb.Point
	half, depth, bound float64
}

type squares []square

func (q squares) Len() int           { return len(q) }
func (q squares) Less(i, j int) bool { return q[i].bound > q[j].bound }
func (q squares) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *squares) Push(x any)        { *q = append(*q, x.(square)) }
func (q *squares) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}
