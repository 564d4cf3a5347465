// Package outbound makes requests to addresses that people have typed in.
//
// Who may subscribe to alerts may name an address, and this server stands where
// the city's own networks can be reached. So an address is looked at after it
// was resolved, and the very address that was looked at is dialled: a name that
// answers otherwise the second time gains nothing. A name with one address that
// may not be reached is not reached at all. Every redirect goes the same way.
//
// What is reached is global unicast, and what Options.Allow admits by prefix.
// Plain http is for admitted prefixes only. No proxy is taken from the
// environment: it would resolve for itself.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options say what a Client may reach. The zero value is the internet.
type Options struct {
	// Allow admits addresses that would not be reached otherwise, such as
	// fd00::/8 for receivers in the city's own network.
	Allow []netip.Prefix
	// Resolver is the system's when nil.
	Resolver Resolver
	// Timeout bounds a request with all its redirects and its answer; 10 s.
	Timeout time.Duration
	// MaxAnswer bounds what is read of an answer; 64 KiB.
	MaxAnswer int64
	// MaxRedirects bounds them; 3. Only those that keep the method are followed
	// (307, 308): another would turn a message into a question.
	MaxRedirects int
	// Secrets are headers that do not follow a redirect to another origin,
	// besides Authorization and Cookie.
	Secrets []string
	// RootCAs are the system's when nil.
	RootCAs *x509.CertPool
	// Dial reaches an address that was looked at; a net.Dialer when nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client makes requests. It is safe for concurrent use.
type Client struct {
	opt    Options
	http   http.Client
	secure *http.Transport
	plain  *http.Transport
}

// Forbidden is the error of an address that is not reached by policy.
type Forbidden struct {
	Host string
	Addr netip.Addr // zero when the host itself is the matter
	Why  string
}

func (f *Forbidden) Error() string {
	if !f.Addr.IsValid() {
		return fmt.Sprintf("%.120q is not reached: %s", f.Host, f.Why)
	}
	return fmt.Sprintf("%.120q is not reached: %s is %s (outbound.allow can admit it)", f.Host, f.Addr, f.Why)
}

// New makes a client.
func New(o Options) (*Client, error) {
	for _, p := range o.Allow {
		if !p.IsValid() {
			return nil, fmt.Errorf("outbound: %v is no prefix", p)
		}
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 64 << 10
	}
	if o.MaxRedirects <= 0 {
		o.MaxRedirects = 3
	}
	c := &Client{opt: o}
	c.secure, c.plain = c.transport(false), c.transport(true)
	c.http = http.Client{Transport: c, CheckRedirect: c.redirect, Timeout: o.Timeout}
	return c, nil
}

func (c *Client) transport(plain bool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.dial(ctx, address, plain)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.opt.RootCAs},
		TLSHandshakeTimeout:    c.opt.Timeout,
		ResponseHeaderTimeout:  c.opt.Timeout,
		MaxResponseHeaderBytes: 32 << 10,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // 64 KiB of zip can be much
	}
}

// Close ends the idle connections.
func (c *Client) Close() {
	c.secure.CloseIdleConnections()
	c.plain.CloseIdleConnections()
}

// Answer is what came back.
type Answer struct {
	Status    int
	Header    http.Header
	Body      []byte // the beginning of it
	Truncated bool
}

// Do makes a request and reads the answer, both bounded.
func (c *Client) Do(req *http.Request) (*Answer, error) {
	if err := c.CheckURL(req.URL.String()); err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, c.opt.MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	a := &Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	if int64(len(body)) > c.opt.MaxAnswer {
		a.Body, a.Truncated = body[:c.opt.MaxAnswer], true
	}
	return a, nil
}

// RoundTrip is for http.Client: it chooses by scheme who dials.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "https" {
		return c.secure.RoundTrip(req)
	}
	return c.plain.RoundTrip(req)
}

// CheckURL finds what can be told of an address without resolving it.
func (c *Client) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%.200q is no address: %w", raw, err)
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%.200q: write https://host/path", raw)
	case host == "":
		return fmt.Errorf("%.200q names no host", raw)
	case u.User != nil:
		return fmt.Errorf("the address of %.120q holds a user or password; they would be shown to whoever sees the address", host)
	case u.Fragment != "":
		return fmt.Errorf("%.200q: what follows # is not sent", raw)
	}
	addr, literal, err := parseHost(host)
	if err != nil || !literal {
		return err
	}
	return c.admit(host, addr, u.Scheme == "http")
}

// parseHost tells whether a host is an address, and refuses what other programs
// than ours would take for one: 2130706433, 0x7f.1, 127.1, and zones.
func parseHost(host string) (addr netip.Addr, literal bool, err error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return addr, true, &Forbidden{Host: host, Why: "an address with a zone is of this machine's links"}
		}
		return addr.Unmap(), true, nil
	}
	name := strings.TrimSuffix(host, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits := last != "" && strings.Trim(last, "0123456789") == ""
	hexadecimal := len(last) >= 2 && (last[:2] == "0x" || last[:2] == "0X") && strings.Trim(last[2:], "0123456789abcdefABCDEF") == ""
	if digits || hexadecimal || strings.ContainsAny(host, ":%") {
		return addr, false, &Forbidden{Host: host, Why: "it is neither a name nor an address as they are written"}
	}
	return addr, false, nil
}

// admit says whether an address may be reached.
func (c *Client) admit(host string, addr netip.Addr, plain bool) error {
	addr = addr.Unmap()
	why := Why(addr)
	if why == whyUnspecified || why == whyMulticast {
		return &Forbidden{Host: host, Addr: addr, Why: why}
	}
	for _, p := range c.opt.Allow {
		if p.Contains(addr) || p.Addr().Is4In6() && p.Bits() >= 96 && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Contains(addr) {
			return nil
		}
	}
	if why != "" {
		return &Forbidden{Host: host, Addr: addr, Why: why}
	}
	if plain {
		return &Forbidden{Host: host, Addr: addr, Why: "reached without TLS, which is for admitted prefixes only: write https"}
	}
	return nil
}

// dial resolves, looks at every address, and dials what it has looked at.
func (c *Client) dial(ctx context.Context, address string, plain bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addr, literal, err := parseHost(host)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{addr}
	if !literal {
		if addrs, err = c.opt.Resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, fmt.Errorf("finding %s: %w", host, err)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	for _, a := range addrs {
		if a.Zone() != "" {
			return nil, &Forbidden{Host: host, Addr: a, Why: "an address with a zone"}
		}
		if err := c.admit(host, a, plain); err != nil {
			return nil, err
		}
	}
	// RFC 6724 has put them in order already. Each gets its share of the time.
	var errs []error
	dial := c.opt.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: c.opt.Timeout / time.Duration(min(len(addrs), 4))}).DialContext
	}
	for _, a := range addrs[:min(len(addrs), 4)] {
		conn, err := dial(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// redirect follows what keeps the method and does not fall back to plain http.
func (c *Client) redirect(req *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) > c.opt.MaxRedirects:
		return fmt.Errorf("redirected more than %d times", c.opt.MaxRedirects)
	case req.Method != first.Method:
		return fmt.Errorf("redirected in a way that makes %s of %s; answer 307 or 308", req.Method, first.Method)
	case last.URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("redirected from https to http")
	}
	if err := c.CheckURL(req.URL.String()); err != nil {
		return fmt.Errorf("redirected: %w", err)
	}
	if req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host {
		for _, name := range append([]string{"Authorization", "Cookie"}, c.opt.Secrets...) {
			req.Header.Del(name)
		}
	}
	req.Header.Del("Referer")
	return nil
}
