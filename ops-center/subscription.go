package opscenter

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/ops-center/access"
	"vonglau/ops-center/notify"
)

// SubscriptionView is a subscription with how it is doing.
type SubscriptionView struct {
	notify.Subscription
	State   string          `json:"state" enum:"well,failing,paused" doc:"How the last attempt went"`
	Waiting uint64          `json:"waiting" doc:"Events it has still to look at"`
	Dead    int             `json:"dead" doc:"Deliveries that were given up"`
	Newest  *notify.Receipt `json:"newest,omitempty" doc:"The newest delivery, or the one on its way"`
	Stream  string          `json:"stream,omitempty" doc:"Where the stream is: its MQTT topic; over WebSocket /v1/departments/{id}/stream"`
	Feed    string          `json:"feed,omitempty" doc:"Where the Atom feed is; it wants the token"`
}

// SubscriptionBody is what people may set.
type SubscriptionBody struct {
	Name       string             `json:"name,omitempty" maxLength:"200"`
	Filter     notify.Filter      `json:"filter,omitempty"`
	URL        string             `json:"url,omitempty" maxLength:"2000" doc:"Of a webhook"`
	Format     string             `json:"format,omitempty" enum:"json,cap"`
	To         []string           `json:"to,omitempty" maxItems:"50" doc:"Mail addresses"`
	Language   string             `json:"language,omitempty" enum:"vi,en"`
	Paused     bool               `json:"paused,omitempty"`
	Quiet      *notify.Quiet      `json:"quiet,omitempty"`
	Digest     string             `json:"digest,omitempty" enum:"hour,day"`
	Escalation *notify.Escalation `json:"escalation,omitempty"`
}

// bounded gives the filter as somebody may have it. An officer hears of no alarm
// that the officer may not see; what somebody else set for the department stays
// while the filter does.
func bounded(who access.Principal, f, before notify.Filter) notify.Filter {
	if who.Role != access.Officer {
		switch {
		case f.Within == nil:
			f.Within = before.Within
		case f.Within.Department == "" && len(f.Within.Wards) == 0:
			f.Within = nil
		}
		return f
	}
	f.Within = before.Within
	if !reflect.DeepEqual(f, before) {
		f.Within = &notify.Within{Department: who.Department, Wards: slices.Clone(who.Wards)}
	}
	return f
}

// apply sets what people may set. A new subscription has no department's filter
// that could stay.
func (b *SubscriptionBody) apply(s *notify.Subscription, who access.Principal) {
	filter := bounded(who, b.Filter, s.Filter)
	if s.ID == "" && who.Role == access.Officer {
		filter.Within = &notify.Within{Department: who.Department, Wards: slices.Clone(who.Wards)}
	}
	b.Filter = filter
	s.Name, s.Filter, s.URL, s.Format, s.To, s.Language = b.Name, b.Filter, b.URL, b.Format, b.To, b.Language
	s.Paused, s.Quiet, s.Digest, s.Escalation = b.Paused, b.Quiet, b.Digest, b.Escalation
}

type newSubscriptionInput struct {
	Body struct {
		Department string      `json:"department,omitempty" maxLength:"200" doc:"One's own when left out"`
		Kind       notify.Kind `json:"kind" enum:"webhook,email,stream,atom"`
		Secret     string      `json:"secret,omitempty" maxLength:"512" doc:"Signs a webhook's deliveries; made when left out"`
		SubscriptionBody
	}
}

type newSubscriptionOutput struct {
	Body struct {
		SubscriptionView
		notify.Credentials
	}
}

type subscriptionInput struct {
	ID string `path:"id" maxLength:"64"`
}

type changeSubscriptionInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body SubscriptionBody
}

type subscriptionOutput struct{ Body SubscriptionView }

type subscriptionsOutput struct {
	Body struct {
		Subscriptions []SubscriptionView `json:"subscriptions"`
		Categories    []string           `json:"categories" doc:"What a filter may name"`
		Events        []string           `json:"events" doc:"What a filter may name"`
		Mail          bool               `json:"mail" doc:"Whether this server sends mail"`
	}
}

type rotateSubscriptionInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		Secret string `json:"secret,omitempty" maxLength:"512"`
	}
}

type credentialsOutput struct{ Body notify.Credentials }

type receiptOutput struct{ Body notify.Receipt }

type deliveriesOutput struct {
	Body struct {
		Deliveries []notify.Receipt `json:"deliveries" doc:"The newest first, what is on its way before all"`
		Dead       []notify.Receipt `json:"dead" doc:"Given up, the oldest first"`
	}
}

type deliveryInput struct {
	ID       string `path:"id" maxLength:"64"`
	Delivery string `path:"delivery" maxLength:"64"`
}

type resentOutput struct {
	Body struct {
		Resent int `json:"resent" doc:"How many are on their way again"`
	}
}

type previewInput struct {
	Body struct {
		Filter notify.Filter `json:"filter"`
		Days   int           `json:"days,omitempty" minimum:"1" maximum:"60" default:"7"`
	}
}

type previewOutput struct{ Body notify.Preview }

func (a *api) subscriptionRoutes() {
	tags := []string{"subscriptions"}
	route(a, access.Subscribe, huma.Operation{
		OperationID: "list-subscriptions", Method: http.MethodGet, Path: "/v1/subscriptions", Tags: tags,
		Summary: "The subscriptions of one's own department; of all for who manages people",
	}, a.listSubscriptions)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "add-subscription", Method: http.MethodPost, Path: "/v1/subscriptions", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Subscribe a department to alerts",
		Description: "The answer holds the secret or token, which is not shown again. What travels is described in /v1/asyncapi.json. " +
			"A webhook's address is reached only where the configuration (outbound.allow) lets it lead.",
	}, a.addSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "preview-subscription", Method: http.MethodPost, Path: "/v1/subscriptions/preview", Tags: tags,
		Summary: "What a filter would have told in the last days",
	}, a.previewSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "get-subscription", Method: http.MethodGet, Path: "/v1/subscriptions/{id}", Tags: tags, Summary: "One subscription",
	}, func(ctx context.Context, in *subscriptionInput) (*subscriptionOutput, error) {
		s, err := a.ownSubscription(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &subscriptionOutput{a.viewSubscription(s)}, nil
	})
	route(a, access.Subscribe, huma.Operation{
		OperationID: "put-subscription", Method: http.MethodPut, Path: "/v1/subscriptions/{id}", Tags: tags,
		Summary: "Change a subscription", Description: "All that may be changed is replaced: what is left out is emptied. Kind and department stay.",
	}, a.changeSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "delete-subscription", Method: http.MethodDelete, Path: "/v1/subscriptions/{id}", Tags: tags,
		Summary: "End a subscription, with its dead letters",
	}, a.removeSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "test-subscription", Method: http.MethodPost, Path: "/v1/subscriptions/{id}/test", Tags: tags,
		Summary: "Send a message marked as a test, once, and tell what came of it",
	}, a.testSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "rotate-subscription", Method: http.MethodPost, Path: "/v1/subscriptions/{id}/rotate", Tags: tags,
		Summary:     "Give a subscription a new secret or token",
		Description: "A webhook's deliveries are signed with the old secret as well for 24 hours. An old token ends at once.",
	}, a.rotateSubscription)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/v1/subscriptions/{id}/deliveries", Tags: tags,
		Summary: "What became of the newest deliveries, and the dead letters",
	}, a.listDeliveries)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "resend-deliveries", Method: http.MethodPost, Path: "/v1/subscriptions/{id}/resend", Tags: tags,
		Summary: "Send all dead letters again, in their order, before what is new",
	}, func(ctx context.Context, in *subscriptionInput) (*resentOutput, error) {
		return a.resend(ctx, &deliveryInput{ID: in.ID})
	})
	route(a, access.Subscribe, huma.Operation{
		OperationID: "resend-delivery", Method: http.MethodPost, Path: "/v1/subscriptions/{id}/deliveries/{delivery}/resend", Tags: tags,
		Summary: "Send one dead letter again",
	}, a.resend)
	route(a, access.Subscribe, huma.Operation{
		OperationID: "discard-delivery", Method: http.MethodDelete, Path: "/v1/subscriptions/{id}/deliveries/{delivery}", Tags: tags,
		Summary: "Put a dead letter away",
	}, a.discardDelivery)
	a.streamRoutes()
}

