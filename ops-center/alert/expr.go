package alert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm"

	"vonglau/devices"
)

// Expr is a condition in the language of expr-lang over one device. Names:
//
//	pm25, water_level, …        the device's newest value of each quantity
//	mean(q, w) lowest highest   over its readings of quantity q ("pm25") in the
//	total count                 window w ("1h"); count is how many there are
//	change(q, w)                newest less oldest
//	inside(layer, code)         the reading's place; code "" for any zone of it
//	device.id .profile .owner .site .simulated
//	hour weekday month          of the reading, in the city's calendar; 0 is Sunday
//	abs ceil floor round max min
//
// It is judged when a reading has one of its quantities and the device has said
// all of them in the time after which it counts as silent. It sees the reading's
// time and no other, has no loops, and so costs what it is long.
type Expr struct {
	Source string `yaml:"if" json:"if"`
	// Clear, when given, is what must hold for the condition to be over;
	// otherwise it is over when If does not hold.
	Clear string `yaml:"clear" json:"clear,omitempty"`
	Delay `yaml:",inline"`

	on, off    *vm.Program
	quantities []devices.Quantity
	windows    map[string]exprWindow // by "quantity/length"
}

type exprWindow struct {
	quantity devices.Quantity
	length   int64
}

const maxExpr = 2000 // bytes

// exprEnv is what an expression sees.
type exprEnv struct {
	values map[string]float64
	in     func(layer, code string) bool
	window func(q, length string) slot
	ends   func(q, length string) (oldest, newest float64)
	device exprDevice
	at     time.Time
}

type exprDevice struct {
	ID        string `expr:"id"`
	Profile   string `expr:"profile"`
	Owner     string `expr:"owner"`
	Site      string `expr:"site"`
	Simulated bool   `expr:"simulated"`
}

var windowFunctions = []string{"mean", "lowest", "highest", "total", "count", "change"}

// table is the environment as expr wants it.
func (e *exprEnv) table(c []devices.Quantity) map[string]any {
	t := map[string]any{
		"device": e.device, "hour": e.at.Hour(), "weekday": int(e.at.Weekday()), "month": int(e.at.Month()),
		"inside": e.in,
		"mean":   func(q, w string) float64 { s := e.window(q, w); return s.Sum / float64(s.N) },
		"lowest": func(q, w string) float64 { return e.window(q, w).Min },
		"highest": func(q, w string) float64 {
			return e.window(q, w).Max
		},
		"total":  func(q, w string) float64 { return e.window(q, w).Sum },
		"count":  func(q, w string) int { return e.window(q, w).N },
		"change": func(q, w string) float64 { a, b := e.ends(q, w); return b - a },
	}
	for _, q := range c {
		t[string(q)] = e.values[string(q)]
	}
	return t
}

// used collects the names of an expression and the windows it asks for.
type used struct {
	names   []string
	windows []exprWindow
	err     error
}

func (u *used) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		u.names = append(u.names, n.Value)
	case *ast.CallNode:
		id, ok := n.Callee.(*ast.IdentifierNode)
		if !ok || !slices.Contains(windowFunctions, id.Value) {
			return
		}
		if len(n.Arguments) != 2 {
			return // the type checker says it better
		}
		q, ok1 := n.Arguments[0].(*ast.StringNode)
		w, ok2 := n.Arguments[1].(*ast.StringNode)
		if !ok1 || !ok2 {
			u.err = fmt.Errorf("%s: the quantity and the window are written out, as in %s(\"pm25\", \"1h\")", id.Value, id.Value)
			return
		}
		d, err := time.ParseDuration(w.Value)
		if err == nil {
			err = checkWindow(d)
		}
		if err != nil {
			u.err = fmt.Errorf("%s: %w", id.Value, err)
			return
		}
		u.windows = append(u.windows, exprWindow{devices.Quantity(q.Value), d.Milliseconds()})
	}
}

