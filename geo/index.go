package geo

import (
	"math"

	"github.com/paulmach/orb"
)

// index answers which polygons of a version hold a point.
//
// A grid lies over the layer. Most cells lie wholly inside one zone or outside
// all, and the cell alone is the answer. A cell that borders pass through
// remembers, for each zone, whether its own south-west corner is inside and
// which edges touch the cell; the point's answer is the corner's, turned over
// once for each edge crossed on the way from the corner north along the cell's
// west side and then east to the point. That way never leaves the cell, so no
// other edge matters, and a lookup looks at a handful of edges however large
// the zone is.
//
// The way, the corners and the border rule of the package comment agree because
// every point is taken to lie a hair east and a much thinner hair north of
// where it is: nothing lies on an edge then. above and right spell that out.
type index struct {
	grid
	pts     []orb.Point
	cells   []uint32 // 0 outside; covered|zone; else a number into spans, plus 1
	spans   []uint32 // entries of mixed cell i: entries[spans[i]:spans[i+1]]
	entries []entry
	runs    []run
}

const covered = 1 << 31

// entry is one polygon in one mixed cell; a zone of several polygons may have
// several, one after the other.
type entry struct {
	zone   uint32
	inside bool // the cell's south-west corner
	lo, hi uint32
}

// run is a piece of a ring: the edges between pts[first] and pts[last].
type run struct{ first, last uint32 }

// part is one polygon of a zone: rings as ranges of the version's points.
type part struct {
	zone  uint32
	rings []run
}

// touch is what building an index collects: part touches cell with the edge
// that starts at point edge, or has the cell's corner inside.
type touch struct{ cell, part, edge uint32 }

const cornerInside = math.MaxUint32

const (
	cellsPerEdge = 8
	maxCells     = 8 << 20
	maxSide      = 8192
	// What building may collect before it takes a coarser grid.
	maxTouches     = 16 << 20
	touchesPerEdge = 16
)

// newIndex indexes parts, which are ordered by zone and hold closed rings.
func newIndex(pts []orb.Point, bound orb.Bound, parts []part) *index {
	edges := 0
	for _, p := range parts {
		for _, r := range p.rings {
			edges += int(r.last - r.first)
		}
	}
	want := math.Min(maxCells, math.Max(1024, cellsPerEdge*float64(edges)))
	for most := maxTouches + touchesPerEdge*edges; ; want /= 8 {
		ix := &index{grid: newGrid(bound, want, maxSide), pts: pts}
		// Edges that each span the whole layer would fill a fine grid many times
		// over: a coarser one holds them. One cell holds anything.
		if touches, ok := ix.touch(parts, most); ok {
			ix.fill(parts, touches)
			return ix
		}
	}
}

// touch collects what fill packs, and gives up at more than most.
func (ix *index) touch(parts []part, most int) (touches []touch, ok bool) {
	for n, p := range parts {
		touches = ix.corners(uint32(n), p, touches)
		for _, r := range p.rings {
			for e := r.first; e < r.last; e++ {
				ix.walk(ix.pts[e], ix.pts[e+1], func(cell uint32) {
					touches = append(touches, touch{cell, uint32(n), e})
				})
				if len(touches) > most {
					return nil, false
				}
			}
		}
	}
	return touches, true
}

// corners adds a touch for each cell whose south-west corner p holds, by casting
// a ray east from every corner of each grid row at once.
func (ix *index) corners(n uint32, p part, touches []touch) []touch {
	b := orb.MultiPoint(ix.pts[p.rings[0].first : p.rings[0].last+1]).Bound()
	i0, i1 := ix.col(b.Min[0]), ix.col(b.Max[0])
	j0, j1 := ix.row(b.Min[1]), ix.row(b.Max[1])
	w := i1 - i0 + 2
	// flips[j][k] turns over the corners i0..i0+k-1 of row j.
	flips := make([]bool, w*(j1-j0+1))
	for _, r := range p.rings {
		for e := r.first; e < r.last; e++ {
			lo, hi := ix.pts[e], ix.pts[e+1]
			if lo[1] > hi[1] {
				lo, hi = hi, lo
			}
			for j := ix.row(lo[1]); j <= j1; j++ {
				y := ix.ys[j]
				if y < lo[1] {
					continue
				}
				if y >= hi[1] {
					break
				}
				x := lo[0] + (hi[0]-lo[0])*(y-lo[1])/(hi[1]-lo[1])
				i := ix.col(x)
				for i > i0 && right(lo, hi, orb.Point{ix.xs[i], y}) {
					i--
				}
				for i <= i1 && !right(lo, hi, orb.Point{ix.xs[i], y}) {
					i++
				}
				// A hole's edges may lie outside the outer ring's columns.
				if k := min(max(i-i0, 0), w-1); j >= j0 {
					flips[(j-j0)*w+k] = !flips[(j-j0)*w+k]
				}
			}
		}
	}
	for j := j0; j <= j1; j++ {
		in := false
		for i := i1; i >= i0; i-- {
			in = in != flips[(j-j0)*w+i-i0+1]
			if in {
				touches = append(touches, touch{uint32(j*ix.nx + i), n, cornerInside})
			}
		}
	}
	return touches
}

