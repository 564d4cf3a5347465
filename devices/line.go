package devices

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeLine reads InfluxDB line protocol whose times count in precision. Each
// line is one observation:
//
//	measurement[,tag=value…] field=value[,field=value…] [time]
//
// A field's name is the quantity; the field "value" takes the measurement's.
// The fields lat and lon are the position. The tag "device", or "device_id",
// names the device, and is the observation's Name as it is; other tags are
// ignored. One line that does not parse
// refuses the payload, which says which. The error is a *Refusal.
func DecodeLine(payload []byte, received time.Time, precision time.Duration, l Limits) ([]RawObservation, error) {
	l = l.withDefaults()
	if len(payload) > l.Bytes {
		return nil, Refuse(ReasonTooLarge, "payload: %d bytes, at most %d are read", len(payload), l.Bytes)
	}
	if !utf8.Valid(payload) {
		return nil, Refuse(ReasonMalformed, "line protocol: not UTF-8")
	}
	r := lineReader{s: string(payload), line: 1, precision: precision}
	var out []RawObservation
	for r.i < len(r.s) {
		if r.blank() {
			continue
		}
		if len(out) == l.Observations {
			return nil, Refuse(ReasonTooLarge, "more than %d lines in one message", l.Observations)
		}
		o, err := r.observation(l)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, Refuse(ReasonEmpty, "line protocol: no lines")
	}
	return out, nil
}

// ParseLinePrecision reads the precision parameter of a write request: ns, us,
// ms or s, ns when it is absent.
func ParseLinePrecision(s string) (time.Duration, error) {
	switch s {
	case "", "ns", "n":
		return time.Nanosecond, nil
	case "us", "u", "µs":
		return time.Microsecond, nil
	case "ms":
		return time.Millisecond, nil
	case "s":
		return time.Second, nil
	}
	return 0, Refuse(ReasonMalformed, "precision %.20q: use ns, us, ms or s", s)
}

type lineReader struct {
	s         string
	i         int
	line      int
	precision time.Duration
}

func (r *lineReader) bad(what string) error {
	rest, _, _ := strings.Cut(r.s[r.i:], "\n")
	return Refuse(ReasonMalformed, "line %d: expected %s, found %.16q", r.line, what, rest)
}

// blank steps over an empty line, a comment, or the spaces before a line.
func (r *lineReader) blank() bool {
	switch r.s[r.i] {
	case '\n':
		r.line++
		r.i++
		return true
	case ' ', '\t', '\r':
		r.i++
		return true
	case '#':
		if n := strings.IndexByte(r.s[r.i:], '\n'); n >= 0 {
			r.i += n
		} else {
			r.i = len(r.s)
		}
		return true
	}
	return false
}

func (r *lineReader) at(c byte) bool { return r.i < len(r.s) && r.s[r.i] == c }

// word reads up to one of the bytes in stop; a backslash takes away the meaning
// of the stop byte after it and stands for itself before any other byte.
func (r *lineReader) word(stop, what string) (string, error) {
	start, escaped := r.i, false
	for r.i < len(r.s) && r.s[r.i] != '\n' && strings.IndexByte(stop, r.s[r.i]) < 0 {
		if r.s[r.i] == '\\' && r.i+1 < len(r.s) && strings.IndexByte(stop, r.s[r.i+1]) >= 0 {
			escaped = true
			r.i++
		}
		r.i++
	}
	w := r.s[start:r.i]
	if w == "" {
		return "", r.bad(what)
	}
	if escaped {
		var b strings.Builder
		for i := 0; i < len(w); i++ {
			if w[i] == '\\' && i+1 < len(w) && strings.IndexByte(stop, w[i+1]) >= 0 {
				i++
			}
			b.WriteByte(w[i])
		}
		w = b.String()
	}
	return w, nil
}

