package audit

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions say where the record is sent to: RFC 5424 messages over TLS
// with octet counting (RFC 5425).
type SyslogOptions struct {
	Address string // host:port; 6514 is the usual port
	// TLS says what the receiver proves itself by, and what we do.
	TLS *tls.Config
	// Cursor keeps how far it was sent.
	Cursor interface {
		Get(key string) ([]byte, bool)
		Put(ctx context.Context, key string, value []byte) error
	}
	Host string // ours; os.Hostname
	Log  *slog.Logger
}

const (
	syslogCursor = "syslog"
	// A message of syslog is not acknowledged: what was written to a connection
	// that then broke may not have arrived. So many are sent once more; the
	// receiver knows them by their number.
	syslogOverlap = 200
	// Facility 13, log audit; severity 5 notice, 4 warning. The enterprise number
	// below is the one for documents (RFC 5612): the city has none of its own.
	priDone, priElse = 13*8 + 5, 13*8 + 4
	syslogWait       = 15 * time.Second
)

// SyslogState tells how the sending goes.
type SyslogState struct {
	Connected bool      `json:"connected"`
	Sent      uint64    `json:"sent"` // the number of the last record sent
	Behind    uint64    `json:"behind"`
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since,omitzero"`
}

// Syslog sends the record, from its own place in it, until ctx ends. A receiver
// that is away is tried again, ever more seldom; nothing is passed over.
func (r *Record) Syslog(ctx context.Context, opt SyslogOptions, state func(SyslogState)) error {
	if opt.Host == "" {
		opt.Host, _ = os.Hostname()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if state == nil {
		state = func(SyslogState) {}
	}
	next := uint64(1)
	if raw, ok := opt.Cursor.Get(syslogCursor); ok {
		if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			next = n + 1
		}
	}
	for pause := time.Second; ; {
		begun := time.Now()
		err := r.syslogOnce(ctx, &opt, &next, state)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > time.Minute {
			pause = time.Second
		}
		n, _, _ := r.Head()
		state(SyslogState{Sent: next - 1, Behind: n + 1 - min(next, n+1), Error: err.Error(), Since: time.Now()})
		opt.Log.Warn("the audit record is not sent; trying again", "to", opt.Address, "error", err, "after", pause)
		if next > syslogOverlap {
			next -= syslogOverlap
		} else {
			next = 1
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, time.Minute)
	}
}

func (r *Record) syslogOnce(ctx context.Context, opt *SyslogOptions, next *uint64, state func(SyslogState)) error {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: syslogWait}, Config: opt.TLS}
	c, err := dialer.DialContext(ctx, "tcp", opt.Address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	defer func() { _ = c.Close() }()
	// The receiver says nothing; that it goes is seen by reading.
	gone := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := io.Copy(io.Discard, c)
		if err == nil {
			err = io.EOF
		}
		gone <- fmt.Errorf("the receiver closed the connection: %w", err)
	}()
	defer func() { _ = c.Close(); <-ended }()
	since := time.Now()
	w := bufio.NewWriterSize(c, 64<<10)
	for {
		grown := r.Grown()
		err := r.opt.Lines.Read(ctx, *next, func(_ uint64, line []byte) error {
			var e Entry
			if err := json.Unmarshal(line, &e); err != nil {
				e = Entry{N: *next, Recorded: time.Now(), Outcome: Failed, Act: "unreadable"}
			}
			if e.N < *next {
				return nil
			}
			_ = c.SetWriteDeadline(time.Now().Add(syslogWait))
			msg := syslogMessage(&e, line, opt.Host)
			if _, err := fmt.Fprintf(w, "%d %s", len(msg), msg); err != nil {
				return err
			}
			*next = e.N + 1
			return nil
		})
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			return err
		}
		if n := *next - 1; n > 0 {
			if err := opt.Cursor.Put(ctx, syslogCursor, strconv.AppendUint(nil, n, 10)); err != nil {
				return fmt.Errorf("keep how far the record was sent: %w", err)
			}
		}
		state(SyslogState{Connected: true, Sent: *next - 1, Since: since})
		select {
		case <-grown:
		case err := <-gone:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// syslogMessage is one record in RFC 5424: what a receiver filters by is
// structured data, the message is the line itself, so that the chain can be
// verified there.
func syslogMessage(e *Entry, line []byte, host string) []byte {
	pri := priDone
	if e.Outcome != Done {
		pri = priElse
	}
	var b []byte
	b = fmt.Appendf(b, "<%d>1 %s %s vonglau %d %s [audit@32473 n=\"%d\" act=\"%s\" outcome=\"%s\"] \xEF\xBB\xBF",
		pri, e.Recorded.UTC().Format("2006-01-02T15:04:05.000Z07:00"), syslogName(host, 255), os.Getpid(), "audit",
		e.N, syslogValue(e.Act), syslogValue(string(e.Outcome)))
	return append(b, line...)
}

// syslogName is text as a header field: printable ASCII without spaces.
func syslogName(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

var syslogEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

func syslogValue(s string) string { return syslogEscapes.Replace(s) }
