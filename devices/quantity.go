package devices

// Quantity is the name of what is measured, "pm25", "water_level". The same
// name is the JSON field, the last part of a SenML name, the API parameter and
// the label in the store.
type Quantity string

// Kind says how the numbers of a quantity behave over time.
type Kind string

const (
	Gauge   Kind = "gauge"   // a level; averages mean something
	Counter Kind = "counter" // counts up and wraps or resets; differences mean something
	State   Kind = "state"   // 0 or 1, or a small enumeration
)

// QuantityInfo describes one quantity of the catalogue.
type QuantityInfo struct {
	Name Quantity `json:"name"`
	Kind Kind     `json:"kind"`
	// Unit is the canonical unit, in SenML's spelling (RFC 8428 section 12.1,
	// RFC 8798), so that it can be sent back as it is.
	Unit string `json:"unit"`
	// Min and Max bound what is physically plausible anywhere, in Unit. A
	// profile may narrow them.
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	// Digits after the decimal point that mean something.
	Digits int `json:"digits"`
	// Label by language tag ("vi", "en").
	Label map[string]string `json:"label"`
	// Display is the unit as people write it, "µg/m³".
	Display string `json:"display"`
}
