package web

import (
	"bytes"
	"io/fs"
	"testing"
)

func TestFilesMatchBuilt(t *testing.T) {
	index, err := fs.ReadFile(Files(), "index.html")
	if got, want := err == nil, Built(); got != want {
		t.Fatalf("index.html readable: got %v, want %v (Built)", got, want)
	}
	if !Built() {
		t.Skip("no wall in this build: run npm ci && npm run build in ops-center/web")
	}
	if !bytes.Contains(index, []byte(`data-state="connecting"`)) {
		t.Errorf("index.html does not start as connecting:\n%s", index)
	}
	assets, err := fs.Glob(Files(), "assets/*.js")
	if err != nil || len(assets) == 0 {
		t.Errorf("assets/*.js: got %v, %v, want at least one", assets, err)
	}
}
