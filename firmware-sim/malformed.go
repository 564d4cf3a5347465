package firmwaresim

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"vonglau/devices"
)

// malformed spoils a good payload the way the field spoils them: cut by a modem,
// written over by a bug, a sensor's error text in the place of a number, a value
// no sensor can have measured, a name nobody knows.
func malformed(good []byte, f devices.Format, rng *rand.Rand) []byte {
	out := bytes.Clone(good)
	text := f == devices.FormatJSON || f == devices.FormatSenMLJSON
	switch n := rng.IntN(6); {
	case n == 0 || len(out) < 8:
		return out[:len(out)/2] // truncated
	case n == 1:
		for range 1 + len(out)/16 { // line noise
			out[rng.IntN(len(out))] ^= byte(1 << rng.IntN(8))
		}
		return out
	case n == 2 && text:
		return spoil(out, `"ERR"`)
	case n == 3 && text:
		return spoil(out, "NaN")
	case n == 4 && text:
		return spoil(out, "1e9")
	case n == 5 && text:
		return []byte(strings.Replace(string(out), `"temperature"`, `"temprature"`, 1) + " ")
	}
	return []byte("AT+CSQ\r\n+CSQ: 17,99\r\n\r\nOK\r\n") // the modem's chatter
}

// spoil replaces the last number of a text payload.
func spoil(p []byte, with string) []byte {
	end := len(p)
	for end > 0 && (p[end-1] < '0' || p[end-1] > '9') {
		end--
	}
	start := end
	for start > 0 && (p[start-1] >= '0' && p[start-1] <= '9' || p[start-1] == '.' || p[start-1] == '-') {
		start--
	}
	return append(append(append([]byte(nil), p[:start]...), with...), p[end:]...)
}
