package runtime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The operator .. means what it means in Lua 5.1, wherever it stands.
func TestConcat(t *testing.T) {
	for _, tt := range []struct{ code, want string }{
		{`local a, b = "x", 1; return a .. b .. "y" .. 2.5`, "x1y2.5"},
		{`return (1 .. 2) + 1`, "13"},
		{`return "" .. 1e15 .. " " .. 0.1 + 0.2 .. " " .. 2^53 .. " " .. -1/0`, "1e+15 0.3 9.007199254741e+15 -inf"},
		{`local function two() return "a", "b" end; local p, q = "x" .. two(); return p .. tostring(q)`, "xanil"},
		{`local function two() return "a", "b" end; return select("#", "x" .. two())`, "1"},
		{`local function va(...) return "x" .. ... end; return va("a", "b")`, "xa"},
		{`local t = { "a" .. "b", x = "c" .. "d", ["e" .. "f"] = 1 }; return t[1] .. t.x .. t.ef`, "abcd1"},
		{`local s = ""; for i = 1, 3 do s = s .. i .. (i < 3 and "," or "") end; return s`, "1,2,3"},
		{`local s = ""; repeat s = s .. "x" until #s > 3; while s .. "y" ~= "xxxxyy" do s = s .. "y" end; return s`, "xxxxy"},
		{`local f = function(a) return function(b) return a .. b end end; return f("x")("y")`, "xy"},
		{`local o = { n = "o" }; function o:m(s) return self.n .. s end; return o:m("p" .. "q")`, "opq"},
		{`if "a" .. "b" == "ab" then return "yes" else return "n" .. "o" end`, "yes"},
		{`return #("a" .. "b") .. -"1" .. tostring(not ("a" .. "b"))`, "2-1false"},
		{`return ("a" .. "b"):rep(2) .. ("%d"):format(3)`, "abab3"},
		{`local order = ""; local function f(x) order = order .. x; return x end; local r = f("a") .. f("b") .. f("c"); return order .. r`, "abcabc"},
		{`local mt = { __concat = function(a, b) return (type(a) == "table" and "T" or a) .. "+" .. (type(b) == "table" and "T" or b) end }
local o = setmetatable({}, mt); return "a" .. "b" .. o .. "c" .. 1`, "abT+c1"},
		{`local mt = { __concat = function(a, b) return setmetatable({ n = (a.n or a) .. (b.n or b) }, getmetatable(a) or getmetatable(b)) end }
local o = setmetatable({ n = "o" }, mt); return ("x" .. o .. o .. "y").n`, "xooy"},
		{`return select(2, pcall(function() return "x" .. nil end))`, "attempt to concatenate a nil value"},
		{`return select(2, pcall(function() return {} .. "x" end))`, "attempt to concatenate a table value"},
		{`local s = ("x"):rep(2^20); return select(2, pcall(function() while true do s = s .. s end end))`, "resulting string too large"},
		{`local s = ("x"):rep(2^24); return select(2, pcall(function() return s .. s .. 1 .. s .. s end))`, "resulting string too large"},
		{`return "x` + strings.Repeat(`" .. "x`, 150) + `"`, strings.Repeat("x", 151)},
	} {
		s := load(t, "local function test() "+tt.code+" end\n"+`actions = respond(tostring((test())))`)
		_, body := s.get("/")
		if body = strings.TrimPrefix(body, "site.lua:1: "); !strings.HasSuffix(body, tt.want) || len(body) > len(tt.want)+200 {
			t.Errorf("%s\n got %q\nwant %q", tt.code, body, tt.want)
		}
	}
}

// Code that a script loads while it runs has the same operator.
func TestConcatInLoadedCode(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "part.lua")
	if err := os.WriteFile(file, []byte("#!/usr/bin/lua\nreturn 'n' .. 0.1 + 0.2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{
		`loadstring("return 'n' .. 0.1 + 0.2")()`: "n0.3",
		`(function() local parts = { "return 'n'", " .. 0.1 + 0.2" }; return load(function() return table.remove(parts, 1) end)() end)()`: "n0.3",
		fmt.Sprintf(`loadfile(%q)()`, file): "n0.3",
		fmt.Sprintf(`dofile(%q)`, file):     "n0.3",
		fmt.Sprintf(`(function() package.path = %q; return require("part") end)()`, dir+"/?.lua"): "n0.3",
		`tostring(select(2, loadstring("x = = 1", "name")))`:                                      `name:1: syntax error near "="`,
		`tostring(select(2, load(function() return 1 end)))`:                                      "reader function must return a string",
		`tostring(select(2, loadfile("/nowhere.lua")))`:                                           "cannot open /nowhere.lua: no such file or directory",
		`tostring(select(2, pcall(dofile, "/nowhere.lua")))`:                                      "cannot open /nowhere.lua: no such file or directory",
	} {
		s := load(t, "actions = respond("+code+")")
		if _, body := s.get("/"); body != want {
			t.Errorf("%s: %q, want %q", code, body, want)
		}
	}
}

// An uncaught error names the line of the operator.
func TestConcatErrorHasItsLine(t *testing.T) {
	s := load(t, "actions = function(vr)\n  local x\n  return 'a' .. x\nend")
	if status, _ := s.get("/"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	if want := "site.lua:3: attempt to concatenate a nil value"; !strings.Contains(s.log.String(), want) {
		t.Errorf("%q is not in the log:\n%s", want, s.log)
	}
}
