package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vonglau/ingest/journal"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/replay"
	"vonglau/ops-center/scene"
	"vonglau/ops-center/web"
)

// WallConfig says what the city's displays may show.
type WallConfig struct {
	// Frames are the origins of pages and cameras that panels may show.
	Frames []string `yaml:"frames"`
	// Record is how long it is kept what each display showed.
	Record time.Duration `yaml:"record"`
}

func defaultWall() WallConfig {
	return WallConfig{Frames: []string{}, Record: 400 * 24 * time.Hour}
}

func (w *WallConfig) check(bad func(format string, args ...any)) {
	for _, f := range w.Frames {
		u, err := url.Parse(f)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != f ||
			strings.ContainsAny(f, " ;,'\"*[") {
			bad("wall.frames: %q: write an origin such as https://cameras.city.example, without a path; a page's policy cannot name an IPv6 literal", f)
		}
	}
	if w.Record < time.Hour {
		bad("wall.record: %s: need an hour or more", w.Record)
	}
}

// openScenes opens displays and scenes; the hub shows them.
func (s *Server) openScenes(ctx context.Context) error {
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	acts, err := s.journal.Log(ctx, "scenes", journal.LogOptions{})
	if err != nil {
		return err
	}
	shown, err := s.journal.Log(ctx, "shown", journal.LogOptions{MaxAge: s.cfg.Wall.Record})
	if err != nil {
		return err
	}
	var home *scene.View
	if a := s.cfg.City.Area; len(a) == 4 {
		home = &scene.View{Lon: (a[0] + a[2]) / 2, Lat: (a[1] + a[3]) / 2, Zoom: 11}
	}
	s.scenes, err = scene.Open(ctx, scene.Options{
		Acts: acts, Shown: shown, Frames: s.cfg.Wall.Frames, Home: home, Calendar: calendar,
		Past: scene.PastOptions{Retention: s.cfg.Series.Retention, Edge: replay.Edge, Displays: s.cfg.Replay.Max},
		// Displays are looked at before there is a hub; those that connect later ask.
		Changed: func(display string) {
			if s.hub != nil {
				s.hub.Show(display)
			}
			if s.replays != nil {
				s.replays.Show(display)
			}
		},
		Log: s.log.With("part", "scenes"), Metrics: s.registry,
	})
	return err
}

// takeOver lets an alarm have the displays that say so.
func (s *Server) takeOver(a alert.Alarm) {
	one := scene.Alarm{ID: a.ID, Device: string(a.Device), Priority: a.Priority, Waiting: a.State == alert.Unacknowledged, Exercise: a.Exercise != ""}
	if a.At != nil {
		one.View = &scene.View{Lon: a.At[0], Lat: a.At[1], Zoom: 15}
	}
	s.scenes.ApplyAlarm(one)
}

// wallBuild names the files of the wall that this program holds: each of them
// has its content's hash in its name, and the page names them.
func wallBuild() string {
	if !web.Built() {
		return version
	}
	page, err := fs.ReadFile(web.Files(), "index.html")
	if err != nil {
		return version
	}
	sum := sha256.Sum256(page)
	return hex.EncodeToString(sum[:6])
}

func newDisplay(r *remote) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "list displays: how they are and what they show", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/displays", nil, nil, table("displays", "id", "condition", "group", "scene", "width", "height", "heard"))
		},
	}
	remove := &cobra.Command{
		Use: "remove ID", Short: "take a display away; what it showed stays on record", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, http.MethodDelete, "/v1/displays/"+url.PathEscape(args[0]), nil)
		},
	}
	back := &cobra.Command{
		Use: "return ID", Short: "take off a display what was put on it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, "/v1/displays/"+url.PathEscape(args[0])+"/return", nil, map[string]any{}, printJSON)
		},
	}
	var at string
	shown := &cobra.Command{
		Use: "shown ID", Short: "print what a display showed, over the last day or at a time", Args: cobra.ExactArgs(1),
		Example: "  vonglau display shown hall-1 --at 2026-11-21T03:15:00+07:00\n  vonglau display shown hall-1 --at -2h",
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if at != "" {
				query.Set("at", at)
			}
			return r.print(cmd, http.MethodGet, "/v1/displays/"+url.PathEscape(args[0])+"/shown", query, nil, table("shown", "at", "dark", "scene", "version", "reason", "by", "alarm"))
		},
	}
	shown.Flags().StringVar(&at, "at", "", "a time, RFC 3339 or a distance such as -2h")
	return group("display", "the screens of the operations center", newDisplayAdd(r), list, remove, back, shown)
}

