package access

import "slices"

// Role is what a person or program is here for.
type Role string

// The roles. The strings are in the configuration and in the sessions file:
// never rename one.
const (
	Admin    Role = "admin"    // everything
	Operator Role = "operator" // sees all, handles alarms, tells devices what to do
	Display  Role = "display"  // a wall screen: sees what is on the wall
)

// Permission is what a route asks of whoever calls it. Each route declares one.
type Permission string

const (
	// Public routes ask nothing: health, and the files of the wall, which hold
	// no data.
	Public Permission = "public"
	// Self routes check their caller themselves: log-in, and what devices call
	// with credentials of their own.
	Self Permission = "self"

	View           Permission = "view"            // readings, alarms, layers, the live socket
	ViewEvidence   Permission = "view_evidence"   // refused payloads and where they came from
	ViewStatus     Permission = "view_status"     // how the system is
	HandleAlarms   Permission = "handle_alarms"   // acknowledge
	SendCommands   Permission = "send_commands"   // to devices; a dangerous one needs two people
	ManageDevices  Permission = "manage_devices"  // register; gives out tokens
	ManageFirmware Permission = "manage_firmware" // images and campaigns
	ManageLayers   Permission = "manage_layers"
	ManageRules    Permission = "manage_rules"
	Operate        Permission = "operate" // let the journal go on after a failed sync
)

// Permissions lists all that a role can be granted.
var permissions = []Permission{View, ViewEvidence, ViewStatus, HandleAlarms, SendCommands, ManageDevices, ManageFirmware, ManageLayers, ManageRules, Operate}

// granted is the table: who may do what. What is not in it is refused.
var granted = map[Role][]Permission{
	Admin:    permissions,
	Operator: {View, ViewEvidence, ViewStatus, HandleAlarms, SendCommands},
	Display:  {View},
}

// Known reports whether r is one of the roles.
func (r Role) Known() bool {
	_, ok := granted[r]
	return ok
}

// May reports whether the role has a permission.
func (r Role) May(p Permission) bool {
	for _, g := range granted[r] {
		if g == p {
			return true
		}
	}
	return false
}

// Permissions lists what the role may do.
func (r Role) Permissions() []Permission { return slices.Clone(granted[r]) }
