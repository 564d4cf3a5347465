package devices

import (
	"cmp"
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"time"
)

// senmlLabels and senmlBaseLabels are the labels of the integers 0, 1, … and
// -1, -2, … in CBOR (RFC 8428 section 6).
var (
	senmlLabels     = [...]string{"n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"}
	senmlBaseLabels = [...]string{"bver", "bn", "bt", "bu", "bv", "bs"}
)

// SenMLRecord is one record in resolved form (RFC 8428 section 4.6): no base
// fields, times absolute.
type SenMLRecord struct {
	Name string
	Unit string
	// Time is seconds since 1970; the arrival's when HasTime is false, because a
	// record without a time means now (RFC 8428 section 4.5.3).
	Time    float64
	HasTime bool
	// Relative: Time was sent as an offset and counted from the arrival.
	Relative bool
	// HasValue is false for a record that holds a sum only.
	HasValue bool
	Kind     RawKind
	Number   float64
	Text     string // of RawText, and the bytes of RawData
	HasSum   bool
	Sum      float64
	// UpdateTime is the seconds within which the next record is promised, 0 when
	// none is.
	UpdateTime float64

	noBver bool
}

// relativeBelow is 2^28: smaller times are seconds from now (RFC 8428 section
// 4.5.3).
const relativeBelow = 1 << 28

// ResolveSenML reads a pack and resolves it, in the order of time. Times
// relative to now count from received. The error is a *Refusal.
func ResolveSenML(f Format, payload []byte, received time.Time, l Limits) ([]SenMLRecord, error) {
	l = l.withDefaults()
	if len(payload) > l.Bytes {
		return nil, Refuse(ReasonTooLarge, "payload: %d bytes, at most %d are read", len(payload), l.Bytes)
	}
	r, err := newReader(f, payload)
	if err != nil {
		return nil, err
	}
	return readPack(r, received, l)
}

// looksLikePack reports whether the payload is an array whose first record has
// a name or a base name.
func looksLikePack(r reader) (bool, error) {
	if r.kind() != kindArray {
		return false, nil
	}
	r = r.fork()
	if err := r.openArray(); err != nil {
		return false, err
	}
	if more, err := r.nextItem(true); err != nil || !more || r.kind() != kindObject {
		return false, nil // readPlain says what is wrong
	}
	if err := r.openObject(); err != nil {
		return false, nil
	}
	for first := true; ; first = false {
		key, ok, err := r.nextKey(first)
		if err != nil || !ok {
			return false, nil
		}
		if key == "n" || key == "bn" {
			return true, nil
		}
		if r.skip() != nil {
			return false, nil
		}
	}
}

// senmlBase is the state base fields leave behind: each holds from its record
// on, until the next of its kind (RFC 8428 section 4.1).
type senmlBase struct {
	name, unit       string
	time, value, sum float64
	hasValue, hasSum bool
	version          float64
}

// senmlFields is what one record says, base fields apart.
type senmlFields struct {
	name, unit        string
	value             scalar
	values            int
	sum, time, update float64
	hasSum, any       bool
}

func readPack(r reader, received time.Time, l Limits) ([]SenMLRecord, error) {
	if r.kind() != kindArray {
		return nil, Refuse(ReasonMalformed, "SenML: a pack is an array of records")
	}
	if err := r.openArray(); err != nil {
		return nil, err
	}
	now := float64(received.UnixMilli()) / 1000
	base := senmlBase{version: 10}
	out := make([]SenMLRecord, 0, 4)
	most := l.Observations * l.Fields
	for n := 1; ; n++ {
		more, err := r.nextItem(n == 1)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if n > most {
			return nil, Refuse(ReasonTooLarge, "SenML: more than %d records", most)
		}
		if r.kind() != kindObject {
			return nil, Refuse(ReasonMalformed, "SenML: record %d is not an object", n)
		}
		fields, err := readRecord(r, &base, n)
		if err != nil {
			return nil, err
		}
		// A record may carry base fields for the others and nothing else.
		if !fields.any {
			continue
		}
		rec, err := fields.resolve(&base, now, n)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b SenMLRecord) int { return cmp.Compare(a.Time, b.Time) })
	return out, nil
}

// readRecord reads the labels of record n, base fields into base.
func readRecord(r reader, base *senmlBase, n int) (senmlFields, error) {
	var f senmlFields
	if err := r.openObject(); err != nil {
		return f, err
	}
	var seen uint32
	for first := true; ; first = false {
		key, ok, err := r.nextKey(first)
		if err != nil || !ok {
			return f, err
		}
		bit := labelBit(key)
		if bit == 0 {
			// Unknown labels are ignored, unless they end in '_': those change
			// the meaning of the pack (RFC 8428 section 4.4).
			if strings.HasSuffix(key, "_") {
				return f, Refuse(ReasonMandatoryLabel, "SenML: record %d has the label %.64q, which must be understood and is not", n, key)
			}
			if err := r.skip(); err != nil {
				return f, err
			}
			continue
		}
		if seen&bit != 0 {
			return f, Refuse(ReasonMalformed, "SenML: record %d has %q twice", n, key)
		}
		seen |= bit
		if r.kind() != kindScalar {
			return f, Refuse(ReasonMalformed, "SenML: record %d: %q is an array or an object", n, key)
		}
		v, err := r.scalar()
		if err != nil {
			return f, err
		}
		if err := f.set(base, key, v, n); err != nil {
			return f, err
		}
	}
}

