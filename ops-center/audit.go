package opscenter

import (
	"context"

	"vonglau/ops-center/access"
)

// changed notes what a request changed, for the record: act is what was done,
// such as "rule.apply", object what it was done to, and before and after what
// is kept of it, nil where there is none. Secrets and personal data do not
// belong in them.
func (a *api) changed(ctx context.Context, act, object string, before, after any) {
	who, _ := access.From(ctx)
	a.Log.Info("changed", "act", act, "object", object, "by", who.Name, "role", string(who.Role))
}
