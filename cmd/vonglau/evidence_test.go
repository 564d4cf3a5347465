package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// The evidence of a fresh server: what is checked is answered, what fails says
// so, and nothing claims a level.
func TestProgramEvidence(t *testing.T) {
	p := startProcess(t, t.TempDir())
	out, stderr, code := p.run("evidence", "--json", "--tls", p.addr.HTTPS)
	var answer struct {
		Findings []finding `json:"findings"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s %s", err, out, stderr)
	}
	got := map[string]string{}
	for _, f := range answer.Findings {
		got[f.ID] = f.Result
		if len(f.Meets) == 0 || f.Detail == "" {
			t.Errorf("%s says neither what it bears on nor what was seen", f.ID)
		}
	}
	for id, want := range map[string]string{
		"headers": passed, "strangers": passed, "defaults": passed, "tls-versions": passed, "certificate": passed, "record": passed,
		"plain-doors": notPassed, // the test's server has one
		"record-away": notPassed, "vulnerabilities": notChecked, "token-expiry": passed, "second-factor": passed,
	} {
		if got[id] != want {
			t.Errorf("%s: %s, want %s", id, got[id], want)
		}
	}
	if code != exitFailed {
		t.Errorf("exit code %d with checks that failed", code)
	}
	table, _, _ := p.run("evidence")
	if !strings.Contains(table, "| Check |") || regexp.MustCompile(`(?i)\b(certified|compliant)\b`).MatchString(table) {
		t.Errorf("the table: %s", table)
	}
}

func TestSBOM(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this test carries no build information: build it with the go command")
	}
	info.Deps = append(info.Deps, &debug.Module{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/new", Version: "v2.0.0+incompatible"}})
	lock, err := os.ReadFile("../../ops-center/web/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := makeBOM(info, lock)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Format     string         `json:"bomFormat"`
		Spec       string         `json:"specVersion"`
		Serial     string         `json:"serialNumber"`
		Components []bomComponent `json:"components"`
	}
	if err := json.Unmarshal(raw, &read); err != nil || read.Format != "CycloneDX" || read.Spec != "1.6" {
		t.Fatalf("%v %+v", err, read)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(read.Serial) {
		t.Errorf("serial %s", read.Serial)
	}
	refs := map[string]bomComponent{}
	for _, c := range read.Components {
		if _, twice := refs[c.Ref]; twice {
			t.Errorf("%s comes twice", c.Ref)
		}
		refs[c.Ref] = c
		if c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:") {
			t.Errorf("%+v has no version or no address", c)
		}
	}
	wanted := map[string]string{"pkg:npm/react@": "required", "pkg:npm/maplibre-gl@": "required", "pkg:npm/vite@": "excluded", "pkg:npm/%40fontsource/be-vietnam-pro@": "required"}
	for prefix, scope := range wanted {
		found := false
		for ref, c := range refs {
			if strings.HasPrefix(ref, prefix) {
				found = true
				if c.Scope != scope || len(c.Hashes) == 0 {
					t.Errorf("%+v, want %s", c, scope)
				}
			}
		}
		if !found {
			t.Errorf("%s is not listed", prefix)
		}
	}
	if _, ok := refs["pkg:golang/example.org/new@"+"v2.0.0+incompatible"]; !ok {
		t.Error("a replaced module is not listed under what replaces it")
	}
	for _, bad := range []string{`{}`, `{"lockfileVersion":1}`, `x`} {
		if _, err := npmComponents([]byte(bad)); err == nil {
			t.Errorf("%s passes for a lock file", bad)
		}
	}
}

// secretShapes are what a secret looks like in a text.
var secretShapes = regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n[A-Za-z0-9+/=\s]{60,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bglpat-[A-Za-z0-9_-]{20}\b|\bAIza[A-Za-z0-9_-]{35}\b`)

// No secret is in the repository.
func TestNoSecrets(t *testing.T) {
	for sample, want := range map[string]bool{
		"-----BEGIN EC PRIVATE KEY-----\n" + strings.Repeat("QUJD", 20): true, "AKIA" + "ABCDEFGHIJKLMNOP": true,
		"-----BEGIN PRIVATE KEY----- is how it begins": false, "ghp_short": false,
	} {
		if secretShapes.MatchString(sample) != want {
			t.Errorf("%q: %v", sample, !want)
		}
	}
	out, err := exec.Command("git", "-C", "../..", "ls-files", "-z").Output()
	if err != nil {
		noRepository(t, err)
	}
	files := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	for _, name := range files {
		base := name[strings.LastIndex(name, "/")+1:]
		if strings.HasSuffix(base, ".token") || strings.HasSuffix(base, ".key") || base == "sessions.json" || base == ".env" {
			t.Errorf("%s is in the repository", name)
		}
		raw, err := os.ReadFile("../../" + name)
		if err != nil || len(raw) > 4<<20 {
			continue
		}
		if m := secretShapes.Find(raw); m != nil {
			t.Errorf("%s holds %.20q…", name, m)
		}
	}
	if len(files) < 100 {
		t.Errorf("%d files: the test does not stand where it thinks", len(files))
	}
}

// noRepository leaves out what reads the repository's list of files, where the
// sources came as an archive. Where the tools are required it is required too.
func noRepository(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("VONGLAU_REQUIRE_TOOLS") != "" {
		t.Fatalf("git does not list the repository's files: %v", err)
	}
	t.Skipf("the sources are no git repository, whose list of files this reads: %v", err)
}

// What deploy/SECURITY.md says shows something, is there.
func TestSecurityTable(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", "../..", "grep", "-hoE", "^func Test[A-Za-z0-9_]+", "--", "*_test.go").Output()
	if err != nil {
		noRepository(t, err)
	}
	tests := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		tests[strings.TrimSpace(strings.TrimPrefix(line, "func "))] = true
	}
	named := regexp.MustCompile(`\bTest[A-Z][A-Za-z]+`).FindAllString(string(raw), -1)
	for _, name := range named {
		if !tests[name] {
			t.Errorf("there is no %s", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("%d tests are named", len(named))
	}
	if strings.Count(string(raw), "\n| 5.") < 13 {
		t.Error("a section of EN 303 645 is missing")
	}
}
