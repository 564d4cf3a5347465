// Package ingest is the way in: four doors and one gate.
//
// The doors (MQTT, CoAP, HTTP, and the bridge to somebody else's broker) speak
// a protocol, prove who is speaking, and hand bytes to the gate. The gate
// decodes, judges, places and appends; it answers once, and only when the
// answer is on disk. A door never sends an acknowledgement of its own accord,
// so the promise "acked means stored" is kept in one place.
//
// What is refused for good is evidence: it is stored too, within a budget, so
// that an operator can see what a device tried to say, and only then is the
// device told. What is refused for now (journal full, shutting down) is not
// acknowledged in any protocol, and the device keeps it.
//
// Nothing here waits for a reader of the journal: a store that is down, a slow
// wall or a stuck rule engine cannot delay a device.
package ingest
