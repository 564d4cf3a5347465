package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestAddresses: what is written in a URL, and whether it is reached. A name goes
// through the resolver, so here are addresses and what looks like one.
func TestAddresses(t *testing.T) {
	c := client(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("fd12:3456::/32"), netip.MustParsePrefix("::ffff:10.9.0.0/112")}})
	for host, reached := range map[string]bool{
		"[2606:4700::1111]":          true,
		"[2a00:1450:4001::200e]":     true,
		"[2402:800:6130::1]":         true, // Viettel
		"8.8.8.8":                    true,
		"113.160.0.1":                true, // VNPT
		"[::ffff:8.8.8.8]":           true,
		"[fd12:3456::5]":             true, // admitted
		"10.9.3.4":                   true, // admitted, written as mapped
		"[::ffff:10.9.3.4]":          true,
		"[::1]":                      false,
		"[0:0:0:0:0:0:0:1]":          false,
		"[::]":                       false,
		"[::ffff:127.0.0.1]":         false,
		"[::ffff:7f00:1]":            false,
		"[::127.0.0.1]":              false, // IPv4-compatible
		"[::ffff:169.254.169.254]":   false,
		"[fe80::1]":                  false,
		"[fe80::1%25eth0]":           false,
		"[fec0::1]":                  false,
		"[fc00::1]":                  false,
		"[fd00::1]":                  false,
		"[fd00:ec2::254]":            false,
		"[fd12:3457::5]":             false,
		"[ff02::1]":                  false,
		"[ff0e::1]":                  false,
		"[64:ff9b::7f00:1]":          false,
		"[64:ff9b::a9fe:a9fe]":       false,
		"[64:ff9b::808:808]":         false,
		"[64:ff9b:1::1]":             false,
		"[2001::1]":                  false, // Teredo
		"[2001:0:4136:e378:8000::1]": false,
		"[2001:10::1]":               false, // ORCHID
		"[2001:db8::1]":              false,
		"[2002:7f00:1::]":            false, // 6to4 of 127.0.0.1
		"[2002:c0a8:101::1]":         false,
		"[3fff::1]":                  false,
		"[5f00::1]":                  false, // segment routing
		"[100::1]":                   false, // discard
		"[4000::1]":                  false,
		"0.0.0.0":                    false,
		"0.1.2.3":                    false,
		"10.0.0.1":                   false,
		"100.64.0.1":                 false,
		"127.0.0.1":                  false,
		"127.255.255.254":            false,
		"169.254.169.254":            false,
		"172.16.0.1":                 false,
		"172.31.255.255":             false,
		"192.0.0.8":                  false,
		"192.0.2.1":                  false,
		"192.88.99.1":                false,
		"192.168.1.1":                false,
		"198.18.0.1":                 false,
		"198.51.100.7":               false,
		"203.0.113.9":                false,
		"224.0.0.1":                  false,
		"255.255.255.255":            false,
		"2130706433":                 false, // 127.0.0.1 in one number
		"0x7f000001":                 false,
		"0x7f.1":                     false,
		"127.1":                      false,
		"0177.0.0.1":                 false,
		"127.0.0.1.":                 false,
		"2130706433.":                false,
		"016.08.0.1":                 false,
	} {
		err := c.CheckURL("https://" + host + "/hook")
		if got := err == nil; got != reached {
			t.Errorf("%s: reached %v, want %v (%v)", host, got, reached, err)
		}
		var f *Forbidden
		if err != nil && !errors.As(err, &f) {
			t.Errorf("%s: %v is not the policy's error", host, err)
		}
	}
	for _, raw := range []string{"ftp://a.example/", "https:///x", "https://u:p@a.example/", "//a.example", "https://a.example/#x", "https://[::1", "gopher://[::1]/", "http://8.8.8.8/"} {
		if c.CheckURL(raw) == nil {
			t.Errorf("%s is taken", raw)
		}
	}
	if err := c.CheckURL("http://[fd12:3456::5]:8080/hook"); err != nil {
		t.Errorf("plain http to an admitted prefix: %v", err)
	}
}

// answers is a resolver that gives one answer after the other.
type answers struct {
	list  [][]netip.Addr
	asked atomic.Int64
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n := a.asked.Add(1) - 1
	return a.list[min(int(n), len(a.list)-1)], nil
}

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func post(t *testing.T, c *Client, target string) (*Answer, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, target, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Secret", "s")
	return c.Do(req)
}

