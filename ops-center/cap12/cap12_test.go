package cap12

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var vietnam = time.FixedZone("", 7*3600)

// city is where the messages of these tests are about.
var city = Box{West: 105.9, South: 19.9, East: 106.7, North: 20.6}

var noon = time.Date(2026, 9, 11, 12, 0, 0, 0, vietnam)

// flood is a message with everything that one of ours has.
func flood() *Alert {
	square := []Point{{20.42, 106.15}, {20.42, 106.19}, {20.45, 106.19}, {20.45, 106.15}, {20.42, 106.15}}
	block := func(lang, event, headline, description, instruction, area string) Info {
		return Info{
			Language: lang, Categories: []string{"Met"}, Event: event, ResponseTypes: []string{"Avoid", "Prepare"},
			Urgency: "Immediate", Severity: "Severe", Certainty: "Observed",
			Effective: noon, Onset: noon, Expires: noon.Add(6 * time.Hour),
			SenderName: "Trung tâm Điều hành", Headline: headline, Description: description, Instruction: instruction,
			Web: "https://warnings.example/", Contact: "0228 000 000",
			Parameters: []Pair{{"VN.CapDoRuiRo", "3"}},
			Areas:      []Area{{Description: area, Polygons: [][]Point{square}, Geocodes: []Pair{{"ward", "13633"}}}},
		}
	}
	return &Alert{
		Version: "1.2", Identifier: "vonglau-2026-0001-1", Sender: "ops@warnings.example", Sent: noon, Status: "Actual", MsgType: "Alert", Scope: "Public",
		Infos: []Info{
			block("vi-VN", "Ngập úng", "Ngập sâu tại phường Vị Xuyên", "Nước ngập 0,6 m & đang lên <nhanh>.", "Không đi vào đoạn đường ngập.", "Phường Vị Xuyên"),
			block("en-US", "Urban flood", "Deep flooding in Vi Xuyen ward", "Water is 0.6 m deep & rising <fast>.", "Stay away from flooded roads.", "Vi Xuyen ward"),
		},
	}
}

func ours() Context { return Context{Now: noon, Service: city, Ours: true} }

