package opscenter

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/audit"
)

type personInput struct {
	ID string `path:"id" maxLength:"64"`
}

type personOutput struct{ Body access.Account }

type peopleOutput struct {
	Body struct {
		People []access.Account `json:"people"`
	}
}

type newPersonInput struct {
	Body struct {
		ID         string   `json:"id" maxLength:"64" doc:"What the person logs in with: a-z, 0-9 and . _ @ + -"`
		Name       string   `json:"name" maxLength:"200"`
		Role       string   `json:"role"`
		Department string   `json:"department,omitempty" maxLength:"200"`
		Wards      []string `json:"wards,omitempty" maxItems:"500" doc:"Codes of wards, for an officer"`
		Language   string   `json:"language,omitempty" enum:"vi,en"`
	}
}

// NewPassword is a password that is not shown again.
type NewPassword struct {
	Password string `json:"password" doc:"Counts once, for three days; shown this once"`
}

type newPersonOutput struct {
	Body struct {
		Person access.Account `json:"person"`
		NewPassword
	}
}

type changePersonInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name       *string   `json:"name,omitempty" maxLength:"200"`
		Role       *string   `json:"role,omitempty"`
		Department *string   `json:"department,omitempty" maxLength:"200"`
		Wards      *[]string `json:"wards,omitempty" maxItems:"500"`
		Language   *string   `json:"language,omitempty" enum:"vi,en"`
		Disabled   *bool     `json:"disabled,omitempty" doc:"Ends sessions, sockets and tokens at once"`
	}
}

type resetInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		RemoveTOTP bool `json:"removeTOTP,omitempty" doc:"Also take the second factor off, for a telephone that was lost"`
	}
}

type resetOutput struct{ Body NewPassword }

type meOutput struct {
	Body struct {
		Principal   access.Principal    `json:"principal"`
		Account     *access.Account     `json:"account,omitempty" doc:"Absent for a token"`
		Permissions []access.Permission `json:"permissions"`
		Assurance   string              `json:"assurance"`
		Sessions    []access.Session    `json:"sessions,omitempty"`
	}
}

type setLanguageInput struct {
	Body struct {
		Language string `json:"language" enum:"vi,en"`
	}
}

type setPasswordInput struct {
	Body struct {
		Old string `json:"old" maxLength:"1024"`
		New string `json:"new" maxLength:"1024"`
	}
}

type confirmInput struct {
	Body struct {
		Password string `json:"password" maxLength:"1024" doc:"The account's, again"`
	}
}

type beginTOTPOutput struct {
	Body struct {
		Secret string `json:"secret" doc:"In base32, to type into an app"`
		Link   string `json:"link" doc:"otpauth:// address of the same"`
	}
}

type confirmTOTPInput struct {
	Body struct {
		Code string `json:"code" maxLength:"16"`
	}
}

type confirmTOTPOutput struct {
	Body struct {
		Recovery []string `json:"recovery" doc:"Codes that each log in once without the app; shown this once"`
	}
}

type sessionInput struct {
	ID string `path:"id" maxLength:"64"`
}

type tokensOutput struct {
	Body struct {
		Tokens []access.APIToken `json:"tokens"`
	}
}

// TokenRequest is what is asked of a new token.
type TokenRequest struct {
	Name      string         `json:"name" maxLength:"200"`
	Purpose   string         `json:"purpose" maxLength:"1000" doc:"What it is for"`
	Scope     []string       `json:"scope,omitempty" maxItems:"50" doc:"Permissions; all that the role may when left out"`
	Days      int            `json:"days,omitempty" minimum:"1" maximum:"366" doc:"90 when left out"`
	PerMinute int            `json:"perMinute,omitempty" minimum:"1" doc:"Requests a minute; 600 when left out"`
	PerDay    int            `json:"perDay,omitempty" minimum:"1" doc:"Requests a day (UTC); 200,000 when left out"`
	Networks  []netip.Prefix `json:"networks,omitempty" maxItems:"16" doc:"It is taken from these only; from anywhere when left out"`
}

func (t TokenRequest) token(kind string) access.APIToken {
	out := access.APIToken{Kind: kind, Name: t.Name, Purpose: t.Purpose, PerMinute: t.PerMinute, PerDay: t.PerDay, Networks: t.Networks}
	for _, s := range t.Scope {
		out.Scope = append(out.Scope, access.Permission(s))
	}
	return out
}

func (t TokenRequest) lasts() time.Duration { return time.Duration(t.Days) * 24 * time.Hour }

type newOwnTokenInput struct{ Body TokenRequest }

type newTokenInput struct {
	Body struct {
		TokenRequest
		Kind       string   `json:"kind" enum:"program,display"`
		Role       string   `json:"role,omitempty" doc:"Of a program"`
		Department string   `json:"department,omitempty" maxLength:"200" doc:"Whose credential it is"`
		Wards      []string `json:"wards,omitempty" maxItems:"500"`
		Screen     string   `json:"screen,omitempty" maxLength:"64" doc:"Of a display"`
	}
}

