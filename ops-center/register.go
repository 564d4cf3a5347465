package opscenter

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// DeviceFilter says which devices a question is about. What is left out does
// not matter. (Huma reads embedded parameters of exported types only.)
type DeviceFilter struct {
	Q         string `query:"q" maxLength:"100" doc:"Words of an id, name, site, owner or model; case and diacritics do not matter"`
	Profile   string `query:"profile" maxLength:"100"`
	State     string `query:"state" enum:"announced,quarantined,active,maintenance,retired"`
	Site      string `query:"site" maxLength:"200" doc:"Words of its site"`
	Owner     string `query:"owner" maxLength:"200" doc:"The department, in full; case does not matter"`
	Upstream  string `query:"upstream" maxLength:"64" doc:"The node it hangs on"`
	Presence  string `query:"presence" enum:"never,online,late,silent"`
	Ward      string `query:"ward" maxLength:"100" doc:"Code of the zone of layer wards it stands in today"`
	Deviating bool   `query:"deviating" doc:"Only those that differ from their norm"`
}

// wardLayer is the layer whose zones people name places by.
const wardLayer = "wards"

// filter gives the devices in question by id, all states of life among them but
// for the filter's own, and how many there are of each state.
func (a *api) filter(f *DeviceFilter, now time.Time) (found []*devices.Found, states map[devices.LifeState]int) {
	list := a.search.List()
	words, site := devices.Words(f.Q), devices.Words(f.Site)
	profile, owner := strings.ReplaceAll(f.Profile, "_", "-"), devices.Fold(f.Owner)
	var wards []string
	if f.Ward != "" {
		wards = a.wards.of(a, list, now)
	}
	states = map[devices.LifeState]int{}
	for i, d := range list {
		switch {
		case profile != "" && strings.ReplaceAll(d.Profile, "_", "-") != profile,
			f.Upstream != "" && string(d.Upstream) != f.Upstream,
			owner != "" && !d.OwnedBy(owner),
			f.Ward != "" && wards[i] != f.Ward && (wards[i] != "" || a.movingWard(d.Device, now) != f.Ward),
			!d.Has(words),
			!d.StandsAt(site),
			f.Presence != "" && string(a.presence(d.Device, now)) != f.Presence,
			f.Deviating && len(a.Register.Deviations(d.Device, a.Departments)) == 0:
			continue
		}
		states[d.State]++
		if f.State == "" || string(d.State) == f.State {
			found = append(found, d)
		}
	}
	return found, states
}

// presence is how fresh a device's last report is.
func (a *api) presence(d *devices.Device, now time.Time) devices.Presence {
	if p, ok := a.Hub.PresenceOf(d.ID); ok {
		return a.freshness(d, p.Seen, now)
	}
	if node, heard := a.offTheWall(d.ID); heard {
		return a.freshness(d, node.Last, now)
	}
	return devices.Never
}

// wardIndex remembers the ward of each device that stays where it is, for the
// list of devices, the layers and the day it was asked for last.
type wardIndex struct {
	mu    sync.Mutex
	epoch uint64
	day   devices.Date
	list  []*devices.Found
	wards []string // of list
}

// of gives the ward of each device of list, "" for one that moves or stands in
// none. Only devices that changed since the last question are placed anew.
func (w *wardIndex) of(a *api, list []*devices.Found, now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	epoch, day := a.Layers.Epoch(), a.today(now)
	if epoch != w.epoch || day != w.day {
		w.epoch, w.day, w.list, w.wards = epoch, day, nil, nil
	}
	if len(list) == len(w.list) && (len(list) == 0 || &list[0] == &w.list[0]) {
		return w.wards
	}
	wards := make([]string, len(list))
	old := 0
	for i, d := range list {
		for old < len(w.list) && w.list[old].ID < d.ID {
			old++
		}
		if old < len(w.list) && w.list[old] == d {
			wards[i] = w.wards[old]
		} else {
			wards[i] = a.wardAt(d.At, day)
		}
	}
	w.list, w.wards = list, wards
	return wards
}

func (a *api) wardAt(p devices.Position, day devices.Date) string {
	if !p.Known() {
		return ""
	}
	for _, z := range a.Layers.Place(p.Lon, p.Lat, day, nil) {
		if z.Layer == wardLayer {
			return z.Code
		}
	}
	return ""
}

// movingWard is where a device without a place of its own was last.
func (a *api) movingWard(d *devices.Device, now time.Time) string {
	if d.At.Known() {
		return ""
	}
	p, _ := a.Hub.PresenceOf(d.ID)
	return a.wardAt(p.At, a.today(now))
}

