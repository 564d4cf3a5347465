package scene

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Errors of this package; what is wrong is in their text.
var (
	ErrInvalid  = errors.New("invalid")
	ErrNone     = errors.New("there is none")
	ErrConflict = errors.New("conflict")
	ErrLocked   = errors.New("locked")
)

// Text is a text in several languages, by language.
type Text map[string]string

// Kind is what a panel shows.
type Kind string

// The kinds of panels.
const (
	Map     Kind = "map"
	Alarms  Kind = "alarms"
	Figures Kind = "figures"
	Chart   Kind = "chart"
	Table   Kind = "table"
	Camera  Kind = "camera"
	Web     Kind = "web"
	Clock   Kind = "clock"
	Words   Kind = "text"
)

var kinds = []Kind{Map, Alarms, Figures, Chart, Table, Camera, Web, Clock, Words}

// Columns and Rows are the grid of every scene.
const (
	Columns = 24
	Rows    = 12
)

// DefaultScene is what a screen shows that nobody has given another. It is there
// before anybody made a scene, may be changed and never deleted.
const DefaultScene = "default"

// Channel is one quantity of one device.
type Channel struct {
	Device   string `json:"device" maxLength:"64"`
	Quantity string `json:"quantity" maxLength:"64"`
}

// Settings are those of a panel; which ones count depends on its kind.
type Settings struct {
	Title Text `json:"title,omitempty"`
	// Of a chart: river, rain, fleet or channels. Of a table: alarms or devices.
	Of       string    `json:"of,omitempty" maxLength:"16"`
	Channels []Channel `json:"channels,omitempty" maxItems:"8"`
	Hours    float64   `json:"hours,omitempty" minimum:"0" maximum:"168"`
	// Class and Quantity choose a table's devices and its column.
	Class    string `json:"class,omitempty" maxLength:"32"`
	Quantity string `json:"quantity,omitempty" maxLength:"64"`
	// MaxPriority leaves out alarms of less weight: 1 shows the worst only.
	MaxPriority int `json:"maxPriority,omitempty" minimum:"0" maximum:"4"`
	// URL is that of a camera's or a web panel's page; its origin must be in the
	// list of the configuration.
	URL string `json:"url,omitempty" maxLength:"500"`
	// Refresh fetches a camera's still picture again, in seconds; 0 for a page.
	Refresh int    `json:"refresh,omitempty" minimum:"0" maximum:"3600"`
	Text    Text   `json:"text,omitempty"`
	Size    string `json:"size,omitempty" enum:"small,medium,large"`
}

// Panel is one part of a scene: a rectangle of its grid.
type Panel struct {
	ID       string   `json:"id" maxLength:"32"`
	Kind     Kind     `json:"kind" enum:"map,alarms,figures,chart,table,camera,web,clock,text"`
	X        int      `json:"x" minimum:"0" maximum:"23"`
	Y        int      `json:"y" minimum:"0" maximum:"11"`
	W        int      `json:"w" minimum:"1" maximum:"24"`
	H        int      `json:"h" minimum:"1" maximum:"12"`
	Settings Settings `json:"settings" required:"false"`
}

// View is where a map looks.
type View struct {
	Lon  float64 `json:"lon" minimum:"-180" maximum:"180"`
	Lat  float64 `json:"lat" minimum:"-85" maximum:"85"`
	Zoom float64 `json:"zoom" minimum:"2" maximum:"20"`
}

// Filters are what a scene's map leaves out.
type Filters struct {
	MaxPriority int      `json:"maxPriority,omitempty" minimum:"0" maximum:"4"`
	Hidden      []string `json:"hidden,omitempty" maxItems:"32" doc:"Classes of devices that are not drawn"`
}

// Scene is what a screen can show. A version never changes: a change makes the
// next one.
type Scene struct {
	ID      string  `json:"id"`
	Version int     `json:"version"`
	Name    Text    `json:"name"`
	Panels  []Panel `json:"panels"`
	Camera  *View   `json:"camera,omitempty"`
	// Layers are those of the map; absent leaves the map its own choice.
	Layers  []string `json:"layers,omitempty"`
	Filters Filters  `json:"filters" required:"false"`
	// Bare leaves out the line at the top with the city's name and the state of
	// the connection. When the connection is lost the page says so all the same.
	Bare bool      `json:"bare,omitempty"`
	At   time.Time `json:"at"`
	By   string    `json:"by" personal:"name"`
}

