package luafast_test

import (
	"fmt"
	"math/rand"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"

	"luaserve/runtime/luafast"
	"luaserve/runtime/luastring"
)

// world is a Lua state with an object, and what happened in it.
type world struct {
	L       *lua.LState
	thread  *lua.LState // that the function runs on
	machine *luafast.Machine
	stop    atomic.Bool
	log     strings.Builder
	object  thing
	userdat *lua.LUserData
	concat  *lua.LFunction // what stands for the operator .. in scripts of luaserve
}

type thing struct {
	n     lua.LNumber
	text  string
	inner *thing
}

func newWorld() *world {
	L := lua.NewState(lua.Options{RegistrySize: 512, RegistryMaxSize: 1 << 16, RegistryGrowStep: 4096, CallStackSize: 100})
	luastring.Open(L, 1<<16)
	w := &world{L: L, object: thing{n: 1, text: "one", inner: &thing{n: 2, text: "two"}}}
	w.machine = luafast.New(&w.stop)
	w.machine.AddLibrary(libraryNames(L))
	w.concat = L.NewFunction(luastring.Concat(1 << 10))
	w.machine.SetConcat(w.concat, luastring.Join(1<<10))
	w.userdat = &lua.LUserData{Value: &w.object, Env: L.G.Global, Metatable: w.metatable()}
	return w
}

func libraryNames(L *lua.LState) map[*lua.LFunction]string {
	names := map[*lua.LFunction]string{}
	add := func(prefix string, v lua.LValue) {
		v.(*lua.LTable).ForEach(func(k, v lua.LValue) {
			if fn, ok := v.(*lua.LFunction); ok {
				names[fn] = prefix + k.String()
			}
		})
	}
	add("", L.G.Global)
	for _, lib := range []string{"string", "table", "math", "os"} {
		add(lib+".", L.GetGlobal(lib))
	}
	return names
}

// metatable makes that of the object, for gopher-lua and for the machine.
func (w *world) metatable() *lua.LTable {
	L, mt := w.L, w.L.NewTable()
	object := &luafast.Object{Methods: map[string]*lua.LFunction{}, Fields: map[string]luafast.Field{}}
	method := func(name string, leaf luafast.Leaf, run func(L *lua.LState, t *thing) int) {
		fn := L.NewFunction(func(L *lua.LState) int { return run(L, self(L)) })
		object.Methods[name] = fn
		w.machine.AddLeaf(fn, leaf)
	}
	method("set", luafast.LeafMethod, func(L *lua.LState, t *thing) int { t.text = L.CheckString(2); return 0 })
	method("get", luafast.LeafMethod, func(L *lua.LState, t *thing) int { L.Push(w.machine.Text(t.text)); L.Push(t.n); return 2 })
	method("swap", luafast.LeafMethod, func(L *lua.LState, t *thing) int {
		old := t.text
		text := L.CheckString(2)
		if text == "t" {
			L.RaiseError("no %s", old)
		}
		t.text = text
		if t.text == "10" {
			return 0
		}
		L.Push(w.machine.Text(old))
		return 1
	})
	method("fail", luafast.LeafMethod, func(L *lua.LState, t *thing) int { L.RaiseError("no %s", t.text); return 0 })
	method("slow", luafast.NotLeaf, func(L *lua.LState, t *thing) int { w.note(L, "slow", L.Get(2)); L.Push(t.n); return 1 })
	set := func(L *lua.LState, t *thing, name string, v lua.LValue) {
		switch name {
		case "n":
			n, ok := v.(lua.LNumber)
			if !ok {
				L.RaiseError("n must be a number, not a %s", v.Type())
			}
			t.n = n
		case "text":
			t.text = v.String()
			if _, ok := v.(*lua.LTable); ok {
				L.RaiseError("text must be a text")
			}
		}
	}
	get := func(t *thing, name string) lua.LValue {
		switch name {
		case "n":
			return t.n
		case "fixed":
			return lua.LNumber(7)
		case "inner":
			return &lua.LUserData{Value: t.inner, Env: L.G.Global, Metatable: mt}
		}
		return w.machine.Text(t.text)
	}
	for _, name := range []string{"n", "text", "inner", "fixed"} {
		field := luafast.Field{Get: func(o any) lua.LValue { return get(o.(*thing), name) }}
		if name == "n" || name == "text" {
			field.Set = func(o any, v lua.LValue) { set(w.thread, o.(*thing), name, v) }
		}
		object.Fields[name] = field
	}
	object.Fields["slow"] = luafast.Field{}
	object.Index = func(o any, key lua.LValue) lua.LValue { return w.machine.Text(o.(*thing).text + key.Type().String()) }
	store := func(L *lua.LState, o any, key, v lua.LValue) {
		if _, ok := v.(lua.LNumber); !ok {
			L.RaiseError("a number is needed for a %s", key.Type())
		}
		o.(*thing).n = v.(lua.LNumber)
	}
	object.NewIndex = func(o any, key, v lua.LValue) { store(w.thread, o, key, v) }
	mt.RawSetString("__index", L.NewFunction(func(L *lua.LState) int {
		t, key := self(L), L.Get(2)
		name, _ := key.(lua.LString)
		fn := object.Methods[string(name)]
		_, known := object.Fields[string(name)]
		switch {
		case fn != nil:
			L.Push(fn)
		case known:
			if name == "slow" {
				w.note(L, "slow field")
			}
			L.Push(get(t, string(name)))
		default:
			L.Push(object.Index(t, key))
		}
		return 1
	}))
	mt.RawSetString("__newindex", L.NewFunction(func(L *lua.LState) int {
		t, key := self(L), L.Get(2)
		name, _ := key.(lua.LString)
		field, known := object.Fields[string(name)]
		switch {
		case field.Set != nil:
			set(L, t, string(name), L.Get(3))
		case known || object.Methods[string(name)] != nil:
			L.RaiseError("%s is read only", key)
		default:
			store(L, t, key, L.Get(3))
		}
		return 0
	}))
	w.machine.AddObject(mt, object)
	w.machine.AddQuick(object.Methods["swap"], mt, w.swap)
	return mt
}

