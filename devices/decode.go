package devices

import (
	"math"
	"mime"
	"strings"
	"time"
)

// Decode reads one payload into observations with names and units as sent. The
// payload may be reused after it returns. The error is a *Refusal.
//
// FormatAuto and FormatJSON take JSON, and FormatAuto and FormatCBOR take CBOR:
// the first byte tells the two apart, because no CBOR map or array starts with
// a byte that starts JSON. In both a SenML pack is recognised by being an array
// whose first record has a name or a base name. A content type that names SenML
// is believed: then a plain object is malformed.
func Decode(f Format, payload []byte, received time.Time, l Limits) ([]RawObservation, error) {
	l = l.withDefaults()
	if len(payload) > l.Bytes {
		return nil, Refuse(ReasonTooLarge, "payload: %d bytes, at most %d are read", len(payload), l.Bytes)
	}
	if len(payload) == 0 {
		return nil, Refuse(ReasonEmpty, "payload: no bytes")
	}
	if f == FormatAuto {
		f = FormatJSON
		if payload[0] >= 0x80 {
			f = FormatCBOR
		}
	}
	switch f {
	case FormatLine:
		out, err := DecodeLine(payload, received, time.Nanosecond, l)
		for i := range out {
			if out[i].Name != "" {
				out[i].Name = "vl:" + out[i].Name // so that it is a claim
			}
		}
		return out, err
	case FormatJSON, FormatCBOR, FormatSenMLJSON, FormatSenMLCBOR:
	default:
		return nil, Refuse(ReasonBadFormat, "format %q is not served; send JSON, CBOR, SenML or line protocol", string(f))
	}
	r, err := newReader(f, payload)
	if err != nil {
		return nil, err
	}
	senml := f == FormatSenMLJSON || f == FormatSenMLCBOR
	if !senml {
		if senml, err = looksLikePack(r); err != nil {
			return nil, err
		}
	}
	if senml {
		records, err := readPack(r, received, l)
		if err != nil {
			return nil, err
		}
		return observe(records, l)
	}
	return readPlain(r, l)
}

// reader walks a payload that is an object of scalars or an array of such
// objects; JSON and CBOR differ in nothing else. Its errors are Refusals.
type reader interface {
	// kind tells what the next value is without reading it.
	kind() valueKind
	openArray() error
	// nextItem reports whether the open array has another item.
	nextItem(first bool) (bool, error)
	openObject() error
	// nextKey reads the next key of the open object, if it has one.
	nextKey(first bool) (key string, ok bool, err error)
	scalar() (scalar, error)
	skip() error
	// end checks that nothing follows.
	end() error
	// fork gives an independent reader at the same place.
	fork() reader
}

func newReader(f Format, payload []byte) (reader, error) {
	if f == FormatCBOR || f == FormatSenMLCBOR {
		return newCBORReader(payload)
	}
	return newJSONReader(payload)
}

type valueKind uint8

const (
	kindScalar valueKind = iota
	kindArray
	kindObject
)

// scalar is one value of an object.
type scalar struct {
	kind   scalarKind
	number float64
	text   string
}

type scalarKind uint8

const (
	scalarNull scalarKind = iota
	scalarNumber
	scalarBool
	scalarText
	scalarData
	scalarEpoch  // CBOR tag 1: number is seconds since 1970
	scalarBadNum // a number no float64 holds: NaN, an infinity, an overflow
)

func (k scalarKind) String() string {
	return [...]string{"null", "a number", "a boolean", "text", "bytes", "a time", "not a finite number"}[k]
}

