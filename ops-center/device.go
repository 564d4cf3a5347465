package opscenter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/live"
)

// place is [lon, lat], null when it is not known.
type place *[2]float64

func placeOf(p devices.Position) place {
	if !p.Known() {
		return nil
	}
	return &[2]float64{p.Lon, p.Lat}
}

// deviceView is a device as it is shown: without what proves it.
type deviceView struct {
	ID        devices.ID        `json:"id"`
	Name      string            `json:"name"`
	Profile   string            `json:"profile"`
	At        place             `json:"at" doc:"[longitude, latitude]; of a moving device where it was last"`
	State     devices.LifeState `json:"state"`
	Upstream  devices.ID        `json:"upstream,omitempty"`
	Owner     string            `json:"owner,omitempty"`
	Site      string            `json:"site,omitempty"`
	Model     string            `json:"model,omitempty"`
	Firmware  string            `json:"firmware,omitempty"`
	Group     string            `json:"group,omitempty" doc:"The enrolment group it came by"`
	Simulated bool              `json:"simulated"`
	Exercise  string            `json:"exercise,omitempty" doc:"The drill it was made for"`
	Added     time.Time         `json:"added"`
	Severity  uint8             `json:"severity" doc:"Priority of its worst open alarm, 0 for none"`
	Presence  presenceView      `json:"presence"`
}

type presenceView struct {
	State devices.Presence `json:"state" enum:"never,online,late,silent"`
	Since *time.Time       `json:"since,omitempty" doc:"Arrival of the newest message"`
	Via   string           `json:"via,omitempty"`
	From  string           `json:"from,omitempty" doc:"The address it came from"`
	Link  *linkView        `json:"link,omitempty" doc:"The newest change of its connection"`
}

