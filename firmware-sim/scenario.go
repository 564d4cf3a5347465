package firmwaresim

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

//go:embed scenarios/*.yaml
var scenarioFiles embed.FS

// Local is the civil time of the simulated city. Viet Nam keeps one offset all
// year, so the program needs no zone database on the machine it runs on.
var Local = time.FixedZone("+07", 7*60*60)

// Scenario is the story a run tells: what the sky and the sea do, what breaks,
// how often devices report and how badly they behave. Times in it are durations
// from the start of the run; the World is stepped through WarmUp before that,
// so a run can begin in the middle of things.
type Scenario struct {
	Name  string            `yaml:"name"`
	Label map[string]string `yaml:"label"`
	About map[string]string `yaml:"about"`
	// StartAt is the local time of day the run begins at, "17:20"; empty is the
	// time of day it is.
	StartAt string `yaml:"start_at"`
	WarmUp  Span   `yaml:"warm_up"`
	// CycleFrom is where the story goes on after its last key frame, so that
	// the city does not come to rest while people look at it. Zero holds the
	// last frame.
	CycleFrom Span      `yaml:"cycle_from"`
	Weather   []Forcing `yaml:"weather"`
	Incidents []Event   `yaml:"incidents"`
	// ReportEvery overrides the profile's interval, by profile name.
	ReportEvery map[string]Span `yaml:"report_every"`
	Faults      Faults          `yaml:"faults"`
}

// Forcing is one key frame of the weather; between two frames it changes
// evenly.
type Forcing struct {
	At          Span    `yaml:"at"`
	Temperature float64 `yaml:"temperature"` // daily mean, Cel
	Swing       float64 `yaml:"swing"`       // half of the day's range, Cel
	Humidity    float64 `yaml:"humidity"`    // %RH
	Pressure    float64 `yaml:"pressure"`    // hPa
	Wind        float64 `yaml:"wind"`        // m/s, mean
	WindFrom    float64 `yaml:"wind_from"`   // deg
	Cloud       float64 `yaml:"cloud"`       // 0 clear, 1 overcast
	Rain        float64 `yaml:"rain"`        // mm/h in the heart of a full-grown cell
	Drizzle     float64 `yaml:"drizzle"`     // mm/h everywhere
	Surge       float64 `yaml:"surge"`       // m, on top of the river's ordinary level, at the city's upper end
	Traffic     float64 `yaml:"traffic"`     // share of an ordinary day's traffic
}

// Event is one thing that breaks for a while.
type Event struct {
	At   Span   `yaml:"at"`
	For  Span   `yaml:"for"`
	Kind string `yaml:"kind"`
	// Index chooses the victim among those of its kind, counted round.
	Index int `yaml:"index"`
}

// The kinds of events.
const (
	FeederTrip    = "feeder_trip"    // no current in a feeder's zone
	GatewayDown   = "gateway_down"   // the devices behind a gateway lose their link
	SensorStuck   = "sensor_stuck"   // a flooded-road sensor repeats itself
	PipeBurst     = "pipe_burst"     // water pressure falls around a place
	CoolingFailed = "cooling_failed" // a transformer's fans stop
)

var eventKinds = []string{FeederTrip, GatewayDown, SensorStuck, PipeBurst, CoolingFailed}

// Faults are the rates at which devices misbehave.
type Faults struct {
	Malformed float64 `yaml:"malformed"`  // share of reports followed by a malformed frame
	LostAcks  float64 `yaml:"lost_acks"`  // share of reports whose acknowledgement gets lost
	LinkLoss  float64 `yaml:"link_loss"`  // lost links per device and hour
	Reboots   float64 `yaml:"reboots"`    // per device and hour
	BadClocks float64 `yaml:"bad_clocks"` // share of devices that wake in 1970 and wait for network time
	DriftPPM  float64 `yaml:"drift_ppm"`  // largest drift
	OffsetMax Span    `yaml:"offset_max"` // largest constant error
}

// Span is a duration written "90s", "5h", "-2h".
type Span time.Duration

// UnmarshalYAML reads a span.
func (s *Span) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a duration, write 90s, 15m or 2h", n.Line, n.Value)
	}
	*s = Span(d)
	return nil
}

