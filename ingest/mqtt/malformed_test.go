package mqtt

import (
	"testing"
)

// TestMalformed sends packets that break the standard, of every type and
// written by hand, and wants the answer the standard asks for: MQTT 5 hears the
// reason in a DISCONNECT and is closed, 3.1.1 is closed (3.1.1 section 4.8).
// The server goes on.
func TestMalformed(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	for _, tc := range []struct {
		name string
		send string // after CONNECT
		v311 bool   // it is wrong in 3.1.1 as well, as the same bytes
		code byte   // of the DISCONNECT
	}{
		// Fixed header.
		{"type 0", "00 00", true, 0x81},
		{"remaining length of five bytes", "30 ff ff ff ff 01", true, 0x81},
		{"remaining length not in its shortest form", "c0 80 00", true, 0x81},
		{"packet above the maximum", "30 ff ff ff 7f", true, 0x95},

		// CONNECT and what a server sends.
		{"second CONNECT", "10 10 00 04 'MQTT' 05 02 00 3c 00 00 03 'abc'", true, 0x82},
		{"CONNACK", "20 02 00 00", true, 0x82},
		{"SUBACK", "90 03 00 01 00", true, 0x82},
		{"UNSUBACK", "b0 02 00 01", true, 0x82},
		{"PINGRESP", "d0 00", true, 0x82},
		{"AUTH", "f0 00", true, 0x82},

		// PUBLISH.
		{"QoS 3", "36 06 00 01 't' 00 01 00", true, 0x81},
		{"DUP at QoS 0", "38 04 00 01 't' 00", true, 0x81},
		{"no topic", "30 00", true, 0x81},
		{"topic cut short", "30 03 00 05 't'", true, 0x81},
		{"topic with +", "30 06 00 03 'a/+' 00", true, 0x81},
		{"topic with #", "30 04 00 01 '#' 00", true, 0x81},
		{"empty topic", "30 03 00 00 00", true, 0x82},
		{"topic with U+0000", "30 06 00 03 'a' 00 'b' 00", true, 0x81},
		{"topic with a surrogate", "30 06 00 03 ed a0 80 00", true, 0x81},
		{"topic with an overlong form", "30 05 00 02 c0 af 00", true, 0x81},
		{"topic in Latin-1", "30 05 00 02 'a' e9 00", true, 0x81},
		{"packet identifier zero", "32 06 00 01 't' 00 00 00", true, 0x82},
		{"packet identifier cut short", "32 04 00 01 't' 01", true, 0x81},
		{"no property length", "30 03 00 01 't'", false, 0x81},
		{"property length beyond the packet", "30 05 00 01 't' 05 01", false, 0x81},
		{"property cut short", "30 05 00 01 't' 01 01", false, 0x81},
		{"unknown property", "30 06 00 01 't' 02 7f 00", false, 0x82},
		{"property identifier of two bytes", "30 07 00 01 't' 03 80 01 00", false, 0x82},
		{"property of another packet", "30 09 00 01 't' 05 11 00 00 00 01", false, 0x82},
		{"property twice", "30 08 00 01 't' 04 01 00 01 00", false, 0x82},
		{"subscription identifier from a client", "30 06 00 01 't' 02 0b 01", false, 0x82},
		{"payload format 2", "30 06 00 01 't' 02 01 02", false, 0x82},
		{"response topic with a wildcard", "30 08 00 01 't' 04 08 00 01 '#'", false, 0x82},
		{"content type that is not UTF-8", "30 08 00 01 't' 04 03 00 01 ff", false, 0x81},
		{"topic alias 0", "30 07 00 01 't' 03 23 00 00", false, 0x94},
		{"topic alias above the maximum", "30 07 00 01 't' 03 23 00 11", false, 0x94},
		{"topic alias not defined", "30 06 00 00 03 23 00 01", false, 0x82},

		// Acknowledgements.
		{"PUBACK with flags", "42 02 00 01", true, 0x81},
		{"PUBACK cut short", "40 01 00", true, 0x81},
		{"PUBACK of packet identifier zero", "40 02 00 00", true, 0x82},
		{"PUBACK with a reason code of another packet", "40 03 00 01 92", false, 0x82},
		{"PUBACK too long", "40 05 00 01 00 00 00", true, 0x81},
		{"PUBREC cut short", "50 00", true, 0x81},
		{"PUBREL without its flags", "60 02 00 01", true, 0x81},
		{"PUBREL with a wrong reason code", "62 03 00 01 10", false, 0x82},
		{"PUBREL of packet identifier zero", "62 02 00 00", true, 0x82},
		{"PUBCOMP with flags", "71 02 00 01", true, 0x81},
		{"PUBCOMP with a property of another packet", "70 06 00 01 00 02 01 00", false, 0x82},

		// SUBSCRIBE and UNSUBSCRIBE.
		{"SUBSCRIBE without its flags", "80 07 00 01 00 00 01 't' 00", true, 0x81},
		{"SUBSCRIBE of packet identifier zero", "82 07 00 00 00 00 01 't' 00", true, 0x82},
		{"SUBSCRIBE without a filter", "82 03 00 01 00", true, 0},
		{"SUBSCRIBE without options", "82 06 00 01 00 00 01 't'", false, 0x81},
		{"SUBSCRIBE at QoS 3", "82 07 00 01 00 00 01 't' 03", true, 0},
		{"SUBSCRIBE with reserved options", "82 07 00 01 00 00 01 't' 40", false, 0x81},
		{"SUBSCRIBE with retain handling 3", "82 07 00 01 00 00 01 't' 30", false, 0x82},
		{"SUBSCRIBE with identifier 0", "82 09 00 01 02 0b 00 00 01 't' 00", false, 0x82},
		{"SUBSCRIBE with two identifiers", "82 0b 00 01 04 0b 01 0b 02 00 01 't' 00", false, 0x82},
		{"SUBSCRIBE to nothing", "82 06 00 01 00 00 00 00", false, 0x81},
		{"SUBSCRIBE with # in the middle", "82 09 00 01 00 00 03 '#/a' 00", false, 0x81},
		{"SUBSCRIBE with # behind a letter", "82 08 00 01 00 00 02 'a#' 00", false, 0x81},
		{"SUBSCRIBE with + behind a letter", "82 08 00 01 00 00 02 'a+' 00", false, 0x81},
		{"shared subscription with no local", "82 10 00 01 00 00 0a '$share/g/t' 04", false, 0x82},
		// The fourteen bytes that ended another server's process.
		{"SUBSCRIBE cut short in its options", "82 0c 00 01 00 00 01 't' 00 00 05 'abc'", false, 0x81},
		{"UNSUBSCRIBE without its flags", "a0 06 00 01 00 00 01 't'", true, 0x81},
		{"UNSUBSCRIBE without a filter", "a2 03 00 01 00", true, 0},
		{"UNSUBSCRIBE cut short", "a2 05 00 01 00 00 09", true, 0x81},

		// PINGREQ and DISCONNECT.
		{"PINGREQ with flags", "c1 00", true, 0x81},
		{"PINGREQ with a body", "c0 01 00", true, 0x81},
		{"DISCONNECT with flags", "e1 00", true, 0x81},
		{"DISCONNECT with a server's reason", "e0 01 8b", true, 0x82},
		{"DISCONNECT that makes a session last", "e0 07 00 05 11 00 00 00 01", false, 0x82},
		{"DISCONNECT with a server reference", "e0 06 00 04 1c 00 01 'x'", false, 0x82},
	} {
		if tc.v311 {
			t.Run("3.1.1 "+tc.name, func(t *testing.T) {
				w := connect311(t, addr, "m3", true)
				w.send(tc.send)
				w.wantClosed()
			})
		}
		if tc.code != 0 {
			t.Run("5 "+tc.name, func(t *testing.T) {
				w := connect5(t, addr, "m5", true, "")
				w.send(tc.send)
				p := w.wantPacket(0xe0)
				if p[2] != tc.code {
					t.Errorf("DISCONNECT with %#02x, want %#02x; % x", p[2], tc.code, p)
				}
				w.wantClosed()
			})
		}
	}
	if got := len(h.payloads()); got != 0 {
		t.Errorf("%d messages were taken, want none", got)
	}
}

