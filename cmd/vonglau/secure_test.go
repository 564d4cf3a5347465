package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// maker is a certificate authority that is not ours.
type maker struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newMaker(t *testing.T, name string) *maker {
	t.Helper()
	m := &maker{t: t, dir: t.TempDir()}
	var err error
	if m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, m.key.Public(), m.key)
	if err != nil {
		t.Fatal(err)
	}
	if m.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	m.write("ca.pem", "CERTIFICATE", der)
	return m
}

func (m *maker) write(name, kind string, der []byte) string {
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// issue makes a device's certificate that ends after a time.
func (m *maker) issue(uri string, lasts time.Duration) (cert, key string, serial *big.Int) {
	m.t.Helper()
	m.n++
	name, err := url.Parse(uri)
	if err != nil {
		m.t.Fatal(err)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + m.n), Subject: pkix.Name{CommonName: "device"}, URIs: []*url.URL{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(lasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, m.cert, k.Public(), m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.write(fmt.Sprintf("d%d.pem", m.n), "CERTIFICATE", der), m.write(fmt.Sprintf("d%d.key", m.n), "EC PRIVATE KEY", keyDER), template.SerialNumber
}

// revoke writes the revocation list.
func (m *maker) revoke(serials ...*big.Int) string {
	m.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(int64(len(serials) + 1)), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, m.cert, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.write("crl.pem", "X509 CRL", der)
}

// secureDevice is a device with every kind of credential.
type secureDevice struct {
	id, token, identity, key, cert, certKey string
}

func (p *process) enrolSecure(id, out string) secureDevice {
	p.t.Helper()
	d := secureDevice{id: id}
	d.token, _ = p.must("device", "add", id, "--profile", "air-quality", "--at", "106.2,20.434", "--credential", "token")["token"].(string)
	psk, _ := p.must("device", "rotate", id, "--credential", "psk")["psk"].(map[string]any)
	d.identity, _ = psk["identity"].(string)
	raw, err := hex.DecodeString(fmt.Sprint(psk["key"]))
	if err != nil || len(raw) != 32 || d.identity != id || d.token == "" {
		p.t.Fatalf("credentials of %s: %v, token %q", id, psk, d.token)
	}
	d.key = string(raw)
	files, _ := p.must("device", "rotate", id, "--credential", "x509", "--out", out)["x509"].(map[string]any)
	d.cert, d.certKey = fmt.Sprint(files["certificate"]), fmt.Sprint(files["key"])
	if info, err := os.Stat(d.certKey); err != nil || info.Mode().Perm() != 0o600 {
		p.t.Fatalf("the key of %s: %v, %v", id, info, err)
	}
	return d
}

// mosquittoTLS publishes over TLS; it gives what the client says.
func (p *process) mosquittoTLS(id string, value int, args ...string) (string, error) {
	host, port, _ := net.SplitHostPort(p.addr.MQTTS)
	all := append([]string{"-h", host, "-p", port, "--cafile", filepath.Join(p.dir, "ca.pem"), "-V", "mqttv5", "-q", "1", "-d",
		"-t", "devices/" + id + "/telemetry", "-m", fmt.Sprintf(`{"pm25":%d}`, value)}, args...)
	out, err := exec.Command(tool(p.t, "mosquitto_pub"), all...).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "PUBACK (Mid: 1, RC:0)") {
		err = fmt.Errorf("no PUBACK with success")
	}
	return string(out), err
}

// coapDTLS posts over DTLS with one of libcoap's clients.
func (p *process) coapDTLS(client, path string, value int, args ...string) (string, error) {
	all := append([]string{"-v", "6", "-B", "4", "-m", "post", "-t", "50", "-e", fmt.Sprintf(`{"pm25":%d}`, value)}, args...)
	out, err := exec.Command(tool(p.t, client), append(all, "coaps://"+p.addr.CoAPS+path)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("%s did not run: %v", client, err)
	}
	if err == nil && !strings.Contains(string(out), "2.04") {
		err = fmt.Errorf("no 2.04 in its output")
	}
	return string(out), err
}

// TestProgramSecureTransport lets clients that are not ours speak TLS and DTLS,
// as they should and as they should not.
func TestProgramSecureTransport(t *testing.T) {
	known, stranger := newMaker(t, "known maker"), newMaker(t, "strange maker")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	crl := known.revoke()
	if err := os.WriteFile(config, []byte("tls: {device_ca: "+filepath.Join(known.dir, "ca.pem")+", device_crl: "+crl+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "--config", config)
	importTestWards(t, p)
	ca, out := filepath.Join(p.dir, "ca.pem"), t.TempDir()
	d := p.enrolSecure("secure-1", out)
	other := p.enrolSecure("secure-2", out)
	madeCert, madeKey, madeSerial := known.issue("urn:dev:vonglau:"+d.id, time.Hour)

	for _, file := range []string{"ca.key", "server.key", "secret.key", "admin.token"} {
		if info, err := os.Stat(filepath.Join(p.dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", file, info, err)
		}
	}
	pki := func(cert, key string) []string { return []string{"-c", cert, "-j", key, "-R", ca} }
	value := 100
	t.Run("taken", func(t *testing.T) {
		for _, c := range []struct {
			name string
			send func(value int) (string, error)
		}{
			{"mosquitto_pub, TLS 1.2, token", func(v int) (string, error) {
				return p.mosquittoTLS(d.id, v, "--tls-version", "tlsv1.2", "-u", d.id, "-P", d.token)
			}},
			{"mosquitto_pub, TLS 1.3, token", func(v int) (string, error) {
				return p.mosquittoTLS(d.id, v, "--tls-version", "tlsv1.3", "-u", d.id, "-P", d.token)
			}},
			{"mosquitto_pub, mutual TLS 1.2", func(v int) (string, error) {
				return p.mosquittoTLS(d.id, v, "--tls-version", "tlsv1.2", "--cert", d.cert, "--key", d.certKey)
			}},
			{"mosquitto_pub, mutual TLS 1.3", func(v int) (string, error) {
				return p.mosquittoTLS(d.id, v, "--tls-version", "tlsv1.3", "--cert", d.cert, "--key", d.certKey)
			}},
			{"mosquitto_pub, certificate of a device CA", func(v int) (string, error) {
				return p.mosquittoTLS(d.id, v, "--cert", madeCert, "--key", madeKey)
			}},
			{"coap-client-openssl, PSK", func(v int) (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", v, "-u", d.identity, "-k", d.key)
			}},
			{"coap-client-gnutls, PSK", func(v int) (string, error) {
				return p.coapDTLS("coap-client-gnutls", "/devices/"+d.id+"/telemetry", v, "-u", d.identity, "-k", d.key)
			}},
			{"coap-client-openssl, X.509", func(v int) (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", v, pki(d.cert, d.certKey)...)
			}},
			{"coap-client-gnutls, X.509", func(v int) (string, error) {
				return p.coapDTLS("coap-client-gnutls", "/t", v, pki(d.cert, d.certKey)...)
			}},
			{"coap-client-openssl, X.509 of a device CA", func(v int) (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", v, pki(madeCert, madeKey)...)
			}},
			{"curl, token", func(v int) (string, error) {
				out, err := exec.Command(tool(t, "curl"), "-sS", "--fail-with-body", "-g", "--cacert", ca, "-H", "Authorization: Bearer "+d.token,
					"--data", fmt.Sprintf(`{"pm25":%d}`, v), "https://"+p.addr.HTTPS+"/v1/devices/"+d.id+"/telemetry").CombinedOutput()
				return string(out), err
			}},
		} {
			value++
			t.Run(c.name, func(t *testing.T) {
				if out, err := c.send(value); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				eventually(t, 10*time.Second, func() (bool, string) {
					got, _, ok := p.latest(d.id, "pm25")
					return ok && got == float64(value), fmt.Sprintf("latest pm25: %v %v, want %d", got, ok, value)
				})
			})
		}
	})

	t.Run("refused", func(t *testing.T) {
		foreignCert, foreignKey, _ := stranger.issue("urn:dev:vonglau:"+d.id, time.Hour)
		overCert, overKey, _ := known.issue("urn:dev:vonglau:"+d.id, -time.Second)
		namelessCert, namelessKey, _ := known.issue("urn:other:"+d.id, time.Hour)
		unknownCert, unknownKey, _ := known.issue("urn:dev:vonglau:nobody", time.Hour)
		for name, c := range map[string]func() (string, error){
			"MQTT, certificate of a strange CA": func() (string, error) {
				return p.mosquittoTLS(d.id, 1, "--cert", foreignCert, "--key", foreignKey)
			},
			"MQTT, strange certificate with a good token": func() (string, error) {
				return p.mosquittoTLS(d.id, 1, "--cert", foreignCert, "--key", foreignKey, "-u", d.id, "-P", d.token)
			},
			"MQTT, expired certificate":        func() (string, error) { return p.mosquittoTLS(d.id, 1, "--cert", overCert, "--key", overKey) },
			"MQTT, certificate without a name": func() (string, error) { return p.mosquittoTLS(d.id, 1, "--cert", namelessCert, "--key", namelessKey) },
			"MQTT, certificate of no device":   func() (string, error) { return p.mosquittoTLS(d.id, 1, "--cert", unknownCert, "--key", unknownKey) },
			"MQTT, another's certificate":      func() (string, error) { return p.mosquittoTLS(d.id, 1, "--cert", other.cert, "--key", other.certKey) },
			"MQTT, certificate and another's user name": func() (string, error) {
				return p.mosquittoTLS(d.id, 1, "--cert", d.cert, "--key", d.certKey, "-u", other.id)
			},
			"MQTT, wrong token":   func() (string, error) { return p.mosquittoTLS(d.id, 1, "-u", d.id, "-P", other.token) },
			"MQTT, no credential": func() (string, error) { return p.mosquittoTLS(d.id, 1) },
			"CoAP, another's key": func() (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", 1, "-u", d.identity, "-k", other.key)
			},
			"CoAP, unknown identity": func() (string, error) { return p.coapDTLS("coap-client-openssl", "/t", 1, "-u", "nobody", "-k", d.key) },
			"CoAP, another's path": func() (string, error) {
				return p.coapDTLS("coap-client-openssl", "/devices/"+other.id+"/telemetry", 1, "-u", d.identity, "-k", d.key)
			},
			"CoAP, strange certificate": func() (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", 1, pki(foreignCert, foreignKey)...)
			},
			"CoAP, expired certificate": func() (string, error) { return p.coapDTLS("coap-client-openssl", "/t", 1, pki(overCert, overKey)...) },
			"CoAP, certificate, no device": func() (string, error) {
				return p.coapDTLS("coap-client-openssl", "/t", 1, pki(unknownCert, unknownKey)...)
			},
			"CoAP, no certificate": func() (string, error) { return p.coapDTLS("coap-client-openssl", "/t", 1, "-R", ca) },
		} {
			t.Run(name, func(t *testing.T) {
				if out, err := c(); err == nil {
					t.Errorf("it was taken:\n%s", out)
				}
			})
		}
		for _, id := range []string{d.id, other.id} {
			if got, _, ok := p.latest(id, "pm25"); ok && got == 1 {
				t.Errorf("a refused reading is stored for %s", id)
			}
		}
		var refusals struct {
			Refusals []struct{ Reason, Detail string }
		}
		p.api(http.MethodGet, "/v1/refusals", url.Values{"device": {d.id}}, "", &refusals)
		if len(refusals.Refusals) == 0 {
			t.Error("the attempts left no record")
		}
	})

	t.Run("openssl s_client", func(t *testing.T) {
		for _, addr := range []string{p.addr.HTTPS, p.addr.MQTTS} {
			for _, c := range []struct{ version, want string }{
				{"-tls1_1", "alert"}, {"-tls1_2", "Verify return code: 0 (ok)"}, {"-tls1_3", "Verify return code: 0 (ok)"},
			} {
				cmd := exec.Command(tool(t, "openssl"), "s_client", "-connect", addr, "-CAfile", ca, c.version, "-verify_return_error")
				out, _ := cmd.CombinedOutput()
				if !strings.Contains(string(out), c.want) {
					t.Errorf("%s %s: no %q in\n%s", addr, c.version, c.want, out)
				}
			}
			out, _ := exec.Command(tool(t, "openssl"), "s_client", "-connect", addr, "-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA").CombinedOutput()
			if !strings.Contains(string(out), "alert") {
				t.Errorf("%s took a suite without forward secrecy or authenticated encryption:\n%s", addr, out)
			}
		}
	})

	t.Run("a key lives through a restart", func(t *testing.T) {
		p.stop()
		p.start()
		if out, err := p.coapDTLS("coap-client-openssl", "/t", 7, "-u", d.identity, "-k", d.key); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})

	t.Run("a revocation list is taken up", func(t *testing.T) {
		known.revoke(madeSerial)
		eventually(t, 20*time.Second, func() (bool, string) {
			out, err := p.mosquittoTLS(d.id, 8, "--cert", madeCert, "--key", madeKey)
			return err != nil, out
		})
	})

	t.Run("rotation with overlap", func(t *testing.T) {
		next, _ := p.must("device", "rotate", d.id, "--credential", "psk", "--overlap", "1h")["psk"].(map[string]any)
		raw, _ := hex.DecodeString(fmt.Sprint(next["key"]))
		if next["identity"] == d.identity {
			t.Fatalf("the second key has the first one's identity: %v", next)
		}
		for _, c := range [][2]string{{d.identity, d.key}, {fmt.Sprint(next["identity"]), string(raw)}} {
			if out, err := p.coapDTLS("coap-client-openssl", "/t", 9, "-u", c[0], "-k", c[1]); err != nil {
				t.Errorf("%s: %v\n%s", c[0], err, out)
			}
		}
		token, _ := p.must("device", "rotate", d.id, "--overlap", "0s")["token"].(string)
		if out, err := p.mosquittoTLS(d.id, 9, "-u", d.id, "-P", d.token); err == nil {
			t.Errorf("the token before counts without an overlap:\n%s", out)
		}
		if out, err := p.mosquittoTLS(d.id, 9, "-u", d.id, "-P", token); err != nil {
			t.Errorf("the new token: %v\n%s", err, out)
		}
	})

	t.Run("one credential ends, another goes on", func(t *testing.T) {
		p.must("device", "add", "secure-3", "--profile", "air-quality", "--at", "106.2,20.434", "--credential", "psk")
		short := p.must("device", "rotate", "secure-3", "--lifetime", "1h")
		id := fmt.Sprint(short["credential"].(map[string]any)["id"])
		if listed := fmt.Sprint(p.must("device", "expiring", "--within", "2h")["credentials"]); !strings.Contains(listed, id) || strings.Contains(listed, "secret") {
			t.Errorf("credential %s ends in an hour, expiring lists %s", id, listed)
		}
		token := fmt.Sprint(short["token"])
		if out, err := p.mosquittoTLS("secure-3", 3, "-u", "secure-3", "-P", token); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		left := p.must("device", "revoke", "secure-3", "--credential", id)["credentials"].([]any)
		if len(left) != 1 || left[0].(map[string]any)["kind"] != "psk" {
			t.Errorf("left: %v, want the key", left)
		}
		if out, err := p.mosquittoTLS("secure-3", 1, "-u", "secure-3", "-P", token); err == nil {
			t.Errorf("the revoked token was taken:\n%s", out)
		}
		if _, _, code := p.run("device", "revoke", "secure-3", "--credential", id); code != exitFailed {
			t.Errorf("revoking it again: exit code %d, want %d", code, exitFailed)
		}
	})

	t.Run("revocation ends what is open", func(t *testing.T) { revokeLive(t, p, other) })
}

// revokeLive keeps an MQTT connection open, revokes its
// device and sees it end within a second; then nothing of the device counts.
func revokeLive(t *testing.T, p *process, d secureDevice) {
	host, port, _ := net.SplitHostPort(p.addr.MQTTS)
	sub := exec.Command(tool(t, "mosquitto_sub"), "-h", host, "-p", port, "--cafile", filepath.Join(p.dir, "ca.pem"), "-V", "mqttv5",
		"--cert", d.cert, "--key", d.certKey, "-i", d.id, "-q", "1", "-t", "devices/"+d.id+"/commands", "-d")
	sub.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Process.Kill(); _ = sub.Wait() })
	if out, err := p.coapDTLS("coap-client-openssl", "/t", 10, "-u", d.identity, "-k", d.key); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	link := func(want string) func() (bool, string) {
		return func() (bool, string) {
			var shown struct {
				Presence struct {
					Link struct{ State, Reason string }
				}
			}
			p.api(http.MethodGet, "/v1/devices/"+d.id, nil, "", &shown)
			return shown.Presence.Link.State == want, fmt.Sprintf("link %+v", shown.Presence.Link)
		}
	}
	eventually(t, 10*time.Second, link("online"))
	start := time.Now()
	p.must("device", "revoke", d.id)
	eventually(t, time.Second, link("offline"))
	t.Logf("the connection ended %v after the command began", time.Since(start).Round(time.Millisecond))
	for name, send := range map[string]func() (string, error){
		"token":       func() (string, error) { return p.mosquittoTLS(d.id, 1, "-u", d.id, "-P", d.token) },
		"certificate": func() (string, error) { return p.mosquittoTLS(d.id, 1, "--cert", d.cert, "--key", d.certKey) },
		"key": func() (string, error) {
			return p.coapDTLS("coap-client-openssl", "/t", 1, "-u", d.identity, "-k", d.key)
		},
	} {
		if out, err := send(); err == nil {
			t.Errorf("revoked %s was taken:\n%s", name, out)
		}
	}
}
