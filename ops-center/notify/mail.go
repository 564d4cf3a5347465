package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

// MailOptions say how mail is sent.
type MailOptions struct {
	// Server is host:port. It is the operator's own choice, so it may be
	// anywhere.
	Server string
	// Security is starttls (needed, not tried), tls or none.
	Security           string
	Username, Password string
	From               string
	Timeout            time.Duration // for one mail; 30 s
	TLS                *tls.Config   // the system's when nil
}

// Mailer sends mail by SMTP (RFC 5321).
type Mailer struct {
	opt  MailOptions
	host string
}

// taken is what a server made of one mail: who it took it for, and what it said
// of the others.
type taken struct {
	by      []string
	refused map[string]*textproto.Error
}

// NewMailer checks the options; nothing is connected before there is mail.
func NewMailer(o MailOptions) (*Mailer, error) {
	host, _, err := net.SplitHostPort(o.Server)
	if err != nil {
		return nil, fmt.Errorf("mail.server: %q: write host:port, such as mail.example:587", o.Server)
	}
	switch o.Security {
	case "starttls", "tls":
	case "none":
		if o.Password != "" {
			return nil, errors.New("mail.security: none would send the password in the clear; use starttls or tls")
		}
	default:
		return nil, fmt.Errorf("mail.security: %q: write starttls, tls or none", o.Security)
	}
	if a, err := mail.ParseAddress(o.From); err != nil || strings.ContainsAny(o.From, "\r\n") || a.Address == "" {
		return nil, fmt.Errorf("mail.from: %q: write an address such as vonglau@city.example", o.From)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	return &Mailer{o, host}, nil
}

// send hands one mail to the server, for all whom it takes it for. One it will
// not take it for keeps nobody else from it.
func (m *Mailer) send(ctx context.Context, to []string, content []byte) (taken, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opt.Timeout)
	defer cancel()
	t, err := m.talk(ctx, to, content)
	if err != nil && ctx.Err() != nil {
		// Its connection was closed under it: say why, not how.
		err = fmt.Errorf("the mail server gave no answer within %s", m.opt.Timeout)
	}
	return t, err
}

func (m *Mailer) talk(ctx context.Context, to []string, content []byte) (taken, error) {
	var t taken
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.opt.Server)
	if err != nil {
		return t, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	secure := &tls.Config{}
	if m.opt.TLS != nil {
		secure = m.opt.TLS.Clone()
	}
	secure.ServerName, secure.MinVersion = m.host, tls.VersionTLS12
	here := helloName(conn.LocalAddr())
	if m.opt.Security == "tls" {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return t, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Hello(here); err != nil {
		return t, err
	}
	if m.opt.Security == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return t, errors.New("the mail server offers no STARTTLS")
		}
		if err := c.StartTLS(secure); err != nil {
			return t, err
		}
	}
	if m.opt.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", m.opt.Username, m.opt.Password, m.host)); err != nil {
			return t, fmt.Errorf("logging in to the mail server: %w", err)
		}
	}
	from, err := mail.ParseAddress(m.opt.From)
	if err != nil {
		return t, err
	}
	if err := c.Mail(from.Address); err != nil {
		return t, err
	}
	var accepted []string
	for _, rcpt := range to {
		err := c.Rcpt(rcpt)
		var reply *textproto.Error
		switch {
		case err == nil:
			accepted = append(accepted, rcpt)
		case errors.As(err, &reply):
			if t.refused == nil {
				t.refused = map[string]*textproto.Error{}
			}
			t.refused[rcpt] = reply
		default:
			return t, err
		}
	}
	if len(accepted) == 0 {
		_ = c.Quit()
		return t, nil
	}
	w, err := c.Data()
	if err != nil {
		return t, err
	}
	if _, err := w.Write(content); err != nil {
		return t, err
	}
	if err := w.Close(); err != nil { // the 250 is the receipt
		return t, err
	}
	t.by = accepted
	_ = c.Quit()
	return t, nil
}

// helloName is how this machine names itself to a mail server: by its name if it
// is a whole one, else by its address (RFC 5321, section 4.1.3).
func helloName(local net.Addr) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && !strings.ContainsAny(name, " \r\n") {
		return name
	}
	return literal(local)
}

func literal(local net.Addr) string {
	at, err := netip.ParseAddrPort(local.String())
	switch {
	case err != nil:
		return "localhost"
	case at.Addr().Is6() && !at.Addr().Is4In6():
		return "[IPv6:" + at.Addr().WithZone("").String() + "]"
	}
	return "[" + at.Addr().Unmap().String() + "]"
}

// mail delivers a message by mail. Who has it by an earlier attempt does not get
// it again; who is refused for good (5xx) is told of in the receipt and does not
// keep the delivery from being one, as long as anybody has it.
func (n *Notify) mail(ctx context.Context, s *Subscription, m *Message) (result, error) {
	if n.opt.Mail == nil {
		return result{}, errors.New("this server sends no mail: mail.server is not configured")
	}
	content, err := n.opt.Mail.compose(s, m, n.opt.Base, n.opt.Calendar, n.opt.Now())
	if err != nil {
		return result{}, err
	}
	var to []string
	for _, address := range s.To {
		if !m.mailed[address] {
			to = append(to, address)
		}
	}
	t, err := n.opt.Mail.send(ctx, to, content)
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply):
		return result{answer: strconv.Itoa(reply.Code)}, fmt.Errorf("the mail server answered %w", err)
	case err != nil:
		return result{}, plainError(err)
	}
	if m.mailed == nil {
		m.mailed = map[string]bool{}
	}
	for _, address := range t.by {
		m.mailed[address] = true
	}
	if len(t.refused) == 0 {
		return result{answer: "250"}, nil
	}
	later := len(m.mailed) == 0 // nobody has it: that is no delivery
	code := 0
	var said []string
	for _, address := range to {
		if r := t.refused[address]; r != nil {
			said = append(said, address+": "+r.Error())
			later = later || r.Code < 500
			code = max(code, r.Code)
		}
	}
	note := "the mail server does not take it for " + strings.Join(said, "; ")
	if later {
		return result{answer: strconv.Itoa(code)}, errors.New(note)
	}
	return result{answer: "250", note: note}, nil
}

// compose writes the mail (RFC 5322). Its Message-ID is that of the delivery, so
// that a mail sent twice is one in most mailboxes.
func (m *Mailer) compose(s *Subscription, msg *Message, base string, calendar *time.Location, now time.Time) ([]byte, error) {
	subject, text := render(s, msg, base, calendar)
	from, err := mail.ParseAddress(m.opt.From)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", strings.Join(s.To, ",\r\n "))
	header("Subject", encodeSubject(subject))
	header("Date", now.In(calendar).Format(time.RFC1123Z))
	header("Message-ID", "<"+msg.ID+"@"+domain+">")
	header(HeaderDelivery, msg.ID)
	header("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	if events := msg.events(); len(events) > 0 && events[0].Priority == 1 {
		header("Importance", "high")
	}
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(lines.Replace(text))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// lines ends lines as mail does, however they ended.
var lines = strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n", "\r", "\r\n")

// encodeSubject is RFC 2047, in lines of their own. What others wrote cannot end
// the header: white space of any kind becomes a space.
func encodeSubject(text string) string {
	text = cut(strings.Join(strings.Fields(text), " "), 180)
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", text), "?= =?", "?=\r\n =?")
}
