package alert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"vonglau/devices"
)

// Performance is how the alarms treat the people who work on them (ISA-18.2
// clause 16, EEMUA 191), counted from the log of transitions. Alarms of drills
// are left out of all of it. Definitions say how each figure is counted.
type Performance struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Alarms were annunciated: came to be unacknowledged.
	Alarms int        `json:"alarms"`
	Series []LoadStep `json:"series"`
	// Mean and Peak are of the series, per operator and ten minutes.
	Mean       float64         `json:"mean"`
	Peak       float64         `json:"peak"`
	Floods     []Span          `json:"floods"`
	FloodShare float64         `json:"floodShare"`
	Priorities []PriorityShare `json:"priorities"`
	BadActors  []Actors        `json:"badActors"`
	Chattering []Actors        `json:"chattering"`
	Stale      []StaleAlarm    `json:"stale"`
	MTTA       Durations       `json:"mtta"`
	MTTR       Durations       `json:"mttr"`
	False      int             `json:"falseAlarms"`
	FalseShare *float64        `json:"falseShare"`
	// Silent is how long devices were silent, in seconds, by the alarms of
	// silence, expected ones included.
	Silent float64 `json:"silentSeconds"`
	// Records is how many of the log were counted.
	Records     int                          `json:"records"`
	Definitions map[string]map[string]string `json:"definitions"`
}

// LoadStep is ten minutes.
type LoadStep struct {
	Start       time.Time `json:"start"`
	Alarms      int       `json:"alarms"`
	Operators   int       `json:"operators"`
	PerOperator float64   `json:"perOperator"`
}

// PriorityShare compares a priority with what EEMUA 191 advises.
type PriorityShare struct {
	Priority int      `json:"priority"`
	Alarms   int      `json:"alarms"`
	Share    float64  `json:"share"`
	Target   *float64 `json:"target"`
}

// Actors is a rule and entity with how often it called.
type Actors struct {
	Rule   string  `json:"rule"`
	Entity string  `json:"entity"`
	Alarms int     `json:"alarms"`
	Share  float64 `json:"share"`
	Subject
}

// Subject is what people call a rule and its entity. The log knows neither; who
// asks for it fills in what is in force.
type Subject struct {
	RuleName map[string]string `json:"ruleName,omitempty"`
	Name     string            `json:"name,omitempty"`
	// Device is whose page tells more: the entity, or where its cluster began.
	Device devices.ID `json:"device,omitempty"`
}

// StaleAlarm has held for longer than a day.
type StaleAlarm struct {
	ID       string    `json:"id"`
	Rule     string    `json:"rule"`
	Entity   string    `json:"entity"`
	Priority int       `json:"priority"`
	Raised   time.Time `json:"raised"`
	Subject
}

// Durations are in seconds, null where none was counted. Open have no end yet.
type Durations struct {
	Mean   *float64 `json:"mean"`
	Median *float64 `json:"median"`
	P90    *float64 `json:"p90"`
	Count  int      `json:"count"`
	Open   int      `json:"open"`
	Sum    float64  `json:"sum"`
}

// Bounds of a question.
const (
	staleAfter   = 24 * time.Hour
	maxPeriod    = 92 * 24 * time.Hour
	topActors    = 10
	loadInterval = 10 * time.Minute
)

// priorityTargets are those of EEMUA 191 for three priorities, 5/15/80; the
// lowest two of four share the last.
var priorityTargets = map[int]float64{1: 0.05, 2: 0.15, 3: 0.80}

