package city

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/paulmach/orb"
)

// zoning divides the city among seeds on a lattice of squares. Each square goes
// to the seed that reaches it most cheaply, where crossing the river or a main
// road is dear; so borders come to lie on them. A border is then drawn once, as
// a chain of lattice corners shared by the two zones beside it, snapped to the
// line it lies on and smoothed. Zones made of the same chains tessellate exactly.
type zoning struct {
	n      int
	label  []int // zone of each square, -1 outside
	chains []chain
	level  []int // how each chain is drawn
}

// chain is a border between corners where three or more zones meet; left and
// right are the zones beside it.
type chain struct {
	nodes       []int
	left, right int
	line        []orb.Point
}

const side = 55.0 // of a lattice square, metres

// snap is a line that borders follow, from within reach metres.
type snap struct {
	line  []orb.Point
	reach float64
	bound orb.Bound // of what it reaches
}

func newSnap(line []orb.Point, reach float64) snap {
	return snap{line, reach, orb.LineString(line).Bound().Pad(reach)}
}

// boundary is how far the city reaches in a direction.
func (b *builder) boundary(p orb.Point) float64 {
	a := math.Atan2(p[1], p[0])
	return 5350 + 420*math.Sin(2*a+1.1) + 260*math.Sin(3*a+0.3) + 260*math.Sin(5*a+2.2) + 90*math.Sin(9*a)
}

func (b *builder) zone(seeds []orb.Point, cost func(p orb.Point) float64, snaps []snap) *zoning {
	z := &zoning{n: int(2 * half / side)}
	z.label = make([]int, z.n*z.n)
	spent := make([]float64, z.n*z.n)
	price := make([]float64, z.n*z.n)
	var queue frontier
	for k := range z.label {
		z.label[k] = -1
		p := z.middle(k)
		spent[k] = math.Inf(1)
		if dist(p, orb.Point{}) < b.boundary(p) {
			price[k] = cost(p)
		}
	}
	for i, p := range seeds {
		k := int((p[1]+half)/side)*z.n + int((p[0]+half)/side)
		heap.Push(&queue, step{0, k, i})
	}
	for len(queue) > 0 {
		s := heap.Pop(&queue).(step)
		if spent[s.at] <= s.cost || price[s.at] == 0 {
			continue
		}
		spent[s.at], z.label[s.at] = s.cost, s.zone
		i, j := s.at%z.n, s.at/z.n
		for dj := -1; dj <= 1; dj++ {
			for di := -1; di <= 1; di++ {
				if di == 0 && dj == 0 || i+di < 0 || j+dj < 0 || i+di >= z.n || j+dj >= z.n {
					continue
				}
				k := s.at + dj*z.n + di
				c := s.cost + math.Hypot(float64(di), float64(dj))*(price[k]+price[s.at])/2
				if price[k] > 0 && c < spent[k] {
					heap.Push(&queue, step{c, k, s.zone})
				}
			}
		}
	}
	z.tidy(len(seeds))
	z.trace()
	z.draw(snaps)
	return z
}

func (z *zoning) middle(k int) orb.Point {
	return orb.Point{(float64(k%z.n)+0.5)*side - half, (float64(k/z.n)+0.5)*side - half}
}

type step struct {
	cost     float64
	at, zone int
}

type frontier []step

