package alert

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A hundred alarms are rarely a hundred matters. Groups gather the open alarms by
// what explains them, so that a list shows matters first:
//
//	cause  the silence of a node and of all that hangs on it, and an alarm with
//	       those that it makes expected: they share its group
//	ward   those of one zone of the wards' layer
//	rule   those of one rule, as long as no half hour lies between two of them
//	site   those of one site, as the register words it
//
// The key on an alarm is the default grouping: by cause where there is one, else
// by rule and ward.

// groupGap ends a group of one rule: what comes later is another event.
const groupGap = 30 * time.Minute

// group is the default group of an alarm: that of the alarm which makes it
// expected, else its own.
func (e *engine) group(a *Alarm) string {
	own := a
	for range 8 { // of a chain the first; rules may inhibit each other
		k, ok := e.byID[own.expectedBy()]
		if !ok {
			break
		}
		own = e.alarms[k]
	}
	return GroupKey(own)
}

// expectedBy is the alarm of an inhibiting rule that an alarm is hidden by, empty
// for none.
func (a *Alarm) expectedBy() string {
	if a.inhibited() {
		return a.Suppression.Alarm
	}
	return ""
}

// inhibited reports whether an alarm is suppressed by another rule's.
func (a *Alarm) inhibited() bool {
	return a.State == Suppressed && a.Suppression != nil && a.Suppression.By == "rule"
}

// GroupKey is the group of an alarm by itself; see Alarm.Group.
func GroupKey(a *Alarm) string {
	switch {
	case a.Because != "":
		return "cause:" + string(a.Because)
	case a.silence() && a.Device != "":
		return "cause:" + string(a.Device)
	}
	if w := ward(a); w != nil {
		return "rule:" + a.Rule + "@" + w.Layer + "/" + w.Code
	}
	return "rule:" + a.Rule
}

// ward is the administrative zone of an alarm: that of a layer whose name says
// so, else the first.
func ward(a *Alarm) *Zone {
	for i := range a.Zones {
		if strings.Contains(a.Zones[i].Layer, "ward") || strings.Contains(a.Zones[i].Layer, "phuong") {
			return &a.Zones[i]
		}
	}
	if len(a.Zones) > 0 {
		return &a.Zones[0]
	}
	return nil
}

// Group is open alarms that belong together.
type Group struct {
	Key   string            `json:"key"`
	By    string            `json:"by" enum:"default,cause,site,ward,rule"`
	Title map[string]string `json:"title"`
	// Count is of all of them, Unacknowledged of those that ask for somebody,
	// Suppressed of those that are expected.
	Count          int       `json:"count"`
	Unacknowledged int       `json:"unacknowledged"`
	Suppressed     int       `json:"suppressed"`
	Worst          int       `json:"worst"` // priority of those shown, 0 for none
	First          time.Time `json:"first"`
	Last           time.Time `json:"last"`
	Exercise       bool      `json:"exercise,omitempty"`
	// Alarms are the ids, the most urgent first.
	Alarms []string `json:"alarms"`
}

// maxGroupIDs bounds the ids that are named of one group.
const maxGroupIDs = 500

