package series

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vonglau/devices"
)

// fakeInflux answers writes by a script and queries with nothing. It is for the
// answers that a real server cannot be made to give.
type fakeInflux struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, lines []string)
	lines  map[string]int // how often each line was taken
	writes int
}

func (f *fakeInflux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/write") {
		w.Header().Set("Content-Type", "text/csv")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	f.answer(w, r, lines)
}

func (f *fakeInflux) take(lines []string) {
	for _, l := range lines {
		f.lines[l]++
	}
}

func fail(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func newFake(t *testing.T, f *fakeInflux, o InfluxOptions) *Influx {
	t.Helper()
	f.lines = make(map[string]int)
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(f)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	o.URL, o.Bucket = server.URL, "b"
	return openInflux(t, o)
}

func someMessages(n int) (out []*devices.Message) {
	now := time.Now().UTC().Truncate(time.Second)
	for i := range n {
		out = append(out, say(devices.ID(fmt.Sprintf("dev-%d", i%37)), now.Add(-time.Duration(i)*time.Second), now, nil, "noise", i))
	}
	return out
}

// Nothing but a refusal of the data itself may cost a value.
func TestInfluxFailuresLoseNothing(t *testing.T) {
	json := "application/json"
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		after  time.Duration
		hint   string
	}{
		{"429", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			fail(w, 429, json, `{"code":"too many requests","message":"slow down"}`)
		}, 7 * time.Second, "slow down"},
		{"503", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "30")
			fail(w, 503, json, `{"code":"unavailable","message":"starting"}`)
		}, 30 * time.Second, "starting"},
		{"500", func(w http.ResponseWriter) {
			fail(w, 500, json, `{"code":"internal error","message":"engine is closed"}`)
		}, 0, "engine is closed"},
		{"500 that speaks of the data", func(w http.ResponseWriter) { fail(w, 500, json, `{"code":"internal error","message":"partial write"}`) }, 0, "partial write"},
		{"401", func(w http.ResponseWriter) {
			fail(w, 401, json, `{"code":"unauthorized","message":"unauthorized access"}`)
		}, 0, "token"},
		{"404", func(w http.ResponseWriter) {
			fail(w, 404, json, `{"code":"not found","message":"bucket \"b\" not found"}`)
		}, 0, "must exist"},
		{"400 of a proxy", func(w http.ResponseWriter) { fail(w, 400, "text/html", "<h1>400 Bad Request</h1>") }, 0, "Bad Request"},
		{"400 about the request", func(w http.ResponseWriter) { fail(w, 400, json, `{"code":"invalid","message":"invalid precision"}`) }, 0, "precision"},
		{"200 of a log-in page", func(w http.ResponseWriter) { fail(w, 200, "text/html", "<form>") }, 0, "is it an InfluxDB"},
		{"no answer", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 0, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := false
			f := &fakeInflux{}
			f.answer = func(w http.ResponseWriter, _ *http.Request, lines []string) {
				if !up {
					c.answer(w)
					return
				}
				f.take(lines)
				w.WriteHeader(http.StatusNoContent)
			}
			s := newFake(t, f, InfluxOptions{Rejected: func(r Rejection) { t.Errorf("rejected %+v", r) }})
			batch := someMessages(100)
			_, err := s.Write(t.Context(), batch)
			var u *Unavailable
			if !errors.As(err, &u) || !strings.Contains(err.Error(), c.hint) || u.RetryAfter != c.after {
				t.Errorf("Write: %v (%#v), want Unavailable after %s with %q", err, u, c.after, c.hint)
			}
			f.mu.Lock()
			up = true
			f.mu.Unlock()
			got, err := s.Write(t.Context(), batch)
			if want := (Written{Values: 100}); err != nil || got != want {
				t.Errorf("Write afterwards: %+v, %v, want %+v", got, err, want)
			}
			if len(f.lines) != 100 {
				t.Errorf("the server has %d lines, want 100", len(f.lines))
			}
		})
	}
}

