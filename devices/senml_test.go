package devices

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func showRecords(list []SenMLRecord) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s", r.Name)
		if r.Unit != "" {
			fmt.Fprintf(&b, " %s", r.Unit)
		}
		if r.HasTime {
			fmt.Fprintf(&b, " t%.3f", r.Time)
		}
		if r.Relative {
			b.WriteString(" relative")
		}
		if r.HasValue {
			switch r.Kind {
			case RawNumber:
				fmt.Fprintf(&b, " %g", r.Number)
			case RawBool:
				fmt.Fprintf(&b, " bool:%g", r.Number)
			case RawText:
				fmt.Fprintf(&b, " %q", r.Text)
			case RawData:
				fmt.Fprintf(&b, " data:%x", r.Text)
			}
		}
		if r.HasSum {
			fmt.Fprintf(&b, " sum:%g", r.Sum)
		}
		if r.UpdateTime != 0 {
			fmt.Fprintf(&b, " ut:%g", r.UpdateTime)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// The numbered cases are the examples of RFC 8428 sections 5.1.1 to 5.1.8 and
// 5.2 to 5.4 with the names shortened; the others are its rules one by one.
func TestResolveSenML(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		reason         Reason
	}{
		{name: "1 single datapoint", in: `[{"n":"urn:dev:ow:10e2","u":"Cel","v":23.1}]`, want: "urn:dev:ow:10e2 Cel 23.1\n"},
		{name: "2 multiple datapoints", in: `[{"bn":"urn:dev:ow:10e2:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]`,
			want: "urn:dev:ow:10e2:voltage V 120.1\nurn:dev:ow:10e2:current A 1.2\n"},
		{name: "3 base time and version", in: `[{"bn":"urn:dev:ow:10e2:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
			{"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","v":1.7}]`,
			want: "urn:dev:ow:10e2:current A t1276020071.001 1.2\nurn:dev:ow:10e2:current A t1276020072.001 1.3\n" +
				"urn:dev:ow:10e2:voltage V t1276020076.001 120.1\nurn:dev:ow:10e2:current A t1276020076.001 1.7\n"},
		{name: "4 only the base has a name", in: `[{"bn":"urn:dev:ow:10e2","bt":1.320067464e+09,"bu":"%RH","v":21.2},{"t":10,"v":21.3}]`,
			want: "urn:dev:ow:10e2 %RH t1320067464.000 21.2\nurn:dev:ow:10e2 %RH t1320067474.000 21.3\n"},
		{name: "5 positions", in: `[{"bn":"urn:dev:ow:10e2","bt":1.320067464e+09,"bu":"%RH","v":20},{"u":"lon","v":24.30621},{"u":"lat","v":60.07965},{"u":"%EL","t":150,"v":98}]`,
			want: "urn:dev:ow:10e2 %RH t1320067464.000 20\nurn:dev:ow:10e2 lon t1320067464.000 24.30621\n" +
				"urn:dev:ow:10e2 lat t1320067464.000 60.07965\nurn:dev:ow:10e2 %EL t1320067614.000 98\n"},
		{name: "6 two base names", in: `[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},{"n":"humidity","u":"%RH","v":30},{"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3}]`,
			want: "2001:db8::2/temperature Cel t1320078429.000 25.2\n2001:db8::2/humidity %RH t1320078429.000 30\n2001:db8::1/temperature Cel t1320078429.000 12.3\n"},
		{name: "7 every type", in: `[{"bn":"urn:dev:ow:10e2:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfv-reader","vd":"aGkgCg"}]`,
			want: "urn:dev:ow:10e2:temp Cel 23.1\nurn:dev:ow:10e2:label \"Machine Room\"\nurn:dev:ow:10e2:open bool:0\nurn:dev:ow:10e2:nfv-reader data:6869200a\n"},
		{name: "8 an unknown label", in: `[{"bn":"urn:dev:ow:10e2:","bt":1.320078429e+09,"l":"[{\"href\":\"humidity\"}]","n":"temperature","u":"Cel","v":27.2}]`,
			want: "urn:dev:ow:10e2:temperature Cel t1320078429.000 27.2\n"},
		{name: "9 base fields alone", in: `[{"bn":"urn:dev:ow:10e2:"},{"n":"temp","u":"Cel","v":23.1},{"n":"heat","u":"/","v":1}]`,
			want: "urn:dev:ow:10e2:temp Cel 23.1\nurn:dev:ow:10e2:heat / 1\n"},
		{name: "10 resolved already", in: `[{"n":"urn:dev:ow:10e2","u":"Cel","t":1.276020076e+09,"v":23.5},{"n":"urn:dev:ow:10e2","u":"Cel","t":1.276020091e+09,"v":23.6}]`,
			want: "urn:dev:ow:10e2 Cel t1276020076.000 23.5\nurn:dev:ow:10e2 Cel t1276020091.000 23.6\n"},
		{name: "11 resolved, with a base name", in: `[{"bn":"urn:dev:ow:10e2","u":"Cel","t":1.276020076e+09,"v":23.5},{"u":"Cel","t":1.276020091e+09,"v":23.6}]`,
			want: "urn:dev:ow:10e2 Cel t1276020076.000 23.5\nurn:dev:ow:10e2 Cel t1276020091.000 23.6\n"},
		{name: "12 set an actuator", in: `[{"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":1},{"n":"2001:db8::4","v":1}]`,
			want: "2001:db8::3 / t1320078429.000 1\n2001:db8::4 / t1320078429.000 1\n"},
		{name: "13 dim to zero", in: `[{"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":0.5},{"n":"2001:db8::4","v":0.5},{"n":"2001:db8::3","t":0.1,"v":0}]`,
			want: "2001:db8::3 / t1320078429.000 0.5\n2001:db8::4 / t1320078429.000 0.5\n2001:db8::3 / t1320078429.100 0\n"},

		{name: "relative past", in: `[{"n":"a","t":-60,"v":1}]`, want: "a t1782907140.000 relative 1\n"},
		{name: "the last relative time", in: `[{"n":"a","t":268435455,"v":1}]`, want: "a t2051342655.000 relative 1\n"},
		{name: "the first absolute time", in: `[{"n":"a","t":268435456,"v":1}]`, want: "a t268435456.000 1\n"},
		{name: "base value", in: `[{"bn":"a","bv":20,"v":1.5},{"v":-1},{"t":1}]`, want: "a 21.5\na 19\na t1782907201.000 relative 20\n"},
		{name: "base value leaves text alone", in: `[{"bn":"a","bv":20,"vs":"x"}]`, want: "a \"x\"\n"},
		{name: "base sum", in: `[{"bn":"a","bs":100,"v":1,"s":5},{"s":7}]`, want: "a 1 sum:105\na sum:107\n"},
		{name: "sum alone", in: `[{"n":"a","s":7,"ut":60}]`, want: "a sum:7 ut:60\n"},
		{name: "base unit overridden", in: `[{"bu":"V","n":"a","v":1},{"n":"b","u":"A","v":2},{"n":"c","v":3}]`, want: "a V 1\nb A 2\nc V 3\n"},
		{name: "an unknown label with structure", in: `[{"n":"a","v":1,"x":{"y":[1,{"z":null}]}}]`, want: "a 1\n"},
		{name: "version 10", in: `[{"bver":10,"n":"a","v":1}]`, want: "a 1\n"},
		{name: "version 26 is secondary units", in: `[{"bver":26,"n":"a","u":"ug/m3","v":1},{"bver":26,"n":"b","v":1}]`, want: "a ug/m3 1\nb 1\n"},

		{name: "mandatory label", in: `[{"n":"a","v":1,"calibrated_":true}]`, reason: ReasonMandatoryLabel},
		{name: "version 11", in: `[{"bver":11,"n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "version 16 lacks the reserved bits", in: `[{"bver":16,"n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "version 42 has an unknown feature", in: `[{"bver":42,"n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "version 0", in: `[{"bver":0,"n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "version 10.5", in: `[{"bver":10.5,"n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "version as text", in: `[{"bver":"10","n":"a","v":1}]`, reason: ReasonBadVersion},
		{name: "two versions", in: `[{"bver":10,"n":"a","v":1},{"bver":26,"n":"b","v":1}]`, reason: ReasonBadVersion},
		{name: "version after the default", in: `[{"n":"a","v":1},{"bver":26,"n":"b","v":1}]`, reason: ReasonBadVersion},
		{name: "two values", in: `[{"n":"a","v":1,"vs":"x"}]`, reason: ReasonMalformed},
		{name: "no value", in: `[{"n":"a"}]`, reason: ReasonMalformed},
		{name: "value as text", in: `[{"n":"a","v":"1"}]`, reason: ReasonMalformed},
		{name: "text as number", in: `[{"n":"a","vs":1}]`, reason: ReasonMalformed},
		{name: "boolean as number", in: `[{"n":"a","vb":1}]`, reason: ReasonMalformed},
		{name: "padded data", in: `[{"n":"a","vd":"aGk="}]`, reason: ReasonMalformed},
		{name: "NaN", in: `[{"n":"a","v":NaN}]`, reason: ReasonNotANumber},
		{name: "overflow", in: `[{"n":"a","v":1e999}]`, reason: ReasonNotANumber},
		{name: "overflow by the base", in: `[{"bv":1.7e308,"n":"a","v":1.7e308}]`, reason: ReasonNotANumber},
		{name: "name starts with ':'", in: `[{"n":"::1","v":1}]`, reason: ReasonMalformed},
		{name: "name with a zone", in: `[{"n":"fe80::1%eth0","v":1}]`, reason: ReasonMalformed},
		{name: "no name", in: `[{"v":1}]`, reason: ReasonMalformed},
		{name: "label twice", in: `[{"n":"a","v":1,"v":2}]`, reason: ReasonMalformed},
		{name: "value with structure", in: `[{"n":"a","v":[1]}]`, reason: ReasonMalformed},
		{name: "no array", in: `{"n":"a","v":1}`, reason: ReasonMalformed},
		{name: "a record that is none", in: `[1]`, reason: ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ResolveSenML(FormatSenMLJSON, []byte(c.in), arrival, Limits{})
			if c.reason != "" {
				if err == nil {
					t.Fatalf("got %s, want %s", showRecords(got), c.reason)
				}
				if r := reasonOf(t, err); r != c.reason {
					t.Fatalf("got %v, want %s", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := showRecords(got); s != c.want {
				t.Fatalf("got\n%swant\n%s", s, c.want)
			}
		})
	}
}

// Example 3 in CBOR, as RFC 8428 section 6 prints it.
func TestResolveSenMLCBOR(t *testing.T) {
	const in = "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666" +
		"a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666" +
		"a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333"
	payload, err := hex.DecodeString(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ResolveSenML(FormatSenMLCBOR, payload, arrival, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const n = "urn:dev:ow:10e2073a0108006:"
	want := n + "current A t1276020071.001 1.2\n" + n + "current A t1276020072.001 1.3\n" + n + "current A t1276020073.001 1.4\n" +
		n + "current A t1276020074.001 1.5\n" + n + "current A t1276020075.001 1.6\n" + n + "voltage V t1276020076.001 120.1\n" + n + "current A t1276020076.001 1.7\n"
	if s := showRecords(got); s != want {
		t.Fatalf("got\n%swant\n%s", s, want)
	}
}

func TestDecodeSenML(t *testing.T) {
	for _, c := range []decodeCase{
		{name: "recognised", in: `[{"bn":"vl:air-1:","n":"pm25","u":"ug/m3","bver":26,"v":12}]`, want: `<vl:air-1> pm25=12[ug/m3]`},
		{name: "no prefix", in: `[{"n":"pm25","v":12}]`, want: `pm25=12`},
		{name: "a moment is one observation", in: `[{"bn":"vl:a:","bt":1782907200,"n":"x","v":1},{"n":"y","v":2},{"n":"x","t":1,"v":3}]`,
			want: `<vl:a> 2026-07-01T12:00:00Z x=1 y=2 | <vl:a> 2026-07-01T12:00:01Z x=3`},
		{name: "parts of a device", in: `[{"bn":"vl:a/","n":"s1/x","v":1},{"n":"s2/x","v":2}]`, want: `<vl:a/s1> x=1 | <vl:a/s2> x=2`},
		{name: "place of a moment", in: `[{"bn":"vl:b:","bt":1782907200,"n":"speed","u":"km/h","v":31},{"n":"lat","u":"lat","v":20.4},{"n":"lon","u":"lon","v":106.1}]`,
			want: `<vl:b> 2026-07-01T12:00:00Z nobver @106.1,20.4 speed=31[km/h]`},
		{name: "a place alone", in: `[{"bn":"vl:b:","n":"lat","u":"lat","v":20.4},{"n":"lon","u":"lon","v":106.1}]`, want: `<vl:b> @106.1,20.4`},
		{name: "a place alone, by unit", in: `[{"bn":"vl:b","u":"lat","v":20.4},{"u":"lon","v":106.1}]`, want: `<vl:b> @106.1,20.4`},
		{name: "secondary unit unannounced", in: `[{"n":"pm25","u":"ug/m3","v":12}]`, want: `nobver pm25=12[ug/m3]`},
		{name: "relative", in: `[{"n":"a","t":-60,"v":1}]`, want: `2026-07-01T11:59:00Z relative a=1`},
		{name: "half a place", in: `[{"n":"a","u":"lat","v":20.4}]`, reason: ReasonBadPosition},
		{name: "place as text", in: `[{"n":"a","u":"lat","vs":"20.4"}]`, reason: ReasonBadPosition},
		{name: "sums only", in: `[{"n":"a","s":1}]`, reason: ReasonEmpty},
		{name: "base fields only", in: `[{"bn":"a"}]`, reason: ReasonEmpty},
		{name: "too many at a moment", in: `[{"n":"a","v":1},{"n":"b","v":1},{"n":"c","v":1},{"n":"d","v":1},{"n":"e","v":1},{"n":"f","v":1},{"n":"g","v":1},{"n":"h","v":1},{"n":"i","v":1}]`, reason: ReasonTooLarge},
		{name: "too many moments", in: `[{"n":"a","t":1,"v":1},{"n":"a","t":2,"v":1},{"n":"a","t":3,"v":1},{"n":"a","t":4,"v":1},{"n":"a","t":5,"v":1}]`, reason: ReasonTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, FormatAuto) })
	}
	// Believed to be SenML because the content type says so.
	decodeCase{in: `{"pm25":1}`, reason: ReasonMalformed}.run(t, FormatSenMLJSON)
	// Not SenML: no name in the first record.
	decodeCase{in: `[{"v":1}]`, want: `v=1`}.run(t, FormatAuto)
}

func TestClaimedID(t *testing.T) {
	for _, c := range []struct {
		name string
		id   ID
		ok   bool
	}{
		{"vl:air-1", "air-1", true},
		{"vl:air-1:s2", "air-1", true},
		{"vl:air-1/s2/x", "air-1", true},
		{"urn:dev:vonglau:air-1", "air-1", true},
		{"urn:dev:mac:0024befffe804ff1", "", false},
		{"", "", false},
		{"vl:", "", true},
	} {
		if id, ok := ClaimedID(c.name); id != c.id || ok != c.ok {
			t.Errorf("ClaimedID(%q) = %q, %v; want %q, %v", c.name, id, ok, c.id, c.ok)
		}
	}
}

// sharedData is a folder of public data sets that is not part of the
// repository; tests over it are extra.
func sharedData(t *testing.T, parts ...string) string {
	t.Helper()
	root := os.Getenv("VONGLAU_SHARED_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no data set at %s; set VONGLAU_SHARED_DATA to test with it", path)
	}
	return path
}

// The example files of the SenML working group resolve as its own tool did.
func TestSenMLVectors(t *testing.T) {
	dir := sharedData(t, "protocols", "senml")
	for i := 1; i <= 13; i++ {
		oracle, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("ex%d.gen.resolved.json", i)))
		if err != nil {
			oracle = nil // example 13 has none; that it resolves at all is tested
		}
		var want []struct {
			N, U string
			T    float64
			V    *float64
			VS   *string
			VB   *bool
		}
		if oracle != nil {
			if err := json.Unmarshal(oracle, &want); err != nil {
				t.Fatal(err)
			}
		}
		for _, suffix := range []string{".json", ".gen.json", ".gen.cbor"} {
			name := fmt.Sprintf("ex%d%s", i, suffix)
			payload, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			t.Run(name, func(t *testing.T) {
				f := FormatSenMLJSON
				if strings.HasSuffix(suffix, "cbor") {
					f = FormatSenMLCBOR
				}
				got, err := ResolveSenML(f, payload, arrival, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				left := map[string]int{}
				for _, r := range got {
					key := fmt.Sprintf("%s %s %g %s", r.Name, r.Unit, r.Number, r.Text)
					if r.HasTime {
						key += fmt.Sprintf(" t%.3f", r.Time)
					}
					left[key]++
				}
				for _, w := range want {
					var n float64
					var s string
					switch {
					case w.V != nil:
						n = *w.V
					case w.VS != nil:
						s = *w.VS
					case w.VB != nil && *w.VB:
						n = 1
					}
					// A record without a time got the oracle's own "now".
					key := fmt.Sprintf("%s %s %g %s", w.N, w.U, n, s)
					timed := key + fmt.Sprintf(" t%.3f", w.T)
					switch {
					case left[timed] > 0:
						left[timed]--
					case left[key] > 0:
						left[key]--
					default:
						t.Errorf("missing %s", timed)
					}
				}
				for key, n := range left {
					// The oracle leaves data values out.
					if n > 0 && oracle != nil && !strings.Contains(key, "nfv-reader") {
						t.Errorf("beyond the oracle: %s", key)
					}
				}
			})
		}
	}
}

func FuzzDecodeSenML(f *testing.F) {
	for _, s := range []string{
		`[{"bn":"vl:a:","bt":1782907200,"bu":"V","bver":10,"bv":1,"bs":2,"n":"x","v":1,"s":2,"ut":60}]`,
		`[{"n":"a","u":"lat","v":1},{"n":"a","u":"lon","v":2},{"n":"b","vd":"aGk"}]`,
		`[{"n":"a","v":1,"x_":1}]`, `[{"n":"a","t":-1e308,"v":1},{"bt":-1e308,"n":"b","v":1}]`,
	} {
		f.Add([]byte(s), false)
	}
	if b, err := hex.DecodeString("82a32161782200020181a2006161037962"); err == nil {
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, cbor bool) {
		format := FormatSenMLJSON
		if cbor {
			format = FormatSenMLCBOR
		}
		got, err := Decode(format, in, arrival, Limits{})
		checkDecoded(t, got, err)
		records, err := ResolveSenML(format, in, arrival, Limits{})
		if err != nil {
			return
		}
		for i := 1; i < len(records); i++ {
			if records[i].Time < records[i-1].Time {
				t.Fatal("not in the order of time")
			}
		}
	})
}
