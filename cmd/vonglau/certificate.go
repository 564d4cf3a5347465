package main

import (
	"context"
	"fmt"
	"time"

	"vonglau/devices"
	"vonglau/ops-center/audit"
)

// When the end of a certificate is told as a security event, once a day. The
// server renews its own earlier than that: one that is told was not renewed, or
// is brought by the operator.
const (
	serverEnds = 14 * 24 * time.Hour
	caEnds     = 90 * 24 * time.Hour
	deviceEnds = 7 * 24 * time.Hour
	lookDaily  = 24 * time.Hour
)

// ending gives a signal for each certificate of the server that ends soon, and
// one for all devices whose credentials do and have nothing behind them.
func ending(now time.Time, ends map[string]time.Time, expiring []devices.Expiry) (list []audit.Signal) {
	for name, within := range map[string]time.Duration{"server": serverEnds, "ca": caEnds} {
		if end, ok := ends[name]; ok && end.Sub(now) < within {
			list = append(list, audit.Signal{Kind: audit.Certificate, Key: name, At: now, Detail: fmt.Sprintf("the certificate ends %s", end.UTC().Format(time.RFC3339))})
		}
	}
	if n := len(expiring); n > 0 {
		first := expiring[0]
		list = append(list, audit.Signal{Kind: audit.Certificate, Key: "devices", At: now, Detail: fmt.Sprintf(
			"%d credentials of devices end within a week and nothing replaces them; the first is of %s, %s", n, first.Device, first.Credential.Expires.UTC().Format(time.RFC3339))})
	}
	return list
}

// watchCertificates tells what is about to end, at the start and every day.
func (s *Server) watchCertificates(ctx context.Context) error {
	tick := time.NewTicker(lookDaily)
	defer tick.Stop()
	for {
		now := time.Now()
		for _, signal := range ending(now, s.trust.Ends(), s.register.Expiring(now, deviceEnds)) {
			s.audit.security.Signal(signal)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
