package devices

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func fromHex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The bytes are written by hand after RFC 8949 appendix A.
func TestDecodeCBOR(t *testing.T) {
	for _, c := range []decodeCase{
		{name: "half", in: "a16161f93e00", want: "a=1.5"},
		{name: "smallest half", in: "a16161f90001", want: "a=5.960464477539063e-08"},
		{name: "float32", in: "a16161fa47c35000", want: "a=100000"},
		{name: "float64", in: "a16161fb3ff199999999999a", want: "a=1.1"},
		{name: "integers", in: "a461610061621818616338186164 1bffffffffffffffff", want: "a=0 b=24 c=-25 d=1.8446744073709552e+19"},
		{name: "least integer", in: "a161613bffffffffffffffff", want: "a=-1.8446744073709552e+19"},
		{name: "simple values", in: "a46161f56162f46163f66164f7", want: "a=bool:1 b=bool:0"},
		{name: "text and bytes", in: "a26161626f6e616242beef", want: `a="on" b=beef`},
		{name: "indefinite map", in: "bf616101616202ff", want: "a=1 b=2"},
		{name: "indefinite text", in: "a161617f616f616eff", want: `a="on"`},
		{name: "indefinite key", in: "a17f6161ff01", want: "a=1"},
		{name: "array", in: "82a1616101a1616102", want: "a=1 | a=2"},
		{name: "indefinite array", in: "9fa1616101ff", want: "a=1"},
		{name: "decimal fraction", in: "a16161c48221196ab3", want: "a=273.15"},
		{name: "decimal fraction, once rounded", in: "a16161c48201 20", want: "a=-10"},
		{name: "decimal overflow", in: "a26161c4821903e801616201", want: `a="1e1000" b=1`},
		{name: "NaN", in: "a26161f97e00616201", want: `a="NaN" b=1`},
		{name: "infinity", in: "a26161f97c00616201", want: `a="+Inf" b=1`},
		{name: "time in ms", in: "a26274731b0000019f1d8ce27b616101", want: "2026-07-01T12:00:00.123Z a=1"},
		{name: "epoch time", in: "a2627473c11a6a450140616101", want: "2026-07-01T12:00:00Z a=1"},
		{name: "epoch time with a fraction", in: "a2627473c1fb41da914050200000616101", want: "2026-07-01T12:00:00.5Z a=1"},
		{name: "time as text", in: "a2627473c074323032362d30372d30315431323a30303a30305a616101", want: "2026-07-01T12:00:00Z a=1"},
		{name: "position", in: "a3636c6174f94d1a636c6f6ef956a2616101", want: "@106.125,20.40625 a=1"},
		{name: "self-described", in: "d9d9f7a1616101", want: "a=1"},
		{name: "unknown tag", in: "a16161d82301", want: "a=1"},
		{name: "SenML recognised", in: "81a2006161 02 01", want: "a=1"},

		{name: "empty map", in: "a0", reason: ReasonEmpty},
		{name: "map without its pairs", in: "a1", reason: ReasonMalformed},
		{name: "truncated text", in: "a1636161", reason: ReasonMalformed},
		{name: "truncated float", in: "a16161fb3ff1", reason: ReasonMalformed},
		{name: "huge text", in: "a161617bffffffffffffffff", reason: ReasonMalformed},
		{name: "huge array", in: "9bffffffffffffffff", reason: ReasonMalformed},
		{name: "huge map", in: "bbffffffffffffffff", reason: ReasonMalformed},
		{name: "no break", in: "bf616101", reason: ReasonMalformed},
		{name: "break for a value", in: "bf6161ff", reason: ReasonMalformed},
		{name: "text in byte chunks", in: "a161617f4161ff", reason: ReasonMalformed},
		{name: "text that is not UTF-8", in: "a1616161ff", reason: ReasonMalformed},
		{name: "reserved length", in: "a161611c", reason: ReasonMalformed},
		{name: "nested", in: "a16161a1616201", reason: ReasonMalformed},
		{name: "trailing byte", in: "a161610100", reason: ReasonMalformed},
		{name: "key twice", in: "a2616101616102", reason: ReasonMalformed},
		{name: "array for a key", in: "a18001", reason: ReasonMalformed},
		{name: "epoch tag on text", in: "a2627473c16161616101", reason: ReasonMalformed},
		{name: "text time tag on a number", in: "a2627473c001616101", reason: ReasonMalformed},
		{name: "decimal of three", in: "a16161c483010203", reason: ReasonMalformed},
		{name: "decimal of text", in: "a16161c482016161", reason: ReasonMalformed},
		{name: "unassigned simple value", in: "a16161f0", reason: ReasonMalformed},
		{name: "tags without end", in: "a16161c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c601", reason: ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in = fromHex(t, strings.ReplaceAll(c.in, " ", ""))
			c.run(t, FormatCBOR)
		})
	}
}

// Nesting in a value that is skipped must not cost a stack.
func TestCBORDepth(t *testing.T) {
	in := []byte{0x81, 0xa2, 0x00, 0x61, 'a', 0x61, 'x'}
	for range 100000 {
		in = append(in, 0x81)
	}
	_, err := Decode(FormatCBOR, in, arrival, Limits{})
	if err == nil || reasonOf(t, err) != ReasonMalformed {
		t.Fatalf("got %v, want malformed", err)
	}
}

// Any map of numbers another encoder writes is read back as it was.
func TestCBORAgainstEncoder(t *testing.T) {
	want := map[string]float64{"zero": 0, "one": 1, "pi": math.Pi, "tiny": math.SmallestNonzeroFloat64, "huge": math.MaxFloat64, "minus": -273.15}
	for _, mode := range []cbor.EncOptions{{}, cbor.CoreDetEncOptions(), {ShortestFloat: cbor.ShortestFloat16}} {
		em, err := mode.EncMode()
		if err != nil {
			t.Fatal(err)
		}
		payload, err := em.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(FormatCBOR, payload, arrival, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got[0].Fields) != len(want) {
			t.Fatalf("got %d fields, want %d", len(got[0].Fields), len(want))
		}
		for _, f := range got[0].Fields {
			if f.Number != want[f.Name] {
				t.Errorf("%s: got %g, want %g", f.Name, f.Number, want[f.Name])
			}
		}
	}
}

func FuzzDecodeCBOR(f *testing.F) {
	for _, s := range []string{
		"a16161f93e00", "bf616101ff", "82a1616101a1616102", "a16161c48221196ab3", "a2627473c11a6a450140616101",
		"d9d9f7a1616101", "81a20061610201", "a161617f616f616eff", "a161", "9f", "bbffffffffffffffff",
	} {
		f.Add([]byte(fromHex(f, s)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Decode(FormatCBOR, in, arrival, Limits{})
		checkDecoded(t, got, err)
		// What is read must be well-formed to another implementation too.
		if err == nil {
			if err := cbor.Wellformed(in); err != nil {
				t.Fatalf("read what is not well-formed: %x: %v", in, err)
			}
		}
	})
}
