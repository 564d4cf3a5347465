package ingest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"vonglau/devices"
)

// Enrol is the door for devices that come in by themselves. What a stranger
// presents wrongly is answered alike, kept as evidence, and bounded by source.
type Enrol struct {
	http      HTTP
	enrolment *devices.Enrolment
	attempts  attempts
}

// NewEnrol makes the door.
func NewEnrol(g *Gate, e *devices.Enrolment) *Enrol {
	return &Enrol{http: HTTP{gate: g}, enrolment: e, attempts: attempts{sources: map[netip.Prefix]*allowance{}}}
}

// Routes are the patterns of net/http.ServeMux that this door serves.
func (e *Enrol) Routes() map[string]http.Handler {
	return map[string]http.Handler{"POST /v1/enrol": e}
}

// maxEnrolment bounds a request in bytes: a certificate request is the longest
// part of it.
const maxEnrolment = 16 << 10

// enrolled answers a device that was let in.
type enrolled struct {
	ID    devices.ID        `json:"id"`
	State devices.LifeState `json:"state"`
	devices.Secret
}

func (e *Enrol) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := peer(r)
	// Taken before the look at what is presented, so that many at once are no
	// more than one after the other.
	now := e.http.gate.opt.Now()
	if wait := e.attempts.take(devices.SitePrefix(from.Addr()), now); wait > 0 {
		refusal := devices.Refuse(devices.ReasonBusy, "too many failed enrolments from this network")
		refusal.Wait = wait
		e.refuse(w, refusal, from)
		return
	}
	body, err := e.http.body(w, r, maxEnrolment)
	if err != nil {
		e.refuse(w, asRefusal(err), from)
		return
	}
	var p devices.Presented
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || dec.More() {
		e.refuse(w, devices.Refuse(devices.ReasonMalformed, `want one JSON object, such as {"id":"aq-7","claim":"…"}`), from)
		return
	}
	device, secret, err := e.enrolment.Enrol(r.Context(), &p)
	if err != nil {
		refusal := *asRefusal(err)
		refusal.Payload = p.Evidence()
		if _, err := devices.ParseID(string(p.ID)); err == nil {
			refusal.Device = p.ID
		}
		if refusal.Reason.Retry() {
			e.attempts.back(devices.SitePrefix(from.Addr()))
		}
		e.refuse(w, &refusal, from)
		return
	}
	e.attempts.back(devices.SitePrefix(from.Addr()))
	e.http.gate.opt.Log.Info("device enrolled", "device", string(device.ID), "state", string(device.State), "group", device.Entry.Group, "from", from.String())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(enrolled{device.ID, device.State, secret})
}

// refuse keeps the evidence and answers. One answer stands for all that is wrong
// with a claim or a group.
func (e *Enrol) refuse(w http.ResponseWriter, refusal *devices.Refusal, from netip.AddrPort) {
	refusal.Via, refusal.From = devices.ViaHTTP, from
	e.http.gate.Refused(refusal, nil)
	if _, a := answerFor(refusal); a.http != http.StatusUnauthorized {
		e.http.refuse(w, refusal)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="devices"`) // RFC 9110 section 15.5.2
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(problem{
		Type: "about:blank", Title: http.StatusText(http.StatusUnauthorized), Status: http.StatusUnauthorized,
		Detail: "what was presented does not let this device in", Reason: string(devices.ReasonBadCredential),
	})
}

const (
	attemptBurst  = 10              // failures a source has at once
	attemptRefill = 6 * time.Second // until it has one more
	maxAttempters = 10_000
)

// attempts bounds failed enrolments by source, in token buckets. When it holds
// too many sources that are short of allowance, those it does not know share
// one bucket.
type attempts struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*allowance
	rest    allowance
}

// allowance is what a source has spent; the zero value has spent nothing.
type allowance struct {
	spent float64
	at    time.Time
}

func (a *allowance) refill(now time.Time) {
	a.spent = max(0, a.spent-max(0, now.Sub(a.at).Seconds())/attemptRefill.Seconds())
	a.at = now
}

// take spends one attempt of a source and tells how long it has to wait, 0 while
// it is within bounds.
func (a *attempts) take(from netip.Prefix, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[from]
	if s == nil {
		s = a.add(from, now)
	}
	s.refill(now)
	if over := s.spent - (attemptBurst - 1); over > 0 {
		return time.Duration(over * float64(attemptRefill))
	}
	s.spent++
	return 0
}

// back returns the attempt of one that did not fail.
func (a *attempts) back(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[from]
	if s == nil {
		s = &a.rest
	}
	s.spent = max(0, s.spent-1)
}

func (a *attempts) add(from netip.Prefix, now time.Time) *allowance {
	if len(a.sources) >= maxAttempters {
		for p, s := range a.sources {
			if s.refill(now); s.spent == 0 {
				delete(a.sources, p)
			}
		}
		if len(a.sources) >= maxAttempters {
			return &a.rest
		}
	}
	s := new(allowance)
	a.sources[from] = s
	return s
}
