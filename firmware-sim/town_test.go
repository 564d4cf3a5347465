package firmwaresim

import (
	"fmt"

	"github.com/paulmach/orb"

	"vonglau/firmware-sim/city"
)

// town is a small city drawn by hand: a river from west to east, a grid of
// streets, four basins, four feeders.
func town() *city.City {
	c := &city.City{Seed: 1, Name: "Thử nghiệm", Centre: orb.Point{106.168, 20.434}}
	p := newPlane(c.Centre)
	at := func(x, y float64) orb.Point { return p.degrees(orb.Point{x, y}) }
	box := func(x, y, half float64) orb.Polygon {
		return orb.Polygon{{at(x-half, y-half), at(x+half, y-half), at(x+half, y+half), at(x-half, y+half), at(x-half, y-half)}}
	}
	c.Bound = box(0, 0, 5000).Bound()
	for i := range 4 {
		x, y := float64(i%2)*5000-2500, float64(i/2)*5000-2500
		c.Wards = append(c.Wards, city.Ward{Code: fmt.Sprintf("VL-%02d", i+1), Name: fmt.Sprintf("Phường %d", i+1), Shape: box(x, y, 2500), Centre: at(x, y)})
		c.Basins = append(c.Basins, city.Basin{Code: fmt.Sprintf("B%d", i+1), Name: fmt.Sprintf("Vùng trũng %d", i+1), Shape: box(x, y, 400), Lowest: at(x, y), Floor: 1, Drainage: 30})
		c.Feeders = append(c.Feeders, city.Feeder{Code: fmt.Sprintf("F%d", i+1), Shape: box(x, y, 2500), Substation: at(x, y)})
	}
	c.River = city.Reach{Name: "Sông Thử", Width: 120}
	for i := range 11 {
		c.River.Line = append(c.River.Line, at(float64(i)*1000-5000, 300))
		c.River.Chainage = append(c.River.Chainage, float64(i)*1000)
	}
	for i := range 9 {
		d := float64(i)*1250 - 5000
		class := city.Road
		if i%2 == 0 {
			class = city.Avenue
		}
		c.Streets = append(c.Streets,
			city.Street{Name: fmt.Sprintf("Phố ngang %d", i+1), Class: class, Line: orb.LineString{at(-5000, d), at(5000, d)}},
			city.Street{Name: fmt.Sprintf("Phố dọc %d", i+1), Class: class, Line: orb.LineString{at(d, -5000), at(d, 5000)}})
	}
	for i := range 2 {
		line := orb.LineString{at(-4000, float64(i)*5000-2500), at(4000, float64(i)*5000-2500)}
		c.Routes = append(c.Routes, city.Route{Code: fmt.Sprintf("R%d", i+1), Name: fmt.Sprintf("Tuyến %d", i+1), Line: line, Length: 8000,
			Stops: []city.Stop{{Distance: 0}, {Distance: 2000}, {Distance: 4000}, {Distance: 6000}, {Distance: 8000}}})
	}
	for i := range 4 {
		c.Gateways = append(c.Gateways, city.Site{Code: fmt.Sprintf("G%d", i+1), At: c.Wards[i].Centre})
	}
	return c
}
