package report

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/lint"
	"luaserve/runtime"
)

// required are the properties that the SARIF 2.1.0 schema demands of its objects, and the ones
// that luaserve fills, by the place where they are.
var required = []struct {
	path  string
	names []string
}{
	{"", []string{"version", "runs", "$schema"}},
	{"runs", []string{"tool", "results", "columnKind"}},
	{"runs.tool", []string{"driver"}},
	{"runs.tool.driver", []string{"name", "rules"}},
	{"runs.tool.driver.rules", []string{"id", "shortDescription", "help", "defaultConfiguration"}},
	{"runs.tool.driver.rules.shortDescription", []string{"text"}},
	{"runs.tool.driver.rules.help", []string{"text", "markdown"}},
	{"runs.results", []string{"message", "ruleId", "ruleIndex", "level", "locations"}},
	{"runs.results.message", []string{"text"}},
	{"runs.results.locations.physicalLocation", []string{"artifactLocation", "region"}},
	{"runs.results.locations.physicalLocation.artifactLocation", []string{"uri"}},
	{"runs.results.locations.physicalLocation.region", []string{"startLine", "startColumn", "endColumn"}},
	{"runs.results.fixes", []string{"artifactChanges", "description"}},
	{"runs.results.fixes.artifactChanges", []string{"artifactLocation", "replacements"}},
	{"runs.results.fixes.artifactChanges.replacements", []string{"deletedRegion"}},
	{"runs.results.fixes.artifactChanges.replacements.deletedRegion", []string{"byteOffset", "byteLength"}},
}

// objectsAt returns the objects at a path; lists on the way are gone through.
func objectsAt(v any, path []string) []map[string]any {
	if list, ok := v.([]any); ok {
		var out []map[string]any
		for _, item := range list {
			out = append(out, objectsAt(item, path)...)
		}
		return out
	}
	object, _ := v.(map[string]any)
	if object == nil || len(path) == 0 {
		return []map[string]any{object}
	}
	return objectsAt(object[path[0]], path[1:])
}

