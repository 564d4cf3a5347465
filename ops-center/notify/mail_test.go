package notify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"vonglau/devices"
	"vonglau/ops-center/alert"
)

// post is a mail server for tests: STARTTLS or TLS from the start, AUTH PLAIN,
// and faults to order.
type post struct {
	t       *testing.T
	addr    string
	roots   *x509.CertPool
	cert    tls.Certificate
	server  *smtp.Server
	implied bool // TLS from the first octet

	mu      sync.Mutex
	letters []letter
	tries   int
	refuse  map[string]*smtp.SMTPError // by recipient
	data    error                      // what the end of a mail is answered with
	slow    time.Duration
}

// letter is a mail as it arrived.
type letter struct {
	from, user, hello string
	to                []string
	secure            bool
	raw               []byte
}

func newPost(t *testing.T, change func(*post)) *post {
	t.Helper()
	p := &post{t: t, refuse: map[string]*smtp.SMTPError{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP("::1")}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(leaf)
	p.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if change != nil {
		change(p)
	}
	p.addr = "[::1]:0"
	p.up()
	t.Cleanup(p.down)
	return p
}

// up starts the server, where it was before.
func (p *post) up() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = l.Addr().String()
	secure := &tls.Config{Certificates: []tls.Certificate{p.cert}}
	if p.implied {
		l = tls.NewListener(l, secure)
	}
	p.server = smtp.NewServer(p)
	p.server.Domain, p.server.TLSConfig, p.server.AllowInsecureAuth = "mail.test", secure, false
	p.server.ReadTimeout, p.server.WriteTimeout = 10*time.Second, 10*time.Second
	p.server.ErrorLog = silent{}
	s := p.server
	go func() { _ = s.Serve(l) }()
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func (p *post) down() { _ = p.server.Close() }

func (p *post) got() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters)
}

func (p *post) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// NewSession is one connection.
func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &visit{p: p, letter: letter{secure: secure, hello: c.Hostname()}}, nil
}

type visit struct {
	p *post
	letter
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "vonglau" || password != "secret of the city" {
			return smtp.ErrAuthFailed
		}
		v.user = user
		return nil
	}), nil
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	if v.user == "" {
		return smtp.ErrAuthRequired
	}
	v.from = from
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	if e := v.p.refuse[to]; e != nil {
		return e
	}
	v.to = append(v.to, to)
	return nil
}

func (v *visit) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	v.p.mu.Lock()
	slow, fault := v.p.slow, v.p.data
	v.p.tries++
	v.p.mu.Unlock()
	time.Sleep(slow)
	if fault != nil {
		return fault
	}
	v.raw = raw
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	v.p.letters = append(v.p.letters, v.letter)
	return nil
}

func (v *visit) Reset()        { v.to, v.from = nil, "" }
func (v *visit) Logout() error { return nil }

// mailing is a house that sends by the server.
func mailing(t *testing.T, p *post, change func(*MailOptions)) *house {
	t.Helper()
	o := MailOptions{
		Server: p.addr, Security: "starttls", Username: "vonglau", Password: "secret of the city", From: "Vọng lâu <vonglau@city.example>",
		Timeout: 2 * time.Second, TLS: &tls.Config{RootCAs: p.roots},
	}
	if change != nil {
		change(&o)
	}
	m, err := NewMailer(o)
	if err != nil {
		t.Fatal(err)
	}
	return newHouse(t, func(o *Options) { o.Mail, o.Base = m, "https://ioc.city.example/" })
}

// read is a mail as its reader sees it.
func (l *letter) read(t *testing.T) (h mail.Header, subject, text string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, l.raw)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, subject, string(body)
}

