package luastring

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// BenchmarkLibrary runs the same calls with this library and with gopher-lua's own.
func BenchmarkLibrary(b *testing.B) {
	for _, bench := range []struct{ name, setup, call string }{
		{"find plain", `local s = ("x"):rep(200) .. "needle"`, `string.find(s, "needle", 1, true)`},
		{"find pattern", `local s = "/static/css/main.css"`, `string.find(s, "%.css$")`},
		{"find capture", `local s = "/static/css/main.css"`, `string.find(s, "%.(%w+)$")`},
		{"match anchored", `local s = "/users/1234/posts"`, `string.match(s, "^/users/(%d+)")`},
		{"match none", `local s = "/users/1234/posts"`, `string.match(s, "^/api/(%d+)")`},
		{"match segments", `local s = "/users/1234/posts"`, `string.match(s, "^/([^/]*)/([^/]*)/")`},
		{"match key value", `local s = "content-type: text/html; charset=utf-8"`, `string.match(s, "^(.-):%s*(.*)$")`},
		{"gmatch words", `local s = ("word "):rep(20)`, `for w in string.gmatch(s, "%w+") do end`},
		{"gmatch query", `local s = "a=1&bb=22&ccc=333&dddd=4444"`, `for k, v in string.gmatch(s, "([^&=]+)=([^&=]*)") do end`},
		{"gsub template", `local s = ("a<b&c>"):rep(20)`, `string.gsub(s, "<", "&lt;")`},
		{"gsub table", `local s, t = ("a<b&c>"):rep(20), { ["<"] = "&lt;", ["&"] = "&amp;", [">"] = "&gt;" }`, `string.gsub(s, "[<>&]", t)`},
		{"gsub function", `local s, f = "%41%42c%43", function(h) return string.char(tonumber(h, 16)) end`, `string.gsub(s, "%%(%x%x)", f)`},
		{"gsub trim", `local s = "   some text  "`, `string.gsub(s, "^%s*(.-)%s*$", "%1")`},
		{"gsub 60 KB", `local s = ("a "):rep(30000)`, `string.gsub(s, "a", "b")`},
		{"find .*b in 20 KB", `local s = ("a"):rep(20000)`, `string.find(s, ".*b")`},
		{"format", `local s = "name"`, `string.format("%s: %d (%5.2f%%)", s, 42, 99.5)`},
		{"format %s", `local s = "name"`, `string.format("%s/%s", s, s)`},
		{"rep", ``, `string.rep("ab", 100)`},
		{"upper", `local s = "Content-Type"`, `string.upper(s)`},
		{"sub", `local s = "/users/1234/posts"`, `string.sub(s, 2, 6)`},
		{"byte", `local s = "/users/1234/posts"`, `string.byte(s, 1)`},
		{"concat", `local t = {} for i = 1, 50 do t[i] = "item" .. i end`, `table.concat(t, ", ")`},
		{"tostring", ``, `tostring(12345.678)`},
		{"tonumber", ``, `tonumber("12345")`},
	} {
		script := bench.setup + "\nlocal n = ... for i = 1, n do " + bench.call + " end"
		b.Run(strings.ReplaceAll(bench.name, " ", "_")+"/ours", func(b *testing.B) { runScript(b, newState(b), script) })
		b.Run(strings.ReplaceAll(bench.name, " ", "_")+"/gopher", func(b *testing.B) { runScript(b, lua.NewState(), script) })
	}
}

func runScript(b *testing.B, L *lua.LState, script string) {
	fn, err := L.LoadString(script)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	L.Push(fn)
	L.Push(lua.LNumber(b.N))
	L.Call(1, 0)
}
