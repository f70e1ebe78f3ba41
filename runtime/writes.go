package runtime

import (
	lua "github.com/yuin/gopher-lua"
)

// A script whose handlers write to variables that exist since it was loaded expects one
// heap: local n = 0, counted up by a handler, must count. loadTimeWrite finds such a
// write in the compiled code: an assignment to an upvalue, a store into a table that an
// upvalue or a global of the state holds, or such a table handed to a function that may
// store into it. It may find a write where none happens, which costs parallelism, never
// correctness.

// instruction fields of gopher-lua's virtual machine
func opCode(inst uint32) int { return int(inst >> 26) }
func argA(inst uint32) int   { return int(inst>>18) & 0xff }
func argB(inst uint32) int   { return int(inst & 0x1ff) }
func argC(inst uint32) int   { return int(inst>>9) & 0x1ff }
func argBx(inst uint32) int  { return int(inst & 0x3ffff) }

const constantBit = 1 << 8

// readers are the library functions that take a table and leave it as it is.
var readers = map[string]bool{
	"pairs": true, "ipairs": true, "next": true, "type": true, "tostring": true, "tonumber": true,
	"unpack": true, "select": true, "rawget": true, "rawequal": true, "getmetatable": true,
	"print": true, "error": true, "assert": true, "concat": true, "maxn": true, "setmetatable": true,
}

// origin says where the value in a register came from.
type origin uint8

const (
	fresh  origin = iota // made by the running function
	loaded               // held by an upvalue or a global that exists since the load
	param                // an argument of the function, or a part of one
)

// register is what is known of the value in one register.
type register struct {
	origin origin
	param  int        // index of the argument, for origin param
	value  lua.LValue // the value itself where the loaded heap tells it, else nil
	reader bool       // a library function that does not change its arguments
	local  bool       // an upvalue that is a local variable of the function around
}

// writeSearch looks through the functions that the pipeline reaches.
type writeSearch struct {
	st     *state
	seen   map[lua.LValue]bool
	found  *Pos
	stores map[*lua.FunctionProto][]bool // which arguments a function may store into
}

// loadTimeWrite returns the place of a write to load-time state, nil when there is none.
func (st *state) loadTimeWrite(roots []lua.LValue) *Pos {
	s := &writeSearch{st: st, seen: map[lua.LValue]bool{}, stores: map[*lua.FunctionProto][]bool{}}
	for _, v := range roots {
		s.walk(v)
	}
	return s.found
}

func (s *writeSearch) walk(v lua.LValue) {
	switch t := v.(type) {
	case *lua.LTable:
		if s.seen[v] {
			return
		}
		s.seen[v] = true
		t.ForEach(func(k, item lua.LValue) { s.walk(k); s.walk(item) })
		s.walk(t.Metatable)
	case *lua.LFunction:
		if s.seen[v] {
			return
		}
		s.seen[v] = true
		for _, u := range t.Upvalues {
			s.walk(u.Value())
		}
		s.scanFunction(t)
	}
}

// scanFunction reads a function of the loaded heap and returns which arguments it may
// store into. A function that is being read already (recursion) counts as storing nothing.
func (s *writeSearch) scanFunction(fn *lua.LFunction) []bool {
	if fn.IsG {
		return nil
	}
	if stores, done := s.stores[fn.Proto]; done {
		return stores
	}
	s.stores[fn.Proto] = nil
	upvalues := make([]register, len(fn.Upvalues))
	for i, u := range fn.Upvalues {
		upvalues[i] = register{origin: loaded, value: u.Value()}
	}
	f := &functionScan{writeSearch: s, proto: fn.Proto, upvalues: upvalues, stores: make([]bool, fn.Proto.NumParameters)}
	f.run()
	s.stores[fn.Proto] = f.stores
	return f.stores
}

// functionScan reads one function once, from top to bottom.
type functionScan struct {
	*writeSearch
	proto    *lua.FunctionProto
	upvalues []register
	regs     [256]register
	stores   []bool
}