// TestMail: a mail is in both languages, over TLS and a login, once.
func TestMail(t *testing.T) {
	for _, implied := range []bool{false, true} {
		p := newPost(t, func(p *post) { p.implied = implied })
		h := mailing(t, p, func(o *MailOptions) {
			if implied {
				o.Security = "tls"
			}
		})
		s := h.add(Subscription{Kind: Email, To: []string{"truc@soxd.example", "phong@soxd.example"}}, "")
		en := h.add(Subscription{Kind: Email, To: []string{"duty@soxd.example"}, Language: "en", Name: "in English", Filter: Filter{Priorities: []int{1}}}, "")
		alarm := h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Priority = 1 })
		eventually(t, "two mails", func() bool { return len(p.got()) == 2 })
		for _, l := range p.got() {
			if !l.secure || l.user != "vonglau" || l.from != "vonglau@city.example" {
				t.Errorf("secure %v, user %q, from %q", l.secure, l.user, l.from)
			}
			if l.hello == "localhost" || l.hello == "" {
				t.Errorf("it called itself %q", l.hello)
			}
			header, subject, text := l.read(t)
			to, err := header.AddressList("To")
			if err != nil || len(to) != len(l.to) {
				t.Errorf("To %v %v", to, err)
			}
			want := "[Ưu tiên 1] Cảnh báo: Ngập đường – Nam Định"
			if l.to[0] == "duty@soxd.example" {
				want = "[Priority 1] Alarm: Flood – Nam Định"
			}
			if subject != want {
				t.Errorf("subject %q, want %q", subject, want)
			}
			vi, enAt := strings.Index(text, "Nước 35 cm"), strings.Index(text, "Water 35 cm")
			if vi < 0 || enAt < 0 || (vi < enAt) != (l.to[0] != "duty@soxd.example") {
				t.Errorf("languages in the wrong order:\n%s", text)
			}
			for _, part := range []string{"Đóng đường", "Close the road", "https://ioc.city.example/desk?alarm=" + alarm + "\r\n", "20.430000, 106.170000"} {
				if !strings.Contains(text, part) {
					t.Errorf("%q is missing in\n%s", part, text)
				}
			}
			if header.Get("Auto-Submitted") != "auto-generated" || header.Get("Importance") != "high" || len(header.Get(HeaderDelivery)) != 32 {
				t.Errorf("header %v", header)
			}
			if id := header.Get("Message-Id"); id != "<"+header.Get(HeaderDelivery)+"@city.example>" {
				t.Errorf("Message-ID %q", id)
			}
			for line := range bytes.Lines(l.raw) {
				if len(line) > 1000 {
					t.Errorf("a line of %d octets", len(line))
				}
			}
		}
		for _, id := range []string{s.ID, en.ID} {
			eventually(t, "the receipt", func() bool {
				list, _, _ := h.n.Deliveries(id)
				return len(list) == 1 && list[0].State == Delivered && list[0].Answer == "250" && list[0].Attempts == 1
			})
		}
		if r, err := h.n.Test(context.Background(), s.ID); err != nil || r.State != Delivered {
			t.Errorf("a test: %+v %v", r, err)
		}
		if _, subject, text := p.got()[2].read(t); subject != "Tin thử – Vọng lâu" || !strings.Contains(text, "Nothing has happened") {
			t.Errorf("a test: %q\n%s", subject, text)
		}
	}
}

