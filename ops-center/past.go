package opscenter

import (
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/alert"
)

// What a screen of the past asks besides what its replay tells it: what bound
// then. It never gets what binds now in its place.

// past reads a parameter that names a time which is over.
func (a *api) past(name, text string) (time.Time, error) {
	now := a.now()
	t, err := parseTime(text, now, a.Calendar)
	if err == nil && t.After(now) {
		err = errors.New("it has not come yet")
	}
	if err != nil {
		return t, badParameter(name, text, err)
	}
	return t, nil
}

func mixOf(rules []alert.Rule) alert.Mix {
	var counts [4]int
	for _, r := range rules {
		if !r.Disabled {
			counts[r.Priority-1]++
		}
	}
	return alert.MixOf(counts)
}

// rulesOf are the rules that were in force at a time. Whom they covered then is
// not known: the register of devices keeps no history.
func (a *api) rulesOf(at string) (*rulesOutput, error) {
	t, err := a.past("at", at)
	if err != nil {
		return nil, err
	}
	out := &rulesOutput{}
	b := &out.Body
	b.Rules, b.Standings = []alert.Rule{}, []alert.Standing{}
	if v, ok := a.RuleBook.RulesAt(t); ok {
		rules, err := alert.ParseRules([]byte(v.Source), a.Catalogue)
		if err != nil {
			return nil, huma.Error409Conflict("the rules of then do not fit the catalogue of today: " + err.Error())
		}
		b.Rules, b.Version = append(b.Rules, rules...), v.N
	}
	b.Mix = mixOf(b.Rules)
	return out, nil
}

// thresholdsOf is the register as it stood at a time; empty when nothing of then
// is kept.
func (a *api) thresholdsOf(known string) (*alert.Thresholds, error) {
	t, err := a.past("known", known)
	if err != nil {
		return nil, err
	}
	v, ok := a.RuleBook.ThresholdsAt(t)
	if !ok {
		return nil, nil
	}
	register, err := alert.ParseThresholds([]byte(v.Source), a.Catalogue)
	if err != nil {
		return nil, huma.Error409Conflict("the register of then does not fit the catalogue of today: " + err.Error())
	}
	return register, nil
}
