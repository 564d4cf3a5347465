package alert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// A story is readings in and alarms out, at times. Its lines:
//
//	device ID PROFILE [simulated] [state=STATE] [upstream=ID] [place=LON,LAT] [exercise=DRILL]
//	                                                 a device in the register
//	rules … end                                      the rules, without their texts
//	thresholds … end                                 the register of thresholds
//	MM:SS ID QUANTITY=VALUE… [in LAYER/CODE…] [at LON,LAT] [event MM:SS]
//	                                                 a reading arrives (event: when it was taken)
//	MM:SS tick                                       the clock is looked at
//	MM:SS ack ALARM-RULE ID by NAME [as ROLE] …      an operator acts; story_life_test.go has the acts
//	MM:SS apply … end                                other rules
//	MM:SS state ID STATE | remove ID                 the register changes
//	crash | restart                                  the program ends, without or with good-bye, and starts
//	log fails | log loses | log works                appends fail, fail after they were done, or work
//	> EVENT RULE ID TO [VALUE]                       what must have followed, in this order
//	> conflict NAME | > refused CODE | > no alarm | > error
//	                                                 what an act must have answered
//	= RULE ID STATE [because ID] [with N]            what must be open now, all of it, before the next line
//
// After each line there must be no other transition than those told.
type story struct {
	t    *testing.T
	file string
	line int

	register *devices.Register
	store    *memStore
	log      *memLog
	now      time.Time
	alarms   *Alarms

	operators int
	plan      string // the id of the last one made

	journal []*devices.Message // what was handled or is to be
	out     []string           // what followed and was not yet told
}

var midnight = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d stories (%v), want at least 20", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := &story{t: t, file: filepath.Base(file), store: newMemStore(), log: &memLog{}, now: midnight}
			s.register, err = devices.OpenRegister(t.Context(), newMemStore(), devices.DefaultCatalogue())
			if err != nil {
				t.Fatal(err)
			}
			s.open()
			s.tell(bufio.NewScanner(f))
			s.nothingLeft()
			s.chainHolds()
		})
	}
}

func (s *story) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

func (s *story) open() {
	alarms, err := Open(s.t.Context(), Options{
		Register: s.register, Store: s.store, Transitions: s.log,
		ZoneName:  func(z devices.ZoneRef) string { return strings.ToUpper(z.Code) },
		Now:       func() time.Time { return s.now },
		SaveEvery: 30 * time.Second,
		Operators: func(time.Time) int { return max(1, s.operators) },
	})
	if err != nil {
		s.fail("open: %v", err)
	}
	s.alarms = alarms
	alarms.Subscribe(func(a Alarm) {
		value := ""
		if a.Value != nil {
			value = " " + strconv.FormatFloat(*a.Value, 'g', 6, 64)
		}
		s.out = append(s.out, fmt.Sprintf("%s %s %s%s", a.Rule, a.Entity, a.State, value))
	})
}

