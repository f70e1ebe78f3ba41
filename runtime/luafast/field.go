package luafast

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// keep returns what Lua may keep of v for longer than the call: v itself, and a copy where
// the memory of a string is used again.
func (m *Machine) keep(v lua.LValue) lua.LValue {
	switch v.(type) {
	case *lua.LUserData:
		m.escaped = true
	case lua.LString:
		if m.texts.used > 0 {
			return m.texts.keep(v)
		}
	}
	return v
}

// keepAll has a list of values kept.
func (m *Machine) keepAll(list []lua.LValue) {
	for i, v := range list {
		list[i] = m.keep(v)
	}
}

// field reads the field of an object that the instruction names.
func (m *Machine) field(in *instruction, object lua.LValue) (lua.LValue, bool) {
	switch o := object.(type) {
	case *lua.LTable:
		if v := o.RawGetString(in.seen.key); !isNil(v) {
			return v, true
		}
	case *lua.LUserData:
		if !in.recognise(m, o) {
			return nil, false
		}
		seen := in.seen
		if seen.method != nil {
			return seen.method, true
		}
		switch o {
		case seen.parents[0]:
			return seen.parts[0], true
		case seen.parents[1]:
			return seen.parts[1], true
		}
		m.inLeaf = true
		var v lua.LValue
		switch {
		case seen.field.Same:
			v = seen.field.Get(o.Value)
			seen.parents[1], seen.parts[1] = seen.parents[0], seen.parts[0]
			seen.parents[0], seen.parts[0] = o, v
		case seen.field.Get != nil:
			v = seen.field.Get(o.Value)
		case !seen.known && seen.object.Index != nil:
			v = seen.object.Index(o.Value, in.kc)
		}
		m.inLeaf = false
		return v, v != nil
	}
	return m.index(object, in.kc)
}

// recognise looks up what the name in the instruction means for an object, and reports
// whether the object is one that the machine knows and that is not over.
func (in *instruction) recognise(m *Machine, u *lua.LUserData) bool {
	mt, _ := u.Metatable.(*lua.LTable)
	if mt == nil || u.Value == nil {
		return false
	}
	return mt == in.seen.metatable || in.learn(m, mt)
}

func (in *instruction) learn(m *Machine, mt *lua.LTable) bool {
	o := m.objects[mt]
	if o == nil {
		return false
	}
	key := in.seen.key
	*in.seen = cache{metatable: mt, object: o, key: key}
	if fn := o.Methods[key]; fn != nil {
		in.seen.method = fn
	} else {
		in.seen.field, in.seen.known = o.Fields[key]
	}
	return true
}

// setField writes the field of an object with the name key.
func (m *Machine) setField(in *instruction, object, key, value lua.LValue) bool {
	u, ok := object.(*lua.LUserData)
	if !ok {
		return m.store(object, key, value)
	}
	if name, _ := key.(lua.LString); string(name) != in.seen.key {
		*in.seen = cache{key: string(name)}
	}
	if !in.recognise(m, u) || in.seen.method != nil {
		return false
	}
	seen := in.seen
	m.inLeaf = true
	done := true
	switch {
	case seen.field.Set != nil:
		seen.field.Set(u.Value, value)
	case !seen.known && seen.object.NewIndex != nil:
		seen.object.NewIndex(u.Value, key, value)
	default:
		done = false
	}
	m.inLeaf = false
	return done
}

// maxChain is how many metatables are followed, one behind the other.
const maxChain = 10

// index does what object[key] does, as long as no function has to be called for it.
func (m *Machine) index(object, key lua.LValue) (lua.LValue, bool) {
	for range maxChain {
		table, isTable := object.(*lua.LTable)
		var next lua.LValue = lua.LNil
		if isTable {
			if v := table.RawGet(key); !isNil(v) {
				return v, true
			}
			if mt, ok := table.Metatable.(*lua.LTable); ok {
				next = mt.RawGetString("__index")
			}
			if isNil(next) {
				return lua.LNil, true
			}
		} else if u, ok := object.(*lua.LUserData); ok {
			return m.indexObject(u, key)
		} else {
			next = m.L.GetMetaField(object, "__index")
		}
		switch next := next.(type) {
		case *lua.LTable:
			object = next
		case *lua.LFunction:
			if m.leaves[next].kind == LeafAny {
				return m.callIndex(next, object, key)
			}
			return nil, false
		default:
			return nil, false
		}
	}
	return nil, false
}

// Method looks for the Lua function object[name]. It returns nil where there is nothing, and
// false where it can only be found by calling a function, or is no Lua function.
func Method(object lua.LValue, name lua.LString) (method *lua.LFunction, ok bool) {
	for range maxChain {
		table, ok := object.(*lua.LTable)
		if !ok {
			return nil, false
		}
		if v := table.RawGetString(string(name)); !isNil(v) {
			fn, ok := v.(*lua.LFunction)
			return fn, ok && !fn.IsG
		}
		metatable, ok := table.Metatable.(*lua.LTable)
		if !ok {
			return nil, isNil(table.Metatable)
		}
		object = metatable.RawGetString("__index")
		if isNil(object) {
			return nil, true
		}
	}
	return nil, false
}

// indexObject does what object[key] does.
func (m *Machine) indexObject(u *lua.LUserData, key lua.LValue) (lua.LValue, bool) {
	in := instruction{kc: key, seen: &cache{}}
	if name, ok := key.(lua.LString); ok {
		in.seen.key = string(name)
	}
	return m.field(&in, u)
}

func (m *Machine) storeInObject(object, key, value lua.LValue) bool {
	u, ok := object.(*lua.LUserData)
	if !ok {
		return false
	}
	return m.setField(&instruction{seen: &cache{}}, u, key, value)
}

// callIndex calls a leaf function that is an __index.
func (m *Machine) callIndex(fn *lua.LFunction, object, key lua.LValue) (lua.LValue, bool) {
	m.inLeaf = true
	m.L.Push(object)
	m.L.Push(key)
	n := fn.GFunction(m.L)
	m.inLeaf = false
	v := lua.LNil
	if n > 0 {
		v = m.L.Get(-n)
	}
	m.L.SetTop(0)
	return v, n >= 0
}

// store does what object[key] = value does, as long as no function has to be called for it.
func (m *Machine) store(object, key, value lua.LValue) bool {
	if isNil(key) {
		return false
	}
	if x, ok := key.(lua.LNumber); ok && math.IsNaN(float64(x)) {
		return false
	}
	for range maxChain {
		table, ok := object.(*lua.LTable)
		if !ok {
			return m.storeInObject(object, key, value)
		}
		mt, _ := table.Metatable.(*lua.LTable)
		if mt != nil && isNil(table.RawGet(key)) {
			if next := mt.RawGetString("__newindex"); !isNil(next) {
				object = next
				continue
			}
		}
		table.RawSet(m.keep(key), m.keep(value))
		return true
	}
	return false
}
