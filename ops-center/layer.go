package opscenter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/access"
)

type layersOutput struct {
	Body struct {
		Layers []geo.LayerInfo `json:"layers"`
	}
}

type placeInput struct {
	Lon float64 `query:"lon" required:"true" minimum:"-180" maximum:"180"`
	Lat float64 `query:"lat" required:"true" minimum:"-90" maximum:"90"`
	At  string  `query:"at" maxLength:"40" doc:"The day, or a time, whose boundaries are asked for; today when left out"`
}

type placeOutput struct {
	Body struct {
		Lon   float64        `json:"lon"`
		Lat   float64        `json:"lat"`
		At    devices.Date   `json:"at"`
		Zones []placedInView `json:"zones"`
	}
}

type placedInView struct {
	Layer     string       `json:"layer"`
	Code      string       `json:"code"`
	Name      string       `json:"name"`
	ValidFrom devices.Date `json:"validFrom"`
	ValidTo   devices.Date `json:"validTo,omitempty"`
}

// importProblem is a problem with what was found in the file.
type importProblem struct {
	huma.ErrorModel
	Report *geo.Report `json:"report,omitempty"`
}

func (a *api) layerRoutes() {
	route(a, access.View, huma.Operation{
		OperationID: "list-layers", Method: http.MethodGet, Path: "/v1/layers", Tags: []string{"layers"},
		Summary: "Layers and their versions",
	}, func(context.Context, *struct{}) (*layersOutput, error) {
		out := &layersOutput{}
		if out.Body.Layers = a.Layers.List(); out.Body.Layers == nil {
			out.Body.Layers = []geo.LayerInfo{}
		}
		return out, nil
	})
	route(a, access.View, huma.Operation{
		OperationID: "place", Method: http.MethodGet, Path: "/v1/place", Tags: []string{"layers"},
		Summary: "The zones a place lies in",
	}, a.place)
	query := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: "string"}}
	}
	inPath := func(name string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	}
	a.raw(access.ManageLayers, huma.Operation{
		OperationID: "import-layer", Method: http.MethodPost, Path: "/v1/layers/{name}", Tags: []string{"layers"},
		Summary:     "Import GeoJSON as one version of a layer",
		Description: "Replaces the version with the same valid_from, whole or not at all.",
		Parameters: []*huma.Param{
			inPath("name"), query("code", "Property that holds a zone's code"), query("name", "Property that holds a zone's name"),
			query("valid_from", "First day, 2025-07-01; since ever when left out"), query("valid_to", "Last day; for ever when left out"),
			query("join", "true: readings are given the zones of this layer"), query("within", "Metres, for lines and points that are joined"),
			query("min_zoom", "Zoom below which the layer is too small to see"), query("attribution", "Shown on the map"),
			query("skip_bad", "true: import the rest when features are refused"),
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/geo+json": {}}},
		Responses: map[string]*huma.Response{
			"200": {Description: "What was imported and what was found"},
			"422": {Description: "Nothing was imported; the problem holds the report"},
		},
	}, http.HandlerFunc(a.importLayer))
	a.raw(access.View, huma.Operation{
		OperationID: "get-tile", Method: http.MethodGet, Path: "/v1/layers/{name}/tiles/{z}/{x}/{y}.mvt", Tags: []string{"layers"},
		Summary:    "A vector tile of a layer",
		Parameters: []*huma.Param{inPath("name"), inPath("z"), inPath("x"), inPath("y"), query("at", "The day whose boundaries are asked for; the newest when left out")},
		Responses:  map[string]*huma.Response{"200": {Description: "Mapbox Vector Tile 2.1"}, "204": {Description: "Nothing lies there"}, "304": {Description: "As before"}, "404": {Description: "No such layer"}},
	}, a.compress(http.HandlerFunc(a.tile)))
}

// day reads a parameter that names a day, or a time of a day.
func (a *api) day(s string) (devices.Date, error) {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return devices.Date(s), nil
	}
	t, err := parseTime(s, a.now().UTC(), a.Calendar)
	if err != nil {
		return "", err
	}
	return geo.Day(t, a.Calendar), nil
}

func (a *api) place(_ context.Context, in *placeInput) (*placeOutput, error) {
	// NaN is within every bound, and no JSON.
	if math.IsNaN(in.Lon) || math.IsNaN(in.Lat) {
		return nil, huma.Error422UnprocessableEntity("lon and lat are degrees")
	}
	at := geo.Day(a.now(), a.Calendar)
	if in.At != "" {
		var err error
		if at, err = a.day(in.At); err != nil {
			return nil, badParameter("at", in.At, err)
		}
	}
	out := &placeOutput{}
	b := &out.Body
	b.Lon, b.Lat, b.At, b.Zones = in.Lon, in.Lat, at, []placedInView{}
	for _, ref := range a.Layers.Place(in.Lon, in.Lat, at, nil) {
		v := placedInView{Layer: ref.Layer, Code: ref.Code, ValidFrom: ref.ValidFrom}
		if z, ok := a.Layers.Zone(ref); ok {
			v.Name, v.ValidTo = z.Name, z.ValidTo
		}
		b.Zones = append(b.Zones, v)
	}
	return out, nil
}

