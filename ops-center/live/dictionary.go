package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

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

// Dictionary gives the present epoch and the dictionary as JSON. It is made
// once an epoch.
func (h *Hub) Dictionary() (epoch uint32, body []byte, err error) {
	h.mu.Lock()
	s := &h.state
	if s.dict != 0 && s.dictBodyFor == s.dict {
		defer h.mu.Unlock()
		return s.dict, s.dictBody, nil
	}
	d := s.columns()
	d.Hub = h.id
	h.mu.Unlock()

	// The columns are ours: encode them without holding anyone up.
	if body, err = json.Marshal(d); err != nil {
		return 0, nil, fmt.Errorf("live: encode dictionary: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.dict == d.Dict {
		s.dictBody, s.dictBodyFor = body, d.Dict
	}
	return d.Dict, body, nil
}

// columns copies what the dictionary says out of the state.
func (s *state) columns() dictionary {
	n := s.pubDevices
	d := dictionary{Dict: s.dict, Quantities: s.quantities, Profiles: s.profiles, Devices: deviceColumns{
		ID: make([]devices.ID, n), Name: make([]string, n), Profile: make([]int, n), Lon: make([]degrees, n),
		Lat: make([]degrees, n), Moving: make([]bool, n), Simulated: make([]bool, n), Interval: make([]float64, n),
		Hidden: make([]bool, n),
	}, Channels: channelColumns{Device: make([]uint32, s.published), Quantity: make([]uint16, s.published)}}
	for i := range n {
		e := &s.devices[i]
		d.Devices.ID[i], d.Devices.Name[i], d.Devices.Profile[i] = e.id, e.name, e.profile
		d.Devices.Lon[i], d.Devices.Lat[i] = degrees{e.at.Lon, e.at.Known()}, degrees{e.at.Lat, e.at.Known()}
		d.Devices.Moving[i], d.Devices.Simulated[i], d.Devices.Hidden[i] = e.moving, e.simulated, e.hidden
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
	epoch, body, err := h.Dictionary()
	if err != nil {
		h.opt.Log.Error("dictionary not served", "err", err)
		http.Error(w, "dictionary not available", http.StatusInternalServerError)
		return
	}
	tag := fmt.Sprintf(`"%s-%d"`, h.id, epoch)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag || r.Header.Get("If-None-Match") == "W/"+tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
