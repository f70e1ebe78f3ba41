package runtime

import (
	lua "github.com/yuin/gopher-lua"
)

// variables: upvalues, globals, arguments, and the locals that closures share.

func (f *functionScan) upvalue(i int) value {
	if u := f.fn.upvalues[i]; u.cell != nil {
		return *u.cell
	} else if u.loaded != nil {
		return f.known(u.loaded)
	}
	return value{}
}

func (f *functionScan) varargs() value {
	var out value
	for i := int(f.fn.proto.NumParameters); i < len(f.fn.params); i++ {
		f.join(&out, f.param(f.fn, i))
	}
	return out
}

// global: names that the state's own global table has are there since the load; REQ and
// the handlers' own globals are kept in tables of the request.
func (f *functionScan) global(name string) value {
	if f.fn.env != nil {
		return f.field(f.known(f.fn.env), name)
	}
	v := f.st.base.RawGetString(name)
	if v == lua.LNil {
		return value{fresh: name == reqGlobal}.with(f.writeSearch, f.stored)
	}
	out := f.known(v)
	if f.globals[name] {
		f.join(&out, f.stored)
	}
	return out
}

func (v value) with(s *writeSearch, more value) value {
	s.join(&v, more)
	return v
}

func (f *functionScan) setGlobal(name string, v value) {
	if f.fn.env != nil {
		f.report()
	}
	if !f.globals[name] {
		f.globals[name], f.grown = true, true
	}
	f.grow(&f.stored, v)
}

// closure returns the function that a CLOSURE instruction makes.
func (f *functionScan) closure(pc int) *function {
	if child := f.fn.children[pc]; child != nil {
		return child
	}
	child := f.newFunction(f.fn.proto.FunctionPrototypes[argBx(f.code[pc])])
	child.env = f.fn.env
	f.fn.children[pc] = child
	return child
}

// linkClosure gives a closure its upvalues: those of the function around, or its locals.
func (f *functionScan) linkClosure(pc int) {
	child := f.closure(pc)
	for i := range child.upvalues {
		inst := f.code[pc+1+i]
		r := argB(inst)
		if opCode(inst) == lua.OP_GETUPVAL {
			child.upvalues[i] = f.fn.upvalues[r]
			continue
		}
		if f.fn.cells[r] == nil {
			f.fn.cells[r] = &value{}
			f.grown = true
		}
		f.captured(r)
		child.upvalues[i].cell = f.fn.cells[r]
	}
}
