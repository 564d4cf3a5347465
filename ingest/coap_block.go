package ingest

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"vonglau/devices"
)

// Block-wise transfer of requests (RFC 7959 section 2.5), for payloads that do
// not fit a datagram. The library has one of its own, keyed by token; but each
// block is a request by itself and may carry a token of its own, as libcoap's
// do, and then the last block alone arrived as the whole. Here the parts of a
// transfer are known by the device that proves itself in each of them, what it
// asks for, and the Request-Tag (RFC 9175 section 3.3).

const (
	// optionRequestTag is Request-Tag (RFC 9175 section 3.2.1).
	optionRequestTag = message.OptionID(292)
	// openTransfers bounds the transfers one device may have open; the oldest
	// gives way.
	openTransfers = 4
	// openBytes bounds what all open transfers hold.
	openBytes = 64 << 20
)

// block is the value of a Block1 or Block2 option (RFC 7959 section 2.2).
type block struct {
	num  uint32
	more bool
	szx  uint32 // the size is 2^(szx+4)
}

func (b block) size() int { return 1 << (b.szx + 4) }

func (b block) value() uint32 {
	v := b.num<<4 | b.szx
	if b.more {
		v |= 8
	}
	return v
}

// option is b as the option id.
func (b block) option(id message.OptionID) message.Option {
	buf := make([]byte, 4)
	n, _ := message.EncodeUint32(buf, b.value())
	return message.Option{ID: id, Value: buf[:n]}
}

// blockOf reads a block option. ok is false when there is none; an error is one
// that cannot be: size exponent 7 is reserved and the number has 20 bits.
func blockOf(r *pool.Message, id message.OptionID) (b block, ok bool, err error) {
	v, absent := r.GetOptionUint32(id)
	if absent != nil {
		return b, false, nil
	}
	b = block{num: v >> 4, more: v&8 != 0, szx: v & 7}
	if b.szx == 7 || b.num >= 1<<20 {
		return b, true, devices.Refuse(devices.ReasonMalformed, "block option %#x", v)
	}
	return b, true, nil
}

// transfers puts the blocks of requests together.
type transfers struct {
	limit int // bytes of one
	now   func() time.Time

	mu    sync.Mutex
	open  map[devices.ID][]*transfer // oldest first
	bytes int
}

type transfer struct {
	tag     string
	buf     []byte
	touched time.Time
}

func newTransfers(limit int, now func() time.Time) *transfers {
	return &transfers{limit: limit, now: now, open: map[devices.ID][]*transfer{}}
}

// verdictOfBlock is what a block leads to.
type verdictOfBlock int

const (
	blockMore       verdictOfBlock = iota // 2.31, send the next
	blockWhole                            // the payload is complete
	blockIncomplete                       // 4.08, begin again
	blockTooLarge                         // 4.13
	blockBusy                             // 5.03
)

// add takes in one block of a device's transfer. whole is the payload when the
// verdict says so.
func (t *transfers) add(device devices.ID, tag string, b block, part []byte) (whole []byte, verdict verdictOfBlock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.expire(device, now)
	list := t.open[device]
	i := slices.IndexFunc(list, func(x *transfer) bool { return x.tag == tag })
	offset := int(b.num) * b.size()
	switch {
	case offset+len(part) > t.limit:
		if i >= 0 {
			t.drop(device, i)
		}
		return nil, blockTooLarge
	case b.more && len(part) != b.size():
		return nil, blockIncomplete // only the last may be short (section 2.3)
	case b.num == 0:
		if i >= 0 { // the device has begun again
			t.drop(device, i)
		}
		if !b.more {
			return part, blockWhole
		}
		if len(t.open[device]) >= openTransfers {
			t.drop(device, 0)
		}
		if t.bytes+len(part) > openBytes {
			return nil, blockBusy
		}
		t.open[device] = append(t.open[device], &transfer{tag: tag, buf: slices.Clone(part), touched: now})
		t.bytes += len(part)
		return nil, blockMore
	case i < 0:
		return nil, blockIncomplete
	}
	x := list[i]
	x.touched = now
	switch {
	case offset > len(x.buf):
		return nil, blockIncomplete
	case offset < len(x.buf):
		// Seen already: its answer was lost. What was taken stays.
		if !b.more {
			return nil, blockIncomplete
		}
		return nil, blockMore
	case t.bytes+len(part) > openBytes:
		t.drop(device, i)
		return nil, blockBusy
	}
	x.buf = append(x.buf, part...)
	t.bytes += len(part)
	if b.more {
		return nil, blockMore
	}
	whole = x.buf
	t.drop(device, i)
	return whole, blockWhole
}

// expire forgets what a device has left lying; with mu held.
func (t *transfers) expire(device devices.ID, now time.Time) {
	for len(t.open[device]) > 0 && now.Sub(t.open[device][0].touched) > exchangeLifetime {
		t.drop(device, 0)
	}
	// The bytes of devices that never came back count too, so when memory is
	// short everybody's old ones go.
	if t.bytes < openBytes/2 {
		return
	}
	for id, list := range t.open {
		for len(list) > 0 && now.Sub(list[0].touched) > exchangeLifetime {
			t.drop(id, 0)
			list = t.open[id]
		}
	}
}

func (t *transfers) drop(device devices.ID, i int) {
	list := t.open[device]
	t.bytes -= len(list[i].buf)
	if len(list) == 1 {
		delete(t.open, device)
		return
	}
	t.open[device] = slices.Delete(list, i, i+1)
}

// slice cuts the block of an answer that Block2 asks for (RFC 7959 section
// 2.4). ok is false when there is no such block.
func slice(body []byte, want block) (part []byte, got block, ok bool) {
	offset := int(want.num) * want.size()
	if offset >= len(body) && want.num > 0 {
		return nil, want, false
	}
	end := min(offset+want.size(), len(body))
	want.more = end < len(body)
	return body[offset:end], want, true
}

// requestTag reads Request-Tag, which tells two transfers of one device apart.
// Its absence is a value like any other.
func requestTag(r *pool.Message) string {
	tag, err := r.GetOptionBytes(optionRequestTag)
	if err != nil {
		return "-"
	}
	return string(binary.AppendUvarint(nil, uint64(len(tag)))) + string(tag)
}
