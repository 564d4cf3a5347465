package city

import (
	"math"

	"github.com/paulmach/orb"
)

// field gives the direction streets take at every place, as others have done
// for drawn cities (Chen et al., Interactive Procedural Street Modeling, 2008):
// directions without sense are added as (cos 2a, sin 2a), each cause with a
// weight that fades with distance. Streets run along or across it.
type field struct {
	n    int
	step float64
	at   []orb.Point // cos 2a, sin 2a, on a lattice
}

// orient makes the field: the old town's own grid, the grids of the newer
// quarters, water that streets follow, and rings about the centre.
func (b *builder) orient() {
	r := b.rng(stageField)
	const step = 60.0
	n := int(2*half/step) + 2
	f := &field{n: n, step: step, at: make([]orb.Point, n*n)}
	type grid struct {
		at     orb.Point
		angle  float64
		radius float64
		weight float64
	}
	grids := []grid{
		{orb.Point{0, 0}, -0.22 + r.Float64()*0.1, 1700, 1},
		{orb.Point{3900, -1300}, 0.35 + r.Float64()*0.2, 1500, 0.9},
		{orb.Point{-3300, 2900}, 0.12 + r.Float64()*0.2, 1600, 0.9},
		{orb.Point{-1900, -2600}, -0.5 + r.Float64()*0.2, 1300, 0.9},
		{orb.Point{3600, 2700}, 0.62 + r.Float64()*0.2, 1400, 0.8},
	}
	rough := -0.12 + r.Float64()*0.1
	for j := range n {
		for i := range n {
			p := orb.Point{float64(i)*step - half, float64(j)*step - half}
			var t orb.Point
			add := func(angle, weight float64) {
				t[0] += weight * math.Cos(2*angle)
				t[1] += weight * math.Sin(2*angle)
			}
			add(rough+(b.noise(p, 1500, 3)-0.5)*1.3, 0.35)
			for _, g := range grids {
				d := dist(p, g.at) / g.radius
				add(g.angle+(b.noise(p, 620, 4)-0.5)*0.55, g.weight*math.Exp(-d*d))
			}
			add(math.Atan2(p[1], p[0]), 0.5*math.Exp(-math.Pow((dist(p, orb.Point{})-3300)/1200, 2)))
			follow := func(line []orb.Point, reach, weight float64) {
				best, k := math.Inf(1), 0
				for m := 0; m < len(line); m += 3 {
					if d := dist(p, line[m]); d < best {
						best, k = d, m
					}
				}
				if best < 3*reach {
					d := direction(line, k)
					add(math.Atan2(d[1], d[0]), weight*math.Exp(-best*best/(reach*reach)))
				}
			}
			follow(b.river, 650, 2.2)
			for _, c := range b.canals {
				follow(c, 200, 0.9)
			}
			f.at[j*n+i] = t
		}
	}
	b.field = f
}

// angle is the field's direction at p.
func (f *field) angle(p orb.Point) float64 {
	x, y := (p[0]+half)/f.step, (p[1]+half)/f.step
	x, y = math.Max(0, math.Min(x, float64(f.n)-1.001)), math.Max(0, math.Min(y, float64(f.n)-1.001))
	i, j := int(x), int(y)
	fx, fy := x-float64(i), y-float64(j)
	var t orb.Point
	for d := range t {
		a := f.at[j*f.n+i][d]*(1-fx) + f.at[j*f.n+i+1][d]*fx
		c := f.at[(j+1)*f.n+i][d]*(1-fx) + f.at[(j+1)*f.n+i+1][d]*fx
		t[d] = a*(1-fy) + c*fy
	}
	return math.Atan2(t[1], t[0]) / 2
}

// heading is the unit vector of a family (0 along, 1 across) at p, in the sense
// nearer to before.
func (f *field) heading(p orb.Point, family int, before orb.Point) orb.Point {
	sin, cos := math.Sincos(f.angle(p) + float64(family)*math.Pi/2)
	if cos*before[0]+sin*before[1] < 0 {
		return orb.Point{-cos, -sin}
	}
	return orb.Point{cos, sin}
}
