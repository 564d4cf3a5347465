package opscenter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
	"vonglau/ops-center/drill"
	"vonglau/ops-center/warning"
)

// warningView is a warning as people see it.
type warningView struct {
	warning.Warning
	State warning.State `json:"state" enum:"draft,waiting,in_force,cancelled,expired,discarded"`
}

type warningsInput struct {
	State string `query:"state" enum:"draft,waiting,in_force,cancelled,expired,discarded"`
	At    string `query:"at" doc:"As they stood at that time"`
}

type warningsOutput struct {
	Body struct {
		Warnings []warningView `json:"warnings" doc:"The newest first"`
		Expiring []string      `json:"expiring" doc:"Those in force that end within the hour and about which nothing is decided"`
	}
}

type warningInput struct {
	ID string `path:"id" maxLength:"32"`
}

type warningOutput struct{ Body warningView }

type warningPreview struct {
	Body struct {
		Alert    *cap12.Alert    `json:"alert" doc:"What would be sent"`
		XML      string          `json:"xml"`
		Problems []cap12.Problem `json:"problems" doc:"One of level error keeps it from being sent"`
	}
}

type newWarningInput struct {
	Body struct {
		Template string           `json:"template,omitempty" maxLength:"32" doc:"One of GET /v1/warning-templates; chosen by the alarms' category when absent"`
		Alarms   []string         `json:"alarms,omitempty" maxItems:"200" doc:"Ids of open alarms it is about"`
		Zones    []warning.Zone   `json:"zones,omitempty" maxItems:"200" doc:"Those of the alarms when absent"`
		Exercise bool             `json:"exercise,omitempty"`
		Drill    string           `json:"drill,omitempty" maxLength:"64" doc:"A running drill; makes it an exercise"`
		Note     string           `json:"note,omitempty" maxLength:"2000"`
		Content  *warning.Content `json:"content,omitempty" doc:"What it says, instead of what a template suggests"`
	}
}

type editWarningInput struct {
	ID   string `path:"id" maxLength:"32"`
	Body struct {
		Version int             `json:"version" doc:"The one the act was decided on"`
		Content warning.Content `json:"content"`
	}
}

type actWarningInput struct {
	ID   string `path:"id" maxLength:"32"`
	Body struct {
		Version int          `json:"version" doc:"The one the act was decided on"`
		Reason  string       `json:"reason,omitempty" maxLength:"2000"`
		Confirm string       `json:"confirm,omitempty" maxLength:"32" doc:"To approve: the number of the warning, typed"`
		Text    warning.Text `json:"text,omitempty" doc:"To cancel: why, for the public"`
	}
}

type templatesOutput struct {
	Body struct {
		Templates []warning.Template `json:"templates"`
	}
}

type capCheckInput struct {
	RawBody []byte `contentType:"application/cap+xml"`
}

type capCheckOutput struct {
	Body struct {
		Valid    bool            `json:"valid" doc:"No problem of level error"`
		Problems []cap12.Problem `json:"problems"`
		Alert    *cap12.Alert    `json:"alert,omitempty" doc:"What could be read"`
	}
}

type drillsOutput struct {
	Body struct {
		Drills []drill.Drill `json:"drills" doc:"The newest first"`
	}
}

type drillOutput struct{ Body drill.Drill }

type newDrillInput struct {
	Body struct {
		Name     string    `json:"name" minLength:"1" maxLength:"200"`
		Scenario string    `json:"scenario,omitempty" maxLength:"4000"`
		Ends     time.Time `json:"ends" doc:"When it ends by itself"`
		Devices  []struct {
			Profile string     `json:"profile" maxLength:"64"`
			Name    string     `json:"name,omitempty" maxLength:"100"`
			At      [2]float64 `json:"at" doc:"[longitude, latitude]"`
			Owner   string     `json:"owner,omitempty" maxLength:"64"`
		} `json:"devices,omitempty" maxItems:"200"`
		Like []devices.ID `json:"like,omitempty" maxItems:"200" doc:"Devices of the city to copy profile, place and department from"`
	}
}

type startedDrillOutput struct {
	Body struct {
		drill.Drill
		Tokens map[devices.ID]string `json:"tokens" doc:"What the exercise devices report with; shown this once"`
	}
}

