package opscenter

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// withDepartments is a city whose departments are kept.
func withDepartments(t *testing.T) *city {
	return start(t, func(o *Options) {
		var err error
		if o.Departments, err = devices.OpenDepartments(t.Context(), store{&memory{data: map[string][]byte{}}}); err != nil {
			t.Fatal(err)
		}
	})
}

func (c *city) ids(query string) string {
	c.t.Helper()
	var page struct{ Devices []struct{ ID string } }
	c.get("/v1/devices?"+query, &page)
	ids := make([]string, len(page.Devices))
	for i, d := range page.Devices {
		ids[i] = d.ID
	}
	return strings.Join(ids, " ")
}

func TestFilterDevices(t *testing.T) {
	c := withDepartments(t)
	wards := `{"type":"FeatureCollection","features":[
		{"type":"Feature","properties":{"code":"13693","name":"Nam Định"},"geometry":{"type":"Polygon","coordinates":[[[106.1,20.4],[106.2,20.4],[106.2,20.5],[106.1,20.5],[106.1,20.4]]]}},
		{"type":"Feature","properties":{"code":"13700","name":"Thiên Trường"},"geometry":{"type":"Polygon","coordinates":[[[106.2,20.4],[106.3,20.4],[106.3,20.5],[106.2,20.5],[106.2,20.4]]]}}]}`
	if status, _, body := c.call(c.admin, "POST", "/v1/layers/wards?code=code&name=name&join=true&valid_from=2025-07-01", wards); status >= 300 {
		t.Fatalf("wards: %d %s", status, body)
	}
	c.add(`[{"id":"gw-1","profile":"gateway","at":[106.15,20.45],"owner":"Sở KH&CN"},
		{"id":"a-1","profile":"air-quality","name":"Trạm Nam Định","at":[106.15,20.45],"upstream":"gw-1","owner":"Sở Tài nguyên","site":"Quảng trường Hòa Bình"},
		{"id":"a-2","profile":"air-quality","name":"Trạm Lộc Hạ","at":[106.25,20.45],"upstream":"gw-1","owner":"Sở Tài nguyên","model":"AQ-9"},
		{"id":"b-1","profile":"bus","state":"announced"}]`)
	from := netip.MustParseAddrPort("[2001:db8::7]:5683")
	c.hub.Apply([]*devices.Message{{
		Device: "a-1", Received: noon.Add(-time.Minute), From: from,
		Observations: []devices.Observation{{Time: noon.Add(-time.Minute), Values: []devices.Value{{Quantity: "pm25", Number: 12}}}},
	}})
	for _, q := range []struct{ query, want string }{
		{"q=nam+dinh", "a-1"},
		{"q=hoa+binh+nam", "a-1"},
		{"q=aq-9", "a-2"},
		{"owner=s%E1%BB%9F+t%C3%A0i+nguy%C3%AAn", "a-1 a-2"},
		{"site=quang+truong", "a-1"},
		{"upstream=gw-1", "a-1 a-2"},
		{"state=announced", "b-1"},
		{"ward=13693", "a-1 gw-1"},
		{"ward=13700", "a-2"},
		{"ward=1", ""},
		{"presence=online", "a-1"},
		{"presence=never&profile=air-quality", "a-2"},
		{"offset=2", "b-1 gw-1"},
		{"offset=9", ""},
		{"offset=1&limit=1&q=tram", "a-2"},
		{"deviating=true&profile=air-quality", "a-1 a-2"}, // the department has no head
	} {
		if got := c.ids(q.query); got != q.want {
			t.Errorf("%s: %q, want %q", q.query, got, q.want)
		}
	}
	var zones struct{ Zones []zoneName }
	if c.get("/v1/layers/wards/zones", &zones); fmt.Sprint(zones.Zones) != "[{13693 Nam Định} {13700 Thiên Trường}]" {
		t.Errorf("wards %v", zones.Zones)
	}
	// A changed place is another ward at once.
	if status, _, body := c.call(c.admin, "PATCH", "/v1/devices/a-1", `{"at":[106.26,20.45]}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got := c.ids("ward=13700"); got != "a-1 a-2" {
		t.Errorf("after the move ward 13700 has %q", got)
	}
	var page struct {
		Total  int
		States map[string]int
	}
	c.get("/v1/devices?state=announced", &page)
	if page.Total != 1 || page.States["active"] != 3 || page.States["announced"] != 1 {
		t.Errorf("counts %+v", page)
	}
}

func TestPatchDevice(t *testing.T) {
	c := withDepartments(t)
	c.add(`{"id":"a-1","profile":"air-quality","name":"Trạm 1","state":"announced","owner":"Sở Xây dựng"}`)
	var d struct {
		Name, State, Site, Head string
		At                      []float64
		Next                    []string
		Deviations              []devices.Deviation
	}
	status, header, body := c.call(c.admin, "GET", "/v1/devices/a-1", "")
	tag := header.Get("ETag")
	if err := json.Unmarshal([]byte(body), &d); status != 200 || err != nil || tag == "" {
		t.Fatalf("%d %s %s", status, body, tag)
	}
	if got, want := fmt.Sprint(d.Next), "[active quarantined retired]"; got != want {
		t.Errorf("may go on to %s, want %s", got, want)
	}
	if len(d.Deviations) != 2 { // no place, no head
		t.Errorf("deviates in %v", d.Deviations)
	}
	if status, _, body := c.call(c.admin, "PUT", "/v1/departments/"+strings.ReplaceAll("sở xây dựng", " ", "%20"), `{"head":"Trần Thị Bình"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for _, p := range []struct {
		patch, tag string
		status     int
	}{
		{`{"state":"maintenance"}`, "", 409},
		{`{"state":"active","name":"Trạm một","at":[106.1,20.4],"site":"Nóc nhà A"}`, tag, 200},
		{`{"name":"Trạm 1b"}`, tag, 412}, // made for the entry before
		{`{"name":"Trạm 1b"}`, "*", 200},
		{`{"site":null}`, "", 200},
		{`{"at":[300,20]}`, "", 422},
		{`{"at":[0,0]}`, "", 422},
		{`{"at":[1]}`, "", 422},
		{`{"name":7}`, "", 422},
		{`{"profile":"no-such"}`, "", 422},
		{`{"upstream":"a-1"}`, "", 422},
		{`{"state":"dead"}`, "", 422},
		{`{"tokenHash":"AAAA"}`, "", 422},
		{`{"id":"a-2"}`, "", 422},
		{`[]`, "", 422},
		{`{`, "", 422},
		{`{"name":"` + strings.Repeat("x", 201) + `"}`, "", 422},
	} {
		var head []string
		if p.tag != "" {
			head = []string{"If-Match", p.tag}
		}
		if status, _, body := c.call(c.admin, "PATCH", "/v1/devices/a-1", p.patch, head...); status != p.status {
			t.Errorf("%.60s: %d, want %d: %s", p.patch, status, p.status, body)
		}
	}
	c.get("/v1/devices/a-1", &d)
	if d.Name != "Trạm 1b" || d.State != "active" || d.Site != "" || len(d.At) != 2 || d.Head != "Trần Thị Bình" || len(d.Deviations) != 0 {
		t.Errorf("is %+v", d)
	}
	if status, _, _ := c.call(c.admin, "PATCH", "/v1/devices/a-9", `{"name":"x"}`); status != 404 {
		t.Errorf("an unknown device: %d", status)
	}
	if status, _, _ := c.call(operatorToken, "PATCH", "/v1/devices/a-1", `{"name":"x"}`); status != 403 {
		t.Errorf("an operator: %d", status)
	}
	// The token of before still opens: a patch leaves the credential alone.
	if e, _ := c.register.Get("a-1"); len(e.TokenHash) != 32 {
		t.Error("the credential is gone")
	}
}

type imported struct {
	DryRun               bool
	Good, Refused, Added int
	Lines                []struct {
		Line              int
		ID, Result, Token string
		Problem           *lineProblem
	}
}

func (c *city) upload(query, table string) (int, imported) {
	c.t.Helper()
	status, _, body := c.call(c.admin, "POST", "/v1/devices/import?"+query, table, "Content-Type", "text/csv")
	var in imported
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			c.t.Fatalf("%v in %s", err, body)
		}
	}
	return status, in
}

