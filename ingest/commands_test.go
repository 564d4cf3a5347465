package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ingest/mqtt"
)

// commandBench is a record of commands over a real journal, with a clock that
// the test moves.
type commandBench struct {
	*Commands
	t        *testing.T
	dir      string
	journal  *journal.Journal
	register *devices.Register
	clock    atomic.Int64
}

func newCommandBench(t *testing.T) *commandBench {
	t.Helper()
	b := &commandBench{t: t, dir: t.TempDir()}
	b.clock.Store(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC).UnixMilli())
	var err error
	if b.register, err = devices.OpenRegister(t.Context(), memoryStore{}, devices.DefaultCatalogue()); err != nil {
		t.Fatal(err)
	}
	for id, profile := range map[devices.ID]string{"aq-1": "air-quality", "siren-1": "siren", "lamp-1": "street-light"} {
		if _, err := b.register.Add(t.Context(), devices.Device{ID: id, Profile: profile}); err != nil {
			t.Fatal(err)
		}
	}
	b.open()
	t.Cleanup(func() { _ = b.journal.Close() })
	return b
}

func (b *commandBench) now() time.Time { return time.UnixMilli(b.clock.Load()).UTC() }

func (b *commandBench) pass(d time.Duration) { b.clock.Add(d.Milliseconds()) }