// compile checks the expression and makes it ready.
func (x *Expr) compile(c *devices.Catalogue) (err error) {
	if x.Source == "" {
		return errors.New("if is missing")
	}
	if err := x.Delay.validate(); err != nil {
		return err
	}
	var all []devices.Quantity
	for _, q := range c.Quantities() {
		all = append(all, q.Name)
	}
	x.windows, x.quantities = map[string]exprWindow{}, nil
	one := func(name, source string) (*vm.Program, error) {
		if len(source) > maxExpr {
			return nil, fmt.Errorf("%s: %d bytes, at most %d are taken", name, len(source), maxExpr)
		}
		u := &used{}
		env := (&exprEnv{
			in:     func(string, string) bool { return false },
			window: func(string, string) slot { return slot{} }, ends: func(string, string) (float64, float64) { return 0, 0 },
		}).table(all)
		options := []expr.Option{expr.Env(env), expr.AsBool(), expr.Patch(u), expr.MaxNodes(300), expr.Optimize(false)}
		for _, b := range builtin.Builtins {
			options = append(options, expr.DisableBuiltin(b.Name))
		}
		for _, keep := range []string{"abs", "ceil", "floor", "round", "max", "min"} {
			options = append(options, expr.EnableBuiltin(keep))
		}
		program, err := expr.Compile(source, options...)
		if err == nil {
			err = u.err
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, w := range u.windows {
			if err := checkQuantity(w.quantity, c); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			x.windows[w.key()] = w
			if !slices.Contains(x.quantities, w.quantity) {
				x.quantities = append(x.quantities, w.quantity)
			}
		}
		for _, n := range u.names {
			if q := devices.Quantity(n); slices.Contains(all, q) && !slices.Contains(x.quantities, q) {
				x.quantities = append(x.quantities, q)
			}
		}
		return program, nil
	}
	if x.on, err = one("if", x.Source); err != nil {
		return err
	}
	if x.Clear != "" {
		if x.off, err = one("clear", x.Clear); err != nil {
			return err
		}
	}
	if len(x.windows) > 16 {
		return errors.New("sixteen windows at most")
	}
	if len(x.quantities) == 0 {
		return errors.New("it names no quantity, so no reading would be judged by it")
	}
	return nil
}

func (w exprWindow) key() string { return string(w.quantity) + "/" + strconv.FormatInt(w.length, 10) }

// expression judges an observation. ok is false while the device has not said
// all the expression asks for.
func (e *engine) expression(x *Expr, w *watched, tr *track, o *devices.Observation, at int64) (holds bool, value *float64, ok bool) {
	if tr.Lasts == nil {
		tr.Lasts = map[devices.Quantity]sample{}
	}
	for i := range o.Values {
		v := &o.Values[i]
		if slices.Contains(x.quantities, v.Quantity) {
			tr.Lasts[v.Quantity] = sample{at, v.Number}
		}
	}
	for key, win := range x.windows {
		last, said := tr.Lasts[win.quantity]
		if !said || last.At != at {
			continue
		}
		if tr.Windows == nil {
			tr.Windows = map[string]slots{}
		}
		s := tr.Windows[key]
		s.add(at, win.length, last.Count)
		tr.Windows[key] = s
	}
	env := &exprEnv{
		values: map[string]float64{}, at: time.UnixMilli(at).In(e.calendar),
		device: exprDevice{string(w.device.ID), w.profile.Name, w.device.Owner, w.device.Site, w.device.Simulated},
		in: func(layer, code string) bool {
			return slices.ContainsFunc(o.Zones, func(z devices.ZoneRef) bool { return z.Layer == layer && (code == "" || z.Code == code) })
		},
	}
	sum := func(q, length string) (slots, int64) {
		d, _ := time.ParseDuration(length)
		return tr.Windows[exprWindow{devices.Quantity(q), d.Milliseconds()}.key()], d.Milliseconds()
	}
	env.window = func(q, length string) slot { s, n := sum(q, length); return s.sum(at, n) }
	env.ends = func(q, length string) (float64, float64) {
		s, n := sum(q, length)
		s = slices.Clone(s)
		s.trim(at, n)
		if len(s) == 0 {
			return 0, 0
		}
		return s[0].Sum / float64(s[0].N), tr.Lasts[devices.Quantity(q)].Count
	}
	for _, q := range x.quantities {
		last, said := tr.Lasts[q]
		if !said || at-last.At > w.profile.SilentAfter().Milliseconds() {
			return false, nil, false
		}
		env.values[string(q)] = last.Count
	}
	program := x.on
	if tr.On && x.off != nil {
		program = x.off
	}
	out, err := vm.Run(program, env.table(x.quantities))
	if err != nil {
		e.faults.Add(1)
		return false, nil, false
	}
	holds, _ = out.(bool)
	if tr.On && x.off != nil {
		holds = !holds
	}
	first := tr.Lasts[x.quantities[0]].Count
	if math.IsNaN(first) {
		return false, nil, false
	}
	return holds, &first, true
}
