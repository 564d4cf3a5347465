package opscenter

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/websocket"

	"vonglau/ops-center/access"
	"vonglau/ops-center/notify"
)

// streamRoutes are what receivers come for with credentials of their own.
func (a *api) streamRoutes() {
	query := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: "string"}}
	}
	path := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Description: doc, Schema: &huma.Schema{Type: "string"}}
	}
	a.raw(access.Self, huma.Operation{
		OperationID: "department-stream", Method: http.MethodGet, Path: "/v1/departments/{id}/stream", Tags: []string{"subscriptions"},
		Summary: "A department's alerts as they come, over WebSocket",
		Description: "Wants the token of a stream subscription as bearer token. Each text frame is one message of /v1/asyncapi.json. " +
			"since is the seq of the last event one has; what came after it is sent first. {\"ack\": seq} is the receipt.",
		Parameters: []*huma.Param{path("id", "The department's name in small letters without marks, with hyphens: so-xay-dung"), query("since", "Go on behind this event; without it the stream begins now")},
		Responses:  map[string]*huma.Response{"101": {Description: "Switching protocols"}, "401": {Description: "No such token"}, "426": {Description: "Not a WebSocket"}},
	}, http.HandlerFunc(a.departmentStream))
	a.raw(access.Self, huma.Operation{
		OperationID: "subscription-feed", Method: http.MethodGet, Path: "/v1/subscriptions/{id}/feed.atom", Tags: []string{"subscriptions"},
		Summary:    "A subscription as an Atom feed",
		Parameters: []*huma.Param{path("id", "The subscription"), query("token", "Its token")},
		Responses:  map[string]*huma.Response{"200": {Description: "Atom (RFC 4287)"}, "401": {Description: "No such token"}},
	}, http.HandlerFunc(a.subscriptionFeed))
	a.raw(access.Public, huma.Operation{
		OperationID: "asyncapi", Method: http.MethodGet, Path: "/v1/asyncapi.json", Tags: []string{"subscriptions"},
		Summary:   "What webhooks, MQTT and the stream carry, as AsyncAPI 3.0",
		Responses: map[string]*huma.Response{"200": {Description: "The description"}},
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, AsyncAPI(a.Version)) }))
}

// bearer is the token of a request that comes with one.
func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func (a *api) subscriptionFeed(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	if token == "" {
		token = bearer(r)
	}
	if a.Notify == nil {
		problem(w, http.StatusNotImplemented, "", "subscriptions are not part of this server")
		return
	}
	s, ok := a.Notify.Prove(r.PathValue("id"), token)
	if !ok || s.Kind != notify.Atom {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vonglau"`)
		problem(w, http.StatusUnauthorized, "", "no feed has this token")
		return
	}
	body, err := a.Notify.Feed(r.Context(), s.ID, r.URL.Path)
	if err != nil {
		a.Log.Error("a feed could not be read", "subscription", s.ID, "err", err)
		problem(w, http.StatusServiceUnavailable, "", "the feed cannot be read now")
		return
	}
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	_, _ = w.Write(body)
}

const (
	streamPing  = 20 * time.Second
	streamWrite = 10 * time.Second
)

// departmentStream serves one receiver: one goroutine writes, one reads its
// receipts. It has the subscription's token, not a cookie, so no page of another
// site can open it for a visitor.
func (a *api) departmentStream(w http.ResponseWriter, r *http.Request) {
	if a.Notify == nil {
		problem(w, http.StatusNotImplemented, "", "subscriptions are not part of this server")
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		problem(w, http.StatusUpgradeRequired, "", "this address speaks WebSocket")
		return
	}
	s, ok := a.Notify.ProveDepartment(r.PathValue("id"), bearer(r))
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vonglau"`)
		problem(w, http.StatusUnauthorized, "", "no stream of this department has this token")
		return
	}
	since := a.Notify.End()
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			problem(w, http.StatusUnprocessableEntity, "", "since is the seq of an event")
			return
		}
		since = min(n, since)
	}
	tail, err := a.Notify.Tail(s.ID, since)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, "", "the stream cannot be opened now")
		return
	}
	defer tail.Close()
	up := &websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 4096, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.Close() }()
	conn.SetReadLimit(1024)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer cancel()
		receipts(conn, tail)
	}()
	defer func() { _ = conn.Close(); <-received }()
	for {
		// A time without messages is a time to see whether it is there.
		wait, stop := context.WithTimeout(ctx, streamPing)
		seq, body, err := tail.Next(wait)
		quiet := wait.Err() != nil // before stop, which ends it as well
		stop()
		_ = conn.SetWriteDeadline(time.Now().Add(streamWrite))
		switch {
		case err == nil:
			err = conn.WriteMessage(websocket.TextMessage, body)
			tail.Sent(seq)
		case ctx.Err() != nil:
			return
		case quiet:
			err = conn.WriteMessage(websocket.PingMessage, nil)
		default:
			_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseServiceRestart, "the stream has ended: come again"))
			return
		}
		if err != nil {
			return
		}
	}
}

