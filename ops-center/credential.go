package opscenter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

// Issuer makes credentials; *trust.Authority is one.
type Issuer interface {
	Issue(d *devices.Device, kind devices.CredentialKind, lifetime time.Duration) (devices.Credential, devices.Secret, error)
	// CA is the city CA's certificate in PEM.
	CA() []byte
}

type credentialListOutput struct {
	Body struct {
		Credentials []devices.Credential `json:"credentials"`
		Revoked     *time.Time           `json:"revoked,omitempty" doc:"When all were last taken away"`
	}
}

type newCredentialInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Kind     devices.CredentialKind `json:"kind" enum:"token,psk,x509"`
		Overlap  string                 `json:"overlap,omitempty" doc:"How long the device's others of this kind still count, such as 24h; left out they stay as they are" example:"24h"`
		Lifetime string                 `json:"lifetime,omitempty" doc:"When the new one ends; left out a token or key lasts until it is replaced, a certificate as long as the configuration says" example:"8760h"`
	}
}

type newCredentialOutput struct {
	Body struct {
		devices.Secret
		Credential devices.Credential `json:"credential"`
	}
}

type credentialInput struct {
	ID         string `path:"id" maxLength:"64"`
	Credential string `path:"credential" maxLength:"40"`
}

type expiringInput struct {
	Within string `query:"within" default:"720h" doc:"Those that end within this time, such as 720h"`
}

type expiringOutput struct {
	Body struct {
		Credentials []devices.Expiry `json:"credentials"`
	}
}

func (a *api) credentialRoutes() {
	one := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"devices"}, Summary: summary}
	}
	const all, single = "/v1/devices/{id}/credentials", "/v1/devices/{id}/credentials/{credential}"
	route(a, access.ManageDevices, one("list-credentials", http.MethodGet, all, "What a device may prove itself by"), a.listCredentials)
	add := one("add-credential", http.MethodPost, all, "Give a device a credential, which is shown this once")
	add.DefaultStatus = http.StatusCreated
	route(a, access.ManageDevices, add, a.addCredential)
	route(a, access.ManageDevices, one("revoke-credentials", http.MethodDelete, all,
		"Take all credentials of a device away; its sessions end at once"), a.revokeAll)
	route(a, access.ManageDevices, one("revoke-credential", http.MethodDelete, single,
		"Take one credential of a device away; sessions begun with it end at once"), a.revokeOne)
	route(a, access.ManageDevices, one("expiring-credentials", http.MethodGet, "/v1/credentials/expiring",
		"Credentials that end soon and that nothing replaces"), a.expiring)
	a.raw(access.Public, huma.Operation{
		OperationID: "city-ca", Method: http.MethodGet, Path: "/v1/ca.pem", Tags: []string{"devices"},
		Summary: "The city CA's certificate", Responses: map[string]*huma.Response{"200": {Description: "In PEM"}},
	}, http.HandlerFunc(a.cityCA))
}

func (a *api) listCredentials(_ context.Context, in *deviceInput) (*credentialListOutput, error) {
	d, err := a.findDevice(in.ID)
	if err != nil {
		return nil, err
	}
	out := &credentialListOutput{}
	if out.Body.Credentials = d.Held(); out.Body.Credentials == nil {
		out.Body.Credentials = []devices.Credential{}
	}
	if !d.Revoked.IsZero() {
		out.Body.Revoked = &d.Revoked
	}
	return out, nil
}

