// Package alert turns readings into alarms.
//
// A Rule says which condition of a device is an alarm, who answers for it and
// what is to be done. An Alarm is one continuous condition of one rule and one
// device; it moves between the states of ISA-18.2 (see State) by Transitions.
//
// Order and durability: Handle takes the journal's readings in the journal's
// order. A transition is appended to the log before anyone hears of it, and
// Handle returns an error, not to move on, while the log does not take it. The
// alarms are the fold of that log; every record carries the hash of the one
// before it.
//
// Time: conditions are judged in event time. A reading not newer than the
// newest one judged for the same rule and device changes nothing, so late data
// never raises an old alarm again and a duplicate counts once. An event time ahead
// of its arrival counts as the arrival. What several devices say together is
// judged when its moment is over (moment.go). Silence looks at the clock, through
// Tick, and a moment after which nothing is reported.
//
// Restart: what the engine remembers beside the alarms (delays under way, rain
// of the last hour) is written to the store from time to time together with the
// sequence of the last reading in it. Next gives the sequence to read the
// journal from after a start; reading from there again gives the same alarms
// and repeats no transition.
//
// People: Act does what a person does to an alarm, as a transition with who and
// why; what it says beside the state is Life. Tick ends shelves and claims and
// suppresses what plans and inhibiting rules expect; those transitions are of the
// clock, not of the rules, and are not judged again after a restart. At, History,
// Story and Performance read the log, from the checkpoint before the time that is
// asked for.
//
// Handle, Tick, Apply and Act are safe to call at once; each waits for
// the log. Subscribers are called one transition after the other and must not
// block.
package alert
