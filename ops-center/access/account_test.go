package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a Store that outlives an Access, and can fail.
type disk struct {
	mu   sync.Mutex
	data map[string][]byte
	err  error
	puts int
}

func newDisk() *disk { return &disk{data: map[string][]byte{}} }

func (d *disk) Load(_ context.Context, each func(string, []byte) error) error {
	for k, v := range d.data {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) Put(_ context.Context, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.puts++
	d.data[key] = slices.Clone(value)
	return nil
}

func (d *disk) Delete(_ context.Context, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	delete(d.data, key)
	return nil
}

// house is an Access with what it is kept in.
type house struct {
	*Access
	t                *testing.T
	dir              string
	accounts, tokens *disk
	events           []Event
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, dir: t.TempDir(), accounts: newDisk(), tokens: newDisk()}
	h.open()
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.Access, err = Open(context.Background(), Options{Dir: h.dir, Accounts: h.accounts, APITokens: h.tokens, Notice: func(e Event) { h.events = append(h.events, e) }})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) told(k Kind) (n int) {
	for _, e := range h.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// browser keeps the cookies it is given.
type browser struct {
	h       *house
	from    string
	cookies map[string]*http.Cookie
}

func (h *house) browser(from string) *browser {
	return &browser{h, from, map[string]*http.Cookie{}}
}

func (b *browser) request(method, path string) *http.Request {
	r := request(method, path, "Origin", "http://city.example")
	r.RemoteAddr = b.from
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) logIn(name, password, code string) error {
	w := httptest.NewRecorder()
	_, err := b.h.LogInPerson(w, b.request("POST", "/v1/session"), name, password, code)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c
	}
	return err
}

// as gives the context of a request that p lets through.
func (b *browser) as(method, path string, p Permission) (context.Context, error) {
	var ctx context.Context
	var refused error
	b.h.Require(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() }),
		func(_ http.ResponseWriter, _ *http.Request, r *Refusal) { refused = r }).ServeHTTP(httptest.NewRecorder(), b.request(method, path))
	return ctx, refused
}

const goodPassword = "bốn con vịt qua cầu"

// settled adds a person and sets a password of their own.
func (h *house) settled(id string, role Role) *browser {
	h.t.Helper()
	acc := Account{ID: id, Name: "Người " + id, Role: role}
	if role == Officer {
		acc.Department = "Thoát nước"
	}
	_, once, err := h.AddAccount(context.Background(), acc)
	if err != nil {
		h.t.Fatal(err)
	}
	b := h.browser("[2001:db8:a::1]:4000")
	if err := b.logIn(id, once, ""); err != nil {
		h.t.Fatal(err)
	}
	ctx, err := b.as("POST", "/v1/me/password", View)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.SetPassword(ctx, once, goodPassword); err != nil {
		h.t.Fatal(err)
	}
	return b
}

func reasonOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestAPersonsLife(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	_, once, err := h.AddAccount(ctx, Account{ID: "binh", Name: " Trần  Bình ", Role: Operator})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.AddAccount(ctx, Account{ID: "binh", Name: "x", Role: Operator}); !errors.Is(err, ErrAccountExists) {
		t.Errorf("added twice: %v", err)
	}
	b := h.browser("[2001:db8::1]:1")
	if err := b.logIn(" BINH ", once, ""); err != nil {
		t.Fatal(err)
	}
	// A one-time password opens nothing but the change of it.
	if _, err := b.as("GET", "/v1/alarms", View); reasonOf(err) != "must_change" {
		t.Errorf("with a one-time password: %v", err)
	}
	if _, _, _, err := h.Admit(b.request("GET", "/v1/live")); err == nil {
		t.Error("a one-time password opens the socket")
	}
	me, err := b.as("POST", "/v1/me/password", View)
	if err != nil {
		t.Fatal(err)
	}
	for _, weak := range []string{"short", "binhbinhbinhbinh", "passwordpassword", "123456789012", once} {
		if err := h.SetPassword(me, once, weak); err == nil {
			t.Errorf("password %q was taken", weak)
		}
	}
	if err := h.SetPassword(me, "wrong", goodPassword); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("with a wrong old password: %v", err)
	}
	if err := h.SetPassword(me, once, goodPassword); err != nil {
		t.Fatal(err)
	}
	who, valid, _, err := h.Admit(b.request("GET", "/v1/live"))
	if err != nil || who.ID != "binh" || who.Name != "Trần Bình" || !valid() {
		t.Fatalf("the session does not go on: %+v, %v", who, err)
	}
	if err := h.browser("[2001:db8::2]:1").logIn("binh", once, ""); reasonOf(err) != "bad_login" {
		t.Errorf("the one-time password counts twice: %v", err)
	}

	// All of it is there after a restart, and no password is on the disk.
	h.open()
	if _, err := b.as("GET", "/v1/alarms", View); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	for k, v := range h.accounts.data {
		if strings.Contains(string(v), once) || strings.Contains(string(v), goodPassword) {
			t.Errorf("account %s holds a password", k)
		}
	}

	// A role counts from the next request on, and ends the socket, which was
	// opened for another.
	_, valid, _, _ = h.Admit(b.request("GET", "/v1/live"))
	role := Executive
	if _, _, err := h.ChangeAccount(ctx, "binh", Change{Role: &role}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.as("POST", "/v1/alarms/x/acknowledge", HandleAlarms); reasonOf(err) != "forbidden" {
		t.Errorf("an executive acknowledges: %v", err)
	}
	if valid() {
		t.Error("the socket goes on with the role it had")
	}

	// Disabled: session, socket, token and log-in end; enabling brings none back.
	me, _ = b.as("POST", "/v1/me/tokens", View)
	_, token, err := h.AddOwnToken(me, APIToken{Name: "n", Purpose: "p"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	bearer := request("GET", "/", "Authorization", "Bearer "+token)
	_, byCookie, _, _ := h.Admit(b.request("GET", "/v1/live"))
	_, byToken, _, err := h.Admit(bearer)
	if err != nil || !byCookie() || !byToken() {
		t.Fatal("not let in", err)
	}
	off, on := true, false
	if _, _, err := h.ChangeAccount(ctx, "binh", Change{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	_, bySession := b.as("GET", "/v1/alarms", View)
	_, byBearer := h.Check(bearer, View)
	if byCookie() || byToken() || status(bySession) != 401 || status(byBearer) != 401 || reasonOf(b.logIn("binh", goodPassword, "")) != "bad_login" {
		t.Error("a disabled person goes on")
	}
	if _, _, err := h.ChangeAccount(ctx, "binh", Change{Disabled: &on}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.as("GET", "/v1/alarms", View); status(err) != 401 {
		t.Error("an ended session came back")
	}

	// Removed: a later account of that id gets nothing of this one.
	if _, err := h.DeleteAccount(ctx, "binh"); err != nil {
		t.Fatal(err)
	}
	if len(h.Tokens("")) != 0 || len(h.accounts.data) != 0 || len(h.tokens.data) != 0 {
		t.Error("something was left of a removed account")
	}
}

func TestAccountsAreChecked(t *testing.T) {
	h := newHouse(t)
	for name, acc := range map[string]Account{
		"no id":              {Name: "x", Role: Operator},
		"id with a space":    {ID: "a b", Name: "x", Role: Operator},
		"id in capitals":     {ID: "Binh", Name: "x", Role: Operator},
		"id of break-glass":  {ID: "admin", Name: "x", Role: Operator},
		"id with a slash":    {ID: "a/../b", Name: "x", Role: Operator},
		"no name":            {ID: "a", Name: " ", Role: Operator},
		"no role":            {ID: "a", Name: "x"},
		"role of nobody":     {ID: "a", Name: "x", Role: "king"},
		"role of a screen":   {ID: "a", Name: "x", Role: Display},
		"role of a device":   {ID: "a", Name: "x", Role: DeviceRole},
		"officer of nothing": {ID: "a", Name: "x", Role: Officer},
		"unknown language":   {ID: "a", Name: "x", Role: Operator, Language: "fr"},
		"empty ward":         {ID: "a", Name: "x", Role: Officer, Wards: []string{""}},
	} {
		var bad *Invalid
		if _, _, err := h.AddAccount(t.Context(), acc); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.accounts.err = errors.New("disk full")
	if _, _, err := h.AddAccount(t.Context(), Account{ID: "a", Name: "x", Role: Operator}); err == nil || len(h.Accounts()) != 0 {
		t.Errorf("an account that is not on disk: %v, %v", err, h.Accounts())
	}
}

// RFC 4226 appendix D, and the SHA-1 rows of RFC 6238 appendix B.
func TestOneTimeCodesOfTheRFCs(t *testing.T) {
	secret := []byte("12345678901234567890")
	for i, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := otp(secret, uint64(i), 6); got != want {
			t.Errorf("counter %d: %s, want %s", i, got, want)
		}
	}
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := otp(secret, uint64(at)/totpPeriod, 8); got != want {
			t.Errorf("time %d: %s, want %s", at, got, want)
		}
	}
	now := time.Unix(1_700_000_000, 0)
	at := uint64(now.Unix()) / totpPeriod
	for d, want := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		if _, got := checkTOTP(secret, otp(secret, at+uint64(d), 6), now, 0); got != want {
			t.Errorf("a code %d steps off: %v", d, got)
		}
	}
}

func TestSecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.settled("lan", Operator)
		me, err := b.as("POST", "/v1/me/totp", View)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.BeginTOTP(me, "wrong"); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("begun without the password: %v", err)
		}
		text, link, err := h.BeginTOTP(me, goodPassword)
		if err != nil || !strings.HasPrefix(link, "otpauth://totp/Vonglau:lan?") {
			t.Fatal(link, err)
		}
		secret, _ := base32Secret.DecodeString(text)
		code := func() string { return otp(secret, uint64(time.Now().Unix())/totpPeriod, 6) }
		if _, err := h.ConfirmTOTP(me, "000000"); !errors.Is(err, ErrWrongCode) {
			t.Errorf("confirmed by a guess: %v", err)
		}
		other := h.browser("[2001:db8:b::1]:1")
		if err := other.logIn("lan", goodPassword, ""); err != nil {
			t.Fatal(err)
		}
		recovery, err := h.ConfirmTOTP(me, code())
		if err != nil || len(recovery) != recoveryCodes {
			t.Fatal(recovery, err)
		}
		if _, err := other.as("GET", "/", View); status(err) != 401 {
			t.Error("a session by the password alone goes on")
		}
		if _, err := b.as("GET", "/", View); err != nil {
			t.Errorf("the session that set it up ended: %v", err)
		}
		for _, v := range h.accounts.data {
			if strings.Contains(string(v), text) || strings.Contains(string(v), recovery[0]) {
				t.Error("a secret is on the disk as it is")
			}
		}
		h.open() // the sealed secret is read again
		for _, c := range []struct{ name, code, want string }{
			{"no code", "", "code_needed"},
			{"the code that confirmed", code(), "bad_login"},
			{"a guess", "123456", "bad_login"},
		} {
			if got := reasonOf(other.logIn("lan", goodPassword, c.code)); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		if h.told(CodeReplayed) != 1 {
			t.Errorf("%d replays told", h.told(CodeReplayed))
		}
		time.Sleep(totpPeriod * time.Second)
		used := code()
		if err := other.logIn("lan", goodPassword, used); err != nil {
			t.Errorf("a good code: %v", err)
		}
		h.open()
		if got := reasonOf(other.logIn("lan", goodPassword, used)); got != "bad_login" {
			t.Errorf("a used code after a restart: %q", got)
		}
		if err := other.logIn("lan", goodPassword, strings.ToUpper(recovery[3])); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		if got := reasonOf(other.logIn("lan", goodPassword, recovery[3])); got != "bad_login" {
			t.Errorf("a recovery code twice: %q", got)
		}
		// A telephone that was lost.
		once, err := h.ResetPassword(t.Context(), "lan", true)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.logIn("lan", once, ""); err != nil {
			t.Errorf("after the reset: %v", err)
		}
		time.Sleep(oneTimeLasts)
		if got := reasonOf(h.browser("[2001:db8:c::1]:1").logIn("lan", once, "")); got != "bad_login" {
			t.Errorf("a one-time password after three days: %q", got)
		}
	})
}