type newTokenOutput struct {
	Body struct {
		Secret string          `json:"secret" doc:"The token; shown this once"`
		Token  access.APIToken `json:"token"`
	}
}

type tokenInput struct {
	ID string `path:"id" maxLength:"64"`
}

type tokenOutput struct{ Body access.APIToken }

// Route is an address of this server with the permission it needs.
type Route struct {
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Permission access.Permission `json:"permission"`
}

// RoleRights is what a role may do.
type RoleRights struct {
	Role        access.Role         `json:"role"`
	Permissions []access.Permission `json:"permissions"`
}

type accessTableOutput struct {
	Body struct {
		Permissions []access.Permission `json:"permissions"`
		Roles       []RoleRights        `json:"roles"`
		Routes      []Route             `json:"routes"`
	}
}

// ruled lists every route that was registered, with its permission.
func (a *api) ruled() []Route {
	var list []Route
	for pattern, p := range a.routes {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "", pattern // any method
		}
		list = append(list, Route{method, path, p})
	}
	slices.SortFunc(list, func(x, y Route) int {
		return cmp.Or(cmp.Compare(x.Path, y.Path), cmp.Compare(x.Method, y.Method))
	})
	return list
}

// peopleRoutes are accounts, what people do with their own, and API tokens.
func (a *api) peopleRoutes() {
	op := func(id, method, path, tag, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary}
	}
	created := func(o huma.Operation) huma.Operation { o.DefaultStatus = http.StatusCreated; return o }
	const people, me, tokens = "people", "me", "tokens"
	route(a, access.ManagePeople, op("list-people", "GET", "/v1/people", people, "Everybody with an account"), a.listPeople)
	route(a, access.ManagePeople, created(op("add-person", "POST", "/v1/people", people, "Add a local account, with a one-time password")), a.addPerson)
	route(a, access.ManagePeople, op("change-person", "PATCH", "/v1/people/{id}", people, "Change an account, or disable it"), a.changePerson)
	route(a, access.ManagePeople, op("delete-person", "DELETE", "/v1/people/{id}", people, "Remove an account and its tokens"), a.deletePerson)
	route(a, access.ManagePeople, op("reset-password", "POST", "/v1/people/{id}/password", people, "Give an account a one-time password"), a.resetPassword)

	route(a, access.View, op("get-me", "GET", "/v1/me", me, "Your account and sessions"), a.getMe)
	route(a, access.View, op("change-me", "PATCH", "/v1/me", me, "Keep your language"), a.changeMe)
	route(a, access.View, op("set-password", "POST", "/v1/me/password", me, "Set another password; your other sessions end"), a.setPassword)
	route(a, access.View, op("begin-totp", "POST", "/v1/me/totp", me, "Begin a second factor (RFC 6238)"), a.beginTOTP)
	route(a, access.View, op("confirm-totp", "POST", "/v1/me/totp/confirm", me, "Switch it on by a code of the app"), a.confirmTOTP)
	route(a, access.View, op("remove-totp", "POST", "/v1/me/totp/remove", me, "Switch the second factor off"), a.removeTOTP)
	route(a, access.View, op("end-session", "DELETE", "/v1/me/sessions/{id}", me, "End one of your sessions"), a.endSession)
	route(a, access.View, op("list-own-tokens", "GET", "/v1/me/tokens", me, "Your API tokens"), a.listOwnTokens)
	route(a, access.View, created(op("add-own-token", "POST", "/v1/me/tokens", me, "Make an API token that acts for you")), a.addOwnToken)
	route(a, access.View, op("revoke-own-token", "DELETE", "/v1/me/tokens/{id}", me, "End one of your API tokens"), a.revokeOwnToken)

	route(a, access.ManagePeople, op("list-tokens", "GET", "/v1/tokens", tokens, "Every API token"), a.listTokens)
	route(a, access.ManagePeople, created(op("add-token", "POST", "/v1/tokens", tokens, "Make an API token of a program, a department or a wall screen")), a.addToken)
	route(a, access.ManagePeople, op("revoke-token", "DELETE", "/v1/tokens/{id}", tokens, "End an API token, with its sessions and sockets"), a.revokeToken)

	route(a, access.ViewDirectory, op("access-table", "GET", "/v1/access/table", people, "Who may do what: roles, permissions and the routes that need them"),
		func(context.Context, *struct{}) (*accessTableOutput, error) {
			out := &accessTableOutput{}
			out.Body.Permissions, out.Body.Routes = access.Permissions(), a.ruled()
			for _, r := range access.Roles() {
				rights := RoleRights{r, r.Permissions()}
				if rights.Permissions == nil {
					rights.Permissions = []access.Permission{}
				}
				out.Body.Roles = append(out.Body.Roles, rights)
			}
			return out, nil
		})
}

