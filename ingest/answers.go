package ingest

import (
	"net/http"
	"time"

	"github.com/plgd-dev/go-coap/v3/message/codes"

	"vonglau/devices"
)

// retryAfter is what a device is told to wait when the refusal is ours: long
// enough for a disk to be freed or a sync to pass, short enough for a device
// with a small buffer.
const retryAfter = 10 * time.Second

// answer is one reason in the two request-response protocols. MQTT has its own
// table in ingest/mqtt, beside the packets it fills.
type answer struct {
	http int
	coap codes.Code
}

// answers says a reason in each protocol: RFC 9110 section 15, RFC 7252 section
// 5.9 and RFC 8132 section 2.3 (4.22). A sender whose identity is not proven
// learns nothing from the difference between "no such device" and "wrong token".
var answers = map[devices.Reason]answer{
	devices.ReasonUnknownDevice: {http.StatusUnauthorized, codes.Unauthorized},
	devices.ReasonBadCredential: {http.StatusUnauthorized, codes.Unauthorized},
	devices.ReasonQuarantined:   {http.StatusForbidden, codes.Forbidden},
	devices.ReasonForeignDevice: {http.StatusForbidden, codes.Forbidden},
	devices.ReasonBadTopic:      {http.StatusNotFound, codes.NotFound},
	devices.ReasonCloned:        {http.StatusForbidden, codes.Forbidden},
	devices.ReasonForeignPrefix: {http.StatusForbidden, codes.Forbidden},

	devices.ReasonTooLarge:       {http.StatusRequestEntityTooLarge, codes.RequestEntityTooLarge},
	devices.ReasonBadFormat:      {http.StatusUnsupportedMediaType, codes.UnsupportedMediaType},
	devices.ReasonMalformed:      {http.StatusBadRequest, codes.BadRequest},
	devices.ReasonBadVersion:     {http.StatusBadRequest, codes.BadRequest},
	devices.ReasonMandatoryLabel: {http.StatusBadRequest, codes.BadRequest},
	devices.ReasonEmpty:          {http.StatusBadRequest, codes.BadRequest},

	devices.ReasonUnknownQuantity: {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonBadUnit:         {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonNotANumber:      {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonOutOfRange:      {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonBadPosition:     {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonSwappedPosition: {http.StatusUnprocessableEntity, unprocessable},
	devices.ReasonClockSuspect:    {http.StatusUnprocessableEntity, unprocessable},

	devices.ReasonBusy:        {http.StatusTooManyRequests, tooManyRequests},
	devices.ReasonUnavailable: {http.StatusServiceUnavailable, codes.ServiceUnavailable},
	devices.ReasonShutting:    {http.StatusServiceUnavailable, codes.ServiceUnavailable},
}

const (
	unprocessable   = codes.Code(4<<5 | 22) // 4.22 Unprocessable Entity, RFC 8132 section 2.3
	tooManyRequests = codes.Code(4<<5 | 29) // 4.29 Too Many Requests, RFC 8516
)

// answerFor says err to a device.
func answerFor(err error) (*devices.Refusal, answer) {
	r := asRefusal(err)
	if a, ok := answers[r.Reason]; ok {
		return r, a
	}
	return r, answer{http.StatusInternalServerError, codes.InternalServerError}
}
