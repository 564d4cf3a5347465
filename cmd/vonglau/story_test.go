package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
	"vonglau/ops-center/notify"
	"vonglau/ops-center/warning"
)

// A story is what a department officer can follow: readings in, alarms and
// messages out, at times. testdata/stories/README.md has the words. Each is told
// to a whole server: readings come through the HTTP door into the journal, rules
// judge them, people act over the API, and receivers get what they subscribed to
// over HTTP. Only the clock is the story's.
type tale struct {
	t    *testing.T
	file string
	line int

	cfg    Config
	clock  *taleClock
	server *Server
	ends   struct{ alarms, warnings *journal.Log }
	admin  string
	people map[string]string // token by name

	tokens   map[string]string // of devices
	alias    map[string]string // what the server calls it, by what the story does
	told     map[string]string // the other way round
	warnings map[string]string
	drills   map[string]string
	plan     string

	post     *httptest.Server
	subs     map[string]string // id by name
	mu       sync.Mutex
	got      []string // what arrived and was not told of yet
	seen     map[string]bool
	down     map[string]bool
	answer   int // of the last act; 0 once it was told of
	checked  int
	passesOn bool
	written  *strings.Builder // with -tell, the story as it went
}

var tellStories = flag.Bool("tell", false, "write what followed into the stories, to be read before it is believed")

// taleClock is a clock that is turned by hand.
type taleClock struct {
	mu    sync.Mutex
	t     time.Time
	waits []taleWait
}

type taleWait struct {
	due time.Time
	ch  chan time.Time
}

func (c *taleClock) clock() clock {
	return clock{now: c.now, after: c.after, every: func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }}
}

func (c *taleClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *taleClock) after(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := taleWait{c.t.Add(d), make(chan time.Time, 1)}
	if d <= 0 {
		w.ch <- c.t
	} else {
		c.waits = append(c.waits, w)
	}
	return w.ch
}

// turn sets the clock and lets those go on whose time has come.
func (c *taleClock) turn(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = to
	c.waits = slices.DeleteFunc(c.waits, func(w taleWait) bool {
		if w.due.After(to) {
			return false
		}
		w.ch <- to
		return true
	})
}

// next is when somebody's time comes, before a time.
func (c *taleClock) next(before time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waits {
		if w.due.Before(before) && w.due.After(c.t) {
			before = w.due
		}
	}
	return before
}

var taleZone = time.FixedZone("+07", 7*3600)

// taleDay is the Monday the stories begin on: one of the near past, so that the
// machine's clock and the story's agree on what is history.
func taleDay() time.Time {
	now := time.Now().In(taleZone)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, taleZone).AddDate(0, 0, -14)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

// talePeople are those who act in stories.
var talePeople = []PersonConfig{
	{Name: "An", Role: "shift_leader"},
	{Name: "Bình", Role: "operator"},
	{Name: "Chi", Role: "operator"},
	{Name: "Dũng", Role: "officer", Department: "Sở Xây dựng"},
	{Name: "Em", Role: "executive"},
}

func TestStoriesOfTheProgram(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.story")
	if err != nil || len(files) < 60 && !*tellStories {
		t.Fatalf("found %d stories (%v), want at least 60", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tell(t, filepath.Base(file), string(raw))
		})
	}
}

func tell(t *testing.T, file, text string) {
	s := &tale{
		t: t, file: file, clock: &taleClock{t: taleDay()}, people: map[string]string{}, tokens: map[string]string{}, alias: map[string]string{},
		told: map[string]string{}, warnings: map[string]string{}, drills: map[string]string{}, subs: map[string]string{}, seen: map[string]bool{}, down: map[string]bool{},
	}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s.post = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.receive)}}
	s.post.Start()
	t.Cleanup(s.post.Close)
	s.cfg = testConfig(t)
	s.cfg.Listen = ListenConfig{HTTP: "[::1]:0"}
	s.cfg.Outbound.Allow = []string{"::1/128"}
	s.cfg.Journal.Linger = 0
	for _, p := range talePeople {
		s.people[p.Name] = "token-of-" + p.Name + "-0123456789abcdef"
		p.TokenSHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(s.people[p.Name])))
		s.cfg.People = append(s.cfg.People, p)
	}
	s.open()
	t.Cleanup(func() { _ = s.server.Stop(context.Background()) })
	if *tellStories {
		s.written = &strings.Builder{}
	}
	s.run(bufio.NewScanner(strings.NewReader(text)))
	s.nothingLeft()
	if *tellStories {
		s.ok(os.WriteFile(filepath.Join("testdata/stories", file), []byte(s.written.String()), 0o644))
		return
	}
	if s.checked == 0 {
		t.Fatalf("%s tells of nothing that follows", file)
	}
}

