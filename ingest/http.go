package ingest

import (
	"compress/gzip"
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
	gate   *Gate
	images *Images // nil serves none
}

// NewHTTP makes the door.
func NewHTTP(g *Gate, images *Images) *HTTP { return &HTTP{gate: g, images: images} }

// Routes are the patterns of net/http.ServeMux that this door serves. They
// prove a device's identity themselves and take no person's session.
func (h *HTTP) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		"POST /v1/devices/{id}/telemetry": http.HandlerFunc(h.telemetry),
		"POST /api/v2/write":              http.HandlerFunc(h.line),
	}
	if h.images != nil {
		routes["GET /v1/devices/{id}/firmware/{name}"] = http.HandlerFunc(h.firmware)
	}
	return routes
}

// curlDefault is what `curl --data` says when it is not told: nothing about
// the bytes, so the device's profile decides.
const curlDefault = "application/x-www-form-urlencoded"

// maxLines bounds one write of line protocol: a collector sends the readings of
// many devices at once.
const maxLines = 4 << 20

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
	contentType := r.Header.Get("Content-Type")
	if contentType == curlDefault {
		contentType = ""
	}
	format, err := devices.FormatOfMIME(contentType)
	if err != nil {
		h.turnAway(w, device, from, devices.ViaHTTP, err)
		return
	}
	payload, err := h.body(w, r, h.gate.opt.Limits.Bytes)
	if err != nil {
		h.turnAway(w, device, from, devices.ViaHTTP, err)
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
	payload, err := h.body(w, r, maxLines)
	if err != nil {
		h.turnAway(w, writer, from, devices.ViaLine, err)
		return
	}
	precision, err := devices.ParseLinePrecision(r.URL.Query().Get("precision"))
	if err != nil {
		h.turnAway(w, writer, from, devices.ViaLine, err)
		return
	}
	raw, err := devices.DecodeLine(payload, h.gate.opt.Now().UTC(), precision, devices.Limits{Bytes: maxLines, Observations: 50_000})
	if err != nil {
		refusal := asRefusal(err)
		refusal.Payload = evidenceOf(payload)
		h.turnAway(w, writer, from, devices.ViaLine, refusal)
		return
	}
	// One request, one answer: it leaves when the last device's part is on disk.
	result := make(chan error, 1)
	all := newJoin(func(err error) { result <- err })
	for id, part := range bySender(raw, writer.ID) {
		d := Delivery{Via: devices.ViaLine, From: from, Payload: payload, Size: max(1, len(payload)*len(part)/len(raw))}
		all.add()
		if d.Device, err = h.childOf(writer, id); err != nil {
			foreign := asRefusal(err)
			foreign.Device, foreign.Via, foreign.From, foreign.Payload = writer.ID, devices.ViaLine, from, evidenceOf(payload)
			h.gate.Refused(foreign, func(err error) {
				if err == nil {
					err = foreign
				}
				all.done(0, err)
			})
			continue
		}
		for i := range part {
			part[i].Name = "" // proven above
		}
		h.gate.SubmitDecoded(d, part, func(err error) { all.done(0, err) })
	}
	all.close()
	h.await(w, r, result)
}

// bySender sorts a write's points by the device they name; one that names none
// is the writer's own.
func bySender(raw []devices.RawObservation, writer devices.ID) map[devices.ID][]devices.RawObservation {
	parts := map[devices.ID][]devices.RawObservation{}
	for _, o := range raw {
		id := writer
		if o.Name != "" {
			id = devices.ID(o.Name)
		}
		parts[id] = append(parts[id], o)
	}
	return parts
}

// childOf finds the device a point is about: the writer, or one that hangs on
// it in the register.
func (h *HTTP) childOf(writer *devices.Device, id devices.ID) (*devices.Device, error) {
	if id == writer.ID {
		return writer, nil
	}
	child, ok := h.gate.opt.Register.Get(id)
	if !ok || child.Upstream != writer.ID {
		return nil, devices.Refuse(devices.ReasonForeignDevice, "%.64q does not hang on %s in the register", id, writer.ID)
	}
	return child, nil
}

func (h *HTTP) authenticate(id, token string, from netip.AddrPort, via devices.Via) (*devices.Device, *devices.Refusal) {
	device, err := h.gate.Authenticate(devices.ID(id), token)
	if err == nil {
		return device, nil
	}
	refusal := asRefusal(err)
	refusal.Via, refusal.From = via, from
	h.gate.Refused(refusal, nil)
	return nil, refusal
}

// body reads a payload of at most limit bytes, unpacked if it came packed:
// Telegraf sends gzip unless told otherwise.
func (h *HTTP) body(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, int64(limit))
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, devices.Refuse(devices.ReasonMalformed, "the body is not gzip: %v", err)
		}
		body = unzipped
	default:
		return nil, devices.Refuse(devices.ReasonBadFormat, "content encoding %.20q is not served; send gzip or none", encoding)
	}
	payload, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over) || len(payload) > limit:
		return nil, devices.Refuse(devices.ReasonTooLarge, "payload over %d bytes", limit)
	case err != nil:
		return nil, devices.Refuse(devices.ReasonMalformed, "reading the request body: %v", err)
	}
	return payload, nil
}

// turnAway refuses what never became a delivery, with evidence.
func (h *HTTP) turnAway(w http.ResponseWriter, d *devices.Device, from netip.AddrPort, via devices.Via, err error) {
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
		header.Set("Retry-After", strconv.Itoa(int(waitOf(refusal)/time.Second)))
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