// readPlain reads an object of values or an array of such objects. Null is no
// value. A key that comes twice is malformed: which of the two was meant is
// nobody's to guess.
func readPlain(r reader, l Limits) ([]RawObservation, error) {
	var out []RawObservation
	switch r.kind() {
	case kindObject:
		o, err := readPlainObject(r, l)
		if err != nil {
			return nil, err
		}
		out = []RawObservation{o}
	case kindArray:
		if err := r.openArray(); err != nil {
			return nil, err
		}
		for {
			more, err := r.nextItem(len(out) == 0)
			if err != nil {
				return nil, err
			}
			if !more {
				break
			}
			if len(out) == l.Observations {
				return nil, Refuse(ReasonTooLarge, "more than %d observations in one message", l.Observations)
			}
			if r.kind() != kindObject {
				return nil, Refuse(ReasonMalformed, "observation %d is not an object", len(out)+1)
			}
			o, err := readPlainObject(r, l)
			if err != nil {
				return nil, err
			}
			out = append(out, o)
		}
	default:
		return nil, Refuse(ReasonMalformed, "need an object or an array of objects")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	for i := range out {
		if len(out[i].Fields) > 0 || out[i].HasAt {
			return out, nil
		}
	}
	return nil, Refuse(ReasonEmpty, "no values in the message")
}

func readPlainObject(r reader, l Limits) (RawObservation, error) {
	var o RawObservation
	if err := r.openObject(); err != nil {
		return o, err
	}
	var buf [12]RawField // most objects fit, and are copied out at their size
	fields := buf[:0]
	var seen uint8 // reserved keys met
	const sawTime, sawLat, sawLon, hasLat, hasLon = 1, 2, 4, 8, 16
	for first := true; ; first = false {
		key, ok, err := r.nextKey(first)
		if err != nil {
			return o, err
		}
		if !ok {
			break
		}
		if r.kind() != kindScalar {
			return o, Refuse(ReasonMalformed, "%.64q: values are flat; nested objects and arrays are not read", key)
		}
		v, err := r.scalar()
		if err != nil {
			return o, err
		}
		var bit uint8
		switch key {
		case "ts":
			bit = sawTime
			if o.Time, o.HasTime, err = plainTime(v); err != nil {
				return o, err
			}
		case "lat", "lon":
			coordinate := &o.At.Lat
			bit = sawLat
			have := uint8(hasLat)
			if key == "lon" {
				coordinate, bit, have = &o.At.Lon, sawLon, hasLon
			}
			switch v.kind {
			case scalarNumber:
				*coordinate = v.number
				seen |= have
			case scalarNull:
			default:
				return o, Refuse(ReasonBadPosition, "%s: %s, need degrees as a number", key, v.kind)
			}
		default:
			for i := range fields {
				if fields[i].Name == key {
					return o, Refuse(ReasonMalformed, "%.64q comes twice in one object", key)
				}
			}
			if v.kind == scalarNull {
				continue
			}
			if len(fields) == l.Fields {
				return o, Refuse(ReasonTooLarge, "more than %d values in one observation", l.Fields)
			}
			fields = append(fields, v.field(key, ""))
			continue
		}
		if seen&bit != 0 {
			return o, Refuse(ReasonMalformed, "%q comes twice in one object", key)
		}
		seen |= bit
	}
	switch seen & (hasLat | hasLon) {
	case 0:
	case hasLat | hasLon:
		o.HasAt = true
	default:
		return o, Refuse(ReasonBadPosition, "lat and lon come together or not at all")
	}
	if len(fields) > 0 {
		o.Fields = append(make([]RawField, 0, len(fields)), fields...)
	}
	return o, nil
}

func (v scalar) field(name, unit string) RawField {
	f := RawField{Name: name, Unit: unit, Number: v.number, Text: v.text}
	switch v.kind {
	case scalarNumber:
		f.Kind = RawNumber
	case scalarBool:
		f.Kind = RawBool
	case scalarData:
		f.Kind = RawData
	default: // text, a time, a number that is none
		f.Kind, f.Number = RawText, 0
		if v.kind == scalarEpoch {
			f.Text = "a time"
		}
	}
	return f
}

// plainTime reads "ts": milliseconds since 1970, RFC 3339 text, or a CBOR time
// tag. The unit of a number is never guessed from its size: a device that sends
// seconds has a wrong clock until it is repaired, and is shown as such.
func plainTime(v scalar) (time.Time, bool, error) {
	switch v.kind {
	case scalarNull:
		return time.Time{}, false, nil
	case scalarNumber:
		return unixMillis(v.number), true, nil
	case scalarEpoch:
		return unixMillis(v.number * 1000), true, nil
	case scalarText:
		t, err := time.Parse(time.RFC3339Nano, v.text)
		if err != nil {
			return time.Time{}, false, Refuse(ReasonMalformed, "ts: %.40q is not RFC 3339, such as 2026-01-31T08:30:00Z", v.text)
		}
		return t.UTC(), true, nil
	}
	return time.Time{}, false, Refuse(ReasonMalformed, "ts: %s, need milliseconds since 1970 or RFC 3339 text", v.kind)
}

// unixMillis is the time ms milliseconds after 1970, at the nearest one there
// is when ms is absurd.
func unixMillis(ms float64) time.Time {
	const most = 1 << 53
	return time.UnixMilli(int64(math.Round(max(-most, min(most, ms))))).UTC()
}

// FormatOfMIME gives the format of a media type. An absent one is FormatAuto.
func FormatOfMIME(contentType string) (Format, error) {
	if contentType == "" {
		return FormatAuto, nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", Refuse(ReasonBadFormat, "content type %.80q does not parse", contentType)
	}
	switch strings.ToLower(media) {
	case "application/json":
		return FormatJSON, nil
	case "application/cbor":
		return FormatCBOR, nil
	case "application/senml+json":
		return FormatSenMLJSON, nil
	case "application/senml+cbor":
		return FormatSenMLCBOR, nil
	}
	return "", Refuse(ReasonBadFormat, "content type %.80q is not served; send application/json, application/cbor, application/senml+json or application/senml+cbor", media)
}

// FormatOfCoAP gives the format of a CoAP content-format number (RFC 7252
// section 12.3). A request without one counts as 42, bytes without a meaning,
// and is refused like it: what a device did not say is not guessed.
func FormatOfCoAP(number uint32, present bool) (Format, error) {
	if !present {
		return "", Refuse(ReasonBadFormat, "no content format; send 50 (JSON), 60 (CBOR), 110 or 112 (SenML)")
	}
	switch number {
	case 50:
		return FormatJSON, nil
	case 60:
		return FormatCBOR, nil
	case 110:
		return FormatSenMLJSON, nil
	case 112:
		return FormatSenMLCBOR, nil
	}
	return "", Refuse(ReasonBadFormat, "content format %d is not served; send 50 (JSON), 60 (CBOR), 110 or 112 (SenML)", number)
}