func (s *tale) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

func (s *tale) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.fail("%v", err)
	}
}

func (s *tale) open() {
	server, err := newServer(s.t.Context(), s.cfg, slog.New(slog.DiscardHandler), s.clock.clock())
	s.ok(err)
	s.ok(server.Start(s.t.Context()))
	s.server = server
	s.ends.alarms, err = server.journal.Log(s.t.Context(), "alarms", journal.LogOptions{})
	s.ok(err)
	s.ends.warnings, err = server.journal.Log(s.t.Context(), "warnings", journal.LogOptions{})
	s.ok(err)
	raw, err := os.ReadFile(filepath.Join(s.cfg.Data, "admin.token"))
	s.ok(err)
	s.admin = strings.TrimSpace(string(raw))
}

// settle waits until everything that follows has followed.
func (s *tale) settle() {
	s.t.Helper()
	var busy string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Microsecond) {
		if busy = s.busy(); busy == "" {
			return
		}
	}
	s.fail("it does not come to rest: %s", busy)
}

func (s *tale) busy() string {
	n := s.server.notify
	if behind, _ := s.server.readers[readerAlert].Lag(); behind > 0 {
		return "readings are not judged"
	}
	if n.Place("alarms") < s.ends.alarms.End() || n.Place("warnings") < s.ends.warnings.End() {
		return "alarms are not told"
	}
	now := s.clock.now()
	for name, id := range s.subs {
		list, _, err := n.Deliveries(id)
		if err != nil {
			return err.Error()
		}
		if len(list) > 0 {
			switch r := list[0]; r.State {
			case notify.Retrying, notify.Held:
				if r.Next != nil && r.Next.After(now) {
					continue
				}
				return name + " is due"
			case notify.Delivered, notify.Dead, notify.PutAway:
			default:
				return name + " is on its way"
			}
		}
		if n.Waiting(id) > 0 {
			return name + " has more"
		}
	}
	return ""
}

// rest lets the few seconds pass in which what many devices say together waits for
// more to be said of the same moment.
func (s *tale) rest() {
	s.t.Helper()
	s.settle()
	s.ok(s.server.alarms.Settle(s.t.Context(), s.clock.now().Add(10*time.Second)))
	s.settle()
}

// until turns the clock, in steps, with all that comes due on the way.
func (s *tale) until(to time.Time) {
	if to.Before(s.clock.now()) {
		s.fail("time does not go back")
	}
	step := 10 * time.Second
	if to.Sub(s.clock.now()) > 2*time.Hour {
		step = time.Minute
	}
	for now := s.clock.now(); now.Before(to); now = s.clock.now() {
		next := now.Add(step)
		if next.After(to) {
			next = to
		}
		s.clock.turn(s.clock.next(next))
		s.settle()
		s.ok(s.server.alarms.Tick(s.t.Context(), s.clock.now()))
		s.settle()
	}
}

// receive is the post box of every department.
func (s *tale) receive(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down[name] {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err := notify.Verify(r.Header.Get("Vonglau-Signature"), body, []byte("secret-of-"+name+"-0123456789"), s.clock.now(), time.Minute); err != nil {
		s.got = append(s.got, name+" bad signature: "+err.Error())
		return
	}
	id := r.Header.Get("Vonglau-Delivery")
	again := ""
	if s.seen[id] {
		again = " AGAIN"
	}
	s.seen[id] = true
	s.got = append(s.got, name+" "+s.words(r.Header.Get("Content-Type"), body)+again)
}

// words tells what was received as a story does.
func (s *tale) words(kind string, body []byte) string {
	if kind == cap12.MediaType {
		a, problems := cap12.Read(body)
		if a == nil || cap12.Bad(problems) {
			return fmt.Sprintf("bad CAP: %v", problems)
		}
		return strings.ToLower("cap " + a.Status + " " + a.MsgType)
	}
	var m notify.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return err.Error()
	}
	one := func(e *notify.Event) string {
		text := e.Kind
		if e.Alarm != nil {
			text = strings.TrimPrefix(e.Kind, "alarm.") + " " + e.Rule + " " + s.plain(string(e.Alarm.Entity))
		}
		if e.Depth > 0 {
			text = "passed on: " + text
		}
		if e.Exercise != "" {
			text = "DIỄN TẬP " + text
		}
		return text
	}
	if m.Event != nil {
		return one(m.Event)
	}
	var list []string
	for _, e := range m.Events {
		list = append(list, one(e))
	}
	return "digest: " + strings.Join(list, ", ")
}