// accessError answers an error of access.
func (a *api) accessError(err error) error {
	var bad *access.Invalid
	var refusal *access.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return huma.Error422UnprocessableEntity(bad.Detail)
	case errors.Is(err, access.ErrNoAccount), errors.Is(err, access.ErrNoToken):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, access.ErrAccountExists), errors.Is(err, access.ErrOfProvider), errors.Is(err, access.ErrNoPerson):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, access.ErrWrongPassword), errors.Is(err, access.ErrWrongCode):
		// 401 would tell a page that its session has ended.
		return huma.Error403Forbidden(err.Error())
	case errors.As(err, &refusal):
		return huma.NewError(refusal.Status, refusal.Detail)
	}
	a.Log.Error("not kept", "err", err)
	return unavailable("not kept", errors.New("it could not be kept; try again"))
}

func (a *api) listPeople(context.Context, *struct{}) (*peopleOutput, error) {
	out := &peopleOutput{}
	out.Body.People = a.Access.Accounts()
	return out, nil
}

func (a *api) addPerson(ctx context.Context, in *newPersonInput) (*newPersonOutput, error) {
	b := in.Body
	acc, password, err := a.Access.AddAccount(ctx, access.Account{
		ID: b.ID, Name: b.Name, Role: access.Role(b.Role), Department: b.Department, Wards: b.Wards, Language: b.Language,
	})
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "person.add", acc.ID, nil, acc)
	out := &newPersonOutput{}
	out.Body.Person, out.Body.Password = acc, password
	return out, nil
}

func (a *api) changePerson(ctx context.Context, in *changePersonInput) (*personOutput, error) {
	b := in.Body
	if who, _ := access.From(ctx); who.ID == in.ID && (b.Disabled != nil || b.Role != nil) {
		return nil, huma.Error409Conflict("another administrator has to change your own role or disable you: nobody locks the last one out by mistake")
	}
	change := access.Change{Name: b.Name, Department: b.Department, Wards: b.Wards, Language: b.Language, Disabled: b.Disabled}
	if b.Role != nil {
		role := access.Role(*b.Role)
		change.Role = &role
	}
	before, after, err := a.Access.ChangeAccount(ctx, in.ID, change)
	if err != nil {
		return nil, a.accessError(err)
	}
	act := "person.change"
	if before.Disabled != after.Disabled {
		act = map[bool]string{true: "person.disable", false: "person.enable"}[after.Disabled]
	}
	a.changed(ctx, act, in.ID, before, after)
	if before.Role != after.Role {
		a.accountSignal(in.ID, "role "+string(before.Role)+" to "+string(after.Role))
	}
	if before.Disabled != after.Disabled {
		a.accountSignal(in.ID, map[bool]string{true: "disabled", false: "enabled"}[after.Disabled])
	}
	return &personOutput{after}, nil
}

// accountSignal tells those who watch that somebody may do more or less now, or
// proves less.
func (a *api) accountSignal(id, what string) {
	a.signal(audit.Signal{Kind: audit.AccountChanged, Key: id, Detail: what})
}

func (a *api) deletePerson(ctx context.Context, in *personInput) (*struct{}, error) {
	if who, _ := access.From(ctx); who.ID == in.ID {
		return nil, huma.Error409Conflict("another administrator has to remove you")
	}
	before, err := a.Access.DeleteAccount(ctx, in.ID)
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "person.delete", in.ID, before, nil)
	return nil, nil
}

func (a *api) resetPassword(ctx context.Context, in *resetInput) (*resetOutput, error) {
	remove := in.Body != nil && in.Body.RemoveTOTP
	password, err := a.Access.ResetPassword(ctx, in.ID, remove)
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "person.reset_password", in.ID, nil, map[string]bool{"secondFactorRemoved": remove})
	if remove {
		a.accountSignal(in.ID, "second factor taken off by an administrator")
	}
	return &resetOutput{NewPassword{password}}, nil
}

func (a *api) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	who, _ := access.From(ctx)
	out := &meOutput{}
	out.Body.Principal, out.Body.Permissions, out.Body.Assurance = who, who.Permissions(), access.Assurance(ctx)
	if acc, ok := a.Access.Account(who.ID); ok {
		out.Body.Account = &acc
		if list, err := a.Access.Sessions(ctx); err == nil {
			out.Body.Sessions = list
		}
	}
	return out, nil
}

func (a *api) changeMe(ctx context.Context, in *setLanguageInput) (*struct{}, error) {
	if err := a.Access.SetLanguage(ctx, in.Body.Language); err != nil {
		return nil, a.accessError(err)
	}
	a.own(ctx, "me.language", nil, in.Body)
	return nil, nil
}

