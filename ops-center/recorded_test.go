package opscenter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unrecorded are handlers of requests other than GET that change nothing, or
// whose change is that somebody is let in, which the record has by the route.
var unrecorded = []string{
	"open-session", "close-session", "oidc-backchannel", // the act is that of the route
	"preview-subscription", "check-rules", "check-rule", "try-rules", // read
	"check", "yaml", "op", // made by name: check-cap, the source of rules, sceneRoute itself
	"put-thumbnail", // a picture that is gone with the process
}

// methodOfPost finds registrations of requests that may change something.
var methodOfPost = regexp.MustCompile(`http\.Method(Post|Put|Patch|Delete)|"(POST|PUT|PATCH|DELETE)"`)

// Every handler of a request that may change something comes to changed, which
// puts it on record with what was before and after. Found in the source: the
// calls that a registration reaches, over the methods of api.
func TestEveryChangeIsRecorded(t *testing.T) {
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	calls := map[string][]string{} // what a function mentions, by its name
	mentioned := func(n ast.Node) (names []string) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := e.X.(*ast.Ident); ok && x.Name == "a" {
					names = append(names, e.Sel.Name)
				}
			case *ast.CallExpr:
				if id, ok := e.Fun.(*ast.Ident); ok {
					names = append(names, id.Name)
				}
			}
			return true
		})
		return names
	}
	reaches := func(start []string) bool {
		seen, todo := map[string]bool{}, start
		for len(todo) > 0 {
			name := todo[0]
			todo = todo[1:]
			if name == "changed" {
				return true
			}
			if !seen[name] {
				seen[name] = true
				todo = append(todo, calls[name]...)
			}
		}
		return false
	}
	type registration struct {
		at      token.Position
		text    string
		handler []string
	}
	var found []registration
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				calls[fn.Name.Name] = append(calls[fn.Name.Name], mentioned(fn.Body)...)
			}
		}
	}
	register := []string{"route", "sceneRoute", "raw"}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			name := ""
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				name = fun.Name
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			}
			if !slices.Contains(register, name) {
				return true
			}
			text := ""
			for i, arg := range call.Args[:len(call.Args)-1] {
				if op, ok := arg.(*ast.Ident); ok && i > 0 && op.Name != "p" {
					text += `"` + op.Name + `" by name "POST" ` // made further up; taken for a change
				}
				ast.Inspect(arg, func(n ast.Node) bool {
					switch e := n.(type) {
					case *ast.BasicLit:
						text += e.Value + " "
					case *ast.SelectorExpr:
						if x, ok := e.X.(*ast.Ident); ok {
							text += x.Name + "." + e.Sel.Name + " "
						}
					}
					return true
				})
			}
			if methodOfPost.MatchString(text) {
				found = append(found, registration{set.Position(call.Pos()), text, mentioned(call.Args[len(call.Args)-1])})
			}
			return true
		})
	}
	if len(found) < 50 {
		t.Fatalf("only %d registrations of changes were found", len(found))
	}
	for _, r := range found {
		exempt := slices.ContainsFunc(unrecorded, func(id string) bool { return strings.Contains(r.text, `"`+id+`"`) })
		switch got := reaches(r.handler); {
		case !got && !exempt:
			t.Errorf("%s: %.120s changes something and never comes to changed", r.at, r.text)
		case got && exempt:
			t.Errorf("%s: %.120s is recorded: take it off the list", r.at, r.text)
		}
	}
	if reaches([]string{"listAlarms"}) {
		t.Error("a handler that reads is taken for one that is recorded: the search finds everything")
	}
}
