package devices

import "fmt"

// ID names a device for its whole life. It is what a credential proves; an
// address is only evidence. The alphabet is the intersection of what an MQTT
// topic level, a URI path segment, a SenML name (RFC 8428 section 4.5.1) and a
// NATS subject token carry unescaped: it starts with a letter or digit and goes
// on with letters, digits, '-' or '_', 64 bytes at most.
type ID string

// MaxIDLength bounds an ID in bytes.
const MaxIDLength = 64

// ParseID checks s against the alphabet of ID.
func ParseID(s string) (ID, error) {
	if s == "" || len(s) > MaxIDLength {
		return "", fmt.Errorf("device id %.80q: need 1 to %d characters", s, MaxIDLength)
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if alnum || i > 0 && (c == '-' || c == '_') {
			continue
		}
		return "", fmt.Errorf("device id %q: use letters, digits, '-' and '_', a letter or digit first", s)
	}
	return ID(s), nil
}
