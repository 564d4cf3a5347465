package city

import (
	"container/heap"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
)

// findBasins takes low ground on streets of the built-up parts, apart from each
// other.
func (b *builder) findBasins() {
	r := b.rng(stageBasins)
	c := b.city
	var picks []orb.Point
	for tries := 0; len(picks) < 10 && tries < 20000; tries++ {
		w := b.ways[r.IntN(len(b.ways))]
		p := w.line[r.IntN(len(w.line))]
		if w.class == Alley || w.class == Highway || b.urban(p) < 0.33 || distance(b.river, p) < 330 || dist(p, orb.Point{}) > b.boundary(p)-400 ||
			slices.ContainsFunc(picks, func(q orb.Point) bool { return dist(p, q) < 850 }) {
			continue
		}
		picks = append(picks, p)
		size := 150 + 130*r.Float64()
		shape := newBlob(r, p, size*1.35, size, b.field.angle(p), 0.5)
		drop := 0.9 + 0.7*r.Float64()
		c.ground.lows = append(c.ground.lows, low{p, drop, size * 0.75})
		c.Basins = append(c.Basins, Basin{
			Code: fmt.Sprintf("B-%02d", len(picks)), Name: "Vùng trũng " + shortName(w.name),
			Shape: b.polygon(shape.ring), Lowest: c.ground.plane.degrees(p), Drainage: math.Round(18 + 26*r.Float64()),
		})
	}
	for i := range c.Basins {
		l := c.Basins[i].Lowest
		c.Basins[i].Floor = math.Round(c.Elevation(l[0], l[1])*100) / 100
	}
}

func shortName(s string) string {
	for _, p := range [...]string{"Phố ", "Đường ", "Đại lộ "} {
		s = strings.TrimPrefix(s, p)
	}
	return s
}

// roads is the street network as a graph over the points of ways.
type roads struct {
	at    []orb.Point
	way   []*way
	edges [][]edge
}

type edge struct {
	to   int
	cost float64
}

// network joins points along ways, and points of different ways where they meet.
func (b *builder) network() *roads {
	g := &roads{}
	first := make([]int, len(b.ways))
	find := newSamples()
	for i, w := range b.ways {
		first[i] = len(g.at)
		if w.class == Alley {
			continue
		}
		for _, p := range w.line {
			find.add(p, len(g.at)) // here a sample's way is its number in the graph
			g.at, g.way = append(g.at, p), append(g.way, w)
		}
	}
	g.edges = make([][]edge, len(g.at))
	for i, p := range g.at {
		if i > 0 && g.way[i] == g.way[i-1] {
			pace := map[Class]float64{Highway: 1.1, Ring: 0.9, Avenue: 0.75, Road: 1.25}[g.way[i].class]
			n := dist(p, g.at[i-1]) * pace
			g.edges[i], g.edges[i-1] = append(g.edges[i], edge{i - 1, n}), append(g.edges[i-1], edge{i, n})
		}
		find.each(p, 11, func(q sample) bool {
			if g.way[q.way] != g.way[i] {
				g.edges[i] = append(g.edges[i], edge{q.way, dist(p, q.at) + 25})
			}
			return true
		})
	}
	return g
}

func (g *roads) nearest(p orb.Point) int {
	best := 0
	for i, q := range g.at {
		if g.way[i].class != Highway && len(g.edges[i]) > 0 && dist(p, q) < dist(p, g.at[best]) {
			best = i
		}
	}
	return best
}

