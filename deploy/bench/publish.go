package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// sender is one MQTT 3.1.1 connection that publishes at QoS 1 with a window, as
// a gateway does: packets that are ready leave in one write. It allocates
// nothing per message, so that the measured is not the generator.
type sender struct {
	conn   net.Conn
	id     string
	topic  string
	values int
	base   int64 // ms; message n is of base + n
}

func dial(addr, id, user, password, topic string) (*sender, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	var body []byte
	body = append(body, 0, 4, 'M', 'Q', 'T', 'T', 4)
	flags := byte(0x02) // clean session
	if user != "" {
		flags |= 0xC0
	}
	body = append(body, flags, 0, 60)
	body = appendString(body, id)
	if user != "" {
		body = appendString(body, user)
		body = appendString(body, password)
	}
	if _, err := conn.Write(appendPacket(nil, 0x10, body)); err != nil {
		return nil, err
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(conn, ack); err != nil {
		return nil, fmt.Errorf("%s: no CONNACK: %w", id, err)
	}
	if ack[0] != 0x20 || ack[3] != 0 {
		return nil, fmt.Errorf("%s: CONNACK %x", id, ack)
	}
	return &sender{conn: conn, id: id, topic: topic}, nil
}

// payload appends message n: one or four values, each different.
func (s *sender) payload(b []byte, n int) []byte {
	b = append(b, `{"ts":`...)
	b = strconv.AppendInt(b, s.base+int64(n), 10)
	b = append(b, `,"pm25":`...)
	b = strconv.AppendFloat(b, float64(n%4000)/10, 'f', 1, 64)
	if s.values == 4 {
		b = append(b, `,"pm10":`...)
		b = strconv.AppendFloat(b, float64(n%5000)/10, 'f', 1, 64)
		b = append(b, `,"temperature":`...)
		b = strconv.AppendFloat(b, 20+float64(n%150)/10, 'f', 1, 64)
		b = append(b, `,"humidity":`...)
		b = strconv.AppendFloat(b, 40+float64(n%500)/10, 'f', 1, 64)
	}
	return append(b, '}')
}

// publish sends count messages with at most window unacknowledged and returns
// when the last one is.
func (s *sender) publish(count, window int) error {
	room := make(chan int, window)
	failed := make(chan error, 1)
	go func() { failed <- s.readAcks(count, room) }()
	out := bufio.NewWriterSize(s.conn, 16<<10)
	free := window
	var payload, packet []byte
	for n := range count {
		for free == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case acks := <-room:
				free += acks
			case err := <-failed:
				return err
			}
		}
		free--
		payload = s.payload(payload[:0], n)
		packet = packet[:0]
		packet = appendString(packet, s.topic)
		packet = binary.BigEndian.AppendUint16(packet, uint16(n%65535+1))
		packet = append(packet, payload...)
		header := appendPacket(make([]byte, 0, 5), 0x32, packet)
		if _, err := out.Write(header); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return <-failed
}

func (s *sender) readAcks(count int, room chan<- int) error {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	for got := 0; got < count; {
		_ = s.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		if _, err := in.Peek(4); err != nil {
			return fmt.Errorf("%s: after %d of %d acknowledgements: %w", s.id, got, count, err)
		}
		n := in.Buffered() / 4
		for range n {
			b, _ := in.Peek(4)
			if b[0] != 0x40 || b[1] != 2 {
				return fmt.Errorf("%s: got %x instead of a PUBACK", s.id, b)
			}
			_, _ = in.Discard(4)
		}
		got += n
		select {
		case room <- n:
		default:
			room <- n
		}
	}
	return nil
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendPacket(b []byte, first byte, body []byte) []byte {
	b = append(b, first)
	for n := len(body); ; {
		c := byte(n % 128)
		if n /= 128; n > 0 {
			b = append(b, c|0x80)
			continue
		}
		return append(append(b, c), body...)
	}
}
