package geo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/paulmach/orb"
)

var delta = orb.Bound{Min: orb.Point{105, 19}, Max: orb.Point{108, 22}}

// What an import says about each thing that can be wrong with a feature.
func TestImportProblems(t *testing.T) {
	good := "G " + box(106, 20, 107, 21)
	for _, tt := range []struct {
		name     string
		geojson  string
		opts     ImportOptions
		want     string // kind/action of each problem
		imported int
	}{
		{"nothing wrong", featuresOf(good), ImportOptions{Join: true}, "", 1},
		{"open ring", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[107,21]]]}`), ImportOptions{}, "open_ring/mended", 1},
		{"clockwise", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,21],[107,20],[106,20]]]}`), ImportOptions{}, "orientation/mended", 1},
		{"repeated", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[107,20],[107,21],[106,20]]]}`), ImportOptions{}, "repeated_positions/mended", 1},
		{"two corners", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[106,20]]]}`, good), ImportOptions{}, "short_ring/refused", 1},
		{"flat ring", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[106.5,20],[107,20],[106,20]]]}`, good), ImportOptions{}, "short_ring/refused", 1},
		{"empty polygon", featuresOf(`A {"type":"Polygon","coordinates":[]}`, good), ImportOptions{}, "no_geometry/refused", 1},
		{"empty ring", featuresOf(`A {"type":"Polygon","coordinates":[[]]}`, good), ImportOptions{}, "short_ring/refused", 1},
		{"empty multipolygon", featuresOf(`A {"type":"MultiPolygon","coordinates":[]}`, good), ImportOptions{}, "no_geometry/refused", 1},
		{"null geometry", featuresOf(`A null`, good), ImportOptions{}, "no_geometry/refused", 1},
		{"collection", featuresOf(`A {"type":"GeometryCollection","geometries":[]}`, good), ImportOptions{}, "unreadable/refused", 1},
		{"text for a number", featuresOf(`A {"type":"Point","coordinates":["106","20"]}`, good), ImportOptions{}, "unreadable/refused", 1},
		{"too deep", featuresOf(`A {"type":"Point","coordinates":[[106,20]]}`, good), ImportOptions{}, "unreadable/refused", 1},
		{"overflow", featuresOf(`A {"type":"Point","coordinates":[1e999,20]}`, good), ImportOptions{}, "unreadable/refused", 1},
		{"hole without area", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[107,21],[106,20]],[[106.5,20.1],[106.6,20.1],[106.5,20.1]]]}`), ImportOptions{}, "empty_hole/mended", 1},
		{"latitude first, plainly", featuresOf(`A {"type":"Polygon","coordinates":[[[20,106],[21,106],[21,107],[20,106]]]}`, good), ImportOptions{}, "swapped_coordinates/refused", 1},
		{"latitude first, by the area", featuresOf(`A {"type":"Point","coordinates":[20.5,88.5]}`, `B {"type":"Point","coordinates":[20.4,106.2]}`, `C {"type":"Point","coordinates":[106.2,20.4]}`), ImportOptions{}, "outside_area/kept swapped_coordinates/refused", 2},
		{"metres", featuresOf(`A {"type":"Point","coordinates":[560000,2260000]}`, `B {"type":"Point","coordinates":[106,20]}`), ImportOptions{}, "out_of_bounds/refused", 1},
		{"no such longitude", featuresOf(`A {"type":"Point","coordinates":[200,20]}`, `B {"type":"Point","coordinates":[106,20]}`), ImportOptions{}, "out_of_bounds/refused", 1},
		{"bow tie", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,21],[107,20],[106,20.5],[106,20]]]}`), ImportOptions{}, "orientation/mended self_intersection/kept", 1},
		{"spike", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[107.5,20],[107,20],[107,21],[106,20]]]}`), ImportOptions{}, "self_intersection/kept", 1},
		{"touching rings are fine", featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,20],[107,21],[106,21],[106,20]],[[106,20],[106.2,20.8],[106.8,20.8],[106,20]]]}`), ImportOptions{}, "", 1},
		{"no code in a joined layer", featuresOf(" "+box(106, 20, 107, 21), good), ImportOptions{Join: true}, "no_code/refused", 1},
		{"no code elsewhere", featuresOf(" " + box(106, 20, 107, 21)), ImportOptions{}, "", 1},
		{"same code in a joined layer", featuresOf(good, good), ImportOptions{Join: true}, "duplicate_code/refused", 1},
		{"same code elsewhere", featuresOf(good, good), ImportOptions{}, "duplicate_code/kept", 2},
		{"overlap", featuresOf(good, "H "+box(106.2, 20.2, 107.2, 21.2)), ImportOptions{Join: true}, "overlap/kept", 2},
		{"two kinds", featuresOf(good, `P {"type":"Point","coordinates":[106,20]}`), ImportOptions{}, "other_kind/refused", 1},
	} {
		tt.opts.SkipBad = true
		l := open(t, newMemory(), Options{Area: delta})
		rep, err := l.Import(t.Context(), "x", strings.NewReader(tt.geojson), tt.opts)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got []string
		refused := 0
		for _, p := range rep.Problems {
			got = append(got, p.Kind+"/"+string(p.Action))
			if p.Detail == "" {
				t.Errorf("%s: a problem without detail: %+v", tt.name, p)
			}
			if p.Action == Refused {
				refused++
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want || rep.Imported != tt.imported || rep.Refused != refused {
			t.Errorf("%s: got %q, %d imported, %d refused; want %q, %d", tt.name, strings.Join(got, " "), rep.Imported, rep.Refused, tt.want, tt.imported)
		}
		if refused == 0 {
			continue
		}
		// Without SkipBad the same file changes nothing.
		tt.opts.SkipBad = false
		strict := open(t, newMemory(), Options{Area: delta})
		if _, err := strict.Import(t.Context(), "x", strings.NewReader(tt.geojson), tt.opts); !errors.Is(err, ErrInvalid) || len(strict.List()) != 0 {
			t.Errorf("%s: without SkipBad: %v, %d layers; want ErrInvalid and none", tt.name, err, len(strict.List()))
		}
	}
}

func TestImportRefusesFile(t *testing.T) {
	ok := featuresOf("G " + box(106, 20, 107, 21))
	for name, tt := range map[string]struct {
		layer, geojson string
		opts           ImportOptions
	}{
		"empty":             {"x", "", ImportOptions{}},
		"not JSON":          {"x", "<kml/>", ImportOptions{}},
		"cut off":           {"x", ok[:len(ok)-20], ImportOptions{}},
		"something follows": {"x", ok + "{}", ImportOptions{}},
		"an array":          {"x", "[]", ImportOptions{}},
		"features a number": {"x", `{"type":"FeatureCollection","features":7}`, ImportOptions{}},
		"no features":       {"x", `{"type":"FeatureCollection","features":[]}`, ImportOptions{}},
		"a topology":        {"x", `{"type":"Topology","objects":{}}`, ImportOptions{}},
		"another system":    {"x", `{"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"EPSG:9205"}},"features":[]}`, ImportOptions{}},
		"layer name":        {"../x", ok, ImportOptions{}},
		"no such day":       {"x", ok, ImportOptions{ValidFrom: "2025-02-30"}},
		"another calendar":  {"x", ok, ImportOptions{ValidFrom: "01/07/2025"}},
		"ends before":       {"x", ok, ImportOptions{ValidFrom: "2025-07-01", ValidTo: "2025-06-30"}},
		"too far":           {"x", ok, ImportOptions{Within: 1e6}},
		"too large":         {"x", strings.Repeat(" ", 5000) + ok, ImportOptions{}},
	} {
		l := open(t, newMemory(), Options{MaxImport: 4096})
		_, err := l.Import(t.Context(), tt.layer, strings.NewReader(tt.geojson), tt.opts)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if len(l.List()) != 0 {
			t.Errorf("%s: left a layer", name)
		}
	}
}