// handle gives the engine what the journal has from its place on.
func (s *story) handle() error {
	for next := s.alarms.Next(); next <= uint64(len(s.journal)); next = s.alarms.Next() {
		if err := s.alarms.Handle(s.t.Context(), s.journal[next-1:next], nil, next); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) tell(in *bufio.Scanner) {
	block := func() string {
		var b strings.Builder
		for in.Scan() {
			s.line++
			if strings.TrimSpace(in.Text()) == "end" {
				return b.String()
			}
			b.WriteString(in.Text() + "\n")
		}
		s.fail("a block has no end")
		return ""
	}
	for in.Scan() {
		s.line++
		text, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		// Several readings of one moment follow one another; what they say together
		// is judged before anything else is told.
		if at, ok := clock(words[0]); words[0] != "crash" && words[0] != "restart" && (!ok || !at.Equal(s.now)) {
			s.settle()
		}
		if words[0] == ">" {
			s.expect(words[1:])
			continue
		}
		if words[0] != "=" {
			s.nothingLeft()
		}
		if at, ok := clock(words[0]); ok {
			s.now, words = at, words[1:]
		}
		switch verb := words[0]; verb {
		case "device":
			s.addDevice(words[1:])
		case "rules", "apply":
			if err := s.alarms.Apply(s.t.Context(), fullRules(block())); err != nil {
				s.fail("%v", err)
			}
		case "thresholds":
			if err := s.alarms.SetThresholds(s.t.Context(), []byte("version: 1\n"+block()), Actor{Name: "test"}, ""); err != nil {
				s.fail("%v", err)
			}
		case "tick":
			s.answer(s.alarms.Tick(s.t.Context(), s.now))
		case "ack", "claim", "release", "comment", "assign", "accept", "return", "shelve", "unshelve", "false", "remove-service", "restore", "plan", "unplan", "flood", "note":
			s.act(verb, words[1:])
		case "state":
			if err := s.register.Update(s.t.Context(), devices.ID(words[1]), func(d *devices.Device) error {
				d.State = devices.LifeState(words[2])
				return nil
			}); err != nil {
				s.fail("%v", err)
			}
		case "remove":
			if err := s.register.Remove(s.t.Context(), devices.ID(words[1])); err != nil {
				s.fail("%v", err)
			}
		case "restart":
			if err := s.alarms.Close(s.t.Context()); err != nil {
				s.fail("close: %v", err)
			}
			fallthrough
		case "crash":
			s.log.mode = ""
			s.open()
			s.answer(s.handle())
		case "log":
			if s.log.mode = words[1]; s.log.mode == "works" {
				s.log.mode = ""
			}
		case "=":
			s.openAlarms(words[1:])
		default:
			s.reading(words)
		}
	}
}

// settle lets time pass until no moment waits to be judged.
func (s *story) settle() {
	if s.log.mode == "" && len(s.alarms.engine.pending) > 0 {
		s.answer(s.alarms.Settle(s.t.Context(), s.now.Add(momentMost*time.Millisecond)))
	}
}

func (s *story) expect(words []string) {
	if len(s.out) == 0 {
		s.fail("nothing followed, want %s", strings.Join(words, " "))
	}
	want := strings.Join(words, " ")
	got := s.out[0]
	s.out = s.out[1:]
	// A value need not be told.
	if got != want && !strings.HasPrefix(got, want+" ") {
		s.fail("got %q, want %q", got, want)
	}
}

func (s *story) nothingLeft() {
	if len(s.out) > 0 {
		s.fail("before this line, nobody told of: %s", strings.Join(s.out, "; "))
	}
}

func (s *story) answer(err error) {
	var conflict *Conflict
	var bad *BadAct
	switch {
	case err == nil:
	case errors.As(err, &conflict):
		s.out = append(s.out, "conflict "+firstBy(&conflict.Alarm))
	case errors.As(err, &bad):
		s.out = append(s.out, "refused "+bad.Code)
	case errors.Is(err, ErrNoAlarm):
		s.out = append(s.out, "no alarm")
	case errors.Is(err, errLog):
		s.out = append(s.out, "error")
	default:
		s.fail("%v", err)
	}
}

func (s *story) openAlarms(words []string) {
	var got []string
	for _, a := range s.alarms.List() {
		text := fmt.Sprintf("%s %s %s", a.Rule, a.Entity, a.State)
		if a.Because != "" {
			text += fmt.Sprintf(" because %s", a.Because)
		}
		text += lifeOf(&a)
		if a.Unreachable > 0 {
			text += fmt.Sprintf(" with %d", a.Unreachable)
		}
		got = append(got, text)
	}
	if g, w := strings.Join(got, ", "), strings.Join(words, " "); g != w && !(len(got) == 0 && w == "none") {
		s.fail("open: %s; want %s", g, w)
	}
}

func (s *story) addDevice(words []string) {
	d := devices.Device{ID: devices.ID(words[0]), Profile: words[1], Name: "Trạm " + words[0], At: devices.Position{Lon: 106.17, Lat: 20.42}, Added: midnight}
	for _, w := range words[2:] {
		if state, ok := strings.CutPrefix(w, "state="); ok {
			d.State = devices.LifeState(state)
		}
		if up, ok := strings.CutPrefix(w, "upstream="); ok {
			d.Upstream = devices.ID(up)
		}
		if place, ok := strings.CutPrefix(w, "place="); ok {
			if _, err := fmt.Sscanf(place, "%g,%g", &d.At.Lon, &d.At.Lat); err != nil {
				s.fail("%v", err)
			}
		}
		if drill, ok := strings.CutPrefix(w, "exercise="); ok {
			d.Exercise = drill
		}
		d.Simulated = d.Simulated || w == "simulated"
	}
	if p, ok := s.register.Catalogue().Profile(d.Profile); ok && p.Moving {
		d.At = devices.Position{}
	}
	if _, err := s.register.Add(s.t.Context(), d); err != nil {
		s.fail("%v", err)
	}
}

// reading reads: ID QUANTITY=VALUE… [in LAYER/CODE…] [at LON,LAT] [event MM:SS].
func (s *story) reading(words []string) {
	o := devices.Observation{Time: s.now, At: devices.Position{Lon: 106.17, Lat: 20.42}}
	if d, ok := s.register.Get(devices.ID(words[0])); ok && d.At.Known() {
		o.At = d.At
	}
	mode := ""
	for _, w := range words[1:] {
		name, value, assigns := strings.Cut(w, "=")
		switch {
		case assigns:
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				s.fail("%v", err)
			}
			o.Values = append(o.Values, devices.Value{Quantity: devices.Quantity(name), Number: n})
		case mode == "event":
			o.Time, _ = clock(w)
		case mode == "at":
			if _, err := fmt.Sscanf(w, "%g,%g", &o.At.Lon, &o.At.Lat); err != nil {
				s.fail("%v", err)
			}
		case mode == "in" && strings.Contains(w, "/"):
			layer, code, _ := strings.Cut(w, "/")
			o.Zones = append(o.Zones, devices.ZoneRef{Layer: layer, Code: code, ValidFrom: "2025-07-01"})
		}
		switch w {
		case "in", "at", "event":
			mode = w
		}
	}
	s.journal = append(s.journal, &devices.Message{Device: devices.ID(words[0]), Received: s.now, Observations: []devices.Observation{o}})
	s.answer(s.handle())
}

