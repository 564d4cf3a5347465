package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TOTP (RFC 6238) as every app has it: SHA-1, six digits, thirty seconds. The
// step before and after count too, for clocks that are off (section 5.2), and a
// step counts once, so a code that was read over a shoulder is worth nothing.
const (
	totpPeriod = 30
	totpDigits = 6
	totpSkew   = 1
	totpSecret = 20 // bytes, RFC 4226 section 4 R6
)

// otp is the one-time password of a step (RFC 4226 section 5.3).
func otp(secret []byte, step uint64, digits int) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n, mod := binary.BigEndian.Uint32(sum[at:])&0x7fffffff, uint32(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}

// checkTOTP gives the step of a code that is newer than after.
func checkTOTP(secret []byte, code string, now time.Time, after uint64) (step uint64, ok bool) {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	if len(code) != totpDigits {
		return 0, false
	}
	at := uint64(now.Unix()) / totpPeriod
	for s := at - totpSkew; s <= at+totpSkew; s++ {
		if subtle.ConstantTimeCompare([]byte(otp(secret, s, totpDigits)), []byte(code)) == 1 && s > after {
			step, ok = s, true
		}
	}
	return step, ok
}

var base32Secret = base32.StdEncoding.WithPadding(base32.NoPadding)

// otpauth is what an app reads from a QR code or a link (Key URI Format).
func otpauth(issuer, account, secret string) string {
	q := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {fmt.Sprint(totpDigits)}, "period": {fmt.Sprint(totpPeriod)}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

const recoveryCodes = 10

// newRecovery makes codes that each log in once without the app, 80 bits each,
// and what is kept of them.
func newRecovery() (codes, kept []string) {
	for range recoveryCodes {
		var b [10]byte
		rand.Read(b[:])
		c := strings.ToLower(base32Secret.EncodeToString(b[:]))
		codes = append(codes, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
		kept = append(kept, recoveryHash(c))
	}
	return codes, kept
}

// recoveryHash: 80 random bits need no slow hash.
func recoveryHash(code string) string {
	code = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