func (q frontier) Len() int { return len(q) }
func (q frontier) Less(i, j int) bool {
	if q[i].cost != q[j].cost {
		return q[i].cost < q[j].cost
	}
	return q[i].at < q[j].at
}
func (q frontier) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *frontier) Push(x any)   { *q = append(*q, x.(step)) }
func (q *frontier) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// tidy leaves each zone one piece with no squares that touch by a corner only.
func (z *zoning) tidy(zones int) {
	for range 12 {
		changed := false
		// All but a zone's largest piece go to a neighbour; -1 keeps its own.
		seen := make([]bool, len(z.label))
		largest := make([][]int, zones)
		var orphans []int
		for k := range z.label {
			if seen[k] || z.label[k] < 0 {
				continue
			}
			piece := z.flood(k, seen)
			l := z.label[k]
			if len(piece) > len(largest[l]) {
				piece, largest[l] = largest[l], piece
			}
			orphans = append(orphans, piece...)
		}
		for _, k := range orphans {
			for _, d := range [4]int{1, -1, z.n, -z.n} {
				if m := k + d; m >= 0 && m < len(z.label) && z.label[m] != z.label[k] && z.label[m] >= 0 {
					z.label[k], changed = z.label[m], true
					break
				}
			}
		}
		for j := 0; j+1 < z.n; j++ {
			for i := 0; i+1 < z.n; i++ {
				a, b, c, d := j*z.n+i, j*z.n+i+1, (j+1)*z.n+i, (j+1)*z.n+i+1
				if z.label[a] == z.label[d] && z.label[b] != z.label[a] && z.label[c] != z.label[a] {
					z.label[b], changed = z.label[a], true
				} else if z.label[b] == z.label[c] && z.label[a] != z.label[b] && z.label[d] != z.label[b] {
					z.label[a], changed = z.label[b], true
				}
			}
		}
		if !changed {
			return
		}
	}
}

func (z *zoning) flood(k int, seen []bool) []int {
	seen[k] = true
	piece := []int{k}
	for i := 0; i < len(piece); i++ {
		for _, d := range [4]int{1, -1, z.n, -z.n} {
			m := piece[i] + d
			if m >= 0 && m < len(z.label) && !seen[m] && z.label[m] == z.label[k] {
				seen[m] = true
				piece = append(piece, m)
			}
		}
	}
	return piece
}

