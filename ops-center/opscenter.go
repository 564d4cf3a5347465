// Package opscenter is what people and their programs reach over HTTP: the API
// with its OpenAPI 3.1 description, the live socket and the wall's files.
//
// Every route is registered with the permission it needs; a route without one
// does not get as far as a server, because New refuses it. Errors are problem
// details (RFC 9457). An answer never waits for a device, and nothing but the
// history routes waits for the series store: while that is down they answer 503
// and all else goes on.
//
// Times in answers are RFC 3339 in UTC. Parameters that name a time take RFC
// 3339, milliseconds since 1970, a day, or a distance from now such as -6h.
package opscenter

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/audit"
	"vonglau/ops-center/campaign"
	"vonglau/ops-center/drill"
	"vonglau/ops-center/live"
	"vonglau/ops-center/notify"
	"vonglau/ops-center/replay"
	"vonglau/ops-center/scene"
	"vonglau/ops-center/warning"
)

// History is what is asked of the series store. Times are [from, to). Any error
// is taken to mean that history is not available now.
type History interface {
	// Range gives raw points, oldest first, at most limit.
	Range(ctx context.Context, device devices.ID, q devices.Quantity, from, to time.Time, limit int) ([]devices.Point, error)
	// Buckets summarises points in steps that begin at multiples of step since
	// 1970, moved by offset. A step without points is absent.
	Buckets(ctx context.Context, device devices.ID, q devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.Bucket, error)
	// ByZone does the same for each zone of a layer over all that was observed
	// in it.
	ByZone(ctx context.Context, layer string, q devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.ZoneSeries, error)
	// Track gives where a device was observed, oldest first, at most limit. A
	// position holds until the next.
	Track(ctx context.Context, device devices.ID, from, to time.Time, limit int) ([]devices.TrackPoint, error)
}

// Refusals is the record of what was not taken. *devices.Evidence is one.
type Refusals interface {
	Newest(device devices.ID, reason devices.Reason, limit int) []*devices.Refusal
	Count(device devices.ID) int
}

// Readiness is what /readyz tells: whether readings are taken in, and the state
// of each part in a word.
type Readiness struct {
	Ready bool
	Parts map[string]string
}

