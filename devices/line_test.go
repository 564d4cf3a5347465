package devices

import (
	"testing"
	"time"
)

func TestDecodeLine(t *testing.T) {
	for _, c := range []decodeCase{
		{name: "value takes the measurement", in: `pm25,device=air-1 value=12.5 1782907200123000000`, want: `<vl:air-1> 2026-07-01T12:00:00.123Z pm25=12.5`},
		{name: "fields", in: "air,device=air-1,host=h pm25=12.5,pm10=30i,lamp=t,clients=3u\n", want: `<vl:air-1> pm25=12.5 pm10=30 lamp=bool:1 clients=3`},
		{name: "device_id", in: `m,device_id=a x=1`, want: `<vl:a> x=1`},
		{name: "no tags", in: `m x=1`, want: `x=1`},
		{name: "position", in: `m lat=20.4,lon=106.1,x=1`, want: `@106.1,20.4 x=1`},
		{name: "lines", in: "# a comment\n\nm x=1 1782907200000000000\r\n  m x=2 1782907201000000000 \n", want: `2026-07-01T12:00:00Z x=1 | 2026-07-01T12:00:01Z x=2`},
		{name: "text", in: `m x="a \"b\" \\ c,d",y=1`, want: `x="a \"b\" \\ c,d" y=1`},
		{name: "escapes", in: `m\ x,de\ v=1,device=a\,b a\=b=1`, want: `<vl:a,b> a=b=1`},
		{name: "a backslash is itself", in: `m a\b=1`, want: `a\b=1`},
		{name: "NaN", in: `m x=NaN,y=1`, want: `x="NaN" y=1`},
		{name: "overflow", in: `m x=1e999,y=1`, want: `x="1e999" y=1`},
		{name: "time before 1970", in: `m x=1 -1000000`, want: `1969-12-31T23:59:59.999Z x=1`},

		{name: "comment only", in: "# nothing\n", reason: ReasonEmpty},
		{name: "no fields", in: `m`, reason: ReasonMalformed},
		{name: "no fields but tags", in: `m,a=b`, reason: ReasonMalformed},
		{name: "no measurement", in: `,a=b x=1`, reason: ReasonMalformed},
		{name: "no value", in: `m x= 1`, reason: ReasonMalformed},
		{name: "no field name", in: `m =1`, reason: ReasonMalformed},
		{name: "no tag value", in: `m,a= x=1`, reason: ReasonMalformed},
		{name: "two numbers", in: `m x=1.2.3`, reason: ReasonMalformed},
		{name: "fraction as integer", in: `m x=1.5i`, reason: ReasonMalformed},
		{name: "text without end", in: `m x="a`, reason: ReasonMalformed},
		{name: "time with a fraction", in: `m x=1 1.5`, reason: ReasonMalformed},
		{name: "something after the time", in: `m x=1 1 2`, reason: ReasonMalformed},
		{name: "field twice", in: `m x=1,x=2`, reason: ReasonMalformed},
		{name: "two devices", in: `m,device=a,device_id=b x=1`, reason: ReasonMalformed},
		{name: "not UTF-8", in: "m x=1\xff", reason: ReasonMalformed},
		{name: "half a position", in: `m lat=1,x=1`, reason: ReasonBadPosition},
		{name: "position as text", in: `m lat="1",lon="2"`, reason: ReasonBadPosition},
		{name: "too many lines", in: "m x=1\nm x=1\nm x=1\nm x=1\nm x=1\n", reason: ReasonTooLarge},
		{name: "too many fields", in: `m a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1`, reason: ReasonTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, FormatLine) })
	}
}

func TestLinePrecision(t *testing.T) {
	for _, c := range []struct{ param, at string }{
		{"", "1782907200123000000"}, {"ns", "1782907200123000000"}, {"us", "1782907200123000"}, {"ms", "1782907200123"}, {"s", "1782907200"},
	} {
		p, err := ParseLinePrecision(c.param)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeLine([]byte("m x=1 "+c.at), arrival, p, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := arrival
		if c.param != "s" {
			want = want.Add(123 * time.Millisecond)
		}
		if !got[0].Time.Equal(want) {
			t.Errorf("precision %q: got %s, want %s", c.param, got[0].Time, want)
		}
	}
	if _, err := ParseLinePrecision("h"); err == nil {
		t.Error("precision h was taken")
	}
}

func FuzzDecodeLine(f *testing.F) {
	for _, s := range []string{
		"pm25,device=a value=1 1782907200123000000\n", `m x="a\"b",y=1i,z=t`, "# c\n\nm\\ x,a=b c\\=d=1", "m x=1 -9223372036854775808", "m x=NaN", `m x="`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := DecodeLine(in, arrival, time.Second, Limits{})
		checkDecoded(t, got, err)
	})
}
