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
	// Owner is the department answerable for it.
	Owner string `json:"owner,omitempty"`
	// Simulated devices are marked wherever they are shown.
	Simulated bool `json:"simulated,omitempty"`
	// TokenHash is the SHA-256 of the device's token. The token has 256 random
	// bits, so a slow hash would protect nothing.
	TokenHash []byte `json:"tokenHash,omitempty"`
	// Credentials are what else it may prove itself by.
	Credentials []Credential `json:"credentials,omitempty"`
	// Revoked is when all its credentials were last taken away: a certificate of
	// a device CA issued before it does not count.
	Revoked time.Time `json:"revoked,omitzero"`
	Added   time.Time `json:"added"`
}

// Public is the device as others may see it: without its credentials.
func (d *Device) Public() *Device {
	p := *d
	p.TokenHash, p.Credentials = nil, nil
	return &p
}

// LifeState is a device's place in its life cycle.
type LifeState string

const (
	Quarantine  LifeState = "quarantined" // known, its reports are kept but not shown
	Active      LifeState = "active"
	Maintenance LifeState = "maintenance" // reports are stored, alarms are not raised
	Retired     LifeState = "retired"
)
