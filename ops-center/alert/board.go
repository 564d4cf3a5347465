package alert

import (
	"cmp"
	"slices"
	"sync"

	"vonglau/devices"
)

// board is the open alarms as they are shown, in order. A change costs a search
// and a shift of pointers, however many alarms are open; what is read of it is
// never changed, so that a reader copies pointers only.
type board struct {
	mu       sync.RWMutex
	byID     map[string]*Alarm
	byDevice map[devices.ID]map[string]*Alarm
	order    []*Alarm           // by urgency
	behind   map[devices.ID]int // silences explained by a node
	priority [5]int
}

func (b *board) init() {
	b.byID, b.byDevice = map[string]*Alarm{}, map[devices.ID]map[string]*Alarm{}
	b.behind = map[devices.ID]int{}
}

// urgency orders alarms: those that ask for somebody first, of them the most
// urgent, of those the newest.
func urgency(a, b *Alarm) int {
	return cmp.Or(cmp.Compare(hidden(a), hidden(b)), cmp.Compare(a.Priority, b.Priority), b.Raised.Compare(a.Raised), cmp.Compare(a.ID, b.ID))
}

func hidden(a *Alarm) int {
	if a.State.Shown() {
		return 0
	}
	return 1
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.device, b.device))
}

func (b *board) set(a Alarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.byID[a.ID]; old != nil {
		b.drop(old)
	}
	if a.State == Normal {
		return
	}
	p := &a
	b.byID[a.ID] = p
	put(b.byDevice, a.Device, p)
	i, _ := slices.BinarySearchFunc(b.order, p, urgency)
	b.order = slices.Insert(b.order, i, p)
	b.priority[a.Priority&7%5]++
	if a.State == Suppressed && a.Because != "" {
		b.behind[a.Because]++
	}
}

func (b *board) drop(old *Alarm) {
	delete(b.byID, old.ID)
	remove(b.byDevice, old.Device, old.ID)
	if i, ok := slices.BinarySearchFunc(b.order, old, urgency); ok {
		b.order = slices.Delete(b.order, i, i+1)
	}
	b.priority[old.Priority&7%5]--
	if old.State == Suppressed && old.Because != "" {
		if b.behind[old.Because]--; b.behind[old.Because] <= 0 {
			delete(b.behind, old.Because)
		}
	}
}

func put[K comparable](m map[K]map[string]*Alarm, k K, a *Alarm) {
	if m[k] == nil {
		m[k] = map[string]*Alarm{}
	}
	m[k][a.ID] = a
}

func remove[K comparable](m map[K]map[string]*Alarm, k K, id string) {
	delete(m[k], id)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

func (b *board) count(priority int) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.priority[priority&7%5]
}

// shown gives an alarm as it is read: with what is of the moment.
func (b *board) shown(a *Alarm) Alarm {
	out := *a
	if n := b.behind[a.Device]; n > 0 && a.silence() && a.State != Suppressed {
		out.Unreachable = n
	}
	return out
}

// List gives the open alarms, the most urgent first and of those the newest; the
// ones that are not shown come last. The silence of a node tells how many devices
// behind it are silent with it.
func (s *Alarms) List() []Alarm {
	s.board.mu.RLock()
	defer s.board.mu.RUnlock()
	out := make([]Alarm, len(s.board.order))
	for i, a := range s.board.order {
		out[i] = s.board.shown(a)
	}
	return out
}

// Get finds an open alarm.
func (s *Alarms) Get(id string) (Alarm, bool) {
	s.board.mu.RLock()
	defer s.board.mu.RUnlock()
	a, ok := s.board.byID[id]
	if !ok {
		return Alarm{}, false
	}
	return s.board.shown(a), true
}

// Worst is the most urgent priority among a device's alarms that colour the map,
// 0 when there is none.
func (s *Alarms) Worst(id devices.ID) int {
	s.board.mu.RLock()
	defer s.board.mu.RUnlock()
	worst := 0
	for _, a := range s.board.byDevice[id] {
		if a.State.Colours() && (worst == 0 || a.Priority < worst) {
			worst = a.Priority
		}
	}
	return worst
}
