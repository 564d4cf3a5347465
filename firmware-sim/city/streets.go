package city

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/paulmach/orb"
)

// way is a street while it is made: a line with a point about every stride.
type way struct {
	class  Class
	name   string
	line   []orb.Point
	bridge []bool // of the step that ends at the point
	width  float64
}

const stride = 15.0

// samples finds the points of ways near a place.
type samples struct {
	n     int
	cells [][]sample
}

type sample struct {
	at  orb.Point
	way int
}

const bucket = 60.0

func newSamples() *samples {
	n := int(2*half/bucket) + 1
	return &samples{n: n, cells: make([][]sample, n*n)}
}

func (s *samples) each(p orb.Point, radius float64, do func(sample) bool) {
	i0, i1 := s.cell(p[0]-radius), s.cell(p[0]+radius)
	for j, j1 := s.cell(p[1]-radius), s.cell(p[1]+radius); j <= j1; j++ {
		for i := i0; i <= i1; i++ {
			for _, q := range s.cells[j*s.n+i] {
				if dist(p, q.at) < radius && !do(q) {
					return
				}
			}
		}
	}
}

func (s *samples) any(p orb.Point, radius float64) bool {
	found := false
	s.each(p, radius, func(sample) bool { found = true; return false })
	return found
}

func (s *samples) cell(x float64) int { return max(0, min(s.n-1, int((x+half)/bucket))) }

func (s *samples) add(p orb.Point, way int) {
	k := s.cell(p[1])*s.n + s.cell(p[0])
	s.cells[k] = append(s.cells[k], sample{p, way})
}

// lay keeps a way, marks its bridges and its ground.
func (b *builder) lay(class Class, name string, line []orb.Point) {
	w := &way{class: class, name: name, line: line, bridge: make([]bool, len(line))}
	w.width = map[Class]float64{Highway: 24, Ring: 22, Avenue: 17, Road: 9.5, Alley: 4.5}[class]
	for i, p := range line {
		if i > 0 && b.land.has(p, water) {
			w.bridge[i] = true
			if i+1 < len(line) {
				w.bridge[i+1] = true
			}
		}
		family := 0
		d, f := direction(line, i), b.field.heading(p, 0, orb.Point{1, 0})
		if math.Abs(d[0]*f[0]+d[1]*f[1]) < math.Sqrt2/2 {
			family = 1
		}
		b.near[family].add(p, len(b.ways))
	}
	b.land.band(line, w.width+2, street)
	b.ways = append(b.ways, w)
}

// layStreets goes down the hierarchy, each class finding its way between those
// before it.
func (b *builder) layStreets() {
	r := b.rng(stageStreets)
	b.near = [2]*samples{newSamples(), newSamples()}
	jitter := func(d float64) float64 { return (r.Float64()*2 - 1) * d }
	drawn := func(class Class, name string, pts ...orb.Point) {
		for i := range pts {
			pts[i] = orb.Point{pts[i][0] + jitter(90), pts[i][1] + jitter(90)}
		}
		for _, piece := range onLand(resample(spline(pts, 20), stride)) {
			b.lay(class, name, piece)
		}
	}
	drawn(Highway, "Quốc lộ Vọng Bắc – Nam", orb.Point{-5200, 8000}, orb.Point{-4500, 5000}, orb.Point{-4250, 1800}, orb.Point{-4600, -1200}, orb.Point{-4100, -4200}, orb.Point{-4600, -8000})
	drawn(Highway, "Quốc lộ Duyên Hải", orb.Point{-8000, -1400}, orb.Point{-4500, -1750}, orb.Point{-1200, -1950}, orb.Point{1500, -1350}, orb.Point{4300, -3000}, orb.Point{8000, -3300})
	ring := make([]orb.Point, 0, 17)
	for i := range 17 {
		a := 2 * math.Pi * float64(i%16) / 16
		d := 3350 + 300*math.Sin(2*a+0.7) + 220*math.Sin(3*a+2) + 170*math.Sin(5*a+0.4) + jitter(110)
		ring = append(ring, orb.Point{d*math.Cos(a) - 150, d*math.Sin(a)*0.97 + 60})
	}
	// Closed: mirrored ends would kink, so it starts in the middle of a side.
	for _, piece := range onLand(resample(closedSpline(ring[:16]), stride)) {
		b.lay(Ring, "Đường Vành Đai Vọng Lâu", piece)
	}
	for _, k := range []struct {
		side float64
		name string
	}{{1, "Đường Đê Tả Vọng"}, {-1, "Đường Đê Hữu Vọng"}} {
		line := offset(b.river, func(i int) float64 {
			return k.side * (b.width/2*(0.84+0.36*b.noise(b.river[i], 900, 2)) + 38)
		})
		for _, piece := range onLand(resample(line, stride)) {
			b.lay(Road, k.name, piece)
		}
	}
	b.grow(r, Avenue, 40000, func(p orb.Point) float64 {
		if u := b.urban(p); u > 0.1 {
			return lerp(900, 430, (u-0.1)/0.6)
		}
		return 0
	}, 500)
	b.grow(r, Road, 60000, func(p orb.Point) float64 { // country roads
		if b.urban(p) < 0.1 {
			return 1250
		}
		return 0
	}, 700)
	b.grow(r, Road, 120000, func(p orb.Point) float64 {
		if u := b.urban(p); u > 0.2 {
			return lerp(210, 112, (u-0.2)/0.6)
		}
		return 0
	}, 110)
	b.grow(r, Alley, 160000, func(p orb.Point) float64 {
		if u := b.urban(p); u > 0.27 {
			return lerp(74, 50, (u-0.3)/0.6)
		}
		return 0
	}, 42)
	b.prune()
	b.nameStreets()
	for _, w := range b.ways {
		b.keep(w)
	}
}

