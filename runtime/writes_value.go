package runtime

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// value is what a register or a variable may hold. The zero value stands for what can do
// no harm: nil, strings, numbers, functions of the libraries that only read.
type value struct {
	loaded   bool // some table of the load, or anything found in one
	fresh    bool // a table made while a request runs
	object   bool // a request or another object with methods in Go
	callable bool // some Lua function
	goFunc   bool // some Go function that may store into its arguments
	many     bool // more than one known thing was joined: known is nil from then on

	known lua.LValue // exactly this table, function or userdata of the load
	made  *function  // exactly this closure, made while a request runs
}

// known is the value for v, which exists since the load.
func (s *writeSearch) known(v lua.LValue) value {
	switch t := v.(type) {
	case *lua.LTable:
		return value{known: v}
	case *lua.LFunction:
		s.function(t)
		return value{known: v}
	case *lua.LUserData:
		return value{object: true, goFunc: true}
	case *lua.LState:
		return value{object: true}
	}
	return value{}
}

// join adds what src may be to dst and reports whether dst grew.
func (s *writeSearch) join(dst *value, src value) bool {
	old := *dst
	if src.known != nil || src.made != nil {
		switch {
		case dst.many:
			s.spread(dst, src)
		case dst.known == nil && dst.made == nil:
			dst.known, dst.made = src.known, src.made
		case dst.known != src.known || dst.made != src.made:
			s.spread(dst, *dst)
			s.spread(dst, src)
			dst.known, dst.made, dst.many = nil, nil, true
		}
	}
	dst.loaded = dst.loaded || src.loaded
	dst.fresh = dst.fresh || src.fresh
	dst.object = dst.object || src.object
	dst.callable = dst.callable || src.callable
	dst.goFunc = dst.goFunc || src.goFunc
	if src.many && !dst.many {
		s.spread(dst, *dst)
		dst.known, dst.made, dst.many = nil, nil, true
	}
	return *dst != old
}

// grow is join for what the search keeps from round to round.
func (s *writeSearch) grow(dst *value, src value) {
	if s.join(dst, src) {
		s.grown = true
	}
}

// spread turns exactly known things into kinds.
func (s *writeSearch) spread(dst *value, src value) {
	if src.made != nil {
		dst.callable = true
	}
	switch t := src.known.(type) {
	case *lua.LTable:
		dst.loaded = true
	case *lua.LFunction:
		if t.IsG {
			dst.goFunc = dst.goFunc || s.mayStore(t)
		} else {
			dst.callable = true
		}
	}
}

// isLoaded reports whether v may be a table that exists since the load.
func (v value) isLoaded() bool {
	_, table := v.known.(*lua.LTable)
	return v.loaded || table
}

func (v value) isFunction() bool {
	_, fn := v.known.(*lua.LFunction)
	return fn || v.callable || v.goFunc || v.made != nil || v.loaded
}

// contents is what may be read out of v with a key that is not known here.
func (s *writeSearch) contents(v value) value {
	out := s.unknownContents(v)
	if t, ok := v.known.(*lua.LTable); ok {
		s.join(&out, s.tableContents(t, true))
	}
	return out
}

// unknownContents is contents but for a known table.
func (s *writeSearch) unknownContents(v value) value {
	var out value
	if v.fresh {
		s.join(&out, s.stored)
	}
	if v.loaded {
		s.join(&out, value{loaded: true, callable: true, goFunc: s.storesInGo})
	}
	out.object = out.object || v.object
	return out
}

// tableContents joins what a table of the load holds, and what its metatable adds.
// Without meta the fields that begin with __ are left out.
func (s *writeSearch) tableContents(t *lua.LTable, meta bool) value {
	s.walk(t)
	var out value
	for range 20 {
		eachInOrder(t, func(k, item lua.LValue) {
			if name, ok := k.(lua.LString); ok && !meta && strings.HasPrefix(string(name), "__") {
				return
			}
			s.join(&out, s.known(item))
		})
		mt, ok := t.Metatable.(*lua.LTable)
		if !ok {
			return out
		}
		index := mt.RawGetString("__index")
		if t, ok = index.(*lua.LTable); !ok {
			if index != lua.LNil {
				s.join(&out, value{loaded: true, fresh: true, callable: true})
			}
			return out
		}
	}
	return out
}

// field is what v[name] may be.
func (s *writeSearch) field(v value, name string) value {
	out := s.unknownContents(v)
	if strings.HasPrefix(name, "__") && v.fresh {
		s.join(&out, value{loaded: true, callable: true})
	}
	if v.object && strings.HasPrefix(name, "add_filter") {
		out.goFunc = true // Lua methods of the filter will be called
	}
	if v.object && v.goFunc {
		out.goFunc = true
	}
	if t, ok := v.known.(*lua.LTable); ok {
		if item, decided := lookup(t, name); !decided {
			s.join(&out, s.tableContents(t, true))
			s.join(&out, value{loaded: t != s.st.base, fresh: true, callable: true})
		} else if item != nil {
			s.join(&out, s.known(item))
		}
	}
	return out
}

// setMetatable is what setmetatable(of, mt) does to of, a table of a request: its fields
// may be found in mt.__index from now on.
func (s *writeSearch) setMetatable(mt value) {
	if mt.loaded {
		s.grow(&s.stored, value{loaded: true, callable: true})
	}
	if mt.fresh {
		s.grow(&s.stored, s.returned)
	}
	t, ok := mt.known.(*lua.LTable)
	if !ok {
		return
	}
	s.walk(t)
	switch index := t.RawGetString("__index").(type) {
	case *lua.LTable:
		s.grow(&s.stored, s.tableContents(index, false))
	case *lua.LFunction:
		s.grow(&s.stored, s.returned)
		s.grow(&s.stored, value{loaded: true, callable: true})
	}
}