// Options are the parts of the house that the API shows. Register, Catalogue,
// Layers, Hub and Access are needed; what else is nil answers that it is not
// there.
type Options struct {
	Register  *devices.Register
	Catalogue *devices.Catalogue
	Layers    *geo.Layers
	Hub       *live.Hub
	Access    *access.Access
	History   History
	Alarms    Alarms
	// RuleBook is the rules and the thresholds; *alert.Alarms is one.
	RuleBook RuleBook
	// Life is what alarms go through besides, and their past; Shift is the shift
	// log. Either may be nil.
	Life      *alert.Alarms
	Shift     *alert.ShiftLog
	Commands  Commands
	States    States
	Images    Images
	Campaigns *campaign.Campaigns
	// Notify tells departments; nil for a server that does not.
	Notify   *notify.Notify
	Refusals Refusals
	// Inbox is what devices said last; nil for a server that keeps none.
	Inbox *devices.Inbox
	// Departments answer for devices; nil for a server that does not name them.
	Departments *devices.Departments
	// Issuer gives devices credentials; nil for a server whose devices have
	// tokens only.
	Issuer Issuer
	// Enrolment lets devices in by themselves; nil for a server that does not.
	Enrolment *devices.Enrolment
	// Network is how the devices reach us, Prefixes the parts of the address
	// space they may do it from.
	Network  *devices.Network
	Prefixes *devices.Prefixes
	// OverBounds counts what a device sent over its bounds, RoundTrip is what
	// was measured to it.
	OverBounds func(devices.ID) uint64
	RoundTrip  func(devices.ID) (devices.RoundTrip, bool)
	// Scenes are what displays show; nil for a server without. Frames are the
	// origins that their panels may show.
	Scenes *scene.Scenes
	Frames []string
	// Replays are the time machine; nil for a server without.
	Replays *replay.Replays
	// Warnings are the public messages, Drills the exercises; nil for a server
	// without.
	Warnings *warning.Chain
	Drills   *drill.Drills
	// Figures are the targets of the key figures and who answers for them.
	Figures FigureTargets
	// Status is shown as JSON to those who operate the system.
	Status func() any
	Ready  func() Readiness
	// Resume lets the journal go on after a failed sync that somebody has seen.
	Resume func(ctx context.Context) error
	// Wall is the built wall, nil when there is none in this program.
	Wall fs.FS
	// Record is what people did and were refused, Names who they are in it; nil
	// for a server that keeps none. Security takes what may be an attack.
	Record   *audit.Record
	Names    *audit.Names
	Security *audit.Security
	// Erase closes an account and forgets who it belonged to; false when there is
	// none of that name.
	Erase func(ctx context.Context, account string) (bool, error)
	// Hosts are the names this server answers to besides literal addresses and
	// localhost; empty for any. A page of a foreign name that was made to resolve
	// to us gets nothing then.
	Hosts []string
	// HSTS is for how long a browser that came over TLS is told to come back over
	// TLS only; 0 says nothing. It holds for every port of the name, so it is for
	// servers without a plain door.
	HSTS time.Duration
	// Extra are routes of other packages, by pattern of http.ServeMux. They
	// check their callers themselves.
	Extra map[string]http.Handler
	// Calendar is the city's, for days; UTC when nil.
	Calendar *time.Location
	// Now is the clock by which people act; time.Now when nil.
	Now func() time.Time
	// Version is the program's, for the API's description.
	Version string

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// api holds what the handlers share.
type api struct {
	Options
	mux     *http.ServeMux
	huma    huma.API
	routes  map[string]access.Permission // by pattern
	unruled []string                     // patterns that came without one
	// operations are the names of the API's operations by pattern, machine the
	// patterns that devices call.
	operations map[string]string
	machine    map[string]bool
	compress   func(http.Handler) http.HandlerFunc
	requests   *prometheus.HistogramVec
	now        func() time.Time
	patience   time.Duration // bodyPatience
	counted    figureCache
	search     *devices.Search
	wards      wardIndex
	trials     atomic.Int32 // dry runs under way
}

// New makes the handler of the whole HTTP address.
func New(opt Options) (http.Handler, error) {
	a, err := build(opt)
	if err != nil {
		return nil, err
	}
	return a.handler(), nil
}

// build registers every route.
func build(opt Options) (*api, error) {
	for name, missing := range map[string]bool{
		"Register": opt.Register == nil, "Catalogue": opt.Catalogue == nil, "Layers": opt.Layers == nil,
		"Hub": opt.Hub == nil, "Access": opt.Access == nil,
	} {
		if missing {
			return nil, fmt.Errorf("opscenter: Options.%s is missing", name)
		}
	}
	if opt.Calendar == nil {
		opt.Calendar = time.UTC
	}
	if opt.Version == "" {
		opt.Version = "dev"
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Ready == nil {
		opt.Ready = func() Readiness { return Readiness{Ready: true} }
	}
	a := &api{Options: opt, mux: http.NewServeMux(), routes: make(map[string]access.Permission), operations: map[string]string{}, machine: map[string]bool{}, now: opt.Now, patience: bodyPatience}
	if a.now == nil {
		a.now = time.Now
	}
	a.search = devices.NewSearch(opt.Register)
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.EnableZstd(false))
	if err != nil {
		return nil, fmt.Errorf("opscenter: compression: %w", err)
	}
	a.compress = func(h http.Handler) http.HandlerFunc { return compress(h) }
	a.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "vonglau", Subsystem: "http", Name: "request_seconds", Help: "Time to answer a request, by route and status.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
	}, []string{"route", "status"})
	if opt.Metrics != nil {
		if err := opt.Metrics.Register(a.requests); err != nil {
			return nil, fmt.Errorf("opscenter: register metrics: %w", err)
		}
	}
	a.huma = humago.New(ruledMux{a}, a.config())
	a.sessionRoutes()
	a.peopleRoutes()
	a.deviceRoutes()
	a.registerRoutes()
	a.credentialRoutes()
	a.enrolmentRoutes()
	a.readingRoutes()
	a.alarmRoutes()
	a.ruleRoutes()
	a.commandRoutes()
	a.stateRoutes()
	a.firmwareRoutes()
	a.layerRoutes()
	a.warningRoutes()
	a.networkRoutes()
	a.inboxRoutes()
	a.exportRoutes()
	a.aggregateRoutes()
	a.statusRoutes()
	a.auditRoutes()
	a.securityRoutes()
	a.liveRoutes()
	a.subscriptionRoutes()
	a.sceneRoutes()
	a.replayRoutes()
	if err := a.wallRoutes(); err != nil {
		return nil, err
	}
	for pattern, h := range opt.Extra {
		a.machine[pattern] = true
		a.handle(pattern, access.Self, h)
	}
	a.handle("/", access.Public, http.HandlerFunc(a.notFound))
	if len(a.unruled) > 0 {
		return nil, fmt.Errorf("opscenter: routes without a permission: %s", strings.Join(a.unruled, ", "))
	}
	return a, nil
}

