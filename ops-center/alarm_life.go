package opscenter

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// AlarmFilter is what a list of alarms can be narrowed by; an empty part takes
// all.
type AlarmFilter struct {
	State      string `query:"state" maxLength:"120" doc:"unacknowledged, acknowledged, returned, shelved, suppressed, out_of_service, or shown for the first three; several with commas"`
	Priority   int    `query:"priority" minimum:"1" maximum:"4" doc:"This priority and worse"`
	Category   string `query:"category" maxLength:"20" doc:"Of CAP 1.2: Met, Infra, …"`
	Zone       string `query:"zone" maxLength:"120" doc:"A zone's code, or layer/code"`
	Department string `query:"department" maxLength:"200" doc:"That owns the rule or has it assigned"`
	Group      string `query:"group" maxLength:"300" doc:"A key of /v1/alarms/groups in the default grouping"`
	Rule       string `query:"rule" maxLength:"64"`
	Device     string `query:"device" maxLength:"64"`
	Exercise   string `query:"exercise" enum:"only,none" doc:"Alarms of drills only, or none of them"`
	Text       string `query:"q" maxLength:"200" doc:"Words in the message, the name of the rule, the device, its zones; case and diacritics do not matter"`

	words  []string
	states []string
}

// alarmStates are what the state of a filter may name.
var alarmStates = []alert.State{alert.Unacknowledged, alert.Acknowledged, alert.Returned, alert.Shelved, alert.Suppressed, alert.OutOfService}

// Resolve reads the filter once.
func (f *AlarmFilter) Resolve(huma.Context) []error {
	f.words = strings.Fields(devices.Fold(f.Text))
	if f.State == "" {
		return nil
	}
	for _, s := range strings.Split(f.State, ",") {
		switch {
		case s == "shown":
			f.states = append(f.states, string(alert.Unacknowledged), string(alert.Acknowledged), string(alert.Returned))
		case slices.Contains(alarmStates, alert.State(s)) || s == string(alert.Normal):
			f.states = append(f.states, s)
		default:
			return []error{&huma.ErrorDetail{Location: "query.state", Message: "no state of an open alarm", Value: s}}
		}
	}
	return nil
}

func (f *AlarmFilter) takes(al *alert.Alarm) bool {
	switch {
	case len(f.states) > 0 && !slices.Contains(f.states, string(al.State)),
		f.Priority != 0 && al.Priority > f.Priority,
		f.Category != "" && !strings.EqualFold(f.Category, al.Category),
		f.Group != "" && !al.InGroup(f.Group),
		f.Rule != "" && f.Rule != al.Rule,
		f.Device != "" && f.Device != string(al.Device),
		f.Exercise == "only" && al.Exercise == "", f.Exercise == "none" && al.Exercise != "":
		return false
	}
	if f.Zone != "" && !slices.ContainsFunc(al.Zones, func(z alert.Zone) bool { return z.Code == f.Zone || z.Layer+"/"+z.Code == f.Zone }) {
		return false
	}
	if d := devices.Fold(f.Department); d != "" && devices.Fold(al.Owner) != d && (al.Assigned == nil || devices.Fold(al.Assigned.Department) != d) {
		return false
	}
	if len(f.words) == 0 {
		return true
	}
	parts := []string{al.Rule, al.Entity, al.RuleName["vi"], al.RuleName["en"], al.Message["vi"], al.Message["en"], al.Owner}
	for _, z := range al.Zones {
		parts = append(parts, z.Name, z.Code)
	}
	text := devices.Fold(strings.Join(parts, "\n"))
	return !slices.ContainsFunc(f.words, func(w string) bool { return !strings.Contains(text, w) })
}

type alarmsInput struct {
	AlarmFilter
	At     string `query:"at" maxLength:"40" doc:"A time in the past; needs figures of the log"`
	Limit  int    `query:"limit" minimum:"1" maximum:"20000" default:"20000"`
	Cursor string `query:"cursor" maxLength:"600" doc:"next of the page before"`
}

type alarmsOutput struct {
	Body struct {
		Alarms []alert.Alarm `json:"alarms"`
		// Total are all that the filter takes, on this page and others.
		Total      int            `json:"total"`
		ByPriority [4]int         `json:"byPriority" doc:"Of those that are shown, from priority 1 on"`
		ByState    map[string]int `json:"byState"`
		Next       string         `json:"next,omitempty"`
	}
}