// prune cuts streets back to their last crossing, where that is not far: an
// avenue does not end in a yard. Alleys may.
func (b *builder) prune() {
	meets := func(k, i int) bool {
		found := false
		for _, s := range b.near {
			s.each(b.ways[k].line[i], stride*0.75, func(q sample) bool {
				found = q.way != k
				return !found
			})
		}
		return found
	}
	for k := range b.land.cells {
		b.land.cells[k] &^= street
	}
	for k, w := range b.ways {
		if lo, hi := 0, len(w.line)-1; w.class == Avenue || w.class == Road {
			for lo < hi && !meets(k, lo) {
				lo++
			}
			for hi > lo && !meets(k, hi) {
				hi--
			}
			if lo*3 > len(w.line) {
				lo = 0
			}
			if (len(w.line)-1-hi)*3 > len(w.line) {
				hi = len(w.line) - 1
			}
			if hi-lo >= 3 {
				w.line, w.bridge = w.line[lo:hi+1], w.bridge[lo:hi+1]
			}
		}
		b.land.band(w.line, w.width+2, street)
	}
}

// closedSpline runs through pts and back to the first.
func closedSpline(pts []orb.Point) []orb.Point {
	n := len(pts)
	around := append([]orb.Point{pts[n-2], pts[n-1]}, pts...)
	around = append(around, pts[0], pts[1])
	all := spline(around, 20)
	// Drop the run-in and run-out, which only gave direction.
	lo, hi := 0, len(all)-1
	for dist(all[lo], pts[0]) > 1e-9 {
		lo++
	}
	for dist(all[hi], pts[0]) > 1e-9 {
		hi--
	}
	return all[lo : hi+1]
}

// onLand cuts off what leaves the made land.
func onLand(line []orb.Point) [][]orb.Point {
	var out [][]orb.Point
	var cur []orb.Point
	for _, p := range line {
		if inside(p) {
			cur = append(cur, p)
			continue
		}
		if len(cur) > 3 {
			out = append(out, cur)
		}
		cur = nil
	}
	if len(cur) > 3 {
		out = append(out, cur)
	}
	return out
}

// grow draws ways of a class along the field from random places, where apart
// tells how far from their like they keep; 0 is no place for them.
func (b *builder) grow(r *rand.Rand, class Class, tries int, apart func(orb.Point) float64, least float64) {
	for range tries {
		p := orb.Point{(r.Float64()*2 - 1) * half, (r.Float64()*2 - 1) * half}
		family := int(r.Uint32() & 1)
		d := apart(p)
		if d == 0 || b.land.has(p, water) || b.near[family].any(p, d) {
			continue
		}
		forth := b.trace(class, p, family, 1, apart)
		back := b.trace(class, p, family, -1, apart)
		line := make([]orb.Point, 0, len(forth)+len(back)+1)
		for i := len(back) - 1; i >= 0; i-- {
			line = append(line, back[i])
		}
		line = append(append(line, p), forth...)
		if length(line) < least {
			continue
		}
		b.lay(class, "", line)
	}
}

