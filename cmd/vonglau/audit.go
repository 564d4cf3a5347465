package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ops-center/audit"
)

// AuditConfig is about the record of what people did.
type AuditConfig struct {
	// Retention is how long records are kept, 0 for ever.
	Retention time.Duration `yaml:"retention"`
	Syslog    SyslogConfig  `yaml:"syslog"`
}

// SyslogConfig points at a receiver of the record; an empty address has none.
type SyslogConfig struct {
	Address     string `yaml:"address"`
	CA          string `yaml:"ca"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

func (c *AuditConfig) check(bad func(string, ...any)) {
	if c.Retention != 0 && c.Retention < 24*time.Hour {
		bad("audit.retention: %s: keep records for a day or more, or 0 for ever", c.Retention)
	}
	if c.Syslog.Address == "" {
		return
	}
	if _, port, err := net.SplitHostPort(c.Syslog.Address); err != nil || port == "" || port == "0" {
		bad("audit.syslog.address: %q: write host:port, such as [2001:db8::514]:6514", c.Syslog.Address)
	}
	if (c.Syslog.Certificate == "") != (c.Syslog.Key == "") {
		bad("audit.syslog.certificate and audit.syslog.key: name both files, or none")
	}
	if _, err := c.Syslog.tls(); err != nil {
		bad("audit.syslog: %w", err)
	}
}

// tls is what the receiver is known by, and how we prove ourselves.
func (c *SyslogConfig) tls() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		raw, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if out.RootCAs = x509.NewCertPool(); !out.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("ca: %s has no certificate in PEM", c.CA)
		}
	}
	if c.Certificate != "" && c.Key != "" {
		cert, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// The logs and buckets of the record.
const (
	logAudit      = "audit"
	logMarks      = "audit-checkpoints"
	logSecurity   = "security"
	bucketNames   = "audit-names"
	bucketSyslog  = "audit-syslog"
	securityKept  = 400 * 24 * time.Hour
	securityBytes = 1 << 30
)

// auditLog is a log of the journal as the record sees it: each line an act.
type auditLog struct{ log *journal.Log }

func (l auditLog) AppendAll(ctx context.Context, lines [][]byte) error {
	acts := make([]journal.Act, len(lines))
	for i, line := range lines {
		acts[i].Data = line
	}
	_, err := l.log.AppendAll(ctx, acts)
	return err
}

func (l auditLog) End() uint64 { return l.log.End() }

func (l auditLog) Read(ctx context.Context, from uint64, f func(uint64, []byte) error) error {
	return l.log.Read(ctx, from, func(seq uint64, _ time.Time, _ string, data []byte) error { return f(seq, data) })
}

// auditPart is the record and what belongs to it.
type auditPart struct {
	record   *audit.Record
	names    *audit.Names
	security *audit.Security
	cursor   *journal.Bucket
	syslog   atomic.Pointer[audit.SyslogState]
	// open is set when the record and the stream are there: the journal tells of
	// its state before.
	open atomic.Bool
}

// openRecord opens the record over a journal.
func openRecord(ctx context.Context, j *journal.Journal, dir string, c AuditConfig) (o audit.Options, err error) {
	lines, err := j.Log(ctx, logAudit, journal.LogOptions{MaxAge: c.Retention})
	if err != nil {
		return o, err
	}
	marks, err := j.Log(ctx, logMarks, journal.LogOptions{})
	if err != nil {
		return o, err
	}
	bucket, err := j.Bucket(ctx, bucketNames)
	if err != nil {
		return o, err
	}
	names, err := audit.OpenNames(ctx, bucket)
	if err != nil {
		return o, err
	}
	key, err := audit.OpenKey(dir)
	if err != nil {
		return o, err
	}
	return audit.Options{Lines: auditLog{lines}, Marks: auditLog{marks}, Key: key, Names: names, Retention: c.Retention}, nil
}

func (s *Server) openAudit(ctx context.Context) error {
	o, err := openRecord(ctx, s.journal, s.cfg.Data, s.cfg.Audit)
	if err != nil {
		return err
	}
	o.Log, o.Metrics = s.log.With("part", "audit"), s.registry
	s.audit.names = o.Names
	if s.audit.record, err = audit.Open(ctx, o); err != nil {
		return err
	}
	s.open.add("audit", func(context.Context) error { return s.audit.record.Close() })
	if s.audit.cursor, err = s.journal.Bucket(ctx, bucketSyslog); err != nil {
		return err
	}
	events, err := s.journal.Log(ctx, logSecurity, journal.LogOptions{MaxAge: securityKept, MaxBytes: securityBytes})
	if err != nil {
		return err
	}
	if s.audit.security, err = audit.OpenSecurity(ctx, auditLog{events}, nil); err != nil {
		return err
	}
	s.audit.open.Store(true)
	s.readers[readerSecurity], err = s.journal.Reader(ctx, readerSecurity, journal.FromEnd())
	if err != nil {
		return err
	}
	// What was removed or written anew while nobody watched is found at the start.
	report, err := s.audit.record.Verify(ctx)
	if err != nil {
		return err
	}
	if !report.OK {
		f := report.Faults[0]
		o.Log.Error("the audit record is not what it was", "kind", string(f.Kind), "record", f.From, "detail", f.Detail)
		s.audit.security.Signal(audit.Signal{Kind: audit.ChainBroken, Key: "audit", Detail: f.Detail})
	}
	return nil
}

// byMachine notes what the server did by itself.
func (s *Server) byMachine(act, object string, outcome audit.Outcome, reason string) {
	if !s.audit.open.Load() {
		return
	}
	s.audit.record.Note(audit.Entry{Who: audit.Who{Kind: audit.Machine}, Act: act, Object: object, Outcome: outcome, Reason: reason})
}

// troubled notes that the journal does not take everything; the record may have
// to wait for it, the log does not.
func (s *Server) troubled(what, reason string) {
	s.byMachine("journal.trouble", what, audit.Failed, reason)
	if s.audit.open.Load() {
		s.audit.security.Signal(audit.Signal{Kind: audit.JournalTrouble, Key: "journal", Detail: what + ": " + reason})
	}
}

func (s *Server) startAudit() error {
	s.byMachine("server.start", version, audit.Done, "")
	s.running.add("audit note", func(context.Context) error {
		s.byMachine("server.stop", version, audit.Done, "")
		return nil
	})
	s.running.work("security events", s.audit.security.Run)
	s.running.work("certificates", s.watchCertificates)
	s.running.work("security reader", func(ctx context.Context) error {
		return follow(ctx, s.readers[readerSecurity], s.log.With("part", "security"), s.watchIngest)
	})
	c := s.cfg.Audit.Syslog
	if c.Address == "" {
		return nil
	}
	conf, err := c.tls()
	if err != nil {
		return fmt.Errorf("audit.syslog: %w", err)
	}
	s.running.work("audit syslog", func(ctx context.Context) error {
		return s.audit.record.Syslog(ctx, audit.SyslogOptions{
			Address: c.Address, TLS: conf, Cursor: s.audit.cursor, Log: s.log.With("part", "audit"),
		}, func(st audit.SyslogState) { s.audit.syslog.Store(&st) })
	})
	return nil
}

// hosts are the names the server answers to: any, unless the configuration
// names some.
func (s *Server) hosts() []string {
	if len(s.cfg.TLS.Names) == 0 {
		return nil
	}
	own, _ := os.Hostname()
	return append([]string{own}, s.cfg.TLS.Names...)
}

// hsts is for a year where no door is open without TLS: a browser would look for
// TLS at its port too.
func (s *Server) hsts() time.Duration {
	if s.cfg.Listen.HTTP != "" {
		return 0
	}
	return 365 * 24 * time.Hour
}

// ingestSignals are what a refusal at a device's door may be a sign of.
var ingestSignals = map[devices.Reason]audit.SignalKind{
	devices.ReasonUnknownDevice: audit.DeviceRefused, devices.ReasonBadCredential: audit.DeviceRefused,
	devices.ReasonQuarantined:   audit.DeviceRefused,
	devices.ReasonForeignDevice: audit.TopicViolation, devices.ReasonBadTopic: audit.TopicViolation,
	devices.ReasonCloned: audit.IdentityClone, devices.ReasonForeignPrefix: audit.ForeignPrefix,
	devices.ReasonTooLarge: audit.MalformedBurst, devices.ReasonBadFormat: audit.MalformedBurst, devices.ReasonMalformed: audit.MalformedBurst,
	devices.ReasonBadVersion: audit.MalformedBurst, devices.ReasonMandatoryLabel: audit.MalformedBurst,
	devices.ReasonClockSuspect: audit.ClockJump, devices.ReasonBusy: audit.Flood,
}

// watchIngest reads the journal for signs of attacks. It keeps its place, so
// that a restart tells nothing twice and misses nothing.
func (s *Server) watchIngest(ctx context.Context, b *journal.Batch) error {
	_, _, refusals := split(b)
	var list []audit.Signal
	for _, r := range refusals {
		kind, ok := ingestSignals[r.Reason]
		if !ok {
			continue
		}
		from := ""
		if r.From.IsValid() {
			from = r.From.Addr().Unmap().WithZone("").String()
		}
		// A device that is known counts for itself. A name somebody made up does
		// not: its source does.
		key := audit.Site(from)
		if _, known := s.register.Get(r.Device); known && r.Device != "" {
			key = string(r.Device)
		}
		list = append(list, audit.Signal{Kind: kind, Key: key, From: from, At: r.At, Detail: string(r.Reason) + " " + r.Via.String()})
	}
	return s.audit.security.Take(ctx, list...)
}

// auditStatus is a part of the server's status.
type auditStatus struct {
	Records uint64             `json:"records"`
	Head    string             `json:"head"`
	At      time.Time          `json:"at,omitzero"`
	Error   string             `json:"error,omitempty"`
	Syslog  *audit.SyslogState `json:"syslog,omitempty"`
}

func (s *Server) auditStatus() *auditStatus {
	if s.audit.record == nil {
		return nil
	}
	n, head, at := s.audit.record.Head()
	out := &auditStatus{Records: n, Head: head, At: at, Syslog: s.audit.syslog.Load()}
	if err := s.audit.record.Ready(); err != nil {
		out.Error = err.Error()
	}
	return out
}

func newAudit(r *remote) *cobra.Command {
	return group("audit", "the record of what people did", newAuditList(r), newAuditVerify(r), newAuditExport(r), newAuditCheckpoint(r))
}

func newAuditList(r *remote) *cobra.Command {
	var who, act, object, outcome, from, to string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "list what was done and refused, the newest first", Args: cobra.NoArgs,
		Example: "  vonglau audit list --act rule. --from -7d\n  vonglau audit list --who binh --outcome refused",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for key, v := range map[string]string{"who": who, "act": act, "object": object, "outcome": outcome, "from": from, "to": to} {
				if v != "" {
					query.Set(key, v)
				}
			}
			return r.print(cmd, http.MethodGet, "/v1/audit", query, nil, table("records", "n", "at", "name", "act", "object", "outcome", "from"))
		},
	}
	f := c.Flags()
	f.StringVar(&who, "who", "", "account, name or pseudonym")
	f.StringVar(&act, "act", "", "such as rule.apply, or rule. for all that begin so")
	f.StringVar(&object, "object", "", "a part of what it was done to")
	f.StringVar(&outcome, "outcome", "", "done, refused or failed")
	f.StringVar(&from, "from", "", "at this time or later")
	f.StringVar(&to, "to", "", "before this time")
	f.IntVar(&limit, "limit", 100, "at most so many")
	return c
}

func newAuditCheckpoint(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "sign how far the record goes now, to be carried away", Args: cobra.NoArgs,
		Long: `Print a signed checkpoint. Kept where the server's administrators cannot reach it,
it shows later that nothing up to its record was changed, and that the end of
the record is not missing: vonglau audit verify --checkpoint FILE.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/audit/checkpoint", nil, nil, printJSON)
		},
	}
}

