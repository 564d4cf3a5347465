package opscenter

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
)

type messagesInput struct {
	ID    string `path:"id" maxLength:"64"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type messagesOutput struct {
	Body struct {
		Messages []messageView `json:"messages" doc:"The newest first"`
	}
}

// messageView is one delivery as it was admitted.
type messageView struct {
	Received     time.Time         `json:"received"`
	Via          string            `json:"via"`
	From         string            `json:"from,omitempty" doc:"The address and port it came from"`
	Size         int               `json:"size,omitempty" doc:"Bytes of payload as they came"`
	Observations []observationView `json:"observations"`
}

type observationView struct {
	Time       time.Time           `json:"time"`
	DeviceTime *time.Time          `json:"deviceTime,omitempty" doc:"What the device's clock said, where that was not believed"`
	At         place               `json:"at" doc:"[longitude, latitude]"`
	Zones      map[string]zoneView `json:"zones,omitempty"`
	Qualities  []string            `json:"qualities,omitempty"`
	Values     []valueView         `json:"values"`
}

type valueView struct {
	Quantity devices.Quantity `json:"quantity"`
	Value    float64          `json:"value" doc:"In the quantity's own unit"`
	Sent     string           `json:"sent,omitempty" doc:"The unit it came in, where that was another"`
}

func (a *api) inboxRoutes() {
	route(a, access.ViewEvidence, huma.Operation{
		OperationID: "list-messages", Method: http.MethodGet, Path: "/v1/devices/{id}/messages", Tags: []string{"devices"},
		Summary: "What a device said last, message by message",
		Description: "As it was admitted: with the door, the address, the size, and each value in its quantity's unit. " +
			"At most 20 of each device, fewer where there are many devices; what was refused is at /v1/refusals.",
	}, func(_ context.Context, in *messagesInput) (*messagesOutput, error) {
		if a.Inbox == nil {
			return nil, absent("the newest messages")
		}
		d, err := a.findDevice(in.ID)
		if err != nil {
			return nil, err
		}
		out := &messagesOutput{}
		out.Body.Messages = []messageView{}
		for _, m := range a.Inbox.Newest(d.ID, in.Limit) {
			out.Body.Messages = append(out.Body.Messages, viewMessage(m))
		}
		return out, nil
	})
}

func viewMessage(m *devices.Message) messageView {
	v := messageView{Received: m.Received.UTC(), Via: m.Via.String(), Size: m.Size, Observations: []observationView{}}
	if m.From.IsValid() {
		v.From = m.From.String()
	}
	for i := range m.Observations {
		o := &m.Observations[i]
		w := observationView{Time: o.Time.UTC(), At: placeOf(o.At), Zones: zonesOf(o.Zones), Qualities: qualities(o.Flags), Values: []valueView{}}
		if !o.DeviceTime.IsZero() {
			at := o.DeviceTime.UTC()
			w.DeviceTime = &at
		}
		for _, x := range o.Values {
			w.Values = append(w.Values, valueView{x.Quantity, x.Number, x.Unit})
		}
		v.Observations = append(v.Observations, w)
	}
	return v
}
