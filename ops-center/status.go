package opscenter

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

type refusalsInput struct {
	Device string `query:"device" maxLength:"64"`
	Reason string `query:"reason" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"100"`
}

type refusalsOutput struct {
	Body struct {
		Refusals []refusalView `json:"refusals" doc:"The newest first"`
		Total    int           `json:"total" doc:"Of a device: how many are kept of it, whatever the reason; else how many are listed"`
	}
}

type refusalView struct {
	At      time.Time      `json:"at"`
	Reason  devices.Reason `json:"reason"`
	Retry   bool           `json:"retry" doc:"The same bytes may be taken later"`
	Device  devices.ID     `json:"device,omitempty" doc:"As claimed"`
	Via     string         `json:"via"`
	From    string         `json:"from,omitempty"`
	Detail  string         `json:"detail,omitempty"`
	Kept    bool           `json:"kept" doc:"The rest of the message was stored all the same"`
	Payload []byte         `json:"payload,omitempty" doc:"The first bytes of what was sent"`
	Text    string         `json:"text,omitempty" doc:"The same, where it is text"`
}

type statusOutput struct{ Body any }

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

type readyOutput struct {
	Status int
	Body   readyView
}

type readyView struct {
	Ready bool              `json:"ready"`
	Parts map[string]string `json:"parts"`
}

func (a *api) statusRoutes() {
	route(a, access.Public, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{"operation"},
		Summary: "The process runs",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		out := &healthOutput{}
		out.Body.Status = "ok"
		return out, nil
	})
	route(a, access.Public, huma.Operation{
		OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Tags: []string{"operation"},
		Summary: "Readings are taken in", Description: "503 while they are not, with the state of each part.",
	}, func(context.Context, *struct{}) (*readyOutput, error) {
		r := a.Ready()
		out := &readyOutput{Status: http.StatusOK, Body: readyView(r)}
		if out.Body.Parts == nil {
			out.Body.Parts = map[string]string{}
		}
		if !r.Ready {
			out.Status = http.StatusServiceUnavailable
		}
		return out, nil
	})
	route(a, access.ViewStatus, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status", Tags: []string{"operation"},
		Summary: "The state of every part of the server",
	}, func(context.Context, *struct{}) (*statusOutput, error) {
		if a.Status == nil {
			return nil, absent("status")
		}
		return &statusOutput{a.Status()}, nil
	})
	route(a, access.Operate, huma.Operation{
		OperationID: "resume-journal", Method: http.MethodPost, Path: "/v1/journal/resume", Tags: []string{"operation"},
		Summary:     "Take in readings again after a failed sync",
		Description: "For an operator who has seen why the disk failed. Nothing is acknowledged after a failed sync until this is called.",
	}, a.resume)
	route(a, access.ViewEvidence, huma.Operation{
		OperationID: "list-refusals", Method: http.MethodGet, Path: "/v1/refusals", Tags: []string{"operation"},
		Summary: "What devices sent that was not taken, and why",
	}, a.listRefusals)
	a.raw(access.View, huma.Operation{
		OperationID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"operation"},
		Summary: "This description", Responses: map[string]*huma.Response{"200": {Description: "OpenAPI 3.1"}},
	}, a.compress(http.HandlerFunc(a.description)))
}

func (a *api) listRefusals(_ context.Context, in *refusalsInput) (*refusalsOutput, error) {
	if a.Refusals == nil {
		return nil, absent("the record of refusals")
	}
	out := &refusalsOutput{}
	out.Body.Refusals = []refusalView{}
	for _, r := range a.Refusals.Newest(devices.ID(in.Device), devices.Reason(in.Reason), in.Limit) {
		v := refusalView{
			At: r.At.UTC(), Reason: r.Reason, Retry: r.Reason.Retry(), Device: r.Device, Via: r.Via.String(),
			Detail: r.Detail, Kept: r.Kept, Payload: r.Payload,
		}
		if r.From.IsValid() {
			v.From = r.From.String()
		}
		if len(r.Payload) > 0 && utf8.Valid(r.Payload) {
			v.Text = string(r.Payload)
		}
		out.Body.Refusals = append(out.Body.Refusals, v)
	}
	out.Body.Total = len(out.Body.Refusals)
	if in.Device != "" {
		out.Body.Total = a.Refusals.Count(devices.ID(in.Device))
	}
	return out, nil
}

type resumeOutput struct {
	Body struct {
		Resumed bool `json:"resumed"`
	}
}

func (a *api) resume(ctx context.Context, _ *struct{}) (*resumeOutput, error) {
	if a.Resume == nil {
		return nil, absent("the journal")
	}
	who, _ := access.From(ctx)
	if err := a.Resume(ctx); err != nil {
		a.Log.Error("journal not resumed", "role", string(who.Role), "err", err)
		return nil, &huma.ErrorModel{Title: "journal not resumed", Status: http.StatusConflict, Detail: err.Error()}
	}
	a.Log.Warn("journal resumed", "role", string(who.Role))
	a.changed(ctx, "journal.resume", "journal", nil, nil)
	out := &resumeOutput{}
	out.Body.Resumed = true
	return out, nil
}

func (a *api) description(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		a.Log.Error("the API's description could not be encoded", "err", err)
		problem(w, http.StatusInternalServerError, "", "the description could not be encoded; the server's log has the cause")
		return
	}
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
	_, _ = w.Write(b)
}