func newAuditVerify(r *remote) *cobra.Command {
	var data, checkpoint, key string
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "say what was altered, removed, inserted or moved in the record",
		Long: `Check the chain of the record: that of a running server, with --data that of a
stopped one, or an export in a FILE ("-" is standard input). With --checkpoint
also against one that was carried away. Exit code 1 when anything is wrong, and
the report names the first record.

An export is checked against audit.pub, the server's public key, with --key.`,
		Example: `  vonglau audit verify
  vonglau audit verify --data /var/lib/vonglau --checkpoint /media/usb/checkpoint.json
  vonglau audit verify export.jsonl --checkpoint checkpoint.json --key audit.pub`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var marks []audit.Checkpoint
			raw := []byte(nil)
			if checkpoint != "" {
				var err error
				if raw, err = os.ReadFile(checkpoint); err != nil {
					return failed(err)
				}
				c, err := audit.ParseCheckpoint(raw)
				if err != nil {
					return failed(err)
				}
				marks = append(marks, c)
			}
			report, err := verifyRecord(cmd, r, args, data, key, raw, marks)
			if err != nil {
				return failed(err)
			}
			out, err := json.Marshal(report)
			if err != nil {
				return failed(err)
			}
			if err := printJSON(cmd.OutOrStdout(), out); err != nil {
				return err
			}
			if !report.OK {
				return failed(fmt.Errorf("the record is not what it was: %s", report.Faults[0].Detail))
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "the data folder of a stopped server")
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "a file with a checkpoint that was carried away")
	c.Flags().StringVar(&key, "key", "", "the public key checkpoints are signed by, for a FILE")
	return c
}

