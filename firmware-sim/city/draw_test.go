package city

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/paulmach/orb"
)

// TestDraw writes the city as an SVG picture to the file VONGLAU_DRAW names.
func TestDraw(t *testing.T) {
	name := os.Getenv("VONGLAU_DRAW")
	if name == "" {
		t.Skip("set VONGLAU_DRAW to a file name to see the city")
	}
	c := grow(7)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	const size = 1400.0
	zoom, cx, cy := 1.0, 0.0, 0.0
	fmt.Sscanf(os.Getenv("VONGLAU_DRAW_VIEW"), "%g,%g,%g", &zoom, &cx, &cy)
	xy := func(p orb.Point) string {
		m := c.ground.plane.metres(p)
		s := size / (2 * half) * zoom
		return fmt.Sprintf("%.1f,%.1f ", size/2+(m[0]-cx)*s, size/2-(m[1]-cy)*s)
	}
	path := func(pts []orb.Point) (s string) {
		for i, p := range pts {
			if i == 0 {
				s += "M"
			} else {
				s += "L"
			}
			s += xy(p)
		}
		return s
	}
	polygon := func(p orb.Polygon, style string) {
		s := ""
		for _, r := range p {
			s += path(r) + "Z"
		}
		fmt.Fprintf(w, `<path d="%s" %s/>`+"\n", s, style)
	}
	px := size / (2 * half) * zoom
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g"><rect width="100%%" height="100%%" fill="#0f141b"/>`, size, size)
	for _, a := range c.Fields {
		fill := "#121a1d"
		if a.Kind == "garden" {
			fill = "#131e1c"
		}
		polygon(a.Shape, `fill="`+fill+`"`)
	}
	for _, a := range c.Parks {
		polygon(a.Shape, `fill="#16271f"`)
	}
	for _, a := range c.Water {
		polygon(a.Shape, `fill="#173048"`)
	}
	for _, b := range c.Buildings {
		polygon(b.Shape, `fill="#242d38"`)
	}
	for _, cl := range []struct {
		class  Class
		colour string
		least  float64
	}{{Alley, "#26303b", 0.35}, {Road, "#323e4b", 0.6}, {Avenue, "#44525f", 1.2}, {Ring, "#566472", 1.8}, {Highway, "#66717c", 2.1}} {
		for _, s := range c.Streets {
			if s.Class == cl.class {
				fmt.Fprintf(w, `<path d="%s" fill="none" stroke="%s" stroke-width="%.2f" stroke-linecap="round"/>`+"\n", path(s.Line), cl.colour, max(cl.least, s.Width*px))
			}
		}
	}
	for _, b := range c.Basins {
		polygon(b.Shape, `fill="#3f8fe0" fill-opacity="0.18" stroke="#3f8fe0" stroke-width="0.7" stroke-dasharray="3 2"`)
	}
	for i, r := range c.Routes {
		fmt.Fprintf(w, `<path d="%s" fill="none" stroke="hsl(%d,45%%,55%%)" stroke-width="1" opacity="0.7"/>`, path(r.Line), i*45)
		for _, s := range r.Stops {
			fmt.Fprintf(w, `<circle cx="%s r="1.6" fill="#9fb0c0"/>`, quote(xy(s.At)))
		}
	}
	for _, wd := range c.Wards {
		polygon(wd.Shape, `fill="none" stroke="#93a4b5" stroke-width="1.1" stroke-dasharray="5 3"`)
	}
	for _, wd := range c.Wards {
		fmt.Fprintf(w, `<text x="%s text-anchor="middle" font-family="sans-serif" font-size="11" fill="#c8d3de">%s</text>`, quoteY(xy(wd.Centre)), wd.Name)
	}
	fmt.Fprintln(w, "</svg>")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d wards, %d streets, %d buildings, %d fields, %d water, %d parks, %d routes, %d basins, %d gateways",
		len(c.Wards), len(c.Streets), len(c.Buildings), len(c.Fields), len(c.Water), len(c.Parks), len(c.Routes), len(c.Basins), len(c.Gateways))
}

func quote(xy string) string {
	var x, y float64
	fmt.Sscanf(xy, "%g,%g", &x, &y)
	return fmt.Sprintf(`%g" cy="%g"`, x, y)
}

func quoteY(xy string) string {
	var x, y float64
	fmt.Sscanf(xy, "%g,%g", &x, &y)
	return fmt.Sprintf(`%g" y="%g"`, x, y)
}
