package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"vonglau/ops-center/access"
)

// PersonConfig lets one person or program in besides the administrator of
// admin.token. What is kept of the token cannot be used as one.
type PersonConfig struct {
	Name        string `yaml:"name" json:"name"`
	Role        string `yaml:"role" json:"role"`
	TokenSHA256 string `yaml:"token_sha256" json:"token_sha256"`
	// Department and Wards bound an officer; Screen is the display of a display's.
	Department string   `yaml:"department" json:"department,omitempty"`
	Wards      []string `yaml:"wards" json:"wards,omitempty"`
	Screen     string   `yaml:"screen" json:"screen,omitempty"`
}

func (p PersonConfig) token() (access.Token, error) {
	t := access.Token{Name: p.Name, Role: access.Role(p.Role), Department: p.Department, Wards: p.Wards, Screen: p.Screen}
	sum, err := hex.DecodeString(p.TokenSHA256)
	switch {
	case p.Name == "" || p.Name == "admin":
		return t, fmt.Errorf("people: name %q: give everybody a name of their own", p.Name)
	case !t.Role.Known() || t.Role == access.DeviceRole:
		return t, fmt.Errorf("people: %s: role %q: use display or one of %s", p.Name, p.Role, personRoles())
	case err != nil || copy(t.Hash[:], sum) != len(t.Hash) || len(sum) != len(t.Hash):
		return t, fmt.Errorf("people: %s: token_sha256 has 64 hexadecimal digits; `vonglau person new` makes a token and prints it", p.Name)
	}
	return t, nil
}

// tokens are those of the configuration; Check has said what is wrong with them.
func (c *Config) tokens() (list []access.Token, err error) {
	seen := map[string]bool{}
	for _, p := range c.People {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		if seen[p.Name] {
			return nil, fmt.Errorf("people: %s comes twice", p.Name)
		}
		seen[p.Name] = true
		list = append(list, t)
	}
	return list, nil
}

func newPerson(r *remote) *cobra.Command {
	var role string
	create := &cobra.Command{
		Use: "new NAME", Short: "make a token for somebody and print the lines for the configuration",
		Long: `Make a token for somebody and print it, this once, with the lines that let it in
under "people" in the configuration. The server reads them when it starts.`,
		Example: "  vonglau person new binh --role operator",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token := access.NewToken()
			sum := access.HashToken(token)
			p := PersonConfig{Name: args[0], Role: role, TokenSHA256: hex.EncodeToString(sum[:])}
			if _, err := p.token(); err != nil {
				return err
			}
			if r.json {
				raw, err := json.Marshal(struct {
					PersonConfig
					Token string `json:"token"`
				}{p, token})
				if err != nil {
					return failed(err)
				}
				return printJSON(cmd.OutOrStdout(), raw)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "token: %s\n\npeople:\n  - {name: %q, role: %s, token_sha256: %s}\n", token, p.Name, p.Role, p.TokenSHA256)
			return failed(err)
		},
	}
	create.Flags().StringVar(&role, "role", "operator", "display, or one of "+personRoles())
	return group("person", "who may use the operations center", append(newPersonCommands(r), create)...)
}