func (r *lineReader) observation(l Limits) (RawObservation, error) {
	var o RawObservation
	measurement, err := r.word(", ", "a measurement")
	if err != nil {
		return o, err
	}
	for r.at(',') {
		r.i++
		key, err := r.word(",= ", "a tag")
		if err != nil {
			return o, err
		}
		if !r.at('=') {
			return o, r.bad("'=' after the tag")
		}
		r.i++
		value, err := r.word(",= ", "a tag value")
		if err != nil {
			return o, err
		}
		if key == "device" || key == "device_id" {
			if o.Name != "" {
				return o, r.bad("one device tag")
			}
			o.Name = value
		}
	}
	var lat, lon bool
	for more := true; more; more = r.at(',') {
		if !r.at(' ') && !r.at(',') {
			return o, r.bad("a space and the fields")
		}
		for r.i++; r.at(' ') && len(o.Fields) == 0 && !lat && !lon; r.i++ {
		}
		key, err := r.word(",= ", "a field")
		if err != nil {
			return o, err
		}
		if !r.at('=') {
			return o, r.bad("'=' after the field")
		}
		r.i++
		v, err := r.value()
		if err != nil {
			return o, err
		}
		switch key {
		case "lat", "lon":
			if v.kind != scalarNumber {
				return o, Refuse(ReasonBadPosition, "line %d: %s is %s, need degrees as a number", r.line, key, v.kind)
			}
			if key == "lat" {
				o.At.Lat, lat = v.number, true
			} else {
				o.At.Lon, lon = v.number, true
			}
			continue
		case "value":
			key = measurement
		}
		for i := range o.Fields {
			if o.Fields[i].Name == key {
				return o, Refuse(ReasonMalformed, "line %d: %.64q comes twice", r.line, key)
			}
		}
		if len(o.Fields) == l.Fields {
			return o, Refuse(ReasonTooLarge, "line %d: more than %d fields", r.line, l.Fields)
		}
		o.Fields = append(o.Fields, v.field(key, ""))
	}
	if lat != lon {
		return o, Refuse(ReasonBadPosition, "line %d: lat and lon come together or not at all", r.line)
	}
	o.HasAt = lat
	return o, r.time(&o)
}

// value reads a field value: a float, an integer with i, an unsigned one with
// u, a boolean, or text in double quotes.
func (r *lineReader) value() (scalar, error) {
	if r.at('"') {
		return r.quoted()
	}
	w, err := r.word(", \r", "a field value")
	if err != nil {
		return scalar{}, err
	}
	switch w {
	case "t", "T", "true", "True", "TRUE":
		return scalar{kind: scalarBool, number: 1}, nil
	case "f", "F", "false", "False", "FALSE":
		return scalar{kind: scalarBool}, nil
	}
	digits := w
	if c := w[len(w)-1]; c == 'i' || c == 'u' {
		digits = w[:len(w)-1]
		if strings.ContainsAny(digits, ".eE") {
			return scalar{}, r.bad("an integer before " + string(c))
		}
	}
	// strconv also takes hexadecimal, underscores and spelled-out infinities.
	if strings.Trim(digits, "+-0123456789.eE") != "" {
		return scalar{kind: scalarBadNum, text: w}, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	switch {
	case err == nil:
		return scalar{kind: scalarNumber, number: n}, nil
	case math.IsInf(n, 0):
		return scalar{kind: scalarBadNum, text: w}, nil
	}
	return scalar{}, r.bad("a number before this")
}

func (r *lineReader) quoted() (scalar, error) {
	var b strings.Builder
	for r.i++; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; {
		case c == '"':
			r.i++
			return scalar{kind: scalarText, text: b.String()}, nil
		case c == '\\' && r.i+1 < len(r.s) && (r.s[r.i+1] == '"' || r.s[r.i+1] == '\\'):
			r.i++
		case c == '\n':
			r.line++
		}
		b.WriteByte(r.s[r.i])
	}
	return scalar{}, r.bad("a closing quote")
}

// time reads the time at the end of a line, if there is one.
func (r *lineReader) time(o *RawObservation) error {
	for r.at(' ') || r.at('\r') {
		r.i++
	}
	if r.i < len(r.s) && r.s[r.i] != '\n' {
		w, err := r.word(" \r", "a time")
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return r.bad("the time as an integer before this")
		}
		// In floating point, because no int64 of seconds overflows there and a
		// millisecond of this century is still exact.
		ms := float64(n) * (float64(r.precision) / float64(time.Millisecond))
		if r.precision < time.Millisecond {
			ms = float64(n / int64(time.Millisecond/r.precision))
		}
		o.Time, o.HasTime = unixMillis(ms), true
	}
	for r.at(' ') || r.at('\r') {
		r.i++
	}
	if r.i < len(r.s) && r.s[r.i] != '\n' {
		return r.bad("the end of the line")
	}
	return nil
}
