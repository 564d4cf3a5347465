package firmwaresim

import (
	"fmt"
	"math"

	"github.com/paulmach/orb"

	"vonglau/devices"
	"vonglau/firmware-sim/city"
)

// place is where one device stands and what surrounds it there. It follows from
// the seed, the city and the device's id, so a device keeps its place when the
// fleet grows.
type place struct {
	world *World
	kind  *kind
	id    devices.ID
	name  string
	salt  uint64
	index int // among the devices of its kind
	count int // of them

	at       orb.Point
	class    city.Class
	basin    int // index into city.Basins, -1 on higher ground
	feeder   int // index into city.Feeders, -1 outside all
	chainage float64
	kerb     float64
	route    int
	upstream int // index among the gateways, -1 when it has a line of its own
	behind   int // devices behind this gateway
	gateways int // in the fleet
}

// live reports whether the device's feeder carries current.
func (p *place) live(m *Moment) bool {
	return p.feeder < 0 || !m.Under(FeederTrip, p.feeder, len(p.world.city.Feeders))
}

// water is the depth on the ground where the device stands.
func (p *place) water(m *Moment) float64 {
	if p.basin < 0 || p.basin >= len(m.Depth) {
		return 0
	}
	return math.Max(0, m.Depth[p.basin]-p.kerb)
}

// settle places count devices in the world. The mix of kinds is that of the
// kinds table; a city without a river, basins or routes goes without the
// devices that need them.
func settle(w *World, count int) ([]*place, error) {
	if len(w.city.Streets) == 0 || len(w.city.Wards) == 0 {
		return nil, fmt.Errorf("the city has %d streets and %d wards: nowhere to put a device", len(w.city.Streets), len(w.city.Wards))
	}
	s := newSettler(w)
	numbers := apportion(w.city, count)
	var out, gateways []*place
	for i := range kinds {
		k := &kinds[i]
		for n := range numbers[i] {
			p := &place{
				world: w, kind: k, index: n, count: numbers[i], upstream: -1,
				id: devices.ID(fmt.Sprintf("%s-%03d", k.prefix, n+1)),
			}
			p.salt = salt(w.seed, string(p.id))
			s.choose(p)
			if k.spot == onMast {
				gateways = append(gateways, p)
			}
			out = append(out, p)
		}
	}
	for _, p := range out {
		p.gateways = len(gateways)
		if !p.kind.radio || len(gateways) == 0 {
			continue
		}
		for i, g := range gateways {
			if p.upstream < 0 || w.plane.distance(p.at, g.at) < w.plane.distance(p.at, gateways[p.upstream].at) {
				p.upstream = i
			}
		}
		gateways[p.upstream].behind++
	}
	return out, nil
}

// apportion divides count among the kinds by largest remainder, so that the
// numbers add up to count.
func apportion(c *city.City, count int) []int {
	shares := make([]int, len(kinds))
	total := 0
	for i, k := range kinds {
		switch {
		case k.spot == onRiver && len(c.River.Line) < 2,
			k.spot == inBasin && len(c.Basins) == 0,
			k.spot == onRoute && len(c.Routes) == 0:
			continue
		}
		shares[i] = k.share
		total += k.share
	}
	numbers, rest := make([]int, len(kinds)), count
	for i, s := range shares {
		numbers[i] = count * s / total
		rest -= numbers[i]
	}
	for ; rest > 0; rest-- {
		best := 0
		for i, s := range shares {
			// What it still lacks of its exact share.
			if s*count-numbers[i]*total > shares[best]*count-numbers[best]*total {
				best = i
			}
		}
		numbers[best]++
	}
	return numbers
}

// settler knows the streets by length and the streets inside each basin.
type settler struct {
	world  *World
	tracks []track
	sum    []float64 // running length of all streets
	main   []float64 // running length of main roads only
	low    [][]spotOnStreet
}

type spotOnStreet struct {
	at    orb.Point
	class city.Class
	name  string
}

func newSettler(w *World) *settler {
	s := &settler{world: w, low: make([][]spotOnStreet, len(w.city.Basins))}
	var all, main float64
	for i := range w.city.Streets {
		st := &w.city.Streets[i]
		t := w.plane.track(st.Line)
		s.tracks = append(s.tracks, t)
		if len(st.Line) > 1 && !st.Bridge {
			all += t.length()
			if streetLoad(st.Class) >= 0.7 {
				main += t.length()
			}
		}
		s.sum = append(s.sum, all)
		s.main = append(s.main, main)
		s.sink(st, t)
	}
	return s
}