// noSubscriptions is the error of a server without.
func (a *api) noSubscriptions() error {
	if a.Notify == nil {
		return absent("subscriptions")
	}
	return nil
}

// mayServe reports whether a caller may see and change a department's
// subscriptions.
func mayServe(who access.Principal, department string) bool {
	return who.May(access.ManagePeople) || who.Department != "" && notify.SameDepartment(who.Department, department)
}

// ownSubscription finds a subscription the caller may know of. Another
// department's is not there.
func (a *api) ownSubscription(ctx context.Context, id string) (notify.Subscription, error) {
	if err := a.noSubscriptions(); err != nil {
		return notify.Subscription{}, err
	}
	s, err := a.Notify.Get(id)
	if who, _ := access.From(ctx); err != nil || !mayServe(who, s.Department) {
		return notify.Subscription{}, huma.Error404NotFound("there is no such subscription of your department")
	}
	return s, nil
}

func (a *api) subscriptionError(what string, err error) error {
	var bad *notify.Invalid
	switch {
	case errors.As(err, &bad):
		return huma.Error422UnprocessableEntity(what+": "+bad.Why, &huma.ErrorDetail{Location: "body." + bad.Field, Message: bad.Why})
	case errors.Is(err, notify.ErrNone):
		return huma.Error404NotFound(err.Error())
	}
	a.Log.Error(what, "err", err)
	return unavailable(what, errors.New("it could not be recorded; try again"))
}

func (a *api) viewSubscription(s notify.Subscription) SubscriptionView {
	v := SubscriptionView{Subscription: s, State: "well", Waiting: a.Notify.Waiting(s.ID)}
	list, dead, _ := a.Notify.Deliveries(s.ID)
	v.Dead = len(dead)
	if len(list) > 0 {
		v.Newest = &list[0]
		if st := list[0].State; st == notify.Retrying && list[0].Attempts > 1 || st == notify.Retrying && list[0].Error != "" || st == notify.Dead {
			v.State = "failing"
		}
	}
	if s.Paused {
		v.State = "paused"
	}
	switch s.Kind {
	case notify.Stream:
		v.Stream = "departments/" + notify.DepartmentID(s.Department) + "/alerts"
		v.Waiting = 0
	case notify.Atom:
		v.Feed = "/v1/subscriptions/" + s.ID + "/feed.atom"
		v.Waiting = 0
	}
	return v
}

func (a *api) listSubscriptions(ctx context.Context, _ *struct{}) (*subscriptionsOutput, error) {
	if err := a.noSubscriptions(); err != nil {
		return nil, err
	}
	who, _ := access.From(ctx)
	out := &subscriptionsOutput{}
	out.Body.Subscriptions = []SubscriptionView{}
	out.Body.Categories, out.Body.Events, out.Body.Mail = notify.Categories(), notify.EventKinds(), a.Notify.Mails()
	for _, s := range a.Notify.List() {
		if mayServe(who, s.Department) {
			out.Body.Subscriptions = append(out.Body.Subscriptions, a.viewSubscription(s))
		}
	}
	return out, nil
}

func (a *api) addSubscription(ctx context.Context, in *newSubscriptionInput) (*newSubscriptionOutput, error) {
	if err := a.noSubscriptions(); err != nil {
		return nil, err
	}
	who, _ := access.From(ctx)
	b := &in.Body
	if b.Department == "" {
		b.Department = who.Department
	}
	if b.Department != "" && !mayServe(who, b.Department) {
		return nil, huma.Error403Forbidden("a subscription of another department is for its own people, or who manages people")
	}
	if a.Departments != nil {
		if d, ok := a.Departments.Get(b.Department); ok {
			b.Department = d.Name // as the register writes it
		}
	}
	s := notify.Subscription{Department: b.Department, Kind: b.Kind}
	b.apply(&s, who)
	s, cred, err := a.Notify.Add(ctx, s, b.Secret, who.Name)
	if err != nil {
		return nil, a.subscriptionError("not subscribed", err)
	}
	a.changed(ctx, "subscription.add", s.ID, nil, s)
	out := &newSubscriptionOutput{}
	out.Body.SubscriptionView, out.Body.Credentials = a.viewSubscription(s), cred
	return out, nil
}