// trace follows the field from p one way until it would come too near its like,
// leave what it is for, or meet water it may not cross; then it goes on a little
// to end in a street rather than nowhere.
func (b *builder) trace(class Class, p orb.Point, family int, sense float64, apart func(orb.Point) float64) []orb.Point {
	var out []orb.Point
	h := b.field.heading(p, family, orb.Point{1, 0.01})
	h = orb.Point{h[0] * sense, h[1] * sense}
	at := p
	for range 900 {
		mid := orb.Point{at[0] + h[0]*stride/2, at[1] + h[1]*stride/2}
		h = b.field.heading(mid, family, h)
		next := orb.Point{at[0] + h[0]*stride, at[1] + h[1]*stride}
		if !inside(next) {
			return out
		}
		if b.land.has(next, water) || b.land.has(mid, water) {
			far := b.cross(class, at, h)
			if far == nil {
				return out
			}
			out = append(out, far...)
			at = far[len(far)-1]
			continue
		}
		d := apart(next)
		if d == 0 || b.near[family].any(next, 0.55*math.Max(d, 30)) || circles(out, next, d/2) {
			break
		}
		out = append(out, next)
		at = next
	}
	reach := 1.3 * math.Max(apart(at), 60)
	for k, tail := 0, at; float64(k)*stride < reach; k++ {
		tail = orb.Point{tail[0] + h[0]*stride, tail[1] + h[1]*stride}
		if !inside(tail) || b.land.has(tail, water) {
			return out
		}
		var meet *orb.Point
		for _, s := range b.near {
			s.each(tail, stride*0.75, func(q sample) bool { meet = &q.at; return false })
		}
		if meet != nil {
			for m := 1; m <= k; m++ {
				f := float64(m) * stride
				out = append(out, orb.Point{at[0] + h[0]*f, at[1] + h[1]*f})
			}
			return append(out, *meet)
		}
	}
	return out
}

// circles reports whether a line comes back near its own beginning.
func circles(line []orb.Point, p orb.Point, d float64) bool {
	for i := 0; i < len(line)-12; i += 3 {
		if dist(line[i], p) < d {
			return true
		}
	}
	return false
}

// cross takes a way over water, straight on, when its class builds bridges, the
// water is narrow enough and there is no other bridge near.
func (b *builder) cross(class Class, at, h orb.Point) []orb.Point {
	widest, spacing := 0.0, 0.0
	switch class {
	case Avenue:
		widest, spacing = 330, 900
	case Road:
		widest, spacing = 60, 170
	}
	var out []orb.Point
	p := at
	for k := 0; float64(k)*stride < widest+2*stride; k++ {
		p = orb.Point{p[0] + h[0]*stride, p[1] + h[1]*stride}
		if !inside(p) {
			return nil
		}
		out = append(out, p)
		if k > 0 && !b.land.has(p, water) {
			break
		}
	}
	if len(out) == 0 || b.land.has(p, water) {
		return nil
	}
	mid := out[len(out)/2]
	if length(out) > 90 && class != Avenue {
		return nil
	}
	if length(out) <= 90 {
		spacing = min(spacing, 170)
	}
	if !b.land.has(mid, canal) && distance(b.river, mid) > b.width {
		return nil // a lake or pond: go round
	}
	for _, w := range b.ways {
		for i, q := range w.line {
			if w.bridge[i] && dist(q, mid) < spacing {
				return nil
			}
		}
	}
	return out
}

// keep gives a way to the city, cut where bridges begin and end.
func (b *builder) keep(w *way) {
	from := 0
	for i := 1; i <= len(w.line); i++ {
		if i < len(w.line) && w.bridge[i] == w.bridge[from+1] {
			continue
		}
		s := Street{Name: w.name, Class: w.class, Width: w.width, Bridge: w.bridge[from+1]}
		if s.Bridge {
			s.Name = b.bridgeName(w.name, w.line[(from+i-1)/2])
		}
		s.Line = b.degrees(thin(w.line[from:i], 0.8))
		if len(s.Line) >= 2 {
			b.city.Streets = append(b.city.Streets, s)
		}
		if from = i - 1; from+1 >= len(w.line) {
			break
		}
	}
}

// thin leaves out points that lie within tolerance of the line without them
// (Douglas and Peucker 1973).
func thin(line []orb.Point, tolerance float64) []orb.Point {
	if len(line) < 3 {
		return line
	}
	far, at := tolerance, 0
	for i := 1; i < len(line)-1; i++ {
		if d := distance([]orb.Point{line[0], line[len(line)-1]}, line[i]); d > far {
			far, at = d, i
		}
	}
	if at == 0 {
		return []orb.Point{line[0], line[len(line)-1]}
	}
	left := thin(line[:at+1], tolerance)
	return append(left[:len(left)-1:len(left)-1], thin(line[at:], tolerance)...)
}

// bridgeName names a bridge: over the river each has a name of its own, over a
// canal it is the canal's, over a pond its street's.
func (b *builder) bridgeName(way string, p orb.Point) string {
	if distance(b.river, p) < b.width {
		b.bridges++
		if b.bridges <= len(riverBridges) {
			return riverBridges[b.bridges-1]
		}
		return fmt.Sprintf("Cầu Vọng %d", b.bridges)
	}
	for i := range b.canals {
		if distance(b.canals[i], p) < 60 {
			return strings.Replace(b.city.Canals[i].Name, "Kênh", "Cầu", 1)
		}
	}
	return "Cầu " + shortName(way)
}