// Scenarios lists the built-in scenarios by name.
func Scenarios() []*Scenario {
	names, err := fs.Glob(scenarioFiles, "scenarios/*.yaml")
	if err != nil {
		return nil
	}
	var out []*Scenario
	for _, n := range names {
		if s, err := LoadScenario(strings.TrimSuffix(path.Base(n), ".yaml")); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// LoadScenario finds a built-in scenario by name, or reads a file.
func LoadScenario(name string) (*Scenario, error) {
	data, err := scenarioFiles.ReadFile("scenarios/" + name + ".yaml")
	if err != nil {
		if data, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("scenario %q is neither built in (see firmware-sim scenarios) nor a file: %w", name, err)
		}
	}
	s, err := ParseScenario(data)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	return s, nil
}

// ParseScenario reads and checks a scenario. An unknown key is an error.
func ParseScenario(data []byte) (*Scenario, error) {
	s := new(Scenario)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scenario) validate() error {
	if s.Name == "" {
		return errors.New("name is missing")
	}
	if len(s.Weather) == 0 {
		return errors.New("weather needs at least one key frame")
	}
	for i, f := range s.Weather {
		if i > 0 && f.At <= s.Weather[i-1].At {
			return fmt.Errorf("weather frame %d at %v does not come after the one before it", i+1, time.Duration(f.At))
		}
		for _, v := range []float64{f.Temperature, f.Swing, f.Humidity, f.Pressure, f.Wind, f.WindFrom, f.Cloud, f.Rain, f.Drizzle, f.Surge, f.Traffic} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("weather frame %d holds a value that is not a number", i+1)
			}
		}
	}
	if s.WarmUp < 0 || time.Duration(s.WarmUp) > 48*time.Hour {
		return fmt.Errorf("warm_up %v: need 0 to 48h", time.Duration(s.WarmUp))
	}
	if s.CycleFrom != 0 && s.CycleFrom >= s.Weather[len(s.Weather)-1].At {
		return errors.New("cycle_from must lie before the last weather frame")
	}
	for i, e := range s.Incidents {
		if !slices.Contains(eventKinds, e.Kind) {
			return fmt.Errorf("incident %d: unknown kind %q, use one of %s", i+1, e.Kind, strings.Join(eventKinds, ", "))
		}
		if e.For <= 0 {
			return fmt.Errorf("incident %d: for must be longer than nothing", i+1)
		}
	}
	for p, d := range s.ReportEvery {
		if time.Duration(d) < 100*time.Millisecond {
			return fmt.Errorf("report_every %s: %v is shorter than 100ms", p, time.Duration(d))
		}
	}
	if s.StartAt != "" {
		if _, err := time.Parse("15:04", s.StartAt); err != nil {
			return fmt.Errorf("start_at %q: write a time of day as 17:20", s.StartAt)
		}
	}
	for name, v := range map[string]float64{"malformed": s.Faults.Malformed, "lost_acks": s.Faults.LostAcks, "bad_clocks": s.Faults.BadClocks} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("faults.%s %v: need a share from 0 to 1", name, v)
		}
	}
	return nil
}

// Start gives the world time a run begins at when it is now.
func (s *Scenario) Start(now time.Time) time.Time {
	now = now.In(Local).Truncate(time.Second)
	if s.StartAt == "" {
		return now
	}
	at, err := time.Parse("15:04", s.StartAt)
	if err != nil {
		return now
	}
	return time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, Local)
}

// place maps elapsed time into the story, going round after its end.
func (s *Scenario) place(elapsed time.Duration) time.Duration {
	end := time.Duration(s.Weather[len(s.Weather)-1].At)
	from := time.Duration(s.CycleFrom)
	if s.CycleFrom == 0 || elapsed <= end {
		return elapsed
	}
	return from + (elapsed-from)%(end-from)
}

// forcing gives the weather at a moment of the story.
func (s *Scenario) forcing(elapsed time.Duration) Forcing {
	at := Span(s.place(elapsed))
	i := 0
	for i < len(s.Weather) && s.Weather[i].At <= at {
		i++
	}
	switch i {
	case 0:
		return s.Weather[0]
	case len(s.Weather):
		return s.Weather[len(s.Weather)-1]
	}
	a, b := s.Weather[i-1], s.Weather[i]
	f := float64(at-a.At) / float64(b.At-a.At)
	l := func(x, y float64) float64 { return x + (y-x)*f }
	turn := math.Mod(b.WindFrom-a.WindFrom+540, 360) - 180 // the short way round
	return Forcing{
		At: at, Temperature: l(a.Temperature, b.Temperature), Swing: l(a.Swing, b.Swing),
		Humidity: l(a.Humidity, b.Humidity), Pressure: l(a.Pressure, b.Pressure), Wind: l(a.Wind, b.Wind),
		WindFrom: math.Mod(a.WindFrom+turn*f+360, 360), Cloud: l(a.Cloud, b.Cloud), Rain: l(a.Rain, b.Rain),
		Drizzle: l(a.Drizzle, b.Drizzle), Surge: l(a.Surge, b.Surge), Traffic: l(a.Traffic, b.Traffic),
	}
}

// active gives the events under way at a moment of the story.
func (s *Scenario) active(elapsed time.Duration) []Event {
	at := Span(s.place(elapsed))
	var out []Event
	for _, e := range s.Incidents {
		if at >= e.At && at < e.At+e.For {
			out = append(out, e)
		}
	}
	return out
}
