// Package live pushes what the city says now to the screens that show it.
//
// The Hub is a fold of the journal: the latest value of every channel (one
// quantity of one device), where moving devices are, and the open alarms. It
// forgets nothing it cannot get back: after a restart the journal's reader
// replays from an earlier point and the same values come out, because Apply
// ignores what is older than what it has.
//
// Changes gather until the next tick. A tick is immutable, carries sequence
// numbers, and lies in one ring that all screens share. The ring is the only
// queue there is: every screen has a cursor in it and one goroutine that
// writes. A screen that keeps up is sent each tick, encoded once for all who
// subscribe to the same. One that falls behind is sent several ticks as one
// frame in which the last value of a channel wins; alarms are never merged,
// each change is sent in order. One whose cursor has left the ring is closed
// with TooSlow and comes back to a snapshot. A screen that reconnects in time
// names the last sequence it saw and goes on from there: a resume is nothing
// but a cursor.
//
// Nobody who applies anything ever waits for a screen. Apply, ApplyStatus,
// ApplyDevice and ApplyAlarm take one lock for the time it takes to change
// memory.
//
// PROTOCOL.md has the bytes.
package live