// page is where a list goes on: after this alarm, in the order of urgency, which
// holds whatever comes and goes between two requests.
type page struct {
	Hidden   bool      `json:"h,omitempty"`
	Priority int       `json:"p"`
	Raised   time.Time `json:"r"`
	ID       string    `json:"i"`
}

func pageOf(al *alert.Alarm) page {
	return page{!al.State.Shown(), al.Priority, al.Raised, al.ID}
}

func (p page) String() string {
	raw, _ := json.Marshal(p) // of strings, numbers and a time: cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parsePage(s string) (p page, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	return p, err
}

// passed tells whether an alarm comes at or before p.
func (p page) passed(al *alert.Alarm) bool {
	q := pageOf(al)
	rank := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(q.Hidden), rank(p.Hidden)), cmp.Compare(q.Priority, p.Priority), p.Raised.Compare(q.Raised), cmp.Compare(q.ID, p.ID)) <= 0
}

func (a *api) listAlarms(ctx context.Context, in *alarmsInput) (*alarmsOutput, error) {
	if a.Alarms == nil {
		return nil, absent("alarms")
	}
	var after page
	var err error
	if in.Cursor != "" {
		if after, err = parsePage(in.Cursor); err != nil {
			return nil, badParameter("cursor", in.Cursor, errors.New("this is no cursor of such a list"))
		}
	}
	var list []alert.Alarm
	if in.At == "" {
		list = a.Alarms.List()
	} else {
		at, err := parseTime(in.At, a.now(), a.Calendar)
		if err != nil {
			return nil, badParameter("at", in.At, err)
		}
		if a.Life == nil {
			return nil, absent("the alarms of the past")
		}
		if list, err = a.Life.At(ctx, at); err != nil {
			return nil, a.actProblem("reading the log", in.At, err)
		}
	}
	out := &alarmsOutput{}
	out.Body.Alarms, out.Body.ByState = []alert.Alarm{}, map[string]int{}
	who, _ := access.From(ctx)
	for i := range list {
		al := &list[i]
		if !in.takes(al) || !a.sees(who, al) {
			continue
		}
		out.Body.Total++
		out.Body.ByState[string(al.State)]++
		if al.State.Shown() && al.Priority >= 1 && al.Priority <= 4 {
			out.Body.ByPriority[al.Priority-1]++
		}
		switch {
		case in.Cursor != "" && after.passed(al):
		case len(out.Body.Alarms) < in.Limit:
			out.Body.Alarms = append(out.Body.Alarms, *al)
		case out.Body.Next == "":
			out.Body.Next = pageOf(&out.Body.Alarms[len(out.Body.Alarms)-1]).String()
		}
	}
	return out, nil
}

type alarmInput struct {
	ID string `path:"id" maxLength:"256"`
}

// neighbour is an alarm near another in space and time.
type neighbour struct {
	Alarm   alert.Alarm `json:"alarm"`
	Metres  *float64    `json:"metres"`
	Minutes float64     `json:"minutes" doc:"From this alarm's beginning to that one's"`
}

// alarmTransition is one record of the log under a name that is unique in the
// API's description.
type alarmTransition alert.Transition

type alarmDetail struct {
	Alarm alert.Alarm `json:"alarm"`
	// Rule is the one in force now, absent when it was withdrawn.
	Rule        *alert.Rule       `json:"rule,omitempty"`
	Transitions []alarmTransition `json:"transitions"`
	Neighbours  []neighbour       `json:"neighbours"`
	// MaxShelveSeconds and NeedsNote are what holds for its priority.
	MaxShelveSeconds float64 `json:"maxShelveSeconds"`
	NeedsNote        bool    `json:"needsNote"`
}

type alarmDetailOutput struct {
	ETag string `header:"ETag"`
	Body alarmDetail
}

type transitionsOutput struct {
	Body struct {
		Transitions []alarmTransition `json:"transitions"`
	}
}

type PeriodInput struct {
	From string `query:"from" default:"-24h" maxLength:"40" doc:"RFC 3339, milliseconds, a day, or a distance such as -6h"`
	To   string `query:"to" default:"now" maxLength:"40"`
}

