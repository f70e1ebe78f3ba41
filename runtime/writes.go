package runtime

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A script whose handlers write to variables that exist since it was loaded expects one
// heap: local n = 0, counted up by a handler, must count. loadTimeWrite looks for such a
// write in the compiled code of all functions that requests can reach.
//
// It follows values: what may a register hold, an argument, a result, a local variable
// that closures share? All of this only grows, and the functions are read again until
// nothing grows any more. What has been stored into any table that was made while a
// request ran is kept in one place (stored): whoever reads from one such table may get
// anything that went into another. So a write may be found where none happens, which
// costs parallelism, never correctness.

// writeSearch is one search through a loaded heap.
type writeSearch struct {
	st        *state
	seen      map[lua.LValue]bool
	loaded    map[*lua.LFunction]*function
	functions []*function
	globals   map[string]bool // names that handlers assign to
	found     *Pos
	here      Pos  // the instruction that is being read
	grown     bool // something became known in this round

	stored   value         // what may be in tables, REQ and globals of requests
	returned value         // what any function may return, or yield
	thrown   value         // error values
	anyArg   value         // what Go code may hand to a function at any place
	anyArgs  [maxArg]value // what calls of unknown functions hand over, by place

	metaOps    bool // there are metamethods of operators: + may return a table
	storesInGo bool // tables of the script hold Go functions that may store
}

// maxArg bounds the arguments that are told apart; the last place stands for the rest.
const maxArg = 16

// function is a closure: one of the loaded heap, or what a CLOSURE instruction makes.
type function struct {
	proto    *lua.FunctionProto
	env      lua.LValue     // a table that setfenv gave it while loading, else nil
	params   []value        // by place; those behind the named ones are its varargs
	upvalues []upvalue      //
	cells    map[int]*value // its local variables that closures captured, by register
	children map[int]*function
	result   value
}

// upvalue is a variable of a function around: one of the load, or a local of a function
// that runs for a request.
type upvalue struct {
	loaded lua.LValue
	cell   *value
}

// loadTimeWrite returns the place of a write to load-time state, nil when there is none.
func (st *state) loadTimeWrite(roots []lua.LValue) *Pos {
	s := &writeSearch{st: st, seen: map[lua.LValue]bool{}, loaded: map[*lua.LFunction]*function{}, globals: map[string]bool{}}
	for _, root := range roots {
		s.walk(root)
	}
	for s.grown = true; s.grown && s.found == nil; {
		s.grown = false
		for _, root := range roots {
			s.enter(root)
		}
		for i := 0; i < len(s.functions) && s.found == nil; i++ {
			newFunctionScan(s, s.functions[i]).run()
		}
	}
	return s.found
}

// enter hands over what the pipeline does: a handler is called with the request, a filter
// class as class:new(vr), its object as object:handle(vr, out, in).
func (s *writeSearch) enter(root lua.LValue) {
	request := value{object: true}
	switch t := root.(type) {
	case *lua.LFunction:
		s.callFunction(s.function(t), []value{request})
	case *lua.LTable:
		call := func(name string, args ...value) value {
			fn, _ := lookup(t, name)
			if fn == nil {
				return value{}
			}
			return s.callValue(s.known(fn), args)
		}
		self := call("new", s.known(t), request)
		call("handle", self, request, request, request)
		call("finished", self)
	}
}

// walk lists the functions that a value of the load leads to.
func (s *writeSearch) walk(v lua.LValue) {
	switch t := v.(type) {
	case *lua.LTable:
		if s.seen[v] {
			return
		}
		s.seen[v] = true
		eachInOrder(t, func(k, item lua.LValue) { s.walk(k); s.walkItem(k, item) })
		s.walk(t.Metatable)
	case *lua.LFunction:
		s.function(t)
	}
}

// walkItem looks at one item of a table. Metamethods are called without a call in the
// code, with objects of the load among others.
func (s *writeSearch) walkItem(k, item lua.LValue) {
	s.walk(item)
	fn, ok := item.(*lua.LFunction)
	if !ok {
		return
	}
	if fn.IsG {
		s.storesInGo = s.storesInGo || s.mayStore(fn)
		return
	}
	if name, ok := k.(lua.LString); ok && strings.HasPrefix(string(name), "__") {
		s.metaOps = true
		f := s.function(fn)
		for i := range f.params {
			s.grow(&f.params[i], value{loaded: true, callable: true})
		}
	}
}

// function returns what is known of a function of the load, nil for one in Go.
func (s *writeSearch) function(fn *lua.LFunction) *function {
	if fn.IsG {
		return nil
	}
	if f := s.loaded[fn]; f != nil {
		return f
	}
	f := s.newFunction(fn.Proto)
	s.loaded[fn] = f
	if fn.Env != s.st.env {
		f.env = fn.Env
		s.walk(fn.Env)
	}
	for i, u := range fn.Upvalues {
		f.upvalues[i] = upvalue{loaded: u.Value()}
		s.walk(u.Value())
	}
	return f
}

func (s *writeSearch) newFunction(proto *lua.FunctionProto) *function {
	f := &function{
		proto: proto, params: make([]value, max(int(proto.NumParameters), maxArg)+1), upvalues: make([]upvalue, proto.NumUpvalues),
		cells: map[int]*value{}, children: map[int]*function{},
	}
	s.functions = append(s.functions, f)
	s.grown = true
	return f
}

// param is what a function may find at place i of its arguments.
func (s *writeSearch) param(f *function, i int) value {
	v := s.anyArg
	s.join(&v, f.params[min(i, len(f.params)-1)])
	s.join(&v, s.anyArgs[min(i, maxArg-1)])
	return v
}

// lookup reads a field the way Lua does, as far as tables go. It returns false when a
// function decides, nil when there is nothing.
func lookup(v lua.LValue, name string) (lua.LValue, bool) {
	for range 20 {
		t, ok := v.(*lua.LTable)
		if !ok {
			return nil, v == nil || v == lua.LNil
		}
		if item := t.RawGetString(name); item != lua.LNil {
			return item, true
		}
		meta, ok := t.Metatable.(*lua.LTable)
		if !ok {
			return nil, true
		}
		v = meta.RawGetString("__index")
	}
	return nil, false
}
