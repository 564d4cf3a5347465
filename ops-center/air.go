package opscenter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/vnaqi"
)

type airInput struct {
	Device string `query:"device" maxLength:"64" doc:"Of one device; or of a zone:"`
	Layer  string `query:"layer" maxLength:"64" doc:"The layer of the zone"`
	Zone   string `query:"zone" maxLength:"128" doc:"The code of the zone"`
	Hours  int    `query:"hours" minimum:"1" maximum:"168" default:"24" doc:"How many hours back"`
	At     string `query:"at" doc:"The last hour ends at or before this time; now when left out"`
}

// airHour is the index of the hour that ends at End. Index is null where there is
// none: too few hours, or no dust measured.
type airHour struct {
	End   time.Time    `json:"end"`
	Index *vnaqi.Index `json:"index"`
}

type airOutput struct {
	Body struct {
		Hours []airHour `json:"hours"`
		// Daily is the index of the last whole day.
		Daily *airHour `json:"daily"`
		// Reference is set for devices that are no stations of the network: their
		// index is for reference.
		Reference bool              `json:"reference"`
		Label     map[string]string `json:"label,omitempty"`
		Method    map[string]string `json:"method"`
		Bands     []vnaqi.Band      `json:"bands"`
	}
}

type rainInput struct {
	Device string `query:"device" required:"true" maxLength:"64"`
	At     string `query:"at" doc:"The windows end here; now when left out"`
}

// rainSum is what fell in a window; null where the readings do not cover it.
type rainSum struct {
	Hours int              `json:"hours"`
	MM    *float64         `json:"mm"`
	Class *vnaqi.RainClass `json:"class,omitempty"`
}

type rainOutput struct {
	Body struct {
		At   time.Time `json:"at"`
		Sums []rainSum `json:"sums"`
	}
}

var referenceLabel = map[string]string{"vi": "Tham khảo: cảm biến không thuộc trạm quan trắc quy chuẩn", "en": "For reference: the sensor is no regulatory station"}

func (a *api) airRoutes() {
	route(a, access.View, huma.Operation{OperationID: "air-quality", Method: http.MethodGet, Path: "/v1/air-quality", Tags: []string{"readings"},
		Summary: "The Vietnamese air quality index (VN_AQI), hour by hour",
		Description: "Of a device, or of a zone (from the means of all that was observed in it). An hour without an index is null. " +
			"Devices that stand for no station of the register of thresholds, and zones, are for reference."}, a.airQuality)
	route(a, access.View, huma.Operation{OperationID: "rain", Method: http.MethodGet, Path: "/v1/rain", Tags: []string{"readings"},
		Summary:     "What a rain gauge counted in the last hours, and the class of 12 and 24 hours",
		Description: "A window that its readings do not cover is null, never 0."}, a.rain)
}

var airQuantities = map[devices.Quantity]vnaqi.Pollutant{
	"pm25": vnaqi.PM25, "pm10": vnaqi.PM10, "so2": vnaqi.SO2, "no2": vnaqi.NO2, "co": vnaqi.CO, "o3": vnaqi.O3,
}

// airBack is how many hours before the first one are read: the last whole day may
// have begun as long ago.
const airBack = 48