func (a *api) period(in *PeriodInput) (from, to time.Time, err error) {
	if from, err = parseTime(in.From, a.now(), a.Calendar); err != nil {
		return from, to, badParameter("from", in.From, err)
	}
	if to, err = parseTime(in.To, a.now(), a.Calendar); err != nil {
		return from, to, badParameter("to", in.To, err)
	}
	return from, to, nil
}

type alarmHistoryInput struct {
	PeriodInput
	AlarmFilter
	Limit int `query:"limit" minimum:"1" maximum:"10000" default:"500"`
}

type alarmHistoryOutput struct {
	Body struct {
		Alarms []alert.Alarm `json:"alarms"`
		More   bool          `json:"more"`
	}
}

type groupsInput struct {
	By string `query:"by" enum:"cause,site,ward,rule" doc:"Absent: by cause, else by rule and ward"`
	AlarmFilter
}

type groupsOutput struct {
	Body struct {
		Groups []alert.Group `json:"groups"`
	}
}

// subject names a rule and what an alarm of it is about, as they are called today:
// a device, the device a cluster is named for, or a zone.
func (a *api) subject(rules map[string]map[string]string, rule, entity string) alert.Subject {
	s := alert.Subject{RuleName: rules[rule]}
	kind, rest, many := strings.Cut(entity, ":")
	switch {
	case !many:
		s.Device = devices.ID(entity)
	case kind == "cluster":
		s.Device = devices.ID(rest)
	default:
		layer, code, _ := strings.Cut(rest, "/")
		for _, z := range a.Layers.Zones(layer, a.today(a.now())) {
			if z.Ref.Code == code {
				s.Name = z.Name
			}
		}
	}
	if d, ok := a.Register.Get(s.Device); ok {
		s.Name = d.Name
	} else {
		s.Device = ""
	}
	return s
}

type performanceOutput struct{ Body alert.Performance }

type floodOutput struct{ Body alert.Flood }

type planBody struct {
	Device devices.ID `json:"device,omitempty" maxLength:"64"`
	Zone   string     `json:"zone,omitempty" maxLength:"120" doc:"layer/code"`
	Rule   string     `json:"rule,omitempty" maxLength:"64"`
	From   time.Time  `json:"from,omitempty" required:"false" doc:"Now, when absent"`
	To     time.Time  `json:"to"`
	Reason string     `json:"reason" minLength:"1" maxLength:"2000"`
}

type plansOutput struct {
	Body struct {
		Plans []alert.Plan `json:"plans"`
	}
}

type planOutput struct{ Body alert.Plan }

// life puts a handler behind the check that there is a life to ask.
func life[I, O any](a *api, h func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		if a.Life == nil {
			return nil, absent("the life of alarms")
		}
		return h(ctx, in)
	}
}

