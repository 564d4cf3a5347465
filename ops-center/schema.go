package opscenter

import (
	"path"
	"reflect"
	"strconv"
	"strings"
)

// uniqueNames lets namer name the schemas of the API's description. Two packages may
// have a type of the same name, a zone of an alarm and one of a warning: the second
// that is met has its package's name before its own. Routes are registered in a
// fixed order, so that the names are the same in every run.
func uniqueNames(namer func(reflect.Type, string) string) func(reflect.Type, string) string {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := namer(t, hint)
		base := name
		for n := 2; ; n++ {
			first, met := taken[name]
			switch {
			case !met:
				taken[name] = t
				return name
			case first == t:
				return name
			case t.Name() != "" && n == 2:
				pkg := path.Base(t.PkgPath())
				name = strings.ToUpper(pkg[:1]) + pkg[1:] + base
			default: // types without a name of their own
				name = base + strconv.Itoa(n)
			}
		}
	}
}
