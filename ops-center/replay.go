package opscenter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/audit"
	"vonglau/ops-center/live"
	"vonglau/ops-center/replay"
)

type densityInput struct {
	Span
	Buckets int `query:"buckets" minimum:"1" maximum:"1000" default:"240" doc:"Equal parts of the span"`
}

type densityOutput struct{ Body replay.Density }

// opened records who looks at what time. What a request did is on record when
// the request ends, and a socket ends when somebody closes it: this is written
// at once.
func (a *api) opened(ctx context.Context, who live.Viewer, asked replay.Asked) {
	if a.Record == nil {
		return
	}
	p := &access.Principal{ID: who.ID, Name: who.Name, Role: access.Role(who.Role), Screen: who.Screen}
	err := a.Record.Add(context.WithoutCancel(ctx), audit.Entry{
		Who: a.pseudonym(ctx, p), Act: "replay.open", Object: asked.At.UTC().Format(time.RFC3339), Outcome: audit.Done,
	})
	if err != nil {
		a.Log.Error("the opening of a replay is not on record yet", "error", err)
	}
}

// moment is the replay of a hub's id, for figures that are those of its moment.
func (a *api) moment(hub string) (replay.Moment, error) {
	if a.Replays != nil {
		if m, ok := a.Replays.Moment(hub); ok {
			return m, nil
		}
	}
	return replay.Moment{}, huma.Error404NotFound("there is no such replay; it is over")
}

// replayRoutes are the time machine: a socket like the live one, and what is
// drawn under its line of time. A replay changes nothing, but who looked at what
// time is on record.
func (a *api) replayRoutes() {
	var socket http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		live.Refuse(w, r, live.ShuttingDown, "this server has no time machine")
	})
	if a.Replays != nil {
		socket = a.Replays.Handler(a.admit, func(r *http.Request, who live.Viewer, asked replay.Asked) {
			a.opened(r.Context(), who, asked)
		})
	}
	a.raw(access.Self, huma.Operation{
		OperationID: "replay", Method: http.MethodGet, Path: "/v1/replay", Tags: []string{"live"},
		Summary: "The socket of the time machine",
		Description: "WebSocket, subprotocol vonglau.wall.v1: the wall as it was. Query: at (RFC 3339 or ms since 1970), speed (1 to 600), " +
			"paused (1), and all that /v1/live takes. Needs a token or a session and permission to view. Each is on record.",
		Parameters: []*huma.Param{
			{Name: "at", In: "query", Required: true, Description: "Where to begin: RFC 3339 or ms since 1970", Schema: &huma.Schema{Type: "string"}},
			{Name: "speed", In: "query", Description: "1 to 600", Schema: &huma.Schema{Type: "number"}},
			{Name: "paused", In: "query", Description: "1 to begin standing still", Schema: &huma.Schema{Type: "string"}},
			{Name: "display", In: "query", Description: "Whose scenes of then to be sent; nothing for the default scene", Schema: &huma.Schema{Type: "string"}},
		},
		Responses: map[string]*huma.Response{"101": {Description: "Switching protocols"}, "403": {Description: "Foreign origin"}, "426": {Description: "Not a WebSocket"}},
	}, socket)
	a.raw(access.View, huma.Operation{
		OperationID: "replay-dictionary", Method: http.MethodGet, Path: "/v1/replay/{hub}/dictionary", Tags: []string{"live"},
		Summary:    "What the indices in the frames of one replay mean",
		Parameters: []*huma.Param{{Name: "hub", In: "path", Required: true, Description: "As the replay's hello names it", Schema: &huma.Schema{Type: "string"}}},
		Responses:  map[string]*huma.Response{"200": {Description: "The dictionary, in columns"}, "304": {Description: "As before"}, "404": {Description: "That replay is over"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Replays == nil || !a.Replays.Dictionary(w, r, r.PathValue("hub")) {
			problem(w, http.StatusNotFound, "there is no such replay", "it is over; open another")
		}
	}))
	route(a, access.View, huma.Operation{
		OperationID: "replay-density", Method: http.MethodGet, Path: "/v1/replay/density", Tags: []string{"live"},
		Summary: "How many alarms were raised when, and the moments of those of priority 1",
	}, func(ctx context.Context, in *densityInput) (*densityOutput, error) {
		if a.Replays == nil {
			return nil, unavailable("no time machine", errors.New("this server keeps no past"))
		}
		from, to, err := a.parseSpan(in.From, in.To, 24*time.Hour)
		if err != nil {
			return nil, err
		}
		who, _ := access.From(ctx)
		d, err := a.Replays.Density(ctx, from, to, in.Buckets, func(alarm *alert.Alarm) bool {
			if who.Role != access.Officer {
				return true
			}
			return who.Sees(AlarmBounds(a.Register, alarm))
		})
		if err != nil {
			return nil, unavailable("the past cannot be read", err)
		}
		return &densityOutput{d}, nil
	})
}
