package city

import (
	"math"
	"math/rand/v2"

	"github.com/paulmach/orb"
)

// blob is a closed shape about a middle: a lake, a pond, a basin.
type blob struct {
	at   orb.Point
	name string
	ring []orb.Point
}

// newBlob draws an oval with a wandering shore.
func newBlob(r *rand.Rand, at orb.Point, long, wide, turn, rough float64) blob {
	var phase, amp [5]float64
	for k := range phase {
		phase[k], amp[k] = r.Float64()*2*math.Pi, rough*r.Float64()/float64(k+2)
	}
	n := int(math.Max(14, math.Min(64, math.Pi*(long+wide)/18)))
	b := blob{at: at}
	sin, cos := math.Sincos(turn)
	for i := range n {
		a := 2 * math.Pi * float64(i) / float64(n)
		s := 1.0
		for k := range phase {
			s += amp[k] * math.Sin(float64(k+2)*a+phase[k])
		}
		x, y := long*s*math.Cos(a), wide*s*math.Sin(a)
		b.ring = append(b.ring, orb.Point{at[0] + x*cos - y*sin, at[1] + x*sin + y*cos})
	}
	return b
}

// layWater draws Sông Vọng with its bends, the canals that leave it, lakes and
// ponds.
func (b *builder) layWater() {
	r := b.rng(stageWater)
	jitter := func(d float64) float64 { return (r.Float64()*2 - 1) * d }
	through := []orb.Point{
		{-1500, 8200}, {-300, 6900}, {1500, 5900}, {2350, 4500}, {1650, 3050}, {1500, 1700},
		{2350, 500}, {2500, -900}, {1500, -2150}, {-150, -2900}, {-1000, -4150}, {-250, -5500}, {900, -6500}, {1100, -8200},
	}
	for i := range through {
		through[i] = orb.Point{through[i][0] + jitter(170), through[i][1] + jitter(130)}
	}
	b.river, b.width = resample(spline(through, 20), 30), 190
	half := func(i int) float64 {
		return b.width / 2 * (0.84 + 0.36*b.noise(b.river[i], 900, 2))
	}
	left := offset(b.river, half)
	right := offset(b.river, func(i int) float64 { return -half(i) })
	bank := append([]orb.Point(nil), left...)
	for i := len(right) - 1; i >= 0; i-- {
		bank = append(bank, right[i])
	}
	b.land.fill(bank, water)
	c := b.city
	c.River = b.reach("Sông Vọng", b.river, b.width)
	c.Water = append(c.Water, Area{"Sông Vọng", "river", b.polygon(bank)})

	at := func(p orb.Point) orb.Point { // the river's nearest point, where a canal leaves it
		best := b.river[0]
		for _, q := range b.river {
			if dist(p, q) < dist(p, best) {
				best = q
			}
		}
		return best
	}
	for _, k := range []struct {
		name  string
		width float64
		pts   []orb.Point
	}{
		{"Kênh Cửa Bắc", 30, []orb.Point{at(orb.Point{1600, 2300}), {700, 2150}, {-650, 1900}, {-1900, 1500}, {-2700, 650}, {-3900, 250}, {-5400, 700}, {-8000, 250}}},
		{"Kênh Đồng Sậy", 24, []orb.Point{at(orb.Point{-800, -3700}), {-2300, -3950}, {-3700, -3300}, {-5000, -3650}, {-8000, -3100}}},
		{"Kênh Bãi Ngô", 22, []orb.Point{at(orb.Point{2500, -300}), {3300, -250}, {4500, 350}, {5600, 150}, {8000, 700}}},
		{"Kênh Làng Gạo", 18, []orb.Point{at(orb.Point{2250, 4700}), {3300, 4500}, {4400, 3900}, {5700, 4100}, {8000, 3500}}},
		{"Kênh Vọng Tây", 18, []orb.Point{{-2720, 640}, {-2950, -500}, {-2750, -1700}, {-3300, -2650}, {-3700, -3300}}},
	} {
		for i := 1; i < len(k.pts); i++ {
			k.pts[i] = orb.Point{k.pts[i][0] + jitter(110), k.pts[i][1] + jitter(110)}
		}
		if k.name == "Kênh Vọng Tây" { // between two others
			k.pts[0] = nearest(b.canals[0], k.pts[0])
			k.pts[len(k.pts)-1] = nearest(b.canals[1], k.pts[len(k.pts)-1])
		}
		line := resample(spline(k.pts, 15), 20)
		b.canals = append(b.canals, line)
		b.land.band(line, k.width, water|canal)
		ring := offset(line, func(int) float64 { return k.width / 2 })
		for i, back := len(line)-1, offset(line, func(int) float64 { return -k.width / 2 }); i >= 0; i-- {
			ring = append(ring, back[i])
		}
		c.Canals = append(c.Canals, b.reach(k.name, line, k.width))
		c.Water = append(c.Water, Area{k.name, "canal", b.polygon(ring)})
	}

	for _, k := range []struct {
		name             string
		at               orb.Point
		long, wide, turn float64
	}{
		{"Hồ Vọng Nguyệt", orb.Point{-900, 600}, 300, 190, 0.5},
		{"Hồ Sen Trắng", orb.Point{250, -1150}, 210, 150, 2.4},
		{"Hồ Thủy Lâu", orb.Point{-1900, -700}, 240, 130, 1.2},
		{"Hồ Trăng Khuyết", orb.Point{3900, -2150}, 330, 150, 0.2},
		{"Hồ Gió Nồm", orb.Point{-3300, 3850}, 280, 170, 2.9},
	} {
		p := orb.Point{k.at[0] + jitter(160), k.at[1] + jitter(160)}
		l := newBlob(r, p, k.long, k.wide, k.turn+jitter(0.4), 0.34)
		l.name = k.name
		b.lakes = append(b.lakes, l)
		b.land.fill(l.ring, water)
		c.Water = append(c.Water, Area{k.name, "lake", b.polygon(l.ring)})
	}
	for tries := 0; len(b.ponds) < 130 && tries < 5000; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * 6300, (r.Float64()*2 - 1) * 6300}
		size := 22 + 38*r.Float64()*r.Float64()
		if b.wet(p, 2.6*size) || dist(p, orb.Point{}) < 1300 {
			continue
		}
		l := newBlob(r, p, size*(1+0.7*r.Float64()), size, r.Float64()*3, 0.4)
		b.ponds = append(b.ponds, l)
		b.land.fill(l.ring, water)
		c.Water = append(c.Water, Area{"", "pond", b.polygon(l.ring)})
	}
}

// wet reports whether there is water within about radius of p.
func (b *builder) wet(p orb.Point, radius float64) bool {
	if b.land.has(p, water) {
		return true
	}
	for i := range 12 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 6)
		for _, f := range [...]float64{0.4, 0.7, 1} {
			if b.land.has(orb.Point{p[0] + cos*radius*f, p[1] + sin*radius*f}, water) {
				return true
			}
		}
	}
	return false
}

func (b *builder) reach(name string, line []orb.Point, width float64) Reach {
	r := Reach{Name: name, Width: width}
	at := 0.0
	for i, p := range line {
		if i > 0 {
			at += dist(line[i-1], p)
		}
		r.Line = append(r.Line, b.city.ground.plane.degrees(p))
		r.Chainage = append(r.Chainage, math.Round(at*10)/10)
	}
	return r
}

func nearest(line []orb.Point, p orb.Point) orb.Point {
	best := line[0]
	for _, q := range line {
		if dist(p, q) < dist(p, best) {
			best = q
		}
	}
	return best
}
