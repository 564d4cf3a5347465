package alert

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"vonglau/devices"
)

// What a rule over many devices remembers hangs on an entity that is no device:
//
//	zone:LAYER/CODE   a zone, for aggregates and composites
//	city:RULE         all devices of a rule, for clusters
//	cluster:DEVICE    one cluster, by the first of its devices when it was found
//	city:all          a composite without a layer
//
// Devices of a drill are judged among themselves: their entities end in ~DRILL,
// so that no exercise moves a real mean.

// zoneEntity names a zone in a drill, or in none.
func zoneEntity(z devices.ZoneRef, drill string) devices.ID {
	return entityOf("zone:"+z.Layer+"/"+z.Code, drill)
}

func entityOf(name, drill string) devices.ID {
	if drill != "" {
		name += "~" + drill
	}
	return devices.ID(name)
}

func drillOf(entity devices.ID) string {
	_, drill, _ := strings.Cut(string(entity), "~")
	return drill
}

// member takes a device's reading into what an entity remembers, or says no to
// one that is not newer than the newest of the device.
func (e *engine) member(tr *track, w *watched, o *devices.Observation, f finding, sent, ahead, window int64) *member {
	m := tr.Members[w.device.ID]
	if m == nil {
		if len(tr.Members) >= maxMembers {
			expire(tr, f.at, window)
		}
		if len(tr.Members) >= maxMembers {
			e.crowded.Add(1)
			return nil
		}
		m = &member{}
	}
	if f.at <= m.Last || ahead > 0 && sent <= m.Ahead {
		e.late++
		return nil
	}
	if tr.Members == nil {
		tr.Members = map[devices.ID]*member{}
	}
	tr.Members[w.device.ID] = m
	m.Last, m.Value, m.Sim = f.at, *f.value, w.device.Simulated
	if ahead > 0 {
		m.Ahead = sent
	}
	if o.At.Known() {
		m.At = [2]float64{o.At.Lon, o.At.Lat}
	}
	return m
}

// expire forgets the devices that said nothing in the window.
func expire(tr *track, at, window int64) {
	for id, m := range tr.Members {
		if m.Last <= at-window {
			delete(tr.Members, id)
		}
	}
}

func (e *engine) changed(id devices.ID) {
	if e.mark != nil {
		e.mark(id)
	}
}

// aggregate judges the zones that an observation is in.
func (e *engine) aggregate(r *Rule, w *watched, o *devices.Observation, f finding, sent, ahead int64) {
	g := r.When.Aggregate
	for i := range o.Zones {
		z := o.Zones[i]
		if z.Layer != g.Layer || !r.inZones(o.Zones) || !r.hasZone(z) {
			continue
		}
		ew := e.entry(zoneEntity(z, w.device.Exercise))
		k := key{r.ID, ew.id}
		e.ripe(k, f.at)
		tr := ew.track(r)
		window := g.Window.Milliseconds()
		m := e.member(tr, w, o, f, sent, ahead, window)
		if m == nil {
			continue
		}
		e.changed(ew.id)
		switch {
		case g.Where != nil:
			m.Held = g.Where.beyond(m.Held, *f.value)
		case g.Of != "sum":
			m.Slots.add(f.at, window, *f.value)
		}
		if f.at >= tr.Last {
			e.pend(k, f.at).Zone = &z
		}
	}
}

// judgeZone judges what the devices of one zone say.
func (e *engine) judgeZone(r *Rule, id devices.ID, m *moment) {
	g, ew, z := r.When.Aggregate, e.entry(id), *m.Zone
	tr := ew.track(r)
	if m.At < tr.Last {
		return
	}
	e.changed(id)
	expire(tr, m.At, g.Window.Milliseconds())
	sum := g.over(tr, m.At)
	if sum.count < max(1, g.Devices) {
		tr.Last = m.At
		return
	}
	holds := r.judges(m.At, e.calendar) && g.beyond(tr.On, sum.value)
	tr.step(m.At, holds, g.For, g.ClearFor, max(g.Window, g.For+g.ClearFor))
	limit := g.limit()
	found := finding{at: m.At, value: &sum.value, limit: &limit, count: sum.count, zone: &z}
	if g.Of == "count" {
		found.count = int(sum.value)
	}
	found.fill = func(a *Alarm) { e.ofMany(a, r, id, found, sum, []devices.ZoneRef{z}) }
	e.settle(r, ew, tr, found)
}

