package devices

import (
	"fmt"
	"testing"
)

func inboxMessage(id ID, n int) *Message {
	return &Message{Device: id, Size: n, Observations: []Observation{{Values: []Value{{Quantity: "noise", Number: float64(n)}}}}}
}

func sizes(list []*Message) (out []int) {
	for _, m := range list {
		out = append(out, m.Size)
	}
	return out
}

// A device that floods loses its own messages, not those of a quiet one.
func TestInboxFlood(t *testing.T) {
	b := NewInbox(3, 1000)
	b.Add(inboxMessage("quiet", 1))
	for i := range 5000 {
		b.Add(inboxMessage("loud", i))
	}
	if got := fmt.Sprint(sizes(b.Newest("quiet", 10)), sizes(b.Newest("loud", 10)), sizes(b.Newest("loud", 2)), b.Len()); got != "[1] [4999 4998 4997] [4999 4998] 4" {
		t.Errorf("kept %s", got)
	}
	b.Forget("loud")
	if got := b.Newest("loud", 10); len(got) != 0 || b.Len() != 1 {
		t.Errorf("after Forget: %v, %d in all", sizes(got), b.Len())
	}
}

// With more devices each has less, down to one, and the sum stays near the total.
func TestInboxTotal(t *testing.T) {
	b := NewInbox(10, 1000)
	for round := range 20 {
		for i := range 400 {
			b.Add(inboxMessage(ID(fmt.Sprintf("d-%d", i)), round))
		}
	}
	if n := b.Len(); n > 1000 {
		t.Errorf("400 devices keep %d messages, want 1000 at most", n)
	}
	if got := sizes(b.Newest("d-7", 10)); fmt.Sprint(got) != "[19 18]" {
		t.Errorf("each has %v", got)
	}
	for i := range 5000 {
		b.Add(inboxMessage(ID(fmt.Sprintf("e-%d", i)), i))
	}
	for i := range 400 {
		b.Add(inboxMessage(ID(fmt.Sprintf("d-%d", i)), 20))
	}
	if got := sizes(b.Newest("d-7", 10)); fmt.Sprint(got) != "[20]" || b.Len() != 5400 {
		t.Errorf("one of each: %v, %d in all", got, b.Len())
	}
}

// What is kept is a copy: the batch it came with is free to go.
func TestInboxCopies(t *testing.T) {
	b := NewInbox(2, 10)
	m := inboxMessage("d", 1)
	b.Add(m)
	m.Observations[0].Values[0].Number = 7
	if got := b.Newest("d", 1)[0].Observations[0].Values[0].Number; got != 1 {
		t.Errorf("the value became %v", got)
	}
}
