package devices

// Format is how a payload's bytes are to be read. FORMAT.md describes each.
type Format string

const (
	FormatAuto      Format = "" // the profile's, else JSON; a SenML pack is recognised
	FormatJSON      Format = "json"
	FormatCBOR      Format = "cbor"
	FormatSenMLJSON Format = "senml+json"
	FormatSenMLCBOR Format = "senml+cbor"
	FormatLine      Format = "line" // InfluxDB line protocol
)