func (f *functionScan) run() {
	p := f.proto
	for i := range int(p.NumParameters) {
		f.regs[i] = register{origin: param, param: i}
	}
	for pc := 0; pc < len(p.Code); pc++ {
		inst := p.Code[pc]
		a, b := argA(inst), argB(inst)
		switch opCode(inst) {
		case lua.OP_MOVE:
			f.regs[a] = f.regs[b]
		case lua.OP_MOVEN:
			f.regs[a] = f.regs[b]
			for i := argC(inst); i > 0; i-- {
				pc++
				f.regs[argA(p.Code[pc])] = f.regs[argB(p.Code[pc])]
			}
		case lua.OP_GETUPVAL:
			f.regs[a] = f.upvalues[b]
		case lua.OP_GETGLOBAL:
			f.regs[a] = f.global(argBx(inst))
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			f.regs[a] = f.field(f.regs[b], argC(inst))
		case lua.OP_SELF:
			object := f.regs[b]
			f.regs[a] = f.field(object, argC(inst))
			f.regs[a+1] = object
		case lua.OP_SETUPVAL:
			if up := f.upvalues[b]; up.origin == loaded && !up.local {
				f.report(pc)
			}
		case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
			f.store(f.regs[a], pc)
		case lua.OP_CALL, lua.OP_TAILCALL:
			f.call(a, b, pc)
		case lua.OP_CLOSURE:
			pc = f.closure(pc)
			f.regs[a] = register{}
		case lua.OP_SETGLOBAL, lua.OP_JMP, lua.OP_EQ, lua.OP_LT, lua.OP_LE, lua.OP_TEST, lua.OP_RETURN, lua.OP_CLOSE, lua.OP_NOP, lua.OP_SETLIST:
		default:
			f.regs[a] = register{}
		}
	}
}

func (f *functionScan) report(pc int) {
	if f.found == nil {
		f.found = &Pos{f.proto.SourceName, f.proto.DbgSourcePositions[pc]}
	}
}

func (f *functionScan) store(into register, pc int) {
	switch into.origin {
	case loaded:
		f.report(pc)
	case param:
		f.stores[into.param] = true
	}
}

// global: names that the state's own global table has are there since the load; REQ and
// the handler's own globals are not.
func (f *functionScan) global(constant int) register {
	name, ok := f.proto.Constants[constant].(lua.LString)
	if !ok {
		return register{}
	}
	v := f.st.base.RawGetString(string(name))
	switch v.(type) {
	case *lua.LTable, *lua.LFunction:
		return register{origin: loaded, value: v, reader: isReader(v, string(name))}
	}
	return register{}
}

// field is what t[constant] is, as far as it is known.
func (f *functionScan) field(t register, c int) register {
	if t.origin == fresh {
		return register{}
	}
	out := register{origin: t.origin, param: t.param}
	if c&constantBit == 0 || t.origin != loaded {
		return out
	}
	name, ok := f.proto.Constants[c&^constantBit].(lua.LString)
	if !ok {
		return out
	}
	out.value = lookup(t.value, string(name))
	out.reader = isReader(out.value, string(name))
	return out
}

func isReader(v lua.LValue, name string) bool {
	fn, ok := v.(*lua.LFunction)
	return ok && fn.IsG && readers[name]
}

// lookup reads a field the way Lua does, as far as tables go.
func lookup(v lua.LValue, name string) lua.LValue {
	for range 20 {
		t, ok := v.(*lua.LTable)
		if !ok {
			return nil
		}
		if item := t.RawGetString(name); item != lua.LNil {
			return item
		}
		meta, ok := t.Metatable.(*lua.LTable)
		if !ok {
			return nil
		}
		v = meta.RawGetString("__index")
	}
	return nil
}

// call looks for arguments that the called function may store into.
func (f *functionScan) call(a, b, pc int) {
	callee := f.regs[a]
	n := b - 1
	if b == 0 {
		n = 8 // up to the top of the stack, which is not known here: look at a few
	}
	var stores []bool
	known := callee.reader
	if fn, ok := callee.value.(*lua.LFunction); ok && !fn.IsG {
		stores, known = f.scanFunction(fn), true
	}
	for i := 1; i <= n && a+i < len(f.regs); i++ {
		arg := f.regs[a+i]
		if arg.origin == fresh || !mayBeTable(arg.value) {
			continue
		}
		switch {
		case known && i <= len(stores) && stores[i-1]:
			f.store(arg, pc)
		case !known && callee.origin != param && arg.origin == loaded:
			f.report(pc)
		}
	}
	f.regs[a] = register{}
}

// mayBeTable reports whether a value, nil when it is not known, may be stored into.
func mayBeTable(v lua.LValue) bool {
	if v == nil {
		return true
	}
	_, ok := v.(*lua.LTable)
	return ok
}

// closure reads a function that is made at request time; its upvalues may be locals of
// the function that makes it. It returns the last instruction of the list of upvalues.
func (f *functionScan) closure(pc int) int {
	child := f.proto.FunctionPrototypes[argBx(f.proto.Code[pc])]
	inner := &functionScan{writeSearch: f.writeSearch, proto: child, stores: make([]bool, child.NumParameters)}
	inner.upvalues = make([]register, child.NumUpvalues)
	for i := range inner.upvalues {
		pc++
		switch inst := f.proto.Code[pc]; opCode(inst) {
		case lua.OP_GETUPVAL:
			inner.upvalues[i] = f.upvalues[argB(inst)]
		case lua.OP_MOVE:
			if r := f.regs[argB(inst)]; r.origin == loaded {
				r.local = true
				inner.upvalues[i] = r
			}
		}
	}
	inner.run()
	return pc
}
