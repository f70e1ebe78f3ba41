package runtime

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// instruction fields of gopher-lua's virtual machine
func opCode(inst uint32) int { return int(inst >> 26) }
func argA(inst uint32) int   { return int(inst>>18) & 0xff }
func argB(inst uint32) int   { return int(inst & 0x1ff) }
func argC(inst uint32) int   { return int(inst>>9) & 0x1ff }
func argBx(inst uint32) int  { return int(inst & 0x3ffff) }
func argSBx(inst uint32) int { return argBx(inst) - (1<<17 - 1) }

const (
	maxArgB = 1<<9 - 1
	maxArgC = 1<<9 - 1
)

const constantBit = 1 << 8

// functionScan reads one function. Where paths meet, a register may hold what it holds on
// any of them.
type functionScan struct {
	*writeSearch
	fn    *function
	code  []uint32
	regs  []value
	at    map[int][]value // the registers at the targets of jumps
	todo  []int
	joins map[int]bool // places where paths meet
}

func newFunctionScan(s *writeSearch, fn *function) *functionScan {
	f := &functionScan{writeSearch: s, fn: fn, code: fn.proto.Code, at: map[int][]value{}, joins: map[int]bool{}}
	for pc, inst := range f.code {
		for _, next := range f.successors(pc, inst) {
			if next != pc+1 {
				f.joins[next] = true
			}
		}
	}
	f.regs = make([]value, int(fn.proto.NumUsedRegisters)+12)
	for i := range min(int(fn.proto.NumParameters), len(f.regs)) {
		f.regs[i] = s.param(fn, i)
	}
	if n := int(fn.proto.NumParameters); n < len(f.regs) && fn.proto.IsVarArg != 0 {
		f.regs[n] = f.varargs() // the table arg of Lua 5.0
	}
	return f
}

// successors are the instructions that may come next.
func (f *functionScan) successors(pc int, inst uint32) []int {
	switch opCode(inst) {
	case lua.OP_JMP, lua.OP_FORPREP:
		return []int{pc + 1 + argSBx(inst)}
	case lua.OP_FORLOOP:
		return []int{pc + 1, pc + 1 + argSBx(inst)}
	case lua.OP_EQ, lua.OP_LT, lua.OP_LE, lua.OP_TEST, lua.OP_TESTSET, lua.OP_TFORLOOP:
		return []int{pc + 1, pc + 2}
	case lua.OP_LOADBOOL:
		if argC(inst) != 0 {
			return []int{pc + 2}
		}
	case lua.OP_MOVEN:
		return []int{pc + 1 + argC(inst)}
	case lua.OP_CLOSURE:
		return []int{pc + 1 + int(f.fn.proto.FunctionPrototypes[argBx(inst)].NumUpvalues)}
	case lua.OP_SETLIST:
		if argC(inst) == 0 {
			return []int{pc + 2}
		}
	case lua.OP_RETURN:
		return nil
	}
	return []int{pc + 1}
}

func (f *functionScan) run() {
	for i := range f.regs {
		f.captured(i)
	}
	f.merge(0)
	for len(f.todo) > 0 && f.found == nil {
		pc := f.todo[len(f.todo)-1]
		f.todo = f.todo[:len(f.todo)-1]
		f.regs = slices.Clone(f.at[pc])
		f.runFrom(pc)
	}
}

// runFrom reads on until a place where paths meet.
func (f *functionScan) runFrom(pc int) {
	for pc < len(f.code) && f.found == nil {
		inst := f.code[pc]
		f.here = Pos{f.fn.proto.SourceName, 0}
		if pc < len(f.fn.proto.DbgSourcePositions) {
			f.here.Line = f.fn.proto.DbgSourcePositions[pc]
		}
		f.step(pc, inst)
		next := f.successors(pc, inst)
		if len(next) == 1 && !f.joins[next[0]] {
			pc = next[0]
			continue
		}
		for _, n := range next {
			f.merge(n)
		}
		return
	}
}

// merge adds the registers to what is known of them at pc.
func (f *functionScan) merge(pc int) {
	at := f.at[pc]
	if at == nil {
		f.at[pc] = slices.Clone(f.regs)
		f.todo = append(f.todo, pc)
		return
	}
	grown := false
	for i := range at {
		grown = f.join(&at[i], f.regs[i]) || grown
	}
	if grown {
		f.todo = append(f.todo, pc)
	}
}

// get reads a register; a variable that closures share may hold what they put there.
func (f *functionScan) get(r int) value {
	if r&constantBit != 0 || r >= len(f.regs) {
		return value{}
	}
	v := f.regs[r]
	if cell := f.fn.cells[r]; cell != nil {
		f.join(&v, *cell)
	}
	return v
}

func (f *functionScan) set(r int, v value) {
	if r < len(f.regs) {
		f.regs[r] = v
		f.captured(r)
	}
}

// captured tells the closures that share the variable in register r what it holds.
func (f *functionScan) captured(r int) {
	if cell := f.fn.cells[r]; cell != nil {
		f.grow(cell, f.regs[r])
	}
}

// setFrom fills the registers from r on: n of them, all when n is negative.
func (f *functionScan) setFrom(r, n int, v value) {
	if n < 0 {
		n = len(f.regs)
	}
	for i := r; i < min(r+n, len(f.regs)); i++ {
		f.set(i, v)
	}
}

// list returns n registers from r on, all when n is negative.
func (f *functionScan) list(r, n int) []value {
	if n < 0 || r+n > len(f.regs) {
		n = max(len(f.regs)-r, 0)
	}
	out := make([]value, n)
	for i := range out {
		out[i] = f.get(r + i)
	}
	return out
}