// swap is the quick form of the method, for texts that are no numbers.
func (w *world) swap(o any, args []lua.LValue) (lua.LValue, bool) {
	if len(args) == 0 {
		return nil, false
	}
	text, ok := args[0].(lua.LString)
	if !ok {
		return nil, false
	}
	t := o.(*thing)
	if text == "t" {
		w.thread.RaiseError("no %s", t.text)
	}
	old := t.text
	t.text = string(text)
	if text == "10" {
		return nil, true
	}
	return w.machine.Text(old), true
}

func self(L *lua.LState) *thing {
	u, ok := L.Get(1).(*lua.LUserData)
	if !ok {
		L.RaiseError("an object is needed, got a %s", L.Get(1).Type())
	}
	return u.Value.(*thing)
}

// note writes down a call, with its place.
func (w *world) note(L *lua.LState, what string, args ...lua.LValue) {
	fmt.Fprintf(&w.log, "%s %s", L.Where(1), what)
	for _, v := range args {
		w.log.WriteString(" " + show(v, 2))
	}
	w.log.WriteByte('\n')
}

func show(v lua.LValue, depth int) string {
	switch v := v.(type) {
	case lua.LString:
		return fmt.Sprintf("%q", string(v))
	case *lua.LTable:
		if depth == 0 {
			return "{…}"
		}
		var b strings.Builder
		for k, item := v.Next(lua.LNil); k != lua.LNil; k, item = v.Next(k) {
			fmt.Fprintf(&b, "[%s]=%s ", show(k, depth-1), show(item, depth-1))
		}
		return "{" + b.String() + "}"
	case *lua.LFunction, *lua.LUserData:
		return v.Type().String()
	}
	return v.String()
}

// load returns the function that a program makes. Its local variables stand for a table, one
// with metamethods, a string, a number, the object, and a Go function that writes down its
// arguments.
func (w *world) load(t tester, text string) *lua.LFunction {
	L := w.L
	chunk, err := L.Load(strings.NewReader(text), "test")
	if err != nil {
		_, generated := t.(*rapid.T)
		if tooLarge := strings.Contains(err.Error(), "register overflow") || strings.Contains(err.Error(), "too many"); !generated || !tooLarge {
			t.Fatalf("%s\n%v", text, err)
		}
		t.Skip("a generated program is too large for gopher-lua's compiler:", err)
	}
	table := L.NewTable()
	table.RawSetString("n", lua.LNumber(3))
	table.RawSetString("text", lua.LString("t"))
	for i := range 3 {
		table.Append(lua.LNumber(i * 10))
	}
	probe := L.NewFunction(func(L *lua.LState) int {
		args := make([]lua.LValue, L.GetTop())
		for i := range args {
			args[i] = L.Get(i + 1)
		}
		w.note(L, "probe", args...)
		return len(args)
	})
	L.Push(chunk)
	args := []lua.LValue{table, w.tableWithMethods(), lua.LString("s"), lua.LNumber(5), w.userdat, probe, w.concat}
	for _, v := range args {
		L.Push(v)
	}
	L.Call(len(args), 1)
	fn := L.Get(-1).(*lua.LFunction)
	L.Pop(1)
	return fn
}

