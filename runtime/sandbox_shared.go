package runtime

import (
	lua "github.com/yuin/gopher-lua"
)

// What all requests share must not be changed by one of them: a handler that replaces
// string.format or the metatable of strings would do so for everybody. When a script has
// been loaded its libraries are therefore moved into hidden tables, and in their place are
// empty ones that lead there and refuse to replace what is there. Entries of new names
// may be added, which lighttpd2's scripts do to share values, unless the script is untrusted.

// sharedLibraries are moved; of an untrusted script the table of globals, too.
var sharedLibraries = []string{
	lua.StringLibName, lua.TabLibName, lua.MathLibName, lua.OsLibName, lua.IoLibName, lua.CoroutineLibName, lua.DebugLibName, lua.LoadLibName,
}

var sharedInPackage = []string{"loaded", "loaders", "preload"}

// openShared replaces the functions that read or write tables without asking their
// metatables, so that they see what is in a shared one and refuse to write to it.
func (st *state) openShared() {
	L := st.L
	hidden := func(L *lua.LState) *lua.LTable {
		if t, ok := L.Get(1).(*lua.LTable); ok && t.Metatable != lua.LNil {
			return st.hidden[t]
		}
		return nil
	}
	global := L.G.Global
	tables := global.RawGetString(lua.TabLibName).(*lua.LTable)
	for _, f := range []struct {
		in   *lua.LTable
		name string
	}{{global, "rawset"}, {tables, "insert"}, {tables, "remove"}, {tables, "sort"}} {
		original := f.in.RawGetString(f.name).(*lua.LFunction).GFunction
		f.in.RawSetString(f.name, L.NewFunction(func(L *lua.LState) int {
			if hidden(L) != nil {
				L.RaiseError("%s", st.sharedError(L.Get(2)))
			}
			return original(L)
		}))
	}
	next := global.RawGetString("next").(*lua.LFunction)
	rawget := global.RawGetString("rawget").(*lua.LFunction)
	for name, original := range map[string]*lua.LFunction{"next": next, "rawget": rawget} {
		global.RawSetString(name, L.NewFunction(func(L *lua.LState) int {
			if t := hidden(L); t != nil {
				L.Replace(1, t)
			}
			return original.GFunction(L)
		}))
	}
	pairs := global.RawGetString("pairs").(*lua.LFunction)
	global.RawSetString("pairs", L.NewClosure(func(L *lua.LState) int {
		if t := hidden(L); t != nil {
			copied := L.NewTable()
			eachInOrder(t, func(k, v lua.LValue) { copied.RawSet(k, v) })
			eachInOrder(L.CheckTable(1), func(k, v lua.LValue) { copied.RawSet(k, v) })
			L.Replace(1, copied)
		}
		return pairs.GFunction(L)
	}, pairs.Upvalues[0].Value()))
}

// sharedError is the error for a store into a table that all requests share.
func (st *state) sharedError(key lua.LValue) string {
	name := "what all requests share"
	if text, ok := key.(lua.LString); ok {
		name = string(text) + ", which all requests share,"
	}
	err := st.refusal("changing "+name, SandboxTrusted)
	err.unnamed = true
	return err.Error()
}

// protectShared moves what requests must not change. It is called when a state is complete.
func (st *state) protectShared() {
	L := st.L
	if st.level() == SandboxTrusted {
		return
	}
	st.hidden = map[*lua.LTable]*lua.LTable{}
	open := st.level() != SandboxUntrusted
	meta := L.NewTable()
	if strings, ok := st.base.RawGetString(lua.StringLibName).(*lua.LTable); ok {
		st.protect(strings, meta, open)
		if of, ok := L.GetMetatable(lua.LString("")).(*lua.LTable); ok {
			of.RawSetString("__metatable", lua.LFalse)
			if of.RawGetString("__index") == lua.LValue(strings) {
				of.RawSetString("__index", st.hidden[strings])
			}
		}
	}
	packages, _ := st.base.RawGetString(lua.LoadLibName).(*lua.LTable)
	for _, name := range sharedInPackage {
		if packages != nil {
			if t, ok := packages.RawGetString(name).(*lua.LTable); ok {
				st.protect(t, L.NewTable(), false)
				for _, key := range []string{"_LOADED", "_LOADERS"} { // what require uses
					if L.G.Registry.RawGetString(key) == lua.LValue(t) {
						L.G.Registry.RawSetString(key, st.hidden[t])
					}
				}
			}
		}
	}
	for _, name := range sharedLibraries {
		if t, ok := st.base.RawGetString(name).(*lua.LTable); ok && st.hidden[t] == nil {
			st.protect(t, L.NewTable(), open)
		}
	}
	if st.level() == SandboxUntrusted {
		st.protect(st.base, L.NewTable(), false)
	}
}

// protect moves what is in t into a hidden table; meta becomes its metatable. What is not
// there may be added where the table is open.
func (st *state) protect(t, meta *lua.LTable, open bool) {
	hidden := st.L.NewTable()
	*hidden = *t
	st.hidden[t] = hidden
	meta.RawSetString("__index", hidden)
	meta.RawSetString("__newindex", st.L.NewFunction(func(L *lua.LState) int {
		if !open || hidden.RawGet(L.Get(2)) != lua.LNil || L.Get(1) != lua.LValue(t) {
			L.RaiseError("%s", st.sharedError(L.Get(2)))
		}
		t.RawSet(L.CheckAny(2), L.Get(3))
		return 0
	}))
	meta.RawSetString("__metatable", lua.LFalse)
	*t = lua.LTable{Metatable: meta}
}