func TestImportDevices(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"old","profile":"noise"}`)
	table := "\ufeffMã;Tên;Loại;Vĩ độ;Kinh độ;Trạng thái;Đơn vị;token\r\n" +
		"a-1;\"Trạm; Đò Quan\";air_quality;20,434;106,168;announced;Sở TN;\r\n" +
		"a b;;noise;;;;;\r\n" + // 3: not an id
		"old;;noise;;;;;\r\n" + // 4: there already
		"a-1;;noise;;;;;\r\n" + // 5: twice
		"a-2;;no-such;;;;;\r\n" + // 6
		"a-3;;noise;106,1;20,4;;;\r\n" + // 7: swapped
		"a-4;;noise;20,4;;;;\r\n" + // 8: half a place
		"a-5;;noise;;;dead;;\r\n" + // 9
		"a-6;;noise;;;;;short\r\n" + // 10
		"a-7;;noise\r\n" + // 11: cells missing
		"a-8;\"open;noise;;;;;\r\n" // 12: a quote without its end
	want := []string{"", "id", "exists", "twice", "profile", "place", "place", "state", "token", "columns", "csv"}
	status, in := c.upload("dry_run=true", table)
	if status != 200 || !in.DryRun || in.Good != 1 || in.Refused != 10 || in.Added != 0 || len(in.Lines) != len(want) {
		t.Fatalf("dry run: %d %+v", status, in)
	}
	for i, l := range in.Lines {
		code := ""
		if l.Problem != nil {
			code = l.Problem.Code
			if l.Problem.Message == "" || strings.Contains(l.Problem.Value, "short") {
				t.Errorf("line %d: %+v", l.Line, l.Problem)
			}
		}
		if l.Line != i+2 || code != want[i] || (l.Result == "refused") != (code != "") {
			t.Errorf("line %d (%s, %s): problem %q, want line %d with %q", l.Line, l.ID, l.Result, code, i+2, want[i])
		}
	}
	if _, in = c.upload("", table); in.Added != 0 || in.Lines[0].Result != "left_out" || len(c.register.List()) != 1 {
		t.Errorf("lines were refused, and still: %+v", in)
	}
	if _, in = c.upload("skip_bad=true", table); in.Added != 1 || in.Lines[0].Result != "added" || in.Lines[0].Token == "" {
		t.Fatalf("%+v", in)
	}
	if _, err := c.register.Authenticate("a-1", in.Lines[0].Token); err != nil {
		t.Error(err)
	}
	d, _ := c.register.Get("a-1")
	if d.Name != "Trạm; Đò Quan" || d.Profile != "air-quality" || d.At.Lat != 20.434 || d.At.Lon != 106.168 || d.State != devices.Announced || d.Owner != "Sở TN" {
		t.Errorf("registered as %+v", d)
	}
	for name, table := range map[string]string{
		"empty": "", "no id": "profile\nnoise\n", "no profile": "id\na-1\n", "unknown column": "id,profile,colour\n",
		"a column twice": "id,ID,profile\n", "an old code page": "id,profile,name\nx,noise,Tr\xe1\xbam\n",
	} {
		if status, _ := c.upload("", table); status != 422 && (table != "" || status != 400) {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// TestExportImport moves a register through a table and back.
func TestExportImport(t *testing.T) {
	from, to := start(t, nil), start(t, nil)
	from.add(`[{"id":"a-1","profile":"air-quality","name":"=1+1","at":[-106.168,20.434],"site":"\"phố\", số 3\nhẻm 2","model":"'quoted","state":"retired"},
		{"id":"a-2","profile":"noise","owner":"-Sở","firmware":"1.2","upstream":"a-1","simulated":true,"state":"announced"}]`)
	status, header, table := from.call(from.admin, "GET", "/v1/export/devices?format=csv", "")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || !strings.HasPrefix(table, "\ufeffid,") {
		t.Fatalf("%d %s %s", status, header.Get("Content-Type"), table)
	}
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][1] != "'=1+1" {
		t.Errorf("a spreadsheet would read %q, %v", rows, err)
	}
	if status, in := to.upload("", table); status != 200 || in.Added != 2 {
		t.Fatalf("%d %+v", status, in)
	}
	for _, want := range from.register.List() {
		got, ok := to.register.Get(want.ID)
		if !ok {
			t.Fatalf("%s is missing", want.ID)
		}
		a, b := *got, *want
		a.TokenHash, b.TokenHash, a.Added, b.Added = nil, nil, time.Time{}, time.Time{}
		if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
			t.Errorf("came through as\n%s, was\n%s", x, y)
		}
	}
	status, _, raw := from.call(from.admin, "GET", "/v1/export/devices?format=json&state=announced", "")
	if status != 200 || !strings.Contains(raw, `"a-2"`) || strings.Contains(raw, `"id":"a-1"`) || strings.Contains(raw, "okenHash") {
		t.Errorf("%d %s", status, raw)
	}
}

func TestConformity(t *testing.T) {
	c := withDepartments(t)
	c.add(`[{"id":"ok","profile":"bus","owner":"Sở GTVT"},{"id":"a-1","profile":"noise","owner":"Sở TN","upstream":"gone"},
		{"id":"r-1","profile":"noise","state":"retired"}]`)
	if status, _, body := c.call(c.admin, "PUT", "/v1/departments/S%E1%BB%9F%20GTVT", `{"head":"Lê Văn C","contact":"+84 228 000 000"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if _, err := c.register.Add(t.Context(), devices.Device{ID: "of-a-drill", Profile: "noise", Exercise: "flood-1"}); err != nil {
		t.Fatal(err) // it lacks all the others lack, and is nobody's to mend
	}
	var report struct {
		Checked, Total int
		Rules          map[string]int
		Devices        []struct{ ID string }
	}
	c.get("/v1/reports/conformity", &report)
	if report.Checked != 2 || report.Total != 1 || report.Devices[0].ID != "a-1" || fmt.Sprint(report.Rules) != "map[head:1 place:1 upstream:1]" {
		t.Errorf("%+v", report)
	}
	var list struct {
		Departments []struct {
			Name, Head string
			Devices    int
		}
	}
	c.get("/v1/departments", &list)
	if got := fmt.Sprint(list.Departments); got != "[{Sở GTVT Lê Văn C 1} {Sở TN  1}]" {
		t.Errorf("departments %s", got)
	}
}

