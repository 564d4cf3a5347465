package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// deviceFilters are the flags that say which devices are meant.
type deviceFilters struct {
	search, profile, state, site, owner, upstream, presence, ward string
	deviating                                                     bool
}

func (f *deviceFilters) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.search, "search", "", "words of an id, name, site, owner or model; diacritics do not matter")
	c.Flags().StringVar(&f.profile, "profile", "", "only this profile")
	c.Flags().StringVar(&f.state, "state", "", "only announced, quarantined, active, maintenance or retired ones")
	c.Flags().StringVar(&f.site, "site", "", "words of the site")
	c.Flags().StringVar(&f.owner, "owner", "", "only those of this department")
	c.Flags().StringVar(&f.upstream, "upstream", "", "only those that hang on this node")
	c.Flags().StringVar(&f.presence, "presence", "", "only never, online, late or silent ones")
	c.Flags().StringVar(&f.ward, "ward", "", "only those in the ward of this code")
	c.Flags().BoolVar(&f.deviating, "deviating", false, "only those that differ from their norm")
}

func (f *deviceFilters) query() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{
		"q": f.search, "profile": f.profile, "state": f.state, "site": f.site, "owner": f.owner, "upstream": f.upstream,
		"presence": f.presence, "ward": f.ward,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.deviating {
		q.Set("deviating", "true")
	}
	return q
}

func newDeviceList(r *remote) *cobra.Command {
	var f deviceFilters
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "list devices", Args: cobra.NoArgs,
		Example: "  vonglau device list --profile rain-gauge --presence silent\n  vonglau device list --search 'nam dinh' --state quarantined",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := f.query()
			query.Set("limit", strconv.Itoa(limit))
			return r.print(cmd, http.MethodGet, "/v1/devices", query, nil, table("devices", "id", "profile", "state", "name"))
		},
	}
	f.flags(c)
	c.Flags().IntVar(&limit, "limit", 1000, "at most this many")
	return c
}

// newDeviceShow puts together what two routes know: the entry, and how the
// device reaches us.
func newDeviceShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "print one device: its entry, life cycle, presence, addresses and counters", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := r.client()
			if err != nil {
				return err
			}
			path := "/v1/devices/" + url.PathEscape(args[0])
			raw, err := cl.call(cmd.Context(), http.MethodGet, path, nil, "", nil)
			if err != nil {
				return err
			}
			network, err := cl.call(cmd.Context(), http.MethodGet, path+"/network", nil, "", nil)
			if err != nil {
				// Who may not see addresses still sees the entry.
				fmt.Fprintln(cmd.ErrOrStderr(), "how it reaches us is not shown:", err)
				return printJSON(cmd.OutOrStdout(), raw)
			}
			raw = bytes.TrimRight(raw, " \t\r\n")
			raw, ok := bytes.CutSuffix(raw, []byte("}"))
			if !ok {
				return failed(errors.New("the server's answer is no object"))
			}
			return printJSON(cmd.OutOrStdout(), slices.Concat(raw, []byte(`,"network":`), network, []byte("}")))
		},
	}
}

// newDeviceState makes a command that moves devices on in their life.
func newDeviceState(r *remote, use, short, state string) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID…", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.patch(cmd, args, map[string]any{"state": state})
		},
	}
}

// patch changes several devices alike and says what became of each.
func (r *remote) patch(cmd *cobra.Command, ids []string, change map[string]any) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	body, err := json.Marshal(change)
	if err != nil {
		return failed(err)
	}
	var refused []error
	for _, id := range ids {
		raw, err := cl.call(cmd.Context(), http.MethodPatch, "/v1/devices/"+url.PathEscape(id), nil, "application/merge-patch+json", bytes.NewReader(body))
		if err != nil {
			var coded *codedError
			if errors.As(err, &coded) && coded.code == exitUnreachable || cmd.Context().Err() != nil {
				return err
			}
			refused = append(refused, fmt.Errorf("%s: %w", id, err))
			continue
		}
		if r.json {
			err = printJSON(cmd.OutOrStdout(), raw)
		} else {
			var d struct{ State string }
			_ = json.Unmarshal(raw, &d)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", id, d.State)
		}
		if err != nil {
			return failed(err)
		}
	}
	return failed(errors.Join(refused...))
}