func (a *api) airQuality(ctx context.Context, in *airInput) (*airOutput, error) {
	if a.History == nil {
		return nil, absent("history")
	}
	end := a.now()
	if in.At != "" {
		var err error
		if end, err = parseTime(in.At, a.now(), a.Calendar); err != nil {
			return nil, badParameter("at", in.At, err)
		}
	}
	if (in.Device == "") == (in.Zone == "" || in.Layer == "") {
		return nil, huma.Error422UnprocessableEntity("give device, or layer and zone")
	}
	end = end.UTC().Truncate(time.Hour)
	n := in.Hours + airBack
	start := end.Add(-time.Duration(n) * time.Hour)
	reference := true
	read := func(q devices.Quantity) ([]devices.Bucket, error) {
		return a.History.Buckets(ctx, devices.ID(in.Device), q, start, end, time.Hour, 0)
	}
	if in.Device != "" {
		if _, ok := a.Register.Get(devices.ID(in.Device)); !ok {
			return nil, huma.Error404NotFound(fmt.Sprintf("no device has the id %q", in.Device))
		}
		if a.RuleBook != nil {
			register, _ := a.RuleBook.Thresholds()
			reference = register.Station(devices.ID(in.Device)) == ""
		}
	} else {
		read = func(q devices.Quantity) ([]devices.Bucket, error) {
			list, err := a.History.ByZone(ctx, in.Layer, q, start, end, time.Hour, 0)
			var out []devices.Bucket
			for _, z := range list {
				if z.Zone.Code == in.Zone { // its versions follow each other in time
					out = append(out, z.Buckets...)
				}
			}
			return out, err
		}
	}
	hours := vnaqi.Hours{}
	for q, p := range airQuantities {
		buckets, err := read(q)
		if err != nil {
			return nil, unavailable("history is not available", errors.New("the series store does not answer; try again"))
		}
		if len(buckets) == 0 {
			continue
		}
		list := slices.Repeat([]float64{math.NaN()}, n)
		for _, b := range buckets {
			if i := int(b.Start.Sub(start) / time.Hour); i >= 0 && i < n {
				list[i] = b.Mean
			}
		}
		hours[p] = list
	}
	until := func(i int) vnaqi.Hours {
		out := vnaqi.Hours{}
		for p, list := range hours {
			out[p] = list[:i]
		}
		return out
	}
	out := &airOutput{}
	out.Body.Hours, out.Body.Reference, out.Body.Method, out.Body.Bands = []airHour{}, reference, vnaqi.Method, vnaqi.Bands
	if reference {
		out.Body.Label = referenceLabel
	}
	for i := airBack + 1; i <= n; i++ {
		h := airHour{End: start.Add(time.Duration(i) * time.Hour)}
		if index, ok := vnaqi.Hourly(until(i)); ok {
			h.Index = &index
		}
		out.Body.Hours = append(out.Body.Hours, h)
	}
	// The day is the city's: its hours end at 01:00 to 24:00.
	local := end.In(a.Calendar)
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, a.Calendar)
	if i := int(midnight.Sub(start) / time.Hour); i >= 24 && i <= n {
		out.Body.Daily = &airHour{End: midnight.UTC()}
		if index, ok := vnaqi.Daily(until(i)); ok {
			out.Body.Daily.Index = &index
		}
	}
	return out, nil
}

func (a *api) rain(ctx context.Context, in *rainInput) (*rainOutput, error) {
	if a.History == nil {
		return nil, absent("history")
	}
	if _, ok := a.Register.Get(devices.ID(in.Device)); !ok {
		return nil, huma.Error404NotFound(fmt.Sprintf("no device has the id %q", in.Device))
	}
	at := a.now()
	if in.At != "" {
		var err error
		if at, err = parseTime(in.At, a.now(), a.Calendar); err != nil {
			return nil, badParameter("at", in.At, err)
		}
	}
	const back = 27 * time.Hour // a day, and a tenth to begin in
	points, err := a.History.Range(ctx, devices.ID(in.Device), "rain_total", at.Add(-back), at.Add(time.Millisecond), feedLimit)
	if err != nil {
		return nil, unavailable("history is not available", errors.New("the series store does not answer; try again"))
	}
	out := &rainOutput{}
	out.Body.At = at.UTC()
	for _, hours := range []int{1, 3, 6, 12, 24} {
		s := rainSum{Hours: hours}
		if mm := vnaqi.RainSum(points, at, time.Duration(hours)*time.Hour, 0); !math.IsNaN(mm) {
			s.MM = &mm
			if class, ok := vnaqi.Rain(mm, hours == 12); ok && hours >= 12 {
				s.Class = &class
			}
		}
		out.Body.Sums = append(out.Body.Sums, s)
	}
	return out, nil
}
