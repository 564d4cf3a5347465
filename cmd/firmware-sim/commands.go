package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/paulmach/orb"

	firmwaresim "vonglau/firmware-sim"
)

func runCity(_ context.Context, args []string, out, _ io.Writer) error {
	f := flag.NewFlagSet("city", flag.ContinueOnError)
	seed := f.Uint64("seed", 7, "the city's `number`: the same gives the same city")
	dir := f.String("out", "", "`directory` for the layers (needed)")
	asJSON := f.Bool("json", false, "print the result as JSON")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 {
		return wrongUsage("unexpected %q", rest[0])
	}
	if *dir == "" {
		return wrongUsage("--out DIR is needed")
	}
	if err := firmwaresim.WriteCity(*seed, *dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(*dir)
	if err != nil {
		return err
	}
	var layers []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".geojson"); ok {
			layers = append(layers, name)
		}
	}
	if *asJSON {
		return printJSON(out, map[string]any{"seed": *seed, "dir": *dir, "layers": layers})
	}
	fmt.Fprintf(out, "%s: %s\n", *dir, strings.Join(layers, ", "))
	return nil
}

func runFleet(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	var t target
	t.flags(f)
	scenario := f.String("scenario", "typhoon", "`name` of a scenario, or a file")
	count := f.Int("devices", 500, "`number` of devices")
	seed := f.Uint64("seed", 7, "`number` of the city and everything random")
	speed := f.Float64("speed", 1, "seconds of the city's weather in one of ours")
	prefix := f.String("prefix", "", "`text` before every device id, for several fleets on one server")
	duration := f.Duration("duration", 0, "stop after this time; run until interrupted when 0")
	asJSON := f.Bool("json", false, "print figures as JSON lines")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 {
		return wrongUsage("unexpected %q", rest[0])
	}
	s, err := firmwaresim.LoadScenario(*scenario)
	if err != nil {
		return usageError{err}
	}
	server, credentials, err := t.open()
	if err != nil {
		return err
	}
	fleet, err := firmwaresim.New(firmwaresim.Options{
		Scenario: s, Seed: *seed, Devices: *count, Speed: *speed, Prefix: *prefix, MQTT: t.mqtt, CoAP: t.coap,
	})
	if err != nil {
		return usageError{err}
	}
	if err := firmwaresim.Provision(ctx, server, credentials, fleet.Registrations()); err != nil {
		return err
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	stop := watch(&fleet.Stats, *count, progress, out, *asJSON)
	defer stop()
	return fleet.Run(ctx, credentials)
}

func runReplay(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("replay", flag.ContinueOnError)
	var t target
	t.flags(f)
	mapping := f.String("mapping", "", "`name` of a mapping or a file: "+strings.Join(firmwaresim.Mappings(), ", ")+" (needed)")
	speed := f.Float64("speed", 1, "recorded seconds in one of ours")
	original := f.Bool("original-time", false, "keep the recorded times instead of stamping readings when they are sent")
	moveTo := f.String("move-to", "", "`LON,LAT` the first place of the recording is shifted to")
	limit := f.Int("limit", 0, "stop after so many readings; all when 0")
	asJSON := f.Bool("json", false, "print figures as JSON lines")
	rest, err := parse(f, args, out)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return wrongUsage("give one FILE to replay")
	}
	if *mapping == "" {
		return wrongUsage("--mapping is needed; built in are %s", strings.Join(firmwaresim.Mappings(), ", "))
	}
	m, err := firmwaresim.LoadMapping(*mapping)
	if err != nil {
		return usageError{err}
	}
	to, err := parsePlace(*moveTo)
	if err != nil {
		return err
	}
	server, credentials, err := t.open()
	if err != nil {
		return err
	}
	file, err := os.Open(rest[0])
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := firmwaresim.NewReplay(m, file, firmwaresim.ReplayOptions{
		Speed: *speed, Original: *original, MoveTo: to, Limit: *limit, MQTT: t.mqtt, CoAP: t.coap,
	})
	if err != nil {
		return err
	}
	if r.Skipped > 0 {
		fmt.Fprintf(progress, "%d rows could not be read, the first because %v\n", r.Skipped, r.Why)
	}
	regs := r.Registrations()
	fmt.Fprintf(progress, "%d readings of %d devices\n", r.Total(), len(regs))
	if err := firmwaresim.Provision(ctx, server, credentials, regs); err != nil {
		return err
	}
	stop := watch(&r.Stats, len(regs), progress, out, *asJSON)
	defer stop()
	if err := r.Run(ctx, credentials); err != nil {
		return err
	}
	if n := r.Stats.Refused.Load() + r.Stats.Dropped.Load(); n > 0 {
		return fmt.Errorf("%d of %d readings were refused; the last reason: %s", n, r.Total(), r.Stats.LastError())
	}
	return nil
}