const metamethods = `
local mt = { __index = function(t, k) if k == "fixed" then error("fixed") end return k end, __call = function(self, a) return a, 1 end }
function mt.__add(a, b) return 1 end
function mt.__concat(a, b) return "joined" end
function mt.__eq(a, b) return true end
function mt.__lt(a, b) return false end
function mt.__unm(a) return -1 end
return setmetatable({ x = 1, inner = setmetatable({}, { __index = { n = 4 }, __newindex = {} }) }, mt)`

func (w *world) tableWithMethods() lua.LValue {
	if err := w.L.DoString(metamethods); err != nil {
		panic(err)
	}
	v := w.L.Get(-1)
	w.L.Pop(1)
	return v
}

// run calls the function of a program, in the machine if fast, and tells all that happened.
func run(t tester, text string, fast bool) (string, *world) {
	w := newWorld()
	defer w.L.Close()
	fn := w.load(t, text)
	L, _ := w.L.NewThread()
	w.thread = L
	args := []lua.LValue{lua.LNumber(2), lua.LString("b"), w.userdat}
	results := make([]lua.LValue, 3)
	nargs, finished := len(args), false
	if fast {
		nargs, finished = w.machine.Run(L, fn, args, results)
	} else {
		L.Push(fn)
		for _, v := range args {
			L.Push(v)
		}
	}
	if !finished {
		if err := L.PCall(nargs, len(results), nil); err != nil {
			api := err.(*lua.ApiError)
			fmt.Fprintf(&w.log, "error %s\n%s\n", show(api.Object, 2), api.StackTrace)
			results = nil
		}
		for i := range results {
			results[i] = L.Get(i - len(results))
		}
	}
	w.note(L, "end", results...)
	fmt.Fprint(&w.log, w.object.n, w.object.text, *w.object.inner, show(w.L.GetGlobal("global"), 2))
	return address.ReplaceAllString(w.log.String(), "0x…"), w
}

// address is what tostring shows of tables and functions.
var address = regexp.MustCompile(`0x[0-9a-f]+`)

func compare(t tester, text string) {
	want, _ := run(t, text, false)
	got, _ := run(t, text, true)
	if got != want {
		t.Fatalf("%s\n--- the machine:\n%s\n--- gopher-lua:\n%s", text, got, want)
	}
}

// Whatever a program does, it does the same in the machine as in gopher-lua: results, errors
// with their lines and tracebacks, calls, changes.
func TestSameAsGopherLua(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		compare(t, program(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "choices")))
	})
}

