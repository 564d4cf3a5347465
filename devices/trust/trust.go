// Package trust holds what the server proves itself by and what it believes of
// devices: the city's own certificate authority, the server's certificate, the
// authorities of device makers and other cities' departments, and the key that
// seals pre-shared keys.
//
// In Options.Dir it keeps, made at the first start:
//
//	ca.pem, ca.key          the city CA; ca.pem goes to devices and browsers
//	server.pem, server.key  the server's certificate by the city CA, made again
//	                        before it ends and when the host has a new address
//	secret.key              seals the pre-shared keys in the register
//
// The three keys are readable by their owner only. They belong in every backup:
// without ca.key no device can be given a certificate, without secret.key no
// pre-shared key counts.
//
// The city CA says only who a certificate was made for; whether it counts today
// is the register's business, so revoking needs no list. A certificate of a
// device CA counts by itself, unless its CA's revocation list has it or the
// device was revoked after it was issued.
//
// Files are looked at each few seconds while Run runs, and what cannot be read
// changes nothing: the certificate or authority in force stays so, the log and
// vonglau_trust_reload_errors_total tell.
package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Options of an Authority. Dir is needed.
type Options struct {
	Dir string
	// Names are the host names and addresses the server is reached by, besides
	// the host's own name and addresses.
	Names []string
	// Certificate and Key are files in PEM with the server's certificate, the
	// leaf first. Both empty uses one of the city CA.
	Certificate, Key string
	// DeviceCA is a file of authorities, PEM, whose certificates devices may
	// prove themselves by; DeviceCRL one of their revocation lists, PEM or DER.
	DeviceCA, DeviceCRL string
	// DeviceLifetime is how long a device's certificate lasts: two years.
	DeviceLifetime time.Duration

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (o *Options) defaults() error {
	if o.Dir == "" {
		return errors.New("trust: Options.Dir is missing")
	}
	if (o.Certificate == "") != (o.Key == "") {
		return errors.New("trust: a certificate needs its key, and a key its certificate: name both files or none")
	}
	if o.DeviceCRL != "" && o.DeviceCA == "" {
		return errors.New("trust: a revocation list needs the CA that signed it")
	}
	if o.DeviceLifetime == 0 {
		o.DeviceLifetime = 2 * 365 * 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Authority is safe for concurrent use.
type Authority struct {
	opt    Options
	ca     *authority
	seal   *sealer
	server atomic.Pointer[tls.Certificate]
	makers atomic.Pointer[makers]
	stamps map[string]stamp // of the files, as last read; Run's

	failures prometheus.Counter
}

// Open reads what Dir holds and makes what it lacks.
func Open(o Options) (*Authority, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	a := &Authority{opt: o, stamps: map[string]stamp{}}
	var err error
	if a.ca, err = openAuthority(o.Dir); err != nil {
		return nil, err
	}
	if a.seal, err = openSealer(filepath.Join(o.Dir, "secret.key")); err != nil {
		return nil, err
	}
	if _, err = a.renewServer(time.Now()); err != nil {
		return nil, err
	}
	if _, err = a.renewMakers(); err != nil {
		return nil, err
	}
	with := promauto.With(o.Metrics)
	a.failures = with.NewCounter(prometheus.CounterOpts{
		Name: "vonglau_trust_reload_errors_total", Help: "Certificates and authorities that could not be read again; those before stay in force.",
	})
	for name, end := range map[string]func() time.Time{
		"server": func() time.Time { return a.server.Load().Leaf.NotAfter },
		"ca":     func() time.Time { return a.ca.certificate.NotAfter },
	} {
		with.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "vonglau_certificate_end_timestamp_seconds", Help: "When a certificate of the server ends.",
			ConstLabels: prometheus.Labels{"certificate": name},
		}, func() float64 { return float64(end().Unix()) })
	}
	return a, nil
}

// Ends gives when the certificates of the server end, by name.
func (a *Authority) Ends() map[string]time.Time {
	return map[string]time.Time{"server": a.server.Load().Leaf.NotAfter, "ca": a.ca.certificate.NotAfter}
}

// lookAgain is how often the files are looked at.
const lookAgain = 5 * time.Second

// Run takes up changed files until ctx ends. changed is called when what devices
// may prove themselves by has changed.
func (a *Authority) Run(ctx context.Context, changed func()) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			a.look(now, changed)
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Authority) look(now time.Time, changed func()) {
	fresh, err := a.renewServer(now)
	switch {
	case err != nil:
		a.failures.Inc()
		a.opt.Log.Error("the server's certificate was not renewed; the one before stays in force", "error", err)
	case fresh:
		leaf := a.server.Load().Leaf
		a.opt.Log.Info("a new server certificate is in force", "issuer", leaf.Issuer.CommonName, "ends", leaf.NotAfter)
	}
	fresh, err = a.renewMakers()
	switch {
	case err != nil:
		a.failures.Inc()
		a.opt.Log.Error("the device CA or its revocation list was not read; what was read before stays in force", "error", err)
	case fresh:
		a.opt.Log.Info("the device CA or its revocation list was read again")
		changed()
	}
}

// CA is the city CA's certificate in PEM.
func (a *Authority) CA() []byte { return a.ca.pem }

// ServerCertificate is the one in force.
func (a *Authority) ServerCertificate() *tls.Certificate { return a.server.Load() }

// ServerConfig is for a listener of TLS: 1.2 with forward secrecy and
// authenticated encryption only, or 1.3 (RFC 9325 sections 3.1.1 and 4.2). A
// client is asked for a certificate when devices is set, and shows one or not;
// whether it counts is for Verify and the register, whose refusal can be
// answered in the protocol and leaves evidence, where an alert of TLS would not.
func (a *Authority) ServerConfig(devices bool) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.server.Load(), nil },
	}
	if devices {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// stamp tells whether a file is another one than before.
type stamp struct {
	modified time.Time
	size     int64
}

// touched reports whether one of the files changed since they were last taken
// up, and gives what to remember once they are.
func (a *Authority) touched(files ...string) (map[string]stamp, bool, error) {
	now, changed := map[string]stamp{}, false
	for _, f := range files {
		if f == "" {
			continue
		}
		info, err := os.Stat(f)
		if err != nil {
			return nil, false, err
		}
		now[f] = stamp{info.ModTime(), info.Size()}
		changed = changed || now[f] != a.stamps[f]
	}
	return now, changed, nil
}

func (a *Authority) remember(now map[string]stamp) {
	for f, s := range now {
		a.stamps[f] = s
	}
}

// renewServer puts another certificate in force when the files have changed, or
// the own one nears its end or lacks a name.
func (a *Authority) renewServer(now time.Time) (bool, error) {
	if a.opt.Certificate == "" {
		return a.renewOwn(now)
	}
	stamps, changed, err := a.touched(a.opt.Certificate, a.opt.Key)
	if err != nil {
		return false, fmt.Errorf("the server's certificate: %w", err)
	}
	if !changed {
		return false, nil
	}
	pair, err := tls.LoadX509KeyPair(a.opt.Certificate, a.opt.Key)
	if err != nil {
		return false, fmt.Errorf("the server's certificate %s with key %s: %w", a.opt.Certificate, a.opt.Key, err)
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return false, fmt.Errorf("the server's certificate %s: %w", a.opt.Certificate, err)
	}
	a.server.Store(&pair)
	a.remember(stamps)
	return true, nil
}

// keep writes a file whole or not at all.
func keep(file string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode) // whatever was left there
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