func TestInfluxTimeout(t *testing.T) {
	f := &fakeInflux{}
	release := make(chan struct{})
	f.answer = func(http.ResponseWriter, *http.Request, []string) { <-release }
	s := newFake(t, f, InfluxOptions{Timeout: 50 * time.Millisecond})
	t.Cleanup(func() { close(release) }) // before the server's Close waits for it
	if _, err := s.Write(t.Context(), someMessages(1)); !isUnavailable(err) {
		t.Errorf("Write to a server that hangs: %v, want Unavailable", err)
	}
}

// A refused request is divided until the bad lines are alone; all others are
// stored. This is what the client's asynchronous API takes for success.
func TestInfluxDividesWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		partial bool // the good ones of a refused request are stored
		status  int
		message string
	}{
		{"1.8, conflict", true, 400, `{"error":"partial write: field type conflict: input field \"value\" is type float, already exists as type string dropped=2"}`},
		{"1.8, parse", false, 400, `{"error":"unable to parse 'x': bad timestamp"}`},
		{"2.x, conflict", true, 422, `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict"}`},
		{"2.x, retention", true, 422, `{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyond retention policy dropped=2"}`},
		{"too large", false, 413, `{"code":"request too large","message":"request body too large"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeInflux{}
			bad := func(l string) bool { return strings.Contains(l, "value=13,") || strings.Contains(l, "value=77,") }
			f.answer = func(w http.ResponseWriter, _ *http.Request, lines []string) {
				var good []string
				for _, l := range lines {
					if !bad(l) {
						good = append(good, l)
					}
				}
				if len(good) == len(lines) || c.partial {
					f.take(good)
				}
				if len(good) == len(lines) {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				message := c.message
				if c.status == 400 { // 1.8 says it in a header and under another name
					w.Header().Set("X-Influxdb-Error", message)
					fail(w, c.status, "application/json", strings.Replace(message, `"error"`, `"code":"invalid","message"`, 1))
					return
				}
				fail(w, c.status, "application/json", message)
			}
			var rejected []Rejection
			s := newFake(t, f, InfluxOptions{Rejected: func(r Rejection) { rejected = append(rejected, r) }})
			got, err := s.Write(t.Context(), someMessages(100))
			if want := (Written{Values: 98, Rejected: 2}); err != nil || got != want {
				t.Errorf("Write: %+v, %v, want %+v", got, err, want)
			}
			if len(f.lines) != 98 {
				t.Errorf("the server has %d lines, want 98", len(f.lines))
			}
			for _, r := range rejected {
				if r.Number != 13 && r.Number != 77 || r.Cause != CauseRefused {
					t.Errorf("rejected %+v", r)
				}
			}
			if f.writes > 50 {
				t.Errorf("%d requests for 100 lines", f.writes)
			}
		})
	}
}

// One device's values are sent in their order, and of two for one place only
// the later: parallel requests cannot turn them around.
func TestInfluxSendsOneOfEachPlace(t *testing.T) {
	f := &fakeInflux{}
	f.answer = func(w http.ResponseWriter, _ *http.Request, lines []string) {
		f.take(lines)
		w.WriteHeader(http.StatusNoContent)
	}
	s := newFake(t, f, InfluxOptions{Lines: 10})
	now := time.Now().UTC().Truncate(time.Second)
	var batch []*devices.Message
	for i := range 1000 {
		at := now.Add(-time.Duration(i%10) * time.Second)
		batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", i%20)), at, now.Add(time.Duration(i)*time.Millisecond), nil, "noise", i))
	}
	got, err := s.Write(t.Context(), batch)
	if want := (Written{Values: 1000, Overwrites: 980}); err != nil || got != want {
		t.Errorf("Write: %+v, %v, want %+v", got, err, want)
	}
	if len(f.lines) != 20 {
		t.Errorf("%d lines were sent, want 20", len(f.lines))
	}
	for l := range f.lines {
		var n int
		if _, after, _ := strings.Cut(l, " value="); true {
			fmt.Sscanf(after, "%d", &n)
		}
		if n < 980 {
			t.Errorf("sent %q, which was overwritten", l)
		}
	}
}
