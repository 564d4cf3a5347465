package opscenter

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// Alarms is what the API asks of the alarm engine. *alert.Alarms is one.
type Alarms interface {
	// List gives the open alarms.
	List() []alert.Alarm
	Act(ctx context.Context, id string, who alert.Actor, act alert.Act) (alert.Alarm, error)
	// Rules gives the rules in force.
	Rules() []alert.Rule
}

type alarmOutput struct{ Body alert.Alarm }

func (a *api) alarmRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "list-alarms", Method: http.MethodGet, Path: "/v1/alarms", Tags: []string{"alarms"},
		Summary:     "Open alarms, the worst and newest first",
		Description: "Closed ones are at /v1/alarms/history. `at` gives those that were open at a time, as the walls showed them then.",
	}, a.listAlarms)
	a.alarmActRoutes()
	a.alarmLifeRoutes()
	a.shiftRoutes()
	a.figureRoutes()
}

// actor is who acts, for the record.
func actor(ctx context.Context) alert.Actor {
	who, _ := access.From(ctx)
	return alert.Actor{Name: who.Name, Role: string(who.Role), ID: who.ID, Department: who.Department}
}

// conflict is a problem with the alarm as it is now.
type conflict struct {
	huma.ErrorModel
	Alarm alert.Alarm `json:"alarm"`
}
