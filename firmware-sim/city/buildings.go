package city

import (
	"math"
	"math/rand/v2"

	"github.com/paulmach/orb"
)

// layParks puts parks by the lakes and in the town, a green along the river's
// inner bank, and cemeteries in the fields.
func (b *builder) layParks() {
	r := b.rng(stageParks)
	keep := func(name, kind string, ring []orb.Point) {
		b.land.fill(ring, green)
		b.city.Parks = append(b.city.Parks, Area{name, kind, b.polygon(ring)})
	}
	for _, l := range b.lakes {
		out := newBlob(r, l.at, 0, 0, 0, 0)
		out.ring = nil
		for _, p := range l.ring { // the shore, moved out
			d := dist(l.at, p)
			f := (d + 34 + 40*b.noise(p, 150, 11)) / d
			out.ring = append(out.ring, orb.Point{l.at[0] + (p[0]-l.at[0])*f, l.at[1] + (p[1]-l.at[1])*f})
		}
		keep("Công viên "+l.name, "park", out.ring)
	}
	for n, tries := 0, 0; n < 26 && tries < 6000; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * 5000, (r.Float64()*2 - 1) * 5000}
		if b.urban(p) < 0.35 || b.wet(p, 150) || b.crowded(p, 140, green) {
			continue
		}
		a := b.field.angle(p)
		quad := rectangle(p, a, 45+60*r.Float64(), 35+35*r.Float64())
		if !b.land.free(quad, street|water|green) {
			continue
		}
		n++
		keep(parkName(n), "park", quad[:])
	}
	for n, tries := 0, 0; n < 14 && tries < 3000; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * 5800, (r.Float64()*2 - 1) * 5800}
		if u := b.urban(p); u > 0.12 || u < 0.004 {
			continue
		}
		quad := rectangle(p, b.field.angle(p), 40+50*r.Float64(), 30+40*r.Float64())
		if b.land.free(quad, street|water|green) {
			n++
			keep("", "cemetery", quad[:])
		}
	}
}

func parkName(n int) string {
	return "Vườn hoa " + plants[(n*7)%len(plants)]
}

func (b *builder) crowded(p orb.Point, radius float64, what uint8) bool {
	for i := range 8 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 4)
		if b.land.has(orb.Point{p[0] + cos*radius, p[1] + sin*radius}, what) {
			return true
		}
	}
	return b.land.has(p, what)
}

// rectangle gives the corners about p, long along angle.
func rectangle(p orb.Point, angle, long, wide float64) [4]orb.Point {
	sin, cos := math.Sincos(angle)
	c := func(x, y float64) orb.Point {
		return orb.Point{p[0] + x*cos - y*sin, p[1] + x*sin + y*cos}
	}
	return [4]orb.Point{c(-long/2, -wide/2), c(long/2, -wide/2), c(long/2, wide/2), c(-long/2, wide/2)}
}

// build raises houses along the streets, wall to wall and deep in the old town
// (nhà ống), apart and broad in the villages, then larger buildings where blocks
// have room inside.
func (b *builder) build() {
	r := b.rng(stageBuildings)
	const taken = street | water | building | green
	put := func(quad [4]orb.Point, kind string, height float64) bool {
		if len(b.city.Buildings) >= b.opts.MaxBuildings || !b.land.free(quad, taken) {
			return false
		}
		b.land.fill(quad[:], building)
		b.city.Buildings = append(b.city.Buildings, Building{kind, math.Round(height*10) / 10, b.polygon(quad[:])})
		return true
	}
	// Works and warehouses by the highways and the ring.
	for n, tries := 0, 0; n < 230 && tries < 40000; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * 5800, (r.Float64()*2 - 1) * 5800}
		if b.noise(p, 1100, 12) < 0.66 || b.urban(p) > 0.4 || !b.mainRoadNear(p, 420) {
			continue
		}
		if put(rectangle(p, b.field.angle(p), 45+70*r.Float64(), 24+26*r.Float64()), "hall", 7+6*r.Float64()) {
			n++
		}
	}
	order := r.Perm(len(b.ways))
	for _, class := range [...]Class{Avenue, Ring, Road, Alley, Highway} {
		for _, k := range order {
			if w := b.ways[k]; w.class == class {
				b.front(r, w, 1, put)
				b.front(r, w, -1, put)
			}
		}
	}
	for tries := 0; tries < 60000 && len(b.city.Buildings) < b.opts.MaxBuildings; tries++ {
		p := orb.Point{(r.Float64()*2 - 1) * 4800, (r.Float64()*2 - 1) * 4800}
		u := b.urban(p)
		if u < 0.22 || r.Float64() > u {
			continue
		}
		kind, h := "block", 9+24*r.Float64()*r.Float64()
		if r.IntN(9) == 0 {
			kind, h = "public", 8+10*r.Float64()
		}
		put(rectangle(p, b.field.angle(p), 14+26*r.Float64()*r.Float64()*1.4, 10+12*r.Float64()), kind, h)
	}
}

