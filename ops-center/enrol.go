package opscenter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// claimView is a claim code, which is not shown again.
type claimView struct {
	Claim        string     `json:"claim,omitempty" doc:"One-time code for POST /v1/enrol; shown this once"`
	ClaimExpires *time.Time `json:"claimExpires,omitempty"`
}

type newClaimInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		TTL string `json:"ttl,omitempty" doc:"How long it counts; 720h when left out" example:"720h"`
	}
}

type newClaimOutput struct {
	Body claimView
}

type newGroupInput struct {
	Body struct {
		Name    string    `json:"name" maxLength:"64"`
		Profile string    `json:"profile"`
		Prefix  string    `json:"prefix,omitempty" doc:"What the ids its devices choose begin with; NAME- when left out"`
		Site    string    `json:"site,omitempty"`
		Owner   string    `json:"owner,omitempty" doc:"Department"`
		Secret  string    `json:"secret,omitempty" doc:"One the devices have already; made when left out"`
		Max     int       `json:"max,omitempty" minimum:"1" maximum:"100000" doc:"How many devices it lets in, ever; 100 when left out"`
		Until   time.Time `json:"until,omitempty" doc:"Until when it lets devices in; 30 days when left out"`
	}
}

type newGroupOutput struct {
	Body struct {
		GroupView
		Secret string `json:"secret" doc:"Shown this once"`
	}
}

type groupInput struct {
	Name string `path:"name" maxLength:"64"`
}

type groupListOutput struct {
	Body struct {
		Groups []GroupView `json:"groups"`
	}
}

// GroupView is an enrolment group as it is shown. (Huma describes embedded
// structs of exported types only.)
type GroupView struct {
	Name     string     `json:"name"`
	Profile  string     `json:"profile"`
	Prefix   string     `json:"prefix"`
	Site     string     `json:"site,omitempty"`
	Owner    string     `json:"owner,omitempty"`
	Max      int        `json:"max"`
	Enrolled int        `json:"enrolled" doc:"How many it has let in"`
	Until    time.Time  `json:"until"`
	Added    time.Time  `json:"added"`
	Revoked  *time.Time `json:"revoked,omitempty"`
	State    string     `json:"state" enum:"open,full,over,revoked"`
}

func (a *api) groupView(g devices.Group) GroupView {
	v := GroupView{
		Name: g.Name, Profile: g.Profile, Prefix: g.Prefix, Site: g.Site, Owner: g.Owner,
		Max: g.Max, Enrolled: g.Enrolled, Until: g.Until, Added: g.Added, State: "open",
	}
	switch {
	case !g.Revoked.IsZero():
		v.Revoked, v.State = &g.Revoked, "revoked"
	case !a.now().Before(g.Until):
		v.State = "over"
	case g.Enrolled >= g.Max:
		v.State = "full"
	}
	return v
}

func (a *api) enrolmentRoutes() {
	one := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"enrolment"}, Summary: summary}
	}
	claim := one("add-claim", http.MethodPost, "/v1/devices/{id}/claim", "Give a device a one-time claim code, in place of the one it had")
	claim.DefaultStatus = http.StatusCreated
	route(a, access.ManageDevices, claim, a.addClaim)
	route(a, access.ManageDevices, one("list-groups", http.MethodGet, "/v1/enrolment-groups",
		"Groups whose secret lets devices in, into quarantine"), a.listGroups)
	add := one("add-group", http.MethodPost, "/v1/enrolment-groups", "Add a group; its secret is shown this once")
	add.DefaultStatus = http.StatusCreated
	route(a, access.ManageDevices, add, a.addGroup)
	route(a, access.ManageDevices, one("revoke-group", http.MethodDelete, "/v1/enrolment-groups/{name}",
		"Let nobody in by a group any more; its devices stay as they are"), a.revokeGroup)
}

