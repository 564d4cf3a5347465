package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/paulmach/orb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vonglau/devices"
	"vonglau/devices/trust"
	"vonglau/geo"
	"vonglau/ingest"
	"vonglau/ingest/journal"
	"vonglau/ingest/mqtt"
	"vonglau/ingest/series"
	opscenter "vonglau/ops-center"
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
	"vonglau/ops-center/web"
)

// addresses are where the doors listen; DIR/addresses.json holds them once all
// are up.
type addresses struct {
	HTTP  string `json:"http,omitempty"`
	MQTT  string `json:"mqtt,omitempty"`
	CoAP  string `json:"coap,omitempty"`
	HTTPS string `json:"https,omitempty"`
	MQTTS string `json:"mqtts,omitempty"`
	CoAPS string `json:"coaps,omitempty"`
	Debug string `json:"debug,omitempty"`
}

// Server is the whole program: what New opens, Start puts to work.
type Server struct {
	cfg      Config
	log      *slog.Logger
	clock    clock
	open     lifecycle // stores, closed last
	running  lifecycle // doors and loops, stopped first
	registry *prometheus.Registry

	journal   *journal.Journal
	register  *devices.Register
	heads     *devices.Departments
	enrolment *devices.Enrolment
	network   *devices.Network
	prefixes  *devices.Prefixes
	reach     atomic.Pointer[ingest.Reach] // nil when nothing is measured
	trust     *trust.Authority
	layers    *geo.Layers
	store     series.Store
	writer    *series.Writer
	alarms    *alert.Alarms
	shift     *alert.ShiftLog
	warnings  *warning.Chain
	drills    *drill.Drills
	access    *access.Access
	hub       *live.Hub
	scenes    *scene.Scenes
	replays   *replay.Replays
	recent    *devices.Evidence
	inbox     *devices.Inbox
	gate      *ingest.Gate
	commands  *ingest.Commands
	states    *ingest.States
	images    *ingest.Images
	campaigns *campaign.Campaigns
	notify    *notify.Notify
	mqtt      *mqtt.Server
	coap      *ingest.CoAP
	bridge    *ingest.Bridge // nil without one
	api       http.Handler

	audit auditPart

	readers map[string]*journal.Reader
	http    net.Listener // nil when that door is shut; so the other four
	https   net.Listener
	mqtts   net.Listener
	debug   net.Listener // nil without one
	started time.Time
}

// New opens everything that is kept and wires the parts. Nothing listens yet.
// On an error what was opened is closed again.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	return newServer(ctx, cfg, log, machineClock())
}

