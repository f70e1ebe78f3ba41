package luafast

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// resumeKey says where and how a function is left.
type resumeKey struct {
	pc   int // of the instruction to go on with
	regs int // number of registers, which become the arguments
	b    int // the operand B of that instruction, -1 when it keeps its own
}

// maxResumes bounds the copies of one function's bytecode.
const maxResumes = 64

// resume returns the prototype that goes on where a function was left: its parameters are
// all registers, and it begins with a jump to the place.
func (c *code) resume(key resumeKey) *lua.FunctionProto {
	if p := c.resumes[key]; p != nil {
		return p
	}
	p := makeResume(c.proto, key)
	if c.resumes == nil {
		c.resumes = map[resumeKey]*lua.FunctionProto{}
	}
	if len(c.resumes) >= maxResumes {
		c.slow = true
		return p
	}
	c.resumes[key] = p
	return p
}

// makeResume puts in front of the bytecode what leads to the place. An instruction that has
// another operand there than it keeps stands in front itself: a loop may come to its own place
// again.
func makeResume(from *lua.FunctionProto, key resumeKey) *lua.FunctionProto {
	var front []uint32
	next := key.pc
	if key.b >= 0 {
		front = append(front, from.Code[key.pc]&^0x1ff|uint32(key.b))
		next++
	}
	front = append(front, uint32(lua.OP_JMP)<<26|uint32(next+maxJump))
	p, n := *from, len(front)
	p.Code = append(front, from.Code...)
	// a tail call of gopher-lua moves one register less than there are
	p.NumParameters, p.NumUsedRegisters = uint8(key.regs), uint8(key.regs+1)
	line := from.DbgSourcePositions[key.pc]
	p.DbgSourcePositions = append(slices.Repeat([]int{line}, n), from.DbgSourcePositions...)
	p.DbgCalls = nil
	for _, call := range from.DbgCalls {
		if call.Pc == key.pc && key.b >= 0 {
			p.DbgCalls = append(p.DbgCalls, lua.DbgCall{Name: call.Name, Pc: 0})
		}
		p.DbgCalls = append(p.DbgCalls, lua.DbgCall{Name: call.Name, Pc: call.Pc + n})
	}
	p.DbgLocals = nil
	for _, local := range from.DbgLocals { // those that are alive at the place come first
		if local.StartPc <= key.pc && key.pc+1 < local.EndPc {
			p.DbgLocals = append(p.DbgLocals, &lua.DbgLocalInfo{Name: local.Name, StartPc: -1, EndPc: n})
		}
	}
	for _, local := range from.DbgLocals {
		p.DbgLocals = append(p.DbgLocals, &lua.DbgLocalInfo{Name: local.Name, StartPc: local.StartPc + n, EndPc: local.EndPc + n})
	}
	return &p
}

// leave pushes the function that goes on where the machine stopped, and its arguments,
// whose number it returns. open is the number of values above register A that the
// instruction takes when their number is not written in it, -1 when it is.
func (m *Machine) leave(L *lua.LState, open int) int {
	m.escaped = true
	top := &m.frames[m.depth-1]
	total, b := top.base+top.code.regs, -1
	if open >= 0 {
		in := &top.code.ins[top.pc]
		b = open + 1
		first := int(in.a)
		if in.op != uint8(lua.OP_RETURN) {
			first++
		}
		total = max(total, top.base+first+open)
	}
	for i := m.depth - 1; i >= 0; i-- {
		f := &m.frames[i]
		fn := &lua.LFunction{
			Env: f.fn.Env, Upvalues: f.fn.Upvalues,
			Proto: f.code.resume(resumeKey{f.pc, total - f.base, b}),
		}
		if i == 0 {
			L.Push(fn)
			break
		}
		m.regs[f.base-1] = fn // the register that holds the function in the call
		b = total - f.base + 1
	}
	for _, v := range m.regs[:total] {
		L.Push(m.keep(v))
	}
	return total
}