// A loop comes again to the call at which its function was left, with other arguments.
func TestLoopsThatAreLeft(t *testing.T) {
	for name, body := range map[string]string{
		"open arguments":          `for i = 1, 4 do P(i, unpack(({ { 1 }, { 1, 2 }, {}, { 1, nil, 3 } })[i])) end`,
		"open results":            `local function F(i) P() return unpack({ 1, 2, 3 }, i) end for i = 1, 4 do P(i, F(i)) end`,
		"results of a call":       `for i = 1, 3 do local x, y = P(unpack({ "a", "b", "c" }, i)) P(x, y) end`,
		"missing arguments":       `local function F(a, b) P(a, b) return 1 end for i = 1, 3 do P(F(i)) end`,
		"nested, missing":         `local function F(a, b) P(a) return b end for i = 1, 3 do F(F("x"), 1) end`,
		"two functions deep":      `local function F(a, b, c) P(a, b, c) return a end local function G(a, b) return F(a), b end for i = 1, 3 do P(G(i)) end`,
		"closures over arguments": `local function F(a, b) local f = function() return a, b end P(f()) return b end for i = 1, 3 do P(F(F(i))) end`,
		"number of arguments":     `local function F(...) return select("#", ...) end for i = 1, 3 do P(F(unpack({ 1, 2, 3 }, i))) end`,
		"while":                   `local n = 0 while n < 3 do n = n + 1 P(unpack({ 3, 2, 1 }, n)) end`,
		"repeat":                  `local n = 0 repeat n = n + 1 P(unpack({ 3, 2, 1 }, n)) until n == 3`,
		"pairs":                   `for i, v in ipairs { { 1 }, { 1, 2 }, {} } do P(i, unpack(v)) end`,
		"gmatch":                  `for v in string.gmatch("a,b,c", "[^,]") do P(v, unpack({ 1, 2 }, #v)) P(string.byte(v, 1, -1)) end`,
		"methods":                 `for i = 1, 3 do O:slow(unpack({ 3, 2, 1 }, i)) end`,
		"tail calls":              `local function F(a, b) return P(a, b) end for i = 1, 3 do F(unpack({ 3, 2, 1 }, i)) end`,
		"errors":                  `local function F(a, b) P(a) return b.x end for i = 1, 3 do P(i) F(i) end`,
		"names of variables":      `local function D() return debug.getlocal(2, 4) end for i = 1, 3 do local x = i P(D(unpack({ 1, 2 }, i)), x) end`,
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, "local T, M, S, N, O, P, C = ...\nreturn function(a, b, c)\n"+body+"\nend")
		})
	}
}

// tester is what [testing.T] and [rapid.T] have in common.
type tester interface {
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// More programs, without the time that rapid takes for each.
func TestManyPrograms(t *testing.T) {
	n := 300
	if testing.Short() {
		n = 60
	}
	random := rand.New(rand.NewSource(1))
	for range n {
		data := make([]byte, 50+random.Intn(500))
		random.Read(data)
		compare(t, program(data))
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add([]byte("some choices"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 1<<12 {
			compare(t, program(data))
		}
	})
}

// Texts that outlive the call which read them stay what they are when the memory of the
// others is used again. Each pair is a function that keeps a text and one that returns it later.
func TestTextsThatOutliveTheCall(t *testing.T) {
	for _, way := range [][2]string{
		{`return O.text`, ``},
		{`return (O:get())`, ``},
		{`return C(O.text, "")`, ``},
		{`return (select(1, O.text))`, ``},
		{`return P(O.text)`, ``},
		{`local f = function(s) P() return s end return f(O.text)`, ``},
		{`global = O.text`, `return global`},
		{`kept = O.text`, `return kept`},
		{`T.x = O.text`, `return T.x`},
		{`T[O.text] = 1`, `return (next(T))`},
		{`T[1] = O.text`, `return T[1]`},
		{`kept = { O.text }`, `return kept[1]`},
		{`kept = { x = O.text }`, `return kept.x`},
		{`rawset(T, "x", O.text)`, `return T.x`},
		{`table.insert(T, O.text)`, `return T[1]`},
		{`kept = setmetatable({}, { __index = { x = O.text } })`, `return kept.x`},
		{`kept = tostring(O.text)`, `return kept`},
		{`local text = O.text P() kept = text`, `return kept`},
	} {
		w := newWorld()
		load := func(code string) *lua.LFunction {
			return w.load(t, "local T, M, S, N, O, P, C = ...\nreturn function() "+code+" end")
		}
		both := w.load(t, "local kept\nlocal T, M, S, N, O, P, C = ...\nfor k in pairs(T) do T[k] = nil end\n"+
			"return function(read) if read then "+way[1]+" else "+way[0]+" end end")
		w.object.text = "kept"
		got := w.call(t, both, lua.LFalse)
		w.object.text = "another text"
		w.call(t, load(`local a, b = O.text, O.text`))
		if way[1] != "" {
			got = w.call(t, both, lua.LTrue)
		}
		if got != lua.LString("kept") {
			t.Errorf("%s: the text has become %q", way[0], got)
		}
		w.L.Close()
	}
}

// call calls a function in the machine and returns its result.
func (w *world) call(t tester, fn *lua.LFunction, args ...lua.LValue) lua.LValue {
	L, _ := w.L.NewThread()
	w.thread = L
	results := make([]lua.LValue, 1)
	if nargs, finished := w.machine.Run(L, fn, args, results); !finished {
		if err := L.PCall(nargs, 1, nil); err != nil {
			t.Fatalf("%v", err)
		}
		results[0] = L.Get(-1)
	}
	return results[0]
}
