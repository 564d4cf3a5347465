package geo

import (
	"math"

	"github.com/paulmach/orb"
)

// near answers which line or point of a version is nearest to a place, within a
// distance. Its grid's cells are at least that distance wide where there are
// items enough to fill them, so a lookup looks at about nine.
type near struct {
	grid
	pts    []orb.Point
	within float64
	start  []uint32 // items of cell c: items[start[c]:start[c+1]]
	items  []item
}

// item is the segment from pts[from] to pts[to], or a point when they are one.
type item struct{ from, to, zone uint32 }

// newNear indexes items; zones are numbered in the order that decides a draw.
func newNear(pts []orb.Point, bound orb.Bound, items []item, within float64) *near {
	kx, ky := metresPerDegree((bound.Min[1] + bound.Max[1]) / 2)
	w, h := (bound.Max[0]-bound.Min[0])*kx, (bound.Max[1]-bound.Min[1])*ky
	want := 4 * float64(len(items))
	if within > 0 {
		want = math.Min(want, (w/within+1)*(h/within+1))
	}
	n := &near{pts: pts, within: within}
	for want = math.Min(maxCells, math.Max(1, want)); ; want /= 8 {
		n.grid = newGrid(bound, want, maxSide)
		n.start = make([]uint32, n.nx*n.ny+1)
		total := 0
		for _, it := range items {
			n.walk(pts[it.from], pts[it.to], func(c uint32) { n.start[c+1]++; total++ })
		}
		// As with polygons, long lines get a coarser grid.
		if total <= maxTouches+touchesPerEdge*len(items) {
			break
		}
	}
	for i := 1; i < len(n.start); i++ {
		n.start[i] += n.start[i-1]
	}
	n.items = make([]item, n.start[len(n.start)-1])
	next := append([]uint32(nil), n.start...)
	for _, it := range items {
		n.walk(pts[it.from], pts[it.to], func(c uint32) {
			n.items[next[c]] = it
			next[c]++
		})
	}
	return n
}

// find gives the zone nearest to p within the distance; of two equally near the
// first of the file.
func (n *near) find(p orb.Point) (zone uint32, ok bool) {
	if !(p[1] >= -90 && p[1] <= 90) { // false for NaN too
		return 0, false
	}
	kx, ky := metresPerDegree(p[1])
	dx, dy := n.within/math.Max(kx, 1), n.within/ky
	if !(p[0]+dx >= n.bound.Min[0] && p[0]-dx <= n.bound.Max[0] &&
		p[1]+dy >= n.bound.Min[1] && p[1]-dy <= n.bound.Max[1]) {
		return 0, false
	}
	best := n.within * n.within
	i0, i1 := n.col(p[0]-dx), n.col(p[0]+dx)
	for j, j1 := n.row(p[1]-dy), n.row(p[1]+dy); j <= j1; j++ {
		for i := i0; i <= i1; i++ {
			c := j*n.nx + i
			for _, it := range n.items[n.start[c]:n.start[c+1]] {
				d := distance2(n.pts[it.from], n.pts[it.to], p, kx, ky)
				if d < best || d == best && (!ok || it.zone < zone) {
					best, zone, ok = d, it.zone, true
				}
			}
		}
	}
	return zone, ok
}

// distance2 is the squared distance in metres from p to the segment, on the
// plane that touches the ellipsoid at p.
func distance2(a, b, p orb.Point, kx, ky float64) float64 {
	ax, ay := (a[0]-p[0])*kx, (a[1]-p[1])*ky
	bx, by := (b[0]-p[0])*kx, (b[1]-p[1])*ky
	dx, dy := bx-ax, by-ay
	if l := dx*dx + dy*dy; l > 0 {
		t := math.Min(1, math.Max(0, -(ax*dx+ay*dy)/l))
		ax, ay = ax+t*dx, ay+t*dy
	}
	return ax*ax + ay*ay
}

// metresPerDegree is the length of a degree of longitude and of latitude on the
// WGS 84 ellipsoid: the radii of curvature in the prime vertical and in the
// meridian (NIMA TR8350.2).
func metresPerDegree(lat float64) (kx, ky float64) {
	const (
		a  = 6378137.0
		e2 = 0.00669437999014
	)
	sin, cos := math.Sincos(lat * math.Pi / 180)
	w2 := 1 - e2*sin*sin
	w := math.Sqrt(w2)
	return a * cos / w * math.Pi / 180, a * (1 - e2) / (w2 * w) * math.Pi / 180
}
