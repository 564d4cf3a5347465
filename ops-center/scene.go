package opscenter

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/scene"
)

type scenesInput struct {
	At string `query:"at" maxLength:"40" doc:"A time; the scenes as they were then"`
}

type scenesOutput struct {
	Body struct {
		Scenes []scene.Scene `json:"scenes"`
	}
}

type sceneInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version int    `query:"version" minimum:"0" doc:"The newest when left out"`
}

type sceneOutput struct{ Body scene.Scene }

// sceneBody is what somebody makes of a scene; the rest is the server's to say.
type sceneBody struct {
	Base    int           `json:"base" minimum:"0" doc:"The version this was made from; 0 for a new scene"`
	Name    scene.Text    `json:"name"`
	Panels  []scene.Panel `json:"panels" minItems:"1" maxItems:"40"`
	Camera  *scene.View   `json:"camera,omitempty"`
	Layers  []string      `json:"layers,omitempty" maxItems:"64"`
	Filters scene.Filters `json:"filters" required:"false"`
	Bare    bool          `json:"bare,omitempty"`
}

type putSceneInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body sceneBody
}

type restoreInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Version int `json:"version" minimum:"1"`
	}
}

// displayBody is what somebody makes of a display.
type displayBody struct {
	Name     scene.Text     `json:"name"`
	Group    string         `json:"group,omitempty" maxLength:"64"`
	Width    int            `json:"width,omitempty" minimum:"0" maximum:"32768"`
	Height   int            `json:"height,omitempty" minimum:"0" maximum:"32768"`
	Seat     *scene.Seat    `json:"seat,omitempty"`
	Span     *scene.Span    `json:"span,omitempty"`
	Calm     scene.Calm     `json:"calm" required:"false"`
	Scene    string         `json:"scene,omitempty" maxLength:"64"`
	Playlist []scene.Item   `json:"playlist,omitempty" maxItems:"100"`
	TakeOver scene.TakeOver `json:"takeOver" required:"false"`
	Language string         `json:"language,omitempty" enum:"vi,en"`
}

type displayInput struct {
	ID string `path:"id" maxLength:"64"`
}

type displayTokenInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body TokenRequest
}

type putDisplayInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body displayBody
}

type displaysOutput struct {
	Body struct {
		Displays []scene.State `json:"displays"`
	}
}

type displayOutput struct{ Body scene.State }

type shownInput struct {
	ID    string `path:"id" maxLength:"64"`
	At    string `query:"at" maxLength:"40" doc:"What it showed at this time"`
	From  string `query:"from" maxLength:"40" doc:"What it showed from then on; the last day when at and from are left out"`
	To    string `query:"to" maxLength:"40" doc:"Until then; now when left out"`
	Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
}

type shownOutput struct {
	Body struct {
		Display string        `json:"display"`
		Shown   []scene.Shown `json:"shown"`
	}
}

type pushInput struct{ Body scene.Order }

type pushOutput struct{ Body scene.Push }

type wallOutput struct {
	Body struct {
		Columns int      `json:"columns"`
		Rows    int      `json:"rows"`
		Frames  []string `json:"frames"`
	}
}

// sceneErr answers what the scenes refused.
func sceneErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, scene.ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, scene.ErrNone):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, scene.ErrConflict), errors.Is(err, scene.ErrLocked):
		return huma.Error409Conflict(err.Error())
	}
	return huma.Error503ServiceUnavailable(err.Error())
}

// rank orders those who push scenes, for locks.
func rank(r access.Role) int {
	switch r {
	case access.Admin:
		return 3
	case access.ShiftLeader:
		return 2
	}
	return 1
}

func sceneActor(ctx context.Context) scene.Actor {
	who, _ := access.From(ctx)
	return scene.Actor{Name: who.Name, Rank: rank(who.Role)}
}

// sceneRoute registers a route that needs the scenes.
func sceneRoute[I, O any](a *api, p access.Permission, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	route(a, p, op, func(ctx context.Context, in *I) (*O, error) {
		if a.Scenes == nil {
			return nil, absent("displays")
		}
		out, err := h(ctx, in)
		var told huma.StatusError
		if err != nil && !errors.As(err, &told) {
			err = sceneErr(err)
		}
		return out, err
	})
}

