package opscenter

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a devices.Store and geo.Blobs that forgets at the end.
type memory struct {
	mu   sync.Mutex
	data map[string][]byte
	err  error // of every write
}

func (m *memory) Load(_ context.Context, each func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.data {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) PutAll(_ context.Context, entries map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		maps.Copy(m.data, entries)
	}
	return m.err
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return m.err
}

type store struct{ *memory }

func (s store) Put(ctx context.Context, key string, value []byte) error {
	return s.PutAll(ctx, map[string][]byte{key: value})
}

type blobs struct{ *memory }

func (b blobs) Put(ctx context.Context, name string, r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return b.PutAll(ctx, map[string][]byte{name: raw})
}

func (b blobs) Get(_ context.Context, name string) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	raw, ok := b.data[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (b blobs) List(context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.data)), nil
}

// history answers what it is told to, and remembers what was asked.
type history struct {
	err      error
	empty    bool
	from, to time.Time
	step     time.Duration
	offset   time.Duration
	limit    int
}

func (h *history) Range(_ context.Context, _ devices.ID, _ devices.Quantity, from, to time.Time, limit int) ([]devices.Point, error) {
	h.from, h.to, h.limit = from, to, limit
	if h.err != nil || h.empty {
		return nil, h.err
	}
	return []devices.Point{{
		Time: noon, Received: noon.Add(time.Second), Number: 12.5, Flags: devices.Late,
		Zones: []devices.ZoneRef{{Layer: "wards", Code: "W-1", ValidFrom: "2025-07-01"}},
	}}, nil
}

func (h *history) Buckets(_ context.Context, _ devices.ID, _ devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.Bucket, error) {
	h.from, h.to, h.step, h.offset = from, to, step, offset
	if h.err != nil || h.empty {
		return nil, h.err
	}
	return []devices.Bucket{{Start: noon, Min: 1, Mean: 2, Max: 3, Count: 4}}, nil
}

func (h *history) Track(_ context.Context, _ devices.ID, from, to time.Time, limit int) ([]devices.TrackPoint, error) {
	h.from, h.to, h.limit = from, to, limit
	if h.err != nil || h.empty {
		return nil, h.err
	}
	return []devices.TrackPoint{{Time: noon, At: devices.Position{Lon: 106.168, Lat: 20.434}}}, nil
}

func (h *history) ByZone(_ context.Context, layer string, _ devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.ZoneSeries, error) {
	h.from, h.to, h.step, h.offset = from, to, step, offset
	if h.err != nil {
		return nil, h.err
	}
	return []devices.ZoneSeries{{Zone: devices.ZoneRef{Layer: layer, Code: "W-1", ValidFrom: "2025-07-01"}, Buckets: []devices.Bucket{{Start: noon, Mean: 2, Count: 1}}}}, nil
}

// alarms is an engine with two alarms.
type alarms struct {
	mu    sync.Mutex
	list  []alert.Alarm
	rules []alert.Rule
	err   error
}

func (a *alarms) List() []alert.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

func (a *alarms) Act(_ context.Context, id string, who alert.Actor, act alert.Act) (alert.Alarm, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return alert.Alarm{}, a.err
	}
	for i := range a.list {
		al := &a.list[i]
		if al.ID != id {
			continue
		}
		if al.Acknowledged != nil {
			return *al, &alert.Conflict{Event: alert.Ack, Alarm: *al}
		}
		al.State, al.Acknowledged = alert.Acknowledged, &alert.Acknowledgement{By: who.Name, At: noon, Note: act.Note}
		return *al, nil
	}
	return alert.Alarm{}, fmt.Errorf("acknowledge %q: %w", id, alert.ErrNoAlarm)
}

func (a *alarms) Rules() []alert.Rule { return a.rules }

var noon = time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)

const (
	displayToken  = "a-display-token-of-enough-length"
	operatorToken = "an-operator-token-of-enough-length"
)

// city is a server with everything behind it, on [::1].
type city struct {
	t        testing.TB
	api      *api
	url      string
	admin    string
	store    *memory
	register *devices.Register
	hub      *live.Hub
	history  *history
	alarms   *alarms
	evidence *devices.Evidence
	ready    Readiness
	resumed  int
}