func newDeviceSet(r *remote) *cobra.Command {
	var at string
	texts := map[string]string{
		"name": "name for people", "profile": "kind of device", "upstream": "id of the gateway or cabinet it hangs on", "owner": "department answerable for it",
		"site": "where it stands, in words", "model": "the maker's name for what it is", "firmware": "the version it runs", "state": "where it is in its life",
	}
	c := &cobra.Command{
		Use: "set ID…", Short: "change the entries of devices; an empty value takes a field away", Args: cobra.MinimumNArgs(1),
		Example: "  vonglau device set aq-001 --owner 'Sở Tài nguyên và Môi trường' --at 106.168,20.434",
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]any{}
			for name := range texts {
				if cmd.Flags().Changed(name) {
					value, err := cmd.Flags().GetString(name)
					if err != nil {
						return err
					}
					change[name] = value
				}
			}
			switch {
			case cmd.Flags().Changed("at") && at == "":
				change["at"] = nil
			case at != "":
				p, err := parsePlace(at)
				if err != nil {
					return err
				}
				change["at"] = []float64{p.Lon, p.Lat}
			}
			if len(change) == 0 {
				return errors.New("nothing to change: give --name, --at or another")
			}
			return r.patch(cmd, args, change)
		},
	}
	for name, help := range texts {
		c.Flags().String(name, "", help)
	}
	c.Flags().StringVar(&at, "at", "", "place of a fixed device, LON,LAT in degrees")
	return c
}

func newDeviceImport(r *remote) *cobra.Command {
	var dryRun, skipBad bool
	var tokens string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "enrol the devices of a CSV file and say what became of each line",
		Long: `import reads a CSV file whose first line names the columns: id and profile, and
what else there is of name, lat, lon, state, upstream, owner, site, model,
firmware, simulated and token. Nothing is enrolled while a line is refused,
unless --skip-bad. The tokens of the devices are shown this once: --tokens
writes them to a file that only you can read.`,
		Example: "  vonglau device import gauges.csv --dry-run\n  vonglau device import gauges.csv --tokens tokens.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return failed(err)
			}
			defer func() { _ = file.Close() }()
			var out *os.File
			if tokens != "" && !dryRun {
				// Before the import: a token that cannot be written is lost.
				if out, err = os.OpenFile(tokens, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
					return failed(err)
				}
				defer func() { _ = out.Close() }()
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			query := url.Values{"dry_run": {strconv.FormatBool(dryRun)}, "skip_bad": {strconv.FormatBool(skipBad)}}
			raw, err := cl.call(cmd.Context(), http.MethodPost, "/v1/devices/import", query, "text/csv", file)
			if err != nil {
				return err
			}
			return r.reportImport(cmd, raw, out, tokens == "" && !dryRun)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would become of each line and change nothing")
	c.Flags().BoolVar(&skipBad, "skip-bad", false, "enrol the good lines although others are refused")
	c.Flags().StringVar(&tokens, "tokens", "", "write id and token of each device to this new file")
	return c
}

