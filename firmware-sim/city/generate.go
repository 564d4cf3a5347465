package city

import (
	"math"
	"math/rand/v2"

	"github.com/paulmach/orb"
)

// Generate makes the city of a seed. It works in metres on a plane about the
// centre and turns the result into degrees at the end.
//
// The order is that of a delta town's own history: the river and its branches,
// the lakes it left behind, the old town in the bend and the villages, the dykes
// and highways, the streets between them, then houses wherever a street passes
// and nothing else stands.
func Generate(seed uint64, o Options) *City {
	if o.Centre == (orb.Point{}) {
		o.Centre = orb.Point{106.168, 20.434}
	}
	if o.MaxBuildings <= 0 {
		o.MaxBuildings = 80000
	}
	b := &builder{
		seed: seed, opts: o,
		city: &City{Seed: seed, Name: "Thành phố Vọng Lâu (mô phỏng)", Centre: o.Centre},
		land: newRaster(),
	}
	b.city.ground.plane = newPlane(o.Centre)
	b.layWater()
	b.settle()
	b.orient()
	b.layStreets()
	b.layParks()
	b.divide()
	b.build()
	b.layFields()
	b.findBasins()
	b.runBuses()
	b.placeGateways()
	b.finish()
	return b.city
}

// half is how far the made land reaches from the centre on each side, metres.
const half = 6600

// builder carries the city while it is made. Everything in it is in metres.
type builder struct {
	seed uint64
	opts Options
	city *City
	land *raster

	river  []orb.Point
	width  float64
	canals [][]orb.Point
	lakes  []blob
	ponds  []blob
	cores  []core
	field  *field
	ways   []*way
	near   [2]*samples // of each family of directions

	bridges int // named so far, over the river
}

// core is a centre that settlement thins out from.
type core struct {
	at     orb.Point
	weight float64
	radius float64
}

// rng gives each stage its own stream, so that changing how one stage draws
// leaves the others as they were.
func (b *builder) rng(stage uint64) *rand.Rand {
	return rand.New(rand.NewPCG(b.seed, 0x566f6e676c6175<<8|stage))
}

const (
	stageWater = iota + 1
	stageSettle
	stageField
	stageStreets
	stageParks
	stageWards
	stageBuildings
	stageFields
	stageBasins
	stageNames
	stageBuses
	stageSites
)

// settle places the old town in the river's bend, the new quarters and the
// villages.
func (b *builder) settle() {
	r := b.rng(stageSettle)
	b.cores = []core{
		{orb.Point{-250, 150}, 1, 2100},
		{orb.Point{3850, -1300}, 0.8, 1150},
		{orb.Point{-3300, 2900}, 0.72, 950},
		{orb.Point{-1900, -2600}, 0.7, 900},
		{orb.Point{3600, 2500}, 0.62, 800},
	}
	for tries := 0; len(b.cores) < 34 && tries < 4000; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * half * 0.97, (r.Float64()*2 - 1) * half * 0.97}
		if b.land.has(p, water) || b.urban(p) > 0.12 {
			continue
		}
		b.cores = append(b.cores, core{p, 0.42 + r.Float64()*0.2, 210 + r.Float64()*210})
	}
}

// urban is how built-up a place is: about 1 in the old town, 0 in the fields.
func (b *builder) urban(p orb.Point) float64 {
	u := 0.0
	for _, c := range b.cores {
		dx, dy := (p[0]-c.at[0])/c.radius, (p[1]-c.at[1])/c.radius
		u = max(u, c.weight*math.Exp(-(dx*dx+dy*dy)))
	}
	if u < 0.02 {
		return u
	}
	return u * (0.86 + 0.28*b.noise(p, 420, 1))
}

// noise is smooth noise in 0..1 with features of about size metres.
func (b *builder) noise(p orb.Point, size float64, salt uint64) float64 {
	x, y := p[0]/size, p[1]/size
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := smooth(x-x0), smooth(y-y0)
	at := func(i, j float64) float64 {
		h := b.seed ^ salt*0x9e3779b97f4a7c15
		h = (h ^ uint64(int64(i))*0xbf58476d1ce4e5b9) * 0x94d049bb133111eb
		h = (h ^ h>>31 ^ uint64(int64(j))*0xd6e8feb86659fd93) * 0xff51afd7ed558ccd
		h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
		return float64((h^h>>29)>>11) / (1 << 53)
	}
	top := at(x0, y0) + (at(x0+1, y0)-at(x0, y0))*fx
	bottom := at(x0, y0+1) + (at(x0+1, y0+1)-at(x0, y0+1))*fx
	return top + (bottom-top)*fy
}