// parsePlace reads LON,LAT; empty is the zero Point.
func parsePlace(s string) (orb.Point, error) {
	if s == "" {
		return orb.Point{}, nil
	}
	x, y, ok := strings.Cut(s, ",")
	lon, err1 := strconv.ParseFloat(strings.TrimSpace(x), 64)
	lat, err2 := strconv.ParseFloat(strings.TrimSpace(y), 64)
	if !ok || err1 != nil || err2 != nil || !(lon >= -180 && lon <= 180 && lat >= -90 && lat <= 90) {
		return orb.Point{}, wrongUsage("place %q: write longitude,latitude as 106.168,20.434", s)
	}
	return orb.Point{lon, lat}, nil
}

func runLoad(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	var t target
	t.flags(f)
	var o firmwaresim.LoadOptions
	f.IntVar(&o.Devices, "devices", 100, "`number` of devices")
	f.Float64Var(&o.Rate, "rate", 1000, "readings a second over all devices")
	f.IntVar(&o.Values, "values", 1, "values in each reading, 1 to 8")
	f.StringVar(&o.Protocol, "protocol", "mqtt", "mqtt, mqtt5, coap or http")
	f.StringVar(&o.Format, "format", "json", "json, cbor, senml+json or senml+cbor")
	f.DurationVar(&o.Duration, "duration", 0, "how long to send; until interrupted when 0")
	f.IntVar(&o.Window, "window", 64, "unanswered reports a device may have (CoAP has 1)")
	f.StringVar(&o.Prefix, "prefix", "load-", "`text` before the device numbers")
	f.StringVar(&o.History, "history", "", "`file` that gets device,quantity,ts,value for each acknowledged value")
	asJSON := f.Bool("json", false, "print the report as JSON")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 {
		return wrongUsage("unexpected %q", rest[0])
	}
	server, credentials, err := t.open()
	if err != nil {
		return err
	}
	o.URL = strings.TrimSuffix(t.server, "/")
	if o.Addr = t.mqtt; o.Protocol == "coap" {
		o.Addr = t.coap
	}
	regs, err := firmwaresim.LoadRegistrations(o)
	if err != nil {
		return usageError{err}
	}
	if err := firmwaresim.Provision(ctx, server, credentials, regs); err != nil {
		return err
	}
	var stats firmwaresim.Stats
	stop := watch(&stats, o.Devices, progress, io.Discard, false)
	report, err := firmwaresim.Load(ctx, o, credentials, &stats)
	stop()
	if err != nil {
		return err
	}
	if *asJSON {
		err = printJSON(out, report)
	} else {
		_, err = fmt.Fprintf(out, "%d readings of %d devices in %.1f s over %s: %d acknowledged (%.0f/s), %d refused, %d without an answer, %d sent again; latency p50 %.1f ms, p99 %.1f ms, most %.1f ms\n",
			report.Measured, report.Devices, report.Seconds, report.Protocol, report.Acked, report.PerSecond, report.Refused, report.Unanswered, report.Repeated, report.P50, report.P99, report.Max)
	}
	if err != nil {
		return err
	}
	if o.Duration > 0 && ctx.Err() == nil && report.Unanswered+report.Refused > 0 {
		return fmt.Errorf("%d readings were refused and %d left without an answer; the last reason: %s", report.Refused, report.Unanswered, report.LastError)
	}
	return nil
}

