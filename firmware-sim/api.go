package firmwaresim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vonglau/devices"
)

// Server is the part of the server's HTTP API a fleet needs: putting devices
// into the register.
type Server struct {
	URL    string // http://[::1]:8080
	Token  string // of an administrator
	Client *http.Client
}

// Registration is one device as the register wants it.
type Registration struct {
	ID        devices.ID  `json:"id"`
	Name      string      `json:"name,omitempty"`
	Profile   string      `json:"profile"`
	At        *[2]float64 `json:"at,omitempty"` // longitude, latitude; absent for a moving device
	Upstream  devices.ID  `json:"upstream,omitempty"`
	Owner     string      `json:"owner,omitempty"`
	Simulated bool        `json:"simulated"`
	// Token is the device's secret. We choose it and write it down before the
	// server hears of it, so that no crash leaves a device whose token nobody
	// knows.
	Token string `json:"token"`
}

// batch bounds one request to the register.
const batch = 1000

// Register adds devices, all of a batch or none.
func (s *Server) Register(ctx context.Context, rs []Registration) error {
	for len(rs) > 0 {
		n := min(batch, len(rs))
		body, err := json.Marshal(rs[:n])
		if err != nil {
			return fmt.Errorf("register %d devices: %w", n, err)
		}
		if _, err := s.do(ctx, http.MethodPost, "/v1/devices", body); err != nil {
			return fmt.Errorf("register %d devices from %s on: %w", n, rs[0].ID, err)
		}
		rs = rs[n:]
	}
	return nil
}

// Known reports which of the ids the register holds.
func (s *Server) Known(ctx context.Context, ids []devices.ID) (map[devices.ID]bool, error) {
	known := make(map[devices.ID]bool)
	cursor := ""
	for {
		answer, err := s.do(ctx, http.MethodGet, "/v1/devices?limit=1000&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			return nil, fmt.Errorf("list the devices: %w", err)
		}
		var page struct {
			Devices []struct {
				ID devices.ID `json:"id"`
			} `json:"devices"`
			Next string `json:"next"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, fmt.Errorf("list the devices: cannot read the server's answer: %w", err)
		}
		for _, d := range page.Devices {
			known[d.ID] = true
		}
		if page.Next == "" || page.Next == cursor {
			break
		}
		cursor = page.Next
	}
	out := make(map[devices.ID]bool, len(ids))
	for _, id := range ids {
		out[id] = known[id]
	}
	return out, nil
}

func (s *Server) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c := s.Client
	if c == nil {
		c = &http.Client{Timeout: time.Minute}
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w (is the server running there?)", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return answer, nil
	}
	// Errors are problem details (RFC 9457).
	var p struct{ Title, Detail string }
	_ = json.Unmarshal(answer, &p)
	return nil, &StatusError{Code: res.StatusCode, Text: strings.TrimSpace(p.Title + " " + p.Detail)}
}

// StatusError is an answer of the server that is not a success.
type StatusError struct {
	Code int
	Text string
}

func (e *StatusError) Error() string {
	t := fmt.Sprintf("the server answered %d %s", e.Code, http.StatusText(e.Code))
	if e.Text != "" {
		t += ": " + e.Text
	}
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		t += " (is --token-file the admin.token of this server's data directory?)"
	}
	return t
}

// Credentials are the tokens of a fleet, kept in a file so that the same devices
// come back after a restart. Tokens are secrets: the file is readable by its
// owner only.
type Credentials struct {
	path string

	mu     sync.Mutex
	tokens map[devices.ID]string
}

// OpenCredentials reads a state file; one that does not exist is empty. Without
// a path nothing is kept.
func OpenCredentials(path string) (*Credentials, error) {
	c := &Credentials{path: path, tokens: make(map[devices.ID]string)}
	if path == "" {
		return c, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	var f stateFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("state file %s: %w (move it away to start with new credentials)", path, err)
	}
	for id, t := range f.Tokens {
		c.tokens[id] = t
	}
	return c, nil
}

type stateFile struct {
	Tokens map[devices.ID]string `json:"tokens"`
}

// Token gives a device's token, empty when there is none.
func (c *Credentials) Token(id devices.ID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[id]
}

// Add takes in new tokens and writes the file anew, so that a crash leaves the
// old one or the new one.
func (c *Credentials) Add(tokens map[devices.ID]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, t := range tokens {
		c.tokens[id] = t
	}
	if c.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(stateFile{c.tokens}, "", " ")
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	if _, err := f.Write(data); err != nil {
		f.Close()
		return fmt.Errorf("write the state file: %w", err)
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("write the state file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	if err := os.Rename(f.Name(), c.path); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}

// Provision makes sure the server knows the devices under tokens we know. A
// device the server forgot (another data directory) is registered again; one it
// knows and we have no token for is an error, because a token cannot be asked
// for.
func Provision(ctx context.Context, s *Server, c *Credentials, rs []Registration) error {
	ids := make([]devices.ID, len(rs))
	for i, r := range rs {
		ids[i] = r.ID
	}
	known, err := s.Known(ctx, ids)
	if err != nil {
		return err
	}
	var missing []Registration
	fresh := make(map[devices.ID]string)
	for _, r := range rs {
		r.Token = c.Token(r.ID)
		switch {
		case known[r.ID] && r.Token == "":
			return fmt.Errorf("the server knows %s and the state file does not: use the state file of the first run, or another --prefix", r.ID)
		case known[r.ID]:
			continue
		case r.Token == "":
			r.Token = rand.Text()
			fresh[r.ID] = r.Token
		}
		missing = append(missing, r)
	}
	if len(fresh) > 0 {
		if err := c.Add(fresh); err != nil {
			return err
		}
	}
	return s.Register(ctx, missing)
}
