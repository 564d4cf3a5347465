package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostile is what a stranger or a broken device tries, and the answer it gets.
type hostile struct {
	name string
	try  func(h *siege) string
	want string
}

// siege is what the attempts have to work with: an honest device, its
// attacker's own device, and the doors.
type siege struct {
	*process
	t             *testing.T
	victim, token string // token is the victim's
	other, others string // the attacker's own device and its token
	retired       string // a retired device's token
}

// raw sends bytes over a new TCP connection and tells how the other side
// answers: the bytes that came in hex, "closed" when nothing did before the end,
// or "silence" within a second.
func (h *siege) raw(addr string, parts ...[]byte) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = conn.Close() }()
	var answer []byte
	buf := make([]byte, 1024)
	for i, part := range parts {
		if _, err := conn.Write(part); err != nil {
			break
		}
		wait := 100 * time.Millisecond
		if i == len(parts)-1 {
			wait = 2 * time.Second
		}
		for {
			_ = conn.SetReadDeadline(time.Now().Add(wait))
			n, err := conn.Read(buf)
			answer = append(answer, buf[:n]...)
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) && i == len(parts)-1 {
					return strings.TrimSpace(fmt.Sprintf("%x closed", answer))
				}
				break
			}
			if i < len(parts)-1 {
				break
			}
		}
	}
	if len(answer) == 0 {
		return "silence"
	}
	return fmt.Sprintf("%x", answer)
}

// mqttConnect is a CONNECT by hand: version 4 or 5, with or without credential.
func mqttConnect(version byte, id, user, password string) []byte {
	var b []byte
	text := func(s string) { b = append(append(b, byte(len(s)>>8), byte(len(s))), s...) }
	text("MQTT")
	flags := byte(2)
	if user != "" {
		flags |= 0x80
	}
	if password != "" {
		flags |= 0x40
	}
	b = append(b, version, flags, 0, 30)
	if version == 5 {
		b = append(b, 0)
	}
	text(id)
	if user != "" {
		text(user)
	}
	if password != "" {
		text(password)
	}
	return mqttPacket(0x10, b)
}

func mqttPacket(first byte, body []byte) []byte {
	packet := []byte{first}
	for n := len(body); ; {
		c := byte(n % 128)
		if n /= 128; n > 0 {
			packet = append(packet, c|0x80)
			continue
		}
		return append(append(packet, c), body...)
	}
}

// mqtt connects as the attacker's own device and sends packets. What is told
// begins after the CONNACK.
func (h *siege) mqtt(version byte, packets ...[]byte) string {
	conn, err := net.Dial("tcp", h.addr.MQTT)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(mqttConnect(version, "attacker", h.other, h.others))
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(conn)
	if kind, _, err := readMQTT(in); err != nil || kind != 0x20 {
		return fmt.Sprintf("no CONNACK: %v", err)
	}
	for _, p := range packets {
		if _, err := conn.Write(p); err != nil {
			break
		}
	}
	kind, body, err := readMQTT(in)
	switch {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return "closed"
	case err != nil:
		return "silence"
	case kind == 0xE0:
		return fmt.Sprintf("DISCONNECT %02x", first(body, 0))
	case kind == 0x40 || kind == 0x50 || kind == 0x70:
		name := map[byte]string{0x40: "PUBACK", 0x50: "PUBREC", 0x70: "PUBCOMP"}[kind]
		return fmt.Sprintf("%s %02x", name, first(body, 2))
	case kind == 0x90:
		return fmt.Sprintf("SUBACK %02x", body[len(body)-1])
	}
	return fmt.Sprintf("%02x %x", kind, body)
}

func first(b []byte, i int) byte {
	if len(b) > i {
		return b[i]
	}
	return 0
}

