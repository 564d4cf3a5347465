package alert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// objects are checkpoints in memory.
type objects struct {
	m    map[string][]byte
	gets int
}

func (o *objects) Put(_ context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	o.m[name] = b
	return err
}

func (o *objects) Get(_ context.Context, name string) (io.ReadCloser, error) {
	o.gets++
	return io.NopCloser(bytes.NewReader(o.m[name])), nil
}

func (o *objects) List(context.Context) ([]string, error) {
	var out []string
	for k := range o.m {
		out = append(out, k)
	}
	return out, nil
}

// countingLog counts what is read of it.
type countingLog struct {
	memLog
	read int
}

func (l *countingLog) Read(ctx context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	return l.memLog.Read(ctx, from, func(seq uint64, at time.Time, subject string, data []byte) error {
		l.read++
		return each(seq, at, subject, data)
	})
}

// busy is alarms with a random past: n acts and readings of devices, a drill's
// among them.
func busy(t testing.TB, n int) (*Alarms, *countingLog, *objects, *time.Time) {
	t.Helper()
	register, err := devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	const fleet = 60
	for i := range fleet {
		d := devices.Device{ID: devices.ID(fmt.Sprintf("d-%02d", i)), Profile: "noise", Added: midnight, At: devices.Position{Lon: 106.17, Lat: 20.42}}
		if i%10 == 9 {
			d.Exercise = "drill-1"
		}
		if _, err := register.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	now := midnight
	log, marks := &countingLog{}, &objects{m: map[string][]byte{}}
	s, err := Open(t.Context(), Options{
		Register: register, Store: newMemStore(), Transitions: log, Checkpoints: marks,
		Now: func() time.Time { return now }, SaveEvery: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	rules := fullRules("  - id: loud\n    priority: 1\n    when: {threshold: {quantity: noise, above: 80}}\n  - id: hum\n    priority: 3\n    when: {threshold: {quantity: noise, above: 60}}\n  - id: mute\n    priority: 4\n    when: {silence: {after: 1h}}\n")
	if err := s.Apply(t.Context(), rules); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		now = now.Add(time.Duration(rnd.IntN(9000)) * time.Millisecond)
		if rnd.IntN(400) == 0 {
			now = now.Add(2 * time.Hour)
		}
		id := devices.ID(fmt.Sprintf("d-%02d", rnd.IntN(fleet)))
		m := reading(id, 0, "noise", 40+60*rnd.Float64())
		m.Received, m.Observations[0].Time = now, now
		if err := s.Handle(t.Context(), []*devices.Message{m}, nil, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
		if list := s.List(); len(list) > 0 && rnd.IntN(2) == 0 {
			a := list[rnd.IntN(len(list))]
			act := []Act{{Event: Ack, Note: "seen", False: rnd.IntN(5) == 0}, {Event: Shelve, Note: "later", For: 5 * time.Minute}, {Event: Say, Note: "hm"}, {Event: MarkFalse, Note: "nothing"}, {Event: Hold}}[rnd.IntN(5)]
			_, _ = s.Act(t.Context(), a.ID, Actor{Name: "Lan", Role: "operator"}, act) // many mean nothing, as they should
		}
		if rnd.IntN(4) == 0 {
			if err := s.Tick(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s, log, marks, &now
}

func ids(list []Alarm) (out []string) {
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s %s %d", a.ID, a.State, a.Changes))
	}
	slices.Sort(out)
	return out
}

// The past by checkpoints is the past by reading everything, at any moment, and
// costs no more than the records between two checkpoints.
func TestAt(t *testing.T) {
	s, log, marks, now := busy(t, 9_000)
	if len(marks.m) < 3 {
		t.Fatalf("%d checkpoints of %d records: the test says nothing", len(marks.m), len(log.records))
	}
	var all []Transition
	for _, r := range log.records {
		var tr Transition
		if err := json.Unmarshal(r, &tr); err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	most := 0
	for range 25 {
		at := midnight.Add(time.Duration(rnd.Int64N(int64(now.Sub(midnight)))))
		open := map[string]Alarm{}
		for _, tr := range all {
			if tr.Recorded.After(at) {
				break
			}
			if open[tr.Alarm.ID] = tr.Alarm; tr.To == Normal {
				delete(open, tr.Alarm.ID)
			}
		}
		var want []Alarm
		for _, a := range open {
			want = append(want, a)
		}
		log.read = 0
		got, err := s.At(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, log.read); !reflect.DeepEqual(ids(got), ids(want)) {
			t.Fatalf("at %v:\n%v\nwant\n%v", at, ids(got), ids(want))
		}
	}
	if most > 2*markEvery {
		t.Errorf("%d records were read for one moment, of %d", most, len(log.records))
	}
	if got := ids(s.List()); len(got) == 0 {
		t.Error("nothing is open at the end: the test says nothing")
	} else if at, err := s.At(t.Context(), *now); err != nil || !reflect.DeepEqual(ids(at), got) {
		t.Errorf("now by the log: %v %v, want %v", ids(at), err, got)
	}
	t.Logf("%d records, %d checkpoints, at most %d read for one moment", len(log.records), len(marks.m), most)
}

// turns is a roster: two operators in the third hour of each day's quarter, else
// one.
type turns struct{}

func (turns) Operators(at time.Time) int {
	if at.Hour()%6 == 2 {
		return 2
	}
	return 1
}

func (turns) Moments(from, to time.Time) (out []int64) {
	for t := from.Truncate(time.Hour); t.Before(to); t = t.Add(time.Hour) {
		if !t.Before(from) {
			out = append(out, t.UnixMilli())
		}
	}
	return out
}

// Performance is what somebody with patience and another way of counting finds in
// the log.
func TestPerformanceIsInTheLog(t *testing.T) {
	s, log, _, now := busy(t, 6_000)
	from, to := midnight.Add(3*time.Hour+7*time.Minute), now.Add(-90*time.Minute)
	got, err := s.Performance(t.Context(), from, to, turns{})
	if err != nil {
		t.Fatal(err)
	}
	var called []time.Time // when alarms called an operator, all of them
	mix, actors := map[int]int{}, map[string]int{}
	first, ack, clear, raised, bad := map[string]time.Time{}, map[string]time.Duration{}, map[string]time.Duration{}, map[string]time.Time{}, map[string]bool{}
	within := func(x time.Time) bool { return !x.Before(from) && x.Before(to) }
	for _, r := range log.records {
		var x map[string]any
		if err := json.Unmarshal(r, &x); err != nil {
			t.Fatal(err)
		}
		a := x["alarm"].(map[string]any)
		if a["exercise"] != nil {
			continue
		}
		recorded, _ := time.Parse(time.RFC3339Nano, x["recorded"].(string))
		at, _ := time.Parse(time.RFC3339Nano, x["at"].(string))
		id := a["id"].(string)
		calls := x["to"] == "unacknowledged" && x["from"] != "unacknowledged"
		if calls {
			called = append(called, recorded)
		}
		if !within(recorded) {
			continue
		}
		if calls {
			mix[int(a["priority"].(float64))]++
			actors[a["rule"].(string)+" "+a["entity"].(string)]++
			if first[id].IsZero() {
				first[id] = recorded
				raised[id], _ = time.Parse(time.RFC3339Nano, a["raised"].(string))
			}
		}
		if first[id].IsZero() {
			continue
		}
		if _, done := ack[id]; x["event"] == "acknowledge" && !done {
			ack[id] = recorded.Sub(first[id])
		}
		if x["event"] == "clear" {
			clear[id] = at.Sub(raised[id])
		}
		bad[id] = a["falseAlarm"] != nil
	}
	count, falses := 0, 0
	for _, c := range called {
		if within(c) {
			count++
		}
	}
	for _, b := range bad {
		if b {
			falses++
		}
	}
	if count < 300 || falses == 0 || len(ack) < 50 || len(clear) < 50 {
		t.Fatalf("%d alarms, %d false, %d acknowledged, %d cleared: the test says nothing", count, falses, len(ack), len(clear))
	}
	mean := func(m map[string]time.Duration) float64 {
		sum := 0.0
		for _, d := range m {
			sum += d.Seconds()
		}
		return sum / float64(len(m))
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if d := got - want; d > 1e-6 || d < -1e-6 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("alarms", float64(got.Alarms), float64(count))
	near("mtta", *got.MTTA.Mean, mean(ack))
	near("mttr", *got.MTTR.Mean, mean(clear))
	near("false", float64(got.False), float64(falses))
	near("false share", *got.FalseShare, float64(falses)/float64(len(first)))
	for _, p := range got.Priorities {
		near(fmt.Sprint("priority ", p.Priority), float64(p.Alarms), float64(mix[p.Priority]))
	}
	worst := 0
	for _, n := range actors {
		worst = max(worst, n)
	}
	near("worst actor", float64(got.BadActors[0].Alarms), float64(worst))
	if !sort.SliceIsSorted(got.BadActors, func(i, j int) bool { return got.BadActors[i].Alarms > got.BadActors[j].Alarms }) || len(got.BadActors) != topActors {
		t.Errorf("bad actors: %v", got.BadActors)
	}
	sum := 0
	for _, step := range got.Series {
		n := 0
		for _, c := range called {
			if within(c) && !c.Before(step.Start) && c.Before(step.Start.Add(10*time.Minute)) {
				n++
			}
		}
		near("step "+step.Start.String(), float64(step.Alarms), float64(n))
		sum += n
	}
	near("all steps", float64(sum), float64(count))

	// Floods, second by second over the window, each second by counting anew.
	slices.SortFunc(called, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
	on, flooded := false, 0
	lo, hi := 0, 0
	for x := from.Add(-floodWindow); x.Before(to); x = x.Add(time.Second) {
		for hi < len(called) && !called[hi].After(x) {
			hi++
		}
		for lo < hi && !called[lo].After(x.Add(-10*time.Minute)) {
			lo++
		}
		n, ops := 0, turns{}.Operators(x)
		for _, c := range called[lo:hi] {
			if !c.Before(from.Add(-floodWindow)) {
				n++
			}
		}
		if !on && n > 10*ops {
			on = true
		} else if on && n < 5*ops {
			on = false
		}
		if on && !x.Before(from) {
			flooded++
		}
	}
	want := float64(flooded) / to.Sub(from).Seconds()
	if flooded == 0 || got.FloodShare-want > 0.01 || want-got.FloodShare > 0.01 {
		t.Errorf("in flood %v of the time, second by second %v", got.FloodShare, want)
	}
	t.Logf("%d alarms, MTTA %.0f s, MTTR %.0f s, false %.1f %%, %d floods, %.1f %% of the time", got.Alarms, *got.MTTA.Mean, *got.MTTR.Mean, 100**got.FalseShare, len(got.Floods), 100*got.FloodShare)
}

// The index of open alarms is right after any sequence of changes. What one costs
// among 10,000 is logged and, with BenchmarkTenThousandOpen, measured.
func TestTenThousandOpen(t *testing.T) {
	var b board
	b.init()
	rnd := rand.New(rand.NewPCG(5, 6))
	make1 := func(i int) Alarm { return someAlarm(rnd, i) }
	want := map[string]Alarm{}
	for i := range 10_000 {
		a := make1(i)
		want[a.ID] = a
		b.set(a)
	}
	const changes = 20_000
	started := time.Now()
	for range changes {
		a := make1(rnd.IntN(10_000))
		if rnd.IntN(50) == 0 {
			a.State = Normal
			delete(want, a.ID)
		} else {
			want[a.ID] = a
		}
		b.set(a)
	}
	each := time.Since(started) / changes
	if len(b.order) != len(want) || !slices.IsSortedFunc(b.order, urgency) {
		t.Fatalf("%d alarms in order (%v), want %d", len(b.order), slices.IsSortedFunc(b.order, urgency), len(want))
	}
	counts := [5]int{}
	for _, a := range b.order {
		if got := want[a.ID]; got.State != a.State || got.Priority != a.Priority {
			t.Fatalf("%s is %s %d, want %s %d", a.ID, a.State, a.Priority, got.State, got.Priority)
		}
		counts[a.Priority]++
	}
	if counts != b.priority {
		t.Errorf("by priority %v, counted %v", b.priority, counts)
	}
	t.Logf("%v a change among 10,000", each)
}

// someAlarm is the alarm i in a state and of a time by chance.
func someAlarm(rnd *rand.Rand, i int) Alarm {
	return Alarm{ID: fmt.Sprintf("r.d-%05d.%d", i, 1), Rule: fmt.Sprint("r", i%7), Entity: fmt.Sprint("d-", i), Device: devices.ID(fmt.Sprint("d-", i)), Priority: 1 + rnd.IntN(4),
		State: []State{Unacknowledged, Acknowledged, Returned, Shelved, Suppressed}[rnd.IntN(5)], Raised: midnight.Add(time.Duration(rnd.IntN(1e6)) * time.Millisecond)}
}

func BenchmarkTenThousandOpen(b *testing.B) {
	var open board
	open.init()
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range 10_000 {
		open.set(someAlarm(rnd, i))
	}
	for b.Loop() {
		open.set(someAlarm(rnd, rnd.IntN(10_000)))
	}
}

func TestGroups(t *testing.T) {
	zone := []Zone{{Layer: "wards", Code: "w-1", Name: "Phường Một"}}
	hour := 3600.0
	name := map[string]string{"vi": "Ngập đường", "en": "Flooded road"}
	list := []Alarm{
		{ID: "m.gw.1", Rule: "mute", Entity: "gw", Device: "gw", Priority: 2, State: Unacknowledged, Active: true, Threshold: &hour, Raised: midnight},
		{ID: "m.a.1", Rule: "mute", Entity: "a", Device: "a", Priority: 3, State: Suppressed, Active: true, Threshold: &hour, Because: "gw", Raised: midnight.Add(time.Minute)},
		{ID: "m.b.1", Rule: "mute", Entity: "b", Device: "b", Priority: 3, State: Suppressed, Active: true, Threshold: &hour, Because: "gw", Raised: midnight},
		{ID: "f.c.1", Rule: "flood", RuleName: name, Entity: "c", Device: "c", Priority: 1, State: Returned, Quantity: "water_depth", Zones: zone, Raised: midnight},
		{ID: "f.d.1", Rule: "flood", RuleName: name, Entity: "d", Device: "d", Priority: 1, State: Acknowledged, Quantity: "water_depth", Zones: zone, Raised: midnight.Add(20 * time.Minute)},
		{ID: "f.e.1", Rule: "flood", RuleName: name, Entity: "e", Device: "e", Priority: 1, State: Unacknowledged, Quantity: "water_depth", Raised: midnight.Add(2 * time.Hour)},
	}
	describe := func(by string) (out []string) {
		for _, g := range Groups(list, by, func(id string) string { return "Trạm " + id }, func(id string) string {
			if id == "c" || id == "e" {
				return "Cầu Đò Quan"
			}
			return ""
		}) {
			out = append(out, fmt.Sprintf("%s|%s|%d/%d/%d|%d", g.Key, g.Title["vi"], g.Count, g.Unacknowledged, g.Suppressed, g.Worst))
		}
		return out
	}
	for by, want := range map[string][]string{
		"":      {"rule:flood@wards/w-1|Ngập đường – Phường Một|2/1/0|1", "rule:flood|Ngập đường|1/1/0|1", "cause:gw|Mất liên lạc qua Trạm gw|3/1/2|2"},
		"cause": {"cause:gw|Mất liên lạc qua Trạm gw|3/1/2|2"},
		"site":  {"site:Cầu Đò Quan|Cầu Đò Quan|2/2/0|1"},
		"ward":  {"ward:wards/w-1|Phường Một|2/1/0|1"},
		"rule":  {"rule:flood#20260701T000000Z|Ngập đường|2/1/0|1", "rule:flood#20260701T020000Z|Ngập đường|1/1/0|1", "rule:mute#20260701T000000Z||3/1/2|2"},
	} {
		if got := describe(by); !reflect.DeepEqual(got, want) {
			t.Errorf("by %q:\n%q\nwant\n%q", by, got, want)
		}
	}
}

// A drill's alarms are a group of their own, whatever they are gathered by, and
// count in none of the city's.
func TestGroupsOfADrill(t *testing.T) {
	zone := []Zone{{Layer: "wards", Code: "w-1", Name: "Phường Một"}}
	one := func(id, drill string, priority int) Alarm {
		a := Alarm{ID: id, Rule: "flood", Entity: id, Device: devices.ID(id), Priority: priority, State: Unacknowledged, Quantity: "water_depth", Zones: zone, Raised: midnight}
		a.Group, a.Exercise = "rule:flood@wards/w-1", drill
		return a
	}
	list := []Alarm{one("dt-01", "dt-2026-001", 1), one("a", "", 2), one("b", "", 3), one("dt-02", "dt-2026-001", 1), one("dt-03", "dt-2026-002", 4)}
	for _, by := range []string{"", "site", "ward", "rule"} {
		groups := Groups(list, by, func(id string) string { return id }, func(string) string { return "Cầu Đò Quan" })
		keys := map[string]bool{}
		for _, g := range groups {
			keys[g.Key] = true
			drill := strings.HasPrefix(g.Alarms[0], "dt-")
			if g.Exercise != drill || strings.Contains(g.Title["vi"], "DIỄN TẬP") != drill || strings.Contains(g.Title["en"], "EXERCISE") != drill {
				t.Errorf("by %q: %v: exercise %v, %v", by, g.Alarms, g.Exercise, g.Title)
			}
			if !drill && (g.Count != 2 || g.Worst != 2 || !slices.Equal(g.Alarms, []string{"a", "b"})) {
				t.Errorf("by %q: the city's is %+v", by, g)
			}
			if by == "" {
				for i := range list {
					if in := slices.Contains(g.Alarms, list[i].ID); in && !list[i].InGroup(g.Key) || !in && drill && list[i].InGroup(g.Key) {
						t.Errorf("%s in %s: %v", list[i].ID, g.Key, in)
					}
				}
			}
		}
		if len(groups) != 3 || len(keys) != 3 {
			t.Errorf("by %q: %d groups of %d keys, want 3", by, len(groups), len(keys))
		}
	}
}

// The shift log keeps what was written and who was there, over a restart; nothing
// is changed, corrections name what they correct, a forgotten shift ends.
func TestShiftLog(t *testing.T) {
	log, now := &memLog{}, midnight
	clock := func() time.Time { return now }
	lan, minh := Actor{Name: "Lan", Role: "operator", ID: "u-1"}, Actor{Name: "Minh", Role: "shift_leader", ID: "u-2"}
	rename := func(l *memLog) *shiftRecords { return &shiftRecords{l} }
	open := func() *ShiftLog {
		s, err := OpenShift(t.Context(), rename(log), clock)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	must := func(e LogEntry, err error) LogEntry {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	must(s.Begin(t.Context(), lan, "nhận ca"))
	if _, err := s.Begin(t.Context(), lan, ""); err == nil {
		t.Error("Lan began twice")
	}
	now = now.Add(time.Hour)
	must(s.Begin(t.Context(), minh, ""))
	first := must(s.Add(t.Context(), LogEntry{Text: "đã gọi điện lực", Alarm: "loud.a.1"}, lan))
	fixed := must(s.Add(t.Context(), LogEntry{Text: "đã gọi cấp nước", Corrects: first.N}, lan))
	if _, err := s.Add(t.Context(), LogEntry{Text: "x", Corrects: first.N}, lan); err == nil {
		t.Error("corrected twice")
	}
	if _, err := s.Add(t.Context(), LogEntry{Text: "x", Corrects: 99}, lan); err == nil {
		t.Error("corrected what is not there")
	}
	if _, err := s.Add(t.Context(), LogEntry{Text: "  "}, lan); err == nil {
		t.Error("an empty entry was taken")
	}
	now = now.Add(time.Hour)
	must(s.End(t.Context(), lan, "bàn giao"))
	if _, err := s.End(t.Context(), lan, ""); err == nil {
		t.Error("Lan ended twice")
	}
	for range 2 {
		if n := s.Operators(midnight.Add(90 * time.Minute)); n != 2 {
			t.Errorf("%d operators while two were there", n)
		}
		if on := s.On(now); len(on) != 1 || on[0].Name != "Minh" {
			t.Errorf("on shift: %v", on)
		}
		if on := s.On(midnight.Add(18 * time.Hour)); len(on) != 0 {
			t.Errorf("17 hours later: %v", on)
		}
		list, err := s.Entries(t.Context(), 0, 10, func(e *LogEntry) bool { return e.Kind != ShiftBegin && e.Kind != ShiftEnd })
		if err != nil || len(list) != 2 || list[0].N != fixed.N || list[1].CorrectedBy != fixed.N || list[1].Text != "đã gọi điện lực" {
			t.Errorf("entries: %+v %v", list, err)
		}
		s = open()
	}
	log.mode = "fails"
	if _, err := s.Add(t.Context(), LogEntry{Text: "x"}, lan); err == nil {
		t.Error("an entry that is not on disk was taken")
	}
}

// shiftRecords is a memLog whose records are of the shift log.
type shiftRecords struct{ *memLog }

func (l *shiftRecords) Read(ctx context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	return l.memLog.Read(ctx, from, func(seq uint64, at time.Time, _ string, data []byte) error { return each(seq, at, shiftSubject, data) })
}
