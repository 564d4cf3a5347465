package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// arrival is when the payloads of these tests arrive.
var arrival = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// show writes observations so that a table can hold what it wants.
func show(list []RawObservation) string {
	var b strings.Builder
	for i, o := range list {
		if i > 0 {
			b.WriteString("| ")
		}
		if o.Name != "" {
			fmt.Fprintf(&b, "<%s> ", o.Name)
		}
		if o.HasTime {
			fmt.Fprintf(&b, "%s ", o.Time.Format("2006-01-02T15:04:05.999Z07:00"))
		}
		if o.Relative {
			b.WriteString("relative ")
		}
		if o.NoBver {
			b.WriteString("nobver ")
		}
		if o.HasAt {
			fmt.Fprintf(&b, "@%g,%g ", o.At.Lon, o.At.Lat)
		}
		for _, f := range o.Fields {
			fmt.Fprintf(&b, "%s=", f.Name)
			switch f.Kind {
			case RawNumber:
				fmt.Fprintf(&b, "%g", f.Number)
			case RawBool:
				fmt.Fprintf(&b, "bool:%g", f.Number)
			case RawText:
				fmt.Fprintf(&b, "%q", f.Text)
			case RawData:
				fmt.Fprintf(&b, "%x", f.Text)
			}
			if f.Unit != "" {
				fmt.Fprintf(&b, "[%s]", f.Unit)
			}
			b.WriteString(" ")
		}
	}
	return strings.TrimSpace(b.String())
}

func reasonOf(t *testing.T, err error) Reason {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %T (%v), want a *Refusal", err, err)
	}
	return r.Reason
}

// decodeCase is a payload and what it says, or why it is refused.
type decodeCase struct {
	name, in, want string
	reason         Reason
}

