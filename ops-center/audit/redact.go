package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"sync"
)

// What stands where a value was.
const (
	hiddenSecret   = "[secret]"
	hiddenPersonal = "[personal]"
)

// maxKept bounds what is kept before and after a change.
const maxKept = 32 << 10

// secretWords are parts of the names of fields whose values are never kept. A
// word matches as a whole: "token" hides token, apiToken and token_sha256, not
// "tokens" of a count. Better one field too many than one too few.
var secretWords = map[string]bool{
	"token": true, "password": true, "passwd": true, "passphrase": true, "secret": true, "psk": true, "key": true,
	"privatekey": true, "totp": true, "otp": true, "pin": true, "cookie": true, "authorization": true, "credential": true,
	"claim": true, "code": true, "recovery": true, "session": true, "nonce": true, "verifier": true, "hash": true, "seed": true,
	"signature": true, "pem": true, "bearer": true,
}

// publicNames are fields that a secret word would hide although they are known
// to hold none.
var publicNames = map[string]bool{
	"groupkey": true, "objectkey": true, "layercode": true, "wardcode": true, "zonecode": true, "eventcode": true, "statuscode": true,
}

// tokenShape is what access.NewToken and the like make: 32 bytes in base64url,
// so that a token in a free text is found too. Hexadecimal digests of public
// things have no upper case.
var tokenShape = regexp.MustCompile(`(?:^|[^A-Za-z0-9_-])([A-Za-z0-9_-]{43})(?:$|[^A-Za-z0-9_-])`)

func looksSecret(s string) bool {
	if strings.Contains(s, "PRIVATE KEY-----") {
		return true
	}
	for _, m := range tokenShape.FindAllStringSubmatch(s, -1) {
		if t := m[1]; strings.ToLower(t) != t && strings.ContainsAny(t, "0123456789") {
			return true
		}
	}
	return false
}

// secretName splits a name at case changes and signs and looks for a word.
func secretName(name string) bool {
	if publicNames[strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))] {
		return false
	}
	var word strings.Builder
	hit := false
	end := func() {
		hit = hit || secretWords[word.String()]
		word.Reset()
	}
	prevLower := false
	for _, r := range name {
		switch {
		case r == '_' || r == '-' || r == '.' || r == ' ':
			end()
			prevLower = false
			continue
		case r >= 'A' && r <= 'Z':
			if prevLower {
				end()
			}
			prevLower = false
			r += 'a' - 'A'
		default:
			prevLower = true
		}
		word.WriteRune(r)
	}
	end()
	return hit || secretWords[strings.ToLower(name)]
}

// Keep is what the record keeps of a value: its JSON without secrets and
// personal data. What is too long is kept as its size and SHA-256.
func Keep(v any) json.RawMessage { return keep(v, false) }

// Shown is a value for an answer to somebody who may not see personal data: texts
// that are personal are empty. Secrets are not looked for: an answer holds those
// that it is for.
func Shown(v any) (any, error) {
	p := personalOf(reflect.TypeOf(v))
	if p == nil {
		return v, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	tree, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return p.hide(tree, ""), nil
}

// ShownAs is Shown for what is JSON already, of a T. What cannot be read is shown
// as an empty object.
func ShownAs[T any](raw []byte) []byte {
	tree, err := decode(raw)
	if err != nil {
		return []byte("{}")
	}
	return marshal(personalOf(reflect.TypeFor[T]()).hide(tree, ""))
}

func keep(v any, personal bool) json.RawMessage {
	if v == nil {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return marshal(map[string]string{"_error": clip(err.Error())})
	}
	tree, err := decode(raw)
	if err != nil {
		return marshal(map[string]string{"_error": clip(err.Error())})
	}
	if !personal {
		tree = personalOf(reflect.TypeOf(v)).hide(tree, hiddenPersonal)
	}
	tree = hideSecrets(tree)
	out := marshal(tree)
	if len(out) > maxKept {
		sum := sha256.Sum256(out)
		return marshal(map[string]any{"_bytes": len(out), "_sha256": hex.EncodeToString(sum[:])})
	}
	if string(out) == "null" {
		return nil
	}
	return out
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // a tree of JSON always marshals
	}
	return b
}

func decode(raw []byte) (tree any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // as it was written
	err = d.Decode(&tree)
	return tree, err
}

func hideSecrets(tree any) any {
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			if secretName(k) && !harmless(v) {
				t[k] = hiddenSecret
			} else {
				t[k] = hideSecrets(v)
			}
		}
	case []any:
		for i := range t {
			t[i] = hideSecrets(t[i])
		}
	case string:
		if looksSecret(t) {
			return hiddenSecret
		}
	}
	return tree
}

// harmless values say nothing even where a secret belongs: none, yes, no.
func harmless(v any) bool {
	switch t := v.(type) {
	case nil, bool:
		return true
	case string:
		return t == ""
	}
	return false
}

// personal is where a type has fields that are declared personal: a node of the
// tree of its JSON.
type personal struct {
	all    bool
	fields map[string]*personal // of an object
	each   *personal            // of what a list or map holds
}

var personalTypes sync.Map // reflect.Type to *personal

func personalOf(t reflect.Type) *personal {
	if t == nil {
		return nil
	}
	if p, ok := personalTypes.Load(t); ok {
		return p.(*personal)
	}
	p := findPersonal(t, map[reflect.Type]bool{})
	personalTypes.Store(t, p)
	return p
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// findPersonal gives nil for a type without personal data. A type that holds
// itself is not followed twice.
func findPersonal(t reflect.Type, above map[reflect.Type]bool) *personal {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if above[t] {
		return nil
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		if each := findPersonal(t.Elem(), above); each != nil {
			return &personal{each: each}
		}
	case reflect.Struct:
		if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(jsonMarshaler) {
			return nil
		}
		fields := map[string]*personal{}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			var p *personal
			if _, declared := f.Tag.Lookup("personal"); declared {
				p = &personal{all: true}
			} else {
				p = findPersonal(f.Type, above)
			}
			if p == nil {
				continue
			}
			if f.Anonymous && name == "" && !p.all {
				for k, v := range p.fields {
					fields[k] = v
				}
				continue
			}
			if name == "" {
				name = f.Name
			}
			fields[name] = p
		}
		if len(fields) > 0 {
			return &personal{fields: fields}
		}
	}
	return nil
}

// hide puts instead where something personal was.
func (p *personal) hide(tree any, instead string) any {
	switch {
	case p == nil || tree == nil:
		return tree
	case p.all:
		if s, ok := tree.(string); ok && s == "" {
			return tree
		}
		if _, text := tree.(string); !text && instead == "" {
			return nil
		}
		return instead
	}
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			if p.each != nil {
				t[k] = p.each.hide(v, instead)
			} else if f := p.fields[k]; f != nil {
				t[k] = f.hide(v, instead)
			}
		}
	case []any:
		for i := range t {
			t[i] = p.each.hide(t[i], instead)
		}
	}
	return tree
}
