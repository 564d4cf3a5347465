package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/paulmach/orb"
	"github.com/spf13/cobra"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ingest/journal"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
	"vonglau/ops-center/drill"
	"vonglau/ops-center/warning"
)

// WarningsConfig says who speaks to the public.
type WarningsConfig struct {
	// Sender names us in every message, for good.
	Sender     string            `yaml:"sender"`
	SenderName map[string]string `yaml:"sender_name"`
	Web        string            `yaml:"web"`
	Contact    string            `yaml:"contact"`
	Lifetime   time.Duration     `yaml:"lifetime"`
}

func defaultWarnings() WarningsConfig {
	return WarningsConfig{
		Sender:     "canhbao@vonglau.example",
		SenderName: map[string]string{"vi": "Trung tâm Giám sát, điều hành thông minh", "en": "Intelligent Operations Center"},
		Lifetime:   6 * time.Hour,
	}
}

func (w *WarningsConfig) check(bad func(string, ...any)) {
	if w.Sender == "" || strings.ContainsAny(w.Sender, " ,<&\t\n") {
		bad("warnings.sender: %q: write one name without space, comma, < or &, such as canhbao@city.example", w.Sender)
	}
	if w.SenderName["vi"] == "" || w.SenderName["en"] == "" {
		bad("warnings.sender_name: need vi and en")
	}
	if u, err := url.Parse(w.Web); w.Web != "" && (err != nil || u.Host == "") {
		bad("warnings.web: %q: write a whole address, such as https://city.example/", w.Web)
	}
	if w.Lifetime < 10*time.Minute || w.Lifetime > 7*24*time.Hour {
		bad("warnings.lifetime: %s: need 10 minutes to 7 days", w.Lifetime)
	}
}

// openWarnings opens the public messages and the drills.
func (s *Server) openWarnings(ctx context.Context) error {
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	record, err := s.journal.Log(ctx, "warnings", journal.LogOptions{})
	if err != nil {
		return err
	}
	c := s.cfg.Warnings
	o := warning.Options{
		Log: record, Lifetime: c.Lifetime, Calendar: calendar, Now: s.clock.now, Errors: s.log.With("part", "warnings"), Metrics: s.registry,
		Identity: warning.Identity{
			Sender: c.Sender, Name: warning.Text{VI: c.SenderName["vi"], EN: c.SenderName["en"]}, Web: c.Web, Contact: c.Contact,
		},
		Zone: func(z warning.Zone) (string, orb.Geometry, bool) {
			for _, known := range s.layers.Zones(z.Layer, geo.Day(s.clock.now(), calendar)) {
				if known.Ref.Code == z.Code {
					return known.Name, known.Geometry, true
				}
			}
			return "", nil, false
		},
	}
	if a := s.cfg.City.Area; len(a) == 4 {
		o.Service = cap12.Box{West: a[0], South: a[1], East: a[2], North: a[3]}
	}
	if s.warnings, err = warning.Open(ctx, o); err != nil {
		return err
	}
	acts, err := s.journal.Log(ctx, "drills", journal.LogOptions{})
	if err != nil {
		return err
	}
	s.drills, err = drill.Open(ctx, drill.Options{
		Log: acts, Register: s.register, Summarise: s.sumUp, Calendar: calendar, Now: s.clock.now, Errors: s.log.With("part", "drills"),
	})
	return err
}

// sumUp tells what came of a drill, from the log of alarms and the messages, and
// acknowledges what it left open: nobody else is to look at it.
func (s *Server) sumUp(ctx context.Context, d drill.Drill) (drill.Summary, error) {
	var sum drill.Summary
	record, err := s.journal.Log(ctx, "alarms", journal.LogOptions{})
	if err != nil {
		return sum, err
	}
	raised := map[string]time.Time{}
	var took time.Duration
	err = record.Read(ctx, 1, func(_ uint64, at time.Time, _ string, data []byte) error {
		if at.Before(d.Started) || !bytes.Contains(data, []byte(d.ID)) {
			return nil
		}
		var t alert.Transition
		if err := json.Unmarshal(data, &t); err != nil || t.Alarm.Exercise != d.ID {
			return nil //nolint:nilerr // what cannot be read is counted by whoever keeps the log
		}
		switch t.Event {
		case alert.Raise:
			if _, again := raised[t.Alarm.ID]; !again {
				raised[t.Alarm.ID] = t.Recorded
			}
		case alert.Ack:
			if since, ok := raised[t.Alarm.ID]; ok {
				sum.Acknowledged++
				took += t.Recorded.Sub(since)
			}
		}
		return nil
	})
	if err != nil {
		return sum, err
	}
	if sum.Alarms = len(raised); sum.Acknowledged > 0 {
		sum.ToAcknowledge = (took / time.Duration(sum.Acknowledged)).Seconds()
	}
	for _, w := range s.warnings.List() {
		if w.Drill == d.ID {
			sum.Messages += len(w.Messages)
		}
	}
	who := alert.Actor{Name: d.ID, Role: "machine"}
	for _, a := range s.alarms.List() {
		if a.Exercise != d.ID {
			continue
		}
		var moved *alert.Conflict
		_, err := s.alarms.Act(ctx, a.ID, who, alert.Act{Event: alert.Ack, Note: "kết thúc diễn tập / end of the drill"})
		if err != nil && !errors.As(err, &moved) && !errors.Is(err, alert.ErrNoAlarm) {
			s.log.Warn("an alarm of a drill that is over was not acknowledged", "drill", d.ID, "alarm", a.ID, "error", err)
		}
	}
	return sum, nil
}

