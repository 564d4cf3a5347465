package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vonglau/ops-center/access"
)

// OIDCConfig points at an identity provider; an empty issuer has none.
type OIDCConfig struct {
	Issuer           string        `yaml:"issuer"`
	ClientID         string        `yaml:"client_id"`
	ClientSecretFile string        `yaml:"client_secret_file"`
	Redirect         string        `yaml:"redirect"`
	Scopes           []string      `yaml:"scopes"`
	GroupsClaim      string        `yaml:"groups_claim"`
	DepartmentClaim  string        `yaml:"department_claim"`
	UserClaim        string        `yaml:"user_claim"`
	Roles            []OIDCRole    `yaml:"roles"`
	Recheck          time.Duration `yaml:"recheck"`
	Grace            time.Duration `yaml:"grace"`
	CA               string        `yaml:"ca"`
}

// OIDCRole gives the members of a group of the provider a role.
type OIDCRole struct {
	Group      string   `yaml:"group"`
	Role       string   `yaml:"role"`
	Department string   `yaml:"department"`
	Wards      []string `yaml:"wards"`
}

func defaultOIDC() OIDCConfig {
	return OIDCConfig{
		Scopes: []string{"profile", "email", "offline_access"}, GroupsClaim: "groups", DepartmentClaim: "department", UserClaim: "preferred_username",
		Roles: []OIDCRole{}, Recheck: 30 * time.Second, Grace: time.Hour,
	}
}

func (c *OIDCConfig) check(bad func(string, ...any)) {
	if c.Issuer == "" {
		return
	}
	if c.Recheck < time.Second || c.Recheck > time.Minute {
		bad("oidc.recheck: %s: a second to a minute, or somebody whom the provider has disabled goes on too long", c.Recheck)
	}
	if o := c.options(); o.Check() != nil {
		bad("%w", o.Check())
	}
	if _, err := c.open(); err != nil { // the files too: not at the first log-in
		bad("%w", err)
	}
}

func (c *OIDCConfig) options() *access.OIDC {
	o := &access.OIDC{
		Issuer: c.Issuer, ClientID: c.ClientID, Redirect: c.Redirect, Scopes: c.Scopes,
		Groups: c.GroupsClaim, Department: c.DepartmentClaim, User: c.UserClaim, Recheck: c.Recheck, Grace: c.Grace,
	}
	for _, r := range c.Roles {
		o.Map = append(o.Map, access.GroupRole{Group: r.Group, Role: access.Role(r.Role), Department: r.Department, Wards: r.Wards})
	}
	return o
}

// open reads the files that the configuration names.
func (c *OIDCConfig) open() (*access.OIDC, error) {
	if c.Issuer == "" {
		return nil, nil
	}
	o := c.options()
	if c.ClientSecretFile != "" {
		raw, err := os.ReadFile(c.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.client_secret_file: %w", err)
		}
		if o.ClientSecret = strings.TrimSpace(string(raw)); o.ClientSecret == "" {
			return nil, fmt.Errorf("oidc.client_secret_file: %s is empty", c.ClientSecretFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CA != "" {
		raw, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("oidc.ca: %s holds no certificate in PEM", c.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	o.Client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return o, nil
}

func (s *Server) openAccess(ctx context.Context) (err error) {
	tokens, err := s.cfg.tokens()
	if err != nil {
		return err
	}
	accounts, err := s.journal.Bucket(ctx, "accounts")
	if err != nil {
		return err
	}
	programs, err := s.journal.Bucket(ctx, "api-tokens")
	if err != nil {
		return err
	}
	provider, err := s.cfg.OIDC.open()
	if err != nil {
		return err
	}
	s.access, err = access.Open(ctx, access.Options{
		Dir: s.cfg.Data, Tokens: tokens, Accounts: accounts, APITokens: programs, OIDC: provider, Notice: s.securityEvent,
		Log: s.log.With("part", "access"), Metrics: s.registry,
	})
	return err
}

// securityEvent takes what access reports of log-ins, tokens and sessions.
func (s *Server) securityEvent(e access.Event) {
	s.log.Info("security event", "kind", string(e.Kind), "from", e.From, "who", e.Who, "detail", e.Detail)
	s.noticed(e)
}

// newPersonCommands are those for accounts, on a running server.
func newPersonCommands(r *remote) []*cobra.Command {
	const path = "/v1/people"
	var name, role, department, language string
	var wards []string
	add := &cobra.Command{
		Use: "add ID", Short: "add a local account and print its one-time password",
		Example: `  vonglau person add binh --name "Trần Thị Bình" --role operator
  vonglau person add lan --name "Lê Lan" --role officer --department "Thoát nước" --ward 13693 --ward 13699`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"id": args[0], "name": cmp.Or(name, args[0]), "role": role}
			if department != "" {
				body["department"] = department
			}
			if language != "" {
				body["language"] = language
			}
			if len(wards) > 0 {
				body["wards"] = wards
			}
			return r.print(cmd, http.MethodPost, path, nil, body, printJSON)
		},
	}
	f := add.Flags()
	f.StringVar(&name, "name", "", "name for people; ID when left out")
	f.StringVar(&role, "role", "operator", "one of "+personRoles())
	f.StringVar(&department, "department", "", "department, which bounds an officer")
	f.StringArrayVar(&wards, "ward", nil, "code of a ward that bounds an officer; repeat for more")
	f.StringVar(&language, "language", "", "vi or en")
	list := &cobra.Command{
		Use: "list", Short: "list accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, path, nil, nil, table("people", "id", "name", "role", "department", "origin", "disabled", "totp", "lastLogin"))
		},
	}
	disable := func(use, short string, off bool) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.print(cmd, http.MethodPatch, path+"/"+url.PathEscape(args[0]), nil, map[string]any{"disabled": off}, printJSON)
			},
		}
	}
	var removeTOTP bool
	password := &cobra.Command{
		Use: "password ID", Short: "give an account a one-time password; its sessions end", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, path+"/"+url.PathEscape(args[0])+"/password", nil, map[string]any{"removeTOTP": removeTOTP}, printJSON)
		},
	}
	password.Flags().BoolVar(&removeTOTP, "remove-totp", false, "also take its second factor off, for a telephone that was lost")
	erase := &cobra.Command{
		Use: "erase ID", Short: "forget who an account belonged to, for good", Args: cobra.ExactArgs(1),
		Long: `Close an account and forget the name behind it. The audit record keeps the
pseudonym, so its chain stays whole, and nothing says any more whose it was.
There is no way back. Needs the permission erase_personal, which data stewards
have and administrators have not.`,
		Example: "  vonglau person erase binh",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodPost, "/v1/personal/"+url.PathEscape(args[0])+"/erase", nil, nil, printJSON)
		},
	}
	return []*cobra.Command{
		add, list, password, erase,
		disable("disable", "end an account: its sessions, sockets and tokens end at once", true),
		disable("enable", "let a disabled account in again", false),
	}
}

