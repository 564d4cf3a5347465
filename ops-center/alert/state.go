package alert

// State is where an alarm is in its life, as ISA-18.2 (IEC 62682) draws it.
type State string

// The states. The strings are stored and shown: never rename one.
const (
	Normal         State = "normal"
	Unacknowledged State = "unacknowledged" // the condition holds, nobody has seen it
	Acknowledged   State = "acknowledged"   // the condition holds, somebody has
	Returned       State = "returned"       // the condition is over, nobody has seen it
	Shelved        State = "shelved"        // put aside by an operator, for a time
	Suppressed     State = "suppressed"     // hidden by design, such as behind a node that is down
	OutOfService   State = "out_of_service" // hidden by maintenance
)

// Event is what moves an alarm.
type Event string

// The events. The strings are stored: never rename one.
const (
	Raise      Event = "raise"       // the condition began
	Clear      Event = "clear"       // the condition ended
	Ack        Event = "acknowledge" // an operator has seen it
	Shelve     Event = "shelve"
	Unshelve   Event = "unshelve" // by the operator or at the end of its time
	Suppress   Event = "suppress"
	Unsuppress Event = "unsuppress"
	Remove     Event = "remove_from_service"
	Restore    Event = "return_to_service"

	// The ones below say something about an alarm and leave it where it is.
	Hold      Event = "claim"
	LetGo     Event = "release" // by the operator or at the end of its time
	Say       Event = "comment"
	Assign    Event = "assign"
	Accept    Event = "accept"
	Decline   Event = "return" // to whoever assigned it
	MarkFalse Event = "mark_false"
)

// note reports whether an event leaves the state as it is.
func (e Event) note() bool {
	switch e {
	case Hold, LetGo, Say, Assign, Accept, Decline, MarkFalse:
		return true
	}
	return false
}

// ofPeople reports whether an event is an act of a person, on one alarm.
func (e Event) ofPeople() bool {
	switch e {
	case Ack, Shelve, Unshelve, Remove, Restore:
		return true
	}
	return e.note()
}

// alarmed and calm are what an alarm comes back to when it is shown again: a
// condition that holds wants to be seen, one that does not is over.
var moves = map[State]map[Event]struct{ alarmed, calm State }{
	Normal: {
		Raise:    {Unacknowledged, Unacknowledged},
		Shelve:   {Shelved, Shelved},
		Suppress: {Suppressed, Suppressed},
		Remove:   {OutOfService, OutOfService},
	},
	Unacknowledged: {
		Clear:    {Returned, Returned},
		Ack:      {Acknowledged, Acknowledged},
		Shelve:   {Shelved, Shelved},
		Suppress: {Suppressed, Suppressed},
		Remove:   {OutOfService, OutOfService},
	},
	Acknowledged: {
		Clear:    {Normal, Normal},
		Shelve:   {Shelved, Shelved},
		Suppress: {Suppressed, Suppressed},
		Remove:   {OutOfService, OutOfService},
	},
	Returned: {
		Raise:    {Unacknowledged, Unacknowledged},
		Ack:      {Normal, Normal},
		Shelve:   {Shelved, Shelved},
		Suppress: {Suppressed, Suppressed},
		Remove:   {OutOfService, OutOfService},
	},
	Shelved: {
		Raise:    {Shelved, Shelved},
		Clear:    {Shelved, Shelved},
		Unshelve: {Unacknowledged, Normal},
		Suppress: {Suppressed, Suppressed},
		Remove:   {OutOfService, OutOfService},
	},
	Suppressed: {
		Raise:      {Suppressed, Suppressed},
		Clear:      {Suppressed, Suppressed},
		Unsuppress: {Unacknowledged, Normal},
		Suppress:   {Suppressed, Suppressed}, // for another cause
		Shelve:     {Shelved, Shelved},
		Remove:     {OutOfService, OutOfService},
	},
	OutOfService: {
		Raise:   {OutOfService, OutOfService},
		Clear:   {OutOfService, OutOfService},
		Restore: {Unacknowledged, Normal},
	},
}

// Move gives the state an event leads to. active is whether the condition holds
// after the event. ok is false for an event that means nothing in the state,
// such as an acknowledgement of what is acknowledged.
func (s State) Move(e Event, active bool) (to State, ok bool) {
	if e.note() {
		return s, s != Normal
	}
	m, ok := moves[s][e]
	if !ok {
		return s, false
	}
	if active {
		return m.alarmed, true
	}
	return m.calm, true
}

// Colours reports whether an alarm in this state colours the map: the condition
// holds and nobody has put it aside. One that has returned asks to be seen, in
// the list; on the map it would claim what is no longer so (ISA-18.2 tells the
// two apart).
func (s State) Colours() bool { return s == Unacknowledged || s == Acknowledged }

// Shown reports whether an alarm in this state is in the list and asks for
// somebody.
func (s State) Shown() bool {
	return s == Unacknowledged || s == Acknowledged || s == Returned
}
