package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vonglau/ingest/journal"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

// AlarmsConfig bounds what people may do to alarms.
type AlarmsConfig struct {
	MaxShelve    map[int]time.Duration `yaml:"max_shelve"`
	NotePriority int                   `yaml:"note_priority"`
	Claim        time.Duration         `yaml:"claim"`
}

func defaultAlarms() AlarmsConfig {
	l := alert.DefaultLimits()
	return AlarmsConfig{MaxShelve: l.MaxShelve, NotePriority: l.NotePriority, Claim: l.Claim}
}

func (c *AlarmsConfig) limits() alert.Limits {
	return alert.Limits{MaxShelve: c.MaxShelve, NotePriority: c.NotePriority, Claim: c.Claim}
}

func (c *AlarmsConfig) check(bad func(string, ...any)) {
	for p, d := range c.MaxShelve {
		if p < 1 || p > 4 || d < 0 || d > 7*24*time.Hour {
			bad("alarms.max_shelve: %d: %s: give priorities 1 to 4 a time of at most 168h; 0 never shelves", p, d)
		}
	}
	if c.NotePriority < 0 || c.NotePriority > 4 {
		bad("alarms.note_priority: %d: use 1 to 4, or 0 to ask for no note", c.NotePriority)
	}
	if c.Claim <= 0 || c.Claim > time.Hour {
		bad("alarms.claim: %s: use more than 0 and at most 1h", c.Claim)
	}
}

// openShift reads the shift log.
func (s *Server) openShift(ctx context.Context) error {
	record, err := s.journal.Log(ctx, "shift", journal.LogOptions{})
	if err != nil {
		return err
	}
	s.shift, err = alert.OpenShift(ctx, record, s.clock.now)
	return err
}

// floodHealth is the flood as a heartbeat carries it.
func (s *Server) floodHealth() *live.Flood {
	f := s.alarms.Flood()
	return &live.Flood{On: f.On, Since: f.Since, Alarms: f.Alarms, Operators: f.Operators, Total: f.Total}
}

func newAlarm(r *remote) *cobra.Command {
	filter := url.Values{}
	names := []string{"state", "priority", "category", "zone", "department", "device", "rule", "q", "at"}
	values := make([]string, len(names))
	list := &cobra.Command{
		Use: "list", Short: "list open alarms, the most urgent first", Args: cobra.NoArgs,
		Example: "  vonglau alarm list --priority 2 --state shown\n  vonglau alarm list --q \"ngap duong\"\n  vonglau alarm list --at 2026-11-21T03:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for i, name := range names {
				if values[i] != "" {
					filter.Set(name, values[i])
				}
			}
			return r.print(cmd, http.MethodGet, "/v1/alarms", filter, nil, table("alarms", "priority", "state", "rule", "entity", "raised", "id"))
		},
	}
	for i, what := range []string{"states with commas, or shown", "this priority and worse", "category of CAP", "a zone's code, or layer/code", "department", "device", "rule", "words, diacritics do not matter", "a time in the past"} {
		list.Flags().StringVar(&values[i], names[i], "", what)
	}
	show := &cobra.Command{
		Use: "show ID", Short: "print an alarm with what happened to it and what is near it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodGet, "/v1/alarms/"+url.PathEscape(args[0]), nil, nil, printJSON)
		},
	}
	return group("alarm", "alarms", list, show,
		newAct(r, "ack", "acknowledge", "acknowledge alarms", "note", "false-alarm"),
		newAct(r, "claim", "claim", "work on alarms, so that nobody else acts on them meanwhile"),
		newAct(r, "release", "release", "let claimed alarms go"),
		newAct(r, "comment", "comment", "say something about alarms", "note"),
		newAct(r, "shelve", "shelve", "put alarms aside for a time", "for", "reason"),
		newAct(r, "unshelve", "unshelve", "bring shelved alarms back", "reason"),
		newAct(r, "assign", "assign", "give alarms to a department", "department", "person", "due", "note"),
		newAct(r, "accept", "accept", "accept alarms for the department they are assigned to", "note"),
		newAct(r, "return", "return", "return assigned alarms", "reason"),
		newAct(r, "false", "false", "say that there was nothing", "reason"),
		newAct(r, "out-of-service", "out-of-service", "take alarms out of service", "reason"),
		newAct(r, "return-to-service", "return-to-service", "return alarms to service", "reason"),
	)
}