// An upload that breaks off is not the file's fault.
func TestImportReaderFails(t *testing.T) {
	l := open(t, newMemory(), Options{})
	broken := errors.New("connection reset")
	text := featuresOf("G " + box(106, 20, 107, 21))
	_, err := l.Import(t.Context(), "x", io.MultiReader(strings.NewReader(text[:60]), failing{broken}), ImportOptions{})
	if !errors.Is(err, broken) || errors.Is(err, ErrInvalid) {
		t.Errorf("error %v, want the reader's own", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestImportCancelled(t *testing.T) {
	l := open(t, newMemory(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf(`%d {"type":"Point","coordinates":[106,20]}`, i))
	}
	_, err := l.Import(ctx, "x", strings.NewReader(featuresOf(lines...)), ImportOptions{
		Progress: func(_ int64, features int) {
			if features == 2*progressEvery {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || len(l.List()) != 0 {
		t.Errorf("error %v, %d layers; want context.Canceled and none", err, len(l.List()))
	}
}

func TestImportText(t *testing.T) {
	l := open(t, newMemory(), Options{})
	// The name has its marks apart (NFD); numbers and ids serve as codes.
	nfd := "Nam \u0110i\u0323nh"
	load(t, l, "a", `{"type":"FeatureCollection","simulated":true,"attribution":"mô phỏng","features":[
		{"type":"Feature","properties":{"ma":13669,"ten":"`+nfd+`","deep":{"x":1},"area":19.91,"city":true,"note":null},"geometry":`+box(106, 20, 107, 21)+`}]}`,
		ImportOptions{Code: "ma", Name: "ten", Join: true})
	z := l.Zones("a", "")[0]
	if z.Ref.Code != "13669" || z.Name != "Nam \u0110\u1ecbnh" {
		t.Errorf("code %q, name %q", z.Ref.Code, z.Name)
	}
	if got := fmt.Sprint(z.Properties); got != "map[area:19.91 city:true ma:13669 ten:Nam \u0110\u1ecbnh]" {
		t.Errorf("properties %s", got)
	}
	info := l.List()[0]
	if !info.Simulated || info.Attribution != "mô phỏng" {
		t.Errorf("List = %+v", info)
	}
	load(t, l, "b", `{"type":"Feature","id":"x-1","properties":{"simulated":true},"geometry":{"type":"Point","coordinates":[106,20,3.5]}}`, ImportOptions{})
	if z := l.Zones("b", "")[0]; z.Ref.Code != "x-1" || z.Name != "x-1" {
		t.Errorf("a single feature: %+v", z)
	}
	if !l.List()[1].Simulated {
		t.Error("all features are simulated, the layer is not")
	}
}

// A file made to be slow to check is checked in bounded time.
func TestTangledPolygonIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`A {"type":"Polygon","coordinates":[[[106,20]`)
	const n = 5000
	for i := range n {
		fmt.Fprintf(&b, ",[%g,%g]", 106+float64(i%2), 20+float64(i+1)/n) // every edge spans the whole width
	}
	b.WriteString(",[106,20]]]}")
	l := open(t, newMemory(), Options{})
	rep := load(t, l, "x", featuresOf(b.String()), ImportOptions{Join: true})
	if rep.Counts[problemCrossing] == 0 {
		t.Errorf("nothing was said about it: %+v", rep)
	}
}

// Whatever the bytes, an import answers with a report or an error, and what it
// took can be stored, read again with the same answers, placed in and drawn.
func FuzzImport(f *testing.F) {
	for _, s := range []string{
		featuresOf("A "+box(106, 20, 107, 21), "B "+box(107, 20, 108, 21)),
		featuresOf(`A {"type":"LineString","coordinates":[[106,20],[107,21],[107,21]]}`),
		featuresOf(`A {"type":"MultiPoint","coordinates":[[106,20],[-180,90]]}`),
		featuresOf(`A {"type":"Polygon","coordinates":[[[106,20],[107,21],[107,20],[106,20.5],[106,20]],[[1,2],[3,4],[1,4]]]}`),
		featuresOf(`A {"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9],[0,0]],[[-2,2],[2,7],[7,7],[-2,2]]],[]]}`),
		featuresOf(`A {"type":"Polygon","coordinates":[[[1e-300,0],[1e-310,1e-300],[0,1e-300],[1e-300,0]]]}`),
		featuresOf(`A {"type":"Polygon","coordinates":[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}`),
		`{"features":[{"type":"Feature"},7,null,{"geometry":{"type":"Point","coordinates":[1]}}],"type":"FeatureCollection"}`,
		`{"type":"Feature","geometry":{"type":"Point","coordinates":[ 1.5e0 , -2 ,3 ]},"properties":{"code":1e400}}`,
		`{"type":"FeatureCollection","features":[`,
		"\xff\xfe{}",
	} {
		f.Add([]byte(s), 106.5, 20.5)
	}
	f.Fuzz(func(t *testing.T, data []byte, lon, lat float64) {
		m := newMemory()
		l := open(t, m, Options{MaxImport: 1 << 16})
		rep, err := l.Import(t.Context(), "x", strings.NewReader(string(data)), ImportOptions{Join: true, Within: 100, SkipBad: true})
		if err != nil {
			if !errors.Is(err, ErrInvalid) || len(m.blobs) != 0 {
				t.Fatalf("error %v with %d blobs", err, len(m.blobs))
			}
			return
		}
		again := open(t, m, Options{})
		if got := again.List(); len(got) != 1 || got[0].Count != rep.Imported || got[0].Versions[0].Error != "" {
			t.Fatalf("read again: %+v, imported %d", got, rep.Imported)
		}
		for _, p := range [][2]float64{{lon, lat}, {106.5, 20.5}, {107, 20}} {
			if a, b := codes(l.Place(p[0], p[1], "", nil)), codes(again.Place(p[0], p[1], "", nil)); a != b {
				t.Fatalf("Place(%v) = %q, read again %q", p, a, b)
			}
		}
		for _, z := range l.Zones("x", "") {
			if b := z.Geometry.Bound(); !b.Contains(z.Label) {
				t.Fatalf("label %v outside %v", z.Label, b)
			}
		}
		for _, tile := range [][3]uint32{{0, 0, 0}, {10, 814, 453}, {22, 3335511, 1855829}} {
			if _, err := l.Tile(t.Context(), "x", tile[0], tile[1], tile[2], ""); err != nil {
				t.Fatal(err)
			}
		}
	})
}
