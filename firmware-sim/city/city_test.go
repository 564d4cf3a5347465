package city

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/geojson"
	"github.com/paulmach/orb/planar"
)

// grown keeps the cities that several tests look at: a city takes seconds.
var grown = map[uint64]*City{}

func grow(seed uint64) *City {
	if grown[seed] == nil {
		grown[seed] = Generate(seed, Options{})
	}
	return grown[seed]
}

func hashOf(t *testing.T, c *City) string {
	t.Helper()
	h := sha256.New()
	for _, layer := range Layers() {
		if err := c.WriteLayer(h, layer); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameSeedSameCity(t *testing.T) {
	a, b, c := grow(7), Generate(7, Options{}), grow(1)
	if hashOf(t, a) != hashOf(t, b) {
		t.Error("two cities of one seed differ")
	}
	if hashOf(t, a) == hashOf(t, c) {
		t.Error("two seeds give one city")
	}
}

// Everything a city promises, for several seeds.
func TestCity(t *testing.T) {
	for _, seed := range []uint64{1, 2, 7} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := grow(seed)
			wards(t, c)
			waters(t, c)
			streets(t, c)
			buildings(t, c)
			buses(t, c)
			basins(t, c)
			counts(t, c)
		})
	}
}

// Wards tessellate: each border is shared by two of them to the bit, or is the
// city's own; no border crosses another; and areas add up.
func wards(t *testing.T, c *City) {
	if n := len(c.Wards); n != 27 {
		t.Errorf("%d wards", n)
	}
	type side struct{ a, b orb.Point }
	sides := map[side]string{}
	names := map[string]bool{}
	var shapes []orb.Polygon
	for _, w := range c.Wards {
		if names[w.Name] || names[w.Code] || w.Name == "" {
			t.Errorf("ward %s %q is named twice or not at all", w.Code, w.Name)
		}
		names[w.Name], names[w.Code] = true, true
		if !planar.PolygonContains(w.Shape, w.Centre) {
			t.Errorf("%s: its centre is outside", w.Name)
		}
		shapes = append(shapes, w.Shape)
	}
	for k, shape := range shapes {
		for i, r := range shape {
			if !r.Closed() || len(r) < 4 || (r.Orientation() == orb.CCW) != (i == 0) {
				t.Errorf("%s: ring %d: closed %v, %d points, orientation %v", c.Wards[k].Name, i, r.Closed(), len(r), r.Orientation())
			}
			for j := 1; j < len(r); j++ {
				s := side{r[j-1], r[j]}
				if other, ok := sides[s]; ok {
					t.Fatalf("%s and %s both have the border %v on their left", c.Wards[k].Name, other, s)
				}
				sides[s] = c.Wards[k].Name
			}
		}
	}
	var all []side
	outer, area := 0.0, 0.0
	for s := range sides {
		if _, ok := sides[side{s.b, s.a}]; !ok {
			outer += s.a[0]*s.b[1] - s.b[0]*s.a[1]
		}
		area += s.a[0]*s.b[1] - s.b[0]*s.a[1]
		if s.a[0] < s.b[0] || s.a[0] == s.b[0] && s.a[1] < s.b[1] {
			all = append(all, s)
		} else if _, ok := sides[side{s.b, s.a}]; !ok {
			all = append(all, side{s.b, s.a})
		}
	}
	if math.Abs(outer-area) > 1e-12 {
		t.Errorf("wards cover %g, the city's outline %g", area, outer)
	}
	turn := func(a, b, c orb.Point) float64 { return (b[0]-a[0])*(c[1]-a[1]) - (b[1]-a[1])*(c[0]-a[0]) }
	for i, s := range all {
		for _, u := range all[i+1:] {
			if u.a[0] > s.b[0] || s.a[0] > u.b[0] || s.a == u.a || s.a == u.b || s.b == u.a || s.b == u.b {
				continue
			}
			if turn(s.a, s.b, u.a)*turn(s.a, s.b, u.b) < 0 && turn(u.a, u.b, s.a)*turn(u.a, u.b, s.b) < 0 {
				t.Errorf("borders %v and %v cross", s, u)
			}
		}
	}
	// Most of the river inside the city is a border.
	near, n := 0, 0
	for _, p := range c.River.Line {
		if c.WardAt(p) == nil {
			continue
		}
		n++
		for s := range sides {
			if planar.DistanceFromSegment(s.a, s.b, p) < 0.0004 {
				near++
				break
			}
		}
	}
	if near*10 < n*8 {
		t.Errorf("a border runs along %d of %d places of the river", near, n)
	}
}