// actFlags are what an act may need, by flag: the key in the request and the help.
var actFlags = map[string]struct{ key, help string }{
	"note": {"note", "what was seen or done"}, "reason": {"reason", "why"}, "for": {"for", "how long, such as 30m"},
	"department": {"department", "whom to assign to"}, "person": {"person", "who of the department"}, "due": {"due", "when it is to be done, 2026-11-22T08:00:00+07:00"},
}

// newAct is a command that does one thing to one alarm or to many.
func newAct(r *remote, use, act, short string, flags ...string) *cobra.Command {
	texts := map[string]*string{}
	var isFalse bool
	var changes int
	c := &cobra.Command{
		Use: use + " ID…", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for name, value := range texts {
				if *value != "" {
					body[actFlags[name].key] = *value
				}
			}
			if isFalse {
				body["falseAlarm"] = true
			}
			if changes > 0 {
				body["changes"] = changes
			}
			if len(args) == 1 {
				return r.print(cmd, http.MethodPost, "/v1/alarms/"+url.PathEscape(args[0])+"/"+act, nil, body, printJSON)
			}
			body["act"], body["ids"] = act, args
			return r.print(cmd, http.MethodPost, "/v1/alarms/acts", nil, body, table("results", "status", "id", "detail"))
		},
	}
	for _, name := range flags {
		if name == "false-alarm" {
			c.Flags().BoolVar(&isFalse, name, false, "there was nothing")
			continue
		}
		texts[name] = c.Flags().String(name, "", actFlags[name].help)
	}
	c.Flags().IntVar(&changes, "changes", 0, "refuse when the alarm has changed since it had this many changes")
	return c
}

func newLog(r *remote) *cobra.Command {
	var alarm, device string
	var corrects, limit int
	add := &cobra.Command{
		Use: "add TEXT", Short: "write into the shift log", Args: cobra.ExactArgs(1),
		Example: "  vonglau log add \"Đã gọi điện lực, 20 phút nữa có điện\" --alarm power-out.pm-3.mr1eepc0",
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"text": args[0]}
			if alarm != "" {
				body["alarm"] = alarm
			}
			if device != "" {
				body["device"] = device
			}
			if corrects > 0 {
				body["corrects"] = corrects
			}
			return r.print(cmd, http.MethodPost, "/v1/log", nil, body, printJSON)
		},
	}
	add.Flags().StringVar(&alarm, "alarm", "", "the alarm it is about")
	add.Flags().StringVar(&device, "device", "", "the device it is about")
	add.Flags().IntVar(&corrects, "corrects", 0, "the number of the entry that this one puts right")
	list := &cobra.Command{
		Use: "list", Short: "print the shift log, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if alarm != "" {
				query.Set("alarm", alarm)
			}
			if device != "" {
				query.Set("device", device)
			}
			return r.print(cmd, http.MethodGet, "/v1/log", query, nil, table("entries", "n", "at", "kind", "text", "alarm", "device"))
		},
	}
	list.Flags().StringVar(&alarm, "alarm", "", "about this alarm only")
	list.Flags().StringVar(&device, "device", "", "about this device only")
	list.Flags().IntVar(&limit, "limit", 50, "how many")
	turn := func(name string) *cobra.Command {
		return &cobra.Command{
			Use: name + " [TEXT]", Short: fmt.Sprintf("%s your shift", name), Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				body := map[string]any{}
				if len(args) == 1 {
					body["text"] = args[0]
				}
				return r.print(cmd, http.MethodPost, "/v1/shift/"+name, nil, body, printJSON)
			},
		}
	}
	return group("log", "the shift log, and who is on shift", add, list, turn("begin"), turn("end"))
}