func (a *api) sceneRoutes() {
	tags := []string{"displays"}
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "list-scenes", Method: http.MethodGet, Path: "/v1/scenes", Tags: tags, Summary: "Scenes, now or at a time",
	}, func(_ context.Context, in *scenesInput) (*scenesOutput, error) {
		out := &scenesOutput{}
		if in.At == "" {
			out.Body.Scenes = a.Scenes.List()
			return out, nil
		}
		at, err := parseTime(in.At, a.now(), a.Calendar)
		if err != nil {
			return nil, badParameter("at", in.At, err)
		}
		if out.Body.Scenes = a.Scenes.At(at); out.Body.Scenes == nil {
			out.Body.Scenes = []scene.Scene{}
		}
		return out, nil
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "get-scene", Method: http.MethodGet, Path: "/v1/scenes/{id}", Tags: tags, Summary: "A scene, or one of its versions",
	}, func(_ context.Context, in *sceneInput) (*sceneOutput, error) {
		sc, err := a.Scenes.Get(in.ID, in.Version)
		return &sceneOutput{sc}, err
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "list-scene-versions", Method: http.MethodGet, Path: "/v1/scenes/{id}/versions", Tags: tags, Summary: "All versions of a scene, newest first",
	}, func(_ context.Context, in *displayInput) (*scenesOutput, error) {
		out := &scenesOutput{}
		list, err := a.Scenes.Versions(in.ID)
		out.Body.Scenes = list
		return out, err
	})
	sceneRoute(a, access.ManageScenes, huma.Operation{
		OperationID: "put-scene", Method: http.MethodPut, Path: "/v1/scenes/{id}", Tags: tags, Summary: "Make the next version of a scene",
		Description: "409 when another version was made since base. Displays that follow the scene show it at once.",
	}, func(ctx context.Context, in *putSceneInput) (*sceneOutput, error) {
		b := in.Body
		before, _ := a.Scenes.Get(in.ID, 0)
		sc, err := a.Scenes.Put(ctx, scene.Scene{
			ID: in.ID, Name: b.Name, Panels: b.Panels, Camera: b.Camera, Layers: b.Layers, Filters: b.Filters, Bare: b.Bare,
		}, b.Base, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "scene.put", in.ID, map[string]any{"version": before.Version}, map[string]any{"version": sc.Version, "panels": len(sc.Panels)})
		}
		return &sceneOutput{sc}, err
	})
	sceneRoute(a, access.ManageScenes, huma.Operation{
		OperationID: "restore-scene", Method: http.MethodPost, Path: "/v1/scenes/{id}/restore", Tags: tags, Summary: "Make an old version of a scene the newest",
	}, func(ctx context.Context, in *restoreInput) (*sceneOutput, error) {
		before, _ := a.Scenes.Get(in.ID, 0)
		sc, err := a.Scenes.Restore(ctx, in.ID, in.Body.Version, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "scene.restore", in.ID, map[string]any{"version": before.Version}, map[string]any{"version": sc.Version, "from": in.Body.Version})
		}
		return &sceneOutput{sc}, err
	})
	sceneRoute(a, access.ManageScenes, huma.Operation{
		OperationID: "delete-scene", Method: http.MethodDelete, Path: "/v1/scenes/{id}", Tags: tags, Summary: "Take a scene away that no display uses",
	}, func(ctx context.Context, in *displayInput) (*struct{}, error) {
		before, _ := a.Scenes.Get(in.ID, 0)
		err := a.Scenes.Delete(ctx, in.ID, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "scene.delete", in.ID, map[string]any{"version": before.Version}, nil)
		}
		return nil, err
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "list-displays", Method: http.MethodGet, Path: "/v1/displays", Tags: tags, Summary: "Displays: how they are and what they show",
	}, func(ctx context.Context, _ *struct{}) (*displaysOutput, error) {
		out := &displaysOutput{}
		out.Body.Displays = a.Scenes.Displays()
		for i := range out.Body.Displays {
			discreet(ctx, &out.Body.Displays[i])
		}
		return out, nil
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "get-display", Method: http.MethodGet, Path: "/v1/displays/{id}", Tags: tags, Summary: "A display: how it is and what it shows",
	}, func(ctx context.Context, in *displayInput) (*displayOutput, error) {
		d, err := a.Scenes.Display(in.ID)
		discreet(ctx, &d)
		return &displayOutput{d}, err
	})
	sceneRoute(a, access.ManageDisplays, huma.Operation{
		OperationID: "put-display", Method: http.MethodPut, Path: "/v1/displays/{id}", Tags: tags, Summary: "Add a display or change one",
	}, func(ctx context.Context, in *putDisplayInput) (*displayOutput, error) {
		b := in.Body
		var before any
		if d, err := a.Scenes.Display(in.ID); err == nil {
			before = d.Display
		}
		d, err := a.Scenes.PutDisplay(ctx, scene.Display{
			ID: in.ID, Name: b.Name, Group: b.Group, Width: b.Width, Height: b.Height, Seat: b.Seat, Span: b.Span, Calm: b.Calm,
			Scene: b.Scene, Playlist: b.Playlist, TakeOver: b.TakeOver, Language: b.Language,
		}, sceneActor(ctx))
		if err != nil {
			return nil, err
		}
		a.changed(ctx, "display.put", in.ID, before, d)
		st, err := a.Scenes.Display(in.ID)
		return &displayOutput{st}, err
	})
	sceneRoute(a, access.ManageDisplays, huma.Operation{
		OperationID: "delete-display", Method: http.MethodDelete, Path: "/v1/displays/{id}", Tags: tags, Summary: "Take a display away; what it showed stays on record",
	}, func(ctx context.Context, in *displayInput) (*struct{}, error) {
		before, _ := a.Scenes.Display(in.ID)
		err := a.Scenes.DeleteDisplay(ctx, in.ID, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "display.delete", in.ID, before.Display, nil)
		}
		return nil, err
	})
	sceneRoute(a, access.ManageDisplays, huma.Operation{
		OperationID: "add-display-token", Method: http.MethodPost, Path: "/v1/displays/{id}/token", Tags: tags, Summary: "Make the token that opens a display",
		Description: "Of this display's screen and of nothing else; shown this once. POST /v1/tokens makes those of programs too.", DefaultStatus: http.StatusCreated,
	}, a.addDisplayToken)
	sceneRoute(a, access.PushScenes, huma.Operation{
		OperationID: "return-display", Method: http.MethodPost, Path: "/v1/displays/{id}/return", Tags: tags, Summary: "Take off a display what was put on it",
		Description: "Ends its pushes and the alarm's take-over; it shows its playlist or its own scene again.",
	}, func(ctx context.Context, in *displayInput) (*displayOutput, error) {
		before, _ := a.Scenes.Display(in.ID)
		if err := a.Scenes.Return(ctx, in.ID, sceneActor(ctx)); err != nil {
			return nil, err
		}
		d, err := a.Scenes.Display(in.ID)
		a.changed(ctx, "display.return", in.ID, before.Told, d.Told)
		return &displayOutput{d}, err
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "display-shown", Method: http.MethodGet, Path: "/v1/displays/{id}/shown", Tags: tags, Summary: "What a display showed, at a time or over a span",
		Description: "What its screen said it showed; dark is from when it was not heard.",
	}, a.shown)
	sceneRoute(a, access.PushScenes, huma.Operation{
		OperationID: "push-scene", Method: http.MethodPost, Path: "/v1/pushes", Tags: tags, Summary: "Put a scene on displays",
		Description: "On one, several, a group or all, for ever or until a time. A display that an unacknowledged alarm has taken over shows the push afterwards; `waiting` names it. 409 when somebody of a higher rank holds one of them.",
	}, func(ctx context.Context, in *pushInput) (*pushOutput, error) {
		p, err := a.Scenes.Push(ctx, in.Body, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "scene.push", p.Scene, nil, p)
		}
		return &pushOutput{p}, err
	})
	sceneRoute(a, access.PushScenes, huma.Operation{
		OperationID: "undo-push", Method: http.MethodDelete, Path: "/v1/pushes/{id}", Tags: tags, Summary: "Undo a push: its displays show what lay under it",
	}, func(ctx context.Context, in *displayInput) (*struct{}, error) {
		p, err := a.Scenes.Undo(ctx, in.ID, sceneActor(ctx))
		if err == nil {
			a.changed(ctx, "scene.undo", p.Scene, p, nil)
		}
		return nil, err
	})
	sceneRoute(a, access.View, huma.Operation{
		OperationID: "get-wall", Method: http.MethodGet, Path: "/v1/wall", Tags: tags, Summary: "The grid of scenes and the origins their panels may show",
	}, func(context.Context, *struct{}) (*wallOutput, error) {
		out := &wallOutput{}
		out.Body.Columns, out.Body.Rows, out.Body.Frames = scene.Columns, scene.Rows, a.Frames
		if a.Frames == nil {
			out.Body.Frames = []string{}
		}
		return out, nil
	})
	inPath := []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}}
	a.raw(access.View, huma.Operation{
		OperationID: "get-thumbnail", Method: http.MethodGet, Path: "/v1/displays/{id}/thumbnail", Tags: tags, Summary: "The newest small picture of a display",
		Parameters: inPath, Responses: map[string]*huma.Response{"200": {Description: "JPEG or PNG"}, "404": {Description: "None yet"}},
	}, http.HandlerFunc(a.thumbnail))
	a.raw(access.View, huma.Operation{
		OperationID: "put-thumbnail", Method: http.MethodPost, Path: "/v1/displays/{id}/thumbnail", Tags: tags, Summary: "A display sends a small picture of itself",
		Description: "From the display's own screen only; at most 64 KiB, kept in memory.",
		Parameters:  inPath, RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"image/jpeg": {}, "image/png": {}}},
		Responses: map[string]*huma.Response{"204": {Description: "Kept"}, "403": {Description: "Not this display's own screen"}},
	}, http.HandlerFunc(a.takeThumbnail))
}