func (c decodeCase) run(t *testing.T, f Format) {
	t.Helper()
	got, err := Decode(f, []byte(c.in), arrival, Limits{Fields: 8, Observations: 4, Bytes: 4096})
	if c.reason != "" {
		if err == nil {
			t.Fatalf("%q: got %s, want %s", c.in, show(got), c.reason)
		}
		if r := reasonOf(t, err); r != c.reason {
			t.Fatalf("%q: got %v, want %s", c.in, err, c.reason)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", c.in, err)
	}
	if s := show(got); s != c.want {
		t.Fatalf("%q:\n got %s\nwant %s", c.in, s, c.want)
	}
}

func TestDecodeJSON(t *testing.T) {
	for _, c := range []decodeCase{
		{name: "one value", in: `{"pm25":12.5}`, want: `pm25=12.5`},
		{name: "time in ms", in: `{"ts":1782907200123,"pm25":12.5}`, want: `2026-07-01T12:00:00.123Z pm25=12.5`},
		{name: "time as text", in: `{"ts":"2026-07-01T19:00:00+07:00","pm25":1}`, want: `2026-07-01T12:00:00Z pm25=1`},
		{name: "seconds are not guessed", in: `{"ts":1782907200,"pm25":1}`, want: `1970-01-21T15:15:07.2Z pm25=1`},
		{name: "null time", in: `{"ts":null,"pm25":1}`, want: `pm25=1`},
		{name: "position", in: `{"lat":20.42,"lon":106.17,"speed":31}`, want: `@106.17,20.42 speed=31`},
		{name: "position alone", in: `{"lat":20.42,"lon":106.17}`, want: `@106.17,20.42`},
		{name: "no fix", in: `{"lat":null,"lon":null,"speed":0}`, want: `speed=0`},
		{name: "array", in: `[{"ts":1782907200000,"a":1},{"ts":1782907201000,"a":2}]`, want: `2026-07-01T12:00:00Z a=1 | 2026-07-01T12:00:01Z a=2`},
		{name: "white space", in: " \r\n\t{ \"a\" : -1.5e-3 , \"b\":0 } \n", want: `a=-0.0015 b=0`},
		{name: "kinds", in: `{"a":true,"b":false,"c":"on","d":null}`, want: `a=bool:1 b=bool:0 c="on"`},
		{name: "escapes", in: `{"\u0061\n\"\\\/":"\ud83d\ude00\b\f\r\t"}`, want: "a\n\"\\/=\"😀\\b\\f\\r\\t\""},
		{name: "overflow keeps its neighbours", in: `{"a":1e999,"b":1}`, want: `a="1e999" b=1`},
		{name: "NaN", in: `{"a":NaN,"b":-Infinity,"c":Infinity}`, want: `a="NaN" b="-Infinity" c="Infinity"`},
		{name: "underflow is zero", in: `{"a":1e-999}`, want: `a=0`},
		{name: "thirteen fields fit when allowed", in: `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}`, want: `a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1`},

		{name: "no bytes", in: ``, reason: ReasonEmpty},
		{name: "empty object", in: `{}`, reason: ReasonEmpty},
		{name: "empty array", in: `[]`, reason: ReasonEmpty},
		{name: "time only", in: `{"ts":1}`, reason: ReasonEmpty},
		{name: "too many fields", in: `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, reason: ReasonTooLarge},
		{name: "too many objects", in: `[{"a":1},{"a":1},{"a":1},{"a":1},{"a":1}]`, reason: ReasonTooLarge},
		{name: "too many bytes", in: `{"a":"` + strings.Repeat("x", 5000) + `"}`, reason: ReasonTooLarge},
		{name: "number", in: `12`, reason: ReasonMalformed},
		{name: "truncated", in: `{"a":1`, reason: ReasonMalformed},
		{name: "truncated text", in: `{"a":"b`, reason: ReasonMalformed},
		{name: "truncated escape", in: `{"a":"b\`, reason: ReasonMalformed},
		{name: "truncated surrogate", in: `{"a":"\ud83d`, reason: ReasonMalformed},
		{name: "half a surrogate", in: `{"a":"\ud83d x"}`, reason: ReasonMalformed},
		{name: "surrogates the wrong way round", in: `{"a":"\ude00\ud83d"}`, reason: ReasonMalformed},
		{name: "bad escape", in: `{"a":"\x"}`, reason: ReasonMalformed},
		{name: "bad hex", in: `{"a":"\u00g0"}`, reason: ReasonMalformed},
		{name: "control character", in: "{\"a\":\"\x01\"}", reason: ReasonMalformed},
		{name: "not UTF-8", in: "{\"a\":\"\xff\"}", reason: ReasonMalformed},
		{name: "twice", in: `{"a":1,"a":2}`, reason: ReasonMalformed},
		{name: "time twice", in: `{"ts":1,"ts":2,"a":1}`, reason: ReasonMalformed},
		{name: "nested object", in: `{"a":{"v":1}}`, reason: ReasonMalformed},
		{name: "nested array", in: `{"a":[1]}`, reason: ReasonMalformed},
		{name: "array of numbers", in: `[1]`, reason: ReasonMalformed},
		{name: "trailing comma", in: `{"a":1,}`, reason: ReasonMalformed},
		{name: "trailing bytes", in: `{"a":1}x`, reason: ReasonMalformed},
		{name: "two objects", in: `{"a":1}{"a":2}`, reason: ReasonMalformed},
		{name: "leading zero", in: `{"a":01}`, reason: ReasonMalformed},
		{name: "leading plus", in: `{"a":+1}`, reason: ReasonMalformed},
		{name: "bare point", in: `{"a":1.}`, reason: ReasonMalformed},
		{name: "bare exponent", in: `{"a":1e}`, reason: ReasonMalformed},
		{name: "hexadecimal", in: `{"a":0x10}`, reason: ReasonMalformed},
		{name: "single quotes", in: `{'a':1}`, reason: ReasonMalformed},
		{name: "no quotes", in: `{a:1}`, reason: ReasonMalformed},
		{name: "time that is no time", in: `{"ts":"yesterday","a":1}`, reason: ReasonMalformed},
		{name: "time that is a boolean", in: `{"ts":true,"a":1}`, reason: ReasonMalformed},
		{name: "half a position", in: `{"lat":20,"a":1}`, reason: ReasonBadPosition},
		{name: "position as text", in: `{"lat":"20","lon":"106","a":1}`, reason: ReasonBadPosition},
		{name: "byte order mark", in: "\ufeff{\"a\":1}", reason: ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, FormatJSON) })
	}
}

// A payload that is deep rather than long must not cost a stack.
func TestJSONDepth(t *testing.T) {
	in := `[{"n":"a","v":1,"x":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}]`
	_, err := Decode(FormatJSON, []byte(in), arrival, Limits{Bytes: 1 << 20})
	if err == nil || reasonOf(t, err) != ReasonMalformed {
		t.Fatalf("got %v, want malformed", err)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{"ts":1782907200123,"pm25":12.5,"lat":20.4,"lon":106.1}`, `[{"a":1},{"b":"\u00e9\ud83d\ude00"}]`,
		`[{"bn":"vl:x:","bt":1e9,"n":"a","u":"Cel","v":1},{"n":"b","vd":"aGkgCg"}]`,
		`{"a":1e999,"b":NaN,"c":-0.0}`, `[{"n":"a","v":1,"x":[{"y":[]}]}]`, `{"a":`, `[`, `{"a":"\u`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Decode(FormatJSON, in, arrival, Limits{})
		checkDecoded(t, got, err)
		if err != nil {
			return
		}
		// What is read must be JSON to the standard library too, which does not
		// know the three words taken beyond the RFC.
		if s := string(in); !strings.Contains(s, "NaN") && !strings.Contains(s, "Infinity") && !json.Valid(in) {
			t.Fatalf("read what is not JSON: %q", in)
		}
	})
}

// checkDecoded holds what every decoder promises.
func checkDecoded(t *testing.T, got []RawObservation, err error) {
	t.Helper()
	if err != nil {
		var r *Refusal
		if !errors.As(err, &r) || r.Reason == "" {
			t.Fatalf("error is %T %v, want a *Refusal with a reason", err, err)
		}
		return
	}
	if len(got) == 0 {
		t.Fatal("no observations and no error")
	}
	for _, o := range got {
		for _, x := range []float64{o.At.Lat, o.At.Lon} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("position %v is not finite", o.At)
			}
		}
		for _, f := range o.Fields {
			if math.IsNaN(f.Number) || math.IsInf(f.Number, 0) {
				t.Fatalf("%s = %g", f.Name, f.Number)
			}
		}
	}
	d := &Device{ID: "d-1", At: Position{106, 20}}
	p, _ := DefaultCatalogue().Profile("generic")
	obs, refusals := DefaultCatalogue().Admit(d, p, got, arrival, Window{})
	if len(obs) == 0 && len(refusals) == 0 {
		t.Fatal("neither kept nor refused")
	}
	for _, o := range obs {
		if o.Time.After(arrival.Add(5*time.Minute)) || o.Time.Before(arrival.Add(-30*24*time.Hour)) {
			t.Fatalf("kept under %s, outside the window", o.Time)
		}
		if _, err := json.Marshal(o.DeviceTime); err != nil {
			t.Fatalf("device time cannot be written: %v", err)
		}
	}
}

func TestDecodeKeepsNothingOfThePayload(t *testing.T) {
	in := []byte(`{"pm25":12.5,"note":"abc"}`)
	got, err := Decode(FormatJSON, in, arrival, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := show(got)
	for i := range in {
		in[i] = 'x'
	}
	if s := show(got); s != want || !reflect.DeepEqual(s, `pm25=12.5 note="abc"`) {
		t.Fatalf("after reuse of the buffer: %s", s)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name   string
		format Format
		in     string
	}{
		{"json/1", FormatJSON, `{"ts":1782907200123,"pm25":12.5}`},
		{"json/4", FormatJSON, `{"ts":1782907200123,"pm25":12.5,"pm10":30.25,"temperature":31.5,"humidity":77}`},
		{"cbor/4", FormatCBOR, "\xa5\x62ts\x1b\x00\x00\x01\x9f\x1d\x8c\xe2\x7b\x64pm25\xf9\x4a\x40\x64pm10\x18\x1e\x6btemperature\x18\x1f\x68humidity\x18\x4d"},
		{"senml+json/4", FormatSenMLJSON, `[{"bn":"vl:a-1:","bt":1782907200,"bver":26,"n":"pm25","u":"ug/m3","v":12.5},{"n":"pm10","u":"ug/m3","v":30.25},{"n":"temperature","u":"Cel","v":31.5},{"n":"humidity","u":"%RH","v":77}]`},
		{"line/4", FormatLine, `air,device=a-1 pm25=12.5,pm10=30.25,temperature=31.5,humidity=77 1782907200123000000`},
	} {
		in := []byte(c.in)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(c.format, in, arrival, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"+admit", func(b *testing.B) {
			cat := DefaultCatalogue()
			p, _ := cat.Profile("air-quality")
			d := &Device{ID: "a-1", At: Position{106, 20}}
			b.ReportAllocs()
			for b.Loop() {
				raw, err := Decode(c.format, in, arrival, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if obs, _ := cat.Admit(d, p, raw, arrival, Window{}); len(obs) != 1 {
					b.Fatal(obs)
				}
			}
		})
	}
}
