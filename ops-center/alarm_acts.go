package opscenter

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// alarmAct is what a person can do to an alarm: the last part of the address and
// the act in a bulk request.
type alarmAct struct {
	event   alert.Event
	needs   access.Permission
	summary string
}

var alarmActs = map[string]alarmAct{
	"acknowledge":       {alert.Ack, access.HandleAlarms, "Say that somebody has seen an alarm"},
	"claim":             {alert.Hold, access.HandleAlarms, "Work on an alarm: nobody else acts on it for a while; again to go on"},
	"release":           {alert.LetGo, access.HandleAlarms, "Let a claimed alarm go"},
	"comment":           {alert.Say, access.HandleAlarms, "Say something about an alarm, open or closed"},
	"assign":            {alert.Assign, access.HandleAlarms, "Give an alarm to a department"},
	"accept":            {alert.Accept, access.HandleAlarms, "Accept an alarm for the department it is assigned to"},
	"return":            {alert.Decline, access.HandleAlarms, "Return an assigned alarm, with a reason"},
	"false":             {alert.MarkFalse, access.HandleAlarms, "Say that there was nothing, of an alarm open or closed"},
	"shelve":            {alert.Shelve, access.ShelveAlarms, "Put an alarm aside for a time, with a reason"},
	"unshelve":          {alert.Unshelve, access.ShelveAlarms, "Bring a shelved alarm back"},
	"out-of-service":    {alert.Remove, access.ServiceAlarms, "Take an alarm out of service until it is returned, with a reason"},
	"return-to-service": {alert.Restore, access.ServiceAlarms, "Return an alarm to service"},
}

// ActDetails are what an act may need; each takes what is its own.
type ActDetails struct {
	Note       string    `json:"note,omitempty" maxLength:"2000" doc:"The reason, the comment, or what was seen or done"`
	Reason     string    `json:"reason,omitempty" maxLength:"2000" doc:"The same as note"`
	For        string    `json:"for,omitempty" maxLength:"40" doc:"How long to shelve: 30m, 2h, PT15M" example:"30m"`
	Department string    `json:"department,omitempty" maxLength:"200" doc:"Whom to assign to"`
	Person     string    `json:"person,omitempty" maxLength:"200"`
	Due        time.Time `json:"due,omitempty" required:"false" doc:"When the department is to have acted"`
	False      bool      `json:"falseAlarm,omitempty" doc:"With an acknowledgement: there was nothing"`
	Changes    int       `json:"changes,omitempty" minimum:"0" doc:"The alarm's count of changes as it was seen; the act is refused when something happened since"`
	OnBehalfOf string    `json:"onBehalfOf,omitempty" maxLength:"200" doc:"Who asked for it, when it was not the caller's own idea"`
}

type actInput struct {
	ID      string `path:"id" maxLength:"256"`
	IfMatch string `header:"If-Match" maxLength:"40" doc:"The same as changes, as an entity tag"`
	Body    *ActDetails
}

type bulkInput struct {
	Body struct {
		Act string   `json:"act" enum:"acknowledge,claim,release,comment,assign,accept,return,false,shelve,unshelve,out-of-service,return-to-service"`
		IDs []string `json:"ids" minItems:"1" maxItems:"1000"`
		ActDetails
	}
}

type bulkResult struct {
	ID     string       `json:"id"`
	Status int          `json:"status" doc:"What the act alone would have been answered with"`
	Detail string       `json:"detail,omitempty"`
	Alarm  *alert.Alarm `json:"alarm,omitempty"`
}

type bulkOutput struct {
	Body struct {
		Results []bulkResult `json:"results"`
		Done    int          `json:"done"`
		Refused int          `json:"refused"`
	}
}

func (a *api) alarmActRoutes() {
	for name, act := range alarmActs {
		route(a, act.needs, huma.Operation{
			OperationID: strings.ReplaceAll(name, "-", "_") + "-alarm", Method: http.MethodPost, Path: "/v1/alarms/{id}/" + name, Tags: []string{"alarms"},
			Summary: act.summary,
			Description: "409 with the alarm as it is now when somebody else was first, holds the alarm, or something changed since `changes`. " +
				"An act that the caller has done already is answered with the alarm and changes nothing.",
		}, func(ctx context.Context, in *actInput) (*alarmOutput, error) {
			al, err := a.act(ctx, name, in.ID, in.Body, in.IfMatch)
			if err != nil {
				return nil, err
			}
			return &alarmOutput{al}, nil
		})
	}
	route(a, access.HandleAlarms, huma.Operation{
		OperationID: "act-on-alarms", Method: http.MethodPost, Path: "/v1/alarms/acts", Tags: []string{"alarms"},
		Summary: "Do one thing to many alarms", Description: "Each alarm has a result of its own; one that is refused stops no other.",
	}, a.actOnMany)
}

