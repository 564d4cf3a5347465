package main

import (
	"time"

	"vonglau/ingest"
)

// BoundsConfig bounds what is taken in; 0 is no bound.
type BoundsConfig struct {
	DeviceFair     float64       `yaml:"device_fair"`
	DeviceFactor   float64       `yaml:"device_factor"`
	DeviceMessages float64       `yaml:"device_messages"`
	DeviceBytes    Size          `yaml:"device_bytes"`
	SiteMessages   float64       `yaml:"site_messages"`
	SiteBytes      Size          `yaml:"site_bytes"`
	TotalMessages  float64       `yaml:"total_messages"`
	TotalBytes     Size          `yaml:"total_bytes"`
	Burst          time.Duration `yaml:"burst"`
	Connections    int           `yaml:"connections"`
	Sessions       int           `yaml:"sessions"`
}

func defaultBounds() BoundsConfig {
	return BoundsConfig{
		DeviceFair: 4, DeviceFactor: 1000, DeviceMessages: 1000, DeviceBytes: 1 << 20,
		SiteMessages: 20_000, SiteBytes: 16 << 20, TotalMessages: 200_000, TotalBytes: 256 << 20,
		Burst: 2 * time.Second, Connections: 50_000, Sessions: 16,
	}
}

func (b BoundsConfig) check(bad func(format string, args ...any)) {
	for key, v := range map[string]float64{
		"device_factor": b.DeviceFactor, "device_messages": b.DeviceMessages,
		"site_messages": b.SiteMessages, "total_messages": b.TotalMessages,
	} {
		if !(v >= 0 && v <= 1e9) {
			bad("bounds.%s: %v: need a number from 0, no bound, to a thousand million", key, v)
		}
	}
	if !(b.DeviceFair >= 1 && b.DeviceFair <= 1e6) {
		bad("bounds.device_fair: %v: a device must be let send what its profile says, 1 report an interval", b.DeviceFair)
	}
	if b.Burst < 100*time.Millisecond || b.Burst > time.Hour {
		bad("bounds.burst: %s: need 100ms to 1h", b.Burst)
	}
	if b.Connections < 1 || b.Connections > 1<<24 || b.Sessions < 1 || b.Sessions > 1<<16 {
		bad("bounds.connections and bounds.sessions: need at least 1")
	}
}

// options says the bounds to the gate.
func (b BoundsConfig) options() ingest.Bounds {
	bound := func(v float64) float64 {
		if v == 0 {
			return -1
		}
		return v
	}
	return ingest.Bounds{
		Fair: b.DeviceFair, Factor: bound(b.DeviceFactor), Messages: bound(b.DeviceMessages), Bytes: bound(float64(b.DeviceBytes)),
		SiteMessages: bound(b.SiteMessages), SiteBytes: bound(float64(b.SiteBytes)),
		TotalMessages: bound(b.TotalMessages), TotalBytes: bound(float64(b.TotalBytes)), Burst: b.Burst,
	}
}
