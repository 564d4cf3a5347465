package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newCommand(r *remote) *cobra.Command {
	commands := func(id string) string { return "/v1/devices/" + url.PathEscape(id) + "/commands" }
	var ttl time.Duration
	send := &cobra.Command{
		Use: "send ID NAME [JSON]", Short: "tell a device to do something",
		Long: `Tell a device to do something, with arguments in JSON when it takes some.
The command waits for the device for --ttl and is never delivered after that.

What the device's profile marks dangerous is proposed only; a second person lets
it go with ` + "`vonglau command approve`" + `.`,
		Example: "  vonglau command send lamp-0031 dim '{\"percent\":40}' --ttl 10m\n  vonglau command send aq-001 reboot --ttl 60s",
		Args:    cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[1], "ttl": ttl.String()}
			if len(args) == 3 {
				if !json.Valid([]byte(args[2])) {
					return fmt.Errorf("%q is not JSON", args[2])
				}
				body["args"] = json.RawMessage(args[2])
			}
			return r.print(cmd, http.MethodPost, commands(args[0]), nil, body, printJSON)
		},
	}
	send.Flags().DurationVar(&ttl, "ttl", time.Minute, "how long it may wait for the device")
	list := &cobra.Command{
		Use: "list ID", Short: "list what a device was told and what became of it, the newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodGet, commands(args[0]), nil, nil, table("commands", "id", "name", "state", "by", "approved", "expires"))
		},
	}
	approve := &cobra.Command{
		Use: "approve ID COMMAND", Short: "let a dangerous command go that somebody else asked for", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, commands(args[0])+"/"+url.PathEscape(args[1])+"/approve", nil, nil, printJSON)
		},
	}
	withdraw := &cobra.Command{
		Use: "withdraw ID COMMAND", Short: "take back a command that was not delivered", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodDelete, commands(args[0])+"/"+url.PathEscape(args[1]), nil, nil, printJSON)
		},
	}
	state := &cobra.Command{
		Use: "state ID [JSON]", Short: "print how a device should be and says it is, or change how it should be",
		Long: `Print how a device should be and how it says it is. With a JSON merge patch (RFC
7396) change how it should be; null takes a member away.`,
		Example: "  vonglau command state lamp-0031 '{\"level\":40}'",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/devices/" + url.PathEscape(args[0]) + "/state"
			if len(args) == 1 {
				return r.print(cmd, http.MethodGet, path, nil, nil, printJSON)
			}
			if !json.Valid([]byte(args[1])) {
				return fmt.Errorf("%q is not JSON", args[1])
			}
			return r.print(cmd, http.MethodPatch, path+"/desired", nil, json.RawMessage(args[1]), printJSON)
		},
	}
	return group("command", "tell devices what to do", send, list, approve, withdraw, state)
}
