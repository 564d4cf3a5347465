// Package series keeps what devices reported as time series and answers
// questions about it: raw points, buckets, the latest values, buckets by zone,
// and where a moving device has been.
//
// There are two implementations of Store, and one suite of tests for both:
// Embedded, the Prometheus tsdb library in this process, and Influx, an
// InfluxDB 1.8 or 2.x server. A Writer drains the journal into a Store.
//
// # One value per device, quantity and millisecond
//
// A value is identified by device, quantity and event time. What arrives again
// with the same number in the same zones changes nothing and is counted as a
// duplicate, so the same batch may be written any number of times. When the
// number or the zones differ, the later arrival (Message.Received) wins and the
// overwrite is counted. Neither database does this by itself: tsdb refuses or
// silently keeps both, InfluxDB replaces silently and keeps both when a tag
// differs. So every Write is judged before it is stored (see ledger): a value
// newer than all the device has sent of that quantity is new without a look;
// any other is compared with what is stored. That look costs one query for many
// values, and only late data and replays pay it.
//
// # Durability
//
// The journal is the truth; a store may lag behind it and may be rebuilt from
// it. Write returns nil when the store has taken the values; Sync returns nil
// when everything written before survives a power cut. The journal's cursor
// moves after Sync only, which is what Writer does. A Write that failed stored
// all, some or none of its values: write the same messages again.
//
// # Zones and places
//
// A value is stored under the zone versions it fell into when it was admitted,
// so grouping by zone needs no spatial query. Positions are stored beside the
// values whenever they differ from the device's previous one.
package series