// TestGolden keeps what is written as it is: feeds and receivers compare bytes.
func TestGolden(t *testing.T) {
	exercise, cancel, full := flood(), flood(), flood()
	exercise.Status, exercise.Note = "Exercise", "DIỄN TẬP / EXERCISE"
	cancel.MsgType, cancel.Identifier, cancel.Sent = "Cancel", "vonglau-2026-0001-2", noon.Add(time.Hour).UTC()
	cancel.References = []Reference{flood().Reference()}
	size, low, high := int64(5), 0.0, 1500.5
	full.Scope, full.Addresses, full.Codes = "Private", []string{"one", "two words"}, []string{"profile:x"}
	full.Source, full.Incidents = "nguồn", []string{"storm 3"}
	full.Infos[0].Resources = []Resource{{Description: "bản đồ", MIMEType: "image/png", Size: &size, DerefURI: base64.StdEncoding.EncodeToString([]byte("hello")), Digest: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"}}
	full.Infos[0].Areas[0].Circles = []Circle{{Point{20.43, 106.17}, 1.5}}
	full.Infos[1].Areas[0].Circles = full.Infos[0].Areas[0].Circles
	full.Infos[0].Areas[0].Altitude, full.Infos[0].Areas[0].Ceiling = &low, &high
	full.Infos[0].Audience, full.Infos[0].EventCodes = "mọi người", []Pair{{"SAME", "FFW"}}
	for name, a := range map[string]*Alert{"alert": flood(), "exercise": exercise, "cancel": cancel, "full": full} {
		t.Run(name, func(t *testing.T) {
			c := ours()
			c.Now = a.Sent
			if list := Check(a, c); len(list) > 0 {
				t.Errorf("problems: %v", list)
			}
			got, err := Encode(a)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			back, problems := Read(got)
			if len(problems) > 0 {
				t.Errorf("read back: %v", problems)
			}
			again, err := Encode(back)
			if err != nil || string(again) != string(got) {
				t.Errorf("written again: %v\n%s", err, again)
			}
			if !reflect.DeepEqual(back.Infos[0].Areas, a.Infos[0].Areas) {
				t.Errorf("areas: got %+v, want %+v", back.Infos[0].Areas, a.Infos[0].Areas)
			}
			validate(t, file)
		})
	}
}

// shared is where the schema and the agencies' messages are, when they are.
const shared = "../../../shared/data/cap"

// validate holds a file to the standard's own schema.
func validate(t *testing.T, file string) {
	t.Helper()
	schema := filepath.Join(shared, "CAP-v1.2.xsd")
	if _, err := os.Stat(schema); err != nil {
		t.Log("the schema is not here; held to our own rules only")
		return
	}
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Log("xmllint is not here; held to our own rules only")
		return
	}
	if out, err := exec.Command(lint, "--nonet", "--noout", "--schema", schema, file).CombinedOutput(); err != nil {
		t.Errorf("against the schema: %s", out)
	}
}

func TestFormatTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 999e6, time.UTC)
	for want, in := range map[string]time.Time{
		"2026-01-02T03:04:05-00:00": at,
		"2026-01-02T10:04:05+07:00": at.In(vietnam),
		"2026-01-01T23:34:05-03:30": at.In(time.FixedZone("", -3*3600-1800)),
	} {
		if got := FormatTime(in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestCheck breaks one thing at a time. None of these is seen by the schema.
func TestCheck(t *testing.T) {
	both := func(f func(*Info)) func(*Alert) {
		return func(a *Alert) {
			for i := range a.Infos {
				f(&a.Infos[i])
			}
		}
	}
	ring := func(points ...Point) func(*Alert) {
		return both(func(i *Info) { i.Areas[0].Polygons = [][]Point{points} })
	}
	first := flood().Reference()
	first.Identifier, first.Sent = "vonglau-2026-0001-0", noon.Add(-time.Hour)
	refer := func(r ...Reference) func(*Alert) {
		return func(a *Alert) { a.MsgType, a.References = "Update", r }
	}
	tests := []struct {
		name   string
		break_ func(*Alert)
		rule   string // and where
		path   string
	}{
		{"open ring", ring(Point{20.42, 106.15}, Point{20.42, 106.19}, Point{20.45, 106.19}, Point{20.45, 106.15}), "open", "info[1].area[1].polygon[1]"},
		{"three points", ring(Point{20.42, 106.15}, Point{20.42, 106.19}, Point{20.42, 106.15}), "ring", "info[1].area[1].polygon[1]"},
		{"bow tie", ring(Point{20.42, 106.15}, Point{20.45, 106.19}, Point{20.45, 106.15}, Point{20.42, 106.19}, Point{20.42, 106.15}), "crossing", "info[1].area[1].polygon[1]"},
		{"spike", ring(Point{20.42, 106.15}, Point{20.42, 106.19}, Point{20.42, 106.17}, Point{20.45, 106.15}, Point{20.42, 106.15}), "crossing", "info[1].area[1].polygon[1]"},
		{"twice the same", ring(Point{20.42, 106.15}, Point{20.42, 106.15}, Point{20.45, 106.19}, Point{20.45, 106.15}, Point{20.42, 106.15}), "crossing", "info[1].area[1].polygon[1]"},
		{"flat", ring(Point{20.42, 106.15}, Point{20.42, 106.17}, Point{20.42, 106.19}, Point{20.42, 106.15}), "crossing", "info[1].area[1].polygon[1]"},
		{"swapped", ring(Point{106.15, 20.42}, Point{106.19, 20.42}, Point{106.19, 20.45}, Point{106.15, 20.42}), "place", "info[1].area[1].polygon[1]"},
		{"elsewhere", ring(Point{10.42, 106.15}, Point{10.42, 106.19}, Point{10.45, 106.19}, Point{10.42, 106.15}), "outside", "info[1].area[1].polygon[1]"},
		{"negative circle", both(func(i *Info) { i.Areas[0].Circles = []Circle{{Point{20.4, 106.2}, -1}} }), "circle", "info[1].area[1].circle[1]"},
		{"nothing drawn", both(func(i *Info) { i.Areas[0].Polygons = nil }), "missing", "info[1].area[1].polygon"},
		{"no area", both(func(i *Info) { i.Areas = nil }), "missing", "info[1].area"},
		{"ceiling below", both(func(i *Info) { lo, hi := 10.0, 5.0; i.Areas[0].Altitude, i.Areas[0].Ceiling = &lo, &hi }), "ceiling", "info[1].area[1].ceiling"},
		{"ceiling alone", both(func(i *Info) { hi := 5.0; i.Areas[0].Ceiling = &hi }), "ceiling", "info[1].area[1].ceiling"},
		{"ends first", both(func(i *Info) { i.Expires = noon.Add(-time.Minute) }), "times", "info[1].expires"},
		{"onset after the end", both(func(i *Info) { i.Onset = noon.Add(7 * time.Hour) }), "times", "info[1].expires"},
		{"onset before effective", both(func(i *Info) { i.Onset = noon.Add(-time.Hour) }), "times", "info[1].onset"},
		{"no end", both(func(i *Info) { i.Expires = time.Time{} }), "expires", "info[1].expires"},
		{"no references", refer(), "references", "references"},
		{"unknown reference", refer(Reference{"x", "y", noon}), "references", "references[1]"},
		{"reference of another time", refer(Reference{first.Sender, first.Identifier, noon}), "references", "references[1]"},
		{"reference from the future", refer(Reference{first.Sender, first.Identifier, noon.Add(time.Hour)}), "future", "references[1]"},
		{"itself", refer(flood().Reference()), "circular", "references[1]"},
		{"named twice", refer(first, first), "references", "references[2]"},
		{"one in force is not named", refer(Reference{first.Sender, "vonglau-2026-0001-00", first.Sent}), "references", "references"},
		{"used before", func(a *Alert) { a.Identifier = first.Identifier }, "identifier", "identifier"},
		{"space", func(a *Alert) { a.Identifier = "a b" }, "identifier", "identifier"},
		{"comma", func(a *Alert) { a.Sender = "a,b" }, "identifier", "sender"},
		{"markup", func(a *Alert) { a.Sender = "a<b" }, "identifier", "sender"},
		{"no info", func(a *Alert) { a.Infos = nil }, "info", "info"},
		{"exercise without a note", func(a *Alert) { a.Status = "Exercise" }, "note", "note"},
		{"restricted to nobody", func(a *Alert) { a.Scope = "Restricted" }, "restriction", "restriction"},
		{"private to nobody", func(a *Alert) { a.Scope = "Private" }, "addresses", "addresses"},
		{"future", func(a *Alert) { a.Sent = noon.Add(time.Hour) }, "future", "sent"},
		{"no time", func(a *Alert) { a.Sent = time.Time{} }, "missing", "sent"},
		{"status", func(a *Alert) { a.Status = "actual" }, "word", "status"},
		{"type", func(a *Alert) { a.MsgType = "" }, "word", "msgType"},
		{"category", both(func(i *Info) { i.Categories = []string{"Flood"} }), "word", "info[1].category[1]"},
		{"no category", both(func(i *Info) { i.Categories = nil }), "missing", "info[1].category"},
		{"response", both(func(i *Info) { i.ResponseTypes = []string{"Run"} }), "word", "info[1].responseType[1]"},
		{"urgency", both(func(i *Info) { i.Urgency = "Now" }), "word", "info[1].urgency"},
		{"control character", both(func(i *Info) { i.Description = "a\x01b" }), "character", "info[1].description"},
		{"no event", both(func(i *Info) { i.Event = " " }), "missing", "info[1].event"},
		{"no instruction", both(func(i *Info) { i.Instruction = "" }), "missing", "info[1].instruction"},
		{"long headline", both(func(i *Info) { i.Headline = strings.Repeat("ngập ", 40) }), "length", "info[1].headline"},
		{"address", both(func(i *Info) { i.Web = "warnings.example" }), "uri", "info[1].web"},
		{"digest", both(func(i *Info) {
			i.Resources = []Resource{{Description: "x", MIMEType: "text/plain", DerefURI: "aGVsbG8=", Digest: strings.Repeat("0", 40)}}
		}), "digest", "info[1].resource[1].digest"},
		{"not hexadecimal", both(func(i *Info) {
			i.Resources = []Resource{{Description: "x", MIMEType: "text/plain", URI: "https://x.example/", Digest: "xyz"}}
		}), "digest", "info[1].resource[1].digest"},
		{"size", both(func(i *Info) {
			n := int64(4)
			i.Resources = []Resource{{Description: "x", MIMEType: "text/plain", DerefURI: "aGVsbG8=", Size: &n}}
		}), "size", "info[1].resource[1].size"},
		{"base64", both(func(i *Info) { i.Resources = []Resource{{Description: "x", MIMEType: "text/plain", DerefURI: "%%"}} }), "base64", "info[1].resource[1].derefUri"},
		{"media type", both(func(i *Info) {
			i.Resources = []Resource{{Description: "x", MIMEType: "png", URI: "https://x.example/"}}
		}), "mime", "info[1].resource[1].mimeType"},
		{"English first", func(a *Alert) { slices.Reverse(a.Infos) }, "language", "info[1].language"},
		{"no English", func(a *Alert) { a.Infos = a.Infos[:1] }, "language", "info[2].language"},
		{"categories differ", func(a *Alert) { a.Infos[1].Categories = []string{"Met", "Infra"} }, "languages", "info[2].category"},
		{"severity differs", func(a *Alert) { a.Infos[1].Severity = "Minor" }, "languages", "info[2].severity"},
		{"ends differ", func(a *Alert) { a.Infos[1].Expires = noon.Add(5 * time.Hour) }, "languages", "info[2].expires"},
		{"areas differ", func(a *Alert) {
			a.Infos[1].Areas = []Area{{Description: "x", Polygons: [][]Point{{{20.4, 106.1}, {20.4, 106.2}, {20.5, 106.2}, {20.4, 106.1}}}}}
		}, "languages", "info[2].area"},
	}
	c := ours()
	c.Replaces = []Reference{first}
	c.Used = func(_, id string) bool { return id == first.Identifier }
	c.Known = func(r Reference) (time.Time, bool) {
		return first.Sent, r.Same(first) || r.Identifier == "vonglau-2026-0001-00"
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := flood()
			tt.break_(a)
			for _, p := range Check(a, c) {
				if p.Level == Error && p.Rule == tt.rule && p.Path == tt.path {
					return
				}
			}
			t.Errorf("want %s at %s, got %v", tt.rule, tt.path, Check(a, c))
		})
	}
	update := flood()
	refer(first)(update)
	if list := Check(update, c); len(list) > 0 {
		t.Errorf("a good Update: %v", list)
	}
	// Swapped places that are on earth are told from places elsewhere.
	near := Context{Service: Box{West: 30, South: 40, East: 31, North: 41}}
	a := flood()
	ring(Point{30.5, 40.2}, Point{30.5, 40.4}, Point{30.7, 40.4}, Point{30.5, 40.2})(a)
	if list := Check(a, near); len(list) == 0 || list[0].Rule != "swapped" {
		t.Errorf("swapped: %v", list)
	}
}

