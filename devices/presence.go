package devices

import "time"

// Presence is how fresh a device's last report is, seen against the interval of
// its profile.
type Presence string

const (
	Never   Presence = "never"  // has not reported yet
	Online  Presence = "online" // within two intervals
	Overdue Presence = "late"   // within four
	Silent  Presence = "silent" // not even that
)

// Presence judges a device of the profile whose last report arrived at last. It
// looks at arrival, not at the device's own time: a device that sends an old
// backlog is there.
func (p *Profile) Presence(last, now time.Time) Presence {
	age := now.Sub(last)
	switch {
	case last.IsZero():
		return Never
	case age <= p.LateAfter():
		return Online
	case age <= p.SilentAfter():
		return Overdue
	}
	return Silent
}

// LateAfter is the age at which a value is late, SilentAfter the one at which it
// is stale and its device silent.
func (p *Profile) LateAfter() time.Duration   { return 2 * p.Interval }
func (p *Profile) SilentAfter() time.Duration { return 4 * p.Interval }