// Groups gathers alarms: by is "cause", "site", "ward", "rule" or "" for the
// default. name words a device, site tells where it stands. The groups come in
// the order of their most urgent alarm.
func Groups(list []Alarm, by string, name func(id string) string, site func(id string) string) []Group {
	key := func(a *Alarm) string {
		switch by {
		case "cause":
			if k := GroupKey(a); strings.HasPrefix(k, "cause:") {
				return k
			}
			return ""
		case "site":
			if s := site(string(a.Device)); s != "" {
				return "site:" + s
			}
			return ""
		case "ward":
			if w := ward(a); w != nil {
				return "ward:" + w.Layer + "/" + w.Code
			}
			return ""
		case "rule":
			return "rule:" + a.Rule
		default:
			return cmp.Or(a.Group, GroupKey(a))
		}
	}
	// What a drill raises counts for nothing real, though it is at the same place.
	type whole struct{ key, drill string }
	members := map[whole][]*Alarm{}
	var wholes []whole
	for i := range list {
		k := whole{key(&list[i]), list[i].Exercise}
		if k.key == "" {
			continue
		}
		if members[k] == nil {
			wholes = append(wholes, k)
		}
		members[k] = append(members[k], &list[i])
	}
	out := []Group{}
	for _, k := range wholes {
		for _, part := range apart(members[k], by == "rule") {
			g := gather(ofDrill(k.key, k.drill), cmp.Or(by, "default"), part)
			g.Title = title(k.key, part[0], name)
			if k.drill != "" {
				g.Title = map[string]string{"vi": "DIỄN TẬP: " + g.Title["vi"], "en": "EXERCISE: " + g.Title["en"]}
			}
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		worst := func(g Group) int {
			if g.Worst == 0 {
				return 9
			}
			return g.Worst
		}
		return cmp.Or(cmp.Compare(worst(a), worst(b)), cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// ofDrill is the key of a group of a drill's alarms; that of others is as it is.
func ofDrill(key, drill string) string {
	if drill == "" {
		return key
	}
	return key + "~" + drill
}

// InGroup reports whether an alarm is in the default group of a key, as Groups
// gives it or without the drill.
func (a *Alarm) InGroup(key string) bool {
	return key == a.Group || key == ofDrill(a.Group, a.Exercise)
}

// apart splits alarms where the time between two is longer than groupGap. The
// newest part keeps the order of urgency within.
func apart(list []*Alarm, split bool) [][]*Alarm {
	if !split {
		return [][]*Alarm{list}
	}
	slices.SortStableFunc(list, func(a, b *Alarm) int { return a.Raised.Compare(b.Raised) })
	var out [][]*Alarm
	from := 0
	for i := 1; i <= len(list); i++ {
		if i == len(list) || list[i].Raised.Sub(list[i-1].Raised) > groupGap {
			part := slices.Clone(list[from:i])
			slices.SortFunc(part, urgency)
			out = append(out, part)
			from = i
		}
	}
	return out
}

func gather(key, by string, list []*Alarm) Group {
	g := Group{Key: key, By: by, Count: len(list), First: list[0].Raised, Last: list[0].Raised, Exercise: true}
	for _, a := range list {
		if a.Raised.Before(g.First) {
			g.First = a.Raised
		}
		if a.Raised.After(g.Last) {
			g.Last = a.Raised
		}
		if a.State.Shown() && (g.Worst == 0 || a.Priority < g.Worst) {
			g.Worst = a.Priority
		}
		if a.State == Unacknowledged || a.State == Returned {
			g.Unacknowledged++
		}
		if a.State == Suppressed {
			g.Suppressed++
		}
		g.Exercise = g.Exercise && a.Exercise != ""
		if len(g.Alarms) < maxGroupIDs {
			g.Alarms = append(g.Alarms, a.ID)
		}
	}
	if by == "rule" { // two events of one rule are two groups
		g.Key += "#" + g.First.UTC().Format("20060102T150405Z")
	}
	return g
}

func title(key string, a *Alarm, name func(string) string) map[string]string {
	kind, rest, _ := strings.Cut(key, ":")
	zone := ""
	if w := ward(a); w != nil {
		if zone = w.Name; zone == "" {
			zone = w.Code
		}
	}
	both := func(vi, en string) map[string]string { return map[string]string{"vi": vi, "en": en} }
	switch {
	case kind == "cause":
		return both("Mất liên lạc qua "+name(rest), "Out of reach through "+name(rest))
	case kind == "site":
		return both(rest, rest)
	case kind == "ward":
		return both(zone, zone)
	case strings.Contains(rest, "@"):
		return both(a.RuleName["vi"]+" – "+zone, a.RuleName["en"]+" – "+zone)
	default:
		return both(a.RuleName["vi"], a.RuleName["en"])
	}
}
