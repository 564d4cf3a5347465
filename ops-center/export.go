package opscenter

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// exportPage is how many points an export reads at a time.
const exportPage = 10_000

type exportReadingsInput struct {
	ID       string `path:"id" maxLength:"64"`
	Quantity string `query:"quantity" required:"true" maxLength:"64"`
	Span
	Step string `query:"step" maxLength:"40" doc:"Width of a bucket; without it each stored value is a line"`
}

func (a *api) exportRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "export-readings", Method: http.MethodGet, Path: "/v1/devices/{id}/readings.csv", Tags: []string{"readings"},
		Summary: "The history of one quantity of a device as a table",
		Description: "UTF-8 CSV, a line a value: time, received, value, unit, qualities; with step a line a bucket: start, min, mean, max, count. " +
			"Times are UTC. A table whose last line is not `# complete` was cut.",
		Responses: map[string]*huma.Response{"200": {Description: "The table", Content: map[string]*huma.MediaType{"text/csv": {}}}},
	}, a.exportReadings)
}

func (a *api) exportReadings(ctx context.Context, in *exportReadingsInput) (*huma.StreamResponse, error) {
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
	if a.History == nil {
		return nil, a.noHistory(nil)
	}
	var buckets []devices.Bucket
	var points []devices.Point
	if in.Step != "" {
		step, offset, err := a.parseStep(in.Step, from, to)
		if err != nil {
			return nil, err
		}
		if buckets, err = a.History.Buckets(ctx, d.ID, q.Name, from, to, step, offset); err != nil {
			return nil, a.noHistory(err)
		}
	} else if points, err = a.History.Range(ctx, d.ID, q.Name, from, to, exportPage); err != nil {
		// The first page is read before the answer begins: it can still be a 503.
		return nil, a.noHistory(err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Disposition", `attachment; filename="`+string(d.ID)+"-"+string(q.Name)+`.csv"`)
		hc.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
		w := bufio.NewWriterSize(hc.BodyWriter(), 64<<10)
		_, _ = w.WriteString("\ufeff") // or a spreadsheet takes it for an old code page
		c := csv.NewWriter(w)
		stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
		num := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
		var err error
		if in.Step != "" {
			_ = c.Write([]string{"start", "min", "mean", "max", "count", "unit"})
			for _, b := range buckets {
				_ = c.Write([]string{stamp(b.Start), num(b.Min), num(b.Mean), num(b.Max), strconv.Itoa(b.Count), q.Unit})
			}
		} else {
			_ = c.Write([]string{"time", "received", "value", "unit", "qualities"})
			for err == nil {
				for _, p := range points {
					flags := qualities(p.Flags)
					if p.Corrected {
						flags = append(flags, "corrected")
					}
					_ = c.Write([]string{stamp(p.Time), stamp(p.Received), num(p.Number), q.Unit, strings.Join(flags, " ")})
				}
				if c.Flush(); c.Error() != nil || len(points) < exportPage {
					break
				}
				points, err = a.History.Range(hc.Context(), d.ID, q.Name, points[len(points)-1].Time.Add(time.Millisecond), to, exportPage)
			}
		}
		if c.Flush(); err == nil && c.Error() == nil {
			_, _ = w.WriteString("# complete\n")
		}
		if err = errors.Join(err, c.Error(), w.Flush()); err != nil {
			a.Log.Debug("a table of readings was cut", "device", d.ID, "err", err)
		}
	}}, nil
}
