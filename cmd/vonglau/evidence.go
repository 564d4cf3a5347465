package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vonglau/ops-center/audit"
)

// finding is one line of the evidence.
type finding struct {
	ID       string   `json:"id"`
	Question string   `json:"question"`
	Meets    []string `json:"meets"`  // provisions and requirements it bears on
	Result   string   `json:"result"` // pass, fail or not checked
	Detail   string   `json:"detail"`
}

const (
	passed     = "pass"
	notPassed  = "fail"
	notChecked = "not checked"
)

// inspection asks a running server.
type inspection struct {
	cl     *client
	secure string // host:port of its door over TLS, "" when not known
	list   []finding
}

func (i *inspection) note(id, question string, meets []string, result, format string, args ...any) {
	i.list = append(i.list, finding{id, question, meets, result, fmt.Sprintf(format, args...)})
}

func verdict(ok bool) string {
	if ok {
		return passed
	}
	return notPassed
}

// fetch makes a request as it is, without the token unless asked for.
func (i *inspection) fetch(ctx context.Context, method, path string, token string, headers map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, i.cl.server+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := i.cl.http.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res, res.Body.Close()
}

func (i *inspection) run(ctx context.Context) {
	i.headers(ctx)
	i.strangers(ctx)
	i.plain()
	i.tls(ctx)
	i.accounts(ctx)
	i.tokens(ctx)
	i.record(ctx)
	i.status(ctx)
	i.note("vulnerabilities", "Are the modules free of known vulnerabilities?", []string{"EN 303 645 5.2-3", "ASVS V15.2.1"}, notChecked,
		"`make check` runs govulncheck over the source; a program cannot tell that of itself. `vonglau sbom` lists what it is made of.")
	i.note("secure-update", "Are the devices' firmware images signed and verified?", []string{"EN 303 645 5.3-2", "EN 303 645 5.3-10"}, notChecked,
		"the device verifies; ours is shown by TestProgramFirmwareCampaign against simulated devices")
}

func (i *inspection) headers(ctx context.Context) {
	meets := []string{"EN 303 645 5.6-1", "ASVS V3.4"}
	res, err := i.fetch(ctx, http.MethodGet, "/", "", nil)
	if err != nil {
		i.note("headers", "Do pages forbid what they do not need?", meets, notChecked, "%v", err)
		return
	}
	var missing []string
	for name, part := range map[string]string{
		"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=()", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if !strings.Contains(res.Header.Get(name), part) {
			missing = append(missing, name)
		}
	}
	i.note("headers", "Do pages forbid what they do not need?", meets, verdict(len(missing) == 0), "missing: %s", or(strings.Join(missing, ", "), "none"))
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (i *inspection) strangers(ctx context.Context) {
	var open []string
	for _, path := range []string{"/v1/devices", "/v1/alarms", "/v1/people", "/v1/audit", "/v1/security/events", "/v1/status", "/metrics"} {
		res, err := i.fetch(ctx, http.MethodGet, path, "", nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			open = append(open, path)
		}
	}
	i.note("strangers", "Does somebody without a credential get nothing?", []string{"EN 303 645 5.5-5", "ASVS V8.2.1"}, verdict(len(open) == 0), "answered to a stranger: %s", or(strings.Join(open, ", "), "none"))
	var taken []string
	for _, guess := range []string{"admin", "password", "vonglau", "0000000000000000000000000000000000000000000"} {
		res, err := i.fetch(ctx, http.MethodGet, "/v1/session", guess, nil)
		if err != nil || res.StatusCode < 400 {
			taken = append(taken, guess)
		}
	}
	i.note("defaults", "Are there no default credentials?", []string{"EN 303 645 5.1-1", "ASVS V6.3.2"}, verdict(len(taken) == 0), "%d of 4 usual ones are taken; every secret is made at random at the first start", len(taken))
}

func (i *inspection) plain() {
	u, err := url.Parse(i.cl.server)
	if err != nil {
		return
	}
	meets := []string{"EN 303 645 5.5-1", "EN 303 645 5.6-1", "ASVS V12.2.1"}
	host := u.Hostname()
	var open []string
	for name, port := range map[string]string{"http": "8080", "mqtt": "1883"} {
		if u.Scheme == "http" && name == "http" {
			port = u.Port()
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 2*time.Second)
		if err == nil {
			_ = conn.Close()
			open = append(open, name+" "+port)
		}
	}
	i.note("plain-doors", "Are the doors that are not encrypted shut?", meets, verdict(len(open) == 0), "open: %s", or(strings.Join(open, ", "), "none at their usual ports"))
}

func (i *inspection) tls(ctx context.Context) {
	meets := []string{"EN 303 645 5.5-1", "ASVS V12.1.1"}
	if i.secure == "" {
		i.note("tls-versions", "Are versions of TLS before 1.2 refused?", meets, notChecked, "the door over TLS is not known; give --tls host:port")
		return
	}
	dial := func(c *tls.Config) (*tls.ConnectionState, error) {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: c}
		conn, err := d.DialContext(ctx, "tcp", i.secure)
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }()
		st := conn.(*tls.Conn).ConnectionState()
		return &st, nil
	}
	// What the server proves itself by is looked at below, so a certificate of
	// the city's own CA may pass here.
	loose := &tls.Config{InsecureSkipVerify: true}
	now, err := dial(loose)
	if err != nil {
		i.note("tls-versions", "Are versions of TLS before 1.2 refused?", meets, notChecked, "%v", err)
		return
	}
	old := loose.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err = dial(old)
	i.note("tls-versions", "Are versions of TLS before 1.2 refused?", meets, verdict(err != nil), "%s is agreed on; TLS 1.1 is answered: %v", tls.VersionName(now.Version), err)
	leaf := now.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	i.note("certificate", "Does the server's certificate last?", []string{"EN 303 645 5.5-1", "ASVS V12.2.2"}, verdict(left > 14*24*time.Hour), "until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
}

