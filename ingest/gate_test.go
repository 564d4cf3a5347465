package ingest

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
)

// heldJournal keeps what is appended until the test lets it reach the disk.
type heldJournal struct {
	mu      sync.Mutex
	entries []journal.Entry
	waiting []func(uint64, error)
}

func (h *heldJournal) Append(e journal.Entry, done func(uint64, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	h.waiting = append(h.waiting, done)
}

// sync answers everything that waits; fail answers the nth of it with an error.
func (h *heldJournal) sync(fail int, err error) {
	h.mu.Lock()
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for i, done := range waiting {
		if i == fail {
			done(0, err)
		} else {
			done(uint64(i+1), nil)
		}
	}
}

func (h *heldJournal) take() []journal.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries
	h.entries = nil
	return e
}

type memoryStore struct{}

func (memoryStore) Load(context.Context, func(string, []byte) error) error { return nil }
func (memoryStore) Put(context.Context, string, []byte) error              { return nil }
func (memoryStore) PutAll(context.Context, map[string][]byte) error        { return nil }
func (memoryStore) Delete(context.Context, string) error                   { return nil }

// dayPlacer puts everything into a zone whose code is the day it was asked for.
type dayPlacer struct{}

func (dayPlacer) Place(_, _ float64, at devices.Date, dst []devices.ZoneRef) []devices.ZoneRef {
	return append(dst, devices.ZoneRef{Layer: "wards", Code: string(at)})
}

type testGate struct {
	*Gate
	journal *heldJournal
	now     time.Time
	device  *devices.Device
}

