package runtime

import (
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"sort"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luaio"
	"luaserve/runtime/luastring"
)

// maxArray is the length of the part of a table that gopher-lua keeps as an array. A store
// far behind its end fills all that is between with nil, in a single instruction that no
// limit interrupts: t[2^26-1] = 1 takes two gigabytes. A table may have more entries; those
// with larger numbers are in its hash.
const maxArray = 1 << 24

// gopher-lua has one setting for all states of a process, which must not change while one runs.
var _ = func() struct{} {
	lua.MaxArrayIndex = min(lua.MaxArrayIndex, maxArray)
	return struct{}{}
}()

// openLibraries gives a state Lua's libraries. Many functions of gopher-lua are replaced:
// those whose results differ from Lua 5.1's, and those that know no limit.
func (st *state) openLibraries() {
	L, prog := st.L, st.heap.prog
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
		{lua.MathLibName, lua.OpenMath}, {lua.OsLibName, lua.OpenOs},
		{lua.CoroutineLibName, lua.OpenCoroutine}, {lua.DebugLibName, lua.OpenDebug},
	} {
		L.Push(L.NewFunction(lib.open))
		L.Push(lua.LString(lib.name))
		L.Call(1, 0)
	}
	luastring.Open(L, prog.maxString)
	openClock(L, prog.now)
	luaio.Open(L, st.heap.files())
	st.openCompiler()
	openCoroutines(L)
	st.openLimited()
	st.guardLibraries()
}

// openLimited replaces single functions of the base, table and math libraries and of os.
func (st *state) openLimited() {
	L := st.L
	library := func(name string) *lua.LTable { return L.G.Global.RawGetString(name).(*lua.LTable) }
	L.G.Global.RawSetString("_printregs", lua.LNil) // writes registers to the standard output
	L.G.Global.RawSetString("collectgarbage", L.NewFunction(st.collectGarbage))
	library("table").RawSetString("sort", L.NewFunction(sortTable))
	library("table").RawSetString("remove", L.NewFunction(removeEntry))
	library("math").RawSetString("huge", lua.LNumber(math.Inf(1)))
	r := &random{}
	library("math").RawSetString("random", L.NewFunction(r.next))
	library("math").RawSetString("randomseed", L.NewFunction(r.seed))
	library("os").RawSetString("exit", L.NewFunction(func(L *lua.LState) int {
		L.RaiseError("os.exit is not available: it would end the server")
		return 0
	}))
	st.watchEnvironment(L.G.Global)
	st.watchEnvironment(library("debug"))
	st.openShared()
}

// collectGarbage is collectgarbage(option). The memory is that of the process, and its
// garbage is collected without being asked: only a trusted script has it done at once.
func (st *state) collectGarbage(L *lua.LState) int {
	result := lua.LNumber(0)
	switch option := L.OptString(1, "collect"); option {
	case "collect":
		if st.level() == SandboxTrusted {
			goruntime.GC()
		}
	case "count":
		const kilobyte = 1024
		result = lua.LNumber(heapBytes()) / kilobyte
	case "step":
		L.Push(lua.LTrue)
		return 1
	case "stop", "restart", "setpause", "setstepmul":
	default:
		L.ArgError(1, "invalid option '"+option+"'")
	}
	L.Push(result)
	return 1
}

// removeEntry is table.remove(t, pos). gopher-lua's takes a nil at the end for the last entry.
func removeEntry(L *lua.LState) int {
	t := L.CheckTable(1)
	last := t.Len()
	pos := L.OptInt(2, last)
	if pos < 1 || pos > last {
		return 0
	}
	L.Push(t.Remove(pos))
	return 1
}

// sortTable is table.sort(t, less). The table is changed when all of it is sorted.
func sortTable(L *lua.LState) int {
	t := L.CheckTable(1)
	s := &sorter{L: L, values: make([]lua.LValue, t.Len())}
	if L.Get(2) != lua.LNil {
		s.less = L.CheckFunction(2)
	}
	for i := range s.values {
		s.values[i] = t.RawGetInt(i + 1)
	}
	sort.Sort(s)
	for i, v := range s.values {
		t.RawSetInt(i+1, v)
	}
	return 0
}

type sorter struct {
	L      *lua.LState
	less   *lua.LFunction
	values []lua.LValue
	steps  int
}

func (s *sorter) Len() int      { return len(s.values) }
func (s *sorter) Swap(i, j int) { s.values[i], s.values[j] = s.values[j], s.values[i] }

func (s *sorter) Less(i, j int) bool {
	const stepsBetweenLooks = 1024
	if s.steps++; s.steps%stepsBetweenLooks == 0 {
		checkTime(s.L)
	}
	if s.less == nil {
		return s.L.LessThan(s.values[i], s.values[j])
	}
	s.L.Push(s.less)
	s.L.Push(s.values[i])
	s.L.Push(s.values[j])
	s.L.Call(2, 1)
	result := s.L.Get(-1)
	s.L.Pop(1)
	return lua.LVAsBool(result)
}

// checkTime raises what the virtual machine raises when the context of its thread is done.
// Functions that may take long call it.
func checkTime(L *lua.LState) {
	if ctx := L.Context(); ctx != nil && ctx.Err() != nil {
		L.RaiseError("%s", ctx.Err().Error())
	}
}

// random makes the numbers of one state. gopher-lua's are those of the process: with a seed
// one script could foresee the numbers of another.
type random struct{ source *rand.Rand }

func (r *random) float() float64 {
	if r.source == nil {
		return rand.Float64()
	}
	return r.source.Float64()
}

// next is math.random(from, to).
func (r *random) next(L *lua.LState) int {
	if L.GetTop() == 0 {
		L.Push(lua.LNumber(r.float()))
		return 1
	}
	from, to := 1.0, math.Floor(float64(L.CheckNumber(1)))
	if L.GetTop() > 1 {
		from, to = to, math.Floor(float64(L.CheckNumber(2)))
	}
	if !(from <= to) {
		L.ArgError(L.GetTop(), "interval is empty")
	}
	L.Push(lua.LNumber(math.Floor(r.float()*(to-from+1)) + from))
	return 1
}

// seed is math.randomseed(x).
func (r *random) seed(L *lua.LState) int {
	r.source = rand.New(rand.NewPCG(math.Float64bits(float64(L.CheckNumber(1))), 0))
	return 0
}
