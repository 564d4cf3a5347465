package alert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"vonglau/devices"
)

// Level is a limit with hysteresis.
type Level struct {
	Above *float64 `yaml:"above" json:"above,omitempty"`
	Below *float64 `yaml:"below" json:"below,omitempty"`
	// Clear is the level the value must pass to be well again; Above or Below
	// themselves when absent. A value at Clear is not yet well.
	Clear *float64 `yaml:"clear" json:"clear,omitempty"`

	over bool // at the limit it is still well: of the register, see Limit.Over
}

func (l *Level) validate() error {
	if (l.Above == nil) == (l.Below == nil) {
		return errors.New("give one of above and below")
	}
	for _, level := range []*float64{l.Above, l.Below, l.Clear} {
		if level != nil && (math.IsNaN(*level) || math.IsInf(*level, 0)) {
			return errors.New("a level is a finite number")
		}
	}
	if l.Clear != nil && l.Above != nil && *l.Clear > *l.Above {
		return fmt.Errorf("clear %g is above %g: it would never be well", *l.Clear, *l.Above)
	}
	if l.Clear != nil && l.Below != nil && *l.Clear < *l.Below {
		return fmt.Errorf("clear %g is below %g: it would never be well", *l.Clear, *l.Below)
	}
	return nil
}

func (l *Level) limit() float64 {
	if l.Above != nil {
		return *l.Above
	}
	return *l.Below
}

// beyond reports whether v is an alarm for a condition that is on or not.
func (l *Level) beyond(on bool, v float64) bool {
	limit := l.limit()
	if on && l.Clear != nil {
		limit = *l.Clear
	}
	if v == l.limit() && v == limit && l.over {
		return false
	}
	if l.Above != nil {
		return v >= limit
	}
	return v <= limit
}

// Delay is how long a condition must hold, and be over, to count.
type Delay struct {
	For      time.Duration `yaml:"for" json:"for,omitempty"`
	ClearFor time.Duration `yaml:"clear_for" json:"clearFor,omitempty"`
}

// Change judges how fast a value changes: by how much per hour over Window. A
// fall is negative: `below: -0.5` is a fall of half a unit an hour.
type Change struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Window   time.Duration    `yaml:"window" json:"window"`
	Level    `yaml:",inline"`
	Delay    `yaml:",inline"`
}

// Flat holds when a device goes on reporting and its value has not moved by more
// than Within for For: a sensor that is stuck, frozen or cut off.
type Flat struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Within   float64          `yaml:"within" json:"within"`
	For      time.Duration    `yaml:"for" json:"for"`
}

// Neighbours judges how far a value is from the median of what the fixed devices
// within so many metres last said of the same quantity, in the last Window. It
// judges nothing while fewer than Min of them have.
type Neighbours struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Metres   float64          `yaml:"metres" json:"metres"`
	Window   time.Duration    `yaml:"window" json:"window"`
	Min      int              `yaml:"min" json:"min"`
	// Off is the distance, either way, that is an alarm; Clear the one below
	// which it is over.
	Off   float64 `yaml:"off" json:"off"`
	Clear float64 `yaml:"clear" json:"clear,omitempty"`
	Delay `yaml:",inline"`
}

// Aggregate judges the devices in one zone together, over a window: each of the
// zone's devices first becomes one number, and these one.
//
//	mean, median  of the devices' means: one that reports often counts once
//	min, max      of all readings
//	sum           of the devices' newest readings
//	count         of the devices whose newest reading is beyond Where
type Aggregate struct {
	Of       string           `yaml:"of" json:"of"`
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	// Layer is the layer whose zones are judged, each for itself; a scope by
	// zones leaves only those.
	Layer  string        `yaml:"layer" json:"layer"`
	Window time.Duration `yaml:"window" json:"window"`
	// Devices is how many must have readings in the window, 1 when absent. For
	// mean and median a device has them only when they reach back over Coverage
	// of the window, three quarters when absent.
	Devices  int      `yaml:"devices" json:"devices,omitempty"`
	Coverage *float64 `yaml:"coverage" json:"coverage,omitempty"`
	// Where is the condition of count.
	Where *Level `yaml:"where" json:"where,omitempty"`
	Level `yaml:",inline"`
	Delay `yaml:",inline"`
}

// Cluster holds where Count devices within Within metres of one of them have
// said, in the last Window, what Where asks: three flooded sensors within 500 m
// in ten minutes. What is near enough to be one cluster is one alarm, which
// grows, moves and ends with it.
type Cluster struct {
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	Count    int              `yaml:"count" json:"count"`
	Within   float64          `yaml:"within" json:"within"`
	Window   time.Duration    `yaml:"window" json:"window"`
	Where    Level            `yaml:"where" json:"where"`
}

// Dwell holds for a moving device that has been inside one of the zones for For.
type Dwell struct {
	ZoneSet `yaml:",inline"`
	Delay   `yaml:",inline"`
}

// Speed judges the speed of a moving device inside one of the zones, in km/h: as
// it says itself, else from the places of two readings.
type Speed struct {
	ZoneSet `yaml:",inline"`
	Level   `yaml:",inline"`
	Delay   `yaml:",inline"`
}

// Composite holds while alarms of other rules do, together: in the same zone of
// Layer, or anywhere when there is no layer. Exactly one of the three says how
// many. Alarms behind a silent node, under a plan and out of
// service do not count; those that another alarm makes expected do, or a
// composite could not inhibit what it is made of.
type Composite struct {
	All []string `yaml:"all" json:"all,omitempty"` // an alarm of each rule
	Any []string `yaml:"any" json:"any,omitempty"` // an alarm of one of them
	// AtLeast alarms of the rules of Of.
	AtLeast int      `yaml:"at_least" json:"atLeast,omitempty"`
	Of      []string `yaml:"of" json:"of,omitempty"`
	Layer   string   `yaml:"layer" json:"layer,omitempty"`
	// Window, when given, is how near in time the alarms must have been raised.
	Window time.Duration `yaml:"window" json:"window,omitempty"`
}

