package geo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/paulmach/orb"
)

// feature is one GeoJSON feature (RFC 7946 section 3.2) as it was read, not yet
// judged. err says what about it could not be read; the rest of the file can.
type feature struct {
	id    json.RawMessage
	props map[string]any
	geom  orb.Geometry // nil when the geometry is null
	err   error
}

// collection holds the foreign members of a FeatureCollection we know.
type collection struct {
	attribution string
	simulated   bool
}

// readFeatures reads a FeatureCollection, or a single Feature, one feature at a
// time: a file is never in memory as a whole. It ends at the first error of
// each, or where the bytes are no GeoJSON, with an error that wraps ErrInvalid.
func readFeatures(r io.Reader, each func(*feature) error) (collection, error) {
	var c collection
	dec := json.NewDecoder(r)
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return c, notGeoJSON(dec, err, "a GeoJSON file starts with '{'")
	}
	kind, sawFeatures := "", false
	var single rawFeature
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return c, notGeoJSON(dec, err, "")
		}
		into := any(new(json.RawMessage))
		switch key {
		case "features":
			sawFeatures = true
			if err := readArray(dec, each); err != nil {
				return c, err
			}
			continue
		case "type":
			into = &kind
		case "attribution":
			into = &c.attribution
		case "simulated":
			into = &c.simulated
		case "id":
			into = &single.ID
		case "geometry":
			into = &single.Geometry
		case "properties":
			into = &single.Properties
		case "crs":
			var crs crsMember
			if err := dec.Decode(&crs); err != nil {
				return c, notGeoJSON(dec, err, "")
			}
			if err := crs.check(); err != nil {
				return c, err
			}
			continue
		}
		if err := dec.Decode(into); err != nil {
			return c, notGeoJSON(dec, err, fmt.Sprintf("member %q", key))
		}
	}
	if _, err := dec.Token(); err != nil {
		return c, notGeoJSON(dec, err, "")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return c, notGeoJSON(dec, err, "something follows the collection")
	}
	switch {
	case kind == "FeatureCollection" && sawFeatures:
		return c, nil
	case kind == "Feature" && !sawFeatures:
		single.Type = kind
		return c, each(single.parse())
	}
	return c, fmt.Errorf("%w: type is %.40q, need a FeatureCollection with features (RFC 7946)", ErrInvalid, kind)
}

func readArray(dec *json.Decoder, each func(*feature) error) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return notGeoJSON(dec, err, "features is not an array")
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return notGeoJSON(dec, err, "")
		}
		if err := each(parseFeature(raw)); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	if err != nil {
		return notGeoJSON(dec, err, "")
	}
	return nil
}

// notGeoJSON words an error of the decoder. An error of the reader beneath it is
// not the file's fault and passes through unmarked.
func notGeoJSON(dec *json.Decoder, err error, hint string) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil || errors.As(err, &wrongType):
		if hint == "" {
			hint = "a member has another type than GeoJSON gives it"
		}
		return fmt.Errorf("%w: not GeoJSON at byte %d: %s", ErrInvalid, dec.InputOffset(), hint)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: not JSON at byte %d: %v", ErrInvalid, dec.InputOffset(), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the file ends early, after byte %d", ErrInvalid, dec.InputOffset())
	}
	return err
}

// crsMember is what GeoJSON had before RFC 7946 took it out (section 4).
type crsMember struct {
	Properties struct {
		Name string `json:"name"`
	} `json:"properties"`
}

func (c crsMember) check() error {
	switch c.Properties.Name {
	case "", "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84",
		"urn:ogc:def:crs:EPSG::4326", "EPSG:4326":
		return nil
	}
	return fmt.Errorf("%w: the file is in %.80q; convert it to WGS 84 longitude and latitude first (ogr2ogr -t_srs OGC:CRS84)",
		ErrInvalid, c.Properties.Name)
}

type rawFeature struct {
	Type       string          `json:"type"`
	ID         json.RawMessage `json:"id"`
	Properties map[string]any  `json:"properties"`
	Geometry   json.RawMessage `json:"geometry"`
}

