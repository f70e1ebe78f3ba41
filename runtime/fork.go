package runtime

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// A state is forked the way a pre-forking server's workers are: the script runs once, and
// each further state starts with a deep copy of the tables, metatables and closures that
// the pipeline can reach. A copied closure shares the immutable prototype; upvalues that
// closures share stay shared; built-ins are those of the new state; handles of actions
// and conditions are immutable and shared.

// copier copies Lua values from one state into another.
type copier struct {
	to       *state
	tables   map[*lua.LTable]*lua.LTable
	funcs    map[*lua.LFunction]*lua.LFunction
	data     map[*lua.LUserData]*lua.LUserData
	upvalues map[*lua.Upvalue]*lua.Upvalue
}

// fork makes a new state with a copy of what roots reach in from.
func (from *state) fork(roots []lua.LValue) *state {
	to := newState(from.heap)
	to.builder = from.builder.forState(to)
	c := &copier{
		to:       to,
		tables:   map[*lua.LTable]*lua.LTable{},
		funcs:    map[*lua.LFunction]*lua.LFunction{},
		data:     map[*lua.LUserData]*lua.LUserData{},
		upvalues: map[*lua.Upvalue]*lua.Upvalue{},
	}
	for i, b := range from.builtins {
		switch v := b.(type) {
		case *lua.LTable:
			c.tables[v] = to.builtins[i].(*lua.LTable)
		case *lua.LFunction:
			c.funcs[v] = to.builtins[i].(*lua.LFunction)
		case *lua.LUserData:
			c.data[v] = to.builtins[i].(*lua.LUserData)
		}
	}
	// a script may have changed built-in tables: string.mine = …, _G.x = …
	for _, b := range from.builtins {
		if t, ok := b.(*lua.LTable); ok && t != from.envMeta {
			c.fill(c.tables[t], t)
		}
	}
	to.roots = make([]lua.LValue, len(roots))
	for i, v := range roots {
		to.roots[i] = c.value(v)
	}
	return to
}

// fill makes dst, a table that both states have, equal to src.
func (c *copier) fill(dst, src *lua.LTable) {
	var gone []lua.LValue
	dst.ForEach(func(k, _ lua.LValue) {
		if src.RawGet(k) == lua.LNil {
			gone = append(gone, k)
		}
	})
	for _, k := range gone {
		dst.RawSet(k, lua.LNil)
	}
	src.ForEach(func(k, v lua.LValue) { dst.RawSet(c.value(k), c.value(v)) })
	dst.Metatable = c.value(src.Metatable)
}

func (c *copier) value(v lua.LValue) lua.LValue {
	switch v := v.(type) {
	case *lua.LTable:
		return c.table(v)
	case *lua.LFunction:
		return c.function(v)
	case *lua.LUserData:
		return c.userdata(v)
	}
	return v
}

func (c *copier) table(t *lua.LTable) *lua.LTable {
	if t == nil {
		return nil
	}
	if done := c.tables[t]; done != nil {
		return done
	}
	out := c.to.L.CreateTable(t.Len(), 0)
	c.tables[t] = out
	t.ForEach(func(k, v lua.LValue) { out.RawSet(c.value(k), c.value(v)) })
	out.Metatable = c.value(t.Metatable)
	return out
}

func (c *copier) function(f *lua.LFunction) *lua.LFunction {
	if done := c.funcs[f]; done != nil {
		return done
	}
	out := &lua.LFunction{IsG: f.IsG, Proto: f.Proto, GFunction: f.GFunction, Upvalues: make([]*lua.Upvalue, len(f.Upvalues))}
	c.funcs[f] = out
	out.Env = c.table(f.Env)
	for i, u := range f.Upvalues {
		out.Upvalues[i] = c.upvalue(u)
	}
	return out
}

func (c *copier) upvalue(u *lua.Upvalue) *lua.Upvalue {
	if done := c.upvalues[u]; done != nil {
		return done
	}
	out := &lua.Upvalue{}
	c.upvalues[u] = out
	out.SetValue(c.value(u.Value()))
	return out
}

func (c *copier) userdata(u *lua.LUserData) *lua.LUserData {
	if done := c.data[u]; done != nil {
		return done
	}
	out := &lua.LUserData{Value: u.Value, Env: c.table(u.Env)}
	c.data[u] = out
	out.Metatable = c.value(u.Metatable)
	return out
}

// collectBuiltins lists every table, function and userdata that a fresh state has, in an
// order that depends only on names, so that the lists of two states match item by item.
func (st *state) collectBuiltins() []lua.LValue {
	w := &builtinWalk{seen: map[lua.LValue]bool{}}
	w.visit(st.base)
	w.visit(st.env)
	w.visit(st.metas)
	w.visit(st.L.G.Registry)
	w.visit(st.L.GetMetatable(lua.LString("")))
	return w.list
}

type builtinWalk struct {
	seen map[lua.LValue]bool
	list []lua.LValue
}

func (w *builtinWalk) visit(v lua.LValue) {
	switch v.(type) {
	case *lua.LTable, *lua.LFunction, *lua.LUserData:
	default:
		return
	}
	if w.seen[v] {
		return
	}
	w.seen[v] = true
	w.list = append(w.list, v)
	switch v := v.(type) {
	case *lua.LTable:
		var keys []string
		v.ForEach(func(k, _ lua.LValue) {
			if s, ok := k.(lua.LString); ok {
				keys = append(keys, string(s))
			}
		})
		slices.Sort(keys)
		for _, k := range keys {
			w.visit(v.RawGetString(k))
		}
		v.ForEach(func(k, item lua.LValue) {
			if _, ok := k.(lua.LNumber); ok {
				w.visit(item)
			}
		})
		w.visit(v.Metatable)
	case *lua.LFunction:
		for _, u := range v.Upvalues {
			w.visit(u.Value())
		}
	case *lua.LUserData:
		w.visit(v.Metatable)
	}
}

// canFork reports whether everything that roots reach can be copied; a coroutine cannot.
func canFork(roots []lua.LValue) bool {
	w := &builtinWalk{seen: map[lua.LValue]bool{}}
	threads := false
	var walk func(v lua.LValue)
	walk = func(v lua.LValue) {
		switch t := v.(type) {
		case *lua.LState:
			threads = true
		case *lua.LTable:
			if w.seen[v] {
				return
			}
			w.seen[v] = true
			t.ForEach(func(k, item lua.LValue) { walk(k); walk(item) })
			walk(t.Metatable)
		case *lua.LFunction:
			if w.seen[v] {
				return
			}
			w.seen[v] = true
			for _, u := range t.Upvalues {
				walk(u.Value())
			}
		}
	}
	for _, v := range roots {
		walk(v)
	}
	return !threads
}
