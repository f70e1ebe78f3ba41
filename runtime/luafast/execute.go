package luafast

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// execute runs until the first function returns, and reports whether it did. One that did
// not is left at the instruction that the top frame names, with m.open values above register A.
//
// It is one long loop because its speed is all that it is for.
func (m *Machine) execute() bool {
	f := m.top()
	r := (*[256]lua.LValue)(m.regs[f.base:])
	ins := f.code.ins
	pc, top := 0, 0 // top is the end of the values of an open call, from the frame's base
	for {
		in := &ins[pc]
		pc++
		switch int(in.op) {
		case lua.OP_MOVE:
			r[in.a] = r[in.b]
		case lua.OP_LOADK, lua.OP_LOADBOOL:
			r[in.a] = in.kb
			if in.op == uint8(lua.OP_LOADBOOL) && in.m != 0 {
				pc++
			}
		case lua.OP_LOADNIL:
			for i := int(in.a); i <= int(in.n); i++ {
				r[uint8(i)] = lua.LNil
			}
		case lua.OP_GETUPVAL:
			r[in.a] = f.fn.Upvalues[in.b].Value()
		case lua.OP_SETUPVAL:
			f.fn.Upvalues[in.b].SetValue(m.keep(r[in.a]))
		case lua.OP_GETGLOBAL:
			f.pc = pc - 1
			v, ok := m.index(f.fn.Env, in.kc)
			if !ok {
				return false
			}
			r[in.a] = v
		case lua.OP_SETGLOBAL:
			f.pc = pc - 1
			if !m.store(f.fn.Env, in.kc, r[in.a]) {
				return false
			}
		case lua.OP_GETTABLEKS:
			f.pc = pc - 1
			v, ok := m.field(in, r[in.b])
			if !ok {
				return false
			}
			r[in.a] = v
		case lua.OP_SELF:
			f.pc = pc - 1
			object := r[in.b]
			v, ok := m.field(in, object)
			if !ok {
				return false
			}
			r[in.a], r[in.a+1] = v, object
		case lua.OP_GETTABLE:
			f.pc = pc - 1
			key := in.kc
			if key == nil {
				key = r[in.c]
			}
			v, ok := m.index(r[in.b], key)
			if !ok {
				return false
			}
			r[in.a] = v
		case lua.OP_SETTABLEKS:
			f.pc = pc - 1
			key, value := in.operands(r)
			if !m.setField(in, r[in.a], key, value) {
				return false
			}
		case lua.OP_SETTABLE:
			f.pc = pc - 1
			key, value := in.operands(r)
			if !m.store(r[in.a], key, value) {
				return false
			}
		case lua.OP_NEWTABLE:
			r[in.a] = m.L.CreateTable(int(in.n), int(in.m))
		case lua.OP_SETLIST:
			m.setList(in, r, top)
			if in.c == 0 {
				pc++
			}
		case lua.OP_ADD, lua.OP_SUB, lua.OP_MUL, lua.OP_DIV, lua.OP_MOD, lua.OP_POW:
			left, right := in.operands(r)
			x, ok1 := left.(lua.LNumber)
			y, ok2 := right.(lua.LNumber)
			if !ok1 || !ok2 {
				f.pc = pc - 1
				return false
			}
			r[in.a] = number(arithmetic(int(in.op), x, y))
		case lua.OP_UNM:
			v := in.kb
			if v == nil {
				v = r[in.b]
			}
			x, ok := v.(lua.LNumber)
			if !ok {
				f.pc = pc - 1
				return false
			}
			r[in.a] = number(-x)
		case lua.OP_NOT:
			r[in.a] = lua.LBool(!truth(r[in.b]))
		case lua.OP_LEN:
			v := in.kb
			if v == nil {
				v = r[in.b]
			}
			n, ok := length(v)
			if !ok {
				f.pc = pc - 1
				return false
			}
			r[in.a] = number(lua.LNumber(n))
		case lua.OP_JMP:
			if in.n < 0 && m.stop.Load() {
				f.pc = pc - 1
				return false
			}
			pc += int(in.n)
		case lua.OP_EQ, lua.OP_LT, lua.OP_LE:
			left, right := in.operands(r)
			holds, ok := m.compare(int(in.op), left, right)
			if !ok {
				f.pc = pc - 1
				return false
			}
			if holds == (in.a == 0) {
				pc++
			}
		case lua.OP_TEST:
			if truth(r[in.a]) == (in.m == 0) {
				pc++
			}
		case lua.OP_TESTSET:
			if v := r[in.b]; truth(v) != (in.m == 0) {
				r[in.a] = v
			} else {
				pc++
			}
		case lua.OP_FORPREP:
			init, ok1 := r[in.a].(lua.LNumber)
			step, ok2 := r[in.a+2].(lua.LNumber)
			if !ok1 || !ok2 {
				f.pc = pc - 1
				return false
			}
			r[in.a] = number(init - step)
			pc += int(in.n)
		case lua.OP_FORLOOP:
			init, ok1 := r[in.a].(lua.LNumber)
			limit, ok2 := r[in.a+1].(lua.LNumber)
			step, ok3 := r[in.a+2].(lua.LNumber)
			if !ok1 || !ok2 || !ok3 || m.stop.Load() {
				f.pc = pc - 1
				return false
			}
			init += step
			v := number(init)
			r[in.a] = v
			if step > 0 && init <= limit || step <= 0 && init >= limit {
				r[in.a+3] = v
				pc += int(in.n)
			}
		case lua.OP_TFORLOOP:
			f.pc = pc - 1
			if m.stop.Load() || !m.iterate(f, in) {
				return false
			}
			if v := r[in.a+3]; !isNil(v) {
				r[in.a+2] = v
				pc += int(ins[pc].n)
			}
			pc++
		case lua.OP_CLOSE: // no variable of a function that runs here is shared
		case lua.OP_CLOSURE:
			r[in.a] = closure(f.fn, in, ins[pc:])
			pc += int(in.n)
		case lua.OP_CALL, lua.OP_TAILCALL:
			f.pc = pc - 1
			nargs := int(in.n) - 1
			if nargs < 0 {
				nargs = top - int(in.a) - 1
				m.open = nargs
			}
			fn, ok := r[in.a].(*lua.LFunction)
			if !ok {
				return false
			}
			if fn.IsG {
				n, ok := m.callLeaf(f, in, fn, nargs)
				if !ok {
					return false
				}
				m.open = -1
				if in.op == uint8(lua.OP_TAILCALL) {
					if m.back(f.base+int(in.a), n, &top) {
						return true
					}
				} else {
					top = int(in.a) + n
					continue
				}
			} else if !m.call(f, in, fn, nargs) {
				return false
			}
			m.open = -1
			f = m.top()
			r, ins, pc = (*[256]lua.LValue)(m.regs[f.base:]), f.code.ins, f.pc
		case lua.OP_RETURN:
			n := int(in.n) - 1
			if n < 0 {
				n = top - int(in.a)
			}
			if m.back(f.base+int(in.a), n, &top) {
				return true
			}
			f = m.top()
			r, ins, pc = (*[256]lua.LValue)(m.regs[f.base:]), f.code.ins, f.pc
		default:
			f.pc = pc - 1
			return false
		}
	}
}

