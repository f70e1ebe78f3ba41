package runtime

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A state is forked the way a pre-forking server's workers are: the script runs once, and
// each further state starts with a deep copy of the tables, metatables and closures that
// the pipeline can reach. A copied closure shares the immutable prototype; upvalues that
// closures share stay shared; built-ins are those of the new state; handles of actions
// and conditions are immutable and shared.

// copier copies Lua values from one state into another.
type copier struct {
	from, to *state
	tables   map[*lua.LTable]*lua.LTable
	funcs    map[*lua.LFunction]*lua.LFunction
	data     map[*lua.LUserData]*lua.LUserData
	upvalues map[*lua.Upvalue]*lua.Upvalue
}

// fork makes a new state with a copy of what roots reach in from.
func (from *state) fork(roots []lua.LValue) *state {
	to := newState(from.heap)
	to.builder, to.view.changed = from.builder.forState(to), from.view.changed
	c := &copier{
		from:     from,
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
	for _, of := range []lua.LValue{lua.LNil, lua.LTrue, lua.LNumber(0), lua.LString(""), from.L, from.newGlobal} {
		c.typeMetatable(of)
	}
	to.roots = make([]lua.LValue, len(roots))
	for i, v := range roots {
		to.roots[i] = c.value(v)
	}
	return to
}

// typeMetatable copies the metatable that all values of a type share: debug.setmetatable
// gives one to nil, numbers and the like.
func (c *copier) typeMetatable(of lua.LValue) {
	mt, ok := c.from.L.GetMetatable(of).(*lua.LTable)
	switch {
	case ok:
		c.to.L.SetMetatable(of, c.table(mt))
	case c.to.L.GetMetatable(of) != lua.LNil: // the script took it away
		c.to.L.SetMetatable(of, lua.LNil)
	}
}

// fill makes dst, a table that both states have, equal to src.
func (c *copier) fill(dst, src *lua.LTable) {
	filled := c.to.L.NewTable()
	c.copyItems(filled, src)
	filled.Metatable = c.value(src.Metatable)
	*dst = *filled
}

// copyItems sets what src holds in the order in which pairs() goes through it, so that it
// is the same order in all states.
func (c *copier) copyItems(dst, src *lua.LTable) {
	eachInOrder(src, func(k, v lua.LValue) { dst.RawSet(c.value(k), c.value(v)) })
}

// eachInOrder goes through a table as pairs() does. ForEach goes through a Go map.
func eachInOrder(t *lua.LTable, f func(k, v lua.LValue)) {
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		f(k, v)
	}
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
	c.copyItems(out, t)
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
	w := &builtinWalk{seen: map[lua.LValue]bool{}, names: map[*lua.LFunction]string{}}
	w.visit(st.base, "")
	w.visit(st.env, "")
	w.visit(st.metas, "metatables.")
	w.visit(st.L.G.Registry, "registry.")
	w.visit(st.L.GetMetatable(lua.LString("")), "")
	st.names = w.names
	return w.list
}

type builtinWalk struct {
	seen  map[lua.LValue]bool
	list  []lua.LValue
	names map[*lua.LFunction]string // print, table.insert
}

// visit lists v, which has the name path, and what is in it.
func (w *builtinWalk) visit(v lua.LValue, path string) {
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
		w.visitTable(v, path)
	case *lua.LFunction:
		w.names[v] = strings.TrimPrefix(path, "package.loaded.") // where the walk meets string and table first
		for _, u := range v.Upvalues {
			w.visit(u.Value(), path+" upvalue")
		}
	case *lua.LUserData:
		w.visit(v.Metatable, path+" metatable")
	}
}

func (w *builtinWalk) visitTable(t *lua.LTable, path string) {
	if path != "" {
		path += "."
	}
	var keys []string
	t.ForEach(func(k, _ lua.LValue) {
		if s, ok := k.(lua.LString); ok {
			keys = append(keys, string(s))
		}
	})
	slices.Sort(keys)
	for _, k := range keys {
		w.visit(t.RawGetString(k), path+k)
	}
	t.ForEach(func(k, item lua.LValue) {
		if _, ok := k.(lua.LNumber); ok {
			w.visit(item, path+"#")
		}
	})
	w.visit(t.Metatable, path+" metatable")
}

// canFork reports whether everything that roots reach can be copied. A coroutine cannot,
// and neither can a Go value that may change, such as an open file: the copies would share
// it without a lock. What the state brought along (builtins) each state has for itself.
func (st *state) canFork(roots []lua.LValue) bool {
	seen := make(map[lua.LValue]bool, len(st.builtins))
	for _, b := range st.builtins {
		seen[b] = true
	}
	ok := true
	var walk func(v lua.LValue)
	walk = func(v lua.LValue) {
		switch v.(type) {
		case *lua.LTable, *lua.LFunction, *lua.LUserData:
			if seen[v] {
				return
			}
			seen[v] = true
		}
		switch t := v.(type) {
		case *lua.LState, lua.LChannel:
			ok = false
		case *lua.LTable:
			t.ForEach(func(k, item lua.LValue) { walk(k); walk(item) })
			walk(t.Metatable)
		case *lua.LFunction:
			for _, u := range t.Upvalues {
				walk(u.Value())
			}
		case *lua.LUserData:
			ok = ok && (immutable(t.Value) || st.isConcurrent(t))
			walk(t.Metatable)
		}
	}
	for _, v := range roots {
		walk(v)
	}
	for _, b := range st.builtins { // what the script put into them is copied too
		if t, isTable := b.(*lua.LTable); isTable {
			t.ForEach(func(_, item lua.LValue) { walk(item) })
		}
	}
	return ok
}

// immutable reports whether a Go value behind a Lua object never changes.
func immutable(v any) bool {
	switch v.(type) {
	case nil, string, *Node, *Condition, *LValue, *lvalueDef, *accessor, *Object, setupDone, error:
		return true
	}
	return false
}
