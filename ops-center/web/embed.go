// Package web carries the built wall inside the program, so that one file is
// all an operations center has to copy.
//
// The wall is built by `npm ci && npm run build` in this folder into dist,
// which is not kept in the repository but for an empty file that lets this
// package compile before the first build. Built tells the two apart: a program
// without a wall must say so instead of serving an empty page.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Built reports whether a wall is in this program.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}

// Files is the root of the built wall: index.html, favicon.svg and assets,
// whose names carry a hash of their content and may be cached for ever.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		// fs.Sub fails for a malformed path only, and this one is a constant.
		return dist
	}
	return files
}
