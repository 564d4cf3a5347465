package main

import (
	"strings"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/audit"
)

// What is about to end is told, and nothing else.
func TestEndingCertificates(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	one := []devices.Expiry{{Device: "aq-1"}}
	one[0].Credential.Expires = day(3)
	for name, c := range map[string]struct {
		server, ca time.Time
		devices    []devices.Expiry
		want       string
	}{
		"all last":         {day(30), day(900), nil, ""},
		"the server's":     {day(13), day(900), nil, "server"},
		"it has ended":     {day(-1), day(900), nil, "server"},
		"the CA's":         {day(30), day(80), nil, "ca"},
		"those of devices": {day(30), day(900), one, "devices"},
	} {
		got := ending(now, map[string]time.Time{"server": c.server, "ca": c.ca}, c.devices)
		var keys []string
		for _, s := range got {
			keys = append(keys, s.Key)
			if s.Kind != audit.Certificate || s.Detail == "" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if strings.Join(keys, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, keys, c.want)
		}
	}
	if got := ending(now, nil, one); len(got) != 1 || !strings.Contains(got[0].Detail, "aq-1, 2026-11-25") {
		t.Errorf("%+v", got)
	}
}
