package luafast

import (
	lua "github.com/yuin/gopher-lua"
)

// instruction is a decoded instruction of gopher-lua. Operands that are constants are
// resolved; what an instruction found out about the values that it met stays with it.
type instruction struct {
	op      uint8
	a, b, c uint8      // registers
	n, m    int32      // counts, the distance of a jump
	kb, kc  lua.LValue // constants in the place of registers b and c, or nil
	seen    *cache     // of those that have one
}

// cache is what an instruction learned when it was executed last, and what only few have.
type cache struct {
	metatable *lua.LTable // of an object; what is below belongs to it
	method    lua.LValue
	field     Field
	object    *Object
	known     bool              // there is such a field
	parents   [2]*lua.LUserData // whose field it was, where it is the same each time: those of the
	parts     [2]lua.LValue     // requests that take turns in a state

	key    string         // a constant name of a field or global
	fn     *lua.LFunction // a leaf function
	leaf   leaf
	code   *code // of the function with the prototype callee
	callee *lua.FunctionProto
	proto  *lua.FunctionProto // of a closure
}

// opLeave stands for every instruction that only gopher-lua executes.
const opLeave = uint8(lua.OP_NOP + 1)

// code is a decoded function.
type code struct {
	proto   *lua.FunctionProto
	ins     []instruction
	params  int
	regs    int
	resumes map[resumeKey]*lua.FunctionProto
	slow    bool // it is left in too many ways
}

// bitRK marks an operand that is a constant.
const bitRK = 1 << 8

// decode returns nil for a function that is left to gopher-lua.
func decode(p *lua.FunctionProto) *code {
	if p.IsVarArg != 0 || watchesCalls(p) {
		return nil
	}
	c := &code{proto: p, ins: make([]instruction, len(p.Code)), params: int(p.NumParameters), regs: int(p.NumUsedRegisters)}
	for pc, word := range p.Code {
		c.ins[pc] = decodeOne(p, pc, word)
		c.regs = max(c.regs, c.ins[pc].lastRegister()+1)
	}
	if c.regs > maxRegisters {
		return nil
	}
	return c
}

// lastRegister returns the last register that an instruction uses. gopher-lua's own number
// of registers is a little too small at times; its stack grows when one is written.
func (in *instruction) lastRegister() int {
	a, n, m := int(in.a), int(in.n), int(in.m)
	switch int(in.op) {
	case lua.OP_JMP, lua.OP_EQ, lua.OP_LT, lua.OP_LE:
		return 0
	case lua.OP_LOADNIL:
		return max(a, n)
	case lua.OP_SELF:
		return a + 1
	case lua.OP_FORLOOP, lua.OP_FORPREP:
		return a + 3
	case lua.OP_TFORLOOP:
		return a + 5 + m
	case lua.OP_CALL, lua.OP_TAILCALL:
		return a + max(n-1, m-2, 0)
	case lua.OP_RETURN:
		return a + max(n-2, 0)
	case lua.OP_SETLIST:
		return a + n
	}
	return a
}

// watchesCalls reports whether a function may look at the calls that are running.
func watchesCalls(p *lua.FunctionProto) bool {
	for _, k := range p.Constants {
		switch k {
		case lua.LString("debug"), lua.LString("getfenv"), lua.LString("setfenv"):
			return true
		}
	}
	return false
}

// decodeOne decodes one word. Words that belong to the instruction before them decode to
// anything; they are never executed.
func decodeOne(p *lua.FunctionProto, pc int, word uint32) instruction {
	a, b, c := int(word>>18)&0xff, int(word&0x1ff), int(word>>9)&0x1ff
	bx := int(word & 0x3ffff)
	in := instruction{op: uint8(word >> 26), a: uint8(a), b: uint8(b), c: uint8(c), n: int32(b), m: int32(c)}
	if hasCache(int(in.op)) {
		in.seen = &cache{}
	}
	switch int(in.op) {
	case lua.OP_MOVEN: // what follows it are moves
		in.op = uint8(lua.OP_MOVE)
	case lua.OP_LOADK:
		in.kb = constant(p, bx)
	case lua.OP_LOADBOOL:
		in.kb = lua.LBool(b != 0)
	case lua.OP_GETGLOBAL, lua.OP_SETGLOBAL:
		in.setKey(constant(p, bx))
	case lua.OP_GETTABLEKS:
		if c&bitRK == 0 { // the name is in a register, as it is behind "in" of a loop
			in.op = uint8(lua.OP_GETTABLE)
			break
		}
		in.setKey(constantRK(p, c))
	case lua.OP_SELF:
		in.setKey(constantRK(p, c))
	case lua.OP_SETTABLEKS:
		in.kb, in.kc = constantRK(p, b), constantRK(p, c) // the name is often in a register
	case lua.OP_GETTABLE:
		in.kc = constantRK(p, c)
	case lua.OP_SETTABLE, lua.OP_ADD, lua.OP_SUB, lua.OP_MUL, lua.OP_DIV, lua.OP_MOD, lua.OP_POW, lua.OP_EQ, lua.OP_LT, lua.OP_LE:
		in.kb, in.kc = constantRK(p, b), constantRK(p, c)
	case lua.OP_UNM, lua.OP_LEN:
		in.kb = constantRK(p, b)
	case lua.OP_JMP, lua.OP_FORLOOP, lua.OP_FORPREP:
		in.n = int32(bx - maxJump)
	case lua.OP_SETLIST:
		if c == 0 && pc+1 < len(p.Code) {
			in.m = int32(p.Code[pc+1])
		}
		in.c = uint8(min(c, 1))
	case lua.OP_CLOSURE:
		in.decodeClosure(p, pc, bx)
	case lua.OP_CONCAT, lua.OP_VARARG, lua.OP_NOP:
		in.op = opLeave
	}
	return in
}

// hasCache reports whether an instruction has something to remember.
func hasCache(op int) bool {
	switch op {
	case lua.OP_GETGLOBAL, lua.OP_SETGLOBAL, lua.OP_GETTABLEKS, lua.OP_SELF, lua.OP_SETTABLEKS,
		lua.OP_CALL, lua.OP_TAILCALL, lua.OP_TFORLOOP, lua.OP_CLOSURE:
		return true
	}
	return false
}

// maxJump is what gopher-lua adds to the distance of a jump.
const maxJump = 0x3ffff >> 1

func constant(p *lua.FunctionProto, i int) lua.LValue {
	if i < len(p.Constants) {
		return p.Constants[i]
	}
	return nil
}

// constantRK returns nil for a register.
func constantRK(p *lua.FunctionProto, operand int) lua.LValue {
	if operand&bitRK == 0 {
		return nil
	}
	return constant(p, operand&^bitRK)
}

// setKey keeps a constant name, also as a Lua value in kc.
func (in *instruction) setKey(k lua.LValue) {
	name, ok := k.(lua.LString)
	if !ok { // too many constants: the name is in a register
		in.op = opLeave
		return
	}
	in.seen.key, in.kc = string(name), k
}

// decodeClosure allows functions that share no local variable of the one that makes them.
// n is the number of words that follow, which name the shared variables.
func (in *instruction) decodeClosure(p *lua.FunctionProto, pc, bx int) {
	if bx >= len(p.FunctionPrototypes) {
		in.op = opLeave
		return
	}
	in.seen.proto = p.FunctionPrototypes[bx]
	n := int(in.seen.proto.NumUpvalues)
	in.n = int32(n)
	for _, word := range p.Code[min(pc+1, len(p.Code)):min(pc+1+n, len(p.Code))] {
		if int(word>>26) != lua.OP_GETUPVAL {
			in.op = opLeave
		}
	}
}
