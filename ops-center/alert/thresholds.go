package alert

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vonglau/devices"
)

// Limit is one level of one set of the register of thresholds: what is fixed,
// for whom, by whom and since when.
type Limit struct {
	// Set and Level name it for rules: river-bd and 3.
	Set   string            `yaml:"set" json:"set"`
	Level string            `yaml:"level" json:"level"`
	Name  map[string]string `yaml:"name" json:"name"`
	// Subject is whom it binds: station:ID, device:ID, profile:NAME,
	// zone:LAYER/CODE, or * for everybody. The nearest of these counts.
	Subject  string           `yaml:"subject" json:"subject"`
	Quantity devices.Quantity `yaml:"quantity" json:"quantity"`
	// Value is null where nobody has told it yet. It stays so: a rule that needs
	// it does not judge.
	Value *float64 `yaml:"value" json:"value"`
	// To is the upper end of a band, null for an open one or for a plain limit. It
	// is in the band when the next level begins over it.
	To *float64 `yaml:"to" json:"to,omitempty"`
	// Over is set where Value itself is not yet in the level: the greatest value
	// that is allowed, or the end of the band before.
	Over bool   `yaml:"over" json:"over,omitempty" doc:"The value itself is not yet in the level: a rule that refers to it judges what is beyond"`
	Unit string `yaml:"unit" json:"unit"`
	// Average is over which time the quantity counts: 1h, 24h; empty for single
	// readings.
	Average string `yaml:"average" json:"average,omitempty"`
	// Below is set where low values are the bad ones.
	Below bool `yaml:"below" json:"below,omitempty"`
	// Hours bounds the time of the day, in the city's calendar: 06:00-21:00.
	Hours string `yaml:"hours" json:"hours,omitempty"`
	// Basis is the decision or standard, Authority who made it. Doubt says what
	// is not certain of the value.
	Basis     string       `yaml:"basis" json:"basis"`
	Authority string       `yaml:"authority" json:"authority"`
	Doubt     string       `yaml:"doubt" json:"doubt,omitempty"`
	ValidFrom devices.Date `yaml:"valid_from" json:"validFrom"`
	ValidTo   devices.Date `yaml:"valid_to" json:"validTo,omitempty"` // the last day, empty for open
	// Colour is a key of the palette, not a colour.
	Colour string `yaml:"colour" json:"colour,omitempty"`
}

// level is the limit as a rule holds values against it.
func (l *Limit) level(clearBy float64) Level {
	v := *l.Value
	if l.Below {
		clear := v + clearBy
		return Level{Below: &v, Clear: &clear, over: l.Over}
	}
	clear := v - clearBy
	return Level{Above: &v, Clear: &clear, over: l.Over}
}

// Station is a place that a decision names, with our devices that stand for it.
type Station struct {
	ID      string            `yaml:"id" json:"id"`
	Name    map[string]string `yaml:"name" json:"name"`
	Devices []devices.ID      `yaml:"devices" json:"devices"`
}

// Scale is levels that an authority announces and nobody computes from readings:
// the register has their names and colours for what shows them.
type Scale struct {
	ID        string            `yaml:"id" json:"id"`
	Name      map[string]string `yaml:"name" json:"name"`
	Basis     string            `yaml:"basis" json:"basis"`
	Authority string            `yaml:"authority" json:"authority"`
	Doubt     string            `yaml:"doubt" json:"doubt,omitempty"`
	ValidFrom devices.Date      `yaml:"valid_from" json:"validFrom"`
	// Levels are from the lowest to the highest.
	Levels []ScaleLevel `yaml:"levels" json:"levels"`
}

// ScaleLevel is one level of a scale. Colour is #RRGGBB.
type ScaleLevel struct {
	Level  string            `yaml:"level" json:"level"`
	Name   map[string]string `yaml:"name" json:"name"`
	Colour string            `yaml:"colour" json:"colour"`
}

var hexColour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func (s *Scale) validate() error {
	if s.ID == "" || s.Basis == "" || s.Authority == "" || s.Name["vi"] == "" || s.Name["en"] == "" || len(s.Levels) == 0 {
		return errors.New("it has id, name.vi, name.en, basis, authority and levels")
	}
	if _, err := time.Parse(time.DateOnly, string(s.ValidFrom)); err != nil {
		return fmt.Errorf("valid_from is a day, such as 2021-07-01 (%q)", s.ValidFrom)
	}
	levels, colours := map[string]bool{}, map[string]bool{}
	for _, l := range s.Levels {
		colour := strings.ToLower(l.Colour)
		switch {
		case l.Level == "" || l.Name["vi"] == "" || l.Name["en"] == "":
			return errors.New("a level has level, name.vi and name.en")
		case !hexColour.MatchString(l.Colour):
			return fmt.Errorf("level %s: colour %q: write #RRGGBB", l.Level, l.Colour)
		case levels[l.Level] || colours[colour]:
			return fmt.Errorf("level %s: a level and its colour are given once", l.Level)
		}
		levels[l.Level], colours[colour] = true, true
	}
	return nil
}

