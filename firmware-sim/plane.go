package firmwaresim

import (
	"math"

	"github.com/paulmach/orb"
)

// metresPerDegree is the length of a degree of latitude on the mean sphere.
const metresPerDegree = math.Pi * orb.EarthRadius / 180

// plane is a flat map of the city in metres around its centre: at 20 km the
// error against the ellipsoid is far below a street's width.
type plane struct {
	centre orb.Point
	cos    float64
}

func newPlane(centre orb.Point) plane {
	return plane{centre, math.Cos(centre.Lat() * math.Pi / 180)}
}

func (p plane) metres(d orb.Point) orb.Point {
	return orb.Point{(d[0] - p.centre[0]) * metresPerDegree * p.cos, (d[1] - p.centre[1]) * metresPerDegree}
}

func (p plane) degrees(m orb.Point) orb.Point {
	return orb.Point{p.centre[0] + m[0]/(metresPerDegree*p.cos), p.centre[1] + m[1]/metresPerDegree}
}

func (p plane) distance(a, b orb.Point) float64 {
	m, n := p.metres(a), p.metres(b)
	return math.Hypot(m[0]-n[0], m[1]-n[1])
}

// track is a line with the distance to each vertex, in metres.
type track struct {
	line  orb.LineString
	along []float64
}

func (p plane) track(line orb.LineString) track {
	t := track{line: line, along: make([]float64, len(line))}
	for i := 1; i < len(line); i++ {
		t.along[i] = t.along[i-1] + p.distance(line[i-1], line[i])
	}
	return t
}

func (t track) length() float64 {
	if len(t.along) == 0 {
		return 0
	}
	return t.along[len(t.along)-1]
}

// at gives the place d metres from the start, held to the ends, and the segment
// it lies on.
func (t track) at(d float64) (orb.Point, int) {
	if len(t.line) < 2 || d <= 0 {
		return t.line[0], 0
	}
	for i := 1; i < len(t.line); i++ {
		if d <= t.along[i] && t.along[i] > t.along[i-1] {
			f := (d - t.along[i-1]) / (t.along[i] - t.along[i-1])
			a, b := t.line[i-1], t.line[i]
			return orb.Point{a[0] + (b[0]-a[0])*f, a[1] + (b[1]-a[1])*f}, i - 1
		}
	}
	return t.line[len(t.line)-1], len(t.line) - 2
}

// heading is the direction of a segment in degrees from north.
func (p plane) heading(t track, segment int) float64 {
	if segment < 0 || segment+1 >= len(t.line) {
		return 0
	}
	a, b := p.metres(t.line[segment]), p.metres(t.line[segment+1])
	return math.Mod(math.Atan2(b[0]-a[0], b[1]-a[1])*180/math.Pi+360, 360)
}
