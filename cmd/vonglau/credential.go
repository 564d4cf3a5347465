package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// giveOut makes a request that is answered with a secret, keeps a certificate
// in files under dir and prints the rest.
func (r *remote) giveOut(cmd *cobra.Command, path, id, dir string, body map[string]any) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return failed(err)
	}
	// Before the request: the key is shown once.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed(err)
	}
	if raw, err = cl.call(cmd.Context(), http.MethodPost, path, nil, "application/json", bytes.NewReader(raw)); err != nil {
		return err
	}
	var answer map[string]json.RawMessage
	var certificate struct{ Certificate, Key, CA string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return failed(fmt.Errorf("the server's answer is not JSON: %w", err))
	}
	if part, ok := answer["x509"]; ok {
		if err := json.Unmarshal(part, &certificate); err != nil {
			return failed(err)
		}
		files := map[string]string{}
		for _, f := range []struct {
			name, file, content string
			mode                os.FileMode
		}{
			{"key", id + ".key", certificate.Key, 0o600}, {"certificate", id + ".pem", certificate.Certificate, 0o644}, {"ca", "ca.pem", certificate.CA, 0o644},
		} {
			files[f.name] = filepath.Join(dir, f.file)
			if err := os.WriteFile(files[f.name], []byte(f.content), f.mode); err != nil {
				return failed(fmt.Errorf("keeping the %s of %s: %w", f.name, id, err))
			}
		}
		if answer["x509"], err = json.Marshal(files); err != nil {
			return failed(err)
		}
		if raw, err = json.Marshal(answer); err != nil {
			return failed(err)
		}
	}
	return printJSON(cmd.OutOrStdout(), raw)
}

func newDeviceRevoke(r *remote) *cobra.Command {
	var credential string
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "take a device's credentials away; its connections end at once",
		Example: `  vonglau device revoke aq-001
  vonglau device revoke aq-001 --credential 5f0c8a1b22d3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := credentialsOf(args[0])
			if credential != "" {
				path += "/" + url.PathEscape(credential)
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			if _, err := cl.call(cmd.Context(), http.MethodDelete, path, nil, "", nil); err != nil {
				return err
			}
			return r.print(cmd, http.MethodGet, credentialsOf(args[0]), nil, nil, printJSON)
		},
	}
	c.Flags().StringVar(&credential, "credential", "", "only this one; `vonglau device credentials ID` names them")
	return c
}

func newDeviceRotate(r *remote) *cobra.Command {
	var kind, out string
	var overlap, lifetime time.Duration
	c := &cobra.Command{
		Use:   "rotate ID",
		Short: "give a device a new credential; those of its kind before still count for the overlap",
		Example: `  vonglau device rotate aq-001 --overlap 24h
  vonglau device rotate gate-7 --credential x509 --overlap 72h --out /media/usb`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"kind": kind, "overlap": overlap.String()}
			if lifetime > 0 {
				body["lifetime"] = lifetime.String()
			}
			return r.giveOut(cmd, credentialsOf(args[0]), args[0], out, body)
		},
	}
	c.Flags().StringVar(&kind, "credential", "token", "token, psk or x509")
	c.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long those before still count")
	c.Flags().DurationVar(&lifetime, "lifetime", 0, "how long the new one counts; 0 is the server's default")
	c.Flags().StringVar(&out, "out", ".", "folder for a certificate and its key")
	return c
}

func newDeviceCredentials(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "credentials ID", Short: "list what a device may prove itself by", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.print(cmd, http.MethodGet, credentialsOf(args[0]), nil, nil, table("credentials", "id", "kind", "identity", "added", "expires"))
		},
	}
}

func newDeviceExpiring(r *remote) *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use: "expiring", Short: "list credentials that end soon and that nothing replaces", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/credentials/expiring", url.Values{"within": {within.String()}}, nil, printJSON)
		},
	}
	c.Flags().DurationVar(&within, "within", 30*24*time.Hour, "how soon")
	return c
}

func credentialsOf(id string) string { return "/v1/devices/" + url.PathEscape(id) + "/credentials" }
