package scene

import (
	"time"
)

// Replay is that a push shows the past: its displays play it from a moment on.
type Replay struct {
	At    time.Time `json:"at" doc:"The moment it begins with"`
	Speed float64   `json:"speed,omitempty" minimum:"1" maximum:"600" doc:"How fast it goes; 1 when left out"`
	// Since is when it began; the moment shown at t is at + (t - since) × speed.
	Since time.Time `json:"since,omitzero" readOnly:"true"`
}

// Moment is where a replay is by now. It never comes nearer to the present than
// edge.
func (r *Replay) Moment(now time.Time, edge time.Duration) time.Time {
	t := r.At.Add(time.Duration(float64(now.Sub(r.Since)) * r.Speed))
	if most := now.Add(-edge); t.After(most) {
		return most
	}
	return t
}

// PastOptions say what of the past displays can show.
type PastOptions struct {
	// Retention is how far back one can go, 0 for not at all; Edge how near to the
	// present a replay comes.
	Retention, Edge time.Duration
	// Displays is how many can show the past at once.
	Displays int
}

// replayAt checks what somebody wants to have replayed.
func (o *PastOptions) replayAt(r *Replay, now time.Time) (*Replay, error) {
	if r == nil {
		return nil, nil
	}
	asked := *r
	if asked.Speed == 0 {
		asked.Speed = 1
	}
	asked.At, asked.Since = asked.At.UTC(), now
	switch oldest := now.Add(-o.Retention); {
	case o.Retention <= 0:
		return nil, invalid("this house has no time machine")
	case !(asked.Speed >= 1 && asked.Speed <= 600):
		return nil, invalid("a replay at %v times the speed of life: 1 to 600", asked.Speed)
	case asked.At.Before(oldest):
		return nil, invalid("a replay from %s: what is kept begins %s", asked.At.Format(time.RFC3339), oldest.Format(time.RFC3339))
	case asked.At.After(now.Add(-o.Edge)):
		return nil, invalid("a replay from %s: that is not over yet", asked.At.Format(time.RFC3339))
	}
	return &asked, nil
}

// room tells whether the displays chosen can show the past besides those that do.
// mu is held.
func (s *Scenes) room(chosen map[string]bool, now time.Time) error {
	n := len(chosen)
	for id, d := range s.displays {
		if !d.gone && !chosen[id] && d.replaying(now) {
			n++
		}
	}
	if most := s.opt.Past.Displays; n > most {
		return invalid("%d displays would show the past and the time machine has room for %d", n, most)
	}
	return nil
}

// replaying tells whether a push on the display shows the past, or would when
// what lies on it ends. mu is held.
func (d *screen) replaying(now time.Time) bool {
	for i := range d.pushes {
		if p := &d.pushes[i]; p.Replay != nil && (p.Until.IsZero() || now.Before(p.Until)) {
			return true
		}
	}
	return false
}

// onReplay is what a display's browser needs to know of the past it is to show.
type onReplay struct {
	// Push tells one replay from another.
	Push  string    `json:"push"`
	At    time.Time `json:"at"` // the moment of now
	Speed float64   `json:"speed"`
}
