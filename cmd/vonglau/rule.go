package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vonglau/ops-center/alert"
)

// sendFile puts a YAML file to the server.
func (r *remote) sendFile(cmd *cobra.Command, method, path, file, note string) ([]byte, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, failed(err)
	}
	cl, err := r.client()
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	if note != "" {
		query.Set("note", note)
	}
	return cl.call(cmd.Context(), method, path, query, "application/yaml", bytes.NewReader(raw))
}

func newRule(r *remote) *cobra.Command {
	var note string
	apply := &cobra.Command{
		Use: "apply FILE", Short: "put a file of alarm rules in force, replacing the ones before",
		Example: "  vonglau rule apply rules.yaml --note \"river levels of 2026\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := r.sendFile(cmd, http.MethodPut, "/v1/rules", args[0], note)
			if err != nil {
				return err
			}
			warnMix(cmd.ErrOrStderr(), raw)
			return printJSON(cmd.OutOrStdout(), raw)
		},
	}
	apply.Flags().StringVar(&note, "note", "", "why, for the record of versions")
	check := &cobra.Command{
		Use: "check FILE", Short: "tell whether a file of rules could be put in force", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := r.sendFile(cmd, http.MethodPost, "/v1/rules/check", args[0], ""); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "list the rules in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/rules", nil, nil, printJSON)
		},
	}
	versions := &cobra.Command{
		Use: "versions", Short: "list the rule files that were in force, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/rules/versions", nil, nil, table("versions", "n", "at", "by", "entries", "note"))
		},
	}
	act := func(use, short, method, suffix string) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.print(cmd, method, "/v1/rules/"+url.PathEscape(args[0])+suffix, nil, nil, func(io.Writer, []byte) error { return nil })
			},
		}
	}
	restore := &cobra.Command{
		Use: "restore N", Short: "put a former rule file in force again, as a new version", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, "/v1/rules/versions/"+url.PathEscape(args[0])+"/restore", nil, nil, func(io.Writer, []byte) error { return nil })
		},
	}
	return group("rule", "alarm rules", apply, check, newRuleTest(r), list, versions, restore,
		act("enable", "let a rule judge", http.MethodPost, "/enable"),
		act("disable", "keep a rule, and let it judge nothing", http.MethodPost, "/disable"),
		act("delete", "take one rule out of force; its alarms are cleared", http.MethodDelete, ""))
}

// warnMix says when so many rules are urgent that nothing is.
func warnMix(w io.Writer, raw []byte) {
	var answer struct{ Mix alert.Mix }
	if json.Unmarshal(raw, &answer) != nil || !answer.Mix.Warn {
		return
	}
	tellMix(w, answer.Mix)
}

func tellMix(w io.Writer, m alert.Mix) {
	_, _ = fmt.Fprintf(w, "too much is urgent: priority 1 %.0f %%, 2 %.0f %%, 3 and 4 %.0f %%; operators can live with 5, 15 and 80 %%\n",
		100*m.Share[0], 100*m.Share[1], 100*m.Share[2])
}

func newRuleTest(r *remote) *cobra.Command {
	var from, to string
	c := &cobra.Command{
		Use:   "test FILE",
		Short: "judge stored history by a file of rules: the alarms that would have been",
		Long: `Judge what is stored by a file of rules, with the engine that judges what
comes in now. Nothing of it is kept and nobody is told. Times are RFC 3339, a day,
or a distance from now such as -24h.`,
		Example: "  vonglau rule test rules.yaml --from 2026-10-01 --to 2026-11-01\n  vonglau rule test rules.yaml --from -24h --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := os.ReadFile(args[0])
			if err != nil {
				return failed(err)
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if from != "" {
				query.Set("from", from)
			}
			if to != "" {
				query.Set("to", to)
			}
			result, err := cl.try(cmd, query, source, r.json)
			if err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			return tellTrial(cmd.OutOrStdout(), result)
		},
	}
	c.Flags().StringVar(&from, "from", "", "where history begins; a day back without it")
	c.Flags().StringVar(&to, "to", "", "where it ends; now without it")
	return c
}