func (a *api) actOnMany(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	if a.Alarms == nil {
		return nil, absent("alarms")
	}
	who, _ := access.From(ctx)
	if need := alarmActs[in.Body.Act].needs; !who.May(need) {
		what := "role " + string(who.Role)
		if who.Role.May(need) {
			what = "the token"
		}
		return nil, huma.Error403Forbidden(what + " may not: " + string(need))
	}
	out := &bulkOutput{}
	out.Body.Results = []bulkResult{}
	for _, id := range in.Body.IDs {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		details := in.Body.ActDetails
		al, err := a.act(ctx, in.Body.Act, id, &details, "")
		r := bulkResult{ID: id, Status: http.StatusOK}
		var problem huma.StatusError
		var moved *conflict
		switch {
		case err == nil:
			r.Alarm = &al
			out.Body.Done++
		case errors.As(err, &moved):
			r.Status, r.Detail, r.Alarm = http.StatusConflict, moved.Detail, &moved.Alarm
		case errors.As(err, &problem):
			r.Status, r.Detail = problem.GetStatus(), problem.Error()
		default:
			r.Status, r.Detail = http.StatusInternalServerError, "it could not be done"
		}
		if err != nil {
			out.Body.Refused++
		}
		out.Body.Results = append(out.Body.Results, r)
	}
	return out, nil
}

// act does one thing to one alarm.
func (a *api) act(ctx context.Context, name, id string, d *ActDetails, ifMatch string) (alert.Alarm, error) {
	if a.Alarms == nil {
		return alert.Alarm{}, absent("alarms")
	}
	if err := a.mine(ctx, id); err != nil {
		return alert.Alarm{}, err
	}
	if d == nil {
		d = &ActDetails{}
	}
	text := d.Note
	if text == "" {
		text = d.Reason
	}
	act := alert.Act{
		Event: alarmActs[name].event, Note: norm.NFC.String(text), Department: norm.NFC.String(strings.TrimSpace(d.Department)), Person: norm.NFC.String(d.Person),
		Due: d.Due, False: d.False, Changes: d.Changes,
	}
	if d.For != "" {
		long, err := parseDuration(d.For)
		if err != nil {
			return alert.Alarm{}, huma.Error422UnprocessableEntity("for cannot be read", &huma.ErrorDetail{Location: "body.for", Message: err.Error(), Value: d.For})
		}
		act.For = long
	}
	if ifMatch != "" && ifMatch != "*" {
		n, err := strconv.Atoi(strings.Trim(ifMatch, `"`))
		if err != nil || n < 1 {
			return alert.Alarm{}, huma.Error422UnprocessableEntity("If-Match cannot be read", &huma.ErrorDetail{Location: "header.If-Match", Message: "want the alarm's count of changes, quoted", Value: ifMatch})
		}
		act.Changes = n
	}
	who := actor(ctx)
	who.For = norm.NFC.String(d.OnBehalfOf)
	before := a.openAlarm(id)
	al, err := a.Alarms.Act(ctx, id, who, act)
	if err == nil {
		a.changed(ctx, "alarm."+name, id, before, map[string]any{"state": al.State, "changes": al.Changes, "note": act.Note, "for": d.For, "department": act.Department})
		return al, nil
	}
	return al, a.actProblem(name, id, err)
}

// openAlarm is what the record keeps of an open alarm before an act; nil for one
// that is closed.
func (a *api) openAlarm(id string) any {
	if a.Life != nil {
		if al, open := a.Life.Get(id); open {
			return map[string]any{"state": al.State, "changes": al.Changes}
		}
		return nil
	}
	list := a.Alarms.List()
	if i := slices.IndexFunc(list, func(al alert.Alarm) bool { return al.ID == id }); i >= 0 {
		return map[string]any{"state": list[i].State, "changes": list[i].Changes}
	}
	return nil
}

// actProblem is the answer to an act that was not done.
func (a *api) actProblem(name, id string, err error) error {
	var moved *alert.Conflict
	var bad *alert.BadAct
	switch {
	case errors.As(err, &moved):
		return &conflict{huma.ErrorModel{Title: "somebody was first", Status: http.StatusConflict, Detail: moved.Error()}, moved.Alarm}
	case errors.As(err, &bad):
		return badAct(bad)
	case errors.Is(err, alert.ErrNoAlarm), errors.Is(err, alert.ErrNoPlan), errors.Is(err, alert.ErrNoEntry):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, alert.ErrOnShift), errors.Is(err, alert.ErrOffShift):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, context.Canceled):
		// Whoever asked has closed the page: that is no fault of ours, and nobody reads the answer.
		a.Log.Debug("an act was given up", "act", name, "object", id)
		return unavailable(name+" was not done", errors.New("the request was given up"))
	}
	a.Log.Error("an act was not done", "act", name, "object", id, "err", err)
	return unavailable(name+" was not done", errors.New("it could not be recorded; try again"))
}

// badAct is the answer to an act that can never be done as it is.
func badAct(bad *alert.BadAct) error {
	p := &huma.ErrorModel{Title: "not done: " + strings.ReplaceAll(bad.Code, "_", " "), Status: http.StatusUnprocessableEntity, Detail: bad.Detail, Type: "urn:vonglau:problem:" + bad.Code}
	if bad.Forbidden {
		p.Status = http.StatusForbidden
	}
	if bad.Field != "" {
		p.Errors = []*huma.ErrorDetail{{Location: "body." + bad.Field, Message: bad.Detail}}
	}
	return p
}