func (a *api) alarmLifeRoutes() {
	get := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"alarms"}, Summary: summary, Description: description}
	}
	route(a, access.View, get("get-alarm", "/v1/alarms/{id}", "One alarm, open or closed", "With its rule, what happened to it, and the open alarms near it in space and time."), life(a, a.getAlarm))
	route(a, access.View, get("alarm-transitions", "/v1/alarms/{id}/transitions", "All that happened to one alarm", "From the log, oldest first."), life(a, func(ctx context.Context, in *alarmInput) (*transitionsOutput, error) {
		story, err := a.story(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out := &transitionsOutput{}
		out.Body.Transitions = story
		return out, nil
	}))
	route(a, access.View, get("alarm-history", "/v1/alarms/history", "Alarms that were closed in a period, the newest first", "By when the closing was recorded."), life(a, a.alarmHistory))
	route(a, access.View, get("alarm-groups", "/v1/alarms/groups", "Open alarms by what explains them", "The key of the default grouping is `group` of each alarm, here and in the live stream."), life(a, a.groups))
	route(a, access.View, get("alarm-flood", "/v1/alarms/flood", "Whether there is an alarm flood", "It begins with more than 10 alarms in 10 minutes per operator and ends with fewer than 5 (ISA-18.2)."), life(a, func(context.Context, *struct{}) (*floodOutput, error) {
		return &floodOutput{a.Life.Flood()}, nil
	}))
	route(a, access.ViewFigures, get("alarm-performance", "/v1/alarms/performance", "How the alarms treat the people who work on them", "Counted from the log; each figure has a definition. Alarms of drills are left out."), life(a, func(ctx context.Context, in *PeriodInput) (*performanceOutput, error) {
		from, to, err := a.period(in)
		if err != nil {
			return nil, err
		}
		p, err := a.Life.Performance(ctx, from, to, a.roster())
		if err != nil {
			return nil, a.actProblem("counting", "performance", err)
		}
		names := map[string]map[string]string{}
		for _, r := range a.Alarms.Rules() {
			names[r.ID] = r.Name
		}
		for _, list := range [][]alert.Actors{p.BadActors, p.Chattering} {
			for i := range list {
				list[i].Subject = a.subject(names, list[i].Rule, list[i].Entity)
			}
		}
		for i := range p.Stale {
			p.Stale[i].Subject = a.subject(names, p.Stale[i].Rule, p.Stale[i].Entity)
		}
		return &performanceOutput{p}, nil
	}))
	route(a, access.View, get("list-plans", "/v1/alarms/plans", "Work that is planned, whose alarms are suppressed", "Those that last, are to come, or ended in the last 90 days."), life(a, func(context.Context, *struct{}) (*plansOutput, error) {
		out := &plansOutput{}
		if out.Body.Plans = a.Life.Plans(); out.Body.Plans == nil {
			out.Body.Plans = []alert.Plan{}
		}
		return out, nil
	}))
	route(a, access.ServiceAlarms, huma.Operation{
		OperationID: "add-plan", Method: http.MethodPost, Path: "/v1/alarms/plans", Tags: []string{"alarms"}, DefaultStatus: http.StatusCreated,
		Summary: "Plan work: what it raises is suppressed while it lasts", Description: "For a device, a zone, a rule, or what is all that are named.",
	}, life(a, func(ctx context.Context, in *struct{ Body planBody }) (*planOutput, error) {
		b := in.Body
		p, err := a.Life.Suppress(ctx, alert.Plan{Device: b.Device, Zone: b.Zone, Rule: b.Rule, From: b.From, To: b.To, Reason: norm.NFC.String(b.Reason)}, actor(ctx))
		if err != nil {
			return nil, a.actProblem("planning", string(b.Device), err)
		}
		a.changed(ctx, "alarm.plan", p.ID, nil, p)
		return &planOutput{p}, nil
	}))
	route(a, access.ServiceAlarms, huma.Operation{
		OperationID: "end-plan", Method: http.MethodDelete, Path: "/v1/alarms/plans/{id}", Tags: []string{"alarms"},
		Summary: "Call a plan off", DefaultStatus: http.StatusOK,
	}, life(a, func(ctx context.Context, in *alarmInput) (*planOutput, error) {
		p, err := a.Life.EndPlan(ctx, in.ID, actor(ctx))
		if err != nil {
			return nil, a.actProblem("calling off", in.ID, err)
		}
		a.changed(ctx, "alarm.plan.end", p.ID, nil, p)
		return &planOutput{p}, nil
	}))
}

// roster is the shift log, or one operator without one.
func (a *api) roster() alert.Roster {
	if a.Shift == nil {
		return alone{}
	}
	return a.Shift
}

type alone struct{}

func (alone) Operators(time.Time) int              { return 1 }
func (alone) Moments(time.Time, time.Time) []int64 { return nil }

// story reads what happened to an alarm that is the caller's business.
func (a *api) story(ctx context.Context, id string) ([]alarmTransition, error) {
	list, err := a.Life.Story(ctx, id)
	if err != nil {
		return nil, a.actProblem("reading the log", id, err)
	}
	who, _ := access.From(ctx)
	if len(list) == 0 || !a.sees(who, &list[len(list)-1].Alarm) {
		return nil, huma.Error404NotFound("no alarm has this id")
	}
	out := make([]alarmTransition, len(list))
	for i := range list {
		out[i] = alarmTransition(list[i])
	}
	return out, nil
}

