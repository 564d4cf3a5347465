package firmwaresim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // recordings name zones; the machine may have no database

	"github.com/paulmach/orb"
	"github.com/tidwall/gjson"
	"gopkg.in/yaml.v3"

	"vonglau/devices"
)

//go:embed mappings/*.yaml
var mappingFiles embed.FS

// Mapping says how a recording of another system reads as devices of ours. In a
// CSV file a column is named by its heading; in JSON a name is a path (gjson's
// syntax), "sourceInfo.siteName".
type Mapping struct {
	About  string `yaml:"about"`
	Format string `yaml:"format"` // csv or json
	Comma  string `yaml:"comma"`  // of CSV, "," when empty
	// Series is the path to the array of series in JSON, and Points the path
	// from a series to its array of points. Names of a stream are looked up in
	// the point first and in the series after it.
	Series string `yaml:"series"`
	Points string `yaml:"points"`
	Time   struct {
		Column string `yaml:"column"`
		// Layout is Go's, or unix, unixms; RFC 3339 when empty.
		Layout string `yaml:"layout"`
		// Zone names the zone of times that carry none; UTC when empty.
		Zone string `yaml:"zone"`
	} `yaml:"time"`
	// Missing lists the ways a value says it is not there. An empty one always
	// does.
	Missing []string `yaml:"missing"`
	// Streams are the devices a row or point speaks for.
	Streams []Stream `yaml:"streams"`

	zone *time.Location
}

// Stream is one device, or one for each value of Device.Column.
type Stream struct {
	Device struct {
		ID     string `yaml:"id"`
		Column string `yaml:"column"`
		Prefix string `yaml:"prefix"`
	} `yaml:"device"`
	Name    string `yaml:"name"`
	Profile string `yaml:"profile"`
	Moving  bool   `yaml:"moving"`
	Place   struct {
		Lon       float64 `yaml:"lon"`
		Lat       float64 `yaml:"lat"`
		LonColumn string  `yaml:"lon_column"`
		LatColumn string  `yaml:"lat_column"`
	} `yaml:"place"`
	Fields []MappedField `yaml:"fields"`
}

// MappedField is one value of a stream: number × Scale + Offset.
type MappedField struct {
	Column   string           `yaml:"column"`
	Quantity devices.Quantity `yaml:"quantity"`
	Scale    float64          `yaml:"scale"` // 1 when zero
	Offset   float64          `yaml:"offset"`
	Digits   *int             `yaml:"digits"` // after the point; 3 when absent
	// When and Equals admit the value only where another name has this text:
	// a recording with one value a row says in a column which it is.
	When   string `yaml:"when"`
	Equals string `yaml:"equals"`
}

// Mappings lists the names of the built-in mappings.
func Mappings() []string {
	files, err := fs.Glob(mappingFiles, "mappings/*.yaml")
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

// LoadMapping finds a built-in mapping by name, or reads a file.
func LoadMapping(name string) (*Mapping, error) {
	data, err := mappingFiles.ReadFile("mappings/" + name + ".yaml")
	if err != nil {
		if data, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("mapping %q is neither built in (%s) nor a file: %w", name, strings.Join(Mappings(), ", "), err)
		}
	}
	m, err := ParseMapping(data)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", name, err)
	}
	return m, nil
}

// ParseMapping reads and checks a mapping. An unknown key is an error.
func ParseMapping(data []byte) (*Mapping, error) {
	m := new(Mapping)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(m); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Mapping) validate() error {
	switch m.Format {
	case "csv":
		if m.Comma == "" {
			m.Comma = ","
		}
		if len([]rune(m.Comma)) != 1 {
			return fmt.Errorf("comma %q: need one character", m.Comma)
		}
	case "json":
		if m.Points == "" {
			return errors.New("points is missing: the path from a series to its points")
		}
	default:
		return fmt.Errorf("format %q: use csv or json", m.Format)
	}
	if m.Time.Column == "" {
		return errors.New("time.column is missing")
	}
	zone, err := time.LoadLocation(m.Time.Zone)
	if err != nil {
		return fmt.Errorf("time.zone %q: %w", m.Time.Zone, err)
	}
	m.zone = zone
	if len(m.Streams) == 0 {
		return errors.New("streams is empty")
	}
	for i, s := range m.Streams {
		switch {
		case (s.Device.ID == "") == (s.Device.Column == ""):
			return fmt.Errorf("stream %d: give device.id or device.column", i+1)
		case s.Profile == "":
			return fmt.Errorf("stream %d: profile is missing", i+1)
		case len(s.Fields) == 0:
			return fmt.Errorf("stream %d: fields is empty", i+1)
		}
		for j, f := range s.Fields {
			if f.Column == "" || f.Quantity == "" {
				return fmt.Errorf("stream %d field %d: column and quantity are needed", i+1, j+1)
			}
		}
	}
	return nil
}

