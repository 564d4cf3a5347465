package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vonglau/ingest/journal"
)

// version is set by the build.
var version = "unversioned"

// stopWait bounds a clean stop.
const stopWait = 60 * time.Second

func newServe() *cobra.Command {
	var config, data string
	var check bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "run the server",
		Long: `Run the server until SIGINT or SIGTERM.

Flags go before the configuration file, which goes before the defaults;
deploy/vonglau.example.yaml explains every key. When all doors are open,
DATA/addresses.json tells where; the first start writes DATA/admin.token and
DATA/ca.pem, the city CA that devices and browsers know the server by.

A flag for a plain door alone moves its twin over TLS to the same host, and to a
free port when its own is 0.`,
		Example: `  vonglau serve
  vonglau serve --config /etc/vonglau/vonglau.yaml --check
  vonglau serve --data /tmp/try --http '[::1]:0' --mqtt '[::1]:0' --coap '[::1]:0'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := LoadConfig(config)
			if err != nil {
				return err
			}
			for flag, into := range map[string]*string{
				"data": &cfg.Data, "http": &cfg.Listen.HTTP, "mqtt": &cfg.Listen.MQTT, "coap": &cfg.Listen.CoAP,
				"https": &cfg.Listen.HTTPS, "mqtts": &cfg.Listen.MQTTS, "coaps": &cfg.Listen.CoAPS,
			} {
				if cmd.Flags().Changed(flag) {
					*into, _ = cmd.Flags().GetString(flag)
				}
			}
			// Whoever names the address of a door names the place of its twin over
			// TLS as well, unless that one was named too.
			def := DefaultConfig().Listen
			for _, door := range []struct {
				plain         string
				at            string
				secure, usual *string
			}{
				{"http", cfg.Listen.HTTP, &cfg.Listen.HTTPS, &def.HTTPS},
				{"mqtt", cfg.Listen.MQTT, &cfg.Listen.MQTTS, &def.MQTTS},
				{"coap", cfg.Listen.CoAP, &cfg.Listen.CoAPS, &def.CoAPS},
			} {
				if f := cmd.Flags(); f.Changed(door.plain) && !f.Changed(door.plain+"s") && *door.secure == *door.usual {
					*door.secure = twin(door.at, *door.secure)
				}
			}
			if err := cfg.Check(); err != nil {
				return fmt.Errorf("configuration:\n%w", err)
			}
			if check {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
				return err
			}
			return failed(serve(cmd.Context(), cfg))
		},
	}
	f := c.Flags()
	f.StringVar(&config, "config", "", "configuration file (YAML)")
	f.StringVar(&data, "data", "", "folder for everything that is kept (default data)")
	for _, door := range []struct{ name, usage string }{
		{"https", "address of API, wall and WebSocket over TLS (default [::]:8443)"},
		{"mqtts", "address of the MQTT door over TLS (default [::]:8883)"},
		{"coaps", "address of the CoAP door over DTLS (default [::]:5684)"},
		{"http", "address of API, wall and WebSocket, not encrypted (default [::]:8080)"},
		{"mqtt", "address of the MQTT door, not encrypted (default [::]:1883)"},
		{"coap", "address of the CoAP door, not encrypted (default [::]:5683)"},
	} {
		f.String(door.name, "", door.usage+"; empty keeps it shut")
	}
	f.BoolVar(&check, "check", false, "read the configuration, say whether it can work, and stop")
	return c
}

// twin is where the TLS door stands beside a plain one: on the same host, on a
// free port where that one takes a free port, else on its own. An address that
// cannot be read, or none, moves nothing.
func twin(plain, secure string) string {
	host, port, err := net.SplitHostPort(plain)
	_, own, err2 := net.SplitHostPort(secure)
	switch {
	case err != nil || err2 != nil:
		return secure
	case port == "0":
		own = "0"
	}
	return net.JoinHostPort(host, own)
}

func serve(ctx context.Context, cfg Config) error {
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	started := time.Now()
	s, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	a := s.Addr()
	log.Info("vonglau is up", "version", version, "https", a.HTTPS, "mqtts", a.MQTTS, "coaps", a.CoAPS,
		"http", a.HTTP, "mqtt", a.MQTT, "coap", a.CoAP,
		"data", cfg.Data, "took", time.Since(started).Round(time.Millisecond))
	var broken error
	select {
	case <-ctx.Done():
	case broken = <-s.Broken():
	}
	log.Info("stopping")
	stopping, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if err := errors.Join(broken, s.Stop(stopping)); err != nil {
		return err
	}
	log.Info("stopped; everything acknowledged is on disk")
	return nil
}

func newLogger(c LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level %q: write debug, info, warn or error", c.Level)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
}

// newVerify reads the journal of a server that is not running.
func newVerify() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "verify",
		Short: "check every record of a stopped server's journal",
		Long: `Read the whole journal of a server that is not running and check every record:
length, checksum, sequence, chain. Changes nothing. Exit code 1 when anything
is damaged or missing, with what and where.`,
		Example: "  vonglau verify --data /var/lib/vonglau",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := filepath.Join(data, "journal")
			if _, err := os.Stat(dir); err != nil {
				return failed(fmt.Errorf("there is no journal to check: %w", err))
			}
			last := time.Now()
			report, err := journal.VerifyDir(cmd.Context(), dir, func(r journal.Report) {
				if time.Since(last) > time.Second {
					last = time.Now()
					fmt.Fprintf(os.Stderr, "%d records, %d MiB read\n", r.Records, r.Bytes>>20)
				}
			})
			if err != nil {
				return failed(err)
			}
			raw, err := json.Marshal(report)
			if err != nil {
				return failed(err)
			}
			if err := printJSON(cmd.OutOrStdout(), raw); err != nil {
				return err
			}
			if len(report.Damage)+len(report.Losses) > 0 {
				return failed(errors.New("the journal is damaged; the report names the ranges"))
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "data", "the server's data folder")
	return c
}
