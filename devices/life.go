package devices

import "slices"

// LifeState is a device's place in its life cycle.
type LifeState string

const (
	Announced   LifeState = "announced"   // registered ahead of its installation; not heard yet
	Quarantine  LifeState = "quarantined" // known, its reports are refused until somebody approves it
	Active      LifeState = "active"
	Maintenance LifeState = "maintenance" // reports are stored, alarms are not raised
	Retired     LifeState = "retired"     // gone; its id stays taken
)

// lifeCycle is the table: from where to where. A retired device comes back
// through quarantine only, so that somebody looks at it again.
var lifeCycle = map[LifeState][]LifeState{
	Announced:   {Active, Quarantine, Retired},
	Quarantine:  {Active, Retired},
	Active:      {Maintenance, Quarantine, Retired},
	Maintenance: {Active, Quarantine, Retired},
	Retired:     {Quarantine},
}

// Known reports whether s is one of the states.
func (s LifeState) Known() bool { return lifeCycle[s] != nil }

// Next lists the states that may follow s, the usual one first.
func (s LifeState) Next() []LifeState { return slices.Clone(lifeCycle[s]) }

// May reports whether a device may go from s to next.
func (s LifeState) May(next LifeState) bool { return slices.Contains(lifeCycle[s], next) }

// Reports reports whether what a device in this state says is taken and shown.
func (s LifeState) Reports() bool { return s == Active || s == Maintenance }
