package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the city's calendar must not depend on the host's files

	"gopkg.in/yaml.v3"
)

// Config is the one configuration file. deploy/vonglau.example.yaml explains
// every key, and a test parses it. An unknown key is an error.
type Config struct {
	Data    string        `yaml:"data"`
	Listen  ListenConfig  `yaml:"listen"`
	TLS     TLSConfig     `yaml:"tls"`
	City    CityConfig    `yaml:"city"`
	Ingest  IngestConfig  `yaml:"ingest"`
	Bounds  BoundsConfig  `yaml:"bounds"`
	Network NetworkConfig `yaml:"network"`
	Journal JournalConfig `yaml:"journal"`
	Series  SeriesConfig  `yaml:"series"`
	Bridge  BridgeConfig  `yaml:"bridge"`
	Live    LiveConfig    `yaml:"live"`
	Replay  ReplayConfig  `yaml:"replay"`
	Alarms  AlarmsConfig  `yaml:"alarms"`
	// Figures says what key figures should be.
	Figures FiguresConfig `yaml:"figures"`
	// Outbound bounds where webhooks may lead, Mail is how mail is sent.
	Outbound OutboundConfig `yaml:"outbound"`
	Mail     MailConfig     `yaml:"mail"`
	Wall     WallConfig     `yaml:"wall"`
	Audit    AuditConfig    `yaml:"audit"`
	Log      LogConfig      `yaml:"log"`
	// Warnings says who speaks to the public.
	Warnings WarningsConfig `yaml:"warnings"`
	// People are let in besides the administrator of admin.token.
	People []PersonConfig `yaml:"people"`
	// OIDC is the identity provider that people log in by.
	OIDC OIDCConfig `yaml:"oidc"`
}

// ListenConfig has the doors' addresses, "[::]:8080"; port 0 takes a free one
// and an empty address keeps the door shut.
type ListenConfig struct {
	HTTPS string `yaml:"https"`
	MQTTS string `yaml:"mqtts"`
	CoAPS string `yaml:"coaps"`
	HTTP  string `yaml:"http"`
	MQTT  string `yaml:"mqtt"`
	CoAP  string `yaml:"coap"`
	Debug string `yaml:"debug"`
}

// TLSConfig says what the server proves itself by, and whose certificates it
// believes of devices besides the city CA's.
type TLSConfig struct {
	Names          []string      `yaml:"names"`
	Certificate    string        `yaml:"certificate"`
	Key            string        `yaml:"key"`
	DeviceCA       string        `yaml:"device_ca"`
	DeviceCRL      string        `yaml:"device_crl"`
	DeviceLifetime time.Duration `yaml:"device_lifetime"`
}

// CityConfig says where and in which time the city lives.
type CityConfig struct {
	Name     map[string]string `yaml:"name"`
	Calendar string            `yaml:"calendar"`
	// Area is the service area: west, south, east, north in degrees.
	Area []float64 `yaml:"area"`
	// Catalogue is a file of further quantities and profiles.
	Catalogue string `yaml:"catalogue"`
}

// IngestConfig bounds what the gate believes and takes.
type IngestConfig struct {
	Past       time.Duration `yaml:"past"`
	Future     time.Duration `yaml:"future"`
	Late       time.Duration `yaml:"late"`
	MaxPayload Size          `yaml:"max_payload"`
}

// JournalConfig bounds the log.
type JournalConfig struct {
	MaxAge  time.Duration `yaml:"max_age"`
	MaxSize Size          `yaml:"max_size"`
	MinFree Size          `yaml:"min_free"`
	Linger  time.Duration `yaml:"linger"`
}

// SeriesConfig chooses and bounds the time series store.
type SeriesConfig struct {
	Retention time.Duration `yaml:"retention"`
	Influx    InfluxConfig  `yaml:"influx"`
}

// InfluxConfig points at an InfluxDB; an empty URL keeps the embedded store.
type InfluxConfig struct {
	URL    string `yaml:"url"`
	Org    string `yaml:"org"`
	Bucket string `yaml:"bucket"`
	Token  string `yaml:"token"`
}

