package opscenter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/paulmach/orb"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/access"
	"vonglau/ops-center/live"
)

// What a map asks that no single device answers: figures by zone, what lies
// where in a crowd, how devices hang on nodes, and where a place is.

type aggregateInput struct {
	Layer    string `query:"layer" default:"wards" maxLength:"64" doc:"A layer whose zones readings are given"`
	Quantity string `query:"quantity" required:"true" maxLength:"64"`
	Stat     string `query:"stat" default:"mean" enum:"mean,min,max" doc:"Over the devices in a zone"`
	Window   string `query:"window" maxLength:"40" doc:"How far back: 15m, 1h, 1d. Left out: each device's newest value, where it is no older than a silent device's"`
	Replay   string `query:"replay" maxLength:"40" doc:"A replay under way, by the id of its hub: its moment instead of the present"`
}

type aggregateOutput struct {
	Body struct {
		Layer    string           `json:"layer"`
		Quantity devices.Quantity `json:"quantity"`
		Unit     string           `json:"unit"`
		Stat     string           `json:"stat" enum:"mean,min,max"`
		Window   string           `json:"window,omitempty"`
		At       time.Time        `json:"at"`
		Zones    []zoneFigure     `json:"zones" doc:"Every zone of the layer as it is today, by code"`
	}
}

type zoneFigure struct {
	Code      string       `json:"code"`
	Name      string       `json:"name"`
	ValidFrom devices.Date `json:"validFrom"`
	Value     *float64     `json:"value" doc:"null where nothing may be counted"`
	Count     int          `json:"n" doc:"Devices counted; with a window, readings"`
	Left      int          `json:"left" doc:"Devices left out because what they said is old, implausible, or of a clock that is wrong; 0 with a window"`
}

type clustersInput struct {
	View   string `query:"view" required:"true" maxLength:"120" doc:"west,south,east,north in degrees; west greater than east goes over the date line"`
	Zoom   int    `query:"zoom" required:"true" minimum:"0" maximum:"18" doc:"Of a map whose world is 512 pixels at 0; a cell is 64 pixels"`
	Hide   string `query:"hide" maxLength:"2000" doc:"Classes of devices that are not counted, with commas between"`
	Replay string `query:"replay" maxLength:"40" doc:"A replay under way, by the id of its hub: its moment instead of the present"`
}

type clustersOutput struct {
	Body struct {
		Cells []clusterView `json:"cells" doc:"From north to south"`
	}
}

type clusterView struct {
	At     [2]float64 `json:"at" doc:"Longitude and latitude: the mean of its devices"`
	Box    [4]float64 `json:"box" doc:"west, south, east, north of its devices"`
	Count  int        `json:"n"`
	Worst  uint8      `json:"worst" doc:"Priority of the worst open alarm on its devices, 0 for none"`
	By     [5]int     `json:"by" doc:"Devices by the priority of their worst open alarm, from none to 4"`
	Silent int        `json:"silent"`
	Device devices.ID `json:"device,omitempty" doc:"The device, where there is but one"`
}

type linksOutput struct {
	Body struct {
		At    time.Time  `json:"at"`
		Nodes []nodeView `json:"nodes" doc:"Devices that others hang on"`
		// Columns: a city has a hundred thousand.
		Device []devices.ID `json:"device" doc:"Devices that hang on a node"`
		Node   []int        `json:"node" doc:"For each of them its node, as an index into nodes"`
	}
}

type nodeView struct {
	ID       devices.ID       `json:"id"`
	Name     string           `json:"name"`
	At       place            `json:"at"`
	Presence devices.Presence `json:"presence" enum:"never,online,late,silent"`
	Children int              `json:"children" doc:"Devices that hang on it directly"`
	Behind   int              `json:"behind" doc:"All devices that reach us over it"`
	Because  devices.ID       `json:"because,omitempty" doc:"The silent node above it that explains its own silence"`
}

type linksInput struct {
	Replay string `query:"replay" maxLength:"40" doc:"A replay under way, by the id of its hub: which of its devices are heard at its moment. Who hangs on whom is as the register has it today, which keeps no history"`
}

