package devices

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// The examples of RFC 7396 appendix A that are about objects.
func TestMergeState(t *testing.T) {
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`}, {`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`}, {`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`}, {`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{``, `{"level":12345678901234567890}`, `{"level":12345678901234567890}`},
	} {
		got, err := MergeState(json.RawMessage(c.target), json.RawMessage(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s: got %s, %v; want %s", c.target, c.patch, got, err, c.want)
		}
	}
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	for _, patch := range []string{"", "[]", "1", "null", `{"a":1}{`, `{"a":1} {}`, "{", deep, `{"a":"` + strings.Repeat("x", maxState) + `"}`} {
		if got, err := MergeState(nil, json.RawMessage(patch)); !errors.Is(err, ErrBadState) {
			t.Errorf("%.40s: got %s, %v", patch, got, err)
		}
	}
}

func FuzzMergeState(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1}}`), []byte(`{"a":{"b":null,"c":[1,2]}}`))
	f.Add([]byte(``), []byte(`{"x":1e400}`))
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		out, err := MergeState(target, patch)
		if err != nil {
			return
		}
		again, err := MergeState(out, patch) // a patch twice is a patch once
		if err != nil || string(again) != string(out) {
			t.Fatalf("%s with %s: %s, then %s, %v", target, patch, out, again, err)
		}
	})
}
