package luafast

import (
	lua "github.com/yuin/gopher-lua"
)

// call makes a frame for a Lua function whose arguments are behind register A.
func (m *Machine) call(f *frame, in *instruction, fn *lua.LFunction, nargs int) bool {
	if in.seen.callee != fn.Proto {
		c := m.codeOf(fn.Proto)
		if c == nil {
			return false
		}
		in.seen.callee, in.seen.code = fn.Proto, c
	}
	c := in.seen.code
	base := f.base + int(in.a) + 1
	if c.slow || m.depth == maxDepth || base+max(c.regs, nargs) > maxRegisters || m.stop.Load() {
		return false
	}
	m.push(c, fn, base, nargs)
	return true
}

// back returns from the top frame with n values from the register at index from on, which
// counts from the beginning. It reports whether that was the first function's return; if not,
// top is where the values of the caller's call end.
func (m *Machine) back(from, n int, top *int) bool {
	for {
		m.depth--
		if m.depth == 0 {
			break
		}
		f := m.top()
		in := &f.code.ins[f.pc]
		if in.op == uint8(lua.OP_TAILCALL) {
			continue
		}
		want := int(in.m) - 1
		if want < 0 {
			want = n
		}
		move(m.regs[f.base+int(in.a):][:want], m.regs[from:from+n])
		*top = int(in.a) + want
		f.pc++
		return false
	}
	move(m.results, m.regs[from:from+n])
	m.keepAll(m.results)
	return true
}

// move fills to with the values of from, and with nil when there are not enough.
func move(to, from []lua.LValue) {
	for i := copy(to, from); i < len(to); i++ {
		to[i] = lua.LNil
	}
}

// callLeaf calls a Go function with the arguments behind register A and puts its results
// in their place; n is the number of these.
func (m *Machine) callLeaf(f *frame, in *instruction, fn *lua.LFunction, nargs int) (n int, ok bool) {
	first := f.base + int(in.a)
	args := m.regs[first+1 : first+1+nargs]
	if fn == m.concat {
		return m.concatenate(args, first)
	}
	leaf := m.leafOf(in, fn)
	if leaf.kind >= leafPairs {
		return m.pairs(leaf.kind, fn, first, nargs)
	}
	want := int(in.m) - 1
	if in.op == uint8(lua.OP_TAILCALL) {
		want = -1
	}
	if leaf.quick != nil {
		if n, ok := m.callQuick(leaf, args, first, want); ok {
			return n, true
		}
	}
	return m.callGo(leaf.kind, fn, args, first, want)
}

// concatenate does what the operator .. does with strings and numbers.
func (m *Machine) concatenate(args []lua.LValue, to int) (n int, ok bool) {
	s, ok := m.join(args)
	if ok {
		m.regs[to] = m.text(s)
	}
	return 1, ok
}

func (m *Machine) leafOf(in *instruction, fn *lua.LFunction) *leaf {
	if in.seen.fn != fn {
		in.seen.fn, in.seen.leaf = fn, m.leaves[fn]
	}
	return &in.seen.leaf
}

// callQuick calls the quick form of a method and does with its result what callGo does. It
// reports whether there was one for these arguments.
func (m *Machine) callQuick(leaf *leaf, args []lua.LValue, to, want int) (n int, ok bool) {
	if len(args) == 0 {
		return 0, false
	}
	u, ok := args[0].(*lua.LUserData)
	if !ok || u.Value == nil {
		return 0, false
	}
	if mt, _ := u.Metatable.(*lua.LTable); mt != leaf.metatable {
		return 0, false
	}
	m.inLeaf = true
	result, ok := leaf.quick(u.Value, args[1:])
	m.inLeaf = false
	if !ok {
		return 0, false
	}
	if want < 0 {
		want = 0
		if result != nil {
			want = 1
		}
	}
	if to+want > maxRegisters { // nothing of this size is compiled
		return 0, false
	}
	m.high = max(m.high, to+want)
	for i := range want {
		m.regs[to+i] = lua.LNil
	}
	if want > 0 && result != nil {
		m.regs[to] = result
	}
	return want, true
}

