package city

import (
	"math"
	"slices"

	"github.com/paulmach/orb"
)

// raster remembers what covers the land, in squares of side cell.
type raster struct {
	n     int
	cells []uint8
}

const cell = 3.0

// What can cover a square.
const (
	water uint8 = 1 << iota
	street
	building
	green
	canal // with water: a course that streets may cross on small bridges
	border
)

func newRaster() *raster {
	n := int(math.Ceil(2 * half / cell))
	return &raster{n: n, cells: make([]uint8, n*n)}
}

func (r *raster) index(p orb.Point) (int, bool) {
	i, j := int(math.Floor((p[0]+half)/cell)), int(math.Floor((p[1]+half)/cell))
	return j*r.n + i, i >= 0 && j >= 0 && i < r.n && j < r.n
}

func (r *raster) has(p orb.Point, what uint8) bool {
	i, ok := r.index(p)
	return ok && r.cells[i]&what != 0
}

// disc covers all squares whose middle is within radius of p.
func (r *raster) disc(p orb.Point, radius float64, what uint8) {
	k := int(radius/cell) + 1
	i0, j0 := int(math.Floor((p[0]+half)/cell)), int(math.Floor((p[1]+half)/cell))
	for j := max(0, j0-k); j <= min(r.n-1, j0+k); j++ {
		for i := max(0, i0-k); i <= min(r.n-1, i0+k); i++ {
			x, y := (float64(i)+0.5)*cell-half, (float64(j)+0.5)*cell-half
			if (x-p[0])*(x-p[0])+(y-p[1])*(y-p[1]) <= radius*radius {
				r.cells[j*r.n+i] |= what
			}
		}
	}
}

// band covers what lies within width/2 of line.
func (r *raster) band(line []orb.Point, width float64, what uint8) {
	for _, p := range resample(line, math.Max(cell/2, width/4)) {
		r.disc(p, width/2, what)
	}
}

// fill covers what lies inside ring.
func (r *raster) fill(ring []orb.Point, what uint8) {
	b := orb.MultiPoint(ring).Bound()
	j0, j1 := int((b.Min[1]+half)/cell), int((b.Max[1]+half)/cell)
	var xs []float64
	for j := max(0, j0); j <= min(r.n-1, j1); j++ {
		y := (float64(j)+0.5)*cell - half
		xs = xs[:0]
		for i := range ring {
			p, q := ring[i], ring[(i+1)%len(ring)]
			if (p[1] <= y) != (q[1] <= y) {
				xs = append(xs, p[0]+(q[0]-p[0])*(y-p[1])/(q[1]-p[1]))
			}
		}
		slices.Sort(xs)
		for k := 0; k+1 < len(xs); k += 2 {
			i0 := int(math.Ceil((xs[k]+half)/cell - 0.5))
			i1 := int(math.Floor((xs[k+1]+half)/cell - 0.5))
			for i := max(0, i0); i <= min(r.n-1, i1); i++ {
				r.cells[j*r.n+i] |= what
			}
		}
	}
}

// free reports whether a rectangle (four corners in order) touches nothing of
// what and lies on the land.
func (r *raster) free(quad [4]orb.Point, what uint8) bool {
	u := orb.Point{quad[1][0] - quad[0][0], quad[1][1] - quad[0][1]}
	v := orb.Point{quad[3][0] - quad[0][0], quad[3][1] - quad[0][1]}
	nu := max(1, int(math.Ceil(math.Hypot(u[0], u[1])/2)))
	nv := max(1, int(math.Ceil(math.Hypot(v[0], v[1])/2)))
	for i := 0; i <= nu; i++ {
		for j := 0; j <= nv; j++ {
			s, t := float64(i)/float64(nu), float64(j)/float64(nv)
			k, ok := r.index(orb.Point{quad[0][0] + u[0]*s + v[0]*t, quad[0][1] + u[1]*s + v[1]*t})
			if !ok || r.cells[k]&what != 0 {
				return false
			}
		}
	}
	return true
}
