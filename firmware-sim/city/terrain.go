package city

import (
	"math"
	"math/rand/v2"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
)

// terrain answers what the generator knows about the ground.
type terrain struct {
	plane plane
	lows  []low
	dyke  []orb.Point // the river's centreline in metres
	bank  float64     // half the river's width
	reach []float64   // length of each street, metres
	wards []orb.Bound // of each ward
}

// low is a hollow: a Gaussian dent of depth metres and radius sigma.
type low struct {
	at           orb.Point
	depth, sigma float64
}

// plane maps degrees to metres east and north of a centre. Over a dozen
// kilometres the error of the flat map is under a centimetre per hundred metres.
type plane struct {
	centre orb.Point
	kx, ky float64
}

func newPlane(centre orb.Point) plane {
	lat := centre[1] * math.Pi / 180
	return plane{
		centre: centre,
		// Length of a degree on the WGS 84 ellipsoid at lat.
		kx: 111412.84*math.Cos(lat) - 93.5*math.Cos(3*lat) + 0.118*math.Cos(5*lat),
		ky: 111132.92 - 559.82*math.Cos(2*lat) + 1.175*math.Cos(4*lat),
	}
}

// degrees rounds to 1e-7 degree, a centimetre, so that two shapes that share a
// corner in metres share it to the bit in degrees.
func (p plane) degrees(m orb.Point) orb.Point {
	return orb.Point{
		math.Round((p.centre[0]+m[0]/p.kx)*1e7) / 1e7,
		math.Round((p.centre[1]+m[1]/p.ky)*1e7) / 1e7,
	}
}

func (p plane) metres(d orb.Point) orb.Point {
	return orb.Point{(d[0] - p.centre[0]) * p.kx, (d[1] - p.centre[1]) * p.ky}
}

func (t *terrain) elevation(d orb.Point) float64 {
	m := t.plane.metres(d)
	// The land falls gently to the south-east, towards the sea.
	h := 2.8 - 0.00006*(m[0]-m[1])
	for _, l := range t.lows {
		dx, dy := m[0]-l.at[0], m[1]-l.at[1]
		h -= l.depth * math.Exp(-(dx*dx+dy*dy)/(2*l.sigma*l.sigma))
	}
	if len(t.dyke) > 1 {
		d := distance(t.dyke, m)
		switch {
		case d < t.bank: // bed and foreshore
			h = -3 + 3*d/t.bank
		case d < t.bank+60: // dyke
			h += 2.4 * (1 - (d-t.bank)/60)
		}
	}
	return h
}

func (t *terrain) wardAt(c *City, p orb.Point) *Ward {
	for i := range c.Wards {
		if t.wards[i].Contains(p) && planar.PolygonContains(c.Wards[i].Shape, p) {
			return &c.Wards[i]
		}
	}
	return nil
}

func (t *terrain) streetPoint(c *City, rng *rand.Rand, classes []Class) (orb.Point, *Street) {
	wanted := func(s *Street) bool {
		if s.Bridge {
			return false
		}
		for _, k := range classes {
			if s.Class == k {
				return true
			}
		}
		return len(classes) == 0
	}
	total := 0.0
	for i := range c.Streets {
		if wanted(&c.Streets[i]) {
			total += t.reach[i]
		}
	}
	if total == 0 {
		return c.Centre, nil
	}
	// Streets lead out of the city; most of them lie in it.
	for range 100 {
		p, s := t.draw(c, rng, wanted, rng.Float64()*total)
		if t.wardAt(c, p) != nil {
			return p, s
		}
	}
	return c.Centre, nil
}

func (t *terrain) draw(c *City, rng *rand.Rand, wanted func(*Street) bool, at float64) (orb.Point, *Street) {
	for i := range c.Streets {
		s := &c.Streets[i]
		if !wanted(s) {
			continue
		}
		if at > t.reach[i] {
			at -= t.reach[i]
			continue
		}
		line := make([]orb.Point, len(s.Line))
		for j, p := range s.Line {
			line[j] = t.plane.metres(p)
		}
		m, dir := walk(line, at)
		side := s.Width/2 + 1
		if rng.Uint32()&1 == 0 {
			side = -side
		}
		return t.plane.degrees(orb.Point{m[0] - dir[1]*side, m[1] + dir[0]*side}), s
	}
	return c.Centre, nil
}

// walk gives the place d metres along line and the unit direction there.
func walk(line []orb.Point, d float64) (at, dir orb.Point) {
	for i := 1; i < len(line); i++ {
		a, b := line[i-1], line[i]
		n := math.Hypot(b[0]-a[0], b[1]-a[1])
		if n == 0 {
			continue
		}
		dir = orb.Point{(b[0] - a[0]) / n, (b[1] - a[1]) / n}
		if d <= n {
			return orb.Point{a[0] + dir[0]*d, a[1] + dir[1]*d}, dir
		}
		d -= n
	}
	return line[len(line)-1], dir
}

// along gives the place at chainage at on line, whose vertices lie at ch.
func along(line orb.LineString, ch []float64, at float64) orb.Point {
	if len(line) == 0 {
		return orb.Point{}
	}
	for i := 1; i < len(line); i++ {
		if at <= ch[i] {
			f := (at - ch[i-1]) / (ch[i] - ch[i-1])
			f = math.Max(0, math.Min(1, f))
			a, b := line[i-1], line[i]
			return orb.Point{a[0] + (b[0]-a[0])*f, a[1] + (b[1]-a[1])*f}
		}
	}
	return line[len(line)-1]
}

// distance is the least distance from p to line, in the line's own unit.
func distance(line []orb.Point, p orb.Point) float64 {
	best := math.Inf(1)
	for i := 1; i < len(line); i++ {
		best = math.Min(best, planar.DistanceFromSegmentSquared(line[i-1], line[i], p))
	}
	return math.Sqrt(best)
}