func newCAP() *cobra.Command {
	check := &cobra.Command{
		Use: "check FILE", Short: "say what is wrong with a CAP message; - reads standard input",
		Long: `Say what is wrong with a CAP 1.2 or 1.1 message: what the schema asks and what it
cannot express. Works without a server. Exit code 1 when it should be refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return failed(err)
				}
				defer func() { _ = file.Close() }()
				in = file
			}
			raw, err := io.ReadAll(io.LimitReader(in, cap12.MaxBytes+1))
			if err != nil {
				return failed(err)
			}
			a, problems := cap12.Read(raw)
			if a != nil {
				problems = append(problems, cap12.Check(a, cap12.Context{Now: time.Now()})...)
			}
			out := cmd.OutOrStdout()
			for _, p := range problems {
				if _, err := fmt.Fprintf(out, "%s\t%s\n", p.Level, p.Error()); err != nil {
					return failed(err)
				}
			}
			if cap12.Bad(problems) {
				return failed(fmt.Errorf("%s: not to be taken", args[0]))
			}
			_, err = fmt.Fprintf(out, "good: CAP %s, %s %s of %s\n", a.Version, a.Status, a.MsgType, a.Sender)
			return err
		},
	}
	return group("cap", "messages of the Common Alerting Protocol", check)
}

func newWarning(r *remote) *cobra.Command {
	return group("warning", "public warnings",
		&cobra.Command{
			Use: "list", Short: "list the warnings, the newest first", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.print(cmd, http.MethodGet, "/v1/warnings", nil, nil, table("warnings", "id", "state", "exercise", "version", "changed"))
			},
		},
		&cobra.Command{
			Use: "show ID", Short: "print a warning with what was sent", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.print(cmd, http.MethodGet, "/v1/warnings/"+url.PathEscape(args[0]), nil, nil, printJSON)
			},
		})
}

func newDrill(r *remote) *cobra.Command {
	var scenario string
	var length time.Duration
	var like, made []string
	start := &cobra.Command{
		Use: "start NAME", Short: "begin a drill and print the tokens of its devices, which are shown this once",
		Example: `  vonglau drill start "Ngập 9/2026" --for 2h --like wl-003,wl-004
  vonglau drill start "Ngập 9/2026" --device flood-depth@106.168,20.434`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0], "ends": time.Now().Add(length).UTC().Truncate(time.Second)}
			if scenario != "" {
				body["scenario"] = scenario
			}
			if len(like) > 0 {
				body["like"] = like
			}
			var list []map[string]any
			for _, text := range made {
				profile, at, ok := strings.Cut(text, "@")
				if !ok {
					return fmt.Errorf("--device %q: write PROFILE@LON,LAT", text)
				}
				var p devices.Position
				p, err := parsePlace(at)
				if err != nil {
					return err
				}
				list = append(list, map[string]any{"profile": profile, "at": []float64{p.Lon, p.Lat}})
			}
			if len(list) > 0 {
				body["devices"] = list
			}
			return r.print(cmd, http.MethodPost, "/v1/drills", nil, body, printJSON)
		},
	}
	start.Flags().StringVar(&scenario, "scenario", "", "what is practised")
	start.Flags().DurationVar(&length, "for", 2*time.Hour, "when it ends by itself")
	start.Flags().StringSliceVar(&like, "like", nil, "devices of the city to copy profile, place and department from")
	start.Flags().StringArrayVar(&made, "device", nil, "one exercise device, PROFILE@LON,LAT; again for each")
	return group("drill", "exercises with devices of their own", start,
		&cobra.Command{
			Use: "end ID", Short: "end a drill: devices retired, alarms closed, summary written", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.print(cmd, http.MethodPost, "/v1/drills/"+url.PathEscape(args[0])+"/end", nil, nil, printJSON)
			},
		},
		&cobra.Command{
			Use: "status [ID]", Short: "list the drills, or print one", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 1 {
					return r.print(cmd, http.MethodGet, "/v1/drills/"+url.PathEscape(args[0]), nil, nil, printJSON)
				}
				return r.print(cmd, http.MethodGet, "/v1/drills", nil, nil, table("drills", "id", "name", "started", "ends", "ended", "by"))
			},
		})
}