func parseFeature(raw json.RawMessage) *feature {
	var rf rawFeature
	dec := json.NewDecoder(&bytesReader{b: raw})
	dec.UseNumber()
	if err := dec.Decode(&rf); err != nil {
		return &feature{err: fmt.Errorf("is not a GeoJSON feature: %v", err)}
	}
	return rf.parse()
}

func (rf *rawFeature) parse() *feature {
	f := &feature{id: rf.ID, props: scalars(rf.Properties)}
	if rf.Type != "Feature" {
		f.err = fmt.Errorf("has type %.40q instead of Feature", rf.Type)
		return f
	}
	f.geom, f.err = parseGeometry(rf.Geometry)
	return f
}

// scalars keeps what a tile and a filter can use, with numbers as int64 where
// they are whole.
func scalars(props map[string]any) map[string]any {
	for k, v := range props {
		switch v := v.(type) {
		case string, bool:
		case json.Number:
			if n, err := v.Int64(); err == nil {
				props[k] = n
			} else if f, err := v.Float64(); err == nil {
				props[k] = f
			} else {
				delete(props, k)
			}
		default:
			delete(props, k)
		}
	}
	return props
}

func parseGeometry(raw json.RawMessage) (orb.Geometry, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil // RFC 7946 section 3.2: unlocated
	}
	var g struct {
		Type        string          `json:"type"`
		Coordinates json.RawMessage `json:"coordinates"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("geometry: %v", err)
	}
	s := scanner{b: g.Coordinates}
	var geom orb.Geometry
	switch g.Type {
	case "Point":
		geom = s.position()
	case "MultiPoint":
		geom = orb.MultiPoint(s.positions())
	case "LineString":
		geom = orb.LineString(s.positions())
	case "MultiLineString":
		geom = orb.MultiLineString(array(&s, func() orb.LineString { return s.positions() }))
	case "Polygon":
		geom = s.polygon()
	case "MultiPolygon":
		geom = orb.MultiPolygon(array(&s, s.polygon))
	default:
		return nil, fmt.Errorf("geometry type %.40q is not served: a zone is points, lines or polygons", g.Type)
	}
	if s.space(); s.err == nil && s.i < len(s.b) {
		s.fail("nested deeper than the type says")
	}
	return geom, s.err
}

// scanner reads coordinates out of JSON that the decoder has already found well
// formed. A tree of any would cost forty times the file's size.
type scanner struct {
	b   []byte
	i   int
	err error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("coordinates: %s at byte %d of them", what, s.i)
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\r' || s.b[s.i] == '\t') {
		s.i++
	}
}

// take reports whether c comes next, and passes it if so.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.err != nil || s.i >= len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

func array[T any](s *scanner, one func() T) []T {
	if !s.take('[') {
		s.fail("an array is missing")
		return nil
	}
	if s.take(']') {
		return nil
	}
	var all []T
	for s.err == nil {
		all = append(all, one())
		if !s.take(',') {
			break
		}
	}
	if !s.take(']') {
		s.fail("']' is missing")
	}
	return all
}

func (s *scanner) polygon() orb.Polygon {
	return array(s, func() orb.Ring { return s.positions() })
}

func (s *scanner) positions() []orb.Point { return array(s, s.position) }

// position reads longitude and latitude; altitude and whatever follows are
// passed over (RFC 7946 section 3.1.1).
func (s *scanner) position() orb.Point {
	var p orb.Point
	if !s.take('[') {
		s.fail("a position is missing")
		return p
	}
	n := 0
	for s.err == nil {
		v := s.number()
		if n < 2 {
			p[n] = v
		}
		n++
		if !s.take(',') {
			break
		}
	}
	if n < 2 {
		s.fail("a position has fewer than two numbers")
	}
	if !s.take(']') {
		s.fail("']' is missing after a position")
	}
	return p
}

var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// number takes the short way where it is exact: up to 15 digits and a power of
// ten are both exact doubles, and their quotient is rounded once (Clinger 1990).
func (s *scanner) number() float64 {
	s.space()
	from := s.i
	var mantissa uint64
	digits, decimals, plain := 0, 0, true
	seenDot := false
scan:
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c >= '0' && c <= '9':
			if digits++; digits <= 15 {
				mantissa = mantissa*10 + uint64(c-'0')
			}
			if seenDot {
				decimals++
			}
		case c == '.':
			seenDot = true
		case c == '-' && s.i == from:
		case c == '+', c == '-', c == 'e', c == 'E':
			plain = false
		default:
			break scan
		}
	}
	if plain && digits > 0 && digits <= 15 {
		v := float64(mantissa) / powersOfTen[decimals]
		if s.b[from] == '-' {
			v = -v
		}
		return v
	}
	v, err := strconv.ParseFloat(string(s.b[from:s.i]), 64)
	if err != nil || math.IsInf(v, 0) {
		s.fail("a number is missing or too large")
		return 0
	}
	return v
}

// bytesReader is bytes.Reader without its bulk; one is made per feature.
type bytesReader struct{ b []byte }

func (r *bytesReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// featureWriter reads out as the GeoJSON of a version, encoding a few features
// at a time. A version has at least one zone.
type featureWriter struct {
	v    *version
	next int
	buf  []byte
	done bool
	err  error
}

func (w *featureWriter) Read(p []byte) (int, error) {
	for len(w.buf) < len(p) && !w.done && w.err == nil {
		switch w.next {
		case 0:
			w.buf = append(w.buf, `{"type":"FeatureCollection","features":[`...)
		case len(w.v.zones):
			w.buf, w.done = append(w.buf, "\n]}\n"...), true
			continue
		default:
			w.buf = append(w.buf, ',')
		}
		w.buf, w.err = appendFeature(append(w.buf, '\n'), &w.v.zones[w.next])
		w.next++
	}
	if w.err != nil {
		return 0, w.err
	}
	if len(w.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.buf)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	return n, nil
}

// appendFeature writes z with its code as id and as property, its name as
// property, and numbers in the shortest form that reads back as the same number.
func appendFeature(b []byte, z *zone) ([]byte, error) {
	props := make(map[string]any, len(z.props)+2)
	for k, v := range z.props {
		props[k] = v
	}
	props[codeProperty], props[nameProperty] = z.ref.Code, z.name
	p, err := json.Marshal(props)
	if err != nil {
		return nil, fmt.Errorf("encode zone %s: %w", z.ref.Code, err)
	}
	b = append(b, `{"type":"Feature","properties":`...)
	b = append(b, p...)
	b = append(b, `,"geometry":{"type":"`...)
	b = append(b, z.geom.GeoJSONType()...)
	b = append(b, `","coordinates":`...)
	switch g := z.geom.(type) {
	case orb.Point:
		b = appendPosition(b, g)
	case orb.MultiPoint:
		b = appendArray(b, g, appendPosition)
	case orb.LineString:
		b = appendArray(b, g, appendPosition)
	case orb.MultiLineString:
		b = appendArray(b, g, appendLine)
	case orb.Polygon:
		b = appendPolygon(b, g)
	case orb.MultiPolygon:
		b = appendArray(b, g, appendPolygon)
	}
	return append(b, "}}"...), nil
}

func appendArray[T any](b []byte, all []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

func appendPolygon(b []byte, p orb.Polygon) []byte {
	return appendArray(b, p, func(b []byte, r orb.Ring) []byte { return appendArray(b, r, appendPosition) })
}

func appendLine(b []byte, l orb.LineString) []byte { return appendArray(b, l, appendPosition) }

func appendPosition(b []byte, p orb.Point) []byte {
	b = append(b, '[')
	b = strconv.AppendFloat(b, p[0], 'f', -1, 64)
	b = append(b, ',')
	b = strconv.AppendFloat(b, p[1], 'f', -1, 64)
	return append(b, ']')
}
