package ingest

import (
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
)

// The source of a datagram may be forged, and then the answer goes to somebody
// who asked for nothing. So whoever has proven nothing is never sent more than
// amplification times what came (RFC 9175 section 2.6): discovery answers in
// blocks that are small enough, and an error without its diagnostic payload,
// which is for people anyway (RFC 7252 section 5.5.2).
const amplification = 3

// leastSize is what a request took at least on the wire: an option has a byte
// before its value, and more when its number or length is large.
func leastSize(r *pool.Message) int {
	n := 4 + len(r.Token())
	for _, o := range r.Options() {
		n += 1 + len(o.Value)
	}
	if size, err := r.BodySize(); err == nil && size > 0 {
		n += 1 + int(size)
	}
	return n
}

// mostSize is what an answer of size bytes takes at most.
func mostSize(token message.Token, options message.Options, size int) int {
	n := 4 + len(token) + 1 + size
	for _, o := range options {
		n += 5 + len(o.Value)
	}
	return n
}

// modestBlock narrows the block a stranger asked for to what may be sent to it.
// The smallest, of 16 bytes, always may: the path alone is longer.
func modestBlock(want block, r *pool.Message) block {
	const options = 2*5 + 1 + 3 // Content-Format and Block2
	most := amplification*leastSize(r) - mostSize(r.Token(), nil, 0) - options
	for want.szx > 0 && want.size() > most {
		want.num, want.szx = want.num<<1, want.szx-1
	}
	return want
}

// modest takes the diagnostic payload off an error that would be too large.
func modest(w *coapWriter, r *pool.Message) {
	answer := w.Message()
	if answer.Code() < codes.BadRequest {
		return
	}
	size, err := answer.BodySize()
	if err != nil || size == 0 {
		return
	}
	if mostSize(r.Token(), answer.Options(), int(size)) > amplification*leastSize(r) {
		answer.SetBody(nil)
		answer.Remove(message.ContentFormat)
	}
}
