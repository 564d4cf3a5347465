package opscenter

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// Key figures. Each says how it is counted, of how many, and from what: whoever
// doubts one has it counted again from the log and sees the steps.

// figure is one of them. Value is null when there is nothing to count.
type figure struct {
	Name       string             `json:"name"`
	Title      map[string]string  `json:"title"`
	Value      *float64           `json:"value"`
	Unit       string             `json:"unit" enum:"s,share,alarms"`
	Better     string             `json:"better" enum:"lower,higher"`
	From       time.Time          `json:"from"`
	To         time.Time          `json:"to"`
	N          int                `json:"n" doc:"Of how many it is"`
	Definition map[string]string  `json:"definition"`
	Counting   map[string]float64 `json:"counting" doc:"What was counted; the value follows from it as the definition says"`
	// Counted is when.
	Counted time.Time         `json:"counted"`
	Target  *float64          `json:"target" doc:"What it should be at most or, where higher is better, at least; null when the city has set none"`
	Source  map[string]string `json:"source" doc:"What it is counted from"`
	// Owner answers for it.
	Owner figureOwner `json:"owner"`
}

type figureOwner struct {
	Department string `json:"department,omitempty"`
	Head       string `json:"head,omitempty"`
}

// FigureTargets are what key figures should be, by name, and the department that
// answers for them.
type FigureTargets struct {
	Department string
	Targets    map[string]float64
}

// FigureNames lists the key figures there are.
func FigureNames() []string {
	names := make([]string, len(figureKinds))
	for i, k := range figureKinds {
		names[i] = k.name
	}
	return names
}

var (
	fromAlarms = both("Nhật ký cảnh báo", "The log of alarms")
	fromSeries = both("Kho số đo và sổ thiết bị", "Stored readings and the register of devices")
)

type figureKind struct {
	name, unit, better string
	title, definition  map[string]string
}

var figureKinds = []figureKind{
	{"mtta", "s", "lower", both("Thời gian xác nhận trung bình", "Mean time to acknowledge"), alert.Definitions["mtta"]},
	{"mttr", "s", "lower", both("Thời gian chấm dứt trung bình", "Mean time to clear"), alert.Definitions["mttr"]},
	{"false_alarms", "share", "lower", both("Tỷ lệ cảnh báo sai", "False alarms"), alert.Definitions["false"]},
	{"alarms_per_operator", "alarms", "lower", both("Cảnh báo trên mỗi người trực trong 10 phút", "Alarms per operator in 10 minutes"), alert.Definitions["series"]},
	{"flood_share", "share", "lower", both("Tỷ lệ thời gian cảnh báo dồn dập", "Time in alarm flood"), alert.Definitions["floods"]},
	{"availability", "share", "higher", both("Mức sẵn sàng của thiết bị", "Availability of devices"), both(
		"1 trừ tổng thời gian mất liên lạc chia cho (số thiết bị đang hoạt động × độ dài kỳ); theo cảnh báo mất liên lạc, kể cả cảnh báo bị ẩn; không tính diễn tập.",
		"1 less the time devices were silent over (active devices × length of the period); by the alarms of silence, suppressed ones included; drills left out.")},
	{"completeness", "share", "higher", both("Mức đầy đủ của dữ liệu", "Completeness of data"), both(
		"Số giá trị chính đã lưu chia cho số cần có theo chu kỳ của từng loại thiết bị, tính từng thiết bị và không quá 100 %; chỉ thiết bị đang hoạt động, không tính diễn tập.",
		"Main values stored over those due by the interval of each profile, for each device and no more than 100 %; active devices, drills left out.")},
}

func both(vi, en string) map[string]string { return map[string]string{"vi": vi, "en": en} }

// Bounds of what is counted, and how long a count serves those who do not ask
// for a new one.
const (
	maxFigurePeriod = 31 * 24 * time.Hour
	maxCounted      = 5000 // devices, for completeness
	figuresServe    = time.Minute
)

// figureCache keeps the last counts, by period asked for.
type figureCache struct {
	mu   sync.Mutex
	last map[string][]figure
}

type figuresOutput struct {
	Body struct {
		Figures []figure `json:"figures"`
	}
}

type figureInput struct {
	Name string `path:"name" maxLength:"40"`
	PeriodInput
	Recompute string `query:"recompute" enum:"0,1" doc:"1 counts again, whatever was counted lately"`
}

type figureOutput struct{ Body figure }

func (a *api) figureRoutes() {
	route(a, access.ViewFigures, huma.Operation{
		OperationID: "list-figures", Method: http.MethodGet, Path: "/v1/figures", Tags: []string{"figures"},
		Summary: "The key figures of a period", Description: "Counted at most a minute ago. Drills are left out.",
	}, life(a, func(ctx context.Context, in *PeriodInput) (*figuresOutput, error) {
		list, err := a.figures(ctx, in, false)
		if err != nil {
			return nil, err
		}
		out := &figuresOutput{}
		out.Body.Figures = list
		return out, nil
	}))
	route(a, access.ViewFigures, huma.Operation{
		OperationID: "get-figure", Method: http.MethodGet, Path: "/v1/figures/{name}", Tags: []string{"figures"},
		Summary: "One key figure, with recompute=1 counted anew from the log and the series",
	}, life(a, func(ctx context.Context, in *figureInput) (*figureOutput, error) {
		if !slices.ContainsFunc(figureKinds, func(k figureKind) bool { return k.name == in.Name }) {
			return nil, huma.Error404NotFound("no figure has this name")
		}
		list, err := a.figures(ctx, &in.PeriodInput, in.Recompute == "1")
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(f figure) bool { return f.Name == in.Name })
		return &figureOutput{list[i]}, nil
	}))
}

