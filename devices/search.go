package devices

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Search finds devices among a hundred thousand while somebody types. It keeps
// what people search in, folded once, in the order of ids. A change of the
// register costs one pass over the list at the next question, however many
// changes there were; a question holds no lock while it looks.
type Search struct {
	register *Register

	mu      sync.Mutex
	changed map[ID]bool // since the last question
	entries []*Found    // by id; never changed once it is here
}

// Found is a device with what was made of it for searching.
type Found struct {
	*Device
	text  string // folded: id, name, site, owner, model
	site  string // folded
	owner string // folded
}

func newFound(d *Device) *Found {
	f := &Found{Device: d, site: Fold(d.Site), owner: Fold(d.Owner)}
	f.text = strings.Join([]string{strings.ToLower(string(d.ID)), Fold(d.Name), f.site, f.owner, Fold(d.Model)}, "\n")
	return f
}

// NewSearch builds the index and keeps it up to date from then on.
func NewSearch(r *Register) *Search {
	s := &Search{register: r, changed: map[ID]bool{}}
	r.OnChange(s.note)
	for _, d := range r.List() {
		s.note(d)
	}
	s.List() // the first question need not wait for all of it
	return s
}

func (s *Search) note(d *Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[d.ID] = true
}

// List gives every device by id. The slice is shared: do not change it. A
// change that the register has told of is in it.
func (s *Search) List() []*Found {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changed) == 0 {
		return s.entries
	}
	fresh := make([]*Found, 0, len(s.changed))
	for id := range s.changed {
		if d, ok := s.register.Get(id); ok {
			fresh = append(fresh, newFound(d))
		}
	}
	slices.SortFunc(fresh, func(a, b *Found) int { return strings.Compare(string(a.ID), string(b.ID)) })
	merged := make([]*Found, 0, len(s.entries)+len(fresh))
	for _, old := range s.entries {
		for len(fresh) > 0 && fresh[0].ID < old.ID {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
		if !s.changed[old.ID] {
			merged = append(merged, old)
		}
	}
	s.entries = append(merged, fresh...)
	clear(s.changed)
	return s.entries
}

// Words splits what somebody typed, the longest first: it is the one that most
// devices lack. A device matches when it has all of them.
func Words(q string) []string {
	words := strings.Fields(Fold(q))
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// Has reports whether the device has all of words, which Words has made.
func (f *Found) Has(words []string) bool { return hasAll(f.text, words) }

// StandsAt reports whether its site has all of words.
func (f *Found) StandsAt(words []string) bool { return hasAll(f.site, words) }

// OwnedBy reports whether its department is the one of that name, which Fold has
// folded.
func (f *Found) OwnedBy(folded string) bool { return f.owner == folded }

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// Fold takes off what a search should not depend on: case and diacritics. The
// letter đ is no d with a mark to Unicode, but it is one to whoever types
// without a Vietnamese keyboard.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFD.String(s) {
		switch {
		case r < utf8.RuneSelf:
			if r >= 'A' && r <= 'Z' {
				r += 'a' - 'A'
			}
			b.WriteByte(byte(r))
		case r == 'đ' || r == 'Đ':
			b.WriteByte('d')
		case !unicode.Is(unicode.Mn, r):
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