func (a *api) warningRoutes() {
	const tag = "warnings"
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Description: description}
	}
	route(a, access.View, op("list-warnings", http.MethodGet, "/v1/warnings", "Public warnings, drafts among them", "Drafts and names are for those who may see who is who."), a.listWarnings)
	route(a, access.View, op("list-warning-templates", http.MethodGet, "/v1/warning-templates", "What a draft can begin from", ""), func(context.Context, *struct{}) (*templatesOutput, error) {
		out := &templatesOutput{}
		out.Body.Templates = warning.Templates()
		return out, nil
	})
	draft := op("draft-warning", http.MethodPost, "/v1/warnings", "Begin a warning", "From alarms, zones, a template or what somebody has written. An alarm of a drill makes it an exercise.")
	draft.DefaultStatus = http.StatusCreated
	route(a, access.DraftWarnings, draft, a.draftWarning)
	route(a, access.View, op("get-warning", http.MethodGet, "/v1/warnings/{id}", "A warning with what was sent", ""), func(ctx context.Context, in *warningInput) (*warningOutput, error) {
		if a.Warnings == nil {
			return nil, absent("public warnings")
		}
		w, err := a.Warnings.Get(in.ID)
		who, _ := access.From(ctx)
		if err == nil && !who.May(access.ViewDirectory) && len(w.Messages) == 0 {
			err = warning.ErrNone
		}
		return a.warningAnswer(ctx, w, err)
	})
	route(a, access.DraftWarnings, op("preview-warning", http.MethodGet, "/v1/warnings/{id}/preview", "What approving the draft would send, and what is wrong with it", ""), a.previewWarning)
	route(a, access.DraftWarnings, op("edit-warning", http.MethodPatch, "/v1/warnings/{id}", "Replace what a draft says", "One that waits for approval is a draft again. 409 with the warning as it is when somebody else was first."), func(ctx context.Context, in *editWarningInput) (*warningOutput, error) {
		return a.actOnWarning(ctx, "edit", in.ID, func(who warning.Person) (warning.Warning, error) {
			w, err := a.Warnings.Get(in.ID)
			if err != nil {
				return w, err
			}
			of := w.Drill
			if err := a.ofOneWorld(in.Body.Content.Alarms, &of); err != nil {
				return w, err
			}
			if of != "" && !w.Exercise {
				return w, huma.Error422UnprocessableEntity("the warning is no exercise and cannot be about alarms of a drill; begin another")
			}
			return a.Warnings.Edit(ctx, in.ID, in.Body.Version, who, normal(in.Body.Content))
		})
	})
	act := func(name string, p access.Permission, summary, description string, f func(context.Context, *actWarningInput, warning.Person) (warning.Warning, error)) {
		route(a, p, op(name+"-warning", http.MethodPost, "/v1/warnings/{id}/"+name, summary, description), func(ctx context.Context, in *actWarningInput) (*warningOutput, error) {
			// Two people stand for a message, the one who asks for approval and the
			// one who gives it: a program may write a draft, and no more.
			if who, _ := access.From(ctx); p == access.ApproveWarning || name == "submit" {
				if err := aPerson(who); err != nil {
					return nil, err
				}
			}
			in.Body.Reason = norm.NFC.String(in.Body.Reason)
			return a.actOnWarning(ctx, name, in.ID, func(who warning.Person) (warning.Warning, error) { return f(ctx, in, who) })
		})
	}
	act("submit", access.DraftWarnings, "Ask a second person to approve a draft", "By a person: a program's token may write a draft and cannot submit it. 422 with what is against the rules.", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Submit(ctx, in.ID, in.Body.Version, who)
	})
	act("return", access.ApproveWarning, "Give a submitted draft back", "", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Return(ctx, in.ID, in.Body.Version, who, in.Body.Reason)
	})
	act("approve", access.ApproveWarning, "Send a submitted draft", "By somebody who had no hand in it, with the warning's number typed in confirm.", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Approve(ctx, in.ID, in.Body.Version, who, in.Body.Confirm)
	})
	act("update", access.DraftWarnings, "Begin the draft of an update", "", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Update(ctx, in.ID, in.Body.Version, who)
	})
	act("cancel", access.DraftWarnings, "Begin the draft of a cancellation", "", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Cancel(ctx, in.ID, in.Body.Version, who, warning.Text{VI: norm.NFC.String(in.Body.Text.VI), EN: in.Body.Text.EN})
	})
	act("discard", access.DraftWarnings, "Drop a draft", "What was sent stays sent.", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Discard(ctx, in.ID, in.Body.Version, who, in.Body.Reason)
	})
	act("lapse", access.ApproveWarning, "Decide to let the message in force expire", "", func(ctx context.Context, in *actWarningInput, who warning.Person) (warning.Warning, error) {
		return a.Warnings.Lapse(ctx, in.ID, in.Body.Version, who, in.Body.Reason)
	})

	check := op("check-cap", http.MethodPost, "/v1/cap/check", "What is wrong with a CAP message", "Any file, of CAP 1.2 or 1.1; it is read and not kept.")
	check.MaxBodyBytes, check.SkipValidateBody = cap12.MaxBytes+1, true
	check.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{cap12.MediaType: {}, "application/xml": {}, "application/octet-stream": {}}}
	route(a, access.View, check, func(_ context.Context, in *capCheckInput) (*capCheckOutput, error) {
		out := &capCheckOutput{}
		read, problems := cap12.Read(in.RawBody)
		if read != nil {
			problems = append(problems, cap12.Check(read, cap12.Context{Now: a.now()})...)
		}
		out.Body.Alert, out.Body.Valid, out.Body.Problems = read, !cap12.Bad(problems), problems
		if problems == nil {
			out.Body.Problems = []cap12.Problem{}
		}
		return out, nil
	})
	file := func(p access.Permission, id, path, summary string, h http.HandlerFunc, params ...*huma.Param) {
		o := op(id, http.MethodGet, path, summary, "")
		o.Parameters, o.Responses = params, map[string]*huma.Response{"200": {Description: summary}, "304": {Description: "As before"}}
		describe(&o, p)
		a.huma.OpenAPI().AddOperation(&o)
		a.handle("GET "+strings.Replace(path, "{identifier}.xml", "{file}", 1), p, a.compress(h))
	}
	identifier := &huma.Param{Name: "identifier", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	file(access.Public, "cap-feed", "/v1/cap/feed.atom", "Atom feed (RFC 4287) of the public messages", a.serveFeed(false))
	file(access.View, "cap-exercise-feed", "/v1/cap/exercise.atom", "Atom feed of the messages of exercises", a.serveFeed(true))
	file(access.Public, "cap-message", "/v1/cap/{identifier}.xml", "A public message as it was sent (CAP 1.2)", a.serveCAP(false), identifier)
	file(access.View, "cap-exercise-message", "/v1/cap/exercise/{identifier}.xml", "A message of an exercise as it was sent", a.serveCAP(true), identifier)

	route(a, access.View, op("list-drills", http.MethodGet, "/v1/drills", "Drills, running and over", ""), func(context.Context, *struct{}) (*drillsOutput, error) {
		if a.Drills == nil {
			return nil, absent("drills")
		}
		out := &drillsOutput{}
		out.Body.Drills = a.Drills.List()
		return out, nil
	})
	route(a, access.View, op("get-drill", http.MethodGet, "/v1/drills/{id}", "A drill with its summary", ""), func(_ context.Context, in *warningInput) (*drillOutput, error) {
		if a.Drills == nil {
			return nil, absent("drills")
		}
		d, err := a.Drills.Get(in.ID)
		if err != nil {
			return nil, huma.Error404NotFound(err.Error())
		}
		return &drillOutput{d}, nil
	})
	start := op("start-drill", http.MethodPost, "/v1/drills", "Begin a drill with devices of its own",
		"They report like any other device, with the tokens in the answer. What they report and raise is marked and counts in no figure, zone, open data or real subscription.")
	start.DefaultStatus = http.StatusCreated
	route(a, access.DraftWarnings, start, a.startDrill)
	route(a, access.DraftWarnings, op("end-drill", http.MethodPost, "/v1/drills/{id}/end", "End a drill: its devices are retired, its alarms closed, its summary written", ""), a.endDrill)
}

