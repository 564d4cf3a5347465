package devices

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads RFC 8259. It holds one copy of the payload and hands out
// parts of it, so a message costs one allocation for all its names. Beyond the
// RFC it takes NaN, Infinity and -Infinity as values, because the json module
// of a common device language writes them: the value is refused by name then
// and its neighbours are kept.
type jsonReader struct {
	s string
	i int
}

func newJSONReader(payload []byte) (*jsonReader, error) {
	if !utf8.Valid(payload) {
		return nil, Refuse(ReasonMalformed, "JSON: not UTF-8")
	}
	return &jsonReader{s: string(payload)}, nil
}

func (r *jsonReader) fork() reader { c := *r; return &c }

func (r *jsonReader) bad(what string) error {
	if r.i >= len(r.s) {
		return Refuse(ReasonMalformed, "JSON: ends early, expected %s", what)
	}
	return Refuse(ReasonMalformed, "JSON: expected %s at byte %d, found %.12q", what, r.i, r.s[r.i:])
}

// peek skips white space and gives the next byte, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.i < len(r.s) {
		switch c := r.s[r.i]; c {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) kind() valueKind {
	switch r.peek() {
	case '{':
		return kindObject
	case '[':
		return kindArray
	}
	return kindScalar
}

func (r *jsonReader) open(c byte, what string) error {
	if r.peek() != c {
		return r.bad(what)
	}
	r.i++
	return nil
}

func (r *jsonReader) openArray() error  { return r.open('[', "an array") }
func (r *jsonReader) openObject() error { return r.open('{', "an object") }

// next steps over the comma before a further item, or over the closing byte.
func (r *jsonReader) next(first bool, closing byte) (bool, error) {
	switch c := r.peek(); {
	case c == closing:
		r.i++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		r.i++
		return true, nil
	}
	return false, r.bad("',' or '" + string(closing) + "'")
}

func (r *jsonReader) nextItem(first bool) (bool, error) { return r.next(first, ']') }

func (r *jsonReader) nextKey(first bool) (string, bool, error) {
	more, err := r.next(first, '}')
	if err != nil || !more {
		return "", false, err
	}
	if r.peek() != '"' {
		return "", false, r.bad("a name in quotes")
	}
	key, err := r.text()
	if err != nil {
		return "", false, err
	}
	if r.peek() != ':' {
		return "", false, r.bad("':'")
	}
	r.i++
	return key, true, nil
}

func (r *jsonReader) end() error {
	if r.peek(); r.i < len(r.s) {
		return r.bad("nothing more")
	}
	return nil
}

func (r *jsonReader) scalar() (scalar, error) {
	switch c := r.peek(); {
	case c == '"':
		text, err := r.text()
		return scalar{kind: scalarText, text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, w := range [...]struct {
		word string
		scalar
	}{
		{"true", scalar{kind: scalarBool, number: 1}},
		{"false", scalar{kind: scalarBool}},
		{"null", scalar{}},
		{"NaN", scalar{kind: scalarBadNum, text: "NaN"}},
		{"Infinity", scalar{kind: scalarBadNum, text: "Infinity"}},
	} {
		if strings.HasPrefix(r.s[r.i:], w.word) {
			r.i += len(w.word)
			return w.scalar, nil
		}
	}
	return scalar{}, r.bad("a value")
}

func (r *jsonReader) digits() bool {
	start := r.i
	for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
		r.i++
	}
	return r.i > start
}

func (r *jsonReader) at(c byte) bool { return r.i < len(r.s) && r.s[r.i] == c }

// number checks the grammar of RFC 8259 section 6, which is narrower than what
// strconv takes.
func (r *jsonReader) number() (scalar, error) {
	start := r.i
	if r.at('-') {
		r.i++
		if strings.HasPrefix(r.s[r.i:], "Infinity") {
			r.i += len("Infinity")
			return scalar{kind: scalarBadNum, text: "-Infinity"}, nil
		}
	}
	if r.at('0') {
		r.i++
	} else if !r.digits() {
		return scalar{}, r.bad("a digit")
	}
	if r.at('.') {
		r.i++
		if !r.digits() {
			return scalar{}, r.bad("a digit")
		}
	}
	if r.at('e') || r.at('E') {
		r.i++
		if r.at('+') || r.at('-') {
			r.i++
		}
		if !r.digits() {
			return scalar{}, r.bad("a digit")
		}
	}
	n, err := strconv.ParseFloat(r.s[start:r.i], 64)
	if err != nil { // the grammar was checked, so only the range is left
		return scalar{kind: scalarBadNum, text: r.s[start:r.i]}, nil
	}
	return scalar{kind: scalarNumber, number: n}, nil
}

// text reads a string, the opening quote being next.
func (r *jsonReader) text() (string, error) {
	r.i++
	start := r.i
	for r.i < len(r.s) {
		switch c := r.s[r.i]; {
		case c == '"':
			r.i++
			return r.s[start : r.i-1], nil
		case c == '\\':
			return r.escaped(start)
		case c < 0x20:
			return "", r.bad("no control character inside a string")
		}
		r.i++
	}
	return "", r.bad("a closing quote")
}

// escaped goes on with a string that has an escape at r.i.
func (r *jsonReader) escaped(start int) (string, error) {
	out := []byte(r.s[start:r.i])
	for r.i < len(r.s) {
		c := r.s[r.i]
		if c == '"' {
			r.i++
			return string(out), nil
		}
		if c < 0x20 {
			return "", r.bad("no control character inside a string")
		}
		if c != '\\' {
			out = append(out, c)
			r.i++
			continue
		}
		if r.i++; r.i >= len(r.s) {
			break
		}
		switch c := r.s[r.i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u, ok := r.hex4(r.i + 1)
			if !ok {
				return "", r.bad("four hexadecimal digits")
			}
			r.i += 4
			if utf16.IsSurrogate(u) {
				low, ok := r.hex4(r.i + 3)
				if !ok || r.s[r.i+1] != '\\' || r.s[r.i+2] != 'u' {
					return "", r.bad("the second half of a surrogate pair")
				}
				if u = utf16.DecodeRune(u, low); u == utf8.RuneError {
					return "", r.bad("a surrogate pair")
				}
				r.i += 6
			}
			out = utf8.AppendRune(out, u)
		default:
			return "", r.bad("an escape")
		}
		r.i++
	}
	return "", r.bad("a closing quote")
}

func (r *jsonReader) hex4(at int) (rune, bool) {
	if at+4 > len(r.s) {
		return 0, false
	}
	var u rune
	for _, c := range []byte(r.s[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			u = u<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			u = u<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return u, true
}

func (r *jsonReader) skip() error { return r.skipAt(0) }

func (r *jsonReader) skipAt(depth int) error {
	if depth > maxDepth {
		return Refuse(ReasonMalformed, "JSON: nested more than %d deep", maxDepth)
	}
	k := r.kind()
	if k == kindScalar {
		_, err := r.scalar()
		return err
	}
	r.i++
	for first := true; ; first = false {
		var more bool
		var err error
		if k == kindArray {
			more, err = r.nextItem(first)
		} else {
			_, more, err = r.nextKey(first)
		}
		if err != nil || !more {
			return err
		}
		if err := r.skipAt(depth + 1); err != nil {
			return err
		}
	}
}