// recording is what a file holds, device by device, each in order of time.
type recording struct {
	devices map[devices.ID]*recorded
	// skipped counts rows and points that could not be read, with the first
	// reason.
	skipped int
	why     error
}

type recorded struct {
	id      devices.ID
	name    string
	profile string
	moving  bool
	at      orb.Point
	hasAt   bool
	rows    []reading
}

// maxRows bounds what a recording may hold: it is kept in memory.
const maxRows = 4 << 20

// Read reads a recording, gzipped or not.
func (m *Mapping) Read(r io.Reader) (*recording, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := b.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b { // RFC 1952 section 2.3.1
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read the recording: %w", err)
		}
		defer z.Close()
		b = bufio.NewReaderSize(z, 64<<10)
	}
	rec := &recording{devices: make(map[devices.ID]*recorded)}
	var err error
	if m.Format == "csv" {
		err = m.readCSV(b, rec)
	} else {
		err = m.readJSON(b, rec)
	}
	if err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	if len(rec.devices) == 0 {
		if rec.why != nil {
			return nil, fmt.Errorf("read the recording: nothing in it could be used: %w", rec.why)
		}
		return nil, errors.New("read the recording: there is nothing in it")
	}
	for _, d := range rec.devices {
		slices.SortStableFunc(d.rows, func(a, b reading) int { return a.taken.Compare(b.taken) })
		if !d.moving {
			d.rows = join(d.rows)
		}
	}
	return rec, nil
}

