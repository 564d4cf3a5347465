package opscenter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/geo"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
)

// RuleBook is what the API asks of the rules and the register of thresholds.
// *alert.Alarms is one.
type RuleBook interface {
	Rules() []alert.Rule
	Standings() []alert.Standing
	Source() []byte
	RuleSource(id string) ([]byte, error)
	// ApplyAs puts a file of rules in force, the others one rule. Errors that are
	// an *alert.Invalid are the file's.
	ApplyAs(ctx context.Context, source []byte, who alert.Actor, note string) error
	SetRule(ctx context.Context, id string, source []byte, who alert.Actor, note string) error
	// CheckRule reads one rule as SetRule would put it, and changes nothing.
	CheckRule(id string, source []byte) (*alert.Checked, error)
	RemoveRule(ctx context.Context, id string, who alert.Actor, note string) error
	EnableRule(ctx context.Context, id string, enabled bool, who alert.Actor, note string) error
	Versions(kind string) []alert.Version
	// RulesAt and ThresholdsAt are the files of a time; false when nothing of
	// then is kept.
	RulesAt(t time.Time) (alert.Version, bool)
	ThresholdsAt(t time.Time) (alert.Version, bool)
	Version(kind string, n int) (alert.Version, error)
	Try(ctx context.Context, t alert.Trial) (*alert.TrialResult, error)
	Thresholds() (*alert.Thresholds, []byte)
	SetThresholds(ctx context.Context, source []byte, who alert.Actor, note string) error
}

// maxRuleFile bounds a rule file in bytes.
const maxRuleFile = 8 << 20

type rulesInput struct {
	Note    string `query:"note" maxLength:"500" doc:"Why, for the record of versions"`
	RawBody []byte `contentType:"application/yaml"`
}

type ruleInput struct {
	ID      string `path:"id" maxLength:"64"`
	Note    string `query:"note" maxLength:"500" doc:"Why, for the record of versions"`
	RawBody []byte `contentType:"application/yaml"`
}

type ruleID struct {
	ID   string `path:"id" maxLength:"64"`
	Note string `query:"note" maxLength:"500" doc:"Why, for the record of versions"`
}

type rulesOutput struct {
	Body struct {
		Rules []alert.Rule `json:"rules"`
		// Standings tell of each rule whom it covers and why it judges nothing.
		Standings []alert.Standing `json:"standings"`
		// Mix is how the enabled rules are spread over the priorities.
		Mix     alert.Mix `json:"mix"`
		Version int       `json:"version" doc:"The newest version of the file, 0 before the first"`
	}
}

type ruleOutput struct {
	Body struct {
		Rule     alert.Rule     `json:"rule"`
		Source   string         `json:"source" doc:"In YAML, as in the file"`
		Standing alert.Standing `json:"standing"`
	}
}

type versionsOutput struct {
	Body struct {
		Versions []alert.Version `json:"versions"`
	}
}

type versionInput struct {
	N    int    `path:"n" minimum:"1"`
	Note string `query:"note" maxLength:"500"`
}

type versionOutput struct{ Body alert.Version }

type thresholdsInput struct {
	Device   string `query:"device" maxLength:"64" doc:"Only what binds this device, the nearest of each level"`
	Quantity string `query:"quantity" maxLength:"64"`
	At       string `query:"at" doc:"What is in force then, else now"`
	Known    string `query:"known" maxLength:"40" doc:"As the register stood at that time, without what was corrected since; else as it stands"`
}

type listRulesInput struct {
	At string `query:"at" maxLength:"40" doc:"A time in the past: the rules that were in force then"`
}

type thresholdsOutput struct {
	Body struct {
		Limits   []alert.Limit   `json:"limits"`
		Stations []alert.Station `json:"stations"`
		Scales   []alert.Scale   `json:"scales" doc:"Levels that an authority announces and nobody computes, with their colours"`
		Station  string          `json:"station,omitempty" doc:"The station that the device stands for"`
		At       time.Time       `json:"at"`
	}
}