// Definitions say how the figures are counted, in both languages.
var Definitions = map[string]map[string]string{
	"alarms":     {"vi": "Số lần cảnh báo chuyển sang trạng thái chưa xác nhận trong kỳ; không tính diễn tập.", "en": "How often an alarm came to be unacknowledged in the period; drills left out."},
	"series":     {"vi": "Số cảnh báo trong từng 10 phút (theo bội số 10 phút của UTC), chia cho số người trong ca lúc đầu khoảng, ít nhất là 1.", "en": "Alarms in each ten minutes (multiples of ten minutes in UTC), divided by the people on shift at its beginning, one at least."},
	"floods":     {"vi": "Dồn dập: bắt đầu khi hơn 10 cảnh báo trong 10 phút trên mỗi người trực, kết thúc khi dưới 5 (ISA-18.2).", "en": "A flood begins with more than 10 alarms in 10 minutes per operator and ends with fewer than 5 (ISA-18.2)."},
	"priorities": {"vi": "Tỷ lệ theo mức ưu tiên so với 5 / 15 / 80 % (EEMUA 191); mức 3 và 4 tính chung vào 80 %.", "en": "Share of each priority against 5 / 15 / 80 % (EEMUA 191); priorities 3 and 4 share the 80 %."},
	"badActors":  {"vi": "Mười cặp quy tắc và thiết bị cảnh báo nhiều nhất trong kỳ.", "en": "The ten pairs of rule and entity that called most often in the period."},
	"chattering": {"vi": "Cảnh báo chập chờn: từ 3 lần phát sinh hoặc chấm dứt trong một phút; số lần được đánh dấu.", "en": "Chattering: three or more raises and clears within a minute; how often it was marked."},
	"stale":      {"vi": "Cảnh báo đang hiển thị ở cuối kỳ và điều kiện đã kéo dài hơn 24 giờ.", "en": "Alarms shown at the end of the period whose condition has held for more than 24 hours."},
	"mtta":       {"vi": "Thời gian từ khi cảnh báo được ghi nhận đến lần xác nhận đầu tiên; chỉ tính cảnh báo được ghi nhận trong kỳ và xác nhận trong kỳ.", "en": "From when an alarm was recorded to its first acknowledgement; alarms recorded and acknowledged within the period."},
	"mttr":       {"vi": "Thời gian từ khi điều kiện bắt đầu đến khi chấm dứt, theo giờ của số đo; chỉ tính cảnh báo được ghi nhận và chấm dứt trong kỳ.", "en": "From when the condition began to when it ended, by the time of the readings; alarms recorded and ended within the period."},
	"false":      {"vi": "Số cảnh báo trong kỳ được đánh dấu là cảnh báo sai, trên tổng số cảnh báo khác nhau trong kỳ.", "en": "Alarms of the period that were marked false, of all different alarms of the period."},
	"silent":     {"vi": "Tổng thời gian các thiết bị mất liên lạc theo cảnh báo mất liên lạc, kể cả cảnh báo bị ẩn vì nút cha.", "en": "How long devices were silent by the alarms of silence, those explained by a parent included."},
}

// Roster is what figures per operator need of the shift log. *ShiftLog is one.
type Roster interface {
	Operators(at time.Time) int
	// Moments gives when the roster changed in [from, to), in milliseconds.
	Moments(from, to time.Time) []int64
}

// Performance counts the log over [from, to).
func (s *Alarms) Performance(ctx context.Context, from, to time.Time, roster Roster) (Performance, error) {
	p := Performance{From: from.UTC(), To: to.UTC(), Definitions: Definitions}
	if !to.After(from) || to.Sub(from) > maxPeriod {
		return p, &BadAct{Code: "bad_period", Field: "from", Detail: fmt.Sprintf("the period from %s to %s: use more than nothing and at most %d days", from.Format(time.RFC3339), to.Format(time.RFC3339), int(maxPeriod/(24*time.Hour)))}
	}
	base, err := s.At(ctx, from.Add(-time.Millisecond))
	if err != nil {
		return p, err
	}
	c := newCounter(from, to, base)
	// Ten minutes before the period can make a flood within it.
	if err := s.Transitions(ctx, from.Add(-floodWindow), to, func(t *Transition) error {
		c.take(t)
		return nil
	}); err != nil {
		return p, err
	}
	c.finish(&p, roster)
	return p, nil
}

// counter is the fold from transitions to Performance.
type counter struct {
	from, to    time.Time
	records     int
	annunciated []int64           // from ten minutes before the period on
	open        map[string]*Alarm // at the moment reached
	cohort      map[string]*life  // the alarms of the period
	actors      map[key]int
	chatters    map[key]int
	priority    [5]int
	count       int
	silentFrom  map[string]time.Time
	silent      time.Duration
}

// life is what is followed of one alarm of the period.
type life struct {
	recorded, raised time.Time
	acked, cleared   bool
	toAck, toClear   time.Duration
	isFalse          bool
}

func newCounter(from, to time.Time, base []Alarm) *counter {
	c := &counter{from: from, to: to, open: map[string]*Alarm{}, cohort: map[string]*life{}, actors: map[key]int{}, chatters: map[key]int{}, silentFrom: map[string]time.Time{}}
	for i := range base {
		a := &base[i]
		if a.Exercise != "" {
			continue
		}
		c.open[a.ID] = a
		if a.silence() && a.Active {
			c.silentFrom[a.ID] = from
		}
	}
	return c
}

func (c *counter) take(t *Transition) {
	a := &t.Alarm
	if a.Exercise != "" {
		return
	}
	if t.annunciates() {
		c.annunciated = append(c.annunciated, max(t.Recorded.UnixMilli(), last(c.annunciated)))
	}
	if t.Recorded.Before(c.from) {
		return // At knows it
	}
	c.records++
	if t.annunciates() {
		c.count++
		c.priority[a.Priority&7%5]++
		c.actors[a.key()]++
		if c.cohort[a.ID] == nil {
			c.cohort[a.ID] = &life{recorded: t.Recorded, raised: a.Raised}
		}
	}
	if (t.Event == Raise || t.Event == Clear) && a.Chattering {
		c.chatters[a.key()]++
	}
	if l := c.cohort[a.ID]; l != nil {
		if t.Event == Ack && !l.acked {
			l.acked, l.toAck = true, t.Recorded.Sub(l.recorded)
		}
		if t.Event == Clear {
			l.cleared, l.toClear = true, t.At.Sub(l.raised)
		}
		l.isFalse = a.False != nil
	}
	if a.silence() {
		since, silent := c.silentFrom[a.ID]
		switch {
		case a.Active && !silent:
			c.silentFrom[a.ID] = c.clamp(a.Raised)
		case !a.Active && silent:
			end := c.clamp(t.At)
			c.silent += max(0, end.Sub(since))
			delete(c.silentFrom, a.ID)
		}
	}
	if t.To == Normal {
		delete(c.open, a.ID)
	} else {
		c.open[a.ID] = a
	}
}

