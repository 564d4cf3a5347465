package opscenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type latestOutput struct {
	Body struct {
		Device     devices.ID                      `json:"device"`
		Quantities map[devices.Quantity]latestView `json:"quantities"`
	}
}

type readingsInput struct {
	ID       string `path:"id" maxLength:"64"`
	Quantity string `query:"quantity" required:"true" maxLength:"64"`
	Span
	Step  string `query:"step" maxLength:"40" doc:"Width of a bucket: 60s, 15m, PT1H, 1d. Without it the raw points are given"`
	Limit int    `query:"limit" minimum:"1" maximum:"100000" default:"10000" doc:"Of raw points"`
}

// Span is the part of a question that names a time.
type Span struct {
	From string `query:"from" maxLength:"40" doc:"RFC 3339, milliseconds since 1970, a day, or a distance from now such as -6h; a day before to when left out"`
	To   string `query:"to" maxLength:"40" doc:"As from, and not part of the answer; now when left out"`
}

type readingsOutput struct {
	Body struct {
		Device   devices.ID       `json:"device"`
		Quantity devices.Quantity `json:"quantity"`
		Unit     string           `json:"unit"`
		From     time.Time        `json:"from"`
		To       time.Time        `json:"to"`
		Step     string           `json:"step,omitempty"`
		Points   []pointView      `json:"points" doc:"Oldest first. With step: the start and the mean of each bucket"`
		Buckets  []bucketView     `json:"buckets,omitempty" doc:"With step. A step without points is absent"`
		Next     *time.Time       `json:"next,omitempty" doc:"from of the next page, when limit cut this one"`
	}
}

type pointView struct {
	Time      time.Time           `json:"time"`
	Received  time.Time           `json:"received,omitzero"`
	Value     float64             `json:"value"`
	Zones     map[string]zoneView `json:"zones,omitempty"`
	Qualities []string            `json:"qualities,omitempty"`
}

type trackInput struct {
	ID string `path:"id" maxLength:"64"`
	Span
	Limit int `query:"limit" minimum:"1" maximum:"100000" default:"10000"`
}

type trackOutput struct {
	Body struct {
		Device devices.ID  `json:"device"`
		From   time.Time   `json:"from"`
		To     time.Time   `json:"to"`
		Points []trackView `json:"points" doc:"Oldest first; a position holds until the next"`
		Next   *time.Time  `json:"next,omitempty" doc:"from of the next page, when limit cut this one"`
	}
}

type trackView struct {
	Time time.Time  `json:"time"`
	At   [2]float64 `json:"at" doc:"Longitude, latitude"`
}

type bucketView struct {
	Start time.Time `json:"start"`
	Min   float64   `json:"min"`
	Mean  float64   `json:"mean"`
	Max   float64   `json:"max"`
	Count int       `json:"count"`
}

func bucketsOf(list []devices.Bucket) []bucketView {
	out := make([]bucketView, len(list))
	for i, b := range list {
		out[i] = bucketView{b.Start.UTC(), b.Min, b.Mean, b.Max, b.Count}
	}
	return out
}

type zoneReadingsInput struct {
	Layer    string `path:"layer" maxLength:"64"`
	Quantity string `query:"quantity" required:"true" maxLength:"64"`
	Span
	Step string `query:"step" default:"1h" maxLength:"40" doc:"Width of a bucket"`
}

type zoneReadingsOutput struct {
	Body struct {
		Layer    string           `json:"layer"`
		Quantity devices.Quantity `json:"quantity"`
		Unit     string           `json:"unit"`
		From     time.Time        `json:"from"`
		To       time.Time        `json:"to"`
		Step     string           `json:"step"`
		Zones    []zoneSeriesView `json:"zones"`
	}
}

type zoneSeriesView struct {
	Code      string       `json:"code"`
	Name      string       `json:"name"`
	ValidFrom devices.Date `json:"validFrom"`
	Buckets   []bucketView `json:"buckets"`
}

func (a *api) readingRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "get-latest", Method: http.MethodGet, Path: "/v1/devices/{id}/latest", Tags: []string{"readings"},
		Summary: "The newest value of each quantity of a device",
	}, func(_ context.Context, in *deviceInput) (*latestOutput, error) {
		d, err := a.findDevice(in.ID)
		if err != nil {
			return nil, err
		}
		list, _ := a.Hub.LatestOf(d.ID)
		out := &latestOutput{}
		out.Body.Device, out.Body.Quantities = d.ID, latestOf(list)
		return out, nil
	})
	route(a, access.View, huma.Operation{
		OperationID: "get-readings", Method: http.MethodGet, Path: "/v1/devices/{id}/readings", Tags: []string{"readings"},
		Summary: "The history of one quantity of a device",
	}, a.readings)
	route(a, access.View, huma.Operation{
		OperationID: "get-track", Method: http.MethodGet, Path: "/v1/devices/{id}/track", Tags: []string{"readings"},
		Summary: "Where a device was observed",
	}, a.track)
	route(a, access.View, huma.Operation{
		OperationID: "get-zone-readings", Method: http.MethodGet, Path: "/v1/zones/{layer}/readings", Tags: []string{"readings"},
		Summary: "The history of one quantity by zone of a layer",
	}, a.zoneReadings)
}