// callGo calls a Go function if it is a leaf with these arguments and puts want of its
// results, all for -1, into the registers from index to on.
func (m *Machine) callGo(leaf Leaf, fn *lua.LFunction, args []lua.LValue, to, want int) (n int, ok bool) {
	switch leaf {
	case NotLeaf:
		return 0, false
	case LeafPlain:
		if !plain(args) {
			return 0, false
		}
	case LeafMethod:
		if len(args) > 0 && !plain(args[1:]) {
			return 0, false
		}
	case LeafStores:
		m.keepAll(args)
	}
	L := m.L
	m.inLeaf = true
	for _, v := range args {
		L.Push(v)
	}
	n = fn.GFunction(L)
	m.inLeaf = false
	return m.take(n, to, want)
}

// take puts want of the n results on Lua's stack, all for -1, into the registers from index to on.
func (m *Machine) take(n, to, want int) (taken int, ok bool) {
	L := m.L
	at := L.GetTop() - n
	if want < 0 {
		want = n
	}
	ok = n >= 0 && to+want <= maxRegisters
	if ok {
		m.high = max(m.high, to+want)
		for i := range want {
			m.regs[to+i] = lua.LNil
			if i < n {
				m.regs[to+i] = L.Get(at + i + 1)
			}
		}
	}
	L.SetTop(0)
	return want, ok
}

func plain(args []lua.LValue) bool {
	for _, v := range args {
		switch v.(type) {
		case lua.LString, lua.LNumber, lua.LBool, *lua.LNilType:
		default:
			return false
		}
	}
	return true
}

// pairs does what pairs and ipairs do at the head of a loop.
func (m *Machine) pairs(leaf Leaf, fn *lua.LFunction, first, nargs int) (n int, ok bool) {
	table, ok := m.regs[first+1].(*lua.LTable)
	if !ok || nargs != 1 || leaf == leafPairs && !isNil(table.Metatable) { // its metatable may lead elsewhere
		return 0, false
	}
	var start lua.LValue = lua.LNil
	if leaf == leafIpairs {
		start = smallNumbers[0]
	}
	m.regs[first], m.regs[first+1], m.regs[first+2] = fn.Upvalues[0].Value(), table, start
	m.high = max(m.high, first+3)
	return 3, true
}

// iterate calls the iterator of a loop.
func (m *Machine) iterate(f *frame, in *instruction) bool {
	first := f.base + int(in.a)
	fn, ok := m.regs[first].(*lua.LFunction)
	if !ok || !fn.IsG {
		return false
	}
	leaf := m.leafOf(in, fn).kind
	if leaf != NotLeaf {
		_, ok = m.callGo(leaf, fn, m.regs[first+1:first+3], first+3, int(in.m))
		return ok
	}
	return m.next(fn, first+3, int(in.m))
}

// Iterator is a Go value that knows what an iterator returns that has no other upvalue than
// a userdata with it.
type Iterator interface {
	// Next pushes what fn returns, as a leaf function, and returns the number of values. It
	// returns false for another function than its own.
	Next(L *lua.LState, fn *lua.LFunction) (n int, ok bool)
}

// next puts the results of an iterator that has an [Iterator] into registers.
func (m *Machine) next(fn *lua.LFunction, to, want int) bool {
	if len(fn.Upvalues) != 1 {
		return false
	}
	u, _ := fn.Upvalues[0].Value().(*lua.LUserData)
	if u == nil {
		return false
	}
	iterator, ok := u.Value.(Iterator)
	if !ok {
		return false
	}
	m.inLeaf = true
	n, ok := iterator.Next(m.L, fn)
	m.inLeaf = false
	if ok {
		_, ok = m.take(n, to, want)
	}
	return ok
}