func (a *api) figures(ctx context.Context, in *PeriodInput, anew bool) ([]figure, error) {
	from, to, err := a.period(in)
	if err != nil {
		return nil, err
	}
	if !to.After(from) || to.Sub(from) > maxFigurePeriod {
		return nil, badParameter("from", in.From, fmt.Errorf("want more than nothing and at most %d days", int(maxFigurePeriod.Hours()/24)))
	}
	key := in.From + "|" + in.To
	a.counted.mu.Lock()
	kept := a.counted.last[key]
	a.counted.mu.Unlock()
	if !anew && kept != nil && a.now().Sub(kept[0].Counted) < figuresServe {
		return kept, nil
	}
	list, err := a.count(ctx, from, to)
	if err != nil {
		return nil, a.actProblem("counting", "figures", err)
	}
	a.counted.mu.Lock()
	defer a.counted.mu.Unlock()
	if len(a.counted.last) > 64 || a.counted.last == nil {
		a.counted.last = map[string][]figure{}
	}
	a.counted.last[key] = list
	return list, nil
}

// count makes all figures of a period.
func (a *api) count(ctx context.Context, from, to time.Time) ([]figure, error) {
	p, err := a.Life.Performance(ctx, from, to, a.roster())
	if err != nil {
		return nil, err
	}
	var active []*devices.Device
	for _, d := range a.Register.List() {
		if d.State == devices.Active && d.Exercise == "" {
			active = append(active, d)
		}
	}
	due, stored, counted, err := a.completeness(ctx, active, from, to)
	if err != nil {
		return nil, err
	}
	period := to.Sub(from).Seconds()
	share := func(n, of float64) *float64 {
		if of <= 0 {
			return nil
		}
		v := n / of
		return &v
	}
	now := a.now().UTC()
	out := make([]figure, 0, len(figureKinds))
	for _, k := range figureKinds {
		f := figure{Name: k.name, Title: k.title, Unit: k.unit, Better: k.better, Definition: k.definition, From: from.UTC(), To: to.UTC(), Counted: now}
		f.Source, f.Owner = fromAlarms, figureOwner{Department: a.Figures.Department}
		if a.Departments != nil && f.Owner.Department != "" {
			f.Owner.Head = a.Departments.Head(f.Owner.Department)
		}
		if target, ok := a.Figures.Targets[k.name]; ok {
			f.Target = &target
		}
		f.Counting = map[string]float64{"records": float64(p.Records), "periodSeconds": period}
		switch k.name {
		case "mtta":
			f.Value, f.N = p.MTTA.Mean, p.MTTA.Count
			f.Counting["sumSeconds"], f.Counting["acknowledged"], f.Counting["notAcknowledged"] = p.MTTA.Sum, float64(p.MTTA.Count), float64(p.MTTA.Open)
		case "mttr":
			f.Value, f.N = p.MTTR.Mean, p.MTTR.Count
			f.Counting["sumSeconds"], f.Counting["cleared"], f.Counting["notCleared"] = p.MTTR.Sum, float64(p.MTTR.Count), float64(p.MTTR.Open)
		case "false_alarms":
			f.Value, f.N = p.FalseShare, p.MTTA.Count+p.MTTA.Open
			f.Counting["false"], f.Counting["alarms"] = float64(p.False), float64(f.N)
		case "alarms_per_operator":
			mean := p.Mean
			f.Value, f.N = &mean, len(p.Series)
			f.Counting["alarms"], f.Counting["steps"], f.Counting["peak"] = float64(p.Alarms), float64(len(p.Series)), p.Peak
		case "flood_share":
			v := p.FloodShare
			f.Value, f.N = &v, len(p.Floods)
			f.Counting["floodSeconds"], f.Counting["floods"] = v*period, float64(len(p.Floods))
		case "availability":
			f.N = len(active)
			if up := share(p.Silent, float64(len(active))*period); up != nil {
				v := max(0, 1-*up)
				f.Value = &v
			}
			f.Counting["silentSeconds"], f.Counting["devices"] = p.Silent, float64(len(active))
		case "completeness":
			f.Source = fromSeries
			f.Value, f.N = share(stored, due), counted
			f.Counting["stored"], f.Counting["due"], f.Counting["devices"] = stored, due, float64(counted)
		}
		out = append(out, f)
	}
	return out, nil
}

// completeness counts what devices should have reported and what is stored of it.
// Without history there is nothing to count.
func (a *api) completeness(ctx context.Context, list []*devices.Device, from, to time.Time) (due, stored float64, n int, err error) {
	if a.History == nil {
		return 0, 0, 0, nil
	}
	for _, d := range list {
		p, ok := a.Catalogue.Profile(d.Profile)
		if !ok || p.Interval <= 0 || p.Main == "" {
			continue
		}
		if n++; n > maxCounted {
			return due, stored, maxCounted, nil
		}
		start := from
		if d.Added.After(start) {
			start = d.Added
		}
		should := math.Floor(to.Sub(start).Seconds() / p.Interval.Seconds())
		if should < 1 {
			n--
			continue
		}
		buckets, err := a.History.Buckets(ctx, d.ID, p.Main, start, to, time.Hour, 0)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("counting what is stored of %s: %w", d.ID, err)
		}
		got := 0
		for _, b := range buckets {
			got += b.Count
		}
		due, stored = due+should, stored+min(should, float64(got))
	}
	return due, stored, n, nil
}