type deviceListInput struct {
	DeviceFilter
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Offset int    `query:"offset" minimum:"0" maximum:"10000000" doc:"Leaves out this many, for a list that is looked at in the middle"`
}

type deviceListOutput struct {
	Body struct {
		Devices []deviceView              `json:"devices"`
		Next    string                    `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
		Total   int                       `json:"total" doc:"How many match, on all pages"`
		States  map[devices.LifeState]int `json:"states" doc:"How many match in each state of life, whatever state was asked for"`
	}
}

func (a *api) listDevices(_ context.Context, in *deviceListInput) (*deviceListOutput, error) {
	now := a.now()
	found, states := a.filter(&in.DeviceFilter, now)
	out := &deviceListOutput{}
	out.Body.Total, out.Body.States = len(found), states
	if in.Cursor != "" {
		after, ok := slices.BinarySearchFunc(found, devices.ID(in.Cursor), func(f *devices.Found, id devices.ID) int {
			return strings.Compare(string(f.ID), string(id))
		})
		if ok {
			after++
		}
		found = found[after:]
	}
	found = found[min(in.Offset, len(found)):]
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = string(found[in.Limit-1].ID)
	}
	out.Body.Devices = make([]deviceView, len(found))
	for i, d := range found {
		out.Body.Devices[i] = a.view(d.Device, now)
	}
	return out, nil
}

// deviceRecord is one device with what follows from the register.
type deviceRecord struct {
	deviceView
	Head       string              `json:"head,omitempty" personal:"name" doc:"Who heads the owning department"`
	Next       []devices.LifeState `json:"next" doc:"The states its life may go on to"`
	Deviations []devices.Deviation `json:"deviations" doc:"In what it differs from its norm"`
}

type deviceOutput struct {
	ETag string `header:"ETag" doc:"Changes with the register's entry"`
	Body deviceRecord
}

func (a *api) record(d *devices.Device) *deviceOutput {
	out := &deviceOutput{ETag: deviceTag(d), Body: deviceRecord{
		deviceView: a.view(d, a.now()), Next: d.State.Next(), Deviations: a.Register.Deviations(d, a.Departments),
	}}
	if a.Departments != nil {
		out.Body.Head = a.Departments.Head(d.Owner)
	}
	if out.Body.Deviations == nil {
		out.Body.Deviations = []devices.Deviation{}
	}
	return out
}

// deviceTag changes with what of an entry people change.
func deviceTag(d *devices.Device) string {
	raw, err := json.Marshal(d.Public())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

type patchInput struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match" doc:"ETag of the entry the change is made to; another entry by now is answered 412"`
	RawBody []byte `contentType:"application/merge-patch+json"`
}

var errChanged = errors.New("somebody else changed the device in the meantime; look at it again")

// patchDevice changes an entry by a JSON merge patch (RFC 7396).
func (a *api) patchDevice(ctx context.Context, in *patchInput) (*deviceOutput, error) {
	if _, err := a.findDevice(in.ID); err != nil {
		return nil, err
	}
	fields, err := readPatch(in.RawBody)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("device not changed", &huma.ErrorDetail{Location: "body", Message: err.Error()})
	}
	var before deviceView
	err = a.Register.Update(ctx, devices.ID(in.ID), func(d *devices.Device) error {
		if in.IfMatch != "" && in.IfMatch != "*" && in.IfMatch != deviceTag(d) {
			return errChanged
		}
		before = a.view(d, a.now())
		for _, change := range fields {
			change(d)
		}
		return nil
	})
	switch {
	case errors.Is(err, errChanged):
		return nil, huma.Error412PreconditionFailed(errChanged.Error())
	case errors.Is(err, devices.ErrNoDevice):
		return nil, huma.Error404NotFound(err.Error())
	case errors.Is(err, devices.ErrLifeCycle):
		return nil, huma.Error409Conflict(err.Error())
	case err != nil && isRetry(err):
		return nil, unavailable("register not available", err)
	case err != nil:
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "device.change", string(d.ID), before, a.view(d, a.now()))
	return a.record(d), nil
}