// fill sorts the touches by cell and packs them. Within a cell they keep their
// order: by part, the corner before the edges, edges along the ring.
func (ix *index) fill(parts []part, touches []touch) {
	start := make([]uint32, ix.nx*ix.ny+1)
	for _, t := range touches {
		start[t.cell+1]++
	}
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	sorted := make([]touch, len(touches))
	next := append([]uint32(nil), start...)
	for _, t := range touches {
		sorted[next[t.cell]] = t
		next[t.cell]++
	}

	ix.cells = make([]uint32, ix.nx*ix.ny)
	for c := range ix.cells {
		ts := sorted[start[c]:start[c+1]]
		switch {
		case len(ts) == 0:
			continue
		case len(ts) == 1 && ts[0].edge == cornerInside:
			ix.cells[c] = covered | parts[ts[0].part].zone
			continue
		}
		ix.spans = append(ix.spans, uint32(len(ix.entries)))
		ix.cells[c] = uint32(len(ix.spans))
		for k := 0; k < len(ts); {
			e := entry{zone: parts[ts[k].part].zone, lo: uint32(len(ix.runs))}
			for n := ts[k].part; k < len(ts) && ts[k].part == n; k++ {
				edge := ts[k].edge
				if edge == cornerInside {
					e.inside = true
					continue
				}
				if l := len(ix.runs); l > int(e.lo) && ix.runs[l-1].last == edge {
					ix.runs[l-1].last++
				} else {
					ix.runs = append(ix.runs, run{edge, edge + 1})
				}
			}
			e.hi = uint32(len(ix.runs))
			ix.entries = append(ix.entries, e)
		}
	}
	ix.spans = append(ix.spans, uint32(len(ix.entries)))
	ix.entries = append([]entry(nil), ix.entries...)
	ix.runs = append([]run(nil), ix.runs...)
}

// find appends the zones that hold p to dst, and reports whether p lies exactly
// on a border of one.
func (ix *index) find(p orb.Point, dst []uint32) (zones []uint32, onBorder bool) {
	if !(p[0] >= ix.bound.Min[0] && p[0] <= ix.bound.Max[0] &&
		p[1] >= ix.bound.Min[1] && p[1] <= ix.bound.Max[1]) { // false for NaN too
		return dst, false
	}
	i, j := ix.col(p[0]), ix.row(p[1])
	c := ix.cells[j*ix.nx+i]
	switch {
	case c == 0:
		return dst, false
	case c&covered != 0:
		return append(dst, c&^covered), false
	}
	corner := orb.Point{ix.xs[i], ix.ys[j]}
	before := len(dst)
	for _, e := range ix.entries[ix.spans[c-1]:ix.spans[c]] {
		in := e.inside
		for _, r := range ix.runs[e.lo:e.hi] {
			odd, on := crossings(ix.pts[r.first:r.last+1], corner, p)
			in = in != odd
			onBorder = onBorder || on
		}
		if in && (len(dst) == before || dst[len(dst)-1] != e.zone) {
			dst = append(dst, e.zone)
		}
	}
	return dst, onBorder
}

// crossings follows the way from c north to p's height and east to p, and
// reports whether it crosses the edges of line an odd number of times, and
// whether p lies on one of them.
func crossings(line []orb.Point, c, p orb.Point) (odd, on bool) {
	up := orb.Point{c[0], p[1]}
	a := line[0]
	for _, b := range line[1:] {
		if (a[0] <= c[0]) != (b[0] <= c[0]) {
			l, r := a, b
			if l[0] > r[0] {
				l, r = r, l
			}
			if above(l, r, c) != above(l, r, up) {
				odd = !odd
			}
		}
		if (a[1] <= p[1]) != (b[1] <= p[1]) {
			lo, hi := a, b
			if lo[1] > hi[1] {
				lo, hi = hi, lo
			}
			if right(lo, hi, p) {
				if !right(lo, hi, up) {
					odd = !odd
				}
				if p[0] <= max(a[0], b[0]) && orient(lo, hi, p) == 0 {
					on = true
				}
			}
		} else if a[1] == p[1] || b[1] == p[1] {
			// A corner, or an edge that runs east-west.
			on = on || a == p || b == p ||
				a[1] == b[1] && (a[0] <= p[0]) != (b[0] <= p[0])
		}
		a = b
	}
	return odd, on
}

// above reports whether q, whose x lies between those of l and r, is above the
// edge from l east to r. On the edge, the hair east decides: above a falling
// edge, below a rising one; on a level one the hair north does.
func above(l, r, q orb.Point) bool {
	if q[1] > l[1] && q[1] > r[1] {
		return true
	}
	if q[1] < l[1] && q[1] < r[1] {
		return false
	}
	if o := orient(l, r, q); o != 0 {
		return o > 0
	}
	return r[1] <= l[1]
}

// right reports whether q, whose y lies between those of lo and hi, is right of
// the edge from lo up to hi. On the edge, the hair east makes it so.
func right(lo, hi, q orb.Point) bool {
	if q[0] >= lo[0] && q[0] >= hi[0] {
		return true
	}
	if q[0] < lo[0] && q[0] < hi[0] {
		return false
	}
	return orient(lo, hi, q) <= 0
}