// importPatience is how long an upload may stand still.
const importPatience = 30 * time.Second

// patient is a body that is given its time as long as it moves.
type patient struct {
	io.Reader
	extend func()
}

func (p patient) Read(b []byte) (int, error) {
	p.extend()
	return p.Reader.Read(b)
}

func (a *api) importLayer(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	opt := geo.ImportOptions{
		Code: q.Get("code"), Name: q.Get("name"), Attribution: q.Get("attribution"),
		ValidFrom: devices.Date(q.Get("valid_from")), ValidTo: devices.Date(q.Get("valid_to")),
	}
	var bad []string
	flag := func(name string) bool {
		v := q.Get(name)
		b, err := strconv.ParseBool(v)
		if v != "" && err != nil {
			bad = append(bad, name)
		}
		return b
	}
	number := func(name string) float64 {
		v := q.Get(name)
		n, err := strconv.ParseFloat(v, 64)
		if v != "" && err != nil {
			bad = append(bad, name)
		}
		return n
	}
	opt.Join, opt.SkipBad, opt.Within = flag("join"), flag("skip_bad"), number("within")
	zoom := number("min_zoom")
	if opt.MinZoom = int(zoom); float64(opt.MinZoom) != zoom {
		bad = append(bad, "min_zoom")
	}
	if len(bad) > 0 {
		problem(w, http.StatusUnprocessableEntity, "parameter cannot be read", strings.Join(bad, ", "))
		return
	}
	rc := http.NewResponseController(w)
	body := patient{r.Body, func() { _ = rc.SetReadDeadline(time.Now().Add(importPatience)) }}
	before, replaced := a.Layers.Version(r.PathValue("name"), opt.ValidFrom)
	rep, err := a.Layers.Import(r.Context(), r.PathValue("name"), body, opt)
	_ = rc.SetWriteDeadline(time.Now().Add(answerPatience))
	switch {
	case err == nil:
		var was any
		if replaced && rep.Replaced {
			was = map[string]any{"stamp": before.Stamp}
		}
		after := map[string]any{"validFrom": rep.ValidFrom, "validTo": rep.ValidTo, "imported": rep.Imported, "refused": rep.Refused, "replaced": rep.Replaced}
		if v, ok := a.Layers.Version(rep.Layer, rep.ValidFrom); ok {
			after["stamp"] = v.Stamp
		}
		a.changed(r.Context(), "layer.import", rep.Layer, was, after)
		answer(w, http.StatusOK, rep)
	case errors.Is(err, geo.ErrInvalid):
		answer(w, http.StatusUnprocessableEntity, importProblem{huma.ErrorModel{
			Title: "layer not imported", Status: http.StatusUnprocessableEntity, Detail: err.Error(),
		}, &rep})
	default:
		a.Log.Error("layer not imported", "layer", r.PathValue("name"), "err", err)
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "layer not imported", err.Error())
	}
}

func (a *api) tile(w http.ResponseWriter, r *http.Request) {
	var at devices.Date
	if s := r.URL.Query().Get("at"); s != "" {
		var err error
		if at, err = a.day(s); err != nil {
			problem(w, http.StatusUnprocessableEntity, "parameter at cannot be read", err.Error())
			return
		}
	}
	name := r.PathValue("name")
	y, isTile := strings.CutSuffix(r.PathValue("y"), ".mvt")
	var zxy [3]uint32
	for i, s := range []string{r.PathValue("z"), r.PathValue("x"), y} {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || !isTile {
			problem(w, http.StatusNotFound, "", "a tile's address ends in zoom/x/y.mvt")
			return
		}
		zxy[i] = uint32(n)
	}
	version, ok := a.Layers.Version(name, at)
	if !ok {
		problem(w, http.StatusNotFound, "", fmt.Sprintf("there is no layer %.80q on that day", name))
		return
	}
	// The stamp changes with the content, and the address names the tile.
	tag := strconv.Quote(version.Stamp)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	b, err := a.Layers.Tile(r.Context(), name, zxy[0], zxy[1], zxy[2], at)
	switch {
	case errors.Is(err, geo.ErrInvalid), errors.Is(err, geo.ErrNotFound):
		w.Header().Del("ETag")
		problem(w, http.StatusNotFound, "", err.Error())
	case err != nil:
		w.Header().Del("ETag")
		if r.Context().Err() == nil {
			a.Log.Error("tile not made", "layer", name, "err", err)
		}
		problem(w, http.StatusServiceUnavailable, "tile not available", "the server's log has the cause")
	case len(b) == 0:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/vnd.mapbox-vector-tile")
		_, _ = w.Write(b)
	}
}
