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

// writeSearch looks through the functions that the pipeline reaches.
type writeSearch struct {
	st       *state
	seen     map[lua.LValue]bool
	protos   map[*lua.FunctionProto]bool
	found    *Pos
	paramPut bool // some reachable function stores into a table that it got as an argument
	calls    []Pos
}

// loadTimeWrite returns the place of a write to load-time state, nil when there is none.
func (st *state) loadTimeWrite(roots []lua.LValue) *Pos {
	s := &writeSearch{st: st, seen: map[lua.LValue]bool{}, protos: map[*lua.FunctionProto]bool{}}
	for _, v := range roots {
		s.walk(v)
	}
	if s.found == nil && s.paramPut && len(s.calls) > 0 {
		s.found = &s.calls[0]
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
		if !t.IsG && !s.protos[t.Proto] {
			s.protos[t.Proto] = true
			old := make([]bool, t.Proto.NumUpvalues)
			for i := range old {
				old[i] = true
			}
			s.scan(t.Proto, old)
		}
	}
}

// origin says where the value in a register came from.
type origin uint8

const (
	fresh  origin = iota
	loaded        // held by an upvalue or a global that exists since the load
	param         // an argument of the function
	reader        // a library function that does not change its arguments
)

// scan reads one function once, from top to bottom. old says which upvalues exist since
// the load; those of functions made at request time may be locals of their parent.
func (s *writeSearch) scan(p *lua.FunctionProto, old []bool) {
	regs := make([]origin, 256)
	for i := range int(p.NumParameters) {
		regs[i] = param
	}
	line := func(pc int) Pos { return Pos{p.SourceName, p.DbgSourcePositions[pc]} }
	for pc := 0; pc < len(p.Code); pc++ {
		inst := p.Code[pc]
		a, b := argA(inst), argB(inst)
		switch opCode(inst) {
		case lua.OP_MOVE:
			regs[a] = regs[b]
		case lua.OP_MOVEN:
			regs[a] = regs[b]
			for i := argC(inst); i > 0; i-- {
				pc++
				regs[argA(p.Code[pc])] = regs[argB(p.Code[pc])]
			}
		case lua.OP_GETUPVAL:
			regs[a] = fresh
			if old[b] {
				regs[a] = loaded
			}
		case lua.OP_GETGLOBAL:
			regs[a] = s.globalOrigin(p, argBx(inst))
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			regs[a] = s.fieldOrigin(p, regs[b], argC(inst))
		case lua.OP_SELF:
			regs[a+1] = regs[b]
			regs[a] = s.fieldOrigin(p, regs[b], argC(inst))
		case lua.OP_SETUPVAL:
			if old[b] {
				s.report(line(pc))
			}
		case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
			switch regs[a] {
			case loaded:
				s.report(line(pc))
			case param:
				s.paramPut = true
			}
		case lua.OP_CALL, lua.OP_TAILCALL:
			s.scanCall(regs, a, b, line(pc))
		case lua.OP_CLOSURE:
			pc = s.scanClosure(p, pc, old)
			regs[a] = fresh
		case lua.OP_SETGLOBAL, lua.OP_JMP, lua.OP_EQ, lua.OP_LT, lua.OP_LE, lua.OP_TEST, lua.OP_RETURN, lua.OP_CLOSE, lua.OP_NOP, lua.OP_SETLIST:
		default:
			regs[a] = fresh
		}
	}
}

func (s *writeSearch) report(pos Pos) {
	if s.found == nil {
		s.found = &pos
	}
}

// globalOrigin: names that the state's own global table has are there since the load;
// REQ and the handler's own globals are not.
func (s *writeSearch) globalOrigin(p *lua.FunctionProto, constant int) origin {
	name, ok := p.Constants[constant].(lua.LString)
	if !ok {
		return fresh
	}
	if readers[string(name)] {
		return reader
	}
	if _, isTable := s.st.base.RawGetString(string(name)).(*lua.LTable); isTable {
		return loaded
	}
	return fresh
}

func (s *writeSearch) fieldOrigin(p *lua.FunctionProto, from origin, c int) origin {
	if from != loaded && from != param {
		return fresh
	}
	if c&constantBit != 0 {
		if name, ok := p.Constants[c&^constantBit].(lua.LString); ok && readers[string(name)] {
			return reader
		}
	}
	return from
}

// scanCall looks for a load-time table among the arguments of a call.
func (s *writeSearch) scanCall(regs []origin, a, b int, pos Pos) {
	callee := regs[a]
	n := b - 1
	if b == 0 {
		n = 8 // up to the top of the stack: look at a few
	}
	for i := 1; i <= n && a+i < len(regs); i++ {
		if regs[a+i] == loaded && callee != reader {
			if callee == loaded || callee == param {
				s.calls = append(s.calls, pos)
			}
		}
	}
	regs[a] = fresh
}

// scanClosure reads a function made at request time; it returns the last instruction of
// the list of its upvalues.
func (s *writeSearch) scanClosure(p *lua.FunctionProto, pc int, old []bool) int {
	child := p.FunctionPrototypes[argBx(p.Code[pc])]
	childOld := make([]bool, child.NumUpvalues)
	for i := range childOld {
		pc++
		if inst := p.Code[pc]; opCode(inst) == lua.OP_GETUPVAL {
			childOld[i] = old[argB(inst)]
		}
	}
	s.scan(child, childOld)
	return pc
}