func (a *api) addClaim(ctx context.Context, in *newClaimInput) (*newClaimOutput, error) {
	if a.Enrolment == nil {
		return nil, absent("enrolment")
	}
	ttl, err := claimTTL(in.Body.TTL, "body.ttl")
	if err != nil {
		return nil, err
	}
	code, expires, err := a.Enrolment.NewClaim(ctx, devices.ID(in.ID), ttl)
	if err != nil {
		return nil, credentialProblem(err)
	}
	a.changed(ctx, "device.claim", in.ID, nil, map[string]any{"expires": expires})
	return &newClaimOutput{claimView{code, &expires}}, nil
}

func claimTTL(text, where string) (time.Duration, error) {
	if text == "" {
		return devices.DefaultClaimTTL, nil
	}
	ttl, err := time.ParseDuration(text)
	if err == nil && ttl <= 0 {
		err = errors.New("a claim code counts for a while")
	}
	if err != nil {
		return 0, huma.Error422UnprocessableEntity("the claim's time cannot be read", &huma.ErrorDetail{Location: where, Message: err.Error(), Value: text})
	}
	return ttl, nil
}

// withClaim makes a device that is being registered one that is to come.
func (a *api) withClaim(d *devices.Device, n *newDevice) (v claimView, err error) {
	if n.ClaimTTL == "" {
		return v, nil
	}
	switch {
	case a.Enrolment == nil:
		return v, absent("enrolment")
	case n.Token != "" || n.Credential != "":
		return v, errors.New("a device with a claim code gets its credential when it presents that; leave token and credential out")
	case n.State != "" && n.State != devices.Announced:
		return v, errors.New("a device with a claim code is announced until it presents that; leave state out")
	}
	ttl, err := claimTTL(n.ClaimTTL, "body.claimTTL")
	if err != nil {
		return v, err
	}
	if v.Claim, d.Entry, err = devices.NewClaim(a.now(), ttl); err != nil {
		return v, err
	}
	d.State, v.ClaimExpires = devices.Announced, &d.Entry.Expires
	return v, nil
}

func (a *api) listGroups(context.Context, *struct{}) (*groupListOutput, error) {
	if a.Enrolment == nil {
		return nil, absent("enrolment")
	}
	out := &groupListOutput{}
	out.Body.Groups = []GroupView{}
	for _, g := range a.Enrolment.Groups() {
		out.Body.Groups = append(out.Body.Groups, a.groupView(g))
	}
	return out, nil
}

func (a *api) addGroup(ctx context.Context, in *newGroupInput) (*newGroupOutput, error) {
	if a.Enrolment == nil {
		return nil, absent("enrolment")
	}
	g, secret, err := a.Enrolment.AddGroup(ctx, devices.Group{
		Name: in.Body.Name, Profile: in.Body.Profile, Prefix: in.Body.Prefix, Max: in.Body.Max, Until: in.Body.Until,
		Site: norm.NFC.String(in.Body.Site), Owner: norm.NFC.String(in.Body.Owner),
	}, in.Body.Secret)
	if err != nil {
		return nil, groupProblem(err)
	}
	a.changed(ctx, "enrolment.group.add", g.Name, nil, a.groupView(g))
	out := &newGroupOutput{}
	out.Body.GroupView, out.Body.Secret = a.groupView(g), secret
	return out, nil
}

type groupOutput struct {
	Body GroupView
}

func (a *api) revokeGroup(ctx context.Context, in *groupInput) (*groupOutput, error) {
	if a.Enrolment == nil {
		return nil, absent("enrolment")
	}
	var before any
	for _, g := range a.Enrolment.Groups() {
		if g.Name == in.Name {
			before = a.groupView(g)
		}
	}
	g, err := a.Enrolment.RevokeGroup(ctx, in.Name)
	if err != nil {
		return nil, groupProblem(err)
	}
	a.changed(ctx, "enrolment.group.revoke", in.Name, before, a.groupView(g))
	return &groupOutput{a.groupView(g)}, nil
}

func groupProblem(err error) error {
	switch {
	case errors.Is(err, devices.ErrNoGroup):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, devices.ErrGroupExists):
		return huma.Error409Conflict(err.Error())
	case isRetry(err):
		return unavailable("register not available", err)
	}
	return huma.Error422UnprocessableEntity(err.Error())
}
