package runtime

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Scripts whose tables can all be cut out, or must not be.
var pieceScripts = []string{
	`local n = 0; local t = { { f = function() n = n + 1 return n end }, { f = function() n = n + 10 return n end } } return t[1].f() + t[2].f() + n`,
	`local function id(x) return x end return id{ 1, 2 }[2], id { { 3 } }[1][1], #id{}`,
	`local o = {}; function o:m(t) return #t end return o:m{ 1, 2, 3 }`,
	`local s = { "}{", '\'}', [[}]], [==[ ]] } ]==], --[[ } ]] 5, -- }
 6 } return #s, s[3], s[6]`,
	`local function f(...) return { ... }, { n = select("#", ...) } end local a, b = f(1, nil, 2) return #a, b.n, { ... }`,
	`local t = {}; for i = 1, 3 do t[i] = { i, { i } } end return t[1][2][1] + t[3][1]`,
	`local x, y = 1, 2; local t = { x = x, [y] = y, x..y, {x, x, y;} } x = 5; return t.x, t[1], t[2], #t[2]`,
	`if true then local z = { 1 } return z[1] end return { 2 }`,
	`local a = { 1, 2 } local b = { a, a } while #b < 5 do b[#b + 1] = { } end repeat local q = { 1 } until true return b[1] == b[2], #b`,
	`return { nosuch, print and 1 }, ({ 4 })[1], (function() return { 5 } end)()[1]`,
	`local e = { 1,
 2, error("here") }`,
	`local e = { { }, { nil + 1 } }`,
	`return { 1,, 2 }`,
	`return { 1, function() end }, { [[
]] }, { -- a
}, nil .. {}`,
	`local a <const> = 1`,
	`goto x; do return 1 end ::x:: return { 2 }`,
	`local t = { "a\
b", 'c' } error("line 3")`,
	"return {0x10, 1e3, .5, 3..''}[4], {}",
	`local function two() return 1, 2 end return { two(), two(), 3, (two()), two() }, { two(), nil, two(), nil, nil, }, { nil, nil, 3, two() }`,
	`local function v(a) return a end return { a = v(1), ["b"] = v(2), ['c'] = v(3), d = nil; e = { v(4), v(5), v(6) } }`,
	`return { a = 1, ["a"] = nil, b = 2, ['b'] = nil, c = 3 }, { 1, 2, 3, n = 4, 5 }, { [1] = 1, [2] = 2, 3, 4 }, { [1] = 1, [2] = 2 }`,
	`local a = { function(x, y) local p, q = x, y; return { p, q } end, (function(...) return 1, 2 end)(3, 4), "," .. ";", [==[,]==] } return a[1](7, 8), a[2], a[3], a[4], #a`,
	"local n = 5; local t = { -- one, two\n x = n, --[[ y = , ]] z = n == 5, [\"q\"] = { n, n, n,\n n }, w = function() n = n + 1 return n end } return t.w(), n, t",
	"local t = { a = { 1, 2, 3 },\n b = { 4, 5, 6 },\n c = { 7, 8, error('line 3') } }",
	"local t = { { 1, 2, 3 },\n { 4, 5, 6 },\n { 7, 8, nil + 1 } }",
	"local function f(...) return select('#', ...), ... end return { f { a = -1.5, ['b'] = 'x\\n\\'' }, f(f(), f(1, nil)), f 'y', }, { x = f(1, 2), y = f() }",
	"local o = { p = { q = 'deep', m = function(self, ...) return self.q, ... end } } return { o.p.q, o . p [ 'q' ], o.p:m(1, 2) }, { o.p\n:m(o.p:m()) }, { o.r.s }",
	"local o = {}\nreturn { 1, -- one\n 02, o.x,\n o:none(),\n 3 }",
	"local n = 0 function up() n = n + 1 return n end return { up(), up(), a, up() }, { n, { n, up() }, n }, { error(\n'x', 1) }",
	"local e = { 1,\n error('up', 2) }",
	"local e = { 1, {},\n error() }",
	"local e = { 1,\r { 2 } }; return e .. 1",
	"local e = { 1,\r\n { 2 } }; return e .. 1",
	"local o = { f = error, g = { ['h'] = error } } return { o.f() }",
	"local o = { f = error, g = { ['h'] = error } } return { o.g['h']() }, { o:f() }",
	"local function f() return error end return { f()() }",
	"local function f() error('twice', 2) end return { 1,\n f() }, { select('#', f, nil, nil) }",
}

func TestPiecesRunAsAWhole(t *testing.T) {
	n := 0
	for _, src := range pieceScripts {
		if compareWithWhole(t, src) {
			n++
		}
	}
	if n < 12 {
		t.Errorf("only %d scripts had pieces", n)
	}
}

// FuzzPieces compares a script in pieces with the whole one.
func FuzzPieces(f *testing.F) {
	for _, src := range pieceScripts {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) { compareWithWhole(t, src) })
}