// sink notes the places of a street that lie in a basin, every 30 metres.
func (s *settler) sink(st *city.Street, t track) {
	if len(st.Line) < 2 || st.Bridge || st.Class == city.Alley {
		return
	}
	for i := range s.world.city.Basins {
		b := &s.world.city.Basins[i]
		if !b.Shape.Bound().Intersects(st.Line.Bound()) {
			continue
		}
		for d := 0.0; d <= t.length(); d += 30 {
			if p, _ := t.at(d); contains(b.Shape, p) {
				s.low[i] = append(s.low[i], spotOnStreet{p, st.Class, st.Name})
			}
		}
	}
}

// street draws a place beside a street, long streets more often.
func (s *settler) street(h uint64, sums []float64) spotOnStreet {
	total := sums[len(sums)-1]
	if total == 0 {
		sums, total = s.sum, s.sum[len(s.sum)-1]
	}
	if total == 0 {
		return spotOnStreet{at: s.world.city.Centre, class: city.Road}
	}
	d := unit(mix(h, 1)) * total
	i := 0
	for i < len(sums)-1 && sums[i] <= d {
		i++
	}
	st := &s.world.city.Streets[i]
	at, _ := s.tracks[i].at(unit(mix(h, 2)) * s.tracks[i].length())
	return spotOnStreet{at, st.Class, st.Name}
}

func (s *settler) choose(p *place) {
	c := s.world.city
	p.class, p.basin, p.feeder = city.Road, -1, -1
	where := ""
	switch p.kind.spot {
	case besideStreet, besideMainRoad:
		sums := s.sum
		if p.kind.spot == besideMainRoad {
			sums = s.main
		}
		sp := s.street(p.salt, sums)
		p.at, p.class, where = sp.at, sp.class, sp.name
	case inWard:
		w := &c.Wards[p.index%len(c.Wards)]
		p.at, where = w.Centre, w.Name
		// Round after round they stand somewhere else in the same ward.
		for try := range uint64(8) {
			m := s.world.plane.metres(w.Centre)
			m[0] += 600 * (unit(mix(p.salt, 3+2*try)) - 0.5)
			m[1] += 600 * (unit(mix(p.salt, 4+2*try)) - 0.5)
			if q := s.world.plane.degrees(m); contains(w.Shape, q) {
				p.at = q
				break
			}
		}
	case onRiver:
		p.chainage = c.River.Length() * (float64(p.index) + 0.5) / float64(p.count)
		p.at, where = c.River.At(p.chainage), fmt.Sprintf("%s, km %.1f", c.River.Name, p.chainage/1000)
	case inBasin:
		b := p.index % len(c.Basins)
		p.at, where = c.Basins[b].Lowest, c.Basins[b].Name
		// The first of a basin watches its lowest place, the others the streets
		// around it, which lie a little higher.
		if p.index >= len(c.Basins) && len(s.low[b]) > 0 {
			sp := s.low[b][mix(p.salt, 5)%uint64(len(s.low[b]))]
			p.at, p.class, where = sp.at, sp.class, sp.name
			p.kerb = 0.02 + 0.22*unit(mix(p.salt, 6))
		}
		p.basin = b
	case onMast:
		w := &c.Wards[p.index%len(c.Wards)]
		p.at, where = w.Centre, w.Name
	case onRoute:
		p.route = p.index % len(c.Routes)
		r := c.Routes[p.route]
		p.at, where = r.Line[0], r.Name
	}
	if p.basin < 0 && !p.kind.moving {
		if p.basin = s.world.basinAt(p.at); p.basin >= 0 {
			p.kerb = 0.10 * unit(mix(p.salt, 6))
		}
	}
	for i := range c.Feeders {
		if contains(c.Feeders[i].Shape, p.at) {
			p.feeder = i
			break
		}
	}
	p.name = fmt.Sprintf("%s %02d", p.kind.label, p.index+1)
	if where != "" {
		p.name += " – " + where
	}
}
