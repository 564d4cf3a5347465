package opscenter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// States is what the API asks of the record of devices' states.
type States interface {
	Get(device devices.ID) devices.DeviceState
	// Desire changes the desired state by a JSON merge patch (RFC 7396).
	Desire(ctx context.Context, device devices.ID, patch json.RawMessage, by string) (devices.DeviceState, error)
}

// stateView is a device's state as people see it.
type stateView struct {
	Desired         map[string]any `json:"desired" doc:"How it should be"`
	DesiredVersion  uint64         `json:"desiredVersion"`
	DesiredAt       *time.Time     `json:"desiredAt,omitempty"`
	By              string         `json:"by,omitempty" personal:"name"`
	Reported        map[string]any `json:"reported" doc:"How it says it is"`
	ReportedVersion uint64         `json:"reportedVersion"`
	ReportedAt      *time.Time     `json:"reportedAt,omitempty"`
}

type stateOutput struct{ Body stateView }

type desireInput struct {
	ID      string `path:"id" maxLength:"64"`
	RawBody []byte `contentType:"application/merge-patch+json"`
}

func viewState(s devices.DeviceState) (*stateOutput, error) {
	v := stateView{
		Desired: map[string]any{}, Reported: map[string]any{}, DesiredVersion: s.DesiredVersion, ReportedVersion: s.ReportedVersion, By: s.By,
	}
	for _, part := range []struct {
		raw  json.RawMessage
		into *map[string]any
	}{{s.Desired, &v.Desired}, {s.Reported, &v.Reported}} {
		if len(part.raw) > 0 {
			if err := json.Unmarshal(part.raw, part.into); err != nil {
				return nil, err
			}
		}
	}
	if !s.DesiredAt.IsZero() {
		v.DesiredAt = &s.DesiredAt
	}
	if !s.ReportedAt.IsZero() {
		v.ReportedAt = &s.ReportedAt
	}
	return &stateOutput{v}, nil
}

func (a *api) stateRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "get-state", Method: http.MethodGet, Path: "/v1/devices/{id}/state", Tags: []string{"commands"},
		Summary: "How a device should be, and how it says it is",
	}, func(_ context.Context, in *deviceInput) (*stateOutput, error) {
		if a.States == nil {
			return nil, absent("state")
		}
		if _, err := a.findDevice(in.ID); err != nil {
			return nil, err
		}
		return viewState(a.States.Get(devices.ID(in.ID)))
	})
	route(a, access.SendCommands, huma.Operation{
		OperationID: "desire-state", Method: http.MethodPatch, Path: "/v1/devices/{id}/state/desired", Tags: []string{"commands"},
		Summary:     "Change how a device should be",
		Description: "The body is a JSON merge patch (RFC 7396): null takes a member away. A device of a kind with dangerous commands has no desired state.",
	}, func(ctx context.Context, in *desireInput) (*stateOutput, error) {
		if a.States == nil {
			return nil, absent("state")
		}
		if _, err := a.findDevice(in.ID); err != nil {
			return nil, err
		}
		who, _ := access.From(ctx)
		before := a.States.Get(devices.ID(in.ID))
		s, err := a.States.Desire(ctx, devices.ID(in.ID), in.RawBody, who.Name)
		switch {
		case err == nil:
			a.changed(ctx, "device.desire", in.ID, before.Desired, s.Desired)
			return viewState(s)
		case errors.Is(err, devices.ErrBadState):
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		a.Log.Error("state not changed", "device", in.ID, "error", err)
		return nil, unavailable("state not changed", errors.New("it could not be recorded; try again"))
	})
}
