package devices

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// cborReader reads RFC 8949 in place: definite and indefinite lengths, integers
// and floats of every width, decimal fractions (tag 4), times (tags 0 and 1).
// Other tags are stepped over. No length that a payload claims is believed
// before its bytes are there, so a short payload cannot ask for much memory.
//
// Integer keys are read as the SenML labels they stand for (RFC 8428 section 6)
// and, beyond those, as their decimal text, which no label or quantity equals.
type cborReader struct {
	b []byte
	i int
	// What the open array and the open object still hold; one of each is open at
	// most, skip counts its own.
	items, keys count
}

// count is a number of items to come, or indefinite.
type count struct {
	left       uint64
	indefinite bool
}

const (
	majorUint = iota
	majorNint
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

const breakByte = 0xff

func newCBORReader(payload []byte) (*cborReader, error) {
	return &cborReader{b: payload}, nil
}

func (r *cborReader) fork() reader { c := *r; return &c }

func (r *cborReader) bad(what string) error {
	if r.i >= len(r.b) {
		return Refuse(ReasonMalformed, "CBOR: ends early, expected %s", what)
	}
	return Refuse(ReasonMalformed, "CBOR: expected %s at byte %d, found 0x%02x", what, r.i, r.b[r.i])
}

// head reads a major type with its argument. indefinite is set for additional
// information 31 where it is allowed; the break byte is never a head.
func (r *cborReader) head() (major byte, arg uint64, indefinite bool, err error) {
	if r.i >= len(r.b) {
		return 0, 0, false, r.bad("an item")
	}
	c := r.b[r.i]
	major, info := c>>5, c&31
	switch {
	case info < 24:
		r.i++
		return major, uint64(info), false, nil
	case info < 28:
		width := 1 << (info - 24)
		if len(r.b)-r.i-1 < width {
			r.i = len(r.b)
			return 0, 0, false, r.bad("more bytes of a number or length")
		}
		p := r.b[r.i+1:]
		switch width {
		case 1:
			arg = uint64(p[0])
		case 2:
			arg = uint64(binary.BigEndian.Uint16(p))
		case 4:
			arg = uint64(binary.BigEndian.Uint32(p))
		case 8:
			arg = binary.BigEndian.Uint64(p)
		}
		r.i += 1 + width
		return major, arg, false, nil
	case info == 31 && major >= majorBytes && major <= majorMap:
		r.i++
		return major, 0, true, nil
	}
	return 0, 0, false, r.bad("a well-formed item")
}

// peek gives the major type and the initial byte of the next item after any
// tags that do not matter to a container.
func (r *cborReader) kind() valueKind {
	c := *r
	for c.i < len(c.b) && c.b[c.i]>>5 == majorTag {
		if _, arg, _, err := c.head(); err != nil || arg == tagDecimal {
			return kindScalar
		}
	}
	if c.i < len(c.b) {
		switch c.b[c.i] >> 5 {
		case majorArray:
			return kindArray
		case majorMap:
			return kindObject
		}
	}
	return kindScalar
}

func (r *cborReader) open(want byte, what string) (count, error) {
	for {
		at := r.i
		major, arg, indefinite, err := r.head()
		switch {
		case err != nil:
			return count{}, err
		case major == majorTag:
			continue
		case major != want:
			r.i = at
			return count{}, r.bad(what)
		}
		return count{arg, indefinite}, nil
	}
}

func (r *cborReader) openArray() (err error) {
	r.items, err = r.open(majorArray, "an array")
	return err
}

func (r *cborReader) openObject() (err error) {
	r.keys, err = r.open(majorMap, "a map")
	return err
}

// next counts one item off c, or reads the break that ends it.
func (r *cborReader) next(c *count) (bool, error) {
	if !c.indefinite {
		if c.left == 0 {
			return false, nil
		}
		c.left--
		return true, nil
	}
	if r.i >= len(r.b) {
		return false, r.bad("a break")
	}
	if r.b[r.i] == breakByte {
		r.i++
		return false, nil
	}
	return true, nil
}

func (r *cborReader) nextItem(bool) (bool, error) { return r.next(&r.items) }

func (r *cborReader) nextKey(bool) (string, bool, error) {
	more, err := r.next(&r.keys)
	if err != nil || !more {
		return "", false, err
	}
	at := r.i
	major, arg, indefinite, err := r.head()
	if err != nil {
		return "", false, err
	}
	switch major {
	case majorText:
		key, err := r.chunks(major, arg, indefinite)
		return key, true, err
	case majorUint:
		if arg < uint64(len(senmlLabels)) {
			return senmlLabels[arg], true, nil
		}
		return strconv.FormatUint(arg, 10), true, nil
	case majorNint:
		if arg < uint64(len(senmlBaseLabels)) {
			return senmlBaseLabels[arg], true, nil
		}
		return "-" + strconv.FormatUint(arg, 10) + "-1", true, nil
	}
	r.i = at
	return "", false, r.bad("a text or integer key")
}

func (r *cborReader) end() error {
	if r.i < len(r.b) {
		return r.bad("nothing more")
	}
	return nil
}

// chunks reads the bytes of a string, definite or in definite chunks of the
// same type (RFC 8949 section 3.2.3).
func (r *cborReader) chunks(major byte, arg uint64, indefinite bool) (string, error) {
	if !indefinite {
		return r.take(major, arg)
	}
	var out []byte
	for {
		if r.i < len(r.b) && r.b[r.i] == breakByte {
			r.i++
			return string(out), nil
		}
		at := r.i
		m, n, nested, err := r.head()
		if err != nil {
			return "", err
		}
		if m != major || nested {
			r.i = at
			return "", r.bad("a chunk of the same type")
		}
		s, err := r.take(major, n)
		if err != nil {
			return "", err
		}
		out = append(out, s...)
	}
}

func (r *cborReader) take(major byte, n uint64) (string, error) {
	if n > uint64(len(r.b)-r.i) {
		r.i = len(r.b)
		return "", r.bad("the rest of a string")
	}
	s := r.b[r.i : r.i+int(n)]
	if major == majorText && !utf8.Valid(s) {
		return "", Refuse(ReasonMalformed, "CBOR: text at byte %d is not UTF-8", r.i)
	}
	r.i += int(n)
	return string(s), nil
}

const (
	tagTimeText = 0
	tagEpoch    = 1
	tagDecimal  = 4
)

func (r *cborReader) scalar() (scalar, error) { return r.scalarAt(0) }

func (r *cborReader) scalarAt(depth int) (scalar, error) {
	if depth > maxDepth {
		return scalar{}, Refuse(ReasonMalformed, "CBOR: more than %d tags on one value", maxDepth)
	}
	at := r.i
	major, arg, indefinite, err := r.head()
	if err != nil {
		return scalar{}, err
	}
	switch major {
	case majorUint:
		return finite(float64(arg)), nil
	case majorNint:
		return finite(-1 - float64(arg)), nil
	case majorBytes, majorText:
		s, err := r.chunks(major, arg, indefinite)
		k := scalarText
		if major == majorBytes {
			k = scalarData
		}
		return scalar{kind: k, text: s}, err
	case majorTag:
		if arg == tagDecimal {
			return r.decimal()
		}
		v, err := r.scalarAt(depth + 1)
		if err != nil {
			return v, err
		}
		switch {
		case arg == tagEpoch && v.kind == scalarNumber:
			v.kind = scalarEpoch
		case arg == tagEpoch, arg == tagTimeText && v.kind != scalarText:
			return v, Refuse(ReasonMalformed, "CBOR: tag %d on %s", arg, v.kind)
		}
		return v, nil
	case majorSimple:
		switch info := r.b[at] & 31; {
		case info == 20, info == 21:
			return scalar{kind: scalarBool, number: float64(info - 20)}, nil
		case info == 22, info == 23: // null, undefined
			return scalar{}, nil
		case info == 25:
			return finite(half(uint16(arg))), nil
		case info == 26:
			return finite(float64(math.Float32frombits(uint32(arg)))), nil
		case info == 27:
			return finite(math.Float64frombits(arg)), nil
		}
	}
	r.i = at
	return scalar{}, r.bad("a value")
}

func finite(n float64) scalar {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return scalar{kind: scalarBadNum, text: strconv.FormatFloat(n, 'g', -1, 64)}
	}
	return scalar{kind: scalarNumber, number: n}
}