func siteWith(t *testing.T, src string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my site.lua")
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSARIF(t *testing.T) {
	file := siteWith(t, "-- ä\nx = \"ä\" respond 'b'\n")
	findings := []lint.Finding{{
		Rule: lint.Lookup("L001"), Pos: runtime.Pos{File: file, Line: 2}, Column: 10, Width: 7, Msg: "it never acts", Hint: "remove it",
		Fix: &lint.Fix{Msg: "write y", Edits: []lint.Edit{{Start: 6, End: 7, New: "y"}}},
	}}
	var out strings.Builder
	if err := SARIF(&out, findings, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log any
	if err := json.Unmarshal([]byte(out.String()), &log); err != nil {
		t.Fatal(err)
	}
	for _, r := range required {
		var path []string
		if r.path != "" {
			path = strings.Split(r.path, ".")
		}
		objects := objectsAt(log, path)
		if len(objects) == 0 {
			t.Errorf("there is no %s", r.path)
		}
		for _, o := range objects {
			for _, name := range r.names {
				if _, ok := o[name]; !ok {
					t.Errorf("%s has no %s: %v", r.path, name, o)
				}
			}
		}
	}
	for _, want := range []string{
		`"version": "2.1.0"`, `"ruleId": "L001"`, `"ruleIndex": 1,`, `"level": "warning"`, `"text": "it never acts; remove it"`,
		`my%20site.lua`, `"uri": "file:///`, `"startColumn": 9,`, `"endColumn": 16`, `"byteOffset": 6`, `"level": "note"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	out.Reset()
	if err := SARIF(&out, nil, ""); err != nil || !strings.Contains(out.String(), `"results": []`) {
		t.Errorf("no findings: %v\n%s", err, out.String())
	}
}

func TestText(t *testing.T) {
	file := siteWith(t, "\tx = \"ä\" respond 'b' \x1b[2J\n")
	f := lint.Finding{Rule: lint.Lookup("L002"), Pos: runtime.Pos{File: file, Line: 1}, Column: 11, Width: 7, Msg: "too late", Hint: "remove it"}
	var out strings.Builder
	text := &Text{Out: &out, Lines: true}
	text.Findings([]lint.Finding{f})
	if got, want := strings.TrimPrefix(out.String(), file), `:1:10: error: too late [L002]
    1 | 	x = "ä" respond 'b' ·[2J
      | 	        ^^^^^^^
      = hint: remove it
`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	text.Color, text.Lines = true, false
	text.Findings([]lint.Finding{f})
	if got := out.String(); !strings.Contains(got, "\x1b[1;31merror\x1b[0m") || strings.Contains(got, "^") {
		t.Errorf("got %q", got)
	}
}

func TestLoadError(t *testing.T) {
	file := siteWith(t, "actions = {\n  header.ad('X', 'y'), redirct '/x', redirct '/y',\n  if x then\n}\n")
	for _, c := range []struct {
		err        error
		want, hint string
		column     int
	}{
		{&runtime.LoadError{Pos: runtime.Pos{File: file, Line: 2}, Msg: `unknown action "header.ad"; did you mean "header.add"?`}, "", "", 3},
		{&runtime.LoadError{Pos: runtime.Pos{File: file, Line: 2}, Msg: `redirct: target is missing`}, "", "", 24},
		{&runtime.LoadError{Pos: runtime.Pos{File: file, Line: 3}, Msg: `syntax error near "if"; the "{" of line 1 has no "}"`}, "", "", 3},
		{&runtime.LoadError{Pos: runtime.Pos{File: file, Line: 9}, Msg: `somewhere else: "x"`}, "", "", 0},
		{errors.New("cannot read"), "", "", 0},
	} {
		if f := LoadError("site.lua", c.err); f.Column != c.column || f.Rule != lint.LoadError {
			t.Errorf("%v: column %d, want %d", c.err, f.Column, c.column)
		}
	}
	var out strings.Builder
	text := &Text{Out: &out}
	text.LoadError(LoadError(file, &runtime.LoadError{Pos: runtime.Pos{File: file, Line: 3}, Msg: `syntax error near "if"; the "{" of line 1 has no "}"`}))
	if got, want := out.String(), "    1 | actions = {\n      |           ^\n    3 |   if x then\n      |   ^^\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOneSlip(t *testing.T) {
	for pair, want := range map[string]bool{
		"redirct redirect": true, "redirectt redirect": true, "redierct redirect": true, "redirekt redirect": true,
		"redirect redirect": false, "rdirct redirect": false, "static statics2": false, "ab ba": true, "abc cba": false,
	} {
		a, b, _ := strings.Cut(pair, " ")
		if oneSlip(a, b) != want {
			t.Errorf("%s: want %t", pair, want)
		}
	}
}

func TestApplyAndDiff(t *testing.T) {
	src := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no"
	edit := func(from string, to string) lint.Finding {
		at := strings.Index(src, from)
		return lint.Finding{Fix: &lint.Fix{Edits: []lint.Edit{{Start: at, End: at + len(from), New: to}}}}
	}
	fixed, n := Apply(src, []lint.Finding{edit("b", "B"), edit("b", "X"), {}, edit("o", "O"), edit("b\nc", "x\ny")})
	if n != 2 || !strings.HasPrefix(fixed, "a\nB\nc\nd\n") || !strings.HasSuffix(fixed, "n\nO") {
		t.Errorf("%d fixes:\n%s", n, fixed)
	}
	want := `--- site.lua
+++ site.lua
@@ -1,5 +1,5 @@
 a
-b
+B
 c
 d
 e
@@ -12,4 +12,4 @@
 l
 m
 n
-o
\ No newline at end of file
+O
\ No newline at end of file
`
	if got := Diff("site.lua", src, fixed); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if Diff("site.lua", src, src) != "" {
		t.Error("a diff of nothing")
	}
}