// normal brings what people typed to NFC.
func normal(c warning.Content) warning.Content {
	for _, t := range []*warning.Text{&c.Event, &c.Headline, &c.Description, &c.Instruction, &c.AreaName} {
		t.VI, t.EN = norm.NFC.String(t.VI), norm.NFC.String(t.EN)
	}
	c.Note = norm.NFC.String(c.Note)
	return c
}

// viewWarning leaves out what is for those who may know who is who.
func (a *api) viewWarning(ctx context.Context, w warning.Warning, at time.Time) warningView {
	who, _ := access.From(ctx)
	state := w.State(at)
	if !who.May(access.ViewDirectory) {
		w.Draft, w.Created.By, w.Lapse = nil, warning.Person{}, nil
		w.Messages = slices.Clone(w.Messages)
		for i := range w.Messages {
			w.Messages[i].Authors, w.Messages[i].ApprovedBy = []warning.Person{}, warning.Person{}
		}
	}
	return warningView{w, state}
}

func (a *api) listWarnings(ctx context.Context, in *warningsInput) (*warningsOutput, error) {
	if a.Warnings == nil {
		return nil, absent("public warnings")
	}
	out := &warningsOutput{}
	out.Body.Warnings, out.Body.Expiring = []warningView{}, []string{}
	at, list := a.now(), a.Warnings.List()
	if in.At != "" {
		var err error
		if at, err = parseTime(in.At, at, a.Calendar); err != nil {
			return nil, badParameter("at", in.At, err)
		}
		list = a.Warnings.At(at)
	} else {
		for _, w := range a.Warnings.Expiring(time.Hour) {
			out.Body.Expiring = append(out.Body.Expiring, w.ID)
		}
	}
	who, _ := access.From(ctx)
	for _, w := range list {
		v := a.viewWarning(ctx, w, at)
		if (in.State == "" || string(v.State) == in.State) && (len(w.Messages) > 0 || who.May(access.ViewDirectory)) {
			out.Body.Warnings = append(out.Body.Warnings, v)
		}
	}
	return out, nil
}

