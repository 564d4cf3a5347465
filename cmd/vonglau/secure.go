package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vonglau/devices/trust"
	"vonglau/ingest"
)

// openTrust opens what the server proves itself by.
func (s *Server) openTrust(context.Context) (err error) {
	c := s.cfg.TLS
	s.trust, err = trust.Open(trust.Options{
		Dir: s.cfg.Data, Names: c.Names, Certificate: c.Certificate, Key: c.Key,
		DeviceCA: c.DeviceCA, DeviceCRL: c.DeviceCRL, DeviceLifetime: c.DeviceLifetime,
		Log: s.log.With("part", "trust"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	return s.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vonglau_credentials_expiring", Help: "Credentials of devices that end within 30 days and that nothing replaces.",
	}, func() float64 { return float64(len(s.register.Expiring(time.Now(), 30*24*time.Hour))) }))
}

// plainDoor is the list of a door's addresses that may be shut.
func plainDoor(addr string) []string {
	if addr == "" {
		return nil
	}
	return []string{addr}
}

// startMQTTS opens the MQTT door over TLS. A connection does its handshake in
// its own goroutine, within the time it has to prove itself.
func (s *Server) startMQTTS(ctx context.Context) (err error) {
	if s.cfg.Listen.MQTTS == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.mqtts, err = lc.Listen(ctx, "tcp", s.cfg.Listen.MQTTS); err != nil {
		return fmt.Errorf("listen.mqtts: %w", err)
	}
	if err := s.mqtt.Serve(tls.NewListener(s.mqtts, s.trust.ServerConfig(true))); err != nil {
		return fmt.Errorf("listen.mqtts: %w", err)
	}
	return nil
}

func (s *Server) startCoAP() (err error) {
	if s.cfg.Listen.CoAP == "" && s.cfg.Listen.CoAPS == "" {
		return nil
	}
	s.coap, err = ingest.NewCoAP(s.gate, s.cfg.Listen.CoAP, ingest.CoAPOptions{
		Secure: s.cfg.Listen.CoAPS, Commands: s.commands, Images: s.images, States: s.states,
		Log: s.log.With("part", "coap"), Metrics: s.registry,
	})
	if err != nil {
		return fmt.Errorf("listen.coap and listen.coaps: %w", err)
	}
	s.coap.Start()
	s.running.add("coap", func(context.Context) error { s.coap.Stop(); return nil })
	return nil
}

// warnPlain says once which doors others on the network can listen at.
func (s *Server) warnPlain() {
	var open []string
	for _, door := range []struct{ key, addr string }{
		{"listen.http", s.cfg.Listen.HTTP}, {"listen.mqtt", s.cfg.Listen.MQTT}, {"listen.coap", s.cfg.Listen.CoAP},
	} {
		host, _, err := net.SplitHostPort(door.addr)
		if err != nil || host == "localhost" {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
			continue
		}
		open = append(open, door.key+" "+door.addr)
	}
	if len(open) > 0 {
		s.log.Warn("doors that are not encrypted are open to the network; tokens pass them readable. Set them to \"\" or a loopback address when no device needs them",
			"doors", strings.Join(open, ", "))
	}
}