// Guessing is slowed down, for an account from everywhere and for a /64 over
// accounts, and its owner goes in at the usual desk all the while.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		desk := h.settled("lan", Operator)
		try := func(i int) string {
			return reasonOf(h.browser(fmt.Sprintf("[2001:db8:%x::1]:1", i)).logIn("lan", "guess number one", ""))
		}
		got := map[string]int{}
		for i := range 30 { // each from another network
			got[try(i)]++
		}
		if got["bad_login"] != freeAttempts || got["too_many"] != 25 || h.told(LockedOut) != 1 {
			t.Errorf("%v, %d lock-outs told", got, h.told(LockedOut))
		}
		if err := desk.logIn("lan", goodPassword, ""); err != nil {
			t.Errorf("the owner at the usual desk: %v", err)
		}
		stranger := h.browser("[2001:db8:ffff::1]:1")
		if got := reasonOf(stranger.logIn("lan", goodPassword, "")); got != "too_many" {
			t.Errorf("the right password amid guessing, elsewhere: %q", got)
		}
		// Two hours of it, as fast as it goes.
		began, tries := time.Now(), 0
		for time.Since(began) < 2*time.Hour {
			if try(tries) == "bad_login" {
				tries++
			}
			time.Sleep(10 * time.Second)
		}
		if tries > 2*60/5+12 {
			t.Errorf("%d guesses in two hours", tries)
		}
		// It stops, and nobody has to unlock anything.
		time.Sleep(maxWait)
		if err := stranger.logIn("lan", goodPassword, ""); err != nil {
			t.Errorf("after it stopped: %v", err)
		}
		// A cookie of another account, or a forged one, is no desk.
		h.settled("binh", Operator)
		for range freeAttempts + 1 {
			try(1)
		}
		thief := h.browser("[2001:db8:e::1]:1")
		thief.cookies[deviceCookie] = &http.Cookie{Name: deviceCookie, Value: "x." + h.deviceMark("binh", "x")}
		if got := reasonOf(thief.logIn("lan", goodPassword, "")); got != "too_many" {
			t.Errorf("another account's cookie: %q", got)
		}
	})
}

func TestSprayingFromOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		got := map[string]int{}
		for i := range 40 {
			b := h.browser(fmt.Sprintf("[2001:db8::%x]:1", i+1))
			got[reasonOf(b.logIn(fmt.Sprintf("user%d", i), "guess number one", ""))]++
		}
		if got["bad_login"] != freeFromSource || got["too_many"] != 40-freeFromSource {
			t.Errorf("%v", got)
		}
	})
}

func TestGuardIsBounded(t *testing.T) {
	g, now := newGuard(), time.Now()
	for i := range maxGuarded + 1000 {
		g.begin(now, fmt.Sprint("account ", i))
	}
	if len(g.keys) != maxGuarded {
		t.Errorf("%d keys", len(g.keys))
	}
	g.begin(now.Add(forgetAfter+time.Second), "account new")
	if len(g.keys) != 1 {
		t.Errorf("%d keys after a quiet while", len(g.keys))
	}
}

func TestPasswords(t *testing.T) {
	for password, ok := range map[string]bool{
		goodPassword:                 true,
		"correct house battery nail": true,
		"mưa to gió lớn 2026":        true,
		"xkq-vwm-trl-9":              true,
		"elevenchars":                false,
		"mật khẩu 123":               false, // the word for password
		"Password1234":               false,
		"P@ssw0rd!2026":              false,
		"Namdinh@2025":               false,
		"aaaaaaaaaaaaaaa":            false,
		"abcabcabcabcabc":            false,
		"987654321098":               false,
		"abcdefghijklmnop":           false,
		"Qwertyuiop123":              false,
		"Trần Thị Lan 99":            false, // the own name
		"bad \xff utf8 and more":     false,
		strings.Repeat("a b ", 100):  false,
	} {
		if err := CheckPassword(password, "lan", "Trần Thị Lan"); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
	}
	h := newHasher()
	phc, err := h.hash("Việt Nam quê hương") // composed
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(phc, err)
	}
	for password, want := range map[string]bool{"Việt Nam quê hương": true, "Vie\u0323\u0302t Nam que\u0302 hu\u031bo\u031bng": true, "việt nam quê hương": false, "": false} {
		if got, err := h.verify(phc, password); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=99999999,t=2,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2i$v=19$m=1,t=1,p=1$AA$AA", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AA"} {
		if ok, err := h.verify(bad, "x"); ok || err == nil {
			t.Errorf("hash %q: %v, %v", bad, ok, err)
		}
	}
	if ok, err := h.verify("", "anything"); ok || err != nil {
		t.Errorf("no account: %v, %v", ok, err)
	}
}

