package access

import "slices"

// Role is what a person or program is here for.
type Role string

// The roles. The strings are in the configuration, in accounts and in the audit
// record: never rename one. A citizen is no role: what citizens see is public.
const (
	Admin       Role = "admin"        // installs and runs the system, its people and devices
	ShiftLeader Role = "shift_leader" // answers for the shift: approves, takes walls over
	Operator    Role = "operator"     // sees all, handles alarms, tells devices what to do
	Officer     Role = "officer"      // of a department: its own alarms, wards and subscriptions
	Executive   Role = "executive"    // reads, figures above all
	Analyst     Role = "soc_analyst"  // watches the system's own security
	Auditor     Role = "auditor"      // reads and exports the record of what was done
	Steward     Role = "data_steward" // answers for layers, thresholds, quality, personal data
	Display     Role = "display"      // a wall screen: sees what is on the wall
	DeviceRole  Role = "device"       // a device: none of the people's routes
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

	View           Permission = "view"             // readings, alarms, layers, scenes, the live socket
	ViewDirectory  Permission = "view_directory"   // who is who: departments, heads, people on shift
	ViewEvidence   Permission = "view_evidence"    // refused payloads and where they came from
	ViewStatus     Permission = "view_status"      // how the system is
	ViewFigures    Permission = "view_figures"     // key figures and alarm performance
	ViewAudit      Permission = "view_audit"       // who did what; and its export
	ViewSecurity   Permission = "view_security"    // security events
	ViewPersonal   Permission = "view_personal"    // fields declared as personal data
	ErasePersonal  Permission = "erase_personal"   // and their retention
	HandleAlarms   Permission = "handle_alarms"    // claim, acknowledge, comment, assign
	ShelveAlarms   Permission = "shelve_alarms"    // put aside for a time
	ServiceAlarms  Permission = "service_alarms"   // take out of service, suppress by design, and back
	SendCommands   Permission = "send_commands"    // to devices; a dangerous one needs two people
	DraftWarnings  Permission = "draft_warnings"   // public messages, drills among them
	ApproveWarning Permission = "approve_warnings" // the second person
	Subscribe      Permission = "subscribe"        // to alerts, for one's own department
	ManageScenes   Permission = "manage_scenes"    // edit what walls can show
	PushScenes     Permission = "push_scenes"      // put it on a wall
	ManageDisplays Permission = "manage_displays"  // screens and their tokens
	ManageDevices  Permission = "manage_devices"   // register; gives out tokens
	ManageFirmware Permission = "manage_firmware"  // images and campaigns
	ManageLayers   Permission = "manage_layers"
	ManageRules    Permission = "manage_rules"  // alarm rules and thresholds
	ManagePeople   Permission = "manage_people" // accounts, API tokens, every department's subscriptions
	Operate        Permission = "operate"       // let the journal go on after a failed sync
)

// permissions lists all that a role can be granted.
var permissions = []Permission{
	View, ViewDirectory, ViewEvidence, ViewStatus, ViewFigures, ViewAudit, ViewSecurity, ViewPersonal, ErasePersonal,
	HandleAlarms, ShelveAlarms, ServiceAlarms, SendCommands, DraftWarnings, ApproveWarning, Subscribe,
	ManageScenes, PushScenes, ManageDisplays, ManageDevices, ManageFirmware, ManageLayers, ManageRules, ManagePeople, Operate,
}

// granted is the table: who may do what. What is not in it is refused.
var granted = map[Role][]Permission{
	// The administrator runs the system; the record of what he did, and what
	// watches him, are not his.
	Admin: {
		View, ViewDirectory, ViewEvidence, ViewStatus, ViewFigures, HandleAlarms, ShelveAlarms, ServiceAlarms, SendCommands, DraftWarnings, ApproveWarning, Subscribe,
		ManageScenes, PushScenes, ManageDisplays, ManageDevices, ManageFirmware, ManageLayers, ManageRules, ManagePeople, Operate, ViewAudit,
	},
	ShiftLeader: {
		View, ViewDirectory, ViewEvidence, ViewStatus, ViewFigures, HandleAlarms, ShelveAlarms, ServiceAlarms, SendCommands, DraftWarnings, ApproveWarning,
		ManageScenes, PushScenes,
	},
	Operator: {
		View, ViewDirectory, ViewEvidence, ViewStatus, ViewFigures, HandleAlarms, ShelveAlarms, SendCommands, DraftWarnings, PushScenes,
	},
	// An officer sees devices, readings, plans, drills and public messages like
	// everybody; of alarms, the shift log, commands and subscriptions what is the
	// officer's department's and in the officer's wards (Principal.Sees).
	Officer:    {View, ViewDirectory, ViewFigures, HandleAlarms, Subscribe},
	Executive:  {View, ViewDirectory, ViewFigures},
	Analyst:    {View, ViewDirectory, ViewEvidence, ViewStatus, ViewSecurity},
	Auditor:    {View, ViewDirectory, ViewEvidence, ViewStatus, ViewFigures, ViewAudit, ViewSecurity},
	Steward:    {View, ViewDirectory, ViewEvidence, ViewFigures, ManageLayers, ManageRules, ViewPersonal, ErasePersonal},
	Display:    {View},
	DeviceRole: {},
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

// Roles lists the roles, those with most to do first.
func Roles() []Role {
	return []Role{Admin, ShiftLeader, Operator, Officer, Executive, Steward, Analyst, Auditor, Display, DeviceRole}
}

// Permissions lists all that a role can be granted.
func Permissions() []Permission { return slices.Clone(permissions) }
