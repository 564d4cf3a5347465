package devices

import (
	"encoding/json"
	"time"
)

// Profile is what the devices of one kind have in common: what they may say,
// how often, in which bytes.
type Profile struct {
	Name  string            `json:"name" yaml:"name"`
	Label map[string]string `json:"label" yaml:"label"` // by language tag
	// Class is the symbol group on the map: air, water, rain, flood, traffic,
	// noise, weather, parking, light, pressure, power, bus, network.
	Class string `json:"class" yaml:"class"`
	// Interval is the expected time between two reports. A value is late after
	// two intervals and stale after four.
	Interval time.Duration `json:"interval" yaml:"interval"`
	// Format is used where the protocol carries no content type (MQTT 3.1.1).
	Format Format `json:"format" yaml:"format"`
	// Moving devices send their position; fixed ones have one in the register.
	Moving bool `json:"moving" yaml:"moving"`
	// Main is the quantity shown when there is room for one.
	Main Quantity `json:"main" yaml:"main"`
	// Fields are what a device may send; none means every quantity there is.
	Fields []Field `json:"fields" yaml:"fields"`
	// Commands are what a device may be told; none means every name there is.
	Commands []CommandKind `json:"commands,omitempty" yaml:"commands,omitempty"`

	// Norm is what a device of this profile has to be; enrolment keeps it.
	Norm Norm `json:"norm,omitzero" yaml:"norm,omitempty"`

	// index maps names and aliases to rules; a Catalogue fills it in.
	index map[string]*rule
}

// profileJSON is a profile as others read it: its interval in seconds.
type profileJSON struct {
	*profileFields
	Interval float64 `json:"interval"`
}

type profileFields Profile

// MarshalJSON writes the interval in seconds.
func (p *Profile) MarshalJSON() ([]byte, error) {
	return json.Marshal(profileJSON{(*profileFields)(p), p.Interval.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Profile) UnmarshalJSON(b []byte) error {
	in := profileJSON{profileFields: (*profileFields)(p)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	p.Interval = time.Duration(in.Interval * float64(time.Second)).Round(time.Millisecond)
	return nil
}

// Field is one quantity of a profile.
type Field struct {
	Quantity Quantity `json:"quantity" yaml:"quantity"`
	// Aliases are other names a device of this profile uses for it.
	Aliases []string `json:"aliases,omitempty" yaml:"aliases,omitempty"`
	// Unit is what a bare number means, the canonical unit when empty.
	Unit string `json:"unit,omitempty" yaml:"unit,omitempty"`
	// Min and Max narrow the catalogue's range when set, in the canonical unit.
	Min *float64 `json:"min,omitempty" yaml:"min,omitempty"`
	Max *float64 `json:"max,omitempty" yaml:"max,omitempty"`
}
