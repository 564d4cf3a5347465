package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vonglau/ingest/journal"
	"vonglau/ops-center/audit"
)

// records asks for the record, the newest first.
func (p *process) records(query string) []audit.Entry {
	p.t.Helper()
	var answer struct {
		Records []audit.Entry `json:"records"`
	}
	if code := p.api(http.MethodGet, "/v1/audit?"+query, nil, "", &answer); code != http.StatusOK {
		p.t.Fatalf("GET /v1/audit?%s: %d", query, code)
	}
	return answer.Records
}

// peopleSecrets does what people do with secrets in hand, and gives all that
// they sent and were given: one-time and own passwords, a second factor, API
// tokens, a subscription's key, a display's link.
func peopleSecrets(t *testing.T, p *process) (secrets []string) {
	t.Helper()
	client := &http.Client{}
	client.Jar, _ = cookiejar.New(nil)
	call := func(method, path, body string, status int) map[string]any {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+p.addr.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", "http://"+p.addr.HTTP) // as a page of the host does
		if len(client.Jar.Cookies(req.URL)) == 0 {
			req.Header.Set("Authorization", "Bearer "+p.token)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		raw, _ := io.ReadAll(res.Body)
		if res.StatusCode != status {
			t.Fatalf("%s %s: %s, want %d: %s", method, path, res.Status, status, raw)
		}
		var answer map[string]any
		_ = json.Unmarshal(raw, &answer)
		return answer
	}
	keep := func(s string) string {
		t.Helper()
		if len(s) < 6 {
			t.Fatalf("%q is no secret", s)
		}
		secrets = append(secrets, s)
		return s
	}
	given := func(answer map[string]any, key string) string {
		t.Helper()
		s, _ := answer[key].(string)
		return keep(s)
	}
	call("PUT", "/v1/departments/"+url.PathEscape("Sở Xây dựng"), `{"head":"Lê Văn Cường"}`, 200)
	keep("of-the-subscription-7d1f0a93c2")
	call("POST", "/v1/subscriptions", `{"department":"Sở Xây dựng","kind":"webhook","url":"https://receiver.example/hook","secret":"of-the-subscription-7d1f0a93c2","filter":{}}`, 201)
	given(call("POST", "/v1/tokens", `{"kind":"program","role":"auditor","name":"kho","purpose":"kho dữ liệu"}`, 201), "secret")
	given(call("POST", "/v1/tokens", `{"kind":"display","screen":"hall-1","name":"hall-1","purpose":"tường"}`, 201), "secret")
	once := given(call("POST", "/v1/people", `{"id":"lan","name":"Lan","role":"operator"}`, 201), "password")
	again := given(call("POST", "/v1/people/lan/password", `{}`, 200), "password")

	session := func(password string, status int) {
		t.Helper()
		raw, _ := json.Marshal(map[string]string{"name": "lan", "password": password})
		call("POST", "/v1/session", string(raw), status)
	}
	session(keep("a wrong guess of hers 81"), 401)
	session(once, 401) // replaced
	session(again, 200)
	own := keep("bốn ngọn hải đăng ngoài khơi")
	raw, _ := json.Marshal(map[string]string{"old": again, "new": own})
	call("POST", "/v1/me/password", string(raw), 204)
	client.Jar, _ = cookiejar.New(nil)
	session(own, 200)
	raw, _ = json.Marshal(map[string]string{"password": own})
	given(call("POST", "/v1/me/totp", string(raw), 200), "secret")
	call("POST", "/v1/me/totp/confirm", `{"code":"000000"}`, 403)
	given(call("POST", "/v1/me/tokens", `{"name":"bảng tính","purpose":"xem"}`, 201), "secret")
	return secrets
}

// What people did is on record when they are answered, over kill -9, without
// any secret; the export is the same chain, and whoever changes the disk is
// found.
func TestProgramRecord(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir)
	secrets := []string{p.token}
	secrets = append(secrets, p.enrol("aq-1", "air-quality", "106.168,20.434"))
	psk := p.must("device", "add", "aq-2", "--profile", "air-quality", "--at", "106.168,20.434", "--credential", "psk", "--out", t.TempDir())
	for _, v := range psk {
		if s, ok := v.(string); ok && len(s) >= 32 {
			secrets = append(secrets, s)
		}
	}
	claim := p.must("device", "add", "aq-3", "--profile", "air-quality", "--at", "106.168,20.434", "--claim")
	for key, v := range claim {
		if s, ok := v.(string); ok && strings.Contains(strings.ToLower(key), "claim") {
			secrets = append(secrets, s)
		}
	}
	if code := p.api(http.MethodPost, "/v1/devices", nil, `{"id":"aq-1","profile":"air-quality"}`, nil); code != http.StatusConflict {
		t.Errorf("enrolling a device twice: %d", code)
	}
	// A stranger tries to guess, three hundred times.
	wrong := "V1m2N3b4C5x6Z7l8K9j0H1g2F3d4S5a6P7o8I9u0Y1t"
	secrets = append(secrets, wrong)
	for range 300 {
		req, err := http.NewRequest(http.MethodPut, "http://"+p.addr.HTTP+"/v1/rules", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+wrong)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("a stranger was answered %d", res.StatusCode)
		}
	}
	before := len(p.records("outcome=done&limit=1000"))
	if before < 3 {
		t.Errorf("%d records of what was done, want that of three devices", before)
	}
	if n := len(p.records("outcome=refused&limit=1000")); n < 5 || n > 20 {
		t.Errorf("300 refusals left %d records, want a handful", n)
	}
	if list := p.records("outcome=failed"); len(list) != 1 || list[0].Status != http.StatusConflict || list[0].Who.Role != "admin" {
		t.Errorf("what failed: %+v", list)
	}
	checkpoint := p.must("audit", "checkpoint")
	carried := filepath.Join(t.TempDir(), "checkpoint.json")
	raw, err := json.Marshal(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(carried, raw, 0o600); err != nil {
		t.Fatal(err)
	}

	// An answered change outlives kill -9.
	p.enrol("aq-4", "air-quality", "106.168,20.434")
	p.kill()
	p.start()
	if list := p.records("object=aq-4"); len(list) == 0 {
		// Routes that do not name what they changed are found by their address.
		if all := p.records("outcome=done&limit=1000"); len(all) < before+1 {
			t.Errorf("after kill -9 the record has %d entries, want %d: an answered change is gone", len(all), before+1)
		}
	}
	if report := p.must("audit", "verify", "--checkpoint", carried); report["ok"] != true || report["checkpoints"].(float64) < 1 {
		t.Errorf("verified: %v", report)
	}

	secrets = append(secrets, peopleSecrets(t, p)...)
	export := filepath.Join(t.TempDir(), "audit.jsonl")
	if _, stderr, code := p.run("audit", "export", "--out", export); code != 0 {
		t.Fatalf("export: %s", stderr)
	}
	lines, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if bytes.Contains(lines, []byte(s)) {
			t.Errorf("a secret is on record: %.8s…", s)
		}
	}
	// Cut in the middle of a line, it is gone on with.
	if err := os.WriteFile(export, lines[:len(lines)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := p.run("audit", "export", "--out", export); code != 0 {
		t.Fatalf("export again: %s", stderr)
	}
	resumed, err := os.ReadFile(export)
	if err != nil || !bytes.HasPrefix(resumed, lines) {
		t.Errorf("an export that was gone on with is another one: %v", err)
	}
	key := filepath.Join(dir, audit.PublicKeyFile)
	if out, stderr, code := p.run("audit", "verify", export, "--checkpoint", carried, "--key", key); code != 0 {
		t.Errorf("the export: %s%s", out, stderr)
	}
	p.stop()
	if out, stderr, code := p.run("audit", "verify", "--data", dir, "--checkpoint", carried); code != 0 {
		t.Errorf("stopped: %s%s", out, stderr)
	}

	// Somebody who may write the disk: the log with one record altered, one
	// removed, and the end cut off and computed anew.
	whole := bytes.Split(bytes.TrimSpace(resumed), []byte("\n"))
	for _, c := range []struct {
		name, want string
		do         func([][]byte) [][]byte
	}{
		{"altered", `"kind": "altered"`, func(l [][]byte) [][]byte {
			l[1] = bytes.Replace(l[1], []byte(`"outcome":"done"`), []byte(`"outcome":"gone"`), 1)
			return l
		}},
		{"removed", `"kind": "removed"`, func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) }},
		{"end removed", `"kind": "removed"`, func(l [][]byte) [][]byte { return l[:3] }},
	} {
		forged := t.TempDir()
		copyFile(t, filepath.Join(dir, audit.KeyFile), filepath.Join(forged, audit.KeyFile))
		copyFile(t, key, filepath.Join(forged, audit.PublicKeyFile))
		writeRecord(t, forged, c.do(slices.Clone(whole)))
		out, stderr, code := p.run("audit", "verify", "--data", forged, "--checkpoint", carried)
		if code != exitFailed || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, %s%s", c.name, code, out, stderr)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeRecord makes a journal whose record is these lines.
func writeRecord(t *testing.T, dir string, lines [][]byte) {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	log, err := j.Log(t.Context(), logAudit, journal.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := (auditLog{log}).AppendAll(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
}

// The journal's own log carries a hundred thousand records, and a start finds
// its end.
func TestRecordOnJournal(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a hundred thousand records are left out")
	}
	const records, batch = 100_000, 500
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	o, err := openRecord(t.Context(), j, dir, AuditConfig{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := 0; i < records; i += batch {
		list := make([]audit.Entry, batch)
		for k := range list {
			list[k] = audit.Entry{Who: audit.Who{ID: "p-1", Role: "operator", Kind: audit.Person}, Act: "alarm.acknowledge", Object: fmt.Sprint("a-", i+k), Outcome: audit.Done}
		}
		if err := r.Add(t.Context(), list...); err != nil {
			t.Fatal(err)
		}
	}
	wrote := time.Since(began)
	if _, err := r.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if j, err = journal.Open(t.Context(), journal.Options{Dir: filepath.Join(dir, "journal")}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if o, err = openRecord(t.Context(), j, dir, AuditConfig{}); err != nil {
		t.Fatal(err)
	}
	if r, err = audit.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	opened := time.Since(began)
	began = time.Now()
	report, err := r.Verify(t.Context())
	if err != nil || !report.OK || report.Records != records || report.Signed != records {
		t.Errorf("%v %+v", err, report)
	}
	verified := time.Since(began)
	began = time.Now()
	found, err := r.Find(t.Context(), audit.Query{Object: "a-17"})
	if err != nil || len(found.Entries) == 0 {
		t.Errorf("%v %+v", err, found)
	}
	t.Logf("written in %v, opened in %v, verified in %v, searched through in %v", wrote, opened, verified, time.Since(began))
	var export bytes.Buffer
	if err := r.Export(context.Background(), io.Writer(&export), 0, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	again, err := audit.Verify(t.Context(), audit.Lines(&export), audit.VerifyOptions{})
	if err != nil || again.Head != report.Head {
		t.Errorf("the export is another chain: %v %s, want %s", err, again.Head, report.Head)
	}
}
