package opscenter

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/notify"
)

type entriesInput struct {
	From   string `query:"from" maxLength:"40"`
	To     string `query:"to" maxLength:"40"`
	Alarm  string `query:"alarm" maxLength:"256"`
	Device string `query:"device" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"2000" default:"200"`
	Before uint64 `query:"before" doc:"next of the page before"`
}

type entriesOutput struct {
	Body struct {
		Entries []alert.LogEntry `json:"entries"`
		Next    uint64           `json:"next,omitempty"`
	}
}

type entryBody struct {
	Text     string     `json:"text" minLength:"1" maxLength:"4000"`
	Alarm    string     `json:"alarm,omitempty" maxLength:"256"`
	Device   devices.ID `json:"device,omitempty" maxLength:"64"`
	Corrects uint64     `json:"corrects,omitempty" doc:"The entry that this one puts right"`
	Exercise string     `json:"exercise,omitempty" maxLength:"64" doc:"The drill it belongs to"`
}

type entryOutput struct{ Body alert.LogEntry }

type shiftInput struct {
	Body *struct {
		Text string `json:"text,omitempty" maxLength:"4000" doc:"What is taken over, or handed over"`
	}
}

type shiftOutput struct {
	Body struct {
		On []alert.Duty `json:"on"`
		// Operators is what the figures divide by: one at least.
		Operators int `json:"operators"`
	}
}

func (a *api) shiftRoutes() {
	tags := []string{"shift"}
	route(a, access.ViewDirectory, huma.Operation{
		OperationID: "list-log", Method: http.MethodGet, Path: "/v1/log", Tags: tags,
		Summary: "The shift log, the newest first",
	}, shift(a, a.listEntries))
	route(a, access.HandleAlarms, huma.Operation{
		OperationID: "add-log", Method: http.MethodPost, Path: "/v1/log", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Write into the shift log", Description: "Nothing is changed afterwards: a correction is an entry that names the one it corrects.",
	}, shift(a, func(ctx context.Context, in *struct{ Body entryBody }) (*entryOutput, error) {
		b := in.Body
		if b.Alarm != "" {
			if err := a.mine(ctx, b.Alarm); err != nil {
				return nil, err
			}
		}
		e, err := a.Shift.Add(ctx, alert.LogEntry{Text: norm.NFC.String(b.Text), Alarm: b.Alarm, Device: b.Device, Corrects: b.Corrects, Exercise: b.Exercise}, actor(ctx))
		if err != nil {
			return nil, a.actProblem("writing", "the shift log", err)
		}
		a.changed(ctx, "log.add", strconv.FormatUint(e.N, 10), nil, map[string]any{"kind": e.Kind, "corrects": e.Corrects})
		return &entryOutput{e}, nil
	}))
	route(a, access.ViewDirectory, huma.Operation{
		OperationID: "get-shift", Method: http.MethodGet, Path: "/v1/shift", Tags: tags,
		Summary: "Who is on shift",
	}, shift(a, func(context.Context, *struct{}) (*shiftOutput, error) {
		out := &shiftOutput{}
		out.Body.On = a.Shift.On(a.now())
		out.Body.Operators = max(1, len(out.Body.On))
		return out, nil
	}))
	for name, do := range map[string]func(*alert.ShiftLog, context.Context, alert.Actor, string) (alert.LogEntry, error){
		"begin": (*alert.ShiftLog).Begin, "end": (*alert.ShiftLog).End,
	} {
		route(a, access.HandleAlarms, huma.Operation{
			OperationID: name + "-shift", Method: http.MethodPost, Path: "/v1/shift/" + name, Tags: tags,
			Summary: "Say that you " + name + " your shift", Description: "The figures per operator divide by who is on shift. A shift that nobody ends is over after 16 hours.",
		}, shift(a, func(ctx context.Context, in *shiftInput) (*entryOutput, error) {
			text := ""
			if in.Body != nil {
				text = norm.NFC.String(in.Body.Text)
			}
			e, err := do(a.Shift, ctx, actor(ctx), text)
			if err != nil {
				return nil, a.actProblem(name, "shift", err)
			}
			a.changed(ctx, "shift."+name, e.By.Name, nil, map[string]any{"at": e.At})
			return &entryOutput{e}, nil
		}))
	}
}

// shift puts a handler behind the check that there is a shift log.
func shift[I, O any](a *api, h func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		if a.Shift == nil {
			return nil, absent("the shift log")
		}
		return h(ctx, in)
	}
}

// entryBounds tells which entries are the caller's business. The log is the
// operators': an officer reads what the officer's department wrote, what is about
// an alarm that the officer sees, and what is about a device of the department.
func (a *api) entryBounds(ctx context.Context) func(*alert.LogEntry) bool {
	who, _ := access.From(ctx)
	if who.Role != access.Officer {
		return func(*alert.LogEntry) bool { return true }
	}
	seen := map[string]bool{} // alarms asked for; a page names few
	return func(e *alert.LogEntry) bool {
		if e.By.ID != "" && e.By.ID == who.ID {
			return true
		}
		if who.Department != "" && notify.SameDepartment(e.By.Department, who.Department) {
			return true
		}
		if e.Alarm != "" {
			if _, ok := seen[e.Alarm]; !ok {
				seen[e.Alarm] = a.mine(ctx, e.Alarm) == nil
			}
			return seen[e.Alarm]
		}
		d, ok := a.Register.Get(e.Device)
		return ok && who.Department != "" && notify.SameDepartment(d.Owner, who.Department)
	}
}

func (a *api) listEntries(ctx context.Context, in *entriesInput) (*entriesOutput, error) {
	var from, to time.Time
	var err error
	for _, p := range []struct {
		name, value string
		to          *time.Time
	}{{"from", in.From, &from}, {"to", in.To, &to}} {
		if p.value == "" {
			continue
		}
		if *p.to, err = parseTime(p.value, a.now(), a.Calendar); err != nil {
			return nil, badParameter(p.name, p.value, err)
		}
	}
	business := a.entryBounds(ctx)
	list, err := a.Shift.Entries(ctx, in.Before, in.Limit+1, func(e *alert.LogEntry) bool {
		return business(e) && (from.IsZero() || !e.At.Before(from)) && (to.IsZero() || e.At.Before(to)) &&
			(in.Alarm == "" || in.Alarm == e.Alarm) && (in.Device == "" || in.Device == string(e.Device))
	})
	if err != nil {
		return nil, a.actProblem("reading", "the shift log", err)
	}
	out := &entriesOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = list[in.Limit-1].N
	}
	if out.Body.Entries = list; list == nil {
		out.Body.Entries = []alert.LogEntry{}
	}
	return out, nil
}
