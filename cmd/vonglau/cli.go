package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vonglau/devices"
)

// remote are the flags of every command that talks to a server.
type remote struct {
	server, token string
	json          bool
}

func (r *remote) client() (*client, error) { return newClient(r.server, r.token) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "vonglau",
		Short: "the backend of a smart city's field devices and operations center",
		Long: `Vonglau takes in what a city's field devices report over MQTT, CoAP and HTTP,
keeps it, places it on the map, raises alarms and shows all of it, live.

` + "`vonglau serve`" + ` runs the server; the other commands talk to a running one
(--server or VONGLAU_SERVER, --token or VONGLAU_TOKEN; in the folder that holds
the server's data directory both are found by themselves).

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answered.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	r := &remote{}
	flags := root.PersistentFlags()
	flags.StringVar(&r.server, "server", "", "address of the running server, http://[2001:db8::7]:8080")
	flags.StringVar(&r.token, "token", "", "access token")
	flags.BoolVar(&r.json, "json", false, "print JSON")
	root.AddCommand(
		newServe(), newVerify(), newSBOM(),
		newDevice(r), newGroup(r), newDepartment(r), newCommand(r), newFirmware(r), newProfile(r), newLayer(r), newRule(r), newThreshold(r), newPlace(r), newAlarm(r), newWarning(r), newDrill(r), newCAP(), newLog(r), newSubscription(r), newRefusals(r), newStatus(r), newJournal(r), newPerson(r), newToken(r), newPrefix(r), newReport(r), newAudit(r), newEvidence(r), newDisplay(r), newScene(r),
	)
	return root
}

func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(children...)
	return c
}

// parsePlace reads "LON,LAT" in degrees.
func parsePlace(text string) (devices.Position, error) {
	lon, lat, ok := strings.Cut(text, ",")
	p := devices.Position{}
	var err1, err2 error
	p.Lon, err1 = strconv.ParseFloat(strings.TrimSpace(lon), 64)
	p.Lat, err2 = strconv.ParseFloat(strings.TrimSpace(lat), 64)
	switch {
	case !ok || err1 != nil || err2 != nil:
		return p, fmt.Errorf("%q is no place: write LON,LAT in degrees, such as 106.168,20.434", text)
	case !(p.Lat >= -90 && p.Lat <= 90):
		return p, fmt.Errorf("%q: latitude %v is beyond 90; longitude comes first", text, p.Lat)
	case !(p.Lon >= -180 && p.Lon <= 180):
		return p, fmt.Errorf("%q: longitude %v is beyond 180", text, p.Lon)
	}
	return p, nil
}

func newDevice(r *remote) *cobra.Command {
	return group("device", "enrol and look up field devices", newDeviceAdd(r), newDeviceShow(r), newDeviceList(r),
		newDeviceSet(r), newDeviceImport(r), newDeviceExport(r),
		newDeviceClaim(r), newDeviceRotate(r), newDeviceRevoke(r), newDeviceCredentials(r), newDeviceExpiring(r),
		newDeviceState(r, "approve", "take announced or quarantined devices into service", "active"),
		newDeviceState(r, "quarantine", "refuse what devices report until somebody approves them again", "quarantined"),
		newDeviceState(r, "maintenance", "store what devices report and raise no alarms from it", "maintenance"),
		newDeviceState(r, "retire", "end the life of devices; their ids stay taken", "retired"))
}

func newDeviceAdd(r *remote) *cobra.Command {
	var profile, at, name, upstream, owner, site, model, firmware, state, credential, out string
	var claim claimFlags
	c := &cobra.Command{
		Use:   "add ID",
		Short: "enrol a device and print its token or key, which is shown this once",
		Example: `  vonglau device add aq-001 --profile air-quality --at 106.168,20.434
  vonglau device add bus-14-3 --profile bus --name "Xe 14, số 3"
  vonglau device add gate-7 --profile gateway --credential x509 --out /media/usb
  vonglau device add aq-002 --profile air-quality --claim --claim-ttl 168h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"id": args[0], "profile": profile}
			if at != "" {
				p, err := parsePlace(at)
				if err != nil {
					return err
				}
				body["at"] = []float64{p.Lon, p.Lat}
			}
			for key, value := range map[string]string{
				"name": name, "upstream": upstream, "owner": owner, "site": site, "model": model, "firmware": firmware, "state": state, "credential": credential,
			} {
				if value != "" {
					body[key] = value
				}
			}
			if err := claim.into(cmd, body); err != nil {
				return err
			}
			return r.giveOut(cmd, "/v1/devices", args[0], out, body)
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "kind of device; `vonglau profile list` names them")
	c.Flags().StringVar(&at, "at", "", "place of a fixed device, LON,LAT in degrees")
	c.Flags().StringVar(&name, "name", "", "name for people")
	c.Flags().StringVar(&upstream, "upstream", "", "id of the gateway or cabinet it hangs on")
	c.Flags().StringVar(&owner, "owner", "", "department answerable for it")
	c.Flags().StringVar(&site, "site", "", "where it stands, in words")
	c.Flags().StringVar(&model, "model", "", "the maker's name for what it is")
	c.Flags().StringVar(&firmware, "firmware", "", "the version it runs")
	c.Flags().StringVar(&credential, "credential", "token", "what it proves itself by: token, psk or x509")
	c.Flags().StringVar(&out, "out", ".", "folder for a certificate and its key")
	c.Flags().StringVar(&state, "state", "", "announced or quarantined for one that is not in service yet")
	claim.add(c)
	_ = c.MarkFlagRequired("profile")
	return c
}