// TestMailServerDown: what comes while the server is down or slow comes
// afterwards, in order.
func TestMailServerDown(t *testing.T) {
	p := newPost(t, nil)
	h := mailing(t, p, func(o *MailOptions) { o.Timeout = 250 * time.Millisecond })
	s := h.add(Subscription{Kind: Email, To: []string{"truc@soxd.example"}}, "")
	order := func() (list []string) {
		for _, l := range p.got() {
			_, _, text := l.read(t)
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "Thiết bị: ") {
					list = append(list, strings.TrimSpace(strings.TrimPrefix(line, "Thiết bị: ")))
				}
			}
		}
		return list
	}
	why := func() string {
		list, _, _ := h.n.Deliveries(s.ID)
		if len(list) == 0 || list[0].State != Retrying {
			return ""
		}
		return list[0].Error
	}
	var want []string
	raise := func(name string) {
		want = append(want, name)
		h.alarm(AlarmRaised, func(t *alert.Transition) { t.Alarm.Device = devices.ID(name) })
	}
	raise("a")
	eventually(t, "the first", func() bool { return len(p.got()) == 1 })
	p.down()
	raise("b")
	raise("c")
	eventually(t, "an error", func() bool { return strings.Contains(why(), "refused") })
	p.up()
	eventually(t, "three", func() bool { return slices.Equal(order(), want) })

	p.set(func() { p.slow = time.Second })
	raise("d")
	eventually(t, "too slow", func() bool { return strings.Contains(why(), "no answer within 250ms") })
	p.set(func() { p.slow = 0 })
	eventually(t, "d", func() bool { return slices.Contains(order(), "d") })

	p.set(func() {
		p.data = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	})
	raise("e")
	eventually(t, "grey", func() bool { return strings.Contains(why(), "451") && strings.Contains(why(), "greylisted") })
	p.set(func() { p.data = nil })
	raise("f")
	eventually(t, "all", func() bool { return slices.Contains(order(), "f") })
	if got := slices.Compact(order()); !slices.Equal(got, want) { // one that was too slow may have arrived
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMailRefused: an address that the server does not take keeps nobody else
// from the mail, and the others do not get it again.
func TestMailRefused(t *testing.T) {
	p := newPost(t, nil)
	h := mailing(t, p, nil)
	p.refuse["gone@soxd.example"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	p.refuse["full@soxd.example"] = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
	s := h.add(Subscription{Kind: Email, To: []string{"gone@soxd.example", "truc@soxd.example", "full@soxd.example"}}, "")
	newest := func() Receipt {
		list, _, _ := h.n.Deliveries(s.ID)
		if len(list) == 0 {
			return Receipt{}
		}
		return list[0]
	}
	h.alarm(AlarmRaised, nil)
	eventually(t, "tries for the full mailbox", func() bool { r := newest(); return r.State == Retrying && r.Attempts >= 3 && r.Answer == "550" })
	if got := p.got(); len(got) != 1 || !slices.Equal(got[0].to, []string{"truc@soxd.example"}) {
		t.Fatalf("%d mails, to %v", len(got), got)
	}
	p.set(func() { delete(p.refuse, "full@soxd.example") })
	eventually(t, "the receipt", func() bool { return newest().State == Delivered })
	if r := newest(); !strings.Contains(r.Error, "gone@soxd.example: 550") || strings.Contains(r.Error, "full") {
		t.Errorf("the receipt says %q", r.Error)
	}
	if got := p.got(); len(got) != 2 || !slices.Equal(got[1].to, []string{"full@soxd.example"}) {
		t.Errorf("%d mails, the last to %v", len(got), got[len(got)-1].to)
	}
	// Nobody at all is no delivery.
	none := h.add(Subscription{Kind: Email, To: []string{"gone@soxd.example"}, Name: "nobody"}, "")
	if r, err := h.n.Test(context.Background(), none.ID); err != nil || r.State != Dead || r.Answer != "550" {
		t.Errorf("to nobody: %+v %v", r, err)
	}
}

// TestMailSecurity: nothing is said to a server that is not who it should be, or
// that would have the password in the clear.
func TestMailSecurity(t *testing.T) {
	p := newPost(t, nil)
	for _, c := range []struct {
		name, want string
		change     func(*MailOptions)
	}{
		{"a certificate of nobody", "certificate", func(o *MailOptions) { o.TLS = nil }},
		{"a wrong password", "535", func(o *MailOptions) { o.Password = "guessed" }},
		{"TLS to one that does not speak it", "tls", func(o *MailOptions) { o.Security = "tls" }},
		{"no login", "502", func(o *MailOptions) { o.Username, o.Password = "", "" }},
	} {
		h := mailing(t, p, c.change)
		s := h.add(Subscription{Kind: Email, To: []string{"truc@soxd.example"}}, "")
		r, err := h.n.Test(context.Background(), s.ID)
		if err != nil || r.State != Dead || !strings.Contains(r.Error, c.want) || strings.Contains(r.Error, "guessed") {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
	}
	if got := p.got(); len(got) != 0 {
		t.Errorf("%d mails arrived", len(got))
	}
	// A server without STARTTLS is not talked to in the clear.
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := smtp.NewServer(p)
	plain.ErrorLog = silent{}
	go func() { _ = plain.Serve(l) }()
	t.Cleanup(func() { _ = plain.Close() })
	h := mailing(t, p, func(o *MailOptions) { o.Server = l.Addr().String() })
	s := h.add(Subscription{Kind: Email, To: []string{"truc@soxd.example"}}, "")
	if r, err := h.n.Test(context.Background(), s.ID); err != nil || r.State != Dead || !strings.Contains(r.Error, "STARTTLS") {
		t.Errorf("without STARTTLS: %+v %v", r, err)
	}
	for _, o := range []MailOptions{
		{Server: "mail.example", Security: "starttls", From: "a@b.example"},
		{Server: "[::1]:25", Security: "perhaps", From: "a@b.example"},
		{Server: "[::1]:25", Security: "none", Username: "u", Password: "p", From: "a@b.example"},
		{Server: "[::1]:25", Security: "none", From: "a@b.example\r\nBcc: x@y.example"},
		{Server: "[::1]:25", Security: "none", From: "nobody"},
	} {
		if _, err := NewMailer(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestMailInjection: nothing that people or devices write becomes a header, a
// recipient or the end of a mail.
func TestMailInjection(t *testing.T) {
	p := newPost(t, nil)
	h := mailing(t, p, nil)
	evil := "Ngập\r\nBcc: all@city.example\r\n\r\n.\r\nMAIL FROM:<x@y.example>"
	for _, to := range []string{
		"a@b.example\r\nBcc: x@y.example", "a@b.example, c@d.example", "<a@b.example>", "A <a@b.example>", "a@b.example\x00", "a b@c.example",
		"tên@b.example", "a@b.example>\nRCPT TO:<c@d.example", "", "@b.example", "a@", "group: a@b.example;",
	} {
		_, _, err := h.n.Add(context.Background(), Subscription{Department: "x", Kind: Email, To: []string{to}}, "", "test")
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Field != "to" {
			t.Errorf("%q as an address: %v", to, err)
		}
	}
	for _, s := range []Subscription{{Department: evil}, {Department: "x", Name: "a\x00b"}} {
		s.Kind, s.To = Email, []string{"a@b.example"}
		if out, _, err := h.n.Add(context.Background(), s, "", "test"); err == nil && strings.ContainsAny(out.Department+out.Name, "\r\n\x00") {
			t.Errorf("%q, %q is kept", out.Department, out.Name)
		}
	}
	h.add(Subscription{Kind: Email, To: []string{"truc@soxd.example"}, Name: "theirs"}, "")
	h.alarm(AlarmRaised, func(t *alert.Transition) {
		t.Alarm.RuleName = map[string]string{"vi": evil, "en": evil}
		t.Alarm.Zones[0].Name = evil
		t.Alarm.Message = map[string]string{"vi": evil + "\r.\r", "en": strings.Repeat("x", 5000)}
		t.Alarm.Owner = evil
	})
	eventually(t, "the mail", func() bool {
		return slices.ContainsFunc(p.got(), func(l letter) bool { return slices.Contains(l.to, "truc@soxd.example") })
	})
	for _, l := range p.got() {
		if len(l.to) != 1 || l.from != "vonglau@city.example" {
			t.Errorf("from %q to %v", l.from, l.to)
		}
		header, subject, text := l.read(t)
		known := []string{"From", "To", "Subject", "Date", "Message-Id", HeaderDelivery, "Auto-Submitted", "Importance", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"}
		for name := range header {
			if !slices.Contains(known, name) {
				t.Errorf("a header %s in\n%s", name, l.raw)
			}
		}
		if strings.ContainsAny(subject, "\r\n") || len([]rune(subject)) > 200 {
			t.Errorf("subject %q", subject)
		}
		if slices.Contains(l.to, "truc@soxd.example") && !strings.Contains(text, "MAIL FROM:<x@y.example>") {
			t.Errorf("the text ends early:\n%s", text)
		}
	}
}

func TestLiteral(t *testing.T) {
	for _, c := range []struct{ at, want string }{{"[2001:db8::1]:25", "[IPv6:2001:db8::1]"}, {"[fe80::1%eth0]:25", "[IPv6:fe80::1]"}, {"192.0.2.1:25", "[192.0.2.1]"}, {"[::ffff:192.0.2.1]:25", "[192.0.2.1]"}} {
		if got := literal(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.at))); got != c.want {
			t.Errorf("%s: %q, want %q", c.at, got, c.want)
		}
	}
}

// TestLinks: what a delivery leads to is the page of the thing, below the
// address of the server, whatever is in an id.
func TestLinks(t *testing.T) {
	alarm := &Event{Alarm: &alert.Alarm{ID: "ngập a&b#1"}}
	for _, c := range []struct {
		base string
		e    *Event
		want string
	}{
		{"", alarm, ""},
		{"https://ioc.city.example", alarm, "https://ioc.city.example/desk?alarm=ng%E1%BA%ADp+a%26b%231"},
		{"https://city.example/ioc/", alarm, "https://city.example/ioc/desk?alarm=ng%E1%BA%ADp+a%26b%231"},
		{"https://[2001:db8::1]:8443/", &Event{Warning: "VN-1.2"}, "https://[2001:db8::1]:8443/warnings?message=VN-1.2"},
		{"https://ioc.city.example/", &Event{}, "https://ioc.city.example/"},
	} {
		if got := linkOf(c.base, c.e); got != c.want {
			t.Errorf("%q: %q, want %q", c.base, got, c.want)
		}
	}
	// In the body of a webhook, in CAP and in a mail it is the same.
	h, r := newHouse(t, func(o *Options) { o.Base = "https://ioc.city.example/" }), newReceiver(t)
	h.add(Subscription{Kind: Webhook, URL: r.url}, "")
	want := "https://ioc.city.example/desk?alarm=" + h.alarm(AlarmRaised, nil)
	eventually(t, "the delivery", func() bool { return len(r.got()) == 1 })
	m := r.got()[0]
	if m.Event.Link != want {
		t.Errorf("the webhook leads to %q, want %q", m.Event.Link, want)
	}
	a, err := h.n.alertOf(&Subscription{Department: "Sở Xây dựng"}, &m)
	if err != nil || a.Infos[0].Web != want {
		t.Errorf("CAP leads to %+v %v, want %q", a, err, want)
	}
}
