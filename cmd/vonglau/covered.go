package main

import (
	"math"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// edge is how closely the edge of a drawn area is looked at, in degrees: some
// 200 m. A zone that it cuts a smaller corner off may be missed.
const edge = 0.002

// covered finds the zones that an area covers any of: those of all joined layers
// that a named zone lies in or that lie in it, and those that a drawn ring
// encloses or cuts. A named zone stays although no layer has it.
func covered(layers *geo.Layers, today devices.Date, named []alert.Zone, drawn [][]cap12.Point) []alert.Zone {
	in := map[[2]string]bool{}
	var refs []devices.ZoneRef
	var shapes []orb.Geometry
	for _, z := range named {
		in[[2]string{z.Layer, z.Code}] = true
		for _, known := range layers.Zones(z.Layer, today) {
			if known.Ref.Code == z.Code {
				shapes = append(shapes, known.Geometry)
				refs = layers.Place(known.Label[0], known.Label[1], today, refs)
			}
		}
	}
	for _, ring := range drawn {
		var r orb.Ring
		for _, p := range ring {
			r = append(r, orb.Point{p.Lon, p.Lat})
		}
		shapes = append(shapes, orb.Polygon{r})
		for i := range r {
			a, b := r[i], r[(i+1)%len(r)]
			n := int(min(max(math.Abs(a[0]-b[0]), math.Abs(a[1]-b[1]))/edge, 500)) + 1
			for k := range n {
				part := float64(k) / float64(n)
				refs = layers.Place(a[0]+(b[0]-a[0])*part, a[1]+(b[1]-a[1])*part, today, refs)
			}
		}
	}
	for _, ref := range refs {
		in[[2]string{ref.Layer, ref.Code}] = true
	}
	var out []alert.Zone
	for _, layer := range layers.List() {
		for _, z := range layers.Zones(layer.Name, today) {
			key := [2]string{layer.Name, z.Ref.Code}
			if in[key] || layer.Join && holds(shapes, z.Label) {
				out = append(out, alert.Zone{Layer: layer.Name, Code: z.Ref.Code, Name: z.Name})
				delete(in, key)
			}
		}
	}
	for _, z := range named {
		if in[[2]string{z.Layer, z.Code}] {
			out = append(out, z)
		}
	}
	return out
}

func holds(shapes []orb.Geometry, p orb.Point) bool {
	for _, g := range shapes {
		switch g := g.(type) {
		case orb.Polygon:
			if planar.PolygonContains(g, p) {
				return true
			}
		case orb.MultiPolygon:
			if planar.MultiPolygonContains(g, p) {
				return true
			}
		}
	}
	return false
}