func (a *api) ruleRoutes() {
	tags := []string{"rules"}
	put := "The body is YAML; docs beside the code (ops-center/alert/RULES.md) have the form. 422 names the line of what is wrong, and nothing changes."
	route(a, access.View, huma.Operation{OperationID: "list-rules", Method: http.MethodGet, Path: "/v1/rules", Tags: tags,
		Summary: "The rules in force, now or at a time",
		Description: "With whom each covers, why it judges nothing, and whether so many are urgent that nothing is (mix). Of a time in the past: " +
			"the rules of then without standings, or none and version 0 when no version of then is kept."}, a.listRules)
	route(a, access.ManageRules, huma.Operation{OperationID: "put-rules", Method: http.MethodPut, Path: "/v1/rules", Tags: tags,
		Summary: "Put a file of rules in force, in place of those before", Description: put, MaxBodyBytes: maxRuleFile}, a.putRules)
	route(a, access.ManageRules, huma.Operation{OperationID: "check-rules", Method: http.MethodPost, Path: "/v1/rules/check", Tags: tags,
		Summary: "Tell whether a file of rules could be put in force", Description: put, MaxBodyBytes: maxRuleFile}, a.checkRules)
	route(a, access.View, huma.Operation{OperationID: "get-rule", Method: http.MethodGet, Path: "/v1/rules/{id}", Tags: tags,
		Summary: "One rule, with its source"}, a.getRule)
	route(a, access.ManageRules, huma.Operation{OperationID: "put-rule", Method: http.MethodPut, Path: "/v1/rules/{id}", Tags: tags,
		Summary: "Put one rule in force, new or in place of the one before", Description: put, MaxBodyBytes: maxRuleFile}, a.putRule)
	route(a, access.ManageRules, huma.Operation{OperationID: "check-rule", Method: http.MethodPost, Path: "/v1/rules/{id}/check", Tags: tags,
		Summary:     "Read one rule as it would be put in force",
		Description: "Nothing changes. " + put, MaxBodyBytes: maxRuleFile}, a.checkRule)
	route(a, access.ManageRules, huma.Operation{OperationID: "delete-rule", Method: http.MethodDelete, Path: "/v1/rules/{id}", Tags: tags,
		Summary: "Take one rule out of force", Description: "Its alarms are cleared."}, a.deleteRule)
	for _, enabled := range []bool{true, false} {
		id, what := "disable", "Keep a rule, and let it judge nothing"
		if enabled {
			id, what = "enable", "Let a rule judge"
		}
		route(a, access.ManageRules, huma.Operation{OperationID: id + "-rule", Method: http.MethodPost, Path: "/v1/rules/{id}/" + id, Tags: tags, Summary: what},
			func(ctx context.Context, in *ruleID) (*ruleOutput, error) { return a.enableRule(ctx, in, enabled) })
	}
	for _, kind := range []string{"rules", "thresholds"} {
		route(a, access.View, huma.Operation{OperationID: "list-versions-of-" + kind, Method: http.MethodGet, Path: "/v1/" + kind + "/versions", Tags: tags,
			Summary: "The files of " + kind + " that were in force, the newest first"},
			func(context.Context, *struct{}) (*versionsOutput, error) {
				if a.RuleBook == nil {
					return nil, absent("rules")
				}
				out := &versionsOutput{}
				if out.Body.Versions = a.RuleBook.Versions(kind); out.Body.Versions == nil {
					out.Body.Versions = []alert.Version{}
				}
				return out, nil
			})
		route(a, access.View, huma.Operation{OperationID: "get-version-of-" + kind, Method: http.MethodGet, Path: "/v1/" + kind + "/versions/{n}", Tags: tags,
			Summary: "A file of " + kind + " that was in force, with its text"},
			func(_ context.Context, in *versionInput) (*versionOutput, error) {
				if a.RuleBook == nil {
					return nil, absent("rules")
				}
				v, err := a.RuleBook.Version(kind, in.N)
				if err != nil {
					return nil, huma.Error404NotFound(err.Error())
				}
				return &versionOutput{v}, nil
			})
		route(a, access.ManageRules, huma.Operation{OperationID: "restore-version-of-" + kind, Method: http.MethodPost, Path: "/v1/" + kind + "/versions/{n}/restore", Tags: tags,
			Summary: "Put a former file of " + kind + " in force again, as a new version"},
			func(ctx context.Context, in *versionInput) (*versionOutput, error) { return a.restore(ctx, kind, in) })
		yaml := huma.Operation{OperationID: "source-of-" + kind, Method: http.MethodGet, Path: "/v1/" + kind + "/source", Tags: tags,
			Summary: "The file of " + kind + " in force, as it is", Responses: map[string]*huma.Response{"200": {Description: "YAML"}}}
		a.raw(access.View, yaml, a.compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { a.source(w, kind) })))
	}
	route(a, access.View, huma.Operation{OperationID: "list-thresholds", Method: http.MethodGet, Path: "/v1/thresholds", Tags: tags,
		Summary:     "The thresholds in force, with what they rest on",
		Description: "A value of null is one that nobody has told: rules that need it judge nothing."}, a.listThresholds)
	route(a, access.ManageRules, huma.Operation{OperationID: "put-thresholds", Method: http.MethodPut, Path: "/v1/thresholds", Tags: tags,
		Summary: "Put a register of thresholds in force, in place of the one before", Description: put, MaxBodyBytes: maxRuleFile}, a.putThresholds)
	a.raw(access.ManageRules, huma.Operation{
		OperationID: "try-rules", Method: http.MethodPost, Path: "/v1/rules/test", Tags: tags,
		Summary: "Judge what is stored by a file of rules: the alarms that would have been",
		Description: "The body is a file of rules, `from` and `to` bound the time (the last day without them, 92 days at most). " +
			"The answer is lines of JSON (application/x-ndjson): `{\"progress\":0.4,\"readings\":120000}` from time to time, " +
			"and last `{\"result\":{…}}` or `{\"error\":\"…\"}`. Hanging up ends it. 429 while two others run. " +
			"Nothing of it is kept, and nobody is told. With `rule` the body is that rule alone, as it would be put: it is judged " +
			"with those in force that it names, even when it is disabled, and its alarms alone are told.",
		Responses: map[string]*huma.Response{"200": {Description: "Lines of JSON"}},
	}, http.HandlerFunc(a.tryRules))
	a.airRoutes()
}

