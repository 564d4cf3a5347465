package devices

import "time"

// Device is one entry of the register.
type Device struct {
	ID      ID       `json:"id"`
	Name    string   `json:"name,omitempty"`
	Profile string   `json:"profile"`
	At      Position `json:"at"` // zero for a moving device
	// State is where the device is in its life.
	State LifeState `json:"state"`
	// Upstream is the node it hangs on (gateway, cabinet), empty when none.
	Upstream ID `json:"upstream,omitempty"`
	// Owner is the department answerable for it; Departments knows its head.
	Owner string `json:"owner,omitempty"`
	// Site is where it stands in people's words: a street, a roof, a cabinet.
	Site string `json:"site,omitempty"`
	// Model is the maker's name for what it is, Firmware the version it runs.
	Model    string `json:"model,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	// Simulated devices are marked wherever they are shown.
	Simulated bool `json:"simulated,omitempty"`
	// Exercise names the drill that the device was made for, empty for a device
	// of the city. What it reports goes the way of every reading and counts in
	// no figure, zone or open data. It is for life: a device of the city never
	// becomes one, nor the other way.
	Exercise string `json:"exercise,omitempty"`
	// TokenHash is the SHA-256 of the device's token. The token has 256 random
	// bits, so a slow hash would protect nothing.
	TokenHash []byte `json:"tokenHash,omitempty"`
	// Credentials are what else it may prove itself by.
	Credentials []Credential `json:"credentials,omitempty"`
	// Revoked is when all its credentials were last taken away: a certificate of
	// a device CA issued before it does not count.
	Revoked time.Time `json:"revoked,omitzero"`
	// Entry is how it comes in by itself; nil when an administrator gave it its
	// credentials. It is shared between versions of the device: never changed.
	Entry *Entry    `json:"entry,omitempty"`
	Added time.Time `json:"added"`
}

// Public is the device as others may see it: without its credentials.
func (d *Device) Public() *Device {
	p := *d
	p.TokenHash, p.Credentials, p.Entry = nil, nil, nil
	return &p
}