func (a *api) changeSubscription(ctx context.Context, in *changeSubscriptionInput) (*subscriptionOutput, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	who, _ := access.From(ctx)
	before, after, err := a.Notify.Change(ctx, in.ID, func(s *notify.Subscription) error { in.Body.apply(s, who); return nil }, who.Name)
	if err != nil {
		return nil, a.subscriptionError("subscription not changed", err)
	}
	a.changed(ctx, "subscription.change", in.ID, before, after)
	return &subscriptionOutput{a.viewSubscription(after)}, nil
}

func (a *api) removeSubscription(ctx context.Context, in *subscriptionInput) (*struct{}, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	before, err := a.Notify.Remove(ctx, in.ID)
	if err != nil {
		return nil, a.subscriptionError("subscription not ended", err)
	}
	a.changed(ctx, "subscription.remove", in.ID, before, nil)
	return nil, nil
}

func (a *api) testSubscription(ctx context.Context, in *subscriptionInput) (*receiptOutput, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	r, err := a.Notify.Test(ctx, in.ID)
	if err != nil {
		return nil, a.subscriptionError("no test sent", err)
	}
	a.changed(ctx, "subscription.test", in.ID, nil, map[string]any{"state": r.State, "error": r.Error})
	return &receiptOutput{r}, nil
}

func (a *api) rotateSubscription(ctx context.Context, in *rotateSubscriptionInput) (*credentialsOutput, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	secret := ""
	if in.Body != nil {
		secret = in.Body.Secret
	}
	cred, err := a.Notify.Rotate(ctx, in.ID, secret)
	if err != nil {
		return nil, a.subscriptionError("credentials not changed", err)
	}
	a.changed(ctx, "subscription.rotate", in.ID, nil, nil)
	return &credentialsOutput{cred}, nil
}

func (a *api) listDeliveries(ctx context.Context, in *subscriptionInput) (*deliveriesOutput, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	list, dead, err := a.Notify.Deliveries(in.ID)
	if err != nil {
		return nil, a.subscriptionError("no deliveries", err)
	}
	out := &deliveriesOutput{}
	out.Body.Deliveries, out.Body.Dead = append([]notify.Receipt{}, list...), append([]notify.Receipt{}, dead...)
	return out, nil
}

func (a *api) resend(ctx context.Context, in *deliveryInput) (*resentOutput, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	n, err := a.Notify.Resend(ctx, in.ID, in.Delivery)
	if err != nil {
		return nil, a.subscriptionError("not sent again", err)
	}
	a.changed(ctx, "subscription.resend", in.ID, nil, map[string]any{"delivery": in.Delivery, "count": n})
	out := &resentOutput{}
	out.Body.Resent = n
	return out, nil
}

func (a *api) discardDelivery(ctx context.Context, in *deliveryInput) (*struct{}, error) {
	if _, err := a.ownSubscription(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.Notify.Discard(ctx, in.ID, in.Delivery); err != nil {
		return nil, a.subscriptionError("not put away", err)
	}
	a.changed(ctx, "subscription.discard", in.ID, map[string]any{"delivery": in.Delivery}, nil)
	return nil, nil
}

func (a *api) previewSubscription(ctx context.Context, in *previewInput) (*previewOutput, error) {
	if err := a.noSubscriptions(); err != nil {
		return nil, err
	}
	filter := in.Body.Filter
	if who, _ := access.From(ctx); who.Role == access.Officer {
		filter.Within = &notify.Within{Department: who.Department, Wards: who.Wards}
	}
	p, err := a.Notify.Preview(ctx, filter, a.now().Add(-time.Duration(in.Body.Days)*24*time.Hour))
	if err != nil {
		return nil, a.subscriptionError("no preview", err)
	}
	return &previewOutput{p}, nil
}