func newDisplayAdd(r *remote) *cobra.Command {
	var name, group, base, seat, span string
	c := &cobra.Command{
		Use: "add ID", Short: "name a display",
		Long: `Name a display, or change one: what is not given is left out. Give it a token of
the display's own with ` + "`vonglau token new`" + ` and open the link it prints on the screen.`,
		Example: `  vonglau display add hall-1 --name "Sảnh, màn 1" --group hall --seat 5,0.63
  vonglau display add wall-2 --span 3x1:1,0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = args[0]
			}
			body := map[string]any{"name": map[string]string{"vi": name}, "calm": map[string]any{"orbit": true}, "takeOver": map[string]any{"priority": 1}}
			if group != "" {
				body["group"] = group
			}
			if base != "" {
				body["scene"] = base
			}
			if seat != "" {
				d, p, ok := strings.Cut(seat, ",")
				distance, err1 := strconv.ParseFloat(strings.TrimSpace(d), 64)
				pitch, err2 := strconv.ParseFloat(strings.TrimSpace(p), 64)
				if !ok || err1 != nil || err2 != nil {
					return fmt.Errorf("--seat %q: write METRES,MILLIMETRES: how far the farthest seat is, and from pixel to pixel", seat)
				}
				body["seat"] = map[string]any{"distance": distance, "pitch": pitch}
			}
			if span != "" {
				var s scene.Span
				if n, err := fmt.Sscanf(span, "%dx%d:%d,%d", &s.Columns, &s.Rows, &s.Column, &s.Row); n != 4 || err != nil {
					return fmt.Errorf("--span %q: write COLUMNSxROWS:COLUMN,ROW, counted from 0, such as 3x1:2,0", span)
				}
				body["span"] = s
			}
			return r.print(cmd, http.MethodPut, "/v1/displays/"+url.PathEscape(args[0]), nil, body, printJSON)
		},
	}
	c.Flags().StringVar(&name, "name", "", "what people call it")
	c.Flags().StringVar(&group, "group", "", "group it belongs to")
	c.Flags().StringVar(&base, "scene", "", "the scene it shows when nothing else is put on it")
	c.Flags().StringVar(&seat, "seat", "", "farthest seat: metres, and millimetres from pixel to pixel")
	c.Flags().StringVar(&span, "span", "", "its place in a wall of several screens")
	return c
}

func newScene(r *remote) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "list scenes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/scenes", nil, nil, table("scenes", "id", "version", "at", "by"))
		},
	}
	var o scene.Order
	var lasting time.Duration
	var past scene.Replay
	var from string
	push := &cobra.Command{
		Use: "push SCENE [DISPLAY...]", Short: "put a scene on displays",
		Example: "  vonglau scene push flood hall-1 hall-2 --for 30m\n  vonglau scene push default --all\n" +
			"  vonglau scene push default hall-1 --replay 2026-11-21T02:14:00+07:00 --speed 60 --for 20m",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Scene, o.Displays = args[0], args[1:]
			if from != "" {
				at, err := time.Parse(time.RFC3339, from)
				if err != nil {
					return fmt.Errorf("--replay %q: write a time such as 2026-11-21T02:14:00+07:00", from)
				}
				past.At, o.Replay = at, &past
			} else if cmd.Flags().Changed("speed") {
				return errors.New("--speed is that of a replay: give --replay TIME too")
			}
			if lasting > 0 {
				o.Until = time.Now().Add(lasting)
			}
			raw, err := json.Marshal(o)
			if err != nil {
				return failed(err)
			}
			return r.print(cmd, http.MethodPost, "/v1/pushes", nil, json.RawMessage(raw), printJSON)
		},
	}
	f := push.Flags()
	f.BoolVar(&o.All, "all", false, "on all displays")
	f.StringVar(&o.Group, "group", "", "on the displays of a group")
	f.BoolVar(&o.Lock, "lock", false, "hold them against alarms and people of a lower rank")
	f.IntVar(&o.Version, "version", 0, "this version of the scene; the newest when left out")
	f.StringVar(&from, "replay", "", "show the past from this moment on")
	f.Float64Var(&past.Speed, "speed", 1, "how fast the past goes, 1 to 600")
	f.DurationVar(&lasting, "for", 0, "for so long, such as 30m")
	undo := &cobra.Command{
		Use: "undo PUSH", Short: "undo a push: its displays show what lay under it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, http.MethodDelete, "/v1/pushes/"+url.PathEscape(args[0]), nil)
		},
	}
	return group("scene", "what displays can show", list, push, undo)
}

// call makes a request whose answer has nothing to show.
func (r *remote) call(cmd *cobra.Command, method, path string, query url.Values) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	_, err = cl.call(cmd.Context(), method, path, query, "", nil)
	return err
}