// receipts reads what the receiver acknowledges until it goes.
func receipts(conn *websocket.Conn, tail *notify.Tail) {
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(3 * streamPing)) }
	_ = alive("")
	conn.SetPongHandler(alive)
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		_ = alive("")
		var m struct {
			Ack uint64 `json:"ack"`
		}
		if json.Unmarshal(raw, &m) != nil || m.Ack == 0 {
			return // not what was agreed
		}
		tail.Ack(m.Ack)
	}
}

// AsyncAPI describes what reaches departments. The schemas are those of the
// types that are sent.
func AsyncAPI(version string) map[string]any {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.Schema(reflect.TypeFor[notify.Message](), true, "Message")
	registry.Schema(reflect.TypeFor[streamReceipt](), true, "Receipt")
	ref := func(to string) map[string]any { return map[string]any{"$ref": to} }
	headers := map[string]any{"type": "object", "required": []string{notify.HeaderSignature, notify.HeaderDelivery}, "properties": map[string]any{
		notify.HeaderSignature: map[string]any{"type": "string", "pattern": "^t=[0-9]+(,v1=[0-9a-f]{64})+$",
			"description": "t is the time of sending in seconds since 1970; each v1 is hex HMAC-SHA-256 over t, a full stop and the body, one for each secret that counts now"},
		notify.HeaderDelivery: map[string]any{"type": "string", "description": "The delivery's id, the same however often it is tried"},
	}}
	return map[string]any{
		"asyncapi": "3.0.0",
		"info": map[string]any{"title": "Vonglau: alerts for departments", "version": version,
			"description": "At least once and in order. Whoever gets an id again has it already."},
		"defaultContentType": "application/json",
		"servers": map[string]any{
			"stream": map[string]any{"host": "{host}", "protocol": "wss", "variables": map[string]any{"host": map[string]any{"description": "This server"}}},
			"mqtt": map[string]any{"host": "{host}:8883", "protocol": "secure-mqtt", "variables": map[string]any{"host": map[string]any{"description": "This server"}},
				"description": "User name departments/{id}, password the subscription's token; QoS 1; a session that stays finds what it missed"},
		},
		"channels": map[string]any{
			"webhook": map[string]any{"address": nil, "description": "The address of the subscription. A status of 2xx is the receipt.",
				"messages": map[string]any{"json": ref("#/components/messages/webhook"), "cap": ref("#/components/messages/cap")}},
			"alerts": map[string]any{"address": "departments/{id}/alerts", "servers": []any{ref("#/servers/mqtt")},
				"parameters": map[string]any{"id": map[string]any{"description": "The department: small letters without marks, with hyphens"}},
				"messages":   map[string]any{"alert": ref("#/components/messages/alert")}},
			"stream": map[string]any{"address": "/v1/departments/{id}/stream", "servers": []any{ref("#/servers/stream")},
				"parameters": map[string]any{"id": map[string]any{"description": "As in the topic"}},
				"bindings":   map[string]any{"ws": map[string]any{"method": "GET", "query": map[string]any{"type": "object", "properties": map[string]any{"since": map[string]any{"type": "integer"}}}}},
				"messages":   map[string]any{"alert": ref("#/components/messages/alert"), "receipt": ref("#/components/messages/receipt")}},
		},
		"operations": map[string]any{
			"deliver":  map[string]any{"action": "send", "channel": ref("#/channels/webhook")},
			"publish":  map[string]any{"action": "send", "channel": ref("#/channels/alerts")},
			"stream":   map[string]any{"action": "send", "channel": ref("#/channels/stream"), "messages": []any{ref("#/channels/stream/messages/alert")}},
			"received": map[string]any{"action": "receive", "channel": ref("#/channels/stream"), "messages": []any{ref("#/channels/stream/messages/receipt")}},
		},
		"components": map[string]any{
			"schemas": registry.Map(),
			"messages": map[string]any{
				"webhook": map[string]any{"name": "webhook", "contentType": "application/json", "headers": headers, "payload": ref("#/components/schemas/Message")},
				"cap":     map[string]any{"name": "cap", "contentType": "application/cap+xml", "headers": headers, "payload": map[string]any{"type": "string", "description": "A CAP 1.2 alert"}},
				"alert":   map[string]any{"name": "alert", "contentType": "application/json", "payload": ref("#/components/schemas/Message")},
				"receipt": map[string]any{"name": "receipt", "contentType": "application/json", "payload": ref("#/components/schemas/" + registry.Schema(reflect.TypeFor[streamReceipt](), true, "").Ref[len("#/components/schemas/"):])},
			},
		},
	}
}

// streamReceipt is what a receiver says over WebSocket.
type streamReceipt struct {
	Ack uint64 `json:"ack" doc:"The seq of an event that has arrived"`
}