// warningConflict is a problem with the warning as it is now.
type warningConflict struct {
	huma.ErrorModel
	Warning warningView `json:"warning"`
}

// warningUnfit is a problem with what is against the rules.
type warningUnfit struct {
	huma.ErrorModel
	Problems []cap12.Problem `json:"problems"`
}

// warningAnswer maps what an act on a warning came to.
func (a *api) warningAnswer(ctx context.Context, w warning.Warning, err error) (*warningOutput, error) {
	var moved *warning.Conflict
	var unfit *warning.Unfit
	var told huma.StatusError
	switch {
	case errors.As(err, &told):
		return nil, err
	case err == nil:
		return &warningOutput{a.viewWarning(ctx, w, a.now())}, nil
	case errors.As(err, &moved):
		return nil, &warningConflict{huma.ErrorModel{Title: "somebody was first", Status: http.StatusConflict, Detail: err.Error()}, a.viewWarning(ctx, moved.Warning, a.now())}
	case errors.As(err, &unfit):
		return nil, &warningUnfit{huma.ErrorModel{Title: "the message cannot be sent", Status: http.StatusUnprocessableEntity, Detail: err.Error()}, unfit.Problems}
	case errors.Is(err, warning.ErrNone):
		return nil, huma.Error404NotFound(err.Error())
	case errors.Is(err, warning.ErrState):
		return nil, huma.Error409Conflict(err.Error())
	case errors.Is(err, warning.ErrSamePerson):
		return nil, huma.Error403Forbidden(err.Error())
	case errors.Is(err, warning.ErrConfirm), errors.Is(err, warning.ErrContent):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	a.Log.Error("an act on a warning was not recorded", "error", err)
	return nil, unavailable("not done", errors.New("it could not be recorded; try again"))
}

func person(ctx context.Context) warning.Person {
	who, _ := access.From(ctx)
	id := who.ID
	if id == "" {
		id = "name:" + who.Name // a token of the configuration has no account
	}
	return warning.Person{ID: id, Name: who.Name, Role: string(who.Role)}
}

func (a *api) actOnWarning(ctx context.Context, name, id string, f func(warning.Person) (warning.Warning, error)) (*warningOutput, error) {
	if a.Warnings == nil {
		return nil, absent("public warnings")
	}
	before, _ := a.Warnings.Get(id)
	w, err := f(person(ctx))
	if err == nil {
		a.changed(ctx, "warning."+name, id, warningTrace(before, a.now()), warningTrace(w, a.now()))
	}
	return a.warningAnswer(ctx, w, err)
}

// warningTrace is what the record of acts keeps: the warnings' own log has all.
func warningTrace(w warning.Warning, now time.Time) any {
	if w.ID == "" {
		return nil
	}
	t := map[string]any{"state": w.State(now), "version": w.Version, "exercise": w.Exercise}
	if n := len(w.Messages); n > 0 {
		t["message"] = w.Messages[n-1].Identifier
	}
	if w.Draft != nil {
		t["headline"] = w.Draft.Content.Headline
	}
	return t
}

func (a *api) previewWarning(ctx context.Context, in *warningInput) (*warningPreview, error) {
	if a.Warnings == nil {
		return nil, absent("public warnings")
	}
	alert, raw, problems, err := a.Warnings.Preview(in.ID)
	if err != nil {
		_, err = a.warningAnswer(ctx, warning.Warning{}, err)
		return nil, err
	}
	out := &warningPreview{}
	out.Body.Alert, out.Body.XML, out.Body.Problems = alert, string(raw), problems
	if problems == nil {
		out.Body.Problems = []cap12.Problem{}
	}
	return out, nil
}

func (a *api) draftWarning(ctx context.Context, in *newWarningInput) (*warningOutput, error) {
	if a.Warnings == nil {
		return nil, absent("public warnings")
	}
	b := &in.Body
	if _, ok := warning.FindTemplate(b.Template); b.Template != "" && !ok {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("there is no template %q", b.Template))
	}
	s := warning.Seed{Template: b.Template, Zones: b.Zones, Alarms: b.Alarms, Note: norm.NFC.String(b.Note)}
	if err := a.fromAlarms(&s, b.Alarms, &b.Drill); err != nil {
		return nil, err
	}
	if b.Content != nil {
		if err := a.ofOneWorld(b.Content.Alarms, &b.Drill); err != nil {
			return nil, err
		}
	}
	if b.Drill != "" {
		if a.Drills == nil {
			return nil, absent("drills")
		}
		if d, err := a.Drills.Get(b.Drill); err != nil || !d.Running() {
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("drill %q is not running", b.Drill))
		}
	}
	if len(s.Zones) > 0 && s.AreaName == (warning.Text{}) {
		s.AreaName = a.areaName(s.Zones)
	}
	var w warning.Warning
	var err error
	if b.Content != nil {
		w, err = a.Warnings.DraftContent(ctx, person(ctx), normal(*b.Content), b.Exercise, b.Drill)
	} else {
		w, err = a.Warnings.Draft(ctx, person(ctx), s, b.Exercise, b.Drill)
	}
	if err == nil {
		a.changed(ctx, "warning.draft", w.ID, nil, warningTrace(w, a.now()))
	}
	return a.warningAnswer(ctx, w, err)
}