func waters(t *testing.T, c *City) {
	for _, r := range append([]Reach{c.River}, c.Canals...) {
		if len(r.Line) != len(r.Chainage) || r.Chainage[0] != 0 {
			t.Fatalf("%s: %d points, %d chainages", r.Name, len(r.Line), len(r.Chainage))
		}
		for i := 1; i < len(r.Chainage); i++ {
			if r.Chainage[i] <= r.Chainage[i-1] {
				t.Fatalf("%s: chainage falls at %d", r.Name, i)
			}
		}
		if r.At(-5) != r.Line[0] || r.At(1e9) != r.Line[len(r.Line)-1] {
			t.Errorf("%s: places beyond its ends", r.Name)
		}
	}
	mid := c.River.At(c.River.Length() / 2)
	if e := c.Elevation(mid[0], mid[1]); e > 0 {
		t.Errorf("the river's bed lies at %g m", e)
	}
}

func streets(t *testing.T, c *City) {
	bridges, classes := map[string]bool{}, map[Class]int{}
	for _, s := range c.Streets {
		if s.Name == "" || len(s.Line) < 2 || s.Width <= 0 {
			t.Fatalf("street %+v", s)
		}
		if classes[s.Class]++; s.Bridge {
			bridges[s.Name] = true
		}
	}
	for _, k := range []Class{Highway, Ring, Avenue, Road, Alley} {
		if classes[k] == 0 {
			t.Errorf("no %s", k)
		}
	}
	if !bridges[riverBridges[0]] || len(bridges) < 4 {
		t.Errorf("bridges %v", bridges)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		p, s := c.RandomStreetPoint(rng, Avenue, Road)
		if s == nil || s.Bridge || s.Class != Avenue && s.Class != Road || c.WardAt(p) == nil {
			t.Fatalf("RandomStreetPoint = %v on %+v", p, s)
		}
	}
}

// Buildings stand clear of water and of each other.
func buildings(t *testing.T, c *City) {
	for i := 0; i < len(c.Buildings); i += 97 {
		at := c.Buildings[i].Shape.Bound().Center()
		for _, w := range c.Water {
			if w.Shape.Bound().Contains(at) && planar.PolygonContains(w.Shape, at) {
				t.Errorf("building %d stands in %s %s", i, w.Kind, w.Name)
			}
		}
	}
	cells := map[[2]int][]int{}
	for i, b := range c.Buildings {
		m := b.Shape.Bound().Center()
		k := [2]int{int(m[0] * 2000), int(m[1] * 2000)}
		for _, j := range cells[k] {
			if planar.PolygonContains(c.Buildings[j].Shape, m) {
				t.Fatalf("buildings %d and %d stand on each other", i, j)
			}
		}
		cells[k] = append(cells[k], i)
	}
}

