package devices

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestLifeCycle tries every way from state to state: those of the table go,
// those beside it are refused and change nothing.
func TestLifeCycle(t *testing.T) {
	ctx := context.Background()
	states := []LifeState{Announced, Quarantine, Active, Maintenance, Retired}
	allowed := map[LifeState]string{
		Announced: "active quarantined retired", Quarantine: "active retired",
		Active: "maintenance quarantined retired", Maintenance: "active quarantined retired", Retired: "quarantined",
	}
	for _, from := range states {
		for _, to := range states {
			r := openRegister(t, newMemStore())
			if _, err := r.Add(ctx, Device{ID: "d", Profile: "noise", State: from}); err != nil {
				t.Fatal(err)
			}
			err := r.Update(ctx, "d", func(d *Device) error { d.State = to; return nil })
			d, _ := r.Get("d")
			if from == to || strings.Contains(" "+allowed[from]+" ", " "+string(to)+" ") {
				if err != nil || d.State != to {
					t.Errorf("%s to %s: %v, is %s", from, to, err, d.State)
				}
			} else if !errors.Is(err, ErrLifeCycle) || d.State != from {
				t.Errorf("%s to %s: got %v, is %s", from, to, err, d.State)
			}
		}
	}
}

func TestUpstreamLoops(t *testing.T) {
	ctx := context.Background()
	r := openRegister(t, newMemStore())
	for _, d := range []Device{{ID: "a", Profile: "gateway"}, {ID: "b", Profile: "gateway", Upstream: "a"}, {ID: "c", Profile: "noise", Upstream: "b"}} {
		if _, err := r.Add(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, up := range []ID{"a", "b", "c"} {
		if err := r.Update(ctx, "a", func(d *Device) error { d.Upstream = up; return nil }); err == nil {
			t.Errorf("a hangs on %s, which hangs on a", up)
		}
	}
	if err := r.Update(ctx, "c", func(d *Device) error { d.Upstream = "not-yet-registered"; return nil }); err != nil {
		t.Error(err)
	}
}

func TestNorm(t *testing.T) {
	ctx := context.Background()
	catalogue := func(norm string) *Catalogue {
		c, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
profiles:
  - {name: noise, label: {en: Noise}, class: noise, interval: 60s, main: noise, fields: [{quantity: noise}], norm: `+norm+`}`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	r, err := OpenRegister(ctx, newMemStore(), catalogue(`{models: [VL-200, VL-300], oldest_firmware: "1.9", newest_firmware: "2.0"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model, firmware, refusal string
	}{
		{"VL-200", "1.10", ""},
		{"vl-300", "", ""}, // not heard of yet
		{"VL-200", "1.8.9", "older"},
		{"VL-200", "2.1", "newer"},
		{"VL-200", "2.0-rc1", ""},
		{"", "1.9", "no model"},
		{"X", "1.9", `model "X"`},
	} {
		d := Device{ID: "d", Profile: "noise", Model: c.model, Firmware: c.firmware}
		_, err := r.Add(ctx, d)
		switch {
		case c.refusal == "" && err != nil:
			t.Errorf("%s %s: %v", c.model, c.firmware, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s %s: got %v, want %s", c.model, c.firmware, err, c.refusal)
		}
		if err == nil {
			if err := r.Remove(ctx, "d"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := r.Add(ctx, Device{ID: "d", Profile: "noise", Model: "VL-200"}); err != nil {
		t.Fatal(err)
	}
	// What runs on it is a fact: taken, and reported.
	if err := r.Update(ctx, "d", func(d *Device) error { d.Firmware = "3.0"; return nil }); err != nil {
		t.Error(err)
	}
	if err := r.Update(ctx, "d", func(d *Device) error { d.Model = "X"; return nil }); err == nil {
		t.Error("the model became one that the norm forbids")
	}
	rules := func() string {
		d, _ := r.Get("d")
		var names []string
		for _, x := range r.Deviations(d, nil) {
			names = append(names, x.Rule)
		}
		return strings.Join(names, " ")
	}
	if got, want := rules(), "firmware place owner"; got != want {
		t.Errorf("deviates in %q, want %q", got, want)
	}
	err = r.Update(ctx, "d", func(d *Device) error {
		d.Firmware, d.At, d.Owner, d.Upstream = "2.0", Position{Lon: 106, Lat: 20}, "Sở Xây dựng", "gone"
		return nil
	})
	if got, want := rules(), "upstream"; err != nil || got != want {
		t.Errorf("deviates in %q, want %q; %v", got, want, err)
	}
	if _, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
profiles:
  - {name: x, class: noise, interval: 1s, norm: {oldest_firmware: "2", newest_firmware: "1.9"}}`)); err == nil {
		t.Error("an empty range of firmware was loaded")
	}
}

func TestNormOfCredentials(t *testing.T) {
	ctx := context.Background()
	c, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
profiles:
  - {name: noise, label: {en: Noise}, class: noise, interval: 60s, main: noise, fields: [{quantity: noise}], norm: {credentials: [psk, x509]}}`))
	if err != nil {
		t.Fatal(err)
	}
	store := newMemStore()
	r, err := OpenRegister(ctx, store, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(ctx, Device{ID: "d", Profile: "noise"}); err == nil {
		t.Error("a device whose profile allows no token was given one")
	}
	key := []Credential{{ID: "k1", Kind: CredentialPSK, Identity: "d", Secret: make([]byte, 60), Added: time.Now()}}
	if _, err := r.Add(ctx, Device{ID: "d", Profile: "noise", Credentials: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RenewToken(ctx, "d"); err == nil {
		t.Error("it was given a token later")
	}
	if err := r.Update(ctx, "d", func(d *Device) error { d.Name = "x"; return nil }); err != nil {
		t.Error(err)
	}
	if err := r.Update(ctx, "d", func(d *Device) error { d.Credentials = nil; return nil }); err != nil {
		t.Errorf("its last credential cannot be taken away: %v", err)
	}
	// Enrolled before the norm: named in the report, and may be changed.
	before := openRegister(t, store)
	if _, err := before.Add(ctx, Device{ID: "old", Profile: "noise", At: Position{Lon: 106, Lat: 20}, Owner: "Sở Xây dựng"}); err != nil {
		t.Fatal(err)
	}
	if r, err = OpenRegister(ctx, store, c); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(ctx, "old", func(d *Device) error { d.Name = "x"; return nil }); err != nil {
		t.Error(err)
	}
	d, _ := r.Get("old")
	if got := r.Deviations(d, nil); len(got) != 1 || got[0].Rule != RuleSecurity {
		t.Errorf("deviates in %v", got)
	}
	if _, err := LoadCatalogue(DefaultCatalogue(), strings.NewReader(`
profiles:
  - {name: x, class: noise, interval: 1s, norm: {credentials: [password]}}`)); err == nil {
		t.Error("an unknown kind of credential was loaded")
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		older, newer string
	}{
		{"1.9", "1.10"}, {"1.2", "1.2.1"}, {"1.2-rc1", "1.2"}, {"1.2-rc1", "1.2.1"}, {"1.2-rc1", "1.2-rc2"},
		{"v1.2", "v1.3"}, {"", "0"}, {"2024.01", "2024.2"}, {"99999999999999999998", "99999999999999999999"},
	} {
		if got := CompareVersions(c.older, c.newer); got != -1 {
			t.Errorf("%q against %q: %d, want -1", c.older, c.newer, got)
		}
		if got := CompareVersions(c.newer, c.older); got != 1 {
			t.Errorf("%q against %q: %d, want 1", c.newer, c.older, got)
		}
	}
	if got := CompareVersions("1.02", "1.2"); got != 0 {
		t.Errorf("1.02 against 1.2: %d, want 0", got)
	}
}

func TestDepartments(t *testing.T) {
	ctx := context.Background()
	store := newMemStore()
	r, err := OpenDepartments(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Set(ctx, Department{Name: "  Sở  Xây dựng ", Head: "Trần Văn A"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Set(ctx, Department{Name: "sở xây dựng", Head: "Nguyễn Thị B"}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Department{{}, {Name: strings.Repeat("x", maxText+1)}, {Name: "x", Head: "\xff"}} {
		if r.Set(ctx, d) == nil {
			t.Errorf("%.20q was taken", d.Name)
		}
	}
	if r, err = OpenDepartments(ctx, store); err != nil {
		t.Fatal(err)
	}
	if got := r.Head("Sở Xây Dựng"); got != "Nguyễn Thị B" || len(r.List()) != 1 {
		t.Errorf("headed by %q, of %d departments", got, len(r.List()))
	}
}

func TestProfileInSeconds(t *testing.T) {
	p := &Profile{Name: "x", Interval: 1500 * time.Millisecond, Norm: Norm{Models: []string{"a"}}}
	raw, err := json.Marshal(p)
	if err != nil || !strings.Contains(string(raw), `"interval":1.5`) {
		t.Fatalf("%s, %v", raw, err)
	}
	var back Profile
	if err := json.Unmarshal(raw, &back); err != nil || back.Interval != p.Interval || back.Name != "x" || len(back.Norm.Models) != 1 {
		t.Errorf("came back as %+v, %v", back, err)
	}
}