// chainHolds checks what the log must be at the end of every story: numbered
// without a gap, each record naming the one before, times in both senses.
func (s *story) chainHolds() {
	reopened, err := Open(s.t.Context(), Options{Register: s.register, Store: newMemStore(), Transitions: s.log, Now: func() time.Time { return s.now }})
	if err != nil {
		s.fail("the log alone cannot be opened: %v", err)
	}
	if got, want := summary(reopened.List()), summary(s.alarms.List()); got != want {
		s.fail("folded from the log alone: %s; want %s", got, want)
	}
	if got, want := reopened.n, uint64(len(s.log.records)); got != want {
		s.fail("the log has %d records, the last is number %d", want, got)
	}
	if breaks := counterValue(s.t, reopened.metrics.breaks); breaks != 0 {
		s.fail("the chain of the log is broken %g times", breaks)
	}
}

func summary(list []Alarm) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "%s %s %v %d; ", a.ID, a.State, a.Acknowledged, a.Changes)
	}
	return b.String()
}

// fullRules adds the texts every rule must have and no story is about.
func fullRules(short string) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for line := range strings.Lines(short) {
		b.WriteString(line)
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "- id:") {
			indent := strings.Repeat(" ", strings.Index(line, "-")+2)
			for _, more := range []string{
				"name: {vi: Luật, en: Rule}", "owner: a department", "head: a head",
				"message: {vi: '{name} {value} {unit} {zone}', en: '{name} {value} {unit} {zone}'}",
				"response: {vi: Làm, en: Act}", "procedure: {vi: [Làm], en: [Act]}",
			} {
				b.WriteString(indent + more + "\n")
			}
			if !strings.Contains(short, "priority:") {
				b.WriteString(indent + "priority: 2\n")
			}
		}
	}
	return []byte(b.String())
}

func clock(s string) (time.Time, bool) {
	var h, m, sec int
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return time.Time{}, false
	}
	var err error
	for i, to := range []*int{&sec, &m, &h}[:len(parts)] {
		if *to, err = strconv.Atoi(parts[len(parts)-1-i]); err != nil {
			return time.Time{}, false
		}
	}
	return midnight.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second), true
}

// memStore is a devices.Store in memory.
type memStore struct{ entries map[string][]byte }

func newMemStore() *memStore { return &memStore{entries: map[string][]byte{}} }

func (s *memStore) Load(_ context.Context, each func(string, []byte) error) error {
	for k, v := range s.entries {
		if err := each(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Put(_ context.Context, key string, value []byte) error {
	s.entries[key] = value
	return nil
}

func (s *memStore) PutAll(_ context.Context, entries map[string][]byte) error {
	maps.Copy(s.entries, entries)
	return nil
}

func (s *memStore) Delete(_ context.Context, key string) error {
	delete(s.entries, key)
	return nil
}

// memLog is a Log in memory whose appends can fail, before or after they were
// done.
type memLog struct {
	records [][]byte
	mode    string // "", fails, loses
}

var errLog = errors.New("disk full")

func (l *memLog) Append(_ context.Context, _ string, data []byte) (uint64, error) {
	if l.mode == "fails" {
		return 0, errLog
	}
	l.records = append(l.records, data)
	if l.mode == "loses" {
		return 0, errLog
	}
	return uint64(len(l.records)), nil
}

func (l *memLog) Read(_ context.Context, from uint64, each func(uint64, time.Time, string, []byte) error) error {
	for i := max(from, 1); i <= uint64(len(l.records)); i++ {
		if err := each(i, midnight, subject, l.records[i-1]); err != nil {
			return err
		}
	}
	return nil
}
