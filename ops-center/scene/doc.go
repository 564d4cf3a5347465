// Package scene keeps the displays of an operations center and what they show.
//
// A scene is a grid of panels; each change of one makes a version that never
// changes again. A display is a named screen. What it shows is decided here and
// not in its browser, so that a screen that starts again, and a server that
// starts again, show what they showed. The order of precedence:
//
//  1. a push that locks, by somebody of at least the rank of who locked before
//  2. an alarm that takes the display over, until its time is up
//  3. the newest push whose time is not up; pushes lie on each other
//  4. the item of the display's playlist whose turn it is
//  5. the display's own scene
//  6. the default scene, which is always there
//
// Everything people do is an act in an append-only record, and the state is the
// fold of it: At gives the scenes of any time. A second record holds what the
// screens said they showed, not what they were told: Shown gives it at any time,
// and that a screen was dark counts as something it showed. Take-overs are of the
// moment: after a restart the alarms that still wait take over anew.
//
// A screen proves that it lives by health reports; one not heard for DeadAfter
// is dead. Nothing here blocks on a screen, and acts wait only for the record.
package scene