func (a *api) config() huma.Config {
	c := huma.DefaultConfig("Vonglau", a.Version)
	c.Info.Description = "What a city's field devices report, where, and what follows from it."
	c.CreateHooks = nil // no $schema links in answers
	c.Transformers = []huma.Transformer{discreetly}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", uniqueNames(huma.DefaultSchemaNamer))
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer"},
		"session": {Type: "apiKey", In: "cookie", Name: access.HostCookie, Description: "Without TLS its name is " + access.CookieName},
	}
	c.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	return c
}

// ruledMux is the mux as huma sees it: it takes a route only with a permission.
type ruledMux struct{ a *api }

func (m ruledMux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	p, ok := m.a.routes[pattern]
	if !ok {
		m.a.unruled = append(m.a.unruled, pattern)
		return
	}
	m.a.mount(pattern, p, m.a.compress(http.HandlerFunc(h)))
}

func (m ruledMux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.a.mux.ServeHTTP(w, r) }

// route registers an operation of the API with the permission it needs.
func route[I, O any](a *api, p access.Permission, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	a.routes[op.Method+" "+op.Path] = p
	a.operations[op.Method+" "+op.Path] = op.OperationID
	describe(&op, p)
	huma.Register(a.huma, op, h)
}

// handle registers a plain handler with the permission it needs.
func (a *api) handle(pattern string, p access.Permission, h http.Handler) {
	a.routes[pattern] = p
	a.mount(pattern, p, h)
}

// raw registers a plain handler that the API's description tells of.
func (a *api) raw(p access.Permission, op huma.Operation, h http.Handler) {
	describe(&op, p)
	a.huma.OpenAPI().AddOperation(&op)
	pattern := op.Method + " " + strings.Replace(op.Path, "{y}.mvt", "{y}", 1)
	a.operations[pattern] = op.OperationID
	a.handle(pattern, p, h)
}

func describe(op *huma.Operation, p access.Permission) {
	op.Extensions = map[string]any{"x-permission": string(p)}
	if p == access.Public || p == access.Self {
		op.Security = []map[string][]string{}
	}
}

// A caller has bodyPatience to send what belongs to its request, and
// answerPatience until it has taken the answer, unless a route says otherwise.
// Without them a few thousand idle connections would hold as many goroutines.
const (
	bodyPatience   = time.Minute
	answerPatience = 5 * time.Minute
)

// mount puts a handler behind its permission, measures it, and has what it
// changes or refuses on record before the answer goes out.
func (a *api) mount(pattern string, p access.Permission, h http.Handler) {
	guarded := a.Access.Require(p, a.known(pattern, p, h), a.deny)
	a.mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started, rec := time.Now(), &recorder{ResponseWriter: w}
		if rec.trail, r = a.watched(pattern, p, r); rec.trail != nil && rec.trail.change {
			w.Header().Set("X-Request-Id", rec.trail.request)
		}
		// A connection without deadlines is one of a test.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(started.Add(a.patience))
		_ = control.SetWriteDeadline(started.Add(answerPatience))
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				a.Log.Error("a handler panicked", "route", pattern, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					problem(rec, http.StatusInternalServerError, "internal error", "the server's log has the cause")
					p = nil
				}
			}
			if rec.status == 0 && p == nil {
				rec.WriteHeader(http.StatusOK) // a handler that said nothing
			}
			if rec.status != http.StatusSwitchingProtocols {
				a.requests.WithLabelValues(pattern, fmt.Sprint(max(rec.status, 200))).Observe(time.Since(started).Seconds())
			}
			if p != nil {
				// Part of an answer is out: cut it, so that it is not taken for
				// the whole.
				panic(http.ErrAbortHandler)
			}
		}()
		guarded.ServeHTTP(rec, r)
	}))
}