// plain puts the story's names for the server's.
func (s *tale) plain(text string) string {
	for is, alias := range s.told {
		text = strings.ReplaceAll(text, is, alias)
	}
	return text
}

func (s *tale) run(in *bufio.Scanner) {
	block := func() string {
		var b strings.Builder
		for in.Scan() {
			s.line++
			if s.written != nil {
				s.written.WriteString(in.Text() + "\n")
			}
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
		words := storyWords(text)
		if s.written != nil {
			if len(words) > 0 && (words[0] == "->" || words[0] == "!") {
				continue
			}
			if s.nothingLeft(); len(words) == 0 || words[0] != "=" {
				s.written.WriteString(in.Text() + "\n")
			}
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "->":
			s.expect(strings.Join(words[1:], " "))
			continue
		case "!":
			if s.checked++; strconv.Itoa(s.answer) != words[1] {
				s.fail("it was answered %d, want %s", s.answer, words[1])
			}
			s.answer = 0
			continue
		case "=":
			s.state(append(words[1:], "")[:max(1, len(words)-1)])
			continue
		}
		s.nothingLeft()
		if first, last, ok := strings.Cut(words[0], ".."); ok { // a device that reports again and again
			from, _ := s.time(first)
			to, _ := s.time(last)
			words = words[1:]
			every, err := time.ParseDuration(option(&words, "every"))
			s.ok(err)
			for at := from; !at.After(to); at = at.Add(every) {
				s.until(at)
				part := float64(at.Sub(from)) / float64(max(to.Sub(from), 1))
				for one := range strings.SplitSeq(strings.Join(words, " "), " & ") {
					s.reading(ramp(strings.Fields(one), part))
				}
				s.rest()
			}
			continue
		}
		if at, ok := s.time(words[0]); ok {
			s.until(at)
			if words = words[1:]; len(words) == 0 {
				continue
			}
		}
		s.do(words, block)
		s.rest()
	}
}

// ramp gives the values on the way from one to another, as in level=1.0..2.5.
func ramp(words []string, part float64) []string {
	words = slices.Clone(words)
	for i, w := range words {
		name, span, _ := strings.Cut(w, "=")
		first, last, ok := strings.Cut(span, "..")
		a, err1 := strconv.ParseFloat(first, 64)
		b, err2 := strconv.ParseFloat(last, 64)
		if ok && err1 == nil && err2 == nil {
			words[i] = fmt.Sprintf("%s=%.3f", name, a+(b-a)*part)
		}
	}
	return words
}

// storyWords are words with quotation marks around what has spaces.
func storyWords(text string) (list []string) {
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// time reads HH:MM or HH:MM:SS, with +1 and so on before it for later days.
func (s *tale) time(text string) (time.Time, bool) {
	days := 0
	if day, rest, ok := strings.Cut(text, "/"); ok && strings.HasPrefix(day, "+") {
		days, _ = strconv.Atoi(day[1:])
		text = rest
	}
	at, err := time.Parse("15:04:05", text)
	if err != nil {
		if at, err = time.Parse("15:04", text); err != nil {
			return time.Time{}, false
		}
	}
	return taleDay().AddDate(0, 0, days).Add(at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))), true
}

func (s *tale) expect(want string) {
	s.checked++
	s.mu.Lock()
	defer s.mu.Unlock()
	for wait := 0; len(s.got) == 0 && wait < 300; wait++ { // what is passed on is looked for once a second
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		s.mu.Lock()
	}
	// Receivers are told side by side: the first of the same one counts.
	name, _, _ := strings.Cut(want, " ")
	for i, got := range s.got {
		if first, _, _ := strings.Cut(got, " "); first == name {
			if got != want {
				s.fail("%q was received, want %q", got, want)
			}
			s.got = slices.Delete(s.got, i, i+1)
			return
		}
	}
	s.fail("nothing was received by %s, want %q; others: %q; open: %s", name, want, s.got, s.open2())
}

