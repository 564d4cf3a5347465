package ingest

import (
	"bytes"
	"testing"
	"time"

	"vonglau/devices"
)

func TestTransfers(t *testing.T) {
	now := time.Unix(0, 0)
	type step struct {
		device  devices.ID
		tag     string
		num     uint32
		more    bool
		part    string // 16 bytes a block
		wait    time.Duration
		want    verdictOfBlock
		payload string
	}
	a, b, c := "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cc"
	for name, steps := range map[string][]step{
		"three blocks": {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 1, true, b, 0, blockMore, ""}, {"d", "", 2, false, c, 0, blockWhole, a + b + c}},
		"one block":    {{"d", "", 0, false, c, 0, blockWhole, c}},
		"no first":     {{"d", "", 1, true, b, 0, blockIncomplete, ""}},
		"last alone":   {{"d", "", 2, false, c, 0, blockIncomplete, ""}},
		"one missing":  {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 2, false, c, 0, blockIncomplete, ""}},
		"answer lost":  {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 1, true, b, 0, blockMore, ""}, {"d", "", 1, true, b, 0, blockMore, ""}, {"d", "", 2, false, c, 0, blockWhole, a + b + c}},
		"begun again":  {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 0, true, b, 0, blockMore, ""}, {"d", "", 1, false, c, 0, blockWhole, b + c}},
		"short middle": {{"d", "", 0, true, c, 0, blockIncomplete, ""}},
		"too large":    {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 4, true, b, 0, blockTooLarge, ""}, {"d", "", 1, false, c, 0, blockIncomplete, ""}},
		"left lying":   {{"d", "", 0, true, a, 0, blockMore, ""}, {"d", "", 1, false, c, exchangeLifetime + time.Second, blockIncomplete, ""}},
		"two tags":     {{"d", "x", 0, true, a, 0, blockMore, ""}, {"d", "y", 0, true, b, 0, blockMore, ""}, {"d", "x", 1, false, c, 0, blockWhole, a + c}, {"d", "y", 1, false, c, 0, blockWhole, b + c}},
		"two devices":  {{"d", "", 0, true, a, 0, blockMore, ""}, {"e", "", 1, false, c, 0, blockIncomplete, ""}, {"d", "", 1, false, c, 0, blockWhole, a + c}},
		"five transfers": {
			{"d", "1", 0, true, a, 0, blockMore, ""}, {"d", "2", 0, true, a, 0, blockMore, ""}, {"d", "3", 0, true, a, 0, blockMore, ""},
			{"d", "4", 0, true, a, 0, blockMore, ""}, {"d", "5", 0, true, a, 0, blockMore, ""},
			{"d", "1", 1, false, c, 0, blockIncomplete, ""}, {"d", "5", 1, false, c, 0, blockWhole, a + c},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTransfers(64, func() time.Time { return now })
			for i, s := range steps {
				now = now.Add(s.wait)
				payload, verdict := x.add(s.device, s.tag, block{num: s.num, more: s.more, szx: 0}, []byte(s.part))
				if verdict != s.want || string(payload) != s.payload {
					t.Errorf("block %d: got %d %q, want %d %q", i, verdict, payload, s.want, s.payload)
				}
			}
			held := 0
			for _, list := range x.open {
				for _, tr := range list {
					held += len(tr.buf)
				}
			}
			if held != x.bytes {
				t.Errorf("%d bytes are held, %d counted", held, x.bytes)
			}
		})
	}
}

func TestBlockOption(t *testing.T) {
	for _, c := range []struct {
		b     block
		value []byte // RFC 7959 section 2.2, by hand
	}{
		{block{0, false, 0}, nil},
		{block{0, true, 2}, []byte{0x0a}},
		{block{3, false, 6}, []byte{0x36}},
		{block{1000, true, 5}, []byte{0x3e, 0x8d}},
	} {
		if got := c.b.option(27).Value; !bytes.Equal(got, c.value) {
			t.Errorf("%+v: got %x, want %x", c.b, got, c.value)
		}
	}
}

func TestSlice(t *testing.T) {
	body := []byte("0123456789abcdefXYZ")
	for _, c := range []struct {
		num  uint32
		want string
		more bool
		ok   bool
	}{{0, "0123456789abcdef", true, true}, {1, "XYZ", false, true}, {2, "", false, false}} {
		part, b, ok := slice(body, block{num: c.num})
		if string(part) != c.want || ok != c.ok || ok && b.more != c.more {
			t.Errorf("block %d: got %q more %v ok %v", c.num, part, b.more, ok)
		}
	}
}
