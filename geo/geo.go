// Package geo keeps the city's layers and says in which zones a place lies.
//
// A layer is one kind of thing drawn on the map (wards, streets, feeders); a
// zone is one feature of it. Boundaries change by law and codes are given out
// again under other names, so a zone is known by (layer, code, valid-from): an
// import makes one version of a layer, versions of a layer stand side by side,
// and a question carries the day it is asked about. Importing the same layer
// and valid-from again replaces that version, whole or not at all; a version is
// never edited.
//
// # Which zone a place is in
//
// Polygon layers answer exactly, with no tolerance. A place on a border belongs
// to the zone east of it and, where the border runs exactly east-west, to the
// zone north of it; so where neighbours share their vertices a place is in one
// zone, and on the outermost eastern and northern border it is in none. Places
// exactly on a border are counted per layer. Where zones of one layer overlap,
// all that hold the place are answered.
//
// Line and point layers answer the nearest zone within the version's distance,
// measured in metres on the ellipsoid's local plane: off by less than 0.1 % over
// ten kilometres.
//
// # Who waits for whom
//
// Readers never lock: Place, Zone, Zones and List read one immutable state that
// an import swaps in when it is complete and stored. Imports wait for each
// other. A tile is built once however many ask for it and kept in a cache bounded
// in bytes; those who ask meanwhile wait for it, or for their context.
//
// Open answers with what could be read: a version whose blob is damaged is
// listed with its error and takes no part, because a city that cannot draw one
// layer must still take readings in.
package geo

import (
	"errors"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

// ErrInvalid marks errors that the caller's input caused: asking again with the
// same input fails again.
var ErrInvalid = errors.New("not valid")

// ErrNotFound is returned for a layer or version that is not there.
var ErrNotFound = errors.New("no such layer")

// Kind is the geometry all zones of a layer have.
type Kind string

// The kinds; a multi-part feature counts as its parts' kind.
const (
	Polygon Kind = "polygon"
	Line    Kind = "line"
	Point   Kind = "point"
)

// Zone is one feature of one version of a layer. Geometry and Properties are
// shared with the layer: read only.
type Zone struct {
	Ref     devices.ZoneRef
	Name    string
	ValidTo devices.Date // last day, empty = for ever
	Label   orb.Point    // inside a polygon, on a line: where a name is written
	// Properties are the feature's scalar properties: string, bool, int64 or
	// float64.
	Properties map[string]any
	Geometry   orb.Geometry
}

// LayerInfo describes a layer as its newest version has it.
type LayerInfo struct {
	Name        string        `json:"name"`
	Kind        Kind          `json:"kind"`
	Count       int           `json:"count"`
	Bounds      [4]float64    `json:"bounds"` // west, south, east, north
	Join        bool          `json:"join"`
	Within      float64       `json:"within,omitempty"` // metres; line and point layers
	MinZoom     int           `json:"minZoom"`          // below it most zones are too small to see
	Attribution string        `json:"attribution,omitempty"`
	Simulated   bool          `json:"simulated,omitempty"`
	Versions    []VersionInfo `json:"versions"` // newest valid-from first
}

// VersionInfo describes one version of a layer.
type VersionInfo struct {
	ValidFrom devices.Date `json:"validFrom"` // empty = since ever
	ValidTo   devices.Date `json:"validTo"`   // last day, empty = for ever
	Count     int          `json:"count"`
	Vertices  int          `json:"vertices"`
	Imported  time.Time    `json:"imported"`
	// Stamp changes whenever the version's content does: a tile's ETag.
	Stamp string `json:"stamp"`
	// Error says why the version takes no part; importing it again mends it.
	Error string `json:"error,omitempty"`
}

// Day is the civil day of t in loc, as the layers' validity counts them.
func Day(t time.Time, loc *time.Location) devices.Date {
	return devices.Date(t.In(loc).Format(time.DateOnly))
}
