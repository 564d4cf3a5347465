package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the architecture: which of our folders a folder may import.
// Whoever wants a new arrow argues for it here.
var mayImport = map[string][]string{
	"devices":             {},
	"devices/trust":       {"devices"},
	"geo":                 {"devices"},
	"ingest/journal":      {"devices"},
	"ingest/series":       {"devices"},
	"ingest/mqtt":         {"devices"},
	"ingest":              {"devices", "geo", "ingest/mqtt", "ingest/journal", "ingest/series"},
	"ops-center/alert":    {"devices", "geo"},
	"ops-center/access":   {},
	"ops-center/audit":    {},
	"ops-center/campaign": {"devices"},
	"ops-center/cap12":    {},
	"ops-center/warning":  {"ops-center/cap12"},
	"ops-center/drill":    {"devices"},
	"ops-center/live":     {"devices", "geo", "ops-center/alert"},
	"ops-center/scene":    {},
	"ops-center/replay":   {"devices", "ops-center/alert", "ops-center/live", "ops-center/warning"},
	"ops-center/notify":   {"devices", "ops-center/alert", "ops-center/cap12", "ops-center/outbound"},
	"ops-center/vnaqi":    {"devices"},
	"ops-center/web":      {},
	"ops-center/outbound": {},
	"ops-center":          {"devices", "geo", "ops-center/alert", "ops-center/access", "ops-center/audit", "ops-center/campaign", "ops-center/cap12", "ops-center/drill", "ops-center/warning", "ops-center/live", "ops-center/notify", "ops-center/replay", "ops-center/scene", "ops-center/vnaqi", "ops-center/web"},
	"firmware-sim":        {"devices", "firmware-sim/city"},
	"firmware-sim/city":   {"devices"},
	"cmd/vonglau":         {"devices", "devices/trust", "geo", "ingest", "ingest/journal", "ingest/mqtt", "ingest/series", "ops-center", "ops-center/access", "ops-center/audit", "ops-center/alert", "ops-center/campaign", "ops-center/cap12", "ops-center/drill", "ops-center/warning", "ops-center/live", "ops-center/outbound", "ops-center/notify", "ops-center/replay", "ops-center/scene", "ops-center/web"},
	"cmd/firmware-sim":    {"firmware-sim", "firmware-sim/city"},
	"deploy/influxd":      {},
	"deploy/bench":        {},
}

// testsImport is what the tests of a folder may import besides: another part that
// they stand in for, or that stands in for a device.
var testsImport = map[string][]string{
	"ops-center":  {"ops-center/outbound"},
	"cmd/vonglau": {"firmware-sim"},
}

// TestImports reads the files themselves: a test that asks the go tool can pass
// from its cache.
func TestImports(t *testing.T) {
	const root, module = "../..", "vonglau/"
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." || name == "data" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		folder := path.Dir(filepath.ToSlash(rel))
		allowed, known := mayImport[folder]
		if !known {
			if !seen[folder] {
				t.Errorf("%s is a folder nobody planned: give it a line in mayImport", folder)
			}
			seen[folder] = true
			return nil
		}
		seen[folder] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range parsed.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			ours, ok := strings.CutPrefix(p, module)
			if !ok || ours == folder { // an external test imports its own package
				continue
			}
			if strings.HasSuffix(name, "_test.go") && slices.Contains(testsImport[folder], ours) {
				continue
			}
			if !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which %s may not", rel, ours, folder)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 2 {
		t.Fatalf("walked %d folders: the test does not stand where it thinks", len(seen))
	}
}