// listen starts a server on [::1] and gives its port.
func listen(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestRebinding: a name that answers with a public address when it is looked at
// and with ours when it is dialled would win if the two were apart.
func TestRebinding(t *testing.T) {
	var reached atomic.Int64
	port := listen(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for name, list := range map[string][][]netip.Addr{
		"ours only":       {addrs("::1")},
		"ours among them": {addrs("2606:4700::1111", "::1")},
		"ours mapped":     {addrs("::ffff:127.0.0.1")},
		"public, then us": {addrs("2001:db8:1::1"), addrs("::1")},
		"zone":            {addrs("fe80::1%lo")},
	} {
		c := client(t, Options{Resolver: &answers{list: list}, Timeout: 2 * time.Second})
		for range 3 { // the second time the answer is another
			_, err := post(t, c, "https://rebind.example:"+port+"/")
			var f *Forbidden
			if !errors.As(err, &f) {
				t.Errorf("%s: %v, want the policy's error", name, err)
			}
		}
	}
	// One lookup a dial: what was looked at is what is dialled.
	turn := &answers{list: [][]netip.Addr{addrs("::1"), addrs("2606:4700::1111")}}
	c := client(t, Options{Resolver: turn, Allow: []netip.Prefix{netip.MustParsePrefix("::1/128")}})
	if a, err := post(t, c, "http://turn.example:"+port+"/"); err != nil || a.Status != http.StatusOK {
		t.Fatalf("the admitted address: %v %v", a, err)
	}
	if got := turn.asked.Load(); got != 1 {
		t.Errorf("the name was asked for %d times for one dial", got)
	}
	if got := reached.Load(); got != 1 {
		t.Errorf("%d requests came through, want the one that was admitted", got)
	}
}

func TestRedirects(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("::1/128")}
	var secret, body atomic.Value
	target := listen(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		secret.Store(r.Header.Get("X-Secret"))
		body.Store(string(b))
	})
	to := func(status int, location string) string {
		return "http://[::1]:" + listen(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(location, "/") && r.URL.Path == "/end" {
				secret.Store(r.Header.Get("X-Secret"))
				return
			}
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}) + "/"
	}
	c := client(t, Options{Allow: loopback, Secrets: []string{"X-Secret"}})
	if a, err := post(t, c, to(307, "http://[::1]:"+target+"/")); err != nil || a.Status != 200 {
		t.Fatalf("307 to an admitted address: %v %v", a, err)
	}
	if secret.Load() != "" || body.Load() != "body" {
		t.Errorf("another origin got secret %q and body %q", secret.Load(), body.Load())
	}
	if a, err := post(t, c, to(308, "/end")); err != nil || a.Status != 200 || secret.Load() != "s" {
		t.Errorf("308 within one origin: %v %v, secret %q", a, err, secret.Load())
	}
	for name, first := range map[string]string{
		"302 makes a GET of a POST": to(302, "http://[::1]:"+target+"/"),
		"to what is not reached":    to(307, "https://169.254.169.254/latest/meta-data"),
		"to a file":                 to(307, "file:///etc/passwd"),
		"in a circle":               to(307, "/again"),
	} {
		if a, err := post(t, c, first); err == nil {
			t.Errorf("%s: answered %d", name, a.Status)
		}
	}
	// Down from https to http, though the address is admitted.
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.RedirectHandler("http://[::1]:"+target+"/", http.StatusTemporaryRedirect)}}
	s.StartTLS()
	defer s.Close()
	trusting := client(t, Options{Allow: loopback, RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if a, err := post(t, trusting, s.URL); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("https to http: %v %v", a, err)
	}
}

// TestBounds: an endless answer and a silent receiver both end.
func TestBounds(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("::1/128")}
	big := listen(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	c := client(t, Options{Allow: loopback, MaxAnswer: 1000, Timeout: 300 * time.Millisecond})
	if a, err := post(t, c, "http://[::1]:"+big+"/"); err != nil || len(a.Body) != 1000 || !a.Truncated {
		t.Errorf("a big answer: %v", err)
	}
	hold := make(chan struct{})
	silent := listen(t, func(http.ResponseWriter, *http.Request) { <-hold })
	defer close(hold)
	start := time.Now()
	if _, err := post(t, c, "http://[::1]:"+silent+"/"); err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("a silent receiver: %v after %s", err, time.Since(start))
	}
	t.Setenv("HTTP_PROXY", "http://[::1]:1")
	if _, err := post(t, c, "http://[::1]:"+big+"/"); err != nil {
		t.Errorf("a proxy of the environment was asked: %v", err)
	}
}