// addDisplayToken makes what the link of a screen carries. Whoever runs displays
// needs no right over people for it: the token may what a screen may.
func (a *api) addDisplayToken(ctx context.Context, in *displayTokenInput) (*newTokenOutput, error) {
	if _, err := a.Scenes.Display(in.ID); err != nil {
		return nil, err
	}
	t := in.Body.token(access.DisplayToken)
	t.Screen = in.ID
	return a.giveToken(ctx, t, in.Body.lasts())
}

// discreet leaves out where a display is reached from, which is for those who
// run displays.
func discreet(ctx context.Context, d *scene.State) {
	if who, _ := access.From(ctx); !who.May(access.ManageDisplays) && !who.May(access.PushScenes) {
		d.From = ""
	}
}

func (a *api) shown(ctx context.Context, in *shownInput) (*shownOutput, error) {
	out := &shownOutput{}
	out.Body.Display = in.ID
	now := a.now()
	read := func(name, text string, otherwise time.Time) (time.Time, error) {
		if text == "" {
			return otherwise, nil
		}
		t, err := parseTime(text, now, a.Calendar)
		if err != nil {
			return t, badParameter(name, text, err)
		}
		return t, nil
	}
	if in.At != "" {
		at, err := read("at", in.At, now)
		if err != nil {
			return nil, err
		}
		one, err := a.Scenes.ShownAt(ctx, in.ID, at)
		out.Body.Shown = []scene.Shown{one}
		return out, err
	}
	from, err := read("from", in.From, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	to, err := read("to", in.To, now)
	if err != nil {
		return nil, err
	}
	out.Body.Shown, err = a.Scenes.ShownBetween(ctx, in.ID, from, to, in.Limit)
	return out, err
}

func (a *api) thumbnail(w http.ResponseWriter, r *http.Request) {
	if a.Scenes == nil {
		problem(w, http.StatusNotImplemented, "", "displays are not part of this server")
		return
	}
	picture, kind, at, err := a.Scenes.Thumbnail(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusNotFound, "", err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(picture)))
	h.Set("Last-Modified", at.Format(http.TimeFormat))
	_, _ = w.Write(picture)
}

func (a *api) takeThumbnail(w http.ResponseWriter, r *http.Request) {
	if a.Scenes == nil {
		problem(w, http.StatusNotImplemented, "", "displays are not part of this server")
		return
	}
	if who, _ := access.From(r.Context()); who.Screen == "" || who.Screen != r.PathValue("id") {
		problem(w, http.StatusForbidden, "", "only a display's own screen sends pictures of it")
		return
	}
	picture, err := io.ReadAll(http.MaxBytesReader(w, r.Body, scene.MaxThumbnail+1))
	if err == nil {
		err = a.Scenes.SetThumbnail(r.PathValue("id"), r.Header.Get("Content-Type"), picture)
	}
	var large *http.MaxBytesError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &large):
		problem(w, http.StatusRequestEntityTooLarge, "", "a picture has 64 KiB at most")
	case errors.Is(err, scene.ErrNone):
		problem(w, http.StatusNotFound, "", err.Error())
	default:
		problem(w, http.StatusUnprocessableEntity, "", err.Error())
	}
}
