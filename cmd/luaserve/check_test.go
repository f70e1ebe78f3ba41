package main

import (
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
			`site.lua:2: syntax error near "local"`},
		{"missing end", "\nactions = { respond 'x'\n\n",
			`site.lua:2: syntax error at the end of the file; is an "end" or a bracket missing?`},
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
