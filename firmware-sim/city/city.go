// Package city makes up a delta city. The same seed gives the same city, byte
// for byte, on machines of one architecture (others may round differently).
//
// The city lies at the coordinates of the former Nam Định because a map needs a
// latitude, but nothing in it exists: the river Sông Vọng, the wards, their
// codes and every street line are generated, and everything written out is
// marked simulated. It serves where real boundaries may not be shipped: the
// demonstration, the tests, and the simulated devices that live in it.
//
// What holds, and is tested: the wards tessellate the city exactly (neighbours
// share their vertices, so a point belongs to one ward), borders follow the
// river and the main roads, buildings stand beside streets and off the water,
// bus routes run along streets, chainage grows downstream.
package city

import (
	"math/rand/v2"

	"github.com/paulmach/orb"
)

// Options bound the city. The zero value is the demonstration city.
type Options struct {
	// Centre of the old town; 106.168 E, 20.434 N when zero.
	Centre orb.Point
	// MaxBuildings bounds how many buildings are raised, 80,000 when zero. Beside
	// Buildings and Fields, which lie between them, it changes nothing.
	MaxBuildings int
}

// City is generated geometry, WGS 84 degrees. It is not changed after Generate,
// so any number of goroutines may read it.
type City struct {
	Seed   uint64
	Name   string // "Thành phố Vọng Lâu (mô phỏng)"
	Centre orb.Point
	Bound  orb.Bound // of the wards

	Wards     []Ward
	River     Reach   // Sông Vọng, through the whole city
	Canals    []Reach // smaller water courses that drain into it
	Water     []Area  // surfaces: river, canals, lakes, ponds
	Parks     []Area
	Fields    []Area // rice fields and other open land
	Streets   []Street
	Buildings []Building
	Routes    []Route
	Basins    []Basin
	Feeders   []Feeder
	Gateways  []Site // masts where a network gateway stands

	ground terrain
}

// Ward is one administrative unit. Code is "VL-01" and up.
type Ward struct {
	Code, Name string // Name with its type: "Phường Cầu Gỗ"
	Urban      bool   // phường (true) or xã
	Population int
	Shape      orb.Polygon
	Centre     orb.Point // inside Shape
}

// Reach is a water course as a line with chainage: metres along it from its
// upstream end, one entry per vertex.
type Reach struct {
	Name     string
	Line     orb.LineString
	Chainage []float64
	Width    float64 // metres, typical
}

// Area is a named surface. Kind is "river", "canal", "lake", "pond", "park",
// "square", "cemetery", "rice" or "garden".
type Area struct {
	Name, Kind string
	Shape      orb.Polygon
}

// Class is a street's place in the hierarchy.
type Class string

// The classes, from the widest to the narrowest.
const (
	Highway Class = "highway" // quốc lộ
	Ring    Class = "ring"    // đường vành đai
	Avenue  Class = "avenue"  // đại lộ, đường chính
	Road    Class = "street"  // phố
	Alley   Class = "alley"   // ngõ
)

// Street is one named line of one class. A piece on a bridge is a Street of its
// own with Bridge set, under the name of the bridge.
type Street struct {
	Name   string
	Class  Class
	Bridge bool
	Width  float64 // metres, kerb to kerb
	Line   orb.LineString
}

// Building is one footprint.
type Building struct {
	Kind   string  // "house", "block", "hall", "public"
	Height float64 // metres
	Shape  orb.Polygon
}

// Route is a bus route: Line runs along Streets from the first stop to the
// last, and a bus goes back the same way.
type Route struct {
	Code, Name string
	Line       orb.LineString
	Length     float64 // metres
	Stops      []Stop
}

// Stop is one stop of a route, Distance metres from the line's start.
type Stop struct {
	Code, Name string
	At         orb.Point
	Distance   float64
}

// Basin is low ground that water runs to and leaves slowly.
type Basin struct {
	Code, Name string
	Shape      orb.Polygon
	Lowest     orb.Point // its deepest place, on a street
	Floor      float64   // elevation of Lowest, metres above datum
	Drainage   float64   // mm/h of rain its drains carry away
}

// Feeder is the zone one 22 kV feeder serves.
type Feeder struct {
	Code, Name string
	Shape      orb.Polygon
	Substation orb.Point
	Customers  int
}

// Site is a place for equipment.
type Site struct {
	Code, Name string
	At         orb.Point
}

// RandomStreetPoint draws a place beside a street, at the kerb, inside the
// wards; longer streets are drawn more often. classes narrows the choice, none
// means all; where there is no such street, the centre and nil are returned.
func (c *City) RandomStreetPoint(rng *rand.Rand, classes ...Class) (orb.Point, *Street) {
	return c.ground.streetPoint(c, rng, classes)
}

// Elevation gives the ground's height in metres above datum. Delta ground is
// nearly flat: about 1 m in a basin, 3 m in town, 5 m on the dyke.
func (c *City) Elevation(lon, lat float64) float64 { return c.ground.elevation(orb.Point{lon, lat}) }

// WardAt gives the ward a place lies in, nil outside the city.
func (c *City) WardAt(p orb.Point) *Ward { return c.ground.wardAt(c, p) }

// At gives the place at a chainage, held to the ends of the reach.
func (r *Reach) At(chainage float64) orb.Point { return along(r.Line, r.Chainage, chainage) }

// Length is the chainage of the downstream end.
func (r *Reach) Length() float64 {
	if len(r.Chainage) == 0 {
		return 0
	}
	return r.Chainage[len(r.Chainage)-1]
}
