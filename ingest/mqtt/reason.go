package mqtt

import (
	"errors"

	"vonglau/devices"
)

// Reason codes (MQTT 5 section 2.4).
const (
	codeSuccess            = 0x00
	codeDisconnectWithWill = 0x04
	codeNoSubscription     = 0x11
	codeUnspecified        = 0x80
	codeMalformed          = 0x81
	codeProtocol           = 0x82
	codeImplementation     = 0x83
	codeVersion            = 0x84
	codeClientID           = 0x85
	codeCredentials        = 0x86
	codeNotAuthorized      = 0x87
	codeUnavailable        = 0x88
	codeBusy               = 0x89
	codeBanned             = 0x8A
	codeShuttingDown       = 0x8B
	codeAuthMethod         = 0x8C
	codeKeepAlive          = 0x8D
	codeTakenOver          = 0x8E
	codeFilter             = 0x8F
	codeTopicName          = 0x90
	codeIDInUse            = 0x91
	codeIDNotFound         = 0x92
	codeReceiveMaximum     = 0x93
	codeTopicAlias         = 0x94
	codeTooLarge           = 0x95
	codeQuota              = 0x97
	codeAdministrative     = 0x98
	codePayloadFormat      = 0x99
	codeShared             = 0x9E
)

// Return codes of a 3.1.1 CONNACK (MQTT 3.1.1 table 3.1), and the failure code
// of its SUBACK.
const (
	return311Version       = 1
	return311ClientID      = 2
	return311Unavailable   = 3
	return311Credentials   = 4
	return311NotAuthorized = 5
	suback311Failure       = 0x80
)

// codes is how one devices.Reason is said in MQTT: to a CONNECT of MQTT 5 and
// of 3.1.1, to a PUBLISH (in PUBACK and PUBREC of MQTT 5), to a SUBSCRIBE of
// MQTT 5. Only codes the standard allows in the packet stand in its column.
type codes struct{ connect, connect311, publish, subscribe byte }

// refusalCodes is the one table. Nothing tells an unknown device from a wrong
// token. 0x97 to a PUBLISH is said of nothing but what is worth a retry, so a
// device can tell "keep it" from "drop it" by the code.
var refusalCodes = map[devices.Reason]codes{
	devices.ReasonUnknownDevice: {codeCredentials, return311Credentials, codeNotAuthorized, codeNotAuthorized},
	devices.ReasonBadCredential: {codeCredentials, return311Credentials, codeNotAuthorized, codeNotAuthorized},
	devices.ReasonQuarantined:   {codeNotAuthorized, return311NotAuthorized, codeNotAuthorized, codeNotAuthorized},
	devices.ReasonForeignDevice: {codeNotAuthorized, return311NotAuthorized, codeNotAuthorized, codeNotAuthorized},
	devices.ReasonBadTopic:      {codeTopicName, return311NotAuthorized, codeTopicName, codeFilter},
	devices.ReasonCloned:        {codeBanned, return311NotAuthorized, codeNotAuthorized, codeNotAuthorized},
	devices.ReasonForeignPrefix: {codeNotAuthorized, return311NotAuthorized, codeNotAuthorized, codeNotAuthorized},

	devices.ReasonTooLarge:       {codeTooLarge, return311NotAuthorized, codeImplementation, codeImplementation},
	devices.ReasonBadFormat:      {codePayloadFormat, return311NotAuthorized, codePayloadFormat, codeImplementation},
	devices.ReasonMalformed:      {codePayloadFormat, return311NotAuthorized, codePayloadFormat, codeImplementation},
	devices.ReasonBadVersion:     {codePayloadFormat, return311NotAuthorized, codePayloadFormat, codeImplementation},
	devices.ReasonMandatoryLabel: {codePayloadFormat, return311NotAuthorized, codePayloadFormat, codeImplementation},
	devices.ReasonEmpty:          {codePayloadFormat, return311NotAuthorized, codePayloadFormat, codeImplementation},

	devices.ReasonBusy:        {codeBusy, return311Unavailable, codeQuota, codeQuota},
	devices.ReasonUnavailable: {codeUnavailable, return311Unavailable, codeQuota, codeQuota},
	devices.ReasonShutting:    {codeUnavailable, return311Unavailable, codeQuota, codeQuota},
}

// codesOf also covers the reasons about values, which parse and make no sense,
// and any added later.
func codesOf(r devices.Reason) codes {
	if c, ok := refusalCodes[r]; ok {
		return c
	}
	return codes{codeImplementation, return311NotAuthorized, codeImplementation, codeImplementation}
}

// verdict is how one PUBLISH is answered.
type verdict struct {
	code   byte
	reason string         // for the reason string
	label  devices.Reason // for the metric, empty for a success
	close  bool           // answer by ending the connection
}

const labelFault devices.Reason = "fault" // an error that is no refusal

// judge turns the outcome of a PUBLISH into its answer.
func judge(version byte, err error) verdict {
	if err == nil {
		return verdict{}
	}
	var r *devices.Refusal
	switch {
	case !errors.As(err, &r) || r == nil:
		return verdict{code: codeUnspecified, label: labelFault, close: true}
	case r.Kept:
		return verdict{label: r.Reason}
	case version == version5:
		return verdict{code: codesOf(r.Reason).publish, reason: r.Error(), label: r.Reason}
	case r.Reason.Retry():
		return verdict{code: codeQuota, reason: r.Error(), label: r.Reason, close: true}
	}
	return verdict{label: r.Reason}
}

// wireError is a packet that breaks the standard or a limit, with the MQTT 5
// reason code that says so.
type wireError struct {
	code   byte
	detail string
}

func (e *wireError) Error() string { return e.detail }

func malformed(detail string) *wireError { return &wireError{codeMalformed, detail} }
func protocol(detail string) *wireError  { return &wireError{codeProtocol, detail} }
