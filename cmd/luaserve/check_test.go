package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, script, want string
	}{
		{"misspelt action", "setup.listen '127.0.0.1:0'\n\nactions = { redirct '/x' }",
			`site.lua:3: unknown action "redirct"; did you mean "redirect"?`},
		{"misspelt action, long form", "actions = action.redirct '/x'",
			`site.lua:1: unknown action "redirct"; did you mean "redirect"?`},
		{"misspelt part", "actions = header.ad('A', 'b')",
			`site.lua:1: unknown action "header.ad"; did you mean "header.add"?`},
		{"misspelt setup", "setup.lisen '127.0.0.1:0'",
			`site.lua:1: unknown setup "lisen"; did you mean "listen"?`},
		{"misspelt variable", "actions = when(request.pth:prefix '/x', respond 'x')",
			`site.lua:1: unknown variable "request.pth"; did you mean "request.path"?`},
		{"wrong type", "actions = {\n  expire(5)\n}",
			`site.lua:2: expire: rule: expected a string, got a number`},
		{"runtime error", "local function f(t) return t.x end\nactions = respond(f())",
			`site.lua:1: attempt to index a non-table object(nil) with key 'x'`},
		{"syntax error", "actions = { respond 'x'\nlocal y = 1",
			`site.lua:2: syntax error near "local"; the "{" of line 1 has no "}"`},
		{"missing end", "\nactions = { respond 'x'\n\n",
			`site.lua:2: syntax error at the end of the file; the "{" of line 2 has no "}"`},
		{"end that is taken for another", "local function f()\n  if x then\n    y()\nend\nactions = respond 'x'\n",
			`site.lua:5: syntax error at the end of the file; the "if" of line 2 has no "end"`},
		{"missing plugin", "lua.plugin 'croe.lua'",
			`site.lua:1: lua.plugin: cannot read the script "croe.lua": no such file or directory`},
		{"error of a plugin", "lua.plugin 'core.lua'\nactions = core.wsgi('trac', respond 'x')",
			`site.lua:2: core.wsgi: the prefix "trac" must begin with "/", or be empty`},
	} {
		t.Run(c.name, func(t *testing.T) {
			writeFile(t, dir, "site.lua", c.script)
			if got := luaserve(t, dir, "check", "site.lua"); got != (result{exitRefused, "", c.want + "\n"}) {
				t.Errorf("got %+v\nwant exit 1 and %s", got, c.want)
			}
		})
	}
}