// ofOneWorld refuses open alarms of the city together with those of a drill. The
// drill of the latter goes into drillID; of a drill that is given, all are.
func (a *api) ofOneWorld(ids []string, drillID *string) error {
	if len(ids) == 0 || a.Alarms == nil {
		return nil
	}
	ofCity := false
	for _, al := range a.Alarms.List() {
		switch {
		case !slices.Contains(ids, al.ID):
		case al.Exercise == "":
			ofCity = true
		default:
			*drillID = al.Exercise
		}
	}
	if ofCity && *drillID != "" {
		return errTwoWorlds
	}
	return nil
}

var errTwoWorlds = huma.Error422UnprocessableEntity("a message is about alarms of the city or about those of a drill, never both")

// fromAlarms takes what alarms say into a seed.
func (a *api) fromAlarms(s *warning.Seed, ids []string, drillID *string) error {
	if len(ids) == 0 {
		return nil
	}
	if a.Alarms == nil {
		return absent("alarms")
	}
	found := map[string]alert.Alarm{}
	for _, al := range a.Alarms.List() {
		found[al.ID] = al
	}
	ofCity := false
	var zones []warning.Zone
	for _, id := range ids {
		al, ok := found[id]
		if !ok {
			return huma.Error422UnprocessableEntity(fmt.Sprintf("there is no open alarm %.120q", id))
		}
		if al.Exercise == "" {
			ofCity = true
		} else {
			*drillID = al.Exercise
		}
		if s.Priority == 0 || al.Priority < s.Priority {
			s.Priority, s.Category = al.Priority, al.Category
		}
		s.Facts = append(s.Facts, warning.Text{VI: al.Message["vi"], EN: al.Message["en"]})
		for _, z := range al.Zones {
			if z.Layer == wardLayer {
				zones = append(zones, warning.Zone{Layer: z.Layer, Code: z.Code})
			}
		}
	}
	if ofCity && *drillID != "" {
		return errTwoWorlds
	}
	if len(s.Zones) == 0 {
		slices.SortFunc(zones, func(x, y warning.Zone) int { return strings.Compare(x.Code, y.Code) })
		s.Zones = slices.Compact(zones)
	}
	return nil
}

