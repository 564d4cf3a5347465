package live

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
)

// Cluster is what lies in one cell of the map, for a view in which single
// devices would hide each other.
type Cluster struct {
	At devices.Position // the mean place of its devices
	// Box is west, south, east, north of its devices: what to show to see them.
	Box     [4]float64
	Devices int
	// Worst is the worst severity among them, 0 for none; By counts them by
	// severity, By[0] those without an alarm.
	Worst  uint8
	By     [5]int
	Silent int
	// Only is the device when there is but one.
	Only devices.ID
}

// The cells are squares of the web mercator plane, 64 pixels wide where a
// world is 512 pixels at zoom 0, so that a map's own zoom names them.
const (
	cellsLog2   = 3 // cells per side at zoom 0, as a power of two
	MaxCluster  = 18
	clusterKeep = time.Second
	maxGrids    = 24
)

// clusterGrid is the whole city at one zoom, shared by all who ask within a
// second. It is not changed once it is made.
type clusterGrid struct {
	made  time.Time
	cells []Cluster
}

// Clusters answers what lies where in cells. Its lock is taken before the hub's,
// and nobody who applies anything waits for it.
type Clusters struct {
	hub   *Hub
	mu    sync.Mutex
	grids map[string]*clusterGrid
}

// NewClusters makes the clusters of a hub.
func NewClusters(h *Hub) *Clusters {
	return &Clusters{hub: h, grids: make(map[string]*clusterGrid, maxGrids)}
}

// In gives the cells at a zoom whose devices lie in the view (west,
// south, east, north), without the devices of the classes in hide. It looks at
// all devices at most once a second for each zoom and set of classes, however
// many screens ask; between that an answer costs one pass over the cells.
func (l *Clusters) In(view [4]float64, zoom int, hide []string, now time.Time) ([]Cluster, error) {
	for _, v := range view {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("live: a view of %v is none: use west, south, east, north in degrees", view)
		}
	}
	if view[1] > view[3] || zoom < 0 || zoom > MaxCluster {
		return nil, fmt.Errorf("live: a view of %v at zoom %d is none: use west, south, east, north and a zoom of 0 to %d", view, zoom, MaxCluster)
	}
	hide = slices.Compact(slices.Sorted(slices.Values(hide)))
	key := fmt.Sprintf("%d %q", zoom, hide)
	l.mu.Lock()
	defer l.mu.Unlock() // who asks meanwhile takes what this one makes
	grid := l.grids[key]
	if grid == nil || now.Sub(grid.made) >= clusterKeep || now.Before(grid.made) {
		if len(l.grids) >= maxGrids {
			clear(l.grids)
		}
		grid = &clusterGrid{made: now, cells: l.hub.gather(zoom, hide)}
		l.grids[key] = grid
	}
	w, e := view[0], view[2]
	var out []Cluster
	for _, c := range grid.cells {
		inside := c.At.Lon >= w && c.At.Lon <= e
		if w > e { // over the date line
			inside = c.At.Lon >= w || c.At.Lon <= e
		}
		if inside && c.At.Lat >= view[1] && c.At.Lat <= view[3] {
			out = append(out, c)
		}
	}
	return out, nil
}

// gather looks at every device once.
func (h *Hub) gather(zoom int, hide []string) []Cluster {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := &h.state
	hidden := make([]bool, len(s.profiles)+1) // the last is that of no profile
	for i, p := range s.profiles {
		hidden[i] = slices.Contains(hide, p.Class)
	}
	hidden[len(s.profiles)] = slices.Contains(hide, "")
	side := math.Exp2(float64(zoom + cellsLog2))
	index := make(map[uint64]int, 1024)
	var cells []Cluster
	for i := range s.devices {
		e := &s.devices[i]
		profile := e.profile
		if profile < 0 {
			profile = len(s.profiles)
		}
		if e.hidden || !e.at.Known() || hidden[profile] {
			continue
		}
		x := uint64(min(max((e.at.Lon+180)/360, 0), 1) * side)
		lat := min(max(e.at.Lat, -85), 85) * math.Pi / 180
		y := uint64((1 - math.Asinh(math.Tan(lat))/math.Pi) / 2 * side)
		key := x<<32 | y
		n, ok := index[key]
		if !ok {
			n = len(cells)
			index[key] = n
			cells = append(cells, Cluster{Box: [4]float64{e.at.Lon, e.at.Lat, e.at.Lon, e.at.Lat}, Only: e.id})
		}
		c := &cells[n]
		c.Devices++
		c.At.Lon += e.at.Lon
		c.At.Lat += e.at.Lat
		c.Box = [4]float64{min(c.Box[0], e.at.Lon), min(c.Box[1], e.at.Lat), max(c.Box[2], e.at.Lon), max(c.Box[3], e.at.Lat)}
		c.By[min(e.severity, 4)]++
		if e.severity != 0 && (c.Worst == 0 || e.severity < c.Worst) {
			c.Worst = e.severity
		}
		if e.silent {
			c.Silent++
		}
	}
	for i := range cells {
		c := &cells[i]
		c.At.Lon /= float64(c.Devices)
		c.At.Lat /= float64(c.Devices)
		if c.Devices > 1 {
			c.Only = ""
		}
	}
	slices.SortFunc(cells, func(a, b Cluster) int {
		return cmp.Or(cmp.Compare(b.At.Lat, a.At.Lat), cmp.Compare(a.At.Lon, b.At.Lon))
	})
	return cells
}

// ValueNow is the newest value of a quantity of one device, with what decides
// whether it may be counted.
type ValueNow struct {
	Device devices.ID
	Number float64
	Time   time.Time
	At     devices.Position
	Zones  []devices.ZoneRef
	Flags  devices.Flags
	// Stale: the device is silent, or the value itself is older than a silent
	// device's would be. It is no longer what is.
	Stale bool
}

// ValuesOf gives the newest value of a quantity of every device that has one.
func (h *Hub) ValuesOf(q devices.Quantity, now time.Time) []ValueNow {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := &h.state
	want, ok := s.quantity[q]
	if !ok {
		return nil
	}
	ms := now.UnixMilli()
	var out []ValueNow
	for i := range s.devices {
		e := &s.devices[i]
		if e.hidden {
			continue
		}
		for _, c := range e.channels {
			ch := &s.channels[c]
			if ch.quantity != want || !ch.has {
				continue
			}
			at := ch.at
			if !at.Known() {
				at = e.at
			}
			out = append(out, ValueNow{
				Device: e.id, Number: ch.number, Time: time.UnixMilli(ch.time).UTC(), At: at, Zones: ch.zones, Flags: ch.flags,
				Stale: e.isSilent(ms) || ms-max(ch.time, min(ch.received, ms)) > int64(silentAfter*e.interval/time.Millisecond),
			})
		}
	}
	return out
}
