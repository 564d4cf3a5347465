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
	"net/smtp"
	"net/textproto"
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

// send delivers one mail. What it returns is the server's last reply.
func (m *Mailer) send(ctx context.Context, to []string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, m.opt.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.opt.Server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	secure := &tls.Config{}
	if m.opt.TLS != nil {
		secure = m.opt.TLS.Clone()
	}
	secure.ServerName, secure.MinVersion = m.host, tls.VersionTLS12
	if m.opt.Security == "tls" {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if m.opt.Security == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the mail server offers no STARTTLS")
		}
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if m.opt.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", m.opt.Username, m.opt.Password, m.host)); err != nil {
			return fmt.Errorf("logging in to the mail server: %w", err)
		}
	}
	from, err := mail.ParseAddress(m.opt.From)
	if err != nil {
		return err
	}
	if err := c.Mail(from.Address); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			return fmt.Errorf("%s: %w", rcpt, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil { // the 250 is the receipt
		return err
	}
	_ = c.Quit()
	return nil
}

// mail delivers a message by mail.
func (n *Notify) mail(ctx context.Context, s *Subscription, m *Message) (result, error) {
	if n.opt.Mail == nil {
		return result{}, errors.New("this server sends no mail: mail.server is not configured")
	}
	content, err := n.opt.Mail.compose(s, m, n.opt.Base, n.opt.Calendar, n.opt.Now())
	if err != nil {
		return result{}, err
	}
	err = n.opt.Mail.send(ctx, s.To, content)
	var reply *textproto.Error
	switch {
	case err == nil:
		return result{answer: "250"}, nil
	case errors.As(err, &reply):
		return result{answer: fmt.Sprint(reply.Code)}, fmt.Errorf("the mail server answered %w", err)
	}
	return result{}, plainError(err)
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
	if _, err := w.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encodeSubject is RFC 2047, in lines of their own.
func encodeSubject(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", text), "?= =?", "?=\r\n =?")
}
