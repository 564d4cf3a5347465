package city

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/paulmach/orb"
)

// Mark is said wherever the city is shown or written.
const Mark = "mô phỏng / simulated"

// Layers names the layers WriteGeoJSON writes, in drawing order.
func Layers() []string {
	return []string{
		"fields", "parks", "water", "river", "buildings", "streets", "wards",
		"feeders", "flood_basins", "bus_routes", "bus_stops", "gateways",
	}
}

// WriteGeoJSON writes one file per layer into dir, "wards.geojson" and so on,
// making dir when it is missing. Every feature has the properties code, name and
// simulated, and every file says what it is.
func (c *City) WriteGeoJSON(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the city: %w", err)
	}
	for _, name := range Layers() {
		if err := c.writeFile(filepath.Join(dir, name+".geojson"), name); err != nil {
			return fmt.Errorf("write the city's %s: %w", name, err)
		}
	}
	return nil
}

func (c *City) writeFile(path, layer string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return c.WriteLayer(f, layer)
}

// WriteLayer writes one layer as a GeoJSON FeatureCollection (RFC 7946).
func (c *City) WriteLayer(w io.Writer, layer string) error {
	o := &features{w: bufio.NewWriterSize(w, 1<<16)}
	o.text(`{"type":"FeatureCollection","name":` + quoted(layer) + `,"simulated":true,"attribution":` +
		quoted(fmt.Sprintf("%s · %s · seed %d", c.Name, Mark, c.Seed)) + `,"features":[`)
	if !c.features(o, layer) {
		return fmt.Errorf("the city has no layer %q", layer)
	}
	o.text("\n]}\n")
	if o.err != nil {
		return o.err
	}
	return o.w.Flush()
}

func (c *City) features(o *features, layer string) bool {
	areas := func(all []Area, prefix string) {
		for i, a := range all {
			o.add(prefix+strconv.Itoa(i+1), a.Name, a.Shape, "kind", a.Kind)
		}
	}
	switch layer {
	case "wards":
		for _, w := range c.Wards {
			o.add(w.Code, w.Name, w.Shape, "urban", w.Urban, "population", w.Population)
		}
	case "river":
		for i, r := range append([]Reach{c.River}, c.Canals...) {
			kind := "canal"
			if i == 0 {
				kind = "river"
			}
			o.add("R-"+strconv.Itoa(i+1), r.Name, r.Line, "kind", kind, "length", r.Length(), "width", r.Width)
		}
	case "water":
		areas(c.Water, "W-")
	case "parks":
		areas(c.Parks, "P-")
	case "fields":
		areas(c.Fields, "L-")
	case "streets":
		for i, s := range c.Streets {
			o.add("S-"+strconv.Itoa(i+1), s.Name, s.Line, "class", string(s.Class), "bridge", s.Bridge, "width", s.Width)
		}
	case "buildings":
		for i, b := range c.Buildings {
			o.add("H-"+strconv.Itoa(i+1), "", b.Shape, "kind", b.Kind, "height", b.Height)
		}
	case "bus_routes":
		for _, r := range c.Routes {
			o.add(r.Code, r.Name, r.Line, "length", r.Length, "stops", len(r.Stops))
		}
	case "bus_stops":
		for _, r := range c.Routes {
			for _, s := range r.Stops {
				o.add(s.Code, s.Name, s.At, "route", r.Code, "distance", s.Distance)
			}
		}
	case "flood_basins":
		for _, b := range c.Basins {
			o.add(b.Code, b.Name, b.Shape, "floor", b.Floor, "drainage", b.Drainage)
		}
	case "feeders":
		for _, f := range c.Feeders {
			o.add(f.Code, f.Name, f.Shape, "customers", f.Customers)
		}
	case "gateways":
		for _, g := range c.Gateways {
			o.add(g.Code, g.Name, g.At)
		}
	default:
		return false
	}
	return true
}

// features writes features and remembers the first error.
type features struct {
	w   *bufio.Writer
	buf []byte
	n   int
	err error
}

func (o *features) text(s string) {
	if o.err == nil {
		_, o.err = o.w.WriteString(s)
	}
}

// add writes one feature; props are names and values in turn.
func (o *features) add(code, name string, g orb.Geometry, props ...any) {
	b := o.buf[:0]
	if o.n++; o.n > 1 {
		b = append(b, ',')
	}
	b = append(b, "\n{\"type\":\"Feature\",\"properties\":{\"code\":"...)
	b = append(b, quoted(code)...)
	if name != "" {
		b = append(append(b, `,"name":`...), quoted(name)...)
	}
	for i := 0; i < len(props); i += 2 {
		b = append(append(append(b, ','), quoted(props[i].(string))...), ':')
		switch v := props[i+1].(type) {
		case string:
			b = append(b, quoted(v)...)
		case bool:
			b = strconv.AppendBool(b, v)
		case int:
			b = strconv.AppendInt(b, int64(v), 10)
		case float64:
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	b = append(b, `,"simulated":true},"geometry":{"type":"`...)
	b = append(append(b, g.GeoJSONType()...), `","coordinates":`...)
	switch g := g.(type) {
	case orb.Point:
		b = appendPoint(b, g)
	case orb.LineString:
		b = appendPoints(b, g)
	case orb.Polygon:
		b = append(b, '[')
		for i, r := range g {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendPoints(b, r)
		}
		b = append(b, ']')
	}
	b = append(b, "}}"...)
	o.buf = b
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
}

func appendPoints(b []byte, pts []orb.Point) []byte {
	b = append(b, '[')
	for i, p := range pts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPoint(b, p)
	}
	return append(b, ']')
}

func appendPoint(b []byte, p orb.Point) []byte {
	b = strconv.AppendFloat(append(b, '['), p[0], 'f', -1, 64)
	b = strconv.AppendFloat(append(b, ','), p[1], 'f', -1, 64)
	return append(b, ']')
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always encodes
		return `""`
	}
	return string(b)
}