func smooth(t float64) float64 { return t * t * (3 - 2*t) }

// finish numbers what was made and fixes what later questions need.
func (b *builder) finish() {
	c := b.city
	c.ground.dyke, c.ground.bank = b.river, b.width/2
	for _, s := range c.Streets {
		n := 0.0
		for i := 1; i < len(s.Line); i++ {
			n += dist(c.ground.plane.metres(s.Line[i-1]), c.ground.plane.metres(s.Line[i]))
		}
		c.ground.reach = append(c.ground.reach, n)
	}
	c.Bound = c.ground.wards[0]
	for _, w := range c.ground.wards {
		c.Bound = c.Bound.Union(w)
	}
}

func (b *builder) degrees(pts []orb.Point) []orb.Point {
	out := make([]orb.Point, 0, len(pts))
	for _, p := range pts {
		d := b.city.ground.plane.degrees(p)
		if len(out) == 0 || out[len(out)-1] != d {
			out = append(out, d)
		}
	}
	return out
}

// polygon closes the ring, turns it counter-clockwise and gives it in degrees.
func (b *builder) polygon(ring []orb.Point) orb.Polygon {
	r := orb.Ring(b.degrees(ring))
	if r[0] != r[len(r)-1] {
		r = append(r, r[0])
	}
	if r.Orientation() == orb.CW {
		r.Reverse()
	}
	return orb.Polygon{r}
}

func dist(a, b orb.Point) float64 { return math.Hypot(b[0]-a[0], b[1]-a[1]) }

func lerp(a, b, t float64) float64 { return a + (b-a)*math.Max(0, math.Min(1, t)) }

func inside(p orb.Point) bool { return math.Abs(p[0]) < half && math.Abs(p[1]) < half }

// spline runs smoothly through pts (Catmull-Rom), with a point every step metres.
func spline(pts []orb.Point, step float64) []orb.Point {
	at := func(i int) orb.Point {
		if i < 0 { // mirrored ends keep their direction
			return orb.Point{2*pts[0][0] - pts[1][0], 2*pts[0][1] - pts[1][1]}
		}
		if n := len(pts); i >= n {
			return orb.Point{2*pts[n-1][0] - pts[n-2][0], 2*pts[n-1][1] - pts[n-2][1]}
		}
		return pts[i]
	}
	var out []orb.Point
	for i := 0; i+1 < len(pts); i++ {
		p0, p1, p2, p3 := at(i-1), at(i), at(i+1), at(i+2)
		n := max(1, int(dist(p1, p2)/step))
		for k := range n {
			t := float64(k) / float64(n)
			var q orb.Point
			for d := range q {
				q[d] = 0.5 * (2*p1[d] + (p2[d]-p0[d])*t + (2*p0[d]-5*p1[d]+4*p2[d]-p3[d])*t*t +
					(3*p1[d]-p0[d]-3*p2[d]+p3[d])*t*t*t)
			}
			out = append(out, q)
		}
	}
	return append(out, pts[len(pts)-1])
}

// resample gives points every step metres along line.
func resample(line []orb.Point, step float64) []orb.Point {
	out := []orb.Point{line[0]}
	left := step
	for i := 1; i < len(line); i++ {
		a, b := line[i-1], line[i]
		n := dist(a, b)
		for left <= n {
			f := left / n
			out = append(out, orb.Point{a[0] + (b[0]-a[0])*f, a[1] + (b[1]-a[1])*f})
			left += step
		}
		left -= n
	}
	if dist(out[len(out)-1], line[len(line)-1]) > step/3 {
		out = append(out, line[len(line)-1])
	}
	return out
}

// offset moves line sideways, positive to the left of its direction.
func offset(line []orb.Point, by func(i int) float64) []orb.Point {
	out := make([]orb.Point, len(line))
	for i := range line {
		d := direction(line, i)
		out[i] = orb.Point{line[i][0] - d[1]*by(i), line[i][1] + d[0]*by(i)}
	}
	return out
}

func direction(line []orb.Point, i int) orb.Point {
	a, b := line[max(0, i-1)], line[min(len(line)-1, i+1)]
	n := dist(a, b)
	if n == 0 {
		return orb.Point{1, 0}
	}
	return orb.Point{(b[0] - a[0]) / n, (b[1] - a[1]) / n}
}

func length(line []orb.Point) float64 {
	n := 0.0
	for i := 1; i < len(line); i++ {
		n += dist(line[i-1], line[i])
	}
	return n
}