// Span is the place of a display in a wall of several browsers that show parts
// of one map.
type Span struct {
	Columns int `json:"columns" minimum:"1" maximum:"16"`
	Rows    int `json:"rows" minimum:"1" maximum:"16"`
	Column  int `json:"column" minimum:"0" maximum:"15"`
	Row     int `json:"row" minimum:"0" maximum:"15"`
	// BezelX and BezelY are the pixels hidden between two neighbours; negative
	// where pictures overlap.
	BezelX float64 `json:"bezelX,omitempty" minimum:"-1000" maximum:"1000"`
	BezelY float64 `json:"bezelY,omitempty" minimum:"-1000" maximum:"1000"`
}

// Seat is the farthest one from which the display is read: metres, and
// millimetres from pixel to pixel.
type Seat struct {
	Distance float64 `json:"distance" minimum:"0.3" maximum:"100"`
	Pitch    float64 `json:"pitch" minimum:"0.05" maximum:"20"`
}

// Calm is how a display behaves day and night.
type Calm struct {
	Theme string `json:"theme,omitempty" enum:"dark,light"`
	// Orbit moves the picture by a few pixels every three minutes.
	Orbit bool `json:"orbit" required:"false"`
	// DimFrom and DimTo are times of day, 22:00 and 05:30; DimTo the share of
	// light that is left then, in percent.
	DimFrom string `json:"dimFrom,omitempty" maxLength:"5"`
	DimTo   string `json:"dimTo,omitempty" maxLength:"5"`
	Dim     int    `json:"dim,omitempty" minimum:"0" maximum:"100"`
	// Reload is the time of day of a soft reload; none when empty.
	Reload string `json:"reload,omitempty" maxLength:"5"`
}

// Item is one scene of a playlist: for so many seconds, on some days and at
// some time of day.
type Item struct {
	Scene   string `json:"scene" maxLength:"64"`
	Seconds int    `json:"seconds" minimum:"5" maximum:"86400"`
	From    string `json:"from,omitempty" maxLength:"5" doc:"Time of day, 06:00"`
	To      string `json:"to,omitempty" maxLength:"5"`
	Days    []int  `json:"days,omitempty" maxItems:"7" doc:"0 is Sunday; every day when left out"`
}

// TakeOver says which alarms take a display over, for how long and with which
// scene.
type TakeOver struct {
	// Priority and worse take over; 0 none do.
	Priority int    `json:"priority" required:"false" minimum:"0" maximum:"4"`
	Scene    string `json:"scene,omitempty" maxLength:"64"`
	// Hold is the longest it lasts, Linger how long it stays once the alarm is
	// acknowledged or over; seconds.
	Hold   int `json:"hold,omitempty" minimum:"0" maximum:"86400"`
	Linger int `json:"linger,omitempty" minimum:"0" maximum:"3600"`
	// Exercise lets alarms of drills take it over as real ones do: for a screen
	// that stands where people train.
	Exercise bool `json:"exercise,omitempty"`
}

// Defaults of a take-over, in seconds.
const (
	defaultHold   = 300
	defaultLinger = 20
)

// Display is a named screen.
type Display struct {
	ID       string   `json:"id"`
	Name     Text     `json:"name"`
	Group    string   `json:"group,omitempty"`
	Width    int      `json:"width,omitempty"`
	Height   int      `json:"height,omitempty"`
	Seat     *Seat    `json:"seat,omitempty"`
	Span     *Span    `json:"span,omitempty"`
	Calm     Calm     `json:"calm"`
	Scene    string   `json:"scene,omitempty"`
	Playlist []Item   `json:"playlist,omitempty"`
	TakeOver TakeOver `json:"takeOver"`
	// Language is what the display speaks; vi when empty.
	Language string    `json:"language,omitempty"`
	At       time.Time `json:"at"`
	By       string    `json:"by" personal:"name"`
}

// The least visual angle of a letter's height, and the share of a font's size
// that a capital has (NUREG-0700 section 12.1.1.3). The smallest text of the
// wall's pages has twelve pixels.
const (
	leastAngle   = 16.0 / 60 * math.Pi / 180
	capitals     = 0.70
	smallestText = 12.0
)

