package alert

import (
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// A device that is silent because the node it hangs on is silent is no news: the
// node's alarm stands for all that is behind it, and theirs are suppressed by
// design (ISA-18.2). A node is down when it has an alarm of silence itself, so
// there is always one alarm to look at; under maintenance it is down when it is
// silent, because somebody knows.

// quiet is a device that has been silent as long as a rule allows.
type quiet struct {
	w    *watched
	rule *Rule
	at   int64 // since when it is an alarm
}

// due lists the silences that are not alarms yet.
func (e *engine) due(now, start int64) []quiet {
	var out []quiet
	for _, d := range e.register.List() {
		if d.State != devices.Active {
			continue
		}
		w := e.watch(d.ID)
		if w == nil {
			continue
		}
		for _, r := range w.silence {
			at := w.silentFrom(r, start)
			if !r.judges(now, e.calendar) {
				continue
			}
			if a := w.alarms[r.ID]; now >= at && (a == nil || !a.Active) {
				out = append(out, quiet{w, r, at})
			}
		}
	}
	return out
}

func (w *watched) silentFrom(r *Rule, start int64) int64 {
	return max(w.heard, start, w.device.Added.UnixMilli()) + r.When.Silence.after(w.profile).Milliseconds()
}

// above calls each with the nodes that d hangs on, the nearest first, until it
// says no.
func (e *engine) above(d *devices.Device, each func(*watched) bool) {
	for range devices.MaxDepth {
		if d.Upstream == "" {
			return
		}
		up, ok := e.register.Get(d.Upstream)
		if !ok {
			return
		}
		if w := e.watch(up.ID); w != nil && !each(w) {
			return
		}
		d = up
	}
}

// cause is the topmost node above d that is down, or about to be: a node and
// what hangs on it are often found silent at once.
func (e *engine) cause(d *devices.Device, now int64, due []quiet) (because devices.ID) {
	e.above(d, func(w *watched) bool {
		if w.device.ID == d.ID {
			return false // a ring
		}
		if w.down(now) || slices.ContainsFunc(due, func(q quiet) bool { return q.w == w }) {
			because = w.device.ID
		}
		return true
	})
	return because
}

// down reports whether a node is silent for what hangs on it.
func (w *watched) down(now int64) bool {
	if w.device.State == devices.Maintenance {
		return w.heard > 0 && now-w.heard > w.profile.SilentAfter().Milliseconds()
	}
	for _, r := range w.silence {
		if a := w.alarms[r.ID]; a != nil && a.Active {
			return true
		}
	}
	return false
}

// doubtful reports whether a node above d is overdue and may yet be found
// silent. It waits for no longer than that node's own rule.
func (e *engine) doubtful(d *devices.Device, now, start int64) (yes bool) {
	e.above(d, func(w *watched) bool {
		if w.device.State != devices.Active || len(w.silence) == 0 || w.device.ID == d.ID {
			return true
		}
		overdue := now-max(w.heard, start, w.device.Added.UnixMilli()) > w.profile.Interval.Milliseconds()*3/2
		for _, r := range w.silence {
			yes = yes || overdue && now < w.silentFrom(r, start)
		}
		return !yes
	})
	return yes
}

func unreachable(because devices.ID) string { return "unreachable because of " + string(because) }

// explain suppresses the silences whose cause showed later than they did, and
// brings back those whose cause is gone: when the device has reported, as over,
// else after the time it is allowed to be silent, as news.
func (e *engine) explain(now int64) {
	at := time.UnixMilli(now).UTC()
	for _, k := range e.silences() {
		a, w, r := e.alarms[k], e.watch(k.device), e.rules[k.rule]
		if w == nil || r == nil || r.When.Silence == nil {
			continue
		}
		cause := e.cause(w.device, now, nil)
		switch {
		case a.State != Suppressed:
			if cause != "" && a.Active {
				e.move(k, Suppress, at, engineActor, unreachable(cause), func(a *Alarm) { a.Because = cause })
			}
		case a.Because == "": // suppressed by somebody else
		case !a.Active:
			e.unsuppress(k, at, "it reports again")
		case cause != "":
			delete(w.freed, r.ID)
			if cause != a.Because {
				e.move(k, Suppress, at, engineActor, unreachable(cause), func(a *Alarm) { a.Because = cause })
			}
		case w.freed[r.ID] == 0:
			if w.freed == nil {
				w.freed = map[string]int64{}
			}
			w.freed[r.ID] = now
		case now-w.freed[r.ID] >= r.When.Silence.after(w.profile).Milliseconds():
			e.unsuppress(k, at, string(a.Because)+" is back, it is not")
		}
	}
}

func (e *engine) unsuppress(k key, at time.Time, why string) {
	delete(e.fleet[k.device].freed, k.rule)
	e.move(k, Unsuppress, at, engineActor, why, func(a *Alarm) { a.Because = "" })
}

// silences lists the open alarms of silence, in a fixed order.
func (e *engine) silences() []key {
	var out []key
	for k, a := range e.alarms {
		if a.silence() && (a.Active || a.State == Suppressed) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b key) int {
		if c := strings.Compare(a.rule, b.rule); c != 0 {
			return c
		}
		return strings.Compare(string(a.device), string(b.device))
	})
	return out
}
