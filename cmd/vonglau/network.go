package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vonglau/devices"
	"vonglau/ingest"
)

// networkSave is how long it takes until all that was counted of the network is
// kept; what was not is counted again from the journal.
const networkSave = 30 * time.Second

func (s *Server) openNetwork(ctx context.Context) error {
	bucket, err := s.journal.Bucket(ctx, "prefixes")
	if err != nil {
		return err
	}
	if s.prefixes, err = devices.OpenPrefixes(ctx, bucket); err != nil {
		return err
	}
	if bucket, err = s.journal.Bucket(ctx, "network"); err != nil {
		return err
	}
	if s.network, err = devices.OpenNetwork(ctx, bucket, s.register, s.prefixes); err != nil {
		return err
	}
	s.open.add("network", s.network.Close)
	return nil
}

// saveNetwork is the loop that keeps what was counted.
func (s *Server) saveNetwork(ctx context.Context) error {
	return s.network.Run(ctx, networkSave, func(err error) {
		s.log.Warn("what is known of the network was not saved; after a restart more of the journal is read again", "error", err)
	})
}

func newPrefix(r *remote) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "list the prefix register with the traffic of each prefix", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/prefixes", nil, nil,
				table("prefixes", "prefix", "kind", "name", "carrier", "policy", "sites", "messages", "bytes", "last"))
		},
	}
	set := &cobra.Command{
		Use: "set FILE", Short: "replace the prefix register by a JSON file",
		Long: `set replaces the whole register. The file holds {"prefixes": […]} or the list
itself; each entry has prefix, kind (city, site, carrier), name, and perhaps
carrier and policy (flag, refuse). A site's name is the site of its devices; give
a site that is being renumbered two entries of one name.`,
		Example: `  vonglau prefix list --json > prefixes.json
  vonglau prefix set prefixes.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return failed(err)
			}
			var body struct {
				Prefixes []devices.Prefix `json:"prefixes"`
			}
			if raw = bytes.TrimSpace(raw); bytes.HasPrefix(raw, []byte("[")) {
				err = json.Unmarshal(raw, &body.Prefixes)
			} else {
				err = json.Unmarshal(raw, &body)
			}
			if err != nil {
				return failed(fmt.Errorf("%s: %w", args[0], err))
			}
			if body.Prefixes == nil {
				return failed(fmt.Errorf("%s: has no list of prefixes; write {\"prefixes\": []} to empty the register", args[0]))
			}
			return r.print(cmd, http.MethodPut, "/v1/prefixes", nil, body,
				table("prefixes", "prefix", "kind", "name", "carrier", "policy"))
		},
	}
	return group("prefix", "the prefixes of the city, its sites and carriers", list, set)
}

func newReport(r *remote) *cobra.Command {
	var since, family string
	ipv6 := &cobra.Command{
		Use: "ipv6", Short: "report on the move to IPv6: each node's families, the share of the traffic", Args: cobra.NoArgs,
		Example: `  vonglau report ipv6 --since -30d --family v4-only`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"since": {since}}
			if family != "" {
				query.Set("family", family)
			}
			return r.print(cmd, http.MethodGet, "/v1/reports/ipv6", query, nil, printJSON)
		},
	}
	ipv6.Flags().StringVar(&since, "since", "-7d", "count a node by what was heard since: a time, a day or a distance such as -30d")
	ipv6.Flags().StringVar(&family, "family", "", "list only these nodes: v6-only, dual, v4-only, unknown, unheard")
	return group("report", "reports", ipv6, newConformityReport(r))
}

// NetworkConfig says how the network is measured.
type NetworkConfig struct {
	// Ping is the time between two ICMPv6 requests to a node, 0 for none; PingRate
	// bounds them all, a second.
	Ping     time.Duration `yaml:"ping"`
	PingRate int           `yaml:"ping_rate"`
}

func (c NetworkConfig) check(bad func(format string, args ...any)) {
	if c.Ping != 0 && (c.Ping < time.Second || c.Ping > 24*time.Hour) {
		bad("network.ping: %s: need 1s to 24h, or 0 for none", c.Ping)
	}
	if c.PingRate < 1 || c.PingRate > 10_000 {
		bad("network.ping_rate: %d: need 1 to 10000 requests a second", c.PingRate)
	}
}

// startReach begins to measure round trips.
func (s *Server) startReach() {
	if s.cfg.Network.Ping == 0 {
		return
	}
	reach := ingest.NewReach(ingest.ReachOptions{
		Heard: s.network.Heard, Every: s.cfg.Network.Ping, PerSecond: s.cfg.Network.PingRate,
		Log: s.log.With("part", "network"), Metrics: s.registry,
	})
	s.reach.Store(reach)
	s.running.work("round trips", reach.Run)
}

func (s *Server) roundTrip(id devices.ID) (devices.RoundTrip, bool) {
	if r := s.reach.Load(); r != nil {
		return r.RoundTrip(id)
	}
	return devices.RoundTrip{}, false
}

// roundTrips says in the status whether round trips are measured, or why not.
func (s *Server) roundTrips() string {
	switch r := s.reach.Load(); {
	case r == nil:
		return "switched off (network.ping)"
	case r.Why() != "":
		return r.Why()
	}
	return "measured"
}
