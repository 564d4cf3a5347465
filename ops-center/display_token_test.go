package opscenter

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vonglau/ops-center/access"
	"vonglau/ops-center/scene"
)

// noted is a scene.Record of which nothing is read again.
type noted struct{ n uint64 }

func (r *noted) Append(context.Context, string, []byte) (uint64, error) { r.n++; return r.n, nil }
func (*noted) Read(context.Context, uint64, func(uint64, time.Time, string, []byte) error) error {
	return nil
}

// Whoever runs the screens makes their tokens and no others.
func TestDisplayToken(t *testing.T) {
	columns, tokens, accounts, programs := walkers(t)
	// A credential for the screens alone: the administrator's scoped one, with another scope.
	var one map[string]any
	if err := json.Unmarshal(programs["scoped"], &one); err != nil {
		t.Fatal(err)
	}
	one["scope"] = []access.Permission{access.View, access.ManageDisplays}
	programs["scoped"], _ = json.Marshal(one)
	var screens, steward, leader string
	for _, k := range columns {
		switch k.name {
		case "scoped":
			screens = k.token
		case string(access.Steward):
			steward = k.token
		case string(access.ShiftLeader):
			leader = k.token
		}
	}
	c := start(t, func(o *Options) {
		var err error
		if o.Access, err = access.Open(t.Context(), access.Options{Dir: t.TempDir(), Tokens: tokens, Accounts: accounts, APITokens: programs}); err != nil {
			t.Fatal(err)
		}
		if o.Scenes, err = scene.Open(t.Context(), scene.Options{Acts: &noted{}, Shown: &noted{}}); err != nil {
			t.Fatal(err)
		}
	})
	if status, _, body := c.call(screens, "PUT", "/v1/displays/hall-1", `{"name":{"vi":"Sảnh 1"},"calm":{},"takeOver":{"priority":1}}`); status != 200 {
		t.Fatalf("the display: %d %s", status, body)
	}
	const asked = `{"name":"hall-1","purpose":"a link","days":30}`
	status, _, body := c.call(screens, "POST", "/v1/displays/hall-1/token", asked)
	var made struct {
		Secret string
		Token  access.APIToken
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if got := made.Token; got.Kind != access.DisplayToken || got.Role != access.Display || got.Screen != "hall-1" || got.Expires.Sub(got.Created) != 30*24*time.Hour {
		t.Errorf("made %+v", got)
	}
	for _, x := range []struct {
		token, method, path, body string
		want                      int
		says                      string
	}{
		{made.Secret, "GET", "/v1/displays/hall-1", "", 200, "hall-1"},
		{made.Secret, "POST", "/v1/displays/hall-1/token", asked, 403, "manage_displays"}, // it makes none itself
		{made.Secret, "GET", "/v1/people", "", 403, "manage_people"},
		{screens, "POST", "/v1/displays/hall-9/token", asked, 404, "hall-9"},
		{screens, "POST", "/v1/displays/hall-1/token", `{"name":"x","purpose":"y","scope":["view"]}`, 422, "nothing else"},
		{screens, "POST", "/v1/displays/hall-1/token", `{"name":"x","purpose":""}`, 422, "what the token is for"},
		{screens, "POST", "/v1/displays/hall-1/token", `{"name":"x","purpose":"y","role":"admin"}`, 422, "role"},
		{screens, "POST", "/v1/tokens", `{"kind":"display","screen":"hall-1","name":"x","purpose":"y"}`, 403, "manage_people"},
		{screens, "POST", "/v1/tokens", `{"kind":"program","role":"admin","name":"x","purpose":"y"}`, 403, "manage_people"},
		{steward, "POST", "/v1/displays/hall-1/token", asked, 403, "manage_displays"},
		{leader, "POST", "/v1/displays/hall-1/token", asked, 403, "manage_displays"},
	} {
		if status, _, body := c.call(x.token, x.method, x.path, x.body); status != x.want || !strings.Contains(body, x.says) {
			t.Errorf("%s %s %s: %d, want %d with %q: %s", x.method, x.path, x.body, status, x.want, x.says, body)
		}
	}
}