// Scale is how much larger than drawn everything must be, for the smallest text
// to be read from the farthest seat.
func (s *Seat) Scale() float64 {
	if s == nil || s.Pitch <= 0 {
		return 1
	}
	font := s.Distance * 1000 * math.Tan(leastAngle) / s.Pitch / capitals
	return min(max(math.Round(font/smallestText*100)/100, 0.5), 8)
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func checkID(what, id string) error {
	if !idPattern.MatchString(id) {
		return invalid("%s %.80q: an id has small letters, digits, dot, dash and underline, 63 at most", what, id)
	}
	return nil
}

func (t Text) check(what string, least, most int) error {
	n := 0
	for lang, s := range t {
		if lang != "vi" && lang != "en" {
			return invalid("%s: language %.10q: write vi or en", what, lang)
		}
		if !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
			return invalid("%s: %s has more than %d letters", what, lang, most)
		}
		n = max(n, len(strings.TrimSpace(s)))
	}
	if n < least {
		return invalid("%s is missing", what)
	}
	return nil
}

// check finds what a screen could not show. frames are the origins that may be
// shown in a page of ours.
func (s *Scene) check(frames []string) error {
	if err := checkID("scene", s.ID); err != nil {
		return err
	}
	if err := s.Name.check("the scene's name", 1, 120); err != nil {
		return err
	}
	if len(s.Panels) == 0 || len(s.Panels) > 40 {
		return invalid("%d panels: a scene has 1 to 40", len(s.Panels))
	}
	var taken [Rows][Columns]string
	seen, maps := map[string]bool{}, 0
	for i := range s.Panels {
		p := &s.Panels[i]
		if err := checkID(fmt.Sprintf("panel %d", i+1), p.ID); err != nil {
			return err
		}
		if seen[p.ID] {
			return invalid("panel %s comes twice", p.ID)
		}
		seen[p.ID] = true
		if !slices.Contains(kinds, p.Kind) {
			return invalid("panel %s: there is no kind %.20q", p.ID, p.Kind)
		}
		if p.X < 0 || p.Y < 0 || p.W < 1 || p.H < 1 || p.X+p.W > Columns || p.Y+p.H > Rows {
			return invalid("panel %s lies outside of the grid of %d by %d", p.ID, Columns, Rows)
		}
		for y := p.Y; y < p.Y+p.H; y++ {
			for x := p.X; x < p.X+p.W; x++ {
				if other := taken[y][x]; other != "" {
					return invalid("panels %s and %s lie on each other", other, p.ID)
				}
				taken[y][x] = p.ID
			}
		}
		if p.Kind == Map {
			maps++
		}
		if err := p.check(frames); err != nil {
			return err
		}
	}
	// A second map would need a second set of the city's sensors in the
	// graphics card.
	if maps > 1 {
		return invalid("%d maps: a scene has one at most", maps)
	}
	if c := s.Camera; c != nil && !(c.Lon >= -180 && c.Lon <= 180 && c.Lat >= -85 && c.Lat <= 85 && c.Zoom >= 2 && c.Zoom <= 20) {
		return invalid("the camera looks nowhere: %v", *c)
	}
	if len(s.Layers) > 64 {
		return invalid("%d layers: 64 at most", len(s.Layers))
	}
	return nil
}

func (p *Panel) check(frames []string) error {
	st := &p.Settings
	if err := st.Title.check("panel "+p.ID+": its title", 0, 120); err != nil {
		return err
	}
	switch p.Kind {
	case Chart:
		switch st.Of {
		case "river", "rain", "fleet":
		case "channels":
			if len(st.Channels) == 0 || len(st.Channels) > 8 {
				return invalid("panel %s: a chart of channels names 1 to 8", p.ID)
			}
			for _, c := range st.Channels {
				if c.Device == "" || c.Quantity != st.Channels[0].Quantity || c.Quantity == "" {
					return invalid("panel %s: the channels of a chart are of one quantity", p.ID)
				}
			}
		default:
			return invalid("panel %s: a chart is of river, rain, fleet or channels, not %.20q", p.ID, st.Of)
		}
		if st.Hours != 0 && !(st.Hours >= 0.25 && st.Hours <= 168) {
			return invalid("panel %s: %v hours: a chart has a quarter to 168", p.ID, st.Hours)
		}
	case Table:
		if st.Of != "alarms" && st.Of != "devices" {
			return invalid("panel %s: a table is of alarms or devices, not %.20q", p.ID, st.Of)
		}
	case Camera, Web:
		return checkFrame(p.ID, st.URL, frames)
	case Words:
		return st.Text.check("panel "+p.ID+": its text", 1, 2000)
	}
	return nil
}

