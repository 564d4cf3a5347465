package scene

import (
	"cmp"
	"slices"
	"time"
)

// Reason is why a display shows what it shows.
type Reason string

// The reasons, the strongest first.
const (
	Locked   Reason = "locked"    // pushed by somebody who holds it
	TakenBy  Reason = "take_over" // an alarm
	Pushed   Reason = "pushed"
	Listed   Reason = "playlist"
	Standing Reason = "base" // the display's own scene
	Fallback Reason = "default"
)

// Focus is what the map of a pushed scene goes to and what is chosen there.
type Focus struct {
	Alarm  string `json:"alarm,omitempty" maxLength:"200"`
	Device string `json:"device,omitempty" maxLength:"64"`
	View   *View  `json:"view,omitempty"`
}

// Push is a scene that somebody put on displays. Pushes lie on each other: what
// is taken away shows what lies under it.
type Push struct {
	ID       string   `json:"id"`
	Scene    string   `json:"scene"`
	Version  int      `json:"version,omitempty"` // 0 follows the newest
	Displays []string `json:"displays"`
	Focus    *Focus   `json:"focus,omitempty"`
	// Replay has the displays show the past; nil for the present.
	Replay *Replay `json:"replay,omitempty"`
	// Until ends it; zero for never.
	Until time.Time `json:"until,omitzero"`
	// Lock holds the displays against alarms and against people of a lower rank.
	Lock bool      `json:"lock,omitempty"`
	Rank int       `json:"rank"`
	By   string    `json:"by" personal:"name"`
	At   time.Time `json:"at"`
	// Waiting are displays that something stronger holds; they show the push when
	// that ends. Told once, to whoever pushed.
	Waiting []string `json:"waiting,omitempty"`
}

// takenOver is an alarm that has a display.
type takenOver struct {
	Alarm    string    `json:"alarm"`
	Device   string    `json:"device,omitempty"`
	View     *View     `json:"view,omitempty"`
	Priority int       `json:"priority"`
	Exercise bool      `json:"exercise,omitempty"`
	At       time.Time `json:"at"`
	// Over is when it was acknowledged or ended; zero while it waits.
	Over time.Time `json:"over,omitzero"`
}

// until is when the display returns.
func (t *takenOver) until(rule TakeOver) time.Time {
	end := t.At.Add(time.Duration(cmp.Or(rule.Hold, defaultHold)) * time.Second)
	if !t.Over.IsZero() {
		if e := t.Over.Add(time.Duration(cmp.Or(rule.Linger, defaultLinger)) * time.Second); e.Before(end) {
			end = e
		}
	}
	return end
}

// Decision is what a display shows and why.
type Decision struct {
	Scene   string
	Version int // 0 for the newest
	Reason  Reason
	Push    string
	By      string
	Focus   *Focus
	Replay  *Replay
	Until   time.Time // when something else follows by itself; zero for not
}

// resolve is the whole of precedence: a locked push, an alarm that takes over,
// the newest push, the playlist, the display's own scene, the default. An alarm
// that somebody has acknowledged lingers for those who still read it, but not
// against a push that came after the acknowledgement. It is a
// function of what is known and the time, so that all screens of one playlist
// are in step and a server that starts again decides as before.
func resolve(d *Display, pushes []Push, alarm *takenOver, now time.Time, calendar *time.Location) Decision {
	push := func(p *Push, why Reason) Decision {
		return Decision{Scene: p.Scene, Version: p.Version, Reason: why, Push: p.ID, By: p.By, Focus: p.Focus, Replay: p.Replay, Until: p.Until}
	}
	var top *Push
	for i := len(pushes) - 1; i >= 0; i-- {
		p := &pushes[i]
		if !p.Until.IsZero() && !now.Before(p.Until) {
			continue
		}
		if p.Lock {
			return push(p, Locked)
		}
		if top == nil {
			top = p
		}
	}
	if alarm != nil && d.TakeOver.Priority > 0 {
		newer := top != nil && !alarm.Over.IsZero() && top.At.After(alarm.Over)
		if until := alarm.until(d.TakeOver); now.Before(until) && !newer {
			return Decision{
				Scene: cmp.Or(d.TakeOver.Scene, d.Scene, DefaultScene), Reason: TakenBy, Until: until,
				Focus: &Focus{Alarm: alarm.Alarm, Device: alarm.Device, View: alarm.View},
			}
		}
	}
	if top != nil {
		return push(top, Pushed)
	}
	if scene, until, ok := playing(d.Playlist, now, calendar); ok {
		return Decision{Scene: scene, Reason: Listed, Until: until}
	}
	if d.Scene != "" {
		return Decision{Scene: d.Scene, Reason: Standing}
	}
	return Decision{Scene: DefaultScene, Reason: Fallback}
}

// playing is the item of a playlist whose turn it is. The items of the moment
// take turns counted from 1970, which keeps every screen of a list in step.
func playing(list []Item, now time.Time, calendar *time.Location) (scene string, until time.Time, ok bool) {
	local := now.In(calendar)
	minute, day := local.Hour()*60+local.Minute(), int(local.Weekday())
	var due []Item
	var total int64
	for _, it := range list {
		if it.due(minute, day) {
			due = append(due, it)
			total += int64(it.Seconds) * 1000
		}
	}
	if len(due) == 0 {
		return "", time.Time{}, false
	}
	at := now.UnixMilli() % total
	for _, it := range due {
		if at < int64(it.Seconds)*1000 {
			if len(due) > 1 {
				until = now.Add(time.Duration(int64(it.Seconds)*1000-at) * time.Millisecond).Truncate(time.Millisecond)
			}
			return it.Scene, until, true
		}
		at -= int64(it.Seconds) * 1000
	}
	return "", time.Time{}, false
}

// due tells whether an item has its time of day. One that runs past midnight
// belongs to the day it begins.
func (it *Item) due(minute, day int) bool {
	from, _ := clock(it.From)
	to, _ := clock(it.To)
	if from < 0 {
		from = 0
	}
	if to < 0 {
		to = 24 * 60
	}
	on := func(d int) bool { return len(it.Days) == 0 || slices.Contains(it.Days, d) }
	if from < to {
		return minute >= from && minute < to && on(day)
	}
	return minute >= from && on(day) || minute < to && on((day+6)%7)
}
