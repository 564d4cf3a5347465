package main

import (
	"math"
	"slices"
	"strings"

	opscenter "vonglau/ops-center"
)

// FiguresConfig says what key figures should be and who answers for them.
type FiguresConfig struct {
	Department string             `yaml:"department"`
	Targets    map[string]float64 `yaml:"targets"`
}

// defaultFigures has the two targets that do not depend on the city: ISA-18.2
// and EEMUA 191 advise at most one alarm for each operator in ten minutes, and
// less than one part in a hundred of the time in a flood of alarms.
func defaultFigures() FiguresConfig {
	return FiguresConfig{Targets: map[string]float64{"alarms_per_operator": 1, "flood_share": 0.01}}
}

func (f *FiguresConfig) check(bad func(string, ...any)) {
	names := opscenter.FigureNames()
	for name, target := range f.Targets {
		switch {
		case !slices.Contains(names, name):
			bad("figures.targets: there is no figure %q; there are %s", name, strings.Join(names, ", "))
		case target < 0 || math.IsNaN(target) || math.IsInf(target, 0):
			bad("figures.targets.%s: want 0 or more", name)
		case target > 1 && slices.Contains([]string{"false_alarms", "flood_share", "availability", "completeness"}, name):
			bad("figures.targets.%s: %v is more than the whole; want a share of 1 such as 0.95", name, target)
		}
	}
}

func (f *FiguresConfig) targets() opscenter.FigureTargets {
	return opscenter.FigureTargets{Department: f.Department, Targets: f.Targets}
}
