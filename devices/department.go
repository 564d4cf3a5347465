package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Department is who answers for devices. A device names its department; the
// head is named here once, so that a new head is one change and not one for
// each device.
type Department struct {
	Name    string `json:"name"`
	Head    string `json:"head,omitempty" personal:"name"`
	Contact string `json:"contact,omitempty" personal:"contact"` // telephone or mail
}

// Departments is the register of departments. It is safe for concurrent use.
type Departments struct {
	store Store

	mu   sync.RWMutex
	byID map[string]Department // by departmentKey
}

// maxDepartments bounds the register: a city has dozens.
const maxDepartments = 1000

// departmentKey is one for all spellings that people take for the same: case and
// white space do not matter, marks do.
func departmentKey(name string) string {
	return strings.ToLower(strings.Join(strings.Fields(name), " "))
}

// OpenDepartments loads the register of departments from its store.
func OpenDepartments(ctx context.Context, store Store) (*Departments, error) {
	r := &Departments{store: store, byID: map[string]Department{}}
	err := store.Load(ctx, func(key string, value []byte) error {
		var d Department
		if err := json.Unmarshal(value, &d); err != nil {
			return fmt.Errorf("department %q: %w", key, err)
		}
		r.byID[key] = d
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the departments: %w", err)
	}
	return r, nil
}

// Set adds a department or changes one.
func (r *Departments) Set(ctx context.Context, d Department) error {
	d.Name = strings.Join(strings.Fields(d.Name), " ")
	if d.Name == "" {
		return errors.New("a department has a name")
	}
	for _, text := range []string{d.Name, d.Head, d.Contact} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("department %.40q: name, head and contact are UTF-8 of at most %d bytes", d.Name, maxText)
		}
	}
	value, err := json.Marshal(&d)
	if err != nil {
		return fmt.Errorf("department %q: %w", d.Name, err)
	}
	key := departmentKey(d.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byID[key]; !ok && len(r.byID) >= maxDepartments {
		return fmt.Errorf("department %q: there are %d already", d.Name, maxDepartments)
	}
	if err := r.store.Put(ctx, key, value); err != nil {
		return fmt.Errorf("department %q: %w", d.Name, err)
	}
	r.byID[key] = d
	return nil
}

// Get finds a department by its name.
func (r *Departments) Get(name string) (Department, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	d, ok := r.byID[departmentKey(name)]
	return d, ok
}

// Head names who heads a department, "" when nobody is named.
func (r *Departments) Head(name string) string {
	d, _ := r.Get(name)
	return d.Head
}

// List gives all departments by name.
func (r *Departments) List() []Department {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]Department, 0, len(r.byID))
	for _, d := range r.byID {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Department) int { return strings.Compare(a.Name, b.Name) })
	return list
}
