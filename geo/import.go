package geo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/paulmach/orb"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
)

// ImportOptions say how a file is to be read.
type ImportOptions struct {
	// Code and Name are the properties that hold a zone's code and name. Without
	// Code, a property "code" is taken, else the feature's id; without Name, a
	// property "name". A zone without name is called by its code.
	Code, Name string
	// ValidFrom and ValidTo are the first and last day the version is in force;
	// empty is since ever and for ever.
	ValidFrom, ValidTo devices.Date
	// Join marks the layer for Place. Its zones then need codes, each once; in
	// other layers a missing code is the feature's number in the file.
	Join bool
	// Within is how near, in metres, a place must be to a zone of a joined line
	// or point layer.
	Within float64
	// MinZoom is the zoom hint; worked out from the zones' size when zero.
	MinZoom int
	// Attribution is shown on the map; the file's own member when empty.
	Attribution string
	// SkipBad imports the rest when features are refused.
	SkipBad bool
	// Progress is called now and then with the bytes read and features seen.
	Progress func(read int64, features int)
}

// MaxWithin bounds ImportOptions.Within: beyond it the flat plane that distances
// are measured on is no longer true.
const MaxWithin = 50000

func (o *ImportOptions) validate(name string) error {
	if !validName(name) {
		return fmt.Errorf("%w: layer name %.80q: use 1 to 64 lower-case letters, digits, '-' and '_', a letter first", ErrInvalid, name)
	}
	for _, d := range [...]devices.Date{o.ValidFrom, o.ValidTo} {
		if t, err := time.Parse(time.DateOnly, string(d)); d != "" && (err != nil || t.Year() < 1) {
			return fmt.Errorf("%w: day %.40q: write 2025-07-01", ErrInvalid, d)
		}
	}
	if o.ValidTo != "" && o.ValidTo < o.ValidFrom {
		return fmt.Errorf("%w: valid to %s, before it is valid from %s", ErrInvalid, o.ValidTo, o.ValidFrom)
	}
	if !(o.Within >= 0 && o.Within <= MaxWithin) {
		return fmt.Errorf("%w: within %g m: use 0 to %d", ErrInvalid, o.Within, MaxWithin)
	}
	if o.MinZoom < 0 || o.MinZoom > MaxZoom {
		return fmt.Errorf("%w: zoom %d: use 0 to %d", ErrInvalid, o.MinZoom, MaxZoom)
	}
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Report says what an import found.
type Report struct {
	Layer     string       `json:"layer"`
	ValidFrom devices.Date `json:"validFrom"`
	ValidTo   devices.Date `json:"validTo"`
	Kind      Kind         `json:"kind"`
	Features  int          `json:"features"` // in the file
	Imported  int          `json:"imported"`
	Refused   int          `json:"refused"`
	Mended    int          `json:"mended"`
	Vertices  int          `json:"vertices"`
	Replaced  bool         `json:"replaced"` // a version with the same valid-from
	// Problems are the first of what was found, Counts all of it by kind.
	Problems []Problem      `json:"problems"`
	Counts   map[string]int `json:"counts"`
}

// maxProblems bounds Report.Problems.
const maxProblems = 500

// Import reads a GeoJSON file as one version of layer name and puts it in force,
// in place of a version with the same valid-from. It either does all of that or
// changes nothing: a refused feature fails the import unless SkipBad is set, and
// until the version is stored readers see the old one. An error that the file or
// the options caused wraps ErrInvalid; the report is filled in as far as the
// reading went either way.
func (l *Layers) Import(ctx context.Context, name string, r io.Reader, o ImportOptions) (Report, error) {
	rep := Report{Layer: name, ValidFrom: o.ValidFrom, ValidTo: o.ValidTo, Problems: []Problem{}, Counts: map[string]int{}}
	if err := o.validate(name); err != nil {
		return rep, fmt.Errorf("import layer %.80q: %w", name, err)
	}
	fail := func(err error) (Report, error) { return rep, fmt.Errorf("import layer %q: %w", name, err) }

	in := &intake{r: r, ctx: ctx, opts: o, layer: name, area: l.opts.Area, max: l.opts.MaxImport, rep: &rep}
	zones, err := in.run()
	rep.Kind, rep.Imported = in.kind, len(zones)
	if err != nil {
		return fail(err)
	}
	if rep.Refused > 0 && !o.SkipBad {
		return fail(fmt.Errorf("%w: %d of %d features refused, the first: %s; mend the file, or import the rest without them",
			ErrInvalid, rep.Refused, rep.Features, firstRefused(rep.Problems)))
	}
	if len(zones) == 0 {
		return fail(fmt.Errorf("%w: no feature to import among %d", ErrInvalid, rep.Features))
	}
	if o.Join && in.kind != Polygon && o.Within == 0 {
		return fail(fmt.Errorf("%w: joining a %s layer needs a distance (within) in metres", ErrInvalid, in.kind))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	v := &version{
		meta: meta{
			Layer: name, ValidFrom: o.ValidFrom, ValidTo: o.ValidTo, Join: o.Join, Within: o.Within,
			Attribution: o.Attribution, Imported: max(l.opts.Now().UnixNano(), l.lastStamp+1), Count: len(zones),
		},
		kind: in.kind, zones: zones,
	}
	if v.Attribution == "" {
		v.Attribution = clean(in.coll.attribution, maxText)
	}
	v.Data = dataName(name, o.ValidFrom, v.Imported)
	v.build()
	if v.MinZoom = o.MinZoom; v.MinZoom == 0 {
		v.MinZoom = v.autoMinZoom()
	}
	v.Simulated = v.Simulated || in.coll.simulated
	rep.Vertices = len(v.pts)
	for _, p := range v.overlaps {
		rep.add(Problem{Code: zones[p.b].ref.Code, Kind: problemOverlap, Action: Kept,
			Detail: fmt.Sprintf("overlaps %s; a place in both is in both", zones[p.a].ref.Code)})
	}
	if err := ctx.Err(); err != nil {
		return fail(context.Cause(ctx))
	}
	if err := l.store(ctx, v); err != nil {
		return fail(err)
	}
	l.lastStamp = v.Imported

	all := l.all()
	i := slices.IndexFunc(all, func(old *version) bool { return old.Layer == name && old.ValidFrom == o.ValidFrom })
	if rep.Replaced = i >= 0; rep.Replaced {
		old := all[i]
		all[i] = v
		l.swap(all)
		l.discard(ctx, old)
	} else {
		l.swap(append(all, v))
	}
	l.opts.Log.Info("layer imported", "layer", name, "valid_from", o.ValidFrom, "zones", len(zones),
		"vertices", len(v.pts), "refused", rep.Refused, "mended", rep.Mended)
	return rep, nil
}

func (r *Report) add(p Problem) {
	r.Counts[p.Kind]++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

func firstRefused(all []Problem) string {
	for _, p := range all {
		if p.Action == Refused {
			return fmt.Sprintf("feature %d (%s): %s", p.Feature, p.Code, p.Detail)
		}
	}
	return "see the report"
}

// intake turns a stream of features into zones.
type intake struct {
	r       io.Reader
	ctx     context.Context
	opts    ImportOptions
	layer   string
	area    orb.Bound
	max     int64
	trusted bool
	rep     *Report // nil when trusted

	read  int64
	n     int
	kind  Kind
	codes map[string]int // to the feature that had it first
	zones []zone
	coll  collection
}

func (in *intake) run() ([]zone, error) {
	in.codes = make(map[string]int)
	var err error
	in.coll, err = readFeatures(in, in.feature)
	if in.opts.Progress != nil {
		in.opts.Progress(in.read, in.n)
	}
	return in.zones, err
}

// Read counts, bounds and can be cancelled.
func (in *intake) Read(p []byte) (int, error) {
	if in.ctx.Err() != nil {
		return 0, context.Cause(in.ctx)
	}
	if in.read > in.max {
		return 0, fmt.Errorf("%w: the file is larger than %d bytes; split it, or raise the bound", ErrInvalid, in.max)
	}
	n, err := in.r.Read(p)
	in.read += int64(n)
	return n, err
}

// progressEvery is how many features pass between two calls of Progress.
const progressEvery = 1000

func (in *intake) feature(f *feature) error {
	in.n++
	if in.opts.Progress != nil && in.n%progressEvery == 0 {
		in.opts.Progress(in.read, in.n)
	}
	if in.n%progressEvery == 0 && in.ctx.Err() != nil {
		return context.Cause(in.ctx)
	}
	code := clean(codeOf(f, in.opts.Code), maxText)
	mended := false
	report := func(kind string, action Action, format string, args ...any) {
		if in.rep == nil {
			return
		}
		if action == Refused {
			in.rep.Refused++
		}
		mended = mended || action == Mended
		in.rep.add(Problem{Feature: in.n, Code: code, Kind: kind, Action: action, Detail: fmt.Sprintf(format, args...)})
	}
	if in.rep != nil {
		in.rep.Features++
	}
	if f.err != nil {
		report(problemUnreadable, Refused, "%s", clean(f.err.Error(), maxText))
		return in.untrusted(f.err)
	}
	check := checker{area: in.area, report: report, trusted: in.trusted}
	geom, kind := check.geometry(f.geom)
	if geom == nil {
		return in.untrusted(fmt.Errorf("feature %d has a bad geometry", in.n))
	}
	if in.kind != "" && kind != in.kind {
		report(problemOtherKind, Refused, "is a %s in a layer of %ss; a layer has one kind", kind, in.kind)
		return in.untrusted(fmt.Errorf("feature %d is a %s", in.n, kind))
	}
	if !in.code(&code, report) {
		return in.untrusted(fmt.Errorf("feature %d has a bad code", in.n))
	}
	z := zone{
		ref:   devices.ZoneRef{Layer: in.layer, Code: code, ValidFrom: in.opts.ValidFrom},
		props: in.properties(f.props, report),
		geom:  geom,
	}
	property := in.opts.Name
	if property == "" {
		property = nameProperty
	}
	z.name = strings.TrimSpace(clean(text(f.props[property]), maxText))
	if z.named = z.name != "" && z.name != code; !z.named {
		z.name = code
	}
	if mended {
		in.rep.Mended++
	}
	in.kind = kind
	in.zones = append(in.zones, z)
	return nil
}

// untrusted passes over a bad feature of a file; in our own blob it is damage.
func (in *intake) untrusted(err error) error {
	if in.trusted {
		return err
	}
	return nil
}

func (in *intake) code(code *string, report func(string, Action, string, ...any)) bool {
	if *code == "" {
		if in.opts.Join {
			report(problemNoCode, Refused, "has no code; a zone of a joined layer is known by its code")
			return false
		}
		*code = strconv.Itoa(in.n)
	}
	if len(*code) > maxCode || strings.ContainsFunc(*code, unicode.IsControl) {
		report(problemNoCode, Refused, "has a code that is longer than %d bytes or has control characters", maxCode)
		return false
	}
	if first, ok := in.codes[*code]; ok {
		if in.opts.Join {
			report(problemDuplicate, Refused, "has the code of feature %d", first)
			return false
		}
		report(problemDuplicate, Kept, "has the code of feature %d", first)
		return true
	}
	in.codes[*code] = in.n
	return true
}

const (
	maxCode       = 64
	maxText       = 1024
	maxProperties = 64
)

// properties bounds what is kept of a feature's properties and brings text to
// NFC: letters and marks apart are drawn unevenly and compare unequal.
func (in *intake) properties(props map[string]any, report func(string, Action, string, ...any)) map[string]any {
	if in.trusted {
		return props
	}
	if len(props) > maxProperties {
		keys := make([]string, 0, len(props))
		for k := range props {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys[maxProperties:] {
			delete(props, k)
		}
		report(problemLongText, Mended, "%d of %d properties dropped", len(keys)-maxProperties, len(keys))
	}
	for k, v := range props {
		s, ok := v.(string)
		if !ok {
			continue
		}
		if len(s) > maxText {
			report(problemLongText, Mended, "property %.40q cut to %d bytes", k, maxText)
		}
		props[k] = clean(s, maxText)
	}
	return props
}

// clean gives s as valid UTF-8 in NFC, cut to most bytes between characters.
func clean(s string, most int) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	return s
}

func idText(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] == 'n' {
		return ""
	}
	if raw[0] != '"' {
		return string(raw)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
