package firmwaresim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
	"vonglau/firmware-sim/city"
)

// Options say what fleet to run and where.
type Options struct {
	City     *city.City // generated from Seed when nil
	Scenario *Scenario  // typhoon when nil
	Seed     uint64     // 7 when zero
	Devices  int        // 500 when zero
	// Speed is how many seconds of the World pass in one of ours; 1 when zero.
	// Devices stamp and report in our time, so at another speed than 1 rates
	// and counters do not agree with one another on our clock.
	Speed float64
	// Prefix goes before every device id, for several fleets on one server.
	Prefix string
	// MQTT and CoAP are addresses, "[::1]:1883". Without one of them the other
	// serves all devices.
	MQTT, CoAP string
	// Memory is how many readings a device keeps while the server is away; 2000
	// when zero.
	Memory int
}

func (o *Options) validate() error {
	if o.Seed == 0 {
		o.Seed = 7
	}
	if o.Devices == 0 {
		o.Devices = 500
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Memory == 0 {
		o.Memory = 2000
	}
	if o.Devices < 0 || o.Devices > 200000 {
		return fmt.Errorf("devices: %d, need 1 to 200000", o.Devices)
	}
	if !(o.Speed > 0 && o.Speed <= 3600) {
		return fmt.Errorf("speed: %v, need more than 0 and at most 3600", o.Speed)
	}
	if o.MQTT == "" && o.CoAP == "" {
		return errors.New("no address: give one for MQTT, CoAP or both")
	}
	for name, a := range map[string]string{"mqtt": o.MQTT, "coap": o.CoAP} {
		if a == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("%s address %q: %w (an IPv6 address goes in brackets: [::1]:1883)", name, a, err)
		}
	}
	if o.Scenario == nil {
		s, err := LoadScenario("typhoon")
		if err != nil {
			return err
		}
		o.Scenario = s
	}
	if o.City == nil {
		// Devices do not look at houses, and houses are most of the work.
		o.City = city.Generate(o.Seed, city.Options{MaxBuildings: 1})
	}
	return nil
}

// Fleet is a city's devices. New settles them, Run lets them live.
type Fleet struct {
	Stats Stats

	options Options
	world   *World
	places  []*place
	shared  *coapShared
}

// New makes the world and settles the devices in it. Nothing is sent before Run.
func New(o Options) (*Fleet, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f := &Fleet{options: o, world: NewWorld(o.City, o.Scenario, o.Seed, o.Scenario.Start(time.Now()))}
	places, err := settle(f.world, o.Devices)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	for _, p := range places {
		p.id = devices.ID(o.Prefix) + p.id
		if _, err := devices.ParseID(string(p.id)); err != nil {
			return nil, fmt.Errorf("fleet: prefix: %w", err)
		}
	}
	f.places = places
	return f, nil
}

// World gives the world the devices measure.
func (f *Fleet) World() *World { return f.world }

// Registrations lists the devices for the register.
func (f *Fleet) Registrations() []Registration {
	gateways := make(map[int]devices.ID)
	for _, p := range f.places {
		if p.kind.spot == onMast {
			gateways[p.index] = p.id
		}
	}
	out := make([]Registration, 0, len(f.places))
	for _, p := range f.places {
		r := Registration{ID: p.id, Name: p.name, Profile: p.kind.profile, Owner: p.kind.owner, Simulated: true}
		if !p.kind.moving {
			r.At = &[2]float64{round(p.at.Lon(), 6), round(p.at.Lat(), 6)}
		}
		if p.upstream >= 0 {
			r.Upstream = gateways[p.upstream]
		}
		out = append(out, r)
	}
	// A device is registered after what it hangs on.
	slices.SortStableFunc(out, func(a, b Registration) int {
		return cmp.Compare(min(len(a.Upstream), 1), min(len(b.Upstream), 1))
	})
	return out
}

// Run lets the devices live with the given credentials until ctx ends, and
// returns when the last of them has said good-bye.
func (f *Fleet) Run(ctx context.Context, c *Credentials) error {
	for _, p := range f.places {
		if c.Token(p.id) == "" {
			return fmt.Errorf("run %s: no token, provision it first", p.id)
		}
	}
	f.shared = newCoAPShared()
	defer f.shared.close()
	var wg sync.WaitGroup
	wg.Add(1)
	go f.turn(ctx, &wg)
	for i, p := range f.places {
		d := f.device(ctx, i, p, c.Token(p.id))
		wg.Add(1)
		go f.live(ctx, d, &wg)
	}
	wg.Wait()
	return nil
}

