package firmwaresim

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/paulmach/orb"

	"vonglau/firmware-sim/city"
)

// World is the physical truth the devices measure. It advances in steps of one
// second of its own time whatever size of strides it is asked for, so its state
// depends on seed, city, scenario and time alone. One goroutine steps it; any
// number read the Moment it last reached.
type World struct {
	seed     uint64
	city     *city.City
	scenario *Scenario
	start    time.Time // the scenario's zero
	plane    plane
	box      orb.Bound // of the wards, metres

	now     time.Time
	river   river
	depth   []float64 // water standing in each basin, metres
	basins  []orb.Point
	grid    []orb.Point // where the city's mean rain is taken
	current atomic.Pointer[Moment]
}

// step is the length of one physical step.
const step = time.Second

// Moment is the city at one instant. It does not change.
type Moment struct {
	Time    time.Time // of the World
	Elapsed time.Duration
	Weather Weather
	// Traffic is the flow as a share of what streets can carry, by hour, day
	// and scenario, before rain and flood act on a street.
	Traffic float64
	// Depth is the water standing in each basin, metres at its lowest place.
	Depth []float64
	// Events are under way.
	Events []Event

	drizzle float64
	cells   []cell
	levels  []float64 // river level every levelSpacing metres
	plane   plane
}

// Weather is the sky over the whole city.
type Weather struct {
	Temperature float64 // Cel
	Humidity    float64 // %RH
	Pressure    float64 // hPa
	Wind        float64 // m/s, mean over ten minutes
	WindFrom    float64 // deg
	Cloud       float64 // 0 to 1
	Sun         float64 // elevation above the horizon, deg
}

// NewWorld makes the world of a scenario whose zero is start, and steps it
// through the warm-up.
func NewWorld(c *city.City, s *Scenario, seed uint64, start time.Time) *World {
	w := &World{
		seed: seed, city: c, scenario: s, start: start,
		plane: newPlane(c.Centre),
		now:   start.Add(-time.Duration(s.WarmUp)),
		depth: make([]float64, len(c.Basins)),
	}
	w.box = orb.Bound{Min: w.plane.metres(c.Bound.Min), Max: w.plane.metres(c.Bound.Max)}
	for _, b := range c.Basins {
		w.basins = append(w.basins, w.plane.metres(b.Lowest))
	}
	const side = 5
	for i := range side * side {
		w.grid = append(w.grid, orb.Point{
			w.box.Min[0] + (w.box.Max[0]-w.box.Min[0])*(float64(i%side)+0.5)/side,
			w.box.Min[1] + (w.box.Max[1]-w.box.Min[1])*(float64(i/side)+0.5)/side,
		})
	}
	w.river = newRiver(c.River.Length(), w.scenario.forcing(w.now.Sub(start)).Surge)
	w.current.Store(w.moment(w.now))
	w.Step(start)
	return w
}

// Now is the moment last reached.
func (w *World) Now() *Moment { return w.current.Load() }

// Step advances the world to t, never back, and gives the moment there.
func (w *World) Step(t time.Time) *Moment {
	m := w.Now()
	for next := w.now.Add(step); !next.After(t); next = w.now.Add(step) {
		w.now = next
		m = w.moment(next)
		w.flow(m)
		m.levels = w.river.levels(next)
		m.Depth = append([]float64(nil), w.depth...)
	}
	w.current.Store(m)
	return m
}

// moment works out what follows from the time alone.
func (w *World) moment(t time.Time) *Moment {
	elapsed := t.Sub(w.start)
	f := w.scenario.forcing(elapsed)
	sun := sunElevation(t, w.city.Centre.Lon(), w.city.Centre.Lat())
	// Warmest in the early afternoon, coolest before sunrise.
	hour := localHour(t)
	swing := f.Swing * math.Cos((hour-14)/24*2*math.Pi)
	m := &Moment{
		Time: t, Elapsed: elapsed, plane: w.plane,
		Weather: Weather{
			Temperature: f.Temperature + swing + 0.4*wander(salt(w.seed, "temperature"), t, 20*time.Minute),
			Humidity:    clamp(f.Humidity-3*swing+2*wander(salt(w.seed, "humidity"), t, 30*time.Minute), 20, 100),
			Pressure:    f.Pressure + 0.3*wander(salt(w.seed, "pressure"), t, 40*time.Minute),
			Wind:        math.Max(0.1, f.Wind*(1+0.15*wander(salt(w.seed, "wind"), t, 4*time.Minute))),
			WindFrom:    math.Mod(f.WindFrom+10*wander(salt(w.seed, "vane"), t, 8*time.Minute)+360, 360),
			Cloud:       clamp(f.Cloud, 0, 1),
			Sun:         sun,
		},
		Traffic: f.Traffic * rush(hour, t.In(Local).Weekday()),
		Events:  w.scenario.active(elapsed),
		drizzle: math.Max(0, f.Drizzle),
		cells:   w.rainCells(t),
		levels:  w.river.levels(t),
		Depth:   w.depth,
	}
	return m
}