// TestRefused is what strangers send, by hand.
func TestRefused(t *testing.T) {
	good, err := os.ReadFile("testdata/alert.xml")
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("the golden file has no %q", old)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	deep := strings.Repeat("<x>", 5000) + strings.Repeat("</x>", 5000)
	many := strings.Repeat("<code>x</code>", maxElements+1)
	for _, tt := range []struct{ name, in, rule string }{
		{"nothing", "", "xml"},
		{"text", "hello", "xml"},
		{"another document", `<html xmlns="http://www.w3.org/1999/xhtml"/>`, "namespace"},
		{"no namespace", `<alert/>`, "namespace"},
		{"CAP 1.0", `<alert xmlns="http://www.incident.com/cap/1.0"/>`, "namespace"},
		{"outside entity", `<?xml version="1.0"?><!DOCTYPE alert [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + swap("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", ""), "doctype"},
		{"entity bomb", `<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><alert xmlns="` + Namespace + `"><identifier>&b;</identifier></alert>`, "doctype"},
		{"entity nobody declared", swap("vonglau-2026-0001-1", "&x;"), "xml"},
		{"another character set", swap(`encoding="UTF-8"`, `encoding="TCVN-5712"`), "xml"},
		{"not UTF-8", swap("Ngập úng", "Ng\xc3\x28p"), "xml"},
		{"control character", swap("Ngập úng", "Ng&#1;p"), "xml"},
		{"cut off", string(good[:len(good)/2]), "xml"},
		{"two of them", string(good) + string(good[len(`<?xml version="1.0" encoding="UTF-8"?>`):]), "xml"},
		{"deep", swap("<scope>", deep+"<scope>"), "depth"},
		{"many", swap("<info>", many+"<info>"), "elements"},
		{"large", swap("Ngập úng", strings.Repeat("x", MaxBytes)), "size"},
		{"order", swap("<identifier>vonglau-2026-0001-1</identifier>", ""), "missing"},
		{"moved", swap("    <web>https://warnings.example/</web>\n    <contact>0228 000 000</contact>", "    <contact>0228 000 000</contact>\n    <web>https://warnings.example/</web>"), "order"},
		{"twice", swap("<status>Actual</status>", "<status>Actual</status><status>Test</status>"), "repeated"},
		{"unknown element", swap("<scope>", "<colour>red</colour><scope>"), "unknown"},
		{"stranger's element", swap("<scope>", `<scope2 xmlns="urn:x"/><scope>`), "unknown"},
		{"Z", swap("<sent>2026-09-11T12:00:00+07:00", "<sent>2026-09-11T05:00:00Z"), "time"},
		{"fraction", swap("<sent>2026-09-11T12:00:00+07:00", "<sent>2026-09-11T12:00:00.5+07:00"), "time"},
		{"30 February", swap("<sent>2026-09-11", "<sent>2026-02-30"), "time"},
		{"comma for a sign", swap("<sent>2026-09-11T12:00:00+07:00", "<sent>2026-09-11T12:00:00,07:00"), "time"},
		{"places apart by a space", swap("20.42,106.15 20.42,106.19", "20.42, 106.15 20.42,106.19"), "point"},
		{"exponent", swap("20.42,106.15 20.42,106.19", "2e1,106.15 20.42,106.19"), "point"},
		{"not a number", swap("20.42,106.15 20.42,106.19", "NaN,106.15 20.42,106.19"), "point"},
		{"reference of two parts", swap("  <info>", "  <references>a,b</references>\n  <info>"), "reference"},
		{"text between", swap("<scope>", "boo<scope>"), "text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Read([]byte(tt.in))
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Rule == tt.rule && p.Level == Error }) {
				t.Errorf("want %s, got %v", tt.rule, problems)
			}
			if _, err := Decode([]byte(tt.in), Context{}); err == nil {
				t.Error("decoded")
			}
		})
	}
}

// TestSignature: an enveloped signature is not ours to judge, and is no fault.
func TestSignature(t *testing.T) {
	good, err := os.ReadFile("testdata/alert.xml")
	if err != nil {
		t.Fatal(err)
	}
	signed := strings.Replace(string(good), "</alert>", `<Signature xmlns="`+signature+`"><SignedInfo/></Signature></alert>`, 1)
	if _, problems := Read([]byte(signed)); len(problems) > 0 {
		t.Error(problems)
	}
}

// TestAgencies reads what agencies publish, and says why not of what it refuses.
func TestAgencies(t *testing.T) {
	if _, err := os.Stat(shared); err != nil {
		t.Skipf("the agencies' messages are no part of the repository and are not beside it; our own are in testdata: %v", err)
	}
	for _, tt := range []struct{ file, version, refused string }{
		{"australia.cap", "1.2", ""},
		{"weather.cap", "1.1", ""},
		{"earthquake.cap", "1.1", ""},
		{"no_optional_fields.cap", "1.1", "info"},
		{"invalid.cap", "1.2", "missing scope"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(shared, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			a, problems := Read(raw)
			if a == nil {
				t.Fatal(problems)
			}
			problems = append(problems, Check(a, Context{Now: noon})...)
			if a.Version != tt.version || a.Sender == "" || a.Sent.IsZero() {
				t.Errorf("read %+v", a)
			}
			rule, path, _ := strings.Cut(tt.refused, " ")
			_, err = Decode(raw, Context{Now: noon})
			var p Problem
			switch {
			case tt.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.refused != "" && (!errors.As(err, &p) || p.Rule != rule || path != "" && p.Path != path):
				t.Errorf("want %s, got %v of %v", tt.refused, err, problems)
			}
			if tt.refused != "" {
				return
			}
			again, err := Encode(a) // as 1.2
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(file, again, 0o644); err != nil {
				t.Fatal(err)
			}
			validate(t, file)
		})
	}
}

// TestCrossing compares the sweep with every pair, over rings by chance.
func TestCrossing(t *testing.T) {
	seed := uint32(7)
	next := func(n int) float64 {
		seed = seed*1664525 + 1013904223
		return float64(int(seed>>16) % n)
	}
	crossed := 0
	for range 5000 {
		ring := make([]Point, 3+int(next(4)))
		for i := range ring {
			ring[i] = Point{next(5), next(5)}
		}
		ring = append(ring, ring[0])
		want := false
		n := len(ring) - 1
		for i := range n {
			want = want || ring[i] == ring[i+1]
			for j := i + 1; j < n; j++ {
				switch {
				case j == i+1:
					want = want || backOver(ring[i], ring[i+1], ring[j+1])
				case i == 0 && j == n-1:
					want = want || backOver(ring[j], ring[0], ring[1])
				default:
					want = want || meet(ring[i], ring[i+1], ring[j], ring[j+1])
				}
			}
		}
		if _, got := Crossing(ring); got != want {
			t.Fatalf("%v: got %v, want %v", ring, got, want)
		}
		if want {
			crossed++
		}
	}
	if crossed < 500 || crossed > 4900 {
		t.Errorf("%d of 5000 cross: the rings show nothing", crossed)
	}
}

// backOver: from b the line to c runs over that from a.
func backOver(a, b, c Point) bool {
	return turn(a, b, c) == 0 && (between(a, b, c) || between(c, b, a))
}

func TestLargeRing(t *testing.T) {
	ring := make([]Point, 0, maxRing)
	for i := range maxRing - 1 { // a comb: every edge overlaps every other from west to east
		ring = append(ring, Point{float64(i) * 0.001, float64(i % 2)})
	}
	ring = append(ring, ring[0])
	began := time.Now()
	Crossing(ring)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("%d points took %s", len(ring), took)
	}
}

func FuzzRead(f *testing.F) {
	for _, dir := range []string{"testdata/*.xml", shared + "/*.cap"} {
		files, _ := filepath.Glob(dir)
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, problems := Read(raw)
		if a == nil {
			if !Bad(problems) {
				t.Fatal("nothing read and nothing said")
			}
			return
		}
		problems = append(problems, Check(a, ours())...)
		if Bad(problems) {
			return
		}
		// What is good is the same again.
		first, err := Encode(a)
		if err != nil {
			t.Fatalf("a good message cannot be written: %v", err)
		}
		b, problems := Read(first)
		if b == nil || len(problems) > 0 {
			t.Fatalf("a good message cannot be read back: %v\n%s", problems, first)
		}
		second, err := Encode(b)
		if err != nil || string(first) != string(second) {
			t.Fatalf("written twice:\n%s\n%s", first, second)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	raw, err := os.ReadFile("testdata/alert.xml")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		a, problems := Read(raw)
		if a == nil || len(problems)+len(Check(a, ours())) > 0 {
			b.Fatal(fmt.Sprint(problems))
		}
	}
}
