package live

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"vonglau/devices"
)

// dictionary says what the indices in the frames mean, in columns.
type dictionary struct {
	Dict       uint32                 `json:"dict"`
	Hub        string                 `json:"hub"`
	Quantities []devices.QuantityInfo `json:"quantities"`
	Profiles   []*devices.Profile     `json:"profiles"`
	Devices    deviceColumns          `json:"devices"`
	Channels   channelColumns         `json:"channels"`
}

type deviceColumns struct {
	ID        []devices.ID `json:"id"`
	Name      []string     `json:"name"`
	Profile   []int        `json:"profile"` // -1: not in profiles
	Lon       []degrees    `json:"lon"`
	Lat       []degrees    `json:"lat"`
	Moving    []bool       `json:"moving"`
	Simulated []bool       `json:"simulated"`
	Exercise  []bool       `json:"exercise"` // of a drill; counts in no figure
	Interval  []float64    `json:"interval"` // s
	Hidden    []bool       `json:"hidden"`   // taken off the wall; the index is not used again
}

type channelColumns struct {
	Device   []uint32 `json:"device"`
	Quantity []uint16 `json:"quantity"`
}

// degrees is null where the place is not known: 0,0 is a place.
type degrees struct {
	v     float64
	known bool
}

func (d degrees) MarshalJSON() ([]byte, error) {
	if !d.known {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, d.v, 'f', 7, 64), nil
}

// dictionaryText is the dictionary of one epoch as it is sent.
type dictionaryText struct {
	epoch uint32
	json  []byte

	once   sync.Once
	packed []byte
}

// gzip packs the dictionary once: after a restart every screen asks for it at
// the same moment.
func (p *dictionaryText) gzip() []byte {
	p.once.Do(func() {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p.json) // a Buffer takes everything
		_ = w.Close()
		p.packed = b.Bytes()
	})
	return p.packed
}

// Dictionary gives the present epoch and the dictionary as JSON. It is made
// once an epoch.
func (h *Hub) Dictionary() (epoch uint32, body []byte, err error) {
	p, err := h.dictionary()
	if err != nil {
		return 0, nil, err
	}
	return p.epoch, p.json, nil
}

func (h *Hub) dictionary() (*dictionaryText, error) {
	h.mu.RLock()
	s := &h.state
	if p := s.dictionary; p != nil && p.epoch == s.dict {
		h.mu.RUnlock()
		return p, nil
	}
	d := s.columns()
	d.Hub = h.id
	h.mu.RUnlock()

	// The columns are ours: encode them without holding anyone up.
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("live: encode dictionary: %w", err)
	}
	p := &dictionaryText{epoch: d.Dict, json: body}
	h.mu.Lock()
	defer h.mu.Unlock()
	if kept := s.dictionary; kept != nil && kept.epoch == p.epoch {
		return kept, nil // another was quicker
	}
	if p.epoch == s.dict && p.epoch != 0 {
		s.dictionary = p
	}
	return p, nil
}

// columns copies what the dictionary says out of the state.
func (s *state) columns() dictionary {
	n := s.pubDevices
	d := dictionary{Dict: s.dict, Quantities: s.quantities, Profiles: s.profiles, Devices: deviceColumns{
		ID: make([]devices.ID, n), Name: make([]string, n), Profile: make([]int, n), Lon: make([]degrees, n),
		Lat: make([]degrees, n), Moving: make([]bool, n), Simulated: make([]bool, n), Exercise: make([]bool, n), Interval: make([]float64, n),
		Hidden: make([]bool, n),
	}, Channels: channelColumns{Device: make([]uint32, s.published), Quantity: make([]uint16, s.published)}}
	for i := range n {
		e := &s.devices[i]
		d.Devices.ID[i], d.Devices.Name[i], d.Devices.Profile[i] = e.id, e.name, e.profile
		d.Devices.Lon[i], d.Devices.Lat[i] = degrees{e.at.Lon, e.at.Known()}, degrees{e.at.Lat, e.at.Known()}
		d.Devices.Moving[i], d.Devices.Simulated[i], d.Devices.Exercise[i], d.Devices.Hidden[i] = e.moving, e.simulated, e.exercise, e.hidden
		d.Devices.Interval[i] = e.interval.Seconds()
	}
	for c := range s.published {
		d.Channels.Device[c], d.Channels.Quantity[c] = s.channels[c].device, s.channels[c].quantity
	}
	if d.Profiles == nil {
		d.Profiles = []*devices.Profile{}
	}
	return d
}

// ServeDictionary answers GET /v1/live/dictionary. The entity tag names the run
// and the epoch (RFC 9110 section 8.8.3).
func (h *Hub) ServeDictionary(w http.ResponseWriter, r *http.Request) {
	p, err := h.dictionary()
	if err != nil {
		h.opt.Log.Error("dictionary not served", "err", err)
		http.Error(w, "dictionary not available", http.StatusInternalServerError)
		return
	}
	tag := fmt.Sprintf(`"%s-%d"`, h.id, p.epoch)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == tag || r.Header.Get("If-None-Match") == "W/"+tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body := p.json
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = p.gzip()
	}
	_, _ = w.Write(body)
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3).
func takesGzip(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				_, q, _ := strings.Cut(weight, "=")
				v, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				return err != nil || v > 0
			}
		}
	}
	return false
}