func newTestGate(t *testing.T) *testGate {
	t.Helper()
	catalogue := devices.DefaultCatalogue()
	register, err := devices.OpenRegister(t.Context(), memoryStore{}, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := register.Add(t.Context(), devices.Device{ID: "aq-1", Profile: "air-quality", At: devices.Position{Lon: 106.168, Lat: 20.434}, State: devices.Active}); err != nil {
		t.Fatal(err)
	}
	hanoi, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Skip("no time zones on this machine")
	}
	g := &testGate{journal: &heldJournal{}, now: time.Date(2026, 11, 21, 16, 59, 59, 0, time.UTC)}
	g.Gate, err = NewGate(Options{
		Journal: g.journal, Register: register, Catalogue: catalogue, Places: dayPlacer{},
		Calendar: hanoi, EvidencePerMinute: 3, EvidenceTotal: 5, Now: func() time.Time { return g.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	g.device, _ = register.Get("aq-1")
	return g
}

func (g *testGate) submit(payload string) (answers *[]error) {
	answers = &[]error{}
	g.Submit(Delivery{Device: g.device, Via: devices.ViaMQTT, Payload: []byte(payload)}, func(err error) { *answers = append(*answers, err) })
	return answers
}

func TestGateAnswersOnlyWhatIsOnDisk(t *testing.T) {
	broken := devices.Refuse(devices.ReasonUnavailable, "the disk is full")
	for name, c := range map[string]struct {
		payload string
		entries string // what is appended, M message and R refusal
		fail    int
		want    devices.Reason // empty is success
	}{
		"reading":                           {`{"pm25":1}`, "M", -1, ""},
		"reading, sync fails":               {`{"pm25":1}`, "M", 0, devices.ReasonUnavailable},
		"reading and evidence":              {`{"pm25":1,"what":2}`, "MR", -1, ""},
		"evidence's sync fails":             {`{"pm25":1,"what":2}`, "MR", 1, devices.ReasonUnavailable},
		"nothing taken":                     {`{"what":2}`, "R", -1, devices.ReasonUnknownQuantity},
		"nothing taken and its sync fails":  {`{"what":2}`, "R", 0, devices.ReasonUnavailable},
		"two reasons, nothing taken":        {`{"what":2,"pm25":"x"}`, "RR", -1, devices.ReasonUnknownQuantity},
		"malformed":                         {`{"pm25":`, "R", -1, devices.ReasonMalformed},
		"clock of 1970, taken and recorded": {`{"ts":5,"pm25":1}`, "MR", -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGate(t)
			answers := g.submit(c.payload)
			if len(*answers) > 0 {
				t.Fatalf("answered %v before the sync", *answers)
			}
			got := ""
			for _, e := range g.journal.take() {
				if e.Message != nil {
					got += "M"
				}
				if e.Refusal != nil {
					got += "R"
				}
			}
			if got != c.entries {
				t.Errorf("appended %s, want %s", got, c.entries)
			}
			g.journal.sync(c.fail, broken)
			if len(*answers) != 1 {
				t.Fatalf("answered %d times: %v", len(*answers), *answers)
			}
			err := (*answers)[0]
			if c.want == "" && err != nil || c.want != "" && !errors.Is(err, &devices.Refusal{Reason: c.want}) {
				t.Errorf("answer: got %v, want %q", err, c.want)
			}
		})
	}
}

func TestGateEvidenceHasABudget(t *testing.T) {
	g := newTestGate(t)
	kept := func(n int) int {
		for range n {
			g.submit(`{`)
		}
		entries := g.journal.take()
		g.journal.sync(-1, nil)
		return len(entries)
	}
	if got := kept(10); got != 3 {
		t.Errorf("one sender in one minute: %d records, want 3", got)
	}
	// Over the budget the answer does not wait for a disk it does not need.
	if answers := g.submit(`{`); len(*answers) != 1 || !errors.Is((*answers)[0], &devices.Refusal{Reason: devices.ReasonMalformed}) {
		t.Errorf("over the budget: got %v, want the refusal at once", *answers)
	}
	for i := range 5 {
		r := devices.Refuse(devices.ReasonBadCredential, "")
		r.From = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::1", i)), 1)
		g.Refused(r, nil)
	}
	if got := len(g.journal.take()); got != 2 {
		t.Errorf("others in the same minute: %d records, want the 2 left of the total", got)
	}
	g.now = g.now.Add(time.Minute)
	if got := kept(10); got != 3 {
		t.Errorf("the next minute: %d records, want 3", got)
	}
	if got := g.journal.waiting; len(got) != 0 {
		t.Errorf("%d answers are owed", len(got))
	}
}

// A stranger who claims a device's name must not use up the device's budget.
func TestGateBudgetIsTheSendersNotTheNames(t *testing.T) {
	g := newTestGate(t)
	for range 10 {
		r := devices.Refuse(devices.ReasonBadCredential, "")
		r.Device, r.From = "aq-1", netip.MustParseAddrPort("[2001:db8:bad::1]:5")
		g.Refused(r, nil)
	}
	g.journal.take()
	g.submit(`{`)
	if got := len(g.journal.take()); got != 1 {
		t.Errorf("the device's own evidence: %d records, want 1", got)
	}
}

func TestGatePlacesByTheCityCalendar(t *testing.T) {
	g := newTestGate(t) // 23:59:59 in the city
	g.submit(fmt.Sprintf(`[{"ts":%d,"pm25":1},{"ts":%d,"pm25":2}]`, g.now.UnixMilli(), g.now.Add(2*time.Second).UnixMilli()))
	var got []string
	for _, o := range g.journal.take()[0].Message.Observations {
		got = append(got, o.Zones[0].Code)
	}
	if want := []string{"2026-11-21", "2026-11-22"}; !slices.Equal(got, want) {
		t.Errorf("days: got %v, want %v", got, want)
	}
}

func TestGateStates(t *testing.T) {
	for state, want := range map[devices.LifeState]devices.Reason{
		devices.Retired:     devices.ReasonUnknownDevice,
		devices.Quarantine:  devices.ReasonQuarantined,
		devices.Active:      "",
		devices.Maintenance: "",
	} {
		g := newTestGate(t)
		d := *g.device
		d.State = state
		g.device = &d
		answers := g.submit(`{"pm25":1}`)
		g.journal.sync(-1, nil)
		err := (*answers)[0]
		if want == "" && err != nil || want != "" && !errors.Is(err, &devices.Refusal{Reason: want}) {
			t.Errorf("%s: got %v, want %q", state, err, want)
		}
	}
}

// Every reason there is has its answer, and only ours ask for a retry. The
// reasons are read from the source: a new one without an answer fails here.
func TestAnswersAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../devices/refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		known++
		if _, ok := answers[devices.Reason(value)]; !ok {
			t.Errorf("%s has no answer", value)
		}
		return true
	})
	if known < 20 {
		t.Fatalf("found %d reasons in the source", known)
	}
	for reason, a := range answers {
		if retry := a.http == 429 || a.http == 503; retry != reason.Retry() {
			t.Errorf("%s: HTTP %d and Retry() %v do not agree", reason, a.http, reason.Retry())
		}
	}
}
