package opscenter

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/campaign"
)

// Images is what the API asks of the store of firmware.
type Images interface {
	Add(ctx context.Context, profile, version string, r io.Reader) (devices.Firmware, error)
	List() []devices.Firmware
	PublicKey() ed25519.PublicKey
}

// campaignView is a campaign as people see it.
type campaignView struct {
	ID          string                      `json:"id"`
	Image       string                      `json:"image"`
	Rings       []campaign.Ring             `json:"rings"`
	MaxFailures float64                     `json:"maxFailures" doc:"Percent of a ring"`
	Soak        string                      `json:"soak"`
	Patience    string                      `json:"patience"`
	Parallel    int                         `json:"parallel"`
	State       campaign.State              `json:"state" enum:"draft,running,paused,stopped,aborted,completed"`
	Reason      string                      `json:"reason,omitempty"`
	By          string                      `json:"by" personal:"name" doc:"Who created it, or changed its state last"`
	Ring        int                         `json:"ring" doc:"The ring at work, from 1"`
	Counts      []map[campaign.Progress]int `json:"counts" doc:"Devices of each ring by state"`
	Created     time.Time                   `json:"created"`
	Changed     time.Time                   `json:"changed"`
	Devices     []*campaign.Device          `json:"devices,omitempty"`
}

func viewCampaign(c campaign.Campaign, whole bool) campaignView {
	v := campaignView{
		ID: c.ID, Image: c.Image, Rings: c.Rings, MaxFailures: c.MaxFailures, Soak: c.Soak.String(), Patience: c.Patience.String(),
		Parallel: c.Parallel, State: c.State, Reason: c.Reason, By: c.By, Ring: c.Ring + 1, Counts: c.Counts(), Created: c.Created, Changed: c.Changed,
	}
	if whole {
		v.Devices = c.Devices
	}
	return v
}

type newCampaignInput struct {
	Body struct {
		Image       string          `json:"image" maxLength:"128"`
		Rings       []campaign.Ring `json:"rings,omitempty" doc:"1, 10 and 100 percent when absent; percentages are of all devices so far"`
		MaxFailures float64         `json:"maxFailures,omitempty" minimum:"0" maximum:"100" doc:"Percent of a ring that may fail, roll back or fall silent"`
		Soak        string          `json:"soak,omitempty" default:"1h" doc:"How long a settled ring is watched before the next"`
		Patience    string          `json:"patience,omitempty" default:"24h" doc:"How long a device may take"`
		Parallel    int             `json:"parallel,omitempty" minimum:"1" maximum:"10000" default:"100"`
		Start       bool            `json:"start,omitempty"`
	}
}

type campaignInput struct {
	ID string `path:"id" maxLength:"64"`
}

type changeCampaignInput struct {
	ID     string `path:"id" maxLength:"64"`
	Action string `path:"action" enum:"start,pause,resume,abort"`
	Body   *struct {
		Reason string `json:"reason,omitempty" maxLength:"500"`
	}
}

type campaignOutput struct{ Body campaignView }

type campaignsInput struct {
	Device string `query:"device" maxLength:"64" doc:"Only campaigns that it is part of, each with this device alone"`
}

type campaignsOutput struct {
	Body struct {
		Campaigns []campaignView `json:"campaigns"`
	}
}

type firmwareListOutput struct {
	Body struct {
		Firmware []devices.Firmware `json:"firmware"`
		Key      string             `json:"key" doc:"The public key they are signed by, in PEM"`
	}
}

func (a *api) firmwareRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "list-firmware", Method: http.MethodGet, Path: "/v1/firmware", Tags: []string{"firmware"},
		Summary: "Firmware images and the key they are signed by",
	}, a.listFirmware)
	param := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Required: true, Description: doc, Schema: &huma.Schema{Type: "string"}}
	}
	a.raw(access.ManageFirmware, huma.Operation{
		OperationID: "add-firmware", Method: http.MethodPost, Path: "/v1/firmware", Tags: []string{"firmware"},
		Summary: "Sign and keep an image", Parameters: []*huma.Param{param("profile", "Whose devices it is for"), param("version", "Its version, which never means another image")},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {}}},
		Responses: map[string]*huma.Response{
			"201": {Description: "The manifest"}, "409": {Description: "The version is another image"}, "422": {Description: "The image is not taken"},
		},
	}, http.HandlerFunc(a.addFirmware))
	route(a, access.View, huma.Operation{
		OperationID: "list-campaigns", Method: http.MethodGet, Path: "/v1/campaigns", Tags: []string{"firmware"},
		Summary: "Firmware campaigns, the newest first",
	}, func(_ context.Context, in *campaignsInput) (*campaignsOutput, error) {
		if a.Campaigns == nil {
			return nil, absent("firmware")
		}
		out := &campaignsOutput{}
		out.Body.Campaigns = []campaignView{}
		for _, c := range a.Campaigns.List() {
			v := viewCampaign(c, false)
			if in.Device != "" {
				i := slices.IndexFunc(c.Devices, func(d *campaign.Device) bool { return string(d.ID) == in.Device })
				if i < 0 {
					continue
				}
				v.Devices = c.Devices[i : i+1]
			}
			out.Body.Campaigns = append(out.Body.Campaigns, v)
		}
		return out, nil
	})
	route(a, access.View, huma.Operation{
		OperationID: "get-campaign", Method: http.MethodGet, Path: "/v1/campaigns/{id}", Tags: []string{"firmware"},
		Summary: "A campaign with the state of each of its devices",
	}, func(_ context.Context, in *campaignInput) (*campaignOutput, error) {
		if a.Campaigns == nil {
			return nil, absent("firmware")
		}
		return a.campaignAnswer(a.Campaigns.Get(in.ID))
	})
	route(a, access.ManageFirmware, huma.Operation{
		OperationID: "create-campaign", Method: http.MethodPost, Path: "/v1/campaigns", Tags: []string{"firmware"},
		Summary: "Plan a campaign, and begin it when start is true", DefaultStatus: http.StatusCreated,
	}, a.createCampaign)
	route(a, access.ManageFirmware, huma.Operation{
		OperationID: "change-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/{action}", Tags: []string{"firmware"},
		Summary: "Start, pause, resume or abort a campaign",
	}, a.changeCampaign)
}

