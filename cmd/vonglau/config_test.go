package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The example is the documentation of every key, so it must parse, say the
// defaults, and leave no key out.
func TestExampleConfigIsTheDefault(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/vonglau.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := parseConfig(raw, &got); err != nil {
		t.Fatal(err)
	}
	if want := DefaultConfig(); !reflect.DeepEqual(got, want) {
		t.Errorf("the example says\n%+v\nthe defaults are\n%+v", got, want)
	}
	if err := got.Check(); err != nil {
		t.Errorf("the example does not pass the check: %v", err)
	}
	for _, key := range yamlKeys(reflect.TypeFor[Config]()) {
		if !strings.Contains(string(raw), key+":") {
			t.Errorf("the example leaves out %q", key)
		}
	}
}

func yamlKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		keys = append(keys, f.Tag.Get("yaml"))
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, yamlKeys(f.Type)...)
		}
	}
	return keys
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key":         {"jurnal: {}", "jurnal"},
		"unknown nested key":  {"series: {influx: {ulr: x}}", "ulr"},
		"port without host":   {"listen: {mqtt: '1883'}", "listen.mqtt"},
		"bare IPv6":           {"listen: {http: '::1:8080'}", "listen.http"},
		"profiles to the net": {"listen: {debug: '[::]:6060'}", "listen.debug"},
		"latitude first":      {"city: {area: [20.8, 106.8, 19.8, 105.5]}", "city.area"},
		"no such calendar":    {"city: {calendar: Asia/NamDinh}", "city.calendar"},
		"not a size":          {"journal: {max_size: 20GB}", "20GB"},
		"bucket missing":      {"series: {influx: {url: 'http://[::1]:8086'}}", "series.influx.bucket"},
		"person without role": {"people: [{name: a, token_sha256: 00}]", "role"},
		"person's token":      {"people: [{name: a, role: operator, token_sha256: 00}]", "token_sha256"},
		"second admin":        {"people: [{name: admin, role: operator}]", "name of their own"},
		"log format":          {"log: {format: xml}", "log.format"},
		"log level":           {"log: {level: loud}", "log.level"},
		"two documents":       {"data: a\n---\ndata: b", "document"},
		"port beyond 65535":   {"listen: {coap: '[::]:99999'}", "listen.coap"},
		"no number of frames": {"live: {rate: .nan}", "live.rate"},
		"no screens":          {"live: {screens: -1}", "live.screens"},
		"no place":            {"city: {area: [105.5, .nan, 106.8, 20.8]}", "city.area"},
		"late before now":     {"ingest: {late: -1m}", "ingest.late"},
		"negative age":        {"journal: {max_age: -1h}", "journal.max_age"},
	} {
		t.Run(name, func(t *testing.T) {
			got := DefaultConfig()
			err := parseConfig([]byte(c.yaml), &got)
			if err == nil {
				err = got.Check()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that names %q", err, c.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for _, text := range []string{"20GiB", "512MiB", "64KiB", "7B", "1TiB"} {
		var got struct {
			S Size `yaml:"s"`
		}
		if err := parseInto("s: "+text, &got); err != nil || got.S.String() != text {
			t.Errorf("%s: got %s, %v", text, got.S, err)
		}
	}
}

func parseInto(text string, v any) error { return yaml.Unmarshal([]byte(text), v) }