var lineNumber = regexp.MustCompile(`line (\d+)`)

// invalid is the answer to a file that cannot be put in force; each line that the
// error names is one of its errors.
func invalid(title string, err error) error {
	p := &huma.ErrorModel{Title: title, Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	for line := range strings.Lines(err.Error()) {
		if m := lineNumber.FindString(line); m != "" {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Location: m, Message: strings.TrimSpace(line)})
		}
	}
	return p
}

// ruleError sorts the errors of the book.
func (a *api) ruleError(ctx context.Context, title string, err error) error {
	var bad *alert.Invalid
	switch {
	case errors.As(err, &bad):
		return invalid(title, err)
	case errors.Is(err, alert.ErrNoRule):
		return huma.Error404NotFound(err.Error())
	}
	a.Log.Error(title, "by", actor(ctx).Name, "err", err)
	return unavailable(title, errors.New("it could not be kept; try again"))
}

func (a *api) rulesAnswer() *rulesOutput {
	out := &rulesOutput{}
	out.Body.Rules, out.Body.Standings = a.RuleBook.Rules(), a.RuleBook.Standings()
	if out.Body.Rules == nil {
		out.Body.Rules = []alert.Rule{}
	}
	if out.Body.Standings == nil {
		out.Body.Standings = []alert.Standing{}
	}
	out.Body.Mix = mixOf(out.Body.Rules)
	if list := a.RuleBook.Versions("rules"); len(list) > 0 {
		out.Body.Version = list[0].N
	}
	return out
}

func (a *api) listRules(_ context.Context, in *listRulesInput) (*rulesOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("alarms")
	}
	if in.At != "" {
		return a.rulesOf(in.At)
	}
	return a.rulesAnswer(), nil
}

// fingerprint is what the record keeps of a file that versions hold in full.
type fingerprint struct {
	Version int `json:"version"`
	Entries int `json:"entries"`
}

func (a *api) newest(kind string) any {
	if list := a.RuleBook.Versions(kind); len(list) > 0 {
		return fingerprint{list[0].N, list[0].Entries}
	}
	return nil
}