func start(t testing.TB, change func(*Options)) *city {
	t.Helper()
	c := &city{t: t, store: &memory{data: map[string][]byte{}}, history: &history{}, evidence: devices.NewEvidence(100), alarms: &alarms{
		list: []alert.Alarm{
			{ID: "flood.f-1.abc", Rule: "flood", Entity: "f-1", Device: "f-1", Priority: 1, State: alert.Unacknowledged, Raised: noon},
			{ID: "dust.a-1.abc", Rule: "dust", Entity: "a-1", Device: "a-1", Priority: 3, State: alert.Acknowledged, Raised: noon},
		},
	}}
	c.ready = Readiness{Ready: true, Parts: map[string]string{"journal": "ok"}}
	catalogue := devices.DefaultCatalogue()
	var err error
	if c.register, err = devices.OpenRegister(t.Context(), store{c.store}, catalogue); err != nil {
		t.Fatal(err)
	}
	layers, err := geo.Open(t.Context(), blobs{&memory{data: map[string][]byte{}}}, geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.hub, err = live.New(live.Options{Quantities: catalogue.Quantities(), Profiles: catalogue.Profiles(), Tick: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	c.register.OnChange(func(d *devices.Device) { c.hub.ApplyDevice(d) })
	c.hub.Start()
	dir := t.TempDir()
	acc, err := access.Open(t.Context(), access.Options{Dir: dir, Tokens: []access.Token{
		{Name: "wall-1", Role: access.Display, Hash: access.HashToken(displayToken)},
		{Name: "Ca trực", Role: access.Operator, Hash: access.HashToken(operatorToken)},
		{Name: "Chi", Role: access.Officer, Department: "Thoát nước", Hash: access.HashToken(drainToken)},
		{Name: "Yên", Role: access.Officer, Department: "Sở Y tế", Hash: access.HashToken(healthToken)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(dir, access.AdminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	c.admin = strings.TrimSpace(string(token))
	o := Options{
		Register: c.register, Catalogue: catalogue, Layers: layers, Hub: c.hub, Access: acc, History: c.history, Alarms: c.alarms,
		Refusals: c.evidence, Metrics: prometheus.NewRegistry(), Calendar: time.FixedZone("+07", 7*3600),
		Status: func() any { return map[string]any{"journal": map[string]any{"level": "ok"}} },
		Ready:  func() Readiness { return c.ready },
		Resume: func(context.Context) error { c.resumed++; return nil },
		Wall: fstest.MapFS{
			"index.html":          {Data: []byte("<!doctype html><title>wall</title>" + strings.Repeat("<p>mưa</p>", 300))},
			"assets/app-1a2b.js":  {Data: []byte("export default 1;" + strings.Repeat("//", 2000))},
			"assets/f-1a2b.woff2": {Data: bytes.Repeat([]byte{1, 2, 3, 4}, 500)},
			"favicon.svg":         {Data: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")},
			".gitkeep":            {},
		},
		Extra: map[string]http.Handler{"POST /v1/devices/{id}/telemetry": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.PathValue("id") {
			case "panic":
				panic("a defect")
			case "half":
				_, _ = io.WriteString(w, "half of an answer, ")
				_ = http.NewResponseController(w).Flush()
				panic("a defect")
			}
			w.WriteHeader(http.StatusNoContent)
		})},
	}
	if change != nil {
		change(&o)
	}
	if c.api, err = build(o); err != nil {
		t.Fatal(err)
	}
	c.api.now = func() time.Time { return noon }
	srv := httptest.NewUnstartedServer(c.api.handler())
	srv.Listener.Close()
	if srv.Listener, err = net.Listen("tcp", "[::1]:0"); err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		if err := c.hub.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	c.url = srv.URL
	return c
}

// call makes a request and gives status, headers and body.
func (c *city) call(token, method, path, body string, header ...string) (int, http.Header, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects, no cookies
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// get makes a request that must succeed and reads its JSON.
func (c *city) get(path string, into any) {
	c.t.Helper()
	status, _, body := c.call(c.admin, "GET", path, "")
	if status != 200 {
		c.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		c.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

func (c *city) add(body string) string {
	c.t.Helper()
	status, _, answer := c.call(c.admin, "POST", "/v1/devices", body)
	if status != 201 {
		c.t.Fatalf("POST /v1/devices: %d %s", status, answer)
	}
	return answer
}

// concrete fills in the wildcards of a pattern.
func concrete(pattern string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		return "GET", "/no/such/thing"
	}
	path = strings.NewReplacer("{$}", "", "{id}", "a-1", "{layer}", "wards", "{name}", "wards", "{z}", "1", "{x}", "0", "{y}", "0.mvt", "{n}", "1", "{credential}", "1", "{command}", "c1", "{delivery}", "d1", "{action}", "pause", "{account}", "nobody", "{file}", "x.xml").Replace(path)
	return method, path
}

// Every route against every role: what the table of permissions says happens,
// and nothing else. A route without a permission would not have been built.
func TestEveryRouteHasItsPermission(t *testing.T) {
	c := start(t, nil)
	roles := map[string]struct {
		token string
		role  access.Role
	}{"nobody": {}, "display": {displayToken, access.Display}, "operator": {operatorToken, access.Operator}, "admin": {c.admin, access.Admin}}
	if len(c.api.routes) < 20 {
		t.Fatalf("only %d routes", len(c.api.routes))
	}
	for pattern, p := range c.api.routes {
		if p == access.Self {
			continue
		}
		method, path := concrete(pattern)
		for name, who := range roles {
			status, header, body := c.call(who.token, method, path, "")
			want := 0 // let in
			switch {
			case p == access.Public:
			case who.role == "":
				want = 401
			case !who.role.May(p):
				want = 403
			}
			if want != 0 && status != want || want == 0 && (status == 401 || status == 403) {
				t.Errorf("%s as %s (needs %s): %d %s", pattern, name, p, status, body)
			}
			if status >= 400 && header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s as %s: an error of type %q: %s", pattern, name, header.Get("Content-Type"), body)
			}
			if status == 401 && header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without WWW-Authenticate", pattern)
			}
		}
	}
}

func TestRouteWithoutPermissionIsRefused(t *testing.T) {
	c := start(t, nil)
	ruledMux{c.api}.HandleFunc("GET /v1/secret", func(http.ResponseWriter, *http.Request) {})
	if len(c.api.unruled) != 1 {
		t.Error("a route came in without a permission")
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/secret", ""); status != 404 {
		t.Errorf("it is served: %d", status)
	}
}

func TestRegisterDevices(t *testing.T) {
	c := start(t, nil)
	var one struct {
		ID, Token, Profile string
		At                 [2]float64
		Presence           struct{ State string }
	}
	if err := json.Unmarshal([]byte(c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434],"name":"Trạm Đò Quan","owner":"Sở TN&MT","simulated":true}`)), &one); err != nil {
		t.Fatal(err)
	}
	if one.ID != "a-1" || one.At != [2]float64{106.168, 20.434} || one.Presence.State != "never" {
		t.Errorf("got %+v", one)
	}
	if _, err := c.register.Authenticate("a-1", one.Token); err != nil {
		t.Errorf("the token does not work: %v", err)
	}
	var many struct{ Devices []struct{ ID, Token string } }
	body := c.add(`[{"id":"b-1","profile":"bus"},{"id":"b-2","profile":"bus","token":"brought-from-elsewhere"}]`)
	if err := json.Unmarshal([]byte(body), &many); err != nil || len(many.Devices) != 2 || many.Devices[1].Token != "brought-from-elsewhere" {
		t.Errorf("got %s, %v", body, err)
	}
	if _, err := c.register.Authenticate("b-2", "brought-from-elsewhere"); err != nil {
		t.Errorf("the token brought does not work: %v", err)
	}
	for name, bad := range map[string]struct {
		body   string
		status int
	}{
		"exists":          {`{"id":"a-1","profile":"bus"}`, 409},
		"twice":           {`[{"id":"x","profile":"bus"},{"id":"x","profile":"bus"}]`, 409},
		"bad id":          {`{"id":"a b","profile":"bus"}`, 422},
		"unknown profile": {`[{"id":"y","profile":"bus"},{"id":"z","profile":"spaceship"}]`, 422},
		"unknown field":   {`{"id":"z","profile":"bus","colour":"red"}`, 422},
		"swapped":         {`{"id":"z","profile":"air-quality","at":[20.4,106.1]}`, 422},
		"sea":             {`{"id":"z","profile":"air-quality","at":[0,0]}`, 422},
		"short token":     {`{"id":"z","profile":"bus","token":"1234"}`, 422},
		"not JSON":        {`{"id":`, 422},
		"two values":      {`{"id":"z","profile":"bus"}{}`, 422},
		"text":            {`"z"`, 422},
	} {
		status, header, body := c.call(c.admin, "POST", "/v1/devices", bad.body)
		if status != bad.status || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %s", name, status, header.Get("Content-Type"), body)
		}
	}
	if n := len(c.register.List()); n != 3 {
		t.Errorf("%d devices after refused registrations, want 3", n)
	}
	c.store.err = devices.Refuse(devices.ReasonUnavailable, "disk full")
	if status, header, _ := c.call(c.admin, "POST", "/v1/devices", `{"id":"q","profile":"bus"}`); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("disk full: %d", status)
	}
	var d struct {
		ID   string
		Name string
	}
	c.get("/v1/devices/a-1", &d)
	if d.Name != "Trạm Đò Quan" {
		t.Errorf("got %+v", d)
	}
	if _, _, body := c.call(c.admin, "GET", "/v1/devices/a-1", ""); strings.Contains(body, "oken") {
		t.Errorf("a credential is shown: %s", body)
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/devices/nobody", ""); status != 404 {
		t.Errorf("unknown device: %d", status)
	}
}

func TestBulkRegistration(t *testing.T) {
	c := start(t, nil)
	const n = 20000
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%c{"id":"d-%05d","profile":"air-quality","at":[106.%03d,20.4],"name":"Trạm %d"}`, ",["[b2i(i == 0)], i, i%1000, i)
	}
	b.WriteByte(']')
	started := time.Now()
	c.add(b.String())
	t.Logf("%d devices in %v", n, time.Since(started))
	seen, cursor := 0, ""
	for {
		var page struct {
			Devices []struct{ ID string }
			Next    string
			Total   int
		}
		c.get("/v1/devices?limit=7000&cursor="+cursor, &page)
		seen += len(page.Devices)
		if page.Total != n {
			t.Fatalf("total %d", page.Total)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if seen != n {
		t.Errorf("paged through %d", seen)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFindDevices(t *testing.T) {
	c := start(t, nil)
	c.add(`[{"id":"a-1","profile":"air-quality","name":"Trạm Đò Quan"},{"id":"a-2","profile":"air-quality","name":"Cầu Vọng","state":"maintenance"},
		{"id":"r-1","profile":"river-level","name":"Đò Quan"},{"id":"r-2","profile":"river-level"}]`)
	for query, want := range map[string]string{
		"":                         "a-1 a-2 r-1 r-2 total 4",
		"q=do%20quan":              "a-1 r-1 total 2",
		"q=CAU%20VONG":             "a-2 total 1",
		"q=r-":                     "r-1 r-2 total 2",
		"profile=air_quality":      "a-1 a-2 total 2",
		"state=maintenance":        "a-2 total 1",
		"limit=3":                  "a-1 a-2 r-1 next r-1 total 4",
		"limit=3&cursor=r-1":       "r-2 total 4",
		"q=do%20quan&limit=1":      "a-1 next a-1 total 2",
		"q=do&limit=1&cursor=a-1":  "r-1 total 2",
		"profile=bus":              "total 0",
		"cursor=zzzz":              "total 4",
		"limit=4&profile=air_qual": "total 0",
	} {
		var page struct {
			Devices []struct{ ID string }
			Next    string
			Total   int
		}
		c.get("/v1/devices?"+query, &page)
		got := ""
		for _, d := range page.Devices {
			got += d.ID + " "
		}
		if page.Next != "" {
			got += "next " + page.Next + " "
		}
		if got += fmt.Sprint("total ", page.Total); got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"limit=0", "limit=x", "limit=10001", "state=dead"} {
		if status, _, body := c.call(c.admin, "GET", "/v1/devices?"+query, ""); status != 422 {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

func TestLatest(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	c.hub.Apply([]*devices.Message{{Device: "a-1", Via: devices.ViaMQTT, Received: noon, Observations: []devices.Observation{{
		Time: noon.Add(-time.Second), At: devices.Position{Lon: 106.168, Lat: 20.434}, Flags: devices.ClockSuspect,
		Zones:  []devices.ZoneRef{{Layer: "wards", Code: "W-1", ValidFrom: "2025-07-01"}, {Layer: "basins", Code: "B-1"}, {Layer: "basins", Code: "B-2"}},
		Values: []devices.Value{{Quantity: "pm25", Number: 12.5}, {Quantity: "temperature", Number: 31}},
	}}}})
	var latest struct {
		Device     string
		Quantities map[string]struct {
			Time, Received time.Time
			Value          float64
			Unit           string
			Zones          map[string]struct {
				Code, ValidFrom string
				Also            []struct{ Code string }
			}
			Qualities []string
		}
	}
	c.get("/v1/devices/a-1/latest", &latest)
	p := latest.Quantities["pm25"]
	if len(latest.Quantities) != 2 || p.Value != 12.5 || p.Unit != "ug/m3" || !p.Time.Equal(noon.Add(-time.Second)) || !p.Received.Equal(noon) ||
		p.Zones["wards"].Code != "W-1" || p.Zones["wards"].ValidFrom != "2025-07-01" || len(p.Zones["basins"].Also) != 1 || len(p.Qualities) != 1 {
		t.Errorf("got %+v", latest)
	}
	var d struct {
		Presence struct{ State, Via string }
	}
	c.get("/v1/devices/a-1", &d)
	if d.Presence.State != "online" || d.Presence.Via != "mqtt" {
		t.Errorf("presence %+v", d.Presence)
	}
}

func TestReadings(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	var raw struct {
		Unit   string
		Points []struct {
			Time  time.Time
			Value float64
			Zones map[string]struct{ Code string }
		}
	}
	c.get("/v1/devices/a-1/readings?quantity=pm25&from=-6h&limit=500", &raw)
	if len(raw.Points) != 1 || raw.Points[0].Value != 12.5 || raw.Points[0].Zones["wards"].Code != "W-1" || raw.Unit != "ug/m3" ||
		!c.history.from.Equal(noon.Add(-6*time.Hour)) || !c.history.to.Equal(noon) || c.history.limit != 500 {
		t.Errorf("got %+v, asked %+v", raw, c.history)
	}
	var steps struct {
		Step    string
		Buckets []struct {
			Start          time.Time
			Min, Mean, Max float64
			Count          int
		}
	}
	c.get("/v1/devices/a-1/readings?quantity=pm25&from=2026-11-01&to=2026-11-21T00:00:00Z&step=1d", &steps)
	if len(steps.Buckets) != 1 || steps.Buckets[0].Mean != 2 || c.history.step != 24*time.Hour || c.history.offset != -7*time.Hour ||
		!c.history.from.Equal(time.Date(2026, 10, 31, 17, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, asked %+v", steps, c.history)
	}
	// Both kinds of answer have points, an answer without any as well.
	step := "/v1/devices/a-1/readings?quantity=pm25&from=2026-11-01&to=2026-11-21T00:00:00Z&step=1d"
	if _, _, body := c.call(c.admin, "GET", step, ""); !strings.Contains(body, `"points":[{"time":"`+noon.Format(time.RFC3339)+`","value":2}]`) {
		t.Errorf("points of steps: %s", body)
	}
	c.history.empty = true
	for _, path := range []string{step, "/v1/devices/a-1/readings?quantity=pm25"} {
		if _, _, body := c.call(c.admin, "GET", path, ""); !strings.Contains(body, `"points":[]`) {
			t.Errorf("%s: no points: %s", path, body)
		}
	}
	c.history.empty = false
	c.get("/v1/devices/a-1/readings?quantity=pm25&step=PT15M", &steps)
	if c.history.step != 15*time.Minute || c.history.offset != 0 {
		t.Errorf("asked %+v", c.history)
	}
	for query, want := range map[string]int{
		"":                                       422,
		"quantity=nonsense":                      422,
		"quantity=pm25&from=yesterday":           422,
		"quantity=pm25&from=-6h&to=-7h":          422,
		"quantity=pm25&step=10ms":                422,
		"quantity=pm25&step=-1h":                 422,
		"quantity=pm25&step=1s&from=-300d":       422,
		"quantity=pm25&limit=0":                  422,
		"quantity=pm25&from=9223372036854775807": 422,
	} {
		if status, _, body := c.call(c.admin, "GET", "/v1/devices/a-1/readings?"+query, ""); status != want {
			t.Errorf("%q: %d %s", query, status, body)
		}
	}
	// The store is down: history says so, the rest goes on.
	c.history.err = errors.New("connection refused by influx.internal")
	for _, path := range []string{"/v1/devices/a-1/readings?quantity=pm25", "/v1/devices/a-1/readings?quantity=pm25&step=1h"} {
		status, header, body := c.call(c.admin, "GET", path, "")
		if status != 503 || !strings.Contains(body, `"title":"history not available"`) || header.Get("Retry-After") == "" || strings.Contains(body, "influx.internal") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/devices/a-1/latest", ""); status != 200 {
		t.Errorf("latest while history is down: %d", status)
	}
}

func TestAlarmsAndRules(t *testing.T) {
	c := start(t, nil)
	for query, want := range map[string]int{"": 2, "?priority=1": 1, "?priority=4": 2, "?state=acknowledged": 1, "?device=a-1": 1, "?state=shelved": 0} {
		var list struct{ Alarms []struct{ ID string } }
		c.get("/v1/alarms"+query, &list)
		if len(list.Alarms) != want {
			t.Errorf("%q: %d alarms, want %d", query, len(list.Alarms), want)
		}
	}
	ack := func(id, note string) (int, string) {
		status, _, body := c.call(operatorToken, "POST", "/v1/alarms/"+id+"/acknowledge", fmt.Sprintf(`{"note":%q}`, note))
		return status, body
	}
	if status, body := ack("flood.f-1.abc", "đã cử người"); status != 200 || !strings.Contains(body, `"by":"Ca trực"`) || !strings.Contains(body, "đã cử người") {
		t.Errorf("first: %d %s", status, body)
	}
	if status, body := ack("flood.f-1.abc", ""); status != 409 || !strings.Contains(body, `"alarm":{`) {
		t.Errorf("second: %d %s", status, body)
	}
	if status, _, body := c.call(operatorToken, "POST", "/v1/alarms/no.such.alarm/acknowledge", ""); status != 404 {
		t.Errorf("without a body: %d %s", status, body)
	}
	if status, body := ack("no.such.alarm", ""); status != 404 {
		t.Errorf("unknown: %d %s", status, body)
	}
	c.alarms.err = errors.New("the log does not take it")
	if status, body := ack("dust.a-1.abc", ""); status != 503 {
		t.Errorf("log down: %d %s", status, body)
	}
}

const wards = `{"type":"FeatureCollection","features":[
 {"type":"Feature","properties":{"ma":"W-1","ten":"Phường Vọng"},"geometry":{"type":"Polygon","coordinates":[[[106.1,20.4],[106.2,20.4],[106.2,20.5],[106.1,20.5],[106.1,20.4]]]}},
 {"type":"Feature","properties":{"ma":"W-2","ten":"Phường Sông"},"geometry":{"type":"Polygon","coordinates":[[[106.2,20.4],[106.3,20.4],[106.3,20.5],[106.2,20.5],[106.2,20.4]]]}}]}`

func TestLayers(t *testing.T) {
	c := start(t, nil)
	const query = "/v1/layers/wards?code=ma&name=ten&valid_from=2025-07-01&join=true"
	if status, _, body := c.call(c.admin, "POST", query, wards, "Content-Type", "application/geo+json"); status != 200 || !strings.Contains(body, `"imported":2`) {
		t.Fatalf("import: %d %s", status, body)
	}
	var layers struct {
		Layers []struct {
			Name  string
			Count int
			Join  bool
		}
	}
	c.get("/v1/layers", &layers)
	if len(layers.Layers) != 1 || layers.Layers[0].Name != "wards" || layers.Layers[0].Count != 2 || !layers.Layers[0].Join {
		t.Errorf("got %+v", layers)
	}
	for at, want := range map[string]string{"": "W-1", "&at=2025-07-01": "W-1", "&at=2025-06-30": "", "&at=2025-06-30T17:30:00Z": "W-1", "&at=2025-06-30T16:30:00Z": ""} {
		var place struct {
			Zones []struct{ Layer, Code, Name, ValidFrom string }
		}
		c.get("/v1/place?lon=106.15&lat=20.45"+at, &place)
		got := ""
		for _, z := range place.Zones {
			got += z.Code
			if z.Layer != "wards" || z.Name != "Phường Vọng" || z.ValidFrom != "2025-07-01" {
				t.Errorf("%q: %+v", at, z)
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", at, got, want)
		}
	}
	status, header, tile := c.call(c.admin, "GET", "/v1/layers/wards/tiles/12/3255/1809.mvt", "")
	if status != 200 || header.Get("Content-Type") != "application/vnd.mapbox-vector-tile" || !strings.Contains(tile, "Phường Vọng") {
		t.Errorf("tile: %d %v %d bytes", status, header, len(tile))
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/layers/wards/tiles/12/3255/1809.mvt", "", "If-None-Match", header.Get("ETag")); status != 304 {
		t.Errorf("same tile again: %d", status)
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/layers/wards/tiles/12/0/0.mvt", ""); status != 204 {
		t.Errorf("empty tile: %d", status)
	}
	for path, want := range map[string]int{
		"/v1/layers/roads/tiles/1/0/0.mvt": 404, "/v1/layers/wards/tiles/1/7/0.mvt": 404, "/v1/layers/wards/tiles/1/0/0.png": 404,
		"/v1/layers/wards/tiles/a/0/0.mvt": 404, "/v1/layers/wards/tiles/12/3255/1809.mvt?at=2025-06-30": 404,
		"/v1/layers/wards/tiles/12/3255/1809.mvt?at=soon": 422, "/v1/place?lon=200&lat=1": 422, "/v1/place?lon=1": 422, "/v1/place?lon=NaN&lat=1": 422, "/v1/place?lon=1&lat=nan": 422, "/v1/place?lon=1&lat=1&at=soon": 422,
		"/v1/zones/roads/readings?quantity=pm25": 404,
	} {
		if status, _, body := c.call(c.admin, "GET", path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for path, want := range map[string]int{
		"/v1/layers/wards?join=perhaps": 422, "/v1/layers/WARDS": 422, "/v1/layers/x?valid_from=soon": 422, "/v1/layers/x?min_zoom=1.5": 422,
	} {
		if status, _, body := c.call(c.admin, "POST", path, wards); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, body := c.call(c.admin, "POST", "/v1/layers/x", `{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon","coordinates":[]}}]}`); status != 422 || !strings.Contains(body, `"report":{`) {
		t.Errorf("bad layer: %d %s", status, body)
	}
	var byZone struct {
		Zones []struct {
			Code, Name string
			Buckets    []struct{ Mean float64 }
		}
	}
	c.get("/v1/zones/wards/readings?quantity=pm25&from=-1d&step=1h", &byZone)
	if len(byZone.Zones) != 1 || byZone.Zones[0].Name != "Phường Vọng" || len(byZone.Zones[0].Buckets) != 1 {
		t.Errorf("by zone: %+v", byZone)
	}
}

func TestOperation(t *testing.T) {
	c := start(t, nil)
	if status, _, body := c.call("", "GET", "/healthz", ""); status != 200 || !strings.Contains(body, `"ok"`) {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, _, body := c.call("", "GET", "/readyz", ""); status != 200 || !strings.Contains(body, `"journal":"ok"`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	c.ready = Readiness{Parts: map[string]string{"journal": "refusing", "series": "ok"}}
	if status, _, body := c.call("", "GET", "/readyz", ""); status != 503 || !strings.Contains(body, `"journal":"refusing"`) {
		t.Errorf("readyz while refusing: %d %s", status, body)
	}
	if status, _, body := c.call(c.admin, "GET", "/v1/status", ""); status != 200 || !strings.Contains(body, `"level":"ok"`) {
		t.Errorf("status: %d %s", status, body)
	}
	if status, _, body := c.call(c.admin, "POST", "/v1/journal/resume", "{}"); status != 200 || c.resumed != 1 {
		t.Errorf("resume: %d %s", status, body)
	}
	for i := range 5 {
		c.evidence.Add(&devices.Refusal{Reason: devices.ReasonOutOfRange, Device: "a-1", Via: devices.ViaCoAP, At: noon.Add(time.Duration(i) * time.Second), Detail: "pm25: 1e9", Payload: []byte(`{"pm25":1e9}`), Kept: true})
	}
	c.evidence.Add(&devices.Refusal{Reason: devices.ReasonMalformed, At: noon.Add(time.Hour), Payload: []byte{0xff, 0xfe}})
	var list struct {
		Refusals []struct {
			Reason, Device, Via, Text string
			Payload                   []byte
			Kept, Retry               bool
		}
		Total int
	}
	c.get("/v1/refusals", &list)
	if len(list.Refusals) != 6 || list.Refusals[0].Reason != "malformed" || list.Refusals[0].Text != "" || len(list.Refusals[0].Payload) != 2 {
		t.Errorf("got %+v", list)
	}
	c.get("/v1/refusals?device=a-1&limit=2", &list)
	if len(list.Refusals) != 2 || list.Total != 5 || list.Refusals[0].Text != `{"pm25":1e9}` || list.Refusals[0].Via != "coap" || !list.Refusals[0].Kept {
		t.Errorf("got %+v", list)
	}
	var profiles struct {
		Profiles   []struct{ Name string }
		Quantities []struct{ Name string }
	}
	c.get("/v1/profiles", &profiles)
	if len(profiles.Profiles) < 10 || len(profiles.Quantities) < 20 {
		t.Errorf("%d profiles, %d quantities", len(profiles.Profiles), len(profiles.Quantities))
	}
}

func TestDescription(t *testing.T) {
	c := start(t, nil)
	var d struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Permission string `json:"x-permission"`
		}
	}
	c.get("/openapi.json", &d)
	if !strings.HasPrefix(d.OpenAPI, "3.1") {
		t.Errorf("openapi %q", d.OpenAPI)
	}
	for pattern, p := range c.api.routes {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok || !strings.HasPrefix(path, "/v1/") || strings.HasSuffix(path, "/telemetry") {
			continue
		}
		// A mux has no wildcard within a segment; the description names the ending.
		path = strings.Replace(path, "tiles/{z}/{x}/{y}", "tiles/{z}/{x}/{y}.mvt", 1)
		path = strings.Replace(path, "{file}", "{identifier}.xml", 1)
		if got := d.Paths[path][strings.ToLower(method)].Permission; got != string(p) {
			t.Errorf("%s: described with permission %q, has %q", pattern, got, p)
		}
	}
}

func TestSession(t *testing.T) {
	c := start(t, nil)
	status, header, body := c.call("", "POST", "/v1/session", fmt.Sprintf(`{"token":%q}`, operatorToken))
	if status != 200 || !strings.Contains(body, `"role":"operator"`) {
		t.Fatalf("log in: %d %s", status, body)
	}
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if !strings.Contains(header.Get("Set-Cookie"), "HttpOnly") || !strings.Contains(header.Get("Set-Cookie"), "SameSite=Strict") {
		t.Errorf("cookie %q", header.Get("Set-Cookie"))
	}
	if status, _, body := c.call("", "GET", "/v1/session", "", "Cookie", cookie); status != 200 || !strings.Contains(body, "Ca trực") || !strings.Contains(body, `"permissions":["view",`) {
		t.Errorf("who: %d %s", status, body)
	}
	if status, _, body := c.call("", "POST", "/v1/alarms/flood.f-1.abc/acknowledge", "{}", "Cookie", cookie, "Origin", "https://evil.example"); status != 403 {
		t.Errorf("forged: %d %s", status, body)
	}
	if a := c.alarms.List()[0]; a.Acknowledged != nil {
		t.Error("the forged request acted")
	}
	if status, _, body := c.call("", "POST", "/v1/alarms/flood.f-1.abc/acknowledge", "{}", "Cookie", cookie, "Origin", c.url); status != 200 {
		t.Errorf("acknowledge: %d %s", status, body)
	}

	// The socket by the same cookie ends with it.
	dialer := websocket.Dialer{Subprotocols: []string{live.Protocol}}
	ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/v1/live", http.Header{"Cookie": {cookie}, "Origin": {c.url}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if status, _, _ := c.call("", "DELETE", "/v1/session", "", "Cookie", cookie); status != 204 {
		t.Errorf("log out: %d", status)
	}
	if status, _, _ := c.call("", "GET", "/v1/session", "", "Cookie", cookie); status != 401 {
		t.Errorf("after: %d", status)
	}
	ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		if _, _, err = ws.ReadMessage(); err != nil {
			break
		}
	}
	if !websocket.IsCloseError(err, live.NotAuthorised) {
		t.Errorf("the socket ended with %v", err)
	}
	for body, want := range map[string]int{`{"token":"x"}`: 401, `{"token":""}`: 401, `{`: 400, `{"token":"` + strings.Repeat("x", 10000) + `"}`: 400} {
		if status, _, answer := c.call("", "POST", "/v1/session", body); status != want {
			t.Errorf("%.20s: %d %s", body, status, answer)
		}
	}
}

func TestLiveOverTheAPI(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	dialer := websocket.Dialer{Subprotocols: []string{live.Protocol, "bearer." + displayToken}}
	ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if ws.Subprotocol() != live.Protocol {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	var hello struct{ Type, Hub string }
	if err := ws.ReadJSON(&hello); err != nil || hello.Type != "hello" || hello.Hub != c.hub.ID() {
		t.Fatalf("got %+v, %v", hello, err)
	}
	var d struct {
		Hub     string
		Devices struct{ ID []string }
	}
	c.get("/v1/live/dictionary", &d)
	if d.Hub != hello.Hub || len(d.Devices.ID) != 1 {
		t.Errorf("got %+v", d)
	}
	_, header, _ := c.call(displayToken, "GET", "/v1/live/dictionary", "")
	if status, _, _ := c.call(displayToken, "GET", "/v1/live/dictionary", "", "If-None-Match", header.Get("ETag")); status != 304 || header.Get("ETag") == "" {
		t.Errorf("dictionary again: %d, tag %q", status, header.Get("ETag"))
	}
	if status, _, _ := c.call(displayToken, "GET", "/v1/live", ""); status != 426 {
		t.Errorf("without upgrade: %d", status)
	}
}

func TestWallFiles(t *testing.T) {
	c := start(t, nil)
	for path, want := range map[string]struct {
		status  int
		kind    string
		caching string
	}{
		"/":                     {200, "text/html; charset=utf-8", "no-cache"},
		"/desk":                 {200, "text/html; charset=utf-8", "no-cache"},
		"/assets/app-1a2b.js":   {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/f-1a2b.woff2":  {200, "font/woff2", "public, max-age=31536000, immutable"},
		"/favicon.svg":          {200, "image/svg+xml", "no-cache"},
		"/assets/app-old.js":    {404, "application/problem+json", "no-store"},
		"/.gitkeep":             {404, "application/problem+json", "no-store"},
		"/desk/x":               {404, "application/problem+json", "no-store"},
		"/assets/":              {404, "application/problem+json", "no-store"},
		"/index.html":           {404, "application/problem+json", "no-store"},
		"/v1/nothing":           {404, "application/problem+json", "no-store"},
		"/assets/..%2f..%2fetc": {404, "application/problem+json", "no-store"},
	} {
		status, header, body := c.call("", "GET", path, "")
		if status != want.status || header.Get("Content-Type") != want.kind || header.Get("Cache-Control") != want.caching {
			t.Errorf("%s: %d %q %q %.80s", path, status, header.Get("Content-Type"), header.Get("Cache-Control"), body)
		}
		for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"} {
			if header.Get(h) == "" {
				t.Errorf("%s: no %s", path, h)
			}
		}
	}
	_, header, _ := c.call("", "GET", "/", "")
	if status, _, _ := c.call("", "GET", "/", "", "If-None-Match", header.Get("ETag")); status != 304 {
		t.Errorf("again: %d", status)
	}
	status, header, packed := c.call("", "GET", "/assets/app-1a2b.js", "", "Accept-Encoding", "gzip")
	if status != 200 || header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("packed: %d %v", status, header)
	}
	zr, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(zr); err != nil || !strings.HasPrefix(string(b), "export default") {
		t.Errorf("unpacked: %.20s, %v", b, err)
	}

	c = start(t, func(o *Options) { o.Wall = fstest.MapFS{".gitkeep": {}} })
	if status, _, body := c.call("", "GET", "/", ""); status != 200 || !strings.Contains(body, "make build") {
		t.Errorf("without a wall: %d %s", status, body)
	}
}

// A caller that sends its headers and then nothing is not waited for.
func TestStalledBody(t *testing.T) {
	c := start(t, nil)
	c.api.patience = 100 * time.Millisecond
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408") {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestErrorsAreProblems(t *testing.T) {
	c := start(t, nil)
	status, header, body := c.call(c.admin, "DELETE", "/v1/devices/a-1/latest", "")
	if status != 405 || header.Get("Allow") != "GET" || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("wrong method: %d %v %s", status, header, body)
	}
	status, header, body = c.call("", "POST", "/v1/devices/panic/telemetry", "{}")
	if status != 500 || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("panic: %d %s", status, body)
	}
	res, err := http.Post(c.url+"/v1/devices/half/telemetry", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer was taken for the whole: %q", b)
	}
	res.Body.Close()
	if status, _, _ := c.call("", "POST", "/v1/devices/a-1/telemetry", "{}"); status != 204 {
		t.Errorf("a device's route: %d", status)
	}
	c = start(t, func(o *Options) { o.History, o.Alarms, o.Refusals, o.Status, o.Resume = nil, nil, nil, nil, nil })
	c.add(`{"id":"a-1","profile":"air-quality"}`)
	for path, want := range map[string]int{
		"GET /v1/alarms": 501, "GET /v1/rules": 501, "GET /v1/refusals": 501, "GET /v1/status": 501, "POST /v1/journal/resume": 501,
		"GET /v1/devices/a-1/readings?quantity=pm25": 503,
		"GET /v1/devices/a-1/track":                  503,
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, _, body := c.call(c.admin, method, path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a server of nothing was made")
	}
}

func TestParseTime(t *testing.T) {
	hanoi := time.FixedZone("+07", 7*3600)
	for in, want := range map[string]time.Time{
		"now":                       noon,
		"-6h":                       noon.Add(-6 * time.Hour),
		"-1d":                       noon.Add(-24 * time.Hour),
		"-PT90M":                    noon.Add(-90 * time.Minute),
		"+1h30m":                    noon.Add(90 * time.Minute),
		"1795230000123":             time.UnixMilli(1795230000123),
		"0":                         time.UnixMilli(0),
		"2026-11-21":                time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC),
		"2026-11-21T12:00:00+07:00": noon,
		"2026-11-21T05:00:00.5Z":    noon.Add(500 * time.Millisecond),
	} {
		if got, err := parseTime(in, noon, hanoi); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", "yesterday", "-6", "2026-13-01", "1969-12-31T00:00:00Z", "9999-01-01T00:00:00Z", "9223372036854775807", "99999999999999999999", "0000-01-01", "7500000000000", "-200000000h", "-0s", "--1h"} {
		if got, err := parseTime(in, noon, hanoi); err == nil {
			t.Errorf("%q: taken as %v", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"PT15M": 15 * time.Minute, "P1D": 24 * time.Hour, "P1DT12H": 36 * time.Hour, "PT1.5S": 1500 * time.Millisecond, "P2W": 14 * 24 * time.Hour,
	} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "P", "PT", "P1Y", "P1DT", "1x", "-1h", "0s", "99999999999999999999d", "P99999999999D", strings.Repeat("1h", 30)} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%q: taken as %v", in, got)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, s := range []string{"-6h", "PT15M", "1795230000123", "2026-11-21", "P99999999999999999999D", "-9223372036854775808ns", "PT.5S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := parseTime(s, noon, time.UTC); err == nil && (got.Year() < 1900 || got.Year() > 2300) {
			t.Fatalf("%q: %v", s, got)
		}
		if d, err := parseDuration(s); err == nil && d <= 0 {
			t.Fatalf("%q: %v", s, d)
		}
	})
}