func (s *tale) nothingLeft() {
	s.t.Helper()
	if s.written != nil {
		if s.passesOn {
			time.Sleep(1200 * time.Millisecond)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		slices.SortStableFunc(s.got, func(a, b string) int { return strings.Compare(strings.Fields(a)[0], strings.Fields(b)[0]) })
		for _, line := range s.got {
			s.written.WriteString("-> " + line + "\n")
			s.checked++
		}
		if s.answer != 0 {
			fmt.Fprintf(s.written, "! %d\n", s.answer)
			s.checked++
		}
		s.got, s.answer = nil, 0
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) > 0 {
		s.fail("before this line, nobody told of:\n  -> %s\nopen: %s", strings.Join(s.got, "\n  -> "), s.open2())
	}
	if s.answer != 0 {
		s.fail("the act before this line was answered %d", s.answer)
	}
}

// open2 is the open alarms in a story's words.
func (s *tale) open2() string {
	var list []string
	for _, a := range s.server.alarms.List() {
		text := fmt.Sprintf("%s %s %s", a.Rule, s.plain(string(a.Entity)), a.State)
		if a.Priority != 0 && a.Exercise != "" {
			text += " DIỄN TẬP"
		}
		if a.Because != "" {
			text += " because " + s.plain(string(a.Because))
		}
		if a.Chattering {
			text += " chattering"
		}
		if a.Claimed != nil {
			text += " claimed-by " + a.Claimed.By
		}
		if a.Assigned != nil {
			text += " for " + a.Assigned.Department
			if a.Assigned.Answer != "" {
				text += " " + a.Assigned.Answer
			}
		}
		list = append(list, text)
	}
	slices.Sort(list)
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// state checks what is there now.
func (s *tale) state(words []string) {
	s.checked++
	want := func(got, of string) {
		s.t.Helper()
		if s.written != nil {
			s.written.WriteString(strings.TrimRight("= "+of+" "+got, " ") + "\n")
		} else if got != strings.TrimPrefix(strings.TrimPrefix(strings.Join(words, " "), of), " ") {
			s.fail("%s is %s, want %s", of, got, strings.Join(words, " "))
		}
	}
	count := func(path string) int {
		code, raw := s.call(s.admin, http.MethodGet, path, "")
		if code != http.StatusOK {
			s.fail("%s answered %d", path, code)
		}
		return bytes.Count(raw, []byte("<entry>"))
	}
	switch words[0] {
	case "feed":
		want(strconv.Itoa(count("/v1/cap/feed.atom")), "feed")
	case "exercise-feed":
		want(strconv.Itoa(count("/v1/cap/exercise.atom")), "exercise-feed")
	case "warning":
		w, err := s.server.warnings.Get(s.warnings[words[1]])
		s.ok(err)
		want(string(w.State(s.clock.now())), "warning "+words[1])
	case "groups":
		var answer struct{ Groups []json.RawMessage }
		_, raw := s.call(s.admin, http.MethodGet, "/v1/alarms/groups", "")
		s.ok(json.Unmarshal(raw, &answer))
		want(strconv.Itoa(len(answer.Groups)), "groups")
	case "flood":
		got := "calm"
		if s.server.alarms.Flood().On {
			got = "on"
		}
		want(got, "flood")
	default:
		got := s.open2()
		if s.written != nil {
			s.written.WriteString("= " + got + "\n")
			return
		}
		list := strings.Split(strings.Join(words, " "), ", ")
		slices.Sort(list)
		if w := strings.Join(list, ", "); got != w {
			s.fail("open: %s\nwant: %s", got, w)
		}
	}
}

func (s *tale) call(token, method, path, body string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.server.Addr().HTTP+path, strings.NewReader(body))
	s.ok(err)
	req.Header.Set("Authorization", "Bearer "+token)
	switch {
	case strings.HasPrefix(path, "/v1/layers/"):
		req.Header.Set("Content-Type", "application/geo+json")
	case strings.HasPrefix(body, "version: "):
		req.Header.Set("Content-Type", "application/yaml")
	case body != "":
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	s.ok(err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	s.ok(err)
	return res.StatusCode, raw
}

// must is a call that has to work, with its answer.
func (s *tale) must(token, method, path string, body, into any) {
	s.t.Helper()
	text, ok := body.(string)
	if !ok {
		raw, err := json.Marshal(body)
		s.ok(err)
		text = string(raw)
	}
	code, raw := s.call(token, method, path, text)
	if code/100 != 2 {
		s.fail("%s %s: %d %s", method, path, code, raw)
	}
	if into != nil {
		s.ok(json.Unmarshal(raw, into))
	}
}

// option finds what follows a word and takes both out.
func option(words *[]string, name string) string {
	i := slices.Index(*words, name)
	if i < 0 || i+1 >= len(*words) {
		return ""
	}
	value := (*words)[i+1]
	*words = slices.Delete(slices.Clone(*words), i, i+2)
	return value
}

func (s *tale) do(words []string, block func() string) {
	all := words
	by := option(&words, "by")
	token := s.people[by]
	if by != "" && token == "" {
		s.fail("who is %s?", by)
	}
	switch verb := words[0]; verb {
	case "wards":
		s.wards()
	case "rules":
		s.rules(words[1:], block)
	case "thresholds":
		s.must(s.admin, http.MethodPut, "/v1/thresholds", "version: 1\n"+block(), nil)
	case "device":
		s.device(words[1:])
	case "subscribe":
		s.subscribe(words[1:])
	case "receiver":
		s.mu.Lock()
		s.down[words[1]] = words[2] == "down"
		s.mu.Unlock()
	case "wait":
	case "restart":
		s.ok(s.server.Stop(context.Background()))
		s.open()
	case "acknowledge", "claim", "release", "comment", "assign", "accept", "return", "false", "shelve", "unshelve", "out-of-service", "return-to-service":
		s.act(verb, words[1:], token)
	case "maintenance":
		to, _ := s.time(option(&words, "until"))
		plan := map[string]any{"to": to, "reason": option(&words, "because")}
		if strings.Contains(words[1], "/") {
			plan["zone"] = words[1]
		} else {
			plan["device"] = words[1]
		}
		s.acted(token, http.MethodPost, "/v1/alarms/plans", plan, func(raw []byte) {
			var made struct{ ID string }
			s.ok(json.Unmarshal(raw, &made))
			s.plan = made.ID
		})
	case "maintenance-over":
		s.acted(token, http.MethodDelete, "/v1/alarms/plans/"+s.plan, nil, nil)
	case "shift":
		s.acted(token, http.MethodPost, "/v1/shift/"+words[1], map[string]any{}, nil)
	case "draft", "submit", "approve", "update", "cancel", "hand-back", "discard":
		s.warn(verb, words[1:], token)
	case "drill":
		s.drill(words[1:], token)
	default:
		s.reading(all)
	}
}

// acted is an act that may be refused; the story tells with a "!" line.
func (s *tale) acted(token, method, path string, body any, done func([]byte)) {
	s.t.Helper()
	text := ""
	if body != nil {
		raw, err := json.Marshal(body)
		s.ok(err)
		text = string(raw)
	}
	code, raw := s.call(token, method, path, text)
	if code/100 != 2 {
		s.answer = code
		s.t.Logf("%s:%d: %d %s", s.file, s.line, code, raw)
		return
	}
	if done != nil {
		done(raw)
	}
}

func (s *tale) wards() {
	square := func(code string, west, east float64) string {
		return fmt.Sprintf(`{"type":"Feature","properties":{"code":%q,"name":"Phường %s"},"geometry":{"type":"Polygon","coordinates":[[[%v,20.40],[%v,20.40],[%v,20.47],[%v,20.47],[%v,20.40]]]}}`,
			code, code, west, east, east, west, west)
	}
	for _, layer := range []string{"wards", "flood_basins"} {
		geojson := `{"type":"FeatureCollection","features":[` + square("W-1", 106.10, 106.18) + "," + square("W-2", 106.18, 106.26) + `]}`
		s.must(s.admin, http.MethodPost, "/v1/layers/"+layer+"?code=code&name=name&valid_from=2025-07-01&join=true", geojson, nil)
	}
}

// rules puts files of deploy/rules in force, or what follows up to end.
func (s *tale) rules(files []string, block func() string) {
	source := "version: 1\nrules:\n"
	if len(files) == 0 {
		source += withTexts(block())
	}
	for _, file := range files {
		raw, err := os.ReadFile("../../deploy/rules/" + file + ".yaml")
		s.ok(err)
		_, list, _ := strings.Cut(string(raw), "\nrules:\n")
		source += list + "\n"
	}
	s.must(s.admin, http.MethodPut, "/v1/rules", source, nil)
}

// withTexts adds what every rule must have and the story is not about.
func withTexts(short string) string {
	var b strings.Builder
	for line := range strings.Lines(short) {
		b.WriteString(line)
		trimmed := strings.TrimSpace(line)
		if !strings.HasPrefix(trimmed, "- id:") {
			continue
		}
		indent := strings.Repeat(" ", strings.Index(line, "-")+2)
		for _, more := range []string{
			"name: {vi: Luật của chuyện, en: Rule of the story}", "head: Trưởng ca",
			"message: {vi: '{name} {value} {unit}', en: '{name} {value} {unit}'}", "response: {vi: Kiểm tra, en: Check}", "procedure: {vi: [Kiểm tra], en: [Check]}",
		} {
			b.WriteString(indent + more + "\n")
		}
		rest := short[strings.Index(short, trimmed)+len(trimmed):]
		if next := strings.Index(rest, "- id:"); next >= 0 {
			rest = rest[:next]
		}
		for key, value := range map[string]string{"priority": "2", "owner": "Sở Xây dựng", "category": "Safety"} {
			if !strings.Contains(rest, key+":") {
				b.WriteString(indent + key + ": " + value + "\n")
			}
		}
	}
	return b.String()
}

func (s *tale) device(words []string) {
	d := devices.Device{Added: taleDay(), State: devices.Active, At: devices.Position{Lon: 106.12, Lat: 20.434}}
	if at := option(&words, "at"); at != "" {
		_, err := fmt.Sscanf(at, "%g,%g", &d.At.Lon, &d.At.Lat)
		s.ok(err)
	}
	d.Upstream = devices.ID(option(&words, "behind"))
	d.Name = option(&words, "named")
	d.Owner = option(&words, "of")
	d.ID, d.Profile = devices.ID(words[0]), words[1]
	if p, ok := s.server.register.Catalogue().Profile(d.Profile); ok && p.Moving {
		d.At = devices.Position{}
	}
	token, err := s.server.register.Add(s.t.Context(), d)
	s.ok(err)
	s.tokens[words[0]] = token
}

func (s *tale) subscribe(words []string) {
	filter := map[string]any{}
	name := words[0]
	body := map[string]any{
		"department": words[1], "name": name, "kind": "webhook", "url": s.post.URL + "/" + name, "format": "json",
		"secret": "secret-of-" + name + "-0123456789", "filter": filter,
	}
	rest := words[2:]
	list := func(key, name string) {
		if v := option(&rest, name); v != "" {
			filter[key] = strings.Split(v, ",")
		}
	}
	list("categories", "category")
	list("rules", "rule")
	list("events", "event")
	list("quantities", "quantity")
	list("owners", "owner")
	if v := option(&rest, "priority"); v != "" {
		var numbers []int
		for _, p := range strings.Split(v, ",") {
			n, err := strconv.Atoi(p)
			s.ok(err)
			numbers = append(numbers, n)
		}
		filter["priorities"] = numbers
	}
	if v := option(&rest, "zone"); v != "" {
		layer, code, _ := strings.Cut(v, "/")
		filter["zones"] = []map[string]string{{"layer": layer, "code": code}}
	}
	if v := option(&rest, "as"); v != "" {
		body["format"] = v
	}
	if v := option(&rest, "digest"); v != "" {
		body["digest"] = v
	}
	if v := option(&rest, "quiet"); v != "" {
		from, to, _ := strings.Cut(v, "-")
		body["quiet"] = map[string]string{"from": from, "to": to}
	}
	if to := option(&rest, "escalate-to"); to != "" {
		s.passesOn = true
		until := option(&rest, "until")
		if until == "" {
			until = "receipt"
		}
		body["escalation"] = map[string]string{"to": s.subs[to], "after": option(&rest, "after"), "until": until}
	}
	if i := slices.Index(rest, "with-drills"); i >= 0 {
		filter["exercises"] = true
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) > 0 {
		s.fail("%q is no part of a subscription", rest)
	}
	var made struct{ ID string }
	s.must(s.admin, http.MethodPost, "/v1/subscriptions", body, &made)
	s.subs[name] = made.ID
}

// find gives the id of an open alarm, or of the one of that name closed last.
func (s *tale) find(rule, entity string) string {
	for _, a := range s.server.alarms.List() {
		if a.Rule == rule && s.plain(string(a.Entity)) == entity {
			return a.ID
		}
	}
	id := ""
	s.ok(s.server.alarms.Transitions(s.t.Context(), taleDay(), s.clock.now().Add(time.Hour), func(t *alert.Transition) error {
		if t.Alarm.Rule == rule && s.plain(string(t.Alarm.Entity)) == entity {
			id = t.Alarm.ID
		}
		return nil
	}))
	if id == "" {
		s.fail("there was no alarm %s of %s", rule, entity)
	}
	return id
}

func (s *tale) act(verb string, words []string, token string) {
	body := map[string]any{}
	for name, key := range map[string]string{"because": "reason", "saying": "note", "for": "for", "to": "department"} {
		if v := option(&words, name); v != "" {
			body[key] = v
		}
	}
	if i := slices.Index(words, "false-alarm"); i >= 0 {
		body["falseAlarm"] = true
		words = slices.Delete(words, i, i+1)
	}
	if len(words) != 2 {
		s.fail("%s whom? RULE DEVICE", verb)
	}
	s.acted(token, http.MethodPost, "/v1/alarms/"+s.find(words[0], words[1])+"/"+verb, body, nil)
}

func (s *tale) warn(verb string, words []string, token string) {
	name := words[0]
	if verb == "draft" {
		var ids []string
		rest := slices.DeleteFunc(slices.Clone(words[1:]), func(w string) bool { return w == "from" || w == "and" })
		for i := 0; i+1 < len(rest); i += 2 {
			ids = append(ids, s.find(rest[i], rest[i+1]))
		}
		s.acted(token, http.MethodPost, "/v1/warnings", map[string]any{"alarms": ids}, func(raw []byte) {
			var w warning.Warning
			s.ok(json.Unmarshal(raw, &w))
			s.warnings[name] = w.ID
		})
		return
	}
	w, err := s.server.warnings.Get(s.warnings[name])
	s.ok(err)
	body := map[string]any{"version": w.Version, "reason": "vì chuyện kể"}
	switch verb {
	case "approve":
		body["confirm"] = w.ID
	case "cancel":
		body["text"] = map[string]string{"vi": "Đã hết", "en": "Over"}
	case "hand-back":
		verb = "return"
	}
	s.acted(token, http.MethodPost, "/v1/warnings/"+w.ID+"/"+verb, body, nil)
}

func (s *tale) drill(words []string, token string) {
	if words[0] == "end" {
		s.acted(token, http.MethodPost, "/v1/drills/"+s.drills[words[1]]+"/end", nil, nil)
		return
	}
	like := strings.Split(option(&words, "like"), ",")
	ends, _ := s.time(option(&words, "until"))
	name := words[1]
	body := map[string]any{"name": name, "ends": ends, "like": like}
	s.acted(token, http.MethodPost, "/v1/drills", body, func(raw []byte) {
		var made struct {
			ID      string
			Devices []string
			Tokens  map[string]string
		}
		s.ok(json.Unmarshal(raw, &made))
		s.drills[name] = made.ID
		for i, id := range made.Devices {
			alias := name + "-" + like[i]
			s.alias[alias], s.told[id], s.tokens[alias] = id, alias, made.Tokens[id]
		}
	})
}

// reading reads: ID QUANTITY=VALUE… [taken TIME].
func (s *tale) reading(words []string) {
	body := map[string]any{}
	if taken := option(&words, "taken"); taken != "" {
		at, ok := s.time(taken)
		if !ok {
			s.fail("%q is no time", taken)
		}
		body["ts"] = at.UnixMilli()
	}
	id := words[0]
	if s.tokens[id] == "" {
		s.fail("%q is neither a device nor something one can do", id)
	}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		n, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			s.fail("%q is no value", w)
		}
		body[name] = n
	}
	real := id
	if is := s.alias[id]; is != "" {
		real = is
	}
	raw, err := json.Marshal(body)
	s.ok(err)
	code, answer := s.call(s.tokens[id], http.MethodPost, "/v1/devices/"+real+"/telemetry", string(raw))
	if code/100 != 2 {
		s.answer = code
		s.t.Logf("%s:%d: %d %s", s.file, s.line, code, answer)
	}
}