// operands returns what stands for RK(B) and RK(C).
func (in *instruction) operands(r *[256]lua.LValue) (b, c lua.LValue) {
	if b = in.kb; b == nil {
		b = r[in.b]
	}
	if c = in.kc; c == nil {
		c = r[in.c]
	}
	return b, c
}

func isNil(v lua.LValue) bool {
	_, is := v.(*lua.LNilType)
	return is
}

func truth(v lua.LValue) bool {
	switch v := v.(type) {
	case lua.LBool:
		return bool(v)
	case *lua.LNilType:
		return false
	}
	return true
}

// smallNumbers are numbers that need no memory of their own.
var smallNumbers = func() (list [1024]lua.LValue) {
	for i := range list {
		list[i] = lua.LNumber(i)
	}
	return list
}()

func number(x lua.LNumber) lua.LValue {
	if i := int(x); uint(i) < uint(len(smallNumbers)) && lua.LNumber(i) == x && (i != 0 || !math.Signbit(float64(x))) {
		return smallNumbers[i]
	}
	return x
}

func arithmetic(op int, x, y lua.LNumber) lua.LNumber {
	switch op {
	case lua.OP_ADD:
		return x + y
	case lua.OP_SUB:
		return x - y
	case lua.OP_MUL:
		return x * y
	case lua.OP_DIV:
		return x / y
	case lua.OP_POW:
		return lua.LNumber(math.Pow(float64(x), float64(y)))
	}
	v := math.Mod(float64(x), float64(y))
	if y > 0 && v < 0 || y < 0 && v > 0 {
		v += float64(y)
	}
	return lua.LNumber(v)
}

// length does what # does with strings and with tables that have no metatable.
func length(v lua.LValue) (int, bool) {
	switch v := v.(type) {
	case lua.LString:
		return len(v), true
	case *lua.LTable:
		if isNil(v.Metatable) {
			return v.Len(), true
		}
	}
	return 0, false
}

// compare does what ==, < and <= do where no metamethod can be asked for.
func (m *Machine) compare(op int, left, right lua.LValue) (holds, ok bool) {
	switch x := left.(type) {
	case lua.LNumber:
		if y, ok := right.(lua.LNumber); ok {
			switch op {
			case lua.OP_EQ:
				return x == y, true
			case lua.OP_LT:
				return x < y, true
			}
			return x <= y, true
		}
	case lua.LString:
		if y, ok := right.(lua.LString); ok {
			switch op {
			case lua.OP_EQ:
				return x == y, true
			case lua.OP_LT:
				return x < y, true
			}
			return x <= y, true
		}
	}
	if op != lua.OP_EQ {
		return false, false
	}
	if left == right {
		return true, true
	}
	switch x := left.(type) {
	case *lua.LTable:
		y, ok := right.(*lua.LTable)
		return false, !ok || isNil(x.Metatable) || isNil(y.Metatable)
	case *lua.LUserData:
		_, ok := right.(*lua.LUserData)
		return false, !ok
	}
	return false, true
}

func (m *Machine) setList(in *instruction, r *[256]lua.LValue, top int) {
	table := r[in.a].(*lua.LTable)
	count := int(in.n)
	if count == 0 {
		count = top - int(in.a) - 1
	}
	offset := (int(in.m) - 1) * lua.FieldsPerFlush
	for i := 1; i <= count; i++ {
		table.RawSetInt(offset+i, m.keep(r[uint8(int(in.a)+i)]))
	}
}

// closure makes a function that shares only variables which its maker shares, too.
func closure(maker *lua.LFunction, in *instruction, words []instruction) *lua.LFunction {
	fn := &lua.LFunction{Env: maker.Env, Proto: in.seen.proto, Upvalues: make([]*lua.Upvalue, in.n)}
	for i := range fn.Upvalues {
		fn.Upvalues[i] = maker.Upvalues[words[i].b]
	}
	return fn
}