func (c *counter) clamp(t time.Time) time.Time {
	if t.Before(c.from) {
		return c.from
	}
	if t.After(c.to) {
		return c.to
	}
	return t
}

func (c *counter) finish(p *Performance, roster Roster) {
	p.Records, p.Alarms = c.records, c.count
	c.series(p, roster)
	p.Floods = floods(c.annunciated, roster.Moments(c.from.Add(-floodWindow), c.to), c.from.UnixMilli(), c.to.UnixMilli(), func(at int64) int { return roster.Operators(time.UnixMilli(at)) })
	if p.Floods == nil {
		p.Floods = []Span{}
	}
	var flooded time.Duration
	for _, f := range p.Floods {
		flooded += f.To.Sub(f.From)
	}
	p.FloodShare = flooded.Seconds() / c.to.Sub(c.from).Seconds()
	for n := 1; n <= 4; n++ {
		share := PriorityShare{Priority: n, Alarms: c.priority[n], Share: portion(c.priority[n], c.count)}
		if target, ok := priorityTargets[n]; ok {
			share.Target = &target
		}
		p.Priorities = append(p.Priorities, share)
	}
	p.BadActors, p.Chattering = top(c.actors, c.count), top(c.chatters, 0)
	p.Stale = []StaleAlarm{}
	for _, a := range c.open {
		if a.State.Shown() && a.Active && c.to.Sub(a.Raised) > staleAfter {
			p.Stale = append(p.Stale, StaleAlarm{ID: a.ID, Rule: a.Rule, Entity: a.Entity, Priority: a.Priority, Raised: a.Raised})
		}
	}
	slices.SortFunc(p.Stale, func(a, b StaleAlarm) int { return cmp.Or(a.Raised.Compare(b.Raised), cmp.Compare(a.ID, b.ID)) })
	var acked, cleared []float64
	for _, id := range slices.Sorted(maps.Keys(c.cohort)) {
		l := c.cohort[id]
		if l.acked {
			acked = append(acked, l.toAck.Seconds())
		}
		if l.cleared {
			cleared = append(cleared, l.toClear.Seconds())
		}
		if l.isFalse {
			p.False++
		}
	}
	p.MTTA, p.MTTR = durations(acked, len(c.cohort)), durations(cleared, len(c.cohort))
	if n := len(c.cohort); n > 0 {
		share := portion(p.False, n)
		p.FalseShare = &share
	}
	for _, since := range c.silentFrom {
		c.silent += c.to.Sub(since)
	}
	p.Silent = c.silent.Seconds()
}

// series counts each ten minutes; those at the ends may be cut by the period.
func (c *counter) series(p *Performance, roster Roster) {
	counts := map[int64]int{}
	step := loadInterval.Milliseconds()
	for _, t := range c.annunciated {
		if t >= c.from.UnixMilli() {
			counts[t/step]++
		}
	}
	p.Series = []LoadStep{}
	sum := 0.0
	for n := c.from.UnixMilli() / step; n*step < c.to.UnixMilli(); n++ {
		start := time.UnixMilli(n * step).UTC()
		s := LoadStep{Start: start, Alarms: counts[n], Operators: max(1, roster.Operators(start))}
		s.PerOperator = float64(s.Alarms) / float64(s.Operators)
		sum += s.PerOperator
		p.Peak = max(p.Peak, s.PerOperator)
		p.Series = append(p.Series, s)
	}
	p.Mean = sum / float64(max(1, len(p.Series)))
}

func portion(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func top(m map[key]int, of int) []Actors {
	out := []Actors{}
	for k, n := range m {
		out = append(out, Actors{Rule: k.rule, Entity: string(k.device), Alarms: n, Share: portion(n, of)})
	}
	slices.SortFunc(out, func(a, b Actors) int {
		return cmp.Or(cmp.Compare(b.Alarms, a.Alarms), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Entity, b.Entity))
	})
	return out[:min(len(out), topActors)]
}

// durations sums up; of is how many could have ended.
func durations(list []float64, of int) Durations {
	d := Durations{Count: len(list), Open: of - len(list)}
	if len(list) == 0 {
		return d
	}
	slices.Sort(list)
	for _, v := range list {
		d.Sum += v
	}
	mean := d.Sum / float64(len(list))
	d.Mean, d.Median, d.P90 = &mean, rank(list, 0.5), rank(list, 0.9)
	return d
}

// rank is the nearest-rank percentile.
func rank(sorted []float64, q float64) *float64 {
	v := sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
	return &v
}