func FuzzImportTable(f *testing.F) {
	for _, s := range []string{
		"id,profile\na,noise\n", "\ufeffid;profile;lat;lon\r\na;noise;20,4;106,1\r\n", "id\tprofile\nx\t\"", "id,profile,simulated\nb,noise,maybe\n\n\n",
	} {
		f.Add([]byte(s))
	}
	r, err := devices.OpenRegister(f.Context(), store{&memory{data: map[string][]byte{}}}, devices.DefaultCatalogue())
	if err != nil {
		f.Fatal(err)
	}
	a := &api{Options: Options{Register: r, Catalogue: devices.DefaultCatalogue()}}
	f.Fuzz(func(t *testing.T, table []byte) {
		lines, err := a.readTable(table)
		if err != nil {
			return
		}
		var ids []devices.ID
		for _, l := range lines {
			if l.Problem != nil {
				continue
			}
			if err := r.Check(&l.device); err != nil || slices.Contains(ids, l.device.ID) {
				t.Fatalf("line %d is good, and %v: %+v", l.Line, err, l.device)
			}
			ids = append(ids, l.device.ID)
		}
	})
}

// BenchmarkFilter100k asks over HTTP for a page out of 100,000 devices, as the
// register's page does while somebody types, after each change of a device.
func BenchmarkFilter100k(b *testing.B) {
	c := start(b, nil)
	wards := `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"13693","name":"Nam Định"},
		"geometry":{"type":"Polygon","coordinates":[[[106.1,20.4],[106.2,20.4],[106.2,20.5],[106.1,20.5],[106.1,20.4]]]}}]}`
	if status, _, body := c.call(c.admin, "POST", "/v1/layers/wards?code=code&name=name&join=true&valid_from=2025-07-01", wards); status >= 300 {
		b.Fatalf("wards: %d %s", status, body)
	}
	list := make([]devices.Device, 100_000)
	for i := range list {
		list[i] = devices.Device{
			ID: devices.ID(fmt.Sprintf("aq-%06d", i)), Profile: "air-quality", TokenHash: make([]byte, 32),
			Name: fmt.Sprintf("Trạm Nam Định số %d", i), Owner: "Sở Tài nguyên và Môi trường", Site: "Đường Trần Hưng Đạo",
			At: devices.Position{Lon: 106.1 + float64(i%1000)/10000, Lat: 20.4 + float64(i/1000)/1000},
		}
	}
	if _, err := c.register.AddAll(b.Context(), list); err != nil {
		b.Fatal(err)
	}
	c.api.search.List() // a hundred thousand new names are folded once
	for _, q := range []struct {
		query string
		total int
	}{
		{"", 100_000}, {"q=nam+dinh+so+99", 3691}, {"presence=never", 100_000}, {"ward=13693", 100_000},
		{"owner=s%E1%BB%9F+t%C3%A0i+nguy%C3%AAn+v%C3%A0+m%C3%B4i+tr%C6%B0%E1%BB%9Dng", 100_000}, {"deviating=true", 0},
	} {
		b.Run(q.query, func(b *testing.B) {
			for b.Loop() {
				if err := c.register.Update(b.Context(), "aq-050000", func(d *devices.Device) error { d.Simulated = !d.Simulated; return nil }); err != nil {
					b.Fatal(err)
				}
				var page struct{ Total int }
				if c.get("/v1/devices?limit=200&"+q.query, &page); page.Total != q.total {
					b.Fatalf("found %d, want %d", page.Total, q.total)
				}
			}
		})
	}
}