// reportImport shows the refused lines and the sums; with showTokens each token
// as well.
func (r *remote) reportImport(cmd *cobra.Command, raw []byte, tokens *os.File, showTokens bool) error {
	var report struct {
		DryRun               bool
		Good, Refused, Added int
		Lines                []struct {
			Line              int
			ID, Result, Token string
			Problem           *struct{ Column, Message string }
		}
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		return failed(fmt.Errorf("the server's answer is no report: %w", err))
	}
	if tokens != nil {
		c := csv.NewWriter(tokens)
		_ = c.Write([]string{"id", "token"})
		for _, l := range report.Lines {
			if l.Token != "" {
				_ = c.Write([]string{l.ID, l.Token})
			}
		}
		if c.Flush(); c.Error() != nil {
			return failed(fmt.Errorf("the devices are enrolled, but their tokens could not be written; give them new ones: %w", c.Error()))
		}
	}
	if r.json {
		if err := printJSON(cmd.OutOrStdout(), raw); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		for _, l := range report.Lines {
			switch {
			case l.Problem != nil:
				fmt.Fprintf(t, "line %d\t%s\trefused\t%s\t%s\n", l.Line, l.ID, l.Problem.Column, l.Problem.Message)
			case showTokens && l.Token != "":
				fmt.Fprintf(t, "line %d\t%s\t%s\ttoken\t%s\n", l.Line, l.ID, l.Result, l.Token)
			}
		}
		if err := t.Flush(); err != nil {
			return failed(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d lines: %d good, %d refused, %d enrolled\n", len(report.Lines), report.Good, report.Refused, report.Added)
	}
	if report.Refused > 0 && report.Added == 0 {
		return failed(fmt.Errorf("%d lines are refused: nothing was enrolled", report.Refused))
	}
	return nil
}

func newDeviceExport(r *remote) *cobra.Command {
	var f deviceFilters
	var format string
	c := &cobra.Command{
		Use: "export", Short: "print the register, or the part the flags leave, as CSV or JSON", Args: cobra.NoArgs,
		Example: "  vonglau device export --owner 'Sở Xây dựng' > lamps.csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "csv" && format != "json" {
				return fmt.Errorf("--format %q: csv or json", format)
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			query := f.query()
			query.Set("format", format)
			raw, err := cl.call(cmd.Context(), http.MethodGet, "/v1/export/devices", query, "", nil)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(raw)
			return failed(err)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&format, "format", "csv", "csv or json")
	return c
}

func newDepartment(r *remote) *cobra.Command {
	var head, contact string
	set := &cobra.Command{
		Use: "set NAME", Short: "name the head of a department that answers for devices", Args: cobra.ExactArgs(1),
		Example: "  vonglau department set 'Sở Xây dựng' --head 'Trần Thị Bình' --contact '+84 228 000 000'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPut, "/v1/departments/"+url.PathEscape(args[0]), nil, map[string]any{"head": head, "contact": contact}, printJSON)
		},
	}
	set.Flags().StringVar(&head, "head", "", "who answers for the department")
	set.Flags().StringVar(&contact, "contact", "", "telephone or mail")
	_ = set.MarkFlagRequired("head")
	list := &cobra.Command{
		Use: "list", Short: "list the departments that answer for devices", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/departments", nil, nil, table("departments", "name", "head", "contact", "devices"))
		},
	}
	return group("department", "who answers for devices", list, set)
}

// newConformityReport lists devices that differ from what the city has agreed
// to.
func newConformityReport(r *remote) *cobra.Command {
	var f deviceFilters
	c := &cobra.Command{
		Use: "conformity", Short: "devices that differ from their profile's norm, or lack an owner, a head, a place or their node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := f.query()
			query.Set("limit", "100000")
			return r.print(cmd, http.MethodGet, "/v1/reports/conformity", query, nil, printConformity)
		},
	}
	f.flags(c)
	return c
}

func printConformity(w io.Writer, raw []byte) error {
	var report struct {
		Checked, Total int
		Devices        []struct {
			ID, Profile string
			Deviations  []struct{ Rule, Detail string }
		}
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		return failed(fmt.Errorf("the server's answer is no report: %w", err))
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, d := range report.Devices {
		for _, v := range d.Deviations {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.ID, d.Profile, v.Rule, v.Detail)
		}
	}
	fmt.Fprintf(t, "%d of %d devices deviate\n", report.Total, report.Checked)
	return failed(t.Flush())
}
