package firmwaresim

import (
	"math"
	"time"

	"github.com/paulmach/orb"
)

// cell is one rain cell as it stands over the city: a bell of rain.
type cell struct {
	at       orb.Point // metres from the centre
	radius   float64   // metres
	strength float64   // mm/h in its heart
}

// cellSlots is how many cells live at once. Each slot holds one cell after the
// other; a cell is born upwind of the place it will be strongest at, drifts
// with the wind of its birth, grows and decays.
const cellSlots = 7

// rainCells works out the cells of a moment from nothing but seed and time.
func (w *World) rainCells(t time.Time) []cell {
	strength := w.scenario.forcing(t.Sub(w.start)).Rain
	if strength <= 0 {
		return nil
	}
	out := make([]cell, 0, cellSlots)
	for slot := range uint64(cellSlots) {
		h := mix(salt(w.seed, "cell"), slot)
		life := time.Duration(14+22*unit(mix(h, 1))) * time.Minute
		offset := time.Duration(unit(mix(h, 2)) * float64(life))
		age := t.Add(offset).Sub(time.Unix(0, 0))
		generation := uint64(age / life)
		phase := float64(age%life) / float64(life)
		birth := t.Add(-age % life)
		g := mix(h, generation+3)
		f := w.scenario.forcing(birth.Sub(w.start))
		speed := 3 + 0.5*f.Wind
		to := (f.WindFrom + 180 + 30*(unit(mix(g, 1))-0.5)) * math.Pi / 180
		// Where it is strongest, in the middle of its life.
		prime := orb.Point{
			w.box.Min[0] + (w.box.Max[0]-w.box.Min[0])*unit(mix(g, 2)),
			w.box.Min[1] + (w.box.Max[1]-w.box.Min[1])*unit(mix(g, 3)),
		}
		run := speed * life.Seconds() * (phase - 0.5)
		out = append(out, cell{
			at:       orb.Point{prime[0] + run*math.Sin(to), prime[1] + run*math.Cos(to)},
			radius:   900 + 1800*unit(mix(g, 4)),
			strength: strength * (0.35 + 0.65*unit(mix(g, 5))) * math.Sin(math.Pi*phase),
		})
	}
	return out
}
