package series

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"vonglau/devices"
)

// influxd is a server process of one test, with its data in a folder of its own.
type influxd struct {
	path   string
	dir    string
	port   string // http, on [::1]
	token  string
	second bool // 2.x
	cmd    *exec.Cmd
	log    bytes.Buffer
	exited chan error
}

// findInfluxd gives the path of a server: by environment, on PATH (1.8 only),
// or where deploy/influxd puts it.
func findInfluxd(t testing.TB, second bool) string {
	t.Helper()
	env, built, script := "VONGLAU_INFLUXD", "influxd", "build.sh"
	if second {
		env, built, script = "VONGLAU_INFLUXD2", "influxd2", "build2.sh"
	}
	if path := os.Getenv(env); path != "" {
		return path
	}
	if !second {
		if path, err := exec.LookPath("influxd"); err == nil {
			if out, err := exec.Command(path, "version").Output(); err == nil && strings.Contains(string(out), "v1.8.") {
				return path
			}
		}
	}
	path, err := filepath.Abs(filepath.Join("..", "..", ".cache", built, "influxd"))
	if err == nil {
		if _, err = os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("VONGLAU_REQUIRE_INFLUXD") == "1" && !second {
		t.Fatalf("no influxd: run deploy/influxd/%s, or set %s", script, env)
	}
	t.Skipf("no influxd: run deploy/influxd/%s, or set %s", script, env)
	return ""
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func newInfluxd(t testing.TB, second bool) *influxd {
	t.Helper()
	d := &influxd{path: findInfluxd(t, second), dir: t.TempDir(), port: freePort(t), second: second}
	d.start(t)
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			tail := d.log.Bytes()
			t.Logf("the end of influxd's log:\n%s", tail[max(0, len(tail)-4000):])
		}
	})
	if second {
		d.setUp(t)
	}
	return d
}

func (d *influxd) url() string { return "http://" + net.JoinHostPort("::1", d.port) }

func (d *influxd) start(t testing.TB) {
	t.Helper()
	if d.second {
		d.cmd = exec.Command(d.path, "--http-bind-address", net.JoinHostPort("::1", d.port),
			"--bolt-path", filepath.Join(d.dir, "influxd.bolt"), "--sqlite-path", filepath.Join(d.dir, "influxd.sqlite"),
			"--engine-path", filepath.Join(d.dir, "engine"), "--reporting-disabled", "--log-level", "warn")
		d.cmd.Env = append(os.Environ(), "HOME="+d.dir)
	} else {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "influxd", "influxdb.conf"))
		if err != nil {
			t.Fatal(err)
		}
		var conf bytes.Buffer
		err = template.Must(template.New("").Parse(string(text))).Execute(&conf, map[string]string{
			"Dir": d.dir, "HTTP": net.JoinHostPort("::1", d.port), "RPC": net.JoinHostPort("::1", freePort(t))})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(d.dir, "influxdb.conf")
		if err := os.WriteFile(path, conf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		d.cmd = exec.Command(d.path, "-config", path)
		d.cmd.Env = append(os.Environ(), "HOME="+d.dir)
	}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	d.exited = exited
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(d.cmd)
	// Not a measurement: only a server that never comes up runs into the end.
	deadline := time.Now().Add(2 * time.Minute)
	for {
		resp, err := http.Get(d.url() + "/ping")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return
			}
		}
		select {
		case err := <-d.exited:
			t.Fatalf("influxd ended: %v\n%s", err, d.log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("influxd does not answer: %v", err)
		}
	}
}

func (d *influxd) kill() {
	if d.cmd == nil {
		return
	}
	d.cmd.Process.Kill()
	<-d.exited
	d.cmd = nil
	http.DefaultClient.CloseIdleConnections()
}

