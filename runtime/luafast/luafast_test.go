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
	method("get", luafast.LeafMethod, func(L *lua.LState, t *thing) int { L.Push(lua.LString(t.text)); L.Push(t.n); return 2 })
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
		return lua.LString(t.text)
	}
	for _, name := range []string{"n", "text", "inner", "fixed"} {
		field := luafast.Field{Get: func(o any) lua.LValue { return get(o.(*thing), name) }}
		if name == "n" || name == "text" {
			field.Set = func(o any, v lua.LValue) { set(w.thread, o.(*thing), name, v) }
		}
		object.Fields[name] = field
	}
	object.Fields["slow"] = luafast.Field{}
	object.Index = func(o any, key lua.LValue) lua.LValue { return lua.LString(o.(*thing).text + key.Type().String()) }
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
	return mt
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
		t.Skip(err)
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
	for _, v := range []lua.LValue{table, w.tableWithMethods(), lua.LString("s"), lua.LNumber(5), w.userdat, probe} {
		L.Push(v)
	}
	L.Call(6, 1)
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
