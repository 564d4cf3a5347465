package access

import (
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Parameters of argon2id, OWASP's second choice (2025): 19 MiB, two passes, one
// lane. A hash says with which it was made, so they can rise later.
const (
	argonMemory = 19 << 10 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32

	// hashesAtOnce and hashesWaiting bound what a flood of log-ins costs: 19 MiB
	// for each at once, a goroutine for each that waits, 503 for the rest.
	hashesAtOnce  = 2
	hashesWaiting = 64
)

const (
	minPassword = 12  // characters
	maxPassword = 256 // characters; argon2 hashes any length, a body is bounded
)

// errBusy: more log-ins are being checked than the server has memory for.
var errBusy = errors.New("too many log-ins at once")

// hasher makes and checks password hashes, few at a time.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int32
	once    sync.Once
	none    string // hash of nothing anybody knows, for accounts that are not there
}

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, hashesAtOnce)} }

func (h *hasher) run(f func()) error {
	if h.waiting.Add(1) > hashesWaiting {
		h.waiting.Add(-1)
		return errBusy
	}
	h.slots <- struct{}{}
	h.waiting.Add(-1)
	defer func() { <-h.slots }()
	f()
	return nil
}

// hash gives the PHC string of a password.
func (h *hasher) hash(password string) (phc string, err error) {
	var salt [argonSalt]byte
	rand.Read(salt[:])
	err = h.run(func() {
		key := argon2.IDKey(canonical(password), salt[:], argonPasses, argonMemory, argonLanes, argonKey)
		b64 := base64.RawStdEncoding
		phc = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes, b64.EncodeToString(salt[:]), b64.EncodeToString(key))
	})
	return phc, err
}

// verify checks a password against its PHC string. An empty one is checked
// against a hash of nothing: whether an account exists must not show in the
// time.
func (h *hasher) verify(phc, password string) (ok bool, err error) {
	known := phc != ""
	if !known {
		h.once.Do(func() { h.none, err = h.hash(NewToken()) })
		if phc = h.none; phc == "" {
			return false, errBusy
		}
	}
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errors.New("access: a password hash of an unknown kind")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil || memory > 1<<20 || passes < 1 || passes > 100 || lanes < 1 {
		return false, fmt.Errorf("access: a password hash with parameters %q", parts[3])
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(err1, err2); err != nil || len(want) < 16 {
		return false, errors.New("access: a damaged password hash")
	}
	err = h.run(func() {
		got := argon2.IDKey(canonical(password), salt, passes, memory, lanes, uint32(len(want)))
		ok = subtle.ConstantTimeCompare(got, want) == 1
	})
	return ok && known, err
}

// canonical is one for all ways keyboards write the same password: Vietnamese
// comes composed and decomposed (NIST SP 800-63B-4, 3.1.1.2).
func canonical(password string) []byte { return []byte(norm.NFKC.String(password)) }

//go:embed common.txt
var commonList string

var common = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(commonList) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			m[line] = true
		}
	}
	return m
})

// CheckPassword says what is wrong with a new password, nil for nothing: it is
// too short, well known, or of the account's own words. There are no rules
// about kinds of characters and no expiry (NIST SP 800-63B-4, ASVS 6.2).
func CheckPassword(password string, own ...string) error {
	if !utf8.ValidString(password) {
		return errors.New("the password is not UTF-8")
	}
	password = string(canonical(password))
	n := utf8.RuneCountInString(password)
	switch {
	case n < minPassword:
		return fmt.Errorf("the password has %d characters: take %d or more, such as four words", n, minPassword)
	case n > maxPassword:
		return fmt.Errorf("the password has %d characters: at most %d are taken", n, maxPassword)
	case wellKnown(password):
		return errors.New("the password is one that everybody tries first: take another")
	}
	bare := letters(password)
	for _, word := range own {
		if w := letters(word); len(w) >= 3 && bare != "" && strings.ReplaceAll(bare, w, "") == "" {
			return errors.New("the password is made of the account's own name: take another")
		}
	}
	return nil
}

// letters drops what people put around a word to make it pass: digits, signs,
// case, and digits in place of letters.
func letters(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if unicode.IsLetter(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

func wellKnown(password string) bool {
	low := strings.ToLower(password)
	for _, form := range []string{low, letters(low), letters(leet.Replace(low)), letters(leet.Replace(strings.TrimRight(low, "0123456789!@#$%^&*.-_")))} {
		// A known word, alone or over and over: passwordpassword.
		for size := 1; size <= len(form); size++ {
			if len(form)%size == 0 && strings.Repeat(form[:size], len(form)/size) == form && (common()[form[:size]] || size <= 3) {
				return true
			}
		}
	}
	return run(low)
}

// run tells whether nearly every character is the neighbour of the one before:
// 123456789012, abcdefghijkl.
func run(s string) bool {
	rs := []rune(s)
	steps := 0
	for i := 1; i < len(rs); i++ {
		if d := rs[i] - rs[i-1]; d >= -1 && d <= 1 || d == -9 || d == 9 {
			steps++
		}
	}
	return steps >= len(rs)-2
}

// oneTimePassword is 100 random bits that can be read out over a telephone.
func oneTimePassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31, none like another
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[randomBelow(len(letters))])
	}
	return b.String()
}

func randomBelow(n int) int {
	var b [1]byte
	for {
		rand.Read(b[:])
		if int(b[0]) < 256/n*n {
			return int(b[0]) % n
		}
	}
}