// readPatch makes changes of a merge patch: null takes a field away.
func readPatch(body []byte) ([]func(*devices.Device), error) {
	var patch map[string]json.RawMessage
	if err := json.Unmarshal(body, &patch); err != nil || len(patch) == 0 {
		return nil, errors.New(`want an object of the fields to change, such as {"state": "active"}`)
	}
	texts := map[string]func(*devices.Device) *string{
		"name": func(d *devices.Device) *string { return &d.Name }, "owner": func(d *devices.Device) *string { return &d.Owner },
		"site": func(d *devices.Device) *string { return &d.Site }, "model": func(d *devices.Device) *string { return &d.Model },
		"firmware": func(d *devices.Device) *string { return &d.Firmware }, "profile": func(d *devices.Device) *string { return &d.Profile },
		"upstream": func(d *devices.Device) *string { return (*string)(&d.Upstream) },
		"state":    func(d *devices.Device) *string { return (*string)(&d.State) },
	}
	var changes []func(*devices.Device)
	for name, raw := range patch {
		null := bytes.Equal(raw, []byte("null"))
		if field := texts[name]; field != nil {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, fmt.Errorf("%s is a text", name)
			}
			text = norm.NFC.String(text)
			changes = append(changes, func(d *devices.Device) { *field(d) = text })
			continue
		}
		switch name {
		case "at":
			var at [2]float64
			if !null {
				var list []float64
				if err := json.Unmarshal(raw, &list); err != nil || len(list) != 2 {
					return nil, errors.New("at is [longitude, latitude]")
				}
				if at = [2]float64(list); at == [2]float64{} {
					return nil, errors.New("at [0, 0] is the open sea: null when the place is not known")
				}
			}
			changes = append(changes, func(d *devices.Device) { d.At = devices.Position{Lon: at[0], Lat: at[1]} })
		case "simulated":
			var simulated bool
			if err := json.Unmarshal(raw, &simulated); err != nil {
				return nil, errors.New("simulated is true or false")
			}
			changes = append(changes, func(d *devices.Device) { d.Simulated = simulated })
		default:
			return nil, fmt.Errorf("%.40q cannot be changed; an id and a credential have ways of their own", name)
		}
	}
	return changes, nil
}

type departmentsOutput struct {
	Body struct {
		Departments []departmentView `json:"departments"`
	}
}

type departmentView struct {
	devices.Department
	Devices int `json:"devices" doc:"How many it answers for, those retired left out"`
}

type departmentInput struct {
	Name string `path:"name" maxLength:"200"`
	Body struct {
		Head    string `json:"head" maxLength:"200"`
		Contact string `json:"contact,omitempty" maxLength:"200"`
	}
}

type departmentOutput struct{ Body devices.Department }

