package main

import (
	"strings"
	"testing"
)

func TestFiguresConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]float64
		want bool // refused
	}{
		{"the defaults", defaultFigures().Targets, false},
		{"a time", map[string]float64{"mtta": 300}, false},
		{"an unknown figure", map[string]float64{"happiness": 1}, true},
		{"a negative one", map[string]float64{"mttr": -1}, true},
		{"percent for a share", map[string]float64{"completeness": 90}, true},
	} {
		var said []string
		f := FiguresConfig{Targets: c.set}
		f.check(func(format string, _ ...any) { said = append(said, format) })
		if len(said) > 0 != c.want {
			t.Errorf("%s: %q", c.name, said)
		}
	}
	// The words are as the administrator reads them.
	cfg := DefaultConfig()
	cfg.Figures.Targets = map[string]float64{"completeness": 90}
	if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "figures.targets.completeness: 90 is more than the whole") {
		t.Errorf("Check says %v", err)
	}
}
