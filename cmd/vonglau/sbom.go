package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// bom is a software bill of materials: CycloneDX 1.6 in JSON.
type bom struct {
	Format       string         `json:"bomFormat"`
	Spec         string         `json:"specVersion"`
	Serial       string         `json:"serialNumber"`
	Version      int            `json:"version"`
	Metadata     bomMetadata    `json:"metadata"`
	Components   []bomComponent `json:"components"`
	Dependencies []bomDepends   `json:"dependencies"`
}

type bomMetadata struct {
	Timestamp string       `json:"timestamp"`
	Component bomComponent `json:"component"`
}

type bomComponent struct {
	Type    string    `json:"type"`
	Ref     string    `json:"bom-ref"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	PURL    string    `json:"purl,omitempty"`
	Scope   string    `json:"scope,omitempty"`
	Hashes  []bomHash `json:"hashes,omitempty"`
}

type bomHash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type bomDepends struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// makeBOM lists what is in this program: the modules that were linked, as the
// build wrote them into it, and the packages of the wall by its lock file.
func makeBOM(info *debug.BuildInfo, lock []byte) (*bom, error) {
	var id [16]byte
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562, version 4
	b := &bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1, Components: []bomComponent{},
		Serial: fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		Metadata: bomMetadata{
			Timestamp: time.Now().UTC().Format(time.RFC3339),
			Component: bomComponent{Type: "application", Ref: "vonglau", Name: "vonglau", Version: version},
		},
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	b.Components = append(b.Components, bomComponent{Type: "library", Ref: "go-std", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + m.Path + "@" + url.PathEscape(m.Version)
		b.Components = append(b.Components, bomComponent{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl, Scope: "required"})
	}
	if lock != nil {
		list, err := npmComponents(lock)
		if err != nil {
			return nil, err
		}
		b.Components = append(b.Components, list...)
	}
	all := bomDepends{Ref: "vonglau"}
	for _, c := range b.Components {
		all.On = append(all.On, c.Ref)
	}
	b.Dependencies = []bomDepends{all}
	return b, nil
}

// npmComponents reads a package-lock.json of version 2 or 3. What is for the
// build only is not in the program, and is listed as such.
func npmComponents(lock []byte) ([]bomComponent, error) {
	var file struct {
		Version  int `json:"lockfileVersion"`
		Packages map[string]struct {
			Version   string `json:"version"`
			Integrity string `json:"integrity"`
			Dev       bool   `json:"dev"`
			Optional  bool   `json:"optional"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(lock, &file); err != nil {
		return nil, fmt.Errorf("the lock file: %w", err)
	}
	if file.Version < 2 || len(file.Packages) == 0 {
		return nil, errors.New("the lock file is of a version before 2, or empty")
	}
	seen := map[string]bomComponent{}
	for path, p := range file.Packages {
		_, name, found := strings.Cut(path, "node_modules/")
		if !found || p.Version == "" {
			continue
		}
		if i := strings.LastIndex(name, "node_modules/"); i >= 0 {
			name = name[i+len("node_modules/"):]
		}
		purl := "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + url.PathEscape(p.Version)
		c := bomComponent{Type: "library", Ref: purl, Name: name, Version: p.Version, PURL: purl, Scope: "required"}
		if p.Dev || p.Optional {
			c.Scope = "excluded"
		}
		if sum, ok := strings.CutPrefix(p.Integrity, "sha512-"); ok {
			if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
				c.Hashes = []bomHash{{"SHA-512", hex.EncodeToString(raw)}}
			}
		}
		if old, ok := seen[purl]; !ok || old.Scope == "excluded" {
			seen[purl] = c
		}
	}
	list := make([]bomComponent, 0, len(seen))
	for _, c := range seen {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b bomComponent) int { return strings.Compare(a.Ref, b.Ref) })
	return list, nil
}

func newSBOM() *cobra.Command {
	var lock, out string
	c := &cobra.Command{
		Use: "sbom", Short: "list what this program is made of (CycloneDX 1.6)", Args: cobra.NoArgs,
		Long: `Print a software bill of materials in CycloneDX 1.6 JSON: the Go modules that are
linked into this very program and, with the lock file of the wall, its packages;
those for its build only are marked "excluded".`,
		Example: "  vonglau sbom --npm ops-center/web/package-lock.json --out bin/vonglau.cdx.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return failed(errors.New("this program was built without modules"))
			}
			var raw []byte
			if lock != "" {
				var err error
				if raw, err = os.ReadFile(lock); err != nil {
					return failed(err)
				}
			}
			b, err := makeBOM(info, raw)
			if err != nil {
				return failed(err)
			}
			w := cmd.OutOrStdout()
			if out != "" {
				f, err := os.Create(out)
				if err != nil {
					return failed(err)
				}
				defer func() { _ = f.Close() }()
				w = f
			}
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return failed(e.Encode(b))
		},
	}
	c.Flags().StringVar(&lock, "npm", "", "package-lock.json of the wall")
	c.Flags().StringVar(&out, "out", "", "a file instead of standard output")
	return c
}