func (a *api) getAlarm(ctx context.Context, in *alarmInput) (*alarmDetailOutput, error) {
	story, err := a.story(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &alarmDetailOutput{}
	d := &out.Body
	d.Transitions, d.Alarm = story, story[len(story)-1].Alarm
	if al, open := a.Life.Get(in.ID); open {
		d.Alarm = al
	}
	out.ETag = `"` + jsonNumber(d.Alarm.Changes) + `"`
	for _, r := range a.Alarms.Rules() {
		if r.ID == d.Alarm.Rule {
			d.Rule = &r
		}
	}
	limits := a.Life.Limits()
	d.MaxShelveSeconds, d.NeedsNote = limits.MaxShelve[d.Alarm.Priority].Seconds(), d.Alarm.Priority <= limits.NotePriority
	who, _ := access.From(ctx)
	d.Neighbours = neighbours(&d.Alarm, a.Life.List(), func(al *alert.Alarm) bool { return a.sees(who, al) })
	return out, nil
}

func jsonNumber(n int) string {
	raw, _ := json.Marshal(n)
	return string(raw)
}

// Alarms near another: within so many metres or in the same first zone, begun
// within so many minutes, at most so many.
const (
	nearMetres    = 1000
	nearMinutes   = 30
	maxNeighbours = 20
)

func neighbours(of *alert.Alarm, list []alert.Alarm, sees func(*alert.Alarm) bool) []neighbour {
	out := []neighbour{}
	for i := range list {
		al := &list[i]
		minutes := al.Raised.Sub(of.Raised).Minutes()
		if al.ID == of.ID || math.Abs(minutes) > nearMinutes || !sees(al) {
			continue
		}
		n := neighbour{Alarm: *al, Minutes: math.Round(minutes*10) / 10}
		if of.At != nil && al.At != nil {
			m := math.Round(metresBetween(*of.At, *al.At))
			n.Metres = &m
		}
		same := len(of.Zones) > 0 && len(al.Zones) > 0 && of.Zones[0] == al.Zones[0]
		if n.Metres != nil && *n.Metres <= nearMetres || n.Metres == nil && same {
			out = append(out, n)
		}
	}
	slices.SortStableFunc(out, func(a, b neighbour) int {
		far := func(n neighbour) float64 {
			if n.Metres == nil {
				return nearMetres
			}
			return *n.Metres
		}
		return cmp.Or(cmp.Compare(far(a), far(b)), cmp.Compare(math.Abs(a.Minutes), math.Abs(b.Minutes)), cmp.Compare(a.Alarm.ID, b.Alarm.ID))
	})
	return out[:min(len(out), maxNeighbours)]
}

// metresBetween is the distance on a sphere.
func metresBetween(a, b [2]float64) float64 {
	const rad = math.Pi / 180
	dLat, dLon := (b[1]-a[1])*rad, (b[0]-a[0])*rad
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(a[1]*rad)*math.Cos(b[1]*rad)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * 6371008.8 * math.Asin(math.Sqrt(min(1, h)))
}

func (a *api) alarmHistory(ctx context.Context, in *alarmHistoryInput) (*alarmHistoryOutput, error) {
	from, to, err := a.period(&in.PeriodInput)
	if err != nil {
		return nil, err
	}
	who, _ := access.From(ctx)
	list, more, err := a.Life.History(ctx, from, to, in.Limit, func(al *alert.Alarm) bool { return in.takes(al) && a.sees(who, al) })
	if err != nil {
		return nil, a.actProblem("reading the log", "history", err)
	}
	out := &alarmHistoryOutput{}
	if out.Body.Alarms, out.Body.More = list, more; list == nil {
		out.Body.Alarms = []alert.Alarm{}
	}
	return out, nil
}

func (a *api) groups(ctx context.Context, in *groupsInput) (*groupsOutput, error) {
	who, _ := access.From(ctx)
	var list []alert.Alarm
	for _, al := range a.Life.List() {
		if in.takes(&al) && a.sees(who, &al) {
			list = append(list, al)
		}
	}
	out := &groupsOutput{}
	out.Body.Groups = alert.Groups(list, in.By, func(id string) string {
		if d, ok := a.Register.Get(devices.ID(id)); ok && d.Name != "" {
			return d.Name
		}
		return id
	}, func(id string) string {
		if d, ok := a.Register.Get(devices.ID(id)); ok {
			return d.Site
		}
		return ""
	})
	return out, nil
}
