package devices

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// tokenMaker gives tokens, and takes any request for one of its certificates.
type tokenMaker struct{ now func() time.Time }

func (m tokenMaker) Issue(_ *Device, kind CredentialKind, _ time.Duration) (Credential, Secret, error) {
	if kind != CredentialToken {
		return Credential{}, Secret{}, errors.New("only tokens here")
	}
	c, token := NewTokenCredential(m.now())
	return c, Secret{Token: token}, nil
}

func (m tokenMaker) Sign(_ *Device, request []byte) (Credential, Secret, error) {
	if string(request) != "request" {
		return Credential{}, Secret{}, errors.New("no request")
	}
	return Credential{ID: NewCredentialID(), Kind: CredentialX509, Secret: make([]byte, 32), Added: m.now()}, Secret{X509: &X509{Certificate: "signed"}}, nil
}

type enrolmentTest struct {
	*Enrolment
	t                *testing.T
	now              time.Time
	entries, devices *memStore
}

func newEnrolmentTest(t *testing.T) *enrolmentTest {
	t.Helper()
	e := &enrolmentTest{t: t, now: time.Date(2026, 11, 21, 17, 0, 0, 0, time.UTC), entries: newMemStore(), devices: newMemStore()}
	e.open()
	return e
}

// open is a start of the program.
func (e *enrolmentTest) open() {
	e.t.Helper()
	clock := func() time.Time { return e.now }
	c, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
profiles:
  - {name: strict-gauge, label: {en: Gauge}, class: rain, interval: 60s, main: rain_total, fields: [{quantity: rain_total}], norm: {models: [RG-1], oldest_firmware: "2.0", credentials: [token]}}
`))
	if err != nil {
		e.t.Fatal(err)
	}
	r, err := OpenRegister(e.t.Context(), e.devices, c)
	if err != nil {
		e.t.Fatal(err)
	}
	if e.Enrolment, err = OpenEnrolment(e.t.Context(), e.entries, r, tokenMaker{clock}, clock); err != nil {
		e.t.Fatal(err)
	}
}

// announce registers a device that is to come.
func (e *enrolmentTest) announce(d Device) (code string) {
	e.t.Helper()
	var err error
	if code, d.Entry, err = NewClaim(e.now, time.Hour); err != nil {
		e.t.Fatal(err)
	}
	d.State = Announced
	token, err := e.register.Add(e.t.Context(), d)
	if err != nil || token != "" {
		e.t.Fatalf("announcing %s: token %q, %v; want none", d.ID, token, err)
	}
	return code
}

func (e *enrolmentTest) enters(p Presented) (*Device, string) {
	e.t.Helper()
	d, secret, err := e.Enrol(e.t.Context(), &p)
	if err != nil {
		e.t.Fatalf("%+v: %v", p, err)
	}
	if secret.Token != "" {
		if _, err := e.register.Authenticate(d.ID, secret.Token); err != nil {
			e.t.Errorf("%s: its token: %v", p.ID, err)
		}
	}
	return d, secret.Token
}

func (e *enrolmentTest) refused(reason Reason, detail string, p Presented) {
	e.t.Helper()
	before, _ := e.register.Get(p.ID)
	d, secret, err := e.Enrol(e.t.Context(), &p)
	var refusal *Refusal
	if d != nil || secret != (Secret{}) || !errors.As(err, &refusal) || refusal.Reason != reason || !strings.Contains(refusal.Detail, detail) {
		e.t.Errorf("%+v: %v, %+v, %v; want %s with %q", p, d, secret, err, reason, detail)
	}
	if after, _ := e.register.Get(p.ID); after != before {
		e.t.Errorf("%+v: the register has changed from %+v to %+v", p, before, after)
	}
}

func TestClaim(t *testing.T) {
	e := newEnrolmentTest(t)
	code := e.announce(Device{ID: "aq-1", Profile: "air-quality"})
	other := e.announce(Device{ID: "aq-2", Profile: "air-quality"})
	if raw := string(e.devices.entries["aq-1"]); strings.Contains(raw, code) || strings.Contains(raw, strings.ReplaceAll(code, "-", "")) {
		t.Error("the code is kept as it is")
	}
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "aq-1", Claim: other})
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "aq-1", Claim: "00000-00000-00000-00000"})
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "nobody", Claim: code})
	e.refused(ReasonMalformed, "present claim", Presented{ID: "aq-1"})
	e.refused(ReasonMalformed, "present claim", Presented{ID: "aq-1", Claim: code, Group: "g", Secret: "s"})
	e.refused(ReasonMalformed, "device id", Presented{ID: "a/q", Claim: code})
	e.refused(ReasonMalformed, "needs a csr", Presented{ID: "aq-1", Claim: code, Credential: CredentialX509})
	e.refused(ReasonMalformed, "no request", Presented{ID: "aq-1", Claim: code, CSR: "rubbish"})

	e.open() // the code counts over a restart
	// As somebody types it from a label.
	typed := strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(code))
	d, _ := e.enters(Presented{ID: "aq-1", Claim: typed, Model: "AQ 7", Firmware: "1.4"})
	if d.State != Active || d.Model != "AQ 7" || d.Firmware != "1.4" {
		t.Errorf("the device is %+v, want active and as it says", d)
	}
	e.refused(ReasonBadCredential, "used already", Presented{ID: "aq-1", Claim: code})
	e.open() // and is used over a restart
	e.refused(ReasonBadCredential, "used already", Presented{ID: "aq-1", Claim: code})

	e.now = e.now.Add(time.Hour)
	e.refused(ReasonBadCredential, "expired", Presented{ID: "aq-2", Claim: other})
	again, _, err := e.NewClaim(t.Context(), "aq-2", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "aq-2", Claim: other})
	if d, _ := e.enters(Presented{ID: "aq-2", Claim: again, CSR: "request"}); len(d.Credentials) != 1 || d.Credentials[0].Kind != CredentialX509 {
		t.Errorf("with a request it holds %+v, want a certificate", d.Credentials)
	}
}

// Revoking, retiring and quarantining a device that is still to come.
func TestClaimOfADeviceThatIsNotWanted(t *testing.T) {
	e := newEnrolmentTest(t)
	change := func(id ID, how func(*Device) error) {
		t.Helper()
		if err := e.register.Update(t.Context(), id, how); err != nil {
			t.Fatal(err)
		}
	}
	revoked := e.announce(Device{ID: "revoked", Profile: "air-quality"})
	change("revoked", func(d *Device) error { return d.Withdraw("", e.now) })
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "revoked", Claim: revoked})
	retired := e.announce(Device{ID: "retired", Profile: "air-quality"})
	change("retired", func(d *Device) error { d.State = Retired; return nil })
	e.refused(ReasonBadCredential, "retired", Presented{ID: "retired", Claim: retired})
	held := e.announce(Device{ID: "held", Profile: "air-quality"})
	change("held", func(d *Device) error { d.State = Quarantine; return nil })
	if d, _ := e.enters(Presented{ID: "held", Claim: held}); d.State != Quarantine {
		t.Errorf("a device in quarantine is %s after its claim", d.State)
	}
}

func TestClaimAgainstTheNorm(t *testing.T) {
	e := newEnrolmentTest(t)
	for _, c := range []struct {
		id              ID
		model, firmware string
		want            LifeState
	}{
		{"rg-1", "RG-1", "2.1", Active},
		{"rg-2", "RG-9", "2.1", Quarantine},
		{"rg-3", "RG-1", "1.9", Quarantine},
		{"rg-4", "", "", Active}, // as registered
	} {
		code := e.announce(Device{ID: c.id, Profile: "strict-gauge", Model: "RG-1"})
		e.refused(ReasonMalformed, "is given token", Presented{ID: c.id, Claim: code, Credential: CredentialPSK})
		d, _ := e.enters(Presented{ID: c.id, Claim: code, Model: c.model, Firmware: c.firmware})
		if d.State != c.want {
			t.Errorf("%s with model %q and firmware %q is %s, want %s", c.id, c.model, c.firmware, d.State, c.want)
		}
	}
	// A person may take it as it is; the report goes on naming it.
	if err := e.register.Update(t.Context(), "rg-2", func(d *Device) error { d.State = Active; return nil }); err != nil {
		t.Errorf("approving a device that deviates: %v", err)
	}
}

// A device whose answer got lost asks again, and the first credential ends.
func TestEnrolAgain(t *testing.T) {
	e := newEnrolmentTest(t)
	code := e.announce(Device{ID: "aq-1", Profile: "air-quality"})
	_, secret, err := e.AddGroup(t.Context(), Group{Name: "lamps", Profile: "street-light", Max: 1}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Presented{
		{ID: "aq-1", Claim: code, Nonce: "boot 1"},
		{ID: "lamps-1", Group: "lamps", Secret: secret, Nonce: "boot 1"},
	} {
		_, first := e.enters(p)
		another := p
		another.Nonce = "boot 2"
		e.refused(ReasonBadCredential, "used already", another)
		e.now = e.now.Add(9 * time.Minute)
		d, second := e.enters(p)
		if _, err := e.register.Authenticate(p.ID, first); err == nil || len(d.Credentials) != 1 {
			t.Errorf("%s: the first token still counts beside %+v", p.ID, d.Credentials)
		}
		e.now = e.now.Add(time.Minute)
		e.refused(ReasonBadCredential, "too long ago", p) // ten minutes from the first time
		e.now = e.now.Add(-time.Minute)
		if err := e.register.Update(t.Context(), p.ID, func(d *Device) error { return d.Withdraw("", e.now) }); err != nil {
			t.Fatal(err)
		}
		e.refused(ReasonBadCredential, "taken away", p)
		if _, err := e.register.Authenticate(p.ID, second); err == nil {
			t.Errorf("%s: a revoked token counts", p.ID)
		}
	}
	if g := e.Groups()[0]; g.Enrolled != 1 {
		t.Errorf("a device that came twice is counted as %d", g.Enrolled)
	}
}

func TestGroup(t *testing.T) {
	e := newEnrolmentTest(t)
	if _, err := e.register.Add(t.Context(), Device{ID: "lamps-7", Profile: "street-light"}); err != nil {
		t.Fatal(err)
	}
	g, secret, err := e.AddGroup(t.Context(), Group{Name: "lamps", Profile: "street_light", Site: "Phố Trần", Owner: "lighting", Max: 2}, "")
	if err != nil || g.SecretHash != nil || g.Prefix != "lamps-" {
		t.Fatalf("added %+v, %v", g, err)
	}
	if raw := string(e.entries.entries["lamps"]); strings.Contains(raw, secret) {
		t.Error("the secret is kept as it is")
	}
	if _, _, err := e.AddGroup(t.Context(), Group{Name: "lamps", Profile: "street-light"}, ""); !errors.Is(err, ErrGroupExists) {
		t.Errorf("a second of its name: %v", err)
	}
	lamp := func(id ID) Presented {
		return Presented{ID: id, Group: "lamps", Secret: secret, Model: "L-1", Firmware: "3.0"}
	}
	wrong := lamp("lamps-1")
	wrong.Secret = "not the secret of it"
	e.refused(ReasonBadCredential, "do not match", wrong)
	wrong = lamp("lamps-1")
	wrong.Group = "lanterns"
	e.refused(ReasonBadCredential, "do not match", wrong)
	e.refused(ReasonBadCredential, "begins with lamps-", lamp("aq-1"))
	e.refused(ReasonBadCredential, "begins with lamps-", lamp("lamps-"))
	e.refused(ReasonBadCredential, "taken", lamp("lamps-7"))
	// The secret of a group is no claim code.
	e.refused(ReasonBadCredential, "not this device's", Presented{ID: "lamps-7", Claim: secret})

	d, _ := e.enters(lamp("lamps-1"))
	if d.State != Quarantine || d.Profile != "street-light" || d.Site != "Phố Trần" || d.Owner != "lighting" || d.Model != "L-1" || d.Entry.Group != "lamps" {
		t.Errorf("it came in as %+v", d)
	}
	e.refused(ReasonBadCredential, "used already", lamp("lamps-1"))
	e.devices.fail = errors.New("disk full")
	if _, _, err := e.Enrol(t.Context(), &Presented{ID: "lamps-3", Group: "lamps", Secret: secret}); err == nil {
		t.Error("a device came in that was not kept")
	}
	e.devices.fail = nil
	e.open()
	e.enters(lamp("lamps-2"))
	e.refused(ReasonBadCredential, "full", lamp("lamps-3"))
	// To forget a device makes no room.
	if err := e.register.Remove(t.Context(), "lamps-2"); err != nil {
		t.Fatal(err)
	}
	e.refused(ReasonBadCredential, "full", lamp("lamps-3"))

	_, secret, err = e.AddGroup(t.Context(), Group{Name: "gauges", Profile: "rain-gauge", Prefix: "rg-", Until: e.now.Add(time.Hour)}, "one that is on the label")
	if err != nil || secret != "one that is on the label" {
		t.Fatalf("a secret somebody brought: %q, %v", secret, err)
	}
	gauge := Presented{ID: "rg-1", Group: "gauges", Secret: secret}
	e.now = e.now.Add(time.Hour)
	e.refused(ReasonBadCredential, "ended", gauge)
	e.now = e.now.Add(-time.Minute)
	if _, err := e.RevokeGroup(t.Context(), "gauges"); err != nil {
		t.Fatal(err)
	}
	e.refused(ReasonBadCredential, "revoked", gauge)
	e.open()
	e.refused(ReasonBadCredential, "revoked", gauge)
	if _, err := e.RevokeGroup(t.Context(), "lanterns"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("revoking a group there is not: %v", err)
	}
	for _, bad := range []Group{
		{Name: "", Profile: "bus"}, {Name: "a.b", Profile: "bus"}, {Name: "a", Profile: "submarine"}, {Name: "a", Profile: "bus", Prefix: "a/"},
		{Name: "a", Profile: "bus", Max: -1}, {Name: "a", Profile: "bus", Until: e.now}, {Name: strings.Repeat("a", 64), Profile: "bus"},
	} {
		if _, _, err := e.AddGroup(t.Context(), bad, ""); err == nil {
			t.Errorf("%+v was added", bad)
		}
	}
	if _, _, err := e.AddGroup(t.Context(), Group{Name: "a", Profile: "bus"}, "short"); err == nil {
		t.Error("a short secret was taken")
	}
}

// One code presented by many at once lets one in.
func TestClaimRace(t *testing.T) {
	e := newEnrolmentTest(t)
	code := e.announce(Device{ID: "aq-1", Profile: "air-quality"})
	const many = 16
	errs := make(chan error, many)
	for range many {
		go func() {
			_, _, err := e.Enrol(t.Context(), &Presented{ID: "aq-1", Claim: code})
			errs <- err
		}()
	}
	in := 0
	for range many {
		if err := <-errs; err == nil {
			in++
		} else if !errors.Is(err, &Refusal{Reason: ReasonBadCredential}) {
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d came in by one code", in)
	}
}

func TestEvidenceOpensNoDoor(t *testing.T) {
	p := Presented{ID: "a", Claim: "CLAIM", Group: "g", Secret: "SECRET", Nonce: "NONCE", CSR: "CSR", Model: "m"}
	got := string(p.Evidence())
	if want := `{"id":"a","group":"g","model":"m"}`; got != want {
		t.Errorf("evidence %s, want %s", got, want)
	}
}