// areaName names zones for people.
func (a *api) areaName(zones []warning.Zone) warning.Text {
	var names []string
	for _, z := range zones {
		for _, known := range a.Layers.Zones(z.Layer, a.today(a.now())) {
			if known.Ref.Code == z.Code && known.Name != "" {
				names = append(names, known.Name)
			}
		}
	}
	t := strings.Join(names[:min(len(names), 8)], ", ")
	if more := len(names) - 8; more > 0 {
		return warning.Text{VI: fmt.Sprintf("%s và %d nơi khác", t, more), EN: fmt.Sprintf("%s and %d more", t, more)}
	}
	return warning.Text{VI: t, EN: t}
}

// public lets every page read what is public, wherever it is from.
func public(h http.Header) {
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
}

func (a *api) serveFeed(exercise bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.Warnings == nil {
			problem(w, http.StatusNotImplemented, "", "public warnings are not part of this server")
			return
		}
		body, updated := a.Warnings.Feed(exercise)
		a.serveText(w, r, body, "application/atom+xml; charset=utf-8", "public, max-age=30", updated, exercise)
	}
}

func (a *api) serveText(w http.ResponseWriter, r *http.Request, body []byte, kind, caching string, modified time.Time, exercise bool) {
	h := w.Header()
	h.Set("Content-Type", kind)
	sum := sha256.Sum256(body)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	if exercise {
		h.Set("Cache-Control", "private, no-cache")
	} else {
		h.Set("Cache-Control", caching)
		public(h)
	}
	http.ServeContent(w, r, "", modified, strings.NewReader(string(body)))
}

// serveCAP gives a message out as it was sent. Those of exercises are at an
// address of their own, which is not public.
func (a *api) serveCAP(exercise bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := strings.CutSuffix(r.PathValue("file"), ".xml")
		if ok && a.Warnings != nil {
			if raw, m, of, found := a.Warnings.Sent(id); found && of == exercise {
				a.serveText(w, r, raw, cap12.MediaType+"; charset=utf-8", "public, max-age=31536000, immutable", m.Sent, exercise)
				return
			}
		}
		problem(w, http.StatusNotFound, "", "there is no such message")
	}
}

func (a *api) startDrill(ctx context.Context, in *newDrillInput) (*startedDrillOutput, error) {
	if a.Drills == nil {
		return nil, absent("drills")
	}
	b := &in.Body
	spec := drill.Spec{Name: norm.NFC.String(b.Name), Scenario: norm.NFC.String(b.Scenario), Ends: b.Ends.UTC(), Like: b.Like}
	for _, d := range b.Devices {
		spec.Devices = append(spec.Devices, drill.Device{
			Profile: d.Profile, Name: norm.NFC.String(d.Name), Owner: d.Owner, At: devices.Position{Lon: d.At[0], Lat: d.At[1]},
		})
	}
	d, tokens, err := a.Drills.Start(ctx, spec, person(ctx).Name)
	switch {
	case errors.Is(err, drill.ErrSpec):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	case err != nil:
		a.Log.Error("a drill was not started", "error", err)
		return nil, unavailable("drill not started", errors.New("it could not be recorded; try again"))
	}
	a.changed(ctx, "drill.start", d.ID, nil, d)
	out := &startedDrillOutput{}
	out.Body.Drill, out.Body.Tokens = d, tokens
	return out, nil
}

func (a *api) endDrill(ctx context.Context, in *warningInput) (*drillOutput, error) {
	if a.Drills == nil {
		return nil, absent("drills")
	}
	before, _ := a.Drills.Get(in.ID)
	d, err := a.Drills.End(ctx, in.ID, person(ctx).Name)
	switch {
	case errors.Is(err, drill.ErrNone):
		return nil, huma.Error404NotFound(err.Error())
	case errors.Is(err, drill.ErrState):
		return nil, huma.Error409Conflict(err.Error())
	case err != nil:
		a.Log.Error("a drill was not ended", "drill", in.ID, "error", err)
		return nil, unavailable("drill not ended", errors.New("it could not be recorded; try again"))
	}
	a.changed(ctx, "drill.end", d.ID, before, d)
	return &drillOutput{d}, nil
}