func (a *api) putRules(ctx context.Context, in *rulesInput) (*rulesOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("alarms")
	}
	before := a.newest("rules")
	if err := a.RuleBook.ApplyAs(ctx, in.RawBody, actor(ctx), norm.NFC.String(in.Note)); err != nil {
		return nil, a.ruleError(ctx, "rules not applied", err)
	}
	a.changed(ctx, "rule.apply", "rules", before, a.newest("rules"))
	return a.rulesAnswer(), nil
}

func (a *api) checkRules(_ context.Context, in *rulesInput) (*struct{}, error) {
	if _, err := alert.ParseRules(in.RawBody, a.Catalogue); err != nil {
		return nil, invalid("rules could not be applied", err)
	}
	return nil, nil
}

type checkedOutput struct{ Body *alert.Checked }

func (a *api) checkRule(ctx context.Context, in *ruleInput) (*checkedOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("alarms")
	}
	checked, err := a.RuleBook.CheckRule(in.ID, in.RawBody)
	if err != nil {
		return nil, a.ruleError(ctx, "the rule could not be put in force", err)
	}
	return &checkedOutput{checked}, nil
}

func (a *api) oneRule(id string) (*ruleOutput, error) {
	list := a.RuleBook.Rules()
	i := slices.IndexFunc(list, func(r alert.Rule) bool { return r.ID == id })
	source, err := a.RuleBook.RuleSource(id)
	if i < 0 || err != nil {
		return nil, huma.Error404NotFound(fmt.Sprintf("no rule has the id %q", id))
	}
	out := &ruleOutput{}
	out.Body.Rule, out.Body.Source = list[i], string(source)
	for _, s := range a.RuleBook.Standings() {
		if s.Rule == id {
			out.Body.Standing = s
		}
	}
	return out, nil
}

func (a *api) getRule(_ context.Context, in *ruleID) (*ruleOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("alarms")
	}
	return a.oneRule(in.ID)
}

// change makes one change of one rule and notes it.
func (a *api) change(ctx context.Context, act, id string, do func() error) error {
	if a.RuleBook == nil {
		return absent("alarms")
	}
	var before any
	if source, err := a.RuleBook.RuleSource(id); err == nil {
		before = map[string]string{"source": string(source)}
	}
	if err := do(); err != nil {
		return a.ruleError(ctx, "rule not changed", err)
	}
	var after any
	if source, err := a.RuleBook.RuleSource(id); err == nil {
		after = map[string]string{"source": string(source)}
	}
	a.changed(ctx, act, "rule/"+id, before, after)
	return nil
}

func (a *api) putRule(ctx context.Context, in *ruleInput) (*ruleOutput, error) {
	err := a.change(ctx, "rule.put", in.ID, func() error {
		return a.RuleBook.SetRule(ctx, in.ID, in.RawBody, actor(ctx), cmp.Or(norm.NFC.String(in.Note), in.ID))
	})
	if err != nil {
		return nil, err
	}
	return a.oneRule(in.ID)
}

func (a *api) deleteRule(ctx context.Context, in *ruleID) (*struct{}, error) {
	return nil, a.change(ctx, "rule.delete", in.ID, func() error {
		return a.RuleBook.RemoveRule(ctx, in.ID, actor(ctx), cmp.Or(norm.NFC.String(in.Note), "- "+in.ID))
	})
}

func (a *api) enableRule(ctx context.Context, in *ruleID, enabled bool) (*ruleOutput, error) {
	act := "rule.disable"
	if enabled {
		act = "rule.enable"
	}
	err := a.change(ctx, act, in.ID, func() error {
		return a.RuleBook.EnableRule(ctx, in.ID, enabled, actor(ctx), cmp.Or(norm.NFC.String(in.Note), act+" "+in.ID))
	})
	if err != nil {
		return nil, err
	}
	return a.oneRule(in.ID)
}

func (a *api) restore(ctx context.Context, kind string, in *versionInput) (*versionOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("rules")
	}
	v, err := a.RuleBook.Version(kind, in.N)
	if err != nil {
		return nil, huma.Error404NotFound(err.Error())
	}
	before := a.newest(kind)
	note := cmp.Or(norm.NFC.String(in.Note), fmt.Sprintf("version %d again", in.N))
	if kind == "rules" {
		err = a.RuleBook.ApplyAs(ctx, []byte(v.Source), actor(ctx), note)
	} else {
		err = a.RuleBook.SetThresholds(ctx, []byte(v.Source), actor(ctx), note)
	}
	if err != nil {
		return nil, a.ruleError(ctx, kind+" not restored", err)
	}
	a.changed(ctx, strings.TrimSuffix(kind, "s")+".restore", kind, before, a.newest(kind))
	list := a.RuleBook.Versions(kind)
	return &versionOutput{list[0]}, nil
}

