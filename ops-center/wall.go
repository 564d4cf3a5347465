package opscenter

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"vonglau/ops-center/access"
)

// unbuilt is shown where the wall would be.
const unbuilt = `<!doctype html><meta charset="utf-8"><title>Vọng lâu</title>
<p lang="vi">Chương trình này được dựng không kèm bức tường. Hãy chạy <code>make build</code>.</p>
<p lang="en">This program was built without the wall. Run <code>make build</code>.</p>
`

// mediaTypes are those of a built wall; the machine's own table may know less.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".map": "application/json", ".svg": "image/svg+xml",
	".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2", ".wasm": "application/wasm",
	".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
}

// pages are the addresses that the wall's program answers for.
var pages = []string{
	"/{$}", "/desk", "/devices", "/devices/{id}", "/people", "/record", "/scenes", "/rules", "/departments", "/warnings", "/figures", "/network", "/firmware", "/enrolment",
}

// wallRoutes serve the built wall. Its files hold no data, so anybody may have
// them. Files under assets carry a hash of their content in their name.
func (a *api) wallRoutes() error {
	index := []byte(unbuilt)
	if a.Wall != nil {
		b, err := fs.ReadFile(a.Wall, "index.html")
		switch {
		case err == nil:
			index = b
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("opscenter: read the wall: %w", err)
		}
		err = fs.WalkDir(a.Wall, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || name == "index.html" || strings.HasPrefix(path.Base(name), ".") {
				return err
			}
			b, err := fs.ReadFile(a.Wall, name)
			if err != nil {
				return err
			}
			a.handle("GET /"+name, access.Public, a.compress(file(name, b)))
			return nil
		})
		if err != nil {
			return fmt.Errorf("opscenter: read the wall: %w", err)
		}
	}
	page := a.compress(file("index.html", index))
	for _, at := range pages {
		a.handle("GET "+at, access.Public, page)
	}
	return nil
}

// file serves one file from memory.
func file(name string, content []byte) http.Handler {
	kind := mediaTypes[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	caching := "no-cache" // ask each time; the tag answers
	if strings.HasPrefix(name, "assets/") {
		caching = "public, max-age=31536000, immutable"
	}
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", caching)
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
