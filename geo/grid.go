package geo

import (
	"math"

	"github.com/paulmach/orb"
)

// grid cuts a bound into nx by ny cells. Cell (i, j) is the half-open box from
// (xs[i], ys[j]) to (xs[i+1], ys[j+1]), compared with those very numbers, so a
// point has one cell whatever the division that guessed it rounded to.
type grid struct {
	bound  orb.Bound
	nx, ny int
	xs, ys []float64
	sx, sy float64 // cells per degree
	slack  float64
}

// newGrid makes about want cells, square on the ground, at most side a side.
func newGrid(b orb.Bound, want float64, side int) grid {
	w := (b.Max[0] - b.Min[0]) * math.Cos((b.Min[1]+b.Max[1])/2*math.Pi/180)
	h := b.Max[1] - b.Min[1]
	nx, ny := 1, 1
	switch {
	case w > 0 && h > 0:
		nx = int(math.Sqrt(want * w / h))
		ny = int(math.Sqrt(want * h / w))
	case w > 0:
		nx = int(want)
	case h > 0:
		ny = int(want)
	}
	g := grid{bound: b, nx: min(max(nx, 1), side), ny: min(max(ny, 1), side)}
	g.xs, g.sx = cuts(b.Min[0], b.Max[0], g.nx)
	g.ys, g.sy = cuts(b.Min[1], b.Max[1], g.ny)
	g.slack = 1e-11 + 1e-9*(b.Max[0]-b.Min[0])/float64(g.nx)
	return g
}

func cuts(lo, hi float64, n int) (at []float64, scale float64) {
	at = make([]float64, n+1)
	for i := range at {
		at[i] = lo + (hi-lo)*float64(i)/float64(n)
	}
	at[n] = hi
	if hi > lo {
		scale = float64(n) / (hi - lo)
	}
	return at, scale
}

// cell of a coordinate, held to the grid.
func (g *grid) col(x float64) int { return locate(g.xs, g.sx, x) }
func (g *grid) row(y float64) int { return locate(g.ys, g.sy, y) }

func locate(at []float64, scale, v float64) int {
	n := len(at) - 1
	i := int((v - at[0]) * scale)
	i = min(max(i, 0), n-1)
	for i > 0 && v < at[i] {
		i--
	}
	for i < n-1 && v >= at[i+1] {
		i++
	}
	return i
}

// walk visits every cell the segment touches, and perhaps a neighbour more.
func (g *grid) walk(a, b orb.Point, visit func(cell uint32)) {
	if a[1] > b[1] {
		a, b = b, a
	}
	left, right := math.Min(a[0], b[0]), math.Max(a[0], b[0])
	for j, last := g.row(a[1]), g.row(b[1]); j <= last; j++ {
		x0, x1 := left, right
		if h := b[1] - a[1]; h > 0 {
			t0 := math.Max(0, (g.ys[j]-a[1])/h)
			t1 := math.Min(1, (g.ys[j+1]-a[1])/h)
			x0 = a[0] + (b[0]-a[0])*t0
			x1 = a[0] + (b[0]-a[0])*t1
			if x0 > x1 {
				x0, x1 = x1, x0
			}
			x0 = math.Max(left, x0-g.slack)
			x1 = math.Min(right, x1+g.slack)
		}
		for i, end := g.col(x0), g.col(x1); i <= end; i++ {
			visit(uint32(j*g.nx + i))
		}
	}
}
