// Package notify tells departments what they have subscribed to.
//
// # One log more
//
// What happens to alarms and public messages is in logs of their own. Feeders
// read these and append what anybody may subscribe to, as Events, to one log, the
// feed: one sequence over all sources, and what was subscribed to keeps its form
// when its source changes. A feeder knows where it was by the feed itself, so an
// event is in it once whatever is killed when.
//
// # One reader for each subscription
//
// A Subscription has a place in the feed. What its filter matches is delivered
// one at a time, in the feed's order, by one goroutine of its own; what waits
// waits in the feed, so a receiver that is slow or dead costs its own goroutine
// and one request, and holds up nobody. A Delivery has an id that is the same
// however often it is tried. Delivered means that the receiver said so: an HTTP
// status of 2xx, an SMTP 250, an acknowledgement on the stream.
//
// A delivery that fails is tried again after a time that doubles from a second to
// five minutes, less up to a quarter by chance, for 24 hours from when it was
// due. Then it is a dead letter, kept until somebody sends it again or puts it
// away, and the next has its turn.
//
// # At least once
//
// Receipts are appended to a log, those of many subscriptions in one record
// within some tens of milliseconds. The place of a subscription is the fold of
// its receipts. What was delivered when the program is killed and is not yet in
// the log is delivered again, with the same id.
//
// # Held back
//
// In quiet hours, and for a digest, deliveries are held until the hour or the
// day of the city's calendar is over, and then come together in one. Priority 1
// is never held.
//
// # Escalation
//
// When what was raised has no receipt (or nobody acknowledged it) in time, an
// event addressed to another subscription is appended to the feed. It is
// delivered like all others, and escalates like all others.
package notify