// path is the cheapest way from a to b; used streets cost more each time, so
// that routes spread.
func (g *roads) path(a, b int, used []int) []int {
	spent, from := make([]float64, len(g.at)), make([]int, len(g.at))
	for i := range spent {
		spent[i], from[i] = math.Inf(1), -1
	}
	queue := frontier{{0, a, -1}}
	for len(queue) > 0 {
		s := heap.Pop(&queue).(step)
		if spent[s.at] <= s.cost {
			continue
		}
		spent[s.at], from[s.at] = s.cost, s.zone
		if s.at == b {
			break
		}
		for _, e := range g.edges[s.at] {
			if c := s.cost + e.cost*(1+0.35*float64(used[e.to])); c < spent[e.to] {
				heap.Push(&queue, step{c, e.to, s.at})
			}
		}
	}
	if math.IsInf(spent[b], 1) {
		return nil
	}
	var out []int
	for n := b; n >= 0; n = from[n] {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

// runBuses lays eight routes between the ends of the city, through its middle
// where it suits, with a stop about every half kilometre.
func (b *builder) runBuses() {
	r := b.rng(stageBuses)
	g := b.network()
	used := make([]int, len(g.at))
	stopNames := map[string]int{}
	for n, k := range []struct {
		name string
		via  []orb.Point
	}{
		{"Bến xe Bắc Vọng – Khu đô thị Đông Sông", []orb.Point{{-3500, 3300}, {-300, 100}, {4200, -1500}}},
		{"Bến xe Tây – Bến Phà Phù Sa", []orb.Point{{-4300, -600}, {-200, -300}, {900, 3600}}},
		{"Khu công nghiệp Tây – Chợ Bến Thóc", []orb.Point{{-2200, -3000}, {-900, -900}, {1300, 900}}},
		{"Vòng Vành Đai", []orb.Point{{2800, 1700}, {300, 3250}, {-3100, 1200}, {-2600, -1900}, {300, -3200}}},
		{"Làng Gạo – Hồ Vọng Nguyệt", []orb.Point{{3900, 2900}, {1100, 1300}, {-1300, 300}}},
		{"Đông Sông – Bệnh viện Vọng Lâu", []orb.Point{{4700, -400}, {3000, -900}, {400, -1500}, {-1400, -2000}}},
		{"Nhà ga – Gò Trúc", []orb.Point{{-200, 900}, {-1800, 1500}, {-3600, 3700}}},
		{"Bờ kè – Kênh Đồng Sậy", []orb.Point{{1200, 2300}, {700, -400}, {-400, -2100}, {-2400, -3400}}},
	} {
		var line []orb.Point
		var ways []*way
		for i := 1; i < len(k.via); i++ {
			jig := func(p orb.Point) orb.Point {
				return orb.Point{p[0] + (r.Float64()-0.5)*200, p[1] + (r.Float64()-0.5)*200}
			}
			a, z := g.nearest(k.via[i-1]), g.nearest(jig(k.via[i]))
			if len(line) > 0 {
				a = g.nearest(line[len(line)-1])
			}
			for _, m := range g.path(a, z, used) {
				if len(line) == 0 || line[len(line)-1] != g.at[m] {
					line, ways = append(line, g.at[m]), append(ways, g.way[m])
				}
				used[m]++
			}
		}
		if len(line) < 10 {
			continue
		}
		route := Route{Code: fmt.Sprintf("%02d", n+1), Name: k.name}
		total := length(line)
		count := max(2, int(math.Round(total/480))+1)
		for s := range count {
			d := total * float64(s) / float64(count-1)
			p, dir := walk(line, d)
			w := ways[nearestIndex(line, p)]
			name := shortName(w.name)
			if stopNames[name]++; stopNames[name] > 1 {
				name = fmt.Sprintf("%s %d", name, stopNames[name])
			}
			route.Stops = append(route.Stops, Stop{
				Code: fmt.Sprintf("%s-%02d", route.Code, s+1), Name: name,
				At:       b.city.ground.plane.degrees(orb.Point{p[0] + dir[1]*w.width*0.45, p[1] - dir[0]*w.width*0.45}),
				Distance: math.Round(d*10) / 10,
			})
		}
		route.Line = b.degrees(line)
		route.Length = math.Round(total*10) / 10
		b.city.Routes = append(b.city.Routes, route)
	}
}

func nearestIndex(line []orb.Point, p orb.Point) int {
	best := 0
	for i, q := range line {
		if dist(p, q) < dist(p, line[best]) {
			best = i
		}
	}
	return best
}

// placeGateways puts two masts in each ward, beside its streets: one near the
// middle, one as far from that as the ward reaches.
func (b *builder) placeGateways() {
	c := b.city
	places := make([][]orb.Point, len(c.Wards))
	for _, w := range b.ways {
		if w.class == Alley || w.class == Highway {
			continue
		}
		for i := 2; i < len(w.line); i += 5 {
			if w.bridge[i] {
				continue
			}
			d := direction(w.line, i)
			p := orb.Point{w.line[i][0] - d[1]*(w.width/2+3), w.line[i][1] + d[0]*(w.width/2+3)}
			for k := range c.Wards {
				if at := c.ground.plane.degrees(p); c.ground.wards[k].Contains(at) && planar.PolygonContains(c.Wards[k].Shape, at) {
					places[k] = append(places[k], p)
				}
			}
		}
	}
	for k, w := range c.Wards {
		if len(places[k]) == 0 {
			places[k] = []orb.Point{c.ground.plane.metres(w.Centre)}
		}
		first := nearest(places[k], c.ground.plane.metres(w.Centre))
		second := first
		for _, p := range places[k] {
			if dist(first, p) > dist(first, second) {
				second = p
			}
		}
		for i, p := range []orb.Point{first, second} {
			if i > 0 && p == first {
				break
			}
			c.Gateways = append(c.Gateways, Site{
				Code: fmt.Sprintf("GW-%s-%d", strings.TrimPrefix(w.Code, "VL-"), i+1),
				Name: "Trạm kết nối " + w.Name, At: c.ground.plane.degrees(p),
			})
		}
	}
}