func (c *Composite) rules() []string {
	switch {
	case len(c.All) > 0:
		return c.All
	case len(c.Any) > 0:
		return c.Any
	}
	return c.Of
}

// maxWindow bounds windows: what is in one is kept in memory.
const maxWindow = 48 * time.Hour

func checkQuantity(name devices.Quantity, c *devices.Catalogue) error {
	q, ok := c.Quantity(name)
	switch {
	case !ok:
		return fmt.Errorf("quantity %q is not in the catalogue", name)
	case q.Kind == devices.Counter:
		return fmt.Errorf("%s is a counter: its value says nothing, use a threshold with a rate", name)
	}
	return nil
}

func checkWindow(d time.Duration) error {
	if d < time.Second || d > maxWindow {
		return fmt.Errorf("window %s: use 1s to %s", d, maxWindow)
	}
	return nil
}

func (d *Delay) validate() error {
	if d.For < 0 || d.ClearFor < 0 {
		return errors.New("for and clear_for are not negative")
	}
	return nil
}

func (c *Change) validate(cat *devices.Catalogue) error {
	return errors.Join(checkQuantity(c.Quantity, cat), checkWindow(c.Window), c.Level.validate(), c.Delay.validate())
}

func (f *Flat) validate(cat *devices.Catalogue) error {
	if !(f.Within >= 0) || math.IsInf(f.Within, 0) || f.For <= 0 {
		return errors.New("give within, not negative, and for")
	}
	return checkQuantity(f.Quantity, cat)
}

func (n *Neighbours) validate(cat *devices.Catalogue) error {
	switch {
	case !(n.Metres > 0 && n.Metres <= 50_000):
		return errors.New("metres: use more than 0 and at most 50000")
	case n.Min < 2 || n.Min > 1000:
		return errors.New("min: use 2 neighbours or more; one says nothing of who is wrong")
	case !(n.Off > 0) || math.IsInf(n.Off, 0) || !(n.Clear >= 0 && n.Clear <= n.Off):
		return errors.New("off is above 0, and clear between 0 and off")
	}
	return errors.Join(checkQuantity(n.Quantity, cat), checkWindow(n.Window), n.Delay.validate())
}

var aggregates = []string{"mean", "median", "min", "max", "sum", "count"}

func (a *Aggregate) validate(cat *devices.Catalogue) error {
	switch {
	case !slices.Contains(aggregates, a.Of):
		return fmt.Errorf("of %q: use one of %v", a.Of, aggregates)
	case a.Layer == "":
		return errors.New("layer is missing")
	case a.Devices < 0 || a.Devices > maxMembers:
		return fmt.Errorf("devices: use 1 to %d", maxMembers)
	case a.Coverage != nil && !(*a.Coverage >= 0 && *a.Coverage <= 1):
		return errors.New("coverage: use 0 to 1")
	case (a.Of == "count") != (a.Where != nil):
		return errors.New("count has a where, and nothing else does")
	}
	if a.Where != nil {
		if err := a.Where.validate(); err != nil {
			return fmt.Errorf("where: %w", err)
		}
	}
	return errors.Join(checkQuantity(a.Quantity, cat), checkWindow(a.Window), a.Level.validate(), a.Delay.validate())
}

func (a *Aggregate) coverage() float64 {
	switch {
	case a.Of != "mean" && a.Of != "median":
		return 0
	case a.Coverage != nil:
		return *a.Coverage
	}
	return 0.75
}

func (c *Cluster) validate(cat *devices.Catalogue) error {
	if c.Count < 2 || c.Count > 1000 || !(c.Within > 0 && c.Within <= 50_000) {
		return errors.New("count is 2 or more, within 50000 metres or less")
	}
	if err := c.Where.validate(); err != nil {
		return fmt.Errorf("where: %w", err)
	}
	return errors.Join(checkQuantity(c.Quantity, cat), checkWindow(c.Window))
}

func (z *ZoneSet) validate() error {
	if z.Layer == "" {
		return errors.New("layer is missing")
	}
	return nil
}

func (c *Composite) validate() error {
	n := 0
	for _, given := range []bool{len(c.All) > 0, len(c.Any) > 0, len(c.Of) > 0 || c.AtLeast != 0} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("give exactly one of all, any, and at_least with of")
	case len(c.Of) > 0 && c.AtLeast < 1 || len(c.Of) == 0 && c.AtLeast != 0 || c.AtLeast > 10_000:
		return errors.New("at_least is 1 or more and counts the alarms of the rules of of")
	case c.Window < 0:
		return errors.New("window is not negative")
	}
	return nil
}

// related checks what a rule says of others.
func related(rules []Rule) error {
	kinds := make(map[string]*Rule, len(rules))
	for i := range rules {
		kinds[rules[i].ID] = &rules[i]
	}
	for i := range rules {
		c := rules[i].When.Composite
		if c == nil {
			continue
		}
		for _, id := range c.rules() {
			switch other := kinds[id]; {
			case other == nil:
				return fmt.Errorf("rules: rule %q: composite: there is no rule %q", rules[i].ID, id)
			case other.When.Composite != nil:
				return fmt.Errorf("rules: rule %q: composite: %q is one too; name the rules it is made of", rules[i].ID, id)
			}
		}
	}
	return nil
}
