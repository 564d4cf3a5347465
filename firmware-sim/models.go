package firmwaresim

import (
	"math"
	"time"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/planar"

	"vonglau/devices"
)

// air is a station at the roadside. Dust comes from traffic, the wind carries it
// off, the night holds it down, rain washes it out.
type air struct {
	*place
	dust lagging
}

func newAir(p *place) model { return &air{place: p} }

func (a *air) read(m *Moment) []devices.Value {
	w, t := m.Weather, m.Time
	load := m.Traffic * (0.35 + 0.65*streetLoad(a.class))
	spread := 1 / (0.45 + w.Wind/3.5)
	still := 1.0
	if w.Sun < -5 {
		still = 1.35
	}
	local := 0.75 + 0.5*unit(mix(a.salt, 11))
	washed := math.Exp(-m.Rain(a.at) / 15)
	pm := (9 + (12+46*load)*spread*still*local*washed) * (1 + 0.12*wander(mix(a.salt, 1), t, 6*time.Minute))
	pm25 := math.Max(1, a.dust.follow(pm, 8*time.Minute, t)+0.6*jitter(a.salt, t))
	sun := math.Max(0, math.Sin(w.Sun*math.Pi/180)) * (1 - 0.7*w.Cloud)
	no2 := 6 + 70*load*spread*(1+0.1*wander(mix(a.salt, 2), t, 5*time.Minute))
	return []devices.Value{
		value("pm25", pm25, 1),
		value("pm10", pm25*1.55+4+1.2*jitter(mix(a.salt, 3), t), 1),
		value("no2", no2, 1),
		value("o3", math.Max(2, 18+95*sun-0.25*no2+2*jitter(mix(a.salt, 4), t)), 1),
		value("co", 250+1600*load*spread, 0),
		value("so2", 4+9*local*spread, 1),
		value("temperature", w.Temperature+0.6*local, 1),
		value("humidity", clamp(w.Humidity+2*jitter(mix(a.salt, 5), t)*0.3, 5, 100), 1),
	}
}

// gauge is a river station: a level and the flow the rating curve makes of it.
type gauge struct{ *place }

func newGauge(p *place) model { return &gauge{p} }

func (g *gauge) read(m *Moment) []devices.Value {
	level := m.RiverLevel(g.chainage) + 0.006*jitter(g.salt, m.Time)
	return []devices.Value{
		value("water_level", level, 3),
		value("discharge", 60*math.Pow(math.Max(0, level-0.2), 1.6), 1),
	}
}

// Tip is what one tip of a tipping bucket measures, mm.
const Tip = 0.2

// bucket is a tipping-bucket rain gauge. It counts tips in 16 bits and reports
// them in millimetres, so the total falls back to zero after 13,107 mm, and
// when the device reboots it starts where its memory says.
type bucket struct {
	*place
	watch stopwatch
	water float64 // mm not yet tipped
	tips  uint16
	rate  lagging
}

func newBucket(p *place) model {
	b := &bucket{place: p, tips: uint16(mix(p.salt, 21))}
	// One gauge in six stands shortly before its wrap.
	if p.index%6 == 0 {
		b.tips = uint16(65536 - 20 - mix(p.salt, 22)%180)
	}
	return b
}

func (b *bucket) read(m *Moment) []devices.Value {
	r := m.Rain(b.at)
	b.collect(r * b.watch.since(m.Time).Hours())
	return []devices.Value{
		value("rain_total", float64(b.tips)*Tip, 1),
		value("rain_rate", b.rate.follow(r, time.Minute, m.Time), 1),
	}
}

// collect lets mm of rain fall into the funnel.
func (b *bucket) collect(mm float64) {
	b.water += mm
	n := math.Floor(b.water/Tip + 1e-9)
	b.water = math.Max(0, b.water-n*Tip)
	b.tips += uint16(uint64(n)) // wraps as the register in the device does
}

// depth is an ultrasonic sensor over a low road.
type depth struct {
	*place
	kerb  float64 // height of the road over the basin's lowest place
	stuck []devices.Value
}

func newDepth(p *place) model { return &depth{place: p, kerb: p.kerb} }

