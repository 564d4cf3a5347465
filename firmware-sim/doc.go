// Package firmwaresim is a city of field devices as they behave: over real
// sockets, in a process of their own, with the protocols' ordinary clients.
//
// One World holds what is true of the city at a moment (rain, river, floods,
// traffic, current), as a pure function of the seed, the scenario and the
// simulated time. A device sees the World only through its sensors: it reads
// them at its own interval, stamps the reading with its own clock, which drifts
// and forgets, keeps it in a bounded memory until the server has acknowledged
// it, and sends it again when the acknowledgement went missing. So the readings
// of different devices agree with one another, and what reaches the server has
// every fault a field delivers: duplicates, stale bursts after an outage, times
// in 1970, malformed frames.
//
// A reading leaves a device's memory when the server acknowledged it or refused
// it for good, or when the memory is full and it is the oldest; the last is
// counted (Stats.Dropped). Nothing else loses one.
//
// Everything random comes from the seed. With the same seed the same devices
// stand at the same places and the World goes through the same states; only
// what the network does differs from run to run.
package firmwaresim