// Thresholds is the register of thresholds. It is never changed: another takes
// its place.
type Thresholds struct {
	Stations []Station `json:"stations"`
	Limits   []Limit   `json:"limits"`
	Scales   []Scale   `json:"scales"`

	station map[devices.ID]string
	bySet   map[string][]*Limit // by set and level
}

const maxLimits = 20_000

// ParseThresholds reads a register file. Unknown keys are errors, and every error
// of an entry names its line.
func ParseThresholds(source []byte, c *devices.Catalogue) (*Thresholds, error) {
	var file struct {
		Version  int       `yaml:"version"`
		Stations []Station `yaml:"stations"`
		Limits   []Limit   `yaml:"limits"`
		Scales   []Scale   `yaml:"scales"`
	}
	d := yaml.NewDecoder(bytes.NewReader(source))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("thresholds: %w", err)
	}
	if file.Version != 1 {
		return nil, fmt.Errorf("thresholds: version %d; this server reads version: 1", file.Version)
	}
	if len(file.Limits) > maxLimits {
		return nil, fmt.Errorf("thresholds: %d of them, at most %d are taken", len(file.Limits), maxLimits)
	}
	t := &Thresholds{Stations: file.Stations, Limits: file.Limits, Scales: file.Scales, station: map[devices.ID]string{}, bySet: map[string][]*Limit{}}
	scales := map[string]bool{}
	for i := range t.Scales {
		s := &t.Scales[i]
		err := s.validate()
		if err == nil && scales[s.ID] {
			err = errors.New("the id is used twice")
		}
		if err != nil {
			return nil, fmt.Errorf("thresholds: scale %q: %w", s.ID, err)
		}
		scales[s.ID] = true
	}
	stations := map[string]bool{}
	for _, s := range t.Stations {
		if s.ID == "" || stations[s.ID] {
			return nil, fmt.Errorf("thresholds: station %q: an id is given once and is not empty", s.ID)
		}
		stations[s.ID] = true
		for _, id := range s.Devices {
			if _, err := devices.ParseID(string(id)); err != nil {
				return nil, fmt.Errorf("thresholds: station %q: %w", s.ID, err)
			}
			if other := t.station[id]; other != "" {
				return nil, fmt.Errorf("thresholds: device %s stands for %s and for %s", id, other, s.ID)
			}
			t.station[id] = s.ID
		}
	}
	lines := linesOf(source, "limits")
	for i := range t.Limits {
		l := &t.Limits[i]
		err := l.validate(c, stations)
		key := l.Set + "/" + l.Level
		if err == nil {
			for _, other := range t.bySet[key] {
				if other.Subject == l.Subject && other.Hours == l.Hours && other.Average == l.Average && other.Quantity == l.Quantity &&
					other.from() <= l.to() && l.from() <= other.to() {
					err = errors.New("it is in force with another of the same set, level and subject")
				}
			}
		}
		if err != nil {
			where := ""
			if i < len(lines) {
				where = fmt.Sprintf("line %d: ", lines[i])
			}
			return nil, fmt.Errorf("thresholds: %s%s %s of %s: %w", where, l.Set, l.Level, l.Subject, err)
		}
		t.bySet[key] = append(t.bySet[key], l)
	}
	return t, nil
}

func (l *Limit) from() devices.Date { return l.ValidFrom }

func (l *Limit) to() devices.Date {
	if l.ValidTo == "" {
		return "9999-12-31"
	}
	return l.ValidTo
}