func newServer(ctx context.Context, cfg Config, log *slog.Logger, clock clock) (s *Server, err error) {
	s = &Server{cfg: cfg, log: log, clock: clock, registry: prometheus.NewRegistry(), readers: map[string]*journal.Reader{}}
	s.open, s.running = newLifecycle(log), newLifecycle(log)
	opened := &s.open // s is nil by the time an error is returned
	defer func() {
		if err != nil {
			_ = opened.stop(context.WithoutCancel(ctx))
		}
	}()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	for _, open := range []func(context.Context) error{
		s.openJournal, s.openRegister, s.openTrust, s.openEnrolment, s.openNetwork, s.openLayers, s.openSeries, s.openShift, s.openAlarms, s.openWarnings, s.openNotify, s.openAccess, s.openAudit, s.openScenes, s.openLive, s.openReplays, s.openDoors, s.openAPI,
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) openJournal(ctx context.Context) (err error) {
	c := s.cfg.Journal
	s.journal, err = journal.Open(ctx, journal.Options{
		Dir: filepath.Join(s.cfg.Data, "journal"), MaxAge: c.MaxAge, MaxBytes: int64(c.MaxSize), MinFree: int64(c.MinFree), Linger: c.Linger,
		Log: s.log.With("part", "journal"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.open.add("journal", func(context.Context) error { return s.journal.Close() })
	s.journal.OnState(s.journalChanged)
	// The folder is ours now. What a server that was killed left there would
	// tell where nobody listens yet.
	return s.forgetAddresses()
}

func (s *Server) journalChanged(st journal.State) {
	switch st.Level {
	case journal.LevelOK:
		s.log.Info("the journal is well", "last", st.Last)
		s.byMachine("journal.well", "", audit.Done, "")
	default:
		s.log.Error("the journal is "+string(st.Level), "code", string(st.Code), "reason", st.Reason, "what to do", st.Hint)
		s.troubled("the journal is "+string(st.Level), st.Reason)
	}
}

func (s *Server) openRegister(ctx context.Context) error {
	catalogue := devices.DefaultCatalogue()
	if file := s.cfg.City.Catalogue; file != "" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("city.catalogue: %w", err)
		}
		catalogue, err = devices.LoadCatalogue(catalogue, f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("city.catalogue %s: %w", file, err)
		}
	}
	bucket, err := s.journal.Bucket(ctx, "devices")
	if err != nil {
		return err
	}
	if s.register, err = devices.OpenRegister(ctx, bucket, catalogue); err != nil {
		return err
	}
	if bucket, err = s.journal.Bucket(ctx, "departments"); err != nil {
		return err
	}
	s.heads, err = devices.OpenDepartments(ctx, bucket)
	return err
}

func (s *Server) openLayers(ctx context.Context) error {
	objects, err := s.journal.Objects(ctx, "layers")
	if err != nil {
		return err
	}
	var area orb.Bound
	if a := s.cfg.City.Area; len(a) == 4 {
		area = orb.Bound{Min: orb.Point{a[0], a[1]}, Max: orb.Point{a[2], a[3]}}
	}
	s.layers, err = geo.Open(ctx, objects, geo.Options{Area: area, Log: s.log.With("part", "geo"), Metrics: s.registry})
	return err
}

func (s *Server) openSeries(ctx context.Context) (err error) {
	log := s.log.With("part", "series")
	rejected := func(r series.Rejection) {
		log.Warn("a value can never be stored", "device", r.Device, "quantity", r.Quantity, "time", r.Time, "cause", string(r.Cause), "detail", r.Detail)
	}
	if c := s.cfg.Series.Influx; c.URL != "" {
		s.store, err = series.OpenInflux(series.InfluxOptions{
			URL: c.URL, Org: c.Org, Bucket: c.Bucket, Token: c.Token, Rejected: rejected, Log: log,
		})
	} else {
		s.store, err = series.OpenEmbedded(series.EmbeddedOptions{
			Dir: filepath.Join(s.cfg.Data, "series"), Retention: s.cfg.Series.Retention, Rejected: rejected, Log: log, Metrics: s.registry,
		})
	}
	if err != nil {
		return err
	}
	s.open.add("series", func(context.Context) error { return s.store.Close() })

	start := journal.FromBeginning()
	if e, ok := s.store.(*series.Embedded); ok && e.Repaired() {
		// What the repair may have cost is still in the journal, and the store
		// knows repetitions.
		log.Warn("the series were repaired; writing again what the journal still has")
		start = start.Anew()
	}
	reader, err := s.journal.Reader(ctx, readerSeries, start)
	if err != nil {
		return err
	}
	s.readers[readerSeries] = reader
	s.writer, err = series.NewWriter(series.WriterOptions{
		Store: s.store, Source: seriesSource{reader}, Log: log, Metrics: s.registry,
		Behind: func() int64 { entries, _ := reader.Lag(); return int64(entries) },
	})
	return err
}

func (s *Server) openLive(ctx context.Context) (err error) {
	catalogue := s.register.Catalogue()
	s.hub, err = live.New(live.Options{
		Quantities: catalogue.Quantities(), Profiles: catalogue.Profiles(),
		Tick: time.Duration(float64(time.Second) / s.cfg.Live.Rate), MaxScreens: s.cfg.Live.Screens,
		Health: s.liveHealth, Displays: s.scenes, Build: wallBuild(), Log: s.log.With("part", "live"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.recent = devices.NewEvidence(10_000)
	s.inbox = devices.NewInbox(20, 100_000)
	s.hub.ApplyDevice(s.register.List()...)
	s.register.OnChange(func(d *devices.Device) {
		s.hub.ApplyDevice(d)
		if d.State == devices.Retired {
			s.inbox.Forget(d.ID)
		}
	})
	s.alarms.Subscribe(s.showAlarm)
	s.alarms.Subscribe(s.takeOver)
	for _, a := range s.alarms.List() {
		s.showAlarm(a)
		s.takeOver(a)
	}
	// The wall is rebuilt at each start, whatever was shown before.
	from := uint64(1)
	if last := s.journal.State().Last; last > tail {
		from = last - tail
	}
	from = min(from, s.network.Next()) // what it has not counted yet
	s.readers[readerLive], err = s.journal.Reader(ctx, readerLive, journal.FromSeq(from).Anew())
	return err
}

// showAlarm hands an alarm to the walls.
func (s *Server) showAlarm(a alert.Alarm) {
	shown, err := s.alarmOnWall(a)
	if err != nil {
		s.log.Error("an alarm cannot be shown", "error", err)
		return
	}
	s.hub.ApplyAlarm(shown)
}

func (s *Server) liveHealth() live.Health {
	st, w := s.journal.State(), s.writer.State()
	lag, _ := s.readers[readerLive].Lag()
	return live.Health{
		Lag: int64(lag), Journal: string(st.Level), JournalReason: st.Reason, SeriesOK: w.OK, Backlog: w.Backlog, Flood: s.floodHealth(),
	}
}

func (s *Server) openDoors(ctx context.Context) error {
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	window := devices.Window{Past: s.cfg.Ingest.Past, Future: s.cfg.Ingest.Future, Late: s.cfg.Ingest.Late}
	if a := s.cfg.City.Area; len(a) == 4 {
		window.Area = devices.Box{West: a[0], South: a[1], East: a[2], North: a[3]}
	}
	log := s.log.With("part", "ingest")
	s.gate, err = ingest.NewGate(ingest.Options{
		Journal: s.journal, Trust: s.trust, Register: s.register, Catalogue: s.register.Catalogue(), Places: s.layers,
		Window: window, Limits: devices.Limits{Bytes: int(s.cfg.Ingest.MaxPayload)}, Calendar: calendar,
		Bounds: s.cfg.Bounds.options(), Prefixes: s.prefixes, Now: s.clock.now, Log: log, Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	record, err := s.journal.Log(ctx, "commands", journal.LogOptions{MaxAge: 60 * 24 * time.Hour})
	if err != nil {
		return err
	}
	cursors, err := s.journal.Bucket(ctx, "command-cursors")
	if err != nil {
		return err
	}
	s.commands, err = ingest.OpenCommands(ctx, ingest.CommandsOptions{Log: record, Cursors: cursors, Register: s.register, Errs: log})
	if err != nil {
		return err
	}
	states, err := s.journal.Bucket(ctx, "device-states")
	if err != nil {
		return err
	}
	if s.states, err = ingest.OpenStates(ctx, states, s.register, time.Now); err != nil {
		return err
	}
	objects, err := s.journal.Objects(ctx, "firmware")
	if err != nil {
		return err
	}
	manifests, err := s.journal.Bucket(ctx, "firmware")
	if err != nil {
		return err
	}
	s.images, err = ingest.OpenImages(ctx, ingest.ImagesOptions{
		Objects: objects, Manifests: manifests, Dir: s.cfg.Data, Profiles: s.register.Catalogue(),
	})
	if err != nil {
		return err
	}
	acts, err := s.journal.Log(ctx, "campaigns", journal.LogOptions{})
	if err != nil {
		return err
	}
	s.campaigns, err = campaign.Open(ctx, campaign.Options{
		Record: acts, Commands: s.commands, Register: s.register, Image: s.images.Get, Log: s.log.With("part", "firmware"),
	})
	if err != nil {
		return err
	}
	sessions, err := s.journal.Bucket(ctx, "mqtt-sessions")
	if err != nil {
		return err
	}
	door := ingest.NewMQTT(s.gate, s.commands, s.states)
	s.mqtt, err = mqtt.New(door, mqtt.Options{
		Addrs: plainDoor(s.cfg.Listen.MQTT), Sessions: sessions, Log: s.log.With("part", "mqtt"), Metrics: s.registry,
		MaxConnections: s.cfg.Bounds.Connections, MaxSessions: s.cfg.Bounds.Sessions,
	})
	if err != nil {
		return err
	}
	door.EndWith(s.mqtt.Disconnect)
	s.openDepartments(door)
	if c := s.cfg.Bridge; c.URL != "" {
		s.bridge, err = ingest.NewBridge(s.gate, ingest.BridgeOptions{
			URL: c.URL, Username: c.Username, Password: c.Password, ClientID: c.ClientID, Group: c.Group, Topic: c.Topic,
			Log: s.log.With("part", "bridge"), Metrics: s.registry,
		})
	}
	return err
}

// Start opens the doors, puts the readers to work and writes where it listens.
// On an error everything is stopped again.
func (s *Server) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			_ = s.Stop(context.WithoutCancel(ctx))
		}
	}()
	s.started = time.Now()
	// Readers before doors: the first reading must find the wall awake.
	s.running.work("series writer", s.writer.Run)
	s.running.work("alarm reader", func(ctx context.Context) error {
		return follow(ctx, s.readers[readerAlert], s.log.With("part", "alert"), raise(s.alarms))
	})
	s.running.work("silence watch", s.watchSilence)
	s.running.work("firmware campaigns", s.campaigns.Run)
	s.running.work("drills", s.drills.Run)
	s.notify.Start()
	s.running.add("notify", s.notify.Stop)
	s.running.work("live reader", func(ctx context.Context) error {
		return follow(ctx, s.readers[readerLive], s.log.With("part", "live"), showLive(s.hub, s.network, s.recent, s.inbox))
	})
	s.running.work("network save", s.saveNetwork)
	s.startReach()
	s.running.work("scenes", s.scenes.Run)
	s.running.work("seeding the wall", func(ctx context.Context) error {
		// After the tail of the journal: it knows places and doors, history does not.
		awaitTail(ctx, s.journal, s.readers[readerLive])
		return seedFromSeries(ctx, s.register, s.store, s.hub, s.log)
	})
	s.running.work("trust", func(ctx context.Context) error { return s.trust.Run(ctx, s.gate.TrustChanged) })
	s.running.work("identity provider", s.access.Run)
	s.running.work("proofs", s.gate.WatchProofs)
	if err := s.startAudit(); err != nil {
		return err
	}
	s.hub.Start()
	s.running.add("live", s.hub.Stop)

	if err := s.startHTTP(); err != nil {
		return err
	}
	if err := s.mqtt.Start(ctx); err != nil {
		return fmt.Errorf("listen.mqtt: %w", err)
	}
	s.running.add("mqtt", s.mqtt.Stop)
	if err := s.startMQTTS(ctx); err != nil {
		return err
	}
	if err := s.startCoAP(); err != nil {
		return err
	}
	s.warnPlain()
	if s.bridge != nil {
		s.bridge.Start()
		s.running.add("bridge", func(context.Context) error { s.bridge.Stop(); return nil })
	}
	return s.announce()
}

// watchSilence lets the rule engine see time pass where nothing is reported.
func (s *Server) watchSilence(ctx context.Context) error {
	tick, stop := s.clock.every(time.Second)
	defer stop()
	for {
		select {
		case now := <-tick:
			if err := s.alarms.Tick(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("silent devices were not looked at", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) startHTTP() (err error) {
	server := func() *http.Server {
		return &http.Server{
			Handler:           s.api,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(s.log.With("part", "http").Handler(), slog.LevelDebug),
		}
	}
	if s.cfg.Listen.HTTP != "" {
		if s.http, err = net.Listen("tcp", s.cfg.Listen.HTTP); err != nil {
			return fmt.Errorf("listen.http: %w", err)
		}
		s.serve("http", server(), s.http)
	}
	if s.cfg.Listen.HTTPS != "" {
		if s.https, err = net.Listen("tcp", s.cfg.Listen.HTTPS); err != nil {
			return fmt.Errorf("listen.https: %w", err)
		}
		secure := s.trust.ServerConfig(false)
		secure.NextProtos = []string{"h2", "http/1.1"}
		s.serve("https", server(), tls.NewListener(s.https, secure))
	}
	if s.cfg.Listen.Debug == "" {
		return nil
	}
	if s.debug, err = net.Listen("tcp", s.cfg.Listen.Debug); err != nil {
		return fmt.Errorf("listen.debug: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s.serve("debug", &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, s.debug)
	return nil
}

func (s *Server) serve(name string, server *http.Server, l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.running.add(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
}

// Addr tells where the doors listen, once Start has returned.
func (s *Server) Addr() addresses {
	at := func(l interface{ Addr() net.Addr }, open bool) string {
		if !open {
			return ""
		}
		return l.Addr().String()
	}
	a := addresses{
		HTTP: at(s.http, s.http != nil), HTTPS: at(s.https, s.https != nil), Debug: at(s.debug, s.debug != nil),
		MQTTS: at(s.mqtts, s.mqtts != nil),
	}
	if s.cfg.Listen.CoAP != "" {
		a.CoAP = s.coap.Addr().String()
	}
	if s.cfg.Listen.CoAPS != "" {
		a.CoAPS = s.coap.SecureAddr().String()
	}
	if s.cfg.Listen.MQTT != "" {
		a.MQTT = s.mqtt.Addrs()[0].String()
	}
	return a
}

// announce writes DIR/addresses.json, whole or not at all.
func (s *Server) announce() error {
	raw, err := json.Marshal(s.Addr())
	if err != nil {
		return err
	}
	file := s.addressesFile()
	if err := os.WriteFile(file+".new", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	s.running.add("addresses", func(context.Context) error { return s.forgetAddresses() })
	return nil
}

func (s *Server) addressesFile() string { return filepath.Join(s.cfg.Data, "addresses.json") }

func (s *Server) forgetAddresses() error {
	if err := os.Remove(s.addressesFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Broken gives the error of a part that ended by itself. The process should end
// then: a start repairs what a running server cannot.
func (s *Server) Broken() <-chan error { return s.running.broken }

// Stop undoes Start and New: the doors close first, with every acknowledgement
// that is owed, then the readers, then what is kept. Harmless twice.
func (s *Server) Stop(ctx context.Context) error {
	return errors.Join(s.running.stop(ctx), s.open.stop(ctx))
}

func (s *Server) openAlarms(ctx context.Context) error {
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	record, err := s.journal.Log(ctx, "alarms", journal.LogOptions{})
	if err != nil {
		return err
	}
	bucket, err := s.journal.Bucket(ctx, "alarms")
	if err != nil {
		return err
	}
	checkpoints, err := s.journal.Objects(ctx, "alarm-checkpoints")
	if err != nil {
		return err
	}
	s.alarms, err = alert.Open(ctx, alert.Options{
		Register: s.register, Store: bucket, Transitions: record,
		ZoneName: func(ref devices.ZoneRef) string {
			if z, ok := s.layers.Zone(ref); ok {
				return z.Name
			}
			return ref.Code
		},
		Place: func(at devices.Position, when time.Time) []devices.ZoneRef {
			return s.layers.Place(at.Lon, at.Lat, geo.Day(when, calendar), nil)
		},
		Calendar: calendar, Now: s.clock.now,
		Limits: s.cfg.Alarms.limits(), Checkpoints: checkpoints, Operators: s.shift.Operators,
		Behind: func() int64 { entries, _ := s.readers[readerAlert].Lag(); return int64(entries) },
		Log:    s.log.With("part", "alert"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.open.add("alarms", s.alarms.Close)
	// The engine keeps its own place, with its memory: a cursor that is ahead of
	// it would lose running delays.
	s.readers[readerAlert], err = s.journal.Reader(ctx, readerAlert, journal.FromSeq(s.alarms.Next()).Anew())
	return err
}

func (s *Server) openAPI(context.Context) (err error) {
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	routes := ingest.NewHTTP(s.gate, s.images).Routes()
	maps.Copy(routes, ingest.NewEnrol(s.gate, s.enrolment).Routes())
	routes["GET /metrics"] = s.access.Require(access.ViewStatus, promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.With("part", "metrics").Handler(), slog.LevelWarn),
	}), denyPlain)
	o := opscenter.Options{
		Register: s.register, Departments: s.heads, Issuer: s.trust, Enrolment: s.enrolment, Catalogue: s.register.Catalogue(), Layers: s.layers, Hub: s.hub, Access: s.access, Commands: s.commands,
		Images: s.images, Campaigns: s.campaigns, Notify: s.notify, States: s.states,
		History: history{s.store}, Alarms: s.alarms, RuleBook: s.alarms, Life: s.alarms, Shift: s.shift, Refusals: s.recent, Inbox: s.inbox, Network: s.network, Prefixes: s.prefixes, OverBounds: s.gate.OverBounds, RoundTrip: s.roundTrip, Status: s.status, Ready: s.ready,
		Scenes: s.scenes, Frames: s.cfg.Wall.Frames, Replays: s.replays, Figures: s.cfg.Figures.targets(),
		Record: s.audit.record, Names: s.audit.names, Security: s.audit.security, Erase: s.erase, Hosts: s.hosts(), HSTS: s.hsts(),
		Warnings: s.warnings, Drills: s.drills,
		Resume: s.journal.Resume, Extra: routes, Calendar: calendar, Now: s.clock.now, Version: version,
		Log: s.log.With("part", "api"), Metrics: s.registry,
	}
	if web.Built() {
		o.Wall = web.Files()
	}
	s.api, err = opscenter.New(o)
	return err
}

func denyPlain(w http.ResponseWriter, _ *http.Request, r *access.Refusal) {
	http.Error(w, r.Detail, r.Status)
}
