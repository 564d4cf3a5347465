package city

import "github.com/paulmach/orb"

// Generate makes the city of a seed.
func Generate(seed uint64, o Options) *City {
	if o.Centre == (orb.Point{}) {
		o.Centre = orb.Point{106.168, 20.434}
	}
	if o.MaxBuildings <= 0 {
		o.MaxBuildings = 60000
	}
	c := &City{Seed: seed, Name: "Thành phố Vọng Lâu (mô phỏng)", Centre: o.Centre}
	c.ground.plane = newPlane(o.Centre)
	return c
}
