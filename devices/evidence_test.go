package devices

import (
	"fmt"
	"slices"
	"testing"
)

func TestEvidenceKeepsTheNewest(t *testing.T) {
	e := NewEvidence(4)
	for i := range 6 {
		id := ID("a")
		if i%2 == 1 {
			id = "b"
		}
		e.Add(&Refusal{Device: id, Reason: ReasonMalformed, Detail: fmt.Sprint(i)})
	}
	details := func(list []*Refusal) (out []string) {
		for _, r := range list {
			out = append(out, r.Detail)
		}
		return out
	}
	for _, c := range []struct {
		device ID
		reason Reason
		limit  int
		want   []string
	}{
		{"", "", 10, []string{"5", "4", "3", "2"}},
		{"", "", 2, []string{"5", "4"}},
		{"a", "", 10, []string{"4", "2"}},
		{"b", ReasonMalformed, 10, []string{"5", "3"}},
		{"b", ReasonEmpty, 10, nil},
		{"c", "", 10, nil},
	} {
		if got := details(e.Newest(c.device, c.reason, c.limit)); !slices.Equal(got, c.want) {
			t.Errorf("newest of %q %q, %d: got %v, want %v", c.device, c.reason, c.limit, got, c.want)
		}
	}
	if got := e.Count("a"); got != 2 {
		t.Errorf("count of a: got %d, want 2: what fell out is not counted", got)
	}
}