func TestCheckOK(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", "lua.plugin 'core.lua'\nactions = core.wsgi('/app', respond 'x')")
	if got := luaserve(t, dir, "check", "site.lua"); got != (result{exitOK, "site.lua: ok\n", ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckVerbose(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, script, stdout, stderr string }{
		{"counter", "local n = 0\nactions = function(vr) n = n + 1 end",
			"site.lua:2: info: a handler writes to a variable of the script: requests run Lua one at a time [L081]\n" +
				"    2 | actions = function(vr) n = n + 1 end\n" +
				"site.lua: ok\n1 Lua state: a handler writes to a variable of the script, at site.lua:2\n", ""},
		{"no Lua", "actions = respond 'x'",
			"site.lua: ok\nno Lua at request time: the script is all actions\n", ""},
		{"set", "setup.lua.states(3)\nactions = function(vr) end",
			"site.lua: ok\n3 Lua states\n", ""},
		{"traceback", "local function f()\n  error 'broken'\nend\nf()",
			"", "stack traceback:"},
	} {
		writeFile(t, dir, "site.lua", c.script)
		got := luaserve(t, dir, "check", "--verbose", "site.lua")
		if got.stdout != c.stdout || !strings.Contains(got.stderr, c.stderr) {
			t.Errorf("%s: got %+v\nwant %q", c.name, got, c.stdout)
		}
	}
}

const mistakes = `setup.listen "127.0.0.1:0"
server.tag "x"
actions = { respond "a", when(request.host:eq "ä", { auth.deny() }) }
`

func TestCheckFindings(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", mistakes)
	writeFile(t, dir, "good.lua", "actions = respond 'x'")
	const text = `site.lua:2:1: warning: server.tag changes nothing here: it only makes an action [L060]
    2 | server.tag "x"
      | ^^^^^^^^^^
      = hint: write setup.server.tag; --fix does that
site.lua:3:54: warning: auth.deny never acts: respond has answered the request before, at site.lua:3 [L001]
    3 | actions = { respond "a", when(request.host:eq "ä", { auth.deny() }) }
      |                                                      ^^^^^^^^^
      = hint: the first action that answers keeps the request: put a when around one of them, or remove one
site.lua: 0 errors, 2 warnings
`
	for _, c := range []struct {
		args string
		want result
	}{
		{"check site.lua", result{exitOK, text, ""}},
		{"check --strict site.lua good.lua", result{exitRefused, text + "good.lua: ok\n", ""}},
		{"check good.lua missing.lua", result{exitRefused, "good.lua: ok\n", "cannot read the script \"missing.lua\": no such file or directory\n"}},
		{"check --diff site.lua", result{exitOK, `--- site.lua
+++ site.lua
@@ -1,3 +1,3 @@
 setup.listen "127.0.0.1:0"
-server.tag "x"
+setup.server.tag "x"
 actions = { respond "a", when(request.host:eq "ä", { auth.deny() }) }
`, ""}},
		{"check", result{exitUsage, "", "expected at least one script: luaserve check SITE.lua… [flags]\nsee luaserve check --help\n"}},
		{"check --format xml site.lua", result{exitUsage, "", "invalid argument \"xml\" for \"--format\" flag: expected text, json or sarif\nsee luaserve check --help\n"}},
	} {
		if got := luaserve(t, dir, strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.args, got, c.want)
		}
	}
}

func TestCheckErrorsExitWithOne(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", "actions = function(vr) vr.resp.status = stauts end")
	got := luaserve(t, dir, "check", "site.lua")
	if got.code != exitRefused || !strings.Contains(got.stdout, `site.lua:1:41: error: nothing defines "stauts" [L050]`) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckConnects(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", `actions = fastcgi "unix:nobody.sock"`)
	if got := luaserve(t, dir, "check", "site.lua"); got.code != exitOK {
		t.Errorf("without --connect: %+v", got)
	}
	got := luaserve(t, dir, "check", "--connect", "site.lua")
	if got.code != exitRefused || !strings.Contains(got.stdout, "error: the backend unix:nobody.sock does not answer: connect: no such file or directory [L072]") {
		t.Errorf("got %+v", got)
	}
}

// --fix leaves a script that still does what it did, without the findings.
func TestCheckFix(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", mistakes)
	got := luaserve(t, dir, "check", "--fix", "site.lua")
	if got.code != exitOK || got.stderr != "site.lua: 1 place corrected\n" || strings.Contains(got.stdout, "L060") {
		t.Errorf("got %+v", got)
	}
	if src, err := os.ReadFile(filepath.Join(dir, "site.lua")); err != nil || !strings.Contains(string(src), "\nsetup.server.tag \"x\"\n") {
		t.Errorf("%v: the script is\n%s", err, src)
	}
	writeFile(t, dir, "typo.lua", "actions = {\n  redirct '/x',\n}")
	if got := luaserve(t, dir, "check", "--fix", "typo.lua"); got != (result{exitOK, "typo.lua: ok\n", "typo.lua: 1 place corrected\n"}) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckJSON(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.lua", mistakes)
	var found []struct {
		Code, Severity, File, Message string
		Line, Column, EndColumn       int
		Fix                           *struct{ Edits []struct{ Start, End int } }
	}
	got := luaserve(t, dir, "check", "--format", "json", "site.lua")
	if err := json.Unmarshal([]byte(got.stdout), &found); err != nil || len(found) != 2 {
		t.Fatalf("%v: %+v", err, got)
	}
	if f := found[0]; f.Code != "L060" || f.Severity != "warning" || f.File != "site.lua" || f.Line != 2 || f.Column != 1 || f.EndColumn != 11 ||
		f.Fix == nil || mistakes[f.Fix.Edits[0].Start:f.Fix.Edits[0].End] != "server.tag" {
		t.Errorf("got %+v", f)
	}
	if f := found[1]; f.Column != 54 || f.Fix != nil { // characters, not bytes
		t.Errorf("got %+v", f)
	}
	writeFile(t, dir, "site.lua", "actions = redirct '/x'")
	got = luaserve(t, dir, "check", "--format", "json", "site.lua")
	if err := json.Unmarshal([]byte(got.stdout), &found); err != nil || got.code != exitRefused || len(found) != 1 || found[0].Code != "L000" || found[0].Column != 11 {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestExplainCode(t *testing.T) {
	got := luaserve(t, t.TempDir(), "explain-code", "l003")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "L003 docroot-after-alias (warning)\n") || !strings.Contains(got.stdout, "Right:") {
		t.Errorf("got %+v", got)
	}
	got = luaserve(t, t.TempDir(), "explain-code", "docroot-after-alais")
	if got != (result{exitRefused, "", "unknown code \"docroot-after-alais\"; did you mean \"docroot-after-alias\"?\n"}) {
		t.Errorf("got %+v", got)
	}
	if got := luaserve(t, t.TempDir(), "explain-code"); strings.Count(got.stdout, "\n") < 30 {
		t.Errorf("got %+v", got)
	}
}