// recorder notes the status of an answer, and lets none out before what was
// done is on record.
type recorder struct {
	http.ResponseWriter
	status   int
	trail    *trail // nil where nothing is recorded
	replaced bool   // the answer was another one: the handler's is dropped
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		if r.trail != nil && !r.trail.finish(status) {
			r.status, r.replaced = http.StatusServiceUnavailable, true
			h := r.Header()
			for _, name := range []string{"Content-Encoding", "Content-Length", "ETag", "Content-Disposition"} {
				h.Del(name)
			}
			problem(r.ResponseWriter, r.status, "done, but not on record", "the change was made and its record could not be written yet; it will be as soon as that is possible")
			return
		}
	}
	if !r.replaced {
		r.ResponseWriter.WriteHeader(status)
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.replaced {
		return len(b), nil
	}
	return r.ResponseWriter.Write(b)
}

// Hijack gives the connection away; what becomes of it is not an answer.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Unwrap lets http.ResponseController through, for deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// contentPolicy is what the wall's pages may do. It cannot name an IPv6 literal,
// so 'self' has to cover the socket, which it does.
const contentPolicy = "default-src 'self'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

// featurePolicy: the pages use full screen and nothing else that a browser asks
// people for.
const featurePolicy = "accelerometer=(), autoplay=(self), browsing-topics=(), camera=(), display-capture=(), fullscreen=(self), geolocation=(), gyroscope=(), " +
	"hid=(), magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(self), serial=(), usb=(), xr-spatial-tracking=()"

// answersTo tells whether a request names this server (RFC 9110 section 7.4).
func (a *api) answersTo(host string) bool {
	if len(a.Hosts) == 0 {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(a.Hosts, func(name string) bool { return strings.EqualFold(name, host) })
}

// handler is the mux with what holds for every answer.
func (a *api) handler() http.Handler {
	policy := contentPolicy
	if len(a.Frames) > 0 {
		policy += "; frame-src 'self' " + strings.Join(a.Frames, " ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", featurePolicy)
		if r.TLS != nil && a.HSTS > 0 {
			h.Set("Strict-Transport-Security", fmt.Sprintf("max-age=%d", int(a.HSTS.Seconds())))
		}
		// What is read here is of this moment and of this person; a route that
		// knows better says so.
		h.Set("Cache-Control", "no-store")
		if !a.answersTo(r.Host) {
			from := clientAddress(r)
			a.signal(audit.Signal{Kind: audit.ForeignHost, Key: audit.Site(from), From: from, Detail: r.Host})
			problem(w, http.StatusMisdirectedRequest, "", "this server has another name")
			return
		}
		a.mux.ServeHTTP(w, r)
	})
}

// deny answers what access refused.
func (a *api) deny(w http.ResponseWriter, req *http.Request, r *access.Refusal) {
	a.refused(req, r)
	if r.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vonglau"`) // RFC 6750 section 3
	}
	if r.Retry > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(r.Retry.Seconds())+1))
	}
	problem(w, r.Status, "", r.Detail)
}

// notFound answers what no route matches.
func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = m
		if _, pattern := a.mux.Handler(&probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem(w, http.StatusMethodNotAllowed, "", "this address takes "+strings.Join(allowed, ", "))
		return
	}
	problem(w, http.StatusNotFound, "", "there is nothing at this address")
}

// problem writes problem details (RFC 9457). An empty title is that of the
// status.
func problem(w http.ResponseWriter, status int, title, detail string) {
	if title == "" {
		title = http.StatusText(status)
	}
	answer(w, status, &huma.ErrorModel{Title: title, Status: status, Detail: detail})
}

// answer writes JSON from a plain handler.
func answer(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"title":"Internal Server Error","status":500,"detail":"the answer could not be encoded"}`)
	}
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// absent is the answer of a part that this server runs without.
func absent(what string) error {
	return huma.Error501NotImplemented(what + " is not part of this server")
}

// badParameter is the answer to a parameter that cannot be read.
func badParameter(name, value string, err error) error {
	return huma.Error422UnprocessableEntity("parameter "+name+" cannot be read", &huma.ErrorDetail{
		Location: "query." + name, Message: err.Error(), Value: value,
	})
}