func (a *api) source(w http.ResponseWriter, kind string) {
	if a.RuleBook == nil {
		problem(w, http.StatusNotImplemented, "", "rules are not part of this server")
		return
	}
	source := a.RuleBook.Source()
	if kind == "thresholds" {
		_, source = a.RuleBook.Thresholds()
	}
	w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	_, _ = w.Write(source)
}

func (a *api) listThresholds(_ context.Context, in *thresholdsInput) (*thresholdsOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("thresholds")
	}
	out := &thresholdsOutput{}
	out.Body.At = a.now().UTC().Truncate(time.Millisecond)
	if in.At != "" {
		t, err := parseTime(in.At, a.now(), a.Calendar)
		if err != nil {
			return nil, badParameter("at", in.At, err)
		}
		out.Body.At = t.UTC()
	}
	register, _ := a.RuleBook.Thresholds()
	if in.Known != "" {
		var err error
		if register, err = a.thresholdsOf(in.Known); err != nil {
			return nil, err
		}
	}
	var d *devices.Device
	var zones []devices.ZoneRef
	if in.Device != "" {
		var ok bool
		if d, ok = a.Register.Get(devices.ID(in.Device)); !ok {
			return nil, huma.Error404NotFound(fmt.Sprintf("no device has the id %q", in.Device))
		}
		if d.At.Known() {
			zones = a.Layers.Place(d.At.Lon, d.At.Lat, geo.Day(out.Body.At, a.Calendar), nil)
		}
		out.Body.Station = register.Station(d.ID)
	}
	out.Body.Limits = register.For(d, zones, devices.Quantity(in.Quantity), out.Body.At, a.Calendar)
	out.Body.Stations, out.Body.Scales = []alert.Station{}, []alert.Scale{}
	if register != nil {
		out.Body.Stations = append(out.Body.Stations, register.Stations...)
		out.Body.Scales = append(out.Body.Scales, register.Scales...)
	}
	return out, nil
}

func (a *api) putThresholds(ctx context.Context, in *rulesInput) (*thresholdsOutput, error) {
	if a.RuleBook == nil {
		return nil, absent("thresholds")
	}
	before := a.newest("thresholds")
	if err := a.RuleBook.SetThresholds(ctx, in.RawBody, actor(ctx), norm.NFC.String(in.Note)); err != nil {
		return nil, a.ruleError(ctx, "thresholds not applied", err)
	}
	a.changed(ctx, "threshold.apply", "thresholds", before, a.newest("thresholds"))
	return a.listThresholds(ctx, &thresholdsInput{})
}

// maxTrials is how many dry runs may go on at once: each reads a lot of history.
const maxTrials = 2

