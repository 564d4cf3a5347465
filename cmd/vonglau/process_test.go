package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests in this folder whose names begin with TestProgram run the built
// program as a process of its own and talk to it over sockets only.

var (
	program     string // the built binary
	buildOnce   sync.Once
	buildErr    error
	buildOutput []byte
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if program != "" && os.Getenv("VONGLAU_BIN") == "" {
		_ = os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// buildProgram builds the server once for all tests.
func buildProgram(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the tests of the whole program are left out")
	}
	buildOnce.Do(func() {
		if program = os.Getenv("VONGLAU_BIN"); program != "" {
			return // `make test` has built it, with the wall inside
		}
		dir, err := os.MkdirTemp("", "vonglau-program-")
		if err != nil {
			buildErr = err
			return
		}
		program = filepath.Join(dir, "vonglau")
		cmd := exec.Command("go", "build", "-o", program, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		buildOutput, buildErr = cmd.CombinedOutput()
	})
	if buildErr != nil {
		t.Fatalf("building the program: %v\n%s", buildErr, buildOutput)
	}
	return program
}

// tool finds a program that is not ours. Under VONGLAU_REQUIRE_TOOLS, which
// `make test` sets after installing them, a missing one fails the test.
func tool(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("VONGLAU_REQUIRE_TOOLS") != "" {
		t.Fatalf("none of %v is installed; deploy/install-test-tools.sh installs them", names)
	}
	t.Skipf("none of %v is installed; deploy/install-test-tools.sh installs them", names)
	return ""
}

// process is a running server.
type process struct {
	t     testing.TB
	dir   string // its data folder
	args  []string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *os.File
	addr  addresses
	token string
}

// startProcess starts a server on free ports of [::1] over a data folder.
func startProcess(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, args: args}
	buildProgram(t)
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	_ = os.Remove(filepath.Join(p.dir, "addresses.json"))
	log, err := os.OpenFile(filepath.Join(p.dir, "test.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	p.log = log
	args := append([]string{"serve", "--data", p.dir, "--http", "[::1]:0", "--mqtt", "[::1]:0", "--coap", "[::1]:0",
		"--https", "[::1]:0", "--mqtts", "[::1]:0", "--coaps", "[::1]:0"}, p.args...)
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// The server must not outlive a test that dies.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(p.cmd, p.ended)

	deadline := time.Now().Add(60 * time.Second)
	for {
		raw, err := os.ReadFile(filepath.Join(p.dir, "addresses.json"))
		if err == nil && json.Unmarshal(raw, &p.addr) == nil && p.addr.HTTP != "" {
			break
		}
		select {
		case <-p.ended:
			p.t.Fatalf("the server ended while starting:\n%s", p.tail())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the server did not come up in a minute:\n%s", p.tail())
		}
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, "admin.token"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.token = strings.TrimSpace(string(raw))
}

func (p *process) tail() string {
	raw, _ := os.ReadFile(filepath.Join(p.dir, "test.log"))
	return string(raw[max(0, len(raw)-4000):])
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.log.Close()
	p.cmd = nil
}

// stop asks for a clean end and wants exit code 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(60 * time.Second):
		p.t.Fatalf("the server did not stop in a minute:\n%s", p.tail())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("a clean stop ended with code %d:\n%s", code, p.tail())
	}
	_ = p.log.Close()
	p.cmd = nil
}

// run runs one of the program's other commands against the server.
func (p *process) run(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "VONGLAU_SERVER=http://"+p.addr.HTTP, "VONGLAU_TOKEN="+p.token)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is run for a command that has to work; it gives its JSON.
func (p *process) must(args ...string) map[string]any {
	p.t.Helper()
	stdout, stderr, code := p.run(append(args, "--json")...)
	if code != 0 {
		p.t.Fatalf("vonglau %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		p.t.Fatalf("vonglau %s: not a JSON object: %v\n%s", strings.Join(args, " "), err, stdout)
	}
	return answer
}

// enrol adds a device and gives its token.
func (p *process) enrol(id, profile, at string) string {
	p.t.Helper()
	args := []string{"device", "add", id, "--profile", profile}
	if at != "" {
		args = append(args, "--at", at)
	}
	token, _ := p.must(args...)["token"].(string)
	if token == "" {
		p.t.Fatalf("enrolling %s gave no token", id)
	}
	return token
}

// api makes a request with the administrator's token.
func (p *process) api(method, path string, query url.Values, body string, into any) int {
	p.t.Helper()
	target := "http://" + p.addr.HTTP + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if into != nil && res.StatusCode/100 == 2 {
		if err := json.Unmarshal(raw, into); err != nil {
			p.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return res.StatusCode
}

// latest is the API's newest value of one quantity of a device.
func (p *process) latest(id, quantity string) (value float64, zones map[string]any, ok bool) {
	p.t.Helper()
	var answer struct {
		Quantities map[string]struct {
			Value float64        `json:"value"`
			Zones map[string]any `json:"zones"`
		} `json:"quantities"`
	}
	if code := p.api(http.MethodGet, "/v1/devices/"+id+"/latest", nil, "", &answer); code != http.StatusOK {
		return 0, nil, false
	}
	q, ok := answer.Quantities[quantity]
	return q.Value, q.Zones, ok
}

// eventually waits until ok, which is asked again and again, and fails with
// what it last said.
func eventually(t testing.TB, within time.Duration, ok func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		done, state := ok()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, state)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