func buses(t *testing.T, c *City) {
	if n := len(c.Routes); n < 6 {
		t.Errorf("%d bus routes", n)
	}
	for _, r := range c.Routes {
		if r.Length < 1500 || len(r.Stops) < 4 {
			t.Errorf("route %s: %g m, %d stops", r.Code, r.Length, len(r.Stops))
		}
		for i, s := range r.Stops {
			if i > 0 && s.Distance <= r.Stops[i-1].Distance {
				t.Errorf("route %s: stop %d does not follow the one before", r.Code, i)
			}
			if planar.DistanceFrom(r.Line, s.At)*111000 > 25 {
				t.Errorf("route %s: stop %s is off the line", r.Code, s.Name)
			}
		}
		for i := 1; i < len(r.Line); i++ { // no leap between streets
			a, b := c.ground.plane.metres(r.Line[i-1]), c.ground.plane.metres(r.Line[i])
			if dist(a, b) > 2*stride+1 {
				t.Errorf("route %s leaps %g m", r.Code, dist(a, b))
			}
		}
	}
}

func basins(t *testing.T, c *City) {
	for _, b := range c.Basins {
		if !planar.PolygonContains(b.Shape, b.Lowest) {
			t.Errorf("basin %s: its lowest place is outside", b.Name)
		}
		rim := c.Elevation(b.Shape[0][0][0], b.Shape[0][0][1])
		if b.Floor >= rim || b.Floor < 0 {
			t.Errorf("basin %s: floor %g, rim %g", b.Name, b.Floor, rim)
		}
	}
}

func counts(t *testing.T, c *City) {
	for name, tt := range map[string]struct{ got, least int }{
		"buildings": {len(c.Buildings), 40000},
		"streets":   {len(c.Streets), 500},
		"lakes":     {len(c.Water), 50},
		"parks":     {len(c.Parks), 15},
		"fields":    {len(c.Fields), 1000},
		"basins":    {len(c.Basins), 6},
		"feeders":   {len(c.Feeders), 16},
		"gateways":  {len(c.Gateways), 27},
	} {
		if tt.got < tt.least {
			t.Errorf("%d %s, want %d", tt.got, name, tt.least)
		}
	}
}

// A simulator that needs no houses lives in the same city.
func TestMaxBuildings(t *testing.T) {
	few, many := Generate(7, Options{MaxBuildings: 500}), grow(7)
	if n := len(few.Buildings); n != 500 {
		t.Errorf("%d buildings, want 500", n)
	}
	for _, layer := range Layers() {
		if layer == "buildings" || layer == "fields" {
			continue
		}
		var a, b bytes.Buffer
		if err := errors.Join(few.WriteLayer(&a, layer), many.WriteLayer(&b, layer)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s differ with the number of buildings", layer)
		}
	}
}

// Every layer is GeoJSON that says of itself and of each feature that it is
// simulated.
func TestWriteGeoJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	c := grow(7)
	if err := c.WriteGeoJSON(dir); err != nil {
		t.Fatal(err)
	}
	for _, layer := range Layers() {
		b, err := os.ReadFile(filepath.Join(dir, layer+".geojson"))
		if err != nil {
			t.Fatal(err)
		}
		fc, err := geojson.UnmarshalFeatureCollection(b)
		if err != nil {
			t.Fatalf("%s: %v", layer, err)
		}
		if fc.ExtraMembers["simulated"] != true || !strings.Contains(fmt.Sprint(fc.ExtraMembers["attribution"]), Mark) {
			t.Errorf("%s: members %v", layer, fc.ExtraMembers)
		}
		codes := map[any]bool{}
		for _, f := range fc.Features {
			code := f.Properties["code"]
			if f.Properties["simulated"] != true || code == nil || codes[code] {
				t.Fatalf("%s: properties %v", layer, f.Properties)
			}
			codes[code] = true
		}
		if len(fc.Features) == 0 {
			t.Errorf("%s is empty", layer)
		}
	}
	if err := c.WriteLayer(&bytes.Buffer{}, "volcanoes"); err == nil {
		t.Error("a layer that is not there was written")
	}
	if err := c.WriteGeoJSON(filepath.Join(dir, "wards.geojson", "x")); err == nil {
		t.Error("a directory inside a file was made")
	}
	if !json.Valid([]byte(quoted("Cầu \"Vọng\"\n"))) {
		t.Error("names are not escaped")
	}
}