// setUp makes the first user of a 2.x server, by its own API.
func (d *influxd) setUp(t testing.TB) {
	t.Helper()
	body := `{"username":"vonglau","password":"a-password-of-tests","org":"city","bucket":"first"}`
	resp, err := http.Post(d.url()+"/api/v2/setup", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Auth struct{ Token string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Auth.Token == "" {
		t.Fatalf("set up: %s, %v", resp.Status, err)
	}
	d.token = answer.Auth.Token
}

var bucketNumber atomic.Int64

// bucket makes an empty place for data and gives the options that lead there.
func (d *influxd) bucket(t testing.TB) InfluxOptions {
	t.Helper()
	name := fmt.Sprintf("test%d", bucketNumber.Add(1))
	o := InfluxOptions{URL: d.url(), Bucket: name, Token: d.token, Retention: suiteRetention}
	if !d.second {
		d.influxql(t, "CREATE DATABASE "+name+" WITH DURATION 30d SHARD DURATION 1d NAME keep")
		o.Bucket = name + "/keep"
		return o
	}
	o.Org = "city"
	s, err := OpenInflux(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	org, err := s.client.OrganizationsAPI().FindOrganizationByName(t.Context(), o.Org)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.client.BucketsAPI().CreateBucketWithName(t.Context(), org, name)
	if err != nil {
		t.Fatal(err)
	}
	b.RetentionRules[0].EverySeconds = int64(suiteRetention / time.Second)
	if _, err := s.client.BucketsAPI().UpdateBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return o
}

func (d *influxd) influxql(t testing.TB, statement string) {
	t.Helper()
	resp, err := http.PostForm(d.url()+"/query", url.Values{"q": {statement}})
	if err != nil {
		t.Fatal(err)
	}
	if err := statementError(resp.Body); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// lines writes line protocol as someone else would.
func (d *influxd) lines(t testing.TB, o InfluxOptions, lines string) {
	t.Helper()
	s, err := OpenInflux(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.writer.WriteRecord(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
}

func openInflux(t testing.TB, o InfluxOptions) *Influx {
	t.Helper()
	s, err := OpenInflux(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestInflux18(t *testing.T) { testInflux(t, false) }
func TestInflux2(t *testing.T)  { testInflux(t, true) }

func testInflux(t *testing.T, second bool) {
	d := newInfluxd(t, second)
	testSuite(t, subject{
		open: func(t *testing.T, now func() time.Time, rejected func(Rejection)) Store {
			o := d.bucket(t)
			o.Now, o.Rejected = now, rejected
			return openInflux(t, o)
		},
		reopen: func(t *testing.T, s Store) Store {
			in := s.(*Influx)
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			o := in.opts
			o.Transport = nil
			return openInflux(t, o)
		},
	})

	t.Run("a field of another type", func(t *testing.T) {
		o := d.bucket(t)
		base := time.Now().UTC().Truncate(time.Hour)
		// In this shard someone stored text where a number belongs.
		d.lines(t, o, fmt.Sprintf("noise,device=other value=\"loud\" %d", base.UnixMilli()))
		var rejected []Rejection
		o.Rejected = func(r Rejection) { rejected = append(rejected, r) }
		o.Parallel, o.Lines = 1, 5000
		s := openInflux(t, o)
		var batch []*devices.Message
		for i := range 4999 {
			at := base.Add(-time.Duration(i%60)*time.Minute - time.Duration(i)*time.Millisecond)
			batch = append(batch, say(devices.ID(fmt.Sprintf("dev-%d", i%100)), at, at, nil, "power", i))
		}
		bad := say("dev-7", base.Add(time.Second), base, nil, "noise", 40)
		batch = append(batch[:2500], append([]*devices.Message{bad}, batch[2500:]...)...)
		got, err := s.Write(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Written{Values: 4999, Rejected: 1}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
		if len(rejected) != 1 || rejected[0].Quantity != "noise" || rejected[0].Cause != CauseRefused ||
			!strings.Contains(rejected[0].Detail, "conflict") {
			t.Errorf("rejected %+v", rejected)
		}
		n := 0
		for i := range 100 {
			points, err := s.Range(t.Context(), Query{Device: devices.ID(fmt.Sprintf("dev-%d", i)), Quantity: "power",
				From: base.Add(-2 * time.Hour), To: base.Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			n += len(points)
		}
		if n != 4999 {
			t.Errorf("%d values stored, want 4999", n)
		}
	})

	t.Run("older than the bucket keeps", func(t *testing.T) {
		// Our retention says longer than the server's.
		o := d.bucket(t)
		o.Retention = 2 * suiteRetention
		var rejected []Rejection
		o.Rejected = func(r Rejection) { rejected = append(rejected, r) }
		s := openInflux(t, o)
		now := time.Now().Truncate(time.Millisecond)
		got, err := s.Write(t.Context(), []*devices.Message{
			say("x", now.Add(-suiteRetention-24*time.Hour), now, nil, "noise", 1), say("x", now, now, nil, "noise", 2)})
		if err != nil {
			t.Fatal(err)
		}
		if want := (Written{Values: 1, Rejected: 1}); got != want || len(rejected) != 1 {
			t.Errorf("counted %+v, rejected %+v, want %+v", got, rejected, want)
		}
	})

	t.Run("no such bucket", func(t *testing.T) {
		o := d.bucket(t)
		o.Bucket = "nowhere/none"
		o.Rejected = func(r Rejection) { t.Errorf("rejected %+v", r) }
		s := openInflux(t, o)
		now := time.Now()
		_, err := s.Write(t.Context(), []*devices.Message{say("x", now, now, nil, "noise", 1)})
		var u *Unavailable
		if !errors.As(err, &u) || !strings.Contains(err.Error(), "check series.influx") {
			t.Errorf("Write: %v, want an Unavailable with a hint", err)
		}
	})

	t.Run("down and back", func(t *testing.T) {
		o := d.bucket(t)
		s := openInflux(t, o)
		base := time.Now().UTC().Truncate(time.Hour).Add(-3 * time.Hour)
		source := newSource(t)
		w, err := NewWriter(WriterOptions{Store: s, Source: source, Linger: 5 * time.Millisecond, SyncEvery: 10 * time.Millisecond,
			Backoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond, MaxValues: 500})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		n := 0
		feed := func(count int) {
			for range count {
				at := base.Add(time.Duration(n) * time.Second)
				source.put(say(devices.ID(fmt.Sprintf("dev-%d", n%10)), at, at, []devices.ZoneRef{wardA}, "noise", n))
				n++
			}
		}
		feed(1000)
		source.waitDone(t, n)
		d.kill()
		feed(2000)
		waitFor(t, "a failed write", func() bool { return !w.State().OK })
		if _, err := s.Range(t.Context(), Query{Device: "dev-1", Quantity: "noise", From: base, To: base.Add(time.Hour)}); !isUnavailable(err) {
			t.Errorf("Range while down: %v, want Unavailable", err)
		}
		if err := s.Health(t.Context()); !isUnavailable(err) {
			t.Errorf("Health while down: %v, want Unavailable", err)
		}
		waitFor(t, "several attempts", func() bool { return w.State().Failures > 3 })
		if held := w.State().Held; held > 3*1000 {
			t.Errorf("%d held while down, want at most twice MaxValues and a batch", held)
		}
		d.start(t)
		source.waitDone(t, n)
		waitFor(t, "the state to be good again", func() bool { return w.State().OK })
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		zones, err := s.ByZone(t.Context(), ZoneQuery{Layer: "ward", Quantity: "noise", From: base, To: base.Add(3 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if len(zones) != 1 || zones[0].Buckets[0].Count != n {
			t.Errorf("after the outage %+v, want %d values", zones, n)
		}
	})
}

func isUnavailable(err error) bool {
	var u *Unavailable
	return errors.As(err, &u)
}