// hasZone reports whether a zone is one that the scope leaves, as far as it
// names zones of that layer.
func (r *Rule) hasZone(z devices.ZoneRef) bool {
	named := false
	for i := range r.Scope.Zones {
		if r.Scope.Zones[i].Layer == z.Layer {
			if named = true; r.Scope.Zones[i].has(z) {
				return true
			}
		}
	}
	return !named
}

// summary is what many devices come to.
type combined struct {
	value     float64
	count     int // devices
	at        [2]float64
	simulated bool
}

// over sums up an entity's devices. They are taken in the order of their ids, so
// that the sum is the same in every run.
func (g *Aggregate) over(tr *track, at int64) (out combined) {
	window := g.Window.Milliseconds()
	ids := make([]devices.ID, 0, len(tr.Members))
	for id := range tr.Members {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var list []float64
	placed := 0
	held := 0
	for _, id := range ids {
		m := tr.Members[id]
		v := m.Value
		switch g.Of {
		case "count":
			if m.Held {
				held++
			}
		case "sum":
		default:
			s := m.Slots.sum(at, window)
			if s.N == 0 || !m.Slots.covers(at, window, g.coverage()) {
				continue
			}
			switch g.Of {
			case "min":
				v = s.Min
			case "max":
				v = s.Max
			default:
				v = s.Sum / float64(s.N)
			}
		}
		list = append(list, v)
		out.simulated = out.simulated || m.Sim
		if m.At != [2]float64{} && (g.Of != "count" || m.Held) {
			out.at[0], out.at[1], placed = out.at[0]+m.At[0], out.at[1]+m.At[1], placed+1
		}
	}
	if out.count = len(list); out.count == 0 {
		return out
	}
	if placed > 0 {
		out.at[0], out.at[1] = out.at[0]/float64(placed), out.at[1]/float64(placed)
	}
	switch g.Of {
	case "count":
		out.value = float64(held)
	case "min":
		out.value = slices.Min(list)
	case "max":
		out.value = slices.Max(list)
	case "median":
		out.value = median(list)
	default:
		for _, v := range list {
			out.value += v
		}
		if g.Of == "mean" {
			out.value /= float64(len(list))
		}
	}
	return out
}

// ofMany fills in an alarm that many devices told together.
func (e *engine) ofMany(a *Alarm, r *Rule, entity devices.ID, f finding, sum combined, zones []devices.ZoneRef) {
	e.begin(a, r, entity, f)
	a.Simulated = r.Simulated || sum.simulated
	a.Exercise = drillOf(entity)
	if sum.at != [2]float64{} {
		at := sum.at
		a.At = &at
	}
	e.located(a, zones, f.zone)
	name := ""
	if len(a.Zones) > 0 {
		if name = a.Zones[0].Name; name == "" {
			name = a.Zones[0].Code
		}
	}
	e.measured(a, r, name, f)
}

// cluster finds where devices that say the same are near each other. What it
// remembers of the whole city is at one entity, the clusters are others.
func (e *engine) cluster(r *Rule, w *watched, o *devices.Observation, f finding, sent, ahead int64) {
	c := r.When.Cluster
	if !o.At.Known() {
		return
	}
	drill := w.device.Exercise
	cw := e.entry(entityOf("city:"+r.ID, drill))
	k := key{r.ID, cw.id}
	e.ripe(k, f.at)
	tr := cw.track(r)
	window := c.Window.Milliseconds()
	before := tr.Members[w.device.ID]
	if before == nil && !c.Where.beyond(false, *f.value) {
		return // nothing is remembered of devices that have nothing to say
	}
	held := before != nil && before.Held
	m := e.member(tr, w, o, f, sent, ahead, window)
	if m == nil {
		return
	}
	e.changed(cw.id)
	m.Held = c.Where.beyond(held, *f.value) && r.judges(f.at, e.calendar) && r.inZones(o.Zones)
	m.Zones = slices.Clone(o.Zones)
	p := e.pend(k, max(tr.Last, f.at))
	p.Changed = p.Changed || m.Held != held || before == nil || tr.Last == 0
}

// judgeClusters finds the clusters of a city, or of a drill in it.
func (e *engine) judgeClusters(r *Rule, city devices.ID, m *moment) {
	c, cw, drill := r.When.Cluster, e.entry(city), drillOf(city)
	tr := cw.track(r)
	e.changed(city)
	at := max(tr.Last, m.At)
	size := len(tr.Members)
	expire(tr, at, c.Window.Milliseconds())
	tr.Last = at
	if !m.Changed && len(tr.Members) == size {
		return // the same devices as before say the same
	}
	groups := c.groups(tr)
	// A cluster goes on as the one it shares devices with; of two that grew
	// together the first goes on and the other is over.
	next := map[devices.ID][]devices.ID{}
	taken := map[int]bool{}
	var old []devices.ID
	for id := range tr.Clusters {
		old = append(old, id)
	}
	slices.Sort(old)
	for _, id := range old {
		for i, g := range groups {
			if !taken[i] && slices.ContainsFunc(tr.Clusters[id], func(d devices.ID) bool { return slices.Contains(g, d) }) {
				taken[i], next[id] = true, g
				break
			}
		}
	}
	for i, g := range groups {
		id := entityOf("cluster:"+string(g[0]), drill)
		for n := 1; !taken[i] && next[id] != nil && n < len(g); n++ {
			id = entityOf("cluster:"+string(g[n]), drill)
		}
		if !taken[i] {
			next[id] = g
		}
	}
	tr.Clusters = next
	for _, id := range old {
		if next[id] == nil {
			e.settleCluster(r, id, nil, tr, at)
		}
	}
	for _, id := range sortedKeys(next) {
		e.settleCluster(r, id, next[id], tr, at)
	}
}

func sortedKeys[V any](m map[devices.ID]V) []devices.ID {
	out := make([]devices.ID, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// settleCluster makes the alarm of one cluster follow what was found of it.
func (e *engine) settleCluster(r *Rule, id devices.ID, in []devices.ID, city *track, at int64) {
	ew := e.entry(id)
	tr := ew.track(r)
	tr.On, tr.Last = len(in) > 0, max(tr.Last, at)
	e.changed(id)
	var sum combined
	var zones []devices.ZoneRef
	worst := math.Inf(-1)
	if r.When.Cluster.Where.Below != nil {
		worst = math.Inf(1)
	}
	for _, d := range in {
		m := city.Members[d]
		sum.at[0], sum.at[1] = sum.at[0]+m.At[0]/float64(len(in)), sum.at[1]+m.At[1]/float64(len(in))
		sum.simulated = sum.simulated || m.Sim
		if r.When.Cluster.Where.Above != nil {
			worst = max(worst, m.Value)
		} else {
			worst = min(worst, m.Value)
		}
		for _, z := range m.Zones {
			if !slices.Contains(zones, z) {
				zones = append(zones, z)
			}
		}
	}
	limit := r.When.Cluster.Where.limit()
	f := finding{at: at, value: &worst, limit: &limit, count: len(in)}
	f.fill = func(a *Alarm) { e.ofMany(a, r, id, f, sum, zones) }
	e.settle(r, ew, tr, f)
}

// groups finds the clusters: the devices around those that have enough others
// near them, joined where they touch (DBSCAN), each in the order of ids.
func (c *Cluster) groups(tr *track) [][]devices.ID {
	var held []devices.ID
	for id, m := range tr.Members {
		if m.Held {
			held = append(held, id)
		}
	}
	if len(held) < c.Count {
		return nil
	}
	slices.Sort(held)
	near := func(a, b devices.ID) bool {
		p, q := tr.Members[a].At, tr.Members[b].At
		if math.Abs(p[1]-q[1])*111_000 > c.Within { // most are not even in the same row
			return false
		}
		return metres(p, q) <= c.Within
	}
	around := make(map[devices.ID][]devices.ID, len(held))
	for i, a := range held {
		for _, b := range held[i+1:] {
			if near(a, b) {
				around[a], around[b] = append(around[a], b), append(around[b], a)
			}
		}
	}
	var out [][]devices.ID
	seen := map[devices.ID]bool{}
	for _, start := range held {
		if seen[start] || len(around[start])+1 < c.Count {
			continue
		}
		group, queue := []devices.ID{}, []devices.ID{start}
		seen[start] = true
		for len(queue) > 0 {
			d := queue[0]
			queue = queue[1:]
			group = append(group, d)
			if len(around[d])+1 < c.Count {
				continue // at the rim
			}
			for _, n := range around[d] {
				if !seen[n] {
					seen[n] = true
					queue = append(queue, n)
				}
			}
		}
		slices.Sort(group)
		out = append(out, group)
	}
	return out
}

// keptRecent is how many values of a device a neighbour can look back over: it
// wants the newest that is not newer than its own.
const keptRecent = 4

// remember keeps the newest values of what is compared with neighbours.
func (e *engine) remember(w *watched, o *devices.Observation, at int64) {
	if len(e.index.watched) == 0 {
		return
	}
	for i := range o.Values {
		v := &o.Values[i]
		if !e.index.watched[v.Quantity] {
			continue
		}
		list := w.recent[v.Quantity]
		if len(list) > 0 && list[0].At >= at {
			continue
		}
		if w.recent == nil {
			w.recent = map[devices.Quantity][]sample{}
		}
		w.recent[v.Quantity] = append([]sample{{at, v.Number}}, list[:min(len(list), keptRecent-1)]...)
	}
}

// around gives the median of what the neighbours said, and how many they are.
func (e *engine) around(w *watched, o *devices.Observation, n *Neighbours, at int64) (mid float64, count int) {
	var values []float64
	for _, id := range e.neighbours(w, n.Metres) {
		nw := e.fleet[id]
		if nw == nil {
			continue
		}
		list := nw.recent[n.Quantity]
		i := slices.IndexFunc(list, func(s sample) bool { return s.At <= at })
		if i >= 0 && list[i].At > at-n.Window.Milliseconds() {
			values = append(values, list[i].Count)
		}
	}
	if len(values) == 0 {
		return 0, 0
	}
	return median(values), len(values)
}

// grid finds fixed devices by place.
type grid struct {
	epoch uint64
	build uint64
	heard int64
	cells map[[2]int][]devices.ID
}

// gridCell is the side of a cell in degrees, about two kilometres.
const gridCell = 0.02

// neighbours gives the fixed devices in service near one, of the same drill or of
// none. It follows changes of the register within ten seconds.
func (e *engine) neighbours(w *watched, within float64) []devices.ID {
	g := &e.grid
	if epoch := e.register.Epoch(); g.cells == nil || g.epoch != epoch && w.heard-g.heard >= 10_000 {
		g.epoch, g.heard, g.cells = epoch, w.heard, map[[2]int][]devices.ID{}
		g.build++
		for _, d := range e.register.List() {
			if d.At.Known() && d.State == devices.Active {
				c := [2]int{int(math.Floor(d.At.Lon / gridCell)), int(math.Floor(d.At.Lat / gridCell))}
				g.cells[c] = append(g.cells[c], d.ID)
			}
		}
	}
	if w.near == nil || w.nearAt != g.build {
		w.near, w.nearAt = map[float64][]devices.ID{}, g.build
	}
	list, known := w.near[within]
	if known || !w.device.At.Known() {
		return list
	}
	here := [2]float64{w.device.At.Lon, w.device.At.Lat}
	reach := int(within/(gridCell*111_000*max(0.1, math.Cos(here[1]*math.Pi/180)))) + 1
	x, y := int(math.Floor(here[0]/gridCell)), int(math.Floor(here[1]/gridCell))
	for dx := -reach; dx <= reach; dx++ {
		for dy := -reach; dy <= reach; dy++ {
			for _, id := range g.cells[[2]int{x + dx, y + dy}] {
				d, ok := e.register.Get(id)
				if ok && id != w.device.ID && d.Exercise == w.device.Exercise && metres(here, [2]float64{d.At.Lon, d.At.Lat}) <= within {
					list = append(list, id)
				}
			}
		}
	}
	slices.Sort(list)
	w.near[within] = list
	return list
}

// composite makes the alarms of a composite follow those it is made of, now being
// when the last of these changed. It compares what is with what should be.
func (e *engine) composite(r *Rule, now int64) {
	c := r.When.Composite
	parts := map[devices.ID][]*Alarm{}
	refs := map[devices.ID]devices.ZoneRef{}
	for k, a := range e.alarms {
		if !a.Active || a.State == OutOfService || a.State == Suppressed && !a.inhibited() || !slices.Contains(c.rules(), k.rule) {
			continue
		}
		if c.Layer == "" {
			id := entityOf("city:all", a.Exercise)
			parts[id] = append(parts[id], a)
			continue
		}
		for _, z := range a.Zones {
			ref := devices.ZoneRef{Layer: z.Layer, Code: z.Code, ValidFrom: z.ValidFrom}
			if z.Layer == c.Layer && r.hasZone(ref) {
				id := zoneEntity(ref, a.Exercise)
				parts[id], refs[id] = append(parts[id], a), ref
			}
		}
	}
	for k, a := range e.alarms {
		if _, there := parts[k.device]; k.rule == r.ID && a.Active && !there {
			parts[k.device] = nil // nothing is left of what it was made of
		}
	}
	for _, id := range sortedKeys(parts) {
		list := parts[id]
		slices.SortFunc(list, func(a, b *Alarm) int { return cmp.Or(a.Raised.Compare(b.Raised), cmp.Compare(a.ID, b.ID)) })
		ew := e.entry(id)
		tr := ew.track(r)
		since, met := c.met(list, tr.On)
		at := now
		if met && !tr.On { // when the last of them made it true, however late it is found
			at = since.UnixMilli()
		}
		if met && !r.judges(at, e.calendar) {
			met = false
		}
		if met == tr.On {
			continue
		}
		tr.On, tr.Last = met, max(tr.Last, at)
		if tr.decided >= at {
			tr.decided = at - 1 // many alarms can come of one reading
		}
		e.changed(id)
		f := finding{at: at, count: len(list)}
		var sum combined
		placed := 0
		for _, a := range list {
			sum.simulated = sum.simulated || a.Simulated
			if a.At != nil {
				sum.at[0], sum.at[1], placed = sum.at[0]+a.At[0], sum.at[1]+a.At[1], placed+1
			}
		}
		if placed > 0 {
			sum.at[0], sum.at[1] = sum.at[0]/float64(placed), sum.at[1]/float64(placed)
		}
		var zones []devices.ZoneRef
		if ref, ok := refs[id]; ok {
			zones = []devices.ZoneRef{ref}
		}
		f.fill = func(a *Alarm) { e.ofMany(a, r, id, f, sum, zones) }
		e.settle(r, ew, tr, f)
	}
}

// met tells whether alarms, oldest first, are what the composite asks for, and
// since when. One that holds goes on without the window: it says how near in
// time things began, not how long they last.
func (c *Composite) met(list []*Alarm, on bool) (since time.Time, ok bool) {
	for end := range list {
		seen := map[string]int{}
		for i := end; i >= 0; i-- {
			if c.Window > 0 && !on && list[end].Raised.Sub(list[i].Raised) > c.Window {
				break
			}
			seen[list[i].Rule]++
		}
		n := 0
		for _, k := range seen {
			n += k
		}
		switch {
		case len(c.All) > 0:
			ok = !slices.ContainsFunc(c.All, func(id string) bool { return seen[id] == 0 })
		case len(c.Any) > 0:
			ok = n > 0
		default:
			ok = n >= c.AtLeast
		}
		if ok {
			return list[end].Raised, true
		}
	}
	return time.Time{}, false
}