func labelBit(key string) uint32 {
	for i, l := range senmlLabels {
		if l == key {
			return 1 << i
		}
	}
	for i, l := range senmlBaseLabels {
		if l == key {
			return 1 << (16 + i)
		}
	}
	return 0
}

func (f *senmlFields) set(base *senmlBase, key string, v scalar, n int) error {
	number := func(to *float64) error {
		switch v.kind {
		case scalarNumber:
			*to = v.number
			return nil
		case scalarBadNum:
			return Refuse(ReasonNotANumber, "SenML: record %d: %s is %s", n, key, v.text)
		}
		return Refuse(ReasonMalformed, "SenML: record %d: %q is %s, need a number", n, key, v.kind)
	}
	text := func(to *string) error {
		if v.kind != scalarText {
			return Refuse(ReasonMalformed, "SenML: record %d: %q is %s, need text", n, key, v.kind)
		}
		*to = v.text
		return nil
	}
	switch key {
	case "bn":
		return text(&base.name)
	case "bt":
		return number(&base.time)
	case "bu":
		return text(&base.unit)
	case "bv":
		base.hasValue = true
		return number(&base.value)
	case "bs":
		base.hasSum = true
		return number(&base.sum)
	case "bver":
		return base.setVersion(v, n)
	}
	f.any = true
	switch key {
	case "n":
		return text(&f.name)
	case "u":
		return text(&f.unit)
	case "t":
		return number(&f.time)
	case "ut":
		return number(&f.update)
	case "s":
		f.hasSum = true
		return number(&f.sum)
	}
	f.values++
	f.value = v
	switch {
	case key == "v":
		return number(&f.value.number)
	case key == "vs" && v.kind == scalarText, key == "vb" && v.kind == scalarBool, key == "vd" && v.kind == scalarData:
	case key == "vd" && v.kind == scalarText:
		// In JSON, data is base64url without padding (RFC 8428 section 5).
		data, err := base64.RawURLEncoding.DecodeString(v.text)
		if err != nil {
			return Refuse(ReasonMalformed, "SenML: record %d: vd is not base64url without padding", n)
		}
		f.value = scalar{kind: scalarData, text: string(data)}
	default:
		return Refuse(ReasonMalformed, "SenML: record %d: %q is %s", n, key, v.kind)
	}
	return nil
}

// setVersion keeps RFC 9100: up to 10 it is the version of RFC 8428; above, a
// set of features of which bit 4, secondary units, is the one there is, beside
// the reserved 0b1010. All records of a pack share one version (RFC 8428
// section 4.4).
func (b *senmlBase) setVersion(v scalar, n int) error {
	if v.kind != scalarNumber || v.number < 1 || v.number != math.Trunc(v.number) {
		return Refuse(ReasonBadVersion, "SenML: record %d: bver is not a positive integer", n)
	}
	switch {
	case n > 1 && v.number != b.version:
		return Refuse(ReasonBadVersion, "SenML: record %d has bver %g, the records before it %g", n, v.number, b.version)
	case v.number > 10 && v.number != bverSecondary:
		return Refuse(ReasonBadVersion, "SenML: bver %g has features that are not served; send 10, or %d with secondary units", v.number, bverSecondary)
	}
	b.version = v.number
	return nil
}

const bverSecondary = 26

func (f *senmlFields) resolve(base *senmlBase, now float64, n int) (SenMLRecord, error) {
	rec := SenMLRecord{
		Name:       base.name + f.name,
		Unit:       f.unit,
		UpdateTime: f.update,
	}
	if rec.Unit == "" {
		rec.Unit = base.unit
	}
	if !validSenMLName(rec.Name) {
		return rec, Refuse(ReasonMalformed, "SenML: record %d: the name %.80q does not keep RFC 8428 section 4.5.1", n, rec.Name)
	}
	rec.noBver = base.version != bverSecondary && secondaryUnit(rec.Unit)

	switch t := base.time + f.time; {
	case t == 0: // now, and nobody says when that was
		rec.Time = now
	case t < relativeBelow:
		rec.Time, rec.HasTime, rec.Relative = now+t, true, true
	default:
		rec.Time, rec.HasTime = t, true
	}

	rec.HasSum = f.hasSum || base.hasSum
	if rec.HasSum {
		rec.Sum = base.sum + f.sum
	}
	switch {
	case f.values > 1:
		return rec, Refuse(ReasonMalformed, "SenML: record %d has more than one value", n)
	case f.values == 1:
		rec.HasValue = true
		fld := f.value.field("", "")
		rec.Kind, rec.Number, rec.Text = fld.Kind, fld.Number, fld.Text
		if rec.Kind == RawNumber {
			rec.Number += base.value
		}
	case base.hasValue:
		rec.HasValue, rec.Number = true, base.value
	case !rec.HasSum:
		return rec, Refuse(ReasonMalformed, "SenML: record %d has neither a value nor a sum", n)
	}
	// Sums of finite numbers can leave their range.
	for _, x := range []float64{rec.Number, rec.Sum, rec.Time} {
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return rec, Refuse(ReasonNotANumber, "SenML: record %d: base field and field add up to no finite number", n)
		}
	}
	return rec, nil
}