// checkFrame lets a page in that the configuration lists. A page of another
// origin is shown in a sandbox, and the browser is told the same list.
func checkFrame(panel, address string, frames []string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return invalid("panel %s: %.100q is no address of a page", panel, address)
	}
	if !slices.Contains(frames, u.Scheme+"://"+u.Host) {
		return invalid("panel %s: %s://%s is not listed under wall.frames in the configuration", panel, u.Scheme, u.Host)
	}
	return nil
}

// clock reads a time of day as minutes; -1 for none.
func clock(s string) (int, error) {
	if s == "" {
		return -1, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, invalid("%.20q is no time of day: write 05:30", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func (d *Display) check(has func(scene string) bool) error {
	if err := checkID("display", d.ID); err != nil {
		return err
	}
	if err := d.Name.check("the display's name", 1, 120); err != nil {
		return err
	}
	if utf8.RuneCountInString(d.Group) > 64 {
		return invalid("the group's name has more than 64 letters")
	}
	if d.Language != "" && d.Language != "vi" && d.Language != "en" {
		return invalid("language %.10q: write vi or en", d.Language)
	}
	if d.Width < 0 || d.Height < 0 || d.Width > 32768 || d.Height > 32768 {
		return invalid("a display of %d by %d pixels", d.Width, d.Height)
	}
	if s := d.Seat; s != nil && !(s.Distance >= 0.3 && s.Distance <= 100 && s.Pitch >= 0.05 && s.Pitch <= 20) {
		return invalid("a seat at %v m of pixels of %v mm: use 0.3 to 100 m and 0.05 to 20 mm", s.Distance, s.Pitch)
	}
	if s := d.Span; s != nil && (s.Columns < 1 || s.Rows < 1 || s.Columns > 16 || s.Rows > 16 || s.Column < 0 || s.Row < 0 || s.Column >= s.Columns || s.Row >= s.Rows) {
		return invalid("place %d, %d of a wall of %d by %d screens", s.Column, s.Row, s.Columns, s.Rows)
	}
	if d.Calm.Dim < 0 || d.Calm.Dim > 100 {
		return invalid("dimming to %d percent", d.Calm.Dim)
	}
	for _, s := range []string{d.Calm.DimFrom, d.Calm.DimTo, d.Calm.Reload} {
		if _, err := clock(s); err != nil {
			return err
		}
	}
	known := func(id string) error {
		if id != "" && !has(id) {
			return invalid("there is no scene %.80q", id)
		}
		return nil
	}
	if err := errors.Join(known(d.Scene), known(d.TakeOver.Scene)); err != nil {
		return err
	}
	if t := d.TakeOver; t.Priority < 0 || t.Priority > 4 || t.Hold < 0 || t.Linger < 0 {
		return invalid("take-over: priority %d, %d s, %d s", t.Priority, t.Hold, t.Linger)
	}
	if len(d.Playlist) > 100 {
		return invalid("%d items: a playlist has 100 at most", len(d.Playlist))
	}
	for i, it := range d.Playlist {
		if it.Scene == "" || it.Seconds < 5 || it.Seconds > 86400 {
			return invalid("item %d: name a scene and 5 to 86400 seconds", i+1)
		}
		if err := known(it.Scene); err != nil {
			return err
		}
		for _, s := range []string{it.From, it.To} {
			if _, err := clock(s); err != nil {
				return err
			}
		}
		for _, day := range it.Days {
			if day < 0 || day > 6 {
				return invalid("item %d: day %d: 0 is Sunday, 6 Saturday", i+1, day)
			}
		}
	}
	return nil
}

// builtin is the scene a system has before anybody made one: today's wall.
func builtin() Scene {
	return Scene{
		ID: DefaultScene, Version: 0, Name: Text{"vi": "Toàn cảnh thành phố", "en": "The whole city"},
		Panels: []Panel{
			{ID: "figures", Kind: Figures, X: 0, Y: 0, W: 24, H: 1},
			{ID: "river", Kind: Chart, X: 0, Y: 1, W: 5, H: 4, Settings: Settings{Of: "river"}},
			{ID: "rain", Kind: Chart, X: 0, Y: 5, W: 5, H: 4, Settings: Settings{Of: "rain"}},
			{ID: "fleet", Kind: Chart, X: 0, Y: 9, W: 5, H: 3, Settings: Settings{Of: "fleet"}},
			{ID: "map", Kind: Map, X: 5, Y: 1, W: 13, H: 11},
			{ID: "alarms", Kind: Alarms, X: 18, Y: 1, W: 6, H: 11},
		},
	}
}