// join makes one reading of those of the same moment: a recording may keep its
// series side by side.
func join(rows []reading) []reading {
	out := rows[:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].taken.Equal(r.taken) {
			out[n-1].values = append(out[n-1].values, r.values...)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (m *Mapping) readCSV(r io.Reader, rec *recording) error {
	c := csv.NewReader(r)
	c.Comma = []rune(m.Comma)[0]
	c.ReuseRecord = true
	c.FieldsPerRecord = -1
	head, err := c.Read()
	if err != nil {
		return fmt.Errorf("the heading: %w", err)
	}
	column := make(map[string]int, len(head))
	for i, h := range head {
		column[strings.TrimPrefix(h, "\ufeff")] = i
	}
	for _, name := range m.names() {
		if _, ok := column[name]; !ok {
			return fmt.Errorf("there is no column %q; there are %s", name, strings.Join(head, ", "))
		}
	}
	var row []string
	get := func(name string) string {
		if i, ok := column[name]; ok && i < len(row) {
			return row[i]
		}
		return ""
	}
	for n := 0; ; n++ {
		row, err = c.Read()
		if err == io.EOF {
			return nil
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			rec.skip(err)
			continue
		}
		if err != nil {
			return err
		}
		if n >= maxRows {
			return fmt.Errorf("more than %d rows: cut the file", maxRows)
		}
		m.take(rec, get)
	}
}

// names lists the columns a mapping needs.
func (m *Mapping) names() []string {
	out := []string{m.Time.Column}
	for _, s := range m.Streams {
		for _, n := range []string{s.Device.Column, s.Place.LonColumn, s.Place.LatColumn} {
			if n != "" {
				out = append(out, n)
			}
		}
		for _, f := range s.Fields {
			out = append(out, f.Column)
			if f.When != "" {
				out = append(out, f.When)
			}
		}
	}
	return out
}

// maxJSON bounds a JSON recording, which is read as a whole.
const maxJSON = 256 << 20

func (m *Mapping) readJSON(r io.Reader, rec *recording) error {
	data, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err != nil {
		return err
	}
	if len(data) > maxJSON {
		return fmt.Errorf("more than %d MiB of JSON", maxJSON>>20)
	}
	if !gjson.ValidBytes(data) {
		return errors.New("this is not JSON")
	}
	root := gjson.ParseBytes(data)
	series := []gjson.Result{root}
	if m.Series != "" {
		series = root.Get(m.Series).Array()
	}
	rows := 0
	for _, s := range series {
		for _, p := range s.Get(m.Points).Array() {
			if rows++; rows > maxRows {
				return fmt.Errorf("more than %d points: cut the file", maxRows)
			}
			m.take(rec, func(name string) string {
				if v := p.Get(name); v.Exists() {
					return v.String()
				}
				return s.Get(name).String()
			})
		}
	}
	return nil
}

func (r *recording) skip(err error) {
	r.skipped++
	if r.why == nil {
		r.why = err
	}
}

// take reads one row or point for every stream.
func (m *Mapping) take(rec *recording, get func(string) string) {
	taken, err := m.time(get(m.Time.Column))
	if err != nil {
		rec.skip(err)
		return
	}
	for i := range m.Streams {
		s := &m.Streams[i]
		r := reading{taken: taken}
		for _, f := range s.Fields {
			if f.When != "" && get(f.When) != f.Equals {
				continue
			}
			x, ok, err := m.number(get(f.Column))
			if err != nil {
				rec.skip(fmt.Errorf("column %s: %w", f.Column, err))
			}
			if !ok {
				continue
			}
			scale, digits := f.Scale, 3
			if scale == 0 {
				scale = 1
			}
			if f.Digits != nil {
				digits = *f.Digits
			}
			r.values = append(r.values, value(f.Quantity, x*scale+f.Offset, digits))
		}
		lon, lat := s.Place.Lon, s.Place.Lat
		if s.Place.LonColumn != "" {
			x, okx, _ := m.number(get(s.Place.LonColumn))
			y, oky, _ := m.number(get(s.Place.LatColumn))
			if !okx || !oky {
				rec.skip(errors.New("there is no position"))
				continue
			}
			lon, lat = x, y
		}
		r.at, r.hasAt = orb.Point{lon, lat}, s.Moving
		if len(r.values) == 0 {
			continue // nothing was measured: a gap, not an error
		}
		id, err := s.id(get)
		if err != nil {
			rec.skip(err)
			continue
		}
		d := rec.devices[id]
		if d == nil {
			d = &recorded{id: id, profile: s.Profile, moving: s.Moving, at: r.at, hasAt: lon != 0 || lat != 0}
			d.name = strings.ReplaceAll(s.Name, "{id}", strings.TrimPrefix(string(id), s.Device.Prefix))
			rec.devices[id] = d
		}
		d.rows = append(d.rows, r)
	}
}

// id gives the device's id: what an id may not hold becomes '-'.
func (s *Stream) id(get func(string) string) (devices.ID, error) {
	if s.Device.ID != "" {
		return devices.ParseID(s.Device.Prefix + s.Device.ID)
	}
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, get(s.Device.Column))
	return devices.ParseID(s.Device.Prefix + clean)
}

// number reads a value; ok is false when it says it is missing.
func (m *Mapping) number(text string) (x float64, ok bool, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false, nil
	}
	x, err = strconv.ParseFloat(text, 64)
	for _, missing := range m.Missing {
		// -999 and -999.0 are the same statement.
		if y, e := strconv.ParseFloat(missing, 64); text == missing || e == nil && err == nil && x == y {
			return 0, false, nil
		}
	}
	if err != nil {
		return 0, false, fmt.Errorf("%q is not a number", text)
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, false, fmt.Errorf("%q is not a finite number", text)
	}
	return x, true, nil
}

func (m *Mapping) time(text string) (time.Time, error) {
	var t time.Time
	var err error
	switch m.Time.Layout {
	case "unix", "unixms":
		var n int64
		if n, err = strconv.ParseInt(text, 10, 64); err == nil {
			t = time.UnixMilli(n)
			if m.Time.Layout == "unix" {
				t = time.Unix(n, 0)
			}
		}
	case "":
		t, err = time.Parse(time.RFC3339, text)
	default:
		t, err = time.ParseInLocation(m.Time.Layout, text, m.zone)
	}
	if err != nil {
		return t, fmt.Errorf("time %q: %w", text, err)
	}
	return t.UTC(), nil
}
