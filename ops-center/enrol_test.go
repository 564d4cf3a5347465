package opscenter

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// noMaker is for enrolments of which no device makes use.
type noMaker struct{}

func (noMaker) Issue(*devices.Device, devices.CredentialKind, time.Duration) (devices.Credential, devices.Secret, error) {
	return devices.Credential{}, devices.Secret{}, errors.New("nothing is made here")
}

func (noMaker) Sign(*devices.Device, []byte) (devices.Credential, devices.Secret, error) {
	return devices.Credential{}, devices.Secret{}, errors.New("nothing is made here")
}

// startEnrolling is a city whose devices may enrol themselves.
func startEnrolling(t *testing.T) *city {
	t.Helper()
	return start(t, func(o *Options) {
		var err error
		if o.Enrolment, err = devices.OpenEnrolment(t.Context(), store{&memory{data: map[string][]byte{}}}, o.Register, noMaker{}, time.Now); err != nil {
			t.Fatal(err)
		}
	})
}

func TestClaimCodes(t *testing.T) {
	c := startEnrolling(t)
	var added struct {
		Claim, Token string
		ClaimExpires time.Time
		State        devices.LifeState
	}
	if err := json.Unmarshal([]byte(c.add(`{"id":"aq-1","profile":"air-quality","claimTTL":"24h"}`)), &added); err != nil {
		t.Fatal(err)
	}
	if added.Claim == "" || added.Token != "" || added.State != devices.Announced || added.ClaimExpires.Sub(c.api.now()) != 24*time.Hour {
		t.Errorf("announced as %+v", added)
	}
	if _, _, body := c.call(c.admin, "GET", "/v1/devices/aq-1", ""); strings.Contains(body, added.Claim) || strings.Contains(body, `"code"`) {
		t.Errorf("the device is shown as %s", body)
	}
	status, _, body := c.call(c.admin, "POST", "/v1/devices/aq-1/claim", `{}`)
	var again struct{ Claim string }
	if err := json.Unmarshal([]byte(body), &again); err != nil || status != 201 || again.Claim == "" || again.Claim == added.Claim {
		t.Errorf("a new code: %d %s", status, body)
	}
	for _, bad := range []struct {
		path, body string
		status     int
	}{
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"soon"}`, 422},
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"-1h"}`, 422},
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"100000h"}`, 422},
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"1h","token":"0123456789abcdef"}`, 422},
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"1h","credential":"psk"}`, 422},
		{"/v1/devices", `{"id":"aq-2","profile":"air-quality","claimTTL":"1h","state":"active"}`, 422},
		{"/v1/devices/nobody/claim", `{}`, 404},
		{"/v1/devices/aq-1/claim", `{"ttl":"soon"}`, 422},
	} {
		if status, _, body := c.call(c.admin, "POST", bad.path, bad.body); status != bad.status {
			t.Errorf("%s %s: %d %s, want %d", bad.path, bad.body, status, body, bad.status)
		}
	}
	if _, ok := c.register.Get("aq-2"); ok {
		t.Error("what was refused is registered")
	}
}

func TestGroups(t *testing.T) {
	c := startEnrolling(t)
	const path = "/v1/enrolment-groups"
	status, _, body := c.call(c.admin, "POST", path, `{"name":"lamps","profile":"street-light","owner":"Chiếu sáng","max":40}`)
	var added struct{ Name, Prefix, State, Secret string }
	if err := json.Unmarshal([]byte(body), &added); err != nil || status != 201 || added.Name != "lamps" || added.Prefix != "lamps-" || added.State != "open" || added.Secret == "" {
		t.Fatalf("added: %d %s", status, body)
	}
	for _, bad := range []struct {
		body   string
		status int
	}{
		{`{"name":"lamps","profile":"street-light"}`, 409},
		{`{"name":"lamps 2","profile":"street-light"}`, 422},
		{`{"name":"boats","profile":"submarine"}`, 422},
		{`{"name":"buses","profile":"bus","max":0}`, 422},
		{`{"name":"buses","profile":"bus","until":"2020-01-01T00:00:00Z"}`, 422},
		{`{"name":"buses","profile":"bus","secret":"short"}`, 422},
	} {
		if status, _, body := c.call(c.admin, "POST", path, bad.body); status != bad.status {
			t.Errorf("%s: %d %s, want %d", bad.body, status, body, bad.status)
		}
	}
	status, _, body = c.call(c.admin, "GET", path, "")
	if status != 200 || !strings.Contains(body, `"enrolled":0`) || strings.Contains(body, added.Secret) || strings.Contains(strings.ToLower(body), "secret") {
		t.Errorf("listed: %d %s", status, body)
	}
	if status, _, body := c.call(c.admin, "DELETE", path+"/lamps", ""); status != 200 || !strings.Contains(body, `"state":"revoked"`) {
		t.Errorf("revoked: %d %s", status, body)
	}
	if status, _, body := c.call(c.admin, "DELETE", path+"/lanterns", ""); status != 404 {
		t.Errorf("one there is not: %d %s", status, body)
	}
	for _, who := range []string{displayToken, operatorToken} {
		if status, _, body := c.call(who, "GET", path, ""); status != 403 {
			t.Errorf("for somebody who does not manage devices: %d %s", status, body)
		}
	}
	var api struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	c.get("/openapi.json", &api)
	if p := api.Components.Schemas["NewGroupOutputBody"].Properties; p["secret"] == nil || p["prefix"] == nil {
		t.Errorf("a new group is described with %v", p)
	}
}