// half is RFC 8949 appendix D.
func half(h uint16) float64 {
	exp, mant := int(h>>10&31), float64(h&1023)
	var n float64
	switch exp {
	case 0:
		n = math.Ldexp(mant, -24)
	case 31:
		n = math.Inf(1)
		if mant != 0 {
			n = math.NaN()
		}
	default:
		n = math.Ldexp(mant+1024, exp-25)
	}
	if h&0x8000 != 0 {
		n = -n
	}
	return n
}

// decimal reads [exponent, mantissa] (RFC 8949 section 3.4.4). The two are put
// together as text, because strconv rounds once and a product would twice.
func (r *cborReader) decimal() (scalar, error) {
	at := r.i
	n, err := r.open(majorArray, "exponent and mantissa")
	if err != nil {
		return scalar{}, err
	}
	var part [2]string
	for i := range part {
		if more, err := r.next(&n); err != nil || !more {
			r.i = at
			return scalar{}, r.bad("exponent and mantissa")
		}
		major, arg, _, err := r.head()
		if err != nil {
			return scalar{}, err
		}
		switch {
		case major == majorUint:
			part[i] = strconv.FormatUint(arg, 10)
		case major == majorNint && arg < math.MaxUint64:
			part[i] = "-" + strconv.FormatUint(arg+1, 10)
		default:
			r.i = at
			return scalar{}, r.bad("two integers")
		}
	}
	if more, err := r.next(&n); err != nil || more {
		r.i = at
		return scalar{}, r.bad("two integers and no more")
	}
	text := part[1] + "e" + part[0]
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return scalar{kind: scalarBadNum, text: text}, nil
	}
	return finite(v), nil
}

func (r *cborReader) skip() error { return r.skipAt(0) }

func (r *cborReader) skipAt(depth int) error {
	if depth > maxDepth {
		return Refuse(ReasonMalformed, "CBOR: nested more than %d deep", maxDepth)
	}
	at := r.i
	major, arg, indefinite, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case majorBytes, majorText:
		_, err := r.chunks(major, arg, indefinite)
		return err
	case majorTag:
		return r.skipAt(depth + 1)
	case majorArray, majorMap:
		n := count{arg, indefinite}
		for {
			more, err := r.next(&n)
			if err != nil || !more {
				return err
			}
			if err := r.skipAt(depth + 1); err != nil {
				return err
			}
			if major == majorMap {
				if err := r.skipAt(depth + 1); err != nil {
					return err
				}
			}
		}
	case majorSimple:
		// A one-byte simple value below 32 is not well-formed (RFC 8949 3.3).
		if r.b[at]&31 == 24 && arg < 32 {
			r.i = at
			return r.bad("a well-formed simple value")
		}
	}
	return nil
}

// clampTime brings t into the years RFC 3339 can write.
func clampTime(t time.Time) time.Time {
	switch y := t.Year(); {
	case y < 1:
		return time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	case y > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}