func readMQTT(in *bufio.Reader) (kind byte, body []byte, err error) {
	head, err := in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(in) // the same 7 bits a byte, lowest first
	if err != nil || n > 1<<20 {
		return 0, nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(in, body)
	return head & 0xF0, body, err
}

// publish is a PUBLISH by hand.
func publish(version, flags byte, topic string, id uint16, payload string) []byte {
	b := append([]byte{byte(len(topic) >> 8), byte(len(topic))}, topic...)
	if flags&6 != 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if version == 5 {
		b = append(b, 0)
	}
	return mqttPacket(0x30|flags, append(b, payload...))
}

func subscribe(version byte, filter string) []byte {
	b := []byte{0, 9}
	if version == 5 {
		b = append(b, 0)
	}
	b = append(append(b, byte(len(filter)>>8), byte(len(filter))), filter...)
	return mqttPacket(0x82, append(b, 1))
}

// coap sends one datagram and gives code and first byte of the answer as
// "4.01", "RST", or "silence".
func (h *siege) coap(datagram []byte) string {
	conn, err := net.Dial("udp", h.addr.CoAP)
	if err != nil {
		return "no socket"
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(datagram); err != nil {
		return "not sent"
	}
	_ = conn.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err != nil {
		return "silence"
	}
	if n >= 4 && buf[1] == 0 {
		return map[byte]string{0x70: "RST", 0x60: "empty ACK"}[buf[0]&0xF0]
	}
	return fmt.Sprintf("%d.%02d", buf[1]>>5, buf[1]&31)
}

// coapMessage builds a confirmable message: code, path, further options by
// number, payload. Options must come in order.
type coapOption struct {
	number int
	value  []byte
}

var coapID uint16 = 1000

func coapMessage(code byte, path, query string, options []coapOption, payload string) []byte {
	coapID++
	m := []byte{0x41, code, byte(coapID >> 8), byte(coapID), 0x77}
	last := 0
	add := func(number int, value []byte) {
		delta, length := number-last, len(value)
		last = number
		nibble := func(n int) (byte, []byte) {
			switch {
			case n < 13:
				return byte(n), nil
			case n < 269:
				return 13, []byte{byte(n - 13)}
			}
			return 14, []byte{byte((n - 269) >> 8), byte(n - 269)}
		}
		d, dx := nibble(delta)
		l, lx := nibble(length)
		m = append(m, d<<4|l)
		m = append(append(append(m, dx...), lx...), value...)
	}
	for _, o := range options {
		if o.number < 11 {
			add(o.number, o.value)
		}
	}
	for _, segment := range strings.Split(path, "/") {
		add(11, []byte(segment))
	}
	var later []coapOption
	for _, o := range options {
		if o.number >= 11 && o.number < 15 {
			add(o.number, o.value)
		} else if o.number >= 15 {
			later = append(later, o)
		}
	}
	if query != "" {
		add(15, []byte(query))
	}
	for _, o := range later {
		add(o.number, o.value)
	}
	if payload != "" {
		m = append(append(m, 0xFF), payload...)
	}
	return m
}

func (h *siege) post(id, token, contentType string, headers map[string]string, body io.Reader) string {
	req, err := http.NewRequest(http.MethodPost, "http://"+h.addr.HTTP+"/v1/devices/"+id+"/telemetry", body)
	if err != nil {
		return err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", contentType)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	return answered(req)
}

func answered(req *http.Request) string {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "closed"
	}
	_ = res.Body.Close()
	return fmt.Sprint(res.StatusCode)
}

func (h *siege) get(method, path, token string) string {
	req, err := http.NewRequest(method, "http://"+h.addr.HTTP+path, strings.NewReader("{}"))
	if err != nil {
		return err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return answered(req)
}

const goodReading = `{"pm25":666}` // what must never arrive

func hostileCases() []hostile {
	telemetry := func(h *siege) string { return "devices/" + h.victim + "/telemetry" }
	own := func(h *siege) string { return "devices/" + h.other + "/telemetry" }
	json := coapOption{12, []byte{50}}
	cases := []hostile{
		// HTTP
		{"HTTP no credential", func(h *siege) string {
			return h.post(h.victim, "", "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP wrong token", func(h *siege) string {
			return h.post(h.victim, "x"+h.token, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP another's token", func(h *siege) string {
			return h.post(h.victim, h.others, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP unknown device", func(h *siege) string {
			return h.post("nobody", h.token, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP retired device", func(h *siege) string {
			return h.post("siege-retired", h.retired, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP the administrator's token as a device's", func(h *siege) string {
			return h.post(h.victim, h.process.token, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP a device's token as a person's", func(h *siege) string { return h.get(http.MethodGet, "/v1/devices", h.others) }, "401"},
		{"HTTP a device's token enrols", func(h *siege) string { return h.get(http.MethodPost, "/v1/devices", h.others) }, "401"},
		{"HTTP a device's token changes rules", func(h *siege) string { return h.get(http.MethodPut, "/v1/rules", h.others) }, "401"},
		{"HTTP metrics without a token", func(h *siege) string { return h.get(http.MethodGet, "/metrics", "") }, "401"},
		{"HTTP wrong method", func(h *siege) string { return h.get(http.MethodPut, "/v1/devices/x/telemetry", h.others) }, "405"},
		{"HTTP path upwards", func(h *siege) string { return h.get(http.MethodGet, "/v1/../../etc/passwd", h.others) }, "307"},
		{"HTTP no such path", func(h *siege) string { return h.get(http.MethodGet, "/etc/passwd", h.others) }, "404"},
		{"HTTP path in the id", func(h *siege) string {
			return h.post("..%2f"+h.victim, h.token, "application/json", nil, strings.NewReader(goodReading))
		}, "401"},
		{"HTTP 1 MiB", func(h *siege) string {
			return h.post(h.other, h.others, "application/json", nil, bytes.NewReader(bytes.Repeat([]byte(" "), 1<<20)))
		}, "413"},
		{"HTTP gzip bomb", func(h *siege) string {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(make([]byte, 64<<20))
			_ = z.Close()
			return h.post(h.other, h.others, "application/json", map[string]string{"Content-Encoding": "gzip"}, &b)
		}, "413"},
		{"HTTP not gzip", func(h *siege) string {
			return h.post(h.other, h.others, "application/json", map[string]string{"Content-Encoding": "gzip"}, strings.NewReader("abc"))
		}, "400"},
		{"HTTP unknown encoding", func(h *siege) string {
			return h.post(h.other, h.others, "application/json", map[string]string{"Content-Encoding": "br"}, strings.NewReader("abc"))
		}, "415"},
		{"HTTP wrong content type", func(h *siege) string {
			return h.post(h.other, h.others, "text/html", nil, strings.NewReader(goodReading))
		}, "415"},
		{"HTTP both lengths", func(h *siege) string {
			return h.raw(h.addr.HTTP, []byte("POST /v1/devices/x/telemetry HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"))[:24]
		}, fmt.Sprintf("%x", "HTTP/1.1 501")},
		{"HTTP 1 MiB of headers", func(h *siege) string {
			return h.raw(h.addr.HTTP, []byte("GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("a", 1<<20)+"\r\n\r\n"))[:24]
		}, fmt.Sprintf("%x", "HTTP/1.1 431")},
		{"HTTP line protocol for another's device", func(h *siege) string {
			req, _ := http.NewRequest(http.MethodPost, "http://"+h.addr.HTTP+"/api/v2/write", strings.NewReader("air,device="+h.victim+" pm25=666"))
			req.Header.Set("Authorization", "Token "+h.other+":"+h.others)
			return answered(req)
		}, "403"},
		{"HTTP a socket for a device", func(h *siege) string {
			return h.raw(h.addr.HTTP, []byte("GET /v1/live HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"))[:24]
		}, fmt.Sprintf("%x", "HTTP/1.1 403")},

		// CoAP
		{"CoAP no token", func(h *siege) string {
			return h.coap(coapMessage(2, telemetry(h), "", []coapOption{json}, goodReading))
		}, "4.01"},
		{"CoAP wrong token", func(h *siege) string {
			return h.coap(coapMessage(2, telemetry(h), "k=x"+h.token, []coapOption{json}, goodReading))
		}, "4.01"},
		{"CoAP another's token", func(h *siege) string {
			return h.coap(coapMessage(2, telemetry(h), "k="+h.others, []coapOption{json}, goodReading))
		}, "4.01"},
		{"CoAP unknown device", func(h *siege) string {
			return h.coap(coapMessage(2, "devices/nobody/telemetry", "k="+h.token, []coapOption{json}, goodReading))
		}, "4.01"},
		{"CoAP retired device", func(h *siege) string {
			return h.coap(coapMessage(2, "devices/siege-retired/telemetry", "k="+h.retired, []coapOption{json}, goodReading))
		}, "4.01"},
		{"CoAP GET of telemetry", func(h *siege) string { return h.coap(coapMessage(1, telemetry(h), "k="+h.others, nil, "")) }, "4.05"},
		{"CoAP DELETE of telemetry", func(h *siege) string { return h.coap(coapMessage(4, telemetry(h), "k="+h.others, nil, "")) }, "4.05"},
		{"CoAP no such path", func(h *siege) string {
			return h.coap(coapMessage(2, "devices", "k="+h.others, []coapOption{json}, goodReading))
		}, "4.04"},
		{"CoAP no content format", func(h *siege) string { return h.coap(coapMessage(2, own(h), "k="+h.others, nil, goodReading)) }, "4.15"},
		{"CoAP unknown content format", func(h *siege) string {
			return h.coap(coapMessage(2, own(h), "k="+h.others, []coapOption{{12, []byte{0x2A}}}, goodReading))
		}, "4.15"},
		{"CoAP last block alone", func(h *siege) string {
			return h.coap(coapMessage(2, own(h), "k="+h.others, []coapOption{json, {27, []byte{0x20}}}, goodReading))
		}, "4.08"},
		{"CoAP reserved block size", func(h *siege) string {
			return h.coap(coapMessage(2, own(h), "k="+h.others, []coapOption{json, {27, []byte{0x0F}}}, goodReading))
		}, "4.00"},
		{"CoAP block far away", func(h *siege) string {
			return h.coap(coapMessage(2, own(h), "k="+h.others, []coapOption{json, {27, []byte{0xFF, 0xFF, 0x0E}}}, strings.Repeat("x", 1024)))
		}, "4.13"},
		{"CoAP truncated JSON", func(h *siege) string {
			return h.coap(coapMessage(2, own(h), "k="+h.others, []coapOption{json}, `{"pm25":`))
		}, "4.00"},
		{"CoAP three bytes", func(h *siege) string { return h.coap([]byte{0x40, 2, 1}) }, "silence"},
		{"CoAP version 2", func(h *siege) string { return h.coap([]byte{0x80, 2, 1, 1}) }, "silence"},
		{"CoAP option that runs over the end", func(h *siege) string { return h.coap([]byte{0x40, 2, 7, 7, 0xBE, 0xFF, 0xFF}) }, "silence"},
		{"CoAP ping", func(h *siege) string { return h.coap([]byte{0x40, 0, 9, 9}) }, "RST"},
		{"CoAP noise", func(h *siege) string { return h.coap(bytes.Repeat([]byte{0xFF}, 1200)) }, "silence"},

		// MQTT, before it is connected
		{"MQTT 3.1.1 wrong token", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(4, "a", h.victim, "x"+h.token)) }, "20020004 closed"},
		{"MQTT 3.1.1 no credential", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(4, "a", "", "")) }, "20020004 closed"},
		{"MQTT 3.1.1 unknown device", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(4, "a", "nobody", h.token)) }, "20020004 closed"},
		{"MQTT 3.1.1 retired device", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(4, "a", "siege-retired", h.retired)) }, "20020004 closed"},
		{"MQTT 5 another's token", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(5, "a", h.victim, h.others))[6:8] }, "86"},
		{"MQTT of level 3", func(h *siege) string { return h.raw(h.addr.MQTT, mqttConnect(3, "a", h.other, h.others)) }, "20020001 closed"},
		{"MQTT of another name", func(h *siege) string {
			b := mqttConnect(4, "a", h.other, h.others)
			copy(b[4:], "HTTP")
			return h.raw(h.addr.MQTT, b)
		}, "20020001 closed"},
		{"MQTT reserved connect flag", func(h *siege) string {
			b := mqttConnect(4, "a", h.other, h.others)
			b[9] |= 1
			return h.raw(h.addr.MQTT, b)
		}, "closed"},
		{"MQTT publish before connect", func(h *siege) string { return h.raw(h.addr.MQTT, publish(4, 2, telemetry(h), 1, goodReading)) }, "closed"},
		{"MQTT HTTP at its door", func(h *siege) string { return h.raw(h.addr.MQTT, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) }, "closed"},
		{"MQTT connect of 256 MiB", func(h *siege) string { return h.raw(h.addr.MQTT, []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}) }, "closed"},
		{"MQTT length of five bytes", func(h *siege) string { return h.raw(h.addr.MQTT, []byte{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}) }, "closed"},

		// MQTT, as a device that goes beyond what is its own
		{"MQTT 5 another's telemetry", func(h *siege) string { return h.mqtt(5, publish(5, 2, telemetry(h), 1, goodReading)) }, "PUBACK 87"},
		{"MQTT 5 another's telemetry, QoS 2", func(h *siege) string { return h.mqtt(5, publish(5, 4, telemetry(h), 1, goodReading)) }, "PUBREC 87"},
		{"MQTT 5 another's status", func(h *siege) string { return h.mqtt(5, publish(5, 2, "devices/"+h.victim+"/status", 1, "offline")) }, "PUBACK 87"},
		{"MQTT 5 topic of nobody", func(h *siege) string { return h.mqtt(5, publish(5, 2, "a/b/c", 1, goodReading)) }, "PUBACK 90"},
		{"MQTT 5 $SYS", func(h *siege) string { return h.mqtt(5, publish(5, 2, "$SYS/broker", 1, goodReading)) }, "PUBACK 90"},
		{"MQTT 5 wildcard in a topic", func(h *siege) string { return h.mqtt(5, publish(5, 2, "devices/+/telemetry", 1, goodReading)) }, "DISCONNECT 81"},
		{"MQTT 5 empty topic", func(h *siege) string { return h.mqtt(5, publish(5, 2, "", 1, goodReading)) }, "DISCONNECT 82"},
		{"MQTT 5 packet identifier 0", func(h *siege) string { return h.mqtt(5, publish(5, 2, own(h), 0, goodReading)) }, "DISCONNECT 82"},
		{"MQTT 5 QoS 3", func(h *siege) string { return h.mqtt(5, publish(5, 6, own(h), 1, goodReading)) }, "DISCONNECT 81"},
		{"MQTT 5 topic that is no UTF-8", func(h *siege) string { return h.mqtt(5, publish(5, 2, "a\xff", 1, goodReading)) }, "DISCONNECT 81"},
		{"MQTT 5 zero in a topic", func(h *siege) string { return h.mqtt(5, publish(5, 2, "a\x00", 1, goodReading)) }, "DISCONNECT 81"},
		{"MQTT 5 everybody's telemetry", func(h *siege) string { return h.mqtt(5, subscribe(5, "devices/+/telemetry")) }, "SUBACK 87"},
		{"MQTT 5 everything", func(h *siege) string { return h.mqtt(5, subscribe(5, "#")) }, "SUBACK 8f"},
		{"MQTT 5 another's commands", func(h *siege) string { return h.mqtt(5, subscribe(5, "devices/"+h.victim+"/commands")) }, "SUBACK 87"},
		{"MQTT 5 shared subscription", func(h *siege) string { return h.mqtt(5, subscribe(5, "$share/g/devices/+/telemetry")) }, "SUBACK 9e"},
		{"MQTT 5 release of nothing", func(h *siege) string { return h.mqtt(5, mqttPacket(0x62, []byte{0, 5})) }, "PUBCOMP 92"},
		{"MQTT 5 second CONNECT", func(h *siege) string { return h.mqtt(5, mqttConnect(5, "attacker", h.other, h.others)) }, "DISCONNECT 82"},
		{"MQTT 5 packet of 1 MiB", func(h *siege) string { return h.mqtt(5, publish(5, 2, own(h), 1, strings.Repeat(" ", 1<<20))) }, "DISCONNECT 95"},
		{"MQTT 5 topic alias beyond", func(h *siege) string {
			topic := own(h)
			b := append([]byte{0, byte(len(topic))}, topic...)
			b = append(b, 0, 1, 3, 0x23, 0xFF, 0xFF)
			return h.mqtt(5, mqttPacket(0x32, append(b, goodReading...)))
		}, "DISCONNECT 94"},
		{"MQTT 5 malformed payload", func(h *siege) string { return h.mqtt(5, publish(5, 2, own(h), 1, `{"pm25":`)) }, "PUBACK 99"},
		{"MQTT 3.1.1 another's telemetry", func(h *siege) string { return h.mqtt(4, publish(4, 2, telemetry(h), 1, goodReading)) }, "PUBACK 00"},
		{"MQTT 3.1.1 everything", func(h *siege) string { return h.mqtt(4, subscribe(4, "#")) }, "SUBACK 80"},
		{"MQTT 3.1.1 QoS 3", func(h *siege) string { return h.mqtt(4, publish(4, 6, own(h), 1, goodReading)) }, "closed"},
	}
	return cases
}

// TestProgramHostile tries everything in the table, many at once, while an
// honest device goes on reporting: each attempt gets its answer, nothing of it
// arrives, and the device is acknowledged throughout.
func TestProgramHostile(t *testing.T) {
	p := startProcess(t, t.TempDir())
	h := &siege{process: p, t: t, victim: "siege-victim", other: "siege-other"}
	h.token = p.enrol(h.victim, "air-quality", "106.168,20.434")
	h.others = p.enrol(h.other, "air-quality", "106.168,20.434")
	h.retired = p.enrol("siege-retired", "air-quality", "106.168,20.434")
	if code := p.api(http.MethodPatch, "/v1/devices/siege-retired", nil, `{"state":"retired"}`, nil); code/100 != 2 {
		t.Fatalf("retiring a device: status %d", code)
	}
	client := connectMQTT(t, p, h.victim, h.token)
	defer client.Disconnect(0)
	honest := func(n int) (took []time.Duration) {
		for i := range n {
			start := time.Now()
			tok := client.Publish("devices/"+h.victim+"/telemetry", 1, false, fmt.Sprintf(`{"ts":%d,"pm25":%d}`, start.UnixMilli(), i%400))
			if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
				t.Fatalf("the honest device was not acknowledged: %v", tok.Error())
			}
			took = append(took, time.Since(start))
			time.Sleep(2 * time.Millisecond)
		}
		return took
	}
	honest(50)
	calm := honest(300)

	cases := hostileCases()
	if len(cases) < 60 {
		t.Errorf("%d cases", len(cases))
	}
	var during []time.Duration
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				during = append(during, honest(20)...)
			}
		}
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.try(h); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	close(stop)
	watching.Wait()

	// Nothing of it may have arrived, under either name.
	time.Sleep(500 * time.Millisecond)
	for _, id := range []string{h.victim, h.other, "siege-retired"} {
		stored, _ := p.stored(id, "pm25", time.Now().Add(-time.Hour), time.Now().Add(time.Minute))
		for at, v := range stored {
			if v == 666 {
				t.Errorf("%s: a hostile reading is stored at %d", id, at)
			}
		}
		if id == h.other && len(stored) > 0 {
			t.Errorf("%s: %d readings are stored, it never sent a good one", id, len(stored))
		}
	}
	var refusals struct{ Refusals []struct{ Reason string } }
	p.api(http.MethodGet, "/v1/refusals", url.Values{"limit": {"500"}}, "", &refusals)
	if len(refusals.Refusals) < 10 {
		t.Errorf("%d attempts are on record", len(refusals.Refusals))
	}
	t.Logf("%d attempts; the honest device's PUBACK p50 %s p99 %s before, p50 %s p99 %s meanwhile (%d)", len(cases),
		quantile(calm, 0.5), quantile(calm, 0.99), quantile(during, 0.5), quantile(during, 0.99), len(during))
}