type placesInput struct {
	Query string `query:"q" required:"true" minLength:"1" maxLength:"100" doc:"With or without diacritics; d stands for đ"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	At    string `query:"at" maxLength:"40" doc:"The day, or a time, whose boundaries and names are searched; today when left out"`
}

type placesOutput struct {
	Body struct {
		Places []placeFound `json:"places" doc:"The best first"`
	}
}

type placeFound struct {
	Layer string     `json:"layer"`
	Code  string     `json:"code"`
	Name  string     `json:"name"`
	At    [2]float64 `json:"at"`
	Box   [4]float64 `json:"box"`
}

func (a *api) aggregateRoutes() {
	clusters := live.NewClusters(a.Hub)
	route(a, access.View, huma.Operation{
		OperationID: "zone-aggregate", Method: http.MethodGet, Path: "/v1/zones/aggregate", Tags: []string{"readings"},
		Summary:     "One figure for each zone of a layer",
		Description: "Silent devices, values out of their range and devices of a drill are not counted. A counter has no mean and is refused.",
	}, a.aggregate)
	route(a, access.View, huma.Operation{
		OperationID: "live-clusters", Method: http.MethodGet, Path: "/v1/live/clusters", Tags: []string{"live"},
		Summary:     "What lies where, in cells of a map",
		Description: "For a view so wide that devices would hide each other. At most a second old.",
	}, func(_ context.Context, in *clustersInput) (*clustersOutput, error) {
		view, err := parseView(in.View)
		if err != nil {
			return nil, badParameter("view", in.View, err)
		}
		var hide []string
		if in.Hide != "" {
			hide = strings.Split(in.Hide, ",")
		}
		of := clusters
		if in.Replay != "" {
			m, err := a.moment(in.Replay)
			if err != nil {
				return nil, err
			}
			of = m.Clusters
		}
		cells, err := of.In(view, in.Zoom, hide, a.now())
		if err != nil {
			return nil, badParameter("view", in.View, err)
		}
		out := &clustersOutput{}
		out.Body.Cells = make([]clusterView, len(cells))
		for i, c := range cells {
			out.Body.Cells[i] = clusterView{[2]float64{c.At.Lon, c.At.Lat}, c.Box, c.Devices, c.Worst, c.By, c.Silent, c.Only}
		}
		return out, nil
	})
	route(a, access.View, huma.Operation{
		OperationID: "network-links", Method: http.MethodGet, Path: "/v1/network/links", Tags: []string{"network"},
		Summary: "Which devices hang on which nodes, and whether the nodes are heard",
	}, a.links)
	route(a, access.View, huma.Operation{
		OperationID: "find-places", Method: http.MethodGet, Path: "/v1/places", Tags: []string{"layers"},
		Summary: "Find places by name in all layers",
	}, a.places)
}

func parseView(s string) (view [4]float64, err error) {
	parts := strings.Split(s, ",")
	if len(parts) != 4 {
		return view, errors.New("want west,south,east,north")
	}
	for i, p := range parts {
		if view[i], err = strconv.ParseFloat(strings.TrimSpace(p), 64); err != nil {
			return view, errors.New("want west,south,east,north in degrees")
		}
	}
	return view, nil
}

// tally gathers the values of a zone.
type tally struct {
	n, left       int
	sum, min, max float64
}

func (t *tally) add(mean, low, high float64, n int) {
	if t.n == 0 || low < t.min {
		t.min = low
	}
	if t.n == 0 || high > t.max {
		t.max = high
	}
	t.n += n
	t.sum += mean * float64(n)
}

func (t *tally) figure(stat string) *float64 {
	if t.n == 0 {
		return nil
	}
	v := t.sum / float64(t.n)
	switch stat {
	case "min":
		v = t.min
	case "max":
		v = t.max
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func (a *api) aggregate(ctx context.Context, in *aggregateInput) (*aggregateOutput, error) {
	q, err := a.quantity(in.Quantity)
	if err != nil {
		return nil, err
	}
	if q.Kind == devices.Counter {
		return nil, badParameter("quantity", in.Quantity, errors.New("it counts up: its level says nothing about now; ask for its rate"))
	}
	info := slices.IndexFunc(a.Layers.List(), func(l geo.LayerInfo) bool { return l.Name == in.Layer })
	if info < 0 {
		return nil, huma.Error404NotFound(fmt.Sprintf("there is no layer %.80q", in.Layer))
	}
	hub, now := a.Hub, a.now()
	if in.Replay != "" {
		m, err := a.moment(in.Replay)
		if err != nil {
			return nil, err
		}
		hub, now = m.Hub, m.Now
	}
	today := geo.Day(now, a.Calendar)
	zones := a.Layers.Zones(in.Layer, today)
	tallies := make(map[devices.ZoneRef]*tally, len(zones))
	for i := range zones {
		tallies[zones[i].Ref] = &tally{}
	}
	if in.Window == "" {
		a.tallyNow(hub, q.Name, in.Layer, today, now, tallies)
	} else if err := a.tallyWindow(ctx, in, q.Name, now, tallies); err != nil {
		return nil, err
	}
	out := &aggregateOutput{}
	b := &out.Body
	b.Layer, b.Quantity, b.Unit, b.Stat, b.Window, b.At = in.Layer, q.Name, q.Unit, in.Stat, in.Window, now.UTC().Truncate(time.Millisecond)
	b.Zones = make([]zoneFigure, len(zones))
	for i := range zones {
		z := &zones[i]
		t := tallies[z.Ref]
		b.Zones[i] = zoneFigure{z.Ref.Code, z.Name, z.Ref.ValidFrom, t.figure(in.Stat), t.n, t.left}
	}
	slices.SortFunc(b.Zones, func(x, y zoneFigure) int { return strings.Compare(x.Code, y.Code) })
	return out, nil
}

// tallyNow counts each device's newest value. A reading carries the zones it
// was taken in; where these are of another version of the layer, the place says.
func (a *api) tallyNow(hub *live.Hub, q devices.Quantity, layer string, today devices.Date, now time.Time, tallies map[devices.ZoneRef]*tally) {
	var refs []devices.ZoneRef
	for _, v := range hub.ValuesOf(q, now) {
		if v.Flags&devices.Exercise != 0 {
			continue
		}
		known := func(r devices.ZoneRef) bool { return r.Layer == layer && tallies[r] != nil }
		refs = v.Zones
		if !slices.ContainsFunc(refs, known) && v.At.Known() {
			refs = a.Layers.Place(v.At.Lon, v.At.Lat, today, nil)
		}
		for _, r := range refs {
			switch {
			case !known(r):
			case v.Stale, v.Flags&(devices.OutOfRange|devices.ClockSuspect) != 0, math.IsNaN(v.Number):
				tallies[r].left++
			default:
				tallies[r].add(v.Number, v.Number, v.Number, 1)
			}
		}
	}
}

// maxWindow bounds how much of the history one picture of the map reads.
const maxWindow = 31 * 24 * time.Hour

func (a *api) tallyWindow(ctx context.Context, in *aggregateInput, q devices.Quantity, now time.Time, tallies map[devices.ZoneRef]*tally) error {
	window, err := parseDuration(in.Window)
	if err == nil && (window < time.Minute || window > maxWindow) {
		err = fmt.Errorf("want a minute to %d days", maxWindow/(24*time.Hour))
	}
	if err != nil {
		return badParameter("window", in.Window, err)
	}
	if a.History == nil {
		return a.noHistory(nil)
	}
	from := now.Add(-window)
	// One bucket that begins with the window, or two where a store rounds.
	list, err := a.History.ByZone(ctx, in.Layer, q, from, now, window, time.Duration(from.UnixNano()%int64(window)))
	if err != nil {
		return a.noHistory(err)
	}
	for _, s := range list {
		t := tallies[s.Zone]
		if t == nil {
			continue
		}
		for _, b := range s.Buckets {
			if b.Count > 0 {
				t.add(b.Mean, b.Min, b.Max, b.Count)
			}
		}
	}
	return nil
}

// links looks at the register as it is. A node's presence is that of its own
// reports, in a replay those of its moment; a device that the replay does not
// have is in none of its links.
func (a *api) links(_ context.Context, in *linksInput) (*linksOutput, error) {
	hub, now := a.Hub, a.now()
	if in.Replay != "" {
		m, err := a.moment(in.Replay)
		if err != nil {
			return nil, err
		}
		hub, now = m.Hub, m.Now
	}
	list := a.Register.List()
	byID := make(map[devices.ID]*devices.Device, len(list))
	children := make(map[devices.ID]int)
	for _, d := range list {
		if in.Replay != "" {
			if _, there := hub.PresenceOf(d.ID); !there {
				continue
			}
		} else if !d.State.Reports() {
			continue
		}
		if d.Exercise != "" {
			continue
		}
		byID[d.ID] = d
		if d.Upstream != "" {
			children[d.Upstream]++
		}
	}
	out := &linksOutput{}
	b := &out.Body
	b.At, b.Nodes, b.Device, b.Node = now.UTC().Truncate(time.Millisecond), []nodeView{}, []devices.ID{}, []int{}
	for id, n := range children {
		d, ok := byID[id]
		if !ok {
			continue
		}
		v := nodeView{ID: id, Name: d.Name, At: placeOf(d.At), Presence: devices.Never, Children: n}
		if p, ok := hub.PresenceOf(id); ok {
			v.Presence = a.freshness(d, p.Seen, now)
			if v.At == nil {
				v.At = placeOf(p.At)
			}
		}
		b.Nodes = append(b.Nodes, v)
	}
	slices.SortFunc(b.Nodes, func(x, y nodeView) int { return strings.Compare(string(x.ID), string(y.ID)) })
	index := make(map[devices.ID]int, len(b.Nodes))
	for i := range b.Nodes {
		index[b.Nodes[i].ID] = i
	}
	for _, d := range list {
		if byID[d.ID] == nil {
			continue
		}
		if i, ok := index[d.Upstream]; ok {
			b.Device, b.Node = append(b.Device, d.ID), append(b.Node, i)
		}
		for up, depth := d.Upstream, 0; up != "" && depth < devices.MaxDepth; depth++ {
			i, ok := index[up]
			if !ok {
				break
			}
			b.Nodes[i].Behind++
			if self, isNode := index[d.ID]; isNode && b.Nodes[self].Presence == devices.Silent && b.Nodes[i].Presence == devices.Silent {
				b.Nodes[self].Because = up // the topmost comes last
			}
			up = byID[up].Upstream
		}
	}
	return out, nil
}

// places looks through the names of all zones. What begins with the question
// comes before what merely holds it, and wards before streets.
func (a *api) places(_ context.Context, in *placesInput) (*placesOutput, error) {
	want := strings.Join(strings.Fields(devices.Fold(in.Query)), " ")
	if want == "" {
		return nil, badParameter("q", in.Query, errors.New("want a letter or a digit"))
	}
	type hit struct {
		placeFound
		rank int
	}
	var hits []hit
	seen := make(map[string]bool)
	today := geo.Day(a.now(), a.Calendar)
	if in.At != "" {
		var err error
		if today, err = a.day(in.At); err != nil {
			return nil, badParameter("at", in.At, err)
		}
	}
	for _, l := range a.Layers.List() {
		for _, z := range a.Layers.Zones(l.Name, today) {
			name := devices.Fold(z.Name)
			rank := 2
			switch i := strings.Index(name, want); {
			case strings.EqualFold(z.Ref.Code, in.Query), name == want:
				rank = 0
			case i < 0:
				continue
			case i == 0 || name[i-1] == ' ':
				rank = 1
			}
			if !l.Join {
				rank += 3
			}
			// A street drawn in forty pieces is one street.
			if key := l.Name + "\n" + name; l.Kind != geo.Polygon && seen[key] {
				continue
			} else {
				seen[key] = true
			}
			box := orb.Bound{Min: z.Label, Max: z.Label}
			if z.Geometry != nil {
				box = z.Geometry.Bound()
			}
			hits = append(hits, hit{placeFound{l.Name, z.Ref.Code, z.Name, [2]float64{z.Label[0], z.Label[1]},
				[4]float64{box.Min[0], box.Min[1], box.Max[0], box.Max[1]}}, rank})
		}
	}
	slices.SortStableFunc(hits, func(x, y hit) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(len(x.Name), len(y.Name)), strings.Compare(x.Name, y.Name))
	})
	out := &placesOutput{}
	out.Body.Places = make([]placeFound, 0, min(len(hits), in.Limit))
	for _, h := range hits[:min(len(hits), in.Limit)] {
		out.Body.Places = append(out.Body.Places, h.placeFound)
	}
	return out, nil
}