func verifyRecord(cmd *cobra.Command, r *remote, args []string, data, key string, raw []byte, marks []audit.Checkpoint) (report audit.Report, err error) {
	ctx := cmd.Context()
	switch {
	case len(args) == 1:
		in := io.Reader(os.Stdin)
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return report, err
			}
			defer func() { _ = f.Close() }()
			in = f
		}
		o := audit.VerifyOptions{Checkpoints: marks, Now: time.Now()}
		if len(marks) > 0 && key == "" {
			return report, errors.New("--checkpoint with a FILE needs --key, the server's audit.pub")
		}
		if key != "" {
			if o.Key, err = audit.ReadPublicKey(key); err != nil {
				return report, err
			}
		}
		return audit.Verify(ctx, audit.Lines(in), o)
	case data != "":
		if _, err := os.Stat(filepath.Join(data, "journal")); err != nil {
			return report, fmt.Errorf("there is no journal to check: %w", err)
		}
		log, err := newLogger(LogConfig{Level: "error", Format: "text"})
		if err != nil {
			return report, err
		}
		j, err := journal.Open(ctx, journal.Options{Dir: filepath.Join(data, "journal"), Log: log})
		if err != nil {
			return report, fmt.Errorf("a running server is asked without --data: %w", err)
		}
		defer func() { err = errors.Join(err, j.Close()) }()
		o, err := openRecord(ctx, j, data, AuditConfig{})
		if err != nil {
			return report, err
		}
		record, err := audit.Open(ctx, o)
		if err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, record.Close()) }()
		return record.Verify(ctx, marks...)
	}
	cl, err := r.client()
	if err != nil {
		return report, err
	}
	query := url.Values{}
	if raw != nil {
		query.Set("checkpoint", string(raw))
	}
	answer, err := cl.call(ctx, http.MethodGet, "/v1/audit/verify", query, "", nil)
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(answer, &report)
}