// quantity finds what is asked for in the catalogue.
func (a *api) quantity(name string) (devices.QuantityInfo, error) {
	q, ok := a.Catalogue.Quantity(devices.Quantity(name))
	if !ok {
		return q, badParameter("quantity", name, errors.New("not in the catalogue; /v1/profiles lists the quantities there are"))
	}
	return q, nil
}

func (a *api) readings(ctx context.Context, in *readingsInput) (*readingsOutput, error) {
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	q, err := a.quantity(in.Quantity)
	if err != nil {
		return nil, err
	}
	from, to, err := a.parseSpan(in.From, in.To, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	out := &readingsOutput{}
	b := &out.Body
	b.Device, b.Quantity, b.Unit, b.From, b.To = d.ID, q.Name, q.Unit, from, to
	if in.Step != "" {
		step, offset, err := a.parseStep(in.Step, from, to)
		if err != nil {
			return nil, err
		}
		if a.History == nil {
			return nil, a.noHistory(nil)
		}
		list, err := a.History.Buckets(ctx, d.ID, q.Name, from, to, step, offset)
		if err != nil {
			return nil, a.noHistory(err)
		}
		b.Step, b.Buckets = step.String(), bucketsOf(list)
		// Who only draws a line reads both kinds of answer alike.
		b.Points = make([]pointView, len(list))
		for i, bucket := range list {
			b.Points[i] = pointView{Time: bucket.Start.UTC(), Value: bucket.Mean}
		}
		return out, nil
	}
	if a.History == nil {
		return nil, a.noHistory(nil)
	}
	list, err := a.History.Range(ctx, d.ID, q.Name, from, to, in.Limit)
	if err != nil {
		return nil, a.noHistory(err)
	}
	b.Points = make([]pointView, len(list))
	for i, p := range list {
		b.Points[i] = pointView{p.Time.UTC(), p.Received.UTC(), p.Number, zonesOf(p.Zones), qualities(p.Flags)}
		if p.Corrected {
			b.Points[i].Qualities = append(b.Points[i].Qualities, "corrected")
		}
	}
	if len(list) >= in.Limit {
		next := list[len(list)-1].Time.Add(time.Millisecond).UTC()
		b.Next = &next
	}
	return out, nil
}

func (a *api) track(ctx context.Context, in *trackInput) (*trackOutput, error) {
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	from, to, err := a.parseSpan(in.From, in.To, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	if a.History == nil {
		return nil, a.noHistory(nil)
	}
	list, err := a.History.Track(ctx, d.ID, from, to, in.Limit)
	if err != nil {
		return nil, a.noHistory(err)
	}
	out := &trackOutput{}
	b := &out.Body
	b.Device, b.From, b.To, b.Points = d.ID, from, to, make([]trackView, len(list))
	for i, p := range list {
		b.Points[i] = trackView{p.Time.UTC(), [2]float64{p.At.Lon, p.At.Lat}}
	}
	if len(list) >= in.Limit {
		next := list[len(list)-1].Time.Add(time.Millisecond).UTC()
		b.Next = &next
	}
	return out, nil
}

func (a *api) zoneReadings(ctx context.Context, in *zoneReadingsInput) (*zoneReadingsOutput, error) {
	q, err := a.quantity(in.Quantity)
	if err != nil {
		return nil, err
	}
	from, to, err := a.parseSpan(in.From, in.To, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	step, offset, err := a.parseStep(in.Step, from, to)
	if err != nil {
		return nil, err
	}
	if _, ok := a.Layers.Version(in.Layer, ""); !ok {
		return nil, huma.Error404NotFound(fmt.Sprintf("there is no layer %.80q", in.Layer))
	}
	if a.History == nil {
		return nil, a.noHistory(nil)
	}
	list, err := a.History.ByZone(ctx, in.Layer, q.Name, from, to, step, offset)
	if err != nil {
		return nil, a.noHistory(err)
	}
	out := &zoneReadingsOutput{}
	b := &out.Body
	b.Layer, b.Quantity, b.Unit, b.From, b.To, b.Step = in.Layer, q.Name, q.Unit, from, to, step.String()
	b.Zones = make([]zoneSeriesView, len(list))
	for i, s := range list {
		v := zoneSeriesView{Code: s.Zone.Code, ValidFrom: s.Zone.ValidFrom, Buckets: bucketsOf(s.Buckets)}
		if z, ok := a.Layers.Zone(s.Zone); ok {
			v.Name = z.Name
		}
		b.Zones[i] = v
	}
	return out, nil
}

// noHistory is the answer while the series store cannot be asked. All else goes
// on, so it says what is missing.
func (a *api) noHistory(err error) error {
	detail := "this server keeps no history"
	if err != nil {
		a.Log.Warn("history not available", "err", err)
		detail = "the series store does not answer; live values and alarms are not affected"
	}
	return unavailable("history not available", errors.New(detail))
}

// unavailable is the answer of a part that may work again soon.
func unavailable(title string, err error) error {
	return huma.ErrorWithHeaders(&huma.ErrorModel{
		Title: title, Status: http.StatusServiceUnavailable, Detail: err.Error(),
	}, http.Header{"Retry-After": {"5"}})
}

// isRetry tells whether the house, not the caller, is why something failed.
func isRetry(err error) bool {
	var refusal *devices.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason.Retry()
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