func (d *depth) read(m *Moment) []devices.Value {
	if m.Under(SensorStuck, d.index, d.count) && d.stuck != nil {
		return d.stuck
	}
	standing := m.Rain(d.at) * 0.00012 // what runs off a street before the gully takes it
	if d.basin >= 0 && d.basin < len(m.Depth) {
		standing = math.Max(standing, m.Depth[d.basin]-d.kerb)
	}
	d.stuck = []devices.Value{value("water_depth", math.Max(0, standing+0.002*jitter(d.salt, m.Time)), 3)}
	return d.stuck
}

// counter is a loop or radar over a main road.
type counter struct {
	*place
	watch stopwatch
	cars  float64
}

func newCounter(p *place) model { return &counter{place: p, cars: float64(mix(p.salt, 31) % 400000)} }

func (c *counter) read(m *Moment) []devices.Value {
	capacity := 3400 * streetLoad(c.class) // vehicles an hour
	wet := 1 - 0.25*clamp(m.Rain(c.at)/60, 0, 1)
	open := passable(c.water(m))
	flow := m.Traffic * (0.8 + 0.4*unit(mix(c.salt, 32))) * wet * (1 + 0.15*wander(c.salt, m.Time, 90*time.Second)) * open
	c.cars += math.Max(0, flow*capacity) * c.watch.since(m.Time).Hours()
	limit := 30 + 40*streetLoad(c.class)
	speed := limit * (1 - 0.62*math.Pow(clamp(flow, 0, 1), 2)) * wet * (0.25 + 0.75*open)
	if open == 0 {
		speed = 0
	}
	density := flow * capacity / math.Max(speed, 5) // vehicles a kilometre
	return []devices.Value{
		value("vehicle_count", math.Floor(c.cars), 0),
		value("vehicle_speed", math.Max(0, speed+1.5*jitter(c.salt, m.Time)*open), 1),
		value("occupancy", clamp(density*0.55, 0, 100), 1),
	}
}

// noise is a class 2 sound level meter; a value is the LAeq of its interval.
type noise struct{ *place }

func newNoise(p *place) model { return &noise{p} }

func (n *noise) read(m *Moment) []devices.Value {
	flow := m.Traffic * streetLoad(n.class) * passable(n.water(m))
	energy := math.Pow(10, 4.2) + 4.2e7*flow*flow + 9e4*m.Rain(n.at) + 60*math.Pow(m.Weather.Wind, 4)
	if jitter(mix(n.salt, 41), m.Time) > 0.985 { // a horn
		energy *= 5
	}
	return []devices.Value{value("noise", 10*math.Log10(energy)+1.2*jitter(n.salt, m.Time), 1)}
}

// weather is a mast with a wind vane, a hut and an optical rain sensor.
type weather struct{ *place }

func newWeather(p *place) model { return &weather{p} }

func (s *weather) read(m *Moment) []devices.Value {
	w, t := m.Weather, m.Time
	gust := 1 + 0.35*wander(s.salt, t, 20*time.Second) + 0.1*jitter(s.salt, t)
	return []devices.Value{
		value("temperature", w.Temperature+0.3*wander(mix(s.salt, 1), t, 10*time.Minute), 1),
		value("humidity", clamp(w.Humidity+1.5*wander(mix(s.salt, 2), t, 10*time.Minute), 5, 100), 1),
		value("pressure", w.Pressure+0.1*jitter(s.salt, t), 1),
		value("wind_speed", math.Max(0, w.Wind*gust), 1),
		value("wind_direction", math.Mod(w.WindFrom+14*wander(mix(s.salt, 3), t, 30*time.Second)+360, 360), 0),
		value("rain_rate", m.Rain(s.at), 1),
	}
}

// parking is a car park with a barrier that counts.
type parking struct{ *place }

func newParking(p *place) model { return &parking{p} }

func (p *parking) read(m *Moment) []devices.Value {
	hour := localHour(m.Time)
	day := math.Exp(-math.Pow(hour-11.5, 2) / 18)
	evening := math.Exp(-math.Pow(hour-19.5, 2) / 5)
	share := 0.15 + 0.7*day
	if mix(p.salt, 51)%3 == 0 { // by a market or restaurants
		share = 0.1 + 0.25*day + 0.6*evening
	}
	share *= passable(p.water(m))
	return []devices.Value{value("occupancy", clamp(100*share+3*wander(p.salt, m.Time, 8*time.Minute), 0, 100), 0)}
}

// lamp is one street light with its controller: on when the sky is dark.
type lamp struct{ *place }

func newLamp(p *place) model { return &lamp{p} }

