package opscenter

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
)

// liveRoutes are the socket and what its indices mean. The socket decides for
// itself who may open it, because a browser is told by a close code, not by a
// status.
func (a *api) liveRoutes() {
	a.raw(access.Self, huma.Operation{
		OperationID: "live", Method: http.MethodGet, Path: "/v1/live", Tags: []string{"live"},
		Summary:     "The live socket",
		Description: "WebSocket, subprotocol vonglau.wall.v1. Needs a token or a session and permission to view.",
		Responses:   map[string]*huma.Response{"101": {Description: "Switching protocols"}, "403": {Description: "Foreign origin"}, "426": {Description: "Not a WebSocket"}},
	}, a.Hub.Handler(a.Access.Admit))
	a.raw(access.View, huma.Operation{
		OperationID: "live-dictionary", Method: http.MethodGet, Path: "/v1/live/dictionary", Tags: []string{"live"},
		Summary:   "What the indices in live frames mean",
		Responses: map[string]*huma.Response{"200": {Description: "The dictionary, in columns"}, "304": {Description: "As before"}},
	}, http.HandlerFunc(a.Hub.ServeDictionary))
}