func newProfile(r *remote) *cobra.Command {
	return group("profile", "kinds of devices", &cobra.Command{
		Use: "list", Short: "list the profiles a device can have", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/profiles", nil, nil, table("profiles", "name", "class", "main"))
		},
	})
}

func newLayer(r *remote) *cobra.Command {
	var code, name, from, to string
	var join, skipBad bool
	var within float64
	load := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "import a GeoJSON file as a layer, replacing the version with the same first day",
		Example: `  vonglau layer import wards wards-2025.geojson --code code --name name --valid-from 2025-07-01 --join
  vonglau layer import roads roads.geojson --code id --name name --join --within 25`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[1])
			if err != nil {
				return failed(err)
			}
			defer func() { _ = file.Close() }()
			info, err := file.Stat()
			if err != nil {
				return failed(err)
			}
			query := url.Values{"code": {code}, "name": {name}, "join": {strconv.FormatBool(join)}}
			for key, value := range map[string]string{"valid_from": from, "valid_to": to} {
				if value != "" {
					query.Set(key, value)
				}
			}
			if within > 0 {
				query.Set("within", strconv.FormatFloat(within, 'f', -1, 64))
			}
			if skipBad {
				query.Set("skip_bad", "true")
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			upload := &uploadReader{Reader: file, name: args[1], total: info.Size(), quiet: r.json}
			raw, err := cl.call(cmd.Context(), http.MethodPost, "/v1/layers/"+url.PathEscape(args[0]), query, "application/geo+json", upload)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), raw)
		},
	}
	f := load.Flags()
	f.StringVar(&code, "code", "code", "property that holds a zone's code")
	f.StringVar(&name, "name", "name", "property that holds a zone's name")
	f.StringVar(&from, "valid-from", "", "first day these boundaries hold, 2025-07-01")
	f.StringVar(&to, "valid-to", "", "last day these boundaries hold")
	f.BoolVar(&join, "join", false, "give every reading the zones of this layer it falls into")
	f.BoolVar(&skipBad, "skip-bad", false, "leave out features that are refused instead of refusing the file")
	f.Float64Var(&within, "within", 0, "for lines and points: join the nearest within this many metres")
	list := &cobra.Command{
		Use: "list", Short: "list layers and their versions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/layers", nil, nil, table("layers", "name", "kind", "count", "join"))
		},
	}
	return group("layer", "geospatial layers", load, list)
}

func newPlace(r *remote) *cobra.Command {
	var at string
	c := &cobra.Command{
		Use: "place LON,LAT", Short: "print the zones a place falls into",
		Example: "  vonglau place 106.168,20.434 --at 2024-12-31\n  vonglau place -2.92,53.44",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			query := url.Values{
				"lon": {strconv.FormatFloat(p.Lon, 'f', -1, 64)},
				"lat": {strconv.FormatFloat(p.Lat, 'f', -1, 64)},
			}
			if at != "" {
				query.Set("at", at)
			}
			return r.print(cmd, http.MethodGet, "/v1/place", query, nil, printJSON)
		},
	}
	c.Flags().StringVar(&at, "at", "", "day or time whose boundaries hold; today when left out")
	return c
}

func newRefusals(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "refusals", Short: "list what was refused lately, and why", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/refusals", nil, nil, table("refusals", "at", "via", "device", "reason", "detail"))
		},
	}
}

func newStatus(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "print the state of every part of the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/status", nil, nil, printJSON)
		},
	}
}

func newJournal(r *remote) *cobra.Command {
	resume := &cobra.Command{
		Use: "resume", Short: "take in readings again after a failed sync that somebody has looked at", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodPost, "/v1/journal/resume", nil, map[string]any{}, printJSON)
		},
	}
	return group("journal", "the durable log", resume)
}

// print makes a request with a JSON body and shows the answer: JSON when asked
// for, else as show does.
func (r *remote) print(cmd *cobra.Command, method, path string, query url.Values, body any, show func(io.Writer, []byte) error) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	var reader io.Reader
	var contentType string
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return failed(err)
		}
		reader, contentType = bytes.NewReader(raw), "application/json"
	}
	raw, err := cl.call(cmd.Context(), method, path, query, contentType, reader)
	if err != nil {
		return err
	}
	if r.json {
		show = printJSON
	}
	return show(cmd.OutOrStdout(), raw)
}

func printJSON(w io.Writer, raw []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return failed(fmt.Errorf("the server's answer is not JSON: %w", err))
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return failed(err)
}

// table shows chosen fields of the objects under key, a line each.
func table(key string, columns ...string) func(io.Writer, []byte) error {
	return func(w io.Writer, raw []byte) error {
		var answer map[string]json.RawMessage
		var rows []map[string]any
		if err := json.Unmarshal(raw, &answer); err != nil {
			return failed(err)
		}
		if err := json.Unmarshal(answer[key], &rows); err != nil {
			return failed(fmt.Errorf("the server's answer has no list of %s: %w", key, err))
		}
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, strings.ToUpper(strings.Join(columns, "\t")))
		for _, row := range rows {
			for i, column := range columns {
				if i > 0 {
					fmt.Fprint(t, "\t")
				}
				if v := row[column]; v != nil {
					fmt.Fprint(t, v)
				}
			}
			fmt.Fprintln(t)
		}
		return failed(t.Flush())
	}
}
