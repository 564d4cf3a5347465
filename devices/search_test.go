package devices

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

func find(s *Search, q string) []ID {
	var ids []ID
	for _, f := range s.List() {
		if f.Has(Words(q)) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

func TestSearch(t *testing.T) {
	ctx := context.Background()
	r := openRegister(t, newMemStore())
	for _, d := range []Device{
		{ID: "aq-7", Profile: "air-quality", Name: "Trạm Nam Định", Site: "Quảng trường Hòa Bình", Owner: "Sở TN&MT"},
		{ID: "aq-3", Profile: "air-quality", Name: "Đò Quan"},
		{ID: "rv-1", Profile: "river-level", Name: "Sông Đào", Model: "VL-2000"},
	} {
		if _, err := r.Add(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	s := NewSearch(r)
	for _, c := range []struct {
		q    string
		want []ID
	}{
		{"", []ID{"aq-3", "aq-7", "rv-1"}},
		{"nam dinh", []ID{"aq-7"}},
		{"NAM ĐỊNH", []ID{"aq-7"}},
		{"dinh tram", []ID{"aq-7"}}, // in any order
		{"Nam Đi\u0323nh", []ID{"aq-7"}},
		{"do quan", []ID{"aq-3"}},
		{"đ", []ID{"aq-3", "aq-7", "rv-1"}},
		{"hoa binh", []ID{"aq-7"}},
		{"so tn&mt", []ID{"aq-7"}},
		{"vl-2000", []ID{"rv-1"}},
		{"AQ-", []ID{"aq-3", "aq-7"}},
		{"nam dinhx", nil},
		{"\n", []ID{"aq-3", "aq-7", "rv-1"}},
	} {
		if got := find(s, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%q: found %v, want %v", c.q, got, c.want)
		}
	}
}

// TestSearchFollows changes the register at random and compares with a look at
// all of it.
func TestSearchFollows(t *testing.T) {
	ctx := context.Background()
	r := openRegister(t, newMemStore())
	s := NewSearch(r)
	for i := range 300 {
		id := ID(fmt.Sprintf("d-%d", i*7919%101))
		switch _, known := r.Get(id); {
		case !known:
			if _, err := r.Add(ctx, Device{ID: id, Profile: "noise", Name: fmt.Sprintf("Ồn %d", i)}); err != nil {
				t.Fatal(err)
			}
		case i%3 == 0:
			if err := r.Remove(ctx, id); err != nil {
				t.Fatal(err)
			}
		default:
			if err := r.Update(ctx, id, func(d *Device) error { d.Name = fmt.Sprintf("Đổi %d", i); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if i%5 != 0 {
			continue // several changes between two questions
		}
		var got []*Device
		for _, f := range s.List() {
			got = append(got, f.Device)
		}
		if want := r.List(); !slices.Equal(got, want) {
			t.Fatalf("after %d changes the search has %d devices, the register %d, or others", i+1, len(got), len(want))
		}
	}
	if got, want := len(find(s, "doi")), len(find(s, "đổi")); got != want || got == 0 {
		t.Errorf("%d devices were renamed by one spelling, %d by the other", got, want)
	}
}

// large is a register of n devices with Vietnamese names.
func large(b *testing.B, n int) *Register {
	r := openRegister(b, newMemStore())
	list := make([]Device, n)
	for i := range list {
		list[i] = Device{
			ID: ID(fmt.Sprintf("aq-%06d", i)), Profile: "air-quality", TokenHash: make([]byte, 32),
			Name: fmt.Sprintf("Trạm Nam Định số %d", i), Site: "Đường Trần Hưng Đạo", Owner: "Sở Tài nguyên và Môi trường",
		}
	}
	if _, err := r.AddAll(context.Background(), list); err != nil {
		b.Fatal(err)
	}
	return r
}

func BenchmarkSearch100k(b *testing.B) {
	r := large(b, 100_000)
	s := NewSearch(r)
	s.List()
	b.Run("question", func(b *testing.B) {
		for b.Loop() {
			if got := len(find(s, "nam dinh 99999")); got != 1 {
				b.Fatalf("found %d", got)
			}
		}
	})
	b.Run("after-a-change", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if err := r.Update(context.Background(), "aq-050000", func(d *Device) error { d.Name = fmt.Sprintf("Đổi %d", n); return nil }); err != nil {
				b.Fatal(err)
			}
			if got := len(find(s, fmt.Sprintf("doi %d", n))); got != 1 {
				b.Fatalf("found %d", got)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if got := len(NewSearch(r).List()); got != 100_000 {
				b.Fatalf("%d devices", got)
			}
		}
	})
}