// validSenMLName keeps RFC 8428 section 4.5.1.
func validSenMLName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("-:./_", rune(c))) {
			return false
		}
	}
	return s != ""
}

// observe gathers the records of one moment and one name prefix into one
// observation. Records in the units lat and lon place every observation of
// their moment. The part of a name after its last ':' or '/' is the quantity.
// Sums are checked but not kept: a quantity that counts is sent as its count.
func observe(records []SenMLRecord, l Limits) ([]RawObservation, error) {
	var out []RawObservation
	for len(records) > 0 {
		// Records come in the order of time, so a moment is a run of them.
		n := 1
		for n < len(records) && records[n].Time == records[0].Time && records[n].HasTime == records[0].HasTime {
			n++
		}
		var err error
		if out, err = observeMoment(records[:n], out, l); err != nil {
			return nil, err
		}
		records = records[n:]
	}
	if len(out) == 0 {
		return nil, Refuse(ReasonEmpty, "SenML: no values in the pack")
	}
	return out, nil
}

func observeMoment(records []SenMLRecord, out []RawObservation, l Limits) ([]RawObservation, error) {
	first := len(out)
	var at Position
	var lat, lon bool
	of := func(name string, rec *SenMLRecord) (*RawObservation, error) {
		for i := first; i < len(out); i++ {
			if out[i].Name == name {
				return &out[i], nil
			}
		}
		if len(out) == l.Observations {
			return nil, Refuse(ReasonTooLarge, "SenML: more than %d observations in one pack", l.Observations)
		}
		if len(out)-first == l.Fields { // the search above is linear
			return nil, Refuse(ReasonTooLarge, "SenML: more than %d parts of a device at one moment", l.Fields)
		}
		o := RawObservation{Name: name}
		if rec.HasTime {
			o.Time, o.HasTime, o.Relative = unixMillis(rec.Time*1000), true, rec.Relative
		}
		out = append(out, o)
		return &out[len(out)-1], nil
	}
	for i := range records {
		rec := &records[i]
		if !rec.HasValue {
			continue
		}
		if rec.Unit == "lat" || rec.Unit == "lon" {
			if rec.Kind != RawNumber {
				return nil, Refuse(ReasonBadPosition, "SenML: %s is not a number of degrees", rec.Unit)
			}
			if rec.Unit == "lat" {
				at.Lat, lat = rec.Number, true
			} else {
				at.Lon, lon = rec.Number, true
			}
			continue
		}
		prefix, quantity := splitSenMLName(rec.Name)
		o, err := of(prefix, rec)
		if err != nil {
			return nil, err
		}
		if len(o.Fields) == l.Fields {
			return nil, Refuse(ReasonTooLarge, "SenML: more than %d values at one moment", l.Fields)
		}
		o.NoBver = o.NoBver || rec.noBver
		o.Fields = append(o.Fields, RawField{Name: quantity, Unit: rec.Unit, Number: rec.Number, Text: rec.Text, Kind: rec.Kind})
	}
	if lat != lon {
		return nil, Refuse(ReasonBadPosition, "SenML: lat and lon come together or not at all")
	}
	if !lat {
		return out, nil
	}
	if len(out) == first {
		o, err := of("", &records[0])
		if err != nil {
			return nil, err
		}
		// The name of a record that is a position only may be the device's.
		o.Name = strings.TrimRight(records[0].Name, ":/")
		if prefix, last := splitSenMLName(o.Name); last == "lat" || last == "lon" {
			o.Name = prefix
		}
	}
	for i := first; i < len(out); i++ {
		out[i].At, out[i].HasAt = at, true
	}
	return out, nil
}

func splitSenMLName(name string) (prefix, quantity string) {
	if i := strings.LastIndexAny(name, ":/"); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// ClaimedID gives the device a RawObservation's name claims to come from:
// "vl:<id>" and "urn:dev:vonglau:<id>" claim one, any other name is the
// device's own affair.
func ClaimedID(name string) (ID, bool) {
	for _, prefix := range [...]string{"vl:", "urn:dev:vonglau:"} {
		if id, ok := strings.CutPrefix(name, prefix); ok {
			// What follows the id names a part of the device.
			id, _, _ = strings.Cut(id, ":")
			id, _, _ = strings.Cut(id, "/")
			return ID(id), true
		}
	}
	return "", false
}