func (l *lamp) read(m *Moment) []devices.Value {
	lux := illuminance(m.Weather)
	on := lux < 30+10*unit(mix(l.salt, 61))
	if mix(l.salt, 62)%40 == 0 {
		on = false // a dead lamp
	}
	var lit, watts float64 = 0, 2
	if on {
		lit, watts = 1, 70+80*streetLoad(l.class)
	}
	return []devices.Value{
		value("lamp", lit, 0),
		value("power", watts*(1+0.02*jitter(l.salt, m.Time)), 1),
		value("voltage", 228+4*wander(l.salt, m.Time, 3*time.Minute)-6*m.Traffic, 1),
	}
}

// illuminance is daylight in lux under a sky.
func illuminance(w Weather) float64 {
	if w.Sun < -6 {
		return 0.5
	}
	// From civil dusk (3 lx) to the sun in the zenith (110,000 lx).
	clear := 110000 * math.Pow(math.Max(0, math.Sin((w.Sun+6)/96*math.Pi/2)), 2.2)
	return math.Max(0.5, clear*(1-0.85*w.Cloud))
}

// pipe is a logger on a hydrant: people draw water, pressure falls.
type pipe struct{ *place }

func newPipe(p *place) model { return &pipe{p} }

func (p *pipe) read(m *Moment) []devices.Value {
	hour := localHour(m.Time)
	draw := 0.25 + 0.6*math.Exp(-math.Pow(hour-6.5, 2)/4) + 0.65*math.Exp(-math.Pow(hour-18.5, 2)/6)
	head := 360 - 110*draw + 30*(unit(mix(p.salt, 71))-0.5)
	flow := 6 + 22*draw
	for _, e := range m.Events {
		if e.Kind != PipeBurst {
			continue
		}
		d := p.world.plane.distance(p.at, p.world.burstAt(e))
		hit := math.Exp(-d * d / (2 * 700 * 700))
		head *= 1 - 0.75*hit
		flow += 60 * hit
	}
	return []devices.Value{
		value("water_pressure", 1000*math.Max(5, head+3*jitter(p.salt, m.Time)), -2), // of kPa
		value("flow", flow/1000*(1+0.03*jitter(mix(p.salt, 72), m.Time)), 5),         // of l/s
	}
}

// transformer is a monitor on a distribution transformer: the load follows the
// hour and the heat of the day, the oil follows the load and the air.
type transformer struct {
	*place
	oil lagging
}

func newTransformer(p *place) model { return &transformer{place: p} }

func (x *transformer) read(m *Moment) []devices.Value {
	hour := localHour(m.Time)
	homes := 0.42 + 0.16*math.Exp(-math.Pow(hour-12, 2)/8) + 0.36*math.Exp(-math.Pow(hour-19.5, 2)/7)
	cooling := 0.045 * math.Max(0, m.Weather.Temperature-24) // air conditioning
	load := (homes + cooling) * (0.72 + 0.5*unit(mix(x.salt, 81))) * (1 + 0.04*wander(x.salt, m.Time, 2*time.Minute))
	volts := 231 - 9*load
	if !x.live(m) {
		load, volts = 0, 0
	}
	rise := 42 * math.Pow(load, 1.6)
	tau := 25 * time.Minute
	if m.Under(CoolingFailed, x.index, x.count) {
		rise, tau = rise*2.2+40, 4*time.Minute
	}
	oil := x.oil.follow(m.Weather.Temperature+8+rise, tau, m.Time)
	amps := load * 400000 / (math.Sqrt(3) * 400) // of a 400 kVA unit
	return []devices.Value{
		value("load", 100*load, 1),
		value("oil_temperature", oil+0.2*jitter(x.salt, m.Time), 1),
		value("voltage", volts, 1),
		value("current", amps, 1),
	}
}

// bus runs its route there and back, waits at stops, crawls in traffic, turns
// round before deep water.
type bus struct {
	*place
	watch stopwatch
	track track
	stops []float64
	d     float64 // metres from the route's start
	back  bool
	wait  time.Duration
	kmh   float64
}

func newBus(p *place) model {
	r := p.world.city.Routes[p.route]
	b := &bus{place: p, track: p.world.plane.track(r.Line)}
	for _, s := range r.Stops {
		b.stops = append(b.stops, s.Distance)
	}
	b.d = b.track.length() * unit(mix(p.salt, 91))
	b.back = mix(p.salt, 92)%2 == 0
	return b
}