// flow moves the water of one step: rain into basins and river, and out again.
func (w *World) flow(m *Moment) {
	var mean float64
	for _, p := range w.grid {
		mean += m.rainMetres(p)
	}
	mean /= float64(len(w.grid))
	f := w.scenario.forcing(m.Elapsed)
	w.river.flow(m.Time, mean, f.Surge)
	hours := step.Hours()
	for i, b := range w.city.Basins {
		drains := b.Drainage
		// A river above the outfalls pushes back: the drains run at half.
		if m.RiverLevel(w.river.length/2) > outfall {
			drains /= 2
		}
		// What falls on the slopes collects on the low ground, an area several
		// times smaller. The drains take their share first.
		rise := (m.rainMetres(w.basins[i]) - drains) / 1000 * gathering * hours
		// Pumps and soil take a share of what stands; above the rim the water
		// runs off over land as well.
		d := w.depth[i]*(1-pumped*hours) + rise
		if over := d - rim; over > 0 {
			d -= over * spill * hours
		}
		w.depth[i] = clamp(d, 0, 2.5)
	}
}

const (
	gathering = 18.0 // catchment over low ground
	rim       = 0.60
	pumped    = 2.5 // share of what stands that goes in an hour
	spill     = 4.0 // share of what stands above the rim that runs off in an hour
	outfall   = 4.2 // m, river level at which the outfalls drown
)

// Rain is the intensity at a place in mm/h.
func (m *Moment) Rain(at orb.Point) float64 { return m.rainMetres(m.plane.metres(at)) }

func (m *Moment) rainMetres(p orb.Point) float64 {
	r := m.drizzle
	for _, c := range m.cells {
		dx, dy := p[0]-c.at[0], p[1]-c.at[1]
		r += c.strength * math.Exp(-(dx*dx+dy*dy)/(2*c.radius*c.radius))
	}
	return r
}

// RiverLevel is the level at a chainage, metres above datum.
func (m *Moment) RiverLevel(chainage float64) float64 {
	x := clamp(chainage/levelSpacing, 0, float64(len(m.levels)-1))
	i := int(x)
	if i+1 >= len(m.levels) {
		return m.levels[len(m.levels)-1]
	}
	f := x - float64(i)
	return m.levels[i]*(1-f) + m.levels[i+1]*f
}

// Under reports whether an event of a kind has the victim with this index among
// count of them.
func (m *Moment) Under(kind string, index, count int) bool {
	for _, e := range m.Events {
		if e.Kind == kind && count > 0 && ((e.Index%count)+count)%count == index {
			return true
		}
	}
	return false
}

// localHour is the civil time of day in hours.
func localHour(t time.Time) float64 {
	l := t.In(Local)
	return float64(l.Hour()) + float64(l.Minute())/60 + float64(l.Second())/3600
}

// rush is a street's load by the time of day: two peaks on working days, one
// broad one at weekends.
func rush(hour float64, day time.Weekday) float64 {
	bell := func(at, width float64) float64 {
		d := math.Abs(hour - at)
		d = math.Min(d, 24-d)
		return math.Exp(-d * d / (2 * width * width))
	}
	if day == time.Saturday || day == time.Sunday {
		return 0.05 + 0.40*bell(10.5, 2.5) + 0.5*bell(18.5, 2.5)
	}
	return 0.05 + 0.72*bell(7.3, 1.0) + 0.30*bell(12, 3) + 0.80*bell(17.6, 1.2) + 0.15*bell(20.5, 1.5)
}

// sunElevation is the sun's height above the horizon in degrees, good to a few
// tenths: declination and equation of time after Spencer (1971).
func sunElevation(t time.Time, lon, lat float64) float64 {
	u := t.UTC()
	day := float64(u.YearDay()-1) + (float64(u.Hour())+float64(u.Minute())/60+float64(u.Second())/3600)/24
	g := 2 * math.Pi * day / 365
	decl := 0.006918 - 0.399912*math.Cos(g) + 0.070257*math.Sin(g) - 0.006758*math.Cos(2*g) +
		0.000907*math.Sin(2*g) - 0.002697*math.Cos(3*g) + 0.00148*math.Sin(3*g)
	minutes := 229.18 * (0.000075 + 0.001868*math.Cos(g) - 0.032077*math.Sin(g) -
		0.014615*math.Cos(2*g) - 0.040849*math.Sin(2*g))
	solar := float64(u.Hour())*60 + float64(u.Minute()) + float64(u.Second())/60 + minutes + 4*lon
	angle := (solar/4 - 180) * math.Pi / 180
	phi := lat * math.Pi / 180
	return math.Asin(clamp(math.Sin(phi)*math.Sin(decl)+math.Cos(phi)*math.Cos(decl)*math.Cos(angle), -1, 1)) * 180 / math.Pi
}