func (l *Limit) validate(c *devices.Catalogue, stations map[string]bool) error {
	for _, part := range []struct {
		name  string
		empty bool
	}{
		{"set", l.Set == ""}, {"level", l.Level == ""}, {"subject", l.Subject == ""}, {"unit", l.Unit == ""},
		{"basis", l.Basis == ""}, {"authority", l.Authority == ""}, {"name.vi", l.Name["vi"] == ""}, {"name.en", l.Name["en"] == ""},
	} {
		if part.empty {
			return fmt.Errorf("%s is missing", part.name)
		}
	}
	if _, ok := c.Quantity(l.Quantity); !ok {
		return fmt.Errorf("quantity %q is not in the catalogue", l.Quantity)
	}
	for _, v := range []*float64{l.Value, l.To} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			return errors.New("a value is a finite number, or null while it is not known")
		}
	}
	for _, day := range []devices.Date{l.ValidFrom, l.ValidTo} {
		if _, err := time.Parse(time.DateOnly, string(day)); err != nil && !(day == "" && l.ValidFrom != "") {
			return fmt.Errorf("valid_from and valid_to are days, such as 2020-04-01 (%q)", day)
		}
	}
	if l.to() < l.from() {
		return errors.New("it ends before it begins")
	}
	if l.Hours != "" {
		if _, _, err := hours(l.Hours); err != nil {
			return err
		}
	}
	kind, id, _ := strings.Cut(l.Subject, ":")
	switch kind {
	case "*":
	case "station":
		if !stations[id] {
			return fmt.Errorf("station %q is not among the stations", id)
		}
	case "device":
		if _, err := devices.ParseID(id); err != nil {
			return err
		}
	case "profile":
		if _, ok := c.Profile(id); !ok {
			return fmt.Errorf("profile %q is not in the catalogue", id)
		}
	case "zone":
		if layer, code, ok := strings.Cut(id, "/"); !ok || layer == "" || code == "" {
			return fmt.Errorf("subject %q: write zone:LAYER/CODE", l.Subject)
		}
	default:
		return fmt.Errorf("subject %q: use station:, device:, profile:, zone: or *", l.Subject)
	}
	return nil
}

// rank is how near a subject is to a device; 0 when it is not about it.
func (t *Thresholds) rank(l *Limit, d *devices.Device, zones []devices.ZoneRef) int {
	kind, id, _ := strings.Cut(l.Subject, ":")
	switch kind {
	case "*":
		return 1
	case "profile":
		if plain(d.Profile) == plain(id) {
			return 2
		}
	case "zone":
		layer, code, _ := strings.Cut(id, "/")
		if slices.ContainsFunc(zones, func(z devices.ZoneRef) bool { return z.Layer == layer && z.Code == code }) {
			return 3
		}
	case "station":
		if t.station[d.ID] == id {
			return 4
		}
	case "device":
		if string(d.ID) == id {
			return 5
		}
	}
	return 0
}

func (l *Limit) holds(at time.Time, calendar *time.Location) bool {
	day := devices.Date(at.In(calendar).Format(time.DateOnly))
	if day < l.from() || day > l.to() {
		return false
	}
	return l.Hours == "" || (&Schedule{Hours: []string{l.Hours}}).holds(at.UnixMilli(), calendar)
}

// find gives the limit that binds a device at a time, nil for none. It may have
// no value.
func (t *Thresholds) find(set, level string, d *devices.Device, zones []devices.ZoneRef, q devices.Quantity, at int64, calendar *time.Location) (best *Limit) {
	if t == nil {
		return nil
	}
	nearest := 0
	for _, l := range t.bySet[set+"/"+level] {
		if n := t.rank(l, d, zones); n > nearest && l.Quantity == q && l.holds(time.UnixMilli(at), calendar) {
			best, nearest = l, n
		}
	}
	return best
}

// For gives the limits that bind a device at a time, or with no device those of
// everybody; with no quantity, of all.
func (t *Thresholds) For(d *devices.Device, zones []devices.ZoneRef, q devices.Quantity, at time.Time, calendar *time.Location) []Limit {
	out := []Limit{}
	if t == nil {
		return out
	}
	for key := range t.bySet {
		best := map[string]*Limit{}
		ranks := map[string]int{}
		for _, l := range t.bySet[key] {
			n := 1
			group := l.Subject
			if d != nil {
				n, group = t.rank(l, d, zones), ""
			}
			group += "/" + string(l.Quantity) + "/" + l.Average
			if n > ranks[group] && (q == "" || l.Quantity == q) && l.holds(at, calendar) {
				best[group], ranks[group] = l, n
			}
		}
		for _, l := range best {
			out = append(out, *l)
		}
	}
	slices.SortFunc(out, func(a, b Limit) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Quantity, b.Quantity), cmp.Compare(a.Level, b.Level), cmp.Compare(a.Average, b.Average))
	})
	return out
}

// Station is the station that a device stands for, empty for none.
func (t *Thresholds) Station(id devices.ID) string {
	if t == nil {
		return ""
	}
	return t.station[id]
}

// unknown tells why a rule that takes its limit from the register cannot judge
// at all, empty when it can judge somebody.
func (t *Thresholds) unknown(ref, level string, at time.Time, calendar *time.Location) string {
	if t == nil {
		return fmt.Sprintf("there is no register of thresholds with %s %s", ref, level)
	}
	list := t.bySet[ref+"/"+level]
	if len(list) == 0 {
		return fmt.Sprintf("the register of thresholds has no %s %s", ref, level)
	}
	reason := fmt.Sprintf("no %s %s is in force today", ref, level)
	for _, l := range list {
		if !l.holds(at, calendar) {
			continue
		}
		if l.Value != nil {
			return ""
		}
		reason = fmt.Sprintf("nobody has told the value of %s %s (%s)", ref, level, l.Basis)
	}
	return reason
}
