//go:build tools

// Package influxd keeps the InfluxDB 1.8 that tests run against in a module of
// its own, so that nothing of it gets into the product's go.mod. build.sh
// builds it.
package influxd

import _ "github.com/influxdata/influxdb/cmd/influxd"
