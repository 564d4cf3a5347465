package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vonglau/devices"
)

// HTTP is the door for devices and their collectors that post. Mount Handler
// under the patterns of Routes.
type HTTP struct {
	gate *Gate
}

// NewHTTP makes the door.
func NewHTTP(g *Gate) *HTTP { return &HTTP{gate: g} }

// Routes are the patterns of net/http.ServeMux that this door serves. They
// prove a device's identity themselves and take no person's session.
func (h *HTTP) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"POST /v1/devices/{id}/telemetry": http.HandlerFunc(h.telemetry),
		"POST /api/v2/write":              http.HandlerFunc(h.line),
	}
}

// commitWait bounds how long a request waits for the disk. The journal answers
// every append, so this is for a disk that hangs.
const commitWait = 20 * time.Second

// telemetry takes one payload of one device:
//
//	POST /v1/devices/{id}/telemetry
//	Authorization: Bearer <the device's token>
//	Content-Type: application/json | application/senml+json | application/senml+cbor | application/cbor
//
// 204 when every reading is on disk.
func (h *HTTP) telemetry(w http.ResponseWriter, r *http.Request) {
	from := peer(r)
	device, refusal := h.authenticate(r.PathValue("id"), bearer(r), from, devices.ViaHTTP)
	if refusal != nil {
		h.refuse(w, refusal)
		return
	}
	format, err := devices.FormatFromMIME(r.Header.Get("Content-Type"))
	if err != nil {
		h.turnAway(w, r, device, from, devices.ViaHTTP, err)
		return
	}
	payload, err := h.body(w, r)
	if err != nil {
		h.turnAway(w, r, device, from, devices.ViaHTTP, err)
		return
	}
	h.submit(w, r, Delivery{Device: device, Via: devices.ViaHTTP, From: from, Format: format, Payload: payload})
}

// line takes InfluxDB line protocol as Telegraf's outputs.influxdb_v2 sends it.
// The token proves one device, as "<id>:<token>"; the device tag of a line may
// name that device or one that hangs on it in the register, so that a gateway
// can write for its children.
func (h *HTTP) line(w http.ResponseWriter, r *http.Request) {
	from := peer(r)
	id, token, _ := strings.Cut(bearer(r), ":")
	writer, refusal := h.authenticate(id, token, from, devices.ViaLine)
	if refusal != nil {
		h.refuse(w, refusal)
		return
	}
	payload, err := h.body(w, r)
	if err != nil {
		h.turnAway(w, r, writer, from, devices.ViaLine, err)
		return
	}
	precision := r.URL.Query().Get("precision")
	parts, err := devices.SplitLines(payload, precision)
	if err != nil {
		h.turnAway(w, r, writer, from, devices.ViaLine, err)
		return
	}
	// One request, one answer: it leaves when the last device's part is on disk.
	result := make(chan error, 1)
	all := newJoin(func(err error) { result <- err })
	for _, part := range parts {
		device := writer
		if part.Device != "" && part.Device != writer.ID {
			child, ok := h.gate.opt.Register.Get(part.Device)
			if !ok || child.Upstream != writer.ID {
				foreign := devices.Refuse(devices.ReasonForeignDevice,
					"%s does not hang on %s in the register", part.Device, writer.ID)
				foreign.Device, foreign.Via, foreign.From = writer.ID, devices.ViaLine, from
				all.add()
				h.gate.Refused(foreign, func(err error) {
					if err == nil {
						err = foreign
					}
					all.done(0, err)
				})
				continue
			}
			device = child
		}
		all.add()
		h.gate.Submit(Delivery{
			Device: device, Via: devices.ViaLine, From: from, Format: devices.FormatLine, Payload: part.Payload,
		}, func(err error) { all.done(0, err) })
	}
	all.close()
	h.await(w, r, result)
}

func (h *HTTP) authenticate(id, token string, from netip.AddrPort, via devices.Via) (*devices.Device, *devices.Refusal) {
	device, err := h.gate.Authenticate(devices.ID(id), token)
	if err == nil {
		return device, nil
	}
	refusal := asRefusal(err)
	refusal.Via, refusal.From = via, from
	if parsed, bad := devices.ParseID(id); bad == nil {
		refusal.Device = parsed
	}
	h.gate.Refused(refusal, nil)
	return nil, refusal
}

// body reads the payload up to the gate's limit.
func (h *HTTP) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(h.gate.opt.Limits.Bytes())
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, devices.Refuse(devices.ReasonTooLarge, "payload over %d bytes", limit)
	case err != nil:
		return nil, devices.Refuse(devices.ReasonMalformed, "reading the request body: %v", err)
	}
	return payload, nil
}

// turnAway refuses what never became a delivery, with evidence.
func (h *HTTP) turnAway(w http.ResponseWriter, _ *http.Request, d *devices.Device, from netip.AddrPort, via devices.Via, err error) {
	refusal := asRefusal(err)
	refusal.Device, refusal.Via, refusal.From = d.ID, via, from
	h.gate.Refused(refusal, nil)
	h.refuse(w, refusal)
}

func (h *HTTP) submit(w http.ResponseWriter, r *http.Request, d Delivery) {
	result := make(chan error, 1)
	h.gate.Submit(d, func(err error) { result <- err })
	h.await(w, r, result)
}

func (h *HTTP) await(w http.ResponseWriter, r *http.Request, result <-chan error) {
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	select {
	case err := <-result:
		if err != nil {
			h.refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case <-ctx.Done():
		// It may or may not reach the disk; without an answer the device sends
		// it again, and the same reading twice is one reading.
		h.refuse(w, devices.Refuse(devices.ReasonUnavailable, "the disk did not answer in %s", commitWait))
	}
}

// problem is RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason"`
	Retry  bool   `json:"retry"`
}

func (h *HTTP) refuse(w http.ResponseWriter, err error) {
	refusal, a := answerFor(err)
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if refusal.Reason.Retry() {
		header.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	if a.http == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="devices"`)
		refusal = devices.Refuse(devices.ReasonBadCredential, "unknown device or wrong token")
	}
	w.WriteHeader(a.http)
	_ = json.NewEncoder(w).Encode(problem{
		Type: "about:blank", Title: http.StatusText(a.http), Status: a.http,
		Detail: refusal.Detail, Reason: string(refusal.Reason), Retry: refusal.Reason.Retry(),
	})
}

// bearer takes the token of "Authorization: Bearer …" (RFC 6750) or of "Token
// …", which is InfluxDB's spelling.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Token")) {
		return strings.TrimSpace(token)
	}
	return ""
}

func peer(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return devices.CanonAddrPort(ap)
}
