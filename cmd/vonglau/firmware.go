package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newFirmware(r *remote) *cobra.Command {
	var profile, version string
	add := &cobra.Command{
		Use: "add FILE", Short: "sign an image with the city's key and keep it",
		Example: "  vonglau firmware add aq-1.2.0.bin --profile air-quality --version 1.2.0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return failed(err)
			}
			defer func() { _ = file.Close() }()
			info, err := file.Stat()
			if err != nil {
				return failed(err)
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			query := url.Values{"profile": {profile}, "version": {version}}
			upload := &uploadReader{Reader: file, name: args[0], total: info.Size(), quiet: r.json}
			raw, err := cl.call(cmd.Context(), http.MethodPost, "/v1/firmware", query, "application/octet-stream", upload)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), raw)
		},
	}
	add.Flags().StringVar(&profile, "profile", "", "whose devices it is for")
	add.Flags().StringVar(&version, "version", "", "its version; another image needs another one")
	_ = add.MarkFlagRequired("profile")
	_ = add.MarkFlagRequired("version")
	list := &cobra.Command{
		Use: "list", Short: "list the images", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/firmware", nil, nil, table("firmware", "name", "profile", "version", "size", "sha256"))
		},
	}
	return group("firmware", "images and the campaigns that bring them to devices", add, list, newCampaign(r))
}

func newCampaign(r *remote) *cobra.Command {
	var rings []string
	var maxFailures float64
	var soak, patience time.Duration
	var parallel int
	var draft bool
	start := &cobra.Command{
		Use: "start IMAGE|ID", Short: "begin a campaign for an image, or go on with one that was planned or paused",
		Long: `Begin a campaign for an image. It reaches the devices of the image's profile in
rings; a ring is a percentage of the fleet, counted from the first ring on, or a
list of devices joined by commas. When more than --max-failures percent of a
ring fail, roll back or fall silent, the campaign stops by itself.`,
		Example: `  vonglau firmware campaign start air-quality-1.2.0 --ring aq-001,aq-002 --ring 10% --ring 100% --max-failures 5 --soak 24h
  vonglau firmware campaign start k7h2mvq4zt3x`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "-") { // an id has none, a firmware's name has one
				return r.print(cmd, http.MethodPost, "/v1/campaigns/"+url.PathEscape(args[0])+"/start", nil, nil, printJSON)
			}
			body := map[string]any{
				"image": args[0], "maxFailures": maxFailures, "soak": soak.String(), "patience": patience.String(), "parallel": parallel, "start": !draft,
			}
			var list []map[string]any
			for _, text := range rings {
				number, ok := strings.CutSuffix(text, "%")
				if !ok {
					list = append(list, map[string]any{"devices": strings.Split(text, ",")})
					continue
				}
				percent, err := strconv.ParseFloat(number, 64)
				if err != nil {
					return fmt.Errorf("--ring %q: write 10%% or a list of devices", text)
				}
				list = append(list, map[string]any{"percent": percent})
			}
			if len(list) > 0 {
				body["rings"] = list
			}
			return r.print(cmd, http.MethodPost, "/v1/campaigns", nil, body, printJSON)
		},
	}
	f := start.Flags()
	f.StringArrayVar(&rings, "ring", nil, "one ring: 10% or DEVICE,DEVICE; again for each (1%, 10% and 100% when absent)")
	f.Float64Var(&maxFailures, "max-failures", 0, "percent of a ring that may fail")
	f.DurationVar(&soak, "soak", time.Hour, "how long a settled ring is watched before the next")
	f.DurationVar(&patience, "patience", 24*time.Hour, "how long a device may take")
	f.IntVar(&parallel, "parallel", 100, "devices at work at once")
	f.BoolVar(&draft, "draft", false, "only plan it")
	one := func(use, method, action, short string) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.print(cmd, method, "/v1/campaigns/"+url.PathEscape(args[0])+action, nil, nil, printJSON)
			},
		}
	}
	list := &cobra.Command{
		Use: "list", Short: "list campaigns, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/campaigns", nil, nil, table("campaigns", "id", "image", "state", "ring", "counts", "reason"))
		},
	}
	return group("campaign", "bring an image to its devices in rings", start, list,
		one("show", http.MethodGet, "", "print a campaign with every device's state"),
		one("pause", http.MethodPost, "/pause", "tell no further device until it is resumed"),
		one("resume", http.MethodPost, "/resume", "go on with a paused campaign"),
		one("abort", http.MethodPost, "/abort", "end a campaign for good"),
	)
}