// compareWithWhole reports whether the script could be cut into pieces.
func compareWithWhole(t *testing.T, src string) bool {
	chunk, err := parse.Parse(strings.NewReader(src), "site.lua")
	if err != nil {
		return false // that is found out when it is compiled as a whole, or when the piece is
	}
	whole, err := compileChunk(chunk, "site.lua", newConcat(0))
	if err != nil || repairTables(whole) != nil {
		return false
	}
	cut := false
	want := runProto(whole, 200*time.Millisecond)
	if want == exceeded {
		return false
	}
	for _, sizes := range []pieceSizes{{2, 16 << 10, 4 << 10}, {2, 2, 1}, {2, 12, 8}} {
		proto, ok := compileInPieces([]byte(src), &cutScript{name: "site.lua", concat: newConcat(0), sizes: &sizes, plain: newPlainRun(nil)})
		if !ok {
			continue
		}
		cut = true
		if got := runProto(proto, time.Minute); got != want && !strings.Contains(want, exceeded) {
			t.Fatalf("%s\nin pieces of %v\n got %s\nwant %s", src, sizes, got, want)
		}
	}
	return cut
}

// tableAddress is what gopher-lua says of a table in some messages, other each time.
var tableAddress = regexp.MustCompile(`0x[0-9a-f]+`)

// exceeded is the result of a script that does not end.
const exceeded = "exceeded"

// runProto runs a script without the libraries that reach outside, and returns what it
// returned, or its error.
func runProto(proto *lua.FunctionProto, limit time.Duration) string {
	L := lua.NewState(luaOptions)
	defer L.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable} {
		L.Push(L.NewFunction(open))
		L.Call(0, 0)
	}
	for _, name := range []string{"print", "_printregs", "dofile", "loadfile", "load", "loadstring", "collectgarbage", "newproxy", "getfenv", "setfenv", "tostring"} {
		L.SetGlobal(name, lua.LNil) // nothing that tells functions and tables apart, or how deep the stack is
	}
	L.SetGlobal("error", L.NewFunction(func(L *lua.LState) int { // nor this
		L.Error(L.CheckAny(1), min(L.OptInt(2, 1), 2))
		return 0
	}))
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	L.SetContext(ctx)
	L.Push(L.NewFunctionFromProto(proto))
	L.Push(lua.LString("an argument"))
	if err := L.PCall(1, lua.MultRet, nil); err != nil {
		if ctx.Err() != nil {
			return exceeded
		}
		message, _, _ := strings.Cut(err.Error(), "\n")
		return tableAddress.ReplaceAllString(message, "")
	}
	var out bytes.Buffer
	for i := 1; i <= L.GetTop(); i++ {
		writeValue(&out, L.Get(i), 4)
	}
	return out.String()
}

func writeValue(out *bytes.Buffer, v lua.LValue, depth int) {
	table, ok := v.(*lua.LTable)
	switch {
	case depth == 0:
	case ok:
		out.WriteByte('{')
		eachInOrder(table, func(k, v lua.LValue) {
			writeValue(out, k, depth-1)
			out.WriteByte('=')
			writeValue(out, v, depth-1)
		})
		out.WriteByte('}')
	case v.Type() == lua.LTFunction || v.Type() == lua.LTThread:
		out.WriteString(v.Type().String())
	default:
		out.WriteString(v.String())
	}
	out.WriteByte(' ')
}

// What is cut out of a script, and what stays.
func TestFindPieces(t *testing.T) {
	for src, want := range map[string]string{
		`x = {1} y = {2, {3}}`:                       `{1} {2, {3}}`,
		`f = function() return {1} end x = {2}`:      `{2}`,
		`for i = 1, 2 do x = {1} end`:                ``,
		`if a then x = {1} else y = {2} end z = {3}`: `{3}`,
		`x = { function() return {1} end }`:          `{ function() return {1} end }`,
		`x = { ... }`:                                ``,
		`x = { a .. b }`:                             `{ a .. b }`,
		`x = "{" .. [[{]] --[[ { ]] .. '{' -- {`:     ``,
		`x = { "}" }`:                                `{ "}" }`,
		`x = { ["a"] = [==[ } ]] ]==] }`:             `{ ["a"] = [==[ } ]] ]==] }`,
		`x = { `:                                     `cannot`,
		`x = } `:                                     `cannot`,
		`x = "`:                                      `cannot`,
		`x = [[`:                                     `cannot`,
		`do`:                                         `cannot`,
		"x = {" + strings.Repeat("{1},", 5000) + "}":        "{" + strings.Repeat("{1},", 5000) + "}",
		"x = {" + strings.Repeat("{1},", 5000) + "a = {2}}": strings.Repeat("{1} ", 5000) + "{2}",
		"x = {" + strings.Repeat("{1}, ", 2000) + "}":       "{" + strings.Repeat("{1}, ", 2000) + "}",
	} {
		s := &pieceScanner{src: []byte(src), sizes: &pieceSizes{2, 16 << 10, 4 << 10}, line: 1}
		got := "cannot"
		if s.find() {
			var pieces []string
			for _, p := range s.pieces {
				pieces = append(pieces, src[p.from:p.to])
			}
			got = strings.Join(pieces, " ")
		}
		if got != want {
			t.Errorf("%.100s\n got %.100s\nwant %.100s", src, got, want)
		}
	}
}
