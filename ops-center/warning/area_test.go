package warning

import (
	"math"
	"testing"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"
	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/ops-center/cap12"
)

func counter(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// coast is a ring with as many points as a surveyed ward has, rough all round.
func coast(n int, lon, lat, r float64) orb.Ring {
	ring := make(orb.Ring, 0, n+1)
	for i := range n {
		a := 2 * math.Pi * float64(i) / float64(n)
		d := r * (1 + 0.15*math.Sin(7*a) + 0.02*math.Sin(float64(n)/3*a))
		ring = append(ring, orb.Point{lon + d*math.Cos(a), lat + d*math.Sin(a)})
	}
	return append(ring, ring[0])
}

func TestOutline(t *testing.T) {
	islands := orb.MultiPolygon{}
	for i := range 60 {
		islands = append(islands, orb.Polygon{coast(40, 106+float64(i%10)*0.02, 20.2+float64(i/10)*0.02, 0.004+float64(i)*1e-5)})
	}
	hole := orb.Polygon{coast(50, 106.2, 20.4, 0.05), coast(20, 106.2, 20.4, 0.01)}
	for name, tt := range map[string]struct {
		g      orb.Geometry
		parts  int
		within float64 // share of the area that may be gained or lost
	}{
		"a square":        {orb.Polygon{{{106, 20}, {106.1, 20}, {106.1, 20.1}, {106, 20.1}, {106, 20}}}, 1, 0},
		"a surveyed ward": {orb.Polygon{coast(20_000, 106.2, 20.4, 0.05)}, 1, 0.02},
		"a hole":          {hole, 1, 0.06},
		"an archipelago":  {islands, maxParts, 20},
		"two":             {orb.MultiPolygon{{coast(300, 106.1, 20.4, 0.02)}, {coast(300, 106.3, 20.4, 0.01)}}, 2, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := outline(tt.g)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tt.parts {
				t.Errorf("%d parts, want %d", len(got), tt.parts)
			}
			sum := 0.0
			for _, p := range got {
				if len(p) > maxRing || len(p) < 4 || p[0] != p[len(p)-1] {
					t.Errorf("a ring of %d points", len(p))
				}
				if at, yes := cap12.Crossing(p); yes {
					t.Errorf("it crosses itself at %v", at)
				}
				ring := make(orb.Ring, len(p))
				for i, q := range p {
					ring[i] = orb.Point{q.Lon, q.Lat}
				}
				sum += math.Abs(planar.Area(ring))
			}
			want := math.Abs(planar.Area(tt.g))
			if change := sum/want - 1; math.Abs(change) > tt.within+1e-6 {
				t.Errorf("the area changed by %.3f", change)
			}
		})
	}
	for name, g := range map[string]orb.Geometry{
		"a line": orb.LineString{{106, 20}, {107, 20}}, "nothing": orb.MultiPolygon{}, "an empty one": orb.Polygon{},
		"a speck": orb.Polygon{{{106, 20}, {106.0000001, 20}, {106.0000001, 20.0000001}, {106, 20}}},
	} {
		if got, err := outline(g); err == nil {
			t.Errorf("%s has the outline %v", name, got)
		}
	}
}

// TestHullCovers: the hull leaves nobody out.
func TestHullCovers(t *testing.T) {
	pts := []orb.Point(coast(500, 106, 20, 0.1))
	h := hull(pts)
	for _, p := range pts {
		if !planar.RingContains(h, p) {
			t.Fatalf("%v is outside", p)
		}
	}
	if hull(pts[:2]) != nil {
		t.Error("two points have no hull")
	}
}