// A flood of log-ins costs two hashes at a time and is refused beyond a queue.
func TestAFloodOfLogIns(t *testing.T) {
	h := newHasher()
	hold := make(chan struct{})
	var wait sync.WaitGroup
	for range hashesAtOnce {
		wait.Go(func() { _ = h.run(func() { <-hold }) })
	}
	for len(h.slots) < hashesAtOnce {
		time.Sleep(time.Millisecond)
	}
	for range hashesWaiting {
		wait.Go(func() { _ = h.run(func() {}) })
	}
	for h.waiting.Load() < hashesWaiting {
		time.Sleep(time.Millisecond)
	}
	if err := h.run(func() {}); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	close(hold)
	wait.Wait()
	if err := h.run(func() {}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAPITokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		desk := h.settled("lan", Officer)
		me, err := desk.as("POST", "/v1/me/tokens", View)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			t     APIToken
			lasts time.Duration
		}{
			"no purpose":         {APIToken{Kind: ProgramToken, Name: "n", Role: Operator}, 0},
			"no name":            {APIToken{Kind: ProgramToken, Purpose: "p", Role: Operator}, 0},
			"two years":          {APIToken{Kind: ProgramToken, Name: "n", Purpose: "p", Role: Operator}, 2 * TokenMost},
			"more than its role": {APIToken{Kind: ProgramToken, Name: "n", Purpose: "p", Role: Executive, Scope: []Permission{ManagePeople}}, 0},
			"unknown scope":      {APIToken{Kind: ProgramToken, Name: "n", Purpose: "p", Role: Admin, Scope: []Permission{"launch"}}, 0},
			"unknown kind":       {APIToken{Kind: "king", Name: "n", Purpose: "p", Role: Admin}, 0},
			"screen without one": {APIToken{Kind: DisplayToken, Name: "n", Purpose: "p"}, 0},
			"screen that acts":   {APIToken{Kind: DisplayToken, Name: "n", Purpose: "p", Screen: "s", Role: Admin}, 0},
			"owner of nothing":   {APIToken{Kind: OwnToken, Name: "n", Purpose: "p", Owner: "nobody"}, 0},
			"own with a role":    {APIToken{Kind: OwnToken, Name: "n", Purpose: "p", Owner: "lan", Role: Admin}, 0},
		} {
			if _, _, err := h.AddToken(t.Context(), c.t, c.lasts); err == nil {
				t.Errorf("%s was made", name)
			}
		}
		own, secret, err := h.AddOwnToken(me, APIToken{Name: "báo cáo", Purpose: "tuần", Scope: []Permission{View}, PerMinute: 3, PerDay: 5}, time.Hour)
		if err != nil || !strings.HasPrefix(secret, "vgl_"+own.ID+"_") || own.CreatedBy != "lan" {
			t.Fatal(own, secret, err)
		}
		check := func(token, from string, p Permission) string {
			r := request("GET", "/v1/x", "Authorization", "Bearer "+token)
			r.RemoteAddr = from
			_, err := h.Check(r, p)
			return reasonOf(err)
		}
		const here = "[2001:db8:7::1]:9"
		for _, c := range []struct {
			name, token string
			need        Permission
			want        string
		}{
			{"within its scope", secret, View, ""},
			{"beyond its scope", secret, HandleAlarms, "forbidden"},
			{"another secret", secret[:len(secret)-1] + "!", View, "bad_token"},
			{"the id alone", "vgl_" + own.ID, View, "bad_token"},
			{"no id", "vgl_", View, "bad_token"},
			{"a third", secret, View, ""},
			{"over the minute", secret, View, "quota"},
		} {
			if got := check(c.token, here, c.need); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		time.Sleep(time.Minute)
		check(secret, here, View)
		check(secret, here, View)
		time.Sleep(time.Minute)
		if got := check(secret, here, View); got != "quota" {
			t.Errorf("over the day: %q", got)
		}
		before := h.tokens.puts
		h.open() // the day's count and the last use outlive a restart
		if got := h.Tokens("lan")[0]; got.LastUsed == nil || got.LastUsed.Second() != 0 {
			t.Errorf("last used %v", got.LastUsed)
		}
		time.Sleep(58 * time.Minute)
		if got := check(secret, here, View); got != "bad_token" {
			t.Errorf("expired: %q", got)
		}
		if h.tokens.puts != before {
			t.Error("a refused token was written")
		}

		// A token does not make tokens, nor change its owner's password.
		_, full, err := h.AddOwnToken(func() context.Context { c, _ := desk.as("POST", "/v1/me/tokens", View); return c }(), APIToken{Name: "n", Purpose: "p"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := request("POST", "/v1/me/tokens", "Authorization", "Bearer "+full)
		h.Require(View, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, _, err := h.AddOwnToken(r.Context(), APIToken{Name: "n", Purpose: "p"}, 0); !errors.Is(err, ErrNoPerson) {
				t.Errorf("a token made a token: %v", err)
			}
			if err := h.SetPassword(r.Context(), goodPassword, "another good one"); !errors.Is(err, ErrNoPerson) {
				t.Errorf("a token set a password: %v", err)
			}
		}), func(_ http.ResponseWriter, _ *http.Request, r *Refusal) { t.Error(r) }).ServeHTTP(httptest.NewRecorder(), r)

		// A screen's: its network alone, for its session too, and gone at once.
		screen, wall, err := h.AddToken(t.Context(), APIToken{Kind: DisplayToken, Name: "Tường 3", Purpose: "phòng 2", Screen: "wall-3",
			Networks: []netip.Prefix{netip.MustParsePrefix("2001:db8:7::/48")}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := check(wall, "[2001:db8:8::1]:9", View); got != "foreign_network" {
			t.Errorf("from elsewhere: %q", got)
		}
		b := h.browser(here)
		w := httptest.NewRecorder()
		p, err := h.LogIn(w, b.request("POST", "/v1/session"), wall)
		if err != nil || p.Screen != "wall-3" || p.Role != Display {
			t.Fatal(p, err)
		}
		b.cookies[CookieName] = w.Result().Cookies()[0]
		_, valid, _, err := h.Admit(b.request("GET", "/v1/live"))
		if err != nil || !valid() {
			t.Fatal(err)
		}
		b.from = "[2001:db8:8::1]:9"
		if _, err := b.as("GET", "/", View); reasonOf(err) != "foreign_network" {
			t.Errorf("a carried cookie: %v", err)
		}
		if _, err := h.RevokeToken(t.Context(), screen.ID, "lan"); !errors.Is(err, ErrNoToken) {
			t.Errorf("somebody revoked what is not theirs: %v", err)
		}
		if _, err := h.RevokeToken(t.Context(), screen.ID, ""); err != nil {
			t.Fatal(err)
		}
		if valid() || check(wall, here, View) != "bad_token" {
			t.Error("a revoked screen goes on")
		}
		h.open()
		if check(wall, here, View) != "bad_token" {
			t.Error("a restart brought a revoked token back")
		}
	})
}

func TestBreakGlassIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		for range 50 {
			_, err := h.Check(request("GET", "/", "Authorization", "Bearer "+adminOf(t, h.dir)), View)
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := h.told(BreakGlass); got != 1 {
			t.Errorf("50 requests in a minute were told %d times", got)
		}
		time.Sleep(time.Minute)
		logIn(t, h.Access, adminOf(t, h.dir))
		logIn(t, h.Access, adminOf(t, h.dir))
		if got := h.told(BreakGlass); got != 3 {
			t.Errorf("two log-ins: %d", got)
		}
	})
}

func TestOwnPath(t *testing.T) {
	for page, want := range map[string]string{
		"/people": "/people", "/devices?q=a#b": "/devices?q=a#b", "": "/", "people": "/", "//evil.example": "/", "/\\evil.example": "/",
		"https://evil.example/": "/", "/a\r\nSet-Cookie: x": "/", "javascript:alert(1)": "/", "/\t/evil.example": "/",
	} {
		if got := ownPath(page); got != want {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
}
