package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func line(t *testing.T, args ...string) (code int, out, progress string) {
	t.Helper()
	var o, p strings.Builder
	code = start(context.Background(), args, &o, &p)
	return code, o.String(), p.String()
}

func TestUsage(t *testing.T) {
	t.Setenv("VONGLAU_TOKEN", "")
	t.Setenv("VONGLAU_SERVER", "")
	for _, c := range []struct {
		args string
		code int
		want string // in either output
	}{
		{"", exitUsage, "examples"},
		{"help", exitOK, "examples"},
		{"run --help", exitOK, "-scenario"},
		{"fly", exitUsage, "no command"},
		{"run --wings 2", exitUsage, "wings"},
		{"run extra", exitUsage, "unexpected"},
		{"run --scenario sunshine", exitUsage, "sunshine"},
		{"run", exitUsage, "no token"},
		{"run --server http://[::1", exitUsage, "--server"},
		{"run --token-file /does/not/exist", exitFailed, "token"},
		{"city", exitUsage, "--out"},
		{"replay", exitUsage, "one FILE"},
		{"replay x.csv", exitUsage, "liverpool-bus"},
		{"replay x.csv --mapping nowhere", exitUsage, "nowhere"},
		{"replay x.csv --mapping liverpool-bus --move-to here", exitUsage, "106.168,20.434"},
		{"load --protocol amqp", exitUsage, "no token"},
		{"scenarios", exitOK, "typhoon"},
	} {
		code, out, progress := line(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+progress, c.want) {
			t.Errorf("%q: exit code %d, said %q; want %d and %q", c.args, code, out+progress, c.code, c.want)
		}
	}
}

func TestScenariosAsJSON(t *testing.T) {
	code, out, _ := line(t, "scenarios", "--json")
	var got struct {
		Scenarios []struct {
			Name  string
			Label map[string]string
		}
		Mappings []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if len(got.Scenarios) != 3 || got.Scenarios[1].Label["vi"] == "" || len(got.Mappings) != 3 {
		t.Errorf("got %+v", got)
	}
}

// A load that is refused says so with its exit code.
func TestLoadIsHonest(t *testing.T) {
	status := http.StatusNoContent
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/telemetry") {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			return
		}
		_, _ = io.WriteString(w, `{"devices":[]}`)
	}))
	defer s.Close()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"load", "--server", s.URL, "--token-file", token, "--protocol", "http", "--devices", "2", "--rate", "100", "--duration", "200ms", "--json", "--history", filepath.Join(dir, "acked.csv")}
	code, out, progress := line(t, args...)
	var report struct{ Measured, Acked uint64 }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s %s", err, out, progress)
	}
	if code != exitOK || report.Acked == 0 || report.Acked != report.Measured {
		t.Errorf("exit code %d, report %+v, %s", code, report, progress)
	}
	status = http.StatusForbidden
	if code, _, progress = line(t, args...); code != exitFailed || !strings.Contains(progress, "403") {
		t.Errorf("all readings refused: exit code %d, said %q", code, progress)
	}
}

func TestPorts(t *testing.T) {
	for _, c := range [][3]string{
		{"", "::1", "[::1]:1883"},
		{"", "city.example", "city.example:1883"},
		{"off", "::1", ""},
		{"[::1]:2", "::1", "[::1]:2"},
	} {
		if got := orPort(c[0], c[1], "1883"); got != c[2] {
			t.Errorf("%q on %q is %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
