package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

func newLibraries() *lua.LState {
	st := &state{L: lua.NewState(luaOptions), heap: &heap{prog: &Program{concat: newConcat(0)}}}
	st.openLibraries()
	return st.L
}

// A table has what was written, whatever stands where.
func TestTableConstructors(t *testing.T) {
	L := newLibraries()
	defer L.Close()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 2, 48, 49, 50, 51, 52, 99, 100, 101, 150, 151}).Draw(t, "positional fields")
		named := rapid.SampledFrom([]int{0, 1, 50, 999, 999}).Draw(t, "place of the named fields")
		src, want := tableScript(n, named, rapid.SampledFrom([]string{"%d", "f(%d)", "l%d", "{%d}"}).Draw(t, "positional"),
			rapid.SliceOfN(rapid.SampledFrom([]string{"k = 'v'", "k = f('v')", "[l1] = f('v')", "['k'..1] = f('v')", "[f('k')] = {}"}), 0, 3).Draw(t, "named"),
			rapid.SampledFrom([]string{"", "", "f('a')", "two()", "(two())", "...", "l1", "none()"}).Draw(t, "last"))
		if got := runTable(t, L, src); got != want {
			t.Fatalf("%s\n got %s\nwant %s", src, got, want)
		}
	})
}

// tableScript writes a table with n positional fields, named ones before the one at a
// place, and a last one; and what it must have by position.
func tableScript(n, place int, positional string, named []string, last string) (src, want string) {
	var b strings.Builder
	b.WriteString("local function f(x) return x end local function two() return 'a', 'b' end local function none() end\nlocal l1, l2 = 'l1', 'l2'\nreturn {")
	fields := strings.Join(named, ", ") + ","
	if len(named) == 0 {
		fields = ""
	}
	var list []string
	for i := range n {
		if i == place {
			b.WriteString(fields)
		}
		i = i%2 + 1
		fmt.Fprintf(&b, positional+",", i)
		list = append(list, strings.NewReplacer("f(", "", ")", "", "{", "", "}", "").Replace(fmt.Sprintf(positional, i)))
	}
	if n <= place {
		b.WriteString(fields)
	}
	b.WriteString(last + "}")
	list = append(list, map[string][]string{"f('a')": {"a"}, "two()": {"a", "b"}, "(two())": {"a"}, "...": {"x", "y", "z"}, "l1": {"l1"}}[last]...)
	return b.String(), strings.Join(list, " ")
}

func runTable(t interface{ Fatal(...any) }, L *lua.LState, src string) string {
	L.SetTop(0)
	L.Push(L.GetGlobal("loadstring"))
	L.Push(lua.LString(src))
	L.Call(1, 2)
	fn, ok := L.Get(1).(*lua.LFunction)
	if !ok {
		t.Fatal(L.Get(2))
	}
	L.SetTop(0)
	L.Push(fn)
	for _, arg := range []string{"x", "y", "z"} {
		L.Push(lua.LString(arg))
	}
	L.Call(3, 1)
	table := L.Get(1).(*lua.LTable)
	var got []string
	for i := 1; table.RawGetInt(i) != lua.LNil; i++ {
		v := table.RawGetInt(i)
		if inner, ok := v.(*lua.LTable); ok {
			v = inner.RawGetInt(1)
		}
		got = append(got, v.String())
	}
	return strings.Join(got, " ")
}

// More entries than an instruction can count blocks of.
func TestLongTables(t *testing.T) {
	L := newLibraries()
	defer L.Close()
	for _, n := range []int{25549, 25550, 25551, 25600, 25601} {
		for _, last := range []string{"", "l1", "f('a')"} {
			src, want := tableScript(n, 60, "%d", []string{"k = f('v')"}, last)
			if n == 25550 && last == "f('a')" {
				if _, err := compile([]byte(src), "site.lua", newConcat(0)); err == nil || !strings.Contains(err.Error(), errTableTooLong.Error()) {
					t.Errorf("%d entries and a call: %v", n, err)
				}
				continue
			}
			if got := runTable(t, L, src); got != want {
				t.Errorf("%d entries and %q: got %d letters, want %d", n, last, len(got), len(want))
			}
		}
	}
}

// All ways to load a file are repaired.
func TestTablesOfLoadedFiles(t *testing.T) {
	L := newLibraries()
	defer L.Close()
	file := filepath.Join(t.TempDir(), "list.lua")
	src, _ := tableScript(50, 99, "f(%d)", nil, "f('last')")
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	L.SetGlobal("file", lua.LString(file))
	L.SetGlobal("dir", lua.LString(filepath.Dir(file)))
	L.SetGlobal("src", lua.LString(src))
	if err := L.DoString(`
assert(dofile(file)[51] == "last")
assert(loadfile(file)()[51] == "last")
assert(load(function() local s = src; src = nil; return s end)()[51] == "last")
package.path = dir .. "/?.lua"
assert(require("list")[51] == "last")
assert(not pcall(dofile, file .. "x"))
assert(not pcall(require, "nothing"))
local f, e = loadstring("x x")
assert(f == nil and e)`); err != nil {
		t.Error(err)
	}
}
