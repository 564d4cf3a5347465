package opscenter

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// networkView is one device as a node of the network.
type networkView struct {
	Device   devices.ID       `json:"device"`
	Presence devices.Presence `json:"presence" enum:"never,online,late,silent"`
	Family   devices.Family   `json:"family" enum:"v6-only,v4-only,dual,unknown,unheard" doc:"Over the last 7 days"`
	Site     string           `json:"site,omitempty" doc:"Name of the narrowest prefix its last address is in"`
	Carrier  string           `json:"carrier,omitempty" doc:"Who runs that prefix"`
	Cloned   bool             `json:"isCloned" doc:"Its identity alternated between two addresses in the last hour"`
	// Held is how much was held up or turned away because it was over a bound.
	Held      uint64         `json:"overBounds" doc:"Messages over its bounds since the server started"`
	RoundTrip *roundTripView `json:"roundTrip,omitempty" doc:"As measured by the server"`
	Upstream  devices.ID     `json:"upstream,omitempty"`
	// Children hang on it, Because is the node above that is silent.
	Children int        `json:"children" doc:"Devices that hang on it"`
	Because  devices.ID `json:"because,omitempty" doc:"The silent node above it that explains its own silence"`
	devices.Node
}

type roundTripView struct {
	LastMs float64 `json:"lastMs"`
	MeanMs float64 `json:"meanMs"`
	devices.RoundTrip
}

type networkOutput struct{ Body networkView }

type prefixesOutput struct {
	Body struct {
		Prefixes []devices.PrefixUse `json:"prefixes" doc:"By prefix, with the traffic from it"`
		Others   []devices.SiteUse   `json:"others" doc:"Sites in none of them, the busiest first; at most 1,000"`
	}
}

type setPrefixesInput struct {
	Body struct {
		Prefixes []devices.Prefix `json:"prefixes" doc:"The whole register; what is not in it goes"`
	}
}

type transitionInput struct {
	Since  string         `query:"since" default:"-168h" doc:"A node counts by what was heard since"`
	Family devices.Family `query:"family" enum:"v6-only,v4-only,dual,unknown,unheard" doc:"List these nodes only"`
}

type transitionOutput struct{ Body devices.Transition }

const (
	// familyWindow is what a node's family is judged by: a week has every kind
	// of day.
	familyWindow = 7 * 24 * time.Hour
	// clonedFor is how long a device is shown as cloned.
	clonedFor = time.Hour
	maxOthers = 1000
)

func (a *api) networkRoutes() {
	route(a, access.ViewEvidence, huma.Operation{
		OperationID: "device-network", Method: http.MethodGet, Path: "/v1/devices/{id}/network", Tags: []string{"network"},
		Summary:     "One device as a node: addresses, sessions, traffic, refusals",
		Description: "Counters go on over restarts; what is over bounds and the round trip begin anew with the server.",
	}, a.deviceNetwork)
	route(a, access.ViewStatus, huma.Operation{
		OperationID: "list-prefixes", Method: http.MethodGet, Path: "/v1/prefixes", Tags: []string{"network"},
		Summary: "The prefix register and the traffic of each prefix",
	}, a.listPrefixes)
	route(a, access.ManageDevices, huma.Operation{
		OperationID: "set-prefixes", Method: http.MethodPut, Path: "/v1/prefixes", Tags: []string{"network"},
		Summary: "Replace the prefix register", MaxBodyBytes: 16 << 20,
		SkipValidateBody: true, // Set says what is wrong in words of the register
	}, a.setPrefixes)
	route(a, access.ViewStatus, huma.Operation{
		OperationID: "ipv6-report", Method: http.MethodGet, Path: "/v1/reports/ipv6", Tags: []string{"network"},
		Summary: "How far the move to IPv6 has come: each node's families and the share of the traffic",
	}, a.ipv6Report)
}

func (a *api) deviceNetwork(_ context.Context, in *deviceInput) (*networkOutput, error) {
	if a.Network == nil {
		return nil, absent("the network")
	}
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	now := a.now()
	v := networkView{Device: d.ID, Presence: devices.Never, Family: devices.Unheard, Upstream: d.Upstream}
	node, heard := a.Network.Node(d.ID)
	v.Node = node
	if v.Addresses == nil {
		v.Addresses = []devices.AddressUse{}
	}
	if heard {
		v.Family = node.Family(now.Add(-familyWindow))
		v.Cloned = now.Sub(node.Cloned) < clonedFor
		if profile, ok := a.Catalogue.Profile(d.Profile); ok {
			v.Presence = profile.Presence(node.Last, now)
		}
	}
	if len(node.Addresses) > 0 && a.Prefixes != nil {
		if p, ok := a.Prefixes.Find(node.Addresses[0].Address); ok {
			v.Site, v.Carrier = p.Name, p.Carrier
		}
	}
	if a.OverBounds != nil {
		v.Held = a.OverBounds(d.ID)
	}
	if a.RoundTrip != nil {
		if t, ok := a.RoundTrip(d.ID); ok {
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			v.RoundTrip = &roundTripView{ms(t.Last), ms(t.Mean), t}
		}
	}
	for _, other := range a.Register.List() {
		if other.Upstream == d.ID && other.State != devices.Retired {
			v.Children++
		}
	}
	if v.Presence == devices.Silent {
		v.Because = a.silentAbove(d, now)
	}
	return &networkOutput{v}, nil
}

// silentAbove is the topmost silent node that a device hangs on.
func (a *api) silentAbove(d *devices.Device, now time.Time) (because devices.ID) {
	for depth := 0; d.Upstream != "" && depth < devices.MaxDepth; depth++ {
		up, ok := a.Register.Get(d.Upstream)
		if !ok {
			break
		}
		profile, known := a.Catalogue.Profile(up.Profile)
		node, _ := a.Network.Node(up.ID)
		if known && profile.Presence(node.Last, now) == devices.Silent {
			because = up.ID
		}
		d = up
	}
	return because
}

func (a *api) listPrefixes(context.Context, *struct{}) (*prefixesOutput, error) {
	if a.Network == nil {
		return nil, absent("the network")
	}
	out := &prefixesOutput{}
	out.Body.Prefixes, out.Body.Others = a.Network.ByPrefix()
	if len(out.Body.Others) > maxOthers {
		out.Body.Others = out.Body.Others[:maxOthers]
	}
	if out.Body.Others == nil {
		out.Body.Others = []devices.SiteUse{}
	}
	return out, nil
}

func (a *api) setPrefixes(ctx context.Context, in *setPrefixesInput) (*prefixesOutput, error) {
	if a.Prefixes == nil {
		return nil, absent("the prefix register")
	}
	before := a.Prefixes.List()
	if err := a.Prefixes.Set(ctx, in.Body.Prefixes); err != nil {
		if isRetry(err) {
			return nil, unavailable("prefix register not available", err)
		}
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	a.changed(ctx, "prefixes.set", "prefixes", before, a.Prefixes.List())
	return a.listPrefixes(ctx, nil)
}

func (a *api) ipv6Report(_ context.Context, in *transitionInput) (*transitionOutput, error) {
	if a.Network == nil {
		return nil, absent("the network")
	}
	since, err := parseTime(in.Since, a.now(), a.Calendar)
	if err != nil {
		return nil, badParameter("since", in.Since, err)
	}
	return &transitionOutput{a.Network.Transition(since, in.Family)}, nil
}
