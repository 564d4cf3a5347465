package ingest

import (
	"sync"
	"time"

	"vonglau/devices"
)

// maxSenders bounds the senders a budget tells apart in one minute; the ones
// beyond share what is left of the total.
const maxSenders = 10_000

// budget decides which refusals are worth a place on disk. Whoever sends junk
// all day must not fill the journal with it, and must not hide another's.
type budget struct {
	perSender, total int

	mu     sync.Mutex
	minute int64
	spent  map[string]int
	sum    int
}

func newBudget(perSender, total int) *budget {
	return &budget{perSender: perSender, total: total, spent: map[string]int{}}
}

// allow spends one record of the sender's minute.
func (b *budget) allow(r *devices.Refusal) bool {
	// A proven or claimed identity behind one address prefix: a stranger who
	// claims another's name spends the stranger's budget, not the name's.
	sender := string(r.Device) + "|" + devices.SitePrefix(r.From.Addr()).String()
	minute := r.At.Unix() / int64(time.Minute/time.Second)

	b.mu.Lock()
	defer b.mu.Unlock()
	if minute != b.minute {
		b.minute, b.sum = minute, 0
		clear(b.spent)
	}
	if b.sum >= b.total || b.spent[sender] >= b.perSender {
		return false
	}
	if _, known := b.spent[sender]; !known && len(b.spent) >= maxSenders {
		return false
	}
	b.spent[sender]++
	b.sum++
	return true
}

// evidenceOf is what is kept of a payload beside the reason it was refused for.
func evidenceOf(payload []byte) []byte {
	return append([]byte(nil), payload[:min(len(payload), devices.MaxRefusalPayload)]...)
}