// try runs a dry run and tells its progress on stderr.
func (c *client) try(cmd *cobra.Command, query url.Values, source []byte, quiet bool) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, c.server+"/v1/rules/test?"+query.Encode(), bytes.NewReader(source))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/yaml")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &codedError{exitUnreachable, fmt.Errorf("no answer from %s (is `vonglau serve` running there?): %w", c.server, err)}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		raw, _ := io.ReadAll(res.Body)
		return nil, failed(problemError(res, raw))
	}
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, failed(errors.New("the dry run ended without a result"))
		}
		var said struct {
			Progress float64         `json:"progress"`
			Readings int             `json:"readings"`
			Result   json.RawMessage `json:"result"`
			Error    string          `json:"error"`
		}
		if err := json.Unmarshal(line, &said); err != nil {
			return nil, failed(fmt.Errorf("reading the answer: %w", err))
		}
		switch {
		case said.Error != "":
			return nil, failed(errors.New(said.Error))
		case said.Result != nil:
			return said.Result, nil
		case !quiet && said.Readings > 0:
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%.0f %%, %d readings\n", 100*said.Progress, said.Readings)
		}
	}
}

func tellTrial(w io.Writer, raw []byte) error {
	var t alert.TrialResult
	if err := json.Unmarshal(raw, &t); err != nil {
		return failed(fmt.Errorf("reading the answer: %w", err))
	}
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(out, "%d alarms of %d readings of %d devices: %d shown, %d explained by others\n", t.Total, t.Readings, t.Devices, t.Shown, t.Explained)
	_, _ = fmt.Fprintln(out, "\nRULE\tALARMS\tSHOWN\tEXPLAINED BY\tHOURS\tMOST ON ONE DAY")
	for _, r := range t.Rules {
		day, most := "", 0
		days := make([]string, 0, len(r.Days))
		for d := range r.Days {
			days = append(days, d)
		}
		slices.Sort(days)
		for _, d := range days {
			if r.Days[d] > most {
				day, most = d, r.Days[d]
			}
		}
		if most > 0 {
			day = fmt.Sprintf("%d on %s", most, day)
		}
		var explained []string
		for _, cause := range slices.Sorted(maps.Keys(r.Explained)) {
			explained = append(explained, fmt.Sprintf("%d %s", r.Explained[cause], cause))
		}
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%s\t%.1f\t%s\n", r.Rule, r.Count, r.Shown, cmp.Or(strings.Join(explained, ", "), "–"), r.Seconds/3600, day)
	}
	if len(t.Busiest) > 0 {
		_, _ = fmt.Fprintln(out, "\nENTITY\tALARMS")
		for _, b := range t.Busiest[:min(10, len(t.Busiest))] {
			_, _ = fmt.Fprintf(out, "%s\t%d\n", b.Entity, b.Count)
		}
	}
	if len(t.Alarms) > 0 {
		_, _ = fmt.Fprintln(out, "\nRAISED\tCLEARED\tP\tRULE\tEXPLAINED BY\tMESSAGE")
		for i := range t.Alarms {
			a := &t.Alarms[i]
			cleared := "still"
			if a.Cleared != nil {
				cleared = a.Cleared.Format("01-02 15:04:05")
			}
			_, _ = fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%s\n", a.Raised.Format("2006-01-02 15:04:05"), cleared, a.Priority, a.Rule, cmp.Or(a.Explained, "–"), cmp.Or(a.Message["en"], a.Entity))
		}
	}
	for _, n := range t.Notes {
		_, _ = fmt.Fprintln(out, "\nnote: "+n)
	}
	if t.Mix.Warn {
		tellMix(out, t.Mix)
	}
	return out.Flush()
}

func newThreshold(r *remote) *cobra.Command {
	var note, device, quantity, at string
	apply := &cobra.Command{
		Use: "apply FILE", Short: "put a register of thresholds in force, replacing the one before",
		Example: "  vonglau threshold apply deploy/thresholds.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := r.sendFile(cmd, http.MethodPut, "/v1/thresholds", args[0], note)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), raw)
		},
	}
	apply.Flags().StringVar(&note, "note", "", "why, for the record of versions")
	list := &cobra.Command{
		Use: "list", Short: "list the thresholds in force, with what they rest on", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for k, v := range map[string]string{"device": device, "quantity": quantity, "at": at} {
				if v != "" {
					query.Set(k, v)
				}
			}
			return r.print(cmd, http.MethodGet, "/v1/thresholds", query, nil, table("limits", "set", "level", "subject", "quantity", "value", "unit", "basis"))
		},
	}
	list.Flags().StringVar(&device, "device", "", "only what binds this device")
	list.Flags().StringVar(&quantity, "quantity", "", "only of this quantity")
	list.Flags().StringVar(&at, "at", "", "what was in force then")
	return group("threshold", "the register of thresholds", apply, list)
}
