package opscenter

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// Alarms is what the API asks of the alarm engine. *alert.Alarms is one.
type Alarms interface {
	// List gives the open alarms.
	List() []alert.Alarm
	Acknowledge(ctx context.Context, id string, who alert.Actor, note string) (alert.Alarm, error)
	// Rules gives the rules in force, Apply replaces them by those of a file.
	Rules() []alert.Rule
	Apply(ctx context.Context, source []byte) error
}

type alarmsInput struct {
	State    string `query:"state" enum:"unacknowledged,acknowledged,returned,normal,shelved,suppressed,out_of_service"`
	Priority int    `query:"priority" minimum:"1" maximum:"4" doc:"This priority and worse"`
	Device   string `query:"device" maxLength:"64"`
}

type alarmsOutput struct {
	Body struct {
		Alarms []alert.Alarm `json:"alarms"`
	}
}

type alarmOutput struct{ Body alert.Alarm }

type acknowledgeInput struct {
	ID   string `path:"id" maxLength:"256"`
	Body *struct {
		Note string `json:"note,omitempty" maxLength:"2000" doc:"What was seen or done"`
	}
}

type rulesInput struct {
	RawBody []byte `contentType:"application/yaml"`
}

type rulesOutput struct {
	Body struct {
		Rules []alert.Rule `json:"rules"`
	}
}

// maxRuleFile bounds a rule file in bytes.
const maxRuleFile = 4 << 20

func (a *api) alarmRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "list-alarms", Method: http.MethodGet, Path: "/v1/alarms", Tags: []string{"alarms"},
		Summary: "Open alarms, the worst and newest first",
	}, a.listAlarms)
	route(a, access.HandleAlarms, huma.Operation{
		OperationID: "acknowledge-alarm", Method: http.MethodPost, Path: "/v1/alarms/{id}/acknowledge", Tags: []string{"alarms"},
		Summary:     "Say that somebody has seen an alarm",
		Description: "409 with the alarm as it is when somebody else was first.",
	}, a.acknowledge)
	route(a, access.View, huma.Operation{
		OperationID: "list-rules", Method: http.MethodGet, Path: "/v1/rules", Tags: []string{"alarms"},
		Summary: "The rules in force",
	}, func(context.Context, *struct{}) (*rulesOutput, error) {
		if a.Alarms == nil {
			return nil, absent("alarms")
		}
		return rulesAnswer(a.Alarms.Rules()), nil
	})
	route(a, access.ManageRules, huma.Operation{
		OperationID: "put-rules", Method: http.MethodPut, Path: "/v1/rules", Tags: []string{"alarms"},
		Summary: "Put a file of rules in force, in place of those before", MaxBodyBytes: maxRuleFile,
	}, a.putRules)
}

func rulesAnswer(list []alert.Rule) *rulesOutput {
	out := &rulesOutput{}
	if out.Body.Rules = list; list == nil {
		out.Body.Rules = []alert.Rule{}
	}
	return out
}

func (a *api) listAlarms(ctx context.Context, in *alarmsInput) (*alarmsOutput, error) {
	if a.Alarms == nil {
		return nil, absent("alarms")
	}
	out := &alarmsOutput{}
	out.Body.Alarms = []alert.Alarm{}
	who, _ := access.From(ctx)
	for _, al := range a.Alarms.List() {
		if a.sees(who, &al) && (in.State == "" || string(al.State) == in.State) && (in.Priority == 0 || al.Priority <= in.Priority) &&
			(in.Device == "" || string(al.Device) == in.Device) {
			out.Body.Alarms = append(out.Body.Alarms, al)
		}
	}
	return out, nil
}

// actor is who acts, for the record.
func actor(ctx context.Context) alert.Actor {
	who, _ := access.From(ctx)
	return alert.Actor{Name: who.Name, Role: string(who.Role)}
}

// conflict is a problem with the alarm as it is now.
type conflict struct {
	huma.ErrorModel
	Alarm alert.Alarm `json:"alarm"`
}

func (a *api) acknowledge(ctx context.Context, in *acknowledgeInput) (*alarmOutput, error) {
	if a.Alarms == nil {
		return nil, absent("alarms")
	}
	if err := a.mine(ctx, in.ID); err != nil {
		return nil, err
	}
	note := ""
	if in.Body != nil {
		note = norm.NFC.String(in.Body.Note)
	}
	al, err := a.Alarms.Acknowledge(ctx, in.ID, actor(ctx), note)
	var moved *alert.Conflict
	switch {
	case err == nil:
		return &alarmOutput{al}, nil
	case errors.As(err, &moved):
		return nil, &conflict{huma.ErrorModel{Title: "somebody was first", Status: http.StatusConflict, Detail: moved.Error()}, moved.Alarm}
	case errors.Is(err, alert.ErrNoAlarm):
		return nil, huma.Error404NotFound(err.Error())
	}
	a.Log.Error("alarm not acknowledged", "alarm", in.ID, "err", err)
	return nil, unavailable("alarm not acknowledged", errors.New("it could not be recorded; try again"))
}

func (a *api) putRules(ctx context.Context, in *rulesInput) (*rulesOutput, error) {
	if a.Alarms == nil {
		return nil, absent("alarms")
	}
	if _, err := alert.ParseRules(in.RawBody, a.Catalogue); err != nil {
		return nil, &huma.ErrorModel{Title: "rules not applied", Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	}
	if err := a.Alarms.Apply(ctx, in.RawBody); err != nil {
		a.Log.Error("rules not applied", "by", actor(ctx).Name, "err", err)
		return nil, unavailable("rules not applied", errors.New("they could not be kept; try again"))
	}
	rules := a.Alarms.Rules()
	a.Log.Info("rules applied", "count", len(rules), "by", actor(ctx).Name)
	return rulesAnswer(rules), nil
}