// BridgeConfig points at an external MQTT broker; an empty URL has no bridge.
type BridgeConfig struct {
	URL      string `yaml:"url"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	ClientID string `yaml:"client_id"`
	Group    string `yaml:"group"`
	Topic    string `yaml:"topic"`
}

// LiveConfig bounds the push to the walls.
type LiveConfig struct {
	Rate    float64 `yaml:"rate"`
	Screens int     `yaml:"screens"`
}

// LogConfig chooses what is logged and how.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// DefaultConfig is safe and enough for one city on one server.
func DefaultConfig() Config {
	return Config{
		Data: "data",
		Listen: ListenConfig{
			HTTPS: "[::]:8443", MQTTS: "[::]:8883", CoAPS: "[::]:5684",
			HTTP: "[::]:8080", MQTT: "[::]:1883", CoAP: "[::]:5683",
		},
		TLS: TLSConfig{Names: []string{}, DeviceLifetime: 2 * 365 * 24 * time.Hour},
		City: CityConfig{
			Name:     map[string]string{"vi": "Nam Định", "en": "Nam Định"},
			Calendar: "Asia/Ho_Chi_Minh",
			Area:     []float64{105.5, 19.8, 106.8, 20.8},
		},
		Ingest: IngestConfig{
			Past: 30 * 24 * time.Hour, Future: 5 * time.Minute, Late: 2 * time.Minute, MaxPayload: 64 << 10,
		},
		Bounds:  defaultBounds(),
		Network: NetworkConfig{Ping: time.Minute, PingRate: 100},
		Journal: JournalConfig{
			MaxAge: 7 * 24 * time.Hour, MaxSize: 20 << 30, MinFree: 512 << 20, Linger: 2 * time.Millisecond,
		},
		Series:   SeriesConfig{Retention: 400 * 24 * time.Hour},
		Bridge:   BridgeConfig{ClientID: "vonglau-bridge", Group: "vonglau", Topic: "devices/+/telemetry"},
		Alarms:   defaultAlarms(),
		Figures:  defaultFigures(),
		Live:     LiveConfig{Rate: 4, Screens: 500},
		Replay:   defaultReplay(),
		Outbound: OutboundConfig{Allow: []string{}},
		Mail:     defaultMail(),
		Wall:     defaultWall(),
		Log:      LogConfig{Level: "info", Format: "text"},
		Warnings: defaultWarnings(),
		People:   []PersonConfig{},
		OIDC:     defaultOIDC(),
	}
}

// LoadConfig reads a file over the defaults. An empty path gives the defaults.
func LoadConfig(path string) (Config, error) {
	c := DefaultConfig()
	if path == "" {
		return c, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	if err := parseConfig(raw, &c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func parseConfig(raw []byte, c *Config) error {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // nothing but comments
		}
		return err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document; only the first would be read")
	}
	return nil
}

// Check finds what cannot work before anything is started.
func (c *Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		bad("data: name the folder for everything that is kept")
	}
	if _, err := c.tokens(); err != nil {
		bad("%w", err)
	}
	for key, addr := range map[string]string{
		"https": c.Listen.HTTPS, "mqtts": c.Listen.MQTTS, "coaps": c.Listen.CoAPS,
		"http": c.Listen.HTTP, "mqtt": c.Listen.MQTT, "coap": c.Listen.CoAP,
	} {
		if addr == "" {
			continue
		}
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			bad("listen.%s: %q: write [address]:port, such as [::]:8080 (%v)", key, addr, err)
		}
	}
	if c.Listen.HTTP == "" && c.Listen.HTTPS == "" {
		bad("listen.https: nobody could reach the server; give it or listen.http an address")
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		bad("tls.certificate and tls.key: name both files, or none to have a certificate of the city CA")
	}
	if c.TLS.DeviceCRL != "" && c.TLS.DeviceCA == "" {
		bad("tls.device_crl: a revocation list needs tls.device_ca, the CA that signed it")
	}
	if c.TLS.DeviceLifetime < time.Hour {
		bad("tls.device_lifetime: %s: need an hour or more", c.TLS.DeviceLifetime)
	}
	if c.Listen.Debug != "" {
		host, _, err := net.SplitHostPort(c.Listen.Debug)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			bad("listen.debug: %q: profiles show memory; only a loopback address such as [::1]:6060 is taken", c.Listen.Debug)
		}
	}
	if _, err := time.LoadLocation(c.City.Calendar); err != nil {
		bad("city.calendar: %q is no time zone; write one such as Asia/Ho_Chi_Minh", c.City.Calendar)
	}
	if a := c.City.Area; len(a) != 0 && (len(a) != 4 || !(-180 <= a[0] && a[0] < a[2] && a[2] <= 180 && -90 <= a[1] && a[1] < a[3] && a[3] <= 90)) {
		bad("city.area: %v: write [west, south, east, north] in degrees, longitude first", a)
	}
	if c.Ingest.Past <= 0 || c.Ingest.Future <= 0 || c.Ingest.Late <= 0 {
		bad("ingest.past, ingest.future and ingest.late: need a duration above 0")
	}
	if c.Ingest.MaxPayload < 256 || c.Ingest.MaxPayload > 16<<20 {
		bad("ingest.max_payload: %s: need 256 bytes to 16 MiB", c.Ingest.MaxPayload)
	}
	if c.Journal.MaxAge < 0 || c.Journal.Linger < 0 || c.Series.Retention < 0 {
		bad("journal.max_age, journal.linger and series.retention: a duration cannot be negative")
	}
	c.Bounds.check(bad)
	c.Network.check(bad)
	c.Warnings.check(bad)
	c.Alarms.check(bad)
	c.Figures.check(bad)
	c.Outbound.check(bad)
	c.Mail.check(bad)
	c.OIDC.check(bad)
	c.Audit.check(bad)
	c.Wall.check(bad)
	c.Replay.check(bad)
	if c.Series.Influx.URL != "" && c.Series.Influx.Bucket == "" {
		bad("series.influx.bucket: name the bucket (for InfluxDB 1.8: database/retention-policy)")
	}
	if !(c.Live.Rate > 0 && c.Live.Rate <= 20) {
		bad("live.rate: %v: need more than 0 and at most 20 frames a second", c.Live.Rate)
	}
	if c.Live.Screens < 1 {
		bad("live.screens: %d: need one at least", c.Live.Screens)
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.Log.Level)); err != nil {
		bad("log.level: %q: write debug, info, warn or error", c.Log.Level)
	}
	switch c.Log.Format {
	case "text", "json":
	default:
		bad("log.format: %q: write text or json", c.Log.Format)
	}
	return errors.Join(errs...)
}

// Size is a number of bytes, written 512MiB, 20GiB or plain.
type Size int64

var sizeUnits = []struct {
	name string
	n    Size
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalYAML reads the written form.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	text := strings.TrimSpace(n.Value)
	unit := Size(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || Size(v) > (1<<62)/unit {
		return fmt.Errorf("line %d: %q is no size; write 512MiB or 20GiB", n.Line, n.Value)
	}
	*s = Size(v) * unit
	return nil
}

func (s Size) String() string {
	for _, u := range sizeUnits {
		if s >= u.n && s%u.n == 0 {
			return strconv.FormatInt(int64(s/u.n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