func (a *api) tryRules(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.RuleBook == nil:
		problem(w, http.StatusNotImplemented, "", "rules are not part of this server")
		return
	case a.History == nil:
		problem(w, http.StatusNotImplemented, "", "history is not part of this server")
		return
	}
	from, to, err := a.parseSpan(r.URL.Query().Get("from"), r.URL.Query().Get("to"), 24*time.Hour)
	if err != nil {
		var p *huma.ErrorModel
		if errors.As(err, &p) {
			answer(w, p.Status, p)
			return
		}
		problem(w, http.StatusUnprocessableEntity, "", err.Error())
		return
	}
	source, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRuleFile))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, "", "the file of rules is too large, or did not come")
		return
	}
	// One rule comes alone; those that it names are tried with it.
	only := r.URL.Query().Get("rule")
	if only != "" {
		var checked *alert.Checked
		if checked, err = a.RuleBook.CheckRule(only, source); err == nil {
			source = checked.Trial
		}
	} else {
		_, err = alert.ParseRules(source, a.Catalogue)
	}
	if err != nil {
		var p *huma.ErrorModel
		_ = errors.As(invalid("rules could not be tried", err), &p)
		answer(w, p.Status, p)
		return
	}
	if a.trials.Add(1) > maxTrials {
		a.trials.Add(-1)
		w.Header().Set("Retry-After", "30")
		problem(w, http.StatusTooManyRequests, "", "two dry runs are under way; wait for one")
		return
	}
	defer a.trials.Add(-1)
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	say := func(line any) {
		// A dry run may take longer than an answer is given.
		_ = control.SetWriteDeadline(time.Now().Add(answerPatience))
		b, err := json.Marshal(line)
		if err != nil {
			b = []byte(`{"error":"the answer could not be encoded"}`)
		}
		_, _ = w.Write(append(b, '\n'))
		_ = control.Flush()
	}
	say(map[string]any{"progress": 0, "readings": 0})
	result, err := a.RuleBook.Try(r.Context(), alert.Trial{
		Source: source, From: from, To: to, Only: only, Feed: a.feed,
		Progress: func(done float64, readings int) { say(map[string]any{"progress": done, "readings": readings}) },
	})
	switch {
	case err == nil:
		say(map[string]any{"result": result})
	case r.Context().Err() != nil: // nobody is there any more
	default:
		a.Log.Warn("a dry run failed", "by", actor(r.Context()).Name, "err", err)
		say(map[string]any{"error": err.Error()})
	}
}

// feedSpan is how much history a dry run holds in memory at once, and feedLimit
// how many points of one series in it.
const (
	feedSpan  = time.Hour
	feedLimit = 50_000
)

// feed gives stored readings in the order of time, a span after the other.
func (a *api) feed(ctx context.Context, list []*devices.Device, quantities []devices.Quantity, from, to time.Time, each func(*devices.Message) error) error {
	for start := from; start.Before(to); start = start.Add(feedSpan) {
		end := start.Add(feedSpan)
		if end.After(to) {
			end = to
		}
		var messages []*devices.Message
		for _, d := range list {
			found, err := a.recorded(ctx, d, quantities, start, end)
			if err != nil {
				return err
			}
			messages = append(messages, found...)
		}
		slices.SortStableFunc(messages, func(x, y *devices.Message) int {
			return cmp.Or(x.Received.Compare(y.Received), strings.Compare(string(x.Device), string(y.Device)))
		})
		for _, m := range messages {
			if err := each(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// recorded gives what one device said, as it would have come: one message for
// each time.
func (a *api) recorded(ctx context.Context, d *devices.Device, quantities []devices.Quantity, from, to time.Time) ([]*devices.Message, error) {
	p, ok := a.Catalogue.Profile(d.Profile)
	if !ok {
		return nil, nil
	}
	byTime := map[int64]*devices.Message{}
	for _, q := range quantities {
		if len(p.Fields) > 0 && !slices.ContainsFunc(p.Fields, func(f devices.Field) bool { return f.Quantity == q }) {
			continue
		}
		points, err := a.History.Range(ctx, d.ID, q, from, to, feedLimit)
		if err != nil {
			return nil, err
		}
		for _, pt := range points {
			at := pt.Time.UnixMilli()
			m := byTime[at]
			if m == nil {
				m = &devices.Message{Device: d.ID, Received: pt.Time, Observations: []devices.Observation{{Time: pt.Time, At: d.At, Zones: pt.Zones, Flags: pt.Flags}}}
				byTime[at] = m
			}
			m.Observations[0].Values = append(m.Observations[0].Values, devices.Value{Quantity: q, Number: pt.Number})
		}
	}
	out := make([]*devices.Message, 0, len(byTime))
	for _, m := range byTime {
		out = append(out, m)
	}
	slices.SortFunc(out, func(x, y *devices.Message) int { return x.Received.Compare(y.Received) })
	if !p.Moving || len(out) == 0 {
		return out, nil
	}
	track, err := a.History.Track(ctx, d.ID, from, to, feedLimit)
	if err != nil {
		return nil, err
	}
	i := 0
	for _, m := range out {
		for i < len(track) && !track[i].Time.After(m.Received) {
			i++
		}
		if i > 0 {
			m.Observations[0].At = track[i-1].At
		}
	}
	return out, nil
}
