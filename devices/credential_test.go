package devices

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func credentialRegister(t *testing.T, list ...Device) *Register {
	t.Helper()
	r, err := OpenRegister(context.Background(), newMemStore(), DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddAll(context.Background(), list); err != nil {
		t.Fatal(err)
	}
	return r
}

func change(t *testing.T, r *Register, id ID, how func(*Device) error) {
	t.Helper()
	if err := r.Update(context.Background(), id, how); err != nil {
		t.Fatal(err)
	}
}

// A token is replaced: both count during the overlap, then only the new one,
// and what was proven with the old one is known to have ended.
func TestTokenRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := credentialRegister(t)
		first, err := r.Add(context.Background(), Device{ID: "a", Profile: "noise"})
		if err != nil {
			t.Fatal(err)
		}
		_, old, err := r.ProveToken("a", first)
		if err != nil {
			t.Fatal(err)
		}
		c, second := NewTokenCredential(time.Now())
		change(t, r, "a", func(d *Device) error { return d.Grant(c, time.Hour, time.Now()) })
		for _, step := range []struct {
			after      time.Duration
			old, young bool
		}{{0, true, true}, {59 * time.Minute, true, true}, {time.Minute, false, true}} {
			time.Sleep(step.after)
			_, errOld := r.Authenticate("a", first)
			_, errNew := r.Authenticate("a", second)
			d, _ := r.Get("a")
			if holds := d.Holds(old, time.Now()); (errOld == nil) != step.old || (errNew == nil) != step.young || holds != step.old {
				t.Errorf("after %v: old %v (session %v), new %v; want %v, %v", step.after, errOld, holds, errNew, step.old, step.young)
			}
		}
		if _, err := r.Authenticate("b", second); !errors.Is(err, &Refusal{Reason: ReasonUnknownDevice}) {
			t.Errorf("another device: %v", err)
		}
		change(t, r, "a", func(d *Device) error { return d.Withdraw("", time.Now()) })
		if _, err := r.Authenticate("a", second); !errors.Is(err, &Refusal{Reason: ReasonBadCredential}) {
			t.Errorf("after the revocation: %v", err)
		}
	})
}

// A second key of a device is announced by an identity of its own, because DTLS
// asks for one key by identity.
func TestPSKRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		psk := func(id, identity string) Credential {
			return Credential{ID: id, Kind: CredentialPSK, Identity: identity, Secret: []byte("sealed " + id), Added: time.Now()}
		}
		r := credentialRegister(t, Device{ID: "a", Profile: "noise", Credentials: []Credential{psk("1", "a")}}, Device{ID: "b", Profile: "noise"})
		change(t, r, "a", func(d *Device) error {
			if got := d.PSKIdentity("2"); got != "a:2" {
				t.Errorf("second identity %q, want a:2", got)
			}
			return d.Grant(psk("2", d.PSKIdentity("2")), time.Hour, time.Now())
		})
		find := func(identity string) string {
			if d, c, ok := r.FindPSK(identity); ok {
				return string(d.ID) + " " + c.ID
			}
			return "none"
		}
		for _, c := range []struct {
			identity, before, after string
		}{{"a", "a 1", "none"}, {"a:2", "a 2", "a 2"}, {"a:1", "none", "none"}, {"b", "none", "none"}, {"", "none", "none"}, {":", "none", "none"}} {
			if got := find(c.identity); got != c.before {
				t.Errorf("%q: got %s, want %s", c.identity, got, c.before)
			}
		}
		time.Sleep(time.Hour)
		if a, b := find("a"), find("a:2"); a != "none" || b != "a 2" {
			t.Errorf("after the overlap: %s, %s", a, b)
		}
		if err := r.Update(context.Background(), "b", func(d *Device) error { return d.Grant(psk("3", "a:3"), -1, time.Now()) }); err == nil {
			t.Error("a key with another device's identity was taken")
		}
	})
}

func TestCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		print := sha256.Sum256([]byte("certificate"))
		now := time.Now()
		r := credentialRegister(t, Device{ID: "a", Profile: "noise", Credentials: []Credential{
			{ID: "1", Kind: CredentialX509, Secret: print[:], Added: now, Expires: now.Add(10 * time.Hour)},
		}})
		year := now.Add(365 * 24 * time.Hour)
		for _, c := range []struct {
			name string
			cert Certificate
			want Reason
		}{
			{"own", Certificate{Device: "a", Own: true, Fingerprint: print, NotBefore: now, NotAfter: year}, ""},
			{"own, not in the register", Certificate{Device: "a", Own: true, NotBefore: now, NotAfter: year}, ReasonBadCredential},
			{"of a device CA", Certificate{Device: "a", NotBefore: now, NotAfter: year}, ""},
			{"of a device CA, over", Certificate{Device: "a", NotBefore: now.Add(-2 * time.Hour), NotAfter: now}, ReasonBadCredential},
			{"of nobody", Certificate{Device: "x", NotBefore: now, NotAfter: year}, ReasonUnknownDevice},
		} {
			_, _, err := r.ProveCertificate(&c.cert)
			if got := reasonOrNone(err); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
		if got := r.Expiring(now, 11*time.Hour); len(got) != 1 || got[0].Credential.ID != "1" || got[0].Credential.Secret != nil {
			t.Errorf("expiring: %+v", got)
		}
		time.Sleep(time.Hour)
		change(t, r, "a", func(d *Device) error { return d.Withdraw("", time.Now()) })
		for name, c := range map[string]Certificate{
			"own":                         {Device: "a", Own: true, Fingerprint: print, NotBefore: now, NotAfter: year},
			"of a device CA, from before": {Device: "a", NotBefore: now, NotAfter: year},
		} {
			if _, _, err := r.ProveCertificate(&c); reasonOrNone(err) != ReasonBadCredential {
				t.Errorf("revoked, %s: %v", name, err)
			}
		}
		if _, _, err := r.ProveCertificate(&Certificate{Device: "a", NotBefore: time.Now(), NotAfter: year}); err != nil {
			t.Errorf("a certificate issued after the revocation: %v", err)
		}
	})
}

func reasonOrNone(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// An entry written before there were several credentials is the same device.
func TestOldEntryKeepsItsToken(t *testing.T) {
	hash := sha256.Sum256([]byte("secret"))
	raw, err := json.Marshal(map[string]any{"id": "a", "profile": "noise", "at": nil, "state": "active", "tokenHash": hash[:], "added": "2026-01-01T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	store := newMemStore()
	if err := store.Put(context.Background(), "a", raw); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRegister(context.Background(), store, DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate("a", "secret"); err != nil {
		t.Error(err)
	}
	d, _ := r.Get("a")
	if held := d.Held(); len(held) != 1 || held[0].ID != "token" || held[0].Secret != nil {
		t.Errorf("held: %+v", held)
	}
	if p := d.Public(); p.TokenHash != nil || p.Credentials != nil {
		t.Errorf("public: %+v", p)
	}
}
