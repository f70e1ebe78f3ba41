package bindings

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// environmentObject is vr.env.
var environmentObject = &runtime.Object{
	Name: "environment",
	Doc:  "The environment that backends are given in addition to the CGI variables. Entries are read and written like those of a table, unless they have the name of a method.",
	Methods: []runtime.Method{
		{Name: "get", Args: "name: string", Returns: "string|nil", Doc: "Returns an entry, nil when there is none.", Run: envGet, Leaf: true},
		{Name: "set", Args: "name: string, value: string|nil", Doc: "Sets an entry; nil removes it.", Run: envSet, Leaf: true},
		{Name: "unset", Args: "name: string", Doc: "Removes an entry.", Run: envUnset, Leaf: true},
		{Name: "weak_set", Args: "name: string, value: string", Doc: "Sets an entry unless there is one.", Run: envWeakSet, Leaf: true},
		{Name: "pairs", Returns: "function", Doc: "Iterates over all entries: for name, value in env:pairs() do.", Run: envPairs},
		{Name: "clear", Doc: "Removes all entries.", Run: envClear, Leaf: true},
	},
	Index: func(c *runtime.Call, self any, key lua.LValue) lua.LValue {
		return envLookup(c, self.(*runtime.Environment), key)
	},
	NewIndex: func(c *runtime.Call, self any, key, value lua.LValue) {
		envStore(c, self.(*runtime.Environment), key, value)
	},
	Leaf: true,
}

func envLookup(c *runtime.Call, e *runtime.Environment, key lua.LValue) lua.LValue {
	if name, ok := textOf(key); ok {
		if v, ok := e.Lookup(name); ok {
			return c.Text(v)
		}
	}
	return lua.LNil
}

// envStore sets or removes an entry. A value that is no text changes nothing.
func envStore(c *runtime.Call, e *runtime.Environment, key, value lua.LValue) {
	c.Guard("vr.env")
	name, ok := textOf(key)
	if !ok {
		return
	}
	if value == lua.LNil {
		e.Unset(name)
		return
	}
	text, ok := textOf(value)
	if !ok {
		return
	}
	if strings.IndexByte(name+text, 0) >= 0 {
		c.Errorf("the environment entry %q has a NUL in it", name)
	}
	e.Set(name, text)
}

func envGet(c *runtime.Call, self any) int {
	checkAny(c, 2)
	return push(c, envLookup(c, self.(*runtime.Environment), c.L.Get(2)))
}

func envSet(c *runtime.Call, self any) int {
	checkAny(c, 3)
	envStore(c, self.(*runtime.Environment), c.L.Get(2), c.L.Get(3))
	return 0
}

func envUnset(c *runtime.Call, self any) int {
	checkAny(c, 2)
	envStore(c, self.(*runtime.Environment), c.L.Get(2), lua.LNil)
	return 0
}

func envWeakSet(c *runtime.Call, self any) int {
	checkAny(c, 3)
	e, key, value := self.(*runtime.Environment), c.L.Get(2), c.L.Get(3)
	if value != lua.LNil && envLookup(c, e, key) == lua.LNil {
		envStore(c, e, key, value)
	}
	return 0
}

// envPairs iterates over the entries as they are when it is called.
func envPairs(c *runtime.Call, self any) int {
	entries := slices.Clone(self.(*runtime.Environment).Entries())
	return push(c, c.Func(func(c *runtime.Call) int {
		if len(entries) == 0 {
			return push(c, lua.LNil)
		}
		e := entries[0]
		entries = entries[1:]
		return push(c, lua.LString(e.Name), lua.LString(e.Value))
	}))
}

func envClear(c *runtime.Call, self any) int {
	c.Guard("vr.env")
	self.(*runtime.Environment).Clear()
	return 0
}