// listDepartments gives those of the register of departments and those that
// devices name, whose head nobody has named yet.
func (a *api) listDepartments(context.Context, *struct{}) (*departmentsOutput, error) {
	if a.Departments == nil {
		return nil, absent("a register of departments")
	}
	byName := map[string]*departmentView{}
	for _, d := range a.Departments.List() {
		byName[devices.Fold(d.Name)] = &departmentView{Department: d}
	}
	for _, d := range a.search.List() {
		if d.Owner == "" || d.State == devices.Retired {
			continue
		}
		key := devices.Fold(d.Owner)
		if byName[key] == nil {
			byName[key] = &departmentView{Department: devices.Department{Name: d.Owner}}
		}
		byName[key].Devices++
	}
	out := &departmentsOutput{}
	out.Body.Departments = make([]departmentView, 0, len(byName))
	for _, d := range byName {
		out.Body.Departments = append(out.Body.Departments, *d)
	}
	slices.SortFunc(out.Body.Departments, func(x, y departmentView) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

func (a *api) putDepartment(ctx context.Context, in *departmentInput) (*departmentOutput, error) {
	if a.Departments == nil {
		return nil, absent("a register of departments")
	}
	d := devices.Department{Name: norm.NFC.String(in.Name), Head: norm.NFC.String(in.Body.Head), Contact: norm.NFC.String(in.Body.Contact)}
	before, known := a.Departments.Get(d.Name)
	err := a.Departments.Set(ctx, d)
	switch {
	case err != nil && isRetry(err):
		return nil, unavailable("register not available", err)
	case err != nil:
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	d, _ = a.Departments.Get(d.Name)
	var was any
	if known {
		was = before
	}
	a.changed(ctx, "department.put", d.Name, was, d)
	return &departmentOutput{d}, nil
}

type conformityInput struct {
	DeviceFilter
	Limit int `query:"limit" minimum:"1" maximum:"100000" default:"1000"`
}

type conformityOutput struct {
	Body struct {
		Devices []deviatingView `json:"devices"`
		Checked int             `json:"checked" doc:"Devices looked at, those retired and those of drills left out"`
		Total   int             `json:"total" doc:"How many of them deviate"`
		Rules   map[string]int  `json:"rules" doc:"How many deviate from each rule"`
	}
}

type deviatingView struct {
	ID         devices.ID          `json:"id"`
	Name       string              `json:"name"`
	Profile    string              `json:"profile"`
	Owner      string              `json:"owner"`
	Model      string              `json:"model"`
	Firmware   string              `json:"firmware"`
	Deviations []devices.Deviation `json:"deviations"`
}

// conformity reports the devices that differ from what the city has agreed to.
func (a *api) conformity(_ context.Context, in *conformityInput) (*conformityOutput, error) {
	found, _ := a.filter(&in.DeviceFilter, a.now())
	out := &conformityOutput{}
	out.Body.Devices, out.Body.Rules = []deviatingView{}, map[string]int{}
	for _, d := range found {
		if d.State == devices.Retired || d.Exercise != "" {
			continue
		}
		out.Body.Checked++
		deviations := a.Register.Deviations(d.Device, a.Departments)
		if len(deviations) == 0 {
			continue
		}
		out.Body.Total++
		for _, v := range deviations {
			out.Body.Rules[v.Rule]++
		}
		if len(out.Body.Devices) < in.Limit {
			out.Body.Devices = append(out.Body.Devices, deviatingView{d.ID, d.Name, d.Profile, d.Owner, d.Model, d.Firmware, deviations})
		}
	}
	return out, nil
}

// registerRoutes are those that look after the register as a whole.
func (a *api) registerRoutes() {
	route(a, access.ManageDevices, huma.Operation{
		OperationID: "change-device", Method: http.MethodPatch, Path: "/v1/devices/{id}", Tags: []string{"devices"},
		Summary:     "Change a device's entry",
		Description: "A JSON merge patch (RFC 7396): name, profile, at, state, upstream, owner, site, model, firmware, simulated. A state that may not follow is answered 409.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/merge-patch+json": {Schema: &huma.Schema{Type: "object"}}, "application/json": {Schema: &huma.Schema{Type: "object"}},
		}},
		SkipValidateBody: true,
	}, a.patchDevice)
	route(a, access.View, huma.Operation{
		OperationID: "list-departments", Method: http.MethodGet, Path: "/v1/departments", Tags: []string{"devices"},
		Summary: "The departments that answer for devices, and who heads them",
	}, a.listDepartments)
	route(a, access.ManageDevices, huma.Operation{
		OperationID: "put-department", Method: http.MethodPut, Path: "/v1/departments/{name}", Tags: []string{"devices"},
		Summary: "Name the head of a department",
	}, a.putDepartment)
	route(a, access.View, huma.Operation{
		OperationID: "report-conformity", Method: http.MethodGet, Path: "/v1/reports/conformity", Tags: []string{"devices"},
		Summary: "Devices that differ from their profile's norm, or lack an owner, a head, a place or their node",
	}, a.conformity)
	route(a, access.View, huma.Operation{
		OperationID: "list-zones", Method: http.MethodGet, Path: "/v1/layers/{name}/zones", Tags: []string{"layers"},
		Summary: "Codes and names of a layer's zones today, by name", Description: fmt.Sprintf("At most %d.", maxZones),
	}, a.listZones)
	a.importRoutes()
}

// maxZones bounds a list of zones: people choose from it.
const maxZones = 5000

type zonesInput struct {
	Name string `path:"name" maxLength:"100"`
}

type zonesOutput struct {
	Body struct {
		Zones []zoneName `json:"zones"`
	}
}

type zoneName struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

func (a *api) listZones(_ context.Context, in *zonesInput) (*zonesOutput, error) {
	out := &zonesOutput{}
	out.Body.Zones = []zoneName{}
	for _, z := range a.Layers.Zones(in.Name, a.today(a.now())) {
		out.Body.Zones = append(out.Body.Zones, zoneName{z.Ref.Code, z.Name})
	}
	slices.SortFunc(out.Body.Zones, func(x, y zoneName) int {
		return cmp.Or(strings.Compare(devices.Fold(x.Name), devices.Fold(y.Name)), strings.Compare(x.Code, y.Code))
	})
	out.Body.Zones = out.Body.Zones[:min(len(out.Body.Zones), maxZones)]
	return out, nil
}

// today is the day of the city's calendar.
func (a *api) today(now time.Time) devices.Date {
	return devices.Date(now.In(a.Calendar).Format(time.DateOnly))
}
