package luastring

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// What the comparison with lua5.1 does not show: where this library is stricter, and what
// Lua leaves open.
func TestLibrary(t *testing.T) {
	for _, tt := range []struct{ code, want string }{
		// a result over the limit is an error before it is made
		{`pcall(string.rep, "x", 1e10)`, `false resulting string too large`},
		{`pcall(string.rep, "x", 2^62)`, `false resulting string too large`},
		{`pcall(string.rep, "xy", 501)`, `false resulting string too large`},
		{`#string.rep("xy", 500)`, `1000`},
		{`#string.rep("", 1e10)`, `0`},
		{`pcall(string.gsub, string.rep("x", 100), "x", string.rep("y", 11))`, `false resulting string too large`},
		{`#string.gsub(string.rep("x", 100), "x", string.rep("y", 10))`, `1000`},
		{`pcall(string.gsub, string.rep("x", 900), "$", string.rep("y", 101))`, `false resulting string too large`},
		{`pcall(string.gsub, "xx", "x", function() return string.rep("y", 501) end)`, `false resulting string too large`},
		{`pcall(string.format, "%s%s", string.rep("x", 600), string.rep("x", 401))`, `false resulting string too large`},
		{`pcall(string.format, "%99d%s", 1, string.rep("x", 902))`, `false resulting string too large`},
		{`pcall(string.format, "%q", string.rep("\0", 250))`, `false resulting string too large`},
		{`pcall(table.concat, { string.rep("x", 600), string.rep("x", 401) })`, `false resulting string too large`},
		{`pcall(table.concat, { 1, 2, 3, 4, 5 }, string.rep("x", 250))`, `false resulting string too large`},
		{`#table.concat({ string.rep("x", 600), string.rep("x", 399) }, "y")`, `1000`},
		{`pcall(os.date, string.rep("%c", 50))`, `false resulting string too large`},
		// bytes above 127 stay what they are
		{`string.byte(string.upper("\228\255a\195"), 1, -1)`, `228 255 65 195`},
		{`string.byte(string.lower("\196\223Z\195"), 1, -1)`, `196 223 122 195`},
		{`string.byte(string.reverse("\228a"), 1, -1)`, `97 228`},
		// recursion ends
		{`pcall(string.find, string.rep("x", 300), string.rep("x?", 201))`, `false pattern too complex`},
		{`pcall(string.find, string.rep("x", 300), string.rep("x?", 150))`, `true 1 150`},
		{`pcall(string.find, string.rep("x", 1000), "^" .. string.rep("x", 1000) .. "$")`, `true 1 1000`},
		// more sets than a matcher keeps in place
		{`string.match("abcdef", "[a]-[b]-[c]-[d]-[e]-[f]$", 1)`, `abcdef`},
		{`string.gsub("abcdefabc", "[a]+[b]+[c]+[d]+[e]+[f]+[a]?", "%0.")`, `abcdefa.bc 1`},
		// values that Lua 5.1 does not define, or prints as the C library likes
		{`string.format("%5.1f|%-6g|%06g|%+g", 1/0, -1/0, 1/0, 1/0)`, `  inf|-inf  |   inf|+inf`},
		{`string.format("%d", 2^53)`, `9007199254740992`},
		{`string.format("%u %x %X %o", -1, -1, 255, 8)`, `18446744073709551615 ffffffffffffffff FF 10`},
		{`string.upper("äöü\255") == "äöü\255"`, `true`},
		{`string.gfind == string.gmatch and ("x"):rep(2)`, `xx`},
		{`getmetatable("").__index == string`, `true`},
		{`pcall(string.dump, print)`, `false unable to dump given function`},
		{`pcall(string.dump)`, `false bad argument #1 to 'dump' (function expected, got no value)`},
		{`pcall(string.byte, string.rep("x", 1000), 1, -1) and select("#", string.byte(string.rep("x", 1000), 1, -1))`, `1000`},
		{`tostring(setmetatable({}, { __tostring = function() return "mine" end }))`, `mine`},
		{`tostring(1e15) .. " " .. tostring(0.1 + 0.2) .. " " .. tostring(-1/0)`, `1e+15 0.3 -inf`},
		{`string.gsub("a.b", "%.", { ["."] = setmetatable({}, {}) }) `, `error: invalid replacement value (a table)`},
		{`string.gsub("abc", "%w", setmetatable({}, { __index = function(_, k) return k .. k end }))`, `aabbcc 3`},
	} {
		if got := results(newLimitedState(t, 1000), tt.code); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.code, got, tt.want)
		}
	}
}