func (i *inspection) get(ctx context.Context, path string, into any) error {
	raw, err := i.cl.call(ctx, http.MethodGet, path, nil, "", nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (i *inspection) accounts(ctx context.Context) {
	meets := []string{"ASVS V6.3.3", "EN 303 645 5.1-5"}
	var answer struct {
		People []struct {
			ID       string `json:"id"`
			TOTP     bool   `json:"totp"`
			Disabled bool   `json:"disabled"`
			Origin   string `json:"origin"`
		} `json:"people"`
	}
	if err := i.get(ctx, "/v1/people", &answer); err != nil {
		i.note("second-factor", "Has everybody with a password a second factor?", meets, notChecked, "%v", err)
		return
	}
	without := 0
	for _, p := range answer.People {
		if !p.TOTP && !p.Disabled && p.Origin == "local" {
			without++
		}
	}
	i.note("second-factor", "Has everybody with a password a second factor?", meets, verdict(without == 0), "%d of %d accounts have none", without, len(answer.People))
}

func (i *inspection) tokens(ctx context.Context) {
	meets := []string{"ASVS V7.3", "ASVS V13.3.4"}
	var answer struct {
		Tokens []struct {
			Name    string    `json:"name"`
			Expires time.Time `json:"expires"`
		} `json:"tokens"`
	}
	if err := i.get(ctx, "/v1/tokens", &answer); err != nil {
		i.note("token-expiry", "Does every API token end within a year?", meets, notChecked, "%v", err)
		return
	}
	long := 0
	for _, t := range answer.Tokens {
		if t.Expires.IsZero() || time.Until(t.Expires) > 367*24*time.Hour {
			long++
		}
	}
	i.note("token-expiry", "Does every API token end within a year?", meets, verdict(long == 0), "%d of %d do not", long, len(answer.Tokens))
}

func (i *inspection) record(ctx context.Context) {
	meets := []string{"ASVS V16.2", "ASVS V16.4.2", "EN 303 645 5.4-1"}
	var report audit.Report
	if err := i.get(ctx, "/v1/audit/verify", &report); err != nil {
		i.note("record", "Is the record of what people did whole?", meets, notChecked, "%v", err)
		return
	}
	detail := fmt.Sprintf("%d records, signed up to %d", report.Records, report.Signed)
	if !report.OK {
		detail += "; " + report.Faults[0].Detail
	}
	i.note("record", "Is the record of what people did whole?", meets, verdict(report.OK), "%s", detail)
}

func (i *inspection) status(ctx context.Context) {
	var st struct {
		Version string `json:"version"`
		Journal struct {
			Level string `json:"level"`
		} `json:"journal"`
		Audit *auditStatus `json:"audit"`
	}
	if err := i.get(ctx, "/v1/status", &st); err != nil {
		i.note("outages", "Is what was acknowledged kept over an outage?", []string{"EN 303 645 5.9-1"}, notChecked, "%v", err)
		return
	}
	i.note("outages", "Is what was acknowledged kept over an outage?", []string{"EN 303 645 5.9-1", "EN 303 645 5.9-2"}, verdict(st.Journal.Level == "ok"), "the journal is %s; shown by TestProgramKilledLosesNothingAcknowledged", st.Journal.Level)
	meets := []string{"ASVS V16.4.3"}
	switch {
	case st.Audit == nil || st.Audit.Syslog == nil:
		i.note("record-away", "Is the record sent to another system?", meets, notPassed, "no syslog receiver is configured (audit.syslog)")
	default:
		i.note("record-away", "Is the record sent to another system?", meets, verdict(st.Audit.Syslog.Connected), "%d sent, %d behind %s", st.Audit.Syslog.Sent, st.Audit.Syslog.Behind, st.Audit.Syslog.Error)
	}
}

func newEvidence(r *remote) *cobra.Command {
	var secure string
	c := &cobra.Command{
		Use: "evidence", Short: "check a running server against what deploy/SECURITY.md says", Args: cobra.NoArgs,
		Long: `Ask a running server the questions of deploy/SECURITY.md that can be asked from
outside, and print a table: each with the provisions of ETSI EN 303 645 and the
requirements of OWASP ASVS 5.0 it bears on, and pass, fail or not checked.

It is evidence for whoever assesses the system. It is no assessment, states no
level of any law or standard, and does not see what it is not told.

Exit code 1 when a check fails.`,
		Example: "  vonglau evidence --tls '[2001:db8::7]:8443' >evidence.md\n  vonglau evidence --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := r.client()
			if err != nil {
				return err
			}
			if u, err := url.Parse(cl.server); err == nil && secure == "" && u.Scheme == "https" {
				secure = u.Host
			}
			if _, err := cl.call(cmd.Context(), http.MethodGet, "/v1/session", nil, "", nil); err != nil {
				return err
			}
			i := &inspection{cl: cl, secure: secure}
			i.run(cmd.Context())
			fails := 0
			for _, f := range i.list {
				if f.Result == notPassed {
					fails++
				}
			}
			if err := i.print(cmd.OutOrStdout(), r.json); err != nil {
				return failed(err)
			}
			if fails > 0 {
				return failed(fmt.Errorf("%d of %d checks failed", fails, len(i.list)))
			}
			return nil
		},
	}
	c.Flags().StringVar(&secure, "tls", "", "host:port of the door over TLS, when --server is another")
	return c
}

func (i *inspection) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"server": i.cl.server, "at": time.Now().UTC().Format(time.RFC3339), "program": version, "findings": i.list})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Evidence\n\n%s, asked of %s by vonglau %s. Evidence, not an assessment: it states no level of any law or standard.\n\n", time.Now().UTC().Format(time.RFC3339), i.cl.server, version)
	b.WriteString("| Check | Bears on | Result | Detail |\n|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, f := range i.list {
		fmt.Fprintf(&b, "| %s | %s | **%s** | %s |\n", cell.Replace(f.Question), strings.Join(f.Meets, ", "), f.Result, cell.Replace(f.Detail))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
