package main

import (
	"time"

	"vonglau/ingest/journal"
	"vonglau/ingest/series"
	opscenter "vonglau/ops-center"
)

// status is what `vonglau status` and the wall's status page show.
type status struct {
	Version string         `json:"version"`
	Started time.Time      `json:"started"`
	City    any            `json:"city"`
	Journal journalStatus  `json:"journal"`
	Series  seriesStatus   `json:"series"`
	Bridge  *bridgeStatus  `json:"bridge,omitempty"`
	Readers map[string]lag `json:"readers"`
	Audit   *auditStatus   `json:"audit,omitempty"`
	Screens int            `json:"screens"`
	// Devices are those registered, without those of drills.
	Devices int   `json:"devices"`
	Values  int64 `json:"valuesTaken"` // since the start
	// RoundTrips says whether round trips to devices are measured.
	RoundTrips string `json:"roundTrips"`
}

type journalStatus struct {
	Level  string    `json:"level"`
	Code   string    `json:"code"`
	Reason string    `json:"reason,omitempty"`
	Hint   string    `json:"hint,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	First  uint64    `json:"first"`
	Last   uint64    `json:"last"`
	Bytes  uint64    `json:"bytes"`
	Free   int64     `json:"free"`
	Queued int       `json:"queued"`
	Lost   []string  `json:"lost,omitempty"`
}

type seriesStatus struct {
	Store string `json:"store"` // "embedded" or the InfluxDB's address
	series.State
}

type bridgeStatus struct {
	Broker    string `json:"broker"`
	Connected bool   `json:"connected"`
}

type lag struct {
	Entries uint64 `json:"entries"`
	Bytes   uint64 `json:"bytes"`
}

func (s *Server) realDevices() (n int) {
	for _, d := range s.register.List() {
		if d.Exercise == "" {
			n++
		}
	}
	return n
}

func (s *Server) status() any {
	st := s.journal.State()
	out := status{
		Version: version, Started: s.started.UTC(), City: s.cfg.City.Name,
		Journal: journalStatus{
			Level: string(st.Level), Code: string(st.Code), Reason: st.Reason, Hint: st.Hint, Since: st.Since,
			First: st.First, Last: st.Last, Bytes: st.Bytes, Free: st.Free, Queued: st.Queued,
		},
		Series:  seriesStatus{Store: "embedded", State: s.writer.State()},
		Readers: map[string]lag{}, Audit: s.auditStatus(),
		Screens: s.hub.Screens(), Devices: s.realDevices(), Values: s.gate.Accepted(), RoundTrips: s.roundTrips(),
	}
	for _, l := range st.Lost {
		out.Journal.Lost = append(out.Journal.Lost, l.String())
	}
	if c := s.cfg.Series.Influx; c.URL != "" {
		out.Series.Store = c.URL
	}
	if s.bridge != nil {
		out.Bridge = &bridgeStatus{Broker: s.cfg.Bridge.URL, Connected: s.bridge.Connected()}
	}
	for name, r := range s.readers {
		entries, bytes := r.Lag()
		out.Readers[name] = lag{entries, bytes}
	}
	return out
}

// ready says whether readings are taken in. A store that is down does not make
// the server unready: it takes in and shows, and history follows.
func (s *Server) ready() opscenter.Readiness {
	st := s.journal.State()
	parts := map[string]string{"journal": string(st.Level), "series": "ok"}
	if st.Reason != "" {
		parts["journal"] += ": " + st.Reason
	}
	if w := s.writer.State(); !w.OK {
		parts["series"] = "not available: " + w.LastError
	}
	if s.bridge != nil && !s.bridge.Connected() {
		parts["bridge"] = "not connected"
	}
	return opscenter.Readiness{Ready: st.Level != journal.LevelRefusing, Parts: parts}
}