// trace collects the borders between squares of different zones into chains.
func (z *zoning) trace() {
	w := z.n + 1 // corners a side
	type half struct{ to, left, right int }
	out := map[int][]half{}
	label := func(i, j int) int {
		if i < 0 || j < 0 || i >= z.n || j >= z.n {
			return -1
		}
		return z.label[j*z.n+i]
	}
	for j := range w {
		for i := range w {
			n := j*w + i
			if a, c := label(i, j), label(i, j-1); i < z.n && a != c { // eastward: a left, c right
				out[n] = append(out[n], half{n + 1, a, c})
				out[n+1] = append(out[n+1], half{n, c, a})
			}
			if a, c := label(i-1, j), label(i, j); j < z.n && a != c { // northward
				out[n] = append(out[n], half{n + w, a, c})
				out[n+w] = append(out[n+w], half{n, c, a})
			}
		}
	}
	var nodes []int
	for n := range out {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	used := map[[2]int]bool{}
	follow := func(n int, h half) {
		c := chain{nodes: []int{n}, left: h.left, right: h.right}
		for {
			used[[2]int{n, h.to}], used[[2]int{h.to, n}] = true, true
			c.nodes = append(c.nodes, h.to)
			if len(out[h.to]) != 2 || h.to == c.nodes[0] {
				break
			}
			from := n
			n = h.to
			if h = out[n][0]; h.to == from {
				h = out[n][1]
			}
		}
		z.chains = append(z.chains, c)
	}
	for _, loops := range [2]bool{false, true} { // rings without a meeting point last
		for _, n := range nodes {
			for _, h := range out[n] {
				if (loops || len(out[n]) != 2) && !used[[2]int{n, h.to}] {
					follow(n, h)
				}
			}
		}
	}
}

// How a chain is drawn: each level gives up something for borders that do not
// cross.
const (
	snapped  = iota // on the line it follows, smooth elsewhere
	smoothed        // smooth, its ends where they were put
	plain           // along the lattice, where nothing can cross
)

// draw moves corners onto the lines borders follow and smooths what lies
// between. Where that makes borders cross, those give up a level.
func (z *zoning) draw(snaps []snap) {
	z.level = make([]int, len(z.chains))
	for round := 0; ; round++ {
		z.place(snaps)
		bad := z.crossing()
		if len(bad) == 0 {
			return
		}
		for _, k := range bad {
			z.level[k] = min(z.level[k]+1, plain)
		}
		if round > 12 { // the lattice itself, all of it
			for k := range z.level {
				z.level[k] = plain
			}
		}
	}
}

func (z *zoning) corner(n int) orb.Point {
	w := z.n + 1
	return orb.Point{float64(n%w)*side - half, float64(n/w)*side - half}
}

func (z *zoning) place(snaps []snap) {
	fixed := map[int]bool{} // corners of plain chains stay where they are
	for k, c := range z.chains {
		if z.level[k] == plain {
			for _, n := range c.nodes {
				fixed[n] = true
			}
		}
	}
	for k := range z.chains {
		c := &z.chains[k]
		mine := z.followed(c, snaps)
		last := len(c.nodes) - 1
		ring := c.nodes[0] == c.nodes[last]
		line := make([]orb.Point, len(c.nodes))
		held := make([]bool, len(c.nodes))
		for i, n := range c.nodes {
			line[i] = z.corner(n)
			held[i] = fixed[n] || !ring && (i == 0 || i == last)
			if fixed[n] || z.level[k] != snapped && !held[i] {
				continue
			}
			pull := mine
			if !ring && (i == 0 || i == last) {
				pull = snaps // the same for every chain that ends here
			}
			for _, s := range pull {
				if q, ok := s.pull(line[i]); ok {
					line[i], held[i] = q, true
					break
				}
			}
		}
		if z.level[k] != plain {
			line = relax(line, held, ring)
		}
		c.line = line
	}
}

// followed gives the lines that a chain runs along rather than away from: pulled
// onto the river it leaves, a border would lie on the one that stays.
func (z *zoning) followed(c *chain, snaps []snap) []snap {
	var out []snap
	for _, s := range snaps {
		n := 0
		for _, node := range c.nodes {
			if _, ok := s.pull(z.corner(node)); ok {
				n++
			}
		}
		if n*3 > len(c.nodes) {
			out = append(out, s)
		}
	}
	return out
}

// relax smooths the points of line that are not held.
func relax(line []orb.Point, held []bool, ring bool) []orb.Point {
	last := len(line) - 1
	for range 8 {
		next := slices.Clone(line)
		for i := range line {
			p, q := i-1, i+1
			if ring && (i == 0 || i == last) {
				p, q = last-1, 1
			}
			if !held[i] {
				next[i] = orb.Point{
					line[i][0]/2 + (line[p][0]+line[q][0])/4,
					line[i][1]/2 + (line[p][1]+line[q][1])/4,
				}
			}
		}
		line = next
	}
	if ring {
		m := len(line) / 2
		return append(thin(line[:m+1], 4), thin(line[m:], 4)[1:]...)
	}
	return thin(unfold(slices.Compact(line)), 4)
}

// unfold drops points where a line doubles back on itself, as happens where
// steps of the lattice are pulled onto one place of a road.
func unfold(line []orb.Point) []orb.Point {
	for i := 1; i+1 < len(line); {
		a, p, c := line[i-1], line[i], line[i+1]
		if (p[0]-a[0])*(c[0]-p[0])+(p[1]-a[1])*(c[1]-p[1]) < -0.5*dist(a, p)*dist(p, c) {
			line = slices.Delete(line, i, i+1)
			i = max(1, i-1)
			continue
		}
		i++
	}
	return line
}

// pull gives the point of the line nearest to p when it is within reach.
func (s *snap) pull(p orb.Point) (orb.Point, bool) {
	best, at := s.reach*s.reach, orb.Point{}
	if !s.bound.Contains(p) {
		return at, false
	}
	for i := 1; i < len(s.line); i++ {
		a, b := s.line[i-1], s.line[i]
		dx, dy := b[0]-a[0], b[1]-a[1]
		n := dx*dx + dy*dy
		if n == 0 {
			continue
		}
		t := math.Max(0, math.Min(1, ((p[0]-a[0])*dx+(p[1]-a[1])*dy)/n))
		q := orb.Point{a[0] + t*dx, a[1] + t*dy}
		if d := (q[0]-p[0])*(q[0]-p[0]) + (q[1]-p[1])*(q[1]-p[1]); d < best {
			best, at = d, q
		}
	}
	return at, best < s.reach*s.reach
}

// crossing lists chains that cross or touch another, or themselves, anywhere but
// at a shared end; of two, the one that is to give way.
func (z *zoning) crossing() []int {
	type seg struct {
		a, b  orb.Point
		chain int
	}
	var segs []seg
	for k, c := range z.chains {
		for i := 1; i < len(c.line); i++ {
			segs = append(segs, seg{c.line[i-1], c.line[i], k})
		}
	}
	slices.SortStableFunc(segs, func(s, t seg) int {
		return cmp.Compare(min(s.a[0], s.b[0]), min(t.a[0], t.b[0]))
	})
	bad := map[int]bool{}
	turn := func(a, b, c orb.Point) float64 { return (b[0]-a[0])*(c[1]-a[1]) - (b[1]-a[1])*(c[0]-a[0]) }
	for i, s := range segs {
		for _, t := range segs[i+1:] {
			if min(t.a[0], t.b[0]) > max(s.a[0], s.b[0]) {
				break
			}
			if max(t.a[1], t.b[1]) < min(s.a[1], s.b[1]) || min(t.a[1], t.b[1]) > max(s.a[1], s.b[1]) {
				continue
			}
			if s.a == t.a || s.a == t.b || s.b == t.a || s.b == t.b {
				// They share an end; lying on each other is crossing all the same.
				far, other := s.a, t.a
				if s.a == t.a || s.a == t.b {
					far = s.b
				}
				shared := s.a
				if far == s.a {
					shared = s.b
				}
				if other == shared {
					other = t.b
				}
				if math.Abs(turn(shared, far, other)) > 1e-4*dist(shared, far)*dist(shared, other) ||
					(far[0]-shared[0])*(other[0]-shared[0])+(far[1]-shared[1])*(other[1]-shared[1]) < 0 {
					continue
				}
			} else if turn(s.a, s.b, t.a)*turn(s.a, s.b, t.b) > 0 || turn(t.a, t.b, s.a)*turn(t.a, t.b, s.b) > 0 {
				continue
			}
			// The shorter gives way first.
			k, o := s.chain, t.chain
			if len(z.chains[k].nodes) > len(z.chains[o].nodes) {
				k, o = o, k
			}
			if z.level[k] == plain {
				k = o
			}
			bad[k] = true
		}
	}
	var out []int
	for k := range z.chains {
		if bad[k] {
			out = append(out, k)
		}
	}
	return out
}

// shape joins the chains around a zone, with the zone on their left: the outer
// ring comes out counter-clockwise and holes clockwise.
func (z *zoning) shape(b *builder, zone int) orb.Polygon {
	type piece struct {
		from, to int
		line     []orb.Point
	}
	var left []piece
	for _, c := range z.chains {
		p := piece{c.nodes[0], c.nodes[len(c.nodes)-1], c.line}
		switch zone {
		case c.left:
			left = append(left, p)
		case c.right:
			line := slices.Clone(c.line)
			slices.Reverse(line)
			left = append(left, piece{p.to, p.from, line})
		}
	}
	var poly orb.Polygon
	for len(left) > 0 {
		first := left[0]
		ring := slices.Clone(first.line)
		left = left[1:]
		for end := first.to; end != first.from; {
			i := slices.IndexFunc(left, func(p piece) bool { return p.from == end })
			if i < 0 {
				break
			}
			ring = append(ring, left[i].line[1:]...)
			end = left[i].to
			left = slices.Delete(left, i, i+1)
		}
		r := orb.Ring(b.degrees(ring))
		if r[0] != r[len(r)-1] {
			r = append(r, r[0])
		}
		if r.Orientation() == orb.CCW && len(poly) > 0 {
			poly = append(orb.Polygon{r}, poly...)
		} else {
			poly = append(poly, r)
		}
	}
	return poly
}

// scatter draws n places inside the city, closer together where it is urban.
func (b *builder) scatter(r *rand.Rand, n int, town, country float64) []orb.Point {
	var out []orb.Point
	for scale := 1.0; len(out) < n; scale *= 0.93 {
		for range 1500 {
			p := orb.Point{(r.Float64()*2 - 1) * half, (r.Float64()*2 - 1) * half}
			gap := scale * lerp(country, town, b.urban(p)*1.25)
			if len(out) == n || dist(p, orb.Point{}) > b.boundary(p)-0.4*gap || b.land.has(p, water) && !b.land.has(p, canal) {
				continue
			}
			if !slices.ContainsFunc(out, func(q orb.Point) bool { return dist(p, q) < gap }) {
				out = append(out, p)
			}
		}
	}
	return out
}

// divide makes the wards, and the zones of the power feeders.
func (b *builder) divide() {
	r := b.rng(stageWards)
	snaps := []snap{newSnap(b.river, 190)}
	for _, w := range b.ways {
		if w.class == Highway || w.class == Ring || w.class == Avenue {
			b.land.band(w.line, 60, border)
			snaps = append(snaps, newSnap(w.line, 60))
		}
	}
	for _, c := range b.canals {
		b.land.band(c, 60, border)
		snaps = append(snaps, newSnap(c, 60))
	}
	const wards = 27
	seeds := b.scatter(r, wards, 780, 2000)
	z := b.zone(seeds, func(p orb.Point) float64 {
		switch {
		case b.land.has(p, water) && !b.land.has(p, canal):
			return 45
		case b.land.has(p, border):
			return 7
		}
		return 1 + 0.5*b.noise(p, 300, 7)
	}, snaps)
	order := make([]int, wards)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { // numbered outward from the old town
		return cmp.Compare(dist(seeds[i], b.cores[0].at), dist(seeds[j], b.cores[0].at))
	})
	urban, rural := 0, 0
	for n, k := range order {
		shape := z.shape(b, k)
		squares, people := 0, 0.0
		for c, l := range z.label {
			if l == k {
				squares++
				people += side * side * 0.021 * math.Pow(b.urban(z.middle(c)), 1.3)
			}
		}
		w := Ward{Code: fmt.Sprintf("VL-%02d", n+1), Shape: shape, Population: 1200 + int(people)}
		if density := float64(w.Population) / (float64(squares) * side * side); density > 0.0031 && urban < len(urbanWards) || rural == len(ruralWards) {
			w.Urban, w.Name = true, "Phường "+urbanWards[urban]
			urban++
		} else {
			w.Name = "Xã " + ruralWards[rural]
			rural++
		}
		w.Centre = b.innermost(z, k)
		b.city.Wards = append(b.city.Wards, w)
		b.city.ground.wards = append(b.city.ground.wards, shape.Bound())
	}

	const feeders = 16
	at := b.scatter(r, feeders, 1250, 2300)
	fz := b.zone(at, func(p orb.Point) float64 {
		if b.land.has(p, water) && !b.land.has(p, canal) {
			return 45
		}
		return 1 + 1.5*b.noise(p, 500, 8)
	}, snaps[:1])
	for k := range at {
		customers := 0.0
		for c, l := range fz.label {
			if l == k {
				customers += side * side * 0.006 * b.urban(fz.middle(c))
			}
		}
		b.city.Feeders = append(b.city.Feeders, Feeder{
			Code: fmt.Sprintf("F-%02d", k+1), Name: fmt.Sprintf("Lộ 4%02d", 71+k),
			Shape: fz.shape(b, k), Substation: b.city.ground.plane.degrees(at[k]), Customers: 400 + int(customers),
		})
	}
}

// innermost is the middle of the zone's square that lies deepest inside it.
func (b *builder) innermost(z *zoning, zone int) orb.Point {
	depth := make([]int, len(z.label))
	best := -1
	for k := range z.label { // distance from the south-west, then from the north-east
		if z.label[k] == zone {
			depth[k] = 1 + min(at(depth, k-1), at(depth, k-z.n), at(depth, k-z.n-1), at(depth, k-z.n+1))
		}
	}
	for k := len(z.label) - 1; k >= 0; k-- {
		if z.label[k] == zone {
			depth[k] = min(depth[k], 1+min(at(depth, k+1), at(depth, k+z.n), at(depth, k+z.n+1), at(depth, k+z.n-1)))
			if best < 0 || depth[k] > depth[best] {
				best = k
			}
		}
	}
	return b.city.ground.plane.degrees(z.middle(best))
}

func at(a []int, i int) int {
	if i < 0 || i >= len(a) {
		return 0
	}
	return a[i]
}
