package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a webhook's delivery.
const (
	HeaderSignature = "Vonglau-Signature"
	HeaderDelivery  = "Vonglau-Delivery"
)

const (
	jsonType = "application/json"
	capType  = "application/cap+xml"
)

// Sign gives the signature header of a body: the time and, for each secret, the
// HMAC-SHA-256 over the time, a full stop and the body.
func Sign(at time.Time, body []byte, secrets ...[]byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + t)
	for _, s := range secrets {
		m := hmac.New(sha256.New, s)
		m.Write([]byte(t + "."))
		m.Write(body)
		b.WriteString(",v1=" + hex.EncodeToString(m.Sum(nil)))
	}
	return b.String()
}

// Verify is what a receiver does: one of the signatures is of the secret, and
// the time is within tolerance of now.
func Verify(header string, body, secret []byte, now time.Time, tolerance time.Duration) error {
	var at int64
	var sums [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			at, _ = strconv.ParseInt(value, 10, 64)
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil {
				sums = append(sums, sum)
			}
		}
	}
	if d := now.Sub(time.Unix(at, 0)); d > tolerance || d < -tolerance {
		return fmt.Errorf("signed at %s, which is not now", time.Unix(at, 0).UTC().Format(time.RFC3339))
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(strconv.FormatInt(at, 10) + "."))
	m.Write(body)
	want := m.Sum(nil)
	for _, sum := range sums {
		if hmac.Equal(sum, want) {
			return nil
		}
	}
	return fmt.Errorf("no signature is of this secret and body")
}

// post delivers to a webhook.
func (n *Notify) post(ctx context.Context, s *Subscription, sec *secrets, m *Message) (result, error) {
	body, kind, err := n.payload(s, m)
	if err != nil {
		return result{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return result{}, err
	}
	now := n.opt.Now()
	keys := [][]byte{sec.Current}
	if len(sec.Previous) > 0 && now.Before(sec.Until) {
		keys = append(keys, sec.Previous)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "Vonglau")
	req.Header.Set(HeaderDelivery, m.ID)
	req.Header.Set(HeaderSignature, Sign(now, body, keys...))
	answer, err := n.opt.Outbound.Do(req)
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", shownURL(s.URL), plainError(err))
	}
	res := result{answer: strconv.Itoa(answer.Status), body: answer.Body, retryAfter: retryAfter(answer.Header.Get("Retry-After"), now)}
	if answer.Status/100 != 2 {
		return res, fmt.Errorf("the receiver answered %d %s", answer.Status, http.StatusText(answer.Status))
	}
	return res, nil
}

// payload is what a webhook is sent.
func (n *Notify) payload(s *Subscription, m *Message) (body []byte, kind string, err error) {
	if s.Format != "cap" {
		body, err = m.body()
		return body, jsonType, err
	}
	body, err = n.capOf(s, m)
	return body, capType, err
}

// retryAfter reads RFC 9110 section 10.2.3.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 86400)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