func (b *bus) read(m *Moment) []devices.Value {
	// A bus that was not looked at for long is simply somewhere else by now;
	// the cap bounds the work.
	for dt := min(b.watch.since(m.Time), 2*time.Hour); dt > 0; dt -= time.Second {
		b.drive(m, min(dt, time.Second))
	}
	_, seg := b.track.at(b.d)
	h := b.world.plane.heading(b.track, seg)
	if b.back {
		h = math.Mod(h+180, 360)
	}
	return []devices.Value{
		value("speed", b.kmh, 1),
		value("heading", math.Mod(math.Round(h), 360), 0),
	}
}

func (b *bus) drive(m *Moment, dt time.Duration) {
	if b.wait > 0 {
		b.wait -= dt
		b.kmh = 0
		return
	}
	here, _ := b.track.at(b.d)
	flooded := b.world.depthAt(m, here)
	target := 38*(1-0.6*clamp(m.Traffic, 0, 1))*(1-0.2*clamp(m.Rain(here)/60, 0, 1)) + 4*wander(b.salt, m.Time, 40*time.Second)
	target = math.Max(4, target*(0.15+0.85*passable(flooded)))
	b.kmh += clamp(target-b.kmh, -5, 4) * dt.Seconds()
	move := b.kmh / 3.6 * dt.Seconds()
	if b.back {
		move = -move
	}
	next := b.d + move
	ahead, _ := b.track.at(b.d + 12*move)
	if deep := b.world.depthAt(m, ahead); deep > 0.35 && deep > flooded {
		b.back = !b.back
		b.kmh = 0
		b.wait = 20 * time.Second
		return
	}
	for _, s := range b.stops {
		if (b.d-s)*(next-s) < 0 || next == s {
			b.wait = time.Duration(12+mix(b.salt, uint64(s))%18) * time.Second
		}
	}
	if next <= 0 || next >= b.track.length() {
		b.back = !b.back
		b.wait = 45 * time.Second
		next = clamp(next, 0, b.track.length())
	}
	b.d = next
}

// where is the fix of the bus's receiver, a few metres off.
func (b *bus) where(t time.Time) orb.Point {
	p, _ := b.track.at(b.d)
	m := b.world.plane.metres(p)
	m[0] += 3 * wander(mix(b.salt, 93), t, 15*time.Second)
	m[1] += 3 * wander(mix(b.salt, 94), t, 15*time.Second)
	return b.world.plane.degrees(m)
}

// gateway is a radio mast with a battery behind its mains.
type gateway struct {
	*place
	charge lagging
}

func newGateway(p *place) model { return &gateway{place: p} }

func (g *gateway) read(m *Moment) []devices.Value {
	rain := m.Rain(g.at)
	rtt := 18 + 12*unit(mix(g.salt, 95)) + 0.5*rain + 30*m.Traffic*math.Abs(jitter(g.salt, m.Time))
	full, tau := 100.0, 40*time.Minute
	if !g.live(m) {
		full, tau = 0, 90*time.Minute
	}
	return []devices.Value{
		value("uplink_rtt", rtt, 1),
		value("clients", float64(g.behind), 0),
		value("rssi", -71-0.12*rain+3*wander(g.salt, m.Time, time.Minute), 0),
		value("battery", g.charge.follow(full, tau, m.Time), 0),
	}
}

// depthAt is the water on the ground at a place.
func (w *World) depthAt(m *Moment, p orb.Point) float64 {
	if i := w.basinAt(p); i >= 0 && i < len(m.Depth) {
		return m.Depth[i]
	}
	return 0
}

func (w *World) basinAt(p orb.Point) int {
	for i := range w.city.Basins {
		if contains(w.city.Basins[i].Shape, p) {
			return i
		}
	}
	return -1
}

func contains(shape orb.Polygon, p orb.Point) bool {
	return len(shape) > 0 && len(shape[0]) > 3 && shape.Bound().Contains(p) && planar.PolygonContains(shape, p)
}

// burstAt is where the main of a pipe burst lies.
func (w *World) burstAt(e Event) orb.Point {
	if len(w.city.Wards) == 0 {
		return w.city.Centre
	}
	n := len(w.city.Wards)
	return w.city.Wards[((e.Index%n)+n)%n].Centre
}