func newAuditExport(r *remote) *cobra.Command {
	var from, to, out string
	var n uint64
	c := &cobra.Command{
		Use: "export", Short: "write the record as it is kept, JSON lines", Args: cobra.NoArgs,
		Long: `Write the record as it is kept: JSON lines, each naming the SHA-256 of the one
before. With --out a file that is there already is gone on with, after a look at
its last whole line.`,
		Example: "  vonglau audit export --out audit.jsonl\n  vonglau audit export --from 2026-01-01 --to 2026-02-01 >january.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for key, v := range map[string]string{"from": from, "to": to} {
				if v != "" {
					query.Set(key, v)
				}
			}
			w := cmd.OutOrStdout()
			if out != "" {
				f, last, err := resumeExport(out)
				if err != nil {
					return failed(err)
				}
				defer func() { _ = f.Close() }()
				w = f
				n = max(n, last+1)
			}
			if n > 0 {
				query.Set("n", strconv.FormatUint(n, 10))
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			return failed(cl.stream(cmd.Context(), "/v1/audit/export", query, w))
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "written at this time or later")
	f.StringVar(&to, "to", "", "written before this time")
	f.Uint64Var(&n, "n", 0, "from the record of this number on")
	f.StringVar(&out, "out", "", "a file; one that is there is gone on with")
	return c
}

// resumeExport opens a file behind its last whole line and tells that record's
// number. A part of a line behind it is cut off.
func resumeExport(name string) (f *os.File, last uint64, err error) {
	const longest = 1 << 20 // a line is shorter
	if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	start := max(0, info.Size()-longest)
	end := make([]byte, info.Size()-start)
	if _, err := f.ReadAt(end, start); err != nil {
		return nil, 0, err
	}
	whole := bytes.LastIndexByte(end, '\n') + 1
	if whole == 0 && start > 0 {
		return nil, 0, fmt.Errorf("%s is no export of the record", name)
	}
	if whole > 0 {
		var e audit.Entry
		line := end[bytes.LastIndexByte(end[:whole-1], '\n')+1 : whole]
		if err := json.Unmarshal(line, &e); err != nil || e.N == 0 {
			return nil, 0, fmt.Errorf("%s is no export of the record: its last line is no record", name)
		}
		last = e.N
	}
	if err := f.Truncate(start + int64(whole)); err != nil {
		return nil, 0, err
	}
	_, err = f.Seek(0, io.SeekEnd)
	return f, last, err
}

// stream copies a long answer.
func (c *client) stream(ctx context.Context, path string, query url.Values, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return &codedError{exitUnreachable, fmt.Errorf("no answer from %s (is `vonglau serve` running there?): %w", c.server, err)}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		return problemError(res, raw)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the answer was cut; the command again goes on where it ended: %w", err)
	}
	return nil
}