// TestConnect is the table of first packets and their answers.
func TestConnect(t *testing.T) {
	h := newMemory()
	h.connect = func(c *Connect) error {
		switch c.Username {
		case "unknown":
			return errUnknown
		case "disk":
			return errDisk
		}
		return nil
	}
	_, addr := serveMemory(t, h, Options{})
	const rest = " 00 3c 00 03 'abc'"
	for _, tc := range []struct{ name, send, want string }{
		{"3.1.1", "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", "20 02 00 00"},
		{"3.1.1 without identifier", "10 0c 00 04 'MQTT' 04 02 00 3c 00 00", "20 02 00 00"},
		{"3.1.1 without identifier, to be kept", "10 0c 00 04 'MQTT' 04 00 00 3c 00 00", "20 02 00 02"},
		{"3.1", "10 11 00 06 'MQIsdp' 03 02" + rest, "20 02 00 01"},
		{"level 6", "10 10 00 04 'MQTT' 06 02 00 3c 00 00 03 'abc'", "20 27 00 84 24 1f 00 21 'protocol is not MQTT 3.1.1 or 5.0'"},
		{"another protocol", "10 0f 00 04 'AMQP' 04 02 00 3c 00 03 'abc'", "20 02 00 01"},
		{"3.1.1 unknown device", "10 18 00 04 'MQTT' 04 82 00 3c 00 03 'abc' 00 07 'unknown'", "20 02 00 04"},
		{"3.1.1 unavailable", "10 15 00 04 'MQTT' 04 82 00 3c 00 03 'abc' 00 04 'disk'", "20 02 00 03"},
		{"3.1.1 reserved flag", "10 0f 00 04 'MQTT' 04 03 00 3c 00 03 'abc'", ""},
		{"3.1.1 will QoS without will", "10 0f 00 04 'MQTT' 04 0a 00 3c 00 03 'abc'", ""},
		{"3.1.1 password without user", "10 14 00 04 'MQTT' 04 42 00 3c 00 03 'abc' 00 03 'xyz'", ""},
		{"3.1.1 cut short", "10 0c 00 04 'MQTT' 04 02 00 3c 00 09", ""},
		{"3.1.1 too long", "10 10 00 04 'MQTT' 04 02 00 3c 00 03 'abc' 00", ""},
		{"3.1.1 with flags in the fixed header", "11 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", ""},
		{"no CONNECT", "30 05 00 01 't' 'xx'", ""},
		{"http", "'GET / HTTP/1.1' 0d 0a 0d 0a", ""},
		{"tls", "16 03 01 00 05 01 00 00 01 00", ""},
		{"256 MiB", "10 ff ff ff 7f", ""},
		{"64 KiB and one", "10 81 80 04", ""},

		{"5", "10 10 00 04 'MQTT' 05 02 00 3c 00 00 03 'abc'", "20 10 00 00 0d 21 01 00 27 00 04 00 00 22 00 10 2a 00"},
		{"5 without keep-alive", "10 10 00 04 'MQTT' 05 02 00 00 00 00 03 'abc'", "20 13 00 00 10 21 01 00 27 00 04 00 00 22 00 10 2a 00 13 04 b0"},
		{"5 for ever", "10 15 00 04 'MQTT' 05 02 00 3c 05 11 ff ff ff ff 00 03 'abd'", "20 15 00 00 12 11 00 09 3a 80 21 01 00 27 00 04 00 00 22 00 10 2a 00"},
		{"5 unknown device", "10 19 00 04 'MQTT' 05 82 00 3c 00 00 03 'abc' 00 07 'unknown'", "20 03 00 86 00"},
		{"5 malformed", "10 10 00 04 'MQTT' 05 03 00 3c 00 00 03 'abc'", "20 22 00 81 1f 1f 00 1c 'reserved connect flag is set'"},
		{"5 receive maximum 0", "10 13 00 04 'MQTT' 05 02 00 3c 03 21 00 00 00 03 'abc'", "20 3a 00 82"},
		{"5 property twice", "10 16 00 04 'MQTT' 05 02 00 3c 06 21 00 01 21 00 01 00 03 'abc'", "20 1d 00 82 1a 1f 00 17 'a property occurs twice'"},
		{"5 topic alias in CONNECT", "10 13 00 04 'MQTT' 05 02 00 3c 03 23 00 01 00 03 'abc'", "20 44 00 82"},
		{"5 authentication method", "10 14 00 04 'MQTT' 05 02 00 3c 04 15 00 01 'x' 00 03 'abc'", "20 2c 00 8c"},
		{"5 authentication data alone", "10 14 00 04 'MQTT' 05 02 00 3c 04 16 00 01 'x' 00 03 'abc'", "20 3a 00 82"},
		{"5 will with a wildcard", "10 17 00 04 'MQTT' 05 06 00 3c 00 00 03 'abc' 00 00 01 '#' 00 01 'x'", "20 28 00 81"},
		{"5 will to $SYS", "10 1a 00 04 'MQTT' 05 06 00 3c 00 00 03 'abc' 00 00 04 '$SYS' 00 01 'x'", "20 26 00 90"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := dial(t, addr)
			w.send(tc.send)
			if tc.want == "" {
				w.wantClosed()
				return
			}
			p, err := w.packet()
			if err != nil {
				t.Fatal(err)
			}
			want := bytesOf(t, tc.want)
			if len(want) == 4 && want[0] == 0x20 && want[1] > 2 { // the reason string is for people
				p, want = append(p[:0:0], p[2], p[3]), want[2:]
			}
			if string(p) != string(want) {
				t.Errorf("got  % x\nwant % x", p, want)
			}
			if len(want) > 3 && want[3] != 0 {
				w.wantClosed()
			}
		})
	}
	t.Run("eleven user properties", func(t *testing.T) {
		w := dial(t, addr)
		w.connect5("abc", true, "26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v'"+
			"26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v'"+
			"26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'v'")
		if p := w.wantPacket(0x20); p[3] != 0x97 {
			t.Errorf("CONNACK % x, want 0x97", p)
		}
		w.wantClosed()
	})
}