type linkView struct {
	State  string    `json:"state" enum:"unknown,online,offline"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

func (a *api) view(d *devices.Device, now time.Time) deviceView {
	v := deviceView{
		ID: d.ID, Name: d.Name, Profile: d.Profile, At: placeOf(d.At), State: d.State, Upstream: d.Upstream,
		Owner: d.Owner, Site: d.Site, Model: d.Model, Firmware: d.Firmware, Simulated: d.Simulated, Exercise: d.Exercise, Added: d.Added, Presence: presenceView{State: devices.Never},
	}
	if d.Entry != nil {
		v.Group = d.Entry.Group
	}
	p, ok := a.Hub.PresenceOf(d.ID)
	if !ok {
		if node, heard := a.offTheWall(d.ID); heard {
			v.Presence.State, v.Presence.Since, v.Presence.Via = a.freshness(d, node.Last, now), &node.Last, node.Via
		}
		return v
	}
	v.Severity = p.Severity
	if v.At == nil {
		v.At = placeOf(p.At)
	}
	v.Presence.State = a.freshness(d, p.Seen, now)
	if !p.Seen.IsZero() {
		v.Presence.Since, v.Presence.Via = &p.Seen, p.Via.String()
	}
	if p.From.IsValid() {
		v.Presence.From = p.From.String()
	}
	if p.Link != nil {
		v.Presence.Link = &linkView{State: p.Link.State.String(), At: p.Link.At, Reason: p.Link.Reason}
	}
	return v
}

// offTheWall is what the record of the network knows of a device that the wall
// does not show: quarantined, announced or retired.
func (a *api) offTheWall(id devices.ID) (devices.Node, bool) {
	if a.Network == nil {
		return devices.Node{}, false
	}
	node, heard := a.Network.Node(id)
	return node, heard && !node.Last.IsZero()
}

// freshness judges a device by when it was last heard.
func (a *api) freshness(d *devices.Device, last, now time.Time) devices.Presence {
	profile, ok := a.Catalogue.Profile(d.Profile)
	if !ok {
		return devices.Never
	}
	return profile.Presence(last, now)
}

// findDevice is the register's entry, or the problem that there is none.
func (a *api) findDevice(id string) (*devices.Device, error) {
	d, ok := a.Register.Get(devices.ID(id))
	if !ok {
		return nil, huma.Error404NotFound(fmt.Sprintf("no device %.80q is registered", id))
	}
	return d, nil
}

type deviceInput struct {
	ID string `path:"id" maxLength:"64"`
}

// newDevice is what registers a device.
type newDevice struct {
	ID        devices.ID        `json:"id"`
	Profile   string            `json:"profile"`
	At        *[2]float64       `json:"at,omitempty"`
	Name      string            `json:"name,omitempty"`
	State     devices.LifeState `json:"state,omitempty"`
	Upstream  devices.ID        `json:"upstream,omitempty"`
	Owner     string            `json:"owner,omitempty"`
	Site      string            `json:"site,omitempty"`
	Model     string            `json:"model,omitempty"`
	Firmware  string            `json:"firmware,omitempty"`
	Simulated bool              `json:"simulated,omitempty"`
	// Token is for a device whose token is fixed elsewhere; one is made when it
	// is empty.
	Token string `json:"token,omitempty"`
	// Credential is what the device is given to prove itself by.
	Credential devices.CredentialKind `json:"credential,omitempty" enum:"token,psk,x509"`
	// ClaimTTL asks for a one-time claim code in place of a credential.
	ClaimTTL string `json:"claimTTL,omitempty" doc:"Announce the device and give it a one-time claim code that counts for this time" example:"720h"`
}

// registered is what a registration answers. The secret is not shown again.
type registered struct {
	deviceView
	devices.Secret
	claimView
}

type registerInput struct {
	RawBody []byte
}

type registerOutput struct {
	Status int
	Body   any
}

// maxRegistration bounds a bulk registration in bytes: some 200,000 devices.
const maxRegistration = 64 << 20

// minDeviceToken is what a token somebody brings must have, in characters.
const minDeviceToken = 16

func (a *api) deviceRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "list-devices", Method: http.MethodGet, Path: "/v1/devices", Tags: []string{"devices"},
		Summary: "Registered devices, by id",
	}, a.listDevices)
	one := a.huma.OpenAPI().Components.Schemas.Schema(typeOf[newDevice](), true, "NewDevice")
	route(a, access.ManageDevices, huma.Operation{
		OperationID: "add-devices", Method: http.MethodPost, Path: "/v1/devices", Tags: []string{"devices"},
		Summary:     "Register a device, or an array of them",
		Description: "All of an array are registered or none. The answer holds each device's token, which is not shown again: for an array as {devices: […]}.",
		// A hundred thousand devices take a while to arrive.
		MaxBodyBytes: maxRegistration, BodyReadTimeout: 2 * time.Minute, DefaultStatus: http.StatusCreated,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
			OneOf: []*huma.Schema{one, {Type: "array", Items: one}},
		}}}},
		SkipValidateBody: true,
	}, a.addDevices)
	route(a, access.View, huma.Operation{
		OperationID: "get-device", Method: http.MethodGet, Path: "/v1/devices/{id}", Tags: []string{"devices"},
		Summary: "One device",
	}, func(_ context.Context, in *deviceInput) (*deviceOutput, error) {
		d, err := a.findDevice(in.ID)
		if err != nil {
			return nil, err
		}
		return a.record(d), nil
	})
	route(a, access.View, huma.Operation{
		OperationID: "list-profiles", Method: http.MethodGet, Path: "/v1/profiles", Tags: []string{"devices"},
		Summary: "What kinds of device there are and what they measure",
	}, a.listProfiles)
}

// addDevices registers one or many.
func (a *api) addDevices(ctx context.Context, in *registerInput) (*registerOutput, error) {
	body := bytes.TrimLeft(in.RawBody, " \t\r\n")
	many := len(body) > 0 && body[0] == '['
	var list []newDevice
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var err error
	if many {
		err = dec.Decode(&list)
	} else {
		list = make([]newDevice, 1)
		err = dec.Decode(&list[0])
	}
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else {
			err = errors.New("something follows the JSON value")
		}
	}
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("want a device or an array of devices", &huma.ErrorDetail{Location: "body", Message: err.Error()})
	}
	devs := make([]devices.Device, len(list))
	for i := range list {
		if devs[i], err = a.toDevice(&list[i]); err != nil {
			where := "body"
			if many {
				where = fmt.Sprintf("body[%d]", i)
			}
			return nil, huma.Error422UnprocessableEntity("device not registered", &huma.ErrorDetail{Location: where, Message: err.Error(), Value: list[i].ID})
		}
	}
	secrets, claims := make([]devices.Secret, len(devs)), make([]claimView, len(devs))
	for i := range devs {
		if secrets[i], err = a.withCredential(&devs[i], list[i].Credential); err != nil {
			return nil, huma.Error422UnprocessableEntity("device not registered", &huma.ErrorDetail{Location: "body.credential", Message: err.Error(), Value: list[i].ID})
		}
		if claims[i], err = a.withClaim(&devs[i], &list[i]); err != nil {
			return nil, huma.Error422UnprocessableEntity("device not registered", &huma.ErrorDetail{Location: "body.claimTTL", Message: err.Error(), Value: list[i].ID})
		}
	}
	tokens, err := a.Register.AddAll(ctx, devs)
	switch {
	case errors.Is(err, devices.ErrDeviceExists):
		return nil, huma.Error409Conflict(err.Error())
	case err != nil && isRetry(err):
		return nil, unavailable("register not available", err)
	case err != nil:
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	now := a.now()
	added := make([]registered, len(devs))
	for i := range devs {
		if tokens[i] == "" {
			tokens[i] = list[i].Token
		}
		if tokens[i] != "" {
			secrets[i].Token = tokens[i]
		}
		if d, ok := a.Register.Get(devs[i].ID); ok {
			added[i] = registered{a.view(d, now), secrets[i], claims[i]}
		}
	}
	for i := range added {
		a.changed(ctx, "device.add", string(added[i].ID), nil, added[i].deviceView)
	}
	if !many {
		return &registerOutput{http.StatusCreated, added[0]}, nil
	}
	return &registerOutput{http.StatusCreated, struct {
		Devices []registered `json:"devices"`
	}{added}}, nil
}

func (a *api) toDevice(n *newDevice) (devices.Device, error) {
	d := devices.Device{
		ID: n.ID, Name: norm.NFC.String(n.Name), Profile: n.Profile, State: n.State, Upstream: n.Upstream,
		Owner: norm.NFC.String(n.Owner), Site: norm.NFC.String(n.Site), Model: n.Model, Firmware: n.Firmware, Simulated: n.Simulated,
	}
	if n.At != nil {
		d.At = devices.Position{Lon: n.At[0], Lat: n.At[1]}
		if !d.At.Known() {
			return d, errors.New("at [0, 0] is the open sea: leave it out when the place is not known")
		}
	}
	if n.Token != "" {
		if len(n.Token) < minDeviceToken || len(n.Token) > 256 {
			return d, fmt.Errorf("a token has %d to 256 characters", minDeviceToken)
		}
		h := access.HashToken(n.Token)
		d.TokenHash = h[:]
	}
	return d, nil
}

type profilesOutput struct {
	Body struct {
		Profiles   []*devices.Profile     `json:"profiles"`
		Quantities []devices.QuantityInfo `json:"quantities"`
	}
}

func (a *api) listProfiles(context.Context, *struct{}) (*profilesOutput, error) {
	out := &profilesOutput{}
	out.Body.Profiles, out.Body.Quantities = a.Catalogue.Profiles(), a.Catalogue.Quantities()
	return out, nil
}

// latestView is the newest value of a quantity.
type latestView struct {
	Time      time.Time           `json:"time" doc:"When it was observed"`
	Received  time.Time           `json:"received" doc:"When it arrived"`
	Value     float64             `json:"value"`
	Unit      string              `json:"unit"`
	At        place               `json:"at" doc:"[longitude, latitude]"`
	Zones     map[string]zoneView `json:"zones" doc:"By layer"`
	Qualities []string            `json:"qualities,omitempty"`
}

// zoneView is a zone version a reading fell into. Where zones of one layer
// overlap, the others are in Also.
type zoneView struct {
	Code      string       `json:"code"`
	ValidFrom devices.Date `json:"validFrom" doc:"First day of this version of the zone; empty is since ever"`
	Also      []zoneView   `json:"also,omitempty"`
}

func zonesOf(refs []devices.ZoneRef) map[string]zoneView {
	zones := make(map[string]zoneView, len(refs))
	for _, r := range refs {
		z := zoneView{Code: r.Code, ValidFrom: r.ValidFrom}
		if first, ok := zones[r.Layer]; ok {
			first.Also = append(first.Also, z)
			z = first
		}
		zones[r.Layer] = z
	}
	return zones
}

// qualities names the flags of an observation.
func qualities(f devices.Flags) []string {
	var out []string
	for _, q := range [...]struct {
		flag devices.Flags
		name string
	}{
		{devices.ClockSuspect, "clock_suspect"}, {devices.NoDeviceTime, "no_device_time"}, {devices.Late, "late"},
		{devices.RelativeTime, "relative_time"}, {devices.OutOfRange, "out_of_range"}, {devices.NoBver, "no_bver"},
		{devices.Simulated, "simulated"}, {devices.Exercise, "exercise"},
	} {
		if f&q.flag != 0 {
			out = append(out, q.name)
		}
	}
	return out
}

func latestOf(list []live.Latest) map[devices.Quantity]latestView {
	out := make(map[devices.Quantity]latestView, len(list))
	for _, l := range list {
		out[l.Quantity] = latestView{
			Time: l.Time, Received: l.Received, Value: l.Number, Unit: l.Unit, At: placeOf(l.At),
			Zones: zonesOf(l.Zones), Qualities: qualities(l.Flags),
		}
	}
	return out
}
