package bindings

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	gomime "github.com/cubewise-code/go-mime"

	"luaserve/runtime"
)

// The table behind mime_types "default".
//
// It has to be complete, free and the same on every machine. Go's own mime package reads
// what the machine has and knows 70 types without that; minio/pkg/mimedb is AGPL;
// function61/gokit/mime picks at random where mime-db has two types for an extension (js
// and xml are among them); gofiber/utils is well kept but has a hundred entries and
// gabriel-vasile/mimetype looks into files. cubewise-code/go-mime is one map of 1,100
// extensions and nothing else. It has been finished for years, so webTypes adds what the
// web has agreed on since.

// builtinTable is the word in mime_types that stands for the built-in table.
const builtinTable = "default"

// octetStream is the type of a file that nothing matches.
const octetStream = "application/octet-stream"

// webTypes are newer or better than what the library says. Text is declared as UTF-8,
// because browsers take undeclared text for Windows-1252. XML and YAML say in the file
// what they are encoded in.
var webTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".htm":  "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
	".csv":  "text/csv; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
	".js":   "text/javascript; charset=utf-8", // RFC 9239
	".mjs":  "text/javascript; charset=utf-8",
	".cjs":  "text/javascript; charset=utf-8",
	".vcf":  "text/vcard; charset=utf-8",
	".xml":  "application/xml",
	".yaml": "application/yaml", // RFC 9512
	".yml":  "application/yaml",
	".toml": "application/toml",
	".rtf":  "application/rtf",
	".tgz":  "application/gzip",
	".zst":  "application/zstd", // RFC 8878
	".avif": "image/avif",
	".bmp":  "image/bmp",
	".jxl":  "image/jxl",
	".aac":  "audio/aac",
	".flac": "audio/flac",
	".m4a":  "audio/mp4",
	".opus": "audio/ogg",
	".wav":  "audio/wav",
	".m4v":  "video/mp4",
	".stl":  "model/stl",
	".usdz": "model/vnd.usdz+zip",
}

// builtinType looks an extension (".html", in any case) up in the built-in table.
func builtinType(ext string) string {
	if typ, ok := webTypes[ext]; ok {
		return typ
	}
	lower := strings.ToLower(ext)
	if typ, ok := webTypes[lower]; ok {
		return typ
	}
	typ := gomime.TypeByExtension(lower)
	if strings.HasPrefix(typ, "text/") {
		typ += "; charset=utf-8"
	}
	return typ
}

// mimeTable is the value of the option mime_types: it maps what paths end with to types.
type mimeTable struct {
	types   map[string]string
	lengths []int // of the suffixes, longest first
	builtin bool  // ask the built-in table as well
}

// lookup returns the type of the longest suffix of name; entries of the script outrank
// those of the built-in table when both are as long.
func (t *mimeTable) lookup(name string) string {
	typ, n := t.own(name)
	if t.builtin {
		if ext := path.Ext(name); len(ext) > n {
			if known := builtinType(ext); known != "" {
				return known
			}
		}
	}
	return typ
}

// own looks at the entries of the script; n is the length of the suffix, -1 when none
// matches.
func (t *mimeTable) own(name string) (typ string, n int) {
	for _, n := range t.lengths {
		if n > len(name) {
			continue
		}
		if typ, ok := t.types[name[len(name)-n:]]; ok {
			return typ, n
		}
	}
	return octetStream, -1
}

// parseMimeTypes reads the value of mime_types.
func parseMimeTypes(_ *runtime.Builder, v runtime.Value) (any, error) {
	t := &mimeTable{types: map[string]string{}}
	if isPair(v) {
		return nil, fmt.Errorf("expected a list of pairs, got one pair; write {%s}", v)
	}
	if err := t.add(v); err != nil {
		return nil, err
	}
	for suffix := range t.types {
		if !slices.Contains(t.lengths, len(suffix)) {
			t.lengths = append(t.lengths, len(suffix))
		}
	}
	slices.SortFunc(t.lengths, func(a, b int) int { return b - a })
	return t, nil
}

// add reads the word "default", one pair, or a list of these and of further lists.
func (t *mimeTable) add(v runtime.Value) error {
	if word, ok := v.Str(); ok && word == builtinTable {
		t.builtin = true
		return nil
	}
	list, ok := v.List()
	if !ok {
		return fmt.Errorf(`expected {[".suffix"] = "type"} or "default", got %s`, v)
	}
	if isPair(v) {
		return t.addPair(list[0], list[1])
	}
	for i, item := range list {
		if err := t.add(item); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

// isPair reports whether v is a suffix with something that should be a type.
func isPair(v runtime.Value) bool {
	list, ok := v.List()
	return ok && len(list) == 2 && list[0].Kind() == runtime.KindString && list[1].Kind() != runtime.KindList
}

func (t *mimeTable) addPair(suffix, typ runtime.Value) error {
	key, _ := suffix.Str()
	text, ok := typ.Str()
	if !ok {
		return fmt.Errorf("%q: expected a type, got %s", key, typ.Kind())
	}
	if text == "" || !runtime.ValidFieldValue(text) {
		return errors.New("the type of " + suffix.String() + " cannot stand in a header: " + typ.String())
	}
	t.types[key] = text
	return nil
}