// own notes what people change of their own account.
func (a *api) own(ctx context.Context, act string, before, after any) {
	who, _ := access.From(ctx)
	a.changed(ctx, act, who.ID, before, after)
}

func (a *api) setPassword(ctx context.Context, in *setPasswordInput) (*struct{}, error) {
	if err := a.Access.SetPassword(ctx, in.Body.Old, in.Body.New); err != nil {
		return nil, a.accessError(err)
	}
	a.own(ctx, "me.password", nil, nil)
	return nil, nil
}

func (a *api) beginTOTP(ctx context.Context, in *confirmInput) (*beginTOTPOutput, error) {
	out := &beginTOTPOutput{}
	var err error
	if out.Body.Secret, out.Body.Link, err = a.Access.BeginTOTP(ctx, in.Body.Password); err != nil {
		return nil, a.accessError(err)
	}
	a.own(ctx, "me.totp_begin", nil, nil)
	return out, nil
}

func (a *api) confirmTOTP(ctx context.Context, in *confirmTOTPInput) (*confirmTOTPOutput, error) {
	out := &confirmTOTPOutput{}
	var err error
	if out.Body.Recovery, err = a.Access.ConfirmTOTP(ctx, in.Body.Code); err != nil {
		return nil, a.accessError(err)
	}
	a.own(ctx, "me.totp_on", nil, nil)
	who, _ := access.From(ctx)
	a.accountSignal(who.ID, "second factor on")
	return out, nil
}

func (a *api) removeTOTP(ctx context.Context, in *confirmInput) (*struct{}, error) {
	if err := a.Access.RemoveTOTP(ctx, in.Body.Password); err != nil {
		return nil, a.accessError(err)
	}
	a.own(ctx, "me.totp_off", nil, nil)
	who, _ := access.From(ctx)
	a.accountSignal(who.ID, "second factor off")
	return nil, nil
}

func (a *api) endSession(ctx context.Context, in *sessionInput) (*struct{}, error) {
	ended, err := a.Access.EndOwnSession(ctx, in.ID)
	if err != nil {
		return nil, a.accessError(err)
	}
	if !ended {
		return nil, huma.Error404NotFound("no such session of yours")
	}
	a.own(ctx, "me.end_session", map[string]string{"session": in.ID}, nil)
	return nil, nil
}

func (a *api) listOwnTokens(ctx context.Context, _ *struct{}) (*tokensOutput, error) {
	who, _ := access.From(ctx)
	out := &tokensOutput{}
	out.Body.Tokens = []access.APIToken{}
	if _, ok := a.Access.Account(who.ID); ok {
		out.Body.Tokens = a.Access.Tokens(who.ID)
	}
	return out, nil
}

func (a *api) addOwnToken(ctx context.Context, in *newOwnTokenInput) (*newTokenOutput, error) {
	t, secret, err := a.Access.AddOwnToken(ctx, in.Body.token(access.OwnToken), in.Body.lasts())
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "token.add", t.ID, nil, t)
	out := &newTokenOutput{}
	out.Body.Token, out.Body.Secret = t, secret
	return out, nil
}

func (a *api) revokeOwnToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	who, _ := access.From(ctx)
	if _, ok := a.Access.Account(who.ID); !ok {
		return nil, a.accessError(access.ErrNoPerson)
	}
	return a.revoke(ctx, in.ID, who.ID)
}

func (a *api) revoke(ctx context.Context, id, owner string) (*tokenOutput, error) {
	t, err := a.Access.RevokeToken(ctx, id, owner)
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "token.revoke", id, nil, t)
	return &tokenOutput{t}, nil
}

func (a *api) listTokens(context.Context, *struct{}) (*tokensOutput, error) {
	out := &tokensOutput{}
	out.Body.Tokens = a.Access.Tokens("")
	return out, nil
}

func (a *api) addToken(ctx context.Context, in *newTokenInput) (*newTokenOutput, error) {
	b := in.Body
	t := b.token(b.Kind)
	t.Role, t.Department, t.Wards, t.Screen = access.Role(b.Role), b.Department, b.Wards, b.Screen
	return a.giveToken(ctx, t, b.lasts())
}

// giveToken makes a token that is nobody's own and shows it, this once.
func (a *api) giveToken(ctx context.Context, t access.APIToken, lasts time.Duration) (*newTokenOutput, error) {
	t, secret, err := a.Access.AddToken(ctx, t, lasts)
	if err != nil {
		return nil, a.accessError(err)
	}
	a.changed(ctx, "token.add", t.ID, nil, t)
	out := &newTokenOutput{}
	out.Body.Token, out.Body.Secret = t, secret
	return out, nil
}

func (a *api) revokeToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	return a.revoke(ctx, in.ID, "")
}