func (b *commandBench) open() {
	b.t.Helper()
	ctx := context.Background()
	var err error
	if b.journal, err = journal.Open(ctx, journal.Options{Dir: b.dir}); err != nil {
		b.t.Fatal(err)
	}
	log, err := b.journal.Log(ctx, "commands", journal.LogOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	cursors, err := b.journal.Bucket(ctx, "command-cursors")
	if err != nil {
		b.t.Fatal(err)
	}
	if b.Commands, err = OpenCommands(ctx, CommandsOptions{Log: log, Cursors: cursors, Register: b.register, Now: b.now}); err != nil {
		b.t.Fatal(err)
	}
}

// restart opens everything again from what is on disk.
func (b *commandBench) restart() {
	b.t.Helper()
	if err := b.journal.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

func (b *commandBench) send(device devices.ID, name string, ttl time.Duration) devices.Command {
	b.t.Helper()
	c, err := b.Send(b.t.Context(), devices.CommandRequest{Device: device, Name: name, TTL: ttl, By: "an"})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *commandBench) state(device devices.ID, id string, want devices.CommandState) {
	b.t.Helper()
	c, err := b.Get(device, id)
	if err != nil || c.State != want {
		b.t.Errorf("command %s of %s: got %s, %v; want %s", id, device, c.State, err, want)
	}
}

func (b *commandBench) listen(device devices.ID, client string, resume bool) mqtt.Source {
	s := b.subscribe(mqtt.Subscription{Session: mqtt.SessionKey{Principal: string(device), ClientID: client}, Resume: resume}, device, "devices/"+string(device)+"/commands")
	b.t.Cleanup(s.Close)
	return s
}

// given takes what a stream has just now.
func given(t *testing.T, s mqtt.Source) (ids []string, seqs []uint64) {
	t.Helper()
	for {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // what is there is given; for more it does not wait
		m, err := s.Next(ctx)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return ids, seqs
		}
		var c devices.Command
		if err := json.Unmarshal(m.Payload, &c); err != nil {
			t.Fatal(err)
		}
		if !m.Expires.Equal(c.Expires) || m.QoS != 1 {
			t.Errorf("message %+v for command %+v", m, c)
		}
		ids, seqs = append(ids, c.ID), append(seqs, m.Seq)
	}
}

func TestCommandIsNeverLate(t *testing.T) {
	b := newCommandBench(t)
	short, long := b.send("aq-1", "report", time.Minute), b.send("aq-1", "reboot", time.Hour)
	first := b.listen("aq-1", "radio", true)
	b.pass(59*time.Second + 999*time.Millisecond)
	if ids, _ := given(t, b.listen("aq-1", "probe", false)); !slices.Equal(ids, []string{short.ID, long.ID}) {
		t.Fatalf("in time: got %v, want %s and %s", ids, short.ID, long.ID)
	}
	b.pass(time.Millisecond)
	if ids, _ := given(t, first); !slices.Equal(ids, []string{long.ID}) {
		t.Errorf("after the first expired: got %v, want %s", ids, long.ID)
	}
	b.state("aq-1", short.ID, devices.CommandExpired)
	b.state("aq-1", long.ID, devices.CommandWaiting)

	// The device is away for longer than the other may wait, and the server
	// restarts: neither comes back to life.
	b.restart()
	b.pass(time.Hour)
	for _, resume := range []bool{true, false} {
		if ids, _ := given(t, b.listen("aq-1", "radio", resume)); len(ids) != 0 {
			t.Errorf("an hour late, resume %v: got %v", resume, ids)
		}
	}
	b.state("aq-1", long.ID, devices.CommandExpired)
	// The device had it all the same and says so late: it is believed.
	if err := b.Answer(t.Context(), "aq-1", []byte(`{"id":"`+long.ID+`","state":"done"}`)); err != nil {
		t.Fatal(err)
	}
	b.state("aq-1", long.ID, devices.CommandDone)
}

func TestCommandAtLeastOnce(t *testing.T) {
	b := newCommandBench(t)
	one, two := b.send("aq-1", "report", time.Hour), b.send("aq-1", "identify", time.Hour)
	s := b.listen("aq-1", "radio", true)
	ids, seqs := given(t, s)
	if !slices.Equal(ids, []string{one.ID, two.ID}) {
		t.Fatalf("got %v", ids)
	}
	s.Ack(seqs[0])
	b.state("aq-1", one.ID, devices.CommandDelivered)
	b.state("aq-1", two.ID, devices.CommandWaiting)
	s.Close()
	b.restart()
	b.state("aq-1", one.ID, devices.CommandDelivered)

	// Unacknowledged: again, under the same id and sequence.
	s = b.listen("aq-1", "radio", true)
	again, seqs2 := given(t, s)
	if !slices.Equal(again, []string{two.ID}) || seqs2[0] != seqs[1] {
		t.Fatalf("after a restart: got %v %v, want %s %d", again, seqs2, two.ID, seqs[1])
	}
	// A new session is told what nobody has had, and not what somebody has.
	if ids, _ := given(t, b.listen("aq-1", "other", false)); !slices.Equal(ids, []string{two.ID}) {
		t.Errorf("a new session: got %v, want %s", ids, two.ID)
	}
	// An answer ends the repetition, delivered or not.
	if err := b.Answer(t.Context(), "aq-1", []byte(`{"id":"`+two.ID+`","state":"acknowledged","result":{"at":"40 %"}}`)); err != nil {
		t.Fatal(err)
	}
	if ids, _ := given(t, b.listen("aq-1", "third", false)); len(ids) != 0 {
		t.Errorf("after its answer: got %v", ids)
	}
}

func TestCommandNeverGoesBack(t *testing.T) {
	b := newCommandBench(t)
	c := b.send("aq-1", "report", time.Minute)
	for _, step := range []struct {
		answer string
		want   devices.CommandState
		result string
	}{
		{`{"id":"%","state":"acknowledged","result":1}`, devices.CommandAcknowledged, "1"},
		{`{"id":"%","state":"acknowledged","result":2}`, devices.CommandAcknowledged, "2"},
		{`{"id":"%","state":"failed","result":"no paper"}`, devices.CommandFailed, `"no paper"`},
		{`{"id":"%","state":"acknowledged","result":3}`, devices.CommandFailed, `"no paper"`},
	} {
		body := []byte(step.answer)
		body = slices.Concat(body[:7], []byte(c.ID), body[8:])
		if err := b.Answer(t.Context(), "aq-1", body); err != nil {
			t.Fatal(err)
		}
		got, _ := b.Get("aq-1", c.ID)
		if got.State != step.want || string(got.Result) != step.result {
			t.Errorf("after %s: got %s %s, want %s %s", body, got.State, got.Result, step.want, step.result)
		}
	}
	before := b.List("aq-1")
	b.restart()
	after := b.List("aq-1")
	if len(after) != 1 || after[0].State != before[0].State || string(after[0].Result) != string(before[0].Result) || after[0].By != "an" {
		t.Errorf("read from disk: %+v, was %+v", after, before)
	}
}

func TestCommandNeedsTwoPersons(t *testing.T) {
	b := newCommandBench(t)
	s := b.listen("siren-1", "horn", true)
	c := b.send("siren-1", "sound", time.Minute)
	if c.State != devices.CommandProposed || !c.Dangerous {
		t.Fatalf("got %+v, want a proposal", c)
	}
	if ids, _ := given(t, s); len(ids) != 0 {
		t.Fatalf("one person was enough: %v", ids)
	}
	for _, by := range []string{"an", ""} {
		if _, err := b.Approve(t.Context(), "siren-1", c.ID, devices.Person{Name: by}); !errors.Is(err, devices.ErrSamePerson) {
			t.Errorf("approved by %q: %v", by, err)
		}
	}
	// A name is not a person: two may have one, and one may change it.
	for by, want := range map[devices.Person]bool{{ID: "u1", Name: "an"}: true, {ID: "u1", Name: "bình"}: true, {ID: "u2", Name: "an"}: false} {
		if got := same(by, devices.Command{By: "an", ByID: "u1"}); got != want {
			t.Errorf("%+v is the one who asked: %v", by, got)
		}
	}
	b.pass(10 * time.Minute) // people take their time; the siren's minute begins then
	b.restart()
	s = b.listen("siren-1", "horn", true)
	c, err := b.Approve(t.Context(), "siren-1", c.ID, devices.Person{Name: "bình"})
	if err != nil || c.State != devices.CommandWaiting || c.Approved != "bình" || !c.Expires.Equal(b.now().Add(time.Minute)) {
		t.Fatalf("approved: %+v, %v", c, err)
	}
	if ids, _ := given(t, s); !slices.Equal(ids, []string{c.ID}) {
		t.Errorf("got %v, want %s", ids, c.ID)
	}
	if _, err := b.Approve(t.Context(), "siren-1", c.ID, devices.Person{Name: "chi"}); !errors.Is(err, devices.ErrCommandState) {
		t.Errorf("approved twice: %v", err)
	}

	late := b.send("siren-1", "sound", time.Hour)
	b.pass(secondPerson)
	if _, err := b.Approve(t.Context(), "siren-1", late.ID, devices.Person{Name: "bình"}); !errors.Is(err, devices.ErrCommandState) {
		t.Errorf("approved too late: %v", err)
	}
	b.state("siren-1", late.ID, devices.CommandExpired)

	taken := b.send("siren-1", "sound", time.Hour)
	if c, err := b.Withdraw(t.Context(), "siren-1", taken.ID, "an"); err != nil || c.State != devices.CommandWithdrawn {
		t.Errorf("withdrawn: %+v, %v", c, err)
	}
	if _, err := b.Approve(t.Context(), "siren-1", taken.ID, devices.Person{Name: "bình"}); !errors.Is(err, devices.ErrCommandState) {
		t.Errorf("approved after it was withdrawn: %v", err)
	}
}

func TestCommandRefused(t *testing.T) {
	b := newCommandBench(t)
	if err := b.register.Update(t.Context(), "lamp-1", func(d *devices.Device) error { d.State = devices.Active; return nil }); err != nil {
		t.Fatal(err)
	}
	long := make([]byte, maxCommand+1)
	for i := range long {
		long[i] = ' '
	}
	for name, c := range map[string]struct {
		r    devices.CommandRequest
		want error
	}{
		"unknown device":        {devices.CommandRequest{Device: "nobody", Name: "report", TTL: 1}, devices.ErrNoDevice},
		"no name":               {devices.CommandRequest{Device: "aq-1", TTL: 1}, devices.ErrBadCommand},
		"no time":               {devices.CommandRequest{Device: "aq-1", Name: "report"}, devices.ErrBadCommand},
		"for ever":              {devices.CommandRequest{Device: "aq-1", Name: "report", TTL: maxTTL + 1}, devices.ErrBadCommand},
		"too long":              {devices.CommandRequest{Device: "aq-1", Name: "report", TTL: 1, Args: long}, devices.ErrBadCommand},
		"no JSON":               {devices.CommandRequest{Device: "aq-1", Name: "report", TTL: 1, Args: []byte("{")}, devices.ErrBadCommand},
		"firmware by a person":  {devices.CommandRequest{Device: "aq-1", Name: "firmware", TTL: 1}, devices.ErrBadCommand},
		"not the profile's own": {devices.CommandRequest{Device: "lamp-1", Name: "sound", TTL: 1}, devices.ErrBadCommand},
	} {
		if _, err := b.Send(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for range maxWaiting {
		b.send("lamp-1", "lamp", time.Minute)
	}
	if _, err := b.Send(t.Context(), devices.CommandRequest{Device: "lamp-1", Name: "lamp", TTL: time.Minute}); !errors.Is(err, devices.ErrBadCommand) {
		t.Errorf("one too many: %v", err)
	}
	b.pass(time.Minute)
	b.send("lamp-1", "lamp", time.Minute) // what expired makes room
	if n := len(b.List("lamp-1")); n != keptFinished+1 {
		t.Errorf("%d commands are remembered, want %d", n, keptFinished+1)
	}
	var r *devices.Refusal
	for _, answer := range []string{`{`, `{"id":"x"}`, `{"id":"","state":"done"}`, `{"id":"nope","state":"done"}`, `{"id":"x","state":"waiting"}`, `[]`} {
		if err := b.Answer(t.Context(), "aq-1", []byte(answer)); !errors.As(err, &r) || r.Reason != devices.ReasonMalformed {
			t.Errorf("answer %s: %v", answer, err)
		}
	}
	// One device cannot answer for another.
	c := b.send("aq-1", "report", time.Minute)
	if err := b.Answer(t.Context(), "siren-1", []byte(`{"id":"`+c.ID+`","state":"done"}`)); !errors.As(err, &r) {
		t.Errorf("answered by another: %v", err)
	}
	b.state("aq-1", c.ID, devices.CommandWaiting)
}