// turn moves the world along.
func (f *Fleet) turn(ctx context.Context, wg *sync.WaitGroup) {
	defer wg.Done()
	began := time.Now()
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			passed := time.Duration(float64(now.Sub(began)) * f.options.Speed)
			f.world.Step(f.world.start.Add(passed))
		}
	}
}

// live is one device's goroutine.
func (f *Fleet) live(ctx context.Context, d *device, wg *sync.WaitGroup) {
	defer wg.Done()
	d.run(ctx)
}

// device builds the i-th device: half of them speak MQTT, half CoAP, and what
// else differs follows from its salt.
func (f *Fleet) device(ctx context.Context, i int, p *place, token string) *device {
	rng := rand.New(rand.NewPCG(p.salt, uint64(time.Now().UnixNano())))
	s := f.options.Scenario
	now := time.Now()
	every := p.kind.every
	if e, ok := s.ReportEvery[p.kind.profile]; ok {
		every = time.Duration(e)
	}
	w := &wire{ctx: ctx, id: p.id, token: token, keepAlive: 30 * time.Second, depth: 8, note: f.Stats.note}
	w.answers = make(chan answer, 2*w.depth+8)
	proto, format := choose(p.salt, i, f.options.MQTT != "", f.options.CoAP != "")
	w.format = format
	d := &device{
		firmware: firmware{id: p.id, format: format, noBver: mix(p.salt, 201)%4 == 0, rfc3339: mix(p.salt, 202)%5 == 0},
		source: &station{
			place: p, model: p.kind.model(p), now: f.world.Now,
			charge: 25 + 75*unit(mix(p.salt, 203)), drain: 0.02 + 0.3*unit(mix(p.salt, 204)),
		},
		wire: w, rng: rng, every: every, faults: s.Faults, stats: &f.Stats,
		clock:    newClock(s.Faults, now, rng),
		capacity: f.options.Memory,
		backoff:  backoff{first: time.Second, most: time.Minute},
		// A SenML pack has one place for all its records.
		single: p.kind.moving && (format == devices.FormatSenMLJSON || format == devices.FormatSenMLCBOR),
	}
	switch proto {
	case protoMQTT3:
		w.addr = f.options.MQTT
		d.link = newMQTT3(w)
	case protoMQTT5:
		w.addr = f.options.MQTT
		d.link = newMQTT5(w)
	default:
		w.addr = f.options.CoAP
		d.link = newCoAP(w, f.shared)
	}
	return d
}

// WriteCity draws the city of a seed as GeoJSON layers into a directory.
func WriteCity(seed uint64, dir string) error {
	if err := city.Generate(seed, city.Options{}).WriteGeoJSON(dir); err != nil {
		return fmt.Errorf("draw the city of seed %d: %w", seed, err)
	}
	return nil
}

type protocol uint8

const (
	protoMQTT3 protocol = iota
	protoMQTT5
	protoCoAP
	protoHTTP
)

// choose gives a device its protocol and format. MQTT 3.1.1 carries no content
// type, so its devices speak what a server can tell apart: JSON and SenML JSON.
func choose(salt uint64, i int, mqtt, coap bool) (protocol, devices.Format) {
	formats := []devices.Format{devices.FormatJSON, devices.FormatSenMLJSON, devices.FormatJSON, devices.FormatSenMLCBOR, devices.FormatCBOR}
	p := protoCoAP
	if mqtt && (!coap || i%2 == 0) {
		p, formats = protoMQTT5, formats[:4]
		if mix(salt, 211)%2 == 0 {
			p, formats = protoMQTT3, formats[:2]
		}
	}
	return p, formats[mix(salt, 212)%uint64(len(formats))]
}

// newHTTPClient makes a client for many devices that post to one server.
func newHTTPClient(connections int) *http.Client {
	t := &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: connectTimeout}).DialContext,
	}
	return &http.Client{Transport: t, Timeout: exchangeTime}
}