func runScenarios(_ context.Context, args []string, out, _ io.Writer) error {
	f := flag.NewFlagSet("scenarios", flag.ContinueOnError)
	asJSON := f.Bool("json", false, "print as JSON")
	if rest, err := parse(f, args, out); err != nil {
		return err
	} else if len(rest) > 0 {
		return wrongUsage("unexpected %q", rest[0])
	}
	all := firmwaresim.Scenarios()
	if *asJSON {
		type entry struct {
			Name  string            `json:"name"`
			Label map[string]string `json:"label"`
			About map[string]string `json:"about"`
		}
		var list []entry
		for _, s := range all {
			list = append(list, entry{s.Name, s.Label, s.About})
		}
		return printJSON(out, map[string]any{"scenarios": list, "mappings": firmwaresim.Mappings()})
	}
	for _, s := range all {
		fmt.Fprintf(out, "%-10s %s / %s\n           %s\n           %s\n", s.Name, s.Label["vi"], s.Label["en"], s.About["vi"], s.About["en"])
	}
	fmt.Fprintf(out, "\nmappings of recordings: %s\n", strings.Join(firmwaresim.Mappings(), ", "))
	return nil
}

// figures is what people and scripts watch while devices run.
type figures struct {
	Time       time.Time `json:"time"`
	Devices    int       `json:"devices"`
	Connected  int64     `json:"connected"`
	PerSecond  float64   `json:"ackedPerSecond"`
	Measured   uint64    `json:"measured"`
	Acked      uint64    `json:"acked"`
	Refused    uint64    `json:"refused"`
	Repeated   uint64    `json:"repeated"`
	Dropped    uint64    `json:"dropped"`
	Malformed  uint64    `json:"malformed"`
	Lost       uint64    `json:"linksLost"`
	Reboots    uint64    `json:"reboots"`
	DialErrors uint64    `json:"dialErrors"`
	LastError  string    `json:"lastError,omitempty"`
}

// watch shows figures until the function it gives is called: a line that is
// written over on a terminal, one every ten seconds elsewhere, JSON lines on
// out when asked.
func watch(s *firmwaresim.Stats, count int, progress, out io.Writer, asJSON bool) (stop func()) {
	w := &watcher{stats: s, count: count, progress: progress, out: out, asJSON: asJSON, quit: make(chan struct{}), done: make(chan struct{})}
	if f, ok := progress.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			w.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	go w.run()
	return func() {
		close(w.quit)
		<-w.done
	}
}

type watcher struct {
	stats         *firmwaresim.Stats
	count         int
	progress, out io.Writer
	asJSON        bool
	terminal      bool
	quit, done    chan struct{}
}

func (w *watcher) run() {
	defer close(w.done)
	every := 10 * time.Second
	if w.terminal {
		every = time.Second
	}
	t := time.NewTicker(every)
	defer t.Stop()
	last, at := uint64(0), time.Now()
	for end := false; !end; {
		select {
		case <-w.quit:
			end = true
		case <-t.C:
		}
		now := time.Now()
		s := w.stats
		f := figures{
			Time: now.UTC(), Devices: w.count, Connected: s.Connected.Load(), Measured: s.Measured.Load(),
			Acked: s.Acked.Load(), Refused: s.Refused.Load(), Repeated: s.Repeated.Load(), Dropped: s.Dropped.Load(),
			Malformed: s.Malformed.Load(), Lost: s.Lost.Load(), Reboots: s.Reboots.Load(), DialErrors: s.DialErrors.Load(),
			LastError: s.LastError(),
		}
		if dt := now.Sub(at).Seconds(); dt > 0 {
			f.PerSecond = float64(int(float64(f.Acked-last)/dt*10)) / 10
		}
		last, at = f.Acked, now
		if w.asJSON {
			// A figure that cannot be written is no reason to stop the devices.
			_ = printJSON(w.out, f)
			continue
		}
		line := fmt.Sprintf("%d of %d devices connected, %.0f readings/s, %d acknowledged, %d refused, %d sent again, %d dropped, %d links lost",
			f.Connected, f.Devices, f.PerSecond, f.Acked, f.Refused, f.Repeated, f.Dropped, f.Lost)
		if f.DialErrors > 0 && f.Connected == 0 {
			line += ": " + f.LastError
		}
		switch {
		case w.terminal && !end:
			fmt.Fprintf(w.progress, "\r\033[K%s", line)
		case w.terminal:
			fmt.Fprintf(w.progress, "\r\033[K%s\n", line)
		default:
			fmt.Fprintln(w.progress, line)
		}
	}
}
