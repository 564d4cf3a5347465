package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"vonglau/devices"
)

// openEnrolment opens the groups whose secret lets devices in.
func (s *Server) openEnrolment(ctx context.Context) error {
	bucket, err := s.journal.Bucket(ctx, "enrolment-groups")
	if err != nil {
		return err
	}
	s.enrolment, err = devices.OpenEnrolment(ctx, bucket, s.register, s.trust, time.Now)
	return err
}

// claimFlags are those of `device add` for a device that claims its credential.
type claimFlags struct {
	on  bool
	ttl time.Duration
}

func (f *claimFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.on, "claim", false, "print a one-time claim code, by which the device gets its credential itself")
	c.Flags().DurationVar(&f.ttl, "claim-ttl", devices.DefaultClaimTTL, "how long the claim code counts")
}

func (f *claimFlags) into(c *cobra.Command, body map[string]any) error {
	switch {
	case !f.on && c.Flags().Changed("claim-ttl"):
		return errors.New("--claim-ttl goes with --claim")
	case !f.on:
		return nil
	case c.Flags().Changed("credential"):
		return errors.New("--claim: the device gets its credential when it presents the code; leave --credential out")
	}
	delete(body, "credential")
	body["claimTTL"] = f.ttl.String()
	return nil
}

func newDeviceClaim(r *remote) *cobra.Command {
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "claim ID",
		Short: "print a new one-time claim code for a device; the one it had ends",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, "/v1/devices/"+url.PathEscape(args[0])+"/claim", nil, map[string]any{"ttl": ttl.String()}, printJSON)
		},
	}
	c.Flags().DurationVar(&ttl, "claim-ttl", devices.DefaultClaimTTL, "how long the claim code counts")
	return c
}

func newGroup(r *remote) *cobra.Command {
	const path = "/v1/enrolment-groups"
	list := &cobra.Command{
		Use: "list", Short: "list enrolment groups", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, path, nil, nil, table("groups", "name", "profile", "prefix", "state", "enrolled", "max", "until"))
		},
	}
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "let nobody in by a group any more; its devices stay as they are", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodDelete, path+"/"+url.PathEscape(args[0]), nil, nil, printJSON)
		},
	}
	return group("group", "groups of devices that enrol themselves", newGroupAdd(r, path), list, revoke)
}

func newGroupAdd(r *remote, path string) *cobra.Command {
	var profile, prefix, site, owner, secret, until string
	var limit int
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "let devices that know a secret in, into quarantine, and print the secret, which is shown this once",
		Example: `  vonglau group add rain2026 --profile rain-gauge --site "Nam Định" --owner drainage --max 40 --until 2026-12-31
  vonglau group add lamps --profile street-light --prefix lamp- --max 2000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0], "profile": profile}
			for key, value := range map[string]string{"prefix": prefix, "site": site, "owner": owner, "secret": secret} {
				if value != "" {
					body[key] = value
				}
			}
			if cmd.Flags().Changed("max") {
				body["max"] = limit
			}
			if until != "" {
				end, err := parseEnd(until)
				if err != nil {
					return err
				}
				body["until"] = end.Format(time.RFC3339)
			}
			return r.print(cmd, http.MethodPost, path, nil, body, printJSON)
		},
	}
	f := c.Flags()
	f.StringVar(&profile, "profile", "", "kind of device; `vonglau profile list` names them")
	f.StringVar(&prefix, "prefix", "", "what the ids its devices choose begin with; NAME- when left out")
	f.StringVar(&site, "site", "", "where they stand, in words")
	f.StringVar(&owner, "owner", "", "department answerable for them")
	f.StringVar(&secret, "secret", "", "a secret the devices have already, 16 to 256 characters; made when left out")
	f.IntVar(&limit, "max", devices.DefaultGroupMax, "how many devices it lets in, ever")
	f.StringVar(&until, "until", "", "until when it lets devices in: a time, or a day up to its end here; 30 days when left out")
	_ = c.MarkFlagRequired("profile")
	return c
}

// parseEnd reads a time, or a day that ends where this program runs.
func parseEnd(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return time.Time{}, fmt.Errorf("--until %q: write 2026-12-31 or 2026-12-31T18:00:00+07:00", text)
	}
	return day.AddDate(0, 0, 1), nil
}
