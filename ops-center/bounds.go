package opscenter

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"vonglau/devices"
	"vonglau/ops-center/access"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/audit"
	"vonglau/ops-center/live"
)

// An officer of a department sees and handles the alarms of the department, in
// the officer's wards. What is not an officer's business is answered as if it
// were not there.

// AlarmBounds gives what bounds the sight of an alarm: the department that
// it is assigned to, else the one that answers for its device, else the one that
// answers for its rule, and the codes of the zones it is in.
func AlarmBounds(register *devices.Register, al *alert.Alarm) (department string, zones []string) {
	department = al.Owner
	if d, ok := register.Get(al.Device); ok && d.Owner != "" {
		department = d.Owner
	}
	if al.Assigned != nil && al.Assigned.Answer != "returned" {
		department = al.Assigned.Department
	}
	for _, z := range al.Zones {
		if !slices.Contains(zones, z.Code) {
			zones = append(zones, z.Code)
		}
	}
	return department, zones
}

// sees tells whether an alarm is the business of who asks.
func (a *api) sees(who access.Principal, al *alert.Alarm) bool {
	if who.Role != access.Officer {
		return true
	}
	return who.Sees(AlarmBounds(a.Register, al))
}

// discreetly leaves out of an answer what is declared personal (a tag
// `personal:"…"`), for callers who may not know who is who: a wall screen, a token
// that was narrowed.
func discreetly(ctx huma.Context, _ string, v any) (any, error) {
	if who, ok := access.From(ctx.Context()); !ok || mayKnow(who) {
		return v, nil
	}
	return audit.Shown(v)
}

func mayKnow(who access.Principal) bool {
	return who.May(access.ViewDirectory) || who.May(access.ViewPersonal)
}

// sceneSaid is what of a scene message is personal.
type sceneSaid struct {
	By string `json:"by,omitempty" personal:"name"`
}

// discreetLive does the same to what is sent over the live socket.
func discreetLive(kind string, raw []byte) []byte {
	if kind == live.SceneMessage {
		return audit.ShownAs[sceneSaid](raw)
	}
	return audit.ShownAs[alert.Alarm](raw)
}

// mine refuses to handle an alarm, open or closed, that is not the caller's
// business.
func (a *api) mine(ctx context.Context, id string) error {
	who, _ := access.From(ctx)
	if who.Role != access.Officer {
		return nil
	}
	for _, al := range a.Alarms.List() {
		if al.ID == id && a.sees(who, &al) {
			return nil
		}
	}
	if a.Life != nil {
		if _, open := a.Life.Get(id); !open {
			_, err := a.story(ctx, id) // comments, and false alarms, are of closed ones too
			return err
		}
	}
	return huma.Error404NotFound(alert.ErrNoAlarm.Error())
}
