package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// client talks to a running server's HTTP API.
type client struct {
	server, token string
	http          http.Client
}

// newClient takes the server and token from flags, then from VONGLAU_SERVER and
// VONGLAU_TOKEN, then from a data folder in the working directory: whoever can
// read admin.token there is the administrator of this machine.
func newClient(server, token string) (*client, error) {
	const folder = "data"
	if server == "" {
		server = os.Getenv("VONGLAU_SERVER")
	}
	if server == "" {
		server = "http://[::1]:8080"
		if raw, err := os.ReadFile(filepath.Join(folder, "addresses.json")); err == nil {
			var a addresses
			if err := json.Unmarshal(raw, &a); err == nil && a.HTTP != "" {
				server = "http://" + a.HTTP
			} else if err == nil && a.HTTPS != "" {
				server = "https://" + a.HTTPS
			}
		}
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server %q: write http://[2001:db8::7]:8080", server)
	}
	if token == "" {
		token = os.Getenv("VONGLAU_TOKEN")
	}
	if token == "" {
		raw, _ := os.ReadFile(filepath.Join(folder, "admin.token"))
		token = strings.TrimSpace(string(raw))
	}
	if token == "" {
		return nil, errors.New("no token: give --token or set VONGLAU_TOKEN (the server's data folder has one in admin.token)")
	}
	c := &client{server: strings.TrimRight(server, "/"), token: token}
	if u.Scheme == "https" {
		if err := c.trustCity(folder); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// trustCity lets the client believe the city CA besides those of the system:
// VONGLAU_CA names its file, else it is looked for in the data folder.
func (c *client) trustCity(folder string) error {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	file := os.Getenv("VONGLAU_CA")
	raw, err := os.ReadFile(cmp.Or(file, filepath.Join(folder, "ca.pem")))
	if err != nil && file != "" {
		return fmt.Errorf("VONGLAU_CA: %w", err)
	}
	if err == nil && !pool.AppendCertsFromPEM(raw) {
		return fmt.Errorf("the city CA %s has no certificate in PEM", cmp.Or(file, filepath.Join(folder, "ca.pem")))
	}
	c.http.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool}}
	return nil
}

// call makes one request. A problem answer (RFC 9457) becomes the error.
func (c *client) call(ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader) ([]byte, error) {
	target := c.server + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, failed(errors.New("interrupted"))
		}
		return nil, &codedError{exitUnreachable, fmt.Errorf("no answer from %s (is `vonglau serve` running there?): %w", c.server, err)}
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, failed(fmt.Errorf("reading the answer of %s %s: %w", method, path, err))
	}
	if res.StatusCode/100 != 2 {
		return nil, failed(problemError(res, raw))
	}
	return raw, nil
}

func problemError(res *http.Response, raw []byte) error {
	var p struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Title == "" && p.Detail == "" {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", p.Title, res.StatusCode)
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "\n  %s", e.Message)
		if e.Location != "" {
			fmt.Fprintf(&b, " (%s)", e.Location)
		}
	}
	return errors.New(b.String())
}

// uploadReader counts what was read of a file and says so on stderr while a
// long upload runs.
type uploadReader struct {
	io.Reader
	name        string
	read, total int64
	last        time.Time
	quiet       bool
}

func (u *uploadReader) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	u.read += int64(n)
	if now := time.Now(); !u.quiet && now.Sub(u.last) > time.Second {
		if !u.last.IsZero() && u.total > 0 {
			fmt.Fprintf(os.Stderr, "%s: %d %% sent\n", u.name, 100*u.read/u.total)
		}
		u.last = now
	}
	return n, err
}