func (a *api) addCredential(ctx context.Context, in *newCredentialInput) (*newCredentialOutput, error) {
	if a.Issuer == nil {
		return nil, absent("the issue of credentials")
	}
	overlap, lifetime := time.Duration(-1), time.Duration(0)
	for _, p := range []struct {
		name, text string
		into       *time.Duration
	}{{"overlap", in.Body.Overlap, &overlap}, {"lifetime", in.Body.Lifetime, &lifetime}} {
		if p.text == "" {
			continue
		}
		v, err := time.ParseDuration(p.text)
		if err == nil && v < 0 {
			err = errors.New("a duration is not negative")
		}
		if err != nil {
			return nil, huma.Error422UnprocessableEntity(p.name+" cannot be read", &huma.ErrorDetail{
				Location: "body." + p.name, Message: err.Error(), Value: p.text,
			})
		}
		*p.into = v
	}
	out := &newCredentialOutput{}
	err := a.Register.Update(ctx, devices.ID(in.ID), func(d *devices.Device) error {
		if d.State == devices.Retired {
			return errors.New("the device is retired")
		}
		c, secret, err := a.Issuer.Issue(d, in.Body.Kind, lifetime)
		if err != nil {
			return err
		}
		out.Body.Credential, out.Body.Secret = c.Public(), secret
		return d.Grant(c, overlap, c.Added)
	})
	if err != nil {
		return nil, credentialProblem(err)
	}
	a.changed(ctx, "device.credential.add", in.ID, nil, trace(out.Body.Credential))
	return out, nil
}

func (a *api) revokeAll(ctx context.Context, in *deviceInput) (*struct{}, error) {
	return a.withdraw(ctx, in.ID, "")
}

func (a *api) revokeOne(ctx context.Context, in *credentialInput) (*struct{}, error) {
	return a.withdraw(ctx, in.ID, in.Credential)
}

func (a *api) withdraw(ctx context.Context, id, credential string) (*struct{}, error) {
	var before []credentialTrace
	err := a.Register.Update(ctx, devices.ID(id), func(d *devices.Device) error {
		before = nil
		for _, c := range d.Held() {
			if credential == "" || c.ID == credential {
				before = append(before, trace(c))
			}
		}
		return d.Withdraw(credential, a.now().UTC().Truncate(time.Millisecond))
	})
	if err != nil {
		return nil, credentialProblem(err)
	}
	a.changed(ctx, "device.credential.revoke", id, before, nil)
	return nil, nil
}

// credentialTrace is what the record keeps of a credential.
type credentialTrace struct {
	ID      string                 `json:"id"`
	Kind    devices.CredentialKind `json:"kind"`
	Added   time.Time              `json:"added"`
	Expires time.Time              `json:"expires,omitzero"`
}

func trace(c devices.Credential) credentialTrace {
	return credentialTrace{c.ID, c.Kind, c.Added, c.Expires}
}

func credentialProblem(err error) error {
	switch {
	case errors.Is(err, devices.ErrNoDevice), errors.Is(err, devices.ErrNoCredential):
		return huma.Error404NotFound(err.Error())
	case isRetry(err):
		return unavailable("register not available", err)
	}
	return huma.Error422UnprocessableEntity(err.Error())
}

func (a *api) expiring(_ context.Context, in *expiringInput) (*expiringOutput, error) {
	within, err := time.ParseDuration(in.Within)
	if err != nil {
		return nil, badParameter("within", in.Within, err)
	}
	out := &expiringOutput{}
	if out.Body.Credentials = a.Register.Expiring(a.now(), within); out.Body.Credentials == nil {
		out.Body.Credentials = []devices.Expiry{}
	}
	return out, nil
}

func (a *api) cityCA(w http.ResponseWriter, _ *http.Request) {
	if a.Issuer == nil {
		problem(w, http.StatusNotFound, "", "this server has no CA")
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(a.Issuer.CA())
}

// withCredential gives a device that is being registered its first credential
// when that is not a token.
func (a *api) withCredential(d *devices.Device, kind devices.CredentialKind) (devices.Secret, error) {
	switch {
	case kind == "" || kind == devices.CredentialToken:
		return devices.Secret{}, nil // the register makes it
	case len(d.TokenHash) > 0:
		return devices.Secret{}, errors.New("token: it belongs to credential token; leave one of the two out")
	case a.Issuer == nil:
		return devices.Secret{}, absent("the issue of credentials")
	}
	c, secret, err := a.Issuer.Issue(d, kind, 0)
	if err != nil {
		return secret, err
	}
	return secret, d.Grant(c, -1, c.Added)
}
