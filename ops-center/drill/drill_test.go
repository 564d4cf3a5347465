package drill

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vonglau/devices"
)

type memoryStore struct {
	mu   sync.Mutex
	fail error
	m    map[string][]byte
}

func (s *memoryStore) Load(context.Context, func(string, []byte) error) error { return nil }
func (s *memoryStore) Put(ctx context.Context, key string, value []byte) error {
	return s.PutAll(ctx, map[string][]byte{key: value})
}
func (s *memoryStore) PutAll(_ context.Context, entries map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range entries {
		if s.fail != nil {
			return s.fail
		}
		s.m[k] = v
	}
	return nil
}
func (s *memoryStore) Delete(context.Context, string) error { return nil }

type memoryLog struct {
	mu   sync.Mutex
	acts [][]byte
}

func (l *memoryLog) Append(_ context.Context, _ string, data []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acts = append(l.acts, bytes.Clone(data))
	return uint64(len(l.acts)), nil
}

func (l *memoryLog) Read(_ context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for i := int(from) - 1; i < len(l.acts); i++ {
		if err := each(uint64(i+1), time.Time{}, subject, l.acts[i]); err != nil {
			return err
		}
	}
	return nil
}

func open(t *testing.T, log *memoryLog, store *memoryStore) (*Drills, *devices.Register) {
	t.Helper()
	r, err := devices.OpenRegister(t.Context(), store, devices.DefaultCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), devices.Device{ID: "aq-1", Profile: "air-quality", At: devices.Position{Lat: 20.4, Lon: 106.1}, Owner: "env", Name: "Trạm 1"}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Log: log, Register: r, Summarise: func(_ context.Context, d Drill) (Summary, error) {
		for _, id := range d.Devices {
			if dev, ok := r.Get(id); ok && dev.State != devices.Retired {
				t.Errorf("%s is summed up while %s reports", d.ID, id)
			}
		}
		return Summary{Alarms: len(d.Devices)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func spec() Spec {
	return Spec{Name: "Ngập", Ends: time.Now().Add(time.Hour), Like: []devices.ID{"aq-1"},
		Devices: []Device{{Profile: "air-quality", At: devices.Position{Lat: 20.5, Lon: 106.2}}}}
}

// TestDrill follows a drill from its devices to its summary.
func TestDrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := &memoryLog{}, &memoryStore{m: map[string][]byte{}}
		s, r := open(t, log, store)
		before := time.Now()
		time.Sleep(time.Second)
		d, tokens, err := s.Start(t.Context(), spec(), "An")
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Devices) != 2 || len(tokens) != 2 || !d.Running() {
			t.Fatalf("started %+v", d)
		}
		for id, token := range tokens {
			dev, err := r.Authenticate(id, token)
			if err != nil || dev.Exercise != d.ID || dev.State != devices.Active || !strings.Contains(dev.Name, "DIỄN TẬP") {
				t.Errorf("%+v: %v", dev, err)
			}
			// For life: neither side is left.
			if err := r.Update(t.Context(), id, func(d *devices.Device) error { d.Exercise = ""; return nil }); err == nil {
				t.Error("an exercise device became the city's")
			}
		}
		if err := r.Update(t.Context(), "aq-1", func(dev *devices.Device) error { dev.Exercise = d.ID; return nil }); err == nil {
			t.Error("a device of the city became an exercise's")
		}
		if copied, _ := r.Get(d.Devices[0]); copied.At.Lat != 20.4 || copied.Owner != "env" {
			t.Errorf("copied %+v", copied)
		}

		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(59 * time.Minute)
		if d, _ = s.Get(d.ID); !d.Running() {
			t.Fatal("it ended too soon")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if d, _ = s.Get(d.ID); d.Running() || d.EndedBy != clockwork || d.Summary.Alarms != 2 {
			t.Errorf("ended %+v", d)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if dev, _ := r.Get(d.Devices[0]); dev.State != devices.Retired {
			t.Errorf("its device is %s", dev.State)
		}
		if _, err := s.End(t.Context(), d.ID, "An"); !errors.Is(err, ErrState) {
			t.Errorf("ended twice: %v", err)
		}
		again, err := Open(t.Context(), s.opt)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := again.Get(d.ID); !got.Ended.Equal(d.Ended) || got.Summary == nil || *got.Summary != *d.Summary {
			t.Errorf("after a restart %+v, want %+v", got, d)
		}
		if len(s.At(before)) != 0 || !s.At(d.Started)[0].Running() || s.At(d.Ended)[0].Running() {
			t.Error("the time machine has it wrong")
		}
	})
}

func TestRefused(t *testing.T) {
	s, _ := open(t, &memoryLog{}, &memoryStore{m: map[string][]byte{}})
	for name, change := range map[string]func(*Spec){
		"no name":         func(s *Spec) { s.Name = " " },
		"over already":    func(s *Spec) { s.Ends = time.Now().Add(-time.Second) },
		"a month":         func(s *Spec) { s.Ends = time.Now().Add(31 * 24 * time.Hour) },
		"no devices":      func(s *Spec) { s.Devices, s.Like = nil, nil },
		"too many":        func(s *Spec) { s.Devices = make([]Device, maxDevices+1) },
		"like nobody":     func(s *Spec) { s.Like = []devices.ID{"nobody"} },
		"unknown profile": func(s *Spec) { s.Devices[0].Profile = "submarine" },
	} {
		sp := spec()
		change(&sp)
		if _, _, err := s.Start(t.Context(), sp, "An"); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(s.List()) != 0 {
		t.Error("a refused drill is in the list")
	}
}

// TestDisk: a drill whose devices could not be made is over.
func TestDisk(t *testing.T) {
	store := &memoryStore{m: map[string][]byte{}}
	s, r := open(t, &memoryLog{}, store)
	store.fail = errors.New("disk full")
	if _, _, err := s.Start(t.Context(), spec(), "An"); !errors.Is(err, store.fail) {
		t.Fatal(err)
	}
	if d := s.List()[0]; d.Running() || len(r.List()) != 1 {
		t.Errorf("%+v and %d devices", d, len(r.List()))
	}
}