func (a *api) listFirmware(context.Context, *struct{}) (*firmwareListOutput, error) {
	if a.Images == nil {
		return nil, absent("firmware")
	}
	out := &firmwareListOutput{}
	if out.Body.Firmware = a.Images.List(); out.Body.Firmware == nil {
		out.Body.Firmware = []devices.Firmware{}
	}
	der, err := x509.MarshalPKIXPublicKey(a.Images.PublicKey())
	if err != nil {
		return nil, err
	}
	out.Body.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return out, nil
}

func (a *api) addFirmware(w http.ResponseWriter, r *http.Request) {
	if a.Images == nil {
		problem(w, http.StatusNotImplemented, "", "firmware is not part of this server")
		return
	}
	rc := http.NewResponseController(w)
	body := patient{r.Body, func() { _ = rc.SetReadDeadline(time.Now().Add(importPatience)) }}
	f, err := a.Images.Add(r.Context(), r.URL.Query().Get("profile"), r.URL.Query().Get("version"), body)
	_ = rc.SetWriteDeadline(time.Now().Add(answerPatience))
	switch {
	case err == nil:
		a.changed(r.Context(), "firmware.add", f.Name, nil, map[string]any{"profile": f.Profile, "version": f.Version, "size": f.Size, "sha256": f.SHA256})
		answer(w, http.StatusCreated, f)
	case errors.Is(err, devices.ErrHasFirmware):
		problem(w, http.StatusConflict, "firmware not added", err.Error())
	case errors.Is(err, devices.ErrBadFirmware):
		problem(w, http.StatusUnprocessableEntity, "firmware not added", err.Error())
	default:
		a.Log.Error("firmware not added", "error", err)
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "firmware not added", "it could not be stored; try again")
	}
}

func (a *api) createCampaign(ctx context.Context, in *newCampaignInput) (*campaignOutput, error) {
	if a.Campaigns == nil {
		return nil, absent("firmware")
	}
	b := in.Body
	s := campaign.Spec{Image: b.Image, Rings: b.Rings, MaxFailures: b.MaxFailures, Parallel: b.Parallel}
	for field, into := range map[string]*time.Duration{"soak": &s.Soak, "patience": &s.Patience} {
		text := map[string]string{"soak": b.Soak, "patience": b.Patience}[field]
		var err error
		if *into, err = time.ParseDuration(text); err != nil {
			return nil, huma.Error422UnprocessableEntity(field+" cannot be read", &huma.ErrorDetail{Location: "body." + field, Message: "want a duration such as 2h", Value: text})
		}
	}
	who, _ := access.From(ctx)
	c, err := a.Campaigns.Create(ctx, s, who.Name)
	if err == nil && b.Start {
		c, err = a.Campaigns.Start(ctx, c.ID, who.Name)
	}
	if err == nil {
		a.changed(ctx, "campaign.create", c.ID, nil, viewCampaign(c, false))
	}
	return a.campaignAnswer(c, err)
}

func (a *api) changeCampaign(ctx context.Context, in *changeCampaignInput) (*campaignOutput, error) {
	if a.Campaigns == nil {
		return nil, absent("firmware")
	}
	who, _ := access.From(ctx)
	reason := ""
	if in.Body != nil {
		reason = norm.NFC.String(in.Body.Reason)
	}
	var before any
	if was, err := a.Campaigns.Get(in.ID); err == nil {
		before = viewCampaign(was, false)
	}
	var c campaign.Campaign
	var err error
	switch in.Action {
	case "start", "resume":
		c, err = a.Campaigns.Start(ctx, in.ID, who.Name)
	case "pause":
		c, err = a.Campaigns.Pause(ctx, in.ID, who.Name)
	default:
		c, err = a.Campaigns.Abort(ctx, in.ID, who.Name, reason)
	}
	if err == nil {
		a.changed(ctx, "campaign."+in.Action, c.ID, before, viewCampaign(c, false))
	}
	return a.campaignAnswer(c, err)
}

func (a *api) campaignAnswer(c campaign.Campaign, err error) (*campaignOutput, error) {
	switch {
	case err == nil:
		return &campaignOutput{viewCampaign(c, true)}, nil
	case errors.Is(err, campaign.ErrNone):
		return nil, huma.Error404NotFound(err.Error())
	case errors.Is(err, campaign.ErrState):
		return nil, huma.Error409Conflict(err.Error())
	case errors.Is(err, campaign.ErrSpec):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	a.Log.Error("firmware campaign not changed", "error", err)
	return nil, unavailable("campaign not changed", errors.New("it could not be recorded; try again"))
}