func (b *builder) mainRoadNear(p orb.Point, radius float64) bool {
	for _, s := range b.near {
		found := false
		s.each(p, radius, func(q sample) bool {
			c := b.ways[q.way].class
			found = c == Highway || c == Ring
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

// front builds along one side of a way.
func (b *builder) front(r *rand.Rand, w *way, hand float64, put func([4]orb.Point, string, float64) bool) {
	total := length(w.line)
	for at := 3 + 4*r.Float64(); at < total-3 && len(b.city.Buildings) < b.opts.MaxBuildings; {
		p, d := walk(w.line, at)
		u := b.urban(p)
		wide, deep, gap := lerp(12.5, 6.2, u/0.55), lerp(9, 17, u/0.7), lerp(9, 0.4, u/0.4)
		wide *= 0.85 + 0.5*r.Float64()
		deep *= 0.75 + 0.5*r.Float64()
		if w.class == Alley {
			deep *= 0.8
		}
		built := lerp(0.45, 0.97, u/0.5)
		if w.class == Alley {
			built *= 0.85
		}
		if u < 0.055 || w.class == Highway && u < 0.3 || r.Float64() > built {
			at += wide + gap*2*r.Float64()
			continue
		}
		back := w.width/2 + 2.4 + deep/2 + lerp(5, 0.6, u/0.4)*r.Float64()
		mid, _ := walk(w.line, at+wide/2)
		c := orb.Point{mid[0] - d[1]*back*hand, mid[1] + d[0]*back*hand}
		h := 3.3 * (1 + math.Floor(lerp(1.6, 5, u)*r.Float64()+0.4))
		kind := "house"
		if w.class == Avenue && u > 0.5 && r.IntN(5) == 0 {
			kind, wide, h = "block", wide*3.2, h+3.3*math.Floor(6*r.Float64())
		}
		put(rectangle(c, math.Atan2(d[1], d[0]), wide, deep), kind, h)
		at += wide + gap*(0.2+1.6*r.Float64())
	}
}

// layFields parcels the open land into rice fields along the field of
// directions' main one.
func (b *builder) layFields() {
	r := b.rng(stageFields)
	const long, wide = 190.0, 96.0
	turn := b.field.angle(orb.Point{-5000, -5000})
	sin, cos := math.Sincos(turn)
	corner := func(i, j int) orb.Point {
		x, y := float64(i)*long, float64(j)*wide
		p := orb.Point{x*cos - y*sin, x*sin + y*cos}
		return orb.Point{
			p[0] + (b.noise(p, 900, 21)-0.5)*420 + (b.noise(p, 160, 23)-0.5)*26,
			p[1] + (b.noise(p, 900, 22)-0.5)*420 + (b.noise(p, 160, 24)-0.5)*26,
		}
	}
	for i := -52; i < 52; i++ {
		for j := -104; j < 104; j++ {
			quad := [4]orb.Point{corner(i, j), corner(i+1, j), corner(i+1, j+1), corner(i, j+1)}
			mid := orb.Point{(quad[0][0] + quad[2][0]) / 2, (quad[0][1] + quad[2][1]) / 2}
			for k := range quad { // a bund between neighbours
				quad[k] = orb.Point{mid[0] + (quad[k][0]-mid[0])*0.965, mid[1] + (quad[k][1]-mid[1])*0.94}
			}
			if !inside(mid) || b.urban(mid) > 0.24 || !b.land.free(quad, water|street|building|green) {
				continue
			}
			kind := "rice"
			if r.IntN(7) == 0 || b.urban(mid) > 0.05 {
				kind = "garden"
			}
			b.city.Fields = append(b.city.Fields, Area{"", kind, b.polygon(quad[:])})
		}
	}
}