func newLimitedState(t *testing.T, maxLen int) *lua.LState {
	L := newState(t)
	Open(L, maxLen)
	return L
}

// results evaluates expressions and joins what they return.
func results(L *lua.LState, code string) string {
	fn, err := L.LoadString("return " + code)
	if err != nil {
		return err.Error()
	}
	L.Push(fn)
	if err := L.PCall(0, lua.MultRet, nil); err != nil {
		var api *lua.ApiError
		errors.As(err, &api)
		_, msg, _ := strings.Cut(api.Object.String(), ": ")
		return "error: " + msg
	}
	var out []string
	for i := 1; i <= L.GetTop(); i++ {
		_, value, found := strings.Cut(L.Get(i).String(), "<string>:1: ")
		if !found {
			value = L.Get(i).String()
		}
		out = append(out, value)
	}
	return strings.Join(out, " ")
}

// A match that would take years ends with the context of its thread, in a coroutine and
// under pcall as well.
func TestMatchingEndsWithTheContext(t *testing.T) {
	for name, code := range map[string]string{
		"find":             `string.find(s, "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$")`,
		"match":            `string.match(s, "^" .. (".*"):rep(30) .. "%d")`,
		"optional":         `string.match(("a"):rep(99), ("a?"):rep(100) .. ("a"):rep(100))`,
		"gmatch":           `for _ in string.gmatch(s, "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$") do end`,
		"gsub":             `string.gsub(s, "[ab]*[ab]*[ab]*[ab]*[ab]*[ab]*[ab]*%d", "")`,
		"back reference":   `string.find(s, "(.*)(.*)(.*)%1%2%3%1%2%3%1%2%3.$z")`,
		"pcall in a loop":  `while true do pcall(string.find, s, "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$") end`,
		"in a coroutine":   `coroutine.wrap(function() string.find(s, "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$") end)()`,
		"in a replacement": `string.gsub("abc", ".", function() string.find(s, "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$") end)`,
	} {
		t.Run(name, func(t *testing.T) {
			L := newState(t)
			lua.OpenCoroutine(L)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			L.SetContext(ctx)
			err := L.DoString(`local s = ("ab"):rep(1000) ` + code)
			if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
				t.Errorf("error %v, want the context's", err)
			}
		})
	}
}

// Patterns that need quadratic time in the textbook, on long strings.
func TestLongStrings(t *testing.T) {
	L := newState(t)
	for _, tt := range []struct{ code, want string }{
		{`string.find(("a"):rep(1e6), ".*b")`, `nil`},
		{`string.find(("a"):rep(1e6), ".-b")`, `nil`},
		{`select(2, string.gsub(("a "):rep(5e5), "a", "b"))`, `500000`},
		{`#string.gsub(("a"):rep(1e6), ".*", "b")`, `2`},
		{`string.match(("x"):rep(1e6) .. "/y", "^[^/]*/(.*)$")`, `y`},
		{`string.find(("("):rep(1e6), "%b()", 1e6)`, `nil`},
	} {
		if got := results(L, tt.code); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.code, got, tt.want)
		}
		L.SetTop(0)
	}
}

// A piece that a script keeps does not keep the long string that it was cut from.
func TestShortPiecesAreCopies(t *testing.T) {
	L := newState(t)
	c := call{L, &definition{}}
	long := strings.Repeat("x", 1<<20)
	allocated := testing.AllocsPerRun(10, func() {
		c.pushPiece(long, 10, 20)
		L.Pop(1)
	})
	if allocated < 2 { // the copy and its box
		t.Errorf("%v allocations: the piece shares the memory of the string", allocated)
	}
}

func TestNoAllocationsWithoutResults(t *testing.T) {
	L := newState(t)
	for _, pattern := range []string{"needle", "^/static/", "%.css$", "[^/]*%.%a+$", ".-%."} {
		find := L.GetField(L.GetGlobal("string"), "find")
		subject, pat := lua.LValue(lua.LString("/static/css/main.css")), lua.LValue(lua.LString(pattern))
		if n := testing.AllocsPerRun(100, func() {
			L.Push(find)
			L.Push(subject)
			L.Push(pat)
			L.Call(2, 1)
			L.Pop(1)
		}); n > 0 {
			t.Errorf("find with %q: %v allocations", pattern, n)
		}
	}
}