func personRoles() string {
	var names []string
	for _, r := range access.Roles() {
		if r != access.Display && r != access.DeviceRole {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, ", ")
}

func newToken(r *remote) *cobra.Command {
	const path = "/v1/tokens"
	var purpose, role, department, screen string
	var scope, networks, wards []string
	var days, perMinute, perDay int
	create := &cobra.Command{
		Use: "new NAME", Short: "make an API token for a program, a department or a wall screen, and print it, this once",
		Example: `  vonglau token new "Báo cáo tuần" --purpose "weekly figures for the steering committee" --role executive --scope view_figures
  vonglau token new "Màn hình 3" --purpose "wall, room 2" --screen wall-3 --network 2001:db8:7::/64`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0], "purpose": purpose, "kind": access.ProgramToken}
			if screen != "" {
				body["kind"] = access.DisplayToken
			}
			for key, value := range map[string]string{"role": role, "department": department, "screen": screen} {
				if value != "" {
					body[key] = value
				}
			}
			for key, value := range map[string][]string{"scope": scope, "networks": networks, "wards": wards} {
				if len(value) > 0 {
					body[key] = value
				}
			}
			for key, value := range map[string]int{"days": days, "perMinute": perMinute, "perDay": perDay} {
				if value > 0 {
					body[key] = value
				}
			}
			return r.print(cmd, http.MethodPost, path, nil, body, printJSON)
		},
	}
	f := create.Flags()
	f.StringVar(&purpose, "purpose", "", "what it is for")
	f.StringVar(&role, "role", "", "role of a program, one of "+personRoles())
	f.StringVar(&department, "department", "", "whose credential it is")
	f.StringArrayVar(&wards, "ward", nil, "code of a ward that bounds an officer's; repeat for more")
	f.StringVar(&screen, "screen", "", "the wall screen it opens, instead of a role")
	f.StringArrayVar(&scope, "scope", nil, "a permission it is narrowed to; repeat for more")
	f.StringArrayVar(&networks, "network", nil, "take it from this network only; repeat for more")
	f.IntVar(&days, "days", 0, "how long it counts, at most 366; 90 when left out")
	f.IntVar(&perMinute, "per-minute", 0, "requests a minute; 600 when left out")
	f.IntVar(&perDay, "per-day", 0, "requests a day; 200,000 when left out")
	_ = create.MarkFlagRequired("purpose")
	list := &cobra.Command{
		Use: "list", Short: "list API tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, path, nil, nil, table("tokens", "id", "kind", "name", "owner", "role", "screen", "expires", "lastUsed", "revoked"))
		},
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "end an API token, with its sessions and sockets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodDelete, path+"/"+url.PathEscape(args[0]), nil, nil, printJSON)
		},
	}
	return group("token", "API tokens of programs, departments and wall screens", create, list, revoke)
}