func (f *functionScan) step(pc int, inst uint32) {
	a, b, c := argA(inst), argB(inst), argC(inst)
	switch opCode(inst) {
	case lua.OP_MOVE, lua.OP_TESTSET:
		f.set(a, f.get(b))
	case lua.OP_MOVEN:
		f.set(a, f.get(b))
		for i := 1; i <= c; i++ {
			f.set(argA(f.code[pc+i]), f.get(argB(f.code[pc+i])))
		}
	case lua.OP_LOADNIL:
		f.setFrom(a, b-a+1, value{})
	case lua.OP_GETUPVAL:
		f.set(a, f.upvalue(b))
	case lua.OP_GETGLOBAL:
		f.set(a, f.global(f.constant(argBx(inst))))
	case lua.OP_SETGLOBAL:
		f.setGlobal(f.constant(argBx(inst)), f.get(a))
	case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
		f.set(a, f.index(f.get(b), c))
	case lua.OP_SELF:
		object := f.get(b)
		method := f.index(object, c)
		f.join(&method, f.stringMethod(c))
		f.set(a, method)
		f.set(a+1, object)
	case lua.OP_SETUPVAL:
		if cell := f.fn.upvalues[b].cell; cell != nil {
			f.grow(cell, f.get(a))
		} else {
			f.report()
		}
	case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
		f.store(f.get(a), b, f.get(c))
	case lua.OP_SETLIST:
		f.grow(&f.stored, f.all(f.list(a+1, lastOr(b))))
	case lua.OP_NEWTABLE:
		f.set(a, value{fresh: true})
	case lua.OP_CALL:
		f.setFrom(a, c-1, f.call(a, b-1))
	case lua.OP_TAILCALL:
		f.setFrom(a, -1, f.call(a, b-1))
	case lua.OP_TFORLOOP:
		f.setFrom(a+3, c, f.iterate(a))
	case lua.OP_RETURN:
		f.result(f.all(f.list(a, b-1)))
	case lua.OP_CLOSURE:
		f.set(a, value{made: f.closure(pc)})
		f.linkClosure(pc)
	case lua.OP_VARARG:
		f.setFrom(a, b-1, f.varargs())
	case lua.OP_FORLOOP:
		f.set(a+3, value{})
	case lua.OP_ADD, lua.OP_SUB, lua.OP_MUL, lua.OP_DIV, lua.OP_MOD, lua.OP_POW, lua.OP_UNM, lua.OP_LEN:
		f.set(a, f.operator([]value{f.get(b), f.get(c)}))
	case lua.OP_CONCAT:
		f.set(a, f.operator(f.list(b, c-b+1)))
	case lua.OP_LOADK:
		f.set(a, f.known(f.fn.proto.Constants[argBx(inst)])) // a function: see concat.go
	case lua.OP_LOADBOOL, lua.OP_NOT:
		f.set(a, value{})
	}
}

func lastOr(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func (f *functionScan) report() { f.found = orPos(f.found, f.here) }

func (f *functionScan) result(v value) {
	f.grow(&f.fn.result, v)
	f.grow(&f.returned, v)
}

// constant is the text of a constant, "" when it is none.
func (f *functionScan) constant(i int) string {
	name, _ := f.fn.proto.Constants[i].(lua.LString)
	return string(name)
}

// index is t[key]; key is a register or a constant.
func (f *functionScan) index(t value, key int) value {
	if key&constantBit != 0 {
		if name, ok := f.fn.proto.Constants[key&^constantBit].(lua.LString); ok {
			return f.field(t, string(name))
		}
	}
	return f.contents(t)
}

// stringMethod is s:name() as far as the script has put functions of its own into string.
func (f *functionScan) stringMethod(key int) value {
	mt, ok := f.st.L.GetMetatable(lua.LString("")).(*lua.LTable)
	if !ok || key&constantBit == 0 {
		return value{}
	}
	item, _ := lookup(mt.RawGetString("__index"), f.constant(key&^constantBit))
	if fn, ok := item.(*lua.LFunction); ok && !fn.IsG {
		return f.known(fn)
	}
	return value{}
}

func (f *functionScan) store(into value, key int, v value) {
	if into.isLoaded() {
		f.report()
	}
	if key&constantBit != 0 && strings.HasPrefix(f.constant(key&^constantBit), "__") {
		f.metaOps = true
		f.grow(&f.anyArg, value{fresh: true})
	}
	f.grow(&f.stored, v)
}

// operator is what a metamethod may make of + or ..
func (f *functionScan) operator(operands []value) value {
	v := f.all(operands)
	if f.metaOps && (v.isLoaded() || v.fresh) {
		return value{fresh: true}.with(f.writeSearch, f.returned)
	}
	return value{}
}

// call is a call of the function in register a with n arguments, all that follow when n
// is negative.
func (f *functionScan) call(a, n int) value {
	callee := f.get(a)
	args := f.list(a+1, n)
	if fn, ok := callee.known.(*lua.LFunction); ok && fn.IsG {
		if fn == f.st.heap.prog.concat {
			return f.operator(args)
		}
		switch f.st.names[fn] {
		case "pairs", "ipairs": // the results are what TFORLOOP reads: see iterate
			out := f.all(args)
			out.callable, out.goFunc, out.made = false, false, nil
			return out
		}
	}
	return f.callValue(callee, args)
}

// iterate is one step of for … in: R(A)(R(A+1), R(A+2)).
func (f *functionScan) iterate(a int) value {
	callee, state := f.get(a), f.get(a+1)
	out := f.contents(state)
	if callee == state && !callee.callable { // pairs and ipairs
		return out
	}
	f.join(&out, f.callValue(callee, []value{state, f.get(a + 2)}))
	return out
}
